# A foreign table is one relation: random queries over foreign tables give the
# rows that they give over copies of them, whatever the settings of the planner,
# whatever payload indexes Qdrant has; and what only means something where it is
# passed on is an error where it is not.
use strict;
use warnings;

use IPC::Run;
use IU::Cluster;
use IU::Qdrant;
use IU::Queries;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{IU_SEED} // time % 100000;
my $steps = $ENV{IU_STEPS} // 1000;
note "seed $seed (IU_SEED=$seed IU_STEPS=$steps repeats it)";

# ---------- what the remotes hold ----------

# A Qdrant of its own where the run's is a stand-in, so that no other test changes what all queries read.
my $qdrant = IU::Qdrant->start;
$qdrant = IU::Qdrant->start(own => []) if $qdrant->is_stand_in;
my $prefix = $qdrant->prefix;

my @payloads = (
	'{"n":9,"s":"Berlin","b":true,"l":["Berlin","London"],"t":"2026-01-02T03:04:05Z"}',
	'{"n":9.0,"s":"berlin","b":false,"l":[],"p":{"lon":13.4,"lat":52.5}}',
	'{"n":9007199254740993,"s":"","b":null,"l":[null],"five":"5"}',
	'{"n":9007199254740992,"s":null,"l":null,"five":5}',
	'{"n":18446744073709551615,"s":"The Berliner Dom","l":"Berlin","t":"2026-01-02"}',
	'{"n":-0.5,"s":"5","b":true,"l":[[1,[2]],{"a":1}],"a":{"b":"two keys"},"a.b":"one key"}',
	'{"n":1e300,"s":"\ud83d\ude00 \u00fc\u4e2d","l":[9,9.0,"9"],"u":"550e8400-e29b-41d4-a716-446655440000"}',
	'{}', '{"n":null,"s":"it\'s \"quoted\" \\\\ back","b":true,"l":[true,false]}',
	'{"s":"%_\\t\\n","n":0,"b":false,"l":{},"":"nothing","a b":"blank"}',
	'{"s":"null","n":-1,"l":["null"],"t":"soon"}', '{"s":"5","n":5,"b":true,"l":[5]}');
my @ids = (1 .. 7, 9, '9007199254740993', '18446744073709551615', '"550e8400-e29b-41d4-a716-446655440000"',
	'"f47ac10b-58cc-4372-a567-0e02b2c3d479"');

sub points { my (@from) = @_; return map { qq({"id":$ids[$_],"vector":[0,1],"payload":$payloads[$_]}) } @from }

my ($docs, $more, $odd, $empty) = map { $qdrant->create($_) } qw(docs more odd empty);
$qdrant->load($docs, points(0 .. $#ids));
$qdrant->load($more, points(0, 3, 5, 8, 10, 11));
$qdrant->load($odd, points(7));
my $alias = $qdrant->alias($docs, "${prefix}_alias");

# ---------- the database ----------

my ($directus, $token) = @ENV{qw(DIRECTUS_URL DIRECTUS_TOKEN)};
my $node = IU::Cluster->new_node('relation', 'iu_core.databases' => '', 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.allowed_origins' => join(', ', grep { defined } $qdrant->url, $directus), log_statement => 'none',
	log_min_error_statement => 'panic', autovacuum => 'off', fsync => 'off');
my $mapping = $qdrant->key ? "OPTIONS (api_key '" . $qdrant->key . "')" : '';
$ENV{PGCLIENTENCODING} = 'UTF8';
talk_to($node);
sql(<<"SQL");
CREATE EXTENSION iu_core;
CREATE SERVER qdrant FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$qdrant->url]}', page_size '5');
CREATE USER MAPPING FOR PUBLIC SERVER qdrant $mapping;
CREATE SCHEMA q;
IMPORT FOREIGN SCHEMA api FROM SERVER qdrant INTO q;
CREATE FOREIGN TABLE q.t (id text, n numeric, s text, b boolean) SERVER qdrant
  OPTIONS (resource 'points', collection '$docs');
CREATE FOREIGN TABLE q.d (id text, n numeric, filter jsonb) SERVER qdrant
  OPTIONS (resource 'points', collection '$docs');
CREATE VIEW q.barrier WITH (security_barrier) AS SELECT * FROM q.d WHERE n <= 9;
CREATE SCHEMA f; CREATE SCHEMA copy; CREATE SCHEMA df; CREATE SCHEMA dcopy;
CREATE VIEW f.p AS SELECT collection, id, payload AS doc FROM q.points;
CREATE VIEW f.c AS SELECT collection, points AS total FROM q.collections;
CREATE VIEW f.t AS SELECT id, n, s, b FROM q.t;
CREATE FUNCTION public.rows_of(query text, how text, word text, names text[]) RETURNS text LANGUAGE plpgsql AS \$f\$
DECLARE
  r record; c refcursor; lines text[] := '{}';
BEGIN
  IF how = 'prepared' THEN
    EXECUTE 'DEALLOCATE ALL';
    EXECUTE 'PREPARE p(text, text[]) AS ' || query;
    FOR r IN EXECUTE format('EXECUTE p(%L, %L)', word, names) LOOP lines := lines || r::text; END LOOP;
  ELSIF how = 'cursor' THEN
    OPEN c SCROLL FOR EXECUTE query;
    LOOP
      FETCH c INTO r;
      EXIT WHEN NOT FOUND;
      lines := lines || r::text;
      IF cardinality(lines) % 3 = 0 THEN
        MOVE FORWARD 1 FROM c;
        MOVE BACKWARD 1 FROM c;
      END IF;
    END LOOP;
    CLOSE c;
  ELSE
    FOR r IN EXECUTE query LOOP lines := lines || r::text; END LOOP;
  END IF;
  -- Of numbers that are equal, as 9 and 9.0, a query of distinct rows gives any.
  IF query ~ '(UNION|INTERSECT|EXCEPT|DISTINCT|GROUP BY|max|min)' THEN
    lines := ARRAY(SELECT regexp_replace(x, '\\.0+(?=[,)])|(\\.\\d*[1-9])0+(?=[,)])', '\\1', 'g') FROM unnest(lines) x);
  END IF;
  RETURN (SELECT count(*) || E' rows\\n' || coalesce(string_agg(x, E'\\n' ORDER BY x COLLATE "C"), '')
    FROM unnest(lines) x);
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ' ' || SQLERRM;
END \$f\$;
CREATE FUNCTION public.differ(number integer, mine text, copied text, how text, word text, names text[])
RETURNS SETOF text LANGUAGE plpgsql AS \$f\$
DECLARE
  a text := public.rows_of(mine, how, word, names); b text := public.rows_of(copied, how, word, names);
BEGIN
  IF a IS DISTINCT FROM b OR a !~ '^[0-9]+ rows' THEN
    RETURN NEXT format(E'-- %s, %s: %s\\n-- gives %s\\n-- and over copies %s', number, how, mine, a, b);
  END IF;
END \$f\$;
SQL

sub local_tables
{
	my ($schema, $names, $keys) = @_;
	my $rows = join ', ', map { '(' . literal($_->[0]) . ', ' . literal($_->[1]) . ')' } @$names;
	sql("CREATE TABLE $schema.names (name text, k text); INSERT INTO $schema.names VALUES $rows;"
		  . "CREATE TABLE $schema.keys (k text, n integer); INSERT INTO $schema.keys VALUES "
		  . join(', ', map { '(' . literal($keys->[$_]) . ", $_)" } 0 .. $#$keys)
		  . "; ANALYZE $schema.names, $schema.keys");
	return;
}

# ---------- random queries ----------

my @switches = map { "enable_$_" } qw(nestloop hashjoin mergejoin hashagg material memoize);
my @modes = qw(auto force_generic_plan force_custom_plan);
my $number = 0;

# One session for all of them; returns what differs.
sub compare
{
	my ($queries, $schema, $copy, $count) = @_;
	my $script = "SET client_min_messages = error;\n";

	for (1 .. $count)
	{
		my $query = $queries->next;
		my $how = $query =~ /\$[12]/ ? 'prepared' : $queries->one_of('plain', 'plain', 'plain', 'cursor');
		my @texts = map { $query =~ s/\{([PTC])\}/"$_." . lc $1/ger } $schema, $copy;
		my $combination = $number++;
		$script .= 'SET plan_cache_mode = ' . $modes[ $combination % 3 ] . ";\n" if $how eq 'prepared';
		$script .= "SET $switches[$_] = " . ($combination >> $_ & 1 ? 'off' : 'on') . ";\n" for 0 .. $#switches;
		my ($word, @names) = map { literal($_) } $queries->parameters;
		$script .= sprintf "SELECT public.differ(%d, %s, %s, '%s', %s, ARRAY[%s]);\n", $number,
		  map({ literal($_) } @texts), $how, $word, join ', ', @names;
	}
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . " options='-c "
			  . "search_path=$copy'" ], '<', \$script, '>', \$out, '2>', \$err)
	  or return "psql: $err";
	return "$out$err";
}

sub agree
{
	my ($queries, $schema, $copy, $count, $name) = @_;
	my $differences = compare($queries, $schema, $copy, $count);

	is(substr($differences, 0, 6000), '', "$count random queries $name give the same rows as over copies (seed $seed)");
	return;
}

sql('CREATE TABLE copy.p AS TABLE f.p; CREATE TABLE copy.c AS TABLE f.c; CREATE TABLE copy.t AS TABLE f.t; ANALYZE');
is(sql('SELECT (SELECT count(*) FROM copy.p), (SELECT count(*) FROM copy.c), (SELECT count(*) FROM copy.t)'), '19|4|12',
	'the copies hold what Qdrant holds') or BAIL_OUT('no copies') if $qdrant->is_stand_in;
my @texts = map { s/"//gr } @ids;
local_tables('copy', [ [ $docs, '1' ], [ $odd, '9' ], [ $alias, '2' ], [ "${prefix}_nope", '1' ], [ undef, '3' ],
		[ $empty, undef ], [ $docs, '9007199254740993' ] ], [ @texts[ 0 .. 3, 8 .. 11 ], 'none', '007', undef, '1' ]);
my $queries = IU::Queries->new($seed, collections => [ $docs, $more, $odd, $empty ], ids => [ @texts, 'none', '007' ],
	texts => [ 'Berlin', 'berlin', '5', '', 'null', '9' ], members => [qw(n s b l five t a a.b), ''] );
my $half = int $steps / 2;

agree($queries, 'f', 'copy', $half, 'over Qdrant without payload indexes');
my @kinds = (n => 'integer', n => 'float', s => 'keyword', s => 'text', b => 'bool', l => 'keyword', t => 'datetime',
	p => 'geo', u => 'uuid', five => 'integer');
while (my ($key, $type) = splice @kinds, 0, 2)
{
	$qdrant->index($docs, $key, $type);
	$qdrant->index($more, $key, $type);
	agree($queries, 'f', 'copy', int $half / 10, "over Qdrant with an index of type $type on $key");
}

# A count with a filter is the number of the rows with it, whatever the filter means.
my @filters = ('{}', '{"must": []}', '{"should": []}', '{"must_not": [{"is_empty": {"key": "s"}}]}',
	map { qq({"must": [$_]}) } '{"key": "s", "match": {"value": "5"}}', '{"key": "s", "match": {"except": ["5"]}}',
	'{"key": "n", "range": {"gte": 9}}', '{"key": "n", "match": {"value": 9}}', '{"is_null": {"key": "l"}}',
	'{"key": "s", "match": {"text": "Berlin"}}', '{"key": "l", "values_count": {"gte": 1}}', '{"has_id": [1, 2, 3]}');
is(sql("SELECT filter FROM (SELECT f.filter, (SELECT count(*) FROM q.d WHERE d.filter = f.filter) AS counted,"
		. ' (SELECT count(*) FROM (SELECT id FROM q.d WHERE d.filter = f.filter OFFSET 0) r) AS read'
		. ' FROM unnest(ARRAY[' . join(', ', map { literal($_) } @filters) . ']::jsonb[]) f (filter)) x'
		. ' WHERE counted <> read'), '', 'a count with a filter is the number of rows with it, with indexes');

# ---------- the column filter: passed on, or an error ----------

my $refused = qr/^ERROR:  0A000: column "filter" of foreign table "d" can be compared.*iu_foreign_filter/s;
is(ask("SELECT count(*) FROM q.d WHERE filter = '{}'"), 12, 'a filter is passed on');
is(ask("WITH w AS MATERIALIZED (SELECT * FROM q.d WHERE filter = '{}') SELECT count(*) FROM w WHERE filter = '{}'"), 12,
	'the column filter has the value that was passed on');
like(ask($_->[1]), $refused, "the column filter is an error $_->[0]") foreach
  [ 'above a WITH that is materialized',
	"WITH w AS MATERIALIZED (SELECT * FROM q.d) SELECT count(*) FROM w WHERE filter = '{}'" ],
  [ 'above a view with security_barrier', "SELECT count(*) FROM q.barrier WHERE filter = '{}'" ],
  [ 'above a subquery with OFFSET', "SELECT count(*) FROM (SELECT * FROM q.d OFFSET 0) s WHERE filter = '{}'" ],
  [ 'above a UNION', "SELECT count(*) FROM (SELECT filter FROM q.d UNION SELECT filter FROM q.d) u" ],
  [ 'as the outer side of a join', "SELECT 1 FROM q.d LEFT JOIN copy.names ON d.filter = to_jsonb(name)" ],
  [ 'in a join by another operator', "SELECT 1 FROM q.d JOIN copy.names ON d.filter <> to_jsonb(name)" ],
  [ 'in an aggregate', 'SELECT count(filter) FROM q.d' ], [ 'in a sort', 'SELECT id FROM q.d ORDER BY filter' ],
  [ 'in a group', 'SELECT count(*) FROM q.d GROUP BY filter' ], [ 'in DISTINCT', 'SELECT DISTINCT filter FROM q.d' ],
  [ 'in an expression', "SELECT filter = '{}' FROM q.d" ], [ 'in a scalar subquery',
	"SELECT (SELECT filter FROM q.d LIMIT 1) = '{}'" ],
  [ 'as a part of a whole row that is compared', 'SELECT count(*) FROM q.d WHERE d IS NOT NULL' ],
  [ 'in a correlated subquery', "SELECT (SELECT count(*) FROM copy.names WHERE d.filter = to_jsonb(name)) FROM q.d" ],
  [ 'beside another column by OR', "SELECT count(*) FROM q.d WHERE filter = '{}' OR n = 1" ];
like(ask("SET enable_nestloop = off; SELECT count(*) FROM q.d JOIN (VALUES ('{}'::jsonb), ('[]')) v (f) ON filter = f"),
	qr/a filter of Qdrant is a JSON object/, 'a join gives the filter though nested loops are switched off');
is(ask($_->[1]), $_->[2], "the column filter is shown as NULL $_->[0]") foreach
  [ 'by SELECT *', "SELECT * FROM q.d WHERE id = '1'", '1|9|' ],
  [ 'out of a subquery', "SELECT * FROM (SELECT * FROM q.d WHERE id = '1' LIMIT 1) s", '1|9|' ],
  [ 'out of a UNION ALL', "SELECT * FROM q.d WHERE id = '1' UNION ALL SELECT * FROM q.d WHERE id = '1'",
	"1|9|\n1|9|" ],
  [ 'as a part of the whole row', "SELECT to_jsonb(d) FROM q.d WHERE id = '1'", '{"n": 9, "id": "1", "filter": null}' ];
is(ask('SELECT count(*) FROM (SELECT * FROM q.d OFFSET 2) s'), 10, 'a column filter that nobody reads is no matter');

# ---------- names: those that come from rows are looked for in the list ----------

foreach my $setting ('enable_nestloop = on', 'enable_nestloop = off', 'enable_hashjoin = off')
{
	is(ask("SET $setting; SELECT n.name = '$odd', c.points FROM copy.names n"
				. " JOIN q.collections c ON c.collection = n.name WHERE n.k <> '1' AND n.name <> '$docs'"),
		't|1', "a join finds no alias and misses no name with $setting");
	is(ask("SET $setting; SELECT count(*) FROM copy.names n JOIN q.points p ON p.collection = n.name"
				. " AND p.collection IN ('$alias', '$odd')"),
		13, "a name in the text of a query may be an alias with $setting");
}
is(ask("SELECT bool_or(EXISTS (SELECT FROM q.collections c WHERE c.collection = n.name)) FROM copy.names n"
		. " WHERE name IN ('$alias', '${prefix}_nope')"), 'f', 'EXISTS finds what a join finds');
like(ask("SELECT points FROM q.collections WHERE collection = '${prefix}_nope'"), qr/^ERROR:  HV00R/,
	'a name in the text of a query must be there');

# ---------- Directus ----------

SKIP:
{
	skip 'no Directus', 1 unless $directus;
	my @shown = map { "'$_'" } qw(iu_codes iu_empty iu_child iu_one);
	my $shown = join ', ', @shown;
	sql(<<"SQL");
CREATE SERVER directus FOREIGN DATA WRAPPER directus_fdw OPTIONS (url '$directus', page_size '50');
CREATE USER MAPPING FOR PUBLIC SERVER directus OPTIONS (token '$token');
CREATE SCHEMA d;
CREATE FOREIGN TABLE d.p (collection text, id text, item jsonb) SERVER directus OPTIONS (resource 'items');
CREATE FOREIGN TABLE d.c (collection text, items bigint) SERVER directus OPTIONS (resource 'collections');
CREATE FOREIGN TABLE d.codes (id text, s text OPTIONS (field 'code'), m text OPTIONS (field 'meaning')) SERVER directus
  OPTIONS (resource 'items', collection 'iu_codes', id_field 'code');
CREATE FOREIGN TABLE d.child (id text, n numeric OPTIONS (field 'parent')) SERVER directus
  OPTIONS (resource 'items', collection 'iu_child');
CREATE VIEW df.p AS SELECT 'iu_codes'::text AS collection, id, to_jsonb(codes) AS doc FROM d.codes
  UNION ALL SELECT collection, id, item FROM d.p WHERE collection = 'iu_empty'
  UNION ALL SELECT 'iu_child', id, to_jsonb(n) FROM d.child WHERE id IN ('1', '2', '3', '17', '150');
CREATE VIEW df.c AS SELECT collection, items AS total FROM d.c WHERE collection IN ($shown);
CREATE VIEW df.t AS SELECT id, length(m)::numeric AS n, s, m > 'm' AS b FROM d.codes;
CREATE TABLE dcopy.p AS TABLE df.p; CREATE TABLE dcopy.c AS TABLE df.c; CREATE TABLE dcopy.t AS TABLE df.t; ANALYZE;
SQL
	my @codes = split /\n/, sql('SELECT id FROM dcopy.t WHERE id !~ E\'\n\'');
	local_tables('dcopy', [ [ 'iu_codes', $codes[0] ], [ 'iu_child', '17' ], [ 'iu_nope', '1' ],
			[ 'directus_users', '1' ], [ undef, '3' ], [ 'iu_empty', undef ] ],
		[ @codes, '1', '17', '007', 'none', undef ]);
	agree(IU::Queries->new($seed + 1, collections => [qw(iu_codes iu_empty iu_child)],
			ids => [ @codes, '1', '17', '007', 'none' ], texts => [ @codes, '' ], members => [qw(s m id)]),
		'df', 'dcopy', int $steps / 5, 'over Directus');
	sql("CREATE SERVER root FOREIGN DATA WRAPPER directus_fdw OPTIONS (url '$directus');"
		  . "CREATE USER MAPPING FOR PUBLIC SERVER root OPTIONS (token '$ENV{DIRECTUS_ADMIN_TOKEN}');"
		  . "CREATE FOREIGN TABLE d.all (collection text, items bigint) SERVER root OPTIONS (resource 'collections')");
	is(ask("SET enable_nestloop = $_; SELECT v.name FROM (VALUES ('directus_users'), ('iu_empty')) v (name)"
				. ' JOIN d.all c ON c.collection = v.name'), 'iu_empty',
		"a join finds none of Directus's own collections, which are in no list, with enable_nestloop $_")
	  foreach qw(on off);
}

done_testing();
