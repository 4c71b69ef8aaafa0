-- Sending again what was sent: by event, by a filter over the payload, since a time.

CREATE FUNCTION iu.fn_iu_route_again_check(
    p_route public.iu_outbound_route, p_event_ids uuid[], p_filter text, p_since timestamptz, p_until timestamptz,
    p_per_second numeric, p_limit integer)
  RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem constant text := iu.fn_iu_route_filter_problem(p_filter);
BEGIN
  IF p_route.dry_run THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('route "%s" is a dry run: nothing was sent on it that could be sent again', p_route.route_code),
      DETAIL = format('Route: %s.', p_route.route_code),
      HINT = 'Arm it with fn_iu_route_arm first.', CONSTRAINT = 'iu_again_dry_run';
  ELSIF num_nonnulls(p_event_ids, p_filter, p_since, p_until) = 0 THEN
    RAISE check_violation USING
      MESSAGE = 'say what is to be sent again: by event, filter or time',
      DETAIL = 'p_event_ids, p_filter, p_since and p_until are all NULL.', CONSTRAINT = 'iu_again_chosen';
  ELSIF v_problem IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = 'what is to be sent again cannot be chosen: ' || v_problem,
      DETAIL = format('Problem: %s.', v_problem), CONSTRAINT = 'iu_again_filter';
  END IF;
  PERFORM iu.fn_iu_require_value(p_per_second BETWEEN 0.001 AND 10000, 'iu_again_rate', 'p_per_second',
    'from 0.001 to 10000', p_per_second::text);
  PERFORM iu.fn_iu_require_value(p_limit BETWEEN 1 AND 100000, 'iu_again_limit', 'p_limit',
    'from 1 to 100000', p_limit::text);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_again_check IS
  'For fn_iu_route_send_again, with its arguments: SQLSTATE 55000 for a dry run, 23514 where nothing is chosen, or a '
  'filter, a rate or a limit is none.';

CREATE FUNCTION iu.fn_iu_route_again_chosen(
    p_route_code text, p_event_ids uuid[], p_filter text, p_since timestamptz, p_until timestamptz)
  RETURNS TABLE (event_id uuid, event_seq bigint, webhook_id text, replay_number integer, under_way boolean)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN QUERY
    SELECT e.id, e.event_seq, s.idempotency_key, s.replay_number,
           EXISTS (SELECT FROM public.iu_route_retry t WHERE t.route_code = p_route_code AND t.event_id = e.id)
             OR EXISTS (SELECT FROM public.iu_route_lease l
                         WHERE l.route_code = p_route_code AND e.id = ANY (l.event_ids))
      FROM (SELECT DISTINCT ON (a.event_ref) a.event_ref, a.idempotency_key, a.replay_number
              FROM public.iu_route_attempt a
             WHERE a.route_code = p_route_code AND a.status = 'sent'
               AND (p_event_ids IS NULL OR a.event_ref = ANY (p_event_ids))
               AND (p_since IS NULL OR a.recorded_at >= p_since)
               AND (p_until IS NULL OR a.recorded_at < p_until)
             ORDER BY a.event_ref, a.replay_number DESC) AS s
      JOIN public.event_outbox e ON e.id = s.event_ref
     WHERE p_filter IS NULL OR (iu.fn_iu_filter_verdict(p_filter, e.safe_payload)).passes
     ORDER BY e.event_seq;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_again_chosen IS
  'What was sent on a route: these events, whose payload passes the filter, sent from a time until before another, '
  'each once, with the webhook-id and the replay number of the last that was sent, and whether another delivery of it '
  'is under way; NULL: any.';

CREATE FUNCTION iu.fn_iu_route_send_again(
    p_route_code text, p_actor text, p_reason text, p_event_ids uuid[], p_filter text, p_since timestamptz,
    p_until timestamptz, p_per_second numeric, p_limit integer)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route   public.iu_outbound_route;
  v_due     timestamptz;
  v_first   timestamptz;
  v_matched integer := 0;
  v_handed  integer := 0;
  v_busy    integer := 0;
  v_sent    record;
  v_next    record;
  v_result  jsonb := jsonb_build_object('status', 'master_gate_closed',
    'message', iu.fn_iu_delivery_answer('master_gate_closed', '{}') ->> 'sentence');
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code AND retired_at IS NULL;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_route_not_there(p_route_code);
  END IF;
  PERFORM iu.fn_iu_route_again_check(v_route, p_event_ids, p_filter, p_since, p_until, p_per_second, p_limit);
  PERFORM iu.fn_iu_require_read_committed('fn_iu_route_send_again', 'would not see which replay numbers are taken');
  IF iu.fn_iu_core_routes_enabled() THEN
    -- One call after another, so that no two choose the same number; then after what an earlier one spread out.
    PERFORM FROM public.iu_route_position WHERE route_code = p_route_code FOR NO KEY UPDATE;
    v_due := greatest(iu_core.steady_clock(), (
      SELECT max(t.due_at) + make_interval(secs => 1.0 / p_per_second) FROM public.iu_route_retry t
       WHERE t.route_code = p_route_code AND t.reason = 'replay' AND t.due_at < 'infinity'));
    FOR v_sent IN
      SELECT * FROM iu.fn_iu_route_again_chosen(p_route_code, p_event_ids, p_filter, p_since, p_until)
    LOOP
      v_matched := v_matched + 1;
      v_busy := v_busy + v_sent.under_way::integer;
      CONTINUE WHEN v_sent.under_way OR v_handed >= p_limit;
      v_next := iu.fn_iu_route_replay_put(v_route, v_sent.event_id, v_sent.event_seq, v_due, v_sent.replay_number + 1);
      PERFORM iu.fn_iu_route_repeat_note(v_next.webhook_id, p_route_code, v_sent.event_id, v_sent.webhook_id, p_actor,
        p_reason);
      v_handed := v_handed + 1;
      v_first := coalesce(v_first, v_due);
      v_due := v_due + make_interval(secs => 1.0 / p_per_second);
    END LOOP;
    IF v_handed > 0 THEN
      PERFORM iu_core.wake();
    END IF;
    v_result := jsonb_build_object('status', 'ran', 'matched', v_matched, 'handed_over', v_handed, 'under_way', v_busy,
      'left', v_matched - v_handed - v_busy, 'first_due_at', v_first + iu_core.clock_moved(),
      'last_due_at', CASE WHEN v_handed > 0 THEN v_due - make_interval(secs => 1.0 / p_per_second)
                                                 + iu_core.clock_moved() END,
      'held', iu.fn_iu_route_refusal(p_route_code));
  END IF;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_send_again', 'route_code', p_route_code,
    CASE v_result ->> 'status' WHEN 'ran' THEN 'applied' ELSE 'refused' END, p_actor, p_reason,
    v_result || jsonb_strip_nulls(jsonb_build_object('events', cardinality(p_event_ids), 'filter', p_filter,
      'since', p_since, 'until', p_until, 'per_second', p_per_second, 'limit', p_limit)));
  RETURN v_result;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_send_again IS
  'What public.fn_iu_route_send_again hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_send_again(
    p_route_code text, p_actor text, p_reason text, p_event_ids uuid[] DEFAULT NULL, p_filter text DEFAULT NULL,
    p_since timestamptz DEFAULT NULL, p_until timestamptz DEFAULT NULL, p_per_second numeric DEFAULT 10,
    p_limit integer DEFAULT 10000)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_send_again(p_route_code, p_actor, p_reason, p_event_ids, p_filter, p_since, p_until, p_per_second,
    p_limit) END;
COMMENT ON FUNCTION public.fn_iu_route_send_again IS
  'Sends again what was sent on a route, for a receiver that has lost it: which route, who, why, and what: events by '
  'their id, those whose payload passes a filter (as fn_iu_route_filter_problem has it), what was sent from a time '
  'until before another; at least one of the four, and all that are given hold. Each is a delivery of its own, with '
  'the '
  'next replay number and another webhook-id; iu_route_repeat says what it repeats. p_per_second (0.001 to 10000) fall '
  'due in a second, after those of an earlier call; at most p_limit (1 to 100000), in the order of the events. Returns '
  '{status: ran | master_gate_closed, matched, handed_over, under_way (another delivery of it is), left (beyond the '
  'limit), first_due_at, last_due_at, held}. A second call sends them once more. SQLSTATE 42704: not registered or '
  'retired; 55000: a dry run; 23514: nothing chosen, filter, rate, limit, actor or reason; 25000 outside of READ '
  'COMMITTED.';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_send_again', 'health', true, false, ARRAY['fn_iu_route_send_again']);
