-- 012: what a pass makes of each event, that it repeats nothing and stops at
-- nothing, what a test of a route tells, and when health turns red. Passes that
-- follow commits are in tap/t/064_dead_letters.pl.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.set_key(p_key text, p_value text) RETURNS void LANGUAGE sql AS $$UPDATE dot_config
  SET value = p_value WHERE key = p_key$$;
CREATE FUNCTION pg_temp.emit(p_type text, p_count integer DEFAULT 1) RETURNS uuid[] LANGUAGE sql AS
  $$SELECT array_agg(fn_iu_emit_event(p_type, 'a/' || n, gen_random_uuid(), 't', jsonb_build_object('n', n)))
  FROM generate_series(1, p_count) n$$;
-- What the own transaction wrote is not committed, so a pass takes it for running: let it have been.
CREATE FUNCTION pg_temp.pass(p_limit integer DEFAULT 100) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_result jsonb;
BEGIN
  ALTER FUNCTION iu.fn_iu_snapshot_now() RENAME TO fn_snapshot;
  CREATE FUNCTION iu.fn_iu_snapshot_now() RETURNS pg_snapshot LANGUAGE sql AS
    'SELECT format(''%1$s:%1$s:'', pg_current_xact_id()::text::bigint + 1)::pg_snapshot';
  v_result := fn_iu_route_worker_run('w', p_limit);
  DROP FUNCTION iu.fn_iu_snapshot_now();
  ALTER FUNCTION iu.fn_snapshot() RENAME TO fn_iu_snapshot_now;
  UPDATE iu_route_worker_cursor SET seen = '1:1:', floor_seq = (SELECT max(event_seq) FROM event_outbox)
  WHERE window_end IS NULL;
  RETURN v_result;
END $$;
UPDATE dot_config SET value = 'false' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
UPDATE iu_outbound_route SET enabled = false;

-- ---- gates and arguments

SELECT is(pg_temp.pass(),
  '{"status": "master_gate_closed", "seen": 0, "attempts_written": 0, "skipped": 0, "dead_lettered": 0, "dry_run": 0, '
    '"handed_over": 0, "more": false}',
  'the master switch stops a pass');
SELECT pg_temp.set_key('iu_core.routes_master_enabled', 'true');
SELECT is(fn_iu_route_worker_run('w', 1) ->> 'status', 'worker_gate_closed', 'the worker''s switch stops a pass');
SELECT is((SELECT count(*) FROM iu_route_worker_cursor WHERE worker_name = 'w'), 0::bigint,
  'a pass that a switch stopped registers no worker');
SELECT pg_temp.set_key('iu_core.route_worker_enabled', 'true');
SELECT pg_temp.refuses('SELECT fn_iu_route_worker_run(' || a || ')', '23514', m,
  'fn_iu_route_worker_run(' || a || ') is refused') FROM (VALUES
  ($$NULL, 1$$, 'p_worker_name must be'), ($$'a b', 1$$, 'p_worker_name must be'),
  ($$'w', 0$$, 'p_batch_limit must be from'), ($$'w', NULL$$, 'p_batch_limit must be from'),
  ($$'w', 1, 'iuu'$$, 'no event type of domain "iuu"'), ($$'w', 1, ''$$, 'no event type of domain ""')) v (a, m);

-- ---- one event of each fate

SELECT fn_iu_route_add('dry', 'version_applied', 'https://hooks.example/x', 'ann', 't');
SELECT fn_iu_route_add('flow', 'version_applied', 'event_outbox', 'ann', 't', 'workflow');
SELECT fn_iu_route_add('live', 'structure_op_applied', 'https://hooks.example/y', 'ann', 't');
SELECT fn_iu_route_allow('live', 'ann', 't');
SELECT fn_iu_route_arm('live', 'ann', 't');
SELECT pg_temp.emit('version_applied');
SELECT is(pg_temp.pass() ->> 'skipped', (SELECT count(*)::text FROM event_outbox),
  'a pass skips every event while no route is enabled');
SELECT is(fn_iu_route_dry_run(r, 'ann', 't') ->> 'status', 'dry_run',
  'route ' || r || ' can be made a dry run beside gate and allowlist') FROM unnest(ARRAY['dry', 'flow']) r;
SELECT pg_temp.refuses($$SELECT fn_iu_route_dry_run('nope', 'ann', 't')$$, '42704', 'not registered',
  'a dry run is refused for a route that is not registered');
SELECT pg_temp.refuses($$SELECT fn_iu_route_dry_run('dry', 'ann', '')$$, '23514', 'actor and reason are required',
  'a dry run is refused without a reason');
SELECT pg_temp.emit('version_applied'), pg_temp.emit('structure_op_applied', 2), pg_temp.emit('collection_created', 3);
SELECT is(pg_temp.pass(),
  '{"status": "ran", "seen": 6, "attempts_written": 2, "skipped": 3, "dead_lettered": 0, "dry_run": 2, "handed_over": '
    '2, "more": false}',
  'a pass makes two dry runs of one event, leaves two events to the sender and skips three');
SELECT is(pg_temp.pass() - 'status',
  '{"seen": 0, "attempts_written": 0, "skipped": 0, "dead_lettered": 0, "dry_run": 0, "handed_over": 0, "more": false}',
  'a second pass sees nothing');
SELECT row_eq($$SELECT events_seen - (SELECT count(*) FROM event_outbox) AS seen, attempts_written,
  last_event_id IS NOT NULL, last_run_at IS NOT NULL, last_run_summary ->> 'status'
  FROM iu_route_worker_cursor WHERE worker_name = 'w'$$, ROW(0::bigint, 2::bigint, true, true, 'ran'::text),
  'the cursor of the worker counts what it saw and wrote');
SELECT bag_eq($$SELECT route_code, status, attempt_no, delivered, failure_code,
  payload_snapshot ->> 'url' FROM iu_route_attempt$$,
  $$VALUES ('dry', 'dry_run', 1, false, NULL, 'https://hooks.example/x'), ('flow', 'dry_run', 1, false, NULL, NULL)$$,
  'dry runs are attempts with their address');
SELECT is((SELECT payload_snapshot ->> 'webhook_id' FROM iu_route_attempt WHERE route_code = 'dry'),
  (SELECT iu.fn_iu_webhook_id(e.event_seq, r.id, 0, e.id) FROM iu_route_attempt a
  JOIN event_outbox e ON e.id = a.event_ref JOIN iu_outbound_route r USING (route_code)
    WHERE route_code = 'dry'), 'a dry run has the webhook-id that the delivery would have');
UPDATE iu_route_worker_cursor SET floor_seq = 0;
SELECT is(pg_temp.pass() - ARRAY['seen', 'skipped'],
  '{"status": "ran", "attempts_written": 2, "dead_lettered": 0, "dry_run": 2, "handed_over": 2, "more": false}',
  'a cursor that is set back makes dry runs of what there was before');
UPDATE iu_route_worker_cursor SET floor_seq = 0;
SELECT is(pg_temp.pass() ->> 'attempts_written', '0', 'a cursor that is set back again repeats no dry run');
SELECT is((SELECT count(*) FROM iu_route_attempt), 4::bigint, 'after all passes every dry run is there once');

-- ---- limits

SELECT pg_temp.emit('version_applied', 5);
SELECT is(pg_temp.pass(2) ->> 'more', 'true', 'a pass sees no more events than its limit and says that there are more');
SELECT is((SELECT string_agg(x, ' ')
  FROM (SELECT pg_temp.pass(2) ->> 'seen' AS x UNION ALL SELECT pg_temp.pass(2) ->> 'seen' UNION ALL
  SELECT pg_temp.pass(2) ->> 'seen') y), '2 1 0',
  'further passes see what the limit left');
SELECT is((SELECT count(*) FROM iu_route_attempt WHERE route_code = 'dry'), 7::bigint,
  'with a limit every event is a dry run once');
SELECT pg_temp.refuses($$SELECT fn_iu_route_worker_run('w', 1, 'iu')$$, '23514', 'reads the events of every domain',
  'a worker keeps the domain that it began with');
SELECT fn_iu_route_worker_run('pieces', 100, 'piece');
SELECT is((SELECT events_seen FROM iu_route_worker_cursor WHERE worker_name = 'pieces'), 0::bigint,
  'a worker of another domain sees no event of this one');

-- ---- an event that cannot be handled

INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane, event_subject_table, event_subject_ref,
  source_system, payload_classification)
  VALUES ('iu', 'version_applied', 'update', 'immediate', 'information_unit', 'r', 's', 'restricted');
ALTER FUNCTION iu.fn_iu_delivery_body(event_outbox) RENAME TO fn_body;
CREATE FUNCTION iu.fn_iu_delivery_body(p_event event_outbox) RETURNS text LANGUAGE plpgsql AS $$BEGIN
  IF p_event.canonical_address = 'a/2' THEN RAISE division_by_zero USING MESSAGE = 'bad event'; END IF;
  RETURN iu.fn_body(p_event); END $$;
SELECT fn_iu_route_retire('flow', 'ann', 't');
SELECT pg_temp.emit('version_applied', 3);
SELECT is(pg_temp.pass(),
  '{"status": "ran", "seen": 4, "attempts_written": 3, "skipped": 2, "dead_lettered": 1, "dry_run": 2, "handed_over": '
    '0, "more": false}',
  'an event that raises and one that is restricted stop no other');
SELECT row_eq($$SELECT status, failure_code, failure_detail FROM iu_route_attempt WHERE status = 'skipped'$$,
  ROW('skipped'::text, 'worker_process_error'::text, 'bad event'::text),
  'the error of an event that raises is an attempt');
SELECT row_eq($$SELECT failure_code, attempts,
  event_snapshot ->> 'canonical_address' FROM v_iu_route_dead_letter_open$$,
  ROW('worker_process_error'::text, 1, 'a/2'::text),
  'an event that raises is a dead letter');
SELECT is(fn_iu_route_dead_letter_replay(id) - ARRAY['dead_letter_id', 'sqlstate'],
  '{"status": "failed", "decision": "dry_run", "resolved": false, "message": "bad event"}',
  'a replay of an event that still raises leaves its dead letter open')
  FROM v_iu_route_dead_letter_open;
DROP FUNCTION iu.fn_iu_delivery_body(event_outbox);
ALTER FUNCTION iu.fn_body(event_outbox) RENAME TO fn_iu_delivery_body;
SELECT is(fn_iu_route_dead_letter_replay(id) - 'dead_letter_id',
  '{"status": "replayed", "decision": "dry_run", "resolved": true, "attempt_no": 2, "replay_number": 0}',
  'a replay of an event that raises no longer is a dry run')
  FROM v_iu_route_dead_letter_open;
ALTER FUNCTION iu.fn_iu_delivery_body(event_outbox) RENAME TO fn_body;
CREATE FUNCTION iu.fn_iu_delivery_body(p_event event_outbox) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE disk_full
  USING MESSAGE = 'no room'; END $$;
SELECT pg_temp.emit('version_applied');
SELECT pg_temp.refuses('SELECT pg_temp.pass()', '53100', 'no room',
  'trouble of the server ends the pass and is not blamed on an event');
DROP FUNCTION iu.fn_iu_delivery_body(event_outbox);
ALTER FUNCTION iu.fn_body(event_outbox) RENAME TO fn_iu_delivery_body;
SELECT is(pg_temp.pass() ->> 'dry_run', '1', 'after trouble of the server the event is still there for a dry run');

-- A contract that is broken: the dry run says that nothing would be sent. The checker is 005's.
DO $$BEGIN
  IF to_regprocedure('iu.fn_iu_payload_problem(jsonb, jsonb)') IS NULL THEN
    CREATE FUNCTION iu.fn_iu_payload_problem(jsonb, jsonb) RETURNS text LANGUAGE sql
    AS 'SELECT ''key "total" is missing'' WHERE NOT $2 ? ''total''';
  END IF;
END$$;
UPDATE iu_outbound_route SET payload_contract = '{"required": ["total"]}' WHERE route_code = 'dry';
SELECT pg_temp.emit('version_applied');
SELECT is(pg_temp.pass() ->> 'dry_run', '1', 'a payload that breaks the contract is a dry run');
SELECT row_eq($$SELECT status, failure_code, failure_detail ~ 'total',
  payload_snapshot ->> 'method' FROM iu_route_attempt WHERE failure_code = 'contract'$$,
  ROW('dry_run'::text, 'contract'::text, true, 'POST'::text),
  'the dry run of a payload that breaks the contract says so');
UPDATE iu_outbound_route SET payload_contract = '{}' WHERE route_code = 'dry';

-- ---- the senders' turn

SELECT is(iu.fn_iu_route_worker_turn('t', 100), false, 'the first turn of a sender finds nothing to do');
SELECT is((SELECT count(*) FROM iu_route_worker_cursor WHERE worker_name = 't' AND events_seen = 0), 1::bigint,
  'the first turn of a sender registers a worker');
UPDATE iu_outbound_route SET enabled = false WHERE dry_run;
UPDATE iu_route_worker_cursor SET last_run_at = now() - interval '2 min' WHERE worker_name = 't';
SELECT is(iu.fn_iu_route_worker_turn('t', 100), false, 'a turn without a route in dry run finds nothing to do');
SELECT is((SELECT events_seen || ' ' || (seen::text <> '1:1:')::text FROM iu_route_worker_cursor
  WHERE worker_name = 't'), '0 true',
  'a turn without a route in dry run only moves the cursor');
SELECT fn_iu_route_dry_run('dry', 'ann', 't');
SELECT pg_temp.set_key('iu_core.route_worker_enabled', 'false');
SELECT is(iu.fn_iu_route_worker_turn('never', 100), false, 'a turn with a switch off finds nothing to do');
SELECT is((SELECT count(*) FROM iu_route_worker_cursor WHERE worker_name = 'never'), 0::bigint,
  'a turn with a switch off registers no worker');
SELECT pg_temp.set_key('iu_core.route_worker_enabled', 'true');

-- ---- a test of a route

CREATE FUNCTION pg_temp.verdict(p_route text, p_event uuid) RETURNS text LANGUAGE sql
  AS $$SELECT fn_iu_route_test(p_route, p_event) ->> 'verdict'$$;
SELECT (pg_temp.emit('structure_op_applied'))[1] AS event \gset
SELECT is(pg_temp.verdict('live', :'event'), 'delivery_gate_closed', 'a test of a route tells that the gate is closed');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT is(pg_temp.verdict('live', :'event'), 'would_send', 'a test of a route tells that an event would be sent');
SELECT is(pg_temp.verdict('live', gen_random_uuid()), 'event_unknown',
  'a test of a route tells that the event is unknown');
SELECT is(pg_temp.verdict('live', (pg_temp.emit('version_applied'))[1]), 'event_not_on_route',
  'a test of a route tells that the event has another type than the route');
SELECT is(pg_temp.verdict('dry', NULL), 'route_not_allowlisted',
  'the verdict of a test of a route is the first check that fails');
SELECT is(pg_temp.verdict('nope', NULL), 'route_unknown', 'a test of a route tells that the route is unknown');
SELECT is(fn_iu_route_test('live', :'event') -> 'request' ->> 'body', fn_iu_delivery_body(e),
  'a test of a route shows the bytes that would be sent') FROM event_outbox e WHERE id = :'event';
SELECT is(jsonb_path_query_array(fn_iu_route_test('dry', :'event'), '$.checks[*] ? (@.ok == false).check'),
  '["route_not_allowlisted", "route_dry_run", "route_not_armed", "event_not_on_route"]',
  'a test of a route shows every check that fails');
SELECT is(fn_iu_route_test('dry', :'event') ->> 'verdict', iu.fn_iu_delivery_refusal('dry'),
  'the verdict of a test of a route is the refusal of the sender');
UPDATE iu_route_secret SET valid_until = clock_timestamp() WHERE secret_ref = 'live';
SELECT is(pg_temp.verdict('live', :'event'), 'secret_missing', 'a test of a route tells that there is no valid secret');
SELECT fn_iu_route_secret_add('live', 'ann', 't');
INSERT INTO iu_route_circuit (route_code, state, failures, last_failure, open_s, next_at) VALUES ('live', 'open', 10,
  'http_500', 30, clock_timestamp() + interval '1 h');
SELECT is(pg_temp.verdict('live', :'event'), 'circuit_open', 'a test of a route tells that the circuit is open');
SELECT is(jsonb_path_query_array(fn_iu_route_test('live', :'event'), '$.checks[*].check') -> 17, '"circuit_open"',
  'the circuit is the 18th check of a test of a route');
SELECT row_eq($$SELECT held_code, circuit, circuit_failures, circuit_until > clock_timestamp() FROM v_iu_route_health
  WHERE route_code = 'live'$$,
  ROW('circuit_open'::text, 'open'::text, 10, true), 'the view of health shows the open circuit of a route');
DELETE FROM iu_route_circuit;
SELECT row_eq($$SELECT circuit, circuit_failures, circuit_until FROM v_iu_route_health WHERE route_code = 'live'$$,
  ROW('closed'::text, 0, NULL::timestamptz),
  'the view of health shows the closed circuit of a route');
SELECT fn_iu_route_add('calls', 'structure_op_applied', 'fn_none', 'ann', 't', 'sql_function'),
  fn_iu_route_allow('calls', 'ann', 't');
SELECT is(pg_temp.verdict('calls', :'event'), iu.fn_iu_delivery_refusal('calls'),
  'the verdict of a test of a route to a function is the refusal of the sender');
SELECT is(pg_temp.verdict('calls', :'event'), 'function_refused',
  'a test of a route tells that its function is refused');
SELECT is((SELECT count(*) FROM jsonb_path_query(fn_iu_route_test('calls', :'event'),
  '$.checks[*] ? (@.check == "target_kind_not_supported" && @.ok == true)')), 1::bigint,
  'a test of a route to a function tells that its kind is carried');
ALTER FUNCTION iu.fn_iu_delivery_refusal(text) RENAME TO fn_refusal;
CREATE FUNCTION iu.fn_iu_delivery_refusal(p_route_code text) RETURNS text LANGUAGE sql AS $$SELECT 'another_rule'$$;
SELECT is(pg_temp.verdict('live', :'event'), 'another_rule',
  'a test of a route tells what refuses the sender even if it knows no such check');
DROP FUNCTION iu.fn_iu_delivery_refusal(text);
ALTER FUNCTION iu.fn_refusal(text) RENAME TO fn_iu_delivery_refusal;
SELECT is((SELECT count(*) FROM iu_route_attempt WHERE route_code = 'live'), 0::bigint,
  'a test of a route writes no attempt');
SELECT is((SELECT count(*) FROM dot_iu_command_run WHERE command_name = 'dot_iu_route_test'), 16::bigint,
  'every test of a route is in the log of runs');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_test(''live'', %L, '''', ''t'')', :'event'), '23514',
  'actor and reason are required',
  'a test of a route by nobody is refused');
SELECT is((SELECT count(*) FROM dot_iu_command_run d,
  iu_route_secret s WHERE d.evidence::text LIKE '%' || substr(s.secret, 7, 12) || '%'), 0::bigint,
  'a test of a route leaves no secret in the log of runs');

INSERT INTO iu_route_circuit (route_code, state, failures, last_failure, open_s, next_at) VALUES ('live', 'open', 10,
  'http_500', 600, clock_timestamp() + interval '10 min');
SELECT ok(jsonb_path_exists(fn_iu_route_test('live', NULL),
  '$.checks[*] ? (@.check == "circuit_open" && @.ok == false)')
  AND jsonb_path_exists(fn_iu_route_test('live', NULL), '$.checks[*] ? (@.check == "event_unknown" && @.ok == false)'),
  'a test of a route without an event shows the open circuit among the others');
DELETE FROM iu_route_circuit;
SELECT fn_iu_route_add('fn', 'version_applied', 'fn_nowhere', 'ann', 't', 'sql_function');
SELECT is(jsonb_path_query_array(fn_iu_route_test('fn', NULL), '$.checks[*] ? (@.ok == false).check'),
  '["route_not_allowlisted", "function_refused", "route_disabled", "route_dry_run", "route_not_armed", '
    '"event_unknown"]',
  'a test of a route to a function that is not registered shows every check that fails');

-- ---- health

CREATE FUNCTION pg_temp.health(p_stale integer DEFAULT 300) RETURNS jsonb LANGUAGE sql
  AS $$SELECT fn_iu_route_worker_health('w', p_stale)$$;
SELECT pg_temp.pass();
SELECT ok(pg_temp.health() ?& ARRAY['master_gate_open', 'worker_gate_open', 'registered', 'cursor', 'last_run_at',
  'totals', 'backlog_iu_events',
  'dead_letter_open', 'outbound_attempts_in_audit', 'healthy'], 'health has the known keys');
SELECT is(pg_temp.health() -> 'problems', '[]', 'health has no problem after a pass') ;
SELECT is(pg_temp.health() ->> 'healthy', 'true', 'health is true after a pass');
SELECT is(fn_iu_route_worker_health('nobody') ->> 'registered', 'false',
  'health tells of a worker that never ran that it is not registered');
SELECT pg_temp.refuses('SELECT pg_temp.health(0)', '23514', '1 or more', 'health with a threshold of 0 is refused');
SELECT fn_iu_route_deliver('live', :'event') ->> 'status' AS status \gset
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;
SELECT fn_iu_route_deliver('live', :'event') ->> 'status' AS status \gset
SELECT is(pg_temp.health() ->> 'healthy', 'true', 'a delivery that has just fallen due is no problem of health');
UPDATE iu_route_retry SET due_at = clock_timestamp() - interval '10 min';
SELECT matches(pg_temp.health() -> 'problems' ->> 0, '^route live: due since .* and nothing moves$',
  'a delivery that was due ten minutes ago without an attempt is a problem of health');
SELECT is(pg_temp.health() ->> 'healthy', 'false', 'with a problem health is false');
SELECT is(pg_temp.health(3600) ->> 'healthy', 'true',
  'with a threshold of an hour a delivery that was due ten minutes ago is no problem');
INSERT INTO iu_route_attempt (route_code, event_ref, attempt_no, idempotency_key, status, duration_us)
  VALUES ('live', gen_random_uuid(), 1, 'x1', 'sent', 1000),
  ('live', gen_random_uuid(), 1, 'x2', 'sent', 3000), ('live', gen_random_uuid(), 1, 'x3', 'failed', 2000);
SELECT is(pg_temp.health() ->> 'healthy', 'true',
  'with an attempt of the last minutes a delivery that was due ten minutes ago is no problem');
SELECT row_eq($$SELECT mode, retrying, oldest_due_age_s BETWEEN 600 AND 660, sent_1h, failed_1h, failed_share, p50_ms,
  p95_ms, held_code FROM v_iu_route_health WHERE route_code = 'live'$$,
  ROW('live'::text, 1::bigint, true, 2::bigint, 1::bigint, 0.3333, 2.000, 2.900, NULL::text),
  'the view of health shows what is due, what was sent, what failed and how long it took');
UPDATE iu_route_attempt SET recorded_at = now() - interval '2 h';
ALTER TABLE event_outbox DISABLE TRIGGER USER;
UPDATE event_outbox SET created_at = now() - interval '10 min' WHERE id = :'event';
INSERT INTO iu_route_circuit (route_code, state, failures, last_failure, open_s, next_at) VALUES ('live', 'open', 10,
  'http_500', 600, clock_timestamp() + interval '10 min');
SELECT matches(pg_temp.health() -> 'problems' ->> 0,
  '^route live: 1 held since .*: the circuit of the route is open until',
  'an open circuit is a problem of health once something waits long');
SELECT is(pg_temp.health(3600) -> 'problems', '[]',
  'with a threshold of an hour an open circuit is no problem after ten minutes');
DELETE FROM iu_route_circuit;
UPDATE iu_outbound_route SET enabled = false, disabled_reason = 'the receiver answered 410 (gone)'
  WHERE route_code = 'live';
SELECT matches(pg_temp.health() -> 'problems' ->> 0,
  '^route live: 1 held since .*: the route is not enabled: the receiver answered 410',
  'a receiver that is gone is a problem of health');
UPDATE iu_outbound_route SET disabled_reason = 'paused by ann: t' WHERE route_code = 'live';
SELECT is(pg_temp.health() -> 'problems', '[]', 'a route that a person paused is no problem of health');
UPDATE iu_outbound_route SET enabled = true, disabled_reason = NULL WHERE route_code = 'live';

-- Whatever brought it about, what no rule explains is a problem.
UPDATE iu_route_retry SET reason = 'http_503', due_at = clock_timestamp() + interval '1 day';
SELECT matches(pg_temp.health() -> 'problems' ->> 0,
  '^route live: 1 wait until .* or longer, which is more than its backoff explains \(max_s is 3600\); the first for '
  'http_503$',
  'a delivery that waits longer than the backoff of its route explains is a problem of health at once');
UPDATE iu_route_retry SET reason = 'replay';
SELECT is(pg_temp.health() -> 'problems', '[]', 'a replay that somebody spread over time is no problem of health');
UPDATE iu_route_retry SET reason = 'http_503', due_at = clock_timestamp() + interval '50 min';
SELECT is(pg_temp.health() -> 'problems', '[]', 'a delivery that waits for its backoff is no problem of health');
INSERT INTO iu_route_circuit (route_code, state, failures, last_failure, open_s, next_at) VALUES ('live', 'open', 10,
  'http_500', 30, clock_timestamp() - interval '1 s');
SELECT matches(pg_temp.health() -> 'problems' ->> 0,
  '^route live: its circuit is open, and nothing is due that would try it before ',
  'an open circuit that nothing will try is a problem of health');
UPDATE iu_route_retry SET due_at = clock_timestamp() + interval '10 s';
SELECT is(pg_temp.health() -> 'problems', '[]', 'an open circuit that is tried soon is no problem of health');
DELETE FROM iu_route_circuit;
ALTER TABLE iu_route_retry DISABLE TRIGGER USER;
UPDATE iu_route_retry SET due_at = NULL;
SELECT is(pg_temp.health() -> 'problems' ->> 0,
  'route live: deliveries wait for their turn, and none is under way that would bring it',
  'deliveries that wait for others that do not come are a problem of health');
ALTER TABLE iu_route_retry ENABLE TRIGGER USER;
UPDATE iu_route_retry SET reason = 'address_refused', detail = 'address 10.0.0.1 is not public',
  due_at = clock_timestamp() + interval '50 s';
SELECT matches(pg_temp.health() -> 'problems' ->> 0, '^route live: 1 held since .*: address 10.0.0.1 is not public',
  'a refused address is a problem of health');
SELECT row_eq($$SELECT held_code, held_why FROM v_iu_route_health WHERE route_code = 'live'$$,
  ROW('address_refused'::text, 'address 10.0.0.1 is not public'::text),
  'the view of health shows the refused address');
UPDATE iu_route_retry SET reason = 'deliver', detail = NULL, due_at = clock_timestamp() - interval '10 min';
UPDATE iu_route_attempt SET recorded_at = clock_timestamp();
SELECT pg_temp.set_key('iu_core.route_worker_enabled', 'false');
SELECT is(pg_temp.health() -> 'problems' ->> 0, 'the switch iu_core.route_worker_enabled is off and 1 wait',
  'a switch that is off while something waits is a problem of health');
SELECT row_eq($$SELECT held_code, held_why, next_action ~ 'fn_iu_switch_set' FROM v_iu_route_health
  WHERE route_code = 'live'$$,
  ROW('worker_gate_closed'::text, 'the switch iu_core.route_worker_enabled is off'::text, true),
  'the view of health shows that the switch holds the route, and what to do');
SELECT pg_temp.set_key('iu_core.route_worker_enabled', 'true');
UPDATE iu_route_worker_cursor SET floor_seq = 0, last_run_at = now() - interval '10 min';
UPDATE event_outbox SET created_at = now() - interval '10 min';
SELECT matches(pg_temp.health() -> 'problems' ->> 0, '^dry runs are due since .* and the worker has not run since',
  'dry runs that are due while the worker does not run are a problem of health');
UPDATE iu_route_worker_cursor SET last_run_at = now();
SELECT is(pg_temp.health() ->> 'healthy', 'true', 'a worker that runs and is behind is no problem of health');
SELECT pg_temp.set_key('iu_core.routes_master_enabled', 'false');
SELECT is(pg_temp.health() -> 'problems' ->> 0, 'the master switch iu_core.routes_master_enabled is off',
  'the master switch that is off is a problem of health');
SELECT is((SELECT dead_letters_open FROM v_iu_route_health WHERE route_code = 'dry'), 0::bigint,
  'the view of health counts no open dead letter of a route that has none');
UPDATE iu_route_dead_letter SET resolved_at = NULL, resolved_by = NULL, resolution = NULL;
SELECT matches((pg_temp.health() -> 'problems')::text, '1 dead letter\(s\) wait for a person',
  'an open dead letter is a problem of health');
SELECT is((SELECT dead_letters_open FROM v_iu_route_health WHERE route_code = 'dry'), 1::bigint,
  'the view of health counts the open dead letter of its route');

-- ---- who may

SELECT set_eq($$SELECT r.rolname::text, pg_temp.called_as(p.oid) FROM pg_proc p CROSS JOIN pg_roles r
   WHERE pg_temp.called_as(p.oid) IS NOT NULL
   AND p.oid IN (SELECT to_regprocedure(g.object_name) FROM iu_governed_object g WHERE g.migration = 12
   AND g.object_class = 'function')
     AND r.rolname ~ '^iu_core_(reader|writer|worker|agent)$' AND has_function_privilege(r.oid, p.oid, 'EXECUTE')$$,
  $$VALUES ('iu_core_worker', 'iu.fn_iu_route_worker_turn'), ('iu_core_worker', 'iu.fn_iu_gate_troubles'),
  ('iu_core_worker', 'iu.fn_iu_certificate_troubles'),
 ('iu_core_reader', 'fn_iu_route_worker_health'),
  ('iu_core_reader', 'iu.fn_iu_route_worker_ahead'), ('iu_core_reader', 'iu.fn_iu_attempts_last')$$,
  'the worker has its turn and readers ask');
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT count(*) > 0 FROM v_iu_route_health'), 'true',
  'readers look at the view of health');
SELECT is(has_function_privilege('iu_core_operator', 'fn_iu_route_worker_run(text,integer,text)', 'EXECUTE'), true,
  'operators run a pass');

-- ---- taken back

SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'ann', 't');
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(11, false, false)', '55006', 'would be lost',
  'rolling back the worker of routes is refused where its counts would be lost');
SELECT lives_ok('SELECT count(*) FROM iu_core.rollback(11, false, true)',
  'with leave to lose the counts the rollback of the worker of routes succeeds');

SELECT finish();
ROLLBACK;
