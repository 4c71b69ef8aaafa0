-- 012 the pass over the outbox that needs no network, and whether routes are well.
--
-- Who does what: a route that is live is the senders' alone, one that is a dry
-- run is the pass's alone, so nothing is done twice. A pass follows commits with
-- a cursor of its own, as the routes' positions do: makes the dry runs, counts
-- what is handed to the senders and what nobody carries. It is called by hand
-- or, in turns, by a sender. One event that cannot be handled is set aside with
-- its error and stops no other.

SELECT iu_core.guard_absent('table', 'iu_route_worker_cursor');
SELECT iu_core.guard_absent('view', 'v_iu_route_health');
SELECT iu_core.guard_absent('function', 'fn_iu_route_worker_register(text,text)', 'fn_iu_route_worker_event(public.iu_outbound_route,public.event_outbox)',
  'fn_iu_route_worker_run(text,integer,text)', 'fn_iu_route_worker_turn(text,integer)', 'fn_iu_route_worker_ahead(text)',
  'fn_iu_route_worker_health(text,integer)', 'fn_iu_route_dry_run(text,text,text)', 'fn_iu_route_test(text,uuid,text,text)');

DO $guard$
BEGIN
  IF to_regprocedure('public.fn_iu_route_dead_letter_replay(uuid, text, text)') IS NULL THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'migration 012 needs migration 011';
  END IF;
END
$guard$;

-- The cursor -------------------------------------------------------------------

CREATE TABLE public.iu_route_worker_cursor (
  worker_name       text        NOT NULL PRIMARY KEY,
  event_domain      text,
  last_created_at   timestamptz,
  last_event_id     uuid,
  last_run_at       timestamptz,
  events_seen       bigint      NOT NULL DEFAULT 0,
  attempts_written  bigint      NOT NULL DEFAULT 0,
  dead_lettered     bigint      NOT NULL DEFAULT 0,
  last_run_summary  jsonb,
  registered_at     timestamptz NOT NULL DEFAULT now(),
  system_identifier bigint      NOT NULL,
  database_oid      oid         NOT NULL,
  floor_seq         bigint      NOT NULL,
  seen              pg_snapshot NOT NULL,
  window_end        pg_snapshot,
  window_xid        xid8,
  window_seq        bigint,
  CONSTRAINT iu_route_worker_cursor_name_chk CHECK (worker_name ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$'),
  CONSTRAINT iu_route_worker_cursor_window_chk CHECK (num_nulls(window_end, window_xid, window_seq) IN (0, 3))
) WITH (fillfactor = 50);
COMMENT ON TABLE public.iu_route_worker_cursor IS
  'How far each named worker has passed over the outbox, and what it did. A pass locks its row. (facts-events 2.6)';
COMMENT ON COLUMN public.iu_route_worker_cursor.worker_name IS 'iu_outbound_default is the one that the senders run';
COMMENT ON COLUMN public.iu_route_worker_cursor.event_domain IS 'The domain whose events it reads; NULL: all';
COMMENT ON COLUMN public.iu_route_worker_cursor.last_created_at IS 'created_at of the last event it saw';
COMMENT ON COLUMN public.iu_route_worker_cursor.last_event_id IS 'The last event it saw';
COMMENT ON COLUMN public.iu_route_worker_cursor.last_run_at IS 'When it last ran or found nothing to do, to the minute';
COMMENT ON COLUMN public.iu_route_worker_cursor.events_seen IS 'Events it saw, in all';
COMMENT ON COLUMN public.iu_route_worker_cursor.attempts_written IS 'Attempts it wrote, in all';
COMMENT ON COLUMN public.iu_route_worker_cursor.dead_lettered IS 'Events it set aside, in all';
COMMENT ON COLUMN public.iu_route_worker_cursor.last_run_summary IS 'What its last run returned';
COMMENT ON COLUMN public.iu_route_worker_cursor.registered_at IS 'Start of the transaction of its first run';
COMMENT ON COLUMN public.iu_route_worker_cursor.system_identifier IS 'Cluster in which the cursor means something; in a copy it starts anew';
COMMENT ON COLUMN public.iu_route_worker_cursor.database_oid IS 'Database in which it does';
COMMENT ON COLUMN public.iu_route_worker_cursor.floor_seq IS 'Events up to here came with a restore and are left out';
COMMENT ON COLUMN public.iu_route_worker_cursor.seen IS 'All that it sees has been passed';
COMMENT ON COLUMN public.iu_route_worker_cursor.window_end IS 'The window being passed: what it sees and seen does not';
COMMENT ON COLUMN public.iu_route_worker_cursor.window_xid IS 'With window_seq: of the window, the last event that was passed, in the order of emitted_xid, event_seq';
COMMENT ON COLUMN public.iu_route_worker_cursor.window_seq IS 'See window_xid';

-- A row that is seen though its number is not finished came with a restore. A
-- cursor that came with one starts with what commits from now on.
CREATE FUNCTION public.fn_iu_route_worker_register(p_worker_name text, p_event_domain text) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF EXISTS (SELECT FROM public.iu_route_worker_cursor c WHERE c.worker_name = p_worker_name
               AND c.system_identifier = iu_core.system_identifier() AND c.database_oid = iu_core.database_oid()) THEN
    RETURN;
  END IF;
  INSERT INTO public.iu_route_worker_cursor AS c (worker_name, event_domain, system_identifier, database_oid, floor_seq, seen)
    SELECT p_worker_name, p_event_domain, iu_core.system_identifier(), iu_core.database_oid(),
           coalesce((SELECT max(e.event_seq) FROM public.event_outbox e
                      WHERE e.emitted_xid >= pg_snapshot_xmin(s.now) AND NOT pg_visible_in_snapshot(e.emitted_xid, s.now)
                        AND e.emitted_xid IS DISTINCT FROM pg_current_xact_id_if_assigned()), 0), '1:1:'
      FROM (SELECT public.fn_iu_snapshot_now() AS now) AS s
    ON CONFLICT (worker_name) DO UPDATE
      SET system_identifier = excluded.system_identifier, database_oid = excluded.database_oid, floor_seq = excluded.floor_seq,
          seen = public.fn_iu_snapshot_now(), window_end = NULL, window_xid = NULL, window_seq = NULL
      WHERE (c.system_identifier, c.database_oid) <> (excluded.system_identifier, excluded.database_oid);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_worker_register(text, text) IS
  'For the pass: gives a worker its cursor, at the beginning of the outbox, or, in a copy of the database, a new one. (design: Events and delivery)';

-- The pass ---------------------------------------------------------------------

CREATE FUNCTION public.fn_iu_route_worker_event(p_route public.iu_outbound_route, p_event public.event_outbox) RETURNS text
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_key text := 'dry_' || public.fn_iu_webhook_id(p_event.event_seq, p_route.id, 0, p_event.id);
BEGIN
  IF p_event.payload_classification <> 'safe_metadata' THEN
    RETURN 'skipped';
  END IF;
  RETURN CASE WHEN public.fn_iu_delivery_dry_run(p_route, p_event, 0, 1) IS NULL THEN 'known' ELSE 'dry_run' END;
EXCEPTION WHEN OTHERS THEN
  IF SQLSTATE ~ '^(40|53|57|58|XX)' THEN	-- the server's trouble, not the event's
    RAISE;
  END IF;
  INSERT INTO public.iu_route_attempt (route_code, event_ref, attempt_no, idempotency_key, status, sender, failure_code, failure_detail)
    VALUES (p_route.route_code, p_event.id, 1, v_key, 'skipped', 'dry run', 'worker_process_error', left(SQLERRM, 1000))
    ON CONFLICT (idempotency_key, attempt_no) DO NOTHING;
  INSERT INTO public.iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key, failure_code,
      failure_detail, event_snapshot)
    VALUES (p_route.route_code, p_event.id, 0, 1, v_key, 'worker_process_error', left(SQLERRM, 1000), to_jsonb(p_event))
    ON CONFLICT (idempotency_key) DO NOTHING;
  RETURN 'dead_lettered';
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_worker_event(public.iu_outbound_route, public.event_outbox) IS
  'For the pass: one event on one route that is a dry run: dry_run, known (it was made before), skipped (restricted), or dead_lettered: an error of the event becomes a skipped attempt and a dead letter with failure_code worker_process_error; an error of the server is raised. (facts-events 2.8)';

CREATE FUNCTION public.fn_iu_route_worker_run(
    p_worker_name text DEFAULT 'iu_outbound_default', p_batch_limit integer DEFAULT 100, p_event_domain text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  c_nothing constant jsonb := '{"seen": 0, "attempts_written": 0, "skipped": 0, "dead_lettered": 0, "dry_run": 0, "handed_over": 0, "more": false}';
  v_cursor  public.iu_route_worker_cursor;
  v_batch   record;
  v_pair    record;
  v_what    text;
  v_counts  jsonb := '{}';
  v_result  jsonb;
BEGIN
  IF p_worker_name IS NULL OR p_worker_name !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$' THEN
    RAISE EXCEPTION 'a worker has a name: 1 to 120 letters, digits, "_", ".", ":" or "-"' USING ERRCODE = 'check_violation';
  ELSIF p_batch_limit IS NULL OR p_batch_limit NOT BETWEEN 1 AND 100000 THEN
    RAISE EXCEPTION 'p_batch_limit is from 1 to 100000' USING ERRCODE = 'check_violation';
  ELSIF p_event_domain IS NOT NULL AND NOT EXISTS (SELECT FROM public.event_type_registry t WHERE t.event_domain = p_event_domain) THEN
    RAISE EXCEPTION 'no event type of domain "%" is registered', p_event_domain USING ERRCODE = 'check_violation';
  ELSIF NOT public.fn_iu_core_routes_enabled() THEN
    RETURN c_nothing || '{"status": "master_gate_closed"}';
  ELSIF NOT public.fn_iu_route_worker_enabled() THEN
    RETURN c_nothing || '{"status": "worker_gate_closed"}';
  END IF;
  PERFORM public.fn_iu_route_worker_register(p_worker_name, p_event_domain);
  SELECT * INTO v_cursor FROM public.iu_route_worker_cursor WHERE worker_name = p_worker_name FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN c_nothing || '{"status": "busy"}';
  ELSIF p_event_domain <> v_cursor.event_domain OR (p_event_domain IS NOT NULL AND v_cursor.event_domain IS NULL) THEN
    RAISE EXCEPTION 'worker "%" reads the events of %', p_worker_name, coalesce('domain ' || v_cursor.event_domain, 'every domain')
      USING ERRCODE = 'check_violation', HINT = 'Give a worker for another domain another name.';
  END IF;

  IF v_cursor.window_end IS NULL THEN
    v_cursor.window_end := public.fn_iu_snapshot_now();
    v_cursor.window_xid := '0';
    v_cursor.window_seq := 0;
  END IF;
  -- The recent by range, what was under way at the last snapshot by list.
  SELECT count(*) AS items, array_agg(w.id ORDER BY w.emitted_xid, w.event_seq) AS ids,
         (array_agg(w.emitted_xid ORDER BY w.emitted_xid DESC, w.event_seq DESC))[1] AS last_xid,
         (array_agg(w.event_seq ORDER BY w.emitted_xid DESC, w.event_seq DESC))[1] AS last_seq INTO v_batch
    FROM (SELECT * FROM (
            (SELECT e.id, e.emitted_xid, e.event_seq FROM public.event_outbox e
              WHERE e.emitted_xid = ANY (ARRAY(SELECT pg_snapshot_xip(v_cursor.seen)))
                AND (e.emitted_xid, e.event_seq) > (v_cursor.window_xid, v_cursor.window_seq)
                AND e.event_seq > v_cursor.floor_seq AND pg_visible_in_snapshot(e.emitted_xid, v_cursor.window_end)
                AND (v_cursor.event_domain IS NULL OR e.event_domain = v_cursor.event_domain)
              ORDER BY e.emitted_xid, e.event_seq LIMIT p_batch_limit)
            UNION ALL
            (SELECT e.id, e.emitted_xid, e.event_seq FROM public.event_outbox e
              WHERE e.emitted_xid >= pg_snapshot_xmax(v_cursor.seen) AND e.emitted_xid < pg_snapshot_xmax(v_cursor.window_end)
                AND (e.emitted_xid, e.event_seq) > (v_cursor.window_xid, v_cursor.window_seq)
                AND e.event_seq > v_cursor.floor_seq AND pg_visible_in_snapshot(e.emitted_xid, v_cursor.window_end)
                AND (v_cursor.event_domain IS NULL OR e.event_domain = v_cursor.event_domain)
              ORDER BY e.emitted_xid, e.event_seq LIMIT p_batch_limit)) AS u
           ORDER BY emitted_xid, event_seq LIMIT p_batch_limit) AS w;

  FOR v_pair IN
    SELECT e AS event, r AS route, r.id AS route_id, r.dry_run
      FROM unnest(v_batch.ids) WITH ORDINALITY AS b (id, n)
      JOIN public.event_outbox e ON e.id = b.id
      LEFT JOIN public.iu_outbound_route r
        ON r.event_domain = e.event_domain AND r.event_type = e.event_type AND r.enabled AND r.retired_at IS NULL
     ORDER BY b.n, r.id
  LOOP
    v_what := CASE WHEN v_pair.route_id IS NULL THEN 'skipped' WHEN NOT v_pair.dry_run THEN 'handed_over'
                   ELSE public.fn_iu_route_worker_event(v_pair.route, v_pair.event) END;
    v_counts := v_counts || jsonb_build_object(v_what, coalesce((v_counts -> v_what)::integer, 0) + 1);
    IF (v_pair.event).created_at >= coalesce(v_cursor.last_created_at, '-infinity') THEN
      v_cursor.last_created_at := (v_pair.event).created_at;
      v_cursor.last_event_id := (v_pair.event).id;
    END IF;
  END LOOP;

  v_result := c_nothing || (v_counts - 'known') || jsonb_build_object('status', 'ran', 'seen', v_batch.items,
    'skipped', coalesce((v_counts -> 'skipped')::integer, 0) + coalesce((v_counts -> 'dead_lettered')::integer, 0),
    'attempts_written', coalesce((v_counts -> 'dry_run')::integer, 0) + coalesce((v_counts -> 'dead_lettered')::integer, 0),
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
     SET last_created_at = v_cursor.last_created_at, last_event_id = v_cursor.last_event_id, last_run_at = clock_timestamp(),
         events_seen = events_seen + v_batch.items, attempts_written = attempts_written + (v_result -> 'attempts_written')::integer,
         dead_lettered = dead_lettered + (v_result -> 'dead_lettered')::integer, last_run_summary = v_result,
         seen = v_cursor.seen, window_end = v_cursor.window_end, window_xid = v_cursor.window_xid, window_seq = v_cursor.window_seq
   WHERE worker_name = p_worker_name;
  RETURN v_result;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_worker_run(text, integer, text) IS
  'One pass over the outbox, by hand or by a sender: which worker, at most how many events (1 to 100000), and, at its first run, the domain it reads (NULL: all). Takes the events that were committed since the last pass, late commits included. Of each enabled route: one that is a dry run gets an attempt with status dry_run and what would be sent in payload_snapshot; one that is live is only counted, since its position hands the event to the senders. Returns {status: ran | master_gate_closed | worker_gate_closed | busy (the same worker runs elsewhere), seen, attempts_written, dry_run, handed_over (event and live route), skipped (no enabled route, restricted, or an error of its own), dead_lettered (the last of these), more}. A second call sees nothing. SQLSTATE 23514: name, limit, unknown domain, or another than at the first run. (facts-events 2.8)';

CREATE FUNCTION public.fn_iu_route_worker_turn(p_worker_name text, p_batch_limit integer) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
BEGIN
  -- A delivery that was with a sender when its route was retired, and whose sender then ended.
  PERFORM public.fn_iu_route_abandon(r.route_code) FROM public.iu_outbound_route r
   WHERE r.retired_at IS NOT NULL
     AND (EXISTS (SELECT FROM public.iu_route_retry t WHERE t.route_code = r.route_code)
          OR EXISTS (SELECT FROM public.iu_route_lease l WHERE l.route_code = r.route_code));
  IF NOT public.fn_iu_core_routes_enabled() OR NOT public.fn_iu_route_worker_enabled() THEN
    RETURN false;
  ELSIF EXISTS (SELECT FROM public.iu_outbound_route r WHERE r.enabled AND r.dry_run) THEN
    IF EXISTS (SELECT FROM public.iu_route_worker_cursor c
                WHERE c.worker_name = p_worker_name AND c.system_identifier = iu_core.system_identifier()
                  AND c.database_oid = iu_core.database_oid() AND c.window_end IS NULL
                  AND NOT EXISTS (SELECT FROM public.event_outbox e
                                   WHERE e.emitted_xid >= pg_snapshot_xmax(c.seen)
                                     AND e.emitted_xid < pg_snapshot_xmax(pg_current_snapshot()) AND e.event_seq > c.floor_seq)
                  AND NOT EXISTS (SELECT FROM public.event_outbox e
                                   WHERE e.emitted_xid = ANY (ARRAY(SELECT pg_snapshot_xip(c.seen))) AND e.event_seq > c.floor_seq)) THEN
      RETURN false;
    END IF;
    RETURN (public.fn_iu_route_worker_run(p_worker_name, p_batch_limit) -> 'more')::boolean;
  END IF;
  -- Nobody waits for a dry run: the cursor keeps up, so that the first one begins with what comes then.
  PERFORM public.fn_iu_route_worker_register(p_worker_name, NULL);
  UPDATE public.iu_route_worker_cursor c
     SET seen = public.fn_iu_snapshot_now(), window_end = NULL, window_xid = NULL, window_seq = NULL, last_run_at = clock_timestamp()
   WHERE c.worker_name = (SELECT x.worker_name FROM public.iu_route_worker_cursor x
                           WHERE x.worker_name = p_worker_name
                             AND (x.last_run_at IS NULL OR x.last_run_at < clock_timestamp() - interval '1 minute')
                           FOR UPDATE SKIP LOCKED);
  RETURN false;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_worker_turn(text, integer) IS
  'For the senders: ends what retired routes left (fn_iu_route_abandon), and makes a pass where a route is a dry run and there are events ahead; otherwise it writes nothing, but moves the cursor up once a minute. Returns whether there is more. (design: Processes)';

-- Looking at it ----------------------------------------------------------------

CREATE FUNCTION public.fn_iu_route_worker_ahead(p_worker_name text) RETURNS SETOF public.event_outbox
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
COMMENT ON FUNCTION public.fn_iu_route_worker_ahead(text) IS
  'The events that a worker has not passed yet; none where it never ran. (facts-events 2.8)';

CREATE VIEW public.v_iu_route_health AS
  WITH hour AS (
    SELECT a.route_code, count(*) FILTER (WHERE a.status = 'sent') AS sent, count(*) FILTER (WHERE a.status = 'failed') AS failed,
           count(*) FILTER (WHERE a.status = 'dry_run') AS dry_run, max(a.recorded_at) FILTER (WHERE a.status = 'sent') AS last_sent_at,
           percentile_cont('{0.5,0.95}'::double precision[]) WITHIN GROUP (ORDER BY a.duration_us)
             FILTER (WHERE a.status IN ('sent', 'failed') AND a.duration_us IS NOT NULL) AS duration
      FROM public.iu_route_attempt a WHERE a.recorded_at > now() - interval '1 hour' GROUP BY a.route_code
  ), letters AS (
    SELECT d.route_code, count(*) AS dead_letters FROM public.iu_route_dead_letter d WHERE d.resolved_at IS NULL GROUP BY d.route_code
  ), address AS (
    SELECT t.route_code, public.fn_iu_route_address_refusal(max(t.detail)) AS refusal
      FROM public.iu_route_retry t WHERE t.reason = 'address_refused' GROUP BY t.route_code
  )
  SELECT b.route_code, r.target_kind,
         CASE WHEN NOT r.enabled THEN 'disabled' WHEN r.dry_run THEN 'dry_run' ELSE 'live' END AS mode,
         b.waiting, b.retrying, b.leased AS in_flight, b.oldest_due_at,
         round(extract(epoch FROM clock_timestamp() - b.oldest_due_at), 3) AS oldest_due_age_s,
         coalesce(h.sent, 0) AS sent_1h, coalesce(h.failed, 0) AS failed_1h, coalesce(h.dry_run, 0) AS dry_run_1h,
         round(h.sent / 3600.0, 3) AS sent_per_s, round(h.failed::numeric / nullif(h.sent + h.failed, 0), 4) AS failed_share,
         h.last_sent_at, round((h.duration[1] / 1000.0)::numeric, 3) AS p50_ms, round((h.duration[2] / 1000.0)::numeric, 3) AS p95_ms,
         coalesce(l.dead_letters, 0) AS dead_letters_open,
         f.refusal ->> 'code' AS held_code, f.refusal ->> 'sentence' AS held_why, f.refusal ->> 'next_action' AS next_action,
         coalesce(c.state, 'closed') AS circuit, coalesce(c.failures, 0) AS circuit_failures, c.next_at AS circuit_until
    FROM public.v_iu_event_backlog b
    JOIN public.iu_outbound_route r ON r.route_code = b.route_code
    LEFT JOIN hour h ON h.route_code = b.route_code
    LEFT JOIN letters l ON l.route_code = b.route_code
    LEFT JOIN public.iu_route_circuit c ON c.route_code = b.route_code
    LEFT JOIN address a ON a.route_code = b.route_code
    CROSS JOIN LATERAL (SELECT CASE WHEN b.refusal IS NOT NULL THEN public.fn_iu_route_refusal(b.route_code) ELSE a.refusal END AS refusal) AS f;
COMMENT ON VIEW public.v_iu_route_health IS
  'One row a route that is not retired: its mode (live, dry_run, disabled), what waits, is to be tried again, is in flight, since when something has been due and for how many seconds; of the last hour: sent, failed, dry runs, sent a second, the share of failures, median and 95th percentile of duration in ms; open dead letters; what holds it, why, and what to do; its circuit (closed, open, half_open), the failed attempts in a row, and when one delivery is tried again. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_worker_health(
    p_worker_name text DEFAULT 'iu_outbound_default', p_stale_seconds integer DEFAULT 300)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_stale   constant timestamptz := clock_timestamp() - make_interval(secs => p_stale_seconds);
  v_master  constant boolean := public.fn_iu_core_routes_enabled();
  v_worker  constant boolean := public.fn_iu_route_worker_enabled();
  v_cursor  public.iu_route_worker_cursor;
  v_ahead   record;
  v_letters bigint := (SELECT count(*) FROM public.iu_route_dead_letter WHERE resolved_at IS NULL);
  v_stuck   jsonb;
  v_waiting bigint;
  v_stopped text[];
  v_problem text[];
BEGIN
  IF p_stale_seconds IS NULL OR p_stale_seconds < 1 THEN
    RAISE EXCEPTION 'p_stale_seconds is at least 1' USING ERRCODE = 'check_violation';
  END IF;
  SELECT * INTO v_cursor FROM public.iu_route_worker_cursor WHERE worker_name = p_worker_name;
  SELECT count(*) AS events, count(*) FILTER (WHERE d.wanted) AS due, min(e.created_at) FILTER (WHERE d.wanted) AS oldest INTO v_ahead
    FROM public.fn_iu_route_worker_ahead(p_worker_name) e
    CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM public.iu_outbound_route r WHERE r.event_domain = e.event_domain
                          AND r.event_type = e.event_type AND r.enabled AND r.dry_run) AS wanted) AS d;
  -- Nothing holds it, it has been due, and not one attempt has been recorded since.
  SELECT coalesce(jsonb_agg(jsonb_build_object('route_code', b.route_code, 'oldest_due_at', b.oldest_due_at, 'waiting', b.waiting,
           'retrying', b.retrying, 'leased', b.leased) ORDER BY b.oldest_due_at), '[]') INTO v_stuck
    FROM public.v_iu_event_backlog b
   WHERE b.refusal IS NULL AND b.oldest_due_at < v_stale
     AND NOT EXISTS (SELECT FROM public.iu_route_attempt a
                      WHERE a.recorded_at > v_stale AND a.route_code = b.route_code AND a.status IN ('sent', 'failed'));
  -- What a gate, a list or a person holds is meant; what stopped by itself is not.
  SELECT coalesce(sum(h.held) FILTER (WHERE h.code = 'worker_gate_closed' AND r.enabled AND NOT r.dry_run), 0),
         array_agg(format('route %s: %s held since %s: %s', h.route_code, h.held, h.oldest_at, h.sentence) ORDER BY h.route_code)
           FILTER (WHERE h.oldest_at < v_stale AND (
             h.code IN ('circuit_open', 'secret_missing', 'function_refused', 'origin_not_allowed', 'address_refused')
             OR (h.code = 'route_disabled' AND r.disabled_reason = 'the receiver answered 410 (gone)')))
    INTO v_waiting, v_stopped
    FROM public.v_iu_route_held h JOIN public.iu_outbound_route r ON r.route_code = h.route_code;
  v_problem := array_remove(ARRAY[
    CASE WHEN NOT v_master THEN 'the master switch iu_core.routes_master_enabled is off' END,
    CASE WHEN NOT v_worker AND v_waiting + v_ahead.due > 0 THEN
      format('the switch iu_core.route_worker_enabled is off and %s wait', v_waiting + v_ahead.due) END,
    CASE WHEN v_letters > 0 THEN format('%s dead letter(s) wait for a person', v_letters) END,
    CASE WHEN v_worker AND v_ahead.oldest < v_stale AND coalesce(v_cursor.last_run_at, '-infinity') < v_stale THEN
      format('dry runs are due since %s and the worker has not run since %s', v_ahead.oldest, coalesce(v_cursor.last_run_at::text, 'ever')) END]
    || ARRAY(SELECT format('route %s: due since %s and nothing moves', s ->> 'route_code', s ->> 'oldest_due_at')
               FROM jsonb_array_elements(v_stuck) s) || v_stopped, NULL);
  RETURN jsonb_build_object('worker_name', p_worker_name, 'master_gate_open', v_master, 'worker_gate_open', v_worker,
    'registered', v_cursor.worker_name IS NOT NULL,
    'cursor', CASE WHEN v_cursor.worker_name IS NOT NULL THEN
      jsonb_build_object('last_created_at', v_cursor.last_created_at, 'last_event_id', v_cursor.last_event_id) END,
    'last_run_at', v_cursor.last_run_at, 'last_run_summary', v_cursor.last_run_summary,
    'totals', jsonb_build_object('events_seen', coalesce(v_cursor.events_seen, 0), 'attempts_written', coalesce(v_cursor.attempts_written, 0),
      'dead_lettered', coalesce(v_cursor.dead_lettered, 0)),
    'backlog_iu_events', v_ahead.events, 'dry_runs_due', v_ahead.due, 'oldest_dry_run_due_at', v_ahead.oldest,
    'dead_letter_open', v_letters,
    'outbound_attempts_in_audit', (SELECT count(*) FROM public.iu_route_attempt WHERE route_kind = 'outbound'),
    'stuck_routes', v_stuck, 'stale_seconds', p_stale_seconds, 'problems', to_jsonb(v_problem),
    'healthy', v_problem = '{}');
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_worker_health(text, integer) IS
  'Whether events get on: {healthy, problems (in words), master_gate_open, worker_gate_open, registered, cursor, last_run_at, totals, backlog_iu_events (not passed by the worker), dry_runs_due, dead_letter_open, outbound_attempts_in_audit, stuck_routes, ...}. Not healthy: the master switch is off; the worker switch is off and something waits; a dead letter is open; something waits for p_stale_seconds on a route that stopped by itself (its circuit is open, an answer 410 disabled it, it has no valid secret, its function, origin or address is refused); and where work is due and nothing moves: a live route that nothing holds has had something due for p_stale_seconds without one attempt recorded, or dry runs are due that long and no pass was made. SQLSTATE 23514: p_stale_seconds below 1. (facts-events 2.8, 7)';

-- Dry runs by hand -------------------------------------------------------------

CREATE FUNCTION public.fn_iu_route_dry_run(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM public.fn_iu_route_log('dot_iu_route_dry_run', p_route_code, p_actor, p_reason, NULL);
  UPDATE public.iu_outbound_route SET enabled = true, dry_run = true, disabled_reason = NULL
   WHERE route_code = p_route_code AND retired_at IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'route "%" is not registered, or retired', coalesce(p_route_code, '') USING ERRCODE = 'undefined_object';
  END IF;
  RETURN jsonb_build_object('status', 'dry_run', 'route_code', p_route_code);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_dry_run(text, text, text) IS
  'Makes a route a dry run and logs it: from now on its events become attempts with what would be sent, and nothing leaves. Needs no allowlist and no gate. A live route stops sending; what it was about to try stays held until it is armed again; what it had not come to is passed over then, unless p_start_at reaches back. Returns {status: dry_run, route_code}. SQLSTATE 42704: not registered or retired; 23514: actor or reason missing. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_test(
    p_route_code text, p_event_id uuid, p_actor text DEFAULT session_user, p_reason text DEFAULT 'test')
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route   public.iu_outbound_route;
  v_event   public.event_outbox;
  v_at      public.iu_route_position;
  v_http    boolean;
  v_until   constant timestamptz := (SELECT c.next_at FROM public.iu_route_circuit c WHERE c.route_code = p_route_code AND c.next_at > clock_timestamp());
  v_refusal constant text := public.fn_iu_delivery_refusal(p_route_code);
  v_broken  text;
  v_error   text;
  v_request jsonb;
  v_checks  jsonb;
  v_result  jsonb;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  SELECT * INTO v_event FROM public.event_outbox WHERE id = p_event_id;
  SELECT * INTO v_at FROM public.iu_route_position WHERE route_code = p_route_code;
  v_http := v_route.target_kind IN ('external_endpoint', 'directus_flow');
  IF v_route.id IS NOT NULL AND v_event.id IS NOT NULL THEN
    BEGIN
      IF v_route.payload_contract <> '{}' THEN
        v_broken := public.fn_iu_payload_problem(v_route.payload_contract, v_event.safe_payload);
      END IF;
      v_request := public.fn_iu_delivery_request(v_route, v_event, 0);
    EXCEPTION WHEN OTHERS THEN
      v_error := SQLERRM;
    END;
  END IF;

  -- In the order of fn_iu_delivery_refusal, but none hides another. NULL: it cannot be told.
  SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('check', c.code, 'detail', c.detail)) || jsonb_build_object('ok', c.ok) ORDER BY c.n)
    INTO v_checks
    FROM (VALUES
      (1, 'master_gate_closed', public.fn_iu_core_routes_enabled(), NULL),
      (2, 'worker_gate_closed', public.fn_iu_route_worker_enabled(), NULL),
      (3, 'delivery_gate_closed', public.fn_iu_delivery_enabled(), NULL),
      (4, 'route_unknown', v_route.id IS NOT NULL, NULL),
      (5, 'route_retired', CASE WHEN v_route.id IS NOT NULL THEN v_route.retired_at IS NULL END, v_route.disabled_reason),
      (6, 'route_not_allowlisted', CASE WHEN v_route.id IS NOT NULL THEN v_route.route_code = ANY (public.fn_iu_delivery_live_routes()) END, NULL),
      (7, 'target_kind_not_supported', CASE WHEN v_route.id IS NOT NULL THEN v_http OR v_route.target_kind = 'sql_function' END, v_route.target_kind),
      (8, 'function_refused', CASE WHEN v_route.target_kind = 'sql_function' THEN public.fn_iu_route_function_refusal(v_route.target_ref) IS NULL END,
        CASE WHEN v_route.target_kind = 'sql_function' THEN public.fn_iu_route_function_refusal(v_route.target_ref) END),
      (9, 'origin_not_allowed', CASE WHEN v_http THEN iu_core.egress_refusal(v_route.target_ref) IS NULL END,
        CASE WHEN v_http THEN iu_core.egress_refusal(v_route.target_ref) END),
      (10, 'route_disabled', v_route.enabled, v_route.disabled_reason),
      (11, 'route_dry_run', NOT v_route.dry_run, NULL),
      (12, 'route_not_armed', CASE WHEN v_route.id IS NOT NULL THEN v_at.route_code IS NOT NULL END, NULL),
      (13, 'position_foreign', v_at.system_identifier = iu_core.system_identifier() AND v_at.database_oid = iu_core.database_oid(), NULL),
      (14, 'secret_missing', (v_request #>> '{headers,webhook-signature}') <> 'missing', v_request #>> '{headers,webhook-signature}'),
      (15, 'circuit_open', CASE WHEN v_route.id IS NOT NULL THEN v_until IS NULL END, 'open until ' || v_until),
      (16, 'event_unknown', v_event.id IS NOT NULL, NULL),
      (17, 'event_not_on_route', (v_event.event_domain, v_event.event_type) = (v_route.event_domain, v_route.event_type),
        v_event.event_domain || '.' || v_event.event_type),
      (18, 'payload_restricted', v_event.payload_classification = 'safe_metadata', v_event.payload_classification),
      (19, 'contract', CASE WHEN v_request IS NOT NULL THEN v_broken IS NULL END, v_broken),
      (20, 'request', CASE WHEN v_error IS NOT NULL THEN false WHEN v_request IS NOT NULL THEN true END, v_error),
      (21, 'address_refused', NULL, 'found out by connecting')) AS c (n, code, ok, detail);
  IF v_refusal IS NOT NULL AND NOT jsonb_path_exists(v_checks, '$[*] ? (@.check == $code)', jsonb_build_object('code', v_refusal)) THEN
    v_checks := v_checks || jsonb_build_object('check', v_refusal, 'ok', false);	-- e.g. one that another migration brought
  END IF;
  v_result := jsonb_build_object('route_code', p_route_code, 'event_id', p_event_id,
    'verdict', coalesce((SELECT x ->> 'check' FROM jsonb_array_elements(v_checks) WITH ORDINALITY AS e (x, n)
                          WHERE x -> 'ok' = 'false' ORDER BY n LIMIT 1), 'would_send'), 'checks', v_checks);
  PERFORM public.fn_iu_route_log('dot_iu_route_test', p_route_code, p_actor, p_reason, v_result);
  RETURN v_result || jsonb_build_object('next_action', public.fn_iu_route_refusal(p_route_code) ->> 'next_action', 'request', v_request);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_test(text, uuid, text, text) IS
  'A dry run of one event on one route, by hand, logged, that writes no attempt: {route_code, event_id, verdict: would_send or the first check that failed, checks: [{check, ok, detail}], next_action, request as in fn_iu_delivery_request}. The checks are all made, in the order of fn_iu_delivery_refusal, then event_unknown, event_not_on_route, payload_restricted, contract, request, address_refused; ok is null where it cannot be told. Whether the event went out already is told by fn_iu_route_explain. SQLSTATE 23514: actor or reason empty. (design: Events and delivery)';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_worker_run', 'health', true,  false, ARRAY['fn_iu_route_worker_run']),
  ('dot_iu_route_dry_run',    'health', true,  true,  ARRAY['fn_iu_route_dry_run']),
  ('dot_iu_route_test',       'health', false, true,  ARRAY['fn_iu_route_test']);

-- Privileges, registration, post-check -----------------------------------------

GRANT SELECT ON public.iu_route_worker_cursor, public.v_iu_route_health TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_route_worker_health(text, integer), public.fn_iu_route_worker_ahead(text) TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_route_worker_run(text, integer, text), public.fn_iu_route_dry_run(text, text, text),
  public.fn_iu_route_test(text, uuid, text, text) TO iu_core_operator;
GRANT EXECUTE ON FUNCTION public.fn_iu_route_worker_turn(text, integer) TO iu_core_worker;

SELECT public.fn_iu_govern(12, 'table', 'iu_route_worker_cursor');
SELECT public.fn_iu_govern(12, 'view', 'v_iu_route_health');
SELECT public.fn_iu_govern(12, 'function', 'fn_iu_route_worker_register(text,text)', 'fn_iu_route_worker_event(public.iu_outbound_route,public.event_outbox)',
  'fn_iu_route_worker_run(text,integer,text)', 'fn_iu_route_worker_turn(text,integer)', 'fn_iu_route_worker_ahead(text)',
  'fn_iu_route_worker_health(text,integer)', 'fn_iu_route_dry_run(text,text,text)', 'fn_iu_route_test(text,uuid,text,text)');

SELECT public.fn_iu_conformance_require(12);
