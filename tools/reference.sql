-- Prints docs/reference.md from a migrated database: what is said of an object
-- stands in its COMMENT and nowhere else.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset footer off
SET search_path = pg_catalog, public, pg_temp;

\qecho '# Reference'
\qecho
\qecho 'Made by `make reference` from the comments in the database; `\\d+` and `\\df+` show the same.'
\qecho 'Errors are named by SQLSTATE. A source in parentheses says where a rule comes from.'
\qecho
\qecho '## Settings'
\qecho
\qecho 'All can be changed with a reload. Lists are separated by commas.'
\qecho
\qecho '| setting | default | unit | what it does |'
\qecho '| --- | --- | --- | --- |'
SELECT format('| `%s` | %s | %s | %s |', name,
              CASE WHEN boot_val = '' THEN 'empty' ELSE format('`%s`', boot_val) END,
              coalesce(unit, ''), concat_ws(' ', short_desc, extra_desc))
  FROM pg_settings WHERE name LIKE 'iu\_core.%' ORDER BY name;
\qecho
\qecho '## The extension: schema iu_core'
\qecho
SELECT format(E'### `%s`\n\n%s\n', p.oid::regprocedure, coalesce(obj_description(p.oid, 'pg_proc'), 'UNDOCUMENTED'))
  FROM pg_proc p WHERE p.pronamespace = 'iu_core'::regnamespace
 ORDER BY p.proname COLLATE "C", p.oid::regprocedure::text COLLATE "C";
SELECT format(E'### %s `%s`\n\n%s\n', CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, c.oid::regclass,
              coalesce(obj_description(c.oid, 'pg_class'), 'UNDOCUMENTED'))
  FROM pg_class c WHERE c.relnamespace = 'iu_core'::regnamespace AND c.relkind IN ('r', 'v')
 ORDER BY c.relname COLLATE "C";
\qecho '## The foreign data wrappers'
\qecho
SELECT format(E'### `%s`\n\n%s\n', w.fdwname, coalesce(obj_description(w.oid, 'pg_foreign_data_wrapper'), 'UNDOCUMENTED'))
  FROM pg_foreign_data_wrapper w
  JOIN pg_depend d ON d.classid = 'pg_foreign_data_wrapper'::regclass AND d.objid = w.oid AND d.deptype = 'e'
  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'iu_core'
 ORDER BY w.fdwname COLLATE "C";
\qecho '## What the migrations make'
\qecho
SELECT string_agg(line, E'\n' ORDER BY version, rank, name COLLATE "C") FROM (
  SELECT m.version, 0 AS rank, '' AS name, format(E'### Migration %s: %s\n', lpad(m.version::text, 3, '0'), replace(m.name, '_', ' ')) AS line
    FROM iu_core.migrations m
  UNION ALL
  SELECT g.migration, array_position(ARRAY['table', 'view', 'function', 'trigger', 'config', 'event_type', 'route'], g.object_class),
         g.object_name,
         format(E'**%s** `%s`\n: %s\n', replace(g.object_class, '_', ' '), g.object_name, coalesce(
           CASE g.object_class
             WHEN 'table' THEN obj_description(to_regclass(g.object_name), 'pg_class')
             WHEN 'view' THEN obj_description(to_regclass(g.object_name), 'pg_class')
             WHEN 'function' THEN obj_description(to_regprocedure(g.object_name), 'pg_proc')
             WHEN 'config' THEN (SELECT d.description FROM dot_config d WHERE d.key = g.object_name)
             WHEN 'event_type' THEN (SELECT t.description FROM event_type_registry t
                                      WHERE t.event_domain || '.' || t.event_type = g.object_name)
             WHEN 'trigger' THEN (SELECT obj_description(t.oid, 'pg_trigger') FROM pg_trigger t
                                   WHERE format('%I ON %s', t.tgname, t.tgrelid::regclass) = g.object_name)
           END, 'UNDOCUMENTED'))
    FROM iu_governed_object g) entries;
