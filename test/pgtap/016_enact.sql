-- 016: enacting units, one and many, and the ledger of the lifecycle.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT fn_iu_create(a, upper(a), 'text ' || a, 'wim')
  FROM unnest(ARRAY['a', 'b', 'c', 'broken', 'deprecated', 'retired', 'gone']) a;
CREATE FUNCTION pg_temp.decide(p_addresses text[], p_operation text DEFAULT 'enact') RETURNS uuid LANGUAGE sql AS $$
  SELECT (fn_iu_review_decision_record(p_operation, p_addresses, 'approve', 'olga', 'good')
    ->> 'review_decision_id')::uuid $$;
SELECT pg_temp.decide('{a,b,c,broken,deprecated,retired,gone}') AS d \gset
SET LOCAL app.canonical_writer = 'fn_iu_retire';
SET LOCAL session_replication_role = replica;
UPDATE information_unit SET lifecycle_status = canonical_address WHERE canonical_address IN ('deprecated', 'retired');
UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'gone';
DELETE FROM iu_birth_record WHERE unit_id = pg_temp.id_of('broken');
SET LOCAL session_replication_role = origin;
SET LOCAL app.canonical_writer = '';
-- The seven are looked at; the order of the refusals follows.
SELECT pg_temp.refused(format('fn_iu_enact(%s)', replace(c, '$d', quote_literal(:'d'))), s, f,
  'enacting is refused: ' || what)
  FROM (VALUES ('no address', 'NULL, ''w'', NULL', 'invalid_input', 'canonical_address'),
  ('no actor', '''a'', '' '', NULL', 'invalid_input', 'actor'),
  ('a reason in two lines', 'E''a'', ''w'', NULL, p_reason => E''x\ny''', 'invalid_input', 'reason'),
  ('a blank tool revision', '''a'', ''w'', NULL, p_tool_revision => '' ''', 'invalid_input', 'tool_revision'),
  ('neither dry run nor not', '''a'', ''w'', NULL, p_dry_run => NULL', 'invalid_input', 'dry_run'),
  ('no decision', '''a'', ''w'', NULL', 'invalid_input', 'review_decision_id'),
  ('an unknown decision', '''none'', ''w'', gen_random_uuid()', 'review_decision_not_found', 'review_decision_id'),
  ('a decision on other units', '''none'', ''w'', $d', 'review_decision_not_applicable', 'review_decision_id'),
  ('a deleted unit', '''gone'', ''w'', $d, ''retired''', 'iu_not_found', 'canonical_address'),
  ('another target', '''retired'', ''w'', $d, ''retired''', 'transition_not_yet_implemented', 'target_lifecycle'),
  ('no target', '''a'', ''w'', $d, NULL', 'transition_not_yet_implemented', 'target_lifecycle'),
  ('a retired unit', '''retired'', ''w'', $d', 'fsm_denied', 'canonical_address'),
  ('a deprecated unit', '''deprecated'', ''w'', $d', 'fsm_denied', 'canonical_address'),
  ('a unit that is not whole', '''broken'', ''w'', $d', 'invariants_failed', 'canonical_address'))
  AS v (what, c, s, f);
SELECT pg_temp.answers(format('fn_iu_enact(''retired'', ''w'', %L)', :'d'),
  '{"from": "retired", "to": "enacted", "allowed": ["draft", "enacted"]}',
  'fsm_denied says from, to and what is allowed');
SELECT pg_temp.answers(format('fn_iu_enact(''broken'', ''w'', %L)', :'d'),
  '{"checks": {"born": false, "one_unit": true}}', 'invariants_failed says which checks fail');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_enact.allow_no_review_decision';
SELECT pg_temp.refused('fn_iu_enact(''a'', ''w'', NULL)', 'invalid_input', 'review_decision_id',
  'by no value of its gate is a unit enacted without a decision');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_enact.allow_no_review_decision';

-- ---- enacted

SELECT pg_temp.answers(format('fn_iu_enact(''a'', ''w'', %L, p_dry_run => true)', :'d'),
  jsonb_build_object('status', 'would_enact', 'version_seq', 1, 'content_hash', fn_content_hash('text a')),
  'a dry run says what would be enacted, and enacts nothing');
SELECT pg_temp.login('iu_test_robot', format($$fn_iu_enact('a', 'robot', %L, 'enacted', %L, 'why', 'tool 1')$$, :'d',
  '00000000-0000-4000-8000-000000000001'))::jsonb AS e \gset
SELECT is(:'e'::jsonb - 'log_id' - 'unit_id' - 'version_id', jsonb_build_object('status', 'enacted', 'version_seq', 1,
  'content_hash', fn_content_hash('text a')), 'an agent enacts on a decision of a person');
SELECT results_eq($$SELECT u.lifecycle_status, u.updated_by, v.lifecycle_status, v.enacted_at IS NOT NULL
    FROM information_unit u JOIN unit_version v ON v.id = u.version_anchor_ref WHERE u.canonical_address = 'a'$$,
  $$VALUES ('enacted', 'robot', 'enacted', true)$$, 'unit and version are enacted');
SELECT results_eq($$SELECT canonical_address, from_status, to_status, transition_type, performed_by,
    session_role = 'iu_test_robot', review_decision_id::text, change_set_id::text, reason, tool_revision,
    metadata - 'version_id'
    FROM iu_lifecycle_log$$,
  format($$VALUES ('a', 'draft', 'enacted', 'enact', 'robot', true, %L,
    '00000000-0000-4000-8000-000000000001', 'why', 'tool 1',
    jsonb_build_object('version_seq', 1, 'content_hash', fn_content_hash('text a')))$$, :'d'),
  'the ledger says what became of the unit, by whom and by which login, on which decision');
SELECT pg_temp.answers(format('fn_iu_enact(''a'', ''w'', %L)', :'d'), '{"status": "idempotent_replay"}',
  'enacting again writes nothing');

-- ---- enacted anew

SELECT fn_iu_apply_edit_draft((fn_iu_save('a', 'text a2', 'wim', 'A 2') ->> 'draft_id')::uuid, 'wim');
SELECT pg_temp.answers(format('fn_iu_enact(''a'', ''w'', %L)', :'d'),
  '{"status": "review_decision_not_applicable", "detail": "other_text"}',
  'the decision of before does not serve the pending version');
SELECT fn_iu_apply_edit_draft((fn_iu_save('a', 'text a3', 'wim') ->> 'draft_id')::uuid, 'wim');
SELECT is(fn_iu_enact('a', 'wim', pg_temp.decide('{a}')) ->> 'version_seq', '3',
  'the newest pending version is enacted, by a decision of its own');
SELECT results_eq($$SELECT v.version_seq, v.lifecycle_status, v.id = u.version_anchor_ref,
    v.content_hash = u.content_anchor_ref, u.title FROM information_unit u JOIN unit_version v ON v.unit_id = u.id
    WHERE u.canonical_address = 'a' ORDER BY 1$$,
  $$VALUES (1, 'superseded', false, false, 'A 2'), (2, 'draft', false, false, 'A 2'),
    (3, 'enacted', true, true, 'A 2')$$,
  'both anchors move, the version before is superseded, the title that was pending counts');
SELECT is((SELECT from_status || ' ' || to_status || ' ' || (metadata ->> 'version_seq') FROM iu_lifecycle_log
            ORDER BY log_id DESC LIMIT 1), 'enacted enacted 3', 'the ledger has the version that was enacted');
SELECT fn_iu_apply_edit_draft((fn_iu_save('a', 'text a', 'wim', 'A') ->> 'draft_id')::uuid, 'wim');
SELECT pg_temp.answers(format('fn_iu_enact(''a'', ''w'', %L)', :'d'),
  '{"status": "review_decision_not_applicable", "detail": "carried_out", "field": "review_decision_id"}',
  'a text that comes back is not enacted by the decision that enacted it once');
SELECT is(fn_iu_enact('a', 'wim', pg_temp.decide('{a}')) ->> 'version_seq', '4', 'but by a decision of its own');

-- ---- many

SELECT pg_temp.answers(format('fn_iu_enact_many(''{a,b,c}'', ''w'', %L)', pg_temp.decide('{b,c}')),
  '{"status": "refused", "units": 0, "refused": [{"canonical_address": "a", "detail": "other_unit"}]}',
  'of many units none is enacted where one is refused');
SELECT pg_temp.decide('{a,b,c}') AS many \gset
SELECT pg_temp.answers(format('fn_iu_enact_many(''{a,b,c}'', ''w'', %L, p_dry_run => true)', :'many'),
  '{"status": "would_enact", "units": 2, "replays": 1, "refused": []}', 'a dry run of many enacts nothing');
SELECT is(fn_iu_enact_many('{c,b,a,b}', 'wim', :'many'),
  '{"status": "enacted", "units": 2, "replays": 1, "refused": []}', 'many units are enacted on one decision');
SELECT is((SELECT array_agg(canonical_address ORDER BY log_id) FROM iu_lifecycle_log WHERE log_id >
  (SELECT max(log_id) - 2 FROM iu_lifecycle_log)), ARRAY['b', 'c'], 'each with a row of the ledger');
SELECT pg_temp.refused(format('fn_iu_enact_many(%s, ''w'', NULL)', c), 'invalid_input', 'canonical_addresses',
  'many are refused: ' || c)
  FROM unnest(ARRAY['NULL', '''{}''', '(SELECT array_agg(i::text) FROM generate_series(1, 10001) i)']) c;

-- ---- the ledger

SELECT pg_temp.refuses(s, '42501', n, s || ' is refused')
  FROM (VALUES ('DELETE FROM iu_lifecycle_log', 'iu_append_only'), ('TRUNCATE iu_lifecycle_log', 'iu_append_only'),
  ('UPDATE iu_lifecycle_log SET reason = ''x''', 'iu_append_only'),
  ('INSERT INTO iu_lifecycle_log (unit_id, canonical_address, from_status, to_status, transition_type, performed_by) '
   'VALUES (gen_random_uuid(), ''x'', ''draft'', ''enacted'', ''enact'', ''x'')', 'iu_lifecycle_log_blocked'))
  AS v (s, n);
SELECT is((SELECT count(*) FROM pg_attribute WHERE attrelid = 'iu_lifecycle_log'::regclass AND attnum > 0
            AND NOT attisdropped), 15::bigint, 'the ledger has 15 columns');
SELECT is((SELECT array_agg(code ORDER BY sort_order) FROM iu_lifecycle_vocab),
  ARRAY['draft', 'enacted', 'superseded', 'retired'], 'the lifecycle has four states');
SELECT is(pg_temp.login(r, format('fn_iu_enact(''b'', ''x'', %L)', :'d')),
  '42501 permission denied for function fn_iu_enact',
  r || ' does not enact') FROM unnest(ARRAY['iu_test_rita', 'iu_test_olga']) r;

-- ---- rolled back

SELECT pg_temp.refuses('SELECT iu_core.rollback(15)', '55006', 'iu_rollback_rows',
  'a rollback that would lose decisions or the ledger is refused');
SELECT finish();
ROLLBACK;
