# Order by subject and the circuit of a route: first claimed and recorded by hand
# in sessions that get in each other's way, then with two senders and a receiver
# that says what came, and in which order.
use strict;
use warnings;
use IU::Cluster;
use IU::Gate;
use IU::Receiver;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $each     = 25;
my $receiver = IU::Receiver->start;
my $port     = PostgreSQL::Test::Cluster::get_free_port();
my $node     = IU::Cluster->new_node('order', 'iu_core.senders' => 0, 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.allowed_origins' => $receiver->origin . ", http://127.0.0.1:$port");

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub becomes { my ($query, $name) = @_; return ok($node->poll_query_until('postgres', $query), $name) }

sub add_route
{
	my ($route, $type, $url, $retry, $ordering) = @_;
	sql("SELECT fn_iu_route_add('$route', '$type', '$url', 'tester', 'test', p_retry_policy => '$retry', p_ordering => '$ordering');
	     SELECT fn_iu_route_allow('$route', 'tester', 'test'); SELECT fn_iu_route_arm('$route', 'tester', 'test')");
	return;
}
sub sent { return "(SELECT count(*) FROM iu_route_attempt WHERE route_code = '$_[0]' AND status = 'sent')" }
sub senders_run { return becomes("SELECT count(*) = 2 FROM iu_core.worker_status WHERE role = 'sender' AND state = 'running'", 'two senders run') }

IU::Cluster->install($node);
sql("SELECT fn_iu_switch_set(k, 'true', 'tester', 'test') FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k");
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);

note 'by hand';
add_route('hand', 'collection_created', $receiver->origin . '/ok', '{}', 'subject');
my ($one, $two) = map { $node->background_psql('postgres') } 1, 2;

$one->query_safe("SET lock_timeout = '1s'");	# as the senders have it

# Emits events of the subjects given as digits, named by them and their place, e.g. "1a".
sub happen
{
	my ($subject, @names) = @_;
	return join ';', map { "SELECT fn_iu_emit_event('collection_created', '$_', '00000000-0000-0000-0000-00000000000$subject', 'tester')" } @names;
}
# What a claim gives, by name; what the query of a record of it is.
my $claim = "SELECT coalesce(string_agg(e.canonical_address, ' ' ORDER BY e.canonical_address), '') FROM iu.fn_iu_delivery_claim('hand', 10) c JOIN event_outbox e ON e.id = c.event_id";
sub record
{
	return "SELECT iu.fn_iu_delivery_record(l.lease_id, l.generation, jsonb_build_array(jsonb_build_object('event_id', e.id, 'outcome', 'sent')))"
	  . " FROM iu_route_lease l JOIN event_outbox e ON e.id = ANY (l.event_ids) WHERE e.canonical_address = '$_[0]'";
}
# Lets $blocked run a query while $holder holds what it waits for; $holder commits when it waits, or when it did not.
sub meanwhile
{
	my ($holder, $blocked, $query) = @_;
	my $pid = $blocked->query_safe('SELECT pg_backend_pid()');
	$blocked->query_until(qr/started/, "\\echo started\n$query;\n");
	$node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' OR (state = 'idle' AND query LIKE '%fn_iu_delivery%') FROM pg_stat_activity WHERE pid = $pid");
	$holder->query_safe('COMMIT');
	return $blocked->query_safe('SELECT 1') =~ s/^1$//mr;
}

sql(happen(1, '1a', '1b') . ';' . happen(2, '2a') . ';' . happen(1, '1c'));
is($one->query_safe($claim), '1a 2a', 'of the events that a window brings, the first of each subject');
is($two->query_safe($claim), '', 'the others are for nobody');
sql(happen(2, '2b'));
is($two->query_safe($claim), '', 'nor is what comes later, while a sender has the first');
is($one->query_safe(record('2a')), '1', 'which is recorded');
is($two->query_safe($claim), '2b', 'then the next is for anybody');

note 'a claim brings the next while the record of the one before is under way';
sql(happen(2, '2c'));
$two->query_safe('BEGIN');
is($two->query_safe(record('2b')), '1', '2b is recorded, not committed');
is($one->query_safe($claim), '', 'a claim leaves the route alone meanwhile');
$two->query_safe('COMMIT');
is($one->query_safe($claim), '2c', 'and takes 2c when it is committed');

note 'and the other way round';
sql(happen(2, '2d'));
$two->query_safe('BEGIN');
is($two->query_safe($claim), '', '2d is put behind 2c, not committed');
meanwhile($two, $one, record('2c'));
is($one->query_safe($claim), '2d', 'the record waits for it, and 2d is next');
is($one->query_safe(record('2d')), '1', 'recorded');

note 'what somebody holds in a transaction of his own stops no other route';
add_route('beside', 'collection_created', $receiver->origin . '/ok', '{}', 'none');
sql("INSERT INTO iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key, failure_code, event_snapshot)
       SELECT 'hand', e.id, 0, 1, 'x', 'x', to_jsonb(e) FROM event_outbox e WHERE canonical_address = '1a'");
sub claims { return "SELECT coalesce(string_agg(route_code, ' ' ORDER BY route_code), '') FROM iu.fn_iu_delivery_claim('hand', 10)" }
$two->query_safe('BEGIN');
is($two->query_safe("SELECT fn_iu_route_dead_letter_replay(id) ->> 'status' FROM iu_route_dead_letter"), 'replayed', 'a replay, not committed');
sql(happen(4, '4a'));
is($one->query_safe(claims()), 'beside', 'the other route goes on');
$two->query_safe('ROLLBACK');
is($one->query_safe(claims()), 'hand', 'then this one');
sql("INSERT INTO iu_route_circuit (route_code, state, failures, last_failure, open_s, next_at) VALUES ('hand', 'open', 10, 'http_500', 1, now())");
$two->query_safe('BEGIN');
is($two->query_safe("SELECT fn_iu_route_circuit_close('hand', 'tester', 'test') ->> 'status'"), 'closed', 'a circuit is closed, not committed');
sql(happen(5, '5a'));
is($one->query_safe(claims()), 'beside', 'the other route goes on');
$two->query_safe('COMMIT');
is($one->query_safe(claims()), 'hand', 'then this one');

note 'two hand over the same event, on a route that has no position to lock';
sql("SELECT fn_iu_route_add('bare', 'collection_created', '" . $receiver->origin . "/ok', 'tester', 'test'); SELECT fn_iu_route_allow('bare', 'tester', 'test')");
my $deliver = "SELECT fn_iu_route_deliver('bare', id) ->> 'status' FROM event_outbox WHERE canonical_address = '1a'";
$two->query_safe('BEGIN');
is($two->query_safe($deliver), 'handed_over', 'one does, not committed');
is(meanwhile($two, $one, $deliver) =~ s/\s//gr, 'already_queued', 'the other waits, and is told');
sql("DELETE FROM iu_route_retry WHERE route_code = 'bare'; SELECT fn_iu_route_retire('bare', 'tester', 'test')");

note 'who works with an older snapshot is refused';
IU::Gate->open($node, 'iu_core.retention_enabled', 3600);
for my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	for my $call ("count(*) FROM fn_iu_core_retention_cleanup('tester', false)", "fn_iu_route_dead_letter_replay(id) FROM iu_route_dead_letter", "fn_iu_route_deliver('hand', id) FROM event_outbox WHERE canonical_address = '1a'")
	{
		my (undef, undef, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\nBEGIN ISOLATION LEVEL $level; SELECT $call");
		like($error, qr/25000: .* isolation level READ COMMITTED/, lc("$level: ") . ($call =~ /(fn_\w+)/)[0]);
	}
}
is($one->query_safe(record('4a') . ';' . record('5a')) =~ s/\s//gr, '1111', 'all are recorded');
sql("DELETE FROM iu_route_dead_letter; SELECT fn_iu_route_retire('beside', 'tester', 'test'); DELETE FROM iu_route_attempt WHERE event_ref IN (SELECT id FROM event_outbox WHERE canonical_address IN ('4a', '5a'))");

note 'a session that ends';
sql(happen(3, '3a', '3b'));
is($two->query_safe($claim), '3a', 'has 3a');
my $gone = $two->query_safe('SELECT pg_backend_pid()');
$two->quit;
becomes("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $gone)", 'it is gone');
is($one->query_safe($claim), '3a', 'the next gets 3a, not 3b');
for my $next ('3b', '')
{
	$one->query_safe(record('3a') . ';' . record('3b'));
	is($one->query_safe($claim), $next, "then '$next'");
}
$one->query_safe(record($_)), $one->query_safe($claim) for '1a', '1b', '1c';
is(sql("SELECT string_agg(e.canonical_address, ' ' ORDER BY a.id) FROM iu_route_attempt a JOIN event_outbox e ON e.id = a.event_ref"),
	'2a 2b 2c 2d 3a 3b 1a 1b 1c', 'everything went, in order');
is(sql('SELECT count(*) FROM iu_route_retry') + sql('SELECT count(*) FROM iu_route_lease'), 0, 'nothing is left over');
$one->quit;
sql("SELECT fn_iu_route_retire('hand', 'tester', 'test')");

IU::Cluster->reload($node, 'iu_core.senders' => 2);
senders_run();

note 'order by subject: a third of the requests fail';
add_route('ordered', 'version_applied', $receiver->origin . '/flaky',
	'{"max_attempts": 100, "base_s": 0.01, "max_s": 0.05, "circuit_failures": 0}', 'subject');

# The events of these subjects from one place to another, a transaction each.
sub emit
{
	my ($from, $to, @subjects) = @_;
	sql(join '', map {
		my $place = $_;
		map { sprintf "SELECT fn_iu_emit_event('version_applied', '%d', '00000000-0000-0000-0000-%012d', 'tester', '{\"place\": %d}');\n", $_, $_, $place } @subjects
	} $from .. $to);
	return;
}

# What arrived: for each subject the places, in order.
sub arrivals
{
	my %places;
	for my $request (grep { $_->{line} =~ m{^POST /flaky } } $receiver->requests)
	{
		my $data = decode_json($request->{body})->{data};
		push @{ $places{ $data->{canonical_address} } }, $data->{payload}{place};
	}
	return \%places;
}
sub without_repeats { my %seen; return grep { !$seen{$_}++ } @_ }
sub backward { return scalar grep { $_[$_] < $_[ $_ - 1 ] } 1 .. $#_ }

emit(1, $each, 1 .. 10);
becomes('SELECT ' . sent('ordered') . ' = 250', 'all are delivered');
my $arrivals = arrivals();
is(join(',', without_repeats(@{ $arrivals->{$_} })), join(',', 1 .. $each), "subject $_: in order") for 1 .. 10;
is(backward(@{ $arrivals->{$_} }), 0, "subject $_: nothing overtook a retry") for 1 .. 10;
cmp_ok(sql("SELECT count(*) FROM iu_route_attempt WHERE status = 'failed'"), '>', 20, 'failures there were');

note 'with a sender that ends and a server that crashes';
emit(1, 12, 11 .. 20);
becomes('SELECT ' . sent('ordered') . ' > 260', 'under way');
is(sql("SELECT count(pg_terminate_backend(pid)) FROM iu_core.worker_status WHERE role = 'sender'"), '2', 'both senders end');
emit(13, $each, 11 .. 20);
becomes('SELECT ' . sent('ordered') . ' > 350', 'others go on');
$node->stop('immediate');
$node->start;
becomes('SELECT ' . sent('ordered') . ' = 500', 'all 500 are delivered');
$arrivals = arrivals();
is(join(',', without_repeats(@{ $arrivals->{$_} })), join(',', 1 .. $each), "subject $_: in order") for 11 .. 20;
is(sql('SELECT count(*) FROM iu_route_dead_letter'), '0', 'nothing was given up');
is(sql('SELECT count(*) FROM iu_route_retry'), '0', 'nothing is left over');
note 'senders: ', sql("SELECT string_agg(DISTINCT sender, ', ') FROM iu_route_attempt WHERE route_code = 'ordered'");

note 'the circuit of a dead endpoint';
add_route('dead', 'structure_op_applied', "http://127.0.0.1:$port/ok",
	'{"max_attempts": 100, "base_s": 0.01, "max_s": 0.05, "circuit_failures": 5, "circuit_open_s": 0.2, "circuit_max_s": 0.4}', 'none');
add_route('shut', 'structure_op_applied', "http://127.0.0.1:$port/ok?shut",
	'{"max_attempts": 100, "base_s": 0.01, "max_s": 0.05, "circuit_failures": 5, "circuit_open_s": 3600, "circuit_max_s": 3600}', 'none');
sql("SELECT fn_iu_emit_event('structure_op_applied', 'A', gen_random_uuid(), 'tester') FROM generate_series(1, 20)");
becomes("SELECT count(*) = 2 FROM iu_route_circuit WHERE state <> 'closed'", 'they open');
becomes("SELECT NOT EXISTS (SELECT FROM iu_route_lease WHERE route_code = 'shut')", 'what was under way has ended');
my $attempts = sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'shut'");
cmp_ok($attempts, '>=', 5, 'after five failures or more');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code IN ('dead', 'shut') AND failure_code <> 'connect_failed'"), '0', 'since nobody listens');
# What is no probe was under way when it opened, so there is no more of it.
becomes("SELECT failures > 8 AND open_s = 0.4 FROM iu_route_circuit WHERE route_code = 'dead'", 'probes fail, and it is open for longer');
my $beside = "SELECT count(*) - (SELECT failures FROM iu_route_circuit WHERE route_code = 'dead') FROM iu_route_attempt WHERE route_code = 'dead'";
my $before = sql($beside);
becomes("SELECT failures > 12 FROM iu_route_circuit WHERE route_code = 'dead'", 'more of them');
is(sql($beside), $before, 'an attempt each, and no other attempt is made');

my $revived = IU::Receiver->start($port);
becomes('SELECT ' . sent('dead') . ' = 20', 'somebody listens: all are delivered');
is(sql("SELECT count(*) FROM iu_route_circuit WHERE route_code = 'dead'"), '0', 'the circuit is closed');
is(scalar(grep { $_->{line} =~ m{ /ok } } $revived->requests), 20, 'each arrived once');
is(sql("SELECT iu.fn_iu_delivery_refusal('shut')"), 'circuit_open', 'the other is still open');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'shut'"), $attempts, 'which costs no attempt');
is(sql("SELECT held FROM v_iu_route_held WHERE route_code = 'shut' AND code = 'circuit_open'"), '20', 'it is shown');
sql("SELECT fn_iu_route_circuit_close('shut', 'tester', 'somebody listens')");
becomes('SELECT ' . sent('shut') . ' = 20', 'closed by hand, all are delivered');

$node->stop;
$_->stop for $receiver, $revived;
done_testing();
