-- Who may read and use what 051 brings, and its commands.

GRANT SELECT ON public.v_queue_health, public.v_job_queue_backlog, public.v_job_dead_letter_summary TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_job_reap_stale_leases, iu.fn_job_reap_stale_leases
  TO iu_core_reader, iu_core_operator;
GRANT EXECUTE ON FUNCTION
    public.fn_job_reap_stale_leases_apply, iu.fn_job_reap_stale_leases_apply,
    public.fn_job_dead_letter_triage, iu.fn_job_dead_letter_triage,
    public.fn_job_dead_letter_replay, iu.fn_job_dead_letter_replay, public.fn_job_clean, iu.fn_job_clean
  TO iu_core_operator;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_reap_stale_leases', 'lifecycle', true, false, ARRAY['fn_job_reap_stale_leases_apply'], 'runtime'),
  ('dot_iu_list_stale_leases', 'read', false, false, ARRAY['fn_job_reap_stale_leases'], 'caller');
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_triage_dead_letter', 'lifecycle', true, false, ARRAY['fn_job_dead_letter_triage']),
  ('dot_iu_replay_dead_letter', 'lifecycle', true, false, ARRAY['fn_job_dead_letter_replay']),
  ('dot_iu_clean_jobs', 'health', true, false, ARRAY['fn_job_clean']);

SELECT iu.fn_iu_command_gate_put('queue.job_substrate.enabled', ARRAY['dot_iu_reap_stale_leases',
  'dot_iu_replay_dead_letter']);
SELECT iu.fn_iu_command_gate_put('queue.dlq.replay_enabled', ARRAY['dot_iu_replay_dead_letter']);
SELECT iu.fn_iu_command_gate_put('iu_core.retention_enabled', ARRAY['dot_iu_clean_jobs']);
SELECT iu.fn_iu_command_done_put(51, ARRAY['dry_run', 'reaped', 'manual_replay', 'closed', 'would_replay', 'replayed',
  'cleaned']);

SELECT iu.fn_iu_surface_define(51, 'job_dead_letter_open', 'job_dead_letter, open', 'query',
  $$SELECT count(*) FROM public.job_dead_letter WHERE triage_status <> 'closed'$$, 'any', p_sort_order => 19);
