-- Who may read and use what 003 brings.

GRANT SELECT ON public.iu_gate_registry, public.v_iu_gate, public.v_iu_gate_holder, public.iu_place TO iu_core_reader;
-- All but the approval's id, which is for those who may open on it.
GRANT SELECT (transition_id, transition_seq, gate_key, action, prev_value, new_value, ttl_seconds, expires_at, actor,
    reason, run_id, system_identifier, database_oid, place, written_by, session_role, session_oid, acting_role,
    acting_oid, holder_oid, holder_login, approval_mark, created_at, prev_hash, row_hash)
  ON public.iu_gate_transition TO iu_core_reader;
GRANT SELECT (revocation_id, approval_mark, revoked_at, revoked_by, revoked_by_oid, session_role, session_oid, actor,
    reason)
  ON public.iu_gate_revocation TO iu_core_reader;
GRANT SELECT ON public.iu_gate_transition, public.iu_gate_revocation TO iu_core_operator;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_gate_verify_closed, iu.fn_iu_gate_verify_closed, iu.fn_iu_gate_snapshot, public.fn_iu_gate_blocker,
    iu.fn_iu_gate_blocker, iu.fn_iu_gate_blockers, iu.fn_iu_gate_row_holders,
    public.fn_iu_gate_ledger_verify, iu.fn_iu_gate_ledger_verify, public.fn_iu_gate_ledger_excerpt,
    iu.fn_iu_gate_ledger_excerpt, iu.fn_iu_place_is_home
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_gate_open, iu.fn_iu_gate_open, public.fn_iu_gate_close, iu.fn_iu_gate_close,
    public.fn_iu_gate_watchdog, iu.fn_iu_gate_watchdog, public.fn_iu_gate_unblock, iu.fn_iu_gate_unblock,
    public.fn_iu_place_confirm, iu.fn_iu_place_confirm
  TO iu_core_operator;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_gate_define, iu.fn_iu_gate_define, public.fn_iu_gate_undefine, iu.fn_iu_gate_undefine
  TO iu_core_admin;
GRANT EXECUTE ON FUNCTION iu.fn_iu_gate_expiring, iu.fn_iu_gate_close_expired, iu.fn_iu_gate_close_overstayed,
    iu.fn_iu_place_begin
  TO iu_core_worker;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_structure_ops_enabled, public.fn_iu_delivery_enabled, public.fn_iu_composer_enabled,
    public.fn_dot_iu_operator_runtime_enabled, public.fn_iu_vector_sync_enabled
  TO iu_core_reader, iu_core_writer, iu_core_worker;
