# What is asked of a remote, and what is not: counts as counting requests,
# typed columns, pages as far as LIMIT needs them, joins by key, ANALYZE. The
# peers are small Qdrants that write down what they were asked.
use strict;
use warnings;

use IU::Cluster;
use IU::Lines;
use IU::SQL;
use IU::SmallQdrant;
use IU::Wait;
use PostgreSQL::Test::Utils;
use Test::More;

# ---- the peers

my $qdrant = small_qdrant();
my $other = small_qdrant();

# ---- the database

my $node = IU::Cluster->new_node('planning',
	'iu_core.databases' => '',
	'iu_core.allowed_origins' => join(', ', $qdrant->url, $other->url),
	'iu_core.allowed_networks' => '127.0.0.0/8',
	log_statement => 'none',
	log_min_error_statement => 'panic');

talk_to($node);

# The answer, and what was asked for it: the last part of each path, and the body if told; without the question for
# aliases that precedes the pages.
sub asked
{
	my ($query, $bodies) = @_;
	my ($result, @asked) = $qdrant->asked(sub { ask($query) });
	@asked = grep { $_->{path} ne '/aliases' } @asked;
	return ($result, map { my $p = $_->{path} =~ s{^/collections/?}{}r; $bodies ? "$p $_->{body}" : $p } @asked);
}

sub asks
{
	my ($query, $expected, $test, $bodies) = @_;
	my ($result, @asked) = asked($query, $bodies);
	is_deeply([ $result, sort @asked ], $expected, $test) or diag explain [ $result, @asked ];
}

sub plan_of { return ask("EXPLAIN (COSTS off) $_[0]") }

ask(<<"SQL");
CREATE EXTENSION iu_core;
CREATE SERVER q FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$qdrant->url]}');
CREATE SERVER o FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$other->url]}');
IMPORT FOREIGN SCHEMA api FROM SERVER q INTO public;
CREATE FOREIGN TABLE many (id text, n integer, "group" text) SERVER q OPTIONS (resource 'points', collection 'many');
CREATE FOREIGN TABLE paged (id text, n integer) SERVER q
  OPTIONS (resource 'points', collection 'many', page_size '1000');
CREATE FOREIGN TABLE ahead (id text, n integer) SERVER o
  OPTIONS (resource 'points', collection 'many', page_size '1000');
CREATE FOREIGN TABLE pieces (collection text, id text, payload jsonb) SERVER q
  OPTIONS (resource 'points', collection 'pieces');
CREATE FOREIGN TABLE kinds (id text, n numeric, text text, flag boolean) SERVER q
  OPTIONS (resource 'points', collection 'kinds');
CREATE TABLE names (name text, wanted text);
INSERT INTO names VALUES ('pieces', '5'), ('empty', '1'), (NULL, '2');
ANALYZE names;
SQL

# ---- count(*)

asks(q(SELECT count(*) FROM points WHERE collection = 'pieces'), [ 149, 'pieces/points/count {"exact":true}' ],
	'a count of a collection is one request', 1);
asks(q(SELECT count(*) FROM pieces), [ 149, 'pieces/points/count' ],
	'a count of a table of one collection is one request');
asks(q(SELECT count(*) FROM points WHERE collection IN ('pieces', 'many', 'empty')),
	[ 2649, map { "$_/points/count" } qw(empty many pieces) ],
	'a count of several collections is one sum of a request each');
asks(q(SELECT collection, count(*) FROM points WHERE collection IN ('pieces', 'many', 'empty') GROUP BY collection
	  ORDER BY 1),
	[ "many|2500\npieces|149", map { "$_/points/count" } qw(empty many pieces) ],
	'a count grouped by collection makes no group of nothing');
asks(q(SELECT count(*) * 2 || ' ' || collection FROM points WHERE collection = 'pieces' GROUP BY collection),
	[ '298 pieces', 'pieces/points/count' ], 'a count within expressions is one request');
asks(q(SELECT count(*) FROM points), [ 2656, '', map { "$_/points/count" } qw(empty kinds many odd_ids pieces) ],
	'a count of every collection lists them first');
asks(q(SELECT count(*) FROM points WHERE collection = 'many'
	  AND filter = '{"must":[{"key":"group","match":{"value":"odd"}}]}'),
	[ 1250, 'many/points/count {"exact":true,"filter":{"must": [{"key": "group", "match": {"value": "odd"}}]}}' ],
	'a count with a filter is one request', 1);
asks(q(SELECT g, (SELECT count(*) FROM many_filtered WHERE filter = jsonb_build_object('must',
	  jsonb_build_array(jsonb_build_object('key', 'group', 'match', jsonb_build_object('value', g)))))
	  FROM (VALUES ('odd'), ('none')) v (g))
	=~ s/many_filtered/points WHERE collection = 'many' AND/r =~ s/AND WHERE/AND/r,
	[ "odd|1250\nnone|0", ('many/points/count') x 2 ], 'a count in a correlated query is a request for each filter');
asks(q(SELECT count(*) FROM points WHERE collection = NULL), [0], 'a count of a collection that is NULL asks nothing');
asks(q(SELECT count(*) FROM points WHERE collection = ANY ('{}')), [0], 'a count of no collection asks nothing');
asks(q(SELECT count(*) FROM pieces WHERE collection = 'many'), [0],
	'a count of a collection that the table does not show asks nothing');
asks(q(SELECT collection, count(*) FROM points WHERE collection = NULL GROUP BY collection), [''],
	'a count of a collection that is NULL makes no group');
asks(q(SELECT count(*) FROM points WHERE collection = 'nope'),
	[ qq(ERROR:  HV00R: could not read collection "nope" of foreign server "q": Qdrant has no such collection)
		  . qq(\nDETAIL:  HTTP 404: Not found: Collection `nope` doesn't exist!)
		  . qq(\nCONSTRAINT NAME:  iu_remote_collection_missing\n),
	'nope/points/count' ], 'a count that failed is an error');

# where it would not be exact, rows are counted here
asks(q(SELECT count(*) FROM points WHERE collection = 'pieces' AND id IN ('1', '2', '900')), [ 2, 'pieces/points' ],
	'a count with a restriction on ids reads points');
asks(q(SELECT count(*) FROM many WHERE n > 2498), [ 2, ('many/points/scroll') x 3 ],
	'a count with a condition on a field reads points');
unlike(plan_of($_), qr/Aggregate on/, "the count is not asked of the remote: $_") for
  q(SELECT count(*) FROM points WHERE collection IN ('pieces', 'many') AND collection = 'pieces'),
q(SELECT count(*) FROM many WHERE n = 1),
  q(SELECT count(n) FROM many), q(SELECT count(*) FILTER (WHERE n = 1) FROM many),
q(SELECT count(DISTINCT id) FROM many),
  q(SELECT count(*), max(n) FROM many), q(SELECT "group", count(*) FROM many GROUP BY 1),
q(SELECT count(*) FROM pieces GROUP BY GROUPING SETS ((collection), ())),
  q(SELECT collection, count(*) FROM pieces GROUP BY 1 HAVING count(*) > 1), q(SELECT count(*) FROM collections),
q(SELECT count(*) FROM many, names),
  q(SELECT count(*) FROM points WHERE collection = 'pieces' AND random() < 2),
q(SELECT count(*) FROM pieces WHERE id = '1');
like(plan_of(q(SELECT count(*) FROM many)),
	qr/^Foreign Scan\n *Relations: Aggregate on \(many\)\n *Remote Request: POST .*count.*\n *Remote Keys: many/,
	'EXPLAIN shows a count that is pushed');

# ---- typed columns

is(ask(q(SELECT id, n, text, flag FROM kinds WHERE id IN ('1', '2', '3', '4') ORDER BY id)),
	"1|1|one|t\n2|2||f\n3|3.5|7|\n4|||", 'strings, numbers and booleans are read by their text');
sub column
{
	my ($type, $field, $id) = @_;
	ask(qq(DROP FOREIGN TABLE IF EXISTS typed; CREATE FOREIGN TABLE typed (id text, v $type OPTIONS (field '$field'))
		  SERVER q OPTIONS (resource 'points', collection 'kinds')));
	return ask("SELECT v FROM typed WHERE id = '$id'");
}
is(column('jsonb', 'deep', 1), '{"x": [1]}', 'an object is read into jsonb');
is(column('json', 'deep', 3), '"text"', 'a string is read into json');
is(column('jsonb', 'text', 2), '', 'null is read as NULL');
is(column('text[]', 'tags', 1), '{a,NULL,c}', 'an array is read into an array of text');
is(column('text[]', 'tags', 2), '{}', 'an empty array is read');
is(column('integer[]', 'list', 2), '{1,2}', 'an array is read into an array of integers');
is(column('date', 'day', 1), '2026-01-02', 'a date is read');
is(column('varchar(10)', 'a "b"', 4), 'odd', 'a key with quotation marks is read');
ask('CREATE DOMAIN positive AS numeric CHECK (VALUE > 1.5)');
is(column('positive', 'n', 3), '3.5', 'a number is read into a domain');
sub unfit
{
	my ($type, $field, $id, $found) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like(column($type, $field, $id),
		pattern(qr/^ERROR:  HV004: column "v" of foreign table "typed" cannot hold what the remote has/,
			qr/\nDETAIL:  Collection "kinds", id "$id": $found\.\nHINT/),
			"field $field does not fit into type $type: the error names column and point")
	  or diag column($type, $field, $id);
}
unfit('integer', 'text', 1, 'invalid input syntax for type integer: "one"');
unfit('integer', 'n', 3, 'invalid input syntax for type integer: "3.5"');
unfit('date', 'day', 2, 'invalid input syntax for type date: "soon"');
unfit('text', 'deep', 1, 'type text cannot hold an object: \{"x": \[1\]\}');
unfit('text', 'tags', 1, 'type text cannot hold an array: \["a", null, "c"\]');
unfit('text[]', 'tags', 3, 'type text\[\] cannot hold what is no array: no array');
unfit('integer[]', 'list', 3, 'type integer\[\] cannot hold an array: \[2\]');
unfit('positive', 'n', 1, 'value for domain positive violates check constraint "positive_check"');
asks(q(SELECT n FROM kinds WHERE id = '1'), [ 1, 'kinds/points {"ids":[1],"with_payload":["n"],"with_vector":false}' ],
	'only the fields that are looked at are asked for', 1);
like(ask(q(CREATE FOREIGN TABLE loose (collection text, n integer) SERVER q OPTIONS (resource 'points');
	  SELECT * FROM loose)),
	qr/HV007: column "n" .*HINT:  Known columns: .*option "collection"/s,
	'a column of a field in a table of all collections is an error');

# ids
is(ask(q(SELECT id FROM points WHERE collection = 'odd_ids')),
	"9007199254740993\n18446744073709551615\n550e8400-e29b-41d4-a716-446655440000",
	'ids beyond bigint and UUIDs are read');

# ---- a database in another encoding

sub latin { return ask($_[0], database => 'latin') }
$ENV{PGCLIENTENCODING} = 'UTF8';
ask(q(CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'));
latin("CREATE EXTENSION iu_core; CREATE SERVER q FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$qdrant->url]}');"
	  . q(CREATE FOREIGN TABLE words (id text, w text, filter jsonb) SERVER q OPTIONS (resource 'points', collection
	  'words')));
is(latin(q(SELECT id, w FROM words WHERE filter = '{"must":[{"key":"w","match":{"value":"grün"}}]}')), '1|grün',
	'in a LATIN1 database text is converted on the way out and back');
like(latin('SELECT id, w FROM words'),
	pattern(qr/HV000: could not read collection "words" of foreign server "q": the answer is not usable JSON/,
		pattern(qr/\nDETAIL:  HTTP 200: character with byte sequence 0xc5 0x82 in encoding "UTF8" has no/,
			qr/ equivalent in encoding "LATIN1"/)),
	'in a LATIN1 database text that it cannot hold is an error');

# ---- the filter

like(ask(q(SELECT id FROM points WHERE collection = 'many' AND filter @> '{}')),
	qr/^ERROR:  0A000: column "filter" of foreign table "points" can be compared with one value by = only/,
	'a filter that is compared otherwise than by = is an error');
like(ask(q(SELECT id FROM points WHERE collection = 'many' AND (filter = '{}' OR filter = '[]'))), qr/0A000/,
	'two filters are an error');
is(ask(q(SELECT id, filter FROM points WHERE collection = 'many'
	  AND filter = '{"must":[{"key":"n","match":{"value":7}}]}')), '7|{"must": [{"key": "n", "match": {"value": 7}}]}',
	'the column filter shows the filter');
is(ask(q(SELECT v.f, p.id FROM (VALUES ('{"must":[{"key":"n","match":{"value":7}}]}'::jsonb)) v (f) JOIN points p
	  ON p.filter = v.f AND p.collection = 'many')),
	'{"must": [{"key": "n", "match": {"value": 7}}]}|7', 'a join on the filter passes it on');

is(ask(q(SET enable_nestloop = off; SELECT p.id FROM (VALUES ('{"must":[{"key":"n","match":{"value":7}}]}'::jsonb),
	  ('{"must":[{"key":"n","match":{"value":9}}]}')) v (f) JOIN points p ON p.filter = v.f AND p.collection = 'many')),
	"7\n9", 'a join on the filter passes it on, whatever the planner would rather do');

# ---- pages and LIMIT

asks(q(SELECT count(*) FROM (SELECT id FROM paged OFFSET 0) p), [ 2500, ('many/points/scroll') x 3 ],
	'a scan of 2,500 points is three pages');
asks(q(SELECT id FROM paged LIMIT 3),
	[ "1\n2\n3", 'many/points/scroll {"limit":3,"with_payload":false,"with_vector":false}' ],
	'a LIMIT makes the page smaller, and asks for no other', 1);
asks(q(SELECT id FROM paged LIMIT 1 OFFSET 1000),
	[ 1001, map { "many/points/scroll $_" } '{"limit":1000,"with_payload":false,"with_vector":false,"offset":1001}',
	'{"limit":1000,"with_payload":false,"with_vector":false}' ], 'an OFFSET counts for the size of the page', 1);
asks(q(SELECT id FROM paged WHERE n > 10 LIMIT 3),
	[ "11\n12\n13", 'many/points/scroll {"limit":1000,"with_payload":["n"],"with_vector":false}' ],
	'a LIMIT with a condition that is checked here asks for one whole page', 1);
asks(q(SELECT id FROM paged WHERE n > 1500 LIMIT 2), [ "1501\n1502", ('many/points/scroll') x 2 ],
	'a LIMIT with a condition that is checked here asks for a second page if it is needed');
asks(q(SELECT id FROM paged ORDER BY n DESC LIMIT 1), [ 2500, ('many/points/scroll') x 3 ],
	'a LIMIT with a sort needs every page');
asks(q(SELECT count(*) FROM (SELECT payload FROM pieces OFFSET 0) p), [ 149, ('pieces/points/scroll') x 3 ],
	'the limit that the remote sets for a page is found out');
like(ask(q(EXPLAIN (ANALYZE, VERBOSE, COSTS off) SELECT payload FROM pieces)),
	qr/Remote Requests: 4\n.*Remote Bytes: \d{4,}\n.*Remote Retries: 1\n.*Remote Time: [\d.]+ ms/,
	'EXPLAIN (ANALYZE, VERBOSE) shows requests, bytes, retries and time');
unlike(ask(q(EXPLAIN (ANALYZE, COSTS off) SELECT payload FROM pieces)), qr/Retries|Time: [\d.]+ ms\n.*Remote/,
	'EXPLAIN (ANALYZE) without VERBOSE shows neither retries nor time');

# of a peer of their own, because what an abandoned cursor asked for comes late
{
	my $pages = sub { return scalar grep { $_->{path} =~ /scroll/ } $other->requests };
	my $session = $node->background_psql('postgres');
	$session->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT id FROM ahead; FETCH 1 FROM c');
	wait_for { $pages->() >= 2 };
	$session->query_safe('FETCH 500 FROM c');
	is($pages->(), 2,
		'while rows of a page are read the next page is asked for, and no more than that');
	$session->quit;
}
like(ask(q(BEGIN; DECLARE c CURSOR FOR SELECT id FROM ahead; FETCH 1 FROM c; CREATE TEMP TABLE m AS
	  SELECT name, total_bytes AS bytes FROM pg_backend_memory_contexts
	  WHERE name ~ '^iu_core (rows|requests|answer|HTTP)';
	MOVE 1800 IN c; SELECT count(*), bool_and(total_bytes < 1.5 * bytes) FROM pg_backend_memory_contexts
	  JOIN m USING (name))),
	qr/^1\n4\|t$/, 'the memory of a scan is bounded by a page');

# ---- joins

asks(q(SELECT wanted, p.id FROM names LEFT JOIN points p ON p.collection = name AND p.id = wanted ORDER BY 1),
	[ "1|\n2|\n5|5", '', 'empty/points', 'pieces/points' ],
	'a join on collection and id asks by key, after the list of collections');
like(plan_of(q(SELECT * FROM names JOIN points p ON p.collection = name AND p.id = wanted)),
	pattern(qr/Nested Loop.*Remote Request: GET .collections, POST .*"ids".*\n *Remote Keys: \(known at execution\)/s,
		qr/\n *Remote Ids: \(known at execution\)/s), 'EXPLAIN shows a join that asks by key');
like(plan_of(q(SELECT * FROM generate_series(1, 100000) g JOIN pieces p ON p.id = g::text)),
	qr/(Hash|Merge) Join.*scroll/s, 'a join with many keys is made here');

# ---- ANALYZE

asks('ANALYZE many', [ '', ('many/points/scroll') x 3 ], 'ANALYZE reads the table once');
is(ask(q(SELECT reltuples FROM pg_class WHERE relname = 'many')), 2500, 'after ANALYZE the number of rows is known');
like(ask(q(EXPLAIN SELECT * FROM many WHERE "group" = 'odd')), qr/rows=1250\b/,
	'after ANALYZE the planner knows the values of a column');
like(ask(q(EXPLAIN SELECT * FROM many)), qr/rows=2500\b/, 'after ANALYZE the planner knows the number of rows');
is(ask(q(SELECT n_distinct FROM pg_stats WHERE tablename = 'many' AND attname = 'id')), -1,
	'after ANALYZE ids are known to be distinct');

# ---- IMPORT FOREIGN SCHEMA data

ask('CREATE SCHEMA data; IMPORT FOREIGN SCHEMA data LIMIT TO (kinds, many) FROM SERVER q INTO data');
is(ask(q(SELECT foreign_table_name FROM information_schema.foreign_tables WHERE foreign_table_schema = 'data'
	  ORDER BY 1)), "kinds\nmany", 'IMPORT makes a table for each collection of LIMIT TO');
is(ask(q(SELECT n FROM data.many WHERE id = '7')), 7, 'an imported table can be read');

$node->stop;
done_testing();
