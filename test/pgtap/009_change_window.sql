-- 009: the window of a change: what opens and closes it, its backup, its verdict,
-- its report, and who may do what.
\ir setup.psql
\ir 009_surfaces.psql
SELECT no_plan();

-- ---- a window

SELECT pg_temp.set('unit', '175'), pg_temp.set('collection', '24'), pg_temp.set('wild', 'x');
SELECT pg_temp.surface('unit', 'information_unit', p_order => 1),
  pg_temp.surface('collection', 'iu_piece_collection', p_order => 2),
  pg_temp.surface('points', 'iu_vector_sync_point', p_order => 3),
  pg_temp.surface('chunks', 'Qdrant iu_core_iu_chunks', p_layer => 'Qdrant', p_order => 4),
  pg_temp.surface('axes', 'DIEU-28/32/35 envelope axes', p_order => 5),
  pg_temp.surface('inert', 'write gates inert', 'green', 'n/n', p_order => 6),
  pg_temp.surface('d9', 'conformance', 'green', '~^[0-9]+ / 7 PASS$', p_order => 7),
  pg_temp.surface('wild', 'may change', 'any'),
  fn_iu_surface_register('tests', 'Tests passing', 'external', 'green', 'ann', 't', p_green_rule => 'not_less');
CREATE TABLE test_numbers_held (l int, r int);
INSERT INTO test_numbers_held VALUES (1, 1);
CREATE VIEW test_held AS SELECT l AS left_value, r AS right_value FROM test_numbers_held;
GRANT SELECT ON test_held TO iu_core_owner;
SELECT fn_iu_invariant_register('held', 'test_held', 'both are one', 'ann', 't');
\set sha `printf '%064d' 0`
SELECT fn_iu_change_window_open('w1', '4f0c6a3e-9f0e-4c6e-8a57-0d2c6c1f7b11', 'a change | of two words and more',
  'olga', '/nowhere/pre.dump', 75901728, :'sha') AS opened \gset
SELECT is(:'opened'::jsonb - 'run_id', jsonb_build_object('status', 'opened', 'window_label', 'w1', 'before_label',
  'w1:before', 'surfaces', 12, 'unknown', '[]'::jsonb, 'red', '[]'::jsonb, 'backup_bytes', 75901728,
  'backup_sha256', :'sha',
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
-- it warns of a figure that is red already
SET LOCAL client_min_messages = error;
SELECT fn_iu_change_window_open('w6a', gen_random_uuid(), '# p **Verdict: PASS.** <b> ` [x](https://x.example)',
  '# olga', '/f', 1,
  :'sha');
SET LOCAL client_min_messages = warning;
SELECT set_config('test.opens', 'yes', false);
SELECT pg_temp.refuses($$SELECT fn_iu_change_window_close('w6a', 'olga')$$, '55006', 'a gate is open',
  'a gate that is opened while the figures are read keeps the window open');
DROP TRIGGER opens ON iu_invariant_run;
SELECT is((SELECT count(*) FROM regexp_split_to_table(fn_iu_change_report('w6a'), E'[\r\n]') AS line
  WHERE line ~ '^\*\*Verdict|^# '), 2::bigint,
  'what somebody wrote makes no line of its own in the report');
SELECT alike(fn_iu_change_report('w6a'), '%- Purpose: # p \\*\\*Verdict: PASS.\\*\\* &lt;b> \\` %x\\](https\\://%',
  'what somebody wrote makes no markup in the report');
ALTER TABLE iu_regression_snapshot DISABLE TRIGGER USER;
ALTER TABLE iu_change_window DISABLE TRIGGER USER;
UPDATE iu_regression_snapshot SET taken_at = taken_at + interval '1 day' WHERE snapshot_label = 'w6a:before';
UPDATE iu_change_window SET opened_at = opened_at + interval '1 day' WHERE window_label = 'w6a';
ALTER TABLE iu_regression_snapshot ENABLE ALWAYS TRIGGER trg_iu_regression_snapshot_append_only;
ALTER TABLE iu_change_window ENABLE ALWAYS TRIGGER trg_iu_change_window_guard;
ALTER TABLE iu_change_window ENABLE ALWAYS TRIGGER trg_iu_change_window_append_only;
ALTER TABLE iu_regression_snapshot ENABLE REPLICA TRIGGER trg_0_subscription,
  ENABLE REPLICA TRIGGER trg_zz_subscription_truncate, ENABLE REPLICA TRIGGER trg_0_subscription_truncated,
  ENABLE REPLICA TRIGGER trg_1_subscription_numbers;
ALTER TABLE iu_change_window ENABLE REPLICA TRIGGER trg_0_subscription,
  ENABLE REPLICA TRIGGER trg_zz_subscription_truncate, ENABLE REPLICA TRIGGER trg_0_subscription_truncated,
  ENABLE REPLICA TRIGGER trg_1_subscription_numbers;
SELECT fn_iu_invariant_enable('held', false, 'ann', 't');
SELECT is(fn_iu_change_window_close('w6a', 'olga') ->> 'verdict_reason',
  '12 surfaces and 0 invariants as they should be; disabled, so not checked: held',
  'a window closes after the clock was set back, and says what was not checked');
SELECT alike(fn_iu_change_report('w6a'), '# Change window w6a%',
  'a window closed after the clock was set back has its report');
SELECT fn_iu_invariant_enable('held', true, 'ann', 't');
SELECT is(iu.fn_iu_markdown_row(ARRAY['a|b', E'c\\|d', E'e\r\nf', NULL], NULL), E'| a\\|b | c\\\\\\|d | e  f | - |',
  'what a cell of a Markdown row holds is escaped');

-- ---- who

SELECT is(left(pg_temp.as_role(r, q), 5), s, 'as ' || r || ', ' || q || ' gives ' || s) FROM (VALUES
  ('iu_core_reader', $$SELECT fn_iu_change_report('w1')$$, '# Cha'),
  ('iu_core_reader', $$SELECT 'seen' || count(*) FROM fn_iu_regression_matrix('w1:before', 'w1:after')$$, 'seen1'),
  ('iu_core_reader', $$SELECT fn_iu_surface_snapshot('z', 'a')$$, '42501'),
  ('iu_core_operator', $$SELECT fn_iu_surface_snapshot('z', 'a') ->> 'status'$$, 'taken'),
  ('iu_core_operator', $$SELECT fn_iu_surface_register('z', 'l', 'external', 'any', 'a', 'r')$$, '42501'),
  ('iu_core_admin', $$SELECT fn_iu_surface_register('z', 'l', 'external', 'any', 'a', 'r') ->> 'status'$$, 'regis'),
  ('iu_core_admin', $$SELECT iu.fn_iu_surface_define(9, 'z', 'l', 'query', 'SELECT 1')$$, '42501'),
  ('iu_core_admin', $$SELECT iu_core.file_digest('/etc/passwd')$$, '42501'),
  ('iu_core_admin', $$SELECT iu_core.cancel_no_more(NULL)$$, '42501'),
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

SELECT fn_iu_change_window_close(window_label, 'olga') FROM v_iu_change_window WHERE closed_at IS NULL \g /dev/null
CREATE VIEW test_red AS SELECT '1/2'::text AS value;
GRANT SELECT ON test_red TO iu_core_owner;
SELECT fn_iu_surface_register('red', 'a figure that is red', 'view', 'green', 'olga', 'r', 'test_red',
  'n/n') \g /dev/null
-- it warns of a figure that is red already
SET LOCAL client_min_messages = error;
SELECT is(fn_iu_change_window_open('red', gen_random_uuid(), 'p', 'olga', '/f', 1, :'sha') -> 'red' ? 'red', true,
  'opening a window tells of a figure that is red already');

SELECT * FROM finish();
ROLLBACK;
