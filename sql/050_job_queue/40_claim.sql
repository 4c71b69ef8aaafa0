-- Handing out jobs.
--
-- The queries run for every claim against tables whose size changes faster than their
-- statistics: the settings of the function keep its plans from resting on those. Its
-- body is in public, asks who calls, and calls schema iu only: a thin function that
-- returns rows is planned anew for each call, which costs as much as the claim.

CREATE FUNCTION iu.fn_job_claim_require(p_executor text, p_executor_kind text, p_max integer, p_kinds text[])
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT iu_core.caller_may('{iu_core_writer,iu_core_agent}') THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('role %s may not claim jobs', coalesce(iu_core.caller()::regrole::text, 'NULL')),
      DETAIL = format('Role: %s. It is for members of iu_core_writer and iu_core_agent.',
                      coalesce(iu_core.caller()::regrole::text, 'NULL')),
      HINT = 'A superuser makes somebody a member with GRANT.', CONSTRAINT = 'iu_job_role';
  END IF;
  PERFORM iu.fn_iu_writer_require_read_committed('fn_job_claim');
  IF NOT iu_core.gate_is_open('queue.job_substrate.enabled') THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'the job queue is closed: gate queue.job_substrate.enabled',
      DETAIL = 'queue.job_substrate.enabled=false',
      HINT = 'Open it with fn_iu_gate_open, with an approval and a time limit of at most an hour; a queue that runs '
             'unattended runs on a standing approval.', CONSTRAINT = 'iu_job_gate_closed';
  END IF;
  PERFORM iu.fn_iu_require_text('iu_job_executor', 'p_executor', 'the name of the worker', p_executor, false);
  PERFORM iu.fn_iu_require_value(
    p_executor_kind IN ('DOT', 'Agent', 'Hermes', 'Codex', 'PG_worker', 'external_worker', 'future_Kestra_adapter'),
    'iu_job_executor_kind', 'p_executor_kind',
    'DOT, Agent, Hermes, Codex, PG_worker, external_worker or future_Kestra_adapter', p_executor_kind);
  PERFORM iu.fn_iu_require_value(p_max BETWEEN 1 AND 1000, 'iu_job_claim_max', 'p_max', 'from 1 to 1000', p_max::text);
  PERFORM iu.fn_iu_require_value(p_kinds IS NULL OR CASE WHEN array_ndims(p_kinds) = 1
    THEN cardinality(p_kinds) BETWEEN 1 AND 100 AND array_position(p_kinds, NULL) IS NULL ELSE false END,
    'iu_job_claim_kinds', 'p_kinds', '1 to 100 kinds of jobs, or NULL', p_kinds::text);
END
$function$;
COMMENT ON FUNCTION iu.fn_job_claim_require IS
  'Raises what fn_job_claim refuses: who calls, isolation level, gate and arguments, asked in this order.';

CREATE FUNCTION public.fn_job_claim(
    p_executor text, p_executor_kind text, p_max integer, p_kinds text[] DEFAULT NULL)
  RETURNS TABLE (
    job_id uuid, job_kind text, priority integer, attempts integer, max_attempts integer, source_ref text,
    target_ref text, payload_ref text, payload_json jsonb, idempotency_key text, run_id uuid, lease_owner text,
    lease_until timestamptz)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
  SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  SET jit = off
AS $function$
DECLARE
  v_now   CONSTANT timestamptz := iu_core.steady_clock();
  -- Random and not counted: in a database that was restored no lease is given that somebody holds since before.
  v_owner CONSTANT text := p_executor || '/' || gen_random_uuid();
  v_until CONSTANT timestamptz := v_now + make_interval(secs => iu.fn_job_policy('queue.lease.duration_sec'));
  v_count integer;
BEGIN
  IF (iu_core.caller_may('{iu_core_writer,iu_core_agent}')
      AND current_setting('transaction_isolation') = 'read committed'
      AND iu_core.gate_is_open('queue.job_substrate.enabled') AND iu_core.text_problem(p_executor, false) IS NULL
      AND p_executor_kind IN ('DOT', 'Agent', 'Hermes', 'Codex', 'PG_worker', 'external_worker')
      AND p_max BETWEEN 1 AND 1000 AND p_kinds IS NULL) IS NOT TRUE THEN
    PERFORM iu.fn_job_claim_require(p_executor, p_executor_kind, p_max, p_kinds);
  END IF;
  -- Lanes by priority, and of one priority the one whose first job waits longest; one lane alone is searched once.
  -- Of a lane no more is locked than is handed out. A job that changed since the snapshot is for the second look.
  FOR v_try IN 1 .. 2 LOOP
    RETURN QUERY
      UPDATE public.job_queue AS q
         SET state = 'leased', picked_at = clock_timestamp(), lease_owner = v_owner, lease_until = v_until,
             attempts = q.attempts + 1, updated_at = now()
       WHERE q.ctid = ANY (ARRAY(
         SELECT f.ctid
           FROM (SELECT l.job_kind, l.priority, l.low
                   FROM (SELECT n.job_kind, n.priority,
                                coalesce((SELECT x.low FROM public.job_position x WHERE x.lane_id = n.lane_id
                                           ORDER BY x.lane_id DESC, x.low DESC LIMIT 1), '-infinity') AS low
                           FROM public.job_lane n WHERE p_kinds IS NULL OR n.job_kind = ANY (p_kinds)) AS l
                  ORDER BY l.priority, CASE WHEN (SELECT count(*) FROM public.job_lane) > 1 THEN (
                    SELECT r.place FROM public.job_queue r
                     WHERE r.job_kind = l.job_kind AND r.priority = l.priority
                       AND r.state IN ('queued', 'retry_waiting') AND r.place >= l.low
                     ORDER BY r.job_kind, r.priority, r.place LIMIT 1) END) AS l
           CROSS JOIN LATERAL (
             SELECT r.ctid FROM public.job_queue r
              WHERE r.job_kind = l.job_kind AND r.priority = l.priority AND r.state IN ('queued', 'retry_waiting')
                AND r.place >= l.low AND r.place <= greatest(v_now, l.low)
                AND (r.place <= v_now OR r.scheduled_at <= clock_timestamp())
              ORDER BY r.job_kind, r.priority, r.place LIMIT p_max FOR UPDATE SKIP LOCKED) AS f
          LIMIT p_max))
      RETURNING q.job_id, q.job_kind, q.priority, q.attempts, q.max_attempts, q.source_ref, q.target_ref,
                q.payload_ref, q.payload_json, q.idempotency_key, q.run_id, q.lease_owner, q.lease_until;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    EXIT WHEN v_count > 0;
  END LOOP;
  IF random() * 64 < v_count THEN
    PERFORM iu.fn_job_positions_put(p_kinds);
  END IF;
END
$function$;
COMMENT ON FUNCTION public.fn_job_claim IS
  'Hands out jobs: the name of the worker, what it is (DOT, Agent, Hermes, Codex, PG_worker, external_worker or '
  'future_Kestra_adapter), how many at most (1 to 1000), of which kinds (NULL: all). Returns a row for each job, with '
  'the lease by which it is acknowledged, and until when that lasts (a time of iu_core.steady_clock(); policy '
  'queue.lease.duration_sec, and longer by fn_queue_heartbeat_tick); no row: nothing is due. Lower priority first; of '
  'one priority kind by kind, the one whose first job waits longest before others, and in a kind by the time at which '
  'they were due; the rows of one claim come in no order. Claims wait for nobody and never hand out one job twice at '
  'a time. SQLSTATE 42501: gate queue.job_substrate.enabled is closed, or whoever calls is neither in iu_core_writer '
  'nor in iu_core_agent; 23514: name, kind, number or kinds; 25000: another isolation level than READ COMMITTED; '
  '55000: a policy of the queue is no number.';
