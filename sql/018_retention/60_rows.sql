-- Commands and refusals of 018.

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_retention_policy_set', 'health', true, true,  ARRAY['fn_iu_core_retention_policy_set']),
  ('dot_iu_retention_cleanup',    'health', true, false, ARRAY['fn_iu_core_retention_cleanup']);

SELECT iu.fn_iu_refusal_put(18, ARRAY[
  ['iu_retention_target', '23514', 'Retention has no rule for that table.', 'See iu_core_retention_target.'],
  ['iu_retention_keep_days', '23514', 'How many days are kept is out of range.', 'Give 1 to 36500.'],
  ['iu_retention_active', '23514', 'Whether the policy is active was left out.', 'Give true or false.'],
  ['iu_retention_dry_run', '23514', 'Whether the cleanup is a dry run was left out.', 'Give true or false.'],
  ['iu_retention_max_rows', '23514', 'How many rows one call may delete is out of range.', 'Give 1 to 1000000.'],
  ['iu_retention_gate_closed', '42501', 'The gate of retention is closed.',
   'Open it with fn_iu_gate_open, or make a dry run.']]);
