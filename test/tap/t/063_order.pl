# Order by subject and the circuit of a route, with two senders and a receiver
# that says what came, and in which order.
use strict;
use warnings;
use IuCore;
use IuReceiver;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $each     = 25;
my $receiver = IuReceiver->start;
my $port     = PostgreSQL::Test::Cluster::get_free_port();
my $node     = IuCore->new_node('order', 'iu_core.senders' => 2, 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.allowed_origins' => $receiver->origin . ", http://127.0.0.1:$port");

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub becomes { my ($query, $name) = @_; return ok($node->poll_query_until('postgres', $query), $name) }

sub add_route
{
	my ($route, $type, $url, $retry, $ordering) = @_;
	sql("SELECT fn_iu_route_add('$route', '$type', '$url', 'tester', 'test', p_retry_policy => '$retry', p_ordering => '$ordering');
	     SELECT fn_iu_route_allow('$route', 'tester', 'test'); SELECT fn_iu_route_arm('$route', 'tester', 'test')");
	return;
}
sub sent { return "(SELECT count(*) FROM iu_route_attempt WHERE route_code = '$_[0]' AND status = 'sent')" }
sub senders_run { return becomes("SELECT count(*) = 2 FROM iu_core.worker_status WHERE role = 'sender' AND state = 'running'", 'two senders run') }

IuCore->install($node);
sql("SELECT fn_iu_switch_set(k, 'true', 'tester', 'test') FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k");
IuCore->open_gate($node, 'iu_core.delivery_enabled', 3600);
senders_run();

note 'order by subject: a third of the requests fail';
add_route('ordered', 'version_applied', $receiver->origin . '/flaky',
	'{"max_attempts": 100, "base_s": 0.01, "max_s": 0.05, "circuit_failures": 0}', 'subject');

# The events of these subjects from one place to another, a transaction each.
sub emit
{
	my ($from, $to, @subjects) = @_;
	sql(join '', map {
		my $place = $_;
		map { sprintf "SELECT fn_iu_emit_event('version_applied', '%d', '00000000-0000-0000-0000-%012d', 'tester', '{\"place\": %d}');\n", $_, $_, $place } @subjects
	} $from .. $to);
	return;
}

# What arrived: for each subject the places, in order.
sub arrivals
{
	my %places;
	for my $request (grep { $_->{line} =~ m{^POST /flaky } } $receiver->requests)
	{
		my $data = decode_json($request->{body})->{data};
		push @{ $places{ $data->{canonical_address} } }, $data->{payload}{place};
	}
	return \%places;
}
sub without_repeats { my %seen; return grep { !$seen{$_}++ } @_ }
sub backward { return scalar grep { $_[$_] < $_[ $_ - 1 ] } 1 .. $#_ }

emit(1, $each, 1 .. 10);
becomes('SELECT ' . sent('ordered') . ' = 250', 'all are delivered');
my $arrivals = arrivals();
is(join(',', without_repeats(@{ $arrivals->{$_} })), join(',', 1 .. $each), "subject $_: in order") for 1 .. 10;
is(backward(@{ $arrivals->{$_} }), 0, "subject $_: nothing overtook a retry") for 1 .. 10;
cmp_ok(sql("SELECT count(*) FROM iu_route_attempt WHERE status = 'failed'"), '>', 20, 'failures there were');

note 'with a sender that ends and a server that crashes';
emit(1, 12, 11 .. 20);
becomes('SELECT ' . sent('ordered') . ' > 260', 'under way');
is(sql("SELECT count(pg_terminate_backend(pid)) FROM iu_core.worker_status WHERE role = 'sender'"), '2', 'both senders end');
emit(13, $each, 11 .. 20);
becomes('SELECT ' . sent('ordered') . ' > 350', 'others go on');
$node->stop('immediate');
$node->start;
becomes('SELECT ' . sent('ordered') . ' = 500', 'all 500 are delivered');
$arrivals = arrivals();
is(join(',', without_repeats(@{ $arrivals->{$_} })), join(',', 1 .. $each), "subject $_: in order") for 11 .. 20;
is(sql('SELECT count(*) FROM iu_route_dead_letter'), '0', 'nothing was given up');
becomes("SELECT count(*) = 0 FROM iu_route_retry", 'nothing is left over');
is(sql("SELECT count(DISTINCT sender) FROM iu_route_attempt WHERE route_code = 'ordered'"), '2', 'both senders had their part');

note 'the circuit of a dead endpoint';
add_route('dead', 'structure_op_applied', "http://127.0.0.1:$port/ok",
	'{"max_attempts": 100, "base_s": 0.01, "max_s": 0.05, "circuit_failures": 5, "circuit_open_s": 0.2, "circuit_max_s": 0.4}', 'none');
add_route('shut', 'structure_op_applied', "http://127.0.0.1:$port/ok?shut",
	'{"max_attempts": 100, "base_s": 0.01, "max_s": 0.05, "circuit_failures": 5, "circuit_open_s": 3600, "circuit_max_s": 3600}', 'none');
sql("SELECT fn_iu_emit_event('structure_op_applied', 'A', gen_random_uuid(), 'tester') FROM generate_series(1, 20)");
becomes("SELECT count(*) = 2 FROM iu_route_circuit WHERE state <> 'closed'", 'they open');
becomes("SELECT NOT EXISTS (SELECT FROM iu_route_lease WHERE route_code = 'shut')", 'what was under way has ended');
my $attempts = sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'shut'");
cmp_ok($attempts, '>=', 5, 'after five failures or more');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code IN ('dead', 'shut') AND failure_code <> 'connect_failed'"), '0', 'since nobody listens');
# What is no probe was under way when it opened, so there is no more of it.
becomes("SELECT failures > 8 AND open_s = 0.4 FROM iu_route_circuit WHERE route_code = 'dead'", 'probes fail, and it is open for longer');
my $beside = "SELECT count(*) - (SELECT failures FROM iu_route_circuit WHERE route_code = 'dead') FROM iu_route_attempt WHERE route_code = 'dead'";
my $before = sql($beside);
becomes("SELECT failures > 12 FROM iu_route_circuit WHERE route_code = 'dead'", 'more of them');
is(sql($beside), $before, 'an attempt each, and no other attempt is made');

my $revived = IuReceiver->start($port);
becomes('SELECT ' . sent('dead') . ' = 20', 'somebody listens: all are delivered');
is(sql("SELECT count(*) FROM iu_route_circuit WHERE route_code = 'dead'"), '0', 'the circuit is closed');
is(scalar(grep { $_->{line} =~ m{ /ok } } $revived->requests), 20, 'each arrived once');
is(sql("SELECT fn_iu_delivery_refusal('shut')"), 'circuit_open', 'the other is still open');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'shut'"), $attempts, 'which costs no attempt');
is(sql("SELECT held FROM v_iu_route_held WHERE route_code = 'shut' AND code = 'circuit_open'"), '20', 'it is shown');
sql("SELECT fn_iu_route_circuit_close('shut', 'tester', 'somebody listens')");
becomes('SELECT ' . sent('shut') . ' = 20', 'closed by hand, all are delivered');

$node->stop;
$_->stop for $receiver, $revived;
done_testing();
