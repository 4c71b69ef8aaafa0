GRANT SELECT ON public.v_iu_event_backlog, public.v_iu_route_held TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    iu.fn_iu_route_refusal, iu.fn_iu_route_address_refusal, iu.fn_iu_route_waiting, public.fn_iu_route_explain,
    iu.fn_iu_route_explain
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_arm, iu.fn_iu_route_arm, public.fn_iu_route_confirm_position,
    iu.fn_iu_route_confirm_position, public.fn_iu_route_deliver, iu.fn_iu_route_deliver,
    public.fn_iu_route_circuit_close, iu.fn_iu_route_circuit_close, public.fn_iu_route_retry_now,
    iu.fn_iu_route_retry_now
  TO iu_core_operator;
