#!/usr/bin/env bash
# foreign.sh: what reading a remote through a foreign table costs, against a
# plain libcurl loop over the same answers in the same run. tools/bench calls it.
. "$(dirname "$0")/../tools/measuring.sh"

parts=$(dirname "$0")/foreign
folder=$(mktemp -d)
servers=()
finish() {
	"$SRC/tools/cluster" stop "$cluster" immediate
	[ ${#servers[@]} = 0 ] || kill "${servers[@]}" 2>/dev/null || true
	rm -rf "$folder"
}
trap finish EXIT

gcc -D_GNU_SOURCE -O2 "$parts/server.c" -o "$folder/server" -lpthread
gcc -D_GNU_SOURCE -O2 "$parts/reference.c" -o "$folder/reference" -lcurl -ljansson
serve() { # POINTS: sets url to that of a server that has so many
	"$folder/server" "$1" >"$folder/port_$1" &
	servers+=($!)
	until [ -s "$folder/port_$1" ]; do sleep 0.05; done
	url=http://127.0.0.1:$(cat "$folder/port_$1")
}
serve 1000 && url_page=$url
serve 1000000 && url_million=$url
serve 100000

"$SRC/tools/cluster" start "$cluster" "$IU_STAGE" "iu_core.databases = ''" \
	"iu_core.allowed_networks = '127.0.0.0/8'" "iu_core.allowed_origins = '$url, $url_page, $url_million'"

as_pg "$IU_STAGE/bin/createdb" -h "$cluster" -U postgres bench
sql -c 'CREATE EXTENSION iu_core' \
	-c "CREATE SERVER remote FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '$url')" \
	-c "CREATE USER MAPPING FOR PUBLIC SERVER remote OPTIONS (api_key 'bench')" \
	-c 'IMPORT FOREIGN SCHEMA api FROM SERVER remote INTO public'

for name in page million; do
	url_of=url_$name
	sql -c "CREATE SERVER $name FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '${!url_of}')" \
		-c "CREATE FOREIGN TABLE $name (id text, payload jsonb) SERVER $name
			OPTIONS (resource 'points', collection 'c')"
done

# Ms of a statement, the median of as many times, the first left out: it makes the connections.
sql <<'SQL'
CREATE FUNCTION ms(query text, times integer) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
  v_start timestamptz;
  v_took  double precision[] := '{}';
BEGIN
  FOR i IN 0..times LOOP
    v_start := clock_timestamp();
    EXECUTE query;
    IF i > 0 THEN v_took := v_took || extract(epoch FROM clock_timestamp() - v_start)::double precision * 1000; END IF;
  END LOOP;
  RETURN (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t) FROM unnest(v_took) t);
END
$$;
CREATE FUNCTION first_ten(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c refcursor;
BEGIN
  OPEN c FOR EXECUTE format('SELECT id, payload FROM %I', name);
  MOVE 10 IN c;
  CLOSE c;
END
$$;
SQL

row 'foreign tables' measured reference ratio aim

# 20 collections in one statement, each of them 50 ms away
names=$(printf "'slow_%s', " $(seq 20))
read -r one twenty < <(sql -c "SELECT ms('SELECT points FROM collections WHERE collection = ''slow_1''', 5),
	ms(\$\$SELECT sum(points) FROM collections WHERE collection IN (${names%, })\$\$, 5)")
row '20 collections (IN), 50 ms away: ms; one of them' "$(printf %.1f "$twenty")" "$(printf %.1f "$one")" \
	"$(ratio "$twenty" "$one")" 'at most 1.1'

# 100 counts, a statement each
count="SELECT points FROM collections WHERE collection = 'c';"
bare=$("$folder/reference" counts "$url/collections/c/points/count" 500)
each=$({
	echo "$count SELECT 'from', extract(epoch FROM clock_timestamp());"
	for _ in {1..100}; do echo "$count"; done
	echo "SELECT 'to', extract(epoch FROM clock_timestamp());"
} | sql | awk '$1 == "from" { from = $2 } $1 == "to" { printf "%.4f", ($2 - from) * 10 }')
row '100 counts as 100 statements: ms each; libcurl' "$each" "$bare" \
	"$(awk "BEGIN { printf \"+%.2f\", $each - $bare }")" 'at most +1.5 ms'
pushed=$(sql -c "SELECT ms('SELECT count(*) FROM points WHERE collection = ''c''', 100)")
row 'count(*) of a million points: ms; libcurl' "$(printf %.4f "$pushed")" "$bare" \
	"$(ratio "$pushed" "$bare")" 'one request'
requests=$(sql -c "EXPLAIN (ANALYZE, COSTS off, TIMING off) SELECT count(*) FROM points WHERE collection = 'c'" |
	sed -n 's/ *Remote Requests: //p')
row '  requests' "$requests" 1 '' 'one request'

# 100,000 points, 1000 a page
scan="SELECT count(id), count(payload) FROM points WHERE collection = 'c'"
loops=()
for _ in 1 2 3; do loops+=("$("$folder/reference" scan "$url/collections/c/points/scroll" | cut -d' ' -f1)"); done
loop=$(printf '%s\n' "${loops[@]}" | sort -n | sed -n 2p)
took=$(sql -c "SELECT ms(\$\$$scan\$\$, 3) / 1000")
row '100,000 points with payload: s; libcurl and jansson' "$(printf %.3f "$took")" "$loop" \
	"$(ratio "$loop" "$took")" 'at least twice as fast'

# What the backend needs for it, and for a page of it
peak() { # LIMIT: kB over what the backend had before
	sql -c "SELECT count(*) FROM points WHERE collection = 'none' AND id = 'none'" -c 'SELECT pg_backend_pid()' \
		-c "SELECT 'before', substring(pg_read_file('/proc/self/status'), 'VmHWM:\s*(\d+)')" \
		-c "SELECT count(id), count(payload) FROM (SELECT id, payload FROM points WHERE collection = 'c' LIMIT $1) p" \
		-c "SELECT 'after', substring(pg_read_file('/proc/self/status'), 'VmHWM:\s*(\d+)')" |
		awk '$1 == "before" { before = $2 } $1 == "after" { print $2 - before }'
}
page=$(peak 2000)
whole=$(peak 200000)
row 'memory of the backend for 100,000 points: kB; for 2,000' "$whole" "$page" \
	"$(ratio "$whole" "$page")" 'bounded by a page'

# The first rows of a million, and what the backend needs for them and for all
ten() { sql -c "SELECT ms('SELECT first_ten(''$1'')', 20)"; }
first=$(ten million)
of_page=$(ten page)
row 'first 10 rows of 1,000,000 points: ms; of 1,000' "$(printf %.2f "$first")" "$(printf %.2f "$of_page")" \
	"$(ratio "$first" "$of_page")" 'as the first page'
grown() { # STATEMENT: kB over what the backend had before
	sql -c "SELECT first_ten('page')" \
		-c "SELECT 'before', substring(pg_read_file('/proc/self/status'), 'VmHWM:\s*(\d+)')" -c "$1" \
		-c "SELECT 'after', substring(pg_read_file('/proc/self/status'), 'VmHWM:\s*(\d+)')" |
		awk '$1 == "before" { before = $2 } $1 == "after" { print $2 - before }'
}
row '  memory of the backend for them: kB; for all of them' "$(grown "SELECT first_ten('million')")" \
	"$(grown 'SELECT count(id), count(payload) FROM million')" '' 'flat'

# A request that is never answered
late=()
for _ in {1..10}; do
	{
		echo "SET application_name = 'hangs'; \\set ON_ERROR_STOP off"
		echo "SELECT points FROM collections WHERE collection = 'hang';"
		echo "SELECT extract(epoch FROM clock_timestamp());"
	} | sql 2>/dev/null >"$folder/ended" &
	waiting=$!
	hangs="FROM pg_stat_activity WHERE application_name = 'hangs'"
	until [ "$(sql -c "SELECT count(*) $hangs AND wait_event_type = 'Extension'")" = 1 ]; do sleep 0.02; done
	asked=$(sql -c "SELECT extract(epoch FROM clock_timestamp()), pg_cancel_backend(pid) $hangs")
	wait "$waiting"
	late+=("$(awk "BEGIN { printf \"%.2f\", ($(cat "$folder/ended") - ${asked%% *}) * 1000 }")")
done
longest=$(printf '%s\n' "${late[@]}" | sort -n | tail -1)
row 'cancel of a request that hangs: ms, the longest of 10' "$longest" '' '' 'under 100 ms'
