-- 006 and 007: the circuit of a route. Time passes by decree: next_at is moved.
-- A real endpoint that is dead is in tap/t/063_order.pl.
\ir setup.psql
SELECT no_plan();

-- ---- settings

SELECT is(iu.fn_iu_route_retry_problem('{"max_attempts": 8, "base_s": 5, "max_s": 3600, "jitter": 0.2, '
  '"circuit_failures": 10, "circuit_open_s": 30, "circuit_max_s": 600}' || p::jsonb), problem,
  'the circuit settings ' || p || ' have ' || coalesce('the problem: ' || problem, 'no problem'))
  FROM (VALUES ('{}', NULL), ('{"circuit_failures": 0}', NULL), ('{"circuit_failures": 1000}', NULL),
    ('{"circuit_failures": 1001}', 'circuit_failures is not a whole number from 0 to 1000'),
    ('{"circuit_failures": -1}', 'circuit_failures is not a whole number from 0 to 1000'),
    ('{"circuit_failures": 2.5}', 'circuit_failures is not a whole number from 0 to 1000'),
    ('{"circuit_failures": true}', 'a value of the retry policy is not a number'),
    ('{"circuit_open_s": 0}', 'circuit_open_s is not from 0.001 to 3600 seconds'),
    ('{"circuit_open_s": 601}', 'circuit_max_s is not from circuit_open_s to 86400 seconds'),
    ('{"circuit_max_s": 86401}', 'circuit_max_s is not from circuit_open_s to 86400 seconds'),
    ('{"circuit": 5}',
    'the retry policy has other keys than max_attempts, base_s, max_s, jitter, circuit_failures, circuit_open_s, '
      'circuit_max_s')) AS t (p, problem);
SELECT bag_eq($$SELECT c,
  iu.fn_iu_circuit_verdict(c)
  FROM unnest(ARRAY[NULL, 'http_400', 'http_413', 'http_422', 'http_401', 'http_404', 'http_302', 'http_410',
  'http_429', 'http_500', 'http_503',
    'timed_out', 'connect_failed', 'dns_failed', 'tls_failed', 'connection_lost', 'not_http', 'response_too_large',
    'request_too_large', 'contract', 'signature_failed', 'address_refused']) c$$,
  $$VALUES (NULL, 'answered'), ('http_400', 'answered'), ('http_413', 'answered'), ('http_422', 'answered'),
  ('http_401', 'failed'), ('http_404', 'failed'), ('http_302', 'failed'), ('http_410', NULL),
    ('http_429', 'failed'), ('http_500', 'failed'), ('http_503', 'failed'), ('timed_out', 'failed'),
    ('connect_failed', 'failed'), ('dns_failed', 'failed'), ('tls_failed', 'failed'),
    ('connection_lost', 'failed'), ('not_http', 'failed'), ('response_too_large', NULL), ('request_too_large', NULL),
    ('contract', NULL), ('signature_failed', NULL), ('address_refused', NULL)$$,
  'each outcome says of the receiver what the vocabulary says');

-- ---- a route with twenty deliveries due

UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT fn_iu_route_add(c, 'version_applied', 'https://hooks.example/', 'ann', 't',
    p_retry_policy =>
    '{"max_attempts": 50, "base_s": 3600, "max_s": 3600, "circuit_failures": 3, "circuit_open_s": 30, '
      '"circuit_max_s": 100}'),
  fn_iu_route_allow(c, 'ann', 't'), fn_iu_route_arm(c, 'ann', 't') FROM unnest(ARRAY['r', 'never']) c;
UPDATE iu_outbound_route SET retry_policy = retry_policy || '{"circuit_failures": 0}' WHERE route_code = 'never';
SELECT ok(retry_policy @> '{"circuit_failures": 3, "circuit_max_s": 100, "jitter": 0.2}',
  'the retry policy of a route has its settings of the circuit') FROM iu_outbound_route WHERE route_code = 'r';
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;
SELECT count(fn_iu_emit_event('version_applied', NULL, gen_random_uuid(), 't')) FROM generate_series(1, 20);
SELECT count(fn_iu_route_deliver('r', id)) FROM event_outbox;

CREATE TEMP TABLE mine (n serial, lease_id bigint, event_id uuid);
CREATE FUNCTION pg_temp.claim(p_max integer DEFAULT 1) RETURNS bigint LANGUAGE plpgsql AS $function$
DECLARE
  v_count bigint;
BEGIN
  INSERT INTO mine (lease_id, event_id) SELECT lease_id, event_id FROM iu.fn_iu_delivery_claim('s', p_max);
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END
$function$;
-- Of what was claimed and not recorded, from the oldest: an outcome each, a status, a code, or "held".
CREATE FUNCTION pg_temp.record(VARIADIC p_codes text[]) RETURNS bigint LANGUAGE sql AS $$
  WITH given AS (DELETE FROM mine WHERE n IN (SELECT n FROM mine ORDER BY n LIMIT cardinality(p_codes)) RETURNING *),
    numbered AS (SELECT *, row_number() OVER (ORDER BY n) AS k FROM given)
  SELECT sum(iu.fn_iu_delivery_record(x.lease_id, 1, x.results)) FROM (
    SELECT lease_id,
    jsonb_agg(jsonb_build_object('event_id', event_id, 'outcome',
    CASE WHEN p_codes[k] = 'held' THEN 'held' WHEN p_codes[k] ~ '^2' THEN 'sent' ELSE 'failed' END,
             'failure_code', CASE WHEN p_codes[k] ~ '^2' THEN NULL WHEN p_codes[k] ~ '^\d' THEN 'http_' || p_codes[k]
             ELSE p_codes[k] END,
             'http_status', CASE WHEN p_codes[k] ~ '^\d' THEN p_codes[k]::integer END, 'started_at',
             clock_timestamp() + k * interval '1 ms')
             ORDER BY random()) AS results
      FROM numbered GROUP BY lease_id) x$$;
CREATE FUNCTION pg_temp.circuit() RETURNS text LANGUAGE sql AS
  $$SELECT concat_ws(' ', state, failures, last_failure, open_s) FROM iu_route_circuit WHERE route_code = 'r'$$;
CREATE FUNCTION pg_temp.due() RETURNS void LANGUAGE sql AS
  $$UPDATE iu_route_circuit SET next_at = clock_timestamp() WHERE state <> 'closed';
  UPDATE iu_route_retry SET due_at = clock_timestamp()$$;

CREATE FUNCTION pg_temp.give_back() RETURNS bigint LANGUAGE sql AS
  $$SELECT pg_temp.record(VARIADIC array_fill('held'::text, ARRAY[count(*)::integer])) FROM mine$$;

-- ---- closed: failures in a row are counted

SELECT is(pg_temp.claim(3), 3::bigint, 'three deliveries are claimed');
SELECT is(pg_temp.record('200', '200', '200'), 3::bigint, 'three deliveries are recorded as sent');
SELECT is(pg_temp.circuit(), NULL, 'a success on a closed circuit writes nothing');
SELECT pg_temp.claim(7);
SELECT pg_temp.record('500', 'timed_out');
SELECT is(pg_temp.circuit(), 'closed 2 timed_out', 'failures on a closed circuit are counted');
SELECT pg_temp.record('contract', 'held', 'signature_failed');
SELECT is(pg_temp.circuit(), 'closed 2 timed_out', 'failures that say nothing of the receiver are not counted');
SELECT pg_temp.record('422');
SELECT is(pg_temp.circuit(), NULL, 'an answer about one event ends the row of failures');
SELECT pg_temp.due(), pg_temp.claim(10);
SELECT pg_temp.record('500', '500', '200', '500', '500');
SELECT is(pg_temp.circuit(), 'closed 2 http_500', 'failures of a batch are counted in the order in which they ended');

-- ---- open

SELECT pg_temp.due(), pg_temp.claim(10);
SELECT cmp_ok((SELECT count(*) FROM mine), '>=', 3::bigint, 'several deliveries are under way');
SELECT pg_temp.record('429');
SELECT is(pg_temp.circuit(), 'open 3 http_429 30', 'the third failure in a row opens the circuit');
SELECT is(iu.fn_iu_delivery_refusal('r'), 'circuit_open', 'an open circuit refuses deliveries');
SELECT matches(iu.fn_iu_route_refusal('r') ->> 'sentence',
  '^the circuit of the route is open until \d{4}-.*, after 3 failed attempts in a row, the last http_429$',
  'the refusal of an open circuit says until when and why');
SELECT matches(iu.fn_iu_route_refusal('r') ->> 'next_action', 'fn_iu_route_circuit_close',
  'the refusal of an open circuit says what can be done');
SELECT is(iu.fn_iu_delivery_check(lease_id, 1), 'circuit_open',
  'a delivery that a sender still has may not be sent while the circuit is open') FROM mine;
SELECT pg_temp.record('500');
SELECT is(pg_temp.circuit(), 'open 3 http_429 30',
  'the failure of a delivery that was under way does not change an open circuit');
UPDATE iu_route_retry SET due_at = clock_timestamp();
SELECT is(pg_temp.claim(10), 0::bigint, 'nothing is claimed while the circuit is open');
SELECT is((SELECT code FROM v_iu_route_held WHERE route_code = 'r'), 'circuit_open',
  'an open circuit is shown in the view of held routes');
SELECT is(fn_iu_route_explain('r', (SELECT event_id FROM iu_route_retry WHERE route_code = 'r' LIMIT 1)) ->> 'code',
  'circuit_open',
  'the explanation of an event says that the circuit is open');
SELECT is(iu.fn_iu_delivery_next_due(), (SELECT next_at FROM iu_route_circuit),
  'the next due time is when the circuit is half-open');
SELECT is(next_at - changed_at BETWEEN '29 s' AND '30 s', true,
  'a circuit is open for 30 s at first') FROM iu_route_circuit;
UPDATE iu_outbound_route SET enabled = false WHERE route_code = 'r';
SELECT is(iu.fn_iu_delivery_refusal('r'), 'route_disabled', 'the circuit is the last of a route''s refusals');
SELECT is(iu.fn_iu_delivery_next_due(), NULL, 'an open circuit of a disabled route is not due');
UPDATE iu_outbound_route SET enabled = true WHERE route_code = 'r';

-- ---- half-open: one delivery

SELECT pg_temp.give_back();
SELECT pg_temp.due();
SELECT is(iu.fn_iu_delivery_refusal('r'), NULL, 'a circuit that may be tried refuses nothing');
SELECT is(pg_temp.claim(10), 1::bigint, 'one delivery is claimed when the circuit may be tried');
SELECT is(pg_temp.circuit(), 'half_open 3 http_429 30', 'the claim of one delivery makes the circuit half-open');
SELECT is(pg_temp.claim(10), 0::bigint, 'no second delivery is claimed while the circuit is half-open');
SELECT is(iu.fn_iu_delivery_refusal('r'), 'circuit_open', 'a half-open circuit refuses other deliveries');
SELECT matches(iu.fn_iu_route_refusal('r') ->> 'sentence', 'half-open: one delivery is being tried',
  'the refusal of a half-open circuit says that one delivery is tried');
SELECT is(iu.fn_iu_delivery_check(lease_id, 1), NULL,
  'the one delivery may be sent while the circuit is half-open') FROM mine;
SELECT is(next_at - clock_timestamp() BETWEEN '15 s' AND '20 s', true,
  'another delivery may be tried 10 s after the time-out of the first') FROM iu_route_circuit;
SELECT pg_temp.record('connect_failed');
SELECT is(pg_temp.circuit(), 'open 4 connect_failed 60', 'a probe that fails opens the circuit for twice as long');
SELECT pg_temp.due(), pg_temp.claim(10), pg_temp.record('http_503');
SELECT is(pg_temp.circuit(), 'open 5 http_503 100', 'a circuit is open for circuit_max_s at most');
SELECT is(next_at - changed_at BETWEEN '99 s' AND '100 s', true,
  'a circuit that is open for circuit_max_s is so for that time') FROM iu_route_circuit;
SELECT pg_temp.due(), pg_temp.claim(10), pg_temp.record('held');
SELECT is(pg_temp.circuit(), 'open 5 http_503 100', 'a probe that was held leaves the circuit as it was');
SELECT is(iu.fn_iu_delivery_refusal('r'), NULL, 'after a probe that was held another may be tried at once');
SELECT pg_temp.claim(10);
UPDATE iu_route_circuit SET next_at = clock_timestamp();
SELECT is(pg_temp.claim(10), 1::bigint, 'when nothing is heard of a probe another is tried');
SELECT is(array_agg(coalesce(iu.fn_iu_delivery_check(lease_id, 1), 'may go') ORDER BY n),
  ARRAY['circuit_open', 'may go'],
  'of two probes the later one may be sent') FROM mine;
SELECT pg_temp.record('200');
SELECT is(pg_temp.circuit(), 'half_open 5 http_503 100', 'the answer to the earlier probe does not decide');
UPDATE iu_route_circuit SET next_at = clock_timestamp();
SELECT is(iu.fn_iu_delivery_check(lease_id, 1), NULL,
  'a probe may be sent when its time is over and no other is tried') FROM mine;
SELECT pg_temp.record('400');
SELECT is(pg_temp.circuit(), NULL, 'an answer to the probe closes the circuit');
SELECT is(iu.fn_iu_delivery_refusal('r'), NULL, 'a closed circuit refuses nothing');
SELECT cmp_ok(pg_temp.claim(10), '>', 1::bigint, 'after the circuit closed several deliveries are claimed');

-- ---- a lease of many that is left over when it opens

SELECT pg_temp.record('500', '500', '500');
SELECT is(pg_temp.circuit(), 'open 3 http_500 30', 'a circuit that opens again is open as long as at first');
UPDATE iu_route_lease SET expires_at = '-infinity' WHERE route_code = 'r';
SELECT cmp_ok((SELECT max(item_count) FROM iu_route_lease WHERE route_code = 'r'), '>', 1,
  'a lease of several deliveries has expired while the circuit is open');
TRUNCATE mine;
SELECT pg_temp.due();
SELECT is(pg_temp.claim(10), 1::bigint, 'one delivery of an expired lease is claimed as the probe');
SELECT is((SELECT sum(item_count) FROM iu_route_lease WHERE route_code = 'r' AND expires_at > clock_timestamp()),
  1::bigint,
  'the other deliveries of an expired lease wait');
SELECT is(iu.fn_iu_delivery_check(lease_id, 2), NULL, 'the probe of an expired lease may be sent') FROM mine;

-- ---- by hand

SELECT pg_temp.refuses($$SELECT fn_iu_route_circuit_close('nope', 'a', 'r')$$, '42704', 'not registered',
  'closing the circuit by hand is refused for an unknown route');
SELECT pg_temp.refuses($$SELECT fn_iu_route_circuit_close('r', 'a', ' ')$$, '23514', 'actor and reason are required',
  'closing the circuit by hand is refused without a reason');
SELECT is(pg_temp.circuit(), 'half_open 3 http_500 30', 'a refused closing by hand leaves the circuit as it was');
SELECT is(fn_iu_route_circuit_close('r', 'ann', 'repaired'),
  '{"status": "closed", "route_code": "r", "previous": "half_open", "failures": 3}',
  'a circuit is closed by hand');
SELECT is(pg_temp.circuit(), NULL, 'a circuit that was closed by hand is closed at once');
SELECT is(fn_iu_route_circuit_close('r', 'ann', 'repaired') ->> 'status', 'unchanged',
  'closing a closed circuit by hand changes nothing');
SELECT is((SELECT count(*) FROM dot_iu_command_run WHERE command_name = 'dot_iu_route_circuit_close'), 2::bigint,
  'closing the circuit by hand is logged');

-- ---- a route that never opens

SELECT count(fn_iu_route_deliver('never', id)) FROM event_outbox;
DELETE FROM iu_route_retry WHERE route_code = 'r';
DELETE FROM iu_route_lease WHERE route_code = 'r';
TRUNCATE mine;
SELECT is(pg_temp.claim(10), 10::bigint, 'ten deliveries of a route without a circuit are claimed');
SELECT is(pg_temp.record('500', '500', '500', '500', '500', '500', '500', '500', '500', '500'), 10::bigint,
  'ten deliveries of a route without a circuit fail');
SELECT is((SELECT count(*) FROM iu_route_circuit), 0::bigint,
  'the failures of a route without a circuit are not counted');

-- ---- a receiver that wants fewer requests

CREATE FUNCTION pg_temp.slowed() RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', c.state, c.last_failure, c.open_s,
           (SELECT string_agg(DISTINCT concat_ws(' ', t.attempt_no, t.reason,
                                                 round(extract(epoch FROM t.due_at - t.created_at))), ', ')
              FROM iu_route_retry t WHERE t.route_code = 'never'))
    FROM iu_route_circuit c WHERE c.route_code = 'never'$$;
CREATE FUNCTION pg_temp.too_many(p_retry_after integer) RETURNS bigint LANGUAGE sql AS $$
  SELECT sum(iu.fn_iu_delivery_record(m.lease_id, 1, jsonb_build_array(jsonb_build_object('event_id', m.event_id,
           'outcome', 'failed', 'http_status', 429, 'retry_after', p_retry_after)))) FROM mine m$$;
DELETE FROM iu_route_retry WHERE route_code = 'never';
DELETE FROM iu_route_attempt WHERE route_code = 'never';
DELETE FROM iu_route_lease WHERE route_code = 'never';
TRUNCATE mine;
SELECT count(fn_iu_route_deliver('never', id)) FROM event_outbox;
SELECT is(pg_temp.claim(), 1::bigint, 'a delivery is claimed whose receiver will want fewer');
SELECT is(pg_temp.too_many(77), 0::bigint, 'a 429 writes no attempt');
SELECT is(pg_temp.slowed(), 'open http_429 77 1 deliver 0, 1 http_429 77',
  'a 429 opens the circuit of the route at once for as long as Retry-After says, though failures open none, and the '
  'delivery keeps the number of its attempt');
SELECT is(iu.fn_iu_delivery_refusal('never'), 'circuit_open', 'after a 429 the whole route waits');
UPDATE iu_route_circuit SET next_at = clock_timestamp() WHERE route_code = 'never';
TRUNCATE mine;
SELECT is(pg_temp.claim(10), 1::bigint, 'after a 429 one delivery finds out whether the receiver takes more');
SELECT is(pg_temp.too_many(NULL), 0::bigint, 'a 429 without Retry-After writes no attempt either');
SELECT is((SELECT concat_ws(' ', state, open_s) FROM iu_route_circuit WHERE route_code = 'never'), 'open 100',
  'a 429 without Retry-After lets the route wait for twice as long, up to circuit_max_s');
UPDATE iu_route_circuit SET next_at = clock_timestamp() WHERE route_code = 'never';
TRUNCATE mine;
SELECT is(pg_temp.claim(10), 1::bigint, 'one delivery finds it out again');
SELECT is(pg_temp.record('200'), 1::bigint, 'the receiver takes a delivery');
SELECT is((SELECT count(*) FROM iu_route_circuit WHERE route_code = 'never'), 0::bigint,
  'when the receiver takes a delivery the route goes on');

SELECT * FROM finish();
ROLLBACK;
