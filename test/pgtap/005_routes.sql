-- 005: what a route may say, and who may make it live.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.add(p_code text, p_url text, p_more text DEFAULT '') RETURNS text LANGUAGE sql AS
  $$SELECT format('SELECT fn_iu_route_add(%L, %L, %L, %L, %L%s)', p_code, 'version_applied', p_url, 'ann', 'test', p_more)$$;

-- ---- URLs

SELECT is(iu.fn_iu_route_url_problem(url), NULL, 'good: ' || url) FROM (VALUES
  ('http://a'), ('https://hooks.example/x?y=z'), ('https://hooks.example:8443/a%20b'), ('http://127.0.0.1:80/'), ('http://[::1]:8080/x'), ('http://a?b'),
  ('http://a:65535/'), ('http://a/@b')) AS t (url);
SELECT alike(coalesce(iu.fn_iu_route_url_problem(url), 'nothing'), '%' || why || '%', format('bad: %s', coalesce(left(translate(url, E'\n', '~'), 40), 'NULL'))) FROM (VALUES
  (NULL, 'no URL'), ('', 'no URL'), ('ftp://a/', 'http'), ('HTTP://a/', 'http'), ('file:///etc/passwd', 'http'), ('a/b', 'http'), ('//a', 'http'),
  ('http://', 'host'), ('http:///x', 'host'), ('http://:80/', 'host'), ('http://?x', 'host'), ('http://[::1/', 'host'), ('http://a_b,c/', 'host'),
  ('http://u@a/', 'user part'), ('http://u:p@a/', 'user part'), ('https://@a/', 'user part'),
  ('http://a:0/', 'port'), ('http://a:65536/', 'port'), ('http://a:/', 'port'), ('http://a:8x/', 'port'), ('http://a:123456/', 'port'),
  ('http://a/#f', 'fragment'), ('http://a/ b', 'character'), (E'http://a/\n', 'character'), ('http://a\b/', 'character'), ('http://ä/', 'character'),
  ('http://a/' || repeat('x', 2048), '2048')) AS t (url, why);

-- ---- registering

SELECT is(fn_iu_route_add('r1', 'version_applied', 'https://hooks.example/x', 'ann', 'test') - 'secret',
  '{"status": "registered", "route_code": "r1", "enabled": false, "dry_run": true, "secret_ref": "r1"}', 'a route is registered, closed');
SELECT row_eq($$SELECT event_domain, event_type, event_stream, target_kind, enabled, dry_run, fail_closed, secret_ref FROM iu_outbound_route WHERE route_code = 'r1'$$,
  ROW('iu'::text, 'version_applied'::text, 'update'::text, 'external_endpoint'::text, false, true, true, 'r1'::text), 'with what the registry says');
SELECT matches((SELECT secret FROM iu_route_secret WHERE secret_ref = 'r1'), '^whsec_[A-Za-z0-9+/]{43}=$', 'and a secret of 32 bytes');
SELECT lives_ok($$SELECT iu_core.webhook_signature('msg_1', 1, 'x', ARRAY(SELECT secret FROM iu_route_secret WHERE secret_ref = 'r1'))$$, 'that signs');
SELECT is((SELECT count(*) FROM iu_governed_object WHERE object_class = 'route' AND object_name = 'r1'), 1::bigint, 'it is a governed object');
SELECT is((SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok), 0::bigint, 'so the database conforms');
SELECT is((SELECT count(*) FROM dot_iu_command_run r WHERE r::text LIKE '%whsec_%'), 0::bigint, 'no secret is in the ledger');

SELECT pg_temp.refuses(pg_temp.add(c, u, m), e, p, n) FROM (VALUES
  ('r1', 'https://hooks.example/', '', '23505', 'registered already', 'a code is given once'),
  ('a,b', 'https://hooks.example/', '', '23514', 'route code', 'a code has no comma'),
  ('', 'https://hooks.example/', '', '23514', 'route code', 'or nothing'),
  (NULL, 'https://hooks.example/', '', '23514', 'route code', 'nor NULL'),
  ('r2', 'https://u:p@hooks.example/', '', '23514', 'user part', 'a URL without user part'),
  ('r2', 'ftp://hooks.example/', '', '23514', 'http', 'of http'),
  ('r2', NULL, '', '23514', 'no URL', 'a URL'),
  ('r2', 'https://hooks.example/', ', p_event_domain => ''piece''', '23514', 'not registered', 'of a registered type'),
  ('r2', 'https://hooks.example/', ', p_target_kind => ''mail''', '23514', 'the target kind is none of sql_function, workflow', 'of a known kind'),
  ('r2', 'https://hooks.example/', ', p_target_kind => NULL', '23514', 'the target kind is none of', 'of a kind'),
  ('r2', ' ', ', p_target_kind => ''workflow''', '23514', 'there is no target', 'with a target'),
  ('r2', NULL, ', p_target_kind => ''sql_function''', '23514', 'there is no target', 'of whichever kind'),
  ('r2', 'https://hooks.example/', ', p_secret_ref => ''''', '23514', 'the reference of its secret', 'with a secret that can be added'),
  ('r2', 'https://hooks.example/', ', p_timeout_ms => 99', '23514', 'p_timeout_ms is not from 100 to 300000', 'a timeout of 0.1 s or more'),
  ('r2', 'https://hooks.example/', ', p_timeout_ms => NULL', '23514', 'p_timeout_ms', 'a timeout'),
  ('r2', 'https://hooks.example/', ', p_max_in_flight => NULL', '23514', 'p_max_in_flight is not from 1 to 10000', 'a limit'),
  ('r2', 'https://hooks.example/', ', p_max_in_flight => 0', '23514', 'p_max_in_flight', 'at least one in flight'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"max_attempts": 0}''', '23514', 'max_attempts', 'at least one attempt'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"max_attempts": 8.0}''', '23514', 'whole number', 'whole ones, in digits'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"jitter": 1e-400}''', '23514', 'jitter is neither 0 nor from 0.000001 to 1', 'that a backoff can be reckoned with'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"max_attempts": "8"}''', '23514', 'not a number', 'in numbers'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"base_s": 10, "max_s": 5}''', '23514', 'max_s', 'in order'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"retries": 3}''', '23514', 'other keys', 'without a slip'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''[]''', '23514', 'retry policy', 'an object'),
  ('r2', 'https://hooks.example/', ', p_ordering => ''strict''', '23514', 'neither none nor subject', 'of a known ordering'),
  ('r2', 'https://hooks.example/', ', p_payload_contract => ''{"require": ["a"]}''', '23514', 'has the word "require"', 'a contract in known words')) AS t (c, u, m, e, p, n);
SELECT pg_temp.refuses($$SELECT fn_iu_route_add('r2', 'version_applied', 'https://hooks.example/', '', 'x')$$, '23514', 'somebody', 'registered by somebody');
SELECT is((SELECT count(*) FROM iu_outbound_route), 1::bigint, 'what was refused left nothing');
SELECT is((SELECT count(*) FROM iu_route_secret), 1::bigint, 'no secret either');
SELECT is(fn_iu_route_add('r3', 'version_applied', 'event_outbox', 'ann', 'x', 'workflow') ->> 'secret_ref', NULL, 'another kind has a name and no secret');

-- ---- the allowlist and the guard

SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET enabled = true, dry_run = false WHERE route_code = 'r1'$$, '42501', 'allowlist', 'guard: not live off the list');
SELECT lives_ok($$UPDATE iu_outbound_route SET enabled = true WHERE route_code = 'r1'$$, 'guard: enabled for dry runs');
SELECT lives_ok($$UPDATE iu_outbound_route SET enabled = false, dry_run = false WHERE route_code = 'r1'$$, 'guard: prepared but disabled');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET enabled = true WHERE route_code = 'r1'$$, '42501', 'allowlist', 'guard: by whichever column');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET event_type = 'collection_created' WHERE route_code = 'r1'$$, '0A000', 'cannot be changed', 'guard: the type stays');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET fail_closed = false WHERE route_code = 'r1'$$, '23514', 'fail_closed', 'nothing fails open');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET target_ref = 'http://u@hooks.example/' WHERE route_code = 'r1'$$, '23514', 'target_chk', 'nor gets a bad URL later');
SELECT is(fn_iu_route_allow('r1', 'ann', 'x'), '{"status": "allowed", "route_code": "r1", "allowlist": ["r1"]}', 'allowed');
SELECT is(fn_iu_route_allow('r1', 'ann', 'x') ->> 'status', 'unchanged', 'once');
SELECT is(fn_iu_route_allow('r3', 'ann', 'x') -> 'allowlist', '["r1", "r3"]', 'a second');
SELECT is((SELECT value FROM dot_config WHERE key = 'iu_core.delivery_live_routes'), 'r1,r3', 'as CSV');
SELECT lives_ok($$UPDATE iu_outbound_route SET enabled = true WHERE route_code = 'r1'$$, 'guard: live on the list');
SELECT is(fn_iu_route_disallow('r1', 'ann', 'x') -> 'allowlist', '["r3"]', 'taken off');
SELECT is(fn_iu_route_disallow('r1', 'ann', 'x') ->> 'status', 'unchanged', 'once');
UPDATE dot_config SET value = ' r1 , ,stray' WHERE key = 'iu_core.delivery_live_routes';
SELECT is(fn_iu_delivery_live_routes(), ARRAY['r1', 'stray'], 'a list edited by hand is read with its spaces');
SELECT is(fn_iu_route_disallow('stray', 'ann', 'x') -> 'allowlist', '["r1"]', 'and a stray entry can be removed');
SELECT pg_temp.refuses($$SELECT fn_iu_route_allow('stray', 'a', 'r')$$, '42704', 'not registered', 'only routes are allowed');
SELECT pg_temp.refuses($$SELECT fn_iu_route_allow(NULL, 'a', 'r')$$, '42704', 'not registered', 'NULL is none');
SELECT pg_temp.refuses($$SELECT fn_iu_route_allow('r1', NULL, 'r')$$, '23514', 'somebody', 'allowed by somebody');

-- ---- pause, resume, retire

SELECT is(fn_iu_route_pause('r1', 'ann', 'tea') ->> 'status', 'paused', 'paused');
SELECT is((SELECT enabled || ' ' || disabled_reason FROM iu_outbound_route WHERE route_code = 'r1'), 'false paused by ann: tea', 'and says why');
SELECT fn_iu_route_disallow('r1', 'ann', 'x');
SELECT pg_temp.refuses($$SELECT fn_iu_route_resume('r1', 'a', 'r')$$, '42501', 'allowlist', 'not resumed off the list');
SELECT fn_iu_route_allow('r1', 'ann', 'x');
SELECT is(fn_iu_route_resume('r1', 'ann', 'x') ->> 'status', 'resumed', 'resumed');
SELECT is(fn_iu_route_retire('r1', 'ann', 'x') ->> 'status', 'retired', 'retired');
SELECT is(fn_iu_delivery_live_routes(), '{}'::text[], 'and off the list');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_%s(''r1'', ''a'', ''r'')', f), '42704', 'or retired', f || ': not once retired')
  FROM unnest(ARRAY['allow', 'pause', 'resume', 'retire']) f;
SELECT pg_temp.refuses(format('SELECT fn_iu_route_%s(''nope'', ''a'', ''r'')', f), '42704', 'not registered', f || ': unknown route')
  FROM unnest(ARRAY['pause', 'resume', 'retire']) f;
SELECT is((SELECT array_agg(DISTINCT command_name ORDER BY command_name) FROM dot_iu_command_run WHERE command_name LIKE 'dot_iu_route%'),
  ARRAY['dot_iu_route_add', 'dot_iu_route_allow', 'dot_iu_route_disallow', 'dot_iu_route_pause', 'dot_iu_route_resume', 'dot_iu_route_retire', 'dot_iu_route_secret_add'],
  'every change is in the ledger');

-- ---- secrets

SELECT matches(fn_iu_route_secret_add('s', 'ann', 'x') ->> 'secret', '^whsec_', 'a secret made here is told once');
SELECT is(fn_iu_route_secret_add('s', 'ann', 'x', 'whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz') - 'valid_from', '{"status": "added", "secret_ref": "s"}', 'one that was given is not repeated');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_secret_add(%L, ''a'', ''r'', %L)', ref, secret), e, p, n) FROM (VALUES
  ('s', 'whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz', '23505', 'already', 'secret: once'),
  ('s', 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz', '23514', 'whsec_', 'secret: with its prefix'),
  ('s', 'whsec_c2hvcnQ=', '23514', '24 to 64 bytes', 'secret: long enough'),
  ('s', 'whsec_', '23514', '24 to 64 bytes', 'secret: not empty'),
  ('s', 'whsec_!!', '23514', 'base64', 'secret: in base64'),
  (NULL, 'whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz', '23514', 'reference', 'secret: under a reference')) AS t (ref, secret, e, p, n);
SELECT pg_temp.refuses(format('SELECT fn_iu_route_secret_end(%L, %L, ''ann'', ''x'')', r, o), '23514', 'p_secret_ref and p_older_than', 'which, and until when')
  FROM (VALUES (NULL, 'infinity'), ('s', NULL)) AS t (r, o);
SELECT is(fn_iu_route_secret_end('s', 'infinity', 'ann', 'x'), '{"status": "ended", "secret_ref": "s", "ended": 2}', 'secrets are ended');
SELECT is((SELECT count(*) FROM iu_route_secret WHERE secret_ref = 's' AND valid_until > clock_timestamp()), 0::bigint, 'now');
SELECT fn_iu_route_add('live', 'version_applied', 'https://hooks.example/', 'ann', 'x');
SELECT is(fn_iu_route_secret_end('live', 'infinity', 'ann', 'x') -> 'ended', '1', 'the last secret of a route that is not live');
SELECT fn_iu_route_secret_add('live', 'ann', 'x', NULL, now() - interval '1 h'), fn_iu_route_allow('live', 'ann', 'x');
UPDATE iu_outbound_route SET enabled = true, dry_run = false WHERE route_code = 'live';
SELECT pg_temp.refuses($$SELECT fn_iu_route_secret_end('live', 'infinity', 'ann', 'x')$$, '55006', 'leave route "live" without', 'not of one that is');
SELECT fn_iu_route_secret_add('live', 'ann', 'x', NULL, clock_timestamp() + interval '1 h');
SELECT pg_temp.refuses($$SELECT fn_iu_route_secret_end('live', now(), 'ann', 'x')$$, '55006', 'leave route "live" without', 'a later secret does not make up for it');
SELECT fn_iu_route_secret_add('live', 'ann', 'x') ->> 'valid_from' AS valid_from \gset
SELECT is(fn_iu_route_secret_end('live', :'valid_from', 'ann', 'x') -> 'ended', '1', 'one that is valid does, added in the same transaction');
SELECT is(fn_iu_route_secret_end('live', :'valid_from', 'ann', 'x') ->> 'status', 'unchanged', 'nothing to end is nothing to refuse');

-- ---- changing one

SELECT is(fn_iu_route_set('live', 'ann', 'x', p_timeout_ms => 500, p_retry_policy => '{"max_attempts": 3}') - 'previous',
  '{"status": "set", "route_code": "live", "changed": {"timeout_ms": 500, "retry_policy": {"max_attempts": 3, "base_s": 5, "max_s": 3600, "jitter": 0.2, "circuit_failures": 10, "circuit_open_s": 30, "circuit_max_s": 600}}}',
  'set: what is given');
SELECT row_eq($$SELECT timeout_ms, retry_policy ->> 'max_attempts', target_ref, enabled FROM iu_outbound_route WHERE route_code = 'live'$$, ROW(500, '3'::text, 'https://hooks.example/'::text, true), 'set: the rest stays');
SELECT is(evidence -> 'previous' -> 'timeout_ms', '10000', 'set: the log has what it was') FROM dot_iu_command_run WHERE command_name = 'dot_iu_route_set';
SELECT is(fn_iu_route_set('live', 'ann', 'x', p_timeout_ms => 500) ->> 'status', 'unchanged', 'set: nothing to do');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_set(%L, %L, ''r''%s)', c, a, m), e, p, n) FROM (VALUES
  ('nope', 'ann', '', '42704', 'not registered', 'set: a registered route'),
  ('live', ' ', ', p_timeout_ms => 400', '23514', 'for a reason', 'set: by somebody'),
  ('live', 'ann', ', p_target_ref => ''https://hooks.example/new''', '55006', 'is live', 'set: no other target for a live one'),
  ('live', 'ann', ', p_target_ref => ''file:///etc/passwd''', '23514', 'cannot be changed', 'set: a URL'),
  ('live', 'ann', ', p_timeout_ms => 99', '23514', 'p_timeout_ms is from', 'set: a timeout'),
  ('live', 'ann', ', p_max_in_flight => 0', '23514', 'p_max_in_flight is from', 'set: a limit'),
  ('live', 'ann', ', p_retry_policy => ''{"max_attempts": 0}''', '23514', 'max_attempts is not', 'set: a policy'),
  ('live', 'ann', ', p_payload_contract => ''{"require": []}''', '23514', 'has the word', 'set: a contract')) AS t (c, a, m, e, p, n);
SELECT fn_iu_route_disallow('live', 'ann', 'x');
SELECT pg_temp.refuses($$SELECT fn_iu_route_set('live', 'ann', 'x', p_timeout_ms => 400)$$, '42501', 'allowlist', 'set: nothing of a live one off the list');
SELECT is(fn_iu_route_set('live', 'ann', 'x') ->> 'status', 'unchanged', 'set: where nothing changes nothing is refused');
SELECT matches(obj_description(p.oid, 'pg_proc'), c.code, p.proname || ' documents ' || c.code)
  FROM pg_proc p, (VALUES ('42501'), ('42704'), ('55006'), ('23514')) AS c (code) WHERE p.oid = 'public.fn_iu_route_set'::regproc;
SELECT fn_iu_route_allow('live', 'ann', 'x');
SELECT fn_iu_route_pause('live', 'ann', 'x');
SELECT is(fn_iu_route_set('live', 'ann', 'x', 'https://hooks.example/new', p_payload_contract => '{"required": ["n"]}') -> 'changed',
  '{"target_ref": "https://hooks.example/new", "payload_contract": {"required": ["n"]}}', 'set: another target of a paused one');
SELECT is((SELECT count(*) FROM iu_route_secret WHERE secret_ref = 'live' AND valid_until > clock_timestamp()) > 0, true, 'set: its secrets stay');
SELECT fn_iu_route_retire('live', 'ann', 'x');
SELECT pg_temp.refuses($$SELECT fn_iu_route_set('live', 'ann', 'x', p_timeout_ms => 400)$$, '42704', 'retired', 'set: not of a retired one');

SELECT * FROM finish();
ROLLBACK;
