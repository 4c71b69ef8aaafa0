-- What may be an invariant or a surface. A view is read as iu_core_check, which
-- holds nothing, so that what it calls can do no harm (core/no_rights.c). But who
-- can change what it says decides whether a gate opens. So nobody with fewer
-- rights than iu_core_owner may own the view, a view that it reads, a function
-- that they call, or a type of what is compared: a type brings casts and
-- operators of its owner's. A function that is SECURITY DEFINER runs with the
-- rights of its own owner, and may belong to anybody, as tables may.

CREATE FUNCTION iu.fn_iu_view_uses(p_view regclass) RETURNS TABLE (classid oid, objid oid)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH RECURSIVE used (classid, objid) AS (
    SELECT 'pg_class'::regclass::oid, p_view::oid
    UNION
    SELECT n.classid, n.objid
      FROM used u
      CROSS JOIN LATERAL (
        -- What the rule of a view names, and of an operator its function.
        SELECT CASE d.refclassid WHEN 'pg_operator'::regclass THEN 'pg_proc'::regclass ELSE d.refclassid END,
               coalesce(o.oprcode, d.refobjid)
          FROM pg_class c
          JOIN pg_rewrite w ON w.ev_class = c.oid
          JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                          AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass,
                                               'pg_collation'::regclass)
          LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
         WHERE u.classid = 'pg_class'::regclass AND c.oid = u.objid AND c.relkind = 'v'
        UNION ALL
        -- The types of the columns that are asked for, and the parts of a type.
        SELECT 'pg_type'::regclass, a.atttypid FROM pg_attribute a
         WHERE u.classid = 'pg_class'::regclass AND a.attrelid = u.objid AND a.attnum > 0 AND NOT a.attisdropped
           AND (a.attrelid = p_view AND a.attname IN ('key', 'left_value', 'right_value', 'value')
                OR EXISTS (SELECT FROM pg_class c WHERE c.oid = a.attrelid AND c.relkind = 'c'))
        UNION ALL
        SELECT x.classid, x.objid FROM pg_type t
          LEFT JOIN pg_range r ON r.rngtypid = t.oid
          CROSS JOIN LATERAL (VALUES
            ('pg_type'::regclass::oid, t.typelem), ('pg_type'::regclass::oid, t.typbasetype),
            ('pg_type'::regclass::oid, r.rngsubtype),
            ('pg_class'::regclass::oid, CASE t.typtype WHEN 'c' THEN t.typrelid END)) AS x (classid, objid)
         WHERE u.classid = 'pg_type'::regclass AND t.oid = u.objid AND x.objid <> 0
        UNION ALL
        SELECT 'pg_proc'::regclass, d.refobjid FROM pg_constraint k
          JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
                          AND d.refclassid = 'pg_proc'::regclass
         WHERE u.classid = 'pg_type'::regclass AND k.contypid = u.objid) AS n (classid, objid))
  SELECT u.classid, u.objid FROM used u
$function$;
COMMENT ON FUNCTION iu.fn_iu_view_uses IS
  'For fn_iu_view_problem: all that decides what a view says: it, the views that it reads, the functions that they '
  'call, by operators too, and collations; the types of what is compared, with their parts and the functions of their '
  'CHECKs; classid and objid, as in pg_depend. Raises nothing.';

CREATE FUNCTION iu.fn_iu_view_problem(p_view_name text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_view  regclass;
  v_alien record;
BEGIN
  BEGIN
    v_view := to_regclass(p_view_name);
  EXCEPTION WHEN invalid_name OR syntax_error OR feature_not_supported THEN
    NULL;
  END;
  IF v_view IS NULL THEN
    RETURN format('there is no view %s', coalesce(quote_literal(p_view_name), 'NULL'));
  ELSIF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = v_view AND c.relkind IN ('v', 'm')) THEN
    RETURN format('%s is not a view', p_view_name);
  END IF;
  SELECT pg_describe_object(u.classid, u.objid, 0) AS name, r.rolname INTO v_alien
    FROM iu.fn_iu_view_uses(v_view) u
    LEFT JOIN pg_class c ON u.classid = 'pg_class'::regclass AND c.oid = u.objid AND c.relkind IN ('v', 'm')
    LEFT JOIN pg_proc p ON u.classid = 'pg_proc'::regclass AND p.oid = u.objid AND NOT p.prosecdef
    LEFT JOIN pg_type t ON u.classid = 'pg_type'::regclass AND t.oid = u.objid
    LEFT JOIN pg_collation l ON u.classid = 'pg_collation'::regclass AND l.oid = u.objid
    JOIN pg_roles r ON r.oid = coalesce(c.relowner, p.proowner, t.typowner, l.collowner)
   WHERE NOT r.rolsuper AND r.rolname <> 'iu_core_owner'
   ORDER BY u.objid <> v_view, u.classid, u.objid LIMIT 1;
  IF FOUND THEN
    RETURN format('%s belongs to %s, not to iu_core_owner or a superuser: '
                  'whoever owns it decides what the view says', v_alien.name, v_alien.rolname);
  ELSIF NOT has_table_privilege('iu_core_owner', v_view, 'SELECT')
        OR NOT (SELECT has_schema_privilege('iu_core_owner', c.relnamespace, 'USAGE')
                  FROM pg_class c WHERE c.oid = v_view) THEN
    RETURN format('iu_core_owner may not read view %s', p_view_name);
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_view_problem IS
  'NULL if a view may be read for an invariant or a surface, otherwise why not, in words: it must exist, be a view or '
  'materialized view, be readable for iu_core_owner, and belong to iu_core_owner or a superuser, as must the views '
  'that it reads, the functions that they call (but for those of SECURITY DEFINER), and the types of its columns key, '
  'left_value, right_value and value. Argument: its qualified name. Raises nothing.';

CREATE FUNCTION iu.fn_iu_invariant_problem(p_view_name text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem text := iu.fn_iu_view_problem(p_view_name);
BEGIN
  IF v_problem IS NOT NULL THEN
    RETURN v_problem;
  ELSIF (SELECT count(*) FROM pg_attribute a
          WHERE a.attrelid = to_regclass(p_view_name) AND a.attnum > 0
            AND a.attname IN ('left_value', 'right_value')) <> 2 THEN
    RETURN format('view %s has not both columns, left_value and right_value', p_view_name);
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_problem IS
  'NULL if a view may be an invariant, otherwise why not, in words: what fn_iu_view_problem says, or left_value '
  'and right_value are not both there. Argument: its qualified name. Raises nothing.';
