CREATE TABLE public.iu_regression_snapshot (
  snapshot_label text        NOT NULL PRIMARY KEY,
  taken_at       timestamptz NOT NULL,
  taken_by       text        NOT NULL,
  session_role   name        NOT NULL DEFAULT session_user,
  CONSTRAINT iu_regression_snapshot_label_chk CHECK (snapshot_label ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$')
);
COMMENT ON TABLE public.iu_regression_snapshot IS
  'The snapshots, append-only. Those of a change window are called LABEL:before and LABEL:after.';
COMMENT ON COLUMN public.iu_regression_snapshot.snapshot_label IS 'Its name';
COMMENT ON COLUMN public.iu_regression_snapshot.taken_at IS 'When its reading began, by the clock';
COMMENT ON COLUMN public.iu_regression_snapshot.taken_by IS 'Who took it, as told by the caller';
COMMENT ON COLUMN public.iu_regression_snapshot.session_role IS 'Login role of who took it';

CREATE TABLE public.iu_regression_value (
  snapshot_label text        NOT NULL,
  surface_code   text        NOT NULL,
  surface        text        NOT NULL,
  layer          text        NOT NULL,
  expectation    text        NOT NULL,
  green_rule     text,
  sort_order     integer     NOT NULL,
  value          text,
  error          text,
  error_code     text,
  reported_by    text,
  session_role   name        NOT NULL DEFAULT session_user,
  read_at        timestamptz NOT NULL,
  ms             numeric,
  source         text,
  CONSTRAINT iu_regression_value_pkey PRIMARY KEY (snapshot_label, surface_code),
  CONSTRAINT iu_regression_value_known_chk CHECK ((value IS NULL) = (error IS NOT NULL))
);
COMMENT ON TABLE public.iu_regression_value IS
  'The figures of the snapshots, append-only, each with what its surface was registered as then.';
COMMENT ON COLUMN public.iu_regression_value.snapshot_label IS
  'The snapshot; one reported from outside may be there before its snapshot is taken';
COMMENT ON COLUMN public.iu_regression_value.surface_code IS 'The surface';
COMMENT ON COLUMN public.iu_regression_value.surface IS 'Its label';
COMMENT ON COLUMN public.iu_regression_value.layer IS 'Its layer';
COMMENT ON COLUMN public.iu_regression_value.expectation IS 'What was expected of it';
COMMENT ON COLUMN public.iu_regression_value.green_rule IS 'When it was green';
COMMENT ON COLUMN public.iu_regression_value.sort_order IS 'Its place in the matrix';
COMMENT ON COLUMN public.iu_regression_value.value IS 'The figure as text; NULL: unknown';
COMMENT ON COLUMN public.iu_regression_value.error IS 'Why it is unknown, in words';
COMMENT ON COLUMN public.iu_regression_value.error_code IS 'SQLSTATE of what failed';
COMMENT ON COLUMN public.iu_regression_value.reported_by IS 'Who reported it; NULL: it was read';
COMMENT ON COLUMN public.iu_regression_value.session_role IS 'Login role of who reported it or had it read';
COMMENT ON COLUMN public.iu_regression_value.read_at IS 'When its reading began, or when it was reported';
COMMENT ON COLUMN public.iu_regression_value.ms IS 'How long the reading took, in ms; NULL: reported';
COMMENT ON COLUMN public.iu_regression_value.source IS 'The view or query that was read; NULL: reported';

CREATE TABLE public.iu_regression_expectation (
  expectation_seq bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  before_label    text        NOT NULL,
  surface_code    text        NOT NULL,
  delta           numeric,
  value           text,
  reason          text        NOT NULL,
  declared_by     text        NOT NULL,
  session_role    name        NOT NULL DEFAULT session_user,
  declared_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_regression_expectation_one_chk CHECK (num_nonnulls(delta, value) = 1)
);
CREATE INDEX ix_iu_regression_expectation ON public.iu_regression_expectation (before_label, surface_code);
COMMENT ON TABLE public.iu_regression_expectation IS
  'Declared changes of surfaces, append-only: of one surface the last that was declared before the snapshot after '
  'counts.';
COMMENT ON COLUMN public.iu_regression_expectation.expectation_seq IS 'Order of declaration';
COMMENT ON COLUMN public.iu_regression_expectation.before_label IS 'The snapshot from which it changes';
COMMENT ON COLUMN public.iu_regression_expectation.surface_code IS 'The surface; it may come with the change';
COMMENT ON COLUMN public.iu_regression_expectation.delta IS 'By how much; of a surface that is new, what it is';
COMMENT ON COLUMN public.iu_regression_expectation.value IS 'Or the figure after';
COMMENT ON COLUMN public.iu_regression_expectation.reason IS 'Why; shown in the matrix';
COMMENT ON COLUMN public.iu_regression_expectation.declared_by IS 'Who declared it, as told by the caller';
COMMENT ON COLUMN public.iu_regression_expectation.session_role IS 'Login role of who declared it';
COMMENT ON COLUMN public.iu_regression_expectation.declared_at IS
  'When, by the clock; after the snapshot after it comes too late and does not count';

CREATE TRIGGER trg_iu_regression_snapshot_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_regression_snapshot
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();

CREATE TRIGGER trg_iu_regression_value_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_regression_value
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();

CREATE TRIGGER trg_iu_regression_expectation_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_regression_expectation
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE public.iu_regression_snapshot ENABLE ALWAYS TRIGGER trg_iu_regression_snapshot_append_only;
ALTER TABLE public.iu_regression_value ENABLE ALWAYS TRIGGER trg_iu_regression_value_append_only;
ALTER TABLE public.iu_regression_expectation ENABLE ALWAYS TRIGGER trg_iu_regression_expectation_append_only;
COMMENT ON TRIGGER trg_iu_regression_snapshot_append_only ON public.iu_regression_snapshot IS
  'A snapshot is not changed.';
COMMENT ON TRIGGER trg_iu_regression_value_append_only ON public.iu_regression_value IS 'A figure is not changed.';
COMMENT ON TRIGGER trg_iu_regression_expectation_append_only ON public.iu_regression_expectation IS
  'A declaration is not changed.';

CREATE TABLE public.iu_change_window (
  window_label        text        NOT NULL PRIMARY KEY,
  purpose             text        NOT NULL,
  approval_id         uuid        NOT NULL,
  opened_by           text        NOT NULL,
  opened_role         name        NOT NULL DEFAULT session_user,
  opened_at           timestamptz NOT NULL,
  migrations_before   integer[]   NOT NULL,
  backup_file         text        NOT NULL,
  backup_bytes        bigint      NOT NULL,
  backup_sha256       text        NOT NULL,
  backup_check        text        NOT NULL,
  closed_by           text,
  closed_role         name,
  closed_at           timestamptz,
  migrations_after    integer[],
  gates               jsonb,
  invariants          jsonb,
  impact              jsonb,
  not_touched         text[],
  after_backup_file   text,
  after_backup_bytes  bigint,
  after_backup_sha256 text,
  after_backup_check  text,
  verdict             text,
  verdict_reason      text,
  CONSTRAINT iu_change_window_label_chk CHECK (window_label ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$'),
  CONSTRAINT iu_change_window_sha_chk CHECK (backup_sha256 ~ '^[0-9a-f]{64}$' AND after_backup_sha256 ~ '^[0-9a-f]{64}$'),
  CONSTRAINT iu_change_window_verdict_chk CHECK (verdict IN ('PASS', 'FAIL', 'UNKNOWN')),
  CONSTRAINT iu_change_window_closed_chk CHECK (num_nulls(closed_by, closed_role, closed_at, migrations_after, gates, invariants, impact, not_touched, verdict, verdict_reason) IN (0, 10))
);
CREATE UNIQUE INDEX uq_iu_change_window_open ON public.iu_change_window ((true)) WHERE closed_at IS NULL;
COMMENT ON TABLE public.iu_change_window IS
  'The change windows. A row is made once and closed once, and nothing else; one at a time is open.';
COMMENT ON COLUMN public.iu_change_window.window_label IS
  'Its name: 1 to 100 letters, digits, "_", ".", "-"; never used twice';
COMMENT ON COLUMN public.iu_change_window.purpose IS 'What is to be changed';
COMMENT ON COLUMN public.iu_change_window.approval_id IS 'On whose approval, as a ticket has it';
COMMENT ON COLUMN public.iu_change_window.opened_by IS 'Who opened it, as told by the caller';
COMMENT ON COLUMN public.iu_change_window.opened_role IS 'Login role of who opened it';
COMMENT ON COLUMN public.iu_change_window.opened_at IS 'When its opening began, by the clock';
COMMENT ON COLUMN public.iu_change_window.migrations_before IS 'Migrations that were applied then';
COMMENT ON COLUMN public.iu_change_window.backup_file IS 'Where the backup of before is';
COMMENT ON COLUMN public.iu_change_window.backup_bytes IS 'Its size';
COMMENT ON COLUMN public.iu_change_window.backup_sha256 IS 'Its SHA-256 in hex';
COMMENT ON COLUMN public.iu_change_window.backup_check IS
  'checked: the server read it; or as stated, and why the server could not';
COMMENT ON COLUMN public.iu_change_window.closed_by IS 'Who closed it, as told by the caller';
COMMENT ON COLUMN public.iu_change_window.closed_role IS 'Login role of who closed it';
COMMENT ON COLUMN public.iu_change_window.closed_at IS 'When, by the clock; NULL: it is open';
COMMENT ON COLUMN public.iu_change_window.migrations_after IS 'Migrations that are applied at its end';
COMMENT ON COLUMN public.iu_change_window.gates IS 'fn_iu_gate_verify_closed() at its end';
COMMENT ON COLUMN public.iu_change_window.invariants IS 'What a check of all invariants found at its end';
COMMENT ON COLUMN public.iu_change_window.impact IS
  'What was stated of the layers PG, Directus, Nuxt, AgentData, Qdrant, by layer';
COMMENT ON COLUMN public.iu_change_window.not_touched IS 'What was stated not to have been touched';
COMMENT ON COLUMN public.iu_change_window.after_backup_file IS 'Where a backup of after is; NULL: none was stated';
COMMENT ON COLUMN public.iu_change_window.after_backup_bytes IS 'Its size';
COMMENT ON COLUMN public.iu_change_window.after_backup_sha256 IS 'Its SHA-256 in hex';
COMMENT ON COLUMN public.iu_change_window.after_backup_check IS 'As backup_check';
COMMENT ON COLUMN public.iu_change_window.verdict IS
  'FAIL: a surface was violated, or a critical invariant fails; UNKNOWN: no such thing is known, but not all is '
  'known; PASS: all is known and as it should be';
COMMENT ON COLUMN public.iu_change_window.verdict_reason IS 'Why, in words';

CREATE FUNCTION iu.fn_iu_change_window_guard() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_closing CONSTANT text[] := ARRAY['closed_by', 'closed_role', 'closed_at', 'migrations_after', 'gates', 'invariants', 'impact', 'not_touched', 'verdict',
    'verdict_reason', 'after_backup_file', 'after_backup_bytes', 'after_backup_sha256', 'after_backup_check'];
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL AND to_jsonb(OLD) - c_closing = to_jsonb(NEW) - c_closing THEN
    RETURN NEW;
  END IF;
  RAISE insufficient_privilege USING
    MESSAGE = 'a change window is closed once, and not changed otherwise';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_change_window_guard IS
  'Trigger of iu_change_window: SQLSTATE 42501 for every change but closing it.';

CREATE TRIGGER trg_iu_change_window_guard BEFORE UPDATE OR DELETE ON public.iu_change_window
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_change_window_guard();

CREATE TRIGGER trg_iu_change_window_append_only BEFORE TRUNCATE ON public.iu_change_window
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE public.iu_change_window ENABLE ALWAYS TRIGGER trg_iu_change_window_guard;
ALTER TABLE public.iu_change_window ENABLE ALWAYS TRIGGER trg_iu_change_window_append_only;
COMMENT ON TRIGGER trg_iu_change_window_guard ON public.iu_change_window IS 'Closed once, not changed otherwise.';
COMMENT ON TRIGGER trg_iu_change_window_append_only ON public.iu_change_window IS 'Nor emptied.';

CREATE FUNCTION iu.fn_iu_surface_measure(p_surface public.iu_regression_surface, p_label text) RETURNS public.iu_regression_value
  LANGUAGE plpgsql VOLATILE
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
  SELECT r.* INTO v_reading FROM iu.fn_iu_read(format(
      'SELECT jsonb_build_object(''rows'', count(*), ''value'', min(x.value)) FROM (SELECT q.value::text FROM (%s) AS q (value) LIMIT 2) AS x',
      CASE p_surface.kind WHEN 'view' THEN format('SELECT v.value FROM %s AS v', p_surface.source) ELSE p_surface.source END), p_surface.timeout_ms) AS r;
  v_value.read_at := v_reading.began_at;
  v_value.ms := v_reading.ms;
  v_value.error_code := coalesce(v_reading.error_code, CASE WHEN v_reading.result ->> 'rows' <> '1' THEN '21000' WHEN v_reading.result ->> 'value' IS NULL THEN '22004' END);
  IF v_value.error_code IS NULL THEN
    v_value.value := v_reading.result ->> 'value';
  ELSE
    v_value.error := coalesce(v_reading.error, CASE v_reading.result ->> 'rows' WHEN '0' THEN 'there is no row' WHEN '1' THEN 'it is NULL' ELSE 'there is more than one row' END);
  END IF;
  RETURN v_value;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_measure IS
  'For a snapshot: reads a surface once, within its time, and undoes what the reading did. Returns its row, not '
  'stored: the figure, or why it is unknown. Raises nothing but a cancel by somebody else (57014).';

CREATE FUNCTION iu.fn_iu_surface_measure_all(p_label text) RETURNS SETOF public.iu_regression_value
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_surface public.iu_regression_surface;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE invalid_transaction_state USING
      MESSAGE = 'a snapshot needs isolation level READ COMMITTED',
      DETAIL = 'Figures of an older snapshot would stand beside what a remote holds now.';
  END IF;
  FOREACH v_surface IN ARRAY ARRAY(SELECT s FROM public.iu_regression_surface s WHERE s.kind <> 'external' ORDER BY s.sort_order, s.surface_code) LOOP
    RETURN NEXT iu.fn_iu_surface_measure(v_surface, p_label);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_measure_all IS
  'For a snapshot: reads every surface that is not external, one after the other. Returns their rows, not stored. '
  'SQLSTATE 25000 outside of READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_surface_snapshot(p_label text, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_start  timestamptz := clock_timestamp();
  v_values public.iu_regression_value[];
BEGIN
  IF p_label IS NULL OR p_label !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$' OR p_label ~ ':(before|after)$' THEN
    RAISE check_violation USING
      MESSAGE = 'a snapshot has a label: 1 to 120 letters, digits, "_", ".", ":" or "-"',
      DETAIL = 'Labels that end in :before or :after are those of change windows.';
  ELSIF coalesce(btrim(p_actor), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'actor required: say who takes the snapshot';
  ELSIF EXISTS (SELECT FROM public.iu_regression_snapshot s WHERE s.snapshot_label = p_label) THEN
    RAISE duplicate_object USING
      MESSAGE = format('snapshot "%s" was taken already', p_label);
  END IF;
  v_values := ARRAY(SELECT v FROM iu.fn_iu_surface_measure_all(p_label) AS v);
  INSERT INTO public.iu_regression_snapshot (snapshot_label, taken_at, taken_by) VALUES (p_label, v_start, p_actor);
  INSERT INTO public.iu_regression_value SELECT v.* FROM unnest(v_values) AS v;
  RETURN jsonb_build_object('status', 'taken', 'label', p_label, 'surfaces', cardinality(v_values),
    'unknown', (SELECT coalesce(jsonb_agg(v.surface_code ORDER BY v.surface_code), '[]') FROM unnest(v_values) AS v WHERE v.value IS NULL));
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
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_surface public.iu_regression_surface;
  v_window  public.iu_change_window;
BEGIN
  SELECT s.* INTO v_surface FROM public.iu_regression_surface s WHERE s.surface_code = p_code AND s.kind = 'external';
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('surface "%s" is not one that is reported from outside', coalesce(p_code, '')),
      HINT = 'fn_iu_surface_register registers it, with kind external.';
  ELSIF coalesce(btrim(p_value), '') = '' OR length(p_value) > 200 OR coalesce(btrim(p_actor), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'a figure of 1 to 200 characters is reported by somebody',
      HINT = 'Give p_value and p_actor.';
  END IF;
  SELECT w.* INTO v_window FROM public.iu_change_window w
   WHERE p_label IN (w.window_label || ':before', w.window_label || ':after') FOR KEY SHARE;
  IF FOUND AND v_window.closed_at IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('change window "%s" is closed', v_window.window_label),
      DETAIL = 'Its report does not change any more.';
  ELSIF NOT FOUND AND NOT EXISTS (SELECT FROM public.iu_regression_snapshot s WHERE s.snapshot_label = p_label) THEN
    RAISE undefined_object USING
      MESSAGE = format('there is no snapshot "%s"', coalesce(p_label, '')),
      HINT = 'Take it with fn_iu_surface_snapshot, or open a change window: then LABEL:before and LABEL:after can be reported.';
  ELSIF EXISTS (SELECT FROM public.iu_regression_value v WHERE v.snapshot_label = p_label AND v.surface_code = p_code) THEN
    RAISE duplicate_object USING
      MESSAGE = format('surface "%s" of snapshot "%s" was reported already', p_code, p_label);
  END IF;
  INSERT INTO public.iu_regression_value (snapshot_label, surface_code, surface, layer, expectation, green_rule, sort_order, value, reported_by, read_at)
    VALUES (p_label, p_code, v_surface.label, v_surface.layer, v_surface.expectation, v_surface.green_rule, v_surface.sort_order, btrim(p_value),
            p_actor, clock_timestamp());
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

CREATE FUNCTION iu.fn_iu_expect_delta(p_label text, p_code text, p_delta numeric, p_actor text, p_reason text, p_value text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_window public.iu_change_window;
  v_before text := p_label;
  v_run_id uuid;
BEGIN
  IF p_code IS NULL OR p_code !~ '^[a-z][a-z0-9_.:-]{0,119}$' THEN
    RAISE check_violation USING
      MESSAGE = 'a surface has a code: 1 to 120 small letters, digits, "_", ".", ":" or "-"';
  ELSIF num_nonnulls(p_delta, p_value) <> 1 OR p_delta IN ('NaN', 'Infinity', '-Infinity') THEN
    RAISE check_violation USING
      MESSAGE = 'either a delta is expected, or a value',
      HINT = 'Give p_delta, or NULL and p_value.';
  END IF;
  SELECT w.* INTO v_window FROM public.iu_change_window w WHERE p_label IN (w.window_label, w.window_label || ':before') FOR KEY SHARE;
  IF FOUND THEN
    IF v_window.closed_at IS NOT NULL THEN
      RAISE object_not_in_prerequisite_state USING
        MESSAGE = format('change window "%s" is closed', v_window.window_label),
        DETAIL = 'What is expected is declared before the change.';
    END IF;
    v_before := v_window.window_label || ':before';
  ELSIF NOT EXISTS (SELECT FROM public.iu_regression_snapshot s WHERE s.snapshot_label = p_label) THEN
    RAISE undefined_object USING
      MESSAGE = format('there is no change window and no snapshot "%s"', coalesce(p_label, ''));
  END IF;
  v_run_id := iu.fn_iu_invariant_log('dot_iu_expect_delta', v_before, p_actor, p_reason,
    jsonb_build_object('before_label', v_before, 'surface_code', p_code, 'delta', p_delta, 'value', p_value));
  INSERT INTO public.iu_regression_expectation (before_label, surface_code, delta, value, reason, declared_by)
    VALUES (v_before, p_code, p_delta, p_value, p_reason, p_actor);
  RETURN jsonb_build_object('status', 'declared', 'before_label', v_before, 'surface_code', p_code, 'delta', p_delta, 'value', p_value, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_expect_delta IS
  'What public.fn_iu_expect_delta hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_expect_delta(p_label text, p_code text, p_delta numeric, p_actor text, p_reason text, p_value text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_expect_delta(p_label, p_code, p_delta, p_actor, p_reason, p_value) END;
COMMENT ON FUNCTION public.fn_iu_expect_delta IS
  'Declares, before the change, what a surface will do: change window or snapshot before, surface (it may come '
  'with the change), by how much (of a new one: what it will be), who, why, or (with NULL as the delta) the '
  'figure after. Declared again, the last holds. Logged. Returns {status: declared, before_label, surface_code, '
  'delta, value, run_id}. SQLSTATE 42704: no such window or snapshot; 55000: the window is closed; 23514: code, '
  'delta or value, actor or reason.';
