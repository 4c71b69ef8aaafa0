-- 050: jobs are added, handed out, begun, acknowledged, tried again, cancelled.
\ir setup.psql
\ir 050_jobs.psql
SELECT no_plan();

-- ---- while the gate is closed

SELECT pg_temp.refused($$fn_job_enqueue('k', 'ann', '{"body": 1}', NULL, 'x')$$, 'queue.job_substrate.enabled=false',
  NULL,
  'nothing is added while the gate is closed, and the payload is not looked at', '{"job_id": null}');
SELECT is(fn_job_enqueue('k', 'ann', '{}', NULL, 'x') - '{guidance,next_action,field}'::text[],
  '{"job_id": null, "refused": true, "reason": "queue.job_substrate.enabled=false"}',
  'the refusal is the published one, with what to do besides');
SELECT matches(fn_job_enqueue('k', 'ann', '{}', NULL, 'x') ->> 'guidance', 'standing approval',
  'a refusal says what a queue runs on that nobody attends');
SELECT is(fn_job_ack(gen_random_uuid(), 'w/1') - '{guidance,next_action,field}'::text[],
  '{"refused": true, "reason": "queue.job_substrate.enabled=false"}',
  'nothing is acknowledged while the gate is closed');
SELECT pg_temp.refused(c, 'queue.job_substrate.enabled=false', NULL, 'while the gate is closed: ' || c) FROM (VALUES
  ($$fn_job_start(gen_random_uuid(), 'w/1')$$), ($$fn_job_ack_many(ARRAY[gen_random_uuid()], 'w/1')$$),
  ($$fn_job_fail(gen_random_uuid(), 'w/1', 'e')$$), ($$fn_job_cancel(gen_random_uuid(), 'ann', 'why')$$)) v (c);
SELECT pg_temp.refuses($$SELECT FROM fn_job_claim('w', 'Agent', 1)$$, '42501', 'iu_job_gate_closed',
  'nothing is handed out while the gate is closed');

SELECT pg_temp.gate('queue.job_substrate.enabled', true);

-- ---- whoever lets a job wait holds a second, by a lock

CREATE FUNCTION pg_temp.seconds_held() RETURNS integer LANGUAGE sql AS $$
  SELECT count(*)::integer FROM pg_locks
   WHERE locktype = 'object' AND classid = 'pg_extension'::regclass AND objsubid > 0 AND pid = pg_backend_pid() $$;
SET LOCAL ROLE iu_core_owner;
SELECT ok(iu_core.oldest_second() BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp()
  + interval '1 minute', 'where nobody holds a second, the oldest is the present');
SAVEPOINT held;
SELECT is((SELECT pg_temp.seconds_held() FROM iu_core.hold_second()), 1, 'a savepoint holds a second');
ROLLBACK TO held;
SELECT is(pg_temp.seconds_held(), 0, 'and does not where it is rolled back');
DECLARE puts CURSOR FOR SELECT iu_core.hold_second(), 1 / (2 - g) FROM generate_series(1, 2) g;
FETCH 1 FROM puts \g /dev/null
SELECT throws_ok('MOVE 1 IN puts', '22012', NULL, 'a cursor that held a second fails behind a savepoint');
SELECT is(pg_temp.seconds_held(), 1, 'and the second is held still, as what it wrote before is there still');
ROLLBACK TO held;
RESET ROLE;
SELECT throws_ok('SELECT iu_core.' || f, '42501', NULL, 'a login calls no iu_core.' || f)
  FROM (VALUES ('hold_second()'), ('oldest_second()')) v (f), set_config('role', 'iu_test_wim', true);
RESET ROLE;

-- ---- adding

SELECT pg_temp.refused('fn_job_enqueue(' || a || ')', 'invalid_input', f, 'refused: ' || a, '{"job_id": null}') FROM
  (VALUES
  ('job_kind', $$NULL, 'ann', '{}', NULL, 'x'$$), ('job_kind', $$' ', 'ann', '{}', NULL, 'x'$$),
  ('actor', $$'k', '', '{}', NULL, 'x'$$), ('payload_json', $$'k', 'ann', NULL, NULL, 'x'$$),
  ('payload_json', $$'k', 'ann', '[]', NULL, 'x'$$), ('payload_json', $$'k', 'ann', '{"": 1}', NULL, 'x'$$),
  ('payload_json', $$'k', 'ann', (SELECT jsonb_object_agg(i, md5(i::text))
  FROM generate_series(1, 9000) i), NULL, 'x'$$),
  ('source_ref', $$'k', 'ann', '{}', '', 'x'$$), ('idempotency_key', $$'k', 'ann', '{}', NULL, NULL$$),
  ('idempotency_key', $$'k', 'ann', '{}', NULL, repeat('x', 201)$$), ('priority', $$'k', 'ann', '{}', NULL, 'x', -1$$),
  ('priority', $$'k', 'ann', '{}', NULL, 'x', NULL$$), ('scheduled_at', $$'k', 'ann', '{}', NULL, 'x', 1, NULL$$),
  ('scheduled_at', $$'k', 'ann', '{}', NULL, 'x', 1, 'infinity'$$),
  ('scheduled_at', $$'k', 'ann', '{}', NULL, 'x', 1, '2300-01-01'$$),
  ('target_ref', $$'k', 'ann', '{}', NULL, 'x', p_target_ref => ' '$$),
  ('payload_ref', $$'k', 'ann', '{}', NULL, 'x', p_payload_ref => E'a\nb'$$),
  ('max_attempts', $$'k', 'ann', '{}', NULL, 'x', p_max_attempts => 0$$)) v (f, a);
SELECT pg_temp.refused(format($$fn_job_enqueue('k', 'ann', '{"%s": 1}', NULL, 'x')$$, k), 'invalid_input',
  'payload_json',
  'refused: a payload with the key ' || k, '{"job_id": null}')
  FROM unnest('{body,content,raw,vector,embedding,secret,token,password,ssn,personal_data}'::text[]) k;
-- What is kept compressed in a table is as long as it is.
CREATE TEMP TABLE t_long AS SELECT jsonb_build_object('x', repeat('a', 300000)) AS payload;
SELECT cmp_ok((SELECT pg_column_size(payload) FROM t_long), '<', 262144, 'the payload of the next test is compressed');
SELECT pg_temp.refused($$fn_job_enqueue('k', 'ann', (SELECT payload FROM t_long), NULL, 'x')$$, 'invalid_input',
  'payload_json', 'refused: a payload of 300 kB from a table that keeps it in less', '{"job_id": null}');
SELECT is(fn_job_enqueue('k', 'ann', '{"n": 1}', 'src', 'one') - 'job_id',
  '{"refused": false, "status": "queued", "state": "queued"}', 'a job is added');
SELECT results_eq($$SELECT job_kind, state, source_ref, target_ref, payload_ref, payload_json, priority, picked_at,
  finished_at, lease_owner, lease_until, attempts, max_attempts, actor, run_id, last_error, scheduled_at = now()
  FROM job_queue WHERE idempotency_key = 'one'$$, $$VALUES ('k', 'queued', 'src', NULL::text, NULL::text,
  '{"n": 1}'::jsonb, 100, NULL::timestamptz, NULL::timestamptz, NULL::text, NULL::timestamptz, 0, 5, 'ann', NULL::uuid,
  NULL::text, true)$$, 'a job is as it was asked for, and nobody''s');
SELECT pg_temp.answers($$fn_job_enqueue('k', 'bob', '{"n": 1}', 'src', 'one', 7)$$, jsonb_build_object('job_id',
  (pg_temp.job('one')).job_id, 'refused', false, 'status', 'idempotent_replay', 'state', 'queued'),
  'the same work under the same key is the same job, whoever wants it');
SELECT pg_temp.refused('fn_job_enqueue(' || a || ')', 'idempotency_key_used', 'idempotency_key',
  'other work under the key of an active job is refused: ' || a, '{"job_id": null}') FROM (VALUES
  ($$'other', 'ann', '{"n": 1}', 'src', 'one'$$), ($$'k', 'ann', '{"n": 2}', 'src', 'one'$$),
  ($$'k', 'ann', '{"n": 1}', NULL, 'one'$$), ($$'k', 'ann', '{"n": 1}', 'src', 'one', p_target_ref => 't'$$),
  ($$'k', 'ann', '{"n": 1}', 'src', 'one', p_payload_ref => 'p'$$)) v (a);
SELECT is(count(*), 0::bigint, 'what adds a job takes no lock that a login could take against it') FROM pg_locks
  WHERE locktype = 'advisory' AND pid = pg_backend_pid();
SELECT is(pg_temp.seconds_held(), 1, 'but holds a second');
SET LOCAL ROLE iu_core_owner;
SELECT is(iu_core.oldest_second(), date_trunc('second', iu_core.oldest_second()), 'which the runner and claims see')
  FROM pg_sleep(1.1);
SELECT ok(iu_core.oldest_second() <= min(place), 'and in which no job has its place before it') FROM job_queue;
SELECT is((SELECT pg_temp.seconds_held() FROM iu_core.hold_second()), 1,
  'one second is enough for a transaction that lasts longer');
RESET ROLE;
SELECT pg_temp.config('queue.retry.max_attempts_default', '7');
SELECT pg_temp.put('seven');
SELECT is((pg_temp.job('seven')).max_attempts, 7, 'how many attempts a job may have is a policy');
SELECT pg_temp.config('queue.retry.max_attempts_default', 'many');
SELECT pg_temp.refuses($$SELECT pg_temp.put('x')$$, '55000', 'iu_job_policy', 'a policy that is no number is refused');
SELECT pg_temp.config('queue.retry.max_attempts_default', '5');

-- ---- handing out

SELECT pg_temp.refuses(format('SELECT FROM fn_job_claim(%s)', a), '23514', n, 'refused: claim of ' || a) FROM (VALUES
  ($$NULL, 'Agent', 1$$, 'iu_job_executor'), ($$' ', 'Agent', 1$$, 'iu_job_executor'),
  ($$'w', 'MOT', 1$$, 'iu_job_executor_kind'), ($$'w', NULL, 1$$, 'iu_job_executor_kind'),
  ($$'w', 'Agent', 0$$, 'iu_job_claim_max'), ($$'w', 'Agent', 1001$$, 'iu_job_claim_max'),
  ($$'w', 'Agent', NULL$$, 'iu_job_claim_max'), ($$'w', 'Agent', 1, '{}'$$, 'iu_job_claim_kinds'),
  ($$'w', 'Agent', 1, '{NULL}'$$, 'iu_job_claim_kinds'),
  ($$'w', 'Agent', 1, '{{a,b},{c,d}}'$$, 'iu_job_claim_kinds')) v (a, n);
SELECT lives_ok(format($$SELECT FROM fn_job_claim('w', %L, 1, '{nothing}')$$, k), 'a worker may be: ' || k)
  FROM unnest('{DOT,Agent,Hermes,Codex,PG_worker,external_worker,future_Kestra_adapter}'::text[]) k;
SELECT is(pg_temp.claimed(1), 'one', 'the job that waits longest is handed out first');
SELECT results_eq($$SELECT state, attempts, picked_at IS NOT NULL, lease_owner ~ '^w/[0-9a-f-]{36}$',
  lease_until - iu_core.steady_clock() BETWEEN '290 s' AND '300 s' FROM job_queue WHERE idempotency_key = 'one'$$,
  $$VALUES ('leased', 1, true, true, true)$$, 'a job that was handed out is leased for the time of the policy');
SELECT is(pg_temp.claimed(10), 'seven', 'what is leased is not handed out again');
SELECT is(pg_temp.claimed(10), '', 'nothing is handed out where nothing waits');
SELECT isnt((pg_temp.job('one')).lease_owner, (pg_temp.job('seven')).lease_owner, 'each claim has a lease of its own');
SELECT pg_temp.put('b2', 'b', 5), pg_temp.put('a2', 'a', 5), pg_temp.put('b9', 'b', 9), pg_temp.put('a1', 'a', 1);
SELECT is(pg_temp.claimed(1) || ' ' || pg_temp.claimed(1), 'a1 b2',
  'a lower priority is handed out first, and of one priority what waits longest, whatever its kind');
SELECT is(pg_temp.claimed(10, '{b}'), 'b9', 'a worker may ask for kinds of jobs');
SELECT is(pg_temp.claimed(10, '{a,c}'), 'a2', 'and for several');
SELECT fn_job_enqueue('k', 'ann', '{}', NULL, 'later', p_scheduled_at => now() + interval '1 hour'),
  fn_job_enqueue('k', 'ann', '{}', NULL, 'earlier', p_scheduled_at => now() - interval '1 day');
SELECT is(pg_temp.claimed(10), 'earlier', 'a job is not handed out before its time');
SELECT pg_temp.age('later', '1 hour 1 s');
SELECT is(pg_temp.claimed(10), 'later', 'and is handed out when that has come');
SELECT pg_temp.put('m' || i, 'many') FROM generate_series(1, 200) i;
SELECT is(count(*)::int, 150, 'a claim hands out as many as it was asked for') FROM fn_job_claim('w', 'DOT', 150);
SELECT is(count(*)::int, 50, 'the next one the rest') FROM fn_job_claim('w', 'DOT', 150);
SELECT isnt((SELECT max(low) FROM job_position p JOIN job_lane l USING (lane_id) WHERE job_kind = 'many'), NULL,
  'the position of a lane is put forward');
SELECT is((SELECT count(*) FROM job_queue q JOIN job_lane l USING (job_kind,
  priority) JOIN job_position p USING (lane_id)
  WHERE q.state = 'queued' AND q.place < p.low), 0::bigint, 'and passes nothing that waits');

-- ---- begun, acknowledged

SELECT is(fn_job_start('00000000-0000-4000-8000-000000000001', 'w/1') - '{guidance,next_action}'::text[],
  '{"refused": true, "reason": "job_not_found", "field": "job_id", "job_id": "00000000-0000-4000-8000-000000000001"}',
  'a job that there is not does not begin');
SELECT pg_temp.refused(format($$fn_job_%s(%L, 'w/999999999'%s)$$, f, (pg_temp.job('one')).job_id, m), 'lease_not_held',
  'lease_owner', 'refused with another lease: ' || f,
  jsonb_build_object('job_id', (pg_temp.job('one')).job_id, 'state', 'leased'))
  FROM (VALUES ('start', ''), ('ack', ''), ('fail', $$, 'e'$$)) v (f, m);
SELECT pg_temp.refused(format($$fn_job_%s(%L, NULL%s)$$, f, (pg_temp.job('one')).job_id, m), 'lease_not_held',
  'lease_owner', 'refused without a lease: ' || f,
  jsonb_build_object('job_id', (pg_temp.job('one')).job_id, 'state', 'leased'))
  FROM (VALUES ('start', ''), ('ack', ''), ('fail', $$, 'e'$$)) v (f, m);
SELECT pg_temp.refused(pg_temp.call('fn_job_ack', 'one', $$, '{"token": 1}'$$), 'invalid_input', 'result',
  'a result keeps the rule of payloads');
SELECT is(pg_temp.does(pg_temp.call('fn_job_start', 'one')) - 'job_id',
  '{"refused": false, "status": "in_progress", "state": "in_progress"}', 'a worker says that it has begun');
SELECT (pg_temp.job('one')).lease_owner AS owner \gset
SELECT is(pg_temp.does(pg_temp.call('fn_job_ack', 'one', $$, '{"rows": 3}'$$)) - 'job_id',
  '{"refused": false, "status": "succeeded", "state": "succeeded"}', 'a worker acknowledges a job');
SELECT results_eq($$SELECT state, finished_at IS NOT NULL, lease_owner, lease_until, result_json FROM job_queue
  WHERE idempotency_key = 'one'$$, $$VALUES ('succeeded', true, NULL::text, NULL::timestamptz, '{"rows": 3}'::jsonb)$$,
  'a job that is done is nobody''s, and has its result');
SELECT pg_temp.refused(format('fn_job_ack(%L, %L)', (pg_temp.job('one')).job_id, :'owner'), 'lease_not_held',
  'lease_owner',
  'it is acknowledged once', jsonb_build_object('job_id', (pg_temp.job('one')).job_id, 'state', 'succeeded'));
SELECT is(fn_job_enqueue('k', 'ann', '{}', NULL, 'one') ->> 'status', 'queued',
  'the key of a job that is over is free');
SELECT pg_temp.refused('fn_job_ack_many(' || a || ')', 'invalid_input', 'job_ids', 'refused: acknowledging ' ||
  a) FROM (
  VALUES ($$'{}', 'w/1'$$), ($$NULL, 'w/1'$$), ($$array_fill(gen_random_uuid(), ARRAY[1001]), 'w/1'$$)) v (a);
SELECT array_agg(job_id) AS ids, min(lease_owner) AS lease FROM job_queue
  WHERE job_kind = 'many' AND lease_owner = (pg_temp.job('m1')).lease_owner \gset
SELECT is(fn_job_ack_many(:'ids'::uuid[] || '00000000-0000-4000-8000-000000000001'::uuid, :'lease'),
  '{"refused": false, "status": "succeeded", "succeeded": 150, "lease_not_held":
  ["00000000-0000-4000-8000-000000000001"]}', 'many are acknowledged at once, and what is another''s is named');
SELECT is(fn_job_ack_many(:'ids', :'lease') ->> 'succeeded', '0', 'and once');

-- ---- gone wrong

SELECT pg_temp.refused(pg_temp.call('fn_job_fail', 'seven', m), 'invalid_input', f, 'refused: failing with ' ||
  m) FROM (
  VALUES ('error', ', NULL'), ('error', $$, E' \n'$$), ('retry', $$, 'e', NULL$$)) v (f, m);
SELECT pg_temp.put('bad', 'bad', p_max_attempts => 3), pg_temp.claimed(1, '{bad}');
SELECT is(pg_temp.does(pg_temp.call('fn_job_fail', 'bad', $$, E'broke\nin two'$$)) - '{job_id,scheduled_at}'::text[],
  '{"refused": false, "status": "retry_waiting", "state": "retry_waiting", "attempts": 1}', 'a job that failed waits');
SELECT results_eq($$SELECT state, last_error, lease_owner, round(extract(epoch FROM scheduled_at - clock_timestamp()))
  FROM job_queue WHERE idempotency_key = 'bad'$$,
  $$VALUES ('retry_waiting', '"broke in two"', NULL::text, 10::numeric)$$,
  'for ten seconds, and says what went wrong');
SELECT is(pg_temp.claimed(1, '{bad}'), '', 'it is not handed out meanwhile');
SELECT pg_temp.age('bad', '11 s');
SELECT is(pg_temp.claimed(1, '{bad}'), 'bad', 'and is, afterwards');
SELECT pg_temp.does(pg_temp.call('fn_job_fail', 'bad', $$, 'again'$$));
SELECT is(round(extract(epoch FROM (pg_temp.job('bad')).scheduled_at - clock_timestamp())), 20::numeric,
  'the wait is twice as long after the second attempt');
SELECT pg_temp.age('bad', '21 s'), pg_temp.claimed(1, '{bad}');
SELECT is(pg_temp.does(pg_temp.call('fn_job_fail', 'bad', $$, 'for good'$$)) - '{job_id,dead_letter_id}'::text[],
  '{"refused": false, "status": "dead_letter", "state": "dead_letter", "attempts": 3}',
  'a job whose attempts are used up is a dead letter');
SELECT results_eq($$SELECT d.failure, d.attempts, d.triage_status, d.job_snapshot ->> 'idempotency_key',
  q.finished_at IS NOT NULL FROM job_dead_letter d JOIN job_queue q USING (job_id) WHERE q.idempotency_key = 'bad'$$,
  $$VALUES ('for good', 3, 'pending', 'bad', true)$$, 'which has what there is to know, and waits for a person');
SELECT pg_temp.put('hopeless', 'bad'), pg_temp.claimed(1, '{bad}');
SELECT is(pg_temp.does(pg_temp.call('fn_job_fail', 'hopeless', $$, 'no use', false$$)) ->> 'status', 'dead_letter',
  'a worker may say that another attempt does not help');
SELECT pg_temp.config('queue.retry.backoff_base_sec', '99999');
SELECT pg_temp.put('slow', 'bad'), pg_temp.claimed(1, '{bad}');
SELECT pg_temp.does(pg_temp.call('fn_job_fail', 'slow', $$, 'e'$$));
SELECT is(round(extract(epoch FROM (pg_temp.job('slow')).scheduled_at - clock_timestamp())), 86400::numeric,
  'no wait is longer than a day');
SELECT is((SELECT left_value = right_value FROM v_job_waiting_check), true, 'each job that waits is found by a claim');

-- ---- cancelled

SELECT pg_temp.refused(format('fn_job_cancel(%L, %s)', (pg_temp.job('slow')).job_id, a), 'invalid_input', f,
  'refused: cancelling by ' || a) FROM (VALUES ('actor', $$NULL, 'why'$$), ('reason', $$'ann', ' '$$)) v (f, a);
SELECT is(fn_job_cancel((pg_temp.job('slow')).job_id, 'ann', 'too late') - 'job_id',
  '{"refused": false, "status": "cancelled", "state": "cancelled", "previous": "retry_waiting"}', 'a job is cancelled');
SELECT is((pg_temp.job('slow')).last_error, 'cancelled by ann: too late', 'and says by whom and why');
SELECT pg_temp.refused(format($$fn_job_cancel(%L, 'ann', 'why')$$, (pg_temp.job('slow')).job_id), 'job_finished',
  'job_id',
  'what is over is not cancelled', jsonb_build_object('job_id', (pg_temp.job('slow')).job_id, 'state', 'cancelled'));
SELECT is(fn_job_cancel('00000000-0000-4000-8000-000000000001', 'ann', 'why') ->> 'reason', 'job_not_found',
  'nor what there is not');
SELECT (pg_temp.job('seven')).lease_owner AS owner \gset
SELECT is(fn_job_cancel((pg_temp.job('seven')).job_id, 'ann', 'stop') ->> 'previous', 'leased',
  'what a worker has may be cancelled');
SELECT is(fn_job_ack((pg_temp.job('seven')).job_id, :'owner') ->> 'reason', 'lease_not_held',
  'and is not acknowledged then');

-- ---- who may what

SELECT pg_temp.put('role', 'role');
SELECT matches(pg_temp.login('iu_test_robot', $$fn_job_enqueue('k', 'r', '{}', NULL, 'robot')$$), '"queued"',
  'an agent adds jobs');
SELECT is(pg_temp.login('iu_test_robot', $$count(*) FROM fn_job_claim('w', 'Agent', 1, '{role}')$$), '1',
  'an agent claims jobs');
SELECT matches(pg_temp.login('iu_test_wim', pg_temp.call('fn_job_ack', 'role')), '"succeeded"',
  'a writer acknowledges them');
SELECT matches(pg_temp.login(r, c), '^42501', format('%s may not %s', r, c)) FROM (VALUES
  ('iu_test_rita', $$fn_job_enqueue('k', 'r', '{}', NULL, 'x')$$), ('iu_test_rita', $$fn_job_claim('w', 'Agent', 1)$$),
  ('iu_test_olga', $$fn_job_claim('w', 'Agent', 1)$$), ('iu_test_olga', $$fn_job_ack(gen_random_uuid(), 'w/1')$$),
  ('iu_test_rita', $$fn_job_cancel(gen_random_uuid(), 'r', 'x')$$)) v (r, c);
SELECT is(pg_temp.login('iu_test_olga', $$fn_job_cancel(gen_random_uuid(), 'o', 'x') ->> 'reason'$$), 'job_not_found',
  'an operator cancels jobs');
GRANT INSERT, UPDATE, DELETE, TRUNCATE ON job_queue, job_dead_letter, queue_heartbeat TO iu_test_wim;
GRANT SELECT ON job_queue, job_dead_letter, queue_heartbeat TO iu_test_wim;
SET LOCAL ROLE iu_test_wim;
SELECT pg_temp.refuses(s, '42501', 'iu_job_blocked', 'refused: ' || s) FROM (VALUES
  ('UPDATE job_queue SET state = ''queued'''), ('DELETE FROM job_queue'), ('TRUNCATE job_queue'),
  ('INSERT INTO job_queue (job_kind, idempotency_key, actor, place) VALUES (''k'', ''x'', ''a'', now())'),
  ('UPDATE job_dead_letter SET triage_status = ''closed'''), ('DELETE FROM queue_heartbeat')) v (s);
RESET ROLE;
SELECT is((SELECT count(*) FROM event_outbox WHERE event_type LIKE '%job%'), 0::bigint, 'a job is no event');

-- ---- by the operator runtime

CREATE FUNCTION pg_temp.runtime(p_command text, p_params jsonb) RETURNS jsonb LANGUAGE sql AS
  $$SELECT fn_dot_iu_command_apply(p_command, p_params, 'ann')$$;
SELECT pg_temp.gate('iu_core.operator_runtime_enabled', true);
SELECT pg_temp.gate('queue.job_substrate.enabled', false);
SELECT is(pg_temp.runtime('dot_iu_enqueue_job', '{"p_job_kind": "r", "p_payload_json": {}, "p_source_ref": null,
    "p_idempotency_key": "r"}') -> 'closed_gates', '["queue.job_substrate.enabled"]',
  'the runtime asks the gate of the queue before it calls');
SELECT pg_temp.gate('queue.job_substrate.enabled', true);
SELECT is(pg_temp.runtime('dot_iu_enqueue_job', format('{"p_job_kind": "r", "p_payload_json": {}, "p_source_ref": null,
    "p_idempotency_key": "r%s", "p_max_attempts": %s}', i, i)::jsonb) ->> 'status', 'applied',
  'the runtime adds a job') FROM generate_series(1, 2) i;
SELECT is(pg_temp.runtime('dot_iu_claim_job', '{"p_executor": "w", "p_executor_kind": "Agent", "p_max": 2,
    "p_kinds": ["r"]}') ->> 'status', 'applied', 'the runtime claims jobs');
SELECT is(pg_temp.runtime('dot_iu_' || c, jsonb_build_object('p_job_id', (pg_temp.job(k)).job_id,
    'p_lease_owner', (pg_temp.job(k)).lease_owner) || m) ->> 'status' || ', ' || pg_temp.state(k), w,
  'the runtime does what the queue does: ' || w)
  FROM (VALUES (1, 'start_job', 'r1', '{}'::jsonb, 'applied, in_progress'),
    (2, 'fail_job', 'r1', '{"p_error": "e"}', 'applied, dead_letter'),
    (3, 'fail_job', 'r2', '{"p_error": "e"}', 'applied, retry_waiting')) v (n, c, k, m, w) ORDER BY n;
SELECT is(pg_temp.runtime('dot_iu_cancel_job', jsonb_build_object('p_job_id', (pg_temp.job('r2')).job_id,
    'p_reason', 'why')) ->> 'status' || ', ' || pg_temp.state('r2'), 'applied, cancelled', 'and cancels a job');
SELECT finish();
ROLLBACK;
