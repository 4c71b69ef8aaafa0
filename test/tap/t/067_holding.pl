# What is held, and what is not sent twice: a gate, a list or a setting that
# closes in the middle of a backlog, a first arming, results that cannot be
# recorded, and commands that do not wait for a request that hangs.
use strict;
use warnings;

use IU::Delivery;
use IU::Sink;
use IU::Cluster;
use IU::SQL qw(talk_to sql);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $events = $ENV{IU_EVENTS} || 1000;
my ($sink, $other) = map { IU::Sink->start } 1, 2;
my $origins = join ', ', $sink->url, $other->url;
my $node = IU::Cluster->new_installed('holding', 'iu_core.databases' => 'postgres, second', 'iu_core.senders' => 2,
	max_prepared_transactions => 10,
	'iu_core.allowed_origins' => $origins, 'iu_core.allowed_networks' => '127.0.0.0/8');
my $delivery = IU::Delivery->new($node, $sink);
$delivery->live;

talk_to($node);
sub origins { return IU::Cluster->reload($node, 'iu_core.allowed_origins' => $_[0]) }
sub switch { return sql("SELECT fn_iu_switch_set('iu_core.route_worker_enabled', '$_[0]', 'tester', 'test')") }

# ---- In the middle of a backlog

my @holds = (
	[ 'the gate closes', 'delivery_gate_closed', sub { $delivery->gate('close') }, sub { $delivery->gate('open') } ],
	[ 'the route leaves the allowlist', 'route_not_allowlisted', sub { $delivery->route('disallow', 'hook') },
	sub { $delivery->route('allow', 'hook') } ],
	[ 'the origin leaves the setting', 'origin_not_allowed', sub { origins($other->url) }, sub { origins($origins) } ],
	[ 'the switch is turned off', 'worker_gate_closed', sub { switch('false') }, sub { switch('true') } ],
	[ 'the route is paused', 'route_disabled', sub { $delivery->route('pause', 'hook') },
	sub { $delivery->route('resume', 'hook') } ],
);

sub hold
{
	my ($moment, $what, $code, $close, $reopen) = @_;
	my $mark = $delivery->mark('hook');
	my $middle = int($events * 0.4);
	my $enough = $moment eq 'at full speed' ? int($middle / 4) : $middle + 1;

	$delivery->route('pause', 'hook');
	$delivery->emit($events);
	$sink->hold('/hook', $middle);
	$sink->slow('/hook', 5);
	$delivery->route('resume', 'hook');
	ok($sink->wait_for('/hook', $mark->{arrived} + $enough), 'a part of the backlog has arrived before the hold');
	$close->();
	my $arrived = $sink->count('/hook');
	my $connections = $sink->connections;
	$sink->heal;
	ok($delivery->rest('hook'), 'what was claimed before the hold is recorded or given back');
	my $more = $sink->count('/hook') - $arrived;
	my $held = $mark->{arrived} + $events - $arrived - $more;
	cmp_ok($more, '<=', $connections, 'after the hold no more than one request for each connection arrives');
	cmp_ok($held, '>', 0, 'a part of the backlog does not arrive after the hold');
	is(sql("SELECT code, held FROM v_iu_route_held WHERE route_code = 'hook'"), "$code|$held",
		'what does not arrive is held, for the reason of the hold');
	$reopen->();
	ok($delivery->settle('hook'), 'after the hold everything is delivered');
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect($events) . ', repeated 0',
		'after the hold each event was sent once');
	note(sprintf('| %-63s | %4d connections, %3d requests after | lost %d |', "$what, $moment", $connections, $more,
		$found{lost}));
	return;
}

$delivery->add_route('hook');
foreach my $hold (@holds)
{
	foreach my $moment ('requests under way', 'at full speed')
	{
		subtest "what is not sent yet is held when $hold->[0], $moment" => sub { hold($moment, @$hold) };
	}
}
$delivery->route('retire', 'hook');

# ---- A first arming

my %age = (old => '3 h', early => '50 min', recent => '30 min', now => '0');
foreach my $name (sort keys %age)
{
	sql("SELECT fn_iu_emit_event('collection_created', '$name', gen_random_uuid(), 'tester')");
	sql("UPDATE event_outbox SET created_at = now() - interval '$age{$name}' WHERE canonical_address = '$name'");
}
sql("BEGIN; SELECT fn_iu_emit_event('collection_created', 'open', gen_random_uuid(), 'tester'); PREPARE TRANSACTION"
	  . " 'open'");
my %armed = (
	fresh  => [ '', 'open later' ],
	start  => [ ", now() - interval '1 h'", 'early later now open recent' ],
	age    => [ ", '-infinity', '40 min'", 'later now open recent' ],
	both   => [ ", now() - interval '40 min', '10 min'", 'later now open' ],
	midway => [ ", now() - interval '40 min'", 'later now open recent' ],
);
foreach my $route (sort keys %armed)
{
	sql("SELECT fn_iu_route_add('$route', 'collection_created', '" . $sink->url . "/$route', 'tester', 'test')");
	$delivery->route('allow', $route);
	sql("SELECT fn_iu_route_arm('$route', 'tester', 'test'$armed{$route}[0])");
}
sql("COMMIT PREPARED 'open'");
sql("SELECT fn_iu_emit_event('collection_created', 'later', gen_random_uuid(), 'tester')");
foreach my $route (sort keys %armed)
{
	my @expected = sort split / /, $armed{$route}[1];
	ok($delivery->becomes("SELECT waiting + retrying + leased = 0 FROM v_iu_event_backlog WHERE route_code = '$route'"),
		"route $route: everything that is owed is sent");
	my %address = map { split /\|/ } split /\n/,
	  sql("SELECT iu.fn_iu_webhook_id(e.event_seq, r.id, 0, e.id), e.canonical_address FROM event_outbox e"
	  . " JOIN iu_outbound_route r USING (event_domain, event_type) WHERE r.route_code = '$route'");
	is(join(' ', sort map { $address{ $_->[0] } // 'unknown' } $sink->arrived("/$route")), "@expected",
		"route $route: nothing older than what is owed is sent");
	$delivery->route('retire', $route);
}

# ---- Commands that do not wait for a request that hangs

sub figure { return note(sprintf('| %-63s | %.3f s |', $_[0], time - $_[1])) }

# A request that has no answer, and a sender that waits for it.
sub hang
{
	my ($at) = @_;
	my $before = $sink->count('/hang');
	$at->sql("SELECT fn_iu_emit_event('version_applied', 'x', gen_random_uuid(), 'tester')");
	return ok($sink->wait_for('/hang', $before + 1), 'a request hangs');
}

$delivery->add_route('hang');
$delivery->add_route('other', url => $other->url . '/other', type => 'collection_rendered');
hang($delivery);
origins($other->url);
sql("SELECT fn_iu_emit_event('version_applied', 'held', gen_random_uuid(), 'tester');"
	  . " SELECT fn_iu_emit_event('collection_rendered', 'x', gen_random_uuid(), 'tester')");
ok($other->wait_for('/other', 1), 'an origin that stays on the list gets its event while a request hangs');
is($sink->count('/hang'), 1, 'an origin that is taken off the list while a request to it hangs gets nothing more');
my $began = time;
IU::Cluster->reload($node, 'iu_core.allowed_origins' => '');
is(sql("SELECT string_agg(DISTINCT code, ',') FROM v_iu_route_held"), 'origin_not_allowed',
	'with no origin on the list every event is held');
ok($delivery->becomes("SELECT NOT EXISTS (SELECT FROM iu_route_retry WHERE route_code = 'other')"),
	'with no origin on the list nothing is tried again');
origins($origins);
hang($delivery);
$began = time;
IU::Cluster->reload($node, 'iu_core.senders' => 0);
ok($delivery->becomes("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'iu_core sender%')"),
	'senders that a reload takes away leave, though requests hang');
figure('a reload that takes the senders away, while requests hang', $began);
IU::Cluster->reload($node, 'iu_core.senders' => 2);
$delivery->route('retire', 'hang');

$node->safe_psql('postgres', 'CREATE DATABASE second');
IU::Cluster->install($node, 'second');
my $second = IU::Delivery->new($node, $sink, 'second');
$second->live;
$second->add_route('hang');
hang($second);
$began = time;
$node->safe_psql('postgres', 'DROP DATABASE second');
figure('DROP DATABASE, while a request hangs', $began);
is(sql("SELECT count(*) FROM pg_database WHERE datname = 'second'"), 0, 'DROP DATABASE succeeds while a request hangs');

$node->stop;
done_testing();
