-- 026: units that go out of use, and the ledger of it.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT fn_iu_create(a, upper(a), 'text ' || a, 'wim')
  FROM unnest(ARRAY['draft', 'a', 'b', 'c', 'd', 'm', 'z', 'broken', 'deprecated', 'gone', 'old']) a;
CREATE FUNCTION pg_temp.decide(p_operation text, p_addresses text[]) RETURNS uuid LANGUAGE sql AS $$
  SELECT (fn_iu_review_decision_record(p_operation, p_addresses, 'approve', 'olga', 'good')
    ->> 'review_decision_id')::uuid $$;
SELECT fn_iu_enact_many('{a,b,c,d,m,z,broken,old}', 'wim', pg_temp.decide('enact', '{a,b,c,d,m,z,broken,old}'));
SELECT pg_temp.decide('supersede', '{draft,a,b,c,m,z,broken,deprecated,gone,old}') AS s,
       pg_temp.decide('retire', '{draft,a,b,c,m,z,broken,deprecated,gone,old}') AS r \gset
SET LOCAL app.canonical_writer = 'fn_iu_retire';
SET LOCAL session_replication_role = replica;
UPDATE information_unit SET lifecycle_status = 'deprecated' WHERE canonical_address = 'deprecated';
UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'gone';
DELETE FROM iu_birth_record WHERE unit_id = pg_temp.id_of('broken');
SET LOCAL session_replication_role = origin;
SET LOCAL app.canonical_writer = '';
-- Of all of these nothing is written; each has what the one before it is refused for, and no more.
SELECT pg_temp.refused(format('fn_iu_%s(%s)', op, replace(c, '$d', quote_literal(
    CASE op WHEN 'retire' THEN :'r' ELSE :'s' END))), s, f, format('fn_iu_%s refuses %s', op, what))
  FROM unnest(ARRAY['retire', 'supersede']) op,
  (VALUES ('a call without an address', 'NULL, ''o'', NULL', 'invalid_input', 'canonical_address'),
  ('a blank actor', '''a'', '' '', NULL', 'invalid_input', 'actor'),
  ('a reason in two lines', E'''a'', ''o'', NULL, p_reason => ''x\ny''', 'invalid_input', 'reason'),
  ('a blank tool revision', '''a'', ''o'', NULL, p_tool_revision => '' ''', 'invalid_input', 'tool_revision'),
  ('neither dry run nor not', '''a'', ''o'', NULL, p_dry_run => NULL', 'invalid_input', 'dry_run'),
  ('a call without a decision', '''a'', ''o'', NULL', 'invalid_input', 'review_decision_id'),
  ('an unknown decision', '''none'', ''o'', gen_random_uuid()', 'review_decision_not_found', 'review_decision_id'),
  ('a decision on other units', '''d'', ''o'', $d', 'review_decision_not_applicable', 'review_decision_id'),
  ('a deleted unit', '''gone'', ''o'', $d', 'iu_not_found', 'canonical_address'),
  ('a unit that is not whole', '''broken'', ''o'', $d', 'invariants_failed', 'canonical_address'))
  AS v (what, c, s, f);
SELECT pg_temp.refused(format('fn_iu_%s(''a'', ''o'', %L)', op, d), 'review_decision_not_applicable',
  'review_decision_id', format('fn_iu_%s refuses a decision on another operation', op))
  FROM (VALUES ('retire', :'s'), ('supersede', :'r')) AS v (op, d);
SELECT pg_temp.refused(format('fn_iu_retire(''deprecated'', ''o'', %L)', :'r'), 'transition_not_yet_implemented',
  'canonical_address', 'a deprecated unit is not retired yet');
SELECT pg_temp.answers(format('fn_iu_supersede(%L, ''o'', %L)', a, :'s'),
  jsonb_build_object('status', 'fsm_denied', 'from', a, 'to', 'superseded', 'allowed', '["enacted"]'::jsonb),
  format('a %s unit is not superseded', a)) FROM unnest(ARRAY['draft', 'deprecated']) a;
SELECT pg_temp.refused(format('fn_iu_supersede(''a'', ''o'', %L, %s)', d, c), s, 'superseded_by_canonical_address',
  'superseding is refused with ' || what)
  FROM (VALUES (NULL, 'a successor''s address with blanks', ''' b''', 'invalid_input'),
  (:'s', 'itself as the successor', '''a''', 'successor_is_itself'),
  (:'s', 'an unknown successor', '''none''', 'successor_not_found'),
  (:'s', 'a deleted successor', '''gone''', 'successor_not_found'),
  (:'s', 'a deprecated successor', '''deprecated''', 'successor_not_found')) AS v (d, what, c, s);
UPDATE dot_config SET value = 'true' WHERE key = 'iu_enact.allow_no_review_decision';
SELECT pg_temp.refused(format('fn_iu_%s(''a'', ''o'', NULL)', op), 'invalid_input', 'review_decision_id',
  format('by no value of the gate of enacting fn_iu_%s goes without a decision', op))
  FROM unnest(ARRAY['retire', 'supersede']) op;
UPDATE dot_config SET value = 'false' WHERE key = 'iu_enact.allow_no_review_decision';

-- ---- superseded

SELECT fn_iu_apply_edit_draft((fn_iu_save('m', 'text m2', 'wim') ->> 'draft_id')::uuid, 'wim');
SELECT pg_temp.answers(format('fn_iu_supersede(''m'', ''o'', %L, ''z'', p_dry_run => true)', :'s'),
  jsonb_build_object('status', 'would_supersede', 'from', 'enacted', 'to', 'superseded',
    'superseded_by_unit_id', pg_temp.id_of('z')), 'a dry run says what would become of the unit, and writes nothing');
SELECT pg_temp.login('iu_test_robot', format($$fn_iu_supersede('m', 'robot', %L, 'z', %L, 'why', 'tool 1')$$, :'s',
  '00000000-0000-4000-8000-000000000001'))::jsonb AS e \gset
SELECT is(:'e'::jsonb - 'log_id' - 'unit_id', jsonb_build_object('status', 'superseded', 'from', 'enacted', 'to',
  'superseded', 'superseded_by_unit_id', pg_temp.id_of('z'), 'superseded_by_canonical_address', 'z'),
  'an agent supersedes on a decision of a person');
SELECT results_eq($$SELECT u.lifecycle_status, u.updated_by, v.version_seq, v.lifecycle_status
    FROM information_unit u JOIN unit_version v ON v.unit_id = u.id WHERE u.canonical_address = 'm' ORDER BY 3$$,
  $$VALUES ('superseded', 'robot', 1, 'superseded'), ('superseded', 'robot', 2, 'draft')$$,
  'unit and version are superseded, a pending version stays pending');
SELECT results_eq($$SELECT canonical_address, from_status, to_status, transition_type, performed_by,
    review_decision_id::text, change_set_id::text, reason, tool_revision, metadata
    FROM iu_lifecycle_log ORDER BY log_id DESC LIMIT 1$$,
  format($$VALUES ('m', 'enacted', 'superseded', 'supersede', 'robot', %L,
    '00000000-0000-4000-8000-000000000001', 'why', 'tool 1', jsonb_build_object('version_id', (SELECT v.id
    FROM unit_version v WHERE v.unit_id = %L AND v.version_seq = 1), 'content_hash', fn_content_hash('text m'),
    'superseded_by_unit_id', %L::uuid, 'superseded_by_canonical_address', 'z'))$$, :'s', pg_temp.id_of('m'),
    pg_temp.id_of('z')), 'the ledger says what became of the unit, by whom, on which decision, and its successor');
SELECT pg_temp.answers(format('fn_iu_supersede(''m'', ''o'', %L, ''z'')', :'s'),
  :'e'::jsonb - 'status' - 'from' - 'to' || '{"status": "idempotent_replay"}',
  'superseding again by the same unit writes nothing');
SELECT pg_temp.answers(format('fn_iu_supersede(''m'', ''o'', %L%s)', :'s', c),
  '{"status": "fsm_denied", "from": "superseded", "to": "superseded", "allowed": ["enacted"]}',
  'a superseded unit does not get ' || what) FROM (VALUES ('another successor', ', ''b'''),
  ('none in place of the one that it has', '')) AS v (what, c);
SELECT pg_temp.refused(format('fn_iu_supersede(''a'', ''o'', %L, ''m'')', :'s'), 'successor_not_found',
  'superseded_by_canonical_address', 'a superseded unit takes no other''s place');
SELECT is(fn_iu_supersede('b', 'wim', :'s') - 'unit_id' - 'log_id',
  '{"status": "superseded", "from": "enacted", "to": "superseded"}', 'a unit is superseded without a successor');
SELECT pg_temp.answers(format('fn_iu_supersede(''b'', ''o'', %L)', :'s'), '{"status": "idempotent_replay"}',
  'superseding that again writes nothing');
SELECT is(fn_iu_supersede('z', 'wim', :'s', 'draft') ->> 'superseded_by_canonical_address', 'draft',
  'a draft can be the successor');

-- ---- retired

SELECT pg_temp.answers(format('fn_iu_retire(''draft'', ''o'', %L, p_dry_run => true)', :'r'),
  '{"status": "would_retire", "from": "draft", "to": "retired"}', 'a dry run of retiring writes nothing');
SELECT is(pg_temp.login('iu_test_olga', format('fn_iu_retire(%L, ''olga'', %L, p_reason => ''why'')', a, :'r'))::jsonb
  - 'unit_id' - 'log_id', jsonb_build_object('status', 'retired', 'from', f, 'to', 'retired'),
  format('an operator retires a unit that is %s', f))
  FROM (VALUES ('draft', 'draft'), ('a', 'enacted'), ('b', 'superseded')) AS v (a, f);
SELECT results_eq($$SELECT u.canonical_address, u.lifecycle_status, v.lifecycle_status, l.transition_type,
    l.from_status, l.to_status, l.performed_by, l.reason
    FROM information_unit u JOIN unit_version v ON v.id = u.version_anchor_ref
    JOIN iu_lifecycle_log l ON l.unit_id = u.id AND l.to_status = 'retired' ORDER BY u.canonical_address COLLATE "C"$$,
  $$VALUES ('a', 'retired', 'retired', 'retire_from_enacted', 'enacted', 'retired', 'olga', 'why'),
    ('b', 'retired', 'retired', 'retire_from_superseded', 'superseded', 'retired', 'olga', 'why'),
    ('draft', 'retired', 'retired', 'retire_from_draft', 'draft', 'retired', 'olga', 'why')$$,
  'unit and version are retired, and the ledger says from what');
SELECT pg_temp.answers(format('fn_iu_retire(''a'', ''o'', %L)', :'r'), '{"status": "idempotent_replay"}',
  'retiring again writes nothing');
SELECT pg_temp.answers(format('fn_iu_supersede(''a'', ''o'', %L)', :'s'),
  '{"status": "fsm_denied", "from": "retired"}', 'a retired unit is not superseded');
SELECT pg_temp.refused($$fn_iu_save('a', 'new', 'wim')$$, 'fsm_denied', 'canonical_address',
  'a retired unit is not edited');

-- ---- who may

SELECT is(pg_temp.login(r, format('fn_iu_%s(''c'', ''x'', %L)', op, :'r')),
  format('42501 permission denied for function fn_iu_%s', op), format('%s does not %s', r, op))
  FROM (VALUES ('iu_test_wim', 'retire'), ('iu_test_robot', 'retire'), ('iu_test_rita', 'retire'),
  ('iu_test_rita', 'supersede'), ('iu_test_olga', 'supersede')) AS v (r, op);
SELECT value AS mode FROM dot_config WHERE key = 'iu_core.gate_approval_mode' \gset
UPDATE dot_config SET value = 'strict' WHERE key = 'iu_core.gate_approval_mode';
SELECT pg_temp.answers(format('fn_iu_retire(''c'', ''o'', %L)', :'r'),
  '{"status": "review_decision_not_applicable", "detail": "own_decision"}',
  'where approvals are strict, nobody retires on his own decision');
SELECT results_eq($$SELECT command_name, category, mutating, reversible FROM dot_iu_command_catalog
    WHERE command_name IN ('dot_iu_supersede_piece', 'dot_iu_retire_piece') ORDER BY 1$$,
  $$VALUES ('dot_iu_retire_piece', 'lifecycle', true, false), ('dot_iu_supersede_piece', 'lifecycle', true, false)$$,
  'both are commands of the lifecycle, and neither is taken back');

-- ---- down and up

UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.retention_enabled';
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(25)', '55006', 'currently OPEN',
  'a rollback is refused while a gate is open');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.retention_enabled';
UPDATE dot_config SET value = :'mode' WHERE key = 'iu_core.gate_approval_mode';
-- As the runtime that carries commands out does it.
INSERT INTO dot_iu_command_run (command_name, category, run_mode, run_status, mutating, actor)
  VALUES ('dot_iu_retire_piece', 'lifecycle', 'apply', 'applied', true, 'olga'),
         ('dot_iu_supersede_piece', 'lifecycle', 'apply', 'refused', true, 'wim');
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(25)', '55006', 'iu_rollback_rows',
  'a rollback that would lose the log of its commands is refused');
CREATE TEMPORARY TABLE inventory AS SELECT * FROM iu_core.object_inventory();
CREATE TEMPORARY TABLE unit AS SELECT * FROM information_unit;
CREATE TEMPORARY TABLE version AS SELECT * FROM unit_version;
CREATE TEMPORARY TABLE ledger AS SELECT * FROM iu_lifecycle_log;
SELECT results_eq($$SELECT object_name, rows_lost FROM iu_core.rollback(25, false, true) WHERE change = 'rows lost'$$,
  $$VALUES ('dot_iu_command_run', 2::bigint)$$, 'where that is allowed it tells how many runs of them are lost');
SELECT bag_eq('SELECT * FROM information_unit', 'SELECT * FROM unit', 'units that are superseded or retired stay so');
SELECT bag_eq('SELECT * FROM unit_version', 'SELECT * FROM version', 'and so do their versions');
SELECT bag_eq('SELECT * FROM iu_lifecycle_log', 'SELECT * FROM ledger', 'the ledger keeps its rows');
SELECT count(*) AS steps FROM iu_core.migrate() \gset
SELECT bag_eq('SELECT * FROM iu_core.object_inventory()', 'SELECT * FROM inventory',
  'down and up again every object is what it was');
SELECT pg_temp.answers(format('fn_iu_retire(''a'', ''o'', %L)', :'r'), '{"status": "idempotent_replay"}',
  'and what was retired before is retired');
SELECT finish();
ROLLBACK;
