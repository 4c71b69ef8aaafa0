#!/usr/bin/env bash
# jobs.sh: what claiming and acknowledging jobs costs beside statements written by
# hand on the same table, and whether it grows while somebody's old snapshot keeps
# every dead row. tools/bench calls it.
#
# Statements are sent by one psql, prepared, each in a transaction of its own. Rounds go
# from one way to the next, so that each ratio is one of times that lie next to each
# other. Rates are those that the client has, with commits that wait for the disk; what
# they cost is the time of the CPU of the server's process, with commits that do not.
# The long run claims and acknowledges IU_JOBS (1,000,000) jobs in batches of 100 while
# a transaction with an older snapshot is open; by hand IU_HAND (100,000), since that
# takes the longer the more are done.
. "$(dirname "$0")/../tools/measuring.sh"

parts=$(dirname "$0")/jobs
jobs=${IU_JOBS:-1000000}
by_hand=${IU_HAND:-100000}
rounds=${IU_ROUNDS:-9}
options='-c synchronous_commit=off -c client_min_messages=warning'
trap '"$SRC/tools/cluster" stop "$cluster" fast' EXIT

mean() { # WHAT COLUMN: of each job
	sql -c "SELECT round(avg($2), 1) FROM bench_round WHERE what = '$1'"
}

# A script for psql: TIMES times, NAME in batches of BATCH, and what it cost.
block() { # NAME BATCH TIMES WHAT
	local i
	echo "SELECT bench_cpu() AS cpu, clock_timestamp() AS clock \\gset"
	for ((i = 0; i < $3; i++)); do
		case $1 in
			delete) echo "EXECUTE delete_$2;" ;;
			pgq) printf '%s\n' 'EXECUTE pgq_next \gset' 'EXECUTE pgq_events (:batch);' 'EXECUTE pgq_finish (:batch);' ;;
			*) printf '%s\n' "EXECUTE $1_claim_$2 \\gset" "EXECUTE $1_ack_$2 (:'ids', :'owner');" ;;
		esac
	done
	echo "SELECT bench_note('$4', :cpu, :'clock', $2 * $3);"
}
row_of() { # TEXT OURS OTHER COLUMN AIM
	row "$1" "$(mean "$2" "$4")" "$(mean "$3" "$4")" "$(ratio "$(mean "$3" "$4")" "$(mean "$2" "$4")")" "$5"
}

"$SRC/tools/cluster" start "$cluster" "$IU_STAGE" "iu_core.databases = ''" 'jit = off' 'autovacuum = off' \
	'fsync = on' 'shared_buffers = 1GB' 'max_wal_size = 8GB'
make_database bench
sql -f - <"$parts/measures.sql"
open="SELECT FROM fn_iu_gate_open('queue.job_substrate.enabled', gen_random_uuid(), 'bench', 'bench', 3600)"
ways=(ours hand delete pgmq)
if [ -e "$("$IU_STAGE/bin/pg_config" --sharedir)/extension/pgq.control" ]; then
	ways+=(pgq)
	sql -f - <"$parts/pgq.sql" >/dev/null
fi

row 'jobs' measured reference ratio aim

# Batches, of a queue in which nothing else happens.
declare -A times=([1]=200 [10]=60 [100]=20)
waiting=$(((rounds + 1) * 2 * 3000 + 3000))
sql -v ours=$waiting -v hand=$waiting -v others=$waiting -f - <"$parts/load.sql"
sql -c 'VACUUM ANALYZE'
for batch in 1 10 100; do
	for commits in off on; do
		{
			cat "$parts/statements.sql"
			[ ${#ways[@]} -lt 5 ] || cat "$parts/pgq_statements.sql"
			echo "SET synchronous_commit = $commits;"
			for ((i = 0; i <= rounds; i++)); do
				echo "$open;"
				for way in "${ways[@]}"; do
					n=$((i > 0 ? ${times[$batch]} : 5))
					[ "$way" != pgq ] || echo "CALL bench_pgq($batch, $n);"
					block "$way" "$batch" "$n" "$([ "$i" = 0 ] && echo warm || echo "$way $batch $commits")"
				done
			done
		} | sql -f - >/dev/null
	done
	row_of "claim and acknowledge in batches of $batch: us a job; by hand" "ours $batch on" "hand $batch on" us \
		'at least 0.8'
	row_of '  us of CPU' "ours $batch off" "hand $batch off" cpu_us ''
	row_of '  read and delete' "ours $batch on" "delete $batch on" us ''
	row_of '  read and delete, us of CPU' "ours $batch off" "delete $batch off" cpu_us ''
	row_of '  pgmq: read, archive' "ours $batch on" "pgmq $batch on" us ''
	row_of '  pgmq, us of CPU' "ours $batch off" "pgmq $batch off" cpu_us ''
	if [ ${#ways[@]} = 5 ]; then
		row_of '  PgQ: next_batch, get_batch_events, finish_batch' "ours $batch on" "pgq $batch on" us ''
		row_of '  PgQ, us of CPU' "ours $batch off" "pgq $batch off" cpu_us ''
	else
		row '  PgQ is not installed' '' '' '' ''
	fi
done

# Many jobs, while a transaction is open that is older than what is done to them.
long() { # NAME JOBS
	local i
	sql -c 'SET ROLE iu_core_owner' -c 'TRUNCATE job_queue, job_position' -c 'RESET ROLE' \
		-c 'TRUNCATE job_hand, job_deleted, job_read'
	sql -v ours=0 -v hand=0 -v others=0 -v "$1=$2" -f - <"$parts/load.sql"
	sql -c 'VACUUM ANALYZE' -c CHECKPOINT
	sql -c 'BEGIN ISOLATION LEVEL REPEATABLE READ' -c 'SELECT count(*) FROM job_queue, pg_sleep(0)' \
		-c 'SELECT pg_sleep(86400)' >/dev/null 2>&1 &
	until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'")" = 1 ]; do
		sleep 0.2
	done
	{
		cat "$parts/statements.sql"
		for ((i = 1; i <= 20; i++)); do
			echo "$open;"
			block "$1" 100 $(($2 / 2000)) "$1 long $i"
		done
	} | sql -f - >/dev/null
	sql -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'" >/dev/null
	wait
}
for name in ours hand; do
	n=$([ $name = ours ] && echo "$jobs" || echo "$by_hand")
	long $name "$n"
	text="$n jobs with an old reader: the last twentieth; the first"
	[ $name = ours ] || text="  by hand, $n jobs"
	row_of "$text" "$name long 20" "$name long 1" us "$([ $name = ours ] && echo 'at least 0.9')"
	row_of '  us of CPU' "$name long 20" "$name long 1" cpu_us ''
done
