-- 022: the envelope, its marks, its tally, the refresh and what is left to the runner.
\ir setup.psql
\ir 022_loader_a.psql
SELECT no_plan();
-- However slow the machine is.
SET LOCAL iu_core.envelope_timeout = '10min';
SET LOCAL app.canonical_writer = 'fn_iu_create';

-- Addresses of the marked units, and forgets the marks.
CREATE FUNCTION pg_temp.marked() RETURNS text LANGUAGE sql AS $$
  WITH mark AS (DELETE FROM iu_three_axis_envelope_mark RETURNING unit_ids),
  gone AS (SELECT u.unit_id FROM mark m LEFT JOIN unnest(m.unit_ids) AS u (unit_id) ON true)
  SELECT string_agg(DISTINCT coalesce(u.canonical_address, e.canonical_address, g.unit_id::text, 'every unit'), ' ')
    FROM gone g LEFT JOIN information_unit u ON u.id = g.unit_id
    LEFT JOIN iu_three_axis_envelope e ON e.unit_id = g.unit_id $$;
CREATE FUNCTION pg_temp.marks(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM iu_three_axis_envelope_mark;
  EXECUTE p_sql;
  RETURN pg_temp.marked();
END $$;
CREATE FUNCTION pg_temp.drift(p_full boolean DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', d ->> 'scope', d ->> 'view_count', d ->> 'table_count', d ->> 'missing_in_table',
                   d ->> 'missing_in_view', d ->> 'content_diff_count', d ->> 'in_sync')
    FROM fn_iu_three_axis_envelope_drift_check(p_full) d $$;
CREATE FUNCTION pg_temp.refresh(p_dry_run boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.upserted_count, r.deleted_count, r.view_count, r.table_count)
    FROM fn_iu_three_axis_envelope_refresh('test', p_dry_run) r $$;

-- ---- what it is

SELECT is((SELECT count(*) FROM pg_attribute WHERE attrelid = 'iu_three_axis_envelope'::regclass AND attnum > 0),
  18::bigint,
  'the envelope has 18 columns');
SELECT results_eq($$SELECT a.attname, a.atttypid FROM pg_attribute a
    WHERE a.attrelid = 'iu_three_axis_envelope'::regclass AND a.attnum BETWEEN 1 AND 16 ORDER BY a.attnum$$,
  $$SELECT a.attname, a.atttypid FROM pg_attribute a
    WHERE a.attrelid = 'v_ui_iu_three_axis_envelope'::regclass AND a.attnum > 0 ORDER BY a.attnum$$,
  'the first 16 of them are those of the view');
SELECT bag_eq($$SELECT axis_a_doc_code, count(*) FROM iu_three_axis_envelope GROUP BY 1$$,
  $$VALUES ('DIEU-28', 27::bigint), ('DIEU-32', 23), ('DIEU-35', 36), (NULL, 77)$$, 'the loader fills it');
SELECT is(pg_temp.marked(), NULL, 'after a refresh no mark is left');
SELECT is(pg_temp.drift(), 'full 163 163 0 0 0 true', 'a small collection is compared as a whole');

-- ---- what is marked

SELECT is(pg_temp.marks($$UPDATE information_unit SET owner_ref = owner_ref$$), NULL,
  'an UPDATE that changes nothing marks nothing');
SELECT is(pg_temp.marks($$UPDATE information_unit SET lifecycle_status = 'retired' WHERE canonical_address
  = 'note/n40'$$),
  'note/n40', 'an UPDATE marks what changed');
SELECT is(pg_temp.marks($$UPDATE information_unit SET canonical_address = 'note/moved' WHERE canonical_address
  = 'note/n44'$$),
  'note/moved note/n45', 'another address marks the units below as well');
SELECT is(pg_temp.marks($$UPDATE information_unit SET parent_or_container_ref = NULL WHERE canonical_address
  = 'note/n49'$$),
  'note/n49 note/n50', 'a move marks the units below as well');
SELECT is(pg_temp.marks($$UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'note/n50'$$),
  'note/n50',
  'a unit that is deleted is marked');
SELECT is(pg_temp.marks($$UPDATE information_unit SET deleted_at = NULL WHERE canonical_address = 'note/n50'$$),
  'note/n50',
  'a unit that is restored is marked');
SELECT is(pg_temp.marks($$UPDATE iu_metadata_tag SET confidence = 0.5$$), NULL,
  'how sure a tag is marks nothing');
SELECT is(pg_temp.marks($$UPDATE iu_metadata_tag SET enrichment_source = 'confirmed' WHERE tag_key = 'sectype:heading'
    AND unit_id IN (SELECT id FROM information_unit WHERE canonical_address = 'note/n1')$$), 'note/n1',
  'another source of a tag marks its unit');
SELECT is(pg_temp.marks($$DELETE FROM iu_metadata_tag WHERE tag_key = 'sectype:heading'$$),
  'law:DIEU-28/p1 law:DIEU-32/p1 law:DIEU-35/p1 note/n1', 'a tag that is taken away marks its units');
SELECT is(pg_temp.marks($$INSERT INTO iu_metadata_tag (unit_id, tag_key, enrichment_source, assigned_by)
    SELECT id, 'sectype:heading', 'derived', 't' FROM information_unit WHERE canonical_address = 'note/n1'$$),
      'note/n1',
  'a new tag marks its unit');
SELECT is(pg_temp.marks($$UPDATE iu_metadata_tag_registry SET tag_kind = 'part' WHERE tag_key = 'sectype:heading'$$),
  'note/n1', 'another kind of a tag marks the units that have it');
SELECT is(pg_temp.marks($$UPDATE iu_metadata_tag_registry SET label = 'Heading' WHERE tag_key = 'sectype:heading'$$),
  NULL, 'another label of a tag marks nothing');
SELECT is(pg_temp.marks($$DELETE FROM iu_three_axis_envelope WHERE canonical_address = 'note/n20'$$), 'note/n20',
  'a row of the envelope that is deleted by hand marks its unit');
SELECT is(pg_temp.marks($$UPDATE iu_three_axis_envelope SET axis_c_depth = 9 WHERE canonical_address = 'note/n21'$$),
  'note/n21', 'a row that is changed by hand marks its unit');
SELECT fn_iu_three_axis_envelope_refresh('test', false);
SELECT is(pg_temp.drift(true), 'full 163 163 0 0 0 true', 'a refresh repairs all of that');
SET LOCAL ROLE iu_core_owner;
SELECT is(pg_temp.as_role('iu_core_owner', 'WITH d AS (DELETE FROM iu_three_axis_envelope
    WHERE canonical_address = ''note/n20'' RETURNING 1) SELECT count(*) FROM d'), '1', 'the owner deletes a row');
RESET ROLE;
SELECT is(pg_temp.marked(), 'note/n20', 'what the owner does by hand is marked');
SELECT is(pg_temp.marks('TRUNCATE iu_three_axis_envelope'), 'every unit', 'emptying the envelope marks every unit');
SELECT is(iu.fn_iu_envelope_count(), 0::bigint, 'by the tally the envelope is empty');
SELECT is(pg_temp.refresh(true), '163 0 163 0', 'a dry run writes nothing');
SELECT is(pg_temp.refresh(), '163 0 163 163', 'a refresh fills it');
SELECT is(iu.fn_iu_envelope_count(), 163::bigint, 'by the tally it has as many rows');

-- ---- the call of operators

SELECT pg_temp.refuses('SELECT * FROM fn_iu_three_axis_envelope_refresh('' '', false)', '23514', 'iu_actor_required',
  'a refresh needs an actor');
SELECT pg_temp.refuses('SELECT * FROM fn_iu_three_axis_envelope_refresh(''a'', NULL)', '23514', 'iu_envelope_dry_run',
  'a refresh must be told whether it is a dry run');
SELECT alike(pg_temp.as_role('iu_core_reader',
  'SELECT upserted_count FROM fn_iu_three_axis_envelope_refresh(''a'', true)'),
  '42501%', 'a reader may not refresh');
SELECT is(pg_temp.as_role('iu_core_operator',
  'SELECT upserted_count FROM fn_iu_three_axis_envelope_refresh(''a'', false)'),
  '163', 'an operator may refresh');
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT fn_iu_three_axis_envelope_drift_check() ->> ''in_sync'''), 'true',
  'a reader may ask for drift');
SELECT alike(pg_temp.as_role('iu_core_writer', 'SELECT fn_iu_three_axis_envelope_drift_check()'), '42501%',
  'a writer may not');
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT count(*) FROM iu_three_axis_envelope'), '163', 'a reader reads it');
SELECT is((SELECT string_agg(grantee || ' ' || privilege_type, ', ')
    FROM information_schema.role_table_grants WHERE table_name ~ '^iu_three_axis_envelope'
     AND privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') AND grantee <> 'iu_core_owner'), NULL,
  'nobody has rights to write the envelope, its marks and its logs');
UPDATE iu_three_axis_envelope SET axis_c_depth = 9 WHERE canonical_address = 'note/n21';
DELETE FROM iu_three_axis_envelope WHERE canonical_address = 'note/n22';
INSERT INTO iu_three_axis_envelope SELECT gen_random_uuid(), 'gone', unit_kind, section_type, lifecycle_status,
  axis_a_doc_code, axis_a_sort_order, axis_a_section_code, axis_b_tags, axis_b_tags_by_source, axis_c_parent_id,
  axis_c_depth, axis_c_ancestors, axis_c_ancestor_addresses, created_at, updated_at, refreshed_at, refreshed_by
  FROM iu_three_axis_envelope WHERE canonical_address = 'note/n23';
SELECT is(pg_temp.drift(), 'full 163 163 1 1 1 false',
  'a row too few, one too many and one that is wrong are told apart');
SELECT is(pg_temp.drift(false), 'marked 163 163 1 1 1 false', 'by the marks they are found as well');
SELECT bag_eq($$SELECT canonical_address, drift_kind FROM v_iu_three_axis_envelope_drift WHERE drift_kind <>
  'in_sync'$$,
  $$VALUES ('note/n22', 'missing_in_table'), ('gone', 'missing_in_view'), ('note/n21', 'content_diff')$$,
  'the view of drift names them');
SELECT is((SELECT concat_ws(' ', x.verdict, x.difference) FROM fn_iu_invariant_check('iu.envelope_true') x), 'fail 3',
  'the invariant finds them');
SELECT is(pg_temp.refresh(), '163 1 163 163', 'a refresh repairs them');
SELECT is((SELECT string_agg(x.code || ' ' || x.verdict, ', ' ORDER BY x.code)
    FROM unnest(ARRAY['iu.envelope_true', 'iu.envelope_units']) c CROSS JOIN LATERAL fn_iu_invariant_check(c) x),
  'iu.envelope_true pass, iu.envelope_units pass', 'afterwards both invariants pass');
SAVEPOINT triggers_off;
ALTER TABLE iu_three_axis_envelope DISABLE TRIGGER USER;
DELETE FROM iu_three_axis_envelope WHERE canonical_address = 'note/n22';
ALTER TABLE iu_three_axis_envelope ENABLE TRIGGER USER;
SELECT is(pg_temp.drift(false), 'marked 163 163 0 0 0 true',
  'what was written while triggers were off is not found by the marks');
SELECT is((SELECT verdict FROM fn_iu_invariant_check('iu.envelope_true')), 'fail', 'but an invariant finds it');
SELECT is((SELECT count(*) FROM iu_three_axis_envelope_mark WHERE unit_ids IS NULL), 1::bigint,
  'from then on there is a mark for all units');
SELECT is(pg_temp.refresh(), '163 0 163 163', 'the next refresh compares everything');
SELECT is((SELECT verdict FROM fn_iu_invariant_check('iu.envelope_true')), 'pass', 'and mends it');
SELECT is((SELECT count(*) FROM iu_three_axis_envelope_mark), 0::bigint, 'and the mark is gone');
ROLLBACK TO triggers_off;
SELECT fn_iu_surface_snapshot('s', 'op');
SELECT bag_eq($$SELECT surface_code, value FROM iu_regression_value
    WHERE snapshot_label = 's' AND surface_code ~ 'envelope'$$,
  $$VALUES ('iu_three_axis_envelope', '163'), ('envelope_documents', '3 / 86')$$, 'its surfaces have their figures');
SAVEPOINT large;
INSERT INTO iu_three_axis_envelope_tally (delta) VALUES (2000000);
SELECT ok(count(*) BETWEEN 1 AND 162, 'beyond a million units the invariant looks at a part of them')
  FROM iu.v_iu_envelope_true;
ROLLBACK TO large;

-- ---- more units than are compared as a whole

CREATE FUNCTION pg_temp.more(p_from int, p_to int) RETURNS void LANGUAGE sql AS $$
  WITH new AS MATERIALIZED (SELECT n, gen_random_uuid() AS id, gen_random_uuid() AS version_id
                              FROM generate_series(p_from, p_to) n),
  unit AS (
    INSERT INTO information_unit (id, canonical_address, unit_kind, content_anchor_ref, version_anchor_ref, owner_ref,
        identity_profile, created_by, updated_by, section_type)
      SELECT id, 'more/' || n, 'law_unit', encode(sha256('x'), 'hex'), version_id, 'o',
             '{"title": "t", "owner_lookup_ref": "o", "primary_section_type_ref": "article"}', 'c', 'c', 'article'
               FROM new)
  INSERT INTO unit_version (id, unit_id, body, content_hash, version_seq, created_by)
    SELECT version_id, id, 'x', encode(sha256('x'), 'hex'), 1, 'c' FROM new $$;
SELECT pg_temp.more(1, 1040);
SELECT is(pg_temp.drift(), 'marked 1203 163 1040 0 0 false', 'a large collection is compared by its marks');
SELECT is(pg_temp.refresh(), '1203 0 1203 1203', 'a refresh by hand serves all marks');
SELECT is(pg_temp.drift(true), 'full 1203 1203 0 0 0 true', 'afterwards nothing differs');
CREATE FUNCTION pg_temp.tags_read() RETURNS bigint LANGUAGE sql AS $$
  SELECT coalesce(s.seq_tup_read, 0) + coalesce(s.idx_tup_fetch, 0) FROM pg_stat_xact_user_tables s
   WHERE s.relid = 'public.iu_metadata_tag'::regclass $$;
UPDATE information_unit SET section_code = 'read' WHERE canonical_address ~ '^note/';
SELECT pg_temp.tags_read() AS before \gset
SELECT is(pg_temp.refresh(), '1203 0 1203 1203', 'units with tags are refreshed');
SELECT cmp_ok(pg_temp.tags_read() - :before, '<=', (SELECT count(*) FROM iu_metadata_tag),
  'for that no tag is read twice');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
UPDATE information_unit SET section_code = 'x' WHERE canonical_address ~ '^more/';
SELECT is((SELECT count(DISTINCT u) FROM iu_three_axis_envelope_mark CROSS JOIN unnest(unit_ids) AS u), 100::bigint,
  'a trigger serves marks of at most a thousand units of its statement, and the rest stay marked');
SELECT is(pg_temp.drift(), 'marked 1203 1203 0 0 100 false', 'the marks that stay say what differs');
UPDATE iu_three_axis_envelope_mark SET marked_at = clock_timestamp() + interval '50 s';
SELECT is(iu.fn_iu_envelope_chore('iu_core runner') > clock_timestamp(), true,
  'marks of the last second are left to the statement that made them');
SELECT is((SELECT count(*) FROM iu_three_axis_envelope_mark), 1::bigint, 'they are there still, in one row');
UPDATE iu_three_axis_envelope_mark SET marked_at = clock_timestamp() - interval '2 s';
SELECT is(iu.fn_iu_envelope_chore('iu_core runner'), NULL,
  'the runner comes for what is older, and need not come again');
SELECT is((SELECT count(*) FROM iu_three_axis_envelope_mark), 0::bigint, 'then no mark is left');
SELECT is((SELECT concat_ws(' ', actor, outcome, written_count) FROM iu_three_axis_envelope_refresh_log
    ORDER BY id DESC LIMIT 1), 'iu_core runner refreshed 100', 'the log says that it was the runner');
SELECT is(pg_temp.drift(true), 'full 1203 1203 0 0 0 true', 'and nothing differs');
SELECT is(iu.fn_iu_envelope_chore('iu_core runner'), NULL, 'without marks the runner need not come again');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
UPDATE information_unit SET section_code = 'y' WHERE canonical_address = 'more/1';
UPDATE information_unit SET section_code = 'z' WHERE canonical_address = 'more/1';
UPDATE iu_three_axis_envelope_mark SET marked_at = clock_timestamp() - interval '2 s';
SELECT is(iu.fn_iu_envelope_chore('iu_core runner'), NULL, 'while the gate is closed the runner serves nothing');
SELECT is((SELECT count(*) FROM iu_three_axis_envelope_mark), 1::bigint, 'and keeps one mark of each unit');
INSERT INTO iu_three_axis_envelope_mark (unit_ids) VALUES (NULL);
SELECT is(pg_temp.drift(), 'full 1203 1203 0 0 1 false', 'a mark for every unit has all compared');
SELECT is(pg_temp.refresh(), '1203 0 1203 1203', 'and a refresh takes it away');
SELECT is((SELECT count(*) FROM iu_three_axis_envelope_mark), 0::bigint, 'no mark is left');
SELECT is(iu.fn_iu_envelope_count(), (SELECT count(*) FROM iu_three_axis_envelope), 'the tally is the number of rows');
INSERT INTO iu_three_axis_envelope_tally (delta) SELECT (-1) ^ n FROM generate_series(1, 200) n;
SELECT iu.fn_iu_envelope_chore('iu_core runner');
SELECT is((SELECT count(*) || ' ' || sum(delta) FROM iu_three_axis_envelope_tally), '1 1203',
  'the runner puts the rows of the tally together');

-- ---- each filter by its index

INSERT INTO iu_three_axis_envelope SELECT gen_random_uuid(), 'f' || n, unit_kind, section_type,
  CASE WHEN n < 9 THEN 'superseded' ELSE lifecycle_status END, 'DOC-' || n / 10, n, axis_a_section_code,
  jsonb_build_object('topic', jsonb_build_array('t' || n)), axis_b_tags_by_source, gen_random_uuid(), axis_c_depth,
  axis_c_ancestors, axis_c_ancestor_addresses, created_at, updated_at, refreshed_at, refreshed_by
  FROM iu_three_axis_envelope CROSS JOIN generate_series(1, 300) n WHERE canonical_address = 'note/n2';
ANALYZE iu_three_axis_envelope;
SET LOCAL enable_seqscan = off;
CREATE FUNCTION pg_temp.plan(p_condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_plan json;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT json) SELECT * FROM iu_three_axis_envelope WHERE ' || p_condition INTO v_plan;
  RETURN v_plan::text;
END $$;
SELECT alike(pg_temp.plan(c), format('%%"Index Name": "iu_three_axis_envelope_%s"%%', i), format('%s is found by %s',
  c, i))
  FROM (VALUES ('unit_id = ''00000000-0000-4000-8000-000000000001''', 'pkey'), ('canonical_address = ''f7''',
    'address_idx'),
    ('lifecycle_status = ''superseded''', 'lifecycle_idx'),
    ('axis_a_doc_code = ''DOC-7'' ORDER BY axis_a_sort_order', 'axis_a_idx'),
    ('axis_c_parent_id = ''00000000-0000-4000-8000-000000000001''', 'parent_idx'),
    ('axis_b_tags @> ''{"topic": ["t7"]}''', 'tags_idx')) v (c, i);

SET LOCAL enable_seqscan = on;
DELETE FROM iu_three_axis_envelope WHERE canonical_address ~ '^f[0-9]';
-- ---- down and up

SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(20)', '55006', '.',
  'a rollback is refused where logs have rows');
CREATE TEMPORARY TABLE inventory AS SELECT * FROM iu_core.object_inventory();
CREATE TEMPORARY TABLE unit AS SELECT * FROM information_unit;
SELECT count(*) AS steps FROM iu_core.rollback(20, false, true) \gset
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgname ~ '^trg_iu_(envelope|three_axis)')
  + (SELECT count(*) FROM iu.hook WHERE migration = 22)
  + (SELECT count(*) FROM iu_invariant WHERE migration = 22) + (SELECT count(*) FROM iu_regression_surface
    WHERE migration = 22), 0::bigint, 'the rollback leaves no trigger, point, invariant and surface');
SELECT count(*) AS steps FROM iu_core.migrate() \gset
SELECT bag_eq('SELECT * FROM iu_core.object_inventory()', 'SELECT * FROM inventory',
  'down and up again every object is what it was');
SELECT bag_eq('SELECT * FROM information_unit', 'SELECT * FROM unit', 'and every unit');
SELECT is(pg_temp.drift(), 'full 1203 0 1203 0 0 false', 'units that were there before are marked as a whole');
SELECT is(pg_temp.refresh(), '1203 0 1203 1203', 'and a refresh serves them');
SELECT finish();
ROLLBACK;
