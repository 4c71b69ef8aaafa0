-- Whether what waits will move. A route that nothing holds may still stand still:
-- its deliveries are due in the far future, or wait for others that do not come.
-- Whatever brought that about, somebody has to know. OFFSET 0: of each route what is
-- its own is looked up, whatever statistics say.

CREATE FUNCTION iu.fn_iu_route_far_retries() RETURNS SETOF text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT format('route %s: %s wait until %s or longer, which is more than its backoff explains (max_s is %s); the '
                'first for %s', r.route_code, t.count, date_trunc('second', t.due_at + iu_core.clock_moved()),
                r.retry_policy ->> 'max_s', t.reason)
    FROM public.iu_outbound_route r
    CROSS JOIN LATERAL (
      SELECT count(*) AS count, min(x.due_at) AS due_at, (array_agg(x.reason ORDER BY x.due_at))[1] AS reason
        FROM public.iu_route_retry x
       WHERE x.route_code = r.route_code AND x.due_at > (SELECT iu_core.steady_clock())
                         + make_interval(secs => (r.retry_policy ->> 'max_s')::float8 + 60)
         AND x.reason <> 'replay') AS t
   WHERE r.retired_at IS NULL AND t.count > 0
   ORDER BY r.route_code;
END;
COMMENT ON FUNCTION iu.fn_iu_route_far_retries IS
  'For health, in words: the routes with deliveries that are due later than the longest backoff of the route and a '
  'minute from now, other than replays, which somebody spread over time.';

CREATE FUNCTION iu.fn_iu_route_unprobed_circuits(p_stale_seconds integer) RETURNS SETOF text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT format('route %s: its circuit is %s, and nothing is due that would try it before %s', c.route_code,
                replace(c.state, '_', '-'), date_trunc('second', t.due_at + iu_core.clock_moved()))
    FROM public.iu_route_circuit c
    CROSS JOIN LATERAL (SELECT x.* FROM public.v_iu_route_position x WHERE x.route_code = c.route_code OFFSET 0) AS p
    CROSS JOIN LATERAL (SELECT x.* FROM public.iu_outbound_route x WHERE x.route_code = c.route_code OFFSET 0) AS r
    CROSS JOIN LATERAL (SELECT min(x.due_at) AS due_at FROM public.iu_route_retry x
                         WHERE x.route_code = c.route_code) AS t
   WHERE c.state <> 'closed' AND r.retired_at IS NULL AND r.enabled AND p.window_end IS NULL
     AND t.due_at > greatest(c.next_at, iu_core.steady_clock()) + make_interval(secs => p_stale_seconds)
     AND NOT EXISTS (SELECT FROM public.iu_route_lease l
                      WHERE l.route_code = c.route_code AND l.lease_id >= p.lease_low OFFSET 0)
   ORDER BY c.route_code;
END;
COMMENT ON FUNCTION iu.fn_iu_route_unprobed_circuits IS
  'For health, in words: the routes whose circuit is not closed, and that have nothing due to try it with for longer '
  'than so many seconds after it may be tried.';

CREATE FUNCTION iu.fn_iu_route_headless() RETURNS SETOF text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT format('route %s: deliveries wait for their turn, and none is under way that would bring it', r.route_code)
    FROM public.iu_outbound_route r
    -- The first that is due; what waits for its turn comes after that.
    CROSS JOIN LATERAL (SELECT x.due_at FROM public.iu_route_retry x
                         WHERE x.route_code = r.route_code ORDER BY x.due_at LIMIT 1) AS t
   WHERE r.retired_at IS NULL AND t.due_at IS NULL
     AND NOT EXISTS (SELECT FROM public.iu_route_lease l WHERE l.route_code = r.route_code OFFSET 0)
   ORDER BY r.route_code;
END;
COMMENT ON FUNCTION iu.fn_iu_route_headless IS
  'For health, in words: the routes that keep the order of a subject, on which deliveries wait for others of their '
  'subject, though a sender has none and none is to be tried again.';

CREATE FUNCTION iu.fn_iu_route_delays(p_stale_seconds integer) RETURNS text[]
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN ARRAY(SELECT d FROM iu.fn_iu_route_far_retries() d
             UNION ALL SELECT d FROM iu.fn_iu_route_unprobed_circuits(p_stale_seconds) d
             UNION ALL SELECT d FROM iu.fn_iu_route_headless() d);
COMMENT ON FUNCTION iu.fn_iu_route_delays IS
  'For health, in words: what waits on routes though no rule explains it: fn_iu_route_far_retries, '
  'fn_iu_route_unprobed_circuits, fn_iu_route_headless.';
