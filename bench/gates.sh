#!/usr/bin/env bash
# gates.sh: what a gate check costs, how soon an expired gate is closed in the
# table, and how still an idle watchdog is. tools/bench calls it.
. "$(dirname "$0")/../tools/measuring.sh"

trap '"$SRC/tools/cluster" stop "$cluster" immediate' EXIT

"$SRC/tools/cluster" start "$cluster" "$IU_STAGE" "iu_core.databases = 'bench'"

make_database bench

printf 'cost of iu_core.gate_is_open of a closed gate, 1,000,000 calls: '
sql <<'SQL'
CREATE FUNCTION pg_temp.loop_ms(p_statement text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
  v_start timestamptz := clock_timestamp();
BEGIN
  EXECUTE p_statement;
  RETURN extract(epoch FROM clock_timestamp() - v_start) * 1000;
END
$$;
SET jit = off;
WITH warm AS (
  SELECT iu_core.gate_is_open('iu_core.delivery_enabled')
), measured AS MATERIALIZED (
  SELECT pg_temp.loop_ms($$SELECT count(*) FILTER (WHERE iu_core.gate_is_open('iu_core.delivery_enabled'))
                             FROM generate_series(1, 1000000)$$) AS ms FROM warm
), bare AS MATERIALIZED (
  SELECT pg_temp.loop_ms($$SELECT count(*) FILTER (WHERE g IS NULL)
                             FROM generate_series(1, 1000000) g$$) AS ms FROM warm
)
SELECT format('%s us a call (%s us with the loop itself)',
              round((measured.ms - bare.ms) / 1000, 3), round(measured.ms / 1000, 3))
  FROM measured, bare;
SQL

# An open gate is looked at each time: its row, and whether its approval was revoked.
open_gate_us() {
	sql <<'SQL'
SET jit = off;
DO $$
DECLARE
  v_start timestamptz;
BEGIN
  PERFORM fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'bench', 'cost', 3600);
  COMMIT;
  PERFORM iu_core.gate_is_open('iu_core.composer_enabled');
  v_start := clock_timestamp();
  PERFORM count(*) FILTER (WHERE iu_core.gate_is_open('iu_core.composer_enabled')) FROM generate_series(1, 200000);
  RAISE NOTICE '% us', round((extract(epoch FROM clock_timestamp() - v_start) * 5)::numeric, 3);
  PERFORM fn_iu_gate_close('iu_core.composer_enabled', 'bench', 'done');
END
$$;
SQL
}
printf 'cost of iu_core.gate_is_open of an open gate, 200,000 calls, with no revocation: '
open_gate_us 2>&1 | sed 's/.*NOTICE: *//'
sql -c "INSERT INTO iu_gate_revocation (approval_id, actor, reason)
  SELECT gen_random_uuid(), 'bench', 'cost' FROM generate_series(1, 10000)"
printf 'cost of iu_core.gate_is_open of an open gate, 200,000 calls, with 10,000 revocations: '
open_gate_us 2>&1 | sed 's/.*NOTICE: *//'

printf 'from expiry to false in the table, 20 openings of 2 s: '
sql <<'SQL'
CREATE TEMP TABLE lag (ms numeric);
DO $$
DECLARE
  v_expires timestamptz;
BEGIN
  FOR i IN 1..20 LOOP
    v_expires := (fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'bench', 'latency', 2)
                  ->> 'expires_at')::timestamptz;
    COMMIT;
    LOOP
      EXIT WHEN (SELECT value FROM dot_config WHERE key = 'iu_core.delivery_enabled') = 'false';
      PERFORM pg_sleep(0.0005);
    END LOOP;
    INSERT INTO lag VALUES (extract(epoch FROM clock_timestamp() - v_expires) * 1000);
  END LOOP;
END
$$;
SELECT format('median %s ms, most %s ms', round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric, 1),
              round(max(ms), 1))
  FROM lag;
SQL

watchdog=$(sql -c "SELECT pid FROM iu_core.worker_status WHERE role = 'watchdog'")
switches() {
	sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$watchdog/status"
}
printf 'voluntary context switches of the idle watchdog in 60 s: '
before=$(switches)
sleep 60
echo "$(($(switches) - before))"
