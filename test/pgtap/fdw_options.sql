-- The wrappers as far as they go without network: options, columns, plans.
\ir setup.psql
SELECT no_plan();

-- What a wrapper refused without saying so in full: see the end of this file.
CREATE TEMP TABLE brief_refusals (message text);

-- The whole error as one line, or "no error".
CREATE FUNCTION pg_temp.error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_message text; v_detail text; v_hint text; v_constraint text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT,
    v_constraint = CONSTRAINT_NAME;
  IF SQLSTATE ~ '^HV' AND (v_detail = '' OR v_constraint = '') THEN
    INSERT INTO brief_refusals VALUES (v_message);
  END IF;
  RETURN concat_ws(' | ', SQLSTATE, v_message, nullif(v_detail, ''), nullif(v_hint, ''));
END $$;

CREATE FUNCTION pg_temp.plan_of(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || statement;
END $$;
-- The lines about the remote, without indentation.
CREATE FUNCTION pg_temp.remote_of(statement text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(btrim(line), E'\n') FROM pg_temp.plan_of(statement) line WHERE line ~ 'Remote'
$$;

-- ---- servers

SELECT matches(pg_temp.error_of(format('CREATE SERVER bad FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url %L)', url)),
               '^HV024 \| invalid value for option "url" \| .*' || detail,
  'a server with the url ' || quote_literal(left(url, 30)) || ' is refused')
  FROM (VALUES
    ('', 'does not begin with'), ('ftp://h', 'does not begin with'), ('localhost:6333', 'does not begin with'),
    ('http://', 'names no host'), ('http://:80', 'names no host'), ('http:///x', 'names no host'),
    ('http://h:', 'port'), ('http://h:0', 'port'), ('http://h:65536', 'port'), ('http://h:8x', 'port'),
    ('http://h:123456789', 'port'), ('http://h i', 'space'), (E'http://h\n', 'space'), ('http://hé', 'space'),
    ('http://h?x=1', 'query'), ('http://h#x', 'fragment'), ('http://[::1', 'IPv6'), ('http://[zz]', 'IPv6'),
    ('http://h/../x', 'dot'), ('http://h%41', 'host name'),
    ('http://' || repeat('h', 2000), '2007 characters; 2000 are the most')) v (url,
    detail);
SELECT alike(pg_temp.error_of($$CREATE SERVER bad FOREIGN DATA WRAPPER directus_fdw OPTIONS
  (url 'https://me:hunter2@h')$$),
             'HV024%user part%', 'a server whose url has a user part is refused');
SELECT unalike(pg_temp.error_of($$CREATE SERVER bad FOREIGN DATA WRAPPER directus_fdw OPTIONS
  (url 'https://me:hunter2@h')$$),
               '%hunter2%', 'a url with a user part is not quoted in its refusal');
SELECT is(pg_temp.error_of(format('CREATE SERVER %I FOREIGN DATA WRAPPER directus_fdw OPTIONS (url %L)', url, url)),
          'no error', 'a server with the url ' || url || ' is taken')
  FROM (VALUES ('http://127.0.0.1:8055'), ('https://cms.example.org/api/'), ('HTTPS://h'), ('http://[::1]:80'),
  ('http://my_host-1.local')) v (url);
SELECT is(pg_temp.error_of('CREATE SERVER bad FOREIGN DATA WRAPPER qdrant_fdw'),
          'HV002 | option "url" of the foreign server is missing | '
            'The foreign server must have option "url".', 'a server without a url is refused');
SELECT alike(pg_temp.error_of($$CREATE SERVER bad FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'http://h', host 'x')$$),
             'HV00D | invalid option "host" | There is no option "host" here. | '
            'Valid options in this context: url, ca_certificates, '
               'timeout_ms, connections, page_size, on_error%.',
  'an option that a server does not have is refused with those it has');

SELECT is(pg_temp.error_of(format('CREATE SERVER bad FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url %L, timeout_ms %L)',
  'http://h', value)),
          format('HV024 | invalid value for option "timeout_ms" | "%s" is not a whole number from 1 to 3600000.',
          value),
  'timeout_ms ' || quote_literal(value) || ' is refused')
  FROM (VALUES ('0'), ('-1'), ('3600001'), ('1s'), (''), (' 5'), ('+5'), ('5.5'), ('99999999999999999999')) v (value);
SELECT alike(pg_temp.error_of($$CREATE SERVER bad FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'http://h',
  connections '129')$$),
             'HV024%1 to 128%', '129 connections are refused');
SELECT is(pg_temp.error_of($$CREATE SERVER bad FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'http://h',
  on_error 'NULL')$$),
          'HV024 | invalid value for option "on_error" | "NULL" is not allowed here. | Allowed values: error, null.',
  'on_error in capitals is refused with the values that it has');

-- 127.0.0.1:1 is in no list: whoever tried to reach it would be refused
CREATE SERVER q FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'http://127.0.0.1:1', timeout_ms '1000', connections '4',
  on_error 'error');
CREATE SERVER d FOREIGN DATA WRAPPER directus_fdw OPTIONS (url 'http://127.0.0.1:1/');
SELECT alike(pg_temp.error_of('ALTER SERVER q OPTIONS (DROP url)'), 'HV002%', 'the url of a server cannot be dropped');
SELECT alike(pg_temp.error_of('ALTER FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (ADD url ''http://h'')'),
             'HV00D%There are no valid options in this context.', 'a wrapper has no options');

-- ---- user mappings

SELECT is(pg_temp.error_of($$CREATE USER MAPPING FOR PUBLIC SERVER q OPTIONS (token 'x')$$),
          'HV00D | invalid option "token" | There is no option "token" here. | '
            'Valid options in this context: api_key, api_key_file.',
  'a user mapping of Qdrant has keys and no token');
SELECT is(pg_temp.error_of($$CREATE USER MAPPING FOR PUBLIC SERVER d OPTIONS (api_key 'x')$$),
          'HV00D | invalid option "api_key" | There is no option "api_key" here. | '
            'Valid options in this context: token, token_file.',
  'a user mapping of Directus has tokens and no key');
SELECT ok(e LIKE 'HV024 | invalid value for option "token" |%' AND e !~ 'hunter2',
  'a token that is none is refused and not quoted: ' || e)
  FROM (VALUES (''), ('hunter2 x'), (E'hunter2\r\nX-Evil: 1'), ('hunter2é'),
  ('hunter2' || repeat('x', 9000))) v (value),
       pg_temp.error_of(format('CREATE USER MAPPING FOR PUBLIC SERVER d OPTIONS (token %L)', value)) e;
SELECT alike(pg_temp.error_of($$CREATE USER MAPPING FOR PUBLIC SERVER d OPTIONS (token_file 'relative')$$),
             'HV024%absolute%', 'a relative path of a file with a token is refused');
SELECT is(pg_temp.error_of($$CREATE USER MAPPING FOR PUBLIC SERVER d OPTIONS (token 'x', token_file '/x')$$),
          'HV00D | options "token" and "token_file" exclude each other | '
            'The user mapping would have both; it may have '
          'option "token", or the name of a file.',
  'a token and a file with a token exclude each other');
SELECT is(pg_temp.error_of($$CREATE USER MAPPING FOR PUBLIC SERVER d OPTIONS (token_file '/nowhere/token')$$),
          'no error', 'a superuser may name a file with a token');

CREATE ROLE fdw_test_user;
CREATE ROLE fdw_test_file_reader;
GRANT pg_read_server_files TO fdw_test_file_reader;
GRANT USAGE ON FOREIGN SERVER d TO fdw_test_user, fdw_test_file_reader;
SET ROLE fdw_test_user;
SELECT alike(pg_temp.error_of($$CREATE USER MAPPING FOR fdw_test_user SERVER d OPTIONS (token_file '/etc/passwd')$$),
             '42501 | permission denied to set option "token_file"%pg_read_server_files%',
  'a role without pg_read_server_files may not name a file with a token');
SELECT is(pg_temp.error_of($$CREATE USER MAPPING FOR fdw_test_user SERVER d OPTIONS (token 'mine')$$), 'no error',
  'a role without pg_read_server_files may give its token');
SELECT alike(pg_temp.error_of($$ALTER USER MAPPING FOR fdw_test_user SERVER d OPTIONS (DROP token,
  ADD token_file '/etc/passwd')$$),
             '42501%', 'a role without pg_read_server_files may not name a file with ALTER either');
SELECT alike(pg_temp.error_of($$CREATE SERVER mine FOREIGN DATA WRAPPER directus_fdw OPTIONS (url 'http://h')$$),
             '42501%foreign-data wrapper%', 'a role without USAGE on the wrapper makes no server');
SELECT alike(pg_temp.error_of($$CREATE USER MAPPING FOR fdw_test_user SERVER q OPTIONS (api_key 'x')$$),
             '42501%foreign server%', 'a role without USAGE on a server makes no user mapping for it');
SET ROLE fdw_test_file_reader;
SELECT is(pg_temp.error_of($$CREATE USER MAPPING FOR fdw_test_file_reader SERVER d OPTIONS
  (token_file '/etc/passwd')$$),
          'no error', 'a member of pg_read_server_files may name a file with a token');
RESET ROLE;

-- ---- foreign tables

SELECT is(pg_temp.error_of('CREATE FOREIGN TABLE t (collection text) SERVER q'),
          'HV002 | option "resource" of the foreign table is missing | '
            'The foreign table must have option "resource".', 'a foreign table without a resource is refused');
SELECT is(pg_temp.error_of($$CREATE FOREIGN TABLE t (collection text) SERVER q OPTIONS (resource 'items')$$),
          'HV024 | invalid value for option "resource" | "items" is not allowed here. | Allowed values: collections, '
            'points.',
  'a foreign table of an unknown resource is refused with those there are');
SELECT alike(pg_temp.error_of($$CREATE FOREIGN TABLE t (collection text) SERVER q OPTIONS (object 'collections')$$),
             'HV00D | invalid option "object" | There is no option "object" here. | '
            'Valid options in this context: resource, collection, page_size, '
               'on_error%.',
  'an option that a foreign table does not have is refused with those it has');
SELECT is(pg_temp.error_of($$CREATE FOREIGN TABLE t (collection text OPTIONS (name 'x')) SERVER q OPTIONS
  (resource 'collections')$$),
          'HV00D | invalid option "name" | There is no option "name" here. | Valid options in this context: field.',
  'an option that a column does not have is refused with those it has');
SELECT is(pg_temp.error_of($$CREATE FOREIGN TABLE t (collection text) SERVER q OPTIONS (resource 'collections',
  collection 'c')$$),
          'HV00D | option "collection" is not for resource "collections" | '
            'Option "resource" is "collections", and option '
          '"collection" is given. | Restrict column "collection" instead.',
  'a listing of collections cannot be restricted to one by an option');
SELECT is(pg_temp.error_of(format('CREATE FOREIGN TABLE t (collection text) SERVER q OPTIONS (resource %L, page_size '
  '%L)', 'collections', value)),
          format('HV024 | invalid value for option "page_size" | "%s" is not a whole number from 1 to 10000.', value),
  'page_size ' || quote_literal(value) || ' is refused')
  FROM (VALUES ('0'), ('10001'), ('all')) v (value);

CREATE SCHEMA fdw_test_q;
CREATE SCHEMA fdw_test_d;
IMPORT FOREIGN SCHEMA api FROM SERVER q INTO fdw_test_q;
IMPORT FOREIGN SCHEMA api LIMIT TO (collections) FROM SERVER d INTO fdw_test_d;
SELECT columns_are('fdw_test_q', 'collections',
  ARRAY['collection', 'points', 'points_approx', 'status', 'vectors', 'dimension',
  'distance', 'aliases', 'configuration', 'error', 'deferred_points', 'queued_updates', 'replicas', 'points_sure',
  'doubt'], 'imported collections of Qdrant have the known columns');
SELECT columns_are('fdw_test_q', 'points', ARRAY['collection', 'id', 'payload', 'vector', 'filter', 'shard_key'],
  'imported points of Qdrant have the known columns');
SELECT col_type_is('fdw_test_d', 'collections', 'items', 'bigint', 'the imported column items of Directus is bigint');
SELECT alike(pg_temp.error_of($$IMPORT FOREIGN SCHEMA api FROM SERVER d INTO public OPTIONS (nonsense 'x')$$), 'HV00D%',
  'an option of IMPORT FOREIGN SCHEMA is refused');
SELECT is(pg_temp.error_of('IMPORT FOREIGN SCHEMA public FROM SERVER d INTO public'),
          'HV00Q | Directus has no schema "public" to import | The remote schema is "public"; it may be "api" or '
          '"data". | Schema "api" holds the tables of the API, schema '
            '"data" a table for each collection.',
  'a schema to import that is neither api nor data is refused');

CREATE FOREIGN TABLE unknown_column (collection text, points bigint) SERVER d OPTIONS (resource 'collections');
SELECT alike(pg_temp.error_of('SELECT * FROM unknown_column'),
          'HV007 | column "points" of foreign table "unknown_column" is none that resource "collections" of Directus '
            'has | Option "resource" is "collections", and the table has a column "points". | '
            'Known columns: collection text, items bigint,%',
          'a column that the resource does not have is refused with those it has');
CREATE FOREIGN TABLE wrong_type (collection text, points integer) SERVER q OPTIONS (resource 'collections');
SELECT is(pg_temp.error_of('SELECT * FROM wrong_type'),
          'HV004 | column "points" of foreign table "wrong_type" has type integer and must have type bigint | '
            'Resource '
          '"collections" gives "points" as bigint.',
  'a column of the wrong type is refused with the right type');
CREATE FOREIGN TABLE no_column () SERVER q OPTIONS (resource 'collections');
SELECT is(pg_temp.remote_of('SELECT FROM no_column'), 'Remote Request: GET /collections',
  'a foreign table without columns asks for the list of collections');
CREATE FOREIGN TABLE some_columns (gone integer, error text, collection text) SERVER q OPTIONS (resource 'collections',
  on_error 'null');
ALTER FOREIGN TABLE some_columns DROP COLUMN gone;
SELECT is(pg_temp.error_of('EXPLAIN SELECT * FROM some_columns'), 'no error',
  'a foreign table may have some of the columns in another order and a dropped one');

SELECT alike(pg_temp.error_of($$INSERT INTO fdw_test_d.collections VALUES ('x')$$),
  '%cannot insert into foreign table%',
  'a foreign table takes no INSERT');

-- ---- plans, without network

SELECT alike(pg_temp.remote_of($$SELECT collection, items FROM fdw_test_d.collections WHERE collection = 'x'$$),
             E'Remote Request: GET /items/{collection}%\nRemote Keys: x',
  'one collection of Directus is asked for by its name');
SELECT is(pg_temp.remote_of($$SELECT collection, points FROM fdw_test_q.collections WHERE collection = 'x'$$),
          E'Remote Request: POST /collections/{collection}/points/count {"exact":true}\nRemote Keys: x',
  'one collection of Qdrant is asked for by its name');
SELECT is(pg_temp.remote_of($$SELECT collection, points FROM fdw_test_q.collections WHERE 'x' = collection$$),
          E'Remote Request: POST /collections/{collection}/points/count {"exact":true}\nRemote Keys: x',
  'a value equal to the column is pushed as the column equal to the value is');
SELECT is(pg_temp.remote_of($$SELECT collection,
  points FROM fdw_test_q.collections WHERE collection IN ('b', 'a', 'b', NULL)$$),
          E'Remote Request: POST /collections/{collection}/points/count {"exact":true}\nRemote Keys: a, b',
  'of IN each name is asked for once and NULL never');
SELECT is(pg_temp.remote_of($$SELECT collection, points FROM fdw_test_q.collections WHERE collection = ANY ('{b,a}')$$),
          E'Remote Request: POST /collections/{collection}/points/count {"exact":true}\nRemote Keys: a, b',
  'of ANY each name is asked for');
SELECT is(pg_temp.remote_of($$SELECT collection, points FROM fdw_test_q.collections WHERE collection = 'a'
  OR collection IN ('b', 'c')$$),
          E'Remote Request: POST /collections/{collection}/points/count {"exact":true}\nRemote Keys: a, b, c',
  'of OR each name is asked for');
SELECT is(pg_temp.remote_of($$SELECT collection, points FROM fdw_test_q.collections WHERE collection IN ('a', 'b')
  AND collection = 'a'$$),
          E'Remote Request: POST /collections/{collection}/points/count {"exact":true}\nRemote Keys: a',
  'of two clauses the one that leaves the fewest names is pushed');
SELECT is(pg_temp.remote_of(format('SELECT collection, points FROM fdw_test_q.collections WHERE collection = ANY (%L)',
  (SELECT array_agg('c' || n) FROM generate_series(10, 25) n))),
  E'Remote Request: POST /collections/{collection}/points/count {"exact":true}\n'
  'Remote Keys: c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, and 6 more',
  'of many names the plan shows the first ten and how many more there are');
SELECT is(pg_temp.remote_of('SELECT collection, points FROM fdw_test_q.collections'),
          'Remote Request: GET /collections, POST /collections/{collection}/points/count {"exact":true}',
  'without a clause the list is asked for and then each collection');
SELECT is(pg_temp.remote_of($$SELECT collection FROM fdw_test_q.collections WHERE collection ~ '^x'$$),
          'Remote Request: GET /collections', 'for the names alone only the list is asked for');
SELECT is(pg_temp.remote_of($$SELECT collection, points FROM fdw_test_q.collections WHERE collection = 'x'
  OR points = 3$$),
          'Remote Request: GET /collections, POST /collections/{collection}/points/count {"exact":true}',
  'an OR with another column is not pushed');
SELECT is(pg_temp.remote_of($$SELECT collection, points FROM fdw_test_q.collections WHERE collection <> ALL ('{x}')$$),
          'Remote Request: GET /collections, POST /collections/{collection}/points/count {"exact":true}',
  'NOT IN is not pushed');
SELECT is(pg_temp.remote_of($$SELECT collection,
  points FROM fdw_test_q.collections WHERE collection = clock_timestamp()::text$$),
          'Remote Request: GET /collections, POST /collections/{collection}/points/count {"exact":true}',
  'a volatile value is not pushed');
SELECT is(pg_temp.remote_of($$SELECT collection,
  points FROM fdw_test_q.collections WHERE collection = (SELECT max(x) FROM (VALUES ('a'), ('b')) v (x))$$),
  E'Remote Request: GET /collections, POST /collections/{collection}/points/count {"exact":true}\n'
  'Remote Keys: (known at execution)',
  'a subselect is pushed and its value known at execution');
SELECT ok((SELECT bool_or(line ~ 'Filter: \(collection = ''x''::text\)') FROM pg_temp.plan_of($$SELECT collection,
  points FROM fdw_test_q.collections WHERE collection = 'x'$$) line),
          'what was pushed is checked again');
SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') AS has_icu \gset
\if :has_icu
CREATE COLLATION fdw_test_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT is(pg_temp.remote_of($$SELECT collection,
  points FROM fdw_test_q.collections WHERE collection = 'X' COLLATE fdw_test_ci$$),
          'Remote Request: GET /collections, POST /collections/{collection}/points/count {"exact":true}',
  'an equality of another collation is not pushed');
\else
SELECT skip('this server was built without ICU', 1);
\endif

-- ---- what needs no network, and what is refused before any

SELECT is_empty('SELECT collection, items FROM fdw_test_d.collections WHERE collection = NULL',
  'a name that is NULL matches nothing without a request');
SELECT is_empty('SELECT collection, items FROM fdw_test_d.collections WHERE collection = ANY (NULL::text[])',
  'a NULL array of names matches nothing without a request');
SELECT is_empty('SELECT collection, items FROM fdw_test_d.collections WHERE collection = ANY (''{}'')',
  'an empty array of names matches nothing without a request');
SELECT is_empty('SELECT collection, points FROM fdw_test_q.collections WHERE collection IN (NULL, NULL)',
  'an array of NULLs matches nothing without a request');
PREPARE by_name(text) AS SELECT collection, items FROM fdw_test_d.collections WHERE collection = $1;
SELECT is_empty('EXECUTE by_name(NULL)', 'a NULL parameter matches nothing without a request');
SELECT is(pg_temp.error_of(format('SELECT * FROM fdw_test_%s.collections WHERE collection = %L', s, name)),
          format('42602 | could not read collection "%s" of foreign server "%s": %s', name, s, reason),
  format('the impossible name "%s" of a collection on server %s is refused without a request', name, s))
  FROM (VALUES ('q', '', 'a collection''s name is not empty'), ('q', 'a/b', 'a collection''s name holds no slash'),
               ('d', 'a/b', 'a collection''s name holds no slash'),
               ('d', '..', 'a collection of this name cannot be addressed'),
               ('d', 'directus_elsewhere', 'Directus does not count this system collection')) v (s, name, reason);
SELECT results_eq($$SELECT collection, error FROM some_columns WHERE collection = 'a/b'$$,
                  $$VALUES ('a/b'::text, 'a collection''s name holds no slash'::text)$$,
  'with on_error null an impossible name is a row that says so');

-- the mapping's file is not there
SELECT ok(e ~ '^58P01 \| could not read the file that option "token_file" of the user mapping names'
  AND e !~ '/nowhere',
          'a file with a token that is missing is refused, with its name in the log only')
  FROM pg_temp.error_of($$SELECT collection, items FROM fdw_test_d.collections WHERE collection = 'x'$$) e;
DROP USER MAPPING FOR PUBLIC SERVER d;
-- HV00L: no network was involved
SELECT alike(pg_temp.error_of(format('SELECT * FROM fdw_test_%s.collections WHERE collection = ''x''', s)),
             format('HV00L | could not read collection "x" of foreign server "%s": its origin is not allowed | '
               '%%iu_core.allowed_origins%%', s),
  format('a collection of server %s whose origin is not allowed is refused', s))
  FROM (VALUES ('q'), ('d')) v (s);
SELECT alike(pg_temp.error_of('SELECT collection, points FROM fdw_test_q.collections'),
             'HV00L | could not list the collections of foreign server "q": its origin is not allowed%',
  'the list of a server whose origin is not allowed is refused');
SELECT results_eq($$SELECT collection, error LIKE 'its origin is not allowed: %' FROM some_columns
  WHERE collection IN ('b', 'a') ORDER BY 1$$,
                  $$VALUES ('a'::text, true), ('b', true)$$,
  'with on_error null each name of an origin that is not allowed is a row that says so');
SELECT alike(pg_temp.error_of('SELECT count(*) FROM some_columns'), 'HV00L%',
  'with on_error null a list that failed is an error, for there are no rows to count');

SELECT is_empty('SELECT message FROM brief_refusals',
  'every refusal of a wrapper in this file says in its DETAIL what was given, and has a constraint name');

SELECT * FROM finish();
ROLLBACK;
