-- What the runner does for the queue, and what must always be true of it.

CREATE FUNCTION iu.fn_job_chore(p_worker text) RETURNS timestamptz
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT EXISTS (SELECT FROM public.job_lane) THEN
    RETURN NULL;
  END IF;
  -- Positions that are not the last of their lane, and those of a lane in which something waits below: there is
  -- none such unless the clock of the machine was set back before the server was started.
  DELETE FROM public.job_position d
   WHERE EXISTS (SELECT FROM public.job_position p WHERE p.lane_id = d.lane_id AND p.low > d.low)
      OR EXISTS (SELECT FROM public.job_lane l
                   JOIN public.job_queue q ON q.job_kind = l.job_kind AND q.priority = l.priority
                  WHERE l.lane_id = d.lane_id AND q.state IN ('queued', 'retry_waiting') AND q.place < d.low);
  RETURN clock_timestamp() + interval '5 minutes';
END
$function$;
COMMENT ON FUNCTION iu.fn_job_chore IS
  'For the runner, at the point fn_iu_schedule_chore: deletes positions of lanes that do not count. Returns when to '
  'come again; NULL: there was never a job. Raises nothing.';
SELECT iu.fn_iu_hook_add(50, 'iu.fn_iu_schedule_chore(text)', 'iu.fn_job_chore(text)');

CREATE VIEW public.v_job_waiting_check AS
  SELECT count(*) AS left_value, count(l.lane_id) AS right_value
    FROM public.job_queue q
    LEFT JOIN LATERAL (
      SELECT n.lane_id FROM public.job_lane n
       WHERE n.job_kind = q.job_kind AND n.priority = q.priority
         AND NOT EXISTS (SELECT FROM public.job_position p WHERE p.lane_id = n.lane_id AND p.low > q.place)
       LIMIT 1) AS l ON true
   WHERE q.state IN ('queued', 'retry_waiting');
COMMENT ON VIEW public.v_job_waiting_check IS
  'Invariant iu.job_waiting: how many jobs wait, and how many of them a claim would find.';
