-- Who may read and use what 022 brings.

GRANT SELECT ON public.iu_three_axis_envelope, public.iu_three_axis_envelope_mark, public.v_iu_three_axis_envelope_drift
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_three_axis_envelope_drift_check, iu.fn_iu_three_axis_envelope_drift_check
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_three_axis_envelope_refresh, iu.fn_iu_three_axis_envelope_refresh
  TO iu_core_operator;
