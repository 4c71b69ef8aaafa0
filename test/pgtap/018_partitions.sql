-- 018: attempts that are old go by the partition, and what has to stay is set apart.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.today(p_days integer DEFAULT 0) RETURNS date LANGUAGE sql AS
  $$SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date + p_days$$;
-- Attempts of a day, of events that are gone or of one that is there.
CREATE FUNCTION pg_temp.attempts(p_days integer, p_name text, p_count integer, p_event uuid DEFAULT NULL) RETURNS void
  LANGUAGE sql AS $$
  INSERT INTO iu_route_attempt (route_code, event_ref, attempt_no, idempotency_key, status, sender, recorded_at)
    SELECT 'r', coalesce(p_event, gen_random_uuid()), 1, p_name || n, 'sent', 's' || n % 2,
           (pg_temp.today(p_days)::timestamp AT TIME ZONE 'UTC') + make_interval(mins => n)
      FROM generate_series(1, p_count) n $$;
CREATE FUNCTION pg_temp.left_over() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', x.day, x.n, x.kept), ', ' ORDER BY x.day, x.kept)
    FROM (SELECT (recorded_at AT TIME ZONE 'UTC')::date - pg_temp.today() AS day, count(*) AS n,
                 CASE WHEN kept THEN 'kept' END AS kept FROM iu_route_attempt GROUP BY 1, kept) AS x $$;
CREATE FUNCTION pg_temp.days() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg((d - pg_temp.today())::text, ' ' ORDER BY d) FROM iu.fn_iu_attempt_days() d
   WHERE d < pg_temp.today(-20) $$; -- older than those that the migration made
CREATE FUNCTION pg_temp.clean(p_max integer DEFAULT 50000) RETURNS text LANGUAGE sql AS
  $$SELECT rows_eligible || ' ' || rows_deleted FROM fn_iu_core_retention_cleanup('ann', false, p_max)$$;

DELETE FROM iu_route_retry;
DELETE FROM event_outbox;
DELETE FROM iu_route_attempt;
SET LOCAL ROLE iu_core_owner;
SELECT iu.fn_iu_attempt_partitions_make(pg_temp.today(-40), pg_temp.today(-29)) \g /dev/null
RESET ROLE;
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
SELECT fn_iu_emit_event('version_applied', 'A', gen_random_uuid(), 'ann') AS event \gset
SELECT pg_temp.attempts(d, 'gone' || d, 5) FROM generate_series(-40, -29) d \g /dev/null
SELECT pg_temp.attempts(0, 'now', 5) \g /dev/null
SELECT fn_iu_core_retention_policy_set('iu_route_attempt', 30, 'ann', 'a month') \g /dev/null

SELECT row_eq($$SELECT rows_eligible, rows_deleted, cutoff = pg_temp.today(-30)::timestamp AT TIME ZONE 'UTC'
  FROM fn_iu_core_retention_cleanup('ann', true)$$, ROW(50::bigint, 0::bigint, true),
  'a dry run counts the attempts of whole days that are old enough');
SELECT is((SELECT count(*) FROM iu_route_attempt), 65::bigint, 'a dry run takes nothing');
SELECT pg_temp.refuses($$SELECT fn_iu_core_retention_cleanup('ann', false)$$, '42501', 'iu_retention_gate_closed',
  'partitions are not emptied while the gate is closed');
SELECT fn_iu_gate_open('iu_core.retention_enabled', gen_random_uuid(), 'ann', 't', 600) \g /dev/null

SELECT is(pg_temp.clean(2), '50 50', 'partitions that are old go as a whole, however few rows a call may delete');
SELECT is(pg_temp.left_over(), '-30 5, -29 5, 0 5', 'the day of the cutoff and those after it stay');
SELECT is((SELECT evidence #>> '{tables,0,partitions,0}' FROM dot_iu_command_run
  WHERE command_name = 'dot_iu_retention_cleanup' ORDER BY created_at DESC LIMIT 1),
  to_char(pg_temp.today(-40), 'YYYY-MM-DD'), 'the ledger has the days that went');
SELECT is(pg_temp.days(), '-30 -29', 'their partitions are gone');

-- ---- what has to stay

SET LOCAL ROLE iu_core_owner;
SELECT iu.fn_iu_attempt_partitions_make(pg_temp.today(-40), pg_temp.today(-38)) \g /dev/null
RESET ROLE;
SELECT pg_temp.attempts(-40, 'gone', 5), pg_temp.attempts(-40, 'stays', 3, :'event'),
  pg_temp.attempts(-39, 'stays too', 4, :'event') \g /dev/null
INSERT INTO iu_route_attempt (route_code, event_ref, attempt_no, idempotency_key, status, recorded_at)
  SELECT 'r', :'event', 2, 'stays1', 'sent', now() - interval '38 days';
SELECT is(pg_temp.clean(), '6 6', 'of a partition what may go goes, an attempt that another followed as well');
SELECT is(pg_temp.left_over(), '-40 2 kept, -39 4, -38 1, -30 5, -29 5, 0 5',
  'the last attempt of a delivery whose event is there is set apart; a partition of which nothing may go stays');
SELECT is((SELECT count(*) FROM iu_route_attempt WHERE idempotency_key IN ('stays2', 'stays3') AND kept
  AND tableoid = 'iu.iu_route_attempt_kept'::regclass), 2::bigint, 'what was set apart is found by its key');
SELECT is(pg_temp.days(), '-39 -38 -30 -29', 'the partition of what was set apart is gone');

SELECT pg_temp.attempts(-39, 'gone too', 6) \g /dev/null
SELECT is(pg_temp.clean(3), '6 3', 'where more has to stay than a call may move the rest goes row by row');
SELECT is(pg_temp.clean(3) || ', ' || pg_temp.clean(3), '3 3, 0 0', 'until nothing of it is left');
SELECT is(pg_temp.left_over(), '-40 2 kept, -39 4, -38 1, -30 5, -29 5, 0 5', 'and what has to stay lies where it lay');

SELECT pg_temp.attempts(-38, 'of two', 4) \g /dev/null
SELECT fn_iu_core_retention_policy_set('iu_route_attempt', 30, 'ann', 'of one', true, ARRAY['s0']) \g /dev/null
SELECT is(pg_temp.clean(), '2 2', 'where only the attempts of one sender may go they go row by row');
SELECT fn_iu_core_retention_policy_set('iu_route_attempt', 30, 'ann', 'of all') \g /dev/null
SELECT is((SELECT string_agg(idempotency_key, ' ' ORDER BY idempotency_key) FROM iu_route_attempt
  WHERE idempotency_key ~ '^of two' AND NOT kept), 'of two1 of two3', 'those of others stay where they are');

-- ---- what lies in no partition of a day

DELETE FROM iu_route_attempt;
SELECT pg_temp.attempts(-400, 'long ago', 4), pg_temp.attempts(-400, 'stays', 1, :'event') \g /dev/null
SELECT is(pg_temp.clean(3), '4 3', 'attempts in the default partition go row by row');
SELECT iu.fn_iu_attempt_partitions_tend() \g /dev/null
SELECT is(pg_temp.left_over(), '-400 2 kept', 'the runner sets apart what is left of them');
SELECT is(pg_temp.clean(), '1 1', 'attempts that were set apart go row by row');
DELETE FROM event_outbox;
SELECT is(pg_temp.clean(), '1 1', 'once its event is gone the last of them goes');
SELECT is(pg_temp.left_over(), NULL, 'nothing is left');

SELECT * FROM finish();
ROLLBACK;
