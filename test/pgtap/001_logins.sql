-- Whether a login is fit to be an application's.
\ir setup.psql
SELECT plan(9);

CREATE ROLE iu_test_app LOGIN;
SELECT is_empty($$SELECT * FROM fn_iu_login_problems('iu_test_app')$$,
  'a plain login is fit to be given a role of iu_core');
SELECT results_eq($$SELECT problem FROM fn_iu_login_problems('iu_test_nobody')$$,
  ARRAY['there is no role "iu_test_nobody"'],
  'a login that does not exist is not fit');
ALTER ROLE iu_test_app CREATEROLE;
SELECT results_eq($$SELECT problem, next_action FROM fn_iu_login_problems('iu_test_app')$$,
  $$VALUES ('"iu_test_app" may create roles and grant them', 'ALTER ROLE iu_test_app NOCREATEROLE')$$,
  'a login that may create roles is not fit');
ALTER ROLE iu_test_app NOCREATEROLE;
GRANT iu_core_owner TO iu_test_app;
SELECT results_eq($$SELECT next_action FROM fn_iu_login_problems('iu_test_app')$$,
  ARRAY['REVOKE iu_core_owner FROM iu_test_app'],
  'a member of iu_core_owner is not fit');
REVOKE iu_core_owner FROM iu_test_app;
SELECT is_empty('SELECT * FROM v_iu_unfit_login', 'every login of this database is fit');
GRANT iu_core_writer TO iu_test_app;
ALTER SCHEMA public OWNER TO iu_test_app;
SELECT matches(problem, 'owns schema public', 'a login that owns schema public is not fit')
  FROM fn_iu_login_problems('iu_test_app');
SELECT is((SELECT login || ' ' || member_of FROM v_iu_unfit_login), 'iu_test_app iu_core_writer',
  'a login that is not fit and has a role of iu_core is listed');
ALTER SCHEMA public OWNER TO pg_database_owner;
SELECT is(pg_temp.as_role('iu_core_reader', $$SELECT count(*) FROM fn_iu_login_problems('iu_test_app')$$), '0',
  'a reader may ask which logins are fit');
SELECT matches(pg_temp.as_role('iu_core_worker', $$SELECT count(*) FROM fn_iu_login_problems('iu_test_app')$$),
  '^42501',
  'a role without that right may not ask which logins are fit');
SELECT * FROM finish();
ROLLBACK;
