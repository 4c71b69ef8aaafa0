# A limit of deliveries a second, with two senders: within no second more begin than it
# says and a fifth more, nothing stands still, and other routes are not slower.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IU::Cluster;
use IU::Gate;
use IU::Routes;
use IU::Sink;
use IU::SQL;
use Test::More;

my $sink = IU::Sink->start;
my $node = IU::Cluster->new_installed('rates', 'iu_core.senders' => 2, 'iu_core.allowed_origins' => $sink->url,
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);

sub limited
{
	my ($route, $rate) = @_;
	add_route($route, $sink->url . "/$route", idle => 1, timeout_ms => 60000);
	sql("SELECT fn_iu_route_set('$route', 'tester', 'test', p_per_second => $rate)");
	sql("SELECT fn_iu_route_allow('$route', 'tester', 'test'); SELECT fn_iu_route_arm('$route', 'tester', 'test')");
	return;
}

limited('slow', 20);
add_route('free', $sink->url . '/free', timeout_ms => 60000);
emit(120);
becomes('SELECT ' . attempts('free', 'sent') . ' = 120', 'a route without a limit delivers what came');
becomes('SELECT ' . attempts('slow', 'sent') . ' = 120', 'a route with a limit delivers everything in the end');
is($sink->count('/slow'), 120, 'with a limit each event arrives once');

# Claims are what is limited; each delivery begins at once after it.
is(sql("SELECT max(n) <= 25 FROM (SELECT count(*) OVER (ORDER BY started_at RANGE BETWEEN CURRENT ROW AND"
	  . " '0.9 s' FOLLOWING) AS n FROM iu_route_attempt WHERE route_code = 'slow') AS x"), 't',
	'within a second no more deliveries begin than the limit and a fifth more');
is(sql("SELECT max(started_at) - min(started_at) >= '5.7 s' FROM iu_route_attempt WHERE route_code = 'slow'"), 't',
	'120 deliveries of 20 a second take as long as that');

note 'one more after a pause';
emit(1);
becomes('SELECT ' . attempts('slow', 'sent') . ' = 121', 'a single event of a route with a limit is delivered');

note 'another limit';
sql("SELECT fn_iu_route_set('slow', 'tester', 'test', p_per_second => 0.001)");
sql('DELETE FROM iu_route_pace');	# of what was left over when the machine was busy, too little may be there for one
emit(3);
becomes("SELECT waiting + retrying = 2 FROM v_iu_event_backlog WHERE route_code = 'slow'", 'one of three goes out');
sql("SELECT fn_iu_route_set('slow', 'tester', 'test', p_per_second => 0)");
becomes('SELECT ' . attempts('slow', 'sent') . ' = 124', 'when the limit is taken off what waited goes out at once');

note 'what comes while the limit allows nothing';
limited('scarce', 0.001);
emit(1);
becomes('SELECT ' . attempts('scarce', 'sent') . ' = 1', 'the first event goes out');
emit(1);
becomes("SELECT window_end IS NOT NULL FROM v_iu_route_position WHERE route_code = 'scarce'",
	'of an event that comes while the limit allows nothing the sender knows that it waits');
is(sql("SELECT iu.fn_iu_delivery_next_due() > iu_core.steady_clock() + interval '60 s'"), 't',
	'and when the limit allows it');

done_testing();
