# common.sh: what the scripts of this tree share. Sourced, never run.
#
# Nothing is written outside the build tree, the installed packages and the
# cache folder: IU_CACHE, by default /var/cache/iu_core for root and
# ~/.cache/iu_core for everybody else. PostgreSQL's server and its tests refuse
# to run as root; where root calls, they run as user postgres, in the cache.
# shellcheck shell=bash
set -euo pipefail
umask 022
exec 3>&- 9>&- # a caller's output and lock, which nothing started here may hold on to

SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ "$(id -u)" = 0 ]; then
	CACHE=${IU_CACHE:-/var/cache/iu_core}
else
	CACHE=${IU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/iu_core}
fi

# A caller's PGHOST or PGDATABASE must not send anything to another server.
for name in $(compgen -e PG); do
	[ "$name" = PG_CONFIG ] || unset "$name"
done
unset MAKEFLAGS MFLAGS MAKELEVEL

export LC_ALL=C.UTF-8
# npm run by a node of its own does not read the system's npmrc: this keeps a
# local certificate authority in force.
if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -r /etc/ssl/certs/ca-certificates.crt ]; then
	export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
fi

die() {
	printf '%s: %s\n' "$(basename "$0")" "$1" >&2
	shift
	[ $# -eq 0 ] || printf '  %s\n' "$@" >&2
	exit 1
}

cache_ready() {
	case $CACHE in
		/*) ;;
		*) die "IU_CACHE must be an absolute path, not \"$CACHE\"" ;;
	esac
	# a unix socket's path holds 107 bytes, and a test's is about 50 below the cache
	[ ${#CACHE} -le 50 ] || die "the cache folder's path is too long for sockets in it: $CACHE" \
		"set IU_CACHE to a path of at most 50 characters"
	mkdir -p "$CACHE"
	chmod 755 "$CACHE"
	if [ "$(id -u)" = 0 ] && ! as_pg test -x "$CACHE"; then
		die "user postgres cannot enter $CACHE" "set IU_CACHE to a folder that everybody may enter"
	fi
}

# Runs a command as the user that PostgreSQL runs as.
if [ "$(id -u)" = 0 ]; then
	AS_PG=(setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$CACHE" USER=postgres)
else
	AS_PG=(env)
fi
as_pg() {
	if [ "$(id -u)" = 0 ]; then
		(cd / && exec "${AS_PG[@]}" "$@")
	else
		"$@"
	fi
}

# Makes an empty folder that belongs to that user.
pg_folder() {
	rm -rf "$1"
	mkdir -p "$1"
	[ "$(id -u)" != 0 ] || chown postgres:postgres "$1"
}

# The pg_config to build with; fails where there is none that can build.
find_pg_config() {
	[ -e "$("${PG_CONFIG:-pg_config}" --pgxs 2>/dev/null || true)" ] && command -v "${PG_CONFIG:-pg_config}"
}

use_pg_config() {
	PG_CONFIG=$(find_pg_config) || die "no pg_config of an installed PostgreSQL with its server headers" \
		"run tools/setup, or set PG_CONFIG"
	export PG_CONFIG
	BINDIR=$("$PG_CONFIG" --bindir)
	PKGLIBDIR=$("$PG_CONFIG" --pkglibdir)
	SHAREDIR=$("$PG_CONFIG" --sharedir)
	PG_MAJOR=$("$PG_CONFIG" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
	export PATH=$BINDIR:$PATH
}

# Runs a command that takes long, its output in a log, with a dot every 5 s.
patiently() { # LOG WHAT COMMAND...
	local log=$1 pid ticks=0
	printf '%s ' "$2"
	shift 2
	"$@" >>"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		ticks=$((ticks + 1))
		[ $((ticks % 25)) != 0 ] || printf .
	done
	printf '\n'
	wait "$pid"
}

# Copies the tree to where user postgres can read it; root's may be closed to it.
copy_tree() {
	mkdir -p "$1"
	tar -C "$SRC" --exclude=./.git --exclude='*.o' --exclude='*.so' -cf - . | tar -C "$1" --no-same-owner -xf -
	[ "$(id -u)" != 0 ] || chown -R postgres:postgres "$1"
}

# Starts FOLDER/NAME.js, a stand-in of test/peers, and waits for its URL, which
# stands in FOLDER/NAME.url then. It outlives the caller: stop_peers FOLDER.
start_peer() {
	local folder=$1 name=$2
	shift 2
	(cd / && exec "${AS_PG[@]}" setsid node "$folder/$name.js" "$@") >"$folder/$name.url" 2>"$folder/$name.log" </dev/null 3>&- 9>&- &
	disown
	for _ in $(seq 100); do
		[ ! -s "$folder/$name.url" ] || return 0
		sleep 0.05
	done
	die "the stand-in $name did not start" "$(tail -3 "$folder/$name.log")"
}

# The processes that have this word on their command line.
processes_of() {
	grep -zlFx -- "$1" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3 || true
}

stop_peers() {
	local script pid
	for script in "$1"/*.js; do
		for pid in $(processes_of "$script"); do
			kill "$pid" 2>/dev/null || true
		done
	done
}
