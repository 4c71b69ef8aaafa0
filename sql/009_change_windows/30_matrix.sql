CREATE FUNCTION iu.fn_iu_regression_delta(p_before text, p_after text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT CASE
    WHEN p_before = p_after THEN '0'
    WHEN p_before !~ '[0-9]' OR length(p_before) > 200 OR length(p_after) > 200
         OR regexp_replace(p_before, '(^-)?[0-9]+(\.[0-9]+)?', '#', 'g') <> regexp_replace(p_after, '(^-)?[0-9]+(\.[0-9]+)?', '#', 'g') THEN 'changed'
    ELSE (SELECT string_agg(CASE WHEN d.delta > 0 THEN '+' ELSE '' END || d.delta, '/' ORDER BY d.n)
            FROM (SELECT b.n, trim_scale(a.m[1]::numeric - b.m[1]::numeric) AS delta
                    FROM regexp_matches(p_before, '((?:^-)?[0-9]+(?:\.[0-9]+)?)', 'g') WITH ORDINALITY AS b (m, n)
                    JOIN regexp_matches(p_after, '((?:^-)?[0-9]+(?:\.[0-9]+)?)', 'g') WITH ORDINALITY AS a (m, n) ON a.n = b.n) AS d) END
$function$;
COMMENT ON FUNCTION iu.fn_iu_regression_delta IS
  'How a figure changed, for reading: +1, -3, 0; of each number where there are several, 10/10 to 11/11: +1/+1; '
  'changed, where more than numbers changed. NULL for NULL. Raises nothing.';

CREATE FUNCTION iu.fn_iu_regression_green(p_rule text, p_before text, p_after text) RETURNS boolean
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce(CASE
    WHEN p_rule = 'n/n' THEN CASE WHEN p_after ~ '^[0-9]{1,200} */ *[0-9]{1,200}$' THEN split_part(p_after, '/', 1)::numeric = split_part(p_after, '/', 2)::numeric END
    WHEN p_rule = 'not_less' THEN CASE WHEN p_after ~ '^-?[0-9]{1,200}(\.[0-9]{1,200})?$' AND p_before ~ '^-?[0-9]{1,200}(\.[0-9]{1,200})?$'
                                       THEN p_after::numeric >= p_before::numeric END
    WHEN p_rule LIKE '~%' THEN p_after ~ substr(p_rule, 2) END, false)
$function$;
COMMENT ON FUNCTION iu.fn_iu_regression_green IS
  'Whether a figure is green: rule of its surface, figure before, figure after. False where one is needed and '
  'NULL. SQLSTATE 2201B: the rule is no regular expression.';

CREATE FUNCTION iu.fn_iu_regression_matrix(p_before text, p_after text)
  RETURNS TABLE (surface_code text, surface text, layer text, before text, after text, delta text, verdict text, remark text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
  c_number CONSTANT text := '^-?[0-9]{1,200}(\.[0-9]{1,200})?$';
  v_before CONSTANT timestamptz := (SELECT s.taken_at FROM public.iu_regression_snapshot s WHERE s.snapshot_label = p_before);
  v_after  CONSTANT timestamptz := (SELECT s.taken_at FROM public.iu_regression_snapshot s WHERE s.snapshot_label = p_after);
BEGIN
  IF v_before IS NULL OR v_after IS NULL THEN
    RAISE undefined_object USING
      MESSAGE = format('there is no snapshot "%s"', coalesce(CASE WHEN v_before IS NULL THEN p_before ELSE p_after END, ''));
  ELSIF v_before > v_after THEN
    RAISE check_violation USING
      MESSAGE = format('snapshot "%s" was taken after "%s"', p_before, p_after);
  END IF;
  RETURN QUERY
  WITH declared AS (
    SELECT DISTINCT ON (e.surface_code) e.* FROM public.iu_regression_expectation e
     WHERE e.before_label = p_before AND e.declared_at < v_after ORDER BY e.surface_code, e.expectation_seq DESC
  ), late AS (
    SELECT DISTINCT e.surface_code FROM public.iu_regression_expectation e WHERE e.before_label = p_before AND e.declared_at >= v_after
  ), code AS (
    SELECT v.surface_code AS code FROM public.iu_regression_value v WHERE v.snapshot_label IN (p_before, p_after)
    UNION SELECT d.surface_code FROM declared d
    UNION SELECT s.surface_code FROM public.iu_regression_surface s WHERE s.kind = 'external' AND s.registered_at <= v_after
  ), pair AS (
    SELECT c.code, b.value AS bv, a.value AS av, d.expectation_seq, d.delta AS dd, d.value AS dv, d.reason,
           coalesce(a.surface, b.surface, s.label, c.code) AS surface, coalesce(a.layer, b.layer, s.layer, 'PG') AS layer,
           -- Judged as it was registered before the change, and by figures that were read alike.
           coalesce(b.expectation, a.expectation, s.expectation) AS expectation, coalesce(b.green_rule, a.green_rule, s.green_rule) AS green_rule,
           b.surface_code = a.surface_code AND b.source IS DISTINCT FROM a.source AS otherwise,
           coalesce(a.sort_order, b.sort_order, s.sort_order, 1000) AS sort_order, l.surface_code IS NOT NULL AS late,
           -- A surface that was there, and of which nothing is known, is not the same as one that was not there.
           coalesce(b.error, CASE WHEN b.surface_code IS NULL AND s.kind = 'external' AND s.registered_at <= v_before THEN 'not reported' END) AS be,
           coalesce(a.error, CASE WHEN a.surface_code IS NULL AND s.kind = 'external' AND s.registered_at <= v_after THEN 'not reported' END) AS ae
      FROM code c
      LEFT JOIN public.iu_regression_value b ON b.snapshot_label = p_before AND b.surface_code = c.code
      LEFT JOIN public.iu_regression_value a ON a.snapshot_label = p_after AND a.surface_code = c.code
      LEFT JOIN public.iu_regression_surface s ON s.surface_code = c.code
      LEFT JOIN declared d ON d.surface_code = c.code
      LEFT JOIN late l ON l.surface_code = c.code
  ), looked AS (
    SELECT p.*, p.be IS NULL AND p.bv IS NULL AS b_absent, p.ae IS NULL AND p.av IS NULL AS a_absent,
           CASE WHEN p.bv ~ c_number THEN p.bv::numeric END AS bn, CASE WHEN p.av ~ c_number THEN p.av::numeric END AS an,
           p.expectation = 'green' AND iu.fn_iu_regression_green(p.green_rule, p.bv, p.av) AS green
      FROM pair p
  ), judged AS (
    SELECT l.*, CASE
        WHEN l.expectation IS NULL THEN 'unknown'
        WHEN l.ae IS NOT NULL OR l.a_absent THEN 'unknown'
        WHEN l.be IS NOT NULL AND NOT (l.green AND l.dd IS NULL) THEN 'unknown'
        WHEN l.expectation = 'green' AND NOT l.green THEN 'violated'
        WHEN l.dv IS NOT NULL THEN CASE WHEN l.av = l.dv OR coalesce(l.an = CASE WHEN l.dv ~ c_number THEN l.dv::numeric END, false) THEN 'expected' ELSE 'violated' END
        WHEN l.dd IS NOT NULL THEN CASE WHEN coalesce(l.an - CASE WHEN l.b_absent THEN 0 ELSE l.bn END = l.dd, false) THEN 'expected' ELSE 'violated' END
        WHEN l.otherwise AND (l.expectation = 'invariant' OR l.green_rule = 'not_less') THEN 'unknown'
        WHEN l.expectation IN ('green', 'any') THEN 'expected'
        WHEN l.b_absent THEN 'unknown'
        WHEN l.av = l.bv OR coalesce(l.an = l.bn, false) THEN 'invariant kept'
        ELSE 'violated' END AS verdict
      FROM looked l
  )
  SELECT j.code, j.surface, j.layer,
         CASE WHEN j.be IS NOT NULL THEN 'unknown' WHEN j.b_absent THEN 'n/a' ELSE j.bv END,
         CASE WHEN j.ae IS NOT NULL THEN 'unknown' WHEN j.a_absent THEN 'n/a' ELSE j.av END,
         CASE WHEN j.be IS NOT NULL OR j.ae IS NOT NULL OR (j.b_absent AND j.a_absent) THEN '?'
              WHEN j.b_absent THEN 'new' WHEN j.a_absent THEN 'gone'
              WHEN j.an = j.bn THEN '0' ELSE iu.fn_iu_regression_delta(j.bv, j.av) END,
         j.verdict,
         nullif(concat_ws('; ',
           CASE WHEN j.expectation IS NULL THEN 'declared, but there is no such surface' END,
           'before: ' || j.be, 'after: ' || j.ae,
           CASE WHEN j.expectation IS NOT NULL AND j.a_absent AND NOT j.b_absent THEN 'not read any more' END,
           CASE WHEN j.verdict = 'unknown' AND j.b_absent AND NOT j.a_absent AND j.ae IS NULL THEN 'new, and nothing was declared' END,
           CASE WHEN j.verdict = 'unknown' AND j.otherwise THEN 'read otherwise than before' END,
           CASE WHEN j.verdict = 'violated' AND j.dd IS NOT NULL THEN format('expected was %s', CASE WHEN j.dd > 0 THEN '+' ELSE '' END || j.dd) END,
           CASE WHEN j.verdict = 'violated' AND j.dv IS NOT NULL THEN format('expected was %s', j.dv) END,
           CASE WHEN j.verdict = 'violated' AND j.dd IS NULL AND j.dv IS NULL AND j.expectation = 'invariant' THEN 'nothing was declared' END,
           CASE WHEN j.expectation = 'green' THEN CASE WHEN j.green THEN 'green' WHEN j.ae IS NULL AND NOT j.a_absent THEN format('not green (%s)', j.green_rule) END END,
           CASE WHEN j.late THEN 'a declaration came after the change and does not count' END,
           j.reason), '')
    FROM judged j ORDER BY j.sort_order, j.code;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_regression_matrix IS
  'What public.fn_iu_regression_matrix hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_regression_matrix(p_before text, p_after text)
  RETURNS TABLE (surface_code text, surface text, layer text, before text, after text, delta text, verdict text, remark text)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_regression_matrix(p_before, p_after)
   WHERE iu_core.require_role('{iu_core_reader}');
END;
COMMENT ON FUNCTION public.fn_iu_regression_matrix IS
  'Two snapshots compared: label before, label after. One row a surface: code, label, layer, figure before and '
  'after (n/a: it was not there; unknown: it could not be read, or was not reported), delta (+1, 0, new, gone, '
  'changed, ?), verdict, remark. expected: as declared, or it may change, or it is green; invariant kept: '
  'unchanged, as it should be; violated: changed, and not as declared, or not green; unknown: not both figures '
  'are known, it is new and nothing was declared, or it was read otherwise than before (another view or query) '
  'and nothing was declared. A surface is judged as it was registered before. Only what was declared before the '
  'snapshot after counts. SQLSTATE 42704: no such snapshot; 23514: in the wrong order.';
