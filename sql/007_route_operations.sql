-- 007 routes in operation: arming one, letting a copy deliver, handing an event
-- over, and the answers to "what is waiting?" and "why did this not go out?".

SELECT iu_core.guard_absent('view', 'v_iu_event_backlog', 'v_iu_route_held');
SELECT iu_core.guard_absent('function', 'fn_iu_route_refusal(text)', 'fn_iu_route_abandon(text)', 'fn_iu_route_address_refusal(text)', 'fn_iu_route_owed(text,timestamp with time zone,pg_snapshot)', 'fn_iu_route_restep(text,pg_snapshot)', 'fn_iu_route_waiting()',
  'fn_iu_route_arm(text,text,text,timestamp with time zone,interval)', 'fn_iu_route_confirm_position(text,text,text)',
  'fn_iu_route_deliver(text,uuid,jsonb)', 'fn_iu_route_explain(text,uuid)', 'fn_iu_route_circuit_close(text,text,text)',
  'fn_iu_route_retry_now(text,text,text)');

DO $guard$
BEGIN
  IF to_regclass('public.iu_route_position') IS NULL THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'migration 007 needs migration 006';
  END IF;
END
$guard$;

CREATE FUNCTION public.fn_iu_route_refusal(p_route_code text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_code  text := public.fn_iu_delivery_refusal(p_route_code);
  v_route public.iu_outbound_route;
  v_at    public.iu_route_circuit;
  v_why   text;
  v_do    text;
BEGIN
  IF v_code IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  SELECT * INTO v_at FROM public.iu_route_circuit WHERE route_code = p_route_code;
  SELECT w.why, w.act INTO v_why, v_do FROM (VALUES
    ('master_gate_closed', 'the master switch iu_core.routes_master_enabled is off',
      'SELECT fn_iu_switch_set(''iu_core.routes_master_enabled'', ''true'', session_user, ''reason'')'),
    ('worker_gate_closed', 'the switch iu_core.route_worker_enabled is off',
      'SELECT fn_iu_switch_set(''iu_core.route_worker_enabled'', ''true'', session_user, ''reason'')'),
    ('delivery_gate_closed', 'the gate iu_core.delivery_enabled is closed',
      'SELECT fn_iu_gate_open(''iu_core.delivery_enabled'', ''id of the approval'', session_user, ''reason'', 300)'),
    ('route_unknown', 'the route is not registered', 'register it with fn_iu_route_add'),
    ('route_retired', 'the route is retired', 'register another with fn_iu_route_add'),
    ('route_not_allowlisted', 'the route is not on the allowlist iu_core.delivery_live_routes',
      format('SELECT fn_iu_route_allow(%L, session_user, ''reason'')', p_route_code)),
    ('target_kind_not_supported', format('routes of kind %s are not carried by the sender', v_route.target_kind),
      'use external_endpoint, directus_flow or sql_function'),
    ('function_refused', public.fn_iu_route_function_refusal(v_route.target_ref),
      format('after a look at what it does: SELECT fn_iu_route_function_register(%L, session_user, ''reason'')', v_route.target_ref)),
    ('origin_not_allowed', iu_core.egress_refusal(v_route.target_ref),
      'a superuser adds the origin to iu_core.allowed_origins and reloads the server'),
    ('route_disabled', concat_ws(': ', 'the route is not enabled', v_route.disabled_reason),
      format(CASE WHEN EXISTS (SELECT FROM public.iu_route_position p WHERE p.route_code = p_route_code) AND NOT v_route.dry_run
        THEN 'SELECT fn_iu_route_resume(%L, session_user, ''reason'')' ELSE 'SELECT fn_iu_route_arm(%L, session_user, ''reason'')' END, p_route_code)),
    ('route_dry_run', 'the route is a dry run', format('SELECT fn_iu_route_arm(%L, session_user, ''reason'')', p_route_code)),
    ('route_not_armed', 'the route was never armed', format('SELECT fn_iu_route_arm(%L, session_user, ''reason'')', p_route_code)),
    ('position_foreign', 'the position of the route belongs to another database: this one is a copy',
      format('if this database shall deliver, and the original no longer does: SELECT fn_iu_route_confirm_position(%L, session_user, ''reason'')', p_route_code)),
    ('secret_missing', format('no signing secret of "%s" is valid now', v_route.secret_ref),
      format('SELECT fn_iu_route_secret_add(%L, session_user, ''reason'')', v_route.secret_ref)),
    ('circuit_open', format(CASE v_at.state WHEN 'half_open' THEN 'the circuit of the route is half-open: one delivery is being tried until %s, after %s failed attempts in a row, the last %s'
        ELSE 'the circuit of the route is open until %s, after %s failed attempts in a row, the last %s' END,
        date_trunc('second', v_at.next_at), v_at.failures, v_at.last_failure),
      format('one delivery is tried then, and a success closes it; at once: SELECT fn_iu_route_circuit_close(%L, session_user, ''reason'')', p_route_code)))
    AS w (code, why, act) WHERE w.code = v_code;
  RETURN jsonb_build_object('code', v_code, 'sentence', v_why, 'next_action', v_do);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_refusal(text) IS
  'NULL if the route may deliver now, otherwise {code, sentence, next_action} of what fn_iu_delivery_refusal names. Where next_action is a call, what begins with SELECT can be pasted; put your reason, and the id of the approval, in its place. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_address_refusal(p_detail text) RETURNS jsonb
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object('code', 'address_refused',
  'sentence', coalesce(p_detail, 'the address is not public and not in iu_core.allowed_networks'),
  'next_action', 'a superuser adds the network to iu_core.allowed_networks and reloads the server; it is tried again within a minute');
COMMENT ON FUNCTION public.fn_iu_route_address_refusal(text) IS
  '{code, sentence, next_action} of a delivery that is held because its host has an address that may not be connected to, as the sender found out. (design: Egress)';

-- Arming ---------------------------------------------------------------------

-- In one statement, so that all parts see the same: what is owed goes to the
-- retries, what commits from now on is found by the snapshot. A row that this
-- statement sees though its number is not finished came with a restore.
CREATE FUNCTION public.fn_iu_route_owed(p_route_code text, p_from timestamptz, p_seen pg_snapshot,
    OUT seen pg_snapshot, OUT floor_seq bigint, OUT owed bigint)
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH at AS MATERIALIZED (
    SELECT public.fn_iu_snapshot_now() AS now, pg_current_xact_id_if_assigned() AS own
  ), restored AS MATERIALIZED (
    SELECT coalesce(max(e.event_seq), 0) AS high
      FROM at, public.event_outbox e
     WHERE e.emitted_xid >= pg_snapshot_xmin(at.now) AND NOT pg_visible_in_snapshot(e.emitted_xid, at.now)
       AND e.emitted_xid IS DISTINCT FROM at.own
  ), put AS (
    INSERT INTO public.iu_route_retry (route_code, event_id, event_seq, due_at, reason)
      SELECT r.route_code, e.id, e.event_seq, clock_timestamp(), CASE WHEN p_seen IS NULL THEN 'armed' ELSE 'confirmed' END
        FROM at, restored, public.iu_outbound_route r, public.event_outbox e
       WHERE r.route_code = p_route_code AND e.event_domain = r.event_domain AND e.event_type = r.event_type
         AND e.payload_classification = 'safe_metadata'
         AND (e.created_at >= p_from OR (p_seen IS NOT NULL AND NOT pg_visible_in_snapshot(e.emitted_xid, p_seen)))
         AND (e.event_seq <= restored.high OR pg_visible_in_snapshot(e.emitted_xid, at.now))
         AND NOT EXISTS (SELECT FROM public.iu_route_attempt a
                          WHERE a.idempotency_key = public.fn_iu_webhook_id(e.event_seq, r.id, 0, e.id)
                            AND a.status <> 'dry_run')
         AND NOT EXISTS (SELECT FROM public.iu_route_lease l
                          WHERE l.route_code = r.route_code AND e.id = ANY (l.event_ids))
       ORDER BY e.event_seq	-- so that fn_iu_route_retry_order sees the first of a subject first
      ON CONFLICT DO NOTHING
      RETURNING 1
  )
  SELECT at.now, restored.high, (SELECT count(*) FROM put) FROM at, restored;
END;
COMMENT ON FUNCTION public.fn_iu_route_owed(text, timestamptz, pg_snapshot) IS
  'For arming and confirming: puts the events of a route that were created at p_from or later, or that p_seen does not see, and that were never attempted, among the retries; returns the snapshot from which the rest is found, the highest event_seq that came with a restore, and how many are owed. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_restep(p_route_code text, p_seen pg_snapshot) RETURNS void
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
COMMENT ON FUNCTION public.fn_iu_route_restep(text, pg_snapshot) IS
  'For arming and confirming: lets a route go on from this snapshot, without a window under way. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_arm(p_route_code text, p_actor text, p_reason text,
    p_start_at timestamptz DEFAULT NULL, p_max_age interval DEFAULT '1 day')
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
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code AND retired_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'route "%" is not registered, or retired', coalesce(p_route_code, '') USING ERRCODE = 'undefined_object';
  ELSIF v_route.target_kind NOT IN ('external_endpoint', 'directus_flow', 'sql_function') THEN
    RAISE EXCEPTION 'routes of kind % cannot be armed', v_route.target_kind
      USING ERRCODE = 'feature_not_supported', HINT = 'Carried are external_endpoint, directus_flow and sql_function.';
  ELSIF v_route.target_kind = 'sql_function' AND public.fn_iu_route_function_refusal(v_route.target_ref) IS NOT NULL THEN
    RAISE EXCEPTION 'route "%" cannot be armed: %', p_route_code, public.fn_iu_route_function_refusal(v_route.target_ref)
      USING ERRCODE = 'feature_not_supported', HINT = 'Register the function with fn_iu_route_function_register.';
  ELSIF v_route.enabled AND NOT v_route.dry_run AND EXISTS (SELECT FROM public.iu_route_position WHERE route_code = p_route_code) THEN
    RAISE EXCEPTION 'route "%" is armed already', p_route_code
      USING ERRCODE = 'object_in_use', DETAIL = 'Arming anew moves its start; what waits before it is not sent.',
            HINT = format('Pause it first: SELECT fn_iu_route_pause(%L, session_user, ''reason'');', p_route_code);
  ELSIF p_max_age IS NULL OR p_max_age <= interval '0' THEN
    RAISE EXCEPTION 'p_max_age is a positive interval: how old an event may be at most' USING ERRCODE = 'check_violation';
  ELSIF p_start_at > clock_timestamp() THEN
    RAISE EXCEPTION 'p_start_at lies in the future' USING ERRCODE = 'check_violation',
      HINT = 'Leave it out to start with what commits from now on.';
  END IF;
  IF p_start_at IS NOT NULL THEN
    v_start := greatest(p_start_at, clock_timestamp() - p_max_age);
  END IF;

  -- A claim that is still under way must not hand out what is counted here.
  PERFORM FROM public.iu_route_position WHERE route_code = p_route_code FOR UPDATE;
  SELECT * INTO v_was FROM public.v_iu_route_position WHERE route_code = p_route_code;
  UPDATE public.iu_outbound_route SET enabled = true, dry_run = false, disabled_reason = NULL WHERE route_code = p_route_code;
  SELECT o.seen, o.floor_seq, o.owed INTO v_at FROM public.fn_iu_route_owed(p_route_code, v_start, NULL) o;
  INSERT INTO public.iu_route_position AS p
      (route_code, system_identifier, database_oid, floor_seq, armed_by, start_at, max_age)
    VALUES (p_route_code, iu_core.system_identifier(), iu_core.database_oid(), v_at.floor_seq, p_actor, v_start, p_max_age)
    ON CONFLICT (route_code) DO UPDATE
      SET system_identifier = excluded.system_identifier, database_oid = excluded.database_oid,
          floor_seq = greatest(p.floor_seq, excluded.floor_seq),
          armed_at = now(), armed_by = excluded.armed_by, start_at = excluded.start_at, max_age = excluded.max_age;
  PERFORM public.fn_iu_route_restep(p_route_code, v_at.seen);
  -- What was ahead of the former position and is neither ahead of the new one nor owed.
  SELECT count(*) INTO v_over FROM public.event_outbox e
   WHERE e.emitted_xid >= pg_snapshot_xmin(v_was.seen) AND NOT pg_visible_in_snapshot(e.emitted_xid, v_was.seen)
     AND e.event_domain = v_route.event_domain AND e.event_type = v_route.event_type AND e.event_seq > v_was.floor_seq
     AND e.payload_classification = 'safe_metadata'
     AND (v_was.window_end IS NULL OR e.event_seq > v_was.window_seq OR NOT pg_visible_in_snapshot(e.emitted_xid, v_was.window_end))
     AND (e.event_seq <= v_at.floor_seq OR pg_visible_in_snapshot(e.emitted_xid, v_at.seen))
     AND NOT EXISTS (SELECT FROM public.iu_route_retry t WHERE t.route_code = p_route_code AND t.event_id = e.id);
  PERFORM public.fn_iu_route_log('dot_iu_route_arm', p_route_code, p_actor, p_reason,
    jsonb_build_object('start_at', v_start, 'max_age', p_max_age, 'owed', v_at.owed, 'passed_over', v_over));
  RETURN jsonb_build_object('status', 'armed', 'route_code', p_route_code, 'start_at', v_start, 'owed', v_at.owed, 'passed_over', v_over,
    'held', public.fn_iu_route_refusal(p_route_code));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_arm(text, text, text, timestamptz, interval) IS
  'Makes a route live and sets where it starts: without p_start_at with what commits from now on; otherwise also with events created since then, but none older than p_max_age, and none that was attempted before. Returns {status: armed, route_code, start_at, owed, passed_over, held}: passed_over counts what waited since the last arming and will not be sent now (fn_iu_route_resume goes on where the route stood; fn_iu_route_deliver hands over one event), held says what still stops it. SQLSTATE 42704: not registered or retired; 42501: not on the allowlist; 55006: armed already; 0A000: a kind that is not carried, or a function that is not registered; 23514: start, age, actor or reason. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_confirm_position(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_position public.v_iu_route_position;
  v_at       record;
  v_leases   integer;
BEGIN
  PERFORM FROM public.iu_route_position WHERE route_code = p_route_code FOR UPDATE;
  SELECT * INTO v_position FROM public.v_iu_route_position WHERE route_code = p_route_code;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'route "%" has no position', coalesce(p_route_code, '')
      USING ERRCODE = 'undefined_object', HINT = 'Arm it with fn_iu_route_arm.';
  ELSIF EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code AND retired_at IS NOT NULL) THEN
    RAISE EXCEPTION 'route "%" is retired', p_route_code USING ERRCODE = 'undefined_object', DETAIL = 'It delivers nothing, here as elsewhere.';
  ELSIF v_position.system_identifier = iu_core.system_identifier() AND v_position.database_oid = iu_core.database_oid() THEN
    RAISE EXCEPTION 'the position of route "%" belongs to this database', p_route_code
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'There is nothing to confirm.';
  END IF;
  PERFORM public.fn_iu_route_log('dot_iu_route_confirm_position', p_route_code, p_actor, p_reason,
    jsonb_build_object('system_identifier', v_position.system_identifier, 'database_oid', v_position.database_oid));
  UPDATE public.iu_route_lease SET expires_at = '-infinity' WHERE route_code = p_route_code;
  GET DIAGNOSTICS v_leases = ROW_COUNT;
  SELECT o.seen, o.floor_seq, o.owed INTO v_at
    FROM public.fn_iu_route_owed(p_route_code, coalesce(v_position.start_at, v_position.armed_at), v_position.seen) o;
  UPDATE public.iu_route_position
     SET system_identifier = iu_core.system_identifier(), database_oid = iu_core.database_oid(), floor_seq = v_at.floor_seq
   WHERE route_code = p_route_code;
  PERFORM public.fn_iu_route_restep(p_route_code, v_at.seen);
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', 'confirmed', 'route_code', p_route_code, 'owed', v_at.owed, 'leases', v_leases);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_confirm_position(text, text, text) IS
  'Lets a copy of a database deliver on a route: what the route was owed and never attempted is put among the retries, leases of the original are taken over, and the position is bound to this database. Returns {status: confirmed, route_code, owed, leases}. Confirm only where the original no longer delivers. SQLSTATE 42704: no position, or retired; 55000: it belongs to this database; 23514: actor or reason missing. (design: Events and delivery)';

-- Retiring -------------------------------------------------------------------

CREATE FUNCTION public.fn_iu_route_abandon(p_route_code text) RETURNS bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route   public.iu_outbound_route;
  v_letters bigint;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code AND retired_at IS NOT NULL;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;
  WITH waiting AS (
    DELETE FROM public.iu_route_retry t
     WHERE t.ctid = ANY (ARRAY(SELECT x.ctid FROM public.iu_route_retry x WHERE x.route_code = p_route_code FOR UPDATE SKIP LOCKED))
     RETURNING t.*
  ), lost AS (
    DELETE FROM public.iu_route_lease l
     WHERE l.lease_id = ANY (ARRAY(SELECT x.lease_id FROM public.iu_route_lease x
                                    WHERE x.route_code = p_route_code
                                      AND (x.expires_at <= clock_timestamp()
                                           OR (x.backend_pid <> pg_backend_pid()
                                               AND NOT EXISTS (SELECT FROM pg_stat_get_activity(x.backend_pid))))
                                      FOR UPDATE SKIP LOCKED))
     RETURNING l.*
  ), ended AS (
    SELECT w.event_id, w.event_seq, w.replay_number, w.attempt_no, 'it waited to be tried: ' || w.reason AS place FROM waiting w
    UNION ALL
    SELECT i.event_id, i.event_seq, i.replay_number, i.attempt_no, format('%s had it and is gone: whether it was sent is not known', l.sender)
      FROM lost l
      CROSS JOIN LATERAL unnest(l.event_ids, l.event_seqs, l.replay_numbers, l.attempt_nos) AS i (event_id, event_seq, replay_number, attempt_no)
  ), letter AS (
    INSERT INTO public.iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key,
        failure_code, failure_detail, event_snapshot)
      SELECT p_route_code, e.event_id, e.replay_number, e.attempt_no - 1,
             public.fn_iu_webhook_id(e.event_seq, v_route.id, e.replay_number, e.event_id),
             'route_retired', left(concat_ws('; ', v_route.disabled_reason, e.place), 1000),
             coalesce(to_jsonb(o), jsonb_build_object('id', e.event_id, 'event_seq', e.event_seq))
        FROM ended e LEFT JOIN public.event_outbox o ON o.id = e.event_id
       ORDER BY e.event_seq, e.replay_number
      ON CONFLICT (idempotency_key) DO NOTHING
      RETURNING 1
  )
  SELECT count(*) INTO v_letters FROM letter;
  RETURN v_letters;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_abandon(text) IS
  'Of a retired route: what waits to be tried, and what a sender has that is gone or whose lease ended, becomes a dead letter with the whole event, failure_code route_retired; where it was is in failure_detail. What another transaction has locked is left. Called when the route is retired, and by fn_iu_route_worker_turn for what came after. Returns how many; 0 for a route that is not retired. (design: Events and delivery)';

CREATE OR REPLACE FUNCTION public.fn_iu_route_settle(p_route_code text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_at      public.v_iu_route_position;
  v_letters bigint;
BEGIN
  PERFORM FROM public.iu_route_position WHERE route_code = p_route_code FOR UPDATE;	-- a claim under way ends first
  SELECT * INTO v_at FROM public.v_iu_route_position WHERE route_code = p_route_code;
  v_letters := public.fn_iu_route_abandon(p_route_code);
  RETURN jsonb_build_object('dead_letters', v_letters,
    'with_sender', (SELECT coalesce(sum(l.item_count), 0) FROM public.iu_route_lease l WHERE l.route_code = p_route_code),
    'passed_over', (SELECT count(*) FROM public.event_outbox e JOIN public.iu_outbound_route r
                        ON r.route_code = p_route_code AND e.event_domain = r.event_domain AND e.event_type = r.event_type
                     WHERE e.emitted_xid >= pg_snapshot_xmin(v_at.seen) AND NOT pg_visible_in_snapshot(e.emitted_xid, v_at.seen)
                       AND e.event_seq > v_at.floor_seq AND e.payload_classification = 'safe_metadata'
                       AND (v_at.window_end IS NULL OR e.event_seq > v_at.window_seq
                            OR NOT pg_visible_in_snapshot(e.emitted_xid, v_at.window_end))));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_settle(text) IS
  'For fn_iu_route_retire: ends what a route that was just retired has under way (fn_iu_route_abandon). Returns {dead_letters, with_sender, passed_over}: how many became dead letters, how many a sender has yet, and how many events the route had not come to. (design: Events and delivery)';

-- By hand --------------------------------------------------------------------

CREATE FUNCTION public.fn_iu_route_deliver(p_route_code text, p_event_ref uuid, p_safe_payload jsonb DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route public.iu_outbound_route;
  v_event public.event_outbox;
  v_at    public.v_iu_route_position;
  v_id    text;
  v_state text;
BEGIN
  IF NOT public.fn_iu_delivery_enabled() THEN
    RAISE EXCEPTION 'delivery is closed: gate iu_core.delivery_enabled' USING ERRCODE = 'insufficient_privilege',
      HINT = 'Open it with fn_iu_gate_open, with an approval and a time limit.';
  END IF;
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'route "%" is not registered', coalesce(p_route_code, '') USING ERRCODE = 'insufficient_privilege',
      HINT = 'Register it with fn_iu_route_add.';
  ELSIF p_route_code <> ALL (public.fn_iu_delivery_live_routes()) THEN
    RAISE EXCEPTION 'route "%" is not on the allowlist of live routes', p_route_code USING ERRCODE = 'insufficient_privilege',
      HINT = format('Put it there: SELECT fn_iu_route_allow(%L, session_user, ''reason'');', p_route_code);
  ELSIF v_route.target_kind NOT IN ('external_endpoint', 'directus_flow', 'sql_function') THEN
    RAISE EXCEPTION 'delivery to target kind % is not supported', v_route.target_kind USING ERRCODE = 'feature_not_supported';
  ELSIF v_route.target_kind = 'sql_function' AND public.fn_iu_route_function_refusal(v_route.target_ref) IS NOT NULL THEN
    RAISE EXCEPTION 'delivery to the function of route "%" is not supported', p_route_code
      USING ERRCODE = 'feature_not_supported', DETAIL = public.fn_iu_route_function_refusal(v_route.target_ref),
            HINT = 'Register the function with fn_iu_route_function_register.';
  ELSIF v_route.target_kind <> 'sql_function' AND iu_core.egress_refusal(v_route.target_ref) IS NOT NULL THEN
    RAISE EXCEPTION 'delivery to the origin of route "%" is not supported', p_route_code
      USING ERRCODE = 'feature_not_supported', DETAIL = iu_core.egress_refusal(v_route.target_ref),
            HINT = 'A superuser adds the origin to iu_core.allowed_origins.';
  END IF;

  SELECT * INTO v_event FROM public.event_outbox WHERE id = p_event_ref;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'event % is not in the outbox', coalesce(p_event_ref::text, 'NULL') USING ERRCODE = 'no_data_found';
  ELSIF (v_event.event_domain, v_event.event_type) <> (v_route.event_domain, v_route.event_type) THEN
    RAISE EXCEPTION 'event % is not of the type that route "%" carries', p_event_ref, p_route_code USING ERRCODE = 'check_violation',
      DETAIL = format('It is %s.%s; the route carries %s.%s.', v_event.event_domain, v_event.event_type, v_route.event_domain, v_route.event_type);
  ELSIF v_event.payload_classification <> 'safe_metadata' THEN
    RAISE EXCEPTION 'event % is %: it does not leave the server', p_event_ref, v_event.payload_classification
      USING ERRCODE = 'insufficient_privilege';
  ELSIF p_safe_payload <> v_event.safe_payload THEN
    RAISE EXCEPTION 'the payload given is not that of event %', p_event_ref USING ERRCODE = 'check_violation',
      HINT = 'Leave it out: what is sent follows from the event.';
  ELSIF public.fn_iu_payload_problem(v_route.payload_contract, v_event.safe_payload) IS NOT NULL THEN
    RAISE EXCEPTION 'event % breaks the payload contract of route "%"', p_event_ref, p_route_code USING ERRCODE = 'check_violation',
      DETAIL = public.fn_iu_payload_problem(v_route.payload_contract, v_event.safe_payload);
  END IF;

  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'fn_iu_route_deliver needs isolation level READ COMMITTED' USING ERRCODE = 'invalid_transaction_state',
      DETAIL = 'An older snapshot would not see that the event was delivered meanwhile.';
  END IF;
  v_id := public.fn_iu_webhook_id(v_event.event_seq, v_route.id, 0, v_event.id);
  PERFORM FROM public.iu_route_position WHERE route_code = p_route_code FOR NO KEY UPDATE;
  SELECT * INTO v_at FROM public.v_iu_route_position WHERE route_code = p_route_code;
  v_state := CASE
    WHEN EXISTS (SELECT FROM public.iu_route_lease l WHERE l.route_code = p_route_code AND p_event_ref = ANY (l.event_ids))
      OR EXISTS (SELECT FROM public.iu_route_retry t WHERE t.route_code = p_route_code AND t.event_id = p_event_ref)
      OR (v_event.event_seq > v_at.floor_seq AND NOT pg_visible_in_snapshot(v_event.emitted_xid, v_at.seen)
          AND NOT (v_at.window_end IS NOT NULL AND v_event.event_seq <= v_at.window_seq
                   AND pg_visible_in_snapshot(v_event.emitted_xid, v_at.window_end))) THEN 'already_queued'
    WHEN EXISTS (SELECT FROM public.iu_route_attempt a WHERE a.idempotency_key = v_id AND a.status <> 'dry_run') THEN 'already_attempted'
    ELSE 'handed_over' END;
  IF v_state = 'handed_over' THEN
    INSERT INTO public.iu_route_retry (route_code, event_id, event_seq, due_at, reason)
      VALUES (p_route_code, p_event_ref, v_event.event_seq, clock_timestamp(), 'deliver')
      ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
      v_state := 'already_queued';	-- by another, a moment ago, where there is no position yet to lock
    END IF;
    PERFORM iu_core.wake();
  END IF;
  RETURN jsonb_build_object('status', v_state, 'route_code', p_route_code, 'event_ref', p_event_ref, 'webhook_id', v_id,
    'held', public.fn_iu_route_refusal(p_route_code));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_deliver(text, uuid, jsonb) IS
  'Hands one event to the sender for one route. Refuses, in this order: SQLSTATE 42501: delivery gate closed, route not registered, route not on the allowlist; 0A000: a target that is not carried, whose function is not registered or whose origin is not allowed; then P0002 unknown event, 23514 another type or payload, or one that breaks the contract, 42501 restricted payload, 25000 another isolation level than READ COMMITTED. Returns {status: handed_over | already_queued | already_attempted, route_code, event_ref, webhook_id, held}. (seed 4 A3; design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_circuit_close(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_was public.iu_route_circuit;
BEGIN
  IF NOT EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code) THEN
    RAISE EXCEPTION 'route "%" is not registered', coalesce(p_route_code, '') USING ERRCODE = 'undefined_object';
  END IF;
  DELETE FROM public.iu_route_circuit WHERE route_code = p_route_code RETURNING * INTO v_was;
  PERFORM public.fn_iu_route_log('dot_iu_route_circuit_close', p_route_code, p_actor, p_reason,
    jsonb_build_object('previous', coalesce(v_was.state, 'closed'), 'failures', coalesce(v_was.failures, 0)));
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', CASE WHEN v_was.state <> 'closed' THEN 'closed' ELSE 'unchanged' END, 'route_code', p_route_code,
    'previous', coalesce(v_was.state, 'closed'), 'failures', coalesce(v_was.failures, 0));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_circuit_close(text, text, text) IS
  'Closes the circuit of a route now, forgets its failures and logs it: what waited goes out. Returns {status: closed | unchanged, route_code, previous, failures}. SQLSTATE 42704: not registered; 23514: actor or reason missing. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_retry_now(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_retries bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code AND retired_at IS NULL) THEN
    RAISE EXCEPTION 'route "%" is not registered, or retired', coalesce(p_route_code, '') USING ERRCODE = 'undefined_object';
  END IF;
  UPDATE public.iu_route_retry SET due_at = clock_timestamp()
   WHERE route_code = p_route_code AND due_at > clock_timestamp() AND due_at < 'infinity' AND reason NOT IN ('replay', 'address_refused');
  GET DIAGNOSTICS v_retries = ROW_COUNT;
  PERFORM public.fn_iu_route_log('dot_iu_route_retry_now', p_route_code, p_actor, p_reason, jsonb_build_object('retries', v_retries));
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', CASE WHEN v_retries > 0 THEN 'due' ELSE 'unchanged' END, 'route_code', p_route_code,
    'retries', v_retries, 'held', public.fn_iu_route_refusal(p_route_code));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_retry_now(text, text, text) IS
  'Makes due now what waits for its next attempt on a route, and logs it: for a receiver that was mended. An attempt counts like any other; an open circuit stays open (fn_iu_route_circuit_close), replays keep the rate they were asked for. Returns {status: due | unchanged, route_code, retries: how many, held: what still stops them, as in fn_iu_route_refusal}. SQLSTATE 42704: not registered or retired; 23514: actor or reason missing. (design: Events and delivery)';

-- Looking at it --------------------------------------------------------------

-- One look at what is ahead of any route, however many there are and whatever
-- was delivered before: the settings keep the plan to that.
CREATE FUNCTION public.fn_iu_route_waiting() RETURNS TABLE (route_code text, waiting bigint, oldest timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_nestloop = off SET jit = off
AS $function$
  WITH route AS MATERIALIZED (
    SELECT p.*, r.event_domain, r.event_type
      FROM public.v_iu_route_position p JOIN public.iu_outbound_route r ON r.route_code = p.route_code WHERE r.retired_at IS NULL
  )
  SELECT p.route_code, count(*), min(e.created_at)
    FROM public.event_outbox e JOIN route p ON p.event_domain = e.event_domain AND p.event_type = e.event_type
   WHERE e.emitted_xid >= (SELECT pg_snapshot_xmin(x.seen) FROM route x ORDER BY 1 LIMIT 1)
     AND e.emitted_xid >= pg_snapshot_xmin(p.seen) AND NOT pg_visible_in_snapshot(e.emitted_xid, p.seen)
     AND e.event_seq > p.floor_seq AND e.payload_classification = 'safe_metadata'
     AND (p.window_end IS NULL OR e.event_seq > p.window_seq OR NOT pg_visible_in_snapshot(e.emitted_xid, p.window_end))
   GROUP BY p.route_code
$function$;
COMMENT ON FUNCTION public.fn_iu_route_waiting() IS
  'Of each armed route that is not retired and has any: the events ahead of its position, and when the oldest was created. Reads what is ahead, not what was delivered. (facts-events 2.8)';

CREATE VIEW public.v_iu_event_backlog AS
  SELECT r.route_code, r.event_domain, r.event_type, coalesce(w.waiting, 0) AS waiting, coalesce(t.retrying, 0) AS retrying,
         coalesce(l.leased, 0) AS leased, least(w.oldest, t.oldest_replay, f.created_at) AS oldest_at, t.next_due_at,
         public.fn_iu_delivery_refusal(r.route_code) AS refusal, least(w.oldest, t.oldest_due, l.oldest_end) AS oldest_due_at
    FROM public.iu_outbound_route r
    LEFT JOIN public.v_iu_route_position p ON p.route_code = r.route_code
    LEFT JOIN public.fn_iu_route_waiting() AS w ON w.route_code = r.route_code
    LEFT JOIN LATERAL (
      SELECT count(*) AS retrying, min(x.event_seq) FILTER (WHERE x.replay_number = 0) AS first_seq,
             min(x.created_at) FILTER (WHERE x.replay_number > 0) AS oldest_replay, min(x.due_at) FILTER (WHERE x.due_at < 'infinity') AS next_due_at,
             min(x.due_at) FILTER (WHERE x.due_at <= clock_timestamp()) AS oldest_due
        FROM public.iu_route_retry x WHERE x.route_code = r.route_code) AS t ON true
    LEFT JOIN public.event_outbox f ON f.event_domain = r.event_domain AND f.event_type = r.event_type AND f.event_seq = t.first_seq
    LEFT JOIN LATERAL (
      SELECT sum(x.item_count) AS leased, min(x.expires_at) FILTER (WHERE x.expires_at <= clock_timestamp()) AS oldest_end
        FROM public.iu_route_lease x
       WHERE x.route_code = r.route_code AND x.lease_id >= p.lease_low) AS l ON true
   WHERE r.retired_at IS NULL;
COMMENT ON VIEW public.v_iu_event_backlog IS
  'One row a route: events ahead of its position (none before it is armed), deliveries to be tried again or waiting for another of their subject, deliveries with a sender, since when the oldest waits (its event was created; a replay was asked for), when the next is due, the code of what holds it, and since when something has been due. (facts-events 2.8)';

CREATE VIEW public.v_iu_route_held AS
  SELECT b.route_code, f.refusal ->> 'code' AS code, f.refusal ->> 'sentence' AS sentence,
         f.refusal ->> 'next_action' AS next_action, b.waiting + b.retrying + b.leased AS held, b.oldest_at
    FROM public.v_iu_event_backlog b
    CROSS JOIN LATERAL (SELECT public.fn_iu_route_refusal(b.route_code) AS refusal) AS f
   WHERE b.refusal IS NOT NULL AND b.waiting + b.retrying + b.leased > 0
  UNION ALL
  SELECT t.route_code, f.refusal ->> 'code', f.refusal ->> 'sentence', f.refusal ->> 'next_action', t.held, e.created_at
    FROM (SELECT x.route_code, count(*) AS held, min(x.event_seq) AS first_seq, max(x.detail) AS detail
            FROM public.iu_route_retry x WHERE x.reason = 'address_refused' GROUP BY x.route_code) AS t
    JOIN public.iu_outbound_route r ON r.route_code = t.route_code
    JOIN public.event_outbox e ON e.event_domain = r.event_domain AND e.event_type = r.event_type AND e.event_seq = t.first_seq
    CROSS JOIN LATERAL (SELECT public.fn_iu_route_address_refusal(t.detail) AS refusal) AS f
   WHERE public.fn_iu_delivery_refusal(t.route_code) IS NULL;
COMMENT ON VIEW public.v_iu_route_held IS
  'Routes whose deliveries are held: why, what to do, how many, the oldest. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_explain(p_route_code text, p_event_id uuid) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route   public.iu_outbound_route;
  v_event   public.event_outbox;
  v_at      public.v_iu_route_position;
  v_retry   public.iu_route_retry;
  v_lease   public.iu_route_lease;
  v_attempt public.iu_route_attempt;
  v_letter  public.iu_route_dead_letter;
  v_refusal jsonb := public.fn_iu_route_refusal(p_route_code);
  v_broken  text;
  v_prefix  text;
  v_answer  jsonb;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  SELECT * INTO v_event FROM public.event_outbox WHERE id = p_event_id;
  SELECT * INTO v_at FROM public.v_iu_route_position WHERE route_code = p_route_code;
  SELECT * INTO v_lease FROM public.iu_route_lease l WHERE l.route_code = p_route_code AND p_event_id = ANY (l.event_ids) LIMIT 1;
  SELECT * INTO v_retry FROM public.iu_route_retry t WHERE t.route_code = p_route_code AND t.event_id = p_event_id
    ORDER BY t.replay_number DESC LIMIT 1;
  v_broken := public.fn_iu_payload_problem(v_route.payload_contract, v_event.safe_payload);
  v_prefix := 'msg_' || v_event.event_seq || '_' || v_route.id || '_';
  SELECT * INTO v_attempt FROM public.iu_route_attempt a
   WHERE a.idempotency_key >= v_prefix AND a.idempotency_key < v_prefix || 'a' AND a.status <> 'dry_run'
   ORDER BY a.replay_number DESC, a.attempt_no DESC LIMIT 1;
  SELECT * INTO v_letter FROM public.iu_route_dead_letter d
   WHERE d.idempotency_key >= v_prefix AND d.idempotency_key < v_prefix || 'a' AND d.replay_number >= coalesce(v_attempt.replay_number, 0)
   ORDER BY d.replay_number DESC LIMIT 1;

  v_answer := CASE
    WHEN v_event.id IS NULL THEN jsonb_build_object('code', 'event_unknown', 'sentence', 'the event is not in the outbox',
      'next_action', 'an emitter returns NULL while the master switch is off and for an unknown or inactive type')
    WHEN v_route.id IS NULL THEN jsonb_build_object('code', 'route_unknown', 'sentence', 'the route is not registered',
      'next_action', 'register it with fn_iu_route_add')
    WHEN (v_event.event_domain, v_event.event_type) <> (v_route.event_domain, v_route.event_type) THEN
      jsonb_build_object('code', 'event_not_on_route', 'sentence', format('the route carries %s.%s, the event is %s.%s',
        v_route.event_domain, v_route.event_type, v_event.event_domain, v_event.event_type))
    WHEN v_lease.lease_id IS NOT NULL AND v_refusal IS NULL THEN jsonb_build_object('code', 'in_flight',
      'sentence', format('%s holds it since %s', v_lease.sender, v_lease.claimed_at), 'lease_expires_at', v_lease.expires_at)
    WHEN v_lease.lease_id IS NULL AND v_retry.event_id IS NULL AND v_attempt.status = 'sent' THEN jsonb_build_object('code', 'delivered',
      'sentence', format('it was delivered at %s, attempt %s', v_attempt.recorded_at, v_attempt.attempt_no))
    WHEN v_lease.lease_id IS NULL AND v_retry.event_id IS NULL AND v_letter.resolved_at IS NOT NULL THEN jsonb_build_object('code', 'resolved',
      'sentence', format('it was given up, and resolved by %s: %s', v_letter.resolved_by, v_letter.resolution))
    WHEN v_lease.lease_id IS NULL AND v_retry.event_id IS NULL AND coalesce(v_attempt.id::text, v_letter.id::text) IS NOT NULL THEN jsonb_build_object(
      'code', 'dead_letter',
      'sentence', CASE WHEN v_letter.attempts = 0 THEN format('it was given up before its first attempt: %s', v_letter.failure_code)
                       ELSE format('it was given up after attempt %s: %s', coalesce(v_letter.attempts, v_attempt.attempt_no), coalesce(v_letter.failure_code, v_attempt.failure_code)) END,
      'next_action', CASE WHEN v_route.retired_at IS NOT NULL THEN format('SELECT fn_iu_route_dead_letter_resolve(%L, session_user, ''reason'')', v_letter.id)
                          ELSE format('SELECT fn_iu_route_dead_letter_replay(%1$L, session_user, ''reason''), or without sending it: SELECT fn_iu_route_dead_letter_resolve(%1$L, session_user, ''reason'')', v_letter.id) END)
    WHEN v_event.payload_classification <> 'safe_metadata' THEN jsonb_build_object('code', 'payload_restricted',
      'sentence', 'a restricted event does not leave the server')
    WHEN v_broken IS NOT NULL THEN jsonb_build_object('code', 'contract',
      'sentence', format('the payload breaks the contract of the route: %s', v_broken),
      'next_action', 'it is not sent; the next claim that comes to it makes it a dead letter')
    WHEN v_lease.lease_id IS NULL AND v_retry.event_id IS NULL AND v_at.route_code IS NOT NULL
         AND v_refusal ->> 'code' IS DISTINCT FROM 'position_foreign'
         AND (v_event.event_seq <= v_at.floor_seq OR pg_visible_in_snapshot(v_event.emitted_xid, v_at.seen)) THEN
      jsonb_build_object('code', 'before_start', 'sentence', 'it was committed before the route was armed',
        'next_action', format('SELECT fn_iu_route_deliver(%L, %L)', p_route_code, p_event_id))
    WHEN v_refusal IS NOT NULL THEN v_refusal
    WHEN v_retry.due_at = 'infinity' THEN jsonb_build_object('code', 'waiting_subject',
      'sentence', 'the route keeps the order of a subject, and an earlier delivery of this one is not finished',
      'behind', public.fn_iu_order_head(p_route_code, v_retry.subject))
    WHEN v_retry.due_at > clock_timestamp() AND v_retry.reason = 'address_refused' THEN public.fn_iu_route_address_refusal(v_retry.detail)
      || jsonb_build_object('due_at', v_retry.due_at)
    WHEN v_retry.due_at > clock_timestamp() THEN jsonb_build_object('code', 'waiting_retry',
      'sentence', format('attempt %s is due at %s, after %s', v_retry.attempt_no, v_retry.due_at, v_retry.reason), 'due_at', v_retry.due_at,
      'next_action', format('nothing; at once: SELECT fn_iu_route_retry_now(%L, session_user, ''reason'')', p_route_code))
    ELSE jsonb_build_object('code', 'due', 'sentence', 'nothing stops it: the next claim takes it',
      'next_action', 'see iu_core.worker_status if no sender runs') END;
  RETURN jsonb_build_object('route_code', p_route_code, 'event_id', p_event_id) || v_answer
    || jsonb_strip_nulls(jsonb_build_object('attempts', v_attempt.attempt_no, 'last_failure', v_attempt.failure_code,
         'last_failure_detail', v_attempt.failure_detail, 'last_http_status', v_attempt.http_status,
         'last_response', v_attempt.response_excerpt, 'webhook_id', v_attempt.idempotency_key));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_explain(text, uuid) IS
  'Why did, or would, this event not go out on this route? {route_code, event_id, code, sentence, next_action, ...}: the first refusal as in fn_iu_delivery_refusal, or event_unknown, event_not_on_route, in_flight, delivered, dead_letter, resolved, payload_restricted, contract, before_start, address_refused, waiting_subject (behind: the event whose end it waits for), waiting_retry, due. Of the last attempt, where there was one: attempts, last_failure, last_failure_detail, last_http_status, last_response (the start of the answer), webhook_id. next_action as in fn_iu_route_refusal. (design: Events and delivery)';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_arm',              'health', true, true,  ARRAY['fn_iu_route_arm']),
  ('dot_iu_route_confirm_position', 'health', true, false, ARRAY['fn_iu_route_confirm_position']),
  ('dot_iu_route_circuit_close',    'health', true, false, ARRAY['fn_iu_route_circuit_close']),
  ('dot_iu_route_retry_now',        'health', true, false, ARRAY['fn_iu_route_retry_now']);

-- Privileges, registration, post-check ---------------------------------------

GRANT SELECT ON public.v_iu_event_backlog, public.v_iu_route_held TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_route_refusal(text), public.fn_iu_route_address_refusal(text), public.fn_iu_route_waiting(),
  public.fn_iu_route_explain(text, uuid) TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_route_arm(text, text, text, timestamptz, interval),
  public.fn_iu_route_confirm_position(text, text, text), public.fn_iu_route_deliver(text, uuid, jsonb),
  public.fn_iu_route_circuit_close(text, text, text), public.fn_iu_route_retry_now(text, text, text) TO iu_core_operator;

SELECT public.fn_iu_govern(7, 'view', 'v_iu_event_backlog', 'v_iu_route_held');
SELECT public.fn_iu_govern(7, 'function', 'fn_iu_route_refusal(text)', 'fn_iu_route_abandon(text)', 'fn_iu_route_address_refusal(text)', 'fn_iu_route_owed(text,timestamp with time zone,pg_snapshot)', 'fn_iu_route_restep(text,pg_snapshot)', 'fn_iu_route_waiting()',
  'fn_iu_route_arm(text,text,text,timestamp with time zone,interval)', 'fn_iu_route_confirm_position(text,text,text)',
  'fn_iu_route_deliver(text,uuid,jsonb)', 'fn_iu_route_explain(text,uuid)', 'fn_iu_route_circuit_close(text,text,text)',
  'fn_iu_route_retry_now(text,text,text)');

SELECT public.fn_iu_conformance_require(7);
