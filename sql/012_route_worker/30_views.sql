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
    SELECT t.route_code, iu.fn_iu_route_address_refusal(max(t.detail)) AS refusal
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
    CROSS JOIN LATERAL (SELECT CASE WHEN b.refusal IS NOT NULL THEN iu.fn_iu_route_refusal(b.route_code) ELSE a.refusal END AS refusal) AS f;
COMMENT ON VIEW public.v_iu_route_health IS
  'One row a route that is not retired: its mode (live, dry_run, disabled), what waits, is to be tried again, is '
  'in flight, since when something has been due and for how many seconds; of the last hour: sent, failed, dry '
  'runs, sent a second, the share of failures, median and 95th percentile of duration in ms; open dead letters; '
  'what holds it, why, and what to do; its circuit (closed, open, half_open), the failed attempts in a row, and '
  'when one delivery is tried again.';

CREATE FUNCTION iu.fn_iu_route_worker_health(
    p_worker_name text, p_stale_seconds integer)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_stale   constant timestamptz := clock_timestamp() - make_interval(secs => p_stale_seconds);
  v_master  constant boolean := iu.fn_iu_core_routes_enabled();
  v_worker  constant boolean := iu.fn_iu_route_worker_enabled();
  v_cursor  public.iu_route_worker_cursor;
  v_ahead   record;
  v_letters bigint := (SELECT count(*) FROM public.iu_route_dead_letter WHERE resolved_at IS NULL);
  v_stuck   jsonb;
  v_waiting bigint;
  v_stopped text[];
  v_problem text[];
BEGIN
  IF p_stale_seconds IS NULL OR p_stale_seconds < 1 THEN
    RAISE check_violation USING
      MESSAGE = 'p_stale_seconds is at least 1';
  END IF;
  SELECT * INTO v_cursor FROM public.iu_route_worker_cursor WHERE worker_name = p_worker_name;
  SELECT count(*) AS events, count(*) FILTER (WHERE d.wanted) AS due, min(e.created_at) FILTER (WHERE d.wanted) AS oldest INTO v_ahead
    FROM iu.fn_iu_route_worker_ahead(p_worker_name) e
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
    'stuck_routes', v_stuck, 'unheard_events',
    (SELECT coalesce(jsonb_agg(jsonb_build_object('event_type', u.event_domain || '.' || u.event_type, 'reason', u.reason,
              'times', u.times, 'last_at', u.last_at) ORDER BY u.last_at DESC), '[]') FROM iu_core.unheard_events() u),
    'stale_seconds', p_stale_seconds, 'problems', to_jsonb(v_problem),
    'healthy', v_problem = '{}');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_health IS
  'What public.fn_iu_route_worker_health hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_worker_health(
    p_worker_name text DEFAULT 'iu_outbound_default', p_stale_seconds integer DEFAULT 300)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN
  iu.fn_iu_route_worker_health(p_worker_name, p_stale_seconds) END;
COMMENT ON FUNCTION public.fn_iu_route_worker_health IS
  'Whether events get on: {healthy, problems (in words), master_gate_open, worker_gate_open, registered, cursor, '
  'last_run_at, totals, backlog_iu_events (not passed by the worker), dry_runs_due, dead_letter_open, '
  'outbound_attempts_in_audit, stuck_routes, unheard_events (iu_core.unheard_events), ...}. Not healthy: the master switch is off; the worker switch is '
  'off and something waits; a dead letter is open; something waits for p_stale_seconds on a route that stopped by '
  'itself (its circuit is open, an answer 410 disabled it, it has no valid secret, its function, origin or '
  'address is refused); and where work is due and nothing moves: a live route that nothing holds has had '
  'something due for p_stale_seconds without one attempt recorded, or dry runs are due that long and no pass was '
  'made. SQLSTATE 23514: p_stale_seconds below 1.';
