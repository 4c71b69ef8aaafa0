-- Who may read and use what 039 brings. A command that is applied asks for the rights
-- of whoever acts as well.

GRANT SELECT ON public.iu_command_gate, public.iu_command_done, public.iu_command_exemption,
    public.v_iu_command_coverage
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_dot_iu_command_plan, iu.fn_dot_iu_command_plan, public.fn_dot_iu_command_apply,
    iu.fn_dot_iu_command_apply, public.fn_dot_iu_command_verify, iu.fn_dot_iu_command_verify
  TO iu_core_operator, iu_core_writer, iu_core_agent;
