CREATE OR REPLACE FUNCTION iu.fn_iu_gate_approval_due(p_gate_key text, OUT renew_at timestamptz, OUT withdrawn boolean)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  SELECT CASE WHEN a.kind = 'standing' AND a.revoked_at IS NULL
                   AND a.system_identifier = iu_core.system_identifier() AND a.database_oid = iu_core.database_oid()
                   AND a.expires_at >= l.expires_at + interval '1 second'
                   AND iu.fn_iu_gate_approver_is(p_gate_key, a.granted_by)
              THEN l.expires_at - make_interval(secs => least(l.ttl_seconds / 2.0, 30)) END,
         a.revoked_at IS NOT NULL
    INTO renew_at, withdrawn
    FROM (SELECT t.action, t.approval_id, t.expires_at, t.ttl_seconds FROM public.iu_gate_transition t
           WHERE t.gate_key = p_gate_key ORDER BY t.transition_seq DESC LIMIT 1) l
    JOIN public.iu_gate_approval a ON a.approval_id = l.approval_id AND l.action = 'open';
  withdrawn := coalesce(withdrawn, false);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_due IS
  'For the watchdog: when an open gate is to be renewed (half its time before its end, at most 30 s; NULL: not '
  'opened on a standing approval that is still good and lasts 1 s longer), and whether its approval was revoked, '
  'so that it is due at once. Raises nothing.';

CREATE OR REPLACE FUNCTION iu.fn_iu_gate_renew(p_gate_key text, p_actor text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_transition_id uuid := gen_random_uuid();
  v_approval      public.iu_gate_approval;
  v_last          record;
  v_due           record;
  v_ttl           integer;
  v_reason        text;
  v_run_id        uuid;
BEGIN
  SELECT t.approval_id, t.ttl_seconds, t.actor INTO v_last FROM public.iu_gate_transition t
   WHERE t.gate_key = p_gate_key ORDER BY t.transition_seq DESC LIMIT 1;
  -- Whoever revokes it waits for this, or this for him.
  SELECT a.* INTO v_approval FROM public.iu_gate_approval a WHERE a.approval_id = v_last.approval_id FOR SHARE;
  SELECT d.renew_at INTO v_due FROM iu.fn_iu_gate_approval_due(p_gate_key) d;
  IF v_due.renew_at IS NULL OR v_due.renew_at > clock_timestamp() THEN
    RETURN NULL;
  END IF;
  v_ttl := least(v_last.ttl_seconds, floor(extract(epoch FROM v_approval.expires_at - clock_timestamp())));
  IF v_ttl < 1 THEN
    RETURN NULL;
  END IF;

  v_reason := format('renewed by %s on the standing approval of "%s"', p_actor, v_approval.granted_by);
  v_run_id := iu.fn_dot_iu_command_log(
    'dot_iu_gate_watchdog', 'health', 'apply', 'applied', true,
    md5(jsonb_build_array(p_gate_key, v_last.approval_id, v_ttl, p_actor)::text),
    iu.fn_iu_gate_snapshot(),
    jsonb_build_object('status', 'renewed', 'gate_key', p_gate_key, 'transition_id', v_transition_id,
                       'reason', v_reason, 'session_user', iu.fn_iu_gate_held_by(p_gate_key)),
    p_actor);
  UPDATE public.dot_config SET value = 'true' WHERE key = p_gate_key;
  INSERT INTO public.iu_gate_transition
      (transition_id, gate_key, action, prev_value, new_value, approval_id, ttl_seconds, actor, reason, run_id)
    VALUES (v_transition_id, p_gate_key, 'open', 'true', 'true', v_last.approval_id, v_ttl,
            v_last.actor, v_reason, v_run_id);
  RETURN v_reason;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_renew IS
  'For fn_iu_gate_close_expired, under the lock of the gate: renews a gate opened on a standing approval for the '
  'same time once more, for its holder, if it is due to be (fn_iu_gate_approval_due), never beyond the end of the '
  'approval; says how in words, or NULL if not. Errors: 55P03 if the approval stays locked.';
