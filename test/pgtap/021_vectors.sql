-- 021: collections, what is planned for them as units are enacted, and recording.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.collection(p_name text, p_dim integer DEFAULT 3, p_distance text DEFAULT 'Cosine',
    p_model text DEFAULT 'openai:text-embedding-3-small', p_purpose text DEFAULT 'iu_core_per_iu_chunks',
    p_actor text DEFAULT 'olga', p_reason text DEFAULT 'test') RETURNS jsonb LANGUAGE sql AS $$
  SELECT fn_iu_qdrant_collection_register(p_name, p_dim, p_distance, p_model, p_purpose, p_actor, p_reason) $$;
CREATE FUNCTION pg_temp.enact(p_address text) RETURNS text LANGUAGE sql AS $$
  SELECT fn_iu_enact(p_address, 'wim', (fn_iu_review_decision_record('enact', ARRAY[p_address], 'approve', 'olga', 'x')
    ->> 'review_decision_id')::uuid) ->> 'status' $$;
CREATE FUNCTION pg_temp.edit(p_address text, p_body text) RETURNS text LANGUAGE sql AS $$
  SELECT fn_iu_apply_edit_draft((fn_iu_save(p_address, p_body, 'wim') ->> 'draft_id')::uuid, 'wim') ->> 'status' $$;
CREATE FUNCTION pg_temp.points(p_collection text DEFAULT 'chunks') RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(concat_ws(' ', point_key, sync_status, chunk_index || '/' || chunk_count), ', '
    ORDER BY point_key COLLATE "C"), 'none') FROM iu_vector_sync_point WHERE collection_name = p_collection $$;

-- ---- collections

SELECT pg_temp.refused('pg_temp.collection(' || c || ')', 'invalid_input', f, 'a collection is refused: ' || c)
  FROM (VALUES ('NULL', 'name'), ('''a/b''', 'name'), (''' a''', 'name'), ('''c'', 0', 'dim'), ('''c'', NULL', 'dim'),
    ('''c'', 65537', 'dim'), ('''c'', 3, ''cosine''', 'distance'), ('''c'', 3, NULL', 'distance'),
    ('''c'', 3, ''Dot'', NULL', 'model'), ('''c'', 3, ''Dot'', ''sk-abc''', 'model'),
    ('''c'', 3, ''Dot'', ''openai:api_key=abc''', 'model'),
    ('''c'', 3, ''Dot'', ''m/0123456789abcdef0123456789abcdef''', 'model'),
    ('''c'', 3, ''Dot'', ''m'', ''P''', 'purpose'), ('''c'', 3, ''Dot'', ''m'', ''p'', '' ''', 'actor'),
    ('''c'', 3, ''Dot'', ''m'', ''p'', ''a'', NULL', 'reason')) v (c, f);
SELECT is(pg_temp.collection('c', p_model => 'sk-abc') ->> 'guidance' ~ 'sk-abc', false,
  'what may be a secret is not repeated');
SELECT is(pg_temp.collection('chunks'), '{"status": "registered", "collection_name": "chunks"}',
  'a collection is registered');
SELECT is(pg_temp.collection('chunks') ->> 'status', 'unchanged', 'registering it again changes nothing');
SELECT pg_temp.refused('pg_temp.collection(''chunks'', ' || c || ')', 'collection_changed', f,
  'a collection does not get another ' || f) FROM (VALUES ('4', 'dim'), ('3, ''Dot''', 'distance')) v (c, f);
SELECT is(pg_temp.collection('chunks', p_model => 'other') ->> 'status', 'changed', 'its model may change');
SELECT is((SELECT concat_ws(' ', status, embedder_model_ref) FROM v_iu_qdrant_collection_active), 'planned other',
  'it is planned until it was observed');
SELECT pg_temp.refused('fn_iu_qdrant_collection_retire(' || c || ')', s, f, 'retiring is refused: ' || c)
  FROM (VALUES ('NULL, ''a'', ''b''', 'invalid_input', 'name'), ('''c'', NULL, ''b''', 'invalid_input', 'actor'),
    ('''c'', ''a'', '' ''', 'invalid_input', 'reason'), ('''c'', ''a'', ''b''', 'collection_not_registered', 'name'))
  v (c, s, f);
SELECT is(string_agg(concat_ws(' ', command_name, evidence ->> 'collection', evidence ->> 'status'), ', '
    ORDER BY created_at), 'dot_iu_qdrant_collection_register chunks registered, '
    'dot_iu_qdrant_collection_register chunks unchanged, dot_iu_qdrant_collection_register chunks changed',
  'what is not refused is logged') FROM dot_iu_command_run WHERE command_name ~ 'qdrant';

-- ---- chunks

SELECT is(ARRAY(SELECT c.chunk FROM iu.fn_iu_vector_chunks(b, m) c ORDER BY c.chunk_index), w,
  format('chunks of %s characters of "%s"', m, replace(replace(b, E'\n', '\n'), E'\t', '\t')))
  FROM (VALUES ('one', 10, ARRAY['one']), (E'a\nb\nc', 4, ARRAY[E'a\nb\n', 'c']),
    (E'a\nb\nc', 3, ARRAY[E'a\n', E'b\nc']), ('abcdefg', 3, ARRAY['abc', 'def', 'g']),
    (E'abcd\nef', 3, ARRAY['abc', E'd\n', 'ef']), (E'\n\nab', 2, ARRAY[E'\n\n', 'ab']), ('', 5, '{}'),
    (E' \n\t', 5, '{}'), ('äöüß', 2, ARRAY['äö', 'üß']), (E'ab\n   \n', 3, ARRAY[E'ab\n']))
  v (b, m, w);
SELECT is((SELECT bool_and(length(c.chunk) <= 7) FROM iu.fn_iu_vector_chunks(t, 7) c), true, 'no chunk is too long')
  FROM (SELECT string_agg(chr(97 + (i * 7) % 13) || CASE i % 11 WHEN 0 THEN E'\n' ELSE '' END, '') AS t
          FROM generate_series(1, 500) i) x;
SELECT is((SELECT string_agg(c.chunk, '' ORDER BY c.chunk_index) FROM iu.fn_iu_vector_chunks(t, 7) c), t,
  'put together the chunks are the text')
  FROM (SELECT string_agg(chr(97 + (i * 7) % 13) || CASE i % 11 WHEN 0 THEN E'\n' ELSE '' END, '') AS t
          FROM generate_series(1, 500) i) x;

-- ---- planned as units are enacted

SELECT fn_iu_create(a, upper(a), 'text ' || a, 'wim') FROM unnest(ARRAY['a', 'b', 'draft', 'blank']) a;
SELECT pg_temp.edit('blank', '__EMPTY__');
SELECT is(pg_temp.points(), 'none', 'a draft has no points');
SELECT pg_temp.enact(a) FROM unnest(ARRAY['a', 'b', 'blank']) a;
SELECT is(pg_temp.points(), 'iu.a#chunk-0000 planned 0/1, iu.b#chunk-0000 planned 0/1',
  'enacting plans the chunks of a text; a text that shows nothing has none');
SELECT row_eq($$SELECT collection_name, source_kind, source_path, content_digest, indexed_digest, point_count,
    summary_marker, point_id, last_actor, axis_refs FROM iu_vector_sync_point WHERE point_key = 'iu.a#chunk-0000'$$,
  ROW('chunks'::text, 'iu'::text, 'information_unit/' || pg_temp.id_of('a'), fn_content_hash('text a'), NULL::text, 1,
    false, iu_core.uuid_v5('8d3a7f52-6c0e-4b8f-9e41-5a2d90c7b163', 'iu.a#chunk-0000'), 'wim'::text,
    '{"semantic_axis_ref": "sectype:section"}'::jsonb), 'a point says what it is of, and its id follows from its key');
SELECT is((SELECT string_agg(concat_ws(' ', action, point_key, canonical_address), ', ' ORDER BY point_key)
    FROM v_iu_vector_pending), 'upsert iu.a#chunk-0000 a, upsert iu.b#chunk-0000 b', 'what is planned is pending');
SELECT is(fn_iu_vector_text('iu.a#chunk-0000'), 'text a', 'an indexer gets the text of a point');
SELECT is(fn_iu_vector_text('iu.none#chunk-0000'), NULL, 'and none of a point that there is not');
SELECT bag_eq('SELECT point_key, unit_id, chunk_index, chunk_count, content_digest FROM fn_iu_vector_plan(''chunks'')',
  'SELECT point_key, unit_id, chunk_index, chunk_count, content_digest FROM iu_vector_sync_point',
  'the plan of a collection is what was planned');
SELECT is((SELECT string_agg(point_key, ' ' ORDER BY point_key) FROM fn_iu_vector_plan('chunks', 3)),
  'iu.a#chunk-0000 iu.a#chunk-0001 iu.b#chunk-0000 iu.b#chunk-0001', 'a plan with shorter chunks has more of them');
SELECT pg_temp.refuses(s, c, n, s || ' is refused')
  FROM (VALUES ('SELECT fn_iu_vector_plan(''chunks'', 0)', '23514', 'iu_vector_max_chars'),
    ('SELECT fn_iu_vector_plan(''chunks'', NULL)', '23514', 'iu_vector_max_chars'),
    ('SELECT fn_iu_vector_plan(''none'')', '42704', 'iu_qdrant_collection_unknown'),
    ('SELECT fn_iu_vector_plan(NULL)', '42704', 'iu_qdrant_collection_unknown')) v (s, c, n);

-- As if they had been observed; then texts change.
SET LOCAL ROLE iu_core_owner;
SET LOCAL app.canonical_writer = 'fn_iu_vector_sync_observe';
UPDATE iu_vector_sync_point SET sync_status = 'indexed', indexed_digest = content_digest;
RESET app.canonical_writer;
RESET ROLE;
SELECT pg_temp.edit('a', repeat('x', 1500) || E'\n' || repeat('y', 1500)), pg_temp.edit('b', 'text b, edited');
SELECT is(pg_temp.points(), 'iu.a#chunk-0000 indexed 0/1, iu.b#chunk-0000 indexed 0/1', 'a pending text plans nothing');
SELECT pg_temp.enact('a');
SELECT is(pg_temp.points(), 'iu.a#chunk-0000 planned 0/2, iu.a#chunk-0001 planned 1/2, iu.b#chunk-0000 indexed 0/1',
  'a longer text has more points, and those with another text are planned again');
SELECT is((SELECT string_agg(concat_ws(' ', point_key, drifted, in_sync), ', ' ORDER BY point_key)
    FROM v_iu_vector_sync_status), 'iu.a#chunk-0000 t f, iu.a#chunk-0001 f f, iu.b#chunk-0000 f t',
  'what is there with another text has drifted');
SELECT pg_temp.edit('a', 'short'), pg_temp.enact('a');
SELECT is(pg_temp.points(), 'iu.a#chunk-0000 planned 0/1, iu.a#chunk-0001 disabled 1/2, iu.b#chunk-0000 indexed 0/1',
  'a chunk that a text has no more is disabled');
SELECT is((SELECT count(*) FROM v_iu_vector_pending WHERE point_key = 'iu.a#chunk-0001'), 0::bigint,
  'what was never there need not be deleted');
-- What a retired unit leaves behind.
SELECT is(fn_iu_retire('b', 'lea', (fn_iu_review_decision_record('retire', '{b}', 'approve', 'olga', 'x')
  ->> 'review_decision_id')::uuid) ->> 'status', 'retired', 'a unit with points is retired');
SELECT is((SELECT string_agg(concat_ws(' ', action, point_key), ', ') FROM v_iu_vector_pending WHERE unit_id =
    pg_temp.id_of('b')), 'delete iu.b#chunk-0000',
  'the points of a unit that is not enacted any more are to be deleted');
SELECT is(fn_iu_vector_text('iu.b#chunk-0000'), NULL, 'and have no text');

-- ---- a second collection, and a retired one

SELECT pg_temp.collection('bigger', 6), pg_temp.collection('summaries', 6, p_purpose => 'summaries');
SELECT pg_temp.edit('a', 'shorter'), pg_temp.enact('a');
SELECT is(pg_temp.points('bigger'), 'iu.a#chunk-0000@bigger planned 0/1',
  'in a second collection a point has a key of its own');
SELECT is(pg_temp.points('summaries'), 'none', 'nothing is planned for a collection with another purpose');
SELECT is(fn_iu_qdrant_collection_retire('bigger', 'olga', 'test') ->> 'status', 'retired', 'a collection is retired');
SELECT is(fn_iu_qdrant_collection_retire('bigger', 'olga', 'test') ->> 'status', 'unchanged', 'once');
SELECT is((SELECT string_agg(DISTINCT collection_name, ' ') FROM v_iu_vector_pending), 'chunks',
  'nothing of a retired collection is pending');
SELECT is(pg_temp.collection('bigger', 6) ->> 'status', 'registered_again', 'registering takes it back');

-- ---- the namespace

SELECT pg_temp.refuses(s, '55006', 'iu_vector_namespace_used', s || ' is refused')
  FROM (VALUES ('SELECT fn_iu_policy_set(''iu_core.qdrant_point_namespace'', '
    '''00000000-0000-4000-8000-000000000001'', ''ada'', ''x'')'),
    ('UPDATE dot_config SET value = ''x'' WHERE key = ''iu_core.qdrant_point_namespace'''),
    ('DELETE FROM dot_config WHERE key = ''iu_core.qdrant_point_namespace''')) v (s);

-- ---- Directus

SELECT is((SELECT count(*) || ' ' || string_agg(field, ' ' ORDER BY sort) FILTER (WHERE NOT can_be_filtered)
    FROM v_ui_iu_directus_registration_envelope),
  '18 axis_b_tags axis_b_tags_by_source axis_c_ancestors axis_c_ancestor_addresses',
  'Directus is told the 18 fields of the envelope, and by which it cannot filter');
SELECT is((SELECT count(*) FROM v_ui_iu_directus_registration_envelope WHERE note IS NULL OR type = 'unknown'
    AND can_be_filtered), 0::bigint, 'and what they mean');
SELECT is((SELECT verdict FROM fn_iu_invariant_check('iu.vector_boundary')), 'pass',
  'the points of a unit are its chunks, each once');

-- ---- rights

SELECT is(pg_temp.login('iu_test_' || r, c), '42501 permission denied for function ' || split_part(c, '(', 1),
  format('%s may not call %s', r, split_part(c, '(', 1)))
  FROM (VALUES ('rita', 'fn_iu_vector_sync_record(''k'', ''iu'', ''p'', NULL, ''planned'', 1, ''x'')'),
    ('olga', 'fn_iu_vector_sync_record(''k'', ''iu'', ''p'', NULL, ''planned'', 1, ''x'')'),
    ('rita', 'fn_iu_vector_sync_observe(''chunks'', NULL, ''x'')'),
    ('wim', 'fn_iu_qdrant_collection_retire(''chunks'', ''x'', ''y'')'),
    ('robot', 'fn_iu_health_bind(''qdrant_collection'', NULL, ''x'', ''y'')'),
    ('olga', 'fn_iu_health_bind(''qdrant_collection'', NULL, ''x'', ''y'')')) v (r, c);
SELECT is(pg_temp.login('iu_test_rita', 'count(*) FROM fn_iu_vector_plan(''chunks'')'), '1', 'a reader reads the plan');

-- ---- down and up

SELECT max(version) AS before FROM iu_core.migrations WHERE version < 21 \gset
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(' || :before || ')', '55006', 'would be lost',
  'a rollback is refused where points and collections would be lost');
CREATE TEMPORARY TABLE inventory AS SELECT * FROM iu_core.object_inventory();
SELECT count(*) AS steps FROM iu_core.rollback(:before, false, true) \gset
SELECT is((SELECT count(*) FROM dot_config WHERE key ~ 'qdrant|vector'), 0::bigint,
  'the rollback takes policy and gate away');
SELECT count(*) AS steps FROM iu_core.migrate() \gset
SELECT bag_eq('SELECT * FROM iu_core.object_inventory()', 'SELECT * FROM inventory',
  'down and up again every object is what it was');
SELECT finish();
ROLLBACK;
