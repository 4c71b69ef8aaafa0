GRANT SELECT ON
    public.iu_route_position, public.iu_route_step, public.iu_route_lease, public.iu_route_attempt,
    public.iu_route_retry, public.iu_route_dead_letter, public.iu_route_order, public.iu_route_circuit,
    public.v_iu_route_position, public.v_iu_route_attempt_summary, public.v_iu_route_dead_letter_open
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    iu.fn_iu_delivery_refusal, iu.fn_iu_order_subject, iu.fn_iu_circuit_verdict, iu.fn_iu_route_function_refusal
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_delivery_body, iu.fn_iu_delivery_body, iu.fn_iu_webhook_id TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    iu.fn_iu_delivery_claim, iu.fn_iu_delivery_check, iu.fn_iu_delivery_keep, iu.fn_iu_delivery_next_due,
    iu.fn_iu_delivery_record_batch
  TO iu_core_worker;
