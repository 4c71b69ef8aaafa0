-- 015: saving edits, comments, applying drafts; what happens to enacted units.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT fn_iu_create('a', 'A', 'one', 'wim'), fn_iu_create('r', 'R', 'one', 'wim'), fn_iu_create('e', 'E', 'one', 'wim'),
  fn_iu_create('d', 'D', 'one', 'wim');
SET LOCAL app.canonical_writer = 'fn_iu_retire';
UPDATE information_unit SET lifecycle_status = 'retired' WHERE canonical_address = 'r';
UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'd';
SET LOCAL app.canonical_writer = '';
-- Saves as somebody, and returns the answer.
CREATE FUNCTION pg_temp.save(p_login text, p_address text, p_body text, p_more text DEFAULT '') RETURNS jsonb
  LANGUAGE sql AS $$SELECT pg_temp.login(p_login, format('fn_iu_save(%L, %L, %L %s)', p_address, p_body, p_login,
    p_more))::jsonb$$;
CREATE FUNCTION pg_temp.apply(p_login text, p_draft text) RETURNS jsonb LANGUAGE sql AS
  $$SELECT pg_temp.login(p_login, format('fn_iu_apply_edit_draft(%L, %L)', p_draft, p_login))::jsonb$$;

-- ---- saved

SELECT pg_temp.save('iu_test_wim', 'a', 'two', ', ''AA'', ''why''') AS s \gset
SELECT is(:'s'::jsonb ->> 'status' || ' ' || (:'s'::jsonb ->> 'next_action'),
  'draft_created_review_required fn_iu_apply_edit_draft', 'an edit becomes a draft, and the next action is named');
SELECT results_eq($$SELECT d.title, d.body, d.note, d.draft_kind, d.draft_status, d.created_by,
    d.session_role = 'iu_test_wim', d.base_version_id = u.version_anchor_ref
    FROM iu_edit_draft d JOIN information_unit u ON u.id = d.unit_id$$,
  $$VALUES ('AA', 'two', 'why', 'edit', 'open', 'iu_test_wim', true, true)$$,
  'a draft has what was saved, who saved it and the version that it was made from');
SELECT is((SELECT count(*) FROM unit_version v WHERE v.unit_id = pg_temp.id_of('a')), 1::bigint,
  'a draft is no version');
SELECT is(pg_temp.save('iu_test_wim', 'a', 'three', ', ''AA''') ->> 'draft_id', :'s'::jsonb ->> 'draft_id',
  'saving again changes the open draft');
SELECT is((SELECT array_agg(body) FROM iu_edit_draft), ARRAY['three'], 'one open edit a unit and author');
SELECT pg_temp.answers($$fn_iu_save('a', 'one', 'wim')$$, jsonb_build_object('status', 'unchanged', 'version_seq', 1),
  'saving what is there answers unchanged');
SELECT pg_temp.answers($$fn_iu_save('a', 'one', 'wim', 'A')$$, jsonb_build_object('status', 'unchanged'),
  'saving what is there with its title answers unchanged');
SELECT pg_temp.refused(format('fn_iu_save(%s)', c), s, f, 'saving is refused: ' || what)
  FROM (VALUES ('no address', 'NULL, ''b'', ''wim''', 'invalid_input', 'canonical_address'),
  ('no text', '''a'', NULL, ''wim''', 'invalid_input', 'body'),
  ('blanks', '''a'', '' '', ''wim''', 'invalid_input', 'body'),
  ('more than 1048576 bytes', '''a'', repeat(''b'', 1048577), ''wim''', 'invalid_input', 'body'),
  ('no actor', '''a'', ''b'', NULL', 'invalid_input', 'actor'),
  ('a blank title', '''a'', ''b'', ''wim'', '' ''', 'invalid_input', 'title'),
  ('a note in two lines', 'E''a'', ''b'', ''wim'', NULL, E''x\ny''', 'invalid_input', 'note'),
  ('an unknown unit', '''none'', ''b'', ''wim''', 'iu_not_found', 'canonical_address'),
  ('a deleted unit', '''d'', ''b'', ''wim''', 'iu_not_found', 'canonical_address'),
  ('a retired unit', '''r'', ''b'', ''wim''', 'fsm_denied', 'canonical_address'),
  ('the open draft of another login', '''a'', ''b'', ''iu_test_wim''', 'invalid_input', 'actor')) AS v (what, c, s, f);

-- ---- comments

SELECT is((fn_iu_comment('r', 'look here', 'rita') - 'draft_id' - 'unit_id'), '{"status": "comment_recorded"}',
  'a comment is recorded, of a retired unit too');
SELECT is((SELECT note FROM iu_edit_draft WHERE draft_kind = 'comment'), 'look here', 'a comment is kept');
SELECT pg_temp.refused(format('fn_iu_comment(%s)', c), s, f, 'a comment is refused: ' || f)
  FROM (VALUES ('NULL, ''n'', ''w''', 'invalid_input', 'canonical_address'),
  ('''a'', NULL, ''w''', 'invalid_input', 'note'), ('''a'', ''n'', NULL', 'invalid_input', 'actor'),
  ('''none'', ''n'', ''w''', 'iu_not_found', 'canonical_address')) AS v (c, s, f);

-- ---- applied

SELECT pg_temp.refused(format('fn_iu_apply_edit_draft(%s)', c), s, f, 'applying is refused: ' || what)
  FROM (VALUES ('no draft', 'NULL, ''w''', 'invalid_input', 'draft_id'),
  ('no actor', 'gen_random_uuid(), NULL', 'invalid_input', 'actor'),
  ('an unknown draft', 'gen_random_uuid(), ''w''', 'draft_not_found', 'draft_id'),
  ('a comment', '(SELECT draft_id FROM iu_edit_draft WHERE draft_kind = ''comment''), ''w''', 'draft_not_found',
   'draft_id')) AS v (what, c, s, f);
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
SELECT pg_temp.save('iu_test_robot', 'a', 'other') ->> 'draft_id' AS other \gset
SELECT pg_temp.apply('iu_test_robot', :'s'::jsonb ->> 'draft_id') AS applied \gset
SELECT is(:'applied'::jsonb - 'unit_id' - 'version_id', jsonb_build_object('status', 'applied', 'version_seq', 2,
  'content_hash', fn_content_hash('three')), 'a draft is applied as the next version');
SELECT results_eq($$SELECT u.title, v.body, v.version_seq, u.content_anchor_ref = v.content_hash, u.updated_by,
    (fn_iu_verify_invariants('a') -> 'all_pass')::boolean
    FROM information_unit u JOIN unit_version v ON v.id = u.version_anchor_ref WHERE u.canonical_address = 'a'$$,
  $$VALUES ('AA', 'three', 2, true, 'iu_test_robot', true)$$,
  'the version that was applied counts, with its title');
SELECT ok((SELECT (session_role, decided_by, decided_role) = ('iu_test_wim', 'iu_test_robot', 'iu_test_robot')
             FROM iu_edit_draft WHERE draft_id = (:'s'::jsonb ->> 'draft_id')::uuid),
  'the draft says which login saved it, and which applied it');
SELECT results_eq($$SELECT event_type, event_outbox.canonical_address, actor_ref,
    safe_payload - 'version_id' - 'previous_version_id', (safe_payload ->> 'version_id')::uuid = u.version_anchor_ref,
    (safe_payload ->> 'previous_version_id')::uuid = p.id
    FROM event_outbox JOIN information_unit u ON u.id::text = event_subject_ref
    JOIN unit_version p ON p.unit_id = u.id AND p.version_seq = 1 WHERE event_domain = 'iu'$$,
  $$VALUES ('version_applied', 'a', 'iu_test_robot', jsonb_build_object('version_seq', 2, 'content_hash',
    fn_content_hash('three')), true, true)$$, 'a further version is an event, and the first is none');
SELECT pg_temp.refused(format('fn_iu_apply_edit_draft(%L, ''w'')', :'s'::jsonb ->> 'draft_id'), 'already_applied',
  'draft_id', 'a draft is applied once');
SELECT pg_temp.refused(format('fn_iu_apply_edit_draft(%L, ''w'')', :'other'), 'draft_stale', 'draft_id',
  'a draft that was made from an older version is stale');
SELECT is(pg_temp.save('iu_test_robot', 'a', 'other') ->> 'draft_id', :'other', 'a stale draft is saved again');
SELECT is(pg_temp.apply('iu_test_wim', :'other') ->> 'status', 'applied', 'and is applied then');
SELECT pg_temp.save('iu_test_wim', 'a', 'no') ->> 'draft_id' AS no \gset
UPDATE iu_edit_draft SET draft_status = 'rejected', decided_at = now(), decided_by = 'rita', decided_role = 'x'
 WHERE draft_id = :'no';
SELECT pg_temp.refused(format('fn_iu_apply_edit_draft(%L, ''w'')',
  (SELECT draft_id FROM iu_edit_draft WHERE draft_status = 'rejected')), 'already_rejected', 'draft_id',
  'a draft that was rejected is not applied');
SELECT pg_temp.save('iu_test_wim', 'a', 'four') ->> 'draft_id' AS four \gset
SET LOCAL app.canonical_writer = 'fn_iu_retire';
UPDATE information_unit SET lifecycle_status = 'deprecated' WHERE canonical_address = 'a';
SET LOCAL app.canonical_writer = '';
SELECT pg_temp.refused(format('fn_iu_apply_edit_draft(%L, ''w'')', :'four'), 'fsm_denied', 'canonical_address',
  'a draft of a unit that went out of use is not applied');
SET LOCAL app.canonical_writer = 'fn_iu_retire';
UPDATE information_unit SET lifecycle_status = 'draft', deleted_at = now() WHERE canonical_address = 'a';
SET LOCAL app.canonical_writer = '';
SELECT pg_temp.refused(format('fn_iu_apply_edit_draft(%L, ''w'')', :'four'), 'iu_not_found', 'canonical_address',
  'a draft of a deleted unit is not applied');
SET LOCAL app.canonical_writer = 'fn_iu_retire';
UPDATE information_unit SET deleted_at = NULL WHERE canonical_address = 'a';
SET LOCAL app.canonical_writer = '';

-- ---- strict approvals: nobody applies his own

UPDATE dot_config SET value = 'strict' WHERE key = 'iu_core.gate_approval_mode';
SELECT is(pg_temp.apply('iu_test_wim', :'four') ->> 'status', 'review_by_author',
  'where approvals are strict, who saved a draft does not apply it');
SELECT pg_temp.refused(format('(pg_temp.apply(''iu_test_wim'', %L))', :'four'), 'review_by_author', 'actor',
  'a review by the author writes nothing');
UPDATE iu_edit_draft SET session_oid = 1 WHERE draft_id = :'four';
SELECT is(pg_temp.apply('iu_test_wim', :'four') ->> 'status', 'review_by_author',
  'nor does he after a dump, where his login has another oid and the name that it had');
UPDATE iu_edit_draft SET session_oid = 'iu_test_wim'::regrole WHERE draft_id = :'four';
CREATE ROLE iu_test_will LOGIN IN ROLE iu_core_writer;
GRANT iu_test_robot TO iu_test_wim;
SELECT is(pg_temp.login('iu_test_wim', format($$(set_config('role', 'iu_test_robot', true) IS NOT NULL,
  fn_iu_apply_edit_draft(%L, 'robot') ->> 'status')$$, :'four')), '(t,review_by_author)',
  'the login counts, whatever role it has set');
UPDATE dot_config SET value = 'auto_apply' WHERE key = 'iu_edit.policy.default_mode';
SELECT is(pg_temp.save('iu_test_wim', 'a', 'four') ->> 'status', 'draft_created_review_required',
  'strict approvals outweigh auto_apply');
UPDATE dot_config SET value = 'Default' WHERE key = 'iu_core.gate_approval_mode';
SELECT is(pg_temp.apply('iu_test_wim', :'four') ->> 'status', 'review_by_author',
  'an unknown mode of approvals reads as strict');
DELETE FROM dot_config WHERE key = 'iu_core.gate_approval_mode';
SELECT is(pg_temp.apply('iu_test_wim', :'four') ->> 'status', 'review_by_author',
  'a missing mode of approvals reads as strict');
SELECT is(iu.fn_iu_apply_edit_draft_as(:'four', 'x', 'u') ->> 'status', 'applied',
  'another login applies it');
INSERT INTO dot_config (key, value) VALUES ('iu_core.gate_approval_mode', 'strict');
SELECT iu.fn_iu_save_as('a', 'five', 'ed', NULL, NULL, 'u1') ->> 'draft_id' AS five \gset
SELECT is(iu.fn_iu_apply_edit_draft_as(:'five', 'ed', u) ->> 'status', 'review_by_author',
  'of one login with many users the author does not apply: ' || coalesce(u, 'a user that nobody saw'))
  FROM unnest(ARRAY['u1', NULL]) u;
SELECT is(iu.fn_iu_apply_edit_draft_as(:'five', 'rev', 'u2') ->> 'status', 'applied',
  'of one login with many users another one applies');

-- ---- at once

UPDATE dot_config SET value = 'default' WHERE key = 'iu_core.gate_approval_mode';
SELECT is(pg_temp.save('iu_test_wim', 'a', 'six') ->> 'status', 'applied',
  'in mode auto_apply an edit is applied at once');
UPDATE dot_config SET value = 'x' WHERE key = 'iu_edit.policy.default_mode';
SELECT is(pg_temp.save('iu_test_wim', 'a', 'seven') ->> 'status', 'draft_created_review_required',
  'an unknown mode reads as require_review');

-- ---- an enacted unit keeps its text until it is enacted anew

SELECT fn_iu_enact('e', 'wim', (fn_iu_review_decision_record('enact', '{e}', 'approve', 'olga', 'fine')
  ->> 'review_decision_id')::uuid);
SELECT pg_temp.apply('iu_test_robot', pg_temp.save('iu_test_wim', 'e', 'two', ', ''EE''') ->> 'draft_id') AS p \gset
SELECT is(:'p'::jsonb ->> 'status' || ' ' || (:'p'::jsonb ->> 'next_action'), 'applied_pending_enact fn_iu_enact',
  'an edit of an enacted unit is pending, and the next action is named');
SELECT results_eq($$SELECT u.title, v.body, u.lifecycle_status, n.body, n.lifecycle_status
    FROM information_unit u JOIN unit_version v ON v.id = u.version_anchor_ref
    JOIN unit_version n ON n.unit_id = u.id AND n.version_seq = 2 WHERE u.canonical_address = 'e'$$,
  $$VALUES ('E', 'one', 'enacted', 'two', 'draft')$$, 'what is enacted stays: text, title and status');
SELECT pg_temp.answers($$fn_iu_save('e', 'two', 'wim', 'EE')$$, '{"status": "unchanged", "version_seq": 2}',
  'saving what is pending answers unchanged');
SELECT is(pg_temp.save('iu_test_wim', 'e', 'one') ->> 'status', 'draft_created_review_required',
  'saving what is enacted while something is pending is an edit');
SELECT pg_temp.apply('iu_test_robot', draft_id::text) FROM iu_edit_draft
 WHERE unit_id = pg_temp.id_of('e') AND draft_status = 'open';
SELECT is((SELECT content_profile FROM unit_version WHERE unit_id = pg_temp.id_of('e') AND version_seq = 3),
  '{"title": "EE"}', 'a title that is pending goes on with the next version');
SELECT finish();
ROLLBACK;
