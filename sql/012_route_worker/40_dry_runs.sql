-- Dry runs by hand: of a route, and of one event on a route.

CREATE FUNCTION iu.fn_iu_route_dry_run(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_dry_run', 'route_code', p_route_code, 'applied', p_actor, p_reason,
    NULL);
  UPDATE public.iu_outbound_route SET enabled = true, dry_run = true, disabled_reason = NULL
   WHERE route_code = p_route_code AND retired_at IS NULL;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_route_not_there(p_route_code);
  END IF;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code AND enabled AND dry_run),
    'public.iu_outbound_route', 'making the route a dry run');
  RETURN jsonb_build_object('status', 'dry_run', 'route_code', p_route_code);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_dry_run IS
  'What public.fn_iu_route_dry_run hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_dry_run(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_dry_run(p_route_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_dry_run IS
  'Makes a route a dry run and logs it: from now on its events become attempts with what would be sent, and '
  'nothing leaves. Needs no allowlist and no gate. A live route stops sending; what it was about to try stays '
  'held until it is armed again; what it had not come to is passed over then, unless p_start_at reaches back. '
  'Returns {status: dry_run, route_code}. SQLSTATE 42704: not registered or retired; 23514: actor or reason '
  'missing.';

CREATE FUNCTION iu.fn_iu_route_test_checks(p_route public.iu_outbound_route, p_event public.event_outbox,
    p_request jsonb, p_broken text, p_error text)
  RETURNS TABLE (code text, ok boolean, detail text)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_known   constant boolean := p_route.id IS NOT NULL;
  v_http    constant boolean := p_route.target_kind IN ('external_endpoint', 'directus_flow');
  v_target  constant text := CASE WHEN v_http OR p_route.target_kind = 'sql_function'
                                  THEN iu.fn_iu_route_target_refusal(p_route.target_kind, p_route.target_ref) END;
  v_signed  constant text := p_request #>> '{headers,webhook-signature}';
  v_gone    constant text := iu.fn_iu_route_credential_problem(p_route.request_headers);
  v_lost    constant text := iu_core.certificate_problem(p_route.target_ref, p_route.ca_name, p_route.client_name);
  v_filter  record;
  v_at      public.iu_route_position;
  v_circuit timestamptz;
BEGIN
  SELECT * INTO v_at FROM public.iu_route_position p WHERE p.route_code = p_route.route_code;
  SELECT c.next_at INTO v_circuit FROM public.iu_route_circuit c
   WHERE c.route_code = p_route.route_code AND c.next_at > iu_core.steady_clock();
  v_filter := iu.fn_iu_filter_verdict(p_route.payload_filter, p_event.safe_payload);
  RETURN QUERY VALUES
    ('place_not_confirmed', iu.fn_iu_place_is_home(), iu.fn_iu_place_trouble()),
    ('master_gate_closed', iu.fn_iu_core_routes_enabled(), NULL),
    ('worker_gate_closed', iu.fn_iu_route_worker_enabled(), NULL),
    ('delivery_gate_closed', iu_core.gate_is_open('iu_core.delivery_enabled'), NULL),
    ('route_unknown', v_known, NULL),
    ('route_retired', CASE WHEN v_known THEN p_route.retired_at IS NULL END, p_route.disabled_reason),
    ('route_not_allowlisted', CASE WHEN v_known THEN p_route.route_code = ANY (iu.fn_iu_delivery_live_routes()) END,
      NULL),
    ('target_kind_not_supported', CASE WHEN v_known THEN v_http OR p_route.target_kind = 'sql_function' END,
      p_route.target_kind),
    ('function_refused', CASE WHEN p_route.target_kind = 'sql_function' THEN v_target IS NULL END,
      CASE WHEN p_route.target_kind = 'sql_function' THEN v_target END),
    ('origin_not_allowed', CASE WHEN v_http THEN v_target IS NULL END, CASE WHEN v_http THEN v_target END),
    ('route_disabled', p_route.enabled, p_route.disabled_reason),
    ('route_dry_run', NOT p_route.dry_run, NULL),
    ('route_not_armed', CASE WHEN v_known THEN v_at.route_code IS NOT NULL END, NULL),
    ('position_foreign', v_at.place = iu_core.place(), NULL),
    ('secret_missing', v_signed <> 'missing', v_signed),
    ('credential_missing', CASE WHEN v_known THEN v_gone IS NULL END, v_gone),
    ('certificate_missing', CASE WHEN v_known THEN v_lost IS NULL END, v_lost),
    ('circuit_open', CASE WHEN v_known THEN v_circuit IS NULL END, 'open until ' || v_circuit),
    ('event_unknown', p_event.id IS NOT NULL, NULL),
    ('event_not_on_route',
      CASE WHEN v_known AND p_event.id IS NOT NULL
           THEN iu.fn_iu_route_carries(p_route.route_code, p_event.event_domain, p_event.event_type) END,
      p_event.event_domain || '.' || p_event.event_type),
    ('payload_restricted', p_event.payload_classification = 'safe_metadata', p_event.payload_classification),
    ('filtered', CASE WHEN p_request IS NOT NULL THEN coalesce(v_filter.passes, false) END,
      coalesce(v_filter.problem, p_route.payload_filter)),
    ('contract', CASE WHEN p_request IS NOT NULL THEN p_broken IS NULL END, p_broken),
    ('request', CASE WHEN p_error IS NOT NULL THEN false WHEN p_request IS NOT NULL THEN true END, p_error),
    ('address_refused', NULL, 'found out by connecting');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_test_checks IS
  'For fn_iu_route_test: every check, none of which hides another: code, ok (NULL: it cannot be told), detail. '
  'Arguments: route, event, what would be sent, what breaks the contract, the error of making the request.';

CREATE FUNCTION iu.fn_iu_route_test(
    p_route_code text, p_event_id uuid, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route   public.iu_outbound_route;
  v_event   public.event_outbox;
  v_refusal constant text := iu.fn_iu_delivery_refusal(p_route_code);
  v_broken  text;
  v_error   text;
  v_request jsonb;
  v_checks  jsonb;
  v_result  jsonb;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  SELECT * INTO v_event FROM public.event_outbox WHERE id = p_event_id;
  IF v_route.id IS NOT NULL AND v_event.id IS NOT NULL THEN
    BEGIN
      IF v_route.payload_contract <> '{}' THEN
        v_broken := iu.fn_iu_payload_problem(v_route.payload_contract, v_event.safe_payload);
      END IF;
      v_request := iu.fn_iu_delivery_request(v_route, v_event, 0);
    EXCEPTION WHEN OTHERS THEN
      v_error := SQLERRM;
    END;
  END IF;

  SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('check', c.code, 'detail', c.detail))
                   || jsonb_build_object('ok', c.ok) ORDER BY d.precedence)
    INTO v_checks
    FROM iu.fn_iu_route_test_checks(v_route, v_event, v_request, v_broken, v_error) c
    JOIN public.iu_delivery_code d ON d.code = c.code;
  -- A refusal that is none of the checks, such as one that another migration brought, counts as well.
  IF v_refusal IS NOT NULL
     AND NOT jsonb_path_exists(v_checks, '$[*] ? (@.check == $code)', jsonb_build_object('code', v_refusal)) THEN
    v_checks := v_checks || jsonb_build_object('check', v_refusal, 'ok', false);
  END IF;
  v_result := jsonb_build_object('route_code', p_route_code, 'event_id', p_event_id, 'checks', v_checks, 'verdict',
    coalesce((SELECT x ->> 'check' FROM jsonb_array_elements(v_checks) WITH ORDINALITY AS e (x, n)
               WHERE x -> 'ok' = 'false' ORDER BY n LIMIT 1), 'would_send'));
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_test', 'route_code', p_route_code, 'verified', p_actor, p_reason,
    v_result - 'route_code');
  RETURN v_result || jsonb_build_object('next_action', iu.fn_iu_route_refusal(p_route_code) ->> 'next_action',
    'request', v_request);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_test IS
  'What public.fn_iu_route_test hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_test(
    p_route_code text, p_event_id uuid, p_actor text DEFAULT session_user, p_reason text DEFAULT 'test')
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_test(p_route_code, p_event_id, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_test IS
  'A dry run of one event on one route, by hand, logged, that writes no attempt: {route_code, event_id, verdict: '
  'would_send or the first check that failed, checks: [{check, ok, detail}], next_action, request as in '
  'fn_iu_delivery_request}. The checks are all made, in the order of fn_iu_delivery_refusal, then event_unknown, '
  'event_not_on_route, payload_restricted, filtered, contract, request, address_refused; ok is null where it cannot be '
  'told. Whether the event went out already is told by fn_iu_route_explain. SQLSTATE 23514: actor or reason empty.';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_worker_run', 'health', true,  false, ARRAY['fn_iu_route_worker_run']),
  ('dot_iu_route_dry_run',    'health', true,  true,  ARRAY['fn_iu_route_dry_run']),
  ('dot_iu_route_test',       'health', false, true,  ARRAY['fn_iu_route_test']);
