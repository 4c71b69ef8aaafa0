-- What a replay repeats: a delivery that is sent again is another delivery, of which
-- is written down what it is a repeat of.

CREATE TABLE public.iu_route_repeat (
  webhook_id text        COLLATE "C" NOT NULL PRIMARY KEY,
  route_code text        NOT NULL,
  event_ref  uuid        NOT NULL,
  repeat_of  text        COLLATE "C" NOT NULL,
  asked_by   text        NOT NULL,
  reason     text        NOT NULL,
  asked_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE public.iu_route_repeat IS
  'Deliveries that repeat another: a dead letter that was replayed, or what was sent and is sent again.';
COMMENT ON COLUMN public.iu_route_repeat.webhook_id IS 'Of the repeat: the idempotency_key of its attempts';
COMMENT ON COLUMN public.iu_route_repeat.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_repeat.event_ref IS 'The event';
COMMENT ON COLUMN public.iu_route_repeat.repeat_of IS 'The webhook-id of the delivery that it repeats';
COMMENT ON COLUMN public.iu_route_repeat.asked_by IS 'Who asked for it, as told by the caller';
COMMENT ON COLUMN public.iu_route_repeat.reason IS 'Why';
COMMENT ON COLUMN public.iu_route_repeat.asked_at IS 'When';

CREATE VIEW public.v_iu_route_attempt_repeat AS
  SELECT a.route_code, a.event_ref, a.idempotency_key AS webhook_id, a.attempt_no, a.status, a.recorded_at,
         r.repeat_of, r.reason
    FROM public.iu_route_repeat r JOIN public.iu_route_attempt a ON a.idempotency_key = r.webhook_id;
COMMENT ON VIEW public.v_iu_route_attempt_repeat IS
  'Attempts of deliveries that repeat another, with what they repeat.';

-- A delivery may have two dead letters, one of a dry run that could not be made, and
-- what was sent may be sent again many times: each has a number of its own.
CREATE FUNCTION iu.fn_iu_route_replay_next(p_route public.iu_outbound_route, p_event_id uuid, p_event_seq bigint,
    INOUT p_replay integer, OUT webhook_id text)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off
AS $function$
BEGIN
  LOOP
    webhook_id := iu.fn_iu_webhook_id(p_event_seq, p_route.id, p_replay, p_event_id);
    EXIT WHEN NOT EXISTS (SELECT FROM public.iu_route_retry t
                           WHERE t.route_code = p_route.route_code AND t.event_id = p_event_id
                             AND t.replay_number = p_replay)
      AND NOT EXISTS (SELECT FROM public.iu_route_attempt a WHERE a.idempotency_key = webhook_id)
      AND NOT EXISTS (SELECT FROM public.iu_route_dead_letter d WHERE d.idempotency_key = webhook_id)
      AND NOT EXISTS (SELECT FROM public.iu_route_lease l
                       CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers) AS i (event_id, replay_number)
                       WHERE l.route_code = p_route.route_code AND p_event_id = ANY (l.event_ids)
                         AND i.event_id = p_event_id AND i.replay_number = p_replay);
    p_replay := p_replay + 1;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_replay_next IS
  'For the replays: the first replay number from p_replay on that no delivery of this event on this route has, and its '
  'webhook-id.';

-- Two may choose the same number at the same moment; the second waits for the first, and takes the next.
CREATE FUNCTION iu.fn_iu_route_replay_put(p_route public.iu_outbound_route, p_event_id uuid, p_event_seq bigint,
    p_due_at timestamptz, INOUT p_replay integer, OUT webhook_id text)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off
AS $function$
DECLARE
  c_tries constant integer := 100;
  v_next  record;
  v_put   boolean := false;
BEGIN
  FOR i IN 1 .. c_tries LOOP
    v_next := iu.fn_iu_route_replay_next(p_route, p_event_id, p_event_seq, p_replay);
    INSERT INTO public.iu_route_retry (route_code, event_id, replay_number, event_seq, due_at, reason)
      VALUES (p_route.route_code, p_event_id, v_next.p_replay, p_event_seq, p_due_at, 'replay')
      ON CONFLICT DO NOTHING;
    v_put := FOUND;
    p_replay := v_next.p_replay;
    webhook_id := v_next.webhook_id;
    EXIT WHEN v_put;
  END LOOP;
  PERFORM iu.fn_iu_require_effect(
    v_put AND EXISTS (SELECT FROM public.iu_route_retry t WHERE t.route_code = p_route.route_code
                         AND t.event_id = p_event_id AND t.replay_number = p_replay),
    'public.iu_route_retry', 'handing the event over once more');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_replay_put IS
  'For the replays: hands an event over once more on a route, at a time, with the first replay number from p_replay on '
  'that no delivery of it has. Returns that and its webhook-id. Its caller has READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_route_repeat_note(
    p_webhook_id text, p_route_code text, p_event_ref uuid, p_repeat_of text, p_actor text, p_reason text)
  RETURNS void
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO public.iu_route_repeat (webhook_id, route_code, event_ref, repeat_of, asked_by, reason)
    VALUES (p_webhook_id, p_route_code, p_event_ref, p_repeat_of, coalesce(p_actor, ''), coalesce(p_reason, ''))
    ON CONFLICT (webhook_id) DO NOTHING;
END;
COMMENT ON FUNCTION iu.fn_iu_route_repeat_note IS
  'For the replays: writes down what a delivery repeats. Raises nothing.';
