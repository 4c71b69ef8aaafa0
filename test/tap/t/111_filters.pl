# Filters of routes, with senders: what passes is delivered once and in order, what
# does not is passed over, however much of it there is, and a filter that cannot
# decide makes a dead letter and holds nothing up.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IU::Cluster;
use IU::Gate;
use IU::Process;
use IU::Routes;
use IU::Sink;
use IU::SQL;
use IU::Wait;
use Test::More;

my $sink = IU::Sink->start;
my $node = IU::Cluster->new_installed('filters', 'iu_core.senders' => 2, 'iu_core.allowed_origins' => $sink->url,
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);

sub filtered_route
{
	my ($route, $filter, $start) = @_;
	add_route($route, $sink->url . "/$route", idle => 1);
	sql("SELECT fn_iu_route_set('$route', 'tester', 'test', p_payload_filter => " . literal($filter) . ')');
	sql("SELECT fn_iu_route_allow('$route', 'tester', 'test')");
	return sql("SELECT fn_iu_route_arm('$route', 'tester', 'test'" . ($start // '') . ") ->> 'owed'");
}

sub numbers
{
	my ($route) = @_;
	return sql("SELECT string_agg((e.safe_payload ->> 'n'), ' ' ORDER BY e.event_seq) FROM iu_route_attempt a"
		  . " JOIN event_outbox e ON e.id = a.event_ref WHERE a.route_code = '$route' AND a.status = 'sent'");
}

my $nothing_waits = 'SELECT NOT EXISTS (SELECT FROM v_iu_event_backlog WHERE waiting + retrying + leased > 0)';

note 'what passes';
filtered_route('few', '$.n > 2990');
filtered_route('none', '$.n < 0');
add_route('all', $sink->url . '/all');
emit(3000);
becomes($nothing_waits, 'a backlog of which little passes is done with');
is(numbers('few'), join(' ', 2991 .. 3000), 'what passes the filter is delivered');
is($sink->count('/few'), 10, 'what passes arrives once');
is($sink->count('/none'), 0, 'of a route whose filter nothing passes nothing arrives');
is($sink->count('/all'), 3000, 'a route without a filter delivers everything');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code IN ('few', 'none')"), '10',
	'what does not pass makes no attempt');
is(sql('SELECT count(*) FROM iu_route_dead_letter'), '0', 'what does not pass makes no dead letter');

note 'another filter while the route is live';
sql("SELECT fn_iu_route_set('none', 'tester', 'test', p_payload_filter => '\$.n == 7')");
emit(20);
becomes($nothing_waits, 'after a change of the filter nothing is left over');
is(numbers('none'), '7', 'a filter that was changed holds for what is emitted afterwards');

note 'what is owed';
is(filtered_route('owed', '$.n >= 2999', ", now() - interval '1 hour'"), '2',
	'of what was emitted before, a route is owed what passes');
becomes("SELECT " . attempts('owed', 'sent') . ' = 2', 'what a route with a filter is owed is delivered');

note 'a filter that cannot decide';
filtered_route('slow', 'exists($.a[*] ? ($.a[*] < @ && @ < 0)) || $.n == 1');
sql("SELECT fn_iu_emit_event('version_applied', NULL, gen_random_uuid(), 'tester',"
	  . ' (SELECT jsonb_build_object($$a$$, jsonb_agg(n)) FROM generate_series(1, 20000) n))');
emit(1);
becomes("SELECT " . attempts('slow', 'sent') . ' = 1', 'an event that passes goes out behind one that takes too long');
becomes("SELECT count(*) = 1 FROM v_iu_route_dead_letter_open WHERE failure_code = 'filter_failed'"
	  . " AND failure_detail = 'a filter takes longer than 50 ms over a payload'",
	'an event over which a filter takes too long is a dead letter');
is(sql("SELECT count(*) FROM iu_core.worker_status WHERE role = 'sender' AND state = 'running'"), '2',
	'the senders go on');

note 'the time of a filter';
sql('CREATE TABLE long (payload jsonb); INSERT INTO long SELECT jsonb_build_object($$a$$, jsonb_agg(n))'
	  . ' FROM generate_series(1, 100000) n');
# What a session complains of over a filter that takes hours. $while is done while the filter runs.
sub filter_meets
{
	my ($ms, $while) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $had = processor_time($pid);

	start_query($session, "SELECT iu_core.payload_passes('exists(\$.a[*] ? (\$.a[*] < @ && @ < 0))',"
		  . " payload, $ms) FROM long");
	wait_for { processor_time($pid) > $had + 0.1 } or die "the filter does not run\n";
	$while->($pid);
	$session->quit;
	return $session->{stderr};
}
like(filter_meets(1000, sub { }), qr/a filter takes longer than 1000 ms/,
	'a filter ends when it has had its time');
like(
	filter_meets(
		600000,
		sub {
			my ($pid) = @_;
			freeze($pid);
			kill('VTALRM', $pid);	# its time is up
			kill('INT', $pid);
			thaw($pid);
		}),
	qr/canceling statement due to user request/,
	'what somebody cancels in the moment in which the time of a filter ends is cancelled');

done_testing();
