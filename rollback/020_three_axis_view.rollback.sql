-- Undoes 020. Views only: nothing is lost.
DROP FUNCTION iu.fn_iu_three_axis_envelope_rows_of;
DROP FUNCTION iu.fn_iu_three_axis_envelope_rows;
DROP VIEW iu.v_iu_three_axis_rows;
DROP VIEW public.v_ui_iu_three_axis_envelope;
