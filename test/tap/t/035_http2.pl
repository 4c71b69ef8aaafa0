# HTTP/2: deliveries to an origin that speaks it share a few connections, and
# what a receiver can do to a stream or to the connection under it gets its code
# like anything over HTTP/1.1 (032_answers.pl), costs no other delivery, and is
# not sent again without end. The server is on a network of the test's own.
use strict;
use warnings;

use IU::Certificate;
use IU::Cluster;
use IU::Gate;
use IU::Peer;
use IU::Process;
use IU::Routes;
use IU::Signature;
use IU::SQL;
use IU::Wait;
use IU::Wire;
use List::Util qw(max uniq);
use PostgreSQL::Test::Utils;
use Test::More;

my $peer = IU::Peer->start('http2');
my @names = map { "$_.test" } qw(h2 hostile old cut mute kept);
my $pair = IU::Certificate->self_signed(@names);
my $port = $peer->control('listen', { names => { map { $_ => $pair } @names } })->{port};

my $wire = IU::Wire->new(0);
$wire->trust($pair->{cert_file});
$wire->name($_, [ $_ eq 'kept.test' ? '127.0.0.1' : '8.8.8.8' ]) foreach @names;
my $node = IU::Cluster->init_node('http2', { installed => 1 },
	'iu_core.allowed_origins' => join(', ', map { "https://$_:$port" } @names),
	'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.max_response_size' => '1MB', 'iu_core.max_request_size' => '16MB');
$wire->start($node);
IU::Cluster->install($node);

talk_to($node);

sub sent { my ($route, $count, $name) = @_; return becomes('SELECT ' . attempts($route, 'sent') . " = $count", $name) }
sub happen { my ($type, $count, $payload) = @_; return emit($count, type => $type, payload => $payload // "'{}'") }

# Live; its secret. What is tried again is so in an hour.
sub add
{
	my ($route, $type, $name, $path, $timeout) = @_;
	return add_route($route, "https://$name.test:$port/$path", type => $type, retry => \%IU::Routes::IN_AN_HOUR,
		timeout_ms => $timeout // 120000);
}

# What arrived at a path, over HTTP/2 or not.
sub arrived
{
	my ($path) = @_;
	return grep { ($_->{headers}{':path'} // '') eq "/$path" } @{ $peer->control('streams', {}) };
}
sub connections { return uniq map { $_->{connection} } @_ }

switches_on();
my $pid = IU::Cluster->wait_for_worker($node, 'sender');

note 'two hundred at once';
my $secret = add('well', 'version_applied', 'h2', 'well');
happen('version_applied', 200);
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
sent('well', 200, 'two hundred deliveries over HTTP/2 are sent');
my @streams = arrived('well');
is(scalar @streams, 200, 'each of two hundred deliveries arrives in a stream of its own');
is(scalar(uniq map { $_->{headers}{'webhook-id'} } @streams), 200,
	'each of two hundred deliveries has a webhook-id of its own');
is(join(' ', uniq map { "$_->{headers}{':method'} $_->{headers}{':scheme'} $_->{headers}{':authority'}"
	  . " $_->{headers}{'content-type'}" } @streams),
	"POST https h2.test:$port application/json", 'a delivery over HTTP/2 is a POST of JSON to its origin');
is(scalar(grep { $_->{headers}{'webhook-signature'} eq right_signature($secret, @$_{qw(headers body)}) } @streams), 200,
	'each of two hundred deliveries over HTTP/2 is signed rightly');
my $connections = connections(@streams);
cmp_ok($connections, '<=', 4, "two hundred deliveries take at most four connections ($connections)");
happen('version_applied', 50) foreach 1 .. 2;
sent('well', 300, 'another hundred deliveries are sent');
is(scalar connections(arrived('well')), $connections, 'another hundred deliveries take no further connection');

note 'a slow stream beside fast ones';
add('slow', 'collection_created', 'h2', 'wait');
happen('collection_created', 1);
wait_for { arrived('wait') } or die "the slow request does not arrive\n";
happen('version_applied', 100);
sent('well', 400, 'a hundred deliveries are sent while a stream waits for its answer');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'slow'"), 0,
	'the delivery of the stream that waits has no attempt yet');
$peer->control('go', {});
sent('slow', 1, 'the stream that waited is answered, and its delivery is sent');
is(scalar connections(arrived('well'), arrived('wait')), $connections,
	'the stream that waited and the others share the same connections');
retire('slow');

note 'large ones';
add('length', 'collection_created', 'h2', 'length');
add('large', 'collection_created', 'h2', 'large');
happen('collection_created', 40, "jsonb_build_object('x', repeat('x', 200000))");
becomes("SELECT count(*) = 80 FROM iu_route_attempt WHERE route_code IN ('length', 'large') AND status = 'sent'",
	'deliveries of 200 kB, and deliveries with an answer of 900 kB, are sent')
  or diag(sql("SELECT string_agg(concat_ws(' ', route_code, status, failure_code, failure_detail, duration_us), E'\\n')"
	  . " FROM iu_route_attempt WHERE route_code IN ('length', 'large') AND status <> 'sent'"));
is(sql("SELECT string_agg(DISTINCT (response_excerpt::integer > 200000)::text, ' ') FROM iu_route_attempt"
	  . " WHERE route_code = 'length'"), 'true', 'a body of 200 kB arrives whole');
add('early', 'collection_created', 'h2', 'early');
happen('collection_created', 1, "jsonb_build_object('x', repeat('x', 200000))");
becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = 'early')",
	'a receiver that answers before the body has gone out has an attempt');
like(sql("SELECT failure_code FROM iu_route_attempt WHERE route_code = 'early'"), qr/^(?:http_413|connection_lost)$/,
	'an answer before the body has gone out counts as 413, or as a lost connection where libcurl drops it')
  or diag(sql("SELECT a FROM iu_route_attempt a WHERE route_code = 'early'"));
retire(qw(length large early));

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
	add($route, 'collection_created', 'hostile', $route, $fate{$route} eq 'timed_out' ? 3000 : undef);
	happen('collection_created', 1);
	wait_until("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = '$route')");
	like(sql("SELECT coalesce(failure_code, '') FROM iu_route_attempt WHERE route_code = '$route'"),
		qr/^(?:$fate{$route})$/, "a receiver that does \"$route\" to its stream: "
		  . ($fate{$route} =~ s{^\|}{sent or }r || 'sent'))
	  or diag(sql("SELECT a FROM iu_route_attempt a WHERE route_code = '$route'"));
	note(sql("SELECT failure_code || ': ' || failure_detail FROM iu_route_attempt a WHERE route_code = '$route'"));
	cmp_ok(scalar arrived($route), '<=', 2,
		"a receiver that does \"$route\" to its stream gets the request twice at most");
	retire($route);
}
add('only-http1', 'collection_created', 'old', 'only-http1');
happen('collection_created', 2);
sent('only-http1', 2, 'deliveries to a receiver that wants HTTP/1.1 are sent');
is(scalar(grep { $_->{connection} == 0 } @{ $peer->control('streams', {}) }), 2,
	'a receiver that wants HTTP/1.1 gets it');
retire('only-http1');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE failure_code NOT LIKE 'http\\_%' AND coalesce(failure_detail,"
	  . " '') = ''"), 0, 'every failure over HTTP/2 without a status has a sentence');

note 'a connection that breaks under many';
add('breaks', 'collection_created', 'cut', 'cut');
happen('collection_created', 40);
becomes("SELECT count(*) = 40 FROM iu_route_attempt WHERE route_code = 'breaks' AND failure_code = 'connection_lost'",
	'forty deliveries fail with the connection that breaks under them');
my %times;
$times{ $_->{headers}{'webhook-id'} }++ foreach arrived('cut');
cmp_ok(max(values %times), '<=', 2, 'no delivery is sent more than twice in its attempt when the connection breaks');
retire('breaks');

note 'a connection over which nothing comes any more';
add('mute', 'collection_created', 'mute', 'mute', 3000);
add('after', 'piece_reordered', 'mute', 'after', 30000);
happen('collection_created', 1);
becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = 'mute' AND failure_code = 'timed_out')",
	'a delivery over a connection over which nothing comes any more times out');
happen('piece_reordered', 1);
becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = 'after')",
	'the next delivery to the same receiver has an attempt');
is(sql("SELECT status FROM iu_route_attempt WHERE route_code = 'after'"), 'sent',
	'the next delivery to the same receiver is sent, over another connection');
retire(qw(mute after));

note 'an address that is struck off';
add('kept', 'collection_created', 'kept', 'kept');
happen('collection_created', 1);
sent('kept', 1, 'a delivery to an address that is allowed is sent');
IU::Cluster->reload($node, 'iu_core.allowed_networks' => '');
happen('collection_created', 1);
becomes("SELECT EXISTS (SELECT FROM iu_route_retry WHERE route_code = 'kept')",
	'a delivery to an address that was struck off the list is held');
is(scalar arrived('kept'), 1, 'a kept connection to an address that was struck off the list is not used');

note 'a sender that is stopped for longer than every time-out';
add('still', 'collection_rendered', 'h2', 'slow', 3000);
happen('collection_rendered', 40);
ok(wait_for { arrived('slow') }, 'requests are under way over HTTP/2 before the sender is stopped');
freeze($pid);
sleep 9;
thaw($pid);
becomes('SELECT ' . attempts('still', 'sent') . ' = 40', 'every delivery to a receiver over HTTP/2 is sent');
is(sql('SELECT ' . attempts('still', 'failed')), '0', 'none of them is taken for late');
is(scalar arrived('slow'), 40, 'none of them is sent twice');
retire('still');

note 'the sender';
happen('version_applied', 100);
sent('well', 500, 'after every failure another hundred deliveries are sent');
is(IU::Cluster->wait_for_worker($node, 'sender'), $pid, 'after every failure the sender is the same process');

$node->stop;
done_testing();
