-- What the runner (bgworker/runner.c) calls: claim, call, and when to come back. It
-- is here and not in 006, because only registered functions are claimed. It records
-- with fn_iu_delivery_record_batch, as the senders do.

CREATE FUNCTION iu.fn_iu_function_waits(p_route_code text) RETURNS boolean
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM public.iu_route_hung h
                WHERE h.route_code = p_route_code AND iu.fn_iu_route_hung_holds(h.hold_until))
  OR EXISTS (SELECT FROM public.iu_route_lease l
              WHERE l.route_code = p_route_code AND l.backend_pid = pg_backend_pid()
                AND l.expires_at > iu_core.steady_clock()
                AND l.lease_id >= (SELECT p.lease_low FROM public.v_iu_route_position p
                                    WHERE p.route_code = p_route_code));
COMMENT ON FUNCTION iu.fn_iu_function_waits IS
  'For the runner: whether nothing more is to be claimed of a route now: its function did not end a short time ago, '
  'or the session holds deliveries of it, which it has put aside. Raises nothing.';

CREATE FUNCTION iu.fn_iu_function_claim(p_sender text, p_max integer)
  RETURNS TABLE (lease_id bigint, lease_generation integer, event_id uuid, replay_number integer, attempt_no integer,
    timeout_ms integer)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
  v_routes text[];
  v_route  text;
  v_share  integer;
  v_most   integer;
  v_taken  bigint[];
  v_leases bigint[] := '{}';
BEGIN
  IF coalesce(btrim(p_sender), '') = '' OR p_max IS NULL OR p_max < 1 THEN
    RAISE check_violation USING
      MESSAGE = 'a claim names its sender and asks for at least one delivery',
      DETAIL = format('p_sender is %s, p_max %s.', quote_nullable(p_sender), coalesce(p_max::text, 'NULL')),
      CONSTRAINT = 'iu_delivery_claim';
  END IF;
  -- A route of which this session holds something, which it has put aside, gets nothing more until that is done.
  v_routes := ARRAY(SELECT r.route_code FROM public.iu_outbound_route r
                     WHERE r.target_kind = 'sql_function' AND r.enabled AND NOT r.dry_run);
  IF v_routes <> '{}' THEN
    v_routes := ARRAY(SELECT u FROM unnest(iu.fn_iu_delivery_claim_routes(v_routes, true)) u
                       WHERE iu.fn_iu_delivery_refusal(u) IS NULL AND NOT iu.fn_iu_function_waits(u));
  END IF;
  IF v_routes = '{}' THEN
    RETURN;
  END IF;
  v_share := ceil(p_max::numeric / cardinality(v_routes));
  FOREACH v_route IN ARRAY v_routes LOOP
    PERFORM FROM public.iu_route_position p WHERE p.route_code = v_route FOR NO KEY UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND OR NOT iu.fn_iu_delivery_locks(v_route);
    v_most := least(v_share, (SELECT r.max_in_flight FROM public.iu_outbound_route r WHERE r.route_code = v_route));
    v_taken := ARRAY(SELECT o FROM iu.fn_iu_delivery_lease_orphans(v_route, p_sender, v_most) o);
    IF v_taken = '{}' THEN
      v_taken := ARRAY(SELECT o FROM iu.fn_iu_delivery_lease_retries(v_route, p_sender, v_most) o);
    END IF;
    IF v_taken = '{}' THEN
      v_taken := ARRAY(SELECT o FROM iu.fn_iu_delivery_lease_window(v_route, p_sender, v_most) o);
    END IF;
    IF v_taken <> '{}' THEN
      PERFORM iu.fn_iu_delivery_contract(v_route, v_taken);
    END IF;
    v_leases := v_leases || v_taken;
  END LOOP;

  RETURN QUERY
    SELECT l.lease_id, l.generation, i.event_id, i.replay_number, i.attempt_no, r.timeout_ms
      FROM public.iu_route_lease l
      JOIN public.iu_outbound_route r ON r.route_code = l.route_code
      CROSS JOIN LATERAL unnest(l.event_ids, l.event_seqs, l.replay_numbers, l.attempt_nos)
        AS i (event_id, event_seq, replay_number, attempt_no)
     WHERE l.lease_id = ANY (v_leases)
     ORDER BY EXISTS (SELECT FROM public.iu_route_hung h WHERE h.route_code = l.route_code), i.event_seq, l.lease_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_function_claim IS
  'For the runner, as fn_iu_delivery_claim for the senders: leases deliveries of the routes of kind sql_function that '
  'may deliver, p_max shared among those (at least one each, never more than max_in_flight; none of a route of which '
  'the session holds something, or whose function did not end a short time ago); of each route abandoned leases, or '
  'due retries, or new events. Payload contracts are kept; no circuit opens, since a function that fails says nothing '
  'of the next event. Returns those of routes whose function did not end last. Writes nothing where there is nothing. '
  'SQLSTATE 23514: no sender, or p_max below 1.';

CREATE FUNCTION iu.fn_iu_function_next_due() RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
BEGIN
  RETURN (
    SELECT min(greatest(CASE WHEN d.unfinished THEN iu_core.steady_clock() ELSE d.due_at END, d.hold_until))
      FROM (SELECT p.route_code, p.window_end IS NOT NULL AND NOT EXISTS (
                     SELECT FROM public.iu_route_lease l
                      WHERE l.route_code = p.route_code AND l.backend_pid = pg_backend_pid()
                        AND l.expires_at > iu_core.steady_clock() AND l.lease_id >= p.lease_low
                     OFFSET 0) AS unfinished,
                   (SELECT h.hold_until FROM public.iu_route_hung h
                     WHERE h.route_code = p.route_code AND iu.fn_iu_route_hung_holds(h.hold_until)) AS hold_until,
                   least(
                     (SELECT min(l.expires_at) FROM public.iu_route_lease l
                       WHERE l.route_code = p.route_code AND l.lease_id >= p.lease_low),
                     (SELECT t.due_at FROM public.iu_route_retry t
                       WHERE t.route_code = p.route_code ORDER BY t.due_at LIMIT 1)) AS due_at
              FROM public.iu_outbound_route r
              CROSS JOIN LATERAL (SELECT s.* FROM public.iu_route_step s
                                   WHERE s.route_code = r.route_code ORDER BY s.step DESC LIMIT 1) AS p
             WHERE r.target_kind = 'sql_function' AND r.enabled AND NOT r.dry_run) AS d
     WHERE (d.unfinished OR d.due_at IS NOT NULL) AND iu.fn_iu_delivery_refusal(d.route_code) IS NULL);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_function_next_due IS
  'For the runner, as fn_iu_delivery_next_due for the senders: when a claim finds something again without a '
  'commit that would wake it; NULL if nothing waits for the clock.';

-- The runner ends a call that takes too long by a timer that it sets around it, and
-- records the outcome in the same transaction. The lease is locked first, so that
-- nobody takes it over meanwhile. Deferred constraints are checked here, where they
-- are the function's failure, and not at the commit.
CREATE FUNCTION iu.fn_iu_function_call(
    p_lease_id bigint, p_lease_generation integer, p_event_id uuid, p_replay_number integer,
    OUT outcome text, OUT failure_code text, OUT failure_detail text)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route   public.iu_outbound_route;
  v_payload jsonb;
  v_context text;
  v_hint    text;
  v_wait    constant text := current_setting('lock_timeout');
BEGIN
  SELECT r.* INTO v_route FROM public.iu_route_lease l JOIN public.iu_outbound_route r ON r.route_code = l.route_code
   WHERE l.lease_id = p_lease_id AND l.generation = p_lease_generation AND p_event_id = ANY (l.event_ids)
     FOR NO KEY UPDATE OF l;
  IF NOT FOUND THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('lease %s of generation %s does not hold event %s', p_lease_id, p_lease_generation, p_event_id),
      DETAIL = 'It was recorded, or it expired and another sender took it over.', CONSTRAINT = 'iu_lease_lost';
  END IF;
  failure_code := iu.fn_iu_delivery_refusal(v_route.route_code);
  IF failure_code IS NULL AND v_route.target_kind <> 'sql_function' THEN
    failure_code := 'target_kind_not_supported';
  END IF;
  IF failure_code IS NOT NULL THEN
    outcome := 'held';
  ELSE
    DELETE FROM public.iu_route_call c
     WHERE c.event_id = p_event_id AND c.route_code = v_route.route_code AND c.replay_number = p_replay_number;
    SELECT e.safe_payload INTO v_payload FROM public.event_outbox e WHERE e.id = p_event_id;
    BEGIN
      PERFORM set_config('lock_timeout', '0', true);
      PERFORM iu_core.call_as_owner(format('public.%I(uuid, jsonb)', v_route.target_ref)::regprocedure,
                                    p_event_id, v_payload);
      PERFORM set_config('lock_timeout', v_wait, true);
      outcome := 'sent';
    EXCEPTION WHEN OTHERS OR query_canceled OR assert_failure THEN
      GET STACKED DIAGNOSTICS v_context = PG_EXCEPTION_CONTEXT, v_hint = PG_EXCEPTION_HINT;
      outcome := 'failed';
      failure_code := 'sql_function_failed';
      failure_detail := SQLSTATE || ': ' ||
        CASE WHEN SQLSTATE = '57014' AND iu_core.call_is_late()
             THEN format('it did not end within %s ms', v_route.timeout_ms) ELSE SQLERRM END
                        || coalesce(' Hint: ' || nullif(v_hint, ''), '')
                        || coalesce(E'\n' || nullif(v_context, ''), '');
    END;
    DELETE FROM public.iu_route_hung h WHERE h.route_code = v_route.route_code;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_function_call IS
  'For the runner: asks once more whether the route of a lease may deliver, and calls its function with the event '
  'and its payload. Returns outcome (sent, failed, held), failure_code and failure_detail, which the runner gives '
  'to fn_iu_delivery_record_batch in the same transaction. What the function raises, the end of its time included, '
  'undoes what it did and is the outcome failed, code sql_function_failed, with SQLSTATE, message, hint and context. '
  'SQLSTATE 55000: the lease is another''s, or does not hold the event.';
