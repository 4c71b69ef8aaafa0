-- 016: recording decisions, and whether a decision allows an act.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT fn_iu_create(a, upper(a), 'text ' || a, 'wim') FROM unnest(ARRAY['a', 'b', 'c', 'd']) a;
SET LOCAL app.canonical_writer = 'fn_iu_retire';
UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'd';
SET LOCAL app.canonical_writer = '';
-- Records a decision as somebody, and returns its id.
CREATE FUNCTION pg_temp.decide(p_login text, p_operation text, p_addresses text[], p_verdict text DEFAULT 'approve',
  p_more text DEFAULT '') RETURNS uuid LANGUAGE sql AS $$
  SELECT (pg_temp.login(p_login, format('fn_iu_review_decision_record(%L, %L, %L, %L, ''looked at it'' %s)',
    p_operation, p_addresses, p_verdict, p_login, p_more))::jsonb ->> 'review_decision_id')::uuid $$;
CREATE FUNCTION pg_temp.check(p_decision uuid, p_operation text, p_addresses text[]) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(x ->> 'detail', x ->> 'status', 'allowed') FROM fn_iu_review_decision_check(p_decision, p_operation,
    p_addresses) x $$;

-- ---- recorded

SELECT pg_temp.login('iu_test_olga', $$fn_iu_review_decision_record('enact', '{a,b}', 'approve', 'olga', 'good',
  '[{"n": 1}]', 'human', 'high')$$)::jsonb AS r \gset
SELECT is(:'r'::jsonb - 'review_decision_id' - 'manifest_id',
  '{"status": "recorded", "operation": "enact", "verdict": "approve", "units": 2}', 'an operator records a decision');
SELECT results_eq($$SELECT d.operation, d.verdict, d.status, d.decided_by, d.login, d.rationale, d.findings,
    d.risk_class_assessment, d.canonical_addresses, d.body_digests FROM v_iu_review_decision d$$,
  $$VALUES ('enact', 'approve', 'decided', 'olga', 'iu_test_olga', 'good', '[{"n": 1}]'::jsonb, 'high',
    ARRAY['a', 'b'], ARRAY[fn_content_hash('text a'), fn_content_hash('text b')])$$,
  'a decision is shown with its units and the digests of their texts');
SELECT is((SELECT count(*) FROM pg_attribute WHERE attrelid = 'cutter_governance.review_decision'::regclass
            AND attnum > 0 AND NOT attisdropped), 25::bigint, 'a decision has 25 columns');
SELECT is((SELECT array_agg(attname ORDER BY attname)::text FROM pg_attribute WHERE attnotnull AND attnum > 0
            AND attrelid = 'cutter_governance.review_decision'::regclass),
  '{created_at,cross_signed_by_dot_verifier,decided_by,decision_at,findings,governance_event_kind,manifest_id,'
  'manifest_version,review_decision_id,review_scope,reviewer_class,reviewer_identity,risk_class_assessment,status,'
  'updated_at,verdict,version}', 'and these of them are required');
SELECT is((SELECT manifest_digest FROM cutter_governance.manifest_envelope),
  fn_content_hash('a:' || fn_content_hash('text a') || '|b:' || fn_content_hash('text b')),
  'a manifest has the digest of its units');
SELECT isnt(pg_temp.decide('iu_test_olga', o, a), NULL, 'a decision on units that are not there yet: ' || o)
  FROM (VALUES ('cut', ARRAY['new1', 'new2']), ('split', ARRAY['a', 'new1', 'new2'])) AS v (o, a);

-- ---- refused, with nothing written

SELECT pg_temp.refused(format('fn_iu_review_decision_record(%s)', c), 'invalid_input', f,
  'a decision is not recorded: ' || what)
  FROM (VALUES ('operation', 'another operation', $$'burn', '{a}', 'approve', 'o', 'r'$$),
  ('operation', 'no operation', $$NULL, '{a}', 'approve', 'o', 'r'$$),
  ('canonical_addresses', 'no units', $$'enact', '{}', 'approve', 'o', 'r'$$),
  ('canonical_addresses', 'NULL for the units', $$'enact', NULL, 'approve', 'o', 'r'$$),
  ('canonical_addresses', 'a NULL among the units', $$'enact', '{a,NULL}', 'approve', 'o', 'r'$$),
  ('canonical_addresses', 'a unit twice', $$'enact', '{a,a}', 'approve', 'o', 'r'$$),
  ('canonical_addresses', 'an unknown unit', $$'enact', '{a,none}', 'approve', 'o', 'r'$$),
  ('canonical_addresses', 'a deleted unit', $$'retire', '{d}', 'approve', 'o', 'r'$$),
  ('canonical_addresses', 'an unknown source of a split', $$'split', '{none,a}', 'approve', 'o', 'r'$$),
  ('canonical_addresses', 'an unknown source of a merge', $$'merge', '{a,none}', 'approve', 'o', 'r'$$),
  ('verdict', 'another verdict', $$'enact', '{a}', 'PASS', 'o', 'r'$$),
  ('actor', 'no actor', $$'enact', '{a}', 'approve', ' ', 'r'$$),
  ('rationale', 'no reason', $$'enact', '{a}', 'approve', 'o', NULL$$),
  ('findings', 'findings that are no array', $$'enact', '{a}', 'approve', 'o', 'r', '{}'$$),
  ('findings', 'findings of more than 262144 bytes',
   $$'enact', '{a}', 'approve', 'o', 'r', jsonb_build_array(repeat('f', 262141))$$),
  ('findings', 'three numbers of 130001 digits',
   $$'enact', '{a}', 'approve', 'o', 'r', '[1e130000, 1e130000, 1e130000]'$$),
  ('reviewer_class', 'no class', $$'enact', '{a}', 'approve', 'o', 'r', '[]', ''$$),
  ('risk_class', 'no risk', $$'enact', '{a}', 'approve', 'o', 'r', '[]', 'human', NULL$$),
  ('content_hashes', 'fewer digests than units',
   $$'enact', '{a,b}', 'approve', 'o', 'r', p_content_hashes => ARRAY[fn_content_hash('text a')]$$),
  ('content_hashes', 'the digest of another text',
   $$'enact', '{a}', 'approve', 'o', 'r', p_content_hashes => ARRAY[fn_content_hash('text b')]$$),
  ('prior', 'an unknown decision', $$'enact', '{a}', 'approve', 'o', 'r', p_prior => gen_random_uuid()$$),
  ('prior', 'a decision on another operation', format($$'retire', '{a}', 'approve', 'o', 'r', p_prior => %L$$,
    :'r'::jsonb ->> 'review_decision_id'))) AS v (f, what, c);
SELECT is(iu.fn_iu_decision_check('enact', '{a}', 'approve', 'o', 'r', jsonb_build_array(repeat('f', 262140)), 'human',
  'normal', NULL, NULL), NULL, 'findings of 262144 bytes are not too long');
SELECT is(pg_temp.login(r, $$fn_iu_review_decision_record('enact', '{a}', 'approve', 'x', 'y')$$),
  '42501 permission denied for function fn_iu_review_decision_record', r || ' does not record a decision')
  FROM unnest(ARRAY['iu_test_robot', 'iu_test_wim', 'iu_test_rita']) r;
SELECT is(pg_temp.login(r, '(SELECT count(*) FROM cutter_governance.review_decision)'),
  '42501 permission denied for schema cutter_governance', r || ' does not read the tables of decisions')
  FROM unnest(ARRAY['iu_test_rita', 'iu_test_olga', 'iu_test_ada']) r;
SELECT is(pg_temp.login('iu_test_rita', '(SELECT count(*) FROM v_iu_review_decision)'), '3',
  'a reader sees decisions');

-- ---- what a decision allows

SELECT :'r'::jsonb ->> 'review_decision_id' AS r \gset
SELECT is(pg_temp.check(:'r', 'enact', a), 'allowed', 'a decision serves each of its units: ' || a::text)
  FROM (VALUES (ARRAY['a']), (ARRAY['b']), (ARRAY['a', 'b'])) AS v (a);
SELECT pg_temp.refused(format('fn_iu_review_decision_check(%L, ''enact'', %s)', review_decision_id, a),
  'review_decision_not_applicable', 'review_decision_id', 'a decision allows nothing on no unit: ' || a)
  FROM (SELECT review_decision_id FROM v_iu_review_decision WHERE operation = 'enact' AND verdict = 'approve'
          AND superseded_by_review_decision_id IS NULL LIMIT 1) d, unnest(ARRAY['NULL', '''{}''', '''{NULL}''']) a;
SELECT is(fn_iu_review_decision_check(NULL, 'split', '{a}'), '{"status": "invalid_input",
  "field": "review_decision_id", "guidance":
  "Required. Split must reference a cutter_governance.review_decision row.",
  "next_action": "record_review_decision_first"}', 'no decision is refused with these words');
SELECT pg_temp.refused(format('fn_iu_review_decision_check(%L, ''enact'', ''{a}'')', gen_random_uuid()),
  'review_decision_not_found', 'review_decision_id', 'an unknown decision is refused');
SELECT is(pg_temp.check(:'r', 'retire', '{a}'), 'other_operation', 'a decision never serves another operation');
SELECT is(pg_temp.check(:'r', 'enact', '{a,c}'), 'other_unit', 'a decision serves no other unit');
SELECT is(pg_temp.check(pg_temp.decide('iu_test_olga', 'enact', '{c}', 'reject'), 'enact', '{c}'), 'not_approved',
  'a rejection allows nothing');
SELECT pg_temp.decide('iu_test_olga', 'enact', '{c}') AS c \gset
SELECT pg_temp.decide('iu_test_ada', 'enact', '{c}', 'reject', format(', p_prior => %L', :'c')) AS no \gset
SELECT is(pg_temp.check(:'c', 'enact', '{c}'), 'superseded', 'a decision whose place another took allows nothing');
SELECT pg_temp.refused(format($$fn_iu_review_decision_record('enact', '{c}', 'approve', 'o', 'r', p_prior => %L)$$,
  :'c'), 'invalid_input', 'prior', 'the place of a decision is taken once');
INSERT INTO cutter_governance.review_decision SELECT (jsonb_populate_record(d, jsonb_build_object('review_decision_id',
    '00000000-0000-4000-8000-000000000001', 'status', 'proposed'))).* FROM cutter_governance.review_decision d
  WHERE review_decision_id = :'r';
SELECT is(pg_temp.check('00000000-0000-4000-8000-000000000001', 'enact', '{a}'), 'not_approved',
  'a decision that is not decided allows nothing');

-- ---- the text that was looked at

SELECT pg_temp.decide('iu_test_olga', 'split', '{a,n1,n2}') AS split, pg_temp.decide('iu_test_olga', 'merge', '{a,b}')
  AS merge, pg_temp.decide('iu_test_olga', 'retire', '{a}') AS retire \gset
SELECT fn_iu_save('a', 'text a2', 'wim') ->> 'draft_id' AS draft \gset
SELECT is(pg_temp.check(:'r', 'enact', '{a}'), 'allowed', 'a draft that is not applied is no other text');
SELECT fn_iu_apply_edit_draft(:'draft', 'wim');
SELECT is(pg_temp.check(d::uuid, o, a), w, format('after a draft was applied, a decision on %s: %s', o, w))
  FROM (VALUES (:'r', 'enact', ARRAY['a'], 'other_text'), (:'r', 'enact', ARRAY['b'], 'allowed'),
  (:'split', 'split', ARRAY['a', 'n1', 'n2'], 'other_text'), (:'merge', 'merge', ARRAY['a', 'b'], 'other_text'),
  (:'retire', 'retire', ARRAY['a'], 'allowed')) AS v (d, o, a, w);
SELECT pg_temp.decide('iu_test_olga', 'enact', '{a}') AS again \gset
SELECT fn_iu_enact('a', 'wim', :'again') ->> 'status' AS enacted \gset
SELECT pg_temp.decide('iu_test_olga', 'split', '{a,n1,n2}') AS split \gset
SELECT fn_iu_apply_edit_draft((fn_iu_save('a', 'text a3', 'wim') ->> 'draft_id')::uuid, 'wim');
SELECT is(pg_temp.check(:'split', 'split', '{a,n1,n2}'), 'allowed',
  'to split, the text that is enacted counts, and no pending one');
SELECT pg_temp.decide('iu_test_olga', 'enact', '{a}') AS a3 \gset
SELECT fn_iu_apply_edit_draft((fn_iu_save('a', 'text a3', 'wim', 'Another title') ->> 'draft_id')::uuid, 'wim');
SELECT is(pg_temp.check(:'a3', 'enact', '{a}'), 'other_text', 'a title that changed is another text');

-- ---- strict approvals

SELECT is(pg_temp.login('iu_test_olga', format('pg_temp.check(%L, ''enact'', ''{b}'')', :'r')), 'allowed',
  'who decided may carry it out where approvals are not strict');
UPDATE dot_config SET value = 'strict' WHERE key = 'iu_core.gate_approval_mode';
GRANT iu_core_writer TO iu_test_olga;
SELECT is(fn_iu_review_decision_check(:'r', 'enact', '{b}'), NULL, 'another login carries it out');
SELECT is(pg_temp.login('iu_test_olga', format('fn_iu_review_decision_check(%L, ''enact'', ''{b}'') ->> ''detail''',
  :'r')), 'own_decision', 'where approvals are strict, who decided does not carry it out');
ALTER ROLE iu_test_olga RENAME TO iu_test_olga2;
SELECT is(pg_temp.login('iu_test_olga2', format('fn_iu_review_decision_check(%L, ''enact'', ''{b}'') ->> ''detail''',
  :'r')), 'own_decision', 'under another name neither');
CREATE ROLE iu_test_olga LOGIN IN ROLE iu_core_writer;
SELECT is(pg_temp.login('iu_test_olga', format('fn_iu_review_decision_check(%L, ''enact'', ''{b}'') ->> ''detail''',
  :'r')), 'own_decision', 'nor does another role under that name, since a restored role has another oid');
DELETE FROM dot_config WHERE key = 'iu_core.gate_approval_mode';
SELECT is(pg_temp.login('iu_test_olga2', format('fn_iu_review_decision_check(%L, ''enact'', ''{b}'') ->> ''detail''',
  :'r')), 'own_decision', 'a missing mode of approvals reads as strict');

-- ---- nothing of it changes

SELECT pg_temp.refuses(s, '42501', n, s || ' is refused')
  FROM (VALUES ('DELETE FROM cutter_governance.review_decision', 'iu_append_only'),
  ('UPDATE cutter_governance.review_decision SET verdict = ''approve''', 'iu_review_decision_unchanged'),
  ('UPDATE cutter_governance.review_decision SET superseded_by_review_decision_id = NULL',
   'iu_review_decision_unchanged'),
  ('UPDATE cutter_governance.manifest_envelope SET operation_kind = ''enact''', 'iu_append_only'),
  ('UPDATE cutter_governance.manifest_unit_block SET body_digest = ''x''', 'iu_append_only'),
  ('DELETE FROM cutter_governance.manifest_unit_block', 'iu_append_only')) AS v (s, n);
SELECT is((SELECT gate_class || ' ' || migration FROM iu_gate_registry
            WHERE gate_key = 'iu_enact.allow_no_review_decision'), 'never_flip 16',
  'the gate that lets nobody enact without a decision comes with what it guards');
SELECT finish();
ROLLBACK;
