-- 024: the refresh after each statement. The probes 230.1 to 230.7 are those of the
-- sandbox of the same number.
\ir setup.psql
\ir 022_loader_a.psql
SELECT no_plan();
-- However slow the machine is.
SET LOCAL iu_core.envelope_timeout = '10min';
-- A vacuum that waits for a GRANT of this transaction would keep the rollback waiting.
LOCK TABLE information_unit, iu_metadata_tag IN ACCESS EXCLUSIVE MODE;

CREATE FUNCTION pg_temp.gate(p_value text) RETURNS void LANGUAGE sql AS $$
  UPDATE dot_config SET value = p_value WHERE key = 'iu_core.three_axis_auto_refresh_enabled' $$;
-- What a statement leaves in the log of refreshes, in the order of the calls.
CREATE FUNCTION pg_temp.leaves(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_last bigint := (SELECT max(id) FROM iu_three_axis_envelope_refresh_log);
BEGIN
  EXECUTE p_sql;
  RETURN (SELECT string_agg(concat_ws(' ', actor, outcome, upserted_count, deleted_count, written_count),
    ', ' ORDER BY id)
            FROM iu_three_axis_envelope_refresh_log WHERE id > v_last);
END $$;
CREATE FUNCTION pg_temp.touch(p_address text) RETURNS text LANGUAGE sql AS $$
  SELECT format('UPDATE information_unit SET owner_ref = owner_ref WHERE canonical_address = %L', p_address) $$;
CREATE FUNCTION pg_temp.errors() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', trigger_name, host_table, tg_op, sqlstate, sqlerrm), '; ' ORDER BY id)
    FROM iu_three_axis_envelope_trigger_error_log $$;
-- The refresh does this instead.
CREATE FUNCTION pg_temp.replace_refresh(p_body text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format($sql$
    CREATE OR REPLACE FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale(
      p_actor text, p_dry_run boolean DEFAULT false, p_force boolean DEFAULT false)
    RETURNS TABLE (log_id bigint, outcome text, upserted_count bigint, deleted_count bigint, view_count bigint,
                   table_count bigint, in_sync_pre boolean, in_sync_post boolean)
    LANGUAGE plpgsql AS 'BEGIN %s; END'$sql$, replace(p_body, '''', ''''''));
END $$;
SET LOCAL app.canonical_writer = 'fn_iu_create';

-- ---- the probes

SELECT is(pg_temp.leaves(pg_temp.touch('note/n5')), NULL,
  '230.1: while the gate is closed an UPDATE leaves no row in the log');
SELECT pg_temp.gate('true');
SELECT is(pg_temp.leaves(pg_temp.touch('note/n5')), 'iu_lifecycle_trigger skipped_in_sync 0 0 0',
  '230.2: with the gate open an UPDATE that changes nothing skips');
DELETE FROM iu_three_axis_envelope WHERE canonical_address = 'law:DIEU-32/p7';
SELECT is(pg_temp.leaves(pg_temp.touch('note/n5')), 'iu_lifecycle_trigger refreshed 163 0 1',
  '230.3: with the gate open an UPDATE of another unit repairs a row that is missing');
SELECT is(pg_temp.leaves('UPDATE iu_metadata_tag SET assigned_at = assigned_at'),
  'iu_lifecycle_trigger skipped_in_sync 0 0 0', '230.4: an UPDATE of tags calls the refresh too, once a statement');
SAVEPOINT probe;
SELECT pg_temp.replace_refresh($$RAISE EXCEPTION 'stub'$$);
SELECT lives_ok(pg_temp.touch('note/n5'), '230.5: an UPDATE succeeds while the refresh raises');
SELECT is(pg_temp.errors(), 'trg_iu_three_axis_envelope_auto_refresh_iu information_unit UPDATE P0001 stub',
  '230.5: what the refresh raised is in the error log');
ROLLBACK TO probe;
SELECT pg_temp.gate('false');
SELECT is(pg_temp.leaves(pg_temp.touch('note/n5')), NULL, '230.6: with the gate closed again nothing is left');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgname ~ '^trg_iu_three_axis_envelope_auto_refresh_(iu|tag)$') || ' '
    || (SELECT count(*) FROM pg_proc WHERE proname = 'fn_iu_three_axis_envelope_auto_refresh_trigger') || ' '
    || (SELECT count(*) FROM pg_class WHERE relname = 'iu_three_axis_envelope_trigger_error_log'), '2 1 1',
  '230.7: there are two triggers, one function and one error log');

-- ---- every kind of statement

SELECT pg_temp.gate('true');
SELECT is(pg_temp.leaves($$UPDATE information_unit SET sort_order = sort_order + 100 WHERE doc_code = 'DIEU-28'$$),
  'iu_lifecycle_trigger refreshed 163 0 27', 'one statement over 27 units is one refresh');
SELECT is(pg_temp.leaves($$UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'note/n77'$$),
  'iu_lifecycle_trigger refreshed 162 1 1', 'a unit that is deleted goes from the envelope');
SELECT is(pg_temp.leaves($$DELETE FROM iu_metadata_tag WHERE tag_key = 'doc:DIEU-32'$$),
  'iu_lifecycle_trigger refreshed 162 0 23', 'tags that are deleted go from the envelope');
SELECT is(pg_temp.leaves($$UPDATE iu_metadata_tag SET assigned_at = assigned_at WHERE false$$),
  'iu_lifecycle_trigger skipped_in_sync 0 0 0', 'a statement over no row is one attempt as well');
SELECT is(fn_iu_three_axis_envelope_drift_check(true) ->> 'in_sync', 'true', 'afterwards nothing differs');
SELECT is((SELECT count(*) FROM iu_three_axis_envelope_mark), 0::bigint, 'afterwards no mark is left');

SAVEPOINT emptied;
SELECT is(pg_temp.leaves('TRUNCATE iu_metadata_tag'), NULL, 'emptying the tags calls no refresh');
SELECT is((SELECT count(*) FROM iu_three_axis_envelope_mark WHERE unit_ids IS NULL), 1::bigint, 'it marks every unit');
SELECT is(pg_temp.leaves(pg_temp.touch('note/n5')), 'iu_lifecycle_trigger refreshed 162 0 162',
  'and the next statement has the envelope follow');
SET CONSTRAINTS ALL IMMEDIATE;
SET LOCAL app.canonical_writer = '';
SELECT pg_temp.refuses('TRUNCATE information_unit CASCADE', '42501', 'iu_gateway_blocked', 'units are not emptied');
ROLLBACK TO emptied;

-- ---- whatever the refresh does, the statement goes on

CREATE FUNCTION pg_temp.survives(p_body text, p_error text, p_name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM iu_three_axis_envelope_trigger_error_log;
  PERFORM pg_temp.replace_refresh(p_body);
  EXECUTE pg_temp.touch('note/n5');
  RETURN NEXT is((SELECT string_agg(sqlstate || ' ' || sqlerrm, '; ') FROM iu_three_axis_envelope_trigger_error_log),
    p_error, p_name);
END $$;
SAVEPOINT stubs;
SELECT pg_temp.survives($$RAISE assert_failure USING MESSAGE = 'asserted'$$, 'P0004 asserted',
  'an assertion that fails is noted');
SELECT pg_temp.survives($$RAISE serialization_failure USING MESSAGE = 'older snapshot'$$, '40001 older snapshot',
  'a snapshot that is too old is noted');
SET LOCAL iu_core.envelope_timeout = '1s';
SELECT pg_temp.survives($$PERFORM pg_sleep(600)$$, '57014 canceled, since its time was up',
  'a refresh that does not end is ended and noted');
SET LOCAL iu_core.envelope_timeout = '10min';
SET LOCAL statement_timeout = '40s';
SELECT pg_temp.survives($$PERFORM pg_sleep(600)$$, '57014 canceled, since its time was up',
  'a refresh that does not end leaves time to a statement that has a time limit');
SET LOCAL statement_timeout = 0;
SELECT pg_temp.survives($$RAISE EXCEPTION '%', current_setting('lock_timeout')$$, 'P0001 200ms',
  'the refresh waits for a lock 200 ms at most');
SELECT is(current_setting('lock_timeout'), '0', 'the session waits for locks as long as before');
SET LOCAL lock_timeout = '50ms';
SELECT pg_temp.survives($$RAISE EXCEPTION '%', current_setting('lock_timeout')$$, 'P0001 50ms',
  'a session that waits less has the refresh wait less');
SET LOCAL lock_timeout = 0;
SELECT pg_temp.survives($$RAISE EXCEPTION '% %', current_user, iu_core.caller()::regrole$$,
  'P0001 iu_core_owner iu_core_owner', 'the refresh runs as iu_core_owner, in its name');
SELECT is(current_user::text, 'postgres', 'afterwards the session is who it was');
SELECT pg_temp.survives($$SET LOCAL work_mem = '64kB'; RETURN QUERY SELECT NULL::bigint, 'x', 0::bigint, 0::bigint,
  0::bigint, 0::bigint, true, true$$, NULL, 'a refresh that returns rows of its own is well');
ALTER TABLE iu_three_axis_envelope_trigger_error_log RENAME TO elsewhere;
SELECT pg_temp.replace_refresh($$RAISE EXCEPTION 'stub'$$);
SELECT lives_ok(pg_temp.touch('note/n5'), 'a statement goes on where the error cannot be noted either');
ROLLBACK TO stubs;

-- ---- what strangers plant

CREATE ROLE iu_test_stranger;
GRANT CREATE ON SCHEMA public TO iu_test_stranger;
CREATE FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale(text, boolean, boolean, integer DEFAULT 1)
  RETURNS text LANGUAGE sql AS 'SELECT ''planted''';
ALTER FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale(text, boolean, boolean, integer)
  OWNER TO iu_test_stranger;
SELECT is(pg_temp.leaves(pg_temp.touch('note/n5')), 'iu_lifecycle_trigger skipped_in_sync 0 0 0',
  'a function of the same name with an argument more is not called, and is in nobody''s way');
SELECT is(pg_temp.errors(), NULL, 'nor is there an error');
DROP FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale(text, boolean, boolean, integer);
ALTER FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale(text, boolean, boolean) OWNER TO iu_test_stranger;
SELECT lives_ok(pg_temp.touch('note/n5'), 'a statement goes on where the refresh belongs to a stranger');
SELECT alike(pg_temp.errors(), '%42501 function public.fn_iu_three_axis_envelope_refresh_if_stale() belongs to %',
  'a refresh that belongs to a stranger is not called');
ALTER FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale(text, boolean, boolean) OWNER TO iu_core_owner;
DELETE FROM iu_three_axis_envelope_trigger_error_log;

-- ---- a role with nothing but rights to write

CREATE ROLE iu_test_writes;
GRANT SELECT, INSERT, UPDATE, DELETE ON iu_metadata_tag TO iu_test_writes;
CREATE FUNCTION pg_temp.tags(p_gate text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_temp.gate(p_gate);
  RETURN pg_temp.leaves($sql$
    SELECT pg_temp.as_role('iu_test_writes', 'WITH w AS (INSERT INTO iu_metadata_tag (unit_id, tag_key, '
      || 'enrichment_source, assigned_by) SELECT DISTINCT unit_id, ''sectype:heading'', ''confirmed'', ''w'' '
      || 'FROM iu_metadata_tag WHERE tag_key = ''doc:DIEU-35'' RETURNING 1) SELECT count(*) FROM w')$sql$);
END $$;
SELECT is(pg_temp.tags('false'), NULL, 'with the gate closed a role that may only write tags writes them');
SELECT is((SELECT count(*) FROM iu_metadata_tag WHERE assigned_by = 'w'), 36::bigint, '36 tags are there');
DELETE FROM iu_metadata_tag WHERE assigned_by = 'w';
SELECT is(pg_temp.tags('true'), 'iu_lifecycle_trigger refreshed 162 0 36',
  'with the gate open a role that may only write tags writes them, and the envelope follows');

-- ---- exactly four objects, and back

REVOKE ALL ON iu_metadata_tag FROM iu_test_writes;
SELECT pg_temp.gate('false');
INSERT INTO iu_three_axis_envelope_trigger_error_log (trigger_name, host_table, tg_op, sqlstate, sqlerrm)
  VALUES ('t', 'h', 'UPDATE', 'P0001', 'x');
SELECT pg_temp.refuses($$INSERT INTO iu_three_axis_envelope_trigger_error_log (trigger_name, host_table, tg_op,
  sqlstate,
  sqlerrm) VALUES ('t', 'h', 'MERGE', 'P0001', 'x')$$, '23514', 'tg_op_chk', 'the error log takes no other operation');
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(23)', '55006', 'would be lost',
  'a rollback is refused while the error log has rows');
DELETE FROM iu_three_axis_envelope_trigger_error_log;
CREATE TEMPORARY TABLE inventory AS SELECT * FROM iu_core.object_inventory();
CREATE TEMPORARY TABLE log AS SELECT * FROM iu_three_axis_envelope_refresh_log;
SELECT count(*) AS steps FROM iu_core.rollback(23) \gset
SELECT set_eq('SELECT change, object_class, object_name FROM iu_core.migrate(24, true)',
  $$VALUES ('added', 'table', 'iu_three_axis_envelope_trigger_error_log'),
           ('added', 'function', 'fn_iu_three_axis_envelope_auto_refresh_trigger()'),
           ('added', 'trigger', 'trg_iu_three_axis_envelope_auto_refresh_iu ON information_unit'),
           ('added', 'trigger', 'trg_iu_three_axis_envelope_auto_refresh_tag ON iu_metadata_tag')$$,
  'a dry run from 023 reports one table, one function and two triggers, added, and nothing else');
SELECT bag_eq('SELECT * FROM iu_three_axis_envelope_refresh_log', 'SELECT * FROM log',
  'the rollback of 024 leaves the log of 023');
SELECT count(*) AS steps FROM iu_core.migrate() \gset
SELECT bag_eq('SELECT * FROM iu_core.object_inventory()', 'SELECT * FROM inventory',
  'down and up again every object is what it was');
SELECT is((SELECT string_agg(coalesce(expected, found) || ' ' || detail, '; ') FROM fn_iu_conformance() WHERE NOT ok),
  NULL, 'afterwards the database conforms');
SELECT is((SELECT concat_ws(' ', p.proowner::regrole, p.proacl IS NOT NULL, p.prosecdef) FROM pg_proc p
    WHERE proname = 'fn_iu_three_axis_envelope_auto_refresh_trigger'), 'iu_core_owner t f',
  'the trigger''s function belongs to iu_core_owner, and is not for everybody');
SELECT finish();
ROLLBACK;
