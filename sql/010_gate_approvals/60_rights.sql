-- Who may read and use what 010 brings.

GRANT SELECT ON public.iu_gate_approval, public.iu_gate_approver, public.v_iu_gate_approval TO iu_core_reader;
GRANT EXECUTE ON FUNCTION iu.fn_iu_gate_approver_is TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_gate_approval_grant, iu.fn_iu_gate_approval_grant, public.fn_iu_gate_approval_revoke,
    iu.fn_iu_gate_approval_revoke, public.fn_iu_gate_break_glass, iu.fn_iu_gate_break_glass
  TO iu_core_operator;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_gate_approvers_set, iu.fn_iu_gate_approvers_set, public.fn_iu_gate_approval_mode_set,
    iu.fn_iu_gate_approval_mode_set
  TO iu_core_admin;
-- This is all that an agent may do.
GRANT EXECUTE ON FUNCTION
    public.fn_iu_gate_open, iu.fn_iu_gate_open, public.fn_iu_gate_close, iu.fn_iu_gate_close,
    public.fn_iu_gate_verify_closed, iu.fn_iu_gate_verify_closed, public.fn_iu_emit_event, iu.fn_iu_emit_event
  TO iu_core_agent;
