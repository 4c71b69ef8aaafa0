-- What people do to deliveries by hand: hand one event over, close a circuit, have
-- what waits tried now.

CREATE FUNCTION iu.fn_iu_route_deliver_route(p_route_code text) RETURNS public.iu_outbound_route
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route   public.iu_outbound_route;
  v_refusal text;
BEGIN
  IF NOT iu_core.gate_is_open('iu_core.delivery_enabled') THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'delivery is closed: gate iu_core.delivery_enabled',
      HINT = 'Open it with fn_iu_gate_open, with an approval and a time limit.', CONSTRAINT = 'iu_deliver_gate';
  END IF;
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  IF NOT FOUND THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('route "%s" is not registered', coalesce(p_route_code, '')),
      DETAIL = format('Route: %s.', coalesce(p_route_code, '')),
      HINT = 'Register it with fn_iu_route_add.', CONSTRAINT = 'iu_deliver_route_unknown';
  ELSIF p_route_code <> ALL (iu.fn_iu_delivery_live_routes()) THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('route "%s" is not on the allowlist of live routes', p_route_code),
      DETAIL = format('Route: %s.', p_route_code),
      HINT = format('Put it there: SELECT fn_iu_route_allow(%L, session_user, ''reason'');', p_route_code),
      CONSTRAINT = 'iu_route_not_on_allowlist';
  ELSIF v_route.target_kind NOT IN ('external_endpoint', 'directus_flow', 'sql_function') THEN
    RAISE feature_not_supported USING
      MESSAGE = format('delivery to target kind %s is not supported', v_route.target_kind),
      DETAIL = format('Kind: %s.', v_route.target_kind),
      CONSTRAINT = 'iu_route_kind_not_carried';
  END IF;
  v_refusal := iu.fn_iu_route_target_refusal(v_route.target_kind, v_route.target_ref);
  IF v_refusal IS NOT NULL AND v_route.target_kind = 'sql_function' THEN
    RAISE feature_not_supported USING
      MESSAGE = format('delivery to the function of route "%s" is not supported', p_route_code), DETAIL = v_refusal,
      HINT = 'Register the function with fn_iu_route_function_register.', CONSTRAINT = 'iu_route_function_refused';
  ELSIF v_refusal IS NOT NULL THEN
    RAISE feature_not_supported USING
      MESSAGE = format('delivery to the origin of route "%s" is not supported', p_route_code), DETAIL = v_refusal,
      HINT = 'A superuser adds the origin to iu_core.allowed_origins.', CONSTRAINT = 'iu_deliver_origin';
  END IF;
  RETURN v_route;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_deliver_route IS
  'For fn_iu_route_deliver: the route, if it may deliver. In this order, SQLSTATE 42501: the gate is closed, the route '
  'not registered, not on the allowlist; 0A000: its kind is not carried, its function not registered, its origin not '
  'allowed.';

CREATE FUNCTION iu.fn_iu_route_deliver_event(p_route public.iu_outbound_route, p_event_ref uuid, p_safe_payload jsonb)
  RETURNS public.event_outbox
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_event  public.event_outbox;
  v_broken record;
BEGIN
  SELECT * INTO v_event FROM public.event_outbox WHERE id = p_event_ref;
  IF NOT FOUND THEN
    RAISE no_data_found USING
      MESSAGE = format('event %s is not in the outbox', coalesce(p_event_ref::text, 'NULL')),
      DETAIL = format('Event: %s.', coalesce(p_event_ref::text, 'NULL')),
      CONSTRAINT = 'iu_event_unknown';
  ELSIF NOT iu.fn_iu_route_carries(p_route.route_code, v_event.event_domain, v_event.event_type) THEN
    RAISE check_violation USING
      MESSAGE = format('event %s is not of the type that route "%s" carries', p_event_ref, p_route.route_code),
      DETAIL = format('It is %s.%s; the route carries %s.%s.', v_event.event_domain, v_event.event_type,
                      p_route.event_domain, p_route.event_type),
      CONSTRAINT = 'iu_deliver_event_type';
  ELSIF v_event.payload_classification <> 'safe_metadata' THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('event %s is %s: it does not leave the server', p_event_ref, v_event.payload_classification),
      DETAIL = format('Event: %s; classification: %s.', p_event_ref, v_event.payload_classification),
      CONSTRAINT = 'iu_deliver_restricted';
  ELSIF p_safe_payload <> v_event.safe_payload THEN
    RAISE check_violation USING
      MESSAGE = format('the payload given is not that of event %s', p_event_ref),
      DETAIL = format('Event: %s.', p_event_ref),
      HINT = 'Leave it out: what is sent follows from the event.', CONSTRAINT = 'iu_deliver_payload';
  END IF;
  v_broken := iu.fn_iu_payload_verdict(p_route, v_event.safe_payload);
  IF v_broken.code = 'contract' THEN
    RAISE check_violation USING
      MESSAGE = format('event %s breaks the payload contract of route "%s"', p_event_ref, p_route.route_code),
      DETAIL = v_broken.problem, CONSTRAINT = 'iu_deliver_contract';
  ELSIF v_broken.code IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = format('event %s does not pass the filter of route "%s"', p_event_ref, p_route.route_code),
      DETAIL = v_broken.problem, CONSTRAINT = 'iu_deliver_filter';
  END IF;
  RETURN v_event;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_deliver_event IS
  'For fn_iu_route_deliver: the event, if the route may carry it. SQLSTATE P0002: unknown; 23514: of another type, '
  'another payload than was given, or one that breaks the contract or does not pass the filter; 42501: restricted.';

CREATE FUNCTION iu.fn_iu_route_deliver(p_route_code text, p_event_ref uuid, p_safe_payload jsonb)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off
AS $function$
DECLARE
  v_route constant public.iu_outbound_route := iu.fn_iu_route_deliver_route(p_route_code);
  v_event constant public.event_outbox := iu.fn_iu_route_deliver_event(v_route, p_event_ref, p_safe_payload);
  v_id    constant text := iu.fn_iu_webhook_id(v_event.event_seq, v_route.id, 0, v_event.id);
  v_at    public.v_iu_route_position;
  v_state text;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE invalid_transaction_state USING
      MESSAGE = 'fn_iu_route_deliver needs isolation level READ COMMITTED',
      DETAIL = 'An older snapshot would not see that the event was delivered meanwhile.',
      CONSTRAINT = 'iu_deliver_isolation';
  END IF;
  PERFORM FROM public.iu_route_position WHERE route_code = p_route_code FOR NO KEY UPDATE;
  SELECT * INTO v_at FROM public.v_iu_route_position WHERE route_code = p_route_code;
  v_state := CASE
    WHEN EXISTS (SELECT FROM public.iu_route_lease l
                  WHERE l.route_code = p_route_code AND p_event_ref = ANY (l.event_ids))
      OR EXISTS (SELECT FROM public.iu_route_retry t WHERE t.route_code = p_route_code AND t.event_id = p_event_ref)
      OR (v_event.event_seq > v_at.floor_seq AND NOT pg_visible_in_snapshot(v_event.emitted_xid, v_at.seen)
          AND NOT (v_at.window_end IS NOT NULL AND v_event.event_seq <= v_at.window_seq
                   AND pg_visible_in_snapshot(v_event.emitted_xid, v_at.window_end))) THEN 'already_queued'
    WHEN EXISTS (SELECT FROM public.iu_route_attempt a
                  WHERE a.idempotency_key = v_id AND a.status <> 'dry_run') THEN 'already_attempted'
    ELSE 'handed_over' END;
  IF v_state = 'handed_over' THEN
    INSERT INTO public.iu_route_retry (route_code, event_id, event_seq, due_at, reason)
      VALUES (p_route_code, p_event_ref, v_event.event_seq, iu_core.steady_clock(), 'deliver')
      ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
      v_state := 'already_queued';  -- by another, a moment ago, where there is no position yet to lock
    END IF;
    PERFORM iu_core.wake();
  END IF;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_deliver', 'route_code', p_route_code, 'applied', session_user,
    'fn_iu_route_deliver', jsonb_build_object('event_ref', p_event_ref, 'status', v_state));
  RETURN jsonb_build_object('status', v_state, 'route_code', p_route_code, 'event_ref', p_event_ref,
    'webhook_id', v_id, 'held', iu.fn_iu_route_refusal(p_route_code));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_deliver IS
  'What public.fn_iu_route_deliver hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_deliver(p_route_code text, p_event_ref uuid, p_safe_payload jsonb DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_deliver(p_route_code, p_event_ref, p_safe_payload) END;
COMMENT ON FUNCTION public.fn_iu_route_deliver IS
  'Hands one event to the sender for one route. Refuses, in this order: SQLSTATE 42501: delivery gate closed, '
  'route not registered, route not on the allowlist; 0A000: a target that is not carried, whose function is not '
  'registered or whose origin is not allowed; then P0002 unknown event, 23514 another type or payload, or one '
  'that breaks the contract or does not pass the filter, 42501 restricted payload, 25000 another isolation level '
  'than READ COMMITTED. Returns '
  '{status: handed_over | already_queued | already_attempted, route_code, event_ref, webhook_id, held}. Logged, with '
  'the login role as actor.';

CREATE FUNCTION iu.fn_iu_route_circuit_close(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_was public.iu_route_circuit;
BEGIN
  IF NOT EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code) THEN
    PERFORM iu.fn_iu_route_not_there(p_route_code);
  END IF;
  DELETE FROM public.iu_route_circuit WHERE route_code = p_route_code RETURNING * INTO v_was;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_circuit_close', 'route_code', p_route_code, 'applied', p_actor,
    p_reason, jsonb_build_object('previous', coalesce(v_was.state, 'closed'), 'failures', coalesce(v_was.failures, 0)));
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', CASE WHEN v_was.state <> 'closed' THEN 'closed' ELSE 'unchanged' END,
    'route_code', p_route_code, 'previous', coalesce(v_was.state, 'closed'), 'failures', coalesce(v_was.failures, 0));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_circuit_close IS
  'What public.fn_iu_route_circuit_close hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_circuit_close(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_circuit_close(p_route_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_circuit_close IS
  'Closes the circuit of a route now, forgets its failures and logs it: what waited goes out. Returns {status: '
  'closed | unchanged, route_code, previous, failures}. SQLSTATE 42704: not registered; 23514: actor or reason '
  'missing.';

CREATE FUNCTION iu.fn_iu_route_retry_now(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_retries bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code AND retired_at IS NULL) THEN
    PERFORM iu.fn_iu_route_not_there(p_route_code);
  END IF;
  UPDATE public.iu_route_retry SET due_at = iu_core.steady_clock()
   WHERE route_code = p_route_code AND due_at > iu_core.steady_clock()
     AND reason NOT IN ('replay', 'address_refused');
  GET DIAGNOSTICS v_retries = ROW_COUNT;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_retry_now', 'route_code', p_route_code, 'applied', p_actor, p_reason,
    jsonb_build_object('retries', v_retries));
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', CASE WHEN v_retries > 0 THEN 'due' ELSE 'unchanged' END,
    'route_code', p_route_code, 'retries', v_retries, 'held', iu.fn_iu_route_refusal(p_route_code));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_retry_now IS
  'What public.fn_iu_route_retry_now hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_retry_now(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_retry_now(p_route_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_retry_now IS
  'Makes due now what waits for its next attempt on a route, and logs it: for a receiver that was mended. An '
  'attempt counts like any other; an open circuit stays open (fn_iu_route_circuit_close), replays keep the rate '
  'they were asked for. Returns {status: due | unchanged, route_code, retries: how many, held: what still stops '
  'them, as in fn_iu_route_refusal}. SQLSTATE 42704: not registered or retired; 23514: actor or reason missing.';
