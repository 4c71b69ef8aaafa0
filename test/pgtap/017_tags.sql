-- 017: tags, registered and set, derived, filtered by; documents in their order;
-- readiness.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT fn_iu_import('[{"canonical_address": "l1", "title": "L 1", "body": "one", "unit_kind": "law_unit",
    "section_type": "article", "doc_code": "D1", "sort_order": 1},
  {"canonical_address": "l2", "title": "L 2", "body": "two", "unit_kind": "law_unit", "doc_code": "D1",
    "sort_order": 2},
  {"canonical_address": "l4", "title": "L 4", "body": "four", "doc_code": "D1", "sort_order": 4, "section_code": "4."},
  {"canonical_address": "l4b", "title": "L 4b", "body": "again", "doc_code": "D1", "sort_order": 4},
  {"canonical_address": "p", "title": "P", "body": "plain"},
  {"canonical_address": "gone", "title": "G", "body": "gone", "doc_code": "D1", "sort_order": 3}]', 'wim', false);
SET LOCAL app.canonical_writer = 'fn_iu_retire';
UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'gone';
SET LOCAL app.canonical_writer = '';

-- ---- derived

SELECT is(fn_iu_metadata_refresh(ARRAY[pg_temp.id_of('l1'), pg_temp.id_of('l2')]), '{"ok": true, "iu_count": 2,
  "vocabulary_registered": 4, "tags_assigned": 6, "tags_added": 6, "tags_removed": 0}', 'tags are derived');
SELECT results_eq($$SELECT t.tag_key, r.tag_kind, r.label, t.enrichment_source FROM iu_metadata_tag t
    JOIN iu_metadata_tag_registry r USING (tag_key) WHERE t.unit_id = pg_temp.id_of('l1') ORDER BY 1$$,
  $$VALUES ('doc:D1', 'legal_document', 'D1', 'derived'), ('kind:law_unit', 'unit_kind', 'law_unit', 'derived'),
  ('sectype:article', 'section_type', 'article', 'derived')$$, 'each is registered, with its kind');
CREATE TEMP TABLE statement (op text);
CREATE FUNCTION pg_temp.told() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO pg_temp.statement VALUES (TG_OP); RETURN NULL; END$$;
CREATE TRIGGER told AFTER INSERT OR UPDATE OR DELETE ON iu_metadata_tag
  FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.told();
GRANT INSERT ON pg_temp.statement TO iu_core_owner;
SELECT is(fn_iu_metadata_refresh(ARRAY[pg_temp.id_of('l1')]), '{"ok": true, "iu_count": 1, "vocabulary_registered": 0,
  "tags_assigned": 3, "tags_added": 0, "tags_removed": 0}', 'tags that are there are derived again');
SELECT is((SELECT count(*) FROM pg_temp.statement), 0::bigint, 'and no statement touches the table');
SET LOCAL app.canonical_writer = 'fn_iu_structure_op';
UPDATE information_unit SET doc_code = 'D2' WHERE canonical_address = 'l1';
SET LOCAL app.canonical_writer = '';
SELECT is(fn_iu_metadata_refresh(NULL) - 'iu_count', '{"ok": true, "vocabulary_registered": 2, "tags_assigned": 17,
  "tags_added": 12, "tags_removed": 1}', 'all units are derived anew, and what does not follow any more goes');
SELECT is((SELECT array_agg(op) FROM pg_temp.statement), ARRAY['DELETE', 'INSERT'], 'by one DELETE and one INSERT');
SELECT is((SELECT tag_kind FROM iu_metadata_tag_registry WHERE tag_key = 'doc:D2'), 'legal_document',
  'the document of a law is a legal document');

-- ---- registered and set

SELECT is(fn_iu_tag_register('topic:x', 'topic', 'X', 'olga', 'r') - 'run_id', '{"status": "registered",
  "tag_key": "topic:x", "tag_kind": "topic", "label": "X"}', 'a tag is registered');
SELECT is(fn_iu_tag_register('topic:x', 'topic', l, 'olga', 'r') ->> 'status', s, 'a tag is ' || s)
  FROM (VALUES ('X', 'unchanged'), ('XX', 'changed')) v (l, s);
SELECT is((SELECT count(*) FROM dot_iu_command_run WHERE command_name = 'dot_iu_tag_register'), 3::bigint,
  'registering a tag is logged');
SELECT pg_temp.refuses(format('SELECT fn_iu_tag_register(%s)', c), '23514', n, 'a tag is not registered: ' || n)
  FROM (VALUES ('NULL, ''topic'', ''X'', ''o'', ''r''', 'iu_tag_key'),
  ('''x '', ''topic'', ''X'', ''o'', ''r''', 'iu_tag_key'),
  ('''x'', ''Topic'', ''X'', ''o'', ''r''', 'iu_tag_kind'), ('''x'', ''topic'', '' '', ''o'', ''r''', 'iu_tag_label'),
  ('''x'', ''topic'', ''X'', NULL, ''r''', 'iu_actor_and_reason')) v (c, n);
SELECT is(pg_temp.login(r, $$fn_iu_tag_register('topic:y', 'topic', 'Y', 'x', 'r')$$),
  '42501 permission denied for function fn_iu_tag_register', r || ' does not register tags')
  FROM unnest(ARRAY['iu_test_wim', 'iu_test_robot']) r;
SELECT is(pg_temp.login('iu_test_robot', $$fn_iu_tag_set('l1', 'topic:x', 'proposed', 0.7, 'robot') ->> 'status'$$),
  'tagged', 'an agent proposes a tag');
SELECT is(fn_iu_tag_set('l1', 'topic:x', 'confirmed', NULL, 'wim') ->> 'status', 'tagged',
  'a person confirms it, beside the proposal');
SELECT is(fn_iu_tag_set('l1', 'topic:x', 'proposed', 0.9, 'robot') ->> 'status', 'changed', 'a confidence changes');
SELECT pg_temp.answers($$fn_iu_tag_set('l1', 'topic:x', 'proposed', 0.9, 'other')$$, '{"status": "unchanged"}',
  'a tag that is set is unchanged');
SELECT pg_temp.refused(format('fn_iu_tag_set(%s)', c), s, f, 'a tag is not set: ' || what)
  FROM (VALUES ('no address', 'NULL, ''topic:x'', ''confirmed'', 1, ''w''', 'invalid_input', 'canonical_address'),
  ('no tag', '''l1'', '' '', ''confirmed'', 1, ''w''', 'invalid_input', 'tag_key'),
  ('what is derived', '''l1'', ''topic:x'', ''derived'', 1, ''w''', 'invalid_input', 'source'),
  ('no source', '''l1'', ''topic:x'', NULL, 1, ''w''', 'invalid_input', 'source'),
  ('more than certain', '''l1'', ''topic:x'', ''confirmed'', 1.1, ''w''', 'invalid_input', 'confidence'),
  ('not a number', '''l1'', ''topic:x'', ''confirmed'', ''NaN'', ''w''', 'invalid_input', 'confidence'),
  ('no actor', '''l1'', ''topic:x'', ''confirmed'', 1, NULL', 'invalid_input', 'actor'),
  ('an unknown unit', '''none'', ''topic:x'', ''confirmed'', 1, ''w''', 'iu_not_found', 'canonical_address'),
  ('a deleted unit', '''gone'', ''topic:x'', ''confirmed'', 1, ''w''', 'iu_not_found', 'canonical_address'),
  ('an unknown tag', '''l1'', ''topic:z'', ''confirmed'', 1, ''w''', 'tag_not_registered', 'tag_key'))
  AS v (what, c, s, f);
SELECT pg_temp.refused('fn_iu_tag_unset(''l1'', ''topic:x'', ''derived'', ''w'')', 'invalid_input', 'source',
  'what is derived is not taken away');
SELECT is(fn_iu_tag_unset('l1', 'topic:x', 'proposed', 'wim') ->> 'status', 'untagged', 'a tag is taken away');
SELECT pg_temp.answers($$fn_iu_tag_unset('l1', 'topic:x', 'proposed', 'wim')$$, '{"status": "not_tagged"}',
  'a tag that is not there is not taken away');
SELECT is((SELECT array_agg(enrichment_source) FROM iu_metadata_tag WHERE tag_key = 'topic:x'), ARRAY['confirmed'],
  'the same tag from another source stays');

-- ---- found by tags

SELECT is((SELECT array_agg(canonical_address) FROM fn_iu_filter_axis_b(k)), a, 'units with all of ' || k::text)
  FROM (VALUES ('{kind:law_unit}'::text[], '{l1,l2}'::text[]), ('{kind:law_unit,doc:D1}', '{l2}'),
  ('{topic:x,topic:x}', '{l1}'), ('{doc:D1}', '{l2,l4,l4b}'), ('{kind:law_unit,none}', NULL), ('{}', NULL)) v (k, a);
SELECT is((SELECT tag_keys FROM fn_iu_filter_axis_b('{topic:x}')),
  '{doc:D2,kind:law_unit,sectype:article,topic:x}'::text[],
  'each with all of its tags, in order');

-- ---- documents

SELECT results_eq($$SELECT canonical_address, sort_order, sort_order_step FROM v_iu_source_outline WHERE doc_code = 'D1'
    ORDER BY sort_order, canonical_address$$, $$VALUES ('l2', 2, NULL), ('l4', 4, 2), ('l4b', 4, 0)$$,
  'the outline of a document shows a gap and a duplicate');
SELECT results_eq($$SELECT canonical_address, gap_before, body FROM fn_iu_reconstruct_source('D1')$$,
  $$VALUES ('l2', false, 'two'), ('l4', true, 'four'), ('l4b', true, 'again')$$, 'a document is put together again');
SELECT results_eq($$SELECT doc_code, units, drafts, gaps, duplicates FROM v_iu_content_group ORDER BY 1$$,
  $$VALUES ('D1', 3::bigint, 3::bigint, 1::bigint, 1::bigint), ('D2', 1, 1, 0, 0)$$, 'documents are counted');
SELECT results_eq($$SELECT address, document, position, title, status, path, tags, parent, version, pending_version
    FROM v_iu_unit WHERE address = 'l1'$$, $$VALUES ('l1', 'D2', 1, 'L 1', 'draft', 'l1',
  'doc:D2, kind:law_unit, sectype:article, topic:x', NULL::text, 1, NULL::integer)$$, 'people see a unit in one row');
SELECT is((SELECT count(*) FROM v_iu_unit WHERE address = 'gone'), 0::bigint, 'and no deleted one');

-- ---- ready to be enacted

SELECT pg_temp.answers('fn_iu_readiness(''l1'')', '{"status": "ready", "problems": []}', 'a unit is ready');
SELECT fn_iu_create('child', 'C', 'c', 'wim', p_parent_ref => pg_temp.id_of('l4')), fn_iu_create('x', 'X', 'x', 'wim');
SET LOCAL app.canonical_writer = 'fn_iu_retire';
UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'l4';
UPDATE information_unit SET lifecycle_status = 'deprecated' WHERE canonical_address = 'x';
SET LOCAL app.canonical_writer = '';
DELETE FROM iu_birth_record WHERE unit_id = pg_temp.id_of('l2');
SELECT pg_temp.refused(format('fn_iu_readiness(%L)', a), s, 'canonical_address', 'a unit is not ready: ' || s)
  FROM (VALUES ('none', 'iu_not_found'), ('gone', 'iu_not_found'), ('x', 'not_in_draft'), ('p', 'axis_a_missing'),
  ('l2', 'invariants_failed')) v (a, s);
SELECT is(fn_iu_readiness('child') -> 'problems', '["axis_a_missing", "axis_b_missing", "orphan_parent"]',
  'every problem of a unit is told');

-- ---- rolled back

SELECT pg_temp.refuses('SELECT iu_core.rollback(16)', '55006', 'iu_rollback_rows',
  'a rollback that would lose tags is refused');
SELECT finish();
ROLLBACK;
