-- Undoes 025. What was deleted stays so. Refuses while a gate is open, and where a
-- policy that somebody set or the log of its commands would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_core_retention_policy', $$set_by IS NOT NULL AND target_table IN
  ('iu_three_axis_envelope_refresh_log', 'iu_three_axis_envelope_trigger_error_log')$$);
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_three_axis_envelope_refresh_if_stale',
  'dot_iu_runtime_rollback_by_actor']);
DELETE FROM public.iu_refusal WHERE migration = 25;
DROP FUNCTION public.fn_iu_runtime_rollback_by_actor;
DROP FUNCTION iu.fn_iu_runtime_rollback_by_actor;
DELETE FROM public.iu_core_retention_policy p
 USING public.iu_core_retention_target t WHERE t.target_table = p.target_table AND t.migration = 25;
DELETE FROM public.iu_core_retention_target WHERE migration = 25;
