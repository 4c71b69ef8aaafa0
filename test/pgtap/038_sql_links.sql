-- 038: links between units and objects of the database, looked at against the catalog
-- alone; and what is captured of new links.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();
SELECT fn_iu_create(a, upper(a), 'text ' || a, 'wim') FROM unnest(ARRAY['u', 'other', 'gone']) a;
SET LOCAL app.canonical_writer = 'fn_iu_retire';
SET LOCAL session_replication_role = replica;
UPDATE information_unit SET deleted_at = now() WHERE canonical_address = 'gone';
SET LOCAL session_replication_role = origin;
SET LOCAL app.canonical_writer = '';
-- What belongs to a stranger, with code of his own wherever a table can have it.
CREATE ROLE iu_test_mallory LOGIN;
CREATE SCHEMA test_theirs AUTHORIZATION iu_test_mallory;
CREATE TABLE test_trap (who text);
GRANT INSERT, SELECT ON test_trap TO PUBLIC;
SET LOCAL ROLE iu_test_mallory;
CREATE FUNCTION test_theirs.trap(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  $$BEGIN INSERT INTO public.test_trap VALUES (current_user); RETURN $1; END$$;
CREATE TABLE test_theirs.shop (id integer PRIMARY KEY, name text, "Weird ""name" text);
CREATE TABLE test_theirs.policed (id integer);
INSERT INTO test_theirs.policed VALUES (1);
ALTER TABLE test_theirs.policed ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON test_theirs.policed USING (test_theirs.trap('x') = 'x');
CREATE VIEW test_theirs.peep AS SELECT test_theirs.trap(name) AS name FROM test_theirs.shop;
CREATE SEQUENCE test_theirs.numbers;
CREATE FUNCTION test_theirs.two(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION test_theirs.two(text, integer[]) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION test_theirs.zero() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER trg_theirs AFTER INSERT ON test_theirs.shop FOR EACH ROW EXECUTE FUNCTION test_theirs.zero();
RESET ROLE;

-- ---- refused, and nothing is written

CREATE FUNCTION pg_temp.add_call(
    p_kind text, p_name text, p_more text DEFAULT '', p_schema text DEFAULT 'test_theirs', p_key text DEFAULT 'k',
    p_address text DEFAULT 'u')
  RETURNS text LANGUAGE sql AS $$
  SELECT format('fn_iu_sql_link_add(%L, ''governs'', %L, %L, %L, ''inbound'', %L, ''olga'', ''why''%s)', p_address,
    p_kind, p_schema, p_name, p_key, p_more) $$;
SELECT pg_temp.refused(format('fn_iu_sql_link_add(%s)', c), 'invalid_input', f, 'adding is refused: ' || what)
  FROM (VALUES ('no address', 'NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL', 'canonical_address'),
  ('no role', '''u'', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL', 'link_role'),
  ('a role of several words', '''u'', ''a b'', NULL, NULL, NULL, NULL, NULL, NULL, NULL', 'link_role'),
  ('no kind', '''u'', ''governs'', NULL, NULL, NULL, NULL, NULL, NULL, NULL', 'object_kind'),
  ('another kind', '''u'', ''governs'', ''index'', NULL, NULL, NULL, NULL, NULL, NULL', 'object_kind'),
  ('no schema', '''u'', ''governs'', ''table'', NULL, NULL, NULL, NULL, NULL, NULL', 'object_schema'),
  ('no name', '''u'', ''governs'', ''table'', ''public'', NULL, NULL, NULL, NULL, NULL', 'object_name'),
  ('a name that is too long', '''u'', ''governs'', ''table'', ''public'', repeat(''x'', 64), NULL, NULL, NULL, NULL',
    'object_name'),
  ('a schema in another', '''u'', ''governs'', ''schema'', ''public'', ''x'', NULL, NULL, NULL, NULL', 'object_name'),
  ('no direction', '''u'', ''governs'', ''table'', ''public'', ''x'', NULL, NULL, NULL, NULL', 'direction'),
  ('no key', '''u'', ''governs'', ''table'', ''public'', ''x'', ''inbound'', NULL, NULL, NULL', 'idempotency_key'),
  ('no actor', '''u'', ''governs'', ''table'', ''public'', ''x'', ''inbound'', ''k'', NULL, NULL', 'actor'),
  ('no reason', '''u'', ''governs'', ''table'', ''public'', ''x'', ''inbound'', ''k'', ''o'', NULL', 'reason'))
  AS v (what, c, f);
SELECT pg_temp.refused(pg_temp.add_call(k, n, m), 'invalid_input', f, 'adding is refused: ' || what)
  FROM (VALUES ('table', 'shop', ', p_function_identity => ''integer''', 'function_identity', 'a table with arguments'),
  ('trigger', 'shop', '', 'trigger_name', 'a trigger without a name'),
  ('table', 'shop', ', p_trigger_name => ''x''', 'trigger_name', 'a table with a trigger'),
  ('function', 'two', ', p_collection_name => ''x''', 'collection_name', 'a function with a collection'),
  ('table', 'shop', ', p_collection_name => '' ''', 'collection_name', 'a blank collection'),
  ('sequence', 'numbers', ', p_row_pk => ''{"id": 1}''', 'row_pk', 'a sequence with a row'),
  ('table', 'shop', ', p_row_pk => ''[1]''', 'row_pk', 'a row that is an array'),
  ('table', 'shop', ', p_row_pk => ''{}''', 'row_pk', 'a row without a key'),
  ('table', 'shop', ', p_row_pk => jsonb_build_object(''a'', repeat(''x'', 1992))', 'row_pk',
   'a row of 2001 characters'),
  ('table', 'shop', ', p_metadata => jsonb_build_object(''a'', repeat(''x'', 15992))', 'metadata',
   'metadata of 16001 characters'),
  ('table', 'shop', ', p_metadata => NULL', 'metadata', 'no metadata'),
  ('table', 'shop', ', p_metadata => ''7''', 'metadata', 'metadata that is a number')) AS v (k, n, m, f, what);
SELECT pg_temp.answers(pg_temp.add_call(k, n, m, s), jsonb_build_object('status', 'object_not_found', 'field', f,
  'detail', d), 'adding is refused: ' || what) FROM (VALUES
  ('table', 'shop', '', 'nowhere', 'object_schema', 'schema_missing', 'a schema that there is not'),
  ('table', 'none', '', 'test_theirs', 'object_name', 'object_missing', 'a table that there is not'),
  ('table', 'SHOP', '', 'test_theirs', 'object_name', 'object_missing', 'a table in other letters'),
  ('table', 'peep', '', 'test_theirs', 'object_name', 'kind_differs', 'a view that is called a table'),
  ('view', 'shop', '', 'test_theirs', 'object_name', 'kind_differs', 'a table that is called a view'),
  ('sequence', 'shop', '', 'test_theirs', 'object_name', 'kind_differs', 'a table that is called a sequence'),
  ('function', 'none', '', 'test_theirs', 'object_name', 'object_missing', 'a function that there is not'),
  ('function', 'two', '', 'test_theirs', 'function_identity', 'ambiguous', 'one of two functions'),
  ('function', 'two', ', p_function_identity => ''text''', 'test_theirs', 'object_name', 'object_missing',
    'a function with other arguments'),
  ('trigger', 'shop', ', p_trigger_name => ''none''', 'test_theirs', 'object_name', 'object_missing',
    'a trigger that there is not'),
  ('schema', 'nowhere', '', 'nowhere', 'object_schema', 'schema_missing', 'a schema that there is not, as the object'))
  AS v (k, n, m, s, f, d, what);
SELECT pg_temp.refused(pg_temp.add_call('table', 'shop', '', 'test_theirs', 'k', a), 'iu_not_found',
  'canonical_address', 'adding is refused: ' || what)
  FROM (VALUES ('none', 'a unit that there is not'), ('gone', 'a deleted unit')) AS v (a, what);

-- ---- added, validated

SELECT pg_temp.login('iu_test_olga', pg_temp.add_call('table', 'shop', ', p_collection_name => ''shops'', p_row_pk => '
  '''{"id": 7}'', p_metadata => ''{"a": 1}''', 'test_theirs', 'shop'))::jsonb AS a \gset
SELECT is(:'a'::jsonb - 'link_id', jsonb_build_object('status', 'added', 'unit_id', pg_temp.id_of('u'), 'detail',
  'pg_class_match', 'enabled', false), 'an operator links a unit with a table');
SELECT results_eq($$SELECT id::text, canonical_address, link_role, object_kind, object_schema, object_name,
    collection_name, row_pk, direction, lifecycle_status, enabled, metadata, created_by, length(object_fingerprint)
    FROM iu_sql_link$$, format($$VALUES (%L, 'u', 'governs', 'table', 'test_theirs', 'shop', 'shops',
    '{"id": 7}'::jsonb, 'inbound', 'active', false, '{"a": 1}'::jsonb, 'olga', 64)$$, :'a'::jsonb ->> 'link_id'),
  'the link is written down, not enabled');
SELECT is((SELECT evidence - 'link_id' FROM dot_iu_command_run WHERE command_name = 'dot_iu_sql_link_add'),
  '{"reason": "why", "canonical_address": "u", "object_kind": "table", "object": "test_theirs.shop"}',
  'and the run is logged');
SELECT is(pg_temp.login('iu_test_olga', pg_temp.add_call(k, n, m, 'test_theirs', k || n)) ::jsonb ->> 'detail', d,
  'a unit is linked with a ' || k) FROM (VALUES ('view', 'peep', '', 'pg_class_match'),
  ('table', 'policed', '', 'pg_class_match'), ('sequence', 'numbers', '', 'pg_class_match'),
  ('function', 'two', ', p_function_identity => ''text, integer[]''', 'pg_proc_match'),
  ('function', 'zero', '', 'pg_proc_match'),
  ('trigger', 'shop', ', p_trigger_name => ''trg_theirs''', 'pg_trigger_match'),
  ('schema', 'test_theirs', '', 'pg_namespace_match')) AS v (k, n, m, d);
SELECT pg_temp.answers(pg_temp.add_call('table', 'shop', ', p_collection_name => ''shops'', p_row_pk => '
  '''{"id": 7}'', p_metadata => ''{"a": 1}''', 'test_theirs', 'shop'), jsonb_build_object('status',
  'idempotent_replay', 'link_id', :'a'::jsonb ->> 'link_id'), 'the same link again writes nothing');
SELECT pg_temp.refused(pg_temp.add_call('table', 'shop', m, 'test_theirs', 'shop', a), 'idempotency_key_used',
  'idempotency_key', 'under the same key no other link is added: ' || what)
  FROM (VALUES ('', 'u', 'without a row'), (', p_collection_name => ''shops'', p_row_pk => ''{"id": 7}'', '
  'p_metadata => ''{"a": 1}''', 'other', 'of another unit')) AS v (m, a, what);
SELECT is(pg_temp.login('iu_test_rita', format('fn_iu_sql_link_validate(%L)', :'a'::jsonb ->> 'link_id'))::jsonb,
  jsonb_build_object('link_id', :'a'::jsonb ->> 'link_id', 'resolved', true, 'object_kind', 'table', 'detail',
  'pg_class_match', 'fingerprint_matches', true, 'lifecycle_status', 'active', 'enabled', false),
  'a reader validates a link that is not enabled');
SELECT is(pg_temp.login('iu_test_rita', 'fn_iu_sql_link_resolve_all()')::jsonb - 'links',
  '{"mode": "resolve_all", "total_links": 8, "resolved_true": 8, "all_view_eq_direct": true, "left_off": 0}',
  'all links are resolved, by the view as by the function');
SELECT is(pg_temp.login('iu_test_rita', '(SELECT count(*) FROM v_iu_sql_link_resolved WHERE resolved AND '
  'fingerprint_matches)'), '8', 'a reader sees them all in the view');
SELECT is(fn_iu_sql_link_resolve_all() -> 'links' -> 0 ->> 'canonical_address', 'u', 'each is listed');
SELECT pg_temp.refused('fn_iu_sql_link_validate(NULL)', 'invalid_input', 'link_id',
  'nothing is validated without a link');
SELECT pg_temp.answers('fn_iu_sql_link_validate(gen_random_uuid())', '{"status": "link_not_found", "field": "link_id",
  "resolved": false}', 'an unknown link leads to nothing');
SELECT is((SELECT count(*) FROM test_trap), 0::bigint, 'no code of the stranger has run');

-- ---- objects that change

SET LOCAL ROLE iu_test_mallory;
ALTER TABLE test_theirs.shop ADD COLUMN more integer;
DROP VIEW test_theirs.peep;
CREATE TABLE test_theirs.peep (name text);
CREATE FUNCTION test_theirs.zero(integer) RETURNS integer LANGUAGE sql AS 'SELECT 0';
CREATE OR REPLACE FUNCTION test_theirs.two(text, integer[]) RETURNS integer LANGUAGE sql AS 'SELECT 2';
ALTER SEQUENCE test_theirs.numbers RENAME TO figures;
RESET ROLE;
SELECT results_eq($$SELECT object_kind, object_name, resolved, detail, fingerprint_matches FROM v_iu_sql_link_resolved
    ORDER BY object_kind COLLATE "C", object_name COLLATE "C"$$,
  $$VALUES ('function', 'two', true, 'pg_proc_match', false), ('function', 'zero', false, 'ambiguous', false),
    ('schema', 'test_theirs', true, 'pg_namespace_match', true),
    ('sequence', 'numbers', false, 'object_missing', false), ('table', 'policed', true, 'pg_class_match', true),
    ('table', 'shop', true, 'pg_class_match', false), ('trigger', 'shop', true, 'pg_trigger_match', true),
    ('view', 'peep', false, 'kind_differs', false)$$, 'the view says what became of each object');
SELECT is(pg_temp.login('iu_test_rita', 'fn_iu_sql_link_validate_all()')::jsonb, '{"mode": "validate_all",
  "total_links": 8, "resolved_true": 5, "fingerprints_changed": 2, "units_deleted": 0, "all_ok": false,
  "details": {"pg_class_match": 2, "pg_proc_match": 1, "pg_trigger_match": 1, "pg_namespace_match": 1,
  "kind_differs": 1, "ambiguous": 1, "object_missing": 1}}', 'and the counts agree');
SELECT is(fn_iu_sql_link_resolve_all() -> 'all_view_eq_direct', 'true', 'as do the view and the function');
CREATE FUNCTION pg_temp.fingerprint() RETURNS text LANGUAGE sql AS
  $$SELECT iu.fn_iu_sql_object_fingerprint('table', 'test_theirs', 'pair', NULL, NULL)$$;
CREATE TABLE test_theirs.pair (a integer, b integer);
SELECT pg_temp.fingerprint() AS of_two \gset
DROP TABLE test_theirs.pair;
CREATE TABLE test_theirs.pair (U&"a integer f\000Ab" integer);
SELECT isnt(pg_temp.fingerprint(), :'of_two', 'one column is not two, whatever its name has in it');
DROP SCHEMA test_theirs CASCADE;
SELECT is(fn_iu_sql_link_validate((:'a'::jsonb ->> 'link_id')::uuid) ->> 'detail', 'schema_missing',
  'a link outlives its object');

-- ---- retired, in use

SELECT pg_temp.refused(format('fn_iu_sql_link_retire(%s)', c), s, f, 'retiring is refused: ' || what)
  FROM (VALUES ('no link', 'NULL, ''o'', ''r''', 'invalid_input', 'link_id'),
  ('no actor', 'gen_random_uuid(), NULL, ''r''', 'invalid_input', 'actor'),
  ('no reason', 'gen_random_uuid(), ''o'', NULL', 'invalid_input', 'reason'),
  ('an unknown link', 'gen_random_uuid(), ''o'', ''r''', 'link_not_found', 'link_id')) AS v (what, c, s, f);
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.composer_enabled';
SELECT pg_temp.refuses(format('SELECT fn_iu_piece_soft_delete(%L, ''wim'')', pg_temp.id_of('u')), '55006',
  'iu_piece_in_use', 'a unit that is linked is not deleted');
SELECT is(string_agg(DISTINCT pg_temp.login('iu_test_olga', format('fn_iu_sql_link_retire(%L, ''olga'', ''gone'')', id))
  ::jsonb ->> 'status', ' '), 'retired', 'an operator retires links') FROM iu_sql_link;
SELECT results_eq($$SELECT DISTINCT lifecycle_status, enabled, valid_to > valid_from FROM iu_sql_link$$,
  $$VALUES ('retired', false, true)$$, 'which stay, with the time');
SELECT pg_temp.answers(format('fn_iu_sql_link_retire(%L, ''o'', ''r'')', :'a'::jsonb ->> 'link_id'),
  '{"status": "idempotent_replay"}', 'retiring again writes nothing');
SELECT is(fn_iu_sql_link_resolve_all() -> 'total_links', '0', 'retired links are not looked at');
SELECT is(fn_iu_piece_soft_delete(pg_temp.id_of('u'), 'wim') ->> 'ok', 'true', 'the unit is not in use any more');

-- ---- who may

SELECT is(pg_temp.login(r, c), '42501 permission denied for function ' || split_part(c, '(', 1),
  r || ' does not use ' || split_part(c, '(', 1))
  FROM (VALUES ('iu_test_wim', pg_temp.add_call('table', 'x')), ('iu_test_robot', pg_temp.add_call('table', 'x')),
  ('iu_test_rita', 'fn_iu_sql_link_retire(NULL, NULL, NULL)'), ('iu_test_wim', 'fn_iu_sql_link_validate(NULL)'))
  AS v (r, c);
SELECT results_eq($$SELECT command_name, category, mutating FROM dot_iu_command_catalog
    WHERE command_name ~ '^dot_iu_sql_link' ORDER BY 1$$, $$VALUES ('dot_iu_sql_link_add', 'health', true),
    ('dot_iu_sql_link_resolve', 'read', false), ('dot_iu_sql_link_retire', 'health', true),
    ('dot_iu_sql_link_validate', 'read', false)$$, 'what is done with links are commands');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.composer_enabled';
SELECT pg_temp.refuses('SELECT iu_core.rollback(37)', '55006', 'iu_rollback_rows',
  'a rollback that would lose links is refused');
SELECT finish();
ROLLBACK;
