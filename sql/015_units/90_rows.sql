-- Commands and refusals of 015.

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_policy_set',   'health', true, true, ARRAY['fn_iu_policy_set']),
  ('dot_iu_vocab_add',    'health', true, true, ARRAY['fn_iu_vocab_add']),
  ('dot_iu_vocab_remove', 'health', true, true, ARRAY['fn_iu_vocab_remove']);
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_create_piece', 'piece', true, false, ARRAY['fn_iu_create'], 'runtime'),
  ('dot_iu_comment_piece', 'piece', true, false, ARRAY['fn_iu_comment'], 'runtime'),
  ('dot_iu_update_piece_metadata', 'piece', true, false, ARRAY['fn_iu_save', 'fn_iu_apply_edit_draft'], 'runtime'),
  ('dot_iu_import', 'piece', true, false, ARRAY['fn_iu_import'], 'runtime');

SELECT iu.fn_iu_refusal_put(15, ARRAY[
  ['iu_policy_unknown', '42501', 'The key is not one of a policy.', 'See iu_policy_registry for the policies.'],
  ['iu_policy_value', '23514', 'The value has not the form that the policy allows.',
   'Give one that matches allowed_pattern of iu_policy_registry.'],
  ['iu_policy_missing', '42704', 'The policy has no row in dot_config.', 'Put the row back as iu_core_owner.'],
  ['iu_vocabulary', '23514', 'There is no vocabulary of that name.',
   'Use one of those that the error lists.'],
  ['iu_vocabulary_value', '23514', 'The value of a vocabulary has another form.',
   'Use 1 to 100 small letters, digits or "_", with a letter first.'],
  ['iu_vocabulary_description', '23514', 'What the value of a vocabulary means was left out.', 'Say it.'],
  ['iu_vocabulary_value_unknown', '42704', 'The vocabulary has no such value.',
   'Use one of those that the error lists.'],
  ['iu_vocabulary_value_used', '55006', 'The value of a vocabulary is in use.',
   'Leave it, or change what uses it; the error names it.'],
  ['iu_gateway_blocked', '42501', 'Units are written by canonical functions only.',
   'Use fn_iu_create, fn_iu_save, fn_iu_enact and the other canonical functions.'],
  ['iu_unit_immutable', '42501', 'An enacted, superseded or retired unit does not change.',
   'Save an edit with fn_iu_save, or replace the unit with fn_iu_supersede.'],
  ['iu_birth_field', '23514', 'A unit is born with a value that its vocabulary has not, or with an incomplete profile.',
   'Give a value that the error lists, or have an administrator add it with fn_iu_vocab_add.'],
  ['iu_unit_anchor', '23514', 'At commit a unit has not both anchors, or they are not those of a version of it.',
   'Create units with fn_iu_create.'],
  ['iu_piece_event_failed', '01000', 'An event of a piece was refused and not written; this is a warning.',
   'Read the error in the warning; the act on the unit went on.']]);
