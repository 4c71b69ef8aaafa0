-- Prints docs/reference.md from a migrated database: what is said of an object
-- stands in its COMMENT, in its definition and in its grants, nowhere else.
-- What has no comment is printed as UNDOCUMENTED, and a test fails.
\set QUIET on
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
\pset footer off
SET search_path = pg_catalog, public, pg_temp;

CREATE FUNCTION pg_temp.said(p_comment text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(replace(replace(nullif(btrim(p_comment), ''), '<', '\<'), '*', '\*'), 'UNDOCUMENTED') $$;
CREATE FUNCTION pg_temp.cell(p_text text) RETURNS text LANGUAGE sql AS $$
  SELECT replace(replace(coalesce(p_text, ''), '|', '\|'), E'\n', ' ') $$;

-- Whom an access list names, the owners left out.
CREATE FUNCTION pg_temp.may(p_lead text, p_acl aclitem[], p_owner oid, p_right text) RETURNS text LANGUAGE sql AS $$
  SELECT p_lead || ' ' || string_agg(who, ', ' ORDER BY who COLLATE "C") || '.' FROM (
    SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END AS who
      FROM aclexplode(p_acl) a WHERE a.privilege_type = p_right AND a.grantee <> p_owner) granted
   WHERE who <> 'iu_core_owner' $$;

CREATE FUNCTION pg_temp.function_text(p_oid oid) RETURNS text LANGUAGE sql AS $$
  WITH f AS (
    SELECT p.oid, p.proacl, p.proowner,
           CASE p.pronamespace WHEN 'public'::regnamespace THEN '' ELSE p.pronamespace::regnamespace || '.' END
             || quote_ident(p.proname) AS name,
           pg_get_function_arguments(p.oid) AS arguments,
           pg_get_function_result(p.oid) AS result FROM pg_proc p WHERE p.oid = p_oid)
  SELECT concat_ws(E'\n\n',
           '    ' || name || '('
             || CASE WHEN length(name || arguments) < 100 THEN arguments
                     ELSE E'\n        ' || regexp_replace(arguments, ', ((OUT |INOUT |VARIADIC )?("\w+"|\w+) [a-z])',
                                                         E',\n        \\1', 'g') END
             || ')' || coalesce(' returns ' || result, ''),
           pg_temp.said(obj_description(oid, 'pg_proc')),
           pg_temp.may('For', coalesce(proacl, acldefault('f', proowner)), proowner, 'EXECUTE'))
    FROM f $$;

-- A table where something is said of a column, a line where nothing is.
CREATE FUNCTION pg_temp.column_text(p_table oid) RETURNS text LANGUAGE sql AS $$
  WITH c AS (
    SELECT a.attnum, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull,
           col_description(a.attrelid, a.attnum) AS comment,
           CASE WHEN a.attidentity <> '' THEN 'numbered'
                WHEN a.attgenerated <> '' THEN 'computed `' || pg_get_expr(d.adbin, d.adrelid) || '`'
                WHEN d.adbin IS NOT NULL THEN 'default `' || pg_get_expr(d.adbin, d.adrelid) || '`' END AS filled
      FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = p_table AND a.attnum > 0 AND NOT a.attisdropped)
  SELECT CASE WHEN count(comment) + count(filled) + count(*) FILTER (WHERE attnotnull) = 0
              THEN 'Columns: ' || string_agg(format('`%s` %s', attname, type), ', ' ORDER BY attnum) || '.'
              ELSE E'| column | type | |\n| --- | --- | --- |\n' || string_agg(format('| `%s` | %s | %s |', attname,
                pg_temp.cell(concat_ws(', ', type, CASE WHEN attnotnull THEN 'not null' END, filled)),
                pg_temp.cell(replace(comment, '<', '\<'))), E'\n' ORDER BY attnum) END
    FROM c $$;

CREATE FUNCTION pg_temp.trigger_text(p_table oid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('- trigger `%s` (%s): %s', t.tgname,
           regexp_replace(pg_get_triggerdef(t.oid), '^.*? (BEFORE|AFTER|INSTEAD OF) (.*?) ON .*$', '\1 \2'),
           pg_temp.said(obj_description(t.oid, 'pg_trigger'))), E'\n' ORDER BY t.tgname COLLATE "C")
    FROM pg_trigger t WHERE t.tgrelid = p_table AND NOT t.tgisinternal AND t.tgname <> 'trg_0_subscription' $$;

CREATE FUNCTION pg_temp.relation_text(p_oid oid) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(E'\n\n', pg_temp.said(obj_description(c.oid, 'pg_class')),
           pg_temp.may('Readable by', coalesce(c.relacl, acldefault('r', c.relowner)), c.relowner, 'SELECT'),
           pg_temp.column_text(c.oid), pg_temp.trigger_text(c.oid))
    FROM pg_class c WHERE c.oid = p_oid $$;

-- Whether a function of the extension is there for migrations, workers and the
-- server alone: whoever is not iu_core_owner may not call it.
CREATE FUNCTION pg_temp.is_for_migrations(p_acl aclitem[], p_owner oid) RETURNS boolean LANGUAGE sql AS $$
  SELECT NOT EXISTS (SELECT FROM aclexplode(p_acl) a
                      WHERE a.grantee NOT IN (p_owner, 'iu_core_owner'::regrole)) $$;

-- Every entry of the two object chapters, in order.
CREATE TEMP TABLE entry AS
  SELECT 0 AS migration, CASE WHEN pg_temp.is_for_migrations(p.proacl, p.proowner) THEN 4 ELSE 1 END AS rank,
         p.proname || ' ' || p.oid::regprocedure AS sort,
         format(E'### `%s`\n\n%s\n', p.oid::regprocedure, pg_temp.function_text(p.oid)) AS text
    FROM pg_proc p WHERE p.pronamespace = 'iu_core'::regnamespace
  UNION ALL
  SELECT 0, 2, c.relname,
         format(E'### %s `%s`\n\n%s\n', CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, c.oid::regclass,
                pg_temp.relation_text(c.oid))
    FROM pg_class c WHERE c.relnamespace = 'iu_core'::regnamespace AND c.relkind IN ('r', 'v', 'f', 'm')
  UNION ALL
  SELECT 0, 3, w.fdwname, format(E'### foreign data wrapper `%s`\n\n%s\n\n%s\n', w.fdwname,
         pg_temp.said(obj_description(w.oid, 'pg_foreign_data_wrapper')),
         pg_temp.may('Usable by', w.fdwacl, w.fdwowner, 'USAGE'))
    FROM pg_foreign_data_wrapper w
    JOIN pg_depend d ON d.classid = 'pg_foreign_data_wrapper'::regclass AND d.objid = w.oid AND d.deptype = 'e'
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'iu_core'
  UNION ALL
  SELECT g.migration, 0, g.object_name, format(E'#### schema `%s`\n\n%s\n', g.object_name,
         pg_temp.said(obj_description(n.oid, 'pg_namespace')))
    FROM iu_governed_object g LEFT JOIN pg_namespace n ON n.nspname = g.object_name WHERE g.object_class = 'schema'
  UNION ALL
  SELECT g.migration, 3, g.object_name, format(E'#### sequence `%s`\n\n%s\n', g.object_name,
         pg_temp.said(obj_description(to_regclass(g.object_name), 'pg_class')))
    FROM iu_governed_object g WHERE g.object_class = 'sequence'
  UNION ALL
  SELECT g.migration, array_position(ARRAY['table', 'view', 'function'], g.object_class), g.object_name,
         format(E'#### %s`%s`\n\n%s\n', CASE g.object_class WHEN 'function' THEN '' ELSE g.object_class || ' ' END,
           g.object_name, CASE g.object_class WHEN 'function' THEN pg_temp.function_text(to_regprocedure(g.object_name))
                               ELSE pg_temp.relation_text(to_regclass(g.object_name)) END)
    FROM iu_governed_object g WHERE g.object_class IN ('table', 'view', 'function') AND g.object_name NOT LIKE 'iu.%'
  UNION ALL
  -- A trigger that a later migration put on an earlier one's table is printed there.
  SELECT g.migration, 4, '',
         E'Event types:\n\n' || string_agg(format('- `%s`: %s', g.object_name, pg_temp.said(t.description)),
           E'\n' ORDER BY g.object_name COLLATE "C") || E'\n'
    FROM iu_governed_object g LEFT JOIN event_type_registry t ON t.event_domain || '.' || t.event_type = g.object_name
   WHERE g.object_class = 'event_type' GROUP BY g.migration
  UNION ALL
  SELECT g.migration, 5, '', E'Rows of dot_config:\n\n' || string_agg(format('- `%s` (%s): %s', g.object_name,
           coalesce(replace(r.gate_class, '_', '-') || ' gate',
                    CASE WHEN s.switch_key IS NULL THEN 'a value' ELSE 'switch' END),
           pg_temp.said(regexp_replace(c.description, '^switch: ', ''))),
           E'\n' ORDER BY g.object_name COLLATE "C") || E'\n'
    FROM iu_governed_object g LEFT JOIN dot_config c ON c.key = g.object_name
    LEFT JOIN iu_gate_registry r ON r.gate_key = g.object_name
    LEFT JOIN iu_switch_registry s ON s.switch_key = g.object_name
   WHERE g.object_class = 'config' GROUP BY g.migration;

-- The inside, an entry a line. A function of which a function of schema public
-- hands everything on is named only.
CREATE TEMP TABLE inside AS
  SELECT o.*, coalesce(o.comment LIKE 'What public.% hands on to, %', false) AS is_body,
         CASE o.object_class WHEN 'function'
              THEN has_function_privilege('iu_core_worker', to_regprocedure(o.object_name), 'EXECUTE')
         END IS TRUE AS is_of_workers
    FROM (SELECT g.migration, g.object_class, g.object_name,
                 CASE g.object_class WHEN 'function' THEN obj_description(to_regprocedure(g.object_name), 'pg_proc')
                                     ELSE obj_description(to_regclass(g.object_name), 'pg_class') END AS comment
            FROM iu_governed_object g
           WHERE g.object_class IN ('table', 'view', 'function') AND g.object_name LIKE 'iu.%' OFFSET 0) AS o;

-- A class of objects that nobody taught this script is not left out in silence.
SELECT CASE WHEN count(*) > 0
            THEN pg_catalog.set_config('iu.unknown', string_agg(DISTINCT object_class, ', '), false) END
  FROM iu_governed_object
 WHERE object_class NOT IN ('schema', 'table', 'view', 'sequence', 'function', 'trigger', 'event_type', 'config')
\g /dev/null

\qecho '# Reference'
\qecho
\qecho 'Made by `make reference` from a freshly migrated database; `\\d+` and `\\df+` show the same comments.'
\qecho 'Do not edit.'
\qecho
\qecho 'Refusals are named by SQLSTATE; the last chapter lists them. Who may call or read is what is granted directly:'
\qecho 'iu_core_operator also has what iu_core_reader has, iu_core_admin what iu_core_operator and iu_core_writer have.'
\qecho 'Left out is iu_core_owner, which owns all that the migrations make.'
\qecho
\qecho '- [Settings](#settings)'
\qecho '- [Schema iu_core](#schema-iu_core): what the extension brings'
\qecho '- [Schema public](#schema-public): what the migrations make for people and programs'
\qecho '- [Refusals](#refusals): by constraint name, and by SQLSTATE'
\qecho '- [Schema iu](#schema-iu): the inside, for whoever changes it'
\qecho
\qecho '## Settings'
\qecho
\qecho 'Set by a superuser in postgresql.conf or by ALTER SYSTEM. Lists are separated by commas.'
\qecho
\qecho '| setting | default | range | takes effect | what it does |'
\qecho '| --- | --- | --- | --- | --- |'
SELECT format('| `%s` | %s | %s | %s | %s |', name,
              CASE WHEN boot_val = '' THEN 'empty' ELSE format('`%s`%s', boot_val, ' ' || unit) END,
              CASE WHEN min_val IS NOT NULL THEN concat(min_val, ' to ', max_val, ' ' || unit) END,
              CASE context WHEN 'sighup' THEN 'reload' WHEN 'postmaster' THEN 'restart' ELSE context END,
              pg_temp.cell(pg_temp.said(concat_ws(' ', short_desc, extra_desc))))
  FROM pg_settings WHERE name LIKE 'iu\_core.%' ORDER BY name COLLATE "C";
\qecho
\qecho '## Schema iu_core'
\qecho
\qecho 'What CREATE EXTENSION brings: functions, relations, wrappers; then what only migrations and the server call.'
\qecho
SELECT text FROM entry WHERE migration = 0 ORDER BY rank, sort COLLATE "C";
\qecho '## Schema public'
\qecho
\qecho 'What the migrations make for people and programs. Every table has, beside those that are named with it:'
\qecho
\qecho '- trigger `trg_0_subscription` (BEFORE INSERT OR DELETE OR UPDATE, in replica role): Leaves out what a'
\qecho '  subscription brings; of the outbox, changes only.'
\qecho
SELECT string_agg(line, E'\n' ORDER BY version, rank, sort COLLATE "C") FROM (
  SELECT m.version, 0 AS rank, '' AS sort,
         format(E'### Migration %s: %s\n', lpad(m.version::text, 3, '0'), replace(m.name, '_', ' ')) AS line
    FROM iu_core.migrations m
  UNION ALL
  SELECT e.migration, e.rank, e.sort, e.text FROM entry e WHERE e.migration > 0
  UNION ALL
  SELECT 1, 9, '', 'UNDOCUMENTED: object class ' || u
    FROM current_setting('iu.unknown', true) AS u WHERE u <> '') lines;
\qecho '## Refusals'
\qecho
\qecho 'A refusal carries a constraint name, which drivers hand to programs and which does not change. `iu_refusal`'
\qecho 'lists them.'
\qecho
\qecho '| constraint name | SQLSTATE | what is wrong | what to do |'
\qecho '| --- | --- | --- | --- |'
SELECT format('| `%s` | %s | %s | %s |', r.constraint_name, r.sqlstate, pg_temp.cell(r.sentence),
              pg_temp.cell(r.next_action))
  FROM iu_refusal r ORDER BY r.constraint_name COLLATE "C";
\qecho
\qecho 'Why a delivery is held, failed or waiting: the codes of `iu_delivery_code`, as `v_iu_route_held`,'
\qecho '`iu_route_attempt` and `fn_iu_route_explain` have them. `{...}` stands for a name.'
\qecho
\qecho '| code | kind | what it means | who minds it | what follows | what to do |'
\qecho '| --- | --- | --- | --- | --- | --- |'
SELECT format('| `%s` | %s | %s | %s | %s | %s |', c.code, c.kind, pg_temp.cell(c.sentence), c.who_minds_it,
              concat(c.what_follows, ', after a 2xx ' || c.after_success,
                     ', again after ' || nullif(c.hold_seconds, 0) || ' s'),
              pg_temp.cell(coalesce(c.next_action, 'nothing')))
  FROM iu_delivery_code c
 ORDER BY array_position(ARRAY['refusal', 'outcome', 'reason', 'answer'], c.kind), c.precedence, c.code COLLATE "C";
\qecho
\qecho 'Every SQLSTATE that an entry above names, and where.'
\qecho
\qecho '| SQLSTATE | condition | named by |'
\qecho '| --- | --- | --- |'
WITH condition (state, name) AS (VALUES
  ('0A000', 'feature_not_supported'), ('22004', 'null_value_not_allowed'), ('22023', 'invalid_parameter_value'),
  ('22038', 'singleton_sql_json_item_required'),
  ('2201B', 'invalid_regular_expression'), ('2202E', 'array_subscript_error'), ('57014', 'query_canceled'),
  ('23001', 'restrict_violation'),
  ('22P02', 'invalid_text_representation'), ('23502', 'not_null_violation'), ('23503', 'foreign_key_violation'),
  ('23505', 'unique_violation'),
  ('23514', 'check_violation'),
  ('25000', 'invalid_transaction_state'), ('25006', 'read_only_sql_transaction'),
  ('28000', 'invalid_authorization_specification'),
  ('39P01', 'trigger_protocol_violated'), ('40001', 'serialization_failure'), ('42501', 'insufficient_privilege'),
  ('42602', 'invalid_name'), ('42704', 'undefined_object'), ('42710', 'duplicate_object'),
  ('42883', 'undefined_function'), ('42P07', 'duplicate_table'), ('42723', 'duplicate_function'),
  ('53400', 'configuration_limit_exceeded'), ('54000', 'program_limit_exceeded'),
  ('55000', 'object_not_in_prerequisite_state'), ('55006', 'object_in_use'), ('55P03', 'lock_not_available'),
  ('58P01', 'undefined_file'), ('HV000', 'fdw_error'), ('HV002', 'fdw_dynamic_parameter_value_needed'),
  ('HV005', 'fdw_column_name_not_found'), ('HV004', 'fdw_invalid_data_type'), ('HV007', 'fdw_invalid_column_name'),
  ('HV00D', 'fdw_invalid_option_name'), ('HV00L', 'fdw_unable_to_create_execution'),
  ('HV00N', 'fdw_unable_to_establish_connection'), ('HV00R', 'fdw_table_not_found'),
  ('HV024', 'fdw_invalid_attribute_value'), ('P0002', 'no_data_found'),
  ('IU101', 'of iu_core: approval not registered here'), ('IU102', 'of iu_core: approval used'),
  ('IU103', 'of iu_core: approval expired'), ('IU104', 'of iu_core: approval revoked'),
  ('IU105', 'of iu_core: approval for another gate, action or role'),
  ('IU106', 'of iu_core: approval granted by the one who uses it'),
  ('IU107', 'of iu_core: not on the approval list'), ('IU108', 'of iu_core: approved for a shorter time'),
  ('IU111', 'of iu_core: an invariant that the gate demands fails'),
  ('IU112', 'of iu_core: an invariant that the gate demands is unknown')
), named AS (
  SELECT DISTINCT m[1] AS state, '`' || (regexp_match(e.text, '`([^`(]+)'))[1] || '`' AS name
    FROM entry e, regexp_matches(e.text, '\m((?:0A|22|23|25|28|39|40|42|53|54|55|57|58|HV|IU|P0)[0-9A-Z]{3})\M', 'g') m)
SELECT format('| %s | %s | %s |', n.state, coalesce(c.name, 'UNDOCUMENTED'),
              string_agg(n.name, ', ' ORDER BY n.name COLLATE "C"))
  FROM named n LEFT JOIN condition c USING (state) GROUP BY n.state, c.name ORDER BY n.state COLLATE "C";
\qecho
\qecho '## Schema iu'
\qecho
\qecho 'The inside: what runs with the rights of iu_core_owner, and what that calls. People call none of it. Whoever'
\qecho 'changes it begins with docs/inside.md. A function that has the name of one in schema public holds the body of'
\qecho 'that one, and is only named here. **Workers** marks what the worker processes call.'
\qecho
SELECT string_agg(line, E'\n' ORDER BY version, rank, sort COLLATE "C") FROM (
  SELECT i.migration AS version, 0 AS rank, '' AS sort,
         format(E'### Inside migration %s: %s\n', lpad(i.migration::text, 3, '0'),
                max(replace(m.name, '_', ' '))) AS line
    FROM inside i JOIN iu_core.migrations m ON m.version = i.migration GROUP BY i.migration
  UNION ALL
  SELECT i.migration, CASE i.object_class WHEN 'function' THEN 2 ELSE 1 END, i.object_name,
         format('- %s`%s`: %s%s', CASE i.object_class WHEN 'function' THEN '' ELSE i.object_class || ' ' END,
                i.object_name, CASE WHEN i.is_of_workers THEN '**Workers**. ' ELSE '' END,
                pg_temp.cell(pg_temp.said(i.comment)))
    FROM inside i WHERE NOT i.is_body
  UNION ALL
  SELECT i.migration, 3, '',
         '- Bodies: ' || string_agg(format('`%s`', i.object_name), ', ' ORDER BY i.object_name COLLATE "C") || E'.'
    FROM inside i WHERE i.is_body GROUP BY i.migration
  UNION ALL
  SELECT i.migration, 4, '', '' FROM inside i GROUP BY i.migration) lines;
