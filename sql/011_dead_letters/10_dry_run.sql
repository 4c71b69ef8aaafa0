-- 011 dead letters: sent again, or resolved without.
--
-- A replay is a delivery of its own: the same event and route, the next replay
-- number, so another webhook-id, by which a receiver that took the first one
-- after all can tell the two apart. It goes among the retries; the sender
-- carries it like any other. Many at once are spread over time by due_at.
-- The dry run of a delivery is in this migration as well, since a replay on a
-- route that is a dry run makes one.

CREATE FUNCTION iu.fn_iu_delivery_request(
    p_route public.iu_outbound_route, p_event public.event_outbox, p_replay_number integer)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_id      text := iu.fn_iu_webhook_id(p_event.event_seq, p_route.id, p_replay_number, p_event.id);
  v_body    text := iu.fn_iu_delivery_body(p_event);
  v_bytes   bytea := convert_to(v_body, 'UTF8');
  v_secrets integer;
  v_request jsonb := jsonb_build_object('target_kind', p_route.target_kind, 'target_ref', p_route.target_ref,
    'webhook_id', v_id, 'body', v_body, 'body_bytes', octet_length(v_bytes),
    'body_sha256', encode(sha256(v_bytes), 'hex'));
BEGIN
  IF p_route.target_kind NOT IN ('external_endpoint', 'directus_flow') THEN
    RETURN v_request;
  END IF;
  SELECT count(*) INTO v_secrets FROM public.iu_route_secret s
   WHERE s.secret_ref = p_route.secret_ref AND iu.fn_iu_route_secret_is_valid(s);
  RETURN v_request
    || jsonb_strip_nulls(jsonb_build_object('ca_name', p_route.ca_name, 'client_name', p_route.client_name))
    || jsonb_build_object('method', 'POST', 'url', p_route.target_ref, 'headers', jsonb_build_object(
    'content-type', 'application/json', 'user-agent', 'iu_core/' || iu_core.version(),
    'content-length', octet_length(v_bytes)::text, 'webhook-id', v_id,
    'webhook-timestamp', floor(extract(epoch FROM clock_timestamp()))::bigint::text,
    'webhook-signature', CASE WHEN v_secrets > 0 THEN format('present: %s', v_secrets) ELSE 'missing' END)
    || (SELECT coalesce(jsonb_object_agg(lower(h.key), CASE WHEN jsonb_typeof(h.value) = 'string' THEN h.value
                                                          ELSE '"present"' END), '{}')
          FROM jsonb_each(p_route.request_headers) h));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_request IS
  'What a delivery would send, to the byte: {target_kind, target_ref, webhook_id, body, body_bytes, body_sha256} '
  'and, to a URL, {method, url, headers, ca_name, client_name: where it has these}. Of the headers, '
  'webhook-timestamp is that of the call, webhook-signature only says how many secrets would sign, a header that is '
  'made of a credential that it is present, and host and accept, which follow from the URL, are left out.';

CREATE FUNCTION iu.fn_iu_delivery_dry_run(
    p_route public.iu_outbound_route, p_event public.event_outbox, p_replay_number integer, p_attempt_no integer)
  RETURNS bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_started timestamptz := clock_timestamp();
  v_request jsonb := iu.fn_iu_delivery_request(p_route, p_event, p_replay_number);
  v_broken  record;
  v_id      bigint;
BEGIN
  IF EXISTS (SELECT FROM public.iu_route_attempt a
              WHERE a.idempotency_key = 'dry_' || (v_request ->> 'webhook_id') AND a.attempt_no = p_attempt_no) THEN
    RETURN NULL;
  END IF;
  v_broken := iu.fn_iu_payload_verdict(p_route, p_event.safe_payload);
  INSERT INTO public.iu_route_attempt (route_code, event_ref, replay_number, attempt_no, idempotency_key, status,
      sender, started_at, duration_us, failure_code, failure_detail, payload_snapshot)
    VALUES (p_route.route_code, p_event.id, p_replay_number, p_attempt_no, 'dry_' || (v_request ->> 'webhook_id'),
      'dry_run', 'dry run', v_started, 1000000 * extract(epoch FROM clock_timestamp() - v_started),
      v_broken.code, left(v_broken.problem, 1000), v_request)
    RETURNING id INTO v_id;
  RETURN v_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_dry_run IS
  'Records a dry run of a delivery: an attempt with status dry_run, fn_iu_delivery_request in payload_snapshot, '
  'and dry_ before the webhook-id as its key, so that the delivery itself still has all its numbers; failure_code '
  'contract where the payload breaks the route''s contract, filtered or filter_failed where it does not pass the '
  'filter, so that nothing would be sent. Returns its id, NULL where it was recorded before. Callers keep others from '
  'recording it meanwhile: passes run one at a time, and a replay locks its dead letter.';
