-- Who may read and use what 028 brings, and its commands.

GRANT SELECT ON public.iu_merge_set TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_piece_merge, iu.fn_iu_piece_merge
  TO iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_piece_merge_rollback, iu.fn_iu_piece_merge_rollback
  TO iu_core_operator;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_merge_piece', 'piece', true, true, ARRAY['fn_iu_piece_merge'], 'runtime'),
  ('dot_iu_merge_piece_rollback', 'piece', true, false, ARRAY['fn_iu_piece_merge_rollback'], 'runtime');
