INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_arm',              'health', true, true,  ARRAY['fn_iu_route_arm']),
  ('dot_iu_route_deliver',          'health', true, false, ARRAY['fn_iu_route_deliver']),
  ('dot_iu_route_confirm_position', 'health', true, false, ARRAY['fn_iu_route_confirm_position']),
  ('dot_iu_route_circuit_close',    'health', true, false, ARRAY['fn_iu_route_circuit_close']),
  ('dot_iu_route_retry_now',        'health', true, false, ARRAY['fn_iu_route_retry_now']);

GRANT SELECT ON public.v_iu_event_backlog, public.v_iu_route_held TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    iu.fn_iu_route_refusal, iu.fn_iu_route_address_refusal, iu.fn_iu_event_backlog,
    iu.fn_iu_route_addresses_refused, public.fn_iu_route_explain, iu.fn_iu_route_explain
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_arm, iu.fn_iu_route_arm, public.fn_iu_route_confirm_position,
    iu.fn_iu_route_confirm_position, public.fn_iu_route_deliver, iu.fn_iu_route_deliver,
    public.fn_iu_route_circuit_close, iu.fn_iu_route_circuit_close, public.fn_iu_route_retry_now,
    iu.fn_iu_route_retry_now
  TO iu_core_operator;

SELECT iu.fn_iu_refusal_put(7, ARRAY[
  ['iu_route_kind_not_carried', '0A000', 'Routes of this kind are not carried.',
   'Use external_endpoint, directus_flow or sql_function.'],
  ['iu_route_function_refused', '0A000', 'The function of the route is not registered, or was changed since.',
   'An administrator registers it with fn_iu_route_function_register.'],
  ['iu_route_armed', '55006', 'The route is armed already.', 'Pause it with fn_iu_route_pause, then arm it.'],
  ['iu_route_max_age', '23514', 'The greatest age of an event is not a positive interval.',
   'Give a positive p_max_age.'],
  ['iu_route_start', '23514', 'The start of the route lies in the future.',
   'Leave p_start_at out to start with what commits from now on.'],
  ['iu_route_no_position', '42704', 'The route has no position.', 'Arm it with fn_iu_route_arm.'],
  ['iu_route_position_is_here', '55000', 'The position of the route belongs to this database.',
   'Nothing: there is nothing to confirm.'],
  ['iu_deliver_gate', '42501', 'The gate of delivery is closed.',
   'Open iu_core.delivery_enabled with fn_iu_gate_open.'],
  ['iu_deliver_route_unknown', '42501', 'The route to deliver on is not registered.',
   'Register it with fn_iu_route_add.'],
  ['iu_deliver_origin', '0A000', 'The origin of the route is not allowed.',
   'A superuser adds it to iu_core.allowed_origins.'],
  ['iu_event_unknown', 'P0002', 'The event is not in the outbox.', 'See event_outbox.'],
  ['iu_deliver_event_type', '23514', 'The event is not of the type that the route carries.',
   'Take a route of its type.'],
  ['iu_deliver_restricted', '42501', 'A restricted event does not leave the server.', 'Nothing.'],
  ['iu_deliver_payload', '23514', 'The payload given is not that of the event.', 'Leave it out.'],
  ['iu_deliver_filter', '23514', 'The payload of the event does not pass the filter of the route.',
   'See payload_filter in iu_outbound_route.'],
  ['iu_deliver_contract', '23514', 'The payload of the event breaks the contract of the route.',
   'Mend what emits it, or change the contract with fn_iu_route_set.'],
  ['iu_deliver_isolation', '25000', 'Handing an event over needs isolation level READ COMMITTED.',
   'Begin the transaction with READ COMMITTED.']]);
