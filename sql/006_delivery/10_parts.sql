-- Parts of a delivery: its id and its body, the snapshot by which events are found,
-- the end of a lease. What a claim calls and the planner cannot inline is plpgsql,
-- since a function of language sql would be planned anew in each call.

-- pg_current_snapshot() leaves the own transaction out, so that one with a
-- later number can make it look committed.
CREATE FUNCTION iu.fn_iu_snapshot_now() RETURNS pg_snapshot
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_now pg_snapshot := pg_current_snapshot();
  v_own xid8 := pg_current_xact_id_if_assigned();
BEGIN
  IF v_own IS NULL OR v_own >= pg_snapshot_xmax(v_now) THEN
    RETURN v_now;
  END IF;
  RETURN format('%s:%s:%s', least(v_own, pg_snapshot_xmin(v_now)), pg_snapshot_xmax(v_now),
           (SELECT string_agg(x.xid::text, ',' ORDER BY x.xid)
              FROM (SELECT pg_snapshot_xip(v_now) AS xid UNION SELECT v_own) AS x));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_snapshot_now IS
  'The snapshot of the calling statement, in which the own transaction counts as running.';

CREATE FUNCTION iu.fn_iu_webhook_id(p_event_seq bigint, p_route_id bigint, p_replay_number integer, p_event_id uuid)
  RETURNS text LANGUAGE sql IMMUTABLE
RETURN iu_core.webhook_id(p_event_seq, p_route_id, p_replay_number, p_event_id);
COMMENT ON FUNCTION iu.fn_iu_webhook_id IS
  'The webhook-id of a delivery: event_seq, route id, replay number and the end of the event''s id. Sorts with '
  'the outbox, so that the index of attempts grows at its end.';

CREATE FUNCTION iu.fn_iu_delivery_body(p_event public.event_outbox) RETURNS text
  LANGUAGE sql STABLE
RETURN iu_core.delivery_body(p_event.event_domain, p_event.event_type, p_event.occurred_at, p_event.id,
  p_event.event_severity, p_event.event_subject_table, p_event.event_subject_ref, p_event.canonical_address,
  p_event.correlation_id, p_event.safe_payload);
COMMENT ON FUNCTION iu.fn_iu_delivery_body IS
  'What public.fn_iu_delivery_body hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_delivery_body(p_event public.event_outbox) RETURNS text
  LANGUAGE sql STABLE
RETURN iu.fn_iu_delivery_body(p_event);
COMMENT ON FUNCTION public.fn_iu_delivery_body IS
  'The body of a delivery in the form of Standard Webhooks: {type, timestamp, data: {event_id, severity, subject: '
  '{table, ref}, canonical_address, correlation_id, payload}}. It follows from the event alone and depends on no '
  'setting, so that every attempt sends the same bytes.';

-- This function is inlined where it is called. A lease lasts for a minute and ten
-- times the timeout of a request, so that it outlives the requests of its deliveries.
CREATE FUNCTION iu.fn_iu_lease_end(p_timeout_ms integer) RETURNS timestamptz
  LANGUAGE sql VOLATILE
RETURN iu_core.steady_clock() + make_interval(secs => 60 + p_timeout_ms / 100.0);
COMMENT ON FUNCTION iu.fn_iu_lease_end IS
  'When a lease that is taken or kept now ends, by the timeout of its route in milliseconds: after it, another sender '
  'may take it over.';
