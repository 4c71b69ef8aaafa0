-- Revoking approvals, and confirming those whose gate a person closed.

CREATE FUNCTION iu.fn_iu_gate_approval_revoke(p_approval_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
  SET lock_timeout = '2s'
AS $function$
DECLARE
  v_gate_key text;
  v_status   text := 'unchanged';
  v_blocker  text;
  v_closed   boolean := false;
  v_run_id   uuid;
BEGIN
  SELECT a.gate_key INTO v_gate_key FROM public.iu_gate_approval a WHERE a.approval_id = p_approval_id;
  IF NOT FOUND THEN
    RAISE SQLSTATE 'IU101' USING
      MESSAGE = format('approval %s is not registered', coalesce(p_approval_id::text, 'NULL')),
      DETAIL = format('Approval: %s.', coalesce(p_approval_id::text, 'NULL')),
      HINT = 'v_iu_gate_approval lists the approvals.', CONSTRAINT = 'iu_approval_unknown';
  END IF;
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);

  PERFORM iu.fn_iu_require_caller();

  -- Somebody who keeps the gate's row locked must not keep the approval alive:
  -- without that row it is revoked all the same, every reading of the gate finds
  -- that, and the watchdog closes when it can.
  BEGIN
    PERFORM FROM public.dot_config c WHERE c.key = v_gate_key FOR NO KEY UPDATE;
  EXCEPTION WHEN lock_not_available THEN
    v_blocker := iu.fn_iu_gate_blocker(v_gate_key);
  END;
  IF NOT EXISTS (SELECT FROM public.iu_gate_revocation x WHERE x.approval_id = p_approval_id) THEN
    INSERT INTO public.iu_gate_revocation (approval_id, actor, reason) VALUES (p_approval_id, p_actor, p_reason);
    v_status := 'revoked';
  END IF;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_gate_revocation x WHERE x.approval_id = p_approval_id),
    'public.iu_gate_revocation', 'revoking the approval');

  IF v_blocker IS NULL AND EXISTS (
       SELECT FROM public.v_iu_gate g
        WHERE g.gate_key = v_gate_key AND g.value = 'true' AND g.approval_id = p_approval_id) THEN
    PERFORM iu.fn_iu_gate_close(v_gate_key, p_actor, 'approval revoked: ' || p_reason);
    v_closed := true;
  ELSIF v_blocker IS NULL THEN
    -- The update makes an opening fail that reads with an older snapshot and would not see the revocation.
    UPDATE public.dot_config SET value = value WHERE key = v_gate_key;
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_gate_approval_revoke', 'gate_key', v_gate_key, 'applied', p_actor,
    p_reason, jsonb_build_object('status', v_status, 'approval_mark', iu.fn_iu_gate_approval_mark(p_approval_id),
      'closed', v_closed, 'blocker', v_blocker, 'session_user', session_user));
  RETURN jsonb_build_object('status', v_status, 'approval_id', p_approval_id, 'gate_key', v_gate_key,
    'closed', v_closed, 'blocker', v_blocker, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_revoke IS
  'What public.fn_iu_gate_approval_revoke hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_approval_revoke(p_approval_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_gate_approval_revoke(p_approval_id, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_approval_revoke IS
  'Revokes an approval of whatever kind, and closes its gate in the same transaction if that is open on it: '
  'approval, who, why. Returns {status: revoked | unchanged (it was before), approval_id, gate_key, closed, '
  'blocker, run_id}. blocker, in words: who has kept the gate locked for 2 s; the approval is revoked then, the '
  'gate is effective no more, and the watchdog sets its value as soon as it can (fn_iu_gate_unblock ends who stands in '
  'the way). Errors: IU101 not registered, 23514 no actor or reason, 42501 nobody acts.';

CREATE FUNCTION iu.fn_iu_gate_approval_confirm(p_approval_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_approval public.iu_gate_approval;
  v_closed   timestamptz;
  v_run_id   uuid;
BEGIN
  SELECT a.* INTO v_approval FROM public.iu_gate_approval a WHERE a.approval_id = p_approval_id;
  IF NOT FOUND THEN
    RAISE SQLSTATE 'IU101' USING
      MESSAGE = format('approval %s is not registered', coalesce(p_approval_id::text, 'NULL')),
      DETAIL = format('Approval: %s.', coalesce(p_approval_id::text, 'NULL')),
      HINT = 'v_iu_gate_approval lists the approvals.', CONSTRAINT = 'iu_approval_unknown';
  END IF;
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  PERFORM iu.fn_iu_gate_approval_require_roles(v_approval.gate_key,
    (SELECT r.rolname FROM pg_roles r WHERE r.oid = v_approval.granted_to_oid));
  SELECT c.closed_at INTO v_closed FROM iu.fn_iu_gate_approval_closed_by(v_approval.gate_key, p_approval_id) c;
  IF v_closed IS NOT NULL THEN
    INSERT INTO public.iu_gate_confirmation (approval_id, after_seq, actor, reason)
      SELECT p_approval_id, max(t.transition_seq), p_actor, p_reason
        FROM public.iu_gate_transition t WHERE t.gate_key = v_approval.gate_key;
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_gate_approval_confirm', 'gate_key', v_approval.gate_key, 'applied',
    p_actor, p_reason, jsonb_build_object('approval_mark', v_approval.approval_mark, 'closed_at', v_closed));
  RETURN jsonb_build_object('status', CASE WHEN v_closed IS NULL THEN 'unchanged' ELSE 'confirmed' END,
    'approval_id', p_approval_id, 'gate_key', v_approval.gate_key, 'closed_at', v_closed, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_confirm IS
  'What public.fn_iu_gate_approval_confirm hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_approval_confirm(p_approval_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_gate_approval_confirm(p_approval_id, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_approval_confirm IS
  'Lets an agent use its standing approval again, after somebody else than the agent had closed the gate that was '
  'open on it: approval, who, why. It is for those who may grant one for the gate, and not for the agent itself. '
  'Opens nothing. Returns {status: confirmed | unchanged (nobody had closed it), approval_id, gate_key, closed_at, '
  'run_id}. Errors: IU101 not registered, 23514 no actor or reason, 42501 nobody acts, IU106 it is granted to who '
  'confirms, IU107 not on the approval list.';
