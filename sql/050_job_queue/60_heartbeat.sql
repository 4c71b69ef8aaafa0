-- Workers say that they live, and have more time for what they do.

CREATE FUNCTION iu.fn_queue_heartbeat_problem(
    p_executor_name text, p_executor_kind text, p_status text, p_lease_owner text, p_metadata jsonb)
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE
  WHEN iu_core.text_problem(p_executor_name, false) IS NOT NULL
    THEN iu.fn_job_invalid('executor_name', p_executor_name, 'the name of the worker, in 1 to 200 characters')
  WHEN (p_executor_kind IN ('DOT', 'Agent', 'Hermes', 'Codex', 'PG_worker', 'external_worker',
                            'future_Kestra_adapter')) IS NOT TRUE
    THEN iu.fn_job_invalid('executor_kind', p_executor_kind,
           'DOT, Agent, Hermes, Codex, PG_worker, external_worker or future_Kestra_adapter')
  WHEN iu_core.text_problem(p_status, false) IS NOT NULL
    THEN iu.fn_job_invalid('status', p_status, 'how the worker is, in 1 to 200 characters')
  WHEN p_lease_owner IS NOT NULL AND p_lease_owner !~ '/[0-9a-f-]{36}$'
    THEN iu.fn_job_invalid('lease_owner', p_lease_owner, 'a lease as fn_job_claim returned it, or NULL')
  WHEN iu.fn_job_payload_problem(p_metadata) IS NOT NULL
    THEN iu.fn_job_refusal('invalid_input', 'metadata', format('metadata must be %s.',
           iu.fn_job_payload_problem(p_metadata)), 'correct_the_argument') END;
COMMENT ON FUNCTION iu.fn_queue_heartbeat_problem IS
  'The refusal for the first argument of fn_queue_heartbeat_tick that is not as it must be; NULL: all are.';

CREATE FUNCTION iu.fn_job_lease_extend(p_lease_owner text) RETURNS uuid[]
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_until CONSTANT timestamptz :=
    iu_core.steady_clock() + make_interval(secs => iu.fn_job_policy('queue.lease.duration_sec'));
  v_held uuid[];
BEGIN
  WITH held AS (
    UPDATE public.job_queue q SET lease_until = v_until WHERE q.lease_owner = p_lease_owner RETURNING q.job_id)
  SELECT array_agg(h.job_id) INTO v_held FROM held h;
  RETURN coalesce(v_held, '{}');
END
$function$;
COMMENT ON FUNCTION iu.fn_job_lease_extend IS
  'Begins a lease anew, from now on: the lease. Returns the jobs that it still holds; {}: none, it is over.';

CREATE FUNCTION iu.fn_queue_heartbeat_tick(
    p_executor_name text, p_executor_kind text, p_status text, p_current_job_id uuid, p_lease_owner text,
    p_metadata jsonb)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal jsonb;
  v_held    uuid[] := '{}';
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_queue_heartbeat_tick');
  v_refusal := CASE
    WHEN NOT iu.fn_job_switch('queue.heartbeat.enabled')
      THEN iu.fn_job_switch_refusal('queue.heartbeat.enabled', 'true')
    ELSE iu.fn_queue_heartbeat_problem(p_executor_name, p_executor_kind, p_status, p_lease_owner, p_metadata) END;
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  IF p_lease_owner IS NOT NULL THEN
    v_held := iu.fn_job_lease_extend(p_lease_owner);
  END IF;
  UPDATE public.queue_heartbeat h
     SET executor_kind = p_executor_kind, status = p_status, current_job_id = p_current_job_id,
         lease_owner = p_lease_owner, metadata = p_metadata, beat_at = iu_core.steady_clock()
   WHERE h.executor_name = p_executor_name;
  IF NOT FOUND THEN
    INSERT INTO public.queue_heartbeat
        (executor_name, executor_kind, status, current_job_id, lease_owner, metadata, beat_at)
      VALUES (p_executor_name, p_executor_kind, p_status, p_current_job_id, p_lease_owner, p_metadata,
              iu_core.steady_clock())
      ON CONFLICT (executor_name) DO NOTHING;
  END IF;
  RETURN jsonb_build_object('refused', false, 'status', 'ok', 'executor_name', p_executor_name,
    'jobs_held', cardinality(v_held),
    'holds_current_job', CASE WHEN p_current_job_id IS NOT NULL THEN p_current_job_id = ANY (v_held) END);
END
$function$;
COMMENT ON FUNCTION iu.fn_queue_heartbeat_tick IS
  'What public.fn_queue_heartbeat_tick hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_queue_heartbeat_tick(
    p_executor_name text, p_executor_kind text, p_status text, p_current_job_id uuid DEFAULT NULL,
    p_lease_owner text DEFAULT NULL, p_metadata jsonb DEFAULT '{}')
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_queue_heartbeat_tick(p_executor_name, p_executor_kind, p_status, p_current_job_id, p_lease_owner,
    p_metadata) END;
COMMENT ON FUNCTION public.fn_queue_heartbeat_tick IS
  'A worker says that it lives, and its lease begins anew: its name, what it is (as for fn_job_claim), how it is, the '
  'job it works on, the lease by which it has it, what else it has to say (an object of up to 256 kB). Returns '
  '{refused: false, status: ok, executor_name, jobs_held: how many jobs the lease still holds, holds_current_job: '
  'whether the job is among them; NULL: none was named}. Refusals {refused: true, reason, field, guidance, '
  'next_action} that write nothing: queue.heartbeat.enabled=false, invalid_input (executor_name, executor_kind, '
  'status, lease_owner, metadata). SQLSTATE 25000: another isolation level than READ COMMITTED; 55000: a policy of the '
  'queue is no number.';

CREATE FUNCTION iu.fn_queue_stale_check(p_threshold_seconds integer) RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_threshold CONSTANT integer :=
    coalesce(p_threshold_seconds, 2 * iu.fn_job_policy('queue.heartbeat.stale_threshold_seconds'));
  v_stale jsonb;
BEGIN
  IF v_threshold < 1 THEN
    RETURN iu.fn_job_invalid('threshold_seconds', p_threshold_seconds::text, 'a number from 1 on, or NULL');
  END IF;
  SELECT coalesce(jsonb_agg(jsonb_build_object('executor_name', h.executor_name, 'executor_kind', h.executor_kind,
           'status', h.status, 'current_job_id', h.current_job_id, 'seconds_since_beat', x.seconds)
         ORDER BY x.seconds DESC, h.executor_name COLLATE "C"), '[]')
    INTO v_stale
    FROM public.queue_heartbeat h
    CROSS JOIN LATERAL (
      SELECT floor(extract(epoch FROM iu_core.steady_clock() - h.beat_at))::bigint AS seconds) AS x
   WHERE x.seconds > v_threshold;
  RETURN jsonb_build_object('refused', false, 'status', 'ok', 'threshold_seconds', v_threshold,
    'stale_count', jsonb_array_length(v_stale), 'stale', v_stale);
END
$function$;
COMMENT ON FUNCTION iu.fn_queue_stale_check IS
  'What public.fn_queue_stale_check hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_queue_stale_check(p_threshold_seconds integer DEFAULT NULL) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_operator,iu_core_agent}') THEN
  iu.fn_queue_stale_check(p_threshold_seconds) END;
COMMENT ON FUNCTION public.fn_queue_stale_check IS
  'Workers whose last heartbeat is older than so many seconds (NULL: twice policy '
  'queue.heartbeat.stale_threshold_seconds). Returns {refused: false, status: ok, threshold_seconds, stale_count, '
  'stale: [{executor_name, executor_kind, status, current_job_id, seconds_since_beat}], the longest silent first}. '
  'Writes nothing. Refusal {refused: true, reason: invalid_input, field: threshold_seconds, guidance, next_action}.';
