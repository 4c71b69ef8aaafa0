-- Who may read and use what 050 brings, its commands, invariants and refusals.

GRANT SELECT ON
    public.job_queue, public.job_dead_letter, public.queue_heartbeat, public.job_lane, public.job_position,
    public.v_job_waiting_check
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_job_enqueue, iu.fn_job_enqueue, public.fn_job_claim, public.fn_job_start,
    iu.fn_job_start, public.fn_job_ack, iu.fn_job_ack, public.fn_job_ack_many, iu.fn_job_ack_many,
    public.fn_job_fail, iu.fn_job_fail, public.fn_queue_heartbeat_tick, iu.fn_queue_heartbeat_tick
  TO iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION public.fn_job_cancel, iu.fn_job_cancel TO iu_core_writer, iu_core_agent, iu_core_operator;
GRANT EXECUTE ON FUNCTION public.fn_queue_stale_check, iu.fn_queue_stale_check
  TO iu_core_reader, iu_core_operator, iu_core_agent;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_enqueue_job', 'lifecycle', true, true, ARRAY['fn_job_enqueue'], 'runtime'),
  ('dot_iu_claim_job', 'lifecycle', true, true, ARRAY['fn_job_claim'], 'runtime'),
  ('dot_iu_start_job', 'lifecycle', true, false, ARRAY['fn_job_start'], 'runtime'),
  ('dot_iu_acknowledge_job', 'lifecycle', true, false, ARRAY['fn_job_ack', 'fn_job_ack_many'], 'runtime'),
  ('dot_iu_fail_job', 'lifecycle', true, false, ARRAY['fn_job_fail'], 'runtime'),
  ('dot_iu_cancel_job', 'lifecycle', true, false, ARRAY['fn_job_cancel'], 'runtime'),
  ('dot_iu_queue_heartbeat', 'health', true, true, ARRAY['fn_queue_heartbeat_tick'], 'runtime'),
  ('dot_iu_queue_stale_check', 'read', false, false, ARRAY['fn_queue_stale_check'], 'caller');

SELECT iu.fn_iu_command_gate_put('queue.job_substrate.enabled', ARRAY['dot_iu_enqueue_job', 'dot_iu_claim_job',
  'dot_iu_start_job', 'dot_iu_acknowledge_job', 'dot_iu_fail_job', 'dot_iu_cancel_job']);
SELECT iu.fn_iu_command_done_put(50, ARRAY['queued', 'in_progress', 'succeeded', 'retry_waiting', 'dead_letter',
  'cancelled', 'cleaned', 'reaped', 'pending', 'manual_replay']);

SELECT iu.fn_iu_surface_define(50, 'job_queue_active', 'job_queue, active', 'query',
  $$SELECT count(*) FROM public.job_queue WHERE finished_at IS NULL$$, 'any', p_sort_order => 18);

SELECT iu.fn_iu_invariant_define(50, 'iu.job_waiting', 'public.v_job_waiting_check',
  'Each job that waits is found by a claim.', p_every_seconds => 3600, p_timeout_ms => 60000);
SELECT iu.fn_iu_refusal_put(50, ARRAY[
  ['iu_job_blocked', '42501', 'The tables of the job queue are written by functions only.',
   'Use fn_job_enqueue, fn_job_claim, fn_job_ack, fn_job_fail and the other functions of the queue.'],
  ['iu_job_gate_closed', '42501', 'The job queue is closed: no job is handed out.',
   'Open gate queue.job_substrate.enabled with fn_iu_gate_open; for what runs unattended on a standing approval.'],
  ['iu_job_role', '42501', 'The role may not claim jobs.',
   'A superuser makes somebody a member of iu_core_writer or iu_core_agent.'],
  ['iu_job_policy', '55000', 'A policy of the job queue is missing, or no number.',
   'Set it with fn_iu_policy_set; the error names it.'],
  ['iu_job_executor', '23514', 'The worker has no name.', 'Give the name of the worker, in 1 to 200 characters.'],
  ['iu_job_executor_kind', '23514', 'There is no such kind of worker.', 'Give a kind that the error lists.'],
  ['iu_job_claim_max', '23514', 'A claim hands out 1 to 1000 jobs.', 'Give how many at most.'],
  ['iu_job_claim_kinds', '23514', 'The kinds of jobs are not given as they should be.',
   'Give 1 to 100 kinds, or NULL for all.']]);
