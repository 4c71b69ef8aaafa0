-- 009: what a change did, as figures before and after, and the report of it.
--
-- A surface is a figure with a name: read by a view or a query, or reported from
-- outside. A snapshot keeps all of them under a label; a matrix compares two; a
-- change window is two snapshots and what lies between them: approval, backup,
-- gates, commands, migrations, verdict. Its report is Markdown, in the form that
-- the reports of earlier changes have (seed 3).
--
-- One window at a time: a figure belongs to the whole database, so with two
-- windows open nobody could say in which of them it changed.
--
-- A surface is read like an invariant: in a subtransaction that is undone, in
-- its time; what fails is unknown and says why, and is never a number.

SELECT iu_core.guard_absent('table', 'iu_regression_surface', 'iu_regression_snapshot', 'iu_regression_value', 'iu_regression_expectation', 'iu_change_window');
SELECT iu_core.guard_absent('view', 'v_iu_change_window');
SELECT iu_core.guard_absent('function', 'fn_iu_surface_put(public.iu_regression_surface)',
  'fn_iu_surface_define(integer,text,text,text,text,text,text,text,integer,integer)', 'fn_iu_surface_undefine(integer)',
  'fn_iu_surface_register(text,text,text,text,text,text,regclass,text,text,integer,integer)', 'fn_iu_surface_unregister(text,text,text)',
  'fn_iu_surface_measure(public.iu_regression_surface,text)', 'fn_iu_surface_measure_all(text)',
  'fn_iu_surface_snapshot(text,text)', 'fn_iu_surface_report(text,text,text,text)', 'fn_iu_expect_delta(text,text,numeric,text,text,text)',
  'fn_iu_regression_delta(text,text)', 'fn_iu_regression_green(text,text,text)', 'fn_iu_regression_matrix(text,text)',
  'fn_iu_change_window_guard()', 'fn_iu_backup_check(text,bigint,text)',
  'fn_iu_change_window_open(text,uuid,text,text,text,bigint,text)',
  'fn_iu_change_window_close(text,text,jsonb,text[],boolean,text,bigint,text)', 'fn_iu_markdown_text(text)', 'fn_iu_markdown_row(text[])', 'fn_iu_change_report(text)');

DO $guard$
BEGIN
  IF to_regclass('public.iu_invariant') IS NULL OR to_regclass('public.event_outbox') IS NULL THEN
    RAISE EXCEPTION 'migration 009 needs migrations 004 and 008' USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
END
$guard$;

-- Surfaces ---------------------------------------------------------------------

CREATE TABLE public.iu_regression_surface (
  surface_code  text        NOT NULL PRIMARY KEY,
  label         text        NOT NULL,
  layer         text        NOT NULL,
  kind          text        NOT NULL,
  source        text,
  expectation   text        NOT NULL,
  green_rule    text,
  sort_order    integer     NOT NULL DEFAULT 100,
  timeout_ms    integer     NOT NULL DEFAULT 10000,
  migration     integer,
  registered_by text        NOT NULL,
  session_role  name        NOT NULL DEFAULT session_user,
  reason        text        NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_regression_surface_code_chk CHECK (surface_code ~ '^[a-z][a-z0-9_.:-]{0,119}$'),
  CONSTRAINT iu_regression_surface_label_chk CHECK (btrim(label) <> '' AND btrim(registered_by) <> '' AND btrim(reason) <> ''),
  CONSTRAINT iu_regression_surface_layer_chk CHECK (layer IN ('PG', 'Directus', 'Nuxt', 'AgentData', 'Qdrant')),
  CONSTRAINT iu_regression_surface_kind_chk CHECK (kind IN ('view', 'query', 'external') AND (kind = 'external') = (source IS NULL)
    AND (kind <> 'query' OR migration IS NOT NULL)),
  CONSTRAINT iu_regression_surface_expectation_chk CHECK (expectation IN ('invariant', 'any', 'green')),
  CONSTRAINT iu_regression_surface_green_chk CHECK ((expectation = 'green') = (green_rule IS NOT NULL)
    AND (green_rule IN ('n/n', 'not_less') OR green_rule ~ '^~.')),
  CONSTRAINT iu_regression_surface_timeout_chk CHECK (timeout_ms BETWEEN 1 AND 60000)
);
COMMENT ON TABLE public.iu_regression_surface IS
  'The figures that a change is judged by. Written by fn_iu_surface_register and _unregister, and by migrations. (seed 3: Regression matrix; design: Invariants and change windows)';
COMMENT ON COLUMN public.iu_regression_surface.surface_code IS 'Its name: 1 to 120 small letters, digits, "_", ".", ":", "-"';
COMMENT ON COLUMN public.iu_regression_surface.label IS 'What the matrix calls it';
COMMENT ON COLUMN public.iu_regression_surface.layer IS 'PG, Directus, Nuxt, AgentData or Qdrant: whose figure it is';
COMMENT ON COLUMN public.iu_regression_surface.kind IS
  'view: column value of a view with one row; query: the one value of a query that a migration brought; external: reported with fn_iu_surface_report';
COMMENT ON COLUMN public.iu_regression_surface.source IS 'Name of the view, qualified, or the query; NULL: external';
COMMENT ON COLUMN public.iu_regression_surface.expectation IS
  'What a change may do to it, unless a delta was declared: invariant: nothing; any: anything; green: the figure after must be green';
COMMENT ON COLUMN public.iu_regression_surface.green_rule IS
  'When it is green: n/n: two numbers around "/" that are the same; not_less: a number, not less than before; ~ and a regular expression: it matches';
COMMENT ON COLUMN public.iu_regression_surface.sort_order IS 'Order in the matrix';
COMMENT ON COLUMN public.iu_regression_surface.timeout_ms IS 'Longest time of one reading, 1 to 60000 ms; beyond it the figure is unknown';
COMMENT ON COLUMN public.iu_regression_surface.migration IS 'The migration that brought it; NULL: somebody registered it';
COMMENT ON COLUMN public.iu_regression_surface.registered_by IS 'Who registered it, as told by the caller';
COMMENT ON COLUMN public.iu_regression_surface.session_role IS 'Login role of who registered it';
COMMENT ON COLUMN public.iu_regression_surface.reason IS 'Why';
COMMENT ON COLUMN public.iu_regression_surface.registered_at IS 'When it was registered first, by the clock: in a snapshot before that it is n/a';

CREATE FUNCTION public.fn_iu_surface_put(p_surface public.iu_regression_surface) RETURNS text
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_rule   text;
  v_before public.iu_regression_surface;
BEGIN
  SELECT f.rule INTO v_rule FROM (VALUES
      (1, 'a surface has a code: 1 to 120 small letters, digits, "_", ".", ":" or "-"', p_surface.surface_code ~ '^[a-z][a-z0-9_.:-]{0,119}$'),
      (2, 'a surface has a label', btrim(p_surface.label) <> ''),
      (3, 'layer is PG, Directus, Nuxt, AgentData or Qdrant', p_surface.layer IN ('PG', 'Directus', 'Nuxt', 'AgentData', 'Qdrant')),
      (4, 'expectation is invariant, any or green', p_surface.expectation IN ('invariant', 'any', 'green')),
      (5, 'a green surface, and no other, has a rule: n/n, not_less, or "~" and a regular expression',
          (p_surface.expectation = 'green') = (p_surface.green_rule IS NOT NULL)
          AND coalesce(p_surface.green_rule IN ('n/n', 'not_less') OR p_surface.green_rule ~ '^~.', true)),
      (6, 'p_timeout_ms is from 1 to 60000', p_surface.timeout_ms BETWEEN 1 AND 60000),
      (7, 'p_sort_order is a number', p_surface.sort_order IS NOT NULL)) AS f (number, rule, ok)
   WHERE f.ok IS NOT TRUE ORDER BY f.number LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '%', v_rule USING ERRCODE = 'check_violation';
  END IF;
  IF starts_with(p_surface.green_rule, '~') THEN
    PERFORM '' ~ substr(p_surface.green_rule, 2);	-- 2201B here, not at the first snapshot
  END IF;
  SELECT s.* INTO v_before FROM public.iu_regression_surface s WHERE s.surface_code = p_surface.surface_code FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO public.iu_regression_surface SELECT (p_surface).*;
    RETURN 'registered';
  ELSIF v_before.migration IS DISTINCT FROM p_surface.migration THEN
    RAISE EXCEPTION 'surface "%" belongs to %', v_before.surface_code, coalesce('migration ' || v_before.migration, v_before.registered_by)
      USING ERRCODE = 'duplicate_object', HINT = 'Give another code.';
  END IF;
  UPDATE public.iu_regression_surface
     SET label = p_surface.label, layer = p_surface.layer, kind = p_surface.kind, source = p_surface.source, expectation = p_surface.expectation,
         green_rule = p_surface.green_rule, sort_order = p_surface.sort_order, timeout_ms = p_surface.timeout_ms,
         registered_by = p_surface.registered_by, session_role = session_user, reason = p_surface.reason
   WHERE surface_code = p_surface.surface_code;
  RETURN 'changed';
END
$function$;
COMMENT ON FUNCTION public.fn_iu_surface_put(public.iu_regression_surface) IS
  'For registration: makes or changes a surface. Returns registered or changed. SQLSTATE 23514: a value is missing or wrong; 2201B: the rule is no regular expression; 42710: it belongs to a migration, or to another one. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_surface_define(
    p_migration integer, p_code text, p_label text, p_kind text, p_source text, p_expectation text DEFAULT 'invariant', p_green_rule text DEFAULT NULL,
    p_layer text DEFAULT 'PG', p_sort_order integer DEFAULT 100, p_timeout_ms integer DEFAULT 10000)
  RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM public.fn_iu_surface_put(ROW(p_code, p_label, p_layer, p_kind, p_source, p_expectation, p_green_rule, p_sort_order, p_timeout_ms,
    p_migration, format('migration %s', lpad(p_migration::text, 3, '0')), session_user, p_label, clock_timestamp())::public.iu_regression_surface);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_surface_define(integer, text, text, text, text, text, text, text, integer, integer) IS
  'For migrations: brings a surface: number of the migration, code, label, kind (view, query, external), name of the view or text of the query (NULL: external), expectation (invariant, any, green), rule of green, layer, order in the matrix, longest time in ms. A query is run as iu_core_owner. Errors: as fn_iu_surface_put. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_surface_undefine(p_migration integer) RETURNS void
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  DELETE FROM public.iu_regression_surface WHERE migration = p_migration
$function$;
COMMENT ON FUNCTION public.fn_iu_surface_undefine(integer) IS
  'For rollbacks: removes the surfaces of a migration; what snapshots hold of them stays. Raises nothing of its own. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_surface_register(
    p_code text, p_label text, p_kind text, p_expectation text, p_actor text, p_reason text, p_view regclass DEFAULT NULL,
    p_green_rule text DEFAULT NULL, p_layer text DEFAULT 'PG', p_sort_order integer DEFAULT 100, p_timeout_ms integer DEFAULT 10000)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem text;
  v_view    text := (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = p_view);
  v_status  text;
  v_run_id  uuid;
BEGIN
  IF p_kind IS NULL OR p_kind NOT IN ('view', 'external') OR (p_kind = 'view') <> (p_view IS NOT NULL) THEN
    RAISE EXCEPTION 'a surface is of kind view, with p_view, or external, without' USING ERRCODE = 'check_violation',
      HINT = 'Surfaces of kind query come with migrations.';
  END IF;
  IF p_view IS NOT NULL THEN
    v_problem := public.fn_iu_view_problem(p_view::text);
    IF v_problem IS NOT NULL THEN
      RAISE EXCEPTION '%', v_problem USING ERRCODE = 'check_violation';
    ELSIF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = p_view AND a.attname = 'value' AND a.attnum > 0) THEN
      RAISE EXCEPTION 'view % has no column value', p_view USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  v_run_id := public.fn_iu_invariant_log('dot_iu_surface_register', p_code, p_actor, p_reason, jsonb_build_object('surface_code', p_code, 'kind', p_kind,
    'view', v_view, 'expectation', p_expectation, 'green_rule', p_green_rule, 'layer', p_layer));
  v_status := public.fn_iu_surface_put(ROW(p_code, p_label, p_layer, p_kind, v_view, p_expectation, p_green_rule, p_sort_order, p_timeout_ms,
    NULL, p_actor, session_user, p_reason, clock_timestamp())::public.iu_regression_surface);
  RETURN jsonb_build_object('status', v_status, 'surface_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_surface_register(text, text, text, text, text, text, regclass, text, text, integer, integer) IS
  'Registers a surface, or changes one that was registered, and logs it: code, label, kind (view, external), expectation (invariant, any, green), who, why, the view (one row with a column value; it belongs to iu_core_owner or a superuser), rule of green (n/n, not_less, ~regular expression), layer (PG, Directus, Nuxt, AgentData, Qdrant), order in the matrix, longest time in ms. Returns {status: registered | changed, surface_code, run_id}. SQLSTATE 23514: a value, actor or reason missing or wrong, or such a view; 2201B: no regular expression; 42710: it belongs to a migration. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_surface_unregister(p_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_run_id uuid;
BEGIN
  v_run_id := public.fn_iu_invariant_log('dot_iu_surface_unregister', p_code, p_actor, p_reason, jsonb_build_object('surface_code', p_code));
  DELETE FROM public.iu_regression_surface WHERE surface_code = p_code AND migration IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'surface "%" is not registered, or belongs to a migration', coalesce(p_code, '') USING ERRCODE = 'undefined_object';
  END IF;
  RETURN jsonb_build_object('status', 'unregistered', 'surface_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_surface_unregister(text, text, text) IS
  'Forgets a surface that somebody registered, and logs it; what snapshots hold of it stays. Code, who, why. Returns {status: unregistered, surface_code, run_id}. SQLSTATE 42704: not registered, or a migration''s; 23514: actor or reason missing. (design: Invariants and change windows)';

-- Snapshots ---------------------------------------------------------------------

CREATE TABLE public.iu_regression_snapshot (
  snapshot_label text        NOT NULL PRIMARY KEY,
  taken_at       timestamptz NOT NULL,
  taken_by       text        NOT NULL,
  session_role   name        NOT NULL DEFAULT session_user,
  CONSTRAINT iu_regression_snapshot_label_chk CHECK (snapshot_label ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$')
);
COMMENT ON TABLE public.iu_regression_snapshot IS
  'The snapshots, append-only. Those of a change window are called LABEL:before and LABEL:after. (design: Invariants and change windows)';
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
  'The figures of the snapshots, append-only, each with what its surface was registered as then. (design: Invariants and change windows)';
COMMENT ON COLUMN public.iu_regression_value.snapshot_label IS 'The snapshot; one reported from outside may be there before its snapshot is taken';
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
  'Declared changes of surfaces, append-only: of one surface the last that was declared before the snapshot after counts. (design: Invariants and change windows)';
COMMENT ON COLUMN public.iu_regression_expectation.expectation_seq IS 'Order of declaration';
COMMENT ON COLUMN public.iu_regression_expectation.before_label IS 'The snapshot from which it changes';
COMMENT ON COLUMN public.iu_regression_expectation.surface_code IS 'The surface; it may come with the change';
COMMENT ON COLUMN public.iu_regression_expectation.delta IS 'By how much; of a surface that is new, what it is';
COMMENT ON COLUMN public.iu_regression_expectation.value IS 'Or the figure after';
COMMENT ON COLUMN public.iu_regression_expectation.reason IS 'Why; shown in the matrix';
COMMENT ON COLUMN public.iu_regression_expectation.declared_by IS 'Who declared it, as told by the caller';
COMMENT ON COLUMN public.iu_regression_expectation.session_role IS 'Login role of who declared it';
COMMENT ON COLUMN public.iu_regression_expectation.declared_at IS 'When, by the clock; after the snapshot after it comes too late and does not count';

CREATE TRIGGER trg_iu_regression_snapshot_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_regression_snapshot
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_append_only();
CREATE TRIGGER trg_iu_regression_value_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_regression_value
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_append_only();
CREATE TRIGGER trg_iu_regression_expectation_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_regression_expectation
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_append_only();
ALTER TABLE public.iu_regression_snapshot ENABLE ALWAYS TRIGGER trg_iu_regression_snapshot_append_only;
ALTER TABLE public.iu_regression_value ENABLE ALWAYS TRIGGER trg_iu_regression_value_append_only;
ALTER TABLE public.iu_regression_expectation ENABLE ALWAYS TRIGGER trg_iu_regression_expectation_append_only;
COMMENT ON TRIGGER trg_iu_regression_snapshot_append_only ON public.iu_regression_snapshot IS 'A snapshot is not changed. (design: Invariants and change windows)';
COMMENT ON TRIGGER trg_iu_regression_value_append_only ON public.iu_regression_value IS 'A figure is not changed. (design: Invariants and change windows)';
COMMENT ON TRIGGER trg_iu_regression_expectation_append_only ON public.iu_regression_expectation IS 'A declaration is not changed. (design: Invariants and change windows)';

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
  'The change windows. A row is made once and closed once, and nothing else; one at a time is open. (design: Invariants and change windows)';
COMMENT ON COLUMN public.iu_change_window.window_label IS 'Its name: 1 to 100 letters, digits, "_", ".", "-"; never used twice';
COMMENT ON COLUMN public.iu_change_window.purpose IS 'What is to be changed';
COMMENT ON COLUMN public.iu_change_window.approval_id IS 'On whose approval, as a ticket has it';
COMMENT ON COLUMN public.iu_change_window.opened_by IS 'Who opened it, as told by the caller';
COMMENT ON COLUMN public.iu_change_window.opened_role IS 'Login role of who opened it';
COMMENT ON COLUMN public.iu_change_window.opened_at IS 'When its opening began, by the clock';
COMMENT ON COLUMN public.iu_change_window.migrations_before IS 'Migrations that were applied then';
COMMENT ON COLUMN public.iu_change_window.backup_file IS 'Where the backup of before is';
COMMENT ON COLUMN public.iu_change_window.backup_bytes IS 'Its size';
COMMENT ON COLUMN public.iu_change_window.backup_sha256 IS 'Its SHA-256 in hex';
COMMENT ON COLUMN public.iu_change_window.backup_check IS 'checked: the server read it; or as stated, and why the server could not';
COMMENT ON COLUMN public.iu_change_window.closed_by IS 'Who closed it, as told by the caller';
COMMENT ON COLUMN public.iu_change_window.closed_role IS 'Login role of who closed it';
COMMENT ON COLUMN public.iu_change_window.closed_at IS 'When, by the clock; NULL: it is open';
COMMENT ON COLUMN public.iu_change_window.migrations_after IS 'Migrations that are applied at its end';
COMMENT ON COLUMN public.iu_change_window.gates IS 'fn_iu_gate_verify_closed() at its end';
COMMENT ON COLUMN public.iu_change_window.invariants IS 'What a check of all invariants found at its end';
COMMENT ON COLUMN public.iu_change_window.impact IS 'What was stated of the layers PG, Directus, Nuxt, AgentData, Qdrant, by layer';
COMMENT ON COLUMN public.iu_change_window.not_touched IS 'What was stated not to have been touched';
COMMENT ON COLUMN public.iu_change_window.after_backup_file IS 'Where a backup of after is; NULL: none was stated';
COMMENT ON COLUMN public.iu_change_window.after_backup_bytes IS 'Its size';
COMMENT ON COLUMN public.iu_change_window.after_backup_sha256 IS 'Its SHA-256 in hex';
COMMENT ON COLUMN public.iu_change_window.after_backup_check IS 'As backup_check';
COMMENT ON COLUMN public.iu_change_window.verdict IS
  'FAIL: a surface was violated, or a critical invariant fails; UNKNOWN: no such thing is known, but not all is known; PASS: all is known and as it should be';
COMMENT ON COLUMN public.iu_change_window.verdict_reason IS 'Why, in words';

CREATE FUNCTION public.fn_iu_change_window_guard() RETURNS trigger
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
  RAISE EXCEPTION 'a change window is closed once, and not changed otherwise' USING ERRCODE = 'insufficient_privilege';
END
$function$;
COMMENT ON FUNCTION public.fn_iu_change_window_guard() IS
  'Trigger of iu_change_window: SQLSTATE 42501 for every change but closing it. (design: Invariants and change windows)';
CREATE TRIGGER trg_iu_change_window_guard BEFORE UPDATE OR DELETE ON public.iu_change_window
  FOR EACH ROW EXECUTE FUNCTION public.fn_iu_change_window_guard();
CREATE TRIGGER trg_iu_change_window_append_only BEFORE TRUNCATE ON public.iu_change_window
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_append_only();
ALTER TABLE public.iu_change_window ENABLE ALWAYS TRIGGER trg_iu_change_window_guard;
ALTER TABLE public.iu_change_window ENABLE ALWAYS TRIGGER trg_iu_change_window_append_only;
COMMENT ON TRIGGER trg_iu_change_window_guard ON public.iu_change_window IS 'Closed once, not changed otherwise. (design: Invariants and change windows)';
COMMENT ON TRIGGER trg_iu_change_window_append_only ON public.iu_change_window IS 'Nor emptied. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_surface_measure(p_surface public.iu_regression_surface, p_label text) RETURNS public.iu_regression_value
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
  v_value.error := CASE p_surface.kind WHEN 'view' THEN public.fn_iu_view_problem(p_surface.source) END;
  IF v_value.error IS NOT NULL THEN
    v_value.error_code := '42809';
    RETURN v_value;
  END IF;
  SELECT r.* INTO v_reading FROM public.fn_iu_read(format(
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
COMMENT ON FUNCTION public.fn_iu_surface_measure(public.iu_regression_surface, text) IS
  'For a snapshot: reads a surface once, within its time, and undoes what the reading did. Returns its row, not stored: the figure, or why it is unknown. Raises nothing but a cancel by somebody else (57014). (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_surface_measure_all(p_label text) RETURNS SETOF public.iu_regression_value
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_surface public.iu_regression_surface;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'a snapshot needs isolation level READ COMMITTED' USING ERRCODE = 'invalid_transaction_state',
      DETAIL = 'Figures of an older snapshot would stand beside what a remote holds now.';
  END IF;
  FOREACH v_surface IN ARRAY ARRAY(SELECT s FROM public.iu_regression_surface s WHERE s.kind <> 'external' ORDER BY s.sort_order, s.surface_code) LOOP
    RETURN NEXT public.fn_iu_surface_measure(v_surface, p_label);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_surface_measure_all(text) IS
  'For a snapshot: reads every surface that is not external, one after the other. Returns their rows, not stored. SQLSTATE 25000 outside of READ COMMITTED. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_surface_snapshot(p_label text, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_start  timestamptz := clock_timestamp();
  v_values public.iu_regression_value[];
BEGIN
  IF p_label IS NULL OR p_label !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$' OR p_label ~ ':(before|after)$' THEN
    RAISE EXCEPTION 'a snapshot has a label: 1 to 120 letters, digits, "_", ".", ":" or "-"' USING ERRCODE = 'check_violation',
      DETAIL = 'Labels that end in :before or :after are those of change windows.';
  ELSIF coalesce(btrim(p_actor), '') = '' THEN
    RAISE EXCEPTION 'actor required: say who takes the snapshot' USING ERRCODE = 'check_violation';
  ELSIF EXISTS (SELECT FROM public.iu_regression_snapshot s WHERE s.snapshot_label = p_label) THEN
    RAISE EXCEPTION 'snapshot "%" was taken already', p_label USING ERRCODE = 'duplicate_object';
  END IF;
  v_values := ARRAY(SELECT v FROM public.fn_iu_surface_measure_all(p_label) AS v);
  INSERT INTO public.iu_regression_snapshot (snapshot_label, taken_at, taken_by) VALUES (p_label, v_start, p_actor);
  INSERT INTO public.iu_regression_value SELECT v.* FROM unnest(v_values) AS v;
  RETURN jsonb_build_object('status', 'taken', 'label', p_label, 'surfaces', cardinality(v_values),
    'unknown', (SELECT coalesce(jsonb_agg(v.surface_code ORDER BY v.surface_code), '[]') FROM unnest(v_values) AS v WHERE v.value IS NULL));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_surface_snapshot(text, text) IS
  'Reads every surface and keeps the figures under a label: label, who. One that fails is unknown with its error; those reported from outside are added with fn_iu_surface_report. Each is read by itself: what changes meanwhile is in one and not in another. Returns {status: taken, label, surfaces, unknown: [codes]}. SQLSTATE 23514: label or actor; 42710: that snapshot was taken; 25000 outside of READ COMMITTED. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_surface_report(p_label text, p_code text, p_value text, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_surface public.iu_regression_surface;
  v_window  public.iu_change_window;
BEGIN
  SELECT s.* INTO v_surface FROM public.iu_regression_surface s WHERE s.surface_code = p_code AND s.kind = 'external';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'surface "%" is not one that is reported from outside', coalesce(p_code, '') USING ERRCODE = 'undefined_object',
      HINT = 'fn_iu_surface_register registers it, with kind external.';
  ELSIF coalesce(btrim(p_value), '') = '' OR length(p_value) > 200 OR coalesce(btrim(p_actor), '') = '' THEN
    RAISE EXCEPTION 'a figure of 1 to 200 characters is reported by somebody' USING ERRCODE = 'check_violation', HINT = 'Give p_value and p_actor.';
  END IF;
  SELECT w.* INTO v_window FROM public.iu_change_window w
   WHERE p_label IN (w.window_label || ':before', w.window_label || ':after') FOR KEY SHARE;
  IF FOUND AND v_window.closed_at IS NOT NULL THEN
    RAISE EXCEPTION 'change window "%" is closed', v_window.window_label USING ERRCODE = 'object_not_in_prerequisite_state',
      DETAIL = 'Its report does not change any more.';
  ELSIF NOT FOUND AND NOT EXISTS (SELECT FROM public.iu_regression_snapshot s WHERE s.snapshot_label = p_label) THEN
    RAISE EXCEPTION 'there is no snapshot "%"', coalesce(p_label, '') USING ERRCODE = 'undefined_object',
      HINT = 'Take it with fn_iu_surface_snapshot, or open a change window: then LABEL:before and LABEL:after can be reported.';
  ELSIF EXISTS (SELECT FROM public.iu_regression_value v WHERE v.snapshot_label = p_label AND v.surface_code = p_code) THEN
    RAISE EXCEPTION 'surface "%" of snapshot "%" was reported already', p_code, p_label USING ERRCODE = 'duplicate_object';
  END IF;
  INSERT INTO public.iu_regression_value (snapshot_label, surface_code, surface, layer, expectation, green_rule, sort_order, value, reported_by, read_at)
    VALUES (p_label, p_code, v_surface.label, v_surface.layer, v_surface.expectation, v_surface.green_rule, v_surface.sort_order, btrim(p_value),
            p_actor, clock_timestamp());
  RETURN jsonb_build_object('status', 'reported', 'label', p_label, 'surface_code', p_code, 'value', btrim(p_value));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_surface_report(text, text, text, text) IS
  'Adds a figure from outside, such as a test count, to a snapshot, once: label (that of a snapshot, or LABEL:before, LABEL:after of the window that is open), code of a surface of kind external, the figure, who. Returns {status: reported, label, surface_code, value}. SQLSTATE 42704: no such surface or snapshot; 42710: reported already; 55000: the window is closed; 23514: figure or actor missing. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_expect_delta(p_label text, p_code text, p_delta numeric, p_actor text, p_reason text, p_value text DEFAULT NULL) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_window public.iu_change_window;
  v_before text := p_label;
  v_run_id uuid;
BEGIN
  IF p_code IS NULL OR p_code !~ '^[a-z][a-z0-9_.:-]{0,119}$' THEN
    RAISE EXCEPTION 'a surface has a code: 1 to 120 small letters, digits, "_", ".", ":" or "-"' USING ERRCODE = 'check_violation';
  ELSIF num_nonnulls(p_delta, p_value) <> 1 OR p_delta IN ('NaN', 'Infinity', '-Infinity') THEN
    RAISE EXCEPTION 'either a delta is expected, or a value' USING ERRCODE = 'check_violation', HINT = 'Give p_delta, or NULL and p_value.';
  END IF;
  SELECT w.* INTO v_window FROM public.iu_change_window w WHERE p_label IN (w.window_label, w.window_label || ':before') FOR KEY SHARE;
  IF FOUND THEN
    IF v_window.closed_at IS NOT NULL THEN
      RAISE EXCEPTION 'change window "%" is closed', v_window.window_label USING ERRCODE = 'object_not_in_prerequisite_state',
        DETAIL = 'What is expected is declared before the change.';
    END IF;
    v_before := v_window.window_label || ':before';
  ELSIF NOT EXISTS (SELECT FROM public.iu_regression_snapshot s WHERE s.snapshot_label = p_label) THEN
    RAISE EXCEPTION 'there is no change window and no snapshot "%"', coalesce(p_label, '') USING ERRCODE = 'undefined_object';
  END IF;
  v_run_id := public.fn_iu_invariant_log('dot_iu_expect_delta', v_before, p_actor, p_reason,
    jsonb_build_object('before_label', v_before, 'surface_code', p_code, 'delta', p_delta, 'value', p_value));
  INSERT INTO public.iu_regression_expectation (before_label, surface_code, delta, value, reason, declared_by)
    VALUES (v_before, p_code, p_delta, p_value, p_reason, p_actor);
  RETURN jsonb_build_object('status', 'declared', 'before_label', v_before, 'surface_code', p_code, 'delta', p_delta, 'value', p_value, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_expect_delta(text, text, numeric, text, text, text) IS
  'Declares, before the change, what a surface will do: change window or snapshot before, surface (it may come with the change), by how much (of a new one: what it will be), who, why, or (with NULL as the delta) the figure after. Declared again, the last holds. Logged. Returns {status: declared, before_label, surface_code, delta, value, run_id}. SQLSTATE 42704: no such window or snapshot; 55000: the window is closed; 23514: code, delta or value, actor or reason. (design: Invariants and change windows)';

-- The matrix --------------------------------------------------------------------

CREATE FUNCTION public.fn_iu_regression_delta(p_before text, p_after text) RETURNS text
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
COMMENT ON FUNCTION public.fn_iu_regression_delta(text, text) IS
  'How a figure changed, for reading: +1, -3, 0; of each number where there are several, 10/10 to 11/11: +1/+1; changed, where more than numbers changed. NULL for NULL. Raises nothing. (seed 3: Regression matrix)';

CREATE FUNCTION public.fn_iu_regression_green(p_rule text, p_before text, p_after text) RETURNS boolean
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce(CASE
    WHEN p_rule = 'n/n' THEN CASE WHEN p_after ~ '^[0-9]{1,200} */ *[0-9]{1,200}$' THEN split_part(p_after, '/', 1)::numeric = split_part(p_after, '/', 2)::numeric END
    WHEN p_rule = 'not_less' THEN CASE WHEN p_after ~ '^-?[0-9]{1,200}(\.[0-9]{1,200})?$' AND p_before ~ '^-?[0-9]{1,200}(\.[0-9]{1,200})?$'
                                       THEN p_after::numeric >= p_before::numeric END
    WHEN p_rule LIKE '~%' THEN p_after ~ substr(p_rule, 2) END, false)
$function$;
COMMENT ON FUNCTION public.fn_iu_regression_green(text, text, text) IS
  'Whether a figure is green: rule of its surface, figure before, figure after. False where one is needed and NULL. SQLSTATE 2201B: the rule is no regular expression. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_regression_matrix(p_before text, p_after text)
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
    RAISE EXCEPTION 'there is no snapshot "%"', coalesce(CASE WHEN v_before IS NULL THEN p_before ELSE p_after END, '') USING ERRCODE = 'undefined_object';
  ELSIF v_before > v_after THEN
    RAISE EXCEPTION 'snapshot "%" was taken after "%"', p_before, p_after USING ERRCODE = 'check_violation';
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
           p.expectation = 'green' AND public.fn_iu_regression_green(p.green_rule, p.bv, p.av) AS green
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
              WHEN j.an = j.bn THEN '0' ELSE public.fn_iu_regression_delta(j.bv, j.av) END,
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
COMMENT ON FUNCTION public.fn_iu_regression_matrix(text, text) IS
  'Two snapshots compared: label before, label after. One row a surface: code, label, layer, figure before and after (n/a: it was not there; unknown: it could not be read, or was not reported), delta (+1, 0, new, gone, changed, ?), verdict, remark. expected: as declared, or it may change, or it is green; invariant kept: unchanged, as it should be; violated: changed, and not as declared, or not green; unknown: not both figures are known, it is new and nothing was declared, or it was read otherwise than before (another view or query) and nothing was declared. A surface is judged as it was registered before. Only what was declared before the snapshot after counts. SQLSTATE 42704: no such snapshot; 23514: in the wrong order. (seed 3: Regression matrix; design: Invariants and change windows)';

-- Change windows -----------------------------------------------------------------

CREATE FUNCTION public.fn_iu_backup_check(p_file text, p_bytes bigint, p_sha256 text, OUT bytes bigint, OUT sha256 text, OUT checked text)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_file record;
BEGIN
  IF coalesce(btrim(p_file), '') = '' THEN
    RAISE EXCEPTION 'a backup is a file: say which' USING ERRCODE = 'check_violation';
  ELSIF p_bytes < 1 OR p_sha256 !~ '^[0-9a-f]{64}$' THEN
    RAISE EXCEPTION 'a backup has a size of 1 byte or more, and a SHA-256 in lower-case hex' USING ERRCODE = 'check_violation';
  END IF;
  SELECT f.* INTO v_file FROM iu_core.file_digest(p_file) AS f;
  IF v_file.problem IS NULL THEN
    IF v_file.bytes = 0 THEN
      RAISE EXCEPTION 'backup "%" is empty', p_file USING ERRCODE = 'check_violation';
    ELSIF v_file.bytes <> p_bytes OR v_file.sha256 <> p_sha256 THEN
      RAISE EXCEPTION 'backup "%" is not the one that was stated', p_file USING ERRCODE = 'check_violation',
        DETAIL = format('It has %s bytes and SHA-256 %s.', v_file.bytes, v_file.sha256);
    END IF;
    bytes := v_file.bytes;
    sha256 := v_file.sha256;
    checked := 'checked';
  ELSIF p_bytes IS NULL OR p_sha256 IS NULL THEN
    RAISE EXCEPTION 'size and SHA-256 of backup "%" must be stated', p_file USING ERRCODE = 'check_violation',
      DETAIL = format('The server cannot see for itself: %s.', v_file.problem);
  ELSE
    bytes := p_bytes;
    sha256 := p_sha256;
    checked := 'as stated: ' || v_file.problem;
  END IF;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_backup_check(text, bigint, text) IS
  'For a change window: a backup, its size and SHA-256 as stated (NULL: not stated). Where the login role may have the server read the file, it is read and compared; otherwise what was stated stands, and why. SQLSTATE 23514: no file, an impossible size or digest, neither stated nor seen, empty, or not the one that was stated. (seed 3: Pointers; design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_change_window_open(
    p_label text, p_approval_id uuid, p_purpose text, p_actor text, p_backup_file text, p_backup_bytes bigint DEFAULT NULL, p_backup_sha256 text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_start  constant timestamptz := clock_timestamp();
  v_open   text := (SELECT w.window_label FROM public.iu_change_window w WHERE w.closed_at IS NULL);
  v_backup record;
  v_values public.iu_regression_value[];
  v_run_id uuid;
BEGIN
  IF p_label IS NULL OR p_label !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$' THEN
    RAISE EXCEPTION 'a change window has a label: 1 to 100 letters, digits, "_", "." or "-"' USING ERRCODE = 'check_violation';
  ELSIF p_approval_id IS NULL THEN
    RAISE EXCEPTION 'approval_id required (Điều 32)' USING ERRCODE = 'check_violation';
  ELSIF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_purpose), '') = '' THEN
    RAISE EXCEPTION 'a change window is opened by somebody for a purpose' USING ERRCODE = 'check_violation', HINT = 'Give p_purpose and p_actor.';
  ELSIF v_open IS NOT NULL THEN
    RAISE EXCEPTION 'change window "%" is open', v_open USING ERRCODE = 'object_in_use',
      DETAIL = 'One at a time: with two nobody could say in which of them a figure changed.', HINT = 'Close it with fn_iu_change_window_close.';
  ELSIF EXISTS (SELECT FROM public.iu_change_window w WHERE w.window_label = p_label) THEN
    RAISE EXCEPTION 'there was a change window "%" before', p_label USING ERRCODE = 'duplicate_object', HINT = 'Give another label.';
  END IF;
  SELECT b.* INTO v_backup FROM public.fn_iu_backup_check(p_backup_file, p_backup_bytes, p_backup_sha256) AS b;
  v_values := ARRAY(SELECT v FROM public.fn_iu_surface_measure_all(p_label || ':before') AS v);
  BEGIN
    INSERT INTO public.iu_change_window (window_label, purpose, approval_id, opened_by, opened_at, migrations_before, backup_file, backup_bytes, backup_sha256, backup_check)
      VALUES (p_label, p_purpose, p_approval_id, p_actor, v_start, ARRAY(SELECT m.version FROM iu_core.applied_migration m ORDER BY m.version),
              p_backup_file, v_backup.bytes, v_backup.sha256, v_backup.checked);
  EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'another change window was opened meanwhile' USING ERRCODE = 'object_in_use';
  END;
  INSERT INTO public.iu_regression_snapshot (snapshot_label, taken_at, taken_by) VALUES (p_label || ':before', v_start, p_actor);
  INSERT INTO public.iu_regression_value SELECT v.* FROM unnest(v_values) AS v;
  v_run_id := public.fn_iu_invariant_log('dot_iu_change_window_open', p_label, p_actor, p_purpose,
    jsonb_build_object('window_label', p_label, 'approval_id', p_approval_id, 'backup_file', p_backup_file, 'backup_sha256', v_backup.sha256,
      'backup_check', v_backup.checked));
  RETURN jsonb_build_object('status', 'opened', 'window_label', p_label, 'before_label', p_label || ':before', 'surfaces', cardinality(v_values),
    'unknown', (SELECT coalesce(jsonb_agg(v.surface_code ORDER BY v.surface_code), '[]') FROM unnest(v_values) AS v WHERE v.value IS NULL),
    'backup_bytes', v_backup.bytes, 'backup_sha256', v_backup.sha256, 'backup_check', v_backup.checked, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_change_window_open(text, uuid, text, text, text, bigint, text) IS
  'Opens a change window and takes the snapshot LABEL:before: label, approval, purpose, who, the backup''s file, its size in bytes and SHA-256 (may be left out where the login role may have the server read the file; then it is read in any case, and compared). It opens no gate. Returns {status: opened, window_label, before_label, surfaces, unknown: [codes], backup_bytes, backup_sha256, backup_check, run_id}. SQLSTATE 23514: label, approval, purpose, actor or backup missing or wrong; 55006: another one is open; 42710: the label was used; 25000 outside of READ COMMITTED. (seeds 0, 3; design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_change_window_close(
    p_label text, p_actor text, p_impact jsonb DEFAULT '{}', p_not_touched text[] DEFAULT '{}', p_allow_open_gates boolean DEFAULT false,
    p_backup_file text DEFAULT NULL, p_backup_bytes bigint DEFAULT NULL, p_backup_sha256 text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_start      timestamptz;
  v_window     public.iu_change_window;
  v_open       text;
  v_backup     record;
  v_invariants jsonb;
  v_failing    text;
  v_unsure     text;
  v_values     public.iu_regression_value[];
  v_matrix     record;
  v_verdict    text;
  v_reason     text;
  v_run_id     uuid;
BEGIN
  SELECT w.* INTO v_window FROM public.iu_change_window w WHERE w.window_label = p_label;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no change window "%"', coalesce(p_label, '') USING ERRCODE = 'undefined_object';
  ELSIF v_window.closed_at IS NOT NULL THEN
    RAISE EXCEPTION 'change window "%" is closed', p_label USING ERRCODE = 'object_not_in_prerequisite_state';
  ELSIF coalesce(btrim(p_actor), '') = '' OR p_allow_open_gates IS NULL OR p_not_touched IS NULL OR array_position(p_not_touched, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'a change window is closed by somebody; nothing but the backup may be NULL' USING ERRCODE = 'check_violation', HINT = 'Give p_actor.';
  ELSIF p_impact IS NULL OR jsonb_typeof(p_impact) <> 'object'
        OR EXISTS (SELECT FROM jsonb_each(p_impact) AS i WHERE i.key NOT IN ('PG', 'Directus', 'Nuxt', 'AgentData', 'Qdrant') OR jsonb_typeof(i.value) <> 'string') THEN
    RAISE EXCEPTION 'p_impact has a sentence for each layer' USING ERRCODE = 'check_violation', DETAIL = 'Layers: PG, Directus, Nuxt, AgentData, Qdrant.';
  END IF;
  IF p_backup_file IS NOT NULL THEN
    SELECT b.* INTO v_backup FROM public.fn_iu_backup_check(p_backup_file, p_backup_bytes, p_backup_sha256) AS b;
  ELSE
    SELECT NULL::bigint AS bytes, NULL::text AS sha256, NULL::text AS checked INTO v_backup;
  END IF;

  -- After all that was before it, though the clock was set back meanwhile.
  v_start := greatest(clock_timestamp(), v_window.opened_at,
    (SELECT max(e.declared_at) + interval '1 us' FROM public.iu_regression_expectation e WHERE e.before_label = p_label || ':before'));
  v_values := ARRAY(SELECT v FROM public.fn_iu_surface_measure_all(p_label || ':after') AS v);
  -- Last, since it locks what it records.
  SELECT coalesce(jsonb_agg(to_jsonb(r) - ARRAY['run_seq', 'asked_by', 'session_role', 'error_code'] || jsonb_build_object('severity', i.severity) ORDER BY r.invariant_code), '[]'),
         string_agg(r.invariant_code, ', ' ORDER BY r.invariant_code) FILTER (WHERE r.verdict = 'fail' AND i.severity = 'critical'),
         string_agg(r.invariant_code, ', ' ORDER BY r.invariant_code) FILTER (WHERE r.verdict = 'unknown' AND i.severity = 'critical')
    INTO v_invariants, v_failing, v_unsure
    FROM public.fn_iu_invariant_check_as(NULL, 'window') AS r JOIN public.iu_invariant i ON i.invariant_code = r.invariant_code;

  PERFORM FROM public.iu_change_window w WHERE w.window_label = p_label AND w.closed_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'change window "%" is closed', p_label USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  -- Not before the figures: one may have been opened while they were read.
  SELECT string_agg(format('%s: %s', g.gate_key, g.reason), '; ' ORDER BY g.gate_key) INTO v_open FROM public.v_iu_gate g WHERE g.value = 'true' OR g.effective;
  IF v_open IS NOT NULL AND NOT p_allow_open_gates THEN
    RAISE EXCEPTION 'change window "%" is not closed: a gate is open', p_label USING ERRCODE = 'object_in_use', DETAIL = v_open,
      HINT = 'Close it with fn_iu_gate_close, or pass p_allow_open_gates => true; the report will say so.';
  END IF;
  INSERT INTO public.iu_regression_snapshot (snapshot_label, taken_at, taken_by) VALUES (p_label || ':after', v_start, p_actor);
  -- What was not reported is unknown from now on, whatever becomes of the surface.
  INSERT INTO public.iu_regression_value (snapshot_label, surface_code, surface, layer, expectation, green_rule, sort_order, error, read_at)
    SELECT n.snapshot_label, s.surface_code, s.label, s.layer, s.expectation, s.green_rule, s.sort_order, 'not reported', clock_timestamp()
      FROM public.iu_regression_surface s
      JOIN public.iu_regression_snapshot n ON n.snapshot_label IN (p_label || ':before', p_label || ':after') AND s.registered_at <= n.taken_at
     WHERE s.kind = 'external'
    ON CONFLICT (snapshot_label, surface_code) DO NOTHING;
  INSERT INTO public.iu_regression_value SELECT v.* FROM unnest(v_values) AS v;

  SELECT count(*) AS surfaces, string_agg(m.surface, ', ') FILTER (WHERE m.verdict = 'violated') AS violated,
         string_agg(m.surface, ', ') FILTER (WHERE m.verdict = 'unknown') AS unknown
    INTO v_matrix FROM public.fn_iu_regression_matrix(p_label || ':before', p_label || ':after') AS m;
  v_verdict := CASE WHEN v_matrix.violated IS NOT NULL OR v_failing IS NOT NULL THEN 'FAIL'
                    WHEN v_matrix.unknown IS NOT NULL OR v_unsure IS NOT NULL THEN 'UNKNOWN' ELSE 'PASS' END;
  v_reason := coalesce(nullif(concat_ws('; ', 'violated: ' || v_matrix.violated, 'failing invariants: ' || v_failing, 'unknown: ' || v_matrix.unknown,
    'unknown invariants: ' || v_unsure), ''), format('%s surfaces and %s invariants as they should be', v_matrix.surfaces, jsonb_array_length(v_invariants)))
    || coalesce('; closed with open gates: ' || v_open, '')
    || coalesce('; disabled, so not checked: ' || (SELECT string_agg(i.invariant_code, ', ' ORDER BY i.invariant_code) FROM public.iu_invariant i WHERE NOT i.enabled), '');
  UPDATE public.iu_change_window
     SET closed_by = p_actor, closed_role = session_user, closed_at = clock_timestamp(), gates = public.fn_iu_gate_verify_closed(p_actor),
         migrations_after = ARRAY(SELECT m.version FROM iu_core.applied_migration m ORDER BY m.version), invariants = v_invariants, impact = p_impact,
         not_touched = p_not_touched, verdict = v_verdict, verdict_reason = v_reason, after_backup_file = p_backup_file,
         after_backup_bytes = v_backup.bytes, after_backup_sha256 = v_backup.sha256, after_backup_check = v_backup.checked
   WHERE window_label = p_label;
  v_run_id := public.fn_iu_invariant_log('dot_iu_change_window_close', p_label, p_actor, v_window.purpose,
    jsonb_build_object('window_label', p_label, 'verdict', v_verdict, 'verdict_reason', v_reason));
  RETURN jsonb_build_object('status', 'closed', 'window_label', p_label, 'after_label', p_label || ':after', 'verdict', v_verdict, 'verdict_reason', v_reason, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_change_window_close(text, text, jsonb, text[], boolean, text, bigint, text) IS
  'Closes a change window: checks all invariants, takes the snapshot LABEL:after, compares, and gives the verdict. Label, who, what is stated of the layers ({layer: sentence}; PG, Directus, Nuxt, AgentData, Qdrant), what was not touched, whether gates may be open, and a backup of after (as in fn_iu_change_window_open; NULL: none). Figures from outside are reported before. An invariant that is disabled is not checked, and the reason of the verdict names it. Returns {status: closed, window_label, after_label, verdict: PASS | FAIL | UNKNOWN, verdict_reason, run_id}. SQLSTATE 42704: no such window; 55000: closed already; 55006: a gate is open, and nobody said it may; 23514: an argument; 25000 outside of READ COMMITTED. (seeds 0, 3; design: Invariants and change windows)';

CREATE VIEW public.v_iu_change_window AS
  SELECT w.window_label, CASE WHEN w.closed_at IS NULL THEN 'open' ELSE 'closed' END AS state, w.purpose, w.approval_id, w.opened_by, w.opened_at,
         w.closed_by, w.closed_at, w.verdict, w.verdict_reason, w.backup_file, w.backup_sha256, w.backup_check
    FROM public.iu_change_window w;
COMMENT ON VIEW public.v_iu_change_window IS
  'The change windows: open or closed, what for, on which approval, by whom and when, the verdict and why, the backup and whether the server has checked it. (design: Invariants and change windows)';

-- The report ---------------------------------------------------------------------

CREATE FUNCTION public.fn_iu_markdown_text(p_text text) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN replace(regexp_replace(translate(p_text, E'\r\n', '  '), '([\\|`])', '\\\1', 'g'), '<', '&lt;');
COMMENT ON FUNCTION public.fn_iu_markdown_text(text) IS
  'What somebody wrote, as it is, in one line of Markdown. NULL for NULL. Raises nothing. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_markdown_row(VARIADIC p_cells text[]) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN '| ' || array_to_string(ARRAY(SELECT public.fn_iu_markdown_text(coalesce(nullif(c.cell, ''), '-')) FROM unnest(p_cells) WITH ORDINALITY AS c (cell, n) ORDER BY c.n), ' | ') || ' |';
COMMENT ON FUNCTION public.fn_iu_markdown_row(text[]) IS
  'A row of a Markdown table; a NULL is "-". Raises nothing. (design: Invariants and change windows)';

CREATE FUNCTION public.fn_iu_change_report(p_label text) RETURNS text
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
    RAISE EXCEPTION 'there is no change window "%"', coalesce(p_label, '') USING ERRCODE = 'undefined_object', HINT = 'v_iu_change_window lists them.';
  END IF;
  v_closed := v_window.closed_at IS NOT NULL;
  v_until := coalesce(v_window.closed_at, clock_timestamp());
  v_now := coalesce(v_window.migrations_after, ARRAY(SELECT m.version FROM iu_core.applied_migration m ORDER BY m.version));
  v_gates := coalesce(v_window.gates, public.fn_iu_gate_verify_closed(NULL));

  v_text := concat_ws(E'\n',
    format('# Change window %s', p_label), '',
    format('**Verdict: %s.** %s', coalesce(v_window.verdict, 'OPEN'), coalesce(public.fn_iu_markdown_text(v_window.verdict_reason), 'the window is open; figures after it are not taken yet') || '.'), '',
    format('- Purpose: %s', public.fn_iu_markdown_text(v_window.purpose)),
    format('- Approval: %s', v_window.approval_id),
    format('- Opened: %s UTC by %s (login role %s)', to_char(v_window.opened_at, c_time), public.fn_iu_markdown_text(v_window.opened_by), public.fn_iu_markdown_text(v_window.opened_role)),
    CASE WHEN v_closed THEN format('- Closed: %s UTC by %s (login role %s)', to_char(v_window.closed_at, c_time), public.fn_iu_markdown_text(v_window.closed_by), public.fn_iu_markdown_text(v_window.closed_role))
         ELSE '- Closed: not yet' END,
    format('- Gates at the end: %s', CASE WHEN (v_gates ->> 'all_safe')::boolean THEN 'all closed' ELSE 'NOT all closed: '
      || (SELECT public.fn_iu_markdown_text(string_agg(format('%s (%s)', g ->> 'gate_key', g ->> 'reason'), ', ')) FROM jsonb_array_elements(v_gates -> 'gates') AS g
           WHERE NOT (g ->> 'is_safe')::boolean) END), '');

  -- The matrix.
  IF v_closed THEN
    v_rows := (SELECT jsonb_agg(to_jsonb(m)) FROM public.fn_iu_regression_matrix(v_before, v_after) AS m);
    SELECT string_agg(public.fn_iu_markdown_row(m.surface, m.before, m.after, m.delta, CASE m.verdict
               WHEN 'invariant kept' THEN 'invariant ✓'
               WHEN 'expected' THEN CASE WHEN m.remark ~ '^green' THEN 'green ✓' || coalesce(' (' || nullif(substr(m.remark, 8), '') || ')', '')
                                         ELSE 'expected' || coalesce(' (' || m.remark || ')', '') END
               WHEN 'violated' THEN '**VIOLATED**' || coalesce(': ' || m.remark, '')
               ELSE '**unknown**' || coalesce(': ' || m.remark, '') END), E'\n' ORDER BY m.n),
           string_agg(m.surface || ' (' || m.after || ')', ', ' ORDER BY m.n) FILTER (WHERE m.verdict = 'invariant kept')
      INTO v_matrix, v_kept
      FROM ROWS FROM (jsonb_to_recordset(v_rows) AS (surface text, layer text, before text, after text, delta text, verdict text, remark text))
           WITH ORDINALITY AS m (surface, layer, before, after, delta, verdict, remark, n);
  ELSE
    SELECT string_agg(public.fn_iu_markdown_row(v.surface, coalesce(v.value, 'unknown: ' || v.error), NULL, NULL, coalesce((
             SELECT format('expected %s (%s)', coalesce(CASE WHEN e.delta > 0 THEN '+' ELSE '' END || e.delta, e.value), e.reason)
               FROM public.iu_regression_expectation e WHERE e.before_label = v_before AND e.surface_code = v.surface_code
              ORDER BY e.expectation_seq DESC LIMIT 1), CASE v.expectation WHEN 'invariant' THEN 'expected 0' WHEN 'green' THEN 'expected green' ELSE 'may change' END)),
             E'\n' ORDER BY v.sort_order, v.surface_code)
      INTO v_matrix FROM public.iu_regression_value v WHERE v.snapshot_label = v_before;
  END IF;
  v_text := concat_ws(E'\n', v_text, '## Regression matrix', '', '| Surface | Before | After | Delta | Verdict |', '| --- | --- | --- | --- | --- |',
    coalesce(v_matrix, '| no surface is registered | | | | |'), '');

  -- The five layers: what the figures say, then what was stated.
  SELECT string_agg(public.fn_iu_markdown_row(l.layer, concat_ws('; ',
           CASE l.layer WHEN 'PG' THEN (SELECT 'migrations applied: ' || string_agg(lpad(a::text, 3, '0'), ', ' ORDER BY a) FROM unnest(v_now) AS a WHERE a <> ALL (v_window.migrations_before)) END,
           CASE l.layer WHEN 'PG' THEN (SELECT 'migrations rolled back: ' || string_agg(lpad(a::text, 3, '0'), ', ' ORDER BY a) FROM unnest(v_window.migrations_before) AS a WHERE a <> ALL (v_now)) END,
           nullif(m.known, ''), 'stated: ' || (v_window.impact ->> l.layer),
           CASE WHEN v_window.impact ->> l.layer IS NULL THEN 'not stated' END)), E'\n' ORDER BY l.n)
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
    coalesce((SELECT string_agg(public.fn_iu_markdown_row(i ->> 'invariant_code', i ->> 'severity', i ->> 'left_value', i ->> 'right_value',
                CASE i ->> 'verdict' WHEN 'pass' THEN 'pass ✓' ELSE format('**%s**: %s', i ->> 'verdict', i ->> 'detail') END), E'\n' ORDER BY i ->> 'invariant_code')
                FROM jsonb_array_elements(v_window.invariants) AS i), CASE WHEN v_closed THEN '| none is registered | | | | |' ELSE '| not checked yet | | | | |' END), '',
    public.fn_iu_gate_ledger_excerpt(least(v_window.opened_at, v_until), greatest(v_window.opened_at, v_until)), '',
    '## Commands', '', '| Command | Mode | Status | Actor | Runs | First (UTC) | Last (UTC) |', '| --- | --- | --- | --- | --- | --- | --- |',
    coalesce((SELECT string_agg(public.fn_iu_markdown_row(c.command_name, c.run_mode, c.run_status, c.actor, c.runs::text, to_char(c.first, c_time), to_char(c.last, c_time)), E'\n' ORDER BY c.first, c.command_name)
                FROM (SELECT r.command_name, r.run_mode, r.run_status, r.actor, count(*) AS runs, min(r.created_at) AS first, max(r.created_at) AS last
                        FROM public.dot_iu_command_run r WHERE r.created_at BETWEEN SYMMETRIC v_window.opened_at AND v_until
                       GROUP BY r.command_name, r.run_mode, r.run_status, r.actor) AS c), '| none | | | | | | |'), '',
    '## Migrations', '',
    coalesce((SELECT string_agg(format('- %s %s, undone by `rollback/%1$s_%2$s.rollback.sql`', lpad(a.version::text, 3, '0'), a.name), E'\n' ORDER BY a.version)
                FROM unnest(v_now) AS n (version) JOIN iu_core.migrations a USING (version) WHERE n.version <> ALL (v_window.migrations_before)), '- none was applied'),
    (SELECT '- rolled back: ' || string_agg(lpad(a::text, 3, '0'), ', ' ORDER BY a) FROM unnest(v_window.migrations_before) AS a WHERE a <> ALL (v_now)), '',
    '## Not touched', '',
    coalesce((SELECT string_agg('- ' || public.fn_iu_markdown_text(t.what), E'\n' ORDER BY t.n) FROM unnest(v_window.not_touched) WITH ORDINALITY AS t (what, n)), '- not stated'),
    '- by the figures: ' || public.fn_iu_markdown_text(v_kept), '',
    '## Pointers', '',
    format('- Backup before: %s, %s bytes, sha256 %s (%s)', public.fn_iu_markdown_text(v_window.backup_file), v_window.backup_bytes, v_window.backup_sha256,
      public.fn_iu_markdown_text(v_window.backup_check)),
    CASE WHEN v_window.after_backup_file IS NOT NULL THEN format('- Backup after: %s, %s bytes, sha256 %s (%s)', public.fn_iu_markdown_text(v_window.after_backup_file),
           v_window.after_backup_bytes, v_window.after_backup_sha256, public.fn_iu_markdown_text(v_window.after_backup_check)) ELSE '- Backup after: not stated' END,
    format('- Snapshots: %s%s', v_before, CASE WHEN v_closed THEN ', ' || v_after END));
  RETURN v_text || E'\n';
END
$function$;
COMMENT ON FUNCTION public.fn_iu_change_report(text) IS
  'The report of a change window as Markdown, times in UTC: verdict, regression matrix, five-layer impact (what the figures say, then what was stated, or "not stated"), invariants, gate ledger with its verification, commands, migrations with their rollback scripts, what was not touched, backups with SHA-256. Of a closed window it tells what was kept at its closing, and what the ledgers, which nobody changes, have of its time; of an open one how it stands. Argument: its label. SQLSTATE 42704: no such window. (seeds 0 to 3; facts-events 6; design: Invariants and change windows)';

-- Privileges, rows, registration, post-check ----------------------------------------

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_surface_register',    'health', true,  true,  ARRAY['fn_iu_surface_register']),
  ('dot_iu_surface_unregister',  'health', true,  true,  ARRAY['fn_iu_surface_unregister']),
  ('dot_iu_expect_delta',        'health', true,  false, ARRAY['fn_iu_expect_delta']),
  ('dot_iu_change_window_open',  'health', true,  true,  ARRAY['fn_iu_change_window_open']),
  ('dot_iu_change_window_close', 'health', true,  false, ARRAY['fn_iu_change_window_close']),
  ('dot_iu_change_report',       'read',   false, true,  ARRAY['fn_iu_change_report']);

SELECT public.fn_iu_surface_define(9, 'event_outbox_iu', 'event_outbox (iu domain)', 'query',
  $$SELECT count(*) FROM public.event_outbox WHERE event_domain = 'iu'$$, 'any', p_sort_order => 500);
SELECT public.fn_iu_surface_define(9, 'event_outbox_system', 'event_outbox (system domain)', 'query',
  $$SELECT count(*) FROM public.event_outbox WHERE event_domain = 'system'$$, p_sort_order => 501);
SELECT public.fn_iu_surface_define(9, 'iu_gates_inert', 'IU Core write gates inert', 'query',
  $$SELECT count(*) FILTER (WHERE g.is_safe) || '/' || count(*) FROM public.v_iu_gate g$$, 'green', 'n/n', p_sort_order => 800);
SELECT public.fn_iu_surface_define(9, 'iu_conformance', 'D9 conformance', 'query',
  $$SELECT concat(sum(c.expected), ' / ', count(*) FILTER (WHERE c.ok), ' PASS', ' / ' || nullif(count(*) FILTER (WHERE NOT c.ok), 0) || ' FAIL') FROM public.v_iu_conformance c$$,
  'green', '~^[0-9]+ / [0-9]+ PASS$', p_sort_order => 900);

GRANT SELECT ON public.iu_regression_surface, public.iu_regression_snapshot, public.iu_regression_value, public.iu_regression_expectation,
  public.iu_change_window, public.v_iu_change_window TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_regression_matrix(text, text), public.fn_iu_change_report(text) TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_surface_snapshot(text, text), public.fn_iu_surface_report(text, text, text, text),
  public.fn_iu_expect_delta(text, text, numeric, text, text, text), public.fn_iu_change_window_open(text, uuid, text, text, text, bigint, text),
  public.fn_iu_change_window_close(text, text, jsonb, text[], boolean, text, bigint, text) TO iu_core_operator;
GRANT EXECUTE ON FUNCTION public.fn_iu_surface_register(text, text, text, text, text, text, regclass, text, text, integer, integer),
  public.fn_iu_surface_unregister(text, text, text) TO iu_core_admin;

SELECT public.fn_iu_govern(9, 'table', 'iu_regression_surface', 'iu_regression_snapshot', 'iu_regression_value', 'iu_regression_expectation', 'iu_change_window');
SELECT public.fn_iu_govern(9, 'view', 'v_iu_change_window');
SELECT public.fn_iu_govern(9, 'function', 'fn_iu_surface_put(public.iu_regression_surface)',
  'fn_iu_surface_define(integer,text,text,text,text,text,text,text,integer,integer)', 'fn_iu_surface_undefine(integer)',
  'fn_iu_surface_register(text,text,text,text,text,text,regclass,text,text,integer,integer)', 'fn_iu_surface_unregister(text,text,text)',
  'fn_iu_surface_measure(public.iu_regression_surface,text)', 'fn_iu_surface_measure_all(text)',
  'fn_iu_surface_snapshot(text,text)', 'fn_iu_surface_report(text,text,text,text)', 'fn_iu_expect_delta(text,text,numeric,text,text,text)',
  'fn_iu_regression_delta(text,text)', 'fn_iu_regression_green(text,text,text)', 'fn_iu_regression_matrix(text,text)',
  'fn_iu_change_window_guard()', 'fn_iu_backup_check(text,bigint,text)',
  'fn_iu_change_window_open(text,uuid,text,text,text,bigint,text)',
  'fn_iu_change_window_close(text,text,jsonb,text[],boolean,text,bigint,text)', 'fn_iu_markdown_text(text)', 'fn_iu_markdown_row(text[])', 'fn_iu_change_report(text)');
SELECT public.fn_iu_govern(9, 'trigger', 'trg_iu_regression_snapshot_append_only ON iu_regression_snapshot',
  'trg_iu_regression_value_append_only ON iu_regression_value', 'trg_iu_regression_expectation_append_only ON iu_regression_expectation',
  'trg_iu_change_window_guard ON iu_change_window', 'trg_iu_change_window_append_only ON iu_change_window');

DO $check$
DECLARE
  v_unknown text;
BEGIN
  SELECT string_agg(format('%s: %s', v.surface_code, v.error), '; ') INTO v_unknown FROM public.fn_iu_surface_measure_all('migration 009') AS v WHERE v.value IS NULL;
  IF v_unknown IS NOT NULL THEN
    RAISE EXCEPTION 'migration 009 brought a surface that cannot be read' USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = v_unknown;
  END IF;
END
$check$;
SELECT public.fn_iu_conformance_require(9);
