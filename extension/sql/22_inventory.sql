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

-- Made for each table of iu_core_owner by fn_iu_leave_out_subscriptions(): a part of
-- the table, as its indexes are. One that is not as it should be counts as an object.
CREATE VIEW subscription_triggers AS
  SELECT t.tgrelid AS table_id, t.oid
    FROM pg_trigger t
    JOIN pg_proc p ON p.oid = t.tgfoid
    JOIN pg_namespace n ON n.oid = p.pronamespace
    JOIN (VALUES ('trg_0_subscription', 31, 'iu_core', 'leave_out_replicated'),
                 ('trg_zz_subscription_truncate', 34, 'iu_core', 'keep_from_truncation'),
                 ('trg_0_subscription_truncated', 32, 'iu_core', 'keep_from_truncation'),
                 ('trg_1_subscription_numbers', 32, 'iu', 'fn_iu_numbers_kept'))
           AS w (name, type, schema, function)
      ON w.name = t.tgname AND w.type = t.tgtype AND w.schema = n.nspname AND w.function = p.proname
   WHERE t.tgenabled = 'R' AND t.tgqual IS NULL AND t.tgattr::text = '' AND t.tgnargs = 0;
COMMENT ON VIEW subscription_triggers IS
  'The triggers that leave out what a subscription brings, of whichever table, where they are as they should be: with '
  'their function, for their events, and firing in replica role only.';

-- A view, since whatever goes wrong within a function shows the query that it was at,
-- and this one is longer than a screen.
CREATE VIEW catalog_objects AS
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
       -- Partitions of ours come and go: conformance compares them with their table.
       AND NOT (c.relispartition AND EXISTS (
         SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_roles o ON o.oid = p.relowner
          WHERE i.inhrelid = c.oid AND o.rolname = 'iu_core_owner'))
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
       AND g.oid NOT IN (SELECT w.oid FROM subscription_triggers w)
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
  SELECT n.class AS object_class, n.name AS object_name, pg_get_userbyid(n.owner_id) AS owner, n.catalog AS catalog_id,
         n.oid AS object_id
    FROM named n;
COMMENT ON VIEW catalog_objects IS
  'What named_objects() asks: every object of this database that no extension brings, with its class, its name, its '
  'owner, and where the catalog has it. Triggers of subscription_triggers are parts of their tables; partitions of '
  'tables of iu_core_owner, which come and go, are left out.';

CREATE FUNCTION named_objects(
    objects oid[],
    OUT object_class text, OUT object_name text, OUT owner name, OUT catalog_id regclass, OUT object_id oid)
  RETURNS SETOF record
  LANGUAGE plpgsql STABLE ROWS 1000
  SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_generic_plan
AS $function$
BEGIN
  IF objects IS NULL THEN
    RETURN QUERY
    SELECT n.object_class, n.object_name, n.owner, n.catalog_id, n.object_id FROM iu_core.catalog_objects n;
  ELSE
    RETURN QUERY
    SELECT n.object_class, n.object_name, n.owner, n.catalog_id, n.object_id
      FROM iu_core.catalog_objects n WHERE n.object_id = ANY (objects);
  END IF;
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
