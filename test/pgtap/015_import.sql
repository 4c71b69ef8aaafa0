-- 015: importing many units at once.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT fn_iu_create('old', 'Old', 'text', 'wim'), fn_iu_create('gone', 'Gone', 'text', 'wim');
SET LOCAL app.canonical_writer = 'fn_iu_create';
UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'gone';
SET LOCAL app.canonical_writer = '';
CREATE FUNCTION pg_temp.row(p_address text, p_more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS
  $$SELECT jsonb_build_object('canonical_address', p_address, 'title', 't', 'body', 'b') || p_more$$;

SELECT pg_temp.answers($$fn_iu_import(jsonb_build_array(pg_temp.row('a'), pg_temp.row('old')), 'wim')$$,
  '{"status": "would_import", "seen": 2, "created": 1, "existing": 1, "refused": []}',
  'an import is a dry run unless told otherwise, and writes nothing');
SELECT is(pg_temp.login('iu_test_wim', $$fn_iu_import(jsonb_build_array(
    pg_temp.row('b', '{"parent_address": "a", "doc_code": "D", "sort_order": 2, "section_code": "2.",
      "body": "__EMPTY__"}'),
    pg_temp.row('a', '{"unit_kind": "law_unit", "section_type": "article", "owner_ref": "o", "publication_type": "law",
      "doc_code": "D", "sort_order": 1}'),
    pg_temp.row('c', '{"parent_address": "old", "title": "C", "unit_kind": null}'), pg_temp.row('old')), 'wim',
    false)$$)::jsonb,
  '{"status": "imported", "seen": 4, "created": 3, "existing": 1, "refused": []}', 'a writer imports units');
SELECT results_eq($$SELECT u.canonical_address, u.title, v.body, u.unit_kind, u.section_type, u.owner_ref,
    u.identity_profile ->> 'publication_type_ref', p.canonical_address, u.doc_code, u.sort_order, u.section_code
    FROM information_unit u JOIN unit_version v ON v.id = u.version_anchor_ref
    JOIN iu_birth_record b ON b.unit_id = u.id
    LEFT JOIN information_unit p ON p.id = u.parent_or_container_ref
    WHERE u.canonical_address < 'd' ORDER BY 1$$,
  $$VALUES ('a', 't', 'b', 'law_unit', 'article', 'o', 'law', NULL, 'D', 1, NULL),
  ('b', 't', '', 'design_doc_section', 'section', 'wim', NULL, 'a', 'D', 2, '2.'),
  ('c', 'C', 'b', 'design_doc_section', 'section', 'wim', NULL, 'old', NULL, NULL, NULL)$$,
  'units are imported with all that their rows say, below parents of the same import or before');
SELECT is((SELECT array_agg(a ORDER BY a) FROM unnest(ARRAY['a', 'b', 'c']) a
            WHERE (fn_iu_verify_invariants(a) -> 'all_pass')::boolean), ARRAY['a', 'b', 'c'],
  'units that were imported are whole');
SELECT pg_temp.answers($$fn_iu_import(jsonb_build_array(pg_temp.row('a'), pg_temp.row('b')), 'wim', false)$$,
  '{"status": "imported", "seen": 2, "created": 0, "existing": 2, "refused": []}',
  'importing again creates nothing');
SELECT pg_temp.answers($$fn_iu_import('[]', 'wim', false)$$, '{"status": "imported", "seen": 0, "created": 0}',
  'an import of nothing creates nothing');

-- ---- rows that are refused: nothing at all is written

CREATE TABLE test_row (n serial, what text, field text, status text DEFAULT 'invalid_input', r jsonb);
INSERT INTO test_row (what, field, r) VALUES
  ('no object', 'row', '7'), ('an array', 'row', '[]'), ('null', 'row', 'null'),
  ('a key that there is not', 'actor', pg_temp.row('x', '{"actor": "x"}')),
  ('a number for a text', 'body', pg_temp.row('x', '{"body": 1}')),
  ('a text for a number', 'sort_order', pg_temp.row('x', '{"sort_order": "1"}')),
  ('a fraction for a place', 'sort_order', pg_temp.row('x', '{"sort_order": 1.5}')),
  ('a place beyond integer', 'sort_order', pg_temp.row('x', '{"sort_order": 3000000000}')),
  ('no uuid', 'parent_ref', pg_temp.row('x', '{"parent_ref": "x"}')),
  ('no address', 'canonical_address', '{"title": "t", "body": "b"}'),
  ('an address with blanks', 'canonical_address', pg_temp.row(' x')),
  ('no title', 'title', pg_temp.row('x', '{"title": null}')),
  ('no text', 'body', pg_temp.row('x', '{"body": " "}')),
  ('a text of more than 1048576 bytes', 'body', pg_temp.row('x', jsonb_build_object('body', repeat('b', 1048577)))),
  ('a blank owner', 'owner_ref', pg_temp.row('x', '{"owner_ref": ""}')),
  ('an unknown kind', 'unit_kind', pg_temp.row('x', '{"unit_kind": "y"}')),
  ('an unknown section type', 'section_type', pg_temp.row('x', '{"section_type": "y"}')),
  ('an unknown publication type', 'publication_type', pg_temp.row('x', '{"publication_type": "y"}')),
  ('a blank document', 'doc_code', pg_temp.row('x', '{"doc_code": " "}')),
  ('a document of 191 characters', 'doc_code', pg_temp.row('x', jsonb_build_object('doc_code', repeat('d', 191)))),
  ('a blank section code', 'section_code', pg_temp.row('x', '{"section_code": ""}')),
  ('two parents', 'parent_address', pg_temp.row('x', jsonb_build_object('parent_address', 'old', 'parent_ref',
    pg_temp.id_of('old')))),
  ('an unknown parent', 'parent_address', pg_temp.row('x', '{"parent_address": "none"}')),
  ('a deleted parent', 'parent_address', pg_temp.row('x', '{"parent_address": "gone"}')),
  ('an unknown id of a parent', 'parent_ref', pg_temp.row('x', jsonb_build_object('parent_ref', gen_random_uuid()))),
  ('itself as its parent', 'parent_address', pg_temp.row('x', '{"parent_address": "x"}'));
INSERT INTO test_row (what, field, status, r) VALUES
  ('the address of a deleted unit', 'canonical_address', 'exists_unknown_state', pg_temp.row('gone'));
SELECT pg_temp.answers(format('fn_iu_import(%L, ''wim'', false)', jsonb_build_array(pg_temp.row('good'), t.r)),
  jsonb_build_object('status', 'refused', 'seen', 2, 'created', 0, 'existing', 0,
    'refused', jsonb_build_array(jsonb_build_object('row', 2, 'status', t.status, 'field', t.field))),
  'an import is refused for a row with ' || t.what)
  FROM test_row t ORDER BY t.n;
SELECT pg_temp.answers(format('fn_iu_import(%L, ''wim'')', (SELECT jsonb_agg(t.r ORDER BY t.n)
    FROM test_row t WHERE t.what IN ('no object', 'no title'))), '{"status": "would_refuse", "created": 0}',
  'a dry run tells every row that would be refused');
SELECT pg_temp.answers($$fn_iu_import(jsonb_build_array(pg_temp.row('x'), pg_temp.row('x')), 'wim', false)$$,
  '{"status": "refused", "refused": [{"row": 2, "status": "invalid_input", "field": "canonical_address"}]}',
  'an address that is there twice is refused');
SELECT pg_temp.answers($$fn_iu_import(jsonb_build_array(pg_temp.row('x', '{"parent_address": "z"}'),
    pg_temp.row('y', '{"parent_address": "x"}'), pg_temp.row('z', '{"parent_address": "y"}'),
    pg_temp.row('w', '{"parent_address": "z"}')), 'wim', false)$$,
  '{"status": "refused", "refused": [{"row": 1, "field": "parent_address"}, {"row": 2, "field": "parent_address"},
    {"row": 3, "field": "parent_address"}, {"row": 4, "field": "parent_address"}]}',
  'rows that are their own ancestors, and what is below them, are refused');

-- ---- how deep a tree may be

CREATE FUNCTION pg_temp.chain(p_name text, p_length int, p_top jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_agg(pg_temp.row(p_name || i, CASE i WHEN 1 THEN p_top
    ELSE jsonb_build_object('parent_address', p_name || (i - 1)) END) ORDER BY i DESC)
    FROM generate_series(1, p_length) i $$;
SELECT is((SELECT array_agg(DISTINCT concat_ws(' ', r ->> 'status', r ->> 'field'))::text || ' ' || count(*)
             || ' from row ' || min((r ->> 'row')::int) || ' to ' || max((r ->> 'row')::int)
             FROM jsonb_array_elements(fn_iu_import(pg_temp.chain('far', 3000), 'wim', false) -> 'refused') r),
  '{"tree_too_deep parent_address"} 2935 from row 1 to 2935',
  'of a chain of 3000 rows each with more than 64 above it is refused');
SELECT pg_temp.answers($$fn_iu_import(pg_temp.chain('far', 66), 'wim', false)$$, '{"status": "refused", "created": 0,
    "refused": [{"row": 1, "status": "tree_too_deep", "field": "parent_address"}]}',
  'one row with 65 above it is enough, and nothing is written');
SELECT is(fn_iu_import(pg_temp.chain('deep', 64), 'wim', false) ->> 'created', '64', 'a chain of 64 is imported');
SELECT is(fn_iu_import(jsonb_build_array(pg_temp.row('deep65', '{"parent_address": "deep64"}')), 'wim', false)
  ->> 'created', '1', 'and one more below it, which has 64 above it');
SELECT pg_temp.answers(format('fn_iu_import(jsonb_build_array(pg_temp.row(''good''), pg_temp.row(''deep66'', %L)), '
    '''wim'', false)', p.parent), jsonb_build_object('status', 'refused', 'refused',
    jsonb_build_array(jsonb_build_object('row', 2, 'status', 'tree_too_deep', 'field', p.field))),
  'below that one nothing is, whether it is named by its ' || p.field)
  FROM (VALUES ('parent_address', '{"parent_address": "deep65"}'::jsonb),
               ('parent_ref', jsonb_build_object('parent_ref', pg_temp.id_of('deep65')))) AS p (field, parent);
SELECT pg_temp.answers($$fn_iu_import(pg_temp.chain('under', 3, '{"parent_address": "deep62"}'), 'wim')$$,
  '{"status": "would_import", "created": 3}', 'rows below a unit count from its depth');
SELECT pg_temp.answers($$fn_iu_import(pg_temp.chain('under', 4, '{"parent_address": "deep62"}'), 'wim')$$,
  '{"status": "would_refuse", "refused": [{"row": 1, "status": "tree_too_deep"}]}', 'and the fourth is too deep');
SELECT is(fn_iu_import(pg_temp.chain('far', 70) || jsonb_build_array(pg_temp.row('x', '{"parent_address": "y"}'),
    pg_temp.row('y', '{"parent_address": "x"}'), pg_temp.row('z', '{"parent_address": "y"}')), 'wim')
    -> 'refused' -> 5 ->> 'status', 'invalid_input',
  'beside a chain that is too long rows on a circle are refused as such');

-- ---- the call is refused

SELECT pg_temp.refused(format('fn_iu_import(%s)', c), s, f, 'an import is refused: ' || f)
  FROM (VALUES ('NULL, ''wim''', 'invalid_input', 'rows'), ('''{}'', ''wim''', 'invalid_input', 'rows'),
  ('''[]'', '' ''', 'invalid_input', 'actor'), ('''[]'', ''wim'', NULL', 'invalid_input', 'dry_run'),
  ('(SELECT jsonb_agg(i) FROM generate_series(1, 10001) i), ''wim''', 'too_many_rows', 'rows'),
  ('(SELECT jsonb_agg(repeat(''b'', 1048576)) FROM generate_series(1, 64) i), ''wim''', 'too_many_rows', 'rows'))
  AS v (c, s, f);
SELECT is(pg_temp.login('iu_test_olga', $$fn_iu_import('[]', 'olga')$$),
  '42501 permission denied for function fn_iu_import', 'an operator does not import');
SELECT finish();
ROLLBACK;
