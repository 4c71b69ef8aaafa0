-- 017: the paths of units follow their parents, and nothing makes a cycle.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

-- The tree as lines of addresses; and how many paths are not as they should be.
CREATE FUNCTION pg_temp.paths(p_like text DEFAULT '%') RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(array_to_string(path_addresses, '/'), ' '
                    ORDER BY array_to_string(path_addresses, '/') COLLATE "C")
    FROM iu_tree_path WHERE path_addresses[1] LIKE p_like $$;
CREATE FUNCTION pg_temp.wrong() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM v_iu_tree_path_check WHERE left_value IS DISTINCT FROM right_value $$;
CREATE FUNCTION pg_temp.child(p_address text, p_parent text) RETURNS text LANGUAGE sql AS $$
  SELECT fn_iu_create(p_address, 't', 'b', 'wim', p_parent_ref => pg_temp.id_of(p_parent)) ->> 'status' $$;

SELECT pg_temp.child('a', NULL), pg_temp.child('z', NULL);
SELECT pg_temp.child('b', 'a');
SELECT pg_temp.child('c', 'b'), pg_temp.child('d', 'b');
SELECT is(pg_temp.paths(), 'a a/b a/b/c a/b/d z', 'a unit has its path when it is created');
SELECT fn_iu_import('[{"canonical_address": "g", "title": "t", "body": "b", "parent_address": "f"},
  {"canonical_address": "f", "title": "t", "body": "b", "parent_address": "e", "sort_order": 7},
  {"canonical_address": "e", "title": "t", "body": "b", "parent_address": "c"},
  {"canonical_address": "h", "title": "t", "body": "b"}]', 'wim', false);
SELECT is(pg_temp.paths('a'), 'a a/b a/b/c a/b/c/e a/b/c/e/f a/b/c/e/f/g a/b/d',
  'units that come in one statement have theirs, whatever their order');
SELECT results_eq($$SELECT root_unit_id = pg_temp.id_of('a'), parent_id = pg_temp.id_of('e'), depth, sibling_order,
    path_ids[1] = pg_temp.id_of('a') AND path_ids[5] = pg_temp.id_of('f'),
    path_hash = fn_content_hash(array_to_string(path_ids, '/')) FROM iu_tree_path WHERE unit_id = pg_temp.id_of('f')$$,
  $$VALUES (true, true, 4, 7, true, true)$$, 'a path has root, parent, depth, place and digest');

-- ---- moved, renamed

SET LOCAL app.canonical_writer = 'fn_iu_structure_op';
UPDATE information_unit SET parent_or_container_ref = pg_temp.id_of('z') WHERE canonical_address = 'c';
SELECT is(pg_temp.paths(), 'a a/b a/b/d h z z/c z/c/e z/c/e/f z/c/e/f/g', 'what is below a unit moves with it');
UPDATE information_unit SET canonical_address = 'C' WHERE canonical_address = 'c';
SELECT is(pg_temp.paths('z'), 'z z/C z/C/e z/C/e/f z/C/e/f/g', 'an address that changes does so in all paths below');
UPDATE information_unit SET parent_or_container_ref = NULL WHERE canonical_address = 'e';
SELECT is(pg_temp.paths('e'), 'e e/f e/f/g', 'a unit becomes a root');
UPDATE information_unit SET sort_order = 3 WHERE canonical_address = 'f';
SELECT is((SELECT sibling_order FROM iu_tree_path WHERE unit_id = pg_temp.id_of('f')), 3,
  'a place that changes does so here');
-- Ancestor and descendant in one statement, and two trees that change places.
UPDATE information_unit
   SET parent_or_container_ref = pg_temp.id_of(CASE canonical_address WHEN 'e' THEN 'h' ELSE 'd' END)
 WHERE canonical_address IN ('e', 'g');
SELECT is(pg_temp.paths(), 'a a/b a/b/d a/b/d/g h h/e h/e/f z z/C', 'several units move in one statement');
SELECT is(pg_temp.wrong(), 0::bigint, 'every path is the one by its parents');
SELECT is((SELECT count(*) FROM iu_tree_path WHERE valid_to IS NOT NULL), 0::bigint, 'no path has ended');
DELETE FROM unit_version WHERE unit_id = pg_temp.id_of('g');
DELETE FROM information_unit WHERE canonical_address = 'g';
SELECT is(pg_temp.paths('a'), 'a a/b a/b/d', 'a path goes with its unit');
SELECT pg_temp.refuses('DELETE FROM information_unit WHERE canonical_address = ''b''',
  CASE WHEN current_setting('server_version_num')::integer >= 180000 THEN '23001' ELSE '23503' END, 'fk_iu_parent',
  'a unit with units below it is not deleted');

-- ---- cycles

SELECT pg_temp.refuses(s, '23514', n, 'a cycle is refused: ' || s)
  FROM (VALUES ('UPDATE information_unit SET parent_or_container_ref = pg_temp.id_of(''d'') '
    'WHERE canonical_address = ''a''', 'iu_tree_cycle'),
  ('UPDATE information_unit SET parent_or_container_ref = id WHERE canonical_address = ''a''',
   'information_unit_parent_chk'),
  ('UPDATE information_unit SET parent_or_container_ref = pg_temp.id_of(CASE canonical_address WHEN ''a'' THEN ''z'' '
   'ELSE ''a'' END) WHERE canonical_address IN (''a'', ''z'')', 'iu_tree_cycle')) AS v (s, n);
SELECT pg_temp.refuses($$WITH u AS (SELECT gen_random_uuid() AS x, gen_random_uuid() AS y)
  INSERT INTO information_unit (id, canonical_address, unit_kind, owner_ref, created_by, updated_by,
    parent_or_container_ref, identity_profile)
  SELECT i.id, i.a, 'law_unit', 'o', 'c', 'c', i.p, '{"title": "t", "owner_lookup_ref": "o",
    "primary_section_type_ref": "article"}' FROM u, LATERAL (VALUES (u.x, 'x', u.y), (u.y, 'y', u.x)) i (id, a, p)$$,
  '23514', 'iu_tree_cycle', 'a cycle that comes in with one statement is refused');
SELECT is(pg_temp.paths(), 'a a/b a/b/d h h/e h/e/f z z/C', 'what was refused changed no path');

-- ---- how deep a tree may be

CREATE FUNCTION pg_temp.insert_chain(p_name text, p_length int, p_top uuid DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
  WITH n AS (SELECT i, gen_random_uuid() AS id FROM generate_series(1, p_length) i)
  INSERT INTO information_unit (id, canonical_address, unit_kind, owner_ref, created_by, updated_by,
      parent_or_container_ref, identity_profile)
    SELECT n.id, p_name || n.i, 'law_unit', 'o', 'c', 'c', CASE n.i WHEN 1 THEN p_top ELSE a.id END,
      '{"title": "t", "owner_lookup_ref": "o", "primary_section_type_ref": "article"}'
      FROM n LEFT JOIN n a ON a.i = n.i - 1 $$;
CREATE FUNCTION pg_temp.move(p_what text, p_under text) RETURNS void LANGUAGE sql AS $$
  UPDATE information_unit SET parent_or_container_ref = pg_temp.id_of(p_under) WHERE canonical_address = p_what $$;
SELECT pg_temp.insert_chain('k', 60);
SELECT pg_temp.refuses(s, '23514', 'iu_tree_depth', 'more than 64 units above one are refused: ' || what)
  FROM (VALUES ('in one statement', 'SELECT pg_temp.insert_chain(''x'', 66)'),
  ('in one statement, of 3000', 'SELECT pg_temp.insert_chain(''x'', 3000)'),
  ('in one statement below another', 'SELECT pg_temp.insert_chain(''x'', 6, pg_temp.id_of(''k60''))'),
  ('moved with what is below it', 'SELECT pg_temp.insert_chain(''x'', 6), pg_temp.move(''x1'', ''k60'')')) v (what, s);
SELECT pg_temp.insert_chain('l', 5, pg_temp.id_of('k60'));
SELECT is((SELECT max(depth) FROM iu_tree_path), 64, '64 are not');
SELECT pg_temp.refuses('SELECT pg_temp.insert_chain(''x'', 1, pg_temp.id_of(''l5''))', '23514', 'iu_tree_depth',
  'more than 64 units above one are refused: one by itself');
SELECT pg_temp.refused('fn_iu_create(''x'', ''t'', ''b'', ''wim'', p_parent_ref => pg_temp.id_of(''l5''))',
  'tree_too_deep', 'parent_ref', 'a unit is not created below one that has 64 above it');
SELECT pg_temp.refused('fn_iu_create_plan(''x'', ''t'', ''b'', ''wim'', p_parent_ref => pg_temp.id_of(''l5''))',
  'tree_too_deep', 'parent_ref', 'nor planned');
DELETE FROM iu_tree_path WHERE unit_id = pg_temp.id_of('l5');
SELECT pg_temp.refuses('SELECT pg_temp.insert_chain(''x'', 2, pg_temp.id_of(''l5''))', '23514', 'iu_tree_depth',
  'nor where the path of the unit above was lost');
SELECT fn_iu_tree_path_refresh(ARRAY[pg_temp.id_of('l5')]);
-- As it came with a dump of before there was a bound.
SET LOCAL session_replication_role = replica;
SELECT pg_temp.insert_chain('old', 80);
SET LOCAL session_replication_role = origin;
SELECT is((SELECT max(depth) FROM iu_tree_path), 79, 'a tree of before that is deeper is taken over');
DELETE FROM iu_tree_path WHERE path_addresses[1] = 'old1';
SELECT is(fn_iu_tree_path_refresh(ARRAY[pg_temp.id_of('old1')]), '{"ok": true, "units": 80}',
  'its paths are built anew');
UPDATE information_unit SET sort_order = 3 WHERE canonical_address = 'old80';
UPDATE information_unit SET canonical_address = 'renamed' WHERE canonical_address = 'old2';
SELECT is((SELECT path_addresses[2] FROM iu_tree_path WHERE unit_id = pg_temp.id_of('old80')), 'renamed',
  'what is in it changes its place and its address');
SELECT pg_temp.refuses('SELECT pg_temp.move(''old1'', ''z'')', '23514', 'iu_tree_depth', 'it becomes no deeper');
SELECT pg_temp.refused(format('fn_iu_create(''x'', ''t'', ''b'', ''wim'', p_parent_ref => %L)', pg_temp.id_of(a)),
  'tree_too_deep', 'parent_ref', 'nothing is created deep in it, below ' || a)
  FROM unnest(ARRAY['old65', 'old70', 'old80']) a;
SELECT lives_ok('SELECT pg_temp.move(''old10'', ''renamed'')', 'and its parts move to where they are less deep');
SELECT is((SELECT depth FROM iu_tree_path WHERE unit_id = pg_temp.id_of('old80')), 72, 'with what is below them');
SELECT is(pg_temp.wrong(), 0::bigint, 'every path is the one by its parents there too');
DELETE FROM information_unit WHERE created_by = 'c';
SELECT is(pg_temp.paths(), 'a a/b a/b/d h h/e h/e/f z z/C', 'the tree is as it was');

-- ---- damaged, and mended

SELECT is((SELECT array_agg(verdict) FROM fn_iu_invariant_check(c)), ARRAY['pass'], c || ' passes')
  FROM unnest(ARRAY['iu.tree_path_true', 'iu.no_cycle']) c;
UPDATE iu_tree_path SET depth = 2, path_ids = path_ids[1] || path_ids, path_addresses = 'a'::text || path_addresses,
  path_hash = 'x' WHERE unit_id = pg_temp.id_of('b');
DELETE FROM iu_tree_path WHERE unit_id = pg_temp.id_of('z');
SELECT is((SELECT keys FROM fn_iu_invariant_check('iu.tree_path_true')), ARRAY['b', 'z'],
  'the invariant finds a path that is wrong and one that is missing');
SELECT pg_temp.child('z1', 'z');
SELECT is(pg_temp.paths('z'), 'z z/C z/z1',
  'below a unit whose path was lost a unit has its path, and so has the unit');
SELECT is(fn_iu_tree_path_refresh(ARRAY[pg_temp.id_of('a')]), '{"ok": true, "units": 3}', 'paths are built anew');
SELECT is(pg_temp.wrong(), 0::bigint, 'and are right then');
SELECT is(fn_iu_tree_path_refresh(NULL), '{"ok": true, "units": 9}', 'of all units as well');
SET CONSTRAINTS ALL IMMEDIATE;
SET LOCAL session_replication_role = replica;
ALTER TABLE information_unit DISABLE TRIGGER trg_iu_axis_path_update;
UPDATE information_unit SET parent_or_container_ref = pg_temp.id_of('d') WHERE canonical_address = 'a';
ALTER TABLE information_unit ENABLE ALWAYS TRIGGER trg_iu_axis_path_update;
SET LOCAL session_replication_role = origin;
SELECT is((SELECT right_value FROM v_iu_tree_cycle), 3::bigint, 'units on a cycle are counted');
SELECT is((SELECT verdict FROM fn_iu_invariant_check('iu.no_cycle')), 'fail', 'and the invariant fails');
SELECT pg_temp.refuses('SELECT fn_iu_tree_path_refresh(ARRAY[pg_temp.id_of(''b'')])', '23514', 'iu_tree_cycle',
  'a refresh of a unit on a cycle is refused');
SELECT is((SELECT array_agg(canonical_address) FROM fn_iu_subtree(pg_temp.id_of('b'))), ARRAY['b', 'd', 'a'],
  'a subtree on a cycle ends');
UPDATE information_unit SET parent_or_container_ref = NULL WHERE canonical_address = 'a';
SELECT is(pg_temp.wrong(), 0::bigint, 'a cycle is undone by giving one of its units another parent');

-- ---- read

SELECT pg_temp.child('C1', 'C'), pg_temp.child('z0', 'z');
UPDATE information_unit SET sort_order = 2 WHERE canonical_address = 'z1';
UPDATE information_unit SET sort_order = 1, deleted_at = now() WHERE canonical_address = 'C';
SET LOCAL app.canonical_writer = '';
SELECT results_eq($$SELECT canonical_address, depth, array_to_string(path_addresses, '/')
    FROM fn_iu_subtree(pg_temp.id_of('z'))$$,
  $$VALUES ('z', 0, 'z'), ('C1', 2, 'z/C/C1'), ('z1', 1, 'z/z1'), ('z0', 1, 'z/z0')$$,
  'a subtree is read in order, siblings by place and then address, without what is deleted');
SELECT is((SELECT count(*) FROM v_iu_tree), (SELECT count(*) FROM information_unit), 'the tree has every unit');
SELECT is(pg_temp.login(r, 'fn_iu_tree_path_refresh(NULL)'),
  '42501 permission denied for function fn_iu_tree_path_refresh', r || ' does not build paths')
  FROM unnest(ARRAY['iu_test_wim', 'iu_test_robot', 'iu_test_rita']) r;
SELECT finish();
ROLLBACK;
