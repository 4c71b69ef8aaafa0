# telling.sh: how the demo prints and checks. Sourced by demo/demo.
# shellcheck shell=bash
kept=0
broken=0
STARTED=$EPOCHREALTIME

if [ -t 1 ]; then BOLD=$'\e[1m' PLAIN=$'\e[0m'; else BOLD='' PLAIN=''; fi

say() { printf '%s\n' "$*"; }
part() { printf '\n%s%s%s\n' "$BOLD" "$*" "$PLAIN"; }
seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# step WHAT COMMAND...: runs it in this shell, shows how long it took and what
# it printed last. Whatever fails in it ends the demo, see ended.
STEP=''
step() {
	local from=$EPOCHREALTIME
	STEP=$1
	shift
	printf '  %-58s' "$STEP"
	"$@" >"$D.step" 2>&1
	printf '%5s s  %s\n' "$(seconds_since "$from")" "$(grep . "$D.step" | tail -1 || true)"
	STEP=''
}

exec 3>&1
ended() {
	local rc=$?
	if [ -n "$STEP" ]; then
		printf 'FAILED\n\n' >&3
		sed 's/^/    /' "$D.step" >&3
	fi
	[ $rc = 0 ] || [ $broken -gt 0 ] || printf '\nThe demo stopped here%s.\n' "${STEP:+: could not $STEP}" >&3
	[ $rc = 0 ] || printf 'Logs are in %s; make demo-stop ends and removes it.\n' "$D" >&3
	rm -f "$D.step"
}
trap ended EXIT
trap 'exit 130' INT TERM

# expect WHAT IS SHOULD_BE
expect() {
	if [ "$2" = "$3" ]; then
		kept=$((kept + 1))
		printf '   ok: %s\n' "$1"
	else
		broken=$((broken + 1))
		printf '   NOT AS EXPECTED: %s\n     expected: %s\n     found:    %s\n' "$1" "$3" "$2"
	fi
}

# sql ...: psql on the demo's database, bare values. as ROLE SQL: what that role gets.
sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
as() { PGOPTIONS="-c role=$1" sql -c "$2"; }

# show ROLE SQL: the same as a table, for reading.
show() {
	PGOPTIONS="-c role=$1" psql -X -q -A -F $'\t' -P footer=off -P null=- -v ON_ERROR_STOP=1 -c "$2" | awk -F '\t' '
		{ for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) }
		  columns = NF }
		function line(row,   i, text) {
			for (i = 1; i <= columns; i++)
				text = text sprintf("%-" width[i] + 2 "s", row ? cell[row, i] : substr(rule, 1, width[i]))
			sub(/ +$/, "", text)
			print "   " text
		}
		END { rule = sprintf("%64s", ""); gsub(/ /, "-", rule)
		      for (row = 1; row <= NR; row++) { line(row); if (row == 1) line(0) } }'
}

# For use inside '...' of a statement.
quoted() { printf '%s' "${1//\'/\'\'}"; }

# wait_until SECONDS CONDITION: true as soon as the condition is.
wait_until() {
	local from=$EPOCHREALTIME
	until eval "$2"; do
		awk -v a="$from" -v b="$EPOCHREALTIME" -v s="$1" 'BEGIN { exit b - a < s ? 0 : 1 }' || return 1
		sleep 0.05
	done
}
