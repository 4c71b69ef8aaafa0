-- What the rollbacks of 004 to 007 refuse, and that they leave nothing.
\ir setup.psql
SELECT no_plan();
CREATE FUNCTION pg_temp.try(p_target integer, p_loss boolean, p_code text, p_pattern text, p_name text)
  RETURNS SETOF text LANGUAGE sql AS
  $$SELECT pg_temp.refuses(format('SELECT count(*) FROM iu_core.rollback(%s, false, %L)', p_target, p_loss), p_code,
  p_pattern, p_name)$$;
UPDATE dot_config SET value = 'false' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
CREATE TEMP TABLE before AS SELECT object_class, object_name FROM iu_governed_object WHERE migration BETWEEN 4 AND 7;

SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 't');
SELECT pg_temp.try(3, true, '55006', 'switch iu_core.routes_master_enabled is on',
  'a rollback of delivery is refused while the master switch is on, even with leave to lose rows');
SELECT fn_iu_emit_event('version_applied', 'a', gen_random_uuid(), 't');
SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'false', 'ann', 't');
SELECT fn_iu_route_add('r', 'version_applied', 'https://hooks.example/', 'ann', 't');
SELECT fn_iu_route_allow('r', 'ann', 't');
SELECT fn_iu_route_arm('r', 'ann', 't');
SELECT pg_temp.try(5, false, '55006', 'holds 1 row',
  'a rollback of delivery is refused where a position and its arming would be lost');
SELECT fn_iu_switch_set('iu_core.route_worker_enabled', 'true', 'ann', 't');
SELECT pg_temp.try(4, true, '55006', 'switch iu_core.route_worker_enabled is on',
  'a rollback of delivery is refused while the worker''s switch is on');
SELECT fn_iu_switch_set('iu_core.route_worker_enabled', 'false', 'ann', 't');
SELECT pg_temp.try(4, true, '55006', 'allowlist iu_core.delivery_live_routes is not empty',
  'a rollback of delivery is refused while a route is on the allowlist');
SELECT fn_iu_route_disallow('r', 'ann', 't');
SELECT pg_temp.try(3, false, '55006', 'would be lost', 'a rollback of delivery is refused without leave to lose rows');
SELECT lives_ok($$SELECT count(*) FROM iu_core.rollback(3, false, true)$$,
  'with leave to lose rows the rollback of delivery succeeds');
SELECT is((SELECT count(*) FROM iu_core.object_inventory() i JOIN before b USING (object_class, object_name)),
  0::bigint,
  'the rollback of delivery leaves no object');
SELECT is((SELECT count(*) FROM dot_iu_command_catalog WHERE command_name ~ '^dot_iu_(route|switch)'), 0::bigint,
  'the rollback of delivery leaves no command in the catalogue');
SELECT lives_ok($$SELECT count(*) FROM iu_core.migrate()$$, 'delivery can be migrated anew after its rollback');
SELECT set_eq('SELECT object_class, object_name FROM iu_governed_object WHERE migration BETWEEN 4 AND 7',
  'SELECT object_class, object_name FROM before',
  'delivery migrated anew has the same objects');

SELECT * FROM finish();
ROLLBACK;
