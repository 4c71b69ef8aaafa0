-- Registering invariants: by migrations, and by administrators.

CREATE FUNCTION iu.fn_iu_invariant_require_view(p_view_name text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem  CONSTANT text := iu.fn_iu_invariant_problem(p_view_name);
  v_relation CONSTANT regclass := CASE WHEN v_problem IS NULL THEN to_regclass(p_view_name) END;
BEGIN
  IF v_problem IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = v_problem, CONSTRAINT = 'iu_invariant_view',
      DETAIL = 'An invariant is a view with left_value and right_value in one row, or with key, left_value and '
        'right_value in a row for each key.';
  END IF;
  BEGIN
    PERFORM iu_core.read_with_no_rights(
      format('SELECT to_jsonb(v.left_value = v.right_value) FROM %s AS v WHERE false', v_relation));
  EXCEPTION WHEN undefined_function OR ambiguous_function OR indeterminate_collation OR collation_mismatch THEN
    RAISE check_violation USING
      MESSAGE = format('left_value and right_value of view %s cannot be compared', v_relation),
      DETAIL = SQLERRM, HINT = 'Cast both to one type.', CONSTRAINT = 'iu_invariant_comparable';
  END;
  RETURN (SELECT format('%I.%I', n.nspname, c.relname)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = v_relation);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_require_view IS
  'The qualified name of a view that may be an invariant. Argument: its name. Errors: 23514, what '
  'fn_iu_invariant_problem says, or = does not compare the two.';

CREATE FUNCTION iu.fn_iu_invariant_add(p_invariant public.iu_invariant) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO public.iu_invariant SELECT (p_invariant).*;
  INSERT INTO public.iu_invariant_state (invariant_code, next_at)
    VALUES ((p_invariant).invariant_code,
            CASE WHEN (p_invariant).enabled AND (p_invariant).every_seconds IS NOT NULL THEN clock_timestamp() END);
END;
COMMENT ON FUNCTION iu.fn_iu_invariant_add IS
  'For fn_iu_invariant_put: a new invariant, and that it was never checked. Errors: 23514 a value out of range.';

CREATE FUNCTION iu.fn_iu_invariant_change(p_invariant public.iu_invariant) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  -- Whether it is enabled stays as it is: that is an administrator's decision.
  UPDATE public.iu_invariant i
     SET meaning = p_invariant.meaning, view_name = p_invariant.view_name, severity = p_invariant.severity,
         tolerance = p_invariant.tolerance, settle_seconds = p_invariant.settle_seconds,
         every_seconds = p_invariant.every_seconds, timeout_ms = p_invariant.timeout_ms,
         registered_by = p_invariant.registered_by, session_role = session_user, reason = p_invariant.reason,
         registered_at = clock_timestamp()
   WHERE i.invariant_code = p_invariant.invariant_code
   RETURNING i.enabled INTO p_invariant.enabled;
  -- What a check found of the invariant as it was says nothing of it as it is now.
  UPDATE public.iu_invariant_state s
     SET verdict = NULL, verdict_since = NULL, checked_at = NULL, last_pass_at = NULL, differs_since = NULL,
         logged_at = NULL, run_seq = NULL,
         next_at = CASE WHEN p_invariant.enabled AND p_invariant.every_seconds IS NOT NULL THEN clock_timestamp() END
   WHERE s.invariant_code = p_invariant.invariant_code;
  DELETE FROM public.iu_invariant_key k WHERE k.invariant_code = p_invariant.invariant_code;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_change IS
  'For fn_iu_invariant_put: changes an invariant and forgets what its checks found before; whether it is enabled '
  'stays. Errors: 23514 a value out of range.';

CREATE FUNCTION iu.fn_iu_invariant_put(p_invariant public.iu_invariant) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_before public.iu_invariant;
BEGIN
  p_invariant.view_name := iu.fn_iu_invariant_require_view(p_invariant.view_name);
  SELECT i.* INTO v_before FROM public.iu_invariant i WHERE i.invariant_code = p_invariant.invariant_code FOR UPDATE;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_invariant_add(p_invariant);
    PERFORM iu_core.wake();
    RETURN 'registered';
  ELSIF v_before.migration IS DISTINCT FROM p_invariant.migration THEN
    RAISE duplicate_object USING
      MESSAGE = format('invariant "%s" belongs to %s', v_before.invariant_code,
                       coalesce('migration ' || v_before.migration, v_before.registered_by)),
      DETAIL = format('Invariant: %s; owner: %s.',
                      v_before.invariant_code, coalesce('migration ' || v_before.migration, v_before.registered_by)),
      HINT = 'Give another code.', CONSTRAINT = 'iu_invariant_owner';
  ELSIF (v_before.meaning, v_before.view_name, v_before.severity, v_before.tolerance, v_before.settle_seconds,
         v_before.every_seconds, v_before.timeout_ms)
     IS NOT DISTINCT FROM (p_invariant.meaning, p_invariant.view_name, p_invariant.severity, p_invariant.tolerance,
                           p_invariant.settle_seconds, p_invariant.every_seconds, p_invariant.timeout_ms) THEN
    RETURN 'unchanged';
  END IF;
  PERFORM iu.fn_iu_invariant_change(p_invariant);
  PERFORM iu_core.wake();
  RETURN 'changed';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_put IS
  'For registration: makes or changes an invariant; a change forgets what it found before. Returns registered, '
  'changed or unchanged. SQLSTATE 23514: as fn_iu_invariant_require_view, or a value out of range; 42710: it belongs '
  'to a migration, or to another one.';

CREATE FUNCTION iu.fn_iu_invariant_define(
    p_migration integer, p_code text, p_view regclass, p_meaning text, p_severity text DEFAULT 'critical',
    p_tolerance numeric DEFAULT 0, p_settle_seconds integer DEFAULT 0, p_every_seconds integer DEFAULT NULL,
    p_timeout_ms integer DEFAULT 10000, p_enabled boolean DEFAULT true)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_invariant_put(ROW(
    p_code, p_meaning, p_view::text, p_severity, p_tolerance, p_settle_seconds, p_every_seconds, p_timeout_ms,
    p_enabled, p_migration, format('migration %s', lpad(p_migration::text, 3, '0')), session_user, p_meaning,
    clock_timestamp())::public.iu_invariant);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_define IS
  'For migrations: brings an invariant: number of the migration, code, view, meaning, severity (critical, '
  'warning), tolerance, settle window in s, how often in s (NULL: on demand), longest time in ms, and whether it is '
  'enabled from the start (one over a foreign table that nobody has made yet is not). Errors: as '
  'fn_iu_invariant_put.';

CREATE FUNCTION iu.fn_iu_invariant_undefine(p_migration integer) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_demanded text;
BEGIN
  SELECT string_agg(format('gate "%s" demands "%s"', d.gate_key, d.invariant_code), ', ') INTO v_demanded
    FROM public.iu_gate_demand d JOIN public.iu_invariant i ON i.invariant_code = d.invariant_code
   WHERE i.migration = p_migration;
  IF v_demanded IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('rollback refused: a gate demands an invariant of migration %s', p_migration),
      DETAIL = v_demanded, CONSTRAINT = 'iu_rollback_invariant_demanded',
      HINT = 'An administrator takes the demand back with fn_iu_gate_demand_unset.';
  END IF;
  DELETE FROM public.iu_invariant WHERE migration = p_migration;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_undefine IS
  'For rollbacks: removes the invariants of a migration; what their checks found stays in the log. SQLSTATE '
  '55006: a gate demands one.';

CREATE FUNCTION iu.fn_iu_invariant_register(
    p_code text, p_view regclass, p_meaning text, p_actor text, p_reason text, p_severity text,
    p_tolerance numeric, p_settle_seconds integer, p_every_seconds integer, p_timeout_ms integer)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_status text;
  v_run_id uuid;
BEGIN
  PERFORM iu.fn_iu_require_value(p_code ~ '^[a-z][a-z0-9_.:-]{0,119}$', 'iu_invariant_code', 'p_code',
    '1 to 120 small letters, digits, "_", ".", ":" or "-", with a letter first', p_code);
  PERFORM iu.fn_iu_require_text('iu_invariant_meaning', 'p_meaning',
    'a sentence that says what holds while the invariant passes', p_meaning, true);
  PERFORM iu.fn_iu_require_value(p_severity IN ('critical', 'warning'), 'iu_invariant_severity', 'p_severity',
    'critical or warning', p_severity);
  PERFORM iu.fn_iu_require_value(p_tolerance >= 0 AND p_tolerance < 'Infinity', 'iu_invariant_tolerance',
    'p_tolerance', 'a number, 0 or more', p_tolerance::text);
  PERFORM iu.fn_iu_require_value(p_settle_seconds BETWEEN 0 AND 604800, 'iu_invariant_settle_seconds',
    'p_settle_seconds', 'from 0 to 604800', p_settle_seconds::text);
  PERFORM iu.fn_iu_require_value(coalesce(p_every_seconds, 1) BETWEEN 1 AND 604800, 'iu_invariant_every_seconds',
    'p_every_seconds', 'from 1 to 604800, or NULL', p_every_seconds::text);
  PERFORM iu.fn_iu_require_value(p_timeout_ms BETWEEN 1 AND 60000, 'iu_invariant_timeout_ms', 'p_timeout_ms',
    'from 1 to 60000', p_timeout_ms::text);
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_invariant_register', 'invariant_code', p_code, 'applied', p_actor,
    p_reason, jsonb_build_object('view', p_view::text, 'severity', p_severity, 'tolerance', p_tolerance,
      'settle_seconds', p_settle_seconds, 'every_seconds', p_every_seconds, 'timeout_ms', p_timeout_ms));
  v_status := iu.fn_iu_invariant_put(ROW(
    p_code, p_meaning, p_view::text, p_severity, p_tolerance, p_settle_seconds, p_every_seconds, p_timeout_ms, true,
    NULL, p_actor, session_user, p_reason, clock_timestamp())::public.iu_invariant);
  RETURN jsonb_build_object('status', v_status, 'invariant_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_register IS
  'What public.fn_iu_invariant_register hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_invariant_register(
    p_code text, p_view regclass, p_meaning text, p_actor text, p_reason text, p_severity text DEFAULT 'critical',
    p_tolerance numeric DEFAULT 0, p_settle_seconds integer DEFAULT 0, p_every_seconds integer DEFAULT NULL,
    p_timeout_ms integer DEFAULT 10000)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_invariant_register(p_code, p_view, p_meaning, p_actor, p_reason, p_severity, p_tolerance,
                              p_settle_seconds, p_every_seconds, p_timeout_ms) END;
COMMENT ON FUNCTION public.fn_iu_invariant_register IS
  'Registers a view as an invariant, or changes one that was registered, and logs it: code, view, meaning, who, '
  'why, severity (critical, warning), tolerance, settle window in s (0 to 604800), how often the runner checks it '
  'in s (1 to 604800; NULL: on demand only), longest time of a reading in ms (1 to 60000). A change forgets what '
  'it found before. Returns {status: registered | changed | unchanged, invariant_code, run_id}. SQLSTATE 23514: a '
  'value out of range, actor or reason missing, or a view that cannot be an invariant; 42710: it belongs to a '
  'migration.';

CREATE FUNCTION iu.fn_iu_invariant_enable(p_code text, p_enabled boolean, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_status CONSTANT text := CASE WHEN p_enabled THEN 'enabled' ELSE 'disabled' END;
  v_before public.iu_invariant;
  v_run_id uuid;
BEGIN
  PERFORM iu.fn_iu_require_value(p_enabled IS NOT NULL, 'iu_invariant_enabled', 'p_enabled', 'true or false', NULL);
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_invariant_enable', 'invariant_code', p_code, 'applied', p_actor,
    p_reason, jsonb_build_object('enabled', p_enabled));
  SELECT i.* INTO v_before FROM public.iu_invariant i WHERE i.invariant_code = p_code FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('invariant "%s" is not registered', coalesce(p_code, '')),
      DETAIL = format('Invariant: %s.', coalesce(p_code, '')),
      HINT = 'v_iu_invariant lists them.', CONSTRAINT = 'iu_invariant_unknown';
  END IF;
  UPDATE public.iu_invariant SET enabled = p_enabled WHERE invariant_code = p_code;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_invariant i WHERE i.invariant_code = p_code AND i.enabled = p_enabled),
    'public.iu_invariant', 'enabling or disabling the invariant');
  -- Of one that was disabled nobody was told what a check found: its next verdict is another one than before.
  UPDATE public.iu_invariant_state s
     SET next_at = CASE WHEN p_enabled AND v_before.every_seconds IS NOT NULL THEN clock_timestamp() END,
         verdict = CASE WHEN v_before.enabled THEN s.verdict END,
         verdict_since = CASE WHEN v_before.enabled THEN s.verdict_since END
   WHERE s.invariant_code = p_code;
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', v_status, 'invariant_code', p_code, 'run_id', v_run_id);
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
  'disabled is not scheduled, is no part of a check of all, and keeps a gate shut that demands it; enabled again it is '
  'unknown until it is checked. Returns {status: enabled | disabled, invariant_code, run_id}. SQLSTATE 42704: not '
  'registered; 23514: NULL, actor or reason missing.';

CREATE FUNCTION iu.fn_iu_invariant_unregister(p_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariant public.iu_invariant;
  v_gates     text;
  v_run_id    uuid;
BEGIN
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_invariant_unregister', 'invariant_code', p_code, 'applied', p_actor,
    p_reason, NULL);
  SELECT i.* INTO v_invariant FROM public.iu_invariant i WHERE i.invariant_code = p_code FOR UPDATE;
  SELECT string_agg(d.gate_key, ', ' ORDER BY d.gate_key) INTO v_gates
    FROM public.iu_gate_demand d WHERE d.invariant_code = p_code;
  IF v_invariant.invariant_code IS NULL THEN
    RAISE undefined_object USING
      MESSAGE = format('invariant "%s" is not registered', coalesce(p_code, '')),
      DETAIL = format('Invariant: %s.', coalesce(p_code, '')),
      HINT = 'v_iu_invariant lists them.', CONSTRAINT = 'iu_invariant_unknown';
  ELSIF v_invariant.migration IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('invariant "%s" belongs to migration %s', p_code, v_invariant.migration),
      DETAIL = format('Invariant: %s; migration: %s.', p_code, v_invariant.migration),
      HINT = 'fn_iu_invariant_enable disables it.', CONSTRAINT = 'iu_invariant_of_migration';
  ELSIF v_gates IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('invariant "%s" is demanded by gates', p_code),
      DETAIL = format('Gates: %s.', v_gates), CONSTRAINT = 'iu_invariant_demanded',
      HINT = 'An administrator takes the demand back with fn_iu_gate_demand_unset.';
  END IF;
  DELETE FROM public.iu_invariant WHERE invariant_code = p_code;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.iu_invariant i WHERE i.invariant_code = p_code),
    'public.iu_invariant', 'unregistering the invariant');
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
