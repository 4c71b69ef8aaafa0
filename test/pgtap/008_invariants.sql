-- 008: a pass is two values that were read and agree; a fail is two that were
-- read and have differed for long enough; all else is unknown.
\ir setup.psql
\ir 008_invariants.psql
SELECT no_plan();

-- ---- two numbers

SELECT is(fn_iu_invariant_register('n', 'test_numbers', 'three are three', 'ann', 'change 1') - 'run_id',
  '{"status": "registered", "invariant_code": "n"}',
  'an invariant can be registered');
SELECT is((SELECT verdict || ' ' || detail FROM v_iu_invariant WHERE invariant_code = 'n'), 'unknown not checked yet',
  'before its first check an invariant is unknown');
SELECT is(pg_temp.found('n'), 'pass 3 3 0 (both are 3)', 'two equal numbers are a pass');
UPDATE test_number SET r = 3.0;
SELECT is(pg_temp.verdict('n'), 'pass', 'two numbers that are equal in another notation are a pass');
UPDATE test_number SET l = 4;
SELECT is(pg_temp.found('n'), 'fail 4 3.0 1.0 (left is 4, right is 3.0)',
  'more on the left is a fail with the difference of left minus right');
UPDATE test_number SET r = 6;
SELECT is(pg_temp.found('n'), 'fail 4 6 -2 (left is 4, right is 6)',
  'more on the right is a fail with a negative difference');
SELECT is(fn_iu_invariant_register('n', 'test_numbers', 'three are three', 'ann', 'change 1',
  p_tolerance => 2) ->> 'status', 'changed',
  'registering an invariant anew with another tolerance changes it');
SELECT is((SELECT verdict || coalesce(last_pass_at::text, ' never') FROM v_iu_invariant WHERE invariant_code = 'n'),
  'unknown never',
  'changing an invariant forgets what it found before');
SELECT is(pg_temp.found('n'), 'pass 4 6 -2 (left is 4, right is 6)', 'a difference within the tolerance is a pass');
UPDATE test_number SET l = 3.9;
SELECT is(pg_temp.verdict('n'), 'fail', 'a difference just beyond the tolerance is a fail');
SELECT is(fn_iu_invariant_register('n', 'test_numbers', 'three are three', 'ben', 'again',
  p_tolerance => 2) ->> 'status', 'unchanged',
  'registering an invariant as it is leaves it unchanged');

-- ---- nothing else is a pass

SELECT pg_temp.invariant(v.name, v.query) FROM (VALUES
  ('nulls', 'SELECT NULL::int AS left_value, NULL::int AS right_value'),
  ('lnull', 'SELECT NULL::int AS left_value, 1 AS right_value'),
  ('rnull', 'SELECT 1 AS left_value, NULL::int AS right_value'),
  ('none', 'SELECT 1 AS left_value, 1 AS right_value WHERE false'),
  ('two', 'SELECT 1 AS left_value, 1 AS right_value FROM generate_series(1, 2)'),
  ('nan', $$SELECT 'NaN'::float8 AS left_value, 'NaN'::float8 AS right_value$$),
  ('inf', $$SELECT 'Infinity'::float8 AS left_value, 'Infinity'::float8 AS right_value$$),
  ('raises', 'SELECT 1 / (l - l) AS left_value, 1::numeric AS right_value FROM test_number'),
  ('slow', 'SELECT 1 AS left_value, 1 AS right_value FROM pg_sleep(60)'),
  ('texts', $$SELECT '27/23/36' AS left_value, '27/23/36' AS right_value$$),
  ('other', $$SELECT '27/23/36' AS left_value, '27/24/36' AS right_value$$)) AS v (name, query);
SELECT is(pg_temp.found(v.name), v.found, 'invariant "' || v.name || '" is found to be: ' || v.found) FROM (VALUES
  ('nulls', 'unknown (left and right are NULL)'), ('lnull', 'unknown 1 (left is NULL)'),
  ('rnull', 'unknown 1 (right is NULL)'),
  ('none', 'unknown (the view has no row)'), ('two', 'unknown (the view has more than one row)'),
  ('nan', 'unknown NaN NaN (left or right is not a finite number)'),
  ('inf', 'unknown Infinity Infinity (left or right is not a finite number)'),
  ('raises', 'unknown (22012: division by zero)'),
  ('texts', 'pass 27/23/36 27/23/36 (both are 27/23/36)'),
  ('other', 'fail 27/23/36 27/24/36 (left is 27/23/36, right is 27/24/36)')) AS v (name, found);
SELECT is((SELECT error_code FROM iu_invariant_run WHERE invariant_code = 'raises'), '22012',
  'the log of a check that raised has the SQLSTATE');
SELECT fn_iu_invariant_register('slow', 'public.test_slow', 'm', 'ann', 't', p_timeout_ms => 20);
SELECT is(pg_temp.found('slow'), 'unknown (no answer within 20 ms)', 'a view that takes too long is unknown');
SELECT cmp_ok((SELECT ms FROM iu_invariant_run WHERE invariant_code = 'slow'), '<', 30000::numeric,
  'a view that takes too long is not waited for');
SELECT is((SELECT count(*) FROM generate_series(1, 3), fn_iu_invariant_check('texts')), 3::bigint,
  'the statement after a check is not cancelled by the check''s clock');
ALTER VIEW test_texts OWNER TO iu_core_reader;
SELECT alike(pg_temp.found('texts'), 'unknown (view public.test_texts belongs to iu_core_reader, not to iu_core_owner%',
  'a view that somebody else may change is not read');
DROP VIEW test_texts;
SELECT is(pg_temp.found('texts'), $$unknown (there is no view 'public.test_texts')$$, 'a view that is gone is unknown');
REVOKE SELECT ON test_other FROM iu_core_owner;
SELECT is(pg_temp.found('other'), 'unknown (iu_core_owner may not read view public.test_other)',
  'a view that the owner may not read is unknown');

CREATE FUNCTION test_odd() RETURNS int LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'odd' USING ERRCODE = 'IU000'; END$$;
SELECT pg_temp.invariant('odd', 'SELECT public.test_odd() AS left_value, 1 AS right_value');
SELECT is(pg_temp.found('odd'), 'unknown (IU000: odd)', 'a view that raises an SQLSTATE of iu_core''s own is unknown');
CREATE FUNCTION test_hint() RETURNS int LANGUAGE plpgsql AS $$BEGIN
  RAISE EXCEPTION 'the door is shut' USING HINT = 'Open it.'; END$$;
SELECT pg_temp.invariant('hint', 'SELECT public.test_hint() AS left_value, 1 AS right_value');
SELECT is(pg_temp.found('hint'), 'unknown (P0001: the door is shut Hint: Open it.)',
  'what is found of a view that raises keeps the hint, which says what to do');

-- What it reads of others, and what they call, is nobody else's to change either.
CREATE FUNCTION test_theirs() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION test_definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION test_equal(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = test_equal);
CREATE VIEW test_inner AS SELECT 1 AS one;
SELECT pg_temp.invariant('calls', 'SELECT public.test_theirs() AS left_value, 1 AS right_value'),
  pg_temp.invariant('nested', 'SELECT one AS left_value, 1 AS right_value FROM public.test_inner'),
  pg_temp.invariant('operator',
  'SELECT (1 OPERATOR(public.===) one)::int AS left_value, 1 AS right_value FROM public.test_inner'),
  pg_temp.invariant('definer', 'SELECT public.test_definer() AS left_value, 1 AS right_value');
SELECT is((SELECT array_agg(verdict) FROM unnest(ARRAY['calls', 'nested', 'operator', 'definer']) AS c (code),
  fn_iu_invariant_check(c.code)), array_fill('pass'::text, ARRAY[4]),
  'views with a function, another view and an operator of the owner''s are read');
ALTER FUNCTION test_theirs() OWNER TO iu_core_reader;
ALTER FUNCTION test_definer() OWNER TO iu_core_reader;
ALTER FUNCTION test_equal(int, int) OWNER TO iu_core_reader;
ALTER VIEW test_inner OWNER TO iu_core_writer;
SELECT alike(pg_temp.found(v.name), v.found,
  'invariant "' || v.name || '" of which others own a part is found to be: ' || v.found)
  FROM (VALUES ('calls', 'unknown (function public.test_theirs() belongs to iu_core_reader, not to%'),
  ('nested', 'unknown (view public.test_inner belongs to iu_core_writer%'),
  ('definer', 'pass%')) AS v (name, found);
ALTER VIEW test_inner OWNER TO CURRENT_USER;
SELECT alike(pg_temp.found('operator'),
  'unknown (function public.test_equal(integer,integer) belongs to iu_core_reader%',
  'a view with an operator whose function belongs to somebody else is not read');

-- A policy that leaves out rows makes no pass.
CREATE TABLE test_rows (n int);
INSERT INTO test_rows VALUES (1), (2);
ALTER TABLE test_rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON test_rows USING (n = 1);
GRANT SELECT ON test_rows TO iu_core_owner;
CREATE VIEW test_seen AS SELECT count(*) AS left_value, 1::bigint AS right_value FROM public.test_rows;
ALTER VIEW test_seen OWNER TO iu_core_owner;
SELECT fn_iu_invariant_register('rows', 'public.test_seen', 'm', 'ann', 't');
SELECT alike(pg_temp.found('rows'), 'unknown (42501: %row-level security%',
  'a policy that leaves out rows makes no pass');

-- Two floating-point numbers that are the same to 15 digits.
SELECT pg_temp.invariant('digits', 'SELECT 1.0000000000000002::float8 AS left_value, 1::float8 AS right_value');
SELECT alike(pg_temp.found('digits'), 'fail 1.0000000000000002 1 %', 'a difference in the last digit is a fail');
SELECT fn_iu_invariant_register('digits', 'public.test_digits', 'm', 'ann', 't', p_tolerance => 0.001);
SELECT is(pg_temp.verdict('digits'), 'pass', 'a difference in the last digit passes within the tolerance');
SELECT pg_temp.invariant('arrays', $$SELECT '{{1,2}}'::int[] AS left_value, '{{1,2}}'::int[] AS right_value$$);
SELECT is(pg_temp.found('arrays'), 'pass {{1,2}} {{1,2}} (both are {{1,2}})', 'two equal arrays are a pass');
SELECT pg_temp.invariant('long',
  'SELECT key, 1 AS left_value, NULL::int AS right_value FROM (SELECT string_agg(md5(n::text), '''') AS key FROM '
    'generate_series(1, 300) n) x', ', p_settle_seconds => 60');
SELECT is(pg_temp.verdict('long'), 'unknown', 'an invariant whose key is too long to remember is unknown');
SELECT is((SELECT detail FROM iu_invariant_run WHERE invariant_code = 'long'), '1 key(s) are longer than 1000 bytes',
  'the log says that a key was too long to remember');

-- What a view does is undone.
CREATE FUNCTION test_writes() RETURNS int LANGUAGE sql AS $$INSERT INTO public.test_number VALUES (1, 1);
  SELECT set_config('test.x', 'y', false); SELECT 1$$;
GRANT INSERT ON test_number TO iu_core_check;
SELECT pg_temp.invariant('writes',
  'SELECT test_writes() AS left_value, (SELECT count(*)::int FROM iu_route_dead_letter) + 1 AS right_value');
SELECT is(pg_temp.verdict('writes'), 'pass', 'a view that writes is read');
SELECT is((SELECT count(*) FROM test_number) || coalesce(current_setting('test.x', true), ''), '1',
  'what a view wrote is undone');

-- Nothing in a check has any rights: not what the view calls, and not what nobody sees in it.
CREATE ROLE iu_test_mallory;
GRANT CREATE ON SCHEMA public TO iu_test_mallory;
CREATE FUNCTION test_who() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
CREATE FUNCTION test_planned() RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT current_user::text';
CREATE FUNCTION test_tries() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_statement text;
  v_done      text[] := '{}';
BEGIN
  FOREACH v_statement IN ARRAY ARRAY['SELECT count(*) FROM public.iu_route_secret', 'SET ROLE iu_core_owner',
    'SELECT set_config(''role'', ''iu_core_owner'', false)', 'RESET ROLE', 'CREATE TEMP TABLE x ()',
    'SELECT setval(''public.iu_gate_transition_number'', 1)', 'UPDATE public.dot_config SET value = ''true''',
    'SELECT iu.fn_iu_core_routes_enabled()', 'SELECT public.fn_iu_conformance()', 'PREPARE x AS SELECT 1'] LOOP
    BEGIN
      EXECUTE v_statement;
      v_done := v_done || v_statement;
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
  RETURN coalesce(nullif(array_to_string(v_done, '; '), ''), 'nothing');
END $$;
SELECT pg_temp.invariant('who', $$SELECT public.test_who() AS left_value, 'iu_core_check'::text AS right_value$$),
  pg_temp.invariant('planned', $$SELECT public.test_planned() AS left_value, 'iu_core_check'::text AS right_value$$),
  pg_temp.invariant('tries', $$SELECT public.test_tries() AS left_value, 'nothing'::text AS right_value$$);
SELECT is(pg_temp.found(v.code), v.found, 'invariant "' || v.code || '" is found to be: ' || v.found) FROM (VALUES
  ('who', 'pass iu_core_check iu_core_check (both are iu_core_check)'),
  ('planned', 'pass iu_core_check iu_core_check (both are iu_core_check)'),
  ('tries', 'pass nothing nothing (both are nothing)')) AS v (code, found);

CREATE TYPE test_kind AS (n int);
CREATE TYPE test_theirs_kind AS (n int);
ALTER TYPE test_theirs_kind OWNER TO iu_test_mallory;
SET LOCAL ROLE iu_test_mallory;
CREATE FUNCTION test_spell(test_kind) RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
RESET ROLE;
CREATE CAST (test_kind AS text) WITH FUNCTION test_spell(test_kind) AS IMPLICIT;
CREATE VIEW test_cast AS SELECT ROW(1)::public.test_kind AS left_value, 'iu_core_check'::text AS right_value;
CREATE VIEW test_typed AS SELECT ARRAY[ROW(1)]::public.test_theirs_kind[] AS left_value,
  ARRAY[ROW(1)]::public.test_theirs_kind[] AS right_value;
GRANT SELECT ON test_cast, test_typed TO iu_core_owner;
SELECT fn_iu_invariant_register('cast', 'public.test_cast', 'm', 'ann', 't');
SELECT is(pg_temp.found('cast'), 'pass iu_core_check iu_core_check (both are iu_core_check)',
  'a cast that the check makes runs with no rights');
SELECT pg_temp.refuses($$SELECT fn_iu_invariant_register('typed', 'public.test_typed', 'm', 'ann', 't')$$, '23514',
  'type public.test_theirs_kind', 'what has a type of a stranger''s in it is not compared');
CREATE VIEW test_gates AS SELECT count(*) FILTER (WHERE iu_core.gate_is_open(gate_key)) AS left_value,
  0::bigint AS right_value FROM v_iu_gate;
-- What calls functions that not everybody may is read by a function with the rights of its owner.
CREATE FUNCTION test_count_held() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS
  'SELECT count(*) FROM public.v_iu_route_held';
CREATE VIEW test_held AS SELECT test_count_held() AS left_value, 0::bigint AS right_value;
CREATE VIEW test_held_itself AS SELECT count(*) AS left_value, 0::bigint AS right_value FROM v_iu_route_held;
GRANT SELECT ON test_gates, test_held, test_held_itself TO iu_core_owner;
SELECT fn_iu_invariant_register(v, 'public.test_' || v, 'm', 'ann', 't')
  FROM unnest(ARRAY['gates', 'held', 'held_itself']) v;
SELECT is((SELECT array_agg(pg_temp.found(v) ORDER BY v) FROM unnest(ARRAY['gates', 'held']) v),
  ARRAY['pass 0 0 0 (both are 0)', 'pass 0 0 0 (both are 0)'],
  'views of iu_core can be read by views of invariants');
SELECT alike(pg_temp.found('held_itself'), 'unknown (42501: permission denied for function %',
  'a view of iu_core that calls what not everybody may is not read with no rights');
SAVEPOINT rights;
GRANT iu_core_reader TO iu_core_check;
SELECT alike(pg_temp.found('who'), 'unknown (55000: role "iu_core_check" holds rights%',
  'while the role of checks is a member of another one, nothing is read');
ROLLBACK TO rights;
ALTER ROLE iu_core_check LOGIN;
SELECT alike(pg_temp.found('who'), 'unknown (55000: role "iu_core_check" holds rights%',
  'while the role of checks may log in, nothing is read');
ROLLBACK TO rights;

-- ---- keys

SELECT fn_iu_invariant_register('k', 'test_keys', 'every row has its point', 'ann', 't');
SELECT is(pg_temp.found('k'),
  'fail 152 149 3 {150,151,152} 3 (3 key(s) differ: 3 on the left only, 0 on the right only, 0 with different values)',
  '152 keys against 149 are a fail that names the three');
UPDATE test_left SET indexed = false WHERE id > 149;
SELECT is(pg_temp.found('k'), 'pass 149 149 0 {} 0 (the same 149 key(s) on both sides)',
  'with the three rows marked as not indexed the keys pass');
DELETE FROM test_left WHERE id = 7;
UPDATE test_right SET digest = 'e' WHERE id = 9;
UPDATE test_right SET digest = NULL WHERE id = 11;
SELECT is(pg_temp.found('k'),
  'fail 148 148 3 {11,7,9} 3 (3 key(s) differ: 1 on the left only, 1 on the right only, 1 with different values)',
  'as many keys on both sides with one on each side only and one changed are a fail');
UPDATE test_left SET digest = NULL WHERE id = 11;
SELECT is(pg_temp.found('k'),
  'fail 147 148 3 {11,7,9} 3 (3 key(s) differ: 0 on the left only, 1 on the right only, 1 with different values, 1 '
    'with a value on neither side)',
  'NULL on both sides of a key counts as a difference');
INSERT INTO test_right VALUES (9, 'd');
SELECT alike(pg_temp.found('k'), $$unknown 148 149%(key '9' is there more than once, so that it has no one partner)$$,
  'a key that is there twice is unknown');
DELETE FROM test_right WHERE id = 9;
INSERT INTO test_right VALUES (NULL, 'd');
SELECT alike(pg_temp.found('k'), 'unknown %(1 row(s) of the view have no key)', 'a row without a key is unknown');
DELETE FROM test_right WHERE id IS NULL OR id > 50;
SELECT row_eq($$SELECT verdict, cardinality(keys), keys_total, keys[1:3] FROM fn_iu_invariant_check('k')$$,
  ROW('fail'::text, 20, 102::bigint, ARRAY['100', '101', '102']),
  'of many keys that differ the first 20 are named, and how many there are');
SELECT fn_iu_invariant_register('k', 'test_keys', 'every row has its point', 'ann', 't', p_tolerance => 102);
SELECT is(pg_temp.verdict('k'), 'pass', 'as many keys that differ as the tolerance allows are a pass');
DELETE FROM test_left WHERE id = 8;
SELECT is(pg_temp.verdict('k'), 'fail', 'one key more than the tolerance allows is a fail');
DELETE FROM test_left;
DELETE FROM test_right;
SELECT is(pg_temp.found('k'), 'pass 0 0 0 {} 0 (the same 0 key(s) on both sides)', 'no keys on either side are a pass');

-- ---- the settle window

UPDATE test_number SET l = 3, r = 3;
SELECT fn_iu_invariant_register('n', 'test_numbers', 'three are three', 'ann', 't', p_settle_seconds => 60);
SELECT is(pg_temp.verdict('n'), 'pass', 'an invariant with a settle window passes when there is nothing to settle');
UPDATE test_number SET l = 4;
SELECT alike(pg_temp.found('n'), 'unknown 4 3 1 (left is 4, right is 3; settling: fails if it is still so at % UTC)',
  'a difference younger than the settle window is unknown, and says until when');
SELECT pg_temp.later('30 s');
SELECT is(pg_temp.verdict('n'), 'unknown', 'a difference half as old as the settle window is unknown');
SELECT pg_temp.later('31 s');
SELECT is(pg_temp.verdict('n'), 'fail', 'a difference older than the settle window is a fail');
UPDATE test_number SET l = 3;
SELECT is(pg_temp.verdict('n'), 'pass', 'a difference that is gone is a pass');
UPDATE test_number SET l = 5;
SELECT is(pg_temp.verdict('n'), 'unknown', 'a new difference after a pass is young');
SELECT pg_temp.later('40 s');
CREATE OR REPLACE VIEW test_numbers AS SELECT l / 0 AS left_value, r AS right_value, 'beside' AS note FROM test_number;
SELECT is(pg_temp.verdict('n'), 'unknown', 'a check that cannot be read is unknown');
CREATE OR REPLACE VIEW test_numbers AS SELECT l AS left_value, r AS right_value, 'beside' AS note FROM test_number;
SELECT pg_temp.later('40 s');
SELECT is(pg_temp.verdict('n'), 'fail', 'a check that could not be read does not make an old difference young');

INSERT INTO test_left SELECT generate_series(1, 5);
INSERT INTO test_right SELECT generate_series(1, 3);
SELECT fn_iu_invariant_register('k', 'test_keys', 'every row has its point', 'ann', 't', p_settle_seconds => 60,
  p_tolerance => 1);
SELECT is(pg_temp.verdict('k'), 'unknown', 'two new keys that differ are unknown');
SELECT pg_temp.later('35 s');
INSERT INTO test_right VALUES (4), (5);
INSERT INTO test_left VALUES (6), (7);
SELECT is(pg_temp.verdict('k'), 'unknown', 'after both keys arrived, two new keys that differ are unknown');
SELECT pg_temp.later('35 s');
SELECT is(pg_temp.verdict('k'), 'unknown', 'differing for longer than the window by ever other keys is unknown');
INSERT INTO test_left VALUES (8);
DELETE FROM test_right WHERE id = 6;
SELECT is(pg_temp.verdict('k'), 'unknown', 'a third key that differs beside two young ones is unknown');
SELECT pg_temp.later('30 s');
SELECT is(pg_temp.verdict('k'), 'fail',
  'two keys that differ for longer than the window are beyond the tolerance of one');
INSERT INTO test_right VALUES (7);
SELECT is(pg_temp.verdict('k'), 'unknown',
  'with one key that has lasted and one that is young the tolerance of one is unknown');
SELECT is((SELECT array_agg(key ORDER BY key) FROM iu_invariant_key WHERE invariant_code = 'k'), ARRAY['6', '8'],
  'what is remembered are the keys that differ now');
-- Nor does it begin again for a key in another notation, or for a check that began earlier and is recorded later.
SELECT pg_temp.invariant('days', $$SELECT date '2026-11-21' AS key, 1 AS left_value, NULL::int AS right_value$$,
  ', p_settle_seconds => 60');
SELECT is(pg_temp.verdict('days'), 'unknown', 'a new key of type date that differs is unknown');
CREATE TEMP TABLE earlier AS SELECT i, iu.fn_iu_invariant_measure(i, 'hand') AS r FROM iu_invariant i
  WHERE invariant_code = 'days';
UPDATE earlier SET r.verdict = 'pass', r.keys = '{}', r.keys_total = 0, r.checked_at = (r).checked_at - interval '1 s';
SELECT pg_temp.later('61 s');
SET LOCAL datestyle = 'SQL, DMY';
SELECT is(pg_temp.verdict('days'), 'fail', 'a date in another notation is the same key');
RESET datestyle;
SELECT is((SELECT (iu.fn_iu_invariant_record(i, r)).verdict FROM earlier), 'pass',
  'a check that began before another one has its own verdict');
SELECT is((SELECT verdict || ' ' || left_value FROM v_iu_invariant WHERE invariant_code = 'days'), 'fail 1',
  'a check that began before one that was recorded changes nothing');
SELECT is(pg_temp.verdict('days'), 'fail', 'a check that began before one that was recorded makes no difference young');
UPDATE iu_invariant_state SET checked_at = checked_at + interval '1 day',
  logged_at = logged_at + interval '1 day' WHERE invariant_code = 'days';
UPDATE iu_invariant_key SET first_seen_at = first_seen_at + interval '1 day' WHERE invariant_code = 'days';
CREATE OR REPLACE VIEW test_days AS SELECT date '2026-11-21' AS key, 1 AS left_value, 1 AS right_value;
SELECT is(pg_temp.verdict('days'), 'pass', 'after the clock was set back a check finds a pass');
SELECT is((SELECT verdict FROM v_iu_invariant WHERE invariant_code = 'days'), 'pass',
  'after the clock was set back the new verdict counts');
CREATE OR REPLACE VIEW test_days AS SELECT date '2026-11-21' AS key, 1 AS left_value, NULL::int AS right_value;
UPDATE iu_invariant_state SET checked_at = checked_at - interval '1 s' WHERE invariant_code = 'days';
INSERT INTO iu_invariant_key VALUES ('days', '2026-11-21', clock_timestamp() + interval '1 day');
SELECT is(pg_temp.verdict('days'), 'unknown', 'a key that was first seen tomorrow is young');
SELECT cmp_ok((SELECT first_seen_at FROM iu_invariant_key WHERE invariant_code = 'days'), '<=', clock_timestamp(),
  'a key that was first seen tomorrow counts as first seen now');
SELECT pg_temp.invariant('many', $$SELECT n AS key, 1 AS left_value,
  NULL::int AS right_value FROM generate_series(1, 10001) n$$, ', p_settle_seconds => 60');
SELECT is(pg_temp.verdict('many'), 'unknown', 'more keys than are remembered are unknown while they are young');
SELECT is((SELECT count(*) FROM iu_invariant_key WHERE invariant_code = 'many'), 10000::bigint,
  'no more than 10000 keys are remembered');
SELECT pg_temp.later('61 s');
SELECT is(pg_temp.verdict('many'), 'fail', 'keys beyond those that are remembered are judged with the rest');

-- ---- the log, the state, the watermark

SELECT pg_temp.refuses('DELETE FROM iu_invariant_run', '42501', 'append-only', 'the log of checks is append-only');
SELECT is((SELECT asked_by || ' ' || session_role FROM iu_invariant_run ORDER BY run_seq DESC LIMIT 1),
  'hand ' || session_user,
  'the log of checks says who asked and as which role');
SELECT is((SELECT last_full_pass_at IS NULL AND NOT all_pass AND failing >= 1 AND unknown >= 1
  FROM v_iu_invariant_watermark), true,
  'the watermark tells that not all have passed');
SELECT fn_iu_invariant_unregister(invariant_code, 'ann', 't') FROM iu_invariant WHERE invariant_code NOT IN ('n', 'k');
UPDATE test_number SET l = 3;
INSERT INTO test_right VALUES (6), (8);
SELECT is((SELECT array_agg(code || ' ' || verdict) FROM fn_iu_invariant_check()), ARRAY['k pass', 'n pass'],
  'a check of all gives every verdict');
SELECT is((SELECT row(last_full_pass_at = (SELECT min(last_pass_at) FROM iu_invariant_state), all_pass, invariants,
  passing) FROM v_iu_invariant_watermark), row(true, true, 2::bigint, 2::bigint),
  'the watermark is the time since when each has passed');
UPDATE test_number SET l = 9;
SELECT fn_iu_invariant_check('n');
SELECT is((SELECT row(last_full_pass_at = (SELECT min(last_pass_at) FROM iu_invariant_state), all_pass)
  FROM v_iu_invariant_watermark), row(true, false),
  'when one fails the watermark stays where it was');
SELECT fn_iu_invariant_enable('n', false, 'ann', 't');
SELECT is((SELECT array_agg(code) FROM fn_iu_invariant_check()), ARRAY['k'],
  'a disabled invariant is no part of a check of all');
SELECT is(pg_temp.verdict('n'), 'unknown', 'a disabled invariant can be asked for and is checked');
SELECT fn_iu_invariant_enable('n', true, 'ann', 't');
UPDATE iu_invariant_state SET place = gen_random_uuid() WHERE invariant_code = 'k';
SELECT is((SELECT verdict || ' ' || detail FROM v_iu_invariant WHERE invariant_code = 'k'),
  'unknown not checked in this place: it is a copy, or was restored since',
  'in a copy a verdict of the original is unknown');

SELECT * FROM finish();
ROLLBACK;
