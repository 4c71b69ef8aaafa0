-- 005 and 006: a limit of deliveries a second: what may be set, and what a claim takes.
\ir setup.psql
SELECT no_plan();

UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT fn_iu_route_add('r', 'version_applied', 'https://hooks.example/', 'ann', 't');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_set(%L, %L, %L, p_per_second => %L)', 'r', 'ann', 't', n), '23514',
  'iu_route_rate', 'a limit of ' || n || ' a second is refused') 
  FROM unnest(ARRAY[-1, 0.0001, 100001, 'NaN', 'infinity']) n;
SELECT pg_temp.refuses($$UPDATE iu_outbound_route SET per_second = 0$$, '23514', 'rate_chk',
  'a limit of nothing a second is not written');
SELECT fn_iu_route_add('f', 'version_applied', 'fn_iu_structure_consumer', 'ann', 't', 'sql_function');
SELECT pg_temp.refuses($$SELECT fn_iu_route_set('f', 'ann', 't', p_per_second => 1)$$, '23514', 'iu_route_rate',
  'a route to a function has no limit a second');
SELECT is(fn_iu_route_set('r', 'ann', 't', p_per_second => 0) ->> 'status', 'unchanged',
  'without a limit 0 changes nothing');
SELECT is(fn_iu_route_set('r', 'ann', 't', p_per_second => 20) -> 'changed', '{"per_second": 20}', 'a limit is set');
SELECT is(fn_iu_route_set('r', 'ann', 't') ->> 'status', 'unchanged', 'a limit stays where nothing is said of it');
SELECT fn_iu_route_allow('r', 'ann', 't'), fn_iu_route_arm('r', 'ann', 't');
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;

CREATE TEMP TABLE e AS SELECT fn_iu_emit_event('version_applied', NULL, gen_random_uuid(), 't') AS id
  FROM generate_series(1, 30);
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'r', o.id, o.event_seq, iu_core.steady_clock(), 'armed' FROM event_outbox o JOIN e USING (id);
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 100)), 4::bigint,
  'a first claim takes a fifth of what comes in a second');
SELECT is((SELECT left_over FROM iu_route_pace), 0::float8, 'what was taken is counted');
UPDATE iu_route_pace SET left_over = -1000;
SELECT ok(iu.fn_iu_delivery_next_due() > iu_core.steady_clock(), 'the next is due when the limit allows it');
UPDATE iu_route_pace SET counted_at = iu_core.steady_clock() + interval '1 hour';
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 100)), 0::bigint,
  'a claim takes nothing while the limit allows nothing');
SELECT iu.fn_iu_delivery_settle();
SELECT ok(counted_at <= iu_core.steady_clock(),
  'a limit counts from now on where the clock was set back before the server started') FROM iu_route_pace;
UPDATE iu_route_pace SET counted_at = iu_core.steady_clock() - interval '0.1 s', left_over = 0;
SELECT ok(count(*) BETWEEN 2 AND 4, 'a claim takes what has come since') FROM iu.fn_iu_delivery_claim('s', 100);
UPDATE iu_route_pace SET counted_at = iu_core.steady_clock() - interval '1 hour';
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 100)), 4::bigint,
  'after a pause a claim takes no more than a fifth of what comes in a second');
UPDATE iu_route_pace SET counted_at = iu_core.steady_clock() - interval '1 hour';
UPDATE iu_outbound_route SET per_second = 0.01 WHERE route_code = 'r';
SELECT is((SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 100)), 1::bigint, 'a slow limit allows one at a time');
SELECT ok(iu.fn_iu_delivery_next_due() BETWEEN iu_core.steady_clock() + interval '60 s'
  AND iu_core.steady_clock() + interval '101 s', 'with one in 100 s the next is due after that time');
SELECT is(fn_iu_route_set('r', 'ann', 't', p_per_second => 0) -> 'changed', '{"per_second": null}',
  '0 takes the limit off');
SELECT ok(count(*) > 10, 'without a limit a claim takes the rest') FROM iu.fn_iu_delivery_claim('s', 100);

SELECT * FROM finish();
ROLLBACK;
