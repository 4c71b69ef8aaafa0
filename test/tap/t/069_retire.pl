# A route that is retired while its deliveries are under way: what was sent is
# recorded, everything else is a dead letter, whoever ends in between, and
# nothing is left behind. What each says: pgtap/007_retire.sql.
use strict;
use warnings;

use IU::Delivery;
use IU::Sink;
use IU::Cluster;
use IU::SQL qw(talk_to sql);
use PostgreSQL::Test::Utils;
use Test::More;

my $sink = IU::Sink->start;
my $node = IU::Cluster->new_installed('retire', 'iu_core.senders' => 1,
	'iu_core.allowed_origins' => $sink->url, 'iu_core.allowed_networks' => '127.0.0.0/8');
my $delivery = IU::Delivery->new($node, $sink);
$delivery->live;

talk_to($node);
sub becomes { my ($query, $name) = @_; return ok($delivery->becomes($query), $name) }
sub retire { return sql("SELECT x ->> 'with_sender' FROM fn_iu_route_retire('$_[0]', 'tester', 'test') x") }

# Nothing of it waits or is with a sender; of so many events each was sent or is a dead letter.
sub ended
{
	my ($route, $events, $name) = @_;
	becomes("SELECT NOT EXISTS (SELECT FROM iu_route_lease WHERE route_code = '$route') AND NOT EXISTS (SELECT"
		  . " FROM iu_route_retry WHERE route_code = '$route')", $name);
	my $ends = "SELECT event_ref FROM iu_route_attempt WHERE route_code = '$route' AND status = 'sent' UNION ALL"
		  . " SELECT event_ref FROM iu_route_dead_letter WHERE route_code = '$route'";
	return is(sql("SELECT count(*), count(DISTINCT event_ref) FROM ($ends) x"), "$events|$events",
		'each event has one end');
}
sub letters
{
	return sql("SELECT DISTINCT failure_code, attempts, substring(failure_detail from '; (.*)')"
		  . " FROM iu_route_dead_letter WHERE route_code = '$_[0]'");
}

# Each takes a type of its own, since events are of every route of their type.
my @types = qw(version_applied collection_created collection_validated collection_rendered piece_reordered);
sub begin
{
	my ($route, $events, $arrive, $timeout) = @_;
	my $type = shift @types;
	$sink->hold("/$route", 0);
	$delivery->add_route($route, type => $type);
	sql("SELECT fn_iu_route_set('$route', 'tester', 'test', p_timeout_ms => $timeout)") if $timeout;
	$delivery->emit($events, $type);
	ok($sink->wait_for("/$route", $arrive), "route $route: requests are under way");
	return;
}

begin('answered', 3, 3);
is(retire('answered'), 3, 'a retired route tells that three deliveries are with the sender');
$sink->heal;
ended('answered', 3, 'deliveries that are answered after the retirement end');
is(sql('SELECT count(*) FROM iu_route_dead_letter'), 0,
	'deliveries that are answered after the retirement are no dead letters');

begin('hangs', 2, 2, 10000);
retire('hangs');
ended('hangs', 2, 'deliveries that hang after the retirement end');
is(letters('hangs'), 'route_retired|1|the last attempt: timed_out; no complete answer from origin "' . $sink->url
	  . '" within 10000 ms', 'deliveries that hang after the retirement are dead letters after their attempt');

# More than a route has connections for.
begin('many', 400, 100);
becomes("SELECT sum(item_count) = 400 FROM iu_route_lease WHERE route_code = 'many'",
	'four hundred deliveries are with the sender');
is(retire('many'), 400, 'a retired route tells that four hundred deliveries are with the sender');
$sink->heal;
ended('many', 400, 'four hundred deliveries end after the retirement');
my $arrived = $sink->count('/many');
cmp_ok($arrived, '<', 400, "not all of four hundred deliveries were sent before the retirement ($arrived)");
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'many' AND status = 'sent'"), $arrived,
	'of four hundred deliveries those that were sent are recorded as sent');
is(letters('many'), 'route_retired|0|a sender had it and had not sent it',
	'of four hundred deliveries those that were not sent are dead letters');

begin('lost', 5, 5);
retire('lost');
my ($pid) = $delivery->senders;
sql("SELECT pg_terminate_backend($pid)");
ended('lost', 5, 'deliveries of a sender that ends after the retirement end');
is(letters('lost'), 'route_retired|0|iu_core sender 1 had it and is gone: whether it was sent is not known',
	'deliveries of a sender that ends are dead letters that say so');
$sink->heal;

sql("CREATE FUNCTION fn_waits(p_event uuid, p_payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
	  SET search_path = pg_catalog, pg_temp AS 'BEGIN PERFORM pg_advisory_xact_lock(69); END';
	REVOKE ALL ON FUNCTION fn_waits(uuid, jsonb) FROM PUBLIC; ALTER FUNCTION fn_waits(uuid, jsonb) OWNER TO
	  iu_core_owner;
	SELECT fn_iu_route_function_register('fn_waits', 'tester', 'test');
	SELECT fn_iu_route_add('function', '$types[0]', 'fn_waits', 'tester', 'test', 'sql_function', p_timeout_ms
	  => 60000)");
$delivery->route($_, 'function') foreach 'allow', 'arm';
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(69)');
sql("SELECT count(fn_iu_emit_event('$types[0]', 'A', gen_random_uuid(), 'tester')) FROM generate_series(1, 4)");
becomes("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 69 AND NOT granted)",
	'a function is being called when its route is retired');
is(retire('function'), 4, 'a retired route to a function tells that four events are with the runner');
$holder->quit;
ended('function', 4, 'events of a retired route to a function end');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'function' AND status = 'sent'"), 1,
	'the call that was under way at the retirement is recorded as sent');
is(letters('function'), 'route_retired|0|a sender had it and had not sent it',
	'the function is not called again after the retirement');

$node->stop;
done_testing();
