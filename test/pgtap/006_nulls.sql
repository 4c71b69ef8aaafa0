-- 006 and later: a limit or a time that nobody gave is no limit of its own. LEAST,
-- GREATEST, IN and || ignore NULL or become NULL; here is what must not follow.
\ir setup.psql
SELECT no_plan();

SELECT is(iu.fn_iu_delivery_wait('{"base_s": 5, "max_s": 60, "jitter": 0}', r, a, c, x), w::float8,
  format('the wait after %s, attempt %s, %s, Retry-After %s is %s s', coalesce(r, 'NULL'), coalesce(a::text, 'NULL'),
         coalesce(c, 'NULL'), coalesce(x::text, 'NULL'), w))
  FROM (VALUES ('obey', 1, 'http_503', NULL::float8, 5), ('obey', 1, NULL, NULL, 5), ('retry', 1, NULL, NULL, 5),
    ('retry', NULL, NULL, NULL, 5), ('obey', NULL, NULL, NULL, 5), ('pace', NULL, NULL, NULL, 0),
    ('again', NULL, NULL, NULL, 0), ('disable', NULL, NULL, NULL, 0), (NULL, 1, NULL, NULL, 5),
    ('retry', 1, NULL, 'infinity', 5), ('obey', 1, NULL, 'infinity', 86400), ('obey', 1, NULL, '-infinity', 5),
    ('obey', 1, NULL, 'NaN', 86400), ('pace', 1, NULL, 'NaN', 86400), ('pace', 1, NULL, '-infinity', 0))
    AS t (r, a, c, x, w);
SELECT is(iu.fn_iu_delivery_rule(NULL, NULL), 'retry', 'what nobody said anything of is tried again');
SELECT results_eq($$SELECT c.failures, c.last_failure, c.verdict FROM iu.fn_iu_circuit_count(NULL, 3, 2, 'x') c$$,
  $$VALUES (2, 'x', NULL::text)$$, 'where no outcome is known a circuit counts nothing');
UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT is(iu.fn_iu_delivery_refusal(NULL), 'route_unknown', 'a route that is NULL is unknown, and may deliver nothing');
SELECT is(iu.fn_iu_delivery_check(NULL, NULL), 'lease_lost', 'a lease that is NULL is lost');
SELECT is(iu.fn_iu_delivery_keep(NULL, NULL), false, 'a lease that is NULL is not kept');
SELECT is(iu.fn_iu_delivery_next_due(NULL), NULL, 'where nothing waits nothing is due');

SELECT fn_iu_route_add('r', 'version_applied', 'https://hooks.example/x', 'ann', 't', p_max_in_flight => 40);
SELECT is((SELECT room FROM iu.fn_iu_delivery_claim_room(r, '{}', NULL, NULL)), 16,
  'without a limit for the session a claim has that of the route') FROM iu_outbound_route r WHERE route_code = 'r';
SELECT is((SELECT room FROM iu.fn_iu_delivery_claim_room(r, NULL, 5, NULL)), 5,
  'a claim that has no leases yet has room for the limit of the session') FROM iu_outbound_route r
  WHERE route_code = 'r';
SELECT pg_temp.refuses($$SELECT fn_iu_route_arm('r', 'ann', 't', NULL, NULL)$$, '23514', 'p_max_age',
  'a route is not armed with a limit of age that is NULL');
SELECT pg_temp.refuses($$SELECT fn_iu_route_arm('r', 'ann', 't', now(), NULL)$$, '23514', 'p_max_age',
  'a route is not armed from a time on with a limit of age that is NULL');
SELECT pg_temp.refuses($$SELECT fn_iu_route_dead_letter_replay_many('ann', 't', 'r', p_per_second => NULL)$$, '23514',
  'p_per_second', 'dead letters are not replayed at a rate that is NULL');
SELECT pg_temp.refuses($$SELECT fn_iu_route_dead_letter_replay_many('ann', 't', 'r', p_limit => NULL)$$, '23514',
  'p_limit', 'dead letters are not replayed up to a limit that is NULL');
SELECT pg_temp.refuses($$SELECT fn_iu_route_worker_health('w', NULL)$$, '23514', 'p_stale_seconds',
  'health is not asked with a threshold that is NULL');
SELECT pg_temp.refuses(format($$UPDATE iu_outbound_route SET retry_policy = retry_policy || '{"%s": null}'$$, k),
  '23514', 'retry', 'a retry policy whose ' || k || ' is null is refused')
  FROM unnest(ARRAY['base_s', 'max_s', 'jitter', 'max_attempts', 'circuit_failures', 'circuit_open_s', 'circuit_max_s'])
    k;
SELECT pg_temp.refuses(format('UPDATE iu_outbound_route SET %s = NULL', c), '23502', 'null value',
  'a route without ' || c || ' is refused') FROM unnest(ARRAY['timeout_ms', 'max_in_flight', 'retry_policy']) c;
SELECT is((SELECT string_agg(d, '; ') FROM unnest(iu.fn_iu_route_delays(300)) d), NULL,
  'where nothing waits nothing waits too long');

SELECT * FROM finish();
ROLLBACK;
