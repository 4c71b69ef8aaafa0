# The stand-ins of test/peers: that the tests' other half does what it is taken for.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256 sha256_hex);
use IO::Socket::INET;
use IU::Directus;
use IU::Peer;
use IU::Sink;
use JSON::PP;
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

# the same questions to Directus, the real one or the stand-in, whichever this run has
SKIP:
{
	skip 'no Directus', 4 unless $ENV{DIRECTUS_URL};
	my $ask = sub { return IU::Directus->new($ENV{DIRECTUS_URL}, $_[1])->raw('GET', $_[0]) };
	my $token = $ENV{DIRECTUS_TOKEN};
	is($ask->('/items/iu_documents?aggregate[count]=*', $token), '200 {"data":[{"count":"163"}]}',
		'Directus counts, and the stand-in does it alike');
	is($ask->('/items/iu_documents?aggregate[count]=*&filter[category][_eq]=alpha', $token),
		'200 {"data":[{"count":"40"}]}', 'Directus counts with a filter, and the stand-in does it alike');
	like($ask->('/items/iu_nosuch?aggregate[count]=*', $token), qr/^403 .*"code":"FORBIDDEN"/,
		'Directus answers 403 for an unknown collection, and the stand-in does it alike');
	like($ask->('/items/iu_documents', 'wrong'), qr/^401 .*"code":"INVALID_CREDENTIALS"/,
		'Directus answers 401 for a wrong token, and the stand-in does it alike');
}

done_testing();
