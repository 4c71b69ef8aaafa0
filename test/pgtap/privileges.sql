-- Nothing for PUBLIC: what a role without any grant may do with anything that
-- iu_core or its migrations made. The lists are derived from the catalogs, so
-- that what comes later is in them; each list is shown to catch what it is for.
BEGIN;
SET LOCAL client_min_messages = warning;
SELECT no_plan();
CREATE ROLE iu_test_stranger;

-- Members of the extension, whatever is in its schema, whatever its owner role
-- owns, and that schema itself.
CREATE VIEW pg_temp.ours AS
  SELECT d.classid, d.objid FROM pg_depend d
   WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
     AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'iu_core')
  UNION
  SELECT s.classid, s.objid FROM pg_shdepend s
   WHERE s.refclassid = 'pg_authid'::regclass
   AND s.refobjid = (SELECT oid FROM pg_roles WHERE rolname = 'iu_core_owner') AND s.deptype = 'o'
     AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspname = 'iu_core'
  UNION SELECT 'pg_proc'::regclass,
  oid FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'iu_core')
  UNION SELECT 'pg_class'::regclass,
  oid FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'iu_core')
  UNION SELECT 'pg_type'::regclass,
  oid FROM pg_type WHERE typnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'iu_core')
  UNION SELECT 'pg_foreign_server'::regclass, s.oid FROM pg_foreign_server s
    JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE w.fdwname IN ('qdrant_fdw', 'directus_fdw');

-- A row type and its array follow their table.
CREATE VIEW pg_temp.privileges_of_a_stranger AS
  SELECT 'function' AS class, o.objid::regprocedure::text AS name
    FROM pg_temp.ours o
   WHERE o.classid = 'pg_proc'::regclass AND has_function_privilege('iu_test_stranger', o.objid, 'EXECUTE')
  UNION ALL
  SELECT 'sequence', c.oid::regclass::text
    FROM pg_temp.ours o JOIN pg_class c ON c.oid = o.objid
   WHERE o.classid = 'pg_class'::regclass
     AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege('iu_test_stranger', c.oid, 'USAGE, SELECT, UPDATE') END
  UNION ALL
  SELECT 'relation', c.oid::regclass::text
    FROM pg_temp.ours o JOIN pg_class c ON c.oid = o.objid
   WHERE o.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
     AND (has_table_privilege('iu_test_stranger', c.oid,
     'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
          OR has_any_column_privilege('iu_test_stranger', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))
  UNION ALL
  SELECT 'schema', o.objid::regnamespace::text
    FROM pg_temp.ours o
   WHERE o.classid = 'pg_namespace'::regclass AND has_schema_privilege('iu_test_stranger', o.objid, 'USAGE, CREATE')
  UNION ALL
  SELECT 'type', t.oid::regtype::text
    FROM pg_temp.ours o JOIN pg_type t ON t.oid = o.objid
    LEFT JOIN pg_type e ON e.typarray = t.oid
    LEFT JOIN pg_class c ON c.oid = coalesce(nullif(t.typrelid, 0), e.typrelid)
   WHERE o.classid = 'pg_type'::regclass AND coalesce(c.relkind, 'c') = 'c'
     AND has_type_privilege('iu_test_stranger', t.oid, 'USAGE')
  UNION ALL
  SELECT 'wrapper', w.fdwname
    FROM pg_temp.ours o JOIN pg_foreign_data_wrapper w ON w.oid = o.objid
   WHERE o.classid = 'pg_foreign_data_wrapper'::regclass
     AND has_foreign_data_wrapper_privilege('iu_test_stranger', w.oid, 'USAGE')
  UNION ALL
  SELECT 'server', s.srvname
    FROM pg_temp.ours o JOIN pg_foreign_server s ON s.oid = o.objid
   WHERE o.classid = 'pg_foreign_server'::regclass AND has_server_privilege('iu_test_stranger', s.oid, 'USAGE');

CREATE VIEW pg_temp.unsafe_definers AS
  SELECT p.oid::regprocedure::text || CASE WHEN r.rolsuper THEN ' runs as superuser ' || r.rolname
  ELSE ' has no pinned search_path' END AS finding
    FROM pg_temp.ours o JOIN pg_proc p ON p.oid = o.objid JOIN pg_roles r ON r.oid = p.proowner
   WHERE o.classid = 'pg_proc'::regclass AND p.prosecdef
     AND (r.rolsuper
     OR NOT EXISTS (SELECT FROM unnest(p.proconfig) c (setting) WHERE c.setting ~ '^search_path=pg_catalog, pg_temp$'));

-- Everything is looked at ----------------------------------------------------

SELECT cmp_ok((SELECT count(*) FROM pg_temp.ours WHERE classid = 'pg_proc'::regclass), '>', 40::bigint,
  'more than 40 functions are looked at');
SELECT cmp_ok((SELECT count(*) FROM pg_temp.ours o JOIN pg_class c ON c.oid = o.objid
  WHERE o.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'v')), '>', 12::bigint,
  'more than 12 tables and views are looked at');
SELECT cmp_ok((SELECT count(*) FROM pg_temp.ours WHERE classid = 'pg_foreign_data_wrapper'::regclass), '=', 2::bigint,
  'both foreign-data wrappers are looked at');
SELECT is_empty($$SELECT g.object_class, g.object_name FROM iu_governed_object g
    WHERE g.object_class IN ('table', 'view')
    AND NOT EXISTS (SELECT FROM pg_temp.ours o WHERE o.classid = 'pg_class'::regclass
    AND o.objid = to_regclass(g.object_name))
       OR g.object_class = 'function' AND NOT EXISTS (SELECT FROM pg_temp.ours o WHERE o.classid = 'pg_proc'::regclass
       AND o.objid = to_regprocedure(g.object_name))$$,
  'every governed table, view and function is looked at');

-- Nothing ----------------------------------------------------------------------

SELECT is_empty('SELECT * FROM pg_temp.privileges_of_a_stranger',
  'a role without grants may execute, read and use nothing');
SELECT is_empty('SELECT * FROM pg_temp.unsafe_definers',
  'every SECURITY DEFINER function has a pinned search_path and an owner that is no superuser');
SELECT is((SELECT string_agg(rolname, ', ') FROM pg_roles WHERE rolname LIKE 'iu\_core\_%'
  AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)), NULL,
  'no role of iu_core has a power of its own');
SELECT is((SELECT string_agg(rolname, ', ') FROM pg_roles WHERE rolname LIKE 'iu\_core\_%' AND rolcanlogin),
  'iu_core_worker',
  'of the roles of iu_core only the workers'' logs in');

-- The lists catch what they are for -----------------------------------------

SET LOCAL ROLE iu_core_owner;
CREATE FUNCTION public.iu_test_public() RETURNS int LANGUAGE sql SECURITY DEFINER RETURN 1;
GRANT EXECUTE ON FUNCTION public.iu_test_public() TO PUBLIC;
CREATE TABLE public.iu_test_table (a int GENERATED ALWAYS AS IDENTITY, b int);
GRANT SELECT (b) ON public.iu_test_table TO PUBLIC;
CREATE VIEW public.iu_test_view AS SELECT 1 AS a;
GRANT SELECT ON public.iu_test_view TO PUBLIC;
CREATE SEQUENCE public.iu_test_sequence;
GRANT USAGE ON SEQUENCE public.iu_test_sequence TO PUBLIC;
CREATE TYPE public.iu_test_enum AS ENUM ('a');
CREATE TYPE public.iu_test_composite AS (a int);
GRANT USAGE ON TYPE public.iu_test_enum, public.iu_test_composite TO PUBLIC;
CREATE SERVER iu_test_server FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'https://hooks.example');
GRANT USAGE ON FOREIGN SERVER iu_test_server TO PUBLIC;
RESET ROLE;
GRANT USAGE ON SCHEMA iu_core TO PUBLIC;
GRANT USAGE ON FOREIGN DATA WRAPPER directus_fdw TO PUBLIC;
CREATE FUNCTION iu_core.iu_test_superuser() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog,
  pg_temp RETURN 1;

SELECT set_eq('SELECT class, name FROM pg_temp.privileges_of_a_stranger', $$VALUES
    ('function', 'iu_test_public()'), ('function', 'iu_core.iu_test_superuser()'), ('relation', 'iu_test_table'),
    ('relation', 'iu_test_view'),
    ('sequence', 'iu_test_sequence'), ('type', 'iu_test_enum'), ('type', 'iu_test_composite'),
    ('server', 'iu_test_server'), ('schema', 'iu_core'), ('wrapper', 'directus_fdw')$$,
  'what is granted to PUBLIC is found, of every class');
SELECT set_eq('SELECT finding FROM pg_temp.unsafe_definers', $$VALUES
    ('iu_test_public() has no pinned search_path'),
    ('iu_core.iu_test_superuser() runs as superuser ' || current_user)$$,
  'a careless SECURITY DEFINER function is found');

SELECT * FROM finish();
ROLLBACK;
