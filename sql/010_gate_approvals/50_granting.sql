CREATE FUNCTION iu.fn_iu_gate_approval_log(
    p_command text, p_gate_key text, p_actor text, p_reason text, p_evidence jsonb)
  RETURNS uuid
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN iu.fn_dot_iu_command_log(
    p_command, 'health', 'apply', 'applied', true,
    md5(jsonb_build_array(p_command, p_gate_key, p_actor, p_reason, p_evidence)::text),
    iu.fn_iu_gate_snapshot(),
    p_evidence || jsonb_build_object('gate_key', p_gate_key, 'reason', p_reason, 'session_user', session_user),
    p_actor);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_log IS
  'Logs what was done about approvals among the runs and returns the run''s id: command, gate or NULL, who, why, '
  'what. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_gate_approval_check(p_gate_key text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_class text;
BEGIN
  SELECT r.gate_class INTO v_class FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key;
  IF v_class = 'never_flip' THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('gate "%s" is NEVER-FLIP and is not opened: supply a real review_decision_id', p_gate_key);
  END IF;
  IF v_class IS DISTINCT FROM 'governable' THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('%s is not a governable runtime gate (fail-closed)', coalesce(quote_ident(p_gate_key), 'NULL')),
      HINT = 'v_iu_gate lists the gates.';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_check IS
  'Refuses what is not a governable gate. Errors: 42501 NEVER-FLIP, 42501 not a governable gate.';

CREATE FUNCTION iu.fn_iu_gate_approval_grant(
    p_gate_key text, p_action text, p_max_ttl_seconds integer, p_expires_at timestamptz, p_actor text, p_reason text,
    p_kind text, p_granted_to text, p_approval_id uuid)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_approval_id uuid := coalesce(p_approval_id, gen_random_uuid());
  v_run_id      uuid;
BEGIN
  PERFORM iu.fn_iu_gate_approval_check(p_gate_key);
  IF p_kind IS NULL OR p_kind NOT IN ('single', 'standing') THEN
    RAISE check_violation USING MESSAGE = format('kind must be single or standing, not %s', coalesce(quote_literal(p_kind), 'NULL')),
      HINT = 'fn_iu_gate_break_glass opens without another''s approval.';
  END IF;
  IF p_action IS NULL OR p_action NOT IN ('open', 'renew') THEN
    RAISE check_violation USING MESSAGE = format('action must be open or renew, not %s', coalesce(quote_literal(p_action), 'NULL'));
  END IF;
  IF p_kind = 'standing' AND p_action <> 'open' THEN
    RAISE check_violation USING MESSAGE = 'a standing approval is to open', DETAIL = 'It covers renewals as well.';
  END IF;
  IF p_max_ttl_seconds IS NULL OR p_max_ttl_seconds NOT BETWEEN 1 AND 3600 THEN
    RAISE check_violation USING
      MESSAGE = format('max_ttl_seconds must be from 1 to 3600, not %s', coalesce(p_max_ttl_seconds::text, 'NULL'));
  END IF;
  IF p_expires_at IS NULL OR p_expires_at <= clock_timestamp() OR p_expires_at > clock_timestamp() + interval '366 days' THEN
    RAISE check_violation USING
      MESSAGE = format('expires_at must be a time to come, within 366 days, not %s', coalesce(p_expires_at::text, 'NULL'));
  END IF;
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'an approval is granted by somebody for a reason', HINT = 'Give p_actor and p_reason.';
  END IF;
  IF p_granted_to IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = p_granted_to) THEN
    RAISE undefined_object USING MESSAGE = format('role "%s" does not exist', p_granted_to);
  END IF;
  IF p_granted_to = session_user THEN
    RAISE SQLSTATE 'IU106' USING
      MESSAGE = format('"%s" may not approve what "%1$s" opens', session_user),
      HINT = 'Somebody else grants it. Where nobody can: fn_iu_gate_break_glass.';
  END IF;
  IF NOT iu.fn_iu_gate_approver_is(p_gate_key, session_user) THEN
    RAISE SQLSTATE 'IU107' USING
      MESSAGE = format('"%s" is not on the approval list of gate "%s"', session_user, p_gate_key),
      HINT = 'iu_gate_approver has the lists.';
  END IF;

  INSERT INTO public.iu_gate_approval
      (approval_id, gate_key, kind, action, max_ttl_seconds, granted_to, expires_at, grantor, reason)
    VALUES (v_approval_id, p_gate_key, p_kind, p_action, p_max_ttl_seconds, p_granted_to, p_expires_at, p_actor, p_reason)
    ON CONFLICT (approval_id) DO NOTHING;
  IF NOT FOUND THEN
    RAISE duplicate_object USING MESSAGE = format('approval %s is registered already', v_approval_id);
  END IF;
  v_run_id := iu.fn_iu_gate_approval_log('dot_iu_gate_approval_grant', p_gate_key, p_actor, p_reason,
    jsonb_build_object('status', 'granted', 'approval_id', v_approval_id, 'kind', p_kind, 'action', p_action,
      'max_ttl_seconds', p_max_ttl_seconds, 'expires_at', p_expires_at, 'granted_to', p_granted_to));
  RETURN jsonb_build_object('status', 'granted', 'approval_id', v_approval_id, 'gate_key', p_gate_key, 'kind', p_kind,
    'action', p_action, 'max_ttl_seconds', p_max_ttl_seconds, 'expires_at', p_expires_at, 'granted_to', p_granted_to,
    'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_grant IS
  'What public.fn_iu_gate_approval_grant hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_approval_grant(
    p_gate_key text, p_action text, p_max_ttl_seconds integer, p_expires_at timestamptz, p_actor text, p_reason text,
    p_kind text DEFAULT 'single', p_granted_to text DEFAULT NULL, p_approval_id uuid DEFAULT gen_random_uuid())
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_gate_approval_grant(p_gate_key, p_action, p_max_ttl_seconds, p_expires_at, p_actor, p_reason, p_kind, p_granted_to, p_approval_id) END;
COMMENT ON FUNCTION public.fn_iu_gate_approval_grant IS
  'Registers an approval, to be used by somebody else: gate, open or renew, longest time of an opening in seconds '
  '(1 to 3600), until when (at most 366 days), who, why, single or standing, the login role that may use it '
  '(NULL: any), and an id where a new one shall not be made. Returns {status: granted, approval_id, gate_key, '
  'kind, action, max_ttl_seconds, expires_at, granted_to, run_id}. Errors, in this order: 42501 NEVER-FLIP, 42501 '
  'not a governable gate, 23514 kind, action, time, end, actor or reason missing or wrong, 42704 no such role, '
  'IU106 to oneself, IU107 not on the approval list, 42710 the id is registered already.';

CREATE FUNCTION iu.fn_iu_gate_approval_revoke(p_approval_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
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
      HINT = 'v_iu_gate_approval lists the approvals.';
  END IF;
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'an approval is revoked by somebody for a reason', HINT = 'Give p_actor and p_reason.';
  END IF;

  -- Somebody who keeps the gate's row must not keep the approval alive: without
  -- the row it is revoked all the same, and the watchdog closes when it can.
  BEGIN
    PERFORM FROM public.dot_config c WHERE c.key = v_gate_key FOR NO KEY UPDATE;
  EXCEPTION WHEN lock_not_available THEN
    v_blocker := iu.fn_iu_gate_blocker(v_gate_key);
  END;
  BEGIN
    UPDATE public.iu_gate_approval
       SET revoked_at = clock_timestamp(), revoked_by = session_user, revoked_reason = p_reason
     WHERE approval_id = p_approval_id AND revoked_at IS NULL;
  EXCEPTION WHEN lock_not_available THEN
    RAISE lock_not_available USING
      MESSAGE = format('approval %s is being used: %s', p_approval_id, iu.fn_iu_gate_blocker(v_gate_key)),
      HINT = 'End that session and try again, or wait for the gate to expire.';
  END;
  IF FOUND THEN
    v_status := 'revoked';
  END IF;

  IF v_blocker IS NULL AND EXISTS (
       SELECT FROM public.v_iu_gate g WHERE g.gate_key = v_gate_key AND g.value = 'true' AND g.approval_id = p_approval_id) THEN
    PERFORM iu.fn_iu_gate_close(v_gate_key, p_actor, 'approval revoked: ' || p_reason);
    v_closed := true;
  ELSIF v_blocker IS NULL THEN
    -- An older snapshot must not open on it.
    UPDATE public.dot_config SET value = value WHERE key = v_gate_key;
  END IF;
  v_run_id := iu.fn_iu_gate_approval_log('dot_iu_gate_approval_revoke', v_gate_key, p_actor, p_reason,
    jsonb_build_object('status', v_status, 'approval_id', p_approval_id, 'closed', v_closed, 'blocker', v_blocker));
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
  'blocker, run_id}. blocker, in words: who has kept the gate locked for 2 s; the approval is revoked then, and '
  'the watchdog closes as soon as it can. Errors: IU101 not registered, 23514 no actor or reason, 55P03 somebody '
  'uses it in a transaction that lasts longer than 2 s.';

CREATE FUNCTION iu.fn_iu_gate_approvers_set(p_gate_key text, p_approvers text[], p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_unknown  text;
  v_previous jsonb;
  v_run_id   uuid;
BEGIN
  PERFORM iu.fn_iu_gate_approval_check(p_gate_key);
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'an approval list is made by somebody for a reason', HINT = 'Give p_actor and p_reason.';
  END IF;
  IF p_approvers IS NULL OR array_position(p_approvers, NULL) IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = 'an approval list has no NULL', HINT = 'An empty list lets every member of iu_core_operator approve.';
  END IF;
  SELECT n.name INTO v_unknown FROM unnest(p_approvers) AS n (name)
   WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = n.name) LIMIT 1;
  IF FOUND THEN
    RAISE undefined_object USING MESSAGE = format('role "%s" does not exist', v_unknown);
  END IF;

  -- Under the lock of the gate, so that no opening decides on the old list later.
  UPDATE public.dot_config SET value = value WHERE key = p_gate_key;
  SELECT coalesce(jsonb_agg(a.approver ORDER BY a.approver), '[]') INTO v_previous
    FROM public.iu_gate_approver a WHERE a.gate_key = p_gate_key;
  DELETE FROM public.iu_gate_approver a WHERE a.gate_key = p_gate_key;
  INSERT INTO public.iu_gate_approver (gate_key, approver) SELECT DISTINCT p_gate_key, n.name FROM unnest(p_approvers) AS n (name);
  v_run_id := iu.fn_iu_gate_approval_log('dot_iu_gate_approvers_set', p_gate_key, p_actor, p_reason,
    jsonb_build_object('previous', v_previous, 'approvers', to_jsonb(p_approvers)));
  RETURN jsonb_build_object('status', 'set', 'gate_key', p_gate_key, 'previous', v_previous,
    'approvers', to_jsonb(p_approvers), 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approvers_set IS
  'What public.fn_iu_gate_approvers_set hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_approvers_set(p_gate_key text, p_approvers text[], p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_gate_approvers_set(p_gate_key, p_approvers, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_approvers_set IS
  'Sets a gate''s approval list: gate, the roles whose members may grant approvals for it (an empty list: '
  'iu_core_operator), who, why. What somebody granted who is not on it is void from then on, and no longer '
  'renewed. To grant one needs EXECUTE on fn_iu_gate_approval_grant as well, which members of iu_core_operator '
  'have. Returns {status: set, gate_key, previous, approvers, run_id}. Errors: 42501 not a governable gate, 23514 '
  'list, actor or reason missing, 42704 no such role.';

CREATE FUNCTION iu.fn_iu_gate_approval_mode_set(p_mode text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_previous text;
  v_status   text;
  v_run_id   uuid;
BEGIN
  IF p_mode IS NULL OR p_mode NOT IN ('default', 'strict') THEN
    RAISE check_violation USING
      MESSAGE = format('the mode is default or strict, not %s', coalesce(quote_literal(p_mode), 'NULL'));
  END IF;
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'the approval mode is set by somebody for a reason', HINT = 'Give p_actor and p_reason.';
  END IF;
  SELECT c.value INTO v_previous FROM public.dot_config c WHERE c.key = 'iu_core.gate_approval_mode' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = 'iu_core.gate_approval_mode has no row in dot_config, which reads as strict',
      HINT = 'Put it back: INSERT INTO dot_config (key, value) VALUES (''iu_core.gate_approval_mode'', ''strict'');';
  END IF;
  v_status := CASE WHEN v_previous = p_mode THEN 'unchanged' ELSE 'set' END;
  UPDATE public.dot_config SET value = p_mode WHERE key = 'iu_core.gate_approval_mode';
  v_run_id := iu.fn_iu_gate_approval_log('dot_iu_gate_approval_mode_set', NULL, p_actor, p_reason,
    jsonb_build_object('status', v_status, 'previous', v_previous, 'mode', p_mode));
  RETURN jsonb_build_object('status', v_status, 'previous', v_previous, 'mode', p_mode, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_mode_set IS
  'What public.fn_iu_gate_approval_mode_set hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_approval_mode_set(p_mode text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_gate_approval_mode_set(p_mode, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_approval_mode_set IS
  'Sets how openings are approved: default (an operator may give any id) or strict (the approval must be '
  'registered), who, why. Waits for openings under way. Returns {status: set | unchanged, previous, mode, '
  'run_id}. Errors: 23514 mode, actor or reason missing or wrong, 42704 no row in dot_config.';

CREATE FUNCTION iu.fn_iu_gate_break_glass(p_gate_key text, p_actor text, p_reason text, p_ttl_seconds integer)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_approval_id uuid := gen_random_uuid();
  v_opened      jsonb;
  v_event_id    uuid;
BEGIN
  PERFORM iu.fn_iu_gate_approval_check(p_gate_key);
  IF coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING MESSAGE = 'break-glass needs a reason: say why nobody else approves';
  END IF;
  IF p_ttl_seconds IS NULL OR p_ttl_seconds NOT BETWEEN 1 AND 3600 THEN
    RAISE check_violation USING
      MESSAGE = format('ttl_seconds must be from 1 to 3600, not %s', coalesce(p_ttl_seconds::text, 'NULL'));
  END IF;
  IF coalesce(btrim(p_actor), '') = '' THEN
    RAISE check_violation USING MESSAGE = 'actor required: say who opens the gate';
  END IF;

  INSERT INTO public.iu_gate_approval
      (approval_id, gate_key, kind, action, max_ttl_seconds, granted_to, expires_at, grantor, reason)
    VALUES (v_approval_id, p_gate_key, 'break_glass', 'open', p_ttl_seconds, session_user,
            clock_timestamp() + interval '1 hour', p_actor, p_reason);
  v_opened := iu.fn_iu_gate_open(p_gate_key, v_approval_id, p_actor, 'break-glass: ' || p_reason, p_ttl_seconds);

  INSERT INTO public.event_outbox
      (event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table,
       event_subject_ref, actor_ref, source_system, safe_payload)
    SELECT r.event_domain, r.event_type, r.event_stream, r.delivery_lane, r.default_severity, 'iu_gate_transition',
           v_opened ->> 'transition_id', p_actor, 'iu_core',
           jsonb_build_object('gate_key', p_gate_key, 'approval_id', v_approval_id, 'reason', p_reason,
             'status', v_opened ->> 'status', 'expires_at', v_opened ->> 'expires_at', 'session_user', session_user)
      FROM public.event_type_registry r
     WHERE r.event_domain = 'governance' AND r.event_type = 'gate_break_glass' AND r.active
       AND iu.fn_iu_core_routes_enabled()
    RETURNING id INTO v_event_id;
  RAISE WARNING USING
    MESSAGE = format('break-glass: gate "%s" %s by "%s" without anybody''s approval, for %s s',
                     p_gate_key, v_opened ->> 'status', session_user, p_ttl_seconds),
    DETAIL = format('Actor: %s. Reason: %s. Approval: %s.', p_actor, p_reason, v_approval_id);
  RETURN v_opened || jsonb_build_object('event_id', v_event_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_break_glass IS
  'What public.fn_iu_gate_break_glass hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_break_glass(p_gate_key text, p_actor text, p_reason text, p_ttl_seconds integer)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_gate_break_glass(p_gate_key, p_actor, p_reason, p_ttl_seconds) END;
COMMENT ON FUNCTION public.fn_iu_gate_break_glass IS
  'Opens (or, for its holder, renews) a gate that nobody else approved, in strict mode and beside its approval '
  'list too: gate, who, why, seconds. It makes an approval of its own, a WARNING in the server log, and the event '
  'governance.gate_break_glass (none while the master switch is off). Returns what fn_iu_gate_open does, and '
  'event_id. Errors: 42501 NEVER-FLIP, 42501 not a governable gate, 23514 reason, time or actor missing or out of '
  'range, and from 55000 on those of fn_iu_gate_open.';
