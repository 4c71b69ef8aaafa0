-- What the handbook recommends, each practice together with each other: both are
-- begun, then each is shown to work; what a pair did is undone.
\ir setup.psql
SELECT no_plan();
SET LOCAL client_min_messages = error;	-- break-glass warns

CREATE ROLE iu_test_ada LOGIN IN ROLE iu_core_admin;
CREATE ROLE iu_test_olga LOGIN IN ROLE iu_core_operator;
CREATE ROLE iu_test_oscar LOGIN IN ROLE iu_core_operator;
CREATE ROLE iu_test_wim LOGIN IN ROLE iu_core_writer;
CREATE ROLE iu_test_robot LOGIN IN ROLE iu_core_agent;
CREATE TABLE test_agreed (l int, r int);
INSERT INTO test_agreed VALUES (1, 1);
CREATE VIEW test_agreement AS SELECT l AS left_value, r AS right_value FROM test_agreed;
GRANT SELECT ON test_agreement TO iu_core_owner;
SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ada', 't');
DELETE FROM iu_invariant;	-- those of migrations would be due as well
DELETE FROM iu_regression_surface WHERE migration > 9;

-- A statement of one value, as somebody who logged in.
CREATE FUNCTION pg_temp.login(p_role text, p_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_result text;
BEGIN
  EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', 'iu_test_' || p_role);
  EXECUTE p_sql INTO v_result;
  SET LOCAL SESSION AUTHORIZATION DEFAULT;
  RETURN v_result;
END $$;
CREATE FUNCTION pg_temp.approved(p_gate text, p_kind text DEFAULT 'single', p_to text DEFAULT NULL) RETURNS text
  LANGUAGE sql AS $$
  SELECT pg_temp.login('oscar',
  format('SELECT fn_iu_gate_approval_grant(%L, ''open'', 600, clock_timestamp() + ''1 '
    'hour'', ''oscar'', ''reviewed'', %L, %L) ->> ''approval_id''', p_gate, p_kind, p_to)) $$;
CREATE FUNCTION pg_temp.opens(p_role text, p_gate text, p_approval text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.login(p_role, format('SELECT fn_iu_gate_open(%L, %L, %L, ''work'', 60) ->> ''status''', p_gate,
  p_approval, p_role)) $$;
CREATE FUNCTION pg_temp.opens_and_closes(p_role text, p_gate text, p_to text DEFAULT NULL) RETURNS text LANGUAGE sql
  AS $$
  SELECT concat_ws(' ', pg_temp.opens(p_role, p_gate, pg_temp.approved(p_gate, p_to => p_to)),
  iu_core.gate_is_open(p_gate),
    pg_temp.login(p_role, format('SELECT fn_iu_gate_close(%L, %L, ''done'') ->> ''status''', p_gate, p_role))) $$;
CREATE FUNCTION pg_temp.refusal(p_role text, p_sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN pg_temp.login(p_role, p_sql);
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;

-- begins: statements; works: a query of one text, and what it finds.
CREATE TABLE pg_temp.practice (name text PRIMARY KEY, begins text, works text, found text);
INSERT INTO pg_temp.practice VALUES
  ('delivery open on a standing approval',
   $$SELECT pg_temp.opens('olga', 'iu_core.delivery_enabled',
   pg_temp.approved('iu_core.delivery_enabled', 'standing'))$$,
   $$SELECT iu_core.gate_is_open('iu_core.delivery_enabled') || ' '
   || (fn_iu_gate_watchdog('dog') ->> 'closed_count')$$, 'true 0'),
  ('a change window',
   $$SELECT pg_temp.login('olga',
   'SELECT fn_iu_change_window_open(''w'', gen_random_uuid(), ''change'', ''olga'', ''/nowhere/b'', 1, repeat(''0'', '
     '64)) ->> ''status''')$$,
   $$SELECT pg_temp.login('olga', 'SELECT fn_iu_change_window_close(''w'', ''olga'') ->> ''verdict''')$$, 'PASS'),
  ('strict approvals',
   $$SELECT pg_temp.login('ada',
   'SELECT fn_iu_gate_approval_mode_set(''strict'', ''ada'', ''two people'') ->> ''status''')$$,
   $$SELECT pg_temp.opens_and_closes('olga', 'iu_core.composer_enabled') || ' ' || pg_temp.refusal('olga',
   'SELECT fn_iu_gate_open(''iu_core.composer_enabled'', gen_random_uuid(), ''olga'', ''x'', 60)')$$,
   'opened t closed IU101'),
  ('an approval list',
   $$SELECT pg_temp.login('ada',
   'SELECT fn_iu_gate_approvers_set(''iu_core.structure_ops_enabled'', ARRAY[''iu_test_oscar''], ''ada'', ''who knows '
     'it'') ->> ''status''')$$,
   $$SELECT pg_temp.opens_and_closes('olga', 'iu_core.structure_ops_enabled') || ' ' || pg_temp.refusal('olga',
   'SELECT fn_iu_gate_approval_grant(''iu_core.structure_ops_enabled'', ''open'', 60, now() + ''1 '
     'h'', ''olga'', ''x'')')$$, 'opened t closed IU107'),
  ('an agent on an approval', 'SELECT 1',
  $$SELECT pg_temp.opens_and_closes('robot', 'iu_core.composer_enabled', 'iu_test_robot')$$, 'opened t closed'),
  ('a lease of a driver',
   $$SELECT pg_temp.login('olga',
   'SELECT fn_dot_iu_runtime_lease_acquire(''iu_core.composer_enabled'', ''driver 7'', 300)')$$,
   $$SELECT coalesce(pg_temp.login('oscar',
   'SELECT fn_dot_iu_runtime_lease_acquire(''iu_core.composer_enabled'', ''driver 8'', 300)'),
   'somebody else has it')$$, 'somebody else has it'),
  ('a gate that demands an invariant',
   $$SELECT fn_iu_invariant_register('agreed', 'public.test_agreement', 'both agree', 'ada', 't'),
   fn_iu_gate_demand_set('iu_core.composer_enabled', 'agreed', 0, 'ada', 't')$$,
   $$SELECT pg_temp.opens_and_closes('olga', 'iu_core.composer_enabled')$$, 'opened t closed'),
  ('an invariant on schedule',
   $$SELECT fn_iu_invariant_register('scheduled', 'public.test_agreement', 'both agree', 'ada', 't',
   p_every_seconds => 60)$$,
   $$SELECT CASE WHEN iu.fn_iu_schedule_turn('runner') IS NOT NULL THEN pg_temp.login('ada',
   'SELECT verdict FROM v_iu_invariant WHERE invariant_code = ''scheduled''') END$$, 'pass'),
  ('retention',
   $$SELECT pg_temp.login('ada',
   'SELECT fn_iu_core_retention_policy_set(''iu_route_attempt'', 30, ''ada'', ''a month'') ->> ''status''')$$,
   $$SELECT concat_ws(' ',
   pg_temp.opens('olga', 'iu_core.retention_enabled', pg_temp.approved('iu_core.retention_enabled')),
      pg_temp.login('olga',
      'SELECT string_agg(target_table, '','') FROM fn_iu_core_retention_cleanup(''olga'', false)'),
      pg_temp.login('olga',
      'SELECT fn_iu_gate_close(''iu_core.retention_enabled'', ''olga'', ''done'') ->> ''status'''))$$,
      'opened iu_route_attempt closed'),
  ('break-glass', 'SELECT 1',
   $$SELECT concat_ws(' ',
   pg_temp.login('olga',
   'SELECT fn_iu_gate_break_glass(''iu_core.structure_ops_enabled'', ''olga'', ''nobody awake'', 60) ->> ''status'''),
      pg_temp.login('olga',
      'SELECT fn_iu_gate_close(''iu_core.structure_ops_enabled'', ''olga'', ''repaired'') ->> ''status'''))$$,
      'opened closed'),
  ('a gate of the platform''s own',
   $$SELECT pg_temp.login('ada',
   'SELECT fn_iu_gate_define(''shop.prices_enabled'', ''Prices'', ''ada'', ''guarded'') ->> ''status''')$$,
   $$SELECT pg_temp.opens_and_closes('olga', 'shop.prices_enabled')$$, 'opened t closed'),
  ('a surface reported from outside',
   $$SELECT fn_iu_surface_register('tests', 'Tests passing', 'external', 'any', 'ada', 't'),
   fn_iu_surface_snapshot('b', 'olga')$$,
   $$SELECT CASE WHEN EXISTS (SELECT FROM iu_change_window WHERE closed_at IS NULL)
   THEN (fn_iu_surface_report('w:before', 'tests', '7', 'ci') || fn_iu_surface_report('w:after', 'tests', '7', 'ci'))
   ->> 'status'
            ELSE fn_iu_surface_report('b', 'tests', '7', 'ci') ->> 'status' END$$, 'reported'),
  ('an event in the outbox', 'SELECT 1',
  $$SELECT (pg_temp.login('wim',
  'SELECT fn_iu_emit_event(''version_applied'', ''DOC/1'', gen_random_uuid()::text::uuid, ''wim'')') IS NOT
  NULL)::text$$, 'true'),
  ('conformance', 'SELECT 1',
  $$SELECT coalesce(string_agg(concat_ws(' ', check_code, coalesce(expected, found), detail), '; '), 'conforms')
  FROM fn_iu_conformance() WHERE NOT ok$$, 'conforms');

-- Begins both, shows that the one works, then that the other does; undoes all.
CREATE FUNCTION pg_temp.together(p_one text, p_other text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_one    pg_temp.practice := (SELECT p FROM pg_temp.practice p WHERE p.name = p_one);
  v_other  pg_temp.practice := (SELECT p FROM pg_temp.practice p WHERE p.name = p_other);
  v_first  text;
  v_second text;
  v_error  text;
BEGIN
  BEGIN
    EXECUTE v_one.begins;
    EXECUTE v_other.begins;
    EXECUTE v_one.works INTO v_first;
    EXECUTE v_other.works INTO v_second;
    RAISE SQLSTATE 'TT000';
  EXCEPTION WHEN SQLSTATE 'TT000' THEN
    NULL;
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS v_error = PG_EXCEPTION_DETAIL;
    RETURN format('%s: %s (%s)', SQLSTATE, SQLERRM, v_error);
  END;
  RETURN CASE WHEN v_first = v_one.found AND v_second = v_other.found THEN 'both work' ELSE format('%s: %s; %s: %s',
  p_one, v_first, p_other, v_second) END;
END $$;

-- A change window is closed after the other practice was shown to work in it.
SELECT is(pg_temp.together(a.name, b.name), 'both work', format('%s works together with %s', a.name, b.name))
  FROM pg_temp.practice a JOIN pg_temp.practice b
    ON (a.name = 'a change window', a.name COLLATE "C") < (b.name = 'a change window', b.name COLLATE "C")
 ORDER BY b.name COLLATE "C", a.name COLLATE "C";

-- ---- a change window and gates that stand open

SELECT count(*) AS gates, count(*) - 1 AS but_one, count(*) - 2 AS but_two FROM iu_gate_registry \gset
SELECT pg_temp.opens('olga', 'iu_core.delivery_enabled', pg_temp.approved('iu_core.delivery_enabled', 'standing'));
SELECT fn_iu_change_window_open('s1', gen_random_uuid(), 'change', 'olga', '/nowhere/b', 1, repeat('0', 64));
SELECT matches(fn_iu_change_report('s1'),
  '- Gates at the end: all closed but those on a standing approval: iu_core.delivery_enabled \(open until',
  'the report of an open window tells of the standing approval');
SELECT is(fn_iu_change_window_close('s1', 'olga') - 'run_id' - 'status',
  format('{"window_label": "s1", "after_label": "s1:after", "verdict": "PASS", "verdict_reason":
  "%s surfaces and %s invariants as they should be; open on a standing approval: iu_core.delivery_enabled"}',
    (SELECT count(*) FROM iu_regression_surface), (SELECT count(*) FROM iu_invariant WHERE enabled))::jsonb,
  'a window closes with verdict PASS while a gate is open on a standing approval, and says so');
SELECT matches(fn_iu_change_report('s1'),
  '- Gates at the end: all closed but those on a standing approval: iu_core.delivery_enabled \(open until',
  'the report of a closed window tells of the standing approval');
SELECT matches(fn_iu_change_report('s1'),
  format('IU Core write gates inert \| %1$s/%1$s \| %1$s/%1$s \| 0 \| green ✓', :gates),
  'a gate that is open on a standing approval counts as inert');

SELECT fn_iu_change_window_open('s2', gen_random_uuid(), 'change', 'olga', '/nowhere/b', 1, repeat('0', 64));
SELECT pg_temp.opens('olga', 'iu_core.composer_enabled', gen_random_uuid()::text);
SELECT pg_temp.refuses($$SELECT fn_iu_change_window_close('s2', 'olga')$$, '55006', 'iu_change_window_gate_open',
  'a window is not closed while another gate is open than those on a standing approval');
SELECT is(fn_iu_change_window_close('s2', 'olga', p_allow_open_gates => true) ->> 'verdict', 'FAIL',
  'a window that may close with open gates fails by the surface of inert gates');
SELECT matches(fn_iu_change_report('s2'),
  '- Gates at the end: NOT all closed: iu_core.composer_enabled \(open until .*; on a standing approval: '
    'iu_core.delivery_enabled \(open',
  'the report tells a gate that is open from one that is open on a standing approval');

SELECT fn_iu_change_window_open('s3', gen_random_uuid(), 'change', 'olga', '/nowhere/b', 1, repeat('0', 64));
SELECT fn_iu_expect_delta('s3', 'iu_gates_inert', NULL, 'olga', 'the composer stays open for the night',
  :but_one || '/' || :gates);
SELECT is(fn_iu_change_window_close('s3', 'olga', p_allow_open_gates => true) ->> 'verdict', 'PASS',
  'what was declared of a surface that is to be green decides its verdict');
SELECT matches(fn_iu_change_report('s3'),
  format('IU Core write gates inert \| %1$s/%2$s \| %1$s/%2$s \| 0 \| expected \(not green \(n/n\); the composer '
    'stays open for the night\)', :but_one, :gates),
  'the report shows what was declared of a surface that is not green');
SELECT fn_iu_change_window_open('s4', gen_random_uuid(), 'change', 'olga', '/nowhere/b', 1, repeat('0', 64));
SELECT fn_iu_expect_delta('s4', 'iu_gates_inert', NULL, 'olga', 'wrongly', :but_two || '/' || :gates);
SELECT is(fn_iu_change_window_close('s4', 'olga', p_allow_open_gates => true) ->> 'verdict', 'FAIL',
  'a declaration that does not come true fails the window');
SELECT fn_iu_gate_close('iu_core.composer_enabled', 'olga', 'done');

SELECT fn_iu_change_window_open('s5', gen_random_uuid(), 'change', 'olga', '/nowhere/b', 1, repeat('0', 64));
INSERT INTO iu_gate_revocation (approval_id, actor, reason)
  SELECT a.approval_id, 't', 't' FROM iu_gate_approval a WHERE a.kind = 'standing';
SELECT pg_temp.refuses($$SELECT fn_iu_change_window_close('s5', 'olga')$$, '55006', 'iu_change_window_gate_open',
  'a gate whose standing approval was revoked keeps a window open');

SELECT finish();
ROLLBACK;
