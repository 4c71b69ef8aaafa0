-- 030: reading collections: rows, Markdown, HTML, checks, export, what an import would change, events, views.
\ir setup.psql
\ir 030_collections.psql
SELECT no_plan();
SELECT pg_temp.gate('iu_core.composer_enabled', true);
SELECT fn_iu_create('hostile & "co"', '<b>*Bold*</b> & `more`', E'first <i>line</i>\r\nsecond\n\n\nthird & "last"\n',
  'wim');
SELECT fn_iu_create('nothing', 'Nothing in it', '__EMPTY__', 'wim');
SELECT fn_iu_compose('dir/k', 'workflow', 'A *title*', '<script>d</script>',
  pg_temp.pieces(ARRAY['u1', 'hostile & "co"', 'u2', 'nothing', 'u3'], 'intro', 'step', 'body', 'step', 'appendix'),
    'wim');
SELECT fn_iu_collection_create('empty', 'file', 'Empty', NULL, 'wim');
SELECT pg_temp.gate('iu_core.composer_enabled', false);
SELECT pg_temp.collection('dir/k') AS k, pg_temp.collection('empty') AS e, gen_random_uuid() AS nobody \gset

-- ---- rows and texts

SELECT results_eq(format($$SELECT piece_order, piece_role, canonical_address, title, body, lifecycle_status, is_deleted,
    content_hash = fn_content_hash(body) FROM fn_iu_collection_render(%L) WHERE piece_order < 2$$, :'k'),
  $$VALUES (0, 'intro', 'u1', 'Unit 1', 'text 1', 'draft', false, true),
    (1, 'step', 'hostile & "co"', '<b>*Bold*</b> & `more`', E'first <i>line</i>\r\nsecond\n\n\nthird & "last"\n',
    'draft',
     false, true)$$, 'a collection is read as rows, in order, with the texts that count');
SELECT is((SELECT count(*) FROM fn_iu_collection_render(:'nobody')), 0::bigint, 'there are no rows of no collection');
SELECT is(fn_iu_render_file(:'k'), E'# A \\*title\\*\n\n&lt;script>d&lt;/script>\n\ntext 1\n\n'
  '## 1. &lt;b>\\*Bold\\*&lt;/b> &amp; \\`more\\`\n\nfirst <i>line</i>\nsecond\n\n\nthird & "last"\n\n'
  '## Unit 2\n\ntext 2\n\n## 2. Nothing in it\n\n## Unit 3\n\ntext 3\n',
  'as Markdown titles are escaped, steps are numbered, an introduction has no heading, and texts stand as they are');
SELECT is(fn_iu_render_html(:'k'), E'<article data-collection="dir/k">\n<h1>A *title*</h1>\n'
  '<p>&lt;script&gt;d&lt;/script&gt;</p>\n<section class="intro" data-address="u1">\n<p>text 1</p>\n</section>\n'
  '<section class="step" data-address="hostile &amp; &quot;co&quot;">\n'
  '<h2>1. &lt;b&gt;*Bold*&lt;/b&gt; &amp; `more`</h2>\n'
  '<p>first &lt;i&gt;line&lt;/i&gt;<br>\nsecond</p>\n<p>third &amp; &quot;last&quot;</p>\n</section>\n'
  '<section class="body" data-address="u2">\n<h2>Unit 2</h2>\n<p>text 2</p>\n</section>\n'
  '<section class="step" data-address="nothing">\n<h2>2. Nothing in it</h2>\n</section>\n'
  '<section class="appendix" data-address="u3">\n<h2>Unit 3</h2>\n<p>text 3</p>\n</section>\n</article>\n',
  'as HTML nothing that somebody wrote is markup');
SELECT is(fn_iu_render_file(:'e'), E'# Empty\n', 'an empty collection is its title as Markdown');
SELECT is(fn_iu_render_html(:'e'), E'<article data-collection="empty">\n<h1>Empty</h1>\n</article>\n',
  'an empty collection is its title as HTML');

-- ---- checks

SELECT is(fn_iu_collection_validate(:'k'), '{"ok": true, "problems": []}',
  'a collection that is as it should be is valid');
SELECT is(fn_iu_collection_validate(:'e'), '{"ok": false, "problems": ["the collection is empty"]}',
  'an empty collection is not valid');
SELECT is(fn_iu_collection_validate(:'nobody'), '{"ok": false, "problems": ["there is no such collection"]}',
  'no collection is not valid');
SAVEPOINT broken;
SET LOCAL session_replication_role = replica;
SET LOCAL app.canonical_writer = 'fn_iu_retire';
UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'u2';
UPDATE information_unit SET lifecycle_status = 'retired' WHERE canonical_address = 'u3';
SET LOCAL ROLE iu_core_owner;
UPDATE iu_piece_membership SET piece_order = 7 WHERE collection_id = :'k' AND piece_order = 4;
RESET ROLE;
SELECT is(fn_iu_collection_validate(:'k'), '{"ok": false, "problems": ["1 active piece(s) are soft-deleted",
  "the order of the pieces has gaps, or does not begin at 0", "the stored digest is not that of the order",
  "1 piece(s) are out of use: u3 (retired)"]}',
    'validating names deleted pieces, gaps, a stale digest and retired pieces');
SELECT results_eq($$SELECT collection_key, piece_count, order_contiguous, pieces_deleted, pieces_retired,
  digest_present, ok
    FROM v_iu_collection_health ORDER BY 1$$, $$VALUES ('dir/k', 5::bigint, false, 1::bigint, 1::bigint, true, false),
    ('empty', 0, true, 0, 0, true, false)$$, 'the health of collections is a row each');
SELECT is(fn_iu_corpus_healthcheck(), '{"ok": false, "collections": 2, "pieces": 5, "empty": 1, "with_gaps": 1,
  "with_deleted_pieces": 1, "with_pieces_out_of_use": 1, "without_digest": 0, "first_problems": ["dir/k"]}',
  'the health of the corpus counts what is wrong');
SELECT results_eq($$SELECT key, left_value <> right_value FROM v_iu_collection_digest_check$$,
  $$VALUES ('dir/k', true)$$, 'invariant iu.collection_digest sees a stale digest');
SELECT results_eq($$SELECT * FROM v_iu_collection_order_check$$, $$VALUES ('dir/k', 5::bigint, 8::bigint)$$,
  'invariant iu.collection_order sees a gap');
SELECT unalike(fn_iu_render_file(:'k'), '%Unit 2%', 'a deleted piece is not rendered');
SET LOCAL session_replication_role = origin;
SELECT is(fn_iu_collection_manifest_refresh(:'k'), jsonb_build_object('ok', true, 'piece_count', 5,
  'manifest_digest', pg_temp.digest_of('dir/k')), 'the digest is stored anew, without any gate');
SELECT is((SELECT manifest_digest FROM iu_piece_collection WHERE id = :'k'), pg_temp.digest_of('dir/k'),
  'the digest that is stored anew is that of the order');
ROLLBACK TO broken;
SELECT pg_temp.answers(format('fn_iu_collection_manifest_refresh(%L)', :'k'), jsonb_build_object('ok', true,
  'manifest_digest', pg_temp.digest_of('dir/k')), 'storing a digest that is right writes nothing');
SELECT is((SELECT array_agg(verdict) FROM fn_iu_invariant_check(c)), ARRAY['pass'], c || ' passes')
  FROM unnest(ARRAY['iu.collection_digest', 'iu.collection_order']) c;

-- ---- export and import

SELECT is(fn_iu_collection_export(:'k'),
  format(E'---\npath: iu-tree/_collections/workflow/dir/k.md\ncollection_key: dir/k\n'
  'collection_kind: workflow\ntitle: A *title*\nlifecycle_status: draft\nmanifest_digest: %s\npieces:\n- intro u1\n'
  '- step hostile & "co"\n- body u2\n- step nothing\n- appendix u3\n---\n\n', pg_temp.digest_of('dir/k'))
  || fn_iu_render_file(:'k'), 'an export has a head with path and pieces, and the text');
SELECT pg_temp.last_event() AS seq \gset
SELECT is(fn_iu_collection_import_propose(fn_iu_collection_export(:'k'), 'ann') - 'event_id', jsonb_build_object(
  'collection_id', :'k', 'collection_key', 'dir/k', 'is_current', true, 'add', '[]'::jsonb, 'remove', '[]'::jsonb,
  'move', '[]'::jsonb, 'unknown', '[]'::jsonb), 'an export that nobody edited changes nothing');
SELECT is(pg_temp.events_since(:seq), '1 collection_import_proposed', 'proposing an import is one event');
SELECT is(fn_iu_collection_import_propose(E'---\r\ncollection_key: dir/k\r\nmanifest_digest: old\r\npieces:\r\n'
  || E'- step u3\r\n- body u7\r\n'
  || E'- intro u1\r\n- body nowhere\r\n- body u2\r\n---\r\ncollection_key: empty\r\n', 'ann') - 'event_id',
  jsonb_build_object('collection_id', :'k', 'collection_key', 'dir/k', 'is_current', false,
    'add', jsonb_build_array(jsonb_build_object('iu_id', pg_temp.id_of('u7'), 'canonical_address', 'u7', 'piece_order',
    1,
      'piece_role', 'body')),
    'remove', jsonb_build_array(
      jsonb_build_object('iu_id', pg_temp.id_of('hostile & "co"'), 'canonical_address', 'hostile & "co"',
      'piece_order', 1,
        'piece_role', 'step'),
      jsonb_build_object('iu_id', pg_temp.id_of('nothing'), 'canonical_address', 'nothing', 'piece_order', 3,
        'piece_role', 'step')),
    'move', jsonb_build_array(
      jsonb_build_object('iu_id', pg_temp.id_of('u3'), 'canonical_address', 'u3', 'from', 4, 'to', 0, 'piece_role',
      'step',
        'was_piece_role', 'appendix'),
      jsonb_build_object('iu_id', pg_temp.id_of('u1'), 'canonical_address', 'u1', 'from', 0, 'to', 2, 'piece_role',
      'intro',
        'was_piece_role', 'intro'),
      jsonb_build_object('iu_id', pg_temp.id_of('u2'), 'canonical_address', 'u2', 'from', 2, 'to', 4, 'piece_role',
      'body',
        'was_piece_role', 'body')),
    'unknown', '["nowhere"]'::jsonb), 'a proposal says what is added, removed, moved and unknown');
SELECT is(pg_temp.order_of('dir/k'), '0 intro u1, 1 step hostile & "co", 2 body u2, 3 step nothing, 4 appendix u3',
  'a proposal changes nothing');
SELECT is((SELECT safe_payload - '{collection_id,collection_key}'::text[] FROM event_outbox
  ORDER BY event_seq DESC LIMIT 1),
  '{"add": 1, "remove": 2, "move": 3, "unknown": 1}', 'the event of a proposal has the numbers');
SELECT pg_temp.refuses(format('SELECT fn_iu_collection_import_propose(%s)', c), s, n, 'no proposal is made of ' || what)
  FROM (VALUES ('nothing', 'NULL, ''a''', '23514', 'iu_collection_import_text'),
  ('an empty text', ''''', ''a''', '23514', 'iu_collection_import_text'),
  ('a text without a head', '''# K'', ''a''', '23514', 'iu_collection_import_text'),
  ('a head that does not end', 'E''---\ncollection_key: dir/k'', ''a''', '23514', 'iu_collection_import_text'),
  ('a head without a key', 'E''---\npieces:\n---\n'', ''a''', '23514', 'has no line "collection_key: <key>"'),
  ('a line without an address', 'E''---\ncollection_key: dir/k\n- body\n---\n'', ''a''', '23514',
   'a piece is a line "- <role> <address>"'),
  ('a role that there is not', 'E''---\ncollection_key: dir/k\n- hero u1\n---\n'', ''a''', '23514',
    '''hero'' is not a role'),
  ('a piece that stands twice', 'E''---\ncollection_key: dir/k\n- body u1\n- step u1\n---\n'', ''a''', '23514',
   '''u1'' stands twice'),
  ('10001 pieces', 'E''---\ncollection_key: dir/k\n'' || repeat(E''- body u1\n'', 10001) || ''---'', ''a''', '54000',
   'iu_collection_too_many_pieces'),
  ('no collection', 'E''---\ncollection_key: other\n---\n'', ''a''', 'P0002', 'iu_collection_unknown'),
  ('nobody', 'E''---\ncollection_key: dir/k\n---\n'', '' ''', '23514', 'iu_actor_required')) AS v (what, c, s, n);

-- ---- checkpoints

SELECT pg_temp.last_event() AS seq \gset
SELECT is(fn_iu_collection_checkpoint(:'k', t, 'ann', '{"by": "me"}') - 'event_id', jsonb_build_object('ok', true,
    'collection_id', :'k', 'event_type', t, 'event_emitted', true) || CASE t WHEN 'collection_validated'
    THEN '{"verdict": {"ok": true, "problems": []}}' ELSE '{}' END::jsonb, 'a checkpoint of reading: ' || t)
  FROM unnest(ARRAY['collection_rendered', 'collection_validated', 'collection_exported',
    'collection_import_proposed']) t;
SELECT is(pg_temp.events_since(:seq),
  '1 collection_exported, 1 collection_import_proposed, 1 collection_rendered, 1 collection_validated',
  'each checkpoint is one event');
SELECT is((SELECT safe_payload FROM event_outbox WHERE event_type = 'collection_validated'), jsonb_build_object('by',
  'me',
    'collection_id', :'k', 'collection_key', 'dir/k', 'manifest_digest', pg_temp.digest_of('dir/k'), 'ok', true,
    'problems', '[]'::jsonb), 'the event of validating carries the verdict');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT pg_temp.answers(format('fn_iu_collection_checkpoint(%L, ''collection_rendered'', ''ann'')', :'k'),
  '{"ok": true, "event_emitted": false}', 'while the master switch is off a checkpoint writes nothing, and says so');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
SELECT pg_temp.refuses(format('SELECT fn_iu_collection_' || c, :'k'), s, n, 'refused: ' || what) FROM (VALUES
  ('a checkpoint of another type', 'checkpoint(%L, ''collection_created'', ''a'')', '23514',
    'iu_collection_checkpoint'),
  ('a checkpoint of no type', 'checkpoint(%L, NULL, ''a'')', '23514', 'iu_collection_checkpoint'),
  ('a checkpoint by nobody', 'checkpoint(%L, ''collection_rendered'', '''')', '23514', 'iu_actor_required'),
  ('a checkpoint with a list', 'checkpoint(%L, ''collection_rendered'', ''a'', ''[]'')', '23514',
    'iu_collection_detail'),
  ('a checkpoint with more than 256 kB', 'checkpoint(%L, ''collection_rendered'', ''a'', jsonb_build_object(''a'', '
   'repeat(''x'', 262136)))', '23514', 'p_detail must be an object of up to 262144 bytes, or NULL'),
  ('a checkpoint with a text', 'checkpoint(%L, ''collection_rendered'', ''a'', ''{"body": 1}'')', '23514',
   'iu_event_payload_key')) AS v (what, c, s, n);
SELECT pg_temp.refuses(format('SELECT fn_iu_' || c, :'nobody'), 'P0002', 'iu_collection_unknown',
    'there is no such collection for ' || c)
  FROM unnest(ARRAY['collection_checkpoint(%L, ''collection_rendered'', ''a'')', 'render_file(%L)', 'render_html(%L)',
  'collection_export(%L)', 'collection_manifest_refresh(%L)']) c;

-- ---- views, and who reads

SELECT results_eq($$SELECT collection_key, path, exported_by, export_status FROM v_iu_collection_export_status
  ORDER BY 1$$,
  $$VALUES ('dir/k', 'iu-tree/_collections/workflow/dir/k.md', 'ann', 'current'),
           ('empty', 'iu-tree/_collections/file/empty.md', NULL, 'never')$$, 'a view says what was exported');
SELECT results_eq($$SELECT collection_key, piece_count FROM v_iu_collection_envelope ORDER BY 1$$,
  $$VALUES ('dir/k', 5::bigint), ('empty', 0)$$, 'a view lists the collections');
SELECT results_eq($$SELECT event_type, events, routes, waiting FROM v_iu_composer_event_backlog ORDER BY event_type$$,
  $$VALUES ('collection_created', 2::bigint, 0::bigint, 0::numeric), ('collection_exported', 1, 0, 0),
    ('collection_import_proposed', 3, 0, 0), ('collection_rendered', 1, 0, 0), ('collection_validated', 1, 0, 0),
    ('piece_added_to_collection', 5, 0, 0), ('piece_removed_from_collection', 0, 0, 0), ('piece_reordered', 0, 0, 0)$$,
  'a view counts the eight types of events about collections');
SELECT is(pg_temp.login('iu_test_rita', 'left(' || c || ', 9)'), a, 'a reader reads: ' || c) FROM (VALUES
  (format('fn_iu_render_file(%L)', :'e'), E'# Empty\n'), (format('fn_iu_collection_digest(%L)', :'k'),
   left(pg_temp.digest_of('dir/k'), 9)), (format('fn_iu_render_html(%L)', :'e'), '<article '),
  (format('fn_iu_collection_validate(%L)::text', :'k'), '{"ok": tr'), ('fn_iu_corpus_healthcheck()::text', '{"ok": tr'),
  (format('(SELECT count(*)::text FROM fn_iu_collection_render(%L))', :'k'), '5'),
  ('(SELECT count(*)::text FROM v_iu_collection_digest_check)', '1'),
  ('(SELECT count(*)::text FROM v_iu_collection_export_status)', '2')) AS v (c, a);
SELECT finish();
ROLLBACK;
