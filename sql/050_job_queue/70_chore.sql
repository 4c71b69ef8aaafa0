-- What the runner does for the queue, and what must always be true of it.

CREATE FUNCTION iu.fn_job_chore(p_worker text) RETURNS timestamptz
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_horizon CONSTANT timestamptz := iu_core.oldest_second();
BEGIN
  IF NOT EXISTS (SELECT FROM public.job_lane) THEN
    RETURN NULL;
  END IF;
  -- Who may still let a job wait holds a second, and has chosen a lane that was used in the 12 hours before that, or
  -- has marked one, whose row is locked: so nobody has chosen one of these. Who comes now marks or makes another.
  DELETE FROM public.job_lane d
   WHERE d.lane_id IN (
     SELECT l.lane_id FROM public.job_lane l
      WHERE l.used_at < v_horizon - interval '1 day'
        AND (EXISTS (SELECT FROM public.job_lane o
                      WHERE o.job_kind = l.job_kind AND o.priority = l.priority
                        AND o.used_at >= v_horizon - interval '1 day')
             OR NOT EXISTS (SELECT FROM public.job_queue q
                             WHERE q.job_kind = l.job_kind AND q.priority = l.priority
                               AND q.state IN ('queued', 'retry_waiting'))
            AND NOT EXISTS (SELECT FROM public.job_queue q
                             WHERE q.job_kind = l.job_kind AND q.priority = l.priority AND q.lease_owner IS NOT NULL))
        FOR UPDATE SKIP LOCKED);
  -- Positions without a lane or not the last of theirs, and those of a lane in which something waits below: there is
  -- none such unless the clock of the machine was set back before the server was started.
  DELETE FROM public.job_position d
   WHERE d.ctid = ANY (ARRAY(
     SELECT o.ctid FROM public.job_position o
      WHERE NOT EXISTS (SELECT FROM public.job_lane l WHERE l.lane_id = o.lane_id)
         OR EXISTS (SELECT FROM public.job_position p WHERE p.lane_id = o.lane_id AND p.low > o.low)
         OR EXISTS (SELECT FROM public.job_lane l
                      JOIN public.job_queue q ON q.job_kind = l.job_kind AND q.priority = l.priority
                     WHERE l.lane_id = o.lane_id AND q.state IN ('queued', 'retry_waiting') AND q.place < o.low)
        FOR UPDATE OF o SKIP LOCKED));
  RETURN clock_timestamp() + interval '5 minutes';
END
$function$;
COMMENT ON FUNCTION iu.fn_job_chore IS
  'For the runner, at the point fn_iu_schedule_chore: deletes lanes that were not used for a day and have no '
  'active job, or another lane for it, and positions that do not count. Returns when to come again; NULL: there is '
  'no lane. Raises nothing.';
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
