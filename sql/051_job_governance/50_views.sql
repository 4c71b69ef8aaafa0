-- The queue as people look at it.

CREATE VIEW public.v_queue_health AS
  WITH threshold AS (
    SELECT coalesce((SELECT c.value::integer FROM public.dot_config c
                      WHERE c.key = 'queue.heartbeat.stale_threshold_seconds' AND c.value ~ '^[0-9]{1,6}$'), 300)
             AS seconds)
  SELECT h.executor_name, h.executor_kind, h.status,
         CASE WHEN x.seconds < t.seconds THEN 'fresh' WHEN x.seconds <= 2 * t.seconds THEN 'warning' ELSE 'stale' END
           AS status_hint,
         x.seconds AS seconds_since_beat, h.current_job_id, h.lease_owner
    FROM public.queue_heartbeat h
    CROSS JOIN threshold t
    CROSS JOIN LATERAL (
      SELECT floor(extract(epoch FROM iu_core.steady_clock() - h.beat_at))::bigint AS seconds) AS x
  UNION ALL
  SELECT concat_ws(' ', 'iu_core', w.role, w.number), 'PG_worker', w.state,
         CASE w.state WHEN 'running' THEN 'fresh' WHEN 'starting' THEN 'warning' WHEN 'failing' THEN 'warning'
                      ELSE 'stale' END, NULL, NULL, NULL
    FROM iu_core.worker_status w WHERE w.database = current_database() OR w.database IS NULL;
COMMENT ON VIEW public.v_queue_health IS
  'One row for each worker: who it is, how it says it is, and a hint: fresh (its last heartbeat is not older than '
  'policy queue.heartbeat.stale_threshold_seconds), warning (not older than twice that), stale. Those of iu_core '
  'itself beat no heart: their state is that of iu_core.worker_status, and one that has nothing to do sleeps and is '
  'well.';

CREATE VIEW public.v_job_queue_backlog AS
  SELECT q.job_kind, q.priority, count(*) FILTER (WHERE q.state = 'queued') AS queued,
         count(*) FILTER (WHERE q.state = 'retry_waiting') AS retry_waiting,
         count(*) FILTER (WHERE q.lease_owner IS NULL AND q.place <= iu_core.steady_clock()) AS due,
         count(*) FILTER (WHERE q.state = 'leased') AS leased,
         count(*) FILTER (WHERE q.state = 'in_progress') AS in_progress,
         count(*) FILTER (WHERE q.lease_until <= iu_core.steady_clock()) AS leases_over,
         min(q.place) FILTER (WHERE q.lease_owner IS NULL) + iu_core.clock_moved() AS next_due_at
    FROM public.job_queue q WHERE q.finished_at IS NULL GROUP BY q.job_kind, q.priority;
COMMENT ON VIEW public.v_job_queue_backlog IS
  'One row for each kind and priority of active jobs: how many wait, for their first attempt and for another one, how '
  'many of those are due, how many are leased and in progress, how many leases are over, and when the first of those '
  'that wait is, or was, due.';

CREATE VIEW public.v_job_dead_letter_summary AS
  SELECT d.job_snapshot ->> 'job_kind' AS job_kind, d.triage_status, count(*) AS letters,
         min(d.created_at) AS oldest_at, max(d.created_at) AS newest_at, count(d.replayed_as) AS replayed,
         (array_agg(d.failure ORDER BY d.created_at DESC, d.dead_letter_id))[1] AS last_failure
    FROM public.job_dead_letter d GROUP BY 1, 2;
COMMENT ON VIEW public.v_job_dead_letter_summary IS
  'One row for each kind of jobs and triage_status: how many dead letters, since when and the last, how many were done '
  'once more, and what went wrong last.';
