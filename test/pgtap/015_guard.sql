-- 015: the gateway guard, the checks at birth, what is enacted stays; a role with
-- nothing but rights on the tables.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT fn_iu_create('a', 'A', 'text', 'wim'), fn_iu_create('e', 'E', 'text', 'wim');
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
CREATE ROLE iu_test_dml LOGIN;
CREATE ROLE iu_test_dmlop LOGIN IN ROLE iu_core_operator;
CREATE ROLE iu_test_noinherit LOGIN NOINHERIT IN ROLE iu_test_dmlop;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON information_unit, unit_version TO iu_test_dml, iu_test_dmlop;

-- Runs a statement as a role that has set the marker, and tells how many rows it touched.
CREATE FUNCTION pg_temp.writes(p_login text, p_role text, p_marker text, p_sql text) RETURNS text
  LANGUAGE plpgsql AS $$
DECLARE v_result text;
BEGIN
  BEGIN
    EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', p_login);
    PERFORM set_config('role', p_role, true), set_config('app.canonical_writer', p_marker, true);
    EXECUTE p_sql;
    GET DIAGNOSTICS v_result = ROW_COUNT;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'XX000';
  EXCEPTION WHEN OTHERS THEN
    v_result := CASE SQLERRM WHEN 'undo' THEN v_result ELSE SQLSTATE || ' ' || SQLERRM END;
  END;
  RETURN v_result;
END $$;
CREATE VIEW pg_temp.statements AS SELECT * FROM (VALUES
  ('information_unit', 'INSERT', $$INSERT INTO information_unit (canonical_address, unit_kind, owner_ref, created_by,
    updated_by) VALUES ('x', 'law_unit', 'o', 'c', 'c')$$),
  ('information_unit', 'UPDATE', 'UPDATE information_unit SET sort_order = 1 WHERE canonical_address = ''a'''),
  ('information_unit', 'DELETE', 'DELETE FROM information_unit WHERE false'),
  ('information_unit', 'TRUNCATE', 'TRUNCATE information_unit, unit_version, iu_birth_record, iu_edit_draft CASCADE'),
  ('unit_version', 'INSERT', $$INSERT INTO unit_version (unit_id, body, content_hash, version_seq, created_by)
    SELECT id, 'x', encode(sha256('x'), 'hex'), 2, 'x' FROM information_unit WHERE canonical_address = 'a'$$),
  ('unit_version', 'UPDATE', 'UPDATE unit_version SET review_state = ''x'' WHERE false'),
  ('unit_version', 'DELETE', 'DELETE FROM unit_version WHERE false')) AS v (on_table, op, sql);

SELECT is(pg_temp.writes(r, 'none', '', s.sql),
  format('42501 IU Gateway blocked: direct write to %s not allowed', s.on_table),
  format('%s of %s by %s is blocked without the marker', s.op, s.on_table, r))
  FROM pg_temp.statements s, unnest(ARRAY['iu_test_dml', 'iu_test_dmlop', current_user]) r
 WHERE NOT (s.op = 'TRUNCATE' AND r <> current_user);
SELECT is(pg_temp.writes('iu_test_dml', 'none', 'fn_iu_create', s.sql),
  format('42501 IU Gateway blocked: direct write to %s not allowed', s.on_table),
  format('%s of %s by a role that merely sets the marker is blocked', s.op, s.on_table))
  FROM pg_temp.statements s WHERE s.op <> 'TRUNCATE';
SELECT is(pg_temp.writes('iu_test_dmlop', 'none', m, $$UPDATE information_unit SET sort_order = 1
    WHERE canonical_address = 'a'$$), w, 'an operator who sets the marker ' || m || ' writes, or does not')
  FROM (VALUES ('fn_iu_enact', '1'), ('fn_iu_structure_op', '1'),
  ('iu_6000x_pilot', '42501 IU Gateway blocked: direct write to information_unit not allowed'),
  ('fn_iu_create,fn_iu_enact', '42501 IU Gateway blocked: direct write to information_unit not allowed')) v (m, w);
SELECT is(pg_temp.writes('iu_test_noinherit', 'iu_test_dmlop', 'fn_iu_create',
  'UPDATE information_unit SET sort_order = 1 WHERE canonical_address = ''a'''), '1',
  'the role in force counts: a login that has set the role of an operator writes');
SELECT is(pg_temp.writes('iu_test_dmlop', 'iu_test_dml', 'fn_iu_create',
  'UPDATE information_unit SET sort_order = 1 WHERE canonical_address = ''a'''),
  '42501 permission denied to set role "iu_test_dml"', 'an operator does not become the other role');
GRANT iu_test_dml TO iu_test_dmlop;
SELECT is(pg_temp.writes('iu_test_dmlop', 'iu_test_dml', 'fn_iu_create',
  'UPDATE information_unit SET sort_order = 1 WHERE canonical_address = ''a'''),
  '42501 IU Gateway blocked: direct write to information_unit not allowed',
  'the role in force counts: an operator who has set another role does not write');
SELECT pg_temp.refuses('UPDATE information_unit SET sort_order = 1', '42501', 'iu_gateway_blocked',
  'a write that is blocked has a name for programs');
CREATE TEMP TABLE marker AS SELECT fn_iu_create('m', 'M', 'text', 'wim'), current_setting('app.canonical_writer') AS m;
SELECT is((SELECT m FROM marker), '', 'the marker does not outlive the canonical function');

-- ---- settings of the guard

UPDATE dot_config SET value = 'prepared' WHERE key = 'iu_create.gateway.mode';
SELECT is(pg_temp.writes('iu_test_dml', 'none', '',
  'UPDATE information_unit SET sort_order = 1 WHERE canonical_address = ''a'''), '1',
  'in mode prepared a role with nothing but its rights writes');
UPDATE dot_config SET value = 'Prepared' WHERE key = 'iu_create.gateway.mode';
SELECT pg_temp.refuses('UPDATE information_unit SET sort_order = 1', '42501', 'iu_gateway_blocked',
  'an unknown mode blocks');
DELETE FROM dot_config WHERE key = 'iu_create.gateway.mode';
SELECT pg_temp.refuses('UPDATE information_unit SET sort_order = 1', '42501', 'iu_gateway_blocked',
  'a missing mode blocks');
INSERT INTO dot_config (key, value) VALUES ('iu_create.gateway.mode', 'enforced');
DELETE FROM dot_config WHERE key = 'iu_create.gateway.allowed_marker_values';
SELECT is(pg_temp.writes('iu_test_dmlop', 'none', 'fn_iu_create', 'UPDATE information_unit SET sort_order = 1'),
  '42501 IU Gateway blocked: direct write to information_unit not allowed',
  'without the list of markers none passes');
INSERT INTO dot_config (key, value) VALUES ('iu_create.gateway.allowed_marker_values', 'fn_iu_create, fn_iu_enact,');

-- ---- checks at birth, for a role with nothing but its rights

UPDATE dot_config SET value = 'prepared' WHERE key = 'iu_create.gateway.mode';
CREATE FUNCTION pg_temp.born(p_change text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.writes('iu_test_dml', 'none', '', format($sql$INSERT INTO information_unit (canonical_address,
    unit_kind, owner_ref, created_by, updated_by, section_type, identity_profile)
    SELECT x ->> 'a', x ->> 'kind', 'o', 'c', 'c', x ->> 'section', x -> 'profile'
      FROM (SELECT '{"a": "x", "kind": "law_unit", "section": "article", "profile": {"title": "t",
        "owner_lookup_ref": "o", "primary_section_type_ref": "article"}}'::jsonb || %L) v (x)$sql$, p_change)) $$;
SELECT is(pg_temp.born('{}'), '1', 'a unit that is whole is born');
SELECT matches(pg_temp.born(c), '^23514 unit ''x'': ' || f || ' must be ', 'a unit is not born: ' || f)
  FROM (VALUES ('{"kind": "x"}', 'unit_kind'), ('{"section": "x"}', 'section_type'),
  ('{"section": null, "profile": {"title": "t", "owner_lookup_ref": "o", "primary_section_type_ref": "x"}}',
   'identity_profile.primary_section_type_ref'),
  ('{"profile": {"owner_lookup_ref": "o", "primary_section_type_ref": "article"}}', 'identity_profile.title'),
  ('{"profile": {"title": " ", "owner_lookup_ref": "o", "primary_section_type_ref": "article"}}',
   'identity_profile.title'),
  ('{"profile": {"title": "t", "primary_section_type_ref": "article"}}', 'identity_profile.owner_lookup_ref'),
  ('{"profile": {"title": "t", "owner_lookup_ref": "o"}}', 'identity_profile.primary_section_type_ref'),
  ('{"profile": {"title": "t", "owner_lookup_ref": "o", "primary_section_type_ref": "article",
    "publication_type_ref": "x"}}', 'publication_type_ref')) AS v (c, f);
SELECT matches(pg_temp.writes('iu_test_dml', 'none', '', $$INSERT INTO unit_version (unit_id, body, content_hash,
    version_seq, created_by) SELECT id, 'x', 'x', 9, 'x' FROM information_unit WHERE canonical_address = 'a'$$),
  '^23514 .*unit_version_content_hash_chk', 'a version whose digest is another is not written');
SELECT pg_temp.refuses(format($$UPDATE information_unit SET %s WHERE canonical_address = 'a';
    SET CONSTRAINTS ALL IMMEDIATE$$, c), '23514', m, 'at the end of a transaction ' || m)
  FROM (VALUES ('content_anchor_ref = NULL', 'it has no anchor'), ('version_anchor_ref = NULL', 'it has no anchor'),
  ('version_anchor_ref = (SELECT version_anchor_ref FROM information_unit WHERE canonical_address = ''e'')',
   'its version anchor is no version of it'),
  ('content_anchor_ref = repeat(''0'', 64)', 'its content anchor is not the content hash of its version')) v (c, m);
SELECT is(pg_temp.writes('iu_test_dml', 'none', '', $$WITH
    u AS (SELECT gen_random_uuid() AS id, gen_random_uuid() AS v),
    i AS (INSERT INTO information_unit (id, canonical_address, unit_kind, owner_ref, created_by, updated_by,
            identity_profile, version_anchor_ref, content_anchor_ref)
          SELECT u.id, 'w', 'law_unit', 'o', 'c', 'c', '{"title": "t", "owner_lookup_ref": "o",
                 "primary_section_type_ref": "article"}', u.v, encode(sha256('x'), 'hex') FROM u)
    INSERT INTO unit_version (id, unit_id, body, content_hash, version_seq, created_by)
    SELECT u.v, u.id, 'x', encode(sha256('x'), 'hex'), 1, 'c' FROM u; SET CONSTRAINTS ALL IMMEDIATE$$), '0',
  'a role with nothing but its rights writes a whole unit, and every check and trigger runs for it');

-- ---- what is enacted stays

SELECT fn_iu_enact('e', 'wim', (fn_iu_review_decision_record('enact', '{e}', 'approve', 'olga', 'fine')
  ->> 'review_decision_id')::uuid) ->> 'status' AS enacted \gset
SELECT is(:'enacted'::text, 'enacted', 'a unit is enacted');
SELECT pg_temp.refuses(s, '42501', 'iu_unit_immutable', 'in mode prepared: ' || s || ' is refused')
  FROM unnest(ARRAY['UPDATE information_unit SET sort_order = 1 WHERE canonical_address = ''e''',
  'DELETE FROM information_unit WHERE canonical_address = ''e''',
  'UPDATE unit_version SET review_state = ''x'' WHERE unit_id = pg_temp.id_of(''e'')',
  'DELETE FROM unit_version WHERE unit_id = pg_temp.id_of(''e'')']) s;
SELECT lives_ok('UPDATE information_unit SET sort_order = 1 WHERE canonical_address = ''a''',
  'in mode prepared a draft changes');
UPDATE dot_config SET value = 'enforced' WHERE key = 'iu_create.gateway.mode';
SELECT is(pg_temp.writes('iu_test_dmlop', 'none', 'fn_iu_enact',
  'UPDATE information_unit SET sort_order = sort_order WHERE canonical_address = ''e'''), '1',
  'an operator with the marker touches an enacted unit');

-- ---- updated_at

SET LOCAL app.canonical_writer = 'fn_iu_create';
UPDATE information_unit SET updated_at = '2020-01-01' WHERE canonical_address = 'a';
SELECT is((SELECT updated_at FROM information_unit WHERE canonical_address = 'a'), now(),
  'updated_at is the start of the transaction, whatever the statement says');
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE information_unit DISABLE TRIGGER trg_iu_updated_at;
UPDATE information_unit SET updated_at = '2020-01-01' WHERE canonical_address = 'a';
ALTER TABLE information_unit ENABLE ALWAYS TRIGGER trg_iu_updated_at;
UPDATE information_unit SET title = DEFAULT, sort_order = sort_order WHERE canonical_address = 'a';
SELECT is((SELECT updated_at FROM information_unit WHERE canonical_address = 'a'), '2020-01-01'::timestamptz,
  'an update that changes nothing leaves updated_at');
SELECT finish();
ROLLBACK;
