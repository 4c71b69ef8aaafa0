GRANT SELECT ON public.iu_outbound_route TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_worker_enabled, iu.fn_iu_route_worker_enabled, public.fn_iu_delivery_live_routes,
    iu.fn_iu_delivery_live_routes, iu.fn_iu_route_url_problem, iu.fn_iu_route_retry_problem,
    iu.fn_iu_route_contract_problem, iu.fn_iu_payload_problem
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_add, iu.fn_iu_route_add, public.fn_iu_route_set, iu.fn_iu_route_set,
    public.fn_iu_route_allow, iu.fn_iu_route_allow, public.fn_iu_route_disallow, iu.fn_iu_route_disallow,
    public.fn_iu_route_pause, iu.fn_iu_route_pause, public.fn_iu_route_resume, iu.fn_iu_route_resume,
    public.fn_iu_route_retire, iu.fn_iu_route_retire, public.fn_iu_route_secret_add, iu.fn_iu_route_secret_add,
    public.fn_iu_route_secret_end, iu.fn_iu_route_secret_end
  TO iu_core_operator;
