-- Who may use what 026 brings, and its commands.

GRANT EXECUTE ON FUNCTION
    public.fn_iu_supersede, iu.fn_iu_supersede
  TO iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_retire, iu.fn_iu_retire
  TO iu_core_operator;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_supersede_piece', 'lifecycle', true, false, ARRAY['fn_iu_supersede'], 'runtime'),
  ('dot_iu_retire_piece', 'lifecycle', true, false, ARRAY['fn_iu_retire'], 'runtime');
