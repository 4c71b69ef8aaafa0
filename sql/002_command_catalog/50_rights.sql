GRANT SELECT ON
    public.dot_iu_command_catalog, public.dot_iu_command_run, public.v_dot_iu_command_registry,
    public.v_dot_iu_command_run_health
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_dot_iu_command_log, iu.fn_dot_iu_command_log
  TO iu_core_writer, iu_core_operator;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_conformance_repair', 'health', true, false, ARRAY['fn_iu_conformance_repair']);
