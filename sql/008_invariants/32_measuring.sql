-- What an invariant's view says now, before it is recorded.

CREATE FUNCTION iu.fn_iu_invariant_query(p_view regclass, p_has_keys boolean, p_numbers boolean) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT CASE WHEN p_has_keys THEN format($sql$
      WITH side AS MATERIALIZED (
        SELECT v.key::text COLLATE "C" AS key, v.left_value IS NOT NULL AS at_left,
               v.right_value IS NOT NULL AS at_right, (v.left_value = v.right_value) IS TRUE AS agrees
          FROM %s AS v)
      SELECT jsonb_build_object(
             'at_left', count(*) FILTER (WHERE at_left), 'at_right', count(*) FILTER (WHERE at_right),
             'differ', count(*) FILTER (WHERE NOT agrees),
             'left_only', count(*) FILTER (WHERE at_left AND NOT at_right),
             'right_only', count(*) FILTER (WHERE at_right AND NOT at_left),
             'neither', count(*) FILTER (WHERE NOT at_left AND NOT at_right),
             'nameless', count(*) FILTER (WHERE key IS NULL),
             'long', count(*) FILTER (WHERE octet_length(key) > 1000),
             'keys', ARRAY(SELECT s.key FROM side s WHERE NOT s.agrees AND octet_length(s.key) <= 1000
                            ORDER BY s.key LIMIT 10000),
             'twice', (SELECT left(min(t.key), 1000)
                         FROM (SELECT s.key FROM side s GROUP BY s.key HAVING count(*) > 1) AS t))
        FROM side$sql$, p_view)
    ELSE format($sql$
      SELECT CASE count(*) OVER ()
             WHEN 1 THEN jsonb_build_object('rows', 1, 'at_left', x.l::text, 'at_right', x.r::text,
                                            'agrees', (x.l = x.r) IS TRUE, 'differ', %s)
             ELSE jsonb_build_object('rows', 2) END
        FROM (SELECT v.left_value, v.right_value FROM %s AS v LIMIT 2) AS x (l, r) LIMIT 1$sql$,
      CASE WHEN p_numbers THEN 'x.l::numeric - x.r::numeric' ELSE 'NULL' END, p_view) END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_query IS
  'The query that reads an invariant: its view, whether it has keys, whether left and right are numbers. The query '
  'returns one jsonb, which fn_iu_invariant_found_keys or fn_iu_invariant_found_values reads. Raises nothing.';

CREATE FUNCTION iu.fn_iu_invariant_found_keys(p_run public.iu_invariant_run, p_result jsonb, p_tolerance numeric)
  RETURNS public.iu_invariant_run
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_found record;
BEGIN
  SELECT f.* INTO v_found FROM jsonb_to_record(p_result) AS f (
    at_left text, at_right text, differ bigint, left_only bigint, right_only bigint, neither bigint, nameless bigint,
    long bigint, keys text[], twice text);
  p_run.left_value := v_found.at_left;
  p_run.right_value := v_found.at_right;
  p_run.difference := v_found.differ;
  p_run.keys := v_found.keys;
  p_run.keys_total := v_found.differ;
  IF v_found.nameless > 0 THEN
    p_run.error_code := '21000';
    p_run.detail := format('%s row(s) of the view have no key', v_found.nameless);
  ELSIF v_found.twice IS NOT NULL THEN
    p_run.error_code := '21000';
    p_run.detail := format('key %s is there more than once, so that it has no one partner',
                           quote_literal(v_found.twice));
  ELSIF v_found.long > 0 THEN
    p_run.error_code := '22001';
    p_run.detail := format('%s key(s) are longer than 1000 bytes', v_found.long);
  ELSE
    p_run.verdict := CASE WHEN v_found.differ <= p_tolerance THEN 'pass' ELSE 'fail' END;
    p_run.detail := CASE v_found.differ
      WHEN 0 THEN format('the same %s key(s) on both sides', v_found.at_left)
      ELSE concat_ws(', ', format('%s key(s) differ: %s on the left only', v_found.differ, v_found.left_only),
        format('%s on the right only', v_found.right_only),
        format('%s with different values',
               v_found.differ - v_found.left_only - v_found.right_only - v_found.neither),
        nullif(v_found.neither, 0) || ' with a value on neither side') END;
  END IF;
  RETURN p_run;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_found_keys IS
  'What was read of an invariant of keys, put into the row of its run: the run, what fn_iu_invariant_query returned, '
  'the tolerance. Pass or fail, or unknown with the SQLSTATE of why. Raises nothing.';

CREATE FUNCTION iu.fn_iu_invariant_found_values(p_run public.iu_invariant_run, p_result jsonb, p_tolerance numeric)
  RETURNS public.iu_invariant_run
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_found record;
BEGIN
  SELECT f.* INTO v_found FROM jsonb_to_record(coalesce(p_result, '{"rows": 0}')) AS f (
    rows integer, at_left text, at_right text, agrees boolean, differ numeric);
  p_run.left_value := v_found.at_left;
  p_run.right_value := v_found.at_right;
  IF v_found.rows <> 1 THEN
    p_run.error_code := '21000';
    p_run.detail := CASE v_found.rows WHEN 0 THEN 'the view has no row' ELSE 'the view has more than one row' END;
    RETURN p_run;
  ELSIF v_found.at_left IS NULL OR v_found.at_right IS NULL THEN
    p_run.error_code := '22004';
    p_run.detail := CASE WHEN v_found.at_left IS NOT NULL THEN 'right is NULL'
                         WHEN v_found.at_right IS NOT NULL THEN 'left is NULL' ELSE 'left and right are NULL' END;
    RETURN p_run;
  ELSIF v_found.differ IN ('NaN', 'Infinity', '-Infinity') THEN
    p_run.error_code := '22003';
    p_run.detail := 'left or right is not a finite number';
    RETURN p_run;
  END IF;
  p_run.difference := v_found.differ;
  p_run.detail := CASE WHEN v_found.agrees THEN format('both are %s', v_found.at_left)
                       ELSE format('left is %s, right is %s', v_found.at_left, v_found.at_right) END;
  -- Without a tolerance the operator = decides: as numeric, floating point would lose digits.
  p_run.verdict := CASE WHEN v_found.agrees OR p_tolerance > 0 AND abs(v_found.differ) <= p_tolerance
                        THEN 'pass' ELSE 'fail' END;
  RETURN p_run;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_found_values IS
  'What was read of an invariant of two values, put into the row of its run: the run, what fn_iu_invariant_query '
  'returned, the tolerance. Pass or fail, or unknown with the SQLSTATE of why. Raises nothing.';

CREATE FUNCTION iu.fn_iu_invariant_measure(p_invariant public.iu_invariant, p_asked_by text)
  RETURNS public.iu_invariant_run
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_view     CONSTANT regclass := to_regclass(p_invariant.view_name);
  v_run      public.iu_invariant_run;
  v_has_keys boolean;
  v_numbers  boolean;
  v_reading  record;
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
  SELECT bool_or(a.attname = 'key'), bool_and(t.typcategory = 'N') FILTER (WHERE a.attname <> 'key')
    INTO v_has_keys, v_numbers
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
   WHERE a.attrelid = v_view AND a.attnum > 0 AND a.attname IN ('key', 'left_value', 'right_value');
  SELECT r.* INTO v_reading
    FROM iu.fn_iu_read(iu.fn_iu_invariant_query(v_view, v_has_keys, v_numbers), p_invariant.timeout_ms, false) AS r;
  v_run.checked_at := v_reading.began_at;
  v_run.ms := v_reading.ms;
  IF v_reading.error_code IS NOT NULL THEN
    v_run.error_code := v_reading.error_code;
    v_run.detail := v_reading.error;
    RETURN v_run;
  ELSIF v_has_keys THEN
    RETURN iu.fn_iu_invariant_found_keys(v_run, v_reading.result, p_invariant.tolerance);
  END IF;
  RETURN iu.fn_iu_invariant_found_values(v_run, v_reading.result, p_invariant.tolerance);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_measure IS
  'For a check: reads the view of an invariant once, within its time, and undoes what the reading did. Returns '
  'what it found, not recorded, as if there were no settle window: pass, fail, or unknown with SQLSTATE '
  '(error_code) and reason; up to 10000 keys. Raises nothing but a cancel by somebody else (57014).';
