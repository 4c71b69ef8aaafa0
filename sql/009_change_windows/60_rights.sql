-- Who may read and use what 009 brings.

GRANT SELECT ON
    public.iu_regression_surface, public.iu_regression_snapshot, public.iu_regression_value,
    public.iu_regression_expectation, public.iu_change_window, public.v_iu_change_window
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_regression_matrix, iu.fn_iu_regression_matrix, public.fn_iu_change_report, iu.fn_iu_change_report
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_surface_snapshot, iu.fn_iu_surface_snapshot, public.fn_iu_surface_report, iu.fn_iu_surface_report,
    public.fn_iu_expect_delta, iu.fn_iu_expect_delta, public.fn_iu_change_window_open, iu.fn_iu_change_window_open,
    public.fn_iu_change_window_close, iu.fn_iu_change_window_close
  TO iu_core_operator;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_surface_register, iu.fn_iu_surface_register, public.fn_iu_surface_unregister,
    iu.fn_iu_surface_unregister
  TO iu_core_admin;
