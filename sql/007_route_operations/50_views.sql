-- What waits, and what holds it.

-- A look costs the same whatever waits and whatever was delivered: of each route so
-- many events are counted, from where it stands, and no more.
CREATE FUNCTION iu.fn_iu_route_waiting() RETURNS TABLE (route_code text, waiting bigint, oldest timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $function$
  WITH route AS MATERIALIZED (
    SELECT p.*, t.event_domain, t.event_type, coalesce(p.window_end, p.seen) AS handed_out
      FROM public.iu_outbound_route r
      CROSS JOIN LATERAL (SELECT x.* FROM public.v_iu_route_position x
                           WHERE x.route_code = r.route_code OFFSET 0) AS p
      CROSS JOIN LATERAL (SELECT x.event_domain, x.event_type FROM public.iu_route_type x
                           WHERE x.route_code = r.route_code OFFSET 0) AS t
     WHERE r.retired_at IS NULL
  ), most AS MATERIALIZED (
    SELECT greatest(200, 20000 / greatest(count(*), 1)) AS rows FROM route
  )
  SELECT p.route_code, sum(w.waiting)::bigint, min(w.oldest)
    FROM route p
    CROSS JOIN LATERAL (
      SELECT count(*) AS waiting, min(x.created_at) AS oldest FROM (
        (SELECT e.created_at FROM public.event_outbox e
          WHERE p.window_end IS NOT NULL AND e.event_domain = p.event_domain AND e.event_type = p.event_type
            AND e.event_seq > greatest(p.window_seq, p.floor_seq) AND e.event_seq <= p.window_high
            AND NOT pg_visible_in_snapshot(e.emitted_xid, p.seen)
            AND pg_visible_in_snapshot(e.emitted_xid, p.window_end) AND e.payload_classification = 'safe_metadata'
          ORDER BY e.event_domain, e.event_type, e.event_seq LIMIT (SELECT m.rows FROM most m))
        UNION ALL
        (SELECT l.created_at FROM pg_snapshot_xip(p.handed_out) AS i (xid)
          CROSS JOIN LATERAL (SELECT e.created_at FROM public.event_outbox e
                               WHERE e.event_domain = p.event_domain AND e.event_type = p.event_type
                                 AND e.emitted_xid = i.xid AND e.event_seq > p.floor_seq
                                 AND e.payload_classification = 'safe_metadata' OFFSET 0) AS l
          LIMIT (SELECT m.rows FROM most m))
        UNION ALL
        (SELECT e.created_at FROM public.event_outbox e
          WHERE e.event_domain = p.event_domain AND e.event_type = p.event_type
            AND e.emitted_xid >= pg_snapshot_xmax(p.handed_out)
            AND e.event_seq > p.floor_seq AND e.payload_classification = 'safe_metadata'
          ORDER BY e.event_domain, e.event_type, e.emitted_xid, e.event_seq LIMIT (SELECT m.rows FROM most m))) AS x)
      AS w
   WHERE w.waiting > 0
   GROUP BY p.route_code
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_waiting IS
  'Of each armed route that is not retired and has any: the events ahead of its position, and when the oldest was '
  'created. With many routes or event types at least 200 of each are counted, at most some 20000 of all together; '
  'where more wait, so '
  'many are told.';

-- What belongs to a route is looked up once, whatever statistics say: a view that
-- joins the backlog to others reads the answer of a function, which has scans of whole
-- tables off and is not called again for each row of the others.
CREATE FUNCTION iu.fn_iu_event_backlog()
  RETURNS TABLE (route_code text, event_domain text, event_type text, waiting bigint, retrying bigint, leased bigint,
    oldest_at timestamptz, next_due_at timestamptz, refusal text, oldest_due_at timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $function$
  SELECT r.route_code, r.event_domain, r.event_type,
         coalesce(w.waiting, 0), coalesce(t.retrying, 0), coalesce(l.leased, 0),
         least(w.oldest, t.oldest_replay, f.created_at), t.next_due_at, iu.fn_iu_delivery_refusal(r.route_code),
         least(w.oldest, t.oldest_due, l.oldest_end)
    FROM public.iu_outbound_route r
    LEFT JOIN iu.fn_iu_route_waiting() AS w ON w.route_code = r.route_code
    LEFT JOIN LATERAL (
      SELECT count(*) AS retrying, min(x.event_seq) FILTER (WHERE x.replay_number = 0) AS first_seq,
             min(x.created_at) FILTER (WHERE x.replay_number > 0) + iu_core.clock_moved() AS oldest_replay,
             min(x.due_at) + iu_core.clock_moved() AS next_due_at,
             min(x.due_at) FILTER (WHERE x.due_at <= iu_core.steady_clock()) + iu_core.clock_moved() AS oldest_due
        FROM (SELECT y.* FROM public.iu_route_retry y
               WHERE y.route_code = r.route_code ORDER BY y.due_at, y.event_seq LIMIT 10000) AS x) AS t ON true
    LEFT JOIN LATERAL (
      SELECT o.created_at FROM public.iu_route_type y
       CROSS JOIN LATERAL (SELECT x.created_at FROM public.event_outbox x
                            WHERE x.event_domain = y.event_domain AND x.event_type = y.event_type
                              AND x.event_seq = t.first_seq OFFSET 0) AS o
       WHERE y.route_code = r.route_code OFFSET 0) AS f ON true
    LEFT JOIN LATERAL (
      SELECT sum(x.item_count)::bigint AS leased,
             min(x.expires_at) FILTER (WHERE x.expires_at <= iu_core.steady_clock()) + iu_core.clock_moved()
               AS oldest_end
        FROM public.iu_route_lease x
       WHERE x.route_code = r.route_code
         AND x.lease_id >= (SELECT p.lease_low FROM public.v_iu_route_position p
                             WHERE p.route_code = r.route_code)) AS l ON true
   WHERE r.retired_at IS NULL
$function$;
COMMENT ON FUNCTION iu.fn_iu_event_backlog IS 'The rows of v_iu_event_backlog. Raises nothing.';

CREATE VIEW public.v_iu_event_backlog AS SELECT * FROM iu.fn_iu_event_backlog();
COMMENT ON VIEW public.v_iu_event_backlog IS
  'One row a route: events ahead of its position (none before it is armed), deliveries to be tried again or '
  'waiting for another of their subject, deliveries with a sender, since when the oldest waits (its event was '
  'created; a replay was asked for), when the next is due, the code of what holds it, and since when something '
  'has been due. Of very many so many are counted as fn_iu_route_waiting says, and 10000 to be tried again.';

CREATE FUNCTION iu.fn_iu_route_addresses_refused()
  RETURNS TABLE (route_code text, held bigint, first_seq bigint, detail text)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $function$
  SELECT x.route_code, count(*), min(x.event_seq), max(x.detail)
    FROM public.iu_route_retry x WHERE x.reason = 'address_refused' GROUP BY x.route_code
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_addresses_refused IS
  'The routes with deliveries that wait because their address is refused: how many, the first event, and what the '
  'sender found, in words. Raises nothing.';

CREATE VIEW public.v_iu_route_held AS
  SELECT b.route_code, f.refusal ->> 'code' AS code, f.refusal ->> 'sentence' AS sentence,
         f.refusal ->> 'next_action' AS next_action, b.waiting + b.retrying + b.leased AS held, b.oldest_at
    FROM public.v_iu_event_backlog b
    CROSS JOIN LATERAL (SELECT iu.fn_iu_route_refusal(b.route_code) AS refusal) AS f
   WHERE b.refusal IS NOT NULL AND b.waiting + b.retrying + b.leased > 0
  UNION ALL
  SELECT t.route_code, f.refusal ->> 'code', f.refusal ->> 'sentence', f.refusal ->> 'next_action', t.held, e.created_at
    FROM iu.fn_iu_route_addresses_refused() AS t
    JOIN public.iu_outbound_route r ON r.route_code = t.route_code
    CROSS JOIN LATERAL (
      SELECT o.created_at FROM public.iu_route_type y
       CROSS JOIN LATERAL (SELECT x.created_at FROM public.event_outbox x
                            WHERE x.event_domain = y.event_domain AND x.event_type = y.event_type
                              AND x.event_seq = t.first_seq OFFSET 0) AS o
       WHERE y.route_code = r.route_code OFFSET 0) AS e
    CROSS JOIN LATERAL (SELECT iu.fn_iu_route_address_refusal(t.detail) AS refusal) AS f
   WHERE iu.fn_iu_delivery_refusal(t.route_code) IS NULL;
COMMENT ON VIEW public.v_iu_route_held IS
  'Routes whose deliveries are held: why, what to do, how many, the oldest.';
