-- 050: heartbeats; what the runner does; switches and policies.
\ir setup.psql
\ir 050_jobs.psql
SELECT no_plan();
SELECT pg_temp.gate('queue.job_substrate.enabled', true);

SELECT pg_temp.refused('fn_queue_heartbeat_tick(' || a || ')', 'invalid_input', f, 'refused: a heartbeat of ' ||
  a) FROM (
  VALUES ('executor_name', $$NULL, 'Agent', 'ok'$$), ('executor_kind', $$'w', 'MOT', 'ok'$$),
  ('executor_kind', $$'w', NULL, 'ok'$$), ('status', $$'w', 'Agent', ''$$), ('status', $$'w', 'Agent', NULL$$),
  ('lease_owner', $$'w', 'Agent', 'ok', NULL, 'w'$$), ('metadata', $$'w', 'Agent', 'ok', NULL, NULL, '{"raw": 1}'$$),
  ('metadata', $$'w', 'Agent', 'ok', NULL, NULL, NULL$$),
  ('metadata', $$'w', 'Agent', 'ok', NULL, NULL, jsonb_build_object('x', repeat('a', 262136))$$)) v (f, a);
SELECT is(fn_queue_heartbeat_tick('iu_outbound_default', 'PG_worker', 'ok', NULL, NULL, '{}'),
  '{"refused": false, "status": "ok", "executor_name": "iu_outbound_default", "jobs_held": 0,
  "holds_current_job": null}',
  'a worker says that it lives');
SELECT fn_queue_heartbeat_tick('iu_outbound_default', 'PG_worker', 'busy');
SELECT results_eq('SELECT executor_name, executor_kind, status, current_job_id, lease_owner, metadata
  FROM queue_heartbeat',
  $$VALUES ('iu_outbound_default', 'PG_worker', 'busy', NULL::uuid, NULL::text, '{}'::jsonb)$$,
  'which is one row for each, whatever it says');

SELECT pg_temp.put('a'), pg_temp.put('b'), pg_temp.claimed(2);
SELECT pg_temp.age('a', '250 s'), pg_temp.age('b', '250 s');
SELECT is(pg_temp.does(format('fn_queue_heartbeat_tick(%L, %L, %L, %L, %L)', 'w', 'Agent', 'ok',
  (pg_temp.job('a')).job_id,
  (pg_temp.job('a')).lease_owner)) - '{refused,status,executor_name}'::text[],
  '{"jobs_held": 2, "holds_current_job": true}', 'a heartbeat says what its lease holds');
SELECT is((SELECT bool_and(lease_until > iu_core.steady_clock() + interval '290 s') FROM
  job_queue WHERE state = 'leased'),
  true, 'and all of that lasts for the whole time again');
SELECT (pg_temp.job('a')).lease_owner AS owner, (pg_temp.job('a')).job_id AS a \gset
SELECT fn_job_cancel(:'a', 'ann', 'stop');
SELECT is(fn_queue_heartbeat_tick('w', 'Agent', 'ok', :'a', :'owner') - '{refused,status,executor_name}'::text[],
  '{"jobs_held": 1, "holds_current_job": false}', 'a worker learns that its job was taken from it');

SET LOCAL ROLE iu_core_owner;
UPDATE queue_heartbeat SET beat_at = beat_at - interval '601 s' WHERE executor_name = 'w';
RESET ROLE;
SELECT pg_temp.answers('fn_queue_stale_check()', jsonb_build_object('refused', false, 'threshold_seconds', 600,
  'stale_count',
  1, 'stale', jsonb_build_array(jsonb_build_object('executor_name', 'w', 'executor_kind', 'Agent', 'current_job_id',
  :'a'))),
  'who is silent for twice the time of the policy is stale');
SELECT pg_temp.answers('fn_queue_stale_check(700)', '{"stale_count": 0, "stale": [], "threshold_seconds": 700}',
  'another time may be asked about');
SELECT pg_temp.refused('fn_queue_stale_check(0)', 'invalid_input', 'threshold_seconds', 'which is at least a second');
SELECT fn_iu_switch_set('queue.heartbeat.enabled', 'false', 'ada', 'quiet');
SELECT pg_temp.refused($$fn_queue_heartbeat_tick('w', 'MOT', 'ok')$$, 'queue.heartbeat.enabled=false', NULL,
  'no heartbeat is taken while its switch is off');

-- ---- the runner

SET LOCAL ROLE iu_core_owner;
SELECT is(iu.fn_job_chore('runner') BETWEEN clock_timestamp() + interval '299 s' AND
  clock_timestamp() + interval '300 s',
  true, 'the runner comes back in five minutes');
INSERT INTO job_position (lane_id, low) SELECT lane_id, iu_core.steady_clock() - interval '2 s' FROM job_lane;
INSERT INTO job_position (lane_id, low) SELECT lane_id, iu_core.steady_clock() - interval '1 s' FROM job_lane;
SELECT iu.fn_job_chore('runner');
SELECT is(count(*), 1::bigint, 'it deletes positions that do not count') FROM job_position;
RESET ROLE;
SELECT pg_temp.put('hidden');
SET LOCAL ROLE iu_core_owner;
INSERT INTO job_position (lane_id, low) SELECT lane_id, iu_core.steady_clock() + interval '1 hour' FROM job_lane;
RESET ROLE;
SELECT results_eq('SELECT left_value, right_value FROM v_job_waiting_check', 'VALUES (1::bigint, 0::bigint)',
  'a job that no claim would find is found by the invariant');
SET LOCAL ROLE iu_core_owner;
SELECT iu.fn_job_chore('runner');
RESET ROLE;
SELECT is(pg_temp.claimed(1), 'hidden', 'and the runner lets claims find it');
SET LOCAL ROLE iu_core_owner;
INSERT INTO job_position (lane_id, low) SELECT lane_id, iu_core.steady_clock() + interval '1 hour' FROM job_lane;
RESET ROLE;
SELECT pg_temp.put('after the clock was set back');
SELECT is(pg_temp.claimed(1), 'after the clock was set back',
  'a job that comes after the clock was set back is handed out at once');

-- ---- lanes that nobody uses

CREATE FUNCTION pg_temp.unused(p_for interval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  SET LOCAL ROLE iu_core_owner;
  UPDATE job_lane SET used_at = iu_core.steady_clock() - p_for;
  PERFORM iu.fn_job_chore('runner');
  RESET ROLE;
END $$;
CREATE FUNCTION pg_temp.lanes() RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(job_kind || ' ' || priority, ', ' ORDER BY job_kind, priority) FROM job_lane$$;
SELECT pg_temp.claimed(100), pg_temp.put('waits', 'waiting'), pg_temp.put('is done', 'empty', 3);
SELECT pg_temp.claimed(1, '{empty}');
SELECT fn_job_cancel(job_id, 'ann', 'stop') FROM job_queue WHERE job_kind = 'k' AND finished_at IS NULL;
SELECT pg_temp.unused('25 hours');
SELECT is(pg_temp.lanes(), 'empty 3, waiting 100',
  'the runner removes a lane that was not used for a day, and none with a job that waits or is leased');
SELECT fn_job_ack((pg_temp.job('is done')).job_id, (pg_temp.job('is done')).lease_owner);
SELECT pg_temp.unused('23 hours');
SELECT is(pg_temp.lanes(), 'empty 3, waiting 100', 'it leaves a lane that is empty for less');
SET LOCAL ROLE iu_core_owner;
INSERT INTO job_position (lane_id, low) SELECT lane_id, '2020-01-01' FROM job_lane WHERE job_kind = 'empty';
RESET ROLE;
SELECT pg_temp.unused('25 hours');
SELECT is(pg_temp.lanes(), 'waiting 100', 'and removes it when its job is over');
SELECT is(count(*), 0::bigint, 'with its position') FROM job_position p
  WHERE NOT EXISTS (SELECT FROM job_lane l WHERE l.lane_id = p.lane_id);
SELECT pg_temp.put('again', 'empty', 3);
SELECT is(pg_temp.claimed(1, '{empty}'), 'again', 'a job for which there was no lane any more is handed out');
SELECT pg_temp.put('marks it', 'waiting');
SELECT is((SELECT used_at > iu_core.steady_clock() - interval '1 minute' FROM job_lane WHERE job_kind = 'waiting'),
  true, 'who adds a job marks its lane as used');
SELECT is(pg_temp.lanes(), 'empty 3, waiting 100', 'and makes no second one');

-- ---- switches and policies


SELECT results_eq($$SELECT key, value FROM dot_config WHERE key LIKE 'queue.%' AND key NOT LIKE 'queue.lease.reaper%'
    AND key NOT IN ('queue.runtime.phase', 'queue.heartbeat.enabled', 'queue.job_substrate.enabled') ORDER BY key$$,
  $$VALUES ('queue.dlq.replay_enabled', 'false'), ('queue.heartbeat.stale_threshold_seconds', '300'),
  ('queue.lease.duration_sec', '300'), ('queue.notify.enabled', 'false'), ('queue.retry.backoff_base_sec', '10'),
  ('queue.retry.max_attempts_default', '5'), ('queue.worker.enabled', 'false')$$, 'the queue begins with its policies');
SELECT finish();
ROLLBACK;
