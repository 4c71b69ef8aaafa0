-- 001: dot_config, and D1 to D9: everything registered is there, and nothing
-- is lost or comes in beside the migrations without being seen.
\ir setup.psql
SELECT plan(47);

SELECT columns_are('public', 'dot_config', ARRAY['key', 'value', 'description', 'updated_at'],
  'dot_config has the columns that its migration documents');
SELECT col_is_pk('public', 'dot_config', 'key', 'key is the primary key of dot_config');
SELECT col_not_null('public', 'dot_config', 'value', 'the value of a row of dot_config is not NULL');
SELECT col_not_null('public', 'dot_config', 'updated_at', 'updated_at of dot_config is not NULL');
SELECT col_type_is('public', 'dot_config', 'updated_at', 'timestamp with time zone',
  'updated_at of dot_config is a timestamptz');
SELECT is((SELECT count(*) FROM pg_index WHERE indrelid = 'dot_config'::regclass AND indisunique), 1::bigint,
  'there is exactly one unique guard on dot_config');

INSERT INTO dot_config (key, value, updated_at) VALUES ('test.touch', 'a', '2000-01-01');
SELECT is((SELECT updated_at FROM dot_config WHERE key = 'test.touch'), now(),
  'an INSERT into dot_config cannot date its row');
UPDATE dot_config SET value = 'b', updated_at = '2000-01-01' WHERE key = 'test.touch';
SELECT is((SELECT updated_at FROM dot_config WHERE key = 'test.touch'), now(),
  'an UPDATE of dot_config cannot date its row');
DELETE FROM dot_config WHERE key = 'test.touch';

SELECT is((SELECT string_agg(concat_ws(' ', check_code, object_class, coalesce(c.expected, c.found), detail), '; ')
             FROM fn_iu_conformance() c WHERE NOT ok), NULL, 'a migrated database conforms');
SELECT is((SELECT array_agg(c.object_class) FROM fn_iu_conformance() c WHERE c.check_code = 'D9')
            @> ARRAY['table', 'view', 'function', 'trigger', 'config', 'event_type', 'route'], true,
            'figure D9 of the conformance counts the seven classes');
SELECT is(bool_and(CASE object_class WHEN 'table' THEN 'D1' WHEN 'view' THEN 'D2' WHEN 'function' THEN 'D3'
                     WHEN 'trigger' THEN 'D4' WHEN 'config' THEN 'D5' WHEN 'event_type' THEN 'D6'
                     WHEN 'route' THEN 'D7' ELSE 'D1' END = check_code), true,
                     'figures D1 to D7 of the conformance follow the classes')
  FROM fn_iu_conformance() WHERE check_code NOT IN ('D8', 'D9');
SELECT is((SELECT count(*) FROM fn_iu_conformance() WHERE check_code < 'D8'),
          (SELECT count(*) FROM iu_governed_object), 'every registered object has its row in the conformance');
SELECT is((SELECT detail FROM fn_iu_conformance() c WHERE c.expected = 'iu_core.delivery_enabled'), 'value ''false''',
  'figure D5 of the conformance shows the live value');
SELECT is((SELECT detail FROM fn_iu_conformance() c WHERE c.expected = 'trg_dot_config_gate_changed ON dot_config'),
  'enabled always', 'figure D4 of the conformance shows how a trigger is enabled');

-- Each way to leave the path is seen, and only while it lasts.
CREATE FUNCTION pg_temp.seen_after(p_change text, p_finding text, p_description text) RETURNS SETOF text
  LANGUAGE plpgsql AS $function$
DECLARE
  v_findings text[];
  v_view     boolean;
BEGIN
  BEGIN
    EXECUTE p_change;
    SELECT array_agg(concat_ws(' ', c.check_code, c.object_class, coalesce(c.expected, c.found)))
      INTO v_findings FROM public.fn_iu_conformance() c WHERE NOT c.ok;
    SELECT bool_and(c.ok) INTO v_view FROM public.v_iu_conformance c;
    RAISE query_canceled;
  EXCEPTION WHEN query_canceled THEN
    NULL;
  END;
  RETURN NEXT ok(p_finding = ANY (v_findings), p_description);
  RETURN NEXT is(v_view, false, 'and v_iu_conformance shows it');
END
$function$;
SELECT pg_temp.seen_after('DROP FUNCTION fn_iu_vector_sync_enabled()', 'D3 function fn_iu_vector_sync_enabled()',
  'a dropped function is missed');
SELECT pg_temp.seen_after('DROP VIEW v_dot_iu_command_run_health', 'D2 view v_dot_iu_command_run_health',
  'a dropped view is missed');
SELECT pg_temp.seen_after('SET LOCAL iu_core.allow_removal = on; DROP TRIGGER trg_dot_config_touch ON dot_config',
  'D4 trigger trg_dot_config_touch ON dot_config', 'a dropped trigger is missed');
SELECT pg_temp.seen_after('ALTER TABLE dot_config DISABLE TRIGGER trg_dot_config_touch',
  'D4 trigger trg_dot_config_touch ON dot_config', 'a disabled trigger is seen');
SELECT pg_temp.seen_after('ALTER FUNCTION fn_iu_gate_watchdog(text) OWNER TO postgres',
  'D3 function fn_iu_gate_watchdog(text)', 'another owner is seen');
SELECT pg_temp.seen_after('DELETE FROM dot_config WHERE key = ''iu_core.delivery_enabled''',
  'D5 config iu_core.delivery_enabled', 'a deleted gate row is missed');
SELECT pg_temp.seen_after('INSERT INTO dot_config VALUES (''beside.the_protocol'', ''true'')',
  'D8 config beside.the_protocol', 'a key that nobody registered is seen');
SELECT pg_temp.seen_after('SET LOCAL ROLE iu_core_owner; CREATE TABLE stray ()', 'D8 table stray',
  'a table that no migration made is seen');
SELECT pg_temp.seen_after('CREATE TRIGGER stray BEFORE INSERT ON dot_config EXECUTE FUNCTION iu.fn_iu_append_only()',
  'D8 trigger stray ON dot_config', 'a trigger that no migration made is seen');
SELECT is((SELECT bool_and(ok) FROM fn_iu_conformance()), true,
  'when every change is undone the database conforms again');

SELECT pg_temp.refuses($$SELECT iu.fn_iu_govern(1, false, '{added}', '{table}', '{stray}', '{postgres}', '{NULL}',
  '{NULL}', '{NULL}')$$,
  '55000', 'makes table "stray", which belongs to "postgres"',
  'a migration makes nothing that belongs to another role');
SELECT pg_temp.refuses($$SELECT iu.fn_iu_govern(2, false, '{changed}', '{table}', '{stray}', '{iu_core_owner}',
  '{NULL}', '{NULL}', '{NULL}')$$,
  '42710', 'changes table "stray", which no migration made', 'a migration changes nothing that no migration made');
SELECT pg_temp.refuses($$SELECT iu.fn_iu_govern_row(1, 'index', 'dot_config_pkey', false)$$, '23514',
  'object class .index. is not one of rows',
  'only rows of row classes are registered one by one');
-- One lost and one come in beside it leave the count, and D9, not fooled.
SELECT pg_temp.seen_after('DROP FUNCTION fn_iu_vector_sync_enabled(); SET LOCAL ROLE iu_core_owner;
  CREATE FUNCTION public.stray() RETURNS integer LANGUAGE sql AS ''SELECT 1''',
  'D9 function ' || (SELECT expected FROM fn_iu_conformance() WHERE check_code = 'D9' AND object_class = 'function'),
  'D9 compares names, not numbers');

-- Single objects come and go.
SELECT pg_temp.refuses($$SELECT iu.fn_iu_ungovern_row('config', 'iu_core.not_there')$$, '42704', 'is not registered',
  'an object that was not registered is not forgotten');
INSERT INTO dot_config VALUES ('test.single', 'x');
SELECT lives_ok($$SELECT iu.fn_iu_govern_row(1, 'config', 'test.single', false)$$,
  'a row of configuration is registered');
SELECT pg_temp.refuses($$SELECT iu.fn_iu_govern_row(2, 'config', 'test.single', false)$$, '23505',
  'iu_governed_object_pkey', 'a row of configuration is not registered twice');
DELETE FROM dot_config WHERE key = 'test.single';
SELECT lives_ok($$SELECT iu.fn_iu_ungovern_row('config', 'test.single')$$,
  'a row of configuration that is gone is forgotten');
SELECT is((SELECT bool_and(ok) FROM fn_iu_conformance()), true,
  'after registering and forgetting the database conforms');
SELECT pg_temp.refuses($$SELECT iu.fn_iu_rollback_is_complete(1)$$, '55006', 'rollback of migration 1 is incomplete',
  'a rollback that leaves something is refused');

-- ---- what health is told beside conformance

SELECT is((SELECT problems FROM iu.fn_iu_conformance_problems()), 0, 'a database as it should be has no problem');
UPDATE iu_core.applied_migration SET checksum = repeat('0', 64) WHERE version = 2;
SELECT matches(first, '^migration 2 .* has drifted', 'health is told of a migration that has drifted')
  FROM iu.fn_iu_conformance_problems();
UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'iu_core';
SELECT matches(first, '^the library is version .* and the extension 0.0.1: ALTER EXTENSION',
  'health is told of a library that is newer than the extension') FROM iu.fn_iu_conformance_problems();
SELECT * FROM finish();
ROLLBACK;
