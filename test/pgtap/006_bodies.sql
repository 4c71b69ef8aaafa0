-- 006: body and webhook-id, which C makes, are to the byte what SQL would make of
-- the event.
\ir setup.psql
SELECT no_plan();

UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
SELECT fn_iu_emit_event('version_applied', 'a/1', gen_random_uuid(), 't', '{"n": 1}') \g /dev/null

CREATE FUNCTION pg_temp.body(e event_outbox) RETURNS text LANGUAGE sql AS $$
SELECT '{"type":"' || e.event_domain || '.' || e.event_type
  || '","timestamp":"' || to_char(e.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
  || '","data":{"event_id":"' || e.id || '","severity":"' || e.event_severity
  || '","subject":{"table":' || to_json(e.event_subject_table)::text || ',"ref":' || to_json(e.event_subject_ref)::text
  || '},"canonical_address":' || coalesce(to_json(e.canonical_address)::text, 'null')
  || ',"correlation_id":' || coalesce(to_json(e.correlation_id)::text, 'null')
  || ',"payload":' || e.safe_payload::text || '}}' $$;
CREATE TEMP TABLE odd AS
  SELECT e.* FROM event_outbox e UNION ALL
  SELECT (jsonb_populate_record(s.e, jsonb_build_object('id', gen_random_uuid(), 'occurred_at', t,
           'canonical_address', a,
           'correlation_id', a, 'event_subject_ref', coalesce(a, 'r'), 'event_subject_table', 'T"\t' || t,
           'safe_payload', p))).*
    FROM (SELECT o AS e FROM event_outbox o LIMIT 1) s,
      unnest(ARRAY['0001-01-01 00:00:00+00', '2024-02-29 23:59:59.999999+14', '9999-12-30 12:00:00.5-11',
        '1969-12-31 23:59:59.000001+00']) t,
      unnest(ARRAY[NULL, '', 'a"b\c/d', E'line\nfeed\ttab\x01\x1f\x7f', 'Điều 32 🙂', repeat('long ', 5000)]) a,
      unnest(ARRAY['{}', '{"n": 1.50, "t": "\u00e9\n", "l": [1, null, {"a": false}],
        "big": 123456789012345678901}']::jsonb[]) p;
SELECT is((SELECT count(*) FROM odd e WHERE fn_iu_delivery_body(ROW(e.*)::event_outbox)
    IS DISTINCT FROM pg_temp.body(ROW(e.*)::event_outbox)), 0::bigint, 'a body is the same to the byte');
SELECT is((SELECT count(*) FROM odd), 49::bigint, 'bodies of every kind are compared');
SELECT is((SELECT count(*) FROM odd e, unnest(ARRAY[0, 7, 2147483647]) n
  WHERE iu.fn_iu_webhook_id(e.event_seq, 42, n, e.id)
    IS DISTINCT FROM 'msg_' || e.event_seq || '_42_' || n || '_' || right(e.id::text, 12)), 0::bigint,
  'a webhook-id is the same to the byte');

SELECT finish();
ROLLBACK;
