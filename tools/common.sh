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

# Whether one of these processes is at work. One that ended stays in /proc where
# PID 1, as in many containers, does not take note of it, without a command line.
any_alive() { # PID...
	local pid
	for pid; do
		! grep -qz . "/proc/$pid/cmdline" 2>/dev/null || return 0
	done
	return 1
}

cache_ready() {
	local length
	case $CACHE in
		/*) ;;
		*) die "IU_CACHE must be an absolute path, not \"$CACHE\"" ;;
	esac
	# a unix socket's path holds 107 bytes, and a test's is about 50 below the cache
	length=$(printf %s "$CACHE" | wc -c)
	[ "$length" -le 50 ] || die "the cache folder's path is too long for sockets in it: $CACHE" \
		"set IU_CACHE to a path of at most 50 bytes, not $length"
	mkdir -p "$CACHE" || die "the cache folder $CACHE cannot be made" "set IU_CACHE to a path that you may write to"
	[ -O "$CACHE" ] || die "the cache folder $CACHE belongs to user $(stat -c %U "$CACHE")" \
		"remove it, or set IU_CACHE to a path of your own"
	chmod 755 "$CACHE"
	[ "$(id -u)" = 0 ] || return 0
	id -u postgres >/dev/null 2>&1 || die "PostgreSQL does not run as root, and there is no user postgres" \
		"run tools/setup, or: useradd --system postgres; or run this as another user"
	as_pg test -x "$CACHE" ||
		die "user postgres cannot enter $CACHE" "set IU_CACHE to a folder that everybody may enter"
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

# Every pg_config of this machine: those on PATH in its order, then the others,
# the newest first. Debian's has one a major outside PATH, next to its server.
all_pg_configs() {
	{
		type -ap pg_config || true
		compgen -G '/usr/lib/postgresql/*/bin/pg_config' | sort -Vr || true
		compgen -G '/usr/pgsql-*/bin/pg_config' | sort -Vr || true
		compgen -G '/usr/local/pgsql/bin/pg_config' || true
	} | awk '!seen[$0]++'
}

# Whether an extension can be built with it: the server's headers are there, and
# not only what clients need. "pg_config --pgxs" names a file that Debian's
# client package brings.
has_headers() {
	[ -e "$("$1" --includedir-server 2>/dev/null)/postgres.h" ] && [ -e "$("$1" --pgxs 2>/dev/null)" ]
}

# The pg_config to build with: the caller's, or the first that can build, of
# which one with its server is better. Fails, and prints nothing, without one.
find_pg_config() {
	local each found=''
	if [ -n "${PG_CONFIG:-}" ]; then
		has_headers "$PG_CONFIG" && type -p "$PG_CONFIG"
		return
	fi
	while read -r each; do
		has_headers "$each" || continue
		if [ -x "$("$each" --bindir)/initdb" ]; then
			found=$each
			break
		fi
		found=${found:-$each}
	done < <(all_pg_configs)
	[ -n "$found" ] && echo "$found"
}

# What was looked at when none could build, for a message.
judged_pg_configs() {
	local each
	if [ -n "${PG_CONFIG:-}" ]; then
		printf 'PG_CONFIG=%s: ' "$PG_CONFIG"
		if type -p "$PG_CONFIG" >/dev/null; then
			echo "there is no $("$PG_CONFIG" --includedir-server 2>/dev/null)/postgres.h"
		else
			echo "no such program"
		fi
		return
	fi
	while read -r each; do
		echo "$each: there is no $("$each" --includedir-server 2>/dev/null)/postgres.h"
	done < <(all_pg_configs)
	echo "PG_CONFIG is not set; it names the pg_config of another installation"
}

use_pg_config() {
	local found judged
	found=$(find_pg_config) || {
		mapfile -t judged < <(judged_pg_configs)
		die "no pg_config of a PostgreSQL with its server headers" "${judged[@]}" "run tools/setup, or set PG_CONFIG"
	}
	export PG_CONFIG=$found
	BINDIR=$("$PG_CONFIG" --bindir)
	PKGLIBDIR=$("$PG_CONFIG" --pkglibdir)
	SHAREDIR=$("$PG_CONFIG" --sharedir)
	PG_MAJOR=$("$PG_CONFIG" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
	export PATH=$BINDIR:$PATH
}

# What some server of this machine has below its share folder or beside its PGXS,
# the own server's first: files of SQL or Perl, good for other majors as well.
find_pgtap() {
	local each
	for each in ${PG_CONFIG:+"$("$PG_CONFIG" --sharedir)/extension"} \
		$(compgen -G '/usr/share/postgresql/*/extension' | sort -Vr); do
		[ ! -e "$each/pgtap.control" ] || { echo "$each"; return; }
	done
	return 1
}
find_test_modules() {
	local each folder
	while read -r each; do
		folder=$(dirname "$("$each" --pgxs 2>/dev/null)")/../../src/test/perl
		[ ! -e "$folder/PostgreSQL/Test/Cluster.pm" ] || { realpath "$folder"; return; }
	done < <(echo "${PG_CONFIG:-}"; all_pg_configs)
	return 1
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

# Copies the tree, without what was built in it, to where user postgres can read
# it; root's may be closed to it.
copy_tree() {
	mkdir -p "$1"
	tar -C "$SRC" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.so' -cf - . |
		tar -C "$1" --no-same-owner -xf -
	chmod -R u+rwX,go+rX "$1"
	[ "$(id -u)" != 0 ] || chown -R postgres:postgres "$1"
}

# The commands of a staged installation come first from here on.
use_stage() {
	export PATH=$1/bin:$PATH
}

# Of each throwaway cluster.
INITDB_OPTIONS=(-U postgres -A trust --no-sync -E UTF8)

# For TAP files that run with a folder of their own, made of DIR/stage and
# DIR/src: the environment they need. Whoever waits ends early, so the limits are
# those of a busy machine. PostgreSQL::Test calls pg_regress for one thing only,
# which it does on Windows only. DIR/initdb is what initdb makes, which IU::Cluster
# copies.
test_environment() {
	local modules
	modules=$(find_test_modules) ||
		die "PostgreSQL's modules for tests (PostgreSQL::Test) are not installed" "run tools/setup test"
	as_pg mkdir "$1/tmp" "$1/check" "$1/ports" "$1/perl"
	cp -r "$modules/PostgreSQL" "$1/perl/"
	chmod -R go+rX "$1/perl"
	as_pg "$1/stage/bin/initdb" -D "$1/initdb" "${INITDB_OPTIONS[@]}" --locale=C >"$1/initdb.log" 2>&1 ||
		die "initdb failed" "$(tail -3 "$1/initdb.log")"
	TEST_ENV=(IU_CACHE="$CACHE" IU_STAGE="$1/stage" IU_INITDB="$1/initdb" PATH="$1/stage/bin:$PATH" TMPDIR="$1/tmp"
		TESTDIR="$1/check" TESTDATADIR="$1/check" TESTLOGDIR="$1/check/log"
		PGCTLTIMEOUT=300 PG_TEST_TIMEOUT_DEFAULT=300 PG_REGRESS=true PG_TEST_PORT_DIR="$1/ports"
		PERL5LIB="$1/src/test/tap/lib:$1/perl${PERL5LIB:+:$PERL5LIB}")
}

# Runs a command in DIR/src/test with them, as the user that PostgreSQL runs as.
run_tests() { # DIR COMMAND...
	as_pg sh -c 'cd "$1" && shift && exec "$@"' sh "$1/src/test" env "${TEST_ENV[@]}" perl "$1/src/tools/reap" "${@:2}"
}

# Starts FOLDER/NAME.js, a stand-in of test/peers, and waits for its URL, which
# stands in FOLDER/NAME.url then. It outlives the caller: stop_peers FOLDER.
start_peer() {
	local folder=$1 name=$2
	shift 2
	(cd / && exec "${AS_PG[@]}" setsid node "$folder/$name.js" "$@") \
		>"$folder/$name.url" 2>"$folder/$name.log" </dev/null 3>&- 9>&- &
	disown
	for _ in $(seq 1200); do
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
