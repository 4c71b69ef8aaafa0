-- 037: each type of structure operation applied: units, relations, ledger, events.
\ir setup.psql
\ir 037_structure_operations.psql
SELECT no_plan();

-- ---- the gate, and what is refused

SELECT pg_temp.planned('deprecate_piece', '{law}', '{}', NULL, '{}', 'deprecate law') AS d \gset
SELECT pg_temp.refuses(format('SELECT %s(%s)', f, a), '42501', 'iu_structure_gate_closed',
  f || ' raises while the gate is closed: ' || a)
  FROM (VALUES ('fn_iu_structure_op_apply', quote_literal(:'d')), ('fn_iu_structure_op_apply', 'NULL'),
  ('fn_iu_structure_op_rollback', quote_literal(:'d')), ('fn_iu_structure_op_rollback', 'NULL')) AS v (f, a);
SELECT is(pg_temp.units('law'), 'law draft/draft under -', 'and nothing is done');
SELECT pg_temp.gate(true);
SELECT pg_temp.refused(format('fn_iu_structure_op_apply(%s)', replace(c, '$d', quote_literal(:'d'))), s, f,
  'applying is refused: ' || what) FROM (VALUES ('no operation', 'NULL', 'invalid_input', 'operation_id'),
  ('a blank actor', '$d, '' ''', 'invalid_input', 'actor'),
  ('an unknown operation', 'gen_random_uuid()', 'operation_not_found', 'operation_id')) AS v (what, c, s, f);
SELECT pg_temp.ids('{side}') AS side \gset
SET LOCAL ROLE iu_core_owner;
INSERT INTO iu_structure_operation (operation_type, actor_ref, idempotency_key, source_unit_ids)
  VALUES ('deprecate_piece', 'somebody', 'a draft', :'side');
RESET ROLE;
SELECT pg_temp.refused(format('fn_iu_structure_op_apply(%L)', pg_temp.op('a draft')), 'fsm_denied', 'operation_id',
  'what is a draft is not applied');
SELECT is(fn_iu_structure_op_verify(pg_temp.op('a draft')) -> 'checks', '{"applicable": false}',
  'and verifying says so');

-- ---- deprecate_piece, of a unit that is enacted

SELECT fn_iu_enact('law', 'olga', (fn_iu_review_decision_record('enact', '{law}', 'approve', 'olga', 'good')
  ->> 'review_decision_id')::uuid);
SELECT fn_iu_save('law', 'another text', 'wim');
SELECT is(pg_temp.login('iu_test_robot', format('fn_iu_structure_op_apply(%L, ''robot'')', :'d'))::jsonb,
  jsonb_build_object('status', 'enacted', 'operation_id', :'d', 'operation_type', 'deprecate_piece',
  'operation_status', 'enacted', 'created_unit_ids', '[]'::jsonb, 'event_emitted', true),
  'an agent applies what was planned, while the gate is open');
SELECT is(pg_temp.units('law'), 'law deprecated/deprecated under -', 'the unit and its version are deprecated');
SELECT is(pg_temp.lifecycle_of(:'d'), 'law deprecate: enacted to deprecated by robot, why', 'the ledger says so');
SELECT is(pg_temp.relations(:'d'), NULL, 'nothing took its place');
SELECT is(pg_temp.events_of(:'d'), 'structure_piece_deprecated of law by robot: deprecate_piece, '
  'structure_op_applied of law by robot: deprecate_piece', 'two events tell of it');
SELECT results_eq($$SELECT operation_status, enacted_at > now(), impact_summary - 'creates' - 'moves'
    FROM iu_structure_operation WHERE idempotency_key = 'deprecate law'$$,
  format($$VALUES ('enacted', true, %L::jsonb)$$, jsonb_build_object('deprecates', jsonb_build_array(
  pg_temp.id_of('law')), 'applied_by', 'robot', 'created_unit_ids', '[]'::jsonb, 'previous_status',
  jsonb_build_object(pg_temp.id_of('law'), '["enacted", "enacted"]'::jsonb))), 'the operation says what was before');
SELECT pg_temp.answers(format('fn_iu_structure_op_apply(%L)', :'d'), jsonb_build_object('status', 'idempotent_replay',
  'operation_id', :'d', 'created_unit_ids', '[]'::jsonb), 'applied again it writes nothing');
SELECT is(fn_iu_structure_op_verify(:'d') -> 'checks', '{"ledger": true, "created_exist": true,
  "relations_active": true, "sources_deprecated": true}', 'what was applied is verified');
SELECT pg_temp.answers('fn_iu_apply_edit_draft((SELECT draft_id FROM iu_edit_draft d WHERE d.unit_id = '
  'pg_temp.id_of(''law'')), ''olga'')', '{"status": "fsm_denied"}', 'an edit of a deprecated unit is not applied');

-- ---- add_new_piece

SELECT pg_temp.planned('add_new_piece', '{}', '{}', 'top', jsonb_set(pg_temp.fresh('n1', 'n2'),
  '{new_pieces,1,unit_kind}', '"law_unit"'), 'add') AS o \gset
SELECT is(fn_iu_structure_op_apply(:'o') -> 'created_unit_ids', to_jsonb(pg_temp.ids('{n1,n2}')),
  'new pieces are made, in the order that was given');
SELECT results_eq($$SELECT u.canonical_address, u.unit_kind, u.section_type, u.lifecycle_status, p.canonical_address,
    u.owner_ref, u.created_by, v.body, u.doc_code
    FROM information_unit u JOIN unit_version v ON v.id = u.version_anchor_ref
    JOIN information_unit p ON p.id = u.parent_or_container_ref WHERE u.canonical_address ~ '^n[12]' ORDER BY 1$$,
  $$VALUES ('n1', 'design_doc_section', 'section', 'draft', 'top', 'wim', 'wim', 'text n1', NULL),
    ('n2', 'law_unit', 'section', 'draft', 'top', 'wim', 'wim', 'text n2', NULL)$$,
  'they are drafts below the parent, as fn_iu_create makes them, by who planned it');
SELECT ok((SELECT bool_and((fn_iu_verify_invariants(a) -> 'all_pass')::boolean) FROM unnest(ARRAY['n1', 'n2']) a),
  'and are complete');
SELECT is((SELECT count(*) FROM iu_metadata_tag t WHERE t.unit_id = ANY (pg_temp.ids('{n1,n2}'))), 4::bigint,
  'and have their derived tags');
SELECT is(pg_temp.relations(:'o'), 'top contains n1, top contains n2', 'the parent contains them');
SELECT is(pg_temp.events_of(:'o'), 'structure_child_added of top by wim: add_new_piece, structure_op_applied of top by '
  'wim: add_new_piece', 'the event is about the parent');
SELECT is(pg_temp.lifecycle_of(:'o'), NULL, 'no unit left its status');

-- ---- split_large_piece

SELECT pg_temp.planned('split_large_piece', '{big}', '{}', NULL, jsonb_set(pg_temp.fresh('b1', 'b2'),
  '{new_pieces,1,body}', '"__EMPTY__"'), 'split') AS o \gset
SELECT is(fn_iu_structure_op_apply(:'o', 'robot') ->> 'status', 'enacted', 'a unit is split');
SELECT results_eq($$SELECT u.canonical_address, u.unit_kind, u.owner_ref, p.canonical_address, u.identity_profile,
    u.doc_code, u.section_type, u.section_code, u.sort_order, v.body, u.created_by
    FROM information_unit u JOIN unit_version v ON v.id = u.version_anchor_ref
    JOIN information_unit p ON p.id = u.parent_or_container_ref WHERE u.canonical_address ~ '^b[12]' ORDER BY 1$$,
  $$VALUES ('b1', 'law_unit', 'olga', 'top', '{"title": "B1", "owner_lookup_ref": "olga",
      "primary_section_type_ref": "article", "publication_type_ref": "law"}'::jsonb, 'D', 'article', '7', 4, 'text b1',
      'robot'),
    ('b2', 'law_unit', 'olga', 'top', '{"title": "B2", "owner_lookup_ref": "olga",
      "primary_section_type_ref": "article", "publication_type_ref": "law"}', 'D', 'article', '7', 5, '', 'robot')$$,
  'the parts are drafts where the source is, with texts of their own');
SELECT is(pg_temp.units('big', 'below'), 'below draft/draft under big, big deprecated/deprecated under top',
  'the source is deprecated, and what is below it stays');
SELECT is(pg_temp.relations(:'o'), 'top contains b1, top contains b2, b1 split_from big, b2 split_from big',
  'the parts are split from it');
SELECT is(pg_temp.events_of(:'o'), 'structure_piece_split of big by robot: split_large_piece, structure_op_applied of '
  'big by robot: split_large_piece', 'the event is about the source');
SELECT pg_temp.planned('add_new_piece', '{}', '{}', 's1', pg_temp.fresh('deep'), 'deep');
SELECT fn_iu_structure_op_apply(pg_temp.op('deep'));
SELECT pg_temp.planned('split_large_piece', '{deep}', '{}', 'side', pg_temp.fresh('d1', 'd2'), 'elsewhere') AS o \gset
SELECT fn_iu_structure_op_apply(:'o');
SELECT is(pg_temp.units('d1', 'd2'), 'd1 draft/draft under side, d2 draft/draft under side',
  'parts come under another parent, where that is given');

-- ---- merge_small_pieces

SELECT pg_temp.planned('merge_small_pieces', '{s2,s1}', '{}', NULL, pg_temp.fresh('m'), 'merge') AS o \gset
SELECT is(fn_iu_structure_op_apply(:'o') ->> 'status', 'enacted', 'units are merged');
SELECT is(pg_temp.units('m', 's1', 's2'), 'm draft/draft under top, s1 deprecated/deprecated under top, '
  's2 deprecated/deprecated under top', 'the sources are deprecated');
SELECT results_eq($$SELECT doc_code, sort_order FROM information_unit WHERE canonical_address = 'm'$$,
  $$VALUES ('D', 10)$$, 'the merged unit comes after all of them');
SELECT is(pg_temp.relations(:'o'), 'top contains m, m merged_from s1, m merged_from s2', 'and is merged from both');
SELECT is(pg_temp.events_of(:'o'), 'structure_pieces_merged of m by wim: merge_small_pieces, structure_op_applied of m '
  'by wim: merge_small_pieces', 'the event is about the merged unit');
SELECT is(pg_temp.lifecycle_of(:'o'), 's2 deprecate: draft to deprecated by wim, why; s1 deprecate: draft to '
  'deprecated by wim, why', 'each source has a row of the ledger, in the order that was given');

-- ---- replace_piece, by a unit that there is and by a new one

SELECT pg_temp.planned('replace_piece', '{old}', '{new}', NULL, '{}', 'replace') AS o \gset
SELECT is(fn_iu_structure_op_apply(:'o') -> 'created_unit_ids', '[]', 'a unit takes the place of another one');
SELECT is(pg_temp.units('old', 'new'), 'new draft/draft under -, old deprecated/deprecated under -',
  'the one that is replaced is deprecated');
SELECT is(pg_temp.relations(:'o'), 'old replaced_by new, new supersedes old', 'each leads to the other');
SELECT is(pg_temp.events_of(:'o'), 'structure_piece_replaced of old by wim: replace_piece, structure_op_applied of old '
  'by wim: replace_piece', 'the event is about the one that is replaced');
SELECT pg_temp.planned('replace_piece', '{b1}', '{}', NULL, pg_temp.fresh('b1.2'), 'anew') AS o \gset
SELECT fn_iu_structure_op_apply(:'o');
SELECT is(pg_temp.relations(:'o'), 'top contains b1.2, b1 replaced_by b1.2, b1.2 supersedes b1',
  'a new piece takes the place of a unit where that is');

-- ---- reparent_piece

SELECT pg_temp.planned('reparent_piece', '{b2}', '{}', 'side', '{}', 'move') AS o \gset
SELECT is(fn_iu_structure_op_apply(:'o') ->> 'status', 'enacted', 'a unit is moved');
SELECT is(pg_temp.units('b2'), 'b2 draft/draft under side', 'it is under its new parent');
SELECT is((SELECT path_addresses FROM iu_tree_path WHERE unit_id = pg_temp.id_of('b2')), '{side,b2}',
  'and so is its path');
SELECT is(pg_temp.relations(:'o'), 'side contains b2', 'the new parent contains it');
SELECT is(pg_temp.relations(pg_temp.op('split'), 'ended'), 'top contains b2', 'the old one does not any more');
SELECT is(pg_temp.events_of(:'o'), 'structure_op_applied of b2 by wim: reparent_piece', 'one event tells of a move');
SELECT pg_temp.planned('reparent_piece', '{b2}', '{}', NULL, '{}', 'root') AS o \gset
SELECT fn_iu_structure_op_apply(:'o');
SELECT is(pg_temp.units('b2'), 'b2 draft/draft under -', 'a unit becomes a root');
SELECT is(pg_temp.relations(:'o'), NULL, 'which nothing contains');
SELECT is_empty($$SELECT * FROM v_iu_relation_parent_check WHERE left_value IS DISTINCT FROM right_value$$,
  'relations say the parents that units have');
SELECT results_eq($$SELECT count(*) FROM v_iu_relation_parent_check$$, $$VALUES (8::bigint)$$,
  'and there are some to compare');

-- ---- units that have changed since the plan

SELECT pg_temp.planned('add_new_piece', '{}', '{}', 'side', pg_temp.fresh('late'), 'taken meanwhile');
SELECT fn_iu_create('late', 'L', 'l', 'wim');
SELECT pg_temp.refused(format('fn_iu_structure_op_apply(%L)', pg_temp.op('taken meanwhile')), 'invalid_input',
  'payload', 'an address that was taken since the plan is refused');
SELECT pg_temp.planned('reparent_piece', '{side}', '{}', 'n1', '{}', 'over'),
       pg_temp.planned('reparent_piece', '{n1}', '{}', 'd1', '{}', 'under');
SELECT fn_iu_structure_op_apply(pg_temp.op('under'));
SELECT pg_temp.refused(format('fn_iu_structure_op_apply(%L)', pg_temp.op('over')), 'cycle_denied', 'parent_unit_id',
  'two moves that together make a cycle are one');
SELECT pg_temp.planned('deprecate_piece', '{n2}', '{}', NULL, '{}', 'twice ' || i) FROM generate_series(1, 2) i;
SELECT fn_iu_structure_op_apply(pg_temp.op('twice 1'));
SELECT pg_temp.refused(format('fn_iu_structure_op_apply(%L)', pg_temp.op('twice 2')), 'fsm_denied', 'source_unit_ids',
  'a unit is deprecated once');
SELECT is(fn_iu_structure_op_verify(pg_temp.op('twice 2')) #>> '{refusal,status}', 'fsm_denied',
  'and verifying says why not again');

-- ---- switches, collections, what is read

UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT pg_temp.planned('deprecate_piece', '{taken}', '{}', NULL, '{}', 'quiet') AS o \gset
SELECT is(fn_iu_structure_op_apply(:'o') -> 'event_emitted', 'false', 'no event is told while the switch is off');
UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.composer_enabled');
SELECT pg_temp.planned('deprecate_piece', '{d2}', '{}', NULL, '{}', 'in a collection') AS o \gset
SELECT fn_iu_compose('c', 'file', 'C', NULL, jsonb_build_array(jsonb_build_object('role', 'body', 'iu_id',
  pg_temp.id_of('d2'))), 'wim') ->> 'collection_id' AS c \gset
SELECT fn_iu_structure_op_apply(:'o');
SELECT results_eq(format('SELECT canonical_address, lifecycle_status FROM v_iu_collection_manifest WHERE '
  'collection_id = %L', :'c'), $$VALUES ('d2', 'deprecated')$$, 'a deprecated piece stays in its collections');
SELECT is((SELECT count(*) FROM v_iu_structure_operation_log WHERE operation_status = 'enacted'), 14::bigint,
  'the log has a row for each that was applied');
SELECT results_eq($$SELECT operation_type, source_addresses, target_addresses, parent_address, creates, applied_by
    FROM v_iu_structure_operation_log WHERE idempotency_key IN ('merge', 'replace', 'add') ORDER BY idempotency_key$$,
  $$VALUES ('add_new_piece', '{}'::text[], '{}'::text[], 'top', '["n1", "n2"]'::jsonb, 'wim'),
    ('merge_small_pieces', '{s2,s1}', '{}', NULL, '["m"]', 'wim'),
    ('replace_piece', '{old}', '{new}', NULL, '[]', 'wim')$$, 'with the addresses of the units');
SELECT pg_temp.refuses(format('SET LOCAL ROLE iu_core_owner; INSERT INTO iu_relation (from_unit_id, to_unit_id, '
  'relation_type) VALUES (%L, %L, ''contains'')', pg_temp.id_of('top'), pg_temp.id_of('d1')), '23505',
  'iu_relation_one_parent_idx', 'a unit has one parent at a time');
SELECT results_eq($$SELECT surface_code FROM iu_regression_surface WHERE migration = 37 ORDER BY 1$$,
  $$VALUES ('iu_relation'), ('iu_structure_operation')$$, 'operations and relations are surfaces of a change window');
SELECT finish();
ROLLBACK;
