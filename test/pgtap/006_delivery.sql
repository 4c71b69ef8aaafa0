-- 006 and 007: the order of refusals, the webhook form, what a position cannot
-- be talked into, who may call what, and what a rollback refuses. Claims that
-- follow commits are in tap/t/060_delivery.pl.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.set_key(p_key text, p_value text) RETURNS void LANGUAGE sql AS $$UPDATE dot_config
  SET value = p_value WHERE key = p_key$$;
CREATE FUNCTION pg_temp.code(p_route text) RETURNS text LANGUAGE sql AS $$SELECT iu.fn_iu_delivery_refusal(p_route)$$;
UPDATE dot_config SET value = 'false' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_route_add('r', 'version_applied', 'https://hooks.example/x', 'ann', 't');
SELECT fn_iu_route_add('far', 'version_applied', 'https://elsewhere.example/', 'ann', 't');
SELECT fn_iu_route_add('flow', 'version_applied', 'event_outbox', 'ann', 't', 'workflow');
SELECT fn_iu_route_add('cms', 'version_applied', 'https://hooks.example/flows/trigger/1', 'ann', 't', 'directus_flow');

-- ---- refusals of a route, from the first to the last

SELECT is(pg_temp.code('r'), 'master_gate_closed', 'a route is refused first because the master switch is off');
SELECT pg_temp.set_key('iu_core.routes_master_enabled', 'true');
SELECT is(pg_temp.code('r'), 'worker_gate_closed', 'a route is refused next because the worker''s switch is off');
SELECT pg_temp.set_key('iu_core.route_worker_enabled', 'true');
SELECT is(pg_temp.code('nope'), 'delivery_gate_closed',
  'a route is refused because the gate is closed before anything is said of the route');
SELECT pg_temp.refuses($$SELECT fn_iu_route_deliver('nope', gen_random_uuid())$$, '42501', 'delivery is closed',
  'delivery by hand is refused first because the gate is closed');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT is(pg_temp.code('nope'), 'route_unknown', 'with the gate open an unknown route is refused as unknown');
SELECT is(pg_temp.code(NULL), 'route_unknown', 'a NULL route is refused as unknown');
SELECT pg_temp.refuses($$SELECT fn_iu_route_deliver('nope', gen_random_uuid())$$, '42501', 'is not registered',
  'delivery by hand is refused next because the route is not registered');
SELECT pg_temp.refuses($$SELECT fn_iu_route_deliver(NULL, NULL)$$, '42501', 'is not registered',
  'delivery by hand of a NULL route is refused as not registered');
SELECT is(pg_temp.code('flow'), 'route_not_allowlisted', 'a route that is not on the allowlist is refused for that');
SELECT pg_temp.refuses($$SELECT fn_iu_route_deliver('flow', gen_random_uuid())$$, '42501', 'allowlist',
  'delivery by hand is refused because of the allowlist before the target kind');
DELETE FROM dot_config WHERE key = 'iu_core.delivery_live_routes';
SELECT is(pg_temp.code('r'), 'route_not_allowlisted', 'without its row the allowlist is empty');
INSERT INTO dot_config (key, value) VALUES ('iu_core.delivery_live_routes', 'r,far,flow,cms');
SELECT is(pg_temp.code('flow'), 'target_kind_not_supported',
  'a route whose target kind is not sent is refused for that');
SELECT pg_temp.refuses($$SELECT fn_iu_route_deliver('flow', gen_random_uuid())$$, '0A000', 'workflow is not supported',
  'delivery by hand is refused because of the target kind');
SELECT is(pg_temp.code('cms'), 'route_disabled', 'a flow of Directus is a kind that is sent');
SELECT is(pg_temp.code('far'), 'origin_not_allowed', 'a route to an origin that is not allowed is refused for that');
SELECT pg_temp.refuses($$SELECT fn_iu_route_deliver('far', gen_random_uuid())$$, '0A000', 'origin',
  'delivery by hand is refused because of the origin');
SELECT is(pg_temp.code('r'), 'route_disabled', 'a route that is not enabled is refused for that');
UPDATE iu_outbound_route SET enabled = true WHERE route_code = 'r';
SELECT is(pg_temp.code('r'), 'route_dry_run', 'a route in dry run is refused for that');
UPDATE iu_outbound_route SET dry_run = false WHERE route_code = 'r';
SELECT is(pg_temp.code('r'), 'route_not_armed', 'a route enabled beside the protocol is refused as not armed');
SELECT is(fn_iu_route_arm('r', 'ann', 't') -> 'held', 'null', 'the route can be armed');
SELECT is(pg_temp.code('r'), NULL, 'nothing refuses an armed route');
SELECT is(iu.fn_iu_route_refusal('r'), NULL, 'for an armed route there is no refusal to explain');
UPDATE iu_route_position SET place = gen_random_uuid();
SELECT is(pg_temp.code('r'), 'position_foreign', 'a position of another place refuses the route');
UPDATE iu_route_position SET place = iu_core.place();
INSERT INTO iu_place (place, began, detail, system_identifier, database_oid, timeline, written_in, confirmed_at,
    confirmed_by, confirmed_reason, session_role)
  VALUES (gen_random_uuid(), 'first', 'another place', 1, 1, 1, 'iu_place'::regclass::oid, now(), 'ann', 't', 'ann');
SELECT is(pg_temp.code('r'), 'place_not_confirmed', 'a database that is not at home where it is refuses every route');
DELETE FROM iu_place;
UPDATE iu_route_secret SET valid_until = clock_timestamp() WHERE secret_ref = 'r';
SELECT is(pg_temp.code('r'), 'secret_missing', 'a route without a valid secret is refused');
INSERT INTO iu_route_secret (secret_ref, secret, valid_from, created_by)
  VALUES ('r', 'whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz', clock_timestamp() + '1 h', 'ann');
SELECT is(pg_temp.code('r'), 'secret_missing', 'a secret that becomes valid later does not count');
SELECT fn_iu_route_secret_add('r', 'ann', 't');
SELECT is(pg_temp.code('r'), NULL, 'a new secret ends the refusal');
SELECT bag_eq($$SELECT r.code, true FROM unnest(ARRAY['r', 'far', 'flow', 'nope']) c (route),
  LATERAL (SELECT iu.fn_iu_route_refusal(c.route) ->> 'code' AS code,
    iu.fn_iu_route_refusal(c.route) ->> 'sentence' <> '' AND iu.fn_iu_route_refusal(c.route) ->> 'next_action' <> ''
    AS said) r WHERE r.said$$,
  $$VALUES ('origin_not_allowed', true), ('target_kind_not_supported', true), ('route_unknown', true)$$,
  'each refusal says why and what to do');

-- ---- arming

SELECT pg_temp.refuses(format('SELECT fn_iu_route_arm(%L, ''a'', ''r''%s)', c, m), e, p, n) FROM (VALUES
  ('nope', '', '42704', 'not registered', 'arming is refused for a route that is not registered'),
  ('flow', '', '0A000', 'kind workflow', 'arming is refused for a target kind that is not sent'),
  ('r', '', '55006', 'armed already', 'arming is refused for a route that is armed already'),
  ('far', ', now() + interval ''1 h''', '23514', 'future', 'arming is refused with a start in the future'),
  ('far', ', NULL, NULL', '23514', 'positive', 'arming is refused without a maximum age'),
  ('far', ', NULL, ''-1 h''', '23514', 'positive', 'arming is refused with a negative maximum age'))
  AS t (c, m, e, p, n);
SELECT fn_iu_route_disallow('far', 'ann', 't');
SELECT pg_temp.refuses($$SELECT fn_iu_route_arm('far', 'a', 'r')$$, '42501', 'allowlist',
  'arming is refused for a route that is not on the allowlist');
SELECT pg_temp.refuses($$SELECT fn_iu_route_confirm_position('r', 'a', 'r')$$, '55000', 'belongs to this place',
  'confirming a position is refused in the database it belongs to');
SELECT pg_temp.refuses($$SELECT fn_iu_route_confirm_position('far', 'a', 'r')$$, '42704', 'no position',
  'confirming a position is refused for a route that was never armed');
SELECT is(iu.fn_iu_snapshot_now()::text,
  (SELECT s FROM (SELECT iu.fn_iu_snapshot_now()::text AS s, pg_current_xact_id()) x),
  'a snapshot is stable within a statement');
SELECT is(pg_visible_in_snapshot(pg_current_xact_id(), iu.fn_iu_snapshot_now()), false,
  'the own transaction counts as not finished');

-- ---- what is sent

INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane, event_subject_table, event_subject_ref,
  canonical_address, source_system,
    correlation_id, safe_payload, occurred_at)
  VALUES ('iu', 'version_applied', 'update', 'immediate', 'information_unit', E'a "quoted"\nref', NULL, 's', 'c1',
  '{"b": 1, "a": [true, null]}', '2026-01-02 03:04:05.678901+02');
SELECT is(fn_iu_delivery_body(e),
  format('{"type":"iu.version_applied","timestamp":"2026-01-02T01:04:05.678901Z","data":{"event_id":"%s",'
    '"severity":"info",'
  '"subject":{"table":"information_unit","ref":"a '
    '\"quoted\"\nref"},"canonical_address":null,"correlation_id":"c1","payload":{"a": [true, null], "b": 1}}}', e.id),
  'the body of a delivery is as documented, to the byte') FROM event_outbox e WHERE correlation_id = 'c1';
SELECT is(fn_iu_delivery_body(e)::jsonb -> 'data' ->> 'subject',
  '{"ref": "a \"quoted\"\nref", "table": "information_unit"}',
  'the body of a delivery is JSON with its quotes and line ends')
  FROM event_outbox e WHERE correlation_id = 'c1';
SELECT is(iu.fn_iu_webhook_id(12, 3, 1, '00000000-0000-0000-0000-0123456789ab'), 'msg_12_3_1_0123456789ab',
  'the webhook-id names event_seq, replay, route and database');
SELECT is(array_agg(iu.fn_iu_delivery_rule(s, c) ORDER BY n),
  ARRAY['disable', 'pace', 'obey', 'retry', 'retry', 'retry', 'give_up', 'retry',
    'give_up', 'give_up', 'retry', 'disable', 'pace', 'retry', 'retry'],
  'each status and each failure has the rule that follows it')
  FROM (VALUES (1, 410, NULL), (2, 429, NULL), (3, 503, NULL), (4, 500, NULL), (5, 302, NULL), (6, NULL, 'timed_out'),
  (7, NULL, 'request_too_large'), (8, NULL, NULL),
    (9, NULL, 'body_not_sendable'), (10, 204, 'response_too_large'), (11, 500, 'response_too_large'),
    (12, 410, 'response_too_large'),
    (13, 429, 'response_too_large'), (14, 200, 'timed_out'), (15, 404, NULL)) AS t (n, s, c);

-- ---- by hand, within one transaction: behind the position by decree

SELECT is(fn_iu_route_deliver('r', e.id) ->> 'status', 'already_queued',
  'delivering an event by hand before its commit leaves it to the position') FROM event_outbox e
  WHERE correlation_id = 'c1';
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;
SELECT pg_temp.refuses(format('SELECT fn_iu_route_deliver(''r'', %L, %L)', i, p), e, m, n) FROM (
  SELECT (SELECT id FROM event_outbox WHERE correlation_id = 'c1') AS id) x, LATERAL (VALUES
  (gen_random_uuid(), NULL, 'P0002', 'not in the outbox',
  'delivery by hand is refused for an event that does not exist'),
  (NULL, NULL, 'P0002', 'not in the outbox', 'delivery by hand is refused for a NULL event'),
  (x.id, '{"other": 1}', '23514', 'payload given',
  'delivery by hand is refused with a payload that is not the event''s'),
  (fn_iu_emit_event('structure_op_applied', 'a', gen_random_uuid(), 't'), NULL, '23514', 'not of the type',
  'delivery by hand is refused for an event of another type than the route''s')) AS t (i, p, e, m, n);
SELECT is(fn_iu_route_explain('r', e.id) ->> 'code', 'before_start',
  'before the hand-over explain says that the event lies before the start') FROM event_outbox e
  WHERE correlation_id = 'c1';
SELECT is(fn_iu_route_deliver('r', e.id, e.safe_payload) ->> 'status', 'handed_over',
  'an event before the start can be handed over') FROM event_outbox e WHERE correlation_id = 'c1';
SELECT is(fn_iu_route_explain('r', e.id) ->> 'code', 'due',
  'after the hand-over explain says that the event is due') FROM event_outbox e WHERE correlation_id = 'c1';
SELECT pg_temp.refuses('SELECT iu.fn_iu_delivery_claim(' || a || ')', '23514', 'names its sender',
  'claiming is refused with the arguments ' || a)
  FROM unnest(ARRAY[$$'', 1$$, $$NULL, 1$$, $$'s', 0$$, $$'s', NULL$$]) a;
CREATE TEMP TABLE claimed AS SELECT * FROM iu.fn_iu_delivery_claim('s', 10);
SELECT row_eq('SELECT lease_generation, route_code, replay_number, attempt_no, target_kind, target_url, timeout_ms, '
  'cardinality(secrets) FROM claimed',
  ROW(1, 'r'::text, 0, 1, 'external_endpoint'::text, 'https://hooks.example/x'::text, 10000, 1),
  'an event that was handed over is claimed with its route''s data');
INSERT INTO iu_route_secret (secret_ref, secret, created_by) VALUES ('r', 'whsec_OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2',
  'ann');
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 10)), 0::bigint,
  'what is claimed is not claimed a second time');
SELECT is(iu.fn_iu_delivery_record(lease_id, 1,
  jsonb_build_array(jsonb_build_object('event_id', event_id, 'outcome', 'held', 'failure_code', 'shut'))), 0,
  'a result that was held is not an attempt') FROM claimed;
SELECT row_eq('SELECT attempt_no, reason, due_at <= clock_timestamp() FROM iu_route_retry', ROW(1, 'shut'::text, true),
  'what was held is due again as the same attempt');
CREATE TEMP TABLE address AS SELECT * FROM iu.fn_iu_delivery_claim('s', 10);
SELECT is(iu.fn_iu_delivery_record(lease_id, 1,
  jsonb_build_array(jsonb_build_object('event_id', event_id, 'outcome', 'held', 'failure_code', 'address_refused',
  'failure_detail', 'address 10.0.0.1 is not public'))), 0, 'a refused address is not an attempt') FROM address;
SELECT row_eq('SELECT attempt_no, reason, due_at - interval ''1 min'' BETWEEN now() AND clock_timestamp() FROM '
  'iu_route_retry', ROW(1, 'address_refused'::text, true),
  'what met a refused address is due again in a minute as the same attempt');
SELECT row_eq($$SELECT x ->> 'code', x ->> 'sentence', x ->> 'next_action' ~ 'allowed_networks' FROM address,
  LATERAL fn_iu_route_explain('r', event_id) x$$,
  ROW('address_refused'::text, 'address 10.0.0.1 is not public'::text, true),
  'explain says that the address was refused, and which setting allows it');
SELECT row_eq('SELECT route_code, code, sentence, held FROM v_iu_route_held',
  ROW('r'::text, 'address_refused'::text, 'address 10.0.0.1 is not public'::text, 1::bigint),
  'the view of what is held shows the refused address');
UPDATE iu_route_retry SET due_at = clock_timestamp();
SELECT is((SELECT secrets[1] FROM iu.fn_iu_delivery_claim('s', 10)), 'whsec_OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2',
  'while secrets rotate the newest comes first')
  FROM pg_sleep(0);
UPDATE iu_route_lease SET expires_at = clock_timestamp();
SELECT is((SELECT array_agg(iu.fn_iu_delivery_keep(l.lease_id, g) ORDER BY g) FROM iu_route_lease l,
  unnest(ARRAY[1, 2]) g), ARRAY[true, false],
  'a lease is kept by its own generation');
SELECT ok(expires_at > clock_timestamp() + interval '1 min', 'a lease that is kept has new time') FROM iu_route_lease;
SELECT is(iu.fn_iu_delivery_keep(-1, 1), false, 'keeping a lease that does not exist keeps nothing');
SELECT is(iu.fn_iu_delivery_record(l.lease_id, 1, jsonb_build_array(
    jsonb_build_object('event_id', gen_random_uuid(), 'outcome', 'sent'),
    jsonb_build_object('event_id', l.event_ids[1], 'attempt_no', 7, 'outcome', 'sent'))), 0,
  'results that are not in the lease are ignored') FROM iu_route_lease l;
SELECT is(iu.fn_iu_delivery_record(l.lease_id, 1, jsonb_build_array(
    jsonb_build_object('event_id', l.event_ids[1], 'outcome', 'sent', 'http_status', 200),
    jsonb_build_object('event_id', l.event_ids[1], 'outcome', 'failed', 'http_status', 500))), 1,
  'of two outcomes of one attempt one is recorded') FROM iu_route_lease l;
SELECT pg_temp.refuses('SELECT iu.fn_iu_delivery_record(' || a || ')', '55000', 'no longer held',
  'recording is refused with the arguments ' || a)
  FROM unnest(ARRAY[$$-1, 1, '[]'$$, $$NULL, 1, '[]'$$, $$NULL, NULL, NULL$$]) a;

-- ---- who may

SELECT set_eq($$
  SELECT r.rolname::text, pg_temp.called_as(p.oid) FROM pg_proc p CROSS JOIN pg_roles r
   WHERE pg_temp.called_as(p.oid) IS NOT NULL
   AND p.oid IN (SELECT to_regprocedure(g.object_name) FROM iu_governed_object g WHERE g.migration BETWEEN 4 AND 7
   AND g.object_class = 'function')
     AND r.rolname IN ('iu_core_writer', 'iu_core_worker') AND has_function_privilege(r.oid, p.oid, 'EXECUTE')$$,
  $$VALUES ('iu_core_writer', 'fn_iu_emit_event'), ('iu_core_writer', 'fn_iu_emit_events'),
  ('iu_core_writer', 'fn_iu_event_emit'), ('iu_core_writer', 'fn_iu_core_routes_enabled'),
  ('iu_core_worker', 'iu.fn_iu_delivery_claim'), ('iu_core_worker', 'iu.fn_iu_delivery_news'),
    ('iu_core_worker', 'iu.fn_iu_delivery_record_batch'), ('iu_core_worker', 'iu.fn_iu_delivery_check'),
    ('iu_core_worker', 'iu.fn_iu_delivery_settle'), ('iu_core_worker', 'iu.fn_iu_delivery_keep'),
    ('iu_core_worker', 'iu.fn_iu_delivery_next_due'), ('iu_core_worker', 'iu.fn_iu_attempt_partitions_tend')$$,
  'writers emit, the worker claims and records, neither does more');
SELECT is((SELECT string_agg(pg_temp.called_as(p.oid), ',' ORDER BY p.proname) FROM pg_proc p
   WHERE p.oid IN (SELECT to_regprocedure(g.object_name) FROM iu_governed_object g WHERE g.migration BETWEEN 4 AND 7
   AND g.object_class = 'function')
     AND has_function_privilege('iu_core_operator', p.oid, 'EXECUTE') AND NOT has_function_privilege('iu_core_reader',
     p.oid, 'EXECUTE')),
  'fn_iu_route_add,fn_iu_route_allow,fn_iu_route_arm,fn_iu_route_circuit_close,fn_iu_route_confirm_position,'
    'fn_iu_route_credential_end,fn_iu_route_credential_put,'
      'fn_iu_route_deliver,fn_iu_route_disallow,fn_iu_route_key_add,fn_iu_route_pause,'
      'fn_iu_route_resume,fn_iu_route_retire,'
      'fn_iu_route_retry_now,fn_iu_route_secret_add,fn_iu_route_secret_end,fn_iu_route_set',
  'operators work the routes');
SELECT is((SELECT string_agg(pg_temp.called_as(p.oid), ',' ORDER BY p.proname) FROM pg_proc p
   WHERE p.oid IN (SELECT to_regprocedure(g.object_name) FROM iu_governed_object g WHERE g.migration BETWEEN 4 AND 7
   AND g.object_class = 'function')
     AND has_function_privilege('iu_core_reader', p.oid, 'EXECUTE') AND p.provolatile = 'v'),
  'iu.fn_iu_delivery_refusal,fn_iu_route_explain,iu.fn_iu_route_refusal', 'readers may ask why a route refuses');
SELECT ok(has_function_privilege('iu_core_admin', 'fn_iu_switch_set(text, text, text, text)', 'EXECUTE')
  AND NOT has_function_privilege('iu_core_operator', 'fn_iu_switch_set(text, text, text, text)', 'EXECUTE'),
  'only an admin sets switches');
SELECT is((SELECT string_agg(r.rolname, ',') FROM pg_roles r
  WHERE r.rolname ~ '^iu_core_(reader|writer|operator|admin|worker)$'
   AND (has_any_column_privilege(r.oid, 'iu_route_secret', 'SELECT, INSERT, UPDATE') OR has_table_privilege(r.oid,
   'iu_route_secret', 'DELETE'))), NULL,
  'no role reads or writes secrets');
SELECT is((SELECT string_agg(r.rolname || ' ' || g.object_name, ', ') FROM pg_roles r, iu_governed_object g
   WHERE r.rolname ~ '^iu_core_(reader|writer|operator|admin|worker)$' AND g.migration BETWEEN 4 AND 7
   AND g.object_class IN ('table', 'view')
     AND has_table_privilege(r.oid, to_regclass(g.object_name),
     'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')), NULL,
  'no role writes a table of delivery past the functions');
SELECT is((SELECT string_agg(g.object_name, ', ' ORDER BY g.object_name) FROM iu_governed_object g
   WHERE g.migration BETWEEN 4 AND 7 AND g.object_class IN ('table', 'view')
   AND NOT has_table_privilege('iu_core_reader', to_regclass(g.object_name), 'SELECT')),
  'iu_route_credential, iu_route_secret', 'readers read every table and view of delivery but the secrets');
SELECT alike(pg_temp.as_role('iu_core_writer', 'SELECT secret FROM iu_route_secret'), '42501%',
  'a writer asking for a secret is refused');
SELECT alike(pg_temp.as_role('iu_core_worker', 'SELECT id FROM event_outbox'), '42501%',
  'the worker may read no table');
SELECT is(pg_temp.as_role('iu_core_worker', 'SELECT count(*) FROM iu.fn_iu_delivery_claim(''s'', 1)'), '0',
  'the worker''s functions work for the worker');
SELECT isnt(pg_temp.as_role('iu_core_writer',
  $$SELECT fn_iu_emit_event('version_applied', 'a', gen_random_uuid(), 't')$$), NULL,
  'a writer can emit');
SELECT unalike(pg_temp.as_role('iu_core_reader', 'SELECT count(*) FROM v_iu_route_held'), '42%',
  'a reader sees what is held');
SELECT unalike(pg_temp.as_role('iu_core_reader', 'SELECT count(*) FROM v_iu_event_backlog'), '42%',
  'a reader sees the backlog');

-- ---- arming anew: what waited is passed over, and counted

SELECT fn_iu_route_add('again', 'collection_created', 'https://hooks.example/', 'ann', 't'),
  fn_iu_route_allow('again', 'ann', 't'), fn_iu_route_arm('again', 'ann', 't');
SELECT count(fn_iu_emit_event('collection_created', 'again', gen_random_uuid(), 't')) FROM generate_series(1, 4);
UPDATE event_outbox SET emitted_xid = '3' WHERE event_type = 'collection_created';
UPDATE iu_route_step SET seen = '3:3:' WHERE route_code = 'again';
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason) SELECT 'again', id, event_seq, now(),
  'http_500' FROM event_outbox WHERE event_type = 'collection_created' LIMIT 1;
SELECT fn_iu_route_pause('again', 'ann', 't');
SELECT is(fn_iu_route_arm('again', 'ann', 't') - ARRAY['held'],
  '{"status": "armed", "route_code": "again", "start_at": null, "owed": 0, "passed_over": 3}',
  'arming from now on passes over the three of four events that wait');
SELECT is((SELECT evidence ->> 'passed_over' FROM dot_iu_command_run WHERE command_name = 'dot_iu_route_arm'
  AND evidence ->> 'route_code' = 'again' AND evidence ->> 'passed_over' <> '0'), '3',
  'the number of events that arming passed over is in the log of runs');
UPDATE iu_route_step SET seen = '3:3:' WHERE route_code = 'again';
SELECT fn_iu_route_pause('again', 'ann', 't');
SELECT is(fn_iu_route_arm('again', 'ann', 't', now() - interval '1 min') - ARRAY['held', 'start_at'],
  '{"status": "armed", "route_code": "again", "owed": 3, "passed_over": 0}',
  'arming with a start before the events passes over none');
SELECT fn_iu_route_retire('again', 'ann', 't');
DELETE FROM iu_route_retry WHERE route_code = 'again';
DELETE FROM event_outbox WHERE event_type = 'collection_created';

-- ---- a route of few in flight: in quarters

SELECT fn_iu_route_add('few', 'collection_validated', 'https://hooks.example/x', 'ann', 't'),
  fn_iu_route_allow('few', 'ann', 't'), fn_iu_route_arm('few', 'ann', 't') \g /dev/null
CREATE FUNCTION pg_temp.claims(p_in_flight integer, p_claims integer, p_max integer DEFAULT 1000) RETURNS integer[]
  LANGUAGE plpgsql AS $$
DECLARE
  v_claims integer[] := '{}';
BEGIN
  DELETE FROM iu_route_lease;
  DELETE FROM iu_route_retry;
  UPDATE iu_outbound_route SET max_in_flight = p_in_flight WHERE route_code = 'few';
  INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
    SELECT 'few', e.id, e.event_seq, clock_timestamp(),
    'deliver' FROM event_outbox e WHERE e.event_type = 'collection_validated';
  FOR i IN 1 .. p_claims LOOP
    v_claims := v_claims || (SELECT count(*) FROM iu.fn_iu_delivery_claim('s', p_max))::integer;
  END LOOP;
  RETURN v_claims;
END $$;
SELECT fn_iu_emit_event('collection_validated', 'A/' || n, gen_random_uuid(), 't') FROM generate_series(1,
  300) n \g /dev/null
SELECT is(pg_temp.claims(n, 7), c, format('a route of %s in flight gives the claims %s', n, c)) FROM (VALUES
  (128, ARRAY[32, 32, 32, 32, 32, 32, 0]), (100, ARRAY[25, 25, 25, 25, 25, 25, 0]),
  (65, ARRAY[17, 17, 17, 17, 17, 13, 0]), (40, ARRAY[16, 16, 16, 12, 0, 0, 0]), (10, ARRAY[15, 0, 0, 0, 0, 0, 0]),
  (1, ARRAY[2, 0, 0, 0, 0, 0, 0]), (258, ARRAY[194, 106, 0, 0, 0, 0, 0])) AS v (n, c);
SELECT is(pg_temp.claims(256, 2, 10), ARRAY[10, 10], 'a claim that asks for fewer gets fewer');
SELECT is(pg_temp.claims(64, 1), ARRAY[16], 'the first claim of a route of 64 takes a quarter');
SELECT is(iu.fn_iu_delivery_next_due() <= clock_timestamp(), true, 'after the first quarter there is more at once');
SELECT is(pg_temp.claims(64, 6), ARRAY[16, 16, 16, 16, 16, 16], 'six claims take half as many again as may be sent');
SELECT is(iu.fn_iu_delivery_next_due() <= clock_timestamp(), false,
  'after the last part there is no more before one of them ends');
SELECT is(iu.fn_iu_delivery_record(lease_id, generation,
  (SELECT jsonb_agg(jsonb_build_object('event_id', x, 'outcome', 'sent')) FROM unnest(event_ids) x)), 16,
  'a part can be recorded as sent')
  FROM iu_route_lease ORDER BY lease_id LIMIT 1;
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('t', 1000)), 16::bigint,
  'after one part has ended another sender takes the next');
SELECT is((SELECT sum(item_count) FROM iu_route_lease WHERE route_code = 'few'), 96::bigint,
  'all senders together hold no more than half as many again as the route allows');

-- ---- several senders

CREATE FUNCTION pg_temp.shares(p_in_flight integer, p_senders integer, OUT requests integer, OUT held bigint)
  LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_temp.claims(p_in_flight, 0);
  FOR i IN 1 .. 10 LOOP
    requests := coalesce((SELECT max(c.requests) FROM iu.fn_iu_delivery_claim('s', 1000, NULL, p_senders) c), requests);
  END LOOP;
  held := (SELECT sum(item_count) FROM iu_route_lease WHERE route_code = 'few');
END $$;
SELECT row_eq(format('SELECT * FROM pg_temp.shares(%s, %s)', n, senders), ROW(requests, held),
  format('of a route of %s in flight one of %s senders sends %s at a time and holds %s', n, senders, requests, held))
  FROM (VALUES (64, 1, 64, 96::bigint), (64, 2, 32, 48), (100, 3, 33, 50), (16, 16, 1, 2), (15, 2, 15, 15),
    (1, 2, 1, 1), (1, 1, 1, 2)) AS v (n, senders, requests, held);
UPDATE iu_route_lease SET backend_pid = (SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer')
 WHERE route_code = 'few';
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('t', 1000, NULL, 2) WHERE route_code = 'few'), 0::bigint,
  'a route that is not divided gives nothing while another sender has all of it');

-- ---- where to look

SELECT fn_iu_route_add('other', 'piece_reordered', 'https://hooks.example/x', 'ann', 't'),
  fn_iu_route_allow('other', 'ann', 't'), fn_iu_route_arm('other', 'ann', 't') \g /dev/null
SELECT n.now AS before FROM iu.fn_iu_delivery_news('') n \gset
SELECT is((SELECT n.routes FROM iu.fn_iu_delivery_news('') n), NULL,
  'a sender that has not looked before looks at all routes');
SELECT is((SELECT n.routes FROM iu.fn_iu_delivery_news('1:1:') n), NULL,
  'where very much is new a sender looks at all routes');
SELECT is(iu.fn_iu_delivery_claim_routes(ARRAY['none', 'other'], false), '{}',
  'a route of whose type nothing was committed has nothing to do, whatever else was');
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 10, NULL, 1, ARRAY['other'])), 0::bigint,
  'a claim looks at no other route than it is given');

-- ---- looking

SELECT row_eq($$SELECT route_kind, route_code, status, attempts FROM v_iu_route_attempt_summary
  WHERE route_code = 'r'$$,
  ROW('outbound'::text, 'r'::text, 'sent'::text, 1::bigint),
  'attempts are summed up');
SELECT is((SELECT string_agg(k.relname || '.' || a.attname, ', ') FROM pg_class k
  JOIN pg_attribute a ON a.attrelid = k.oid
   WHERE k.relname IN ('iu_route_attempt', 'iu_route_dead_letter', 'iu_route_lease', 'iu_route_retry',
   'dot_iu_command_run') AND a.attname LIKE '%secret%'), NULL,
  'no row that readers see has a column of secrets');
SELECT is((SELECT string_agg(g.object_class || ' ' || g.object_name, ', ') FROM iu_governed_object g
  WHERE g.migration BETWEEN 4 AND 7 AND CASE g.object_class
    WHEN 'function' THEN obj_description(to_regprocedure(g.object_name), 'pg_proc')
    WHEN 'table' THEN obj_description(to_regclass(g.object_name), 'pg_class')
    WHEN 'view' THEN obj_description(to_regclass(g.object_name), 'pg_class') ELSE '' END IS NULL), NULL,
  'every object of delivery has a comment');

SELECT * FROM finish();
ROLLBACK;
