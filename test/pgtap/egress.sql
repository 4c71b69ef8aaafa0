-- What may be reached, as far as no setting has to change: addresses under the
-- default policy, URLs that no setting can allow, webhook signatures.
-- Loopback over IPv4 is left to tap/t/030_http.pl, because servers for tests
-- may allow it.
\ir setup.psql
SELECT no_plan();

-- ---- addresses

SELECT is(iu_core.address_is_allowed(address), expected,
  format('by default the address %s (%s) is %s', coalesce(host(address), 'NULL'), what,
  CASE WHEN expected THEN 'allowed' ELSE 'refused' END))
  FROM (VALUES
    (inet '8.8.8.8', true, 'public'),
    ('1.0.0.0', true, 'right after 0.0.0.0/8'),
    ('0.0.0.0', false, 'unspecified'),
    ('0.255.255.255', false, 'this network'),
    ('9.255.255.255', true, 'right before 10.0.0.0/8'),
    ('10.0.0.0', false, 'private'),
    ('10.255.255.255', false, 'private'),
    ('11.0.0.0', true, 'right after 10.0.0.0/8'),
    ('100.63.255.255', true, 'right before 100.64.0.0/10'),
    ('100.64.0.0', false, 'carrier-grade NAT'),
    ('100.127.255.255', false, 'carrier-grade NAT'),
    ('100.128.0.0', true, 'right after 100.64.0.0/10'),
    ('128.0.0.1', true, 'right after 127.0.0.0/8'),
    ('169.253.255.255', true, 'right before 169.254.0.0/16'),
    ('169.254.169.254', false, 'cloud metadata'),
    ('172.15.255.255', true, 'right before 172.16.0.0/12'),
    ('172.16.0.1', false, 'private'),
    ('172.31.255.255', false, 'private'),
    ('172.32.0.0', true, 'right after 172.16.0.0/12'),
    ('192.0.0.8', false, 'protocol assignments'),
    ('192.0.2.1', false, 'documentation'),
    ('192.88.99.1', false, '6to4 relay'),
    ('192.167.255.255', true, 'right before 192.168.0.0/16'),
    ('192.168.1.1', false, 'private'),
    ('198.17.255.255', true, 'right before 198.18.0.0/15'),
    ('198.18.0.0', false, 'benchmarks'),
    ('198.19.255.255', false, 'benchmarks'),
    ('198.51.100.7', false, 'documentation'),
    ('203.0.113.7', false, 'documentation'),
    ('223.255.255.255', true, 'right before multicast'),
    ('224.0.0.1', false, 'multicast'),
    ('239.255.255.255', false, 'multicast'),
    ('240.0.0.1', false, 'reserved'),
    ('255.255.255.255', false, 'broadcast'),
    ('2606:4700:4700::1111', true, 'public'),
    ('2a00:1450::1', true, 'public'),
    ('::', false, 'unspecified'),
    ('::1', false, 'loopback'),
    ('::8.8.8.8', false, 'IPv4-compatible'),
    ('::ffff:8.8.8.8', true, 'mapped, public'),
    ('::ffff:10.0.0.1', false, 'mapped, private'),
    ('::ffff:169.254.169.254', false, 'mapped, cloud metadata'),
    ('64:ff9b::8.8.8.8', false, 'NAT64'),
    ('64:ff9b:1::1', false, 'local NAT64'),
    ('100::1', false, 'discard'),
    ('2001::1', false, 'Teredo'),
    ('2001:2::1', false, 'benchmarks'),
    ('2001:1ff:ffff::1', false, 'protocol assignments'),
    ('2001:200::1', true, 'right after 2001::/23'),
    ('2001:db8::1', false, 'documentation'),
    ('2001:db9::1', true, 'right after documentation'),
    ('2002:a00:1::1', false, '6to4'),
    ('3fff::1', false, 'documentation'),
    ('4000::1', false, 'not assigned'),
    ('fc00::1', false, 'unique local'),
    ('fdff:ffff::1', false, 'unique local'),
    ('fe80::1', false, 'link-local'),
    ('fec0::1', false, 'site-local'),
    ('ff02::1', false, 'multicast'),
    (NULL, false, 'NULL')) AS list (address, expected, what);

-- ---- URLs

SELECT matches(iu_core.egress_refusal(url), expected, format('%L is refused', replace(url, E'\n', '\n')))
  FROM (VALUES
    ('http://no.such.origin.invalid/x?token=secret',
    '^origin "http://no.such.origin.invalid" is not in iu_core.allowed_origins$'),
    ('HTTPS://No.Such.Origin.Invalid:443', '^origin "https://no.such.origin.invalid" is not in'),
    ('https://no.such.origin.invalid:80/', '^origin "https://no.such.origin.invalid:80" is not in'),
    ('http://no.such.origin.invalid:00081/', '^origin "http://no.such.origin.invalid:81" is not in'),
    ('http://no.such.origin.invalid./', '^origin "http://no.such.origin.invalid." is not in'),
    ('http://2130706433:99/', '^origin "http://127.0.0.1:99" is not in'),
    ('http://0x7f.1:99/', '^origin "http://127.0.0.1:99" is not in'),
    ('http://0177.0.0.01:99/', '^origin "http://127.0.0.1:99" is not in'),
    ('http://[0:0::1]:99/', '^origin "http://\[::1\]:99" is not in'),
    ('http://%6eo.such.origin.invalid/', '^origin "http://no.such.origin.invalid" is not in'),
    ('http://no.such.origin.invalid#@a', '^origin "http://no.such.origin.invalid" is not in'),
    (NULL, 'can never allow this URL: there is none$'),
    ('', 'it does not start with http:// or https://$'),
    ('no.such.origin.invalid', 'it does not start with http:// or https://$'),
    ('//no.such.origin.invalid', 'it does not start with http:// or https://$'),
    ('ftp://no.such.origin.invalid', 'it does not start with http:// or https://$'),
    ('file:///etc/passwd', 'it does not start with http:// or https://$'),
    ('gopher://127.0.0.1:70/_x', 'it does not start with http:// or https://$'),
    ('http:/a', 'it does not start with http:// or https://$'),
    ('http://', 'it has no host$'),
    ('http:///a', 'it has no host$'),
    ('http://?a', 'it has no host$'),
    ('http://u@a', 'it has a user part$'),
    ('http://u:p@a', 'it has a user part$'),
    ('http://@a', 'it has a user part$'),
    ('http://a:80@b', 'it has a user part$'),
    ('http://a\@b', 'it holds a backslash$'),
    (E'http://a\nb', 'it holds a space, a control character or a byte that is not ASCII$'),
    ('http://a b', 'it holds a space, a control character or a byte that is not ASCII$'),
    (' http://a', 'it holds a space, a control character or a byte that is not ASCII$'),
    ('http://b' || chr(233) || 'b', 'it holds a space, a control character or a byte that is not ASCII$'),
    ('http://a%00b', 'it cannot be parsed$'),
    ('http://a%40b', 'it cannot be parsed$'),
    ('http://a%2fb', 'it cannot be parsed$'),
    ('http://[::1', 'it cannot be parsed$'),
    ('http://[fe80::1%25eth0]', 'it has an IPv6 zone$'),
    ('http://a:0', 'its port is not a number from 1 to 65535$'),
    ('http://a:65536', 'its port is not a number from 1 to 65535$'),
    ('http://a:x', 'its port is not a number from 1 to 65535$'),
    ('http://' || repeat('a', 300), 'its host is missing or too long$')) AS list (url, expected);

-- ---- signatures (Standard Webhooks, its own example first)

SELECT is(
  iu_core.webhook_signature('msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, '{"test": 2432232314}',
  ARRAY['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']),
  'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', 'the example of Standard Webhooks has its signature');
SELECT is(
  iu_core.webhook_signature('m', 1, 'x',
  ARRAY['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'whsec_' || encode(repeat('k', 32)::bytea, 'base64')]),
  iu_core.webhook_signature('m', 1, 'x', ARRAY['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']) || ' ' ||
  iu_core.webhook_signature('m', 1, 'x', ARRAY['whsec_' || encode(repeat('k', 32)::bytea, 'base64')]),
  'there is one signature per secret, separated by a space');
SELECT isnt(iu_core.webhook_signature('m', 2, 'x', s), iu_core.webhook_signature('m', 1, 'x', s),
  'the timestamp is signed')
  FROM (VALUES (ARRAY['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'])) AS list (s);

SELECT throws_ok(format('SELECT iu_core.webhook_signature(''m'', 1, ''x'', %L::text[])', secrets), '22023', message,
  format('signing with the secrets %s is refused', left(secrets::text, 40)))
  FROM (VALUES
    (ARRAY['MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'], 'webhook secret 1 is malformed'),
    (ARRAY['whsec_'], 'webhook secret 1 is malformed'),
    (ARRAY['whsec_not base64 at all, whatever it is'], 'webhook secret 1 is malformed'),
    (ARRAY['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'whsec_c2hvcnQ='], 'webhook secret 2 is malformed'),
    (ARRAY['whsec_' || translate(encode(repeat('k', 65)::bytea, 'base64'), E'\n', '')],
    'webhook secret 1 is malformed'),
    (ARRAY[NULL], 'webhook secret 1 is malformed'),
    (ARRAY[]::text[], 'there is no webhook secret to sign with')) AS list (secrets, message);
SELECT lives_ok(format('SELECT iu_core.webhook_signature(''m'', 1, ''x'', %L::text[])',
  ARRAY['whsec_' || translate(encode(repeat('k', 64)::bytea, 'base64'), E'\n', '')]), 'a secret of 64 bytes is taken');
SELECT throws_ok(format('SELECT iu_core.webhook_signature(%L, 1, ''x'', '
  'ARRAY[''whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw''])', id),
  '22023', 'webhook id must be letters, digits, "_" and "-"',
  format('signing for the webhook-id %L is refused', replace(id, E'\n', '\n')))
  FROM (VALUES (''), ('a.b'), ('a b'), (E'a\nb')) AS list (id);

-- ---- privileges

SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc p
   WHERE p.pronamespace = 'iu_core'::regnamespace AND p.proname = 'http_probe'
     AND (has_function_privilege('iu_core_operator', p.oid, 'EXECUTE')
          OR has_function_privilege('iu_core_worker', p.oid, 'EXECUTE')
          OR NOT has_function_privilege('iu_core_admin', p.oid, 'EXECUTE')) $$,
  'superusers and iu_core_admin may probe, other roles may not');

SELECT * FROM finish();
ROLLBACK;
