-- Standing approvals: what the watchdog renews. The functions of migration 003
-- call these, since they are here.

CREATE FUNCTION iu.fn_iu_gate_approval_state(
    p_gate_key text, OUT renew_at timestamptz, OUT withdrawn boolean, OUT standing boolean)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  SELECT a.kind = 'standing' AND a.revoked_at IS NULL AND a.expires_at >= l.expires_at
           AND a.system_identifier = iu_core.system_identifier() AND a.database_oid = iu_core.database_oid()
           AND iu.fn_iu_gate_approver_is(p_gate_key, a.granted_by),
         CASE WHEN a.expires_at >= l.expires_at + interval '1 second'
              THEN l.expires_at - make_interval(secs => least(l.ttl_seconds / 2.0, 30)) END,
         a.revoked_at IS NOT NULL
    INTO standing, renew_at, withdrawn
    FROM (SELECT t.action, t.approval_id, t.expires_at, t.ttl_seconds FROM public.iu_gate_transition t
           WHERE t.gate_key = p_gate_key ORDER BY t.transition_seq DESC LIMIT 1) l
    JOIN public.iu_gate_approval a ON a.approval_id = l.approval_id AND l.action = 'open';
  IF standing IS NOT TRUE THEN
    renew_at := NULL;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_state IS
  'Of the registered approval on which a gate was opened last: whether it is a standing approval that is still good, '
  'when the watchdog renews the gate on it (half its time before its end, at most 30 s; NULL: not on a standing '
  'approval that is still good and lasts 1 s longer), and whether it was revoked, so that the gate is due at once. '
  'NULLs where no registered approval was used. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_approval_renew(p_gate_key text, p_actor text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_transition_id CONSTANT uuid := gen_random_uuid();
  v_approval      public.iu_gate_approval;
  v_last          record;
  v_renew_at      timestamptz;
  v_ttl           integer;
  v_reason        text;
  v_run_id        uuid;
BEGIN
  SELECT t.approval_id, t.ttl_seconds, t.actor INTO v_last FROM public.iu_gate_transition t
   WHERE t.gate_key = p_gate_key ORDER BY t.transition_seq DESC LIMIT 1;
  -- Whoever revokes the approval waits for this renewal, or this waits for him.
  SELECT a.* INTO v_approval FROM public.iu_gate_approval a WHERE a.approval_id = v_last.approval_id FOR SHARE;
  SELECT d.renew_at INTO v_renew_at FROM iu.fn_iu_gate_approval_state(p_gate_key) d;
  v_ttl := least(v_last.ttl_seconds, floor(extract(epoch FROM v_approval.expires_at - clock_timestamp())));
  IF v_renew_at IS NULL OR v_renew_at > clock_timestamp() OR v_ttl < 1 THEN
    RETURN NULL;
  END IF;

  v_reason := format('renewed by %s on the standing approval of "%s"', p_actor, v_approval.granted_by);
  v_run_id := iu.fn_iu_gate_log('dot_iu_gate_watchdog', 'renewed', p_gate_key, v_transition_id,
    jsonb_build_array(p_gate_key, v_last.approval_id, v_ttl, p_actor), p_actor,
    jsonb_build_object('reason', v_reason, 'session_user', iu.fn_iu_gate_held_by(p_gate_key)));
  PERFORM iu.fn_iu_gate_transit(v_transition_id, p_gate_key, 'open', 'true', v_last.approval_id, v_ttl, v_last.actor,
                                v_reason, v_run_id, true);
  RETURN v_reason;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_renew IS
  'For fn_iu_gate_close_expired, under the lock of the gate: renews a gate opened on a standing approval for the '
  'same time once more, for its holder, if it is due to be (fn_iu_gate_approval_state), never beyond the end of the '
  'approval; says how in words, or NULL if not. Errors: 55P03 if the approval stays locked.';
