-- 005 and 006: what a payload contract may say, what keeps it, and what becomes
-- of an event that does not.
\ir setup.psql
SELECT no_plan();

-- ---- contracts

SELECT is(iu.fn_iu_route_contract_problem(c::jsonb), NULL, 'a contract that is taken: ' || c) FROM (VALUES
  ('{}'), ('{"required": []}'), ('{"required": ["a", "b"]}'), ('{"properties": {}}'),
  ('{"properties": {"a": {}, "b": {"type": "string"}, "c": false}}'),
  ('{"properties": {"a": {"type": ["string", "null"]}}}'),
  ('{"properties": {"a": {"type": "integer"}}, "additionalProperties": false, "required": ["a"]}'),
  ('{"additionalProperties": true}'), ('{"not": {"required": ["a", "b"]}}')) AS t (c);
SELECT is(iu.fn_iu_route_contract_problem(c::jsonb), problem,
  'a contract that is refused: ' || coalesce(c, 'NULL')) FROM (VALUES
  (NULL, 'the payload contract is not an object'),
  ('[]', 'the payload contract is not an object'),
  ('null', 'the payload contract is not an object'),
  ('{"require": ["a"]}',
  'the payload contract has the word "require"; allowed are required, properties, additionalProperties, not'),
  ('{"forbidden": ["a"]}',
  'the payload contract has the word "forbidden"; allowed are required, properties, additionalProperties, not'),
  ('{"required": "a"}', 'required is not an array of names'),
  ('{"required": ["a", 1]}', 'required is not an array of names'),
  ('{"required": [["a"]]}', 'required is not an array of names'),
  ('{"properties": ["a"]}', 'properties is not an object'),
  ('{"properties": null}', 'properties is not an object'),
  ('{"properties": {"a": true}}', 'the rule of property "a" is neither false nor an object'),
  ('{"properties": {"a": "string"}}', 'the rule of property "a" is neither false nor an object'),
  ('{"properties": {"a": {"type": "string", "maxLength": 3}}}',
  'the rule of property "a" has the word "maxLength"; allowed is type'),
  ('{"properties": {"a": {"type": "text"}}}',
  'property "a" has the type "text"; allowed are string, number, integer, boolean, object, array, null, or an array '
    'of them'),
  ('{"properties": {"a": {"type": ["string", "text"]}}}',
  'property "a" has the type "text"; allowed are string, number, integer, boolean, object, array, null, or an array '
    'of them'),
  ('{"properties": {"a": {"type": [["string"]]}}}',
  'property "a" has the type ["string"]; allowed are string, number, integer, boolean, object, array, null, or an '
    'array of them'),
  ('{"properties": {"a": {"type": null}}}',
  'property "a" has the type null; allowed are string, number, integer, boolean, object, array, null, or an array of '
    'them'),
  ('{"properties": {"a": {"type": []}}}',
  'property "a" has the type []; allowed are string, number, integer, boolean, object, array, null, or an array of '
    'them'),
  ('{"additionalProperties": {}}', 'additionalProperties is neither true nor false'),
  ('{"not": ["a"]}', 'not is not an object with the one word required, an array of names'),
  ('{"not": {}}', 'not is not an object with the one word required, an array of names'),
  ('{"not": {"required": []}}', 'not is not an object with the one word required, an array of names'),
  ('{"not": {"required": [1]}}', 'not is not an object with the one word required, an array of names'),
  ('{"not": {"required": ["a"], "properties": {}}}',
  'not is not an object with the one word required, an array of names'),
  ('{"required": ["a"], "properties": {"a": false}}', 'the payload contract requires "a" and forbids it'),
  ('{"required": ["a"], "additionalProperties": false}', 'the payload contract requires "a" and forbids it'))
  AS t (c, problem);

-- ---- payloads

SELECT is(iu.fn_iu_payload_problem(c::jsonb, p::jsonb), problem, format('%s against %s', p, c)) FROM (VALUES
  ('{}', '{"a": 1}', NULL),
  ('{"required": ["a"]}', '{"a": null}', NULL),
  ('{"required": ["b", "a"]}', '{"c": 1}', 'key "b" is missing'),
  ('{"properties": {"a": {"type": "string"}}}', '{}', NULL),
  ('{"properties": {"a": {}}}', '{"a": [1]}', NULL),
  ('{"properties": {"a": {"type": "string"}}}', '{"a": "1"}', NULL),
  ('{"properties": {"a": {"type": "string"}}}', '{"a": 1}', 'key "a" has the type number, not string'),
  ('{"properties": {"a": {"type": "number"}}}', '{"a": 1.5}', NULL),
  ('{"properties": {"a": {"type": "integer"}}}', '{"a": 1.0}', NULL),
  ('{"properties": {"a": {"type": "integer"}}}', '{"a": 1.5}', 'key "a" has the type number, not integer'),
  ('{"properties": {"a": {"type": "integer"}}}', '{"a": "1"}', 'key "a" has the type string, not integer'),
  ('{"properties": {"a": {"type": ["integer", "null"]}}}', '{"a": 1e30}', NULL),
  ('{"properties": {"a": {"type": ["integer", "null"]}}}', '{"a": null}', NULL),
  ('{"properties": {"a": {"type": ["integer", "null"]}}}', '{"a": true}',
  'key "a" has the type boolean, not ["integer", "null"]'),
  ('{"properties": {"a": {"type": "object"}, "b": {"type": "array"}, "c": {"type": "boolean"}}}',
  '{"a": {}, "b": [], "c": false}', NULL),
  ('{"properties": {"a": {"type": "object"}}}', '{"a": []}', 'key "a" has the type array, not object'),
  ('{"properties": {"a": false}}', '{"b": 1}', NULL),
  ('{"properties": {"a": false}}', '{"a": null}', 'key "a" is forbidden'),
  ('{"properties": {"a": {}}, "additionalProperties": false}', '{"a": 1}', NULL),
  ('{"properties": {"a": {}}, "additionalProperties": false}', '{"a": 1, "c": 1, "b": 1}',
  'key "b" is not among the properties'),
  ('{"not": {"required": ["a"]}}', '{"a": 1}', 'key "a" is forbidden'),
  ('{"not": {"required": ["a", "b"]}}', '{"a": 1}', NULL),
  ('{"not": {"required": ["a", "b"]}}', '{"a": 1, "b": 1, "c": 1}', 'keys "a", "b" are forbidden together'),
  ('{"properties": {"%s": false}}', '{"%s": 1}', 'key "%s" is forbidden')) AS t (c, p, problem);

-- ---- a route with one

SELECT pg_temp.refuses($$SELECT fn_iu_route_add('r', 'version_applied', 'https://hooks.example/', 'ann', 't',
  p_payload_contract => '{"minProperties": 1}')$$,
  '23514', 'route "r" cannot be registered: the payload contract has the word "minProperties"',
  'a route is not registered with a contract of unknown words');
UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT fn_iu_route_add('r', 'version_applied', 'https://hooks.example/', 'ann', 't', p_ordering => 'subject',
  p_payload_contract => '{"properties": {"n": {"type": "integer"}}}');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET payload_contract = '{"a": 1}'$$, '23514', 'contract_chk',
  'a route is not given a contract of unknown words later');
SELECT fn_iu_route_allow('r', 'ann', 't'), fn_iu_route_arm('r', 'ann', 't');
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;

CREATE FUNCTION pg_temp.emit(p_payload jsonb) RETURNS uuid LANGUAGE sql AS
  $$SELECT fn_iu_emit_event('version_applied', NULL, '00000000-0000-0000-0000-000000000001', 't', p_payload)$$;
CREATE TEMP TABLE e AS SELECT pg_temp.emit('{"n": 1}') AS good, pg_temp.emit('{"n": "2"}') AS bad,
  pg_temp.emit('{"n": 3}') AS next;
SELECT pg_temp.refuses(format('SELECT fn_iu_route_deliver(''r'', %L)', bad), '23514',
  'breaks the payload contract of route "r"',
  'an event that breaks the contract is not handed over') FROM e;
SELECT is(fn_iu_route_explain('r', bad) - ARRAY['route_code', 'event_id', 'next_action'],
  '{"code": "contract", "sentence": "the payload breaks the contract of the route: key \"n\" has the type string, not '
    'integer"}',
  'the explanation of an event says how it would break the contract') FROM e;
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'r', o.id, o.event_seq, clock_timestamp(), 'armed' FROM event_outbox o,
  e WHERE o.id IN (e.bad, e.next) ORDER BY o.event_seq;
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 10)), 0::bigint,
  'an event that breaks the contract is not given to a sender');
SELECT row_eq('SELECT event_ref, status, attempt_no, failure_code, failure_detail, http_status, sender FROM '
  'iu_route_attempt',
  (SELECT ROW(bad, 'failed'::text, 1, 'contract'::text, 'key "n" has the type string, not integer'::text, NULL::integer,
  's'::text) FROM e),
  'an event that breaks the contract is an attempt that failed');
SELECT row_eq('SELECT event_ref, attempts, failure_code, failure_detail FROM v_iu_route_dead_letter_open',
  (SELECT ROW(bad, 1, 'contract'::text, 'key "n" has the type string, not integer'::text) FROM e),
  'an event that breaks the contract is a dead letter at once');
SELECT is((SELECT count(*) FROM iu_route_lease), 0::bigint, 'an event that breaks the contract takes no lease');
SELECT is((SELECT count(*) FROM iu_route_circuit), 0::bigint,
  'an event that breaks the contract says nothing of the receiver');
SELECT is(fn_iu_route_explain('r', bad) ->> 'code', 'dead_letter',
  'the explanation of an event that broke the contract says that it is a dead letter') FROM e;
SELECT is((SELECT array_agg(event_id) FROM iu.fn_iu_delivery_claim('s', 10)), ARRAY[next],
  'the next event of the same subject goes on') FROM e;

-- a part of a batch
UPDATE iu_route_lease SET expires_at = '-infinity';
CREATE TEMP TABLE more AS SELECT fn_iu_emit_event('version_applied', NULL, gen_random_uuid(), 't', p) AS id
  FROM unnest(ARRAY['{"n": 4}', '{"n": true}', '{}']::jsonb[]) p;
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'r', o.id, o.event_seq, clock_timestamp(), 'armed' FROM event_outbox o JOIN more USING (id);
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 10)), 3::bigint,
  'of a batch with an event that breaks the contract the others are claimed');
SELECT is((SELECT sum(item_count) FROM iu_route_lease), 3::bigint,
  'of a batch with an event that breaks the contract the others are leased');
SELECT is((SELECT count(*) FROM v_iu_route_dead_letter_open
  WHERE failure_detail = 'key "n" has the type boolean, not integer'), 1::bigint,
  'of a batch the event that breaks the contract is a dead letter');

-- a route to a function
SELECT fn_iu_route_add('f', 'version_applied', 'fn_iu_structure_consumer', 'ann', 't', 'sql_function',
  p_payload_contract => '{"required": ["m"]}');
SELECT fn_iu_route_allow('f', 'ann', 't'), fn_iu_route_arm('f', 'ann', 't');
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason) SELECT 'f', o.id, o.event_seq,
  clock_timestamp(), 'armed' FROM event_outbox o JOIN e ON e.good = o.id;
SELECT is((SELECT count(*) FROM iu.fn_iu_function_claim('s', 10) c JOIN e ON e.good = c.event_id), 0::bigint,
  'a function is not called with an event that breaks the contract');
SELECT is((SELECT failure_detail FROM v_iu_route_dead_letter_open WHERE route_code = 'f'), 'key "m" is missing',
  'an event that breaks the contract of a function''s route is a dead letter');

SELECT * FROM finish();
ROLLBACK;
