-- Who may read and use what 008 brings.

GRANT SELECT ON
    public.iu_invariant, public.iu_invariant_state, public.iu_invariant_key, public.iu_invariant_run,
    public.iu_gate_demand, public.v_iu_invariant, public.v_iu_invariant_watermark
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION iu.fn_iu_view_problem TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_invariant_check, iu.fn_iu_invariant_check TO iu_core_operator;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_invariant_register, iu.fn_iu_invariant_register, public.fn_iu_invariant_enable,
    iu.fn_iu_invariant_enable, public.fn_iu_invariant_unregister, iu.fn_iu_invariant_unregister,
    public.fn_iu_gate_demand_set, iu.fn_iu_gate_demand_set, public.fn_iu_gate_demand_unset,
    iu.fn_iu_gate_demand_unset
  TO iu_core_admin;
GRANT EXECUTE ON FUNCTION iu.fn_iu_schedule_begin, iu.fn_iu_schedule_turn TO iu_core_worker;
