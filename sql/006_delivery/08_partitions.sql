-- The partitions of iu_route_attempt: one a day of UTC, made a week ahead by the
-- runner, each an ordinary table in schema iu, where nobody but iu_core_owner can
-- create. A clock that jumps, a restored dump or a runner that does not run never
-- keeps an attempt from being recorded: a day without a partition goes to the
-- default partition, and from there, in batches, to the kept one, so that the
-- default is empty again when the partition of that day is attached. With more
-- than 100 days the oldest is moved to the kept one: a query that has to look into
-- all of them locks each, with its indexes.

CREATE FUNCTION iu.fn_iu_attempt_table(p_day date) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN 'iu.iu_route_attempt_' || to_char(p_day, 'YYYYMMDD');
COMMENT ON FUNCTION iu.fn_iu_attempt_table IS 'The name of the partition that has the attempts of a day of UTC.';

CREATE FUNCTION iu.fn_iu_attempt_days() RETURNS SETOF date
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
   WHERE i.inhparent = 'public.iu_route_attempt'::regclass AND c.relname ~ '^iu_route_attempt_[0-9]{8}$'
   ORDER BY day
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_days IS 'The days that iu_route_attempt has a partition for, the oldest first.';

CREATE FUNCTION iu.fn_iu_attempt_trouble() RETURNS text
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH today (day) AS (
    SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date
  ), ahead (days) AS (
    SELECT coalesce(min(g.n) - 1, 7)
      FROM today t CROSS JOIN generate_series(0, 7) AS g (n)
     WHERE t.day + g.n NOT IN (SELECT d FROM iu.fn_iu_attempt_days() d)
  )
  SELECT nullif(concat_ws('; ',
    CASE WHEN EXISTS (SELECT FROM iu.iu_route_attempt_default)
         THEN 'attempts lie in iu.iu_route_attempt_default, since their day had no partition' END,
    CASE WHEN a.days < 0 THEN format('iu_route_attempt has no partition for today, %s', t.day)
         WHEN a.days < 2 THEN format('iu_route_attempt has partitions for %s day(s) after today, %s', a.days, t.day)
    END), '')
    FROM today t CROSS JOIN ahead a
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_trouble IS
  'For health: what is wrong with the partitions of iu_route_attempt, in words: attempts in the default one, or fewer '
  'than 2 days ahead. NULL: nothing.';

CREATE FUNCTION iu.fn_iu_attempt_keep(p_table text, p_condition text, p_rows integer) RETURNS integer
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_kept integer;
BEGIN
  EXECUTE format($sql$
    WITH gone AS (
      DELETE FROM %1$s a WHERE a.ctid = ANY (ARRAY(SELECT r.ctid FROM %1$s r WHERE %2$s LIMIT %3$L)) RETURNING a.*
    )
    INSERT INTO iu.iu_route_attempt_kept (id, route_kind, route_code, event_ref, replay_number, attempt_no,
        idempotency_key, status, sender, started_at, recorded_at, duration_us, http_status, failure_code,
        failure_detail, response_excerpt, payload_snapshot, kept)
      OVERRIDING SYSTEM VALUE
      SELECT g.id, g.route_kind, g.route_code, g.event_ref, g.replay_number, g.attempt_no, g.idempotency_key, g.status,
             g.sender, g.started_at, g.recorded_at, g.duration_us, g.http_status, g.failure_code, g.failure_detail,
             g.response_excerpt, g.payload_snapshot, true
        FROM gone g$sql$, p_table, p_condition, p_rows);
  GET DIAGNOSTICS v_kept = ROW_COUNT;
  RETURN v_kept;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_keep IS
  'Moves attempts of a partition to iu.iu_route_attempt_kept and returns how many: name of the partition, condition on '
  'a row r, at most how many (NULL: all).';

-- Two locks are taken that others could wait for: none on the whole table that
-- would stop a record or a claim, and, for the moment that this takes, the default
-- partition, which nobody writes to while today has a partition of its own.
CREATE FUNCTION iu.fn_iu_attempt_partitions_make(p_first date, p_last date) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_day date;
BEGIN
  IF NOT EXISTS (SELECT FROM generate_series(0, p_last - p_first) n
                  WHERE p_first + n NOT IN (SELECT d FROM iu.fn_iu_attempt_days() d)) THEN
    RETURN;
  END IF;
  LOCK TABLE public.iu_route_attempt IN SHARE UPDATE EXCLUSIVE MODE;
  LOCK TABLE iu.iu_route_attempt_default IN ACCESS EXCLUSIVE MODE;
  PERFORM iu.fn_iu_attempt_keep('iu.iu_route_attempt_default', 'true', NULL);
  FOR v_day IN
    SELECT p_first + n FROM generate_series(0, p_last - p_first) n
     WHERE p_first + n NOT IN (SELECT d FROM iu.fn_iu_attempt_days() d) ORDER BY n
  LOOP
    EXECUTE format('CREATE TABLE %s (LIKE public.iu_route_attempt INCLUDING CONSTRAINTS INCLUDING GENERATED)',
      iu.fn_iu_attempt_table(v_day));
    EXECUTE format('COMMENT ON TABLE %s IS %L', iu.fn_iu_attempt_table(v_day),
      format('Attempts recorded on %s, by UTC.', v_day));
    EXECUTE format('ALTER TABLE public.iu_route_attempt ATTACH PARTITION %s '
                   'FOR VALUES FROM (false, %L) TO (false, %L)', iu.fn_iu_attempt_table(v_day),
      v_day || ' 00:00:00+00', v_day + 1 || ' 00:00:00+00');
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_partitions_make IS
  'Makes the partitions of iu_route_attempt that are missing from one day to another. SQLSTATE 55P03 where a lock is '
  'not to be had.';

CREATE FUNCTION iu.fn_iu_attempt_partition_empty(p_day date, p_keep text, p_rows integer) RETURNS bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '200ms'
AS $function$
DECLARE
  v_table constant text := iu.fn_iu_attempt_table(p_day);
  v_keep  bigint;
  v_gone  bigint;
BEGIN
  -- Whoever records what a clock that was set back dates to this day waits until it is decided.
  EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', v_table);
  EXECUTE format('SELECT count(*) FROM (SELECT FROM %s r WHERE %s LIMIT %s) AS x', v_table, p_keep, p_rows::bigint + 1)
    INTO v_keep;
  IF v_keep > p_rows THEN
    RETURN NULL;
  END IF;
  PERFORM iu.fn_iu_attempt_keep(v_table, p_keep, NULL);
  EXECUTE format('SELECT count(*) FROM %s', v_table) INTO v_gone;
  EXECUTE format('TRUNCATE %s', v_table);
  RETURN v_gone;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_partition_empty IS
  'Empties the partition of a day, after what has to stay was moved to iu.iu_route_attempt_kept: day, condition on a '
  'row r that has to stay, at most how many of these. Returns how many attempts went, NULL where more have to stay and '
  'nothing was done. It locks this partition alone, which no record needs; the runner drops it. SQLSTATE 55P03 where '
  'the lock is not to be had within 0.2 s.';

CREATE FUNCTION iu.fn_iu_attempt_partitions_fold(p_most integer, p_today date, p_rows integer) RETURNS boolean
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_days constant date[] := ARRAY(SELECT d FROM iu.fn_iu_attempt_days() d);
  v_day  constant date := CASE WHEN v_days[1] < p_today - 7 THEN v_days[1] ELSE v_days[cardinality(v_days)] END;
BEGIN
  IF cardinality(v_days) <= p_most OR v_day BETWEEN p_today - 7 AND p_today + 7 THEN
    RETURN false;
  END IF;
  IF iu.fn_iu_attempt_keep(iu.fn_iu_attempt_table(v_day), 'true', p_rows) < p_rows THEN
    PERFORM iu.fn_iu_attempt_partition_empty(v_day, 'true', p_rows);
  END IF;
  RETURN true;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_partitions_fold IS
  'For fn_iu_attempt_partitions_tend: where there are more than so many days, moves so many attempts of the oldest to '
  'iu.iu_route_attempt_kept, until it is empty; of a day far ahead, of a clock that was wrong, where none is old. '
  'Returns whether there may be more to do.';

-- To drop a partition is to lock the whole table, for an instant: records wait for
-- it, so it is done in a transaction of its own, and given up where it cannot be had.
CREATE FUNCTION iu.fn_iu_attempt_partitions_drop(p_today date) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_table text;
  v_used  boolean;
BEGIN
  FOR v_table IN
    SELECT iu.fn_iu_attempt_table(d) FROM iu.fn_iu_attempt_days() d
     WHERE d NOT BETWEEN p_today - 1 AND p_today + 7 AND pg_relation_size(iu.fn_iu_attempt_table(d)::regclass) = 0
     LIMIT 10
  LOOP
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', v_table);
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', v_table) INTO v_used;
    IF NOT v_used THEN
      EXECUTE format('DROP TABLE %s', v_table);
    END IF;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_partitions_drop IS
  'For fn_iu_attempt_partitions_tend: drops partitions that are empty, at most 10, but those from yesterday until a '
  'week from now. SQLSTATE 55P03 where a lock is not to be had.';

-- A lock that cannot be had at once is left for the next look, so that others who wait behind it go on.
CREATE FUNCTION iu.fn_iu_attempt_partitions_tend(OUT more boolean, OUT trouble text)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '200ms'
AS $function$
DECLARE
  c_rows  constant integer := 10000;
  v_today constant date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
BEGIN
  BEGIN
    more := iu.fn_iu_attempt_keep('iu.iu_route_attempt_default', 'true', c_rows) = c_rows;
    IF NOT more THEN
      PERFORM iu.fn_iu_attempt_partitions_make(v_today - 1, v_today + 7);
    END IF;
  EXCEPTION WHEN lock_not_available THEN
    more := false;
  END;
  IF NOT more THEN
    BEGIN
      more := iu.fn_iu_attempt_partitions_fold(100, v_today, c_rows);
      PERFORM iu.fn_iu_attempt_partitions_drop(v_today);
    EXCEPTION WHEN lock_not_available THEN
      more := false;
    END;
  END IF;
  trouble := iu.fn_iu_attempt_trouble();
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_attempt_partitions_tend IS
  'For the runner, once a minute: empties the default partition of iu_route_attempt, makes the partitions from '
  'yesterday until a week from now, drops others that are empty, and keeps their number at 100; it moves at most 10000 '
  'attempts a call, and waits for no lock longer than 0.2 s. Returns whether to call it again at once, and '
  'fn_iu_attempt_trouble().';

SELECT iu.fn_iu_attempt_partitions_make((clock_timestamp() AT TIME ZONE 'UTC')::date - 1,
  (clock_timestamp() AT TIME ZONE 'UTC')::date + 7);
