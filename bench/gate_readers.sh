#!/usr/bin/env bash
# gate_readers.sh: what a gate check costs in 16 sessions while another opens
# and closes, in CPU time, since more sessions run than there are processors,
# and whether any answer is ever wrong. tools/bench calls it.
. "$(dirname "$0")/../tools/measuring.sh"

trap '"$SRC/tools/cluster" stop "$cluster" immediate' EXIT

"$SRC/tools/cluster" start "$cluster" "$IU_STAGE" "iu_core.databases = 'bench'"

database=postgres sql -c 'CREATE DATABASE bench'
sql -c 'CREATE EXTENSION iu_core' -c 'SELECT count(*) FROM iu_core.migrate()' \
	-f "$SRC/bench/gate_answers.sql" >/dev/null
sql <<'SQL'
CREATE INDEX ON opening (open_from);
CREATE INDEX ON opening (open_for_sure);
CREATE TABLE cost (what text, us numeric);
CREATE FUNCTION cpu_us() RETURNS numeric LANGUAGE sql AS $$
  SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1000
$$;
-- The CPU time of a condition in microseconds, asked a million times by one statement.
CREATE PROCEDURE measure(p_what text, p_condition text) LANGUAGE plpgsql SET jit = off AS $$
DECLARE
  v_start numeric := cpu_us();
BEGIN
  EXECUTE format('SELECT count(*) FILTER (WHERE %s) FROM generate_series(1, 1000000) g', p_condition);
  INSERT INTO cost VALUES (p_what, (cpu_us() - v_start) / 1000000);
END
$$;
SQL

opener=
start_opener() { # SECONDS
	sql -c "CALL open_and_close(clock_timestamp() + interval '$1 s')" 2>/dev/null &
	opener=$!
}
in_16_sessions() { # COMMAND
	local asker=()
	for _ in {1..16}; do
		sql -c "$1" &
		asker+=("$!")
	done
	wait "${asker[@]}"
}
check="iu_core.gate_is_open(''iu_core.delivery_enabled'')"

in_16_sessions "CALL measure('loop', 'g IS NULL')"
in_16_sessions "CALL measure('closed', '$check')"
sql -c "SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'bench', 'bench', 600)" >/dev/null
in_16_sessions "CALL measure('open', '$check')"
in_16_sessions "CALL measure('value',
	'(SELECT value FROM dot_config WHERE key = ''iu_core.delivery_enabled'' AND g > 0) = ''true''')"
sql -c "SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'bench', 'bench')" >/dev/null
start_opener 60
in_16_sessions "CALL measure('changing', '$check')"
sql -c "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
	WHERE query ~ 'CALL open_and_close' AND pid <> pg_backend_pid()" >/dev/null
wait "$opener" 2>/dev/null || true
sql -c "SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'bench', 'bench')" -c 'TRUNCATE opening' >/dev/null

echo 'a gate check in 16 sessions, us of CPU a call: median, most, and against a SELECT of the bare value:'
sql -c "
	WITH bare AS (SELECT avg(us) AS us FROM cost WHERE what = 'loop'),
	     net AS (SELECT c.what, c.us - bare.us AS us FROM cost c, bare WHERE c.what <> 'loop')
	SELECT format('  %-28s %s  %s  %s', m.words,
	              round(percentile_cont(0.5) WITHIN GROUP (ORDER BY n.us)::numeric, 3), round(max(n.us), 3),
	              round((avg(n.us) / (SELECT avg(us) FROM net WHERE what = 'value'))::numeric, 2))
	  FROM net n JOIN (VALUES (1, 'closed', 'closed'), (2, 'open', 'open'),
	                          (3, 'changing', 'while another opens, closes'), (4, 'value', 'SELECT of the value'))
	       AS m (n, what, words) USING (what)
	 GROUP BY m.n, m.words ORDER BY m.n"

start_opener 4
in_16_sessions "CALL ask(clock_timestamp() + interval '4 s')"
wait "$opener"
printf 'answers of 16 sessions compared with the ledger at their time: '
sql -c 'ANALYZE opening' -c "
	SELECT format('%s answers (%s open), %s openings, %s wrong', count(*), count(*) FILTER (WHERE is_open),
	              (SELECT count(*) FROM opening), (SELECT count(*) FROM wrong_answer)) FROM answer"
[ "$(sql -c 'SELECT count(*) FROM wrong_answer')" = 0 ]
