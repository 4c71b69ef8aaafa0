# Readers that pause for longer than a remote keeps what nobody sends or reads:
# a connection that was opened and is not used, a request that does not arrive
# whole (both get an empty 408 after 5 s), a connection that is kept (closed
# after 5 s). Between batches of a cursor, in a loop, within CREATE TABLE AS.
use strict;
use warnings;

use IU::Answers;
use IU::Canned;
use IU::Cluster;
use IU::Race;
use IU::SQL;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use constant PAUSE => 6;
use constant BRIEF => 10;    # seconds that a request may take, of some servers
use constant ROWS => 60;

my $json = JSON::PP->new->utf8->canonical;

sub qdrant
{
	my ($request) = @_;
	return qdrant_result('{"aliases":[]}') if $request->{path} eq '/aliases';
	return qdrant_result('{"count":' . ROWS . '}') if $request->{path} =~ m{/count$};
	my $body = $json->decode($request->{body});
	my $from = $body->{offset} // 1;
	my $to = $from + $body->{limit} - 1;
	my @points = map { qq({"id":$_,"payload":{"n":$_,"text":"@{['x' x 1000]}"}}) } $from .. ($to > ROWS ? ROWS : $to);
	my $next = $to < ROWS ? $to + 1 : 'null';
	return qdrant_result('{"points":[' . join(',', @points) . qq(],"next_page_offset":$next}));
}

sub directus
{
	my ($request) = @_;
	return directus_data('{"r":{"read":{"access":"full","fields":["*"]}}}') if $request->{path} eq '/permissions/me';
	my %of = map { split /=/, $_, 2 } split /&/, $request->{path} =~ s/^[^?]*\?//r;
	my $from = ($of{offset} // 0) + 1;
	my $to = $from + $of{limit} - 1;
	my @items = map { qq({"id":$_,"n":$_}) } $from .. ($to > ROWS ? ROWS : $to);
	return { status => 200, body => '{"meta":{"filter_count":' . ROWS . '},"data":[' . join(',', @items) . ']}' };
}

my %peer = map { $_->[0] => IU::Canned->start($_->[1], keep => 5, impatient => 1) } [ qdrant => \&qdrant ],
  [ directus => \&directus ];
my $node = IU::Cluster->new_node('pauses',
	'iu_core.databases' => '',
	'iu_core.allowed_origins' => join(', ', map { $_->url } values %peer),
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
sql('CREATE EXTENSION iu_core;'
	  . ' CREATE FUNCTION slow(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN IF n IN (3, 25, 41) THEN'
	  . ' PERFORM pg_sleep(' . PAUSE . '); END IF; RETURN n; END $$;'
	  . ' CREATE FUNCTION looped(name text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r record; s integer := 0;'
	  . " BEGIN FOR r IN EXECUTE format('SELECT n FROM %I', name)"
	  . " LOOP s := s + slow(r.n); END LOOP; RETURN s; END \$\$;"
	  . join '', map {
		my ($api, $brief) = @$_;
		"CREATE SERVER $api$brief FOREIGN DATA WRAPPER ${api}_fdw OPTIONS (url '@{[$peer{$api}->url]}', page_size '10'"
		  . ($brief && ", timeout_ms '" . 1000 * BRIEF . "'")
		  . "); CREATE FOREIGN TABLE $api$brief (id text, n integer) SERVER $api$brief"
		  . " OPTIONS (collection 'r', resource '" . ($api eq 'qdrant' ? 'points' : 'items') . "');"
	} map { [ $_, '' ], [ $_, '_brief' ] } keys %peer);

my $sum = ROWS * (ROWS + 1) / 2;
my $pause = 'SELECT pg_sleep(' . PAUSE . ')';
my $long = 'SELECT pg_sleep(' . (BRIEF + 1) . ')';
my (@names, @sessions, @expected);
foreach my $api (sort keys %peer)
{
	my $add = sub { push @names, "$api: $_[0]"; push @expected, $_[1]; push @sessions, $_[2]; return };
	$add->('a cursor that rests between its batches gives every row', join("\n", 1 .. ROWS),
		[ 'BEGIN', "DECLARE c CURSOR FOR SELECT n FROM $api", 'FETCH 3 FROM c', $pause, 'FETCH 12 FROM c', $pause,
		$pause, 'FETCH 20 FROM c', $pause, 'FETCH ALL FROM c', 'COMMIT' ]);
	$add->('a cursor that rests for longer than a request may take gives every row', join("\n", 1 .. ROWS),
		[ 'BEGIN', "DECLARE c CURSOR FOR SELECT n FROM ${api}_brief", 'FETCH 3 FROM c', $long, 'FETCH 12 FROM c', $long,
		'FETCH ALL FROM c', 'COMMIT' ]);
	$add->('a loop whose body takes longer gets every row', $sum, ["SELECT looped('$api')"]);
	$add->('CREATE TABLE AS with a function that takes longer makes every row', ROWS . "|$sum",
		[ "CREATE TABLE made_$api AS SELECT slow(n) AS n FROM $api", "SELECT count(*), sum(n) FROM made_$api" ]);
	$add->('two scans at once, whose reader takes longer, give every row', 2 * ROWS,
		[ "SELECT count(slow(n)) FROM (SELECT n FROM $api UNION ALL SELECT n FROM $api OFFSET 0) x" ]);
	$add->('a portal of which a few rows are taken at a time gives every row', 'done',
		[ "BEGIN; DECLARE c CURSOR FOR SELECT n FROM $api",
		'DO $$ DECLARE c refcursor := \'c\'; n integer; s integer := 0; BEGIN LOOP FETCH c INTO n; EXIT WHEN n IS NULL;'
		  . ' s := s + slow(n); END LOOP; IF s <> ' . $sum . " THEN RAISE EXCEPTION 'sum %', s; END IF; END \$\$",
		"SELECT 'done'" ]);
}
my @racers = IU::Race->run($node, {}, @sessions);
for my $i (0 .. $#names)
{
	is(join("\n", grep { $_ ne '' } split /\n/, $racers[$i]{out}) . $racers[$i]{err}, $expected[$i], $names[$i]);
}
my $gave_up = grep { defined } map { $peer{$_}->lines('gave up') } keys %peer;
cmp_ok($gave_up, '>', 0, "the remotes gave up some requests meanwhile: $gave_up");
is(ask('SELECT count(*) FROM qdrant'), ROWS, 'and what comes next is as usual');

$node->stop;
done_testing();
