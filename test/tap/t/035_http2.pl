# HTTP/2: deliveries to an origin that speaks it share a few connections, and
# what a receiver can do to a stream or to the connection under it gets its code
# like anything over HTTP/1.1 (032_answers.pl), costs no other delivery, and is
# not sent again without end. The server is on a network of the test's own.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Digest::SHA qw(hmac_sha256_base64);
use IU::Peer;
use IU::Cluster;
use IU::Wire;
use JSON::PP qw(decode_json);
use List::Util qw(max uniq);
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $peer = IU::Peer->start('http2');
my $folder = PostgreSQL::Test::Utils::tempdir;
my @names = map { "$_.test" } qw(h2 hostile old cut mute kept);

system_or_bail('openssl', qw(req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=h2.test), '-addext', 'subjectAltName=' . join(',', map { "DNS:$_" } @names),
	'-keyout', "$folder/key", '-out', "$folder/crt");
my $pair = { key => slurp_file("$folder/key"), cert => slurp_file("$folder/crt") };
my $port = $peer->control('listen', { names => { map { $_ => $pair } @names } })->{port};

my $wire = IU::Wire->new(0);
$wire->trust("$folder/crt");
$wire->name($_, [ $_ eq 'kept.test' ? '127.0.0.1' : '8.8.8.8' ]) foreach @names;
my $node = IU::Cluster->init_node('http2', {},
	'iu_core.allowed_origins' => join(', ', map { "https://$_:$port" } @names), 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.max_response_size' => '1MB', 'iu_core.max_request_size' => '16MB', 'iu_core.connect_timeout' => '5s');
$wire->start($node);
IU::Cluster->install($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub becomes { my ($query, $name) = @_; return ok($node->poll_query_until('postgres', $query), $name) }
sub sent { my ($route, $count, $name) = @_; return becomes("SELECT count(*) = $count FROM iu_route_attempt WHERE route_code = '$route' AND status = 'sent'", $name) }

# So many events of the type.
sub emit
{
	my ($type, $count, $more) = @_;
	$more //= "'{}'";
	return sql("SELECT fn_iu_emit_event('$type', 'A/' || n, gen_random_uuid(), 'tester', $more) FROM generate_series(1, $count) n");
}

# Live; its secret. What is tried again is so in an hour.
sub add_route
{
	my ($route, $type, $name, $path, $timeout) = @_;
	$timeout //= 20000;
	my $secret = sql("SELECT fn_iu_route_add('$route', '$type', 'https://$name.test:$port/$path', 'tester', 'test', p_timeout_ms => $timeout,
		p_retry_policy => '{\"max_attempts\": 3, \"base_s\": 3600, \"jitter\": 0, \"circuit_failures\": 0}') ->> 'secret'");
	sql("SELECT fn_iu_route_$_('$route', 'tester', 'test')") foreach 'allow', 'arm';
	return $secret;
}
sub retire { return sql("SELECT fn_iu_route_retire('$_[0]', 'tester', 'test')") }

# What arrived at a path, over HTTP/2 or not.
sub arrived { my ($path) = @_; return grep { ($_->{headers}{':path'} // '') eq "/$path" } @{ $peer->control('streams', {}) } }
sub connections { return uniq map { $_->{connection} } @_ }

# The most memory that the process ever had, kB.
sub peak { my ($pid) = @_; return slurp_file("/proc/$pid/status") =~ /^VmHWM:\s*(\d+) kB/m ? $1 : die 'no VmHWM' }

sql("SELECT fn_iu_switch_set(k, 'true', 'tester', 'test') FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k");
my $pid = IU::Cluster->wait_for_worker($node, 'sender');

note 'two hundred at once';
my $secret = add_route('well', 'version_applied', 'h2', 'well');
emit('version_applied', 200);
IU::Cluster->open_gate($node, 'iu_core.delivery_enabled', 3600);
sent('well', 200, 'two hundred deliveries are sent');
my @streams = arrived('well');
is(scalar @streams, 200, 'each in a stream');
is(scalar(uniq map { $_->{headers}{'webhook-id'} } @streams), 200, 'with an id of its own');
is(join(' ', uniq map { "$_->{headers}{':method'} $_->{headers}{':scheme'} $_->{headers}{':authority'} $_->{headers}{'content-type'}" } @streams),
	"POST https h2.test:$port application/json", 'by POST, as JSON');
is(scalar(grep { my $h = $_->{headers}; my $mac = hmac_sha256_base64("$h->{'webhook-id'}.$h->{'webhook-timestamp'}.$_->{body}", decode_base64($secret =~ s/^whsec_//r));
	$mac .= '=' while length($mac) % 4; $h->{'webhook-signature'} eq "v1,$mac" } @streams), 200, 'signed');
my $connections = connections(@streams);
cmp_ok($connections, '<=', 4, "over a handful of connections ($connections)");
emit('version_applied', 50) foreach 1 .. 2;
sent('well', 300, 'a hundred more');
is(scalar connections(arrived('well')), $connections, 'over the same ones');

note 'a slow stream beside fast ones';
add_route('slow', 'collection_created', 'h2', 'wait');
emit('collection_created', 1);
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM iu_route_lease WHERE route_code = 'slow')");
sleep_until(sub { arrived('wait') });
emit('version_applied', 100);
sent('well', 400, 'a hundred go out while one waits for its answer');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'slow'"), 0, 'it still does');
$peer->control('go', {});
sent('slow', 1, 'and gets it');
is(scalar connections(arrived('well'), arrived('wait')), $connections, 'all over the same connections');
retire('slow');

note 'large ones';
add_route('length', 'collection_created', 'h2', 'length');
add_route('large', 'collection_created', 'h2', 'large');
my $before = sql("SELECT count(*) FROM iu_route_attempt WHERE status = 'sent'");
emit('collection_created', 40, "jsonb_build_object('x', repeat('x', 200000))");
becomes("SELECT count(*) = 80 FROM iu_route_attempt WHERE route_code IN ('length', 'large') AND status = 'sent'", 'bodies of 200 kB, answers of 900 kB');
is(sql("SELECT string_agg(DISTINCT (response_excerpt::integer > 200000)::text, ' ') FROM iu_route_attempt WHERE route_code = 'length'"), 'true', 'arrive whole');
add_route('early', 'collection_created', 'h2', 'early');
emit('collection_created', 1, "jsonb_build_object('x', repeat('x', 200000))");
becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = 'early')", 'an answer before the body has gone out');
like(sql("SELECT failure_code FROM iu_route_attempt WHERE route_code = 'early'"), qr/^(?:http_413|connection_lost)$/, 'counts as one, or, where libcurl drops it, as a loss')
  or diag(sql("SELECT a FROM iu_route_attempt a WHERE route_code = 'early'"));
retire($_) foreach qw(length large early);

note 'each failure';
my %fate = (
	'hang'       => 'timed_out',
	'drip'       => 'timed_out',
	'endless'    => 'response_too_large',
	'announced'  => 'response_too_large',
	'headers-few' => '',	# below the limit
	'headers'    => 'response_too_large',
	'headers-many' => 'response_too_large',
	'interims'   => 'response_too_large',
	'reset'      => 'connection_lost',
	'reset-body' => 'connection_lost',
	'refused'    => 'connection_lost',
	'goaway'     => 'connection_lost|not_http',
	'goaway-body' => 'connection_lost',
	'cut'        => 'connection_lost',
	'cut-body'   => 'connection_lost',
	'last'       => '|connection_lost', # the latter where libcurl sees the end of the connection first
);
foreach my $route (sort keys %fate)
{
	add_route($route, 'collection_created', 'hostile', $route, $fate{$route} eq 'timed_out' ? 700 : 20000);
	emit('collection_created', 1);
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = '$route')");
	like(sql("SELECT coalesce(failure_code, '') FROM iu_route_attempt WHERE route_code = '$route'"), qr/^(?:$fate{$route})$/, "$route: " . ($fate{$route} =~ s{^\|}{sent or }r))
	  or diag(sql("SELECT a FROM iu_route_attempt a WHERE route_code = '$route'"));
	note(sql("SELECT failure_code || ': ' || failure_detail FROM iu_route_attempt a WHERE route_code = '$route'"));
	cmp_ok(scalar arrived($route), '<=', 2, "$route: sent twice at most");
	retire($route);
}
add_route('only-http1', 'collection_created', 'old', 'only-http1');
emit('collection_created', 2);
sent('only-http1', 2, 'a receiver that wants HTTP/1.1');
is(scalar(grep { $_->{connection} == 0 } @{ $peer->control('streams', {}) }), 2, 'gets it');
retire('only-http1');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE failure_code NOT LIKE 'http\\_%' AND coalesce(failure_detail, '') = ''"), 0, 'what has no status has words');

note 'a connection that breaks under many';
add_route('breaks', 'collection_created', 'cut', 'cut');
emit('collection_created', 40);
becomes("SELECT count(*) = 40 FROM iu_route_attempt WHERE route_code = 'breaks' AND failure_code = 'connection_lost'", 'forty deliveries are lost with it');
my %times;
$times{ $_->{headers}{'webhook-id'} }++ foreach arrived('cut');
cmp_ok(max(values %times), '<=', 2, 'none was sent more than twice in its attempt');
retire('breaks');

note 'a connection over which nothing comes any more';
add_route('mute', 'collection_created', 'mute', 'mute', 700);
add_route('after', 'piece_reordered', 'mute', 'after', 5000);
emit('collection_created', 1);
becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = 'mute' AND failure_code = 'timed_out')", 'a request times out on it');
emit('piece_reordered', 1);
becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = 'after')", 'the next one ends');
is(sql("SELECT status FROM iu_route_attempt WHERE route_code = 'after'"), 'sent', 'over another connection');
retire($_) foreach qw(mute after);

note 'an address that is struck off';
add_route('kept', 'collection_created', 'kept', 'kept');
emit('collection_created', 1);
sent('kept', 1, 'a delivery to an address that is allowed');
IU::Cluster->reload($node, 'iu_core.allowed_networks' => '');
emit('collection_created', 1);
becomes("SELECT EXISTS (SELECT FROM iu_route_retry WHERE route_code = 'kept')", 'the next is held');
is(scalar arrived('kept'), 1, 'and does not go out over the connection that is kept');

note 'the sender';
emit('version_applied', 100);
sent('well', 500, 'goes on');
is(IU::Cluster->wait_for_worker($node, 'sender'), $pid, 'in the same process');

$node->stop;
done_testing();

# Until it is true.
sub sleep_until
{
	my ($test) = @_;
	foreach (1 .. 1800)
	{
		return 1 if $test->();
		select(undef, undef, undef, 0.1);
	}
	die "it never is\n";
}
