-- 023: the refresh that looks first, and its log. The probes 220.1 to 220.8 are those
-- of the sandbox of the same number.
\ir setup.psql
\ir 022_loader_a.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.refresh(p_actor text, p_dry_run boolean DEFAULT false, p_force boolean DEFAULT false)
  RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.outcome, r.upserted_count, r.deleted_count, r.view_count, r.table_count, r.in_sync_pre,
                   r.in_sync_post)
    FROM fn_iu_three_axis_envelope_refresh_if_stale(p_actor, p_dry_run, p_force) r $$;
-- Every row of the envelope with the version that it is: the same again where nothing was written.
CREATE FUNCTION pg_temp.envelope() RETURNS text LANGUAGE sql AS $$
  SELECT md5(string_agg(concat_ws(' ', e.ctid, e.xmin, e), E'\n' ORDER BY e.unit_id)) FROM iu_three_axis_envelope e $$;

SELECT is((SELECT max(refreshed_at) FROM iu_three_axis_envelope), now(), 'the envelope is filled');

-- ---- the probes

SELECT pg_temp.refuses(format('SELECT * FROM fn_iu_three_axis_envelope_refresh_if_stale(%s)', a), '23514',
  'iu_actor_required', format('220.1: actor %s is refused', a)) FROM unnest(ARRAY['NULL', '''''', '''   ''']) a;
SELECT is((SELECT count(*) FROM iu_three_axis_envelope_refresh_log), 5::bigint, '220.1: a refused call leaves no row');
SELECT pg_temp.envelope() AS before \gset
SELECT is(pg_temp.refresh('iu_220_sandbox', true), 'dry_run 163 0 163 163 t t',
  '220.2: a dry run on a clean cache would upsert 163 and delete 0');
SELECT is(pg_temp.envelope(), :'before', '220.2: a dry run writes no row of the envelope');
SELECT is(pg_temp.refresh('iu_220_sandbox'), 'skipped_in_sync 0 0 163 163 t t',
  '220.3: a call on a clean cache skips');
SELECT is(pg_temp.envelope(), :'before', '220.3: a call that skips writes no row of the envelope');
SELECT is(pg_temp.refresh('iu_220_sandbox', p_force => true), 'refreshed 163 0 163 163 t t',
  '220.4: a forced call on a clean cache refreshes');
SELECT is(pg_temp.envelope(), :'before', '220.4: a forced refresh writes only what differs');
DELETE FROM iu_three_axis_envelope WHERE canonical_address = 'law:DIEU-32/p7';
SELECT is(pg_temp.refresh('iu_220_sandbox'), 'refreshed 163 0 163 163 f t',
  '220.5: a row that was deleted is repaired');
UPDATE iu_three_axis_envelope SET axis_b_tags = '{"topic": ["wrong"]}' WHERE canonical_address = 'law:DIEU-35/p7';
SELECT is(fn_iu_three_axis_envelope_drift_check() ->> 'content_diff_count', '1',
  '220.5: a tag list that is wrong is seen');
SELECT is(pg_temp.refresh('iu_220_other'), 'refreshed 163 0 163 163 f t',
  '220.5: a tag list that is wrong is repaired');
SELECT is((SELECT axis_b_tags::text FROM iu_three_axis_envelope WHERE canonical_address = 'law:DIEU-35/p7'),
  (SELECT axis_b_tags::text FROM v_ui_iu_three_axis_envelope WHERE canonical_address = 'law:DIEU-35/p7'),
  '220.5: the repaired tag list is that of the view');
SELECT results_eq($$SELECT outcome, forced, written_count FROM iu_three_axis_envelope_refresh_log
    WHERE actor = 'iu_220_sandbox' ORDER BY id$$,
  $$VALUES ('dry_run', false, 0::bigint), ('skipped_in_sync', false, 0), ('refreshed', true, 0), ('refreshed', false,
    1)$$,
  '220.6: the log has four rows of the sandbox: dry run, skipped, forced, repair');
SELECT is((SELECT concat_ws(' ', last_actor, last_outcome, cache_healthy, current_in_sync, current_view_count,
    current_table_count, last_table_count) FROM v_iu_three_axis_envelope_refresh_status),
  'iu_220_other refreshed t t 163 163 163', '220.7: after the repair the status says that the cache is healthy');
SELECT pg_temp.refuses($$UPDATE iu_three_axis_envelope_refresh_log SET outcome = 'BOGUS_OUTCOME' WHERE id = 16$$,
  '23514', 'iu_three_axis_envelope_refresh_log_outcome_chk', '220.8: the log takes no outcome of another name');

-- ---- what else the call promises

SELECT is(pg_temp.refresh('both', true, true), 'dry_run 163 0 163 163 t t', 'a dry run goes before force');
SELECT pg_temp.refuses($$SELECT * FROM fn_iu_three_axis_envelope_refresh_if_stale('a', NULL, false)$$, '23514',
  'iu_envelope_dry_run', 'p_dry_run must not be NULL');
SELECT pg_temp.refuses($$SELECT * FROM fn_iu_three_axis_envelope_refresh_if_stale('a', false, NULL)$$, '23514',
  'iu_envelope_force', 'p_force must not be NULL');
DELETE FROM iu_three_axis_envelope WHERE canonical_address IN ('note/n7', 'note/n8');
INSERT INTO iu_three_axis_envelope SELECT gen_random_uuid(), 'gone', unit_kind, section_type, lifecycle_status,
  axis_a_doc_code, axis_a_sort_order, axis_a_section_code, axis_b_tags, axis_b_tags_by_source, axis_c_parent_id,
  axis_c_depth, axis_c_ancestors, axis_c_ancestor_addresses, created_at, updated_at, refreshed_at, refreshed_by
  FROM iu_three_axis_envelope WHERE canonical_address = 'note/n9';
SELECT is(pg_temp.refresh('dry', true), 'dry_run 163 1 163 162 f f', 'a dry run says how many rows would be deleted');
SELECT is(pg_temp.refresh('real'), 'refreshed 163 1 163 163 f t', 'a row that no unit has is deleted');
SELECT is((SELECT concat_ws(' ', written_count, view_count_pre, table_count_pre, table_count_post,
    drift_pre ->> 'missing_in_table', drift_pre ->> 'missing_in_view', drift_post ->> 'in_sync',
    finished_at > started_at) FROM iu_three_axis_envelope_refresh_log ORDER BY id DESC LIMIT 1),
  '3 163 162 163 2 1 true t', 'the log tells what was written and how the envelope stood before and afterwards');
SELECT ok((SELECT bool_and(started_at = finished_at) FROM iu_three_axis_envelope_refresh_log
    WHERE outcome <> 'refreshed' AND actor ~ '^(iu_220|both|dry)'), 'a call that did nothing ends when it began');
SELECT is(pg_temp.as_role('iu_core_operator', $$SELECT outcome FROM fn_iu_three_axis_envelope_refresh_if_stale('op')$$),
  'skipped_in_sync', 'an operator may refresh');
SELECT alike(pg_temp.as_role(r, $$SELECT outcome FROM fn_iu_three_axis_envelope_refresh_if_stale('x')$$), '42501%',
  format('%s may not refresh', r)) FROM unnest(ARRAY['iu_core_reader', 'iu_core_writer', 'iu_core_agent']) r;
GRANT EXECUTE ON FUNCTION fn_iu_three_axis_envelope_refresh_if_stale TO iu_core_reader;
SELECT alike(pg_temp.as_role('iu_core_reader', $$SELECT outcome FROM fn_iu_three_axis_envelope_refresh_if_stale('x')$$),
  '42501 role iu_core_reader may not refresh the envelope', 'EXECUTE alone lets nobody refresh');
REVOKE EXECUTE ON FUNCTION fn_iu_three_axis_envelope_refresh_if_stale FROM iu_core_reader;
SAVEPOINT clock;
UPDATE iu_three_axis_envelope_refresh_log SET started_at = now() + interval '1 h', finished_at = now() + interval '1 h';
SELECT count(*) FROM fn_iu_three_axis_envelope_refresh_if_stale('after the clock');
SELECT is((SELECT last_actor FROM v_iu_three_axis_envelope_refresh_status), 'after the clock',
  'the last refresh is the last one, also where the clock was put back');
ROLLBACK TO clock;
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT cache_healthy FROM v_iu_three_axis_envelope_refresh_status'),
  'true',
  'a reader reads the status');
SAVEPOINT empty_log;
DELETE FROM iu_three_axis_envelope_refresh_log;
SELECT is((SELECT count(*) || ' ' || bool_and(cache_healthy)::text || ' ' || count(last_actor)
    FROM v_iu_three_axis_envelope_refresh_status), '1 false 0',
  'while nobody has called yet the status has one row, and the cache is not healthy');
ROLLBACK TO empty_log;

-- ---- exactly four objects, and back

SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(22)', '55006', 'would be lost',
  'a rollback is refused while the log has rows');
DELETE FROM iu_three_axis_envelope_refresh_log;
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(22)', '55006', 'currently OPEN',
  'a rollback is refused while the gate is open');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
CREATE TEMPORARY TABLE inventory AS SELECT * FROM iu_core.object_inventory();
SELECT count(*) AS steps FROM iu_core.rollback(22, false, true) \gset
SELECT set_eq('SELECT change, object_class, object_name FROM iu_core.migrate(23, true)',
  $$VALUES ('added', 'table', 'iu_three_axis_envelope_refresh_log'),
           ('added', 'view', 'v_iu_three_axis_envelope_refresh_status'),
           ('added', 'function', 'fn_iu_three_axis_envelope_refresh_if_stale(text,boolean,boolean)'),
           ('added', 'config', 'iu_core.three_axis_auto_refresh_enabled')$$,
  'a dry run from 022 reports one table, one view, one function and one configuration, added, and nothing else');
SELECT is((SELECT count(*) FROM iu_three_axis_envelope), 163::bigint, 'the rollback of 023 leaves the envelope');
SELECT count(*) AS steps FROM iu_core.migrate() \gset
SELECT bag_eq('SELECT * FROM iu_core.object_inventory()', 'SELECT * FROM inventory',
  'down and up again every object is what it was');
SELECT is((SELECT string_agg(coalesce(expected, found) || ' ' || detail, '; ') FROM fn_iu_conformance() WHERE NOT ok),
  NULL, 'afterwards the database conforms');
SELECT finish();
ROLLBACK;
