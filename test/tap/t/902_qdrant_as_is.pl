# What Qdrant 1.18.3 answers where one would think otherwise, or where its
# documentation says otherwise; the stand-in answers alike: the same tests for both
# (QDRANT_URL).
use strict;
use warnings;

use HTTP::Tiny;
use IO::Socket::INET;
use IO::Uncompress::Gunzip ();
use IU::Qdrant;
use JSON::PP qw(decode_json);
use Test::More;

my $qdrant = IU::Qdrant->start;
my $dot = { size => 1, distance => 'Dot' };
note $qdrant->is_stand_in ? 'the stand-in' : 'a real Qdrant';

# Status and text.
sub says
{
	my ($method, $path, $body) = @_;
	my $answer = $qdrant->request($method, $path, $body);
	return "$answer->{status} $answer->{content}";
}

# A collection of these payloads, with the ids 1, 2, and so on.
sub holding
{
	my ($name, @payloads) = @_;
	my $whole = $qdrant->create($name, { vectors => $dot });
	my $id = 0;
	$qdrant->load($whole, map { sprintf '{"id":%d,"vector":[1],"payload":%s}', ++$id, $_ } @payloads);
	return $whole;
}

# The ids of the points that pass, or the refusal.
sub passing
{
	my ($collection, $filter) = @_;
	my $said = says('POST', "/collections/$collection/points/scroll",
		qq({"limit":100,"with_payload":false,"filter":$filter}));
	return $said unless $said =~ s/^200 //;
	return join ' ', map { $_->{id} } @{ decode_json($said)->{result}{points} };
}
sub condition { my ($collection, $condition) = @_; return passing($collection, qq({"must":[$condition]})) }
sub strict
{
	my ($collection, %config) = @_;
	return $qdrant->call('PATCH', "/collections/$collection",
		{ strict_mode_config => { enabled => JSON::PP::true, %config } });
}

# The answer to a request on a connection of its own, past the recorder.
sub directly
{
	my (%headers) = @_;
	$headers{'api-key'} = $qdrant->key if $qdrant->key;
	return HTTP::Tiny->new->get("$ENV{QDRANT_URL}/collections", { headers => \%headers });
}

note 'filters of nothing';
my $cities = holding('cities', '{"city":"Berlin","n":5}', '{"city":["London","Berlin"],"n":5.0}',
	'{"city":null,"n":[null,7]}', '{"city":[],"n":"5"}', '{}', '{"city":5,"n":true}');
is(passing($cities, '{"should":[]}'), '1 2 3 4 5 6', 'a "should" of no conditions lets every point through');
is(passing($cities, '{"min_should":{"conditions":[],"min_count":1}}'), '1 2 3 4 5 6',
	'a "min_should" of no conditions lets every point through');
is(passing($cities, '{"must":[]}'), '1 2 3 4 5 6', 'a "must" of no conditions lets every point through');
is(passing($cities, '{"must_not":[{"key":"city","match":{"value":"Berlin"}}]}'), '3 4 5 6',
	'"must_not" lets a point through that lacks the key');

note 'what is not there';
is(condition($cities, '{"key":"city","match":{"except":["Berlin"]}}'), '2 6',
	'"except" is not true of a missing key, of null, and of an empty array');
is(condition($cities, '{"key":"city","values_count":{"lt":1}}'), '3 4',
	'"values_count" counts nothing in null and in an empty array, and is not true of a missing key');
is(condition($cities, '{"is_empty":{"key":"city"}}'), '3 4 5',
	'"is_empty" is true of a missing key, of null, and of an empty array');
is(condition($cities, '{"is_null":{"key":"city"}}'), '3', '"is_null" is true of null alone');
is(condition($cities, '{"is_null":{"key":"n"}}'), '', '"is_null" is not true of an array that holds null');
is(condition($cities, '{"key":"n","is_null":true}'), '3',
	'"is_null" as a member of a condition is true of an array that holds null');

note 'what is ignored';
is(condition($cities, '{"key":"city","match":{"value":"Berlin","whatever":1},"whatever":2}'), '1 2',
	'members of a condition that Qdrant does not know are ignored');
is(condition($cities, '{"key":"n","range":{"gte":5,"whatever":1}}'), '1 2 3',
	'members of a range that Qdrant does not know are ignored');
is(condition($cities, '{"has_id":[1],"whatever":1}'), '1',
	'members beside "has_id" that Qdrant does not know are ignored');
like(condition($cities, '{"key":"n","whatever":1}'), qr/^422 .*At least one field condition must be specified/,
	'a condition that says nothing is refused');
like(passing($cities, '{"whatever":[]}'), qr/^400 .*Format error in JSON body: .*unknown field `whatever`/,
	'a member of a filter that Qdrant does not know is refused');

note 'texts without an index';
my $texts = holding('texts', '{"t":"The Berliner Dom"}', '{"t":"the berlin wall"}', '{"t":["a Berlin bear","x"]}',
	'{"t":""}');
is(condition($texts, '{"key":"t","match":{"text":"Berlin"}}'), '1 3',
	'"text" finds a part of a word, and tells capitals');
is(condition($texts, '{"key":"t","match":{"text":""}}'), '1 2 3 4', '"text" of nothing finds every text');
is(condition($texts, '{"key":"t","match":{"text_any":"berlin Dom"}}'), '1 2',
	'"text_any" finds parts of words, and tells capitals');
is(condition($texts, '{"key":"t","match":{"phrase":"berlin wall"}}'), '2', '"phrase" finds a part of a text');

note 'texts with an index';
$qdrant->index($texts, 't', 'text');
is(condition($texts, '{"key":"t","match":{"text":"Berlin"}}'), '2 3',
	'with a text index "text" finds whole words, and does not tell capitals');
is(condition($texts, '{"key":"t","match":{"text":"x bear"}}'), '3',
	'with a text index "text" finds words of different texts of an array');
is(condition($texts, '{"key":"t","match":{"text":""}}'), '', 'with a text index "text" of nothing finds nothing');
is(condition($texts, '{"key":"t","match":{"text_any":"BERLIN dom"}}'), '1 2 3',
	'with a text index "text_any" finds whole words, and does not tell capitals');
is(condition($texts, '{"key":"t","match":{"phrase":"berlin wall"}}'), '',
	'with a text index that was not made for phrases "phrase" finds nothing');
my $phrases = holding('phrases', '{"t":"The berlin wall"}', '{"t":"wall of Berlin"}', '{"t":["in Berlin","wall"]}');
$qdrant->index($phrases, 't', { type => 'text', tokenizer => 'word', phrase_matching => JSON::PP::true });
is(condition($phrases, '{"key":"t","match":{"phrase":"BERLIN wall"}}'), '1',
	'with a text index that was made for phrases "phrase" finds words in their order');

note 'indexes of other types';
is(condition($cities, '{"key":"n","match":{"value":5}}'), '1', 'without an index a match of 5 does not find 5.0');
is(condition($cities, '{"key":"city","match":{"except":["London"]}}'), '1 2 6',
	'without an index "except" of texts finds a number');
$qdrant->index($cities, 'n', 'integer');
$qdrant->index($cities, '"city"', 'keyword');
is(condition($cities, '{"key":"n","match":{"value":5}}'), '1 2', 'with an integer index a match of 5 finds 5.0');
is(condition($cities, '{"key":"n","match":{"except":[5]}}'), '3',
	'with an integer index "except" finds other integers, and nothing else');
is(condition($cities, '{"is_null":{"key":"n"}}'), '3', 'with an index "is_null" is true of an array that holds null');
is(condition($cities, '{"key":"city","match":{"except":["London"]}}'), '1 2',
	'with a keyword index "except" finds other texts, and nothing else');
is_deeply([ sort keys %{ $qdrant->call('GET', "/collections/$cities")->{payload_schema} } ], [ 'city', 'n' ],
	'the key of an index is a path: "city" in quotes is city');
is(condition($cities, '{"key":"\"city\"","match":{"value":"Berlin"}}'), '1 2', 'a key in a filter is a path');
my $numbers = holding('numbers', '{"n":5.5,"t":"2024-01-01T00:00:00Z"}', '{"n":9007199254740993}', '{"n":7}');
is(condition($numbers, '{"key":"n","range":{"gte":5}}'), '1 2 3', 'without an index a range finds any number');
is(condition($numbers, '{"key":"n","range":{"gt":9007199254740992}}'), '',
	'without an index a range takes numbers for 64-bit floating point numbers');
is(condition($numbers, '{"key":"t","range":{"gte":"2023-01-01"}}'), '1', 'without an index a range finds times');
$qdrant->index($numbers, 'n', 'integer');
$qdrant->index($numbers, 't', 'integer');
is(condition($numbers, '{"key":"n","range":{"gte":5}}'), '2 3',
	'with an integer index a range finds integers, and nothing else');
is(condition($numbers, '{"key":"n","range":{"gt":9007199254740992}}'), '2',
	'with an integer index a range takes integers as they are');
is(condition($numbers, '{"key":"t","range":{"gte":"2023-01-01"}}'), '',
	'with an index of another type a range of times finds nothing');

note 'times';
my $times = holding('times', '{"t":"2024-01-01T00:00:00"}', '{"t":"2024-01-01T00:00:00Z"}', '{"t":"2024-01-01"}',
	'{"t":"2024-01-01T01:00:00+01:00"}', '{"t":"2024-01-01 00:00"}', '{"t":"2024-01-01T00:00:01"}',
	'{"t":"January 1, 2024"}');
my $midnight = '{"key":"t","range":{"gte":"2024-01-01T00:00:00Z","lte":"2024-01-01T00:00:00Z"}}';
is(condition($times, $midnight), '1 2 3 4 5', 'a time without a zone is UTC');
$qdrant->index($times, 't', 'datetime');
is(condition($times, $midnight), '1 2 3 4 5', 'with an index a time without a zone is UTC');

note 'nested filters';
my $nested = holding('nested', '{"l":[{"a":1,"b":"x y"},{"a":2,"b":"z"}]}', '{"l":{"a":1}}', '{}');
is(condition($nested, '{"nested":{"key":"l","filter":{"must":[{"key":"a","match":{"value":1}}]}}}'), 1,
	'a nested filter asks the elements of an array');
is(condition($nested, '{"nested":{"key":"l","filter":{"should":[]}}}'), '',
	'a nested "should" of no conditions lets nothing through');
is(condition($nested, '{"nested":{"key":"l","filter":{"must":[{"has_id":[1]}]}}}'), '', 'an element has no id');

note 'payloads';
my $payloads = holding('payloads',
	'{"n":18446744073709551616,"z":-0.0,"s":0.000001,"l":[1,{"a":1,"b":2},[3]],"o":{"a":1},"i":18446744073709551615}');
sub shown
{
	my ($with) = @_;
	my $said = says('POST', "/collections/$payloads/points/scroll", qq({"with_payload":$with}));
	return $said =~ /"points":\[\{"id":1,?(.*)\}\],"next_page_offset"/ ? $1 : $said;
}
like(shown('true'), qr/"n":1\.8446744073709552e\+19,"z":-0\.0,"s":1e-6,.*"i":18446744073709551615/,
	'numbers in payloads are printed in as few digits as tell them from others');
like(says('PUT', "/collections/$payloads/points?wait=true", '{"points":[{"id":2,"vector":[1],"payload":{"n":1e400}}]}'),
	qr/^400 .*Format error in JSON body: .*number out of range/, 'a number that is too large is refused');
is(shown('false'), '', 'a payload that was not asked for is not there');
is(shown('["l[1]"]'), '"payload":{"l":[]}', 'a path to one element of an array keeps an empty array');
is(shown('["l[].a"]'), '"payload":{"l":[1,{"a":1},[]]}', 'a path into elements keeps what it cannot go into');
is(shown('["l.a"]'), '"payload":{"l":[]}', 'a path into an array that names no elements keeps an empty array');
is(shown('["n.a","o"]'), '"payload":{"n":1.8446744073709552e+19,"o":{"a":1}}',
	'a path below a number keeps the number');
is(shown('{"exclude":["l","o.a","n","z","s"]}'), '"payload":{"o":{},"i":18446744073709551615}',
	'without the values of an object the object is there');

note 'vectors';
my $mixed = $qdrant->create('mixed', { vectors => $dot, sparse_vectors => { s => {} } });
like(says('PUT', "/collections/$mixed/points?wait=true", '{"points":[{"id":1,"vector":{}},'
	  . '{"id":2,"vector":{"s":{"indices":[3],"values":[0.5]}}},{"id":3,"vector":[0.25]}]}'), qr/^200 /,
	'a point may have no vector, or only a sparse one');
my $vectors = $qdrant->call('POST', "/collections/$mixed/points/scroll", { with_vector => JSON::PP::true })->{points};
is_deeply([ map { $_->{vector} } @$vectors ], [ {}, { s => { indices => [3], values => [0.5] } }, [0.25] ],
	'a point without vectors has an object of none, and one with the vector that has no name has that itself');
is(condition($mixed, '{"has_vector":"s"}'), 2, '"has_vector" finds a sparse vector');
is(condition($mixed, '{"has_vector":""}'), 3, '"has_vector" of no name finds the vector that has none');
like(says('PUT', '/collections/' . $qdrant->prefix . '_zero', '{"vectors":{"size":0,"distance":"Dot"}}'), qr/^400 /,
	'a vector of size 0 is refused');

note 'requests';
like(says('POST', "/collections/$cities/points/count?timeout=0", '{}'),
	qr/^400 .*Deserialize error in query parameters/, 'a timeout of 0 is refused');
like(says('POST', "/collections/$cities/points/count?consistency=0", '{}'),
	qr/^400 .*Deserialize error in query parameters/, 'a consistency of 0 is refused');
like(says('POST', "/collections/$cities/points/$_", '{"ids":[1],"shard_key":"x"}'),
	qr/^400 .*Bad request: Shard key \\"x\\" not found/, "an unknown shard key is refused: $_")
  foreach qw(count scroll);
like(says('POST', "/collections/$cities/points", '{"ids":[1],"shard_key":7}'),
	qr/^400 .*Bad request: Shard key 7 not found/, 'an unknown shard key is refused where ids are asked for');
like(says('POST', "/collections/$cities/points/scroll", '{"order_by":"city"}'),
	qr/^400 .*"Wrong input: No range index for `order_by` key: `city`/,
	'an order without an index of ranges is refused');

note 'shard keys';
my $sharded = $qdrant->create('sharded', { vectors => $dot, sharding_method => 'custom' });
SKIP:
{
	my $made = $qdrant->request('PUT', "/collections/$sharded/shards", { shard_key => 'a' });
	skip "a server that is alone has no shard keys: $made->{content}", 7 unless $made->{success};
	$qdrant->call('PUT', "/collections/$sharded/shards", { shard_key => 7 });
	is_deeply([ sort map { $_->{key} } @{ $qdrant->call('GET', "/collections/$sharded/shards")->{shard_keys} } ],
		[ 7, 'a' ], 'a collection lists its shard keys');
	like(says('PUT', "/collections/$sharded/points?wait=true", '{"points":[{"id":1,"vector":[1]}]}'),
		qr/^400 .*Wrong input: Shard key not specified/, 'a point without a shard key is refused');
	foreach my $shard ('"a"', 7)
	{
		says('PUT', "/collections/$sharded/points?wait=true", qq({"shard_key":$shard,"points":[)
			  . join(',', map { qq({"id":$_,"vector":[1],"payload":{"s":$shard}}) } 1, 2) . ']}');
	}
	is($qdrant->call('POST', "/collections/$sharded/points/count", {})->{count}, 4,
		'a count adds up the shards, in which an id may be twice');
	is(passing($sharded, '{}'), '1 2', 'a page has one point of an id');
	is($qdrant->call('POST', "/collections/$sharded/points/count", { shard_key => 7 })->{count}, 2,
		'a count of one shard counts its points');
	is_deeply([ map { $_->{payload}{s} } @{ $qdrant->call('POST', "/collections/$sharded/points",
				{ ids => [1], with_payload => JSON::PP::true, shard_key => $_ }) } ], [$_],
		"a point of a shard is asked for by its key: $_") foreach 'a', 7;
}

note 'strict mode';
my $unindexed = sub {
	my ($key, $types) = @_;
	return qr/^400 .*Index required but not found for \\"\Q$key\E\\" of one of .*types: \[\Q$types\E\]/;
};
$qdrant->index($nested, 'l[].b', 'text');
$qdrant->index($nested, 'l[].a', 'integer');
strict($_, unindexed_filtering_retrieve => JSON::PP::false) foreach $cities, $nested;
is(condition($cities, '{"key":"n","match":{"any":[]}}'), '', 'strict mode allows "any" of nothing with any index');
is(condition($cities, '{"key":"n","match":{"except":[]}}'), '1 2 3 4 6',
	'strict mode allows "except" of nothing with any index');
is(condition($nested, '{"nested":{"key":"l","filter":{"must":[{"key":"a","match":{"value":1}}]}}}'), 1,
	'strict mode allows a nested filter on a key that has an index');
like(condition($nested, '{"nested":{"key":"l","filter":{"must":[{"key":"c","match":{"value":1}}]}}}'),
	$unindexed->('l[].c', 'integer'), 'strict mode refuses a nested filter on a key that has none');
my $all = 'bool, datetime, float, geo, integer, keyword, text, text (with phrase_matching: true), uuid';
like(condition($cities, qq({"$_":{"key":"x"}})), $unindexed->('x', $all),
	"strict mode refuses \"$_\" of a key that has no index") foreach qw(is_empty is_null);
like(condition($cities, '{"key":"x","values_count":{"gt":0}}'), $unindexed->('x', $all),
	'strict mode refuses "values_count" of a key that has no index');
like(condition($cities, '{"key":"city","match":{"text":"Berlin"}}'), $unindexed->('city', 'text'),
	'strict mode refuses a match that the index of its key cannot serve');
like(condition($cities, '{"key":"x","range":{"gt":0}}'), $unindexed->('x', 'float, integer'),
	'strict mode names every type of index that would do');

note 'the rate of reads';
strict($numbers, read_rate_limit => 6);
sub by_id { my (@ids) = @_; return says('POST', "/collections/$numbers/points", { ids => \@ids }) =~ s/ .*//sr }
is(by_id(1, 2, 3, 1), 200, 'ids cost as many tokens of the rate as they are');
is_deeply([ map { by_id() } 1 .. 9 ], [ (200) x 9 ], 'no ids cost nothing');
is(by_id(1, 2, 3), 429, 'more ids than there are tokens left are refused');
my $over = $qdrant->request('POST', "/collections/$numbers/points", { ids => [ 1 .. 7 ] });
is_deeply([ $over->{status}, $over->{headers}{'retry-after'},
	$over->{content} =~ /request larger than rate limiter capacity/ ], [ 429, undef, 1 ],
	'more ids than the rate ever allows are refused for ever');

note 'the wire';
foreach my $encoding (qw(gzip br))
{
	my $answer = directly('accept-encoding' => $encoding);
	is($answer->{headers}{'content-encoding'}, $encoding, "an answer is packed as the client takes it: $encoding");
	next unless $encoding eq 'gzip';
	IO::Uncompress::Gunzip::gunzip(\$answer->{content} => \my $plain);
	like($plain, qr/^\{"result":\{"collections":\[/, 'a packed answer is the answer');
}
is(directly()->{headers}{'content-encoding'}, undef, 'an answer is not packed for who does not ask for it');
my ($host, $port) = $ENV{QDRANT_URL} =~ m{^http://([^/:]+):(\d+)/?$};
SKIP:
{
	skip 'QDRANT_URL is not http://host:port', 2 unless $port;
	my $close = sub {
		my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port) or die "no connection: $@";
		print $socket $_[0];
		local $/;
		local $SIG{ALRM} = sub { die "the connection stays open\n" };
		alarm 60;
		my $all = <$socket>;
		alarm 0;
		return $all;
	};
	like($close->(''), qr{^HTTP/1\.1 408 [^\r]*\r\n(?:[^\r]+\r\n)*\r\n$},
		'a connection that nothing comes on is answered 408 without a body, and closed');
	like($close->("POST /collections/$cities/points/count HTTP/1.1\r\nHost: $host\r\nContent-Le"),
		qr{^HTTP/1\.1 408 [^\r]*\r\n(?:[^\r]+\r\n)*\r\n$},
		'a request that does not arrive whole is answered 408 without a body, and its connection closed');
}

my $queue = sub {
	my ($name, %config) = @_;
	my $whole = $qdrant->create($name, { vectors => $dot, optimizers_config => \%config });
	return $qdrant->call('GET', $qdrant->path($whole))->{update_queue};
};
is_deeply([ $queue->('prevents', prevent_unoptimized => JSON::PP::true), $queue->('prevents_not') ],
	[ { length => 0, deferred_points => 0 }, { length => 0 } ],
	'how many points are deferred is told where the configuration lets points be deferred, and only there');

is_deeply([ $qdrant->wire_problems ], [], 'all that was answered has the shape that Qdrant documents')
  if $ENV{IU_QDRANT_NPM};
done_testing();
