-- Commands and refusals of 008.

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_invariant_register',   'health', true,  true,  ARRAY['fn_iu_invariant_register']),
  ('dot_iu_invariant_enable',     'health', true,  true,  ARRAY['fn_iu_invariant_enable']),
  ('dot_iu_invariant_unregister', 'health', true,  true,  ARRAY['fn_iu_invariant_unregister']),
  ('dot_iu_gate_demand_set',      'health', true,  true,  ARRAY['fn_iu_gate_demand_set']),
  ('dot_iu_gate_demand_unset',    'health', true,  true,  ARRAY['fn_iu_gate_demand_unset']);
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES ('dot_iu_invariant_check', 'read', false, true, ARRAY['fn_iu_invariant_check'], 'caller');

SELECT iu.fn_iu_refusal_put(8, ARRAY[
  ['iu_invariant_view', '23514', 'The view cannot be an invariant.', 'Make a view of one of the two shapes.'],
  ['iu_invariant_comparable', '23514', 'Left and right of the view cannot be compared.', 'Cast both to one type.'],
  ['iu_invariant_owner', '42710', 'The invariant of that code belongs to a migration, or to another one.',
   'Give another code.'],
  ['iu_invariant_code', '23514', 'The code has another form.',
   'Use 1 to 120 small letters, digits, "_", ".", ":" or "-", with a letter first.'],
  ['iu_invariant_meaning', '23514', 'What holds while the invariant passes was left out.', 'Say it in a sentence.'],
  ['iu_invariant_severity', '23514', 'The severity is not one of those there are.', 'Give critical or warning.'],
  ['iu_invariant_tolerance', '23514', 'The tolerance is no finite number from 0.', 'Give a number, 0 or more.'],
  ['iu_invariant_settle_seconds', '23514', 'The settle window is out of range.', 'Give 0 to 604800 seconds.'],
  ['iu_invariant_every_seconds', '23514', 'How often it is checked is out of range.',
   'Give 1 to 604800 seconds, or NULL.'],
  ['iu_invariant_timeout_ms', '23514', 'The longest time of a reading is out of range.', 'Give 1 to 60000 ms.'],
  ['iu_invariant_enabled', '23514', 'Whether it is enabled was left out.', 'Give true or false.'],
  ['iu_invariant_unknown', '42704', 'There is no invariant of that code.', 'See v_iu_invariant for the invariants.'],
  ['iu_invariant_gone', '42704', 'The invariant was removed while it was read.',
   'See v_iu_invariant for the invariants.'],
  ['iu_invariant_of_migration', '55006', 'The invariant belongs to a migration.',
   'Disable it with fn_iu_invariant_enable.'],
  ['iu_invariant_demanded', '55006', 'A gate demands the invariant.',
   'Take the demand back with fn_iu_gate_demand_unset.'],
  ['iu_gate_demand_fails', 'IU111', 'The gate demands an invariant that fails.',
   'Repair what differs; the error names it.'],
  ['iu_gate_demand_unknown', 'IU112', 'The gate demands an invariant of which nothing is known.',
   'Look at why it is unknown; the error says so.'],
  ['iu_gate_demand_disabled', 'IU112', 'The gate demands an invariant that is disabled.',
   'Enable it, or take the demand back.'],
  ['iu_gate_demand_max_age', '23514', 'How long a pass is good for is out of range.', 'Give 0 to 86400 seconds.'],
  ['iu_gate_demand_missing', '42704', 'The gate does not demand that invariant.', 'See iu_gate_demand.'],
  ['iu_rollback_invariant_demanded', '55006', 'A gate demands an invariant that the rollback takes away.',
   'Take the demand back with fn_iu_gate_demand_unset.'],
  ['iu_hook_failed', '01000', 'A function that a migration added failed and was undone; this is a warning.',
   'Read the error in the warning; what called the function went on.']]);
