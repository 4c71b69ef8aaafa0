-- Two snapshots compared.

CREATE FUNCTION iu.fn_iu_regression_number(p_figure text) RETURNS numeric
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN p_figure ~ '^-?[0-9]{1,200}(\.[0-9]{1,200})?$' THEN p_figure::numeric END;
COMMENT ON FUNCTION iu.fn_iu_regression_number IS 'A figure as a number; NULL where it is none. Raises nothing.';

CREATE FUNCTION iu.fn_iu_regression_delta(p_before text, p_after text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT CASE
    WHEN p_before = p_after THEN '0'
    WHEN p_before !~ '[0-9]' OR length(p_before) > 200 OR length(p_after) > 200
         OR regexp_replace(p_before, E'(^-)?[0-9]+(\\.[0-9]+)?', '#', 'g')
            <> regexp_replace(p_after, E'(^-)?[0-9]+(\\.[0-9]+)?', '#', 'g') THEN 'changed'
    ELSE (SELECT string_agg(CASE WHEN d.delta > 0 THEN '+' ELSE '' END || d.delta, '/' ORDER BY d.n)
            FROM (SELECT b.n, trim_scale(a.m[1]::numeric - b.m[1]::numeric) AS delta
                    FROM regexp_matches(p_before, E'((?:^-)?[0-9]+(?:\\.[0-9]+)?)', 'g') WITH ORDINALITY AS b (m, n)
                    JOIN regexp_matches(p_after, E'((?:^-)?[0-9]+(?:\\.[0-9]+)?)', 'g') WITH ORDINALITY AS a (m, n)
                      ON a.n = b.n) AS d) END
$function$;
COMMENT ON FUNCTION iu.fn_iu_regression_delta IS
  'How a figure changed, for reading: +1, -3, 0; of each number where there are several, 10/10 to 11/11: +1/+1; '
  'changed, where more than numbers changed. NULL for NULL. Raises nothing.';

CREATE FUNCTION iu.fn_iu_regression_green(p_rule text, p_before text, p_after text) RETURNS boolean
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce(CASE
    WHEN p_rule = 'n/n' THEN
      CASE WHEN p_after ~ '^[0-9]{1,200} */ *[0-9]{1,200}$'
           THEN split_part(p_after, '/', 1)::numeric = split_part(p_after, '/', 2)::numeric END
    WHEN p_rule = 'not_less' THEN iu.fn_iu_regression_number(p_after) >= iu.fn_iu_regression_number(p_before)
    WHEN p_rule LIKE '~%' THEN p_after ~ substr(p_rule, 2) END, false)
$function$;
COMMENT ON FUNCTION iu.fn_iu_regression_green IS
  'Whether a figure is green: rule of its surface, figure before, figure after. False where one is needed and '
  'NULL. SQLSTATE 2201B: the rule is no regular expression.';

CREATE FUNCTION iu.fn_iu_regression_pairs(p_before text, p_after text, p_before_at timestamptz, p_after_at timestamptz)
  RETURNS TABLE (code text, surface text, layer text, sort_order integer, expectation text, green_rule text,
                 before text, after text, before_error text, after_error text, read_otherwise boolean,
                 expected_delta numeric, expected_value text, reason text, late boolean)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH declared AS (
    SELECT DISTINCT ON (e.surface_code) e.* FROM public.iu_regression_expectation e
     WHERE e.before_label = p_before AND e.declared_at < p_after_at ORDER BY e.surface_code, e.expectation_seq DESC
  ), late AS (
    SELECT DISTINCT e.surface_code FROM public.iu_regression_expectation e
     WHERE e.before_label = p_before AND e.declared_at >= p_after_at
  ), code AS (
    SELECT v.surface_code AS code FROM public.iu_regression_value v WHERE v.snapshot_label IN (p_before, p_after)
    UNION SELECT d.surface_code FROM declared d
    UNION SELECT s.surface_code FROM public.iu_regression_surface s
           WHERE s.kind = 'external' AND s.registered_at <= p_after_at
  )
  -- A surface is judged as it was registered before the change, and by figures
  -- that were read alike. One that was there, and of which nothing is known, is
  -- not the same as one that was not there: it has an error.
  SELECT c.code, coalesce(a.surface, b.surface, s.label, c.code), coalesce(a.layer, b.layer, s.layer, 'PG'),
         coalesce(a.sort_order, b.sort_order, s.sort_order, 1000),
         coalesce(b.expectation, a.expectation, s.expectation), coalesce(b.green_rule, a.green_rule, s.green_rule),
         b.value, a.value,
         coalesce(b.error, CASE WHEN b.surface_code IS NULL AND s.kind = 'external' AND s.registered_at <= p_before_at
                                THEN 'not reported' END),
         coalesce(a.error, CASE WHEN a.surface_code IS NULL AND s.kind = 'external' AND s.registered_at <= p_after_at
                                THEN 'not reported' END),
         b.surface_code = a.surface_code AND b.source IS DISTINCT FROM a.source,
         d.delta, d.value, d.reason, l.surface_code IS NOT NULL
    FROM code c
    LEFT JOIN public.iu_regression_value b ON b.snapshot_label = p_before AND b.surface_code = c.code
    LEFT JOIN public.iu_regression_value a ON a.snapshot_label = p_after AND a.surface_code = c.code
    LEFT JOIN public.iu_regression_surface s ON s.surface_code = c.code
    LEFT JOIN declared d ON d.surface_code = c.code
    LEFT JOIN late l ON l.surface_code = c.code
$function$;
COMMENT ON FUNCTION iu.fn_iu_regression_pairs IS
  'For fn_iu_regression_matrix: each surface of two snapshots with both figures and what was declared of it: labels '
  'and times of both. Raises nothing.';

CREATE FUNCTION iu.fn_iu_regression_matrix(p_before text, p_after text)
  RETURNS TABLE (surface_code text, surface text, layer text, before text, after text, delta text, verdict text,
                 remark text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
  v_before CONSTANT timestamptz := (SELECT s.taken_at FROM public.iu_regression_snapshot s
                                     WHERE s.snapshot_label = p_before);
  v_after  CONSTANT timestamptz := (SELECT s.taken_at FROM public.iu_regression_snapshot s
                                     WHERE s.snapshot_label = p_after);
BEGIN
  IF v_before IS NULL OR v_after IS NULL THEN
    RAISE undefined_object USING
      MESSAGE = format('there is no snapshot "%s"',
                       coalesce(CASE WHEN v_before IS NULL THEN p_before ELSE p_after END, '')),
      DETAIL = format('Before: %s; after: %s.', p_before, p_after),
      HINT = 'iu_regression_snapshot has the snapshots.', CONSTRAINT = 'iu_snapshot_unknown';
  ELSIF v_before > v_after THEN
    RAISE check_violation USING
      MESSAGE = format('snapshot "%s" was taken after "%s"', p_before, p_after),
      DETAIL = format('Before: %s; after: %s.', p_before, p_after),
      HINT = 'Give the earlier one first.', CONSTRAINT = 'iu_snapshot_order';
  END IF;
  RETURN QUERY
  WITH looked AS (
    SELECT p.*, p.before_error IS NULL AND p.before IS NULL AS b_absent,
           p.after_error IS NULL AND p.after IS NULL AS a_absent,
           iu.fn_iu_regression_number(p.before) AS bn, iu.fn_iu_regression_number(p.after) AS an,
           p.expectation = 'green' AND iu.fn_iu_regression_green(p.green_rule, p.before, p.after) AS green
      FROM iu.fn_iu_regression_pairs(p_before, p_after, v_before, v_after) AS p
  ), judged AS (
    SELECT l.*, CASE
        WHEN l.expectation IS NULL OR l.after_error IS NOT NULL OR l.a_absent THEN 'unknown'
        WHEN l.before_error IS NOT NULL AND NOT (l.green AND l.expected_delta IS NULL) THEN 'unknown'
        -- What was declared decides, of a surface that is to be green too.
        WHEN l.expected_value IS NOT NULL THEN
          CASE WHEN l.after = l.expected_value OR l.an = iu.fn_iu_regression_number(l.expected_value)
               THEN 'expected' ELSE 'violated' END
        WHEN l.expected_delta IS NOT NULL THEN
          CASE WHEN l.an - CASE WHEN l.b_absent THEN 0 ELSE l.bn END = l.expected_delta
               THEN 'expected' ELSE 'violated' END
        WHEN l.expectation = 'green' AND NOT l.green THEN 'violated'
        WHEN l.read_otherwise AND (l.expectation = 'invariant' OR l.green_rule = 'not_less') THEN 'unknown'
        WHEN l.expectation IN ('green', 'any') THEN 'expected'
        WHEN l.b_absent THEN 'unknown'
        WHEN l.after = l.before OR l.an = l.bn THEN 'invariant kept'
        ELSE 'violated' END AS verdict
      FROM looked l
  )
  SELECT j.code, j.surface, j.layer,
         CASE WHEN j.before_error IS NOT NULL THEN 'unknown' WHEN j.b_absent THEN 'n/a' ELSE j.before END,
         CASE WHEN j.after_error IS NOT NULL THEN 'unknown' WHEN j.a_absent THEN 'n/a' ELSE j.after END,
         CASE WHEN j.before_error IS NOT NULL OR j.after_error IS NOT NULL OR (j.b_absent AND j.a_absent) THEN '?'
              WHEN j.b_absent THEN 'new' WHEN j.a_absent THEN 'gone'
              WHEN j.an = j.bn THEN '0' ELSE iu.fn_iu_regression_delta(j.before, j.after) END,
         j.verdict,
         nullif(concat_ws('; ',
           CASE WHEN j.expectation IS NULL THEN 'declared, but there is no such surface' END,
           'before: ' || j.before_error, 'after: ' || j.after_error,
           CASE WHEN j.expectation IS NOT NULL AND j.a_absent AND NOT j.b_absent THEN 'not read any more' END,
           CASE WHEN j.verdict = 'unknown' AND j.b_absent AND NOT j.a_absent AND j.after_error IS NULL
                THEN 'new, and nothing was declared' END,
           CASE WHEN j.verdict = 'unknown' AND j.read_otherwise THEN 'read otherwise than before' END,
           CASE WHEN j.verdict = 'violated' THEN coalesce(
             'expected was ' || coalesce(CASE WHEN j.expected_delta > 0 THEN '+' ELSE '' END || j.expected_delta,
                                         j.expected_value),
             CASE j.expectation WHEN 'invariant' THEN 'nothing was declared' END) END,
           CASE WHEN j.green THEN 'green'
                WHEN j.expectation = 'green' AND j.after_error IS NULL AND NOT j.a_absent
                  THEN format('not green (%s)', j.green_rule) END,
           CASE WHEN j.late THEN 'a declaration came after the change and does not count' END,
           j.reason), '')
    FROM judged j ORDER BY j.sort_order, j.code;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_regression_matrix IS
  'What public.fn_iu_regression_matrix hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_regression_matrix(p_before text, p_after text)
  RETURNS TABLE (surface_code text, surface text, layer text, before text, after text, delta text, verdict text,
                 remark text)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_regression_matrix(p_before, p_after)
   WHERE iu_core.require_role('{iu_core_reader}');
END;
COMMENT ON FUNCTION public.fn_iu_regression_matrix IS
  'Two snapshots compared: label before, label after. One row a surface: code, label, layer, figure before and '
  'after (n/a: it was not there; unknown: it could not be read, or was not reported), delta (+1, 0, new, gone, '
  'changed, ?), verdict, remark. expected: as declared, or it may change, or it is green; invariant kept: '
  'unchanged, as it should be; violated: not as declared, or where nothing was declared changed, or not green; '
  'unknown: not both figures '
  'are known, it is new and nothing was declared, or it was read otherwise than before (another view or query) '
  'and nothing was declared. A surface is judged as it was registered before. Only what was declared before the '
  'snapshot after counts. SQLSTATE 42704: no such snapshot; 23514: in the wrong order.';
