-- Who may read and use what 027 brings, its commands and refusals.

GRANT SELECT ON public.iu_split_set TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_piece_split, iu.fn_iu_piece_split
  TO iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_piece_split_rollback, iu.fn_iu_piece_split_rollback
  TO iu_core_operator;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_split_piece', 'piece', true, true, ARRAY['fn_iu_piece_split'], 'runtime'),
  ('dot_iu_split_piece_rollback', 'piece', true, false, ARRAY['fn_iu_piece_split_rollback'], 'runtime');

SELECT iu.fn_iu_refusal_put(27, ARRAY[
  ['iu_piece_set_unchanged', '42501', 'What is recorded of a split or a merge does not change.',
   'Take it back with fn_iu_piece_split_rollback or fn_iu_piece_merge_rollback.']]);
