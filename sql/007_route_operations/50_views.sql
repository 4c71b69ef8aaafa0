-- One look at what is ahead of any route, however many there are and whatever
-- was delivered before: the settings keep the plan to that.
CREATE FUNCTION iu.fn_iu_route_waiting() RETURNS TABLE (route_code text, waiting bigint, oldest timestamptz)
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
COMMENT ON FUNCTION iu.fn_iu_route_waiting IS
  'Of each armed route that is not retired and has any: the events ahead of its position, and when the oldest was '
  'created. Reads what is ahead, not what was delivered.';

CREATE VIEW public.v_iu_event_backlog AS
  SELECT r.route_code, r.event_domain, r.event_type, coalesce(w.waiting, 0) AS waiting, coalesce(t.retrying, 0) AS retrying,
         coalesce(l.leased, 0) AS leased, least(w.oldest, t.oldest_replay, f.created_at) AS oldest_at, t.next_due_at,
         iu.fn_iu_delivery_refusal(r.route_code) AS refusal, least(w.oldest, t.oldest_due, l.oldest_end) AS oldest_due_at
    FROM public.iu_outbound_route r
    LEFT JOIN public.v_iu_route_position p ON p.route_code = r.route_code
    LEFT JOIN iu.fn_iu_route_waiting() AS w ON w.route_code = r.route_code
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
  'One row a route: events ahead of its position (none before it is armed), deliveries to be tried again or '
  'waiting for another of their subject, deliveries with a sender, since when the oldest waits (its event was '
  'created; a replay was asked for), when the next is due, the code of what holds it, and since when something '
  'has been due.';

CREATE VIEW public.v_iu_route_held AS
  SELECT b.route_code, f.refusal ->> 'code' AS code, f.refusal ->> 'sentence' AS sentence,
         f.refusal ->> 'next_action' AS next_action, b.waiting + b.retrying + b.leased AS held, b.oldest_at
    FROM public.v_iu_event_backlog b
    CROSS JOIN LATERAL (SELECT iu.fn_iu_route_refusal(b.route_code) AS refusal) AS f
   WHERE b.refusal IS NOT NULL AND b.waiting + b.retrying + b.leased > 0
  UNION ALL
  SELECT t.route_code, f.refusal ->> 'code', f.refusal ->> 'sentence', f.refusal ->> 'next_action', t.held, e.created_at
    FROM (SELECT x.route_code, count(*) AS held, min(x.event_seq) AS first_seq, max(x.detail) AS detail
            FROM public.iu_route_retry x WHERE x.reason = 'address_refused' GROUP BY x.route_code) AS t
    JOIN public.iu_outbound_route r ON r.route_code = t.route_code
    JOIN public.event_outbox e ON e.event_domain = r.event_domain AND e.event_type = r.event_type AND e.event_seq = t.first_seq
    CROSS JOIN LATERAL (SELECT iu.fn_iu_route_address_refusal(t.detail) AS refusal) AS f
   WHERE iu.fn_iu_delivery_refusal(t.route_code) IS NULL;
COMMENT ON VIEW public.v_iu_route_held IS
  'Routes whose deliveries are held: why, what to do, how many, the oldest.';

CREATE FUNCTION iu.fn_iu_route_explain(p_route_code text, p_event_id uuid) RETURNS jsonb
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
  v_refusal jsonb := iu.fn_iu_route_refusal(p_route_code);
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
  v_broken := iu.fn_iu_payload_problem(v_route.payload_contract, v_event.safe_payload);
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
      'behind', iu.fn_iu_order_head(p_route_code, v_retry.subject))
    WHEN v_retry.due_at > clock_timestamp() AND v_retry.reason = 'address_refused' THEN iu.fn_iu_route_address_refusal(v_retry.detail)
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
COMMENT ON FUNCTION iu.fn_iu_route_explain IS
  'What public.fn_iu_route_explain hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_explain(p_route_code text, p_event_id uuid) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN
  iu.fn_iu_route_explain(p_route_code, p_event_id) END;
COMMENT ON FUNCTION public.fn_iu_route_explain IS
  'Why did, or would, this event not go out on this route? {route_code, event_id, code, sentence, next_action, '
  '...}: the first refusal as in fn_iu_delivery_refusal, or event_unknown, event_not_on_route, in_flight, '
  'delivered, dead_letter, resolved, payload_restricted, contract, before_start, address_refused, waiting_subject '
  '(behind: the event whose end it waits for), waiting_retry, due. Of the last attempt, where there was one: '
  'attempts, last_failure, last_failure_detail, last_http_status, last_response (the start of the answer), '
  'webhook_id. next_action as in fn_iu_route_refusal.';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_arm',              'health', true, true,  ARRAY['fn_iu_route_arm']),
  ('dot_iu_route_confirm_position', 'health', true, false, ARRAY['fn_iu_route_confirm_position']),
  ('dot_iu_route_circuit_close',    'health', true, false, ARRAY['fn_iu_route_circuit_close']),
  ('dot_iu_route_retry_now',        'health', true, false, ARRAY['fn_iu_route_retry_now']);
