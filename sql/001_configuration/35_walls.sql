-- What strangers could use to run something with the rights of iu_core_owner, or
-- have planted. A stranger is a role that is neither iu_core_owner nor a
-- superuser. The library refuses all of this while it is loaded; what was done
-- while it was not, or by a superuser, is found here.

CREATE FUNCTION iu.fn_iu_planted_names()
  RETURNS TABLE (object_class text, object_name text, detail text)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH stranger AS MATERIALIZED (
    SELECT r.oid, r.rolname FROM pg_roles r WHERE NOT r.rolsuper AND r.rolname <> 'iu_core_owner'
  ), ours AS MATERIALIZED (
    SELECT r.oid FROM pg_roles r WHERE r.rolname = 'iu_core_owner'
  ), governed (class, name) AS MATERIALIZED (
    SELECT 'function', p.proname::text FROM pg_proc p JOIN ours o ON o.oid = p.proowner
    UNION
    SELECT 'table', c.relname FROM pg_class c JOIN ours o ON o.oid = c.relowner
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
    UNION
    SELECT 'type', t.typname FROM pg_type t JOIN ours o ON o.oid = t.typowner
    UNION
    -- What was dropped is still called and read.
    SELECT CASE g.object_class WHEN 'view' THEN 'table' ELSE g.object_class END,
           regexp_replace(split_part(g.object_name, '(', 1), E'^iu\\.', '')
      FROM public.iu_governed_object g WHERE g.object_class IN ('function', 'table', 'view', 'type')
  ), planted AS (
    SELECT 'function' AS class, p.oid::regprocedure::text AS name, s.rolname AS owner
      FROM pg_proc p JOIN stranger s ON s.oid = p.proowner
     WHERE p.proname IN (SELECT g.name FROM governed g WHERE g.class = 'function')
    UNION ALL
    SELECT CASE WHEN c.relkind IN ('v', 'm') THEN 'view' WHEN c.relkind = 'S' THEN 'sequence' ELSE 'table' END,
           c.oid::regclass::text, s.rolname
      FROM pg_class c JOIN stranger s ON s.oid = c.relowner
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
       AND c.relname IN (SELECT g.name FROM governed g WHERE g.class = 'table')
    UNION ALL
    -- A call with one untyped argument means a cast where a type has the name.
    SELECT 'type', t.oid::regtype::text, s.rolname
      FROM pg_type t JOIN stranger s ON s.oid = t.typowner
      LEFT JOIN pg_class c ON c.oid = t.typrelid
     WHERE coalesce(c.relkind, 'c') = 'c' AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
       AND NOT pg_is_other_temp_schema(t.typnamespace)
       AND t.typnamespace <> pg_my_temp_schema()
       AND t.typname IN (SELECT g.name FROM governed g WHERE g.class IN ('function', 'type'))
  )
  SELECT p.class, p.name, format('takes a governed name, and belongs to "%s"', p.owner) FROM planted p
$function$;
COMMENT ON FUNCTION iu.fn_iu_planted_names IS
  'For fn_iu_walls: functions, tables, views, sequences and types of strangers, in whatever schema, that have the name '
  'of a governed one.';

CREATE FUNCTION iu.fn_iu_breached_tables()
  RETURNS TABLE (object_class text, object_name text, detail text)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH stranger AS MATERIALIZED (
    SELECT r.oid, r.rolname FROM pg_roles r WHERE NOT r.rolsuper AND r.rolname <> 'iu_core_owner'
  ), ours AS MATERIALIZED (
    SELECT c.oid FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = 'iu_core_owner'
  ), our_type AS MATERIALIZED (
    SELECT t.oid FROM pg_type t JOIN pg_roles r ON r.oid = t.typowner WHERE r.rolname = 'iu_core_owner'
  ), inside AS MATERIALIZED (
    SELECT n.oid FROM pg_namespace n WHERE n.nspname IN ('iu', 'iu_core', 'cutter_governance')
  )
  SELECT 'trigger', quote_ident(t.tgname) || ' ON ' || t.tgrelid::regclass,
         format('calls function %s of "%s"', p.oid::regprocedure, s.rolname)
    FROM pg_trigger t JOIN ours o ON o.oid = t.tgrelid
    JOIN pg_proc p ON p.oid = t.tgfoid JOIN stranger s ON s.oid = p.proowner
   WHERE NOT t.tgisinternal
  UNION ALL
  SELECT 'table', k.confrelid::regclass::text,
         format('a foreign key of table %s of "%s" refers to it', k.conrelid::regclass, s.rolname)
    FROM pg_constraint k JOIN ours o ON o.oid = k.confrelid
    JOIN pg_class c ON c.oid = k.conrelid JOIN stranger s ON s.oid = c.relowner
   WHERE k.contype = 'f'
  UNION ALL
  SELECT 'table', i.inhparent::regclass::text,
         format('table %s of "%s" inherits from it, and is read with it', c.oid::regclass, s.rolname)
    FROM pg_inherits i JOIN ours o ON o.oid = i.inhparent
    JOIN pg_class c ON c.oid = i.inhrelid JOIN stranger s ON s.oid = c.relowner
  UNION ALL
  SELECT 'type', format_type(CASE WHEN a.oid IS NULL THEN k.casttarget ELSE k.castsource END, NULL),
         format('is cast by function %s of "%s"', p.oid::regprocedure, s.rolname)
    FROM pg_cast k JOIN pg_proc p ON p.oid = k.castfunc JOIN stranger s ON s.oid = p.proowner
    LEFT JOIN our_type a ON a.oid = k.castsource LEFT JOIN our_type b ON b.oid = k.casttarget
   WHERE a.oid IS NOT NULL OR b.oid IS NOT NULL
  UNION ALL
  SELECT 'type', format_type(CASE WHEN a.oid IS NULL THEN q.oprright ELSE q.oprleft END, NULL),
         format('has operator %s of "%s"', q.oid::regoperator, s.rolname)
    FROM pg_operator q JOIN stranger s ON s.oid = q.oprowner
    LEFT JOIN our_type a ON a.oid = q.oprleft LEFT JOIN our_type b ON b.oid = q.oprright
   WHERE a.oid IS NOT NULL OR b.oid IS NOT NULL
  UNION ALL
  SELECT 'function', p.oid::regprocedure::text, format('lies inside, and belongs to "%s"', s.rolname)
    FROM pg_proc p JOIN inside n ON n.oid = p.pronamespace JOIN stranger s ON s.oid = p.proowner
  UNION ALL
  SELECT 'table', c.oid::regclass::text, format('lies inside, and belongs to "%s"', s.rolname)
    FROM pg_class c JOIN inside n ON n.oid = c.relnamespace JOIN stranger s ON s.oid = c.relowner
  UNION ALL
  SELECT 'operator', q.oid::regoperator::text, format('lies inside, and belongs to "%s"', s.rolname)
    FROM pg_operator q JOIN inside n ON n.oid = q.oprnamespace JOIN stranger s ON s.oid = q.oprowner
$function$;
COMMENT ON FUNCTION iu.fn_iu_breached_tables IS
  'For fn_iu_walls: what strangers have attached to governed tables and types (triggers that call functions of theirs, '
  'foreign keys, tables that inherit, casts, operators), or have in schema iu or iu_core.';

CREATE FUNCTION iu.fn_iu_breached_rights()
  RETURNS TABLE (object_class text, object_name text, detail text)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH member AS MATERIALIZED (
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND x.extname = 'iu_core'
  ), access (classid, objid, class, name, owner, acl, kind) AS (
    SELECT 'pg_proc'::regclass, p.oid, 'function', p.oid::regprocedure::text, p.proowner, p.proacl, 'f'::"char"
      FROM pg_proc p
    UNION ALL SELECT 'pg_class'::regclass, c.oid, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END,
                     c.oid::regclass::text, c.relowner, c.relacl, 'r' FROM pg_class c
    UNION ALL SELECT 'pg_namespace'::regclass, n.oid, 'schema', quote_ident(n.nspname), n.nspowner, n.nspacl, 'n'
                FROM pg_namespace n
  ), extension_access AS MATERIALIZED (
    SELECT a.* FROM access a JOIN member m ON m.classid = a.classid AND m.objid = a.objid
  ), given AS (
    SELECT e.class, e.name, x.grantee, x.privilege_type
      FROM extension_access e CROSS JOIN LATERAL aclexplode(coalesce(e.acl, acldefault(e.kind, e.owner))) x
     WHERE x.grantee <> e.owner
  ), meant AS (
    SELECT e.class, e.name, x.grantee, x.privilege_type
      FROM extension_access e
      LEFT JOIN pg_init_privs i ON i.classoid = e.classid AND i.objoid = e.objid AND i.objsubid = 0
      CROSS JOIN LATERAL aclexplode(coalesce(i.initprivs, acldefault(e.kind, e.owner))) x
     WHERE x.grantee <> e.owner
  ), differs AS (
    SELECT 'gives %s to %s' AS what, w.* FROM (TABLE given EXCEPT TABLE meant) AS w
    UNION ALL
    SELECT 'no longer gives %s to %s', w.* FROM (TABLE meant EXCEPT TABLE given) AS w
  )
  SELECT d.class, d.name,
         format(d.what, d.privilege_type,
                CASE d.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(d.grantee)) END)
    FROM differs d
  UNION ALL
  -- Not asked of schema public: its owner, who owns the database from PostgreSQL
  -- 15 on, may always create there, and nothing with rights looks there for a function.
  SELECT 'schema', quote_ident(n.nspname), format('"%s" may create in it', r.rolname)
    FROM pg_namespace n CROSS JOIN pg_roles r
   WHERE n.nspname IN ('iu', 'iu_core', 'cutter_governance') AND NOT r.rolsuper AND r.rolname <> 'iu_core_owner'
     AND has_schema_privilege(r.oid, n.oid, 'CREATE')
  UNION ALL
  SELECT 'role', g.rolname, format('"%s" is a member of it, and has its rights', r.rolname)
    FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
   WHERE g.rolname IN ('iu_core_owner', current_setting('iu_core.worker_role', true)) AND NOT r.rolsuper
  UNION ALL
  SELECT 'role', 'iu_core_owner', format('default privileges give %s on what it makes to %s', x.privilege_type,
           CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END)
    FROM pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) x
   WHERE d.defaclrole = (SELECT r.oid FROM pg_roles r WHERE r.rolname = 'iu_core_owner') AND x.grantee <> d.defaclrole
  UNION ALL
  SELECT 'role', 'iu_core_owner', format('functions and types that it makes would be for PUBLIC')
   WHERE (SELECT count(*) FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole
           WHERE r.rolname = 'iu_core_owner' AND d.defaclnamespace = 0 AND d.defaclobjtype IN ('f', 'T')) < 2
$function$;
COMMENT ON FUNCTION iu.fn_iu_breached_rights IS
  'For fn_iu_walls: rights that nobody should have: on what the extension brings, other than its script gave; to '
  'create in schema iu or iu_core; of iu_core_owner or the workers'' role, by membership; on what migrations '
  'will make, by default privileges.';
