# The stand-ins of test/peers: that the tests' other half does what it is taken for.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256 sha256_hex);
use IO::Socket::INET;
use IU::Directus;
use IU::Peer;
use IU::Sink;
use JSON::PP qw(decode_json);
use MIME::Base64 qw(decode_base64 encode_base64);
use POSIX ();
use Test::More;

my $receiver = IU::Peer->start('receiver');
my $body     = '{"a": "\u00fc"}';
my $secret   = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
$receiver->control('secret', { path => '/hook', secrets => ["whsec_$secret"] });

sub post
{
	my ($path, $headers) = @_;
	return HTTP::Tiny->new(timeout => $path eq '/hang' ? 2 : 60, max_redirect => 0)
	  ->request('POST', $receiver->url . $path, { content => $body, headers => $headers // {} });
}

# a signature as the Standard Webhooks define it, made here independently
my $now       = time;
my $signature = 'v1,' . encode_base64(hmac_sha256("msg_1.$now.$body", decode_base64($secret)), '');
my %signed    = ('webhook-id' => 'msg_1', 'webhook-timestamp' => $now, 'webhook-signature' => "v1,AAAA $signature");
is(post('/hook', \%signed)->{status}, 204, 'the receiver takes a webhook');
post('/hook', { %signed, 'webhook-id' => 'msg_2' });
post('/hook', { %signed, 'webhook-timestamp' => $now - 301 });
post('/hook');
is_deeply([ map { $_->{signature} } $receiver->requests('/hook') ], [qw(valid invalid invalid missing)],
	'the receiver tells a valid signature from invalid and missing ones');

is(post('/status/410')->{status}, 410, 'the receiver answers /status/410 with 410');
is(post('/status/429/30')->{headers}{'retry-after'}, 30, 'the receiver answers /status/429/30 with Retry-After');
is(post('/redirect')->{status}, 302, 'the receiver answers /redirect with a redirect');
is(post('/close')->{status}, 599, 'the receiver answers /close by closing');
is(post('/garbage')->{status}, 599, 'the receiver answers /garbage with what is not HTTP');
is(post('/cut')->{status}, 599, 'the receiver answers /cut with a part');
is(post('/hang')->{status}, 599, 'the receiver does not answer /hang');
$receiver->fault({ path => '/flaky', status => 503, times => 2 });
is_deeply([ map { post('/flaky')->{status} } 1 .. 3 ], [ 503, 503, 204 ],
	'a fault of the receiver ends after as many requests as it says');
$receiver->fault({ path => '/flaky', status => 503, after => 2 });
is_deeply([ map { post('/flaky')->{status} } 1 .. 4 ], [ 204, 204, 503, 503 ],
	'a fault of the receiver begins after as many requests as it says');

my $sink = IU::Sink->start;
my $held = sub { HTTP::Tiny->new->request('POST', $sink->url . '/a',
	{ content => $_[0], headers => { 'webhook-id' => $_[0] } })->{status} };
$held->('m1');
$sink->fault({ path => '/a', hold => JSON::PP::true });
my $poster = fork // die;
if ($poster == 0) { POSIX::_exit($held->('m2') == 204 ? 0 : 1) }
ok($sink->wait_for('/a', 2), 'what the receiver holds has arrived');
is($sink->connections, 1, 'what the receiver holds keeps its connection open');
is(waitpid($poster, POSIX::WNOHANG()), 0, 'what the receiver holds has no answer');
$sink->heal;
waitpid $poster, 0;
is($?, 0, 'what the receiver held is answered when it behaves again');
is_deeply([ map { [ @$_[ 0, 1 ] ] } $sink->arrived('/a') ], [ map { [ $_, sha256_hex($_) ] } 'm1', 'm2' ],
	'the log of the receiver has id and digest of what arrived');

my $qdrant = IU::Peer->start('qdrant', '--api-key', 'k');
my $key    = { 'api-key' => 'k' };
$qdrant->call('PUT', '/collections/c', { vectors => { size => 2, distance => 'Dot' } }, $key);
$qdrant->call('PUT', '/collections/c/points',
	{ points => [ map { { id => $_, payload => { n => $_ % 3 }, vector => [ 0, 1 ] } } 1 .. 30 ] }, $key);
is($qdrant->call('POST', '/collections/c/points/count', {}, $key)->{result}{count}, 30,
	'the stand-in for Qdrant counts');
is($qdrant->call('POST', '/collections/c/points/count',
	{ filter => { must => [ { key => 'n', match => { value => 1 } } ] } }, $key)->{result}{count}, 10,
	'the stand-in for Qdrant counts with a filter');
my $page = $qdrant->call('POST', '/collections/c/points/scroll', { limit => 20, offset => 11 }, $key)->{result};
is_deeply([ scalar @{ $page->{points} }, $page->{next_page_offset} ], [ 20, undef ],
	'the stand-in for Qdrant ends a scroll with a full last page');
eval { $qdrant->call('GET', '/collections/nope', undef, $key) };
like($@, qr/404 .*Not found: Collection `nope` doesn't exist!/,
	'the stand-in for Qdrant answers 404 for an unknown collection');
eval { $qdrant->call('GET', '/collections') };
like($@, qr/401 Must provide an API key/, 'the stand-in for Qdrant answers 401 for a missing key, in plain text');

my $recorder = IU::Peer->start('recorder', '--to', $qdrant->url);
foreach my $encoding (qw(gzip br deflate identity))
{
	my $passed = HTTP::Tiny->new->get($recorder->url . '/collections',
		{ headers => { %$key, 'accept-encoding' => $encoding } });
	my ($kept) = $recorder->requests('/collections');
	$recorder->forget;
	is_deeply([ $passed->{headers}{'content-encoding'} // 'identity', $kept->{answer}{body} =~ /^\{"result":\{/ ],
		[ $encoding, 1 ], "the recorder passes an answer on as it came, and keeps what it says: $encoding");
	isnt($passed->{content}, $kept->{answer}{body}, "what the recorder passed on was packed: $encoding")
	  if $encoding ne 'identity';
}
my $impatient = IU::Peer->start('receiver', '--request-timeout-ms', 300);
my $socket = IO::Socket::INET->new($impatient->address) or die "no connection: $@";
like(<$socket>, qr{^HTTP/1\.1 408 }, 'a peer that is told to be impatient answers 408 where nothing is asked in time');

# The same questions to Directus, the real one or the stand-in, whichever this run has; and where 12 answers otherwise
# than 11 did, to each what it answers.
sub forbidden
{
	my ($what, $doing) = @_;
	my $reason = "You don't have permission to " . ($doing // 'access')
	  . ($what ? " $what or it does not exist." : ' this.') . ($what && !$doing ? ' Queried in root.' : '');
	my $extensions = $what ? { reason => $reason, code => 'FORBIDDEN' } : { code => 'FORBIDDEN' };
	return [ 403, { errors => [ { message => $reason, extensions => $extensions } ] } ];
}
my $since_12 = IU::Directus::is_since(12);
SKIP:
{
	skip 'no Directus', 18 unless $ENV{DIRECTUS_URL};
	my ($reader, $admin) = @ENV{qw(DIRECTUS_TOKEN DIRECTUS_ADMIN_TOKEN)};
	my $ask = sub { return IU::Directus->new($ENV{DIRECTUS_URL}, $_[0])->request(@_[ 1 .. $#_ ]) };
	my $told = sub { my $answer = $ask->(@_); return [ $answer->{status}, decode_json($answer->{content}) ] };
	my $counts = sub { return [ 200, { data => [ { count => "$_[0]" } ] } ] };
	my $documents = '/items/iu_documents?aggregate[count]=*';
	is_deeply($told->($reader, 'GET', $documents), $counts->(163), 'Directus counts, and the stand-in does it alike');
	is_deeply($told->($reader, 'GET', "$documents&filter[category][_eq]=alpha"), $counts->(40),
		'Directus counts with a filter, and the stand-in does it alike');
	is_deeply($told->($reader, 'GET', '/items/iu_nosuch?aggregate[count]=*'), forbidden('collection "iu_nosuch"'),
		'Directus answers 403 for an unknown collection, and the stand-in does it alike');
	is_deeply($told->('wrong', 'GET', '/items/iu_documents'),
		[ 401, { errors => [ { message => 'Invalid user credentials.',
		extensions => { code => 'INVALID_CREDENTIALS' } } ] } ],
		'Directus answers 401 for a wrong token, and the stand-in does it alike');
	is_deeply($told->($reader, 'GET', '/items/iu_parent?aggregate[count]=*&filter={"children":{"id":{"_gt":0}}}'),
		$counts->($since_12 ? 1 : 150), 'Directus counts an item once that has several related ones, since 12');
	is_deeply($told->($reader, 'GET', '/items/iu_child?aggregate[count]=*&filter={"parent":{"name":{"_eq":"p"}}}'),
		$counts->(150), 'Directus counts by a filter on the one related item, and the stand-in does it alike');

	foreach my $row ([ 'POST', '/permissions', forbidden('collection "directus_permissions"') ],
		[ 'GET', '/fields', forbidden('collection "directus_fields"', 'perform "read" for') ],
		[ 'GET', '/items/iu_documents?aggregate[foo]=*&limit=2', [ 200, { data => [ {}, {} ] } ] ])
	{
		my ($method, $path, $expected) = @$row;
		is_deeply($told->($reader, $method, $path, $method eq 'POST' ? { fields => ['*'] } : ()), $expected,
			"Directus and the stand-in answer alike: $method $path");
	}
	is($told->($reader, 'GET', '/items/iu_ints?filter[n][_foo]=1')->[1]{errors}[0]{extensions}{reason},
		'"integer" field type does not contain the "_foo" filter operator',
		'Directus says what type of field has no such operator, and the stand-in does it alike');

	my $health = $ask->($reader, 'GET', '/server/health');
	like("$health->{headers}{'content-type'} $health->{content}",
		qr/^application\/(health\+)?json(; charset=utf-8)? \{"status":"(ok|warn|error)"\}$/,
		'Directus tells its health to whoever has a token, and the stand-in does it alike');
	my $anonymous = $told->(undef, 'GET', '/server/health');
	is_deeply($since_12 ? $anonymous : $anonymous->[1]{status}, $since_12 ? forbidden() : 'ok',
		'Directus tells its health to nobody without a token, since 12');

	# without a licence 12 regards no permission that narrows
	foreach my $token (qw(iu-limited-token iu-fields-token))
	{
		my $seen = $told->($token, 'GET', $documents);
		is_deeply($seen, $since_12 ? forbidden('collection "iu_documents"') : $counts->($token =~ /limited/ ? 40 : 163),
			"Directus without a licence gives nothing for a permission that narrows, since 12: $token");
		my $access = $told->($token, 'GET', '/permissions/me')->[1]{data}{iu_documents}{read}{access};
		is($access, $since_12 ? undef : $token =~ /limited/ ? 'partial' : 'full',
			"Directus without a licence tells of no permission that narrows, since 12: $token");
	}
	my ($policy) = @{ $told->($admin, 'GET', '/policies?limit=1')->[1]{data} };
	my $rule = { collection => 'iu_empty', action => 'read', permissions => { id => { _gt => 1 } }, fields => ['*'],
		policy => $policy->{id} };
	my $made = $told->($admin, 'POST', '/permissions', $rule);
	is_deeply($since_12 ? $made : $made->[0], $since_12 ? [ 403, { errors => [ {
		message => 'custom_permission_rules_enabled is a restricted resource.',
		extensions => { category => 'custom_permission_rules_enabled', code => 'RESOURCE_RESTRICTED' } } ] } ] : 200,
		'Directus without a licence makes no permission that narrows, since 12');
	$ask->($admin, 'DELETE', "/permissions/$made->[1]{data}{id}") unless $since_12;

	my $directus = IU::Directus->new($ENV{DIRECTUS_URL}, $admin);
	my $flow = $directus->call('POST', '/flows', { name => 'nowhere', trigger => 'webhook', status => 'active',
		accountability => 'all',
		options => { method => 'POST', return => '$last', error_on_reject => JSON::PP::true } })->{id};
	my $operation = $directus->call('POST', '/operations', { flow => $flow, key => 'only', name => 'nowhere',
		type => 'item-create', position_x => 19, position_y => 1,
		options => { collection => 'iu_no_such_collection', permissions => '$full', payload => {} } })->{id};
	$directus->call('PATCH', "/flows/$flow", { operation => $operation });
	my $run = $told->(undef, 'POST', "/flows/trigger/$flow", {});
	is_deeply($since_12 ? $run : $run->[0], $since_12 ? forbidden('collection "iu_no_such_collection"') : 500,
		'Directus answers 403 for a flow that writes to an unknown collection, since 12');
	$directus->call('DELETE', "/flows/$flow");
}

# What the stand-in alone is asked: the real one would be full for the other tests meanwhile.
my $limits = { collections => { map { ("c$_" => 1) } 1 .. 25 },
	tokens => { all => '*', part => { c1 => { fields => ['id'] } } } };
my ($full, $licensed) = map { IU::Peer->start('directus', @$_) } [], ['--licensed'];
$_->control('data', $limits) foreach $full, $licensed;
sub make_one { return IU::Directus->new($_[0]->url, 'all')->raw('POST', '/collections', { collection => 'one_more' }) }
is(make_one($full), '403 {"errors":[{"message":"collections limit exceeded.",'
	  . '"extensions":{"category":"collections","code":"LIMIT_EXCEEDED"}}]}',
	'the stand-in for Directus makes no more than 25 collections, in the words of 12.4.0 without a licence');
like(make_one($licensed), qr/^200 /, 'the stand-in for Directus with a licence makes more');
is(IU::Directus->new($licensed->url, 'part')->raw('GET', '/items/c1'), '200 {"data":[{"id":1}]}',
	'the stand-in for Directus with a licence regards a permission that narrows');

done_testing();
