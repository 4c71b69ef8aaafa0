-- Something of every kind in the tables of a migrated database, for drivers to read.
CREATE ROLE ada LOGIN IN ROLE iu_core_admin;
CREATE ROLE olga LOGIN IN ROLE iu_core_operator;
CREATE ROLE oscar LOGIN IN ROLE iu_core_operator;
CREATE ROLE wim LOGIN IN ROLE iu_core_writer;
CREATE ROLE rita LOGIN IN ROLE iu_core_reader;
CREATE ROLE robot LOGIN IN ROLE iu_core_agent;
CREATE ROLE cms LOGIN CREATEROLE IN ROLE iu_core_writer;
GRANT EXECUTE ON FUNCTION fn_iu_gate_open, iu.fn_iu_gate_open TO cms;	-- which does not do
SELECT fn_iu_switch_set(key, 'true', 'ada', 'an example')
  FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) AS key;

-- gates and approvals
SET SESSION AUTHORIZATION oscar;
SELECT fn_iu_gate_approval_grant('iu_core.delivery_enabled', 'open', 900, now() + interval '90 days', 'oscar',
  'delivery', p_kind => 'standing', p_approval_id => '92e7b2a3-9f0e-4c6e-8a57-0d2c6c1f7b11');
SELECT fn_iu_gate_approval_grant('iu_core.structure_ops_enabled', 'open', 60, now() + interval '1 h', 'oscar', 'once');
SELECT fn_iu_gate_approval_revoke(approval_id, 'oscar', 'not needed') FROM v_iu_gate_approval WHERE kind = 'single';
SET SESSION AUTHORIZATION olga;
SELECT fn_iu_gate_open('iu_core.delivery_enabled', '92e7b2a3-9f0e-4c6e-8a57-0d2c6c1f7b11', 'olga', 'delivery', 900);
SELECT fn_iu_gate_break_glass('iu_core.operator_runtime_enabled', 'olga', 'nobody else is awake', 3600);
SELECT fn_dot_iu_runtime_lease_acquire('iu_core.composer_enabled', 'driver 7', 3600);
SET SESSION AUTHORIZATION oscar;
SELECT fn_iu_gate_approval_confirm('92e7b2a3-9f0e-4c6e-8a57-0d2c6c1f7b11', 'oscar', 'looked at');
RESET SESSION AUTHORIZATION;
SELECT fn_iu_gate_approvers_set('queue.dlq.replay_enabled', ARRAY['oscar'], 'ada', 'who knows');

-- routes, events, attempts, dead letters
SELECT fn_iu_route_add(r, 'version_applied', 'https://hooks.example/x', 'olga', 'an example', p_ordering => o,
    p_retry_policy => '{"max_attempts": 2}'), fn_iu_route_allow(r, 'olga', 'an example'),
  fn_iu_route_arm(r, 'olga', 'an example', '-infinity')
  FROM (VALUES ('mirror', 'subject'), ('index', 'none')) AS t (r, o);
SELECT fn_iu_route_secret_add('index', 'olga', 'with an end', NULL, now(), now() + interval '1 year');
SELECT fn_iu_emit_event('version_applied', 'DOC/' || n, 'b2f7a8a0-53ad-4b62-a1a5-1b1b6f7f9d01', 'wim',
  jsonb_build_object('n', n)) FROM generate_series(1, 6) AS n;
SELECT fn_iu_emit_event('unheard_of', NULL, NULL, 'wim');
CREATE FUNCTION pg_temp.attempt(p_outcome text, p_code text, p_most integer) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(iu.fn_iu_delivery_record(c.lease_id, c.lease_generation, jsonb_build_array(jsonb_strip_nulls(
      jsonb_build_object('event_id', c.event_id, 'replay_number', c.replay_number, 'outcome', p_outcome,
                         'failure_code', p_code, 'duration_us', 12345)))))
    FROM (SELECT * FROM iu.fn_iu_delivery_claim('s', p_most)) AS c $$;
SELECT pg_temp.attempt('sent', NULL, 2);
SELECT pg_temp.attempt('failed', 'timed_out', 1);
SELECT pg_temp.attempt('failed', 'request_too_large', 2);
SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 1);
SELECT fn_iu_route_dead_letter_replay(id, 'olga', 'mended')
  FROM v_iu_route_dead_letter_open ORDER BY created_at LIMIT 1;
SELECT fn_iu_route_retry_now('index', 'olga', 'an example');
INSERT INTO iu_route_circuit (route_code, state, failures, last_failure, open_s, next_at)
  VALUES ('index', 'open', 10, 'http_500', 30, iu_core.steady_clock() + interval '30 s')
  ON CONFLICT (route_code) DO UPDATE SET state = 'open', failures = 10, open_s = 30, next_at = excluded.next_at;
INSERT INTO iu_route_hung (route_code, times, last_at, hold_until)
  VALUES ('index', 1, clock_timestamp(), iu_core.steady_clock());
SELECT fn_iu_route_worker_run();
INSERT INTO event_subscription (subscriber_ref, event_domain) VALUES ('role:reader', 'iu');
SELECT fn_event_mark_read(id, 'role:reader') FROM event_outbox LIMIT 2;

-- invariants, windows, retention
CREATE TABLE pair (l numeric, r numeric);
INSERT INTO pair VALUES (1, 2);
CREATE VIEW pairs AS SELECT l AS left_value, r AS right_value FROM pair;
CREATE VIEW keys AS SELECT 'k' AS key, l AS left_value, r AS right_value FROM pair;
CREATE VIEW figure AS SELECT count(*) AS value FROM pair;
GRANT SELECT ON pairs, keys, figure TO iu_core_owner;
SELECT fn_iu_invariant_register('pair', 'pairs', 'the two are alike', 'ada', 'an example');
SELECT fn_iu_invariant_register('keys', 'keys', 'each key has two alike', 'ada', 'an example', p_settle_seconds => 60);
SELECT count(*) FROM fn_iu_invariant_check();
SELECT fn_iu_gate_demand_set('queue.dlq.replay_enabled', 'pair', 60, 'ada', 'an example');
SELECT fn_iu_surface_register('figure', 'Figure', 'view', 'invariant', 'ada', 'an example', 'figure');
SELECT fn_iu_change_window_open('1210', gen_random_uuid(), 'an example', 'olga', '/none.dump', 1, repeat('0', 64));
SELECT fn_iu_expect_delta('1210', 'figure', 1, 'olga', 'an example');
SELECT fn_iu_core_retention_policy_set('event_outbox', 365, 'ada', 'a year');
