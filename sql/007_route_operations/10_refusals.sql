-- 007 routes in operation: arming one, letting a copy deliver, handing an event
-- over, and the answers to "what is waiting?" and "why did this not go out?".

SELECT iu.fn_iu_delivery_code_put(7, 'reason', ARRAY[
  ['deliver', NULL, 'nobody', 'wait', 'none', 'fn_iu_route_deliver handed it over', NULL],
  ['armed', NULL, 'nobody', 'wait', 'none', 'it was owed when the route was armed', NULL],
  ['confirmed', NULL, 'nobody', 'wait', 'none', 'it was owed when the position of the route was confirmed', NULL]]);

SELECT iu.fn_iu_delivery_code_put(7, 'answer', ARRAY[
  ['event_unknown', '18', 'developer', 'none', 'none',
   'the event is not in the outbox',
   'an emitter returns NULL while the master switch is off and for an unknown or inactive type'],
  ['event_not_on_route', '19', 'operator', 'none', 'none',
   'the route carries {carries}, the event is {event}', NULL],
  ['payload_restricted', '20', 'developer', 'none', 'none',
   'a restricted event does not leave the server', NULL],
  ['filtered', '21', 'nobody', 'none', 'none',
   'the payload does not pass the filter of the route: {problem}', NULL],
  ['before_start', NULL, 'operator', 'none', 'none',
   'it was committed before the route was armed',
   'SELECT fn_iu_route_deliver({route}, {event_id})'],
  ['from_elsewhere', NULL, 'operator', 'none', 'none',
   'it came from another database, by a subscription or with triggers off, and is history here',
   'SELECT fn_iu_route_deliver({route}, {event_id})'],
  ['in_flight', NULL, 'nobody', 'wait', 'none',
   '{sender} holds it since {since}', NULL],
  ['waiting_subject', NULL, 'nobody', 'wait', 'none',
   'the route keeps the order of a subject, and an earlier delivery of this one is not finished', NULL],
  ['waiting_retry', NULL, 'nobody', 'wait', 'none',
   'attempt {attempt} is due at {due_at}, after {reason}',
   'nothing; at once: SELECT fn_iu_route_retry_now({route}, session_user, ''reason'')'],
  ['due', NULL, 'nobody', 'wait', 'none',
   'nothing stops it: the next claim takes it',
   'see iu_core.worker_status if no sender runs'],
  ['delivered', NULL, 'nobody', 'done', 'none',
   'it was delivered at {delivered_at}, attempt {attempt}', NULL],
  ['dead_letter', NULL, 'operator', 'give_up', 'none',
   'it was given up after attempt {attempt}: {failure}',
   'SELECT fn_iu_route_dead_letter_replay({letter}, session_user, ''reason''), or without sending it: '
   'SELECT fn_iu_route_dead_letter_resolve({letter}, session_user, ''reason'')'],
  ['resolved', NULL, 'nobody', 'done', 'none',
   'it was given up, and resolved by {resolved_by}: {resolution}', NULL]]);

CREATE FUNCTION iu.fn_iu_route_circuit_facts(p_route_code text) RETURNS jsonb
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_at public.iu_route_circuit;
BEGIN
  SELECT * INTO v_at FROM public.iu_route_circuit c WHERE c.route_code = p_route_code;
  v_at.next_at := v_at.next_at + iu_core.clock_moved();
  RETURN jsonb_build_object('until', date_trunc('second', v_at.next_at)::text, 'failures', v_at.failures,
    'last_failure', v_at.last_failure)
    || CASE WHEN v_at.state = 'half_open' THEN jsonb_build_object('sentence',
         format('the circuit of the route is half-open: one delivery is being tried until %s, after %s failed attempts '
                'in a row, the last %s', date_trunc('second', v_at.next_at), v_at.failures, v_at.last_failure))
       ELSE '{}' END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_circuit_facts IS
  'For fn_iu_route_refusal: what is said of the circuit of a route that is not closed.';

CREATE FUNCTION iu.fn_iu_route_refusal(p_route_code text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_code  constant text := iu.fn_iu_delivery_refusal(p_route_code);
  v_route public.iu_outbound_route;
  v_facts jsonb;
  v_arm   text;
BEGIN
  IF v_code IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  v_facts := jsonb_build_object('route', p_route_code, 'kind', v_route.target_kind, 'target', v_route.target_ref,
    'secret', v_route.secret_ref, 'credential', iu.fn_iu_route_credential_problem(v_route.request_headers),
    'certificate', CASE v_code WHEN 'certificate_missing' THEN
       iu_core.certificate_problem(v_route.target_ref, v_route.ca_name, v_route.client_name) END)
    || CASE v_code
         WHEN 'circuit_open' THEN iu.fn_iu_route_circuit_facts(p_route_code)
         WHEN 'function_refused' THEN
           jsonb_build_object('sentence', iu.fn_iu_route_target_refusal(v_route.target_kind, v_route.target_ref))
         WHEN 'origin_not_allowed' THEN
           jsonb_build_object('sentence', iu.fn_iu_route_target_refusal(v_route.target_kind, v_route.target_ref))
         WHEN 'route_disabled' THEN jsonb_strip_nulls(jsonb_build_object('sentence',
           (SELECT c.sentence || ': ' || v_route.disabled_reason FROM iu.fn_iu_delivery_code(v_code) c)))
         ELSE '{}' END;
  -- What was never armed, or made a dry run since, has nowhere to go on from.
  IF v_code = 'route_disabled'
     AND (v_route.dry_run OR NOT EXISTS (SELECT FROM public.iu_route_position p WHERE p.route_code = p_route_code)) THEN
    v_arm := iu.fn_iu_delivery_answer('route_not_armed', v_facts) ->> 'next_action';
  END IF;
  RETURN iu.fn_iu_delivery_answer(v_code, v_facts)
    || CASE WHEN v_arm IS NULL THEN '{}' ELSE jsonb_build_object('next_action', v_arm) END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_refusal IS
  'NULL if the route may deliver now, otherwise {code, sentence, next_action} of what fn_iu_delivery_refusal '
  'names. Where next_action is a call, what begins with SELECT can be pasted; put your reason, and the id of the '
  'approval, in its place.';

CREATE FUNCTION iu.fn_iu_route_address_refusal(p_detail text) RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN iu.fn_iu_delivery_answer('address_refused', jsonb_strip_nulls(jsonb_build_object('sentence', p_detail)));
COMMENT ON FUNCTION iu.fn_iu_route_address_refusal IS
  '{code, sentence, next_action} of a delivery that is held because its host has an address that may not be '
  'connected to, as the sender found out.';
