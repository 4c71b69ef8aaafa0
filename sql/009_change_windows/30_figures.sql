-- Reading surfaces, and taking snapshots of all of them.

CREATE FUNCTION iu.fn_iu_surface_measure(p_surface public.iu_regression_surface, p_label text)
  RETURNS public.iu_regression_value
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_value   public.iu_regression_value;
  v_reading record;
BEGIN
  v_value.snapshot_label := p_label;
  v_value.surface_code := p_surface.surface_code;
  v_value.surface := p_surface.label;
  v_value.layer := p_surface.layer;
  v_value.expectation := p_surface.expectation;
  v_value.green_rule := p_surface.green_rule;
  v_value.sort_order := p_surface.sort_order;
  v_value.session_role := session_user;
  v_value.source := p_surface.source;
  v_value.read_at := clock_timestamp();
  v_value.ms := 0;
  v_value.error := CASE p_surface.kind WHEN 'view' THEN iu.fn_iu_view_problem(p_surface.source) END;
  IF v_value.error IS NOT NULL THEN
    v_value.error_code := '42809';
    RETURN v_value;
  END IF;
  SELECT r.* INTO v_reading FROM iu.fn_iu_read(format($sql$
      SELECT jsonb_build_object('rows', count(*), 'value', min(x.value))
        FROM (SELECT q.value::text FROM (%s) AS q (value) LIMIT 2) AS x$sql$,
    CASE p_surface.kind WHEN 'view' THEN format('SELECT v.value FROM %s AS v', p_surface.source)
                        ELSE p_surface.source END), p_surface.timeout_ms, p_surface.kind = 'query') AS r;
  v_value.read_at := v_reading.began_at;
  v_value.ms := v_reading.ms;
  v_value.error_code := coalesce(v_reading.error_code,
    CASE WHEN v_reading.result ->> 'rows' <> '1' THEN '21000'
         WHEN v_reading.result ->> 'value' IS NULL THEN '22004' END);
  IF v_value.error_code IS NULL THEN
    v_value.value := v_reading.result ->> 'value';
  ELSE
    v_value.error := coalesce(v_reading.error,
      CASE v_reading.result ->> 'rows' WHEN '0' THEN 'there is no row' WHEN '1' THEN 'it is NULL'
                                       ELSE 'there is more than one row' END);
  END IF;
  RETURN v_value;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_measure IS
  'For a snapshot: reads a surface once, within its time, and undoes what the reading did. Returns its row, not '
  'stored: the figure, or why it is unknown. Raises nothing but a cancel by somebody else (57014).';

CREATE FUNCTION iu.fn_iu_surface_measure_all(p_label text) RETURNS SETOF public.iu_regression_value
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_surface public.iu_regression_surface;
BEGIN
  PERFORM iu.fn_iu_require_read_committed('a snapshot', 'would stand beside what a remote holds now');
  FOREACH v_surface IN ARRAY ARRAY(
    SELECT s FROM public.iu_regression_surface s WHERE s.kind <> 'external' ORDER BY s.sort_order, s.surface_code)
  LOOP
    RETURN NEXT iu.fn_iu_surface_measure(v_surface, p_label);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_measure_all IS
  'For a snapshot: reads every surface that is not external, one after the other. Returns their rows, not stored. '
  'SQLSTATE 25000 outside of READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_surface_snapshot(p_label text, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_start  timestamptz := clock_timestamp();
  v_values public.iu_regression_value[];
BEGIN
  PERFORM iu.fn_iu_require_value(
    p_label ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$' AND p_label !~ ':(before|after)$', 'iu_snapshot_label', 'p_label',
    '1 to 120 letters, digits, "_", ".", ":" or "-", without :before or :after at its end as change windows have',
    p_label);
  PERFORM iu.fn_iu_require_actor(p_actor, 'takes the snapshot');
  IF EXISTS (SELECT FROM public.iu_regression_snapshot s WHERE s.snapshot_label = p_label) THEN
    RAISE duplicate_object USING
      MESSAGE = format('snapshot "%s" was taken already', p_label),
      DETAIL = format('Label: %s.', p_label),
      HINT = 'Give another label.', CONSTRAINT = 'iu_snapshot_taken';
  END IF;
  v_values := ARRAY(SELECT v FROM iu.fn_iu_surface_measure_all(p_label) AS v);
  INSERT INTO public.iu_regression_snapshot (snapshot_label, taken_at, taken_by) VALUES (p_label, v_start, p_actor);
  INSERT INTO public.iu_regression_value SELECT v.* FROM unnest(v_values) AS v;
  RETURN jsonb_build_object('status', 'taken', 'label', p_label, 'surfaces', cardinality(v_values),
    'unknown', (SELECT coalesce(jsonb_agg(v.surface_code ORDER BY v.surface_code), '[]')
                  FROM unnest(v_values) AS v WHERE v.value IS NULL));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_snapshot IS
  'What public.fn_iu_surface_snapshot hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_surface_snapshot(p_label text, p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_surface_snapshot(p_label, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_surface_snapshot IS
  'Reads every surface and keeps the figures under a label: label, who. One that fails is unknown with its error; '
  'those reported from outside are added with fn_iu_surface_report. Each is read by itself: what changes '
  'meanwhile is in one and not in another. Returns {status: taken, label, surfaces, unknown: [codes]}. SQLSTATE '
  '23514: label or actor; 42710: that snapshot was taken; 25000 outside of READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_surface_report(p_label text, p_code text, p_value text, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_surface public.iu_regression_surface;
  v_window  public.iu_change_window;
BEGIN
  SELECT s.* INTO v_surface
    FROM public.iu_regression_surface s WHERE s.surface_code = p_code AND s.kind = 'external';
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('surface "%s" is not one that is reported from outside', coalesce(p_code, '')),
      DETAIL = format('Surface: %s.', coalesce(p_code, '')),
      HINT = 'fn_iu_surface_register registers it, with kind external.', CONSTRAINT = 'iu_surface_not_external';
  END IF;
  PERFORM iu.fn_iu_require_text('iu_surface_value', 'p_value', 'a figure of 1 to 200 characters', p_value, false);
  PERFORM iu.fn_iu_require_actor(p_actor, 'reports the figure');
  SELECT w.* INTO v_window FROM public.iu_change_window w
   WHERE p_label IN (w.window_label || ':before', w.window_label || ':after') FOR KEY SHARE;
  IF FOUND AND v_window.closed_at IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('change window "%s" is closed', v_window.window_label),
      DETAIL = 'Its report does not change any more.', CONSTRAINT = 'iu_change_window_closed';
  ELSIF NOT FOUND AND NOT EXISTS (SELECT FROM public.iu_regression_snapshot s WHERE s.snapshot_label = p_label) THEN
    RAISE undefined_object USING
      MESSAGE = format('there is no snapshot "%s"', coalesce(p_label, '')),
      DETAIL = format('Label: %s.', coalesce(p_label, '')),
      HINT = 'Take it with fn_iu_surface_snapshot, or open a change window: then LABEL:before and LABEL:after can be '
        'reported.', CONSTRAINT = 'iu_snapshot_unknown';
  ELSIF EXISTS (SELECT FROM public.iu_regression_value v
                 WHERE v.snapshot_label = p_label AND v.surface_code = p_code) THEN
    RAISE duplicate_object USING
      MESSAGE = format('surface "%s" of snapshot "%s" was reported already', p_code, p_label),
      DETAIL = format('Surface: %s; label: %s.', p_code, p_label),
      HINT = 'A figure is reported once.', CONSTRAINT = 'iu_surface_reported';
  END IF;
  INSERT INTO public.iu_regression_value
      (snapshot_label, surface_code, surface, layer, expectation, green_rule, sort_order, value, reported_by, read_at)
    VALUES (p_label, p_code, v_surface.label, v_surface.layer, v_surface.expectation, v_surface.green_rule,
            v_surface.sort_order, btrim(p_value), p_actor, clock_timestamp());
  RETURN jsonb_build_object('status', 'reported', 'label', p_label, 'surface_code', p_code, 'value', btrim(p_value));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_report IS
  'What public.fn_iu_surface_report hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_surface_report(p_label text, p_code text, p_value text, p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_surface_report(p_label, p_code, p_value, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_surface_report IS
  'Adds a figure from outside, such as a test count, to a snapshot, once: label (that of a snapshot, or '
  'LABEL:before, LABEL:after of the window that is open), code of a surface of kind external, the figure, who. '
  'Returns {status: reported, label, surface_code, value}. SQLSTATE 42704: no such surface or snapshot; 42710: '
  'reported already; 55000: the window is closed; 23514: figure or actor missing.';

CREATE FUNCTION iu.fn_iu_expect_delta(
    p_label text, p_code text, p_delta numeric, p_actor text, p_reason text, p_value text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_window public.iu_change_window;
  v_before text := p_label;
  v_run_id uuid;
BEGIN
  PERFORM iu.fn_iu_require_value(p_code ~ '^[a-z][a-z0-9_.:-]{0,119}$', 'iu_surface_code', 'p_code',
    '1 to 120 small letters, digits, "_", ".", ":" or "-", with a letter first', p_code);
  PERFORM iu.fn_iu_require_value(
    num_nonnulls(p_delta, p_value) = 1 AND coalesce(p_delta, 0) NOT IN ('NaN', 'Infinity', '-Infinity'),
    'iu_expected_delta', 'p_delta', 'a finite number, or NULL where p_value is given instead', p_delta::text);
  PERFORM iu.fn_iu_require_form('p_value', p_value, false);
  SELECT w.* INTO v_window FROM public.iu_change_window w
   WHERE p_label IN (w.window_label, w.window_label || ':before') FOR KEY SHARE;
  IF FOUND THEN
    IF v_window.closed_at IS NOT NULL THEN
      RAISE object_not_in_prerequisite_state USING
        MESSAGE = format('change window "%s" is closed', v_window.window_label),
        DETAIL = 'What is expected is declared before the change.', CONSTRAINT = 'iu_change_window_closed';
    END IF;
    v_before := v_window.window_label || ':before';
  ELSIF NOT EXISTS (SELECT FROM public.iu_regression_snapshot s WHERE s.snapshot_label = p_label) THEN
    RAISE undefined_object USING
      MESSAGE = format('there is no change window and no snapshot "%s"', coalesce(p_label, '')),
      DETAIL = format('Label: %s.', coalesce(p_label, '')),
      HINT = 'v_iu_change_window lists the windows.', CONSTRAINT = 'iu_snapshot_unknown';
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_expect_delta', 'before_label', v_before, 'applied', p_actor, p_reason,
    jsonb_build_object('surface_code', p_code, 'delta', p_delta, 'value', p_value));
  INSERT INTO public.iu_regression_expectation (before_label, surface_code, delta, value, reason, declared_by)
    VALUES (v_before, p_code, p_delta, p_value, p_reason, p_actor);
  RETURN jsonb_build_object('status', 'declared', 'before_label', v_before, 'surface_code', p_code, 'delta', p_delta,
                            'value', p_value, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_expect_delta IS
  'What public.fn_iu_expect_delta hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_expect_delta(
    p_label text, p_code text, p_delta numeric, p_actor text, p_reason text, p_value text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_expect_delta(p_label, p_code, p_delta, p_actor, p_reason, p_value) END;
COMMENT ON FUNCTION public.fn_iu_expect_delta IS
  'Declares, before the change, what a surface will do, one that is to be green as well: change window or snapshot '
  'before, surface (it may come with the change), by how much (of a new one: what it will be), who, why, or (with NULL '
  'as the delta) the figure after. Declared again, the last holds. Logged. Returns {status: declared, before_label, '
  'surface_code, delta, value, run_id}. SQLSTATE 42704: no such window or snapshot; 55000: the window is closed; '
  '23514: code, delta or value, actor or reason.';
