# An alias of Qdrant that is switched after every answer: a reading is of one
# collection, however many requests it takes.
use strict;
use warnings;

use IU::Answers;
use IU::Canned;
use IU::Cluster;
use IU::SQL;
use JSON::PP;
use Test::More;

my $json = JSON::PP->new->utf8->canonical;
my @collections = ('plain', 'other');
my %shards = (keyed => [ 'a', 'b' ]);
my @many = map { "c$_" } reverse 1 .. 300;
my $switched = 0;

sub stands_for { return $_[0] eq 'alias' ? $collections[ $switched % 2 ] : $_[0] eq 'keys' ? 'keyed' : $_[0] }

# A point says whose it is. Of a collection with shard keys a point has one.
sub point
{
	my ($of, $id, $shard, $with) = @_;
	my $big = $with =~ /big/ ? ',"big":"' . ('x' x 20000) . '"' : '';
	return qq({"id":$id,"payload":{"of":"$of"$big}@{[$shard ? qq(,"shard_key":"$shard") : '']}});
}

sub points
{
	my ($of, $path, $body) = @_;
	my $shard = $shards{$of} && ($body->{shard_key} // $shards{$of}[0]);
	my $with = $json->encode([ $body->{with_payload} ]);
	my @ids = 1 .. 20;
	@ids = grep { my $id = $_; grep { $_ == $id } @{ $body->{ids} } } @ids if $body->{ids};
	$ids[0] = 9 if $of eq 'wrong';
	return qdrant_result('[' . join(',', map { point($of, $_, $shard, $with) } @ids) . ']') if $path eq '/points';
	my ($from) = $body->{offset} // 1;
	my @page = grep { $_ >= $from && $_ < $from + $body->{limit} } @ids;
	my $next = $from + $body->{limit} <= 20 ? $from + $body->{limit} : 'null';
	return qdrant_result('{"points":[' . join(',', map { point($of, $_, $shard, $with) } @page)
		  . qq(],"next_page_offset":$next}));
}

sub peer
{
	my ($request) = @_;
	return qdrant_result('{"aliases":[{"alias_name":"keys","collection_name":"keyed"},'
		  . join('', map { my $of = $_; map { qq({"alias_name":"$_$of","collection_name":"$of"},) } qw(z a m) } @many)
		  . '{"alias_name":"alias","collection_name":"' . stands_for('alias') . '"}]}')
	  if $request->{path} eq '/aliases';
	return qdrant_result('{"collections":[' . join(',', map { qq({"name":"$_"}) } @many, 'plain') . ']}')
	  if $request->{path} eq '/collections';
	my ($name, $rest) = $request->{path} =~ m{^/collections/([^/?]+)([^?]*)} or return { status => 404, body => '{}' };
	my $of = stands_for($name);
	$switched++;
	return qdrant_result('{"shard_keys":[' . join(',', map { qq({"key":"$_"}) } @{ $shards{$of} }) . ']}')
	  if $rest eq '/shards';
	return qdrant_result('{"count":' . ($of eq 'plain' ? 20 : 21) . '}') if $rest eq '/points/count';
	return qdrant_result('{"status":"' . ($of eq 'plain' ? 'green' : 'yellow')
		  . '","update_queue":{"length":0,"deferred_points":0},"config":{"params":{}}}') if $rest eq '';
	return qdrant_result('{"peer_id":1,"local_shards":[{"shard_id":0,"state":"Active"}],"remote_shards":[],'
		  . '"shard_transfers":[' . ($of eq 'plain' ? '' : '{"shard_id":0}') . ']}') if $rest eq '/cluster';
	return points($of, $rest, $json->decode($request->{body}));
}

my $qdrant = IU::Canned->start(\&peer);
my $node = IU::Cluster->new_node('aliases', 'iu_core.databases' => '', 'iu_core.allowed_origins' => $qdrant->url,
	'iu_core.allowed_networks' => '127.0.0.0/8', 'iu_core.max_response_size' => '64kB');
talk_to($node);
sql(<<"SQL");
CREATE EXTENSION iu_core;
CREATE SERVER q FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$qdrant->url]}');
CREATE FOREIGN TABLE p (collection text, id text, "of" text OPTIONS (field 'of'), shard_key text, filter jsonb)
  SERVER q OPTIONS (resource 'points', collection 'alias', page_size '7');
CREATE FOREIGN TABLE heavy (id text, "of" text, big text) SERVER q OPTIONS (resource 'points', collection 'alias');
CREATE FOREIGN TABLE wrong (id text) SERVER q OPTIONS (resource 'points', collection 'wrong');
CREATE FOREIGN TABLE k (id text, "of" text, shard_key text) SERVER q
  OPTIONS (resource 'points', collection 'keys', page_size '7');
CREATE FOREIGN TABLE points (collection text, id text, payload jsonb) SERVER q
  OPTIONS (resource 'points', page_size '7');
CREATE FOREIGN TABLE collections (collection text, points bigint, status text, points_sure bigint, doubt text,
  aliases text[]) SERVER q OPTIONS (resource 'collections');
SQL

# The rows, and the paths that were asked for.
sub asked
{
	my ($query) = @_;
	my ($result, @asked) = $qdrant->asked(sub { ask($query) });
	return ($result, map { $_->{path} =~ s{^/collections/}{}r } @asked);
}

sub is_of_one
{
	my ($query, $name) = @_;
	my ($rows, @asked) = asked($query);
	like($rows, qr/^(plain|other)$/, $name) or diag join ', ', @asked;
	return @asked;
}

my @asked = is_of_one('SELECT DISTINCT "of" FROM p', 'the pages of a reading are of one collection');
is_deeply([ @asked[ 0, 1 ], scalar @asked ], [ '/aliases', $asked[-1], 4 ],
	'what the alias stands for is asked before the first page, and once');
is_of_one('SELECT DISTINCT "of" FROM heavy WHERE length(big) > 1',
	'pages that are asked for again, smaller, are of one collection');
is_of_one("SELECT DISTINCT \"of\" FROM heavy WHERE length(big) > 1"
	  . " AND id = ANY (ARRAY(SELECT n::text FROM generate_series(1, 9) n))",
	'ids that are asked for again, fewer at once, are of one collection');
is_of_one("SELECT DISTINCT \"of\" FROM p WHERE id IN ('1', '3', '5', '7', '9', '11', '13', '15', '17', '19')"
	  . ' AND filter = \'{"must": []}\'', 'ids with a filter, on several pages, are of one collection');
is_of_one("SELECT DISTINCT payload ->> 'of' FROM points WHERE collection IN ('alias', 'none_such', 'keys')"
	  . " AND payload ->> 'of' <> 'keyed' AND payload ->> 'of' <> 'none_such'",
	'the pages of an alias are of one collection, beside others');
is_of_one('SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;'
	  . ' SELECT DISTINCT "of" FROM (VALUES (\'1\'), (\'2\'), (\'3\'), (\'4\')) v (id) JOIN p USING (id)',
	'a loop that looks ids up one by one finds them in one collection');
is_of_one('SELECT DISTINCT o FROM (VALUES (\'1\'), (\'2\'), (\'3\')) v (i),'
	  . ' LATERAL (SELECT "of" AS o FROM p WHERE id = v.i OFFSET 0) l',
	'a subquery that is run again finds one collection');
my ($rows, @keyed) = asked('SELECT count(*), count(DISTINCT shard_key) FROM k');
is_deeply([ $rows, scalar grep { m{^keys/} } @keyed ], [ '40|2', 0 ],
	'a collection with shard keys is read under its own name') or diag join ', ', @keyed;
($rows, @keyed) = asked("SELECT count(*), count(DISTINCT shard_key) FROM k WHERE id = '3'");
is_deeply([ $rows, grep { m{^keys/} } @keyed ], [ '2|2', 'keys/points' ],
	'that it has shard keys may be seen under the alias, and then it is read anew');
($rows, @asked) = asked("SELECT count(*) FROM p WHERE id = '5'");
is_deeply(\@asked, ['alias/points'], 'one request is not preceded by another');
($rows, @asked) = asked('SELECT count(*) FROM p');
is_deeply(\@asked, ['alias/points/count'], 'nor is a count');
foreach (1 .. 2)
{
	like(ask("SELECT points, status FROM collections WHERE collection = 'alias'"), qr/^(20\|green|21\|yellow)$/,
		'the count and the description are of one collection');
	like(ask("SELECT points_sure, points, doubt FROM collections WHERE collection = 'alias'"),
		qr/^(20\|20\||\|21\|a shard is being moved)$/,
		'whether a count is everything is told of the collection counted');
	$switched++ if $_ == 1;
}
like(ask("SELECT status, aliases FROM collections WHERE collection = 'alias'"),
	qr/^(green|yellow)\|\{alias\}$/, 'the aliases of an alias are those of its collection');
is(ask(q(SELECT count(*), count(DISTINCT collection), bool_and(aliases = ARRAY['a' || collection, 'm' || collection,
	  'z' || collection]) FROM collections WHERE collection <> 'plain')), '300|300|t',
	'of hundreds of collections each is told with its own aliases, in order');
is(ask("SELECT aliases FROM collections WHERE collection IN ('mc7', 'c300') ORDER BY 1"),
	"{ac300,mc300,zc300}\n{ac7,mc7,zc7}", 'one of hundreds of aliases stands for its own collection');
my $names = "SELECT 'c' || 2 * n AS name FROM generate_series(1, 300) n";
is(ask("SELECT count(*), count(DISTINCT collection) FROM collections WHERE collection = ANY (ARRAY($names))"),
	'150|150', 'of hundreds of names those that are listed are found at once');
unlike(ask("EXPLAIN (COSTS off) SELECT 1 FROM collections WHERE collection = ANY (ARRAY($names))"), qr/Filter:/,
	'a collection is not compared with each of hundreds of names');
is(ask("SELECT count(*) FROM collections WHERE collection = ANY (ARRAY($names)) AND collection <> 'c2'"), '149',
	'what else is asked of the collections is compared');
is(ask('SELECT string_agg(id, \' \' ORDER BY id) FROM wrong'
	  . " WHERE id = ANY (ARRAY(SELECT unnest('{5,3,NULL}'::text[])))"),
	'5', 'a row that was not asked for is left out');
is(ask('SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;'
	  . " SELECT count(*), count(DISTINCT c.collection) FROM ($names) v JOIN collections c ON c.collection = v.name"),
	'150|150', 'of hundreds of names those that are listed are found one by one');
@asked = (asked("SELECT points FROM collections WHERE collection = 'alias'"))[ 1 .. 1 ];
is_deeply(\@asked, ['alias/points/count'], 'a count of a collection alone is one request');
like(ask('EXPLAIN (COSTS off) SELECT id FROM p'), qr{Remote Request: GET /aliases, POST},
	'EXPLAIN shows the request for the aliases');

$node->stop;
done_testing();
