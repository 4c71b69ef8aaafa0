-- 009: the figures of a change, and what may not pass for one: a figure that
-- could not be read, that nobody declared, or too late.
\ir setup.psql
SELECT no_plan();

CREATE TABLE test_figure (code text PRIMARY KEY, value text);
INSERT INTO test_figure VALUES ('unit', '174'), ('collection', '10'), ('points', '152'), ('chunks', '149'),
  ('axes', '27/23/36'), ('inert', '10/10'), ('d9', '174 / 7 PASS');
DO $$
DECLARE v_code text;
BEGIN
  FOREACH v_code IN ARRAY ARRAY['unit', 'collection', 'points', 'chunks', 'axes', 'inert', 'd9', 'log', 'gone', 'wild',
  'broken'] LOOP
    EXECUTE format('CREATE VIEW public.test_%s AS SELECT value FROM test_figure WHERE code = %1$L', v_code);
    EXECUTE format('GRANT SELECT ON public.test_%s TO iu_core_owner', v_code);
  END LOOP;
END $$;
CREATE FUNCTION pg_temp.surface(p_code text, p_label text, p_expectation text DEFAULT 'invariant',
  p_rule text DEFAULT NULL, p_layer text DEFAULT 'PG', p_order integer DEFAULT 1)
  RETURNS text LANGUAGE sql AS $$
  SELECT fn_iu_surface_register(p_code, p_label, 'view', p_expectation, 'ann', 't',
  ('public.test_' || p_code)::regclass, p_rule, p_layer, p_order) ->> 'status' $$;
CREATE FUNCTION pg_temp.cell(p_after text, p_code text, p_before text DEFAULT 'b') RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' | ', before, after, delta, verdict, remark) FROM fn_iu_regression_matrix(p_before, p_after)
  WHERE surface_code = p_code $$;
CREATE FUNCTION pg_temp.set(p_code text, p_value text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO test_figure VALUES (p_code, p_value) ON CONFLICT (code) DO UPDATE SET value = p_value $$;

-- ---- the matrix of a change that is as it should be

SELECT is(pg_temp.surface('unit', 'information_unit', p_order => 1), 'registered', 'a surface can be registered');
SELECT pg_temp.surface('collection', 'iu_piece_collection', p_order => 2),
  pg_temp.surface('points', 'iu_vector_sync_point', p_order => 3),
  pg_temp.surface('chunks', 'Qdrant iu_core_iu_chunks', p_layer => 'Qdrant', p_order => 4),
  pg_temp.surface('axes', 'DIEU-28/32/35 envelope axes', p_order => 5),
  pg_temp.surface('inert', 'write gates inert', 'green', 'n/n', p_order => 6),
  pg_temp.surface('d9', 'conformance', 'green', '~^[0-9]+ / 7 PASS$', p_order => 7);
SELECT is(fn_iu_surface_register('tests', 'Tests passing', 'external', 'green', 'ann', 't',
  p_green_rule => 'not_less') ->> 'status', 'registered',
  'a surface that is reported from outside can be registered');
SELECT is(fn_iu_surface_snapshot('b', 'ann'), '{"status": "taken", "label": "b", "surfaces": 11, "unknown": []}',
  'a snapshot takes eleven figures, four of them of the migration');
SELECT is(fn_iu_surface_report('b', 'tests', ' 1324 ', 'ci') ->> 'value', '1324',
  'a figure from outside is reported without its spaces');
SELECT is(fn_iu_expect_delta('b', 'unit', 1, 'ann', 'exec_summary piece') - 'run_id',
  '{"status": "declared", "before_label": "b", "surface_code": "unit", "delta": 1, "value": null}',
  'a difference of +1 can be declared');
SELECT fn_iu_expect_delta('b', 'collection', 99, 'ann', 'a slip'),
  fn_iu_expect_delta('b', 'collection', 14, 'ann', '1 file + 1 durable + 12 bulk');
SELECT fn_iu_expect_delta('b', 'log', 13, 'ann', 'mig 033');
SELECT pg_temp.set('unit', '175'), pg_temp.set('collection', '24'), pg_temp.set('inert', '11/11'),
  pg_temp.set('d9', '181 / 7 PASS'), pg_temp.set('log', '13');
SELECT pg_temp.surface('log', 'iu_auto_instantiate_event_log', p_order => 2);
SELECT fn_iu_surface_snapshot('a', 'ann'), fn_iu_surface_report('a', 'tests', '1324', 'ci');
SELECT is(pg_temp.cell('a', c), x, 'the matrix says of ' || c || ': ' || x) FROM (VALUES
  ('unit', '174 | 175 | +1 | expected | exec_summary piece'),
  ('collection', '10 | 24 | +14 | expected | 1 file + 1 durable + 12 bulk'),
  ('log', 'n/a | 13 | new | expected | mig 033'),
  ('points', '152 | 152 | 0 | invariant kept'), ('chunks', '149 | 149 | 0 | invariant kept'),
  ('axes', '27/23/36 | 27/23/36 | 0 | invariant kept'),
  ('inert', '10/10 | 11/11 | +1/+1 | expected | green'), ('tests', '1324 | 1324 | 0 | expected | green'),
  ('d9', '174 / 7 PASS | 181 / 7 PASS | +7/0 | expected | green'),
  ('iu_conformance',
  (SELECT value || ' | ' || value || ' | 0 | expected | green' FROM iu_regression_value WHERE snapshot_label = 'b'
  AND surface_code = 'iu_conformance')),
  ('event_outbox_system', '0 | 0 | 0 | invariant kept')) AS v (c, x);
SELECT is((SELECT array_agg(m.surface_code) FROM fn_iu_regression_matrix('b', 'a') AS m),
  ARRAY['unit', 'collection', 'log', 'points', 'chunks', 'axes', 'inert', 'd9', 'tests', 'event_outbox_iu',
  'event_outbox_system', 'iu_gates_inert', 'iu_conformance'],
  'the matrix has its surfaces in their order');

-- ---- what is not as it should be

SELECT pg_temp.set('points', '151'), pg_temp.set('axes', '27/24/36'), pg_temp.set('inert', '10/11'),
  pg_temp.set('d9', '181 / 6 PASS / 1 FAIL'), pg_temp.set('unit', '176'), pg_temp.set('chunks', NULL);
DELETE FROM test_figure WHERE code = 'log';
CREATE OR REPLACE VIEW test_collection AS SELECT (1 / (length(value) - 2))::text AS value FROM test_figure
  WHERE code = 'collection';
SELECT pg_temp.surface('wild', 'may change', 'any'), pg_temp.surface('gone', 'comes now');
SELECT pg_temp.set('wild', '5'), pg_temp.set('gone', '5');
SELECT is(fn_iu_surface_snapshot('c', 'ann') -> 'unknown', '["chunks", "collection", "log"]',
  'a snapshot tells which figures it could not read');
SELECT is(pg_temp.cell('c', c, f), x, format('the matrix from %s to c says of %s: %s', f, c, x)) FROM (VALUES
  ('b', 'points', '152 | 151 | -1 | violated | nothing was declared'),
  ('b', 'axes', '27/23/36 | 27/24/36 | 0/+1/0 | violated | nothing was declared'),
  ('b', 'inert', '10/10 | 10/11 | 0/+1 | violated | not green (n/n)'),
  ('b', 'd9', '174 / 7 PASS | 181 / 6 PASS / 1 FAIL | changed | violated | not green (~^[0-9]+ / 7 PASS$)'),
  ('b', 'unit', '174 | 176 | +2 | violated | expected was +1; exec_summary piece'),
  ('b', 'chunks', '149 | unknown | ? | unknown | after: it is NULL'),
  ('b', 'collection', '10 | unknown | ? | unknown | after: 22012: division by zero; 1 file + 1 durable + 12 bulk'),
  ('b', 'log', 'n/a | unknown | ? | unknown | after: there is no row; mig 033'),
  ('b', 'tests', '1324 | unknown | ? | unknown | after: not reported'), ('b', 'wild', 'n/a | 5 | new | expected'),
  ('b', 'gone', 'n/a | 5 | new | unknown | new, and nothing was declared')) AS v (f, c, x);
SELECT is((SELECT row(error_code, value) FROM iu_regression_value WHERE snapshot_label = 'c'
  AND surface_code = 'collection'), row('22012'::text, NULL::text),
  'a figure that raised has an error and no value');
SELECT fn_iu_expect_delta('c', 'gone', -5, 'ann', 'removed'),
  fn_iu_expect_delta('c', 'axes', NULL, 'ann', 'another axis', '27/24/36/9'),
  fn_iu_expect_delta('c', 'nowhere', 1, 'ann', 'a slip of the pen'),
  fn_iu_expect_delta('c', 'points', NULL, 'ann', 'as a number', '150.0');
SELECT fn_iu_surface_unregister('gone', 'ann', 't'), pg_temp.set('axes', '27/24/36/9'), pg_temp.set('points', '150'),
  pg_temp.set('chunks', '149'), pg_temp.set('inert', '11/11'), pg_temp.set('wild', 'x'), pg_temp.set('unit', '175');
SELECT fn_iu_surface_snapshot('d', 'ann');
SELECT fn_iu_expect_delta('c', 'unit', -1, 'ann', 'as I meant to say');
SELECT is(pg_temp.cell('d', c, 'c'), x, format('the matrix from c to d says of %s: %s', c, x)) FROM (VALUES
  ('gone', '5 | n/a | gone | unknown | not read any more; removed'),
  ('axes', '27/24/36 | 27/24/36/9 | changed | expected | another axis'),
  ('nowhere', 'n/a | n/a | ? | unknown | declared, but there is no such surface; a slip of the pen'),
  ('points', '151 | 150 | -1 | expected | as a number'), ('chunks', 'unknown | 149 | ? | unknown | before: it is NULL'),
  ('inert', '10/11 | 11/11 | +1/0 | expected | green'), ('wild', '5 | x | changed | expected'),
  ('unit', '176 | 175 | -1 | violated | nothing was declared; a declaration came after the change and does not count'))
  AS v (c, x);
SELECT fn_iu_surface_report('d', 'tests', '1323', 'ci');
SELECT is(pg_temp.cell('d', 'tests', 'a'), '1324 | 1323 | -1 | violated | not green (not_less)',
  'a test less than before violates the rule not_less');
SELECT is(iu.fn_iu_regression_delta(b, a), x,
  format('the difference from %s to %s is %s', b, a, x)) FROM (VALUES ('1', '1', '0'), ('-5', '-7', '-2'),
  ('1.50', '1.25', '-0.25'), ('1', 'one', 'changed'), ('a', 'b', 'changed'), ('a 1', 'b 1', 'changed'),
  ('10/10', '12/12', '+2/+2'), ('1-2', '1-3', '0/+1')) AS v (b, a, x);
SELECT is(iu.fn_iu_regression_green(r, b, a), x,
  format('rule %s says of %s after %s: %s', coalesce(r, 'NULL'), coalesce(a, 'NULL'), coalesce(b, 'NULL'), x))
  FROM (VALUES ('n/n', NULL, '3/3', true), ('n/n', NULL, '3/4', false), ('n/n', NULL, '3', false),
  ('n/n', NULL, 'a/a', false), ('n/n', NULL, NULL, false),
  ('not_less', '3', '3', true), ('not_less', '3', '2', false), ('not_less', '3', 'x', false),
  ('not_less', NULL, '3', false), ('~^ok$', NULL, 'ok', true), ('~^ok$', NULL, 'not ok', false),
  (NULL, '1', '1', false)) AS v (r, b, a, x);
SELECT pg_temp.refuses(format('SELECT count(*) FROM fn_iu_regression_matrix(%s)', a), e, m,
  'fn_iu_regression_matrix(' || a || ') is refused') FROM (VALUES
  ($$'x', 'a'$$, '42704', 'no snapshot "x"'), ($$'a', 'x'$$, '42704', 'no snapshot "x"'),
  ($$NULL, 'a'$$, '42704', 'no snapshot ""'), ($$'a', 'b'$$, '23514', 'was taken after')) AS v (a, e, m);

-- Judged as it was registered before, and by figures that were read alike.
CREATE VIEW test_same AS SELECT '150' AS value;
GRANT SELECT ON test_same TO iu_core_owner;
SELECT fn_iu_surface_register('points', 'iu_vector_sync_point', 'view', 'invariant', 'ann', 't', 'test_same'),
  fn_iu_surface_register('unit', 'information_unit', 'view', 'any', 'ann', 't', 'test_unit'),
  pg_temp.set('unit', '180');
SELECT fn_iu_surface_snapshot('d2', 'ann');
SELECT is(pg_temp.cell('d2', c, 'd'), x,
  format('a surface that was registered anew is judged as before, %s: %s', c, x))
  FROM (VALUES ('points', '150 | 150 | 0 | unknown | read otherwise than before'),
  ('unit', '175 | 180 | +5 | violated | nothing was declared')) AS v (c, x);
SELECT is((SELECT source FROM iu_regression_surface WHERE surface_code = 'points'), 'public.test_same',
  'the view of a surface is kept with its schema');
SELECT pg_temp.set('unit', repeat('9', 140000)), fn_iu_surface_snapshot('d3', 'ann'), pg_temp.set('unit', '175');
SELECT is((SELECT verdict FROM fn_iu_regression_matrix('d', 'd3') WHERE surface_code = 'unit'), 'violated',
  'a figure too long for a number is compared as text');
SELECT fn_iu_surface_register('points', 'iu_vector_sync_point', 'view', 'invariant', 'ann', 't', 'test_points',
  p_sort_order => 3), fn_iu_surface_register('unit', 'information_unit', 'view', 'invariant', 'ann', 't', 'test_unit',
  p_sort_order => 1);
SET LOCAL extra_float_digits = -10;
CREATE VIEW test_float AS SELECT 1.00000001::float8 AS value;
GRANT SELECT ON test_float TO iu_core_owner;
SELECT fn_iu_surface_register('float', 'f', 'view', 'any', 'ann', 't', 'test_float'),
  fn_iu_surface_snapshot('d4', 'ann'), fn_iu_surface_unregister('float', 'ann', 't');
SELECT is((SELECT value FROM iu_regression_value WHERE snapshot_label = 'd4' AND surface_code = 'float'), '1.00000001',
  'no digit of a figure is left out because of the settings of who asks');
RESET extra_float_digits;

-- A surface that takes too long.
CREATE VIEW test_slow AS SELECT 1 AS value FROM pg_sleep(60);
GRANT SELECT ON test_slow TO iu_core_owner;
SELECT fn_iu_surface_register('slow', 'slow', 'view', 'any', 'ann', 't', 'public.test_slow', p_timeout_ms => 20);
SELECT fn_iu_surface_snapshot('e', 'ann');
SELECT is((SELECT error_code || ' ' || error FROM iu_regression_value WHERE snapshot_label = 'e'
  AND surface_code = 'slow'), '57014 no answer within 20 ms',
  'a figure that takes too long is unknown');
CREATE FUNCTION test_odd() RETURNS int LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'odd' USING ERRCODE = 'IU000'; END$$;
CREATE VIEW test_odds AS SELECT test_odd() AS value;
CREATE VIEW test_given AS SELECT 1 AS value;
GRANT SELECT ON test_odds, test_given TO iu_core_owner;
SELECT fn_iu_surface_unregister('slow', 'ann', 't'),
  fn_iu_surface_register('odds', 'odds', 'view', 'any', 'ann', 't', 'public.test_odds'),
  fn_iu_surface_register('given', 'given', 'view', 'any', 'ann', 't', 'public.test_given');
ALTER VIEW test_given OWNER TO iu_core_reader;
SELECT fn_iu_surface_snapshot('f', 'ann');
SELECT is((SELECT array_agg(error ORDER BY surface_code) FROM iu_regression_value WHERE snapshot_label = 'f'
  AND surface_code IN ('odds', 'given')),
  ARRAY['view public.test_given belongs to iu_core_reader, not to iu_core_owner or a superuser: what it calls would '
    'run with the rights of iu_core_owner', 'IU000: odd'],
  'a figure of a view that was given away is unknown, and so is one that raises an SQLSTATE of iu_core''s own');
SELECT fn_iu_surface_unregister('odds', 'ann', 't'), fn_iu_surface_unregister('given', 'ann', 't');

-- ---- refusals

SELECT pg_temp.refuses(format('SELECT fn_iu_%s', a), e, m, 'fn_iu_' || a || ' is refused') FROM (VALUES
  ($$surface_snapshot('b', 'ann')$$, '42710', 'taken already'),
  ($$surface_snapshot('x y', 'ann')$$, '23514', 'iu_snapshot_label'),
  ($$surface_snapshot('x:after', 'ann')$$, '23514', 'iu_snapshot_label'),
  ($$surface_snapshot(NULL, 'ann')$$, '23514', 'iu_snapshot_label'),
  ($$surface_snapshot('x', ' ')$$, '23514', 'actor required'),
  ($$surface_report('b', 'tests', '1', 'ci')$$, '42710', 'reported already'),
  ($$surface_report('b', 'unit', '1', 'ci')$$, '42704', 'reported from outside'),
  ($$surface_report('x', 'tests', '1', 'ci')$$, '42704', 'no snapshot'),
  ($$surface_report('c', 'tests', '', 'ci')$$, '23514', 'a figure of'),
  ($$surface_report('c', 'tests', '1', NULL)$$, '23514', 'iu_actor_required'),
  ($$expect_delta('x', 'unit', 1, 'ann', 'r')$$, '42704', 'no change window'),
  ($$expect_delta('b', 'unit', NULL, 'ann', 'r')$$, '23514', 'iu_expected_delta'),
  ($$expect_delta('b', 'unit', 1, 'ann', 'r', '2')$$, '23514', 'iu_expected_delta'),
  ($$expect_delta('b', 'unit', 'NaN', 'ann', 'r')$$, '23514', 'iu_expected_delta'),
  ($$expect_delta('b', 'Unit', 1, 'ann', 'r')$$, '23514', 'iu_surface_code'),
  ($$expect_delta('b', 'unit', 1, 'ann', '')$$, '23514', 'iu_actor_and_reason'),
  ($$surface_register('y', 'l', 'query', 'any', 'ann', 't')$$, '23514', 'iu_surface_kind'),
  ($$surface_register('y', 'l', 'view', 'any', 'ann', 't')$$, '23514', 'iu_surface_kind'),
  ($$surface_register('y', 'l', 'external', 'any', 'ann', 't', 'test_unit')$$, '23514', 'iu_surface_kind'),
  ($$surface_register('Y', 'l', 'external', 'any', 'ann', 't')$$, '23514', 'iu_surface_code'),
  ($$surface_register('y', '', 'external', 'any', 'ann', 't')$$, '23514', 'iu_surface_label'),
  ($$surface_register('y', 'l', 'external', 'some', 'ann', 't')$$, '23514', 'iu_surface_expectation'),
  ($$surface_register('y', 'l', 'external', 'green', 'ann', 't')$$, '23514', 'iu_surface_green_rule'),
  ($$surface_register('y', 'l', 'external', 'any', 'ann', 't', p_green_rule => 'n/n')$$, '23514',
  'iu_surface_green_rule'),
  ($$surface_register('y', 'l', 'external', 'green', 'ann', 't', p_green_rule => 'x')$$, '23514',
  'iu_surface_green_rule'), ($$surface_register('y', 'l', 'external', 'green', 'ann', 't', p_green_rule => '~(')$$,
  '2201B', 'regular expression'),
  ($$surface_register('y', 'l', 'external', 'any', 'ann', 't', p_layer => 'Redis')$$, '23514', 'iu_surface_layer'),
  ($$surface_register('y', 'l', 'external', 'any', 'ann', NULL)$$, '23514', 'iu_actor_and_reason'),
  ($$surface_register('y', 'l', 'view', 'any', 'ann', 't', 'test_figure')$$, '23514', 'not a view'),
  ($$surface_register('y', 'l', 'view', 'any', 'ann', 't', 'v_iu_change_window')$$, '23514', 'no column value'),
  ($$surface_register('iu_conformance', 'l', 'external', 'any', 'ann', 't')$$, '42710', 'belongs to migration 9'),
  ($$surface_unregister('iu_conformance', 'ann', 't')$$, '42704', 'a migration'),
  ($$surface_unregister('y', 'ann', 't')$$, '42704', 'not registered')) AS v (a, e, m);
ALTER VIEW test_broken OWNER TO iu_core_admin;
SELECT pg_temp.refuses($$SELECT fn_iu_surface_register('y', 'l', 'view', 'any', 'ann', 't', 'test_broken')$$, '23514',
  'belongs to iu_core_admin',
  'a surface of a view that somebody else may change is not registered');
SELECT pg_temp.refuses('DELETE FROM ' || t, '42501', 'append-only',
  t || ' is append-only')
  FROM unnest(ARRAY['iu_regression_snapshot', 'iu_regression_value', 'iu_regression_expectation']) AS t;
SELECT pg_temp.refuses($$UPDATE iu_regression_value SET value = '0'$$, '42501', 'append-only',
  'a figure is not changed');

-- ---- a window

CREATE TABLE test_numbers_held (l int, r int);
INSERT INTO test_numbers_held VALUES (1, 1);
CREATE VIEW test_held AS SELECT l AS left_value, r AS right_value FROM test_numbers_held;
GRANT SELECT ON test_held TO iu_core_owner;
SELECT fn_iu_invariant_register('held', 'test_held', 'both are one', 'ann', 't');
CREATE OR REPLACE VIEW test_collection AS SELECT value FROM test_figure WHERE code = 'collection';
SELECT fn_iu_surface_unregister('log', 'ann', 't'), pg_temp.set('d9', '181 / 7 PASS');
\set sha `printf '%064d' 0`
SELECT fn_iu_change_window_open('w1', '4f0c6a3e-9f0e-4c6e-8a57-0d2c6c1f7b11', 'a change | of two lines
and more', 'olga', '/nowhere/pre.dump', 75901728, :'sha') AS opened \gset
SELECT is(:'opened'::jsonb - 'run_id', jsonb_build_object('status', 'opened', 'window_label', 'w1', 'before_label',
  'w1:before', 'surfaces', 12, 'unknown', '[]'::jsonb, 'backup_bytes', 75901728, 'backup_sha256', :'sha',
  'backup_check', 'as stated: the server cannot open it: No such file or directory'),
  'opening a window says that the backup is as stated, and why it was not looked at');
SELECT alike(fn_iu_change_report('w1'), '%**Verdict: OPEN.**%| Qdrant iu_core_iu_chunks | 149 | - | - | expected 0 |%',
  'the report of an open window says how it stands');
SELECT is((SELECT count(fn_iu_change_report('w1')) FROM generate_series(1, 12)), 12::bigint,
  'the report of an open window can be asked for again and again, whatever the plan');
SELECT pg_temp.refuses(format('SELECT fn_iu_change_window_open(%s)', a), e, m,
  'fn_iu_change_window_open(' || a || ') is refused') FROM (VALUES
  ($$'w2', gen_random_uuid(), 'p', 'olga', '/f', 1, repeat('0', 64)$$, '55006', 'change window "w1" is open'),
  ($$'w 2', gen_random_uuid(), 'p', 'olga', '/f'$$, '23514', 'iu_change_window_label'),
  ($$'w2', NULL, 'p', 'olga', '/f'$$, '23514', 'approval_id required'),
  ($$'w2', gen_random_uuid(), '', 'olga', '/f'$$, '23514', 'iu_actor_and_reason'),
  ($$'w2', gen_random_uuid(), 'p', NULL, '/f'$$, '23514', 'iu_actor_and_reason')) AS v (a, e, m);
SELECT fn_iu_expect_delta('w1', 'unit', 1, 'olga', 'one more');
SELECT fn_iu_surface_report('w1:before', 'tests', '10', 'ci'), fn_iu_surface_report('w1:after', 'tests', '11', 'ci');
SELECT pg_temp.set('unit', '176');
SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'olga', 'the change', 600);
SELECT pg_temp.refuses($$SELECT fn_iu_change_window_close('w1', 'olga')$$, '55006', 'a gate is open',
  'a window is not closed while a gate is open');
SELECT fn_iu_gate_close('iu_core.composer_enabled', 'olga', 'done');
SELECT pg_temp.refuses(format('SELECT fn_iu_change_window_close(%s)', a), e, m,
  'fn_iu_change_window_close(' || a || ') is refused') FROM (VALUES
  ($$'w9', 'olga'$$, '42704', 'no change window'), ($$'w1', ''$$, '23514', 'iu_actor_required'),
  ($$'w1', 'olga', '{"Redis": "x"}'$$, '23514', 'p_impact'), ($$'w1', 'olga', '{"PG": 1}'$$, '23514', 'p_impact'),
  ($$'w1', 'olga', '[]'$$, '23514', 'p_impact'),
  ($$'w1', 'olga', p_not_touched => NULL$$, '23514', 'NULL'),
  ($$'w1', 'olga', p_backup_file => '/nowhere/post.dump'$$, '23514', 'must be stated'),
  ($$'w1', 'olga', p_backup_file => '/f', p_backup_bytes => 0, p_backup_sha256 => repeat('0', 64)$$, '23514',
  'iu_backup_bytes')) AS v (a, e, m);
SELECT is(fn_iu_change_window_close('w1', 'olga', '{"Nuxt": "none, not deployed", "AgentData": "+7 KB of reports"}',
  ARRAY['PR #669: no comment, no merge', 'production_documents']) - 'run_id',
  '{"status": "closed", "window_label": "w1", "after_label": "w1:after", "verdict": "PASS", "verdict_reason": "13 '
    'surfaces and 1 invariants as they should be"}',
  'a window whose figures are as they should be closes with verdict PASS');
SELECT fn_iu_change_report('w1') AS report \gset
SELECT ok(position(x IN :'report') > 0,
  'the report of the closed window has: ' || x)
  FROM unnest(ARRAY['# Change window w1', '**Verdict: PASS.** 13 surfaces',
  '- Approval: 4f0c6a3e-9f0e-4c6e-8a57-0d2c6c1f7b11', '- Gates at the end: all closed',
  '| Surface | Before | After | Delta | Verdict |', '| information_unit | 175 | 176 | +1 | expected (one more) |',
  '| Qdrant iu_core_iu_chunks | 149 | 149 | 0 | invariant ✓ |', '| Tests passing | 10 | 11 | +1 | green ✓ |',
  '| PG | information_unit +1, Tests passing +1; ', '| Directus | not stated |',
  '| Nuxt | stated: none, not deployed |', '| AgentData | stated: +7 KB of reports |',
  '| Qdrant | 1 figure(s) unchanged; not stated |',
  '| held | critical | 1 | 1 | pass ✓ |', '| open | false -> true | olga |', '| close | true -> false | olga |',
  'Chain: verified.', '| dot_iu_gate_open | apply | applied | olga | 1 |',
  '| dot_iu_expect_delta | apply | applied | olga | 1 |',
  '- none was applied', '- PR #669: no comment, no merge', '- by the figures: iu_piece_collection (24)',
  '- Backup before: /nowhere/pre.dump, 75901728 bytes, sha256 0000', '(as stated: the server cannot open it',
  '- Backup after: not stated']) AS x;
SELECT pg_temp.set('points', '7'), fn_iu_surface_unregister('tests', 'ann', 't'),
  pg_temp.surface('chunks', 'called otherwise', p_layer => 'PG');
SELECT is(fn_iu_change_report('w1'), :'report', 'the report of a closed window stays what it was');
SELECT pg_temp.refuses(a, e, m, 'with the window closed this is refused: ' || a) FROM (VALUES
  ($$SELECT fn_iu_change_window_close('w1', 'olga')$$, '55000', 'is closed'),
  ($$SELECT fn_iu_expect_delta('w1', 'unit', 1, 'ann', 'r')$$, '55000', 'is closed'),
  ($$SELECT fn_iu_change_window_open('w1', gen_random_uuid(), 'p', 'olga', '/f')$$, '42710', 'there was'),
  ($$SELECT fn_iu_change_report('w9')$$, '42704', 'no change window'),
  ($$UPDATE iu_change_window SET verdict = 'PASS'$$, '42501', 'closed once'),
  ($$DELETE FROM iu_change_window$$, '42501', 'closed once'), ($$TRUNCATE iu_change_window$$, '42501', 'append-only'))
  AS v (a, e, m);

-- What the server can read it does not take on trust.
SELECT pg_temp.refuses($$SELECT fn_iu_change_window_open('w2', gen_random_uuid(), 'p', 'olga',
  current_setting('data_directory') || '/PG_VERSION', 9)$$, '23514', 'is not the one that was stated',
  'a backup of another size than stated is refused');
SELECT pg_temp.refuses($$SELECT fn_iu_change_window_open('w2', gen_random_uuid(), 'p', 'olga',
  current_setting('data_directory') || '/PG_VERSION', 3, repeat('0', 64))$$, '23514', 'is not the one that was stated',
  'a backup with another digest than stated is refused');
SELECT pg_temp.refuses($$SELECT fn_iu_change_window_open('w2', gen_random_uuid(), 'p', 'olga', '/nowhere')$$, '23514',
  'must be stated',
  'a backup that is neither stated nor readable is refused');
SELECT pg_temp.refuses(format($$SELECT fn_iu_change_window_open('w2', gen_random_uuid(), 'p', 'olga', %L)$$, f),
  '23514', m,
  'the backup file "' || f || '" is refused') FROM (VALUES ('relative', 'must be stated'), ('/', 'must be stated'),
  (' ', 'say which')) AS v (f, m);
SELECT is(o ->> 'backup_check' || ' ' || (o ->> 'backup_sha256' = encode(sha256(pg_read_binary_file('PG_VERSION')),
  'hex')), 'checked true',
  'a backup that the server can read has the size and digest of the file')
  FROM fn_iu_change_window_open('w2', gen_random_uuid(), 'p', 'olga',
  current_setting('data_directory') || '/PG_VERSION') AS o;

-- The verdict falls with a figure, with a critical invariant, and is not known where something is not.
SELECT fn_iu_surface_register('ext', 'from outside', 'external', 'any', 'ann', 't');
SELECT fn_iu_surface_report('w2:after', 'ext', '1', 'ci');
SELECT is(fn_iu_change_window_close('w2', 'olga') ->> 'verdict', 'PASS',
  'a surface that came during the window and may change leaves the verdict PASS');
SELECT fn_iu_change_window_open('w3', gen_random_uuid(), 'p', 'olga', '/f', 1, :'sha');
SELECT is(fn_iu_change_window_close('w3', 'olga') - 'run_id',
  '{"status": "closed", "window_label": "w3", "after_label": "w3:after", "verdict": "UNKNOWN", "verdict_reason": '
    '"unknown: from outside"}',
  'a figure from outside that was not reported makes the verdict UNKNOWN');
SELECT pg_temp.refuses($$SELECT fn_iu_surface_report('w3:after', 'ext', '1', 'ci')$$, '55000', 'is closed',
  'a figure reported after its window was closed is refused');
SELECT fn_iu_change_report('w3') AS report \gset
SELECT fn_iu_surface_unregister('ext', 'ann', 't');
SELECT is(fn_iu_change_report('w3'), :'report', 'what was not reported stays in the report after its surface is gone');
SELECT fn_iu_change_window_open('w4', gen_random_uuid(), 'p', 'olga', '/f', 1, :'sha');
UPDATE test_numbers_held SET r = 2;
SELECT is(fn_iu_change_window_close('w4', 'olga') ->> 'verdict_reason', 'failing invariants: held',
  'a critical invariant that fails is the reason of the verdict');
SELECT is((SELECT verdict FROM v_iu_change_window WHERE window_label = 'w4'), 'FAIL',
  'a critical invariant that fails makes the verdict FAIL');
SELECT fn_iu_invariant_register('held', 'test_held', 'both are one', 'ann', 't', 'warning');
SELECT fn_iu_change_window_open('w5', gen_random_uuid(), 'p', 'olga', '/f', 1, :'sha');
SELECT is(fn_iu_change_window_close('w5', 'olga') ->> 'verdict', 'PASS',
  'a failing invariant that only warns leaves the verdict PASS');
SELECT alike(fn_iu_change_report('w5'), '%| held | warning | 1 | 2 | **fail**: left is 1, right is 2 |%',
  'the report tells of a failing invariant that only warns');
SELECT fn_iu_change_window_open('w6', gen_random_uuid(), 'p', 'olga', '/f', 1, :'sha');
SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'olga', 'standing', 600);
SELECT alike(fn_iu_change_window_close('w6', 'olga', p_allow_open_gates => true) ->> 'verdict_reason',
  'violated: IU Core write gates inert; closed with open gates: iu_core.composer_enabled: open until%',
  'a window that is told so closes with a gate open, and says so');
SELECT alike(fn_iu_change_report('w6'), '%- Gates at the end: NOT all closed: iu_core.composer_enabled%',
  'the report of a window closed with a gate open says which');
SELECT fn_iu_gate_close('iu_core.composer_enabled', 'olga', 'done');

-- A gate that is opened while the figures are read; a clock that is set back; an invariant that is disabled.
CREATE FUNCTION test_opens() RETURNS int LANGUAGE plpgsql AS $$BEGIN
  IF current_setting('test.opens', true) = 'yes' THEN PERFORM public.fn_iu_gate_open('iu_core.composer_enabled',
  gen_random_uuid(), 'olga', 'meanwhile', 600); PERFORM set_config('test.opens', 'done', false); END IF; RETURN 1;
  END$$;
CREATE FUNCTION pg_temp.opens_on_insert() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM public.test_opens();
  RETURN NULL; END$$;
CREATE TRIGGER opens AFTER INSERT ON iu_invariant_run FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.opens_on_insert();
SELECT fn_iu_change_window_open('w6a', gen_random_uuid(), E'p\r\n\r\n**Verdict: PASS.** <b> `', E'olga\n# x', '/f', 1,
  :'sha');
SELECT set_config('test.opens', 'yes', false);
SELECT pg_temp.refuses($$SELECT fn_iu_change_window_close('w6a', 'olga')$$, '55006', 'a gate is open',
  'a gate that is opened while the figures are read keeps the window open');
DROP TRIGGER opens ON iu_invariant_run;
SELECT is((SELECT count(*) FROM regexp_split_to_table(fn_iu_change_report('w6a'), E'[\r\n]') AS line
  WHERE line ~ '^\*\*Verdict|^# '), 2::bigint,
  'what somebody wrote makes no line of its own in the report');
SELECT alike(fn_iu_change_report('w6a'), '%- Purpose: p    **Verdict: PASS.** &lt;b> \\`%',
  'what somebody wrote makes no markup in the report');
ALTER TABLE iu_regression_snapshot DISABLE TRIGGER USER;
ALTER TABLE iu_change_window DISABLE TRIGGER USER;
UPDATE iu_regression_snapshot SET taken_at = taken_at + interval '1 day' WHERE snapshot_label = 'w6a:before';
UPDATE iu_change_window SET opened_at = opened_at + interval '1 day' WHERE window_label = 'w6a';
ALTER TABLE iu_regression_snapshot ENABLE ALWAYS TRIGGER trg_iu_regression_snapshot_append_only;
ALTER TABLE iu_change_window ENABLE ALWAYS TRIGGER trg_iu_change_window_guard;
ALTER TABLE iu_change_window ENABLE ALWAYS TRIGGER trg_iu_change_window_append_only;
SELECT fn_iu_invariant_enable('held', false, 'ann', 't');
SELECT is(fn_iu_change_window_close('w6a', 'olga') ->> 'verdict_reason',
  '12 surfaces and 0 invariants as they should be; disabled, so not checked: held',
  'a window closes after the clock was set back, and says what was not checked');
SELECT alike(fn_iu_change_report('w6a'), '# Change window w6a%',
  'a window closed after the clock was set back has its report');
SELECT fn_iu_invariant_enable('held', true, 'ann', 't');
SELECT is(iu.fn_iu_markdown_row(ARRAY['a|b', E'c\\|d', E'e\r\nf', NULL]), E'| a\\|b | c\\\\\\|d | e  f | - |',
  'what a cell of a Markdown row holds is escaped');

-- ---- who

SELECT is(left(pg_temp.as_role(r, q), 5), s, 'as ' || r || ', ' || q || ' gives ' || s) FROM (VALUES
  ('iu_core_reader', $$SELECT fn_iu_change_report('w1')$$, '# Cha'),
  ('iu_core_reader', $$SELECT 'seen' || count(*) FROM fn_iu_regression_matrix('b', 'a')$$, 'seen1'),
  ('iu_core_reader', $$SELECT fn_iu_surface_snapshot('z', 'a')$$, '42501'),
  ('iu_core_operator', $$SELECT fn_iu_surface_snapshot('z', 'a') ->> 'status'$$, 'taken'),
  ('iu_core_operator', $$SELECT fn_iu_surface_register('z', 'l', 'external', 'any', 'a', 'r')$$, '42501'),
  ('iu_core_admin', $$SELECT fn_iu_surface_register('z', 'l', 'external', 'any', 'a', 'r') ->> 'status'$$, 'regis'),
  ('iu_core_admin', $$SELECT iu.fn_iu_surface_define(9, 'z', 'l', 'query', 'SELECT 1')$$, '42501'),
  ('iu_core_admin', $$SELECT iu_core.file_digest('/etc/passwd')$$, '42501'),
  ('iu_core_admin', $$SELECT iu_core.cancel_at(now())$$, '42501'),
  ('iu_core_agent', $$SELECT fn_iu_change_report('w1')$$, '42501')) AS v (r, q, s);
SELECT fn_iu_surface_unregister('z', 'ann', 't');
CREATE ROLE iu_test_olga LOGIN IN ROLE iu_core_operator;
CREATE FUNCTION pg_temp.olga(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_result text;
BEGIN
  BEGIN
    SET LOCAL SESSION AUTHORIZATION iu_test_olga;
    EXECUTE p_sql INTO v_result;
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
  EXCEPTION WHEN OTHERS THEN
    v_result := SQLSTATE || ' ' || SQLERRM;
  END;
  RETURN v_result;
END $$;
SELECT is(pg_temp.olga($$SELECT fn_iu_change_window_open('w7', gen_random_uuid(), 'p', 'olga', '/etc/passwd')$$),
  '23514 size and SHA-256 of backup "/etc/passwd" must be stated',
  'an operator has no file of the server read');
SELECT is(pg_temp.olga($$SELECT fn_iu_change_window_open('w7', gen_random_uuid(), 'p', 'olga', '/etc/passwd', 1,
  repeat('0', 64)) ->> 'backup_check'$$), 'as stated: role "iu_test_olga" may not read the server''s files',
  'what an operator states of a backup stands as stated');
SELECT is(pg_temp.olga($$SELECT fn_iu_change_window_close('w7', 'olga') ->> 'verdict'$$), 'PASS',
  'an operator opens and closes a window');
SELECT is((SELECT opened_role || ' ' || closed_role FROM iu_change_window WHERE window_label = 'w7'),
  'iu_test_olga iu_test_olga',
  'a window keeps the login role that opened and closed it');
GRANT pg_read_server_files TO iu_test_olga;
SELECT is(pg_temp.olga($$SELECT fn_iu_change_window_open('w8', gen_random_uuid(), 'p', 'olga', '/etc/passwd', 1,
  repeat('0', 64))$$), '23514 backup "/etc/passwd" is not the one that was stated',
  'who may have files of the server read is not taken on trust');
SELECT pg_temp.refuses('SELECT iu_core.rollback(8)', '55006', 'rollback refused',
  'rolling back the migration of windows is refused while there are some');
SELECT is((SELECT array_agg(DISTINCT command_name ORDER BY command_name) FROM dot_iu_command_run
  WHERE command_name ~ 'surface|change|expect'),
  ARRAY['dot_iu_change_window_close', 'dot_iu_change_window_open', 'dot_iu_expect_delta', 'dot_iu_surface_register',
  'dot_iu_surface_unregister'],
  'the log of runs has each kind of command');

SELECT * FROM finish();
ROLLBACK;
