GRANT SELECT ON
    public.iu_route_position, public.iu_route_step, public.iu_route_lease, public.iu_route_attempt,
    public.iu_route_retry, public.iu_route_dead_letter, public.iu_route_order, public.iu_route_circuit,
    public.iu_route_pace, public.iu_delivery_code, public.v_iu_route_position, public.v_iu_route_attempt_summary,
    public.v_iu_route_dead_letter_open
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    iu.fn_iu_delivery_refusal, iu.fn_iu_order_subject, iu.fn_iu_circuit_verdict, iu.fn_iu_delivery_code,
    iu.fn_iu_delivery_say, iu.fn_iu_delivery_answer
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_delivery_body, iu.fn_iu_delivery_body, iu.fn_iu_webhook_id TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    iu.fn_iu_delivery_settle, iu.fn_iu_delivery_news, iu.fn_iu_delivery_claim, iu.fn_iu_delivery_check,
    iu.fn_iu_delivery_keep, iu.fn_iu_delivery_next_due, iu.fn_iu_delivery_record_batch,
    iu.fn_iu_attempt_partitions_tend
  TO iu_core_worker;

SELECT iu.fn_iu_refusal_put(6, ARRAY[
  ['iu_order_isolation', '25000', 'A route that keeps the order of a subject needs isolation level READ COMMITTED.',
   'Begin the transaction with READ COMMITTED.'],
  ['iu_delivery_claim', '23514', 'A claim names no sender, or asks for less than one delivery.',
   'Give p_sender and a p_max of 1 or more.'],
  ['iu_lease_lost', '55000', 'The lease was recorded, or another sender took it over.',
   'Forget its deliveries: they are another''s.'],
  ['iu_attempt_kept', '55000', 'Attempts cannot be set apart, since iu.iu_route_attempt_kept is no partition.',
   'Attach it again to iu_route_attempt FOR VALUES FROM (true, MINVALUE) TO (true, MAXVALUE).']]);
