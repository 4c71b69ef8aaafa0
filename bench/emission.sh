#!/usr/bin/env bash
# emission.sh: what emitting an event costs, next to a bare INSERT of the same
# row into event_outbox, which has the table's checks, triggers and indexes
# too. tools/bench calls it.
#
# 2,000 events of each way in turn, in one transaction each, 15 rounds; the
# median of the rounds. The loop is plpgsql, so that nothing is measured of
# clients and parsing.
. "$(dirname "$0")/../tools/measuring.sh"

trap '"$SRC/tools/cluster" stop "$cluster" immediate' EXIT

"$SRC/tools/cluster" start "$cluster" "$IU_STAGE" "iu_core.databases = ''" "jit = off" "autovacuum = off"

database=postgres sql -c 'CREATE DATABASE bench'
sql -c 'CREATE EXTENSION iu_core' -c 'SELECT count(*) FROM iu_core.migrate()' \
	-c "SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'bench', 'bench')" >/dev/null

sql -P format=aligned -P tuples_only=off -P footer=off <<'SQL'
SET client_min_messages = warning;
CREATE TABLE round (way text, us numeric);

-- Microseconds an event, after a call to warm up; a call emits p_events events.
CREATE PROCEDURE measure(p_way text, p_calls integer, p_events integer, p_call text) LANGUAGE plpgsql AS $$
DECLARE
  v_start timestamptz;
BEGIN
  EXECUTE format('CREATE OR REPLACE FUNCTION pg_temp.repeat(p_calls integer) RETURNS void LANGUAGE plpgsql AS %L',
    format('BEGIN FOR i IN 1..p_calls LOOP %s; END LOOP; END', p_call));
  PERFORM pg_temp.repeat(1);
  v_start := clock_timestamp();
  PERFORM pg_temp.repeat(p_calls);
  INSERT INTO round VALUES (p_way, extract(epoch FROM clock_timestamp() - v_start) * 1000000 / (p_calls * p_events));
  COMMIT;
END
$$;

CREATE PROCEDURE measure_all() LANGUAGE plpgsql AS $body$
DECLARE
  v_events integer;
BEGIN
  FOR i IN 1..15 LOOP
    TRUNCATE event_outbox CASCADE;
    CALL measure('bare INSERT', 2000, 1, $$INSERT INTO public.event_outbox
        (event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table, event_subject_ref,
         canonical_address, actor_ref, source_system, correlation_id, safe_payload, idempotency_key)
      VALUES ('iu', 'version_applied', 'update', 'immediate', 'info', 'information_unit',
        '11111111-1111-1111-1111-111111111111', 'DOC/1', 'bench', 'iu_core', NULL,
        '{"version_seq": 7, "unit_kind": "paragraph"}', NULL)$$);
    CALL measure('fn_iu_emit_event', 2000, 1, $$PERFORM public.fn_iu_emit_event('version_applied', 'DOC/1',
        '11111111-1111-1111-1111-111111111111', 'bench', '{"version_seq": 7, "unit_kind": "paragraph"}')$$);
    CALL measure('fn_iu_emit_event, with a key', 2000, 1, format($$PERFORM public.fn_iu_emit_event('version_applied',
        'DOC/1', '11111111-1111-1111-1111-111111111111', 'bench', '{"version_seq": 7, "unit_kind": "paragraph"}',
        'key %s/' || i)$$, i));
    CALL measure('fn_iu_emit_event, unknown type', 2000, 1, $$PERFORM public.fn_iu_emit_event('no_such_type', 'DOC/1',
        '11111111-1111-1111-1111-111111111111', 'bench', '{"version_seq": 7, "unit_kind": "paragraph"}')$$);
    FOR v_events IN SELECT unnest(ARRAY[1, 10, 100, 1000]) LOOP
      CALL measure(format('fn_iu_emit_events, %s a call', v_events), 2000 / v_events, v_events,
        $$PERFORM public.fn_iu_emit_events((SELECT events FROM public.sets WHERE size = $$ || v_events || $$))$$);
    END LOOP;
  END LOOP;
END
$body$;
CREATE TABLE sets AS SELECT size, (
    SELECT jsonb_agg(jsonb_build_object('event_type', 'version_applied', 'canonical_address', 'DOC/' || n,
             'subject_ref', gen_random_uuid(), 'actor_ref', 'bench',
             'safe_payload', '{"version_seq": 7, "unit_kind": "paragraph"}'::jsonb))
      FROM generate_series(1, size) n) AS events FROM unnest(ARRAY[1, 10, 100, 1000]) size;
ANALYZE sets;
CALL measure_all();

WITH median AS (
  SELECT way, percentile_cont(0.5) WITHIN GROUP (ORDER BY us)::numeric AS us, min(us) AS best, max(us) AS worst
    FROM round GROUP BY way
)
SELECT m.way AS "emission of one event", round(m.us, 1) AS "us", round(m.best, 1) AS "best",
       round(m.worst, 1) AS "worst", round(m.us / b.us, 2) AS "to a bare INSERT"
  FROM median m, median b WHERE b.way = 'bare INSERT' ORDER BY m.us;
SQL
