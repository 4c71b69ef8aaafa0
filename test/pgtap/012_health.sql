-- 012: what health of the routes costs, and who may ask for it.
\ir setup.psql
SELECT no_plan();

SELECT fn_iu_route_add('many', 'version_applied', 'https://hooks.example/many', 'ann', 't') \g /dev/null

-- ---- a look costs the same whatever was sent and whatever waits

CREATE FUNCTION pg_temp.pages_read(p_sql text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_plan jsonb;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || p_sql INTO v_plan;
  RETURN (v_plan #> '{0,Plan,Shared Hit Blocks}')::bigint + (v_plan #> '{0,Plan,Shared Read Blocks}')::bigint;
END $$;
SELECT pg_temp.pages_read(q) IS NULL FROM unnest(ARRAY['SELECT fn_iu_route_worker_health()',
  'SELECT * FROM v_iu_route_health']) q \g /dev/null
SELECT pg_temp.pages_read('SELECT fn_iu_route_worker_health()') AS health_pages,
  pg_temp.pages_read('SELECT * FROM v_iu_route_health') AS view_pages \gset
INSERT INTO iu_route_attempt (route_code, event_ref, attempt_no, idempotency_key, status, duration_us)
  SELECT 'many', gen_random_uuid(), 1, 'many' || n, 'sent', 1000 FROM generate_series(1, 30000) n;
ANALYZE iu_route_attempt;
SELECT sum(pg_relation_size(relid))::bigint / 8192 AS pages FROM pg_partition_tree('iu_route_attempt') \gset
-- What a session has to learn anew of the tables that were analyzed is not what is measured.
SELECT pg_temp.pages_read(q) IS NULL FROM unnest(ARRAY['SELECT fn_iu_route_worker_health()',
  'SELECT * FROM v_iu_route_health']) q \g /dev/null
SELECT cmp_ok(pg_temp.pages_read('SELECT fn_iu_route_worker_health()') - :health_pages, '<',
  :pages::bigint / 4, 'health does not read the attempts that were ever made');
SELECT cmp_ok(pg_temp.pages_read('SELECT * FROM v_iu_route_health') - :view_pages, '<',
  :pages::bigint * 2 / 3, 'the view of routes reads no more than the last 10000 attempts');
SELECT is((fn_iu_route_worker_health() -> 'outbound_attempts_in_audit')::bigint >= 30000, true,
  'health tells how many attempts there are');

-- ---- who may ask

CREATE ROLE test_monitor IN ROLE pg_monitor;
SET ROLE test_monitor;
SELECT is((SELECT status IS NOT NULL FROM iu_core.health()), true, 'a member of pg_monitor is told of health');
SELECT lives_ok('SELECT * FROM iu_core.worker_status', 'a member of pg_monitor is told of workers');
SELECT is((SELECT fn_iu_route_worker_health() ? 'healthy'), true, 'a member of pg_monitor is told of routes');
SELECT throws_ok('SELECT * FROM iu_route_secret', '42501', NULL, 'a member of pg_monitor reads no secret');
RESET ROLE;

SELECT finish();
ROLLBACK;
