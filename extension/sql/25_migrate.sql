-- What exists is asked often and must be quick (object_names), what it exactly is
-- only before and after a migration (object_inventory).

CREATE FUNCTION row_sources(
    OUT object_class text, OUT relation regclass, OUT owner name, OUT name_expression text, OUT skipped_columns text[])
  RETURNS SETOF record
  LANGUAGE sql STABLE ROWS 4
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT w.class, c.oid::regclass, pg_get_userbyid(c.relowner),
         (SELECT string_agg(format('t.%I::text', k), ' || ''.'' || ' ORDER BY n) FROM unnest(w.key) WITH ORDINALITY AS part (k, n)),
         w.skipped || ARRAY(SELECT a.attname::text FROM pg_attribute a
                             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                               AND (a.attidentity <> '' OR a.atttypid IN
                                    ('timestamptz'::regtype, 'timestamp'::regtype, 'uuid'::regtype,
                                     'xid8'::regtype, 'pg_snapshot'::regtype)))
    FROM (VALUES ('config', 'dot_config', ARRAY['key'], ARRAY['value']),
                 ('event_type', 'event_type_registry', ARRAY['event_domain', 'event_type'], ARRAY[]::text[]),
                 ('route', 'iu_outbound_route', ARRAY['route_code'], ARRAY[]::text[]),
                 ('route', 'iu_sql_event_route', ARRAY['route_code'], ARRAY[]::text[])) AS w (class, relname, key, skipped)
    JOIN pg_class c ON c.relname = w.relname AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    -- A stranger's table could have columns of a type whose casts are his functions.
    JOIN pg_roles o ON o.oid = c.relowner AND (o.rolname = 'iu_core_owner' OR o.rolsuper)
   WHERE has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid)
     AND (SELECT count(*) FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attname = ANY (w.key)) = cardinality(w.key)
$function$;
COMMENT ON FUNCTION row_sources() IS
  'The tables whose rows count as objects: where they are there, belong to iu_core_owner or a superuser, have their key and may be read by the caller; how a row''s name is put together, and which columns are no part of its definition (the value of a dot_config row, since gates flip, and what differs from one making of the row to the next). Raises nothing. (design: Conformance)';

CREATE FUNCTION object_names(
    OUT object_class text, OUT object_name text, OUT owner name, OUT catalog_id regclass, OUT object_id oid)
  RETURNS SETOF record
  LANGUAGE plpgsql STABLE ROWS 1000
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_source record;
BEGIN
  RETURN QUERY
  WITH member AS MATERIALIZED (
    SELECT d.classid, d.objid FROM pg_depend d WHERE d.deptype = 'e'
  ), space AS MATERIALIZED (
    SELECT n.oid, n.nspname, n.nspowner, CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END AS prefix
      FROM pg_namespace n
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_extension x WHERE x.extname = 'iu_core' AND x.extnamespace = n.oid)
  ), relation AS MATERIALIZED (
    SELECT c.oid, c.relkind, c.relowner, s.prefix || quote_ident(c.relname) AS name
      FROM pg_class c JOIN space s ON s.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
       AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
  ), named AS (
    SELECT CASE WHEN r.relkind IN ('v', 'm') THEN 'view' WHEN r.relkind = 'S' THEN 'sequence' ELSE 'table' END AS class,
           r.name, r.relowner AS owner_id, 'pg_class'::regclass AS catalog, r.oid
      FROM relation r
     WHERE r.relkind <> 'S'
        OR NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype IN ('a', 'i')
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0)
    UNION ALL
    SELECT 'trigger', quote_ident(g.tgname) || ' ON ' || r.name, r.relowner, 'pg_trigger'::regclass, g.oid
      FROM relation r JOIN pg_trigger g ON g.tgrelid = r.oid
     WHERE NOT g.tgisinternal AND g.tgparentid = 0
    UNION ALL
    SELECT 'function', s.prefix || quote_ident(p.proname) || '(' ||
             coalesce((SELECT string_agg(format_type(t, NULL), ',' ORDER BY n)
                         FROM unnest(p.proargtypes) WITH ORDINALITY AS argument (t, n)), '') || ')',
           p.proowner, 'pg_proc'::regclass, p.oid
      FROM pg_proc p JOIN space s ON s.oid = p.pronamespace
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
    UNION ALL
    SELECT 'type', s.prefix || quote_ident(t.typname), t.typowner, 'pg_type'::regclass, t.oid
      FROM pg_type t JOIN space s ON s.oid = t.typnamespace
     WHERE t.typtype <> 'm'
       AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
       AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
       AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
    UNION ALL
    SELECT 'schema', quote_ident(s.nspname), s.nspowner, 'pg_namespace'::regclass, s.oid
      FROM space s
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_namespace'::regclass AND m.objid = s.oid)
  )
  SELECT n.class, n.name, pg_get_userbyid(n.owner_id), n.catalog, n.oid FROM named n;

  FOR v_source IN SELECT * FROM iu_core.row_sources() LOOP
    RETURN QUERY EXECUTE format('SELECT %L::text, %s, %L::name, NULL::regclass, NULL::oid FROM %s t WHERE %s IS NOT NULL',
      v_source.object_class, v_source.name_expression, v_source.owner, v_source.relation, v_source.name_expression);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION object_names() IS
  'Every object of this database that no extension brings: object_class (table, view, function, trigger, type, sequence, schema; and by row config, event_type, route), object_name (without public; function with its argument types, trigger as "name ON table"), owner, and where the catalog has it (NULL for rows). Row classes are left out where the caller may not read the table. Raises nothing of its own. (design: Two layers, Conformance)';

CREATE FUNCTION object_inventory(
    OUT object_class text, OUT object_name text, OUT owner name, OUT fingerprint text)
  RETURNS SETOF record
  LANGUAGE plpgsql STABLE ROWS 1000
  SET search_path = pg_catalog, pg_temp
  SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET timezone = 'UTC'
  SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmloption = 'content'
  SET quote_all_identifiers = off
AS $function$
DECLARE
  v_source record;
BEGIN
  -- A definition is spelled without oids and column numbers, an access list
  -- with its defaults and in order, so that the same schema made twice has the
  -- same fingerprints.
  RETURN QUERY
  WITH named AS MATERIALIZED (
    SELECT n.object_class AS class, n.object_name AS name, n.owner, n.catalog_id AS catalog, n.object_id AS oid
      FROM iu_core.object_names() n
     WHERE n.object_id IS NOT NULL
  ), owned_sequence AS MATERIALIZED (
    SELECT d.objid AS oid, d.refobjid AS table_oid, d.refobjsubid AS column_number
      FROM pg_depend d JOIN named n ON n.catalog = 'pg_class'::regclass AND n.oid = d.refobjid
     WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
       AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
  ), relation AS MATERIALIZED (
    SELECT c.*,
           concat_ws(E'\n',
             pg_get_userbyid(c.relowner), c.relkind, c.relpersistence,
             (SELECT am.amname FROM pg_am am WHERE am.oid = c.relam),
             (SELECT t.spcname FROM pg_tablespace t WHERE t.oid = c.reltablespace),
             (SELECT string_agg(o, ',' ORDER BY o COLLATE "C") FROM unnest(c.reloptions) o),
             (SELECT string_agg(a::text, ',' ORDER BY a::text COLLATE "C")
                FROM unnest(coalesce(c.relacl,
                  acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) a),
             'comment ' || obj_description(c.oid, 'pg_class')) AS heading
      FROM pg_class c
      JOIN (SELECT n.oid FROM named n WHERE n.catalog = 'pg_class'::regclass
            UNION ALL SELECT o.oid FROM owned_sequence o) AS wanted ON wanted.oid = c.oid
  ), sequence_text AS MATERIALIZED (
    SELECT r.oid, concat_ws(' ', r.oid::regclass, format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement,
             q.seqmin, q.seqmax, q.seqcache, q.seqcycle, r.heading) AS definition
      FROM relation r JOIN pg_sequence q ON q.seqrelid = r.oid
  ), column_sequence AS MATERIALIZED (
    SELECT o.table_oid, o.column_number, string_agg(q.definition, ';' ORDER BY q.definition COLLATE "C") AS definition
      FROM owned_sequence o JOIN sequence_text q USING (oid)
     GROUP BY o.table_oid, o.column_number
  ), column_text AS MATERIALIZED (
    SELECT a.attrelid, string_agg(concat_ws(' ',
             quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
             CASE WHEN a.attnotnull THEN 'not null' END,
             'default ' || pg_get_expr(d.adbin, d.adrelid),
             'identity ' || nullif(a.attidentity::text, ''), 'generated ' || nullif(a.attgenerated::text, ''),
             'collate ' || nullif(a.attcollation, 0)::regcollation::text,
             'storage ' || a.attstorage::text, 'compression ' || nullif(a.attcompression::text, ''),
             'statistics ' || nullif(a.attstattarget, -1),
             'local ' || a.attislocal, 'inherited ' || a.attinhcount,
             -- pg_attver is no option: the minor releases of late 2026 keep a
             -- column's internal version under that reserved key.
             (SELECT 'options ' || string_agg(o, ',' ORDER BY o COLLATE "C")
                FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\_attver=%'),
             'remote ' || a.attfdwoptions::text,
             (SELECT 'grants ' || string_agg(g::text, ',' ORDER BY g::text COLLATE "C") FROM unnest(a.attacl) g),
             'comment ' || col_description(a.attrelid, a.attnum),
             'sequence ' || cs.definition),
             E'\n' ORDER BY a.attnum) AS definition
      FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN column_sequence cs ON cs.table_oid = a.attrelid AND cs.column_number = a.attnum
     WHERE a.attnum > 0 AND NOT a.attisdropped AND r.relkind <> 'S'
     GROUP BY a.attrelid
  ), defined AS (
    SELECT 'pg_class'::regclass AS catalog, r.oid,
           concat_ws(E'\n', r.heading, ct.definition,
             CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END,
             concat_ws(' ', 'row security', r.relrowsecurity, r.relforcerowsecurity, 'replica identity', r.relreplident),
             CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
             CASE WHEN r.relispartition THEN pg_get_expr(r.relpartbound, r.oid) END,
             (SELECT 'inherits ' || string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno)
                FROM pg_inherits i WHERE i.inhrelid = r.oid),
             (SELECT 'of type ' || format_type(r.reloftype, NULL) WHERE r.reloftype <> 0),
             (SELECT 'server ' || v.srvname || ' ' || coalesce(f.ftoptions::text, '')
                FROM pg_foreign_table f JOIN pg_foreign_server v ON v.oid = f.ftserver WHERE f.ftrelid = r.oid),
             (SELECT string_agg(concat_ws(' ', 'constraint', quote_ident(k.conname), pg_get_constraintdef(k.oid), k.convalidated,
                                          'comment ' || obj_description(k.oid, 'pg_constraint')),
                                E'\n' ORDER BY k.conname COLLATE "C")
                FROM pg_constraint k WHERE k.conrelid = r.oid AND k.contype <> 't'),
             (SELECT string_agg(concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident,
                                          'comment ' || obj_description(i.indexrelid, 'pg_class')),
                                E'\n' ORDER BY x.relname COLLATE "C")
                FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = r.oid),
             (SELECT string_agg(concat_ws(' ', pg_get_statisticsobjdef(e.oid), pg_get_userbyid(e.stxowner),
                                          'comment ' || obj_description(e.oid, 'pg_statistic_ext')),
                                E'\n' ORDER BY e.stxname COLLATE "C")
                FROM pg_statistic_ext e WHERE e.stxrelid = r.oid),
             (SELECT string_agg(concat_ws(' ', pg_get_ruledef(w.oid), w.ev_enabled,
                                          'comment ' || obj_description(w.oid, 'pg_rewrite')),
                                E'\n' ORDER BY w.rulename COLLATE "C")
                FROM pg_rewrite w WHERE w.ev_class = r.oid AND w.rulename <> '_RETURN'),
             (SELECT string_agg(concat_ws(' ', 'policy', quote_ident(p.polname), p.polcmd, p.polpermissive,
                                          (SELECT string_agg(CASE u WHEN 0 THEN 'public' ELSE pg_get_userbyid(u) END::text, ','
                                                             ORDER BY pg_get_userbyid(u) COLLATE "C") FROM unnest(p.polroles) u),
                                          'using ' || pg_get_expr(p.polqual, p.polrelid),
                                          'check ' || pg_get_expr(p.polwithcheck, p.polrelid),
                                          'comment ' || obj_description(p.oid, 'pg_policy')),
                                E'\n' ORDER BY p.polname COLLATE "C")
                FROM pg_policy p WHERE p.polrelid = r.oid)) AS definition
      FROM relation r LEFT JOIN column_text ct ON ct.attrelid = r.oid
     WHERE r.relkind <> 'S'

    UNION ALL
    SELECT 'pg_class'::regclass, q.oid, q.definition FROM sequence_text q

    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid,
           concat_ws(E'\n', pg_get_userbyid(p.proowner), p.prokind,
             CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid)
                  ELSE pg_get_function_arguments(p.oid) || ' returns ' || pg_get_function_result(p.oid) END,
             (SELECT concat_ws(' ', g.aggkind, g.aggnumdirectargs, g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn,
                               g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn, g.aggfinalextra,
                               g.aggfinalmodify, g.aggsortop::regoperator, format_type(g.aggtranstype, NULL), g.agginitval)
                FROM pg_aggregate g WHERE g.aggfnoid = p.oid),
             (SELECT string_agg(a::text, ',' ORDER BY a::text COLLATE "C")
                FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a),
             'comment ' || obj_description(p.oid, 'pg_proc'))
      FROM pg_proc p JOIN named n ON n.catalog = 'pg_proc'::regclass AND n.oid = p.oid

    UNION ALL
    SELECT 'pg_trigger'::regclass, g.oid,
           concat_ws(E'\n', pg_get_triggerdef(g.oid), g.tgenabled, 'comment ' || obj_description(g.oid, 'pg_trigger'))
      FROM pg_trigger g JOIN named n ON n.catalog = 'pg_trigger'::regclass AND n.oid = g.oid

    UNION ALL
    SELECT 'pg_type'::regclass, t.oid,
           concat_ws(E'\n', pg_get_userbyid(t.typowner), t.typtype,
             (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ',' ORDER BY a.attnum)
                FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
             (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
             (SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = t.oid),
             CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
             CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault,
             CASE WHEN t.typtype = 'b' THEN concat_ws(' ', t.typinput, t.typoutput, t.typlen, t.typbyval, t.typalign, t.typstorage) END,
             (SELECT string_agg(quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), E'\n' ORDER BY k.conname COLLATE "C")
                FROM pg_constraint k WHERE k.contypid = t.oid),
             (SELECT string_agg(a::text, ',' ORDER BY a::text COLLATE "C")
                FROM unnest(coalesce(t.typacl, acldefault('T', t.typowner))) a),
             'comment ' || obj_description(t.oid, 'pg_type'))
      FROM pg_type t JOIN named n ON n.catalog = 'pg_type'::regclass AND n.oid = t.oid

    UNION ALL
    SELECT 'pg_namespace'::regclass, s.oid,
           concat_ws(E'\n', pg_get_userbyid(s.nspowner),
             (SELECT string_agg(a::text, ',' ORDER BY a::text COLLATE "C")
                FROM unnest(coalesce(s.nspacl, acldefault('n', s.nspowner))) a),
             'comment ' || obj_description(s.oid, 'pg_namespace'))
      FROM pg_namespace s JOIN named n ON n.catalog = 'pg_namespace'::regclass AND n.oid = s.oid
  )
  SELECT n.class, n.name, n.owner, encode(sha256(convert_to(d.definition, 'UTF8')), 'hex')
    FROM named n JOIN defined d ON d.catalog = n.catalog AND d.oid = n.oid;

  FOR v_source IN SELECT * FROM iu_core.row_sources() LOOP
    RETURN QUERY EXECUTE format(
      'SELECT %L::text, %s, %L::name, encode(sha256(convert_to((to_jsonb(t) - %L::text[])::text, ''UTF8'')), ''hex'') FROM %s t WHERE %s IS NOT NULL',
      v_source.object_class, v_source.name_expression, v_source.owner, v_source.skipped_columns, v_source.relation,
      v_source.name_expression);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION object_inventory() IS
  'object_names() with a fingerprint each: SHA-256 of the definition with columns, indexes, constraints, owned sequences, comment, owner and access list. The same definition made again by the same script has the same fingerprint, in this database or in another; after dump and restore an expression may be spelled with fewer parentheses, and so have another. The values of dot_config are not part of it. Takes about 0.05 ms an object: to know only what exists, ask object_names(). Raises nothing of its own. (design: Two layers, Conformance)';

CREATE FUNCTION guard_absent(object_class text, VARIADIC object_names text[]) RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_found text;
  v_class text;
BEGIN
  IF guard_absent.object_class IS NULL OR guard_absent.object_class NOT IN
     ('table', 'view', 'function', 'trigger', 'type', 'sequence', 'schema', 'config', 'event_type', 'route') THEN
    RAISE invalid_parameter_value USING
      MESSAGE = format('unknown object class %s', coalesce(quote_ident(guard_absent.object_class), 'NULL')),
      HINT = 'The classes are table, view, function, trigger, type, sequence, schema, config, event_type and route.';
  END IF;

  -- A table, a view and a sequence share their names.
  SELECT i.object_class, i.object_name INTO v_class, v_found
    FROM iu_core.object_names() i
    JOIN unnest(guard_absent.object_names) AS wanted (name) ON i.object_name = regexp_replace(wanted.name, '^public\.', '')
   WHERE i.object_class = guard_absent.object_class
      OR (i.object_class IN ('table', 'view', 'sequence') AND guard_absent.object_class IN ('table', 'view', 'sequence'))
   ORDER BY i.object_name COLLATE "C"
   LIMIT 1;
  IF FOUND THEN
    RAISE duplicate_object USING
      MESSAGE = format('%s "%s%s" exists and was not made by this migration', v_class,
        CASE WHEN v_class IN ('table', 'view', 'sequence', 'function', 'type')
                  AND split_part(v_found, '(', 1) NOT LIKE '%.%' THEN 'public.' ELSE '' END, v_found),
      HINT = 'Rename or remove it if nothing needs it, then migrate again.';
  END IF;
END
$function$;
COMMENT ON FUNCTION guard_absent(text, text[]) IS
  'The guard at the head of a migration: raises SQLSTATE 42710 naming the first of these objects that exists. object_class and object_names as in object_names(). SQLSTATE 22023 for an unknown class. (design: Two layers)';

CREATE FUNCTION guard_rows(table_name regclass, condition text DEFAULT 'true') RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_guard_rows';
COMMENT ON FUNCTION guard_rows(regclass, text) IS
  'The guard at the head of a rollback script: locks the table against writers, counts its rows that meet the condition (SQL, evaluated as written) and returns the count. SQLSTATE 55006 if there are any, unless the rollback was called with allow_data_loss: then it reports how many are lost. 55000 outside of a rollback, 22004 for NULL. (design: Two layers)';

CREATE TABLE applied_migration (
  version integer PRIMARY KEY CHECK (version > 0),
  name text NOT NULL,
  checksum text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
  applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  applied_by name NOT NULL DEFAULT SESSION_USER);
COMMENT ON TABLE applied_migration IS
  'The migrations that were applied to this database; dumped with it. Written by the runner only. Read iu_core.migrations. (design: Two layers)';
COMMENT ON COLUMN applied_migration.checksum IS 'SHA-256 in hex of the script as it was applied';
COMMENT ON COLUMN applied_migration.applied_by IS 'the user that was logged in';
SELECT pg_catalog.pg_extension_config_dump('applied_migration', '');

CREATE FUNCTION migration_scripts(OUT version integer, OUT name text, OUT checksum text)
  RETURNS SETOF record
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_migration_scripts';
COMMENT ON FUNCTION migration_scripts() IS
  'The migrations that the library carries, with the SHA-256 of each script in hex. Raises nothing. (design: Two layers)';

CREATE VIEW migrations AS
  SELECT coalesce(a.version, s.version) AS version,
         coalesce(s.name, a.name) AS name,
         CASE WHEN a.version IS NULL THEN 'pending'
              WHEN a.checksum = s.checksum THEN 'applied'
              ELSE 'drifted' END AS state,
         coalesce(a.checksum, s.checksum) AS checksum,
         a.applied_at, a.applied_by
    FROM migration_scripts() s FULL JOIN applied_migration a ON a.version = s.version;
COMMENT ON VIEW migrations IS
  'One row per migration that the library carries or that was applied: version, name, state (applied; pending; drifted: the library has another text for it, or none), checksum (SHA-256 in hex: of what was applied, for a pending one of what would be), applied_at, applied_by (the user that was logged in). (design: Two layers)';

CREATE FUNCTION migrate(
    target integer DEFAULT NULL, dry_run boolean DEFAULT false,
    OUT version integer, OUT script text, OUT change text, OUT object_class text, OUT object_name text, OUT rows_lost bigint)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_migrate';
COMMENT ON FUNCTION migrate(integer, boolean) IS
  'Applies every pending migration up to and including target (NULL: all) in order, as iu_core_owner, all or nothing. One row per object: version, script, change (added, changed, removed), object_class and object_name as in object_names(). With dry_run everything is executed, reported and undone. An error names script and line. Constraints are checked at once, unless a script defers them, and then at its end; this holds for the rest of the transaction. SQLSTATE 22023: no such target, or the database is beyond it; 55000: an applied migration has drifted; 55P03: another run is in progress; 25000: not READ COMMITTED; 0A000: the database''s encoding is not UTF8; 42710: an object of a migration exists already. (design: Two layers)';

CREATE FUNCTION rollback(
    target integer, dry_run boolean DEFAULT false, allow_data_loss boolean DEFAULT false,
    OUT version integer, OUT script text, OUT change text, OUT object_class text, OUT object_name text, OUT rows_lost bigint)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_rollback';
COMMENT ON FUNCTION rollback(integer, boolean, boolean) IS
  'Rolls back every applied migration above target, the last first, as iu_core_owner, all or nothing. target is the last one that stays, 0 for none. Result, dry_run and the rest as in migrate(); with allow_data_loss there is also a row "rows lost" with rows_lost for each table that held some. SQLSTATE 55006: a gate is open (always), or rows would be lost (without allow_data_loss); 22023: target is neither 0 nor applied; 22004: target is NULL; 55000: the library does not carry the script; 55P03, 25000 as in migrate(). A drifted migration is rolled back with a warning. (seed 4 A6; design: Two layers)';
