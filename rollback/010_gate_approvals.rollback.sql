-- Undoes 010: any approval id opens again, and nothing is renewed. Refuses in
-- strict mode, while a gate is open, and where approvals would be lost.
SELECT iu.fn_iu_rollback_guard();
DO $guard$
DECLARE
  v_routes text;
BEGIN
  IF (SELECT c.value FROM public.dot_config c
       WHERE c.key = 'iu_core.gate_approval_mode') IS DISTINCT FROM 'default' THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: approvals are strict',
      HINT = 'An administrator sets them to default with fn_iu_gate_approval_mode_set.',
      CONSTRAINT = 'iu_rollback_strict';
  END IF;
  SELECT string_agg(r.route_code, ', ' ORDER BY r.route_code) INTO v_routes FROM public.iu_outbound_route r
   WHERE r.event_domain = 'governance' AND r.event_type = 'gate_break_glass';
  IF v_routes IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: routes carry the event governance.gate_break_glass',
      DETAIL = format('Routes: %s.', v_routes), CONSTRAINT = 'iu_rollback_routes',
      HINT = 'Retire them with fn_iu_route_retire.';
  END IF;
END
$guard$;
SELECT iu_core.guard_rows('public.iu_gate_approval');
SELECT iu_core.guard_rows('public.iu_gate_approver');
SELECT iu_core.guard_rows('public.iu_gate_confirmation');
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_gate_approval_grant',
  'dot_iu_gate_approval_revoke', 'dot_iu_gate_approval_confirm', 'dot_iu_gate_approvers_set',
  'dot_iu_gate_approval_mode_set', 'dot_iu_gate_break_glass']);
DELETE FROM public.iu_refusal WHERE migration = 10;

-- Its events stay in the outbox, which is 004's.
DELETE FROM public.event_type_registry WHERE event_domain = 'governance' AND event_type = 'gate_break_glass';
DELETE FROM public.dot_config WHERE key = 'iu_core.gate_approval_mode';

REVOKE EXECUTE ON FUNCTION
    public.fn_iu_gate_open, iu.fn_iu_gate_open, public.fn_iu_gate_close, iu.fn_iu_gate_close,
    public.fn_iu_gate_verify_closed, iu.fn_iu_gate_verify_closed, public.fn_iu_emit_event, iu.fn_iu_emit_event
  FROM iu_core_agent;

DROP VIEW public.v_iu_gate_approval;
DROP FUNCTION public.fn_iu_gate_break_glass;
DROP FUNCTION iu.fn_iu_gate_break_glass;
DROP FUNCTION public.fn_iu_gate_approval_mode_set;
DROP FUNCTION iu.fn_iu_gate_approval_mode_set;
DROP FUNCTION public.fn_iu_gate_approvers_set;
DROP FUNCTION iu.fn_iu_gate_approvers_set;
DROP FUNCTION public.fn_iu_gate_approval_confirm;
DROP FUNCTION iu.fn_iu_gate_approval_confirm;
DROP FUNCTION public.fn_iu_gate_approval_revoke;
DROP FUNCTION iu.fn_iu_gate_approval_revoke;
DROP FUNCTION public.fn_iu_gate_approval_grant;
DROP FUNCTION iu.fn_iu_gate_approval_grant;
DROP FUNCTION iu.fn_iu_gate_approval_require_roles;
DROP FUNCTION iu.fn_iu_gate_approval_require_terms;
DROP FUNCTION iu.fn_iu_gate_approval_renew;
DROP FUNCTION iu.fn_iu_gate_approval_state;
DROP FUNCTION iu.fn_iu_gate_standing_on;
DROP FUNCTION iu.fn_iu_gate_approvals_confirm;
DROP FUNCTION iu.fn_iu_gate_approval_lasts;
DROP FUNCTION iu.fn_iu_gate_approval_spend;
DROP FUNCTION iu.fn_iu_gate_approval_require_grantor;
DROP FUNCTION iu.fn_iu_gate_approval_require_good;
DROP FUNCTION iu.fn_iu_gate_approval_require_fit;
DROP FUNCTION iu.fn_iu_gate_approval_closed_by;
DROP FUNCTION iu.fn_iu_gate_approver_is;
DROP TABLE public.iu_gate_confirmation;
DROP TABLE public.iu_gate_approval;
DROP TABLE public.iu_gate_approver;
DROP FUNCTION iu.fn_iu_gate_approval_guard;
