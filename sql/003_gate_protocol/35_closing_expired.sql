-- What the watchdog does. It never waits for one gate: another may be due.

CREATE FUNCTION iu.fn_iu_gate_expiring()
  RETURNS TABLE (gate_key text, due_at timestamptz, renew_at timestamptz, opening bigint, ttl_seconds integer)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
  SET lock_timeout = '200ms'
AS $function$
BEGIN
  RETURN QUERY
    SELECT g.gate_key, CASE WHEN a.withdrawn THEN '-infinity' ELSE coalesce(g.due_at, '-infinity') END, a.renew_at,
           l.transition_seq, l.ttl_seconds
      FROM public.v_iu_gate g CROSS JOIN LATERAL iu.fn_iu_gate_approval_due(g.gate_key) a
      LEFT JOIN LATERAL (SELECT t.transition_seq, t.ttl_seconds FROM public.iu_gate_transition t
                          WHERE t.gate_key = g.gate_key ORDER BY t.transition_seq DESC LIMIT 1) l ON true
     WHERE g.value <> 'false';
  -- What may be opened again rests on more tables, such as the log of runs. Where one of those is locked it waits, and
  -- nothing that is to be closed waits for it.
  BEGIN
    RETURN QUERY
      SELECT c.key, 'infinity'::timestamptz, clock_timestamp(), NULL::bigint, NULL::integer
        FROM public.iu_gate_registry r JOIN public.dot_config c ON c.key = r.gate_key
       WHERE c.value = 'false' AND r.gate_class = 'governable' AND iu.fn_iu_gate_is_to_reopen(c.key);
  EXCEPTION WHEN lock_not_available THEN
    NULL;
  END;
EXCEPTION WHEN lock_not_available THEN
  RAISE lock_not_available USING
    MESSAGE = 'gates cannot be read: ' || iu.fn_iu_gate_blocker(NULL),
    DETAIL = format('Blocker: %s.', iu.fn_iu_gate_blocker(NULL)), CONSTRAINT = 'iu_gate_tables_locked',
    HINT = 'End that session, or decide that prepared transaction.';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_expiring IS
  'Every gate whose value is not false, when it must be (due_at: the end of its open, or -infinity where it may not '
  'be true at all: set beside the protocol, opened in another place or at a time to come, never-flip, approval '
  'withdrawn), when it is to be renewed before that (renew_at; NULL: never), its last change, and how many seconds '
  'that may last if it is an open. And every gate that is to be opened again at once, on a standing approval: due_at '
  'infinity. Error: 55P03, naming who, if a lock on the tables lasts longer than 200 ms.';

CREATE FUNCTION iu.fn_iu_gate_try_lock(p_gate_key text) RETURNS boolean
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  LOCK TABLE public.dot_config, public.iu_gate_transition IN ROW EXCLUSIVE MODE NOWAIT;
  PERFORM FROM public.dot_config c WHERE c.key = p_gate_key FOR NO KEY UPDATE SKIP LOCKED;
  RETURN FOUND OR NOT EXISTS (SELECT FROM public.dot_config c WHERE c.key = p_gate_key);
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_try_lock IS
  'Takes the gate until the end of the transaction, as fn_iu_gate_lock does, but never waits: false if somebody else '
  'has it, or a lock on the tables. True also where the gate has no row. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_watchdog_close(p_gate_key text, p_previous text, p_actor text, p_why text)
  RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_transition_id CONSTANT uuid := gen_random_uuid();
  v_why           text := p_why;
  v_run_id        uuid;
BEGIN
  -- A run that cannot be logged must not keep the gate from being closed.
  BEGIN
    LOCK TABLE public.dot_iu_command_run IN ROW EXCLUSIVE MODE NOWAIT;
    v_run_id := iu.fn_iu_gate_log('dot_iu_gate_watchdog', 'closed', p_gate_key, v_transition_id,
      jsonb_build_array(p_gate_key, p_actor), p_actor, jsonb_build_object('reason', v_why));
  EXCEPTION WHEN OTHERS THEN
    v_why := iu_core.text_made_fit(format('%s (run not logged: %s)', v_why, left(SQLERRM, 500)), true);
  END;
  PERFORM iu.fn_iu_gate_transit(v_transition_id, p_gate_key, 'watchdog_close', p_previous, NULL, NULL, p_actor,
                                v_why, v_run_id, true);
  RETURN v_why;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_watchdog_close IS
  'For what the watchdog closes, under the lock of the gate: gate, its value, who, why. Returns why, as the ledger has '
  'it. The ledger''s own checks are its only errors.';

CREATE FUNCTION iu.fn_iu_gate_close_expired(p_gate_key text, p_actor text, OUT status text, OUT detail text)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
  SET lock_timeout = '200ms'
AS $function$
DECLARE
  v_gate    record;
  v_renewed text;
BEGIN
  PERFORM iu.fn_iu_require_actor(p_actor, 'closes the gate');
  IF NOT iu.fn_iu_gate_try_lock(p_gate_key) THEN
    status := 'locked';
    detail := iu.fn_iu_gate_blocker(p_gate_key);
    RETURN;
  END IF;

  -- The gate is read only now that nobody else can change it.
  SELECT g.value, g.due_at, g.reason INTO v_gate FROM public.v_iu_gate g WHERE g.gate_key = p_gate_key;
  detail := coalesce(v_gate.reason, 'not a gate of this protocol');
  IF v_gate.value IS NULL OR v_gate.value = 'false' OR v_gate.due_at > clock_timestamp() THEN
    IF v_gate.value <> 'false' AND (SELECT a.withdrawn FROM iu.fn_iu_gate_approval_due(p_gate_key) a) THEN
      detail := 'its approval was withdrawn';
    ELSE
      v_renewed := iu.fn_iu_gate_renew(p_gate_key, p_actor);
      status := CASE WHEN v_renewed IS NULL THEN 'not_due' ELSE 'renewed' END;
      detail := coalesce(v_renewed, detail);
      RETURN;
    END IF;
  END IF;
  detail := iu.fn_iu_gate_watchdog_close(p_gate_key, v_gate.value, p_actor, detail);
  status := CASE WHEN iu.fn_iu_gate_value_problem(p_gate_key) IS NULL THEN 'closed' ELSE 'ended' END;
  detail := coalesce(iu.fn_iu_gate_value_problem(p_gate_key), detail);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_close_expired IS
  'Closes one gate whose value is not false though its open ended, lost its approval or was never lawful here: gate, '
  'who. Returns status closed (detail: why; also the ledger''s reason), renewed (its standing approval lasts, or '
  'opens it again), not_due (detail: how it stands), locked (detail: the blocker), or ended (detail: what kept the '
  'value from being set, though the opening is over by the ledger); it never waits for the row. Errors: 55000 where '
  'nothing was open and the value cannot be set, 23514 no actor, 55P03 if another lock lasts longer than 200 ms.';

CREATE FUNCTION iu.fn_iu_gate_close_overstayed(
    p_gate_key text, p_actor text, p_opening bigint, OUT status text, OUT detail text)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
  SET lock_timeout = '200ms'
AS $function$
DECLARE
  v_gate record;
BEGIN
  PERFORM iu.fn_iu_require_actor(p_actor, 'closes the gate');
  IF NOT iu.fn_iu_gate_try_lock(p_gate_key) THEN
    status := 'locked';
    detail := iu.fn_iu_gate_blocker(p_gate_key);
    RETURN;
  END IF;
  SELECT g.value, g.reason INTO v_gate FROM public.v_iu_gate g WHERE g.gate_key = p_gate_key;
  IF v_gate.value IS DISTINCT FROM 'true' OR p_opening IS DISTINCT FROM (
       SELECT t.transition_seq FROM public.iu_gate_transition t
        WHERE t.gate_key = p_gate_key ORDER BY t.transition_seq DESC LIMIT 1) THEN
    status := 'not_due';
    detail := coalesce(v_gate.reason, 'not a gate of this protocol');
    RETURN;
  END IF;
  detail := iu.fn_iu_gate_watchdog_close(p_gate_key, v_gate.value, p_actor,
    'its time has run out, though the clock does not say so: it was set back');
  status := CASE WHEN iu.fn_iu_gate_value_problem(p_gate_key) IS NULL THEN 'closed' ELSE 'ended' END;
  detail := coalesce(iu.fn_iu_gate_value_problem(p_gate_key), detail);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_close_overstayed IS
  'For the watchdog, which has seen an opening for as long as that may last, by a clock that nobody sets: closes the '
  'gate if that opening (its transition_seq) is still its last change. Returns and errors as fn_iu_gate_close_expired; '
  'never renewed.';

CREATE FUNCTION iu.fn_iu_gate_watchdog(p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_gate_key text;
  v_result   record;
  v_closed   jsonb := '[]';
  v_locked   jsonb := '[]';
  v_renewed  jsonb := '[]';
BEGIN
  PERFORM iu.fn_iu_require_actor(p_actor, 'runs the watchdog');
  FOR v_gate_key IN
    SELECT e.gate_key FROM iu.fn_iu_gate_expiring() e
     WHERE least(e.due_at, e.renew_at) <= clock_timestamp() ORDER BY e.due_at, e.gate_key
  LOOP
    SELECT r.status, r.detail INTO v_result FROM iu.fn_iu_gate_close_expired(v_gate_key, p_actor) r;
    IF v_result.status = 'closed' THEN
      v_closed := v_closed || jsonb_build_object('gate_key', v_gate_key, 'reason', v_result.detail);
    ELSIF v_result.status = 'locked' THEN
      v_locked := v_locked || jsonb_build_object('gate_key', v_gate_key, 'blocker', v_result.detail);
    ELSIF v_result.status = 'renewed' THEN
      v_renewed := v_renewed || jsonb_build_object('gate_key', v_gate_key, 'reason', v_result.detail);
    END IF;
  END LOOP;
  RETURN jsonb_build_object('closed_count', jsonb_array_length(v_closed), 'closed', v_closed, 'locked', v_locked,
                            'renewed', v_renewed);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_watchdog IS
  'What public.fn_iu_gate_watchdog hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_gate_watchdog(p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_gate_watchdog(p_actor) END;
COMMENT ON FUNCTION public.fn_iu_gate_watchdog IS
  'Closes by hand every gate that expired or is true beside the protocol, and renews those due to be, as the '
  'watchdog process does by itself. Returns {closed_count, closed: [{gate_key, reason}], locked: [{gate_key, '
  'blocker}], renewed: [{gate_key, reason}]}; a locked gate is skipped. Errors: as fn_iu_gate_close_expired.';
