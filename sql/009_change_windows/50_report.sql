CREATE FUNCTION iu.fn_iu_markdown_text(p_text text) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN replace(regexp_replace(translate(p_text, E'\r\n', '  '), '([\\|`])', '\\\1', 'g'), '<', '&lt;');
COMMENT ON FUNCTION iu.fn_iu_markdown_text IS
  'What somebody wrote, as it is, in one line of Markdown. NULL for NULL. Raises nothing.';

CREATE FUNCTION iu.fn_iu_markdown_row(p_cells text[]) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN '| ' || array_to_string(ARRAY(SELECT iu.fn_iu_markdown_text(coalesce(nullif(c.cell, ''), '-')) FROM unnest(p_cells) WITH ORDINALITY AS c (cell, n) ORDER BY c.n), ' | ') || ' |';
COMMENT ON FUNCTION iu.fn_iu_markdown_row IS 'A row of a Markdown table; a NULL is "-". Raises nothing.';

CREATE FUNCTION iu.fn_iu_change_report(p_label text) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET timezone = 'UTC'
AS $function$
DECLARE
  c_time   CONSTANT text := 'YYYY-MM-DD HH24:MI:SS';
  v_window public.iu_change_window;
  v_before CONSTANT text := p_label || ':before';
  v_after  CONSTANT text := p_label || ':after';
  v_until  timestamptz;
  v_closed boolean;
  v_now    integer[];
  v_gates  jsonb;
  v_rows   jsonb;
  v_matrix text;
  v_impact text;
  v_kept   text;
  v_text   text;
BEGIN
  SELECT w.* INTO v_window FROM public.iu_change_window w WHERE w.window_label = p_label;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('there is no change window "%s"', coalesce(p_label, '')),
      HINT = 'v_iu_change_window lists them.';
  END IF;
  v_closed := v_window.closed_at IS NOT NULL;
  v_until := coalesce(v_window.closed_at, clock_timestamp());
  v_now := coalesce(v_window.migrations_after, ARRAY(SELECT m.version FROM iu_core.applied_migration m ORDER BY m.version));
  v_gates := coalesce(v_window.gates, iu.fn_iu_gate_verify_closed(NULL));

  v_text := concat_ws(E'\n',
    format('# Change window %s', p_label), '',
    format('**Verdict: %s.** %s', coalesce(v_window.verdict, 'OPEN'), coalesce(iu.fn_iu_markdown_text(v_window.verdict_reason), 'the window is open; figures after it are not taken yet') || '.'), '',
    format('- Purpose: %s', iu.fn_iu_markdown_text(v_window.purpose)),
    format('- Approval: %s', v_window.approval_id),
    format('- Opened: %s UTC by %s (login role %s)', to_char(v_window.opened_at, c_time), iu.fn_iu_markdown_text(v_window.opened_by), iu.fn_iu_markdown_text(v_window.opened_role)),
    CASE WHEN v_closed THEN format('- Closed: %s UTC by %s (login role %s)', to_char(v_window.closed_at, c_time), iu.fn_iu_markdown_text(v_window.closed_by), iu.fn_iu_markdown_text(v_window.closed_role))
         ELSE '- Closed: not yet' END,
    format('- Gates at the end: %s', CASE WHEN (v_gates ->> 'all_safe')::boolean THEN 'all closed' ELSE 'NOT all closed: '
      || (SELECT iu.fn_iu_markdown_text(string_agg(format('%s (%s)', g ->> 'gate_key', g ->> 'reason'), ', ')) FROM jsonb_array_elements(v_gates -> 'gates') AS g
           WHERE NOT (g ->> 'is_safe')::boolean) END), '');

  -- The matrix.
  IF v_closed THEN
    v_rows := (SELECT jsonb_agg(to_jsonb(m)) FROM iu.fn_iu_regression_matrix(v_before, v_after) AS m);
    SELECT string_agg(iu.fn_iu_markdown_row(ARRAY[m.surface, m.before, m.after, m.delta, CASE m.verdict
               WHEN 'invariant kept' THEN 'invariant ✓'
               WHEN 'expected' THEN CASE WHEN m.remark ~ '^green' THEN 'green ✓' || coalesce(' (' || nullif(substr(m.remark, 8), '') || ')', '')
                                         ELSE 'expected' || coalesce(' (' || m.remark || ')', '') END
               WHEN 'violated' THEN '**VIOLATED**' || coalesce(': ' || m.remark, '')
               ELSE '**unknown**' || coalesce(': ' || m.remark, '') END]), E'\n' ORDER BY m.n),
           string_agg(m.surface || ' (' || m.after || ')', ', ' ORDER BY m.n) FILTER (WHERE m.verdict = 'invariant kept')
      INTO v_matrix, v_kept
      FROM ROWS FROM (jsonb_to_recordset(v_rows) AS (surface text, layer text, before text, after text, delta text, verdict text, remark text))
           WITH ORDINALITY AS m (surface, layer, before, after, delta, verdict, remark, n);
  ELSE
    SELECT string_agg(iu.fn_iu_markdown_row(ARRAY[v.surface, coalesce(v.value, 'unknown: ' || v.error), NULL, NULL, coalesce((
             SELECT format('expected %s (%s)', coalesce(CASE WHEN e.delta > 0 THEN '+' ELSE '' END || e.delta, e.value), e.reason)
               FROM public.iu_regression_expectation e WHERE e.before_label = v_before AND e.surface_code = v.surface_code
              ORDER BY e.expectation_seq DESC LIMIT 1), CASE v.expectation WHEN 'invariant' THEN 'expected 0' WHEN 'green' THEN 'expected green' ELSE 'may change' END)]),
             E'\n' ORDER BY v.sort_order, v.surface_code)
      INTO v_matrix FROM public.iu_regression_value v WHERE v.snapshot_label = v_before;
  END IF;
  v_text := concat_ws(E'\n', v_text, '## Regression matrix', '', '| Surface | Before | After | Delta | Verdict |', '| --- | --- | --- | --- | --- |',
    coalesce(v_matrix, '| no surface is registered | | | | |'), '');

  -- The five layers: what the figures say, then what was stated.
  SELECT string_agg(iu.fn_iu_markdown_row(ARRAY[l.layer, concat_ws('; ',
           CASE l.layer WHEN 'PG' THEN (SELECT 'migrations applied: ' || string_agg(lpad(a::text, 3, '0'), ', ' ORDER BY a) FROM unnest(v_now) AS a WHERE a <> ALL (v_window.migrations_before)) END,
           CASE l.layer WHEN 'PG' THEN (SELECT 'migrations rolled back: ' || string_agg(lpad(a::text, 3, '0'), ', ' ORDER BY a) FROM unnest(v_window.migrations_before) AS a WHERE a <> ALL (v_now)) END,
           nullif(m.known, ''), 'stated: ' || (v_window.impact ->> l.layer),
           CASE WHEN v_window.impact ->> l.layer IS NULL THEN 'not stated' END)]), E'\n' ORDER BY l.n)
    INTO v_impact
    FROM unnest(ARRAY['PG', 'Directus', 'Nuxt', 'AgentData', 'Qdrant']) WITH ORDINALITY AS l (layer, n)
    LEFT JOIN LATERAL (
      SELECT concat_ws('; ',
               string_agg(format('%s %s', x.surface, x.delta), ', ' ORDER BY x.n) FILTER (WHERE x.delta NOT IN ('0', '?')),
               CASE WHEN count(*) FILTER (WHERE x.delta = '0') > 0 THEN format('%s figure(s) unchanged', count(*) FILTER (WHERE x.delta = '0')) END,
               'unknown: ' || string_agg(x.surface, ', ' ORDER BY x.n) FILTER (WHERE x.delta = '?')) AS known
        FROM ROWS FROM (jsonb_to_recordset(v_rows) AS (surface text, layer text, before text, after text, delta text, verdict text, remark text))
             WITH ORDINALITY AS x (surface, layer, before, after, delta, verdict, remark, n)
       WHERE x.layer = l.layer) AS m ON true;
  v_text := concat_ws(E'\n', v_text, '## Five-layer impact', '', '| Layer | Impact |', '| --- | --- |', v_impact, '',
    '## Invariants at the end', '', '| Invariant | Severity | Left | Right | Verdict |', '| --- | --- | --- | --- | --- |',
    coalesce((SELECT string_agg(iu.fn_iu_markdown_row(ARRAY[i ->> 'invariant_code', i ->> 'severity', i ->> 'left_value', i ->> 'right_value',
                CASE i ->> 'verdict' WHEN 'pass' THEN 'pass ✓' ELSE format('**%s**: %s', i ->> 'verdict', i ->> 'detail') END]), E'\n' ORDER BY i ->> 'invariant_code')
                FROM jsonb_array_elements(v_window.invariants) AS i), CASE WHEN v_closed THEN '| none is registered | | | | |' ELSE '| not checked yet | | | | |' END), '',
    iu.fn_iu_gate_ledger_excerpt(least(v_window.opened_at, v_until), greatest(v_window.opened_at, v_until), NULL), '',
    '## Commands', '', '| Command | Mode | Status | Actor | Runs | First (UTC) | Last (UTC) |', '| --- | --- | --- | --- | --- | --- | --- |',
    coalesce((SELECT string_agg(iu.fn_iu_markdown_row(ARRAY[c.command_name, c.run_mode, c.run_status, c.actor, c.runs::text, to_char(c.first, c_time), to_char(c.last, c_time)]), E'\n' ORDER BY c.first, c.command_name)
                FROM (SELECT r.command_name, r.run_mode, r.run_status, r.actor, count(*) AS runs, min(r.created_at) AS first, max(r.created_at) AS last
                        FROM public.dot_iu_command_run r WHERE r.created_at BETWEEN SYMMETRIC v_window.opened_at AND v_until
                       GROUP BY r.command_name, r.run_mode, r.run_status, r.actor) AS c), '| none | | | | | | |'), '',
    '## Migrations', '',
    coalesce((SELECT string_agg(format('- %s %s, undone by `rollback/%1$s_%2$s.rollback.sql`', lpad(a.version::text, 3, '0'), a.name), E'\n' ORDER BY a.version)
                FROM unnest(v_now) AS n (version) JOIN iu_core.migrations a USING (version) WHERE n.version <> ALL (v_window.migrations_before)), '- none was applied'),
    (SELECT '- rolled back: ' || string_agg(lpad(a::text, 3, '0'), ', ' ORDER BY a) FROM unnest(v_window.migrations_before) AS a WHERE a <> ALL (v_now)), '',
    '## Not touched', '',
    coalesce((SELECT string_agg('- ' || iu.fn_iu_markdown_text(t.what), E'\n' ORDER BY t.n) FROM unnest(v_window.not_touched) WITH ORDINALITY AS t (what, n)), '- not stated'),
    '- by the figures: ' || iu.fn_iu_markdown_text(v_kept), '',
    '## Pointers', '',
    format('- Backup before: %s, %s bytes, sha256 %s (%s)', iu.fn_iu_markdown_text(v_window.backup_file), v_window.backup_bytes, v_window.backup_sha256,
      iu.fn_iu_markdown_text(v_window.backup_check)),
    CASE WHEN v_window.after_backup_file IS NOT NULL THEN format('- Backup after: %s, %s bytes, sha256 %s (%s)', iu.fn_iu_markdown_text(v_window.after_backup_file),
           v_window.after_backup_bytes, v_window.after_backup_sha256, iu.fn_iu_markdown_text(v_window.after_backup_check)) ELSE '- Backup after: not stated' END,
    format('- Snapshots: %s%s', v_before, CASE WHEN v_closed THEN ', ' || v_after END));
  RETURN v_text || E'\n';
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
