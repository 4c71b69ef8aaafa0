-- What a claim leases of one route: what others abandoned, what is due again, and
-- what became visible since the route's position.
--
-- These queries run for every claim against tables whose size changes faster than
-- their statistics. The claim has settings that keep their plans from resting on
-- those; they hold in what it calls.

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
       AND (l.expires_at <= iu_core.steady_clock()
            OR (l.backend_pid <> pg_backend_pid()
                AND NOT EXISTS (SELECT FROM pg_stat_get_activity(l.backend_pid))))
     ORDER BY l.lease_id FOR UPDATE SKIP LOCKED
  LOOP
    EXIT WHEN v_left <= 0;
    IF v_lease.item_count > v_left THEN
      INSERT INTO public.iu_route_retry (route_code, event_id, replay_number, event_seq, attempt_no, due_at, reason)
        SELECT p_route_code, i.event_id, i.replay_number, i.event_seq, i.attempt_no, iu_core.steady_clock(),
               'lease_expired'
          FROM unnest(v_lease.event_ids[v_left + 1:], v_lease.replay_numbers[v_left + 1:],
                      v_lease.event_seqs[v_left + 1:], v_lease.attempt_nos[v_left + 1:])
               AS i (event_id, replay_number, event_seq, attempt_no)
        ON CONFLICT DO NOTHING;
    END IF;
    UPDATE public.iu_route_lease
       SET sender = p_sender, backend_pid = pg_backend_pid(), generation = generation + 1,
           claimed_at = clock_timestamp(),
           expires_at = iu.fn_iu_lease_end(v_timeout),
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
                  WHERE t.route_code = p_route_code AND t.due_at <= (SELECT iu_core.steady_clock())
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
             iu.fn_iu_lease_end((SELECT r.timeout_ms FROM public.iu_outbound_route r
                                  WHERE r.route_code = p_route_code)),
             count(*), array_agg(o.event_id), array_agg(o.event_seq), array_agg(o.replay_number),
             array_agg(o.attempt_no)
        FROM ordered o
      RETURNING lease_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_lease_retries IS
  'For the claim: leases at most p_max due retries of a route, oldest due first.';

-- The newest step of a route is what v_iu_route_position shows; it is written by
-- the claim that holds the position.
CREATE FUNCTION iu.fn_iu_delivery_window_open(p_route public.iu_outbound_route, p_at public.v_iu_route_position)
  RETURNS public.v_iu_route_position
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_at  public.v_iu_route_position := p_at;
  v_new record;
BEGIN
  -- Transactions that began after the last snapshot are found by their range of numbers, those that were running
  -- when it was taken by its list of them.
  WITH at AS MATERIALIZED (
    SELECT iu.fn_iu_snapshot_now() AS now
  ), fresh AS (
    SELECT l.event_seq FROM at, public.iu_route_type t
      CROSS JOIN LATERAL (SELECT e.event_seq FROM public.event_outbox e
                           WHERE e.event_domain = t.event_domain AND e.event_type = t.event_type
                             AND e.emitted_xid >= pg_snapshot_xmax(v_at.seen)
                             AND e.emitted_xid < pg_snapshot_xmax(at.now)
                             AND e.event_seq > v_at.floor_seq AND pg_visible_in_snapshot(e.emitted_xid, at.now)
                          OFFSET 0) AS l
     WHERE t.route_code = p_route.route_code
    UNION ALL
    SELECT l.event_seq FROM at, pg_snapshot_xip(v_at.seen) AS i (xid)
      CROSS JOIN public.iu_route_type t
      CROSS JOIN LATERAL (SELECT e.event_seq FROM public.event_outbox e
                           WHERE e.event_domain = t.event_domain AND e.event_type = t.event_type
                             AND e.emitted_xid = i.xid AND e.event_seq > v_at.floor_seq OFFSET 0) AS l
     WHERE pg_visible_in_snapshot(i.xid, at.now) AND t.route_code = p_route.route_code
  )
  SELECT at.now, f.low, f.high INTO v_new
    FROM at, (SELECT min(event_seq) AS low, max(event_seq) AS high FROM fresh) AS f;
  IF v_new.low IS NOT NULL THEN
    v_at.window_end := v_new.now;
    v_at.window_seq := v_new.low - 1;
    v_at.window_high := v_new.high;
  END IF;
  RETURN v_at;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_window_open IS
  'For fn_iu_delivery_lease_window: a route and its position, without a window. Returns the position with the window '
  'of what became visible since, where that has events of the route''s types; otherwise it stays where it is, since '
  'the events of a type are found without passing those of others.';

CREATE FUNCTION iu.fn_iu_delivery_position_put(
    p_was public.v_iu_route_position, p_is public.v_iu_route_position)
  RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_low constant bigint := coalesce((SELECT l.lease_id FROM public.iu_route_lease l
                                      WHERE l.route_code = p_was.route_code AND l.lease_id >= p_is.lease_low
                                      ORDER BY l.lease_id LIMIT 1), p_is.lease_low);
BEGIN
  IF (p_is.seen::text, p_is.window_seq) IS DISTINCT FROM (p_was.seen::text, p_was.window_seq)
     OR v_low > p_was.lease_low + 100 THEN
    INSERT INTO public.iu_route_step (route_code, step, seen, window_end, window_seq, window_high, lease_low)
      VALUES (p_was.route_code, p_was.step + 1, p_is.seen, p_is.window_end, p_is.window_seq, p_is.window_high, v_low);
    DELETE FROM public.iu_route_step WHERE route_code = p_was.route_code AND step = p_was.step;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_position_put IS
  'For fn_iu_delivery_lease_window: writes a step of a route, where it was and where it is, if it moved, or if many '
  'leases have ended since the last step.';

CREATE FUNCTION iu.fn_iu_delivery_lease_window(p_route_code text, p_sender text, p_max integer) RETURNS SETOF bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_span   constant bigint := 50000;  -- rows looked at in one step
  v_until  constant timestamptz := iu_core.steady_clock() + interval '0.5 s';  -- for filtering
  v_route  public.iu_outbound_route;
  v_was    public.v_iu_route_position;
  v_at     public.v_iu_route_position;
  v_left   integer := p_max;
  v_most   integer;
  v_last   bigint;
  v_filter text;
  v_to     bigint;
  v_batch  record;
  v_lease  bigint;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  SELECT * INTO v_was FROM public.v_iu_route_position WHERE route_code = p_route_code;
  v_at := v_was;
  v_filter := v_route.payload_filter;
  FOR v_step IN 1..20 LOOP
    EXIT WHEN v_left <= 0 OR (v_filter IS NOT NULL AND iu_core.steady_clock() > v_until);
    IF v_at.window_end IS NULL THEN
      v_at := iu.fn_iu_delivery_window_open(v_route, v_at);
      EXIT WHEN v_at.window_end IS NULL;
    END IF;

    v_to := least(v_at.window_high, v_at.window_seq + c_span);
    v_most := CASE WHEN v_filter IS NULL THEN v_left ELSE greatest(v_left, 500) END;
    SELECT count(*) AS items, max(b.event_seq) AS last, array_agg(b.id ORDER BY b.event_seq) AS ids,
           array_agg(b.event_seq ORDER BY b.event_seq) AS seqs INTO v_batch
      FROM (SELECT x.id, x.event_seq FROM public.iu_route_type t
              CROSS JOIN LATERAL (
                SELECT e.id, e.event_seq FROM public.event_outbox e
                 WHERE e.event_domain = t.event_domain AND e.event_type = t.event_type
                   AND e.event_seq > greatest(v_at.window_seq, v_at.floor_seq) AND e.event_seq <= v_to
                   AND NOT pg_visible_in_snapshot(e.emitted_xid, v_at.seen)
                   AND pg_visible_in_snapshot(e.emitted_xid, v_at.window_end)
                   AND e.payload_classification = 'safe_metadata'
                 ORDER BY e.event_domain, e.event_type, e.event_seq LIMIT v_most) AS x
             WHERE t.route_code = p_route_code ORDER BY x.event_seq LIMIT v_most) AS b;
    v_last := CASE WHEN v_batch.items < v_most THEN v_to ELSE v_batch.last END;
    IF v_batch.items > 0 AND v_filter IS NOT NULL THEN
      v_to := v_batch.last;
      SELECT f.items, f.last, f.ids, f.seqs INTO v_batch
        FROM iu.fn_iu_filter_batch(v_filter, v_batch.ids, v_left, v_until) f;
      -- NULL: none of them is there any more.
      v_last := CASE WHEN v_batch.last = v_to THEN v_last ELSE coalesce(v_batch.last, v_last) END;
    END IF;
    v_at.window_seq := v_last;
    IF v_at.window_seq >= v_at.window_high THEN
      v_at.seen := v_at.window_end;
      v_at.window_end := NULL;
      v_at.window_seq := NULL;
      v_at.window_high := NULL;
    END IF;
    IF v_batch.items > 0 AND v_route.ordering = 'subject' THEN
      SELECT h.items, h.ids, h.seqs INTO v_batch
        FROM iu.fn_iu_order_heads(p_route_code, v_batch.ids, v_batch.seqs) h;
    END IF;
    IF v_batch.items > 0 THEN
      v_left := v_left - v_batch.items;
      INSERT INTO public.iu_route_lease
          (route_code, sender, backend_pid, expires_at, item_count, event_ids, event_seqs, replay_numbers, attempt_nos)
        VALUES (p_route_code, p_sender, pg_backend_pid(), iu.fn_iu_lease_end(v_route.timeout_ms), v_batch.items,
                v_batch.ids, v_batch.seqs, array_fill(0, ARRAY[v_batch.items::integer]),
                array_fill(1, ARRAY[v_batch.items::integer]))
        RETURNING lease_id INTO v_lease;
      RETURN NEXT v_lease;
    END IF;
  END LOOP;
  PERFORM iu.fn_iu_delivery_position_put(v_was, v_at);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_lease_window IS
  'For the claim, which holds the position: leases at most p_max events that became visible since the position, '
  'opening the next window where none is open, and moves the position past them.';

CREATE FUNCTION iu.fn_iu_delivery_window_note(p_route public.iu_outbound_route) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_was public.v_iu_route_position;
  v_is  public.v_iu_route_position;
BEGIN
  SELECT * INTO v_was FROM public.v_iu_route_position WHERE route_code = p_route.route_code;
  IF v_was.window_end IS NULL THEN
    v_is := iu.fn_iu_delivery_window_open(p_route, v_was);
    PERFORM iu.fn_iu_delivery_position_put(v_was, v_is);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_window_note IS
  'For the claim, which holds the position, where a limit a second lets it take nothing more: opens the next window if '
  'there is one, so that fn_iu_delivery_next_due knows that there is more.';
