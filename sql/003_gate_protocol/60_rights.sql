-- Who may read and use what 003 brings.

GRANT SELECT ON
    public.iu_gate_registry, public.iu_gate_transition, public.v_iu_gate, public.v_iu_gate_holder, public.iu_place
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_gate_verify_closed, iu.fn_iu_gate_verify_closed, iu.fn_iu_gate_snapshot, public.fn_iu_gate_blocker,
    iu.fn_iu_gate_blocker,
    public.fn_iu_gate_ledger_verify, iu.fn_iu_gate_ledger_verify, public.fn_iu_gate_ledger_excerpt,
    iu.fn_iu_gate_ledger_excerpt, iu.fn_iu_place_is_home
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_gate_open, iu.fn_iu_gate_open, public.fn_iu_gate_close, iu.fn_iu_gate_close,
    public.fn_iu_gate_watchdog, iu.fn_iu_gate_watchdog, public.fn_iu_place_confirm, iu.fn_iu_place_confirm
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
