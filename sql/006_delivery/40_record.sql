-- The record: what the outcomes of a lease become.
--
-- Outcomes come as arrays of one length, an element for each result, since this is
-- called for every delivery: jsonb would be written, parsed and taken apart again.
-- The settings of fn_iu_delivery_record_batch hold in what it calls.

-- This function is inlined into the query that calls it; for that it is STABLE and
-- has no settings.
CREATE FUNCTION iu.fn_iu_delivery_results(p_lease public.iu_route_lease, p_route public.iu_outbound_route,
    p_event_ids uuid[], p_replay_numbers integer[], p_attempt_nos integer[], p_outcomes text[],
    p_http_statuses integer[], p_failure_codes text[], p_failure_details text[], p_retry_afters float8[],
    p_durations_us bigint[], p_response_excerpts text[], p_started_ats timestamptz[])
  RETURNS TABLE (event_id uuid, event_seq bigint, replay_number integer, attempt_no integer, webhook_id text,
    outcome text, http_status integer, failure_detail text, duration_us bigint, response_excerpt text,
    started_at timestamptz, failure_code text, retry_after float8, rule text)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT i.event_id, i.event_seq, i.replay_number, i.attempt_no,
         iu.fn_iu_webhook_id(i.event_seq, p_route.id, i.replay_number, i.event_id),
         x.outcome, x.http_status, left(x.failure_detail, 1000), x.duration_us, left(x.response_excerpt, 1024),
         coalesce(x.started_at, clock_timestamp()), coalesce(x.failure_code, 'http_' || x.http_status, 'unknown'),
         x.retry_after,
         -- On a retired route nothing waits: what is not sent has ended, held (left) or failed (retired).
         CASE WHEN x.outcome = 'sent' THEN 'done'
              WHEN x.outcome = 'held' THEN CASE WHEN p_route.retired_at IS NULL THEN 'again' ELSE 'left' END
              WHEN p_route.retired_at IS NULL AND iu.fn_iu_delivery_rule(x.http_status, x.failure_code) = 'pace'
                THEN 'pace'
              WHEN i.attempt_no >= (p_route.retry_policy ->> 'max_attempts')::integer THEN 'give_up'
              WHEN p_route.retired_at IS NULL THEN iu.fn_iu_delivery_rule(x.http_status, x.failure_code)
              WHEN iu.fn_iu_delivery_rule(x.http_status, x.failure_code) = 'give_up' THEN 'give_up'
              ELSE 'retired' END
    FROM unnest(p_event_ids, p_replay_numbers, p_attempt_nos, p_outcomes, p_http_statuses, p_failure_codes,
                p_failure_details, p_retry_afters, p_durations_us, p_response_excerpts, p_started_ats)
           AS x (event_id, replay_number, attempt_no, outcome, http_status, failure_code, failure_detail, retry_after,
                 duration_us, response_excerpt, started_at)
    JOIN unnest(p_lease.event_ids, p_lease.event_seqs, p_lease.replay_numbers, p_lease.attempt_nos)
           AS i (event_id, event_seq, replay_number, attempt_no)
      ON i.event_id = x.event_id AND i.replay_number = x.replay_number AND i.attempt_no = x.attempt_no;
END;
COMMENT ON FUNCTION iu.fn_iu_delivery_results IS
  'For the record: the results that belong to a lease, each with its webhook-id and the rule that it goes by: done, '
  'again (held), pace, give_up, retry, obey, disable; on a retired route left (held) and retired (failed) instead of '
  'what would be tried again. Arguments: lease, route, and the arrays of fn_iu_delivery_record_batch.';

CREATE FUNCTION iu.fn_iu_delivery_wait(
    p_policy jsonb, p_rule text, p_attempt_no integer, p_failure_code text, p_retry_after float8)
  RETURNS float8
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_rule = 'again' THEN
    RETURN coalesce((SELECT c.hold_seconds FROM public.iu_delivery_code c WHERE c.code = p_failure_code), 0);
  ELSIF p_rule = 'pace' THEN
    RETURN coalesce(least(greatest(p_retry_after, 0), 86400), 0);
  ELSIF p_rule = 'disable' THEN
    RETURN 0;
  END IF;
  RETURN greatest(
    least((p_policy ->> 'base_s')::float8 * 2 ^ least(coalesce(p_attempt_no, 1) - 1, 60),
          (p_policy ->> 'max_s')::float8)
      * (1 - (p_policy ->> 'jitter')::float8 * random()),
    CASE WHEN p_rule = 'obey' AND p_retry_after IS NOT NULL THEN least(p_retry_after, 86400) END);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_wait IS
  'Seconds until a delivery that was not sent may be tried again: retry policy of its route, rule (again, disable, '
  'obey, retry), number of the attempt that failed, its code, seconds of the answer''s Retry-After or NULL. Doubling '
  'from base_s to max_s, less a random share of jitter; obey waits for Retry-After where that is later, a day at most; '
  'again and disable at once, or after the hold_seconds of the code.';

CREATE FUNCTION iu.fn_iu_delivery_record_results(p_lease public.iu_route_lease, p_route public.iu_outbound_route,
    p_event_ids uuid[], p_replay_numbers integer[], p_attempt_nos integer[], p_outcomes text[],
    p_http_statuses integer[], p_failure_codes text[], p_failure_details text[], p_retry_afters float8[],
    p_durations_us bigint[], p_response_excerpts text[], p_started_ats timestamptz[],
    OUT written integer, OUT gone boolean, OUT given_up bigint, OUT given_up_code text, OUT codes text[],
    OUT pause_s float8,
    OUT items integer, OUT ids uuid[], OUT seqs bigint[], OUT replays integer[], OUT attempts integer[])
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  WITH result AS MATERIALIZED (
    SELECT * FROM iu.fn_iu_delivery_results(p_lease, p_route, p_event_ids, p_replay_numbers, p_attempt_nos, p_outcomes,
      p_http_statuses, p_failure_codes, p_failure_details, p_retry_afters, p_durations_us, p_response_excerpts,
      p_started_ats)
  ), attempt AS (
    INSERT INTO public.iu_route_attempt (route_code, event_ref, replay_number, attempt_no, idempotency_key, status,
        sender, started_at, duration_us, http_status, failure_code, failure_detail, response_excerpt)
      SELECT p_lease.route_code, r.event_id, r.replay_number, r.attempt_no, r.webhook_id,
             CASE r.rule WHEN 'done' THEN 'sent' ELSE 'failed' END, p_lease.sender, r.started_at, r.duration_us,
             r.http_status, CASE WHEN r.rule <> 'done' THEN r.failure_code END,
             CASE WHEN r.rule <> 'done' THEN r.failure_detail END, r.response_excerpt
        FROM result r WHERE r.rule NOT IN ('again', 'pace', 'left') ORDER BY r.event_seq
      RETURNING 1
  ), retry AS (
    INSERT INTO public.iu_route_retry
        (route_code, event_id, replay_number, event_seq, attempt_no, due_at, reason, detail)
      SELECT p_lease.route_code, r.event_id, r.replay_number, r.event_seq,
             r.attempt_no + CASE WHEN r.rule IN ('again', 'pace') THEN 0 ELSE 1 END,
             iu_core.steady_clock() + make_interval(secs => iu.fn_iu_delivery_wait(
               p_route.retry_policy, r.rule, r.attempt_no, r.failure_code, r.retry_after)),
             r.failure_code, CASE WHEN r.rule IN ('again', 'pace') THEN r.failure_detail END
        FROM result r WHERE r.rule IN ('again', 'pace', 'disable', 'obey', 'retry')
      ON CONFLICT DO NOTHING
  ), dead AS (
    INSERT INTO public.iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key,
        failure_code, failure_detail, http_status, event_snapshot)
      SELECT p_lease.route_code, r.event_id, r.replay_number, r.attempt_no - CASE r.rule WHEN 'left' THEN 1 ELSE 0 END,
             r.webhook_id, CASE r.rule WHEN 'give_up' THEN r.failure_code ELSE 'route_retired' END,
             CASE r.rule WHEN 'give_up' THEN r.failure_detail ELSE left(concat_ws('; ', p_route.disabled_reason,
               CASE r.rule WHEN 'left' THEN 'a sender had it and had not sent it'
                           ELSE concat_ws('; ', 'the last attempt: ' || r.failure_code, r.failure_detail)
               END), 1000) END,
             r.http_status, e.snapshot
        FROM result r
        CROSS JOIN LATERAL (SELECT to_jsonb(o) AS snapshot
                              FROM public.event_outbox o WHERE o.id = r.event_id OFFSET 0) AS e
       WHERE r.rule IN ('give_up', 'retired', 'left')
      ON CONFLICT (idempotency_key) DO NOTHING
      RETURNING failure_code
  ), rest AS (
    SELECT count(*)::integer AS items, array_agg(i.event_id ORDER BY i.event_seq, i.replay_number) AS ids,
           array_agg(i.event_seq ORDER BY i.event_seq, i.replay_number) AS seqs,
           array_agg(i.replay_number ORDER BY i.event_seq, i.replay_number) AS replays,
           array_agg(i.attempt_no ORDER BY i.event_seq, i.replay_number) AS attempts
      FROM unnest(p_lease.event_ids, p_lease.event_seqs, p_lease.replay_numbers, p_lease.attempt_nos)
             AS i (event_id, event_seq, replay_number, attempt_no)
     WHERE NOT EXISTS (SELECT FROM result r WHERE r.event_id = i.event_id AND r.replay_number = i.replay_number)
  )
  SELECT (SELECT count(*) FROM attempt), EXISTS (SELECT FROM result r WHERE r.http_status = 410),
         (SELECT count(*) FROM dead), (SELECT max(d.failure_code) FROM dead d),
         CASE WHEN EXISTS (SELECT FROM result r WHERE r.outcome = 'failed') THEN
           ARRAY(SELECT CASE WHEN r.rule <> 'done' THEN r.failure_code END
                   FROM result r WHERE r.rule NOT IN ('again', 'left')
                  ORDER BY r.started_at + make_interval(secs => coalesce(r.duration_us, 0) / 1e6), r.event_seq)
           WHEN EXISTS (SELECT FROM result r WHERE r.rule = 'done') THEN ARRAY[NULL::text] END,
         (SELECT max(coalesce(iu.fn_iu_delivery_wait(p_route.retry_policy, r.rule, r.attempt_no, r.failure_code,
                                                     r.retry_after), 0)) FROM result r WHERE r.rule = 'pace'),
         x.items, x.ids, x.seqs, x.replays, x.attempts
    INTO written, gone, given_up, given_up_code, codes, pause_s, items, ids, seqs, replays, attempts FROM rest x;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_record_results IS
  'For the record: writes attempts, retries and dead letters for the results of a lease. Returns the attempts '
  'written, whether an answer was 410, how many deliveries became dead letters and the code of one, for the circuit '
  'the failure codes in the order in which they came (NULL: sent) and for how many seconds the receiver wants to be '
  'left alone (NULL: it does not; 0: it did not say), and what is left of the lease: how many, events, their places, '
  'replay numbers and attempt numbers. Arguments as fn_iu_delivery_results.';

-- Most leases are sent as a whole. Then no result has to be looked for.
CREATE FUNCTION iu.fn_iu_delivery_record_whole(p_lease public.iu_route_lease, p_route_id bigint, p_event_ids uuid[],
    p_replay_numbers integer[], p_attempt_nos integer[], p_outcomes text[], p_http_statuses integer[],
    p_durations_us bigint[], p_response_excerpts text[], p_started_ats timestamptz[])
  RETURNS integer
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_written integer;
BEGIN
  IF (p_event_ids = p_lease.event_ids AND p_replay_numbers = p_lease.replay_numbers
      AND p_attempt_nos = p_lease.attempt_nos AND 'sent' = ALL (p_outcomes)) IS NOT TRUE THEN
    RETURN NULL;
  END IF;
  INSERT INTO public.iu_route_attempt (route_code, event_ref, replay_number, attempt_no, idempotency_key, status,
      sender, started_at, duration_us, http_status, response_excerpt)
    SELECT p_lease.route_code, x.event_id, x.replay_number, x.attempt_no,
           iu.fn_iu_webhook_id(x.event_seq, p_route_id, x.replay_number, x.event_id), 'sent', p_lease.sender,
           coalesce(x.started_at, clock_timestamp()), x.duration_us, x.http_status, left(x.response_excerpt, 1024)
      FROM unnest(p_event_ids, p_lease.event_seqs, p_replay_numbers, p_attempt_nos, p_http_statuses, p_durations_us,
                  p_response_excerpts, p_started_ats)
             AS x (event_id, event_seq, replay_number, attempt_no, http_status, duration_us, response_excerpt,
                   started_at);
  GET DIAGNOSTICS v_written = ROW_COUNT;
  DELETE FROM public.iu_route_lease WHERE lease_id = p_lease.lease_id;
  RETURN v_written;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_record_whole IS
  'For the record: writes the attempts of a lease all of whose deliveries were sent, given in its order, and ends it. '
  'Returns the attempts written, or NULL where that is not so; then nothing is written. Arguments: lease, id of its '
  'route, arrays as fn_iu_delivery_record_batch.';

CREATE FUNCTION iu.fn_iu_delivery_record_batch(p_lease_id bigint, p_lease_generation integer, p_event_ids uuid[],
    p_replay_numbers integer[], p_attempt_nos integer[], p_outcomes text[], p_http_statuses integer[],
    p_failure_codes text[], p_failure_details text[], p_retry_afters float8[], p_durations_us bigint[],
    p_response_excerpts text[], p_started_ats timestamptz[])
  RETURNS integer
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_nestloop = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  v_lease  public.iu_route_lease;
  v_route  public.iu_outbound_route;
  v_result record;
  v_whole  integer;
BEGIN
  SELECT * INTO v_lease FROM public.iu_route_lease WHERE lease_id = p_lease_id FOR UPDATE;
  IF NOT FOUND OR v_lease.generation IS DISTINCT FROM p_lease_generation THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('lease %s of generation %s is no longer held', p_lease_id, p_lease_generation),
      DETAIL = 'It was recorded, or it expired and another sender took it over.', CONSTRAINT = 'iu_lease_lost';
  END IF;
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = v_lease.route_code;
  v_whole := iu.fn_iu_delivery_record_whole(v_lease, v_route.id, p_event_ids, p_replay_numbers, p_attempt_nos,
    p_outcomes, p_http_statuses, p_durations_us, p_response_excerpts, p_started_ats);
  IF v_whole IS NOT NULL THEN
    IF v_route.ordering = 'subject' THEN
      PERFORM iu.fn_iu_order_release(v_lease);
    END IF;
    PERFORM iu.fn_iu_circuit_record(v_route, p_lease_id, ARRAY[NULL::text], NULL);
    RETURN v_whole;
  END IF;
  v_result := iu.fn_iu_delivery_record_results(v_lease, v_route, p_event_ids, p_replay_numbers, p_attempt_nos,
    p_outcomes, p_http_statuses, p_failure_codes, p_failure_details, p_retry_afters, p_durations_us,
    p_response_excerpts, p_started_ats);

  IF v_result.items = 0 THEN
    DELETE FROM public.iu_route_lease WHERE lease_id = p_lease_id;
  ELSE
    UPDATE public.iu_route_lease
       SET item_count = v_result.items, event_ids = v_result.ids, event_seqs = v_result.seqs,
           replay_numbers = v_result.replays, attempt_nos = v_result.attempts,
           expires_at = iu.fn_iu_lease_end(v_route.timeout_ms)
     WHERE lease_id = p_lease_id;
  END IF;
  IF v_result.given_up > 0 THEN
    RAISE LOG 'route "%": % deliveries were given up and are dead letters (%)', v_lease.route_code, v_result.given_up,
      v_result.given_up_code;
  END IF;
  IF v_result.gone AND v_route.enabled THEN
    RAISE LOG 'route "%" is disabled: the receiver answered 410 (gone)', v_lease.route_code;
    UPDATE public.iu_outbound_route SET enabled = false, disabled_reason = 'the receiver answered 410 (gone)'
     WHERE route_code = v_lease.route_code AND enabled;
    PERFORM iu.fn_dot_iu_command_note('dot_iu_route_gone', 'route_code', v_lease.route_code, 'applied', v_lease.sender,
      'the receiver answered 410 (gone)', NULL);
  END IF;
  IF v_route.ordering = 'subject' THEN
    PERFORM iu.fn_iu_order_release(v_lease);
  END IF;
  PERFORM iu.fn_iu_circuit_record(v_route, p_lease_id, v_result.codes, v_result.pause_s);
  RETURN v_result.written;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_record_batch IS
  'Writes the outcomes of a lease, all or some, and returns the attempts written. Arrays of one length, each '
  'delivery once: outcomes sent, failed or held; retry_afters in seconds, durations in us. failed becomes a retry by '
  'the route''s policy, or a dead letter at its limit; held writes no attempt and can be claimed again, at once, or '
  'after 60 s where the address was refused; a 429 writes none either, and the route waits; on a retired route what '
  'would be tried again is a dead letter, failure_code route_retired; a result that is not in the lease is ignored; '
  '410 disables the route. A delivery that ends lets the next of its subject go on where the route keeps that order; '
  'the circuit of the route is counted. What is left stays leased and gets new time. SQLSTATE 55000: another '
  'generation, or no such lease.';

CREATE FUNCTION iu.fn_iu_delivery_record(p_lease_id bigint, p_lease_generation integer, p_results jsonb)
  RETURNS integer
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT iu.fn_iu_delivery_record_batch(p_lease_id, p_lease_generation, coalesce(array_agg(x.event_id), '{}'),
           array_agg(x.replay_number), array_agg(x.attempt_no), array_agg(x.outcome),
           array_agg(x.http_status), array_agg(x.failure_code), array_agg(x.failure_detail), array_agg(x.retry_after),
           array_agg(x.duration_us), array_agg(x.response_excerpt), array_agg(x.started_at))
    FROM (SELECT DISTINCT ON (r.event_id, i.replay_number) r.event_id, i.replay_number, i.attempt_no, r.outcome,
                 r.http_status, r.failure_code, r.failure_detail, r.retry_after, r.duration_us, r.response_excerpt,
                 r.started_at
            FROM jsonb_to_recordset(p_results) AS r (event_id uuid, replay_number integer, attempt_no integer,
                   outcome text, http_status integer, failure_code text, failure_detail text, retry_after float8,
                   duration_us bigint, response_excerpt text, started_at timestamptz)
            JOIN public.iu_route_lease l ON l.lease_id = p_lease_id
            CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers, l.attempt_nos)
              AS i (event_id, replay_number, attempt_no)
           WHERE i.event_id = r.event_id AND i.replay_number = coalesce(r.replay_number, 0)
             AND i.attempt_no = coalesce(r.attempt_no, i.attempt_no)) AS x;
END;
COMMENT ON FUNCTION iu.fn_iu_delivery_record IS
  'fn_iu_delivery_record_batch by hand. p_results: array of {event_id, replay_number, attempt_no, outcome: sent | '
  'failed | held, http_status, failure_code, failure_detail, retry_after (seconds), duration_us, '
  'response_excerpt, started_at}; replay_number and attempt_no may be left out. SQLSTATE 55000: another '
  'generation, or no such lease.';

-- An expired lease that is taken over is sent again, so a sender that knows its
-- outcomes and cannot record them does not let it expire.
CREATE FUNCTION iu.fn_iu_delivery_keep(p_lease_id bigint, p_lease_generation integer) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  UPDATE public.iu_route_lease l
     SET expires_at = iu.fn_iu_lease_end((SELECT r.timeout_ms FROM public.iu_outbound_route r
                                           WHERE r.route_code = l.route_code))
   WHERE l.lease_id = p_lease_id AND l.generation = p_lease_generation;
  RETURN FOUND;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_keep IS
  'Called where fn_iu_delivery_record_batch failed: gives the lease new time, so that nobody sends again what is '
  'known. False if it is another sender''s by now, or recorded: then the outcomes are worth nothing.';

CREATE FUNCTION iu.fn_iu_delivery_next_due(p_route_max integer DEFAULT NULL, p_senders integer DEFAULT 1,
    p_routes text[] DEFAULT NULL)
  RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_sort = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  v_routes constant text[] := coalesce(p_routes, iu.fn_iu_delivery_live_routes());
  v_route  record;
  v_ready  timestamptz;
  v_next   timestamptz;
BEGIN
  FOR v_route IN
    SELECT p.route_code, p.window_end IS NOT NULL AND l.has_room AS unfinished, r.per_second IS NOT NULL AS paced,
           least(l.expires_at, CASE WHEN l.has_room THEN
             (SELECT t.due_at FROM public.iu_route_retry t
               WHERE t.route_code = p.route_code ORDER BY t.due_at LIMIT 1) END) AS due_at
      FROM (SELECT DISTINCT u FROM unnest(v_routes) u) AS n (route_code)
      -- One by one, and the first retry by its index, whatever statistics say of the others.
      CROSS JOIN LATERAL (SELECT o.* FROM public.iu_outbound_route o
                           WHERE o.route_code = n.route_code AND o.enabled AND NOT o.dry_run
                             AND o.target_kind <> 'sql_function' OFFSET 0) AS r
      CROSS JOIN LATERAL (SELECT s.* FROM public.iu_route_step s
                           WHERE s.route_code = r.route_code ORDER BY s.step DESC LIMIT 1) AS p
      CROSS JOIN LATERAL (
        SELECT min(x.expires_at) AS expires_at,
               coalesce(sum(x.item_count), 0)
                   < iu.fn_iu_delivery_ahead(r.max_in_flight, r.max_in_flight, p_senders)
                 AND coalesce(sum(x.item_count) FILTER (WHERE x.backend_pid = pg_backend_pid()), 0)
                   < least(iu.fn_iu_delivery_ahead(iu.fn_iu_delivery_share(r.max_in_flight, p_senders),
                             r.max_in_flight, p_senders), p_route_max) AS has_room
          FROM public.iu_route_lease x WHERE x.route_code = p.route_code AND x.lease_id >= p.lease_low) AS l
  LOOP
    v_ready := CASE WHEN v_route.paced THEN iu.fn_iu_pace_ready(v_route.route_code) END;
    IF (v_route.unfinished OR v_route.due_at IS NOT NULL)
       AND iu.fn_iu_delivery_refusal(v_route.route_code) IS NULL THEN
      v_next := least(v_next, greatest(v_ready, CASE WHEN v_route.unfinished THEN iu_core.steady_clock()
                                                     ELSE v_route.due_at END));
    END IF;
  END LOOP;
  RETURN least(v_next, iu.fn_iu_circuit_next_due());
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_next_due IS
  'When a claim with the same p_route_max, p_senders and p_routes finds something again without a commit that would '
  'wake the sender: the next retry, the next end of a lease, the next probe of an open circuit, when a limit of '
  'deliveries a second allows the next, or now where a window is not finished. NULL if nothing waits for the clock; '
  'what is held does not count.';
