-- The claim: which routes have something to do, what is leased of each, and what
-- the sender needs to send it.

-- What was committed since a sender looked last is asked for first, by the types of
-- the events, so that a commit costs what it brings and not what routes there are.
CREATE FUNCTION iu.fn_iu_delivery_news(p_since text, OUT now text, OUT routes text[])
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  c_most  constant integer := 200;
  v_since pg_snapshot;
  v_now   constant pg_snapshot := iu.fn_iu_snapshot_now();
  v_rows  bigint;
BEGIN
  now := v_now;
  IF p_since = '' THEN
    RETURN;
  END IF;
  v_since := p_since::pg_snapshot;
  -- The order is that of the index by transactions; another index would be read from end to end.
  WITH fresh AS MATERIALIZED (
    (SELECT e.event_domain, e.event_type FROM public.event_outbox e
      WHERE e.emitted_xid >= pg_snapshot_xmax(v_since) AND e.emitted_xid < pg_snapshot_xmax(v_now)
        AND e.emitted_xid <> '2'
      ORDER BY e.emitted_xid, e.event_seq LIMIT c_most)
    UNION ALL
    (SELECT l.event_domain, l.event_type FROM pg_snapshot_xip(v_since) AS i (xid)
      CROSS JOIN LATERAL (SELECT e.event_domain, e.event_type FROM public.event_outbox e
                           WHERE e.emitted_xid = i.xid AND e.emitted_xid <> '2'
                           ORDER BY e.emitted_xid, e.event_seq LIMIT c_most) AS l
      LIMIT c_most)
  ), carrier AS (
    -- In this order, whatever statistics say: from the types to their routes, and not through all routes.
    SELECT y.route_code FROM (SELECT DISTINCT f.event_domain, f.event_type FROM fresh f) AS t
      CROSS JOIN LATERAL (SELECT y.route_code FROM public.iu_route_type y
                           WHERE y.event_domain = t.event_domain AND y.event_type = t.event_type OFFSET 0) AS y
      CROSS JOIN LATERAL (SELECT FROM public.iu_outbound_route r
                           WHERE r.route_code = y.route_code AND r.enabled AND NOT r.dry_run
                             AND r.target_kind <> 'sql_function' OFFSET 0) AS r
  )
  SELECT (SELECT count(*) FROM fresh), ARRAY(SELECT c.route_code FROM carrier c) INTO v_rows, routes;
  IF v_rows >= c_most THEN
    routes := NULL;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_news IS
  'For the senders, before a claim: the snapshot now, and the live routes that carry what was committed since a '
  'snapshot that was returned before. NULL instead of the routes: p_since is empty, or so much is new that all of them '
  'are to be looked at.';

-- The routes are found without writing or locking. Each is looked up by itself,
-- whatever statistics say: OFFSET 0 keeps the planner from reading all routes or
-- leases for a few of them, and the order, which is that of an index, from reading all
-- retries or events of a route to find one.
CREATE FUNCTION iu.fn_iu_delivery_claim_routes(p_routes text[], p_functions boolean) RETURNS text[]
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
  SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $function$
DECLARE
  v_routes constant text[] := coalesce(p_routes, ARRAY(
    SELECT r.route_code FROM public.iu_outbound_route r
     WHERE r.enabled AND NOT r.dry_run AND r.target_kind <> 'sql_function'
       AND r.route_code IN (SELECT unnest(iu.fn_iu_delivery_live_routes()))));
BEGIN
  RETURN ARRAY(
    SELECT p.route_code
      FROM (SELECT DISTINCT u FROM unnest(v_routes) u) AS x (route_code)
      CROSS JOIN LATERAL (SELECT FROM public.iu_outbound_route o
                           WHERE o.route_code = x.route_code AND o.enabled AND NOT o.dry_run
                             AND (o.target_kind = 'sql_function') = p_functions OFFSET 0) AS r
      CROSS JOIN LATERAL (SELECT q.floor_seq FROM public.iu_route_position q
                           WHERE q.route_code = x.route_code OFFSET 0) AS b
      CROSS JOIN LATERAL (SELECT s.* FROM public.iu_route_step s
                           WHERE s.route_code = x.route_code ORDER BY s.step DESC LIMIT 1) AS p
     WHERE (p.window_end IS NOT NULL
            OR (SELECT t.due_at FROM public.iu_route_retry t
                 WHERE t.route_code = p.route_code ORDER BY t.due_at LIMIT 1) <= (SELECT iu_core.steady_clock())
            OR EXISTS (SELECT FROM public.iu_route_lease l
                        WHERE l.route_code = p.route_code AND l.lease_id >= p.lease_low OFFSET 0)
            OR EXISTS (SELECT FROM public.iu_route_type t
                        CROSS JOIN LATERAL (SELECT FROM public.event_outbox e
                                             WHERE e.event_domain = t.event_domain AND e.event_type = t.event_type
                                               AND e.emitted_xid >= pg_snapshot_xmax(p.seen)
                                               AND e.emitted_xid < pg_snapshot_xmax(pg_current_snapshot())
                                               AND e.event_seq > b.floor_seq
                                             ORDER BY e.event_domain, e.event_type, e.emitted_xid, e.event_seq
                                             LIMIT 1) AS l
                        WHERE t.route_code = p.route_code)
            OR EXISTS (SELECT FROM pg_snapshot_xip(p.seen) AS i (xid)
                        CROSS JOIN public.iu_route_type t
                        CROSS JOIN LATERAL (SELECT FROM public.event_outbox e
                                             WHERE e.event_domain = t.event_domain AND e.event_type = t.event_type
                                               AND e.emitted_xid = i.xid AND e.event_seq > b.floor_seq
                                             ORDER BY e.event_domain, e.event_type, e.emitted_xid, e.event_seq
                                             LIMIT 1) AS l
                        WHERE t.route_code = p.route_code))
     ORDER BY random());
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_claim_routes IS
  'For the claim: those of these routes (NULL: of the live routes of the senders) that may have something to do, in no '
  'order. p_functions: those of kind sql_function, which are the runner''s, instead of the others';

-- Both are inlined where they are called. A route of fewer than 16 is not divided:
-- there may be as many senders.
CREATE FUNCTION iu.fn_iu_delivery_share(p_max_in_flight integer, p_senders integer) RETURNS integer
  LANGUAGE sql IMMUTABLE
RETURN CASE WHEN p_max_in_flight >= 16 THEN p_max_in_flight / greatest(p_senders, 1) ELSE p_max_in_flight END;
COMMENT ON FUNCTION iu.fn_iu_delivery_share IS
  'How many requests one of so many senders may have under way at a time on a route, by the max_in_flight of the '
  'route.';

CREATE FUNCTION iu.fn_iu_delivery_ahead(p_requests integer, p_max_in_flight integer, p_senders integer) RETURNS integer
  LANGUAGE sql IMMUTABLE
RETURN CASE WHEN p_max_in_flight >= 16 OR p_senders <= 1 THEN p_requests + (p_requests + 1) / 2 ELSE p_requests END;
COMMENT ON FUNCTION iu.fn_iu_delivery_ahead IS
  'How many deliveries may be with senders where so many requests of a route may be under way: half as many more, so '
  'that requests leave while others are recorded. A route that is not divided among several senders has no more, since '
  'nothing else would bound its requests.';

CREATE FUNCTION iu.fn_iu_delivery_claim_room(p_route public.iu_outbound_route, p_taken bigint[], p_route_max integer,
    p_senders integer, OUT taken integer, OUT room integer)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_most  constant integer := p_route.max_in_flight;
  v_share constant integer := iu.fn_iu_delivery_share(v_most, p_senders);
BEGIN
  SELECT coalesce(sum(l.item_count) FILTER (WHERE l.lease_id = ANY (p_taken)), 0),
         least(iu.fn_iu_delivery_ahead(v_most, v_most, p_senders) - coalesce(sum(l.item_count), 0),
               -- One part is recorded while the others are under way: a route whose whole share came at once
               -- would then stand still. Two large parts are all that is claimed ahead.
               CASE WHEN v_share <= 256 THEN greatest(ceil(v_share / 4.0), 16) ELSE ceil(v_share * 3 / 4.0) END,
               least(iu.fn_iu_delivery_ahead(v_share, v_most, p_senders), p_route_max)
                 - coalesce(sum(l.item_count) FILTER (WHERE l.backend_pid = pg_backend_pid()), 0))
    INTO taken, room FROM public.iu_route_lease l
   WHERE l.route_code = p_route.route_code
     AND l.lease_id >= (SELECT p.lease_low FROM public.v_iu_route_position p WHERE p.route_code = p_route.route_code);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_claim_room IS
  'For the claim: how many deliveries the leases just taken have, and how many more it may lease of the route: by its '
  'max_in_flight, by the share of one of so many senders, by the part that one claim takes, and by p_route_max for the '
  'session (NULL: no limit).';

CREATE FUNCTION iu.fn_iu_delivery_claim_route(
    p_route_code text, p_sender text, p_left integer, p_share integer, p_route_max integer, p_senders integer,
    OUT lease_ids bigint[], OUT taken integer)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_judged constant integer := 20;  -- retries, where a filter may take 50 ms for each and other routes wait
  v_code  text;
  v_route public.iu_outbound_route;
  v_probe boolean;
  v_room  record;
  v_left  integer;
  v_pace  integer;
BEGIN
  lease_ids := '{}';
  taken := 0;
  v_code := iu.fn_iu_delivery_refusal(p_route_code);
  PERFORM iu_core.log_held(p_route_code, v_code);
  IF v_code IS NOT NULL THEN
    RETURN;
  END IF;
  PERFORM FROM public.iu_route_position p WHERE p.route_code = p_route_code FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND OR NOT iu.fn_iu_delivery_locks(p_route_code) THEN
    RETURN;
  END IF;
  SELECT * INTO v_route FROM public.iu_outbound_route r WHERE r.route_code = p_route_code;
  v_probe := iu.fn_iu_circuit_is_probing(p_route_code);
  v_pace := iu.fn_iu_pace_room(v_route);
  lease_ids := ARRAY(SELECT o FROM iu.fn_iu_delivery_lease_orphans(p_route_code, p_sender,
                                     least(CASE WHEN v_probe THEN 1 ELSE p_left END, v_pace)) o);
  v_room := iu.fn_iu_delivery_claim_room(v_route, lease_ids, p_route_max, p_senders);
  taken := v_room.taken;
  v_left := least(v_room.room, CASE WHEN v_probe THEN 1 ELSE p_share END - taken, v_pace - taken);
  IF v_left > 0 THEN
    lease_ids := lease_ids || ARRAY(SELECT o FROM iu.fn_iu_delivery_lease_retries(p_route_code, p_sender,
      CASE WHEN v_route.payload_filter IS NULL THEN v_left ELSE least(v_left, c_judged) END) o);
    SELECT coalesce(sum(l.item_count), 0), v_left - coalesce(sum(l.item_count), 0) + taken
      INTO taken, v_left FROM public.iu_route_lease l WHERE l.lease_id = ANY (lease_ids);
  END IF;
  IF v_left > 0 THEN
    lease_ids := lease_ids || ARRAY(SELECT o FROM iu.fn_iu_delivery_lease_window(p_route_code, p_sender, v_left) o);
    SELECT coalesce(sum(l.item_count), 0) INTO taken FROM public.iu_route_lease l WHERE l.lease_id = ANY (lease_ids);
  END IF;
  IF taken >= v_pace THEN
    PERFORM iu.fn_iu_delivery_window_note(v_route);
  END IF;
  IF lease_ids <> '{}' THEN
    PERFORM iu.fn_iu_pace_take(v_route, taken);
    PERFORM iu.fn_iu_delivery_contract(p_route_code, lease_ids);
  END IF;
  IF v_probe THEN
    PERFORM iu.fn_iu_circuit_probe(p_route_code, lease_ids);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_claim_route IS
  'For the claim: leases of one route what it may, abandoned leases first (at most p_left deliveries), then due '
  'retries, then new events (with those at most p_share); of a route with a filter at most 20 retries at a time. '
  'Returns the leases and how many deliveries they have; none where something holds the route or another claim has it.';

-- This function is inlined into the query of the claim, so that its rows are made
-- once; for that it is STABLE and has no settings.
CREATE FUNCTION iu.fn_iu_delivery_hand_out(p_lease_ids bigint[], p_senders integer)
  RETURNS TABLE (lease_id bigint, lease_generation integer, route_code text, event_id uuid, replay_number integer,
    attempt_no integer, webhook_id text, target_kind text, target_url text, body text, secrets text[],
    timeout_ms integer, requests integer, headers text[], hidden text[], ca_name text, client_name text,
    most integer)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  WITH held AS MATERIALIZED (
    SELECT l.*, r.id AS route_id, r.target_kind, r.target_ref, r.timeout_ms,
           iu.fn_iu_delivery_share(r.max_in_flight, p_senders) AS requests,
           iu.fn_iu_delivery_ahead(iu.fn_iu_delivery_share(r.max_in_flight, p_senders), r.max_in_flight,
             p_senders) AS most,
           ARRAY(SELECT s.secret FROM public.iu_route_secret s
                  WHERE s.secret_ref = r.secret_ref AND iu.fn_iu_route_secret_is_valid(s)
                  ORDER BY s.valid_from DESC, s.id DESC) AS secrets,
           head.lines, head.hidden, r.ca_name, r.client_name,
           q.low_seq, q.high_seq, q.high_seq - q.low_seq < 2 * l.item_count AS dense
      FROM public.iu_route_lease l
      CROSS JOIN LATERAL (SELECT min(x) AS low_seq, max(x) AS high_seq FROM unnest(l.event_seqs) x) AS q
      JOIN public.iu_outbound_route r ON r.route_code = l.route_code
      LEFT JOIN LATERAL (SELECT x.lines, x.hidden FROM iu.fn_iu_route_header_lines(r.request_headers) x
                          WHERE r.request_headers <> '{}') AS head ON true
     WHERE l.lease_id = ANY (p_lease_ids)
  )
  SELECT h.lease_id, h.generation, h.route_code, e.id, i.replay_number, i.attempt_no,
         iu.fn_iu_webhook_id(i.event_seq, h.route_id, i.replay_number, e.id),
         h.target_kind, h.target_ref, e.body, h.secrets, h.timeout_ms, h.requests,
         h.lines, h.hidden, h.ca_name, h.client_name, h.most
    FROM held h
    CROSS JOIN LATERAL unnest(h.event_seqs, h.replay_numbers, h.attempt_nos) AS i (event_seq, replay_number, attempt_no)
    JOIN LATERAL (
      -- What lies close together is read in one go, the rest by one look-up each, whatever the statistics say.
      SELECT l.event_seq, l.id, l.body FROM public.iu_route_type t
        CROSS JOIN LATERAL (SELECT o.event_seq, o.id, iu.fn_iu_delivery_body(o) AS body FROM public.event_outbox o
                             WHERE o.event_domain = t.event_domain AND o.event_type = t.event_type
                               AND o.event_seq BETWEEN h.low_seq AND h.high_seq
                            OFFSET 0) AS l
       WHERE h.dense AND t.route_code = h.route_code
      UNION ALL
      SELECT l.event_seq, l.id, l.body FROM (SELECT DISTINCT x FROM unnest(h.event_ids) x) AS s (id)
        CROSS JOIN LATERAL (SELECT o.event_seq, o.id, iu.fn_iu_delivery_body(o) AS body FROM public.event_outbox o
                             WHERE o.id = s.id
                            OFFSET 0) AS l
       WHERE NOT h.dense) AS e ON e.event_seq = i.event_seq
   ORDER BY i.event_seq;
END;
COMMENT ON FUNCTION iu.fn_iu_delivery_hand_out IS
  'For the claim: all that a sender needs for the deliveries of these leases, in the order of their events.';

CREATE FUNCTION iu.fn_iu_delivery_claim(p_sender text, p_max integer, p_route_max integer DEFAULT NULL,
    p_senders integer DEFAULT 1, p_routes text[] DEFAULT NULL)
  RETURNS TABLE (lease_id bigint, lease_generation integer, route_code text, event_id uuid, replay_number integer,
    attempt_no integer, webhook_id text, target_kind text, target_url text, body text, secrets text[],
    timeout_ms integer, requests integer, headers text[], hidden text[], ca_name text, client_name text,
    most integer)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  v_routes text[];
  v_route  text;
  v_rest   integer;
  v_left   integer := p_max;
  v_one    record;
  v_leases bigint[] := '{}';
BEGIN
  IF coalesce(btrim(p_sender), '') = '' OR p_max IS NULL OR p_max < 1 THEN
    RAISE check_violation USING
      MESSAGE = 'a claim names its sender and asks for at least one delivery',
      DETAIL = format('p_sender is %s, p_max %s.', quote_nullable(p_sender), coalesce(p_max::text, 'NULL')),
      CONSTRAINT = 'iu_delivery_claim';
  END IF;
  v_routes := iu.fn_iu_delivery_claim_routes(p_routes, false);
  v_rest := cardinality(v_routes);
  FOREACH v_route IN ARRAY v_routes LOOP
    EXIT WHEN v_left <= 0;
    v_one := iu.fn_iu_delivery_claim_route(v_route, p_sender, v_left, ceil(v_left::numeric / v_rest)::integer,
                                           p_route_max, p_senders);
    v_leases := v_leases || v_one.lease_ids;
    v_left := v_left - v_one.taken;
    v_rest := v_rest - 1;
  END LOOP;
  IF v_leases <> '{}' THEN
    RETURN QUERY SELECT h.* FROM iu.fn_iu_delivery_hand_out(v_leases, p_senders) h;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_claim IS
  'Leases at most p_max deliveries to a sender, which is one of p_senders, and returns them with all that sending '
  'needs: abandoned leases first, then due retries, then new events, shared among the routes that may deliver (those '
  'of kind sql_function are not a sender''s; p_routes: only of these). The sender may have that many requests of a '
  'route under way at a time as the column requests says, its share of max_in_flight; its session holds half as many '
  'deliveries more, which is the column most, and at most p_route_max (NULL: no such limit), and one claim takes a '
  'quarter of a share of 256 or less, at least 16, and three quarters of a larger one, so that one part is sent while '
  'another is recorded. Fewer than p_max: there is no more, or what there is is held, locked by another claim, more '
  'than is allowed, or for the next claim, which fn_iu_delivery_next_due tells. A held route is not touched. '
  'Writes nothing where there is nothing. SQLSTATE 23514: no sender, or p_max below 1.';
