-- 008: invariants: what must agree, as views with a left and a right value.
--
-- A check has three answers. Only two values that were read and agree are a
-- pass; only two that were read and have differed for longer than the settle
-- window are a fail; everything else is unknown: a remote that failed, a view
-- that is gone, a NULL, time that ran out, a difference that is still young.
--
-- A view is read in a subtransaction that is always rolled back: what it locked
-- is free again before the next one is asked, and what it wrote is undone. First
-- everything is read, then everything is recorded, so that nothing recorded is
-- locked while a remote is waited for.

SELECT iu_core.guard_absent('table', 'iu_invariant', 'iu_invariant_state', 'iu_invariant_key', 'iu_invariant_run', 'iu_gate_demand');
SELECT iu_core.guard_absent('view', 'v_iu_invariant', 'v_iu_invariant_watermark');
SELECT iu_core.guard_absent('function', 'fn_iu_view_problem(text)', 'fn_iu_invariant_problem(text)', 'fn_iu_invariant_put(public.iu_invariant)',
  'fn_iu_invariant_define(integer,text,regclass,text,text,numeric,integer,integer,integer)', 'fn_iu_invariant_undefine(integer)',
  'fn_iu_invariant_register(text,regclass,text,text,text,text,numeric,integer,integer,integer)',
  'fn_iu_invariant_enable(text,boolean,text,text)', 'fn_iu_invariant_unregister(text,text,text)',
  'fn_iu_invariant_log(text,text,text,text,jsonb)', 'fn_iu_read(text,integer)', 'fn_iu_invariant_measure(public.iu_invariant,text)',
  'fn_iu_invariant_record(public.iu_invariant,public.iu_invariant_run)', 'fn_iu_invariant_check_as(text[],text)',
  'fn_iu_invariant_check(text)', 'fn_iu_schedule_turn(text)', 'fn_iu_gate_demand_set(text,text,integer,text,text)',
  'fn_iu_gate_demand_unset(text,text,text,text)');

DO $guard$
BEGIN
  IF to_regprocedure('public.fn_iu_gate_demands(text)') IS NULL THEN
    RAISE EXCEPTION 'migration 008 needs migration 003' USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
END
$guard$;

-- What must hold ---------------------------------------------------------------

CREATE TABLE public.iu_invariant (
  invariant_code text        NOT NULL PRIMARY KEY,
  meaning        text        NOT NULL,
  view_name      text        NOT NULL,
  severity       text        NOT NULL DEFAULT 'critical',
  tolerance      numeric     NOT NULL DEFAULT 0,
  settle_seconds integer     NOT NULL DEFAULT 0,
  every_seconds  integer,
  timeout_ms     integer     NOT NULL DEFAULT 10000,
  enabled        boolean     NOT NULL DEFAULT true,
  migration      integer,
  registered_by  text        NOT NULL,
  session_role   name        NOT NULL DEFAULT session_user,
  reason         text        NOT NULL,
  registered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_invariant_code_chk CHECK (invariant_code ~ '^[a-z][a-z0-9_.:-]{0,119}$'),
  CONSTRAINT iu_invariant_meaning_chk CHECK (btrim(meaning) <> '' AND btrim(registered_by) <> '' AND btrim(reason) <> ''),
  CONSTRAINT iu_invariant_severity_chk CHECK (severity IN ('critical', 'warning')),
  CONSTRAINT iu_invariant_tolerance_chk CHECK (tolerance >= 0 AND tolerance < 'Infinity'),
  CONSTRAINT iu_invariant_settle_chk CHECK (settle_seconds BETWEEN 0 AND 604800),
  CONSTRAINT iu_invariant_every_chk CHECK (every_seconds BETWEEN 1 AND 604800),
  CONSTRAINT iu_invariant_timeout_chk CHECK (timeout_ms BETWEEN 1 AND 60000)
);
COMMENT ON TABLE public.iu_invariant IS
  'What must agree. Each invariant is a view of one of two shapes, told apart by its columns. Two values: left_value and right_value, one row. Keys: key, left_value, right_value, one row for each key that either side has; NULL on the side that does not have it, such as a FULL JOIN gives; any other value, such as 1 or a digest, where it has. A key has at most 1000 bytes as text. Left and right must be comparable by =; more columns do no harm. Written by fn_iu_invariant_register and its kin, and by migrations. (design: Invariants and change windows)';
COMMENT ON COLUMN public.iu_invariant.invariant_code IS 'Its name: 1 to 120 small letters, digits, "_", ".", ":", "-"';
COMMENT ON COLUMN public.iu_invariant.meaning IS 'What holds while it passes, in a sentence';
COMMENT ON COLUMN public.iu_invariant.view_name IS 'The view, qualified; it, the views that it reads and the functions that they call belong to iu_core_owner or a superuser';
COMMENT ON COLUMN public.iu_invariant.severity IS 'critical or warning: whether the verdict of a change window falls with it';
COMMENT ON COLUMN public.iu_invariant.tolerance IS 'Difference that is still a pass: of numbers left minus right, either way; of keys how many differ';
COMMENT ON COLUMN public.iu_invariant.settle_seconds IS
  'Lag that is allowed, 0 to 604800 s: a difference is unknown until it has lasted so long; of keys, each for itself';
COMMENT ON COLUMN public.iu_invariant.every_seconds IS 'How often the runner checks it, 1 to 604800 s; NULL: on demand only';
COMMENT ON COLUMN public.iu_invariant.timeout_ms IS 'Longest time of one reading, 1 to 60000 ms; beyond it the answer is unknown';
COMMENT ON COLUMN public.iu_invariant.enabled IS 'false: neither scheduled nor part of a check of all; a gate that demands it stays shut';
COMMENT ON COLUMN public.iu_invariant.migration IS 'The migration that brought it; NULL: somebody registered it';
COMMENT ON COLUMN public.iu_invariant.registered_by IS 'Who registered it, as told by the caller';
COMMENT ON COLUMN public.iu_invariant.session_role IS 'Login role of who registered it';
COMMENT ON COLUMN public.iu_invariant.reason IS 'Why';
COMMENT ON COLUMN public.iu_invariant.registered_at IS 'When it was registered as it is now, by the clock';

CREATE TABLE public.iu_invariant_state (
  invariant_code    text        NOT NULL PRIMARY KEY REFERENCES public.iu_invariant ON DELETE CASCADE,
  verdict           text,
  verdict_since     timestamptz,
  checked_at        timestamptz,
  last_pass_at      timestamptz,
  differs_since     timestamptz,
  logged_at         timestamptz,
  run_seq           bigint,
  checks            bigint      NOT NULL DEFAULT 0,
  next_at           timestamptz,
  system_identifier bigint,
  database_oid      oid,
  CONSTRAINT iu_invariant_state_verdict_chk CHECK (verdict IN ('pass', 'fail', 'unknown'))
);
COMMENT ON TABLE public.iu_invariant_state IS
  'What the last check of an invariant found, as it is registered now. Read v_iu_invariant. (design: Invariants and change windows)';
COMMENT ON COLUMN public.iu_invariant_state.verdict IS 'Of the last check; NULL: never checked as it is registered now';
COMMENT ON COLUMN public.iu_invariant_state.verdict_since IS 'When a check first found that verdict, without another in between';
COMMENT ON COLUMN public.iu_invariant_state.checked_at IS 'When the last check began to read, by the clock';
COMMENT ON COLUMN public.iu_invariant_state.last_pass_at IS 'When the last check that passed began to read';
COMMENT ON COLUMN public.iu_invariant_state.differs_since IS 'When a difference beyond the tolerance was first seen that has been there since; NULL: none';
COMMENT ON COLUMN public.iu_invariant_state.logged_at IS 'When a check was last written to iu_invariant_run';
COMMENT ON COLUMN public.iu_invariant_state.run_seq IS 'The row of iu_invariant_run that has what the last check found';
COMMENT ON COLUMN public.iu_invariant_state.checks IS 'Checks since it was registered first, those included that were not logged';
COMMENT ON COLUMN public.iu_invariant_state.next_at IS 'When the runner checks it next; NULL: not scheduled';
COMMENT ON COLUMN public.iu_invariant_state.system_identifier IS 'Of the cluster in which the last check ran: a pass of the original is none of a copy';
COMMENT ON COLUMN public.iu_invariant_state.database_oid IS 'Of the database in which the last check ran';

CREATE TABLE public.iu_invariant_key (
  invariant_code text        NOT NULL REFERENCES public.iu_invariant ON DELETE CASCADE,
  key            text COLLATE "C" NOT NULL,
  first_seen_at  timestamptz NOT NULL,
  CONSTRAINT iu_invariant_key_pkey PRIMARY KEY (invariant_code, key)
);
COMMENT ON TABLE public.iu_invariant_key IS
  'The memory of the settle window: keys that differed at the last check, and since which. Kept where settle_seconds is not 0, for at most 10000 keys an invariant. (design: Invariants and change windows)';
COMMENT ON COLUMN public.iu_invariant_key.key IS 'The key, as text';
COMMENT ON COLUMN public.iu_invariant_key.first_seen_at IS 'Start of the check that first saw it differ, with none since that did not';

CREATE TABLE public.iu_invariant_run (
  run_seq        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  invariant_code text        NOT NULL,
  verdict        text        NOT NULL,
  left_value     text,
  right_value    text,
  difference     numeric,
  keys           text[],
  keys_total     bigint,
  detail         text        NOT NULL,
  error_code     text,
  asked_by       text        NOT NULL,
  session_role   name        NOT NULL DEFAULT session_user,
  checked_at     timestamptz NOT NULL,
  ms             numeric     NOT NULL,
  CONSTRAINT iu_invariant_run_verdict_chk CHECK (verdict IN ('pass', 'fail', 'unknown')),
  CONSTRAINT iu_invariant_run_asked_chk CHECK (asked_by IN ('hand', 'schedule', 'gate', 'window'))
);
CREATE INDEX ix_iu_invariant_run_code ON public.iu_invariant_run (invariant_code, run_seq DESC);
COMMENT ON TABLE public.iu_invariant_run IS
  'Append-only log of checks: every one by hand, for a gate or a change window; of the scheduled ones those that found something else than the one before, and one an hour. (design: Invariants and change windows)';
COMMENT ON COLUMN public.iu_invariant_run.run_seq IS 'Order of recording';
COMMENT ON COLUMN public.iu_invariant_run.invariant_code IS 'The invariant; no foreign key, the log outlives it';
COMMENT ON COLUMN public.iu_invariant_run.verdict IS 'pass, fail or unknown';
COMMENT ON COLUMN public.iu_invariant_run.left_value IS 'As text; of keys: how many the left side has';
COMMENT ON COLUMN public.iu_invariant_run.right_value IS 'As text; of keys: how many the right side has';
COMMENT ON COLUMN public.iu_invariant_run.difference IS 'Left minus right; of keys: how many differ; NULL: not a number, or not known';
COMMENT ON COLUMN public.iu_invariant_run.keys IS 'The first 20 keys that differ, in order; NULL: not an invariant of keys, or not read';
COMMENT ON COLUMN public.iu_invariant_run.keys_total IS 'How many keys differ';
COMMENT ON COLUMN public.iu_invariant_run.detail IS 'Why, in words';
COMMENT ON COLUMN public.iu_invariant_run.error_code IS 'SQLSTATE of what failed; NULL: nothing did';
COMMENT ON COLUMN public.iu_invariant_run.asked_by IS 'hand, schedule, gate or window';
COMMENT ON COLUMN public.iu_invariant_run.session_role IS 'Login role that asked';
COMMENT ON COLUMN public.iu_invariant_run.checked_at IS 'When it began to read, by the clock';
COMMENT ON COLUMN public.iu_invariant_run.ms IS 'How long the reading took, in ms';

CREATE TRIGGER trg_iu_invariant_run_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_invariant_run
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_append_only();
ALTER TABLE public.iu_invariant_run ENABLE ALWAYS TRIGGER trg_iu_invariant_run_append_only;
COMMENT ON TRIGGER trg_iu_invariant_run_append_only ON public.iu_invariant_run IS 'Keeps the log append-only. (design: Invariants and change windows)';

-- Registration -----------------------------------------------------------------

-- The view's functions run with the rights of iu_core_owner, who reads it: so
-- nobody with fewer rights may be able to change it, a view that it reads, or a
-- function that they call. One that is SECURITY DEFINER runs with its owner's.
CREATE FUNCTION public.fn_iu_view_problem(p_view_name text) RETURNS text
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
COMMENT ON FUNCTION public.fn_iu_view_problem(text) IS
  'NULL if a view may be read as iu_core_owner, for an invariant or a surface, otherwise why not, in words: it must exist, be a view or materialized view, be readable for iu_core_owner, and belong to iu_core_owner or a superuser, as must the views that it reads and the functions that they call (but for those of SECURITY DEFINER). Argument: its qualified name. Raises nothing. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_invariant_problem(p_view_name text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem text := public.fn_iu_view_problem(p_view_name);
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
COMMENT ON FUNCTION public.fn_iu_invariant_problem(text) IS
  'NULL if a view may be an invariant, otherwise why not, in words: what fn_iu_view_problem says, or left_value and right_value are not both there. Argument: its qualified name. Raises nothing. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_invariant_put(p_invariant public.iu_invariant) RETURNS text
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem  text := public.fn_iu_invariant_problem((p_invariant).view_name);
  v_relation regclass;
  v_before   public.iu_invariant;
BEGIN
  IF v_problem IS NOT NULL THEN
    RAISE EXCEPTION '%', v_problem USING ERRCODE = 'check_violation',
      DETAIL = 'An invariant is a view with left_value and right_value in one row, or with key, left_value and right_value in a row for each key.';
  END IF;
  v_relation := to_regclass(p_invariant.view_name);
  BEGIN
    EXECUTE format('SELECT v.left_value = v.right_value FROM %s AS v WHERE false', v_relation);
  EXCEPTION WHEN undefined_function OR ambiguous_function OR indeterminate_collation OR collation_mismatch THEN
    RAISE EXCEPTION 'left_value and right_value of view % cannot be compared', v_relation USING ERRCODE = 'check_violation', DETAIL = SQLERRM;
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
    RAISE EXCEPTION 'invariant "%" belongs to %', v_before.invariant_code,
      coalesce('migration ' || v_before.migration, v_before.registered_by) USING ERRCODE = 'duplicate_object',
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
COMMENT ON FUNCTION public.fn_iu_invariant_put(public.iu_invariant) IS
  'For registration: makes or changes an invariant; a change forgets what it found before. Returns registered, changed or unchanged. SQLSTATE 23514: what fn_iu_invariant_problem says, = does not compare the two, or a value out of range; 42710: it belongs to a migration, or to another one. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_invariant_define(
    p_migration integer, p_code text, p_view regclass, p_meaning text, p_severity text DEFAULT 'critical', p_tolerance numeric DEFAULT 0,
    p_settle_seconds integer DEFAULT 0, p_every_seconds integer DEFAULT NULL, p_timeout_ms integer DEFAULT 10000)
  RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM public.fn_iu_invariant_put(ROW(p_code, p_meaning, p_view::text, p_severity, p_tolerance, p_settle_seconds, p_every_seconds, p_timeout_ms,
    true, p_migration, format('migration %s', lpad(p_migration::text, 3, '0')), session_user, p_meaning, clock_timestamp())::public.iu_invariant);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_invariant_define(integer, text, regclass, text, text, numeric, integer, integer, integer) IS
  'For migrations: brings an invariant: number of the migration, code, view, meaning, severity (critical, warning), tolerance, settle window in s, how often in s (NULL: on demand), longest time in ms. Errors: as fn_iu_invariant_put. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_invariant_undefine(p_migration integer) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_demanded text;
BEGIN
  SELECT string_agg(format('gate "%s" demands "%s"', d.gate_key, d.invariant_code), ', ') INTO v_demanded
    FROM public.iu_gate_demand d JOIN public.iu_invariant i ON i.invariant_code = d.invariant_code WHERE i.migration = p_migration;
  IF v_demanded IS NOT NULL THEN
    RAISE EXCEPTION 'rollback refused: a gate demands an invariant of migration %', p_migration USING ERRCODE = 'object_in_use',
      DETAIL = v_demanded, HINT = 'An administrator takes the demand back with fn_iu_gate_demand_unset.';
  END IF;
  DELETE FROM public.iu_invariant WHERE migration = p_migration;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_invariant_undefine(integer) IS
  'For rollbacks: removes the invariants of a migration; what their checks found stays in the log. SQLSTATE 55006: a gate demands one. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_invariant_log(p_command text, p_subject text, p_actor text, p_reason text, p_evidence jsonb) RETURNS uuid
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE EXCEPTION 'this is done by somebody for a reason' USING ERRCODE = 'check_violation', HINT = 'Give p_actor and p_reason, or p_purpose.';
  END IF;
  RETURN public.fn_dot_iu_command_log(p_command, 'health', 'apply', 'applied', true, md5(coalesce(p_subject, '')), public.fn_iu_gate_snapshot(),
    jsonb_build_object('reason', p_reason) || coalesce(p_evidence, '{}'), p_actor);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_invariant_log(text, text, text, text, jsonb) IS
  'Logs a command on an invariant, a demand, a surface or a change window, with the gates as they stand. Returns the run_id. SQLSTATE 23514 without actor or reason. (facts-core 2.3)';

CREATE FUNCTION public.fn_iu_invariant_register(
    p_code text, p_view regclass, p_meaning text, p_actor text, p_reason text, p_severity text DEFAULT 'critical',
    p_tolerance numeric DEFAULT 0, p_settle_seconds integer DEFAULT 0, p_every_seconds integer DEFAULT NULL, p_timeout_ms integer DEFAULT 10000)
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
    RAISE EXCEPTION '%', v_field USING ERRCODE = 'check_violation';
  END IF;
  v_run_id := public.fn_iu_invariant_log('dot_iu_invariant_register', p_code, p_actor, p_reason,
    jsonb_build_object('invariant_code', p_code, 'view', p_view::text, 'severity', p_severity, 'tolerance', p_tolerance,
      'settle_seconds', p_settle_seconds, 'every_seconds', p_every_seconds, 'timeout_ms', p_timeout_ms));
  v_status := public.fn_iu_invariant_put(ROW(p_code, p_meaning, p_view::text, p_severity, p_tolerance, p_settle_seconds, p_every_seconds,
    p_timeout_ms, true, NULL, p_actor, session_user, p_reason, clock_timestamp())::public.iu_invariant);
  RETURN jsonb_build_object('status', v_status, 'invariant_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_invariant_register(text, regclass, text, text, text, text, numeric, integer, integer, integer) IS
  'Registers a view as an invariant, or changes one that was registered, and logs it: code, view, meaning, who, why, severity (critical, warning), tolerance, settle window in s (0 to 604800), how often the runner checks it in s (1 to 604800; NULL: on demand only), longest time of a reading in ms (1 to 60000). A change forgets what it found before. Returns {status: registered | changed | unchanged, invariant_code, run_id}. SQLSTATE 23514: a value out of range, actor or reason missing, or a view that cannot be an invariant; 42710: it belongs to a migration. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_invariant_enable(p_code text, p_enabled boolean, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_every  integer;
  v_run_id uuid;
BEGIN
  IF p_enabled IS NULL THEN
    RAISE EXCEPTION 'an invariant is enabled or not' USING ERRCODE = 'check_violation';
  END IF;
  v_run_id := public.fn_iu_invariant_log('dot_iu_invariant_enable', p_code, p_actor, p_reason,
    jsonb_build_object('invariant_code', p_code, 'enabled', p_enabled));
  UPDATE public.iu_invariant SET enabled = p_enabled WHERE invariant_code = p_code RETURNING every_seconds INTO v_every;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'invariant "%" is not registered', coalesce(p_code, '') USING ERRCODE = 'undefined_object';
  END IF;
  UPDATE public.iu_invariant_state SET next_at = CASE WHEN p_enabled AND v_every IS NOT NULL THEN clock_timestamp() END WHERE invariant_code = p_code;
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', CASE WHEN p_enabled THEN 'enabled' ELSE 'disabled' END, 'invariant_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_invariant_enable(text, boolean, text, text) IS
  'Enables or disables an invariant, one of a migration too, and logs it: code, whether, who, why. One that is disabled is not scheduled, is no part of a check of all, and keeps a gate shut that demands it. Returns {status: enabled | disabled, invariant_code, run_id}. SQLSTATE 42704: not registered; 23514: NULL, actor or reason missing. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_invariant_unregister(p_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariant public.iu_invariant;
  v_gates     text;
  v_run_id    uuid;
BEGIN
  v_run_id := public.fn_iu_invariant_log('dot_iu_invariant_unregister', p_code, p_actor, p_reason, jsonb_build_object('invariant_code', p_code));
  SELECT i.* INTO v_invariant FROM public.iu_invariant i WHERE i.invariant_code = p_code FOR UPDATE;
  SELECT string_agg(d.gate_key, ', ' ORDER BY d.gate_key) INTO v_gates FROM public.iu_gate_demand d WHERE d.invariant_code = p_code;
  IF v_invariant.invariant_code IS NULL THEN
    RAISE EXCEPTION 'invariant "%" is not registered', coalesce(p_code, '') USING ERRCODE = 'undefined_object';
  ELSIF v_invariant.migration IS NOT NULL THEN
    RAISE EXCEPTION 'invariant "%" belongs to migration %', p_code, v_invariant.migration USING ERRCODE = 'object_in_use',
      HINT = 'fn_iu_invariant_enable disables it.';
  ELSIF v_gates IS NOT NULL THEN
    RAISE EXCEPTION 'invariant "%" is demanded by gates', p_code USING ERRCODE = 'object_in_use',
      DETAIL = format('Gates: %s.', v_gates), HINT = 'An administrator takes the demand back with fn_iu_gate_demand_unset.';
  END IF;
  DELETE FROM public.iu_invariant WHERE invariant_code = p_code;
  RETURN jsonb_build_object('status', 'unregistered', 'invariant_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_invariant_unregister(text, text, text) IS
  'Forgets an invariant that somebody registered, and logs it; the log of its checks stays. Code, who, why. Returns {status: unregistered, invariant_code, run_id}. SQLSTATE 42704: not registered; 55006: it belongs to a migration, or a gate demands it; 23514: actor or reason missing. (design: Invariants and change windows)';

-- Checking ---------------------------------------------------------------------

-- Read as it is whoever asks: in the same notation, so that a key is the same
-- key again, and never through a policy that leaves rows out (that is an error).
CREATE FUNCTION public.fn_iu_read(
    p_query text, p_timeout_ms integer, OUT began_at timestamptz, OUT ms numeric, OUT result jsonb, OUT error_code text, OUT error text)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET row_security = off
  SET timezone = 'UTC'
  SET datestyle = 'ISO, YMD'
  SET intervalstyle = 'postgres'
  SET extra_float_digits = 1
  SET bytea_output = 'hex'
AS $function$
DECLARE
  v_deadline timestamptz;
  v_before   timestamptz;
  v_read     boolean := false;
BEGIN
  began_at := clock_timestamp();
  v_deadline := began_at + make_interval(secs => p_timeout_ms / 1000.0);
  v_before := iu_core.cancel_by(v_deadline);
  BEGIN
    EXECUTE p_query INTO result;
    v_read := true;
    -- Undoes all of it: the locks, the settings, whatever else was done.
    RAISE EXCEPTION 'read' USING ERRCODE = 'IU000';
  EXCEPTION
    WHEN query_canceled THEN
      PERFORM iu_core.cancel_at(v_before);
      -- Somebody else wanted it to end.
      IF clock_timestamp() < v_deadline THEN
        RAISE;
      END IF;
      error_code := SQLSTATE;
      error := format('no answer within %s ms', p_timeout_ms);
    WHEN OTHERS OR assert_failure THEN
      PERFORM iu_core.cancel_at(v_before);
      IF NOT v_read THEN
        error_code := SQLSTATE;
        error := format('%s: %s', SQLSTATE, SQLERRM);
      END IF;
  END;
  ms := round((extract(epoch FROM clock_timestamp() - began_at) * 1000)::numeric, 3);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_read(text, integer) IS
  'For invariants and surfaces: runs a query that returns one jsonb, within so many ms, in time zone UTC with ISO dates, and undoes what it did; a policy that would leave out rows is an error. Returns when it began, how many ms it took, and what it found, or the SQLSTATE (error_code) and words (error) of why not. Raises nothing but a cancel by somebody else (57014). (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_invariant_measure(p_invariant public.iu_invariant, p_asked_by text) RETURNS public.iu_invariant_run
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_run      public.iu_invariant_run;
  v_relation CONSTANT regclass := to_regclass(p_invariant.view_name);
  v_columns  text[];
  v_numbers  boolean;
  v_reading  record;
  v_found    record;
BEGIN
  v_run.invariant_code := p_invariant.invariant_code;
  v_run.asked_by := p_asked_by;
  v_run.session_role := session_user;
  v_run.checked_at := clock_timestamp();
  v_run.ms := 0;
  v_run.verdict := 'unknown';
  v_run.detail := public.fn_iu_invariant_problem(p_invariant.view_name);
  IF v_run.detail IS NOT NULL THEN
    v_run.error_code := '42809';
    RETURN v_run;
  END IF;
  SELECT array_agg(a.attname::text), bool_and(t.typcategory = 'N') FILTER (WHERE a.attname <> 'key') INTO v_columns, v_numbers
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
   WHERE a.attrelid = v_relation AND a.attnum > 0 AND a.attname IN ('key', 'left_value', 'right_value');
  SELECT r.* INTO v_reading FROM public.fn_iu_read(CASE WHEN 'key' = ANY (v_columns) THEN format($sql$
      WITH side AS MATERIALIZED (
        SELECT v.key::text COLLATE "C" AS key, v.left_value IS NOT NULL AS at_left, v.right_value IS NOT NULL AS at_right,
               (v.left_value = v.right_value) IS TRUE AS agrees
          FROM %s AS v)
      SELECT jsonb_build_object('at_left', count(*) FILTER (WHERE at_left), 'at_right', count(*) FILTER (WHERE at_right),
             'differ', count(*) FILTER (WHERE NOT agrees), 'left_only', count(*) FILTER (WHERE at_left AND NOT at_right),
             'right_only', count(*) FILTER (WHERE at_right AND NOT at_left), 'neither', count(*) FILTER (WHERE NOT at_left AND NOT at_right),
             'nameless', count(*) FILTER (WHERE key IS NULL), 'long', count(*) FILTER (WHERE octet_length(key) > 1000),
             'keys', ARRAY(SELECT s.key FROM side s WHERE NOT s.agrees AND octet_length(s.key) <= 1000 ORDER BY s.key LIMIT 10000),
             'twice', (SELECT left(min(t.key), 1000) FROM (SELECT s.key FROM side s GROUP BY s.key HAVING count(*) > 1) AS t))
        FROM side$sql$, v_relation)
    ELSE format($sql$
      SELECT CASE count(*) OVER () WHEN 1
             THEN jsonb_build_object('rows', 1, 'at_left', x.l::text, 'at_right', x.r::text, 'agrees', (x.l = x.r) IS TRUE, 'differ', %s)
             ELSE jsonb_build_object('rows', 2) END
        FROM (SELECT v.left_value, v.right_value FROM %s AS v LIMIT 2) AS x (l, r) LIMIT 1$sql$,
      CASE WHEN v_numbers THEN 'x.l::numeric - x.r::numeric' ELSE 'NULL' END, v_relation) END, p_invariant.timeout_ms) AS r;
  v_run.checked_at := v_reading.began_at;
  v_run.ms := v_reading.ms;
  IF v_reading.error_code IS NOT NULL THEN
    v_run.error_code := v_reading.error_code;
    v_run.detail := v_reading.error;
    RETURN v_run;
  END IF;
  SELECT f.* INTO v_found
    FROM jsonb_to_record(coalesce(v_reading.result, '{"rows": 0}')) AS f (
      rows integer, at_left text, at_right text, agrees boolean, differ numeric, left_only bigint, right_only bigint, neither bigint,
      nameless bigint, long bigint, keys text[], twice text);
  IF 'key' = ANY (v_columns) THEN
    v_run.keys := v_found.keys;
    v_run.keys_total := v_found.differ;
    v_run.error_code := CASE WHEN v_found.nameless > 0 OR v_found.twice IS NOT NULL THEN '21000' WHEN v_found.long > 0 THEN '22001' END;
    v_run.detail := CASE
      WHEN v_found.nameless > 0 THEN format('%s row(s) of the view have no key', v_found.nameless)
      WHEN v_found.twice IS NOT NULL THEN format('key %s is there more than once, so that it has no one partner', quote_literal(v_found.twice))
      WHEN v_found.long > 0 THEN format('%s key(s) are longer than 1000 bytes', v_found.long)
      WHEN v_found.differ = 0 THEN format('the same %s key(s) on both sides', v_found.at_left)
      ELSE concat_ws(', ', format('%s key(s) differ: %s on the left only', v_found.differ, v_found.left_only),
             format('%s on the right only', v_found.right_only),
             format('%s with different values', v_found.differ - v_found.left_only - v_found.right_only - v_found.neither),
             CASE WHEN v_found.neither > 0 THEN format('%s with a value on neither side', v_found.neither) END) END;
  ELSE
    v_run.error_code := CASE WHEN v_found.rows <> 1 THEN '21000' WHEN v_found.at_left IS NULL OR v_found.at_right IS NULL THEN '22004'
                             WHEN v_found.differ IN ('NaN', 'Infinity', '-Infinity') THEN '22003' END;
    v_run.detail := CASE
      WHEN v_found.rows <> 1 THEN CASE v_found.rows WHEN 0 THEN 'the view has no row' ELSE 'the view has more than one row' END
      WHEN v_found.at_left IS NULL AND v_found.at_right IS NULL THEN 'left and right are NULL'
      WHEN v_found.at_left IS NULL THEN 'left is NULL'
      WHEN v_found.at_right IS NULL THEN 'right is NULL'
      WHEN v_run.error_code IS NOT NULL THEN 'left or right is not a finite number'
      WHEN v_found.agrees THEN format('both are %s', v_found.at_left)
      ELSE format('left is %s, right is %s', v_found.at_left, v_found.at_right) END;
  END IF;
  v_run.left_value := v_found.at_left;
  v_run.right_value := v_found.at_right;
  v_run.difference := CASE v_run.error_code WHEN '22003' THEN NULL ELSE v_found.differ END;
  IF v_run.error_code IS NULL THEN
    -- With no tolerance = has the say: as numeric, floating point loses digits.
    v_run.verdict := CASE WHEN CASE WHEN v_found.differ IS NULL THEN v_found.agrees
                                    ELSE abs(v_found.differ) <= p_invariant.tolerance AND (v_found.agrees IS NOT FALSE OR p_invariant.tolerance > 0) END
                          THEN 'pass' ELSE 'fail' END;
  END IF;
  RETURN v_run;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_invariant_measure(public.iu_invariant, text) IS
  'For a check: reads the view of an invariant once, within its time, and undoes what the reading did. Returns what it found, not recorded, as if there were no settle window: pass, fail, or unknown with SQLSTATE (error_code) and reason; up to 10000 keys. Raises nothing but a cancel by somebody else (57014). (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_invariant_record(p_invariant public.iu_invariant, p_run public.iu_invariant_run) RETURNS public.iu_invariant_run
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_keys       CONSTANT integer := 10000;
  c_shown      CONSTANT integer := 20;
  v_window     CONSTANT interval := make_interval(secs => p_invariant.settle_seconds);
  v_registered timestamptz;
  v_state      public.iu_invariant_state;
  v_last       public.iu_invariant_run;
  v_late       boolean;
  v_since      timestamptz;
  v_settled    bigint;
  v_due        timestamptz;
BEGIN
  -- In the order in which a registration locks them.
  SELECT i.registered_at INTO v_registered FROM public.iu_invariant i WHERE i.invariant_code = p_invariant.invariant_code FOR KEY SHARE;
  SELECT s.* INTO v_state FROM public.iu_invariant_state s WHERE s.invariant_code = p_invariant.invariant_code FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'invariant "%" is not registered any more', p_invariant.invariant_code USING ERRCODE = 'undefined_object';
  END IF;
  -- What began earlier may be recorded later: it is logged, and that is all. A
  -- check from the future is one from before the clock was set back.
  v_late := coalesce(v_state.checked_at > p_run.checked_at AND v_state.checked_at <= clock_timestamp(), false);
  IF v_registered <> p_invariant.registered_at THEN
    v_late := true;
    p_run.verdict := 'unknown';
    p_run.error_code := '55000';
    p_run.detail := 'it was registered otherwise while it was read';
  END IF;
  v_since := v_state.differs_since;
  IF p_run.error_code IS NULL THEN
    v_since := CASE p_run.verdict WHEN 'fail' THEN least(v_since, p_run.checked_at) END;
    v_due := v_since + v_window;
    IF p_run.keys IS NOT NULL AND v_window > '0' THEN
      IF NOT v_late THEN
        DELETE FROM public.iu_invariant_key k WHERE k.invariant_code = p_invariant.invariant_code
           AND NOT EXISTS (SELECT FROM unnest(p_run.keys) AS d (key) WHERE d.key = k.key);
        INSERT INTO public.iu_invariant_key AS k (invariant_code, key, first_seen_at)
          SELECT p_invariant.invariant_code, d.key, p_run.checked_at FROM unnest(p_run.keys) AS d (key)
          ON CONFLICT (invariant_code, key) DO UPDATE SET first_seen_at = excluded.first_seen_at WHERE k.first_seen_at > excluded.first_seen_at;
      END IF;
      -- Beyond what is remembered key by key they are judged together.
      IF p_run.keys_total <= c_keys THEN
        SELECT count(*) FILTER (WHERE k.first_seen_at + v_window <= p_run.checked_at),
               coalesce((array_agg(k.first_seen_at ORDER BY k.first_seen_at))[floor(least(p_invariant.tolerance, c_keys))::integer + 1] + v_window, v_due)
          INTO v_settled, v_due FROM public.iu_invariant_key k WHERE k.invariant_code = p_invariant.invariant_code AND k.key = ANY (p_run.keys);
      END IF;
    END IF;
    v_settled := coalesce(v_settled, CASE WHEN v_since + v_window <= p_run.checked_at THEN coalesce(p_run.keys_total, 1) ELSE 0 END);
    IF p_run.verdict = 'fail' AND v_window > '0' AND v_settled <= (CASE WHEN p_run.keys IS NULL THEN 0 ELSE p_invariant.tolerance END) THEN
      p_run.verdict := 'unknown';
      p_run.detail := p_run.detail || format('; settling: fails if it is still so at %s UTC',
        to_char(v_due AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'));
    END IF;
  END IF;
  p_run.keys := p_run.keys[:c_shown];

  SELECT r.* INTO v_last FROM public.iu_invariant_run r WHERE r.run_seq = v_state.run_seq;
  IF p_run.asked_by <> 'schedule' OR NOT v_late AND (
       v_state.logged_at IS NULL OR v_state.logged_at NOT BETWEEN p_run.checked_at - interval '1 hour' AND p_run.checked_at
       OR (v_last.verdict, v_last.left_value, v_last.right_value, v_last.difference, v_last.keys, v_last.keys_total, v_last.error_code)
          IS DISTINCT FROM (p_run.verdict, p_run.left_value, p_run.right_value, p_run.difference, p_run.keys, p_run.keys_total, p_run.error_code)) THEN
    INSERT INTO public.iu_invariant_run (invariant_code, verdict, left_value, right_value, difference, keys, keys_total, detail, error_code, asked_by, checked_at, ms)
      VALUES (p_run.invariant_code, p_run.verdict, p_run.left_value, p_run.right_value, p_run.difference, p_run.keys, p_run.keys_total,
              p_run.detail, p_run.error_code, p_run.asked_by, p_run.checked_at, p_run.ms)
      RETURNING run_seq INTO p_run.run_seq;
  END IF;
  IF NOT v_late THEN
    UPDATE public.iu_invariant_state
       SET verdict = p_run.verdict, checked_at = p_run.checked_at, differs_since = v_since, checks = checks + 1,
           run_seq = coalesce(p_run.run_seq, v_state.run_seq),
           logged_at = CASE WHEN p_run.run_seq IS NOT NULL THEN p_run.checked_at ELSE v_state.logged_at END,
           verdict_since = CASE WHEN verdict = p_run.verdict THEN verdict_since ELSE p_run.checked_at END,
           last_pass_at = CASE p_run.verdict WHEN 'pass' THEN p_run.checked_at ELSE last_pass_at END,
           next_at = (SELECT p_run.checked_at + make_interval(secs => i.every_seconds) FROM public.iu_invariant i
                       WHERE i.invariant_code = p_invariant.invariant_code AND i.enabled),
           system_identifier = iu_core.system_identifier(), database_oid = iu_core.database_oid()
     WHERE invariant_code = p_invariant.invariant_code;
  END IF;
  RETURN p_run;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_invariant_record(public.iu_invariant, public.iu_invariant_run) IS
  'For a check: gives what fn_iu_invariant_measure found its verdict, which the settle window may turn from fail to unknown, remembers since when what differs, writes state and log. Returns the run with its verdict and at most 20 keys. SQLSTATE 42704: unregistered meanwhile. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_invariant_check_as(p_codes text[], p_asked_by text) RETURNS SETOF public.iu_invariant_run
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariants public.iu_invariant[];
  v_runs       public.iu_invariant_run[] := '{}';
  v_invariant  public.iu_invariant;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'a check needs isolation level READ COMMITTED' USING ERRCODE = 'invalid_transaction_state',
      DETAIL = 'An older snapshot would be compared with what a remote holds now.';
  END IF;
  v_invariants := ARRAY(SELECT i FROM public.iu_invariant i WHERE i.invariant_code = ANY (p_codes) OR (p_codes IS NULL AND i.enabled)
                         ORDER BY i.invariant_code);
  IF p_codes IS NOT NULL AND v_invariants = '{}' THEN
    RAISE EXCEPTION 'invariant "%" is not registered', p_codes[1] USING ERRCODE = 'undefined_object', HINT = 'v_iu_invariant lists them.';
  END IF;
  FOREACH v_invariant IN ARRAY v_invariants LOOP
    v_runs := v_runs || public.fn_iu_invariant_measure(v_invariant, p_asked_by);
  END LOOP;
  FOR i IN 1 .. cardinality(v_invariants) LOOP
    RETURN NEXT public.fn_iu_invariant_record(v_invariants[i], v_runs[i]);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_invariant_check_as(text[], text) IS
  'For what checks invariants: which (NULL: all that are enabled), for whom (hand, gate, window). Reads all of them, then records all of them. Errors: as fn_iu_invariant_check. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_invariant_check(p_code text DEFAULT NULL)
  RETURNS TABLE (code text, verdict text, left_value text, right_value text, difference numeric, keys text[], keys_total bigint,
                 detail text, checked_at timestamptz, ms numeric)
  LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 20
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT r.invariant_code, r.verdict, r.left_value, r.right_value, r.difference, r.keys, r.keys_total, r.detail, r.checked_at, r.ms
    FROM public.fn_iu_invariant_check_as(CASE WHEN p_code IS NOT NULL THEN ARRAY[p_code] END, 'hand') AS r
$function$;
COMMENT ON FUNCTION public.fn_iu_invariant_check(text) IS
  'Checks an invariant now, or (NULL) all that are enabled, and records what it finds. One row each: code, verdict, left and right (of keys: how many each side has), difference (left minus right; of keys: how many differ), the first 20 keys that differ and how many in all, detail in words, when it began to read, how many ms that took. pass: read, and within the tolerance. fail: read, and beyond it for longer than the settle window. unknown: everything else: an error of the view or a remote (with its SQLSTATE), no answer in time, NULL, not one row, a key that is there twice, rows that a policy would leave out, a difference that is still settling. SQLSTATE 42704: not registered; 25000 outside of READ COMMITTED; 57014 only if somebody else cancels. (design: Invariants and change windows)';

-- On a schedule ------------------------------------------------------------------

CREATE FUNCTION public.fn_iu_schedule_turn(p_worker text) RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariant public.iu_invariant;
  v_next      timestamptz;
BEGIN
  -- One that somebody has locked holds nothing up. The lock of this look is
  -- undone, so that it is not kept while a remote is waited for. What is due
  -- later than it can be is so by a clock that was set back.
  BEGIN
    SELECT i.* INTO v_invariant
      FROM public.iu_invariant_state s JOIN public.iu_invariant i ON i.invariant_code = s.invariant_code
     WHERE i.enabled AND i.every_seconds IS NOT NULL
       AND s.next_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + make_interval(secs => i.every_seconds)
     ORDER BY s.next_at, s.invariant_code LIMIT 1 FOR UPDATE OF s SKIP LOCKED;
    RAISE EXCEPTION 'seen' USING ERRCODE = 'IU000';
  EXCEPTION WHEN SQLSTATE 'IU000' THEN
    NULL;
  END;
  IF v_invariant.invariant_code IS NOT NULL THEN
    PERFORM public.fn_iu_invariant_record(v_invariant, public.fn_iu_invariant_measure(v_invariant, 'schedule'));
  END IF;
  SELECT min(CASE WHEN s.next_at <= clock_timestamp() + make_interval(secs => i.every_seconds) THEN s.next_at ELSE clock_timestamp() END) INTO v_next
    FROM public.iu_invariant_state s JOIN public.iu_invariant i ON i.invariant_code = s.invariant_code
   WHERE i.enabled AND i.every_seconds IS NOT NULL;
  RETURN CASE WHEN v_invariant.invariant_code IS NULL AND v_next <= clock_timestamp() THEN clock_timestamp() + interval '1 s' ELSE v_next END;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_schedule_turn(text) IS
  'For the runner: carries out one thing that is due by its schedule, an invariant, in the caller''s transaction, and returns when something is due next (in the past: at once; NULL: nothing is scheduled). Argument: who calls. Raises nothing of its own. (design: Processes; Invariants and change windows)';

-- Looking at it --------------------------------------------------------------------

CREATE TABLE public.iu_gate_demand (
  gate_key        text        NOT NULL,
  invariant_code  text        NOT NULL REFERENCES public.iu_invariant,
  max_age_seconds integer     NOT NULL,
  set_by          text        NOT NULL,
  session_role    name        NOT NULL DEFAULT session_user,
  reason          text        NOT NULL,
  set_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_gate_demand_pkey PRIMARY KEY (gate_key, invariant_code),
  CONSTRAINT iu_gate_demand_age_chk CHECK (max_age_seconds BETWEEN 0 AND 86400)
);
COMMENT ON TABLE public.iu_gate_demand IS
  'The invariants that must pass before a gate opens. Written by fn_iu_gate_demand_set and _unset only. (design: Invariants and change windows)';
COMMENT ON COLUMN public.iu_gate_demand.gate_key IS 'The gate; no foreign key, a demand outlives a migration that is rolled back';
COMMENT ON COLUMN public.iu_gate_demand.invariant_code IS 'What it demands';
COMMENT ON COLUMN public.iu_gate_demand.max_age_seconds IS 'A pass that is younger will do, 0 to 86400 s, if it is the last that was found; otherwise the opening checks. 0: it always checks';
COMMENT ON COLUMN public.iu_gate_demand.set_by IS 'Who set it, as told by the caller';
COMMENT ON COLUMN public.iu_gate_demand.session_role IS 'Login role of who set it';
COMMENT ON COLUMN public.iu_gate_demand.reason IS 'Why';
COMMENT ON COLUMN public.iu_gate_demand.set_at IS 'When, by the clock';

CREATE VIEW public.v_iu_invariant AS
  SELECT i.invariant_code, i.meaning, i.severity, i.enabled,
         CASE WHEN s.system_identifier = iu_core.system_identifier() AND s.database_oid = iu_core.database_oid() AND s.verdict IS NOT NULL
              THEN s.verdict ELSE 'unknown' END AS verdict,
         s.verdict_since, s.checked_at, s.last_pass_at, s.differs_since,
         r.left_value, r.right_value, r.difference, r.keys, r.keys_total,
         CASE WHEN s.verdict IS NULL THEN 'not checked yet'
              WHEN s.system_identifier <> iu_core.system_identifier() OR s.database_oid <> iu_core.database_oid()
                THEN 'not checked in this database, which is a copy'
              ELSE r.detail END AS detail,
         i.every_seconds, s.next_at, coalesce(s.next_at < clock_timestamp() - interval '2 minutes', false) AS overdue,
         i.tolerance, i.settle_seconds, s.checks,
         ARRAY(SELECT d.gate_key FROM public.iu_gate_demand d WHERE d.invariant_code = i.invariant_code ORDER BY d.gate_key) AS demanded_by
    FROM public.iu_invariant i
    JOIN public.iu_invariant_state s ON s.invariant_code = i.invariant_code
    LEFT JOIN public.iu_invariant_run r ON r.run_seq = s.run_seq;
COMMENT ON VIEW public.v_iu_invariant IS
  'One row an invariant: what the last check found (pass, fail, unknown; unknown as well where it was never checked as it is registered now, or only in the original of this copy), since when, when it was last checked, when it last passed, since when it has differed, left and right, what differs, why in words; how often it is checked, when next, whether that is overdue by two minutes (is a runner at work?), and the gates that demand it. (design: Invariants and change windows)';

CREATE VIEW public.v_iu_invariant_watermark AS
  SELECT CASE WHEN count(*) > 0 AND count(*) = count(v.last_pass_at) THEN min(v.last_pass_at) END AS last_full_pass_at,
         count(*) > 0 AND coalesce(bool_and(v.verdict = 'pass'), false) AS all_pass,
         count(*) AS invariants, count(*) FILTER (WHERE v.verdict = 'pass') AS passing, count(*) FILTER (WHERE v.verdict = 'fail') AS failing,
         count(*) FILTER (WHERE v.verdict = 'unknown') AS unknown, count(*) FILTER (WHERE v.overdue) AS overdue
    FROM public.v_iu_invariant v WHERE v.enabled;
COMMENT ON VIEW public.v_iu_invariant_watermark IS
  'One row over all invariants that are enabled: last_full_pass_at, the time at or after which each of them has passed (NULL: one never has, or there is none), whether all pass now, and how many there are, pass, fail, are unknown, are overdue. (design: Invariants and change windows)';

-- What a gate demands ----------------------------------------------------------------

CREATE OR REPLACE FUNCTION public.fn_iu_gate_demands(p_gate_key text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_disabled text;
  v_codes    text[];
  v_run      public.iu_invariant_run;
BEGIN
  SELECT min(d.invariant_code) FILTER (WHERE NOT i.enabled),
         array_agg(d.invariant_code) FILTER (WHERE (
           s.verdict = 'pass' AND s.checked_at > clock_timestamp() - make_interval(secs => d.max_age_seconds) AND s.checked_at <= clock_timestamp()
           AND s.system_identifier = iu_core.system_identifier() AND s.database_oid = iu_core.database_oid()) IS NOT TRUE)
    INTO v_disabled, v_codes
    FROM public.iu_gate_demand d
    JOIN public.iu_invariant i ON i.invariant_code = d.invariant_code
    LEFT JOIN public.iu_invariant_state s ON s.invariant_code = d.invariant_code
   WHERE d.gate_key = p_gate_key;
  IF v_disabled IS NOT NULL THEN
    RAISE EXCEPTION 'gate "%" demands invariant "%", which is disabled', p_gate_key, v_disabled USING ERRCODE = 'IU112',
      HINT = 'An administrator enables it with fn_iu_invariant_enable, or takes the demand back with fn_iu_gate_demand_unset.';
  ELSIF v_codes IS NULL THEN
    RETURN;
  END IF;
  -- One that fails is told before one that is unknown.
  SELECT r.* INTO v_run FROM public.fn_iu_invariant_check_as(v_codes, 'gate') AS r WHERE r.verdict <> 'pass' ORDER BY r.verdict, r.invariant_code LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'gate "%" demands invariant "%", which %', p_gate_key, v_run.invariant_code, CASE v_run.verdict WHEN 'fail' THEN 'fails' ELSE 'is unknown' END
      USING ERRCODE = CASE v_run.verdict WHEN 'fail' THEN 'IU111' ELSE 'IU112' END,
        DETAIL = concat_ws(E'\n', v_run.detail, 'Keys: ' || nullif(array_to_string(v_run.keys, ', '), ''),
          'It means: ' || (SELECT i.meaning FROM public.iu_invariant i WHERE i.invariant_code = v_run.invariant_code)),
        HINT = format('Check it again: SELECT * FROM fn_iu_invariant_check(%L);', v_run.invariant_code);
  END IF;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_demands(text) IS
  'For fn_iu_gate_open, before the gate is locked: raises unless every invariant that the gate demands passed lately, or passes now. For openings and renewals by hand; the watchdog''s renewals of a standing approval ask nothing. Errors: IU111 one fails, IU112 one is unknown or disabled; 25000 outside of READ COMMITTED where one has to be checked. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_gate_demand_set(p_gate_key text, p_code text, p_max_age_seconds integer, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_run_id uuid;
BEGIN
  IF NOT EXISTS (SELECT FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key AND r.gate_class = 'governable') THEN
    RAISE EXCEPTION '% is not a governable runtime gate (fail-closed)', coalesce(quote_ident(p_gate_key), 'NULL') USING ERRCODE = 'insufficient_privilege',
      HINT = 'v_iu_gate lists the gates.';
  ELSIF NOT EXISTS (SELECT FROM public.iu_invariant i WHERE i.invariant_code = p_code) THEN
    RAISE EXCEPTION 'invariant "%" is not registered', coalesce(p_code, '') USING ERRCODE = 'undefined_object';
  ELSIF p_max_age_seconds IS NULL OR p_max_age_seconds NOT BETWEEN 0 AND 86400 THEN
    RAISE EXCEPTION 'p_max_age_seconds is from 0 to 86400' USING ERRCODE = 'check_violation';
  END IF;
  v_run_id := public.fn_iu_invariant_log('dot_iu_gate_demand_set', p_gate_key, p_actor, p_reason,
    jsonb_build_object('gate_key', p_gate_key, 'invariant_code', p_code, 'max_age_seconds', p_max_age_seconds));
  INSERT INTO public.iu_gate_demand (gate_key, invariant_code, max_age_seconds, set_by, reason)
    VALUES (p_gate_key, p_code, p_max_age_seconds, p_actor, p_reason)
    ON CONFLICT (gate_key, invariant_code) DO UPDATE
      SET max_age_seconds = excluded.max_age_seconds, set_by = excluded.set_by, session_role = session_user, reason = excluded.reason, set_at = clock_timestamp();
  RETURN jsonb_build_object('status', 'set', 'gate_key', p_gate_key, 'invariant_code', p_code, 'max_age_seconds', p_max_age_seconds, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_demand_set(text, text, integer, text, text) IS
  'Has a gate demand an invariant before it opens, and logs it: gate, invariant, for how many seconds a pass is good (0 to 86400; 0: each opening checks), who, why. Break-glass is bound by it as well. Returns {status: set, gate_key, invariant_code, max_age_seconds, run_id}. Errors: 42501 not a governable gate, 42704 not registered, 23514 seconds, actor or reason missing or out of range. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_gate_demand_unset(p_gate_key text, p_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_run_id uuid;
BEGIN
  v_run_id := public.fn_iu_invariant_log('dot_iu_gate_demand_unset', p_gate_key, p_actor, p_reason,
    jsonb_build_object('gate_key', p_gate_key, 'invariant_code', p_code));
  DELETE FROM public.iu_gate_demand WHERE gate_key = p_gate_key AND invariant_code = p_code;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'gate "%" does not demand invariant "%"', coalesce(p_gate_key, ''), coalesce(p_code, '') USING ERRCODE = 'undefined_object';
  END IF;
  RETURN jsonb_build_object('status', 'unset', 'gate_key', p_gate_key, 'invariant_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_demand_unset(text, text, text, text) IS
  'Takes a gate''s demand back, and logs it: gate, invariant, who, why. Returns {status: unset, gate_key, invariant_code, run_id}. SQLSTATE 42704: it does not demand it; 23514: actor or reason missing. (design: Invariants and change windows)';

-- Privileges, rows, registration, post-check -------------------------------------------

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_invariant_register',   'health', true,  true,  ARRAY['fn_iu_invariant_register']),
  ('dot_iu_invariant_enable',     'health', true,  true,  ARRAY['fn_iu_invariant_enable']),
  ('dot_iu_invariant_unregister', 'health', true,  true,  ARRAY['fn_iu_invariant_unregister']),
  ('dot_iu_invariant_check',      'read',   false, true,  ARRAY['fn_iu_invariant_check']),
  ('dot_iu_gate_demand_set',      'health', true,  true,  ARRAY['fn_iu_gate_demand_set']),
  ('dot_iu_gate_demand_unset',    'health', true,  true,  ARRAY['fn_iu_gate_demand_unset']);

GRANT SELECT ON public.iu_invariant, public.iu_invariant_state, public.iu_invariant_key, public.iu_invariant_run, public.iu_gate_demand,
  public.v_iu_invariant, public.v_iu_invariant_watermark TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_view_problem(text) TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_invariant_check(text) TO iu_core_operator;
GRANT EXECUTE ON FUNCTION
  public.fn_iu_invariant_register(text, regclass, text, text, text, text, numeric, integer, integer, integer),
  public.fn_iu_invariant_enable(text, boolean, text, text), public.fn_iu_invariant_unregister(text, text, text),
  public.fn_iu_gate_demand_set(text, text, integer, text, text), public.fn_iu_gate_demand_unset(text, text, text, text) TO iu_core_admin;
GRANT EXECUTE ON FUNCTION public.fn_iu_schedule_turn(text) TO iu_core_worker;

SELECT public.fn_iu_govern(8, 'table', 'iu_invariant', 'iu_invariant_state', 'iu_invariant_key', 'iu_invariant_run', 'iu_gate_demand');
SELECT public.fn_iu_govern(8, 'view', 'v_iu_invariant', 'v_iu_invariant_watermark');
SELECT public.fn_iu_govern(8, 'function', 'fn_iu_view_problem(text)', 'fn_iu_invariant_problem(text)', 'fn_iu_invariant_put(public.iu_invariant)',
  'fn_iu_invariant_define(integer,text,regclass,text,text,numeric,integer,integer,integer)', 'fn_iu_invariant_undefine(integer)',
  'fn_iu_invariant_register(text,regclass,text,text,text,text,numeric,integer,integer,integer)',
  'fn_iu_invariant_enable(text,boolean,text,text)', 'fn_iu_invariant_unregister(text,text,text)',
  'fn_iu_invariant_log(text,text,text,text,jsonb)', 'fn_iu_read(text,integer)', 'fn_iu_invariant_measure(public.iu_invariant,text)',
  'fn_iu_invariant_record(public.iu_invariant,public.iu_invariant_run)', 'fn_iu_invariant_check_as(text[],text)',
  'fn_iu_invariant_check(text)', 'fn_iu_schedule_turn(text)', 'fn_iu_gate_demand_set(text,text,integer,text,text)',
  'fn_iu_gate_demand_unset(text,text,text,text)');
SELECT public.fn_iu_govern(8, 'trigger', 'trg_iu_invariant_run_append_only ON iu_invariant_run');

SELECT public.fn_iu_conformance_require(8);
