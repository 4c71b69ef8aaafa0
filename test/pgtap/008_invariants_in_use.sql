-- 008: who asks for invariants: the schedule, gates that demand them, people by
-- their roles, and what later migrations hook to a turn of the schedule.
\ir setup.psql
\ir 008_invariants.psql
SELECT no_plan();
-- What migrations hook to a turn has it come back at once after each check.
DELETE FROM iu.hook WHERE point = 'iu.fn_iu_schedule_chore(text)';

DELETE FROM test_left WHERE id NOT IN (SELECT id FROM test_right);
SELECT fn_iu_invariant_register('n', 'test_numbers', 'three are three', 'ann', 't'),
  fn_iu_invariant_register('k', 'test_keys', 'every row has its point', 'ann', 't');

-- ---- on a schedule

UPDATE test_number SET l = 3;
SELECT is(iu.fn_iu_schedule_turn('test'), NULL, 'without a schedule a turn checks nothing and names no next time');
SELECT fn_iu_invariant_register('n', 'test_numbers', 'm', 'ann', 't', p_every_seconds => 60);
SELECT fn_iu_invariant_register('k', 'test_keys', 'm', 'ann', 't', p_every_seconds => 600);
CREATE TEMP TABLE before AS SELECT count(*) AS runs FROM iu_invariant_run;
CREATE FUNCTION pg_temp.logged() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) - (SELECT runs FROM before)
  FROM iu_invariant_run$$;
SELECT cmp_ok(iu.fn_iu_schedule_turn('test'), '<=', clock_timestamp(),
  'of two that are due a turn checks one and is due again at once');
SELECT is(pg_temp.logged(), 1::bigint, 'one turn logs one check');
SELECT is(iu.fn_iu_schedule_turn('test'),
  (SELECT min(checked_at) + interval '60 s' FROM iu_invariant_state WHERE invariant_code = 'n'),
  'the next turn checks the other and is due when the first is due again, in 60 s');
SELECT iu.fn_iu_schedule_turn('test');
SELECT is(pg_temp.logged(), 2::bigint, 'a turn while nothing is due logs no check');
SELECT pg_temp.later('61 s');
SELECT iu.fn_iu_schedule_turn('test'), iu.fn_iu_schedule_turn('test');
SELECT is((SELECT array_agg(invariant_code || ' ' || checks ORDER BY invariant_code) FROM iu_invariant_state
  WHERE checked_at > clock_timestamp() - interval '30 s'),
  (SELECT ARRAY['n ' || checks] FROM iu_invariant_state WHERE invariant_code = 'n'),
  'after 61 s the one that is due every 60 s is checked again');
SELECT is(pg_temp.logged(), 2::bigint, 'a scheduled check that found what was found before is not logged again');
UPDATE test_number SET l = 4;
SELECT pg_temp.later('61 s');
SELECT iu.fn_iu_schedule_turn('test');
SELECT is((SELECT asked_by || ' ' || verdict FROM iu_invariant_run ORDER BY run_seq DESC LIMIT 1), 'schedule fail',
  'a scheduled check that finds something new is logged');
SELECT pg_temp.later('61 minutes');
SELECT iu.fn_iu_schedule_turn('test'), iu.fn_iu_schedule_turn('test');
SELECT is(pg_temp.logged(), 5::bigint, 'a scheduled check that finds nothing new is logged once an hour');
UPDATE iu_invariant_state SET next_at = clock_timestamp() + interval '1 day',
  checked_at = clock_timestamp() + interval '1 day' WHERE invariant_code = 'n';
SELECT is(iu.fn_iu_schedule_turn('test') > clock_timestamp(), true,
  'after the clock was set back the runner is not called at once for ever');
SELECT cmp_ok((SELECT checked_at FROM iu_invariant_state WHERE invariant_code = 'n'), '<=', clock_timestamp(),
  'after the clock was set back a scheduled invariant is checked');
SELECT cmp_ok((SELECT next_at FROM iu_invariant_state WHERE invariant_code = 'n'), '<=',
  clock_timestamp() + interval '60 s',
  'after the clock was set back a scheduled invariant is due within its time');
UPDATE iu_invariant_state SET next_at = clock_timestamp() - interval '3 minutes' WHERE invariant_code = 'n';
SELECT is((SELECT array_agg(invariant_code) FROM v_iu_invariant WHERE overdue), ARRAY['n'],
  'a scheduled invariant that nobody checks is overdue');
SELECT fn_iu_invariant_enable('n', false, 'ann', 't'), fn_iu_invariant_enable('k', false, 'ann', 't');
SELECT is(iu.fn_iu_schedule_turn('test'), NULL, 'disabled invariants are not scheduled');
SELECT fn_iu_invariant_enable('n', true, 'ann', 't'), fn_iu_invariant_enable('k', true, 'ann', 't');

-- ---- gates that demand them

CREATE FUNCTION pg_temp.opens() RETURNS text LANGUAGE plpgsql AS $$
DECLARE v_detail text;
BEGIN
  PERFORM fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'ann', 't', 60);
  PERFORM fn_iu_gate_close('iu_core.composer_enabled', 'ann', 't');
  RETURN 'opened';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
  RETURN SQLSTATE || ' ' || SQLERRM || '; ' || v_detail;
END $$;
UPDATE test_number SET l = 3;
SELECT is(pg_temp.opens(), 'opened', 'a gate that demands nothing opens');
SELECT is(fn_iu_gate_demand_set('iu_core.composer_enabled', 'n', 60, 'ann', 't') - 'run_id',
  '{"status": "set", "gate_key": "iu_core.composer_enabled", "invariant_code": "n", "max_age_seconds": 60}',
  'a gate can be made to demand an invariant');
SELECT is((SELECT demanded_by FROM v_iu_invariant WHERE invariant_code = 'n'), ARRAY['iu_core.composer_enabled'],
  'an invariant shows which gates demand it');
SELECT is(pg_temp.opens(), 'opened', 'a gate opens whose invariant holds and was not checked yet');
SELECT is((SELECT asked_by || ' ' || verdict FROM iu_invariant_run ORDER BY run_seq DESC LIMIT 1), 'gate pass',
  'opening a gate logs the check that it made');
UPDATE test_number SET l = 4;
SELECT is(pg_temp.opens(), 'opened', 'a gate opens on a pass that is younger than the demand''s 60 s');
SELECT pg_temp.later('61 s');
SELECT is(pg_temp.opens(),
  'IU111 gate "iu_core.composer_enabled" demands invariant "n", which fails; left is 4, right is 3' || E'\nIt means: m',
  'after those 60 s the invariant is checked again and the gate refuses to open');
SELECT is((SELECT count(*) FROM iu_gate_transition WHERE gate_key = 'iu_core.composer_enabled' AND action = 'open'
  AND created_at > now()), 3::bigint,
  'a refused opening leaves no opening in the ledger');
UPDATE test_number SET l = 3;
SELECT fn_iu_invariant_check('n');
UPDATE test_number SET l = 4;
SELECT fn_iu_invariant_check('n');
SELECT alike(pg_temp.opens(), 'IU111 %', 'a pass does not count for a gate if something else was found since');
UPDATE test_number SET l = NULL;
SELECT alike(pg_temp.opens(),
  'IU112 gate "iu_core.composer_enabled" demands invariant "n", which is unknown; left is NULL%',
  'unknown is no pass for a gate');
UPDATE test_number SET l = 3;
SELECT fn_iu_invariant_check('n');
UPDATE test_number SET l = 4;
UPDATE iu_invariant_state SET place = gen_random_uuid() WHERE invariant_code = 'n';
SELECT alike(pg_temp.opens(), 'IU111 %', 'a pass in the original of a copy is no pass for a gate');
UPDATE test_number SET l = 3;
SELECT fn_iu_invariant_check('n');
SELECT fn_iu_invariant_enable('n', false, 'ann', 't');
SELECT alike(pg_temp.opens(), 'IU112 gate "iu_core.composer_enabled" demands invariant "n", which is disabled%',
  'a demanded invariant that is disabled keeps the gate shut');
SELECT fn_iu_invariant_enable('n', true, 'ann', 't');
CREATE TEMP TABLE state AS SELECT * FROM iu_invariant_state WHERE invariant_code = 'n';
DELETE FROM iu_invariant_state WHERE invariant_code = 'n';
SELECT alike(pg_temp.opens(), '42704 %', 'a demanded invariant whose state is lost keeps the gate shut');
INSERT INTO iu_invariant_state SELECT * FROM state;
SELECT fn_iu_gate_demand_set('iu_core.composer_enabled', 'n', 0, 'ann', 't'),
  fn_iu_gate_demand_set('iu_core.composer_enabled', 'k', 0, 'ann', 't');
SELECT is(pg_temp.opens(), 'opened', 'a gate with two demands that both hold opens');
DELETE FROM test_right WHERE id = 1;
SELECT alike(pg_temp.opens(), 'IU111 %"k", which fails; 1 key(s) differ%' || E'\nKeys: 1\n%',
  'a gate with two demands of which one fails names its keys');
SELECT pg_temp.refuses($$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'ann', 'urgent', 60)$$, 'IU111',
  'demands invariant "k"',
  'break-glass is bound by the demands of the gate');
SELECT is(fn_iu_gate_open('iu_core.structure_ops_enabled', gen_random_uuid(), 'ann', 't', 1) ->> 'status', 'opened',
  'another gate is not bound by the demands');
SELECT fn_iu_gate_close('iu_core.structure_ops_enabled', 'ann', 't');
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_unregister('k', 'ann', 't')$$, '55006', 'is demanded by gates',
  'an invariant that a gate demands is not unregistered');
SELECT is(fn_iu_gate_demand_unset('iu_core.composer_enabled', 'k', 'ann', 't') ->> 'status', 'unset',
  'a demand can be taken back');
SELECT is(pg_temp.opens(), 'opened', 'after its failing demand was taken back the gate opens');
SELECT pg_temp.refuses('SELECT fn_iu_gate_demand_' || a, e, m, 'fn_iu_gate_demand_' || a || ' is refused') FROM (VALUES
  ($$set('iu_core.delivery_live_routes', 'n', 1, 'ann', 't')$$, '42501', 'not a governable'),
  ($$set('iu_core.vector_sync_enabled', 'n', 1, 'ann', 't')$$, '42501', 'iu_gate_never_flip'),
  ($$set(NULL, 'n', 1, 'ann', 't')$$, '42501', 'NULL'),
  ($$set('iu_core.composer_enabled', 'x', 1, 'ann', 't')$$, '42704', 'not registered'),
  ($$set('iu_core.composer_enabled', 'n', -1, 'ann', 't')$$, '23514', 'from 0'),
  ($$set('iu_core.composer_enabled', 'n', NULL, 'ann', 't')$$, '23514', 'from 0'),
  ($$set('iu_core.composer_enabled', 'n', 1, ' ', 't')$$, '23514', 'iu_actor_and_reason'),
  ($$set('iu_core.composer_enabled', 'n', 1, 'ann', NULL)$$, '23514', 'iu_actor_and_reason'),
  ($$unset('iu_core.composer_enabled', 'k', 'ann', 't')$$, '42704', 'does not demand')) AS v (a, e, m);

-- ---- who, and what may be registered

CREATE VIEW test_onesided AS SELECT 1 AS left_value;
CREATE VIEW test_apart AS SELECT 1 AS left_value, now() AS right_value;
CREATE VIEW test_json AS SELECT '1'::json AS left_value, '1'::json AS right_value;
CREATE VIEW test_secret AS SELECT 1 AS left_value, 1 AS right_value;
CREATE VIEW test_strange AS SELECT 1 AS left_value, 1 AS right_value;
ALTER VIEW test_strange OWNER TO iu_core_admin;
GRANT SELECT ON test_onesided, test_apart, test_json, test_strange TO iu_core_owner;
SELECT pg_temp.refuses(format('SELECT fn_iu_invariant_register(%s)', a), '23514', m,
  'registering is refused with the arguments ' || a) FROM (VALUES
  ($$'X', 'test_keys', 'm', 'a', 'r'$$, 'iu_invariant_code'),
  ($$NULL, 'test_keys', 'm', 'a', 'r'$$, 'iu_invariant_code'),
  ($$'x', 'test_keys', ' ', 'a', 'r'$$, 'iu_invariant_meaning'),
  ($$'x', 'test_keys', 'm', '', 'r'$$, 'iu_actor_and_reason'),
  ($$'x', 'test_keys', 'm', 'a', NULL$$, 'iu_actor_and_reason'),
  ($$'x', 'test_keys', 'm', 'a', 'r', 'high'$$, 'severity'),
  ($$'x', 'test_keys', 'm', 'a', 'r', p_tolerance => -1$$, 'tolerance'),
  ($$'x', 'test_keys', 'm', 'a', 'r', p_tolerance => 'NaN'$$, 'tolerance'),
  ($$'x', 'test_keys', 'm', 'a', 'r', p_settle_seconds => -1$$, 'p_settle_seconds'),
  ($$'x', 'test_keys', 'm', 'a', 'r', p_every_seconds => 0$$, 'p_every_seconds'),
  ($$'x', 'test_keys', 'm', 'a', 'r', p_timeout_ms => 60001$$, 'p_timeout_ms'),
  ($$'x', 'test_left', 'm', 'a', 'r'$$, 'is not a view'), ($$'x', NULL, 'm', 'a', 'r'$$, 'no view NULL'),
  ($$'x', 'test_onesided', 'm', 'a', 'r'$$, 'has not both columns'),
  ($$'x', 'test_apart', 'm', 'a', 'r'$$, 'cannot be compared'),
  ($$'x', 'test_json', 'm', 'a', 'r'$$, 'cannot be compared'), ($$'x', 'test_secret', 'm', 'a', 'r'$$, 'may not read'),
  ($$'x', 'test_strange', 'm', 'a', 'r'$$, 'belongs to iu_core_admin')) AS v (a, m);
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_check('x')$$, '42704', 'invariant "x" is not registered',
  'checking an invariant that is not registered is refused');
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_unregister('x', 'ann', 't')$$, '42704', 'not registered',
  'unregistering an invariant that is not registered is refused');
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_enable('x', true, 'ann', 't')$$, '42704', 'not registered',
  'enabling an invariant that is not registered is refused');
SET LOCAL ROLE iu_core_owner;
SELECT iu.fn_iu_invariant_define(99, 'm99', 'public.test_numbers', 'of a migration');
RESET ROLE;
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_unregister('m99', 'ann', 't')$$, '55006', 'belongs to migration 99',
  'an invariant that a migration defined is not unregistered by hand');
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_register('m99', 'test_keys', 'm', 'ann', 't')$$, '42710',
  'belongs to migration 99',
  'an invariant that a migration defined is not registered by somebody else');
SELECT fn_iu_gate_demand_set('iu_core.composer_enabled', 'm99', 0, 'ann', 't');
SELECT pg_temp.refuses('SELECT iu.fn_iu_invariant_undefine(99)', '55006', 'a gate demands',
  'a migration''s rollback refuses while a gate demands its invariant');
SELECT fn_iu_gate_demand_unset('iu_core.composer_enabled', 'm99', 'ann', 't');
SELECT iu.fn_iu_invariant_undefine(99);
SELECT is_empty($$SELECT FROM iu_invariant WHERE migration IS NOT NULL$$,
  'a migration''s rollback removes its invariant when no gate demands it');

-- ---- what follows a turn, and chores: what later migrations add

SAVEPOINT hooks;
SET LOCAL ROLE iu_core_owner;
CREATE TABLE iu.test_told (n serial, what text);
CREATE FUNCTION iu.test_turned(p_code text, p_verdict text, p_previous text, p_detail text) RETURNS void LANGUAGE sql
  AS $$INSERT INTO iu.test_told (what)
  VALUES (concat_ws(' ', 'first', p_code, coalesce(p_previous, 'never'), p_verdict, p_detail))$$;
CREATE FUNCTION iu.test_turned_too(p_code text, p_verdict text, p_previous text, p_detail text) RETURNS void
  LANGUAGE plpgsql AS $$BEGIN INSERT INTO iu.test_told (what) VALUES ('undone'); PERFORM 1 / 0; END$$;
CREATE FUNCTION iu.test_turned_last(p_code text, p_verdict text, p_previous text, p_detail text) RETURNS void
  LANGUAGE sql AS $$INSERT INTO iu.test_told (what) VALUES ('last ' || p_code)$$;
SELECT iu.fn_iu_hook_add(9001, 'iu.fn_iu_invariant_turned(text,text,text,text)', 'iu.test_turned(text,text,text,text)'),
  iu.fn_iu_hook_add(9002, 'iu.fn_iu_invariant_turned(text,text,text,text)', 'iu.test_turned_too(text,text,text,text)'),
  iu.fn_iu_hook_add(9003, 'iu.fn_iu_invariant_turned(text,text,text,text)', 'iu.test_turned_last(text,text,text,text)');
RESET ROLE;
SET LOCAL client_min_messages = error;
UPDATE test_number SET l = 1, r = 1;
SELECT pg_temp.invariant('turns', 'SELECT l AS left_value, r AS right_value FROM public.test_number');
CREATE FUNCTION pg_temp.told() RETURNS text LANGUAGE sql AS $$SELECT string_agg(what, '; ' ORDER BY n)
  FROM iu.test_told$$;
SELECT pg_temp.verdict('turns');
SELECT is(pg_temp.told(), 'first turns never pass both are 1; last turns',
  'the first verdict is told, to all in order, and what one that fails did is undone');
SELECT pg_temp.verdict('turns');
SELECT is(pg_temp.told(), 'first turns never pass both are 1; last turns', 'the same verdict is not told again');
UPDATE test_number SET r = 2;
SELECT is(pg_temp.verdict('turns'), 'fail', 'a check is recorded whatever fails that is told of it');
SELECT is(pg_temp.told(),
  'first turns never pass both are 1; last turns; first turns pass fail left is 1, right is 2; last turns',
  'another verdict is told, with the one before');
SELECT fn_iu_invariant_unregister('turns', 'ann', 't');

UPDATE iu_invariant SET every_seconds = NULL;
SELECT is(iu.fn_iu_schedule_turn('w'), NULL,
  'with nothing on a schedule and no chores there is nothing to come back for');
SET LOCAL ROLE iu_core_owner;
CREATE FUNCTION iu.test_chore(p_worker text) RETURNS timestamptz LANGUAGE sql AS $$INSERT INTO iu.test_told (what)
  VALUES ('chore of ' || p_worker); SELECT '2100-01-01 00:00+00'::timestamptz$$;
CREATE FUNCTION iu.test_no_chore(p_worker text) RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz';
CREATE FUNCTION iu.test_bad_chore(p_worker text) RETURNS timestamptz LANGUAGE plpgsql AS $$BEGIN PERFORM 1 / 0; END$$;
SELECT iu.fn_iu_hook_add(9001, 'iu.fn_iu_schedule_chore(text)', 'iu.test_chore(text)'),
  iu.fn_iu_hook_add(9002, 'iu.fn_iu_schedule_chore(text)', 'iu.test_no_chore(text)');
RESET ROLE;
DELETE FROM iu.test_told;
SELECT iu.fn_iu_hook_remove(9003);
DELETE FROM iu.hook WHERE point LIKE '%turned%';
SELECT is(iu.fn_iu_schedule_turn('w'), '2100-01-01 00:00+00',
  'a chore is done where no invariant is due, and says when it wants to be called again');
SELECT is(pg_temp.told(), 'chore of w', 'it knows who calls');
SELECT pg_temp.invariant('due', 'SELECT 1 AS left_value, 1 AS right_value', ', p_every_seconds => 60');
SELECT cmp_ok(iu.fn_iu_schedule_turn('w'), '<=', clock_timestamp(),
  'an invariant that is due comes first, and the runner is to come back at once');
SELECT is(pg_temp.told() || ' ' || pg_temp.verdict('due'), 'chore of w pass', 'so no chore was done in that turn');
SELECT cmp_ok(iu.fn_iu_schedule_turn('w'), '<=', clock_timestamp() + interval '60 s',
  'the next turn returns what comes first, invariant or chore');
SELECT is(pg_temp.told(), 'chore of w; chore of w', 'and does the chore');
SELECT iu.fn_iu_hook_remove(9001), iu.fn_iu_hook_add(9003, 'iu.fn_iu_schedule_chore(text)', 'iu.test_bad_chore(text)'),
  fn_iu_invariant_unregister('due', 'ann', 't');
SELECT is(iu.fn_iu_schedule_turn('w') BETWEEN clock_timestamp() + interval '50 s'
  AND clock_timestamp() + interval '60 s', true, 'a chore that fails is called again in a minute');
ROLLBACK TO hooks;

-- One that a migration brings disabled.
SET LOCAL ROLE iu_core_owner;
SELECT iu.fn_iu_invariant_define(98, 'm98', 'public.test_numbers', 'of a migration', p_every_seconds => 60,
  p_enabled => false);
RESET ROLE;
SELECT is((SELECT concat_ws(' ', enabled, next_at) FROM v_iu_invariant WHERE invariant_code = 'm98'), 'f',
  'an invariant may come disabled: it is not on the schedule');
SELECT is_empty($$SELECT FROM fn_iu_invariant_check() WHERE code = 'm98'$$, 'a check of all leaves it out');
SELECT fn_iu_invariant_enable('m98', true, 'ann', 't');
SET LOCAL ROLE iu_core_owner;
SELECT iu.fn_iu_invariant_define(98, 'm98', 'public.test_numbers', 'of a migration, said otherwise',
  p_every_seconds => 60, p_enabled => false);
RESET ROLE;
SELECT is((SELECT enabled AND next_at IS NOT NULL FROM v_iu_invariant WHERE invariant_code = 'm98'), true,
  'what an administrator enabled stays enabled when its migration changes it');
SELECT iu.fn_iu_invariant_undefine(98);

SELECT pg_temp.invariant('spare', 'SELECT 1 AS left_value, 1 AS right_value');
SELECT is(fn_iu_invariant_unregister('spare', 'ann', 't') - 'run_id',
  '{"status": "unregistered", "invariant_code": "spare"}',
  'an invariant that no gate demands is unregistered');
SELECT is((SELECT array_agg(DISTINCT command_name ORDER BY command_name) FROM dot_iu_command_run
  WHERE command_name ~ 'invariant|demand' AND actor = 'ann' AND run_status = 'applied'),
  ARRAY['dot_iu_gate_demand_set', 'dot_iu_gate_demand_unset', 'dot_iu_invariant_enable', 'dot_iu_invariant_register',
  'dot_iu_invariant_unregister'],
  'the log of runs has each kind of command');
SELECT is(left(pg_temp.as_role(r, q), 5), s, 'as ' || r || ', ' || q || ' gives ' || s) FROM (VALUES
  ('iu_core_reader', 'SELECT ''seen'' FROM v_iu_invariant_watermark', 'seen'),
  ('iu_core_reader', 'SELECT fn_iu_invariant_check()', '42501'),
  ('iu_core_operator', 'SELECT ''ran'' || count(*) FROM fn_iu_invariant_check()', 'ran2'),
  ('iu_core_operator', $$SELECT fn_iu_invariant_register('z', 'public.test_keys', 'm', 'a', 'r')$$, '42501'),
  ('iu_core_operator', $$SELECT fn_iu_gate_demand_unset('iu_core.composer_enabled', 'n', 'a', 'r')$$, '42501'),
  ('iu_core_admin', $$SELECT fn_iu_gate_demand_unset('iu_core.composer_enabled', 'n', 'a', 'r') ->> 'status'$$,
  'unset'), ('iu_core_admin', $$SELECT iu.fn_iu_invariant_define(8, 'z', 'public.test_keys', 'm')$$, '42501'),
  ('iu_core_admin', 'UPDATE iu_invariant_state SET verdict = ''pass'' RETURNING 1', '42501'),
  ('iu_core_worker', 'SELECT coalesce(iu.fn_iu_schedule_turn(''w'')::text, ''none'') IS NOT NULL', 'true'),
  ('iu_core_worker', 'SELECT fn_iu_invariant_check()', '42501'),
  ('iu_core_agent', 'SELECT fn_iu_invariant_check()', '42501')) AS v (r, q, s);
SELECT pg_temp.refuses('SELECT iu_core.rollback(7)', '55006', 'rollback refused',
  'rolling back the migration of invariants is refused while there are some');

SELECT * FROM finish();
ROLLBACK;
