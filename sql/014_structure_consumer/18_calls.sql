-- Calls of functions that have begun. The beginning is committed before the call,
-- the row goes with the transaction of the call: so what is here when a call is to
-- begin is a call in whose middle the process ended.

CREATE TABLE public.iu_route_call (
  route_code    text        NOT NULL,
  event_id      uuid        NOT NULL,
  replay_number integer     NOT NULL,
  attempt_no    integer     NOT NULL,
  begun_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  interrupted   integer     NOT NULL DEFAULT 0,
  CONSTRAINT iu_route_call_pkey PRIMARY KEY (event_id, route_code, replay_number)
);
COMMENT ON TABLE public.iu_route_call IS
  'Calls of functions of routes that have begun and have not ended: the one under way, and those in whose middle the '
  'process ended and that have not been called again.';
COMMENT ON COLUMN public.iu_route_call.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_call.event_id IS 'The event';
COMMENT ON COLUMN public.iu_route_call.replay_number IS '0: the delivery itself';
COMMENT ON COLUMN public.iu_route_call.attempt_no IS 'The number of the attempt that began';
COMMENT ON COLUMN public.iu_route_call.begun_at IS 'When, by the clock';
COMMENT ON COLUMN public.iu_route_call.interrupted IS
  'How often the process ended in the middle of this attempt, for a reason that is not known';

CREATE FUNCTION iu.fn_iu_function_hung(p_route_code text) RETURNS void
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO public.iu_route_hung AS h (route_code, hold_until)
    SELECT r.route_code, iu_core.steady_clock() + make_interval(secs => least(greatest(r.timeout_ms / 1000.0, 1), 60))
      FROM public.iu_outbound_route r WHERE r.route_code = p_route_code
    ON CONFLICT (route_code) DO UPDATE
      SET times = h.times + 1, last_at = clock_timestamp(), hold_until = excluded.hold_until;
END;
COMMENT ON FUNCTION iu.fn_iu_function_hung IS
  'For fn_iu_function_begin: notes that the function of a route did not end, and lets the route wait for as long as '
  'its function may take, from 1 s to 60 s. Raises nothing.';

CREATE FUNCTION iu.fn_iu_function_begin(
    p_lease_id bigint, p_lease_generation integer, p_event_id uuid, p_replay_number integer, p_attempt_no integer,
    p_turn text, p_overran boolean)
  RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route text;
  v_call  public.iu_route_call;
BEGIN
  SELECT l.route_code INTO v_route FROM public.iu_route_lease l
   WHERE l.lease_id = p_lease_id AND l.generation = p_lease_generation AND p_event_id = ANY (l.event_ids);
  IF NOT FOUND THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('lease %s of generation %s does not hold event %s', p_lease_id, p_lease_generation, p_event_id),
      DETAIL = 'It was recorded, or it expired and another sender took it over.', CONSTRAINT = 'iu_lease_lost';
  END IF;
  SELECT c.* INTO v_call FROM public.iu_route_call c
   WHERE c.event_id = p_event_id AND c.route_code = v_route AND c.replay_number = p_replay_number FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO public.iu_route_call (route_code, event_id, replay_number, attempt_no)
      VALUES (v_route, p_event_id, p_replay_number, p_attempt_no);
    RETURN 'call';
  ELSIF p_turn <> 'returned' AND v_call.attempt_no = p_attempt_no THEN
    IF p_overran AND v_call.begun_at >= (SELECT max(c.begun_at) FROM public.iu_route_call c) THEN
      DELETE FROM public.iu_route_call c
       WHERE c.event_id = p_event_id AND c.route_code = v_route AND c.replay_number = p_replay_number;
      PERFORM iu.fn_iu_function_hung(v_route);
      RETURN 'overran';
    ELSIF v_call.interrupted > 0 THEN
      DELETE FROM public.iu_route_call c
       WHERE c.event_id = p_event_id AND c.route_code = v_route AND c.replay_number = p_replay_number;
      RETURN 'interrupted';
    ELSIF p_turn = 'first' THEN
      RETURN 'last';
    END IF;
  END IF;
  UPDATE public.iu_route_call c
     SET attempt_no = p_attempt_no, begun_at = clock_timestamp(),
         interrupted = CASE WHEN p_turn = 'last' AND v_call.attempt_no = p_attempt_no THEN v_call.interrupted + 1
                            ELSE 0 END
   WHERE c.event_id = p_event_id AND c.route_code = v_route AND c.replay_number = p_replay_number;
  RETURN 'call';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_function_begin IS
  'For the runner, committed before the call of a function: lease and generation, event, replay number, number of the '
  'attempt, whose turn it is (first; last: after all others; returned: the same process has called it, and that call '
  'ended), and whether the process before was ended because what it called did not end. Returns what is to follow: '
  'call; last, not now but after all others, since a process ended in its middle; overran or interrupted, a failed '
  'attempt without a call: the function did not end by its time, or a process ended in its middle for the second '
  'time. SQLSTATE 55000: the lease is another''s, or does not hold the event.';
