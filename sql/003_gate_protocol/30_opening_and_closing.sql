-- Opening and closing by hand.

CREATE FUNCTION iu.fn_iu_gate_require_governable(p_gate_key text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_class text;
BEGIN
  SELECT r.gate_class INTO v_class FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key;
  IF v_class = 'never_flip' THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('gate "%s" is NEVER-FLIP and is not opened: supply a real review_decision_id', p_gate_key),
      DETAIL = format('Gate: %s.', p_gate_key),
      CONSTRAINT = 'iu_gate_never_flip';
  ELSIF v_class IS DISTINCT FROM 'governable' THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('%s is not a governable runtime gate (fail-closed)',
                       coalesce(quote_ident(iu_core.text_made_fit(p_gate_key, false)), 'NULL')),
      DETAIL = format('Gate: %s.', coalesce(quote_ident(iu_core.text_made_fit(p_gate_key, false)), 'NULL')),
      HINT = 'v_iu_gate lists the gates.', CONSTRAINT = 'iu_gate_not_governable';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_require_governable IS
  'Refuses what is not a governable gate. Errors: 42501 NEVER-FLIP, 42501 not a governable gate.';

CREATE FUNCTION iu.fn_iu_gate_require_closer() RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_nobody record;
BEGIN
  SELECT c.problem, c.hint, c.constraint_name INTO v_nobody FROM iu_core.closing_problem() c;
  IF v_nobody.problem IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('no gate can be opened: %s, so nothing would close it', v_nobody.problem),
      DETAIL = format('Problem: %s.', v_nobody.problem),
      HINT = v_nobody.hint, CONSTRAINT = v_nobody.constraint_name;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_require_closer IS
  'Refuses where no process would close a gate: SQLSTATE 55000, iu_not_preloaded or iu_no_watchdog, as '
  'iu_core.closing_problem() says.';

CREATE FUNCTION iu.fn_iu_gate_lock(p_gate_key text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_value text;
BEGIN
  SELECT c.value INTO v_value FROM public.dot_config c WHERE c.key = p_gate_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('gate "%s" has no row in dot_config, which reads as closed', p_gate_key),
      DETAIL = format('Gate: %s.', p_gate_key),
      HINT = format('Put it back closed: INSERT INTO dot_config (key, value) VALUES (%L, ''false'');', p_gate_key),
      CONSTRAINT = 'iu_gate_row_missing';
  END IF;
  RETURN v_value;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_lock IS
  'Takes the gate until the end of the transaction, waiting for whoever has it, and returns its value. What is read '
  'in a later statement is what the last change left. Errors: 42704 no row in dot_config; 40001 in a transaction '
  'whose snapshot is too old to see the last change.';

CREATE FUNCTION iu.fn_iu_gate_may_open(p_gate_key text, p_value text, p_approval_id uuid, p_actor text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_gate public.v_iu_gate;
BEGIN
  SELECT g.* INTO v_gate FROM public.v_iu_gate g WHERE g.gate_key = p_gate_key;
  IF p_value <> 'true' OR v_gate.due_at IS NULL OR v_gate.due_at <= clock_timestamp() THEN
    RETURN 'opened';
  ELSIF v_gate.holder <> p_actor OR NOT iu.fn_iu_gate_is_mine(p_gate_key) OR v_gate.approval_id = p_approval_id THEN
    RAISE object_in_use USING
      MESSAGE = format('gate "%s" is %s', p_gate_key, v_gate.reason),
      DETAIL = format('Holder: %s; role: %s; approval: %s; end: %s UTC.', v_gate.holder,
        iu.fn_iu_gate_held_by(p_gate_key),
        CASE WHEN iu_core.caller_may('{iu_core_operator}') THEN v_gate.approval_id::text
             ELSE 'not shown' END,
        to_char(v_gate.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')),
      HINT = 'Wait for its end or have it closed; its holder renews it with another approval_id.',
      CONSTRAINT = 'iu_gate_is_open';
  END IF;
  RETURN 'renewed';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_may_open IS
  'For fn_iu_gate_open, under the lock of the gate: what the opening is, opened, or renewed where the gate is open '
  'and its holder has another approval. Arguments: gate, its value, approval, who. Error: 55006 open already, naming '
  'holder and end.';

CREATE FUNCTION iu.fn_iu_gate_open(
    p_gate_key text, p_approval_id uuid, p_actor text, p_reason text, p_ttl_seconds integer)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_transition_id CONSTANT uuid := gen_random_uuid();
  v_previous      text;
  v_status        text;
  v_run_id        uuid;
  v_expires_at    timestamptz;
BEGIN
  PERFORM iu.fn_iu_gate_require_governable(p_gate_key);
  IF p_approval_id IS NULL THEN
    RAISE check_violation USING
      MESSAGE = 'approval_id required (Điều 32)', CONSTRAINT = 'iu_approval_id_required',
      HINT = 'Give the id of the approval, a UUID.';
  END IF;
  PERFORM iu.fn_iu_require_value(
    p_ttl_seconds BETWEEN 1 AND 3600, 'iu_gate_ttl', 'ttl_seconds', 'from 1 to 3600', p_ttl_seconds::text);
  PERFORM iu.fn_iu_require_actor(p_actor, 'opens the gate');
  PERFORM iu.fn_iu_require_caller();
  PERFORM iu.fn_iu_require_form('reason', p_reason, true);
  PERFORM iu.fn_iu_gate_require_closer();
  -- A demand may ask a remote, so it comes before anything is locked.
  PERFORM iu.fn_iu_gate_demands(p_gate_key);

  v_previous := iu.fn_iu_gate_lock(p_gate_key);
  v_status := iu.fn_iu_gate_may_open(p_gate_key, v_previous, p_approval_id, p_actor);
  PERFORM iu.fn_iu_gate_approval_use(
    p_gate_key, CASE v_status WHEN 'renewed' THEN 'renew' ELSE 'open' END, p_approval_id, p_actor, p_ttl_seconds);

  v_run_id := iu.fn_iu_gate_log('dot_iu_gate_open', v_status, p_gate_key, v_transition_id,
    jsonb_build_array(p_gate_key, p_approval_id, p_actor, p_reason, p_ttl_seconds), p_actor,
    jsonb_build_object('session_user', session_user));
  v_expires_at := iu.fn_iu_gate_transit(v_transition_id, p_gate_key, 'open', v_previous, p_approval_id, p_ttl_seconds,
                                        p_actor, p_reason, v_run_id, true);
  RETURN jsonb_build_object(
    'status', v_status, 'gate_key', p_gate_key, 'previous', v_previous, 'value', 'true',
    'approval_id', p_approval_id, 'ttl_seconds', p_ttl_seconds, 'expires_at', v_expires_at,
    'transition_id', v_transition_id, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_open IS
  'What public.fn_iu_gate_open hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_gate_open(
    p_gate_key text, p_approval_id uuid, p_actor text, p_reason text, p_ttl_seconds integer)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_agent,iu_core_operator}') THEN
  iu.fn_iu_gate_open(p_gate_key, p_approval_id, p_actor, p_reason, p_ttl_seconds) END;
COMMENT ON FUNCTION public.fn_iu_gate_open IS
  'Opens a governable gate for 1 to 3600 seconds from now: gate, approval, who, why (may be NULL), seconds. Returns '
  '{status: opened | renewed, gate_key, previous, value, approval_id, ttl_seconds, expires_at, transition_id, '
  'run_id}. Its holder, the same actor, role and login, renews an open gate with another approval. Errors, in this '
  'order: 42501 NEVER-FLIP, 42501 not a governable gate, 23514 approval, time or actor missing or out of range, 42501 '
  'nobody acts, 55000 nothing would close it (iu_core not preloaded, no place for its workers), those of '
  'fn_iu_gate_demands, 42704 no row in dot_config, 55006 open already, naming holder and end, then those of '
  'fn_iu_gate_approval_use; 40001 in a transaction whose snapshot is too old to see the last change.';

CREATE FUNCTION iu.fn_iu_gate_close(p_gate_key text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_transition_id CONSTANT uuid := gen_random_uuid();
  v_previous      text;
  v_run_id        uuid;
  v_problem       text;
BEGIN
  IF NOT EXISTS (SELECT FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key) THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('%s is not a gate of this protocol (fail-closed)',
                       coalesce(quote_ident(iu_core.text_made_fit(p_gate_key, false)), 'NULL')),
      DETAIL = format('Gate: %s.', coalesce(quote_ident(iu_core.text_made_fit(p_gate_key, false)), 'NULL')),
      HINT = 'v_iu_gate lists the gates.', CONSTRAINT = 'iu_gate_unknown';
  END IF;
  PERFORM iu.fn_iu_require_actor(p_actor, 'closes the gate');
  PERFORM iu.fn_iu_require_form('reason', p_reason, true);
  PERFORM iu.fn_iu_require_caller();

  v_previous := iu.fn_iu_gate_lock(p_gate_key);
  IF NOT iu_core.caller_may('{iu_core_operator}') AND NOT iu.fn_iu_gate_is_mine(p_gate_key) THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('gate "%s" is not held by "%s"', p_gate_key, pg_get_userbyid(iu_core.caller())),
      DETAIL = format('Held by: %s; login role: %s.',
        coalesce(quote_ident(iu.fn_iu_gate_held_by(p_gate_key)), 'nobody'), session_user),
      HINT = 'Its holder closes it, or a member of iu_core_operator.', CONSTRAINT = 'iu_gate_not_held';
  END IF;

  v_run_id := iu.fn_iu_gate_log('dot_iu_gate_close', 'closed', p_gate_key, v_transition_id,
    jsonb_build_array(p_gate_key, p_actor, p_reason), p_actor, jsonb_build_object('session_user', session_user));
  PERFORM iu.fn_iu_gate_transit(v_transition_id, p_gate_key, 'close', v_previous, NULL, NULL, p_actor, p_reason,
                                v_run_id, true);
  v_problem := iu.fn_iu_gate_value_problem(p_gate_key);
  IF v_problem IS NOT NULL THEN
    RAISE WARNING USING
      ERRCODE = '55000', MESSAGE = v_problem, HINT = 'Have a superuser remove it: the watchdog tries again.',
      CONSTRAINT = 'iu_change_without_effect';
  END IF;
  RETURN jsonb_strip_nulls(jsonb_build_object(
    'status', CASE WHEN v_problem IS NULL THEN 'closed' ELSE 'ended' END, 'gate_key', p_gate_key,
    'previous', v_previous, 'value', CASE WHEN v_problem IS NULL THEN 'false' ELSE 'true' END, 'problem', v_problem,
    'transition_id', v_transition_id, 'run_id', v_run_id));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_close IS
  'What public.fn_iu_gate_close hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_gate_close(p_gate_key text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_agent,iu_core_operator}') THEN
  iu.fn_iu_gate_close(p_gate_key, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_close IS
  'Sets a gate to false, governable or never-flip, whatever it was: gate, who, why (may be NULL). Returns {status: '
  'closed, gate_key, previous, value, transition_id, run_id}. Where a rule, a trigger or a policy kept the value from '
  'being set, the opening has ended all the same: status ended, with problem, and a WARNING that names it; where '
  'nothing was open, error 55000, iu_change_without_effect. Errors: 42501 not a gate, 23514 no actor, 42501 nobody '
  'acts, 42704 no row in dot_config, 42501 the role that acts neither holds the gate, under the login that opened it, '
  'nor has the rights of iu_core_operator.';
