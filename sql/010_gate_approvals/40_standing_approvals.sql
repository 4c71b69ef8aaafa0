-- Standing approvals: what the watchdog renews, and opens again where it lapsed.
-- The functions of migration 003 call these, since they are here.

-- Without an instance a copy could not be told from its original, so that nothing lasts.
CREATE FUNCTION iu.fn_iu_gate_approval_lasts(p_approval public.iu_gate_approval) RETURNS boolean
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce(p_approval.kind = 'standing'
    AND NOT EXISTS (SELECT FROM public.iu_gate_revocation r WHERE r.approval_id = p_approval.approval_id)
    AND (p_approval.granted_to_oid IS NULL OR p_approval.granted_to_oid IN (SELECT u.oid FROM pg_roles u))
    AND p_approval.granted_at <= clock_timestamp() AND p_approval.expires_at > clock_timestamp()
    AND p_approval.place = iu_core.place() AND p_approval.place = iu_core.opening_place()
    AND iu.fn_iu_gate_approver_is(p_approval.gate_key, p_approval.granted_by_oid) AND iu.fn_iu_place_is_home(), false)
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_lasts IS
  'Whether an approval is a standing one on which the watchdog keeps its gate open now: not revoked, neither ended nor '
  'dated in the future, of this place, with an instance given, its grantor still there and allowed to approve, and '
  'whom it names still there. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_approval_state(
    p_gate_key text, OUT renew_at timestamptz, OUT withdrawn boolean, OUT standing boolean)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  SELECT iu.fn_iu_gate_approval_lasts(a) AND a.expires_at >= l.expires_at,
         CASE WHEN a.expires_at >= l.expires_at + interval '1 second'
              THEN l.expires_at - make_interval(secs => least(l.ttl_seconds / 2.0, 30)) END,
         r.approval_id IS NOT NULL
    INTO standing, renew_at, withdrawn
    FROM (SELECT t.action, t.approval_id, t.expires_at, t.ttl_seconds FROM public.iu_gate_transition t
           WHERE t.gate_key = p_gate_key ORDER BY t.transition_seq DESC LIMIT 1) l
    JOIN public.iu_gate_approval a ON a.approval_id = l.approval_id AND l.action = 'open'
    LEFT JOIN LATERAL (SELECT x.approval_id FROM public.iu_gate_revocation x
                        WHERE x.approval_id = a.approval_id LIMIT 1) r ON true;
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

-- What a person did last counts: where that is an opening on a standing approval
-- that lasts, the gate is to be open, whatever the watchdog had to close since.
CREATE FUNCTION iu.fn_iu_gate_standing_on(
    p_gate_key text, OUT approval_id uuid, OUT ttl_seconds integer, OUT actor text, OUT held_by name,
    OUT lapsed_at timestamptz)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT a.approval_id, least(l.ttl_seconds, floor(extract(epoch FROM a.expires_at - clock_timestamp())))::integer,
         l.actor, h.rolname, least(l.expires_at, n.created_at)
    FROM (SELECT t.* FROM public.iu_gate_transition t
           WHERE t.gate_key = p_gate_key AND t.action <> 'watchdog_close'
           ORDER BY t.transition_seq DESC LIMIT 1) l
    JOIN public.iu_gate_approval a ON a.approval_id = l.approval_id AND iu.fn_iu_gate_approval_lasts(a)
    LEFT JOIN pg_roles h ON h.oid = l.holder_oid
    LEFT JOIN LATERAL (SELECT t.created_at FROM public.iu_gate_transition t
                        WHERE t.gate_key = p_gate_key AND t.transition_seq > l.transition_seq
                        ORDER BY t.transition_seq LIMIT 1) n ON true
   WHERE l.action = 'open' AND a.expires_at > clock_timestamp() + interval '1 second'
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_standing_on IS
  'The standing approval on which a gate is to be open: the last thing that a person did to the gate, or the watchdog '
  'for one, was to open it on that, and it lasts. With the seconds of an opening on it, who holds the gate, as told '
  'and by its role, and when the last opening ended. NULLs where there is none. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_approval_renew(p_gate_key text, p_actor text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_transition_id CONSTANT uuid := gen_random_uuid();
  v_on            record;
  v_grantor       name;
  v_previous      text;
  v_open          boolean;
  v_renew_at      timestamptz;
  v_reason        text;
  v_run_id        uuid;
BEGIN
  SELECT s.* INTO v_on FROM iu.fn_iu_gate_standing_on(p_gate_key) s;
  -- A revocation waits for nobody: one that commits meanwhile ends this opening too, by every reading of the gate.
  SELECT a.granted_by INTO v_grantor FROM public.iu_gate_approval a WHERE a.approval_id = v_on.approval_id;
  SELECT g.value, coalesce(g.due_at > clock_timestamp(), false) INTO v_previous, v_open FROM public.v_iu_gate g
   WHERE g.gate_key = p_gate_key AND g.gate_class = 'governable';
  SELECT d.renew_at INTO v_renew_at FROM iu.fn_iu_gate_approval_state(p_gate_key) d;
  IF v_grantor IS NULL OR v_previous IS NULL OR v_on.ttl_seconds < 1
     OR (v_open AND (v_renew_at IS NULL OR v_renew_at > clock_timestamp())) THEN
    RETURN NULL;
  END IF;

  v_reason := CASE WHEN v_open THEN format('renewed by %s on the standing approval of "%s"', p_actor, v_grantor)
    ELSE format('opened again by %s on the standing approval of "%s": nobody closed it, it ended at %s UTC', p_actor,
                v_grantor, to_char(v_on.lapsed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')) END;
  v_run_id := iu.fn_iu_gate_log('dot_iu_gate_watchdog', CASE WHEN v_open THEN 'renewed' ELSE 'opened' END,
    p_gate_key, v_transition_id, jsonb_build_array(p_gate_key, v_on.approval_id, v_on.ttl_seconds, p_actor), p_actor,
    jsonb_build_object('reason', v_reason, 'session_user', v_on.held_by));
  PERFORM iu.fn_iu_gate_transit(v_transition_id, p_gate_key, 'open', v_previous, v_on.approval_id, v_on.ttl_seconds,
                                v_on.actor, v_reason, v_run_id, true);
  RETURN v_reason;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_renew IS
  'For fn_iu_gate_close_expired, under the lock of the gate: renews a gate opened on a standing approval for the '
  'same time once more, for its holder, if it is due to be (fn_iu_gate_approval_state), or opens it again where it '
  'lapsed (fn_iu_gate_standing_on), never beyond the end of the approval; says how in words, or NULL if not. Raises '
  'nothing of its own.';

CREATE FUNCTION iu.fn_iu_gate_approvals_confirm(p_approvals uuid[], p_actor text) RETURNS bigint
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_id       uuid;
  v_approval public.iu_gate_approval;
BEGIN
  FOREACH v_id IN ARRAY p_approvals LOOP
    SELECT a.* INTO v_approval FROM public.iu_gate_approval a WHERE a.approval_id = v_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
      RAISE SQLSTATE 'IU101' USING
        MESSAGE = format('approval %s is not registered', coalesce(v_id::text, 'NULL')),
        DETAIL = format('Approval: %s.', coalesce(v_id::text, 'NULL')),
        HINT = 'v_iu_gate_approval lists the approvals.', CONSTRAINT = 'iu_approval_unknown';
    ELSIF NOT iu.fn_iu_gate_approver_is(v_approval.gate_key, iu.fn_iu_require_caller()) THEN
      RAISE SQLSTATE 'IU107' USING
        MESSAGE = format('"%s" is not on the approval list of gate "%s"', pg_get_userbyid(iu_core.caller()),
                         v_approval.gate_key),
        DETAIL = format('Role: %s; gate: %s.', pg_get_userbyid(iu_core.caller()), v_approval.gate_key),
        HINT = 'iu_gate_approver has the lists.', CONSTRAINT = 'iu_approver_not_listed';
    END IF;
    PERFORM iu.fn_iu_gate_approval_require_good(v_approval);
    UPDATE public.iu_gate_approval SET place = iu_core.place() WHERE approval_id = v_id;
  END LOOP;
  RETURN cardinality(p_approvals);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approvals_confirm IS
  'For fn_iu_place_confirm: lets approvals from another place go on in this one: which, who says so. Returns how many. '
  'Errors: IU101 not registered, IU107 who acts may not approve for its gate, those of '
  'fn_iu_gate_approval_require_good.';
