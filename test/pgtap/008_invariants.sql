-- 008: a pass is two values that were read and agree; a fail is two that were
-- read and have differed for long enough; all else is unknown, and opens nothing.
\ir setup.psql
SELECT no_plan();

CREATE TABLE test_left (id int, indexed boolean DEFAULT true, digest text DEFAULT 'd');
CREATE TABLE test_right (id int, digest text DEFAULT 'd');
CREATE TABLE test_number (l numeric, r numeric);
INSERT INTO test_left SELECT generate_series(1, 152);
INSERT INTO test_right SELECT generate_series(1, 149);
INSERT INTO test_number VALUES (3, 3);
CREATE VIEW test_numbers AS SELECT l AS left_value, r AS right_value, 'beside' AS note FROM test_number;
CREATE VIEW test_keys AS SELECT coalesce(l.id, r.id) AS key, l.digest AS left_value, r.digest AS right_value
  FROM (SELECT * FROM test_left WHERE indexed) l FULL JOIN test_right r ON r.id = l.id;
GRANT SELECT ON test_numbers, test_keys TO iu_core_owner;

-- A view made of a query, as an invariant of its name.
CREATE FUNCTION pg_temp.invariant(p_name text, p_query text, p_more text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE VIEW public.test_%s AS %s; GRANT SELECT ON public.test_%1$s TO iu_core_owner', p_name, p_query);
  EXECUTE format('SELECT fn_iu_invariant_register(%L, %L, ''m'', ''ann'', ''t'' %s)', p_name, 'public.test_' || p_name, p_more);
END $$;
CREATE FUNCTION pg_temp.found(p_code text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', verdict, left_value, right_value, difference, keys, keys_total, '(' || detail || ')') FROM fn_iu_invariant_check(p_code) $$;
CREATE FUNCTION pg_temp.verdict(p_code text) RETURNS text LANGUAGE sql AS $$SELECT verdict FROM fn_iu_invariant_check(p_code)$$;
-- As if that much time had gone by since the last check.
CREATE FUNCTION pg_temp.later(p_time interval) RETURNS void LANGUAGE sql AS $$
  UPDATE iu_invariant_key SET first_seen_at = first_seen_at - p_time;
  UPDATE iu_invariant_state SET differs_since = differs_since - p_time, checked_at = checked_at - p_time, last_pass_at = last_pass_at - p_time,
    logged_at = logged_at - p_time, next_at = next_at - p_time, verdict_since = verdict_since - p_time $$;

-- ---- two numbers

SELECT is(fn_iu_invariant_register('n', 'test_numbers', 'three are three', 'ann', 'change 1') - 'run_id', '{"status": "registered", "invariant_code": "n"}', 'registered');
SELECT is((SELECT verdict || ' ' || detail FROM v_iu_invariant WHERE invariant_code = 'n'), 'unknown not checked yet', 'before its first check it is unknown');
SELECT is(pg_temp.found('n'), 'pass 3 3 0 (both are 3)', 'equal: pass');
UPDATE test_number SET r = 3.0;
SELECT is(pg_temp.verdict('n'), 'pass', 'equal as numbers: pass');
UPDATE test_number SET l = 4;
SELECT is(pg_temp.found('n'), 'fail 4 3.0 1.0 (left is 4, right is 3.0)', 'more on the left: fail, left minus right');
UPDATE test_number SET r = 6;
SELECT is(pg_temp.found('n'), 'fail 4 6 -2 (left is 4, right is 6)', 'more on the right');
SELECT is(fn_iu_invariant_register('n', 'test_numbers', 'three are three', 'ann', 'change 1', p_tolerance => 2) ->> 'status', 'changed', 'changed');
SELECT is((SELECT verdict || coalesce(last_pass_at::text, ' never') FROM v_iu_invariant WHERE invariant_code = 'n'), 'unknown never', 'what it found as it was is forgotten');
SELECT is(pg_temp.found('n'), 'pass 4 6 -2 (left is 4, right is 6)', 'within the tolerance: pass');
UPDATE test_number SET l = 3.9;
SELECT is(pg_temp.verdict('n'), 'fail', 'just beyond it: fail');
SELECT is(fn_iu_invariant_register('n', 'test_numbers', 'three are three', 'ben', 'again', p_tolerance => 2) ->> 'status', 'unchanged', 'the same again: unchanged');

-- ---- nothing else is a pass

SELECT pg_temp.invariant(v.name, v.query) FROM (VALUES
  ('nulls', 'SELECT NULL::int AS left_value, NULL::int AS right_value'), ('lnull', 'SELECT NULL::int AS left_value, 1 AS right_value'), ('rnull', 'SELECT 1 AS left_value, NULL::int AS right_value'),
  ('none', 'SELECT 1 AS left_value, 1 AS right_value WHERE false'), ('two', 'SELECT 1 AS left_value, 1 AS right_value FROM generate_series(1, 2)'),
  ('nan', $$SELECT 'NaN'::float8 AS left_value, 'NaN'::float8 AS right_value$$), ('inf', $$SELECT 'Infinity'::float8 AS left_value, 'Infinity'::float8 AS right_value$$),
  ('raises', 'SELECT 1 / (l - l) AS left_value, 1::numeric AS right_value FROM test_number'), ('slow', 'SELECT 1 AS left_value, 1 AS right_value FROM pg_sleep(60)'),
  ('texts', $$SELECT '27/23/36' AS left_value, '27/23/36' AS right_value$$), ('other', $$SELECT '27/23/36' AS left_value, '27/24/36' AS right_value$$)) AS v (name, query);
SELECT is(pg_temp.found(v.name), v.found, v.name) FROM (VALUES
  ('nulls', 'unknown (left and right are NULL)'), ('lnull', 'unknown 1 (left is NULL)'), ('rnull', 'unknown 1 (right is NULL)'),
  ('none', 'unknown (the view has no row)'), ('two', 'unknown (the view has more than one row)'),
  ('nan', 'unknown NaN NaN (left or right is not a finite number)'), ('inf', 'unknown Infinity Infinity (left or right is not a finite number)'),
  ('raises', 'unknown (22012: division by zero)'),
  ('texts', 'pass 27/23/36 27/23/36 (both are 27/23/36)'), ('other', 'fail 27/23/36 27/24/36 (left is 27/23/36, right is 27/24/36)')) AS v (name, found);
SELECT is((SELECT error_code FROM iu_invariant_run WHERE invariant_code = 'raises'), '22012', 'the log has the SQLSTATE');
SELECT fn_iu_invariant_register('slow', 'public.test_slow', 'm', 'ann', 't', p_timeout_ms => 20);
SELECT is(pg_temp.found('slow'), 'unknown (no answer within 20 ms)', 'what takes too long is unknown');
SELECT cmp_ok((SELECT ms FROM iu_invariant_run WHERE invariant_code = 'slow'), '<', 30000::numeric, 'and is not waited for');
SELECT is((SELECT count(*) FROM generate_series(1, 3), fn_iu_invariant_check('texts')), 3::bigint, 'the next statement is not cancelled by its clock');
ALTER VIEW test_texts OWNER TO iu_core_reader;
SELECT alike(pg_temp.found('texts'), 'unknown (view public.test_texts belongs to iu_core_reader, not to iu_core_owner%', 'a view that somebody else may change is not read');
DROP VIEW test_texts;
SELECT is(pg_temp.found('texts'), $$unknown (there is no view 'public.test_texts')$$, 'a view that is gone');
REVOKE SELECT ON test_other FROM iu_core_owner;
SELECT is(pg_temp.found('other'), 'unknown (iu_core_owner may not read view public.test_other)', 'or may not be read');

CREATE FUNCTION test_odd() RETURNS int LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'odd' USING ERRCODE = 'IU000'; END$$;
SELECT pg_temp.invariant('odd', 'SELECT public.test_odd() AS left_value, 1 AS right_value');
SELECT is(pg_temp.found('odd'), 'unknown (IU000: odd)', 'a view that raises what means read here');

-- What it reads of others, and what they call, is nobody else's to change either.
CREATE FUNCTION test_theirs() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION test_definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION test_equal(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = test_equal);
CREATE VIEW test_inner AS SELECT 1 AS one;
SELECT pg_temp.invariant('calls', 'SELECT public.test_theirs() AS left_value, 1 AS right_value'), pg_temp.invariant('nested', 'SELECT one AS left_value, 1 AS right_value FROM public.test_inner'),
  pg_temp.invariant('operator', 'SELECT (1 OPERATOR(public.===) one)::int AS left_value, 1 AS right_value FROM public.test_inner'), pg_temp.invariant('definer', 'SELECT public.test_definer() AS left_value, 1 AS right_value');
SELECT is((SELECT array_agg(verdict) FROM unnest(ARRAY['calls', 'nested', 'operator', 'definer']) AS c (code), fn_iu_invariant_check(c.code)), array_fill('pass'::text, ARRAY[4]), 'a function, a view, an operator');
ALTER FUNCTION test_theirs() OWNER TO iu_core_reader;
ALTER FUNCTION test_definer() OWNER TO iu_core_reader;
ALTER FUNCTION test_equal(int, int) OWNER TO iu_core_reader;
ALTER VIEW test_inner OWNER TO iu_core_writer;
SELECT alike(pg_temp.found(v.name), v.found, v.name) FROM (VALUES ('calls', 'unknown (function public.test_theirs() belongs to iu_core_reader, not to%'), ('nested', 'unknown (view public.test_inner belongs to iu_core_writer%'),
  ('definer', 'pass%')) AS v (name, found);
ALTER VIEW test_inner OWNER TO CURRENT_USER;
SELECT alike(pg_temp.found('operator'), 'unknown (function public.test_equal(integer,integer) belongs to iu_core_reader%', 'the function of an operator');

-- A policy that leaves out rows makes no pass.
CREATE TABLE test_rows (n int);
INSERT INTO test_rows VALUES (1), (2);
ALTER TABLE test_rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON test_rows USING (n = 1);
GRANT SELECT ON test_rows TO iu_core_owner;
CREATE VIEW test_seen AS SELECT count(*) AS left_value, 1::bigint AS right_value FROM public.test_rows;
ALTER VIEW test_seen OWNER TO iu_core_owner;
SELECT fn_iu_invariant_register('rows', 'public.test_seen', 'm', 'ann', 't');
SELECT alike(pg_temp.found('rows'), 'unknown (42501: %row-level security%', 'a policy that leaves out rows makes no pass');

-- Two floating-point numbers that are the same to 15 digits.
SELECT pg_temp.invariant('digits', 'SELECT 1.0000000000000002::float8 AS left_value, 1::float8 AS right_value');
SELECT alike(pg_temp.found('digits'), 'fail 1.0000000000000002 1 %', 'a difference in the last digit is one');
SELECT fn_iu_invariant_register('digits', 'public.test_digits', 'm', 'ann', 't', p_tolerance => 0.001);
SELECT is(pg_temp.verdict('digits'), 'pass', 'unless it is tolerated');
SELECT pg_temp.invariant('arrays', $$SELECT '{{1,2}}'::int[] AS left_value, '{{1,2}}'::int[] AS right_value$$);
SELECT is(pg_temp.found('arrays'), 'pass {{1,2}} {{1,2}} (both are {{1,2}})', 'arrays');
SELECT pg_temp.invariant('long', 'SELECT key, 1 AS left_value, NULL::int AS right_value FROM (SELECT string_agg(md5(n::text), '''') AS key FROM generate_series(1, 300) n) x', ', p_settle_seconds => 60');
SELECT is(pg_temp.verdict('long'), 'unknown', 'a key that is too long to remember');
SELECT is((SELECT detail FROM iu_invariant_run WHERE invariant_code = 'long'), '1 key(s) are longer than 1000 bytes', 'as it says');

-- What a view does is undone.
CREATE FUNCTION test_writes() RETURNS int LANGUAGE sql AS $$INSERT INTO public.test_number VALUES (1, 1); SELECT set_config('test.x', 'y', false); SELECT 1$$;
GRANT INSERT ON test_number TO iu_core_owner;
SELECT pg_temp.invariant('writes', 'SELECT test_writes() AS left_value, (SELECT count(*)::int FROM iu_route_dead_letter) + 1 AS right_value');
SELECT is(pg_temp.verdict('writes'), 'pass', 'a view that writes is read');
SELECT is((SELECT count(*) FROM test_number) || coalesce(current_setting('test.x', true), ''), '1', 'and what it did is undone');

-- ---- keys

SELECT fn_iu_invariant_register('k', 'test_keys', 'every row has its point', 'ann', 't');
SELECT is(pg_temp.found('k'), 'fail 152 149 3 {150,151,152} 3 (3 key(s) differ: 3 on the left only, 0 on the right only, 0 with different values)', '152 keys against 149: the three are named');
UPDATE test_left SET indexed = false WHERE id > 149;
SELECT is(pg_temp.found('k'), 'pass 149 149 0 {} 0 (the same 149 key(s) on both sides)', 'with the three marked as not indexed it holds');
DELETE FROM test_left WHERE id = 7;
UPDATE test_right SET digest = 'e' WHERE id = 9;
UPDATE test_right SET digest = NULL WHERE id = 11;
SELECT is(pg_temp.found('k'), 'fail 148 148 3 {11,7,9} 3 (3 key(s) differ: 1 on the left only, 1 on the right only, 1 with different values)', 'left only, right only, different: as many on both sides, and no pass');
UPDATE test_left SET digest = NULL WHERE id = 11;
SELECT is(pg_temp.found('k'), 'fail 147 148 3 {11,7,9} 3 (3 key(s) differ: 0 on the left only, 1 on the right only, 1 with different values, 1 with a value on neither side)', 'NULL is not equal to NULL');
INSERT INTO test_right VALUES (9, 'd');
SELECT alike(pg_temp.found('k'), $$unknown 148 149%(key '9' is there more than once, so that it has no one partner)$$, 'a key that is there twice');
DELETE FROM test_right WHERE id = 9;
INSERT INTO test_right VALUES (NULL, 'd');
SELECT alike(pg_temp.found('k'), 'unknown %(1 row(s) of the view have no key)', 'a row without a key');
DELETE FROM test_right WHERE id IS NULL OR id > 50;
SELECT row_eq($$SELECT verdict, cardinality(keys), keys_total, keys[1:3] FROM fn_iu_invariant_check('k')$$, ROW('fail'::text, 20, 102::bigint, ARRAY['100', '101', '102']), 'the first 20 are shown, and how many there are');
SELECT fn_iu_invariant_register('k', 'test_keys', 'every row has its point', 'ann', 't', p_tolerance => 102);
SELECT is(pg_temp.verdict('k'), 'pass', 'a tolerance of keys');
DELETE FROM test_left WHERE id = 8;
SELECT is(pg_temp.verdict('k'), 'fail', 'and one more');
DELETE FROM test_left;
DELETE FROM test_right;
SELECT is(pg_temp.found('k'), 'pass 0 0 0 {} 0 (the same 0 key(s) on both sides)', 'none on either side');

-- ---- the settle window

UPDATE test_number SET l = 3, r = 3;
SELECT fn_iu_invariant_register('n', 'test_numbers', 'three are three', 'ann', 't', p_settle_seconds => 60);
SELECT is(pg_temp.verdict('n'), 'pass', 'nothing to settle');
UPDATE test_number SET l = 4;
SELECT alike(pg_temp.found('n'), 'unknown 4 3 1 (left is 4, right is 3; settling: fails if it is still so at % UTC)', 'a young difference is unknown');
SELECT pg_temp.later('59 s');
SELECT is(pg_temp.verdict('n'), 'unknown', 'and still');
SELECT pg_temp.later('2 s');
SELECT is(pg_temp.verdict('n'), 'fail', 'until it has lasted longer');
UPDATE test_number SET l = 3;
SELECT is(pg_temp.verdict('n'), 'pass', 'gone: pass');
UPDATE test_number SET l = 5;
SELECT is(pg_temp.verdict('n'), 'unknown', 'the next one is young again');
SELECT pg_temp.later('40 s');
CREATE OR REPLACE VIEW test_numbers AS SELECT l / 0 AS left_value, r AS right_value, 'beside' AS note FROM test_number;
SELECT is(pg_temp.verdict('n'), 'unknown', 'what cannot be read');
CREATE OR REPLACE VIEW test_numbers AS SELECT l AS left_value, r AS right_value, 'beside' AS note FROM test_number;
SELECT pg_temp.later('40 s');
SELECT is(pg_temp.verdict('n'), 'fail', 'does not make an old difference young');

INSERT INTO test_left SELECT generate_series(1, 5);
INSERT INTO test_right SELECT generate_series(1, 3);
SELECT fn_iu_invariant_register('k', 'test_keys', 'every row has its point', 'ann', 't', p_settle_seconds => 60, p_tolerance => 1);
SELECT is(pg_temp.verdict('k'), 'unknown', 'two keys on the way');
SELECT pg_temp.later('50 s');
INSERT INTO test_right VALUES (4), (5);
INSERT INTO test_left VALUES (6), (7);
SELECT is(pg_temp.verdict('k'), 'unknown', 'they arrived, two others are on the way');
SELECT pg_temp.later('50 s');
SELECT is(pg_temp.verdict('k'), 'unknown', 'there has been a difference for longer than the window, but no two keys of it');
INSERT INTO test_left VALUES (8);
DELETE FROM test_right WHERE id = 6;
SELECT is(pg_temp.verdict('k'), 'unknown', 'a third');
SELECT pg_temp.later('20 s');
SELECT is(pg_temp.verdict('k'), 'fail', 'two have lasted: beyond the tolerance of one');
INSERT INTO test_right VALUES (7);
SELECT is(pg_temp.verdict('k'), 'unknown', 'one of them arrived: one has lasted, one is young');
SELECT is((SELECT array_agg(key ORDER BY key) FROM iu_invariant_key WHERE invariant_code = 'k'), ARRAY['6', '8'], 'what is remembered is what differs');
-- Nor does it begin again for a key in another notation, or for a check that began earlier and is recorded later.
SELECT pg_temp.invariant('days', $$SELECT date '2026-11-21' AS key, 1 AS left_value, NULL::int AS right_value$$, ', p_settle_seconds => 60');
SELECT is(pg_temp.verdict('days'), 'unknown', 'a day that differs');
CREATE TEMP TABLE earlier AS SELECT i, iu.fn_iu_invariant_measure(i, 'hand') AS r FROM iu_invariant i WHERE invariant_code = 'days';
UPDATE earlier SET r.verdict = 'pass', r.keys = '{}', r.keys_total = 0, r.checked_at = (r).checked_at - interval '1 s';
SELECT pg_temp.later('61 s');
SET LOCAL datestyle = 'SQL, DMY';
SELECT is(pg_temp.verdict('days'), 'fail', 'is the same key in another notation');
RESET datestyle;
SELECT is((SELECT (iu.fn_iu_invariant_record(i, r)).verdict FROM earlier), 'pass', 'a check that began earlier');
SELECT is((SELECT verdict || ' ' || left_value FROM v_iu_invariant WHERE invariant_code = 'days'), 'fail 1', 'is logged, and changes nothing');
SELECT is(pg_temp.verdict('days'), 'fail', 'nor makes what differs young');
UPDATE iu_invariant_state SET checked_at = checked_at + interval '1 day', logged_at = logged_at + interval '1 day' WHERE invariant_code = 'days';
UPDATE iu_invariant_key SET first_seen_at = first_seen_at + interval '1 day' WHERE invariant_code = 'days';
CREATE OR REPLACE VIEW test_days AS SELECT date '2026-11-21' AS key, 1 AS left_value, 1 AS right_value;
SELECT is(pg_temp.verdict('days'), 'pass', 'after the clock was set back');
SELECT is((SELECT verdict FROM v_iu_invariant WHERE invariant_code = 'days'), 'pass', 'a check counts');
CREATE OR REPLACE VIEW test_days AS SELECT date '2026-11-21' AS key, 1 AS left_value, NULL::int AS right_value;
UPDATE iu_invariant_state SET checked_at = checked_at - interval '1 s' WHERE invariant_code = 'days';
INSERT INTO iu_invariant_key VALUES ('days', '2026-11-21', clock_timestamp() + interval '1 day');
SELECT is(pg_temp.verdict('days'), 'unknown', 'and a key that was first seen tomorrow');
SELECT cmp_ok((SELECT first_seen_at FROM iu_invariant_key WHERE invariant_code = 'days'), '<=', clock_timestamp(), 'was first seen now');
SELECT pg_temp.invariant('many', $$SELECT n AS key, 1 AS left_value, NULL::int AS right_value FROM generate_series(1, 10001) n$$, ', p_settle_seconds => 60');
SELECT is(pg_temp.verdict('many'), 'unknown', 'more keys than are remembered');
SELECT is((SELECT count(*) FROM iu_invariant_key WHERE invariant_code = 'many'), 10000::bigint, 'no more are remembered');
SELECT pg_temp.later('61 s');
SELECT is(pg_temp.verdict('many'), 'fail', 'are judged together');

-- ---- the log, the state, the watermark

SELECT pg_temp.refuses('DELETE FROM iu_invariant_run', '42501', 'append-only', 'the log is append-only');
SELECT is((SELECT asked_by || ' ' || session_role FROM iu_invariant_run ORDER BY run_seq DESC LIMIT 1), 'hand ' || session_user, 'it says who asked');
SELECT is((SELECT last_full_pass_at IS NULL AND NOT all_pass AND failing >= 1 AND unknown >= 1 FROM v_iu_invariant_watermark), true, 'no full pass');
SELECT fn_iu_invariant_unregister(invariant_code, 'ann', 't') FROM iu_invariant WHERE invariant_code NOT IN ('n', 'k');
UPDATE test_number SET l = 3;
INSERT INTO test_right VALUES (6), (8);
SELECT is((SELECT array_agg(code || ' ' || verdict) FROM fn_iu_invariant_check()), ARRAY['k pass', 'n pass'], 'a check of all');
SELECT is((SELECT row(last_full_pass_at = (SELECT min(last_pass_at) FROM iu_invariant_state), all_pass, invariants, passing) FROM v_iu_invariant_watermark), row(true, true, 2::bigint, 2::bigint), 'the watermark: since then each has passed');
UPDATE test_number SET l = 9;
SELECT fn_iu_invariant_check('n');
SELECT is((SELECT row(last_full_pass_at = (SELECT min(last_pass_at) FROM iu_invariant_state), all_pass) FROM v_iu_invariant_watermark), row(true, false), 'it stays where it was');
SELECT fn_iu_invariant_enable('n', false, 'ann', 't');
SELECT is((SELECT array_agg(code) FROM fn_iu_invariant_check()), ARRAY['k'], 'a disabled one is no part of it');
SELECT is(pg_temp.verdict('n'), 'unknown', 'but can be asked for');
SELECT fn_iu_invariant_enable('n', true, 'ann', 't');
UPDATE iu_invariant_state SET system_identifier = system_identifier + 1 WHERE invariant_code = 'k';
SELECT is((SELECT verdict || ' ' || detail FROM v_iu_invariant WHERE invariant_code = 'k'), 'unknown not checked in this database, which is a copy', 'in a copy it is unknown');

-- ---- on a schedule

UPDATE test_number SET l = 3;
SELECT is(iu.fn_iu_schedule_turn('test'), NULL, 'nothing is scheduled');
SELECT fn_iu_invariant_register('n', 'test_numbers', 'm', 'ann', 't', p_every_seconds => 60);
SELECT fn_iu_invariant_register('k', 'test_keys', 'm', 'ann', 't', p_every_seconds => 600);
CREATE TEMP TABLE before AS SELECT count(*) AS runs FROM iu_invariant_run;
CREATE FUNCTION pg_temp.logged() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) - (SELECT runs FROM before) FROM iu_invariant_run$$;
SELECT cmp_ok(iu.fn_iu_schedule_turn('test'), '<=', clock_timestamp(), 'one is checked, the other is due');
SELECT is(pg_temp.logged(), 1::bigint, 'one a turn');
SELECT is(iu.fn_iu_schedule_turn('test'), (SELECT min(checked_at) + interval '60 s' FROM iu_invariant_state WHERE invariant_code = 'n'), 'then the other; the next is due in 60 s');
SELECT iu.fn_iu_schedule_turn('test');
SELECT is(pg_temp.logged(), 2::bigint, 'nothing is due');
SELECT pg_temp.later('61 s');
SELECT iu.fn_iu_schedule_turn('test'), iu.fn_iu_schedule_turn('test');
SELECT is((SELECT array_agg(invariant_code || ' ' || checks ORDER BY invariant_code) FROM iu_invariant_state WHERE checked_at > clock_timestamp() - interval '30 s'), (SELECT ARRAY['n ' || checks] FROM iu_invariant_state WHERE invariant_code = 'n'), 'one is due again');
SELECT is(pg_temp.logged(), 2::bigint, 'what it found before is not logged again');
UPDATE test_number SET l = 4;
SELECT pg_temp.later('61 s');
SELECT iu.fn_iu_schedule_turn('test');
SELECT is((SELECT asked_by || ' ' || verdict FROM iu_invariant_run ORDER BY run_seq DESC LIMIT 1), 'schedule fail', 'what is new is');
SELECT pg_temp.later('61 minutes');
SELECT iu.fn_iu_schedule_turn('test'), iu.fn_iu_schedule_turn('test');
SELECT is(pg_temp.logged(), 5::bigint, 'and one an hour');
UPDATE iu_invariant_state SET next_at = clock_timestamp() + interval '1 day', checked_at = clock_timestamp() + interval '1 day' WHERE invariant_code = 'n';
SELECT is(iu.fn_iu_schedule_turn('test') > clock_timestamp() - interval '1 s', true, 'after the clock was set back the runner is not called at once for ever');
SELECT cmp_ok((SELECT checked_at FROM iu_invariant_state WHERE invariant_code = 'n'), '<=', clock_timestamp(), 'it is checked');
SELECT cmp_ok((SELECT next_at FROM iu_invariant_state WHERE invariant_code = 'n'), '<=', clock_timestamp() + interval '60 s', 'a clock that was set back holds nothing up');
UPDATE iu_invariant_state SET next_at = clock_timestamp() - interval '3 minutes' WHERE invariant_code = 'n';
SELECT is((SELECT array_agg(invariant_code) FROM v_iu_invariant WHERE overdue), ARRAY['n'], 'what nobody checks is overdue');
SELECT fn_iu_invariant_enable('n', false, 'ann', 't'), fn_iu_invariant_enable('k', false, 'ann', 't');
SELECT is(iu.fn_iu_schedule_turn('test'), NULL, 'disabled: not scheduled');
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
SELECT is(pg_temp.opens(), 'opened', 'nothing is demanded');
SELECT is(fn_iu_gate_demand_set('iu_core.composer_enabled', 'n', 60, 'ann', 't') - 'run_id',
  '{"status": "set", "gate_key": "iu_core.composer_enabled", "invariant_code": "n", "max_age_seconds": 60}', 'a demand');
SELECT is((SELECT demanded_by FROM v_iu_invariant WHERE invariant_code = 'n'), ARRAY['iu_core.composer_enabled'], 'is shown');
SELECT is(pg_temp.opens(), 'opened', 'it holds: the opening checked it');
SELECT is((SELECT asked_by || ' ' || verdict FROM iu_invariant_run ORDER BY run_seq DESC LIMIT 1), 'gate pass', 'and logged that');
UPDATE test_number SET l = 4;
SELECT is(pg_temp.opens(), 'opened', 'the pass of a moment ago is good for 60 s');
SELECT pg_temp.later('61 s');
SELECT is(pg_temp.opens(), 'IU111 gate "iu_core.composer_enabled" demands invariant "n", which fails; left is 4, right is 3' || E'\nIt means: m', 'then it is checked again: refused');
SELECT is((SELECT count(*) FROM iu_gate_transition WHERE gate_key = 'iu_core.composer_enabled' AND action = 'open' AND created_at > now()), 3::bigint, 'and nothing is opened');
UPDATE test_number SET l = 3;
SELECT fn_iu_invariant_check('n');
UPDATE test_number SET l = 4;
SELECT fn_iu_invariant_check('n');
SELECT alike(pg_temp.opens(), 'IU111 %', 'a pass counts only if nothing else was found since');
UPDATE test_number SET l = NULL;
SELECT alike(pg_temp.opens(), 'IU112 gate "iu_core.composer_enabled" demands invariant "n", which is unknown; left is NULL%', 'unknown is no pass');
UPDATE test_number SET l = 3;
SELECT fn_iu_invariant_check('n');
UPDATE test_number SET l = 4;
UPDATE iu_invariant_state SET system_identifier = system_identifier + 1 WHERE invariant_code = 'n';
SELECT alike(pg_temp.opens(), 'IU111 %', 'a pass in the original of a copy is none');
UPDATE test_number SET l = 3;
SELECT fn_iu_invariant_check('n');
SELECT fn_iu_invariant_enable('n', false, 'ann', 't');
SELECT alike(pg_temp.opens(), 'IU112 gate "iu_core.composer_enabled" demands invariant "n", which is disabled%', 'one that is disabled keeps the gate shut');
SELECT fn_iu_invariant_enable('n', true, 'ann', 't');
CREATE TEMP TABLE state AS SELECT * FROM iu_invariant_state WHERE invariant_code = 'n';
DELETE FROM iu_invariant_state WHERE invariant_code = 'n';
SELECT alike(pg_temp.opens(), '42704 %', 'one whose state is lost does as well');
INSERT INTO iu_invariant_state SELECT * FROM state;
SELECT fn_iu_gate_demand_set('iu_core.composer_enabled', 'n', 0, 'ann', 't'), fn_iu_gate_demand_set('iu_core.composer_enabled', 'k', 0, 'ann', 't');
SELECT is(pg_temp.opens(), 'opened', 'two demands, both hold');
DELETE FROM test_right WHERE id = 1;
SELECT alike(pg_temp.opens(), 'IU111 %"k", which fails; 1 key(s) differ%' || E'\nKeys: 1\n%', 'one does not, and its keys are named');
SELECT pg_temp.refuses($$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'ann', 'urgent', 60)$$, 'IU111', 'demands invariant "k"', 'break-glass is bound by it');
SELECT is(fn_iu_gate_open('iu_core.structure_ops_enabled', gen_random_uuid(), 'ann', 't', 1) ->> 'status', 'opened', 'another gate is not');
SELECT fn_iu_gate_close('iu_core.structure_ops_enabled', 'ann', 't');
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_unregister('k', 'ann', 't')$$, '55006', 'is demanded by gates', 'what a gate demands is not unregistered');
SELECT is(fn_iu_gate_demand_unset('iu_core.composer_enabled', 'k', 'ann', 't') ->> 'status', 'unset', 'the demand is taken back');
SELECT is(pg_temp.opens(), 'opened', 'and the gate opens');
SELECT pg_temp.refuses('SELECT fn_iu_gate_demand_' || a, e, m, 'demand: ' || a) FROM (VALUES
  ($$set('iu_core.delivery_live_routes', 'n', 1, 'ann', 't')$$, '42501', 'not a governable'), ($$set('iu_core.vector_sync_enabled', 'n', 1, 'ann', 't')$$, '42501', 'iu_gate_never_flip'),
  ($$set(NULL, 'n', 1, 'ann', 't')$$, '42501', 'NULL'), ($$set('iu_core.composer_enabled', 'x', 1, 'ann', 't')$$, '42704', 'not registered'),
  ($$set('iu_core.composer_enabled', 'n', -1, 'ann', 't')$$, '23514', 'from 0'), ($$set('iu_core.composer_enabled', 'n', NULL, 'ann', 't')$$, '23514', 'from 0'),
  ($$set('iu_core.composer_enabled', 'n', 1, ' ', 't')$$, '23514', 'iu_actor_and_reason'), ($$set('iu_core.composer_enabled', 'n', 1, 'ann', NULL)$$, '23514', 'iu_actor_and_reason'),
  ($$unset('iu_core.composer_enabled', 'k', 'ann', 't')$$, '42704', 'does not demand')) AS v (a, e, m);

-- ---- who, and what may be registered

CREATE VIEW test_onesided AS SELECT 1 AS left_value;
CREATE VIEW test_apart AS SELECT 1 AS left_value, now() AS right_value;
CREATE VIEW test_json AS SELECT '1'::json AS left_value, '1'::json AS right_value;
CREATE VIEW test_secret AS SELECT 1 AS left_value, 1 AS right_value;
CREATE VIEW test_strange AS SELECT 1 AS left_value, 1 AS right_value;
ALTER VIEW test_strange OWNER TO iu_core_admin;
GRANT SELECT ON test_onesided, test_apart, test_json, test_strange TO iu_core_owner;
SELECT pg_temp.refuses(format('SELECT fn_iu_invariant_register(%s)', a), '23514', m, 'register: ' || a) FROM (VALUES
  ($$'X', 'test_keys', 'm', 'a', 'r'$$, 'iu_invariant_code'), ($$NULL, 'test_keys', 'm', 'a', 'r'$$, 'iu_invariant_code'), ($$'x', 'test_keys', ' ', 'a', 'r'$$, 'iu_invariant_meaning'),
  ($$'x', 'test_keys', 'm', '', 'r'$$, 'iu_actor_and_reason'), ($$'x', 'test_keys', 'm', 'a', NULL$$, 'iu_actor_and_reason'), ($$'x', 'test_keys', 'm', 'a', 'r', 'high'$$, 'severity'),
  ($$'x', 'test_keys', 'm', 'a', 'r', p_tolerance => -1$$, 'tolerance'), ($$'x', 'test_keys', 'm', 'a', 'r', p_tolerance => 'NaN'$$, 'tolerance'),
  ($$'x', 'test_keys', 'm', 'a', 'r', p_settle_seconds => -1$$, 'p_settle_seconds'), ($$'x', 'test_keys', 'm', 'a', 'r', p_every_seconds => 0$$, 'p_every_seconds'),
  ($$'x', 'test_keys', 'm', 'a', 'r', p_timeout_ms => 60001$$, 'p_timeout_ms'), ($$'x', 'test_left', 'm', 'a', 'r'$$, 'is not a view'), ($$'x', NULL, 'm', 'a', 'r'$$, 'no view NULL'),
  ($$'x', 'test_onesided', 'm', 'a', 'r'$$, 'has not both columns'), ($$'x', 'test_apart', 'm', 'a', 'r'$$, 'cannot be compared'),
  ($$'x', 'test_json', 'm', 'a', 'r'$$, 'cannot be compared'), ($$'x', 'test_secret', 'm', 'a', 'r'$$, 'may not read'), ($$'x', 'test_strange', 'm', 'a', 'r'$$, 'belongs to iu_core_admin')) AS v (a, m);
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_check('x')$$, '42704', 'invariant "x" is not registered', 'an unknown code');
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_unregister('x', 'ann', 't')$$, '42704', 'not registered', 'nor can it be unregistered');
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_enable('x', true, 'ann', 't')$$, '42704', 'not registered', 'or enabled');
SET LOCAL ROLE iu_core_owner;
SELECT iu.fn_iu_invariant_define(99, 'm99', 'public.test_numbers', 'of a migration');
RESET ROLE;
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_unregister('m99', 'ann', 't')$$, '55006', 'belongs to migration 99', 'one of a migration stays');
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_register('m99', 'test_keys', 'm', 'ann', 't')$$, '42710', 'belongs to migration 99', 'and is nobody else''s');
SELECT fn_iu_gate_demand_set('iu_core.composer_enabled', 'm99', 0, 'ann', 't');
SELECT pg_temp.refuses('SELECT iu.fn_iu_invariant_undefine(99)', '55006', 'a gate demands', 'its rollback refuses while a gate demands it');
SELECT fn_iu_gate_demand_unset('iu_core.composer_enabled', 'm99', 'ann', 't');
SELECT iu.fn_iu_invariant_undefine(99);
SELECT is_empty($$SELECT FROM iu_invariant WHERE migration IS NOT NULL$$, 'and removes it otherwise');
SELECT is((SELECT array_agg(DISTINCT command_name ORDER BY command_name) FROM dot_iu_command_run WHERE command_name ~ 'invariant|demand' AND actor = 'ann' AND run_status = 'applied'),
  ARRAY['dot_iu_gate_demand_set', 'dot_iu_gate_demand_unset', 'dot_iu_invariant_enable', 'dot_iu_invariant_register', 'dot_iu_invariant_unregister'], 'the ledger has each kind of command');
SELECT is(left(pg_temp.as_role(r, q), 5), s, r || ': ' || q) FROM (VALUES
  ('iu_core_reader', 'SELECT ''seen'' FROM v_iu_invariant_watermark', 'seen'), ('iu_core_reader', 'SELECT fn_iu_invariant_check()', '42501'),
  ('iu_core_operator', 'SELECT ''ran'' || count(*) FROM fn_iu_invariant_check()', 'ran2'),
  ('iu_core_operator', $$SELECT fn_iu_invariant_register('z', 'public.test_keys', 'm', 'a', 'r')$$, '42501'), ('iu_core_operator', $$SELECT fn_iu_gate_demand_unset('iu_core.composer_enabled', 'n', 'a', 'r')$$, '42501'),
  ('iu_core_admin', $$SELECT fn_iu_gate_demand_unset('iu_core.composer_enabled', 'n', 'a', 'r') ->> 'status'$$, 'unset'), ('iu_core_admin', $$SELECT iu.fn_iu_invariant_define(8, 'z', 'public.test_keys', 'm')$$, '42501'),
  ('iu_core_admin', 'UPDATE iu_invariant_state SET verdict = ''pass'' RETURNING 1', '42501'), ('iu_core_worker', 'SELECT coalesce(iu.fn_iu_schedule_turn(''w'')::text, ''none'') IS NOT NULL', 'true'),
  ('iu_core_worker', 'SELECT fn_iu_invariant_check()', '42501'), ('iu_core_agent', 'SELECT fn_iu_invariant_check()', '42501')) AS v (r, q, s);
SELECT pg_temp.refuses('SELECT iu_core.rollback(7)', '55006', 'rollback refused', 'a rollback refuses');

SELECT * FROM finish();
ROLLBACK;
