-- 005 routes: where events may be carried. A route is registered by one logged
-- call and carries nothing until it is on the allowlist and armed (006).

INSERT INTO public.dot_config (key, value, description) VALUES
  ('iu_core.route_worker_enabled', 'false', 'switch: off, no route is worked on'),
  ('iu_core.delivery_live_routes', '', 'allowlist: comma-separated route codes that may deliver; empty, none');

INSERT INTO public.iu_switch_registry (switch_key, meaning) VALUES
  ('iu_core.route_worker_enabled', 'off: no route is worked on; events are emitted and wait');

-- The switch and the allowlist are read in plpgsql, which keeps its plans for the
-- session, because both are asked before each send.
CREATE FUNCTION iu.fn_iu_route_worker_enabled() RETURNS boolean
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM public.dot_config WHERE key = 'iu_core.route_worker_enabled' AND value = 'true');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_enabled IS
  'What public.fn_iu_route_worker_enabled hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_worker_enabled() RETURNS boolean
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN
  iu.fn_iu_route_worker_enabled() END;
COMMENT ON FUNCTION public.fn_iu_route_worker_enabled IS
  'Whether the switch iu_core.route_worker_enabled is on; false where its row is missing.';

CREATE FUNCTION iu.fn_iu_delivery_live_routes() RETURNS text[]
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN ARRAY(SELECT btrim(r.code)
                 FROM public.dot_config c, string_to_table(c.value, ',') WITH ORDINALITY AS r (code, n)
                WHERE c.key = 'iu_core.delivery_live_routes' AND btrim(r.code) <> '' ORDER BY r.n);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_live_routes IS
  'What public.fn_iu_delivery_live_routes hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_delivery_live_routes() RETURNS text[]
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN
  iu.fn_iu_delivery_live_routes() END;
COMMENT ON FUNCTION public.fn_iu_delivery_live_routes IS
  'The route codes of the allowlist iu_core.delivery_live_routes; none where its row is missing.';

-- The list may have the codes of many routes, and is asked for each of them: it is
-- searched as it is, and taken apart only where the code is not found.
CREATE FUNCTION iu.fn_iu_delivery_is_live_route(p_route_code text) RETURNS boolean
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_list constant text := (SELECT c.value FROM public.dot_config c WHERE c.key = 'iu_core.delivery_live_routes');
BEGIN
  RETURN coalesce(strpos(',' || v_list || ',', ',' || p_route_code || ',') > 0, false)
         OR p_route_code = ANY (iu.fn_iu_delivery_live_routes());
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_is_live_route IS
  'Whether the allowlist iu_core.delivery_live_routes has this code; false where its row is missing.';
