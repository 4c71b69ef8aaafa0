-- 003: gates of the platform's own, and the one function that writes a transition.
\ir setup.psql
SELECT no_plan();
CREATE FUNCTION pg_temp.conforms() RETURNS text LANGUAGE sql
  AS $$SELECT string_agg(concat_ws(' ', check_code, object_class, coalesce(expected, found), detail), '; ')
  FROM fn_iu_conformance() WHERE NOT ok$$;

-- ---- defined by one call

SELECT is(fn_iu_gate_define('shop.price_change_enabled', 'Changing prices in bulk', 'ada',
  'prices are guarded from now on') - 'run_id',
  '{"status": "defined", "gate_key": "shop.price_change_enabled"}',
  'an administrator defines a gate of the platform by one call');
SELECT results_eq($$SELECT gate_class, value, effective, is_safe,
  reason FROM v_iu_gate WHERE gate_key = 'shop.price_change_enabled'$$,
  $$VALUES ('governable', 'false', false, true, 'closed')$$, 'a gate of the platform is governable and closed');
SELECT is((SELECT migration FROM iu_gate_registry WHERE gate_key = 'shop.price_change_enabled'), NULL,
  'the registry says of a gate of the platform that no migration brought it');
SELECT is((SELECT theirs FROM iu_governed_object WHERE object_class = 'config'
  AND object_name = 'shop.price_change_enabled'), true,
  'the register says of a gate of the platform that it is the platform''s own');
SELECT is(pg_temp.conforms(), NULL, 'with a gate of the platform the database conforms');
SELECT is((SELECT concat_ws(' ', actor, evidence ->> 'gate_key', evidence ->> 'reason') FROM dot_iu_command_run
  WHERE command_name = 'dot_iu_gate_define'),
  'ada shop.price_change_enabled prices are guarded from now on', 'the definition of a gate of the platform is logged');
SELECT is(jsonb_array_length(fn_iu_gate_verify_closed() -> 'gates')::bigint, (SELECT count(*) FROM iu_gate_registry),
  'verification shows a gate of the platform among all');
SELECT is((SELECT value FROM iu.fn_iu_surface_measure_all('x') WHERE surface_code = 'iu_gates_inert'),
  (SELECT count(*) || '/' || count(*) FROM iu_gate_registry), 'change windows count a gate of the platform');
SELECT pg_temp.refuses('SELECT fn_iu_gate_define(' || a || ')', e, c,
  'fn_iu_gate_define(' || a || ') is refused as ' || c)
  FROM (VALUES
  ($$'shop.price_change_enabled', 'd', 'ada', 'r'$$, '42710', 'iu_gate_registered'),
  ($$'iu_core.composer_enabled', 'd', 'ada', 'r'$$, '23514', 'iu_gate_key_reserved'),
  ($$'queue.dlq.replay_enabled', 'd', 'ada', 'r'$$, '42710', 'iu_gate_registered'),
  ($$'Shop', 'd', 'ada', 'r'$$, '23514', 'iu_gate_key'), ($$'shop..a', 'd', 'ada', 'r'$$, '23514', 'iu_gate_key'),
  ($$'', 'd', 'ada', 'r'$$, '23514', 'iu_gate_key'), ($$NULL, 'd', 'ada', 'r'$$, '23514', 'iu_gate_key'),
  ($$'shop.x', ' ', 'ada', 'r'$$, '23514', 'iu_gate_description'),
  ($$'shop.x', NULL, 'ada', 'r'$$, '23514', 'iu_gate_description'),
  ($$'shop.x', 'd', '', 'r'$$, '23514', 'iu_actor_and_reason'),
  ($$'shop.x', 'd', 'ada', NULL$$, '23514', 'iu_actor_and_reason')) AS v (a, e, c);
INSERT INTO dot_config (key, value) VALUES ('shop.other', 'x');
SELECT pg_temp.refuses($$SELECT fn_iu_gate_define('shop.other', 'd', 'ada', 'r')$$, '42710', 'iu_gate_key_taken',
  'a row of dot_config that is no gate is not made one');
DELETE FROM dot_config WHERE key = 'shop.other';

-- ---- used like any other

SELECT is(fn_iu_gate_open('shop.price_change_enabled', gen_random_uuid(), 'olga', 'sale', 60) ->> 'status', 'opened',
  'a gate of the platform opens like any other');
SELECT is(iu_core.gate_is_open('shop.price_change_enabled'), true, 'what a gate of the platform guards finds it open');
SELECT pg_temp.refuses('SELECT fn_iu_gate_undefine(' || a || ')', e, c,
  'fn_iu_gate_undefine(' || a || ') is refused as ' || c)
  FROM (VALUES
  ($$'shop.price_change_enabled', 'ada', 'r'$$, '55006', 'iu_gate_not_closed'),
  ($$'iu_core.composer_enabled', 'ada', 'r'$$, '55006', 'iu_gate_of_migration'),
  ($$'shop.none', 'ada', 'r'$$, '42704', 'iu_gate_undefined'), ($$NULL, 'ada', 'r'$$, '42704', 'iu_gate_undefined'),
  ($$'shop.price_change_enabled', ' ', 'r'$$, '23514', 'iu_actor_and_reason')) AS v (a, e, c);
SELECT fn_iu_gate_close('shop.price_change_enabled', 'olga', 'done');
UPDATE dot_config SET value = 'true' WHERE key = 'shop.price_change_enabled';
SELECT pg_temp.refuses($$SELECT fn_iu_gate_undefine('shop.price_change_enabled', 'ada', 'r')$$, '55006',
  'iu_gate_not_closed', 'a gate of the platform that was set beside the protocol is not undefined');
UPDATE dot_config SET value = 'false' WHERE key = 'shop.price_change_enabled';

-- ---- in the way of a rollback, and kept by one of later migrations

SAVEPOINT rollbacks;
SELECT lives_ok('SELECT count(*) FROM iu_core.rollback(3, false, true)',
  'with a gate of the platform the migrations after 003 can be rolled back');
SELECT is((SELECT value FROM v_iu_gate WHERE gate_key = 'shop.price_change_enabled'), 'false',
  'a rollback to 003 keeps the gate of the platform');
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(2, false, true)', '55006', 'iu_rollback_gates_left',
  '003 is not rolled back while a gate of the platform is there');
SELECT lives_ok('SELECT count(*) FROM iu_core.migrate()', 'migrating again with a gate of the platform succeeds');
SELECT is(pg_temp.conforms(), NULL, 'after migrating again the database conforms with the gate of the platform');
ROLLBACK TO rollbacks;

-- ---- surfaces and invariants of the platform's own are in the way as well

SAVEPOINT figures;
CREATE VIEW test_agreement AS SELECT 1 AS left_value, 1 AS right_value;
GRANT SELECT ON test_agreement TO iu_core_owner;
SELECT fn_iu_surface_register('tests', 'Tests passing', 'external', 'any', 'ada', 'our own figure'),
  fn_iu_invariant_register('agreed', 'public.test_agreement', 'both agree', 'ada', 'our own');
SELECT is(pg_temp.conforms(), NULL, 'a surface and an invariant of the platform''s own change nothing for conformance');
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(8)', '55006', 'iu_regression_surface',
  'a rollback of change windows says that a surface of the platform''s is in the way');
SELECT fn_iu_surface_unregister('tests', 'ada', 'not ours any more');
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(8)', '55006', 'dot_iu_command_run',
  'a rollback of change windows says that the log of what was done about surfaces is in the way');
SELECT lives_ok('SELECT count(*) FROM iu_core.rollback(8, false, true)',
  'with leave to lose the log a rollback of change windows succeeds');
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(7)', '55006', 'iu_invariant',
  'a rollback of invariants says that one of the platform''s is in the way');
SELECT is((SELECT string_agg(invariant_code, ',') FROM iu_invariant), 'agreed',
  'a refused rollback of invariants leaves the platform''s invariant');
ROLLBACK TO figures;

-- ---- undefined

SELECT is(fn_iu_gate_undefine('shop.price_change_enabled', 'ada', 'prices are free') - 'run_id',
  '{"status": "undefined", "gate_key": "shop.price_change_enabled"}',
  'an administrator undefines a gate of the platform by one call');
SELECT is((SELECT count(*) FROM dot_config WHERE key = 'shop.price_change_enabled') + (SELECT count(*)
  FROM iu_gate_registry WHERE gate_key = 'shop.price_change_enabled')
  + (SELECT count(*) FROM iu_governed_object WHERE object_name = 'shop.price_change_enabled'), 0::bigint,
  'a gate that was undefined leaves no rows');
SELECT is((SELECT count(*) FROM iu_gate_transition WHERE gate_key = 'shop.price_change_enabled'), 2::bigint,
  'a gate that was undefined leaves its ledger');
SELECT is(iu_core.gate_is_open('shop.price_change_enabled'), false,
  'whoever asks for a gate that was undefined reads closed');
SELECT is(pg_temp.conforms(), NULL, 'after a gate was undefined the database conforms');

-- ---- who

SELECT is(left(pg_temp.as_role(r, q), 7), CASE r WHEN 'iu_core_admin' THEN s ELSE '42501 p' END,
  'as ' || r || ', ' || q || ' gives ' || CASE r WHEN 'iu_core_admin' THEN s ELSE '42501' END) FROM
  unnest(ARRAY['iu_core_operator', 'iu_core_agent', 'iu_core_writer', 'iu_core_reader', 'iu_core_admin']) AS r,
  (VALUES (1, $$SELECT fn_iu_gate_define('shop.who', 'd', 'x', 'r') ->> 'status'$$, 'defined'),
  (2, $$SELECT fn_iu_gate_undefine('shop.who', 'x', 'r') ->> 'status'$$, 'undefin')) AS v (n, q, s);

-- ---- gates come with what they guard

SELECT is((SELECT migration FROM iu_gate_registry WHERE gate_key = 'iu_core.delivery_enabled'), 6,
  'the gate of delivery comes with the migration of delivery');
SELECT is_empty($$SELECT gate_key FROM iu_gate_registry WHERE migration = 3$$,
  'no gate comes with 003 that a later migration guards');

-- ---- one function writes a transition, the row of the ledger before the value

SELECT set_eq($$SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace IN ('iu'::regnamespace,
  'public'::regnamespace) AND p.prosrc ~* 'INSERT\s+INTO\s+public\.iu_gate_transition\M'$$,
  $$VALUES ('iu.fn_iu_gate_transit(uuid,text,text,text,uuid,integer,text,text,uuid,boolean)')$$,
  'one function inserts into the ledger of gates');
CREATE TABLE pg_temp.written (n serial, what text);
CREATE FUNCTION pg_temp.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  AS $$BEGIN INSERT INTO pg_temp.written (what) VALUES (TG_TABLE_NAME); RETURN NULL; END$$;
CREATE TRIGGER zz_note AFTER INSERT ON iu_gate_transition FOR EACH ROW EXECUTE FUNCTION pg_temp.note();
CREATE TRIGGER zz_note AFTER UPDATE ON dot_config FOR EACH ROW EXECUTE FUNCTION pg_temp.note();
SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'olga', 't', 60),
  fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'olga', 't', 60),
  fn_iu_gate_close('iu_core.composer_enabled', 'olga', 't');
SELECT is((SELECT string_agg(what, ' ' ORDER BY n) FROM pg_temp.written),
  'iu_gate_transition dot_config iu_gate_transition dot_config iu_gate_transition dot_config',
  'opening, renewing and closing write the ledger before the value');
SELECT results_eq($$SELECT action, prev_value,
  new_value FROM iu_gate_transition WHERE gate_key = 'iu_core.composer_enabled' ORDER BY transition_seq DESC LIMIT 3$$,
  $$VALUES ('close', 'true', 'false'), ('open', 'true', 'true'), ('open', 'false', 'true')$$,
  'opening, renewing and closing leave one row of the ledger each');
DROP TRIGGER zz_note ON iu_gate_transition; DROP TRIGGER zz_note ON dot_config;

SELECT finish();
ROLLBACK;
