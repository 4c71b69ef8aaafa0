-- 024: whoever may write units, the envelope follows while its gate is open, and is
-- marked while it is closed: a role with nothing but rights on the tables, as the
-- login of a Directus has them; an operator with the marker. Who is refused changes
-- neither.
\ir setup.psql
\ir 022_loader_a.psql
SELECT no_plan();
-- However slow the machine is.
SET LOCAL iu_core.envelope_timeout = '10min';
-- A vacuum that waits for a GRANT of this transaction would keep the test waiting.
LOCK TABLE information_unit, unit_version, iu_metadata_tag IN ACCESS EXCLUSIVE MODE;
CREATE ROLE iu_test_directus LOGIN;
CREATE ROLE iu_test_dmlop LOGIN IN ROLE iu_core_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON information_unit, unit_version, iu_metadata_tag
  TO iu_test_directus, iu_test_dmlop;

-- What somebody who logged in writes with a marker, the gateway in a mode and the gate at a value: how many rows it
-- touched, or the error; whether the envelope is the view afterwards; which units are marked; and the error log of the
-- trigger. Then all is undone.
CREATE FUNCTION pg_temp.writes(p_login text, p_marker text, p_mode text, p_gate text, p_sql text) RETURNS text
  LANGUAGE plpgsql AS $$
DECLARE
  v_result text;
BEGIN
  UPDATE dot_config SET value = p_gate WHERE key = 'iu_core.three_axis_auto_refresh_enabled';
  UPDATE dot_config SET value = p_mode WHERE key = 'iu_create.gateway.mode';
  BEGIN
    BEGIN
      PERFORM set_config('app.canonical_writer', p_marker, true);
      EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', p_login);
      EXECUTE p_sql;
      GET DIAGNOSTICS v_result = ROW_COUNT;
      SET CONSTRAINTS ALL IMMEDIATE;
      SET LOCAL SESSION AUTHORIZATION DEFAULT;
    EXCEPTION WHEN OTHERS THEN
      v_result := SQLSTATE || ' ' || SQLERRM;
    END;
    SELECT concat_ws(', ', v_result,
        CASE WHEN fn_iu_three_axis_envelope_drift_check(true) ->> 'in_sync' = 'true' THEN 'follows' ELSE 'differs' END,
        (SELECT 'marks ' || string_agg(DISTINCT coalesce(u.canonical_address, 'all'), ' ')
           FROM iu_three_axis_envelope_mark m LEFT JOIN information_unit u ON u.id = ANY (m.unit_ids)),
        (SELECT string_agg(e.sqlerrm, '; ') FROM iu_three_axis_envelope_trigger_error_log e)) INTO v_result;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'XX000';
  EXCEPTION WHEN internal_error THEN
    NULL;
  END;
  RETURN v_result;
END $$;
CREATE FUNCTION pg_temp.blocked(p_sql text) RETURNS text LANGUAGE sql AS $$
  SELECT format('42501 IU Gateway blocked: direct write to %s not allowed, follows', CASE
    WHEN p_sql ~ '^UPDATE information_unit' THEN 'information_unit' ELSE 'unit_version' END) $$;
CREATE VIEW pg_temp.statements AS SELECT * FROM (VALUES
  ('makes a unit', 'new', $$WITH u AS (SELECT gen_random_uuid() AS id, gen_random_uuid() AS v),
     i AS (INSERT INTO information_unit (id, canonical_address, unit_kind, owner_ref, created_by, updated_by,
             identity_profile, version_anchor_ref, content_anchor_ref)
           SELECT u.id, 'new', 'law_unit', 'o', 'c', 'c', '{"title": "t", "owner_lookup_ref": "o",
                  "primary_section_type_ref": "article"}', u.v, encode(sha256('x'), 'hex') FROM u)
     INSERT INTO unit_version (id, unit_id, body, content_hash, version_seq, created_by)
     SELECT u.v, u.id, 'x', encode(sha256('x'), 'hex'), 1, 'c' FROM u$$),
  ('changes a unit', 'note/n5', $$UPDATE information_unit SET sort_order = 77 WHERE canonical_address = 'note/n5'$$),
  ('moves a unit', 'note/n7', $$UPDATE information_unit SET parent_or_container_ref =
     (SELECT id FROM information_unit WHERE canonical_address = 'note/n2') WHERE canonical_address = 'note/n7'$$),
  ('deletes a unit', 'note/n8', $$UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'note/n8'$$),
  ('changes a version', NULL, $$UPDATE unit_version SET review_state = 'seen' WHERE unit_id =
     (SELECT id FROM information_unit WHERE canonical_address = 'note/n9')$$)) AS v (what, marked, sql);

SELECT is(pg_temp.writes('iu_test_directus', '', 'prepared', 'true', s.sql), '1, follows',
  format('a role with nothing but its rights %s: with the gate open the envelope follows', s.what))
  FROM pg_temp.statements s;
SELECT is(pg_temp.writes('iu_test_directus', '', 'prepared', 'false', s.sql),
  '1, ' || coalesce('differs, marks ' || s.marked, 'follows'),
  format('a role with nothing but its rights %s: with the gate closed the envelope is marked', s.what))
  FROM pg_temp.statements s;
SELECT is(pg_temp.writes('iu_test_directus', m, 'enforced', g, s.sql), pg_temp.blocked(s.sql),
  format('a role with the marker "%s" and nothing but its rights %s, the gate being %s: refused, and nothing is marked',
    m, s.what, g))
  FROM pg_temp.statements s, unnest(ARRAY['', 'fn_iu_create']) m, unnest(ARRAY['true', 'false']) g;
SELECT is(pg_temp.writes('iu_test_dmlop', 'fn_iu_structure_op', 'enforced', 'true', s.sql), '1, follows',
  format('an operator with the marker %s: with the gate open the envelope follows', s.what))
  FROM pg_temp.statements s;
SELECT is(pg_temp.writes('iu_test_dmlop', 'fn_iu_structure_op', 'enforced', 'false', s.sql),
  '1, ' || coalesce('differs, marks ' || s.marked, 'follows'),
  format('an operator with the marker %s: with the gate closed the envelope is marked', s.what))
  FROM pg_temp.statements s;
SELECT is(pg_temp.writes('iu_test_dmlop', '', 'enforced', 'true', s.sql), pg_temp.blocked(s.sql),
  format('an operator without the marker %s: refused, and nothing is marked', s.what)) FROM pg_temp.statements s;
SELECT finish();
ROLLBACK;
