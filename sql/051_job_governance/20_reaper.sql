-- Leases that are over. A worker that is gone does not say so: what it had is found by
-- the time of its lease, and waits for its next attempt, or becomes a dead letter. Its
-- lease is never given again, so a worker that comes back late cannot end the job.

CREATE FUNCTION iu.fn_job_reap_stale_leases(p_limit integer) RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_jobs jsonb;
BEGIN
  IF (p_limit BETWEEN 1 AND 1000) IS NOT TRUE THEN
    RETURN iu.fn_job_invalid('limit', p_limit::text, 'from 1 to 1000');
  END IF;
  SELECT coalesce(jsonb_agg(jsonb_build_object('job_id', j.job_id, 'job_kind', j.job_kind, 'lease_owner', j.lease_owner,
           'attempts', j.attempts, 'would_become',
           CASE WHEN j.attempts < j.max_attempts THEN 'retry_waiting' ELSE 'dead_letter' END)
         ORDER BY j.lease_until, j.job_id), '[]')
    INTO v_jobs
    FROM (SELECT q.* FROM public.job_queue q
           WHERE q.lease_owner IS NOT NULL AND q.lease_until <= iu_core.steady_clock()
           ORDER BY q.lease_until, q.job_id LIMIT p_limit) AS j;
  RETURN jsonb_build_object('refused', false, 'status', 'dry_run', 'stale_count', jsonb_array_length(v_jobs),
    'jobs', v_jobs);
END
$function$;
COMMENT ON FUNCTION iu.fn_job_reap_stale_leases IS
  'What public.fn_job_reap_stale_leases hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_job_reap_stale_leases(p_limit integer DEFAULT 100) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_operator}') THEN
  iu.fn_job_reap_stale_leases(p_limit) END;
COMMENT ON FUNCTION public.fn_job_reap_stale_leases IS
  'Which jobs fn_job_reap_stale_leases_apply would take back, those longest over first, at most so many (1 to 1000). '
  'Returns {refused: false, status: dry_run, stale_count, jobs: [{job_id, job_kind, lease_owner, attempts, '
  'would_become}]}. Writes nothing. Refusal {refused: true, reason: invalid_input, field: limit, guidance, '
  'next_action}.';

CREATE FUNCTION iu.fn_job_reap_stale_leases_apply(p_limit integer, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_job   public.job_queue;
  v_jobs  jsonb := '[]';
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_job_reap_stale_leases_apply');
  IF NOT iu.fn_job_switch('queue.lease.reaper_enabled') THEN
    RETURN iu.fn_job_switch_refusal('queue.lease.reaper_enabled', 'true');
  ELSIF NOT EXISTS (SELECT FROM public.dot_config c
                     WHERE c.key = 'queue.lease.reaper_dry_run_only' AND c.value = 'false') THEN
    RETURN iu.fn_job_switch_refusal('queue.lease.reaper_dry_run_only', 'false');
  -- Workers end nothing while the gate is closed: what they have is not taken from them meanwhile.
  ELSIF NOT iu_core.gate_is_open('queue.job_substrate.enabled') THEN
    RETURN iu.fn_job_gate_refusal('queue.job_substrate.enabled');
  ELSIF (p_limit BETWEEN 1 AND 1000) IS NOT TRUE THEN
    RETURN iu.fn_job_invalid('limit', p_limit::text, 'from 1 to 1000');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_job_invalid('actor', p_actor, 'who takes them back, in 1 to 200 characters');
  END IF;
  FOR v_job IN
    SELECT q.* FROM public.job_queue q
     WHERE q.lease_owner IS NOT NULL AND q.lease_until <= iu_core.steady_clock()
     ORDER BY q.lease_until, q.job_id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
  LOOP
    v_jobs := v_jobs || jsonb_build_array(iu.fn_job_give_up(v_job,
      left(format('lease %s was over, taken back by %s', v_job.lease_owner, p_actor), 2000), true) - 'refused');
  END LOOP;
  RETURN jsonb_build_object('refused', false, 'status', 'reaped', 'reaped_count', jsonb_array_length(v_jobs),
    'jobs', v_jobs);
END
$function$;
COMMENT ON FUNCTION iu.fn_job_reap_stale_leases_apply IS
  'What public.fn_job_reap_stale_leases_apply hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_job_reap_stale_leases_apply(p_limit integer DEFAULT 100, p_actor text DEFAULT 'lease_reaper')
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_job_reap_stale_leases_apply(p_limit, p_actor) END;
COMMENT ON FUNCTION public.fn_job_reap_stale_leases_apply IS
  'Takes back leases that are over, those longest over first: at most how many jobs (1 to 1000), who. Each job waits '
  'for its next attempt, or becomes a dead letter where its attempts are used up. What a worker is ending at the '
  'moment is left to it. The runner does it by itself where switch queue.worker.enabled is on as well. Returns '
  '{refused: false, status: reaped, reaped_count, jobs: [{job_id, status, state, attempts, and scheduled_at or '
  'dead_letter_id}]}. Refusals {refused: true, reason, field, guidance, next_action} that write nothing, in this '
  'order: queue.lease.reaper_enabled=false, queue.lease.reaper_dry_run_only=true, queue.job_substrate.enabled=false, '
  'invalid_input (limit, actor). SQLSTATE 25000: another isolation level than READ COMMITTED; 55000: a policy of the '
  'queue is no number.';

CREATE FUNCTION iu.fn_job_reap_chore(p_worker text) RETURNS timestamptz
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_answer jsonb;
BEGIN
  IF NOT iu.fn_job_switch('queue.worker.enabled') OR NOT EXISTS (SELECT FROM public.job_lane) THEN
    RETURN NULL;
  END IF;
  v_answer := iu.fn_job_reap_stale_leases_apply(1000, p_worker);
  -- Whatever refuses, opening a gate and setting a switch wake the runner.
  RETURN CASE WHEN (v_answer ->> 'refused')::boolean THEN NULL
              WHEN (v_answer ->> 'reaped_count')::integer = 1000 THEN clock_timestamp()
              ELSE clock_timestamp() + make_interval(secs =>
                least(60, greatest(1, iu.fn_job_policy('queue.lease.duration_sec') / 5.0))) END;
END
$function$;
COMMENT ON FUNCTION iu.fn_job_reap_chore IS
  'For the runner, at the point fn_iu_schedule_chore: takes back leases that are over, where switches and gate let it. '
  'Returns when to come again, after a fifth of policy queue.lease.duration_sec, at most a minute; NULL: not by the '
  'clock. Raises what the reaper raises.';
SELECT iu.fn_iu_hook_add(51, 'iu.fn_iu_schedule_chore(text)', 'iu.fn_job_reap_chore(text)');
