# What Qdrant counts and what it gives are the same: collections with shard keys
# are read key by key, an alias is resolved once; and whether a count is
# everything is told, or there is no number.
use strict;
use warnings;

use IU::Cluster;
use IU::Qdrant;
use IU::SQL;
use JSON::PP qw(decode_json encode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $qdrant = IU::Qdrant->start(own => []);
my $prefix = $qdrant->prefix;

my $shared = $qdrant->create('shared', { vectors => { size => 2, distance => 'Dot' }, sharding_method => 'custom' });
$qdrant->call('PUT', $qdrant->path($shared, '/shards'), { shard_key => $_ }) foreach 'a', 'b', 7;
sub shard_load
{
	my ($key, @points) = @_;
	$qdrant->call('PUT', $qdrant->path($shared, '/points?wait=true'),
		'{"points":[' . join(',', @points) . '],"shard_key":' . JSON::PP->new->allow_nonref->encode($key) . '}');
	return;
}
sub point { my ($id, $payload) = @_; return qq({"id":$id,"vector":[0,1],"payload":$payload}) }
shard_load('a', map { point($_, '{"tenant":"a"}') } 1 .. 5);
shard_load('b', map { point($_, '{"tenant":"b"}') } 1 .. 3);
shard_load(7, point(2, '{"tenant":"seven"}'));
my $plain = $qdrant->create('plain');
$qdrant->load($plain, map { point($_, '{"of":"plain"}') } 1 .. 30);
my $other = $qdrant->create('other');
$qdrant->load($other, map { point($_, '{"of":"other"}') } 1 .. 30);
my $alias = $qdrant->alias($plain, "${prefix}_alias");

my $node = IU::Cluster->new_node('counts', 'iu_core.databases' => '', 'iu_core.allowed_origins' => $qdrant->url,
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
sql(<<"SQL");
CREATE EXTENSION iu_core;
CREATE SERVER qdrant FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$qdrant->url]}');
CREATE USER MAPPING FOR PUBLIC SERVER qdrant;
CREATE SCHEMA q;
IMPORT FOREIGN SCHEMA api FROM SERVER qdrant INTO q;
CREATE FOREIGN TABLE shared (id text, tenant text, payload jsonb, filter jsonb, shard_key text) SERVER qdrant
  OPTIONS (resource 'points', collection '$shared', page_size '2');
CREATE FOREIGN TABLE alias (id text, "of" text) SERVER qdrant
  OPTIONS (resource 'points', collection '$alias', page_size '4');
SQL

sub asked
{
	my ($query) = @_;
	my ($result, @asked) = $qdrant->asked(sub { ask($query) });
	return ($result, map { s/\Q$prefix\E_//gr } @asked);
}

# ---------- shard keys ----------

is(ask('SELECT count(*), (SELECT count(*) FROM (SELECT id FROM shared OFFSET 0) s) FROM shared'), '9|9',
	'a collection with shard keys has as many rows as Qdrant counts');
is(ask('SELECT shard_key, count(*), string_agg(id, \',\' ORDER BY id) FROM shared GROUP BY 1 ORDER BY 1'),
	"7|1|2\na|5|1,2,3,4,5\nb|3|1,2,3", 'each shard key is read with its own ids');
is(ask("SELECT count(*), count(DISTINCT tenant) FROM shared WHERE payload ->> 'tenant' = shard_key"
		. " OR shard_key = '7'"), '9|3', 'a point is given with its own payload');
is(ask("SELECT count(*) FROM shared WHERE payload ->> 'tenant' = 'b'"), 3,
	'a condition finds the points of every shard');
is(ask("SELECT string_agg(tenant, ',' ORDER BY tenant) FROM shared WHERE id = '2'"), 'a,b,seven',
	'an id is looked up in every shard');
is(ask("SELECT tenant FROM shared WHERE id IN ('2', '5') AND shard_key = 'b'"), 'b',
	'an id is looked up in one shard where the query says which');
my $filter = q({"must": [{"key": "tenant", "match": {"value": "b"}}]});
is(ask("SELECT count(*) FROM shared WHERE filter = '$filter'"), 3, 'a filter counts the points of every shard');
is(ask("SELECT string_agg(shard_key || id, ',' ORDER BY id) FROM shared WHERE filter = '$filter'"), 'b1,b2,b3',
	'a filter finds the points of every shard');
my ($rows, @requests) = asked("SELECT count(tenant) FROM shared WHERE shard_key = 'b'");
is_deeply([ $rows, scalar grep { /"shard_key":"b"/ } @requests ], [ 3, 2 ], 'a shard key that is named is read alone');
is(scalar(grep { /"shard_key":(?!"b")/ } @requests), 0, 'a shard key that is not named is not read');
is(ask("SELECT count(*) FROM shared WHERE shard_key = 'none'"), 0, 'a shard key that is not there has no rows');
is(ask("SELECT count(*) FROM q.points WHERE collection = '$plain' AND shard_key IS NULL"), 30,
	'a collection without shard keys has none');
like(ask("EXPLAIN (COSTS off) SELECT id FROM shared WHERE shard_key = 'b'"), qr/Remote Shards: b/,
	'EXPLAIN shows the shard key that is read');

# ---------- an alias is resolved once ----------

($rows, @requests) = asked('SELECT count("of") FROM alias');
is_deeply([ $rows, grep { !/scroll/ } @requests ], [ 30, 'GET /aliases' ],
	'an alias is asked for once in a reading of several pages');
is(scalar(grep { m{alias/points} } @requests), 0, 'a collection is read under its own name from its first page on');
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT "of" FROM alias');
$session->query_safe('CREATE TEMP TABLE seen ("of" text)');
my $first = $session->query_safe('FETCH 6 FROM c');
$qdrant->call('POST', '/collections/aliases', { actions => [ { delete_alias => { alias_name => $alias } },
	{ create_alias => { collection_name => $other, alias_name => $alias } } ] });
my %of = map { $_ => 1 } grep { length } split /\n/, $first . "\n" . $session->query_safe('FETCH ALL FROM c');
$session->quit;
is_deeply([ sort keys %of ], ['plain'], 'an alias that is switched while it is read gives one collection');
is(ask('SELECT DISTINCT "of" FROM alias'), 'other', 'the next reading gives the other collection');

# ---------- whether a count is everything ----------

sub answered
{
	my ($path, $result, $times) = @_;
	$qdrant->recorder->fault({ path => $path, status => 200, headers => { 'content-type' => 'application/json' },
		times => $times // 1, body => encode_json({ result => $result, status => 'ok', time => 0.1 }) });
	return;
}
my $description = $qdrant->call('GET', $qdrant->path($plain));
my $cluster = $qdrant->call('GET', $qdrant->path($plain, '/cluster'));

# A row of q.collections, with what Qdrant says about it changed.
sub sure
{
	my (%said) = @_;
	my %described = (%$description, %{ $said{description} // {} });
	$described{config} = { %{ $described{config} }, optimizer_config => { %{ $described{config}{optimizer_config} },
		prevent_unoptimized => JSON::PP::true } } if $said{prevents};
	delete $described{$_} foreach @{ $said{without} // [] };
	answered("/collections/$plain", \%described);
	answered("/collections/$plain/cluster", { %$cluster, %{ $said{cluster} } }) if $said{cluster};
	my $row = ask("SELECT points_sure, doubt FROM q.collections WHERE collection = '$plain'");
	$qdrant->recorder->heal;
	return $row;
}
is(sure(), '30|', 'a count without a doubt is a number');
is(ask("SELECT points, deferred_points, queued_updates, replicas FROM q.collections WHERE collection = '$plain'"),
	'30|0|0|[{"peer": 1, "shard": 0, "state": "Active"}]',
	'what is queued, what is deferred and where the replicas are is told');
is(sure(description => { update_queue => { length => 0, deferred_points => 1800 } }), '|points are deferred: 1800',
	'a count is in doubt where points are deferred');
is(sure(description => { update_queue => { length => 3 } }), '|updates are queued: 3',
	'a count is in doubt where updates are queued');
is(sure(without => ['update_queue']), '|Qdrant does not tell whether updates are queued',
	'a count is in doubt where a Qdrant tells no queue');
is(sure(prevents => 1), '|Qdrant does not tell how many points are deferred',
	'a count is in doubt where points may be deferred and are not counted');
is(sure(description => { status => 'red' }), '|the status is red', 'a count is in doubt where the status is red');
is(sure(cluster => { remote_shards => [ { shard_id => 0, peer_id => 2, state => 'Dead' } ] }),
	'|a replica of shard 0 is Dead', 'a count is in doubt where a replica is dead');
like(sure(cluster => { remote_shards => undef }), qr/^ERROR:  HV000: .*the answer holds no list of replicas/,
	'there is no count where the replicas of other nodes are not told');
is(sure(cluster => { shard_transfers => [ { shard_id => 0 } ] }), '|a shard is being moved',
	'a count is in doubt where a shard is being moved');
my @two = (remote_shards => [ { shard_id => 0, peer_id => 2, state => 'Active' } ]);
is(sure(cluster => {@two}), '30|', 'a count is a number where the replicas agree');
# A cluster of two thousand shards, each with three replicas, one of which is in this state.
sub thousands
{
	my ($state) = @_;
	my @states = (('Active') x 4444, $state, ('Active') x 1555);
	return { local_shards => [ map { { shard_id => $_, state => $states[$_] } } 0 .. 1999 ],
		remote_shards => [ map { { shard_id => $_ % 2000, peer_id => $_ < 4000 ? 2 : 3, state => $states[$_] } }
			2000 .. 5999 ] };
}
is(sure(cluster => thousands('Active')), '30|', 'a count is a number where thousands of replicas are active and agree');
is(sure(cluster => thousands('Dead')), '|a replica of shard 444 is Dead',
	'a count is in doubt where one of thousands of replicas is dead');
answered("/collections/$plain/cluster", { %$cluster, %{ thousands('Partial') } });
is(ask("SELECT jsonb_array_length(replicas), count(DISTINCT (r ->> 'shard', r ->> 'peer')),"
	  . " count(*) FILTER (WHERE r ->> 'state' = 'Partial') FROM q.collections, jsonb_array_elements(replicas) r"
	  . " WHERE collection = '$plain' GROUP BY 1"), '6000|6000|1', 'thousands of replicas are told, each once');
$qdrant->recorder->heal;
answered("/collections/$plain/cluster", { %$cluster, %{ thousands('Active') } });
($rows, @requests) = asked("SELECT points_sure FROM q.collections WHERE collection = '$plain'");
$qdrant->recorder->heal;
is_deeply([ $rows, sort map { m{points/count\?(\w*=\w*)} ? $1 : () } @requests ],
	[ 30, 'consistency=all', 'consistency=majority' ],
	'thousands of replicas are asked for their counts by two requests');
answered("/collections/$plain/cluster",
	{ %$cluster, local_shards => [ { shard_id => '0,"x":1', state => 'Active' } ] });
like(ask("SELECT replicas FROM q.collections WHERE collection = '$plain'"), qr/^\[\{[^x]*"shard": null[^x]*\}\]$/,
	'a shard whose number is none is told without one, and as nothing else');
$qdrant->recorder->heal;
# What is said to the counts that the replicas are asked for.
sub replicas_say
{
	my ($status, $body, $times) = @_;
	$qdrant->recorder->fault({ path => "/collections/$plain/points/count", query => 'consistency=', times => $times,
		status => $status, headers => { 'content-type' => 'application/json' }, body => $body });
	return sure(cluster => {@two});
}
like(replicas_say(200, '{"result":{"count":29},"status":"ok","time":0}', 1),
	qr/^\|replicas disagree: (29, 30 or 30|30, 29 or 30|30, 30 or 29)$/,
	'a count is in doubt where the replicas count otherwise');
is(replicas_say(500, '{"status":{"error":"Service internal error: 1 of 2 read operations failed:\n'
	  . '  Timeout error: Deadline Exceeded"},"time":9.7}', 2), '|not every replica can be asked',
	'a count is in doubt, and no failure, where a replica is stopped and not yet known to be dead');
is(replicas_say(400, '{"status":{"error":"Bad request: Limit exceeded 10 > 2 for \"timeout\". Help: None"},'
	  . '"time":0}', 1), '30|',
	'replicas are asked again with fewer seconds where the collection allows no more');
$qdrant->recorder->fault({ path => "/collections/$plain$_", delay_ms => 300 }) foreach '', '/cluster';
($rows, @requests) = asked("SELECT points_sure FROM q.collections WHERE collection = '$plain'");
$qdrant->recorder->heal;
like($requests[-1], qr{points/count}, 'it is counted after no update was queued, so that none can be missing');
$qdrant->recorder->fault({ path => "/collections/$plain/cluster", status => 403, times => 1,
	headers => { 'content-type' => 'application/json' },
	body => '{"status":{"error":"Forbidden: no"},"time":0}' });
is(ask("SELECT points_sure, doubt FROM q.collections WHERE collection = '$plain'"),
	'|Qdrant does not tell where the replicas are', 'a count is in doubt where a key may not know the replicas');
is(ask("SELECT points_sure = 30 FROM q.collections WHERE collection = '$plain'"), 't',
	'a doubt is gone when its reason is');
is(ask("SELECT points_sure IS NULL OR points_sure = 30 FROM q.collections WHERE collection = '$shared'"), 'f',
	'a count of a collection with shard keys is a number');

# Replicas that differ: Qdrant takes one count of them by one rule, and the rows by another.
ask("ALTER SERVER qdrant OPTIONS (ADD consistency 'majority')");
unlike(ask("EXPLAIN SELECT count(*) FROM q.points WHERE collection = '$plain'"), qr/points.count/,
	'with a consistency that asks several replicas the rows are counted here');
ask("ALTER SERVER qdrant OPTIONS (SET consistency '1')");
like(ask("EXPLAIN SELECT count(*) FROM q.points WHERE collection = '$plain'"), qr/points.count/,
	'with the consistency of one replica Qdrant counts');

done_testing();
