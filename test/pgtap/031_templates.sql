-- 031: which collections are templates, and which were made after them.
\ir setup.psql
\ir 030_collections.psql
SELECT no_plan();
SELECT pg_temp.gate('iu_core.composer_enabled', true);
SELECT fn_iu_compose(k, 'file', 'T', NULL, pg_temp.pieces('{u1,u2}'), 'wim')
  FROM unnest(ARRAY['tpl', 'inst', 'other', 'stranger', 'plain', 'gone']) k;
SELECT fn_iu_collection_reorder_piece(pg_temp.collection('stranger'), pg_temp.id_of('u1'), 1, 'wim');
SELECT pg_temp.gate('iu_core.composer_enabled', false);
SET LOCAL ROLE iu_core_owner;
UPDATE iu_piece_collection SET deleted_at = now() WHERE collection_key = 'gone';
RESET ROLE;
SELECT pg_temp.collection('tpl') AS t, pg_temp.collection('inst') AS i, pg_temp.collection('other') AS o,
  pg_temp.collection('stranger') AS s, pg_temp.collection('plain') AS p, pg_temp.collection('gone') AS g,
  gen_random_uuid() AS nobody \gset

-- ---- marking

SELECT pg_temp.refused(format('fn_iu_collection_mark_as_template(%s)', c), s, f, 'marking is refused: ' || what)
  FROM (VALUES
  ('no collection', 'NULL, ''l'', NULL, ''w''', 'invalid_input', 'collection_id'),
  ('no label', format('%L, NULL, NULL, ''w''', :'t'), 'invalid_input', 'template_label'),
  ('a blank label', format('%L, '' '', NULL, ''w''', :'t'), 'invalid_input', 'template_label'),
  ('a label in two lines', format('%L, E''a\nb'', NULL, ''w''', :'t'), 'invalid_input', 'template_label'),
  ('a blank doc', format('%L, ''l'', E'' \n'', ''w''', :'t'), 'invalid_input', 'template_doc'),
  ('a doc of more than 64 kB', format('%L, ''l'', repeat(''x'', 65537), ''w''', :'t'), 'invalid_input', 'template_doc'),
  ('no actor', format('%L, ''l'', NULL, NULL', :'t'), 'invalid_input', 'actor'),
  ('a collection that there is not', format('%L, ''l'', NULL, ''w''', :'nobody'), 'collection_not_found',
    'collection_id'),
  ('a collection that is deleted', format('%L, ''l'', NULL, ''w''', :'g'), 'collection_not_found', 'collection_id'))
  AS v (what, c, s, f);
SELECT is(pg_temp.login('iu_test_robot', format($$fn_iu_collection_mark_as_template(%L, 'A report', E'for\nall',
  'robot')$$,
    :'t'))::jsonb, '{"status": "ok", "is_template": true, "was_template_before": false}',
  'an agent makes a collection a template, without any gate');
SELECT results_eq($$SELECT collection_key, template_label, template_doc, registered_by, instance_count
    FROM v_iu_product_template$$, $$VALUES ('tpl', 'A report', E'for\nall', 'robot', 0::bigint)$$,
  'a view lists the templates');
SELECT results_eq($$SELECT actor, evidence ->> 'template_label' FROM dot_iu_command_run
    WHERE command_name = 'dot_iu_register_template'$$, $$VALUES ('robot', 'A report')$$,
    'marking is in the ledger of commands');
SELECT pg_temp.answers(format($$fn_iu_collection_mark_as_template(%L, 'A report', E'for\nall', 'ann')$$, :'t'),
  '{"status": "ok", "is_template": true, "was_template_before": true}', 'marking it again the same way writes nothing');
SELECT is(fn_iu_collection_mark_as_template(:'t', 'Report', NULL, 'ann'),
  '{"status": "ok", "is_template": true, "was_template_before": true}', 'its label is changed by marking it again');
SELECT results_eq('SELECT template_label, template_doc, registered_by FROM iu_collection_template_registry',
  $$VALUES ('Report', NULL::text, 'ann')$$, 'a template has the label that was given last');

-- ---- instances

SELECT fn_iu_collection_mark_as_template(:'o', 'Other', NULL, 'ann');
SELECT pg_temp.refused(format('fn_iu_collection_record_template_instance(%s)', c), s, f, 'recording is refused: '
  || what)
  FROM (VALUES ('no instance', 'NULL, NULL, ''w'', NULL', 'invalid_input', 'instance_collection_id'),
  ('no template', format('%L, NULL, ''w'', NULL', :'i'), 'invalid_input', 'template_collection_id'),
  ('no actor', format('%L, %L, '' '', NULL', :'i', :'t'), 'invalid_input', 'actor'),
  ('a note in two lines', format('%L, %L, ''w'', E''a\nb''', :'i', :'t'), 'invalid_input', 'note'),
  ('a template of itself', format('%L, %L, ''w'', NULL', :'t', :'t'), 'self_not_allowed', 'instance_collection_id'),
  ('an instance that there is not', format('%L, %L, ''w'', NULL', :'nobody', :'t'), 'collection_not_found',
   'instance_collection_id'),
  ('an instance that is deleted', format('%L, %L, ''w'', NULL', :'g', :'t'), 'collection_not_found',
   'instance_collection_id'),
  ('a template that there is not', format('%L, %L, ''w'', NULL', :'i', :'nobody'), 'collection_not_found',
   'template_collection_id'),
  ('a template that is deleted', format('%L, %L, ''w'', NULL', :'i', :'g'), 'collection_not_found',
   'template_collection_id'),
  ('a template that is none', format('%L, %L, ''w'', NULL', :'i', :'p'), 'template_not_marked',
   'template_collection_id')) AS v (what, c, s, f);
SELECT is(fn_iu_collection_record_template_instance(:'i', :'t', 'ann', 'the first'), jsonb_build_object('status', 'ok',
    'instance_collection_id', :'i', 'template_collection_id', :'t', 'instance_manifest_digest',
    pg_temp.digest_of('inst'),
    'template_manifest_digest', pg_temp.digest_of('tpl'), 'digest_matches_template', true),
  'an instance is recorded, and has the digest of its template');
SELECT pg_temp.answers(format($$fn_iu_collection_record_template_instance(%L, %L, 'bob', NULL)$$, :'i', :'t'),
  '{"status": "ok", "digest_matches_template": true}', 'recording it again writes nothing');
SELECT is(fn_iu_collection_record_template_instance(:'i', :'t', 'bob', 'noted') ->> 'status', 'ok',
  'its note is changed');
SELECT results_eq('SELECT instantiated_by, instance_note FROM iu_collection_template_instance_lineage',
  $$VALUES ('ann', 'noted')$$, 'who made an instance stays as it was recorded first');
SELECT pg_temp.refused(format($$fn_iu_collection_record_template_instance(%L, %L, 'w', NULL)$$, :'i', :'o'),
  'lineage_exists_for_other_template', 'instance_collection_id', 'an instance has one template');
SELECT is(fn_iu_collection_record_template_instance(:'s', :'t', 'ann', NULL) -> 'digest_matches_template', 'false',
  'an instance of another order has another digest');
SELECT results_eq($$SELECT instance_collection_key, template_collection_key, instantiated_by, digest_matches_template
    FROM v_iu_product_template_instance ORDER BY 1$$,
  $$VALUES ('inst', 'tpl', 'ann', true), ('stranger', 'tpl', 'ann', false)$$, 'a view lists the instances');
SELECT is((SELECT instance_count FROM v_iu_product_template WHERE collection_key = 'tpl'), 2::bigint,
  'a template counts its instances');

-- ---- taking it back

SELECT pg_temp.refused(format('fn_iu_collection_unmark_template(%s)', c), s, f, 'unmarking is refused: ' || what)
  FROM (VALUES
  ('no collection', 'NULL, ''w'', ''r''', 'invalid_input', 'collection_id'),
  ('no actor', format('%L, NULL, ''r''', :'o'), 'invalid_input', 'actor'),
  ('no reason', format('%L, ''w'', NULL', :'o'), 'invalid_input', 'reason'),
  ('a collection that there is not', format('%L, ''w'', ''r''', :'nobody'), 'collection_not_found', 'collection_id'),
  ('a collection that is no template', format('%L, ''w'', ''r''', :'p'), 'template_not_marked',
    'template_collection_id'),
  ('a template with instances', format('%L, ''w'', ''r''', :'t'), 'template_in_use', 'collection_id')) AS v (what, c,
    s, f);
SELECT is(fn_iu_collection_unmark_template(:'o', 'ann', 'a mistake'), '{"status": "ok", "is_template": false}',
  'a template without instances ceases to be one');
SELECT results_eq($$SELECT actor, evidence ->> 'reason' FROM dot_iu_command_run
    WHERE command_name = 'dot_iu_unregister_template'$$, $$VALUES ('ann', 'a mistake')$$,
  'unmarking is in the ledger of commands');

-- ---- who writes, and the way back

SELECT pg_temp.refuses(s, '42501', 'iu_composer_blocked', 'a superuser too is refused: ' || s) FROM unnest(ARRAY[
  'DELETE FROM iu_collection_template_registry', 'TRUNCATE iu_collection_template_registry',
  'UPDATE iu_collection_template_instance_lineage SET instance_note = NULL',
  'TRUNCATE iu_collection_template_instance_lineage CASCADE']) s;
SET LOCAL ROLE iu_core_owner;
SELECT pg_temp.refuses(
  'UPDATE iu_collection_template_instance_lineage SET template_collection_id = instance_collection_id', '23514',
  'iu_template_lineage_self_not_allowed', 'the table itself refuses a template of itself');
RESET ROLE;
SELECT is(pg_temp.login('iu_test_rita', 'fn_iu_collection_mark_as_template(NULL, NULL, NULL, NULL)'),
  '42501 permission denied for function fn_iu_collection_mark_as_template', 'a reader marks nothing');
SELECT pg_temp.refuses('SELECT iu_core.rollback(30)', '55006', 'iu_rollback_rows',
  'a rollback that would lose templates is refused');
SELECT finish();
ROLLBACK;
