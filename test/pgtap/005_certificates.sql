-- 005 to 012: certificates of routes: which names may be, and what a route without
-- their files is told. test/tap/t/115_certificates.pl has the files.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.problem(p_url text, p_ca text, p_client text) RETURNS text LANGUAGE sql
RETURN iu.fn_iu_route_certificate_problem('external_endpoint', p_url, p_ca, p_client);

-- ---- names

SELECT is(pg_temp.problem('https://a.example/', n, n), NULL, 'a name of certificates that is taken: ' || n)
  FROM unnest(ARRAY['a', 'partner', '2026-partner_CA.v2', 'a..b', repeat('x', 64)]) n;
SELECT alike(CASE WHEN k = 'authorities' THEN pg_temp.problem('https://a.example/', n, NULL)
                  ELSE pg_temp.problem('https://a.example/', NULL, n) END, format('the name of its %s is not%%', k),
  format('a name of its %s that is refused: %s', k, left(to_json(n)::text, 20)))
  FROM unnest(ARRAY['authorities', 'certificate']) k, unnest(ARRAY['', '.', '..', '../x', '.x', '-x', '_x', 'a/b',
    '/etc/passwd', 'a\b', 'a b', E'a\n', 'é', 'a%2f',
                    repeat('x', 65)]) n;
SELECT alike(coalesce(iu.fn_iu_route_certificate_problem(k, t, c, NULL), 'nothing'), '%begins with https://%',
  format('%s %s has no certificates', k, t)) FROM (VALUES
  ('external_endpoint', 'http://a.example/', 'x'), ('directus_flow', 'http://a.example/', 'x'),
  ('sql_function', 'https://a.example/', 'x'), (NULL, NULL, 'x'), ('external_endpoint', ' https://a', 'x'))
  AS t (k, t, c);
SELECT is(iu.fn_iu_route_certificate_problem(NULL, NULL, NULL, NULL), NULL, 'no names are no problem');
SELECT matches(pg_temp.as_role(r, $$SELECT iu_core.certificate_problem('https://a.example/', 'x', NULL)$$), '^42501',
  'the files of certificates are not looked for by ' || r)
  FROM unnest(ARRAY['iu_core_reader', 'iu_core_operator', 'iu_core_admin', 'iu_core_worker']) r;

-- ---- a route, on a server that has no directory of certificates

UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT fn_iu_route_add('w', 'version_applied', 'https://hooks.example/', 'ann', 't');
SELECT fn_iu_route_add('p', 'version_applied', 'http://127.0.0.1:9/', 'ann', 't');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_set(%L, %L, %L, %s => %L)', r, 'ann', 't', a, n), '23514', c,
  format('route %s is refused: %s => %s', r, a, n)) FROM (VALUES
  ('w', 'p_ca_name', '../x', 'iu_route_certificate'), ('w', 'p_client_name', '/etc/ssl/x', 'iu_route_certificate'),
  ('w', 'p_client_name', '.x', 'iu_route_certificate'), ('p', 'p_ca_name', 'x', 'iu_route_certificate'),
  ('p', 'p_client_name', 'x', 'iu_route_certificate'), ('w', 'p_ca_name', 'x', 'iu_route_certificate_file'),
  ('w', 'p_client_name', 'x', 'iu_route_certificate_file')) AS t (r, a, n, c);
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET client_name = '../x' WHERE route_code = 'w'$$, '23514',
  'iu_outbound_route_certificates_chk', 'nor does the table take a path');
SELECT is(fn_iu_route_set('w', 'ann', 't', p_ca_name => '', p_client_name => '') ->> 'status', 'unchanged',
  'no certificates are what a route has');

-- As a dump brings it to a server without these files.
UPDATE iu_outbound_route SET ca_name = 'partner-ca', client_name = 'partner' WHERE route_code = 'w';
SELECT fn_iu_route_allow('w', 'ann', 't'), fn_iu_route_arm('w', 'ann', 't');
SELECT is(iu.fn_iu_delivery_refusal('w'), 'certificate_missing',
  'a route without the files of its certificates is held');
SELECT matches(iu.fn_iu_route_refusal('w') ->> 'sentence',
  'cannot be used: iu_core.certificate_directory is empty, so that no route has', 'it is told why');
SELECT matches(iu.fn_iu_route_refusal('w') ->> 'next_action', 'mend the file', 'and what to do');
SELECT fn_iu_emit_event('version_applied', 'A/1', gen_random_uuid(), 'ann') AS event \gset
SELECT is(fn_iu_route_explain('w', :'event') ->> k, v, 'an event that did not go out is explained: ' || k) FROM (VALUES
  ('code', 'certificate_missing'), ('ca_name', 'partner-ca'), ('client_name', 'partner')) AS t (k, v);
SELECT is(fn_iu_route_test('w', :'event') ->> 'verdict', 'certificate_missing', 'a test of the route says it too');
SELECT is(fn_iu_route_test('w', :'event') #>> '{request,client_name}', 'partner', 'and what the request would show');
SELECT is((ca_name, client_name)::text, '(partner-ca,partner)', 'v_iu_route_health has the names')
  FROM v_iu_route_health WHERE route_code = 'w';
SELECT is(count(*), 0::bigint, 'and nothing is claimed of it') FROM iu.fn_iu_delivery_claim('s', 10);

-- ---- live

SELECT pg_temp.refuses(format('SELECT fn_iu_route_set(%L, %L, %L, %s => %L)', 'w', 'ann', 't', a, ''), '55006',
  'iu_route_is_live', 'what a live route trusts and shows is not changed: ' || a)
  FROM unnest(ARRAY['p_ca_name', 'p_client_name']) a;
SELECT fn_iu_route_pause('w', 'ann', 't');
SELECT is(fn_iu_route_set('w', 'ann', 't', p_client_name => '', p_ca_name => '') -> 'previous',
  '{"ca_name": "partner-ca", "client_name": "partner"}', 'of a paused route it is');
SELECT is(count(*), 1::bigint, 'the log has what it was') FROM dot_iu_command_run
 WHERE command_name = 'dot_iu_route_set' AND evidence #>> '{previous,client_name}' = 'partner';

SELECT * FROM finish();
ROLLBACK;
