-- 006: attempts lie in a partition a day. They are recorded whatever day it is, the
-- partitions are made ahead, and none has anything that its table has not.
\ir setup.psql
SELECT no_plan();

-- An attempt, recorded so many days from now.
CREATE FUNCTION pg_temp.attempt(p_days integer, p_key text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO iu_route_attempt (route_code, event_ref, attempt_no, idempotency_key, status, recorded_at)
  VALUES ('r', gen_random_uuid(), 1, p_key, 'sent', clock_timestamp() + make_interval(days => p_days)) $$;
CREATE FUNCTION pg_temp.today(p_days integer DEFAULT 0) RETURNS date LANGUAGE sql AS
  $$SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date + p_days$$;
CREATE FUNCTION pg_temp.lies_in(p_key text) RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(tableoid::regclass::text, ',') FROM iu_route_attempt WHERE idempotency_key = p_key$$;
CREATE FUNCTION pg_temp.days() RETURNS text LANGUAGE sql AS
  $$SELECT string_agg((d - pg_temp.today())::text, ' ' ORDER BY d) FROM iu.fn_iu_attempt_days() d$$;
CREATE FUNCTION pg_temp.findings() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', check_code, object_class, coalesce(expected, found), detail), E'\n')
  FROM fn_iu_conformance() WHERE NOT ok AND check_code <> 'D9' $$;
DELETE FROM iu_route_attempt;
SELECT * FROM iu.fn_iu_attempt_partitions_tend() \g /dev/null

-- ---- which day lies where

SELECT is(pg_temp.days(), '-1 0 1 2 3 4 5 6 7', 'there are partitions from yesterday until a week from now');
SELECT is(iu.fn_iu_attempt_trouble(), NULL, 'with these partitions all is well');
SELECT pg_temp.attempt(n, 'day ' || n) FROM generate_series(-1, 7) n \g /dev/null
SELECT is(pg_temp.lies_in('day ' || n), iu.fn_iu_attempt_table(pg_temp.today(n)),
  'an attempt of ' || n || ' days from now lies in the partition of its day') FROM generate_series(-1, 7) n;
SELECT pg_temp.attempt(n, 'far ' || n) FROM unnest(ARRAY[-4000, -30, 8, 365]) n \g /dev/null
SELECT is(pg_temp.lies_in('far ' || n), 'iu.iu_route_attempt_default',
  'an attempt of ' || n || ' days from now, which has no partition, is recorded all the same')
  FROM unnest(ARRAY[-4000, -30, 8, 365]) n;
SELECT is(iu.fn_iu_attempt_trouble(), 'attempts lie in iu.iu_route_attempt_default, since their day had no partition',
  'that attempts lie in the default partition is a trouble');
SELECT is(fn_iu_route_worker_health() -> 'healthy', 'false'::jsonb, 'health of the routes tells that trouble');
CREATE TEMP TABLE before AS SELECT * FROM iu_route_attempt;
SELECT is((SELECT t FROM iu.fn_iu_attempt_partitions_tend() t)::text, '(f,)', 'tending the partitions mends it');
SELECT is(pg_temp.lies_in('far ' || n), 'iu.iu_route_attempt_kept', 'the attempt of ' || n || ' days from now is kept')
  FROM unnest(ARRAY[-4000, -30, 8, 365]) n;
SELECT bag_eq($$SELECT to_jsonb(a) - 'kept' FROM iu_route_attempt a$$, $$SELECT to_jsonb(b) - 'kept' FROM before b$$,
  'of what was moved nothing else changes');

-- ---- days that are missing, days that are too many

DO $$BEGIN EXECUTE (SELECT string_agg('DROP TABLE ' || iu.fn_iu_attempt_table(pg_temp.today(n)), '; ')
             FROM generate_series(2, 7) n); END$$;
SELECT is(iu.fn_iu_attempt_trouble(),
  format('iu_route_attempt has partitions for 1 day(s) after today, %s', pg_temp.today()),
  'that fewer than 2 days are ahead is a trouble');
DO $$BEGIN EXECUTE (SELECT string_agg('DROP TABLE ' || iu.fn_iu_attempt_table(pg_temp.today(n)), '; ')
             FROM generate_series(0, 1) n); END$$;
SELECT is(iu.fn_iu_attempt_trouble(), format('iu_route_attempt has no partition for today, %s', pg_temp.today()),
  'that today has no partition is a trouble');
SAVEPOINT restore;
DELETE FROM iu_core.applied_migration;
SELECT is((SELECT t FROM iu.fn_iu_attempt_partitions_tend() t)::text, '(f,)',
  'in the middle of a restore tending the partitions finds no trouble');
SELECT is(pg_temp.days(), '-1', 'in the middle of a restore, which brings the partitions itself, none is made');
ROLLBACK TO restore;
SELECT pg_temp.attempt(0, 'now') \g /dev/null
SELECT is(pg_temp.lies_in('now'), 'iu.iu_route_attempt_default',
  'an attempt is recorded though today has no partition');
SELECT is((SELECT t FROM iu.fn_iu_attempt_partitions_tend() t)::text, '(f,)',
  'the partition of today is made while attempts of today lie in the default one');
SELECT is(pg_temp.lies_in('now'), 'iu.iu_route_attempt_kept', 'an attempt that was recorded meanwhile is kept');
SELECT is(pg_temp.days(), '-1 0 1 2 3 4 5 6 7', 'all days are there again');
SET LOCAL ROLE iu_core_owner;
SELECT iu.fn_iu_attempt_partitions_make(pg_temp.today(-30), pg_temp.today(-20)),
  iu.fn_iu_attempt_partitions_make(pg_temp.today(90), pg_temp.today(91)) \g /dev/null
RESET ROLE;
SELECT pg_temp.attempt(-25, 'old ' || n) FROM generate_series(1, 25) n \g /dev/null
SELECT pg_temp.attempt(91, 'of a clock that was wrong') \g /dev/null
SELECT iu.fn_iu_attempt_partitions_tend() \g /dev/null
SELECT is(pg_temp.days(), '-25 -1 0 1 2 3 4 5 6 7 90 91',
  'partitions of other days are dropped where they are empty, ten at a time, and no other is');
SELECT iu.fn_iu_attempt_partitions_tend() \g /dev/null
SELECT is(pg_temp.days(), '-25 -1 0 1 2 3 4 5 6 7 91', 'the rest of them are dropped the next time');
SELECT is(iu.fn_iu_attempt_partitions_end(pg_temp.today(), 11), false, 'eleven days are not too many where 11 may be');
SELECT is(iu.fn_iu_attempt_partitions_end(pg_temp.today(), 10), true, 'of too many days the oldest goes');
SELECT is(pg_temp.days(), '-1 0 1 2 3 4 5 6 7 91', 'its partition is dropped');
SELECT is(iu.fn_iu_attempt_partitions_end(pg_temp.today(), 9), true, 'of too many days where none is old one goes');
SELECT is(pg_temp.days(), '-1 0 1 2 3 4 5 6 7', 'where no day is old it is the one that is farthest ahead');
SELECT is(iu.fn_iu_attempt_partitions_end(pg_temp.today(), 3), false, 'the days around today never go');
SELECT is((SELECT count(*) FROM iu_route_attempt WHERE kept AND idempotency_key ~ '^old|^of a clock'), 26::bigint,
  'every attempt of a day that went is kept');

-- ---- what a restore or a detaching leaves behind

CREATE FUNCTION pg_temp.tended() RETURNS text LANGUAGE sql AS
  $$SELECT trouble FROM iu.fn_iu_attempt_partitions_tend()$$;
CREATE FUNCTION pg_temp.part(p_days integer) RETURNS text LANGUAGE sql AS
  $$SELECT iu.fn_iu_attempt_table(pg_temp.today(p_days))$$;
SELECT is(iu.fn_iu_partition_day('iu_route_attempt_' || n), d, 'the day of a partition whose name ends in ' || n)
  FROM (VALUES ('20261129', date '2026-11-29'), ('20240229', '2024-02-29'), ('20260229', NULL), ('20261399', NULL),
    ('20260132', NULL), ('20260100', NULL), ('20260001', NULL), ('00000101', NULL), ('00010101', '0001-01-01'),
    ('99991231', '9999-12-31'), ('1129', NULL), ('default', NULL)) AS t (n, d);

DO $$BEGIN EXECUTE format('DROP TABLE %s, %s; CREATE TABLE %1$s (n int)', pg_temp.part(3), pg_temp.part(5)); END$$;
SELECT is(pg_temp.tended(), pg_temp.part(3) || ': no partition of iu_route_attempt',
  'a table that has the name of a partition and is none is a trouble');
SELECT is(pg_temp.days(), '-1 0 1 2 4 5 6 7', 'it keeps no other partition from being made');
DO $$BEGIN EXECUTE format('DROP TABLE %s; ALTER TABLE iu_route_attempt DETACH PARTITION %s', pg_temp.part(3),
  pg_temp.part(0)); END$$;
SELECT pg_temp.attempt(0, 'today is detached') \g /dev/null
SELECT is(pg_temp.tended(), format('iu_route_attempt has no partition for today, %s; %s: no partition of '
  'iu_route_attempt', pg_temp.today(), pg_temp.part(0)), 'that the partition of today is detached is a trouble');
SELECT is(pg_temp.lies_in('today is detached'), 'iu.iu_route_attempt_kept',
  'what is recorded while it is detached is kept');
SET LOCAL iu_core.allow_removal = on;
DO $$BEGIN EXECUTE format('DROP TRIGGER trg_0_subscription ON %1$s; DROP TRIGGER trg_1_subscription_numbers ON %1$s; '
  'ALTER TABLE iu_route_attempt ATTACH PARTITION %1$s FOR VALUES FROM (false, %2$L) TO (false, %3$L)', pg_temp.part(0),
  pg_temp.today() || ' 00:00+00', pg_temp.today(1) || ' 00:00+00'); END$$;
SELECT is(pg_temp.tended(), NULL, 'once it is attached again all is well');
SELECT is(pg_temp.findings(), NULL, 'a partition that was attached again is no difference');

DROP TABLE iu.iu_route_attempt_default;
SELECT is(iu.fn_iu_attempt_trouble(), 'iu.iu_route_attempt_default: no partition of iu_route_attempt',
  'that there is no default partition is a trouble');
SELECT is(pg_temp.tended(), NULL, 'a default partition that is gone is made again');
SELECT pg_temp.attempt(365, 'default') \g /dev/null
SELECT is(pg_temp.lies_in('default'), 'iu.iu_route_attempt_default', 'it takes what has no day');
SELECT is(pg_temp.findings(), NULL, 'it is as it was');

ALTER TABLE iu_route_attempt DETACH PARTITION iu.iu_route_attempt_kept;
DO $$BEGIN EXECUTE format('DROP TABLE %s', pg_temp.part(7)); END$$;
SELECT alike(pg_temp.tended(), '%iu.iu_route_attempt_kept: no partition of iu_route_attempt; partitions of '
  'iu_route_attempt cannot be made: iu.iu_route_attempt_kept is no partition of iu_route_attempt',
  'that the kept partition is detached is a trouble');
SELECT is(pg_temp.lies_in('default'), 'iu.iu_route_attempt_default', 'nothing is moved to where nobody would see it');
SELECT pg_temp.refuses($$SELECT iu.fn_iu_attempt_partition_leave(pg_temp.today(1), 'true', NULL)$$, '55000',
  'iu_attempt_kept', 'no day ends while what has to stay could not be seen');
DELETE FROM iu_route_attempt WHERE idempotency_key = 'default';
SELECT is(pg_temp.tended(), 'iu.iu_route_attempt_kept: no partition of iu_route_attempt',
  'where nothing has to be moved partitions are made without it');
SELECT is(pg_temp.days(), '-1 0 1 2 3 4 5 6 7', 'all of them');
DROP TRIGGER trg_0_subscription ON iu.iu_route_attempt_kept;
DROP TRIGGER trg_1_subscription_numbers ON iu.iu_route_attempt_kept;
ALTER TABLE iu_route_attempt ATTACH PARTITION iu.iu_route_attempt_kept
  FOR VALUES FROM (true, MINVALUE) TO (true, MAXVALUE);
SELECT is(pg_temp.tended(), NULL, 'once the kept partition is attached again all is well');

-- ---- nothing of its own

SELECT is(pg_temp.findings(), NULL, 'partitions that come and go are no difference');
CREATE TABLE public.part (name text, sql text);
INSERT INTO public.part
SELECT w.name, format(replace(w.sql, '@', '%1$s'), iu.fn_iu_attempt_table(pg_temp.today(1))) FROM (VALUES
  ('grants PUBLIC: SELECT', 'GRANT SELECT ON @ TO PUBLIC'),
  ('grants on columns', 'GRANT SELECT (id) ON @ TO PUBLIC'),
  ('is owned by', 'ALTER TABLE @ OWNER TO iu_core_admin'),
  ('row security on', 'ALTER TABLE @ ENABLE ROW LEVEL SECURITY'),
  ('policy p', 'CREATE POLICY p ON @'),
  ('rule r', 'CREATE RULE r AS ON INSERT TO @ DO NOTHING'),
  ('trigger t', 'CREATE TRIGGER t BEFORE UPDATE ON @ FOR EACH ROW '
     'EXECUTE FUNCTION suppress_redundant_updates_trigger()'),
  ('lacks trigger trg_zz_subscription_truncate', 'DROP TRIGGER trg_zz_subscription_truncate ON @'),
  ('trigger trg_0_subscription', 'ALTER TABLE @ DISABLE TRIGGER trg_0_subscription'),
  ('statistics', 'CREATE STATISTICS s ON route_code, status FROM @'),
  ('index', 'CREATE INDEX ON @ (lower(route_code))'),
  ('lacks its primary key', 'DO $d$BEGIN EXECUTE (SELECT format(''ALTER TABLE %%s DROP CONSTRAINT %%I'', '
     'conrelid::regclass, conname) FROM pg_constraint WHERE contype = ''p'' AND conrelid = ''@''::regclass); END$d$'),
  ('constraint c', 'ALTER TABLE @ ADD CONSTRAINT c CHECK (attempt_no < 5)'),
  ('default of sender', 'ALTER TABLE @ ALTER sender SET DEFAULT ''x'''),
  ('settings {fillfactor=10}', 'ALTER TABLE @ SET (fillfactor = 10)'),
  ('another replica identity', 'ALTER TABLE @ REPLICA IDENTITY FULL'),
  ('is not in schema iu', 'ALTER TABLE @ SET SCHEMA public'),
  ('which its name does not say', 'ALTER TABLE @ RENAME TO iu_route_attempt_20000101'),
  ('which its name does not say', 'ALTER TABLE @ RENAME TO other'),
  ('which its name does not say', 'ALTER TABLE @ RENAME TO iu_route_attempt_20261399'),
  ('owned by iu_core_owner, made by no migration', 'ALTER TABLE public.iu_route_attempt DETACH PARTITION @'),
  ('has no default partition', 'ALTER TABLE iu_route_attempt DETACH PARTITION iu.iu_route_attempt_default'),
  ('owned by nobody', 'CREATE TABLE public.planted PARTITION OF public.iu_route_attempt FOR VALUES FROM '
     '(false, ''2000-01-01'') TO (false, ''2001-01-01'')')) AS w (name, sql);
UPDATE public.part SET name = 'is not in schema iu' WHERE name = 'owned by nobody';
CREATE FUNCTION pg_temp.tampered(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_found text;
BEGIN
  BEGIN
    EXECUTE p_sql;
    v_found := pg_temp.findings();
    RAISE EXCEPTION USING ERRCODE = 'P0099';
  EXCEPTION WHEN SQLSTATE 'P0099' THEN
    RETURN v_found;
  END;
END $$;
SELECT alike(pg_temp.tampered(p.sql), '%' || p.name || '%', 'conformance is red after ' || p.sql) FROM public.part p;
SELECT is(pg_temp.findings(), NULL, 'with all that undone conformance is green');
DO $$BEGIN EXECUTE (SELECT format('GRANT SELECT ON %1$s TO PUBLIC; GRANT SELECT (id) ON %1$s TO iu_core_reader; '
  'ALTER TABLE %1$s DISABLE TRIGGER ALL; ALTER TABLE %1$s ENABLE TRIGGER ALL',
  iu.fn_iu_attempt_table(pg_temp.today(1)))); END$$;
SELECT alike(pg_temp.findings(), '%a partition that is not as its table%', 'what a restore may do to one is told');
SELECT is((SELECT count(*) FROM fn_iu_conformance_repair('ann', 't') WHERE done IS NULL), 0::bigint,
  'the repair puts its grants and its triggers right');
SELECT is(pg_temp.findings(), NULL, 'after the repair conformance is green');

-- ---- who may

SELECT is((SELECT count(*) FROM iu_governed_object WHERE object_name ~ '^iu.iu_route_attempt_'), 0::bigint,
  'no partition is registered');
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT count(*) > 20 FROM iu_route_attempt'), 'true',
  'a reader reads attempts in all partitions');
SELECT alike(pg_temp.as_role('iu_core_reader', 'SELECT count(*) FROM iu.iu_route_attempt_kept'), '42501%',
  'a reader has no right on a partition by itself');
SELECT alike(pg_temp.as_role('iu_core_reader', 'SELECT iu.fn_iu_attempt_partitions_tend()'), '42501%',
  'only the worker tends the partitions');
CREATE ROLE part_owner;
DO $$BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO part_owner', current_database()); END$$;
SELECT alike(pg_temp.as_role('part_owner', format(sql, pg_temp.part(1), pg_temp.part(0))), '42501%',
  'the owner of the database has no way to ' || name) FROM (VALUES
  ('detach a partition', 'ALTER TABLE iu_route_attempt DETACH PARTITION %1$s'),
  ('attach one', 'ALTER TABLE iu_route_attempt ATTACH PARTITION %1$s FOR VALUES FROM (false, ''2001-01-01'') TO '
     '(false, ''2002-01-01'')'),
  ('make one', 'CREATE TABLE public.mine PARTITION OF iu_route_attempt FOR VALUES FROM (false, ''2001-01-01'') TO '
     '(false, ''2002-01-01'')'),
  ('drop one', 'DROP TABLE %1$s'), ('rename one', 'ALTER TABLE %2$s RENAME TO mine'),
  ('take the name of one that is to come', 'CREATE TABLE iu.iu_route_attempt_20990101 (n int)')) AS t (name, sql);

SELECT * FROM finish();
ROLLBACK;
