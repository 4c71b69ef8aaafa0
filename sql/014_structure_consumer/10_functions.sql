-- 014: registered functions as targets of routes, of which the structure consumer
-- is the first.
--
-- A route of kind sql_function names a function of schema public with the
-- arguments (uuid, jsonb): the event and its payload. Only what is registered
-- is called, and only as it was when it was registered. The call and its record
-- are one transaction of the runner (bgworker/runner.c), so that a delivery takes
-- effect exactly once.

CREATE TABLE public.iu_route_function (
  function_name text        NOT NULL PRIMARY KEY,
  digest        text        NOT NULL,
  registered_by text        NOT NULL,
  session_role  name        NOT NULL DEFAULT session_user,
  reason        text        NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_route_function_name_chk CHECK (function_name ~ '^[a-z_][a-z0-9_]{0,62}$'),
  CONSTRAINT iu_route_function_by_chk CHECK (btrim(registered_by) <> '' AND btrim(reason) <> '')
);
COMMENT ON TABLE public.iu_route_function IS
  'The functions that routes of kind sql_function may call, each as it was when it was registered. Written by '
  'fn_iu_route_function_register and _unregister only.';
COMMENT ON COLUMN public.iu_route_function.function_name IS
  'Its name in schema public; its arguments are (uuid, jsonb)';
COMMENT ON COLUMN public.iu_route_function.digest IS
  'Of its definition and owner: changed, it is not called until it is registered anew';
COMMENT ON COLUMN public.iu_route_function.registered_by IS 'Who registered it, as told by the caller';
COMMENT ON COLUMN public.iu_route_function.session_role IS 'Login role of who registered it';
COMMENT ON COLUMN public.iu_route_function.reason IS 'Why';
COMMENT ON COLUMN public.iu_route_function.registered_at IS 'When, by the clock';

CREATE FUNCTION iu.fn_iu_route_function_digest(p_function_name text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT md5(pg_get_functiondef(p.oid) || pg_get_userbyid(p.proowner)) FROM pg_proc p
         WHERE p.oid = to_regprocedure(format('public.%I(uuid, jsonb)', coalesce(p_function_name, '')))
           AND p.prokind = 'f');
COMMENT ON FUNCTION iu.fn_iu_route_function_digest IS
  'Digest of the definition and the owner of public.NAME(uuid, jsonb); NULL where there is none. Raises nothing.';

-- The runner calls a registered function with the rights of its owner, who is no
-- superuser, whether or not it is SECURITY DEFINER.
CREATE FUNCTION iu.fn_iu_route_function_problem(p_function_name text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT CASE
    WHEN f.name !~ '^[a-z_][a-z0-9_]{0,62}$' THEN 'its name is not 1 to 63 small letters, digits and "_"'
    WHEN p.oid IS NULL THEN format('there is no function public.%s(uuid, jsonb)', f.name)
    WHEN p.prokind <> 'f' OR p.proretset THEN 'it is not a function that returns one value'
    WHEN r.rolsuper THEN format('its owner %s is a superuser', r.rolname)
    WHEN NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c (setting) WHERE c.setting LIKE 'search_path=%')
      THEN 'its search_path is not pinned (SET search_path = pg_catalog, pg_temp)'
    WHEN EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE a.grantee = 0)
      THEN 'PUBLIC may call it'
    WHEN NOT has_function_privilege('iu_core_owner', p.oid, 'EXECUTE') THEN 'iu_core_owner may not call it' END
  FROM (SELECT coalesce(p_function_name, '') AS name) AS f
  LEFT JOIN pg_proc p ON p.oid = to_regprocedure(format('public.%I(uuid, jsonb)', f.name))
  LEFT JOIN pg_roles r ON r.oid = p.proowner);
COMMENT ON FUNCTION iu.fn_iu_route_function_problem IS
  'NULL if public.NAME(uuid, jsonb) may be registered as a target, otherwise why not: it must exist, return one '
  'value, have a pinned search_path, belong to a role that is not a superuser, be callable for iu_core_owner and not '
  'for PUBLIC. Raises nothing.';

CREATE FUNCTION iu.fn_iu_route_function_refusal(p_target_ref text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT CASE
    WHEN f.function_name IS NULL THEN format('function "%s" is not registered', p_target_ref)
    WHEN iu.fn_iu_route_function_problem(p_target_ref) IS NOT NULL
      THEN format('function "%s" may not be called: %s', p_target_ref, iu.fn_iu_route_function_problem(p_target_ref))
    WHEN f.digest IS DISTINCT FROM iu.fn_iu_route_function_digest(p_target_ref)
      THEN format('function "%s" was changed since it was registered', p_target_ref) END
  FROM (VALUES (p_target_ref)) AS t (name) LEFT JOIN public.iu_route_function f ON f.function_name = t.name);
COMMENT ON FUNCTION iu.fn_iu_route_function_refusal IS
  'NULL if a route of kind sql_function may call this function, otherwise why not, in words: it is not '
  'registered, fn_iu_route_function_problem has something against it, or it is not the one that was registered.';

CREATE FUNCTION iu.fn_iu_route_function_register(p_function_name text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem constant text := iu.fn_iu_route_function_problem(p_function_name);
  v_digest  constant text := iu.fn_iu_route_function_digest(p_function_name);
  v_is_new  boolean;
BEGIN
  IF v_problem IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = format('function "%s" cannot be registered: %s', coalesce(p_function_name, ''), v_problem),
      DETAIL = format('Function: %s; problem: %s.', coalesce(p_function_name, ''), v_problem),
      CONSTRAINT = 'iu_route_function_problem';
  END IF;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_function_register', 'function', p_function_name, 'applied', p_actor,
    p_reason, jsonb_build_object('digest', v_digest));
  INSERT INTO public.iu_route_function AS f (function_name, digest, registered_by, reason)
    VALUES (p_function_name, v_digest, p_actor, p_reason)
    ON CONFLICT (function_name) DO UPDATE
      SET digest = excluded.digest, registered_by = excluded.registered_by, session_role = excluded.session_role,
          reason = excluded.reason, registered_at = excluded.registered_at
    WHERE f.digest <> excluded.digest;
  v_is_new := FOUND;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_route_function f WHERE f.function_name = p_function_name AND f.digest = v_digest),
    'public.iu_route_function', 'registering the function');
  IF NOT v_is_new THEN
    RETURN jsonb_build_object('status', 'unchanged', 'function_name', p_function_name, 'digest', v_digest);
  END IF;
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', 'registered', 'function_name', p_function_name, 'digest', v_digest);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_function_register IS
  'What public.fn_iu_route_function_register hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_function_register(p_function_name text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_route_function_register(p_function_name, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_function_register IS
  'Puts a function on the list of those that routes may call, as it is now, and logs it: a change of it has to be '
  'registered again. Name of a function (uuid, jsonb) in schema public, who, why. Returns {status: registered | '
  'unchanged, function_name, digest}. SQLSTATE 23514: what fn_iu_route_function_problem says, or actor or reason '
  'missing.';

CREATE FUNCTION iu.fn_iu_route_function_unregister(p_function_name text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_function_unregister', 'function', p_function_name, 'applied',
    p_actor, p_reason, NULL);
  DELETE FROM public.iu_route_function WHERE function_name = p_function_name;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('function "%s" is not registered', coalesce(p_function_name, '')),
      DETAIL = format('Function: %s.', coalesce(p_function_name, '')),
      HINT = 'iu_route_function has the list.', CONSTRAINT = 'iu_route_function_unknown';
  END IF;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.iu_route_function f WHERE f.function_name = p_function_name),
    'public.iu_route_function', 'unregistering the function');
  RETURN jsonb_build_object('status', 'unregistered', 'function_name', p_function_name);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_function_unregister IS
  'What public.fn_iu_route_function_unregister hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_function_unregister(p_function_name text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_route_function_unregister(p_function_name, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_function_unregister IS
  'Takes a function off the list and logs it; from the commit on the deliveries of its routes are held. Name, '
  'who, why. Returns {status: unregistered, function_name}. SQLSTATE 42704: not registered; 23514: actor or '
  'reason missing.';
