-- The view's functions run with the rights of iu_core_owner, who reads it: so
-- nobody with fewer rights may be able to change it, a view that it reads, or a
-- function that they call. One that is SECURITY DEFINER runs with its owner's.
CREATE FUNCTION iu.fn_iu_view_problem(p_view_name text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_view  regclass;
  v_alien record;
BEGIN
  BEGIN
    v_view := to_regclass(p_view_name);
  EXCEPTION WHEN invalid_name OR syntax_error OR feature_not_supported THEN
    NULL;
  END;
  IF v_view IS NULL THEN
    RETURN format('there is no view %s', coalesce(quote_literal(p_view_name), 'NULL'));
  ELSIF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = v_view AND c.relkind IN ('v', 'm')) THEN
    RETURN format('%s is not a view', p_view_name);
  END IF;
  WITH RECURSIVE used (classid, objid) AS (
    SELECT 'pg_class'::regclass::oid, v_view::oid
    UNION
    SELECT CASE d.refclassid WHEN 'pg_operator'::regclass THEN 'pg_proc'::regclass ELSE d.refclassid END, coalesce(o.oprcode, d.refobjid)
      FROM used u
      JOIN pg_class c ON u.classid = 'pg_class'::regclass AND c.oid = u.objid AND c.relkind = 'v'
      JOIN pg_rewrite w ON w.ev_class = c.oid
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                      AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass)
      LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid)
  SELECT pg_describe_object(u.classid, u.objid, 0) AS name, r.rolname INTO v_alien
    FROM used u
    LEFT JOIN pg_class c ON u.classid = 'pg_class'::regclass AND c.oid = u.objid AND c.relkind IN ('v', 'm')
    LEFT JOIN pg_proc p ON u.classid = 'pg_proc'::regclass AND p.oid = u.objid AND NOT p.prosecdef
    JOIN pg_roles r ON r.oid = coalesce(c.relowner, p.proowner)
   WHERE NOT r.rolsuper AND r.rolname <> 'iu_core_owner'
   ORDER BY u.objid <> v_view, u.classid, u.objid LIMIT 1;
  IF FOUND THEN
    RETURN format('%s belongs to %s, not to iu_core_owner or a superuser: what it calls would run with the rights of iu_core_owner',
                  v_alien.name, v_alien.rolname);
  ELSIF NOT (has_table_privilege('iu_core_owner', v_view, 'SELECT')
             AND (SELECT has_schema_privilege('iu_core_owner', c.relnamespace, 'USAGE') FROM pg_class c WHERE c.oid = v_view)) THEN
    RETURN format('iu_core_owner may not read view %s', p_view_name);
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_view_problem IS
  'NULL if a view may be read as iu_core_owner, for an invariant or a surface, otherwise why not, in words: it '
  'must exist, be a view or materialized view, be readable for iu_core_owner, and belong to iu_core_owner or a '
  'superuser, as must the views that it reads and the functions that they call (but for those of SECURITY '
  'DEFINER). Argument: its qualified name. Raises nothing.';

CREATE FUNCTION iu.fn_iu_invariant_problem(p_view_name text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem text := iu.fn_iu_view_problem(p_view_name);
BEGIN
  IF v_problem IS NOT NULL THEN
    RETURN v_problem;
  ELSIF (SELECT count(*) FROM pg_attribute a
          WHERE a.attrelid = to_regclass(p_view_name) AND a.attnum > 0 AND a.attname IN ('left_value', 'right_value')) <> 2 THEN
    RETURN format('view %s has not both columns, left_value and right_value', p_view_name);
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_problem IS
  'NULL if a view may be an invariant, otherwise why not, in words: what fn_iu_view_problem says, or left_value '
  'and right_value are not both there. Argument: its qualified name. Raises nothing.';

CREATE FUNCTION iu.fn_iu_invariant_put(p_invariant public.iu_invariant) RETURNS text
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem  text := iu.fn_iu_invariant_problem((p_invariant).view_name);
  v_relation regclass;
  v_before   public.iu_invariant;
BEGIN
  IF v_problem IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = format('%s', v_problem),
      DETAIL = 'An invariant is a view with left_value and right_value in one row, or with key, left_value and right_value in a row for each key.';
  END IF;
  v_relation := to_regclass(p_invariant.view_name);
  BEGIN
    EXECUTE format('SELECT v.left_value = v.right_value FROM %s AS v WHERE false', v_relation);
  EXCEPTION WHEN undefined_function OR ambiguous_function OR indeterminate_collation OR collation_mismatch THEN
    RAISE check_violation USING
      MESSAGE = format('left_value and right_value of view %s cannot be compared', v_relation),
      DETAIL = SQLERRM;
  END;
  SELECT format('%I.%I', n.nspname, c.relname) INTO p_invariant.view_name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = v_relation;
  SELECT i.* INTO v_before FROM public.iu_invariant i WHERE i.invariant_code = p_invariant.invariant_code FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO public.iu_invariant SELECT (p_invariant).*;
    INSERT INTO public.iu_invariant_state (invariant_code, next_at)
      VALUES (p_invariant.invariant_code, CASE WHEN p_invariant.every_seconds IS NOT NULL THEN clock_timestamp() END);
    PERFORM iu_core.wake();
    RETURN 'registered';
  END IF;
  IF v_before.migration IS DISTINCT FROM p_invariant.migration THEN
    RAISE duplicate_object USING
      MESSAGE = format('invariant "%s" belongs to %s', v_before.invariant_code, coalesce('migration ' || v_before.migration, v_before.registered_by)),
      HINT = 'Give another code.';
  ELSIF (v_before.meaning, v_before.view_name, v_before.severity, v_before.tolerance, v_before.settle_seconds, v_before.every_seconds, v_before.timeout_ms)
     IS NOT DISTINCT FROM (p_invariant.meaning, p_invariant.view_name, p_invariant.severity, p_invariant.tolerance, p_invariant.settle_seconds,
                           p_invariant.every_seconds, p_invariant.timeout_ms) THEN
    RETURN 'unchanged';
  END IF;
  UPDATE public.iu_invariant
     SET meaning = p_invariant.meaning, view_name = p_invariant.view_name, severity = p_invariant.severity, tolerance = p_invariant.tolerance,
         settle_seconds = p_invariant.settle_seconds, every_seconds = p_invariant.every_seconds, timeout_ms = p_invariant.timeout_ms,
         registered_by = p_invariant.registered_by, session_role = session_user, reason = p_invariant.reason, registered_at = clock_timestamp()
   WHERE invariant_code = p_invariant.invariant_code;
  -- What it found as it was says nothing of it as it is.
  UPDATE public.iu_invariant_state
     SET verdict = NULL, verdict_since = NULL, checked_at = NULL, last_pass_at = NULL, differs_since = NULL, logged_at = NULL, run_seq = NULL,
         next_at = CASE WHEN p_invariant.every_seconds IS NOT NULL AND v_before.enabled THEN clock_timestamp() END
   WHERE invariant_code = p_invariant.invariant_code;
  DELETE FROM public.iu_invariant_key WHERE invariant_code = p_invariant.invariant_code;
  PERFORM iu_core.wake();
  RETURN 'changed';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_put IS
  'For registration: makes or changes an invariant; a change forgets what it found before. Returns registered, '
  'changed or unchanged. SQLSTATE 23514: what fn_iu_invariant_problem says, = does not compare the two, or a '
  'value out of range; 42710: it belongs to a migration, or to another one.';

CREATE FUNCTION iu.fn_iu_invariant_define(
    p_migration integer, p_code text, p_view regclass, p_meaning text, p_severity text DEFAULT 'critical', p_tolerance numeric DEFAULT 0,
    p_settle_seconds integer DEFAULT 0, p_every_seconds integer DEFAULT NULL, p_timeout_ms integer DEFAULT 10000)
  RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_invariant_put(ROW(p_code, p_meaning, p_view::text, p_severity, p_tolerance, p_settle_seconds, p_every_seconds, p_timeout_ms,
    true, p_migration, format('migration %s', lpad(p_migration::text, 3, '0')), session_user, p_meaning, clock_timestamp())::public.iu_invariant);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_define IS
  'For migrations: brings an invariant: number of the migration, code, view, meaning, severity (critical, '
  'warning), tolerance, settle window in s, how often in s (NULL: on demand), longest time in ms. Errors: as '
  'fn_iu_invariant_put.';

CREATE FUNCTION iu.fn_iu_invariant_undefine(p_migration integer) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_demanded text;
BEGIN
  SELECT string_agg(format('gate "%s" demands "%s"', d.gate_key, d.invariant_code), ', ') INTO v_demanded
    FROM public.iu_gate_demand d JOIN public.iu_invariant i ON i.invariant_code = d.invariant_code WHERE i.migration = p_migration;
  IF v_demanded IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('rollback refused: a gate demands an invariant of migration %s', p_migration),
      DETAIL = v_demanded,
      HINT = 'An administrator takes the demand back with fn_iu_gate_demand_unset.';
  END IF;
  DELETE FROM public.iu_invariant WHERE migration = p_migration;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_undefine IS
  'For rollbacks: removes the invariants of a migration; what their checks found stays in the log. SQLSTATE '
  '55006: a gate demands one.';

CREATE FUNCTION iu.fn_iu_invariant_log(p_command text, p_subject text, p_actor text, p_reason text, p_evidence jsonb) RETURNS uuid
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'this is done by somebody for a reason',
      HINT = 'Give p_actor and p_reason, or p_purpose.';
  END IF;
  RETURN iu.fn_dot_iu_command_log(p_command, 'health', 'apply', 'applied', true, md5(coalesce(p_subject, '')), iu.fn_iu_gate_snapshot(),
    jsonb_build_object('reason', p_reason) || coalesce(p_evidence, '{}'), p_actor);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_log IS
  'Logs a command on an invariant, a demand, a surface or a change window, with the gates as they stand. Returns '
  'the run_id. SQLSTATE 23514 without actor or reason.';

CREATE FUNCTION iu.fn_iu_invariant_register(
    p_code text, p_view regclass, p_meaning text, p_actor text, p_reason text, p_severity text,
    p_tolerance numeric, p_settle_seconds integer, p_every_seconds integer, p_timeout_ms integer)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_field  text;
  v_status text;
  v_run_id uuid;
BEGIN
  SELECT f.rule INTO v_field FROM (VALUES
      (1, 'an invariant has a code: 1 to 120 small letters, digits, "_", ".", ":" or "-"', p_code ~ '^[a-z][a-z0-9_.:-]{0,119}$'),
      (2, 'an invariant has a meaning: say what holds while it passes', btrim(p_meaning) <> ''),
      (3, 'severity is critical or warning', p_severity IN ('critical', 'warning')),
      (4, 'tolerance is a number, 0 or more', p_tolerance >= 0 AND p_tolerance < 'Infinity'),
      (5, 'p_settle_seconds is from 0 to 604800', p_settle_seconds BETWEEN 0 AND 604800),
      (6, 'p_every_seconds is from 1 to 604800, or NULL', p_every_seconds IS NULL OR p_every_seconds BETWEEN 1 AND 604800),
      (7, 'p_timeout_ms is from 1 to 60000', p_timeout_ms BETWEEN 1 AND 60000)) AS f (number, rule, ok)
   WHERE f.ok IS NOT TRUE ORDER BY f.number LIMIT 1;
  IF FOUND THEN
    RAISE check_violation USING
      MESSAGE = format('%s', v_field);
  END IF;
  v_run_id := iu.fn_iu_invariant_log('dot_iu_invariant_register', p_code, p_actor, p_reason,
    jsonb_build_object('invariant_code', p_code, 'view', p_view::text, 'severity', p_severity, 'tolerance', p_tolerance,
      'settle_seconds', p_settle_seconds, 'every_seconds', p_every_seconds, 'timeout_ms', p_timeout_ms));
  v_status := iu.fn_iu_invariant_put(ROW(p_code, p_meaning, p_view::text, p_severity, p_tolerance, p_settle_seconds, p_every_seconds,
    p_timeout_ms, true, NULL, p_actor, session_user, p_reason, clock_timestamp())::public.iu_invariant);
  RETURN jsonb_build_object('status', v_status, 'invariant_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_register IS
  'What public.fn_iu_invariant_register hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_invariant_register(
    p_code text, p_view regclass, p_meaning text, p_actor text, p_reason text, p_severity text DEFAULT 'critical',
    p_tolerance numeric DEFAULT 0, p_settle_seconds integer DEFAULT 0, p_every_seconds integer DEFAULT NULL, p_timeout_ms integer DEFAULT 10000)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_invariant_register(p_code, p_view, p_meaning, p_actor, p_reason, p_severity, p_tolerance, p_settle_seconds, p_every_seconds, p_timeout_ms) END;
COMMENT ON FUNCTION public.fn_iu_invariant_register IS
  'Registers a view as an invariant, or changes one that was registered, and logs it: code, view, meaning, who, '
  'why, severity (critical, warning), tolerance, settle window in s (0 to 604800), how often the runner checks it '
  'in s (1 to 604800; NULL: on demand only), longest time of a reading in ms (1 to 60000). A change forgets what '
  'it found before. Returns {status: registered | changed | unchanged, invariant_code, run_id}. SQLSTATE 23514: a '
  'value out of range, actor or reason missing, or a view that cannot be an invariant; 42710: it belongs to a '
  'migration.';

CREATE FUNCTION iu.fn_iu_invariant_enable(p_code text, p_enabled boolean, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_every  integer;
  v_run_id uuid;
BEGIN
  IF p_enabled IS NULL THEN
    RAISE check_violation USING
      MESSAGE = 'an invariant is enabled or not';
  END IF;
  v_run_id := iu.fn_iu_invariant_log('dot_iu_invariant_enable', p_code, p_actor, p_reason,
    jsonb_build_object('invariant_code', p_code, 'enabled', p_enabled));
  UPDATE public.iu_invariant SET enabled = p_enabled WHERE invariant_code = p_code RETURNING every_seconds INTO v_every;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('invariant "%s" is not registered', coalesce(p_code, ''));
  END IF;
  UPDATE public.iu_invariant_state SET next_at = CASE WHEN p_enabled AND v_every IS NOT NULL THEN clock_timestamp() END WHERE invariant_code = p_code;
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', CASE WHEN p_enabled THEN 'enabled' ELSE 'disabled' END, 'invariant_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_enable IS
  'What public.fn_iu_invariant_enable hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_invariant_enable(p_code text, p_enabled boolean, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_invariant_enable(p_code, p_enabled, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_invariant_enable IS
  'Enables or disables an invariant, one of a migration too, and logs it: code, whether, who, why. One that is '
  'disabled is not scheduled, is no part of a check of all, and keeps a gate shut that demands it. Returns '
  '{status: enabled | disabled, invariant_code, run_id}. SQLSTATE 42704: not registered; 23514: NULL, actor or '
  'reason missing.';

CREATE FUNCTION iu.fn_iu_invariant_unregister(p_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariant public.iu_invariant;
  v_gates     text;
  v_run_id    uuid;
BEGIN
  v_run_id := iu.fn_iu_invariant_log('dot_iu_invariant_unregister', p_code, p_actor, p_reason, jsonb_build_object('invariant_code', p_code));
  SELECT i.* INTO v_invariant FROM public.iu_invariant i WHERE i.invariant_code = p_code FOR UPDATE;
  SELECT string_agg(d.gate_key, ', ' ORDER BY d.gate_key) INTO v_gates FROM public.iu_gate_demand d WHERE d.invariant_code = p_code;
  IF v_invariant.invariant_code IS NULL THEN
    RAISE undefined_object USING
      MESSAGE = format('invariant "%s" is not registered', coalesce(p_code, ''));
  ELSIF v_invariant.migration IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('invariant "%s" belongs to migration %s', p_code, v_invariant.migration),
      HINT = 'fn_iu_invariant_enable disables it.';
  ELSIF v_gates IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('invariant "%s" is demanded by gates', p_code),
      DETAIL = format('Gates: %s.', v_gates),
      HINT = 'An administrator takes the demand back with fn_iu_gate_demand_unset.';
  END IF;
  DELETE FROM public.iu_invariant WHERE invariant_code = p_code;
  RETURN jsonb_build_object('status', 'unregistered', 'invariant_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_unregister IS
  'What public.fn_iu_invariant_unregister hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_invariant_unregister(p_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_invariant_unregister(p_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_invariant_unregister IS
  'Forgets an invariant that somebody registered, and logs it; the log of its checks stays. Code, who, why. '
  'Returns {status: unregistered, invariant_code, run_id}. SQLSTATE 42704: not registered; 55006: it belongs to a '
  'migration, or a gate demands it; 23514: actor or reason missing.';
