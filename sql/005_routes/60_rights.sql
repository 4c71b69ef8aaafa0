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

SELECT iu.fn_iu_refusal_put(5, ARRAY[
  ['iu_route_unknown', '42704', 'The route is not registered.',
   'iu_outbound_route has the routes; fn_iu_route_add registers one.'],
  ['iu_route_retired', '42704', 'The route is retired.', 'Register another with fn_iu_route_add.'],
  ['iu_route_exists', '23505', 'A route of this code is registered already.', 'Take another code.'],
  ['iu_route_code', '23514', 'A route code is 1 to 120 letters, digits, "_", ".", ":" or "-".', 'Give such a code.'],
  ['iu_route_event_type', '23514', 'The event type that the route would carry is not registered.',
   'See event_type_registry.'],
  ['iu_route_target_kind', '23514', 'The target kind is none of the six.',
   'Give external_endpoint, directus_flow or sql_function.'],
  ['iu_route_url', '23514', 'The target is not a URL that a route may have.', 'See fn_iu_route_url_problem.'],
  ['iu_route_target', '23514', 'The route has no target.', 'Give p_target_ref.'],
  ['iu_route_retry_policy', '23514', 'The retry policy has a wrong key or value.', 'See fn_iu_route_retry_problem.'],
  ['iu_route_payload_contract', '23514', 'The payload contract has a word or a form that is not known.',
   'See fn_iu_route_contract_problem.'],
  ['iu_route_ordering', '23514', 'The ordering is neither none nor subject.', 'Give one of these.'],
  ['iu_route_timeout', '23514', 'The timeout is not from 100 to 300000 milliseconds.', 'Give such a p_timeout_ms.'],
  ['iu_route_max_in_flight', '23514', 'The limit of deliveries under way is not from 1 to 10000.',
   'Give such a p_max_in_flight.'],
  ['iu_route_secret_ref', '23514', 'The reference of the secret is not 1 to 120 letters, digits, "_", ".", ":" or "-".',
   'Give such a p_secret_ref, or none.'],
  ['iu_route_not_on_allowlist', '42501', 'A route is live only while the allowlist names it.',
   'Put it there with fn_iu_route_allow.'],
  ['iu_route_fixed', '0A000', 'Code, event type and ordering of a route cannot be changed.',
   'Retire it and register another.'],
  ['iu_route_is_live', '55006', 'The target of a live route cannot be changed.',
   'Pause it with fn_iu_route_pause, change it, resume it.'],
  ['iu_route_allowlist_missing', 'P0002', 'The allowlist has lost its row in dot_config and reads as empty.',
   'Insert the row with an empty value, and find out who deleted it.'],
  ['iu_secret_form', '23514', 'A signing secret is whsec_ and 24 to 64 bytes in base64.',
   'Leave it out to have one made.'],
  ['iu_secret_ref', '23514', 'The reference of a secret is 1 to 120 letters, digits, "_", ".", ":" or "-".',
   'Give such a p_secret_ref.'],
  ['iu_secret_validity', '23514', 'A secret is valid from a time until a later one.', 'Give two such times.'],
  ['iu_secret_exists', '23505', 'The secret is registered under this reference already.', 'Nothing.'],
  ['iu_secret_chosen', '23514', 'It is not said which secrets are to be ended.', 'Give p_secret_ref and p_older_than.'],
  ['iu_secret_last', '55006', 'A live route would be left without a valid signing secret.',
   'Add another with fn_iu_route_secret_add, and give its valid_from as p_older_than.'],
  ['iu_rollback_allowlist', '55006', 'The allowlist that the rollback would remove names routes.',
   'Empty it with fn_iu_route_disallow.']]);
