# Several senders and many routes: two senders share one route, no route has
# more requests under way than it may, and a commit is looked at by the routes that
# carry it, not by all.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IU::Cluster;
use IU::Delivery;
use IU::Process qw(freeze_idle thaw);
use IU::Routes qw(add_route_sql);
use IU::Sink;
use Test::More;

my $sink = IU::Sink->start;
my $node = IU::Cluster->new_installed('senders', 'iu_core.senders' => 2, 'iu_core.allowed_origins' => $sink->url,
	'iu_core.allowed_networks' => '127.0.0.0/8', autovacuum => 'off');
my $delivery = IU::Delivery->new($node, $sink);
$delivery->live;
ok($delivery->becomes("SELECT count(*) = 2 FROM iu_core.worker_status WHERE role = 'sender' AND state = 'running'"),
	'two senders run');

note 'two senders, one route';
my $mark = $delivery->mark('shared');
$delivery->add_route('shared', max_in_flight => 64);
$sink->hold('/shared');
$delivery->emit(300);
ok($delivery->becomes("SELECT count(DISTINCT backend_pid) = 2 FROM iu_route_lease WHERE route_code = 'shared'"),
	'both senders hold deliveries of one route');
ok($sink->wait_for('/shared', 64), 'both senders send as many requests as the route allows');
ok($delivery->becomes("SELECT string_agg(held::text, ' ' ORDER BY held) = '48 48' FROM (SELECT sum(item_count) AS held"
	  . " FROM iu_route_lease WHERE route_code = 'shared' GROUP BY backend_pid) AS h"),
	'each of two senders holds half as many deliveries again as its share of the requests');
is($sink->count('/shared'), 64, 'no more requests are under way than the route allows');
$sink->heal;
ok($delivery->settle('shared'), 'two senders deliver a backlog of one route');
my %found = $delivery->audit('shared', $mark);
is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect(300) . ', repeated 0',
	'two senders deliver everything of one route once');
is($delivery->sql('SELECT count(DISTINCT sender) FROM iu_route_attempt'), '2',
	'each of two senders has sent something of one route');
$delivery->route('retire', 'shared');
# The server plans by what it knows of a small outbox, in which all events are of one type, and of routes of that
# type, most of which are retired.
$delivery->sql(join ';', map {
		add_route_sql("old$_", $sink->url . '/old'), "SELECT fn_iu_route_retire('old$_', 'tester', 'test')"
} 1 .. 20);
$delivery->add_route('live');
$delivery->sql("ANALYZE $_") foreach qw(event_outbox iu_outbound_route iu_route_type);

$delivery->route('retire', 'live');

note 'a sender whose looks have come up empty, since another one held the route';
$delivery->add_route('waited', max_in_flight => 64, type => 'collection_validated');
$sink->hold('/waited');
# The claim that comes first has the route in hand when it has written its leases. For a lock it would wait a second
# and then fail.
$delivery->sql(<<'SQL');
CREATE TABLE public.test_hold AS SELECT 1 AS held;
CREATE FUNCTION public.test_holds() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  WHILE EXISTS (SELECT FROM public.test_hold) LOOP
    PERFORM pg_sleep(0.05);
  END LOOP;
  RETURN NULL;
END $$;
CREATE TRIGGER zz_test_holds AFTER INSERT ON public.iu_route_lease FOR EACH STATEMENT
  EXECUTE FUNCTION public.test_holds();
SQL
my $emitted = $delivery->sql('SELECT clock_timestamp()');
$delivery->emit(300, 'collection_validated');
my $senders = "FROM iu_core.worker_status WHERE role = 'sender'";
my $claims = "(SELECT l.pid FROM pg_locks l WHERE l.relation = 'iu_route_lease'::regclass AND l.granted"
  . " AND l.mode = 'RowExclusiveLock')";
# It looks four times, the last time after two seconds.
ok($delivery->becomes("SELECT EXISTS $claims AND EXISTS (SELECT $senders AND pid NOT IN $claims"
		  . " AND last_tick > timestamptz '$emitted' + interval '2 s'"
		  . " AND next_wakeup > clock_timestamp() + interval '20 s')"),
	'one is at its claim; the other one has looked as often as it does, and sleeps');
my $sleeps_to = $delivery->sql("SELECT greatest(max(next_wakeup), clock_timestamp() + interval '20 s') $senders");
$delivery->sql('DELETE FROM public.test_hold');
ok($delivery->becomes("SELECT count(DISTINCT backend_pid) = 2 FROM iu_route_lease WHERE route_code = 'waited'"),
	'when the claim has ended both hold deliveries of the route');
is($delivery->sql("SELECT max(claimed_at) < '$sleeps_to' FROM (SELECT min(claimed_at) AS claimed_at"
		  . " FROM iu_route_lease WHERE route_code = 'waited' GROUP BY backend_pid) AS first"), 't',
	'the sender that slept was woken for it');
$delivery->sql('DROP TRIGGER zz_test_holds ON public.iu_route_lease; DROP FUNCTION public.test_holds;'
	. ' DROP TABLE public.test_hold');
$sink->heal;
ok($delivery->settle('waited'), 'and all of it is delivered');
$delivery->route('retire', 'waited');

note 'one of two senders stands still';
$delivery->add_route('half', max_in_flight => 64, type => 'collection_rendered');
my ($still) = $delivery->senders;
freeze_idle(sub { $delivery->sql($_[0]) }, $still);
$delivery->emit(200, 'collection_rendered');
ok($delivery->settle('half'), 'one sender delivers all of a route while another stands still');
thaw($still);
$delivery->route('retire', 'half');

note 'many routes';
my $routes = 60;
$delivery->sql(join ';', map {
		add_route_sql("r$_", $sink->url . '/many', type => 'piece_reordered', timeout_ms => 60000),
		"SELECT fn_iu_route_allow('r$_', 'tester', 'test')", "SELECT fn_iu_route_arm('r$_', 'tester', 'test')"
} 1 .. $routes);
$delivery->add_route('carried', type => 'collection_exported');
$delivery->sql("SELECT fn_iu_emit_event('collection_exported', 'x', gen_random_uuid(), 'tester')");
ok($delivery->settle('carried'), 'one route of many delivers');

# How often a claim has read where a route stands.
sub reads
{
	$delivery->sql('SELECT pg_stat_force_next_flush()');
	return $delivery->sql("SELECT idx_scan FROM pg_stat_all_tables WHERE relid = 'iu_route_step'::regclass");
}
# How many entries of the outbox's indexes have been read.
sub entries
{
	$delivery->sql('SELECT pg_stat_force_next_flush()');
	return $delivery->sql("SELECT sum(idx_tup_read) FROM pg_stat_all_indexes WHERE relid = 'event_outbox'::regclass");
}
my ($before, $entries) = (reads(), entries());
my $old = 20000;
$delivery->sql("SELECT fn_iu_emit_events(jsonb_agg(jsonb_build_object('event_type', 'collection_created',"
	  . " 'subject_ref', gen_random_uuid(), 'actor_ref', 'x'))) IS NULL FROM generate_series(1, $old)");
my $steps = $delivery->sql('SELECT max(step) FROM iu_route_step');
my $commits = 100;
for my $n (1 .. $commits)
{
	$delivery->sql("SELECT fn_iu_emit_event('collection_created', 'x', gen_random_uuid(), 'tester')");
}
$delivery->sql("SELECT fn_iu_emit_event('collection_exported', 'x', gen_random_uuid(), 'tester')");
ok($delivery->settle('carried'), 'a route delivers after commits that no route carries');
ok($delivery->rest('carried'), 'what was delivered is recorded');
cmp_ok(entries() - $entries, '<', $old / 2, 'what is new is found without reading what is old');
cmp_ok(reads() - $before, '<', $routes * $commits / 2, 'commits that no route carries are not looked at by each route');
is($delivery->sql("SELECT max(step) FROM iu_route_step WHERE route_code ~ '^r'"),
	$delivery->sql("SELECT min(step) FROM iu_route_step WHERE route_code ~ '^r'"),
	'commits that no route carries move no route');
$delivery->sql("SELECT fn_iu_emit_event('piece_reordered', 'x', gen_random_uuid(), 'tester')");
ok($sink->wait_for('/many', $routes), 'one event goes to each of the routes that carry it');
ok($delivery->becomes("SELECT count(*) = $routes FROM iu_route_attempt WHERE route_code ~ '^r' AND status = 'sent'"),
	'one event is recorded for each of the routes that carry it');

# How many rows of some tables a statement that gives something reads, within one transaction.
sub rows_read
{
	my ($statement, @tables) = @_;
	return $delivery->sql("BEGIN; CREATE TEMP TABLE was ON COMMIT DROP AS $statement;"
		  . ' SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_all_tables WHERE relid IN ('
		  . join(', ', map { "'$_'::regclass" } @tables) . '); COMMIT');
}
$delivery->sql("INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)"
	  . " SELECT r.route_code, e.id, e.event_seq, iu_core.steady_clock() + interval '1 day', 'armed'"
	  . " FROM iu_outbound_route r, (SELECT * FROM event_outbox WHERE event_type = 'piece_reordered' LIMIT 1) e"
	  . " WHERE r.route_code ~ '^r'");
my @asked = qw(iu_outbound_route iu_route_position iu_route_retry iu_route_step);
cmp_ok(rows_read("SELECT iu.fn_iu_delivery_next_due(NULL, 2, '{carried}')", @asked), '<', 10,
	'when a route has something to do is found without reading other routes');
cmp_ok(rows_read("SELECT count(*) FROM iu.fn_iu_function_claim('runner', 10)", @asked), '<', 10,
	'the runner finds its routes without reading those of senders');
$delivery->sql("INSERT INTO iu_route_circuit (route_code, state, failures, last_failure, open_s, next_at)"
	  . " SELECT route_code, 'open', 10, 'http_500', 86400, iu_core.steady_clock() + interval '1 day'"
	  . " FROM iu_outbound_route WHERE route_code ~ '^r'");
cmp_ok(rows_read("SELECT iu.fn_iu_circuit_next_due()", 'iu_route_position'), '<', 10,
	'when a circuit may be tried is found without asking what holds each of those that are open');
$delivery->sql("DELETE FROM iu_route_circuit; DELETE FROM iu_route_retry");

my $since = $delivery->sql('SELECT pg_current_snapshot()');
$delivery->sql("SELECT fn_iu_emit_event('collection_created', 'x', gen_random_uuid(), 'tester')");
is($delivery->sql("WITH news AS MATERIALIZED (SELECT count(*) AS rows FROM iu.fn_iu_delivery_news('$since'))"
	  . ' SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_all_tables WHERE (SELECT rows FROM news) = 1'
	  . " AND relid IN ('iu_outbound_route'::regclass, 'iu_route_type'::regclass)"), '0',
	'which routes carry a type is found without reading the others');

note 'what the log says';
my $log = -s $node->logfile;
IU::Cluster->reload($node, 'iu_core.allowed_origins' => 'https://elsewhere.example');
$delivery->sql("SELECT fn_iu_emit_event('collection_exported', 'x', gen_random_uuid(), 'tester')");
ok($node->wait_for_log(qr/LOG:  route "carried" is held: origin_not_allowed/, $log),
	'a route that comes to be held leaves a line');
ok($node->wait_for_log(qr/CONTEXT:  (?:.*\n\t)*iu_core sender [12], database postgres/, $log),
	'a line of a sender says which sender it is, and of which database');
IU::Cluster->reload($node, 'iu_core.allowed_origins' => $sink->url);
ok($node->wait_for_log(qr/LOG:  route "carried" is no longer held/, $log),
	'a route that is held no more leaves a line');
ok($delivery->settle('carried'), 'what was held is delivered');

$node->stop;
done_testing();
