-- Who may read and use what 010 brings.

GRANT SELECT ON public.iu_gate_approver, public.v_iu_gate_approval TO iu_core_reader;
-- All but the ids, which are for those who may open on them.
GRANT SELECT (approval_mark, gate_key, kind, action, max_ttl_seconds, granted_to, granted_to_oid, expires_at,
    granted_by, granted_by_oid, grantor_login, grantor_login_oid, grantor, reason, granted_at, used_at, used_by,
    used_by_oid, place)
  ON public.iu_gate_approval TO iu_core_reader;
GRANT SELECT (confirmation_id, approval_mark, confirmed_at, confirmed_by, confirmed_by_oid, session_role, session_oid,
    after_seq, actor, reason)
  ON public.iu_gate_confirmation TO iu_core_reader;
GRANT SELECT ON public.iu_gate_approval, public.iu_gate_confirmation TO iu_core_operator;
GRANT EXECUTE ON FUNCTION iu.fn_iu_gate_approver_is, iu.fn_iu_gate_approval_closed_by TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_gate_approval_grant, iu.fn_iu_gate_approval_grant, public.fn_iu_gate_approval_revoke,
    iu.fn_iu_gate_approval_revoke, public.fn_iu_gate_approval_confirm, iu.fn_iu_gate_approval_confirm,
    public.fn_iu_gate_break_glass, iu.fn_iu_gate_break_glass
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
