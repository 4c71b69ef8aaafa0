-- 002: the catalogue, the ledger of runs and its only writer.
\ir setup.psql
SELECT no_plan();

SELECT columns_are('public', 'dot_iu_command_catalog',
  ARRAY['command_name', 'category', 'mutating', 'reversible', 'target_functions', 'registered_at', 'logged_by'],
  'the catalogue of commands has its known columns');
SELECT columns_are('public', 'dot_iu_command_run',
  ARRAY['run_id', 'command_name', 'category', 'run_mode', 'run_status', 'mutating', 'params_digest',
        'gate_snapshot', 'evidence', 'actor', 'created_at', 'session_role', 'session_oid', 'acting_role',
        'acting_oid'], 'the log of runs has its known columns');
SELECT has_index('public', 'dot_iu_command_run', 'ix_dot_iu_command_run_command', 'runs are indexed by command');
SELECT has_index('public', 'dot_iu_command_run', 'ix_dot_iu_command_run_status', 'runs are indexed by status');
SELECT results_eq(
  $$SELECT command_name, category, mutating, reversible, target_functions FROM dot_iu_command_catalog
     WHERE command_name LIKE 'dot\_iu\_gate\_%'
     AND command_name !~ '^dot_iu_gate_(approv|demand|break_glass|define|undefine|unblock)' ORDER BY command_name$$,
  $$VALUES ('dot_iu_gate_close', 'health', true, true, ARRAY['fn_iu_gate_close']),
           ('dot_iu_gate_open', 'health', true, true, ARRAY['fn_iu_gate_open']),
           ('dot_iu_gate_verify_closed', 'read', false, true, ARRAY['fn_iu_gate_verify_closed']),
           ('dot_iu_gate_watchdog', 'health', true, true, ARRAY['fn_iu_gate_watchdog'])$$,
  'the catalogue holds the four commands of the gate protocol');
SELECT is((SELECT bool_and(resolvable) FROM v_dot_iu_command_registry), true,
  'every target function of the catalogue exists');
SELECT is((SELECT healthy FROM v_dot_iu_command_run_health), true, 'the health of runs is good before anything ran');

-- Writing.
SELECT fn_dot_iu_command_log('dot_iu_gate_verify_closed', 'read', 'verify', 'verified', false, md5('p'),
                             '{"g": 1}', '{"e": 2}', 'tester') AS run_id \gset
SELECT results_eq(
  $$SELECT command_name, category, run_mode, run_status, mutating, params_digest, gate_snapshot, evidence, actor
      FROM dot_iu_command_run WHERE run_id = '$$ || :'run_id' || $$'$$,
  $$VALUES ('dot_iu_gate_verify_closed', 'read', 'verify', 'verified', false, md5('p'), '{"g": 1}'::jsonb,
  '{"e": 2}'::jsonb, 'tester')$$,
  'a run is logged as given');
SELECT ok((SELECT created_at BETWEEN now() AND clock_timestamp() FROM dot_iu_command_run WHERE run_id = :'run_id'),
  'a run is dated by the clock');
SELECT is((SELECT last_run_status FROM v_dot_iu_command_registry WHERE command_name = 'dot_iu_gate_verify_closed'),
  'verified', 'the registry of commands shows the last run');
SELECT lives_ok(format($$SELECT iu.fn_dot_iu_command_write('dot_iu_gate_open', 'health', %L, %L, true, NULL, NULL, NULL,
  'tester')$$, m, s),
                format('%s / %s is logged', m, s))
  FROM (VALUES ('plan', 'planned'), ('apply', 'applied'), ('verify', 'verified'), ('apply', 'refused'),
  ('apply', 'failed')) AS w (m, s);
SELECT is((SELECT healthy FROM v_dot_iu_command_run_health), false, 'a failed run shows in the health of runs');

-- Refusing.
CREATE FUNCTION pg_temp.refused_log(p_arguments text, p_pattern text, p_description text) RETURNS SETOF text
  LANGUAGE sql AS $function$
    SELECT pg_temp.refuses(format('SELECT iu.fn_dot_iu_command_write(%s)', p_arguments), '23514', p_pattern,
      p_description)
$function$;
SELECT pg_temp.refused_log($$'dot_iu_no_such', 'read', 'verify', 'verified', false, NULL, NULL, NULL, 'me'$$,
  '^command ''dot_iu_no_such'' is not in the catalogue', 'an unknown command is refused');
SELECT pg_temp.refused_log($$'', 'read', 'verify', 'verified', false, NULL, NULL, NULL, 'me'$$,
  '^command '''' is not in the catalogue', 'an empty command is refused');
SELECT pg_temp.refused_log($$NULL, 'read', 'verify', 'verified', false, NULL, NULL, NULL, 'me'$$,
  '^command NULL is not in the catalogue', 'a NULL command is refused');
SELECT pg_temp.refused_log($$'dot_iu_gate_open', 'external', 'apply', 'applied', true, NULL, NULL, NULL, 'me'$$,
  '^category ''external'' is not allowed', 'a category outside the vocabulary is refused');
SELECT pg_temp.refused_log($$'dot_iu_gate_open', NULL, 'apply', 'applied', true, NULL, NULL, NULL, 'me'$$,
  '^category NULL is not allowed', 'a NULL category is refused');
SELECT pg_temp.refused_log($$'dot_iu_gate_open', 'health', 'run', 'applied', true, NULL, NULL, NULL, 'me'$$,
  '^run_mode ''run'' is not allowed', 'a mode outside the vocabulary is refused');
SELECT pg_temp.refused_log($$'dot_iu_gate_open', 'health', 'apply', 'done', true, NULL, NULL, NULL, 'me'$$,
  '^run_status ''done'' is not allowed', 'a status outside the vocabulary is refused');
SELECT pg_temp.refused_log($$'dot_iu_gate_open', 'health', 'apply', 'applied', NULL, NULL, NULL, NULL, 'me'$$,
  '^mutating NULL is not allowed', 'an unknown mutating is refused');
SELECT pg_temp.refused_log($$'dot_iu_gate_open', 'health', 'apply', 'applied', true, 'password=x', NULL, NULL, 'me'$$,
  '^params_digest is not a digest$', 'raw parameters are refused and not repeated');
SELECT pg_temp.refused_log($$'dot_iu_gate_open', 'health', 'apply', 'applied', true, NULL, NULL, NULL, ' '$$,
  '^actor '' '' is not allowed', 'an empty actor is refused');
SELECT pg_temp.refused_log($$'dot_iu_gate_open', 'health', 'apply', 'applied', true, NULL, NULL, NULL, NULL$$,
  '^actor NULL is not allowed', 'a NULL actor is refused');
CREATE FUNCTION pg_temp.detail_of(p_sql text) RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
  v_detail text;
BEGIN
  EXECUTE p_sql;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
  RETURN v_detail;
END
$function$;
SELECT is(pg_temp.detail_of($$SELECT iu.fn_dot_iu_command_write('dot_iu_gate_open', 'health', 'run', 'applied', true,
  NULL, NULL, NULL, 'me')$$),
  'Allowed: plan, apply, verify.', 'the refusal of an unknown status says what is allowed');
SELECT pg_temp.refuses($$INSERT INTO dot_iu_command_catalog VALUES ('dot_iu_x', 'external', true, true, ARRAY['f'])$$,
  '23514', 'dot_iu_command_catalog_category',
  'the catalogue knows five categories');
SELECT pg_temp.refuses($$INSERT INTO dot_iu_command_catalog VALUES ('dot_iu_x', 'read', true, true, '{}')$$, '23514',
  'target_functions',
  'a command without a target function is refused');

-- Who may log what, and who logged it.
CREATE ROLE iu_test_wim LOGIN IN ROLE iu_core_writer;
CREATE ROLE iu_test_olga LOGIN IN ROLE iu_core_operator;
CREATE ROLE iu_test_pooler LOGIN NOINHERIT IN ROLE iu_test_wim;
CREATE FUNCTION pg_temp.logs(p_login text, p_role text, p_command text) RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
  v_run_id   uuid;
  v_name     text;
BEGIN
  EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', p_login);
  EXECUTE format('SET LOCAL ROLE %I', p_role);
  v_run_id := public.fn_dot_iu_command_log(p_command, 'health', 'apply', 'applied', true, NULL, NULL, NULL, 'ada');
  RESET ROLE;
  RESET SESSION AUTHORIZATION;
  RETURN (SELECT concat_ws(' ', r.session_role, r.acting_role, r.session_oid = r.session_role::regrole,
                           r.acting_oid = r.acting_role::regrole)
            FROM public.dot_iu_command_run r WHERE r.run_id = v_run_id);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v_name = CONSTRAINT_NAME;
  RETURN SQLSTATE || ' ' || v_name;
END
$function$;
SELECT is(pg_temp.logs('iu_test_wim', 'iu_test_wim', 'dot_iu_gate_verify_closed'), 'iu_test_wim iu_test_wim t t',
  'a run has the role that logged in, whatever actor was given');
SELECT is(pg_temp.logs('iu_test_pooler', 'iu_test_wim', 'dot_iu_gate_verify_closed'),
  'iu_test_pooler iu_test_wim t t', 'a run has the role that logged in and the role that was set');
SELECT is(pg_temp.logs(w, w, 'dot_iu_route_allow'), '42501 iu_command_logs_itself',
  'a run of a command with rights is not logged by hand by ' || w)
  FROM unnest(ARRAY['iu_test_wim', 'iu_test_olga', current_user]) w;
SELECT is((SELECT string_agg(c.command_name, ', ' ORDER BY c.command_name) FROM dot_iu_command_catalog c
            WHERE c.logged_by = 'caller' AND (c.mutating OR EXISTS (
              SELECT FROM pg_proc p
               WHERE p.pronamespace = 'iu'::regnamespace AND strpos(p.prosrc, quote_literal(c.command_name)) > 0))),
  NULL, 'no command that changes something, or that a function of ours logs, may be logged by hand');
SELECT is((SELECT string_agg(c.command_name, ', ' ORDER BY c.command_name) FROM dot_iu_command_catalog c
            WHERE c.logged_by = 'caller'),
  'dot_iu_change_report, dot_iu_export_collection, dot_iu_filter_axis_b, dot_iu_gate_verify_closed, '
  'dot_iu_healthcheck, dot_iu_invariant_check, dot_iu_list_stale_leases, dot_iu_queue_stale_check, '
  'dot_iu_reconstruct_source, dot_iu_render_file, dot_iu_sql_link_resolve, dot_iu_sql_link_validate, '
  'dot_iu_structure_op_verify, dot_iu_subtree, dot_iu_three_axis_envelope_drift_check, dot_iu_validate_collection',
  'what is logged by hand is what only reads and logs nothing');
INSERT INTO dot_iu_command_catalog VALUES ('dot_theirs', 'piece', true, true, ARRAY['fn_theirs']);
SELECT is(pg_temp.logs('iu_test_wim', 'iu_test_wim', 'dot_theirs'), '42501 iu_command_logs_itself',
  'a command of which nothing is said is not logged by hand');
UPDATE dot_iu_command_catalog SET logged_by = 'caller' WHERE command_name = 'dot_theirs';
SELECT is(pg_temp.logs('iu_test_wim', 'iu_test_wim', 'dot_theirs'), 'iu_test_wim iu_test_wim t t',
  'a command of the platform''s own that its callers log is logged by a writer');
DELETE FROM dot_iu_command_catalog WHERE command_name = 'dot_theirs';

-- Append-only.
SELECT pg_temp.refuses('UPDATE dot_iu_command_run SET actor = ''x''', '42501', 'append-only',
  'a run that is logged cannot be changed');
SELECT pg_temp.refuses('DELETE FROM dot_iu_command_run', '42501', 'append-only',
  'a run that is logged cannot be deleted');
SELECT pg_temp.refuses('TRUNCATE dot_iu_command_run', '42501', 'append-only', 'the log of runs cannot be emptied');
SET LOCAL session_replication_role = replica;
SELECT pg_temp.refuses('DELETE FROM dot_iu_command_run', '42501', 'append-only',
  'a run that is logged cannot be deleted in the replica role');
SET LOCAL session_replication_role = origin;

-- An empty catalogue passes any command; a missing target function shows.
INSERT INTO dot_iu_command_catalog VALUES ('dot_iu_lost', 'read', false, true, ARRAY['fn_lost', 'fn_iu_gate_open']);
SELECT is((SELECT missing_functions FROM v_dot_iu_command_registry WHERE command_name = 'dot_iu_lost'),
  ARRAY['fn_lost'],
  'the registry of commands names a missing target function');
SELECT is((SELECT unresolvable_commands FROM v_dot_iu_command_run_health), 1::bigint,
  'the health of runs counts missing target functions');
DELETE FROM dot_iu_command_catalog;
SELECT lives_ok($$SELECT fn_dot_iu_command_log('anything', 'read', 'plan', 'planned', false, NULL, NULL, NULL, 'me')$$,
  'where the catalogue is empty any command is logged');
SELECT pg_temp.refused_log($$NULL, 'read', 'plan', 'planned', false, NULL, NULL, NULL, 'me'$$,
  'NULL is not in the catalogue', 'but not NULL');
SELECT * FROM finish();
ROLLBACK;
