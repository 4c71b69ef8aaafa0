-- 020: the three-axis view, and that its three forms give the same rows.
\ir setup.psql
SELECT no_plan();

SELECT is((SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, NULL)), ', ' ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = 'v_ui_iu_three_axis_envelope'::regclass AND a.attnum > 0),
  'unit_id uuid, canonical_address text, unit_kind text, section_type text, lifecycle_status text, '
  'axis_a_doc_code text, axis_a_sort_order integer, axis_a_section_code text, axis_b_tags jsonb, '
  'axis_b_tags_by_source jsonb, axis_c_parent_id uuid, axis_c_depth integer, axis_c_ancestors uuid[], '
  'axis_c_ancestor_addresses text[], created_at timestamp with time zone, updated_at timestamp with time zone',
  'the view has its 16 columns in their order');

-- ---- down and up. Nothing is lost with 020, so units and their tags are no obstacle to a rollback.

SELECT fn_iu_create(a, 'T', 'text', 'wim') ->> 'status' AS created FROM unnest(ARRAY['v1', 'v2']) a;
SELECT fn_iu_tag_register('topic:v', 'topic', 'V', 'wim', 'r'), fn_iu_tag_set('v1', 'topic:v', 'confirmed', 1, 'wim');
CREATE TEMPORARY TABLE inventory AS SELECT * FROM iu_core.object_inventory();
CREATE TEMPORARY TABLE seen AS SELECT * FROM v_ui_iu_three_axis_envelope;
CREATE TEMPORARY TABLE unit AS SELECT * FROM information_unit;
CREATE TEMPORARY TABLE tag AS SELECT * FROM iu_metadata_tag;
SELECT count(*) AS steps FROM iu_core.rollback(20, false, true) \gset
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.retention_enabled';
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(19)', '55006', 'currently OPEN',
  'a rollback is refused while a gate is open');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.retention_enabled';
CREATE VIEW pg_temp.mine AS SELECT canonical_address FROM v_ui_iu_three_axis_envelope;
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(19)', '2BP01',
  'cannot drop view public.v_ui_iu_three_axis_envelope because other objects depend on it',
  'a rollback is refused while a view of somebody stands on the three-axis view');
SELECT is((SELECT count(*) FROM pg_temp.mine), 2::bigint, 'that view reads on');
DROP VIEW pg_temp.mine;
SELECT set_eq('SELECT change, object_class, object_name, rows_lost FROM iu_core.rollback(19)',
  $$VALUES ('removed', 'view', 'v_ui_iu_three_axis_envelope', NULL::bigint),
           ('removed', 'view', 'iu.v_iu_three_axis_rows', NULL),
           ('removed', 'function', 'iu.fn_iu_three_axis_envelope_rows()', NULL),
           ('removed', 'function', 'iu.fn_iu_three_axis_envelope_rows_of(uuid[])', NULL)$$,
  'a rollback takes two views and two functions, and no row is lost, whatever units and tags there are');
SELECT bag_eq('SELECT * FROM information_unit', 'SELECT * FROM unit', 'every unit stays');
SELECT bag_eq('SELECT * FROM iu_metadata_tag', 'SELECT * FROM tag', 'and every tag');
SELECT count(*) AS steps FROM iu_core.migrate() \gset
SELECT bag_eq('SELECT * FROM iu_core.object_inventory()', 'SELECT * FROM inventory',
  'down and up again every object is what it was');
SELECT bag_eq('SELECT * FROM v_ui_iu_three_axis_envelope', 'SELECT * FROM seen', 'and the view has the same rows');
SET LOCAL app.canonical_writer = 'fn_iu_create';
SET CONSTRAINTS ALL IMMEDIATE;
DELETE FROM iu_metadata_tag WHERE assigned_by = 'wim';
DELETE FROM iu_tree_path;
SET LOCAL session_replication_role = replica;
DELETE FROM unit_version;
DELETE FROM iu_birth_record;
DELETE FROM information_unit;

-- Units without their rules: only what the view reads.
SET LOCAL session_replication_role = replica;
ALTER TABLE information_unit DISABLE TRIGGER USER;
CREATE FUNCTION pg_temp.unit(p_n int, p_parent int, p_status text DEFAULT 'draft', p_deleted boolean DEFAULT false)
  RETURNS void LANGUAGE sql AS $$
  INSERT INTO information_unit (id, canonical_address, unit_kind, section_type, lifecycle_status, owner_ref,
      parent_or_container_ref, created_by, updated_by, doc_code, sort_order, section_code, deleted_at)
    VALUES (('00000000-0000-4000-8000-' || lpad(p_n::text, 12, '0'))::uuid, 'u' || p_n, 'law_unit', 'article', p_status,
      'o', ('00000000-0000-4000-8000-' || lpad(p_parent::text, 12, '0'))::uuid, 'c', 'c', 'D', p_n, 's' || p_n,
      CASE WHEN p_deleted THEN now() END) $$;
CREATE FUNCTION pg_temp.tag(p_n int, p_key text, p_source text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO iu_metadata_tag (unit_id, tag_key, enrichment_source, assigned_by)
    VALUES (('00000000-0000-4000-8000-' || lpad(p_n::text, 12, '0'))::uuid, p_key, p_source, 't') $$;
INSERT INTO iu_metadata_tag_registry (tag_key, tag_kind, label, registered_by)
  VALUES ('b', 'topic', 'b', 't'), ('a', 'topic', 'a', 't'), ('B', 'topic', 'B', 't'), ('z', 'kind', 'z', 't'),
         ('ä', 'topic', 'ä', 't');
SELECT pg_temp.unit(1, NULL), pg_temp.unit(2, 1), pg_temp.unit(3, 2, 'retired'), pg_temp.unit(4, 3, 'deprecated'),
  pg_temp.unit(5, 2, 'draft', true), pg_temp.unit(6, 5);
SELECT pg_temp.tag(3, k, s) FROM (VALUES ('b', 'derived'), ('a', 'confirmed'), ('B', 'derived'), ('a', 'derived'),
  ('z', 'inferred'), ('ä', 'derived')) v (k, s);

SELECT is((SELECT string_agg(canonical_address, ' ' ORDER BY canonical_address) FROM v_ui_iu_three_axis_envelope),
  'u1 u2 u3 u4 u6', 'the view has every unit but one that is deleted, in whatever status');
SELECT is((SELECT axis_b_tags FROM v_ui_iu_three_axis_envelope WHERE canonical_address = 'u3')::text,
  '{"kind": ["z"], "topic": ["B", "a", "b", "ä"]}',
  'tags are grouped by kind, each once, in the order of their bytes');
SELECT is((SELECT axis_b_tags_by_source FROM v_ui_iu_three_axis_envelope WHERE canonical_address = 'u3')::text,
  '{"derived": ["B", "a", "b", "ä"], "inferred": ["z"], "confirmed": ["a"]}', 'tags are grouped by source');
SELECT is((SELECT axis_b_tags::text || axis_b_tags_by_source FROM v_ui_iu_three_axis_envelope
    WHERE canonical_address = 'u1'), '{}{}', 'a unit without tags has empty objects');
SELECT is((SELECT concat_ws(' ', axis_c_depth, axis_c_ancestor_addresses, cardinality(axis_c_ancestors))
    FROM v_ui_iu_three_axis_envelope WHERE canonical_address = 'u4'), '3 {u1,u2,u3} 3',
  'the units above a unit are listed from the outermost on, without itself');
SELECT is((SELECT axis_c_ancestor_addresses FROM v_ui_iu_three_axis_envelope WHERE canonical_address = 'u6'),
  '{u1,u2,u5}', 'a deleted unit is still above those that are part of it');
INSERT INTO iu_tree_path (unit_id, root_unit_id, depth, path_ids, path_addresses, path_hash)
  SELECT id, id, 0, ARRAY[id], ARRAY['wrong'], 'wrong' FROM information_unit WHERE canonical_address = 'u4';
SELECT is((SELECT axis_c_depth FROM v_ui_iu_three_axis_envelope WHERE canonical_address = 'u4'), 3,
  'a stale path does not hide how deep a unit is');

-- ---- long chains and circles

SELECT pg_temp.unit(100 + n, CASE WHEN n > 0 THEN 99 + n END) FROM generate_series(0, 80) n;
SELECT is((SELECT concat_ws(' ', axis_c_depth, axis_c_ancestor_addresses[1], axis_c_ancestor_addresses[64])
    FROM v_ui_iu_three_axis_envelope WHERE canonical_address = 'u180'), '64 u116 u179',
  'of more than 64 units above, the 64 nearest are listed');
SELECT pg_temp.unit(200, NULL), pg_temp.unit(201, 200), pg_temp.unit(202, 201), pg_temp.unit(203, 202);
UPDATE information_unit SET parent_or_container_ref = (SELECT id FROM information_unit WHERE canonical_address = 'u202')
 WHERE canonical_address = 'u200';
SELECT is((SELECT string_agg(axis_c_ancestor_addresses::text, ' ' ORDER BY canonical_address)
    FROM v_ui_iu_three_axis_envelope WHERE canonical_address ~ '^u20.$'),
  '{u201,u202} {u202,u200} {u200,u201} {u200,u201,u202}', 'on a circle each unit is above another one once');

CREATE FUNCTION pg_temp.differ() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM ((SELECT * FROM v_ui_iu_three_axis_envelope EXCEPT ALL
                         SELECT * FROM iu.fn_iu_three_axis_envelope_rows())
              UNION ALL (SELECT * FROM iu.fn_iu_three_axis_envelope_rows() EXCEPT ALL
                         SELECT * FROM v_ui_iu_three_axis_envelope)) AS x $$;
SELECT is(pg_temp.differ(), 0::bigint, 'both forms of the view agree on chains, circles, tags and deleted units');
-- Of some units: of every third, of units that are not there, and of one that is named twice.
CREATE FUNCTION pg_temp.differ_of() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_ids CONSTANT uuid[] := ARRAY(SELECT u.id FROM information_unit u WHERE u.sort_order % 3 = 0)
    || ARRAY(SELECT u.id FROM information_unit u WHERE u.sort_order = 3) || ARRAY[gen_random_uuid(), NULL];
BEGIN
  RETURN (SELECT count(*) FROM ((SELECT * FROM v_ui_iu_three_axis_envelope WHERE axis_a_sort_order % 3 = 0 EXCEPT ALL
                                 SELECT * FROM iu.fn_iu_three_axis_envelope_rows_of(v_ids))
                      UNION ALL (SELECT * FROM iu.fn_iu_three_axis_envelope_rows_of(v_ids) EXCEPT ALL
                                 SELECT * FROM v_ui_iu_three_axis_envelope WHERE axis_a_sort_order % 3 = 0)) AS x);
END $$;
SELECT is(pg_temp.differ_of(), 0::bigint, 'so does the form that has the rows of some units');
SELECT is((SELECT count(*) FROM iu.fn_iu_three_axis_envelope_rows_of('{}')), 0::bigint,
  'it has no row where no unit is asked for');

-- ---- random trees

CREATE FUNCTION pg_temp.grow(p_seed double precision, p_units int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM iu_tree_path;
  DELETE FROM iu_metadata_tag;
  DELETE FROM information_unit;
  PERFORM setseed(p_seed);
  PERFORM pg_temp.unit(n, CASE WHEN random() < 0.9 THEN 1 + floor(random() * p_units)::int END,
      (ARRAY['draft', 'enacted', 'retired'])[1 + floor(random() * 3)::int], random() < 0.1)
     FROM generate_series(1, p_units) n;
  UPDATE information_unit SET parent_or_container_ref = NULL WHERE parent_or_container_ref = id;
  INSERT INTO iu_metadata_tag (unit_id, tag_key, enrichment_source, assigned_by)
    SELECT u.id, r.tag_key, s.source, 't'
      FROM information_unit u CROSS JOIN iu_metadata_tag_registry r
      CROSS JOIN (VALUES ('derived'), ('confirmed')) s (source)
     WHERE random() < 0.3;
END $$;
ALTER TABLE information_unit DROP CONSTRAINT information_unit_parent_chk;
SELECT is((SELECT count(*) FROM (SELECT pg_temp.grow(n / 20.0, 10 * n)) x) + pg_temp.differ(), 1::bigint,
  format('both forms of the view agree on random tree %s, circles and all', n)) FROM generate_series(1, 6) n;
SELECT is((SELECT count(*) FROM (SELECT pg_temp.grow(n / 30.0, 10 * n)) x) + pg_temp.differ_of(), 1::bigint,
  format('of some units as well, on random tree %s', n)) FROM generate_series(7, 10) n;

-- ---- rights, and taking it back

SELECT ok(has_table_privilege('iu_core_reader', 'v_ui_iu_three_axis_envelope', 'SELECT')
  AND NOT has_table_privilege('iu_core_writer', 'v_ui_iu_three_axis_envelope', 'SELECT'),
  'readers read the view');
SELECT finish();
ROLLBACK;
