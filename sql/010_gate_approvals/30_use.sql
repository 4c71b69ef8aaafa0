CREATE OR REPLACE FUNCTION iu.fn_iu_gate_approval_use(
    p_gate_key text, p_action text, p_approval_id uuid, p_actor text, p_ttl_seconds integer)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_time     CONSTANT text := 'YYYY-MM-DD HH24:MI:SS.MS';
  v_operator boolean := pg_has_role(session_user, 'iu_core_operator', 'MEMBER');
  v_mode     text;
  v_approval public.iu_gate_approval;
BEGIN
  IF p_approval_id IS NULL THEN
    RAISE check_violation USING MESSAGE = 'approval_id required (Điều 32)';
  END IF;
  -- Held until the commit: whoever sets the mode waits for openings under the old one.
  SELECT c.value INTO v_mode FROM public.dot_config c WHERE c.key = 'iu_core.gate_approval_mode' FOR SHARE;
  SELECT a.* INTO v_approval FROM public.iu_gate_approval a WHERE a.approval_id = p_approval_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    IF v_operator AND v_mode = 'default' THEN
      RETURN;
    END IF;
    RAISE SQLSTATE 'IU101' USING
      MESSAGE = format('approval %s is not registered', p_approval_id),
      DETAIL = CASE WHEN v_operator THEN 'The approval mode is strict.'
        ELSE format('"%s" is not a member of iu_core_operator.', session_user) END,
      HINT = 'Ask somebody else for one: fn_iu_gate_approval_grant.';
  END IF;

  IF v_approval.system_identifier <> iu_core.system_identifier() OR v_approval.database_oid <> iu_core.database_oid() THEN
    RAISE SQLSTATE 'IU101' USING
      MESSAGE = format('approval %s was granted in another database', p_approval_id),
      DETAIL = 'This one is a copy.',
      HINT = 'Ask for another one: fn_iu_gate_approval_grant.';
  END IF;
  IF v_approval.gate_key <> p_gate_key THEN
    RAISE SQLSTATE 'IU105' USING
      MESSAGE = format('approval %s is for gate "%s", not for gate "%s"', p_approval_id, v_approval.gate_key, p_gate_key);
  END IF;
  IF v_approval.action <> p_action AND v_approval.kind = 'single' THEN
    RAISE SQLSTATE 'IU105' USING
      MESSAGE = format('approval %s is to %s, not to %s', p_approval_id, v_approval.action, p_action);
  END IF;
  IF v_approval.granted_to <> session_user THEN
    RAISE SQLSTATE 'IU105' USING
      MESSAGE = format('approval %s is for role "%s", not for "%s"', p_approval_id, v_approval.granted_to, session_user);
  END IF;
  IF v_approval.revoked_at IS NOT NULL THEN
    RAISE SQLSTATE 'IU104' USING
      MESSAGE = format('approval %s was revoked at %s UTC by "%s"', p_approval_id,
        to_char(v_approval.revoked_at AT TIME ZONE 'UTC', c_time), v_approval.revoked_by),
      DETAIL = format('Reason: %s.', v_approval.revoked_reason);
  END IF;
  IF v_approval.used_at IS NOT NULL THEN
    RAISE SQLSTATE 'IU102' USING
      MESSAGE = format('approval %s was used at %s UTC by "%s"', p_approval_id,
        to_char(v_approval.used_at AT TIME ZONE 'UTC', c_time), v_approval.used_by),
      HINT = 'An approval is good for one use. Ask for another one: fn_iu_gate_approval_grant.';
  END IF;
  IF v_approval.expires_at <= clock_timestamp() THEN
    RAISE SQLSTATE 'IU103' USING
      MESSAGE = format('approval %s expired at %s UTC', p_approval_id,
        to_char(v_approval.expires_at AT TIME ZONE 'UTC', c_time)),
      HINT = 'Ask for another one: fn_iu_gate_approval_grant.';
  END IF;
  IF v_approval.kind <> 'break_glass' AND (v_approval.granted_by = session_user OR v_approval.grantor = p_actor) THEN
    RAISE SQLSTATE 'IU106' USING
      MESSAGE = format('approval %s was granted by "%s", who may not use it', p_approval_id, v_approval.granted_by),
      DETAIL = format('Granted as actor %s, opened as actor %s by "%s".', v_approval.grantor, p_actor, session_user),
      HINT = 'Somebody else opens on it, or grants another one. Where nobody can: fn_iu_gate_break_glass.';
  END IF;
  IF v_approval.kind <> 'break_glass' AND NOT iu.fn_iu_gate_approver_is(p_gate_key, v_approval.granted_by) THEN
    RAISE SQLSTATE 'IU107' USING
      MESSAGE = format(CASE WHEN EXISTS (SELECT FROM public.iu_gate_approver l WHERE l.gate_key = p_gate_key)
        THEN 'approval %s was granted by "%s", who is not on the approval list of gate "%s"'
        ELSE 'approval %s was granted by "%s", who is no longer a member of iu_core_operator' END,
        p_approval_id, v_approval.granted_by, p_gate_key),
      HINT = 'iu_gate_approver has the lists.';
  END IF;
  IF p_ttl_seconds > v_approval.max_ttl_seconds THEN
    RAISE SQLSTATE 'IU108' USING
      MESSAGE = format('approval %s allows at most %s s, not %s', p_approval_id, v_approval.max_ttl_seconds, p_ttl_seconds);
  END IF;
  IF v_approval.kind = 'standing' THEN
    IF clock_timestamp() + make_interval(secs => p_ttl_seconds) > v_approval.expires_at THEN
      RAISE SQLSTATE 'IU108' USING
        MESSAGE = format('approval %s ends at %s UTC, before an opening of %s s would', p_approval_id,
          to_char(v_approval.expires_at AT TIME ZONE 'UTC', c_time), p_ttl_seconds);
    END IF;
    RETURN;
  END IF;

  UPDATE public.iu_gate_approval SET used_at = clock_timestamp(), used_by = session_user
   WHERE approval_id = p_approval_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_use IS
  'For fn_iu_gate_open, under the lock of the gate: uses an approval: gate, open or renew, approval, who, '
  'seconds. One that is not registered passes only in default mode, for members of iu_core_operator (by login '
  'role). Errors: 23514 no id, IU101 not registered or granted in another database, IU105 for another gate, '
  'action or role, IU104 revoked, IU102 used, IU103 expired, IU106 granted by the one who opens, IU107 its '
  'grantor is not on the approval list, IU108 for a shorter time; 40001 in a transaction whose snapshot is too '
  'old.';
