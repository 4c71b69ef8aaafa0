-- What is ahead of the pass, and how each route does.

CREATE FUNCTION iu.fn_iu_route_worker_ahead(p_worker_name text) RETURNS SETOF public.event_outbox
  LANGUAGE sql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT e.* FROM public.iu_route_worker_cursor c JOIN public.event_outbox e
      ON e.emitted_xid >= pg_snapshot_xmin(c.seen) AND NOT pg_visible_in_snapshot(e.emitted_xid, c.seen)
     AND e.event_seq > c.floor_seq AND (c.event_domain IS NULL OR e.event_domain = c.event_domain)
     AND (c.window_end IS NULL OR (e.emitted_xid, e.event_seq) > (c.window_xid, c.window_seq)
          OR NOT pg_visible_in_snapshot(e.emitted_xid, c.window_end))
   WHERE c.worker_name = p_worker_name
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_ahead IS
  'The events that a worker has not passed yet; none where it never ran.';

-- From the youngest on, whatever statistics say of how many there are.
CREATE FUNCTION iu.fn_iu_attempts_last()
  RETURNS TABLE (route_code text, status text, recorded_at timestamptz, duration_us bigint)
  LANGUAGE sql STABLE SECURITY DEFINER ROWS 10000
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $function$
  SELECT a.route_code, a.status, a.recorded_at, a.duration_us
    FROM public.iu_route_attempt a ORDER BY a.id DESC LIMIT 10000
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempts_last IS 'For v_iu_route_health: the last 10000 attempts. Raises nothing.';

CREATE VIEW public.v_iu_route_health AS
  WITH hour AS MATERIALIZED (
    SELECT a.route_code, count(*) FILTER (WHERE a.status = 'sent') AS sent,
           count(*) FILTER (WHERE a.status = 'failed') AS failed,
           count(*) FILTER (WHERE a.status = 'dry_run') AS dry_run,
           max(a.recorded_at) FILTER (WHERE a.status = 'sent') AS last_sent_at,
           percentile_cont('{0.5,0.95}'::double precision[]) WITHIN GROUP (ORDER BY a.duration_us)
             FILTER (WHERE a.status IN ('sent', 'failed') AND a.duration_us IS NOT NULL) AS duration,
           max(a.seconds) AS seconds
      FROM (SELECT n.*, CASE WHEN count(*) OVER () < 10000 THEN 3600
                             ELSE greatest(extract(epoch FROM now() - min(n.recorded_at) OVER ()), 1) END AS seconds
              FROM iu.fn_iu_attempts_last() AS n
             WHERE n.recorded_at > now() - interval '1 hour') AS a
     GROUP BY a.route_code
  ), letters AS MATERIALIZED (
    SELECT d.route_code, count(*) AS dead_letters
      FROM public.iu_route_dead_letter d WHERE d.resolved_at IS NULL GROUP BY d.route_code
  ), address AS MATERIALIZED (
    SELECT t.route_code, iu.fn_iu_route_address_refusal(t.detail) AS refusal
      FROM iu.fn_iu_route_addresses_refused() t
  )
  SELECT b.route_code, r.target_kind,
         CASE WHEN NOT r.enabled THEN 'disabled' WHEN r.dry_run THEN 'dry_run' ELSE 'live' END AS mode,
         b.waiting, b.retrying, b.leased AS in_flight, b.oldest_due_at,
         round(extract(epoch FROM clock_timestamp() - b.oldest_due_at), 3) AS oldest_due_age_s,
         coalesce(h.sent, 0) AS sent_1h, coalesce(h.failed, 0) AS failed_1h, coalesce(h.dry_run, 0) AS dry_run_1h,
         round(h.sent / h.seconds, 3) AS sent_per_s,
         round(h.failed::numeric / nullif(h.sent + h.failed, 0), 4) AS failed_share,
         h.last_sent_at, round((h.duration[1] / 1000.0)::numeric, 3) AS p50_ms,
         round((h.duration[2] / 1000.0)::numeric, 3) AS p95_ms,
         coalesce(l.dead_letters, 0) AS dead_letters_open,
         f.refusal ->> 'code' AS held_code, f.refusal ->> 'sentence' AS held_why,
         f.refusal ->> 'next_action' AS next_action,
         coalesce(c.state, 'closed') AS circuit, coalesce(c.failures, 0) AS circuit_failures,
         c.next_at + iu_core.clock_moved() AS circuit_until, r.ca_name, r.client_name
    FROM public.v_iu_event_backlog b
    JOIN public.iu_outbound_route r ON r.route_code = b.route_code
    LEFT JOIN hour h ON h.route_code = b.route_code
    LEFT JOIN letters l ON l.route_code = b.route_code
    LEFT JOIN public.iu_route_circuit c ON c.route_code = b.route_code
    LEFT JOIN address a ON a.route_code = b.route_code
    CROSS JOIN LATERAL (SELECT CASE WHEN b.refusal IS NOT NULL THEN iu.fn_iu_route_refusal(b.route_code)
                                    ELSE a.refusal END AS refusal) AS f;
COMMENT ON VIEW public.v_iu_route_health IS
  'One row a route that is not retired: its mode (live, dry_run, disabled), what waits, is to be tried again, is in '
  'flight, since when something has been due and for how many seconds; of the last hour, but no more than the last '
  '10000 attempts of all routes, so that a look costs the same whatever was sent: sent, failed, dry runs, sent a '
  'second in the time that these span, the share of failures, median and 95th percentile of duration in ms; open '
  'dead letters; what holds it, why, and what to do; its circuit (closed, open, half_open), the failed attempts in a '
  'row, and when one delivery is tried again; the names of its certificates.';
