-- 030: composing, behind its gate: what a collection is made of, and all that is refused.
\ir setup.psql
\ir 030_collections.psql
SELECT no_plan();

-- ---- the gate

SELECT is((SELECT migration FROM iu_gate_registry WHERE gate_key = 'iu_core.composer_enabled'), 30,
  'the gate of the composer comes with what it guards');
SELECT pg_temp.refuses('SELECT ' || c, '42501', 'iu_composer_gate_closed', 'while the gate is closed there is no ' || c)
  FROM unnest(ARRAY['fn_iu_compose(NULL, NULL, NULL, NULL, NULL, NULL)',
    'fn_iu_collection_create(NULL, NULL, NULL, NULL, NULL)', 'fn_iu_collection_add_piece(NULL, NULL, NULL, NULL, NULL)',
    'fn_iu_collection_remove_piece(NULL, NULL, NULL)', 'fn_iu_collection_reorder_piece(NULL, NULL, NULL, NULL)',
    'fn_iu_collection_set_status(NULL, NULL, NULL, NULL)', 'fn_iu_piece_soft_delete(NULL, NULL)',
    'fn_iu_piece_restore(NULL, NULL)']) c;
SELECT pg_temp.gate('iu_core.composer_enabled', true);

-- ---- composing

SELECT pg_temp.last_event() AS seq \gset
SELECT pg_temp.login('iu_test_robot', format($$fn_iu_compose('k:one/v1', 'workflow', 'One', 'of three', %L, 'robot')$$,
  format('[{"role": "intro", "iu_id": "%s"}, {"role": "step", "new_piece": {"canonical_address": "n1", "title": "N 1",
    "body": "new", "unit_kind": "law_unit", "section_type": "article"}}, {"role": "step", "iu_id": "%s"},
    {"role": "appendix", "new_piece": {"canonical_address": "n0", "title": "N 0", "body": "__EMPTY__"}}]',
    pg_temp.id_of('u1'), pg_temp.id_of('u2'))))::jsonb AS a \gset
SELECT is(:'a'::jsonb, jsonb_build_object('ok', true, 'collection_id', pg_temp.collection('k:one/v1'),
    'collection_key', 'k:one/v1', 'pieces_minted', 2, 'pieces_attached', 4,
    'minted_unit_ids', jsonb_build_array(pg_temp.id_of('n1'), pg_temp.id_of('n0')),
    'manifest_digest', pg_temp.digest_of('k:one/v1')),
  'an agent composes of units that there are and of new ones');
SELECT is(pg_temp.order_of('k:one/v1'), '0 intro u1, 1 step n1, 2 step u2, 3 appendix n0',
  'the pieces are in the order that was given, from 0 on');
SELECT results_eq($$SELECT collection_kind, title, description, lifecycle_status, source_axis_kind, created_by,
    manifest_digest = pg_temp.digest_of('k:one/v1') FROM iu_piece_collection WHERE collection_key = 'k:one/v1'$$,
  $$VALUES ('workflow', 'One', 'of three', 'draft', 'composed', 'robot', true)$$,
  'a collection begins as a draft, with the digest by the published formula');
SELECT is(fn_iu_collection_digest(pg_temp.collection('k:one/v1')), pg_temp.digest_of('k:one/v1'),
  'fn_iu_collection_digest has the published formula');
SELECT results_eq($$SELECT u.unit_kind, u.section_type, u.lifecycle_status, v.body, u.created_by,
    fn_iu_classify_existing(u.canonical_address), (SELECT count(*) FROM iu_metadata_tag t WHERE t.unit_id = u.id)
    FROM information_unit u JOIN unit_version v ON v.id = u.version_anchor_ref
   WHERE u.canonical_address IN ('n0', 'n1') ORDER BY u.canonical_address$$,
  $$VALUES ('design_doc_section', 'section', 'draft', '', 'robot', 'exists_complete', 2::bigint),
           ('law_unit', 'article', 'draft', 'new', 'robot', 'exists_complete', 2)$$,
  'new pieces are complete drafts with their tags');
SELECT is((SELECT count(*) FROM iu_lifecycle_log), 0::bigint,
  'composing writes nothing into the ledger of the lifecycle');
SELECT is(pg_temp.events_since(:seq), '1 collection_created, 4 piece_added_to_collection',
  'one event for the collection, one for each piece, and none else');
SELECT results_eq(format($$SELECT event_subject_table, event_subject_ref, correlation_id, actor_ref,
  safe_payload - 'manifest_digest'
    FROM event_outbox WHERE event_seq > %s ORDER BY event_seq LIMIT 2$$, :seq),
  $$SELECT 'iu_piece_collection', c.id::text, c.id::text, 'robot', p
      FROM iu_piece_collection c CROSS JOIN LATERAL (VALUES
        (jsonb_build_object('collection_id', c.id, 'collection_key', 'k:one/v1', 'collection_kind', 'workflow',
        'pieces', 4)),
        (jsonb_build_object('collection_id', c.id, 'collection_key', 'k:one/v1', 'iu_id', pg_temp.id_of('u1'),
           'piece_order', 0, 'piece_role', 'intro'))) AS v (p) WHERE c.collection_key = 'k:one/v1'$$,
  'events of collections carry ids, role and order, and are tied together by the collection');
SELECT is(fn_iu_compose('k:two', 'file', 'Two', NULL, pg_temp.pieces('{u1,u2}', 'intro', 'step'), 'wim') -> 'ok',
  'true',
  'a unit is a piece of several collections');
SELECT is(fn_iu_compose('k:three', 'file', 'Three', NULL, pg_temp.pieces('{u1,u2}', 'intro', 'step'), 'wim')
    ->> 'manifest_digest', pg_temp.digest_of('k:two'),
  'the same units in the same order and roles have the same digest, whatever the key and the title');
SELECT isnt(fn_iu_compose('k:four', 'file', 'Two', NULL, pg_temp.pieces('{u2,u1}', 'intro', 'step'), 'wim')
    ->> 'manifest_digest', pg_temp.digest_of('k:two'), 'another order has another digest');
SELECT is(fn_iu_compose('k:five', 'file', 'Two', NULL, pg_temp.pieces('{u1,u2}', 'intro', 'body'), 'wim')
    ->> 'manifest_digest' <> pg_temp.digest_of('k:two'), true, 'another role has another digest');
SELECT is(fn_iu_compose('k:none', 'document', 'None', NULL, '[]', 'wim') - 'collection_id', jsonb_build_object('ok',
  true,
    'collection_key', 'k:none', 'pieces_minted', 0, 'pieces_attached', 0, 'minted_unit_ids', '[]'::jsonb,
    'manifest_digest', NULL), 'a collection of nothing has no digest');
SELECT pg_temp.last_event() AS seq \gset
SELECT is(fn_iu_collection_create('k:empty', 'file', 'Empty', NULL, 'wim'), jsonb_build_object('ok', true,
    'collection_id', pg_temp.collection('k:empty'), 'collection_key', 'k:empty'),
    'a collection is created without pieces');
SELECT is(pg_temp.events_since(:seq), '1 collection_created', 'that is one event');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT pg_temp.last_event() AS seq \gset
SELECT is(fn_iu_compose('k:silent', 'file', 'S', NULL, pg_temp.pieces('{u1}'), 'wim') -> 'ok', 'true',
  'composing does not depend on the master switch');
SELECT is(pg_temp.events_since(:seq), NULL, 'while the master switch is off no event is written');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';

-- ---- what is refused

SELECT fn_iu_piece_soft_delete(pg_temp.id_of('u9'), 'wim');
SELECT pg_temp.refuses(format('SELECT fn_iu_compose(%s)', replace(replace(c, '$u1', pg_temp.id_of('u1')::text), '$u9',
    pg_temp.id_of('u9')::text)), s, n, 'composing is refused: ' || what)
  FROM (VALUES ('no key', $$NULL, 'file', 't', NULL, '[]', 'w'$$, '23514', 'iu_collection_key'),
  ('a key in two lines', $$E'a\nb', 'file', 't', NULL, '[]', 'w'$$, '23514', 'iu_collection_key'),
  ('a key with a blank at its end', $$'a ', 'file', 't', NULL, '[]', 'w'$$, '23514', 'iu_collection_key'),
  ('a key that leads out of its folder', $$'a/../../b', 'file', 't', NULL, '[]', 'w'$$, '23514', 'iu_collection_key'),
  ('a key that begins at the root', $$'/a', 'file', 't', NULL, '[]', 'w'$$, '23514', 'iu_collection_key'),
  ('a key with a backslash', $$'a\b', 'file', 't', NULL, '[]', 'w'$$, '23514', 'iu_collection_key'),
  ('a key of 201 characters', $$repeat('x', 201), 'file', 't', NULL, '[]', 'w'$$, '23514', 'iu_collection_key'),
  ('no kind', $$'k', NULL, 't', NULL, '[]', 'w'$$, '23514', 'iu_piece_collection_kind_chk'),
  ('a kind that there is not', $$'k', 'poem', 't', NULL, '[]', 'w'$$, '23514', 'iu_piece_collection_kind_chk'),
  ('no title', $$'k', 'file', ' ', NULL, '[]', 'w'$$, '23514', 'iu_collection_title'),
  ('a title in two lines', $$'k', 'file', E't\nt', NULL, '[]', 'w'$$, '23514', 'iu_text_form'),
  ('a blank description', $$'k', 'file', 't', ' ', '[]', 'w'$$, '23514', 'iu_collection_description'),
  ('no actor', $$'k', 'file', 't', NULL, '[]', NULL$$, '23514', 'iu_actor_required'),
  ('a blank actor', $$'k', 'file', 't', NULL, '[]', ' '$$, '23514', 'iu_actor_required'),
  ('no pieces at all', $$'k', 'file', 't', NULL, NULL, 'w'$$, '23514', 'iu_collection_pieces'),
  ('an object of pieces', $$'k', 'file', 't', NULL, '{}', 'w'$$, '23514', 'iu_collection_pieces'),
  ('a piece that is a number', $$'k', 'file', 't', NULL, '[7]', 'w'$$, '23514', 'iu_collection_pieces'),
  ('a piece with another key', $$'k', 'file', 't', NULL, '[{"role": "body", "iu_id": "$u1", "x": 1}]', 'w'$$, '23514',
    'iu_collection_pieces'),
  ('a piece without a role', $$'k', 'file', 't', NULL, '[{"iu_id": "$u1"}]', 'w'$$, '23514', 'iu_collection_pieces'),
  ('a piece whose role there is not', $$'k', 'file', 't', NULL, '[{"role": "hero", "iu_id": "$u1"}]', 'w'$$, '23514',
    'iu_collection_pieces'),
  ('a piece that is neither', $$'k', 'file', 't', NULL, '[{"role": "body"}]', 'w'$$, '23514', 'iu_collection_pieces'),
  ('a piece that is both', $$'k', 'file', 't', NULL, '[{"role": "body", "iu_id": "$u1", "new_piece": {}}]', 'w'$$,
    '23514',
    'iu_collection_pieces'),
  ('a piece whose id is no uuid', $$'k', 'file', 't', NULL, '[{"role": "body", "iu_id": "u1"}]', 'w'$$, '23514',
    'iu_collection_pieces'),
  ('a piece whose id is null', $$'k', 'file', 't', NULL, '[{"role": "body", "iu_id": null}]', 'w'$$, '23514',
    'iu_collection_pieces'),
  ('one unit twice', $$'k', 'file', 't', NULL, jsonb_build_array('{"role": "body", "iu_id": "$u1"}'::jsonb,
    jsonb_build_object('role', 'body', 'iu_id', upper('$u1'))), 'w'$$, '23514', 'iu_collection_pieces'),
  ('a new piece that is a text', $$'k', 'file', 't', NULL, '[{"role": "body", "new_piece": "x"}]', 'w'$$, '23514',
    'iu_collection_pieces'),
  ('a new piece with a parent', $$'k', 'file', 't', NULL, '[{"role": "body", "new_piece": {"parent_ref": "$u1"}}]',
    'w'$$,
    '23514', 'iu_collection_pieces'),
  ('a new piece without a body', $$'k', 'file', 't', NULL, '[{"role": "body", "new_piece": {"canonical_address": "x",
    "title": "x"}}]', 'w'$$, '23514', 'piece 1 is not made: invalid_input, field body'),
  ('the second new piece of an unknown kind', $$'k', 'file', 't', NULL, '[{"role": "body", "new_piece":
    {"canonical_address": "x", "title": "x", "body": "x"}}, {"role": "body", "new_piece": {"canonical_address": "y",
    "title": "x", "body": "x", "unit_kind": "poem"}}]', 'w'$$, '23514',
    'piece 2 is not made: invalid_input, field unit_kind'),
  ('two new pieces with one address', $$'k', 'file', 't', NULL,
    '[{"role": "body", "new_piece": {"canonical_address": "x",
    "title": "x", "body": "x"}}, {"role": "body", "new_piece": {"canonical_address": "x", "title": "x", "body": "x"}}]',
    'w'$$, '23514', 'piece 2 is not made'),
  ('a new piece whose address is taken', $$'k', 'file', 't', NULL, '[{"role": "body", "iu_id": "$u1"}, {"role": "body",
    "new_piece": {"canonical_address": "u2", "title": "x", "body": "x"}}]', 'w'$$, '23505',
    'iu_collection_piece_address_taken'),
  ('a unit that there is not', $$'k', 'file', 't', NULL, '[{"role": "body", "iu_id": "$u1"}, {"role": "body", "iu_id":
    "00000000-0000-4000-8000-000000000000"}]', 'w'$$, '23503', 'iu_collection_piece_unknown'),
  ('a unit that is deleted', $$'k', 'file', 't', NULL, '[{"role": "body", "iu_id": "$u9"}]', 'w'$$, '23503',
    '^piece .* not found / soft-deleted$'),
  ('a key that is taken', $$'k:two', 'file', 't', NULL, '[]', 'w'$$, '23505', 'iu_collection_key_taken'),
  ('keys that no piece has', $$'k', 'file', 't', NULL, jsonb_build_array((SELECT jsonb_object_agg('k' || i, 1)
    FROM generate_series(1, 60000) i)), 'w'$$, '23514', 'no piece has: ''k1'', .*''k10005'' and 59990 more$'),
  ('more than 64 MB', $$'k', 'file', 't', NULL, (SELECT jsonb_agg(repeat('b', 1048576)) FROM generate_series(1, 64)),
    'w'$$, '23514', 'p_pieces must be an array in up to 67108864 bytes'),
  ('a new piece of more than 1 MiB', $$'k', 'file', 't', NULL, jsonb_build_array(jsonb_build_object('role', 'body',
    'new_piece', jsonb_build_object('canonical_address', 'x', 'title', 'x', 'body', repeat('b', 1048577)))), 'w'$$,
    '23514', 'piece 1 is not made: invalid_input, field body'),
  ('10001 pieces', $$'k', 'file', 't', NULL, (SELECT jsonb_agg(1) FROM generate_series(1, 10001)), 'w'$$, '54000',
    'iu_collection_too_many_pieces')) AS v (what, c, s, n);
SELECT is(pg_temp.collection('k'), NULL, 'what was refused has left no collection');
SELECT is(pg_temp.id_of('x'), NULL, 'what was refused has left no unit');
SELECT pg_temp.refuses($$SELECT fn_iu_collection_create('k:two', 'file', 't', NULL, 'w')$$, '23505',
  'iu_collection_key_taken', 'creating a collection under a key that is taken is refused');

SAVEPOINT theirs;
CREATE FUNCTION pg_temp.theirs() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN RAISE unique_violation USING CONSTRAINT = ''theirs''; END';
CREATE TRIGGER theirs BEFORE INSERT ON iu_birth_record FOR EACH ROW EXECUTE FUNCTION pg_temp.theirs();
SELECT pg_temp.refuses($$SELECT fn_iu_compose('k', 'file', 't', NULL, '[{"role": "body", "new_piece":
  {"canonical_address": "x", "title": "x", "body": "x"}}]', 'w')$$, '23505', 'theirs',
  'what is not unique but an address is told as what it is');
ROLLBACK TO theirs;

-- ---- words of an administrator

SELECT is(fn_iu_vocab_add('piece_role', 'checkpoint', 'where somebody looks', 'ada', 'ours') ->> 'status', 'added',
  'an administrator adds a role');
SELECT is(fn_iu_vocab_add('collection_kind', 'runbook', 'what to do at night', 'ada', 'ours') ->> 'status', 'added',
  'an administrator adds a kind');
SELECT is(fn_iu_compose('k:own', 'runbook', 'Own', NULL, pg_temp.pieces('{u3}', 'checkpoint'), 'wim') -> 'ok', 'true',
  'a collection is composed of kinds and roles of one''s own');
SELECT pg_temp.refuses($$SELECT fn_iu_vocab_remove('piece_role', 'checkpoint', 'ada', 'no more')$$, '55006',
  'a piece of collection k:own has it', 'a role is not removed while a piece has it');
SELECT pg_temp.refuses($$SELECT fn_iu_vocab_remove('collection_kind', 'runbook', 'ada', 'no more')$$, '55006',
  'collection k:own has it', 'a kind is not removed while a collection has it');
SELECT is(fn_iu_vocab_remove('piece_role', 'reference', 'ada', 'nobody needs it') ->> 'status', 'removed',
  'a role that nobody has is removed');
SELECT pg_temp.refuses($$SELECT fn_iu_compose('k', 'file', 't', NULL, pg_temp.pieces('{u1}', 'reference'), 'w')$$,
  '23514',
  'iu_collection_pieces', 'a role that was removed is refused');
SELECT is((SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok), 0::bigint,
  'conformance knows the kinds and roles of an administrator');

-- ---- who writes

SELECT pg_temp.refuses(s, '42501', 'iu_composer_blocked', 'a superuser too is refused: ' || s) FROM unnest(ARRAY[
  'INSERT INTO iu_piece_collection (collection_key, collection_kind, title, created_by, updated_by) '
    'VALUES (''x'', ''file'', ''x'', ''x'', ''x'')',
  'UPDATE iu_piece_collection SET title = ''x''', 'DELETE FROM iu_piece_collection',
    'TRUNCATE iu_piece_collection CASCADE',
  'UPDATE iu_piece_membership SET piece_order = 7', 'DELETE FROM iu_piece_membership',
    'TRUNCATE iu_piece_membership']) s;
SET LOCAL ROLE iu_core_owner;
SELECT pg_temp.refuses($$UPDATE iu_piece_membership SET piece_role = 'hero'$$, '23514', 'iu_piece_membership_role_chk',
  'the table itself refuses a role that there is not');
SELECT pg_temp.refuses($$UPDATE iu_piece_collection SET collection_kind = 'poem'$$, '23514',
  'iu_piece_collection_kind_chk',
  'the table itself refuses a kind that there is not');
SELECT pg_temp.refuses(s, c, n, 'the table itself refuses ' || what) FROM (VALUES
  ('two pieces in one place', 'UPDATE iu_piece_membership SET piece_order = 0', '23505',
   'iu_piece_membership_collection_id_piece_order_key'),
  ('an active piece without a place', 'UPDATE iu_piece_membership SET piece_order = NULL', '23514',
   'iu_piece_membership_removed_chk'),
  ('a place before the first', 'UPDATE iu_piece_membership SET piece_order = -1 - piece_order', '23514',
   'iu_piece_membership_order_chk'),
  ('a collection with pieces being deleted', 'DELETE FROM iu_piece_collection', '23503',
   'iu_piece_membership_collection_id_fkey')) AS v (what, s, c, n);
RESET ROLE;
SELECT is(pg_temp.login('iu_test_rita', $$fn_iu_collection_create('k:rita', 'file', 'R', NULL, 'rita')$$),
  '42501 permission denied for function fn_iu_collection_create', 'a reader composes nothing');
SELECT is(pg_temp.login('iu_test_wim', $$fn_iu_collection_create('k:wim', 'file', 'W', NULL, 'wim') ->> 'ok'$$), 'true',
  'a writer composes');

-- ---- the way back

SELECT pg_temp.gate('iu_core.composer_enabled', false);
SELECT pg_temp.refuses('SELECT iu_core.rollback(29)', '55006', 'iu_rollback_rows',
  'a rollback that would lose collections is refused');
SELECT finish();
ROLLBACK;
