# Order by subject and the circuit of a route: first claimed and recorded by hand
# in sessions that get in each other's way, then with two senders and a receiver
# that says what came, and in which order.
use strict;
use warnings;
use IU::Cluster;
use IU::Gate;
use IU::Receiver;
use IU::Routes;
use IU::SQL;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $each     = 25;
my $receiver = IU::Receiver->start;
my $port     = PostgreSQL::Test::Cluster::get_free_port();
my $node     = IU::Cluster->new_installed('order', 'iu_core.senders' => 0, 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.allowed_origins' => $receiver->origin . ", http://127.0.0.1:$port");

talk_to($node);

sub add
{
	my ($route, $type, $path, %options) = @_;
	return add_route($route, $path =~ /^http/ ? $path : $receiver->origin . $path, type => $type, timeout_ms => 60000,
		%options);
}
sub sent { return attempts($_[0], 'sent') }
sub senders_run
{
	return becomes("SELECT count(*) = 2 FROM iu_core.worker_status WHERE role = 'sender' AND state = 'running'",
		'two senders run');
}

switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);

note 'by hand';
add('hand', 'collection_created', '/ok', ordering => 'subject');
my ($one, $two) = map { $node->background_psql('postgres') } 1, 2;

$one->query_safe("SET lock_timeout = '120s'");	# the senders have one, too

# Emits events of the subjects given as digits, named by them and their place, e.g. "1a".
sub happen
{
	my ($subject, @names) = @_;
	return join ';', map { "SELECT fn_iu_emit_event('collection_created', '$_',"
		  . " '00000000-0000-0000-0000-00000000000$subject', 'tester')" } @names;
}
# What a claim gives, by name; what the query of a record of it is.
my $claim = "SELECT coalesce(string_agg(e.canonical_address, ' ' ORDER BY e.canonical_address), '')"
	  . " FROM iu.fn_iu_delivery_claim('hand', 10) c JOIN event_outbox e ON e.id = c.event_id";
sub record
{
	return "SELECT iu.fn_iu_delivery_record(l.lease_id, l.generation, jsonb_build_array(jsonb_build_object('event_id',"
		  . " e.id, 'outcome', 'sent')))"
	  . " FROM iu_route_lease l JOIN event_outbox e ON e.id = ANY (l.event_ids) WHERE e.canonical_address = '$_[0]'";
}
# Lets $blocked run a query while $holder holds what it waits for; $holder commits when it waits, or when it did not.
sub meanwhile
{
	my ($holder, $blocked, $query) = @_;
	my $pid = $blocked->query_safe('SELECT pg_backend_pid()');
	start_query($blocked, $query);
	wait_until("SELECT wait_event_type = 'Lock' OR (state = 'idle' AND query LIKE '%fn_iu_delivery%')"
		  . " FROM pg_stat_activity WHERE pid = $pid");
	$holder->query_safe('COMMIT');
	return $blocked->query_safe('SELECT 1') =~ s/^1$//mr;
}

sql(happen(1, '1a', '1b') . ';' . happen(2, '2a') . ';' . happen(1, '1c'));
is($one->query_safe($claim), '1a 2a', 'of the events that a window brings a claim gives the first of each subject');
is($two->query_safe($claim), '', 'the later events of a subject are for nobody while a sender has its first');
sql(happen(2, '2b'));
is($two->query_safe($claim), '', 'an event that comes later is for nobody while a sender has the first of its subject');
is($one->query_safe(record('2a')), '1', 'the first event of subject 2 is recorded');
is($two->query_safe($claim), '2b', 'when the first event of a subject is recorded the next is for anybody');

note 'a claim brings the next while the record of the one before is under way';
sql(happen(2, '2c'));
$two->query_safe('BEGIN');
is($two->query_safe(record('2b')), '1', '2b is recorded in a transaction that is not committed');
is($one->query_safe($claim), '', 'a claim leaves the route alone while the record of 2b is not committed');
$two->query_safe('COMMIT');
is($one->query_safe($claim), '2c', 'a claim takes 2c when the record of 2b is committed');

note 'and the other way round';
sql(happen(2, '2d'));
$two->query_safe('BEGIN');
is($two->query_safe($claim), '', '2d is put behind 2c in a transaction that is not committed');
meanwhile($two, $one, record('2c'));
is($one->query_safe($claim), '2d', 'the record of 2c waits for that transaction, and 2d is next');
is($one->query_safe(record('2d')), '1', '2d is recorded');

note 'what somebody holds in a transaction of his own stops no other route';
add('beside', 'collection_created', '/ok');
sql("INSERT INTO iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key, failure_code,
	  event_snapshot)
       SELECT 'hand', e.id, 0, 1, 'x', 'x', to_jsonb(e) FROM event_outbox e WHERE canonical_address = '1a'");
sub claims
{
	return "SELECT coalesce(string_agg(route_code, ' ' ORDER BY route_code), '')"
		  . " FROM iu.fn_iu_delivery_claim('hand', 10)";
}
$two->query_safe('BEGIN');
is($two->query_safe("SELECT fn_iu_route_dead_letter_replay(id) ->> 'status' FROM iu_route_dead_letter"), 'replayed',
	'a dead letter is replayed in a transaction that is not committed');
sql(happen(4, '4a'));
is($one->query_safe(claims()), 'beside', "a claim gives another route's event while the replay is not committed");
$two->query_safe('ROLLBACK');
is($one->query_safe(claims()), 'hand', "a claim gives the route's event when the replay is rolled back");
sql("INSERT INTO iu_route_circuit (route_code, state, failures, last_failure, open_s, next_at) VALUES ('hand', 'open',"
	  . " 10, 'http_500', 1, now())");
$two->query_safe('BEGIN');
is($two->query_safe("SELECT fn_iu_route_circuit_close('hand', 'tester', 'test') ->> 'status'"), 'closed',
	'a circuit is closed in a transaction that is not committed');
sql(happen(5, '5a'));
is($one->query_safe(claims()), 'beside',
	"a claim gives another route's event while the closing of the circuit is not committed");
$two->query_safe('COMMIT');
is($one->query_safe(claims()), 'hand', "a claim gives the route's event when the closing of the circuit is committed");

note 'two hand over the same event, on a route that has no position to lock';
add('bare', 'collection_created', '/ok', idle => 1);
sql("SELECT fn_iu_route_allow('bare', 'tester', 'test')");
my $deliver = "SELECT fn_iu_route_deliver('bare', id) ->> 'status' FROM event_outbox WHERE canonical_address = '1a'";
$two->query_safe('BEGIN');
is($two->query_safe($deliver), 'handed_over', 'an event is handed over in a transaction that is not committed');
is(meanwhile($two, $one, $deliver) =~ s/\s//gr, 'already_queued',
	'a second session that hands the same event over waits, and is told that it was done');
sql("DELETE FROM iu_route_retry WHERE route_code = 'bare'");
retire('bare');

note 'two send the same event again';
sql("INSERT INTO iu_route_attempt (route_code, event_ref, replay_number, attempt_no, idempotency_key, status,
	  started_at) SELECT 'beside', e.id, 0, 1, 'sent ' || e.id, 'sent', now() FROM event_outbox e
       WHERE canonical_address = '1a'");
sql("INSERT INTO iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key, failure_code,
	  event_snapshot)
       SELECT 'beside', e.id, 0, 1, 'y', 'x', to_jsonb(e) FROM event_outbox e WHERE canonical_address = '1a'");
$two->query_safe('BEGIN');
is($two->query_safe("SELECT fn_iu_route_dead_letter_replay(id) ->> 'replay_number' FROM iu_route_dead_letter"
	  . " WHERE route_code = 'beside'"), '1', 'an event is replayed in a transaction that is not committed');
is(meanwhile($two, $one, "SELECT fn_iu_route_send_again('beside', 'tester', 'test', p_since => '-infinity')"
	  . " ->> 'handed_over'") =~ s/\s//gr, '1', 'who sends it again meanwhile waits, and hands it over');
is(sql("SELECT string_agg(replay_number::text, ' ' ORDER BY replay_number) FROM iu_route_retry"
	  . " WHERE route_code = 'beside'"), '1 2', 'each of two that send an event again takes a number of its own');
sql("DELETE FROM iu_route_retry WHERE route_code = 'beside'; DELETE FROM iu_route_attempt WHERE route_code = 'beside'");
sql("UPDATE iu_route_dead_letter SET resolved_at = NULL, resolved_by = NULL, resolution = NULL, replayed_as = NULL"
	  . " WHERE route_code = 'beside'");

note 'who works with an older snapshot is refused';
add('idle', 'collection_created', '/ok', idle => 1);
sql("SELECT fn_iu_route_allow('idle', 'tester', 'test')");
IU::Gate->open($node, 'iu_core.retention_enabled', 3600);
for my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	for my $call ("count(*) FROM fn_iu_core_retention_cleanup('tester', false)",
		"fn_iu_route_dead_letter_replay(id) FROM iu_route_dead_letter",
		"fn_iu_route_dead_letter_replay_many('tester', 'test', p_route_code => 'beside')",
		"fn_iu_route_send_again('beside', 'tester', 'test', p_since => '-infinity')",
		"fn_iu_route_deliver('hand', id) FROM event_outbox WHERE canonical_address = '1a'",
		"fn_iu_route_add('old', '*', 'https://hooks.example/', 'tester', 'test')",
		"fn_iu_route_arm('idle', 'tester', 'test')", "fn_iu_route_confirm_position('hand', 'tester', 'test')",
		"fn_iu_route_retire('idle', 'tester', 'test')",
		"fn_iu_event_type_register('shop', 'x', 'task', 'delayed', 'info', 'It is x.', 'tester', 'test')",
		"fn_iu_event_type_unregister('shop', 'x', 'tester', 'test')", "fn_iu_place_confirm('tester', 'test')")
	{
		like(error_of("BEGIN ISOLATION LEVEL $level; SELECT $call"), qr/25000: .* isolation level READ COMMITTED/,
			"refused under " . lc($level) . ': ' . ($call =~ /(fn_\w+)/)[0]);
	}
}
is($one->query_safe(record('4a') . ';' . record('5a')) =~ s/\s//gr, '1111', 'every event that was claimed is recorded');
sql('DELETE FROM iu_route_dead_letter');
retire($_) foreach qw(beside idle);
sql("DELETE FROM iu_route_attempt WHERE event_ref IN (SELECT id FROM event_outbox WHERE canonical_address IN ('4a',"
	  . " '5a'))");

note 'a session that ends';
sql(happen(3, '3a', '3b'));
is($two->query_safe($claim), '3a', 'a session has claimed 3a');
my $gone = $two->query_safe('SELECT pg_backend_pid()');
$two->quit;
becomes("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $gone)",
	'the session that had claimed 3a is gone');
is($one->query_safe($claim), '3a', 'the claim after the session is gone gives 3a, and not 3b');
for my $next ('3b', '')
{
	$one->query_safe(record('3a') . ';' . record('3b'));
	is($one->query_safe($claim), $next, "after the record of 3a and 3b a claim gives '$next'");
}
$one->query_safe(record($_)), $one->query_safe($claim) for '1a', '1b', '1c';
is(sql("SELECT string_agg(e.canonical_address, ' ' ORDER BY a.id) FROM iu_route_attempt a JOIN event_outbox e"
	  . " ON e.id = a.event_ref"),
	'2a 2b 2c 2d 3a 3b 1a 1b 1c', 'every event was sent, those of each subject in their order');
is(sql('SELECT count(*) FROM iu_route_retry') + sql('SELECT count(*) FROM iu_route_lease'), 0,
	'no retry and no lease is left');
$one->quit;
retire('hand');

IU::Cluster->reload($node, 'iu_core.senders' => 2);
senders_run();

note 'order by subject: a third of the requests fail';
my %stubborn = (max_attempts => 100, base_s => 0.01, max_s => 0.05);
add('ordered', 'version_applied', '/flaky', retry => { %stubborn, circuit_failures => 0 }, ordering => 'subject');

# The events of these subjects from one place to another, a transaction each.
sub emit_in_turn
{
	my ($from, $to, @subjects) = @_;
	foreach my $place ($from .. $to)
	{
		sql(join '', map {
				sprintf "SELECT fn_iu_emit_event('version_applied', '%d', '00000000-0000-0000-0000-%012d', 'tester',"
				  . " '{\"place\": %d}');\n", $_, $_, $place
			} @subjects);
	}
	return;
}

# What arrived: for each subject the places, in order.
sub arrivals
{
	my %places;
	for my $request ($receiver->arrived('/flaky'))
	{
		my $data = decode_json($request->{body})->{data};
		push @{ $places{ $data->{canonical_address} } }, $data->{payload}{place};
	}
	return \%places;
}
sub without_repeats { my %seen; return grep { !$seen{$_}++ } @_ }
sub backward { return scalar grep { $_[$_] < $_[ $_ - 1 ] } 1 .. $#_ }

emit_in_turn(1, $each, 1 .. 10);
becomes('SELECT ' . sent('ordered') . ' = 250', 'every event of ten subjects is delivered');
my $arrivals = arrivals();
is(join(',', without_repeats(@{ $arrivals->{$_} })), join(',', 1 .. $each), "the events of subject $_ arrive in order")
	  for 1 .. 10;
is(backward(@{ $arrivals->{$_} }), 0, "no event of subject $_ overtakes the retry of another") for 1 .. 10;
cmp_ok(sql("SELECT count(*) FROM iu_route_attempt WHERE status = 'failed'"), '>', 20,
	'at least 20 attempts failed meanwhile');

note 'with a sender that ends and a server that crashes';
emit_in_turn(1, 12, 11 .. 20);
becomes('SELECT ' . sent('ordered') . ' > 260', 'the events of another ten subjects are under way');
is(sql("SELECT count(pg_terminate_backend(pid)) FROM iu_core.worker_status WHERE role = 'sender'"), '2',
	'both senders are terminated');
emit_in_turn(13, $each, 11 .. 20);
becomes('SELECT ' . sent('ordered') . ' > 350', 'other senders go on');
$node->stop('immediate');
$node->start;
becomes('SELECT ' . sent('ordered') . ' = 500', 'after a crash of the server all 500 events are delivered');
$arrivals = arrivals();
is(join(',', without_repeats(@{ $arrivals->{$_} })), join(',', 1 .. $each),
	"the events of subject $_ arrive in order, over senders that ended and a crash") for 11 .. 20;
is(sql('SELECT count(*) FROM iu_route_dead_letter'), '0', 'no event of an ordered route is given up');
is(sql('SELECT count(*) FROM iu_route_retry'), '0', 'no retry is left');
note 'senders: ', sql("SELECT string_agg(DISTINCT sender, ', ') FROM iu_route_attempt WHERE route_code = 'ordered'");

note 'the circuit of a dead endpoint';
add('dead', 'structure_op_applied', "http://127.0.0.1:$port/ok",
	retry => { %stubborn, circuit_failures => 5, circuit_open_s => 0.2, circuit_max_s => 0.4 });
add('shut', 'structure_op_applied', "http://127.0.0.1:$port/ok?shut",
	retry => { %stubborn, circuit_failures => 5, circuit_open_s => 3600, circuit_max_s => 3600 });
emit(20, type => 'structure_op_applied');
becomes("SELECT count(*) = 2 FROM iu_route_circuit WHERE state <> 'closed'",
	'the circuits of two routes to a dead endpoint open');
becomes("SELECT NOT EXISTS (SELECT FROM iu_route_lease WHERE route_code = 'shut')",
	'what was under way when the circuit opened has ended');
my $attempts = sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'shut'");
cmp_ok($attempts, '>=', 5, 'the circuit opened after five failures or more');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code IN ('dead', 'shut') AND failure_code"
	  . " <> 'connect_failed'"), '0', 'every failure is that nobody listens');
# What is no probe was under way when it opened, so there is no more of it.
becomes("SELECT failures > 8 AND open_s = 0.4 FROM iu_route_circuit WHERE route_code = 'dead'",
	'the circuit that lets probes through is open for longer with each failed probe');
my $beside = "SELECT count(*) - (SELECT failures FROM iu_route_circuit WHERE route_code = 'dead')"
	  . " FROM iu_route_attempt WHERE route_code = 'dead'";
my $before = sql($beside);
becomes("SELECT failures > 12 FROM iu_route_circuit WHERE route_code = 'dead'",
	'the circuit lets further probes through');
is(sql($beside), $before, 'while the circuit is open there is an attempt for each probe, and no other');

my $revived = IU::Receiver->start($port);
becomes('SELECT ' . sent('dead') . ' = 20', 'when somebody listens every event of the route is delivered');
is(sql("SELECT count(*) FROM iu_route_circuit WHERE route_code = 'dead'"), '0',
	'when a probe succeeds the circuit is closed');
is(scalar(grep { $_->{line} =~ m{ /ok } } $revived->requests), 20, 'each event arrives once');
is(sql("SELECT iu.fn_iu_delivery_refusal('shut')"), 'circuit_open', 'the circuit that opens for an hour is still open');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'shut'"), $attempts,
	'a circuit that is open costs no attempt');
is(sql("SELECT held FROM v_iu_route_held WHERE route_code = 'shut' AND code = 'circuit_open'"), '20',
	'a circuit that is open is shown with the events that it holds');
sql("SELECT fn_iu_route_circuit_close('shut', 'tester', 'somebody listens')");
becomes('SELECT ' . sent('shut') . ' = 20', 'when the circuit is closed by hand every event is delivered');

$node->stop;
$_->stop for $receiver, $revived;
done_testing();
