-- 015: policies and vocabularies, which an administrator changes by a call.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT is(fn_iu_policy_set('iu_edit.policy.default_mode', 'auto_apply', 'ada', 'small team') - 'run_id',
  '{"status": "set", "key": "iu_edit.policy.default_mode", "previous": "require_review", "value": "auto_apply"}',
  'a policy is set');
SELECT is(fn_iu_policy_set('iu_edit.policy.default_mode', 'auto_apply', 'ada', 'again') ->> 'status', 'unchanged',
  'a policy that has the value is unchanged');
SELECT is((SELECT array_agg(evidence ->> 'reason' ORDER BY created_at) FROM dot_iu_command_run
            WHERE command_name = 'dot_iu_policy_set'), ARRAY['small team', 'again'], 'setting a policy is logged');
SELECT pg_temp.refuses(format('SELECT fn_iu_policy_set(%s)', c), e, n, 'a policy is not set: ' || what)
  FROM (VALUES ('a gate', '''iu_core.delivery_enabled'', ''true'', ''a'', ''r''', '42501', 'iu_policy_unknown'),
  ('the key of the marker', '''iu_create.gateway.marker_key'', ''x'', ''a'', ''r''', '42501', 'iu_policy_unknown'),
  ('no key', 'NULL, ''x'', ''a'', ''r''', '42501', 'iu_policy_unknown'),
  ('another value', '''iu_create.gateway.mode'', ''off'', ''a'', ''r''', '23514', 'iu_policy_value'),
  ('a value with more', 'E''iu_create.gateway.mode'', E''enforced\nx'', ''a'', ''r''', '23514', 'iu_policy_value'),
  ('no value', '''iu_create.gateway.mode'', NULL, ''a'', ''r''', '23514', 'iu_policy_value'),
  ('no actor', '''iu_create.gateway.mode'', ''prepared'', '''', ''r''', '23514', 'iu_actor_and_reason'),
  ('no reason', '''iu_create.gateway.mode'', ''prepared'', ''a'', NULL', '23514', 'iu_actor_and_reason'))
  AS v (what, c, e, n);
DELETE FROM dot_config WHERE key = 'iu_create.gateway.mode';
SELECT pg_temp.refuses($$SELECT fn_iu_policy_set('iu_create.gateway.mode', 'enforced', 'a', 'r')$$, '42704',
  'iu_policy_missing', 'a policy whose row is gone is not set');
INSERT INTO dot_config (key, value) VALUES ('iu_create.gateway.mode', 'enforced');

-- ---- vocabularies

SELECT is(fn_iu_vocab_add('unit_kind', 'recipe', 'a recipe', 'ada', 'cooks') - 'run_id',
  '{"status": "added", "vocabulary": "unit_kind", "value": "recipe", "previous": null}', 'a value is added');
SELECT is((SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok), 0::bigint,
  'a value of the platform''s own is no finding of conformance');
SELECT is(fn_iu_create('x', 't', 'b', 'wim', 'recipe') ->> 'status', 'created', 'a unit of the new kind is created');
SELECT is(fn_iu_vocab_add('unit_kind', 'recipe', 'a good recipe', 'ada', 'r') ->> 'status', 'changed',
  'what a value means is changed');
SELECT is(fn_iu_vocab_add('unit_kind', 'recipe', 'a good recipe', 'ada', 'r') ->> 'status', 'unchanged',
  'a value that means this is unchanged');
SELECT pg_temp.refuses(format('SELECT fn_iu_vocab_add(%s)', c), '23514', n, 'a value is not added: ' || n)
  FROM (VALUES ('''colour'', ''red'', ''d'', ''a'', ''r''', 'iu_vocabulary'),
  ('NULL, ''red'', ''d'', ''a'', ''r''', 'iu_vocabulary'),
  ('''unit_kind'', ''Red'', ''d'', ''a'', ''r''', 'iu_vocabulary_value'),
  ('''unit_kind'', NULL, ''d'', ''a'', ''r''', 'iu_vocabulary_value'),
  ('''unit_kind'', ''red'', '' '', ''a'', ''r''', 'iu_vocabulary_description'),
  ('''unit_kind'', ''red'', ''d'', NULL, ''r''', 'iu_actor_and_reason')) AS v (c, n);
SELECT pg_temp.refuses(format('SELECT fn_iu_vocab_remove(%s)', c), e, n, 'a value is not removed: ' || what)
  FROM (VALUES ('a unit has it', '''unit_kind'', ''recipe'', ''a'', ''r''', '55006', 'iu_vocabulary_value_used'),
  ('a unit has it as its section', '''section_type'', ''section'', ''a'', ''r''', '55006', 'iu_vocabulary_value_used'),
  ('it is the default', '''unit_kind'', ''design_doc_section'', ''a'', ''r''', '55006', 'iu_vocabulary_value_used'),
  ('it is not there', '''unit_kind'', ''poem'', ''a'', ''r''', '42704', 'iu_vocabulary_value_unknown'),
  ('no reason', '''unit_kind'', ''law_unit'', ''a'', ''''', '23514', 'iu_actor_and_reason')) AS v (what, c, e, n);
SELECT fn_iu_create('p', 't', 'b', 'wim', p_publication_type => 'law');
SELECT pg_temp.refuses($$SELECT fn_iu_vocab_remove('publication_type', 'law', 'a', 'r')$$, '55006',
  'iu_vocabulary_value_used', 'a publication type that a unit has is not removed');
SELECT is(fn_iu_vocab_remove('section_type', 'checklist', 'ada', 'nobody uses it') - 'run_id',
  '{"status": "removed", "vocabulary": "section_type", "value": "checklist", "previous": "checklist"}',
  'a value that came with the migration is removed');
SELECT is((SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok), 0::bigint,
  'a value that was removed is no finding of conformance');
SELECT is((SELECT count(*) FROM dot_iu_command_run WHERE command_name IN ('dot_iu_vocab_add', 'dot_iu_vocab_remove')),
  4::bigint, 'adding to and removing from vocabularies is logged');
SELECT is(pg_temp.login(r, c), '42501 permission denied for function ' || f, r || ' does not call ' || f)
  FROM unnest(ARRAY['iu_test_olga', 'iu_test_wim', 'iu_test_robot']) r,
  (VALUES ('fn_iu_policy_set', $$fn_iu_policy_set('iu_create.gateway.mode', 'prepared', 'x', 'x')$$),
  ('fn_iu_vocab_add', $$fn_iu_vocab_add('unit_kind', 'x', 'x', 'x', 'x')$$),
  ('fn_iu_vocab_remove', $$fn_iu_vocab_remove('unit_kind', 'x', 'x', 'x')$$)) AS v (f, c);

-- ---- which value a unit gets

SELECT is(fn_iu_resolve_default(v, g, k) - 'message', jsonb_build_object('status', s, 'value', r), s || ' ' || what)
  FROM (VALUES ('a value that is given', 'unit_kind', 'law_unit', NULL, 'explicit', 'law_unit'),
  ('a value that is not in the vocabulary', 'unit_kind', 'poem', NULL, 'invalid', NULL),
  ('the default', 'unit_kind', NULL, 'iu_create.default_unit_kind', 'default', 'design_doc_section'),
  ('a default that is not in the vocabulary', 'unit_kind', NULL, 'iu_edit.policy.default_mode', 'invalid', NULL),
  ('the one value', 'publication_authority', NULL, NULL, 'auto_single', 'incomex_council'),
  ('several values', 'unit_kind', NULL, 'none', 'invalid_input', NULL),
  ('no vocabulary', 'colour', 'red', NULL, 'invalid_input', NULL)) AS v (what, v, g, k, s, r);

-- ---- a rollback keeps what people added

SELECT pg_temp.refuses('SELECT iu_core.rollback(14)', '55006', 'iu_rollback_rows',
  'a rollback that would lose units, drafts or runs is refused');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.delivery_enabled';
SELECT pg_temp.refuses(format('SELECT iu_core.rollback(%s, allow_data_loss => true)', t), '55006',
  'iu_rollback_gate_open', format('a rollback to %s is refused while a gate is open, at all costs', t))
  FROM unnest(ARRAY[14, 15, 16]) t;
SELECT finish();
ROLLBACK;
