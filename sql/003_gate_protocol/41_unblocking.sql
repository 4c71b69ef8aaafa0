-- Ending who stands in the way of a change of a gate.

CREATE FUNCTION iu.fn_iu_gate_unblock(p_gate_key text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_blocker record;
  v_problem text;
  v_ended   jsonb := '[]';
  v_left    jsonb := '[]';
  v_run_id  uuid;
BEGIN
  IF NOT EXISTS (SELECT FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key) THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('%s is not a gate of this protocol (fail-closed)', coalesce(quote_ident(p_gate_key), 'NULL')),
      DETAIL = format('Gate: %s.', coalesce(quote_ident(p_gate_key), 'NULL')),
      HINT = 'v_iu_gate lists the gates.', CONSTRAINT = 'iu_gate_unknown';
  END IF;
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  PERFORM iu.fn_iu_require_caller();

  FOR v_blocker IN SELECT b.* FROM iu.fn_iu_gate_blockers(iu.fn_iu_gate_row_holders(p_gate_key)) b LOOP
    IF v_blocker.gid IS NOT NULL THEN
      SELECT format('ROLLBACK PREPARED %L; in database %I, as role %I or a superuser', x.gid, x.database, x.owner)
        INTO v_problem FROM pg_prepared_xacts x WHERE x.gid = v_blocker.gid;
    ELSIF v_blocker.pid IS NULL THEN
      v_problem := 'ask a superuser: pg_prepared_xacts has it';
    ELSE
      v_problem := iu_core.end_session(v_blocker.pid);
    END IF;
    IF v_problem IS NULL THEN
      v_ended := v_ended || to_jsonb(v_blocker.who);
    ELSE
      v_left := v_left || jsonb_build_object('who', v_blocker.who, 'ask', v_problem);
    END IF;
  END LOOP;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_gate_unblock', 'gate_key', p_gate_key, 'applied', p_actor, p_reason,
    jsonb_build_object('ended', v_ended, 'left', v_left));
  RETURN jsonb_build_object(
    'status', CASE WHEN v_left <> '[]' THEN 'blocked' WHEN v_ended <> '[]' THEN 'ended' ELSE 'free' END,
    'gate_key', p_gate_key, 'ended', v_ended, 'left', v_left, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_unblock IS
  'What public.fn_iu_gate_unblock hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_gate_unblock(p_gate_key text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_gate_unblock(p_gate_key, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_unblock IS
  'Ends the sessions that keep a gate''s row or tables locked, so that it can be closed: gate, who, why. Sessions of '
  'superusers and of iu_core''s workers are left, and prepared transactions, which only their owner or a superuser '
  'ends; for these it says whom to ask for what. Returns {status: ended | blocked (some are left) | free (nobody was '
  'in the way), gate_key, ended: [who], left: [{who, ask}], run_id}. Closes nothing itself: call fn_iu_gate_close, or '
  'leave it to the watchdog. Errors: 42501 not a gate, 23514 no actor or reason, 42501 nobody acts.';
