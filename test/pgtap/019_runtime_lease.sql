-- The runtime lease: one driver at a time, healed by time, given back by token.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.acquire(p_holder text, p_ttl integer DEFAULT 3600) RETURNS uuid LANGUAGE sql AS
  $$SELECT fn_dot_iu_runtime_lease_acquire('iu_core.composer_enabled', p_holder, p_ttl)$$;
CREATE FUNCTION pg_temp.release(p_holder text, p_token uuid) RETURNS boolean LANGUAGE sql AS
  $$SELECT fn_dot_iu_runtime_lease_release('iu_core.composer_enabled', p_holder, p_token)$$;

SELECT pg_temp.acquire('driver a') AS a \gset
SELECT isnt(:'a'::uuid, NULL, 'T1: acquiring a free lease gives a token');
SELECT is(pg_temp.acquire('driver b'), NULL, 'T2: acquiring a lease that another holds gives NULL');
SELECT pg_temp.acquire('driver a') AS a2 \gset
SELECT isnt(:'a2'::uuid, NULL, 'T3: the holder of a lease renews it');
SELECT isnt(:'a2'::uuid, :'a'::uuid, 'T3: renewing a lease gives a new token');
SELECT is(pg_temp.release('driver a', :'a'), false, 'T4: the token of before a renewal releases nothing');
SELECT is(pg_temp.release('driver b', :'a2'), false, 'T5: another holder with the token releases nothing');
SELECT is(pg_temp.release('driver a', NULL), false, 'T5: the holder without a token releases nothing');
SELECT is(fn_dot_iu_runtime_lease_release('another', 'driver a', :'a2'), false,
  'T5: the token releases no lease of another name');
SELECT is(pg_temp.acquire('driver b'), NULL, 'T5: a lease that was not released is still held');
SELECT is(pg_temp.release('driver a', :'a2'), true, 'T6: holder and token release a lease');
SELECT is(pg_temp.release('driver a', :'a2'), false, 'T6: a lease is released once');
SELECT pg_temp.acquire('driver b', 3) AS b \gset
SELECT isnt(:'b'::uuid, NULL, 'T6: a lease that was released is acquired by another');
SELECT is((SELECT held FROM v_dot_iu_runtime_lease), true, 'the view shows a lease that is held');
SELECT pg_sleep(3.1);
SELECT is((SELECT held FROM v_dot_iu_runtime_lease), false,
  'the lease of a holder that crashed is not held after its time');
SELECT pg_temp.acquire('driver a') AS a3 \gset
SELECT isnt(:'a3'::uuid, NULL, 'T7: the lease of a holder that crashed is acquired by another after its time');
SELECT is(pg_temp.release('driver b', :'b'), false,
  'T7: a holder that comes back late releases no lease that another has');
SELECT isnt(fn_dot_iu_runtime_lease_acquire('another', 'driver b', 3600), NULL,
  'leases of different names do not meet');
SELECT is((SELECT acquired_at < renewed_at FROM dot_iu_runtime_lease WHERE lease_name = 'another'), false,
  'renewing a lease that is not there acquires it');
SELECT pg_temp.acquire('driver a');
SELECT is((SELECT acquired_at < renewed_at AND expires_at = renewed_at + interval '3600 s' FROM dot_iu_runtime_lease
  WHERE lease_name LIKE 'iu%'), true,
  'a renewal counts from its own time and keeps since when its holder has it');

SELECT pg_temp.refuses(format('SELECT fn_dot_iu_runtime_lease_acquire(%L, %L, %L)', n, h, t), '23514', m,
  'acquiring a lease is refused: ' || m)
  FROM (VALUES (NULL, 'h', 1, 'iu_lease_name'), (' ', 'h', 1, 'iu_lease_name'), ('n', NULL, 1, 'iu_lease_holder'),
               ('n', '', 1, 'iu_lease_holder'), ('n', 'h', 0, 'not 0'), ('n', 'h', 86401, 'not 86401'),
               ('n', 'h', NULL, 'not NULL')) v (n, h, t, m);

-- The same name under another login is another driver.
CREATE ROLE iu_test_other;
GRANT iu_core_operator TO iu_test_other;
SET LOCAL SESSION AUTHORIZATION iu_test_other;
SELECT is(fn_dot_iu_runtime_lease_acquire('another', 'driver b', 3600), NULL,
  'who only calls itself like the holder does not get the lease');
SET LOCAL SESSION AUTHORIZATION DEFAULT;

SELECT is(has_function_privilege(role, f, 'EXECUTE'), may,
  format('%s %s call %s', role, CASE WHEN may THEN 'may' ELSE 'may not' END, f))
  FROM (VALUES ('iu_core_operator', true), ('iu_core_writer', true), ('iu_core_reader', false),
  ('iu_core_worker', false)) r (role, may),
       unnest(ARRAY['fn_dot_iu_runtime_lease_acquire(text,text,integer)',
       'fn_dot_iu_runtime_lease_release(text,text,uuid)']) f;
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT count(*) FROM v_dot_iu_runtime_lease'), '2',
  'a reader sees the leases');
SELECT is(pg_temp.as_role(role, 'SELECT count(lease_token) FROM dot_iu_runtime_lease'),
  '42501 permission denied for table dot_iu_runtime_lease',
  role || ' sees no token')
  FROM unnest(ARRAY['iu_core_reader', 'iu_core_writer', 'iu_core_operator', 'iu_core_admin']) role;

-- Rolled back while a driver runs: refused; afterwards, or knowingly: done.
SELECT pg_temp.refuses('SELECT iu_core.rollback(7)', '55006', 'table dot_iu_runtime_lease holds 2 row',
  'rolling back leases is refused while leases are held');
UPDATE dot_iu_runtime_lease SET acquired_at = acquired_at - interval '2 h', renewed_at = renewed_at - interval '2 h',
  expires_at = expires_at - interval '2 h';
SELECT is((SELECT count(*)::int FROM iu_core.rollback(7, dry_run => true)
            WHERE change = 'removed' AND version = 19), 8,
  'leases that ended do not keep their rollback from being made');

-- ---- ended by an operator

SELECT ok(fn_dot_iu_runtime_lease_acquire('stuck', 'driver x', 86400) IS NOT NULL, 'a lease may be held for a day');
SELECT is(fn_dot_iu_runtime_lease_end('stuck', 'olga', 'driver x does not run') - 'run_id', jsonb_build_object(
  'status', 'ended', 'lease_name', 'stuck', 'holder', 'driver x', 'session_role', session_user, 'held', true),
  'an operator ends a lease that somebody holds');
SELECT ok(fn_dot_iu_runtime_lease_acquire('stuck', 'driver y', 60) IS NOT NULL,
  'and another driver may take it at once');
SELECT is((SELECT evidence ->> 'holder' FROM dot_iu_command_run WHERE command_name = 'dot_iu_runtime_lease_end'),
  'driver x',
  'the ending of a lease is logged, with its holder');
SELECT pg_temp.refuses('SELECT fn_dot_iu_runtime_lease_end(''none'', ''olga'', ''t'')', '42704', 'iu_lease_unknown',
  'a lease that is not there is not ended');
SELECT ok(NOT has_function_privilege('iu_core_writer', 'fn_dot_iu_runtime_lease_end(text, text, text)', 'EXECUTE'),
  'a writer does not end the lease of another');

SELECT finish();
ROLLBACK;
