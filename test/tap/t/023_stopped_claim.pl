# A sender that is stopped within a claim keeps its route locked: another sender goes
# on with all other routes, health says who keeps the route, and when the process
# goes on nothing is lost and nothing sent twice.
use strict;
use warnings;
use IU::Cluster;
use IU::Delivery;
use IU::Process qw(freeze thaw);
use IU::Sink;
use IU::SQL;
use Test::More;

my $sink = IU::Sink->start;
my $node = IU::Cluster->new_installed('claim', 'iu_core.senders' => 2, 'iu_core.allowed_origins' => $sink->url,
	'iu_core.allowed_networks' => '127.0.0.0/8');
my $delivery = IU::Delivery->new($node, $sink);
talk_to($node);
$delivery->live;
becomes("SELECT count(*) = 2 FROM iu_core.worker_status WHERE role = 'sender' AND state = 'running'",
	'two senders run');
$delivery->add_route('held');
my @others = map { "other$_" } 1 .. 10;
$delivery->add_route($_, type => 'collection_created') foreach @others;
sql("SELECT fn_iu_route_set('held', 'tester', 'test', p_per_second => 1000)");

my $troubles = "SELECT string_agg(trouble, '; ') FROM v_iu_trouble WHERE about = 'route'";
my $problems = "SELECT string_agg(p, '; ') FROM jsonb_array_elements_text(fn_iu_route_worker_health() -> 'problems') p"
  . " WHERE p ~ '^route'";
sub events { return "events $_[0], delivered $_[0], lost 0, foreign 0, unrecorded 0, left 0, repeated 0" }
sub found
{
	my %found = $delivery->audit(@_);
	return IU::Delivery::told(%found) . ", repeated $found{repeated}";
}

# The claim of a route with a limit a second locks the route, then looks at the limit.
my $holder = $node->background_psql('postgres');
my %mark = map { $_ => $delivery->mark($_) } 'held', @others;
$holder->query_safe('BEGIN; LOCK TABLE iu_route_pace IN ACCESS EXCLUSIVE MODE');
$delivery->emit(5);
my $waits = 'FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN iu_route_position p ON p.xmax = l.transactionid'
  . " WHERE l.granted AND a.wait_event_type = 'Lock' AND p.route_code = 'held'";
becomes("SELECT count(*) = 1 $waits", 'a sender waits within a claim');
my $stopped = sql("SELECT min(l.pid) $waits");
freeze($stopped);
$holder->query_safe('ROLLBACK');

$delivery->emit(20, 'collection_created');
ok($delivery->settle($_, $mark{$_}), "route $_ is delivered while a sender is stopped within the claim of another")
  foreach @others;
becomes("SELECT coalesce(($troubles), '') ~ 'locked since .* by pid $stopped \\(sender [12], user'",
	'v_iu_trouble says which process keeps the route locked, and since when');
like(sql($problems), qr/^route held: it is locked since 20\S+ \S+ by pid $stopped \(sender [12], user/,
	'fn_iu_route_worker_health says which process keeps the route locked, and since when');
is(sql("SELECT count(*) FROM v_iu_trouble WHERE name LIKE 'other%'"), '0', 'the other routes have no trouble');
is($sink->count('/held'), 0, 'of the route that is kept locked nothing is sent');
thaw($stopped);
ok($delivery->settle('held', $mark{held}), 'when the sender goes on the route is delivered');
becomes("SELECT ($troubles) IS NULL", 'when the sender goes on the route has no trouble');
is(sql("SELECT ($problems) IS NULL"), 't', 'when the sender goes on health finds no problem of the route');
is(found('held', $mark{held}), events(5), 'of the route that was kept locked everything is delivered once');
is(found($_, $mark{$_}), events(20), "of route $_ everything is delivered once") foreach @others;

note 'somebody leaves a transaction open';
$holder->query_safe("BEGIN; SELECT FROM iu_route_position WHERE route_code = 'held' FOR UPDATE");
my $pid = $holder->query_safe('SELECT pg_backend_pid()');
$delivery->emit(1);
becomes("SELECT fn_iu_route_worker_health(p_stale_seconds => 1) ->> 'problems'"
	  . " ~ 'nothing moves; it is locked by pid $pid '",
	'of a route on which nothing moves it is told which process keeps it locked');
$holder->quit;
ok($delivery->settle('held', $mark{held}), 'when that process is gone the route is delivered');

$node->stop;
done_testing();
