# A clock that is set back or forward by an hour while the server runs, or while it
# is down: what waits goes on waiting for as long as it was meant to, what is under
# way is neither given up nor sent again, and health stays well.
use strict;
use warnings;

use IU::Clock;
use IU::Cluster;
use IU::Delivery;
use IU::Process;
use IU::Routes;
use IU::Sink;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $hour = 3600;
my $sink = IU::Sink->start;
my $clock = IU::Clock->new;
my $node = IU::Cluster->init_node('clock', { installed => 1 },
	'iu_core.allowed_origins' => $sink->url, 'iu_core.allowed_networks' => '127.0.0.0/8');
my $delivery = IU::Delivery->new($node, $sink);

$clock->start($node);
talk_to($node);
IU::Cluster->install($node);
$delivery->live;

# A function of a route, for the runner.
sql('CREATE TABLE called (); CREATE FUNCTION note(p_event uuid, p_payload jsonb) RETURNS void LANGUAGE plpgsql'
	  . ' SECURITY DEFINER SET search_path = pg_catalog, pg_temp'
	  . ' AS $$ BEGIN INSERT INTO public.called DEFAULT VALUES; END $$;'
	  . ' REVOKE ALL ON FUNCTION note(uuid, jsonb) FROM PUBLIC;'
	  . ' ALTER FUNCTION note(uuid, jsonb) OWNER TO iu_core_owner;'
	  . ' ALTER TABLE called OWNER TO iu_core_owner');
sql("SELECT fn_iu_route_function_register('note', 'tester', 'test')");
add_route('function', 'note', kind => 'sql_function', type => 'collection_created');

# With a second attempt after 3 s, and a circuit that is open for 3 s.
my %soon = (max_attempts => 50, base_s => 3, max_s => 3, jitter => 0, circuit_failures => 0);
my %circuit = (%soon, circuit_failures => 1, circuit_open_s => 3, circuit_max_s => 3);
my $sound = "SELECT severity < 2 AND message !~ 'looked|overdue|ended' FROM iu_core.health()";

sub open_gate
{
	sql("SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'tester', 'test')");
	return $delivery->gate('open');
}

subtest 'the clock of the server is the one that is set' => sub {
	my $now = "SELECT abs(extract(epoch FROM clock_timestamp()) - " . (time + $hour) . ') < 300';
	$clock->step($hour);
	is(sql($now), 't', 'the time of day is set forward by an hour');
	is(sql("SELECT abs(extract(epoch FROM iu_core.steady_clock()) - " . time . ') < 300'), 't',
		'the steady clock is not set');
	is(sql("SELECT iu_core.clock_moved() BETWEEN '59 min' AND '61 min'"), 't',
		'by how much the time of day was set forward is told');
	$clock->step(-$hour);
	is(sql('SELECT iu_core.clock_moved()'), '00:00:00', 'a clock that is put right again was not moved');
};

foreach my $step (-$hour, $hour)
{
	my $way = $step < 0 ? 'set back' : 'set forward';
	my $name = $step < 0 ? 'back' : 'forward';

	subtest "the clock is $way by an hour" => sub {
		my @routes = map { "$name$_" } qw(_retry _circuit _slow);
		$delivery->add_route($routes[0], retry => \%soon);
		$delivery->add_route($routes[1], retry => \%circuit);
		$delivery->add_route($routes[2], retry => \%soon);
		my %mark = map { $_ => $delivery->mark($_) } @routes[ 0 .. 2 ];
		$sink->fault({ path => "/$routes[$_]", status => 503, times => 1 }) foreach 0, 1;
		$sink->hold("/$routes[2]");
		$delivery->emit(3);
		becomes("SELECT count(*) >= 1 FROM iu_route_retry WHERE route_code = '$routes[0]'", 'a retry waits');
		becomes("SELECT count(*) = 1 FROM iu_route_circuit WHERE route_code = '$routes[1]'", 'a circuit is open');
		ok($sink->wait_for("/$routes[2]", 3), 'requests are under way');
		my $sender = IU::Cluster->wait_for_worker($node, 'sender');

		$clock->step($step);
		open_gate();	# an opening is told by the time of day
		ok($delivery->settle($_, $mark{$_}), "what waits on route $_ is delivered") foreach @routes[ 0, 1 ];
		is(scalar $sink->count("/$routes[2]"), 3, 'what is under way is not sent again');
		sql('SELECT iu_core.wake()');
		becomes($sound, 'health finds no worker that is late');
		is(sql("SELECT DISTINCT generation FROM iu_route_lease"), '1', 'no lease was taken over');
		is(sql("SELECT bool_and(cutoff < iu_core.steady_clock() - make_interval(days => keep_days) + interval '5 min')"
			  . ' FROM v_iu_core_retention_candidates'), 't', 'retention lets nothing go that is too young');
		my $called = sql('SELECT count(*) FROM called');
		emit(1, type => 'collection_created');
		becomes("SELECT count(*) = $called + 1 FROM called", 'the runner calls the function of a route');
		$sink->heal;
		foreach (@routes[ 0 .. 2 ])
		{
			ok($delivery->settle($_, $mark{$_}), "everything is delivered on route $_");
			my %found = $delivery->audit($_, $mark{$_});
			is($found{lost}, 0, "nothing is lost on route $_");
		}
		is({ $delivery->audit($routes[2], $mark{ $routes[2] }) }->{repeated}, 0, 'nothing was sent twice');

		sql("SELECT pg_terminate_backend($sender)");
		ok(IU::Cluster->wait_for_worker($node, 'sender', $sender), 'a sender that ends is replaced');
		is(sql("SELECT count(*) FROM iu_core.worker_status WHERE next_wakeup NOT BETWEEN"
			  . " clock_timestamp() - interval '5 min' AND clock_timestamp() + interval '5 min'"), '0',
			'the times that the status shows are those of the clock as it is now');
		IU::Routes::retire(@routes[ 0 .. 2 ]);
	};
}

subtest 'the clock is set back while the server is down' => sub {
	$delivery->add_route('down', retry => \%soon);
	$delivery->add_route('down_circuit', retry => \%circuit);
	my %mark = map { $_ => $delivery->mark($_) } 'down', 'down_circuit';
	$sink->fault({ path => "/$_", status => 503, times => 1 }) foreach 'down', 'down_circuit';
	$delivery->emit(1);
	becomes("SELECT count(*) = 2 FROM iu_route_retry WHERE route_code LIKE 'down%'", 'retries wait');
	becomes("SELECT count(*) = 1 FROM iu_route_circuit WHERE route_code = 'down_circuit'", 'a circuit is open');
	$node->stop;
	$clock->step(-$hour);
	$clock->start($node);
	open_gate();
	ok($delivery->settle($_, $mark{$_}), "what waited on route $_ is delivered") foreach 'down', 'down_circuit';
};

$node->stop;
done_testing();
