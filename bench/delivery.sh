#!/usr/bin/env bash
# delivery.sh: how fast deliveries go out, at what cost, and what slows them
# down, against nginx on this machine. The reference is the same requests by a
# bare libcurl program, in the same run. tools/bench calls it.
. "$(dirname "$0")/../tools/measuring.sh"

parts=$(dirname "$0")/delivery
own=() # processes to end
finish() {
	"$SRC/tools/cluster" stop "$cluster" immediate
	[ ${#own[@]} = 0 ] || kill "${own[@]}" 2>/dev/null || true
	[ ! -e "$web/nginx.pid" ] || kill "$(cat "$web/nginx.pid")" 2>/dev/null || true
	rm -rf "$web"
}
web=$(mktemp -d)
trap finish EXIT

port=$(node -e "
	const server = require('net').createServer();
	server.listen(0, '127.0.0.1', () => { console.log(server.address().port); server.close() })")
sed "s/PORT/$port/" "$parts/nginx.conf" >"$web/nginx.conf"
nginx -p "$web" -c nginx.conf 2>/dev/null
fast=http://127.0.0.1:$port
node "$parts/receiver.js" >"$web/urls" &
own+=($!)
until [ -s "$web/urls" ]; do sleep 0.05; done
read -r slow dead <"$web/urls"
gcc -O2 "$parts/reference.c" -o "$web/reference" -lcurl

# Durable, as in production.
"$SRC/tools/cluster" start "$cluster" "$IU_STAGE" "iu_core.databases = 'bench'" "fsync = on" "max_wal_size = '8GB'" \
	"track_commit_timestamp = on" "iu_core.allowed_networks = '127.0.0.0/8'" "iu_core.request_timeout = '300s'" \
	"iu_core.allowed_origins = '$fast, $slow, $dead'"

database=postgres sql -c 'CREATE DATABASE bench'
sql -c 'CREATE EXTENSION iu_core' -c 'SELECT count(*) FROM iu_core.migrate()' \
	-c "SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'bench', 'bench')" \
	-c "SELECT fn_iu_switch_set('iu_core.route_worker_enabled', 'true', 'bench', 'bench')" >/dev/null

route() { # NAME URL [IN_FLIGHT]
	sql -c "SELECT fn_iu_route_add('$1', 'version_applied', '$2', 'bench', 'bench',
			${3:+p_max_in_flight => $3, }p_timeout_ms => 300000)" \
		-c "SELECT fn_iu_route_allow('$1', 'bench', 'bench')" \
		-c "SELECT fn_iu_route_arm('$1', 'bench', 'bench')" >/dev/null
}
retire() { sql -c "SELECT fn_iu_route_retire('$1', 'bench', 'bench')" >/dev/null; }
event="fn_iu_emit_event('version_applied', 'iu/document/' || n, gen_random_uuid(), 'bench',
	jsonb_build_object('version', n, 'title', 'A unit of information', 'digest', md5(n::text),
	                   'previous', md5((n - 1)::text)))"
emit() { # COUNT: in transactions of 50,000
	local left=$1
	while [ "$left" -gt 0 ]; do
		sql -c "SELECT count($event) FROM generate_series(1, least($left, 50000)) n" >/dev/null
		left=$((left - 50000))
	done
}
all_sent() { sql -c "SELECT sum((counters ->> 'sent')::bigint) FROM iu_core.worker_status WHERE role = 'sender'"; }
open_gate() {
	before=$(all_sent)
	sql -c "SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'bench', 'bench', 3600)" >/dev/null
}
close_gate() { sql -c "SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'bench', 'bench')" >/dev/null; }
sent() { sql -c "SELECT count(*) FROM iu_route_attempt WHERE route_code ~ '$1' AND delivered"; }
# Since the gate was opened. The attempts are counted at the end only, which costs what the senders need.
until_sent() { # ROUTES COUNT
	for _ in $(seq 6000); do
		[ "$(all_sent)" -lt $((before + $2)) ] || [ "$(sent "$1")" -lt "$2" ] || return 0
		sleep 0.2
	done
	die "the deliveries do not end"
}
# From the opening of the gate to the last that was recorded.
rate() { # ROUTES
	sql -c "SELECT round(count(*) / extract(epoch FROM max(recorded_at)
			- (SELECT max(created_at) FROM iu_gate_transition WHERE action = 'open')))
		FROM iu_route_attempt WHERE route_code ~ '$1' AND delivered"
}
backlog() { # NAME COUNT: to nginx; leaves the route
	route "$1" "$fast/x"
	emit "$2"
	sql -c 'VACUUM (ANALYZE) event_outbox' -c CHECKPOINT
	open_gate
	until_sent "^$1\$" "$2"
	close_gate
}
sender=$(sql -c "SELECT pid FROM iu_core.worker_status WHERE role = 'sender'")
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$sender/stat"; }
row() { printf '%-58s %s\n' "$1" "$2"; }

# ---- a backlog

route first "$fast/x"
emit 1000
BODY_BYTES=$(sql -c 'SELECT avg(octet_length(fn_iu_delivery_body(o)))::integer FROM event_outbox o')
export BODY_BYTES
wrk=$(wrk -t1 -c64 -d5s -s "$parts/post.lua" "$fast/x" | awk '/Requests\/sec/ { print int($2) }')
reference=$("$web/reference" "$fast/x" 200000 "$BODY_BYTES")
retire first
row "wrk, one thread, 64 connections, bodies of $BODY_BYTES bytes" "$wrk/s"
row "reference: the same requests by libcurl, one process" "$reference/s, $(ratio "$reference" "$wrk") of wrk"
ticks=$(cpu_ticks)
backlog one 50000
plain=$(rate '^one$')
row "CPU of one sender" "$((($(cpu_ticks) - ticks) * 1000000 / $(getconf CLK_TCK) / 50000)) us a delivery"
retire one
senders() { # COUNT
	sql -c "ALTER SYSTEM SET iu_core.senders = $1" -c 'SELECT pg_reload_conf()' >/dev/null
	until [ "$(sql -c "SELECT count(*) FROM iu_core.worker_status
		WHERE role = 'sender' AND state = 'running'")" = "$1" ]; do sleep 0.1; done
}
# The machine's speed moves: each is compared with a reference of as many requests right before it.
one=() two=()
for n in 1 2 3 4 5; do
	for number in 1 2; do
		senders $number
		now=$("$web/reference" "$fast/x" 100000 "$BODY_BYTES")
		backlog "backlog$n$number" 100000
		is=$(ratio "$(rate "^backlog$n$number\$")" "$now")
		[ $number = 2 ] || one+=("$is")
		[ $number = 1 ] || two+=("$is")
		retire "backlog$n$number"
	done
done
senders 1
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
row "a backlog of 100,000 events to one route, one sender" "$(median "${one[@]}") of the reference (${one[*]})"
row "the same with two senders" "$(median "${two[@]}") of the reference (${two[*]})"

# ---- others in transaction

sql -c 'BEGIN ISOLATION LEVEL REPEATABLE READ' -c 'SELECT count(*) FROM dot_config' \
	-c 'SELECT pg_sleep(3600)' >/dev/null 2>&1 &
own+=($!)
sql -c 'BEGIN' -c "SELECT $event FROM generate_series(1, 1) n" -c 'SELECT pg_sleep(3600)' >/dev/null 2>&1 &
own+=($!)
until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'")" = 2 ]; do sleep 0.05; done
backlog beside 50000
beside=$(rate '^beside$')
row "the same beside an idle writer and an idle reader" "$beside/s, $(ratio "$beside" "$plain") of it"
retire beside
sql -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'" >/dev/null

# ---- from commit to arrival: the answer is taken for the arrival

latency() { # ROUTE
	sql -c "SELECT format('p50 %s ms, p95 %s ms', round(p[1]::numeric, 2), round(p[2]::numeric, 2)) FROM (
		SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY
		         extract(epoch FROM a.started_at - pg_xact_commit_timestamp(e.emitted_xid::xid)) * 1000
		           + a.duration_us / 1000.0) AS p
		  FROM iu_route_attempt a JOIN event_outbox e ON e.id = a.event_ref WHERE a.route_code = '$1') AS t"
}
echo "SELECT $event FROM generate_series(1, 1) n;" >"$web/emit.sql"
chmod 755 "$web"
pgbench() {
	as_pg "$IU_STAGE/bin/pgbench" -n -h "$cluster" -U postgres -M prepared -f "$web/emit.sql" "$@" bench >/dev/null 2>&1
}
route idle "$fast/x"
open_gate
pgbench -c 1 -T 10 -R 10
until_sent '^idle$' 50
row "from commit to arrival, idle: 10 events/s" "$(latency idle)"
retire idle
route steady "$fast/x"
pgbench -c 2 -T 10 -R 200
row "from commit to arrival, 200 events/s" "$(latency steady)"
retire steady
close_gate

# ---- slow and dead receivers

route slow "$slow/x" 64
emit 6400
open_gate
until_sent '^slow$' 6400
close_gate
row "a receiver that takes 50 ms, 64 in flight" "$(rate '^slow$')/s, $(ratio "$(rate '^slow$')" 1280) of 64 / 50 ms"
retire slow

nine() { # PREFIX URL_OF_THE_TENTH
	local n
	for n in $(seq 9); do route "$1$n" "$fast/x"; done
	route "${1}_tenth" "$2/x"
	emit 5000
	open_gate
	until_sent "^$1[0-9]\$" 45000
	close_gate
	for n in $(seq 9) _tenth; do retire "$1$n"; done
	rate "^$1[0-9]\$"
}
well=$(nine well "$fast")
ill=$(nine ill "$dead")
row "nine routes beside a tenth that is well" "$well/s"
row "beside a tenth that never answers" "$ill/s, $(ratio "$ill" "$well") of it"

# ---- many routes

names() { sql -c "SELECT $1 FROM generate_series(1, 1000) n" >/dev/null; }
names "fn_iu_route_add('r' || n, 'piece_reordered', '$fast/x', 'bench', 'bench', p_timeout_ms => 300000)"
names "fn_iu_route_allow('r' || n, 'bench', 'bench')"
names "fn_iu_route_arm('r' || n, 'bench', 'bench')"
open_gate
echo "SELECT fn_iu_emit_event('collection_created', 'x', gen_random_uuid(), 'bench');" >"$web/emit.sql"
sleep 5
sender=$(sql -c "SELECT pid FROM iu_core.worker_status WHERE role = 'sender' AND pid IS NOT NULL")
ticks=$(cpu_ticks)
pgbench -c 2 -T 20 -R 100
row "1,000 routes, 100 commits/s that none of them carries" \
	"$(awk "BEGIN { printf \"%.1f\", ($(cpu_ticks) - $ticks) * 100 / $(getconf CLK_TCK) / 20 }") % of one core"
sql -c "SELECT fn_iu_emit_event('piece_reordered', 'x', gen_random_uuid(), 'bench')" >/dev/null
until_sent '^r[0-9]*$' 1000
row "one event to 1,000 routes: from commit to the last arrival" "$(sql -c "SELECT round(extract(epoch FROM
	max(a.started_at + make_interval(secs => a.duration_us / 1e6)) - min(pg_xact_commit_timestamp(e.emitted_xid::xid)))
	* 1000) FROM iu_route_attempt a JOIN event_outbox e ON e.id = a.event_ref WHERE a.route_code ~ '^r[0-9]*$'") ms"
close_gate
names "fn_iu_route_retire('r' || n, 'bench', 'bench')"

# ---- a million, with a reader from before the first

last=$sender
# That sender still waits for the receiver that never answers.
sql -c "SELECT pg_terminate_backend($last)" >/dev/null
for _ in $(seq 600); do
	sender=$(sql -c "SELECT pid FROM iu_core.worker_status
		WHERE role = 'sender' AND state = 'running' AND pid <> $last")
	[ -z "$sender" ] || break
	sleep 0.1
done
sql -c 'BEGIN ISOLATION LEVEL REPEATABLE READ' -c 'SELECT count(*) FROM dot_config' \
	-c 'SELECT pg_sleep(3600)' >/dev/null 2>&1 &
own+=($!)
until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'")" = 1 ]; do sleep 0.05; done
route million "$fast/x"
emit 1000000
sql -c 'VACUUM (ANALYZE) event_outbox' -c CHECKPOINT
open_gate
memory=0
oldest=0
while [ "$(sql -c "SELECT counters ->> 'sent' FROM iu_core.worker_status WHERE role = 'sender'")" -lt 1000000 ]; do
	rss=$(sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$sender/status")
	[ "$rss" -lt "$memory" ] || memory=$rss
	age=$(sql -c "SELECT coalesce(round(extract(epoch FROM clock_timestamp() - xact_start) * 1000), 0)
		FROM pg_stat_activity WHERE pid = $sender")
	[ "$age" -lt "$oldest" ] || oldest=$age
	sleep 0.1
done
until_sent '^million$' 1000000
close_gate
at() {
	sql -c "SELECT extract(epoch FROM recorded_at) FROM iu_route_attempt
		WHERE route_code = 'million' ORDER BY id OFFSET $1 LIMIT 1"
}
speed() { awk "BEGIN { printf \"%d\", ($2 - $1) / ($(at "$2") - $(at "$1")) }"; }
early=$(speed 10000 110000)
late=$(speed 899999 999999)
row "1,000,000 events: rate after the first 10,000" "$early/s"
row "rate before the last" "$late/s, $(ratio "$late" "$early") of it"
row "memory of the sender, at most" "$((memory / 1024)) MB"
row "oldest transaction of the sender, asked every 0.1 s" "$oldest ms"
