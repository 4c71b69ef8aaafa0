-- What becomes of the deliveries of a route that is retired.

CREATE FUNCTION iu.fn_iu_route_abandon(p_route_code text) RETURNS bigint
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
     WHERE t.ctid = ANY (ARRAY(SELECT x.ctid FROM public.iu_route_retry x
                                WHERE x.route_code = p_route_code FOR UPDATE SKIP LOCKED))
     RETURNING t.*
  ), lost AS (
    DELETE FROM public.iu_route_lease l
     WHERE l.lease_id = ANY (ARRAY(SELECT x.lease_id FROM public.iu_route_lease x
                                    WHERE x.route_code = p_route_code
                                      AND (x.expires_at <= iu_core.steady_clock()
                                           OR (x.backend_pid <> pg_backend_pid()
                                               AND NOT EXISTS (SELECT FROM pg_stat_get_activity(x.backend_pid))))
                                      FOR UPDATE SKIP LOCKED))
     RETURNING l.*
  ), ended AS (
    SELECT w.event_id, w.event_seq, w.replay_number, w.attempt_no, 'it waited to be tried: ' || w.reason AS place
      FROM waiting w
    UNION ALL
    SELECT i.event_id, i.event_seq, i.replay_number, i.attempt_no,
           format('%s had it and is gone: whether it was sent is not known', l.sender)
      FROM lost l
      CROSS JOIN LATERAL unnest(l.event_ids, l.event_seqs, l.replay_numbers, l.attempt_nos)
        AS i (event_id, event_seq, replay_number, attempt_no)
  ), letter AS (
    INSERT INTO public.iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key,
        failure_code, failure_detail, event_snapshot)
      SELECT p_route_code, e.event_id, e.replay_number, e.attempt_no - 1,
             iu.fn_iu_webhook_id(e.event_seq, v_route.id, e.replay_number, e.event_id),
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
COMMENT ON FUNCTION iu.fn_iu_route_abandon IS
  'Of a retired route: what waits to be tried, and what a sender has that is gone or whose lease ended, becomes a '
  'dead letter with the whole event, failure_code route_retired; where it was is in failure_detail. What another '
  'transaction has locked is left. Called when the route is retired, and by fn_iu_route_worker_turn for what came '
  'after. Returns how many; 0 for a route that is not retired.';

CREATE FUNCTION iu.fn_iu_route_settle(p_route_code text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_at      public.v_iu_route_position;
  v_letters bigint;
BEGIN
  PERFORM iu.fn_iu_require_read_committed('fn_iu_route_retire', 'would not see what is under way');
  -- A claim that is under way ends first.
  PERFORM FROM public.iu_route_position WHERE route_code = p_route_code FOR UPDATE;
  SELECT * INTO v_at FROM public.v_iu_route_position WHERE route_code = p_route_code;
  v_letters := iu.fn_iu_route_abandon(p_route_code);
  RETURN jsonb_build_object('dead_letters', v_letters,
    'with_sender', (SELECT coalesce(sum(l.item_count), 0) FROM public.iu_route_lease l
                     WHERE l.route_code = p_route_code),
    'passed_over', (SELECT count(*)
                      FROM public.event_outbox e
                      JOIN public.iu_route_type t ON t.route_code = p_route_code
                       AND e.event_domain = t.event_domain AND e.event_type = t.event_type
                     WHERE e.emitted_xid >= pg_snapshot_xmin(v_at.seen)
                       AND NOT pg_visible_in_snapshot(e.emitted_xid, v_at.seen)
                       AND e.event_seq > v_at.floor_seq AND e.payload_classification = 'safe_metadata'
                       AND (v_at.window_end IS NULL OR e.event_seq > v_at.window_seq
                            OR NOT pg_visible_in_snapshot(e.emitted_xid, v_at.window_end))));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_settle IS
  'For fn_iu_route_retire: ends what a route that was just retired has under way (fn_iu_route_abandon). Returns '
  '{dead_letters, with_sender, passed_over}: how many became dead letters, how many a sender has yet, and how '
  'many events the route had not come to.';
