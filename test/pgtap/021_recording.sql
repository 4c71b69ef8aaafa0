-- 021: recording points, and that nothing but an observation makes one indexed: by no
-- value of the gate, in no transaction, by no role.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT fn_iu_qdrant_collection_register('chunks', 3, 'Cosine', 'm', 'iu_core_per_iu_chunks', 'olga', 'test');
SELECT fn_iu_qdrant_collection_register('old', 3, 'Cosine', 'm', 'p', 'olga', 'test'),
  fn_iu_qdrant_collection_retire('old', 'olga', 'test');
SELECT fn_iu_create(a, upper(a), 'text ' || a, 'wim') FROM unnest(ARRAY['a', 'b', 'draft']) a;
SELECT fn_iu_enact(a, 'wim', (fn_iu_review_decision_record('enact', ARRAY[a], 'approve', 'olga', 'x')
  ->> 'review_decision_id')::uuid) FROM unnest(ARRAY['a', 'b']) a;
SELECT repeat('0', 64) AS d, pg_temp.id_of('a') AS a, pg_temp.id_of('b') AS b, pg_temp.id_of('draft') AS draft \gset
SELECT set_config('test.d', :'d', true), set_config('test.a', :'a', true), set_config('test.b', :'b', true),
  set_config('test.draft', :'draft', true);
-- A chunk of unit a as it is planned, with what is given instead.
CREATE FUNCTION pg_temp.record(p_key text DEFAULT 'iu.a#chunk-0000', p_kind text DEFAULT 'iu', p_path text DEFAULT 'p',
    p_digest text DEFAULT current_setting('test.d'), p_status text DEFAULT 'planned', p_count integer DEFAULT 1,
    p_actor text DEFAULT 'wim', p_collection text DEFAULT 'chunks', p_unit uuid DEFAULT current_setting('test.a')::uuid,
    p_chunk integer DEFAULT 0, p_chunks integer DEFAULT 1, p_summary boolean DEFAULT false, p_refs jsonb DEFAULT '{}')
  RETURNS jsonb LANGUAGE sql AS $$ SELECT fn_iu_vector_sync_record_v2(p_key, p_kind, p_path, p_digest, p_status,
    p_count, p_actor, p_collection, p_unit, p_chunk, p_chunks, p_summary, p_refs) $$;

SELECT pg_temp.refused(format('pg_temp.record(%s)', c), s, f, 'recording is refused: ' || c)
  FROM (VALUES ('p_key => NULL', 'invalid_input', 'point_key'), ('p_key => '' ''', 'invalid_input', 'point_key'),
    ('p_key => repeat(''x'', 1001)', 'invalid_input', 'point_key'), ('p_kind => ''x''', 'invalid_input', 'source_kind'),
    ('p_kind => NULL', 'invalid_input', 'source_kind'), ('p_path => NULL', 'invalid_input', 'source_path'),
    ('p_digest => ''abc''', 'invalid_input', 'content_digest'), ('p_status => ''x''', 'invalid_input', 'sync_status'),
    ('p_status => NULL', 'invalid_input', 'sync_status'), ('p_count => -1', 'invalid_input', 'point_count'),
    ('p_count => NULL', 'invalid_input', 'point_count'), ('p_actor => '' ''', 'invalid_input', 'actor'),
    ('p_refs => ''[]''', 'invalid_input', 'axis_refs'), ('p_refs => NULL', 'invalid_input', 'axis_refs'),
    ('p_refs => jsonb_build_object(''a'', repeat(''x'', 262144))', 'invalid_input', 'axis_refs'),
    ('p_status => ''indexed''', 'vector_gate_closed', 'sync_status'),
    ('p_status => ''indexed'', p_unit => NULL', 'vector_gate_closed', 'sync_status'),
    ('p_collection => ''none''', 'collection_not_registered', 'collection_name'),
    ('p_collection => ''old''', 'collection_not_registered', 'collection_name'),
    ('p_collection => NULL', 'collection_not_registered', 'collection_name'),
    ('p_key => ''k'', p_unit => current_setting(''test.draft'')::uuid', 'unit_not_enacted', 'unit_id'),
    ('p_key => ''k'', p_unit => gen_random_uuid()', 'unit_not_enacted', 'unit_id'),
    ('p_key => ''k''', 'invalid_input', 'chunk_index')) v (c, s, f);
SELECT pg_temp.refuses('SELECT pg_temp.record(' || c || ')', '23514', 'iu_vector_sync_point_boundary_chk',
  'a point does not cross the boundary of a unit: ' || c)
  FROM unnest(ARRAY['p_unit => NULL', 'p_chunk => NULL', 'p_chunks => NULL', 'p_chunk => 1', 'p_chunk => -1',
    'p_chunks => 0', 'p_summary => true', 'p_summary => NULL', 'p_kind => ''collection''',
    'p_kind => ''collection'', p_summary => true', 'p_kind => ''corpus'', p_unit => NULL',
    'p_kind => ''corpus'', p_unit => NULL, p_summary => NULL']) c;
SELECT is(pg_temp.record(p_key => 'sum', p_kind => 'collection', p_unit => NULL, p_chunk => NULL, p_chunks => NULL,
    p_summary => true) - 'point_id', '{"status": "recorded", "point_key": "sum", "sync_status": "planned"}',
  'a summary is recorded');
SELECT pg_temp.answers('pg_temp.record(p_key => ''sum'', p_kind => ''collection'', p_unit => NULL, p_chunk => NULL, '
  'p_chunks => NULL, p_summary => true)', '{"status": "unchanged"}', 'recording it again changes nothing');
SELECT is(pg_temp.record(p_status => 'disabled') ->> 'status', 'recorded', 'a chunk is recorded as disabled');
SELECT is(pg_temp.record(p_digest => NULL, p_status => 'dryrun') ->> 'sync_status', 'dryrun',
  'a rehearsal is recorded without a digest');
SELECT pg_temp.refused('fn_iu_vector_sync_record(''new'', ''iu'', ''p'', NULL, ''planned'', 1, ''w'')', 'invalid_input',
  'source_kind', 'the older function records no new chunk of a unit');
SELECT pg_temp.refused(format('fn_iu_vector_sync_record(%L, %L, ''p'', NULL, ''indexed'', 1, ''w'')', k, s),
  'vector_gate_closed', 'sync_status', format('the older function records no %s as indexed', k))
  FROM (VALUES ('iu.a#chunk-0000', 'iu'), ('sum', 'collection'), ('new', 'iu'), ('new', 'corpus')) v (k, s);
SELECT is(fn_iu_vector_sync_record('sum2', 'corpus', 'p', :'d', 'planned', 1, 'w') ->> 'status', 'recorded',
  'it records a new summary');
SELECT is(fn_iu_vector_sync_record('iu.a#chunk-0000', 'iu', 'q', :'d', 'planned', 1, 'w') ->> 'status', 'recorded',
  'and a chunk that is there');
SELECT row_eq($$SELECT collection_name, source_path, unit_id, chunk_index, chunk_count FROM iu_vector_sync_point
    WHERE point_key = 'iu.a#chunk-0000'$$, ROW('chunks'::text, 'q'::text, :'a'::uuid, 0, 1),
  'whose unit and chunk stay');

-- ---- indexed: observed only

CREATE FUNCTION pg_temp.indexed() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM iu_vector_sync_point WHERE sync_status = 'indexed' $$;
GRANT ALL ON iu_vector_sync_point, dot_config TO iu_test_rita, iu_test_wim, iu_test_olga, iu_test_ada, iu_test_robot;
CREATE ROLE iu_test_root SUPERUSER LOGIN;
-- Every way in that there is; the last as if the writer were the one that observes.
CREATE TEMPORARY TABLE way (n integer GENERATED ALWAYS AS IDENTITY, statement text);
INSERT INTO way (statement) VALUES
  ('UPDATE iu_vector_sync_point SET sync_status = ''indexed'''),
  ('UPDATE iu_vector_sync_point SET sync_status = ''indexed'', indexed_digest = content_digest'),
  ('INSERT INTO iu_vector_sync_point (point_key, collection_name, source_kind, source_path, sync_status, '
   'summary_marker, point_id, last_actor) VALUES (''x'', ''chunks'', ''corpus'', ''p'', ''indexed'', true, '
   'gen_random_uuid(), ''x'')'),
  ('INSERT INTO iu_vector_sync_point (point_key, collection_name, source_kind, source_path, sync_status, '
   'summary_marker, point_id, last_actor) SELECT point_key, collection_name, source_kind, source_path, ''planned'', '
   'summary_marker, point_id, last_actor FROM iu_vector_sync_point ON CONFLICT (point_key) DO UPDATE '
   'SET sync_status = ''indexed'''),
  ('MERGE INTO iu_vector_sync_point p USING (SELECT 1) x ON true WHEN MATCHED THEN UPDATE '
   'SET sync_status = ''indexed'''),
  ('SELECT fn_iu_vector_sync_record(''sum'', ''collection'', ''p'', NULL, ''indexed'', 1, ''x'')'),
  ('SELECT fn_iu_vector_sync_record_v2(''sum'', ''collection'', ''p'', NULL, ''indexed'', 1, ''x'', ''chunks'', '
   'p_summary_marker => true)'),
  ('SELECT iu.fn_iu_vector_sync_record_v2(''sum'', ''collection'', ''p'', NULL, ''indexed'', 1, ''x'', ''chunks'', '
   'NULL, NULL, NULL, true, ''{}'')');
-- Tries every way as a role under a value of the gate's row, and says how many points are indexed after it.
CREATE FUNCTION pg_temp.try(p_role text, p_value text, p_marker text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_way    text;
  v_worked text := '';
BEGIN
  IF p_value = 'no row' THEN
    DELETE FROM dot_config WHERE key = 'iu_core.vector_sync_enabled';
  ELSE
    UPDATE dot_config SET value = p_value WHERE key = 'iu_core.vector_sync_enabled';
  END IF;
  FOR v_way IN SELECT statement FROM way ORDER BY n LOOP
    BEGIN
      EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', p_role);
      PERFORM set_config('app.canonical_writer', p_marker, true);
      EXECUTE v_way;
      RESET SESSION AUTHORIZATION;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
    PERFORM set_config('app.canonical_writer', '', true);
    v_worked := v_worked || CASE WHEN pg_temp.indexed() > 0 THEN v_way ELSE '' END;
  END LOOP;
  IF p_value = 'no row' THEN
    INSERT INTO dot_config (key, value) VALUES ('iu_core.vector_sync_enabled', 'false');
  END IF;
  RETURN v_worked;
END $$;
SELECT is(pg_temp.try(r, v, m), '',
    format('%s makes no point indexed while the gate says %s and the writer is "%s"', r, v, m))
  FROM unnest(ARRAY['iu_test_rita', 'iu_test_wim', 'iu_test_olga', 'iu_test_ada', 'iu_test_robot', 'iu_test_root',
      'iu_core_owner']) r,
    unnest(ARRAY['false', 'true', 'TRUE', '', 'no row']) v, unnest(ARRAY['', 'fn_iu_vector_sync_observe']) m
 WHERE r <> 'iu_core_owner' OR m = '';
-- As replicas write, and where the switch of triggers is set so.
SET LOCAL session_replication_role = replica;
SELECT is(pg_temp.try('iu_test_root', 'true', 'fn_iu_vector_sync_observe'), '',
  'a superuser makes none indexed in replica role');
SET LOCAL session_replication_role = origin;
-- The gate toggled, opened and left true in the transaction of the attempt.
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.vector_sync_enabled';
SELECT is(fn_iu_vector_sync_enabled(), false, 'the gate is closed whatever its row says');
SELECT is(pg_temp.login('iu_test_wim', format('pg_temp.record(p_status => ''indexed'')')) ~ 'vector_gate_closed|42501',
  true, 'in the transaction that set its row to true nothing is recorded as indexed');
SELECT pg_temp.refuses(s, '42501', 'NEVER-FLIP', s || ' is refused')
  FROM unnest(ARRAY['SELECT fn_iu_gate_open(''iu_core.vector_sync_enabled'', gen_random_uuid(), ''a'', ''r'', 60)']) s;
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.vector_sync_enabled';

-- What is indexed is indexed for one text under one id.
SET LOCAL ROLE iu_core_owner;
SET LOCAL app.canonical_writer = 'fn_iu_vector_sync_observe';
SELECT lives_ok('UPDATE iu_vector_sync_point SET sync_status = ''indexed'', indexed_digest = content_digest
  WHERE point_key = ''iu.a#chunk-0000''', 'the function that observes writes that a point is indexed');
SELECT pg_temp.refuses('UPDATE iu_vector_sync_point SET sync_status = ''indexed'', indexed_digest = ''x''
  WHERE point_key = ''iu.b#chunk-0000''', '42501', 'iu_vector_gate_closed',
  'even that function makes none indexed for another text than was found');
SET LOCAL app.canonical_writer = '';
SELECT pg_temp.refuses('UPDATE iu_vector_sync_point SET ' || c || ' WHERE point_key = ''iu.a#chunk-0000''', '42501',
  'iu_vector_gate_closed', 'an indexed point does not stay indexed with another ' || split_part(c, ' ', 1))
  FROM unnest(ARRAY['content_digest = repeat(''1'', 64)', 'indexed_digest = NULL', 'point_id = gen_random_uuid()',
    'collection_name = ''x''']) c;
RESET ROLE;
SELECT is(pg_temp.record(p_path => 'q') ->> 'sync_status', 'indexed',
  'planning again loses nothing of what was observed');
SELECT is(pg_temp.record(p_path => 'r') ->> 'sync_status', 'planned', 'from another source it is planned anew');
SELECT pg_temp.refuses(s, '42501', 'iu_vector_sync_blocked', s || ' is refused')
  FROM unnest(ARRAY['DELETE FROM iu_vector_sync_point', 'TRUNCATE iu_vector_sync_point',
    'UPDATE iu_vector_sync_point SET last_actor = ''x''']) s;
SELECT pg_temp.refuses('DELETE FROM information_unit WHERE canonical_address = ''a''', '42501', '',
  'a unit that has points is not deleted');

-- ---- tables that are no points

CREATE FOREIGN DATA WRAPPER iu_test_wrapper;
CREATE SERVER iu_test_other FOREIGN DATA WRAPPER iu_test_wrapper;
CREATE SERVER iu_test_qdrant FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'http://127.0.0.1:9');
CREATE TABLE t_table (collection text, id text, payload jsonb);
CREATE VIEW t_view AS SELECT * FROM t_table;
CREATE DOMAIN t_text AS text;
CREATE FOREIGN TABLE t_other (collection text, id text, payload jsonb) SERVER iu_test_other;
CREATE FOREIGN TABLE t_collections (collection text, points bigint) SERVER iu_test_qdrant
  OPTIONS (resource 'collections');
CREATE FOREIGN TABLE t_no_payload (collection text, id text) SERVER iu_test_qdrant OPTIONS (resource 'points');
CREATE FOREIGN TABLE t_domain (collection text, id t_text, payload jsonb) SERVER iu_test_qdrant
  OPTIONS (resource 'points');
CREATE FOREIGN TABLE t_no_collection (id text, payload jsonb) SERVER iu_test_qdrant OPTIONS (resource 'points');
CREATE FOREIGN TABLE t_elsewhere (id text, payload jsonb) SERVER iu_test_qdrant
  OPTIONS (resource 'points', collection 'old');
CREATE FOREIGN TABLE t_field (id text, payload jsonb OPTIONS (field 'x')) SERVER iu_test_qdrant
  OPTIONS (resource 'points', collection 'chunks');
CREATE FOREIGN TABLE t_good (collection text, id text, payload jsonb) SERVER iu_test_qdrant
  OPTIONS (resource 'points');
SELECT pg_temp.refused(format('fn_iu_vector_sync_observe(''chunks'', %L, ''w'')', t), 'invalid_input', 'points',
  'an observation is refused of ' || coalesce(t, 'no table'))
  FROM unnest(ARRAY[NULL, 't_table', 't_view', 't_other', 't_collections', 't_no_payload', 't_domain',
    't_no_collection', 't_elsewhere', 't_field']) t;
SELECT pg_temp.refused(format('fn_iu_vector_sync_observe(%s)', c), s, f, 'an observation is refused: ' || c)
  FROM (VALUES ('NULL, ''t_good'', ''w''', 'collection_not_registered', 'collection'),
    ('''none'', ''t_good'', ''w''', 'collection_not_registered', 'collection'),
    ('''chunks'', ''t_good'', '' ''', 'invalid_input', 'actor'),
    ('''chunks'', ''t_good'', ''w'', NULL', 'invalid_input', 'dry_run'),
    ('''chunks'', ''t_good'', ''w'', true, array_fill(gen_random_uuid(), ARRAY[10001])', 'invalid_input', 'unit_ids'),
    ('''chunks'', ''t_good'', ''w'', true, p_limit => 0', 'invalid_input', 'limit')) v (c, s, f);
SELECT alike(pg_temp.login('iu_test_wim', 'fn_iu_vector_sync_observe(''chunks'', ''t_good'', ''w'')'),
  '%"field": "points"%one that you may read%', 'an observation is refused of a table that the caller may not read');
SELECT pg_temp.refuses('SELECT fn_iu_vector_sync_observe(''chunks'', ''t_good'', ''w'', false)', 'HV00N', '',
  'a remote that does not answer is an error');
SELECT is(fn_iu_vector_sync_observe('chunks', 't_good', 'w', false, '{}') ->> 'points', '0',
  'an observation of no units asks nobody');
SELECT pg_temp.refuses(format('SELECT fn_iu_health_bind(%s, ''a'', ''r'')', c), '23514', n,
  'naming a table is refused: ' || c)
  FROM (VALUES ('''none'', ''t_collections''', 'iu_health_surface'), ('NULL, NULL', 'iu_health_surface'),
    ('''qdrant_collection'', ''t_table''', 'iu_health_table'), ('''qdrant_collection'', ''t_good''', 'iu_health_table'),
    ('''qdrant_collection'', ''t_collections''', 'iu_health_table')) v (c, n);
SELECT is((SELECT enabled FROM iu_invariant WHERE invariant_code = 'qdrant.indexed_equals_points'), false,
  'what is in Qdrant is counted from when a table is named');
GRANT SELECT ON t_collections TO iu_core_owner;
SELECT is(fn_iu_health_bind('qdrant_collection', 't_collections', 'ada', 'test') - 'run_id',
  '{"table": "public.t_collections", "status": "bound", "surface": "qdrant_collection", '
  '"invariant_code": "qdrant.indexed_equals_points"}', 'an administrator names the table');
SELECT is((SELECT enabled FROM iu_invariant WHERE invariant_code = 'qdrant.indexed_equals_points'), true,
  'and the count is on');
SELECT is(fn_iu_health_bind('qdrant_collection', NULL, 'ada', 'test') ->> 'status', 'unbound',
  'none is named any more');
SELECT pg_temp.refuses('SELECT iu.fn_iu_health_counts(''qdrant_collection'', ''{chunks}'')', '42P01',
  'iu_health_unbound', 'where none is named nothing is counted');
SELECT finish();
ROLLBACK;
