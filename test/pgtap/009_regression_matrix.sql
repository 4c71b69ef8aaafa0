-- 009: the figures of a change, and what may not pass for one: a figure that
-- could not be read, that nobody declared, or too late.
\ir setup.psql
\ir 009_surfaces.psql
SELECT no_plan();

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
  ARRAY['view public.test_given belongs to iu_core_reader, not to iu_core_owner or a superuser: whoever owns it '
    'decides what the view says', 'IU000: odd'],
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

SELECT * FROM finish();
ROLLBACK;
