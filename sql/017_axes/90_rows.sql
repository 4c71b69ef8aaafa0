-- Commands and refusals of 017.

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_tag_register', 'piece', true, true, ARRAY['fn_iu_tag_register']);
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_rebuild_metadata_axes', 'piece', true, false,
   ARRAY['fn_iu_metadata_refresh', 'fn_iu_tree_path_refresh'], 'runtime'),
  ('dot_iu_tag_set', 'piece', true, true, ARRAY['fn_iu_tag_set', 'fn_iu_tag_unset'], 'runtime'),
  ('dot_iu_filter_axis_b', 'read', false, true, ARRAY['fn_iu_filter_axis_b'], 'caller'),
  ('dot_iu_subtree', 'read', false, true, ARRAY['fn_iu_subtree'], 'caller'),
  ('dot_iu_reconstruct_source', 'read', false, true, ARRAY['fn_iu_reconstruct_source'], 'caller');

SELECT iu.fn_iu_refusal_put(17, ARRAY[
  ['iu_tag_key', '23514', 'The key of a tag was left out or has another form.',
   'Give 1 to 200 characters without blanks at the ends.'],
  ['iu_tag_kind', '23514', 'The kind of a tag was left out or has another form.',
   'Use 1 to 63 small letters, digits or "_", with a letter first.'],
  ['iu_tag_label', '23514', 'What people read of a tag was left out.', 'Give it.'],
  ['iu_tree_cycle', '23514', 'A unit would be its own ancestor.', 'Give it another parent.'],
  ['iu_tree_depth', '23514', 'A unit would have more than 64 units above it.',
   'Give it, or the unit above it that moves, a parent that is less deep.']]);
