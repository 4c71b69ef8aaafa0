-- 009: what a change did, as figures before and after, and the report of it.
--
-- A surface is a figure with a name: read by a view or a query, or reported from
-- outside. A snapshot keeps all of them under a label; a matrix compares two; a
-- change window is two snapshots and what lies between them: approval, backup,
-- gates, commands, migrations, verdict. Its report is Markdown.
--
-- One window at a time: a figure belongs to the whole database, so with two
-- windows open nobody could say in which of them it changed.
--
-- A surface is read like an invariant: in a subtransaction that is undone, in
-- its time; what fails is unknown and says why, and is never a number.

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
  CONSTRAINT iu_regression_surface_label_chk CHECK (
    btrim(label) <> '' AND btrim(registered_by) <> '' AND btrim(reason) <> ''),
  CONSTRAINT iu_regression_surface_layer_chk CHECK (layer IN ('PG', 'Directus', 'Nuxt', 'AgentData', 'Qdrant')),
  CONSTRAINT iu_regression_surface_kind_chk CHECK (
    kind IN ('view', 'query', 'external') AND (kind = 'external') = (source IS NULL)
    AND (kind <> 'query' OR migration IS NOT NULL)),
  CONSTRAINT iu_regression_surface_expectation_chk CHECK (expectation IN ('invariant', 'any', 'green')),
  CONSTRAINT iu_regression_surface_green_chk CHECK ((expectation = 'green') = (green_rule IS NOT NULL)
    AND (green_rule IN ('n/n', 'not_less') OR green_rule ~ '^~.')),
  CONSTRAINT iu_regression_surface_timeout_chk CHECK (timeout_ms BETWEEN 1 AND 60000)
);
COMMENT ON TABLE public.iu_regression_surface IS
  'The figures that a change is judged by. Written by fn_iu_surface_register and _unregister, and by migrations.';
COMMENT ON COLUMN public.iu_regression_surface.surface_code IS
  'Its name: 1 to 120 small letters, digits, "_", ".", ":", "-"';
COMMENT ON COLUMN public.iu_regression_surface.label IS 'What the matrix calls it';
COMMENT ON COLUMN public.iu_regression_surface.layer IS
  'PG, Directus, Nuxt, AgentData or Qdrant: whose figure it is';
COMMENT ON COLUMN public.iu_regression_surface.kind IS
  'view: column value of a view with one row; query: the one value of a query that a migration brought; external: '
  'reported with fn_iu_surface_report';
COMMENT ON COLUMN public.iu_regression_surface.source IS
  'Name of the view, qualified, or the query; NULL: external';
COMMENT ON COLUMN public.iu_regression_surface.expectation IS
  'What a change may do to it, unless a delta was declared: invariant: nothing; any: anything; green: the figure '
  'after must be green';
COMMENT ON COLUMN public.iu_regression_surface.green_rule IS
  'When it is green: n/n: two numbers around "/" that are the same; not_less: a number, not less than before; ~ '
  'and a regular expression: it matches';
COMMENT ON COLUMN public.iu_regression_surface.sort_order IS 'Order in the matrix';
COMMENT ON COLUMN public.iu_regression_surface.timeout_ms IS
  'Longest time of one reading, 1 to 60000 ms; beyond it the figure is unknown';
COMMENT ON COLUMN public.iu_regression_surface.migration IS
  'The migration that brought it; NULL: somebody registered it';
COMMENT ON COLUMN public.iu_regression_surface.registered_by IS 'Who registered it, as told by the caller';
COMMENT ON COLUMN public.iu_regression_surface.session_role IS 'Login role of who registered it';
COMMENT ON COLUMN public.iu_regression_surface.reason IS 'Why';
COMMENT ON COLUMN public.iu_regression_surface.registered_at IS
  'When it was registered first, by the clock: in a snapshot before that it is n/a';

CREATE FUNCTION iu.fn_iu_surface_require(p_surface public.iu_regression_surface) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_rule CONSTANT text := p_surface.green_rule;
BEGIN
  PERFORM iu.fn_iu_require_value(p_surface.surface_code ~ '^[a-z][a-z0-9_.:-]{0,119}$', 'iu_surface_code', 'p_code',
    '1 to 120 small letters, digits, "_", ".", ":" or "-", with a letter first', p_surface.surface_code);
  PERFORM iu.fn_iu_require_text('iu_surface_label', 'p_label', 'a text', p_surface.label, false);
  PERFORM iu.fn_iu_require_form('p_green_rule', v_rule, true);
  PERFORM iu.fn_iu_require_value(p_surface.layer IN ('PG', 'Directus', 'Nuxt', 'AgentData', 'Qdrant'),
    'iu_surface_layer', 'p_layer', 'PG, Directus, Nuxt, AgentData or Qdrant', p_surface.layer);
  PERFORM iu.fn_iu_require_value(p_surface.expectation IN ('invariant', 'any', 'green'), 'iu_surface_expectation',
    'p_expectation', 'invariant, any or green', p_surface.expectation);
  PERFORM iu.fn_iu_require_value(
    CASE p_surface.expectation WHEN 'green' THEN v_rule IN ('n/n', 'not_less') OR v_rule ~ '^~.'
                               ELSE v_rule IS NULL END, 'iu_surface_green_rule', 'p_green_rule',
    'n/n, not_less, or "~" and a regular expression for a surface that is to be green, and NULL for any other',
    v_rule);
  PERFORM iu.fn_iu_require_value(p_surface.timeout_ms BETWEEN 1 AND 60000, 'iu_surface_timeout_ms', 'p_timeout_ms',
    'from 1 to 60000', p_surface.timeout_ms::text);
  PERFORM iu.fn_iu_require_value(p_surface.sort_order IS NOT NULL, 'iu_surface_sort_order', 'p_sort_order',
    'a number', NULL);
  IF starts_with(v_rule, '~') THEN
    PERFORM '' ~ substr(v_rule, 2);     -- raises 2201B here, not at the first snapshot
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_require IS
  'Refuses a surface with a value that is missing or wrong. SQLSTATE 23514; 2201B: the rule is no regular expression.';

CREATE FUNCTION iu.fn_iu_surface_put(p_surface public.iu_regression_surface) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_before public.iu_regression_surface;
BEGIN
  PERFORM iu.fn_iu_surface_require(p_surface);
  SELECT s.* INTO v_before
    FROM public.iu_regression_surface s WHERE s.surface_code = p_surface.surface_code FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO public.iu_regression_surface SELECT (p_surface).*;
    RETURN 'registered';
  ELSIF v_before.migration IS DISTINCT FROM p_surface.migration THEN
    RAISE duplicate_object USING
      MESSAGE = format('surface "%s" belongs to %s', v_before.surface_code,
                       coalesce('migration ' || v_before.migration, v_before.registered_by)),
      DETAIL = format('Surface: %s; owner: %s.',
                      v_before.surface_code, coalesce('migration ' || v_before.migration, v_before.registered_by)),
      HINT = 'Give another code.', CONSTRAINT = 'iu_surface_owner';
  END IF;
  UPDATE public.iu_regression_surface
     SET label = p_surface.label, layer = p_surface.layer, kind = p_surface.kind, source = p_surface.source,
         expectation = p_surface.expectation, green_rule = p_surface.green_rule, sort_order = p_surface.sort_order,
         timeout_ms = p_surface.timeout_ms, registered_by = p_surface.registered_by, session_role = session_user,
         reason = p_surface.reason
   WHERE surface_code = p_surface.surface_code;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_regression_surface s WHERE s.surface_code = p_surface.surface_code
              AND (s.kind, s.expectation, s.timeout_ms)
                  = (p_surface.kind, p_surface.expectation, p_surface.timeout_ms)),
    'public.iu_regression_surface', 'changing the surface');
  RETURN 'changed';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_put IS
  'For registration: makes or changes a surface. Returns registered or changed. SQLSTATE 23514: a value is '
  'missing or wrong; 2201B: the rule is no regular expression; 42710: it belongs to a migration, or to another '
  'one.';

CREATE FUNCTION iu.fn_iu_surface_define(
    p_migration integer, p_code text, p_label text, p_kind text, p_source text,
    p_expectation text DEFAULT 'invariant', p_green_rule text DEFAULT NULL, p_layer text DEFAULT 'PG',
    p_sort_order integer DEFAULT 100, p_timeout_ms integer DEFAULT 10000)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_surface_put(ROW(
    p_code, p_label, p_layer, p_kind, p_source, p_expectation, p_green_rule, p_sort_order, p_timeout_ms, p_migration,
    format('migration %s', lpad(p_migration::text, 3, '0')), session_user, p_label,
    clock_timestamp())::public.iu_regression_surface);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_define IS
  'For migrations: brings a surface: number of the migration, code, label, kind (view, query, external), name of '
  'the view or text of the query (NULL: external), expectation (invariant, any, green), rule of green, layer, '
  'order in the matrix, longest time in ms. A query is run as iu_core_owner. Errors: as fn_iu_surface_put.';

CREATE FUNCTION iu.fn_iu_surface_undefine(p_migration integer) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
AS $function$
  DELETE FROM public.iu_regression_surface WHERE migration = p_migration
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_undefine IS
  'For rollbacks: removes the surfaces of a migration; what snapshots hold of them stays. Raises nothing of its '
  'own.';

CREATE FUNCTION iu.fn_iu_surface_register(
    p_code text, p_label text, p_kind text, p_expectation text, p_actor text, p_reason text, p_view regclass,
    p_green_rule text, p_layer text, p_sort_order integer, p_timeout_ms integer)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_view    CONSTANT text := (SELECT format('%I.%I', n.nspname, c.relname)
                                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = p_view);
  v_problem text;
  v_status  text;
  v_run_id  uuid;
BEGIN
  PERFORM iu.fn_iu_require_value(
    CASE p_kind WHEN 'view' THEN p_view IS NOT NULL WHEN 'external' THEN p_view IS NULL END, 'iu_surface_kind',
    'p_kind', 'view, with p_view, or external, without (those of kind query come with migrations)', p_kind);
  IF p_view IS NOT NULL THEN
    v_problem := coalesce(iu.fn_iu_view_problem(p_view::text), CASE WHEN NOT EXISTS (
      SELECT FROM pg_attribute a WHERE a.attrelid = p_view AND a.attname = 'value' AND a.attnum > 0)
      THEN format('view %s has no column value', p_view) END);
    IF v_problem IS NOT NULL THEN
      RAISE check_violation USING
        MESSAGE = v_problem, CONSTRAINT = 'iu_surface_view',
        DETAIL = 'A surface is a view with one row and a column value.';
    END IF;
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_surface_register', 'surface_code', p_code, 'applied', p_actor,
    p_reason, jsonb_build_object('kind', p_kind, 'view', v_view, 'expectation', p_expectation,
      'green_rule', p_green_rule, 'layer', p_layer));
  v_status := iu.fn_iu_surface_put(ROW(
    p_code, p_label, p_layer, p_kind, v_view, p_expectation, p_green_rule, p_sort_order, p_timeout_ms, NULL, p_actor,
    session_user, p_reason, clock_timestamp())::public.iu_regression_surface);
  RETURN jsonb_build_object('status', v_status, 'surface_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_register IS
  'What public.fn_iu_surface_register hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_surface_register(
    p_code text, p_label text, p_kind text, p_expectation text, p_actor text, p_reason text,
    p_view regclass DEFAULT NULL, p_green_rule text DEFAULT NULL, p_layer text DEFAULT 'PG',
    p_sort_order integer DEFAULT 100, p_timeout_ms integer DEFAULT 10000)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_surface_register(p_code, p_label, p_kind, p_expectation, p_actor, p_reason, p_view, p_green_rule, p_layer,
                            p_sort_order, p_timeout_ms) END;
COMMENT ON FUNCTION public.fn_iu_surface_register IS
  'Registers a surface, or changes one that was registered, and logs it: code, label, kind (view, external), '
  'expectation (invariant, any, green), who, why, the view (one row with a column value; it belongs to '
  'iu_core_owner or a superuser), rule of green (n/n, not_less, ~regular expression), layer (PG, Directus, Nuxt, '
  'AgentData, Qdrant), order in the matrix, longest time in ms. Returns {status: registered | changed, '
  'surface_code, run_id}. SQLSTATE 23514: a value, actor or reason missing or wrong, or such a view; 2201B: no '
  'regular expression; 42710: it belongs to a migration.';

CREATE FUNCTION iu.fn_iu_surface_unregister(p_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_run_id uuid;
BEGIN
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_surface_unregister', 'surface_code', p_code, 'applied', p_actor,
    p_reason, NULL);
  DELETE FROM public.iu_regression_surface WHERE surface_code = p_code AND migration IS NULL;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('surface "%s" is not registered, or belongs to a migration', coalesce(p_code, '')),
      DETAIL = format('Surface: %s.', coalesce(p_code, '')),
      HINT = 'iu_regression_surface has the surfaces.', CONSTRAINT = 'iu_surface_unknown';
  END IF;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.iu_regression_surface s WHERE s.surface_code = p_code),
    'public.iu_regression_surface', 'unregistering the surface');
  RETURN jsonb_build_object('status', 'unregistered', 'surface_code', p_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_surface_unregister IS
  'What public.fn_iu_surface_unregister hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_surface_unregister(p_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_surface_unregister(p_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_surface_unregister IS
  'Forgets a surface that somebody registered, and logs it; what snapshots hold of it stays. Code, who, why. '
  'Returns {status: unregistered, surface_code, run_id}. SQLSTATE 42704: not registered, or a migration''s; '
  '23514: actor or reason missing.';
