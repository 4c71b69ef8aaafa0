#!/usr/bin/env bash
# collections.sh: what a collection costs that an event makes after a template, and
# whether it grows with those that its transaction has made before. tools/bench calls it.
#
# 1,000 collections of ten pieces are made of one template in one transaction, and the
# rows that they have are written by plain INSERTs, in turn, while the gates are open as
# an operator opens them. Times are those of the CPU, with which nobody else on the
# machine interferes. What was made stays, so each round finds tables that are larger by
# a thousand collections.
. "$(dirname "$0")/../tools/measuring.sh"

parts=$(dirname "$0")
collections=${IU_COLLECTIONS:-1000}
rounds=${IU_ROUNDS:-9}
options='-c synchronous_commit=off -c client_min_messages=warning'
trap '"$SRC/tools/cluster" stop "$cluster" fast' EXIT

mean() { sql -c "SELECT round(avg(ms), 3) FROM bench_round WHERE what = '$1'"; } # ms of CPU

"$SRC/tools/cluster" start "$cluster" "$IU_STAGE" "iu_core.databases = ''" 'jit = off' 'autovacuum = off' \
	'shared_buffers = 512MB' 'max_wal_size = 4GB'
make_database bench
cat "$parts/units/measures.sql" "$parts/collections/measures.sql" | sql -f -
sql -c 'CALL bench_template(20000)' -c 'VACUUM ANALYZE'

# In one session, so that it has planned its statements. The first round is not counted.
for ((i = 0; i <= rounds; i++)); do
	printf 'CALL bench_instances(%s); CALL bench_rows(%s);\n' "$collections" "$collections"
	[ "$i" -gt 0 ] || echo 'TRUNCATE bench_round; VACUUM ANALYZE;'
done | sql -f -

row 'collections' measured reference ratio aim
row "collection $collections of a transaction: ms; the 10th" "$(mean last)" "$(mean first)" \
	"$(ratio "$(mean last)" "$(mean first)")" 'at most 1.2'
row "$collections collections of ten pieces: ms each; plain INSERTs" "$(mean calls)" "$(mean rows)" \
	"$(ratio "$(mean calls)" "$(mean rows)")" 'at most 2'
