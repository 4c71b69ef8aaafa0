-- 005 to 012: routes that carry several event types, or those that match a pattern.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.add(p_code text, p_types text, p_domain text DEFAULT 'shop') RETURNS text LANGUAGE sql AS
  $$SELECT format('SELECT fn_iu_route_add(%L, %L, %L, %L, %L, p_event_domain => %L)', p_code, p_types,
  'https://hooks.example/x', 'ann', 'test', p_domain)$$;
CREATE FUNCTION pg_temp.type(p_domain text, p_type text) RETURNS jsonb LANGUAGE sql AS
  $$SELECT fn_iu_event_type_register(p_domain, p_type, 'update', 'immediate', 'info', 'it happened', 'ann', 'test')$$;
CREATE FUNCTION pg_temp.carried(p_code text) RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(event_domain || '.' || event_type || CASE WHEN named THEN '!' ELSE '' END, ' '
                      ORDER BY event_domain, event_type) FROM iu_route_type WHERE route_code = p_code$$;

SELECT count(pg_temp.type('shop', t)) FROM unnest(ARRAY['order_placed', 'order_paid', 'orderzpaid', 'refund.asked']) t;

-- ---- registering

SELECT lives_ok(pg_temp.add('one', 'order_paid'), 'a route of one event type is registered');
SELECT is(pg_temp.carried('one'), 'shop.order_paid!', 'a route of one event type carries that type');
SELECT lives_ok(pg_temp.add('two', 'order_paid,refund.asked'), 'a route of two event types is registered');
SELECT is(pg_temp.carried('two'), 'shop.order_paid! shop.refund.asked!', 'a route carries each type that it names');
SELECT lives_ok(pg_temp.add('pattern', 'order_*, refund.asked'), 'a route of a pattern and a name is registered');
SELECT is(pg_temp.carried('pattern'), 'shop.order_paid shop.order_placed shop.refund.asked!',
  'an underscore of a pattern is an underscore, and * any characters');
SELECT is((SELECT event_type FROM iu_outbound_route WHERE route_code = 'two'), 'order_paid, refund.asked',
  'the route shows its types one after another');
SELECT lives_ok(pg_temp.add('domain', '*'), 'a route of a whole domain is registered');
SELECT is((SELECT count(*) FROM iu_route_type WHERE route_code = 'domain'), 4::bigint,
  '* matches every type of the domain');
SELECT lives_ok(pg_temp.add('all', '*', '*'), 'a route of every domain is registered');
SELECT is((SELECT count(*) FROM iu_route_type WHERE route_code = 'all'), (SELECT count(*) FROM event_type_registry),
  '* in domain * carries every registered type');
SELECT is((SELECT event_stream FROM iu_outbound_route WHERE route_code = 'all'), 'several',
  'a route of types of different streams says so');

SELECT pg_temp.refuses(pg_temp.add('no', t, d), '23514', w, 'event types are refused: ' || n) FROM (VALUES
  ('order_lost', 'shop', 'event type "shop.order_lost" is not registered', 'a name that is not registered'),
  ('order_paid,order_lost', 'shop', 'iu_route_event_type', 'one of two that is not registered'),
  ('lost_*', 'shop', 'pattern "shop.lost_\*" matches no event type', 'a pattern that matches nothing'),
  ('order_paid,', 'shop', 'iu_route_event_type', 'an empty name'), ('', 'shop', 'iu_route_event_type', 'none'),
  (NULL, 'shop', 'iu_route_event_type', 'NULL'), ('order_paid', NULL, 'iu_route_event_type', 'a domain that is NULL'),
  ('order_pai%', 'shop', 'iu_route_event_type', 'a sign that only LIKE knows'),
  ('*', 'nothing', 'iu_route_event_type', 'a domain that is not registered'),
  ('order_paid' || repeat(',order_paid', 100), 'shop', 'names 101 event types', 'more than 100')) AS t (t, d, w, n);

-- ---- types that come and go

SELECT is(pg_temp.type('shop', 'order_sent') ->> 'status', 'registered', 'another type is registered');
SELECT is(pg_temp.carried('pattern'), 'shop.order_paid shop.order_placed shop.order_sent shop.refund.asked!',
  'a type that is registered later goes on a route whose pattern matches it');
SELECT is(pg_temp.carried('two'), 'shop.order_paid! shop.refund.asked!', 'and on no route that names its types');
SELECT lives_ok($$SELECT fn_iu_event_type_unregister('shop', 'order_sent', 'ann', 'test')$$,
  'a type that routes only match is unregistered');
SELECT is(pg_temp.carried('pattern'), 'shop.order_paid shop.order_placed shop.refund.asked!',
  'a type that is unregistered leaves the routes');
SELECT pg_temp.refuses($$SELECT fn_iu_event_type_unregister('shop', 'refund.asked', 'ann', 'test')$$, '55006',
  'iu_event_type_in_use', 'a type that a route names is not unregistered');
SELECT pg_temp.refuses($$DELETE FROM event_type_registry WHERE event_type = 'refund.asked'$$, '23503',
  'iu_route_type', 'a type that a route names is not deleted beside the function either');
SELECT fn_iu_route_retire('domain', 'ann', 'test'), pg_temp.type('shop', 'late');
SELECT is(pg_temp.carried('domain') ~ 'late', false, 'a type that is registered later goes on no retired route');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET event_type = '*' WHERE route_code = 'two'$$, '0A000',
  'iu_route_fixed', 'the types of a route are not changed');
SELECT is((SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok), 0::bigint,
  'with such routes the database conforms');

-- ---- what asks whether a route carries an event

UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
CREATE TEMP TABLE e AS SELECT
  fn_iu_event_emit('shop', 'order_paid', 'orders', '17', p_safe_payload => '{"n": 1}') AS paid,
  fn_iu_event_emit('shop', 'orderzpaid', 'orders', '17', p_safe_payload => '{"n": 2}') AS other;
SELECT fn_iu_route_allow('pattern', 'ann', 't'), fn_iu_route_arm('pattern', 'ann', 't');
SELECT is(fn_iu_route_explain('pattern', other) ->> 'code', 'event_not_on_route',
  'an event of a type that the pattern does not match is not on the route') FROM e;
SELECT isnt(fn_iu_route_explain('pattern', paid) ->> 'code', 'event_not_on_route',
  'an event of a type that the pattern matches is on the route') FROM e;
SELECT pg_temp.refuses(format('SELECT fn_iu_route_deliver(%L, %L)', 'pattern', other), '23514', 'iu_deliver_event_type',
  'an event of a type that the pattern does not match is not handed over') FROM e;
SELECT is(fn_iu_route_deliver('pattern', paid) ->> 'status', 'already_queued',
  'an event of a type that the pattern matches is ahead of the route') FROM e;
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'pattern', o.id, o.event_seq, clock_timestamp(), 'armed' FROM event_outbox o, e WHERE o.id = e.paid;
SELECT results_eq($$SELECT event_id, body::jsonb ->> 'type' FROM iu.fn_iu_delivery_claim('s', 10)$$,
  $$SELECT paid, 'shop.order_paid' FROM e$$, 'a claim hands out an event of a route of a pattern');
SELECT is((SELECT waiting FROM v_iu_event_backlog WHERE route_code = 'pattern'), 1::bigint,
  'the backlog counts the events of each type that a route carries');
SELECT is(fn_iu_route_test('pattern', other, 'ann', 't') ->> 'verdict', 'event_not_on_route',
  'a test says that the route does not carry the event') FROM e;
SELECT * FROM finish();
ROLLBACK;
