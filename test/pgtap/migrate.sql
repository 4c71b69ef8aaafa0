-- What migrations stand on: the inventory, its fingerprints, the guards.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.prints() RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(concat_ws(' ', object_class, object_name, owner, fingerprint), E'\n' ORDER BY object_class,
  object_name, fingerprint), '')
    FROM iu_core.object_inventory() WHERE object_name ~ 'zz_'
$$;

-- ---- one run at a time

CREATE FUNCTION pg_temp.excludes_runs() RETURNS boolean LANGUAGE sql AS $$
  SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_extension e ON e.oid = l.objid
                  WHERE l.locktype = 'object' AND l.classid = 'pg_extension'::regclass AND e.extname = 'iu_core'
                    AND l.mode = 'ExclusiveLock' AND l.pid = pg_backend_pid()) $$;
SAVEPOINT run;
DECLARE runs CURSOR FOR SELECT 1 / (2 - g) FROM (SELECT count(*) FROM iu_core.migrate()) m, generate_series(1, 2) g;
FETCH 1 FROM runs \g /dev/null
SELECT throws_ok('MOVE 1 IN runs', '22012', NULL, 'a cursor that ran migrations fails behind a savepoint');
SELECT ok(pg_temp.excludes_runs(), 'and other runs are excluded still');
ROLLBACK TO run;
SELECT ok(NOT pg_temp.excludes_runs(), 'until the run is rolled back');

-- ---- names

CREATE SCHEMA zz_other;
CREATE TABLE public.zz_base (id bigserial PRIMARY KEY, name text NOT NULL DEFAULT 'x', amount numeric(10, 2),
  extra jsonb);
CREATE TABLE zz_other."zz Odd" (a int);
CREATE VIEW public.zz_view AS SELECT b.id, b.name FROM public.zz_base b;
CREATE MATERIALIZED VIEW public.zz_materialized AS SELECT 1 AS one;
CREATE SEQUENCE public.zz_sequence;
CREATE TYPE public.zz_enum AS ENUM ('a', 'b');
CREATE DOMAIN public.zz_domain AS text CHECK (VALUE <> '');
CREATE TYPE public.zz_pair AS (a int, b text);
CREATE FUNCTION public.zz_function(a integer, b public.zz_enum, VARIADIC c text[]) RETURNS void LANGUAGE plpgsql
  AS 'BEGIN END';
CREATE FUNCTION public.zz_function() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER zz_trigger AFTER INSERT ON public.zz_base EXECUTE FUNCTION public.zz_function();
CREATE TEMP TABLE zz_temporary (a int);

SELECT results_eq(
  $$SELECT object_class, object_name FROM iu_core.object_names() WHERE object_name ~ '^zz'
  ORDER BY object_class COLLATE "C", object_name COLLATE "C"$$,
  $$VALUES ('function', 'zz_function()'), ('function', 'zz_function(integer,public.zz_enum,text[])'),
  ('schema', 'zz_other'),
           ('sequence', 'zz_sequence'), ('table', 'zz_base'), ('table', 'zz_other."zz Odd"'),
           ('trigger', 'zz_trigger ON zz_base'),
           ('type', 'zz_domain'), ('type', 'zz_enum'), ('type', 'zz_pair'), ('view', 'zz_materialized'),
           ('view', 'zz_view')$$,
  'objects are named by class and name; owned sequences, row types and temporary tables are none');
SELECT set_eq('SELECT object_class, object_name, owner FROM iu_core.object_inventory()',
              'SELECT object_class, object_name, owner FROM iu_core.object_names()',
  'the inventory has the objects that are named');
SELECT is_empty($$SELECT 1 FROM iu_core.object_inventory() GROUP BY object_class, object_name HAVING count(*) > 1$$,
  'the inventory has each object once');
SELECT is_empty($$SELECT 1 FROM iu_core.object_inventory() WHERE object_name ~ 'iu_core\.'
  AND object_class <> 'config'$$,
  'the inventory leaves out the extension itself');

-- ---- every change shows, and undoing it shows as well

CREATE FUNCTION pg_temp.changes(change text, undo text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_before text := pg_temp.prints();
  v_changed text;
  v_path text := current_setting('search_path');
BEGIN
  EXECUTE change;
  v_changed := pg_temp.prints();
  EXECUTE undo;
  PERFORM set_config('search_path', v_path, true);
  RETURN CASE WHEN v_changed = v_before THEN 'unseen' WHEN pg_temp.prints() <> v_before THEN 'lasts' ELSE 'seen' END;
END $$;
CREATE ROLE zz_role;
SELECT is(pg_temp.changes(change, undo), 'seen', 'seen by the inventory and gone when undone: ' || change) FROM (VALUES
  ('ALTER TABLE public.zz_base ADD COLUMN more int', 'ALTER TABLE public.zz_base DROP COLUMN more'),
  ('ALTER TABLE public.zz_base ALTER amount TYPE numeric(12, 2)',
  'ALTER TABLE public.zz_base ALTER amount TYPE numeric(10, 2)'),
  ('ALTER TABLE public.zz_base ALTER name SET DEFAULT ''y''',
  'ALTER TABLE public.zz_base ALTER name SET DEFAULT ''x'''),
  ('ALTER TABLE public.zz_base ALTER name DROP NOT NULL', 'ALTER TABLE public.zz_base ALTER name SET NOT NULL'),
  ('ALTER TABLE public.zz_base ALTER name SET STORAGE external',
  'ALTER TABLE public.zz_base ALTER name SET STORAGE extended'),
  ('ALTER TABLE public.zz_base ALTER name SET (n_distinct = 5)',
  'ALTER TABLE public.zz_base ALTER name RESET (n_distinct)'),
  ('ALTER TABLE public.zz_base ADD CONSTRAINT c CHECK (amount > 0)', 'ALTER TABLE public.zz_base DROP CONSTRAINT c'),
  ('CREATE INDEX zz_index ON public.zz_base (name)', 'DROP INDEX public.zz_index'),
  ('ALTER SEQUENCE public.zz_base_id_seq INCREMENT 2', 'ALTER SEQUENCE public.zz_base_id_seq INCREMENT 1'),
  ('ALTER SEQUENCE public.zz_sequence MAXVALUE 9', 'ALTER SEQUENCE public.zz_sequence NO MAXVALUE'),
  ('ALTER TABLE public.zz_base SET (fillfactor = 70)', 'ALTER TABLE public.zz_base RESET (fillfactor)'),
  ('ALTER TABLE public.zz_base ENABLE ROW LEVEL SECURITY', 'ALTER TABLE public.zz_base DISABLE ROW LEVEL SECURITY'),
  ('CREATE POLICY p ON public.zz_base USING (id > 1)', 'DROP POLICY p ON public.zz_base'),
  ('CREATE RULE r AS ON DELETE TO public.zz_base DO ALSO NOTHING', 'DROP RULE r ON public.zz_base'),
  ('CREATE STATISTICS public.zz_statistics ON id, name FROM public.zz_base', 'DROP STATISTICS public.zz_statistics'),
  ('COMMENT ON TABLE public.zz_base IS ''x''', 'COMMENT ON TABLE public.zz_base IS NULL'),
  ('COMMENT ON COLUMN public.zz_base.id IS ''x''', 'COMMENT ON COLUMN public.zz_base.id IS NULL'),
  ('COMMENT ON FUNCTION public.zz_function() IS ''x''', 'COMMENT ON FUNCTION public.zz_function() IS NULL'),
  ('COMMENT ON TRIGGER zz_trigger ON public.zz_base IS ''x''',
  'COMMENT ON TRIGGER zz_trigger ON public.zz_base IS NULL'),
  ('GRANT SELECT ON public.zz_base TO zz_role', 'REVOKE SELECT ON public.zz_base FROM zz_role'),
  ('GRANT SELECT (id) ON public.zz_base TO zz_role', 'REVOKE SELECT (id) ON public.zz_base FROM zz_role'),
  ('GRANT EXECUTE ON FUNCTION public.zz_function() TO zz_role',
  'REVOKE EXECUTE ON FUNCTION public.zz_function() FROM zz_role'),
  ('GRANT USAGE ON SCHEMA zz_other TO zz_role', 'REVOKE USAGE ON SCHEMA zz_other FROM zz_role'),
  ('GRANT USAGE ON SEQUENCE public.zz_sequence TO zz_role', 'REVOKE USAGE ON SEQUENCE public.zz_sequence FROM zz_role'),
  ('ALTER VIEW public.zz_view OWNER TO zz_role', 'ALTER VIEW public.zz_view OWNER TO postgres'),
  ('ALTER VIEW public.zz_view SET (security_barrier)', 'ALTER VIEW public.zz_view RESET (security_barrier)'),
  ('CREATE OR REPLACE VIEW public.zz_view AS SELECT b.id, upper(b.name) AS name FROM public.zz_base b',
  'CREATE OR REPLACE VIEW public.zz_view AS SELECT b.id, b.name FROM public.zz_base b'),
  ('CREATE OR REPLACE FUNCTION public.zz_function() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN NEW; END''',
  'CREATE OR REPLACE FUNCTION public.zz_function() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN NULL; END'''),
  ('ALTER FUNCTION public.zz_function() SECURITY DEFINER', 'ALTER FUNCTION public.zz_function() SECURITY INVOKER'),
  ('ALTER FUNCTION public.zz_function() SET search_path = public',
  'ALTER FUNCTION public.zz_function() RESET search_path'),
  ('ALTER TABLE public.zz_base DISABLE TRIGGER zz_trigger', 'ALTER TABLE public.zz_base ENABLE TRIGGER zz_trigger'),
  ('ALTER DOMAIN public.zz_domain ADD CONSTRAINT c CHECK (length(VALUE) < 9)',
  'ALTER DOMAIN public.zz_domain DROP CONSTRAINT c'),
  ('ALTER TYPE public.zz_pair ADD ATTRIBUTE c int', 'ALTER TYPE public.zz_pair DROP ATTRIBUTE c')
) AS v (change, undo);
SELECT is(pg_temp.changes(change, 'SELECT 1'), 'unseen', change || ' changes no definition') FROM (VALUES
  ('INSERT INTO public.zz_base (name) VALUES (''a'')'), ('SELECT nextval(''public.zz_sequence'')'),
  ('SET LOCAL search_path = zz_other, public'),
  ('SET LOCAL datestyle = german'), ('SET LOCAL quote_all_identifiers = on'), ('ANALYZE public.zz_base')) AS v (change);
RESET quote_all_identifiers; RESET datestyle;

-- ---- what goes without a trace in what is left is reported with the script at whose time it went

CREATE INDEX zz_index ON public.event_type_registry (event_domain);
CREATE FUNCTION public.zz_function_at_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() o
              WHERE o.object_type = 'function' AND o.address_names[1:2] = '{public,fn_iu_template_publish}') THEN
    DROP INDEX public.zz_index;
    COMMENT ON TABLE public.event_outbox IS NULL;
  END IF;
END $$;
CREATE EVENT TRIGGER zz_at_drop ON sql_drop EXECUTE FUNCTION public.zz_function_at_drop();
SELECT results_eq($$SELECT version, change, object_name FROM iu_core.rollback(30, true)
    WHERE object_name IN ('event_outbox', 'event_type_registry') ORDER BY 3$$,
  $$VALUES (34, 'changed', 'event_outbox'), (34, 'changed', 'event_type_registry')$$,
  'a rollback of several migrations reports where an index and a comment went');
DROP EVENT TRIGGER zz_at_drop;

-- ---- guard_rows

SELECT throws_ok($$SELECT iu_core.guard_rows('public.zz_base')$$, '55000',
  'iu_core.guard_rows() is for rollback scripts',
  'guard_rows is refused outside a rollback');
SELECT throws_ok($$SELECT iu_core.guard_rows(NULL)$$, '22004', NULL, 'guard_rows without a table is refused');

-- ---- rights

SELECT is(has_function_privilege(role, f, 'EXECUTE'), may,
  format('%s %s %s', role, CASE WHEN may THEN 'may call' ELSE 'may not call' END, f))
  FROM (VALUES ('iu_core_admin', true), ('iu_core_operator', false), ('iu_core_owner', false),
  ('iu_core_worker', false), ('zz_role', false)) AS r (role, may),
       (VALUES ('iu_core.migrate(integer,boolean)'), ('iu_core.rollback(integer,boolean,boolean)')) AS v (f);
SELECT ok(NOT has_table_privilege(role, 'iu_core.applied_migration', 'INSERT, UPDATE, DELETE, TRUNCATE'),
  role || ' cannot write the record of applied migrations')
  FROM unnest(ARRAY['iu_core_admin', 'iu_core_owner', 'iu_core_worker', 'zz_role']) role;

SELECT finish();
ROLLBACK;
