# Qdrant as tables: what it holds, by how many requests, and that SQL keeps its
# own meaning where Qdrant's filters mean something else. The same tests for the
# stand-in and for a real server (QDRANT_URL).
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use IU::Qdrant;
use JSON::PP ();
use IU::Lines;
use PostgreSQL::Test::Utils;
use Test::More;

my $qdrant = IU::Qdrant->start;
my $prefix = $qdrant->prefix;
note $qdrant->is_stand_in ? 'the stand-in' : 'a real Qdrant';

# ---------- what it holds ----------

my @strange = ('0', '9007199254740993', '9223372036854775808', '18446744073709551615');
my @uuids = ('550e8400-e29b-41d4-a716-446655440000', 'f47ac10b-58cc-4372-a567-0e02b2c3d479');

my $pieces = $qdrant->create('pieces');
$qdrant->index($pieces, 'key', 'keyword');
$qdrant->load($pieces, map { sprintf '{"id":%d,"vector":[0.5,%d],"payload":{"key":"K%03d","part":%d}}', $_, $_, $_,
	$_ % 7 } 1 .. 149);
my $alias = $qdrant->alias($pieces, "${prefix}_alias");
my $second_alias = $qdrant->alias($pieces, "${prefix}_also");

my $many = $qdrant->create('many', { vectors => { size => 2, distance => 'Cosine' } });
$qdrant->load($many, map { sprintf '{"id":%d,"vector":[1,0],"payload":{"n":%d,"filling":"%s"}}', $_, $_,
	'x' x 2000 } 1 .. 2500);

my $ids = $qdrant->create('ids');
$qdrant->load($ids, map { qq({"id":$_,"vector":[0,1],"payload":{"big":$_}}) } @strange);
$qdrant->load($ids, sprintf('{"id":"%s","vector":[0,1]}', $uuids[0] =~ s/-//gr),
	sprintf('{"id":"%s","vector":[0,1]}', $uuids[1]));

my $named = $qdrant->create('named',
	{ vectors => { image => { size => 3, distance => 'Dot' }, words => { size => 2, distance => 'Euclid' } },
	sparse_vectors => { terms => {} } });
$qdrant->load($named,
	'{"id":1,"vector":{"image":[1,0,0.5],"words":[0.25,1],"terms":{"indices":[3,7],"values":[0.5,2]}}}',
	'{"id":2,"vector":{"words":[1,1]}}');
my $single = $qdrant->create('single', { vectors => { only => { size => 5, distance => 'Manhattan' } } });
my $empty = $qdrant->create('empty');
my $odd = $qdrant->create(q( ü&%#;=+'$));
$qdrant->load($odd, '{"id":1,"vector":[0,1]}');

# where a filter means something else than SQL
my $traps = $qdrant->create('traps');
$qdrant->load($traps,
	'{"id":1,"vector":[0,1],"payload":{"city":"Berlin","n":9,"t":"The Berliner Dom","five":"5"}}',
	'{"id":2,"vector":[0,1],"payload":{"city":["London","Berlin"],"n":9.0,"t":"the berlin wall","five":5}}',
	'{"id":3,"vector":[0,1],"payload":{"city":"London","n":9007199254740993,"t":"a Berlin bear"}}',
	'{"id":4,"vector":[0,1],"payload":{"city":null,"n":9007199254740992}}',
	'{"id":5,"vector":[0,1],"payload":{"n":18446744073709551615}}',
	'{"id":6,"vector":[0,1],"payload":{"city":[],"a.b":"one key","a":{"b":"two keys"},"a b":"blank"}}',
	'{"id":10,"vector":[0,1],"payload":{"city":"berlin"}}');

# ---------- the database ----------

my $node = IU::Cluster->new_node('qdrant',
	'iu_core.databases' => '', 'iu_core.allowed_origins' => $qdrant->url, 'iu_core.allowed_networks' => '127.0.0.0/8',
	log_statement => 'none', log_min_error_statement => 'panic');
my $mapping = $qdrant->key ? "OPTIONS (api_key '" . $qdrant->key . "')" : '';
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION iu_core;
CREATE SERVER qdrant FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$qdrant->url]}');
CREATE USER MAPPING FOR PUBLIC SERVER qdrant $mapping;
CREATE SCHEMA q;
IMPORT FOREIGN SCHEMA api FROM SERVER qdrant INTO q;
CREATE FOREIGN TABLE lenient (collection text, points bigint, status text, aliases text[], error text) SERVER qdrant
  OPTIONS (resource 'collections', on_error 'null');
CREATE FOREIGN TABLE piece (id text, key text, part integer) SERVER qdrant
  OPTIONS (resource 'points', collection '$pieces');
CREATE FOREIGN TABLE many (id text, n integer, payload jsonb) SERVER qdrant
  OPTIONS (resource 'points', collection '$many');
SQL
$ENV{PGCLIENTENCODING} = 'UTF8';

talk_to($node);

sub asked { my ($query) = @_; return $qdrant->asked(sub { ask($query) }) }

# The rows, and what was asked for them: each request, without what is the same in all.
sub is_asked
{
	my ($query, $rows, $requests, $name) = @_;
	my ($result, @asked) = asked($query);
	@asked = grep { $_ ne 'GET /aliases' } @asked # before points are read
	  if grep { m{/points( |/scroll)} } @$requests;
	return is_deeply([ $result, map { s/\Q$prefix\E_//gr } sort @asked ],
		[ $rows, map { s/\Q$prefix\E_//gr } sort @$requests ], $name);
}

sub count_request
{
	my ($name, $filter) = @_;
	return "POST /collections/$name/points/count " . ($filter ? qq({"exact":true,"filter":$filter}) : '{"exact":true}');
}

sub scroll_request
{
	my ($name, %with) = @_;
	return "POST /collections/$name/points/scroll {"
		  . join(',', '"limit":' . ($with{limit} // 1000), '"with_payload":' . ($with{payload} // 'false'),
		'"with_vector":' . ($with{vector} // 'false'), defined $with{offset} ? qq("offset":$with{offset}) : (),
		$with{filter} ? qq("filter":$with{filter}) : ()) . '}';
}

sub of { return "collection = '" . ($_[0] =~ s/'/''/gr) . "'" }

# ---------- collections ----------

note 'counts and descriptions';
is_asked("SELECT points FROM q.collections WHERE @{[of $pieces]}", 149, [ count_request($pieces) ],
	'a count of points is one request, and exact');
$qdrant->load($pieces, '{"id":1,"vector":[0.5,1],"payload":{"key":"K001","part":1}}');
is_asked("SELECT points FROM q.collections WHERE @{[of $pieces]}", 149, [ count_request($pieces) ],
	'a count of points does not count a point twice that was written again');
is_asked("SELECT points_approx >= 149 FROM q.collections WHERE @{[of $pieces]}", 't', ["GET /collections/$pieces"],
	'the approximate count is taken from the description of the collection');
is_asked("SELECT points, points_approx >= points FROM q.collections WHERE @{[of $pieces]}", '149|t',
	[ 'GET /aliases', "GET /collections/$pieces", count_request($pieces) ],
	'both counts take the description and a counting request, after the aliases');
isnt(ask("SELECT points_approx FROM q.collections WHERE @{[of $pieces]}"), 149,
	'the stand-in gives an approximate count that is wrong') if $qdrant->is_stand_in;
is_asked("SELECT dimension, distance, vectors, configuration #>> '{params,shard_number}' FROM q.collections"
	  . " WHERE @{[of $pieces]}",
	'2|Dot|{"size": 2, "distance": "Dot"}|1', ["GET /collections/$pieces"],
	'dimension, distance and configuration are taken from the description of the collection');
like(ask("SELECT status FROM q.collections WHERE @{[of $pieces]}"), qr/^(green|yellow|grey)$/,
	'the status is that of the description');
is(ask("SELECT dimension IS NULL, distance IS NULL, vectors -> 'image' ->> 'size', vectors -> 'words' ->> 'distance'"
	  . " FROM q.collections WHERE @{[of $named]}"), 't|t|3|Euclid',
	'a collection of several vectors has no dimension and no distance');
is(ask("SELECT dimension, distance FROM q.collections WHERE @{[of $single]}"), '5|Manhattan',
	'a collection of a single vector has its dimension and distance, named or not');
is_asked("SELECT points, error IS NULL FROM q.collections WHERE @{[of $empty]}", '0|t', [ count_request($empty) ],
	'a collection without points has 0 points');
is(ask("SELECT points, collection = '$prefix' || E'_ ü&%#;=+\\'\$' FROM q.collections WHERE collection = '$prefix' ||"
	  . " E'_ ü&%#;=+\\'\$'"), '1|t', 'a collection with odd characters in its name is counted');

note 'aliases';
is_asked("SELECT aliases FROM q.collections WHERE @{[of $pieces]}", "{$alias,$second_alias}",
	[ 'GET /aliases', "GET /collections/$pieces" ], 'the aliases of a collection take two requests');
is(ask("SELECT collection = '$alias', points, dimension, aliases FROM q.collections WHERE @{[of $alias]}"),
	"t|149|2|{$alias,$second_alias}", 'a collection can be read by its alias');
is(ask("SELECT count(*) FROM q.points WHERE @{[of $alias]}"), 149,
	'the points of a collection can be read by its alias');
is(ask("SELECT aliases FROM q.collections WHERE @{[of $empty]}"), '{}',
	'a collection without aliases has an empty array');

note 'all of them';
my ($listed, @asked) = asked("SELECT collection FROM q.collections WHERE starts_with(collection, '$prefix')"
	  . " ORDER BY collection COLLATE \"C\"");
is($listed, join("\n", sort $empty, $ids, $many, $named, $odd, $pieces, $single, $traps),
	'the list holds every collection, and no alias');
is_deeply(\@asked, ['GET /collections'], 'the list of collections is one request');
($listed, @asked) = asked("SELECT collection, aliases FROM q.collections WHERE starts_with(collection, '$pieces')");
is_deeply([ $listed, sort @asked ], [ "$pieces|{$alias,$second_alias}", 'GET /aliases', 'GET /collections' ],
	'the list of collections with aliases is two requests');
is_asked("SELECT sum(points) FROM q.collections WHERE collection IN ('$pieces', '$many', '$empty')", 2649,
	[ map { count_request($_) } $pieces, $many, $empty ], 'several collections by name take one counting request each');

note 'what is not there';
like(ask("SELECT points FROM q.collections WHERE @{[of qq(${prefix}_not)]}"),
	pattern(qr/^ERROR:  HV00R: could not read collection "${prefix}_not" of foreign server "qdrant": Qdrant/m,
		qr/ has no such collection\nDETAIL:  HTTP 404: Not found: Collection `${prefix}_not` doesn't exist!$/m),
		'a collection that is not there is an error');
is(ask("SELECT points, status, error ~ 'no such collection.*404' FROM lenient WHERE @{[of qq(${prefix}_not)]}"), '||t',
	'with on_error null a collection that is not there is one row with the error, though two requests failed');
is(ask("SELECT points, aliases, error ~ 'no such collection.*404' FROM lenient WHERE @{[of qq(${prefix}_not)]}"), '||t',
	'with on_error null a collection that is not there is one row with the error, though one request did not fail');
$qdrant->recorder->fault({ path => $_, status => 200, body => '{"result":{},"status":"ok","time":0}',
	headers => { 'content-type' => 'application/json' }, times => 1 })
	  foreach "/collections/$pieces", "/collections/$pieces/points/count";
is(ask("SELECT count(*), bool_and(error ~ '^the answer holds no') FROM lenient WHERE @{[of $pieces]} AND (points"
	  . " IS NULL OR status IS NULL)"), '1|t',
	'with on_error null two answers that hold nothing make one row with the error');
$qdrant->recorder->fault({ path => '/aliases', status => 200,
	body => '{"result":{"aliases":[{}]},"status":"ok","time":0}', headers => { 'content-type' => 'application/json' },
	times => 1 });
is(ask("SELECT points, aliases, error FROM lenient WHERE @{[of $pieces]}"),
	'||the answer holds no list of aliases: HTTP 200.',
	'with on_error null no value is taken from the answers beside one that failed');
is(ask("SELECT count(*), count(points), count(error) FROM lenient WHERE collection IN ('$pieces', '${prefix}_not')"),
	'2|1|1', 'with on_error null a collection that is not there stands beside one that is');
like(ask("SELECT collection FROM q.collections WHERE @{[of qq(${prefix}_not)]}"), qr/HV00R/,
	'a collection that is not there is an error where only its name is asked for');
like(ask("SELECT id FROM q.points WHERE @{[of qq(${prefix}_not)]}"), qr/^ERROR:  HV00R: .*no such collection/,
	'the points of a collection that is not there are an error');
like(ask("SELECT count(*) FROM q.points WHERE @{[of qq(${prefix}_not)]}"), qr/^ERROR:  HV00R: .*no such collection/,
	'the count of points of a collection that is not there is an error');
is_asked("SELECT points FROM lenient WHERE collection = 'a/b'", '', [],
	'a name that no path can hold is asked of nobody');
my $vanishes = JSON::PP::encode_json(
	{ result => { collections => [ { name => $pieces }, { name => "${prefix}_gone" } ] }, status => 'ok',
	time => 0.1 });
$qdrant->recorder->fault({ path => '/collections', status => 200, body => $vanishes,
	headers => { 'content-type' => 'application/json' }, times => 2 });
is(ask('SELECT count(*) FROM q.points'), 149, 'a collection that vanished since it was listed has no points to count');
is(ask('SELECT sum(points) FROM q.collections'), 149,
	'a collection that vanished since it was listed is none of a listing');

# ---------- points ----------

note 'pages';
is_asked("SELECT count(*), count(DISTINCT id), sum(n) FROM many", '2500|2500|3126250',
	[ scroll_request($many, payload => '["n"]'), map { scroll_request($many, payload => '["n"]', offset => $_) } 1001,
	2001 ], 'a scan of three pages gives each point once, with the payload that is looked at');
ask("ALTER FOREIGN TABLE many OPTIONS (ADD page_size '500')");
is_asked('SELECT count(id) FROM many', 2500,
	[ map { scroll_request($many, limit => 500, $_ > 1 ? (offset => $_) : ()) } 1, 501, 1001, 1501, 2001 ],
	'a last page that is full is not followed by an empty one');
is_asked("SELECT id, vector, payload FROM q.points WHERE @{[of $pieces]} AND id = '7'",
	'7|[0.5, 7.0]|{"key": "K007", "part": 0}',
	[qq(POST /collections/$pieces/points {"ids":[7],"with_payload":true,"with_vector":true})],
	'a vector is asked for where it is looked at')
  or note 'the numbers of a vector may be printed differently by another version';
is(ask("SELECT id, vector -> 'image', vector -> 'terms' -> 'indices', vector -> 'words' FROM q.points"
	  . " WHERE @{[of $named]} AND id = '1'") =~ s/\.0+\b//gr, '1|[1, 0, 0.5]|[3, 7]|[0.25, 1]',
	'named and sparse vectors are read');
is_asked("SELECT count(*) FROM q.points WHERE @{[of $empty]} AND id IS NOT NULL", 0, [ scroll_request($empty) ],
	'an empty collection is one page');

note 'pages that go wrong';
sub canned
{
	my ($body, $times) = @_;
	return $qdrant->recorder->fault({ path => "/collections/$empty/points/scroll", status => 200,
		headers => { 'content-type' => 'application/json' }, times => $times // 1, body => $body });
}
foreach my $id ('-1', '1.5', '18446744073709551616', '"007"', '"' . uc($uuids[0]) . '"', 'null', '{}')
{
	canned(qq({"result":{"points":[{"id":3},{"id":$id}],"next_page_offset":null},"status":"ok","time":0}));
	like(ask("SELECT id FROM q.points WHERE @{[of $empty]}"),
		pattern(qr/^ERROR:  HV000: could not read collection "$empty" of foreign server "qdrant": the answer/m,
			qr/ holds a point without an id$/m), "$id is not taken for the id of a point");
	next if $id eq 'null';
	canned(qq({"result":{"points":[{"id":3}],"next_page_offset":$id},"status":"ok","time":0}));
	like(ask("SELECT id FROM q.points WHERE @{[of $empty]}"),
		qr/: the answer does not say where the next page begins$/m, "$id is not taken for the beginning of a page");
}
foreach my $turn ([ 5, 5 ], [ 7, 5 ], [ 10, 9 ], [ qq("$uuids[0]"), 9 ], [ qq("$uuids[1]"), qq("$uuids[0]") ])
{
	canned(qq({"result":{"points":[{"id":1}],"next_page_offset":$_},"status":"ok","time":0})) foreach @$turn;
	like(ask("SELECT count(id) FROM q.points WHERE @{[of $empty]}"),
		qr/^ERROR:  .*: the answer does not say where the next page begins$/m,
		"after a page from $turn->[0] none that begins at $turn->[1] is read");
	$qdrant->recorder->heal;
}
foreach my $body ('{"result":{"points":{},"next_page_offset":null},"status":"ok","time":0}',
	'{"result":[],"status":"ok","time":0}', '{"status":"ok"}', '[]')
{
	canned($body);
	like(ask("SELECT id FROM q.points WHERE @{[of $empty]}"), qr/: the answer holds no list of points$/m,
		"$body is not taken for a page");
}

note 'LIMIT';
is_asked('SELECT id FROM many LIMIT 7', join("\n", 1 .. 7), [ scroll_request($many, limit => 7) ],
	'a LIMIT below the page size makes the page smaller');
is_asked('SELECT count(*) FROM (SELECT id FROM many LIMIT 700) l', 700,
	[ map { scroll_request($many, limit => 500, $_ > 1 ? (offset => $_) : ()) } 1, 501 ],
	'with a LIMIT no page is asked for that is not needed');
is_asked('SELECT n FROM many WHERE n > 3 LIMIT 1', 4, [ scroll_request($many, limit => 500, payload => '["n"]') ],
	'with a LIMIT and a condition that is checked here a whole page is asked for');

note 'joins';
is_asked('ANALYZE many', '', [ map { scroll_request($many, limit => 500, payload => 'true',
	$_ > 1 ? (offset => $_) : ()) } 1, 501, 1001, 1501, 2001 ], 'ANALYZE reads the collection once');
is_asked("SELECT k.n, p.n FROM (VALUES ('5'), ('2400'), ('none')) k (n) JOIN many p ON p.id = k.n ORDER BY p.n",
	"5|5\n2400|2400",
	[ map { qq(POST /collections/$many/points {"ids":[$_],"with_payload":["n"],"with_vector":false}) } 5, 2400 ],
	'a join asks for the ids that its other side has');

note 'memory';
my ($early, $late) = split /\n/, ask(<<"SQL");
ALTER FOREIGN TABLE many OPTIONS (SET page_size '100');
BEGIN; DECLARE c CURSOR FOR SELECT payload FROM many;
MOVE 250 IN c;
SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name ~ '^iu_core';
MOVE 2200 IN c;
SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name ~ '^iu_core';
MOVE ALL IN c;
COMMIT;
SQL
cmp_ok($late, '<', 1.2 * $early,
	"of 5 MB in pages of 200 KB a scan holds $late bytes towards its end, as it did in its beginning ($early)");

note 'ids';
is(ask("SELECT id FROM q.points WHERE @{[of $ids]} ORDER BY id"), join("\n", sort @strange, @uuids),
	'ids beyond bigint and UUIDs are read to the last digit');
is(ask("SELECT id FROM q.points WHERE @{[of $ids]} AND payload ->> 'big' <> id"), '',
	'a number in the payload is read to the last digit');
foreach my $id (@strange, @uuids)
{
	my $json = $id =~ /-/ ? qq("$id") : $id;
	is_asked("SELECT id FROM q.points WHERE @{[of $ids]} AND id = '$id'", $id,
		[qq(POST /collections/$ids/points {"ids":[$json],"with_payload":false,"with_vector":false})],
		"a look-up of id $id is one request");
}
is_asked("SELECT id FROM q.points WHERE @{[of $ids]} AND id IN ('0', '12345', '$uuids[1]',"
	  . " '00000000-0000-0000-0000-000000000000') ORDER BY 1", "0\n$uuids[1]",
	[qq(POST /collections/$ids/points {"ids":[0,12345,"00000000-0000-0000-0000-000000000000","$uuids[1]"],)
		  . q("with_payload":false,"with_vector":false})],
	'a look-up of several ids gives those that are there');
is_asked("SELECT count(*) FROM q.points WHERE @{[of $ids]} AND (id = '0' OR id = ANY ('{9007199254740993,0}')"
	  . " OR id = '12345')", 2,
	[qq(POST /collections/$ids/points {"ids":[0,12345,9007199254740993],"with_payload":false,"with_vector":false})],
	'a look-up of ids by OR asks for each id once');
is_asked("SELECT id FROM q.points WHERE @{[of $ids]} AND id = '$_'", '', [], "'$_' is no id, so that nothing is asked")
  foreach '007', '-1', '1.0', '18446744073709551616', $uuids[0] =~ s/-//gr, uc $uuids[0], '', 'x';
is_asked("SELECT id FROM q.points WHERE collection IN ('$ids', '$traps') AND id IN ('0', '1') ORDER BY 1", "0\n1",
	[ map { qq(POST /collections/$_/points {"ids":[0,1],"with_payload":false,"with_vector":false}) } $ids, $traps ],
	'ids are looked up in several collections');

note 'counts of points';
is_asked("SELECT count(*) FROM q.points WHERE @{[of $many]}", 2500, [ count_request($many) ],
	'count(*) is one request');
is_asked('SELECT count(*) FROM piece', 149, [ count_request($pieces) ],
	'count(*) of a table of one collection is one request');
is_asked("SELECT count(*) FROM q.points WHERE collection IN ('$many', '$pieces')", 2649,
	[ count_request($many), count_request($pieces) ], 'count(*) of two collections is two requests');
is_asked("SELECT collection, count(*) FROM q.points WHERE collection IN ('$many', '$pieces') GROUP BY collection"
	  . " ORDER BY 2", "$pieces|149\n$many|2500", [ count_request($many), count_request($pieces) ],
	'count(*) grouped by collection is a request for each');
is_asked("SELECT count(*) FROM q.points WHERE collection = ANY ('{}')", 0, [], 'count(*) of no collection is 0');
is_asked("SELECT count(*) FROM q.points WHERE @{[of $ids]} AND id IN ('0', '12345')", 1,
	[qq(POST /collections/$ids/points {"ids":[0,12345],"with_payload":false,"with_vector":false})],
	'count(*) of ids looks at the points');
is_asked("SELECT count(*) FROM piece WHERE part = 3", 21, [ scroll_request($pieces, payload => '["part"]') ],
	'count(*) with a condition on a field looks at the points');
is_asked('SELECT count(part) FROM piece', 149, [ scroll_request($pieces, payload => '["part"]') ],
	'count of a column, which may be NULL, looks at the points');

note 'filters, in the words of Qdrant';
my $berlin = '{"must": [{"key": "city", "match": {"value": "Berlin"}}]}';
is_asked("SELECT id, filter = '$berlin' FROM q.points WHERE @{[of $traps]} AND filter = '$berlin' ORDER BY id",
	"1|t\n2|t", [ scroll_request($traps, filter => $berlin) ],
	'a filter goes through to Qdrant, and the column shows it');
is_asked("SELECT count(*) FROM q.points WHERE @{[of $traps]} AND filter = '$berlin'", 2,
	[ count_request($traps, $berlin) ], 'a count with a filter is one request');
is(ask("SELECT filter FROM q.points WHERE @{[of $traps]} LIMIT 1"), '',
	'the column filter is NULL where none was given');
like(ask("SELECT DISTINCT filter IS NULL FROM q.points WHERE @{[of $traps]}"), qr/^ERROR:  0A000: .*iu_foreign_filter/s,
	'the column filter is compared with nothing where none was given');
is_asked("SELECT id FROM q.points WHERE @{[of $traps]} AND filter = '$berlin' AND id IN ('2', '3')", 2,
	[ scroll_request($traps, filter => qq({"must":[$berlin,{"has_id":[2,3]}]})) ],
	'a filter and ids are asked for together');
is(ask("SELECT id FROM q.points WHERE @{[of $traps]} AND filter = '{\"must\": [{\"has_id\": [1, 3]}], \"must_not\":"
	  . " [{\"key\": \"city\", \"match\": {\"value\": \"London\"}}]}'"), 1,
	'a filter of several parts selects as Qdrant has it');
is(ask("SELECT id FROM q.points WHERE @{[of $traps]} AND filter = '{\"must\": [{\"key\": \"city\", \"values_count\":"
	  . " {\"gte\": 2}}]}'"), 2, 'a filter with values_count selects as Qdrant has it');
like(ask("SELECT id FROM q.points WHERE @{[of $empty]} AND filter = '{\"must\": [], \"and\": []}'"),
	qr/^ERROR:  HV000: .*\nDETAIL:  HTTP 400: Format error in JSON body: .*and.*\nHINT:  .*filter/,
	'a filter that is malformed is refused, by an empty collection as well');
is_deeply([ map { s/\n.*//sr } asked("SELECT count(*) FROM q.points WHERE @{[of $traps]} AND filter = '$_'") ],
	[qq(ERROR:  22023: could not read collection "$traps" of foreign server "qdrant": a filter of Qdrant is a)
		  . ' JSON object'],
	"a filter that is $_ is refused here, and not sent") foreach '[]', 'null', '5', '"x"';

# ---------- where SQL means something else than Qdrant's filters ----------

note 'traps';
sub ids_of
{
	my ($condition) = @_;
	return ask("SELECT coalesce(string_agg(id, ' ' ORDER BY id::numeric), '') FROM q.points WHERE @{[of $traps]}"
		  . " AND $condition");
}
sub filtered { my ($condition) = @_; return ids_of("filter = '{\"must\": [$condition]}'") }
my $scroll = scroll_request($traps, payload => 'true');
my $london = '{"key": "city", "match": {"value": "London"}}';

is(filtered('{"key": "city", "match": {"value": "Berlin"}}'), '1 2',
	'a match in a filter is true of an array with such an element');
is_asked("SELECT id FROM q.points WHERE @{[of $traps]} AND payload ->> 'city' = 'Berlin'", 1, [$scroll],
	q(payload ->> 'city' = 'Berlin' is not true of an array with such an element));
is_asked("SELECT count(*) FROM q.points WHERE @{[of $traps]} AND payload ->> 'city' = 'Berlin'", 1, [$scroll],
	q(a count with payload ->> 'city' = 'Berlin' is no counting request));
is(ids_of(q(payload -> 'city' ? 'Berlin')), '1 2', 'an element of an array is looked for in SQL by ?');

is(ids_of("filter = '{\"must_not\": [$london]}'"), '1 4 5 6 10', 'must_not in a filter gives points without the key');
is(filtered('{"key": "city", "match": {"except": ["London"]}}'), '1 2 10',
	'except in a filter gives no point without the key');
is(ids_of(q(payload ->> 'city' <> 'London')), '1 2 6 10',
	q(payload ->> 'city' <> 'London' gives no point without the key));
is(ids_of(q(NOT payload ->> 'city' = 'London')), '1 2 6 10',
	q(NOT payload ->> 'city' = 'London' gives no point without the key));
is(ids_of(q(payload ->> 'city' IS DISTINCT FROM 'London')), '1 2 4 5 6 10',
	q(payload ->> 'city' IS DISTINCT FROM 'London' gives points without the key));

is(filtered('{"is_empty": {"key": "city"}}'), '4 5 6', 'is_empty in a filter is true of missing, null and []');
is(filtered('{"is_null": {"key": "city"}}'), '4', 'is_null in a filter is true of null only');
is(ids_of(q(payload ->> 'city' IS NULL)), '4 5', q(payload ->> 'city' IS NULL is true of missing and null));
is(ids_of(q(payload ->> 'city' IS NOT NULL)), '1 2 3 6 10',
	q(payload ->> 'city' IS NOT NULL is true of everything else, [] included));

is(filtered('{"key": "n", "range": {"gt": 9007199254740992, "lt": 10000000000000000}}'), '',
	'a range in a filter compares numbers as double precision');
is(ids_of(q((payload ->> 'n')::numeric > 9007199254740992 AND (payload ->> 'n')::numeric < 10000000000000000)), '3',
	'numeric compares numbers to the last digit');
is(ids_of(q((payload ->> 'n')::numeric = 18446744073709551615)), '5',
	'a number beyond bigint is read to the last digit');
is(filtered('{"key": "n", "range": {"gte": 9, "lte": 9}}'), '1 2', '9 and 9.0 are in the same range of a filter');
is(ids_of(q(payload ->> 't' > 'a' COLLATE "C" AND payload ->> 't' < 'b' COLLATE "C")), 3, 'texts have an order in SQL');

is(filtered('{"key": "five", "match": {"value": "5"}}'), 1, '"5" in a filter does not match 5');
is(filtered('{"key": "five", "match": {"value": 5}}'), 2, '5 in a filter does not match "5"');
is(ids_of(q(payload ->> 'five' = '5')), '1 2', '5 and "5" are equal as text');
is(ids_of(q(payload -> 'five' = '5')), 2, '5 and "5" are not equal as JSON');

is(filtered('{"key": "a.b", "match": {"value": "two keys"}}'), 6, 'a.b in a filter is a path');
is(filtered('{"key": "\"a.b\"", "match": {"value": "one key"}}'), 6, '"a.b" in a filter is a key');
ask("CREATE FOREIGN TABLE odd_keys (id text, b text OPTIONS (field 'a.b'), \"a b\" text, a jsonb) SERVER qdrant"
	  . " OPTIONS (resource 'points', collection '$traps')");
is_asked("SELECT b, \"a b\" FROM odd_keys WHERE id = '6'", 'one key|blank',
	[qq(POST /collections/$traps/points {"ids":[6],"with_payload":["\\"a.b\\"","\\"a b\\""],"with_vector":false})],
	'a typed column with a dot in its name is a key, and asks for it as one');
is(ask("SELECT a FROM odd_keys WHERE id = '6'"), '{"b": "two keys"}',
	'a typed column is read beside a key that looks like a path into it');

my ($chunked, @chunks) = asked("SELECT count(*) FROM q.points WHERE @{[of $many]} AND id = ANY (ARRAY(SELECT n::text"
	  . " FROM generate_series(2, 5000, 2) n))");
is($chunked, 1250, 'thousands of ids are looked up');
is(scalar(grep { /points/ } @chunks), 3, '2,500 ids are looked up by three requests');
($chunked, @chunks) = asked("SELECT count(*) FROM q.points WHERE @{[of $many]} AND filter = '{\"must\": [{\"key\":"
	  . " \"n\", \"range\": {\"lte\": 100}}]}'"
	  . ' AND id = ANY (ARRAY(SELECT n::text FROM generate_series(2, 5000, 2) n))');
is($chunked, 50, 'thousands of ids are looked up with a filter');
is(scalar(grep { /has_id/ } @chunks), 3, 'ids beside a filter are conditions of it');

ask("CREATE FOREIGN TABLE paged (id text, filter jsonb) SERVER qdrant OPTIONS (resource 'points', collection '$many',"
	  . " page_size '300')");
($chunked, @chunks) = asked("SELECT count(DISTINCT id) || ' of ' || count(*) FROM paged WHERE filter = '{}'"
	  . " AND id = ANY (ARRAY(SELECT n::text FROM generate_series(1, 2200) n))");
is_deeply([ $chunked, scalar grep { /scroll/ } @chunks ], [ '2200 of 2200', 9 ],
	'ids beside a filter are read in pages');

is_asked("SELECT string_agg(id, ' ') FROM (SELECT id FROM q.points WHERE @{[of $traps]} ORDER BY id) p",
	'1 10 2 3 4 5 6', [ scroll_request($traps) ], 'ids have the order of text here, not that of a scroll');
is_asked("SELECT string_agg(id, ' ' ORDER BY id) FROM q.points WHERE @{[of $traps]} AND id >= '2' AND id < '5'",
	'2 3 4', [ scroll_request($traps) ], 'a range of ids is compared here, and not asked of Qdrant');

is(filtered('{"key": "n", "match": {"value": 9}}'), 1, 'an integer match in a filter does not find 9.0');
is(ids_of(q((payload ->> 'n')::numeric = 9)), '1 2', 'numeric 9 finds 9.0');
is(filtered('{"key": "t", "match": {"text": "Berlin"}}'), '1 3',
	'text in a filter without an index finds a part of the text');
$qdrant->index($traps, 't', 'text');
isnt(filtered('{"key": "t", "match": {"text": "Berlin"}}'), '1 3', 'text in a filter with an index finds words');
is_asked("SELECT string_agg(id, ' ' ORDER BY id) FROM q.points WHERE @{[of $traps]} AND payload ->> 't' LIKE"
	  . " '%Berlin%'", '1 3', [$scroll], 'LIKE finds a part of the text with an index, too');
is(ids_of(q(payload ->> 'city' = 'berlin')), 10, 'a comparison in SQL tells upper from lower case');

# ---------- tables of one collection ----------

note 'typed columns';
my $typed = $qdrant->create('typed');
my %index = (word => 'keyword', prose => 'text', whole => 'integer', real => 'float', yes => 'bool',
	moment => 'datetime', ident => 'uuid', place => 'geo', id => 'keyword', 'in.side' => 'keyword',
	'"odd key"' => 'keyword');
$qdrant->index($typed, $_, $index{$_}) foreach sort keys %index;
$qdrant->load($typed,
	q({"id":1,"vector":[0,1],"payload":{"word":"w","prose":"some prose","whole":9007199254740993,"real":0.1,"yes":true,)
	  . qq("moment":"2024-02-29T12:00:00Z","ident":"$uuids[0]","place":{"lon":1.5,"lat":2.5},"id":"own",)
	  . q("odd key":"o","free":"not indexed"}}),
	'{"id":2,"vector":[0,1],"payload":{"word":null,"whole":-3,"real":7,"yes":false}}', '{"id":3,"vector":[0,1]}');
my ($imported, @import) = asked(
	"CREATE SCHEMA data; IMPORT FOREIGN SCHEMA data LIMIT TO (\"$typed\", \"$pieces\") FROM SERVER qdrant INTO data"
	  . " OPTIONS (types 'index')");
is_deeply([ $imported, sort @import ], [ '', 'GET /collections', map { "GET /collections/$_" } sort $pieces, $typed ],
	'IMPORT asks for what it imports');
is(ask("SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attname COLLATE \"C\")"
	  . " FROM pg_attribute WHERE attrelid = 'data.\"$typed\"'::regclass AND attnum > 0"),
	'filter jsonb, id text, id_2 text, ident uuid, moment timestamp with time zone, odd key text, payload jsonb, place'
	  . ' jsonb, prose text, real double precision, vector jsonb, whole bigint, word text, yes boolean',
	'IMPORT with types of indexes gives indexed keys their type, and paths into them no column');
is(ask("SET timezone = 'UTC'; SELECT id, id_2, word, prose, whole, \"real\", yes, moment, ident, place, \"odd key\""
	  . " FROM data.\"$typed\" ORDER BY id"),
	qq(1|own|w|some prose|9007199254740993|0.1|t|2024-02-29 12:00:00+00|$uuids[0]|{"lat": 2.5, "lon": 1.5}|o\n)
	  . "2||||-3|7|f||||\n3||||||||||",
	'imported columns are read with their types');
is_asked("SELECT count(*) FROM data.\"$pieces\" WHERE key = 'K007'", 1,
	[ scroll_request($pieces, payload => '["key"]') ], 'a condition on an imported column is checked here');
my $long = $qdrant->create('long');
$qdrant->index($long, $_, 'keyword') foreach 'k' x 70 . 'a', 'k' x 70 . 'b', 'ü' x 40, 'Upper', 'select';
$qdrant->load($long,
	sprintf '{"id":1,"vector":[0,1],"payload":{"%sa":"first","%sb":"second","%s":"third","Upper":"fourth",'
	  . '"select":"fifth"}}',
	'k' x 70, 'k' x 70, 'ü' x 40);
ask("IMPORT FOREIGN SCHEMA data LIMIT TO (\"$long\") FROM SERVER qdrant INTO data OPTIONS (types 'index')");
is(ask(qq(SELECT "@{['k' x 63]}", "@{['k' x 56]}_2", "@{['ü' x 31]}", "Upper", "select" FROM data."$long")),
	'first|second|third|fourth|fifth', 'keys that are longer than a name, and odd ones, are imported and read');
ask("CREATE FOREIGN TABLE misfit (id text, city text, n bigint) SERVER qdrant OPTIONS (resource 'points', collection"
	  . " '$traps')");
is(ask("SELECT city FROM misfit WHERE id IN ('1', '3') ORDER BY id"), "Berlin\nLondon",
	'a text column is read where the payload has a text');
like(ask("SELECT count(*) FROM misfit WHERE city = 'Berlin'"),
	pattern(qr/^ERROR:  HV004: column "city" of foreign table "misfit" cannot hold what the remote has/,
		qr/\nDETAIL:  Collection "$traps", id "2": type text cannot hold an array: \["London", "Berlin"\]\.\nHINT/),
		'an array in a text column is an error that names column and id, not a smaller count');
like(ask("SELECT n FROM misfit WHERE id = '5'"),
	pattern(qr/^ERROR:  HV004: .*\nDETAIL:  Collection "$traps", id "5": value "18446744073709551615" is out/,
		qr/ of range for type bigint\./), 'a number that the column cannot hold is an error, not another number');
is(ask("SELECT id FROM misfit WHERE id = '5'"), 5, 'a column that is not looked at is not read');
ask("CREATE FOREIGN TABLE fits (id text, city jsonb, n numeric) SERVER qdrant OPTIONS (resource 'points', collection"
	  . " '$traps')");
is(ask("SELECT id, city, n FROM fits WHERE id IN ('2', '5') ORDER BY id"),
	qq(2|["London", "Berlin"]|9.0\n5||18446744073709551615), 'jsonb and numeric columns hold every value');

note '152 keys, 149 points';
ask(<<'SQL');
CREATE TABLE piece_key AS SELECT 'K' || lpad(n::text, 3, '0') AS key, true AS indexed FROM generate_series(1, 152) n;
CREATE VIEW unmatched AS SELECT k.key AS expected, p.key AS found
  FROM (SELECT key FROM piece_key WHERE indexed) k FULL JOIN piece p USING (key) WHERE k.key IS NULL OR p.key IS NULL;
SQL
is_asked('SELECT expected, found FROM unmatched ORDER BY 1', "K150|\nK151|\nK152|",
	[ scroll_request($pieces, payload => '["key"]') ],
	'one SELECT names the three of 152 keys that have no point, by one request');
is(ask('SELECT (SELECT count(*) FROM piece_key) - (SELECT count(*) FROM piece)'), 3,
	'counting tells how many of 152 keys have no point');
ask("UPDATE piece_key SET indexed = false WHERE key IN ('K150', 'K151', 'K152')");
is(ask('SELECT count(*) FROM unmatched'), 0, 'with the three keys marked as not indexed no key is without its point');
$qdrant->call('POST', $qdrant->path($pieces, '/points/delete?wait=true'), { points => [149] });
is(ask('SELECT expected, found FROM unmatched'), 'K149|', 'a point that is lost is named');
$qdrant->load($pieces, '{"id":149,"vector":[0.5,149],"payload":{"key":"K149","part":2}}',
	'{"id":150,"vector":[0.5,1],"payload":{"key":"K999","part":2}}');
is(ask('SELECT expected, found FROM unmatched'), '|K999', 'a point too many is named');

# ---------- limits of the remote ----------

note 'strict mode';
my $strict = $qdrant->create('strict',
	{ vectors => { size => 2, distance => 'Dot' },
	strict_mode_config => { enabled => JSON::PP::true, max_query_limit => 100 } });
$qdrant->load($strict, map { sprintf '{"id":%d,"vector":[0,1],"payload":{"n":%d}}', $_, $_ } 1 .. 250);
is_asked("SELECT count(id) FROM q.points WHERE @{[of $strict]}", 250,
	[ scroll_request($strict), scroll_request($strict, limit => 100),
	map { scroll_request($strict, limit => 100, offset => $_) } 101, 201 ],
	'a page larger than strict mode allows is asked for again as large as it may be');
like(ask("EXPLAIN (ANALYZE, VERBOSE, COSTS off) SELECT id FROM q.points WHERE @{[of $strict]}"),
	qr/Remote Requests: 5\n.*Remote Bytes: \d+\n.*Remote Retries: 1\n.*Remote Time: [\d.]+ ms/,
	'EXPLAIN (ANALYZE, VERBOSE) shows the request that was made again');
is(ask("SELECT count(id) FROM q.points WHERE collection IN ('$strict', '$many')"), 2750,
	'a collection with a limit is read beside one without');

sub configure
{
	my ($name, %config) = @_;
	return $qdrant->call('PATCH', $qdrant->path($name),
		{ strict_mode_config => { enabled => JSON::PP::true, %config } });
}
configure($strict, condition_max_size => 50);
is(ask("SELECT count(*) FROM q.points WHERE @{[of $strict]} AND filter = '{}' AND id = ANY (ARRAY(SELECT n::text"
	  . " FROM generate_series(1, 240) n))"), 240,
	'ids that are too many for one condition are asked for again in parts');
configure($strict, condition_max_size => 1000, search_allow_exact => JSON::PP::false);
like(ask("SELECT points FROM q.collections WHERE @{[of $strict]}"),
	pattern(qr/^ERROR:  HV000: .*\nDETAIL:  HTTP 400: Bad request: Exact search disabled!.*/,
		qr/\nHINT:  The collection's strict mode forbids exact counts; no approximate one/),
		'where strict mode forbids exact counts there is no count');
like(ask("SELECT count(*) FROM q.points WHERE @{[of $strict]}"), qr/^ERROR:  HV000: .*Exact search disabled/s,
	'where strict mode forbids exact counts there is no count of points');
is(ask("SELECT points IS NULL, error ~ 'Exact search disabled' FROM lenient WHERE @{[of $strict]}"), 't|t',
	'with on_error null there is NULL and the error where strict mode forbids exact counts');
configure($strict, search_allow_exact => JSON::PP::true, unindexed_filtering_retrieve => JSON::PP::false);
like(ask("SELECT count(*) FROM q.points WHERE @{[of $strict]} AND filter = '{\"must\": [{\"key\": \"n\", \"match\":"
	  . " {\"value\": 1}}]}'"), qr/^ERROR:  HV000: .*Index required but not found for "n".*\nHINT:  .*create one/s,
	'a filter on a key without an index is an error where strict mode forbids it');
is(ask("SELECT count(*) FROM q.points WHERE @{[of $strict]} AND payload ->> 'n' = '1'"), 1,
	'a condition on a key without an index is checked here');
configure($strict, read_rate_limit => 1);
ask("SELECT points FROM q.collections WHERE @{[of $strict]}");
like(ask("SELECT points FROM q.collections WHERE @{[of $strict]}"),
	qr/^ERROR:  53400: .*rate limit.*\nDETAIL:  HTTP 429: Rate limiting exceeded.*\nHINT:  Try again in \d+ s\./,
	'a rate limit says when to try again');

# ---------- plans ----------

note 'EXPLAIN';
my ($plan, @explained) = asked(
	"EXPLAIN (COSTS off) SELECT count(*) FROM q.points WHERE @{[of $many]} AND filter = '$berlin'");
is_deeply(\@explained, [], 'EXPLAIN asks nothing');
like($plan, qr/Remote Request: POST \/collections\/\{collection\}\/points\/count \{"exact":true,"filter":\{filter\}\}/,
	'EXPLAIN shows a count that is pushed');
like(ask("EXPLAIN (COSTS off) SELECT id FROM q.points WHERE @{[of $ids]} AND id = '0'"),
	qr!Request: POST /collections/\{collection\}/points \{"ids":\{ids\},"with_payload":false,"with_vector":false\}!,
	'EXPLAIN shows a look-up by ids');
like(ask("EXPLAIN (COSTS off) SELECT payload FROM q.points"),
	pattern(qr/Remote Request: GET \/collections,/,
		qr! POST /collections/\{collection\}/points/scroll \{"limit":1000,"with_payload":true,"with_vector":false\}!),
		'EXPLAIN shows a scan of all collections');
like(ask("EXPLAIN (COSTS off) SELECT points, status, aliases FROM q.collections WHERE @{[of $ids]}"),
	pattern(qr/Remote Request: GET \/aliases, POST \/collections\/\{collection\}\/points\/count \{"exact":true\},/,
		qr/ GET \/collections\/\{collection\}/),
		'EXPLAIN shows what each column of the collections costs');

ask("ALTER SERVER qdrant OPTIONS (ADD consistency 'majority')");
is_asked('SELECT count(*) FROM piece', 150, [ scroll_request($pieces) =~ s/scroll/scroll?consistency=majority/r ],
	'with a consistency that asks several replicas the rows are counted, as Qdrant counts otherwise than it reads');
is_asked("SELECT points FROM q.collections WHERE @{[of $pieces]}", 150,
	[ count_request($pieces) =~ s/count/count?consistency=majority/r ],
	'a count of points asks with the consistency of the option');
is_asked("SELECT id FROM piece WHERE id = '1'", 1,
	[qq(POST /collections/$pieces/points?consistency=majority {"ids":[1],"with_payload":false,"with_vector":false})],
	'a look-up asks with the consistency of the option');
is(ask('SELECT count(id) FROM piece'), 150, 'a scan asks with the consistency of the option');
like(ask("ALTER SERVER qdrant OPTIONS (SET consistency '$_')"),
	qr/^ERROR:  HV024: .*consistency.*\nDETAIL:  "$_" is not allowed here\.\nHINT:  Allowed values/,
	"option consistency cannot be '$_'") foreach '0', 'most', '-1', '1.5', '10000';
ask('ALTER SERVER qdrant OPTIONS (DROP consistency)');

# ---------- a token that sees only a part ----------

note 'tokens';
my $guarded = IU::Qdrant->start(own => [ '--api-key', 'master', '--read-only-api-key', 'reader' ], key => 'master');
my ($open, $shut) = map { $guarded->create($_) } 'open', 'shut';
$guarded->load($_, '{"id":1,"vector":[0,1]}') foreach $open, $shut;
IU::Cluster->reload($node, 'iu_core.allowed_origins' => join(', ', $qdrant->url, $guarded->url));
require Digest::SHA;
require MIME::Base64;
my $unsigned = join '.', map { MIME::Base64::encode_base64url(JSON::PP::encode_json($_)) } { alg => 'HS256',
	typ => 'JWT' }, { access => [ { collection => $open, access => 'r' } ] };
my $jwt = $unsigned . '.' . MIME::Base64::encode_base64url(Digest::SHA::hmac_sha256($unsigned, 'master'));
ask("CREATE SERVER guarded FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$guarded->url]}');"
	  . " CREATE SCHEMA g; IMPORT FOREIGN SCHEMA api FROM SERVER guarded INTO g");
sub with_key
{
	my ($key, $query) = @_;
	return ask("SET client_min_messages = warning; DROP USER MAPPING IF EXISTS FOR postgres SERVER guarded;"
		  . " CREATE USER MAPPING FOR postgres SERVER guarded OPTIONS (api_key '$key'); $query");
}
is(with_key('reader', 'SELECT sum(points), count(*) FROM g.collections'), '2|2',
	'with a read-only key the collections can be read');
is(ask('SELECT count(*) FROM g.points'), 2, 'with a read-only key the points can be counted');
is(with_key($jwt, "SELECT points FROM g.collections WHERE @{[of $open]}"), 1,
	'with a token for one collection its points can be counted');
like(ask("SELECT points FROM g.collections WHERE @{[of $shut]}"),
	pattern(qr/^ERROR:  42501: .*forbidden\nDETAIL:  HTTP 403: Forbidden: Access to collection $shut is/,
		qr/ required\nHINT:  Check option "api_key"/),
		'with a token for one collection another one is refused, and not counted as 0');
is(ask('SELECT collection FROM g.collections'), $open, 'with a token for one collection another one is not listed');
like(with_key('wrong', 'SELECT points FROM g.collections'),
	qr/^ERROR:  28000: .*\nDETAIL:  HTTP 401: Invalid API key or JWT/, 'a wrong key is refused');

# ---------- the shape of all that went through ----------

SKIP:
{
	skip 'npm is not installed', 2 unless $ENV{IU_QDRANT_NPM};
	is_deeply([ $_->wire_problems ], [], 'every request and every answer is of the shape that Qdrant documents')
		  foreach $qdrant, $guarded;
}

$node->stop;
done_testing();
