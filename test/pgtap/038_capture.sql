-- 038: what is captured of new links, and the routes that capture.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();
SELECT fn_iu_create('u', 'U', 'text', 'wim');
CREATE TABLE test_shop (id integer);
CREATE FUNCTION pg_temp.link(p_key text) RETURNS uuid LANGUAGE sql AS $$
  SELECT (fn_iu_sql_link_add('u', 'governs', 'table', 'public', 'test_shop', 'inbound', p_key, 'olga', 'why')
    ->> 'link_id')::uuid $$;
CREATE FUNCTION pg_temp.route_call(
    p_code text, p_table text DEFAULT 'iu_sql_link', p_domain text DEFAULT 'iu_sql', p_type text DEFAULT 'link.added',
    p_more text DEFAULT '')
  RETURNS text LANGUAGE sql AS $$
  SELECT format('fn_iu_sql_event_route_add(%L, ''public'', %L, ''insert'', %L, %L, ''olga'', ''why''%s)', p_code,
    p_table, p_domain, p_type, p_more) $$;
CREATE FUNCTION pg_temp.captured() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s %s %s %s %s', a.route_code, a.status, a.attempt_no, a.idempotency_key = 'in_' || l.id,
           a.delivered), ', ' ORDER BY a.id)
    FROM iu_route_attempt a JOIN iu_sql_link l ON l.id = a.event_ref WHERE a.route_kind = 'inbound' $$;

-- ---- routes

SELECT pg_temp.refused(c, s, f, 'a route is refused: ' || what) FROM (VALUES
  ('no code', pg_temp.route_call(NULL), 'invalid_input', 'route_code'),
  ('a code of an outbound route', pg_temp.route_call('shop'), 'invalid_input', 'route_code'),
  ('another domain', pg_temp.route_call('iu_sql.x', 'iu_sql_link', 'piece'), 'invalid_input', 'target_event_domain'),
  ('no type', pg_temp.route_call('iu_sql.x', 'iu_sql_link', 'iu', NULL), 'invalid_input', 'target_event_type'),
  ('a type with a blank', pg_temp.route_call('iu_sql.x', 'iu_sql_link', 'iu', 'a b'), 'invalid_input',
    'target_event_type'),
  ('neither fail closed nor not', pg_temp.route_call('iu_sql.x', p_more => ', p_fail_closed => NULL'), 'invalid_input',
    'fail_closed'),
  ('a contract that is an array', pg_temp.route_call('iu_sql.x', p_more => ', p_payload_contract => ''[]'''),
    'invalid_input', 'payload_contract'),
  ('a contract of more than 256 kB', pg_temp.route_call('iu_sql.x', p_more => ', p_payload_contract => '
    'jsonb_build_object(''a'', repeat(''x'', 262136))'), 'invalid_input', 'payload_contract'),
  ('no actor', 'fn_iu_sql_event_route_add(''iu_sql.x'', ''public'', ''iu_sql_link'', ''insert'', ''iu'', ''t'', NULL, '
    '''r'')', 'invalid_input', 'actor'),
  ('no reason', 'fn_iu_sql_event_route_add(''iu_sql.x'', ''public'', ''iu_sql_link'', ''insert'', ''iu'', ''t'', '
    '''o'', NULL)', 'invalid_input', 'reason'),
  ('another table', pg_temp.route_call('iu_sql.x', 'test_shop'), 'not_captured', 'object_name'),
  ('another event', 'fn_iu_sql_event_route_add(''iu_sql.x'', ''public'', ''iu_sql_link'', ''update'', ''iu'', ''t'', '
    '''o'', ''r'')', 'not_captured', 'object_name')) AS v (what, c, s, f);
SELECT is(pg_temp.login('iu_test_olga', pg_temp.route_call('iu_sql.iu_sql_link.insert'))::jsonb, '{"status":
  "registered", "route_code": "iu_sql.iu_sql_link.insert", "enabled": false, "dry_run": true}',
  'an operator registers a route, which does not capture yet');
SELECT is((SELECT migration FROM iu_governed_object WHERE object_class = 'route'
  AND object_name = 'iu_sql.iu_sql_link.insert'), 38, 'it is a governed object');
SELECT is_empty($$SELECT * FROM fn_iu_conformance() f WHERE NOT f.ok AND f::text ~ 'iu_sql'$$, 'and no difference');
SELECT pg_temp.refused(pg_temp.route_call('iu_sql.iu_sql_link.insert'), 'route_exists', 'route_code',
  'a code is given once');
SELECT pg_temp.refused(format('fn_iu_sql_event_route_enable(%s)', c), s, f, 'enabling is refused: ' || what)
  FROM (VALUES ('no code', 'NULL, true, ''o'', ''r''', 'invalid_input', 'route_code'),
  ('neither', '''iu_sql.x'', NULL, ''o'', ''r''', 'invalid_input', 'enabled'),
  ('no actor', '''iu_sql.x'', true, NULL, ''r''', 'invalid_input', 'actor'),
  ('an unknown route', '''iu_sql.x'', true, ''o'', ''r''', 'route_not_found', 'route_code')) AS v (what, c, s, f);

-- ---- captured

SELECT pg_temp.link('before');
SELECT is(pg_temp.captured(), NULL, 'without an enabled route nothing is captured');
SELECT is(fn_iu_sql_event_route_enable('iu_sql.iu_sql_link.insert', true, 'olga', 'try') ->> 'status', 'enabled',
  'a route is enabled');
SELECT pg_temp.answers('fn_iu_sql_event_route_enable(''iu_sql.iu_sql_link.insert'', true, ''olga'', ''try'')',
  '{"status": "unchanged"}', 'enabling it again changes nothing');
SELECT pg_temp.link('first') AS l \gset
SELECT is(pg_temp.captured(), 'iu_sql.iu_sql_link.insert dry_run 1 t f', 'a new link is captured, once, as a dry run');
SELECT is((SELECT payload_snapshot FROM iu_route_attempt WHERE event_ref = :'l'), jsonb_build_object('schema', 'public',
  'table', 'iu_sql_link', 'sql_event', 'insert', 'link_id', :'l', 'target_event', 'iu_sql.link.added'),
  'with what happened, and no values');
SELECT results_eq($$SELECT route_kind, route_code, status, attempts FROM v_iu_route_attempt_summary
    WHERE route_kind = 'inbound'$$, $$VALUES ('inbound', 'iu_sql.iu_sql_link.insert', 'dry_run', 1::bigint)$$,
  'attempts are summed up by kind');
SELECT pg_temp.link('first');
SELECT is(pg_temp.captured(), 'iu_sql.iu_sql_link.insert dry_run 1 t f', 'a replay is no new link');
SELECT fn_iu_sql_link_retire(:'l', 'olga', 'x');
SELECT is(pg_temp.captured(), 'iu_sql.iu_sql_link.insert dry_run 1 t f', 'retiring is not captured');
SELECT is((SELECT count(*) FROM event_outbox WHERE event_domain IN ('iu', 'iu_sql')), 0::bigint, 'no event is emitted');
SELECT fn_iu_sql_event_route_add('iu_sql.second', 'public', 'iu_sql_link', 'insert', 'iu', 't', 'o', 'r', false);
SELECT pg_temp.refused('fn_iu_sql_event_route_enable(''iu_sql.second'', true, ''o'', ''r'')',
  'route_enabled_for_table', 'route_code', 'one route captures a table');
SELECT pg_temp.refused('fn_iu_sql_event_route_remove(''iu_sql.iu_sql_link.insert'', ''o'', ''r'')', 'route_enabled',
  'route_code', 'a route that captures is not removed');

-- ---- what stands in the way

CREATE FUNCTION test_stand() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not today'; END$$;
CREATE TRIGGER test_stand BEFORE INSERT ON iu_route_attempt FOR EACH ROW WHEN (NEW.route_kind = 'inbound')
  EXECUTE FUNCTION test_stand();
SELECT pg_temp.refuses($$SELECT pg_temp.link('second')$$, '55000',
  '^link [0-9a-f-]{36} is not captured by route "iu_sql[.]iu_sql_link[.]insert": not today$',
  'a link that is not captured is refused, saying why');
SELECT is((SELECT count(*) FROM iu_sql_link WHERE idempotency_key = 'second'), 0::bigint, 'and not written');
SELECT is(fn_iu_sql_event_route_enable('iu_sql.iu_sql_link.insert', false, 'olga', 'no') ->> 'status', 'disabled',
  'a route is disabled');
SELECT fn_iu_sql_event_route_enable('iu_sql.second', true, 'olga', 'this one');
SET LOCAL client_min_messages = error;
SELECT isnt(pg_temp.link('third'), NULL, 'where the route is not fail_closed, the link is written');
SET LOCAL client_min_messages = warning;
DROP TRIGGER test_stand ON iu_route_attempt;
SELECT is((SELECT count(*) FROM iu_route_attempt WHERE route_code = 'iu_sql.second'), 0::bigint, 'and not captured');

-- A superuser may put the trigger function anywhere; it does nothing there, and fails nobody.
CREATE TRIGGER test_elsewhere AFTER INSERT OR UPDATE OR DELETE ON test_shop FOR EACH ROW
  EXECUTE FUNCTION iu.fn_iu_sql_link_inbound_capture();
CREATE TRIGGER test_statement AFTER TRUNCATE ON test_shop FOR EACH STATEMENT
  EXECUTE FUNCTION iu.fn_iu_sql_link_inbound_capture();
GRANT ALL ON test_shop TO iu_test_wim;
SET LOCAL client_min_messages = error;
SELECT lives_ok('SET LOCAL SESSION AUTHORIZATION iu_test_wim; ' || s || '; RESET SESSION AUTHORIZATION',
  'a stranger''s write goes on: ' || s) FROM (VALUES ('INSERT INTO test_shop VALUES (1)'),
  ('UPDATE test_shop SET id = 2'), ('DELETE FROM test_shop'), ('TRUNCATE test_shop')) AS v (s);
SET LOCAL client_min_messages = warning;
SELECT is((SELECT count(*) FROM iu_route_attempt WHERE route_kind = 'inbound'), 1::bigint, 'and nothing is captured');
SELECT is(has_function_privilege('public', 'iu.fn_iu_sql_link_inbound_capture()', 'EXECUTE'), false,
  'nobody else may put it on a table of his');

-- ---- the record, and who may

SELECT is(fn_iu_sql_event_route_remove('iu_sql.iu_sql_link.insert', 'olga', 'done') ->> 'status', 'removed',
  'a route is removed');
SELECT is((SELECT count(*) FROM iu_governed_object WHERE object_name = 'iu_sql.iu_sql_link.insert'), 0::bigint,
  'and is no governed object any more');
SELECT is(pg_temp.login('iu_test_rita', '(SELECT count(*) FROM iu_route_attempt WHERE route_kind = ''inbound'')'), '1',
  'its attempts stay');
SELECT pg_temp.refused('fn_iu_sql_event_route_remove(''iu_sql.x'', ''o'', ''r'')', 'route_not_found', 'route_code',
  'an unknown route is not removed');
SELECT is(pg_temp.login(r, c), '42501 permission denied for function ' || split_part(c, '(', 1),
  r || ' does not use ' || split_part(c, '(', 1))
  FROM (VALUES ('iu_test_wim', pg_temp.route_call('iu_sql.x')),
  ('iu_test_rita', 'fn_iu_sql_event_route_enable(NULL, NULL, NULL, NULL)'),
  ('iu_test_robot', 'fn_iu_sql_event_route_remove(NULL, NULL, NULL)')) AS v (r, c);
GRANT ALL ON iu_sql_link, iu_sql_event_route TO iu_test_wim;
SELECT pg_temp.refuses('SET LOCAL SESSION AUTHORIZATION iu_test_wim; ' || s, '42501', n,
  'who was given rights on the table does not: ' || s) FROM (VALUES
  ('UPDATE iu_sql_link SET enabled = true', 'iu_sql_link_blocked'),
  ('UPDATE iu_sql_event_route SET dry_run = false', 'iu_sql_link_blocked'),
  ('DELETE FROM iu_sql_event_route', 'iu_sql_link_blocked'),
  ('TRUNCATE iu_sql_event_route', 'iu_sql_link_blocked')) AS v (s, n);
SELECT pg_temp.refuses('SET LOCAL ROLE iu_core_owner; ' || s, e, n, s || ' is refused, whoever does it') FROM (VALUES
  ('UPDATE iu_sql_link SET enabled = true', '42501', 'iu_sql_link_unchanged'),
  ('DELETE FROM iu_sql_link', '42501', 'iu_append_only'), ('TRUNCATE iu_sql_link', '42501', 'iu_append_only'),
  ('UPDATE iu_sql_link SET lifecycle_status = ''active'', valid_to = NULL', '42501', 'iu_sql_link_unchanged'),
  ('UPDATE iu_sql_event_route SET dry_run = false', '23514', 'iu_sql_event_route_dry_run_chk')) AS v (s, e, n);
SELECT finish();
ROLLBACK;
