-- 004: what an emitter promises, and what the outbox refuses.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.emit(p_type text, p_payload jsonb DEFAULT '{}', p_key text DEFAULT NULL) RETURNS uuid
  LANGUAGE sql AS $$SELECT fn_iu_emit_event(p_type, 'DOC/1', '11111111-1111-1111-1111-111111111111', 'tester',
  p_payload, p_key)$$;
CREATE FUNCTION pg_temp.put(p_domain text, p_type text, p_stream text, p_lane text) RETURNS void
  LANGUAGE sql AS $$INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane,
  event_subject_table, event_subject_ref, source_system)
    VALUES (p_domain, p_type, p_stream, p_lane, 't', 'r', 's')$$;

-- ---- the shape

SELECT is((SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
  WHERE attrelid = 'event_type_registry'::regclass AND attnum > 0),
  ARRAY['event_domain', 'event_type', 'event_stream', 'delivery_lane', 'default_severity', 'description', 'active',
  'created_at'],
  'the registry of event types has its columns, in order');
SELECT is((SELECT (array_agg(attname::text ORDER BY attnum))[1:16] FROM pg_attribute
  WHERE attrelid = 'event_outbox'::regclass AND attnum > 0),
  ARRAY['id', 'event_domain', 'event_type', 'event_stream', 'delivery_lane', 'event_severity', 'event_subject_table',
  'event_subject_ref',
    'canonical_address', 'actor_ref', 'source_system', 'correlation_id', 'payload_classification', 'safe_payload',
    'occurred_at', 'created_at'],
  'the outbox begins with its sixteen known columns');
SELECT is((SELECT count(*) FROM event_type_registry
            WHERE event_domain = 'iu' AND active AND event_type !~ '^template[.]'), 15::bigint,
  'the registry has 15 event types of domain iu');
SELECT is((SELECT array_agg(DISTINCT delivery_lane) FROM event_type_registry WHERE event_type LIKE 'collection%'
  OR event_type LIKE 'piece%'),
  ARRAY['delayed'], 'every event type of collections and pieces goes by the delayed lane');
-- What can be registered can be emitted, and no more: the words of the registry's checks are those of the outbox.
CREATE TEMP TABLE word AS
  SELECT column_name, m[1] AS word FROM unnest(ARRAY['stream', 'lane', 'severity']) column_name
    CROSS JOIN LATERAL (SELECT pg_get_constraintdef(oid) AS def FROM pg_constraint
    WHERE conname = 'event_type_registry_' || column_name || '_chk') c
    CROSS JOIN LATERAL regexp_matches(c.def, '''([a-z_]+)''::text', 'g') m;
CREATE FUNCTION pg_temp.row_ok(p_domain text DEFAULT 'iu', p_stream text DEFAULT 'update',
  p_lane text DEFAULT 'delayed', p_severity text DEFAULT 'info',
    p_classification text DEFAULT 'restricted', p_payload jsonb DEFAULT '{}', p_key text DEFAULT NULL)
  RETURNS boolean LANGUAGE sql AS 'SELECT iu.fn_event_outbox_check($1, $2, $3, $4, $5, $6, $7)';
SELECT results_eq('SELECT column_name, count(*) FROM word GROUP BY 1 ORDER BY 1',
  $$VALUES ('lane', 2::bigint), ('severity', 3), ('stream', 7)$$,
  'the registry of event types has its words for stream, lane and severity');
SELECT is((SELECT string_agg(word, ' ') FROM word WHERE NOT CASE column_name
    WHEN 'stream' THEN pg_temp.row_ok(p_stream => word) WHEN 'lane' THEN pg_temp.row_ok(p_lane => word)
    ELSE pg_temp.row_ok(p_severity => word) END),
  NULL, 'each word of the registry is one that the outbox takes');
SELECT is((SELECT string_agg(w[1], ' ')
  FROM pg_get_functiondef('iu.fn_event_outbox_check(text,text,text,text,text,jsonb,text)'::regprocedure) f,
    regexp_matches(split_part(split_part(f, 'CASE', 2), 'p_classification NOT IN', 1), '''([a-z_]+)''[,)]', 'g') w
    WHERE w[1] NOT IN (SELECT word FROM word)), NULL,
  'the outbox takes no word that the registry does not know');
SELECT pg_temp.refuses(format('SELECT pg_temp.row_ok(%s => %L)', a, v), '23514', m,
  'a row of the outbox is refused: ' || m)
  FROM (VALUES ('p_domain', 'No body', '"No body" is not an event_domain'),
  ('p_stream', 'workflow', '"workflow" is not an event_stream'),
    ('p_lane', 'later', '"later" is not a delivery_lane'), ('p_severity', 'warn', '"warn" is not an event_severity'),
    ('p_classification', 'safe', '"safe" is not a payload_classification'), ('p_payload', '"text"', 'not an object'),
    ('p_payload', '[]', 'not an object'),
    ('p_key', '', '1 to 200'), ('p_key', repeat('x', 201), '1 to 200')) AS t (a, v, m);
SELECT ok((SELECT convalidated
  AND pg_get_constraintdef(oid) ~
  'iu.fn_event_outbox_check\(event_domain, event_stream, delivery_lane, event_severity, payload_classification, '
    'safe_payload, idempotency_key\)'
  FROM pg_constraint WHERE conrelid = 'event_outbox'::regclass AND contype = 'c'),
  'the outbox is checked by one function');
SELECT pg_temp.refuses(format($$INSERT INTO event_type_registry (event_domain, event_type, event_stream, delivery_lane,
  default_severity, description)
    VALUES (%L, %L, %L, %L, %L, 'x')$$, d, t, s, l, v), '23514', c, 'a row of the registry is refused: ' || c)
  FROM (VALUES ('nobody', 'x', 'update', 'immediate', 'info', '"nobody" is not one of the product'),
  ('iu', 'X y', 'update', 'immediate', 'info', 'type_chk'),
               ('iu', 'x', 'workflow', 'immediate', 'info', 'stream_chk'),
               ('iu', 'x', 'update', 'later', 'info', 'lane_chk'),
               ('iu', 'x', 'update', 'immediate', 'warn', 'severity_chk')) AS v (d, t, s, l, v, c);

-- ---- the master switch

UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT is(pg_temp.emit('version_applied'), NULL, 'with the master switch off emitting gives NULL');
SELECT is(pg_temp.emit('version_applied', '{"body": 1}'), NULL,
  'with the master switch off emitting gives NULL, whatever the payload');
SELECT is(fn_iu_core_routes_enabled(), false, 'with the master switch off routes are not enabled');
DELETE FROM dot_config WHERE key = 'iu_core.routes_master_enabled';
SELECT is(pg_temp.emit('version_applied'), NULL, 'without a row of the master switch emitting gives NULL');
SELECT is((SELECT count(*) FROM event_outbox), 0::bigint, 'with the master switch off nothing is written');
SELECT pg_temp.refuses($$SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'a', 'r')$$, 'P0002',
  'no row in dot_config',
  'a switch that lost its row is not made anew by setting it');
INSERT INTO dot_config (key, value) VALUES ('iu_core.routes_master_enabled', 'false');
SELECT is_empty($$SELECT FROM iu_core.unheard_events WHERE event_type = 'version_applied'$$,
  'an event that a switch kept back does not count as unheard');

SELECT pg_temp.refuses(format('SELECT fn_iu_switch_set(%L, %L, %L, %L)', k, v, a, r), e, p, n) FROM (VALUES
  ('iu_core.delivery_enabled', 'true', 'a', 'r', '42501', 'is not a switch', 'a gate is not a switch'),
  ('nothing', 'true', 'a', 'r', '42501', 'is not a switch', 'an unknown key is not a switch'),
  (NULL, 'true', 'a', 'r', '42501', 'is not a switch', 'NULL is not a switch'),
  ('iu_core.routes_master_enabled', 'yes', 'a', 'r', '23514', 'true or false',
  'a switch cannot be set to another word than true or false'),
  ('iu_core.routes_master_enabled', NULL, 'a', 'r', '23514', 'true or false', 'a switch cannot be set to NULL'),
  ('iu_core.routes_master_enabled', 'true', ' ', 'r', '23514', 'actor and reason are required',
  'a switch cannot be set without an actor'),
  ('iu_core.routes_master_enabled', 'true', 'a', NULL, '23514', 'actor and reason are required',
  'a switch cannot be set without a reason')) AS t (k, v, a, r, e, p, n);
SELECT is(fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 'go') - 'run_id',
  '{"status": "set", "switch": "iu_core.routes_master_enabled", "previous": "false", "value": "true"}',
  'a switch is set');
SELECT is((SELECT actor || ' ' || (evidence ->> 'reason') FROM dot_iu_command_run
  WHERE command_name = 'dot_iu_switch_set'), 'ann go',
  'the setting of a switch is logged');
SELECT is(fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 'go') ->> 'status', 'unchanged',
  'setting a switch to the value that it has changes nothing');

-- ---- emitting

SELECT is(pg_temp.emit('no_such_type'), NULL, 'emitting an unknown type gives NULL');
SELECT is(pg_temp.emit(NULL), NULL, 'emitting no type gives NULL');
UPDATE event_type_registry SET active = false WHERE event_type = 'structure_op_applied';
SELECT is(pg_temp.emit('structure_op_applied'), NULL, 'emitting an inactive type gives NULL');
SELECT isnt(pg_temp.emit('version_applied', '{"seq": 2}'), NULL, 'emitting a known type gives an id');
SELECT row_eq($$SELECT event_domain, event_stream, delivery_lane, event_severity, event_subject_table,
  event_subject_ref, canonical_address,
    actor_ref, source_system, payload_classification, safe_payload FROM event_outbox$$,
  ROW('iu'::text, 'update'::text, 'immediate'::text, 'info'::text, 'information_unit'::text,
  '11111111-1111-1111-1111-111111111111'::text, 'DOC/1'::text,
    'tester'::text, 'iu_core'::text, 'safe_metadata'::text, '{"seq": 2}'::jsonb),
  'an event has what the registry and the caller say');
SELECT is((SELECT emitted_xid FROM event_outbox), pg_current_xact_id(), 'an event has its transaction');
SELECT pg_temp.emit('version_applied') FROM generate_series(1, 3);
SELECT is((SELECT count(*) FROM event_outbox), 4::bigint, 'a subject may have the same event many times');
SELECT is((SELECT count(DISTINCT event_seq) FROM event_outbox), 4::bigint, 'each event has a number of its own');

SELECT is(pg_temp.emit('version_applied', '{}', 'k1'), pg_temp.emit('version_applied', '{}', 'k1'),
  'an idempotency key that was used gives the event of then');
SELECT is((SELECT count(*) FROM event_outbox WHERE idempotency_key = 'k1'), 1::bigint,
  'an idempotency key that is used twice makes one event');
SELECT isnt(pg_temp.emit('version_applied', '{}', 'k2'), pg_temp.emit('version_applied', '{}', 'k1'),
  'another idempotency key makes another event');
SELECT pg_temp.refuses(format('SELECT fn_iu_event_emit(%s, p_idempotency_key => ''k1'')', e), '23505',
  'idempotency key "k1" was used for another event',
  'an idempotency key that is used again for another event is an error: ' || e) FROM (VALUES
  ($$'iu', 'collection_created', 'information_unit', '11111111-1111-1111-1111-111111111111', 'DOC/1', 'tester'$$),
  ($$'iu', 'version_applied', 'units', '11111111-1111-1111-1111-111111111111', 'DOC/1', 'tester'$$),
  ($$'iu', 'version_applied', 'information_unit', '17', 'DOC/1', 'tester'$$),
  ($$'iu', 'version_applied', 'information_unit', '11111111-1111-1111-1111-111111111111', 'DOC/2', 'tester'$$),
  ($$'iu', 'version_applied', 'information_unit', '11111111-1111-1111-1111-111111111111', NULL, 'tester'$$),
  ($$'iu', 'version_applied', 'information_unit', '11111111-1111-1111-1111-111111111111', 'DOC/1', 'ben'$$),
  ($$'iu', 'version_applied', 'information_unit', '11111111-1111-1111-1111-111111111111', 'DOC/1', 'tester',
    '{"n": 1}'$$))
  AS t (e);
SELECT is(fn_iu_event_emit('iu', 'version_applied', 'information_unit', '11111111-1111-1111-1111-111111111111', 'DOC/1',
  'tester', p_idempotency_key => 'k1', p_correlation_id => 'another call'), pg_temp.emit('version_applied', '{}', 'k1'),
  'the same event with its idempotency key is the same, whatever call it comes from');
SELECT is(pg_temp.emit('no_such_type', '{}', 'k1'), NULL,
  'an unknown type gives NULL, without an error, also with an idempotency key that was used');
SELECT is((SELECT count(*) FROM event_outbox WHERE idempotency_key = 'k1'), 1::bigint,
  'an idempotency key that was used for something else made no event');
SAVEPOINT another_role;
CREATE ROLE iu_test_wanda IN ROLE iu_core_writer;
SET LOCAL ROLE iu_test_wanda;
SELECT pg_temp.emit('collection_created', '{}', 'k1') AS wandas \gset
RESET ROLE;
SELECT isnt(:'wandas', pg_temp.emit('version_applied', '{}', 'k1')::text,
  'an idempotency key of one role is no matter to another role');
SELECT is((SELECT emitter_role FROM event_outbox WHERE id = :'wandas'), 'iu_test_wanda',
  'the outbox says which role emitted an event');
ROLLBACK TO another_role;
SELECT pg_temp.refuses($$SELECT pg_temp.emit('version_applied', '{}', ' ')$$, '23514', 'idempotency_key',
  'an empty idempotency key is refused');

SELECT pg_temp.refuses(format('SELECT pg_temp.emit(''version_applied'', %L)', jsonb_build_object(k, 'x')), '23514',
  'forbidden key',
  'a payload with the key ' || k || ' is refused')
  FROM unnest(ARRAY['body', 'content', 'raw', 'vector', 'embedding', 'secret', 'token', 'password', 'ssn',
  'personal_data']) k;
SELECT isnt(pg_temp.emit('version_applied', '{"meta": {"body": "of a nested key"}, "bodies": 1}'), NULL,
  'a forbidden key below the first level of a payload is no refusal');
SELECT pg_temp.refuses($$SELECT pg_temp.emit('version_applied', '[]')$$, '23514', 'safe_payload is not an object',
  'a payload that is no object is refused');
SELECT isnt(pg_temp.emit('version_applied', jsonb_build_object('a', repeat('x', 262135))), NULL,
  'a payload of 256 kB is taken');
SELECT pg_temp.refuses($$SELECT pg_temp.emit('version_applied', jsonb_build_object('a', repeat('x', 262136)))$$,
  '23514', 'larger than 256 kB',
  'a payload of a byte more than 256 kB is refused');
SELECT pg_temp.refuses($$SELECT pg_temp.emit('version_applied', jsonb_build_object('a', repeat(E'\x01', 200000000)))$$,
  '23514', 'larger than 256 kB',
  'a payload of 200 MB, which would stop every sender, is refused');
SELECT pg_temp.refuses($$SELECT fn_iu_emit_event('version_applied', repeat('a', 16384), gen_random_uuid(), 't')$$,
  '23514', 'longer than 16 kB',
  'an address longer than 16 kB is refused');
SELECT pg_temp.refuses(format('INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane,
    event_subject_table, event_subject_ref, source_system, occurred_at)
  VALUES (''iu'', ''version_applied'', ''update'', ''immediate'', ''t'', ''r'', ''s'', %L)', t), '23514',
  'years 1 to 9999',
  'a time that has no text is refused: ' || t) FROM unnest(ARRAY['infinity', '-infinity', '0044-03-15 BC']) t;
SELECT pg_temp.refuses($$SELECT fn_iu_emit_event('version_applied', 'a', NULL, 't')$$, '23502', 'event_subject_ref',
  'an event without a subject is refused');

-- ---- a set of events

CREATE FUNCTION pg_temp.event(p_type text, p_more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS
  $$SELECT jsonb_build_object('event_type', p_type, 'canonical_address', 'SET/1', 'subject_ref',
  '22222222-2222-2222-2222-222222222222', 'actor_ref', 'set') || p_more$$;
SELECT is(fn_iu_emit_events(NULL), '{}', 'a set that is NULL gives no ids');
SELECT is(fn_iu_emit_events('[]'), '{}', 'an empty set gives no ids');
CREATE TEMP TABLE emitted AS SELECT fn_iu_emit_events(jsonb_build_array(
  pg_temp.event('version_applied', '{"safe_payload": {"n": 1}, "correlation_id": "c"}'), pg_temp.event('no_such_type'),
  pg_temp.event('structure_op_applied'),
  pg_temp.event('collection_created', '{"idempotency_key": "s1"}'),
  pg_temp.event('no_such_type', '{"idempotency_key": "s1"}'),
  pg_temp.event('version_applied', '{"safe_payload": null}'), '{}'::jsonb,
  pg_temp.event('collection_created', '{"idempotency_key": "s1"}'),
  jsonb_build_object('event_type', 'version_applied', 'canonical_address', 'DOC/1', 'subject_ref',
    '11111111-1111-1111-1111-111111111111', 'actor_ref', 'tester', 'idempotency_key', 'k1'))) AS ids;
SELECT pg_temp.refuses(format('SELECT fn_iu_emit_events(%L)', e), '23505', 'was used for another event',
  'a set with an idempotency key that was used for another event is refused: ' || n) FROM (VALUES
  ('before', jsonb_build_array(pg_temp.event('version_applied', '{"idempotency_key": "k1"}'))),
  ('in the set', jsonb_build_array(pg_temp.event('version_applied', '{"idempotency_key": "s2"}'),
    pg_temp.event('version_applied', '{"idempotency_key": "s2", "safe_payload": {"n": 2}}')))) AS t (n, e);
SELECT is((SELECT array_agg(i.id IS NULL ORDER BY i.n) FROM emitted, unnest(ids) WITH ORDINALITY i (id, n)),
  ARRAY[false, true, true, false, true, false, true, false, false],
  'a set gives an id for each event in its place, and NULL where the single call gives NULL');
SELECT is((SELECT ids[8] FROM emitted), (SELECT ids[4] FROM emitted),
  'an idempotency key that comes twice in a set makes one event');
SELECT is((SELECT ids[9] FROM emitted), pg_temp.emit('version_applied', '{}', 'k1'),
  'an idempotency key in a set that was used before gives the event of then');
SELECT is((SELECT array_agg(e.id ORDER BY e.event_seq) FROM event_outbox e WHERE canonical_address = 'SET/1'),
  (SELECT ARRAY[ids[1], ids[4], ids[6]] FROM emitted),
  'the events of a set are emitted in its order, and no others');
SELECT row_eq($$SELECT event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table,
  event_subject_ref, actor_ref, source_system, correlation_id,
    payload_classification, safe_payload FROM event_outbox, emitted WHERE id = ids[1]$$,
  ROW('iu'::text, 'version_applied'::text, 'update'::text, 'immediate'::text, 'info'::text, 'information_unit'::text,
  '22222222-2222-2222-2222-222222222222'::text, 'set'::text,
    'iu_core'::text, 'c'::text, 'safe_metadata'::text, '{"n": 1}'::jsonb),
  'an event of a set has what the registry and the caller say');
SELECT is((SELECT safe_payload FROM event_outbox, emitted WHERE id = ids[6]), '{}',
  'an event of a set without a payload has an empty one');
CREATE TEMP TABLE many AS
  SELECT fn_iu_emit_events((SELECT jsonb_agg(pg_temp.event('version_applied',
  jsonb_build_object('safe_payload', jsonb_build_object('n', n))) ORDER BY n)
  FROM generate_series(1, 300) n)) AS ids;
SELECT is((SELECT array_agg(o.safe_payload ->> 'n' = i.n::text AND o.event_seq - i.n = f.event_seq - 1 ORDER BY i.n)
  FROM many, unnest(ids) WITH ORDINALITY i (id, n)
    JOIN event_outbox o USING (id) CROSS JOIN (SELECT event_seq FROM event_outbox, many WHERE id = ids[1]) f),
    array_fill(true, ARRAY[300]),
  'three hundred events of a set keep their places');
SELECT pg_temp.refuses(format('SELECT fn_iu_emit_events(%L)', e), c, m, 'a set is refused: ' || m) FROM (VALUES
  ('{}'::jsonb, '23514', 'not as object'), ('[1]', '23514', 'an object without other keys'),
  (jsonb_build_array(pg_temp.event('version_applied', '{"idempotencykey": 1}')), '23514', 'other keys'),
  (jsonb_build_array(pg_temp.event('version_applied'), pg_temp.event('version_applied') - 'subject_ref'), '23502',
  'event_subject_ref'),
  (jsonb_build_array(pg_temp.event('version_applied', '{"subject_ref": "x"}')), '22P02', 'uuid'),
  (jsonb_build_array(pg_temp.event('version_applied', '{"safe_payload": {"body": 1}}')), '23514', 'forbidden key'),
  (jsonb_build_array(pg_temp.event('version_applied', '{"idempotency_key": " "}')), '23514', 'idempotency_key'))
  AS t (e, c, m);
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT is(fn_iu_emit_events(jsonb_build_array(pg_temp.event('version_applied'), '{"body": 1}'::jsonb,
  pg_temp.event('version_applied', '{"idempotency_key": "k1"}'))),
  ARRAY[NULL, NULL, NULL]::uuid[], 'with the master switch off a set gives NULL for each, whatever it holds');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';

-- ---- the trigger, for whoever writes beside the emitter

SELECT pg_temp.refuses($$SELECT pg_temp.put('iu', 'nothing', 'update', 'immediate')$$, '23514', 'is not registered',
  'a row of an unknown type cannot be inserted into the outbox');
SELECT pg_temp.refuses($$SELECT pg_temp.put('piece', 'version_applied', 'update', 'immediate')$$, '23514',
  'is not registered',
  'a row of a type of another domain cannot be inserted into the outbox');
SELECT pg_temp.refuses($$SELECT pg_temp.put('iu', 'structure_op_applied', 'update', 'immediate')$$, '23514',
  'is not active',
  'a row of an inactive type cannot be inserted into the outbox');
SELECT pg_temp.refuses($$SELECT pg_temp.put('iu', 'version_applied', 'birth', 'immediate')$$, '23514',
  'belongs to stream update',
  'a row of another stream than its type''s cannot be inserted into the outbox');
SELECT pg_temp.refuses($$SELECT pg_temp.put('iu', 'version_applied', 'update', 'delayed')$$, '23514', 'lane immediate',
  'a row of another lane than its type''s cannot be inserted into the outbox');
SELECT lives_ok($$SELECT pg_temp.put('iu', 'version_applied', 'update', 'immediate')$$,
  'a row as its type is registered can be inserted into the outbox');

-- ---- types of the platform

CREATE FUNCTION pg_temp.registered(p_domain text, p_type text, p_more text DEFAULT '') RETURNS text LANGUAGE plpgsql
  AS $$
DECLARE v jsonb;
BEGIN
  EXECUTE format('SELECT fn_iu_event_type_register(%L, %L, ''update'', ''immediate'', ''info'', ''an order was '
    'placed'', ''ada'', ''the shop''%s)', p_domain, p_type, p_more) INTO v;
  RETURN v ->> 'status';
END $$;
SELECT is(fn_iu_event_emit('shop', 'order_placed', 'orders', '17'), NULL,
  'an event of a platform''s type that is not registered is not written, without an error');
SELECT fn_iu_event_emit('shop', 'order_placed', 'orders', '18'),
  fn_iu_emit_event('no_such_type', 'a', gen_random_uuid(), 't') FROM generate_series(1, 2);
SELECT results_eq($$SELECT event_domain, event_type, reason, times,
  last_at BETWEEN now() AND clock_timestamp() FROM iu_core.unheard_events WHERE event_type IN ('order_placed',
  'structure_op_applied') ORDER BY 1$$,
  $$VALUES ('iu', 'structure_op_applied', 'inactive', 2::bigint, true), ('shop', 'order_placed', 'unknown', 3, true)$$,
  'unknown and inactive types are counted as unheard, emitted singly and in a set');
SELECT is(pg_temp.registered('shop', 'order_placed'), 'registered',
  'an administrator registers a type of the platform');
SELECT is_empty($$SELECT FROM iu_core.unheard_events WHERE event_domain = 'shop'$$,
  'a type of the platform that is registered is no longer counted as unheard');
SELECT is(pg_temp.registered('shop', 'order_placed'), 'unchanged',
  'registering a type of the platform twice changes nothing');
SELECT results_eq($$SELECT theirs, migration FROM iu_governed_object WHERE object_class = 'event_type'
  AND object_name = 'shop.order_placed'$$, 'VALUES (true, 4)',
  'a type of the platform is registered as the platform''s');
SELECT is_empty('SELECT * FROM fn_iu_conformance() WHERE NOT ok', 'with a type of the platform the database conforms');
SELECT results_eq($$SELECT command_name, actor, evidence ->> 'event_type',
  evidence ->> 'reason' FROM dot_iu_command_run WHERE command_name LIKE 'dot_iu_event_type%'
  ORDER BY created_at LIMIT 1$$,
  $$VALUES ('dot_iu_event_type_register', 'ada', 'shop.order_placed', 'the shop')$$,
  'registering a type of the platform is logged');
SELECT isnt(fn_iu_event_emit('shop', 'order_placed', 'orders', '17', 'orders/17', 'wim', '{"total": 3}', 'order 17',
  'c'), NULL,
  'an event of a platform''s type is emitted');
SELECT row_eq($$SELECT event_stream, delivery_lane, event_severity, event_subject_table, event_subject_ref,
  canonical_address, actor_ref, correlation_id, safe_payload
    FROM event_outbox WHERE event_domain = 'shop'$$,
    ROW('update'::text, 'immediate'::text, 'info'::text, 'orders'::text, '17'::text, 'orders/17'::text, 'wim'::text,
    'c'::text, '{"total": 3}'::jsonb),
  'an event of a platform''s type has its subject, whatever key that has');
SELECT is(fn_iu_event_emit('shop', 'order_placed', 'orders', '17', 'orders/17', 'wim', '{"total": 3}', 'order 17'),
  (SELECT id FROM event_outbox WHERE event_domain = 'shop'),
  'an idempotency key of a platform''s event that was used gives the event of then');
SELECT isnt(fn_iu_event_emit('iu', 'version_applied', 'units', 'u/1'), NULL,
  'the call for platforms emits a type of domain iu, with any subject');
SELECT is(fn_iu_event_emit('governance', 'gate_break_glass', 'gates', 'g'), NULL,
  'the call for platforms does not emit a type that is the product''s alone');
SELECT is((SELECT reason FROM iu_core.unheard_events WHERE event_domain = 'governance'), 'reserved',
  'an attempt to emit a type that is the product''s alone is counted');
SELECT is(fn_iu_event_emit(NULL, NULL, NULL, NULL), NULL, 'the call for platforms gives NULL for nothing but NULLs');
SELECT pg_temp.refuses($$SELECT fn_iu_event_emit('shop', 'order_placed', 'orders', NULL)$$, '23502',
  'event_subject_ref',
  'an event of a platform''s type without a subject is refused');
SELECT is(pg_temp.registered('shop', 'order_placed', ', false'), 'changed',
  'a type of the platform can be made inactive');
SELECT is(fn_iu_event_emit('shop', 'order_placed', 'orders', '19'), NULL,
  'an event of a platform''s inactive type is not written');
SELECT pg_temp.refuses(format('SELECT fn_iu_event_type_register(%s)', a), e, m,
  'registering a type of the platform is refused: ' || a) FROM (VALUES
  ($$'shop', 'order_placed', 'birth', 'immediate', 'info', 'd', 'ada', 'r'$$, '23505', 'registered already'),
  ($$'Shop', 'x', 'update', 'delayed', 'info', 'd', 'ada', 'r'$$, '23514', 'p_event_domain ''Shop'''),
  ($$NULL, 'x', 'update', 'delayed', 'info', 'd', 'ada', 'r'$$, '23514', 'p_event_domain NULL'),
  ($$'shop', 'x.', 'update', 'delayed', 'info', 'd', 'ada', 'r'$$, '23514', 'p_event_type'),
  ($$'shop', 'x', 'workflow', 'delayed', 'info', 'd', 'ada', 'r'$$, '23514', 'p_stream'),
  ($$'shop', 'x', 'update', 'later', 'info', 'd', 'ada', 'r'$$, '23514', 'p_lane'),
  ($$'shop', 'x', 'update', 'delayed', 'warn', 'd', 'ada', 'r'$$, '23514', 'p_severity'),
  ($$'shop', 'x', 'update', 'delayed', 'info', ' ', 'ada', 'r'$$, '23514', 'p_description'),
  ($$'iu', 'x', 'update', 'delayed', 'info', 'd', 'ada', 'r'$$, '42501', 'the product''s own'),
  ($$'system', 'x', 'update', 'delayed', 'info', 'd', 'ada', 'r'$$, '42501', 'the product''s own'),
  ($$'shop', 'x', 'update', 'delayed', 'info', 'd', '', 'r'$$, '23514', 'actor and reason'),
  ($$'shop', 'x', 'update', 'delayed', 'info', 'd', 'ada', NULL$$, '23514', 'actor and reason')) v (a, e, m);
SELECT pg_temp.refuses(format('SELECT fn_iu_event_type_unregister(%s)', a), e, m,
  'taking away a type of the platform is refused: ' || a) FROM (VALUES
  ($$'shop', 'order_placed', 'ada', 'r'$$, '55006', 'is in use'),
  ($$'shop', 'nothing', 'ada', 'r'$$, '42704', 'is not registered'),
  ($$NULL, NULL, 'ada', 'r'$$, '42704', 'is not registered'),
  ($$'iu', 'version_applied', 'ada', 'r'$$, '42501', 'the product''s own')) v (a, e, m);
SELECT is(iu.fn_iu_event_type_used('shop', 'order_placed'), '1 event(s) in event_outbox',
  'the refusal of taking away a type says what uses it');
SELECT is(pg_temp.registered('shop', 'order_sent'), 'registered', 'another type of the platform is registered');
SELECT fn_iu_route_add('shop-r', 'order_sent', 'https://hooks.example/', 'ada', 'r',
  p_event_domain => 'shop') ->> 'status' AS added \gset
SELECT is(iu.fn_iu_event_type_used('shop', 'order_sent'), 'routes: shop-r',
  'the refusal of taking away a type names the route that uses it');
DELETE FROM iu_outbound_route WHERE route_code = 'shop-r';
SELECT is(fn_iu_event_type_unregister('shop', 'order_sent', 'ada', 'r') ->> 'status', 'unregistered',
  'a type of the platform that nothing uses is taken away');
SELECT is_empty($$SELECT FROM iu_governed_object WHERE object_name = 'shop.order_sent'$$,
  'a type of the platform that was taken away is no longer governed');
SELECT is(pg_temp.as_role('iu_core_operator',
  $$SELECT fn_iu_event_type_register('shop', 'x', 'update', 'delayed', 'info', 'd', 'ada', 'r')$$) LIKE '42501%', true,
  'an operator may not register a type of the platform');
SELECT is(pg_temp.as_role('iu_core_reader', $$SELECT fn_iu_event_emit('shop', 'x', 't', 'r')$$) LIKE '42501%', true,
  'a reader may not emit an event of a platform''s type');

-- ---- rows that come into the outbox beside the emitters

CREATE FUNCTION pg_temp.loaded(p_source text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE v_last bigint := (SELECT max(event_seq) FROM event_outbox);
BEGIN
  INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane, event_subject_table,
      event_subject_ref, source_system, created_at, event_seq, emitted_xid, emitter_role)
    VALUES ('iu', 'version_applied', 'update', 'immediate', 't', 'r', p_source, 'infinity', 1, '99999999', 'mallory');
  RETURN NEXT is(concat_ws(' ', emitted_xid = pg_current_xact_id(), event_seq > v_last, emitter_role,
                           created_at = now()), 't t ' || current_user || ' t',
                 'what is given by hand is replaced: ' || p_source)
    FROM event_outbox WHERE source_system = p_source;
  RETURN NEXT throws_like($i$SELECT pg_temp.put('iu', 'no_such_type', 'update', 'immediate')$i$, '%is not registered',
    'an unknown type is refused: ' || p_source);
END $$;
SELECT pg_temp.loaded('by a superuser');
SET LOCAL session_replication_role = replica;
SELECT pg_temp.loaded('in replica role');
SET LOCAL session_replication_role = origin;
SELECT * FROM finish();
ROLLBACK;
