# What the tests of the Qdrant wrapper rest on: that the stand-in does what
# Qdrant does, as Qdrant's own client sees it and as its contract has it; and
# that the check of the wire finds what is wrong. The first part runs against a
# real server too (QDRANT_URL).
use strict;
use warnings;

use Cwd qw(abs_path);
use IPC::Run;
use IU::Qdrant;
use JSON::PP qw(decode_json encode_json);
use Test::More;

my $peers = abs_path('peers');    # tests run in test/
my $uuid = '550e8400-e29b-41d4-a716-446655440000';

# ---------- Qdrant's own client ----------

SKIP:
{
	skip 'npm is not installed', 22 unless $ENV{IU_QDRANT_NPM};
	my $qdrant = IU::Qdrant->start;
	my $name = $qdrant->prefix . '_client';
	local $ENV{QDRANT_API_KEY} = $qdrant->key // '';
	my ($said, $problem);
	ok(IPC::Run::run([ 'node', "$peers/qdrant/client.js", $ENV{IU_QDRANT_NPM}, $qdrant->url, $qdrant->prefix ], '>',
		\$said, '2>', \$problem), "Qdrant's own client works")
	  or diag $problem;
	my $told = decode_json($said || '{}');
	my %expected = (
		created => JSON::PP::true, exists => [ JSON::PP::true, JSON::PP::false ], indexed => 'completed',
		upserted => 'completed', count => 4, counted => 2, listed => JSON::PP::true,
		info => { vectors => { size => 2, distance => 'Dot' },
		schema => { city => [ 'keyword', 3 ], n => [ 'integer', 3 ] } },
		ordered => [ [ 1, 3 ], [ 2, 2 ], [ $uuid, 1 ] ],
		retrieved => [ { id => 2, payload => { city => 'Paris', n => 2 } } ],
		aliases => [ { alias_name => "${name}_alias", collection_name => $name } ], byAlias => 4,
		deleted => 'completed', left => 3);
	is_deeply($told->{$_}, $expected{$_}, "what Qdrant's own client sees: $_") foreach sort keys %expected;
	is_deeply($told->{first}{points}[0], { id => 1, payload => { deep => { a => 1 } }, vector => [ 0.5, 0.25 ] },
		'a page has the part of the payload and the vector that was asked for');
	is($told->{first}{next_page_offset}, $uuid, 'a page says where the next one begins');
	is_deeply([ $told->{second}{points}[0]{id}, $told->{second}{next_page_offset} ], [ $uuid, undef ],
		'the last page names no next one');
	like($told->{unordered}, qr/^400 .*No range index for `order_by` key: `city`/,
		'an order without an index is refused');
	like($told->{offsetAndOrder}, qr/^400 Wrong input: Cannot use an `offset` when using `order_by`/,
		'an order with an offset is refused');
	like($told->{zero}, qr/^422 Validation error in JSON body/, 'a page of 0 points is refused');
	like($told->{missing}, qr/^404 Not found: Collection `${name}_not` doesn't exist!/,
		'a collection that is not there is refused');
	like($told->{dimension}, qr/^400 Wrong input: Vector dimension error/, 'a vector of another dimension is refused');
	is_deeply([ $qdrant->wire_problems ], [], 'all that the client sent and got has the shape that Qdrant documents');
}

# ---------- the stand-in, where its client does not go ----------

$ENV{TZ} = 'Asia/Tokyo';
my $peer = IU::Peer->start('qdrant', '--api-key', 'k', '--read-only-api-key', 'r');

# Status and text.
sub says
{
	my ($method, $path, $body, %headers) = @_;
	my $answer = HTTP::Tiny->new->request($method, $peer->url . $path,
		{ headers => { 'api-key' => 'k', 'content-type' => 'application/json', %headers },
		defined $body ? (content => $body) : () });
	return "$answer->{status} $answer->{content}";
}
sub counts
{
	my ($filter) = @_;
	my $said = says('POST', '/collections/c/points/count', qq({"filter":$filter}));
	return $said =~ /"count":(\d+)/ ? $1 : $said;
}

like(says('PUT', '/collections/c', '{"vectors":{"size":1,"distance":"Dot"}}'),
	qr/^200 \{"result":true,"status":"ok","time":[\de.-]+\}$/, 'a result comes in an envelope');
is(says('GET', '/nowhere'), '404 ', 'an unknown route is answered with 404 without a body');
is(says('GET', '/collections/c/points/scroll/more'), '404 ',
	'an unknown route below a known one is answered with 404 without a body');
is(says('DELETE', '/collections/c/points'), '405 ', 'a known route with another method is answered with 405');
like(says('GET', '/collections/aliases'), qr/^404 .*Collection `aliases` doesn't exist/,
	'GET /collections/aliases is about a collection of that name');
like(says('GET', '/collections/c/'), qr/^200 /, 'a slash at the end of a route is ignored');
is(says('GET', '/collections', undef, 'api-key' => ''), '401 Must provide an API key or an Authorization bearer token',
	'a request without a key is refused in plain text');
is(says('GET', '/collections', undef, 'api-key' => 'x'), '401 Invalid API key or JWT',
	'a request with a wrong key is refused in plain text');
like(says('GET', '/collections', undef, 'api-key' => '', authorization => 'Bearer k'), qr/^200 /,
	'a key may come as a bearer token');
like(says('POST', '/collections/c/points/count', '{}', 'api-key' => 'r'), qr/^200 /, 'a read-only key counts');
like(says('PUT', '/collections/d', '{}', 'api-key' => 'r'), qr/^403 .*"Forbidden: /, 'a read-only key makes nothing');
like(says('GET', '/', undef, 'api-key' => ''), qr/^200 \{"title":"qdrant/, 'the version is told without a key');

like(says('POST', '/collections/c/points/count', ''), qr/^400 .*Format error in JSON body/,
	'a request without its body is refused');
like(says('POST', '/collections/c/points/count?timeout=7&consistency=quorum', '{"whatever":1}'), qr/^200 /,
	'a timeout of 7 s is taken, and so is an unknown member beside the filter');
like(counts('{"must":[],"all":[]}'), qr/^400 .*unknown field `all`/, 'an unknown member in the filter is refused');
like(counts('{"must":[{"key":"x"}]}'), qr/^422 .*At least one field condition/,
	'a condition on a field without a condition is refused');
like(counts('{"must":[{"keys":"x"}]}'), qr/^400 .*Expected some form of condition/,
	'a condition of an unknown form is refused');
like(counts('{"must":[{"key":"x","match":{"value":1.5}}]}'), qr/^400 .*untagged enum Match/,
	'a match of a float is refused');
like(counts('{"must":[{"has_id":[-1]}]}'), qr/^400 .*is not a valid point ID/, 'an id of a point below 0 is refused');
like(says('POST', '/collections/c/points/scroll', '{"offset":1.5}'), qr/^400 .*is not a valid point ID/,
	'an offset that is no id is refused');
like(says('PUT', '/collections/c/points', '{"points":[{"id":1,"vector":[' . '1,' x 17_000_000 . '1]}]}'), qr/^400 /,
	'a body of more than 32 MB is refused');

says('PUT', '/collections/c/points',
	'{"points":[{"id":18446744073709551615,"vector":[1],"payload":{"i":9,"f":9.0,"big":18446744073709551615,'
	  . '"list":[{"a":1,"b":1},{"a":2,"b":2}],"none":null}},'
	  . '{"id":2,"vector":[0.1],"payload":{"i":[1,9],"t":"2024-01-01T00:00:00"}},{"id":3,"vector":[1]}]}');
my $scrolled = says('POST', '/collections/c/points/scroll', '{"limit":5,"with_vector":true}');
like($scrolled, qr/"id":2,.*"id":3,.*"id":18446744073709551615,/, 'points are given in the order of their ids');
like($scrolled, qr/"f":9\.0,"big":18446744073709551615,/, 'numbers in a payload are given as they came');
like($scrolled, qr/"vector":\[0\.1\]/, 'vectors are given as numbers of 32 bits');
is(counts('{"must":[{"key":"i","match":{"value":9}}]}'), 2, 'a match is true of an array with such an element');
is(counts('{"must":[{"key":"f","match":{"value":9}}]}'), 0, 'a match of 9 is not true of 9.0');
is(counts('{"must":[{"key":"f","range":{"gte":9,"lte":9}}]}'), 1, 'a range around 9 is true of 9.0');
is(counts('{"must":[{"key":"t","range":{"gte":"2024-01-01T00:00:00Z","lte":"2024-01-01T00:00:00Z"}}]}'), 1,
	'a time without a zone is UTC, in whatever zone the stand-in runs');
is(counts('{"must_not":[{"key":"i","match":{"value":9}}]}'), 1, 'must_not is true of a point without the key');
is(counts('{"must":[{"key":"i","match":{"except":[9]}}]}'), 1, 'except is true of an array with something else');
is(counts('{"must":[{"is_empty":{"key":"none"}}]}'), 3, 'is_empty is true of null');
is(counts('{"must":[{"is_null":{"key":"none"}}]}'), 1, 'is_null is not true of a missing key');
is(counts('{"must":[{"key":"list[].a","match":{"value":2}},{"key":"list[].b","match":{"value":1}}]}'), 1,
	'two conditions on an array may be met by different elements');
is(counts('{"must":[{"nested":{"key":"list","filter":'
	  . '{"must":[{"key":"a","match":{"value":2}},{"key":"b","match":{"value":1}}]}}}]}'),
	0, 'two nested conditions on an array are met by one element');
is(counts('{"must":[{"key":"i","values_count":{"gt":1}}]}'), 1, 'values_count counts the elements of an array');
is(counts('{"min_should":{"conditions":'
	  . '[{"key":"i","match":{"value":1}},{"key":"i","match":{"value":9}},{"has_id":[3]}],"min_count":2}}'),
	1, 'min_should wants as many conditions to be met as it says');
like(says('POST', '/collections/c/points/count', '{"exact":false,"filter":{"must":[{"is_empty":{"key":"none"}}]}}'),
	qr/"count":[12]}/, 'an estimated count is an estimate');

says('PATCH', '/collections/c',
	'{"strict_mode_config":{"enabled":true,"max_query_limit":2,"max_timeout":5,'
	  . '"filter_max_conditions":1,"condition_max_size":2}}');
like(says('POST', '/collections/c/points/scroll', '{"limit":3}'),
	qr/^400 .*"Bad request: Limit exceeded 3 > 2 for \\"limit\\"\. Help: /,
	'strict mode refuses a page larger than it allows');
like(says('POST', '/collections/c/points/scroll', '{}'), qr/^400 .*Limit exceeded 10 > 2/,
	'strict mode refuses the default page where it is larger than it allows');
like(says('POST', '/collections/c/points/count?timeout=6', '{}'), qr/^400 .*Limit exceeded 6 > 5 for \\"timeout\\"/,
	'strict mode refuses a timeout larger than it allows');
like(counts('{"must":[{"has_id":[1,2,3]}]}'), qr/^400 .*Condition size limit reached \(3 > 2\)/,
	'strict mode refuses a condition larger than it allows');
like(counts('{"must":[{"has_id":[1]},{"has_id":[2]}]}'), qr/^400 .*Filter condition limit reached \(2 > 1\)/,
	'strict mode refuses more conditions than it allows');
says('PATCH', '/collections/c', '{"strict_mode_config":{"enabled":true,"read_rate_limit":2}}');
is_deeply([ map { says('POST', '/collections/c/points/count', '{}') =~ /^(\d+)/ } 1 .. 3 ], [ 200, 200, 429 ],
	'strict mode refuses more reads than its rate allows');
says('PATCH', '/collections/c', '{"strict_mode_config":{"enabled":false}}');

# ---------- the check of the wire finds what is wrong ----------

SKIP:
{
	skip 'npm is not installed', 10 unless $ENV{IU_QDRANT_NPM};
	my $good = { method => 'POST', path => '/collections/c/points/scroll', query => '?timeout=60',
		headers => { 'content-type' => 'application/json' }, by => 'wrapper',
		body => '{"limit":10,"with_payload":true,"with_vector":false}',
		answer => { status => 200, headers => { 'content-type' => 'application/json' },
		body => '{"result":{"points":[{"id":18446744073709551615}],"next_page_offset":"' . $uuid
		  . '"},"status":"ok","time":1e-05}' } };
	my $found = sub {
		my (%change) = @_;
		my $asked = encode_json([ { %$good, %change } ]);
		IPC::Run::run([ 'node', "$peers/qdrant/check.js", $ENV{IU_QDRANT_NPM}, '--closed' ], '<', \$asked, '>',
			\my $said) or die;
		return scalar @{ decode_json($said) };
	};
	my $answered = sub { return $found->(answer => { %{ $good->{answer} }, @_ }) };
	is($found->(), 0, 'the check of the wire finds nothing wrong with what is right');
	is($found->(body => '{"limit":10,"with_payload":true}'), 1,
		'the check of the wire finds what is left to a default');
	is($found->(body => '{"limit":10,"with_payload":true,"with_vector":false,"order_by":"x"}'), 1,
		'the check of the wire finds what the wrapper has no use for');
	is($found->(body => '{"limit":0,"with_payload":true,"with_vector":false}'), 1,
		'the check of the wire finds a page of 0 points');
	is($found->(path => '/collections/c/points/search'), 2,
		'the check of the wire finds a route that nobody documents, asked and answered');
	is($found->(path => '/collections/c d/points/scroll'), 1, 'the check of the wire finds a name that is not encoded');
	is($answered->(body => $good->{answer}{body} =~ s/18446744073709551615/-1/r), 1,
		'the check of the wire finds an id below 0 in an answer');
	is($answered->(body => $good->{answer}{body} =~ s/"status":"ok",//r), 1,
		'the check of the wire finds that a member is missing in an answer');
	is($answered->(body => $good->{answer}{body} =~ s/"time"/"more":1,"time"/r), 1,
		'the check of the wire finds a member in an answer that nobody documents');
	is($answered->(status => 404, body => '{"error":"x"}'), 1,
		'the check of the wire finds a refusal of another shape');
}

done_testing();
