GRANT SELECT ON public.iu_route_worker_cursor, public.v_iu_route_health TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_worker_health, iu.fn_iu_route_worker_health, iu.fn_iu_route_worker_ahead,
    iu.fn_iu_attempts_last
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_route_worker_health, iu.fn_iu_route_worker_health TO pg_monitor;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_worker_run, iu.fn_iu_route_worker_run, public.fn_iu_route_dry_run, iu.fn_iu_route_dry_run,
    public.fn_iu_route_test, iu.fn_iu_route_test
  TO iu_core_operator;
GRANT EXECUTE ON FUNCTION iu.fn_iu_route_worker_turn, iu.fn_iu_gate_troubles, iu.fn_iu_certificate_troubles
  TO iu_core_worker;

SELECT iu.fn_iu_delivery_code_put(12, 'outcome', ARRAY[
  ['worker_process_error', NULL, 'developer', 'give_up', 'none',
   'a dry run could not be made of the event',
   'failure_detail says why']]);

SELECT iu.fn_iu_delivery_code_put(12, 'answer', ARRAY[
  ['request', '23', 'administrator', 'none', 'none',
   'the request cannot be made', NULL],
  ['would_send', NULL, 'nobody', 'none', 'none',
   'nothing stops it: the event would be sent', NULL]]);

SELECT iu.fn_iu_refusal_put(12, ARRAY[
  ['iu_worker_name', '23514', 'The name of a worker is 1 to 120 letters, digits, "_", ".", ":" or "-".',
   'Give such a p_worker_name.'],
  ['iu_worker_batch', '23514', 'The events of one pass are not from 1 to 100000.', 'Give such a p_batch_limit.'],
  ['iu_worker_domain_unknown', '23514', 'No event type of this domain is registered.',
   'event_type_registry has the domains.'],
  ['iu_worker_other_domain', '23514', 'The worker reads the events of another domain since its first run.',
   'Give a worker for another domain another name.'],
  ['iu_health_stale_seconds', '23514', 'The seconds after which health speaks are less than 1.',
   'Give a p_stale_seconds of 1 or more.']]);
