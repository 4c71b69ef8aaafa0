-- 006 to 060: what health and a claim read does not follow from what the server
-- believes of its tables: nothing is known of them after a restore, and what it
-- counted while they were empty says that a scan of everything is the cheapest.
\ir setup.psql
SELECT no_plan();

\set routes 60
\set waiting 3000
\set attempts 30000
UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600) \g /dev/null
SELECT fn_iu_route_add('r' || n, 'version_applied', 'https://hooks.example/', 'ann', 't'),
       fn_iu_route_allow('r' || n, 'ann', 't'), fn_iu_route_arm('r' || n, 'ann', 't')
  FROM generate_series(1, :routes) n \g /dev/null
SELECT fn_iu_route_add('carried', 'collection_exported', 'https://hooks.example/', 'ann', 't'),
       fn_iu_route_allow('carried', 'ann', 't'), fn_iu_route_arm('carried', 'ann', 't') \g /dev/null
SELECT fn_iu_emit_events((SELECT jsonb_agg(jsonb_build_object('event_type', 'collection_exported', 'actor_ref', 'x',
         'subject_ref', gen_random_uuid())) FROM generate_series(1, :waiting))) \g /dev/null
-- The routes stand behind these events, which wait to be tried again tomorrow.
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT r.route_code, e.id, e.event_seq, iu_core.steady_clock() + interval '1 day', 'armed'
    FROM event_outbox e JOIN iu_outbound_route r ON r.route_code = 'carried' OR e.event_seq % 1000 = 0
   WHERE e.event_type = 'collection_exported';
INSERT INTO iu_route_attempt (route_code, event_ref, attempt_no, idempotency_key, status, duration_us)
  SELECT 'carried', gen_random_uuid(), 1, 'many' || n, 'sent', 1000 FROM generate_series(1, :attempts) n;
INSERT INTO iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key, failure_code,
    event_snapshot, resolved_at, resolved_by, resolution)
  SELECT 'carried', gen_random_uuid(), 0, 1, 'x' || n, 'http_500', '{}', now(), 'ann', 't'
    FROM generate_series(1, :waiting) n;

-- What the server believes: that each table has so many rows.
CREATE FUNCTION pg_temp.believe(p_rows real) RETURNS void LANGUAGE sql AS $$
  UPDATE pg_class SET reltuples = p_rows, relpages = pg_relation_size(oid) / 8192
   WHERE relowner = 'iu_core_owner'::regrole AND relkind IN ('r', 'i')
$$;
CREATE TEMP TABLE kind (is_kind text, pattern text);
INSERT INTO kind VALUES ('attempts', '^iu_route_attempt'), ('retries', '^iu_route_retry$'),
  ('events', '^event_outbox$'), ('dead letters', '^iu_route_dead_letter$'),
  ('of the routes', '^(iu_route_(type|position|step|secret|lease|circuit)|iu_outbound_route|iu_delivery_code)$');
CREATE FUNCTION pg_temp.counted() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT jsonb_object_agg(k.is_kind, (SELECT coalesce(sum(t.seq_tup_read + coalesce(t.idx_tup_fetch, 0)), 0)
                                        FROM pg_stat_xact_all_tables t WHERE t.relname ~ k.pattern)) FROM kind k
$$;
-- How many rows of each kind a statement reads, the second time: the first one makes its plans.
CREATE FUNCTION pg_temp.reads(p_sql text) RETURNS TABLE (is_kind text, rows bigint) LANGUAGE plpgsql AS $$
DECLARE
  v_before jsonb;
BEGIN
  EXECUTE p_sql;
  v_before := pg_temp.counted();
  EXECUTE p_sql;
  RETURN QUERY SELECT c.key, c.value::bigint - (v_before ->> c.key)::bigint FROM jsonb_each_text(pg_temp.counted()) c;
END $$;
-- A test for each kind: at most so many of it are read.
CREATE FUNCTION pg_temp.reads_few(p_sql text, p_name text, p_rows integer, p_most jsonb) RETURNS SETOF text
  LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_temp.believe(p_rows);
  RETURN QUERY SELECT cmp_ok(r.rows, '<=', (p_most ->> r.is_kind)::bigint,
      format('%s reads few rows where each table is believed to have %s: %s', p_name, p_rows, r.is_kind))
    FROM pg_temp.reads(p_sql) r ORDER BY r.is_kind;
END $$;
SELECT jsonb_build_object('attempts', 10000, 'retries', 4 * (:waiting + 3 * :routes), 'events', 100,
  'dead letters', 0, 'of the routes', 60 * :routes)::text AS health \gset
SELECT jsonb_build_object('attempts', 0, 'retries', 10, 'events', 10, 'dead letters', 0, 'of the routes', 20)::text
  AS claim \gset

SELECT pg_temp.reads_few(q, w, n, m)
  FROM (VALUES (0), (3), (100)) AS b (n)
  CROSS JOIN (VALUES
    ('v_iu_route_health', 'SELECT count(*) FROM v_iu_route_health', :'health'::jsonb),
    ('health', 'SELECT fn_iu_route_worker_health()', :'health'),
    ('v_iu_trouble', 'SELECT count(*) FROM v_iu_trouble', :'health'),
    ('the look for a claim', $$SELECT iu.fn_iu_delivery_claim_routes('{carried}', false)$$, :'claim'),
    ('a claim', $$SELECT count(*) FROM iu.fn_iu_delivery_claim('s', 10, NULL, 1, '{carried}')$$, :'claim'),
    ('the look ahead', $$SELECT iu.fn_iu_delivery_next_due(NULL, 2, '{carried}')$$, :'claim')) AS s (w, q, m)
 ORDER BY n, w;
SELECT * FROM finish();
ROLLBACK;
