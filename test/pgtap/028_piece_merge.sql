-- 028: several units are merged into one, and the merge is taken back.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT fn_iu_import((SELECT jsonb_agg(jsonb_build_object('canonical_address', a, 'title', upper(a), 'body',
    'text ' || a, 'unit_kind', 'law_unit', 'section_type', 'article', 'owner_ref', 'olga', 'publication_type', 'law',
    'doc_code', d, 'section_code', '7', 'sort_order', n))
  FROM (VALUES ('a', 'D', 3), ('b', 'D', 9), ('c', 'E', 20)) AS v (a, d, n)), 'wim', false);
SELECT fn_iu_create(a, upper(a), 'text ' || a, 'wim')
  FROM unnest(ARRAY['taken', 'retired', 'superseded', 'deprecated', 'gone', 'free']) a;
CREATE FUNCTION pg_temp.decide(p_operation text, p_addresses text[], p_verdict text DEFAULT 'approve') RETURNS uuid
  LANGUAGE sql AS $$ SELECT (fn_iu_review_decision_record(p_operation, p_addresses, p_verdict, 'olga', 'good')
    ->> 'review_decision_id')::uuid $$;
SELECT pg_temp.decide('merge', '{b,a,c}') AS d, pg_temp.decide('split', '{a,b}') AS e,
       pg_temp.decide('merge', '{a,b}', 'reject') AS no \gset
SET LOCAL app.canonical_writer = 'fn_iu_retire';
SET LOCAL session_replication_role = replica;
UPDATE information_unit SET lifecycle_status = canonical_address
 WHERE canonical_address IN ('retired', 'superseded', 'deprecated');
UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'gone';
SET LOCAL session_replication_role = origin;
SET LOCAL app.canonical_writer = '';

-- ---- refused, and nothing is written

SELECT pg_temp.answers('fn_iu_piece_merge(NULL, NULL, NULL, NULL)', '{"status": "invalid_input",
  "field": "review_decision_id", "guidance": "Required. Merge must reference a cutter_governance.review_decision row.",
  "next_action": "record_review_decision_first"}', 'the first thing that a merge asks for is a decision');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_enact.allow_no_review_decision';
SELECT pg_temp.refused(
  $$fn_iu_piece_merge('{"canonical_address": "m", "title": "M", "body": "m"}', '{a,b}', 'w', NULL)$$, 'invalid_input',
  'review_decision_id', 'by no value of the gate of enacting are units merged without a decision');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_enact.allow_no_review_decision';
-- Each has what the one before it is refused for, and no more.
SELECT pg_temp.refused(format('fn_iu_piece_merge(%s)', replace(replace(c, '$d', quote_literal(:'d')), '$m',
    '''{"canonical_address": "m", "title": "M", "body": "m"}''::jsonb')), s, f, 'a merge is refused: ' || what)
  FROM (VALUES ('an unknown decision', 'NULL, NULL, NULL, gen_random_uuid()', 'review_decision_not_found',
    'review_decision_id'),
  ('a blank actor', 'NULL, NULL, '' '', $d', 'invalid_input', 'actor'),
  ('a reason in two lines', E'NULL, NULL, ''w'', $d, p_reason => ''x\ny''', 'invalid_input', 'reason'),
  ('a blank tool revision', 'NULL, NULL, ''w'', $d, p_tool_revision => '' ''', 'invalid_input', 'tool_revision'),
  ('neither dry run nor not', 'NULL, NULL, ''w'', $d, p_dry_run => NULL', 'invalid_input', 'dry_run'),
  ('no unit', 'NULL, NULL, ''w'', $d', 'invalid_input', 'merged_spec'),
  ('an array of units', '''[]'', NULL, ''w'', $d', 'invalid_input', 'merged_spec'),
  ('another key', '$m || ''{"sort_order": "1"}'', NULL, ''w'', $d', 'invalid_input', 'merged_spec'),
  ('no address', '$m - ''canonical_address'', NULL, ''w'', $d', 'invalid_input', 'merged_spec'),
  ('no title', '$m - ''title'', NULL, ''w'', $d', 'invalid_input', 'merged_spec'),
  ('no body', '$m - ''body'', NULL, ''w'', $d', 'invalid_input', 'merged_spec'),
  ('an empty body', '$m || ''{"body": ""}'', NULL, ''w'', $d', 'invalid_input', 'merged_spec'),
  ('no sources', '$m, NULL, ''w'', $d', 'invalid_input', 'source_canonical_addresses'),
  ('one source', '$m, ''{none}'', ''w'', $d', 'invalid_input', 'source_canonical_addresses'),
  ('1001 sources', '$m, (SELECT array_agg(i::text) FROM generate_series(1, 1001) i), ''w'', $d', 'invalid_input',
    'source_canonical_addresses'),
  ('a source that is NULL', '$m, ''{none,NULL}'', ''w'', $d', 'invalid_input', 'source_canonical_addresses'),
  ('a table of sources', '$m, ''{{none},{gone}}'', ''w'', $d', 'invalid_input', 'source_canonical_addresses'),
  ('one source twice', '$m, ''{none,gone,none}'', ''w'', $d', 'invalid_input', 'source_canonical_addresses'),
  ('a source that is the unit', '$m, ''{none,m}'', ''w'', $d', 'invalid_input', 'merged_spec'),
  ('a unit that exists', '$m || ''{"canonical_address": "taken"}'', ''{none,gone}'', ''w'', $d', 'invalid_input',
    'merged_spec'),
  ('a text of more than 1 MiB', '$m || jsonb_build_object(''body'', repeat(''b'', 1048577)), ''{none,gone}'', ''w'',
    $d', 'invalid_input', 'merged_spec'),
  ('an unknown source', '$m, ''{none,gone}'', ''w'', $d', 'source_iu_not_found', 'source_canonical_addresses'),
  ('a deleted source', '$m, ''{free,gone}'', ''w'', $d', 'fsm_denied', 'source_canonical_addresses'),
  ('a retired source', '$m, ''{free,retired}'', ''w'', $d', 'fsm_denied', 'source_canonical_addresses'),
  ('a superseded source', '$m, ''{free,superseded}'', ''w'', $d', 'fsm_denied', 'source_canonical_addresses'))
  AS v (what, c, s, f);
CREATE FUNCTION pg_temp.merge(p_sources text, p_decision text) RETURNS text LANGUAGE sql AS $$
  SELECT format('fn_iu_piece_merge(%L, %L, ''w'', %L)',
    '{"canonical_address": "m", "title": "M", "body": "whole"}', p_sources, p_decision) $$;
SELECT pg_temp.answers(pg_temp.merge('{free,retired}', :'d'),
  '{"from": "retired", "to": "merged", "allowed": ["draft", "enacted", "deprecated"]}',
  'fsm_denied says from, to and what is allowed');
SELECT pg_temp.deep('deep', 66);
SELECT pg_temp.refused(pg_temp.merge('{deep66,a}', :'d'), 'tree_too_deep', 'source_canonical_addresses',
  'a merge is refused: its first source has more than 64 above it');
SELECT pg_temp.answers(pg_temp.merge('{deep65,deep66}', :'d'), '{"status": "review_decision_not_applicable"}',
  'a first source with 64 above it is asked for its decision');
SELECT pg_temp.undeep('deep');
SELECT pg_temp.answers(pg_temp.merge(s, d), jsonb_build_object('status', 'review_decision_not_applicable',
  'detail', detail), 'a merge is refused on a decision ' || what)
  FROM (VALUES ('{a,b}', :'e', 'other_operation', 'to split'), ('{a,free}', :'d', 'other_unit', 'on other sources'),
  ('{a,b}', :'no', 'not_approved', 'that rejects')) AS v (s, d, detail, what);

-- ---- merged

SELECT pg_temp.answers(replace(pg_temp.merge('{b,a,c}', :'d'), ''')', ''', p_dry_run => true)'),
  '{"status": "would_merge", "merged_canonical_address": "m", "source_canonical_addresses": ["b", "a", "c"]}',
  'a dry run says what would be made, and makes nothing');
SELECT pg_temp.login('iu_test_robot', format($$fn_iu_piece_merge('{"canonical_address": "m", "title": "M",
  "body": "whole"}', '{b,a,c}', 'robot', %L, %L, 'why', 'tool 1')$$, :'d',
  '00000000-0000-4000-8000-000000000001'))::jsonb AS a \gset
SELECT is(:'a'::jsonb - 'merge_set_id', jsonb_build_object('status', 'merged', 'merged_unit_id', pg_temp.id_of('m'),
  'merged_canonical_address', 'm', 'source_canonical_addresses', '["b", "a", "c"]'::jsonb, 'source_unit_ids',
  jsonb_build_array(pg_temp.id_of('b'), pg_temp.id_of('a'), pg_temp.id_of('c'))),
  'an agent merges on a decision of a person');
SELECT results_eq($$SELECT u.unit_kind, u.lifecycle_status, u.owner_ref, u.identity_profile, u.doc_code,
    u.section_type, u.section_code, u.sort_order, u.created_by, v.body, v.version_seq,
    (fn_iu_verify_invariants('m') -> 'all_pass')::boolean, (SELECT count(*) FROM iu_metadata_tag t
      WHERE t.unit_id = u.id)
    FROM information_unit u JOIN unit_version v ON v.id = u.version_anchor_ref WHERE u.canonical_address = 'm'$$,
  $$VALUES ('law_unit', 'draft', 'olga', '{"title": "M", "owner_lookup_ref": "olga",
    "primary_section_type_ref": "article", "publication_type_ref": "law"}'::jsonb, 'D', 'article', '7', 10, 'robot',
    'whole', 1, true, 3::bigint)$$,
  'the merged unit is a draft like the first source, after those in its document, with the text that was given');
SELECT results_eq($$SELECT u.canonical_address, u.lifecycle_status, v.body FROM information_unit u
    JOIN unit_version v ON v.unit_id = u.id WHERE u.canonical_address IN ('a', 'b', 'c') ORDER BY 1$$,
  $$VALUES ('a', 'draft', 'text a'), ('b', 'draft', 'text b'), ('c', 'draft', 'text c')$$,
  'the sources keep their texts and their status');
SELECT results_eq($$SELECT canonical_address, from_status, to_status, transition_type, performed_by,
    review_decision_id::text, change_set_id::text, reason, tool_revision, metadata
    FROM iu_lifecycle_log ORDER BY log_id$$,
  format($$SELECT s, 'draft', 'draft', 'merge', 'robot', %L, '00000000-0000-4000-8000-000000000001', 'why', 'tool 1',
    %L::jsonb FROM unnest(ARRAY['b', 'a', 'c']) s$$, :'d', jsonb_build_object('merge_set_id',
    :'a'::jsonb -> 'merge_set_id', 'merged_unit_id', pg_temp.id_of('m'), 'merged_canonical_address', 'm')),
  'the ledger says of each source that it was merged, and into what');
SELECT results_eq($$SELECT id::text, merged_iu_id, merged_canonical_address, source_canonical_addresses, source_iu_ids,
    actor, session_role = 'iu_test_robot', review_decision_id::text, change_set_id::text, reason, tool_revision,
    idempotency_key, rolled_back_at
    FROM iu_merge_set$$,
  format($$VALUES (%L, %L::uuid, 'm', ARRAY['b', 'a', 'c'], ARRAY[%L, %L, %L]::uuid[], 'robot', true, %L,
    '00000000-0000-4000-8000-000000000001', 'why', 'tool 1', encode(sha256('m|||a|||b|||c'), 'hex'),
    NULL::timestamptz)$$, :'a'::jsonb ->> 'merge_set_id', pg_temp.id_of('m'), pg_temp.id_of('b'), pg_temp.id_of('a'),
    pg_temp.id_of('c'), :'d'), 'the merge is recorded, under the digest of its addresses');
SELECT pg_temp.answers(pg_temp.merge('{c,b,a}', :'d'), :'a'::jsonb || '{"status": "idempotent_replay"}',
  'the same merge again, in another order, writes nothing');
SELECT pg_temp.refused(pg_temp.merge('{a,b}', :'d'), 'invalid_input', 'merged_spec',
  'a merge of other sources into the unit is no replay');
SELECT is(fn_iu_piece_merge('{"canonical_address": "n", "title": "N", "body": "__EMPTY__"}', '{deprecated,free}', 'w',
  pg_temp.decide('merge', '{deprecated,free}')) ->> 'status', 'merged', 'a deprecated unit is merged');
SELECT results_eq($$SELECT u.sort_order, u.doc_code, v.body FROM information_unit u JOIN unit_version v
    ON v.unit_id = u.id WHERE u.canonical_address = 'n'$$, $$VALUES (NULL::integer, NULL::text, '')$$,
  'a unit that is merged outside of documents has no place, and may be empty');
SELECT pg_temp.decide('merge', '{a,b}') AS o \gset
SELECT fn_iu_apply_edit_draft((fn_iu_save('b', 'another text', 'wim') ->> 'draft_id')::uuid, 'wim');
SELECT pg_temp.answers(replace(pg_temp.merge('{a,b}', :'o'), '"m"', '"m2"'),
  '{"status": "review_decision_not_applicable", "detail": "other_text"}',
  'sources of which one has another text than was looked at are not merged');

-- ---- taken back

SELECT :'a'::jsonb ->> 'merge_set_id' AS set \gset
SELECT pg_temp.refused(format('fn_iu_piece_merge_rollback(%s)', replace(c, '$s', quote_literal(:'set'))), s, f,
  'taking a merge back is refused: ' || what)
  FROM (VALUES ('no merge', 'NULL, ''o'', ''r''', 'invalid_input', 'merge_set_id'),
  ('no actor', '$s, NULL, ''r''', 'invalid_input', 'actor'),
  ('no reason', '$s, ''o'', NULL', 'invalid_input', 'reason'),
  ('neither dry run nor not', '$s, ''o'', ''r'', NULL', 'invalid_input', 'dry_run'),
  ('an unknown merge', 'gen_random_uuid(), ''o'', ''r'', false', 'merge_set_not_found', 'merge_set_id'))
  AS v (what, c, s, f);
-- What became of the units, each by itself.
CREATE FUNCTION pg_temp.kept(p_set text, p_statement text, p_status text, p_description text) RETURNS SETOF text
  LANGUAGE plpgsql AS $$
DECLARE v_result text;
BEGIN
  BEGIN
    SET LOCAL app.canonical_writer = 'fn_iu_retire';
    EXECUTE p_statement;
    SET LOCAL app.canonical_writer = '';
    SELECT string_agg(t, E'\n') INTO v_result FROM pg_temp.refused(format(
      'fn_iu_piece_merge_rollback(%L, ''o'', ''r'', false)', p_set), p_status, 'merge_set_id', p_description) t;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'P0009';
  EXCEPTION WHEN SQLSTATE 'P0009' THEN
    RETURN NEXT v_result;
  END;
END $$;
SELECT pg_temp.kept(:'set', s, st, 'a merge is not taken back: ' || what)
  FROM (VALUES ('the merged unit is enacted', 'child_not_draft',
    'UPDATE information_unit SET lifecycle_status = ''enacted'' WHERE canonical_address = ''m'''),
  ('the merged unit has a comment', 'child_changed', 'SELECT fn_iu_comment(''m'', ''well'', ''wim'')'),
  ('the merged unit has a part', 'child_in_use',
    'SELECT fn_iu_create(''part'', ''P'', ''p'', ''w'', p_parent_ref => pg_temp.id_of(''m''))'),
  ('a source is superseded', 'fsm_denied',
    'UPDATE information_unit SET lifecycle_status = ''superseded'' WHERE canonical_address = ''c'''),
  ('a source is deleted', 'fsm_denied',
    'UPDATE information_unit SET deleted_at = now() WHERE canonical_address = ''a''')) AS v (what, st, s);
SELECT pg_temp.answers(format('fn_iu_piece_merge_rollback(%L, ''o'', ''r'')', :'set'),
  '{"status": "would_roll_back"}', 'unless it is told otherwise, taking back only looks');
SELECT is(pg_temp.login('iu_test_olga', format('fn_iu_piece_merge_rollback(%L, ''olga'', ''wrong'', false)', :'set'))
  ::jsonb, jsonb_build_object('status', 'rolled_back', 'merge_set_id', :'set', 'merged_unit_id', pg_temp.id_of('m')),
  'an operator takes the merge back');
SELECT results_eq($$SELECT u.canonical_address, u.deleted_at IS NOT NULL FROM information_unit u
    WHERE u.canonical_address IN ('a', 'b', 'c', 'm') ORDER BY 1$$,
  $$VALUES ('a', false), ('b', false), ('c', false), ('m', true)$$, 'the merged unit is deleted, and no source is');
SELECT results_eq($$SELECT rolled_back_by, rolled_back_role = 'iu_test_olga', rolled_back_reason,
    rolled_back_at IS NOT NULL FROM iu_merge_set WHERE reason = 'why'$$, $$VALUES ('olga', true, 'wrong', true)$$,
  'the merge says who took it back, by which login, and why');
SELECT pg_temp.answers(format('fn_iu_piece_merge_rollback(%L, ''o'', ''r'', false)', :'set'),
  '{"status": "idempotent_replay"}', 'taking it back again writes nothing');

-- ---- the record, and who may

SELECT pg_temp.refuses(s, '42501', n, s || ' is refused')
  FROM (VALUES ('DELETE FROM iu_merge_set', 'iu_append_only'), ('TRUNCATE iu_merge_set', 'iu_append_only'),
  ('UPDATE iu_merge_set SET reason = ''x''', 'iu_piece_set_unchanged'),
  ('UPDATE iu_merge_set SET rolled_back_at = now() WHERE rolled_back_at IS NOT NULL', 'iu_piece_set_unchanged'))
  AS v (s, n);
SELECT is(pg_temp.login(r, f || '(NULL, NULL, NULL, NULL)'), '42501 permission denied for function ' || f,
  r || ' does not use ' || f)
  FROM (VALUES ('iu_test_rita', 'fn_iu_piece_merge'), ('iu_test_olga', 'fn_iu_piece_merge'),
  ('iu_test_wim', 'fn_iu_piece_merge_rollback'), ('iu_test_robot', 'fn_iu_piece_merge_rollback')) AS v (r, f);
SELECT results_eq($$SELECT command_name, category, mutating, reversible FROM dot_iu_command_catalog
    WHERE command_name ~ '^dot_iu_merge' ORDER BY 1$$,
  $$VALUES ('dot_iu_merge_piece', 'piece', true, true), ('dot_iu_merge_piece_rollback', 'piece', true, false)$$,
  'merging is a command that can be taken back');
SELECT pg_temp.refuses('SELECT iu_core.rollback(27)', '55006', 'iu_rollback_rows',
  'a rollback that would lose merges is refused');
SELECT finish();
ROLLBACK;
