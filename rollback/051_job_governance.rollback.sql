-- Undoes 051: jobs stay as they are, and leases that are over are taken back by nobody.
-- Refuses while a gate is open, and where somebody set one of its retention policies or
-- the log of its commands would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_core_retention_policy',
  $$target_table IN ('job_queue', 'job_dead_letter') AND set_by IS NOT NULL$$);
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_reap_stale_leases', 'dot_iu_list_stale_leases',
  'dot_iu_triage_dead_letter', 'dot_iu_replay_dead_letter', 'dot_iu_clean_jobs']);
DELETE FROM public.iu_core_retention_policy WHERE target_table IN ('job_queue', 'job_dead_letter');
DELETE FROM public.iu_core_retention_target WHERE migration = 51;
DELETE FROM public.iu_command_done WHERE migration = 51;
SELECT iu.fn_iu_surface_undefine(51);
SELECT iu.fn_iu_hook_remove(51);

DROP VIEW public.v_job_dead_letter_summary;
DROP VIEW public.v_job_queue_backlog;
DROP VIEW public.v_queue_health;
DROP FUNCTION public.fn_job_clean;
DROP FUNCTION iu.fn_job_clean;
DROP FUNCTION public.fn_job_dead_letter_replay;
DROP FUNCTION iu.fn_job_dead_letter_replay;
DROP FUNCTION public.fn_job_dead_letter_triage;
DROP FUNCTION iu.fn_job_dead_letter_triage;
DROP FUNCTION iu.fn_job_dead_letter_missing;
DROP FUNCTION iu.fn_job_reap_chore;
DROP FUNCTION public.fn_job_reap_stale_leases_apply;
DROP FUNCTION iu.fn_job_reap_stale_leases_apply;
DROP FUNCTION public.fn_job_reap_stale_leases;
DROP FUNCTION iu.fn_job_reap_stale_leases;
DELETE FROM public.iu_switch_registry WHERE switch_key IN ('queue.lease.reaper_enabled',
  'queue.lease.reaper_dry_run_only');
DELETE FROM public.dot_config WHERE key IN ('queue.lease.reaper_enabled', 'queue.lease.reaper_dry_run_only',
  'queue.runtime.phase');
SELECT iu.fn_iu_gate_unregister(51);
