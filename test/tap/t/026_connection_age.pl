# A connection is not used for ever: when a name gets another address, what is sent
# later goes there, over HTTP/1.1 and over HTTP/2, however busy the connection is.
# The server is on a network of the test's own.
use strict;
use warnings;

use IU::Certificate;
use IU::Cluster;
use IU::Gate;
use IU::Peer;
use IU::Routes;
use IU::Sink;
use IU::SQL;
use IU::Wait;
use IU::Wire;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $peer = IU::Peer->start('http2');
my $sink = IU::Sink->start;
my $pair = IU::Certificate->self_signed('shared.test');
my $port = $peer->control('listen', { names => { 'shared.test' => $pair } })->{port};
my %target = (shared => "https://shared.test:$port", single => 'http://single.test:' . $sink->port);

# Each name has one address when it is first looked up, and another one later.
my $wire = IU::Wire->new(0);
$wire->trust($pair->{cert_file});
$wire->name("$_.test", ['8.8.8.8'], ['8.8.4.4']) foreach keys %target;
my $node = IU::Cluster->init_node('age', { installed => 1 },
	'iu_core.allowed_origins' => join(', ', values %target), 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.connection_max_age' => '2s');
$wire->start($node);
IU::Cluster->install($node);

talk_to($node);
switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
add_route($_, "$target{$_}/slow", timeout_ms => 120000) foreach sort keys %target;
$sink->slow('/slow', 300);

# A request that is not answered yet keeps the connection that requests share in use.
add_route('kept', "$target{shared}/wait", type => 'collection_created', timeout_ms => 250000);
emit(1, type => 'collection_created');
wait_for { grep { $_->{headers}{':path'} eq '/wait' } @{ $peer->control('streams', {}) } }
  or die "the request that is to wait does not arrive\n";

# To which addresses of a name the server has connected.
sub connected
{
	my ($to) = $target{ $_[0] } =~ /:(\d+)$/;
	return map { /^(\S+) $to$/ ? $1 : () } $wire->connects;
}

my $emitted = 0;
ok(
	wait_for
	{
		emit(2);
		$emitted += 2;
		sleep 0.1;
		return !grep { (join ' ', connected($_)) !~ /8\.8\.4\.4/ } keys %target;
	}, 'the address that a name has later is connected to, though the connection before is in use');
emit(10);
$emitted += 10;
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'kept'"), '0',
	'the connection before has been in use all the time');
$peer->control('go', {});
becomes('SELECT ' . attempts('kept', 'sent') . ' = 1', 'the request that kept it in use is answered');
foreach my $route (sort keys %target)
{
	becomes('SELECT ' . attempts($route, 'sent') . " = $emitted", "everything on route $route is sent");
	is(sql('SELECT ' . attempts($route, 'failed')), '0',
		"nothing on route $route fails for a connection that is too old");
	cmp_ok(scalar connected($route), '<', $emitted, "route $route: not every delivery has a connection of its own");
}

$node->stop;
done_testing();
