# Qdrant as tables: what it holds, by how many requests, and that SQL keeps its
# own meaning where Qdrant's filters mean something else. The same tests for the
# stand-in and for a real server (QDRANT_URL).
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use IU::Qdrant;
use JSON::PP ();
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
$qdrant->load($pieces, map { sprintf '{"id":%d,"vector":[0.5,%d],"payload":{"key":"K%03d","part":%d}}', $_, $_, $_, $_ % 7 } 1 .. 149);
my $alias = $qdrant->alias($pieces, "${prefix}_alias");
my $second_alias = $qdrant->alias($pieces, "${prefix}_also");

my $many = $qdrant->create('many', { vectors => { size => 2, distance => 'Cosine' } });
$qdrant->load($many, map { sprintf '{"id":%d,"vector":[1,0],"payload":{"n":%d,"filling":"%s"}}', $_, $_, 'x' x 2000 } 1 .. 2500);

my $ids = $qdrant->create('ids');
$qdrant->load($ids, map { qq({"id":$_,"vector":[0,1],"payload":{"big":$_}}) } @strange);
$qdrant->load($ids, sprintf('{"id":"%s","vector":[0,1]}', $uuids[0] =~ s/-//gr), sprintf('{"id":"%s","vector":[0,1]}', $uuids[1]));

my $named = $qdrant->create('named',
	{ vectors => { image => { size => 3, distance => 'Dot' }, words => { size => 2, distance => 'Euclid' } }, sparse_vectors => { terms => {} } });
$qdrant->load($named, '{"id":1,"vector":{"image":[1,0,0.5],"words":[0.25,1],"terms":{"indices":[3,7],"values":[0.5,2]}}}', '{"id":2,"vector":{"words":[1,1]}}');
my $single = $qdrant->create('single', { vectors => { only => { size => 5, distance => 'Manhattan' } } });
my $empty = $qdrant->create('empty');
my $odd = $qdrant->create(q( ü&%#;=+'$));
$qdrant->load($odd, '{"id":1,"vector":[0,1]}');

# where a filter means something else than SQL: qdrant-http.md 8
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
CREATE FOREIGN TABLE lenient (collection text, points bigint, status text, aliases text[], error text) SERVER qdrant OPTIONS (resource 'collections', on_error 'null');
CREATE FOREIGN TABLE piece (id text, key text, part integer) SERVER qdrant OPTIONS (resource 'points', collection '$pieces');
CREATE FOREIGN TABLE many (id text, n integer, payload jsonb) SERVER qdrant OPTIONS (resource 'points', collection '$many');
SQL
$ENV{PGCLIENTENCODING} = 'UTF8';

talk_to($node);

sub asked { my ($query) = @_; return $qdrant->asked(sub { ask($query) }) }

# The rows, and what was asked for them: each request, without what is the same in all.
sub is_asked
{
	my ($query, $rows, $requests, $name) = @_;
	my ($result, @asked) = asked($query);
	return is_deeply([ $result, map { s/\Q$prefix\E_//gr } sort @asked ], [ $rows, map { s/\Q$prefix\E_//gr } sort @$requests ], $name);
}

sub count_request { my ($name, $filter) = @_; return "POST /collections/$name/points/count " . ($filter ? qq({"exact":true,"filter":$filter}) : '{"exact":true}') }

sub scroll_request
{
	my ($name, %with) = @_;
	return "POST /collections/$name/points/scroll {" . join(',', '"limit":' . ($with{limit} // 1000), '"with_payload":' . ($with{payload} // 'false'),
		'"with_vector":' . ($with{vector} // 'false'), defined $with{offset} ? qq("offset":$with{offset}) : (), $with{filter} ? qq("filter":$with{filter}) : ()) . '}';
}

sub of { return "collection = '" . ($_[0] =~ s/'/''/gr) . "'" }

# ---------- collections ----------

note 'counts and descriptions';
is_asked("SELECT points FROM q.collections WHERE @{[of $pieces]}", 149, [ count_request($pieces) ], 'a count is one request, and exact');
$qdrant->load($pieces, '{"id":1,"vector":[0.5,1],"payload":{"key":"K001","part":1}}');
is_asked("SELECT points FROM q.collections WHERE @{[of $pieces]}", 149, [ count_request($pieces) ], 'also after a point was written again');
is_asked("SELECT points_approx >= 149 FROM q.collections WHERE @{[of $pieces]}", 't', ["GET /collections/$pieces"], 'the approximate one is in the description');
is_asked("SELECT points, points_approx >= points FROM q.collections WHERE @{[of $pieces]}", '149|t', [ "GET /collections/$pieces", count_request($pieces) ], 'both, when both are asked for');
isnt(ask("SELECT points_approx FROM q.collections WHERE @{[of $pieces]}"), 149, 'the stand-in says an approximate one that is wrong') if $qdrant->is_stand_in;
is_asked("SELECT dimension, distance, vectors, configuration #>> '{params,shard_number}' FROM q.collections WHERE @{[of $pieces]}",
	'2|Dot|{"size": 2, "distance": "Dot"}|1', ["GET /collections/$pieces"], 'what it is made of');
like(ask("SELECT status FROM q.collections WHERE @{[of $pieces]}"), qr/^(green|yellow|grey)$/, 'its status');
is(ask("SELECT dimension IS NULL, distance IS NULL, vectors -> 'image' ->> 'size', vectors -> 'words' ->> 'distance' FROM q.collections WHERE @{[of $named]}"), 't|t|3|Euclid', 'several vectors have no one dimension');
is(ask("SELECT dimension, distance FROM q.collections WHERE @{[of $single]}"), '5|Manhattan', 'a single one has it, named or not');
is_asked("SELECT points, error IS NULL FROM q.collections WHERE @{[of $empty]}", '0|t', [ count_request($empty) ], 'no points are 0');
is(ask("SELECT points, collection = '$prefix' || E'_ ü&%#;=+\\'\$' FROM q.collections WHERE collection = '$prefix' || E'_ ü&%#;=+\\'\$'"), '1|t', 'a name of odd characters');

note 'aliases';
is_asked("SELECT aliases FROM q.collections WHERE @{[of $pieces]}", "{$alias,$second_alias}", [ 'GET /aliases', "GET /collections/$pieces" ], 'the aliases of a collection');
is(ask("SELECT collection = '$alias', points, dimension, aliases FROM q.collections WHERE @{[of $alias]}"), "t|149|2|{$alias,$second_alias}", 'a collection by its alias');
is(ask("SELECT count(*) FROM q.points WHERE @{[of $alias]}"), 149, 'and its points');
is(ask("SELECT aliases FROM q.collections WHERE @{[of $empty]}"), '{}', 'no alias');

note 'all of them';
my ($listed, @asked) = asked("SELECT collection FROM q.collections WHERE starts_with(collection, '$prefix') ORDER BY collection COLLATE \"C\"");
is($listed, join("\n", sort $empty, $ids, $many, $named, $odd, $pieces, $single, $traps), 'the list holds every collection, and no alias');
is_deeply(\@asked, ['GET /collections'], 'by one request');
($listed, @asked) = asked("SELECT collection, aliases FROM q.collections WHERE starts_with(collection, '$pieces')");
is_deeply([ $listed, sort @asked ], [ "$pieces|{$alias,$second_alias}", 'GET /aliases', 'GET /collections' ], 'with aliases by two');
is_asked("SELECT sum(points) FROM q.collections WHERE collection IN ('$pieces', '$many', '$empty')", 2649, [ map { count_request($_) } $pieces, $many, $empty ], 'several by name');

note 'what is not there';
like(ask("SELECT points FROM q.collections WHERE @{[of qq(${prefix}_not)]}"),
	qr/^ERROR:  HV00R: could not read collection "${prefix}_not" of foreign server "qdrant": Qdrant has no such collection\nDETAIL:  HTTP 404: Not found: Collection `${prefix}_not` doesn't exist!$/m, 'a collection that is not there');
is(ask("SELECT points, status, error ~ 'no such collection.*404' FROM lenient WHERE @{[of qq(${prefix}_not)]}"), '||t', 'or one row with the error, however many requests failed');
is(ask("SELECT points, aliases, error ~ 'no such collection.*404' FROM lenient WHERE @{[of qq(${prefix}_not)]}"), '||t', 'also where not all of them did');
$qdrant->recorder->fault({ path => $_, status => 200, body => '{"result":{},"status":"ok","time":0}', headers => { 'content-type' => 'application/json' }, times => 1 }) foreach '/aliases', "/collections/$pieces/points/count";
is(ask("SELECT count(*), bool_and(error ~ '^the answer holds no') FROM lenient WHERE @{[of $pieces]} AND (points IS NULL OR aliases IS NULL)"), '1|t', 'also where what failed is that two answers hold nothing');
$qdrant->recorder->fault({ path => '/aliases', status => 200, body => '{"result":{"aliases":[{}]},"status":"ok","time":0}', headers => { 'content-type' => 'application/json' }, times => 1 });
is(ask("SELECT points, aliases, error FROM lenient WHERE @{[of $pieces]}"), '||the answer holds no list of aliases: HTTP 200.', 'nothing is taken from the others then');
is(ask("SELECT count(*), count(points), count(error) FROM lenient WHERE collection IN ('$pieces', '${prefix}_not')"), '2|1|1', 'beside one that is there');
like(ask("SELECT collection FROM q.collections WHERE @{[of qq(${prefix}_not)]}"), qr/HV00R/, 'even where only its name is asked for');
like(ask("SELECT id FROM q.points WHERE @{[of qq(${prefix}_not)]}"), qr/^ERROR:  HV00R: .*no such collection/, 'points of a collection that is not there');
like(ask("SELECT count(*) FROM q.points WHERE @{[of qq(${prefix}_not)]}"), qr/^ERROR:  HV00R: .*no such collection/, 'their count');
is_asked("SELECT points FROM lenient WHERE collection = 'a/b'", '', [], 'a name that no path can hold asks nothing');
my $vanishes = JSON::PP::encode_json({ result => { collections => [ { name => $pieces }, { name => "${prefix}_gone" } ] }, status => 'ok', time => 0.1 });
$qdrant->recorder->fault({ path => '/collections', status => 200, body => $vanishes, headers => { 'content-type' => 'application/json' }, times => 2 });
like(ask('SELECT count(*) FROM q.points'), qr/^ERROR:  HV00R: could not read collection "${prefix}_gone"/, 'a collection that vanished since it was listed is no smaller count');
like(ask('SELECT sum(points) FROM q.collections'), qr/^ERROR:  HV00R: could not read collection "${prefix}_gone"/, 'nor a smaller sum');

# ---------- points ----------

note 'pages';
is_asked("SELECT count(*), count(DISTINCT id), sum(n) FROM many", '2500|2500|3126250',
	[ scroll_request($many, payload => '["n"]'), map { scroll_request($many, payload => '["n"]', offset => $_) } 1001, 2001 ], 'three pages, each point once, only the payload that is looked at');
ask("ALTER FOREIGN TABLE many OPTIONS (ADD page_size '500')");
is_asked('SELECT count(id) FROM many', 2500, [ map { scroll_request($many, limit => 500, $_ > 1 ? (offset => $_) : ()) } 1, 501, 1001, 1501, 2001 ], 'a last page that is full is not followed by an empty one');
is_asked("SELECT id, vector, payload FROM q.points WHERE @{[of $pieces]} AND id = '7'", '7|[0.5, 7.0]|{"key": "K007", "part": 0}',
	[qq(POST /collections/$pieces/points {"ids":[7],"with_payload":true,"with_vector":true})], 'a vector where it is looked at')
  or note 'the numbers of a vector may be printed differently by another version';
is(ask("SELECT id, vector -> 'image', vector -> 'terms' -> 'indices', vector -> 'words' FROM q.points WHERE @{[of $named]} AND id = '1'") =~ s/\.0+\b//gr, '1|[1, 0, 0.5]|[3, 7]|[0.25, 1]', 'named and sparse vectors');
is_asked("SELECT count(*) FROM q.points WHERE @{[of $empty]} AND id IS NOT NULL", 0, [ scroll_request($empty) ], 'an empty collection is one page');

note 'pages that go wrong';
sub canned { my ($body, $times) = @_; return $qdrant->recorder->fault({ path => "/collections/$empty/points/scroll", status => 200, headers => { 'content-type' => 'application/json' }, times => $times // 1, body => $body }) }
foreach my $id ('-1', '1.5', '18446744073709551616', '"007"', '"' . uc($uuids[0]) . '"', 'null', '{}')
{
	canned(qq({"result":{"points":[{"id":3},{"id":$id}],"next_page_offset":null},"status":"ok","time":0}));
	like(ask("SELECT id FROM q.points WHERE @{[of $empty]}"), qr/^ERROR:  HV000: could not read collection "$empty" of foreign server "qdrant": the answer holds a point without an id$/m, "$id is no id of a point");
	next if $id eq 'null';
	canned(qq({"result":{"points":[{"id":3}],"next_page_offset":$id},"status":"ok","time":0}));
	like(ask("SELECT id FROM q.points WHERE @{[of $empty]}"), qr/: the answer does not say where the next page begins$/m, 'nor the beginning of a page');
}
foreach my $turn ([ 5, 5 ], [ 7, 5 ], [ 10, 9 ], [ qq("$uuids[0]"), 9 ], [ qq("$uuids[1]"), qq("$uuids[0]") ])
{
	canned(qq({"result":{"points":[{"id":1}],"next_page_offset":$_},"status":"ok","time":0})) foreach @$turn;
	like(ask("SELECT count(id) FROM q.points WHERE @{[of $empty]}"), qr/^ERROR:  .*: the answer does not say where the next page begins$/m, "after a page from $turn->[0] none begins at $turn->[1]");
	$qdrant->recorder->heal;
}
foreach my $body ('{"result":{"points":{},"next_page_offset":null},"status":"ok","time":0}', '{"result":[],"status":"ok","time":0}', '{"status":"ok"}', '[]')
{
	canned($body);
	like(ask("SELECT id FROM q.points WHERE @{[of $empty]}"), qr/: the answer holds no list of points$/m, "$body is no page");
}

note 'LIMIT';
is_asked('SELECT id FROM many LIMIT 7', join("\n", 1 .. 7), [ scroll_request($many, limit => 7) ], 'fewer than a page are asked for as that');
is_asked('SELECT count(*) FROM (SELECT id FROM many LIMIT 700) l', 700, [ map { scroll_request($many, limit => 500, $_ > 1 ? (offset => $_) : ()) } 1, 501 ], 'no page is asked for that is not needed');
is_asked('SELECT n FROM many WHERE n > 3 LIMIT 1', 4, [ scroll_request($many, limit => 500, payload => '["n"]') ], 'a condition that is checked here may need more than the first');

note 'joins';
is_asked('ANALYZE many', '', [ map { scroll_request($many, limit => 500, payload => 'true', $_ > 1 ? (offset => $_) : ()) } 1, 501, 1001, 1501, 2001 ], 'ANALYZE reads it once');
is_asked("SELECT k.n, p.n FROM (VALUES ('5'), ('2400'), ('none')) k (n) JOIN many p ON p.id = k.n ORDER BY p.n", "5|5\n2400|2400",
	[ map { qq(POST /collections/$many/points {"ids":[$_],"with_payload":["n"],"with_vector":false}) } 5, 2400 ], 'a join asks for the ids that the other side has');

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
cmp_ok($late, '<', 1.2 * $early, "of 5 MB in pages of 200 KB a scan holds $late bytes towards its end, as it did in its beginning ($early)");

note 'ids';
is(ask("SELECT id FROM q.points WHERE @{[of $ids]} ORDER BY id"), join("\n", sort @strange, @uuids), 'ids beyond bigint and UUIDs, to the last digit');
is(ask("SELECT id FROM q.points WHERE @{[of $ids]} AND payload ->> 'big' <> id"), '', 'and the same number in the payload');
foreach my $id (@strange, @uuids)
{
	my $json = $id =~ /-/ ? qq("$id") : $id;
	is_asked("SELECT id FROM q.points WHERE @{[of $ids]} AND id = '$id'", $id, [qq(POST /collections/$ids/points {"ids":[$json],"with_payload":false,"with_vector":false})], "a look-up of $id");
}
is_asked("SELECT id FROM q.points WHERE @{[of $ids]} AND id IN ('0', '12345', '$uuids[1]', '00000000-0000-0000-0000-000000000000') ORDER BY 1", "0\n$uuids[1]",
	[qq(POST /collections/$ids/points {"ids":[0,"00000000-0000-0000-0000-000000000000",12345,"$uuids[1]"],"with_payload":false,"with_vector":false})], 'of several; what is missing is missing');
is_asked("SELECT count(*) FROM q.points WHERE @{[of $ids]} AND (id = '0' OR id = ANY ('{9007199254740993,0}') OR id = '12345')", 2,
	[qq(POST /collections/$ids/points {"ids":[0,12345,9007199254740993],"with_payload":false,"with_vector":false})], 'by OR, each id once');
is_asked("SELECT id FROM q.points WHERE @{[of $ids]} AND id = '$_'", '', [], "'$_' is no id, so nothing is asked")
  foreach '007', '-1', '1.0', '18446744073709551616', $uuids[0] =~ s/-//gr, uc $uuids[0], '', 'x';
is_asked("SELECT id FROM q.points WHERE collection IN ('$ids', '$traps') AND id IN ('0', '1') ORDER BY 1", "0\n1",
	[ map { qq(POST /collections/$_/points {"ids":[0,1],"with_payload":false,"with_vector":false}) } $ids, $traps ], 'in several collections');

note 'counts of points';
is_asked("SELECT count(*) FROM q.points WHERE @{[of $many]}", 2500, [ count_request($many) ], 'count(*) is one request');
is_asked('SELECT count(*) FROM piece', 149, [ count_request($pieces) ], 'of a table of one collection, too');
is_asked("SELECT count(*) FROM q.points WHERE collection IN ('$many', '$pieces')", 2649, [ count_request($many), count_request($pieces) ], 'of two collections, two');
is_asked("SELECT collection, count(*) FROM q.points WHERE collection IN ('$many', '$pieces') GROUP BY collection ORDER BY 2", "$pieces|149\n$many|2500", [ count_request($many), count_request($pieces) ], 'also apart');
is_asked("SELECT count(*) FROM q.points WHERE collection = ANY ('{}')", 0, [], 'of none, none: 0');
is_asked("SELECT count(*) FROM q.points WHERE @{[of $ids]} AND id IN ('0', '12345')", 1, [qq(POST /collections/$ids/points {"ids":[0,12345],"with_payload":false,"with_vector":false})], 'of ids, the points are looked at');
is_asked("SELECT count(*) FROM piece WHERE part = 3", 21, [ scroll_request($pieces, payload => '["part"]') ], 'so they are with a condition on a field');
is_asked('SELECT count(part) FROM piece', 149, [ scroll_request($pieces, payload => '["part"]') ], 'and for count of a column, which may be NULL');

note 'filters, in the words of Qdrant';
my $berlin = '{"must": [{"key": "city", "match": {"value": "Berlin"}}]}';
is_asked("SELECT id, filter = '$berlin' FROM q.points WHERE @{[of $traps]} AND filter = '$berlin' ORDER BY id", "1|t\n2|t", [ scroll_request($traps, filter => $berlin) ], 'go through, and the column shows them');
is_asked("SELECT count(*) FROM q.points WHERE @{[of $traps]} AND filter = '$berlin'", 2, [ count_request($traps, $berlin) ], 'a count with one is one request');
is(ask("SELECT DISTINCT filter IS NULL FROM q.points WHERE @{[of $traps]}"), 't', 'NULL where none was given');
is_asked("SELECT id FROM q.points WHERE @{[of $traps]} AND filter = '$berlin' AND id IN ('2', '3')", 2, [ scroll_request($traps, filter => qq({"must":[$berlin,{"has_id":[2,3]}]})) ], 'a filter and ids');
is(ask("SELECT id FROM q.points WHERE @{[of $traps]} AND filter = '{\"must\": [{\"has_id\": [1, 3]}], \"must_not\": [{\"key\": \"city\", \"match\": {\"value\": \"London\"}}]}'"), 1, 'of several parts');
is(ask("SELECT id FROM q.points WHERE @{[of $traps]} AND filter = '{\"must\": [{\"key\": \"city\", \"values_count\": {\"gte\": 2}}]}'"), 2, 'values_count');
like(ask("SELECT id FROM q.points WHERE @{[of $empty]} AND filter = '{\"must\": [], \"and\": []}'"), qr/^ERROR:  HV000: .*\nDETAIL:  HTTP 400: Format error in JSON body: .*and.*\nHINT:  .*filter/, 'a filter that is none is refused, by an empty collection, too');
is_deeply([ map { s/\n.*//sr } asked("SELECT count(*) FROM q.points WHERE @{[of $traps]} AND filter = '$_'") ], [qq(ERROR:  22023: could not read collection "$traps" of foreign server "qdrant": a filter of Qdrant is a JSON object)], "$_ is none, and not sent") foreach '[]', 'null', '5', '"x"';

# ---------- qdrant-http.md 8: where SQL means something else ----------

note 'traps';
sub ids_of { my ($condition) = @_; return ask("SELECT coalesce(string_agg(id, ' ' ORDER BY id::numeric), '') FROM q.points WHERE @{[of $traps]} AND $condition") }
sub filtered { my ($condition) = @_; return ids_of("filter = '{\"must\": [$condition]}'") }
my $scroll = scroll_request($traps, payload => 'true');
my $london = '{"key": "city", "match": {"value": "London"}}';

is(filtered('{"key": "city", "match": {"value": "Berlin"}}'), '1 2', '8.1 match is true of an array with such an element');
is_asked("SELECT id FROM q.points WHERE @{[of $traps]} AND payload ->> 'city' = 'Berlin'", 1, [$scroll], q(8.1 payload ->> 'city' = 'Berlin' is not));
is_asked("SELECT count(*) FROM q.points WHERE @{[of $traps]} AND payload ->> 'city' = 'Berlin'", 1, [$scroll], '8.1 and its count is no counting request');
is(ids_of(q(payload -> 'city' ? 'Berlin')), '1 2', '8.1 the element, in SQL');

is(ids_of("filter = '{\"must_not\": [$london]}'"), '1 4 5 6 10', '8.2 must_not gives points without the key');
is(filtered('{"key": "city", "match": {"except": ["London"]}}'), $qdrant->is_stand_in ? '1 2 4 5 6 10' : filtered('{"key": "city", "match": {"except": ["London"]}}'), '8.2 so does except');
is(ids_of(q(payload ->> 'city' <> 'London')), '1 2 6 10', '8.2 <> does not');
is(ids_of(q(NOT payload ->> 'city' = 'London')), '1 2 6 10', '8.2 nor does NOT');
is(ids_of(q(payload ->> 'city' IS DISTINCT FROM 'London')), '1 2 4 5 6 10', '8.2 IS DISTINCT FROM does');

is(filtered('{"is_empty": {"key": "city"}}'), '4 5 6', '8.3 is_empty is missing, null or []');
is(filtered('{"is_null": {"key": "city"}}'), '4', '8.3 is_null is null');
is(ids_of(q(payload ->> 'city' IS NULL)), '4 5', '8.3 IS NULL is missing or null');
is(ids_of(q(payload ->> 'city' IS NOT NULL)), '1 2 3 6 10', '8.3 IS NOT NULL the rest');

is(filtered('{"key": "n", "range": {"gt": 9007199254740992, "lt": 10000000000000000}}'), '', '8.4 a range compares as double precision');
is(ids_of(q((payload ->> 'n')::numeric > 9007199254740992 AND (payload ->> 'n')::numeric < 10000000000000000)), '3', '8.4 numeric does not');
is(ids_of(q((payload ->> 'n')::numeric = 18446744073709551615)), '5', '8.4 a number beyond bigint survives');
is(filtered('{"key": "n", "range": {"gte": 9, "lte": 9}}'), '1 2', '8.4 9 and 9.0 are in a range');
is(ids_of(q(payload ->> 't' > 'a' COLLATE "C" AND payload ->> 't' < 'b' COLLATE "C")), 3, '8.4 texts have an order in SQL');

is(filtered('{"key": "five", "match": {"value": "5"}}'), 1, '8.5 "5" does not match 5');
is(filtered('{"key": "five", "match": {"value": 5}}'), 2, '8.5 nor 5 "5"');
is(ids_of(q(payload ->> 'five' = '5')), '1 2', '8.5 as text they are equal');
is(ids_of(q(payload -> 'five' = '5')), 2, '8.5 as JSON they are not');

is(filtered('{"key": "a.b", "match": {"value": "two keys"}}'), 6, '8.6 a.b is a path');
is(filtered('{"key": "\"a.b\"", "match": {"value": "one key"}}'), 6, '8.6 "a.b" is a key');
ask("CREATE FOREIGN TABLE odd_keys (id text, b text OPTIONS (field 'a.b'), \"a b\" text, a jsonb) SERVER qdrant OPTIONS (resource 'points', collection '$traps')");
is_asked("SELECT b, \"a b\" FROM odd_keys WHERE id = '6'", 'one key|blank', [qq(POST /collections/$traps/points {"ids":[6],"with_payload":["\\"a.b\\"","\\"a b\\""],"with_vector":false})], '8.6 a typed column is a key, and asks for it as one');
is(ask("SELECT a FROM odd_keys WHERE id = '6'"), '{"b": "two keys"}', '8.6 also beside a key that looks like a path into it');

my ($chunked, @chunks) = asked("SELECT count(*) FROM q.points WHERE @{[of $many]} AND id = ANY (ARRAY(SELECT n::text FROM generate_series(2, 5000, 2) n))");
is($chunked, 1250, '8.7 thousands of ids');
is(scalar(@chunks), 3, '8.7 by three requests');
($chunked, @chunks) = asked("SELECT count(*) FROM q.points WHERE @{[of $many]} AND filter = '{\"must\": [{\"key\": \"n\", \"range\": {\"lte\": 100}}]}' AND id = ANY (ARRAY(SELECT n::text FROM generate_series(2, 5000, 2) n))");
is($chunked, 50, '8.7 with a filter, too');
is(scalar(grep { /has_id/ } @chunks), 3, '8.7 where they are conditions of it');

ask("CREATE FOREIGN TABLE paged (id text, filter jsonb) SERVER qdrant OPTIONS (resource 'points', collection '$many', page_size '300')");
($chunked, @chunks) = asked("SELECT count(DISTINCT id) || ' of ' || count(*) FROM paged WHERE filter = '{}' AND id = ANY (ARRAY(SELECT n::text FROM generate_series(1, 2200) n))");
is_deeply([ $chunked, scalar @chunks ], [ '2200 of 2200', 9 ], '8.7 and pages within them');

is_asked("SELECT string_agg(id, ' ') FROM (SELECT id FROM q.points WHERE @{[of $traps]} ORDER BY id) p", '1 10 2 3 4 5 6', [ scroll_request($traps) ], '8.8 ids have the order of text here, not that of a scroll');
is_asked("SELECT string_agg(id, ' ' ORDER BY id) FROM q.points WHERE @{[of $traps]} AND id >= '2' AND id < '5'", '2 3 4', [ scroll_request($traps) ], '8.8 no range of ids is asked of Qdrant');

is(filtered('{"key": "n", "match": {"value": 9}}'), 1, '8.9 an integer match does not find 9.0');
is(ids_of(q((payload ->> 'n')::numeric = 9)), '1 2', '8.9 SQL does');
is(filtered('{"key": "t", "match": {"text": "Berlin"}}'), '1 3', '8.9 text without an index is a part of the text');
$qdrant->index($traps, 't', 'text');
isnt(filtered('{"key": "t", "match": {"text": "Berlin"}}'), '1 3', '8.9 with an index it is words');
is_asked("SELECT string_agg(id, ' ' ORDER BY id) FROM q.points WHERE @{[of $traps]} AND payload ->> 't' LIKE '%Berlin%'", '1 3', [$scroll], '8.9 LIKE stays LIKE');
is(ids_of(q(payload ->> 'city' = 'berlin')), 10, '8.9 case counts');

# ---------- tables of one collection ----------

note 'typed columns';
my $typed = $qdrant->create('typed');
my %index = (word => 'keyword', prose => 'text', whole => 'integer', real => 'float', yes => 'bool', moment => 'datetime', ident => 'uuid', place => 'geo', id => 'keyword', 'in.side' => 'keyword', '"odd key"' => 'keyword');
$qdrant->index($typed, $_, $index{$_}) foreach sort keys %index;
$qdrant->load($typed,
	qq({"id":1,"vector":[0,1],"payload":{"word":"w","prose":"some prose","whole":9007199254740993,"real":0.1,"yes":true,"moment":"2024-02-29T12:00:00Z","ident":"$uuids[0]","place":{"lon":1.5,"lat":2.5},"id":"own","odd key":"o","free":"not indexed"}}),
	'{"id":2,"vector":[0,1],"payload":{"word":null,"whole":-3,"real":7,"yes":false}}', '{"id":3,"vector":[0,1]}');
my ($imported, @import) = asked("CREATE SCHEMA data; IMPORT FOREIGN SCHEMA data LIMIT TO (\"$typed\", \"$pieces\") FROM SERVER qdrant INTO data");
is_deeply([ $imported, sort @import ], [ '', 'GET /collections', map { "GET /collections/$_" } sort $pieces, $typed ], 'IMPORT asks for what it imports');
is(ask("SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attname COLLATE \"C\") FROM pg_attribute WHERE attrelid = 'data.\"$typed\"'::regclass AND attnum > 0"),
	'filter jsonb, id text, id_2 text, ident uuid, moment timestamp with time zone, odd key text, payload jsonb, place jsonb, prose text, real double precision, vector jsonb, whole bigint, word text, yes boolean',
	'indexed keys have a type, paths into them have no column');
is(ask("SET timezone = 'UTC'; SELECT id, id_2, word, prose, whole, \"real\", yes, moment, ident, place, \"odd key\" FROM data.\"$typed\" ORDER BY id"),
	qq(1|own|w|some prose|9007199254740993|0.1|t|2024-02-29 12:00:00+00|$uuids[0]|{"lat": 2.5, "lon": 1.5}|o\n2||||-3|7|f||||\n3||||||||||), 'and are read with it');
is_asked("SELECT count(*) FROM data.\"$pieces\" WHERE key = 'K007'", 1, [ scroll_request($pieces, payload => '["key"]') ], 'a condition on one is checked here');
my $long = $qdrant->create('long');
$qdrant->index($long, $_, 'keyword') foreach 'k' x 70 . 'a', 'k' x 70 . 'b', 'ü' x 40, 'Upper', 'select';
$qdrant->load($long, sprintf '{"id":1,"vector":[0,1],"payload":{"%sa":"first","%sb":"second","%s":"third","Upper":"fourth","select":"fifth"}}', 'k' x 70, 'k' x 70, 'ü' x 40);
ask("IMPORT FOREIGN SCHEMA data LIMIT TO (\"$long\") FROM SERVER qdrant INTO data");
is(ask(qq(SELECT "@{['k' x 63]}", "@{['k' x 56]}_2", "@{['ü' x 31]}", "Upper", "select" FROM data."$long")), 'first|second|third|fourth|fifth', 'keys that are longer than a name, and odd');
ask("CREATE FOREIGN TABLE misfit (id text, city text, n bigint) SERVER qdrant OPTIONS (resource 'points', collection '$traps')");
is(ask("SELECT city FROM misfit WHERE id IN ('1', '3') ORDER BY id"), "Berlin\nLondon", 'texts are read where they are ones');
like(ask("SELECT count(*) FROM misfit WHERE city = 'Berlin'"), qr/^ERROR:  HV004: column "city" of foreign table "misfit" cannot hold what the remote has\nDETAIL:  Collection "$traps", id "2": type text cannot hold an array: \["London", "Berlin"\]\.\nHINT/, 'an array is no text: an error that names column and id, not a smaller count');
like(ask("SELECT n FROM misfit WHERE id = '5'"), qr/^ERROR:  HV004: .*\nDETAIL:  Collection "$traps", id "5": value "18446744073709551615" is out of range for type bigint\./, 'nor is a number that the column cannot hold another number');
is(ask("SELECT id FROM misfit WHERE id = '5'"), 5, 'a column that is not looked at is not read');
ask("CREATE FOREIGN TABLE fits (id text, city jsonb, n numeric) SERVER qdrant OPTIONS (resource 'points', collection '$traps')");
is(ask("SELECT id, city, n FROM fits WHERE id IN ('2', '5') ORDER BY id"), qq(2|["London", "Berlin"]|9.0\n5||18446744073709551615), 'jsonb and numeric take them');

note '152 keys, 149 points';
ask(<<'SQL');
CREATE TABLE piece_key AS SELECT 'K' || lpad(n::text, 3, '0') AS key, true AS indexed FROM generate_series(1, 152) n;
CREATE VIEW unmatched AS SELECT k.key AS expected, p.key AS found FROM (SELECT key FROM piece_key WHERE indexed) k FULL JOIN piece p USING (key) WHERE k.key IS NULL OR p.key IS NULL;
SQL
is_asked('SELECT expected, found FROM unmatched ORDER BY 1', "K150|\nK151|\nK152|", [ scroll_request($pieces, payload => '["key"]') ], 'one SELECT names the three, by one request');
is(ask('SELECT (SELECT count(*) FROM piece_key) - (SELECT count(*) FROM piece)'), 3, 'counting says how many');
ask("UPDATE piece_key SET indexed = false WHERE key IN ('K150', 'K151', 'K152')");
is(ask('SELECT count(*) FROM unmatched'), 0, 'with the three marked as not indexed the invariant holds');
$qdrant->call('POST', $qdrant->path($pieces, '/points/delete?wait=true'), { points => [149] });
is(ask('SELECT expected, found FROM unmatched'), 'K149|', 'a point that is lost breaks it');
$qdrant->load($pieces, '{"id":149,"vector":[0.5,149],"payload":{"key":"K149","part":2}}', '{"id":150,"vector":[0.5,1],"payload":{"key":"K999","part":2}}');
is(ask('SELECT expected, found FROM unmatched'), '|K999', 'so does one too many');

# ---------- limits of the remote ----------

note 'strict mode';
my $strict = $qdrant->create('strict', { vectors => { size => 2, distance => 'Dot' }, strict_mode_config => { enabled => JSON::PP::true, max_query_limit => 100 } });
$qdrant->load($strict, map { sprintf '{"id":%d,"vector":[0,1],"payload":{"n":%d}}', $_, $_ } 1 .. 250);
is_asked("SELECT count(id) FROM q.points WHERE @{[of $strict]}", 250,
	[ scroll_request($strict), scroll_request($strict, limit => 100), map { scroll_request($strict, limit => 100, offset => $_) } 101, 201 ], 'a page that is too large is asked for again as large as it may be');
like(ask("EXPLAIN (ANALYZE, VERBOSE, COSTS off) SELECT id FROM q.points WHERE @{[of $strict]}"), qr/Remote Requests: 4\n.*Remote Bytes: \d+\n.*Remote Retries: 1\n.*Remote Time: [\d.]+ ms/, 'EXPLAIN (ANALYZE, VERBOSE) shows it');
is(ask("SELECT count(id) FROM q.points WHERE collection IN ('$strict', '$many')"), 2750, 'beside a collection without that limit');

sub configure { my ($name, %config) = @_; return $qdrant->call('PATCH', $qdrant->path($name), { strict_mode_config => { enabled => JSON::PP::true, %config } }) }
configure($strict, condition_max_size => 50);
is(ask("SELECT count(*) FROM q.points WHERE @{[of $strict]} AND filter = '{}' AND id = ANY (ARRAY(SELECT n::text FROM generate_series(1, 240) n))"), 240, 'so are ids that are too many for one condition');
configure($strict, condition_max_size => 1000, search_allow_exact => JSON::PP::false);
like(ask("SELECT points FROM q.collections WHERE @{[of $strict]}"), qr/^ERROR:  HV000: .*\nDETAIL:  HTTP 400: Bad request: Exact search disabled!.*\nHINT:  The collection's strict mode forbids exact counts; no approximate one/, 'where exact counts are forbidden there is none');
like(ask("SELECT count(*) FROM q.points WHERE @{[of $strict]}"), qr/^ERROR:  HV000: .*Exact search disabled/s, 'of points neither');
is(ask("SELECT points IS NULL, error ~ 'Exact search disabled' FROM lenient WHERE @{[of $strict]}"), 't|t', 'or NULL, with the error');
configure($strict, search_allow_exact => JSON::PP::true, unindexed_filtering_retrieve => JSON::PP::false);
like(ask("SELECT count(*) FROM q.points WHERE @{[of $strict]} AND filter = '{\"must\": [{\"key\": \"n\", \"match\": {\"value\": 1}}]}'"), qr/^ERROR:  HV000: .*Index required but not found for "n".*\nHINT:  .*create one/s, 'a filter on a key without an index, where that is forbidden');
is(ask("SELECT count(*) FROM q.points WHERE @{[of $strict]} AND payload ->> 'n' = '1'"), 1, 'is possible here');
configure($strict, read_rate_limit => 1);
ask("SELECT points FROM q.collections WHERE @{[of $strict]}");
like(ask("SELECT points FROM q.collections WHERE @{[of $strict]}"), qr/^ERROR:  53400: .*rate limit.*\nDETAIL:  HTTP 429: Rate limiting exceeded.*\nHINT:  Try again in \d+ s\./, 'the rate limit says when');

# ---------- plans ----------

note 'EXPLAIN';
my ($plan, @explained) = asked("EXPLAIN (COSTS off) SELECT count(*) FROM q.points WHERE @{[of $many]} AND filter = '$berlin'");
is_deeply(\@explained, [], 'EXPLAIN asks nothing');
like($plan, qr/Remote Request: POST \/collections\/\{collection\}\/points\/count \{"exact":true,"filter":\{filter\}\}/, 'and shows a count that is pushed');
like(ask("EXPLAIN (COSTS off) SELECT id FROM q.points WHERE @{[of $ids]} AND id = '0'"), qr/Remote Request: POST \/collections\/\{collection\}\/points \{"ids":\{ids\},"with_payload":false,"with_vector":false\}/, 'a look-up');
like(ask("EXPLAIN (COSTS off) SELECT payload FROM q.points"), qr/Remote Request: GET \/collections, POST \/collections\/\{collection\}\/points\/scroll \{"limit":1000,"with_payload":true,"with_vector":false\}/, 'a scan of all');
like(ask("EXPLAIN (COSTS off) SELECT points, status, aliases FROM q.collections WHERE @{[of $ids]}"), qr/Remote Request: POST \/collections\/\{collection\}\/points\/count \{"exact":true\}, GET \/collections\/\{collection\}, GET \/aliases/, 'what each column costs');

ask("ALTER SERVER qdrant OPTIONS (ADD consistency 'majority')");
is_asked('SELECT count(*) FROM piece', 150, [ count_request($pieces) =~ s/count/count?consistency=majority/r ], 'consistency, as the option says');
is_asked("SELECT id FROM piece WHERE id = '1'", 1, [qq(POST /collections/$pieces/points?consistency=majority {"ids":[1],"with_payload":false,"with_vector":false})], 'of look-ups, too');
is(ask('SELECT count(id) FROM piece'), 150, 'and of scrolls');
like(ask("ALTER SERVER qdrant OPTIONS (SET consistency '$_')"), qr/^ERROR:  HV024: .*consistency.*\nDETAIL:  "$_" is not allowed here\.\nHINT:  Allowed values/, "consistency is not '$_'") foreach '0', 'most', '-1', '1.5', '10000';
ask('ALTER SERVER qdrant OPTIONS (DROP consistency)');

# ---------- a token that sees only a part ----------

note 'tokens';
my $guarded = IU::Qdrant->start(own => [ '--api-key', 'master', '--read-only-api-key', 'reader' ], key => 'master');
my ($open, $shut) = map { $guarded->create($_) } 'open', 'shut';
$guarded->load($_, '{"id":1,"vector":[0,1]}') foreach $open, $shut;
IU::Cluster->reload($node, 'iu_core.allowed_origins' => join(', ', $qdrant->url, $guarded->url));
require Digest::SHA;
require MIME::Base64;
my $unsigned = join '.', map { MIME::Base64::encode_base64url(JSON::PP::encode_json($_)) } { alg => 'HS256', typ => 'JWT' }, { access => [ { collection => $open, access => 'r' } ] };
my $jwt = $unsigned . '.' . MIME::Base64::encode_base64url(Digest::SHA::hmac_sha256($unsigned, 'master'));
ask("CREATE SERVER guarded FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$guarded->url]}'); CREATE SCHEMA g; IMPORT FOREIGN SCHEMA api FROM SERVER guarded INTO g");
sub with_key { my ($key, $query) = @_; return ask("SET client_min_messages = warning; DROP USER MAPPING IF EXISTS FOR postgres SERVER guarded; CREATE USER MAPPING FOR postgres SERVER guarded OPTIONS (api_key '$key'); $query") }
is(with_key('reader', 'SELECT sum(points), count(*) FROM g.collections'), '2|2', 'a read-only key is enough');
is(ask('SELECT count(*) FROM g.points'), 2, 'also for points');
is(with_key($jwt, "SELECT points FROM g.collections WHERE @{[of $open]}"), 1, 'a token reads what it may');
like(ask("SELECT points FROM g.collections WHERE @{[of $shut]}"), qr/^ERROR:  42501: .*forbidden\nDETAIL:  HTTP 403: Forbidden: Access to collection $shut is required\nHINT:  Check option "api_key"/, 'what it may not is refused, not counted as 0');
is(ask('SELECT collection FROM g.collections'), $open, 'and is not listed');
like(with_key('wrong', 'SELECT points FROM g.collections'), qr/^ERROR:  28000: .*\nDETAIL:  HTTP 401: Invalid API key or JWT/, 'a wrong key');

# ---------- the shape of all that went through ----------

SKIP:
{
	skip 'npm is not installed', 2 unless $ENV{IU_QDRANT_NPM};
	is_deeply([ $_->wire_problems ], [], 'every request and every answer is of the shape that Qdrant documents') foreach $qdrant, $guarded;
}

$node->stop;
done_testing();
