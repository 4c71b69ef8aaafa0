-- 003: the bounded toggle inside one transaction, and where it ends.
\ir setup.psql
SELECT plan(37);
CREATE FUNCTION pg_temp.refresh_is_open() RETURNS boolean LANGUAGE sql AS $function$
  SELECT iu_core.gate_is_open('iu_core.three_axis_auto_refresh_enabled')
$function$;

-- To the letter.
SELECT is(pg_temp.refresh_is_open(), false, 'a gate is closed before its toggle');
UPDATE dot_config SET value='true' WHERE key='iu_core.three_axis_auto_refresh_enabled';
SELECT is(pg_temp.refresh_is_open(), true, 'a gate that is toggled to true is open in the same transaction');
SELECT is((SELECT reason FROM v_iu_gate WHERE gate_key = 'iu_core.three_axis_auto_refresh_enabled'),
  'set beside the protocol, effective in this transaction only', 'verify says how the toggled gate is open');
UPDATE dot_config SET value='false' WHERE key='iu_core.three_axis_auto_refresh_enabled';
SELECT is(pg_temp.refresh_is_open(), false, 'a gate that is toggled back is closed');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'true', 'after the toggle verify says that all is safe');

-- Inside an EXCEPTION block, which is a subtransaction.
DO $toggle$
DECLARE
  v_open boolean;
BEGIN
  BEGIN
    UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
    PERFORM set_config('test.inside', iu_core.gate_is_open('iu_core.three_axis_auto_refresh_enabled')::text, true);
  EXCEPTION WHEN division_by_zero THEN
    NULL;
  END;
END
$toggle$;
SELECT is(current_setting('test.inside'), 'true', 'a gate that is toggled inside an EXCEPTION block is open there');
SELECT is(pg_temp.refresh_is_open(), true,
  'a gate that was toggled inside an EXCEPTION block is open after the block ended well');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
DO $toggle$
BEGIN
  UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
  PERFORM set_config('test.raised', iu_core.gate_is_open('iu_core.three_axis_auto_refresh_enabled')::text, false);
  RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
  NULL;
END
$toggle$;
SELECT is(pg_temp.refresh_is_open(), false, 'a gate that was toggled inside a block that failed is closed');

-- Savepoints.
SAVEPOINT a;
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
SELECT is(pg_temp.refresh_is_open(), true, 'a gate that is toggled after a savepoint is open');
SAVEPOINT b;
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
SELECT is(pg_temp.refresh_is_open(), false, 'a gate that is toggled back in a nested savepoint is closed');
CREATE TEMP TABLE spoilt ();
ROLLBACK TO SAVEPOINT b;
SELECT is(pg_temp.refresh_is_open(), true, 'a gate is open again after ROLLBACK TO the nested savepoint');
ROLLBACK TO SAVEPOINT a;
SELECT is(pg_temp.refresh_is_open(), false, 'a gate is closed after ROLLBACK TO the savepoint before its toggle');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
SELECT is(pg_temp.refresh_is_open(), true, 'a gate may be toggled once more after ROLLBACK TO');
RELEASE SAVEPOINT a;
SELECT is(pg_temp.refresh_is_open(), true, 'a toggled gate is open after RELEASE');

-- Several updates in the transaction change nothing.
UPDATE dot_config SET description = 'touched' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
SELECT is(pg_temp.refresh_is_open(), true, 'a toggled gate is open after another update of its row');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';

-- Inside one statement's trigger, as the auto-refresh asks.
CREATE TEMP TABLE asked (open boolean);
CREATE FUNCTION pg_temp.ask() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
  INSERT INTO asked VALUES (iu_core.gate_is_open('iu_core.three_axis_auto_refresh_enabled'));
  RETURN NULL;
END
$function$;
CREATE TEMP TABLE busy (n integer);
CREATE TRIGGER ask AFTER UPDATE ON busy FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.ask();
UPDATE busy SET n = n WHERE false;
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
UPDATE busy SET n = n WHERE false;
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
UPDATE busy SET n = n WHERE false;
SELECT results_eq('SELECT open FROM asked', ARRAY[false, true, false],
  'a statement trigger sees the gate closed, open and closed');

-- What is not a toggle from false to true.
DELETE FROM dot_config WHERE key = 'queue.dlq.replay_enabled';
SELECT is(iu_core.gate_is_open('queue.dlq.replay_enabled'), false, 'a gate whose row is deleted is closed');
INSERT INTO iu_gate_registry VALUES ('test.new_gate', 'governable', 'a test', 999);
INSERT INTO dot_config VALUES ('test.new_gate', 'true');
SELECT is(iu_core.gate_is_open('test.new_gate'), false,
  'a gate whose row is inserted as true is closed, since it was not false before');
INSERT INTO dot_config VALUES ('test.no_gate', 'false');
UPDATE dot_config SET value = 'true' WHERE key = 'test.no_gate';
SELECT is(iu_core.gate_is_open('test.no_gate'), false, 'a key that is not registered is no gate');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.vector_sync_enabled';
SELECT is(iu_core.gate_is_open('iu_core.vector_sync_enabled'), false, 'a never-flip gate cannot be toggled open');
UPDATE dot_config SET value = 'True' WHERE key = 'iu_core.composer_enabled';
SELECT is(iu_core.gate_is_open('iu_core.composer_enabled'), false,
  'a value other than exactly true does not count as true');
SELECT is(iu_core.gate_is_open(NULL), false, 'a gate asked for by NULL is closed');
SELECT is(iu_core.gate_is_open(''), false, 'a gate asked for by an empty key is closed');
SELECT is(iu_core.gate_is_open(repeat('x', 100000)), false, 'a gate asked for by an endless key is closed');

-- What the check remembers as closed it forgets when any of the three tables changes.
DELETE FROM iu_gate_registry WHERE gate_key = 'iu_core.composer_enabled';
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.composer_enabled';
SELECT is(iu_core.gate_is_open('iu_core.composer_enabled'), false, 'a key that is true and not registered is closed');
INSERT INTO iu_gate_registry VALUES ('iu_core.composer_enabled', 'governable', 'a test', 999);
SELECT is(iu_core.gate_is_open('iu_core.composer_enabled'), true,
  'a key that is registered within its toggle is open at once');
SELECT is(iu_core.gate_is_open('test.new_gate'), false, 'a gate that is true without an opening is closed');
INSERT INTO iu_gate_transition (gate_key, action, prev_value, new_value, approval_id, ttl_seconds, actor)
  VALUES ('test.new_gate', 'open', 'true', 'true', gen_random_uuid(), 60, 'me');
SELECT is(iu_core.gate_is_open('test.new_gate'), true, 'an opening in the ledger counts at once');

-- A close beside the protocol ends the opening for good: the ledger has it.
CREATE FUNCTION pg_temp.last_change(p_gate text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' | ', action, prev_value, new_value, reason) FROM iu_gate_transition
   WHERE gate_key = p_gate ORDER BY transition_seq DESC LIMIT 1
$$;
SELECT fn_iu_gate_open('iu_core.operator_runtime_enabled', gen_random_uuid(), 'me', 'beside', 60) ->> 'status'
  AS opened \gset
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.operator_runtime_enabled';
SELECT is(pg_temp.last_change('iu_core.operator_runtime_enabled'), 'open | false | true | beside',
  'an update that changes no value ends no opening');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.operator_runtime_enabled';
SELECT is(pg_temp.last_change('iu_core.operator_runtime_enabled'), 'close | true | false | update beside the protocol',
  'an UPDATE to false of an open gate is a close in the ledger');
SELECT is((fn_iu_gate_open('iu_core.operator_runtime_enabled', gen_random_uuid(), 'me', 'again', 60) ->> 'status'),
  'opened', 'a gate that an UPDATE closed can be opened anew');
DELETE FROM dot_config WHERE key = 'iu_core.operator_runtime_enabled';
SELECT is(pg_temp.last_change('iu_core.operator_runtime_enabled'), 'close | true | false | delete beside the protocol',
  'a DELETE of an open gate''s row is a close in the ledger');
INSERT INTO dot_config (key, value) VALUES ('iu_core.operator_runtime_enabled', 'true');
SELECT is(iu_core.gate_is_open('iu_core.operator_runtime_enabled'), true,
  'a gate that is set to true again counts only as the toggle of this transaction');

-- The per-gate functions are the check itself: inlined, no function in between.
CREATE FUNCTION pg_temp.plan_of(p_sql text) RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
  v_line text;
  v_plan text := '';
BEGIN
  FOR v_line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || p_sql LOOP
    v_plan := v_plan || v_line;
  END LOOP;
  RETURN v_plan;
END
$function$;
SELECT is((SELECT string_agg(f, ', ') FROM (VALUES
    ('fn_iu_structure_ops_enabled', 'iu_core.structure_ops_enabled'),
    ('fn_iu_delivery_enabled', 'iu_core.delivery_enabled'),
    ('fn_iu_composer_enabled', 'iu_core.composer_enabled'),
    ('fn_dot_iu_operator_runtime_enabled', 'iu_core.operator_runtime_enabled'),
    ('fn_iu_vector_sync_enabled', 'iu_core.vector_sync_enabled')) AS w (f, k)
    WHERE pg_temp.plan_of(format('SELECT %s()', f)) NOT LIKE format('%%Output: iu_core.gate_is_open(''%s''::text)', k)),
    NULL,
  'each per-gate function is inlined to iu_core.gate_is_open');
SELECT pg_temp.refuses($$INSERT INTO iu_gate_transition (gate_key, action, new_value, actor)
  VALUES ('x', 'open', 'true', 'me')$$,
  '23514', 'iu_gate_transition_opening', 'the ledger takes no opening without approval and time');
SELECT pg_temp.refuses('TRUNCATE iu_gate_transition', '42501', 'append-only', 'the ledger cannot be emptied');
SET LOCAL session_replication_role = replica;
SELECT pg_temp.refuses('DELETE FROM iu_gate_transition', '42501', 'append-only',
  'the ledger cannot be emptied in the replica role');
SET LOCAL session_replication_role = origin;
SELECT * FROM finish();
ROLLBACK;
