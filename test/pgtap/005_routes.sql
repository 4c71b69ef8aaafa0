-- 005: what a route may say, and who may make it live.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.add(p_code text, p_url text, p_more text DEFAULT '') RETURNS text LANGUAGE sql AS
  $$SELECT format('SELECT fn_iu_route_add(%L, %L, %L, %L, %L%s)', p_code, 'version_applied', p_url, 'ann', 'test',
  p_more)$$;

-- ---- URLs

SELECT is(iu.fn_iu_route_url_problem(url), NULL, 'a URL that is taken: ' || url) FROM (VALUES
  ('http://a'), ('https://hooks.example/x?y=z'), ('https://hooks.example:8443/a%20b'), ('http://127.0.0.1:80/'),
  ('http://[::1]:8080/x'), ('http://a?b'),
  ('http://a:65535/'), ('http://a/@b')) AS t (url);
SELECT alike(coalesce(iu.fn_iu_route_url_problem(url), 'nothing'), '%' || why || '%',
  format('a URL that is refused: %s', coalesce(left(translate(url, E'\n', '~'), 40), 'NULL'))) FROM (VALUES
  (NULL, 'no URL'), ('', 'no URL'), ('ftp://a/', 'http'), ('HTTP://a/', 'http'), ('file:///etc/passwd', 'http'),
  ('a/b', 'http'), ('//a', 'http'),
  ('http://', 'host'), ('http:///x', 'host'), ('http://:80/', 'host'), ('http://?x', 'host'), ('http://[::1/', 'host'),
  ('http://a_b,c/', 'host'),
  ('http://u@a/', 'user part'), ('http://u:p@a/', 'user part'), ('https://@a/', 'user part'),
  ('http://a:0/', 'port'), ('http://a:65536/', 'port'), ('http://a:/', 'port'), ('http://a:8x/', 'port'),
  ('http://a:123456/', 'port'),
  ('http://a/#f', 'fragment'), ('http://a/ b', 'character'), (E'http://a/\n', 'character'),
  ('http://a\b/', 'character'), ('http://ä/', 'character'),
  ('http://a/' || repeat('x', 2048), '2048')) AS t (url, why);

-- ---- registering

SELECT is(fn_iu_route_add('r1', 'version_applied', 'https://hooks.example/x', 'ann', 'test') - 'secret',
  '{"status": "registered", "route_code": "r1", "enabled": false, "dry_run": true, "secret_ref": "r1"}',
  'a new route is registered disabled and for dry runs');
SELECT row_eq($$SELECT event_domain, event_type, event_stream, target_kind, enabled, dry_run, fail_closed,
  secret_ref FROM iu_outbound_route WHERE route_code = 'r1'$$,
  ROW('iu'::text, 'version_applied'::text, 'update'::text, 'external_endpoint'::text, false, true, true, 'r1'::text),
  'a new route has what the registry says of its event type');
SELECT matches((SELECT secret FROM iu_route_secret WHERE secret_ref = 'r1'), '^whsec_[A-Za-z0-9+/]{43}=$',
  'a new route has a secret of 32 bytes');
SELECT lives_ok($$SELECT iu_core.webhook_signature('msg_1', 1, 'x',
  ARRAY(SELECT secret FROM iu_route_secret WHERE secret_ref = 'r1'))$$,
  'the secret of a new route signs');
SELECT is((SELECT count(*) FROM iu_governed_object WHERE object_class = 'route' AND object_name = 'r1'), 1::bigint,
  'a new route is a governed object');
SELECT is((SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok), 0::bigint, 'with a new route the database conforms');
SELECT is((SELECT count(*) FROM dot_iu_command_run r WHERE r::text LIKE '%whsec_%'), 0::bigint,
  'no secret is in the log of runs');

SELECT pg_temp.refuses(pg_temp.add(c, u, m), e, p, 'a route is refused: ' || n) FROM (VALUES
  ('r1', 'https://hooks.example/', '', '23505', 'registered already', 'a code that is taken'),
  ('a,b', 'https://hooks.example/', '', '23514', 'route code', 'a code with a comma'),
  ('', 'https://hooks.example/', '', '23514', 'route code', 'an empty code'),
  (NULL, 'https://hooks.example/', '', '23514', 'route code', 'a code that is NULL'),
  ('r2', 'https://u:p@hooks.example/', '', '23514', 'user part', 'a URL with a user part'),
  ('r2', 'ftp://hooks.example/', '', '23514', 'http', 'a URL of another scheme than http'),
  ('r2', NULL, '', '23514', 'no URL', 'no URL'),
  ('r2', 'https://hooks.example/', ', p_event_domain => ''piece''', '23514', 'not registered',
  'a type of an unregistered domain'),
  ('r2', 'https://hooks.example/', ', p_target_kind => ''mail''', '23514',
  'the target kind is none of sql_function, workflow', 'an unknown kind'),
  ('r2', 'https://hooks.example/', ', p_target_kind => NULL', '23514', 'the target kind is none of',
  'a kind that is NULL'),
  ('r2', ' ', ', p_target_kind => ''workflow''', '23514', 'there is no target', 'a workflow without a target'),
  ('r2', NULL, ', p_target_kind => ''sql_function''', '23514', 'there is no target', 'a function without a target'),
  ('r2', 'https://hooks.example/', ', p_secret_ref => ''''', '23514', 'the reference of its secret',
  'an empty secret reference'),
  ('r2', 'https://hooks.example/', ', p_timeout_ms => 99', '23514', 'p_timeout_ms is not from 100 to 300000',
  'a time-out below 0.1 s'),
  ('r2', 'https://hooks.example/', ', p_timeout_ms => 30001', '23514', 'iu_core.request_timeout, which is 30s',
  'a time-out that no request can last'),
  ('r2', 'https://hooks.example/', ', p_timeout_ms => NULL', '23514', 'p_timeout_ms', 'a time-out that is NULL'),
  ('r2', 'https://hooks.example/', ', p_max_in_flight => NULL', '23514', 'p_max_in_flight is not from 1 to 10000',
  'a max_in_flight that is NULL'),
  ('r2', 'https://hooks.example/', ', p_max_in_flight => 0', '23514', 'p_max_in_flight', 'a max_in_flight of 0'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"max_attempts": 0}''', '23514', 'max_attempts',
  'a policy of 0 attempts'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"max_attempts": 8.0}''', '23514', 'whole number',
  'a policy of 8.0 attempts'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"jitter": 1e-400}''', '23514',
  'jitter is neither 0 nor from 0.000001 to 1', 'a policy with a jitter that is too small'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"max_attempts": "8"}''', '23514', 'not a number',
  'a policy with a text for a number'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"base_s": 10, "max_s": 5}''', '23514', 'max_s',
  'a policy whose longest pause is shorter than its first'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''{"retries": 3}''', '23514', 'other keys',
  'a policy with an unknown key'),
  ('r2', 'https://hooks.example/', ', p_retry_policy => ''[]''', '23514', 'retry policy', 'a policy that is no object'),
  ('r2', 'https://hooks.example/', ', p_ordering => ''strict''', '23514', 'neither none nor subject',
  'an unknown ordering'),
  ('r2', 'https://hooks.example/', ', p_payload_contract => ''{"require": ["a"]}''', '23514', 'has the word "require"',
  'a contract with an unknown word')) AS t (c, u, m, e, p, n);
SELECT pg_temp.refuses($$SELECT fn_iu_route_add('r2', 'version_applied', 'https://hooks.example/', '', 'x')$$, '23514',
  'actor and reason are required',
  'a route is refused to an empty actor');
SELECT is((SELECT count(*) FROM iu_outbound_route), 1::bigint, 'a route that was refused leaves no route');
SELECT is((SELECT count(*) FROM iu_route_secret), 1::bigint, 'a route that was refused leaves no secret');
SELECT is(fn_iu_route_add('r3', 'version_applied', 'event_outbox', 'ann', 'x', 'workflow') ->> 'secret_ref', NULL,
  'a route of another kind has a target by name and no secret');

-- ---- the allowlist and the guard

SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET enabled = true, dry_run = false WHERE route_code = 'r1'$$,
  '42501', 'allowlist',
  'a route that is not on the allowlist cannot be live');
SELECT lives_ok($$UPDATE iu_outbound_route SET enabled = true WHERE route_code = 'r1'$$,
  'a route that is not on the allowlist can be enabled for dry runs');
SELECT lives_ok($$UPDATE iu_outbound_route SET enabled = false, dry_run = false WHERE route_code = 'r1'$$,
  'a route that is not on the allowlist can be prepared for deliveries while it is disabled');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET enabled = true WHERE route_code = 'r1'$$, '42501', 'allowlist',
  'a route that is not on the allowlist and prepared for deliveries cannot be enabled');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET event_type = 'collection_created' WHERE route_code = 'r1'$$,
  '0A000', 'cannot be changed',
  'the event type of a route cannot be changed');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET fail_closed = false WHERE route_code = 'r1'$$, '23514',
  'fail_closed',
  'a route cannot fail open');
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET target_ref = 'http://u@hooks.example/' WHERE route_code = 'r1'$$,
  '23514', 'target_chk',
  'a route cannot be given a bad URL by UPDATE');
SELECT is(fn_iu_route_allow('r1', 'ann', 'x'), '{"status": "allowed", "route_code": "r1", "allowlist": ["r1"]}',
  'a route is allowed');
SELECT is(fn_iu_route_allow('r1', 'ann', 'x') ->> 'status', 'unchanged', 'a route that is allowed twice is unchanged');
SELECT is(fn_iu_route_allow('r3', 'ann', 'x') -> 'allowlist', '["r1", "r3"]', 'a second route is allowed');
SELECT is((SELECT value FROM dot_config WHERE key = 'iu_core.delivery_live_routes'), 'r1,r3',
  'the allowlist is kept as a list with commas');
SELECT lives_ok($$UPDATE iu_outbound_route SET enabled = true WHERE route_code = 'r1'$$,
  'a route on the allowlist can be live');
SELECT is(fn_iu_route_disallow('r1', 'ann', 'x') -> 'allowlist', '["r3"]', 'a route is disallowed');
SELECT is(fn_iu_route_disallow('r1', 'ann', 'x') ->> 'status', 'unchanged',
  'a route that is disallowed twice is unchanged');
UPDATE dot_config SET value = ' r1 , ,stray' WHERE key = 'iu_core.delivery_live_routes';
SELECT is(fn_iu_delivery_live_routes(), ARRAY['r1', 'stray'],
  'an allowlist that was edited by hand is read without its blanks');
SELECT is(fn_iu_route_disallow('stray', 'ann', 'x') -> 'allowlist', '["r1"]',
  'a stray entry of the allowlist can be removed');
SELECT pg_temp.refuses($$SELECT fn_iu_route_allow('stray', 'a', 'r')$$, '42704', 'not registered',
  'what is no route cannot be allowed');
SELECT pg_temp.refuses($$SELECT fn_iu_route_allow(NULL, 'a', 'r')$$, '42704', 'not registered',
  'NULL cannot be allowed');
SELECT pg_temp.refuses($$SELECT fn_iu_route_allow('r1', NULL, 'r')$$, '23514', 'actor and reason are required',
  'a route cannot be allowed by a NULL actor');

-- ---- pause, resume, retire

SELECT is(fn_iu_route_pause('r1', 'ann', 'tea') ->> 'status', 'paused', 'a route is paused');
SELECT is((SELECT enabled || ' ' || disabled_reason FROM iu_outbound_route WHERE route_code = 'r1'),
  'false paused by ann: tea',
  'a paused route says by whom and why');
SELECT fn_iu_route_disallow('r1', 'ann', 'x');
SELECT pg_temp.refuses($$SELECT fn_iu_route_resume('r1', 'a', 'r')$$, '42501', 'allowlist',
  'a route that is not on the allowlist cannot be resumed');
SELECT fn_iu_route_allow('r1', 'ann', 'x');
SELECT is(fn_iu_route_resume('r1', 'ann', 'x') ->> 'status', 'resumed', 'a route on the allowlist is resumed');
SELECT is(fn_iu_route_retire('r1', 'ann', 'x') ->> 'status', 'retired', 'a route is retired');
SELECT is(fn_iu_delivery_live_routes(), '{}'::text[], 'a route that is retired is off the allowlist');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_%s(''r1'', ''a'', ''r'')', f), '42704', 'is retired',
  f || ' is refused for a route that is retired')
  FROM unnest(ARRAY['allow', 'pause', 'resume', 'retire']) f;
SELECT pg_temp.refuses(format('SELECT fn_iu_route_%s(''nope'', ''a'', ''r'')', f), '42704', 'not registered',
  f || ' is refused for an unknown route')
  FROM unnest(ARRAY['pause', 'resume', 'retire']) f;
SELECT is((SELECT array_agg(DISTINCT command_name ORDER BY command_name) FROM dot_iu_command_run
  WHERE command_name LIKE 'dot_iu_route%'),
  ARRAY['dot_iu_route_add', 'dot_iu_route_allow', 'dot_iu_route_disallow', 'dot_iu_route_pause', 'dot_iu_route_resume',
  'dot_iu_route_retire', 'dot_iu_route_secret_add'],
  'every change of routes is in the log of runs');

-- ---- secrets

SELECT matches(fn_iu_route_secret_add('s', 'ann', 'x') ->> 'secret', '^whsec_', 'a secret that is made is told once');
SELECT is(fn_iu_route_secret_add('s', 'ann', 'x', 'whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz') - 'valid_from',
  '{"status": "added", "secret_ref": "s"}',
  'a secret that was given is not told');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_secret_add(%L, ''a'', ''r'', %L)', ref, secret), e, p, n) FROM (VALUES
  ('s', 'whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz', '23505', 'already', 'a secret that is there already is refused'),
  ('s', 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz', '23514', 'whsec_', 'a secret without its prefix is refused'),
  ('s', 'whsec_c2hvcnQ=', '23514', '24 to 64 bytes', 'a secret that is too short is refused'),
  ('s', 'whsec_', '23514', '24 to 64 bytes', 'an empty secret is refused'),
  ('s', 'whsec_!!', '23514', 'base64', 'a secret that is not in base64 is refused'),
  (NULL, 'whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz', '23514', 'reference', 'a secret without a reference is refused'))
  AS t (ref, secret, e, p, n);
SELECT pg_temp.refuses(format('SELECT fn_iu_route_secret_end(%L, %L, ''ann'', ''x'')', r, o), '23514',
  'p_secret_ref and p_older_than',
  'ending secrets without saying which, or until when, is refused')
  FROM (VALUES (NULL, 'infinity'), ('s', NULL)) AS t (r, o);
SELECT is(fn_iu_route_secret_end('s', 'infinity', 'ann', 'x'), '{"status": "ended", "secret_ref": "s", "ended": 2}',
  'every secret of a reference is ended');
SELECT is((SELECT count(*) FROM iu_route_secret WHERE secret_ref = 's' AND valid_until > clock_timestamp()), 0::bigint,
  'secrets that were ended are not valid any more');
SELECT fn_iu_route_add('live', 'version_applied', 'https://hooks.example/', 'ann', 'x');
SELECT is(fn_iu_route_secret_end('live', 'infinity', 'ann', 'x') -> 'ended', '1',
  'the last secret of a route that is not live can be ended');
SELECT fn_iu_route_secret_add('live', 'ann', 'x', NULL, now() - interval '1 h'), fn_iu_route_allow('live', 'ann', 'x');
UPDATE iu_outbound_route SET enabled = true, dry_run = false WHERE route_code = 'live';
SELECT pg_temp.refuses($$SELECT fn_iu_route_secret_end('live', 'infinity', 'ann', 'x')$$, '55006',
  'leave route "live" without',
  'the last secret of a live route cannot be ended');
SELECT fn_iu_route_secret_add('live', 'ann', 'x', NULL, clock_timestamp() + interval '1 h');
SELECT pg_temp.refuses($$SELECT fn_iu_route_secret_end('live', now(), 'ann', 'x')$$, '55006',
  'leave route "live" without',
  'the last valid secret of a live route cannot be ended for one that is valid later');
SELECT fn_iu_route_secret_add('live', 'ann', 'x') ->> 'valid_from' AS valid_from \gset
SELECT is(fn_iu_route_secret_end('live', :'valid_from', 'ann', 'x') -> 'ended', '1',
  'a secret of a live route can be ended when another was added in the same transaction');
SELECT is(fn_iu_route_secret_end('live', :'valid_from', 'ann', 'x') ->> 'status', 'unchanged',
  'ending secrets where there is nothing to end is no refusal');

-- ---- changing one

SELECT is(fn_iu_route_set('live', 'ann', 'x', p_timeout_ms => 500,
  p_retry_policy => '{"max_attempts": 3}') - 'previous',
  '{"status": "set", "route_code": "live", "changed": {"timeout_ms": 500, "retry_policy": {"max_attempts": 3, '
    '"base_s": 5, "max_s": 3600, "jitter": 0.2, "circuit_failures": 10, "circuit_open_s": 30, "circuit_max_s": 600}}}',
  'changing a route answers with what was changed');
SELECT row_eq($$SELECT timeout_ms, retry_policy ->> 'max_attempts', target_ref,
  enabled FROM iu_outbound_route WHERE route_code = 'live'$$, ROW(500, '3'::text, 'https://hooks.example/'::text, true),
  'changing a route leaves the rest as it is');
SELECT is(evidence -> 'previous' -> 'timeout_ms', '10000',
  'the log of runs has what a changed route was before') FROM dot_iu_command_run
  WHERE command_name = 'dot_iu_route_set';
SELECT is(fn_iu_route_set('live', 'ann', 'x', p_timeout_ms => 500) ->> 'status', 'unchanged',
  'changing a route to what it is changes nothing');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_set(%L, %L, ''r''%s)', c, a, m), e, p,
  'changing a route is refused: ' || n) FROM (VALUES
  ('nope', 'ann', '', '42704', 'not registered', 'an unknown route'),
  ('live', ' ', ', p_timeout_ms => 400', '23514', 'actor and reason are required', 'an empty actor'),
  ('live', 'ann', ', p_target_ref => ''https://hooks.example/new''', '55006', 'is live',
  'another target of a live route'),
  ('live', 'ann', ', p_target_ref => ''file:///etc/passwd''', '23514', 'cannot be changed', 'a bad URL'),
  ('live', 'ann', ', p_timeout_ms => 99', '23514', 'p_timeout_ms is not from', 'a time-out below 0.1 s'),
  ('live', 'ann', ', p_max_in_flight => 0', '23514', 'p_max_in_flight is not from', 'a max_in_flight of 0'),
  ('live', 'ann', ', p_retry_policy => ''{"max_attempts": 0}''', '23514', 'max_attempts is not',
  'a policy of 0 attempts'),
  ('live', 'ann', ', p_payload_contract => ''{"require": []}''', '23514', 'has the word',
  'a contract with an unknown word')) AS t (c, a, m, e, p, n);
SELECT fn_iu_route_disallow('live', 'ann', 'x');
SELECT pg_temp.refuses($$SELECT fn_iu_route_set('live', 'ann', 'x', p_timeout_ms => 400)$$, '42501', 'allowlist',
  'a live route that is off the allowlist cannot be changed');
SELECT is(fn_iu_route_set('live', 'ann', 'x') ->> 'status', 'unchanged',
  'a call that changes nothing of a live route off the allowlist is no refusal');
SELECT matches(obj_description(p.oid, 'pg_proc'), c.code, p.proname || ' documents ' || c.code)
  FROM pg_proc p, (VALUES ('42501'), ('42704'), ('55006'), ('23514')) AS c (code)
  WHERE p.oid = 'public.fn_iu_route_set'::regproc;
SELECT fn_iu_route_allow('live', 'ann', 'x');
SELECT fn_iu_route_pause('live', 'ann', 'x');
SELECT is(fn_iu_route_set('live', 'ann', 'x', 'https://hooks.example/new',
  p_payload_contract => '{"required": ["n"]}') -> 'changed',
  '{"target_ref": "https://hooks.example/new", "payload_contract": {"required": ["n"]}}',
  'a paused route can be given another target');
SELECT is((SELECT count(*) FROM iu_route_secret s WHERE secret_ref = 'live' AND iu.fn_iu_route_secret_is_valid(s)) > 0,
  true,
  'a route that is given another target keeps its secrets');
SELECT fn_iu_route_retire('live', 'ann', 'x');
SELECT pg_temp.refuses($$SELECT fn_iu_route_set('live', 'ann', 'x', p_timeout_ms => 400)$$, '42704', 'retired',
  'a route that is retired cannot be changed');

SELECT * FROM finish();
ROLLBACK;
