-- The runtime lease: one driver at a time, healed by time, given back by token.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.acquire(p_holder text, p_ttl integer DEFAULT 60) RETURNS uuid LANGUAGE sql AS
  $$SELECT fn_dot_iu_runtime_lease_acquire('iu_core.composer_enabled', p_holder, p_ttl)$$;
CREATE FUNCTION pg_temp.release(p_holder text, p_token uuid) RETURNS boolean LANGUAGE sql AS
  $$SELECT fn_dot_iu_runtime_lease_release('iu_core.composer_enabled', p_holder, p_token)$$;

SELECT pg_temp.acquire('driver a') AS a \gset
SELECT isnt(:'a'::uuid, NULL, 'T1 a free lease is acquired: a token');
SELECT is(pg_temp.acquire('driver b'), NULL, 'T2 held by another: NULL');
SELECT pg_temp.acquire('driver a') AS a2 \gset
SELECT isnt(:'a2'::uuid, NULL, 'T3 its holder renews it');
SELECT isnt(:'a2'::uuid, :'a'::uuid, 'with a new token');
SELECT is(pg_temp.release('driver a', :'a'), false, 'T4 the token of before releases nothing');
SELECT is(pg_temp.release('driver b', :'a2'), false, 'T5 nor does another holder, even with the token');
SELECT is(pg_temp.release('driver a', NULL), false, 'nor no token');
SELECT is(fn_dot_iu_runtime_lease_release('another', 'driver a', :'a2'), false, 'nor under another name');
SELECT is(pg_temp.acquire('driver b'), NULL, 'it is still held');
SELECT is(pg_temp.release('driver a', :'a2'), true, 'T6 holder and token release it');
SELECT is(pg_temp.release('driver a', :'a2'), false, 'once');
SELECT pg_temp.acquire('driver b', 3) AS b \gset
SELECT isnt(:'b'::uuid, NULL, 'then another gets it');
SELECT is((SELECT held FROM v_dot_iu_runtime_lease), true, 'and the view shows it held');
SELECT pg_sleep(3.1);
SELECT is((SELECT held FROM v_dot_iu_runtime_lease), false, 'a holder that crashed: after its time it is held no more');
SELECT pg_temp.acquire('driver a') AS a3 \gset
SELECT isnt(:'a3'::uuid, NULL, 'T7 and anybody gets it');
SELECT is(pg_temp.release('driver b', :'b'), false, 'the one that comes back late takes it from nobody');
SELECT isnt(fn_dot_iu_runtime_lease_acquire('another', 'driver b', 60), NULL, 'leases of different names do not meet');
SELECT is((SELECT acquired_at < renewed_at FROM dot_iu_runtime_lease WHERE lease_name = 'another'), false, 'a new one is acquired when it is renewed');
SELECT pg_temp.acquire('driver a');
SELECT is((SELECT acquired_at < renewed_at AND expires_at = renewed_at + interval '60 s' FROM dot_iu_runtime_lease WHERE lease_name LIKE 'iu%'), true,
  'a renewal counts from its own time, its holder has it from before');

SELECT pg_temp.refuses(format('SELECT fn_dot_iu_runtime_lease_acquire(%L, %L, %L)', n, h, t), '23514', m, m || ' is refused')
  FROM (VALUES (NULL, 'h', 1, 'lease name required'), (' ', 'h', 1, 'lease name required'), ('n', NULL, 1, 'holder required'),
               ('n', '', 1, 'holder required'), ('n', 'h', 0, 'not 0'), ('n', 'h', 86401, 'not 86401'), ('n', 'h', NULL, 'not NULL')) v (n, h, t, m);

-- The same name under another login is another driver.
CREATE ROLE iu_test_other;
GRANT iu_core_operator TO iu_test_other;
SET LOCAL SESSION AUTHORIZATION iu_test_other;
SELECT is(fn_dot_iu_runtime_lease_acquire('another', 'driver b', 60), NULL, 'who only calls itself like the holder does not get it');
SET LOCAL SESSION AUTHORIZATION DEFAULT;

SELECT is(has_function_privilege(role, f, 'EXECUTE'), may, format('%s, %s: %s', role, split_part(f, '(', 1), may))
  FROM (VALUES ('iu_core_operator', true), ('iu_core_writer', true), ('iu_core_reader', false), ('iu_core_worker', false)) r (role, may),
       unnest(ARRAY['fn_dot_iu_runtime_lease_acquire(text,text,integer)', 'fn_dot_iu_runtime_lease_release(text,text,uuid)']) f;
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT count(*) FROM v_dot_iu_runtime_lease'), '2', 'a reader sees the leases');
SELECT is(pg_temp.as_role(role, 'SELECT count(lease_token) FROM dot_iu_runtime_lease'), '42501 permission denied for table dot_iu_runtime_lease', role || ' sees no token')
  FROM unnest(ARRAY['iu_core_reader', 'iu_core_writer', 'iu_core_operator', 'iu_core_admin']) role;

-- Rolled back while a driver runs: refused; afterwards, or knowingly: done.
SELECT pg_temp.refuses('SELECT iu_core.rollback(7)', '55006', 'table dot_iu_runtime_lease holds 2 row', 'a rollback while leases are held is refused');
UPDATE dot_iu_runtime_lease SET acquired_at = acquired_at - interval '1 h', renewed_at = renewed_at - interval '1 h', expires_at = expires_at - interval '1 h';
SELECT is((SELECT count(*)::int FROM iu_core.rollback(7, dry_run => true) WHERE change = 'removed' AND version = 19), 6, 'leases that ended are no data');

SELECT finish();
ROLLBACK;
