-- What becomes of a job that was handed out: begun, done, gone wrong, cancelled.

CREATE FUNCTION iu.fn_job_start(p_job_id uuid, p_lease_owner text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_job_start');
  IF NOT iu_core.gate_is_open('queue.job_substrate.enabled') THEN
    RETURN iu.fn_job_gate_refusal('queue.job_substrate.enabled');
  END IF;
  UPDATE public.job_queue q SET state = 'in_progress', updated_at = now()
   WHERE q.job_id = p_job_id AND q.lease_owner = p_lease_owner;
  IF NOT FOUND THEN
    RETURN iu.fn_job_lease_refusal(p_job_id);
  END IF;
  RETURN jsonb_build_object('job_id', p_job_id, 'refused', false, 'status', 'in_progress', 'state', 'in_progress');
END
$function$;
COMMENT ON FUNCTION iu.fn_job_start IS 'What public.fn_job_start hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_job_start(p_job_id uuid, p_lease_owner text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_job_start(p_job_id, p_lease_owner) END;
COMMENT ON FUNCTION public.fn_job_start IS
  'Says that a worker has begun a job, for whoever looks; a job may be acknowledged without: the job, the lease by '
  'which it was claimed. Returns {job_id, refused: false, status, state: in_progress}. Refusals {refused: true, '
  'reason, field, guidance, next_action}: queue.job_substrate.enabled=false, job_not_found, lease_not_held with the '
  'state of the job. SQLSTATE 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_job_ack(p_job_id uuid, p_lease_owner text, p_result jsonb) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF (current_setting('transaction_isolation') = 'read committed'
      AND iu_core.gate_is_open('queue.job_substrate.enabled') AND p_result IS NULL) IS TRUE THEN
    NULL;
  ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
    PERFORM iu.fn_iu_writer_require_read_committed('fn_job_ack');
  ELSIF NOT iu_core.gate_is_open('queue.job_substrate.enabled') THEN
    RETURN iu.fn_job_gate_refusal('queue.job_substrate.enabled');
  ELSIF p_result IS NOT NULL AND iu.fn_job_payload_problem(p_result) IS NOT NULL THEN
    RETURN iu.fn_job_refusal('invalid_input', 'result', format('result must be NULL, or %s.',
      iu.fn_job_payload_problem(p_result)), 'correct_the_argument');
  END IF;
  UPDATE public.job_queue q
     SET state = 'succeeded', finished_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL,
         result_json = p_result, last_error = NULL, updated_at = now()
   WHERE q.job_id = p_job_id AND q.lease_owner = p_lease_owner;
  IF NOT FOUND THEN
    RETURN iu.fn_job_lease_refusal(p_job_id);
  END IF;
  RETURN jsonb_build_object('job_id', p_job_id, 'refused', false, 'status', 'succeeded', 'state', 'succeeded');
END
$function$;
COMMENT ON FUNCTION iu.fn_job_ack IS 'What public.fn_job_ack hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_job_ack(p_job_id uuid, p_lease_owner text, p_result jsonb DEFAULT NULL) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_job_ack(p_job_id, p_lease_owner, p_result) END;
COMMENT ON FUNCTION public.fn_job_ack IS
  'Acknowledges a job that is done: the job, the lease by which it was claimed, what came of it (an object as '
  'payload_json, of up to 256 kB, or NULL). Returns {job_id, refused: false, status, state: succeeded}. Refusals '
  '{refused: true, reason, field, guidance, next_action} that write nothing: queue.job_substrate.enabled=false, '
  'invalid_input (result), job_not_found, lease_not_held with the state of the job: the lease was taken back, or the '
  'job was acknowledged already. SQLSTATE 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_job_ack_many(p_job_ids uuid[], p_lease_owner text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
  SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $function$
DECLARE
  v_done uuid[];
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    PERFORM iu.fn_iu_writer_require_read_committed('fn_job_ack_many');
  ELSIF NOT iu_core.gate_is_open('queue.job_substrate.enabled') THEN
    RETURN iu.fn_job_gate_refusal('queue.job_substrate.enabled');
  ELSIF (cardinality(p_job_ids) BETWEEN 1 AND 1000) IS NOT TRUE THEN
    RETURN iu.fn_job_invalid('job_ids', cardinality(p_job_ids)::text, '1 to 1000 jobs');
  END IF;
  -- In order of their keys, as whoever takes back a lease has it.
  WITH done AS (
    UPDATE public.job_queue q
       SET state = 'succeeded', finished_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL,
           last_error = NULL, updated_at = now()
     WHERE q.job_id = ANY (p_job_ids) AND q.lease_owner = p_lease_owner
    RETURNING q.job_id)
  SELECT array_agg(d.job_id) INTO v_done FROM done d;
  RETURN jsonb_build_object('refused', false, 'status', 'succeeded', 'succeeded', coalesce(cardinality(v_done), 0),
    'lease_not_held', CASE WHEN cardinality(v_done) = cardinality(p_job_ids) THEN '[]'::jsonb ELSE
      (SELECT coalesce(jsonb_agg(i.id), '[]') FROM unnest(p_job_ids) AS i (id)
        WHERE i.id = ANY (v_done) IS NOT TRUE) END);
END
$function$;
COMMENT ON FUNCTION iu.fn_job_ack_many IS
  'What public.fn_job_ack_many hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_job_ack_many(p_job_ids uuid[], p_lease_owner text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_job_ack_many(p_job_ids, p_lease_owner) END;
COMMENT ON FUNCTION public.fn_job_ack_many IS
  'Acknowledges jobs of one lease that are done: 1 to 1000 jobs, the lease by which they were claimed. Returns '
  '{refused: false, status: succeeded, succeeded: how many, lease_not_held: those that were left as they are, since '
  'the lease was taken back or is another''s}. Refusals {refused: true, reason, field, guidance, next_action}: '
  'queue.job_substrate.enabled=false, invalid_input (job_ids). SQLSTATE 25000: another isolation level than READ '
  'COMMITTED.';

CREATE FUNCTION iu.fn_job_give_up(p_job public.job_queue, p_error text, p_retry boolean) RETURNS jsonb
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_wait   CONSTANT interval := make_interval(secs => least(86400,
    iu.fn_job_policy('queue.retry.backoff_base_sec') * 2.0 ^ least(greatest((p_job).attempts - 1, 0), 20)));
  v_due    CONSTANT timestamptz := iu_core.steady_clock() + v_wait;
  v_place  timestamptz;
  v_letter uuid;
  v_job    public.job_queue;
BEGIN
  IF p_retry AND (p_job).attempts < (p_job).max_attempts THEN
    v_place := iu.fn_job_place((p_job).job_kind, (p_job).priority, v_due);
    UPDATE public.job_queue q
       SET state = 'retry_waiting', scheduled_at = v_due + iu_core.clock_moved(), place = v_place, lease_owner = NULL,
           lease_until = NULL, last_error = p_error, updated_at = now()
     WHERE q.job_id = (p_job).job_id;
    RETURN jsonb_build_object('job_id', (p_job).job_id, 'refused', false, 'status', 'retry_waiting',
      'state', 'retry_waiting', 'attempts', (p_job).attempts, 'scheduled_at', v_due + iu_core.clock_moved());
  END IF;
  UPDATE public.job_queue q
     SET state = 'dead_letter', finished_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL,
         last_error = p_error, updated_at = now()
   WHERE q.job_id = (p_job).job_id RETURNING q.* INTO v_job;
  INSERT INTO public.job_dead_letter (job_id, job_snapshot, failure, attempts)
    VALUES (v_job.job_id, to_jsonb(v_job), p_error, v_job.attempts) RETURNING dead_letter_id INTO v_letter;
  RETURN jsonb_build_object('job_id', v_job.job_id, 'refused', false, 'status', 'dead_letter', 'state', 'dead_letter',
    'attempts', v_job.attempts, 'dead_letter_id', v_letter);
END
$function$;
COMMENT ON FUNCTION iu.fn_job_give_up IS
  'Ends an attempt badly: the job, whose row is locked, why, whether it may be tried again. It waits for its next '
  'attempt (the base of policy queue.retry.backoff_base_sec, doubled for each attempt after the first, at most a day), '
  'or becomes a dead letter where its attempts are used up. Returns the answer of fn_job_fail.';

CREATE FUNCTION iu.fn_job_fail(p_job_id uuid, p_lease_owner text, p_error text, p_retry boolean) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_job public.job_queue;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_job_fail');
  IF NOT iu_core.gate_is_open('queue.job_substrate.enabled') THEN
    RETURN iu.fn_job_gate_refusal('queue.job_substrate.enabled');
  ELSIF coalesce(btrim(p_error, E' \t\r\n'), '') = '' THEN
    RETURN iu.fn_job_invalid('error', p_error, 'what went wrong');
  ELSIF p_retry IS NULL THEN
    RETURN iu.fn_job_invalid('retry', NULL, 'true or false');
  END IF;
  SELECT q.* INTO v_job FROM public.job_queue q
   WHERE q.job_id = p_job_id AND q.lease_owner = p_lease_owner FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN iu.fn_job_lease_refusal(p_job_id);
  END IF;
  RETURN iu.fn_job_give_up(v_job, iu_core.text_made_fit(p_error, true), p_retry);
END
$function$;
COMMENT ON FUNCTION iu.fn_job_fail IS 'What public.fn_job_fail hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_job_fail(p_job_id uuid, p_lease_owner text, p_error text, p_retry boolean DEFAULT true)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_job_fail(p_job_id, p_lease_owner, p_error, p_retry) END;
COMMENT ON FUNCTION public.fn_job_fail IS
  'Says that an attempt ended badly: the job, the lease by which it was claimed, what went wrong (kept as one line of '
  'up to 2000 characters), whether another attempt may help. Returns {job_id, refused: false, status, state: '
  'retry_waiting with attempts and scheduled_at (10 s after the first attempt, then 20, 40 and so on: policy '
  'queue.retry.backoff_base_sec), or dead_letter with attempts and dead_letter_id where they are used up or another '
  'one does not help}. Refusals {refused: true, reason, field, guidance, next_action} that write nothing: '
  'queue.job_substrate.enabled=false, invalid_input (error, retry), job_not_found, lease_not_held. SQLSTATE 25000: '
  'another isolation level than READ COMMITTED; 55000: a policy of the queue is no number.';

CREATE FUNCTION iu.fn_job_cancel(p_job_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_job public.job_queue;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_job_cancel');
  IF NOT iu_core.gate_is_open('queue.job_substrate.enabled') THEN
    RETURN iu.fn_job_gate_refusal('queue.job_substrate.enabled');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_job_invalid('actor', p_actor, 'who cancels it, in 1 to 200 characters');
  ELSIF iu_core.text_problem(p_reason, true) IS NOT NULL THEN
    RETURN iu.fn_job_invalid('reason', p_reason, 'why, in one line');
  END IF;
  SELECT q.* INTO v_job FROM public.job_queue q WHERE q.job_id = p_job_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN iu.fn_job_lease_refusal(p_job_id);
  ELSIF v_job.finished_at IS NOT NULL THEN
    RETURN iu.fn_job_refusal('job_finished', 'job_id', 'The job is over: there is nothing to cancel.', 'none')
      || jsonb_build_object('job_id', p_job_id, 'state', v_job.state);
  END IF;
  UPDATE public.job_queue q
     SET state = 'cancelled', finished_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL,
         last_error = left(format('cancelled by %s: %s', p_actor, p_reason), 2000), updated_at = now()
   WHERE q.job_id = p_job_id;
  RETURN jsonb_build_object('job_id', p_job_id, 'refused', false, 'status', 'cancelled', 'state', 'cancelled',
    'previous', v_job.state);
END
$function$;
COMMENT ON FUNCTION iu.fn_job_cancel IS 'What public.fn_job_cancel hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_job_cancel(p_job_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent,iu_core_operator}') THEN
  iu.fn_job_cancel(p_job_id, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_job_cancel IS
  'Cancels an active job: the job, who, why. A worker that has it is not stopped, but is told lease_not_held when it '
  'acknowledges it or sends a heartbeat. Returns {job_id, refused: false, status, state: cancelled, previous: the '
  'state before}. Refusals {refused: true, reason, field, guidance, next_action} that write nothing: '
  'queue.job_substrate.enabled=false, invalid_input (actor, reason), job_not_found, job_finished with its state. '
  'SQLSTATE 25000: another isolation level than READ COMMITTED.';
