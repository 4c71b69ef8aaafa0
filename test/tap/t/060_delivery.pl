# Claiming and recording, called by hand in sessions of their own: what follows
# commits cannot be seen from within one transaction. No worker runs here.
use strict;
use warnings;
use IU::Cluster;
use IU::Dump;
use IU::Gate;
use IU::Routes qw(switches_on emit_sql);
use IU::SQL;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $route = 'iu.version_applied.hook';
my $gate = 'iu_core.delivery_enabled';
my ($one, $two);

# A lease ends with the session that claimed it, so sessions stay.
sub session
{
	my ($node, $database) = @_;
	my $session = $node->background_psql($database // 'postgres');
	return { psql => $session, pid => $session->query_safe('SELECT pg_backend_pid()') };
}
sub in_session { my ($session, $sql) = @_; return $session->{psql}->query_safe($sql) }

my %without_workers = ('iu_core.databases' => '', 'iu_core.allowed_origins' => 'http://127.0.0.1:9');
my $node = IU::Cluster->new_node('delivery', max_prepared_transactions => 10, %without_workers);
talk_to($node);

sub claim
{
	my ($session, $max, $sender) = @_;
	$sender //= "sender $session->{pid}";
	return @{ decode_json(in_session($session,
		"SELECT coalesce(json_agg(c), '[]') FROM iu.fn_iu_delivery_claim('$sender', $max) c")) };
}

sub record
{
	my ($session, $deliveries, $outcome, $more) = @_;
	return 0 unless @$deliveries;
	my %lease;
	push @{ $lease{"$_->{lease_id}, $_->{lease_generation}"} }, $_ for @$deliveries;
	my $written = 0;
	for my $key (sort keys %lease)
	{
		my $results = join ',', map {
			qq({"event_id":"$_->{event_id}","replay_number":$_->{replay_number},"attempt_no":$_->{attempt_no},)
			  . qq("outcome":"$outcome","duration_us":1500) . ($more // '') . '}'
		} @{ $lease{$key} };
		$written += in_session($session, "SELECT iu.fn_iu_delivery_record($key, '[$results]')");
	}
	return $written;
}

sub emit
{
	my ($count, $session) = @_;
	return split /\n/, $session ? in_session($session, emit_sql($count)) : sql(emit_sql($count));
}
# Event ids as one short text.
sub ids
{
	my @ids = sort map { ref $_ ? $_->{event_id} : $_ } @_;
	return @ids > 5 ? scalar(@ids) . ' events' : join ',', @ids;
}
sub check
{
	my ($session, $delivery) = @_;
	return in_session($session, "SELECT iu.fn_iu_delivery_check($delivery->{lease_id}, $delivery->{lease_generation})");
}
sub code { return sql("SELECT fn_iu_route_explain('$_[0]', '$_[1]') ->> 'code'") }
sub position { return sql("SELECT seen, window_end, window_seq FROM v_iu_route_position WHERE route_code = '$route'") }

# Records deliveries as failed; their retry is due between $from and $to after
# it, however long the recording takes.
sub fail_and_wait
{
	my ($deliveries, $more, $from, $to, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = sql('SELECT clock_timestamp()');
	record($one, $deliveries, 'failed', $more);
	return is(sql("SELECT due_at BETWEEN '$before'::timestamptz + interval '$from' AND clock_timestamp() +"
		  . " interval '$to'"
			  . ' FROM iu_route_retry'), 't', $name);
}

sql('CREATE EXTENSION iu_core');
sql('SELECT count(*) FROM iu_core.migrate()');
switches_on();
sql(qq{SELECT fn_iu_route_add('$route', 'version_applied', 'http://127.0.0.1:9/hook?a=b', 'tester', 'test',
	  p_max_in_flight => 10000)});
my @before = emit(2);
is(code($route, $before[0]), 'delivery_gate_closed', 'an event of a new route is held for the gate first');
IU::Gate->open($node, $gate, 3600);
is(code($route, $before[0]), 'route_not_allowlisted', 'with the gate open it is held for the allowlist');
sql(qq{SELECT fn_iu_route_allow('$route', 'tester', 'test')});
is(code($route, $before[0]), 'route_disabled', 'with the route allowed it is held for the route, which is not armed');
like(sql("SELECT fn_iu_route_arm('$route', 'tester', 'test')"), qr/"held": null/, 'an armed route is held for nothing');
is(code($route, $before[0]), 'before_start', 'an event from before the arming is not sent');

$one = session($node);
$two = session($node);

# ---- nothing to do
is(scalar claim($one, 10), 0, 'a claim after the first arming gives nothing from before');
is(in_session($one, "BEGIN; SELECT count(*) FROM iu.fn_iu_delivery_claim('idle', 10);"
	  . " SELECT pg_current_xact_id_if_assigned() IS NULL; COMMIT"),
	"0\nt", 'a claim that finds nothing writes nothing');
is(sql('SELECT iu.fn_iu_delivery_next_due() IS NULL'), 't', 'with nothing to send nothing waits for the clock');

# ---- claim, record
my @events = emit(3);
my @first = claim($one, 2);
is(scalar @first, 2, 'a claim gives no more than was asked for');
my @second = claim($two, 10);
is(scalar @second, 1, 'what one sender did not claim goes to the other');
is(ids(@first, @second), ids(@events), 'two claims together give each event once');
is(code($route, $events[0]), 'in_flight', 'the explanation of a claimed event says that a sender has it');
is($first[0]{target_url}, 'http://127.0.0.1:9/hook?a=b', 'a claim gives the URL of the route');
like($first[0]{webhook_id}, qr/^msg_[0-9]+_[0-9]+_0_[0-9a-f]{12}$/, 'a claim gives a webhook-id that fits a header');
like($first[0]{secrets}[0], qr/^whsec_/, 'a claim gives the secret of the route');
my $body = decode_json($first[0]{body});
is($body->{type}, 'iu.version_applied', "the body of a delivery names the event's type");
like($body->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/,
	"the body of a delivery has the event's time in UTC");
is($body->{data}{payload}{n}, 1, "the body of a delivery holds the event's payload");
is(record($one, \@first, 'sent', ',"http_status":204'), 2, 'two attempts are recorded');
is(sql("SELECT string_agg(status || delivered || http_status || duration_us, ',') FROM iu_route_attempt"),
	'senttrue2041500,senttrue2041500', 'an attempt is recorded with its status, HTTP status and duration');
is(code($route, $events[0]), 'delivered', 'the explanation of a sent event says that it is delivered');
is(in_session($one, "SELECT count(*) FROM iu_route_lease WHERE sender = 'sender $one->{pid}'"), '0',
	'a lease whose deliveries are recorded is gone');

# ---- a sender that is gone
sql("SELECT pg_terminate_backend($two->{pid})");
wait_until("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $two->{pid})");
in_session($one, "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'");
is(check($one, $second[0]), '', 'until somebody takes over the lease of a session that is gone it may be sent on');
my @again = claim($one, 10);
is(scalar @again, 1, 'the lease of a session that is gone is taken over at once');
is(check($one, $second[0]), 'lease_lost', 'what was taken over may not be sent by its first holder');
is(check($one, $again[0]), '', 'what was taken over may be sent by the next holder');
sql("UPDATE iu_route_lease SET expires_at = clock_timestamp() + interval '9 s'");
is(check($one, $again[0]), 'lease_lost', 'what ends before an answer may come may not be sent');
sql("UPDATE iu_route_lease SET expires_at = clock_timestamp() + interval '60 s'");
IU::Gate->close($node, $gate);
is(check($one, $again[0]), 'delivery_gate_closed', 'nothing may be sent while the gate is closed');
IU::Gate->open($node, $gate, 3600);
is($again[0]{lease_generation}, 2, 'a lease that is taken over is of the next generation');
is($again[0]{webhook_id}, $second[0]{webhook_id}, 'a delivery that is taken over keeps its webhook-id');
is($again[0]{body}, $second[0]{body}, "a delivery that is taken over keeps its bytes, whatever the session's settings");
is($again[0]{attempt_no}, 1, 'a delivery that is taken over is the attempt that nobody recorded');
like(error_of("SELECT iu.fn_iu_delivery_record($second[0]{lease_id}, 1, '[]')"),
	qr/55000: lease \d+ of generation 1 is no longer held/, 'the lease of the old generation records nothing');
is(record($one, \@again, 'sent'), 1, 'the lease of the new generation is recorded');
like(error_of("SELECT iu.fn_iu_delivery_record($second[0]{lease_id}, 2, '[]')"), qr/no longer held/,
	'a lease is recorded once');

# ---- an expired lease, part of it recorded
emit(3);
my @part = claim($one, 10);
record($one, [ $part[0] ], 'sent');
is(sql('SELECT item_count FROM iu_route_lease'), '2', 'a delivery that is recorded leaves its lease');
sql("UPDATE iu_route_lease SET expires_at = clock_timestamp()");
is(sql('SELECT iu.fn_iu_delivery_next_due() <= clock_timestamp()'), 't', 'the end of a lease is due');
$two = session($node);
my @taken = claim($two, 1);
is(scalar @taken, 1, 'a lease that expired is shared out in parts as large as asked for');
isnt($taken[0]{event_id}, $part[0]{event_id}, 'a lease that expired is shared out without what was recorded of it');
my @over = claim($two, 10);
is(ids(@taken, @over), ids(@part[1, 2]), 'a lease that expired is shared out whole');
record($two, [ @taken, @over ], 'sent');
is(sql('SELECT count(*) FROM iu_route_lease') + sql('SELECT count(*) FROM iu_route_retry'), 0,
	'when all is recorded no lease and no retry is left');

# an old lease among young ones
emit(1);
my @old = claim($two, 1);
emit(3);
record($one, [ claim($one, 1) ], 'sent') for 1 .. 3;
sql('UPDATE iu_route_lease SET expires_at = clock_timestamp()');
is(ids(my @late_old = claim($one, 10)), ids(@old), 'a lease that expired is found among many younger ones');
record($one, \@late_old, 'sent');

# ---- late commits
sql("BEGIN; SELECT fn_iu_emit_event('version_applied', 'late/' || n, gen_random_uuid(), 'tester')"
	  . " FROM generate_series(1, 2) n; PREPARE TRANSACTION 'late'");
my @others;
for (1 .. 20)
{
	emit(50);
	push @others, claim($one, 1000);
	emit(1);
}
push @others, claim($one, 1000);
is(scalar @others, 1020, 'while a transaction stays open all other events are claimed');
is(record($one, \@others, 'sent'), 1020, 'while a transaction stays open all other events are recorded');
emit(1);
sql("COMMIT PREPARED 'late'");
my @late = claim($one, 1000);
is(join(' ', map { decode_json($_->{body})->{data}{canonical_address} } @late), 'late/1 late/2 A/1',
	'events of a late commit are delivered, and nothing between them and the newest is repeated');
record($one, \@late, 'sent');
is(scalar claim($one, 1000), 0, 'events of a late commit are delivered once');

# one that commits in the middle of a window being handed out
my @middle = emit(2);
push @middle, sql("BEGIN; SELECT fn_iu_emit_event('version_applied', 'middle', gen_random_uuid(), 'tester');"
	  . " PREPARE TRANSACTION 'middle'");
push @middle, emit(2);
my @window = claim($one, 1);
sql("COMMIT PREPARED 'middle'");
push @window, claim($one, 1) for 1 .. 6;
is(ids(@window), ids(@middle), 'an event that is committed into a window that is being handed out is delivered once');
record($one, \@window, 'sent');

# ---- two senders, one backlog
my @backlog = emit(5000);
my %got;
for (1 .. 60)
{
	my @batch = (claim($one, 100), claim($two, 77));
	$got{ $_->{event_id} }++ for @batch;
	record($one, \@batch, 'sent');
}
is(scalar keys %got, 5000, 'two senders together are given all of a backlog');
is(scalar(grep { $_ != 1 } values %got), 0, 'two senders together are given no event twice');
in_session($two, "BEGIN; SELECT 1 FROM iu_route_position WHERE route_code = '$route' FOR UPDATE");
emit(1);
is(scalar claim($one, 10), 0, 'a route whose position another claim holds is passed over');
in_session($two, 'COMMIT');
is(record($one, [ claim($one, 10) ], 'sent'), 1, 'a route that was passed over comes with the next claim');

# ---- held
my $was = position();
IU::Gate->close($node, $gate);
my ($held) = emit(1);
is(scalar claim($one, 10), 0, 'while the gate is closed nothing is claimed');
is(position(), $was, 'while the gate is closed the position does not move');
is(code($route, $held), 'delivery_gate_closed', 'while the gate is closed the explanation says so');
is(sql("SELECT code, held FROM v_iu_route_held"), 'delivery_gate_closed|1',
	'while the gate is closed the view of held routes says so, and how many events wait');
IU::Gate->open($node, $gate, 3600);
my @open = claim($one, 10);
is($open[0]{event_id}, $held, 'when the gate is opened the held event is claimed');
is(record($one, \@open, 'held', ',"failure_code":"delivery_gate_closed"'), 0,
	'a delivery that a sender gives back as held is no attempt');
sql("SELECT fn_iu_switch_set('iu_core.route_worker_enabled', 'false', 'tester', 'test')");
is(sql('SELECT iu.fn_iu_delivery_next_due() IS NULL'), 't', 'a delivery that is held is not due');
is(code($route, $held), 'worker_gate_closed', 'with the switch off the explanation says so');
sql("SELECT fn_iu_switch_set('iu_core.route_worker_enabled', 'true', 'tester', 'test')");
is(sql('SELECT iu.fn_iu_delivery_next_due() <= clock_timestamp()'), 't', 'with the switch on the delivery is due');
sql("SELECT fn_iu_route_disallow('$route', 'tester', 'test')");
is(scalar claim($one, 10), 0, 'nothing is claimed of a route that is off the allowlist');
sql("SELECT fn_iu_route_allow('$route', 'tester', 'test')");
IU::Cluster->reload($node, 'iu_core.allowed_origins' => 'http://127.0.0.1:10');
is(code($route, $held), 'origin_not_allowed', 'with its origin taken away the explanation says so');
is(scalar claim($two, 10), 0, 'nothing is claimed of a route whose origin is taken away');
IU::Cluster->reload($node, 'iu_core.allowed_origins' => 'http://127.0.0.1:9');
in_session($one, 'SELECT 1'); # a session takes a reload between statements
@open = claim($one, 10);
is("$open[0]{event_id} $open[0]{attempt_no}", "$held 1",
	'with everything open the delivery that was held comes with the same attempt');
record($one, \@open, 'sent');

# ---- failures
my ($failing) = emit(1);
my @try = claim($one, 10);
fail_and_wait(\@try, ',"failure_code":"connect_failed","failure_detail":"refused"', '4 s', '5 s',
	'a failed attempt is tried again after 5 s, less jitter');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE status = 'failed'"), 1, 'a failed attempt is recorded');
is(sql('SELECT attempt_no, reason FROM iu_route_retry'), '2|connect_failed',
	'the retry says which attempt it is, and why');
is(sql('SELECT iu.fn_iu_delivery_next_due() = (SELECT due_at FROM iu_route_retry)'), 't',
	'the next thing due is the retry');
is(code($route, $failing), 'waiting_retry', 'the explanation of a failed attempt says that it waits for its retry');
sql("UPDATE iu_route_retry SET due_at = clock_timestamp() + interval '1 hour'");
is(scalar claim($one, 10), 0, 'a retry is not claimed before it is due');
sub due { sql("UPDATE iu_route_retry SET due_at = clock_timestamp()"); return claim($one, 10) }
@try = due();
is("$try[0]{attempt_no} $try[0]{webhook_id}",
	'2 ' . sql("SELECT idempotency_key FROM iu_route_attempt WHERE event_ref = '$failing'"),
	'the second attempt has the webhook-id of the first');
fail_and_wait(\@try, ',"http_status":429,"retry_after":120', '120 s', '120 s',
	'after a 429 the retry waits as long as Retry-After says');
is(sql('SELECT attempt_no, reason FROM iu_route_retry'), '2|http_429',
	'the retry says that it is for a 429, which costs no attempt');
is(scalar due(), 0, 'after a 429 the whole route waits');
sql("DELETE FROM iu_route_circuit; UPDATE iu_route_retry SET attempt_no = 1");
fail_and_wait([ due() ], ',"http_status":503,"retry_after":0', '4 s', '5 s',
	'after a 503 the retry waits no less than the backoff');
sql("UPDATE iu_route_retry SET attempt_no = 3");
record($one, [ due() ], 'failed', ',"http_status":503,"retry_after":999999999');
is(sql("SELECT due_at - clock_timestamp() <= '1 day' FROM iu_route_retry"), 't',
	'after a 503 the retry waits a day at most');
fail_and_wait([ due() ], ',"http_status":500,"retry_after":7200', '32 s', '40 s',
	'after a 500 the retry waits for the backoff, doubled to 40 s, whatever Retry-After says');
record($one, [ due() ], 'failed', ',"http_status":302');
record($one, [ due() ], 'failed', ',"failure_code":"timed_out"');
record($one, [ due() ], 'failed', ',"failure_code":"timed_out"');
is(sql('SELECT count(*) FROM v_iu_route_dead_letter_open'), '0', 'after seven attempts a delivery is not given up');
record($one, [ due() ], 'failed', ',"failure_code":"timed_out","failure_detail":"no answer in 10000 ms"');
is(sql("SELECT attempts, failure_code, event_snapshot ->> 'id' FROM v_iu_route_dead_letter_open"),
	"8|timed_out|$failing", 'after eight attempts a delivery is a dead letter, with its event');
is(sql('SELECT count(*) FROM iu_route_retry'), '0', 'a dead letter has no retry');
is(code($route, $failing), 'dead_letter', 'the explanation of a dead letter says so');
my ($large) = emit(1);
record($one, [ claim($one, 10) ], 'failed', ',"failure_code":"request_too_large"');
is(code($route, $large), 'dead_letter', 'a body that is too large to be sent is a dead letter after one attempt');

# ---- 410
my ($gone) = emit(1);
record($one, [ claim($one, 10) ], 'failed', ',"http_status":410');
is(sql("SELECT enabled, disabled_reason FROM iu_outbound_route"), 'f|the receiver answered 410 (gone)',
	'an answer of 410 disables the route');
is(code($route, $gone), 'route_disabled', 'an answer of 410 leaves the event held');
is(sql("SELECT count(*) FROM dot_iu_command_run WHERE command_name = 'dot_iu_route_gone'"), '1',
	'an answer of 410 is logged as a run');
is(scalar claim($one, 10), 0, 'nothing is claimed of a route that a 410 disabled');
sql("SELECT fn_iu_route_resume('$route', 'tester', 'test')");
@try = claim($one, 10);
is("$try[0]{event_id} $try[0]{attempt_no}", "$gone 2", 'a route that is resumed tries the event again');
record($one, \@try, 'sent');

# ---- limits of a route
sql("UPDATE iu_outbound_route SET max_in_flight = 5");
emit(12);
my @five = claim($one, 100);
is(scalar @five, 8, 'no more deliveries than half as many again as max_in_flight are claimed');
is($five[0]{requests}, 5, 'a claim says how many requests may be under way at a time');
is(scalar claim($one, 100), 0, 'no claim gives more while so many deliveries are with a sender');
is(sql('SELECT iu.fn_iu_delivery_next_due() > clock_timestamp()'), 't', 'a route that is full is not due at once');
record($one, \@five, 'sent');
is(record($one, [ claim($one, 100) ], 'sent'), 4, 'what is recorded makes room for the next deliveries');
sql("UPDATE iu_outbound_route SET max_in_flight = 10000");

# ---- other types, restricted payloads
sql("SELECT fn_iu_emit_event('structure_op_applied', 'x', gen_random_uuid(), 'tester')");
sql(q{INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane, event_subject_table,
	  event_subject_ref, source_system, payload_classification)
      VALUES ('iu', 'version_applied', 'update', 'immediate', 'information_unit', 'r', 'test', 'restricted')});
is(scalar claim($one, 100), 0, 'neither another type nor a restricted payload is claimed');
is(code($route, sql("SELECT id FROM event_outbox WHERE payload_classification = 'restricted'")), 'payload_restricted',
	'the explanation of a restricted payload says so');

# ---- by hand
is(sql("SELECT fn_iu_route_deliver('$route', '$before[1]') ->> 'status'"), 'handed_over',
	'an event from before the arming can be handed over by hand');
is(sql("SELECT fn_iu_route_deliver('$route', '$before[1]') ->> 'status'"), 'already_queued',
	'an event is handed over once');
my @hand = claim($one, 10);
is($hand[0]{event_id}, $before[1], 'an event that was handed over is claimed');
record($one, \@hand, 'sent');
is(sql("SELECT fn_iu_route_deliver('$route', '$before[1]') ->> 'status'"), 'already_attempted',
	'an event that was handed over and sent is not handed over again');
is(sql("SELECT fn_iu_route_deliver('$route', '$gone') ->> 'status'"), 'already_attempted',
	'an event that was sent by itself is not handed over');
my ($ahead) = emit(1);
is(sql("SELECT fn_iu_route_deliver('$route', '$ahead') ->> 'status'"), 'already_queued',
	'an event that is ahead of the position is not handed over');
is(record($one, [ claim($one, 10) ], 'sent'), 1, 'an event that is ahead of the position is delivered by itself');

# ---- arming again, and within one transaction with an emission
sql("SELECT fn_iu_route_pause('$route', 'tester', 'test')");
my ($paused) = emit(1);
is(code($route, $paused), 'route_disabled', 'an event of a paused route is held');
like(sql("SELECT fn_iu_route_arm('$route', 'tester', 'test', '-infinity', '1 hour')"), qr/"owed": 2\b/,
	'a route that is armed from an hour ago owes what was never attempted');
is(ids(my @owed = claim($one, 100)), ids($before[0], $paused),
	'a route that is armed from an hour ago sends what it owes and nothing else');
record($one, \@owed, 'sent');
sql("SELECT fn_iu_route_pause('$route', 'tester', 'test')");
in_session($two, 'BEGIN; SELECT pg_current_xact_id()');
sql('SELECT pg_current_xact_id()') for 1 .. 3;
in_session($two, "SELECT fn_iu_route_arm('$route', 'tester', 'test')");
my ($same) = emit(1, $two);
sql('SELECT pg_current_xact_id()') for 1 .. 3;
in_session($two, 'COMMIT');
is(ids(my @same = claim($one, 100)), $same, 'an event that the arming transaction emits is delivered');
record($one, \@same, 'sent');
is(scalar claim($one, 100), 0, 'an event that the arming transaction emits is delivered once');

# one that is armed again while a claim is under way
in_session($two, "BEGIN; SELECT 1 FROM iu_route_position WHERE route_code = '$route' FOR NO KEY UPDATE");
sql("SELECT fn_iu_route_pause('$route', 'tester', 'test')");
my $arming = $node->background_psql('postgres');
start_query($arming, "SELECT fn_iu_route_arm('$route', 'tester', 'test')");
wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE"
	  . " '%fn_iu_route_arm%')");
my ($between) = emit(1);
in_session($two, 'COMMIT');
$arming->quit;
is(scalar(claim($one, 100)), 0, 'a route that is armed while a claim is under way starts after the claim');
sql("SELECT fn_iu_route_deliver('$route', '$between')");
record($one, [ claim($one, 1) ], 'sent');

# ---- what a server that logs everything knows of a secret
my $lacks_plans = IU::Cluster->lacks_module('auto_explain');
my $load = $lacks_plans ? '' : "LOAD 'auto_explain';";
my ($status, $out, $err) = $node->psql('postgres',
	"$load SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;
	SET auto_explain.log_verbose = on; SET auto_explain.log_analyze = on;
	SET debug_print_plan = on; SET client_min_messages = log;
	SELECT fn_iu_route_secret_add('logged', 'tester', 'test')");
like($out, qr/whsec_[\w+\/]{42}/, 'a new secret is told to who made it');
SKIP:
{
	skip $lacks_plans, 1 if $lacks_plans;
	like($err, qr/Insert on public.iu_route_secret/, 'the plans of making a secret are logged');
}
unlike($err, qr/whsec_[\w+\/]{8}/, 'no logged plan shows the secret');

# ---- a copy in another cluster, where every number of a transaction means something else
my @inflight = (emit(2));
my @leased = claim($one, 1);
sql(q{DO $$ BEGIN FOR i IN 1..12000 LOOP PERFORM fn_iu_emit_event('structure_op_applied', 'x', gen_random_uuid(),
	  'tester'); COMMIT; END LOOP; END $$});
my ($waiting) = emit(1);
my $copy = IU::Cluster->new_node('copy', %without_workers);
my $dump = $node->basedir . '/dump';
dump_to($node, $dump);
restore_into($copy, 'copy', $dump);
sub in_copy { return $copy->safe_psql('copy', $_[0]) }
cmp_ok(in_copy('SELECT max(emitted_xid) FROM event_outbox'), '>', in_copy('SELECT pg_current_xact_id()'),
	"the copy's transaction numbers are lower than those of the events in it");
is(in_copy('SELECT count(*) FROM event_outbox'), sql('SELECT count(*) FROM event_outbox'), 'the restore emits nothing');
in_copy("SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'tester', 'test')");
in_copy("SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'tester', 'test', 3600)");
my $there = session($copy, 'copy');
is(scalar claim($there, 1000), 0, 'in a copy nothing is claimed');
is(in_copy("SELECT code, held FROM v_iu_route_held"), 'position_foreign|3',
	'in a copy the view of held routes says that the position is of another place');
like(in_copy("SELECT next_action FROM v_iu_route_held"), qr/fn_iu_route_confirm_position/,
	'in a copy the view of held routes says what to do');
like(in_copy("SELECT fn_iu_route_confirm_position('$route', 'tester', 'test')"), qr/"owed": 2,.*"leases": 1/s,
	'when the position is confirmed the copy says what it owes');
my @copied = claim($there, 1000);
is(ids(@copied), ids(@inflight, $waiting),
	'when the position is confirmed the copy is given what it owes, the lease of the original included');
record($there, \@copied, 'sent');
my $fresh = in_copy("SELECT fn_iu_emit_event('version_applied', 'copy', gen_random_uuid(), 'tester')");
is(ids(my @fresh = claim($there, 1000)), $fresh, 'what is emitted in the copy is delivered');
record($there, \@fresh, 'sent');
in_copy(q{DO $$ BEGIN FOR i IN 1..12000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$});
$fresh = in_copy("SELECT fn_iu_emit_event('version_applied', 'copy', gen_random_uuid(), 'tester')");
is(ids(claim($there, 10000)), $fresh,
	"restored events are not delivered again when the copy's transaction numbers pass theirs");

$_->{psql}->quit for $one, $two, $there;
$copy->stop;
$node->stop;
done_testing();
