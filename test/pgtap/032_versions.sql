-- 032: versions of templates, which take each other's place.
\ir setup.psql
\ir 030_collections.psql
SELECT no_plan();
SELECT pg_temp.gate('iu_core.composer_enabled', true);
SELECT fn_iu_compose('f/v' || i, 'file', 'T', NULL, pg_temp.pieces(a), 'wim')
  FROM (VALUES (1, '{u1,u2}'::text[]), (2, '{u1,u2,u3}'), (3, '{u1,u2,u3}'), (4, '{u4}')) v (i, a);
SELECT fn_iu_compose(k, 'file', 'T', NULL, pg_temp.pieces('{u1,u2,u3}'), 'wim')
  FROM unnest('{plain,inst,inst2,g/v1}'::text[]) k;
SELECT fn_iu_collection_mark_as_template(pg_temp.collection(k), k, NULL, 'wim')
  FROM unnest('{f/v1,f/v2,f/v3,f/v4,g/v1}'::text[]) k;
SELECT pg_temp.collection('f/v1') AS v1, pg_temp.collection('f/v2') AS v2, pg_temp.collection('f/v3') AS v3,
  pg_temp.collection('f/v4') AS v4, pg_temp.collection('g/v1') AS g1, pg_temp.collection('plain') AS p,
  gen_random_uuid() AS nobody \gset

SELECT pg_temp.refused(format('fn_iu_collection_register_template_version(%s)', c), s, f, 'refused: ' || what)
  FROM (VALUES
  ('no collection', 'NULL, ''f'', ''v1'', 1, NULL, ''w''', 'invalid_input', 'collection_id'),
  ('no family', format('%L, NULL, ''v1'', 1, NULL, ''w''', :'v1'), 'invalid_input', 'template_family'),
  ('a family with a blank at its end', format('%L, ''f '', ''v1'', 1, NULL, ''w''', :'v1'), 'invalid_input',
   'template_family'),
  ('a blank label', format('%L, ''f'', '' '', 1, NULL, ''w''', :'v1'), 'invalid_input', 'version_label'),
  ('no number', format('%L, ''f'', ''v1'', NULL, NULL, ''w''', :'v1'), 'invalid_input', 'version_seq'),
  ('number 0', format('%L, ''f'', ''v1'', 0, NULL, ''w''', :'v1'), 'invalid_input', 'version_seq'),
  ('itself as the one before', format('%1$L, ''f'', ''v1'', 1, %1$L, ''w''', :'v1'), 'invalid_input',
   'previous_collection_id'),
  ('no actor', format('%L, ''f'', ''v1'', 1, NULL, NULL', :'v1'), 'invalid_input', 'actor'),
  ('a collection that there is not', format('%L, ''f'', ''v1'', 1, NULL, ''w''', :'nobody'), 'collection_not_found',
   'collection_id'),
  ('a collection that is no template', format('%L, ''f'', ''v1'', 1, NULL, ''w''', :'p'), 'template_not_marked',
   'collection_id'),
  ('one before that there is not', format('%L, ''f'', ''v1'', 1, %L, ''w''', :'v1', :'nobody'), 'previous_not_found',
   'previous_collection_id'),
  ('one before that is no version', format('%L, ''f'', ''v1'', 1, %L, ''w''', :'v1', :'v2'), 'previous_not_found',
   'previous_collection_id')) AS v (what, c, s, f);
SELECT is(fn_iu_collection_register_template_version(:'v1', 'f', 'v1', 1, NULL, 'ann'), jsonb_build_object('status',
  'ok',
    'collection_id', :'v1', 'template_family', 'f', 'version_label', 'v1', 'version_seq', 1, 'superseded', NULL),
  'the first version of a family takes nobody''s place');
SELECT fn_iu_collection_register_template_version(:'g1', 'g', 'v1', 1, NULL, 'ann');
SELECT pg_temp.refused(format('fn_iu_collection_register_template_version(%s)', c), s, f, 'refused: ' || what)
  FROM (VALUES
  ('another label of a version', format('%L, ''f'', ''one'', 1, NULL, ''w''', :'v1'), 'version_exists',
    'collection_id'),
  ('one before of another family', format('%L, ''f'', ''v2'', 2, %L, ''w''', :'v2', :'g1'), 'previous_of_other_family',
   'previous_collection_id'),
  ('a second current version', format('%L, ''f'', ''v2'', 2, NULL, ''w''', :'v2'), 'previous_not_current',
   'previous_collection_id'),
  ('a number that is there', format('%L, ''f'', ''v2'', 1, %L, ''w''', :'v2', :'v1'), 'seq_not_next', 'version_seq'))
  AS v (what, c, s, f);
SELECT pg_temp.answers(format($$fn_iu_collection_register_template_version(%L, 'f', 'v1', 1, NULL, 'bob')$$, :'v1'),
  jsonb_build_object('status', 'idempotent_replay', 'collection_id', :'v1', 'version_status', 'current'),
  'the same version again is a replay');
SELECT is(fn_iu_collection_register_template_version(:'v2', 'f', 'v2', 5, :'v1', 'ann') ->> 'superseded', :'v1',
  'a version takes the place of the current one; numbers may have gaps');
SELECT pg_temp.refused(format($$fn_iu_collection_register_template_version(%L, 'f', 'v3', 6, %L, 'w')$$, :'v3', :'v1'),
  'previous_not_current', 'previous_collection_id', 'a version does not take the place of a superseded one');
SELECT is(fn_iu_collection_register_template_version(:'v3', 'f', 'v3', 6, :'v2', 'ann') ->> 'status', 'ok',
  'and so on');
SELECT results_eq($$SELECT template_family, version_seq, version_label, version_status, collection_key,
    previous_collection_key, is_root_version, is_current_version, digest_drift_from_previous, family_chain_length
    FROM v_iu_template_version_chain ORDER BY 1, 2$$,
  $$VALUES ('f', 1, 'v1', 'superseded', 'f/v1', NULL, true, false, false, 3::bigint),
    ('f', 5, 'v2', 'superseded', 'f/v2', 'f/v1', false, false, true, 3),
    ('f', 6, 'v3', 'current', 'f/v3', 'f/v2', false, true, false, 3),
    ('g', 1, 'v1', 'current', 'g/v1', NULL, true, true, false, 1)$$, 'a view shows the chain of each family');
SELECT fn_iu_collection_record_template_instance(pg_temp.collection('inst'), :'v1', 'ann', NULL),
  fn_iu_collection_record_template_instance(pg_temp.collection('inst2'), :'v2', 'ann', NULL);
SELECT results_eq('SELECT template_collection_key, version_label, version_status, instance_count,
    digest_matching_instances, digest_diverged_instances, template_without_version
    FROM v_iu_template_observability ORDER BY 1',
  $$VALUES ('f/v1', 'v1', 'superseded', 1::bigint, 0::bigint, 1::bigint, false), ('f/v2', 'v2', 'superseded', 1, 1, 0,
    false),
    ('f/v3', 'v3', 'current', 0, 0, 0, false), ('f/v4', NULL, NULL, 0, 0, 0, true), ('g/v1', 'v1', 'current', 0, 0, 0,
    false)$$,
  'a view shows each template with its version and how its instances do');
SELECT pg_temp.refused(format('fn_iu_collection_unmark_template(%L, ''w'', ''r'')', :'g1'), 'template_in_use',
  'collection_id',
  'a version stays a template');

-- ---- retiring

SELECT pg_temp.refused(format('fn_iu_collection_retire_template_version(%s)', c), s, f, 'retiring is refused: ' || what)
  FROM (VALUES ('no collection', 'NULL, ''r'', ''w''', 'invalid_input', 'collection_id'),
  ('no reason', format('%L, '' '', ''w''', :'v3'), 'invalid_input', 'reason'),
  ('no actor', format('%L, ''r'', NULL', :'v3'), 'invalid_input', 'actor'),
  ('a template that is no version', format('%L, ''r'', ''w''', :'v4'), 'version_not_found',
    'collection_id')) AS v (what, c, s, f);
SELECT is(fn_iu_collection_retire_template_version(:'v3', 'no good', 'olga'), jsonb_build_object('status', 'ok',
    'collection_id', :'v3', 'template_family', 'f', 'previous', 'current', 'version_status', 'retired'),
  'the current version is retired');
SELECT results_eq(format('SELECT retired_at IS NOT NULL, retire_reason FROM iu_collection_template_version
    WHERE collection_id = %L', :'v3'), $$VALUES (true, 'no good')$$, 'when and why a version was retired is kept');
SELECT pg_temp.answers(format($$fn_iu_collection_retire_template_version(%L, 'again', 'olga')$$, :'v3'),
  '{"status": "idempotent_replay", "version_status": "retired"}', 'retiring it again writes nothing');
SELECT pg_temp.refused(format($$fn_iu_collection_register_template_version(%L, 'f', 'v4', 7, %L, 'w')$$, :'v4', :'v3'),
  'previous_not_current', 'previous_collection_id', 'a version does not take the place of a retired one');
SELECT is(fn_iu_collection_register_template_version(:'v4', 'f', 'v4', 7, NULL, 'ann') ->> 'status', 'ok',
  'a family without a current version gets one with nobody before it');
SELECT is((SELECT count(*) FROM dot_iu_command_run WHERE command_name IN ('dot_iu_register_template_version',
    'dot_iu_retire_template_version')), 6::bigint, 'what changed a version is in the ledger of commands');
SET LOCAL ROLE iu_core_owner;
SELECT pg_temp.refuses('UPDATE iu_collection_template_version SET version_status = ''current'', retired_at = NULL,
  retire_reason = NULL', '23505', 'iu_collection_template_version_current_key', 'no family has two current versions');
RESET ROLE;
SELECT pg_temp.refuses('DELETE FROM iu_collection_template_version', '42501', 'iu_composer_blocked',
  'a superuser too writes versions by functions only');
SELECT pg_temp.gate('iu_core.composer_enabled', false);
SELECT pg_temp.refuses('SELECT iu_core.rollback(31)', '55006', 'iu_rollback_rows',
  'a rollback that would lose versions is refused');
SELECT finish();
ROLLBACK;
