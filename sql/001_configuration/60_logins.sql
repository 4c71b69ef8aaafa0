-- Whether a login is fit to be an application's: what it owns outweighs what it is granted.

CREATE FUNCTION iu.fn_iu_login_problems(p_login name)
  RETURNS TABLE (problem text, next_action text)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH login AS (
    SELECT r.oid, r.rolname, r.rolsuper, r.rolcreaterole, r.rolbypassrls FROM pg_roles r WHERE r.rolname = p_login
  ), owned AS (
    SELECT l.rolname, d.datname, d.datdba = l.oid AS database,
           (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'public') AS schema_owner
      FROM login l JOIN pg_database d ON d.datname = current_database()
  )
  SELECT format('there is no role "%s"', p_login), 'create it with CREATE ROLE ... LOGIN'
   WHERE NOT EXISTS (SELECT FROM login)
  UNION ALL
  SELECT format('"%s" is a superuser', l.rolname), format('ALTER ROLE %I NOSUPERUSER', l.rolname)
    FROM login l WHERE l.rolsuper
  UNION ALL
  SELECT format('"%s" may create roles and grant them', l.rolname), format('ALTER ROLE %I NOCREATEROLE', l.rolname)
    FROM login l WHERE l.rolcreaterole AND NOT l.rolsuper
  UNION ALL
  SELECT format('"%s" owns database "%s"', o.rolname, o.datname),
         format('ALTER DATABASE %I OWNER TO a role that nobody logs in as', o.datname)
    FROM owned o WHERE o.database
  UNION ALL
  SELECT format('"%s" owns schema public, and may drop what is in it while iu_core is not preloaded', o.rolname),
         'ALTER SCHEMA public OWNER TO a role that nobody logs in as'
    FROM owned o JOIN login l USING (rolname)
   WHERE NOT l.rolsuper AND pg_has_role(l.oid, o.schema_owner, 'MEMBER') AND NOT o.database
  UNION ALL
  SELECT format('"%s" is a member of iu_core_owner', l.rolname), format('REVOKE iu_core_owner FROM %I', l.rolname)
    FROM login l
   WHERE NOT l.rolsuper AND pg_has_role(l.oid, 'iu_core_owner', 'MEMBER')
$function$;
COMMENT ON FUNCTION iu.fn_iu_login_problems IS
  'What public.fn_iu_login_problems hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_login_problems(p_login name)
  RETURNS TABLE (problem text, next_action text)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_login_problems(p_login) WHERE iu_core.require_role('{iu_core_reader}');
END;
COMMENT ON FUNCTION public.fn_iu_login_problems IS
  'Why a login should not be that of an application, such as Directus, that is given a role of iu_core: it does not '
    'exist, '
  'is a superuser, may create roles, owns this database or schema public, or is a member of iu_core_owner. One row a '
  'reason, with what mends it; no row: it is fit. Ask before GRANT iu_core_writer. SQLSTATE 42501 for whoever is not '
    'in '
  'iu_core_reader.';

CREATE VIEW public.v_iu_unfit_login AS
  SELECT r.rolname::text AS login, string_agg(DISTINCT m.granted, ', ') AS member_of, p.problem, p.next_action
    FROM pg_catalog.pg_roles r
    JOIN (SELECT a.member, g.rolname AS granted
            FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
           WHERE g.rolname IN ('iu_core_reader', 'iu_core_writer', 'iu_core_operator', 'iu_core_admin',
           'iu_core_agent'))
         AS m ON m.member = r.oid
    CROSS JOIN LATERAL iu.fn_iu_login_problems(r.rolname) p
   WHERE r.rolcanlogin AND NOT r.rolsuper
   GROUP BY r.rolname, p.problem, p.next_action;
COMMENT ON VIEW public.v_iu_unfit_login IS
  'Logins that were given a role of iu_core and should not have it: login, roles, and a problem with what mends it, as '
  'fn_iu_login_problems() finds them. No row: every login is fit.';
