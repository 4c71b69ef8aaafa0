-- What a refusal tells to do can be pasted, and does it; what an explanation
-- tells of a failure is what the attempt says.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.set_key(p_key text, p_value text) RETURNS void LANGUAGE sql AS $$UPDATE dot_config
  SET value = p_value WHERE key = p_key$$;
CREATE FUNCTION pg_temp.code() RETURNS text LANGUAGE sql AS $$SELECT coalesce(iu.fn_iu_delivery_refusal('r'), 'none')$$;
-- Runs the statement of the next action; of a gate with an approval's id in its place.
CREATE FUNCTION pg_temp.paste() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_before text := pg_temp.code();
BEGIN
  EXECUTE replace(coalesce(substring(iu.fn_iu_route_refusal('r') ->> 'next_action' FROM 'SELECT fn_.*\)'), 'SELECT 1'),
  'id of the approval', gen_random_uuid()::text);
  RETURN v_before || ', then ' || pg_temp.code();
END $$;

UPDATE dot_config SET value = 'false' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_route_add('r', 'version_applied', 'https://hooks.example/x', 'ann', 't',
  p_retry_policy => '{"circuit_failures": 1, "max_attempts": 2}');
SELECT is(pg_temp.paste(), 'master_gate_closed, then worker_gate_closed',
  'the statement of the next action switches the master switch on');
SELECT is(pg_temp.paste(), 'worker_gate_closed, then delivery_gate_closed',
  'the statement of the next action switches the worker''s switch on');
SELECT is(pg_temp.paste(), 'delivery_gate_closed, then route_not_allowlisted',
  'the statement of the next action opens the gate');
SELECT is(pg_temp.paste(), 'route_not_allowlisted, then route_disabled',
  'the statement of the next action puts the route on the allowlist');
SELECT is(pg_temp.paste(), 'route_disabled, then none', 'the statement of the next action arms a route that never was');
SELECT fn_iu_route_pause('r', 'ann', 't');
SELECT is(pg_temp.paste(), 'route_disabled, then none', 'the statement of the next action ends a pause');
SELECT matches(fn_iu_route_arm('r', 'ann', 't') ->> 'status', 'armed',
  'a route that is paused anew can be armed') FROM fn_iu_route_pause('r', 'ann', 't');
SELECT fn_iu_route_dry_run('r', 'ann', 't');
SELECT is(pg_temp.paste(), 'route_dry_run, then none', 'the statement of the next action ends a dry run');
UPDATE iu_route_position SET place = gen_random_uuid();
SELECT is(pg_temp.paste(), 'position_foreign, then none',
  'the statement of the next action confirms the position in a copy');
UPDATE iu_route_secret SET valid_until = clock_timestamp() WHERE secret_ref = 'r';
SELECT is(pg_temp.paste(), 'secret_missing, then none', 'the statement of the next action gives the route a secret');
INSERT INTO iu_route_circuit (route_code, state, failures, last_failure, open_s, next_at)
  VALUES ('r', 'open', 1, 'http_500', 30, now() + interval '30 s');
SELECT is(pg_temp.paste(), 'circuit_open, then none', 'the statement of the next action closes the circuit');
SELECT is((SELECT count(DISTINCT actor) FROM dot_iu_command_run WHERE actor NOT IN ('ann', session_user)), 0::bigint,
  'what was pasted is logged in the name of whoever pasted');

-- ---- a route that an answer disabled is resumed where it stood, not armed anew

SELECT fn_iu_emit_event('version_applied', 'a', gen_random_uuid(), 't') AS event \gset
SELECT status FROM jsonb_to_record((SELECT fn_iu_route_deliver('r', :'event'))) AS d (status text);
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;
SELECT fn_iu_route_deliver('r', :'event');
CREATE FUNCTION pg_temp.fails(p_result jsonb) RETURNS void LANGUAGE sql AS $$
  SELECT iu.fn_iu_delivery_record(c.lease_id, c.lease_generation,
    jsonb_build_array(p_result || jsonb_build_object('event_id', c.event_id, 'replay_number', c.replay_number,
    'outcome', 'failed')))
  FROM iu.fn_iu_delivery_claim('s', 1) c$$;
SELECT pg_temp.fails('{"http_status": 410, "response_excerpt": "moved away"}');
SELECT is(pg_temp.paste(), 'route_disabled, then none',
  'the statement of the next action resumes a route that an answer of 410 disabled');
SELECT is((SELECT count(*) FROM iu_route_retry WHERE route_code = 'r'), 1::bigint,
  'a route resumed after a 410 has what it owes');
SELECT is(x ->> 'last_response', 'moved away',
  'explain shows what the receiver said') FROM fn_iu_route_explain('r', :'event') x;

-- ---- what waits for another attempt is sent at once, on request

UPDATE iu_route_retry SET due_at = clock_timestamp() + interval '1 h';
SELECT x ->> 'code' AS code, coalesce(substring(x ->> 'next_action' FROM 'SELECT fn_.*\)'), 'SELECT 1') AS statement
  FROM fn_iu_route_explain('r', :'event') x \gset
SELECT is(:'code'::text, 'waiting_retry', 'explain says that the delivery waits for another attempt');
INSERT INTO iu_route_retry (route_code, event_id, replay_number, event_seq, due_at, reason)
  SELECT 'r', e.id, n, e.event_seq, CASE WHEN n < 3 THEN clock_timestamp() + interval '1 h' END,
         CASE n WHEN 1 THEN 'replay' WHEN 2 THEN 'address_refused' ELSE 'subject' END
    FROM event_outbox e, generate_series(1, 3) n WHERE e.id = :'event';
:statement;
SELECT is((SELECT string_agg(replay_number::text, ',' ORDER BY replay_number) FROM iu_route_retry
  WHERE due_at <= clock_timestamp()), '0',
  'the statement of the next action makes retries due now; replays, what is held and what waits for its turn stay');
SELECT is(fn_iu_route_retry_now('r', 'ann', 't') - 'held', '{"status": "unchanged", "route_code": "r", "retries": 0}',
  'retrying now a second time changes nothing');
SELECT pg_temp.refuses($$SELECT fn_iu_route_retry_now('nope', 'ann', 't')$$, '42704', 'not registered',
  'retrying now is refused for a route that is not registered');
SELECT pg_temp.refuses($$SELECT fn_iu_route_retry_now('r', 'ann', ' ')$$, '23514', 'actor and reason are required',
  'retrying now is refused without a reason');
DELETE FROM iu_route_retry WHERE replay_number > 0;

-- ---- given up: why, and how to send it again

SELECT pg_temp.fails('{"failure_code": "connect_failed", "failure_detail": "Connection refused"}');
SELECT fn_iu_route_circuit_close('r', 'ann', 't');
SELECT is(x ->> 'code' || ': ' || (x ->> 'last_failure_detail'), 'dead_letter: Connection refused',
  'explain shows the detail of the failure') FROM fn_iu_route_explain('r', :'event') x;
DO $$ BEGIN
  EXECUTE coalesce(substring(fn_iu_route_explain('r',
  (SELECT event_ref FROM v_iu_route_dead_letter_open)) ->> 'next_action'
    FROM 'SELECT fn_iu_route_dead_letter_replay.*?\)'), 'SELECT 1');
END $$;
SELECT is((SELECT state FROM v_iu_route_dead_letter), 'replayed',
  'the statement of the next action replays the dead letter');

-- ---- what was delivered long ago is not read to tell what waits

SELECT fn_iu_emit_events(jsonb_agg(jsonb_build_object('event_type', t.event_type, 'subject_ref', gen_random_uuid(),
  'actor_ref', n) ORDER BY n)) IS NOT NULL AS emitted
  FROM generate_series(1, 2000) n, event_type_registry t WHERE t.event_domain = 'iu' \gset
ANALYZE event_outbox;
CREATE FUNCTION pg_temp.pages_read(p_sql text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_plan jsonb;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || p_sql INTO v_plan;
  RETURN (v_plan #> '{0,Plan,Shared Hit Blocks}')::bigint + (v_plan #> '{0,Plan,Shared Read Blocks}')::bigint;
END $$;
SELECT waiting AS none FROM v_iu_event_backlog WHERE route_code = 'r' \gset
SELECT is(:none, 0, 'the backlog of a route with nothing to send counts none');
SELECT cmp_ok(pg_temp.pages_read('SELECT * FROM v_iu_event_backlog'), '<', pg_relation_size('event_outbox') / 8192 / 2,
  'the backlog is counted without reading the outbox');

-- ---- in the lineage of many a dead letter is found by its key

SELECT fn_iu_route_dead_letter_resolve_many('ann', 't', 'r');
INSERT INTO iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key, failure_code,
  event_snapshot)
  SELECT 'r', gen_random_uuid(), 0, 1, 'x' || n, 'http_500', '{}' FROM generate_series(1, 2000) n;
ANALYZE iu_route_dead_letter;
CREATE FUNCTION pg_temp.plan(p_sql text) RETURNS SETOF text LANGUAGE plpgsql
  AS $$BEGIN RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || p_sql; END $$;
SELECT is((SELECT count(*) FROM pg_temp.plan('SELECT * FROM v_iu_route_dead_letter') p
  WHERE p ~ 'Seq Scan on iu_route_dead_letter b'), 0::bigint,
  'no row of the view of dead letters reads the whole table');

SELECT * FROM finish();
ROLLBACK;
