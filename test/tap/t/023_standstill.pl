# A sender that stands still, waits for a commit, or is woken without end: what
# receivers answered at once is not taken for late, is not sent again, and opens
# no circuit. A receiver that does not answer still times out.
use strict;
use warnings;

use IU::Cluster;
use IU::Delivery;
use IU::Process;
use IU::Receiver;
use IU::Routes;
use IU::Sink;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $timeout_ms = 3000;	# of the routes under test; their receivers answer within a tenth of it
my $longer = 4 * $timeout_ms / 1000;	# seconds for which a sender is kept from its sockets
my $sink = IU::Sink->start;
my $hang = IU::Receiver->start;
my $node = IU::Cluster->init_node('standstill', { installed => 1, allows_streaming => 1 },
	'iu_core.allowed_origins' => join(', ', $sink->url, $hang->origin), 'iu_core.allowed_networks' => '127.0.0.0/8');
my $delivery = IU::Delivery->new($node, $sink);

$node->start;
talk_to($node);
IU::Cluster->install($node);
$delivery->live;

sub add { return $delivery->add_route($_[0], timeout_ms => $timeout_ms, max_in_flight => 200, %{ $_[1] // {} }) }

# What the sender made of what the receivers answered.
sub is_clean
{
	my ($what, $mark, @routes) = @_;
	foreach my $route (@routes)
	{
		ok($delivery->settle($route, $mark->{$route}), "$what: everything is delivered on route $route");
		my %found = $delivery->audit($route, $mark->{$route});
		is($found{repeated}, 0, "$what: nothing is sent twice on route $route");
	}
	is(sql("SELECT string_agg(DISTINCT route_code || ' ' || failure_code, ', ') FROM iu_route_attempt"
		  . " WHERE status = 'failed' AND route_code <> 'hang'"), '', "$what: no attempt is taken for failed");
	is(sql("SELECT count(*) FROM iu_route_circuit WHERE route_code <> 'hang'"), '0',
		"$what: no circuit counts anything");
	return;
}

subtest 'a sender that is stopped for longer than every timeout' => sub {
	add('quick');
	add('slow');
	$sink->slow('/slow', $timeout_ms / 10);
	my %mark = map { $_ => $delivery->mark($_) } 'quick', 'slow';
	my $sender = IU::Cluster->wait_for_worker($node, 'sender');
	$delivery->emit(100);
	ok($sink->wait_for('/slow', $mark{slow}{arrived} + 20), 'requests are under way before the sender is stopped');
	freeze($sender);
	sleep $longer;
	thaw($sender);
	is_clean('stopped', \%mark, 'quick', 'slow');
	is(sql("SELECT count(*) FROM iu_core.worker_status WHERE pid = $sender"), '1', 'the same process goes on');
};

subtest 'a commit that stalls for longer than every timeout' => sub {
	my %mark = map { $_ => $delivery->mark($_) } 'quick', 'slow';
	my $stalled = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'iu_core sender'"
	  . " AND wait_event = 'SyncRep')";
	IU::Cluster->reload($node, synchronous_standby_names => 'nobody');
	{
		local $ENV{PGOPTIONS} = '-c synchronous_commit=local';
		sql(emit_of(50));
	}
	becomes($stalled, 'the commit of a record waits for a standby that is not there');
	ok($sink->wait_for('/slow', $mark{slow}{arrived} + 1), 'requests are under way while the commit stalls');
	sleep $longer;
	is(sql($stalled), 't', 'the commit has stalled all the time');
	$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
	$node->reload;
	is_clean('a stalled commit', \%mark, 'quick', 'slow');
	IU::Routes::retire('quick', 'slow');
};

subtest 'a storm of commits that concern no route' => sub {
	my @routes = map { "r$_" } 1 .. 24;
	add($_) foreach @routes;
	$sink->slow("/$_", $timeout_ms / 10) foreach @routes;
	my %mark = map { $_ => $delivery->mark($_) } @routes;
	my @storm = map { $node->background_psql('postgres') } 1, 2;
	start_query($_, "DO \$\$ DECLARE v_end CONSTANT timestamptz := clock_timestamp() + interval '$longer s';"
		  . " BEGIN WHILE clock_timestamp() < v_end LOOP"
		  . " PERFORM fn_iu_emit_event('collection_created', 'A/1', gen_random_uuid(), 'storm');"
		  . ' COMMIT; END LOOP; END $$')
	  foreach @storm;
	foreach (1 .. 20)
	{
		sql(emit_of(2));
		sleep $longer / 30;
	}
	$_->quit foreach @storm;
	is_clean('a storm', \%mark, @routes);
	cmp_ok(sql("SELECT count(*) FROM event_outbox WHERE event_type = 'collection_created'"), '>', 400,
		'there was a storm');
	IU::Routes::retire(@routes);
};

subtest 'a receiver that does not answer' => sub {
	add_route('hang', $hang->origin . '/hang', timeout_ms => $timeout_ms, retry => \%IU::Routes::ONCE);
	add('quick2');
	emit(1);
	becomes("SELECT failure_code = 'timed_out' AND duration_us BETWEEN 0.9 * $timeout_ms * 1000 AND 60e6"
		  . " FROM iu_route_attempt WHERE route_code = 'hang'", 'a receiver that never answers times out');
	becomes('SELECT ' . attempts('quick2', 'sent') . ' = 1', 'another one gets its event meanwhile');
};

sub emit_of { return IU::Routes::emit_sql($_[0]) }

$node->stop;
done_testing();
