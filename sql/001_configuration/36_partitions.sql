-- Partitions come and go, so no migration registers one. What is governed is the
-- table that they belong to, and a partition is to have nothing of its own but its
-- primary key: whoever gave it a trigger, a right or another owner would have it on
-- the whole table.

CREATE FUNCTION iu.fn_iu_partitions()
  RETURNS TABLE (root oid, relation oid, bound text)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
  SET timezone = 'UTC' SET datestyle = 'ISO, YMD'
AS $function$
  SELECT i.inhparent, c.oid, pg_get_expr(c.relpartbound, c.oid)
    FROM pg_inherits i
    JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'p' AND p.relowner = 'iu_core_owner'::regrole
    JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')
$function$;
COMMENT ON FUNCTION iu.fn_iu_partitions IS
  'The partitions of tables of iu_core_owner, each with its table and its bounds in words.';

-- to_date would raise at a day that there is not, and so would whoever asks.
CREATE FUNCTION iu.fn_iu_partition_day(p_name text) RETURNS date
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT d.day
  FROM regexp_match(p_name, '_((?!0000)[0-9]{4})([0-9]{2})([0-9]{2})$') AS m
  CROSS JOIN LATERAL (SELECT (make_date(m[1]::integer, 1, 1)
    + make_interval(months => m[2]::integer - 1, days => m[3]::integer - 1))::date AS day) AS d
 WHERE to_char(d.day, 'YYYYMMDD') = concat(m[1], m[2], m[3]));
COMMENT ON FUNCTION iu.fn_iu_partition_day IS
  'The day that the name of a partition ends in, as YYYYMMDD; NULL: it ends in none.';

-- A name ends in the day, or in what the partition is for.
CREATE FUNCTION iu.fn_iu_partition_bound(p_name text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN CASE
  WHEN p_name ~ '_default$' THEN 'DEFAULT'
  WHEN p_name ~ '_kept$' THEN 'FOR VALUES FROM (true, MINVALUE) TO (true, MAXVALUE)'
  WHEN iu.fn_iu_partition_day(p_name) IS NOT NULL THEN
    format('FOR VALUES FROM (false, ''%s 00:00:00+00'') TO (false, ''%s 00:00:00+00'')',
      to_char(iu.fn_iu_partition_day(p_name), 'YYYY-MM-DD'),
      to_char(iu.fn_iu_partition_day(p_name) + 1, 'YYYY-MM-DD')) END;
COMMENT ON FUNCTION iu.fn_iu_partition_bound IS
  'The bounds that a partition of this name has to have, as PostgreSQL spells them; NULL: it has no name of ours.';

CREATE FUNCTION iu.fn_iu_partition_key(p_relation oid) RETURNS oid
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
  SET quote_all_identifiers = off
RETURN (SELECT k.oid FROM pg_constraint k
         WHERE k.conrelid = p_relation AND pg_get_constraintdef(k.oid) = 'PRIMARY KEY (id, recorded_at, kept)');
COMMENT ON FUNCTION iu.fn_iu_partition_key IS
  'The constraint that is the primary key of a partition, as it has to be; NULL: it has none, or another.';

CREATE FUNCTION iu.fn_iu_partition_extras(p_root oid, p_relation oid) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
  SET quote_all_identifiers = off
AS $function$
  SELECT concat_ws('; ',
    (SELECT string_agg(format('trigger %I', t.tgname), '; ' ORDER BY t.tgname COLLATE "C") FROM pg_trigger t
       LEFT JOIN pg_trigger o ON o.oid = t.tgparentid
       LEFT JOIN iu.fn_iu_subscription_triggers() s ON s.trigger_name = t.tgname AND s.of_partition AND t.tgparentid = 0
      WHERE t.tgrelid = p_relation AND (o.oid IS NOT NULL OR NOT t.tgisinternal)
        AND t.tgenabled IS DISTINCT FROM coalesce(o.tgenabled, CASE WHEN t.tgfoid = to_regprocedure(s.calls)
                                                                    THEN 'R'::"char" END)),
    (SELECT string_agg(format('lacks trigger %I', s.trigger_name), '; ' ORDER BY s.trigger_name COLLATE "C")
       FROM iu.fn_iu_subscription_triggers() s
      WHERE s.of_partition AND NOT EXISTS (SELECT FROM pg_trigger t
                                            WHERE t.tgrelid = p_relation AND t.tgname = s.trigger_name)),
    (SELECT string_agg(format('rule %I', w.rulename), '; ' ORDER BY w.rulename COLLATE "C") FROM pg_rewrite w
      WHERE w.ev_class = p_relation),
    (SELECT string_agg(format('policy %I', p.polname), '; ' ORDER BY p.polname COLLATE "C") FROM pg_policy p
      WHERE p.polrelid = p_relation),
    (SELECT string_agg(format('statistics %I', s.stxname), '; ' ORDER BY s.stxname COLLATE "C") FROM pg_statistic_ext s
      WHERE s.stxrelid = p_relation),
    (SELECT string_agg(format('index %s', i.indexrelid::regclass), '; ' ORDER BY i.indexrelid) FROM pg_index i
      WHERE i.indrelid = p_relation AND NOT (i.indisvalid AND (EXISTS (
        SELECT FROM pg_inherits h JOIN pg_index o ON o.indexrelid = h.inhparent
         WHERE h.inhrelid = i.indexrelid AND o.indrelid = p_root) OR EXISTS (
        SELECT FROM pg_constraint k WHERE k.oid = iu.fn_iu_partition_key(p_relation) AND k.conindid = i.indexrelid)))),
    CASE WHEN iu.fn_iu_partition_key(p_relation) IS NULL THEN 'lacks its primary key' END,
    (SELECT string_agg(format('constraint %I', k.conname), '; ' ORDER BY k.conname COLLATE "C") FROM pg_constraint k
      WHERE k.conrelid = p_relation AND k.contype NOT IN ('t', 'n') AND k.coninhcount = 0
        AND k.oid IS DISTINCT FROM iu.fn_iu_partition_key(p_relation)),
    (SELECT string_agg(format('default of %I', a.attname), '; ' ORDER BY a.attnum)
       FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
       LEFT JOIN pg_attribute o ON o.attrelid = p_root AND o.attname = a.attname
       LEFT JOIN pg_attrdef e ON e.adrelid = p_root AND e.adnum = o.attnum
      WHERE a.attrelid = p_relation
        AND pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM pg_get_expr(e.adbin, e.adrelid)))
$function$;
COMMENT ON FUNCTION iu.fn_iu_partition_extras IS
  'What a partition has that its table has not, in words: triggers or another state of one, rules, policies, '
  'statistics, indexes, constraints, defaults; and the triggers and the primary key that it lacks. Empty: nothing. '
  'Arguments: the table, the partition.';

CREATE FUNCTION iu.fn_iu_breached_partitions()
  RETURNS TABLE (object_class text, object_name text, detail text)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH found AS (
    SELECT c.oid::regclass::text AS name, nullif(concat_ws('; ',
             CASE WHEN c.relowner <> p.relowner THEN format('is owned by %I', pg_get_userbyid(c.relowner)) END,
             CASE WHEN c.relkind <> 'r' OR c.relpersistence <> p.relpersistence THEN 'is no ordinary table' END,
             CASE WHEN c.relnamespace <> 'iu'::regnamespace THEN 'is not in schema iu' END,
             CASE WHEN iu.fn_iu_partition_bound(c.relname) IS DISTINCT FROM x.bound
                    OR c.relname !~ ('^' || p.relname || '_(default|kept|[0-9]{8})$')
                  THEN format('has bounds %s, which its name does not say', x.bound) END,
             'grants ' || iu_core.grants_text(c.relacl, 'r', c.relowner),
             CASE WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL)
                  THEN 'grants on columns' END,
             CASE WHEN c.relrowsecurity OR c.relforcerowsecurity THEN 'row security on' END,
             'settings ' || c.reloptions::text,
             CASE WHEN c.relreplident <> p.relreplident THEN 'another replica identity' END,
             nullif(iu.fn_iu_partition_extras(x.root, x.relation), '')), '') AS problem
      FROM iu.fn_iu_partitions() x JOIN pg_class p ON p.oid = x.root JOIN pg_class c ON c.oid = x.relation
  )
  SELECT 'table', f.name, 'a partition that is not as its table: ' || f.problem FROM found f WHERE f.problem IS NOT NULL
  UNION ALL
  SELECT 'table', t.partrelid::regclass::text, 'has no default partition'
    FROM pg_partitioned_table t JOIN pg_class p ON p.oid = t.partrelid AND p.relowner = 'iu_core_owner'::regrole
   WHERE t.partdefid = 0
$function$;
COMMENT ON FUNCTION iu.fn_iu_breached_partitions IS
  'For fn_iu_walls: partitions of tables of iu_core_owner that differ from their table in anything: owner, schema, '
  'bounds other than their name says, grants, triggers, rules, row security, settings, indexes, constraints; and a '
  'table that has no default partition.';
