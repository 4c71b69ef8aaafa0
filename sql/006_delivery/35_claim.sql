-- The settings: these queries run for every claim against tables whose size
-- changes faster than their statistics, so their plans are not left to those.
CREATE FUNCTION iu.fn_iu_delivery_lease_orphans(p_route_code text, p_sender text, p_max integer) RETURNS SETOF bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_lease   public.iu_route_lease;
  v_left    integer := p_max;
  v_timeout integer := (SELECT timeout_ms FROM public.iu_outbound_route WHERE route_code = p_route_code);
BEGIN
  FOR v_lease IN
    SELECT l.* FROM public.iu_route_lease l
     WHERE l.route_code = p_route_code
       AND l.lease_id >= (SELECT p.lease_low FROM public.v_iu_route_position p WHERE p.route_code = p_route_code)
       AND (l.expires_at <= clock_timestamp()
            OR (l.backend_pid <> pg_backend_pid()
                AND NOT EXISTS (SELECT FROM pg_stat_get_activity(l.backend_pid))))
     ORDER BY l.lease_id FOR UPDATE SKIP LOCKED
  LOOP
    EXIT WHEN v_left <= 0;
    IF v_lease.item_count > v_left THEN
      INSERT INTO public.iu_route_retry (route_code, event_id, replay_number, event_seq, attempt_no, due_at, reason)
        SELECT p_route_code, i.event_id, i.replay_number, i.event_seq, i.attempt_no, clock_timestamp(), 'lease_expired'
          FROM unnest(v_lease.event_ids[v_left + 1:], v_lease.replay_numbers[v_left + 1:],
                      v_lease.event_seqs[v_left + 1:], v_lease.attempt_nos[v_left + 1:])
               AS i (event_id, replay_number, event_seq, attempt_no)
        ON CONFLICT DO NOTHING;
    END IF;
    UPDATE public.iu_route_lease
       SET sender = p_sender, backend_pid = pg_backend_pid(), generation = generation + 1, claimed_at = clock_timestamp(),
           expires_at = clock_timestamp() + make_interval(secs => 60 + v_timeout / 100.0),
           item_count = least(item_count, v_left), event_ids = event_ids[:v_left], event_seqs = event_seqs[:v_left],
           replay_numbers = replay_numbers[:v_left], attempt_nos = attempt_nos[:v_left]
     WHERE lease_id = v_lease.lease_id;
    v_left := v_left - least(v_lease.item_count, v_left);
    RETURN NEXT v_lease.lease_id;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_lease_orphans IS
  'For the claim: takes over leases of a route that expired or whose session is gone, at most p_max deliveries '
  '(what is over becomes a retry), with the next generation. Returns their ids. What was recorded is no longer in '
  'them.';

CREATE FUNCTION iu.fn_iu_delivery_lease_retries(p_route_code text, p_sender text, p_max integer) RETURNS SETOF bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_due tid[];
BEGIN
  v_due := ARRAY(SELECT t.ctid FROM public.iu_route_retry t
                  WHERE t.route_code = p_route_code AND t.due_at <= (SELECT clock_timestamp())
                  ORDER BY t.due_at, t.event_seq LIMIT p_max FOR UPDATE SKIP LOCKED);
  IF v_due = '{}' THEN
    RETURN;
  END IF;
  RETURN QUERY
    WITH taken AS (
      DELETE FROM public.iu_route_retry t WHERE t.ctid = ANY (v_due) RETURNING t.*
    ), ordered AS (
      SELECT * FROM taken ORDER BY event_seq, replay_number
    )
    INSERT INTO public.iu_route_lease
        (route_code, sender, backend_pid, expires_at, item_count, event_ids, event_seqs, replay_numbers, attempt_nos)
      SELECT p_route_code, p_sender, pg_backend_pid(),
             clock_timestamp() + make_interval(secs => 60 + (SELECT r.timeout_ms / 100.0 FROM public.iu_outbound_route r
                                                              WHERE r.route_code = p_route_code)),
             count(*), array_agg(o.event_id), array_agg(o.event_seq), array_agg(o.replay_number), array_agg(o.attempt_no)
        FROM ordered o
      RETURNING lease_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_lease_retries IS
  'For the claim: leases at most p_max due retries of a route, oldest due first.';

CREATE FUNCTION iu.fn_iu_delivery_lease_window(p_route_code text, p_sender text, p_max integer) RETURNS SETOF bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_span    constant bigint := 50000;	-- rows looked at in one step
  v_route   public.iu_outbound_route;
  v_was     public.v_iu_route_position;
  v_at      public.v_iu_route_position;
  v_left    integer := p_max;
  v_new     record;
  v_to      bigint;
  v_batch   record;
  v_lease   bigint;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  SELECT * INTO v_was FROM public.v_iu_route_position WHERE route_code = p_route_code;
  v_at := v_was;
  FOR v_step IN 1..20 LOOP
    EXIT WHEN v_left <= 0;
    IF v_at.window_end IS NULL THEN
      -- The recent by range, what was under way at the last snapshot by list.
      WITH at AS MATERIALIZED (
        SELECT iu.fn_iu_snapshot_now() AS now
      ), fresh AS (
        SELECT e.event_seq, e.event_domain, e.event_type FROM at, public.event_outbox e
         WHERE e.emitted_xid >= pg_snapshot_xmax(v_at.seen) AND e.emitted_xid < pg_snapshot_xmax(at.now)
           AND e.event_seq > v_at.floor_seq AND pg_visible_in_snapshot(e.emitted_xid, at.now)
        UNION ALL
        SELECT e.event_seq, e.event_domain, e.event_type FROM at, public.event_outbox e
         WHERE e.emitted_xid = ANY (ARRAY(SELECT pg_snapshot_xip(v_at.seen)))
           AND e.event_seq > v_at.floor_seq AND pg_visible_in_snapshot(e.emitted_xid, at.now)
      )
      SELECT at.now, f.seen_any, f.low, f.high INTO v_new FROM at, (
        SELECT count(*) > 0 AS seen_any,
               min(event_seq) FILTER (WHERE event_domain = v_route.event_domain AND event_type = v_route.event_type) AS low,
               max(event_seq) FILTER (WHERE event_domain = v_route.event_domain AND event_type = v_route.event_type) AS high
          FROM fresh) AS f;
      EXIT WHEN NOT v_new.seen_any;
      IF v_new.low IS NULL THEN
        v_at.seen := v_new.now;
        EXIT;
      END IF;
      v_at.window_end := v_new.now;
      v_at.window_seq := v_new.low - 1;
      v_at.window_high := v_new.high;
    END IF;

    v_to := least(v_at.window_high, v_at.window_seq + c_span);
    SELECT count(*) AS items, max(b.event_seq) AS last, array_agg(b.id ORDER BY b.event_seq) AS ids,
           array_agg(b.event_seq ORDER BY b.event_seq) AS seqs INTO v_batch
      FROM (SELECT e.id, e.event_seq FROM public.event_outbox e
             WHERE e.event_domain = v_route.event_domain AND e.event_type = v_route.event_type
               AND e.event_seq > greatest(v_at.window_seq, v_at.floor_seq) AND e.event_seq <= v_to
               AND NOT pg_visible_in_snapshot(e.emitted_xid, v_at.seen)
               AND pg_visible_in_snapshot(e.emitted_xid, v_at.window_end)
               AND e.payload_classification = 'safe_metadata'
             ORDER BY e.event_domain, e.event_type, e.event_seq LIMIT v_left) AS b;
    v_at.window_seq := CASE WHEN v_batch.items = v_left THEN v_batch.last ELSE v_to END;
    IF v_at.window_seq >= v_at.window_high THEN
      v_at.seen := v_at.window_end;
      v_at.window_end := NULL;
      v_at.window_seq := NULL;
      v_at.window_high := NULL;
    END IF;
    IF v_batch.items > 0 AND v_route.ordering = 'subject' THEN
      SELECT h.items, h.ids, h.seqs INTO v_batch FROM iu.fn_iu_order_heads(p_route_code, v_batch.ids, v_batch.seqs) h;
    END IF;
    IF v_batch.items > 0 THEN
      v_left := v_left - v_batch.items;
      INSERT INTO public.iu_route_lease
          (route_code, sender, backend_pid, expires_at, item_count, event_ids, event_seqs, replay_numbers, attempt_nos)
        VALUES (p_route_code, p_sender, pg_backend_pid(),
                clock_timestamp() + make_interval(secs => 60 + v_route.timeout_ms / 100.0), v_batch.items, v_batch.ids, v_batch.seqs,
                array_fill(0, ARRAY[v_batch.items::integer]), array_fill(1, ARRAY[v_batch.items::integer]))
        RETURNING lease_id INTO v_lease;
      RETURN NEXT v_lease;
    END IF;
  END LOOP;
  v_at.lease_low := coalesce((SELECT l.lease_id FROM public.iu_route_lease l
                               WHERE l.route_code = p_route_code AND l.lease_id >= v_at.lease_low
                               ORDER BY l.lease_id LIMIT 1), v_at.lease_low);
  IF (v_at.seen::text, v_at.window_seq) IS DISTINCT FROM (v_was.seen::text, v_was.window_seq) OR v_at.lease_low > v_was.lease_low + 100 THEN
    INSERT INTO public.iu_route_step (route_code, step, seen, window_end, window_seq, window_high, lease_low)
      VALUES (p_route_code, v_was.step + 1, v_at.seen, v_at.window_end, v_at.window_seq, v_at.window_high, v_at.lease_low);
    DELETE FROM public.iu_route_step WHERE route_code = p_route_code AND step = v_was.step;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_lease_window IS
  'For the claim, which holds the position: leases at most p_max events that became visible since the position, '
  'opening the next window where none is open, and moves the position past them.';

CREATE FUNCTION iu.fn_iu_delivery_claim(p_sender text, p_max integer, p_route_max integer DEFAULT NULL)
  RETURNS TABLE (lease_id bigint, lease_generation integer, route_code text, event_id uuid, replay_number integer,
    attempt_no integer, webhook_id text, target_kind text, target_url text, body text, secrets text[], timeout_ms integer)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
  v_routes text[];
  v_route  text;
  v_rest   integer;
  v_left   integer := p_max;
  v_room   integer;
  v_probe  boolean;
  v_ids    bigint[];
  v_leases bigint[] := '{}';
  v_done   integer;
BEGIN
  IF coalesce(btrim(p_sender), '') = '' OR p_max IS NULL OR p_max < 1 THEN
    RAISE check_violation USING
      MESSAGE = 'a claim names its sender and asks for at least one delivery';
  END IF;
  -- Only routes with something to do, found without writing or locking.
  v_routes := ARRAY(
    SELECT p.route_code FROM public.v_iu_route_position p JOIN public.iu_outbound_route r ON r.route_code = p.route_code
     WHERE r.enabled AND NOT r.dry_run AND r.target_kind <> 'sql_function'
       AND (p.window_end IS NOT NULL
            OR EXISTS (SELECT FROM public.iu_route_retry t WHERE t.route_code = p.route_code AND t.due_at <= (SELECT clock_timestamp()))
            OR EXISTS (SELECT FROM public.iu_route_lease l WHERE l.route_code = p.route_code AND l.lease_id >= p.lease_low)
            OR EXISTS (SELECT FROM public.event_outbox e
                        WHERE e.emitted_xid >= pg_snapshot_xmax(p.seen)
                          AND e.emitted_xid < pg_snapshot_xmax(pg_current_snapshot())
                          AND e.event_seq > p.floor_seq)
            OR EXISTS (SELECT FROM public.event_outbox e
                        WHERE e.emitted_xid = ANY (ARRAY(SELECT pg_snapshot_xip(p.seen))) AND e.event_seq > p.floor_seq))
     ORDER BY random());
  v_rest := cardinality(v_routes);
  FOREACH v_route IN ARRAY v_routes LOOP
    EXIT WHEN v_left <= 0;
    v_done := 0;
    IF iu.fn_iu_delivery_refusal(v_route) IS NULL THEN
      PERFORM FROM public.iu_route_position p WHERE p.route_code = v_route FOR NO KEY UPDATE SKIP LOCKED;
      IF FOUND AND iu.fn_iu_delivery_locks(v_route) THEN
        v_probe := iu.fn_iu_circuit_is_probing(v_route);
        v_ids := ARRAY(SELECT o FROM iu.fn_iu_delivery_lease_orphans(v_route, p_sender, CASE WHEN v_probe THEN 1 ELSE v_left END) o);
        SELECT coalesce(sum(l.item_count) FILTER (WHERE l.lease_id = ANY (v_ids)), 0),
               least((SELECT r.max_in_flight FROM public.iu_outbound_route r WHERE r.route_code = v_route) - coalesce(sum(l.item_count), 0),
                     -- One part is recorded while the others are under way: a route whose whole share came at once would then stand still.
                     (SELECT greatest(ceil(r.max_in_flight / 4.0), 16) FROM public.iu_outbound_route r WHERE r.route_code = v_route AND r.max_in_flight <= 256),
                     p_route_max - coalesce(sum(l.item_count) FILTER (WHERE l.backend_pid = pg_backend_pid()), 0))
          INTO v_done, v_room FROM public.iu_route_lease l
         WHERE l.route_code = v_route
           AND l.lease_id >= (SELECT p.lease_low FROM public.v_iu_route_position p WHERE p.route_code = v_route);
        v_room := least(v_room, CASE WHEN v_probe THEN 1 ELSE ceil(v_left::numeric / v_rest)::integer END - v_done);
        IF v_room > 0 THEN
          v_ids := v_ids || ARRAY(SELECT o FROM iu.fn_iu_delivery_lease_retries(v_route, p_sender, v_room) o);
          SELECT coalesce(sum(l.item_count), 0), v_room - coalesce(sum(l.item_count), 0) + v_done
            INTO v_done, v_room FROM public.iu_route_lease l WHERE l.lease_id = ANY (v_ids);
        END IF;
        IF v_room > 0 THEN
          v_ids := v_ids || ARRAY(SELECT o FROM iu.fn_iu_delivery_lease_window(v_route, p_sender, v_room) o);
          SELECT coalesce(sum(l.item_count), 0) INTO v_done FROM public.iu_route_lease l WHERE l.lease_id = ANY (v_ids);
        END IF;
        IF v_ids <> '{}' THEN
          PERFORM iu.fn_iu_delivery_contract(v_route, v_ids);
        END IF;
        IF v_probe THEN
          PERFORM iu.fn_iu_circuit_probe(v_route, v_ids);
        END IF;
        v_leases := v_leases || v_ids;
      END IF;
    END IF;
    v_left := v_left - v_done;
    v_rest := v_rest - 1;
  END LOOP;
  IF v_leases = '{}' THEN
    RETURN;
  END IF;

  RETURN QUERY
    WITH held AS MATERIALIZED (
      SELECT l.*, r.id AS route_id, r.event_domain, r.event_type, r.target_kind, r.target_ref, r.timeout_ms,
             ARRAY(SELECT s.secret FROM public.iu_route_secret s
                    WHERE s.secret_ref = r.secret_ref AND s.valid_from <= clock_timestamp() AND s.valid_until > clock_timestamp()
                    ORDER BY s.valid_from DESC, s.id DESC) AS secrets,
             q.low_seq, q.high_seq, q.high_seq - q.low_seq < 2 * l.item_count AS dense
        FROM public.iu_route_lease l CROSS JOIN LATERAL (SELECT min(x) AS low_seq, max(x) AS high_seq FROM unnest(l.event_seqs) x) AS q
        JOIN public.iu_outbound_route r ON r.route_code = l.route_code
       WHERE l.lease_id = ANY (v_leases)
    )
    SELECT h.lease_id, h.generation, h.route_code, e.id, i.replay_number, i.attempt_no,
           iu.fn_iu_webhook_id(i.event_seq, h.route_id, i.replay_number, e.id),
           h.target_kind, h.target_ref, e.body, h.secrets, h.timeout_ms
      FROM held h
      CROSS JOIN LATERAL unnest(h.event_seqs, h.replay_numbers, h.attempt_nos) AS i (event_seq, replay_number, attempt_no)
      JOIN LATERAL (
        -- What lies close together is read in one go, the rest by one look-up each, whatever the statistics say.
        SELECT o.event_seq, o.id, iu.fn_iu_delivery_body(o) AS body FROM public.event_outbox o
         WHERE h.dense AND o.event_domain = h.event_domain AND o.event_type = h.event_type
           AND o.event_seq BETWEEN h.low_seq AND h.high_seq
        UNION ALL
        SELECT s.event_seq, l.id, l.body FROM (SELECT DISTINCT x FROM unnest(h.event_seqs) x) AS s (event_seq)
          CROSS JOIN LATERAL (SELECT o.id, iu.fn_iu_delivery_body(o) AS body FROM public.event_outbox o
                               WHERE o.event_domain = h.event_domain AND o.event_type = h.event_type AND o.event_seq = s.event_seq
                              OFFSET 0) AS l
         WHERE NOT h.dense) AS e ON e.event_seq = i.event_seq
     ORDER BY i.event_seq;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_claim IS
  'Leases at most p_max deliveries to a sender, of each route so many that its session holds at most p_route_max '
  '(NULL: no such limit), and returns them with all that sending needs; of a route whose max_in_flight is 256 or '
  'less a quarter of it in one claim, at least 16, so that it is sent while another part is recorded: abandoned '
  'leases first, then due retries, then new events, shared among the routes that may deliver (those of kind '
  'sql_function are not a sender''s). Fewer than p_max: there is no more, or what there is is held, locked by '
  'another claim, over a route''s max_in_flight, or for the next claim, which fn_iu_delivery_next_due tells. A '
  'held route is not touched. Writes nothing where there is nothing. SQLSTATE 23514: no sender, or p_max below 1.';
