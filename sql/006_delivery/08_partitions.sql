-- The partitions of iu_route_attempt: one a day of UTC, made a week ahead by the
-- runner, each an ordinary table in schema iu, where nobody but iu_core_owner can
-- create. A clock that jumps, a restored dump or a runner that does not run never
-- keeps an attempt from being recorded: a day without a partition goes to the
-- default partition, and from there, in batches, to the kept one, so that the
-- default is empty again when the partition of that day is attached. With more
-- than 100 days the oldest is moved to the kept one: a query that has to look into
-- all of them locks each, with its indexes.
--
-- A plan that was made while the partition of tomorrow was empty would read it from
-- end to end the day after. So a function that looks for a delivery in all of them
-- has enable_seqscan = off.

CREATE FUNCTION iu.fn_iu_attempt_table(p_day date) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN 'iu.iu_route_attempt_' || to_char(p_day, 'YYYYMMDD');
COMMENT ON FUNCTION iu.fn_iu_attempt_table IS 'The name of the partition that has the attempts of a day of UTC.';

CREATE FUNCTION iu.fn_iu_attempt_days() RETURNS SETOF date
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT iu.fn_iu_partition_day(c.relname) AS day
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
   WHERE i.inhparent = 'public.iu_route_attempt'::regclass AND c.relnamespace = 'iu'::regnamespace
     AND c.relname ~ '^iu_route_attempt_[0-9]{8}$' AND iu.fn_iu_partition_day(c.relname) IS NOT NULL
   ORDER BY day
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_days IS 'The days that iu_route_attempt has a partition for, the oldest first.';

CREATE FUNCTION iu.fn_iu_attempt_is_partition(p_table text) RETURNS boolean
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM pg_inherits i
                WHERE i.inhrelid = to_regclass(p_table) AND i.inhparent = 'public.iu_route_attempt'::regclass);
COMMENT ON FUNCTION iu.fn_iu_attempt_is_partition IS 'Whether a table is a partition of iu_route_attempt: its name.';

CREATE FUNCTION iu.fn_iu_attempt_days_missing(p_first date, p_last date) RETURNS SETOF date
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT p_first + n FROM generate_series(0, p_last - p_first) AS n
   WHERE NOT iu.fn_iu_attempt_is_partition(iu.fn_iu_attempt_table(p_first + n)) ORDER BY n
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_days_missing IS
  'The days from one to another that iu_route_attempt has no partition for.';

CREATE FUNCTION iu.fn_iu_attempt_trouble() RETURNS text
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_today   constant date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  v_ahead   constant integer := coalesce((SELECT min(d) - v_today - 1
                                            FROM iu.fn_iu_attempt_days_missing(v_today, v_today + 7) d), 7);
  v_astray  text[] := ARRAY(SELECT t FROM unnest(ARRAY['iu.iu_route_attempt_default', 'iu.iu_route_attempt_kept']) t
                             WHERE NOT iu.fn_iu_attempt_is_partition(t));
  v_trouble text[] := '{}';
BEGIN
  IF 'iu.iu_route_attempt_default' <> ALL (v_astray) THEN
    IF EXISTS (SELECT FROM iu.iu_route_attempt_default) THEN
      v_trouble := v_trouble || 'attempts lie in iu.iu_route_attempt_default, since their day had no partition'::text;
    END IF;
  END IF;
  IF v_ahead < 0 THEN
    v_trouble := v_trouble || format('iu_route_attempt has no partition for today, %s', v_today);
  ELSIF v_ahead < 2 THEN
    v_trouble := v_trouble || format('iu_route_attempt has partitions for %s day(s) after today, %s', v_ahead, v_today);
  END IF;
  v_astray := v_astray || ARRAY(SELECT iu.fn_iu_attempt_table(d)
    FROM iu.fn_iu_attempt_days_missing(v_today - 1, v_today + 7) d
   WHERE to_regclass(iu.fn_iu_attempt_table(d)) IS NOT NULL);
  IF v_astray <> '{}' THEN
    v_trouble := v_trouble || format('%s: no partition of iu_route_attempt', array_to_string(v_astray, ', '));
  END IF;
  RETURN nullif(array_to_string(v_trouble, '; '), '');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_trouble IS
  'For health: what is wrong with the partitions of iu_route_attempt, in words: attempts in the default one, fewer '
  'than 2 days ahead, or a table that has the name of a partition and is none, as after a restore or a detaching, '
  'which people put right. NULL: nothing.';

CREATE FUNCTION iu.fn_iu_attempt_copy(p_source text) RETURNS integer
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_copied integer;
BEGIN
  IF NOT iu.fn_iu_attempt_is_partition('iu.iu_route_attempt_kept') THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'iu.iu_route_attempt_kept is no partition of iu_route_attempt',
      DETAIL = 'What is moved there would be seen no more.', CONSTRAINT = 'iu_attempt_kept';
  END IF;
  EXECUTE format($sql$
    WITH source AS (%s)
    INSERT INTO iu.iu_route_attempt_kept (id, route_kind, route_code, event_ref, replay_number, attempt_no,
        idempotency_key, status, sender, started_at, recorded_at, duration_us, http_status, failure_code,
        failure_detail, response_excerpt, payload_snapshot, kept)
      OVERRIDING SYSTEM VALUE
      SELECT s.id, s.route_kind, s.route_code, s.event_ref, s.replay_number, s.attempt_no, s.idempotency_key, s.status,
             s.sender, s.started_at, s.recorded_at, s.duration_us, s.http_status, s.failure_code, s.failure_detail,
             s.response_excerpt, s.payload_snapshot, true
        FROM source s$sql$, p_source);
  GET DIAGNOSTICS v_copied = ROW_COUNT;
  RETURN v_copied;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_copy IS
  'Writes attempts to iu.iu_route_attempt_kept and returns how many: SQL of a query, or of a DELETE with RETURNING, '
  'that gives them. SQLSTATE 55000 where that is no partition of iu_route_attempt.';

CREATE FUNCTION iu.fn_iu_attempt_clear_default(p_rows integer) RETURNS integer
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT EXISTS (SELECT FROM iu.iu_route_attempt_default) THEN
    RETURN 0;
  END IF;
  RETURN iu.fn_iu_attempt_copy(format('DELETE FROM iu.iu_route_attempt_default a WHERE a.ctid = ANY (ARRAY('
    'SELECT r.ctid FROM iu.iu_route_attempt_default r LIMIT %L)) RETURNING a.*', p_rows));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_clear_default IS
  'Moves so many attempts (NULL: all) from the default partition to iu.iu_route_attempt_kept and returns how many.';

CREATE FUNCTION iu.fn_iu_attempt_partition_add(p_table text, p_bound text, p_about text) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  EXECUTE format('CREATE TABLE %s (LIKE public.iu_route_attempt INCLUDING CONSTRAINTS INCLUDING GENERATED, '
                 'PRIMARY KEY (id, recorded_at, kept))', p_table);
  EXECUTE format('COMMENT ON TABLE %s IS %L', p_table, p_about);
  EXECUTE format('ALTER TABLE public.iu_route_attempt ATTACH PARTITION %s %s', p_table, p_bound);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_partition_add IS
  'For fn_iu_attempt_partitions_make: makes a partition: its name, bounds and comment.';

-- Two locks are taken that others could wait for: none on the whole table that
-- would stop a record or a claim, and, for the moment that this takes, the default
-- partition, which nobody writes to while today has a partition of its own. A table
-- that has the name of a day and is no partition is left alone, for people.
CREATE FUNCTION iu.fn_iu_attempt_partitions_make(p_first date, p_last date) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_default constant text := 'iu.iu_route_attempt_default';
  v_days    constant date[] := ARRAY(SELECT d FROM iu.fn_iu_attempt_days_missing(p_first, p_last) d
                                      WHERE to_regclass(iu.fn_iu_attempt_table(d)) IS NULL);
  v_day     date;
BEGIN
  IF v_days = '{}' AND to_regclass(c_default) IS NOT NULL THEN
    RETURN;
  END IF;
  LOCK TABLE ONLY public.iu_route_attempt IN SHARE UPDATE EXCLUSIVE MODE;
  IF to_regclass(c_default) IS NULL THEN
    PERFORM iu.fn_iu_attempt_partition_add(c_default, 'DEFAULT', 'Attempts of days that had no partition when they '
      'were recorded, until the runner moves them to iu_route_attempt_kept. Health is critical while there are any.');
  ELSE
    LOCK TABLE iu.iu_route_attempt_default IN ACCESS EXCLUSIVE MODE;
    PERFORM iu.fn_iu_attempt_clear_default(NULL);
  END IF;
  FOREACH v_day IN ARRAY v_days LOOP
    PERFORM iu.fn_iu_attempt_partition_add(iu.fn_iu_attempt_table(v_day),
      format('FOR VALUES FROM (false, %L) TO (false, %L)', v_day || ' 00:00:00+00', v_day + 1 || ' 00:00:00+00'),
      format('Attempts recorded on %s, by UTC.', v_day));
  END LOOP;
  PERFORM iu.fn_iu_leave_out_subscriptions();
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_partitions_make IS
  'Makes the partitions of iu_route_attempt that are missing from one day to another, and the default one where that '
  'is gone. SQLSTATE 55P03 where a lock is not to be had.';

-- A partition ends in two steps. The first takes its time and locks no other table;
-- the second locks the whole of iu_route_attempt for an instant, and records wait
-- for that, so it comes last in its transaction. Nothing is deleted in the
-- partition: a subscriber need not have one of that day.
CREATE FUNCTION iu.fn_iu_attempt_partition_leave(p_day date, p_keep text, p_rows integer) RETURNS bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '200ms'
AS $function$
DECLARE
  v_table constant text := iu.fn_iu_attempt_table(p_day);
  v_keep  bigint;
  v_all   bigint;
BEGIN
  -- Whoever records what a clock that was set back dates to this day waits until it is decided.
  EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', v_table);
  EXECUTE format('SELECT count(*) FROM (SELECT FROM %s r WHERE %s LIMIT %L) AS x', v_table, p_keep, p_rows::bigint + 1)
    INTO v_keep;
  IF v_keep > p_rows THEN
    RETURN NULL;
  END IF;
  EXECUTE format('SELECT count(*) FROM %s', v_table) INTO v_all;
  RETURN v_all - iu.fn_iu_attempt_copy(format('SELECT * FROM %s r WHERE %s', v_table, p_keep));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_partition_leave IS
  'First step of dropping the partition of a day: copies what has to stay to iu.iu_route_attempt_kept, and keeps '
  'others from writing to it: day, condition on a row r that has to stay, at most how many of these (NULL: any '
  'number). Returns how many attempts will go with it; NULL where more have to stay, and nothing was done. SQLSTATE '
  '55P03 where a lock is not to be had within 0.2 s. fn_iu_attempt_partitions_drop has to follow in the same '
  'transaction.';

CREATE FUNCTION iu.fn_iu_attempt_partitions_drop(p_days date[]) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '200ms'
AS $function$
DECLARE
  v_day date;
BEGIN
  LOCK TABLE ONLY public.iu_route_attempt IN ACCESS EXCLUSIVE MODE;
  FOREACH v_day IN ARRAY p_days LOOP
    EXECUTE format('DROP TABLE %s', iu.fn_iu_attempt_table(v_day));
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_partitions_drop IS
  'Second step: drops the partitions of these days. SQLSTATE 55P03 where a lock is not to be had within 0.2 s.';

CREATE FUNCTION iu.fn_iu_attempt_partitions_end(p_today date, p_most integer) RETURNS boolean
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_days  constant date[] := ARRAY(SELECT d FROM iu.fn_iu_attempt_days() d);
  v_old   constant date[] := ARRAY(SELECT d FROM unnest(v_days) d WHERE d < p_today - 7);
  v_ahead constant date[] := ARRAY(SELECT d FROM unnest(v_days) d WHERE d > p_today + 7 ORDER BY d DESC);
  v_ends  date[] := ARRAY(SELECT d FROM unnest(v_days) d
                           WHERE d NOT BETWEEN p_today - 1 AND p_today + 7
                             AND pg_relation_size(iu.fn_iu_attempt_table(d)::regclass) = 0 LIMIT 10);
BEGIN
  IF v_ends = '{}' AND cardinality(v_days) > p_most THEN
    v_ends := array_remove(ARRAY[coalesce(v_old[1], v_ahead[1])], NULL);
  END IF;
  IF v_ends = '{}' THEN
    RETURN false;
  END IF;
  PERFORM iu.fn_iu_attempt_partition_leave(d, 'true', NULL) FROM unnest(v_ends) d;
  PERFORM iu.fn_iu_attempt_partitions_drop(v_ends);
  RETURN true;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_partitions_end IS
  'For fn_iu_attempt_partitions_tend: drops partitions that are empty, at most 10, but those from yesterday until a '
  'week from now; where there are none of these, and more than so many days, moves the oldest one to '
  'iu.iu_route_attempt_kept; a day far ahead, of a clock that was wrong, where none is old. Returns whether it dropped '
  'any. SQLSTATE 55P03 where a lock is not to be had.';

-- A lock that cannot be had at once is left for the next look, so that others who
-- wait behind it go on. What fails is told, and keeps nothing else from being done.
CREATE FUNCTION iu.fn_iu_attempt_partitions_tend(OUT more boolean, OUT trouble text)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '200ms'
AS $function$
DECLARE
  c_rows   constant integer := 10000;
  v_today  constant date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  v_failed text[] := '{}';
BEGIN
  more := false;
  -- A restore that is under way brings the partitions itself, and notes the migrations after them.
  IF NOT EXISTS (SELECT FROM iu_core.applied_migration) THEN
    RETURN;
  END IF;
  BEGIN
    IF iu.fn_iu_attempt_is_partition('iu.iu_route_attempt_default') THEN
      more := iu.fn_iu_attempt_clear_default(c_rows) = c_rows;
    END IF;
    IF NOT more THEN
      PERFORM iu.fn_iu_attempt_partitions_make(v_today - 1, v_today + 7);
    END IF;
  EXCEPTION
    WHEN lock_not_available THEN
      more := false;
    WHEN OTHERS THEN
      more := false;
      v_failed := v_failed || format('partitions of iu_route_attempt cannot be made: %s', SQLERRM);
  END;
  IF NOT more THEN
    BEGIN
      more := iu.fn_iu_attempt_partitions_end(v_today, 100);
    EXCEPTION
      WHEN lock_not_available THEN
        more := false;
      WHEN OTHERS THEN
        more := false;
        v_failed := v_failed || format('partitions of iu_route_attempt cannot be ended: %s', SQLERRM);
    END;
  END IF;
  BEGIN
    trouble := iu.fn_iu_attempt_trouble();
  EXCEPTION WHEN lock_not_available THEN
    v_failed := v_failed || 'a session has locked iu.iu_route_attempt_default, so that nobody can look into it'::text;
  END;
  trouble := nullif(concat_ws('; ', trouble, nullif(array_to_string(v_failed, '; '), '')), '');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_partitions_tend IS
  'For the runner, three times a minute: empties the default partition of iu_route_attempt, makes the partitions from '
  'yesterday until a week from now, drops others that are empty, and keeps their number at 100; of the default '
  'partition it moves at most 10000 attempts a call. It waits for no lock longer than 0.2 s. Does nothing where no '
  'migration is noted, as in the middle of a restore. Returns whether to call it again at once, and '
  'fn_iu_attempt_trouble() with what failed.';

SELECT iu.fn_iu_attempt_partitions_make((clock_timestamp() AT TIME ZONE 'UTC')::date - 1,
  (clock_timestamp() AT TIME ZONE 'UTC')::date + 7);
