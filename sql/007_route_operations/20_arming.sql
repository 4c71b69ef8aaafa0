-- Arming: where a route starts, and what it is owed from before.

-- The body is one statement, so that all its parts see the same: what is owed goes
-- to the retries, what commits from now on is found by the snapshot. An event that
-- the statement sees though its transaction is not finished came with a restore.
CREATE FUNCTION iu.fn_iu_route_owed(p_route_code text, p_from timestamptz, p_seen pg_snapshot,
    OUT seen pg_snapshot, OUT floor_seq bigint, OUT owed bigint)
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH at AS MATERIALIZED (
    SELECT iu.fn_iu_snapshot_now() AS now, pg_current_xact_id_if_assigned() AS own
  ), restored AS MATERIALIZED (
    SELECT coalesce(max(e.event_seq), 0) AS high
      FROM at, public.event_outbox e
     WHERE e.emitted_xid >= pg_snapshot_xmin(at.now) AND NOT pg_visible_in_snapshot(e.emitted_xid, at.now)
       AND e.emitted_xid IS DISTINCT FROM at.own AND e.emitted_xid <> '2'
  ), put AS (
    INSERT INTO public.iu_route_retry (route_code, event_id, event_seq, due_at, reason)
      SELECT r.route_code, e.id, e.event_seq, iu_core.steady_clock(),
             CASE WHEN p_seen IS NULL THEN 'armed' ELSE 'confirmed' END
        FROM at, restored, public.iu_outbound_route r JOIN public.iu_route_type t ON t.route_code = r.route_code
        JOIN public.event_outbox e ON e.event_domain = t.event_domain AND e.event_type = t.event_type
       WHERE r.route_code = p_route_code
         AND e.payload_classification = 'safe_metadata' AND e.emitted_xid <> '2'
         AND (r.payload_filter IS NULL OR iu.fn_iu_filter_keeps(r.payload_filter, e.safe_payload))
         AND (e.created_at >= p_from OR (p_seen IS NOT NULL AND NOT pg_visible_in_snapshot(e.emitted_xid, p_seen)))
         AND (e.event_seq <= restored.high OR pg_visible_in_snapshot(e.emitted_xid, at.now))
         AND NOT EXISTS (SELECT FROM public.iu_route_attempt a
                          WHERE a.idempotency_key = iu.fn_iu_webhook_id(e.event_seq, r.id, 0, e.id)
                            AND a.status <> 'dry_run')
         AND NOT EXISTS (SELECT FROM public.iu_route_lease l
                          WHERE l.route_code = r.route_code AND e.id = ANY (l.event_ids))
       ORDER BY e.event_seq  -- fn_iu_route_retry_order must see the first of a subject first
      ON CONFLICT DO NOTHING
      RETURNING 1
  )
  SELECT at.now, restored.high, (SELECT count(*) FROM put) FROM at, restored;
END;
COMMENT ON FUNCTION iu.fn_iu_route_owed IS
  'For arming and confirming: puts the events of a route that were created at p_from or later, or that p_seen '
  'does not see, and that were never attempted, among the retries; returns the snapshot from which the rest is '
  'found, the highest event_seq that came with a restore, and how many are owed.';

CREATE FUNCTION iu.fn_iu_route_restep(p_route_code text, p_seen pg_snapshot) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_step bigint := (SELECT coalesce(max(step), 0) FROM public.iu_route_step WHERE route_code = p_route_code);
BEGIN
  INSERT INTO public.iu_route_step (route_code, step, seen, lease_low) VALUES (p_route_code, v_step + 1, p_seen, 0);
  DELETE FROM public.iu_route_step WHERE route_code = p_route_code AND step <= v_step;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_restep IS
  'For arming and confirming: lets a route go on from this snapshot, without a window under way.';

CREATE FUNCTION iu.fn_iu_route_arm_check(
    p_route public.iu_outbound_route, p_start_at timestamptz, p_max_age interval)
  RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_function constant text := CASE WHEN p_route.target_kind = 'sql_function'
                                   THEN iu.fn_iu_route_target_refusal(p_route.target_kind, p_route.target_ref) END;
BEGIN
  IF p_route.target_kind NOT IN ('external_endpoint', 'directus_flow', 'sql_function') THEN
    RAISE feature_not_supported USING
      MESSAGE = format('routes of kind %s cannot be armed', p_route.target_kind),
      DETAIL = format('Kind: %s.', p_route.target_kind),
      HINT = 'Carried are external_endpoint, directus_flow and sql_function.', CONSTRAINT = 'iu_route_kind_not_carried';
  ELSIF v_function IS NOT NULL THEN
    RAISE feature_not_supported USING
      MESSAGE = format('route "%s" cannot be armed: %s', p_route.route_code, v_function),
      DETAIL = format('Route: %s; problem: %s.', p_route.route_code, v_function),
      HINT = 'Register the function with fn_iu_route_function_register.', CONSTRAINT = 'iu_route_function_refused';
  ELSIF p_route.enabled AND NOT p_route.dry_run
        AND EXISTS (SELECT FROM public.iu_route_position p WHERE p.route_code = p_route.route_code) THEN
    RAISE object_in_use USING
      MESSAGE = format('route "%s" is armed already', p_route.route_code),
      DETAIL = 'Arming anew moves its start; what waits before it is not sent.',
      HINT = format('Pause it first: SELECT fn_iu_route_pause(%L, session_user, ''reason'');', p_route.route_code),
      CONSTRAINT = 'iu_route_armed';
  ELSIF p_max_age IS NULL OR p_max_age <= interval '0' OR NOT isfinite(p_max_age) THEN
    RAISE check_violation USING
      MESSAGE = 'p_max_age is a positive interval: how old an event may be at most',
      DETAIL = format('It is %s.', coalesce(p_max_age::text, 'NULL')), CONSTRAINT = 'iu_route_max_age';
  ELSIF p_start_at > clock_timestamp() THEN
    RAISE check_violation USING
      MESSAGE = 'p_start_at lies in the future',
      DETAIL = format('It is %s, now is %s.', p_start_at, clock_timestamp()),
      HINT = 'Leave it out to start with what commits from now on.', CONSTRAINT = 'iu_route_start';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_arm_check IS
  'For fn_iu_route_arm: a route, and where it shall start. SQLSTATE 0A000 for a kind that is not carried or a function '
  'that is not registered, 55006 for a route that is armed, 23514 for a start or an age that is none.';

CREATE FUNCTION iu.fn_iu_route_arm(p_route_code text, p_actor text, p_reason text,
    p_start_at timestamptz, p_max_age interval)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route public.iu_outbound_route;
  v_start timestamptz;
  v_was   public.v_iu_route_position;
  v_at    record;
  v_over  bigint;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route
   WHERE route_code = p_route_code AND retired_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_route_not_there(p_route_code);
  END IF;
  PERFORM iu.fn_iu_route_arm_check(v_route, p_start_at, p_max_age);
  PERFORM iu.fn_iu_require_read_committed('fn_iu_route_arm', 'would not see what was attempted meanwhile');
  IF p_start_at IS NOT NULL THEN
    v_start := greatest(p_start_at, clock_timestamp() - p_max_age);
  END IF;

  -- A claim that is still under way must not hand out what is counted here.
  PERFORM FROM public.iu_route_position WHERE route_code = p_route_code FOR UPDATE;
  SELECT * INTO v_was FROM public.v_iu_route_position WHERE route_code = p_route_code;
  UPDATE public.iu_outbound_route SET enabled = true, dry_run = false, disabled_reason = NULL
   WHERE route_code = p_route_code;
  SELECT o.seen, o.floor_seq, o.owed INTO v_at FROM iu.fn_iu_route_owed(p_route_code, v_start, NULL) o;
  INSERT INTO public.iu_route_position AS p
      (route_code, place, floor_seq, armed_by, start_at, max_age)
    VALUES (p_route_code, iu_core.place(), v_at.floor_seq, p_actor, v_start, p_max_age)
    ON CONFLICT (route_code) DO UPDATE
      SET place = excluded.place, floor_seq = greatest(p.floor_seq, excluded.floor_seq),
          armed_at = now(), armed_by = excluded.armed_by, start_at = excluded.start_at, max_age = excluded.max_age;
  PERFORM iu.fn_iu_route_restep(p_route_code, v_at.seen);
  -- What was ahead of the former position and is neither ahead of the new one nor owed.
  SELECT count(*) INTO v_over FROM public.event_outbox e
   WHERE e.emitted_xid >= pg_snapshot_xmin(v_was.seen) AND NOT pg_visible_in_snapshot(e.emitted_xid, v_was.seen)
     AND e.emitted_xid <> '2'
     AND iu.fn_iu_route_carries(p_route_code, e.event_domain, e.event_type) AND e.event_seq > v_was.floor_seq
     AND e.payload_classification = 'safe_metadata'
     AND (v_was.window_end IS NULL OR e.event_seq > v_was.window_seq
          OR NOT pg_visible_in_snapshot(e.emitted_xid, v_was.window_end))
     AND (e.event_seq <= v_at.floor_seq OR pg_visible_in_snapshot(e.emitted_xid, v_at.seen))
     AND NOT EXISTS (SELECT FROM public.iu_route_retry t WHERE t.route_code = p_route_code AND t.event_id = e.id);
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_outbound_route r JOIN public.iu_route_position p ON p.route_code = r.route_code
             WHERE r.route_code = p_route_code AND r.enabled AND NOT r.dry_run),
    'public.iu_outbound_route', 'arming the route');
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_arm', 'route_code', p_route_code, 'applied', p_actor, p_reason,
    jsonb_build_object('start_at', v_start, 'max_age', p_max_age, 'owed', v_at.owed, 'passed_over', v_over));
  RETURN jsonb_build_object('status', 'armed', 'route_code', p_route_code, 'start_at', v_start, 'owed', v_at.owed,
    'passed_over', v_over, 'held', iu.fn_iu_route_refusal(p_route_code));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_arm IS
  'What public.fn_iu_route_arm hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_arm(p_route_code text, p_actor text, p_reason text,
    p_start_at timestamptz DEFAULT NULL, p_max_age interval DEFAULT '1 day')
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_arm(p_route_code, p_actor, p_reason, p_start_at, p_max_age) END;
COMMENT ON FUNCTION public.fn_iu_route_arm IS
  'Makes a route live and sets where it starts: without p_start_at with what commits from now on; otherwise also '
  'with events created since then, but none older than p_max_age, and none that was attempted before. Returns '
  '{status: armed, route_code, start_at, owed, passed_over, held}: passed_over counts what waited since the last '
  'arming and will not be sent now (fn_iu_route_resume goes on where the route stood; fn_iu_route_deliver hands '
  'over one event), held says what still stops it. SQLSTATE 42704: not registered or retired; 42501: not on the '
  'allowlist; 55006: armed already; 0A000: a kind that is not carried, or a function that is not registered; '
  '23514: start, age, actor or reason; 25000 outside of READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_route_confirm_position(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_position public.v_iu_route_position;
  v_at       record;
  v_leases   integer;
BEGIN
  PERFORM iu.fn_iu_require_read_committed('fn_iu_route_confirm_position',
    'would not see what was attempted meanwhile');
  PERFORM FROM public.iu_route_position WHERE route_code = p_route_code FOR UPDATE;
  SELECT * INTO v_position FROM public.v_iu_route_position WHERE route_code = p_route_code;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('route "%s" has no position', coalesce(p_route_code, '')),
      DETAIL = format('Route: %s.', coalesce(p_route_code, '')),
      HINT = 'Arm it with fn_iu_route_arm.', CONSTRAINT = 'iu_route_no_position';
  ELSIF EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code AND retired_at IS NOT NULL) THEN
    PERFORM iu.fn_iu_route_not_there(p_route_code);
  ELSIF v_position.place = iu_core.place() THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('the position of route "%s" belongs to this place', p_route_code),
      DETAIL = 'There is nothing to confirm.', CONSTRAINT = 'iu_route_position_is_here';
  END IF;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_confirm_position', 'route_code', p_route_code, 'applied', p_actor,
    p_reason, jsonb_build_object('place', v_position.place));
  UPDATE public.iu_route_lease SET expires_at = iu_core.steady_clock() WHERE route_code = p_route_code;
  GET DIAGNOSTICS v_leases = ROW_COUNT;
  SELECT o.seen, o.floor_seq, o.owed INTO v_at
    FROM iu.fn_iu_route_owed(p_route_code, coalesce(v_position.start_at, v_position.armed_at), v_position.seen) o;
  UPDATE public.iu_route_position
     SET place = iu_core.place(), floor_seq = v_at.floor_seq
   WHERE route_code = p_route_code;
  PERFORM iu.fn_iu_route_restep(p_route_code, v_at.seen);
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', 'confirmed', 'route_code', p_route_code, 'owed', v_at.owed, 'leases', v_leases);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_confirm_position IS
  'What public.fn_iu_route_confirm_position hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_confirm_position(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_confirm_position(p_route_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_confirm_position IS
  'Lets a copy of a database, or one that was restored, deliver on a route: what the route was owed and never '
  'attempted, as far as this database knows, is put among the retries, leases from before are taken over, and the '
  'position is bound to this place. Returns {status: confirmed, route_code, owed, leases}. Confirm only '
  'where the original no longer delivers. SQLSTATE 42704: no '
  'position, or retired; 55000: it belongs to this place; 23514: actor or reason missing; 25000 outside of READ '
  'COMMITTED.';

-- What a route has under way becomes dead letters, from which each can be replayed.
CREATE FUNCTION iu.fn_iu_route_leave(p_route_code text, p_why text) RETURNS bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_letters bigint;
BEGIN
  WITH waiting AS (
    DELETE FROM public.iu_route_retry t WHERE t.route_code = p_route_code RETURNING t.*
  ), held AS (
    DELETE FROM public.iu_route_lease l WHERE l.route_code = p_route_code RETURNING l.*
  ), left_behind AS (
    SELECT w.event_id, w.event_seq, w.replay_number, w.attempt_no FROM waiting w
    UNION ALL
    SELECT i.event_id, i.event_seq, i.replay_number, i.attempt_no
      FROM held l
      CROSS JOIN LATERAL unnest(l.event_ids, l.event_seqs, l.replay_numbers, l.attempt_nos)
        AS i (event_id, event_seq, replay_number, attempt_no)
  ), letter AS (
    INSERT INTO public.iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key,
        failure_code, failure_detail, event_snapshot)
      SELECT p_route_code, b.event_id, b.replay_number, b.attempt_no - 1,
             iu.fn_iu_webhook_id(b.event_seq, r.id, b.replay_number, b.event_id), 'left_after_restore',
             left(p_why, 1000), coalesce(to_jsonb(o), jsonb_build_object('id', b.event_id, 'event_seq', b.event_seq))
        FROM left_behind b JOIN public.iu_outbound_route r ON r.route_code = p_route_code
        LEFT JOIN public.event_outbox o ON o.id = b.event_id
       ORDER BY b.event_seq, b.replay_number
      ON CONFLICT (idempotency_key) DO NOTHING
      RETURNING 1
  )
  SELECT count(*) INTO v_letters FROM letter;
  RETURN v_letters;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_leave IS
  'For fn_iu_routes_confirm: what waits on a route, and what was with a sender, becomes dead letters with the whole '
  'event, failure_code left_after_restore. Arguments: the route, why. Returns how many. Raises nothing.';

CREATE FUNCTION iu.fn_iu_routes_confirm(p_deliveries text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route  text;
  v_done   jsonb;
  v_routes jsonb := '[]';
BEGIN
  FOR v_route IN
    SELECT p.route_code FROM public.iu_route_position p JOIN public.iu_outbound_route r ON r.route_code = p.route_code
     WHERE p.place <> iu_core.place() AND r.retired_at IS NULL ORDER BY p.route_code
  LOOP
    v_done := iu.fn_iu_route_confirm_position(v_route, p_actor, p_reason);
    IF p_deliveries = 'leave' THEN
      v_done := v_done
        || jsonb_build_object('left', iu.fn_iu_route_leave(v_route, format('%s: %s', p_actor, p_reason)));
    END IF;
    v_routes := v_routes || v_done;
  END LOOP;
  RETURN v_routes;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_routes_confirm IS
  'For fn_iu_place_confirm: confirms the position of every route that was armed in another place: send, or leave (what '
  'the route is owed becomes dead letters); who, why. Returns what fn_iu_route_confirm_position does of each, and with '
  'leave left: how many dead letters. Errors: those of fn_iu_route_confirm_position.';
