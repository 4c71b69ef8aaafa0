-- Arrays of the same length, an element for each result, since this is called
-- for every delivery: jsonb would be written, parsed and taken apart again.
CREATE FUNCTION iu.fn_iu_delivery_record_batch(p_lease_id bigint, p_lease_generation integer, p_event_ids uuid[],
    p_replay_numbers integer[], p_attempt_nos integer[], p_outcomes text[], p_http_statuses integer[], p_failure_codes text[],
    p_failure_details text[], p_retry_afters float8[], p_durations_us bigint[], p_response_excerpts text[], p_started_ats timestamptz[])
  RETURNS integer
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_nestloop = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  v_lease  public.iu_route_lease;
  v_route  public.iu_outbound_route;
  v_result record;
BEGIN
  SELECT * INTO v_lease FROM public.iu_route_lease WHERE lease_id = p_lease_id FOR UPDATE;
  IF NOT FOUND OR v_lease.generation IS DISTINCT FROM p_lease_generation THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('lease %s of generation %s is no longer held', p_lease_id, p_lease_generation),
      DETAIL = 'It was recorded, or it expired and another sender took it over.';
  END IF;
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = v_lease.route_code;

  WITH item AS MATERIALIZED (
    SELECT * FROM unnest(v_lease.event_ids, v_lease.event_seqs, v_lease.replay_numbers, v_lease.attempt_nos)
      AS i (event_id, event_seq, replay_number, attempt_no)
  ), result AS MATERIALIZED (
    SELECT i.*, iu.fn_iu_webhook_id(i.event_seq, v_route.id, i.replay_number, i.event_id) AS webhook_id,
           x.outcome, x.http_status, left(x.failure_detail, 1000) AS failure_detail, x.duration_us,
           left(x.response_excerpt, 1024) AS response_excerpt, coalesce(x.started_at, clock_timestamp()) AS started_at,
           coalesce(x.failure_code, 'http_' || x.http_status, 'unknown') AS failure_code, x.retry_after,
           -- On a retired route nothing waits: what is not sent has ended, held (left) or failed (retired).
           CASE WHEN x.outcome = 'sent' THEN 'done'
                WHEN x.outcome = 'held' THEN CASE WHEN v_route.retired_at IS NULL THEN 'again' ELSE 'left' END
                WHEN i.attempt_no >= (v_route.retry_policy ->> 'max_attempts')::integer THEN 'give_up'
                WHEN v_route.retired_at IS NULL OR iu.fn_iu_delivery_rule(x.http_status, x.failure_code) = 'give_up'
                  THEN iu.fn_iu_delivery_rule(x.http_status, x.failure_code)
                ELSE 'retired' END AS rule
      FROM unnest(p_event_ids, p_replay_numbers, p_attempt_nos, p_outcomes, p_http_statuses, p_failure_codes, p_failure_details,
                  p_retry_afters, p_durations_us, p_response_excerpts, p_started_ats)
             AS x (event_id, replay_number, attempt_no, outcome, http_status, failure_code, failure_detail, retry_after,
                   duration_us, response_excerpt, started_at)
      JOIN item i ON i.event_id = x.event_id AND i.replay_number = x.replay_number AND i.attempt_no = x.attempt_no
  ), attempt AS (
    INSERT INTO public.iu_route_attempt (route_code, event_ref, replay_number, attempt_no, idempotency_key, status,
        sender, started_at, duration_us, http_status, failure_code, failure_detail, response_excerpt)
      SELECT v_lease.route_code, r.event_id, r.replay_number, r.attempt_no, r.webhook_id,
             CASE r.rule WHEN 'done' THEN 'sent' ELSE 'failed' END, v_lease.sender, r.started_at, r.duration_us, r.http_status,
             CASE WHEN r.rule <> 'done' THEN r.failure_code END, CASE WHEN r.rule <> 'done' THEN r.failure_detail END,
             r.response_excerpt
        FROM result r WHERE r.rule NOT IN ('again', 'left') ORDER BY r.event_seq
      ON CONFLICT (idempotency_key, attempt_no) DO NOTHING
      RETURNING 1
  ), retry AS (
    INSERT INTO public.iu_route_retry (route_code, event_id, replay_number, event_seq, attempt_no, due_at, reason, detail)
      SELECT v_lease.route_code, r.event_id, r.replay_number, r.event_seq,
             r.attempt_no + CASE r.rule WHEN 'again' THEN 0 ELSE 1 END,
             clock_timestamp() + make_interval(secs => CASE
               WHEN r.rule = 'again' AND r.failure_code = 'address_refused' THEN 60	-- only sending finds out, so not at once
               WHEN r.rule IN ('again', 'disable') THEN 0
               ELSE greatest(
                 least((v_route.retry_policy ->> 'base_s')::float8 * 2 ^ least(r.attempt_no - 1, 60),
                       (v_route.retry_policy ->> 'max_s')::float8)
                   * (1 - (v_route.retry_policy ->> 'jitter')::float8 * random()),
                 CASE WHEN r.rule = 'obey' THEN least(r.retry_after, 86400) END) END),
             r.failure_code, CASE WHEN r.rule = 'again' THEN r.failure_detail END
        FROM result r WHERE r.rule IN ('again', 'disable', 'obey', 'retry')
      ON CONFLICT DO NOTHING
  ), dead AS (
    INSERT INTO public.iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key,
        failure_code, failure_detail, http_status, event_snapshot)
      SELECT v_lease.route_code, r.event_id, r.replay_number, r.attempt_no - CASE r.rule WHEN 'left' THEN 1 ELSE 0 END, r.webhook_id,
             CASE r.rule WHEN 'give_up' THEN r.failure_code ELSE 'route_retired' END,
             CASE r.rule WHEN 'give_up' THEN r.failure_detail
                         WHEN 'left' THEN left(concat_ws('; ', v_route.disabled_reason, 'a sender had it and had not sent it'), 1000)
                         ELSE left(concat_ws('; ', v_route.disabled_reason, 'the last attempt: ' || r.failure_code, r.failure_detail), 1000) END,
             r.http_status, e.snapshot
        FROM result r CROSS JOIN LATERAL (SELECT to_jsonb(o) AS snapshot FROM public.event_outbox o WHERE o.id = r.event_id OFFSET 0) AS e
       WHERE r.rule IN ('give_up', 'retired', 'left')
      ON CONFLICT (idempotency_key) DO NOTHING
  ), rest AS (
    SELECT count(*)::integer AS items, array_agg(i.event_id ORDER BY i.event_seq, i.replay_number) AS ids,
           array_agg(i.event_seq ORDER BY i.event_seq, i.replay_number) AS seqs,
           array_agg(i.replay_number ORDER BY i.event_seq, i.replay_number) AS replays,
           array_agg(i.attempt_no ORDER BY i.event_seq, i.replay_number) AS attempts
      FROM item i
     WHERE NOT EXISTS (SELECT FROM result r WHERE r.event_id = i.event_id AND r.replay_number = i.replay_number)
  )
  SELECT (SELECT count(*) FROM attempt)::integer AS written, rest.*,
         EXISTS (SELECT FROM result r WHERE r.http_status = 410) AS gone,
         CASE WHEN EXISTS (SELECT FROM result r WHERE r.outcome = 'failed') THEN
           ARRAY(SELECT CASE WHEN r.rule <> 'done' THEN r.failure_code END FROM result r WHERE r.rule NOT IN ('again', 'left')
                  ORDER BY r.started_at + make_interval(secs => coalesce(r.duration_us, 0) / 1e6), r.event_seq)
           WHEN EXISTS (SELECT FROM result r WHERE r.rule = 'done') THEN ARRAY[NULL::text] END AS codes
    INTO v_result FROM rest;

  IF v_result.items = 0 THEN
    DELETE FROM public.iu_route_lease WHERE lease_id = p_lease_id;
  ELSE
    UPDATE public.iu_route_lease
       SET item_count = v_result.items, event_ids = v_result.ids, event_seqs = v_result.seqs,
           replay_numbers = v_result.replays, attempt_nos = v_result.attempts,
           expires_at = clock_timestamp() + make_interval(secs => 60 + v_route.timeout_ms / 100.0)
     WHERE lease_id = p_lease_id;
  END IF;
  IF v_result.gone AND v_route.enabled THEN
    UPDATE public.iu_outbound_route SET enabled = false, disabled_reason = 'the receiver answered 410 (gone)'
     WHERE route_code = v_lease.route_code AND enabled;
    PERFORM iu.fn_iu_route_log('dot_iu_route_gone', v_lease.route_code, v_lease.sender, 'the receiver answered 410 (gone)', NULL);
  END IF;
  IF v_route.ordering = 'subject' THEN
    PERFORM iu.fn_iu_order_release(v_lease);
  END IF;
  PERFORM iu.fn_iu_circuit_record(v_route, p_lease_id, v_result.codes);
  RETURN v_result.written;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_record_batch IS
  'Writes the outcomes of a lease, all or some, and returns the attempts written. Arrays of one length, each '
  'delivery once: outcomes sent, failed or held; retry_afters in seconds, durations in us. failed becomes a retry '
  'by the route''s policy, or a dead letter at its limit; held writes no attempt and can be claimed again, at '
  'once, or after 60 s where the address was refused; on a retired route what would be tried again is a dead '
  'letter, failure_code route_retired; a result that is not in the lease is ignored; 410 disables the route. A '
  'delivery that ends lets the next of its subject go on where the route keeps that order; the circuit of the '
  'route is counted. What is left stays leased and gets new time. SQLSTATE 55000: another generation, or no such '
  'lease.';

CREATE FUNCTION iu.fn_iu_delivery_record(p_lease_id bigint, p_lease_generation integer, p_results jsonb)
  RETURNS integer
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT iu.fn_iu_delivery_record_batch(p_lease_id, p_lease_generation,
           coalesce(array_agg(x.event_id), '{}'), array_agg(x.replay_number), array_agg(x.attempt_no), array_agg(x.outcome),
           array_agg(x.http_status), array_agg(x.failure_code), array_agg(x.failure_detail), array_agg(x.retry_after),
           array_agg(x.duration_us), array_agg(x.response_excerpt), array_agg(x.started_at))
    FROM (SELECT DISTINCT ON (r.event_id, i.replay_number) r.event_id, i.replay_number, i.attempt_no, r.outcome, r.http_status,
                 r.failure_code, r.failure_detail, r.retry_after, r.duration_us, r.response_excerpt, r.started_at
            FROM jsonb_to_recordset(p_results) AS r (event_id uuid, replay_number integer, attempt_no integer, outcome text,
                   http_status integer, failure_code text, failure_detail text, retry_after float8,
                   duration_us bigint, response_excerpt text, started_at timestamptz)
            JOIN public.iu_route_lease l ON l.lease_id = p_lease_id
            CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers, l.attempt_nos) AS i (event_id, replay_number, attempt_no)
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
     SET expires_at = clock_timestamp() + make_interval(secs => 60 + (SELECT r.timeout_ms / 100.0 FROM public.iu_outbound_route r
                                                                       WHERE r.route_code = l.route_code))
   WHERE l.lease_id = p_lease_id AND l.generation = p_lease_generation;
  RETURN FOUND;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_keep IS
  'Called where fn_iu_delivery_record_batch failed: gives the lease new time, so that nobody sends again what is '
  'known. False if it is another sender''s by now, or recorded: then the outcomes are worth nothing.';

CREATE FUNCTION iu.fn_iu_delivery_next_due(p_route_max integer DEFAULT NULL) RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  v_route record;
  v_next  timestamptz;
BEGIN
  FOR v_route IN
    SELECT p.route_code, p.window_end IS NOT NULL AND l.has_room AS unfinished,
           least(l.expires_at, CASE WHEN l.has_room THEN
             (SELECT t.due_at FROM public.iu_route_retry t WHERE t.route_code = p.route_code ORDER BY t.due_at LIMIT 1) END) AS due_at
      FROM public.v_iu_route_position p
      JOIN public.iu_outbound_route r ON r.route_code = p.route_code
      CROSS JOIN LATERAL (SELECT min(x.expires_at) AS expires_at, coalesce(sum(x.item_count), 0) < r.max_in_flight
                                 AND coalesce(sum(x.item_count) FILTER (WHERE x.backend_pid = pg_backend_pid()) < p_route_max, true) AS has_room
                            FROM public.iu_route_lease x WHERE x.route_code = p.route_code AND x.lease_id >= p.lease_low) AS l
     WHERE r.enabled AND NOT r.dry_run AND r.target_kind <> 'sql_function'
  LOOP
    IF (v_route.unfinished OR v_route.due_at IS NOT NULL) AND iu.fn_iu_delivery_refusal(v_route.route_code) IS NULL THEN
      v_next := least(v_next, CASE WHEN v_route.unfinished THEN clock_timestamp() ELSE v_route.due_at END);
    END IF;
  END LOOP;
  RETURN nullif(least(v_next, iu.fn_iu_circuit_next_due()), 'infinity');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_next_due IS
  'When a claim with this p_route_max finds something again without a commit that would wake the sender: the next '
  'retry, the next end of a lease, the next probe of an open circuit, or now where a window is not finished. NULL '
  'if nothing waits for the clock; what is held does not count.';
