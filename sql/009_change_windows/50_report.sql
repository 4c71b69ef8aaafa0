-- The report of a change window, a section each. All of them run in time zone
-- UTC, which fn_iu_change_report sets.

CREATE FUNCTION iu.fn_iu_report_gates(p_gates jsonb) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT CASE
      WHEN (p_gates ->> 'all_safe')::boolean THEN 'all closed'
      WHEN count(*) FILTER (WHERE NOT o.standing) = 0 AND count(*) > 0 THEN
        'all closed but those on a standing approval: ' || string_agg(o.how, ', ' ORDER BY o.n)
      ELSE 'NOT all closed: ' || concat_ws('; on a standing approval: ',
        coalesce(string_agg(o.how, ', ' ORDER BY o.n) FILTER (WHERE NOT o.standing), 'none is registered'),
        string_agg(o.how, ', ' ORDER BY o.n) FILTER (WHERE o.standing)) END
    FROM (SELECT e.n, iu_core.markdown_text(format('%s (%s)', e.g ->> 'gate_key', e.g ->> 'reason'), false) AS how,
                 coalesce(p_gates -> 'standing' ? (e.g ->> 'gate_key'), false) AS standing
            FROM jsonb_array_elements(p_gates -> 'gates') WITH ORDINALITY AS e (g, n)
           WHERE NOT (e.g ->> 'is_safe')::boolean) AS o
$function$;
COMMENT ON FUNCTION iu.fn_iu_report_gates IS
  'For a report: how the gates stand, in words: what fn_iu_gate_verify_closed returned, with the list standing. Raises '
  'nothing.';

CREATE FUNCTION iu.fn_iu_report_head(p_window public.iu_change_window) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT concat_ws(E'\n',
    format('# Change window %s', iu_core.markdown_text(p_window.window_label, false)), '',
    format('**Verdict: %s.** %s.', coalesce(p_window.verdict, 'OPEN'),
           coalesce(iu_core.markdown_text(p_window.verdict_reason, false),
                    'the window is open; figures after it are not taken yet')), '',
    format('- Purpose: %s', iu_core.markdown_text(p_window.purpose, false)),
    format('- Approval: %s', p_window.approval_id),
    format('- Opened: %s UTC by %s (login role %s)', to_char(p_window.opened_at, 'YYYY-MM-DD HH24:MI:SS'),
           iu_core.markdown_text(p_window.opened_by, false), iu_core.markdown_text(p_window.opened_role, false)),
    CASE WHEN p_window.closed_at IS NULL THEN '- Closed: not yet'
         ELSE format('- Closed: %s UTC by %s (login role %s)', to_char(p_window.closed_at, 'YYYY-MM-DD HH24:MI:SS'),
                     iu_core.markdown_text(p_window.closed_by, false),
                     iu_core.markdown_text(p_window.closed_role, false)) END,
    format('- Gates at the end: %s', iu.fn_iu_report_gates(coalesce(p_window.gates,
      iu.fn_iu_gate_verify_closed(NULL)
        || jsonb_build_object('standing', (SELECT o.standing FROM iu.fn_iu_gates_open() AS o))))))
$function$;
COMMENT ON FUNCTION iu.fn_iu_report_head IS
  'For fn_iu_change_report: title, verdict, purpose, approval, times, gates. Argument: the window. Raises nothing.';

CREATE FUNCTION iu.fn_iu_report_matrix_after(p_rows jsonb) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT string_agg(iu.fn_iu_markdown_row(ARRAY[m.surface, m.before, m.after, m.delta], CASE m.verdict
           WHEN 'invariant kept' THEN 'invariant ✓'
           WHEN 'expected' THEN
             CASE WHEN m.remark ~ '^green'
                  THEN 'green ✓'
                    || coalesce(' (' || iu_core.markdown_text(nullif(substr(m.remark, 8), ''), false) || ')', '')
                  ELSE 'expected' || coalesce(' (' || iu_core.markdown_text(m.remark, false) || ')', '') END
           WHEN 'violated' THEN '**VIOLATED**' || coalesce(': ' || iu_core.markdown_text(m.remark, false), '')
           ELSE '**unknown**' || coalesce(': ' || iu_core.markdown_text(m.remark, false), '') END), E'\n' ORDER BY m.n)
    FROM ROWS FROM (jsonb_to_recordset(p_rows)
                      AS (surface text, before text, after text, delta text, verdict text, remark text))
         WITH ORDINALITY AS m (surface, before, after, delta, verdict, remark, n)
$function$;
COMMENT ON FUNCTION iu.fn_iu_report_matrix_after IS
  'For fn_iu_change_report: the rows of the matrix of a closed window, as Markdown. Argument: the rows of '
  'fn_iu_regression_matrix. Raises nothing.';

CREATE FUNCTION iu.fn_iu_report_matrix_before(p_before text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT string_agg(iu.fn_iu_markdown_row(ARRAY[v.surface, coalesce(v.value, 'unknown: ' || v.error), NULL, NULL,
           coalesce(d.declared, CASE v.expectation WHEN 'invariant' THEN 'expected 0'
                                                   WHEN 'green' THEN 'expected green' ELSE 'may change' END)], NULL),
           E'\n' ORDER BY v.sort_order, v.surface_code)
    FROM public.iu_regression_value v
    LEFT JOIN LATERAL (
      SELECT format('expected %s (%s)', coalesce(CASE WHEN e.delta > 0 THEN '+' ELSE '' END || e.delta, e.value),
                    e.reason) AS declared
        FROM public.iu_regression_expectation e
       WHERE e.before_label = p_before AND e.surface_code = v.surface_code
       ORDER BY e.expectation_seq DESC LIMIT 1) AS d ON true
   WHERE v.snapshot_label = p_before
$function$;
COMMENT ON FUNCTION iu.fn_iu_report_matrix_before IS
  'For fn_iu_change_report: the rows of the matrix of a window that is open, as Markdown: figures before, and what is '
  'expected of them. Argument: label of the snapshot before. Raises nothing.';

CREATE FUNCTION iu.fn_iu_report_versions(p_versions integer[], p_but integer[]) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT string_agg(lpad(v::text, 3, '0'), ', ' ORDER BY v) FROM unnest(p_versions) AS v WHERE v <> ALL (p_but));
COMMENT ON FUNCTION iu.fn_iu_report_versions IS
  'Numbers of migrations that are in one list and not in the other, in three digits; NULL: none. Raises nothing.';

CREATE FUNCTION iu.fn_iu_report_impact(p_window public.iu_change_window, p_rows jsonb, p_now integer[]) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT string_agg(iu.fn_iu_markdown_row(ARRAY[l.layer, concat_ws('; ',
           CASE l.layer WHEN 'PG' THEN
             'migrations applied: ' || iu.fn_iu_report_versions(p_now, p_window.migrations_before) END,
           CASE l.layer WHEN 'PG' THEN
             'migrations rolled back: ' || iu.fn_iu_report_versions(p_window.migrations_before, p_now) END,
           nullif(m.known, ''), coalesce('stated: ' || (p_window.impact ->> l.layer), 'not stated'))], NULL),
           E'\n' ORDER BY l.n)
    FROM unnest(ARRAY['PG', 'Directus', 'Nuxt', 'AgentData', 'Qdrant']) WITH ORDINALITY AS l (layer, n)
    LEFT JOIN LATERAL (
      SELECT concat_ws('; ',
               string_agg(format('%s %s', x.surface, x.delta), ', ' ORDER BY x.n)
                 FILTER (WHERE x.delta NOT IN ('0', '?')),
               nullif(count(*) FILTER (WHERE x.delta = '0'), 0) || ' figure(s) unchanged',
               'unknown: ' || string_agg(x.surface, ', ' ORDER BY x.n) FILTER (WHERE x.delta = '?')) AS known
        FROM ROWS FROM (jsonb_to_recordset(p_rows) AS (surface text, layer text, delta text))
             WITH ORDINALITY AS x (surface, layer, delta, n)
       WHERE x.layer = l.layer) AS m ON true
$function$;
COMMENT ON FUNCTION iu.fn_iu_report_impact IS
  'For fn_iu_change_report: a row for each of the five layers, as Markdown: what the figures say, then what was '
  'stated. Arguments: the window, the rows of fn_iu_regression_matrix (NULL: it is open), the migrations at the end. '
  'Raises nothing.';

CREATE FUNCTION iu.fn_iu_report_commands(p_from timestamptz, p_until timestamptz) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT string_agg(iu.fn_iu_markdown_row(ARRAY[c.command_name, c.run_mode, c.run_status, c.actor, c.runs::text,
           to_char(c.first, 'YYYY-MM-DD HH24:MI:SS'), to_char(c.last, 'YYYY-MM-DD HH24:MI:SS')], NULL),
           E'\n' ORDER BY c.first, c.command_name)
    FROM (SELECT r.command_name, r.run_mode, r.run_status, r.actor, count(*) AS runs, min(r.created_at) AS first,
                 max(r.created_at) AS last
            FROM public.dot_iu_command_run r WHERE r.created_at BETWEEN SYMMETRIC p_from AND p_until
           GROUP BY r.command_name, r.run_mode, r.run_status, r.actor) AS c
$function$;
COMMENT ON FUNCTION iu.fn_iu_report_commands IS
  'For fn_iu_change_report: the commands that were run in a time, as rows of Markdown; NULL: none. Raises nothing.';

CREATE FUNCTION iu.fn_iu_report_invariants(p_invariants jsonb) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT string_agg(iu.fn_iu_markdown_row(ARRAY[i ->> 'invariant_code', i ->> 'severity', i ->> 'left_value',
           i ->> 'right_value'], CASE i ->> 'verdict' WHEN 'pass' THEN 'pass ✓'
             ELSE format('**%s**: %s', i ->> 'verdict', iu_core.markdown_text(i ->> 'detail', false)) END),
           E'\n' ORDER BY i ->> 'invariant_code')
    FROM jsonb_array_elements(p_invariants) AS i
$function$;
COMMENT ON FUNCTION iu.fn_iu_report_invariants IS
  'For fn_iu_change_report: what a check of all invariants found, as rows of Markdown; NULL: none. Raises nothing.';

CREATE FUNCTION iu.fn_iu_report_migrations(p_before integer[], p_now integer[]) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT concat_ws(E'\n', coalesce(
           (SELECT string_agg(format('- %s %s, undone by `rollback/%1$s_%2$s.rollback.sql`',
                                     lpad(m.version::text, 3, '0'), m.name), E'\n' ORDER BY m.version)
              FROM iu_core.migrations m WHERE m.version = ANY (p_now) AND m.version <> ALL (p_before)),
           '- none was applied'),
         '- rolled back: ' || iu.fn_iu_report_versions(p_before, p_now))
$function$;
COMMENT ON FUNCTION iu.fn_iu_report_migrations IS
  'For fn_iu_change_report: migrations applied, with their rollback scripts, and rolled back: numbers before and at '
  'the end. Raises nothing.';

CREATE FUNCTION iu.fn_iu_report_backup(p_name text, p_file text, p_bytes bigint, p_sha256 text, p_check text)
  RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN format('- Backup %s: %s', p_name,
  CASE WHEN p_file IS NULL THEN 'not stated'
       ELSE format('%s, %s bytes, sha256 %s (%s)', iu_core.markdown_text(p_file, false), p_bytes, p_sha256,
                   iu_core.markdown_text(p_check, false)) END);
COMMENT ON FUNCTION iu.fn_iu_report_backup IS
  'For fn_iu_change_report: a line about a backup: before or after, its file (NULL: not stated), size, SHA-256, '
  'whether the server has checked it. Raises nothing.';

CREATE FUNCTION iu.fn_iu_change_report(p_label text) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET timezone = 'UTC'
AS $function$
DECLARE
  v_before CONSTANT text := p_label || ':before';
  v_after  CONSTANT text := p_label || ':after';
  v_window public.iu_change_window;
  v_until  timestamptz;
  v_now    integer[];
  v_rows   jsonb;
  v_kept   text;
BEGIN
  SELECT w.* INTO v_window FROM public.iu_change_window w WHERE w.window_label = p_label;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('there is no change window "%s"', coalesce(p_label, '')),
      DETAIL = format('Label: %s.', coalesce(p_label, '')),
      HINT = 'v_iu_change_window lists them.', CONSTRAINT = 'iu_change_window_unknown';
  END IF;
  v_until := coalesce(v_window.closed_at, clock_timestamp());
  v_now := coalesce(v_window.migrations_after,
                    ARRAY(SELECT m.version FROM iu_core.applied_migration m ORDER BY m.version));
  IF v_window.closed_at IS NOT NULL THEN
    SELECT jsonb_agg(to_jsonb(m)),
           string_agg(m.surface || ' (' || m.after || ')', ', ') FILTER (WHERE m.verdict = 'invariant kept')
      INTO v_rows, v_kept FROM iu.fn_iu_regression_matrix(v_before, v_after) AS m;
  END IF;
  RETURN concat_ws(E'\n',
    iu.fn_iu_report_head(v_window), '',
    '## Regression matrix', '',
    iu.fn_iu_markdown_table(ARRAY['Surface', 'Before', 'After', 'Delta', 'Verdict'],
      CASE WHEN v_window.closed_at IS NULL THEN iu.fn_iu_report_matrix_before(v_before)
           ELSE iu.fn_iu_report_matrix_after(v_rows) END, 'no surface is registered'), '',
    '## Five-layer impact', '',
    iu.fn_iu_markdown_table(ARRAY['Layer', 'Impact'], iu.fn_iu_report_impact(v_window, v_rows, v_now), ''), '',
    '## Invariants at the end', '',
    iu.fn_iu_markdown_table(ARRAY['Invariant', 'Severity', 'Left', 'Right', 'Verdict'],
      iu.fn_iu_report_invariants(v_window.invariants),
      CASE WHEN v_window.closed_at IS NULL THEN 'not checked yet' ELSE 'none is registered' END), '',
    iu.fn_iu_gate_ledger_excerpt(least(v_window.opened_at, v_until), greatest(v_window.opened_at, v_until), NULL), '',
    '## Commands', '',
    iu.fn_iu_markdown_table(ARRAY['Command', 'Mode', 'Status', 'Actor', 'Runs', 'First (UTC)', 'Last (UTC)'],
      iu.fn_iu_report_commands(v_window.opened_at, v_until), 'none'), '',
    '## Migrations', '', iu.fn_iu_report_migrations(v_window.migrations_before, v_now), '',
    '## Not touched', '',
    coalesce((SELECT string_agg('- ' || iu_core.markdown_text(t.what, true), E'\n' ORDER BY t.n)
                FROM unnest(v_window.not_touched) WITH ORDINALITY AS t (what, n)), '- not stated'),
    '- by the figures: ' || iu_core.markdown_text(v_kept, false), '',
    '## Pointers', '',
    iu.fn_iu_report_backup('before', v_window.backup_file, v_window.backup_bytes, v_window.backup_sha256,
      v_window.backup_check),
    iu.fn_iu_report_backup('after', v_window.after_backup_file, v_window.after_backup_bytes,
      v_window.after_backup_sha256, v_window.after_backup_check),
    format('- Snapshots: %s%s', iu_core.markdown_text(v_before, false),
           CASE WHEN v_window.closed_at IS NOT NULL THEN ', ' || iu_core.markdown_text(v_after, false) END), '');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_change_report IS
  'What public.fn_iu_change_report hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_change_report(p_label text) RETURNS text
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN
  iu.fn_iu_change_report(p_label) END;
COMMENT ON FUNCTION public.fn_iu_change_report IS
  'The report of a change window as Markdown, times in UTC: verdict, regression matrix, five-layer impact (what '
  'the figures say, then what was stated, or "not stated"), invariants, gate ledger with its verification, '
  'commands, migrations with their rollback scripts, what was not touched, backups with SHA-256. Of a closed '
  'window it tells what was kept at its closing, and what the ledgers, which nobody changes, have of its time; of '
  'an open one how it stands. Argument: its label. SQLSTATE 42704: no such window.';
