-- 002: every refusal that our functions and scripts raise has a constraint name, with
-- the SQLSTATE that iu_refusal says. That each name raised is listed, and each name
-- listed is raised: tap/t/821_refusals.pl.
\ir setup.psql
SELECT no_plan();
\set scripts `cat ../sql/*/*.sql ../rollback/*.sql`

-- Whatever is raised: the functions as the database has them, and the blocks of the scripts.
CREATE TEMP TABLE source AS
  SELECT p.oid::regprocedure::text AS name, pg_get_functiondef(p.oid) AS body
    FROM pg_proc p WHERE p.proowner = 'iu_core_owner'::regrole AND p.prokind = 'f'
  UNION ALL
  SELECT 'block ' || b.n, b.m[2]
    FROM regexp_matches(:'scripts', 'DO (\$\w+?\$)(.*?)\1;', 'g') WITH ORDINALITY AS b (m, n);

-- A statement ends with the first semicolon that is not within a string.
CREATE TEMP TABLE refusal AS
  SELECT s.name AS source, r.m[1] AS condition, r.m[2] AS words,
         (regexp_match(r.m[2], 'CONSTRAINT = ''([^'']*)'''))[1] AS constraint_name,
         r.m[2] ~ 'CONSTRAINT = [a-z]' AS is_computed
    FROM source s
    CROSS JOIN LATERAL regexp_matches(s.body,
    'RAISE\s+([a-z_]+|SQLSTATE ''\w+'')\s+USING((?:''(?:[^'']|'''')*''|[^'';])*);', 'g') AS r (m);
SELECT cmp_ok((SELECT count(*) FROM refusal), '>', 100::bigint,
  'more than 100 refusals are found in functions and scripts');
-- IU000 never leaves the function that raises it.
SELECT is((SELECT string_agg(format('%s: %s%s', source, condition, left(words, 80)), E'\n') FROM refusal
            WHERE constraint_name IS NULL AND NOT is_computed AND condition <> 'SQLSTATE ''IU000'''), NULL,
            'every refusal names a constraint');

-- What a condition is as SQLSTATE is known to plpgsql alone.
CREATE FUNCTION pg_temp.sqlstate_of(p_condition text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('DO $x$ BEGIN RAISE %s; END$x$', p_condition);
EXCEPTION WHEN OTHERS OR assert_failure THEN
  RETURN SQLSTATE;
END $$;
SELECT is((SELECT string_agg(DISTINCT format('%s is raised with %s, not %s', v.constraint_name,
  pg_temp.sqlstate_of(r.condition), v.sqlstate), E'\n')
             FROM refusal r JOIN iu_refusal v USING (constraint_name)
             WHERE pg_temp.sqlstate_of(r.condition) <> v.sqlstate), NULL,
  'every refusal is raised with the SQLSTATE that the vocabulary says');
SELECT is((SELECT string_agg(v.constraint_name || ' of migration ' || v.migration, ', ') FROM iu_refusal v
            WHERE NOT EXISTS (SELECT FROM iu_core.migrations m WHERE m.version = v.migration)), NULL,
            'every name of the vocabulary belongs to a migration');

SELECT is_empty($$SELECT constraint_name FROM iu_refusal WHERE sentence ~ '[0-9]{4}-|%' OR next_action ~ '%'$$,
  'no sentence of the vocabulary has places for figures');

-- ---- what a program gets

CREATE FUNCTION pg_temp.constraint_of(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v text;
BEGIN
  EXECUTE p_sql;
  RETURN 'nothing was refused';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v = CONSTRAINT_NAME;
  RETURN v;
END $$;
SELECT is(pg_temp.constraint_of('SELECT ' || s), c, 'a refusal tells a program its constraint: ' || c) FROM (VALUES
  ($$fn_iu_switch_set('nothing', 'true', 'a', 'r')$$, 'iu_switch_unknown'),
  ($$fn_iu_switch_set('iu_core.routes_master_enabled', 'yes', 'a', 'r')$$, 'iu_switch_value'),
  ($$fn_iu_switch_set('iu_core.routes_master_enabled', 'true', '', 'r')$$, 'iu_actor_and_reason'),
  ($$fn_iu_route_pause('nope', 'a', 'r')$$, 'iu_route_unknown'),
  ($$fn_iu_route_add('r', 'version_applied', 'ftp://x', 'a', 'r')$$, 'iu_route_url'),
  ($$fn_iu_route_add('r', 'nothing', 'https://hooks.example/', 'a', 'r')$$, 'iu_route_event_type'),
  ($$fn_iu_route_deliver('r', gen_random_uuid())$$, 'iu_deliver_gate')) AS t (s, c);

-- The library's own do not wait for a delivery: a foreign table, its options, what is to be sent.
SELECT is(pg_temp.constraint_of(s), c, 'a refusal of the library tells a program its constraint: ' || c) FROM (VALUES
  ($$SELECT iu_core.http_probe('TRACE', 'http://127.0.0.1:1/')$$, 'iu_http_method'),
  ($$SELECT iu_core.http_probe('GET', 'http://127.0.0.1:1/', ARRAY['Host: x'])$$, 'iu_http_header_reserved'),
  ($$SELECT iu_core.webhook_signature('a', 1, 'b', '{}')$$, 'iu_webhook_secret_missing'),
  ($$CREATE SERVER x FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'http://h', host 'x')$$, 'iu_option_unknown'),
  ($$CREATE SERVER x FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'h')$$, 'iu_option_value'),
  ($$CREATE SERVER x FOREIGN DATA WRAPPER qdrant_fdw$$, 'iu_option_missing'),
  ($$DO $x$ BEGIN
       CREATE SERVER x FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'http://refused.example');
       CREATE FOREIGN TABLE public.refused (collection text, points bigint) SERVER x OPTIONS (resource 'collections');
       PERFORM * FROM public.refused;
     END $x$ $$, 'iu_remote_origin')) AS t (s, c);

-- ---- the table itself

SELECT pg_temp.refuses(format($$SELECT iu.fn_iu_refusal_put(2, ARRAY[%s])$$, r), e, m,
  'the vocabulary of refusals does not take ARRAY[' || r || ']') FROM (VALUES
  ($$['iu_actor_and_reason', '23514', 'A.', 'B.']$$, '23505', 'iu_refusal_pkey'),
  ($$['other', '23514', 'A.', 'B.']$$, '23514', 'iu_refusal_name'),
  ($$['iu_x', '2351', 'A.', 'B.']$$, '23514', 'iu_refusal_sqlstate'),
  ($$['iu_x', '23514', 'A', 'B.']$$, '23514', 'iu_refusal_sentence'),
  ($$['iu_x', '23514', 'A.', NULL]$$, '23502', 'next_action')) AS t (r, e, m);

SELECT * FROM finish();
ROLLBACK;
