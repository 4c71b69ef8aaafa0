CREATE FUNCTION iu.fn_iu_route_dry_run(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_route_log('dot_iu_route_dry_run', p_route_code, p_actor, p_reason, NULL);
  UPDATE public.iu_outbound_route SET enabled = true, dry_run = true, disabled_reason = NULL
   WHERE route_code = p_route_code AND retired_at IS NULL;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('route "%s" is not registered, or retired', coalesce(p_route_code, ''));
  END IF;
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

CREATE FUNCTION iu.fn_iu_route_test(
    p_route_code text, p_event_id uuid, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route   public.iu_outbound_route;
  v_event   public.event_outbox;
  v_at      public.iu_route_position;
  v_http    boolean;
  v_until   constant timestamptz := (SELECT c.next_at FROM public.iu_route_circuit c WHERE c.route_code = p_route_code AND c.next_at > clock_timestamp());
  v_refusal constant text := iu.fn_iu_delivery_refusal(p_route_code);
  v_broken  text;
  v_error   text;
  v_request jsonb;
  v_checks  jsonb;
  v_result  jsonb;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  SELECT * INTO v_event FROM public.event_outbox WHERE id = p_event_id;
  SELECT * INTO v_at FROM public.iu_route_position WHERE route_code = p_route_code;
  v_http := v_route.target_kind IN ('external_endpoint', 'directus_flow');
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

  -- In the order of fn_iu_delivery_refusal, but none hides another. NULL: it cannot be told.
  SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('check', c.code, 'detail', c.detail)) || jsonb_build_object('ok', c.ok) ORDER BY c.n)
    INTO v_checks
    FROM (VALUES
      (1, 'master_gate_closed', iu.fn_iu_core_routes_enabled(), NULL),
      (2, 'worker_gate_closed', iu.fn_iu_route_worker_enabled(), NULL),
      (3, 'delivery_gate_closed', iu_core.gate_is_open('iu_core.delivery_enabled'), NULL),
      (4, 'route_unknown', v_route.id IS NOT NULL, NULL),
      (5, 'route_retired', CASE WHEN v_route.id IS NOT NULL THEN v_route.retired_at IS NULL END, v_route.disabled_reason),
      (6, 'route_not_allowlisted', CASE WHEN v_route.id IS NOT NULL THEN v_route.route_code = ANY (iu.fn_iu_delivery_live_routes()) END, NULL),
      (7, 'target_kind_not_supported', CASE WHEN v_route.id IS NOT NULL THEN v_http OR v_route.target_kind = 'sql_function' END, v_route.target_kind),
      (8, 'function_refused', CASE WHEN v_route.target_kind = 'sql_function' THEN iu.fn_iu_route_function_refusal(v_route.target_ref) IS NULL END,
        CASE WHEN v_route.target_kind = 'sql_function' THEN iu.fn_iu_route_function_refusal(v_route.target_ref) END),
      (9, 'origin_not_allowed', CASE WHEN v_http THEN iu_core.egress_refusal(v_route.target_ref) IS NULL END,
        CASE WHEN v_http THEN iu_core.egress_refusal(v_route.target_ref) END),
      (10, 'route_disabled', v_route.enabled, v_route.disabled_reason),
      (11, 'route_dry_run', NOT v_route.dry_run, NULL),
      (12, 'route_not_armed', CASE WHEN v_route.id IS NOT NULL THEN v_at.route_code IS NOT NULL END, NULL),
      (13, 'position_foreign', v_at.system_identifier = iu_core.system_identifier() AND v_at.database_oid = iu_core.database_oid(), NULL),
      (14, 'secret_missing', (v_request #>> '{headers,webhook-signature}') <> 'missing', v_request #>> '{headers,webhook-signature}'),
      (15, 'circuit_open', CASE WHEN v_route.id IS NOT NULL THEN v_until IS NULL END, 'open until ' || v_until),
      (16, 'event_unknown', v_event.id IS NOT NULL, NULL),
      (17, 'event_not_on_route', (v_event.event_domain, v_event.event_type) = (v_route.event_domain, v_route.event_type),
        v_event.event_domain || '.' || v_event.event_type),
      (18, 'payload_restricted', v_event.payload_classification = 'safe_metadata', v_event.payload_classification),
      (19, 'contract', CASE WHEN v_request IS NOT NULL THEN v_broken IS NULL END, v_broken),
      (20, 'request', CASE WHEN v_error IS NOT NULL THEN false WHEN v_request IS NOT NULL THEN true END, v_error),
      (21, 'address_refused', NULL, 'found out by connecting')) AS c (n, code, ok, detail);
  IF v_refusal IS NOT NULL AND NOT jsonb_path_exists(v_checks, '$[*] ? (@.check == $code)', jsonb_build_object('code', v_refusal)) THEN
    v_checks := v_checks || jsonb_build_object('check', v_refusal, 'ok', false);	-- e.g. one that another migration brought
  END IF;
  v_result := jsonb_build_object('route_code', p_route_code, 'event_id', p_event_id,
    'verdict', coalesce((SELECT x ->> 'check' FROM jsonb_array_elements(v_checks) WITH ORDINALITY AS e (x, n)
                          WHERE x -> 'ok' = 'false' ORDER BY n LIMIT 1), 'would_send'), 'checks', v_checks);
  PERFORM iu.fn_iu_route_log('dot_iu_route_test', p_route_code, p_actor, p_reason, v_result);
  RETURN v_result || jsonb_build_object('next_action', iu.fn_iu_route_refusal(p_route_code) ->> 'next_action', 'request', v_request);
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
  'event_not_on_route, payload_restricted, contract, request, address_refused; ok is null where it cannot be '
  'told. Whether the event went out already is told by fn_iu_route_explain. SQLSTATE 23514: actor or reason empty.';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_worker_run', 'health', true,  false, ARRAY['fn_iu_route_worker_run']),
  ('dot_iu_route_dry_run',    'health', true,  true,  ARRAY['fn_iu_route_dry_run']),
  ('dot_iu_route_test',       'health', false, true,  ARRAY['fn_iu_route_test']);
