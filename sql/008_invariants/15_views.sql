-- What may be an invariant or a surface. A view is read as iu_core_owner, so the
-- functions that it calls run with the rights of iu_core_owner. So nobody with
-- fewer rights may be able to change the view, a view that it reads, or a
-- function that they call. A function that is SECURITY DEFINER runs with the
-- rights of its own owner, and may belong to anybody.

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
  WITH RECURSIVE used (classid, objid) AS (
    SELECT 'pg_class'::regclass::oid, v_view::oid
    UNION
    SELECT CASE d.refclassid WHEN 'pg_operator'::regclass THEN 'pg_proc'::regclass ELSE d.refclassid END,
           coalesce(o.oprcode, d.refobjid)
      FROM used u
      JOIN pg_class c ON u.classid = 'pg_class'::regclass AND c.oid = u.objid AND c.relkind = 'v'
      JOIN pg_rewrite w ON w.ev_class = c.oid
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                      AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass)
      LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid)
  SELECT pg_describe_object(u.classid, u.objid, 0) AS name, r.rolname INTO v_alien
    FROM used u
    LEFT JOIN pg_class c ON u.classid = 'pg_class'::regclass AND c.oid = u.objid AND c.relkind IN ('v', 'm')
    LEFT JOIN pg_proc p ON u.classid = 'pg_proc'::regclass AND p.oid = u.objid AND NOT p.prosecdef
    JOIN pg_roles r ON r.oid = coalesce(c.relowner, p.proowner)
   WHERE NOT r.rolsuper AND r.rolname <> 'iu_core_owner'
   ORDER BY u.objid <> v_view, u.classid, u.objid LIMIT 1;
  IF FOUND THEN
    RETURN format('%s belongs to %s, not to iu_core_owner or a superuser: '
                  'what it calls would run with the rights of iu_core_owner', v_alien.name, v_alien.rolname);
  ELSIF NOT has_table_privilege('iu_core_owner', v_view, 'SELECT')
        OR NOT (SELECT has_schema_privilege('iu_core_owner', c.relnamespace, 'USAGE')
                  FROM pg_class c WHERE c.oid = v_view) THEN
    RETURN format('iu_core_owner may not read view %s', p_view_name);
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_view_problem IS
  'NULL if a view may be read as iu_core_owner, for an invariant or a surface, otherwise why not, in words: it '
  'must exist, be a view or materialized view, be readable for iu_core_owner, and belong to iu_core_owner or a '
  'superuser, as must the views that it reads and the functions that they call (but for those of SECURITY '
  'DEFINER). Argument: its qualified name. Raises nothing.';

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
