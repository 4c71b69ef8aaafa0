-- Granting and revoking approvals.

CREATE FUNCTION iu.fn_iu_gate_approval_require_terms(
    p_kind text, p_action text, p_max_ttl_seconds integer, p_expires_at timestamptz)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_require_value(p_kind IN ('single', 'standing'), 'iu_approval_kind', 'kind', 'single or standing',
    p_kind);
  PERFORM iu.fn_iu_require_value(p_action IN ('open', 'renew'), 'iu_approval_what', 'action', 'open or renew',
    p_action);
  PERFORM iu.fn_iu_require_value(p_kind <> 'standing' OR p_action = 'open', 'iu_approval_standing_open',
    'action of a standing approval', 'open, which covers renewals', p_action);
  PERFORM iu.fn_iu_require_value(p_max_ttl_seconds BETWEEN 1 AND 3600, 'iu_approval_max_ttl', 'max_ttl_seconds',
    'from 1 to 3600', p_max_ttl_seconds::text);
  PERFORM iu.fn_iu_require_value(
    p_expires_at > clock_timestamp() AND p_expires_at <= clock_timestamp() + interval '366 days', 'iu_approval_end',
    'expires_at', 'a time to come, within 366 days', p_expires_at::text);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_require_terms IS
  'Refuses the terms of an approval to be granted: kind, action, longest time of an opening in seconds, end. Error: '
  '23514, the first that is missing or out of range.';

CREATE FUNCTION iu.fn_iu_gate_approval_require_roles(p_gate_key text, p_granted_to text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_granted_to IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = p_granted_to) THEN
    RAISE undefined_object USING
      MESSAGE = format('role "%s" does not exist', p_granted_to), CONSTRAINT = 'iu_role_unknown';
  ELSIF p_granted_to = session_user THEN
    RAISE SQLSTATE 'IU106' USING
      MESSAGE = format('"%s" may not approve what "%1$s" opens', session_user),
      HINT = 'Somebody else grants it. Where nobody can: fn_iu_gate_break_glass.',
      CONSTRAINT = 'iu_approval_to_oneself';
  ELSIF NOT iu.fn_iu_gate_approver_is(p_gate_key, session_user) THEN
    RAISE SQLSTATE 'IU107' USING
      MESSAGE = format('"%s" is not on the approval list of gate "%s"', session_user, p_gate_key),
      HINT = 'iu_gate_approver has the lists.', CONSTRAINT = 'iu_approver_not_listed';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_require_roles IS
  'Refuses a grant by the login role, or to a role: gate, who may use it (NULL: anybody else). Errors: 42704 no such '
  'role, IU106 to oneself, IU107 the login role is not on the approval list of the gate.';

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
  PERFORM iu.fn_iu_gate_require_governable(p_gate_key);
  PERFORM iu.fn_iu_gate_approval_require_terms(p_kind, p_action, p_max_ttl_seconds, p_expires_at);
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  PERFORM iu.fn_iu_gate_approval_require_roles(p_gate_key, p_granted_to);

  INSERT INTO public.iu_gate_approval
      (approval_id, gate_key, kind, action, max_ttl_seconds, granted_to, expires_at, grantor, reason)
    VALUES (v_approval_id, p_gate_key, p_kind, p_action, p_max_ttl_seconds, p_granted_to, p_expires_at,
            p_actor, p_reason)
    ON CONFLICT (approval_id) DO NOTHING;
  IF NOT FOUND THEN
    RAISE duplicate_object USING
      MESSAGE = format('approval %s is registered already', v_approval_id), CONSTRAINT = 'iu_approval_registered',
      HINT = 'Give another id, or none to have one made.';
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_gate_approval_grant', 'gate_key', p_gate_key, 'applied', p_actor,
    p_reason, jsonb_build_object('status', 'granted', 'approval_id', v_approval_id, 'kind', p_kind,
      'action', p_action, 'max_ttl_seconds', p_max_ttl_seconds, 'expires_at', p_expires_at,
      'granted_to', p_granted_to, 'session_user', session_user));
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
  iu.fn_iu_gate_approval_grant(p_gate_key, p_action, p_max_ttl_seconds, p_expires_at, p_actor, p_reason, p_kind,
                               p_granted_to, p_approval_id) END;
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
      HINT = 'v_iu_gate_approval lists the approvals.', CONSTRAINT = 'iu_approval_unknown';
  END IF;
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);

  -- Somebody who keeps the gate's row locked must not keep the approval alive:
  -- without that row it is revoked all the same, and the watchdog closes when it can.
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
      HINT = 'End that session and try again, or wait for the gate to expire.', CONSTRAINT = 'iu_approval_in_use';
  END;
  IF FOUND THEN
    v_status := 'revoked';
  END IF;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_gate_approval a WHERE a.approval_id = p_approval_id AND a.revoked_at IS NOT NULL),
    'public.iu_gate_approval', 'revoking the approval');

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
    p_reason, jsonb_build_object('status', v_status, 'approval_id', p_approval_id, 'closed', v_closed,
      'blocker', v_blocker, 'session_user', session_user));
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
