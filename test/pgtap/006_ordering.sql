-- 006: order by subject, with deliveries put among the retries by hand. Windows,
-- crashes and real senders are in tap/t/063_order.pl.
\ir setup.psql
SELECT no_plan();

UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT fn_iu_route_add('r', 'version_applied', 'https://hooks.example/', 'ann', 't', p_ordering => 'subject',
  p_retry_policy => '{"max_attempts": 2, "base_s": 3600, "max_s": 3600, "jitter": 0}');
SELECT fn_iu_route_add('free', 'version_applied', 'https://hooks.example/', 'ann', 't');
SELECT is((SELECT ordering FROM iu_outbound_route WHERE route_code = 'r'), 'subject',
  'a route may ask for order by subject');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET ordering = 'none' WHERE route_code = 'r'$$, '0A000',
  'ordering of route "r" cannot be changed',
  'a route''s order cannot be changed afterwards');
SELECT fn_iu_route_allow(c, 'ann', 't'), fn_iu_route_arm(c, 'ann', 't') FROM unnest(ARRAY['r', 'free']) c;
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;

-- Events a1 b1 a2 b2 a3 b3: their subject, and their place in it.
CREATE TEMP TABLE ev (name text, id uuid);
INSERT INTO ev SELECT s || n,
  fn_iu_emit_event('version_applied', s || n, ('00000000-0000-0000-0000-00000000000' || s)::uuid, 't')
  FROM generate_series(1, 3) n, unnest(ARRAY['a', 'b']) s ORDER BY n, s;
CREATE FUNCTION pg_temp.hand(p_route text, VARIADIC p_names text[]) RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(fn_iu_route_deliver(p_route, (SELECT id FROM ev WHERE name = n)) ->> 'status', ',')
  FROM unnest(p_names) n$$;
CREATE FUNCTION pg_temp.claim(p_max integer DEFAULT 10) RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(ev.name, ',' ORDER BY ev.name) FROM iu.fn_iu_delivery_claim('s', p_max) c
  JOIN ev ON ev.id = c.event_id$$;
CREATE FUNCTION pg_temp.record(p_name text, p_outcome text, p_status integer DEFAULT NULL) RETURNS integer LANGUAGE sql
  AS
  $$SELECT iu.fn_iu_delivery_record(l.lease_id, l.generation, jsonb_build_array(jsonb_build_object('event_id', ev.id,
      'replay_number', l.replay_numbers[array_position(l.event_ids, ev.id)], 'outcome', p_outcome, 'http_status',
      p_status)))
      FROM iu_route_lease l JOIN ev ON ev.name = p_name AND ev.id = ANY (l.event_ids)$$;
-- What waits for its turn, and what is due.
CREATE FUNCTION pg_temp.waiting() RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(ev.name || CASE WHEN t.due_at IS NULL THEN '' WHEN t.due_at <= clock_timestamp() THEN '!'
  ELSE '?' END, ' ' ORDER BY ev.name)
      FROM iu_route_retry t JOIN ev ON ev.id = t.event_id WHERE t.route_code = 'r'$$;

-- ---- the head of each subject, and nothing else

SELECT is(pg_temp.hand('r', 'a2', 'a1', 'b1', 'a3', 'b2', 'b3'), repeat('handed_over,', 5) || 'handed_over',
  'six events can be handed over');
SELECT is(pg_temp.waiting(), 'a1 a2! a3 b1! b2 b3',
  'of each subject the event that was handed over first is due, the others wait');
SELECT is(pg_temp.claim(), 'a2,b1', 'only the head of each subject is claimed');
SELECT is(pg_temp.claim(), NULL, 'nothing behind a head that a sender has is claimed');
SELECT is(iu.fn_iu_delivery_next_due() <= (SELECT min(expires_at) FROM iu_route_lease), true,
  'with every head with a sender the next is due when the leases end at the latest');
SELECT is(iu.fn_iu_delivery_next_due() > clock_timestamp(), true, 'with every head with a sender nothing is due now');
SELECT is(fn_iu_route_explain('r', w.id) - ARRAY['route_code', 'event_id', 'sentence'],
  jsonb_build_object('code', 'waiting_subject', 'behind', h.id),
  'explain says of a waiting event which event it is behind')
  FROM ev w, ev h WHERE w.name = 'a3' AND h.name = 'a2';
SELECT row_eq($$SELECT waiting, retrying, leased, next_due_at FROM v_iu_event_backlog WHERE route_code = 'r'$$,
  ROW(0::bigint, 4::bigint, 2::bigint, NULL::timestamptz),
  'the backlog counts events that wait behind a head as retries and names no next time');
SELECT is(pg_temp.record('a2', 'sent', 200), 1, 'the head of a subject can be recorded as sent');
SELECT is(pg_temp.waiting(), 'a1! a3 b2 b3',
  'after a head was sent the lowest event_seq of its subject is due, another subject is not');
SELECT is(pg_temp.claim(), 'a1', 'the new head of the subject is claimed');

-- ---- failures hold the others back

SELECT is(pg_temp.record('a1', 'failed', 500), 1, 'the head can be recorded as failed');
SELECT is(pg_temp.waiting(), 'a1? a3 b2 b3', 'a head that failed stays the head until it is tried again');
SELECT is(pg_temp.claim(), NULL, 'nothing overtakes a head that failed');
SELECT is(fn_iu_route_explain('r', id) ->> 'code', 'waiting_retry',
  'explain says of a head that failed that it waits to be tried again') FROM ev WHERE name = 'a1';
SELECT is(pg_temp.hand('r', 'a2'), 'already_attempted', 'an event that was delivered is not handed over again');
INSERT INTO iu_route_retry (route_code, event_id, replay_number, event_seq, due_at, reason)
  SELECT 'r', o.id, 1, o.event_seq, clock_timestamp(), 'replay' FROM event_outbox o JOIN ev ON ev.name = 'a2'
  AND ev.id = o.id;
SELECT is(pg_temp.waiting(), 'a1? a2 a3 b2 b3', 'a replay waits for its turn as well');
UPDATE iu_route_retry SET due_at = clock_timestamp() WHERE due_at IS NOT NULL;
SELECT is(pg_temp.claim(), 'a1', 'a head that failed is claimed for its second attempt');
SELECT is(pg_temp.record('a1', 'held'), 0, 'a head can be recorded as held');
SELECT is(pg_temp.waiting(), 'a1! a2 a3 b2 b3', 'a head that was held stays the head');
SELECT is(pg_temp.claim(), 'a1', 'a head that was held is claimed again');
SELECT is(pg_temp.record('a1', 'failed', 500), 1, 'the head''s second failure can be recorded');
SELECT is((SELECT count(*) FROM v_iu_route_dead_letter_open), 1::bigint,
  'a head that has failed as often as it may is a dead letter');
SELECT is(pg_temp.waiting(), 'a2! a3 b2 b3', 'a head that became a dead letter lets the next go on');
SELECT is(pg_temp.claim(), 'a2', 'a replay is claimed when its turn has come');
SELECT is(pg_temp.record('a2', 'sent', 200), 1, 'a replay can be recorded as sent');

-- ---- a lease that ends, in part

SELECT is(pg_temp.claim(), 'a3', 'the last event of the subject is claimed');
UPDATE iu_route_lease SET expires_at = '-infinity';
SELECT is(pg_temp.claim(1), 'b1', 'the head of a lease that expired is taken over');
SELECT is(pg_temp.waiting(), 'b2 b3', 'nothing overtakes what was in a lease that expired');
SELECT is(pg_temp.claim(1), 'a3', 'the head of the other lease that expired is taken over as well');
UPDATE iu_route_lease l SET expires_at = '-infinity', item_count = 2, event_ids = x.ids, event_seqs = x.seqs,
  replay_numbers = '{0,0}', attempt_nos = '{1,1}'
  FROM (SELECT array_agg(o.id ORDER BY o.event_seq) AS ids, array_agg(o.event_seq ORDER BY o.event_seq) AS seqs
          FROM event_outbox o JOIN ev ON ev.id = o.id WHERE ev.name IN ('b1', 'a3')) x
 WHERE l.lease_id = (SELECT min(lease_id) FROM iu_route_lease);
DELETE FROM iu_route_lease WHERE lease_id = (SELECT max(lease_id) FROM iu_route_lease);
SELECT is(pg_temp.claim(1), 'b1', 'of an expired lease of two one can be taken over alone');
SELECT is(pg_temp.waiting(), 'a3! b2 b3', 'the one that was left of the expired lease is the head among the retries');
SELECT is(pg_temp.claim(), 'a3', 'the head that was left of the expired lease is claimed');
SELECT is(pg_temp.record(n, 'sent', 200), 1, n || ' is recorded as sent') FROM unnest(ARRAY['a3', 'b1']) n;
SELECT is(pg_temp.claim(), 'b2', 'the next event of a subject whose head was sent is claimed');
SELECT is(pg_temp.record('b2', 'failed', 410), 1, 'an answer of 410 can be recorded');
SELECT is(pg_temp.waiting(), 'b2! b3', 'a route that an answer disabled holds the head, and with it the others');
SELECT fn_iu_route_resume('r', 'ann', 't');
SELECT is(pg_temp.claim(), 'b2', 'after the route was resumed its head is claimed');
SELECT is(pg_temp.record('b2', 'sent', 200), 1, 'after the route was resumed its head can be sent');
SELECT is(pg_temp.claim(), 'b3', 'the last event of the other subject is claimed');
SELECT is(pg_temp.record('b3', 'sent', 200), 1, 'the last event of the other subject can be sent');
SELECT is((SELECT count(*) FROM iu_route_retry WHERE route_code = 'r'), 0::bigint,
  'when all events were sent nothing waits');

-- ---- what a window brings

CREATE FUNCTION pg_temp.heads(VARIADIC p_names text[]) RETURNS text LANGUAGE sql AS $$
  SELECT h.items || ' ' || coalesce((SELECT string_agg(ev.name, ',' ORDER BY n)
  FROM unnest(h.ids) WITH ORDINALITY i (id, n) JOIN ev USING (id)), '')
    FROM (SELECT array_agg(o.id ORDER BY o.event_seq) AS ids, array_agg(o.event_seq ORDER BY o.event_seq) AS seqs
            FROM event_outbox o JOIN ev USING (id) WHERE ev.name = ANY (p_names)) x,
            iu.fn_iu_order_heads('r', x.ids, x.seqs) h$$;
SELECT is(pg_temp.heads('b2', 'a1', 'a3', 'b1'), '2 a1,b1',
  'of several events of a new subject the window leases the first');
SELECT is(pg_temp.waiting(), 'a3 b2', 'the later events of a new subject wait');
SELECT is(pg_temp.heads('a2', 'b3'), '0 ', 'events of a subject that waits are not leased by the window');
SELECT is(pg_temp.waiting(), 'a2 a3 b2 b3', 'events of a subject that waits wait behind it');
DELETE FROM iu_route_retry;
SELECT is(pg_temp.heads('a2'), '1 a2', 'an event of a subject that is through is leased by the window');
INSERT INTO iu_route_lease (route_code, sender, backend_pid, expires_at, item_count, event_ids, event_seqs,
  replay_numbers, attempt_nos)
  SELECT 'r', 's', pg_backend_pid(), iu_core.steady_clock() + interval '1 h', 1, ARRAY[o.id], ARRAY[o.event_seq], '{0}',
  '{1}' FROM event_outbox o JOIN ev USING (id) WHERE ev.name = 'a2';
SELECT is(pg_temp.heads('a1', 'b1'), '1 b1', 'an event of a subject that a sender has is not leased by the window');

DELETE FROM iu_route_lease WHERE route_code = 'r';
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'r', o.id, o.event_seq, NULL, 'replay' FROM event_outbox o JOIN ev USING (id) WHERE ev.name = 'b3';
SELECT is(pg_temp.waiting(), 'a1 b3!', 'what nothing goes before does not wait for ever, whoever says so');
DELETE FROM iu_route_retry;

-- ---- without order

SELECT is(pg_temp.hand('free', 'a1', 'a2', 'a3'), 'handed_over,handed_over,handed_over',
  'events can be handed over to a route without order');
SELECT is(pg_temp.claim(), 'a1,a2,a3', 'a route without order has all events of a subject claimed at a time');
SELECT is((SELECT array_agg(route_code) FROM iu_route_order), ARRAY['r'],
  'a route without order has no part in the table of order');

-- ---- an arming with a start

SELECT fn_iu_route_add('back', 'version_applied', 'https://hooks.example/', 'ann', 't', p_ordering => 'subject'),
  fn_iu_route_allow('back', 'ann', 't');
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'back', o.id, o.event_seq, clock_timestamp(), 'armed' FROM event_outbox o ORDER BY o.event_seq;
SELECT is((SELECT string_agg(ev.name, ' ' ORDER BY ev.name) FROM iu_route_retry t JOIN ev ON ev.id = t.event_id
  WHERE t.route_code = 'back' AND t.due_at IS NOT NULL),
  'a1 b1', 'what is owed in one statement is put in order');

SELECT * FROM finish();
ROLLBACK;
