-- 007: what becomes of the deliveries of a route that is retired. With real
-- senders: tap/t/069_retire.pl.
\ir setup.psql
SELECT no_plan();

UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600) \g /dev/null

-- A live route, which has seen everything, so that events are handed over by hand.
CREATE FUNCTION pg_temp.route(p_route text, p_ordering text DEFAULT 'none') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM fn_iu_route_add(p_route, 'version_applied', 'https://hooks.example/x', 'ann', 't', p_ordering => p_ordering);
  PERFORM fn_iu_route_allow(p_route, 'ann', 't');
  PERFORM fn_iu_route_arm(p_route, 'ann', 't');
  UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot
  WHERE route_code = p_route;
END $$;
CREATE FUNCTION pg_temp.hand_over(p_route text, VARIADIC p_names text[]) RETURNS bigint LANGUAGE sql AS
  $$SELECT count(fn_iu_route_deliver(p_route,
  fn_iu_emit_event('version_applied', n, '00000000-0000-0000-0000-000000000001', 't', jsonb_build_object('n', n))))
  FROM unnest(p_names) n$$;
CREATE FUNCTION pg_temp.outcome(p_name text, p_more jsonb) RETURNS integer LANGUAGE sql AS
  $$SELECT iu.fn_iu_delivery_record(l.lease_id, l.generation,
  jsonb_build_array(jsonb_build_object('event_id', e.id) || p_more))
      FROM event_outbox e JOIN iu_route_lease l ON e.id = ANY (l.event_ids) WHERE e.canonical_address = p_name$$;
CREATE FUNCTION pg_temp.letters(p_route text) RETURNS TABLE (name text, attempts integer, failure_code text,
  detail text) LANGUAGE sql AS
  $$SELECT d.event_snapshot ->> 'canonical_address', d.attempts, d.failure_code,
  d.failure_detail FROM iu_route_dead_letter d WHERE d.route_code = p_route$$;

-- ---- what waits, and what is with a sender

SELECT pg_temp.route('r') \g /dev/null
SELECT pg_temp.hand_over('r', 'failed', 'sent', 'late', 'last', 'held', 'gone') \g /dev/null
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 100)), 6::bigint, 'six deliveries are with a sender');
SELECT is(pg_temp.outcome('failed', '{"outcome": "failed", "http_status": 500}'), 1,
  'one delivery failed and is to be tried again');
SELECT pg_temp.hand_over('r', 'new') \g /dev/null
UPDATE iu_route_step SET seen = '3:3:' WHERE route_code = 'r';	-- nothing was come to
SELECT fn_iu_emit_event('version_applied', 'ahead', gen_random_uuid(), 't') \g /dev/null
SELECT fn_iu_route_retire('r', 'ann', 'the receiver is gone') AS retired \gset
SELECT is(:'retired'::jsonb - 'passed_over',
  '{"status": "retired", "route_code": "r", "dead_letters": 2, "with_sender": 5}',
  'retiring tells that two deliveries waited and five are with a sender');
SELECT is(:'retired'::jsonb ->> 'passed_over',
  (SELECT count(*)::text FROM event_outbox WHERE event_type = 'version_applied'),
  'events that the retired route had not come to stay in the outbox');
SELECT is((SELECT evidence - ARRAY['route_code', 'reason', 'passed_over'] FROM dot_iu_command_run
  WHERE command_name = 'dot_iu_route_retire'), '{"dead_letters": 2, "with_sender": 5}',
  'retiring is logged with its numbers');
SELECT set_eq($$SELECT * FROM pg_temp.letters('r')$$,
  $$VALUES ('failed', 1, 'route_retired', 'retired by ann: the receiver is gone; it waited to be tried: http_500'),
  ('new', 0, 'route_retired', 'retired by ann: the receiver is gone; it waited to be tried: deliver')$$,
  'each delivery that waited is a dead letter that says why and where it was');
SELECT is((SELECT event_snapshot FROM iu_route_dead_letter WHERE event_snapshot ->> 'canonical_address' = 'new'),
  (SELECT to_jsonb(e) FROM event_outbox e WHERE canonical_address = 'new'),
  'the dead letter of a retired route has the whole event');
SELECT is((SELECT count(*) FROM iu_route_retry WHERE route_code = 'r'), 0::bigint,
  'nothing waits to be tried for the retired route');
SELECT is((SELECT sum(item_count) FROM iu_route_lease WHERE route_code = 'r'), 5::bigint,
  'deliveries with a sender are left to it');
SELECT is((SELECT DISTINCT iu.fn_iu_delivery_check(lease_id, generation) FROM iu_route_lease), 'route_retired',
  'a sender is told not to send more of the retired route''s deliveries');

-- ---- what the sender tells then

SELECT is(pg_temp.outcome('sent', '{"outcome": "sent", "http_status": 200}'), 1,
  'a delivery that was sent after retiring is recorded');
SELECT is(pg_temp.outcome('late', '{"outcome": "failed", "http_status": 500}'), 1,
  'a delivery that failed after retiring is recorded');
SELECT is(pg_temp.outcome('last', '{"outcome": "failed", "failure_code": "request_too_large"}'), 1,
  'a delivery that would not have been tried again is recorded');
SELECT is(pg_temp.outcome('held', '{"outcome": "held", "failure_code": "route_retired"}'), 0,
  'a delivery that was not sent after retiring has no attempt');
SELECT set_eq($$SELECT * FROM pg_temp.letters('r') WHERE name NOT IN ('failed', 'new')$$,
  $$VALUES ('late', 1, 'route_retired', 'retired by ann: the receiver is gone; the last attempt: http_500'),
  ('last', 1, 'request_too_large', NULL),
    ('held', 0, 'route_retired', 'retired by ann: the receiver is gone; a sender had it and had not sent it')$$,
  'every delivery that a sender did not send is a dead letter with its reason');
SELECT set_eq($$SELECT e.canonical_address, a.status,
  a.failure_code FROM iu_route_attempt a JOIN event_outbox e ON e.id = a.event_ref$$,
  $$VALUES ('failed', 'failed', 'http_500'), ('sent', 'sent', NULL), ('late', 'failed', 'http_500'),
  ('last', 'failed', 'request_too_large')$$,
  'every delivery that was tried has an attempt with its outcome');
SELECT is((SELECT count(*) FROM iu_route_retry), 0::bigint, 'no delivery of the retired route waits again');
SELECT is((SELECT count(*) FROM iu_route_circuit WHERE failures > 1), 0::bigint,
  'no circuit counts a failure of what was not tried');

-- ---- a sender that ends

SELECT iu.fn_iu_route_worker_turn('w', 1) \g /dev/null
SELECT is((SELECT item_count FROM iu_route_lease), 1, 'a turn leaves alone what a live sender has');
UPDATE iu_route_lease SET expires_at = clock_timestamp();
SELECT fn_iu_switch_set('iu_core.route_worker_enabled', 'false', 'ann', 't') \g /dev/null
SELECT iu.fn_iu_route_worker_turn('w', 1) \g /dev/null
SELECT set_eq($$SELECT * FROM pg_temp.letters('r') WHERE name = 'gone'$$,
  $$VALUES ('gone', 0, 'route_retired',
  'retired by ann: the receiver is gone; s had it and is gone: whether it was sent is not known')$$,
  'deliveries of a sender that is gone become dead letters even while no route is worked on');
SELECT is((SELECT count(*) FROM iu_route_lease), 0::bigint, 'the lease of the sender that is gone is gone');
SELECT fn_iu_switch_set('iu_core.route_worker_enabled', 'true', 'ann', 't') \g /dev/null

-- ---- dealt with

SELECT is(fn_iu_route_explain('r', e.id) ->> 'sentence', 'it was given up before its first attempt: route_retired',
  'explain says of an event of a retired route that it was given up') FROM event_outbox e
  WHERE canonical_address = 'new';
SELECT matches(fn_iu_route_explain('r', e.id) ->> 'next_action', '^SELECT fn_iu_route_dead_letter_resolve\([^;]*\)$',
  'explain names the statement that resolves the dead letter') FROM event_outbox e WHERE canonical_address = 'new';
SELECT is(fn_iu_route_worker_health() -> 'problems' ->> 0, '6 dead letter(s) wait for a person',
  'the monitor tells of the dead letters of a retired route');
SELECT is(fn_iu_route_dead_letter_replay(id) ->> 'status', 'route_retired',
  'a dead letter of a retired route is not replayed') FROM v_iu_route_dead_letter_open LIMIT 1;
SELECT is(fn_iu_route_dead_letter_resolve_many('ann', 'nobody needs it', 'r', 'route_retired') ->> 'resolved', '5',
  'dead letters of a retired route are resolved by their failure code');
SELECT is((SELECT count(*) FROM v_iu_route_dead_letter_open), 1::bigint,
  'a dead letter with a reason of its own is not resolved with them');

-- ---- in order: those that wait for their turn

SELECT pg_temp.route('o', 'subject'), pg_temp.hand_over('o', 'o1', 'o2', 'o3') \g /dev/null
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 100)), 1::bigint,
  'of a route in order one delivery is with a sender and two wait for it');
SELECT is(fn_iu_route_retire('o', 'ann', 't') - ARRAY['passed_over'],
  '{"status": "retired", "route_code": "o", "dead_letters": 2, "with_sender": 1}',
  'retiring a route in order tells of two dead letters and one with a sender');
SELECT is(pg_temp.outcome('o1', '{"outcome": "held"}'), 0, 'after retiring the head of a subject can be given back');
SELECT results_eq($$SELECT d.event_snapshot ->> 'canonical_address' FROM iu_route_dead_letter d WHERE d.route_code = 'o'
  ORDER BY created_at$$, ARRAY['o2', 'o3', 'o1'],
  'all deliveries of a subject become dead letters in their order');
SELECT is((SELECT count(*) FROM iu_route_retry) + (SELECT count(*) FROM iu_route_lease), 0::bigint,
  'after retiring a route in order neither retries nor leases are left');

-- ---- what comes after, and what is not retired

SELECT pg_temp.route('live'), pg_temp.hand_over('live', 'l1') \g /dev/null
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason) SELECT 'o', id, event_seq, now(),
  'deliver' FROM event_outbox WHERE canonical_address = 'l1';
SELECT iu.fn_iu_route_worker_turn('w', 1) \g /dev/null
SELECT is((SELECT array_agg(route_code) FROM iu_route_retry), ARRAY['live'],
  'a turn ends what was handed over to a retired route meanwhile and leaves other routes alone');
SELECT is((SELECT count(*) FROM iu_route_dead_letter WHERE route_code = 'o'), 4::bigint,
  'what was handed over to a retired route meanwhile is a dead letter');
SELECT is(iu.fn_iu_route_abandon('live'), 0::bigint, 'a route that is not retired is not abandoned');
SELECT is(iu.fn_iu_route_abandon('nope'), 0::bigint, 'a route that is unknown is not abandoned');
UPDATE iu_route_position SET place = gen_random_uuid() WHERE route_code = 'o';
SELECT pg_temp.refuses($$SELECT fn_iu_route_confirm_position('o', 'ann', 't')$$, '42704', 'is retired',
  'the position of a retired route is not confirmed in a copy');
SELECT pg_temp.refuses($$SELECT fn_iu_route_retire('live', 'ann', ' ')$$, '23514', 'actor and reason are required',
  'retiring is refused without a reason');
SELECT is((SELECT count(*) FROM iu_route_retry WHERE route_code = 'live'), 1::bigint,
  'a refused retirement leaves what waits');

SELECT * FROM finish();
ROLLBACK;
