-- Undoes 035. What was deleted stays so. Refuses while a gate is open, and where a
-- policy that somebody set would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_core_retention_policy',
  $$set_by IS NOT NULL AND target_table = 'iu_auto_instantiate_event_log'$$);
DELETE FROM public.iu_core_retention_policy WHERE target_table = 'iu_auto_instantiate_event_log';
DELETE FROM public.iu_core_retention_target WHERE migration = 35;
