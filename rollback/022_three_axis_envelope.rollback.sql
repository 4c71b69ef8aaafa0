-- Undoes 022. The envelope is a cache, and so are its marks and its tally: nothing
-- is lost. Refuses while a gate is open or demands an invariant of 022, and where a
-- command of 022 was logged.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_three_axis_envelope_refresh',
  'dot_iu_three_axis_envelope_drift_check']);
DELETE FROM public.iu_refusal WHERE migration = 22;
SELECT iu.fn_iu_invariant_undefine(22);
SELECT iu.fn_iu_surface_undefine(22);
SELECT iu.fn_iu_hook_remove(22);

DROP VIEW iu.v_iu_envelope_units;
DROP VIEW iu.v_iu_envelope_true;
DROP FUNCTION iu.fn_iu_envelope_turned;
DROP FUNCTION iu.fn_iu_envelope_chore;
DROP FUNCTION iu.fn_iu_envelope_compact;
DROP FUNCTION public.fn_iu_three_axis_envelope_refresh;
DROP FUNCTION iu.fn_iu_three_axis_envelope_refresh;
DROP FUNCTION iu.fn_iu_envelope_run;
DROP FUNCTION iu.fn_iu_envelope_fill;
DROP FUNCTION iu.fn_iu_envelope_serve;
DROP FUNCTION iu.fn_iu_envelope_unmark;
DROP FUNCTION iu.fn_iu_envelope_makeable;
DROP VIEW public.v_iu_three_axis_envelope_drift;
DROP FUNCTION public.fn_iu_three_axis_envelope_drift_check;
DROP FUNCTION iu.fn_iu_three_axis_envelope_drift_check;
DROP FUNCTION iu.fn_iu_envelope_drift;
DROP FUNCTION iu.fn_iu_envelope_drift_of;
DROP FUNCTION iu.fn_iu_envelope_compare;
DROP FUNCTION iu.fn_iu_envelope_rows_of;
DROP VIEW iu.v_iu_three_axis_kept;
DROP FUNCTION iu.fn_iu_envelope_is_full;
DROP FUNCTION iu.fn_iu_envelope_marks;
DROP TRIGGER trg_iu_envelope_mark_update ON public.iu_metadata_tag_registry;
DROP TRIGGER trg_iu_envelope_mark_insert ON public.iu_metadata_tag;
DROP TRIGGER trg_iu_envelope_mark_update ON public.iu_metadata_tag;
DROP TRIGGER trg_iu_envelope_mark_delete ON public.iu_metadata_tag;
DROP TRIGGER trg_iu_envelope_mark_truncate ON public.iu_metadata_tag;
DROP TRIGGER trg_iu_envelope_mark_insert ON public.information_unit;
DROP TRIGGER trg_iu_envelope_mark_update ON public.information_unit;
DROP TRIGGER trg_iu_envelope_mark_delete ON public.information_unit;
DROP TRIGGER trg_iu_envelope_mark_truncate ON public.information_unit;
DROP TABLE public.iu_three_axis_envelope;
DROP FUNCTION iu.fn_iu_envelope_count;
DROP TABLE public.iu_three_axis_envelope_tally;
DROP TABLE public.iu_three_axis_envelope_mark;
DROP FUNCTION iu.fn_iu_envelope_tally;
DROP FUNCTION iu.fn_iu_envelope_mark_rows;
DROP FUNCTION iu.fn_iu_envelope_mark_tag_kinds;
DROP FUNCTION iu.fn_iu_envelope_mark_tags;
DROP FUNCTION iu.fn_iu_envelope_mark_units;
DROP FUNCTION iu.fn_iu_envelope_mark_all;
DROP FUNCTION iu.fn_iu_envelope_mark;
