-- What each object of this database is: who may use it, how it is set, and a
-- digest of its definition. A definition is spelled without oids and column
-- numbers, an access list with its defaults and in order, so that the same
-- schema made twice has the same digests.
--
-- The pieces are called by object_states(), which pins the settings on which a
-- spelling depends. They take IN (SELECT unnest(...)), which is hashed once, where
-- = ANY would compare each row of a catalog with each of a thousand oids.

-- In plpgsql, which plans it once for a session: it is called for every object.
CREATE FUNCTION grants_text(acl aclitem[], kind "char", owner oid) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (
    SELECT string_agg(CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END || a.privileges,
                      ', '
                      ORDER BY a.grantee = grants_text.owner, a.grantee <> 0, pg_get_userbyid(a.grantee) COLLATE "C")
      FROM (SELECT x.grantee,
                   ': ' || string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN ' with grant option'
                                                               ELSE '' END,
                                      ' ' ORDER BY x.privilege_type COLLATE "C") AS privileges
              FROM aclexplode(coalesce(acl, acldefault(kind, owner))) x
             WHERE x.grantee <> grants_text.owner
             GROUP BY x.grantee
            UNION ALL
            SELECT grants_text.owner,
                   ' lacks ' || string_agg(d.privilege_type, ' ' ORDER BY d.privilege_type COLLATE "C")
              FROM aclexplode(acldefault(kind, owner)) d
             WHERE acl IS NOT NULL AND d.grantee = grants_text.owner
               AND NOT EXISTS (SELECT FROM aclexplode(acl) x
                                WHERE x.grantee = grants_text.owner AND x.privilege_type = d.privilege_type)
            HAVING count(*) > 0) a);
END
$function$;
COMMENT ON FUNCTION grants_text(aclitem[], "char", oid) IS
  'An access list in words, e.g. "iu_core_reader: SELECT", in order of names: the list (NULL: the defaults of that '
  'kind of object, a letter as of acldefault()), and the owner, of whom only what was taken away is told, last: '
  '"iu_core_owner lacks UPDATE". NULL where nobody else has a right and the owner has all.';

CREATE FUNCTION sequence_states(
    tables oid[], OUT table_id oid, OUT column_number integer, OUT sequence oid, OUT definition text)
  RETURNS SETOF record
  LANGUAGE plpgsql STABLE ROWS 10
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN QUERY
  SELECT d.refobjid, d.refobjsubid, c.oid,
         concat_ws(' ', c.oid::regclass, format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement,
           q.seqmin, q.seqmax, q.seqcache, q.seqcycle, c.relpersistence)
    FROM pg_sequence q
    JOIN pg_class c ON c.oid = q.seqrelid
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = q.seqrelid
      AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
   WHERE q.seqrelid = ANY (tables) OR d.refobjid = ANY (tables);
END
$function$;
COMMENT ON FUNCTION sequence_states(oid[]) IS
  'For object_states(): the sequences among these relations, and those that fill a column of one of them, each spelled '
  'out. table_id and column_number are NULL for a sequence that stands alone. Raises nothing of its own.';

CREATE FUNCTION column_states(tables oid[], OUT table_id oid, OUT definition text, OUT detail text, OUT grants text)
  RETURNS SETOF record
  LANGUAGE plpgsql STABLE ROWS 100
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN QUERY
  WITH column_sequence AS MATERIALIZED (
    SELECT s.table_id, s.column_number,
           string_agg(concat_ws(' ', s.definition, pg_get_userbyid(c.relowner),
                                iu_core.grants_text(c.relacl, 's', c.relowner)), ';'
                      ORDER BY s.definition COLLATE "C") AS definition
      FROM iu_core.sequence_states(tables) s JOIN pg_class c ON c.oid = s.sequence
     WHERE s.table_id IS NOT NULL
     GROUP BY s.table_id, s.column_number
  )
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
              FROM unnest(a.attoptions) o WHERE o NOT LIKE E'pg\\_attver=%'),
           'comment ' || c.description,
           'sequence ' || cs.definition),
           E'\n' ORDER BY a.attnum) AS detail,
         string_agg(quote_ident(a.attname) || ': ' || iu_core.grants_text(a.attacl, 'c', r.relowner), '; '
                    ORDER BY a.attnum) FILTER (WHERE a.attacl IS NOT NULL) AS grants
    FROM pg_class r JOIN pg_attribute a ON a.attrelid = r.oid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN column_sequence cs ON cs.table_id = a.attrelid AND cs.column_number = a.attnum
    LEFT JOIN pg_description c
      ON c.classoid = 'pg_class'::regclass AND c.objoid = a.attrelid AND c.objsubid = a.attnum
   WHERE r.oid = ANY (tables) AND a.attnum > 0 AND NOT a.attisdropped AND r.relkind <> 'S'
   GROUP BY a.attrelid;
END
$function$;
COMMENT ON FUNCTION column_states(oid[]) IS
  'For object_states(): the columns of these relations, together for each: their definition; what is no part of it but '
  'of a fingerprint (storage, options, comments, sequences); and the grants on single columns. Raises nothing of its '
  'own.';

CREATE FUNCTION relation_state(relation oid, row_security boolean, forced boolean) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN
    concat_ws('; ',
      CASE WHEN row_security THEN 'row security on' ELSE 'row security off' END,
      CASE WHEN forced THEN 'row security forced' END,
      (SELECT string_agg(concat_ws(' ', 'policy', quote_ident(p.polname), p.polcmd, p.polpermissive,
                                   (SELECT string_agg(CASE u WHEN 0 THEN 'public'
                                                             ELSE pg_get_userbyid(u) END::text, ','
                                                      ORDER BY pg_get_userbyid(u) COLLATE "C")
                                      FROM unnest(p.polroles) u),
                                   'using ' || pg_get_expr(p.polqual, p.polrelid),
                                   'check ' || pg_get_expr(p.polwithcheck, p.polrelid)),
                         '; ' ORDER BY p.polname COLLATE "C")
         FROM pg_policy p WHERE p.polrelid = relation),
      (SELECT string_agg(concat_ws(' ', 'rule', quote_ident(w.rulename), w.ev_enabled), '; '
                         ORDER BY w.rulename COLLATE "C")
         FROM pg_rewrite w WHERE w.ev_class = relation AND w.rulename <> '_RETURN'),
      (SELECT format('subscriptions left out by %s trigger(s)', count(*))
         FROM iu_core.subscription_triggers w WHERE w.table_id = relation HAVING count(*) > 0));
END
$function$;
COMMENT ON FUNCTION relation_state(oid, boolean, boolean) IS
  'For object_states(): row security of a table in words (whether it is on, whether forced), its policies, whether its '
  'rules are enabled, and how many triggers that leave out what a subscription brings are as they should be. Raises '
  'nothing of its own.';

CREATE FUNCTION relation_detail(relation oid) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN
    concat_ws(E'\n',
      (SELECT string_agg(concat_ws(' ', pg_get_statisticsobjdef(e.oid), pg_get_userbyid(e.stxowner),
                                   'comment ' || obj_description(e.oid, 'pg_statistic_ext')),
                         E'\n' ORDER BY e.stxname COLLATE "C")
         FROM pg_statistic_ext e WHERE e.stxrelid = relation),
      (SELECT string_agg(concat_ws(' ', k.conname, obj_description(k.oid, 'pg_constraint')),
                         E'\n' ORDER BY k.conname COLLATE "C")
         FROM pg_constraint k WHERE k.conrelid = relation AND k.contype <> 't'),
      (SELECT string_agg(concat_ws(' ', x.relname, i.indisclustered, obj_description(x.oid, 'pg_class')),
                         E'\n' ORDER BY x.relname COLLATE "C")
         FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = relation),
      (SELECT string_agg(concat_ws(' ', w.rulename, obj_description(w.oid, 'pg_rewrite')),
                         E'\n' ORDER BY w.rulename COLLATE "C")
         FROM pg_rewrite w WHERE w.ev_class = relation AND w.rulename <> '_RETURN'),
      (SELECT string_agg(concat_ws(' ', p.polname, obj_description(p.oid, 'pg_policy')),
                         E'\n' ORDER BY p.polname COLLATE "C")
         FROM pg_policy p WHERE p.polrelid = relation));
END
$function$;
COMMENT ON FUNCTION relation_detail(oid) IS
  'For object_states(): what belongs to the fingerprint of a table and not to its definition: extended statistics, and '
  'comments on constraints, indexes, rules and policies. Raises nothing of its own.';

CREATE FUNCTION relation_states(
    relations oid[],
    OUT catalog regclass, OUT oid oid, OUT spelled boolean, OUT grants text, OUT state text, OUT definition text,
    OUT detail text)
  RETURNS SETOF record
  LANGUAGE plpgsql STABLE ROWS 100
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN QUERY
  WITH relation AS MATERIALIZED (
    SELECT c.*,
           iu_core.grants_text(c.relacl, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner) AS grants,
           concat_ws(E'\n',
             c.relkind, c.relpersistence,
             (SELECT am.amname FROM pg_am am WHERE am.oid = c.relam),
             (SELECT t.spcname FROM pg_tablespace t WHERE t.oid = c.reltablespace),
             (SELECT string_agg(o, ',' ORDER BY o COLLATE "C") FROM unnest(c.reloptions) o)) AS heading
      FROM pg_class c WHERE c.oid IN (SELECT unnest(relations))
  )
  SELECT 'pg_class'::regclass AS catalog, r.oid, true AS spelled,
         nullif(concat_ws('; ', r.grants, ct.grants), '') AS grants,
         iu_core.relation_state(r.oid, r.relrowsecurity, r.relforcerowsecurity) AS state,
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
         concat_ws(E'\n', ct.detail, iu_core.relation_detail(r.oid)) AS detail
    FROM relation r LEFT JOIN iu_core.column_states(relations) ct ON ct.table_id = r.oid
   WHERE r.relkind <> 'S'
  UNION ALL
  SELECT 'pg_class'::regclass, r.oid, false, r.grants, '', s.definition, ''
    FROM relation r JOIN iu_core.sequence_states(relations) s ON s.sequence = r.oid;
END
$function$;
COMMENT ON FUNCTION relation_states(oid[]) IS
  'For object_states(): tables, views and sequences of these oids. spelled: whether PostgreSQL spells the definition, '
  'so that another major version may do it in another way. Raises nothing of its own.';

CREATE FUNCTION other_states(
    objects oid[],
    OUT catalog regclass, OUT oid oid, OUT spelled boolean, OUT grants text, OUT state text, OUT definition text,
    OUT detail text)
  RETURNS SETOF record
  LANGUAGE plpgsql STABLE ROWS 100
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN QUERY
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
    FROM pg_proc p WHERE p.oid IN (SELECT unnest(objects))

  UNION ALL
  SELECT 'pg_trigger'::regclass, g.oid, true, NULL,
         CASE g.tgenabled WHEN 'O' THEN 'enabled' WHEN 'A' THEN 'enabled always'
                          WHEN 'R' THEN 'enabled for replication only' ELSE 'disabled' END,
         pg_get_triggerdef(g.oid), ''
    FROM pg_trigger g WHERE g.oid IN (SELECT unnest(objects))

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
    FROM pg_type t WHERE t.oid IN (SELECT unnest(objects))

  UNION ALL
  SELECT 'pg_namespace'::regclass, s.oid, false, iu_core.grants_text(s.nspacl, 'n', s.nspowner), '', '', ''
    FROM pg_namespace s WHERE s.oid IN (SELECT unnest(objects));
END
$function$;
COMMENT ON FUNCTION other_states(oid[]) IS
  'For object_states(): functions, triggers, types and schemas of these oids, as relation_states(). Raises nothing of '
  'its own.';

CREATE FUNCTION object_states(
    objects oid[],
    OUT object_class text, OUT object_name text, OUT owner name, OUT grants text, OUT state text, OUT digest text,
    OUT fingerprint text, OUT catalog_id regclass, OUT object_id oid)
  RETURNS SETOF record
  LANGUAGE plpgsql STABLE ROWS 1000
  SET search_path = pg_catalog, pg_temp
  SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET timezone = 'UTC'
  SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmloption = 'content'
  SET quote_all_identifiers = off SET standard_conforming_strings = on
  -- A run of migrations asks once a script: planning costs more than a better plan saves.
  SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  v_classes  text[];
  v_names    text[];
  v_owners   name[];
  v_catalogs regclass[];
  v_objects  oid[];
  v_source   record;
  v_state    text;
  v_message  text;
BEGIN
  SELECT array_agg(n.object_class), array_agg(n.object_name), array_agg(n.owner), array_agg(n.catalog_id),
         array_agg(n.object_id)
    INTO v_classes, v_names, v_owners, v_catalogs, v_objects FROM iu_core.named_objects(object_states.objects) n;
  RETURN QUERY
  SELECT n.object_class, n.object_name, n.owner, d.grants, d.state, hashed.digest,
         encode(sha256(convert_to(concat_ws(E'\n', n.owner, d.grants, d.state, hashed.digest, d.detail,
                                            'comment ' || c.description), 'UTF8')), 'hex'),
         n.catalog_id, n.object_id
    FROM unnest(v_classes, v_names, v_owners, v_catalogs, v_objects)
           AS n (object_class, object_name, owner, catalog_id, object_id)
    JOIN (SELECT * FROM iu_core.relation_states(v_objects)
          UNION ALL SELECT * FROM iu_core.other_states(v_objects)) AS d
      ON d.catalog = n.catalog_id AND d.oid = n.object_id
    LEFT JOIN pg_description c ON c.classoid = n.catalog_id AND c.objoid = n.object_id AND c.objsubid = 0
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
EXCEPTION WHEN OTHERS OR query_canceled THEN
  -- Raised anew, since the context of the first has the queries that it came from, which are longer than a screen.
  GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT;
  RAISE USING ERRCODE = v_state, MESSAGE = v_message;
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
  'table its row security, policies, rules and what leaves out subscriptions; of a function SECURITY DEFINER and its '
  'settings. digest: SHA-256 of its definition, the same after dump and restore, behind the major version of '
  'PostgreSQL where that spells it (tables, views, triggers, types, SQL bodies, defaults of arguments). An expression '
  'that PostgreSQL spells otherwise once it was dumped and read again, such as a BETWEEN to the left of an AND, would '
  'have another digest there, and is not used in migrations. fingerprint: SHA-256 of all that and of comment, owner '
  'and storage. Rows have a fingerprint alone, and the values of dot_config are no part of it. Takes about 0.1 ms an '
  'object: to know only what exists, ask object_names(). Raises nothing of its own.';
