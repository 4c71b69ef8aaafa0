#!/usr/bin/env bash
# units.sh: what units and their envelope cost, and whether it grows with the
# number of units. tools/bench calls it.
#
# There is a database with 10,000 units, one with ten times as many, and so on up
# to IU_UNITS (1,000,000). Rounds go from one database to the next, so that each
# ratio is one of times that lie next to each other. But for statements of clients
# and filters, times are those of the CPU, with buffers that hold all databases:
# extension pg_prewarm, where it is installed, fills them. Aims stand beside the
# largest database. IU_KEEP names a folder where the databases are kept: the next
# run with it uses them again, while no script of sql/ has changed.
. "$(dirname "$0")/../tools/measuring.sh"

parts=$(dirname "$0")/units
units=${IU_UNITS:-1000000}
rounds=${IU_ROUNDS:-9}
seconds=${IU_SECONDS:-30}
cluster=${IU_KEEP:-$IU_WORK}
options='-c app.canonical_writer=fn_iu_structure_op -c synchronous_commit=off -c client_min_messages=warning'
scripts=$(cat "$SRC"/sql/*/*.sql "$parts"/*.sql | cksum)
trap '"$SRC/tools/cluster" stop "$cluster" fast' EXIT

sizes=()
for ((size = 10000; size < units; size *= 10)); do sizes+=("$size"); done
sizes+=("$units")

in_size() { # SIZE, then arguments of psql
	database=units_$1 sql "${@:2}"
}
mean() { # SIZE WHAT: ms of CPU
	in_size "$1" -c "SELECT round(avg(ms), 3) FROM bench_round WHERE what = '$2'"
}
longest() { # SIZE WHAT: s by the clock
	in_size "$1" -c "SELECT round(max(clock_ms) / 1000, 1) FROM bench_round WHERE what = '$2'"
}

if [ "$(cat "$cluster/made" 2>/dev/null)" = "${sizes[*]} $scripts" ]; then
	ln -sfn "$(realpath "$IU_STAGE")/bin" "$cluster/bin"
	IU_CORE_INSTANCE=$cluster as_pg "$cluster/bin/pg_ctl" -D "$cluster/data" -l "$cluster/log" -w -t 300 start \
		>/dev/null
else
	"$SRC/tools/cluster" start "$cluster" "$IU_STAGE" "iu_core.databases = ''" 'jit = off' 'autovacuum = off' \
		'shared_buffers = 5GB' 'max_wal_size = 8GB' 'maintenance_work_mem = 256MB' \
		'work_mem = 64MB'
	for size in "${sizes[@]}"; do
		make_database "units_$size"
		in_size "$size" -v units="$size" -f - <"$parts/load.sql"
		in_size "$size" -f - <"$parts/measures.sql"
	done
	[ -z "${IU_KEEP:-}" ] || echo "${sizes[*]} $scripts" >"$cluster/made"
fi
for size in "${sizes[@]}"; do
	in_size "$size" -c 'TRUNCATE bench_round, iu_three_axis_envelope' -c CHECKPOINT
done

aim() { [ "$1" != "$units" ] || echo "$2"; } # SIZE AIM

row 'units' measured reference ratio aim

# The envelope, of all units.
for size in "${sizes[@]}"; do
	in_size "$size" -c 'CALL bench_fill(3)' >/dev/null
	row "first fill of $size rows: s; INSERT ... SELECT of them" "$(ratio "$(mean "$size" fill)" 1000)" \
		"$(ratio "$(mean "$size" insert)" 1000)" "$(ratio "$(mean "$size" insert)" "$(mean "$size" fill)")" \
		"$(aim "$size" "at least 0.5, under 60 s by the clock: $(longest "$size" fill)")"
	row "full drift check of $size units: s; INSERT ... SELECT" "$(ratio "$(mean "$size" check)" 1000)" \
		"$(ratio "$(mean "$size" insert)" 1000)" "$(ratio "$(mean "$size" insert)" "$(mean "$size" check)")" \
		"$(aim "$size" "at least 0.5, under 60 s by the clock: $(longest "$size" check)")"
	in_size "$size" -c 'VACUUM ANALYZE iu_three_axis_envelope, iu_three_axis_envelope_mark'
	in_size "$size" -c 'CREATE EXTENSION IF NOT EXISTS pg_prewarm' -c "SELECT sum(pg_prewarm(c.oid::regclass))
		FROM pg_class c WHERE c.relkind IN ('r', 'i') AND c.relnamespace = 'public'::regnamespace" >/dev/null ||
		echo "units_$size is read while it is measured"
done

# The envelope, of 100 units.
for ((i = 0; i < rounds; i++)); do
	for size in "${sizes[@]}"; do in_size "$size" -c 'CALL bench_refresh(21)' -c 'CALL bench_parts(21)'; done
done
for size in "${sizes[@]}"; do
	row "refresh after 100 of $size units changed: ms; reading them" "$(mean "$size" refresh)" \
		"$(mean "$size" read)" "$(ratio "$(mean "$size" refresh)" "$(mean "$size" read)")" \
		"$(aim "$size" 'at most 1.2')"
	row '  reading them by statements that are planned each' "$(mean "$size" refresh)" \
		"$(mean "$size" 'read anew')" \
		"$(ratio "$(mean "$size" refresh)" "$(mean "$size" 'read anew')")" "$(aim "$size" 'at most 1.2')"
	for part in computed locked written; do
		row "  what it cannot do without: $part; reading them" "$(mean "$size" "$part")" \
			"$(mean "$size" 'parts read')" "$(ratio "$(mean "$size" "$part")" "$(mean "$size" 'parts read')")" ''
	done
done
row "  of $units units; of 10000" "$(mean "$units" refresh)" "$(mean 10000 refresh)" \
	"$(ratio "$(mean "$units" refresh)" "$(mean 10000 refresh)")" 'at most 2.5'

# Statements of a client on three tables that are as information_unit is, with and
# without the triggers of the envelope, one or the other at random.
run=$(mktemp -d)
chmod 777 "$run"
remove='SET iu_core.allow_removal = on; DROP TABLE IF EXISTS unit_all, unit_marked, unit_bare'
in_size "$units" -c "$remove" \
	-c "CALL bench_copy('unit_all', '^\$')" -c "CALL bench_copy('unit_marked', 'auto_refresh')" \
	-c "CALL bench_copy('unit_bare', 'auto_refresh|envelope_mark')" -c 'VACUUM ANALYZE unit_all, unit_marked, unit_bare'
statements() { # WHAT SET CONDITION OPTIONS OF PGBENCH: ms of all, marked, bare
	local table
	rm -f "$run"/*
	for table in all marked bare; do
		printf '%s\n' '\set n random(0, 9999)' "UPDATE unit_$table SET $2 WHERE $3;" >"$run/$table.sql"
	done
	as_pg env PGOPTIONS="$options" "$IU_STAGE/bin/pgbench" -n -h "$cluster" -U postgres -M prepared -l \
		--log-prefix="$run/log" "${@:4}" -f "$run/all.sql" -f "$run/marked.sql" -f "$run/bare.sql" \
		"units_$units" >/dev/null
	read -r all marked bare < <(sort -k4,4n -k3,3n "$run"/log.* | awk '{ t[$4, ++n[$4]] = $3 }
		END { for (i = 0; i < 3; i++) printf "%.3f ", t[i, int((n[i] + 1) / 2)] / 1000; print "" }')
	row "$1: ms; without the refresh" "$all" "$marked" "$(ratio "$all" "$marked")" 'at most 1.03'
	row "  without marks too" "$all" "$bare" "$(ratio "$all" "$bare")" 'at most 1.15'
}
statements 'UPDATE of 1 row, gate closed' "section_code = 'c' || :n" "canonical_address = 'bench/' || :n" -T "$seconds"
statements 'UPDATE of 10000 rows, gate closed' "section_code = 'd' || :n" \
	"doc_code = ANY (ARRAY(SELECT 'BENCH-' || d FROM generate_series(0, 99) AS d))" -t $((rounds * 6))
in_size "$units" -c "$remove" -c 'DELETE FROM iu_three_axis_envelope_mark'
rm -rf "$run"

# Filters of the envelope.
for filter in "canonical_address = 'bench/77'" "unit_id = (SELECT id FROM bench_unit WHERE n = 77)" \
	"axis_a_doc_code = 'BENCH-7' ORDER BY axis_a_sort_order" "lifecycle_status = 'enacted' LIMIT 50" \
	"lifecycle_status = 'deprecated' LIMIT 50" \
	"axis_c_parent_id = (SELECT id FROM bench_unit WHERE n = 70)" \
	"axis_b_tags @> '{\"legal_document\": [\"doc:BENCH-7\"]}'" \
	"axis_b_tags @> '{\"topic\": [\"topic:7\"], \"legal_document\": [\"doc:BENCH-7\"]}'" \
	"axis_a_doc_code = 'BENCH-7' AND axis_c_depth = 1" \
	"axis_a_doc_code = 'BENCH-7' AND axis_c_ancestors @> ARRAY[(SELECT id FROM bench_unit WHERE n = 700)]"; do
	read -r ms indexes < <(in_size "$units" \
		-c "SELECT * FROM bench_filter(\$q\$SELECT * FROM iu_three_axis_envelope WHERE $filter\$q\$)")
	row "${filter:0:60}" "$ms" '' '' "under 5 ms; index: $indexes"
done

# Calls, a round in each database in turn, and the import.
for ((i = 0; i <= rounds; i++)); do
	for size in "${sizes[@]}"; do
		in_size "$size" -c 'CALL bench_calls(50)'
		[ "$i" -gt 0 ] || in_size "$size" -c "DELETE FROM bench_round WHERE what ~ '^fn_'"
	done
done
for name in create save apply_edit_draft enact piece_split piece_merge supersede retire; do
	row "fn_iu_$name: ms; with 10000 units" "$(mean "$units" "fn_iu_$name")" "$(mean 10000 "fn_iu_$name")" \
		"$(ratio "$(mean "$units" "fn_iu_$name")" "$(mean 10000 "fn_iu_$name")")" 'at most 1.2'
done
for ((i = 0; i < 3; i++)); do in_size "$units" -c 'CALL bench_import(10000)'; done
row 'fn_iu_import of 10000: ms; a plain INSERT of as many' "$(mean "$units" import)" "$(mean "$units" plain)" \
	"$(ratio "$(mean "$units" plain)" "$(mean "$units" import)")" 'at least 0.5'
