GRANT SELECT ON public.iu_route_worker_cursor, public.v_iu_route_health TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_worker_health, iu.fn_iu_route_worker_health, iu.fn_iu_route_worker_ahead
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_worker_run, iu.fn_iu_route_worker_run, public.fn_iu_route_dry_run, iu.fn_iu_route_dry_run,
    public.fn_iu_route_test, iu.fn_iu_route_test
  TO iu_core_operator;
GRANT EXECUTE ON FUNCTION iu.fn_iu_route_worker_turn TO iu_core_worker;
