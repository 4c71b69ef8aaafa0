#!/usr/bin/env bash
# approvals.sh: how soon a revoked approval has closed its gate to others, and
# whether a standing approval keeps one open without a gap. tools/bench calls it.
. "$(dirname "$0")/../tools/measuring.sh"

trap '"$SRC/tools/cluster" stop "$cluster" immediate' EXIT

"$SRC/tools/cluster" start "$cluster" "$IU_STAGE" "iu_core.databases = 'bench'"

database=postgres sql -c 'CREATE DATABASE bench'
sql -c 'CREATE EXTENSION iu_core' -c 'SELECT count(*) FROM iu_core.migrate()' \
	-c 'CREATE ROLE grantor LOGIN IN ROLE iu_core_operator' -c 'CREATE ROLE holder LOGIN IN ROLE iu_core_agent' \
	-c 'CREATE TABLE seen (round integer, closed_at timestamptz)' >/dev/null

granted() { # LONGEST OPENING IN S
	user=grantor sql -c "
		SELECT fn_iu_gate_approval_grant('iu_core.delivery_enabled', 'open', $1, now() + interval '1 hour', 'grantor',
		 'bench', 'standing', 'holder') ->> 'approval_id'"
}
opened() { # APPROVAL SECONDS
	user=holder sql -c "SELECT fn_iu_gate_open('iu_core.delivery_enabled', '$1', 'holder', 'bench', $2)" >/dev/null
}

printf 'from the call of a revocation to closed for another session that asks all the time, 20 times: '
sql -c "DO \$\$
BEGIN
  FOR i IN 1..20 LOOP
    WHILE NOT iu_core.gate_is_open('iu_core.delivery_enabled') LOOP PERFORM pg_sleep(0.001); END LOOP;
    WHILE iu_core.gate_is_open('iu_core.delivery_enabled') LOOP NULL; END LOOP;
    INSERT INTO seen VALUES (i, clock_timestamp());
    COMMIT;
  END LOOP;
END \$\$" &
reader=$!
revoked=()
for _ in {1..20}; do
	approval=$(granted 60)
	opened "$approval" 60
	sleep 0.1
	# The first row of the answer is the time of the call, read before anything is done.
	answer=$(user=grantor sql -c 'SELECT clock_timestamp()' \
		-c "SELECT fn_iu_gate_approval_revoke('$approval', 'grantor', 'bench')")
	revoked+=("${answer%%$'\n'*}")
done
wait "$reader"
sql -c "WITH revoked AS (
	  SELECT n AS round, r::timestamptz AS called_at
	    FROM string_to_table('$(IFS=,; echo "${revoked[*]}")', ',') WITH ORDINALITY AS t (r, n))
	SELECT format('median %s ms, most %s ms', round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric, 1),
	              round(max(ms), 1))
	  FROM (SELECT extract(epoch FROM s.closed_at - r.called_at) * 1000 AS ms
	          FROM revoked r JOIN seen s USING (round)) l"

printf 'a standing approval, openings of 5 s, asked every ms for 60 s: '
opened "$(granted 5)" 5
sql <<'SQL'
CREATE TEMP TABLE asked (answers bigint, closed bigint, longest_ms numeric);
DO $$
DECLARE
  v_last    timestamptz := clock_timestamp();
  v_end     timestamptz := v_last + interval '60 s';
  v_now     timestamptz;
  v_answers bigint := 0;
  v_closed  bigint := 0;
  v_longest interval := '0';
BEGIN
  LOOP
    v_answers := v_answers + 1;
    IF NOT iu_core.gate_is_open('iu_core.delivery_enabled') THEN v_closed := v_closed + 1; END IF;
    v_now := clock_timestamp();
    v_longest := greatest(v_longest, v_now - v_last);
    v_last := v_now;
    EXIT WHEN v_now > v_end;
    -- pg_sleep(0.001) sleeps for two milliseconds, so the time is waited out in a loop.
    WHILE clock_timestamp() < v_last + interval '1 ms' LOOP NULL; END LOOP;
  END LOOP;
  INSERT INTO asked VALUES (v_answers, v_closed, extract(epoch FROM v_longest) * 1000);
END
$$;
SELECT format('%s answers, %s of them closed, at most %s ms apart, %s renewals', answers, closed, round(longest_ms, 1),
              (SELECT counters ->> 'renewed' FROM iu_core.worker_status WHERE role = 'watchdog'))
  FROM asked;
SQL
