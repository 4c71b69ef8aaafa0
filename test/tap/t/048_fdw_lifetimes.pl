# What outlives what: cursors, rescans, cached plans, slow readers; and a remote
# that answers with more, or with something else, than it was asked for.
use strict;
use warnings;

use IU::Answers;
use IU::Canned;
use IU::Cluster;
use IU::SQL;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

# ---- the peer: a collection's name says how it behaves

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my %size = (many => 2500, few => 3, late => 4, filtered => 3);


sub record
{
	my ($id, $payload) = @_;
	return qq({"id":$id,"payload":)
		  . $json->encode($payload // { n => $id + 0, word => 'w' x 100, letters => [ 'a', undef ] })
		  . ',"vector":null}';
}

sub scroll
{
	my ($name, $body) = @_;
	my $from = $body->{offset} // 1;
	my $to = $from + $body->{limit} - 1;
	$to = $size{$name} if $to > $size{$name};
	$to = $from + 1 if $name eq 'late' && $to > $from + 1;
	my $next = $to < $size{$name} ? $to + 1 : 'null';
	return qdrant_result('{"points":[' . join(',', map { record($_) } $from .. $to) . qq(],"next_page_offset":$next}));
}

sub peer
{
	my ($request) = @_;
	my ($name, $rest) = $request->{path} =~ m{^/collections/?([^/?]*)(.*)$} or return { status => 404, body => '{}' };
	return qdrant_result('{"collections":[' . join(',', map { qq({"name":"$_"}) } sort keys %size) . ']}')
		  if $name eq '';
	return qdrant_result('{"status":"green","config":{"params":{}}}') if $rest eq '';
	my $body = $json->decode($request->{body});
	return { hang => 1 } if $name eq 'hang';
	return { status => 200, body => "{\"result\":{\"points\":[{\"id\":1,\"payload\":{\"n\":\"\xff\xfe\"}}]}}" }
		  if $name eq 'bytes';
	return { status => 200, body => '{"result":' . '[' x 200000 } if $name eq 'deep';
	return { status => 200, body => '{"result":{"points":[[],1,null],"next_page_offset":null}}' } if $name eq 'shapes';
	return qdrant_result('{"points":[],"next_page_offset":7}') if $name eq 'loop';
	return { status => 404, body => '{}' } if $name =~ /%/;
	return qdrant_result('{"points":[' . join(',', map { record($_) } 1 .. $body->{limit} + 1)
		  . '],"next_page_offset":null}') if $name eq 'generous' && $rest eq '/points/scroll';
	return qdrant_result('[' . join(',', map { record($_) } 1, 1, 1) . ']') if $name eq 'generous';
	return qdrant_result(qq({"count":$size{$name}})) if $rest eq '/points/count';
	return scroll($name, $body) if $rest eq '/points/scroll';
	return qdrant_result('[' . join(',', map { record($_) } grep { $_ <= $size{$name} } @{ $body->{ids} }) . ']');
}

my @qdrants = map { IU::Canned->start(\&peer) } 1 .. 4;
my $qdrant = $qdrants[0];
my $impatient = IU::Canned->start(\&peer, impatient => 1);

# ---- the database

my $node = IU::Cluster->new_node('lifetimes',
	'iu_core.databases' => '',
	'iu_core.allowed_origins' => join(', ', (map { $_->url } @qdrants, $impatient),
	map { "https://so-that-the-list-is-long-$_.example.org" } 1 .. 50),
	'iu_core.allowed_networks' => '127.0.0.0/8',
	log_statement => 'none',
	log_min_error_statement => 'panic');

talk_to($node);

sub table_of
{
	my ($name, $columns, $server) = @_;
	return "CREATE FOREIGN TABLE $name ($columns) SERVER " . ($server // 'q1')
		  . " OPTIONS (resource 'points', collection '" . ($name =~ s/_.*//r) . "');\n";
}

ask('CREATE EXTENSION iu_core;'
	. join('', map {
			"CREATE SERVER q$_ FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$qdrants[$_ - 1]->url]}');"
		} 1 .. 4)
	. 'CREATE SERVER hasty FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url \'' . $qdrant->url . "', timeout_ms '2000');"
	. join('', map { "CREATE FOREIGN TABLE points_$_ (collection text, id text, payload jsonb, filter jsonb)"
	  . " SERVER q$_ OPTIONS (resource 'points');" } 1 .. 4)
	. table_of('many', 'id text, n integer') . table_of('few', 'id text, n integer, filter jsonb')
	  . table_of('late_hasty', 'id text, n integer', 'hasty')
	. "CREATE SERVER impatient FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '" . $impatient->url . "');"
	. table_of('late_impatient', 'id text, n integer', 'impatient')
	. table_of('hang_hasty', 'id text, n integer', 'hasty')
	. table_of('generous', 'id text, n integer'));

# ---- rescans and cursors

like(ask(q(BEGIN; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_material = off;
	  SET LOCAL enable_memoize = off;
	DECLARE c CURSOR FOR SELECT g, x.n FROM generate_series(1, 2500) g, LATERAL (SELECT n FROM many
	  WHERE id = g::text OFFSET 0) x;
	MOVE 100 IN c;
	CREATE TEMP TABLE m AS SELECT sum(used_bytes) AS bytes FROM pg_backend_memory_contexts WHERE name ~ '^iu_core';
	MOVE 1000 IN c; SELECT sum(used_bytes) - max(bytes) < 20000 FROM pg_backend_memory_contexts, m
	  WHERE name ~ '^iu_core')),
	qr/^t$/m, 'a thousand rescans leave no memory behind');
is(ask(q(BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT id FROM many; FETCH 1 FROM c; COMMIT; MOVE 2400 IN c;
	  FETCH 1 FROM c)), "1\n2402", 'a cursor WITH HOLD gives every row');
like(ask(q(BEGIN; DECLARE c CURSOR FOR SELECT id FROM many; SAVEPOINT s; FETCH 1 FROM c; SELECT count(*) FROM many;
	  SELECT 1 / 0; ROLLBACK TO s; SELECT count(*) FROM few; FETCH 1 FROM c)),
	qr/22012/, 'an error beside an open cursor is that error');
is(ask(q(\set ON_ERROR_STOP off
	BEGIN; DECLARE c CURSOR FOR SELECT id FROM many; FETCH 1 FROM c; SAVEPOINT s; MOVE 1500 IN c;
	SELECT count(*) FROM few;
	ROLLBACK TO s; FETCH 1 FROM c; SELECT count(*) FROM many)) =~ s/^psql.*\n//mgr,
	"1\n3\n1502\n2500", 'a cursor goes on after a rollback to a savepoint');
is(ask(q(BEGIN; DECLARE c CURSOR FOR SELECT n FROM late_hasty; FETCH 1 FROM c; SELECT pg_sleep(2.5); FETCH ALL FROM c)),
	"1\n\n2\n3\n4", 'a reader that pauses for longer than the time-out between fetches gets every row');
is(ask(q(SELECT sum(n) FROM (SELECT n, pg_sleep(0.6) FROM late_hasty OFFSET 0) x)), 10,
	'a reader that takes longer than the time-out within a statement gets every row');
is(ask(q(BEGIN; DECLARE c CURSOR FOR SELECT n FROM late_impatient; FETCH 1 FROM c; SELECT pg_sleep(2.5);
	  FETCH ALL FROM c)), "1\n\n2\n3\n4",
	'a reader that pauses for longer than a server waits for a request to become complete gets every row');
is(ask(q(SELECT sum(n) FROM (SELECT n, pg_sleep(1.2) FROM late_impatient OFFSET 0) x)), 10,
	'a reader that takes longer than that within a statement gets every row');
like(ask(q(SELECT n FROM hang_hasty)), qr/HV00N.*2000 ms/s, 'a remote that takes longer than the time-out is an error');
like(ask(q(SELECT n FROM hang_hasty UNION ALL SELECT n FROM hang_hasty)), qr/HV00N.*2000 ms/s,
	'a remote that takes longer than the time-out is an error while others wait for it');
is((() = grep { $_->{path} =~ /hang/ } $qdrant->requests), 3, 'a request that ran out of time is not made again');
is(ask(q(SELECT sum(n) FROM (SELECT n, pg_sleep(0.6) FROM (SELECT n FROM late_hasty UNION ALL SELECT n
	  FROM late_hasty) y OFFSET 0) x)), 20,
	'a reader that is slower than the time-out gets every row of several scans at once');

sub cursors { return join '', map { "DECLARE c$_ CURSOR FOR SELECT id FROM points_1; FETCH 1 FROM c$_;" } 1 .. $_[0] }
my $others = join '', map { "SELECT count(*) FROM points_$_;" } 2 .. 4;
is(ask('BEGIN;' . cursors(9)), join("\n", (1) x 9), 'nine open cursors have a connection each');
is(ask('BEGIN;' . $others . cursors(9)), join("\n", (2510) x 3, (1) x 9),
	'connections that are kept give way to open cursors');

like(ask('BEGIN;' . cursors(20)), qr/^ERROR:  53000: too few file descriptors for HTTP connections/,
	'more open cursors than there are descriptors are an error that says so');

# ---- plans that are kept

is(ask(q(SET plan_cache_mode = force_generic_plan; PREPARE p (text) AS SELECT count(*) FROM points_1
	  WHERE collection = $1; PREPARE l (bigint) AS SELECT id FROM many LIMIT $1;
	EXECUTE p ('many'); EXECUTE p (NULL); EXECUTE p ('few'); EXECUTE l (2); EXECUTE l (1);
	ALTER SERVER q1 OPTIONS (ADD page_size '7'); EXECUTE p ('many'); EXECUTE l (1); ALTER SERVER q1
	  OPTIONS (DROP page_size))), "2500\n0\n3\n1\n2\n1\n2500\n1",
	'a generic plan counts and limits by its parameters, and follows a changed server');
is(ask(q(PREPARE p AS SELECT count(*), max(n) FROM few; EXECUTE p; EXECUTE p; ALTER FOREIGN TABLE few
	  OPTIONS (SET collection 'many'); EXECUTE p;
	ALTER FOREIGN TABLE few ALTER n OPTIONS (ADD field 'm'); EXECUTE p; ALTER FOREIGN TABLE few ALTER n
	  OPTIONS (DROP field); ALTER FOREIGN TABLE few OPTIONS (SET collection 'few'); EXECUTE p)),
	"3|3\n3|3\n2500|2500\n2500|\n3|3", 'a kept plan follows a changed foreign table');
like(ask(q(CREATE FOREIGN TABLE gone (id text) SERVER q1 OPTIONS (resource 'points', collection 'few'); PREPARE p AS
	  SELECT * FROM gone; EXECUTE p; DROP FOREIGN TABLE gone; EXECUTE p)), qr/42P01/,
	'a kept plan of a foreign table that was dropped is an error');
is(ask(q(CREATE FOREIGN TABLE holes (a text, id text, n integer) SERVER q1 OPTIONS (resource 'points', collection
	  'few'); ALTER FOREIGN TABLE holes DROP a;
	SELECT h, h.n FROM holes h WHERE id = '2'; SELECT tableoid::regclass, count(*) FROM holes GROUP BY 1)),
	"(2,2)|2\nholes|3", 'a whole row is read beside a column that was dropped');
is(ask(q(SELECT xmin, xmax, cmin FROM few LIMIT 1)), '0|0|0', 'system columns of a foreign table are 0');

# a row that changed under us is checked again with the foreign row that was read
ask('CREATE TABLE mine (id text, n integer); INSERT INTO mine VALUES (1, 0), (2, 0)');
{
	my $first = $node->background_psql('postgres');
	my $second = $node->background_psql('postgres');
	$first->query_safe(q(BEGIN; UPDATE mine SET n = n + 5));
	$second->{stdin} .= "UPDATE mine m SET n = m.n + f.n FROM few f WHERE f.id = m.id RETURNING m.id, m.n;\n"
	  . "\\echo done\n";
	$second->{run}->pump_nb;
	ok($node->poll_query_until('postgres',
		q(SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'transactionid')),
		'an update waits for another transaction');
	$first->query_safe('COMMIT');
	$second->{run}->pump until $second->{stdout} =~ /done/;
	like($second->{stdout}, qr/1\|6\n2\|7/,
		'an update that waited goes on with the row as it is then, and the foreign row that was read');
	$_->quit foreach $first, $second;
}

# ---- joins and aggregates

ask(q(CREATE TABLE f1 (filter jsonb); INSERT INTO f1 VALUES ('{"must":[]}'); CREATE TABLE big (id text);
	  INSERT INTO big SELECT g FROM generate_series(1, 3) g; ANALYZE f1; ANALYZE big));
is(ask(q(SET join_collapse_limit = 1; SELECT count(p.id) FROM (big b JOIN few p ON p.id = b.id)
	  JOIN f1 ON p.filter = f1.filter)), 3, 'a filter from one relation and an id from another are asked for together');
like(ask(q(SELECT count(p.id) FROM big b JOIN few p ON p.id = b.id LEFT JOIN f1 ON p.filter = f1.filter)),
	qr/^ERROR:  0A000: .*iu_foreign_filter/s, 'an outer join on the filter, which passes none on, is refused');
ask(q(INSERT INTO f1 SELECT '{"must":[]}' FROM generate_series(1, 5000); ANALYZE f1));
is(ask(q(SELECT count(p.id) FROM big b JOIN few p ON p.id = b.id JOIN f1 ON p.filter = f1.filter)), 15003,
	'a filter from a large relation and an id from another are asked for together');
is(ask(q(SELECT id FROM few WHERE id = ANY (ARRAY['1', NULL, '3', '3']::varchar[]) ORDER BY 1)), "1\n3",
	'ids in an array of another type of text are looked up');
is(ask(q(SELECT count(*) FROM points_1 WHERE collection = 'few' OR collection = ANY (NULL::text[]) OR collection
	  = NULL)), 3, 'OR with NULLs counts the collection that is named');
is(ask(q(SELECT count(*) FROM points_1 WHERE collection = 'few' HAVING count(*) > 5)), '',
	'HAVING is applied to a count');
is(ask(q(SELECT count(*) FROM points_1 WHERE collection IN ('few', 'late') GROUP BY ())), 7,
	'GROUP BY () makes one sum');
is(ask(q(SELECT collection, count(*) FROM points_1 WHERE collection IN ('few', 'late') GROUP BY ROLLUP (collection)
	  ORDER BY 1 NULLS LAST)), "few|3\nlate|4\n|7", 'ROLLUP makes groups and a sum');
is(ask(q(SELECT count(*) FROM points_1 WHERE collection = 'few' LIMIT 0)), '', 'LIMIT 0 gives nothing');
is(ask(q(SELECT count(*) FILTER (WHERE id = '1'), count(DISTINCT id) FROM points_1 WHERE collection = 'few')), '1|3',
	'FILTER and DISTINCT are counted here');
is(ask(q(SELECT id FROM few ORDER BY n OFFSET 1 LIMIT 1)), 2, 'OFFSET with an order skips rows');
is(ask(q(SELECT id FROM many OFFSET 5 LIMIT 2)), "6\n7", 'OFFSET without an order skips rows');
is(ask(q(SELECT v, (SELECT count(*) FROM points_1 WHERE collection = v) FROM (VALUES ('few'), (NULL), ('late'),
	  ('few')) x (v))), "few|3\n|0\nlate|4\nfew|3", 'a count in a correlated query is asked for again and again');

# ---- types

is(ask(q(CREATE FOREIGN TABLE few_names (id text, word name) SERVER q1 OPTIONS (resource 'points', collection 'few');
	  SELECT word FROM few_names)) =~ /HV004/, 1, 'a column of type name, which would cut the value, is an error');
is(ask(q(CREATE FOREIGN TABLE few_chars (id text, word "char") SERVER q1 OPTIONS (resource 'points', collection
	  'few'); SELECT word FROM few_chars)) =~ /HV004/, 1,
	'a column of type "char", which would cut the value, is an error');
like(ask(q(CREATE DOMAIN letter AS text NOT NULL; CREATE FOREIGN TABLE few_letters (id text, letters letter[])
	  SERVER q1 OPTIONS (resource 'points', collection 'few'); SELECT letters FROM few_letters)),
	qr/HV004.*does not allow null/s, 'a null in an array of a domain that allows none is an error');
like(ask(q(CREATE FUNCTION fussy(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'once more'
	  USING ERRCODE = '40001'; END $$; CREATE DOMAIN fussy AS text CHECK (fussy(VALUE));
	CREATE FOREIGN TABLE few_fussy (id text, word fussy) SERVER q1 OPTIONS (resource 'points', collection 'few');
	  SELECT word FROM few_fussy)), qr/^ERROR:  40001: once more/,
	'an error of a check that asks for another try is given as it is');

# ---- more than was asked for

like(ask(q(SELECT count(id) FROM generous)), qr/^ERROR:  HV000: .*more points than were asked for/,
	'a page with more points than were asked for is an error');
like(ask(q(SELECT count(id) FROM generous WHERE id = '1')), qr/^ERROR:  HV000: .*more points than were asked for/,
	'more points than ids that were asked for are an error');

sub bad { return table_of($_[0], 'id text, n integer') . "SELECT * FROM $_[0]" }
like(ask(bad('bytes')), qr/^ERROR:  HV000: .*not usable JSON\n.*\?\?/, 'bytes that are no text are an error');
like(ask(bad('deep')), qr/^ERROR:  HV000: .*not usable JSON/, 'an answer that is nested without end is an error');
like(ask(bad('shapes')), qr/^ERROR:  HV000: .*a point without an id/, 'points that are no objects are an error');
like(ask(bad('loop')), qr/^ERROR:  HV000: .*holds no points, and says that there are more/,
	'empty pages that always name a next one are an error');
like(ask(q(SELECT id FROM points_1 WHERE collection = E'a\\x1b[1mb\\nc')),
	qr/^ERROR:  HV000: could not read collection "a \[1mb c"/,
	"control characters in a collection's name are not written into the error");

# How many connections are kept depends on which answers came in time: never one for each of a hundred errors.
is(ask(q(CREATE FUNCTION descriptors() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*)
	  FROM pg_ls_dir('/proc/self/fd') $$;
	CREATE FUNCTION contexts() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM pg_backend_memory_contexts
	  WHERE name ~ '^iu_core' $$;
	CREATE PROCEDURE fail(times integer) LANGUAGE plpgsql AS $$ DECLARE c CURSOR FOR SELECT id FROM many; BEGIN
		FOR i IN 1 .. times LOOP
			BEGIN PERFORM * FROM shapes; EXCEPTION WHEN fdw_error THEN NULL; END;
			BEGIN PERFORM id FROM few UNION ALL SELECT id FROM shapes; EXCEPTION WHEN fdw_error THEN NULL; END;
			BEGIN OPEN c; MOVE 10 IN c; PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END;
		END LOOP; END $$;
	CALL fail(1); SELECT descriptors() AS d, contexts() AS c \gset
	CALL fail(100); SELECT descriptors() < :d + 50, contexts() = :c)), 't|t',
	'a hundred errors that are caught leave no descriptor and no memory behind');

# ---- partitions and collations

ask(q(CREATE TABLE parted (id text, n integer, part text) PARTITION BY LIST (part);
	CREATE FOREIGN TABLE part_1 PARTITION OF parted FOR VALUES IN ('a') SERVER q1 OPTIONS (resource 'points',
	  collection 'few');
	CREATE FOREIGN TABLE part_2 (part text, x integer, n integer, id text) SERVER q2 OPTIONS (resource 'points',
	  collection 'late'); ALTER FOREIGN TABLE part_2 DROP x;
	ALTER TABLE parted ATTACH PARTITION part_2 FOR VALUES IN ('b'); CREATE TABLE part_3 PARTITION OF parted DEFAULT;
	  INSERT INTO part_3 VALUES ('9', 9, 'c')));
is(ask("SET enable_partitionwise_aggregate = $_; SET enable_partitionwise_join = $_; SELECT count(*), sum(n)"
	  . " FROM parted; SELECT tableoid::regclass::text, count(*) FROM parted GROUP BY 1 ORDER BY 1;"
	  . " SELECT p.n FROM parted p WHERE id = '2' ORDER BY 1; SELECT count(*) FROM parted a JOIN parted b"
	  . " USING (part, id)"),
	"8|25\npart_1|3\npart_2|4\npart_3|1\n2\n2\n1", "partitions are read, counted and joined with partitionwise $_")
	  foreach qw(off on);
is(ask('ANALYZE parted; SELECT reltuples FROM pg_class WHERE relname = \'parted\''), 8,
	'ANALYZE counts the rows of foreign partitions');
SKIP: {
	my $lacks = IU::Cluster->lacks_icu($node);
	skip $lacks, 2 if $lacks;
	ask(q(CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)));
	is(ask(q(SELECT count(*) FROM points_1 WHERE collection = 'FEW' COLLATE loose)), 3,
		'a collation that takes other names for the same is compared here');
	is(ask(q(SELECT count(*) FROM points_1 WHERE collection = 'FEW' COLLATE loose GROUP BY collection COLLATE loose)),
		3, 'a collation that takes other names for the same groups here');
}
is(ask(q(SELECT count(*) FROM points_1 WHERE collection::name = 'few' AND collection::varchar(2) = 'fe'
	  AND collection::char(3) = 'few')), 3, 'casts of a key are compared here');

$node->stop;
done_testing();
