-- What a gate asks of migrations that come later. Each function here calls a
-- function of a known name where it exists, and says no, or nothing, where it
-- does not. No later migration replaces them.

-- Approvals: an id must be given. Migration 010 brings registered approvals and
-- fn_iu_gate_approval_spend. Where its table is there and the function is not,
-- the call fails, and nothing opens.
CREATE FUNCTION iu.fn_iu_gate_approval_use(
    p_gate_key text, p_action text, p_approval_id uuid, p_actor text, p_ttl_seconds integer)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_approval_id IS NULL THEN
    RAISE check_violation USING
      MESSAGE = 'approval_id required (Điều 32)', CONSTRAINT = 'iu_approval_id_required',
      HINT = 'Give the id of the approval, a UUID.';
  END IF;
  IF to_regclass('public.iu_gate_approval') IS NOT NULL
     OR to_regprocedure('iu.fn_iu_gate_approval_spend(text,text,uuid,text,integer)') IS NOT NULL THEN
    PERFORM iu.fn_iu_gate_approval_spend(p_gate_key, p_action, p_approval_id, p_actor, p_ttl_seconds);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_use IS
  'For fn_iu_gate_open, under the lock of the gate: uses an approval: gate, open or renew, approval, who, seconds. '
  'Any id will do until migration 010 brings fn_iu_gate_approval_spend, which is asked from then on. Errors: 23514 no '
  'id, and those of fn_iu_gate_approval_spend.';

CREATE FUNCTION iu.fn_iu_gate_approval_due(
    p_gate_key text, OUT renew_at timestamptz, OUT withdrawn boolean, OUT standing boolean)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF to_regprocedure('iu.fn_iu_gate_approval_state(text)') IS NOT NULL THEN
    SELECT a.renew_at, a.withdrawn, a.standing INTO renew_at, withdrawn, standing
      FROM iu.fn_iu_gate_approval_state(p_gate_key) a;
  END IF;
  withdrawn := coalesce(withdrawn, false);
  standing := coalesce(standing, false);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_due IS
  'Of the approval on which a gate was opened last: when the watchdog renews the gate (NULL: never), whether the '
  'approval was withdrawn, so that the gate is due at once, and whether it is a standing approval that is still good. '
  'Never, false and false until migration 010 brings fn_iu_gate_approval_state, which is asked from then on. Raises '
  'nothing.';

CREATE FUNCTION iu.fn_iu_gate_is_standing(p_gate_key text) RETURNS boolean
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT iu_core.gate_is_open(p_gate_key) AND (SELECT d.standing FROM iu.fn_iu_gate_approval_due(p_gate_key) d)
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_is_standing IS
  'Whether a gate is open on a standing approval that is still good: then it is as it should be, for a change window '
  'too. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_renew(p_gate_key text, p_actor text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF to_regprocedure('iu.fn_iu_gate_approval_renew(text,text)') IS NOT NULL THEN
    RETURN iu.fn_iu_gate_approval_renew(p_gate_key, p_actor);
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_renew IS
  'For fn_iu_gate_close_expired, under the lock of the gate: renews it, or opens it again, if it is due to be, and '
  'says how in words; NULL if not. Never until migration 010 brings fn_iu_gate_approval_renew, which is asked from '
  'then on. Errors: those of fn_iu_gate_approval_renew.';

CREATE FUNCTION iu.fn_iu_gate_is_to_reopen(p_gate_key text) RETURNS boolean
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF to_regprocedure('iu.fn_iu_gate_standing_on(text)') IS NOT NULL THEN
    RETURN (SELECT s.approval_id IS NOT NULL FROM iu.fn_iu_gate_standing_on(p_gate_key) s);
  END IF;
  RETURN false;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_is_to_reopen IS
  'Whether the watchdog is to open a closed gate again: it lapsed though a standing approval lasts. Never until '
  'migration 010 brings fn_iu_gate_standing_on, which is asked from then on. Raises nothing.';

-- What must hold before a gate opens. Migration 008 brings invariants that
-- gates demand, and fn_iu_gate_demands_met; its table is asked for as well, as
-- with approvals.
CREATE FUNCTION iu.fn_iu_gate_demands(p_gate_key text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF to_regclass('public.iu_gate_demand') IS NOT NULL
     OR to_regprocedure('iu.fn_iu_gate_demands_met(text)') IS NOT NULL THEN
    PERFORM iu.fn_iu_gate_demands_met(p_gate_key);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_demands IS
  'For fn_iu_gate_open, before the gate is locked: raises where something that the gate demands does not hold. '
  'Nothing is demanded until migration 008 brings fn_iu_gate_demands_met, which is asked from then on. Errors: those '
  'of fn_iu_gate_demands_met.';

CREATE FUNCTION iu.fn_iu_gate_held_by(p_gate_key text) RETURNS name
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT h.held_by FROM public.v_iu_gate_holder h WHERE h.gate_key = p_gate_key
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_held_by IS
  'For messages: the role that opened a gate, or for which the watchdog renewed it; NULL if its last change is not an '
  'open, or the role is gone. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_is_mine(p_gate_key text) RETURNS boolean
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce((SELECT h.held_by_oid = iu_core.caller() AND h.held_by_login = iu_core.login()
                     FROM public.v_iu_gate_holder h WHERE h.gate_key = p_gate_key), false)
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_is_mine IS
  'Whether who acts holds the gate: the same role, by its oid, under the same login. Behind a pooler, where many share '
  'a login, the role tells them apart. False if nobody holds it, or nobody acts. Raises nothing.';

CREATE FUNCTION iu.fn_iu_require_caller() RETURNS oid
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_caller CONSTANT oid := iu_core.caller();
BEGIN
  IF v_caller IS NULL THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'nobody acts: the server runs this for its own ends',
      DETAIL = 'In ANALYZE, in an index, in a materialized view and in replication nobody is there to have a right.',
      HINT = 'Call it in a statement of its own.', CONSTRAINT = 'iu_caller_unknown';
  END IF;
  RETURN v_caller;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_require_caller IS
  'Who acts, as iu_core.caller() says, for functions that decide by it. Error: 42501 where nobody does.';

CREATE FUNCTION iu.fn_iu_same_person(p_role oid, p_login oid, p_other_role oid, p_other_login oid) RETURNS boolean
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce(p_role = p_other_role OR p_role = p_other_login OR p_login = p_other_role
    OR p_login = p_other_login
       AND (pg_has_role(p_login, p_role, 'USAGE') OR pg_has_role(p_login, p_other_role, 'USAGE')), true)
$function$;
COMMENT ON FUNCTION iu.fn_iu_same_person IS
  'Whether two acts may be those of one person: role and login of the one, role and login of the other. They are '
  'where the roles are the same, where one acted as the other''s login, and where one login set both roles and has '
  'the rights of one of them by itself. A login that has no rights but by SET ROLE is a pooler''s: behind it the '
  'roles tell people apart. True where something is not known. Raises nothing.';
