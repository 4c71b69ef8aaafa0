-- 007 routes in operation: arming one, letting a copy deliver, handing an event
-- over, and the answers to "what is waiting?" and "why did this not go out?".

CREATE FUNCTION iu.fn_iu_route_refusal(p_route_code text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_code  text := iu.fn_iu_delivery_refusal(p_route_code);
  v_route public.iu_outbound_route;
  v_at    public.iu_route_circuit;
  v_why   text;
  v_do    text;
BEGIN
  IF v_code IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  SELECT * INTO v_at FROM public.iu_route_circuit WHERE route_code = p_route_code;
  SELECT w.why, w.act INTO v_why, v_do FROM (VALUES
    ('master_gate_closed', 'the master switch iu_core.routes_master_enabled is off',
      'SELECT fn_iu_switch_set(''iu_core.routes_master_enabled'', ''true'', session_user, ''reason'')'),
    ('worker_gate_closed', 'the switch iu_core.route_worker_enabled is off',
      'SELECT fn_iu_switch_set(''iu_core.route_worker_enabled'', ''true'', session_user, ''reason'')'),
    ('delivery_gate_closed', 'the gate iu_core.delivery_enabled is closed',
      'SELECT fn_iu_gate_open(''iu_core.delivery_enabled'', ''id of the approval'', session_user, ''reason'', 300)'),
    ('route_unknown', 'the route is not registered', 'register it with fn_iu_route_add'),
    ('route_retired', 'the route is retired', 'register another with fn_iu_route_add'),
    ('route_not_allowlisted', 'the route is not on the allowlist iu_core.delivery_live_routes',
      format('SELECT fn_iu_route_allow(%L, session_user, ''reason'')', p_route_code)),
    ('target_kind_not_supported', format('routes of kind %s are not carried by the sender', v_route.target_kind),
      'use external_endpoint, directus_flow or sql_function'),
    ('function_refused', iu.fn_iu_route_function_refusal(v_route.target_ref),
      format('after a look at what it does: SELECT fn_iu_route_function_register(%L, session_user, ''reason'')', v_route.target_ref)),
    ('origin_not_allowed', iu_core.egress_refusal(v_route.target_ref),
      'a superuser adds the origin to iu_core.allowed_origins and reloads the server'),
    ('route_disabled', concat_ws(': ', 'the route is not enabled', v_route.disabled_reason),
      format(CASE WHEN EXISTS (SELECT FROM public.iu_route_position p WHERE p.route_code = p_route_code) AND NOT v_route.dry_run
        THEN 'SELECT fn_iu_route_resume(%L, session_user, ''reason'')' ELSE 'SELECT fn_iu_route_arm(%L, session_user, ''reason'')' END, p_route_code)),
    ('route_dry_run', 'the route is a dry run', format('SELECT fn_iu_route_arm(%L, session_user, ''reason'')', p_route_code)),
    ('route_not_armed', 'the route was never armed', format('SELECT fn_iu_route_arm(%L, session_user, ''reason'')', p_route_code)),
    ('position_foreign', 'the position of the route belongs to another database: this one is a copy',
      format('if this database shall deliver, and the original no longer does: SELECT fn_iu_route_confirm_position(%L, session_user, ''reason'')', p_route_code)),
    ('secret_missing', format('no signing secret of "%s" is valid now', v_route.secret_ref),
      format('SELECT fn_iu_route_secret_add(%L, session_user, ''reason'')', v_route.secret_ref)),
    ('circuit_open', format(CASE v_at.state WHEN 'half_open' THEN 'the circuit of the route is half-open: one delivery is being tried until %s, after %s failed attempts in a row, the last %s'
        ELSE 'the circuit of the route is open until %s, after %s failed attempts in a row, the last %s' END,
        date_trunc('second', v_at.next_at), v_at.failures, v_at.last_failure),
      format('one delivery is tried then, and a success closes it; at once: SELECT fn_iu_route_circuit_close(%L, session_user, ''reason'')', p_route_code)))
    AS w (code, why, act) WHERE w.code = v_code;
  RETURN jsonb_build_object('code', v_code, 'sentence', v_why, 'next_action', v_do);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_refusal IS
  'NULL if the route may deliver now, otherwise {code, sentence, next_action} of what fn_iu_delivery_refusal '
  'names. Where next_action is a call, what begins with SELECT can be pasted; put your reason, and the id of the '
  'approval, in its place.';

CREATE FUNCTION iu.fn_iu_route_address_refusal(p_detail text) RETURNS jsonb
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object('code', 'address_refused',
  'sentence', coalesce(p_detail, 'the address is not public and not in iu_core.allowed_networks'),
  'next_action', 'a superuser adds the network to iu_core.allowed_networks and reloads the server; it is tried again within a minute');
COMMENT ON FUNCTION iu.fn_iu_route_address_refusal IS
  '{code, sentence, next_action} of a delivery that is held because its host has an address that may not be '
  'connected to, as the sender found out.';
