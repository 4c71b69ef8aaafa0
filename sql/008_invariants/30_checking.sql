-- Read as it is whoever asks: in the same notation, so that a key is the same
-- key again, and never through a policy that leaves rows out (that is an error).
CREATE FUNCTION iu.fn_iu_read(
    p_query text, p_timeout_ms integer, OUT began_at timestamptz, OUT ms numeric, OUT result jsonb, OUT error_code text, OUT error text)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET row_security = off
  SET timezone = 'UTC'
  SET datestyle = 'ISO, YMD'
  SET intervalstyle = 'postgres'
  SET extra_float_digits = 1
  SET bytea_output = 'hex'
AS $function$
DECLARE
  v_deadline timestamptz;
  v_before   timestamptz;
  v_read     boolean := false;
BEGIN
  began_at := clock_timestamp();
  v_deadline := began_at + make_interval(secs => p_timeout_ms / 1000.0);
  v_before := iu_core.cancel_by(v_deadline);
  BEGIN
    EXECUTE p_query INTO result;
    v_read := true;
    -- Undoes all of it: the locks, the settings, whatever else was done.
    RAISE SQLSTATE 'IU000' USING
      MESSAGE = 'read';
  EXCEPTION
    WHEN query_canceled THEN
      PERFORM iu_core.cancel_at(v_before);
      -- Somebody else wanted it to end.
      IF clock_timestamp() < v_deadline THEN
        RAISE;
      END IF;
      error_code := SQLSTATE;
      error := format('no answer within %s ms', p_timeout_ms);
    WHEN OTHERS OR assert_failure THEN
      PERFORM iu_core.cancel_at(v_before);
      IF NOT v_read THEN
        error_code := SQLSTATE;
        error := format('%s: %s', SQLSTATE, SQLERRM);
      END IF;
  END;
  ms := round((extract(epoch FROM clock_timestamp() - began_at) * 1000)::numeric, 3);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_read IS
  'For invariants and surfaces: runs a query that returns one jsonb, within so many ms, in time zone UTC with ISO '
  'dates, and undoes what it did; a policy that would leave out rows is an error. Returns when it began, how many '
  'ms it took, and what it found, or the SQLSTATE (error_code) and words (error) of why not. Raises nothing but a '
  'cancel by somebody else (57014).';

CREATE FUNCTION iu.fn_iu_invariant_measure(p_invariant public.iu_invariant, p_asked_by text) RETURNS public.iu_invariant_run
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_run      public.iu_invariant_run;
  v_relation CONSTANT regclass := to_regclass(p_invariant.view_name);
  v_columns  text[];
  v_numbers  boolean;
  v_reading  record;
  v_found    record;
BEGIN
  v_run.invariant_code := p_invariant.invariant_code;
  v_run.asked_by := p_asked_by;
  v_run.session_role := session_user;
  v_run.checked_at := clock_timestamp();
  v_run.ms := 0;
  v_run.verdict := 'unknown';
  v_run.detail := iu.fn_iu_invariant_problem(p_invariant.view_name);
  IF v_run.detail IS NOT NULL THEN
    v_run.error_code := '42809';
    RETURN v_run;
  END IF;
  SELECT array_agg(a.attname::text), bool_and(t.typcategory = 'N') FILTER (WHERE a.attname <> 'key') INTO v_columns, v_numbers
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
   WHERE a.attrelid = v_relation AND a.attnum > 0 AND a.attname IN ('key', 'left_value', 'right_value');
  SELECT r.* INTO v_reading FROM iu.fn_iu_read(CASE WHEN 'key' = ANY (v_columns) THEN format($sql$
      WITH side AS MATERIALIZED (
        SELECT v.key::text COLLATE "C" AS key, v.left_value IS NOT NULL AS at_left, v.right_value IS NOT NULL AS at_right,
               (v.left_value = v.right_value) IS TRUE AS agrees
          FROM %s AS v)
      SELECT jsonb_build_object('at_left', count(*) FILTER (WHERE at_left), 'at_right', count(*) FILTER (WHERE at_right),
             'differ', count(*) FILTER (WHERE NOT agrees), 'left_only', count(*) FILTER (WHERE at_left AND NOT at_right),
             'right_only', count(*) FILTER (WHERE at_right AND NOT at_left), 'neither', count(*) FILTER (WHERE NOT at_left AND NOT at_right),
             'nameless', count(*) FILTER (WHERE key IS NULL), 'long', count(*) FILTER (WHERE octet_length(key) > 1000),
             'keys', ARRAY(SELECT s.key FROM side s WHERE NOT s.agrees AND octet_length(s.key) <= 1000 ORDER BY s.key LIMIT 10000),
             'twice', (SELECT left(min(t.key), 1000) FROM (SELECT s.key FROM side s GROUP BY s.key HAVING count(*) > 1) AS t))
        FROM side$sql$, v_relation)
    ELSE format($sql$
      SELECT CASE count(*) OVER () WHEN 1
             THEN jsonb_build_object('rows', 1, 'at_left', x.l::text, 'at_right', x.r::text, 'agrees', (x.l = x.r) IS TRUE, 'differ', %s)
             ELSE jsonb_build_object('rows', 2) END
        FROM (SELECT v.left_value, v.right_value FROM %s AS v LIMIT 2) AS x (l, r) LIMIT 1$sql$,
      CASE WHEN v_numbers THEN 'x.l::numeric - x.r::numeric' ELSE 'NULL' END, v_relation) END, p_invariant.timeout_ms) AS r;
  v_run.checked_at := v_reading.began_at;
  v_run.ms := v_reading.ms;
  IF v_reading.error_code IS NOT NULL THEN
    v_run.error_code := v_reading.error_code;
    v_run.detail := v_reading.error;
    RETURN v_run;
  END IF;
  SELECT f.* INTO v_found
    FROM jsonb_to_record(coalesce(v_reading.result, '{"rows": 0}')) AS f (
      rows integer, at_left text, at_right text, agrees boolean, differ numeric, left_only bigint, right_only bigint, neither bigint,
      nameless bigint, long bigint, keys text[], twice text);
  IF 'key' = ANY (v_columns) THEN
    v_run.keys := v_found.keys;
    v_run.keys_total := v_found.differ;
    v_run.error_code := CASE WHEN v_found.nameless > 0 OR v_found.twice IS NOT NULL THEN '21000' WHEN v_found.long > 0 THEN '22001' END;
    v_run.detail := CASE
      WHEN v_found.nameless > 0 THEN format('%s row(s) of the view have no key', v_found.nameless)
      WHEN v_found.twice IS NOT NULL THEN format('key %s is there more than once, so that it has no one partner', quote_literal(v_found.twice))
      WHEN v_found.long > 0 THEN format('%s key(s) are longer than 1000 bytes', v_found.long)
      WHEN v_found.differ = 0 THEN format('the same %s key(s) on both sides', v_found.at_left)
      ELSE concat_ws(', ', format('%s key(s) differ: %s on the left only', v_found.differ, v_found.left_only),
             format('%s on the right only', v_found.right_only),
             format('%s with different values', v_found.differ - v_found.left_only - v_found.right_only - v_found.neither),
             CASE WHEN v_found.neither > 0 THEN format('%s with a value on neither side', v_found.neither) END) END;
  ELSE
    v_run.error_code := CASE WHEN v_found.rows <> 1 THEN '21000' WHEN v_found.at_left IS NULL OR v_found.at_right IS NULL THEN '22004'
                             WHEN v_found.differ IN ('NaN', 'Infinity', '-Infinity') THEN '22003' END;
    v_run.detail := CASE
      WHEN v_found.rows <> 1 THEN CASE v_found.rows WHEN 0 THEN 'the view has no row' ELSE 'the view has more than one row' END
      WHEN v_found.at_left IS NULL AND v_found.at_right IS NULL THEN 'left and right are NULL'
      WHEN v_found.at_left IS NULL THEN 'left is NULL'
      WHEN v_found.at_right IS NULL THEN 'right is NULL'
      WHEN v_run.error_code IS NOT NULL THEN 'left or right is not a finite number'
      WHEN v_found.agrees THEN format('both are %s', v_found.at_left)
      ELSE format('left is %s, right is %s', v_found.at_left, v_found.at_right) END;
  END IF;
  v_run.left_value := v_found.at_left;
  v_run.right_value := v_found.at_right;
  v_run.difference := CASE v_run.error_code WHEN '22003' THEN NULL ELSE v_found.differ END;
  IF v_run.error_code IS NULL THEN
    -- With no tolerance = has the say: as numeric, floating point loses digits.
    v_run.verdict := CASE WHEN CASE WHEN v_found.differ IS NULL THEN v_found.agrees
                                    ELSE abs(v_found.differ) <= p_invariant.tolerance AND (v_found.agrees IS NOT FALSE OR p_invariant.tolerance > 0) END
                          THEN 'pass' ELSE 'fail' END;
  END IF;
  RETURN v_run;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_measure IS
  'For a check: reads the view of an invariant once, within its time, and undoes what the reading did. Returns '
  'what it found, not recorded, as if there were no settle window: pass, fail, or unknown with SQLSTATE '
  '(error_code) and reason; up to 10000 keys. Raises nothing but a cancel by somebody else (57014).';

CREATE FUNCTION iu.fn_iu_invariant_record(p_invariant public.iu_invariant, p_run public.iu_invariant_run) RETURNS public.iu_invariant_run
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_keys       CONSTANT integer := 10000;
  c_shown      CONSTANT integer := 20;
  v_window     CONSTANT interval := make_interval(secs => p_invariant.settle_seconds);
  v_registered timestamptz;
  v_state      public.iu_invariant_state;
  v_last       public.iu_invariant_run;
  v_late       boolean;
  v_since      timestamptz;
  v_settled    bigint;
  v_due        timestamptz;
BEGIN
  -- In the order in which a registration locks them.
  SELECT i.registered_at INTO v_registered FROM public.iu_invariant i WHERE i.invariant_code = p_invariant.invariant_code FOR KEY SHARE;
  SELECT s.* INTO v_state FROM public.iu_invariant_state s WHERE s.invariant_code = p_invariant.invariant_code FOR UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('invariant "%s" is not registered any more', p_invariant.invariant_code);
  END IF;
  -- What began earlier may be recorded later: it is logged, and that is all. A
  -- check from the future is one from before the clock was set back.
  v_late := coalesce(v_state.checked_at > p_run.checked_at AND v_state.checked_at <= clock_timestamp(), false);
  IF v_registered <> p_invariant.registered_at THEN
    v_late := true;
    p_run.verdict := 'unknown';
    p_run.error_code := '55000';
    p_run.detail := 'it was registered otherwise while it was read';
  END IF;
  v_since := v_state.differs_since;
  IF p_run.error_code IS NULL THEN
    v_since := CASE p_run.verdict WHEN 'fail' THEN least(v_since, p_run.checked_at) END;
    v_due := v_since + v_window;
    IF p_run.keys IS NOT NULL AND v_window > '0' THEN
      IF NOT v_late THEN
        DELETE FROM public.iu_invariant_key k WHERE k.invariant_code = p_invariant.invariant_code
           AND NOT EXISTS (SELECT FROM unnest(p_run.keys) AS d (key) WHERE d.key = k.key);
        INSERT INTO public.iu_invariant_key AS k (invariant_code, key, first_seen_at)
          SELECT p_invariant.invariant_code, d.key, p_run.checked_at FROM unnest(p_run.keys) AS d (key)
          ON CONFLICT (invariant_code, key) DO UPDATE SET first_seen_at = excluded.first_seen_at WHERE k.first_seen_at > excluded.first_seen_at;
      END IF;
      -- Beyond what is remembered key by key they are judged together.
      IF p_run.keys_total <= c_keys THEN
        SELECT count(*) FILTER (WHERE k.first_seen_at + v_window <= p_run.checked_at),
               coalesce((array_agg(k.first_seen_at ORDER BY k.first_seen_at))[floor(least(p_invariant.tolerance, c_keys))::integer + 1] + v_window, v_due)
          INTO v_settled, v_due FROM public.iu_invariant_key k WHERE k.invariant_code = p_invariant.invariant_code AND k.key = ANY (p_run.keys);
      END IF;
    END IF;
    v_settled := coalesce(v_settled, CASE WHEN v_since + v_window <= p_run.checked_at THEN coalesce(p_run.keys_total, 1) ELSE 0 END);
    IF p_run.verdict = 'fail' AND v_window > '0' AND v_settled <= (CASE WHEN p_run.keys IS NULL THEN 0 ELSE p_invariant.tolerance END) THEN
      p_run.verdict := 'unknown';
      p_run.detail := p_run.detail || format('; settling: fails if it is still so at %s UTC',
        to_char(v_due AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'));
    END IF;
  END IF;
  p_run.keys := p_run.keys[:c_shown];

  SELECT r.* INTO v_last FROM public.iu_invariant_run r WHERE r.run_seq = v_state.run_seq;
  IF p_run.asked_by <> 'schedule' OR NOT v_late AND (
       v_state.logged_at IS NULL OR v_state.logged_at NOT BETWEEN p_run.checked_at - interval '1 hour' AND p_run.checked_at
       OR (v_last.verdict, v_last.left_value, v_last.right_value, v_last.difference, v_last.keys, v_last.keys_total, v_last.error_code)
          IS DISTINCT FROM (p_run.verdict, p_run.left_value, p_run.right_value, p_run.difference, p_run.keys, p_run.keys_total, p_run.error_code)) THEN
    INSERT INTO public.iu_invariant_run (invariant_code, verdict, left_value, right_value, difference, keys, keys_total, detail, error_code, asked_by, checked_at, ms)
      VALUES (p_run.invariant_code, p_run.verdict, p_run.left_value, p_run.right_value, p_run.difference, p_run.keys, p_run.keys_total,
              p_run.detail, p_run.error_code, p_run.asked_by, p_run.checked_at, p_run.ms)
      RETURNING run_seq INTO p_run.run_seq;
  END IF;
  IF NOT v_late THEN
    UPDATE public.iu_invariant_state
       SET verdict = p_run.verdict, checked_at = p_run.checked_at, differs_since = v_since, checks = checks + 1,
           run_seq = coalesce(p_run.run_seq, v_state.run_seq),
           logged_at = CASE WHEN p_run.run_seq IS NOT NULL THEN p_run.checked_at ELSE v_state.logged_at END,
           verdict_since = CASE WHEN verdict = p_run.verdict THEN verdict_since ELSE p_run.checked_at END,
           last_pass_at = CASE p_run.verdict WHEN 'pass' THEN p_run.checked_at ELSE last_pass_at END,
           next_at = (SELECT p_run.checked_at + make_interval(secs => i.every_seconds) FROM public.iu_invariant i
                       WHERE i.invariant_code = p_invariant.invariant_code AND i.enabled),
           system_identifier = iu_core.system_identifier(), database_oid = iu_core.database_oid()
     WHERE invariant_code = p_invariant.invariant_code;
  END IF;
  RETURN p_run;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_record IS
  'For a check: gives what fn_iu_invariant_measure found its verdict, which the settle window may turn from fail '
  'to unknown, remembers since when what differs, writes state and log. Returns the run with its verdict and at '
  'most 20 keys. SQLSTATE 42704: unregistered meanwhile.';

CREATE FUNCTION iu.fn_iu_invariant_check_as(p_codes text[], p_asked_by text) RETURNS SETOF public.iu_invariant_run
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariants public.iu_invariant[];
  v_runs       public.iu_invariant_run[] := '{}';
  v_invariant  public.iu_invariant;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE invalid_transaction_state USING
      MESSAGE = 'a check needs isolation level READ COMMITTED',
      DETAIL = 'An older snapshot would be compared with what a remote holds now.';
  END IF;
  v_invariants := ARRAY(SELECT i FROM public.iu_invariant i WHERE i.invariant_code = ANY (p_codes) OR (p_codes IS NULL AND i.enabled)
                         ORDER BY i.invariant_code);
  IF p_codes IS NOT NULL AND v_invariants = '{}' THEN
    RAISE undefined_object USING
      MESSAGE = format('invariant "%s" is not registered', p_codes[1]),
      HINT = 'v_iu_invariant lists them.';
  END IF;
  FOREACH v_invariant IN ARRAY v_invariants LOOP
    v_runs := v_runs || iu.fn_iu_invariant_measure(v_invariant, p_asked_by);
  END LOOP;
  FOR i IN 1 .. cardinality(v_invariants) LOOP
    RETURN NEXT iu.fn_iu_invariant_record(v_invariants[i], v_runs[i]);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_check_as IS
  'For what checks invariants: which (NULL: all that are enabled), for whom (hand, gate, window). Reads all of '
  'them, then records all of them. Errors: as fn_iu_invariant_check.';

CREATE FUNCTION iu.fn_iu_invariant_check(p_code text)
  RETURNS TABLE (code text, verdict text, left_value text, right_value text, difference numeric, keys text[], keys_total bigint,
                 detail text, checked_at timestamptz, ms numeric)
  LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 20
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT r.invariant_code, r.verdict, r.left_value, r.right_value, r.difference, r.keys, r.keys_total, r.detail, r.checked_at, r.ms
    FROM iu.fn_iu_invariant_check_as(CASE WHEN p_code IS NOT NULL THEN ARRAY[p_code] END, 'hand') AS r
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_check IS
  'What public.fn_iu_invariant_check hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_invariant_check(p_code text DEFAULT NULL)
  RETURNS TABLE (code text, verdict text, left_value text, right_value text, difference numeric, keys text[], keys_total bigint,
                 detail text, checked_at timestamptz, ms numeric)
  LANGUAGE sql VOLATILE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_invariant_check(p_code)
   WHERE iu_core.require_role('{iu_core_operator}');
END;
COMMENT ON FUNCTION public.fn_iu_invariant_check IS
  'Checks an invariant now, or (NULL) all that are enabled, and records what it finds. One row each: code, '
  'verdict, left and right (of keys: how many each side has), difference (left minus right; of keys: how many '
  'differ), the first 20 keys that differ and how many in all, detail in words, when it began to read, how many '
  'ms that took. pass: read, and within the tolerance. fail: read, and beyond it for longer than the settle '
  'window. unknown: everything else: an error of the view or a remote (with its SQLSTATE), no answer in time, '
  'NULL, not one row, a key that is there twice, rows that a policy would leave out, a difference that is still '
  'settling. SQLSTATE 42704: not registered; 25000 outside of READ COMMITTED; 57014 only if somebody else cancels.';
