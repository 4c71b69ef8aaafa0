-- What exists in this database. That something exists is asked often and must
-- be quick (object_names); what it exactly is (object_inventory) is asked around
-- a migration and by conformance.

CREATE FUNCTION row_sources(
    OUT object_class text, OUT relation regclass, OUT owner name, OUT name_expression text, OUT skipped_columns text[])
  RETURNS SETOF record
  LANGUAGE sql STABLE ROWS 4
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT w.class, c.oid::regclass, pg_get_userbyid(c.relowner),
         (SELECT string_agg(format('t.%I::text', k), ' || ''.'' || ' ORDER BY n)
            FROM unnest(w.key) WITH ORDINALITY AS part (k, n)),
         w.skipped || ARRAY(SELECT a.attname::text FROM pg_attribute a
                             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                               AND (a.attidentity <> '' OR a.atttypid IN
                                    ('timestamptz'::regtype, 'timestamp'::regtype, 'uuid'::regtype,
                                     'xid8'::regtype, 'pg_snapshot'::regtype)))
    FROM (VALUES ('config', 'dot_config', ARRAY['key'], ARRAY['value']),
                 ('event_type', 'event_type_registry', ARRAY['event_domain', 'event_type'], ARRAY[]::text[]),
                 ('route', 'iu_outbound_route', ARRAY['route_code'], ARRAY[]::text[]),
                 ('route', 'iu_sql_event_route', ARRAY['route_code'], ARRAY[]::text[]))
           AS w (class, relname, key, skipped)
    JOIN pg_class c ON c.relname = w.relname AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    -- A stranger's table could have columns of a type whose casts are his functions.
    JOIN pg_roles o ON o.oid = c.relowner AND (o.rolname = 'iu_core_owner' OR o.rolsuper)
   WHERE has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid)
     AND (SELECT count(*) FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attname = ANY (w.key)) = cardinality(w.key)
$function$;
COMMENT ON FUNCTION row_sources() IS
  'The tables whose rows count as objects: where they are there, belong to iu_core_owner or a superuser, have their '
  'key and may be read by the caller; how a row''s name is put together, and which columns are no part of its '
  'definition (the value of a dot_config row, since gates flip, and what differs from one making of the row to the '
  'next). Raises nothing.';

CREATE FUNCTION named_objects(
    objects oid[],
    OUT object_class text, OUT object_name text, OUT owner name, OUT catalog_id regclass, OUT object_id oid)
  RETURNS SETOF record
  LANGUAGE plpgsql STABLE ROWS 1000
  SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_generic_plan
AS $function$
BEGIN
  RETURN QUERY
  WITH member AS MATERIALIZED (
    SELECT d.classid, d.objid FROM pg_depend d WHERE d.deptype = 'e'
  ), space AS MATERIALIZED (
    SELECT n.oid, n.nspname, n.nspowner,
           CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END AS prefix
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
  SELECT n.class, n.name, pg_get_userbyid(n.owner_id), n.catalog, n.oid
    FROM named n WHERE objects IS NULL OR n.oid = ANY (objects);
END
$function$;
COMMENT ON FUNCTION named_objects(oid[]) IS
  'object_names() without rows: all objects (NULL), or those of these oids, of whatever catalog. Raises nothing of '
  'its own.';

CREATE FUNCTION object_names(
    OUT object_class text, OUT object_name text, OUT owner name, OUT catalog_id regclass, OUT object_id oid)
  RETURNS SETOF record
  LANGUAGE plpgsql STABLE ROWS 1000
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_source record;
BEGIN
  RETURN QUERY SELECT * FROM iu_core.named_objects(NULL);
  FOR v_source IN SELECT * FROM iu_core.row_sources() LOOP
    RETURN QUERY EXECUTE format(
      'SELECT %L::text, %s, %L::name, NULL::regclass, NULL::oid FROM %s t WHERE %s IS NOT NULL',
      v_source.object_class, v_source.name_expression, v_source.owner, v_source.relation, v_source.name_expression);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION object_names() IS
  'Every object of this database that no extension brings: object_class (table, view, function, trigger, type, '
  'sequence, schema; and by row config, event_type, route), object_name (without public; function with its argument '
  'types, trigger as "name ON table"), owner, and where the catalog has it (NULL for rows). Row classes are left out '
  'where the caller may not read the table. Raises nothing of its own.';

-- In plpgsql, which plans it once for a session: it is called for every object.
CREATE FUNCTION grants_text(acl aclitem[], kind "char", owner oid) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (
    SELECT string_agg(CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END
                        || ': ' || a.privileges, ', '
                      ORDER BY a.grantee <> 0, pg_get_userbyid(a.grantee) COLLATE "C")
      FROM (SELECT x.grantee,
                   string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN ' with grant option' ELSE '' END, ' '
                              ORDER BY x.privilege_type COLLATE "C") AS privileges
              FROM aclexplode(coalesce(acl, acldefault(kind, owner))) x
             WHERE x.grantee <> grants_text.owner
             GROUP BY x.grantee) a);
END
$function$;
COMMENT ON FUNCTION grants_text(aclitem[], "char", oid) IS
  'An access list in words, e.g. "iu_core_reader: SELECT", in order of names: the list (NULL: the defaults of that '
  'kind of object, a letter as of acldefault()), and the owner, whose own rights are left out. NULL where nobody '
  'else has a right.';

CREATE FUNCTION object_states(
    objects oid[],
    OUT object_class text, OUT object_name text, OUT owner name, OUT grants text, OUT state text, OUT digest text,
    OUT fingerprint text, OUT catalog_id regclass, OUT object_id oid)
  RETURNS SETOF record
  LANGUAGE plpgsql STABLE ROWS 1000
  SET search_path = pg_catalog, pg_temp
  SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET timezone = 'UTC'
  SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmloption = 'content'
  SET quote_all_identifiers = off
  -- A run of migrations asks once a script: planning costs more than a better plan saves.
  SET plan_cache_mode = force_generic_plan
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
      FROM iu_core.named_objects(object_states.objects) n
  ), owned_sequence AS MATERIALIZED (
    SELECT d.objid AS oid, d.refobjid AS table_oid, d.refobjsubid AS column_number
      FROM pg_depend d JOIN named n ON n.catalog = 'pg_class'::regclass AND n.oid = d.refobjid
     WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
       AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
  ), relation AS MATERIALIZED (
    SELECT c.*,
           iu_core.grants_text(c.relacl, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner) AS grants,
           concat_ws(E'\n',
             c.relkind, c.relpersistence,
             (SELECT am.amname FROM pg_am am WHERE am.oid = c.relam),
             (SELECT t.spcname FROM pg_tablespace t WHERE t.oid = c.reltablespace),
             (SELECT string_agg(o, ',' ORDER BY o COLLATE "C") FROM unnest(c.reloptions) o)) AS heading
      FROM pg_class c
      JOIN (SELECT n.oid FROM named n WHERE n.catalog = 'pg_class'::regclass
            UNION ALL SELECT o.oid FROM owned_sequence o) AS wanted ON wanted.oid = c.oid
  ), sequence_text AS MATERIALIZED (
    SELECT r.oid, concat_ws(' ', r.oid::regclass, format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement,
             q.seqmin, q.seqmax, q.seqcache, q.seqcycle, r.heading) AS definition
      FROM relation r JOIN pg_sequence q ON q.seqrelid = r.oid
  ), column_sequence AS MATERIALIZED (
    SELECT o.table_oid, o.column_number,
           string_agg(concat_ws(' ', q.definition, pg_get_userbyid(r.relowner), r.grants), ';'
                      ORDER BY q.definition COLLATE "C") AS definition
      FROM owned_sequence o JOIN sequence_text q USING (oid) JOIN relation r USING (oid)
     GROUP BY o.table_oid, o.column_number
  ), column_text AS MATERIALIZED (
    SELECT a.attrelid,
           string_agg(concat_ws(' ',
             quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
             CASE WHEN a.attnotnull THEN 'not null' END,
             'default ' || pg_get_expr(d.adbin, d.adrelid),
             'identity ' || nullif(a.attidentity::text, ''), 'generated ' || nullif(a.attgenerated::text, ''),
             'collate ' || nullif(a.attcollation, 0)::regcollation::text,
             'remote ' || a.attfdwoptions::text),
             E'\n' ORDER BY a.attnum) AS definition,
           string_agg(concat_ws(' ',
             'storage ' || a.attstorage::text, 'compression ' || nullif(a.attcompression::text, ''),
             'statistics ' || nullif(a.attstattarget, -1),
             'local ' || a.attislocal, 'inherited ' || a.attinhcount,
             -- pg_attver is no option: the minor releases of late 2026 keep a
             -- column's internal version under that reserved key.
             (SELECT 'options ' || string_agg(o, ',' ORDER BY o COLLATE "C")
                FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\_attver=%'),
             'comment ' || c.description,
             'sequence ' || cs.definition),
             E'\n' ORDER BY a.attnum) AS detail,
           string_agg(quote_ident(a.attname) || ': ' || iu_core.grants_text(a.attacl, 'c', r.relowner), '; '
                      ORDER BY a.attnum) FILTER (WHERE a.attacl IS NOT NULL) AS grants
      FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN column_sequence cs ON cs.table_oid = a.attrelid AND cs.column_number = a.attnum
      LEFT JOIN pg_description c
        ON c.classoid = 'pg_class'::regclass AND c.objoid = a.attrelid AND c.objsubid = a.attnum
     WHERE a.attnum > 0 AND NOT a.attisdropped AND r.relkind <> 'S'
     GROUP BY a.attrelid
  ), described AS (
    SELECT 'pg_class'::regclass AS catalog, r.oid, true AS spelled,
           nullif(concat_ws('; ', r.grants, ct.grants), '') AS grants,
           concat_ws('; ',
             CASE WHEN r.relrowsecurity THEN 'row security on' ELSE 'row security off' END,
             CASE WHEN r.relforcerowsecurity THEN 'row security forced' END,
             (SELECT string_agg(concat_ws(' ', 'policy', quote_ident(p.polname), p.polcmd, p.polpermissive,
                                          (SELECT string_agg(CASE u WHEN 0 THEN 'public'
                                                                    ELSE pg_get_userbyid(u) END::text, ','
                                                             ORDER BY pg_get_userbyid(u) COLLATE "C")
                                             FROM unnest(p.polroles) u),
                                          'using ' || pg_get_expr(p.polqual, p.polrelid),
                                          'check ' || pg_get_expr(p.polwithcheck, p.polrelid)),
                                '; ' ORDER BY p.polname COLLATE "C")
                FROM pg_policy p WHERE p.polrelid = r.oid),
             (SELECT string_agg(concat_ws(' ', 'rule', quote_ident(w.rulename), w.ev_enabled), '; '
                                ORDER BY w.rulename COLLATE "C")
                FROM pg_rewrite w WHERE w.ev_class = r.oid AND w.rulename <> '_RETURN')) AS state,
           concat_ws(E'\n', r.heading, ct.definition,
             CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END,
             'replica identity ' || r.relreplident::text,
             CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
             CASE WHEN r.relispartition THEN pg_get_expr(r.relpartbound, r.oid) END,
             (SELECT 'inherits ' || string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno)
                FROM pg_inherits i WHERE i.inhrelid = r.oid),
             (SELECT 'of type ' || format_type(r.reloftype, NULL) WHERE r.reloftype <> 0),
             (SELECT 'server ' || v.srvname || ' ' || coalesce(f.ftoptions::text, '')
                FROM pg_foreign_table f JOIN pg_foreign_server v ON v.oid = f.ftserver WHERE f.ftrelid = r.oid),
             -- 18 lists NOT NULL among the constraints; it is with the columns already
             (SELECT string_agg(concat_ws(' ', 'constraint', quote_ident(k.conname), pg_get_constraintdef(k.oid),
                                          k.convalidated),
                                E'\n' ORDER BY k.conname COLLATE "C")
                FROM pg_constraint k WHERE k.conrelid = r.oid AND k.contype NOT IN ('t', 'n')),
             (SELECT string_agg(concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident),
                                E'\n' ORDER BY x.relname COLLATE "C")
                FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = r.oid),
             (SELECT string_agg(pg_get_ruledef(w.oid), E'\n' ORDER BY w.rulename COLLATE "C")
                FROM pg_rewrite w WHERE w.ev_class = r.oid AND w.rulename <> '_RETURN')) AS definition,
           concat_ws(E'\n', ct.detail,
             (SELECT string_agg(concat_ws(' ', pg_get_statisticsobjdef(e.oid), pg_get_userbyid(e.stxowner),
                                          'comment ' || obj_description(e.oid, 'pg_statistic_ext')),
                                E'\n' ORDER BY e.stxname COLLATE "C")
                FROM pg_statistic_ext e WHERE e.stxrelid = r.oid),
             (SELECT string_agg(concat_ws(' ', k.conname, obj_description(k.oid, 'pg_constraint')),
                                E'\n' ORDER BY k.conname COLLATE "C")
                FROM pg_constraint k WHERE k.conrelid = r.oid AND k.contype <> 't'),
             (SELECT string_agg(concat_ws(' ', x.relname, i.indisclustered, obj_description(x.oid, 'pg_class')),
                                E'\n' ORDER BY x.relname COLLATE "C")
                FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = r.oid),
             (SELECT string_agg(concat_ws(' ', w.rulename, obj_description(w.oid, 'pg_rewrite')),
                                E'\n' ORDER BY w.rulename COLLATE "C")
                FROM pg_rewrite w WHERE w.ev_class = r.oid AND w.rulename <> '_RETURN'),
             (SELECT string_agg(concat_ws(' ', p.polname, obj_description(p.oid, 'pg_policy')),
                                E'\n' ORDER BY p.polname COLLATE "C")
                FROM pg_policy p WHERE p.polrelid = r.oid)) AS detail
      FROM relation r LEFT JOIN column_text ct ON ct.attrelid = r.oid
     WHERE r.relkind <> 'S'

    UNION ALL
    SELECT 'pg_class'::regclass, q.oid, false, r.grants, '', q.definition, ''
      FROM sequence_text q JOIN relation r USING (oid)

    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, p.prosqlbody IS NOT NULL OR p.proargdefaults IS NOT NULL,
           iu_core.grants_text(p.proacl, 'f', p.proowner),
           concat_ws('; ', CASE WHEN p.prosecdef THEN 'security definer' END, array_to_string(p.proconfig, '; ')),
           concat_ws(E'\n', p.prokind,
             CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid)
                  ELSE pg_get_function_arguments(p.oid) || ' returns ' || pg_get_function_result(p.oid) END,
             (SELECT concat_ws(' ', g.aggkind, g.aggnumdirectargs, g.aggtransfn, g.aggfinalfn, g.aggcombinefn,
                               g.aggserialfn, g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn,
                               g.aggfinalextra, g.aggfinalmodify, g.aggsortop::regoperator,
                               format_type(g.aggtranstype, NULL), g.agginitval)
                FROM pg_aggregate g WHERE g.aggfnoid = p.oid)),
           ''
      FROM pg_proc p JOIN named n ON n.catalog = 'pg_proc'::regclass AND n.oid = p.oid

    UNION ALL
    SELECT 'pg_trigger'::regclass, g.oid, true, NULL,
           CASE g.tgenabled WHEN 'O' THEN 'enabled' WHEN 'A' THEN 'enabled always'
                            WHEN 'R' THEN 'enabled for replication only' ELSE 'disabled' END,
           pg_get_triggerdef(g.oid), ''
      FROM pg_trigger g JOIN named n ON n.catalog = 'pg_trigger'::regclass AND n.oid = g.oid

    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, true, iu_core.grants_text(t.typacl, 'T', t.typowner), '',
           concat_ws(E'\n', t.typtype,
             (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ','
                                ORDER BY a.attnum)
                FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
             (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder)
                FROM pg_enum e WHERE e.enumtypid = t.oid),
             (SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = t.oid),
             CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
             CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault,
             CASE WHEN t.typtype = 'b' THEN concat_ws(' ', t.typinput, t.typoutput, t.typlen, t.typbyval,
                                                      t.typalign, t.typstorage) END,
             (SELECT string_agg(quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid),
                                E'\n' ORDER BY k.conname COLLATE "C")
                FROM pg_constraint k WHERE k.contypid = t.oid)),
           ''
      FROM pg_type t JOIN named n ON n.catalog = 'pg_type'::regclass AND n.oid = t.oid

    UNION ALL
    SELECT 'pg_namespace'::regclass, s.oid, false, iu_core.grants_text(s.nspacl, 'n', s.nspowner), '', '', ''
      FROM pg_namespace s JOIN named n ON n.catalog = 'pg_namespace'::regclass AND n.oid = s.oid
  )
  SELECT n.class, n.name, n.owner, d.grants, d.state, hashed.digest,
         encode(sha256(convert_to(concat_ws(E'\n', n.owner, d.grants, d.state, hashed.digest, d.detail,
                                            'comment ' || c.description), 'UTF8')), 'hex'),
         n.catalog, n.oid
    FROM named n
    JOIN described d ON d.catalog = n.catalog AND d.oid = n.oid
    LEFT JOIN pg_description c ON c.classoid = n.catalog AND c.objoid = n.oid AND c.objsubid = 0
    -- Another major version of PostgreSQL may spell an expression in another way.
    CROSS JOIN LATERAL (
      SELECT CASE WHEN d.spelled THEN current_setting('server_version_num')::integer / 10000 || ':' ELSE '' END ||
             encode(sha256(convert_to(d.definition, 'UTF8')), 'hex') AS digest OFFSET 0) AS hashed;

  FOR v_source IN SELECT * FROM iu_core.row_sources() LOOP
    RETURN QUERY EXECUTE format(
      'SELECT %L::text, %s, %L::name, NULL::text, NULL::text, NULL::text,
              encode(sha256(convert_to((to_jsonb(t) - %L::text[])::text, ''UTF8'')), ''hex''),
              NULL::regclass, NULL::oid
         FROM %s t WHERE %s IS NOT NULL',
      v_source.object_class, v_source.name_expression, v_source.owner, v_source.skipped_columns, v_source.relation,
      v_source.name_expression);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION object_states(oid[]) IS
  'object_inventory() of all objects (NULL), or of those of these oids and of all rows, with where the catalog has '
  'each (NULL for rows). Raises nothing of its own.';

CREATE FUNCTION object_inventory(
    OUT object_class text, OUT object_name text, OUT owner name, OUT grants text, OUT state text, OUT digest text,
    OUT fingerprint text)
  RETURNS SETOF record
  LANGUAGE sql STABLE ROWS 1000
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT s.object_class, s.object_name, s.owner, s.grants, s.state, s.digest, s.fingerprint
    FROM iu_core.object_states(NULL) s
$function$;
COMMENT ON FUNCTION object_inventory() IS
  'object_names() with what each object is. grants: its access list in words, in order, defaults spelled out, those '
  'of its columns too. state: of a trigger enabled, enabled always, enabled for replication only or disabled; of a '
  'table its row security, policies and rules; of a function SECURITY DEFINER and its settings. digest: SHA-256 of '
  'its definition, the same after dump and restore, behind the major version of PostgreSQL where that spells it '
  '(tables, views, triggers, types, SQL bodies, defaults of arguments). An expression that PostgreSQL spells otherwise '
  'once it was dumped and read again, such as a BETWEEN to the left of an AND, would have another digest there, and is '
  'not used in migrations. fingerprint: SHA-256 of all that and of comment, owner and storage. Rows have a '
  'fingerprint alone, and the values of dot_config are no part of it. Takes about 0.1 ms an object: to know only what '
  'exists, ask object_names(). Raises nothing of its own.';
