# Routes that carry several event types, or those that match a pattern: everything
# arrives once and in order, types that are registered while the route is live too,
# and nothing of a type that the route does not carry.
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
my $node = IU::Cluster->new_installed('types', 'iu_core.senders' => 2, 'iu_core.allowed_origins' => $sink->url,
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);

sub register
{
	my ($type) = @_;
	return sql("SELECT fn_iu_event_type_register('shop', '$type', 'update', 'immediate', 'info', 'it happened',"
		  . " 'tester', 'test') ->> 'status'");
}

sub shop_route
{
	my ($route, $types) = @_;
	sql("SELECT fn_iu_route_add('$route', '$types', '" . $sink->url . "/$route', 'tester', 'test',"
		  . " p_event_domain => 'shop', p_max_in_flight => 1)");
	sql("SELECT fn_iu_route_allow('$route', 'tester', 'test')");
	return;
}

sub arm { return sql("SELECT fn_iu_route_arm('$_[0]', 'tester', 'test'" . ($_[1] // '') . ") ->> 'owed'") }

sub shop_events
{
	my ($count, @types) = @_;
	my $list = join ', ', map { "'$_'" } @types;
	return sql("SELECT count(fn_iu_event_emit('shop', t, 'orders', n::text)) FROM generate_series(1, $count) n,"
		  . " unnest(ARRAY[$list]) t");
}

sub arrived
{
	my ($route) = @_;
	return $sink->count("/$route");
}

sub sent_types
{
	my ($route) = @_;
	return sql("SELECT string_agg(t, ' ' ORDER BY t) FROM (SELECT e.event_type || ':' || count(*) AS t"
		  . " FROM iu_route_attempt a JOIN event_outbox e ON e.id = a.event_ref WHERE a.route_code = '$route'"
		  . " AND a.status = 'sent' GROUP BY e.event_type) AS x");
}

register($_) foreach qw(order_placed order_paid refund_asked);
shop_route('few', 'order_placed, refund_asked');
shop_route('orders', 'order_*');
shop_route('owed', '*');
is(arm('few'), '0', 'a route of two types is armed');
is(arm('orders'), '0', 'a route of a pattern is armed');

note 'what is carried';
shop_events(40, qw(order_placed order_paid refund_asked));
becomes('SELECT ' . attempts('few', 'sent') . ' = 80', 'a route of two types delivers the events of both');
becomes('SELECT ' . attempts('orders', 'sent') . ' = 80', 'a route of a pattern delivers the events that match');
is(sent_types('few'), 'order_placed:40 refund_asked:40', 'a route delivers what it names and nothing else');
is(sent_types('orders'), 'order_paid:40 order_placed:40', 'a route delivers what matches its pattern and nothing else');
is(arrived('few'), 80, 'each event of two types arrives once');
is(sql("SELECT string_agg(event_seq::text, ' ' ORDER BY a.id) = string_agg(event_seq::text, ' ' ORDER BY event_seq)"
	  . " FROM iu_route_attempt a JOIN event_outbox e ON e.id = a.event_ref WHERE a.route_code = 'few'"), 't',
	'the events of several types go out in the order in which they were emitted');

note 'what was emitted before';
is(arm('owed', ", now() - interval '1 hour'"), '120', 'a route of a pattern is owed the events that match from before');
becomes('SELECT ' . attempts('owed', 'sent') . ' = 120', 'what a route of a pattern is owed is delivered');

note 'a type that is registered while the route is live';
is(register('order_sent'), 'registered', 'a type that matches is registered');
shop_events(20, 'order_sent');
becomes("SELECT count(*) = 20 FROM iu_route_attempt a JOIN event_outbox e ON e.id = a.event_ref WHERE"
	  . " e.event_type = 'order_sent' AND a.route_code = 'orders' AND a.status = 'sent'",
	'events of a type that was registered later are delivered by the route of a pattern');
is(sent_types('few'), 'order_placed:40 refund_asked:40', 'a route that names its types is left as it was');

my $registering = $node->background_psql('postgres', on_error_stop => 1);
$registering->query_safe("BEGIN; SELECT fn_iu_event_type_register('shop', 'order_lost', 'update', 'immediate', 'info',"
	  . " 'it happened', 'tester', 'test')");
my $adding = $node->background_psql('postgres', on_error_stop => 1);
start_query($adding, "SELECT fn_iu_route_add('later', 'order_*', '" . $sink->url . "/later', 'tester', 'test',"
	  . " p_event_domain => 'shop')");
wait_until("SELECT count(*) > 0 FROM pg_locks WHERE relation = 'event_type_registry'::regclass AND NOT granted"
	  . " UNION ALL SELECT count(*) > 0 FROM iu_outbound_route WHERE route_code = 'later' ORDER BY 1 DESC LIMIT 1");
$registering->query_safe('COMMIT');
$_->quit foreach $registering, $adding;
is(sql("SELECT count(*) FROM iu_route_type WHERE route_code = 'later' AND event_type = 'order_lost'"), '1',
	'a route carries a type that was being registered while the route was added');

note 'late commits';
my $late = $node->background_psql('postgres', on_error_stop => 1);
$late->query_safe("BEGIN; SELECT fn_iu_event_emit('shop', 'order_paid', 'orders', 'late')");
shop_events(10, 'order_placed');
becomes('SELECT ' . attempts('orders', 'sent') . ' = 110', 'what commits first of several types goes out first');
$late->query_safe('COMMIT');
$late->quit;
becomes('SELECT ' . attempts('orders', 'sent') . ' = 111', 'a late commit of another type of the route goes out');
becomes('SELECT count(*) = 0 FROM v_iu_event_backlog WHERE waiting + retrying + leased > 0', 'nothing is left over');

done_testing();
