-- Replays of dead letters. Actor and reason are asked for by the log, which comes
-- last in each command.

CREATE FUNCTION iu.fn_iu_route_dead_letter_log(
    p_command text, p_letter public.iu_route_dead_letter, p_id uuid, p_actor text, p_reason text, p_result jsonb)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_dot_iu_command_note(p_command, 'route_code', p_letter.route_code,
    CASE WHEN p_result ->> 'status' IN ('replayed', 'resolved') THEN 'applied'
         WHEN p_result ->> 'status' = 'failed' THEN 'failed' ELSE 'refused' END,
    p_actor, p_reason, jsonb_build_object('dead_letter_id', p_id) || p_result);
  RETURN jsonb_build_object('dead_letter_id', p_id) || p_result;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_dead_letter_log IS
  'For the commands on one dead letter: logs the result, applied, failed (a dry run that raised) or refused, and '
  'returns it with the id. SQLSTATE 23514 without actor or reason.';

CREATE FUNCTION iu.fn_iu_route_dead_letter_hand_over(
    p_letter public.iu_route_dead_letter, p_actor text, p_reason text, p_due_at timestamptz)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route  public.iu_outbound_route;
  v_event  public.event_outbox := jsonb_populate_record(NULL::public.event_outbox, p_letter.event_snapshot);
  v_next   record;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_letter.route_code;
  IF p_letter.id IS NULL THEN
    RETURN '{"status": "dead_letter_not_found", "resolved": false, "message": "there is no such dead letter"}';
  ELSIF p_letter.replayed_as IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'already_replayed', 'resolved', true, 'replay_number', p_letter.replayed_as,
      'webhook_id', iu.fn_iu_webhook_id(v_event.event_seq, v_route.id, p_letter.replayed_as, v_event.id),
      'message', format('it was replayed at %s by %s; if that failed too, replay the dead letter of replay %s',
        p_letter.resolved_at, p_letter.resolved_by, p_letter.replayed_as));
  ELSIF p_letter.resolved_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'already_resolved', 'resolved', true,
      'message', format('it was resolved at %s by %s: %s', p_letter.resolved_at, p_letter.resolved_by,
                        p_letter.resolution));
  ELSIF v_route.id IS NULL THEN
    RETURN jsonb_build_object('status', 'skipped', 'decision', 'route_unknown', 'resolved', false,
      'message', format('route "%s" is not registered', p_letter.route_code));
  ELSIF v_route.retired_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'route_retired', 'resolved', false,
      'message', format('route "%s" is retired: resolve the dead letter with fn_iu_route_dead_letter_resolve',
                        p_letter.route_code));
  ELSIF v_route.dry_run THEN
    BEGIN
      PERFORM iu.fn_iu_delivery_dry_run(v_route, v_event, p_letter.replay_number, p_letter.attempts + 1);
    EXCEPTION WHEN OTHERS THEN
      RETURN jsonb_build_object('status', 'failed', 'decision', 'dry_run', 'resolved', false,
        'message', SQLERRM, 'sqlstate', SQLSTATE);
    END;
    UPDATE public.iu_route_dead_letter
       SET resolved_at = clock_timestamp(), resolved_by = coalesce(p_actor, ''),
           resolution = concat('dry run: ', p_reason)
     WHERE id = p_letter.id;
    RETURN jsonb_build_object('status', 'replayed', 'decision', 'dry_run', 'resolved', true,
      'attempt_no', p_letter.attempts + 1, 'replay_number', p_letter.replay_number);
  ELSIF NOT EXISTS (SELECT FROM public.event_outbox e WHERE e.id = p_letter.event_ref) THEN
    RETURN jsonb_build_object('status', 'event_gone', 'resolved', false,
      'message', 'the event is not in the outbox any more; what it was is in event_snapshot');
  END IF;

  PERFORM iu.fn_iu_require_read_committed('a replay', 'would not see which replay numbers are taken');
  v_next := iu.fn_iu_route_replay_put(v_route, p_letter.event_ref, v_event.event_seq, p_due_at,
    p_letter.replay_number + 1);
  PERFORM iu.fn_iu_route_repeat_note(v_next.webhook_id, p_letter.route_code, p_letter.event_ref,
    p_letter.idempotency_key, p_actor, p_reason);
  UPDATE public.iu_route_dead_letter
     SET resolved_at = clock_timestamp(), resolved_by = coalesce(p_actor, ''),
         resolution = concat('replayed: ', p_reason), replayed_as = v_next.p_replay
   WHERE id = p_letter.id;
  RETURN jsonb_build_object('status', 'replayed', 'decision', 'handed_over', 'resolved', true, 'attempt_no', 1,
    'replay_number', v_next.p_replay, 'webhook_id', v_next.webhook_id, 'due_at', p_due_at + iu_core.clock_moved());
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_dead_letter_hand_over IS
  'For the replays: what becomes of one dead letter, which the caller has locked: see '
  'fn_iu_route_dead_letter_replay.';

CREATE FUNCTION iu.fn_iu_route_dead_letter_replay(
    p_dead_letter_id uuid, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_letter public.iu_route_dead_letter;
  v_result jsonb := jsonb_build_object('status', 'master_gate_closed', 'resolved', false,
    'message', iu.fn_iu_delivery_answer('master_gate_closed', '{}') ->> 'sentence');
BEGIN
  SELECT * INTO v_letter FROM public.iu_route_dead_letter WHERE id = p_dead_letter_id FOR UPDATE;
  IF iu.fn_iu_core_routes_enabled() THEN
    v_result := iu.fn_iu_route_dead_letter_hand_over(v_letter, p_actor, p_reason, iu_core.steady_clock());
    IF v_result ->> 'decision' = 'handed_over' THEN
      v_result := v_result || jsonb_build_object('held', iu.fn_iu_route_refusal(v_letter.route_code));
      PERFORM iu_core.wake();
    END IF;
  END IF;
  RETURN iu.fn_iu_route_dead_letter_log('dot_iu_route_dead_letter_replay', v_letter, p_dead_letter_id, p_actor,
    p_reason, v_result);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_dead_letter_replay IS
  'What public.fn_iu_route_dead_letter_replay hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_dead_letter_replay(
    p_dead_letter_id uuid, p_actor text DEFAULT session_user, p_reason text DEFAULT 'replay')
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_dead_letter_replay(p_dead_letter_id, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_dead_letter_replay IS
  'Sends a dead letter again, as a delivery of its own with the next replay number and another webhook-id: which, '
  'who (the login role unless told otherwise), why. Only the master switch stops it; what stops the route holds '
  'the replay. Returns {dead_letter_id, status, decision, resolved, attempt_no, replay_number, webhook_id, '
  'due_at, held, message}. status: replayed (decision: handed_over, or dry_run where the route is one, which '
  'records what would be sent and resolves the letter), skipped (the route is not registered), failed (the dry '
  'run raised); refused, with a message: master_gate_closed, dead_letter_not_found, already_replayed (with what '
  'it was replayed as), already_resolved, route_retired, event_gone. Every call is logged: applied, failed or, '
  'like skipped, refused. SQLSTATE 23514: actor or reason empty; 25000 outside of READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_route_dead_letter_chosen(
    p_route_code text, p_failure_code text, p_from timestamptz, p_until timestamptz)
  RETURNS SETOF uuid
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF num_nonnulls(p_route_code, p_failure_code, p_from, p_until) = 0 THEN
    RAISE check_violation USING
      MESSAGE = 'say which dead letters: by route, failure code or time',
      HINT = 'For all there are: p_from => ''-infinity''.', CONSTRAINT = 'iu_dead_letters_chosen';
  END IF;
  RETURN QUERY
    SELECT d.id FROM public.iu_route_dead_letter d
     WHERE d.resolved_at IS NULL
       AND (p_route_code IS NULL OR d.route_code = p_route_code)
       AND (p_failure_code IS NULL OR d.failure_code = p_failure_code)
       AND (p_from IS NULL OR d.created_at >= p_from)
       AND (p_until IS NULL OR d.created_at < p_until)
     ORDER BY d.created_at, d.id;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_dead_letter_chosen IS
  'The open dead letters of a route, with a failure code, given up from a time until before another, the oldest '
  'first; NULL: any. SQLSTATE 23514 where all four are NULL.';

CREATE FUNCTION iu.fn_iu_route_dead_letter_filter(
    p_route_code text, p_failure_code text, p_from timestamptz, p_until timestamptz, p_limit integer)
  RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN jsonb_strip_nulls(jsonb_build_object('route_code', p_route_code, 'failure_code', p_failure_code,
  'from', p_from, 'until', p_until, 'limit', p_limit));
COMMENT ON FUNCTION iu.fn_iu_route_dead_letter_filter IS
  'For the log: which dead letters were chosen, without what was left out.';

CREATE FUNCTION iu.fn_iu_route_dead_letter_replay_many(
    p_actor text, p_reason text, p_route_code text, p_failure_code text,
    p_from timestamptz, p_until timestamptz, p_per_second numeric, p_limit integer)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_ids    uuid[] := ARRAY(SELECT c FROM iu.fn_iu_route_dead_letter_chosen(p_route_code, p_failure_code, p_from,
                                                                           p_until) c);
  v_start  constant timestamptz := iu_core.steady_clock();
  v_next   jsonb := '{}';  -- of each route, when its next replay may be due
  v_due    timestamptz;
  v_first  timestamptz;
  v_last   timestamptz;
  v_counts jsonb := '{}';
  v_letter public.iu_route_dead_letter;
  v_one    jsonb;
  v_result jsonb;
BEGIN
  PERFORM iu.fn_iu_require_value(p_per_second BETWEEN 0.001 AND 10000, 'iu_dead_letters_rate', 'p_per_second',
    'from 0.001 to 10000', p_per_second::text);
  PERFORM iu.fn_iu_require_value(p_limit BETWEEN 1 AND 100000, 'iu_dead_letters_limit', 'p_limit',
    'from 1 to 100000', p_limit::text);
  v_result := jsonb_build_object('matched', cardinality(v_ids), 'replayed', 0, 'per_second', p_per_second);
  IF NOT iu.fn_iu_core_routes_enabled() THEN
    v_result := v_result || jsonb_build_object('status', 'master_gate_closed',
      'message', iu.fn_iu_delivery_answer('master_gate_closed', '{}') ->> 'sentence');
  ELSE
    -- The limit counts what is replayed: letters that cannot be, however many and old, keep no other one back.
    FOR v_letter IN
      SELECT d.* FROM public.iu_route_dead_letter d
       WHERE d.id = ANY (v_ids) AND d.resolved_at IS NULL
       ORDER BY d.created_at, d.id FOR UPDATE SKIP LOCKED
    LOOP
      EXIT WHEN coalesce((v_counts -> 'replayed')::integer, 0) >= p_limit;
      -- After what an earlier call has spread out on the same route.
      v_due := coalesce((v_next ->> v_letter.route_code)::timestamptz,
        (SELECT max(t.due_at) + make_interval(secs => 1.0 / p_per_second) FROM public.iu_route_retry t
          WHERE t.route_code = v_letter.route_code AND t.reason = 'replay' AND t.due_at > v_start),
        v_start);
      v_one := iu.fn_iu_route_dead_letter_hand_over(v_letter, p_actor, p_reason, v_due);
      v_counts := v_counts || jsonb_build_object(v_one ->> 'status',
        coalesce((v_counts ->> (v_one ->> 'status'))::integer, 0) + 1);
      IF v_one ->> 'decision' = 'handed_over' THEN
        v_next := v_next
          || jsonb_build_object(v_letter.route_code, v_due + make_interval(secs => 1.0 / p_per_second));
        v_first := least(v_first, v_due);
        v_last := greatest(v_last, v_due);
      END IF;
    END LOOP;
    IF v_first IS NOT NULL THEN
      PERFORM iu_core.wake();
    END IF;
    v_result := v_result || jsonb_build_object('status', 'ran',
      'replayed', coalesce((v_counts -> 'replayed')::integer, 0), 'refused', v_counts - 'replayed',
      'first_due_at', v_first + iu_core.clock_moved(), 'last_due_at', v_last + iu_core.clock_moved(), 'remaining',
      (SELECT count(*) FROM iu.fn_iu_route_dead_letter_chosen(p_route_code, p_failure_code, p_from, p_until)));
  END IF;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_dead_letter_replay', 'route_code', p_route_code,
    CASE WHEN v_result ->> 'status' = 'ran' AND (v_counts ? 'replayed' OR v_counts = '{}') THEN 'applied'
         ELSE 'refused' END,
    p_actor, p_reason, v_result || jsonb_build_object('filter',
      iu.fn_iu_route_dead_letter_filter(p_route_code, p_failure_code, p_from, p_until, p_limit)));
  RETURN v_result;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_dead_letter_replay_many IS
  'What public.fn_iu_route_dead_letter_replay_many hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_dead_letter_replay_many(
    p_actor text, p_reason text, p_route_code text DEFAULT NULL, p_failure_code text DEFAULT NULL,
    p_from timestamptz DEFAULT NULL, p_until timestamptz DEFAULT NULL, p_per_second numeric DEFAULT 10,
    p_limit integer DEFAULT 10000)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_dead_letter_replay_many(p_actor, p_reason, p_route_code, p_failure_code, p_from, p_until,
    p_per_second, p_limit) END;
COMMENT ON FUNCTION public.fn_iu_route_dead_letter_replay_many IS
  'Replays open dead letters: who, why, and which, by route, failure code, and when they were given up (from, '
  'until before); at least one of the four. p_per_second (0.001 to 10000) deliveries of each route fall due, '
  'after those of an earlier call; at most p_limit (1 to 100000) are replayed, the oldest first; those that cannot be '
  'are passed over and do not count. Returns {status: ran | '
  'master_gate_closed, matched, replayed, refused (statuses of fn_iu_route_dead_letter_replay with their number), '
  'per_second, first_due_at, last_due_at, remaining (still open)}. A second call finds nothing left. Logged: '
  'refused where the switch is off or none of those chosen could be replayed, otherwise applied. SQLSTATE 23514: '
  'no filter, rate or limit out of range, actor or reason empty; 25000 outside of READ COMMITTED.';
