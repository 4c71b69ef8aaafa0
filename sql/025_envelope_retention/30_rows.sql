-- Commands and refusals of 025, and the command of 023, which brings no other object
-- than those that are counted.

INSERT INTO public.dot_iu_command_catalog
    (command_name, category, mutating, reversible, target_functions, logged_by) VALUES
  ('dot_iu_three_axis_envelope_refresh_if_stale', 'health', true, true,
   ARRAY['fn_iu_three_axis_envelope_refresh_if_stale'], 'runtime');
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_runtime_rollback_by_actor', 'health', true, false, ARRAY['fn_iu_runtime_rollback_by_actor']);

SELECT iu.fn_iu_refusal_put(25, ARRAY[
  ['iu_runtime_rollback_target', '23514', 'Rows are taken back by actor from one log only.',
   'Give iu_three_axis_envelope_refresh_log.'],
  ['iu_runtime_rollback_dry_run', '23514', 'Whether it is a dry run was left out.', 'Give true or false.']]);
