-- 014: which functions routes may call, who may say so, and the structure
-- consumer. That a call and its record are one is for tap/t/065_sql_function.pl.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.make(p_name text, p_more text DEFAULT 'SECURITY DEFINER SET search_path = pg_catalog, pg_temp',
  p_returns text DEFAULT 'void',
    p_arguments text DEFAULT 'uuid, jsonb', p_owner text DEFAULT 'iu_core_owner') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE sql %s AS %L', p_name, p_arguments, p_returns,
  p_more, CASE p_returns WHEN 'void' THEN 'SELECT' ELSE 'SELECT ''x''' END);
  EXECUTE format('REVOKE ALL ON FUNCTION public.%I(%s) FROM PUBLIC', p_name, p_arguments);
  EXECUTE format('ALTER FUNCTION public.%I(%s) OWNER TO %I', p_name, p_arguments, p_owner);
  RETURN p_name;
END $$;
CREATE FUNCTION pg_temp.register(p_name text) RETURNS jsonb LANGUAGE sql
  AS $$SELECT fn_iu_route_function_register(p_name, 'ann', 'wanted') - 'digest'$$;
CREATE ROLE test_owner;
SELECT pg_temp.make('fn_good'), pg_temp.make('fn_unpinned', 'SECURITY DEFINER'),
  pg_temp.make('fn_set', p_returns => 'SETOF text'), pg_temp.make('fn_short', p_arguments => 'uuid'),
  pg_temp.make('fn_super', p_owner => current_user),
  pg_temp.make('fn_public'), pg_temp.make('fn_apart', p_owner => 'test_owner');
GRANT EXECUTE ON FUNCTION fn_public(uuid, jsonb) TO PUBLIC;
CREATE PROCEDURE fn_procedure(uuid, jsonb) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog,
  pg_temp AS 'SELECT';

-- ---- what may be registered

SELECT bag_eq('SELECT function_name, registered_by FROM iu_route_function',
  $$VALUES ('fn_iu_structure_consumer', 'migration 014'), ('fn_iu_auto_instantiate_consumer', 'migration 034')$$,
  'the consumers of the migrations are registered');
SELECT is(iu.fn_iu_route_function_refusal('fn_iu_structure_consumer'), NULL, 'the structure consumer may be called');
SELECT pg_temp.refuses(format('SELECT pg_temp.register(%L)', f), '23514', m,
  format('function %s is not registered: %s', coalesce(quote_literal(f), 'NULL'), m)) FROM (VALUES
  ('fn_unpinned', 'search_path is not pinned'), ('fn_set', 'returns one value'),
  ('fn_short', 'no function public.fn_short\(uuid, jsonb\)'),
  ('fn_procedure', 'returns one value'), ('fn_super', 'is a superuser'), ('fn_public', 'PUBLIC may call it'),
  ('fn_apart', 'iu_core_owner may not call it'),
  ('fn_none', 'there is no function'), ('pg_catalog.now', 'its name'), ('fn_good(uuid, jsonb); SELECT 1', 'its name'),
  ('', 'its name'), (NULL, 'its name')) AS t (f, m);
SELECT is(pg_temp.register('fn_good'), '{"status": "registered", "function_name": "fn_good"}',
  'a function of the required kind is registered');
SELECT is(pg_temp.register('fn_good') ->> 'status', 'unchanged', 'registering a function twice changes nothing');
SELECT row_eq($$SELECT actor, evidence ->> 'function',
  evidence ->> 'reason' FROM dot_iu_command_run WHERE command_name = 'dot_iu_route_function_register' LIMIT 1$$,
  ROW('ann'::text, 'fn_good'::text, 'wanted'::text), 'registering a function is logged with name, actor and reason');
SELECT row_eq($$SELECT registered_by, reason, session_role = session_user FROM iu_route_function
  WHERE function_name = 'fn_good'$$, ROW('ann'::text, 'wanted'::text, true),
  'a registered function says who registered it, why and as which role');
GRANT EXECUTE ON FUNCTION fn_apart(uuid, jsonb) TO iu_core_owner;
SELECT is(pg_temp.register('fn_apart') ->> 'status', 'registered',
  'a function of another owner is registered if iu_core_owner may call it');
SELECT pg_temp.refuses($$SELECT fn_iu_route_function_register('fn_good', ' ', 'r')$$, '23514',
  'actor and reason are required',
  'registering a function without an actor is refused');
SELECT pg_temp.refuses($$SELECT fn_iu_route_function_unregister('fn_good', 'a', NULL)$$, '23514',
  'actor and reason are required',
  'unregistering a function without a reason is refused');
SELECT pg_temp.refuses($$SELECT fn_iu_route_function_unregister('fn_none', 'a', 'r')$$, '42704', 'is not registered',
  'unregistering a function that is not registered is refused');

-- ---- what a route may call

SELECT fn_iu_route_add('f', 'structure_op_applied', 'fn_good', 'ann', 't', 'sql_function') ->> 'secret_ref' AS secret,
  fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 't') AS x,
  fn_iu_switch_set('iu_core.route_worker_enabled', 'true', 'ann', 't') AS y,
  fn_iu_route_allow('f', 'ann', 't') AS z \gset
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600) IS NULL AS y,
  fn_iu_route_arm('f', 'ann', 't') ->> 'status' AS armed \gset
SELECT is(:'armed'::text, 'armed', 'a route to a registered function can be armed');
SELECT is(iu.fn_iu_delivery_refusal('f'), NULL, 'a route to a registered function delivers without a secret');
SELECT fn_iu_emit_event('structure_op_applied', 'DOC/1', gen_random_uuid(), 'ann',
  '{"operation_type": "reparent_piece"}') AS event \gset
SELECT is(fn_iu_route_deliver('f', :'event') ->> 'status', 'already_queued',
  'an event is handed over to a route to a function as to any other');

CREATE FUNCTION pg_temp.refusal() RETURNS text LANGUAGE sql
  AS $$SELECT (iu.fn_iu_route_refusal('f') ->> 'code') || ': ' || (iu.fn_iu_route_refusal('f') ->> 'sentence')$$;
CREATE OR REPLACE FUNCTION fn_good(uuid, jsonb) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog,
  pg_temp AS 'SELECT NULL';
SELECT is(pg_temp.refusal(), 'function_refused: function "fn_good" was changed since it was registered',
  'a function whose body was changed is refused');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_deliver(''f'', %L)', :'event'), '0A000',
  'delivery to the function of route "f" is not supported',
  'delivery by hand to a function that was changed is refused');
SELECT is(pg_temp.register('fn_good') ->> 'status', 'registered', 'a function that was changed can be registered anew');
SELECT is(pg_temp.refusal(), NULL, 'a function that was registered anew is called again');
ALTER FUNCTION fn_good(uuid, jsonb) OWNER TO test_owner;
GRANT EXECUTE ON FUNCTION fn_good(uuid, jsonb) TO iu_core_owner;
SELECT is(pg_temp.refusal(), 'function_refused: function "fn_good" was changed since it was registered',
  'a function that has another owner than before is refused');
SELECT is(pg_temp.register('fn_good') ->> 'status', 'registered',
  'a function that has another owner can be registered');
ALTER FUNCTION fn_good(uuid, jsonb) SECURITY INVOKER;
SELECT is(pg_temp.refusal(), 'function_refused: function "fn_good" was changed since it was registered',
  'a function that is no longer SECURITY DEFINER is refused until it is registered anew');
ALTER FUNCTION fn_good(uuid, jsonb) RESET search_path;
SELECT alike(pg_temp.refusal(),
  'function_refused: function "fn_good" may not be called: its search_path is not pinned%',
  'a function that lost its search_path is refused');
DROP FUNCTION fn_good(uuid, jsonb);
SELECT alike(pg_temp.refusal(), 'function_refused: %there is no function public.fn_good(uuid, jsonb)',
  'a function that was dropped is refused');
SELECT is(fn_iu_route_function_unregister('fn_good', 'ann', 'gone') ->> 'status', 'unregistered',
  'a function that was dropped can be unregistered');
SELECT is(pg_temp.refusal(), 'function_refused: function "fn_good" is not registered',
  'a function that was unregistered is refused');
SELECT is((SELECT count(*) FROM iu.fn_iu_function_claim('s', 10)), 0::bigint,
  'nothing is claimed for a function that is refused');
SELECT fn_iu_route_pause('f', 'ann', 't') ->> 'status' AS paused \gset
SELECT pg_temp.refuses($$SELECT fn_iu_route_arm('f', 'a', 'r')$$, '0A000',
  'cannot be armed: function "fn_good" is not registered',
  'a route to a function that is not registered is not armed');
UPDATE iu_outbound_route SET target_ref = 'now() --' WHERE route_code = 'f';
SELECT pg_temp.refuses($$SELECT fn_iu_route_arm('f', 'a', 'r')$$, '0A000', 'is not registered',
  'a route whose function''s name is an expression is not armed');

-- ---- claiming and calling, by hand within one transaction

UPDATE iu_outbound_route SET target_ref = 'fn_iu_structure_consumer' WHERE route_code = 'f';
SELECT fn_iu_route_resume('f', 'ann', 't') ->> 'status' AS resumed \gset
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason) SELECT 'f', id, event_seq,
  clock_timestamp(), 'deliver' FROM event_outbox WHERE id = :'event';
SELECT isnt(iu.fn_iu_function_next_due(), NULL, 'the runner is told when a call of a function is due');
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 10)), 0::bigint, 'a sender claims no call of a function');
SELECT is(iu.fn_iu_delivery_next_due(), NULL, 'a sender is told of no call of a function that is due');
SELECT pg_temp.refuses('SELECT iu.fn_iu_function_claim(' || a || ')', '23514', 'names its sender',
  'claiming calls is refused with the arguments ' || a)
  FROM unnest(ARRAY[$$'', 1$$, $$NULL, 1$$, $$'s', 0$$, $$'s', NULL$$]) a;
CREATE TEMP TABLE claimed AS SELECT * FROM iu.fn_iu_function_claim('s', 10);
SELECT row_eq('SELECT lease_generation, event_id, replay_number, attempt_no, timeout_ms FROM claimed',
  ROW(1, :'event'::uuid, 0, 1, 10000),
  'the runner claims a call of a function');
SELECT pg_temp.refuses(format('SELECT iu.fn_iu_function_call(%s, %s, %L, 0)', l, g, e), '55000', 'does not hold event',
  'a call of a function is refused with ' || n) FROM claimed, LATERAL (VALUES
  (lease_id, 2, event_id, 'another generation'), (lease_id + 1, 1, event_id, 'another lease'),
  (lease_id, 1, gen_random_uuid(), 'another event')) AS t (l, g, e, n);
CREATE TEMP TABLE answer AS SELECT lease_id, event_id, c.* FROM claimed,
  iu.fn_iu_function_call(lease_id, 1, event_id, 0) c;
SELECT row_eq('SELECT outcome, failure_code, failure_detail FROM answer', ROW('sent'::text, NULL::text, NULL::text),
  'a claimed function is called');
SELECT is(iu.fn_iu_delivery_record(lease_id, 1,
  jsonb_build_array(jsonb_build_object('event_id', event_id, 'outcome', outcome))), 1,
  'the outcome of a call is recorded') FROM answer;
SELECT row_eq('SELECT event_ref, operation_type, canonical_address, delivered_by FROM iu_tree_change_log',
  ROW(:'event'::uuid, 'reparent_piece'::text, 'DOC/1'::text, 'fn_iu_structure_consumer'::text),
  'the consumer has logged the event that it was called with');
SELECT is(current_setting('lock_timeout'), '0', 'after a call the session''s lock_timeout is as before');
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason) SELECT 'f', id, event_seq,
  clock_timestamp(), 'deliver' FROM event_outbox WHERE id = :'event';
UPDATE claimed SET lease_id = c.lease_id FROM iu.fn_iu_function_claim('s', 10) c;
SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'ann', 't') ->> 'status' AS closed \gset
SELECT row_eq('SELECT outcome, failure_code FROM claimed, iu.fn_iu_function_call(lease_id, 1, event_id, 0)',
  ROW('held'::text, 'delivery_gate_closed'::text),
  'a call whose gate was closed after the claim is held');

-- ---- a payload that breaks the route's contract

SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600) ->> 'status' AS opened \gset
UPDATE iu_outbound_route SET payload_contract = '{"required": ["absent"]}' WHERE route_code = 'f';
DELETE FROM iu_route_attempt; DELETE FROM iu_route_lease;
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason) SELECT 'f', id, event_seq,
  clock_timestamp(), 'deliver' FROM event_outbox WHERE id = :'event';
SELECT is((SELECT count(*) FROM iu.fn_iu_function_claim('s', 10)), 0::bigint,
  'an event that breaks the contract of its route is not claimed for a call');
SELECT results_eq('SELECT failure_code FROM v_iu_route_dead_letter_open', $$SELECT 'contract'::text WHERE true$$,
  'an event that breaks the contract of its route is a dead letter');

-- ---- the consumer

SELECT is(fn_iu_structure_consumer(:'event', '{}'), false, 'calling the consumer again with an event returns false');
SELECT is((SELECT count(*) FROM iu_tree_change_log), 1::bigint, 'calling the consumer again with an event adds no row');
SELECT fn_iu_emit_event('structure_child_added', 'DOC/2', gen_random_uuid(), 'ann') AS child,
  fn_iu_emit_event('version_applied', 'DOC/2', gen_random_uuid(), 'ann') AS version \gset
SELECT is(fn_iu_structure_consumer(:'child', NULL), true, 'the consumer takes an event without a payload');
SELECT is((SELECT operation_type FROM iu_tree_change_log WHERE event_ref = :'child'), 'structure_child_added',
  'without a payload the event''s type tells the consumer what was done');
SELECT pg_temp.refuses(format('SELECT fn_iu_structure_consumer(%L, ''{}'')', e), c, m,
  format('the consumer refuses event %s: %s', coalesce(e, 'NULL'), m)) FROM (VALUES
  (:'version', '23514', 'not of the structure'), (gen_random_uuid()::text, 'P0002', 'not in the outbox'),
  (NULL, 'P0002', 'event NULL')) AS t (e, c, m);
SELECT pg_temp.refuses('UPDATE iu_tree_change_log SET canonical_address = NULL', '42501', 'is not changed',
  'the consumer''s log is not updated');
SELECT pg_temp.refuses('DELETE FROM iu_tree_change_log', '42501', 'is not changed',
  'no row of the consumer''s log is deleted');
SELECT lives_ok('TRUNCATE iu_tree_change_log', 'the consumer''s log may be truncated');

-- ---- who may

SELECT set_eq($$
  SELECT r.rolname::text, pg_temp.called_as(p.oid) FROM pg_proc p CROSS JOIN pg_roles r
   WHERE pg_temp.called_as(p.oid) IS NOT NULL
   AND p.oid IN (SELECT to_regprocedure(g.object_name) FROM iu_governed_object g WHERE g.migration = 14
   AND g.object_class = 'function')
     AND r.rolname IN ('iu_core_writer', 'iu_core_reader', 'iu_core_worker') AND has_function_privilege(r.oid, p.oid,
     'EXECUTE')$$,
  $$VALUES ('iu_core_worker', 'iu.fn_iu_function_claim'), ('iu_core_worker', 'iu.fn_iu_function_call'),
  ('iu_core_worker', 'iu.fn_iu_function_begin'),
  ('iu_core_worker', 'iu.fn_iu_function_next_due'),
    ('iu_core_reader', 'iu.fn_iu_route_function_problem'), ('iu_core_reader', 'iu.fn_iu_route_function_digest'),
    ('iu_core_reader', 'iu.fn_iu_route_function_refusal')$$,
  'the runner calls and readers ask');
SELECT is((SELECT string_agg(pg_temp.called_as(p.oid), ',' ORDER BY p.proname) FROM pg_proc p
  WHERE p.proname LIKE 'fn_iu_route_function%register'
   AND has_function_privilege('iu_core_admin', p.oid, 'EXECUTE') AND NOT has_function_privilege('iu_core_operator',
   p.oid, 'EXECUTE')),
  'fn_iu_route_function_register,fn_iu_route_function_unregister', 'only an admin registers and unregisters functions');
SELECT is((SELECT string_agg(r.rolname || ' ' || g.object_name, ', ') FROM pg_roles r, iu_governed_object g
   WHERE r.rolname ~ '^iu_core_(reader|writer|operator|admin|worker)$' AND g.migration = 14
   AND g.object_class IN ('table', 'view')
     AND has_table_privilege(r.oid, to_regclass(g.object_name),
     'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')), NULL,
  'no role writes a table of functions past the functions');

SELECT * FROM finish();
ROLLBACK;
