-- Approvals: an id must be given, nothing more. Migration 010 puts approvals
-- that are registered, revoked and renewed on behind these three.
CREATE FUNCTION iu.fn_iu_gate_approval_use(
    p_gate_key text, p_action text, p_approval_id uuid, p_actor text, p_ttl_seconds integer)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_approval_id IS NULL THEN
    RAISE check_violation USING MESSAGE = 'approval_id required (Điều 32)';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_use IS
  'For fn_iu_gate_open, under the lock of the gate: uses an approval: gate, open or renew, approval, who, '
  'seconds. Here any id will do; migration 010 replaces it. Error: 23514 no id.';

CREATE FUNCTION iu.fn_iu_gate_approval_due(p_gate_key text, OUT renew_at timestamptz, OUT withdrawn boolean)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  withdrawn := false;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_due IS
  'For the watchdog: when an open gate is to be renewed (NULL: never), and whether its approval was withdrawn, so '
  'that it is due at once. Here never and no; migration 010 replaces it. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_renew(p_gate_key text, p_actor text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_renew IS
  'For fn_iu_gate_close_expired, under the lock of the gate: renews it if it is due to be, and says how in words; '
  'NULL if not. Here never; migration 010 replaces it. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_held_by(p_gate_key text) RETURNS name
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT h.held_by FROM public.v_iu_gate_holder h WHERE h.gate_key = p_gate_key
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_held_by IS
  'The login role that opened a gate, or for which the watchdog renewed it; NULL if its last change is not an '
  'open. Raises nothing.';

-- What must hold before a gate opens: nothing. Migration 008 puts invariants
-- behind this one.
CREATE FUNCTION iu.fn_iu_gate_demands(p_gate_key text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_demands IS
  'For fn_iu_gate_open, before the gate is locked: raises where something that the gate demands does not hold. '
  'Here nothing is demanded; migration 008 replaces it. Raises nothing.';
