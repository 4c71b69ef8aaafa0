# peers.sh: the Directus and the Qdrant that a demo talks to, real ones or
# stand-ins. Sourced by the demos, which say what D and DATABASE are.
# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used there

# start_directus TABLE: a real one on the demo's database; its reader may read the table.
start_directus() {
	DIRECTUS=$("$SRC/test/peers/directus" start "$D/directus" "$D/pg" "$DATABASE" directus)
	"$SRC/test/peers/directus" serve "$D/directus" "$1"
	echo "$DIRECTUS"
}
# pretend_directus TABLE KEY: a stand-in with the rows that the table has now.
pretend_directus() {
	sql -c "SELECT json_build_object(
		'collections', json_build_object('$1', json_build_object('key', '$2', 'rows', json_agg(t))),
		'tokens', json_build_object('iu-reader-token', json_build_array('$1'))) FROM $1 t" >"$D/directus.json"
	start_peer "$D/peers" directus --data "$D/directus.json"
	DIRECTUS=$(cat "$D/peers/directus.url")
	echo "$DIRECTUS"
}
pretend_qdrant() {
	start_peer "$D/peers" qdrant
	QDRANT_URL=$(cat "$D/peers/qdrant.url")
}
qdrant() { # METHOD PATH [JSON | @FILE]
	curl -sS -f -X "$1" "$QDRANT_URL$2" -H 'content-type: application/json' \
		${QDRANT_API_KEY:+-H "api-key: $QDRANT_API_KEY"} ${3:+--data-binary "$3"}
}
# make_collection NAME SIZE QUERY: made anew in Qdrant, with the points that the query gives, as {"points": [...]}.
make_collection() {
	qdrant DELETE "/collections/$1" >/dev/null
	qdrant PUT "/collections/$1" "{\"vectors\": {\"size\": $2, \"distance\": \"Dot\"}}" >/dev/null
	sql -c "$3" >"$D/points.json"
	qdrant PUT "/collections/$1/points?wait=true" "@$D/points.json" >/dev/null
}
