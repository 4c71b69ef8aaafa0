-- 031: templates of one's own kind: kinds and roles that an administrator adds by a
-- call are as good as those that came with the migrations; and how they are rendered.
\ir setup.psql
\ir 030_collections.psql
SELECT no_plan();
SELECT pg_temp.gate('iu_core.composer_enabled', true), pg_temp.gate('iu_core.auto_instantiate_enabled', true);
CREATE FUNCTION pg_temp.recipe(p_key text, p_kind text, p_role text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT fn_iu_compose(p_key, p_kind, 'A recipe', NULL,
    pg_temp.pieces(ARRAY['u1', 'u2', 'u3'], 'title', p_role, 'step'), 'wim') $$;

-- ---- adding words

SELECT pg_temp.refuses($$SELECT pg_temp.recipe('r', 'recipe', 'body')$$, '23514', 'iu_piece_collection_kind_chk',
  'a kind that nobody has added is refused');
SELECT pg_temp.refuses($$SELECT pg_temp.recipe('r', 'file', 'ingredients')$$, '23514', 'not one of.*ingredients',
  'a role that nobody has added is refused');
SELECT is(pg_temp.login(u,
    format('fn_iu_vocab_add(%L, %L, ''what it means'', ''ada'', ''we cook'') ->> ''status''', v, w)), a,
  format('%s adds %s %s: %s', u, v, w, a)) FROM (VALUES
  ('iu_test_ada', 'collection_kind', 'recipe', 'added'), ('iu_test_ada', 'piece_role', 'ingredients', 'added'),
  ('iu_test_ada', 'piece_role', 'ingredients', 'unchanged'),
  ('iu_test_wim', 'piece_role', 'hint', '42501 permission denied for function fn_iu_vocab_add')) AS t (u, v, w, a);
SELECT pg_temp.refuses(format('SELECT fn_iu_vocab_add(%L, %L, ''m'', ''ada'', ''r'')', v, w), '23514', c,
  format('refused as a word: %s %s', v, w)) FROM (VALUES
  ('collection_kind', 'Recipe', 'iu_vocabulary_value'), ('piece_role', 'two words', 'iu_vocabulary_value'),
  ('piece_role', 'a"><script>', 'iu_vocabulary_value'), ('piece_role', '../x', 'iu_vocabulary_value'),
  ('piece_role', '', 'iu_vocabulary_value'), ('collection_sort', 'x', 'iu_vocabulary')) AS t (v, w, c);
SELECT is_empty('SELECT * FROM fn_iu_conformance() WHERE NOT ok', 'the database conforms with words of its own');

-- ---- a template of that kind

SELECT is(pg_temp.recipe('tpl:recipe/v1', 'recipe', 'ingredients') -> 'pieces_attached', '3',
  'a collection of the new kind with a piece of the new role is composed');
SELECT pg_temp.collection('tpl:recipe/v1') AS t \gset
SELECT is(fn_iu_collection_add_piece(:'t', pg_temp.id_of('u4'), NULL, 'ingredients', 'wim') -> 'piece_order', '3',
  'a piece of the new role is added');
SELECT is(fn_iu_collection_mark_as_template(:'t', 'Recipe', NULL, 'wim') ->> 'status', 'ok',
  'a collection of the new kind becomes a template');
SELECT is(fn_iu_auto_instantiate_from_event(gen_random_uuid(), 'dinner', :'t', 'dinner', 'live', 'wim', NULL)
    - '{instance_collection_id,idempotency_key}'::text[], '{"status": "ok", "emit_mode": "live", "pieces_attached": 4,
  "instance_collection_key": "tpl-inst:auto:dinner", "digest_matches_template": true}',
  'an event makes a collection after it');
SELECT is((SELECT collection_kind FROM iu_piece_collection WHERE collection_key = 'tpl-inst:auto:dinner'), 'recipe',
  'what is made after it is of its kind');
SELECT is(pg_temp.order_of('tpl-inst:auto:dinner'), '0 title u1, 1 ingredients u2, 2 step u3, 3 ingredients u4',
  'what is made after it has its roles');
SELECT is(fn_iu_render_html(:'t'), E'<article data-collection="tpl:recipe/v1">\n<h1>A recipe</h1>\n'
  '<section class="title" data-address="u1">\n<p>text 1</p>\n</section>\n'
  '<section class="ingredients" data-address="u2">\n<h2>Unit 2</h2>\n<p>text 2</p>\n</section>\n'
  '<section class="step" data-address="u3">\n<h2>1. Unit 3</h2>\n<p>text 3</p>\n</section>\n'
  '<section class="ingredients" data-address="u4">\n<h2>Unit 4</h2>\n<p>text 4</p>\n</section>\n</article>\n',
  'a piece of the new role is rendered under a heading, with the role as its class');
SELECT matches(fn_iu_collection_export(:'t'), 'path: iu-tree/_collections/recipe/tpl:recipe/v1.md',
  'the file of a collection lies below its kind');
SELECT is(fn_iu_collection_import_propose(replace(fn_iu_collection_export(:'t'), '- step u3', '- ingredients u3'),
  'ann') #>> '{move,0,piece_role}', 'ingredients', 'a proposal knows the new role');

-- ---- taking words away

SELECT pg_temp.refuses(format('SELECT fn_iu_vocab_remove(%L, %L, ''ada'', ''r'')', v, w), '55006',
  'iu_vocabulary_value_used', format('a word in use stays: %s %s', v, w)) FROM (VALUES
  ('collection_kind', 'recipe'), ('piece_role', 'ingredients'), ('piece_role', 'title')) AS t (v, w);
SELECT fn_iu_collection_remove_piece(c, pg_temp.id_of(u), 'wim')
  FROM unnest(ARRAY[:'t', pg_temp.collection('tpl-inst:auto:dinner')]::uuid[]) c, unnest(ARRAY['u2', 'u4']) u;
SELECT pg_temp.refuses($$SELECT fn_iu_vocab_remove('piece_role', 'ingredients', 'ada', 'r')$$, '55006',
  'a piece of collection', 'a role that a removed piece had stays: the piece may come back');
SELECT is(fn_iu_vocab_add('piece_role', 'hint', 'what may help', 'ada', 'r') ->> 'status', 'added', 'one more role');
SELECT is(fn_iu_vocab_remove('piece_role', w, 'ada', 'r') ->> 'status', 'removed',
  'a role that nothing has goes: ' || w)
  FROM unnest(ARRAY['hint', 'clause']) w;
SELECT pg_temp.refuses(format('SELECT fn_iu_collection_add_piece(%L, pg_temp.id_of(''u5''), NULL, %L, ''w'')', :'t', w),
  '23514', 'iu_piece_membership_role_chk', 'a role that is gone is refused: ' || w)
  FROM unnest(ARRAY['hint', 'clause']) w;
SELECT is(fn_iu_vocab_remove('collection_kind', 'document', 'ada', 'r') ->> 'status', 'removed',
  'a kind that nothing has goes, one that came with the migration too');
SELECT pg_temp.refuses($$SELECT fn_iu_collection_create('d', 'document', 'D', NULL, 'w')$$, '23514',
  'iu_piece_collection_kind_chk', 'a kind that is gone is refused');
SELECT fn_iu_vocab_add('collection_kind', 'document', 'again', 'ada', 'r'),
  fn_iu_vocab_add('piece_role', 'clause', 'again', 'ada', 'r');
SELECT is_empty('SELECT * FROM fn_iu_conformance() WHERE NOT ok', 'the database conforms when they are back');

-- ---- headings by depth

SELECT fn_iu_import('[{"canonical_address": "b", "title": "Book", "body": "bb"},
  {"canonical_address": "b/1", "title": "Chapter", "body": "cc", "parent_address": "b"},
  {"canonical_address": "b/1/1", "title": "Section", "body": "ss", "parent_address": "b/1"},
  {"canonical_address": "b/2", "title": "Late", "body": "ll", "parent_address": "b"},
  {"canonical_address": "d1", "title": "D1", "body": "1"},
  {"canonical_address": "d2", "title": "D2", "body": "2", "parent_address": "d1"},
  {"canonical_address": "d3", "title": "D3", "body": "3", "parent_address": "d2"},
  {"canonical_address": "d4", "title": "D4", "body": "4", "parent_address": "d3"},
  {"canonical_address": "d5", "title": "D5", "body": "5", "parent_address": "d4"},
  {"canonical_address": "d6", "title": "D6", "body": "6", "parent_address": "d5"},
  {"canonical_address": "d7", "title": "D7", "body": "7", "parent_address": "d6"}]', 'wim', false);
CREATE FUNCTION pg_temp.headings(p_key text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(m[1] || ' ' || m[2], ', ' ORDER BY n)
    FROM regexp_matches(fn_iu_render_html(pg_temp.collection(p_key)), '<(h[2-6])>([^<]*)</\1>', 'g')
         WITH ORDINALITY AS x (m, n) $$;
SELECT fn_iu_compose('book', 'file', 'Books', NULL, pg_temp.pieces(ARRAY['b/2', 'b', 'b/1', 'u1', 'b/1/1']), 'w');
SELECT is(pg_temp.headings('book'), 'h2 Late, h2 Book, h3 Chapter, h2 Unit 1, h4 Section',
  'what is part of a piece before it stands one level deeper; before its whole a part stands as any other');
SELECT is(fn_iu_render_file(pg_temp.collection('book')),
  E'# Books\n\n## Late\n\nll\n\n## Book\n\nbb\n\n### Chapter\n\ncc\n\n## Unit 1'
  '\n\ntext 1\n\n#### Section\n\nss\n', 'in Markdown the headings have the same levels');
SELECT fn_iu_compose('skip', 'file', 'S', NULL,
  pg_temp.pieces(ARRAY['b', 'b/1/1', 'b/2'], 'intro', 'body', 'body'), 'w');
SELECT is(pg_temp.headings('skip'), 'h2 Section, h2 Late',
  'a piece without a heading, and a unit that is no piece, make no level');
SELECT fn_iu_compose('deep', 'file', 'D', NULL, pg_temp.pieces(ARRAY['d1', 'd2', 'd3', 'd4', 'd5', 'd6', 'd7']), 'w');
SELECT is(pg_temp.headings('deep'), 'h2 D1, h3 D2, h4 D3, h5 D4, h6 D5, h6 D6, h6 D7', 'there are six levels');
SELECT fn_iu_collection_reorder_piece(pg_temp.collection('book'), pg_temp.id_of('b'), 4, 'w');
SELECT is(pg_temp.headings('book'), 'h2 Late, h2 Chapter, h2 Unit 1, h3 Section, h2 Book',
  'levels follow the order of the pieces');

-- ---- whatever is written, it is text in HTML

CREATE FUNCTION pg_temp.noise(p_n integer, p_length integer) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg((ARRAY['<', '>', '&', '"', '''', '/', '=', 'script', 'img src=x onerror=alert(1)', '<!--', '-->',
      '</section>', '<h2>', '&lt;', '&#60;', 'javascript:', '<![CDATA[', ']]>', '<svg/onload=1>', '`', '\', ' ', 'a',
      E'\n', E'\n\n', E' \n \n', E'\r\n', E'\t', '<br>', '<p>', '{{', '%s', '\1', '&', U&'\2028', U&'\FF1C'])[
        1 + (hashint8(p_n::bigint * 1000003 + i) & 2147483647) % 36], '') FROM generate_series(1, p_length) i $$;
-- All that is markup in a rendering is what the renderer itself writes, each tag closed by its own.
CREATE FUNCTION pg_temp.is_tame(p_html text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_tag  text;
  v_open text[] := '{}';
BEGIN
  FOR v_tag IN SELECT m[1] FROM regexp_matches(p_html, '(<[^>]*>?)', 'g') AS m LOOP
    IF v_tag ~ '^<br>$' THEN
      CONTINUE;
    ELSIF v_tag ~ '^</' THEN
      IF v_open[cardinality(v_open)] IS DISTINCT FROM substr(v_tag, 3, length(v_tag) - 3) THEN
        RETURN format('%s closes %s', v_tag, v_open);
      END IF;
      v_open := v_open[: cardinality(v_open) - 1];
    ELSIF v_tag ~ ('^<(article data-collection="[^"<>]*"|section class="[a-z0-9_]+" data-address="[^"<>]*"|'
                   'h[1-6]|p)>$') THEN
      v_open := array_append(v_open, (regexp_match(v_tag, '^<([a-z0-9]+)'))[1]);
    ELSE
      RETURN v_tag;
    END IF;
  END LOOP;
  RETURN CASE WHEN v_open <> '{}' THEN format('%s are open', v_open)
              WHEN p_html ~ '&(?!(amp|lt|gt|quot|#39);)' THEN 'an entity of somebody''s' END;
END $$;
SELECT fn_iu_create(format('n%s %s', n, btrim(regexp_replace(pg_temp.noise(n, 9), E'\\s+|\\u2028', 'x', 'g'))),
    'T' || regexp_replace(pg_temp.noise(n + 1000, 9), E'[\\n\\r\\t]+|\\u2028', 'y', 'g'),
    'B' || pg_temp.noise(n + 2000, 60), 'wim') ->> 'status' AS created FROM generate_series(1, 60) n \g /dev/null
SELECT fn_iu_compose('noise/"<' || '&>''x', 'recipe', '</h1><script>', '"><img src=x>',
  (SELECT jsonb_agg(jsonb_build_object('role', (ARRAY['body', 'step', 'intro'])[1 + n % 3], 'iu_id', id))
     FROM (SELECT id, row_number() OVER () AS n FROM information_unit WHERE canonical_address ~ '^n[0-9]+ ') x), 'w')
  -> 'pieces_attached' AS noisy \gset
SELECT cmp_ok(:noisy, '>=', 55, 'there are units of noise');
SELECT is(pg_temp.is_tame(fn_iu_render_html(pg_temp.collection('noise/"<&>''x'))), NULL,
  'nothing in keys, addresses, titles and texts is markup, or a character of another name');
SELECT is((SELECT count(*)
     FROM regexp_matches(fn_iu_render_html(pg_temp.collection('noise/"<&>''x')), '<section', 'g')),
  :noisy::bigint, 'each of them has a section');
SELECT is(pg_temp.is_tame('<p>a<img src=x></p>'), '<img src=x>', 'the look at markup sees what is none of ours');
SELECT is(pg_temp.is_tame('<p>a&nbsp;b</p>'), 'an entity of somebody''s', 'the look at markup sees entities');
SELECT is((SELECT count(DISTINCT fn_iu_render_html(id) || fn_iu_render_file(id)) FROM iu_piece_collection,
  generate_series(1, 3) WHERE collection_key ~ '^(book|noise|deep)'), 3::bigint,
  'rendering again gives the same bytes');
SELECT finish();
ROLLBACK;
