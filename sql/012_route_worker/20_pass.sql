-- The pass: what is ahead of a cursor, handled event by event.

CREATE FUNCTION iu.fn_iu_route_worker_event(p_route public.iu_outbound_route, p_event public.event_outbox) RETURNS text
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_key text := 'dry_' || iu.fn_iu_webhook_id(p_event.event_seq, p_route.id, 0, p_event.id);
BEGIN
  IF p_event.payload_classification <> 'safe_metadata'
     OR NOT iu.fn_iu_filter_keeps(p_route.payload_filter, p_event.safe_payload) THEN
    RETURN 'skipped';
  END IF;
  RETURN CASE WHEN iu.fn_iu_delivery_dry_run(p_route, p_event, 0, 1) IS NULL THEN 'known' ELSE 'dry_run' END;
EXCEPTION WHEN OTHERS THEN
  IF SQLSTATE ~ '^(40|53|57|58|XX)' THEN  -- errors of the server, not of the event
    RAISE;
  END IF;
  INSERT INTO public.iu_route_attempt
      (route_code, event_ref, attempt_no, idempotency_key, status, sender, failure_code, failure_detail)
    SELECT p_route.route_code, p_event.id, 1, v_key, 'skipped', 'dry run', 'worker_process_error', left(SQLERRM, 1000)
     WHERE NOT EXISTS (SELECT FROM public.iu_route_attempt a WHERE a.idempotency_key = v_key AND a.attempt_no = 1);
  INSERT INTO public.iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key,
      failure_code, failure_detail, event_snapshot)
    VALUES (p_route.route_code, p_event.id, 0, 1, v_key, 'worker_process_error', left(SQLERRM, 1000),
      to_jsonb(p_event))
    ON CONFLICT (idempotency_key) DO NOTHING;
  RETURN 'dead_lettered';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_event IS
  'For the pass: one event on one route that is a dry run: dry_run, known (it was made before), skipped '
  '(restricted, or filtered), or dead_lettered: an error of the event becomes a skipped attempt and a dead letter with '
  'failure_code worker_process_error; an error of the server is raised.';

CREATE FUNCTION iu.fn_iu_route_worker_check(p_worker_name text, p_batch_limit integer, p_event_domain text)
  RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_require_value(p_worker_name ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$', 'iu_worker_name',
    'p_worker_name', '1 to 120 letters, digits, "_", ".", ":" or "-"', p_worker_name);
  PERFORM iu.fn_iu_require_value(p_batch_limit BETWEEN 1 AND 100000, 'iu_worker_batch', 'p_batch_limit',
    'from 1 to 100000', p_batch_limit::text);
  IF p_event_domain IS NOT NULL
     AND NOT EXISTS (SELECT FROM public.event_type_registry t WHERE t.event_domain = p_event_domain) THEN
    RAISE check_violation USING
      MESSAGE = format('no event type of domain "%s" is registered', p_event_domain),
      DETAIL = format('Domain: %s.', p_event_domain),
      HINT = 'event_type_registry has the domains.', CONSTRAINT = 'iu_worker_domain_unknown';
  END IF;
  PERFORM iu.fn_iu_require_read_committed('fn_iu_route_worker_run', 'would not see what another pass has recorded');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_check IS
  'For fn_iu_route_worker_run, with its arguments: SQLSTATE 23514 for a name, a limit or a domain that is none, 25000 '
  'for another isolation level than READ COMMITTED.';

-- Cursors of different names come to the same events, and no key over the partitions
-- of iu_route_attempt could tell that a dry run was recorded twice. A vacuum of the
-- table takes the same lock, and gives it back within this time.
CREATE FUNCTION iu.fn_iu_route_worker_alone() RETURNS boolean
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '20ms'
AS $function$
BEGIN
  LOCK TABLE public.iu_route_worker_cursor IN SHARE UPDATE EXCLUSIVE MODE;
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_alone IS
  'For the pass: keeps every other pass out until this transaction ends, and returns whether none is under way. Waits '
  'at most 20 ms.';

-- Transactions that began after the last snapshot are found by their range of
-- numbers, those that were running when it was taken by its list of them.
CREATE FUNCTION iu.fn_iu_route_worker_batch(p_cursor public.iu_route_worker_cursor, p_batch_limit integer,
    OUT items bigint, OUT ids uuid[], OUT last_xid xid8, OUT last_seq bigint)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  SELECT count(*), array_agg(w.id ORDER BY w.emitted_xid, w.event_seq),
         (array_agg(w.emitted_xid ORDER BY w.emitted_xid DESC, w.event_seq DESC))[1],
         (array_agg(w.event_seq ORDER BY w.emitted_xid DESC, w.event_seq DESC))[1]
    INTO items, ids, last_xid, last_seq
    FROM (SELECT * FROM (
            (SELECT e.id, e.emitted_xid, e.event_seq FROM public.event_outbox e
              WHERE e.emitted_xid = ANY (ARRAY(SELECT pg_snapshot_xip(p_cursor.seen))) AND e.emitted_xid <> '2'
                AND (e.emitted_xid, e.event_seq) > (p_cursor.window_xid, p_cursor.window_seq)
                AND e.event_seq > p_cursor.floor_seq AND pg_visible_in_snapshot(e.emitted_xid, p_cursor.window_end)
                AND (p_cursor.event_domain IS NULL OR e.event_domain = p_cursor.event_domain)
              ORDER BY e.emitted_xid, e.event_seq LIMIT p_batch_limit)
            UNION ALL
            (SELECT e.id, e.emitted_xid, e.event_seq FROM public.event_outbox e
              WHERE e.emitted_xid >= pg_snapshot_xmax(p_cursor.seen)
                AND e.emitted_xid < pg_snapshot_xmax(p_cursor.window_end) AND e.emitted_xid <> '2'
                AND (e.emitted_xid, e.event_seq) > (p_cursor.window_xid, p_cursor.window_seq)
                AND e.event_seq > p_cursor.floor_seq AND pg_visible_in_snapshot(e.emitted_xid, p_cursor.window_end)
                AND (p_cursor.event_domain IS NULL OR e.event_domain = p_cursor.event_domain)
              ORDER BY e.emitted_xid, e.event_seq LIMIT p_batch_limit)) AS u
           ORDER BY emitted_xid, event_seq LIMIT p_batch_limit) AS w;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_batch IS
  'For the pass: the next events of the window that a cursor has open: how many, which, and the transaction and the '
  'number of the last.';

CREATE FUNCTION iu.fn_iu_route_worker_handle(p_ids uuid[], INOUT last_created_at timestamptz,
    INOUT last_event_id uuid, OUT counts jsonb)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_pair record;
  v_what text;
BEGIN
  counts := '{}';
  FOR v_pair IN
    SELECT e AS event, r AS route, r.id AS route_id, r.dry_run
      FROM unnest(p_ids) WITH ORDINALITY AS b (id, n)
      JOIN public.event_outbox e ON e.id = b.id
      LEFT JOIN (public.iu_route_type t
                 JOIN public.iu_outbound_route r ON r.route_code = t.route_code AND r.enabled AND r.retired_at IS NULL)
        ON t.event_domain = e.event_domain AND t.event_type = e.event_type
     ORDER BY b.n, r.id
  LOOP
    v_what := CASE WHEN v_pair.route_id IS NULL THEN 'skipped' WHEN NOT v_pair.dry_run THEN 'handed_over'
                   ELSE iu.fn_iu_route_worker_event(v_pair.route, v_pair.event) END;
    counts := counts || jsonb_build_object(v_what, coalesce((counts -> v_what)::integer, 0) + 1);
    IF (v_pair.event).created_at >= coalesce(last_created_at, '-infinity') THEN
      last_created_at := (v_pair.event).created_at;
      last_event_id := (v_pair.event).id;
    END IF;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_handle IS
  'For the pass: makes the dry runs of these events, on each enabled route of their types. Given and returned are '
  'created_at and id of the youngest event that was seen; counts says how many were dry_run, known, handed_over, '
  'skipped, dead_lettered.';

CREATE FUNCTION iu.fn_iu_route_worker_run(
    p_worker_name text, p_batch_limit integer, p_event_domain text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  c_nothing constant jsonb := '{"seen": 0, "attempts_written": 0, "skipped": 0, "dead_lettered": 0, "dry_run": 0, '
                              '"handed_over": 0, "more": false}';
  v_cursor  public.iu_route_worker_cursor;
  v_batch   record;
  v_done    record;
  v_counts  jsonb;
  v_result  jsonb;
BEGIN
  PERFORM iu.fn_iu_route_worker_check(p_worker_name, p_batch_limit, p_event_domain);
  IF NOT iu.fn_iu_core_routes_enabled() THEN
    RETURN c_nothing || '{"status": "master_gate_closed"}';
  ELSIF NOT iu.fn_iu_route_worker_enabled() THEN
    RETURN c_nothing || '{"status": "worker_gate_closed"}';
  END IF;
  IF NOT iu.fn_iu_route_worker_alone() THEN
    RETURN c_nothing || '{"status": "busy"}';
  END IF;
  PERFORM iu.fn_iu_route_worker_register(p_worker_name, p_event_domain);
  SELECT * INTO v_cursor FROM public.iu_route_worker_cursor WHERE worker_name = p_worker_name FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN c_nothing || '{"status": "busy"}';
  ELSIF p_event_domain <> v_cursor.event_domain OR (p_event_domain IS NOT NULL AND v_cursor.event_domain IS NULL) THEN
    RAISE check_violation USING
      MESSAGE = format('worker "%s" reads the events of %s', p_worker_name,
                       coalesce('domain ' || v_cursor.event_domain, 'every domain')),
      DETAIL = format('Worker: %s; reads: %s.',
                      p_worker_name, coalesce('domain ' || v_cursor.event_domain, 'every domain')),
      HINT = 'Give a worker for another domain another name.', CONSTRAINT = 'iu_worker_other_domain';
  END IF;

  IF v_cursor.window_end IS NULL THEN
    v_cursor.window_end := iu.fn_iu_snapshot_now();
    v_cursor.window_xid := '0';
    v_cursor.window_seq := 0;
  END IF;
  v_batch := iu.fn_iu_route_worker_batch(v_cursor, p_batch_limit);
  v_done := iu.fn_iu_route_worker_handle(v_batch.ids, v_cursor.last_created_at, v_cursor.last_event_id);
  v_counts := v_done.counts;

  v_result := c_nothing || (v_counts - 'known') || jsonb_build_object('status', 'ran', 'seen', v_batch.items,
    'skipped', coalesce((v_counts -> 'skipped')::integer, 0) + coalesce((v_counts -> 'dead_lettered')::integer, 0),
    'attempts_written', coalesce((v_counts -> 'dry_run')::integer, 0)
      + coalesce((v_counts -> 'dead_lettered')::integer, 0),
    'more', v_batch.items = p_batch_limit);
  IF v_batch.items = p_batch_limit THEN
    v_cursor.window_xid := v_batch.last_xid;
    v_cursor.window_seq := v_batch.last_seq;
  ELSE
    v_cursor.seen := v_cursor.window_end;
    v_cursor.window_end := NULL;
    v_cursor.window_xid := NULL;
    v_cursor.window_seq := NULL;
  END IF;
  UPDATE public.iu_route_worker_cursor
     SET last_created_at = v_done.last_created_at, last_event_id = v_done.last_event_id,
         last_run_at = clock_timestamp(), events_seen = events_seen + v_batch.items,
         attempts_written = attempts_written + (v_result -> 'attempts_written')::integer,
         dead_lettered = dead_lettered + (v_result -> 'dead_lettered')::integer, last_run_summary = v_result,
         seen = v_cursor.seen, window_end = v_cursor.window_end, window_xid = v_cursor.window_xid,
         window_seq = v_cursor.window_seq
   WHERE worker_name = p_worker_name;
  RETURN v_result;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_run IS
  'What public.fn_iu_route_worker_run hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_worker_run(
    p_worker_name text DEFAULT 'iu_outbound_default', p_batch_limit integer DEFAULT 100,
    p_event_domain text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_worker_run(p_worker_name, p_batch_limit, p_event_domain) END;
COMMENT ON FUNCTION public.fn_iu_route_worker_run IS
  'One pass over the outbox, by hand or by a sender: which worker, at most how many events (1 to 100000), and, at '
  'its first run, the domain it reads (NULL: all). Takes the events that were committed since the last pass, late '
  'commits included. Of each enabled route: one that is a dry run gets an attempt with status dry_run and what '
  'would be sent in payload_snapshot; one that is live is only counted, since its position hands the event to the '
  'senders. One pass runs at a time, so that no event is a dry run twice. Returns {status: ran | '
  'master_gate_closed | worker_gate_closed | busy (another pass is not over, or its transaction), seen, '
  'attempts_written, dry_run, handed_over (event and live route), skipped (no enabled route, restricted, filtered, or '
  'an error of its own), dead_lettered (the last of these), more}. A second call sees nothing. SQLSTATE 23514: name, '
  'limit, unknown domain, or another than at the first run; 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_route_worker_turn(p_worker_name text, p_batch_limit integer) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
BEGIN
  -- A delivery that was with a sender when its route was retired, and whose sender then ended.
  PERFORM iu.fn_iu_route_abandon(r.route_code) FROM public.iu_outbound_route r
   WHERE r.retired_at IS NOT NULL
     AND (EXISTS (SELECT FROM public.iu_route_retry t WHERE t.route_code = r.route_code OFFSET 0)
          OR EXISTS (SELECT FROM public.iu_route_lease l WHERE l.route_code = r.route_code OFFSET 0));
  IF NOT iu.fn_iu_core_routes_enabled() OR NOT iu.fn_iu_route_worker_enabled() THEN
    RETURN false;
  ELSIF EXISTS (SELECT FROM public.iu_outbound_route r WHERE r.enabled AND r.dry_run) THEN
    IF EXISTS (SELECT FROM public.iu_route_worker_cursor c
                WHERE c.worker_name = p_worker_name AND c.place = iu_core.place() AND c.window_end IS NULL
                  AND NOT EXISTS (SELECT FROM public.event_outbox e
                                   WHERE e.emitted_xid >= pg_snapshot_xmax(c.seen)
                                     AND e.emitted_xid < pg_snapshot_xmax(pg_current_snapshot())
                                     AND e.emitted_xid <> '2' AND e.event_seq > c.floor_seq)
                  AND NOT EXISTS (SELECT FROM public.event_outbox e
                                   WHERE e.emitted_xid = ANY (ARRAY(SELECT pg_snapshot_xip(c.seen)))
                                     AND e.emitted_xid <> '2' AND e.event_seq > c.floor_seq)) THEN
      RETURN false;
    END IF;
    RETURN (iu.fn_iu_route_worker_run(p_worker_name, p_batch_limit, NULL) -> 'more')::boolean;
  END IF;
  -- No route is a dry run: the cursor moves on, so that a route which becomes one begins with the events that come
  -- then.
  PERFORM iu.fn_iu_route_worker_register(p_worker_name, NULL);
  UPDATE public.iu_route_worker_cursor c
     SET seen = iu.fn_iu_snapshot_now(), window_end = NULL, window_xid = NULL, window_seq = NULL,
         last_run_at = clock_timestamp()
   WHERE c.worker_name = (SELECT x.worker_name FROM public.iu_route_worker_cursor x
                           WHERE x.worker_name = p_worker_name
                             AND (x.last_run_at IS NULL OR x.last_run_at NOT BETWEEN
                                  clock_timestamp() - interval '1 minute' AND clock_timestamp())
                           FOR UPDATE SKIP LOCKED);
  RETURN false;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_turn IS
  'For the senders: ends what retired routes left (fn_iu_route_abandon), and makes a pass where a route is a dry '
  'run and there are events ahead; otherwise it writes nothing, but moves the cursor up once a minute. Returns '
  'whether there is more.';
