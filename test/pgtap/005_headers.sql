-- 005 to 012: headers of routes and credentials: which may be, and that nobody sees
-- a secret.
\ir setup.psql
SELECT no_plan();

-- ---- headers

SELECT is(iu.fn_iu_route_headers_problem(h::jsonb), NULL, 'headers that are taken: ' || h) FROM (VALUES
  ('{}'), ('{"X-A": "b c"}'), ('{"X-A": {"secret": "r"}}'), ('{"Authorization": {"bearer": "r"}, "x-tenant": "~"}'),
  ('{"authorization": {"basic": "r"}}'), ('{"X_a!": "1"}'),
  ('{"Idempotency-Key": "x"}'), ('{"X-Author": "x"}')) AS t (h);
SELECT alike(coalesce(iu.fn_iu_route_headers_problem(h::jsonb), 'nothing'), '%' || w || '%',
  'headers that are refused: ' || left(h, 60)) FROM (VALUES
  ('[]', 'not an object'), ('{"X A": "b"}', 'not the name'), ('{"X-A:": "b"}', 'not the name'),
  ('{"": "b"}', 'not the name'),
  ('{"X-Ä": "b"}', 'not the name'), ('{"' || repeat('x', 101) || '": "b"}', 'not the name'),
  ('{"Host": "b"}', 'not a route''s'), ('{"CONTENT-LENGTH": "1"}', 'not a route''s'),
  ('{"Transfer-Encoding": "chunked"}', 'not a route''s'), ('{"Connection": "close"}', 'not a route''s'),
  ('{"TE": "trailers"}', 'not a route''s'), ('{"Upgrade": "h2c"}', 'not a route''s'),
  ('{"Trailer": "x"}', 'not a route''s'),
  ('{"Proxy-Authorization": {"secret": "r"}}', 'not a route''s'), ('{"Keep-Alive": "1"}', 'not a route''s'),
  ('{"webhook-id": "x"}', 'not a route''s'), ('{"Webhook-Signature": "v1,x"}', 'not a route''s'),
  ('{"svix-signature": "x"}', 'not a route''s'), ('{"User-Agent": "x"}', 'not a route''s'),
  ('{"X-A": ""}', 'printable'), ('{"X-A": " b"}', 'printable'), ('{"X-A": "b\r\nX-B: c"}', 'printable'),
  ('{"X-A": "b\u0001"}', 'printable'), ('{"X-A": "é"}', 'printable'),
  ('{"X-A": "' || repeat('b', 1001) || '"}', 'printable'),
  ('{"X-A": 1}', 'neither a text'), ('{"X-A": null}', 'neither a text'), ('{"X-A": {}}', 'neither a text'),
  ('{"X-A": {"token": "r"}}', 'neither a text'), ('{"X-A": {"secret": 1}}', 'neither a text'),
  ('{"X-A": {"secret": "r", "bearer": "r"}}', 'neither a text'), ('{"X-A": {"secret": "r s"}}', 'names a credential'),
  ('{"X-A": {"bearer": "r"}}', 'for Authorization'), ('{"Authorization": "Bearer x"}', 'is a secret'),
  ('{"Cookie": "x=y"}', 'is a secret'), ('{"X-API-Key": "x"}', 'is a secret'),
  ('{"HTTP2-Settings": "x"}', 'not a route'),
  ('{"Private-Token": "x"}', 'is a secret'), ('{"x_vault_token": "x"}', 'is a secret'),
  ('{"apikey": "x"}', 'is a secret'),
  ('{"X-Client-Secret": "x"}', 'is a secret'), ('{"X-A": "b", "x-a": "c"}', 'twice'),
  ((SELECT jsonb_object_agg('X-' || n, 'b')::text FROM generate_series(1, 33) n), 'may be 32')) AS t (h, w);

SELECT matches(iu.fn_iu_route_headers_problem(jsonb_build_object(h, 'b')), 'not a route''s',
  'a header that is the sender''s is refused: ' || h) FROM unnest(ARRAY['Content-Type', 'Content-Encoding', 'Expect',
  'Accept-Encoding', 'Date', 'Via', 'Sec-Fetch-Mode']) h;

-- ---- credentials

SELECT is(fn_iu_route_credential_put('r', 'token-0123', 'ann', 't'),
  '{"status": "registered", "credential_ref": "r"}', 'a credential is registered');
SELECT is(fn_iu_route_credential_put('r', 'token-4567', 'ann', 't') ->> 'status', 'replaced',
  'a credential gets another value');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_credential_put(%L, %L, %L, %L)', r, v, a, 't'), '23514', c,
  'a credential is refused: ' || n) FROM (VALUES
  ('r s', 'token-0123', 'ann', 'iu_credential_ref', 'a reference with a blank'),
  (NULL, 'token-0123', 'ann', 'iu_credential_ref', 'a reference that is NULL'),
  ('r', NULL, 'ann', 'iu_credential_form', 'a value that is NULL'),
  ('r', 'short', 'ann', 'iu_credential_form', 'a short value'),
  ('r', E'token-01\r\nX: y', 'ann', 'iu_credential_form', 'a value with a line break'),
  ('r', repeat('x', 2001), 'ann', 'iu_credential_form', 'a long value'),
  ('r', 'token-0123', '', 'iu_actor_and_reason', 'nobody who gives it')) AS t (r, v, a, c, n);
SELECT is((SELECT count(*) FROM dot_iu_command_run r WHERE r::text ~ 'token-'), 0::bigint,
  'no credential is in the log of runs');
SELECT matches(pg_temp.as_role(r, 'SELECT value FROM iu_route_credential'), '^42501', 'no credential is read by ' || r)
  FROM unnest(ARRAY['iu_core_reader', 'iu_core_operator', 'iu_core_admin', 'iu_core_worker']) r;

SELECT pg_temp.refuses(format('SELECT fn_iu_route_key_add(%L, %L, %L)', 'r', a, r), '23514', 'iu_actor_and_reason',
  'a key is refused where ' || n) FROM (VALUES (NULL, 't', 'nobody adds it'), ('ann', NULL, 'there is no reason'))
  AS t (a, r, n);

-- ---- a route with headers

UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT fn_iu_route_add('w', 'version_applied', 'https://hooks.example/', 'ann', 't');
SELECT pg_temp.refuses($$SELECT fn_iu_route_set('w', 'ann', 't', p_headers => '{"Host": "x"}')$$, '23514',
  'iu_route_headers', 'a route is not given a header that it may not have');
SELECT fn_iu_route_add('f', 'version_applied', 'fn_iu_structure_consumer', 'ann', 't', 'sql_function');
SELECT pg_temp.refuses($$SELECT fn_iu_route_set('f', 'ann', 't', p_headers => '{"X-A": "b"}')$$, '23514',
  'iu_route_headers', 'a route to a function has no headers');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET request_headers = '{"Host": "x"}'$$, '23514', 'headers_chk',
  'a header that a route may not have is not written');
SELECT pg_temp.refuses($$SELECT fn_iu_route_set('w', 'ann', 't', p_headers => '{"X-A": {"secret": "nope"}}')$$, '23514',
  'iu_route_credential', 'a route does not name a credential that is not there');
SELECT pg_temp.refuses($$SELECT fn_iu_route_set('w', 'ann', 't', p_headers => '{"Authorization": {"basic": "r"}}')$$,
  '23514', 'not user:password', 'a route does not name a token as user:password');
SELECT fn_iu_route_credential_put('b', 'user:pass-word', 'ann', 't');
SELECT is(fn_iu_route_set('w', 'ann', 't',
  p_headers => '{"X-A": "b", "X-Key": {"secret": "r"}, "Authorization": {"basic": "b"}}') ->> 'status', 'set',
  'a route is given headers');
SELECT pg_temp.refuses($$SELECT fn_iu_route_credential_put('b', 'no-password', 'ann', 't')$$, '23514',
  'iu_credential_basic', 'a credential that a route needs as user:password is not made another');
SELECT pg_temp.refuses($$SELECT fn_iu_route_credential_end('b', 'ann', 't')$$, '55006', 'iu_credential_in_use',
  'a credential that a route names is not ended');
SELECT pg_temp.refuses($$SELECT fn_iu_route_credential_end('nope', 'ann', 't')$$, '42704', 'iu_credential_unknown',
  'a credential that is not there is not ended');
SELECT fn_iu_route_allow('w', 'ann', 't'), fn_iu_route_arm('w', 'ann', 't');
CREATE TEMP TABLE e AS SELECT fn_iu_emit_event('version_applied', NULL, gen_random_uuid(), 't') AS id;
SELECT is((fn_iu_route_test('w', id, 'ann', 't') #> '{request,headers}') - ARRAY['content-length', 'webhook-id',
  'webhook-timestamp', 'user-agent'], '{"content-type": "application/json", "webhook-signature": "present: 1",
  "x-a": "b", "x-key": "present", "authorization": "present"}', 'a test shows the headers without the secrets') FROM e;
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'w', o.id, o.event_seq, clock_timestamp(), 'armed' FROM event_outbox o JOIN e USING (id);
CREATE TEMP TABLE claimed AS SELECT * FROM iu.fn_iu_delivery_claim('s', 10);
SELECT is(headers, ARRAY['Authorization: Basic dXNlcjpwYXNzLXdvcmQ=', 'X-A: b', 'X-Key: token-4567'],
  'a claim has the lines of the headers') FROM claimed;
SELECT is((SELECT array_agg(h ORDER BY h COLLATE "C") FROM claimed, unnest(hidden) h),
  ARRAY['dXNlcjpwYXNzLXdvcmQ=', 'pass-word', 'token-4567', 'user:pass-word'], 'a claim says what nobody may see');
DELETE FROM iu_route_credential WHERE credential_ref = 'r';
SELECT is(iu.fn_iu_delivery_refusal('w'), 'credential_missing', 'a route whose credential is gone is held');
SELECT is(iu.fn_iu_route_refusal('w') ->> 'sentence',
  'a header of the route cannot be made: credential "r" is not registered', 'the refusal says which credential is '
  'gone');
SELECT fn_iu_route_credential_put('r', 'token-8901', 'ann', 't');
SELECT is(iu.fn_iu_delivery_refusal('w'), NULL, 'with a credential again the route may deliver');
SELECT is((SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok), 0::bigint, 'with headers the database conforms');

SELECT * FROM finish();
ROLLBACK;
