# What libcurl reads from a connection for several requests at once reaches each
# of them, also where it is the last that the receiver had to send: no delivery
# over HTTP/2 waits for an answer that has come. The server is on a network of the
# test's own.
use strict;
use warnings;

use IU::Certificate;
use IU::Cluster;
use IU::Gate;
use IU::Peer;
use IU::Routes;
use IU::SQL;
use IU::Wire;
use Test::More;

my $peer = IU::Peer->start('http2_records');
my $pair = IU::Certificate->self_signed('pairs.test');
my $port = $peer->control('listen', $pair)->{port};

my $wire = IU::Wire->new(0);
$wire->trust($pair->{cert_file});
$wire->name('pairs.test', ['8.8.8.8']);
my $node = IU::Cluster->init_node('records', { installed => 1 },
	'iu_core.allowed_origins' => "https://pairs.test:$port",
	'iu_core.allowed_networks' => '127.0.0.0/8');
$wire->start($node);
IU::Cluster->install($node);
talk_to($node);

# One pair at a time: the next one would wake those that wait.
add_route('pairs', "https://pairs.test:$port/pairs", retry => \%IU::Routes::IN_AN_HOUR, timeout_ms => 60000);
switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
my $failed = "SELECT count(*) FROM iu_route_attempt WHERE status <> 'sent'";
for (my $pair = 1; $pair <= 60 && sql($failed) eq '0'; $pair++)
{
	emit(2);
	wait_until('SELECT count(*) = ' . 2 * $pair . ' FROM iu_route_attempt');
}
is(sql($failed), '0', 'no delivery whose answer has come waits for it until it times out')
  or diag(sql("SELECT concat_ws(' ', id, failure_code, failure_detail) FROM iu_route_attempt WHERE status <> 'sent'"));
is(sql('SELECT ' . attempts('pairs', 'sent')), '120', 'deliveries whose answers come together are sent');

$node->stop;
done_testing();
