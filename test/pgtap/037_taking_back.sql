-- 037: structure operations taken back, and why one is not.
\ir setup.psql
\ir 037_structure_operations.psql
SELECT no_plan();
SELECT pg_temp.gate(true);
SELECT fn_iu_enact('law', 'olga', (fn_iu_review_decision_record('enact', '{law}', 'approve', 'olga', 'good')
  ->> 'review_decision_id')::uuid);
SELECT pg_temp.planned('deprecate_piece', '{law}', '{}', NULL, '{}', 'deprecate'),
  pg_temp.planned('add_new_piece', '{}', '{}', 'side', pg_temp.fresh('n1', 'n2'), 'add'),
  pg_temp.planned('split_large_piece', '{big}', '{}', NULL, pg_temp.fresh('b1', 'b2'), 'split'),
  pg_temp.planned('merge_small_pieces', '{s1,s2}', '{}', NULL, pg_temp.fresh('m'), 'merge'),
  pg_temp.planned('replace_piece', '{old}', '{new}', NULL, '{}', 'replace'),
  pg_temp.planned('reparent_piece', '{below}', '{}', 'side', '{}', 'move'),
  pg_temp.planned('deprecate_piece', '{taken}', '{}', NULL, '{}', 'not applied');

-- ---- refused, and nothing is written

SELECT pg_temp.refused(format('fn_iu_structure_op_rollback(%s)', c), s, f, 'taking back is refused: ' || what)
  FROM (VALUES ('no operation', 'NULL', 'invalid_input', 'operation_id'),
  ('a blank actor', 'gen_random_uuid(), '' ''', 'invalid_input', 'actor'),
  ('a blank reason', 'gen_random_uuid(), ''o'', '' ''', 'invalid_input', 'reason'),
  ('an unknown operation', 'gen_random_uuid()', 'operation_not_found', 'operation_id'),
  ('an operation that was not applied', format('%L', pg_temp.op('not applied')), 'fsm_denied', 'operation_id'))
  AS v (what, c, s, f);
SELECT is(string_agg(fn_iu_structure_op_apply(pg_temp.op(k)) ->> 'status', ' '),
  'enacted enacted enacted enacted enacted enacted', 'six operations are applied')
  FROM unnest(ARRAY['deprecate', 'add', 'split', 'merge', 'replace', 'move']) k;
-- What a person did since, each by itself.
CREATE FUNCTION pg_temp.kept(p_key text, p_statement text, p_status text, p_description text) RETURNS SETOF text
  LANGUAGE plpgsql AS $$
DECLARE v_result text;
BEGIN
  BEGIN
    SET LOCAL app.canonical_writer = 'fn_iu_retire';
    PERFORM set_config('session_replication_role',
      CASE WHEN p_statement ~ '^UPDATE' THEN 'replica' ELSE 'origin' END, true);
    EXECUTE p_statement;
    SET LOCAL session_replication_role = origin;
    SET LOCAL app.canonical_writer = '';
    SELECT string_agg(t, E'\n') INTO v_result FROM pg_temp.refused(format(
      'fn_iu_structure_op_rollback(%L, ''o'', ''r'')', pg_temp.op(p_key)), p_status, 'operation_id', p_description) t;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'P0009';
  EXCEPTION WHEN SQLSTATE 'P0009' THEN
    RETURN NEXT v_result;
  END;
END $$;
SELECT pg_temp.kept(k, s, st, k || ' is not taken back: ' || what) FROM (VALUES
  ('split', 'the source is deleted', 'source_iu_not_found',
    'UPDATE information_unit SET deleted_at = now() WHERE canonical_address = ''big'''),
  ('split', 'the source is retired', 'fsm_denied',
    'UPDATE information_unit SET lifecycle_status = ''retired'' WHERE canonical_address = ''big'''),
  ('merge', 'one of the sources is a draft again', 'fsm_denied',
    'UPDATE information_unit SET lifecycle_status = ''draft'' WHERE canonical_address = ''s2'''),
  ('merge', 'one of the sources is deleted', 'source_iu_not_found',
    'UPDATE information_unit SET deleted_at = now() WHERE canonical_address = ''s2'''),
  ('deprecate', 'the unit is retired', 'fsm_denied',
    'UPDATE information_unit SET lifecycle_status = ''retired'' WHERE canonical_address = ''law'''),
  ('add', 'a new unit is enacted', 'child_not_draft',
    'UPDATE information_unit SET lifecycle_status = ''enacted'' WHERE canonical_address = ''n2'''),
  ('add', 'somebody has changed a new unit', 'child_changed',
    'UPDATE information_unit SET updated_by = ''x'' WHERE canonical_address = ''n1'''),
  ('add', 'somebody has commented on a new unit', 'child_changed', 'SELECT fn_iu_comment(''n1'', ''well'', ''wim'')'),
  ('add', 'a new unit has a part', 'child_in_use',
    'SELECT fn_iu_create(''part'', ''P'', ''p'', ''w'', p_parent_ref => pg_temp.id_of(''n1''))'),
  ('move', 'the unit is deleted', 'source_iu_not_found',
    'UPDATE information_unit SET deleted_at = now() WHERE canonical_address = ''below'''),
  ('move', 'the unit was moved on', 'source_moved',
    'UPDATE information_unit SET parent_or_container_ref = NULL WHERE canonical_address = ''below'''),
  ('move', 'the unit where it was is deleted', 'parent_iu_not_found',
    'UPDATE information_unit SET deleted_at = now() WHERE canonical_address = ''big'''),
  ('move', 'the unit where it was came below it', 'cycle_denied', 'UPDATE information_unit SET '
    'parent_or_container_ref = pg_temp.id_of(''below'') WHERE canonical_address = ''big''')) AS v (k, what, st, s);

-- ---- what came of one operation is what another one took up

SELECT pg_temp.planned('split_large_piece', '{m}', '{}', NULL, pg_temp.fresh('m1', 'm2'), 'split again');
SELECT fn_iu_structure_op_apply(pg_temp.op('split again'));
SELECT pg_temp.refused(format('fn_iu_structure_op_rollback(%L)', pg_temp.op('merge')), 'child_not_draft',
  'operation_id', 'what was merged and then split is not taken back in the wrong order');
SELECT is(fn_iu_structure_op_rollback(pg_temp.op('split again'), 'olga') ->> 'status', 'rolled_back',
  'in the right order it is');
SELECT pg_temp.refused(format('fn_iu_structure_op_rollback(%L)', pg_temp.op('merge')), 'child_changed',
  'operation_id', 'what was worked on meanwhile stays, though it is as it was');
SELECT pg_temp.planned('replace_piece', '{side}', '{n1}', NULL, '{}', 'n1 takes a place');
SELECT fn_iu_structure_op_apply(pg_temp.op('n1 takes a place'));
SELECT pg_temp.answers(format('fn_iu_structure_op_rollback(%L)', pg_temp.op('add')), jsonb_build_object('status',
  'child_in_use', 'guidance', format('Unit ''n1'' is in use: it takes the place of another unit, structure operation '
  '%s.', pg_temp.op('n1 takes a place'))), 'a unit that took the place of another one is in use');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.composer_enabled';
SELECT pg_temp.refuses(format('SELECT fn_iu_piece_soft_delete(%L, ''wim'')', pg_temp.id_of(a)), '55006',
  'iu_piece_in_use', what || ' is not deleted by hand') FROM (VALUES ('new', 'what took the place of a unit'),
  ('big', 'what was split')) AS v (a, what);
SELECT fn_iu_structure_op_rollback(pg_temp.op('n1 takes a place'));

-- ---- taken back

SELECT pg_temp.op('split') AS o \gset
SELECT is(pg_temp.login('iu_test_olga', format('fn_iu_structure_op_rollback(%L, ''olga'', ''wrong'')', :'o'))::jsonb,
  jsonb_build_object('status', 'rolled_back', 'operation_id', :'o', 'operation_type', 'split_large_piece',
  'operation_status', 'rolled_back', 'created_unit_ids', to_jsonb(pg_temp.ids('{b1,b2}'))),
  'an operator takes a split back');
SELECT is(pg_temp.units('big', 'b1', 'b2'), 'b1 draft/draft under top deleted, b2 draft/draft under top deleted, '
  'big draft/draft under top', 'the parts are deleted, the source is what it was');
SELECT is(pg_temp.relations(:'o'), NULL, 'its relations have ended');
SELECT is(pg_temp.relations(:'o', 'ended'), 'top contains b1, top contains b2, b1 split_from big, b2 split_from big',
  'and are kept');
SELECT is(pg_temp.lifecycle_of(:'o'), 'big deprecate: draft to deprecated by wim, why; big restore: deprecated to '
  'draft by olga, wrong', 'the ledger has both');
SELECT results_eq($$SELECT operation_status, rolled_back_by, rolled_back_reason, rolled_back_at > enacted_at
    FROM v_iu_structure_operation_log WHERE idempotency_key = 'split'$$,
  $$VALUES ('rolled_back', 'olga', 'wrong', true)$$, 'the operation says who took it back, and why');
SELECT pg_temp.answers(format('fn_iu_structure_op_rollback(%L)', :'o'), '{"status": "idempotent_replay"}',
  'taken back again it writes nothing');
SELECT pg_temp.refused(format('fn_iu_structure_op_apply(%L)', :'o'), 'fsm_denied', 'operation_id',
  'what was taken back is not applied again');
SELECT is(fn_iu_structure_op_verify(:'o') -> 'checks', '{"ledger": true, "created_deleted": true,
  "relations_ended": true}', 'and is verified as taken back');
SELECT pg_temp.refused(pg_temp.plan_call('split_large_piece', '{big}', '{}', NULL, pg_temp.fresh('b1', 'b2'), 'x'),
  'invalid_input', 'payload', 'addresses of what was taken back stay taken');
SELECT is(fn_iu_structure_op_rollback(pg_temp.op('deprecate')) ->> 'status', 'rolled_back', 'so is a deprecation');
SELECT is(pg_temp.units('law'), 'law enacted/enacted under -', 'an enacted unit is enacted again');
SELECT pg_temp.answers('fn_iu_verify_invariants(''law'')', '{"all_pass": true}', 'and complete');
SELECT is(pg_temp.lifecycle_of(pg_temp.op('deprecate')), 'law deprecate: enacted to deprecated by wim, why; law '
  'restore: deprecated to enacted by wim, -', 'by who planned it, where nobody else is named');
SELECT is(fn_iu_structure_op_rollback(pg_temp.op('replace')) ->> 'status', 'rolled_back', 'so is a replacement');
SELECT is(pg_temp.units('old', 'new'), 'new draft/draft under -, old draft/draft under -',
  'the unit that took the place of another one stays');
SELECT is(fn_iu_piece_soft_delete(pg_temp.id_of('new'), 'wim') ->> 'ok', 'true', 'and is not in use any more');
SELECT is(fn_iu_structure_op_rollback(pg_temp.op('move'), 'olga') ->> 'status', 'rolled_back', 'so is a move');
SELECT is(pg_temp.units('below'), 'below draft/draft under big', 'the unit is where it was');
SELECT is(pg_temp.relations(pg_temp.op('move')), 'big contains below', 'as its relation says');
SELECT is(fn_iu_structure_op_verify(pg_temp.op('move')) -> 'checks', '{"placed": true, "created_deleted": true,
  "relations_ended": true}', 'and verifying agrees');
SELECT is(fn_iu_structure_op_rollback(pg_temp.op('add')) ->> 'status', 'rolled_back', 'so are new pieces');
SELECT is(pg_temp.units('n1', 'n2'), 'n1 draft/draft under side deleted, n2 draft/draft under side deleted',
  'which are deleted');
SELECT is_empty($$SELECT * FROM v_iu_relation_parent_check WHERE left_value IS DISTINCT FROM right_value$$,
  'relations say the parents that units have');
SELECT is(fn_iu_tree_path_refresh(NULL) ->> 'ok', 'true', 'paths can be built');
SELECT is_empty($$SELECT * FROM v_iu_tree t JOIN iu_tree_path p USING (unit_id) WHERE t.path_ids <> p.path_ids$$,
  'and are those of the tree');
SELECT pg_temp.gate(false);
SELECT pg_temp.refuses(format('SELECT fn_iu_structure_op_rollback(%L)', pg_temp.op('merge')), '42501',
  'iu_structure_gate_closed', 'nothing is taken back while the gate is closed');
SELECT finish();
ROLLBACK;
