-- 011: what a replay makes, what it refuses, how many at once are spread, who
-- may, and what is left of it. With the real sender: tap/t/064_dead_letters.pl.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.set_key(p_key text, p_value text) RETURNS void LANGUAGE sql AS $$UPDATE dot_config
  SET value = p_value WHERE key = p_key$$;
CREATE FUNCTION pg_temp.logged() RETURNS bigint LANGUAGE sql AS
  $$SELECT count(*) FROM dot_iu_command_run WHERE command_name LIKE 'dot_iu_route_dead_letter%'$$;
UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);

-- A live route, which has seen everything, so that events are handed over by hand.
CREATE FUNCTION pg_temp.route(p_route text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM fn_iu_route_add(p_route, 'version_applied', 'https://hooks.example/x', 'ann', 't');
  PERFORM fn_iu_route_allow(p_route, 'ann', 't');
  PERFORM fn_iu_route_arm(p_route, 'ann', 't');
  UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot
  WHERE route_code = p_route;
END $$;
-- Claims what is due and lets it fail for good.
CREATE FUNCTION pg_temp.fail(p_code text DEFAULT 'request_too_large') RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  PERFORM iu.fn_iu_delivery_record(c.lease_id, c.lease_generation, jsonb_agg(jsonb_build_object('event_id', c.event_id,
      'replay_number', c.replay_number, 'outcome', 'failed', 'failure_code', 'request_too_large')))
    FROM iu.fn_iu_delivery_claim('s', 1000) c GROUP BY c.lease_id, c.lease_generation;
  UPDATE iu_route_dead_letter SET failure_code = p_code WHERE failure_code = 'request_too_large'
  AND resolved_at IS NULL;
  RETURN (SELECT count(*) FROM v_iu_route_dead_letter_open);
END $$;
CREATE FUNCTION pg_temp.letters(p_route text, p_count integer, p_code text DEFAULT 'request_too_large') RETURNS bigint
  LANGUAGE plpgsql AS $$
BEGIN
  PERFORM fn_iu_route_deliver(p_route, fn_iu_emit_event('version_applied', 'a/' || n, gen_random_uuid(), 't'))
  FROM generate_series(1, p_count) n;
  RETURN pg_temp.fail(p_code);
END $$;
CREATE FUNCTION pg_temp.replay(p_id uuid) RETURNS jsonb LANGUAGE sql AS $$SELECT fn_iu_route_dead_letter_replay(p_id)$$;

SELECT pg_temp.route(r) FROM unnest(ARRAY['r', 'other', 'old']) r;
SELECT is(pg_temp.letters('r', 1), 1::bigint, 'a delivery that fails for good is a dead letter');
SELECT id AS letter, event_ref AS event FROM v_iu_route_dead_letter_open \gset

-- ---- refusals, by their statuses

SELECT pg_temp.set_key('iu_core.routes_master_enabled', 'false');
SELECT is(pg_temp.replay(:'letter') - 'message',
  jsonb_build_object('dead_letter_id', :'letter', 'status', 'master_gate_closed', 'resolved', false),
  'the master switch stops a replay');
SELECT is(fn_iu_route_dead_letter_replay_many('ann', 't', 'r') ->> 'status', 'master_gate_closed',
  'the master switch stops a replay by filter');
SELECT is((SELECT count(*) FROM iu_route_retry), 0::bigint, 'while the master switch is off nothing is handed over');
SELECT pg_temp.set_key('iu_core.routes_master_enabled', 'true');
SELECT is(pg_temp.replay(NULL) ->> 'status', 'dead_letter_not_found', 'NULL is no dead letter to replay');
SELECT is(pg_temp.replay(gen_random_uuid()) ->> 'message', 'there is no such dead letter',
  'an id that is not known is no dead letter to replay');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_dead_letter_replay(%L, %s)', :'letter', a), '23514',
  'actor and reason are required',
  'fn_iu_route_dead_letter_replay(..., ' || a || ') is refused')
  FROM unnest(ARRAY[$$'', 'x'$$, $$'ann', ' '$$, $$NULL, 'x'$$, $$'ann', NULL$$]) a;
SELECT is((SELECT state FROM v_iu_route_dead_letter), 'open', 'a refused replay leaves the dead letter open');
SELECT set_eq($$SELECT evidence ->> 'status', run_mode,
  run_status FROM dot_iu_command_run WHERE command_name = 'dot_iu_route_dead_letter_replay'$$,
  $$VALUES ('master_gate_closed', 'apply', 'refused'), ('dead_letter_not_found', 'apply', 'refused')$$,
  'a refused replay is logged as refused');

-- ---- a replay

SELECT iu_core.egress_refusal('https://hooks.example/x') IS NULL AS reachable \gset
SELECT pg_temp.replay(:'letter') AS first \gset
SELECT is(:'first'::jsonb - ARRAY['due_at', 'webhook_id', 'held'],
  jsonb_build_object('dead_letter_id', :'letter', 'status', 'replayed', 'decision', 'handed_over',
  'resolved', true, 'attempt_no', 1, 'replay_number', 1), 'a replay answers with the known keys');
SELECT is(:'first'::jsonb -> 'held', 'null', 'a replay on a live route is held by nothing');
SELECT row_eq(format('SELECT route_code, event_id, replay_number, attempt_no, reason, due_at <= clock_timestamp() '
  'FROM iu_route_retry'),
  ROW('r'::text, :'event'::uuid, 1, 1, 'replay'::text, true), 'a replay is due at once as replay 1, attempt 1');
SELECT is(pg_temp.replay(:'letter') -> 'webhook_id', :'first'::jsonb -> 'webhook_id',
  'a second replay of a dead letter tells the webhook-id of the first');
SELECT is(pg_temp.replay(:'letter') ->> 'status', 'already_replayed', 'a second replay of a dead letter is refused');
SELECT is((SELECT count(*) FROM iu_route_retry), 1::bigint, 'a dead letter is replayed once');
SELECT is(fn_iu_route_dead_letter_resolve(:'letter', 'ann', 't') ->> 'status', 'already_replayed',
  'a dead letter that was replayed is not resolved any more');
SELECT is((SELECT concat_ws(', ', state, replayed_as, replay_state, resolution, resolved_by)
  FROM v_iu_route_dead_letter),
  'replayed, 1, due, replayed: replay, ' || session_user,
  'the view of dead letters shows what a dead letter was replayed as and by whom');
SELECT is(webhook_id, :'first'::jsonb ->> 'webhook_id',
  'a replay is claimed under the webhook-id that was told') FROM iu.fn_iu_delivery_claim('s', 10);
SELECT isnt(:'first'::jsonb ->> 'webhook_id', (SELECT idempotency_key FROM iu_route_dead_letter),
  'a replay has another webhook-id than the delivery that failed');
SELECT is((SELECT replay_state FROM v_iu_route_dead_letter), 'in_flight',
  'the view of dead letters shows a replay that is with a sender');
SELECT lives_ok($$SELECT iu.fn_iu_delivery_record(lease_id, generation,
  jsonb_build_array(jsonb_build_object('event_id', event_ids[1], 'replay_number', 1,
  'outcome', 'failed', 'failure_code', 'request_too_large'))) FROM iu_route_lease$$, 'a replay can fail as well');
SELECT row_eq('SELECT replay_number, replay_of, state FROM v_iu_route_dead_letter WHERE replay_number = 1',
  ROW(1, :'letter'::uuid, 'open'::text),
  'a replay that failed is a dead letter of its own that knows which it is a replay of');
SELECT is((SELECT replay_state FROM v_iu_route_dead_letter WHERE id = :'letter'), 'dead_letter',
  'the view of dead letters shows of the first that its replay is a dead letter');
SELECT id AS second FROM v_iu_route_dead_letter_open \gset
SELECT is(pg_temp.replay(:'second') ->> 'replay_number', '2', 'a replay that failed can be replayed in turn');
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 10)), 1::bigint, 'the second replay is claimed');
SELECT iu.fn_iu_delivery_record(lease_id, generation,
  jsonb_build_array(jsonb_build_object('event_id', event_ids[1], 'replay_number', 2, 'outcome', 'sent')))
  FROM iu_route_lease;
SELECT is((SELECT string_agg(concat_ws(' ', replay_number, state, replay_state), ', ' ORDER BY replay_number)
  FROM v_iu_route_dead_letter),
  '0 replayed dead_letter, 1 replayed delivered', 'the view of dead letters shows both replays to the delivery');

-- ---- what cannot be replayed

SELECT pg_temp.letters('old', 2);
SELECT is(fn_iu_route_explain(route_code, event_ref) ->> 'code', 'dead_letter',
  'explain says of a delivery that was given up that it is a dead letter') FROM v_iu_route_dead_letter_open LIMIT 1;
SELECT fn_iu_route_pause('old', 'ann', 't');
SELECT pg_temp.replay(id) AS paused FROM v_iu_route_dead_letter_open ORDER BY created_at, id LIMIT 1 \gset
SELECT is((:'paused'::jsonb -> 'held') ->> 'code', 'route_disabled',
  'a replay on a paused route is held, and says by what');
SELECT is(fn_iu_route_retire('old', 'ann', 't') ->> 'dead_letters', '1',
  'a replay that waits when its route is retired is a dead letter again');
SELECT is(x ->> 'status' || ': ' || (x ->> 'message'),
  'route_retired: route "old" is retired: resolve the dead letter with fn_iu_route_dead_letter_resolve',
  'a replay on a retired route is refused, and says what to do') FROM v_iu_route_dead_letter_open,
  LATERAL pg_temp.replay(id) x;
SELECT is(fn_iu_route_dead_letter_resolve(id, 'ann', 'the receiver is gone') - 'dead_letter_id',
  '{"status": "resolved", "resolved": true}',
  'a dead letter of a retired route is resolved')
  FROM v_iu_route_dead_letter_open;
SELECT id AS resolved FROM iu_route_dead_letter WHERE resolution = 'the receiver is gone'
  ORDER BY failure_code LIMIT 1 \gset
SELECT is(fn_iu_route_explain('old', event_ref) ->> 'sentence',
  'it was given up, and resolved by ann: the receiver is gone',
  'explain says by whom and why a dead letter was resolved') FROM iu_route_dead_letter WHERE id = :'resolved';
SELECT matches(pg_temp.replay(:'resolved') ->> 'message', 'resolved at .* by ann: the receiver is gone',
  'a resolved dead letter is not replayed, and the refusal says why');
SELECT is(pg_temp.replay(:'resolved') ->> 'status', 'already_resolved',
  'the replay of a resolved dead letter has a status of its own');
SELECT is(fn_iu_route_dead_letter_resolve(:'resolved', 'ann', 't') ->> 'status', 'already_resolved',
  'a dead letter is not resolved twice');
SELECT is(fn_iu_route_dead_letter_resolve(NULL, 'ann', 't') ->> 'status', 'dead_letter_not_found',
  'NULL is no dead letter to resolve');
SELECT pg_temp.refuses($$SELECT fn_iu_route_dead_letter_resolve(NULL, 'ann', ' ')$$, '23514',
  'actor and reason are required',
  'resolving without a reason is refused');
SELECT pg_temp.letters('r', 1);
UPDATE iu_route_dead_letter SET event_ref = gen_random_uuid() WHERE resolved_at IS NULL;
SELECT is(pg_temp.replay(id) ->> 'status', 'event_gone',
  'the replay of an event that was deleted is refused') FROM v_iu_route_dead_letter_open;
UPDATE iu_route_dead_letter SET route_code = 'unknown' WHERE resolved_at IS NULL;
SELECT is(pg_temp.replay(id) - ARRAY['dead_letter_id', 'message'],
  '{"status": "skipped", "decision": "route_unknown", "resolved": false}',
  'the replay on a route that does not exist is skipped')
  FROM v_iu_route_dead_letter_open;
SELECT fn_iu_route_dead_letter_resolve(id, 'ann', 't') FROM v_iu_route_dead_letter_open;

-- ---- on a dry run

SELECT pg_temp.letters('r', 1);
UPDATE iu_outbound_route SET dry_run = true WHERE route_code = 'r';
SELECT pg_temp.replay(id) - 'dead_letter_id' AS dry, id AS dry_id FROM v_iu_route_dead_letter_open \gset
SELECT is(:'dry'::jsonb,
  '{"status": "replayed", "decision": "dry_run", "resolved": true, "attempt_no": 2, "replay_number": 0}',
  'a replay on a route in dry run is recorded and resolves the dead letter');
SELECT row_eq(format('SELECT a.status, a.attempt_no, a.idempotency_key, a.delivered
    FROM iu_route_attempt a JOIN iu_route_dead_letter d ON d.event_ref = a.event_ref
    WHERE d.id = %L AND a.status = ''dry_run''', :'dry_id'),
  ROW('dry_run'::text, 2, 'dry_' || (SELECT idempotency_key FROM iu_route_dead_letter WHERE id = :'dry_id'), false),
  'a replay on a route in dry run is an attempt that took no number of the delivery');
SELECT is((SELECT count(*) FROM iu_route_retry WHERE route_code = 'r'), 0::bigint,
  'a replay on a route in dry run sends nothing');
SELECT set_eq($$SELECT jsonb_object_keys(payload_snapshot -> 'headers') FROM iu_route_attempt
  WHERE status = 'dry_run'$$,
  ARRAY['content-type', 'user-agent', 'content-length', 'webhook-id', 'webhook-timestamp', 'webhook-signature'],
  'the attempt of a dry run has the names of the headers');
SELECT row_eq($$SELECT payload_snapshot ->> 'method', payload_snapshot ->> 'url',
  payload_snapshot -> 'headers' ->> 'webhook-signature',
    payload_snapshot ->> 'body' = fn_iu_delivery_body(e),
    payload_snapshot ->> 'body_sha256' = encode(sha256(convert_to(fn_iu_delivery_body(e), 'UTF8')), 'hex')
    FROM iu_route_attempt a JOIN event_outbox e ON e.id = a.event_ref WHERE status = 'dry_run'$$,
  ROW('POST'::text, 'https://hooks.example/x'::text, 'present: 1'::text, true, true),
  'the attempt of a dry run has the method, the address and the bytes');
SELECT is((SELECT count(*) FROM iu_route_attempt a,
  iu_route_secret s WHERE a.payload_snapshot::text LIKE '%' || substr(s.secret, 7, 12) || '%'), 0::bigint,
  'the attempt of a dry run has no secret');
UPDATE iu_outbound_route SET dry_run = false WHERE route_code = 'r';

-- ---- many at once

SELECT pg_temp.refuses('SELECT fn_iu_route_dead_letter_replay_many(' || a || ')', '23514', m,
  'fn_iu_route_dead_letter_replay_many(' || a || ') is refused') FROM (VALUES
  ($$'ann', 't'$$, 'say which dead letters'), ($$'ann', 't', 'r', p_per_second => 0$$, 'p_per_second must be'),
  ($$'ann', 't', 'r', p_per_second => NULL$$, 'p_per_second must be'),
  ($$'ann', 't', 'r', p_limit => 0$$, 'p_limit must be'),
  ($$'ann', '', 'r'$$, 'actor and reason are required')) v (a, m);
SELECT pg_temp.refuses('SELECT fn_iu_route_dead_letter_resolve_many(' || a || ')', '23514', m,
  'fn_iu_route_dead_letter_resolve_many(' || a || ') is refused') FROM (VALUES
  ($$'ann', 't'$$, 'say which dead letters'), ($$'ann', 't', 'r', p_limit => NULL$$, 'p_limit must be'),
  ($$NULL, 't', 'r'$$, 'actor and reason are required')) v (a, m);
SELECT pg_temp.letters('r', 20, 'http_500');
SELECT pg_temp.letters('r', 3, 'timed_out');
SELECT is(pg_temp.letters('other', 5, 'http_500'), 28::bigint,
  '28 deliveries of two routes with two codes are dead letters');
SELECT fn_iu_route_dead_letter_replay_many('ann', 'mended', 'r', 'http_500', p_per_second => 4, p_limit => 8)
  AS many \gset
SELECT is(:'many'::jsonb - ARRAY['first_due_at', 'last_due_at'],
  '{"status": "ran", "matched": 20, "replayed": 8, "refused": {}, "per_second": 4, "remaining": 12}',
  'a replay by route and code with a limit of eight replays eight of twenty');
SELECT is((SELECT array_agg(DISTINCT x.gap)
  FROM (SELECT due_at - lag(due_at) OVER (ORDER BY due_at) AS gap FROM iu_route_retry WHERE reason = 'replay'
  AND route_code = 'r') x
  WHERE x.gap IS NOT NULL), ARRAY['0.25 s'::interval], 'replays at four a second are due a quarter of a second apart');
SELECT is((:'many'::jsonb ->> 'last_due_at')::timestamptz - (:'many'::jsonb ->> 'first_due_at')::timestamptz,
  '1.75 s'::interval,
  'the last of eight replays at four a second is due 1.75 s after the first');
SELECT is((SELECT array_agg(e.canonical_address ORDER BY t.due_at) FROM iu_route_retry t
  JOIN event_outbox e ON e.id = t.event_id WHERE t.route_code = 'r'),
  ARRAY(SELECT e.canonical_address FROM iu_route_dead_letter d JOIN event_outbox e ON e.id = d.event_ref
    WHERE d.route_code = 'r' AND d.failure_code = 'http_500' AND d.replayed_as = 1 ORDER BY d.created_at, d.id),
  'replays by filter begin with the oldest dead letter');
SELECT fn_iu_route_dead_letter_replay_many('ann', 'mended', p_failure_code => 'http_500', p_per_second => 100)
  AS more \gset
SELECT is(:'more'::jsonb - ARRAY['first_due_at', 'last_due_at'],
  '{"status": "ran", "matched": 17, "replayed": 17, "refused": {}, "per_second": 100, "remaining": 0}',
  'a replay by code replays the rest of both routes');
SELECT is((SELECT count(*) FROM (SELECT due_at FROM iu_route_retry WHERE route_code = 'r' AND reason = 'replay'
  ORDER BY due_at OFFSET 8) x
  WHERE due_at > (:'many'::jsonb ->> 'last_due_at')::timestamptz), 12::bigint,
  'replays of a second call are due after those of the first on the same route');
SELECT is((SELECT min(due_at) <= clock_timestamp() FROM iu_route_retry WHERE route_code = 'other'), true,
  'replays of a second call on another route are due at once');
SELECT is(fn_iu_route_dead_letter_replay_many('ann', 'mended', p_failure_code => 'http_500') - ARRAY['per_second',
  'first_due_at', 'last_due_at'],
  '{"status": "ran", "matched": 0, "replayed": 0, "refused": {}, "remaining": 0}',
  'a replay by filter of what was replayed already matches nothing');
SELECT is(fn_iu_route_dead_letter_resolve_many('ann', 'noted', p_until => '-infinity') ->> 'resolved', '0',
  'resolving by filter until the beginning of time matches nothing');
SELECT is(fn_iu_route_dead_letter_replay_many('ann', 't', p_from => 'infinity') ->> 'matched', '0',
  'a replay by filter from the end of time matches nothing');
-- Under every plan: this one asks for the letters once for each of them.
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_hashagg = off;
  SET LOCAL enable_sort = off; SET LOCAL enable_material = off;
SELECT is(fn_iu_route_dead_letter_resolve_many('ann', 'noted', p_from => '-infinity', p_limit => 2),
  '{"status": "ran", "matched": 3, "resolved": 2, "remaining": 1}',
  'resolving by filter with a limit of two resolves two of three');
RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_hashagg; RESET enable_sort; RESET enable_material;
SELECT fn_iu_route_retire('other', 'ann', 't');
UPDATE iu_route_dead_letter SET route_code = 'other' WHERE resolved_at IS NULL;
SELECT is(fn_iu_route_dead_letter_replay_many('ann', 't', 'other') -> 'refused', '{"route_retired": 6}',
  'a replay by filter counts refusals by status: the route''s own five and one that is said to be');
SELECT set_eq($$SELECT DISTINCT coalesce(evidence ->> 'decision', evidence ->> 'status') AS s,
  run_status FROM dot_iu_command_run WHERE command_name LIKE 'dot_iu_route_dead_letter%' AND NOT evidence ? 'filter'$$,
  $$VALUES ('master_gate_closed', 'refused'), ('dead_letter_not_found', 'refused'), ('handed_over', 'applied'),
  ('already_replayed', 'refused'), ('route_retired', 'refused'),
    ('already_resolved', 'refused'), ('event_gone', 'refused'), ('route_unknown', 'refused'), ('dry_run', 'applied'),
    ('resolved', 'applied')$$,
  'the log of runs has each status of a replay and of a resolution');
SELECT set_eq($$SELECT DISTINCT evidence ->> 'status' AS s, (evidence ->> 'replayed')::integer > 0 AS some,
  evidence -> 'refused' AS refused, run_status FROM dot_iu_command_run
    WHERE command_name = 'dot_iu_route_dead_letter_replay' AND evidence ? 'filter'$$,
  $$VALUES ('master_gate_closed', false, NULL::jsonb, 'refused'), ('ran', true, '{}', 'applied'),
  ('ran', false, '{}', 'applied'), ('ran', false, '{"route_retired": 6}', 'refused')$$,
  'the log of runs has the result of each replay by filter');

-- Letters that cannot be replayed are the oldest; the limit counts those that can.
DELETE FROM iu_route_retry;
SELECT pg_temp.letters('r', 3, 'http_500');
UPDATE iu_route_dead_letter SET created_at = created_at - interval '1 day', failure_code = 'http_500'
 WHERE resolved_at IS NULL AND route_code = 'other';
SELECT is(fn_iu_route_dead_letter_replay_many('ann', 't', p_failure_code => 'http_500', p_limit => 2)
  - ARRAY['first_due_at', 'last_due_at', 'per_second'],
  '{"status": "ran", "matched": 9, "replayed": 2, "refused": {"route_retired": 6}, "remaining": 7}',
  'letters that cannot be replayed keep none of those back that can, and do not count against the limit');
SELECT is(fn_iu_route_dead_letter_replay_many('ann', 't', p_failure_code => 'http_500', p_limit => 9) -> 'replayed',
  '1',
  'a second call with a limit replays the letter that the first one left');
UPDATE iu_route_dead_letter SET failure_code = 'timed_out' WHERE resolved_at IS NULL AND route_code = 'other';

-- ---- two dead letters of one delivery: of a dry run that could not be made, and its own

DELETE FROM iu_route_retry;
SELECT pg_temp.route('twice'), pg_temp.letters('twice', 1, 'twice');
INSERT INTO iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key, failure_code,
  event_snapshot)
  SELECT route_code, event_ref, replay_number, 1, 'dry_' || idempotency_key, 'twice',
  event_snapshot FROM iu_route_dead_letter WHERE failure_code = 'twice';
SELECT is(fn_iu_route_dead_letter_replay_many('ann', 't', 'twice') -> 'replayed', '2',
  'two dead letters of one delivery are both replayed');
SELECT is((SELECT array_agg(replay_number ORDER BY replay_number) FROM iu_route_retry t
  WHERE event_id = (SELECT event_ref FROM iu_route_dead_letter WHERE failure_code = 'twice' LIMIT 1)),
  ARRAY[1, 2], 'two dead letters of one delivery are replayed under numbers of their own');
SELECT is((SELECT count(DISTINCT replay_webhook_id) FROM v_iu_route_dead_letter WHERE failure_code = 'twice'),
  2::bigint,
  'two dead letters of one delivery are replayed under webhook-ids of their own');
DELETE FROM iu_route_retry;
SELECT is((SELECT array_agg(DISTINCT replay_state) FROM v_iu_route_dead_letter WHERE failure_code = 'twice'),
  ARRAY['unknown'],
  'the state of a replay of which nothing is known is unknown');

-- ---- behind another of its subject

SELECT fn_iu_route_add('ordered', 'version_applied', 'https://hooks.example/x', 'ann', 't', p_ordering => 'subject'),
  fn_iu_route_allow('ordered', 'ann', 't'), fn_iu_route_arm('ordered', 'ann', 't');
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;
SELECT fn_iu_route_deliver('ordered', fn_iu_emit_event('version_applied', 'o', s, 't'))
  FROM unnest(ARRAY[gen_random_uuid(), gen_random_uuid()]) s;
SELECT pg_temp.fail('order');
INSERT INTO iu_route_retry (route_code, event_id, replay_number, event_seq, due_at, reason, subject)
  SELECT 'ordered', e.id, 9, e.event_seq, NULL, 'replay',
  iu.fn_iu_order_subject(e) FROM event_outbox e WHERE canonical_address = 'o' ORDER BY event_seq LIMIT 1;
SELECT is((fn_iu_route_dead_letter_replay_many('ann', 't', 'ordered', 'order',
  p_per_second => 1) ->> 'last_due_at')::timestamptz < clock_timestamp() + interval '1 min', true,
  'what waits for its turn does not put off the replays of a filter');
SELECT is((SELECT count(*) FROM iu_route_retry WHERE route_code = 'ordered' AND due_at IS NOT NULL), 2::bigint,
  'replays of two subjects behind one that waits fall due');

-- ---- logged, and who may

SELECT pg_temp.logged() AS before \gset
SELECT pg_temp.replay(gen_random_uuid());
SELECT fn_iu_route_dead_letter_resolve_many('ann', 'noted', 'r');
SELECT is(pg_temp.logged() - :before, 2::bigint, 'every replay and resolution is logged, refusals too');
SELECT row_eq($$SELECT actor, evidence ->> 'reason', evidence -> 'filter' ->> 'failure_code',
  evidence ->> 'replayed' FROM dot_iu_command_run
    WHERE command_name = 'dot_iu_route_dead_letter_replay' AND evidence ->> 'replayed' = '8'$$,
    ROW('ann'::text, 'mended'::text, 'http_500'::text, '8'::text),
  'a replay by filter is logged with filter, reason and result');
SELECT set_eq($$SELECT r.rolname::text, pg_temp.called_as(p.oid) FROM pg_proc p CROSS JOIN pg_roles r
   WHERE pg_temp.called_as(p.oid) IS NOT NULL
   AND p.oid IN (SELECT to_regprocedure(g.object_name) FROM iu_governed_object g WHERE g.migration = 11
   AND g.object_class = 'function')
     AND r.rolname ~ '^iu_core_(reader|writer|operator|worker|agent)$' AND has_function_privilege(r.oid, p.oid,
     'EXECUTE')$$,
  $$VALUES ('iu_core_operator', 'fn_iu_route_dead_letter_replay'),
  ('iu_core_operator', 'fn_iu_route_dead_letter_replay_many'),
    ('iu_core_operator', 'fn_iu_route_dead_letter_resolve'),
    ('iu_core_operator', 'fn_iu_route_dead_letter_resolve_many'), ('iu_core_operator', 'fn_iu_route_send_again')$$,
  'operators replay and resolve, and nobody else does');
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT count(*) > 0 FROM v_iu_route_dead_letter'), 'true',
  'readers look at dead letters');

-- ---- taken back: what was replayed stays

SELECT count(*) AS letters FROM iu_route_dead_letter \gset
SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'ann', 't');
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(10, false, false)', '55006', 'would be lost',
  'rolling back dead letters is refused where the log would be lost');
SELECT lives_ok('SELECT count(*) FROM iu_core.rollback(10, false, true)',
  'with leave to lose the log the rollback of dead letters succeeds');
SELECT is((SELECT count(*) FROM iu_route_dead_letter), :letters::bigint,
  'the rollback of dead letters keeps the dead letters');
SELECT is((SELECT count(*) FROM dot_iu_command_catalog WHERE command_name LIKE 'dot_iu_route_dead_letter%'), 0::bigint,
  'the rollback of dead letters takes its commands from the catalogue');

SELECT finish();
ROLLBACK;
