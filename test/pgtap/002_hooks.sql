-- 002: points at which later migrations add something, and what arguments must be.
\ir setup.psql
SELECT no_plan();

-- The constraint name, SQLSTATE and message of a refusal.
CREATE FUNCTION pg_temp.refusal(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_constraint text;
BEGIN
  EXECUTE p_sql;
  RETURN 'nothing was refused';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
  RETURN concat_ws(' ', SQLSTATE, v_constraint, SQLERRM);
END $$;

-- ---- what arguments must be

SELECT is(pg_temp.refusal($$SELECT iu.fn_iu_require_value(5 BETWEEN 1 AND 3, 'iu_x', 'p_days', 'from 1 to 3', '5')$$),
  '23514 iu_x p_days must be from 1 to 3, not 5', 'a value out of range is named with its field and what is allowed');
SELECT is(pg_temp.refusal($$SELECT iu.fn_iu_require_value(NULL, 'iu_x', 'p_kind', 'a or b', NULL)$$),
  '23514 iu_x p_kind must be a or b, not NULL', 'NULL is a value that is not allowed');
SELECT lives_ok($$SELECT iu.fn_iu_require_value(true, 'iu_x', 'p_kind', 'a or b', 'a')$$, 'an allowed value passes');
SELECT is(pg_temp.refusal(format('SELECT iu.fn_iu_require_actor(%L, ''opens the gate'')', a)),
  '23514 iu_actor_required actor required: say who opens the gate', format('%L is no actor', a))
  FROM (VALUES (NULL), (''), (' ')) AS v (a);
SELECT is(pg_temp.refusal(format('SELECT iu.fn_iu_require_reason(%L, %L)', a, r)),
  '23514 iu_actor_and_reason actor and reason are required', format('actor %L and reason %L are not enough', a, r))
  FROM (VALUES (NULL, 'r'), ('a', NULL), ('a', ' '), (' ', 'r')) AS v (a, r);
SELECT lives_ok($$SELECT iu.fn_iu_require_reason('a', 'r'), iu.fn_iu_require_actor('a', 'acts')$$,
  'an actor with a reason passes');

-- ---- points

SET LOCAL ROLE iu_core_owner;
CREATE FUNCTION iu.test_point(a text) RETURNS integer LANGUAGE sql RETURN 0;
CREATE FUNCTION iu.test_first(a text) RETURNS integer LANGUAGE sql RETURN 1;
CREATE FUNCTION iu.test_second(a text) RETURNS integer LANGUAGE sql RETURN 2;
CREATE FUNCTION iu.test_other(a integer) RETURNS integer LANGUAGE sql RETURN 3;
CREATE FUNCTION iu.test_result(a text) RETURNS bigint LANGUAGE sql RETURN 4;
CREATE FUNCTION iu.test_set(a text) RETURNS SETOF integer LANGUAGE sql AS 'SELECT 1';
RESET ROLE;
CREATE FUNCTION iu.test_stranger(a text) RETURNS integer LANGUAGE sql RETURN 5;
CREATE FUNCTION public.test_elsewhere(a text) RETURNS integer LANGUAGE sql RETURN 6;
ALTER FUNCTION public.test_elsewhere OWNER TO iu_core_owner;
SELECT iu.fn_iu_hook_add(9002, 'iu.test_point(text)', 'iu.test_first(text)'),
  iu.fn_iu_hook_add(9001, 'iu.test_point(text)', 'iu.test_second(text)');
SELECT is(ARRAY(SELECT iu.fn_iu_hook_functions('iu.test_point(text)')), '{iu.test_second,iu.test_first}',
  'the functions of a point are called in the order of their migrations');
SELECT matches(pg_temp.refusal(format('SELECT iu.fn_iu_hook_add(9003, ''iu.test_point(text)'', %L)', f)),
  '^55000 iu_hook_function .*' || m, f || ' is refused')
  FROM (VALUES ('iu.test_other(integer)', 'has not the arguments and the result of iu.test_point'),
  ('iu.test_result(text)', 'has not the arguments'),
    ('iu.test_set(text)', 'has not the arguments'),
    ('iu.test_stranger(text)', 'is not a function of iu_core_owner in schema iu'),
    ('public.test_elsewhere(text)', 'is not a function of iu_core_owner in schema iu')) AS v (f, m);
SELECT matches(pg_temp.refusal($$SELECT iu.fn_iu_hook_add(9003, 'iu.test_point(text)', 'iu.test_first(text)')$$),
  '^23505', 'a function is listed once for a point');
-- each of these is told by a warning
SET LOCAL client_min_messages = error;
ALTER FUNCTION iu.test_second OWNER TO postgres;
SELECT is(ARRAY(SELECT iu.fn_iu_hook_functions('iu.test_point(text)')), '{iu.test_first}',
  'a function that came to belong to somebody else is not called');
DROP FUNCTION iu.test_first;
SELECT is_empty($$SELECT iu.fn_iu_hook_functions('iu.test_point(text)')$$, 'a function that is gone is not called');
SET LOCAL client_min_messages = warning;
SELECT iu.fn_iu_hook_remove(9001), iu.fn_iu_hook_remove(9002);
SELECT is((SELECT count(*) FROM iu.hook h WHERE h.migration > 9000), 0::bigint,
  'a rollback takes the functions of its migration out');
SELECT is(left(pg_temp.as_role(r, $$INSERT INTO iu.hook VALUES ('iu.test_point(text)', 'iu.test_first(text)', 1)$$), 5),
  '42501', r || ' writes no hook')
  FROM unnest(ARRAY['iu_core_admin', 'iu_core_operator', 'iu_core_writer', 'iu_core_worker', 'iu_core_reader']) AS r;
SELECT is(left(pg_temp.as_role('iu_core_admin',
  $$SELECT iu.fn_iu_hook_add(1, 'iu.test_point(text)', 'iu.test_point(text)')$$), 5), '42501',
  'an administrator writes no hook either');

SELECT finish();
ROLLBACK;
