-- 051: leases that are over, dead letters, cleaning, what people look at.
\ir setup.psql
\ir 050_jobs.psql
SELECT no_plan();
SELECT pg_temp.gate('queue.job_substrate.enabled', true);

-- ---- the reaper

SELECT pg_temp.put('a'), pg_temp.put('b'), pg_temp.put('last', p_max_attempts => 1), pg_temp.claimed(3);
SELECT (pg_temp.job('a')).lease_owner AS owner, (pg_temp.job('a')).job_id AS a \gset
SELECT pg_temp.answers('fn_job_reap_stale_leases()',
  '{"refused": false, "status": "dry_run", "stale_count": 0, "jobs": []}',
  'no lease is over that lasts');
SELECT pg_temp.age('a', '300 s'), pg_temp.age('last', '301 s');
SELECT pg_temp.answers('fn_job_reap_stale_leases()', jsonb_build_object('stale_count', 2, 'jobs', jsonb_build_array(
  jsonb_build_object('job_id', :'a', 'job_kind', 'k', 'lease_owner', :'owner', 'attempts', 1, 'would_become',
  'retry_waiting'))), 'a dry run says which leases are over, and what would become of their jobs');
SELECT is(fn_job_reap_stale_leases(1) -> 'jobs' -> 0 ->> 'would_become', 'dead_letter',
  'those longest over come first, and a last attempt becomes a dead letter');
SELECT pg_temp.refused('fn_job_reap_stale_leases(' || l || ')', 'invalid_input', 'limit', 'refused: a look at ' || l)
  FROM unnest('{0,1001,NULL}'::text[]) l WHERE l IS NOT NULL;
SELECT pg_temp.refused('fn_job_reap_stale_leases_apply(0)', 'queue.lease.reaper_enabled=false', NULL,
  'no lease is taken back while the reaper is off');
SELECT fn_iu_switch_set('queue.lease.reaper_enabled', 'true', 'ada', 't');
SELECT pg_temp.refused('fn_job_reap_stale_leases_apply(0)', 'queue.lease.reaper_dry_run_only=true', NULL,
  'nor while it may only say what it would do');
DELETE FROM dot_config WHERE key = 'queue.lease.reaper_dry_run_only';
SELECT pg_temp.refused('fn_job_reap_stale_leases_apply(0)', 'queue.lease.reaper_dry_run_only=true', NULL,
  'nor where that switch is missing');
INSERT INTO dot_config (key, value) VALUES ('queue.lease.reaper_dry_run_only', 'false');
SELECT pg_temp.gate('queue.job_substrate.enabled', false);
SELECT pg_temp.refused('fn_job_reap_stale_leases_apply(0)', 'queue.job_substrate.enabled=false', NULL,
  'nor while the gate is closed, when no worker could end its jobs');
SELECT pg_temp.gate('queue.job_substrate.enabled', true);
SELECT pg_temp.refused('fn_job_reap_stale_leases_apply(' || a || ')', 'invalid_input', f, 'refused: reaping ' ||
  a) FROM (
  VALUES ('limit', '0'), ('limit', 'NULL'), ('actor', $$1, ' '$$)) v (f, a);
SELECT is(jsonb_path_query_array(fn_job_reap_stale_leases_apply(), '$.jobs[*].status'),
  '["dead_letter", "retry_waiting"]',
  'leases that are over are taken back');
SELECT is(concat_ws(' ', pg_temp.state('a'), pg_temp.state('last'), pg_temp.state('b')),
  'retry_waiting dead_letter leased',
  'and no others');
SELECT is((pg_temp.job('a')).last_error, format('lease %s was over, taken back by lease_reaper', :'owner'),
  'a job that was taken back says why');
SELECT is(fn_job_ack(:'a', :'owner') ->> 'reason', 'lease_not_held', 'a worker that comes back late cannot end it');
SELECT pg_temp.age('a', '10 s');
SELECT is(pg_temp.claimed(5), 'a', 'it is handed out again after its wait');
SELECT is((pg_temp.job('a')).attempts, 2, 'as its second attempt');
SELECT pg_temp.age('b', '300 s');
SET LOCAL ROLE iu_core_owner;
SELECT is(iu.fn_job_reap_chore('runner'), NULL, 'the runner takes back nothing by itself while its switch is off');
RESET ROLE;
SELECT fn_iu_switch_set('queue.worker.enabled', 'true', 'ada', 't');
SET LOCAL ROLE iu_core_owner;
SELECT is(iu.fn_job_reap_chore('iu_core runner') - clock_timestamp() BETWEEN '59 s' AND '60 s', true,
  'where it is on, the runner does, and comes back in a minute');
RESET ROLE;
SELECT matches((pg_temp.job('b')).last_error, 'taken back by iu_core runner$', 'and has taken one back');

-- ---- dead letters

SELECT dead_letter_id AS d FROM job_dead_letter WHERE job_id = (pg_temp.job('last')).job_id \gset
SELECT is(fn_job_dead_letter_replay('00000000-0000-4000-8000-000000000001', 'o', 'w', true) ->> 'reason',
  'dead_letter_not_found', 'a look at the replay of what there is not');
SELECT pg_temp.refused(format('fn_job_dead_letter_triage(%L, %s)', :'d', a), 'invalid_input', f, 'refused: triage ' ||
  a)
  FROM (VALUES ('triage_status', $$'pending', 'o', 'w'$$), ('triage_status', $$NULL, 'o', 'w'$$),
  ('actor', $$'closed', '', 'w'$$), ('note', $$'closed', 'o', NULL$$)) v (f, a);
SELECT pg_temp.refused($$fn_job_dead_letter_triage('00000000-0000-4000-8000-000000000001', 'closed', 'o', 'w')$$,
  'dead_letter_not_found', 'dead_letter_id', 'nobody decides about what there is not',
  '{"dead_letter_id": "00000000-0000-4000-8000-000000000001"}');
SELECT pg_temp.refused(format($$fn_job_dead_letter_replay(%L, 'o', 'w')$$, :'d'), 'queue.dlq.replay_enabled=false',
  NULL,
  'nothing is done once more while the gate is closed');
SELECT pg_temp.gate('queue.dlq.replay_enabled', true);
SELECT pg_temp.gate('queue.job_substrate.enabled', false);
SELECT pg_temp.refused(format($$fn_job_dead_letter_replay(%L, 'o', 'w')$$, :'d'), 'queue.job_substrate.enabled=false',
  NULL,
  'nor while no job may be added');
SELECT pg_temp.gate('queue.job_substrate.enabled', true);
SELECT pg_temp.refused(format('fn_job_dead_letter_replay(%L, %s)', :'d', a), 'invalid_input', f, 'refused: replay ' ||
  a)
  FROM (VALUES ('actor', $$NULL, 'w'$$), ('reason', $$'o', ' '$$), ('dry_run', $$'o', 'w', NULL$$)) v (f, a);
SELECT pg_temp.refused(format($$fn_job_dead_letter_replay(%L, 'o', 'w')$$, :'d'), 'triage_status_not_manual_replay',
  'dead_letter_id', 'nothing is done once more that nobody looked at', jsonb_build_object('dead_letter_id', :'d',
  'triage_status', 'pending'));
SELECT is(fn_job_dead_letter_triage(:'d', 'manual_replay', 'olga', 'the disk is back') - 'run_id', jsonb_build_object(
  'refused', false, 'status', 'manual_replay', 'dead_letter_id', :'d', 'job_id', (pg_temp.job('last')).job_id,
  'previous',
  'pending'), 'a person decides that it may be done once more');
SELECT pg_temp.answers(format($$fn_job_dead_letter_replay(%L, 'o', 'w', true)$$, :'d'), jsonb_build_object('refused',
  false,
  'status', 'would_replay', 'job_kind', 'k', 'idempotency_key', 'replay:' || :'d'), 'a look says what would be added');
SELECT fn_job_enqueue('k', 'ann', '{}', NULL, 'replay:' || :'d') ->> 'job_id' AS taken \gset
SELECT pg_temp.refused(format($$fn_job_dead_letter_replay(%L, 'o', 'w')$$, :'d'), 'idempotency_key_used',
  'dead_letter_id', 'nothing is done once more while another job has the key, and the letter stays open',
  jsonb_build_object('dead_letter_id', :'d', 'idempotency_key', 'replay:' || :'d'));
SELECT fn_job_cancel(:'taken', 'ann', 'no replay');
SELECT is(fn_job_dead_letter_replay(:'d', 'olga', 'the disk is back') - '{run_id,job_id}'::text[], jsonb_build_object(
  'refused', false, 'status', 'replayed', 'dead_letter_id', :'d', 'idempotency_key', 'replay:' || :'d'),
  'a dead letter is done once more');
SELECT results_eq(format($$SELECT q.state, q.attempts, q.max_attempts, q.job_kind, q.actor, d.triage_status,
  d.replayed_as = q.job_id FROM job_queue q, job_dead_letter d WHERE q.idempotency_key = 'replay:%1$s'
  AND q.finished_at IS NULL AND d.dead_letter_id = %1$L$$, :'d'),
  $$VALUES ('queued', 0, 1, 'k', 'olga', 'closed', true)$$,
  'as a new job with all its attempts, and the letter is closed');
SELECT is(pg_temp.state('last'), 'failed', 'the old job is failed');
SELECT is(fn_job_dead_letter_replay(:'d', 'olga', 'twice') ->> 'reason', 'triage_status_not_manual_replay',
  'it is done once more once');
SELECT pg_temp.refused(format($$fn_job_dead_letter_triage(%L, 'closed', 'o', 'w')$$, :'d'), 'dead_letter_closed',
  'dead_letter_id', 'nobody decides about what is closed', jsonb_build_object('dead_letter_id', :'d', 'replayed_as',
  (pg_temp.job('replay:' || :'d')).job_id));
SELECT pg_temp.put('bad', 'bad'), pg_temp.claimed(1, '{bad}');
SELECT pg_temp.does(pg_temp.call('fn_job_fail', 'bad', $$, 'no use', false$$)) ->> 'dead_letter_id' AS e \gset
SELECT is(fn_job_dead_letter_triage(:'e', 'closed', 'olga', 'not wanted any more') ->> 'status', 'closed',
  'a person decides that it is over');
SELECT is(pg_temp.state('bad'), 'failed', 'and the job is failed');
SELECT results_eq($$SELECT command_name, run_status, actor FROM dot_iu_command_run WHERE command_name ~ 'dead_letter'
  ORDER BY command_name, actor$$, $$VALUES ('dot_iu_replay_dead_letter', 'applied', 'olga'),
  ('dot_iu_triage_dead_letter', 'applied', 'olga'), ('dot_iu_triage_dead_letter', 'applied', 'olga')$$,
  'who decided is in the ledger of commands');

-- ---- cleaning

SELECT pg_temp.refused('fn_job_clean(' || a || ')', 'invalid_input', f, 'refused: cleaning ' || a) FROM (VALUES
  ('keep_days', $$0, 'o', 'w'$$), ('keep_days', $$NULL, 'o', 'w'$$), ('actor', $$1, NULL, 'w'$$),
  ('reason', $$1, 'o', ''$$), ('limit', $$1, 'o', 'w', 0$$), ('dry_run', $$1, 'o', 'w', 1, NULL$$)) v (f, a);
SELECT pg_temp.refused($$fn_job_clean(1, 'o', 'w', 10, false)$$, 'iu_core.retention_enabled=false', NULL,
  'nothing is cleaned while retention is closed');
SELECT fn_job_enqueue('c', 'ann', '{"n": 1}', 'src', 'old', p_payload_ref => 'p'), pg_temp.claimed(1, '{c}');
SELECT pg_temp.does(pg_temp.call('fn_job_ack', 'old', $$, '{"r": 1}'$$));
SET LOCAL ROLE iu_core_owner;
UPDATE job_queue SET finished_at = finished_at - interval '8 days' WHERE idempotency_key IN ('old', 'last');
RESET ROLE;
SELECT pg_temp.answers($$fn_job_clean(7, 'o', 'w')$$, '{"refused": false, "status": "dry_run", "jobs": 2}',
  'a look says how many jobs are over for long');
SELECT pg_temp.gate('iu_core.retention_enabled', true);
SELECT is(fn_job_clean(7, 'olga', 'a week', p_dry_run => false) - 'run_id',
  '{"refused": false, "status": "cleaned", "jobs": 2}', 'they are cleaned');
SELECT results_eq($$SELECT state, payload_json, result_json, source_ref, payload_ref, actor FROM job_queue
  WHERE idempotency_key = 'old'$$, $$VALUES ('cleaned', '{}'::jsonb, NULL::jsonb, NULL::text, NULL::text, 'ann')$$,
  'a job that is cleaned has lost what it was about');
SELECT is(fn_job_clean(7, 'olga', 'again', p_dry_run => false), '{"refused": false, "status": "cleaned", "jobs": 0}',
  'once');
SELECT is((SELECT string_agg(DISTINCT state, ' ' ORDER BY state) FROM job_queue),
  'cancelled cleaned failed leased queued retry_waiting',
  'nothing else is');
SELECT results_eq($$SELECT target_table, age_column, condition FROM iu_core_retention_target WHERE migration = 51
  ORDER BY 1$$, $$VALUES ('job_dead_letter', 'triaged_at', 'r.triage_status = ''closed'''),
  ('job_queue', 'finished_at', 'r.state = ''cleaned''')$$, 'retention may delete what is cleaned, and closed letters');

-- ---- what people look at

SELECT fn_queue_heartbeat_tick(n, 'Agent', 'ok') FROM unnest('{w1,w2,w3}'::text[]) n;
SET LOCAL ROLE iu_core_owner;
UPDATE queue_heartbeat SET beat_at = beat_at - CASE executor_name WHEN 'w2' THEN interval '300 s' ELSE '601 s' END
 WHERE executor_name <> 'w1';
RESET ROLE;
SELECT results_eq($$SELECT executor_name, status_hint FROM v_queue_health WHERE executor_name ~ '^w' ORDER BY 1$$,
  $$VALUES ('w1', 'fresh'), ('w2', 'warning'), ('w3', 'stale')$$, 'workers are fresh, to be looked at, or stale');
SELECT is((SELECT count(*) > 0 FROM v_queue_health WHERE executor_name LIKE 'iu_core%' AND executor_kind = 'PG_worker'
  AND seconds_since_beat IS NULL), true, 'those of iu_core are there by their state');
SELECT pg_temp.put('q1', 'v'), pg_temp.put('q2', 'v'), pg_temp.put('q3', 'v'), pg_temp.claimed(1, '{v}');
SELECT results_eq($$SELECT job_kind, priority, queued, retry_waiting, due, leased, in_progress, leases_over,
  next_due_at <= clock_timestamp() FROM v_job_queue_backlog WHERE job_kind = 'v'$$,
  $$VALUES ('v', 100, 2::bigint, 0::bigint, 2::bigint, 1::bigint, 0::bigint, 0::bigint, true)$$,
  'what waits and is leased, for each kind and priority');
SELECT results_eq($$SELECT job_kind, triage_status, letters, replayed, last_failure FROM v_job_dead_letter_summary
  WHERE job_kind = 'bad'$$, $$VALUES ('bad', 'closed', 1::bigint, 0::bigint, 'no use')$$, 'dead letters in numbers');
SELECT is(value, 'phase2_governance', 'the queue says in which phase it is') FROM dot_config
  WHERE key = 'queue.runtime.phase';
SELECT matches(pg_temp.login('iu_test_wim', c), '^42501', 'a writer may not: ' || c) FROM (VALUES
  ('fn_job_reap_stale_leases_apply()'), ($$fn_job_dead_letter_triage(gen_random_uuid(), 'closed', 'w', 'w')$$),
  ($$fn_job_dead_letter_replay(gen_random_uuid(), 'w', 'w')$$), ($$fn_job_clean(1, 'w', 'w')$$)) v (c);
SELECT is(pg_temp.login('iu_test_olga', 'fn_job_reap_stale_leases_apply() ->> ''status'''), 'reaped',
  'an operator may');
SELECT finish();
ROLLBACK;
