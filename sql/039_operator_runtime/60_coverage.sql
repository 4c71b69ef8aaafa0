-- Whether everything that people can call and that changes something is a command of
-- the catalogue. The view reads the catalogue of PostgreSQL as it is now.

CREATE VIEW public.v_iu_command_coverage AS
  WITH called AS MATERIALIZED (
    SELECT p.proname::text AS function_name, p.oid::regprocedure::text AS signature, e.roles AS executable_by
      FROM pg_catalog.pg_proc p
      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      CROSS JOIN LATERAL (
        SELECT array_agg(DISTINCT coalesce(r.rolname::text, 'PUBLIC')) AS roles
          FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
          LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
         WHERE a.privilege_type = 'EXECUTE' AND a.grantee <> p.proowner
           AND (r.rolname IS NULL OR r.rolname NOT IN ('iu_core_worker', 'iu_core_check'))
           AND (n.nspname = 'public' OR r.rolname IS DISTINCT FROM 'iu_core_reader')) e
     WHERE n.nspname IN ('public', 'iu') AND p.prokind IN ('f', 'p') AND p.provolatile = 'v'
       AND p.proowner = (SELECT o.oid FROM pg_catalog.pg_roles o WHERE o.rolname = 'iu_core_owner')
       AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
       AND e.roles IS NOT NULL
       -- The half in schema iu of a function in public is that function.
       AND (n.nspname = 'public' OR NOT EXISTS (
             SELECT FROM pg_catalog.pg_proc o
               JOIN pg_catalog.pg_namespace m ON m.oid = o.pronamespace AND m.nspname = 'public'
              WHERE o.proname = p.proname))
  )
  SELECT c.function_name, c.signature, c.executable_by, k.commands, x.reason AS exempt_because,
         CASE WHEN k.commands IS NULL AND x.reason IS NULL THEN 'no command has it as its target' END AS problem
    FROM called c
    LEFT JOIN public.iu_command_exemption x ON x.function_name = c.function_name
    CROSS JOIN LATERAL (
      SELECT array_agg(g.command_name ORDER BY g.command_name) AS commands
        FROM public.dot_iu_command_catalog g WHERE c.function_name = ANY (g.target_functions)) k
  UNION ALL
  SELECT m.name, NULL, NULL, array_agg(r.command_name ORDER BY r.command_name), NULL, 'there is no such function'
    FROM public.v_dot_iu_command_registry r, unnest(r.missing_functions) m (name)
   GROUP BY m.name;
COMMENT ON VIEW public.v_iu_command_coverage IS
  'Each function of iu_core that changes something and that a role of people may execute, with the commands that have '
  'it as their target, or why none needs to; and each function that a command names and that there is not.';
COMMENT ON COLUMN public.v_iu_command_coverage.function_name IS 'Its name, without schema and arguments';
COMMENT ON COLUMN public.v_iu_command_coverage.signature IS 'The function; NULL: there is none';
COMMENT ON COLUMN public.v_iu_command_coverage.executable_by IS
  'The roles that may execute it, but for its owner, workers and those that only check; PUBLIC: everybody';
COMMENT ON COLUMN public.v_iu_command_coverage.commands IS 'The commands that have it as a target; NULL: none';
COMMENT ON COLUMN public.v_iu_command_coverage.exempt_because IS 'Why it is no command; NULL: nobody says so';
COMMENT ON COLUMN public.v_iu_command_coverage.problem IS 'What is wrong; NULL: nothing';

CREATE VIEW iu.v_iu_command_uncovered AS
  SELECT coalesce(c.signature, c.function_name) AS key, 1 AS left_value, NULL::integer AS right_value
    FROM public.v_iu_command_coverage c WHERE c.problem IS NOT NULL;
COMMENT ON VIEW iu.v_iu_command_uncovered IS
  'Invariant iu.command_coverage: a function with a problem is its key, on the left side only; no row: none has one.';

SELECT iu.fn_iu_invariant_define(39, 'iu.command_coverage', 'iu.v_iu_command_uncovered',
  'each function that changes something is a command, or exempt', 'warning', p_every_seconds => 3600);
