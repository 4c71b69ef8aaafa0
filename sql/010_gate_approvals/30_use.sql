-- Using an approval. fn_iu_gate_approval_use of migration 003 calls
-- fn_iu_gate_approval_spend, since that is here.

CREATE FUNCTION iu.fn_iu_gate_approval_require_fit(
    p_approval public.iu_gate_approval, p_gate_key text, p_action text)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_id     CONSTANT uuid := p_approval.approval_id;
  v_caller CONSTANT oid := iu.fn_iu_require_caller();
BEGIN
  IF p_approval.place IS DISTINCT FROM iu_core.place() OR NOT iu.fn_iu_place_is_home() THEN
    RAISE SQLSTATE 'IU101' USING
      MESSAGE = format('approval %s was granted in another place', v_id),
      DETAIL = coalesce(iu.fn_iu_place_trouble(), 'It was not confirmed here.'),
      HINT = 'Ask for another one: fn_iu_gate_approval_grant.', CONSTRAINT = 'iu_approval_foreign';
  ELSIF p_approval.gate_key <> p_gate_key THEN
    RAISE SQLSTATE 'IU105' USING
      MESSAGE = format('approval %s is for gate "%s", not for gate "%s"', v_id, p_approval.gate_key, p_gate_key),
      DETAIL = format('Approved: %s; asked for: %s.', p_approval.gate_key, p_gate_key),
      CONSTRAINT = 'iu_approval_gate';
  ELSIF p_approval.action <> p_action AND p_approval.kind = 'single' THEN
    RAISE SQLSTATE 'IU105' USING
      MESSAGE = format('approval %s is to %s, not to %s', v_id, p_approval.action, p_action),
      DETAIL = format('Approved: %s; asked for: %s.', p_approval.action, p_action),
      CONSTRAINT = 'iu_approval_action';
  ELSIF p_approval.granted_to_oid <> v_caller THEN
    RAISE SQLSTATE 'IU105' USING
      MESSAGE = format('approval %s is for role "%s", not for "%s"', v_id, p_approval.granted_to,
                       pg_get_userbyid(v_caller)),
      DETAIL = format('Granted to: %s, oid %s; role: %s, oid %s; login role: %s.', p_approval.granted_to,
                      p_approval.granted_to_oid, pg_get_userbyid(v_caller), v_caller, session_user),
      HINT = CASE WHEN p_approval.granted_to = pg_get_userbyid(v_caller)
        THEN 'It was granted to a role that is gone or has another name now. Ask for another one.'
        ELSE 'Ask for one that is granted to you: fn_iu_gate_approval_grant(..., p_granted_to => ...).' END,
      CONSTRAINT = 'iu_approval_role';
  ELSIF p_approval.granted_to_oid IS NULL AND NOT iu_core.caller_may('{iu_core_operator}') THEN
    RAISE SQLSTATE 'IU105' USING
      MESSAGE = format('approval %s names nobody, so it is not for "%s"', v_id, pg_get_userbyid(v_caller)),
      DETAIL = 'Without a name an approval is for members of iu_core_operator.',
      HINT = 'Ask for one that is granted to you: fn_iu_gate_approval_grant(..., p_granted_to => ...).',
      CONSTRAINT = 'iu_approval_unnamed';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_require_fit IS
  'Refuses an approval for something else: approval, gate, open or renew. Errors: IU101 granted in another place, '
  'IU105 for another gate, action or role, or for operators only, 42501 nobody acts.';

CREATE FUNCTION iu.fn_iu_gate_approval_require_good(p_approval public.iu_gate_approval) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_time CONSTANT text := 'YYYY-MM-DD HH24:MI:SS.MS';
  v_id   CONSTANT uuid := p_approval.approval_id;
  v_at   CONSTANT text := to_char(coalesce(p_approval.used_at, p_approval.expires_at) AT TIME ZONE 'UTC', c_time)
                          || ' UTC';
  v_revocation public.iu_gate_revocation;
  v_close      record;
BEGIN
  SELECT r.* INTO v_revocation FROM public.iu_gate_revocation r
   WHERE r.approval_id = v_id ORDER BY r.revoked_at LIMIT 1;
  IF FOUND THEN
    RAISE SQLSTATE 'IU104' USING
      MESSAGE = format('approval %s was revoked at %s UTC by "%s"', v_id,
                       to_char(v_revocation.revoked_at AT TIME ZONE 'UTC', c_time), v_revocation.revoked_by),
      DETAIL = format('Reason: %s.', v_revocation.reason), CONSTRAINT = 'iu_approval_revoked';
  ELSIF p_approval.used_at IS NOT NULL THEN
    RAISE SQLSTATE 'IU102' USING
      MESSAGE = format('approval %s was used at %s by "%s"', v_id, v_at, p_approval.used_by),
      DETAIL = format('Used: %s; by: %s.', v_at, p_approval.used_by),
      HINT = 'An approval is good for one use. Ask for another one: fn_iu_gate_approval_grant.',
      CONSTRAINT = 'iu_approval_used';
  ELSIF p_approval.expires_at <= clock_timestamp() THEN
    RAISE SQLSTATE 'IU103' USING
      MESSAGE = format('approval %s expired at %s', v_id, v_at),
      DETAIL = format('Expired: %s.', v_at),
      HINT = 'Ask for another one: fn_iu_gate_approval_grant.', CONSTRAINT = 'iu_approval_expired';
  ELSIF p_approval.granted_at > clock_timestamp() THEN
    RAISE SQLSTATE 'IU103' USING
      MESSAGE = format('approval %s is dated in the future', v_id),
      DETAIL = format('Granted: %s UTC; now: %s UTC.', to_char(p_approval.granted_at AT TIME ZONE 'UTC', c_time),
                      to_char(clock_timestamp() AT TIME ZONE 'UTC', c_time)),
      HINT = 'The clock was set back. Ask for another one: fn_iu_gate_approval_grant.',
      CONSTRAINT = 'iu_approval_future';
  ELSIF p_approval.kind = 'standing' AND NOT iu_core.caller_may('{iu_core_operator}') THEN
    SELECT c.closed_at, c.closed_by INTO v_close
      FROM iu.fn_iu_gate_approval_closed_by(p_approval.gate_key, v_id) c;
    IF v_close.closed_at IS NOT NULL THEN
      RAISE SQLSTATE 'IU109' USING
        MESSAGE = format('approval %s waits for confirmation: "%s" closed its gate', v_id, v_close.closed_by),
        DETAIL = format('Closed: %s UTC; by: %s.', to_char(v_close.closed_at AT TIME ZONE 'UTC', c_time),
                        v_close.closed_by),
        HINT = 'One who may approve for the gate confirms it: fn_iu_gate_approval_confirm.',
        CONSTRAINT = 'iu_approval_closed';
    END IF;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_require_good IS
  'Refuses an approval that is over: IU104 revoked, IU102 used, IU103 expired, or dated in the future; and to whoever '
  'is not an operator a standing one whose gate somebody else than its holder closed: IU109. Argument: the approval.';

CREATE FUNCTION iu.fn_iu_gate_approval_require_grantor(p_approval public.iu_gate_approval, p_actor text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_id      CONSTANT uuid := p_approval.approval_id;
  v_grantor CONSTANT name := p_approval.granted_by;
BEGIN
  IF p_approval.kind = 'break_glass' THEN
    RETURN;
  ELSIF p_approval.grantor = p_actor
        OR iu.fn_iu_same_person(p_approval.granted_by_oid, p_approval.grantor_login_oid,
                                iu_core.caller(), iu_core.login()) THEN
    RAISE SQLSTATE 'IU106' USING
      MESSAGE = format('approval %s was granted by "%s", who may not use it', v_id, v_grantor),
      DETAIL = format('Granted as actor %s under login %s, opened as actor %s by "%s" under login %s.',
        p_approval.grantor, p_approval.grantor_login, p_actor, pg_get_userbyid(iu_core.caller()), session_user),
      HINT = 'Somebody else opens on it, or grants another one. Where nobody can: fn_iu_gate_break_glass.',
      CONSTRAINT = 'iu_approval_own';
  ELSIF NOT iu.fn_iu_gate_approver_is(p_approval.gate_key, p_approval.granted_by_oid) THEN
    RAISE SQLSTATE 'IU107' USING
      MESSAGE = format(CASE WHEN EXISTS (SELECT FROM public.iu_gate_approver l WHERE l.gate_key = p_approval.gate_key)
        THEN 'approval %s was granted by "%s", who is not on the approval list of gate "%s"'
        ELSE 'approval %s was granted by "%s", who is no longer a member of iu_core_operator' END,
        v_id, v_grantor, p_approval.gate_key),
      DETAIL = format('Grantor: %s, oid %s.', v_grantor, p_approval.granted_by_oid),
      HINT = 'iu_gate_approver has the lists.', CONSTRAINT = 'iu_approval_grantor';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_require_grantor IS
  'Refuses an approval of the wrong person: approval, who uses it. Errors: IU106 granted by the one who opens, by '
  'role, login or name, IU107 its grantor, who may be gone, is not on the approval list of its gate. One for '
  'break-glass passes.';

CREATE FUNCTION iu.fn_iu_gate_approval_spend(
    p_gate_key text, p_action text, p_approval_id uuid, p_actor text, p_ttl_seconds integer)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_operator CONSTANT boolean := iu_core.caller_may('{iu_core_operator}');
  v_mode     text;
  v_approval public.iu_gate_approval;
BEGIN
  -- Locked until the commit: whoever sets the mode waits for openings under the old one.
  SELECT c.value INTO v_mode FROM public.dot_config c WHERE c.key = 'iu_core.gate_approval_mode' FOR SHARE;
  SELECT a.* INTO v_approval FROM public.iu_gate_approval a WHERE a.approval_id = p_approval_id FOR NO KEY UPDATE;
  IF NOT FOUND AND v_operator AND v_mode = 'default' THEN
    RETURN;
  ELSIF v_approval.approval_id IS NULL THEN
    RAISE SQLSTATE 'IU101' USING
      MESSAGE = format('approval %s is not registered', p_approval_id),
      DETAIL = CASE WHEN v_operator THEN 'The approval mode is strict.'
        ELSE format('"%s" is not a member of iu_core_operator; login role: %s.',
                    pg_get_userbyid(iu_core.caller()), session_user) END,
      HINT = 'Ask somebody else for one: fn_iu_gate_approval_grant.', CONSTRAINT = 'iu_approval_unregistered';
  END IF;
  PERFORM iu.fn_iu_gate_approval_require_fit(v_approval, p_gate_key, p_action);
  PERFORM iu.fn_iu_gate_approval_require_good(v_approval);
  PERFORM iu.fn_iu_gate_approval_require_grantor(v_approval, p_actor);
  IF p_ttl_seconds > v_approval.max_ttl_seconds THEN
    RAISE SQLSTATE 'IU108' USING
      MESSAGE = format('approval %s allows at most %s s, not %s', p_approval_id, v_approval.max_ttl_seconds,
                       p_ttl_seconds),
      DETAIL = format('Approved: %s s; asked for: %s s.', v_approval.max_ttl_seconds, p_ttl_seconds),
      CONSTRAINT = 'iu_approval_ttl';
  ELSIF v_approval.kind <> 'standing' THEN
    UPDATE public.iu_gate_approval
       SET used_at = clock_timestamp(), used_by_oid = iu_core.caller(), used_by = pg_get_userbyid(iu_core.caller())
     WHERE approval_id = p_approval_id;
  ELSIF clock_timestamp() + make_interval(secs => p_ttl_seconds) > v_approval.expires_at THEN
    RAISE SQLSTATE 'IU108' USING
      MESSAGE = format('approval %s ends at %s UTC, before an opening of %s s would', p_approval_id,
        to_char(v_approval.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'), p_ttl_seconds),
      DETAIL = format('Asked for: %s s.', p_ttl_seconds),
      HINT = 'Open for less.', CONSTRAINT = 'iu_approval_ends';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_spend IS
  'For fn_iu_gate_open, under the lock of the gate: uses an approval: gate, open or renew, approval, who, seconds. '
  'One that is not registered passes only in default mode, for whoever acts with the rights of iu_core_operator. '
  'Errors: IU101 not registered or granted in another place, IU105 for another gate, action or role, or for '
  'operators only, IU104 revoked, IU102 used, IU103 expired, IU109 its gate was closed by a person, IU106 granted by '
  'the one who opens, IU107 its grantor is not on the approval list, IU108 for a shorter time; 40001 in a transaction '
  'whose snapshot is too old.';
