#!/usr/bin/env bash
# attempts.sh: what claim, record, health and the story of an event cost with many
# attempts in the partitions of 60 days, next to 10,000 in as many. tools/bench calls it.
#
# ATTEMPTS says how many (1,000,000). The two databases take turns, in sessions of
# their own. What is told is the time that the server's process was on a CPU, by the
# call, after calls to warm up: on a machine that has other work to do it says more
# than the time that passed. The median of 9 rounds.
. "$(dirname "$0")/../tools/measuring.sh"

attempts=${ATTEMPTS:-1000000}
trap '"$SRC/tools/cluster" stop "$cluster" immediate' EXIT

"$SRC/tools/cluster" start "$cluster" "$IU_STAGE" "iu_core.databases = ''" "jit = off" "autovacuum = off" \
	"iu_core.allowed_origins = 'http://127.0.0.1:9'" "iu_core.allowed_networks = '127.0.0.0/8'" \
	"max_wal_size = '8GB'" "checkpoint_timeout = '1h'" "shared_buffers = '512MB'"

fill() { # HOW MANY
	sql -v many="$1" <<'SQL' >/dev/null
SET client_min_messages = warning;
CREATE EXTENSION iu_core;
SELECT count(*) FROM iu_core.migrate();
SELECT fn_iu_switch_set(k, 'true', 'bench', 'bench')
  FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k;
SELECT fn_iu_route_add('hook', 'version_applied', 'http://127.0.0.1:9/hook', 'bench', 'bench',
  p_max_in_flight => 10000);
SELECT fn_iu_route_allow('hook', 'bench', 'bench'), fn_iu_route_arm('hook', 'bench', 'bench');
SET ROLE iu_core_owner;
SELECT iu.fn_iu_attempt_partitions_make((clock_timestamp() AT TIME ZONE 'UTC')::date - 51,
  (clock_timestamp() AT TIME ZONE 'UTC')::date - 2);
RESET ROLE;
INSERT INTO iu_route_attempt (route_code, event_ref, attempt_no, idempotency_key, status, sender, started_at,
    recorded_at, duration_us, http_status, response_excerpt)
  SELECT 'hook', gen_random_uuid(), 1, 'msg_' || n + 1000000 || '_1_0_' || lpad(n::text, 12, '0'), 'sent',
         'iu_core sender 1', x.at, x.at + interval '2 ms', 2000, 200, 'ok'
    FROM generate_series(1, :many) n
    CROSS JOIN LATERAL (
      SELECT clock_timestamp() - make_interval(secs => 51 * 86400.0 * (:many - n) / :many) AS at) AS x;
VACUUM ANALYZE;
CHECKPOINT;
SQL
}

# The CPU of the session in microseconds; a call is a statement of plpgsql.
prepare() {
	sql <<'SQL'
CREATE FUNCTION cpu_us() RETURNS numeric LANGUAGE sql VOLATILE AS
  $$SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1000$$;
CREATE TABLE round (way text, us numeric);
CREATE FUNCTION record(p_lease bigint) RETURNS integer LANGUAGE sql VOLATILE AS $$
  SELECT iu.fn_iu_delivery_record_batch(l.lease_id, l.generation, l.event_ids, l.replay_numbers, l.attempt_nos,
           array_fill('sent'::text, ARRAY[n]), array_fill(200, ARRAY[n]), array_fill(NULL::text, ARRAY[n]),
           array_fill(NULL::text, ARRAY[n]), array_fill(NULL::float8, ARRAY[n]), array_fill(2000::bigint, ARRAY[n]),
           array_fill('ok'::text, ARRAY[n]), array_fill(clock_timestamp(), ARRAY[n]))
    FROM iu_route_lease l CROSS JOIN LATERAL (SELECT l.item_count AS n) AS x WHERE l.lease_id = p_lease $$;
-- Batches of 100 that are claimed and recorded, each in transactions of its own.
CREATE PROCEDURE deliver(p_times integer, p_tell boolean) LANGUAGE plpgsql AS $$
DECLARE
  v_claim  numeric := 0;
  v_record numeric := 0;
  v_from   numeric;
  v_lease  bigint;
BEGIN
  FOR i IN 1..p_times LOOP
    PERFORM fn_iu_emit_event('version_applied', 'DOC/' || n, gen_random_uuid(), 'bench') FROM generate_series(1, 100) n;
    COMMIT;
    v_from := cpu_us();
    SELECT max(lease_id) INTO v_lease FROM iu.fn_iu_delivery_claim('bench', 100, NULL, 1, NULL);
    COMMIT;
    v_claim := v_claim + cpu_us() - v_from;
    v_from := cpu_us();
    IF record(v_lease) IS DISTINCT FROM 100 THEN
      RAISE EXCEPTION 'not recorded';
    END IF;
    COMMIT;
    v_record := v_record + cpu_us() - v_from;
  END LOOP;
  IF p_tell THEN
    INSERT INTO round VALUES ('claim of 100', v_claim / p_times), ('record of 100', v_record / p_times);
  END IF;
END $$;
CREATE PROCEDURE ask(p_way text, p_call text, p_times integer) LANGUAGE plpgsql AS $$
DECLARE
  v_from numeric;
BEGIN
  FOR i IN 1..6 LOOP EXECUTE p_call; END LOOP;
  v_from := cpu_us();
  FOR i IN 1..p_times LOOP EXECUTE p_call; END LOOP;
  INSERT INTO round VALUES (p_way, (cpu_us() - v_from) / p_times);
  COMMIT;
END $$;
SQL
}

measure() {
	sql <<'SQL' >/dev/null
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'bench', 'bench', 3600)
 WHERE NOT fn_iu_delivery_enabled();
CALL deliver(6, false);
CALL deliver(30, true);
CALL ask('fn_iu_route_worker_health', 'SELECT fn_iu_route_worker_health()', 20);
CALL ask('v_iu_route_health', 'SELECT * FROM v_iu_route_health', 20);
CALL ask('v_iu_trouble', 'SELECT * FROM v_iu_trouble', 5);
SELECT format('SELECT * FROM v_iu_event_story WHERE event_id = %L', id) AS story
  FROM event_outbox ORDER BY event_seq DESC LIMIT 1 \gset
CALL ask('v_iu_event_story of an event', :'story', 20);
SQL
}

database=postgres sql -c 'CREATE DATABASE few' -c 'CREATE DATABASE many'
printf '10000 attempts, and %s: ' "$attempts"
database=few fill 10000
database=many fill "$attempts"
for database in few many; do prepare; done
database=many sql -c "SELECT format('%s partitions, %s', count(*), pg_size_pretty(sum(pg_total_relation_size(relid))))
	FROM pg_partition_tree('iu_route_attempt') WHERE isleaf"
for _ in {1..9}; do
	for database in few many; do measure; done
done
figures() {
	database=$1 sql -c "
		SELECT replace(way, ' ', '_') AS name, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY us)::numeric),
		       round(min(us)) FROM round GROUP BY way" | LC_ALL=C sort
}
printf '%-32s %10s %10s %8s\n' 'us of CPU a call' few many ratio
LC_ALL=C join <(figures few) <(figures many) |
	while read -r way few few_best many many_best; do
		printf '%-32s %10s %10s %8s   best %s, %s\n' "${way//_/ }" "$few" "$many" \
			"$(awk "BEGIN { printf \"%.2f\", $many / $few }")" "$few_best" "$many_best"
	done
