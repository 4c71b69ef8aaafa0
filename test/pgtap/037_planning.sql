-- 037: what is planned, and what planning refuses. Applying: 037_applying.sql; taking
-- back: 037_taking_back.sql.
\ir setup.psql
\ir 037_structure_operations.psql
SELECT no_plan();
SET LOCAL app.canonical_writer = 'fn_iu_retire';
SET LOCAL session_replication_role = replica;
UPDATE information_unit SET lifecycle_status = canonical_address
 WHERE canonical_address IN ('retired', 'superseded', 'deprecated');
UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'gone';
SET LOCAL session_replication_role = origin;
SET LOCAL app.canonical_writer = '';

-- ---- refused, and nothing is written

SELECT pg_temp.refused(format('fn_iu_structure_op_plan(%s)', c), 'invalid_input', f, 'planning is refused: ' || what)
  FROM (VALUES ('no type', 'NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL', 'operation_type'),
  ('another type', '''explode'', NULL, NULL, NULL, NULL, NULL, NULL, NULL', 'operation_type'),
  ('no actor', '''deprecate_piece'', NULL, NULL, NULL, NULL, NULL, NULL, NULL', 'actor'),
  ('a blank actor', '''deprecate_piece'', NULL, NULL, NULL, NULL, '' '', NULL, NULL', 'actor'),
  ('a reason in two lines', E'''deprecate_piece'', NULL, NULL, NULL, NULL, ''w'', ''a\nb'', NULL', 'reason'),
  ('no key', '''deprecate_piece'', NULL, NULL, NULL, NULL, ''w'', NULL, NULL', 'idempotency_key'),
  ('a blank key', '''deprecate_piece'', NULL, NULL, NULL, NULL, ''w'', NULL, '' ''', 'idempotency_key'),
  ('no source', '''deprecate_piece'', NULL, NULL, NULL, NULL, ''w'', NULL, ''k''', 'source_unit_ids'),
  ('a source that is NULL', '''deprecate_piece'', ''{NULL}'', NULL, NULL, NULL, ''w'', NULL, ''k''',
    'source_unit_ids'),
  ('sources in two dimensions', format('''merge_small_pieces'', ''{{%s},{%s}}'', NULL, NULL, NULL, ''w'', NULL, ''k''',
    pg_temp.id_of('s1'), pg_temp.id_of('s2')), 'source_unit_ids'),
  ('a source that is counted from 0', format('''deprecate_piece'', ''[0:0]={%s}'', NULL, NULL, ''{}'', ''w'', NULL,
    ''k''', pg_temp.id_of('s1')), 'source_unit_ids'),
  ('a target that is counted from 0', format('''replace_piece'', ''{%s}'', ''[0:0]={%s}'', NULL, ''{}'', ''w'', NULL,
    ''k''', pg_temp.id_of('s1'), pg_temp.id_of('s2')), 'target_unit_ids'),
  ('no payload', format('''deprecate_piece'', ''{%s}'', NULL, NULL, NULL, ''w'', NULL, ''k''', pg_temp.id_of('s1')),
    'payload')) AS v (what, c, f);
SELECT pg_temp.refused(pg_temp.plan_call(t, s, g, p, l, 'k'), 'invalid_input', f, t || ' is refused: ' || what)
  FROM (VALUES
  ('add_new_piece', '{big}'::text[], '{}'::text[], 'top', pg_temp.fresh('a'), 'source_unit_ids', 'a source'),
  ('add_new_piece', '{}', '{}', NULL, pg_temp.fresh('a'), 'parent_unit_id', 'no parent'),
  ('add_new_piece', '{}', '{}', 'top', '{}', 'payload', 'no new piece'),
  ('add_new_piece', '{}', '{}', 'top', '{"new_pieces": 7}', 'payload', 'new pieces that are a number'),
  ('add_new_piece', '{}', '{}', 'top', '[]', 'payload', 'a payload that is an array'),
  ('add_new_piece', '{}', '{}', 'top', pg_temp.fresh('a') || '{"x": 1}', 'payload', 'a payload with another key'),
  ('add_new_piece', '{}', '{}', 'top', '{"new_pieces": [1]}', 'payload', 'a piece that is a number'),
  ('add_new_piece', '{}', '{}', 'top', '{"new_pieces": [null]}', 'payload', 'a piece that is null'),
  ('add_new_piece', '{}', '{}', 'top', jsonb_set(pg_temp.fresh('a'), '{new_pieces,0,owner_ref}', '"x"'), 'payload',
    'a piece with another key'),
  ('add_new_piece', '{}', '{}', 'top', jsonb_set(pg_temp.fresh('a'), '{new_pieces,0,unit_kind}', '7'), 'payload',
    'a piece whose kind is a number'),
  ('add_new_piece', '{}', '{}', 'top', jsonb_set(pg_temp.fresh('a'), '{new_pieces,0,unit_kind}', '"nokind"'), 'payload',
    'a piece of a kind that there is not'),
  ('add_new_piece', '{}', '{}', 'top', jsonb_set(pg_temp.fresh('a'), '{new_pieces,0,body}', '""'), 'payload',
    'a piece without a text'),
  ('add_new_piece', '{}', '{}', 'top', jsonb_set(pg_temp.fresh('a'), '{new_pieces,0,title}', '" "'), 'payload',
    'a piece without a title'),
  ('add_new_piece', '{}', '{}', 'top', pg_temp.fresh('a', 'b', 'a'), 'payload', 'two pieces with one address'),
  ('add_new_piece', '{}', '{}', 'top', pg_temp.fresh('a', 'taken'), 'payload', 'an address that is taken'),
  ('add_new_piece', '{}', '{}', 'top', pg_temp.fresh('gone'), 'payload', 'the address of a deleted unit'),
  ('add_new_piece', '{}', '{}', 'top', (SELECT jsonb_build_object('new_pieces', jsonb_agg(i))
    FROM generate_series(1, 101) i), 'payload', '101 pieces'),
  ('split_large_piece', '{s1,s2}', '{}', NULL, pg_temp.fresh('a', 'b'), 'source_unit_ids', 'two sources'),
  ('split_large_piece', '{big}', '{}', NULL, pg_temp.fresh('a'), 'payload', 'one new piece'),
  ('split_large_piece', '{big}', '{s1}', NULL, pg_temp.fresh('a', 'b'), 'target_unit_ids', 'a target'),
  ('split_large_piece', '{big}', '{}', 'big', pg_temp.fresh('a', 'b'), 'parent_unit_id', 'the source as parent'),
  ('merge_small_pieces', '{s1}', '{}', NULL, pg_temp.fresh('a'), 'source_unit_ids', 'one source'),
  ('merge_small_pieces', '{s1,s1}', '{}', NULL, pg_temp.fresh('a'), 'source_unit_ids', 'a source twice'),
  ('merge_small_pieces', '{s1,s2}', '{}', NULL, pg_temp.fresh('a', 'b'), 'payload', 'two new pieces'),
  ('deprecate_piece', '{s1}', '{}', 'top', '{}', 'parent_unit_id', 'a parent'),
  ('deprecate_piece', '{s1}', '{}', NULL, pg_temp.fresh('a'), 'payload', 'a new piece'),
  ('replace_piece', '{s1}', '{}', NULL, '{}', 'target_unit_ids', 'nothing that takes its place'),
  ('replace_piece', '{s1}', '{s2}', NULL, pg_temp.fresh('a'), 'target_unit_ids', 'a target and a new piece'),
  ('replace_piece', '{s1}', '{s1}', NULL, '{}', 'target_unit_ids', 'its own place'),
  ('replace_piece', '{s1}', '{}', 'top', pg_temp.fresh('a'), 'parent_unit_id', 'a parent'),
  ('reparent_piece', '{s1}', '{}', 'top', '{}', 'parent_unit_id', 'the parent that it has'),
  ('reparent_piece', '{side}', '{}', NULL, '{}', 'parent_unit_id', 'a root that is to be a root'))
  AS v (t, s, g, p, l, f, what);
SELECT pg_temp.refused(pg_temp.plan_call(t, s, g, p, l, 'k'), st, f, t || ' is refused: ' || what) FROM (VALUES
  ('deprecate_piece', '{?}'::text[], '{}'::text[], NULL, '{}'::jsonb, 'source_iu_not_found', 'source_unit_ids',
    'an unknown source'),
  ('deprecate_piece', '{gone}', '{}', NULL, '{}', 'source_iu_not_found', 'source_unit_ids', 'a deleted source'),
  ('deprecate_piece', '{retired}', '{}', NULL, '{}', 'fsm_denied', 'source_unit_ids', 'a retired source'),
  ('merge_small_pieces', '{s1,superseded}', '{}', NULL, pg_temp.fresh('a'), 'fsm_denied', 'source_unit_ids',
    'a superseded source'),
  ('split_large_piece', '{deprecated}', '{}', NULL, pg_temp.fresh('a', 'b'), 'fsm_denied', 'source_unit_ids',
    'a deprecated source'),
  ('reparent_piece', '{retired}', '{}', 'top', '{}', 'fsm_denied', 'source_unit_ids', 'a retired unit'),
  ('replace_piece', '{s1}', '{?}', NULL, '{}', 'target_iu_not_found', 'target_unit_ids', 'an unknown target'),
  ('replace_piece', '{s1}', '{gone}', NULL, '{}', 'target_iu_not_found', 'target_unit_ids', 'a deleted target'),
  ('replace_piece', '{s1}', '{deprecated}', NULL, '{}', 'fsm_denied', 'target_unit_ids', 'a deprecated target'),
  ('add_new_piece', '{}', '{}', '?', pg_temp.fresh('a'), 'parent_iu_not_found', 'parent_unit_id', 'an unknown parent'),
  ('add_new_piece', '{}', '{}', 'gone', pg_temp.fresh('a'), 'parent_iu_not_found', 'parent_unit_id',
    'a deleted parent'),
  ('split_large_piece', '{big}', '{}', 'gone', pg_temp.fresh('a', 'b'), 'parent_iu_not_found', 'parent_unit_id',
    'a deleted parent'),
  ('reparent_piece', '{top}', '{}', 'top', '{}', 'cycle_denied', 'parent_unit_id', 'a unit under itself'),
  ('reparent_piece', '{top}', '{}', 'below', '{}', 'cycle_denied', 'parent_unit_id', 'a unit under its grandchild'))
  AS v (t, s, g, p, l, st, f, what);
SELECT pg_temp.answers(pg_temp.plan_call('deprecate_piece', '{retired}', '{}', NULL, '{}', 'k'),
  '{"from": "retired", "to": "deprecated", "allowed": ["draft", "enacted"]}',
  'fsm_denied says from, to and what is allowed');
SELECT pg_temp.answers(format('fn_iu_structure_op_plan(''add_new_piece'', NULL, NULL, %L, jsonb_build_object('
  '''new_pieces'', (SELECT jsonb_agg(repeat(''b'', 1048576)) FROM generate_series(1, 64))), ''w'', NULL, ''k'')',
  pg_temp.id_of('top')), jsonb_build_object('status', 'invalid_input', 'field', 'payload', 'guidance',
  format('payload must be an object in up to 67108864 bytes, not %s.', iu_core.text_shown('a longer one'))),
  'planning is refused: a payload of more than 64 MB');
SELECT is((SELECT count(*) FROM iu_structure_operation), 0::bigint, 'nothing that was refused is planned');

-- ---- planned

SELECT pg_temp.login('iu_test_robot', pg_temp.plan_call('split_large_piece', '{big}', '{}', NULL,
  pg_temp.fresh('b1', 'b2'), 'split big'))::jsonb AS a \gset
SELECT is(:'a'::jsonb - 'operation_id', jsonb_build_object('status', 'planned', 'operation_type', 'split_large_piece',
  'operation_status', 'planned', 'impact_summary', jsonb_build_object('creates', '["b1", "b2"]'::jsonb, 'deprecates',
  jsonb_build_array(pg_temp.id_of('big')), 'moves', '[]'::jsonb)), 'an agent plans while the gate is closed');
SELECT results_eq($$SELECT id::text, operation_type, operation_status, actor_ref, reason, idempotency_key,
    source_unit_ids, target_unit_ids, parent_unit_id, payload, enacted_at, created_by, created_at = now()
    FROM iu_structure_operation$$,
  format($$VALUES (%L, 'split_large_piece', 'planned', 'wim', 'why', 'split big', ARRAY[%L]::uuid[], '{}'::uuid[],
    NULL::uuid, %L::jsonb, NULL::timestamptz, 'iu_test_robot', true)$$, :'a'::jsonb ->> 'operation_id',
    pg_temp.id_of('big'), pg_temp.fresh('b1', 'b2')), 'what is planned is written down, with the login');
SELECT is(pg_temp.units('big', 'b1', 'b2'), 'big draft/draft under top', 'planning changes no unit');
SELECT pg_temp.answers(pg_temp.plan_call('split_large_piece', '{big}', '{}', NULL, pg_temp.fresh('b1', 'b2'),
  'split big'), :'a'::jsonb || '{"status": "idempotent_replay"}', 'the same plan again writes nothing');
SELECT pg_temp.refused(pg_temp.plan_call(t, s, '{}', p, l, 'split big'), 'idempotency_key_used', 'idempotency_key',
  'under the same key no other operation is planned: ' || what)
  FROM (VALUES ('deprecate_piece', '{big}'::text[], NULL, '{}'::jsonb, 'another type'),
  ('split_large_piece', '{s1}', NULL, pg_temp.fresh('b1', 'b2'), 'another source'),
  ('split_large_piece', '{big}', 'top', pg_temp.fresh('b1', 'b2'), 'another parent'),
  ('split_large_piece', '{big}', NULL, pg_temp.fresh('b1', 'b3'), 'another payload')) AS v (t, s, p, l, what);
SELECT isnt(pg_temp.planned('split_large_piece', '{big}', '{}', NULL, pg_temp.fresh('b1', 'b2'), 'split big 2'),
  pg_temp.op('split big'), 'under another key the same is planned once more');

-- ---- looked at

SELECT is(pg_temp.login('iu_test_rita', format('fn_iu_structure_op_verify(%L)', pg_temp.op('split big')))::jsonb,
  jsonb_build_object('operation_id', pg_temp.op('split big'), 'operation_type', 'split_large_piece',
  'operation_status', 'planned', 'checks', '{"applicable": true}'::jsonb, 'all_pass', true),
  'a reader sees that a plan can be applied');
SELECT fn_iu_create('b2', 'B2', 'b', 'wim');
SELECT is(fn_iu_structure_op_verify(pg_temp.op('split big')) #>> '{refusal,status}', 'invalid_input',
  'and that it cannot, once an address is taken');
SELECT is(fn_iu_structure_op_verify(pg_temp.op('split big')) -> 'all_pass', 'false', 'which is no pass');
SELECT pg_temp.refused('fn_iu_structure_op_verify(NULL)', 'invalid_input', 'operation_id',
  'nothing is verified without an operation');
SELECT pg_temp.refused('fn_iu_structure_op_verify(gen_random_uuid())', 'operation_not_found', 'operation_id',
  'an unknown operation is not verified');

-- ---- who may, and the record

SELECT is(pg_temp.login(r, f || a), '42501 permission denied for function ' || f, r || ' does not use ' || f)
  FROM (VALUES ('iu_test_rita', 'fn_iu_structure_op_plan', '(''x'', NULL, NULL, NULL, NULL, NULL, NULL, NULL)'),
  ('iu_test_olga', 'fn_iu_structure_op_plan', '(''x'', NULL, NULL, NULL, NULL, NULL, NULL, NULL)'),
  ('iu_test_rita', 'fn_iu_structure_op_apply', '(NULL)'), ('iu_test_olga', 'fn_iu_structure_op_apply', '(NULL)'),
  ('iu_test_wim', 'fn_iu_structure_op_rollback', '(NULL)'), ('iu_test_robot', 'fn_iu_structure_op_rollback', '(NULL)'))
  AS v (r, f, a);
GRANT ALL ON iu_structure_operation, iu_relation TO iu_test_wim;
SELECT pg_temp.refuses('SET LOCAL SESSION AUTHORIZATION iu_test_wim; ' || s, '42501', m,
  'who was given rights on the table does not: ' || s)
  FROM (VALUES ('UPDATE iu_structure_operation SET reason = ''x''',
    'direct write to iu_structure_operation not allowed'),
  ('INSERT INTO iu_structure_operation (operation_type, actor_ref, idempotency_key) VALUES (''deprecate_piece'', '
   '''x'', ''y'')', 'direct write to iu_structure_operation not allowed'),
  ('INSERT INTO iu_relation (from_unit_id, to_unit_id, relation_type) SELECT gen_random_uuid(), gen_random_uuid(), '
   '''contains''', 'direct write to iu_relation not allowed')) AS v (s, m);
SELECT pg_temp.refuses('SET LOCAL ROLE iu_core_owner; ' || s, '42501', n, s || ' is refused, whoever does it')
  FROM (VALUES
  ('DELETE FROM iu_structure_operation', 'iu_append_only'), ('TRUNCATE iu_structure_operation, iu_relation',
   'iu_append_only'), ('DELETE FROM iu_relation', 'iu_append_only'),
  ('UPDATE iu_structure_operation SET reason = ''x''', 'iu_structure_unchanged'),
  ('UPDATE iu_structure_operation SET operation_status = ''enacted'', enacted_at = now(), payload = ''{"x": 1}''',
   'iu_structure_unchanged'),
  ('UPDATE iu_structure_operation SET operation_status = ''rolled_back'', enacted_at = now()',
   'iu_structure_unchanged')) AS v (s, n);
SELECT results_eq($$SELECT command_name, category, mutating, reversible FROM dot_iu_command_catalog
    WHERE command_name ~ '^dot_iu_structure' ORDER BY 1$$,
  $$VALUES ('dot_iu_structure_op_apply', 'piece', true, true), ('dot_iu_structure_op_plan', 'piece', true, false),
    ('dot_iu_structure_op_rollback', 'piece', true, false), ('dot_iu_structure_op_verify', 'piece', false, false)$$,
  'planning, applying, verifying and taking back are commands');
SELECT results_eq($$SELECT gate_class, migration, value FROM v_iu_gate g JOIN iu_gate_registry r USING (gate_key,
    gate_class) WHERE gate_key = 'iu_core.structure_ops_enabled'$$, $$VALUES ('governable', 37, 'false')$$,
  'the gate comes with what it guards, closed');
SELECT pg_temp.refuses('SELECT iu_core.rollback(36)', '55006', 'iu_rollback_rows',
  'a rollback that would lose operations is refused');
SELECT finish();
ROLLBACK;
