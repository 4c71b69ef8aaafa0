CREATE VIEW public.v_dot_iu_command_registry AS
  SELECT c.command_name, c.category, c.mutating, c.reversible, c.target_functions, c.registered_at,
         m.missing_functions, cardinality(m.missing_functions) = 0 AS resolvable,
         r.runs, r.last_run_at, l.last_run_status
    FROM public.dot_iu_command_catalog c
    CROSS JOIN LATERAL (
      SELECT ARRAY(SELECT t.name FROM unnest(c.target_functions) AS t (name)
                    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_proc p
                                       WHERE p.proname = t.name
                                         AND p.pronamespace IN ('public'::pg_catalog.regnamespace,
                                                                'iu'::pg_catalog.regnamespace))
                    ORDER BY t.name) AS missing_functions) m
    CROSS JOIN LATERAL (
      SELECT count(*) AS runs, max(x.created_at) AS last_run_at
        FROM public.dot_iu_command_run x WHERE x.command_name = c.command_name) r
    LEFT JOIN LATERAL (
      SELECT x.run_status AS last_run_status
        FROM public.dot_iu_command_run x WHERE x.command_name = c.command_name
       ORDER BY x.created_at DESC LIMIT 1) l ON true;
COMMENT ON VIEW public.v_dot_iu_command_registry IS
  'The catalogue with, per command, target functions that do not exist (resolvable: none), runs logged, time and '
  'status of the last.';

CREATE VIEW public.v_dot_iu_command_run_health AS
  SELECT g.commands, g.unresolvable_commands, r.runs, r.runs_24h, r.refused_24h, r.failed_24h,
         r.unknown_command_runs, r.last_run_at, r.last_failed_at,
         g.commands > 0 AND g.unresolvable_commands = 0 AND r.failed_24h = 0
           AND r.unknown_command_runs = 0 AS healthy
    FROM (SELECT count(*) AS commands, count(*) FILTER (WHERE NOT v.resolvable) AS unresolvable_commands
            FROM public.v_dot_iu_command_registry v) g
    CROSS JOIN (
      SELECT count(*) AS runs,
             count(*) FILTER (WHERE x.created_at > now() - interval '24 hours') AS runs_24h,
             count(*) FILTER (WHERE x.created_at > now() - interval '24 hours' AND x.run_status = 'refused')
               AS refused_24h,
             count(*) FILTER (WHERE x.created_at > now() - interval '24 hours' AND x.run_status = 'failed')
               AS failed_24h,
             count(*) FILTER (WHERE c.command_name IS NULL) AS unknown_command_runs,
             max(x.created_at) AS last_run_at,
             max(x.created_at) FILTER (WHERE x.run_status = 'failed') AS last_failed_at
        FROM public.dot_iu_command_run x
        LEFT JOIN public.dot_iu_command_catalog c ON c.command_name = x.command_name) r;
COMMENT ON VIEW public.v_dot_iu_command_run_health IS
  'One row: commands, those whose target functions are missing, runs in all and in 24 hours, refused and failed '
  'in 24 hours, runs of commands that are not in the catalogue, last run, last failure, healthy.';
