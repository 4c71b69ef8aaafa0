-- Undoes 050: the job queue goes. Refuses while a gate is open, and where jobs, dead
-- letters or the log of its commands would be lost. Heartbeats say nothing without it.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_enqueue_job', 'dot_iu_claim_job', 'dot_iu_start_job',
  'dot_iu_acknowledge_job', 'dot_iu_fail_job', 'dot_iu_cancel_job', 'dot_iu_queue_heartbeat',
  'dot_iu_queue_stale_check']);
SELECT iu_core.guard_rows('public.job_queue');
SELECT iu_core.guard_rows('public.job_dead_letter');
DELETE FROM public.iu_refusal WHERE migration = 50;
DELETE FROM public.iu_command_done WHERE migration = 50;
SELECT iu.fn_iu_surface_undefine(50);
SELECT iu.fn_iu_invariant_undefine(50);
SELECT iu.fn_iu_hook_remove(50);

DROP VIEW public.v_job_waiting_check;
DROP FUNCTION iu.fn_job_chore;
DROP FUNCTION public.fn_queue_stale_check;
DROP FUNCTION iu.fn_queue_stale_check;
DROP FUNCTION public.fn_queue_heartbeat_tick;
DROP FUNCTION iu.fn_queue_heartbeat_tick;
DROP FUNCTION iu.fn_job_lease_extend;
DROP FUNCTION iu.fn_queue_heartbeat_problem;
DROP FUNCTION public.fn_job_cancel;
DROP FUNCTION iu.fn_job_cancel;
DROP FUNCTION public.fn_job_fail;
DROP FUNCTION iu.fn_job_fail;
DROP FUNCTION iu.fn_job_give_up;
DROP FUNCTION public.fn_job_ack_many;
DROP FUNCTION iu.fn_job_ack_many;
DROP FUNCTION public.fn_job_ack;
DROP FUNCTION iu.fn_job_ack;
DROP FUNCTION public.fn_job_start;
DROP FUNCTION iu.fn_job_start;
DROP FUNCTION public.fn_job_claim;
DROP FUNCTION iu.fn_job_claim_require;
DROP FUNCTION public.fn_job_enqueue;
DROP FUNCTION iu.fn_job_enqueue;
DROP FUNCTION iu.fn_job_known;
DROP FUNCTION iu.fn_job_put;
DROP FUNCTION iu.fn_job_enqueue_problem;
DROP FUNCTION iu.fn_job_positions_put;
DROP FUNCTION iu.fn_job_place;
DROP FUNCTION iu.fn_job_lane_use;
DROP FUNCTION iu.fn_job_payload_problem;
DROP FUNCTION iu.fn_job_policy;
DROP FUNCTION iu.fn_job_switch;
DROP FUNCTION iu.fn_job_lease_refusal;
DROP FUNCTION iu.fn_job_key_used;
DROP FUNCTION iu.fn_job_invalid;
DROP FUNCTION iu.fn_job_switch_refusal;
DROP FUNCTION iu.fn_job_gate_refusal;
DROP FUNCTION iu.fn_job_refusal;

DROP TABLE public.job_position;
DROP TABLE public.job_lane;
DROP TABLE public.queue_heartbeat;
DROP TABLE public.job_dead_letter;
DROP TABLE public.job_queue;
DROP FUNCTION iu.fn_job_guard;
DELETE FROM public.iu_policy_registry WHERE migration = 50;
DELETE FROM public.iu_switch_registry WHERE switch_key IN ('queue.worker.enabled', 'queue.notify.enabled',
  'queue.heartbeat.enabled');
DELETE FROM public.dot_config WHERE key IN ('queue.worker.enabled', 'queue.notify.enabled', 'queue.heartbeat.enabled',
  'queue.lease.duration_sec', 'queue.heartbeat.stale_threshold_seconds', 'queue.retry.backoff_base_sec',
  'queue.retry.max_attempts_default');
SELECT iu.fn_iu_gate_unregister(50);
