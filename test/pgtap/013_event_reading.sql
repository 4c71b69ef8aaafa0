-- 013: who has read what, and the emitters of pieces and collections.
\ir setup.psql
SELECT no_plan();

SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 'test') IS NOT NULL AS ready \gset
CREATE FUNCTION pg_temp.piece(p_type text, p_payload jsonb DEFAULT '{}', p_key text DEFAULT NULL) RETURNS uuid
  LANGUAGE sql AS $$SELECT fn_iu_piece_emit_event(p_type, 'P/1', '11111111-1111-1111-1111-111111111111', 'tester',
  p_payload, p_key)$$;
CREATE FUNCTION pg_temp.unread(p_reader text, p_limit integer DEFAULT 100) RETURNS text
  LANGUAGE sql AS $$SELECT coalesce(string_agg(canonical_address, ',' ORDER BY n), '') FROM fn_event_unread(p_reader,
  p_limit) WITH ORDINALITY
    AS u (id, d, t, s, l, v, st, sr, canonical_address, a, ss, c, pc, p, o, ca, q, x, k, n)$$;

-- ---- the shape

SELECT results_eq($$SELECT event_type, event_stream, delivery_lane, default_severity,
  active FROM event_type_registry WHERE event_domain = 'piece' ORDER BY 1$$,
  $$VALUES ('created', 'birth', 'immediate', 'info', true), ('merged', 'update', 'immediate', 'info', true),
  ('retired', 'update', 'immediate', 'info', true),
    ('split', 'update', 'immediate', 'info', true), ('superseded', 'update', 'immediate', 'info', true),
    ('updated', 'update', 'immediate', 'info', true)$$,
  'there are six types of events of pieces');
SELECT row_eq($$SELECT gate_class, migration, value FROM iu_gate_registry JOIN dot_config ON key = gate_key
  WHERE gate_key = 'piece_event_runtime.emit_enabled'$$,
  ROW('governable'::text, 13, 'false'::text), 'the gate of events of pieces is governable and closed');
SELECT is((SELECT value FROM dot_config JOIN iu_switch_registry ON switch_key = key
  WHERE key = 'piece_event_runtime.dry_run_only'), 'true',
  'the switch for dry runs only is on');
SELECT is((SELECT string_agg(subscriber_ref, ' ' ORDER BY subscriber_ref) FROM event_subscription),
  'agency:sysop role:governance_owner role:health_owner',
  'there are three subscriptions');

-- ---- events of pieces: master switch, gate, registry

SELECT is(pg_temp.piece('updated'), NULL, 'with the gate closed an event of a piece is not emitted');
SELECT is(pg_temp.piece('updated', '{"body": 1}'), NULL,
  'with the gate closed an event of a piece is not emitted whatever its payload');
UPDATE dot_config SET value = 'true' WHERE key = 'piece_event_runtime.emit_enabled';
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT is(pg_temp.piece('updated'), NULL,
  'with the gate open and the master switch off an event of a piece is not emitted');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
SELECT is(pg_temp.piece('no_such_type'), NULL, 'an event of a piece of an unknown type is not emitted');
SELECT is(pg_temp.piece('version_applied'), NULL, 'an event of a piece of a type of another domain is not emitted');
SELECT is(pg_temp.piece(NULL), NULL, 'an event of a piece without a type is not emitted');
UPDATE event_type_registry SET active = false WHERE event_domain = 'piece' AND event_type = 'merged';
SELECT is(pg_temp.piece('merged'), NULL, 'an event of a piece of an inactive type is not emitted');
SELECT is((SELECT count(*) FROM event_outbox), 0::bigint, 'what is not emitted leaves no event');
SELECT isnt(pg_temp.piece('updated', '{"n": 1}'), NULL, 'emitting an event of a piece of a known type gives its id');
SELECT row_eq($$SELECT event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table,
  event_subject_ref, canonical_address,
    actor_ref, source_system, payload_classification, safe_payload FROM v_piece_event_outbox$$,
  ROW('piece'::text, 'updated'::text, 'update'::text, 'immediate'::text, 'info'::text, 'information_unit'::text,
  '11111111-1111-1111-1111-111111111111'::text, 'P/1'::text,
    'tester'::text, 'iu_core'::text, 'safe_metadata'::text, '{"n": 1, "emit_mode": "dry_run"}'::jsonb),
  'an event of a piece is marked as a dry run');
SELECT pg_temp.piece('updated', '{"emit_mode": "live"}') AS claimed \gset
SELECT is((SELECT safe_payload FROM event_outbox WHERE id = :'claimed'), '{"emit_mode": "dry_run"}',
  'an event of a piece is marked as a dry run whatever its payload says');
SELECT pg_temp.piece('created', NULL, 'p1') AS first,
  fn_iu_switch_set('piece_event_runtime.dry_run_only', 'false', 'ann', 'test') ->> 'status' AS set \gset
SELECT is(:'set'::text, 'set', 'the switch for dry runs only can be set');
SELECT is(pg_temp.piece('created', NULL, 'p1')::text, :'first', 'an idempotency key gives the same event of a piece');
SELECT pg_temp.piece('split') AS live \gset
SELECT is((SELECT safe_payload FROM event_outbox WHERE id = :'live'), '{"emit_mode": "live"}',
  'with the switch off an event of a piece is marked as live');
DELETE FROM dot_config WHERE key = 'piece_event_runtime.dry_run_only';
SELECT pg_temp.piece('split') AS none \gset
SELECT is((SELECT safe_payload FROM event_outbox WHERE id = :'none'), '{"emit_mode": "dry_run"}',
  'without the row of the switch an event of a piece is marked as a dry run');
INSERT INTO dot_config (key, value) VALUES ('piece_event_runtime.dry_run_only', 'true');
SELECT pg_temp.refuses($$SELECT pg_temp.piece('updated', '{"token": 1}')$$, '23514', 'forbidden key',
  'an event of a piece with a forbidden key in its payload is refused');
SELECT pg_temp.refuses($$SELECT pg_temp.piece('updated', '[]')$$, '23514', 'not an object',
  'an event of a piece whose payload is not an object is refused');
SELECT is((SELECT jsonb_object_agg(key, value) FROM jsonb_each(fn_iu_piece_event_runtime_healthcheck())),
  '{"surface": "piece_event_runtime", "ok": false, "view_exists": true, "fn_emit_exists": true, "fn_trg_exists": true,
    "trigger_exists": true, "gate_keys": 2,
    "piece_event_types_active": 5, "emit_enabled": true, "dry_run_only": true}',
  'the health check of events of pieces counts the active types and finds one missing');
UPDATE event_type_registry SET active = true WHERE event_domain = 'piece';
SELECT is(fn_iu_piece_event_runtime_healthcheck() ->> 'ok', 'true',
  'the health check of events of pieces finds everything there');

-- ---- events of collections

SELECT fn_iu_emit_collection_event('collection_created', '33333333-3333-3333-3333-333333333333', 'tester',
  '{"kind": "file"}') AS collection \gset
SELECT row_eq($$SELECT event_domain, event_type, event_stream, delivery_lane, event_subject_table, event_subject_ref,
  canonical_address, actor_ref, safe_payload
    FROM event_outbox WHERE event_subject_table = 'iu_piece_collection'$$,
  ROW('iu'::text, 'collection_created'::text, 'update'::text, 'delayed'::text, 'iu_piece_collection'::text,
  '33333333-3333-3333-3333-333333333333'::text, NULL::text, 'tester'::text,
    '{"kind": "file"}'::jsonb), 'an event of a collection has the collection as its subject');
SELECT is(fn_iu_emit_collection_event('no_such_type', gen_random_uuid(), 'tester'), NULL,
  'an event of a collection of an unknown type is not emitted');
SELECT pg_temp.refuses($$SELECT fn_iu_emit_collection_event('collection_created', NULL, 'tester')$$, '23502',
  'event_subject_ref',
  'an event of a collection without a subject is refused');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT is(fn_iu_emit_collection_event('collection_created', gen_random_uuid(), 'tester'), NULL,
  'with the master switch off an event of a collection is not emitted');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';

-- ---- reading

INSERT INTO event_subscription (subscriber_ref, event_domain, event_type, event_stream) VALUES
  ('role:editor', 'iu', 'version_applied', NULL), ('role:editor', 'iu', NULL, 'update'),
  ('role:birth', 'piece', NULL, 'birth');
SELECT pg_temp.refuses($$INSERT INTO event_subscription (subscriber_ref, event_domain, event_stream)
  VALUES ('role:editor', 'iu', 'update')$$, '23505', '',
  'a subscription is not made twice');
SELECT fn_iu_emit_event(t, a, gen_random_uuid(), w) FROM (VALUES ('version_applied', 'E/1', 'tester'),
  ('version_applied', 'E/2', 'role:editor'),
  ('structure_op_applied', 'E/3', NULL), ('version_applied', 'E/4', 'tester')) v (t, a, w);
DELETE FROM event_outbox WHERE event_subject_table = 'iu_piece_collection';
SELECT is(pg_temp.unread('role:editor'), 'E/1,E/3,E/4',
  'a subscriber has each event it subscribed to unread once, oldest first, without its own');
SELECT is(pg_temp.unread('role:editor', 2), 'E/1,E/3', 'a subscriber gets as many unread events as it asks for');
SELECT is(pg_temp.unread('role:birth'), 'P/1', 'a subscription to a stream of a domain brings its events only');
SELECT is(pg_temp.unread('role:nobody') || pg_temp.unread(NULL) || pg_temp.unread('agency:sysop'), '',
  'nothing is unread for a reader without a subscription, for NULL and for a subscriber to other things');
SELECT id AS e1 FROM event_outbox WHERE canonical_address = 'E/1' \gset
SELECT is(fn_event_mark_read(:'e1', 'role:editor'),
  jsonb_build_object('status', 'marked', 'event_id', :'e1', 'reader_ref', 'role:editor'),
  'an event can be marked as read');
SELECT is(fn_event_mark_read(:'e1', 'role:editor') ->> 'status', 'already_read',
  'an event is marked as read once by a reader');
SELECT is(fn_event_mark_read(:'e1', 'role:other') ->> 'status', 'marked', 'an event is marked as read by each reader');
SELECT is(pg_temp.unread('role:editor'), 'E/3,E/4', 'an event that was marked as read is not unread');
SELECT results_eq($$SELECT e.canonical_address, r.reader_ref,
  r.read_status_source FROM v_event_read r JOIN event_outbox e ON e.id = r.event_id
    WHERE e.canonical_address LIKE 'E/%' ORDER BY 1, 2$$,
  $$VALUES ('E/1', 'role:editor', 'explicit'), ('E/1', 'role:other', 'explicit'), ('E/1', 'tester', 'implicit_self'),
  ('E/2', 'role:editor', 'implicit_self'),
    ('E/4', 'tester', 'implicit_self')$$, 'the view of reading shows who has read what, their own included');
SELECT is(fn_event_mark_read(:'e1', 'tester') ->> 'status', 'marked', 'a reader may mark its own event as read');
SELECT is((SELECT string_agg(read_status_source, ',') FROM v_event_read WHERE reader_ref = 'tester'
  AND event_id = :'e1'), 'explicit',
  'its own event that a reader marked as read is in the view once');
UPDATE event_subscription SET active = false WHERE subscriber_ref = 'role:editor' AND event_type IS NULL;
SELECT is(pg_temp.unread('role:editor'), 'E/4', 'a paused subscription brings nothing unread');
UPDATE event_subscription SET created_at = now() + interval '1 s' WHERE subscriber_ref = 'role:editor';
SELECT is(pg_temp.unread('role:editor'), '', 'a subscription that is younger than an event does not bring it');
SELECT pg_temp.refuses(format('SELECT fn_event_mark_read(%L, %L)', i, r), e, m,
  format('fn_event_mark_read(%s, %s) is refused', coalesce(quote_literal(i), 'NULL'),
  coalesce(quote_literal(left(r, 9)), 'NULL'))) FROM (VALUES (gen_random_uuid(), 'a', 'P0002', 'not in the outbox'),
  (NULL, 'a', 'P0002', 'event NULL is not in the outbox'), (:'e1', ' ', '23514', '1 to 200 characters'),
  (:'e1', NULL, '23514', '1 to 200 characters'), (:'e1', repeat('x', 201), '23514', '1 to 200')) AS t (i, r, e, m);
SELECT pg_temp.refuses(format($$INSERT INTO event_read (event_id, reader_ref, read_status_source)
  VALUES (%L, 'x', 'guess')$$, :'e1'), '23514', 'source_chk',
  'the source of a reading is explicit or implicit_self');

-- ---- who may

SELECT set_eq($$
  SELECT r.rolname::text, pg_temp.called_as(p.oid) FROM pg_proc p CROSS JOIN pg_roles r
   WHERE pg_temp.called_as(p.oid) IS NOT NULL
   AND p.oid IN (SELECT to_regprocedure(g.object_name) FROM iu_governed_object g WHERE g.migration = 13
   AND g.object_class = 'function')
     AND r.rolname IN ('iu_core_writer', 'iu_core_reader', 'iu_core_worker', 'iu_core_operator')
     AND has_function_privilege(r.oid, p.oid, 'EXECUTE')$$,
  $$VALUES ('iu_core_writer', 'fn_event_mark_read'), ('iu_core_writer', 'fn_iu_piece_emit_event'),
  ('iu_core_writer', 'fn_iu_emit_collection_event'),
    ('iu_core_reader', 'fn_event_unread'), ('iu_core_reader', 'fn_iu_piece_event_runtime_healthcheck'),
    ('iu_core_operator', 'fn_event_unread'), ('iu_core_operator', 'fn_iu_piece_event_runtime_healthcheck')$$,
  'writers emit and mark, readers read');
SELECT is((SELECT string_agg(r.rolname || ' ' || g.object_name, ', ') FROM pg_roles r, iu_governed_object g
   WHERE r.rolname ~ '^iu_core_(reader|writer|operator|admin|worker)$' AND g.migration = 13
   AND g.object_class IN ('table', 'view')
     AND has_table_privilege(r.oid, to_regclass(g.object_name),
     'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')), NULL,
  'no role writes a table of reading past the functions');
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT count(*) FROM fn_event_unread(''role:birth'')'), '1',
  'a reader asks what is unread');
SELECT isnt(pg_temp.as_role('iu_core_writer',
  $$SELECT fn_iu_piece_emit_event('updated', 'a', gen_random_uuid(), 't')$$), NULL,
  'a writer emits an event of a piece');
SELECT alike(pg_temp.as_role('iu_core_reader', format('SELECT fn_event_mark_read(%L, ''x'')', :'e1')), '42501%',
  'a reader marks nothing as read');

SELECT * FROM finish();
ROLLBACK;
