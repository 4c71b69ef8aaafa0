-- 011: sending again what was sent, by event, filter and time, and what a delivery
-- is a repeat of.
\ir setup.psql
SELECT no_plan();

UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT fn_iu_route_add('r', 'version_applied', 'https://hooks.example/', 'ann', 't');
SELECT fn_iu_route_add('dry', 'version_applied', 'https://hooks.example/', 'ann', 't');
SELECT fn_iu_route_add('old', 'version_applied', 'https://hooks.example/', 'ann', 't');
SELECT fn_iu_route_retire('old', 'ann', 't');
SELECT fn_iu_route_allow('r', 'ann', 't'), fn_iu_route_arm('r', 'ann', 't');
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;
CREATE TEMP TABLE e AS
  SELECT n, fn_iu_emit_event('version_applied', NULL, gen_random_uuid(), 't', jsonb_build_object('n', n)) AS id
    FROM generate_series(1, 6) n;
CREATE FUNCTION pg_temp.attempt(p_n integer, p_status text, p_age interval DEFAULT '0') RETURNS void LANGUAGE sql AS
  $$INSERT INTO iu_route_attempt (route_code, event_ref, attempt_no, idempotency_key, status, recorded_at)
      SELECT r.route_code, o.id, 1, iu.fn_iu_webhook_id(o.event_seq, r.id, 0, o.id), p_status, clock_timestamp() - p_age
        FROM e JOIN event_outbox o ON o.id = e.id, iu_outbound_route r WHERE e.n = p_n AND r.route_code = 'r'$$;
SELECT pg_temp.attempt(1, 'sent', '2 days'), pg_temp.attempt(2, 'sent'), pg_temp.attempt(3, 'sent'),
  pg_temp.attempt(4, 'sent'), pg_temp.attempt(5, 'failed');

CREATE FUNCTION pg_temp.again(p_more text) RETURNS text LANGUAGE sql AS
  $$SELECT format('SELECT fn_iu_route_send_again(%L, %L, %L, %s)', 'r', 'ann', 'lost', p_more)$$;
CREATE FUNCTION pg_temp.waiting() RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(e.n || ':' || t.replay_number, ' ' ORDER BY t.due_at, e.n)
      FROM iu_route_retry t JOIN e ON e.id = t.event_id$$;

SELECT pg_temp.refuses(q, s, c, 'sending again is refused: ' || n) FROM (VALUES
  (pg_temp.again('NULL'), '23514', 'iu_again_chosen', 'nothing is chosen'),
  (pg_temp.again('p_filter => ''$.n'''), '23514', 'iu_again_filter', 'a filter that selects'),
  (pg_temp.again('p_since => now(), p_per_second => 0'), '23514', 'iu_again_rate', 'a rate of nothing'),
  (pg_temp.again('p_since => now(), p_per_second => NULL'), '23514', 'iu_again_rate', 'a rate that is NULL'),
  (pg_temp.again('p_since => now(), p_limit => 0'), '23514', 'iu_again_limit', 'a limit of nothing'),
  ('SELECT fn_iu_route_send_again(''nope'', ''ann'', ''t'', p_since => now())', '42704', 'iu_route_unknown',
   'a route that is not there'),
  ('SELECT fn_iu_route_send_again(''dry'', ''ann'', ''t'', p_since => now())', '55000', 'iu_again_dry_run',
   'a dry run'),
  ('SELECT fn_iu_route_send_again(''old'', ''ann'', ''t'', p_since => now())', '42704', 'iu_route_retired',
   'a route that is retired'),
  ('SELECT fn_iu_route_send_again(''r'', '''', ''t'', p_since => now())', '23514', 'iu_actor_and_reason',
   'nobody who asks')) AS t (q, s, c, n);
SELECT is((SELECT count(*) FROM iu_route_retry), 0::bigint, 'what is refused hands nothing over');

SELECT is(fn_iu_route_send_again('r', 'ann', 'lost', p_since => now() - interval '1 day') - ARRAY['first_due_at',
  'last_due_at'], '{"status": "ran", "matched": 3, "handed_over": 3, "under_way": 0, "left": 0, "held": null}',
  'what was sent since a time is sent again');
SELECT is(pg_temp.waiting(), '2:1 3:1 4:1',
  'what is sent again has the next replay number, in the order of the events');
SELECT is((SELECT max(due_at) - min(due_at) FROM iu_route_retry), interval '0.2 s', 'ten fall due in a second');
SELECT is(fn_iu_route_send_again('r', 'ann', 'lost', p_since => now() - interval '1 day') - ARRAY['first_due_at',
  'last_due_at'], '{"status": "ran", "matched": 3, "handed_over": 0, "under_way": 3, "left": 0, "held": null}',
  'what is under way is not handed over once more');
SELECT results_eq($$SELECT r.repeat_of, r.asked_by, r.reason FROM iu_route_repeat r
    JOIN iu_route_attempt a ON a.idempotency_key = r.repeat_of ORDER BY a.id$$,
  $$SELECT a.idempotency_key, 'ann', 'lost' FROM iu_route_attempt a JOIN e ON e.id = a.event_ref
     WHERE e.n IN (2, 3, 4) ORDER BY a.id$$, 'each repeat says what it repeats, who asked and why');
UPDATE iu_route_retry SET due_at = iu_core.steady_clock() - interval '1 s';
SELECT is((SELECT array_agg(webhook_id ORDER BY webhook_id) FROM iu.fn_iu_delivery_claim('s', 10)),
  (SELECT array_agg(webhook_id ORDER BY webhook_id) FROM iu_route_repeat), 'a claim hands out the repeats');
SELECT iu.fn_iu_delivery_record(l.lease_id, l.generation, (SELECT jsonb_agg(jsonb_build_object('event_id', x.id,
    'replay_number', 1, 'outcome', 'sent', 'http_status', 200)) FROM unnest(l.event_ids) x (id))) FROM iu_route_lease l;
SELECT is((SELECT count(*) FROM v_iu_route_attempt_repeat WHERE status = 'sent' AND reason = 'lost'), 3::bigint,
  'an attempt of a repeat is shown with what it repeats');

SELECT is(fn_iu_route_send_again('r', 'bob', 'once more', ARRAY(SELECT id FROM e WHERE n IN (2, 5))) -> 'handed_over',
  '1', 'an event is sent again by its id, and one that was never sent is not');
SELECT is(pg_temp.waiting(), '2:2', 'what was sent again already has the number after that');
SELECT is((SELECT repeat_of ~ '_1_' FROM iu_route_repeat WHERE asked_by = 'bob'), true,
  'a repeat of a repeat says so');
SELECT is(fn_iu_route_send_again('r', 'ann', 'lost', p_filter => '$.n == 1 || $.n == 4') -> 'handed_over', '2',
  'events are sent again whose payload passes a filter');
SELECT is(fn_iu_route_send_again('r', 'ann', 'lost', p_filter => '$.n > 0', p_since => now() - interval '1 day',
  p_limit => 1) - ARRAY['first_due_at', 'last_due_at'],
  '{"status": "ran", "matched": 3, "handed_over": 1, "under_way": 2, "left": 0, "held": null}',
  'filter and time hold together, within the limit');

-- what a sender has, the limit, an end, and a route that is held
DELETE FROM iu_route_retry;
DELETE FROM iu_route_repeat;
UPDATE iu_route_attempt SET recorded_at = recorded_at + interval '1 hour' WHERE replay_number > 0;
INSERT INTO iu_route_lease (route_code, sender, backend_pid, expires_at, item_count, event_ids, event_seqs,
    replay_numbers, attempt_nos)
  SELECT 'r', 's', pg_backend_pid(), iu_core.steady_clock() + interval '1 hour', 1, ARRAY[o.id], ARRAY[o.event_seq],
         ARRAY[5], ARRAY[1] FROM e JOIN event_outbox o ON o.id = e.id WHERE e.n = 3;
SELECT is(fn_iu_route_send_again('r', 'ann', 'lost', p_filter => '$.n > 0', p_limit => 2) - ARRAY['first_due_at',
  'last_due_at'], '{"status": "ran", "matched": 4, "handed_over": 2, "under_way": 1, "left": 1, "held": null}',
  'what a sender has is under way, and what is beyond the limit is left');
SELECT is(pg_temp.waiting(), '1:1 2:2', 'the first events are sent again, each with the number after its last attempt');
DELETE FROM iu_route_retry;
SELECT fn_iu_route_pause('r', 'ann', 't');
SELECT is(fn_iu_route_send_again('r', 'ann', 'lost', p_until => now() - interval '1 day') -> 'matched', '1',
  'an end leaves out what was sent after it');
SELECT is(fn_iu_route_send_again('r', 'ann', 'lost', p_since => now()) #>> '{held,code}', 'route_disabled',
  'of a route that is held it is said what holds it');
SELECT fn_iu_route_resume('r', 'ann', 't');
INSERT INTO iu_route_attempt (route_code, event_ref, replay_number, attempt_no, idempotency_key, status)
  SELECT r.route_code, o.id, 1, 1, iu.fn_iu_webhook_id(o.event_seq, r.id, 1, o.id), 'failed'
    FROM e JOIN event_outbox o ON o.id = e.id, iu_outbound_route r WHERE e.n = 6 AND r.route_code = 'r';
SELECT pg_temp.attempt(6, 'sent');
SELECT fn_iu_route_send_again('r', 'ann', 'lost', ARRAY(SELECT id FROM e WHERE n = 6));
SELECT is((SELECT t.replay_number FROM iu_route_retry t JOIN e ON e.id = t.event_id WHERE e.n = 6), 2,
  'a number that a failed attempt has is not given again');

-- a dead letter
INSERT INTO iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key, failure_code,
    event_snapshot)
  SELECT 'r', o.id, 0, 1, iu.fn_iu_webhook_id(o.event_seq, r.id, 0, o.id), 'http_500', to_jsonb(o)
    FROM e JOIN event_outbox o ON o.id = e.id, iu_outbound_route r WHERE e.n = 5 AND r.route_code = 'r';
SELECT is(fn_iu_route_dead_letter_replay(d.id, 'eve', 'mended') ->> 'status', 'replayed', 'a dead letter is replayed')
  FROM iu_route_dead_letter d;
SELECT is((SELECT repeat_of FROM iu_route_repeat WHERE asked_by = 'eve'), (SELECT idempotency_key FROM
  iu_route_dead_letter), 'a dead letter that is replayed is a repeat of it');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT is(fn_iu_route_send_again('r', 'ann', 'lost', p_since => now()) ->> 'status', 'master_gate_closed',
  'while the master switch is off nothing is sent again');
SELECT is((SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok), 0::bigint, 'with repeats the database conforms');

SELECT * FROM finish();
ROLLBACK;
