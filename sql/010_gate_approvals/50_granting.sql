-- Granting approvals.

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
DECLARE
  v_caller CONSTANT oid := iu.fn_iu_require_caller();
  v_to     CONSTANT oid := (SELECT r.oid FROM pg_roles r WHERE r.rolname = p_granted_to);
BEGIN
  IF p_granted_to IS NOT NULL AND v_to IS NULL THEN
    RAISE undefined_object USING
      MESSAGE = format('role "%s" does not exist', p_granted_to),
      DETAIL = format('Role: %s.', p_granted_to), CONSTRAINT = 'iu_role_unknown';
  ELSIF v_to IS NOT NULL AND iu.fn_iu_same_person(v_to, v_to, v_caller, iu_core.login()) THEN
    RAISE SQLSTATE 'IU106' USING
      MESSAGE = format('"%s" may not approve what "%s" opens', pg_get_userbyid(v_caller), p_granted_to),
      DETAIL = format('Role: %s; login role: %s.', pg_get_userbyid(v_caller), session_user),
      HINT = 'Somebody else grants it. Where nobody can: fn_iu_gate_break_glass.',
      CONSTRAINT = 'iu_approval_to_oneself';
  ELSIF NOT iu.fn_iu_gate_approver_is(p_gate_key, v_caller) THEN
    RAISE SQLSTATE 'IU107' USING
      MESSAGE = format('"%s" is not on the approval list of gate "%s"', pg_get_userbyid(v_caller), p_gate_key),
      DETAIL = format('Login role: %s.', session_user),
      HINT = 'iu_gate_approver has the lists.', CONSTRAINT = 'iu_approver_not_listed';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_require_roles IS
  'Refuses a grant by who acts, or to a role: gate, who may use it (NULL: any other operator). Errors: 42704 no such '
  'role, IU106 to oneself, IU107 who acts is not on the approval list of the gate, 42501 nobody acts.';

CREATE FUNCTION iu.fn_iu_gate_approval_grant(
    p_gate_key text, p_action text, p_max_ttl_seconds integer, p_expires_at timestamptz, p_actor text, p_reason text,
    p_kind text, p_granted_to text, p_approval_id uuid)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
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
      (approval_id, gate_key, kind, action, max_ttl_seconds, granted_to, granted_to_oid, expires_at, grantor, reason)
    VALUES (v_approval_id, p_gate_key, p_kind, p_action, p_max_ttl_seconds, p_granted_to,
            (SELECT r.oid FROM pg_roles r WHERE r.rolname = p_granted_to), p_expires_at, p_actor, p_reason)
    ON CONFLICT (approval_id) DO NOTHING;
  IF NOT FOUND THEN
    RAISE duplicate_object USING
      MESSAGE = format('approval %s is registered already', v_approval_id),
      DETAIL = format('Approval: %s.', v_approval_id), CONSTRAINT = 'iu_approval_registered',
      HINT = 'Give another id, or none to have one made.';
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_gate_approval_grant', 'gate_key', p_gate_key, 'applied', p_actor,
    p_reason, jsonb_build_object('status', 'granted', 'approval_mark', iu.fn_iu_gate_approval_mark(v_approval_id),
      'kind', p_kind,
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
  'Registers an approval, to be used by somebody else: gate, open or renew, longest time of an opening in seconds (1 '
  'to 3600), until when (at most 366 days), who, why, single or standing, the role that may use it (NULL: any member '
  'of iu_core_operator; an agent must be named), and an id where a new one shall not be made. Returns {status: '
  'granted, approval_id, gate_key, kind, action, max_ttl_seconds, expires_at, granted_to, run_id}. Errors, in this '
  'order: 42501 NEVER-FLIP, 42501 not a governable gate, 23514 kind, action, time, end, actor or reason missing or '
  'wrong, 42704 no such role, IU106 to oneself, IU107 not on the approval list, 42710 the id is registered already.';
