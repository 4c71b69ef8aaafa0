-- Whether a route may deliver now, and whether a lease may be sent.

-- Registered functions come with migration 014; before it, none may be called.
CREATE FUNCTION iu.fn_iu_route_target_refusal(p_target_kind text, p_target_ref text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_target_kind <> 'sql_function' THEN
    RETURN iu_core.egress_refusal(p_target_ref);
  ELSIF to_regprocedure('iu.fn_iu_route_function_refusal(text)') IS NULL THEN
    RETURN format('function "%s" is not registered', p_target_ref);
  END IF;
  RETURN iu.fn_iu_route_function_refusal(p_target_ref);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_target_refusal IS
  'NULL if a route of a kind that is carried may have this target now, otherwise why not, in words: its function is '
  'not registered, its origin not allowed. Arguments: target kind and target of the route.';

CREATE FUNCTION iu.fn_iu_delivery_refusal(p_route_code text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route public.iu_outbound_route;
  v_place uuid;
BEGIN
  IF NOT iu.fn_iu_place_is_home() THEN
    RETURN 'place_not_confirmed';
  ELSIF NOT iu.fn_iu_core_routes_enabled() THEN
    RETURN 'master_gate_closed';
  ELSIF NOT iu.fn_iu_route_worker_enabled() THEN
    RETURN 'worker_gate_closed';
  ELSIF NOT iu_core.gate_is_open('iu_core.delivery_enabled') THEN
    RETURN 'delivery_gate_closed';
  END IF;
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  IF NOT FOUND THEN
    RETURN 'route_unknown';
  ELSIF v_route.retired_at IS NOT NULL THEN
    RETURN 'route_retired';
  ELSIF NOT iu.fn_iu_delivery_is_live_route(p_route_code) THEN
    RETURN 'route_not_allowlisted';
  ELSIF v_route.target_kind NOT IN ('external_endpoint', 'directus_flow', 'sql_function') THEN
    RETURN 'target_kind_not_supported';
  ELSIF iu.fn_iu_route_target_refusal(v_route.target_kind, v_route.target_ref) IS NOT NULL THEN
    RETURN CASE v_route.target_kind WHEN 'sql_function' THEN 'function_refused' ELSE 'origin_not_allowed' END;
  ELSIF NOT v_route.enabled THEN
    RETURN 'route_disabled';
  ELSIF v_route.dry_run THEN
    RETURN 'route_dry_run';
  END IF;
  SELECT p.place INTO v_place FROM public.iu_route_position p WHERE p.route_code = p_route_code;
  IF NOT FOUND THEN
    RETURN 'route_not_armed';
  ELSIF v_place IS DISTINCT FROM iu_core.place() THEN
    RETURN 'position_foreign';
  ELSIF v_route.target_kind <> 'sql_function'
        AND NOT EXISTS (SELECT FROM public.iu_route_secret s
                         WHERE s.secret_ref = v_route.secret_ref AND iu.fn_iu_route_secret_is_valid(s)) THEN
    RETURN 'secret_missing';
  ELSIF v_route.request_headers <> '{}' AND iu.fn_iu_route_credential_problem(v_route.request_headers) IS NOT NULL THEN
    RETURN 'credential_missing';
  ELSIF coalesce(v_route.ca_name, v_route.client_name) IS NOT NULL
        AND iu_core.certificate_problem(v_route.target_ref, v_route.ca_name, v_route.client_name) IS NOT NULL THEN
    RETURN 'certificate_missing';
  ELSIF EXISTS (SELECT FROM public.iu_route_circuit c
                 WHERE c.route_code = p_route_code AND c.next_at > iu_core.steady_clock()) THEN
    RETURN 'circuit_open';
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_refusal IS
  'NULL if the route may deliver now, otherwise the code of the first closed switch, gate, list or rule: '
  'place_not_confirmed, master_gate_closed, worker_gate_closed, delivery_gate_closed, route_unknown, route_retired, '
  'route_not_allowlisted, target_kind_not_supported, function_refused, origin_not_allowed, route_disabled, '
  'route_dry_run, route_not_armed, position_foreign, secret_missing, credential_missing, certificate_missing, '
  'circuit_open, in the order of iu_delivery_code.precedence. Asked at each claim and, through fn_iu_delivery_check, '
  'before each send. See fn_iu_route_refusal for what to do.';

-- A lease that nears its end may be another sender's before an answer comes.
CREATE FUNCTION iu.fn_iu_delivery_check(p_lease_id bigint, p_lease_generation integer) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route text;
  v_code  text;
  v_probe bigint;
BEGIN
  SELECT l.route_code INTO v_route
    FROM public.iu_route_lease l JOIN public.iu_outbound_route r ON r.route_code = l.route_code
   WHERE l.lease_id = p_lease_id AND l.generation = p_lease_generation
     AND l.expires_at > iu_core.steady_clock() + make_interval(secs => r.timeout_ms / 1000.0);
  IF NOT FOUND THEN
    RETURN 'lease_lost';
  END IF;
  v_code := iu.fn_iu_delivery_refusal(v_route);
  IF coalesce(v_code, 'circuit_open') = 'circuit_open' THEN  -- of a circuit that was open, only the probe goes out
    SELECT c.probe_lease INTO v_probe FROM public.iu_route_circuit c
     WHERE c.route_code = v_route AND c.state <> 'closed';
    v_code := CASE WHEN FOUND AND v_probe IS DISTINCT FROM p_lease_id THEN 'circuit_open' END;
  END IF;
  RETURN v_code;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_check IS
  'Asked right before the deliveries of a lease are sent: NULL, or the code of fn_iu_delivery_refusal, or '
  'lease_lost where the lease is another sender''s by now or ends before an answer could come; then nothing more '
  'of it may be sent.';
