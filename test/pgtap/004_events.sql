-- 004: what an emitter promises, and what the outbox refuses.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.emit(p_type text, p_payload jsonb DEFAULT '{}', p_key text DEFAULT NULL) RETURNS uuid
  LANGUAGE sql AS $$SELECT fn_iu_emit_event(p_type, 'DOC/1', '11111111-1111-1111-1111-111111111111', 'tester', p_payload, p_key)$$;
CREATE FUNCTION pg_temp.put(p_domain text, p_type text, p_stream text, p_lane text) RETURNS void
  LANGUAGE sql AS $$INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane, event_subject_table, event_subject_ref, source_system)
    VALUES (p_domain, p_type, p_stream, p_lane, 't', 'r', 's')$$;

-- ---- the shape

SELECT is((SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'event_type_registry'::regclass AND attnum > 0),
  ARRAY['event_domain', 'event_type', 'event_stream', 'delivery_lane', 'default_severity', 'description', 'active', 'created_at'],
  'the registry has its columns, in order');
SELECT is((SELECT (array_agg(attname::text ORDER BY attnum))[1:16] FROM pg_attribute WHERE attrelid = 'event_outbox'::regclass AND attnum > 0),
  ARRAY['id', 'event_domain', 'event_type', 'event_stream', 'delivery_lane', 'event_severity', 'event_subject_table', 'event_subject_ref',
    'canonical_address', 'actor_ref', 'source_system', 'correlation_id', 'payload_classification', 'safe_payload', 'occurred_at', 'created_at'],
  'the outbox begins with the known sixteen');
SELECT is((SELECT count(*) FROM event_type_registry WHERE event_domain = 'iu' AND active), 15::bigint, '15 types of domain iu');
SELECT is((SELECT array_agg(DISTINCT delivery_lane) FROM event_type_registry WHERE event_type LIKE 'collection%' OR event_type LIKE 'piece%'),
  ARRAY['delayed'], 'the collection family is delayed');
SELECT is((SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'event_outbox_domain_chk'),
  (SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'event_type_registry_domain_chk'),
  'what can be registered can be emitted: both tables know the same domains');

SELECT pg_temp.refuses(format($$INSERT INTO event_type_registry (event_domain, event_type, event_stream, delivery_lane, default_severity, description)
    VALUES (%L, %L, %L, %L, %L, 'x')$$, d, t, s, l, v), '23514', c, 'registry: ' || c)
  FROM (VALUES ('nobody', 'x', 'update', 'immediate', 'info', 'domain_chk'), ('iu', 'X y', 'update', 'immediate', 'info', 'type_chk'),
               ('iu', 'x', 'workflow', 'immediate', 'info', 'stream_chk'), ('iu', 'x', 'update', 'later', 'info', 'lane_chk'),
               ('iu', 'x', 'update', 'immediate', 'warn', 'severity_chk')) AS v (d, t, s, l, v, c);

-- ---- the master switch

UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT is(pg_temp.emit('version_applied'), NULL, 'master switch off: NULL');
SELECT is(pg_temp.emit('version_applied', '{"body": 1}'), NULL, 'whatever the payload');
SELECT is(fn_iu_core_routes_enabled(), false, 'and the function says so');
DELETE FROM dot_config WHERE key = 'iu_core.routes_master_enabled';
SELECT is(pg_temp.emit('version_applied'), NULL, 'master switch without a row: NULL');
SELECT is((SELECT count(*) FROM event_outbox), 0::bigint, 'nothing was written');
SELECT pg_temp.refuses($$SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'a', 'r')$$, 'P0002', 'no row in dot_config',
  'a switch that lost its row is not made anew in passing');
INSERT INTO dot_config (key, value) VALUES ('iu_core.routes_master_enabled', 'false');

SELECT pg_temp.refuses(format('SELECT fn_iu_switch_set(%L, %L, %L, %L)', k, v, a, r), e, p, n) FROM (VALUES
  ('iu_core.delivery_enabled', 'true', 'a', 'r', '42501', 'is not a switch', 'a gate is not a switch'),
  ('nothing', 'true', 'a', 'r', '42501', 'is not a switch', 'nor is an unknown key'),
  (NULL, 'true', 'a', 'r', '42501', 'is not a switch', 'nor NULL'),
  ('iu_core.routes_master_enabled', 'yes', 'a', 'r', '23514', 'true or false', 'a switch is true or false'),
  ('iu_core.routes_master_enabled', NULL, 'a', 'r', '23514', 'true or false', 'not NULL'),
  ('iu_core.routes_master_enabled', 'true', ' ', 'r', '23514', 'somebody for a reason', 'somebody sets it'),
  ('iu_core.routes_master_enabled', 'true', 'a', NULL, '23514', 'somebody for a reason', 'for a reason')) AS t (k, v, a, r, e, p, n);
SELECT is(fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 'go') - 'run_id',
  '{"status": "set", "switch": "iu_core.routes_master_enabled", "previous": "false", "value": "true"}', 'the switch is set');
SELECT is((SELECT actor || ' ' || (evidence ->> 'reason') FROM dot_iu_command_run WHERE command_name = 'dot_iu_switch_set'), 'ann go', 'and logged');
SELECT is(fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 'go') ->> 'status', 'unchanged', 'a second time changes nothing');

-- ---- emitting

SELECT is(pg_temp.emit('no_such_type'), NULL, 'unknown type: NULL');
SELECT is(pg_temp.emit(NULL), NULL, 'no type: NULL');
UPDATE event_type_registry SET active = false WHERE event_type = 'structure_op_applied';
SELECT is(pg_temp.emit('structure_op_applied'), NULL, 'inactive type: NULL');
SELECT isnt(pg_temp.emit('version_applied', '{"seq": 2}'), NULL, 'a known type: its id');
SELECT row_eq($$SELECT event_domain, event_stream, delivery_lane, event_severity, event_subject_table, event_subject_ref, canonical_address,
    actor_ref, source_system, payload_classification, safe_payload FROM event_outbox$$,
  ROW('iu'::text, 'update'::text, 'immediate'::text, 'info'::text, 'information_unit'::text, '11111111-1111-1111-1111-111111111111'::text, 'DOC/1'::text,
    'tester'::text, 'iu_core'::text, 'safe_metadata'::text, '{"seq": 2}'::jsonb), 'with what the registry and the caller say');
SELECT is((SELECT emitted_xid FROM event_outbox), pg_current_xact_id(), 'and its transaction');
SELECT pg_temp.emit('version_applied') FROM generate_series(1, 3);
SELECT is((SELECT count(*) FROM event_outbox), 4::bigint, 'a subject may have the same event many times');
SELECT is((SELECT count(DISTINCT event_seq) FROM event_outbox), 4::bigint, 'each with its number');

SELECT is(pg_temp.emit('version_applied', '{}', 'k1'), pg_temp.emit('version_applied', '{}', 'k1'), 'an idempotency key gives the same event');
SELECT is((SELECT count(*) FROM event_outbox WHERE idempotency_key = 'k1'), 1::bigint, 'once');
SELECT isnt(pg_temp.emit('version_applied', '{}', 'k2'), pg_temp.emit('version_applied', '{}', 'k1'), 'another key, another event');
SELECT is(pg_temp.emit('collection_created', '{}', 'k1'), NULL, 'the key of another type gives no event');
SELECT pg_temp.refuses($$SELECT pg_temp.emit('version_applied', '{}', ' ')$$, '23514', 'idempotency_key_chk', 'an empty key is none');

SELECT pg_temp.refuses(format('SELECT pg_temp.emit(''version_applied'', %L)', jsonb_build_object(k, 'x')), '23514', 'denylist_chk', 'payload: no ' || k)
  FROM unnest(ARRAY['body', 'content', 'raw', 'vector', 'embedding', 'secret', 'token', 'password', 'ssn', 'personal_data']) k;
SELECT isnt(pg_temp.emit('version_applied', '{"meta": {"body": "of a nested key"}, "bodies": 1}'), NULL, 'the denylist is of top-level keys');
SELECT pg_temp.refuses($$SELECT pg_temp.emit('version_applied', '[]')$$, '23514', 'payload_object_chk', 'a payload is an object');
SELECT pg_temp.refuses($$SELECT fn_iu_emit_event('version_applied', 'a', NULL, 't')$$, '23502', 'event_subject_ref', 'an event has a subject');

-- ---- the trigger, for whoever writes beside the emitter

SELECT pg_temp.refuses($$SELECT pg_temp.put('iu', 'nothing', 'update', 'immediate')$$, '23514', 'is not registered', 'trigger: unknown type');
SELECT pg_temp.refuses($$SELECT pg_temp.put('piece', 'version_applied', 'update', 'immediate')$$, '23514', 'is not registered', 'trigger: type of another domain');
SELECT pg_temp.refuses($$SELECT pg_temp.put('iu', 'structure_op_applied', 'update', 'immediate')$$, '23514', 'is not active', 'trigger: inactive type');
SELECT pg_temp.refuses($$SELECT pg_temp.put('iu', 'version_applied', 'birth', 'immediate')$$, '23514', 'belongs to stream update', 'trigger: another stream');
SELECT pg_temp.refuses($$SELECT pg_temp.put('iu', 'version_applied', 'update', 'delayed')$$, '23514', 'lane immediate', 'trigger: another lane');
SELECT lives_ok($$SELECT pg_temp.put('iu', 'version_applied', 'update', 'immediate')$$, 'trigger: as registered');

SELECT * FROM finish();
ROLLBACK;
