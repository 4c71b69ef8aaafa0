# Nothing is lost, repeated or taken for a timeout because something stood still or
# was in the way here: a sender that is stopped, a commit that stalls, a storm of
# commits, a clock that is set, a function that cannot be cancelled, no connection
# and no worker left. The receiver answers at once; what waited here was never its
# time. `make losses` prints the lines that begin with a bar.
use strict;
use warnings;

use IU::Clock;
use IU::Cluster;
use IU::Delivery;
use IU::Process;
use IU::Query;
use IU::Routes qw(add_route_sql arm_sql);
use IU::SQL;
use IU::Sink;
use IU::Wait;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $events = $ENV{IU_EVENTS} ? 1000 : 200;
my $gate = 'iu_core.delivery_enabled';
my $sink = IU::Sink->start;
my $clock = IU::Clock->new;
my $node = IU::Cluster->init_node('stalls', { installed => 1 }, 'iu_core.allowed_origins' => $sink->url,
	'iu_core.allowed_networks' => '127.0.0.0/8', 'iu_core.request_timeout' => '2s', max_connections => 30,
	max_parallel_workers => 32);
$clock->start($node);
talk_to($node);
IU::Cluster->install($node);
my $delivery = IU::Delivery->new($node, $sink);
$delivery->live;
$delivery->gate('close');
sql('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE oscar LOGIN IN ROLE iu_core_operator');
my $approval = sql("SET SESSION AUTHORIZATION olga; SELECT fn_iu_gate_approval_grant('$gate', 'open', 3600,"
	  . " clock_timestamp() + interval '90 days', 'olga', 'test', 'standing') ->> 'approval_id'");
sql("SET SESSION AUTHORIZATION oscar; SELECT fn_iu_gate_open('$gate', '$approval', 'oscar', 'test', 3600)");
$delivery->add_route('hook', max_in_flight => 64, timeout_ms => 2000);

sub row { return note(sprintf('| %-63s | %9s | %8s | %5s | %8s |', @_)) }
row('what stands in the way', qw(delivered repeated lost timeouts));

# What is emitted while it is so arrives once, without a failed attempt.
sub trial
{
	my ($what, $during) = @_;
	subtest "nothing is lost, repeated or timed out: $what" => sub {
		my $mark = $delivery->mark('hook');
		my $failed = "SELECT count(*) FROM iu_route_attempt WHERE route_code = 'hook' AND status = 'failed'";
		my $before = sql($failed);
		my $emitted = $during->($mark);
		ok($delivery->settle('hook'), 'everything is delivered');
		my %found = $delivery->audit('hook', $mark);
		my $timeouts = sql($failed) - $before;
		is(IU::Delivery::told(%found), IU::Delivery::perfect($emitted), 'nothing is lost, and the records agree');
		is("repeated $found{repeated}, failed attempts $timeouts", 'repeated 0, failed attempts 0',
			'each delivery was sent once, and every answer was heard');
		becomes("SELECT status FROM iu_core.health()", 'OK', 'health is well when it is over');
		row($what, @found{qw(delivered repeated lost)}, $timeouts);
	};
	return;
}

# A part is under way, and answered while nobody looks.
sub under_way
{
	my ($mark, $stall) = @_;
	$sink->hold('/hook', 20);
	$delivery->emit($events);
	ok($sink->wait_for('/hook', $mark->{arrived} + 40), 'requests are under way');
	$stall->(sub { $sink->heal });
	return $events;
}

trial('a sender is stopped for longer than every timeout', sub {
		return under_way($_[0], sub {
				my ($answer) = @_;
				my @senders = $delivery->senders;
				freeze(@senders);
				$answer->();
				sleep 5;
				thaw(@senders);
			});
	});

trial('every process but the postmaster is stopped for longer than every timeout', sub {
		return under_way($_[0], sub {
				my ($answer) = @_;
				my @all = split /\n/, sql('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
				freeze(@all);
				$answer->();
				sleep 5;
				thaw(@all);
			});
	});

# Commits wait for a standby that never comes.
trial('commits stall for 10 s', sub {
		return under_way($_[0], sub {
				my ($answer) = @_;
				IU::Cluster->reload($node, synchronous_standby_names => 'nobody');
				$answer->();
				sleep 10;
				IU::Cluster->reload($node, synchronous_standby_names => '');
			});
	});

foreach my $seconds (3600, -3600)
{
	trial("the clock is set by $seconds s while requests are under way", sub {
			return under_way($_[0], sub {
					my ($answer) = @_;
					$clock->step($seconds);
					$answer->();
				});
		});
	trial("the clock is set by $seconds s and back", sub {
			return under_way($_[0], sub {
					my ($answer) = @_;
					$clock->step($seconds);
					sleep 1;
					$clock->step(-$seconds);
					$answer->();
				});
		});
}

subtest 'a retry that was made while the clock stood an hour ahead is not an hour late' => sub {
	my $mark = $delivery->mark('late');
	$delivery->add_route('late', max_in_flight => 64, timeout_ms => 2000, type => 'collection_rendered',
		retry => { max_attempts => 5, base_s => 20, jitter => 0, circuit_failures => 0 });
	$clock->step(3600);
	becomes("SELECT iu_core.gate_is_open('$gate')", 't',
		'on a standing approval the gate is open again after the clock was set forward');
	$sink->fault({ path => '/late', status => 503, times => 10 });
	$delivery->emit(10, 'collection_rendered');
	becomes("SELECT count(*) >= 1 FROM iu_route_attempt WHERE route_code = 'late' AND status = 'failed'",
		'a delivery has failed');
	$clock->step(-3600);
	$sink->heal;
	ok($delivery->settle('late'), 'the retries are made when they were meant');
	my %found = $delivery->audit('late', $mark);
	is(IU::Delivery::told(%found), IU::Delivery::perfect(10), 'nothing is lost');
	row('retries of an hour ahead, and the clock is set back', @found{qw(delivered repeated lost)}, '-');
};

# ---- Storms of commits that no route carries, beside many routes

sub storm
{
	my ($seconds) = @_;
	return map {
		IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c',
			"DO \$\$ DECLARE v_end timestamptz := clock_timestamp() + interval '$seconds s'; BEGIN"
			  . " WHILE clock_timestamp() < v_end LOOP PERFORM fn_iu_emit_event('collection_created', 'S',"
			  . " gen_random_uuid(), 'storm'); COMMIT; PERFORM pg_sleep(0.004); END LOOP; END \$\$" ])
	} 1, 2;
}

my $routes = 1;
foreach my $many (16, 100, 500)
{
	while ($routes < $many)
	{
		my $upto = $routes + 50 < $many ? $routes + 50 : $many;
		sql(join '; ', map {
				my $route = "other$_";
				add_route_sql($route, $sink->url . '/other', type => 'structure_op_applied', timeout_ms => 2000),
					arm_sql($route)
			} $routes .. $upto - 1);
		$routes = $upto;
	}
	trial("a storm of commits of types that nobody carries, beside $many routes", sub {
			my @storm = storm($ENV{IU_EVENTS} ? 8 : 3);
			$delivery->emit(50);
			ok($delivery->settle('hook'), 'the storm holds up nothing');
			$delivery->emit(50);
			IPC::Run::finish($_) foreach @storm;
			return 100;
		});
}

# ---- Nobody can connect, no worker can start

# Connections, until the server has none left.
sub take_connections
{
	my @taken;

	while (my $one = IU::Query::connection($node, 'postgres')) { push @taken, $one }
	return @taken;
}

# The senders stand still until there is none, which takes as long as it takes.
trial('every connection is taken', sub {
		my ($mark) = @_;
		return under_way($mark, sub {
				my ($answer) = @_;
				my @senders = $delivery->senders;
				freeze(@senders);
				my @taken = take_connections();
				$answer->();
				thaw(@senders);
				ok($sink->wait_for('/hook', $mark->{arrived} + $events), 'the senders go on while nobody can connect');
				$_->disconnect foreach @taken;
			});
	});

# ---- A function that cannot be cancelled

subtest 'a function that swallows its cancel costs its own route only' => sub {
	sql("CREATE FUNCTION public.$_->[0](p_event uuid, p_payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
		  SET search_path = pg_catalog, pg_temp AS \$\$ BEGIN $_->[1] END \$\$;
	     REVOKE ALL ON FUNCTION public.$_->[0](uuid, jsonb) FROM PUBLIC;
	     ALTER FUNCTION public.$_->[0](uuid, jsonb) OWNER TO iu_core_owner;
	     SELECT fn_iu_route_function_register('$_->[0]', 'tester', 'test');")
	  foreach [ stubborn => 'LOOP BEGIN PERFORM pg_sleep(600);'
	    . ' EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;' ],
	[ willing => '' ];
	foreach my $route ('stubborn', 'willing')
	{
		sql(add_route_sql($route, $route, kind => 'sql_function', type => 'collection_validated', timeout_ms => 1000,
				retry => { max_attempts => 2, base_s => 0.1, max_s => 0.1, jitter => 0, circuit_failures => 0 }));
		sql(arm_sql($route));
	}
	my $mark = $delivery->mark('hook');
	$delivery->emit(3, 'collection_validated');
	$delivery->emit($events);
	ok($delivery->settle('hook'), 'what goes over the wire is delivered');
	ok($delivery->settle('willing'), 'the function beside it is called for every event');
	becomes("SELECT count(*) = 3 FROM iu_route_dead_letter WHERE route_code = 'stubborn'",
		'each delivery to the stubborn function is counted, and ends');
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect($events) . ', repeated 0',
		'nothing of the others is lost or repeated');
	row('a function that swallows its cancel', @found{qw(delivered repeated lost)}, '-');
};

$node->stop;

# ---- No place for another worker

subtest 'without a place for another worker those that run go on, and health says so' => sub {
	my $small = IU::Cluster->new_node('small', 'iu_core.allowed_origins' => $sink->url,
		'iu_core.allowed_networks' => '127.0.0.0/8', max_worker_processes => 5);
	talk_to($small);
	IU::Cluster->install($small);
	my $there = IU::Delivery->new($small, $sink);
	$there->live;
	$there->add_route('small', max_in_flight => 64);
	becomes('SELECT status FROM iu_core.health()', 'OK', 'with five places all is well');
	IU::Cluster->reload($small, 'iu_core.senders' => 3);
	becomes("SELECT status <> 'OK' AND message ~ 'max_worker_processes' FROM iu_core.health()",
		'health names the setting that leaves no place for more senders');
	$there->emit($events);
	ok($there->settle('small'), 'the sender that has a place delivers');
	my %found = $there->audit('small');
	is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect($events) . ', repeated 0',
		'nothing is lost or repeated');
	IU::Cluster->reload($small, 'iu_core.senders' => 1);
	becomes('SELECT status FROM iu_core.health()', 'OK', 'health is well when no more senders are asked for');
	row('no place for another worker', @found{qw(delivered repeated lost)}, '-');
	$small->stop;
};

done_testing();
