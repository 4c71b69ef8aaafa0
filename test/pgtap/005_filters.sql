-- 005 to 012: filters of routes: which a route may have, what passes them, and what
-- becomes of an event that does not, or on which a filter cannot decide.
\ir setup.psql
SELECT no_plan();

-- ---- filters

SELECT is(iu.fn_iu_route_filter_problem(f), NULL, 'a filter that is taken: ' || coalesce(f, 'NULL')) FROM (VALUES
  (NULL), ('$.a == 1'), ('$.a > 1 && $.b < 2'), ('!($.a == "x")'), ('exists($.a)'), ('$.a like_regex "^x"'),
  ('$.a starts with "x"'), ('strict $.a == 1'), ('exists($.a[*] ? (@.b == "$c"))'), ('($.a == 1) is unknown'),
  ('$.a == "\"$x"')) AS t (f);
SELECT alike(coalesce(iu.fn_iu_route_filter_problem(f), 'nothing'), '%' || w || '%', 'a filter that is refused: ' || n)
  FROM (VALUES ('$.a ==', 'syntax error', 'no jsonpath'), ('', 'cannot be used', 'an empty one'),
    ('$.a', 'selects values', 'a value'), ('$.a ? (@ > 1)', 'selects values', 'a selection'),
    ('$.a + 1', 'selects values', 'a sum'), ('$.a.type()', 'selects values', 'a method'),
    ('true', 'the same of every payload', 'a constant'), ('null', 'the same of every payload', 'null'),
    ('strict false', 'the same of every payload', 'a strict constant'),
    ('$.a == $b', 'variable', 'a variable'), ('$.a == 1 && $.b == $"c d"', 'variable', 'a quoted variable'),
    ('$.a == "' || repeat('x', 2000) || '"', '2000', 'more than 2000 characters')) AS t (f, w, n);

SELECT is((v).passes, p, format('%s against %s', j, f)) FROM (
  SELECT f, j, p, iu.fn_iu_filter_verdict(f, j::jsonb) AS v FROM (VALUES
    ('$.a == 1', '{"a": 1}', true), ('$.a == 1', '{"a": 2}', false), ('$.a == 1', '{}', false),
    ('$.a > 1', '{"a": "x"}', false), ('exists($.a[*] ? (@.b > 1))', '{"a": [{"b": 0}, {"b": 2}]}', true),
    ('$.a like_regex "^x" flag "i"', '{"a": "Xy"}', true), (NULL, '{"a": 1}', true)) AS t (f, j, p)) AS x;
SELECT is(iu.fn_iu_filter_verdict('$.a.datetime() < "2020-01-01 00:00:00+00".datetime()', '{"a": "2019-01-01"}')::text,
  '(,"cannot convert value from date to timestamptz without time zone usage")',
  'where a filter raises nobody can tell whether a payload passes');
CREATE TEMP TABLE regex AS
  SELECT string_agg(format('$.a like_regex "^((((x{1,9}){1,9}y){1,9}z){1,9}w){1,%s}$"', n), ' && ') AS hostile
    FROM generate_series(3, 27) AS n;
CREATE TEMP TABLE large AS SELECT jsonb_build_object('a', jsonb_agg(n)) AS payload FROM generate_series(1, 20000) n;
SELECT matches((iu.fn_iu_filter_verdict('exists($.a[*] ? (@ == $.a[*] + 0 && @ < 0))', payload)).problem || '',
  'longer than 50 ms|not a single numeric', 'a filter that takes long is ended') FROM large;
SELECT is((iu.fn_iu_filter_verdict('exists($.a[*] ? ($.a[*] < @ && @ < 0))', payload)).problem,
  'a filter takes longer than 50 ms over a payload', 'a filter that takes longer than its time is ended') FROM large;
SELECT is(iu.fn_iu_route_filter_problem(hostile),
  'the filter cannot be used: a filter takes longer than 100 ms to be read',
  'a filter is refused whose regular expression takes long to be compiled') FROM regex;
SELECT is((iu.fn_iu_filter_verdict(hostile, '{"a": "x"}')).problem, 'a filter takes longer than 500 ms to be read',
  'a filter is ended whose regular expression takes long to be compiled where it is used') FROM regex;
SELECT is((iu.fn_iu_filter_verdict('$.a == 1', '{"a": 1}')).passes, true,
  'after a filter that was ended another one decides');

-- ---- a route with one

UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT fn_iu_route_add('r', 'version_applied', 'https://hooks.example/', 'ann', 't');
CREATE FUNCTION pg_temp.emit(p_payload jsonb) RETURNS uuid LANGUAGE sql AS
  $$SELECT fn_iu_emit_event('version_applied', NULL, gen_random_uuid(), 't', p_payload)$$;
CREATE TEMP TABLE e AS SELECT pg_temp.emit('{"n": 1}') AS good, pg_temp.emit('{"n": 20}') AS other,
  pg_temp.emit('{"n": 3, "at": "2019-01-01"}') AS dated;

SELECT pg_temp.refuses($$SELECT fn_iu_route_set('r', 'ann', 't', p_payload_filter => '$.n')$$, '23514',
  'iu_route_payload_filter', 'a route is not given a filter that selects');
SELECT pg_temp.refuses($$SELECT fn_iu_route_set('r', 'ann', 't',
  p_payload_filter => '$.at.datetime() < "2020-01-01 00:00:00+00".datetime()')$$, '23514', 'iu_route_filter_undecided',
  'a route is not given a filter that raises on an event that is there');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET payload_filter = '$.n =='$$, '42601', 'syntax error',
  'a filter that is no jsonpath is not written');
SELECT is(fn_iu_route_set('r', 'ann', 't', p_payload_filter => '$.n < 10') -> 'changed',
  '{"payload_filter": "$.n < 10"}', 'a route is given a filter');
SELECT is(fn_iu_route_set('r', 'ann', 't') ->> 'status', 'unchanged', 'a filter stays where nothing is said of it');
SELECT fn_iu_route_allow('r', 'ann', 't'), fn_iu_route_arm('r', 'ann', 't');
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;
SELECT is(fn_iu_route_explain('r', other) - ARRAY['route_code', 'event_id'],
  '{"code": "filtered", "sentence": "the payload does not pass the filter of the route: $.n < 10"}',
  'the explanation of an event that does not pass says so') FROM e;
SELECT pg_temp.refuses(format('SELECT fn_iu_route_deliver(''r'', %L)', other), '23514', 'iu_deliver_filter',
  'an event that does not pass is not handed over') FROM e;
SELECT is(fn_iu_route_test('r', other, 'ann', 't') ->> 'verdict', 'filtered',
  'a test says that an event does not pass') FROM e;
SELECT is(jsonb_path_query_first(fn_iu_route_test('r', good, 'ann', 't'), '$.checks[*] ? (@.check == "filtered").ok'),
  'true', 'a test says that an event passes') FROM e;

-- on which the filter cannot decide
UPDATE iu_outbound_route SET payload_filter = '$.at.datetime() < "2020-01-01 00:00:00+00".datetime()';
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'r', o.id, o.event_seq, clock_timestamp(), 'armed' FROM event_outbox o, e WHERE o.id IN (e.good, e.dated);
SELECT is((SELECT array_agg(event_id) FROM iu.fn_iu_delivery_claim('s', 10)), ARRAY[good],
  'an event on which the filter cannot decide is not given to a sender') FROM e;
SELECT row_eq('SELECT event_ref, failure_code FROM v_iu_route_dead_letter_open',
  (SELECT ROW(dated, 'filter_failed'::text) FROM e), 'an event on which the filter cannot decide is a dead letter');
CREATE TEMP TABLE late AS SELECT pg_temp.emit('{"at": "2019-01-01"}') AS id FROM generate_series(1, 40);
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'r', o.id, o.event_seq, clock_timestamp(), 'armed' FROM event_outbox o JOIN late USING (id);
SELECT iu.fn_iu_delivery_claim('s', 100);
SELECT is((SELECT count(*) FROM iu_route_retry), 20::bigint,
  'a claim judges 20 retries of a route with a filter, so that others wait no longer than that takes');
DELETE FROM iu_route_retry;
SELECT is(fn_iu_route_set('r', 'ann', 't', p_payload_filter => '') -> 'changed', '{"payload_filter": null}',
  'an empty text takes the filter off');

-- a dry run
SELECT fn_iu_route_add('dry', 'version_applied', 'https://hooks.example/', 'ann', 't');
SELECT fn_iu_route_set('dry', 'ann', 't', p_payload_filter => '$.n < 10'), fn_iu_route_dry_run('dry', 'ann', 't');
SELECT is(iu.fn_iu_route_worker_event(r, o), CASE WHEN o.id = e.other THEN 'skipped' ELSE 'dry_run' END,
  'a dry run of a payload ' || o.safe_payload::text)
  FROM iu_outbound_route r, event_outbox o, e WHERE r.route_code = 'dry' AND o.id IN (e.good, e.other);

SELECT is((SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok), 0::bigint, 'with filters the database conforms');
SELECT * FROM finish();
ROLLBACK;
