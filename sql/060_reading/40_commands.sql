-- What may I call?

CREATE VIEW public.v_iu_my_command AS
  SELECT CASE n.nspname WHEN 'public' THEN p.proname::text ELSE n.nspname || '.' || p.proname END AS command,
         pg_catalog.pg_get_function_arguments(p.oid) AS arguments,
         substring(pg_catalog.obj_description(p.oid, 'pg_proc') FROM '^(.+?)(?:[.:;,]\s|[.:;]$|$)') AS what,
         EXISTS (SELECT FROM public.dot_iu_command_catalog c
                  WHERE c.mutating AND c.logged_by = 'itself'
                    AND p.proname::text = ANY (c.target_functions)) AS logged
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND n.nspname IN ('public', 'iu_core')
    CROSS JOIN LATERAL (SELECT substring(pg_catalog.pg_get_function_sqlbody(p.oid)
                                         FROM 'require_role\(''({[^}]*})''')::text[] AS roles) AS r
   WHERE (n.nspname = 'iu_core' OR pg_catalog.pg_get_userbyid(p.proowner) = 'iu_core_owner')
     AND p.prorettype NOT IN ('trigger'::regtype, 'fdw_handler'::regtype)
     AND has_function_privilege(p.oid, 'EXECUTE')
     AND coalesce(iu_core.may(r.roles), true);
COMMENT ON VIEW public.v_iu_my_command IS
  'The functions that the current role may call: name, arguments, what it does in a few words, and whether each call '
  'is logged in dot_iu_command_run. May: it was granted EXECUTE, and has the rights of a role that the function asks '
  'for (iu_core.require_role).';
