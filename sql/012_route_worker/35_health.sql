-- Whether events get on.

-- What was recorded since is looked for only where something is overdue.
CREATE FUNCTION iu.fn_iu_route_stuck(p_backlog public.v_iu_event_backlog[], p_stale timestamptz) RETURNS jsonb
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = on SET jit = off
AS $function$
DECLARE
  v_overdue constant text[] := ARRAY(SELECT b.route_code FROM unnest(p_backlog) b
                                      WHERE b.refusal IS NULL AND b.oldest_due_at < p_stale);
  v_moving  text[] := '{}';
BEGIN
  IF v_overdue <> '{}' THEN
    v_moving := ARRAY(SELECT DISTINCT a.route_code FROM public.iu_route_attempt a
                       WHERE NOT a.kept AND a.recorded_at > p_stale AND a.route_code = ANY (v_overdue)
                         AND a.status IN ('sent', 'failed'));
  END IF;
  RETURN (
    SELECT coalesce(jsonb_agg(jsonb_build_object('route_code', b.route_code, 'oldest_due_at', b.oldest_due_at,
             'waiting', b.waiting, 'retrying', b.retrying, 'leased', b.leased, 'locked_by',
             (SELECT l.holder FROM iu.fn_iu_route_locks() l WHERE l.route_code = b.route_code))
             ORDER BY b.oldest_due_at), '[]')
      FROM unnest(p_backlog) b WHERE b.route_code = ANY (v_overdue) AND b.route_code <> ALL (v_moving));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_stuck IS
  'For health, with the rows of v_iu_event_backlog: the routes that nothing holds, on which something has been due '
  'since before this time, and on which no attempt has been recorded since; and who keeps them locked.';

CREATE FUNCTION iu.fn_iu_route_worker_due(p_worker_name text, OUT due bigint, OUT oldest timestamptz)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $function$
BEGIN
  SELECT count(*), min(x.created_at) INTO due, oldest
    FROM (SELECT e.created_at
            FROM public.iu_route_worker_cursor c
            CROSS JOIN (SELECT DISTINCT y.event_domain, y.event_type FROM public.iu_outbound_route r
                          JOIN public.iu_route_type y ON y.route_code = r.route_code
                         WHERE r.enabled AND r.dry_run) AS t
            CROSS JOIN LATERAL (
              SELECT o.created_at FROM public.event_outbox o
               WHERE o.event_domain = t.event_domain AND o.event_type = t.event_type
                 AND o.emitted_xid >= pg_snapshot_xmin(c.seen) AND NOT pg_visible_in_snapshot(o.emitted_xid, c.seen)
                 AND o.event_seq > c.floor_seq
                 AND (c.window_end IS NULL OR (o.emitted_xid, o.event_seq) > (c.window_xid, c.window_seq)
                      OR NOT pg_visible_in_snapshot(o.emitted_xid, c.window_end))
               ORDER BY o.event_domain, o.event_type, o.emitted_xid, o.event_seq LIMIT 10000) AS e
           WHERE c.worker_name = p_worker_name AND coalesce(c.event_domain, t.event_domain) = t.event_domain
           LIMIT 10000) AS x;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_due IS
  'For health: how many dry runs the pass of a worker has still to make, up to 10000, and since when.';

-- What a switch, a gate, a list or a person holds is meant to wait. What stopped
-- by itself is not.
CREATE FUNCTION iu.fn_iu_route_stopped(p_stale timestamptz, OUT waiting bigint, OUT stopped text[])
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  SELECT coalesce(sum(h.held) FILTER (WHERE h.code = 'worker_gate_closed' AND r.enabled AND NOT r.dry_run), 0),
         array_agg(format('route %s: %s held since %s: %s', h.route_code, h.held, h.oldest_at, h.sentence)
                   ORDER BY h.route_code)
           FILTER (WHERE h.oldest_at < p_stale AND (c.by_itself OR (h.code = 'route_disabled'
             AND r.disabled_reason = 'the receiver answered 410 (gone)')))
    INTO waiting, stopped
    FROM public.v_iu_route_held h
    CROSS JOIN LATERAL (SELECT x.* FROM public.iu_outbound_route x WHERE x.route_code = h.route_code OFFSET 0) AS r
    CROSS JOIN LATERAL (SELECT x.* FROM public.iu_delivery_code x WHERE x.code = h.code OFFSET 0) AS c;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_stopped IS
  'For health: how many deliveries of live routes wait only for the worker switch, and, in words, the routes that '
  'stopped by themselves and on which something has waited since before this time.';

CREATE FUNCTION iu.fn_iu_route_worker_state(p_worker_name text, p_stale_seconds integer) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_stale   constant timestamptz := clock_timestamp() - make_interval(secs => p_stale_seconds);
  v_master  constant boolean := iu.fn_iu_core_routes_enabled();
  v_worker  constant boolean := iu.fn_iu_route_worker_enabled();
  v_cursor  public.iu_route_worker_cursor;
  v_backlog public.v_iu_event_backlog[];
  v_ahead   record;
  v_letters constant bigint := (SELECT count(*) FROM (SELECT FROM public.iu_route_dead_letter
                                                       WHERE resolved_at IS NULL LIMIT 10000) AS d);
  v_stuck   jsonb;
  v_waiting bigint;
  v_stopped text[];
  v_problem text[];
BEGIN
  SELECT * INTO v_cursor FROM public.iu_route_worker_cursor WHERE worker_name = p_worker_name;
  SELECT d.due, d.oldest INTO v_ahead FROM iu.fn_iu_route_worker_due(p_worker_name) d;
  v_backlog := ARRAY(SELECT b FROM public.v_iu_event_backlog b);
  v_stuck := iu.fn_iu_route_stuck(v_backlog, v_stale);
  SELECT s.waiting, s.stopped INTO v_waiting, v_stopped FROM iu.fn_iu_route_stopped(v_stale) s;
  v_problem := array_remove(ARRAY[
    CASE WHEN NOT v_master THEN 'the master switch iu_core.routes_master_enabled is off' END,
    CASE WHEN NOT v_worker AND v_waiting + v_ahead.due > 0 THEN
      format('the switch iu_core.route_worker_enabled is off and %s wait', v_waiting + v_ahead.due) END,
    CASE WHEN v_letters > 0 THEN format('%s dead letter(s) wait for a person', v_letters) END,
    CASE WHEN v_worker AND v_ahead.oldest < v_stale AND coalesce(v_cursor.last_run_at, '-infinity') < v_stale THEN
      format('dry runs are due since %s and the worker has not run since %s', v_ahead.oldest,
             coalesce(v_cursor.last_run_at::text, 'ever')) END]
    || ARRAY(SELECT format('route %s: due since %s and nothing moves%s', s ->> 'route_code', s ->> 'oldest_due_at',
                           '; it is locked by ' || (s ->> 'locked_by'))
               FROM jsonb_array_elements(v_stuck) s)
    || ARRAY(SELECT format('route %s: %s', l.route_code, l.problem) FROM iu.fn_iu_route_lock_problems() l)
    || iu.fn_iu_route_delays(p_stale_seconds) || v_stopped
    || iu.fn_iu_route_hung_problems() || iu.fn_iu_place_trouble() || iu.fn_iu_attempt_trouble()
    || (SELECT t.alarm FROM iu.fn_iu_gate_troubles() t)
    || (SELECT t.alarm FROM iu.fn_iu_certificate_troubles() t), NULL);
  RETURN jsonb_build_object('worker_name', p_worker_name, 'master_gate_open', v_master, 'worker_gate_open', v_worker,
    'registered', v_cursor.worker_name IS NOT NULL,
    'cursor', CASE WHEN v_cursor.worker_name IS NOT NULL THEN
      jsonb_build_object('last_created_at', v_cursor.last_created_at, 'last_event_id', v_cursor.last_event_id) END,
    'last_run_at', v_cursor.last_run_at, 'last_run_summary', v_cursor.last_run_summary,
    'totals', jsonb_build_object('events_seen', coalesce(v_cursor.events_seen, 0),
      'attempts_written', coalesce(v_cursor.attempts_written, 0),
      'dead_lettered', coalesce(v_cursor.dead_lettered, 0)),
    'backlog_iu_events', (SELECT coalesce(sum(b.waiting + b.retrying + b.leased), 0) FROM unnest(v_backlog) b),
    'dry_runs_due', v_ahead.due, 'oldest_dry_run_due_at', v_ahead.oldest,
    'dead_letter_open', v_letters,
    'outbound_attempts_in_audit',
    (SELECT coalesce(max(a.id) - min(a.id) + 1, 0) FROM public.iu_route_attempt a),
    'stuck_routes', v_stuck, 'unheard_events',
    (SELECT coalesce(jsonb_agg(jsonb_build_object('event_type', u.event_domain || '.' || u.event_type,
              'reason', u.reason, 'times', u.times, 'last_at', u.last_at) ORDER BY u.last_at DESC), '[]')
       FROM iu_core.unheard_events() u),
    'stale_seconds', p_stale_seconds, 'problems', to_jsonb(v_problem),
    'healthy', v_problem = '{}');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_state IS
  'For fn_iu_route_worker_health, which says what is in it. Raises nothing of its own.';

-- Nothing is read from end to end, whatever statistics say, and no lock is waited for
-- for long: health that hangs tells nobody anything.
CREATE FUNCTION iu.fn_iu_route_worker_health(p_worker_name text, p_stale_seconds integer) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
  SET enable_seqscan = off SET enable_sort = off SET jit = off
AS $function$
BEGIN
  PERFORM iu.fn_iu_require_value(p_stale_seconds >= 1, 'iu_health_stale_seconds', 'p_stale_seconds', '1 or more',
    p_stale_seconds::text);
  RETURN iu.fn_iu_route_worker_state(p_worker_name, p_stale_seconds);
EXCEPTION WHEN lock_not_available THEN
  RETURN jsonb_build_object('worker_name', p_worker_name, 'stale_seconds', p_stale_seconds, 'healthy', false,
    'problems', ARRAY(SELECT t.trouble FROM iu.fn_iu_troubles_of_locks() t));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_health IS
  'What public.fn_iu_route_worker_health hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_worker_health(
    p_worker_name text DEFAULT 'iu_outbound_default', p_stale_seconds integer DEFAULT 300)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,pg_monitor}') THEN
  iu.fn_iu_route_worker_health(p_worker_name, p_stale_seconds) END;
COMMENT ON FUNCTION public.fn_iu_route_worker_health IS
  'Whether events get on: {healthy, problems (in words), master_gate_open, worker_gate_open, registered, cursor, '
  'last_run_at, totals, backlog_iu_events (deliveries that wait on all routes, are to be tried again or are with a '
  'sender, as v_iu_event_backlog counts them), dry_runs_due and dead_letter_open (at most 10000 are counted), '
  'outbound_attempts_in_audit (by their numbers, so that none is counted), stuck_routes, unheard_events '
  '(iu_core.unheard_events), ...}. Not healthy: the master switch is off; the worker switch is off and something '
  'waits; a dead letter is open; something waits for p_stale_seconds on a route that stopped by itself (an answer '
  '410 disabled it, or it is held for a code that is by_itself in iu_delivery_code); and where work is due and '
  'nothing moves: a live route that nothing holds has had something due for p_stale_seconds without one attempt '
  'recorded, or dry runs are due that long and no pass was made; where deliveries are due later than the backoff of '
  'their route explains; where somebody has kept a route locked for 10 s; where nothing is due that would try an '
  'open circuit; where deliveries wait for others of '
  'their subject of which none is under way; where the database is not at home (fn_iu_place_confirm); where attempts '
  'lie in their default partition, or fewer than 2 days have one ahead; where a '
  'gate lapsed that nobody closed (fn_iu_gate_lapsed); where a live route cannot use its certificates '
  '(fn_iu_certificate_problems); and where the function of a route did not end when it was '
  'called last (iu_route_hung). Where somebody has locked a table that it reads it answers after 1 s: not healthy, '
  'with who holds it in problems, and nothing else. SQLSTATE 23514: p_stale_seconds below 1.';
