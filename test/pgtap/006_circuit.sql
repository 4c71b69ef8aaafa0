-- 006 and 007: the circuit of a route. Time passes by decree: next_at is moved.
-- A real endpoint that is dead is in tap/t/063_order.pl.
\ir setup.psql
SELECT no_plan();

-- ---- settings

SELECT is(iu.fn_iu_route_retry_problem('{"max_attempts": 8, "base_s": 5, "max_s": 3600, "jitter": 0.2, "circuit_failures": 10, "circuit_open_s": 30, "circuit_max_s": 600}' || p::jsonb), problem, p)
  FROM (VALUES ('{}', NULL), ('{"circuit_failures": 0}', NULL), ('{"circuit_failures": 1000}', NULL),
    ('{"circuit_failures": 1001}', 'circuit_failures is not a whole number from 0 to 1000'),
    ('{"circuit_failures": -1}', 'circuit_failures is not a whole number from 0 to 1000'),
    ('{"circuit_failures": 2.5}', 'circuit_failures is not a whole number from 0 to 1000'),
    ('{"circuit_failures": true}', 'a value of the retry policy is not a number'),
    ('{"circuit_open_s": 0}', 'circuit_open_s is not from 0.001 to 3600 seconds'),
    ('{"circuit_open_s": 601}', 'circuit_max_s is not from circuit_open_s to 86400 seconds'),
    ('{"circuit_max_s": 86401}', 'circuit_max_s is not from circuit_open_s to 86400 seconds'),
    ('{"circuit": 5}', 'the retry policy has other keys than max_attempts, base_s, max_s, jitter, circuit_failures, circuit_open_s, circuit_max_s')) AS t (p, problem);
SELECT bag_eq($$SELECT c, iu.fn_iu_circuit_verdict(c) FROM unnest(ARRAY[NULL, 'http_400', 'http_413', 'http_422', 'http_401', 'http_404', 'http_302', 'http_410', 'http_429', 'http_500', 'http_503',
    'timed_out', 'connect_failed', 'dns_failed', 'tls_failed', 'connection_lost', 'not_http', 'response_too_large', 'request_too_large', 'contract', 'signature_failed', 'address_refused']) c$$,
  $$VALUES (NULL, 'answered'), ('http_400', 'answered'), ('http_413', 'answered'), ('http_422', 'answered'), ('http_401', 'failed'), ('http_404', 'failed'), ('http_302', 'failed'), ('http_410', NULL),
    ('http_429', 'failed'), ('http_500', 'failed'), ('http_503', 'failed'), ('timed_out', 'failed'), ('connect_failed', 'failed'), ('dns_failed', 'failed'), ('tls_failed', 'failed'),
    ('connection_lost', 'failed'), ('not_http', 'failed'), ('response_too_large', NULL), ('request_too_large', NULL), ('contract', NULL), ('signature_failed', NULL), ('address_refused', NULL)$$,
  'what an outcome says of the route');

-- ---- a route with twenty deliveries due

UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT fn_iu_route_add(c, 'version_applied', 'https://hooks.example/', 'ann', 't',
    p_retry_policy => '{"max_attempts": 50, "base_s": 3600, "max_s": 3600, "circuit_failures": 3, "circuit_open_s": 30, "circuit_max_s": 100}'),
  fn_iu_route_allow(c, 'ann', 't'), fn_iu_route_arm(c, 'ann', 't') FROM unnest(ARRAY['r', 'never']) c;
UPDATE iu_outbound_route SET retry_policy = retry_policy || '{"circuit_failures": 0}' WHERE route_code = 'never';
SELECT ok(retry_policy @> '{"circuit_failures": 3, "circuit_max_s": 100, "jitter": 0.2}', 'the policy of the route has the settings') FROM iu_outbound_route WHERE route_code = 'r';
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
    SELECT lease_id, jsonb_agg(jsonb_build_object('event_id', event_id, 'outcome', CASE WHEN p_codes[k] = 'held' THEN 'held' WHEN p_codes[k] ~ '^2' THEN 'sent' ELSE 'failed' END,
             'failure_code', CASE WHEN p_codes[k] ~ '^2' THEN NULL WHEN p_codes[k] ~ '^\d' THEN 'http_' || p_codes[k] ELSE p_codes[k] END,
             'http_status', CASE WHEN p_codes[k] ~ '^\d' THEN p_codes[k]::integer END, 'started_at', clock_timestamp() + k * interval '1 ms')
             ORDER BY random()) AS results
      FROM numbered GROUP BY lease_id) x$$;
CREATE FUNCTION pg_temp.circuit() RETURNS text LANGUAGE sql AS
  $$SELECT concat_ws(' ', state, failures, last_failure, open_s) FROM iu_route_circuit WHERE route_code = 'r'$$;
CREATE FUNCTION pg_temp.due() RETURNS void LANGUAGE sql AS
  $$UPDATE iu_route_circuit SET next_at = clock_timestamp() WHERE state <> 'closed'; UPDATE iu_route_retry SET due_at = clock_timestamp()$$;

CREATE FUNCTION pg_temp.give_back() RETURNS bigint LANGUAGE sql AS
  $$SELECT pg_temp.record(VARIADIC array_fill('held'::text, ARRAY[count(*)::integer])) FROM mine$$;

-- ---- closed: failures in a row are counted

SELECT is(pg_temp.claim(3), 3::bigint, 'three');
SELECT is(pg_temp.record('200', '200', '200'), 3::bigint, 'sent');
SELECT is(pg_temp.circuit(), NULL, 'a success on a closed circuit writes nothing');
SELECT pg_temp.claim(7);
SELECT pg_temp.record('500', 'timed_out');
SELECT is(pg_temp.circuit(), 'closed 2 timed_out', 'failures are counted');
SELECT pg_temp.record('contract', 'held', 'signature_failed');
SELECT is(pg_temp.circuit(), 'closed 2 timed_out', 'but not those that say nothing of the receiver');
SELECT pg_temp.record('422');
SELECT is(pg_temp.circuit(), NULL, 'an answer about one event ends the row of failures');
SELECT pg_temp.due(), pg_temp.claim(10);
SELECT pg_temp.record('500', '500', '200', '500', '500');
SELECT is(pg_temp.circuit(), 'closed 2 http_500', 'within a batch they are counted in the order in which they ended');

-- ---- open

SELECT pg_temp.due(), pg_temp.claim(10);
SELECT cmp_ok((SELECT count(*) FROM mine), '>=', 3::bigint, 'some are under way');
SELECT pg_temp.record('429');
SELECT is(pg_temp.circuit(), 'open 3 http_429 30', 'the third opens it');
SELECT is(iu.fn_iu_delivery_refusal('r'), 'circuit_open', 'which refuses');
SELECT matches(iu.fn_iu_route_refusal('r') ->> 'sentence', '^the circuit of the route is open until \d{4}-.*, after 3 failed attempts in a row, the last http_429$', 'says until when and why');
SELECT matches(iu.fn_iu_route_refusal('r') ->> 'next_action', 'fn_iu_route_circuit_close', 'and what can be done');
SELECT is(iu.fn_iu_delivery_check(lease_id, 1), 'circuit_open', 'what a sender still has does not go') FROM mine;
SELECT pg_temp.record('500');
SELECT is(pg_temp.circuit(), 'open 3 http_429 30', 'an attempt that was under way changes nothing: a failure');
UPDATE iu_route_retry SET due_at = clock_timestamp();
SELECT is(pg_temp.claim(10), 0::bigint, 'nothing is claimed');
SELECT is((SELECT code FROM v_iu_route_held WHERE route_code = 'r'), 'circuit_open', 'it is shown as held');
SELECT is(fn_iu_route_explain('r', (SELECT event_id FROM iu_route_retry WHERE route_code = 'r' LIMIT 1)) ->> 'code', 'circuit_open', 'and explained');
SELECT is(iu.fn_iu_delivery_next_due(), (SELECT next_at FROM iu_route_circuit), 'the sender sleeps until it is half-open');
SELECT is(next_at - changed_at BETWEEN '29 s' AND '30 s', true, 'in 30 s') FROM iu_route_circuit;
UPDATE iu_outbound_route SET enabled = false WHERE route_code = 'r';
SELECT is(iu.fn_iu_delivery_refusal('r'), 'route_disabled', 'it is the last of the refusals');
SELECT is(iu.fn_iu_delivery_next_due(), NULL, 'and what something else holds is not due');
UPDATE iu_outbound_route SET enabled = true WHERE route_code = 'r';

-- ---- half-open: one delivery

SELECT pg_temp.give_back();
SELECT pg_temp.due();
SELECT is(iu.fn_iu_delivery_refusal('r'), NULL, 'then nothing refuses');
SELECT is(pg_temp.claim(10), 1::bigint, 'one delivery is taken');
SELECT is(pg_temp.circuit(), 'half_open 3 http_429 30', 'half-open');
SELECT is(pg_temp.claim(10), 0::bigint, 'and no second');
SELECT is(iu.fn_iu_delivery_refusal('r'), 'circuit_open', 'the route is still refused');
SELECT matches(iu.fn_iu_route_refusal('r') ->> 'sentence', 'half-open: one delivery is being tried', 'which is told');
SELECT is(iu.fn_iu_delivery_check(lease_id, 1), NULL, 'but this one may go') FROM mine;
SELECT is(next_at - clock_timestamp() BETWEEN '19 s' AND '20 s', true, 'another may be tried 10 s after its timeout') FROM iu_route_circuit;
SELECT pg_temp.record('connect_failed');
SELECT is(pg_temp.circuit(), 'open 4 connect_failed 60', 'it fails: open for twice as long');
SELECT pg_temp.due(), pg_temp.claim(10), pg_temp.record('http_503');
SELECT is(pg_temp.circuit(), 'open 5 http_503 100', 'at most circuit_max_s');
SELECT is(next_at - changed_at BETWEEN '99 s' AND '100 s', true, 'which it is') FROM iu_route_circuit;
SELECT pg_temp.due(), pg_temp.claim(10), pg_temp.record('held');
SELECT is(pg_temp.circuit(), 'open 5 http_503 100', 'a probe that was held says nothing');
SELECT is(iu.fn_iu_delivery_refusal('r'), NULL, 'the next may be one at once');
SELECT pg_temp.claim(10);
UPDATE iu_route_circuit SET next_at = clock_timestamp();
SELECT is(pg_temp.claim(10), 1::bigint, 'nothing is heard of it: another is tried');
SELECT is(array_agg(coalesce(iu.fn_iu_delivery_check(lease_id, 1), 'may go') ORDER BY n), ARRAY['circuit_open', 'may go'], 'and only that') FROM mine;
SELECT pg_temp.record('200');
SELECT is(pg_temp.circuit(), 'half_open 5 http_503 100', 'the earlier one does not decide any more');
UPDATE iu_route_circuit SET next_at = clock_timestamp();
SELECT is(iu.fn_iu_delivery_check(lease_id, 1), NULL, 'late it still may') FROM mine;
SELECT pg_temp.record('400');
SELECT is(pg_temp.circuit(), NULL, 'an answer closes it');
SELECT is(iu.fn_iu_delivery_refusal('r'), NULL, 'all goes on');
SELECT cmp_ok(pg_temp.claim(10), '>', 1::bigint, 'more than one at a time');

-- ---- a lease of many that is left over when it opens

SELECT pg_temp.record('500', '500', '500');
SELECT is(pg_temp.circuit(), 'open 3 http_500 30', 'open again, as at first');
UPDATE iu_route_lease SET expires_at = '-infinity' WHERE route_code = 'r';
SELECT cmp_ok((SELECT max(item_count) FROM iu_route_lease WHERE route_code = 'r'), '>', 1, 'a lease of more than one has expired');
TRUNCATE mine;
SELECT pg_temp.due();
SELECT is(pg_temp.claim(10), 1::bigint, 'one of it is the probe');
SELECT is((SELECT sum(item_count) FROM iu_route_lease WHERE route_code = 'r' AND expires_at > clock_timestamp()), 1::bigint, 'the others wait');
SELECT is(iu.fn_iu_delivery_check(lease_id, 2), NULL, 'it may go') FROM mine;

-- ---- by hand

SELECT pg_temp.refuses($$SELECT fn_iu_route_circuit_close('nope', 'a', 'r')$$, '42704', 'not registered', 'closed by hand: a registered route');
SELECT pg_temp.refuses($$SELECT fn_iu_route_circuit_close('r', 'a', ' ')$$, '23514', 'for a reason', 'closed by hand: for a reason');
SELECT is(pg_temp.circuit(), 'half_open 3 http_500 30', 'what was refused changed nothing');
SELECT is(fn_iu_route_circuit_close('r', 'ann', 'repaired'), '{"status": "closed", "route_code": "r", "previous": "half_open", "failures": 3}', 'closed by hand');
SELECT is(pg_temp.circuit(), NULL, 'at once');
SELECT is(fn_iu_route_circuit_close('r', 'ann', 'repaired') ->> 'status', 'unchanged', 'once');
SELECT is((SELECT count(*) FROM dot_iu_command_run WHERE command_name = 'dot_iu_route_circuit_close'), 2::bigint, 'which is logged');

-- ---- a route that never opens

SELECT count(fn_iu_route_deliver('never', id)) FROM event_outbox;
DELETE FROM iu_route_retry WHERE route_code = 'r';
DELETE FROM iu_route_lease WHERE route_code = 'r';
TRUNCATE mine;
SELECT is(pg_temp.claim(10), 10::bigint, 'circuit_failures 0');
SELECT is(pg_temp.record('500', '500', '500', '500', '500', '500', '500', '500', '500', '500'), 10::bigint, 'however many fail');
SELECT is((SELECT count(*) FROM iu_route_circuit), 0::bigint, 'nothing is counted');

SELECT * FROM finish();
ROLLBACK;
