-- 015: creating units, one and many; what state a unit is in.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

-- ---- created

SELECT is(fn_content_hash('ä'), '33e6d73fee82904c8d7afb78de1154d1e8dc2a0edb08120e63df5b9385c2d9cc',
  'the digest of a text is the SHA-256 of its UTF8');
SELECT pg_temp.answers($$fn_iu_create_plan('law:1', 'Law 1', 'text', 'wim', 'law_unit', 'article')$$,
  jsonb_build_object('status', 'plan_ok', 'unit_kind', 'law_unit', 'section_type', 'article', 'owner_ref', 'wim',
    'content_hash', fn_content_hash('text')), 'a plan says what would be created, and creates nothing');
SELECT pg_temp.login('iu_test_wim',
  $$fn_iu_create('law:1', 'Law 1', 'text', 'wim', 'law_unit', 'article', 'council', 'law')$$)::jsonb AS c \gset
SELECT is(:'c'::jsonb - 'unit_id' - 'version_id', jsonb_build_object('status', 'created',
  'canonical_address', 'law:1', 'unit_kind', 'law_unit', 'lifecycle_status', 'draft',
  'content_hash', fn_content_hash('text')), 'a writer creates a unit, and is told what it is');
SELECT results_eq($$SELECT u.title, u.owner_ref, u.section_type, u.created_by, u.updated_by, u.deleted_at IS NULL,
    u.content_anchor_ref = v.content_hash, v.version_seq, v.body, v.lifecycle_status, b.born_by,
    b.session_role = 'iu_test_wim'
    FROM information_unit u JOIN unit_version v ON v.id = u.version_anchor_ref
    JOIN iu_birth_record b ON b.unit_id = u.id WHERE u.canonical_address = 'law:1'$$,
  $$VALUES ('Law 1', 'council', 'article', 'wim', 'wim', true, true, 1, 'text', 'draft', 'wim', true)$$,
  'a unit that was created has its version, both anchors and a birth record');
SELECT is((SELECT identity_profile FROM information_unit), '{"title": "Law 1", "owner_lookup_ref": "council",
  "primary_section_type_ref": "article", "publication_type_ref": "law"}', 'its profile is complete');
SELECT is((SELECT count(*) FROM iu_lifecycle_log), 0::bigint, 'creating a unit writes no row of the lifecycle');
SELECT pg_temp.answers($$fn_iu_create('law:1', 'Other', 'other', 'otto')$$,
  :'c'::jsonb || '{"status": "exists_complete"}', 'creating a unit again answers with the one that is there');
SELECT lives_ok($$SELECT fn_iu_create('law:1/p1', 'P 1', '__EMPTY__', 'wim', p_parent_ref => pg_temp.id_of('law:1'))$$,
  'a unit is created below another, and its text may be empty');
SELECT is((SELECT body || '|' || u.unit_kind || '|' || u.section_type FROM information_unit u
             JOIN unit_version v ON v.unit_id = u.id
            WHERE u.parent_or_container_ref = pg_temp.id_of('law:1')), '|design_doc_section|section',
  'an empty text is stored as such; kind and section type are the defaults');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(fn_iu_create('now', 'Now', 'text', 'wim') ->> 'status', 'created',
  'a unit is complete at the end of the statement where constraints are not deferred');
SET CONSTRAINTS ALL DEFERRED;

-- ---- refused, with nothing written

SELECT pg_temp.refused(format('fn_iu_create(%s)', v.call), 'invalid_input', v.field, 'creating is refused: ' || v.what)
  FROM (VALUES
  ('canonical_address', 'no address', $$NULL, 't', 'b', 'a'$$),
  ('canonical_address', 'a blank at the end of the address', $$'x ', 't', 'b', 'a'$$),
  ('canonical_address', 'a no-break space at the end of the address', $$E'x\u00A0', 't', 'b', 'a'$$),
  ('canonical_address', 'an accent beside its letter', $$E'e\u0301', 't', 'b', 'a'$$),
  ('canonical_address', 'an address of 401 characters', $$repeat('x', 401), 't', 'b', 'a'$$),
  ('canonical_address', 'an address of more than 1000 bytes', $$repeat('語', 350), 't', 'b', 'a'$$),
  ('canonical_address', 'an address that reads backwards', $$E'x\u202Ey', 't', 'b', 'a'$$),
  ('title', 'no title', $$'x', NULL, 'b', 'a'$$),
  ('title', 'a title of blanks', $$'x', ' ', 'b', 'a'$$),
  ('body', 'no text', $$'x', 't', NULL, 'a'$$),
  ('body', 'a text of blanks', $$'x', 't', E' \n', 'a'$$),
  ('body', 'a text of more than 1048576 bytes', $$'x', 't', repeat('é', 524289), 'a'$$),
  ('actor', 'no actor', $$'x', 't', 'b', NULL$$),
  ('actor', 'a blank actor', $$'x', 't', 'b', ''$$),
  ('owner_ref', 'a blank owner', $$'x', 't', 'b', 'a', p_owner_ref => ' '$$),
  ('unit_kind', 'an unknown kind', $$'x', 't', 'b', 'a', 'law_unitx'$$),
  ('section_type', 'an unknown section type', $$'x', 't', 'b', 'a', p_section_type => 'x'$$),
  ('publication_type', 'an unknown publication type', $$'x', 't', 'b', 'a', p_publication_type => 'x'$$),
  ('parent_ref', 'an unknown parent', $$'x', 't', 'b', 'a', p_parent_ref => gen_random_uuid()$$)
  ) AS v (field, what, call);
SELECT is(fn_iu_create_plan('x', 't', 'b', 'a', 'law_unitx') - 'guidance', fn_iu_create('x', 't', 'b', 'a', 'law_unitx')
  - 'guidance', 'a plan refuses what creating refuses');
SELECT is(pg_temp.login(r, $$fn_iu_create('x', 't', 'b', 'a') ->> 'status'$$), w, r || ' creates units, or may not')
  FROM (VALUES ('iu_test_robot', 'created'), ('iu_test_ada', 'exists_complete'),
  ('iu_test_rita', '42501 permission denied for function fn_iu_create'),
  ('iu_test_olga', '42501 permission denied for function fn_iu_create')) AS v (r, w);

-- ---- states that a person has to look at

SELECT is(fn_iu_classify_existing(a), s, 'the state of an address: ' || s)
  FROM (VALUES ('none', 'absent'), ('law:1', 'exists_complete')) AS v (a, s);
SELECT fn_iu_create('s' || i, 't', 'b' || i, 'wim') FROM generate_series(1, 6) i;
SET LOCAL session_replication_role = replica;	-- foreign keys and checks stay silent
SET LOCAL app.canonical_writer = 'fn_iu_create';
DELETE FROM iu_birth_record WHERE unit_id = pg_temp.id_of('s1');
UPDATE information_unit SET content_anchor_ref = repeat('0', 64) WHERE id = pg_temp.id_of('s2');
UPDATE information_unit SET version_anchor_ref = NULL WHERE id = pg_temp.id_of('s3');
DELETE FROM unit_version WHERE unit_id = pg_temp.id_of('s3');
ALTER TABLE unit_version DROP CONSTRAINT unit_version_unit_id_version_seq_key;
INSERT INTO unit_version (unit_id, body, content_hash, version_seq, created_by)
  VALUES (pg_temp.id_of('s4'), 'x', fn_content_hash('x'), 1, 'x');
UPDATE information_unit SET deleted_at = now() WHERE id = pg_temp.id_of('s5');
UPDATE information_unit SET identity_profile = identity_profile - 'owner_lookup_ref' WHERE id = pg_temp.id_of('s6');
SET LOCAL app.canonical_writer = '';
SET LOCAL session_replication_role = origin;
SELECT pg_temp.refused(format('fn_iu_create(%L, ''t'', ''b'', ''a'')', a), s, 'canonical_address',
  'an address whose unit is not whole is answered with ' || s)
  FROM (VALUES ('s1', 'exists_missing_birth'), ('s2', 'exists_anchor_invalid'), ('s3', 'exists_missing_version'),
  ('s4', 'exists_duplicate_version'), ('s5', 'exists_unknown_state'), ('s6', 'exists_unknown_state')) AS v (a, s);
SELECT is(fn_iu_verify_invariants(a) #>> ARRAY['checks', k], 'false', format('of %s the check %s fails', a, k))
  FROM (VALUES ('s1', 'born'), ('s2', 'anchor_hash_matches'), ('s3', 'has_version'), ('s3', 'anchor_is_version'),
  ('s4', 'one_latest'), ('s6', 'profile_complete'), ('none', 'one_unit')) AS v (a, k);
SELECT is((SELECT array_agg(a ORDER BY a) FROM unnest(ARRAY['law:1', 's1', 's2', 's3', 's4', 's6', 'none']) a
            WHERE (fn_iu_verify_invariants(a) -> 'all_pass')::boolean), ARRAY['law:1'],
  'all checks pass of a unit that is whole, and of no other');
SELECT is((SELECT keys FROM fn_iu_invariant_check('iu.unit_has_anchor')), ARRAY['s2', 's3'],
  'the invariant of anchors finds the units whose anchors are wrong');

-- ---- preflight

SELECT is(fn_iu_create_preflight(), '{"ok": true, "problems": []}', 'nothing stands in the way of creating units');
UPDATE dot_config SET value = 'prepared' WHERE key = 'iu_create.gateway.mode';
DELETE FROM dot_config WHERE key LIKE 'vocab.unit\_kind.%' OR key = 'iu_create.gateway.marker_key';
ALTER TABLE unit_version DISABLE TRIGGER trg_aa_uv_gateway_write_guard;
SELECT is(jsonb_array_length(fn_iu_create_preflight() -> 'problems'), 4,
  'a guard that is out of force, an empty vocabulary and a missing marker are problems');
SELECT finish();
ROLLBACK;
