-- Undoes 010: any approval id opens again, and nothing is renewed. Refuses in
-- strict mode, while a gate is open, and where approvals would be lost.
SELECT iu.fn_iu_rollback_guard();
DO $guard$
DECLARE
  v_routes text;
BEGIN
  IF (SELECT c.value FROM public.dot_config c WHERE c.key = 'iu_core.gate_approval_mode') IS DISTINCT FROM 'default' THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: approvals are strict',
      HINT = 'An administrator sets them to default with fn_iu_gate_approval_mode_set.';
  END IF;
  SELECT string_agg(r.route_code, ', ' ORDER BY r.route_code) INTO v_routes FROM public.iu_outbound_route r
   WHERE r.event_domain = 'governance' AND r.event_type = 'gate_break_glass';
  IF v_routes IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: routes carry the event governance.gate_break_glass',
      DETAIL = format('Routes: %s.', v_routes);
  END IF;
END
$guard$;
SELECT iu_core.guard_rows('public.iu_gate_approval');
SELECT iu_core.guard_rows('public.iu_gate_approver');
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_gate_approval_grant',
  'dot_iu_gate_approval_revoke', 'dot_iu_gate_approvers_set', 'dot_iu_gate_approval_mode_set']);

-- Its events stay in the outbox, which is 004's.
DELETE FROM public.event_type_registry WHERE event_domain = 'governance' AND event_type = 'gate_break_glass';
DELETE FROM public.dot_config WHERE key = 'iu_core.gate_approval_mode';

REVOKE EXECUTE ON FUNCTION
    public.fn_iu_gate_open, iu.fn_iu_gate_open, public.fn_iu_gate_close, iu.fn_iu_gate_close,
    public.fn_iu_gate_verify_closed, iu.fn_iu_gate_verify_closed, public.fn_iu_emit_event, iu.fn_iu_emit_event
  FROM iu_core_agent;

-- As 003 has them.
CREATE OR REPLACE FUNCTION iu.fn_iu_gate_approval_use(
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

CREATE OR REPLACE FUNCTION iu.fn_iu_gate_approval_due(p_gate_key text, OUT renew_at timestamptz, OUT withdrawn boolean)
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

CREATE OR REPLACE FUNCTION iu.fn_iu_gate_renew(p_gate_key text, p_actor text) RETURNS text
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

DROP VIEW public.v_iu_gate_approval;
DROP FUNCTION public.fn_iu_gate_break_glass;
DROP FUNCTION iu.fn_iu_gate_break_glass;
DROP FUNCTION public.fn_iu_gate_approval_mode_set;
DROP FUNCTION iu.fn_iu_gate_approval_mode_set;
DROP FUNCTION public.fn_iu_gate_approvers_set;
DROP FUNCTION iu.fn_iu_gate_approvers_set;
DROP FUNCTION public.fn_iu_gate_approval_revoke;
DROP FUNCTION iu.fn_iu_gate_approval_revoke;
DROP FUNCTION public.fn_iu_gate_approval_grant;
DROP FUNCTION iu.fn_iu_gate_approval_grant;
DROP FUNCTION iu.fn_iu_gate_approval_check;
DROP FUNCTION iu.fn_iu_gate_approval_log;
DROP FUNCTION iu.fn_iu_gate_approver_is;
DROP TABLE public.iu_gate_approval;
DROP TABLE public.iu_gate_approver;
DROP FUNCTION iu.fn_iu_gate_approval_guard;
