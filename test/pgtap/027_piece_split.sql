-- 027: a unit is split into several, and the split is taken back.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT fn_iu_import($$[{"canonical_address": "top", "title": "Top", "body": "t"},
  {"canonical_address": "s", "title": "S", "body": "one two", "unit_kind": "law_unit", "section_type": "article",
   "owner_ref": "olga", "publication_type": "law", "parent_address": "top", "doc_code": "D", "section_code": "7",
   "sort_order": 3}]$$, 'wim', false);
SELECT fn_iu_create(a, upper(a), 'text ' || a, 'wim') FROM unnest(ARRAY['taken', 'retired', 'superseded', 'deprecated',
  'gone', 'gonekid', 'other', 'out']) a;
CREATE FUNCTION pg_temp.decide(p_operation text, p_addresses text[], p_verdict text DEFAULT 'approve') RETURNS uuid
  LANGUAGE sql AS $$ SELECT (fn_iu_review_decision_record(p_operation, p_addresses, p_verdict, 'olga', 'good')
    ->> 'review_decision_id')::uuid $$;
CREATE FUNCTION pg_temp.kids(VARIADIC p_addresses text[]) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_agg(jsonb_build_object('canonical_address', a, 'title', upper(a), 'body', 'text ' || a) ORDER BY n)
    FROM unnest(p_addresses) WITH ORDINALITY x (a, n) $$;
SELECT pg_temp.decide('split', '{s,k2,k1}') AS d, pg_temp.decide('split', '{retired,k2,k1}') AS dr,
       pg_temp.decide('enact', '{s}') AS e, pg_temp.decide('split', '{s,k2,k1}', 'reject') AS no \gset
SET LOCAL app.canonical_writer = 'fn_iu_retire';
SET LOCAL session_replication_role = replica;
UPDATE information_unit SET lifecycle_status = canonical_address
 WHERE canonical_address IN ('retired', 'superseded', 'deprecated');
UPDATE information_unit SET deleted_at = now() WHERE canonical_address IN ('gone', 'gonekid');
SET LOCAL session_replication_role = origin;
SET LOCAL app.canonical_writer = '';

-- ---- refused, and nothing is written

SELECT pg_temp.answers('fn_iu_piece_split(NULL, NULL, NULL, NULL)', '{"status": "invalid_input",
  "field": "review_decision_id", "guidance": "Required. Split must reference a cutter_governance.review_decision row.",
  "next_action": "record_review_decision_first"}', 'the first thing that a split asks for is a decision');
SELECT is((SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_object_keys(fn_iu_piece_split(NULL, NULL, NULL, NULL)) k),
  'field guidance next_action status', 'a refusal has four keys');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_enact.allow_no_review_decision';
SELECT pg_temp.refused($$fn_iu_piece_split('s', pg_temp.kids('k1', 'k2'), 'w', NULL)$$, 'invalid_input',
  'review_decision_id', 'by no value of the gate of enacting is a unit split without a decision');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_enact.allow_no_review_decision';
-- Each has what the one before it is refused for, and no more.
SELECT pg_temp.refused(format('fn_iu_piece_split(%s)', replace(replace(c, '$d', quote_literal(:'d')), '$k',
    'pg_temp.kids(''k1'', ''k2'')')), s, f, 'a split is refused: ' || what)
  FROM (VALUES ('an unknown decision', 'NULL, NULL, NULL, gen_random_uuid()', 'review_decision_not_found',
    'review_decision_id'),
  ('a blank actor', 'NULL, NULL, '' '', $d', 'invalid_input', 'actor'),
  ('a reason in two lines', E'NULL, NULL, ''w'', $d, p_reason => ''x\ny''', 'invalid_input', 'reason'),
  ('a blank tool revision', 'NULL, NULL, ''w'', $d, p_tool_revision => '' ''', 'invalid_input', 'tool_revision'),
  ('neither dry run nor not', 'NULL, NULL, ''w'', $d, p_dry_run => NULL', 'invalid_input', 'dry_run'),
  ('no source', 'NULL, NULL, ''w'', $d', 'invalid_input', 'source_canonical_address'),
  ('no children', '''none'', NULL, ''w'', $d', 'invalid_input', 'child_specs'),
  ('an object of children', '''none'', ''{}'', ''w'', $d', 'invalid_input', 'child_specs'),
  ('one child', '''none'', pg_temp.kids(''k1''), ''w'', $d', 'invalid_input', 'child_specs'),
  ('1001 children', '''none'', (SELECT jsonb_agg(i) FROM generate_series(1, 1001) i), ''w'', $d', 'invalid_input',
    'child_specs'),
  ('a child that is no object', '''none'', ''[1, 2]'', ''w'', $d', 'invalid_input', 'child_specs'),
  ('a child with another key', '''none'', jsonb_set($k, ''{1,unit_kind}'', ''"law_unit"''), ''w'', $d',
    'invalid_input', 'child_specs'),
  ('a child whose title is a number', '''none'', jsonb_set($k, ''{1,title}'', ''7''), ''w'', $d', 'invalid_input',
    'child_specs'),
  ('a child without an address', '''none'', $k #- ''{1,canonical_address}'', ''w'', $d', 'invalid_input',
    'child_specs'),
  ('a child without a title', '''none'', $k #- ''{1,title}'', ''w'', $d', 'invalid_input', 'child_specs'),
  ('a child without a body', '''none'', $k #- ''{1,body}'', ''w'', $d', 'invalid_input', 'child_specs'),
  ('a child with an empty body', '''none'', jsonb_set($k, ''{1,body}'', ''""''), ''w'', $d', 'invalid_input',
    'child_specs'),
  ('a child with a text of more than 1 MiB', '''none'', jsonb_set($k, ''{1,body}'', to_jsonb(repeat(''b'', 1048577))),
    ''w'', $d', 'invalid_input', 'child_specs'),
  ('two children with one address', '''none'', pg_temp.kids(''k1'', ''k2'', ''k1''), ''w'', $d', 'invalid_input',
    'child_specs'),
  ('a child that is the source', '''none'', pg_temp.kids(''k1'', ''none''), ''w'', $d', 'invalid_input',
    'child_specs'),
  ('a child that exists', '''none'', pg_temp.kids(''k1'', ''taken''), ''w'', $d', 'invalid_input', 'child_specs'),
  ('a child that was deleted', '''none'', pg_temp.kids(''k1'', ''gonekid''), ''w'', $d', 'invalid_input',
    'child_specs'),
  ('an unknown source', '''none'', $k, ''w'', $d', 'source_iu_not_found', 'source_canonical_address'),
  ('a deleted source', '''gone'', $k, ''w'', $d', 'fsm_denied', 'source_canonical_address'),
  ('a retired source', '''retired'', $k, ''w'', $d', 'fsm_denied', 'source_canonical_address'),
  ('a superseded source', '''superseded'', $k, ''w'', $d', 'fsm_denied', 'source_canonical_address'))
  AS v (what, c, s, f);
SELECT alike(fn_iu_piece_split('none', (SELECT jsonb_agg(repeat('b', 1048576)) FROM generate_series(1, 64)), 'w', :'d')
  ->> 'guidance', '%an array of 2 to 1000 objects in up to 67108864 bytes%', 'a split is refused: of more than 64 MB');
SELECT pg_temp.deep('deep', 66);
SELECT pg_temp.refused(format('fn_iu_piece_split(''deep66'', pg_temp.kids(''k1'', ''k2''), ''w'', %L)', :'d'),
  'tree_too_deep', 'source_canonical_address', 'a split is refused: of a unit with more than 64 above it');
SELECT pg_temp.answers(format('fn_iu_piece_split(''deep65'', pg_temp.kids(''k1'', ''k2''), ''w'', %L)', :'d'),
  '{"status": "review_decision_not_applicable"}', 'one with 64 above it is asked for its decision');
SELECT pg_temp.undeep('deep');
SELECT pg_temp.answers(format('fn_iu_piece_split(''gone'', pg_temp.kids(''k1'', ''k2''), ''w'', %L)', :'d'),
  '{"from": "deleted", "to": "split", "allowed": ["draft", "enacted", "deprecated"]}',
  'fsm_denied says from, to and what is allowed');
SELECT pg_temp.answers(format('fn_iu_piece_split(''s'', pg_temp.kids(%s), ''w'', %L)', k, d),
  jsonb_build_object('status', 'review_decision_not_applicable', 'detail', detail),
  'a split is refused on a decision ' || what)
  FROM (VALUES ('''k1'', ''k2''', :'e', 'other_operation', 'to enact'),
  ('''k1'', ''k2''', :'dr', 'other_unit', 'on another source'),
  ('''k1'', ''k3''', :'d', 'other_unit', 'on other children'),
  ('''k1'', ''k2''', :'no', 'not_approved', 'that rejects')) AS v (k, d, detail, what);

-- ---- split

SELECT pg_temp.answers(format('fn_iu_piece_split(''s'', pg_temp.kids(''k1'', ''k2''), ''w'', %L, p_dry_run => true)',
  :'d'), jsonb_build_object('status', 'would_split', 'source_unit_id', pg_temp.id_of('s'), 'child_canonical_addresses',
  '["k1", "k2"]'::jsonb), 'a dry run says what would be made, and makes nothing');
SELECT pg_temp.login('iu_test_robot', format($$fn_iu_piece_split('s', jsonb_set('%s', '{1,body}', '"__EMPTY__"'),
  'robot', %L, %L, 'why', 'tool 1')$$, pg_temp.kids('k1', 'k2'), :'d',
  '00000000-0000-4000-8000-000000000001'))::jsonb AS a \gset
SELECT is(:'a'::jsonb - 'split_set_id' - 'log_id', jsonb_build_object('status', 'split', 'source_unit_id',
  pg_temp.id_of('s'), 'child_unit_ids', jsonb_build_array(pg_temp.id_of('k1'), pg_temp.id_of('k2')),
  'child_canonical_addresses', '["k1", "k2"]'::jsonb), 'an agent splits on a decision of a person');
SELECT results_eq($$SELECT u.canonical_address, u.unit_kind, u.lifecycle_status, u.owner_ref, p.canonical_address,
    u.identity_profile, u.doc_code, u.section_type, u.section_code, u.sort_order, u.created_by, v.body, v.version_seq,
    v.content_hash = u.content_anchor_ref
    FROM information_unit u JOIN unit_version v ON v.id = u.version_anchor_ref
    JOIN information_unit p ON p.id = u.parent_or_container_ref WHERE u.canonical_address ~ '^k' ORDER BY 1$$,
  $$VALUES ('k1', 'law_unit', 'draft', 'olga', 'top', '{"title": "K1", "owner_lookup_ref": "olga",
      "primary_section_type_ref": "article", "publication_type_ref": "law"}'::jsonb, 'D', 'article', '7', 4, 'robot',
      'text k1', 1, true),
    ('k2', 'law_unit', 'draft', 'olga', 'top', '{"title": "K2", "owner_lookup_ref": "olga",
      "primary_section_type_ref": "article", "publication_type_ref": "law"}', 'D', 'article', '7', 5, 'robot', '', 1,
      true)$$, 'the children are drafts where the source is, with texts of their own');
SELECT results_eq($$SELECT u.canonical_address, count(*), count(*) FILTER (WHERE t.enrichment_source = 'derived')
    FROM iu_metadata_tag t JOIN information_unit u ON u.id = t.unit_id WHERE u.canonical_address ~ '^k'
    GROUP BY 1 ORDER BY 1$$, $$VALUES ('k1', 3::bigint, 3::bigint), ('k2', 3, 3)$$, 'and have their derived tags');
SELECT ok((SELECT bool_and((fn_iu_verify_invariants(a) -> 'all_pass')::boolean) FROM unnest(ARRAY['k1', 'k2']) a),
  'and are complete');
SELECT results_eq($$SELECT u.lifecycle_status, u.sort_order, v.body, v.lifecycle_status FROM information_unit u
    JOIN unit_version v ON v.unit_id = u.id WHERE u.canonical_address = 's'$$,
  $$VALUES ('draft', 3, 'one two', 'draft')$$, 'the source keeps its text and its status');
SELECT results_eq($$SELECT canonical_address, from_status, to_status, transition_type, performed_by,
    review_decision_id::text, change_set_id::text, reason, tool_revision, metadata, log_id FROM iu_lifecycle_log$$,
  format($$VALUES ('s', 'draft', 'draft', 'split', 'robot', %L, '00000000-0000-4000-8000-000000000001', 'why', 'tool 1',
    %L::jsonb, %s::bigint)$$, :'d', jsonb_build_object('split_set_id', :'a'::jsonb -> 'split_set_id',
    'child_unit_ids', :'a'::jsonb -> 'child_unit_ids', 'child_canonical_addresses', '["k1", "k2"]'::jsonb),
    :'a'::jsonb ->> 'log_id'), 'the ledger says that the source was split, and into what');
SELECT results_eq($$SELECT id::text, source_iu_id, source_canonical_address, child_canonical_addresses, child_iu_ids,
    actor, session_role = 'iu_test_robot', review_decision_id::text, change_set_id::text, reason, tool_revision,
    idempotency_key, rolled_back_at
    FROM iu_split_set$$,
  format($$VALUES (%L, %L::uuid, 's', ARRAY['k1', 'k2'], ARRAY[%L, %L]::uuid[], 'robot', true, %L,
    '00000000-0000-4000-8000-000000000001', 'why', 'tool 1', encode(sha256('s|||k1|||k2'), 'hex'),
    NULL::timestamptz)$$, :'a'::jsonb ->> 'split_set_id', pg_temp.id_of('s'), pg_temp.id_of('k1'), pg_temp.id_of('k2'),
    :'d'), 'the split is recorded, under the digest of its addresses');
SELECT pg_temp.answers(format('fn_iu_piece_split(''s'', pg_temp.kids(''k2'', ''k1''), ''w'', %L)', :'d'),
  :'a'::jsonb - 'log_id' || '{"status": "idempotent_replay"}',
  'the same split again, in another order, writes nothing');
SELECT pg_temp.refused(format('fn_iu_piece_split(''s'', pg_temp.kids(''k1'', ''k3''), ''w'', %L)', :'d'),
  'invalid_input', 'child_specs', 'a split of the source into other units is no replay');
SELECT pg_temp.decide('split', '{deprecated,x1,x2}') AS x \gset
SELECT is(fn_iu_piece_split('deprecated', pg_temp.kids('x1', 'x2'), 'w', :'x') ->> 'status', 'split',
  'a deprecated unit is split');
SELECT results_eq($$SELECT DISTINCT u.sort_order, u.doc_code, u.parent_or_container_ref FROM information_unit u
    WHERE u.canonical_address ~ '^x'$$, $$VALUES (NULL::integer, NULL::text, NULL::uuid)$$,
  'children of a unit that has no place in a document have none');
SELECT pg_temp.decide('split', '{other,o1,o2}') AS o \gset
SELECT fn_iu_apply_edit_draft((fn_iu_save('other', 'another text', 'wim') ->> 'draft_id')::uuid, 'wim');
SELECT pg_temp.answers(format('fn_iu_piece_split(''other'', pg_temp.kids(''o1'', ''o2''), ''w'', %L)', :'o'),
  '{"status": "review_decision_not_applicable", "detail": "other_text"}',
  'a source whose text is not the one that was looked at is not split');

-- ---- taken back

SELECT :'a'::jsonb ->> 'split_set_id' AS set \gset
SELECT pg_temp.refused(format('fn_iu_piece_split_rollback(%s)', replace(c, '$s', quote_literal(:'set'))), s, f,
  'taking a split back is refused: ' || what)
  FROM (VALUES ('no split', 'NULL, ''o'', ''r''', 'invalid_input', 'split_set_id'),
  ('no actor', '$s, NULL, ''r''', 'invalid_input', 'actor'),
  ('no reason', '$s, ''o'', NULL', 'invalid_input', 'reason'),
  ('neither dry run nor not', '$s, ''o'', ''r'', NULL', 'invalid_input', 'dry_run'),
  ('an unknown split', 'gen_random_uuid(), ''o'', ''r'', false', 'split_set_not_found', 'split_set_id'))
  AS v (what, c, s, f);
-- What a person did with a child, each by itself.
CREATE FUNCTION pg_temp.kept(p_statement text, p_status text, p_description text) RETURNS SETOF text
  LANGUAGE plpgsql AS $$
DECLARE v_result text;
BEGIN
  BEGIN
    SET LOCAL app.canonical_writer = 'fn_iu_retire';
    EXECUTE p_statement;
    SET LOCAL app.canonical_writer = '';
    SELECT string_agg(t, E'\n') INTO v_result FROM pg_temp.refused(format(
      'fn_iu_piece_split_rollback(%L, ''o'', ''r'', false)', (SELECT id FROM iu_split_set WHERE reason = 'why')),
      p_status, 'split_set_id', p_description) t;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'P0009';
  EXCEPTION WHEN SQLSTATE 'P0009' THEN
    RETURN NEXT v_result;
  END;
END $$;
SELECT pg_temp.kept(s, st, 'a split is not taken back: ' || what)
  FROM (VALUES ('a child is enacted', 'child_not_draft',
    'UPDATE information_unit SET lifecycle_status = ''enacted'' WHERE canonical_address = ''k2'''),
  ('a child was changed by somebody', 'child_changed',
    'UPDATE information_unit SET updated_by = ''x'' WHERE canonical_address = ''k2'''),
  ('a child was changed after it was made', 'child_changed',
    'UPDATE information_unit SET created_at = now() - interval ''1s'' WHERE canonical_address = ''k1'''),
  ('a child has another version', 'child_changed',
    'SELECT fn_iu_apply_edit_draft((fn_iu_save(''k1'', ''new'', ''wim'') ->> ''draft_id'')::uuid, ''wim'')'),
  ('a child has a draft', 'child_changed', 'SELECT fn_iu_save(''k2'', ''new'', ''wim'')'),
  ('a child has a comment', 'child_changed', 'SELECT fn_iu_comment(''k2'', ''well'', ''wim'')'),
  ('a child has a tag that somebody set', 'child_changed', 'INSERT INTO iu_metadata_tag (unit_id, tag_key, '
    'enrichment_source, assigned_by) VALUES (pg_temp.id_of(''k2''), ''kind:law_unit'', ''confirmed'', ''x'')'),
  ('a child has a part', 'child_in_use',
    'SELECT fn_iu_create(''part'', ''P'', ''p'', ''w'', p_parent_ref => pg_temp.id_of(''k1''))'),
  ('a child was split itself', 'child_in_use', format('SELECT fn_iu_piece_split(''k1'', %L, ''w'', %L)',
    pg_temp.kids('k11', 'k12'), pg_temp.decide('split', '{k1,k11,k12}'))),
  ('a child was merged with another unit', 'child_in_use', format('SELECT fn_iu_piece_merge(%L, ''{k1,other}'', ''w'', '
    '%L)', pg_temp.kids('km') -> 0, pg_temp.decide('merge', '{k1,other}'))),
  ('the source is retired', 'fsm_denied',
    'UPDATE information_unit SET lifecycle_status = ''retired'' WHERE canonical_address = ''s'''),
  ('the source is deleted', 'fsm_denied',
    'UPDATE information_unit SET deleted_at = now() WHERE canonical_address = ''s''')) AS v (what, st, s);
SELECT fn_iu_import($$[{"canonical_address": "last", "title": "L", "body": "l", "doc_code": "L",
  "sort_order": 2147483646}]$$, 'wim', false);
SELECT fn_iu_piece_split('last', pg_temp.kids('l1', 'l2'), 'w', pg_temp.decide('split', '{last,l1,l2}'));
SELECT results_eq($$SELECT canonical_address, sort_order FROM information_unit
    WHERE canonical_address IN ('l1', 'l2') ORDER BY 1$$, $$VALUES ('l1', 2147483647), ('l2', 2147483647)$$,
  'parts of the last place of all are in the last place');
CREATE FUNCTION iu.test_in_use(p_unit_id uuid) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS
  $$SELECT CASE WHEN EXISTS (SELECT FROM public.information_unit u WHERE u.id = p_unit_id
      AND u.canonical_address = 'k2') THEN 'somebody needs it' END$$;
ALTER FUNCTION iu.test_in_use OWNER TO iu_core_owner;
SELECT iu.fn_iu_hook_add(9000, 'iu.fn_iu_unit_in_use(uuid)', 'iu.test_in_use(uuid)');
SELECT pg_temp.answers(format('fn_iu_piece_split_rollback(%L, ''o'', ''r'', false)', :'set'), '{"status":
  "child_in_use", "guidance": "Unit ''k2'' is in use: somebody needs it."}', 'what uses a child says so');
SELECT iu.fn_iu_hook_remove(9000);
SELECT pg_temp.answers(format('fn_iu_piece_split_rollback(%L, ''o'', ''r'')', :'set'),
  '{"status": "would_roll_back"}', 'unless it is told otherwise, taking back only looks');
SELECT is(pg_temp.login('iu_test_olga', format('fn_iu_piece_split_rollback(%L, ''olga'', ''wrong'', false)', :'set'))
  ::jsonb, jsonb_build_object('status', 'rolled_back', 'split_set_id', :'set', 'child_unit_ids',
  :'a'::jsonb -> 'child_unit_ids'), 'an operator takes the split back');
SELECT results_eq($$SELECT u.canonical_address, u.deleted_at IS NOT NULL, u.updated_by FROM information_unit u
    WHERE u.canonical_address ~ '^(k|s$)' ORDER BY 1$$,
  $$VALUES ('k1', true, 'olga'), ('k2', true, 'olga'), ('s', false, 'wim')$$, 'the children are deleted');
SELECT results_eq($$SELECT rolled_back_by, rolled_back_role = 'iu_test_olga', rolled_back_reason,
    rolled_back_at IS NOT NULL FROM iu_split_set WHERE reason = 'why'$$, $$VALUES ('olga', true, 'wrong', true)$$,
  'the split says who took it back, by which login, and why');
SELECT pg_temp.answers(format('fn_iu_piece_split_rollback(%L, ''o'', ''r'', false)', :'set'),
  '{"status": "idempotent_replay"}', 'taking it back again writes nothing');
SELECT pg_temp.refused(format('fn_iu_piece_split(''s'', pg_temp.kids(''k1'', ''k2''), ''w'', %L)', :'d'),
  'invalid_input', 'child_specs', 'addresses of a split that was taken back stay taken');

-- ---- the record, and who may

SELECT pg_temp.refuses(s, '42501', n, s || ' is refused')
  FROM (VALUES ('DELETE FROM iu_split_set', 'iu_append_only'), ('TRUNCATE iu_split_set', 'iu_append_only'),
  ('UPDATE iu_split_set SET reason = ''x''', 'iu_piece_set_unchanged'),
  ('UPDATE iu_split_set SET rolled_back_at = now() WHERE rolled_back_at IS NOT NULL', 'iu_piece_set_unchanged'),
  ('UPDATE iu_split_set SET rolled_back_at = now(), rolled_back_by = ''x'', rolled_back_reason = ''y'', actor = ''z'' '
   'WHERE rolled_back_at IS NULL', 'iu_piece_set_unchanged')) AS v (s, n);
SELECT is(pg_temp.login(r, f || '(NULL, NULL, NULL, NULL)'), '42501 permission denied for function ' || f,
  r || ' does not use ' || f)
  FROM (VALUES ('iu_test_rita', 'fn_iu_piece_split'), ('iu_test_olga', 'fn_iu_piece_split'),
  ('iu_test_wim', 'fn_iu_piece_split_rollback'), ('iu_test_robot', 'fn_iu_piece_split_rollback')) AS v (r, f);
SELECT results_eq($$SELECT command_name, category, mutating, reversible FROM dot_iu_command_catalog
    WHERE command_name ~ '^dot_iu_split' ORDER BY 1$$,
  $$VALUES ('dot_iu_split_piece', 'piece', true, true), ('dot_iu_split_piece_rollback', 'piece', true, false)$$,
  'splitting is a command that can be taken back');
SELECT pg_temp.refuses('SELECT iu_core.rollback(26)', '55006', 'iu_rollback_rows',
  'a rollback that would lose splits is refused');
SELECT finish();
ROLLBACK;
