-- What is wrong, and what to do about it. Each function finds the troubles of one
-- subject; each trouble is a row.

CREATE FUNCTION iu.fn_iu_troubles_of_gates()
  RETURNS TABLE (severity text, about text, name text, since timestamptz, trouble text, next_action text)
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT 'critical', 'gate', substring(p.problem FROM 'gate ([[:alnum:]_.]+)'), NULL::timestamptz, p.problem,
         'open it on an approval that is valid, or close it with fn_iu_gate_close if that is meant'
    FROM (SELECT iu.fn_iu_gate_lapsed() UNION ALL SELECT iu.fn_iu_gate_approvals_void()) AS p (problem)
   WHERE iu.fn_iu_place_is_home()
  UNION ALL
  SELECT 'warning', 'gate', substring(p.problem FROM 'gate ([[:alnum:]_.]+)'), NULL, p.problem,
         'have another approval granted with fn_iu_gate_approval_grant, and its holder renew the gate on that'
    FROM iu.fn_iu_gate_approvals_ending() AS p (problem) WHERE iu.fn_iu_place_is_home()
  UNION ALL
  SELECT 'warning', 'gate', g.gate_key, g.due_at, format('gate %s is not safe: %s', g.gate_key, g.reason),
         CASE WHEN g.value IS NULL
                THEN format('INSERT INTO dot_config (key, value) VALUES (%L, ''false''); find out who deleted it',
                            g.gate_key)
              ELSE 'nothing: the watchdog closes it; find out who set it' END
    FROM public.v_iu_gate g
   WHERE NOT g.is_safe AND NOT g.effective
  UNION ALL
  SELECT lower(i.severity), 'invariant', i.invariant_code, i.verdict_since,
         CASE WHEN i.verdict = 'pass' THEN 'its scheduled check is late'
              ELSE format('%s: %s', coalesce(i.verdict, 'not checked yet'), coalesce(i.detail, i.meaning)) END,
         CASE WHEN i.overdue THEN 'does a runner run? SELECT * FROM iu_core.worker_status'
              ELSE format('SELECT * FROM fn_iu_invariant_check(%L)', i.invariant_code) END
    FROM public.v_iu_invariant i
   WHERE i.enabled AND (i.verdict IS DISTINCT FROM 'pass' OR i.overdue)
$function$;
COMMENT ON FUNCTION iu.fn_iu_troubles_of_gates IS
  'For v_iu_trouble: gates that lapsed, whose value is not what it should be, or whose standing approval ends or is '
  'void; and invariants that do not pass. Raises nothing.';

CREATE FUNCTION iu.fn_iu_troubles_of_routes()
  RETURNS TABLE (severity text, about text, name text, since timestamptz, trouble text, next_action text)
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH backlog AS MATERIALIZED (
    SELECT array_agg(b) AS rows, clock_timestamp() - interval '5 min' AS stale FROM public.v_iu_event_backlog b
  )
  SELECT CASE WHEN c.by_itself THEN 'critical' ELSE 'notice' END, 'route', h.route_code, h.oldest_at,
         format('%s held: %s', h.held, h.sentence), h.next_action
    FROM public.v_iu_route_held h
    CROSS JOIN LATERAL (SELECT x.by_itself FROM public.iu_delivery_code x WHERE x.code = h.code OFFSET 0) AS c
  UNION ALL
  SELECT 'critical', 'dead letter', d.route_code, min(d.created_at),
         format('%s given up: %s', count(*), string_agg(DISTINCT d.failure_code, ', ')),
         format(CASE WHEN bool_and(r.retired_at IS NULL)
                  THEN 'SELECT fn_iu_route_dead_letter_replay_many(session_user, ''reason'', %L)'
                  ELSE 'SELECT fn_iu_route_dead_letter_resolve_many(session_user, ''reason'', %L)' END, d.route_code)
    FROM public.iu_route_dead_letter d LEFT JOIN public.iu_outbound_route r ON r.route_code = d.route_code
   WHERE d.resolved_at IS NULL GROUP BY d.route_code
  UNION ALL
  SELECT 'critical', 'route', s ->> 'route_code', (s ->> 'oldest_due_at')::timestamptz,
         concat('due and nothing moves', '; it is locked by ' || (s ->> 'locked_by')),
         'does a sender run? SELECT * FROM iu_core.worker_status'
    FROM backlog b CROSS JOIN jsonb_array_elements(iu.fn_iu_route_stuck(b.rows, b.stale)) AS s
  UNION ALL
  SELECT 'critical', 'route', l.route_code, l.since, l.problem,
         'see what the process does; one that was stopped goes on with kill -CONT; or end it with pg_terminate_backend'
    FROM iu.fn_iu_route_lock_problems() l
  UNION ALL
  SELECT 'warning', 'route', substring(p.problem FROM '^route (\S+):'), NULL, p.problem,
         format('SELECT fn_iu_route_retry_now(%L, session_user, ''reason'')',
                substring(p.problem FROM '^route (\S+):'))
    FROM (SELECT iu.fn_iu_route_far_retries() UNION ALL SELECT iu.fn_iu_route_unprobed_circuits(300)) AS p (problem)
  UNION ALL
  SELECT 'critical', 'route', substring(p.problem FROM '^route (\S+):'), NULL, p.problem,
         'report it, with the rows that iu_route_retry has of the route'
    FROM iu.fn_iu_route_headless() AS p (problem)
  UNION ALL
  SELECT p.severity, 'certificate', p.route_code, NULL, p.problem,
         'have the administrator of the server put another file into iu_core.certificate_directory'
    FROM iu.fn_iu_certificate_problems() p
  UNION ALL
  SELECT 'critical', 'route', h.route_code, h.last_at,
         format('its function did not end by its time, %s time(s), and the process that called it was ended', h.times),
         'mend the function, then register it again with fn_iu_route_function_register'
    FROM public.iu_route_hung h JOIN public.iu_outbound_route r ON r.route_code = h.route_code
   WHERE r.enabled AND r.retired_at IS NULL
$function$;
COMMENT ON FUNCTION iu.fn_iu_troubles_of_routes IS
  'For v_iu_trouble: deliveries that are held, given up, or do not move, and the certificates of routes. What a '
  'switch, a gate, a list or a person holds is meant, and a notice. Raises nothing.';

CREATE FUNCTION iu.fn_iu_troubles_of_the_database()
  RETURNS TABLE (severity text, about text, name text, since timestamptz, trouble text, next_action text)
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  -- Of the gates of this database, and of where it is, its own tables say more, and also while no worker runs.
  SELECT lower(f.status), f.about, f.database, NULL::timestamptz, f.finding, f.next_action
    FROM iu_core.findings() f
   WHERE f.about NOT IN ('gate', 'place', 'certificate') OR f.database IS DISTINCT FROM current_database()::text
  UNION ALL
  SELECT 'critical', 'place', current_database()::text, NULL, p.trouble,
         'SELECT fn_iu_place_confirm(session_user, ''reason''), if the platform is at home here'
    FROM iu.fn_iu_place_trouble() AS p (trouble) WHERE p.trouble IS NOT NULL
  UNION ALL
  SELECT 'critical', 'switch', 'iu_core.routes_master_enabled', NULL, 'the master switch is off: no event is emitted',
         'SELECT fn_iu_switch_set(''iu_core.routes_master_enabled'', ''true'', session_user, ''reason'')'
   WHERE NOT iu.fn_iu_core_routes_enabled()
  UNION ALL
  SELECT CASE m.state WHEN 'pending' THEN 'warning' ELSE 'critical' END, 'migration',
         format('%s %s', m.version, m.name), NULL, m.state,
         CASE m.state WHEN 'pending' THEN 'SELECT * FROM iu_core.migrate()'
           ELSE 'load the library that applied it, or roll back below it and migrate again' END
    FROM iu_core.migrations m WHERE m.state <> 'applied'
  UNION ALL
  SELECT 'warning', 'login', l.login, NULL, l.problem, l.next_action FROM public.v_iu_unfit_login l
  UNION ALL
  SELECT 'critical', 'command', c.command_name, NULL,
         'its function is gone: ' || array_to_string(c.missing_functions, ', '),
         'SELECT * FROM fn_iu_conformance() WHERE NOT ok'
    FROM public.v_dot_iu_command_registry c WHERE NOT c.resolvable
  UNION ALL
  SELECT 'warning', 'event type', u.event_domain || '.' || u.event_type, u.last_at,
         format('emitted %s time(s), and nobody heard it: %s', u.times, u.reason),
         'register the type with fn_iu_event_type_register, or set the switch that is off'
    FROM iu_core.unheard_events() u
$function$;
COMMENT ON FUNCTION iu.fn_iu_troubles_of_the_database IS
  'For v_iu_trouble: what iu_core.findings() has, the master switch, migrations, logins, commands, and events that '
  'nobody heard. Raises nothing.';

CREATE FUNCTION iu.fn_iu_troubles_of(p_subject text)
  RETURNS TABLE (severity text, about text, name text, since timestamptz, trouble text, next_action text)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  CASE p_subject
    WHEN 'database' THEN RETURN QUERY SELECT * FROM iu.fn_iu_troubles_of_the_database();
    WHEN 'gates' THEN RETURN QUERY SELECT * FROM iu.fn_iu_troubles_of_gates();
    WHEN 'routes' THEN RETURN QUERY SELECT * FROM iu.fn_iu_troubles_of_routes();
  END CASE;
EXCEPTION WHEN lock_not_available THEN
  RETURN QUERY SELECT * FROM iu.fn_iu_troubles_of_locks();
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_troubles_of IS
  'For fn_iu_troubles: what is wrong with one subject: database, gates or routes; where a lock keeps it from being '
  'told, who holds that. Raises nothing.';

-- Nothing is read from end to end, whatever statistics say, and no lock is waited for
-- for long: what hangs tells nobody anything. What two subjects have in common is told once.
CREATE FUNCTION iu.fn_iu_troubles()
  RETURNS TABLE (severity text, about text, name text, since timestamptz, trouble text, next_action text)
  LANGUAGE sql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
  SET enable_seqscan = off SET enable_sort = off SET jit = off
AS $function$
  SELECT t.severity, t.about, t.name, date_trunc('second', t.since), t.trouble, t.next_action
    FROM (SELECT * FROM iu.fn_iu_troubles_of('database')
          UNION SELECT * FROM iu.fn_iu_troubles_of('gates')
          UNION SELECT * FROM iu.fn_iu_troubles_of('routes')) AS t
   ORDER BY array_position(ARRAY['critical', 'warning', 'unknown', 'notice'], t.severity), t.about, t.name
$function$;
COMMENT ON FUNCTION iu.fn_iu_troubles IS 'The rows of v_iu_trouble. Raises nothing.';

CREATE VIEW public.v_iu_trouble AS SELECT * FROM iu.fn_iu_troubles();
COMMENT ON VIEW public.v_iu_trouble IS
  'What is wrong, a row each, the worst first, and what to do about it: severity (critical, warning, unknown; notice: '
  'it waits for somebody, as it is meant to), what it is about (server, worker, place, conformance, partition, gate, '
  'invariant, switch, migration, login, command, event type, route, certificate, dead letter, lock), which one, since '
  'when (NULL: not known), the trouble, and the next action: a statement to be completed, or a sentence. No row: all '
  'is well. Where somebody has locked a table that it reads a row about the lock says who, after 1 s, in place of what '
  'could not be read.';
