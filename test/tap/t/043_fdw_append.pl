# Several foreign tables below an Append: they are asked at the same time, whatever
# fails or ends early in one of them, and give all their rows.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use IU::SmallQdrant;
use PostgreSQL::Test::Utils;
use Test::More;

my $qdrant = small_qdrant();
my $node = IU::Cluster->new_node('append', 'iu_core.databases' => '', 'iu_core.allowed_origins' => $qdrant->url,
	'iu_core.allowed_networks' => '127.0.0.0/8', log_statement => 'none', log_min_error_statement => 'panic');

talk_to($node);

sub plan_of { return ask("EXPLAIN (COSTS off) $_[0]") }

ask(<<"SQL");
CREATE EXTENSION iu_core;
CREATE SERVER q FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$qdrant->url]}');
IMPORT FOREIGN SCHEMA api FROM SERVER q INTO public;
CREATE FOREIGN TABLE many (id text, n integer, "group" text) SERVER q OPTIONS (resource 'points', collection 'many');
CREATE FOREIGN TABLE pieces (collection text, id text, payload jsonb) SERVER q
  OPTIONS (resource 'points', collection 'pieces');
SQL

sub tables_of
{
	my ($name, $count) = @_;
	return join '', map { "CREATE FOREIGN TABLE ${name}_$_ (id text) SERVER q OPTIONS (resource 'points', collection"
		  . " '$name');" }
	  1 .. $count;
}
ask(tables_of('slow', 20) . tables_of('pair', 2));
ask(q(CREATE FOREIGN TABLE hang (id text) SERVER q OPTIONS (resource 'points', collection 'hang')));
my $two = q(SELECT id FROM slow_1 UNION ALL SELECT id FROM slow_2);
my $pair = $two =~ s/slow/pair/gr;
like(plan_of($two), qr/Append\n *->  Async Foreign Scan on slow_1\n.*Async Foreign Scan on slow_2/s,
	'tables below an Append are read asynchronously');
is($qdrant->since(sub { is(ask("$pair ORDER BY 1"), "1\n1\n2\n2\n3\n3",
	'two tables below an Append give all rows of both') }), 2, 'two tables below an Append are asked at the same time');
is($qdrant->since(sub { ask("SET enable_async_append = off; $two") }), 1,
	'without async append two tables are asked one after the other');
is($qdrant->since(sub { is(ask(q(SELECT count(*) FROM pair_1 UNION ALL SELECT count(*) FROM pair_2)), "3\n3",
	'two counts below an Append give both') }), 2, 'two counts below an Append are asked at the same time');
is(ask("SELECT sum(id::int) FROM (SELECT id FROM many UNION ALL SELECT id FROM pieces WHERE id::int % 2 = 0 UNION ALL"
	  . " SELECT id FROM points WHERE collection = 'empty' UNION ALL SELECT '1') x"),
	2500 * 2501 / 2 + 74 * 75 + 1, 'an Append of pages, conditions, nothing and a local row gives all of them');
my $crowd = 'SELECT count(id) FROM (' . join(' UNION ALL ', map { "SELECT id FROM slow_$_" } 1 .. 20)
	  . join('', map { " UNION ALL SELECT id FROM pieces WHERE id = '$_'" } 1 .. 160) . ') x';
is(ask($crowd), 209, 'members of an Append that find no descriptors wait for others');
is(ask("SET enable_async_append = off; " . $crowd =~ s/slow_\d+/many/gr), 20 * 2500 + 149,
	'a member of an Append gives its connections back before the statement ends');
is(ask(q(SELECT g, (SELECT count(*) FROM (SELECT id FROM pieces WHERE id = g UNION ALL SELECT id FROM many
	  WHERE id = g) x) FROM (VALUES ('7'), ('200'), ('x')) v (g))), "7|2\n200|1\nx|0",
	'an Append is read again with another key');
is(ask("SELECT count(*) FROM ($two LIMIT 4) x"), 4, 'an Append below a LIMIT leaves a request behind');
like(ask(q(SELECT id FROM slow_1 UNION ALL SELECT id FROM points WHERE collection = 'nope')), qr/HV00R/,
	'an error in one member of an Append is an error of the statement');
like(ask(q(SET statement_timeout = '300ms'; SELECT id FROM hang UNION ALL SELECT id FROM slow_1)),
	qr/57014: canceling statement due to statement timeout/, 'statement_timeout ends an Append whose members all wait');
is(ask(q(SELECT id FROM slow_1 LIMIT 1)), 1, 'after an Append that was ended nothing is left of it');

$node->stop;
done_testing();
