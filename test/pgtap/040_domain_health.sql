-- 040: the seven surfaces of health, each in every state; what is overdue; issues that open and are resolved; naming
-- the foreign tables of a remote. Remotes that answer: tap/t/160_domain_health.pl.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
UPDATE iu_invariant_state SET next_at = clock_timestamp() + interval '1 s' WHERE next_at IS NOT NULL;

-- ok and detail of a surface, as a reader is told.
CREATE FUNCTION pg_temp.surface(p_surface text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', coalesce(s -> 'ok', 'null'), s ->> 'detail')
    FROM (SELECT fn_iu_domain_healthcheck() -> 'surfaces' -> p_surface AS s) x $$;
CREATE FUNCTION pg_temp.checks(p_code text) RETURNS text LANGUAGE sql AS
  $$SELECT verdict || ' ' || detail FROM fn_iu_invariant_check(p_code)$$;
CREATE FUNCTION pg_temp.gate(p_gate text, p_open boolean) RETURNS void LANGUAGE sql AS
  $$UPDATE dot_config SET value = p_open::text WHERE key = p_gate$$;

-- ---- who is told, and what

SELECT is((SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(fn_iu_domain_healthcheck()) k),
  '{checked_at,late,overall_ok,surfaces}', 'health has these keys');
SELECT is((SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(fn_iu_domain_healthcheck() -> 'surfaces') k),
  '{auto_refresh_trigger,directus_collection,operator_runtime,qdrant_collection,three_axis_cache,vector_boundary,'
  'write_gates}', 'health has seven surfaces');
SELECT is(fn_iu_domain_healthcheck() -> 'overall_ok', 'true', 'a database in which nothing happened is well');
SELECT is(pg_temp.login('iu_test_rita', $$fn_iu_domain_healthcheck() ->> 'overall_ok'$$), 'true', 'a reader is told');
SELECT is(pg_temp.login('iu_test_wim', $$fn_iu_domain_healthcheck() ->> 'overall_ok'$$),
  '42501 permission denied for function fn_iu_domain_healthcheck', 'a writer who does not read is not');
CREATE ROLE iu_test_monitor LOGIN IN ROLE pg_monitor;
SELECT is(pg_temp.login('iu_test_monitor', $$fn_iu_domain_healthcheck() ->> 'overall_ok'$$), 'true',
  'a member of pg_monitor is told');
SELECT results_eq($$SELECT invariant_code, severity, every_seconds, enabled FROM iu_invariant
    WHERE invariant_code ~ '^(health|directus)[.]' ORDER BY 1$$,
  $$VALUES ('directus.envelope_equals_items', 'warning', 600, false),
  ('health.auto_refresh_trigger', 'warning', 600, true),
    ('health.directus_collection', 'warning', 600, false), ('health.operator_runtime', 'warning', 600, true),
    ('health.qdrant_collection', 'warning', 600, false), ('health.three_axis_cache', 'warning', 600, true),
    ('health.vector_boundary', 'warning', 600, true), ('health.write_gates', 'warning', 600, true)$$,
  'each surface is an invariant on a schedule, those of remotes from when a table is named');
SELECT is((SELECT string_agg(invariant_code || ' ' || verdict || ' ' || left_value, ', ' ORDER BY invariant_code)
    FROM iu_invariant i, fn_iu_invariant_check(i.invariant_code)
    WHERE i.invariant_code ~ '^health' AND enabled), 'health.auto_refresh_trigger pass ok, '
  'health.operator_runtime pass ok, health.three_axis_cache pass ok, health.vector_boundary pass ok, '
  'health.write_gates pass ok', 'the checks pass');

-- ---- the envelope

SELECT fn_iu_create('h/' || i, 'H ' || i, 'text', 'wim') FROM generate_series(1, 3) i;
SELECT is(pg_temp.surface('three_axis_cache'),
  'false the envelope differs from its view: 3 missing, 0 too many, 0 with other content',
  'the cache is not ok while units are missing in it');
SELECT alike(pg_temp.checks('health.three_axis_cache'), 'unknown left is the envelope differs from its view: 3 missing%'
  'settling%', 'its check gives a refresh some minutes');
SELECT is((SELECT count(*) FROM iu_open_issue), 0::bigint, 'a difference that settles is no issue');
SELECT fn_iu_three_axis_envelope_refresh('wim', false);
SELECT is(pg_temp.surface('three_axis_cache'), 'false the envelope was never refreshed',
  'the cache is not ok while nobody has called the refresh that leaves a log');
SELECT fn_iu_three_axis_envelope_refresh_if_stale('olga', false, false);
SELECT is(pg_temp.surface('three_axis_cache'), 'true the envelope has what its view has',
  'the cache is ok when it was');

-- ---- its triggers

SELECT pg_temp.gate('iu_core.three_axis_auto_refresh_enabled', true);
SET LOCAL ROLE iu_core_owner;
INSERT INTO iu_three_axis_envelope_mark (unit_ids, marked_at) VALUES (NULL, clock_timestamp() - interval '6 minutes');
RESET ROLE;
SELECT alike(pg_temp.surface('auto_refresh_trigger'),
  'false its gate is open, and what changed at % was not refreshed: does a runner run?',
  'what should have been refreshed by itself and was not is not ok');
SELECT pg_temp.gate('iu_core.three_axis_auto_refresh_enabled', false);
SELECT is(pg_temp.surface('auto_refresh_trigger'), 'true no error in 24 hours', 'with the gate closed it need not be');
SET LOCAL ROLE iu_core_owner;
DELETE FROM iu_three_axis_envelope_mark;
INSERT INTO iu_three_axis_envelope_trigger_error_log (trigger_name, host_table, tg_op, sqlstate, sqlerrm, captured_at)
  VALUES ('t', 'information_unit', 'UPDATE', 'P0001', 'stub', now() - interval '25 hours');
RESET ROLE;
SELECT is(pg_temp.surface('auto_refresh_trigger'), 'true no error in 24 hours', 'an error of yesterday is over');
SET LOCAL ROLE iu_core_owner;
UPDATE iu_three_axis_envelope_trigger_error_log SET captured_at = now();
RESET ROLE;
SELECT is(pg_temp.surface('auto_refresh_trigger'), 'false 1 error(s) in 24 hours', 'an error of a trigger is not ok');
ALTER TABLE iu_metadata_tag DISABLE TRIGGER trg_iu_three_axis_envelope_auto_refresh_tag;
SELECT is(pg_temp.surface('auto_refresh_trigger'),
  'false triggers are gone, or off: trg_iu_three_axis_envelope_auto_refresh_tag', 'a trigger that is off is not ok');
ALTER TABLE iu_metadata_tag ENABLE ALWAYS TRIGGER trg_iu_three_axis_envelope_auto_refresh_tag;

-- ---- an issue, from its opening to its end

SELECT coalesce(max(event_seq), 0) AS seq FROM event_outbox \gset
CREATE FUNCTION pg_temp.events(p_seq bigint) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', event_domain || '.' || event_type, event_stream, delivery_lane, event_severity,
           event_subject_table, event_subject_ref, safe_payload ->> 'verdict', safe_payload ->> 'previous'), ', '
           ORDER BY event_seq) FROM event_outbox WHERE event_seq > p_seq $$;
SELECT is(pg_temp.checks('health.auto_refresh_trigger'), 'fail left is 1 error(s) in 24 hours, right is ok',
  'the check fails');
SELECT is(pg_temp.events(:seq), 'system.issue_opened alert immediate warning iu_invariant health.auto_refresh_trigger '
  'fail pass', 'an invariant that turns red opens an issue');
SELECT results_eq('SELECT invariant_code, verdict, severity, detail, opened_event FROM iu_open_issue',
  format($$SELECT 'health.auto_refresh_trigger', 'fail', 'warning', 'left is 1 error(s) in 24 hours, right is ok', id
    FROM event_outbox WHERE event_seq > %s$$, :seq), 'the issue is open, and names its event');
SELECT is((SELECT safe_payload - 'meaning' FROM event_outbox WHERE event_seq > :seq),
  '{"invariant_code": "health.auto_refresh_trigger", "verdict": "fail", "previous": "pass", "severity": "warning",
    "detail": "left is 1 error(s) in 24 hours, right is ok"}', 'the event says what is wrong');
SELECT pg_temp.checks('health.auto_refresh_trigger');
SELECT is((SELECT count(*) FROM event_outbox WHERE event_seq > :seq), 1::bigint,
  'while it is red nothing more is emitted');
SET LOCAL ROLE iu_core_owner;
DELETE FROM iu_three_axis_envelope_trigger_error_log;
RESET ROLE;
SELECT id AS opened FROM event_outbox WHERE event_seq > :seq \gset
SELECT max(event_seq) AS seq FROM event_outbox \gset
SELECT is(pg_temp.checks('health.auto_refresh_trigger'), 'pass both are ok', 'the check passes again');
SELECT is(pg_temp.events(:seq), 'system.issue_resolved alert immediate info iu_invariant health.auto_refresh_trigger '
  'pass fail', 'the issue is resolved by an event');
SELECT is((SELECT correlation_id || ' ' || (safe_payload ->> 'opened_event') FROM event_outbox WHERE event_seq > :seq),
  :'opened' || ' ' || :'opened', 'which belongs to the one that opened it');
SELECT is((SELECT count(*) FROM iu_open_issue), 0::bigint, 'no issue is open');
SELECT max(event_seq) AS seq FROM event_outbox \gset
SELECT pg_temp.checks('health.auto_refresh_trigger');
SELECT is(pg_temp.events(:seq), NULL, 'an invariant that passes and passed emits nothing');

-- A view of a person's own: critical, then one that cannot be read.
CREATE TABLE test_agreed (l int, r int);
INSERT INTO test_agreed VALUES (1, 2);
CREATE VIEW test_agreement AS SELECT l / (r - 1) AS left_value, 1 AS right_value FROM test_agreed;
GRANT SELECT ON test_agreement TO iu_core_owner;
SELECT fn_iu_invariant_register('agreed', 'public.test_agreement', 'both agree', 'ada', 't');
SELECT is(pg_temp.checks('agreed') || coalesce(pg_temp.events(:seq), ''), 'pass both are 1',
  'the first check that passes emits nothing');
UPDATE test_agreed SET l = 2;
SELECT pg_temp.checks('agreed');
SELECT is(pg_temp.events(:seq), 'system.issue_opened alert immediate critical iu_invariant agreed fail pass',
  'an issue of a critical invariant is critical');
SELECT max(event_seq) AS seq FROM event_outbox \gset
SELECT fn_iu_invariant_enable('agreed', false, 'ada', 'for a while');
SELECT is((SELECT count(*) FROM iu_open_issue), 0::bigint, 'the issue of an invariant that is disabled is closed');
SELECT results_eq(format($$SELECT event_type, correlation_id, safe_payload - '{opened_at,opened_event}'::text[]
    FROM event_outbox WHERE event_seq > %s$$, :seq),
  format($$SELECT 'issue_resolved'::text, id::text, '{"invariant_code": "agreed", "meaning": "both agree",
    "verdict": null, "previous": "fail", "severity": "critical", "detail": "the invariant was disabled"}'::jsonb
    FROM event_outbox WHERE event_seq = %s$$, :seq), 'which is told as resolved, with what happened');
SELECT max(event_seq) AS seq FROM event_outbox \gset
UPDATE test_agreed SET l = 1;
SELECT pg_temp.checks('agreed');
UPDATE test_agreed SET l = 2;
SELECT alike(pg_temp.checks('agreed') || coalesce(pg_temp.events(:seq), ' nothing'), 'fail % nothing',
  'one that is disabled opens none, whoever checks it');
SELECT fn_iu_invariant_enable('agreed', true, 'ada', 'go on');
SELECT alike(pg_temp.checks('agreed') || ': ' || pg_temp.events(:seq),
  'fail %: system.issue_opened alert immediate critical iu_invariant agreed fail',
  'one that is enabled again and still fails opens another');
SELECT fn_iu_invariant_enable('agreed', true, 'ada', 'once more');
SELECT is((SELECT string_agg(invariant_code, ' ') FROM iu_open_issue), 'agreed',
  'enabling one that is enabled leaves its issue open');
SELECT max(event_seq) AS seq FROM event_outbox \gset
SELECT fn_iu_invariant_unregister('agreed', 'ada', 'over');
SELECT is((SELECT count(*) FROM iu_open_issue), 0::bigint, 'an issue goes with its invariant');
SELECT is((SELECT event_type || ': ' || (safe_payload ->> 'detail') FROM event_outbox WHERE event_seq > :seq),
  'issue_resolved: the invariant was removed', 'which is told as resolved too');
SELECT max(event_seq) AS seq FROM event_outbox \gset
UPDATE test_agreed SET r = 1;
SELECT fn_iu_invariant_register('agreed', 'public.test_agreement', 'both agree', 'ada', 't');
SELECT is(pg_temp.checks('agreed') || ': ' || pg_temp.events(:seq), 'unknown 22012: division by zero: '
  'system.issue_opened alert immediate warning iu_invariant agreed unknown',
  'what cannot be read is an issue, as a warning');
SELECT max(event_seq) AS seq FROM event_outbox \gset
UPDATE test_agreed SET r = 2, l = 3;
SELECT alike(pg_temp.checks('agreed') || ': ' || pg_temp.events(:seq),
  'fail %: system.issue_opened alert immediate critical iu_invariant agreed fail unknown',
  'what could not be read and turns out to fail is told with the severity of the invariant');
SELECT is((SELECT verdict || ' ' || severity FROM iu_open_issue), 'fail critical', 'and is one issue');
SELECT max(event_seq) AS seq FROM event_outbox \gset
UPDATE test_agreed SET r = 1;
SELECT pg_temp.checks('agreed');
UPDATE test_agreed SET r = 2, l = 3;
SELECT alike(pg_temp.checks('agreed') || coalesce(pg_temp.events(:seq), ' nothing'), 'fail % nothing',
  'an issue that is open is not opened once more');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
UPDATE test_agreed SET r = 2, l = 1;
SELECT max(event_seq) AS seq FROM event_outbox \gset
SELECT is(pg_temp.checks('agreed') || coalesce(pg_temp.events(:seq), ' nothing'), 'pass both are 1 nothing',
  'with the master switch off nothing is emitted');
SELECT is((SELECT count(*) FROM iu_open_issue), 0::bigint, 'and the issue is resolved all the same');
UPDATE test_agreed SET l = 5;
SELECT pg_temp.checks('agreed');
SELECT results_eq('SELECT invariant_code, verdict, opened_event FROM iu_open_issue',
  $$VALUES ('agreed', 'fail', NULL::uuid)$$, 'and opened, without an event');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
SELECT fn_iu_invariant_unregister('agreed', 'ada', 'over');

-- ---- points, gates, the runtime

SELECT is(pg_temp.surface('vector_boundary'), 'true the points of each unit are its chunks', 'the boundary is ok');
SELECT fn_iu_qdrant_collection_register('h_points', 4, 'Cosine', 'openai:m', 'iu_core_per_iu_chunks', 'ada', 'test');
SET LOCAL ROLE iu_core_owner;
SET LOCAL app.canonical_writer = 'fn_iu_vector_sync_observe';
INSERT INTO iu_vector_sync_point (point_key, collection_name, source_kind, source_path, sync_status, unit_id,
  chunk_index,
    chunk_count, point_id, last_actor)
  SELECT k, 'h_points', 'iu', 'p', 'planned', pg_temp.id_of('h/1'), n, n + 2, gen_random_uuid(), 'wim'
    FROM (VALUES ('one', 0), ('two', 1)) v (k, n);
RESET ROLE;
SELECT is(pg_temp.surface('vector_boundary'), 'false the points of 1 unit(s) are not its chunks, each once',
  'points of a unit that disagree are not ok');
SELECT is(pg_temp.surface('write_gates'), 'true each is closed, or open on a standing approval', 'closed gates are ok');
SELECT pg_temp.login('iu_test_olga', $$fn_iu_gate_approval_grant('iu_core.composer_enabled', 'open', 600,
  clock_timestamp() + interval '1 hour', 'olga', 'for a while') ->> 'approval_id'$$) AS a \gset
SELECT fn_iu_gate_open('iu_core.composer_enabled', :'a', 'ada', 'work', 60);
SELECT alike(pg_temp.surface('write_gates'), 'false not as they should be: iu_core.composer_enabled (open until %',
  'a gate that is open for a while is not');
SELECT alike(pg_temp.checks('health.write_gates'), 'unknown %settling%', 'its check gives it an hour');
SELECT fn_iu_gate_close('iu_core.composer_enabled', 'ada', 'done');
SELECT pg_temp.login('iu_test_olga', $$fn_iu_gate_approval_grant('iu_core.delivery_enabled', 'open', 600,
  clock_timestamp() + interval '1 hour', 'olga', 'unattended', 'standing') ->> 'approval_id'$$) AS a \gset
SELECT fn_iu_gate_open('iu_core.delivery_enabled', :'a', 'ada', 'work', 60);
SELECT is(pg_temp.surface('write_gates'), 'true each is closed, or open on a standing approval',
  'a gate that is open on a standing approval is ok');
SELECT is((fn_iu_domain_healthcheck() #> '{surfaces,write_gates,standing}'), '1', 'and is counted');
DELETE FROM dot_config WHERE key = 'iu_core.retention_enabled';
SELECT is(pg_temp.surface('write_gates'),
  'false not as they should be: iu_core.retention_enabled (row missing in dot_config)',
  'a gate without a row is not ok');
SELECT is(pg_temp.surface('operator_runtime'), 'true no command failed in 24 hours', 'the runtime is ok');
SELECT fn_dot_iu_command_plan('dot_iu_retention_cleanup', '{}', 'olga') -> 'status';
SELECT fn_dot_iu_runtime_lease_acquire('iu_core.delivery_enabled', 'driver 7', 300) IS NOT NULL;
SELECT is((fn_iu_domain_healthcheck() #> '{surfaces,operator_runtime}') - 'checked_at' - 'verdict' - 'verdict_since',
  '{"ok": true, "detail": "no command failed in 24 hours", "failed_24h": 0, "open_runs": 1, "active_leases": 1,
    "expired_leases": 0}', 'what was planned and not tried, and leases, are counted');
SELECT fn_dot_iu_command_log('dot_iu_change_report', 'read', 'apply', 'failed', false, NULL, NULL, NULL,
  'olga') IS NOT NULL;
SELECT is(pg_temp.surface('operator_runtime'), 'false 1 command(s) failed in 24 hours: dot_iu_change_report',
  'a command that failed is not ok');

-- ---- what should have run and has not

UPDATE iu_invariant_state SET next_at = clock_timestamp() - interval '3 minutes'
 WHERE invariant_code = 'health.vector_boundary';
SELECT alike(pg_temp.surface('vector_boundary'), 'false its check was due at %: does a runner run? the points of 1 %',
  'a surface whose check is overdue is not ok');
SELECT fn_iu_invariant_enable('health.vector_boundary', false, 'ada', 'later');
SELECT is(pg_temp.surface('vector_boundary'), 'null not looked at: invariant health.vector_boundary is disabled',
  'a surface that an administrator disabled is not looked at');
SELECT is(fn_iu_domain_healthcheck() -> 'late', '[]', 'nothing is late then');
UPDATE iu_invariant_state SET next_at = clock_timestamp() - interval '3 minutes' WHERE invariant_code = 'iu.no_cycle';
SELECT is(fn_iu_domain_healthcheck() -> 'late', '["iu.no_cycle"]', 'an invariant whose check is overdue is late');
SAVEPOINT before;
UPDATE iu_invariant SET enabled = false;
SELECT is(fn_iu_domain_healthcheck() -> 'overall_ok', 'false', 'health of which nothing is looked at is not well');
ROLLBACK TO before;
SET LOCAL ROLE iu_core_owner;
DELETE FROM iu_invariant WHERE invariant_code = 'health.write_gates';
RESET ROLE;
SELECT is(pg_temp.surface('write_gates') || ' ' || (fn_iu_domain_healthcheck() ->> 'overall_ok'),
  'false there is no invariant health.write_gates false', 'a surface whose invariant is lost is not ok');
ROLLBACK TO before;

CREATE OR REPLACE FUNCTION iu.fn_iu_health_auto_refresh_trigger() RETURNS jsonb LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp AS 'SELECT NULL::jsonb';
CREATE OR REPLACE FUNCTION iu.fn_iu_health_write_gates() RETURNS jsonb LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp AS $$SELECT '{"ok": null, "detail": "one cannot tell", "gates": 3}'::jsonb$$;
SELECT is(pg_temp.surface(s), 'false it does not say whether it is well',
  'a surface that does not say is not ok: ' || s)
  FROM unnest('{auto_refresh_trigger,write_gates}'::text[]) s;
ROLLBACK TO before;

-- ---- remotes

SELECT is(pg_temp.surface(s), 'null not looked at: no foreign table is named for it; an administrator names one with '
  'fn_iu_health_bind', 'nobody looks at a remote for which no table is named: ' || s)
  FROM unnest('{qdrant_collection,directus_collection}'::text[]) s;
CREATE SERVER iu_test_directus FOREIGN DATA WRAPPER directus_fdw OPTIONS (url 'http://127.0.0.1:9');
CREATE SERVER iu_test_qdrant FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'http://127.0.0.1:9');
CREATE FOREIGN TABLE t_items (collection text, items bigint) SERVER iu_test_directus OPTIONS (resource 'collections');
CREATE FOREIGN TABLE t_points (collection text, points bigint) SERVER iu_test_qdrant OPTIONS (resource 'collections');
CREATE TABLE t_local (collection text, items bigint);
SELECT pg_temp.refuses(format('SELECT fn_iu_health_bind(%s, ''a'', ''r'')', c), '23514', n,
  'naming a table is refused: '
  || c) FROM (VALUES ('''directus_collection'', ''t_items''', 'iu_health_table'),
    ('''directus_collection'', ''t_points''', 'iu_health_table'),
    ('''qdrant_collection'', ''t_items''', 'iu_health_table'),
    ('''directus_collection'', ''t_local''', 'iu_health_table'),
    ('''write_gates'', ''t_items''', 'iu_health_surface')) v (c, n);
GRANT SELECT ON t_items, t_points TO iu_core_owner;
SELECT is(fn_iu_health_bind('directus_collection', 't_items', 'ada', 'test') - 'run_id', '{"status": "bound",
  "surface": "directus_collection", "table": "public.t_items", "invariant_code": "directus.envelope_equals_items"}',
  'a table is named for Directus');
SELECT is((SELECT string_agg(invariant_code, ', ' ORDER BY invariant_code) FROM iu_invariant
            WHERE enabled AND invariant_code ~ 'directus'),
            'directus.envelope_equals_items, health.directus_collection',
  'count and surface are on');
SELECT fn_iu_health_bind('qdrant_collection', 't_points', 'ada', 'test') -> 'status';
SELECT is((SELECT string_agg(invariant_code, ', ' ORDER BY invariant_code) FROM iu_invariant
            WHERE enabled AND invariant_code ~ 'qdrant'), 'health.qdrant_collection, qdrant.indexed_equals_points',
  'those of Qdrant too');
SELECT alike(pg_temp.surface('directus_collection'), 'false it cannot be looked at: %',
  'a remote that does not answer is not ok, and health is answered all the same');
SELECT alike(pg_temp.checks('health.directus_collection'), 'unknown %', 'to its check it is unknown');
SELECT is((SELECT verdict || ' ' || severity FROM iu_open_issue WHERE invariant_code = 'health.directus_collection'),
  'unknown warning', 'and an issue');
-- Another table in the place of the one that was named.
ALTER FOREIGN TABLE t_items RENAME TO t_moved;
ALTER TABLE t_local RENAME TO t_items;
GRANT SELECT ON t_items TO iu_core_owner;
INSERT INTO t_items VALUES ('iu_three_axis_envelope', 3);
SELECT alike(pg_temp.surface('directus_collection'), 'false it cannot be looked at: the table of surface '
  'directus_collection must be a foreign table whose wrapper has handler %', 'a table in its place does not count');
SELECT alike(pg_temp.checks('directus.envelope_equals_items'), 'unknown 23514%', 'nor for the check');
DROP TABLE t_items;
SELECT alike(pg_temp.surface('directus_collection'),
  'false it cannot be looked at: surface "directus_collection" has no table', 'nor does none');

-- What a remote would answer, without one.
CREATE TABLE test_counts (collection text, counted numeric);
ALTER TABLE test_counts OWNER TO iu_core_owner;
CREATE OR REPLACE FUNCTION iu.fn_iu_health_counts(p_surface text, p_collections text[])
  RETURNS TABLE (collection text, counted numeric) LANGUAGE sql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.collection, c.counted FROM public.test_counts c WHERE c.collection = ANY (p_collections) $$;
SELECT is(pg_temp.surface('directus_collection'), 'false Directus shows no collection iu_three_axis_envelope',
  'Directus that does not show the envelope is not ok');
SELECT pg_temp.checks('directus.envelope_equals_items') AS c \gset
SELECT is(:'c'::text,
  'unknown 1 key(s) differ: 1 on the left only, 0 on the right only, 0 with different values; settling'
  || substring(:'c' FROM '; settling(.*)'), 'its count differs');
INSERT INTO test_counts VALUES ('iu_three_axis_envelope', NULL);
SELECT is(pg_temp.surface('directus_collection'), 'false Directus does not tell how many items there are',
  'Directus that does not count is not ok');
UPDATE test_counts SET counted = 0;
SELECT is(pg_temp.surface('directus_collection'), 'false Directus shows no item, of 3',
  'Directus without items is not ok');
UPDATE test_counts SET counted = 3;
SELECT is(pg_temp.surface('directus_collection'), 'true Directus shows the envelope', 'Directus with items is ok');
SELECT is(pg_temp.checks('directus.envelope_equals_items'), 'pass the same 1 key(s) on both sides', 'its count passes');
SELECT is(pg_temp.surface('qdrant_collection'), 'false no collection is active',
  'Qdrant without a collection is not ok');
UPDATE iu_qdrant_collection_registry SET status = 'active';
SELECT is(pg_temp.surface('qdrant_collection'), 'false Qdrant has not, or does not count: h_points',
  'Qdrant that has not an active collection is not ok');
INSERT INTO test_counts VALUES ('h_points', 0);
SELECT is(pg_temp.surface('qdrant_collection'), 'true Qdrant has the active collections',
  'Qdrant whose collection is to be filled is ok');
SET LOCAL ROLE iu_core_owner;
SET LOCAL app.canonical_writer = 'fn_iu_vector_sync_observe';
UPDATE iu_vector_sync_point SET updated_at = now() - interval '25 hours' WHERE point_key = 'one';
RESET ROLE;
SELECT is(pg_temp.surface('qdrant_collection'),
  'false 2 point(s) wait for an indexer, the first for more than 24 hours', 'an indexer that has not run is not ok');
SET LOCAL ROLE iu_core_owner;
UPDATE iu_vector_sync_point SET sync_status = 'indexed', content_digest = repeat('a', 64),
  indexed_digest = repeat('a', 64);
RESET ROLE;
SELECT is(pg_temp.surface('qdrant_collection'), 'false Qdrant has no point any more of: h_points',
  'a collection that lost its points is not ok');
UPDATE test_counts SET counted = 2;
SELECT is((fn_iu_domain_healthcheck() #> '{surfaces,qdrant_collection}') - 'checked_at' - 'verdict' - 'verdict_since',
  '{"ok": true, "detail": "Qdrant has the active collections", "collections": 1, "points": 2, "pending": 0,
    "oldest_pending_at": null}', 'one that has them is ok');
SELECT is((SELECT string_agg(invariant_code, ' ') FROM iu_open_issue), 'health.directus_collection',
  'the issue of Directus is open still');
SELECT fn_iu_health_bind(s, NULL, 'ada', 'over') ->> 'status'
  FROM unnest('{qdrant_collection,directus_collection}'::text[]) s;
SELECT is((SELECT count(*) FROM iu_invariant WHERE enabled AND invariant_code ~ 'directus|qdrant'), 0::bigint,
  'without a table nothing of a remote is checked');
SELECT is((SELECT count(*) FROM iu_open_issue), 0::bigint, 'and its issue is closed');
SELECT finish();
ROLLBACK;
