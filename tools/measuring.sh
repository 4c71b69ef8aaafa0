# measuring.sh: what the scripts in bench/ share. Sourced, never run. tools/bench says
# where the staged library is (IU_STAGE), and which folder is the script's own (IU_WORK).
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
use_stage "$IU_STAGE"

cluster=$IU_WORK
database=bench
user=postgres
options=

# psql with these arguments: in the database, as the user, with options of the server.
sql() {
	as_pg env PGOPTIONS="$options" "$IU_STAGE/bin/psql" -XqAt -F ' ' -v ON_ERROR_STOP=1 -h "$cluster" \
		-U "$user" -d "$database" "$@"
}

make_database() { # NAME: with all of iu_core in it
	as_pg "$IU_STAGE/bin/createdb" -h "$cluster" -U postgres "$1"
	database=$1 sql -c 'CREATE EXTENSION iu_core' -c 'SELECT count(*) FROM iu_core.migrate()' >/dev/null
}

row() { # WHAT MEASURED REFERENCE RATIO AIM
	printf '%-62s %12s %12s %8s   %s\n' "$@"
}
ratio() { # OF TO
	awk "BEGIN { printf \"%.2f\", $1 / $2 }"
}
