-- Why did this event not go out on this route? All that is known of the two is
-- read first; the first thing that stands in the way is the answer.

CREATE FUNCTION iu.fn_iu_route_explain_facts(
    p_route public.iu_outbound_route, p_event public.event_outbox, p_lease public.iu_route_lease,
    p_retry public.iu_route_retry, p_attempt public.iu_route_attempt, p_letter public.iu_route_dead_letter)
  RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT jsonb_build_object('route', p_route.route_code, 'event_id', p_event.id,
  'carries', p_route.event_domain || '.' || p_route.event_type,
  'event', p_event.event_domain || '.' || p_event.event_type,
  'problem', (v).problem, 'broken', (v).code,
  'sender', p_lease.sender, 'since', p_lease.claimed_at::text,
  'delivered_at', p_attempt.recorded_at::text,
  'attempt', coalesce(p_retry.attempt_no, CASE WHEN p_attempt.status = 'sent' THEN p_attempt.attempt_no END,
                      p_letter.attempts, p_attempt.attempt_no),
  'due_at', (p_retry.due_at + iu_core.clock_moved())::text, 'reason', p_retry.reason,
  'letter', p_letter.id, 'failure', coalesce(p_letter.failure_code, p_attempt.failure_code),
  'resolved_by', p_letter.resolved_by, 'resolution', p_letter.resolution)
  FROM iu.fn_iu_payload_verdict(p_route, p_event.safe_payload) v);
COMMENT ON FUNCTION iu.fn_iu_route_explain_facts IS
  'For fn_iu_route_explain: what its sentences name, of a route, an event, and the lease, the retry, the last attempt '
  'and the dead letter of the two, each NULL where there is none.';

CREATE FUNCTION iu.fn_iu_route_explain_code(
    p_route public.iu_outbound_route, p_event public.event_outbox, p_at public.v_iu_route_position, p_leased boolean,
    p_retry public.iu_route_retry, p_sent boolean, p_letter public.iu_route_dead_letter, p_attempted boolean,
    p_refusal text, p_broken text)
  RETURNS text
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
RETURN CASE
  WHEN p_event.id IS NULL THEN 'event_unknown'
  WHEN p_route.id IS NULL THEN 'route_unknown'
  WHEN NOT iu.fn_iu_route_carries(p_route.route_code, p_event.event_domain, p_event.event_type)
    THEN 'event_not_on_route'
  WHEN p_leased AND p_refusal IS NULL THEN 'in_flight'
  WHEN NOT p_leased AND p_retry.event_id IS NULL AND p_sent THEN 'delivered'
  WHEN NOT p_leased AND p_retry.event_id IS NULL AND p_letter.resolved_at IS NOT NULL THEN 'resolved'
  WHEN NOT p_leased AND p_retry.event_id IS NULL AND (p_attempted OR p_letter.id IS NOT NULL) THEN 'dead_letter'
  WHEN p_event.payload_classification <> 'safe_metadata' THEN 'payload_restricted'
  WHEN p_broken IS NOT NULL THEN p_broken
  WHEN NOT p_leased AND p_retry.event_id IS NULL
       AND (p_event.emitted_xid = '2' OR (p_event.emitted_xid >= pg_snapshot_xmax(iu.fn_iu_snapshot_now())
              AND p_event.emitted_xid IS DISTINCT FROM pg_current_xact_id_if_assigned()))
       AND p_refusal IS DISTINCT FROM 'position_foreign'
    THEN 'from_elsewhere'
  WHEN NOT p_leased AND p_retry.event_id IS NULL AND p_at.route_code IS NOT NULL
       AND p_refusal IS DISTINCT FROM 'position_foreign'
       AND (p_event.event_seq <= p_at.floor_seq OR pg_visible_in_snapshot(p_event.emitted_xid, p_at.seen))
    THEN 'before_start'
  WHEN p_refusal IS NOT NULL THEN p_refusal
  WHEN p_retry.event_id IS NOT NULL AND p_retry.due_at IS NULL THEN 'waiting_subject'
  WHEN p_retry.due_at > iu_core.steady_clock() AND p_retry.reason = 'address_refused' THEN 'address_refused'
  WHEN p_retry.due_at > iu_core.steady_clock() THEN 'waiting_retry'
  ELSE 'due' END;
COMMENT ON FUNCTION iu.fn_iu_route_explain_code IS
  'For fn_iu_route_explain: the code of the first thing that keeps an event from going out on a route. Arguments: '
  'route, event, position, whether a sender has it, its retry, whether it was sent, its dead letter, whether it was '
  'attempted, what holds the route (code or NULL), why it does not carry the payload (contract, filtered, '
  'filter_failed, or NULL).';

CREATE FUNCTION iu.fn_iu_route_explain(p_route_code text, p_event_id uuid) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off
AS $function$
DECLARE
  v_refusal constant jsonb := iu.fn_iu_route_refusal(p_route_code);
  v_route   public.iu_outbound_route;
  v_event   public.event_outbox;
  v_at      public.v_iu_route_position;
  v_lease   public.iu_route_lease;
  v_retry   public.iu_route_retry;
  v_attempt public.iu_route_attempt;
  v_letter  public.iu_route_dead_letter;
  v_prefix  text;
  v_facts   jsonb;
  v_code    text;
  v_answer  jsonb;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  SELECT * INTO v_event FROM public.event_outbox WHERE id = p_event_id;
  SELECT * INTO v_at FROM public.v_iu_route_position WHERE route_code = p_route_code;
  SELECT * INTO v_lease FROM public.iu_route_lease l
   WHERE l.route_code = p_route_code AND p_event_id = ANY (l.event_ids) LIMIT 1;
  SELECT * INTO v_retry FROM public.iu_route_retry t
   WHERE t.route_code = p_route_code AND t.event_id = p_event_id ORDER BY t.replay_number DESC LIMIT 1;
  v_prefix := 'msg_' || v_event.event_seq || '_' || v_route.id || '_';
  SELECT * INTO v_attempt FROM public.iu_route_attempt a
   WHERE a.idempotency_key >= v_prefix AND a.idempotency_key < v_prefix || 'a' AND a.status <> 'dry_run'
   ORDER BY a.replay_number DESC, a.attempt_no DESC LIMIT 1;
  SELECT * INTO v_letter FROM public.iu_route_dead_letter d
   WHERE d.idempotency_key >= v_prefix AND d.idempotency_key < v_prefix || 'a'
     AND d.replay_number >= coalesce(v_attempt.replay_number, 0)
   ORDER BY d.replay_number DESC LIMIT 1;

  v_facts := iu.fn_iu_route_explain_facts(v_route, v_event, v_lease, v_retry, v_attempt, v_letter);
  v_code := iu.fn_iu_route_explain_code(v_route, v_event, v_at, v_lease.lease_id IS NOT NULL, v_retry,
    v_attempt.status IS NOT DISTINCT FROM 'sent', v_letter, v_attempt.id IS NOT NULL, v_refusal ->> 'code',
    v_facts ->> 'broken');
  v_answer := CASE
    WHEN v_code = v_refusal ->> 'code' AND v_code <> 'route_unknown' THEN v_refusal
    WHEN v_code = 'address_refused' THEN iu.fn_iu_route_address_refusal(v_retry.detail)
    WHEN v_code = 'dead_letter' AND v_letter.attempts = 0 THEN iu.fn_iu_delivery_answer(v_code,
      v_facts || jsonb_build_object('sentence', 'it was given up before its first attempt: ' || v_letter.failure_code))
    ELSE iu.fn_iu_delivery_answer(v_code, v_facts) END;
  IF v_code = 'dead_letter' AND v_route.retired_at IS NOT NULL THEN  -- a replay could not go out
    v_answer := v_answer || jsonb_build_object('next_action', format(
      'SELECT fn_iu_route_dead_letter_resolve(%L, session_user, ''reason'')', v_letter.id));
  END IF;
  RETURN jsonb_build_object('route_code', p_route_code, 'event_id', p_event_id) || v_answer
    || jsonb_strip_nulls(jsonb_build_object(
         'lease_expires_at', CASE WHEN v_code = 'in_flight' THEN v_lease.expires_at + iu_core.clock_moved() END,
         'behind', CASE WHEN v_code = 'waiting_subject' THEN iu.fn_iu_order_head(p_route_code, v_retry.subject) END,
         'due_at', CASE WHEN v_code IN ('address_refused', 'waiting_retry')
                        THEN v_retry.due_at + iu_core.clock_moved() END,
         'attempts', v_attempt.attempt_no, 'last_failure', v_attempt.failure_code,
         'last_failure_detail', v_attempt.failure_detail, 'last_http_status', v_attempt.http_status,
         'last_response', v_attempt.response_excerpt, 'webhook_id', v_attempt.idempotency_key,
         'ca_name', v_route.ca_name, 'client_name', v_route.client_name));
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
  'delivered, dead_letter, resolved, payload_restricted, filtered, filter_failed, contract, from_elsewhere, '
  'before_start, address_refused, '
  'waiting_subject (behind: the event whose end it waits for), waiting_retry, due. Of the last '
  'attempt, where there was one: '
  'attempts, last_failure, last_failure_detail, last_http_status, last_response (the start of the answer), '
  'webhook_id; ca_name and client_name of the route, where it has them. next_action as in fn_iu_route_refusal.';
