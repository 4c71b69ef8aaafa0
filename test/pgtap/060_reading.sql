-- 060: the views that people read first: what is now, what is wrong and what to
-- do about it, what became of an event, and which commands one may call.
\ir setup.psql
SELECT no_plan();
SET LOCAL client_min_messages = error;

SELECT is_empty($$SELECT c.relname, count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  WHERE c.relname IN ('v_iu_now', 'v_iu_trouble', 'v_iu_event_story', 'v_iu_my_command') AND a.attnum > 0
  GROUP BY c.relname HAVING count(*) > 8$$, 'the views that people read first have at most 8 columns');

-- A trouble of this kind and name: its severity, and what to do about it.
CREATE FUNCTION pg_temp.trouble(p_about text, p_name text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(t.severity || ': ' || t.next_action, '; ') FROM v_iu_trouble t
   WHERE t.about = p_about AND t.name IS NOT DISTINCT FROM p_name $$;
CREATE FUNCTION pg_temp.now(p_kind text, p_name text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', n.state, n.holder, (n.ends_at > clock_timestamp())::text) FROM v_iu_now n
   WHERE n.kind = p_kind AND n.name = p_name $$;

-- ---- what is now

SELECT is(pg_temp.now('gate', 'iu_core.delivery_enabled'), 'closed', 'a gate that is closed has no holder and no end');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'olga', 't', 600);
SELECT is(pg_temp.now('gate', 'iu_core.delivery_enabled'), 'open olga true',
  'a gate that is open shows its holder, and its end');
SELECT is((SELECT count(*) FROM v_iu_now WHERE kind = 'gate'), (SELECT count(*) FROM iu_gate_registry),
  'what is now has every gate');
SELECT is(pg_temp.now('switch', 'iu_core.routes_master_enabled'), 'off', 'a switch is off or on');
SELECT fn_iu_switch_set(key, 'true', 'ann', 't')
  FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) AS key;
SELECT is(pg_temp.now('switch', 'iu_core.routes_master_enabled'), 'on', 'a switch that is set is on');
SELECT fn_dot_iu_runtime_lease_acquire('a lease', 'driver 7', 300);
SELECT is(pg_temp.now('runtime lease', 'a lease'), 'held driver 7 true', 'a lease that is held shows who has it');
SELECT fn_iu_route_add('r', 'version_applied', 'https://hooks.example/x', 'ann', 't', p_retry_policy =>
  '{"max_attempts": 2}');
SELECT is(pg_temp.now('route', 'r'), 'not armed', 'a route that was never armed is not armed');
SELECT fn_iu_route_allow('r', 'ann', 't'), fn_iu_route_arm('r', 'ann', 't');
SELECT is(pg_temp.now('route', 'r'), 'live ann', 'a route that is armed is live, and shows who armed it');
SELECT fn_iu_route_pause('r', 'ann', 't');
SELECT is(pg_temp.now('route', 'r'), 'paused ann', 'a route that is paused is paused');
SELECT fn_iu_route_resume('r', 'ann', 't');
INSERT INTO iu_route_circuit (route_code, state, failures, last_failure, open_s, next_at) VALUES ('r', 'open', 10,
  'http_500', 30, iu_core.steady_clock() + interval '30 s');
SELECT is(pg_temp.now('circuit', 'r'), 'open http_500 true', 'a circuit that is open shows when one delivery is tried');
DELETE FROM iu_route_circuit;

-- ---- an event's story

UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;
SELECT fn_iu_emit_event('version_applied', 'DOC/1', gen_random_uuid(), 'wim') AS event \gset
SELECT fn_iu_emit_event('structure_op_applied', 'DOC/1', gen_random_uuid(), 'wim') AS other \gset
CREATE FUNCTION pg_temp.story(p_event uuid) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT concat_ws(' ', s.route_code, s.step, s.attempt, s.outcome) FROM v_iu_event_story s
   WHERE s.event_id = p_event $$;
CREATE FUNCTION pg_temp.attempt(p_outcome text, p_code text) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(iu.fn_iu_delivery_record(c.lease_id, c.lease_generation, jsonb_build_array(jsonb_strip_nulls(
      jsonb_build_object('event_id', c.event_id, 'replay_number', c.replay_number, 'outcome', p_outcome,
                         'failure_code', p_code, 'http_status', CASE p_outcome WHEN 'sent' THEN 200 END)))))
    FROM iu.fn_iu_delivery_claim('s', 10) c $$;
SET LOCAL track_functions = 'pl';
SELECT results_eq(format('SELECT pg_temp.story(%L)', :'other'),
  ARRAY['emitted iu.structure_op_applied', 'now no route'], 'the story of an event that no route carries says so');
SELECT is((SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'fn_iu_route_explain'), NULL,
  'no route is asked about an event that it does not carry');
SET LOCAL track_functions = 'none';
SELECT fn_iu_route_deliver('r', :'event');
SELECT pg_temp.attempt('failed', 'timed_out');
SELECT results_eq(format('SELECT pg_temp.story(%L)', :'event'),
  ARRAY['emitted iu.version_applied', 'r attempt 1 timed_out', 'r now 1 waiting_retry'],
  'the story of an event has its attempt, and that it waits for another');
UPDATE iu_route_retry SET due_at = iu_core.steady_clock();
SELECT pg_temp.attempt('failed', 'request_too_large');
SELECT results_eq(format('SELECT pg_temp.story(%L)', :'event'),
  ARRAY['emitted iu.version_applied', 'r attempt 1 timed_out', 'r attempt 2 request_too_large',
        'r dead letter 2 request_too_large', 'r now 2 dead_letter'], 'the story of an event has its dead letter');
SELECT is(pg_temp.trouble('dead letter', 'r'),
  'critical: SELECT fn_iu_route_dead_letter_replay_many(session_user, ''reason'', ''r'')',
  'a dead letter is a trouble, and its next action replays it');
SELECT split_part(pg_temp.trouble('dead letter', 'r'), ': ', 2) AS action \gset
:action \gset replay_
SELECT pg_temp.attempt('sent', NULL);
SELECT results_eq(format('SELECT pg_temp.story(%L)', :'event'),
  ARRAY['emitted iu.version_applied', 'r attempt 1 timed_out', 'r attempt 2 request_too_large',
        'r dead letter 2 request_too_large', 'r replay 1 by postgres', 'r attempt 1 sent', 'r now 1 delivered'],
  'the story of an event ends with the delivery of its replay');
SELECT is(pg_temp.trouble('dead letter', 'r'), NULL, 'a dead letter that was replayed is no trouble any more');
SELECT fn_event_mark_read(:'event', 'role:reader');
SELECT is((SELECT outcome FROM v_iu_event_story WHERE event_id = :'event' AND step = 'read'), 'by role:reader',
  'the story of an event says who read it');
SELECT is_empty('SELECT * FROM v_iu_event_story WHERE event_id = gen_random_uuid()',
  'an event that there is not has no story');
-- ---- what is wrong

SELECT is(pg_temp.trouble('gate', 'queue.dlq.replay_enabled'), NULL, 'a gate that is closed is no trouble');
UPDATE dot_config SET value = 'maybe' WHERE key = 'queue.dlq.replay_enabled';
SELECT is(pg_temp.trouble('gate', 'queue.dlq.replay_enabled'),
  'warning: nothing: the watchdog closes it; find out who set it', 'a gate whose value is odd is a trouble');
DELETE FROM dot_config WHERE key = 'queue.dlq.replay_enabled';
SELECT matches(pg_temp.trouble('gate', 'queue.dlq.replay_enabled'), '^warning: INSERT INTO dot_config .*false',
  'a gate without its row is a trouble, and the next action puts it back');
INSERT INTO dot_config (key, value) VALUES ('queue.dlq.replay_enabled', 'false');
SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'olga', 't');
SELECT fn_iu_emit_event('version_applied', 'DOC/2', gen_random_uuid(), 'wim') AS held \gset
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'r', e.id, e.event_seq, iu_core.steady_clock(), 'deliver' FROM event_outbox e WHERE e.id = :'held';
SELECT matches(pg_temp.trouble('route', 'r'), '^notice: SELECT fn_iu_gate_open\(''iu_core.delivery_enabled''',
  'what a closed gate holds is a notice, and the next action opens it');
SELECT is((SELECT DISTINCT t.trouble FROM v_iu_trouble t WHERE t.about = 'route' AND t.name = 'r'),
  '1 held: the gate iu_core.delivery_enabled is closed', 'what is held says how many wait, and for what');
UPDATE iu_route_secret SET valid_until = clock_timestamp();
SELECT matches(pg_temp.trouble('route', 'r'), '^(notice|critical): ', 'a route that is held is one trouble');
SELECT fn_iu_route_add('a:b', 'version_applied', 'https://hooks.example/y', 'ann', 't');
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'a:b', e.id, e.event_seq, iu_core.steady_clock() + interval '10 days', 'timed_out' FROM event_outbox e
   WHERE e.id = :'held';
SELECT matches(pg_temp.trouble('route', 'a:b'), '^warning: SELECT fn_iu_route_retry_now\(''a:b'', session_user, ',
  'the next action of a route that waits too long names it, with a colon in its code');
SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'false', 'ann', 't');
SELECT is(pg_temp.trouble('switch', 'iu_core.routes_master_enabled'),
  'critical: SELECT fn_iu_switch_set(''iu_core.routes_master_enabled'', ''true'', session_user, ''reason'')',
  'a master switch that is off is a trouble');
SELECT split_part(pg_temp.trouble('switch', 'iu_core.routes_master_enabled'), ': ', 2) AS action \gset
:action \gset set_
SELECT is(pg_temp.trouble('switch', 'iu_core.routes_master_enabled'), NULL,
  'the next action of a switch that is off puts it on');
CREATE ROLE iu_test_cms LOGIN CREATEROLE IN ROLE iu_core_writer;
SELECT is(pg_temp.trouble('login', 'iu_test_cms'), 'warning: ALTER ROLE iu_test_cms NOCREATEROLE',
  'a login that is not fit for its role is a trouble');
CREATE TABLE test_pair (l int, r int);
INSERT INTO test_pair VALUES (1, 2);
CREATE VIEW test_pairs AS SELECT l AS left_value, r AS right_value FROM test_pair;
GRANT SELECT ON test_pairs TO iu_core_owner;
SELECT fn_iu_invariant_register('test.pair', 'test_pairs', 'the two are alike', 'ann', 't');
SELECT is(pg_temp.trouble('invariant', 'test.pair'), 'critical: SELECT * FROM fn_iu_invariant_check(''test.pair'')',
  'an invariant that was not checked yet is a trouble');
UPDATE test_pair SET l = 2;
SELECT count(*) FROM fn_iu_invariant_check('test.pair') \gset checked_
SELECT is(pg_temp.trouble('invariant', 'test.pair'), NULL, 'an invariant that passes is no trouble');
SELECT iu.fn_iu_place_begin('dog') \g /dev/null
SAVEPOINT at_home;
SELECT is(pg_temp.trouble('place', current_database()::text), NULL, 'a database that is at home is no trouble');
UPDATE iu_place SET place = gen_random_uuid(), system_identifier = system_identifier + 1;
SELECT iu.fn_iu_place_begin('dog') \g /dev/null
SELECT matches(pg_temp.trouble('place', current_database()::text), '^critical: SELECT fn_iu_place_confirm',
  'a database that is not at home is a trouble, and the next action confirms the place');
ROLLBACK TO at_home;
-- The figures of health and its rows are the same.
SELECT is((SELECT string_agg(finding, '; ') FROM iu_core.findings()), (SELECT message FROM iu_core.health()),
  'what health says in one line findings() has in rows');
SELECT is((SELECT max(severity) FROM iu_core.findings()), (SELECT severity FROM iu_core.health()),
  'health is as bad as the worst of its findings');
SELECT is_empty('SELECT * FROM v_iu_trouble WHERE next_action IS NULL OR trouble IS NULL OR severity IS NULL',
  'no trouble is without a severity, a sentence and a next action');

-- ---- which commands I may call

CREATE ROLE iu_test_agent LOGIN IN ROLE iu_core_agent;
CREATE ROLE iu_test_writer LOGIN IN ROLE iu_core_writer;
CREATE ROLE iu_test_reader LOGIN IN ROLE iu_core_reader;
CREATE ROLE iu_test_operator LOGIN IN ROLE iu_core_operator;
CREATE ROLE iu_test_admin LOGIN IN ROLE iu_core_admin;
-- What a role may call though it is not listed, and the other way round, found by calling everything.
CREATE FUNCTION pg_temp.miscounted(p_role name) RETURNS SETOF text LANGUAGE plpgsql AS $function$
DECLARE
  v_function record;
  v_listed   text[];
  v_refused  boolean;
  v_called   integer := 0;
BEGIN
  EXECUTE format('SET LOCAL ROLE %I', p_role);
  v_listed := ARRAY(SELECT command || '(' || arguments || ')' FROM v_iu_my_command WHERE command NOT LIKE 'iu_core.%');
  FOR v_function IN
    SELECT format('%s(%s)', p.proname, pg_get_function_arguments(p.oid)) AS name,
           format('SELECT FROM public.%I(%s)', p.proname,
             (SELECT string_agg('NULL::' || format_type(a.type, -1), ', ' ORDER BY a.n)
                FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, n))) AS call
      FROM iu_governed_object g JOIN pg_proc p ON p.oid::regprocedure::text = g.object_name
     WHERE g.object_class = 'function' AND p.pronamespace = 'public'::regnamespace
       AND p.prorettype <> 'trigger'::regtype AND p.proname <> 'fn_iu_gate_ledger_verify'
  LOOP
    BEGIN
      EXECUTE v_function.call;
      RAISE 'undo' USING ERRCODE = 'IU999';
    EXCEPTION WHEN insufficient_privilege THEN
      v_refused := SQLERRM ~ 'may not call|permission denied for function';
    WHEN OTHERS THEN
      v_refused := false;
    END;
    v_called := v_called + 1;
    IF v_refused = (v_function.name = ANY (v_listed)) THEN
      RETURN NEXT v_function.name;
    END IF;
  END LOOP;
  RESET ROLE;
  IF v_called < 80 THEN
    RETURN NEXT format('only %s functions were called', v_called);
  END IF;
END
$function$;
GRANT SELECT ON iu_governed_object TO iu_core_agent, iu_core_writer, iu_core_operator, iu_core_admin;
SELECT is_empty(format('SELECT pg_temp.miscounted(%L)', 'iu_test_' || r),
  format('a role of iu_core_%s is shown what it may call, and nothing else', r))
  FROM unnest(ARRAY['reader', 'writer', 'operator', 'admin', 'agent']) AS r;
SET LOCAL ROLE iu_test_agent;
SELECT set_has($$SELECT command FROM v_iu_my_command$$, $$VALUES ('fn_iu_gate_open'), ('fn_iu_gate_close')$$,
  'an agent is shown that it may open gates');
SELECT is((SELECT logged FROM v_iu_my_command WHERE command = 'fn_iu_gate_open'), true,
  'opening a gate is shown as logged');
SELECT array_agg(command) AS commands FROM v_iu_my_command \gset
SET LOCAL search_path = tap, pg_catalog;
SELECT set_eq('SELECT command FROM public.v_iu_my_command', :'commands'::text[],
  'what one may call is the same whatever the search path is');
SET LOCAL search_path = public, tap;
SELECT throws_ok('SELECT * FROM v_iu_trouble', '42501', NULL, 'an agent does not read what is wrong');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
