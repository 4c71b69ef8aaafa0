# Claiming and recording, called by hand in sessions of their own: what follows
# commits cannot be seen from within one transaction. No worker runs here.
use strict;
use warnings;
use IU::Cluster;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $route = 'iu.version_applied.hook';

# A lease ends with the session that claimed it, so sessions stay.
sub session
{
	my ($node, $database) = @_;
	my $session = $node->background_psql($database // 'postgres');
	return { psql => $session, pid => $session->query_safe('SELECT pg_backend_pid()') };
}
sub ask { my ($session, $sql) = @_; return $session->{psql}->query_safe($sql); }

my %without_workers = ('iu_core.databases' => '', 'iu_core.allowed_origins' => 'http://127.0.0.1:9');
my $node = IU::Cluster->new_node('delivery', max_prepared_transactions => 10, %without_workers);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub claim
{
	my ($session, $max, $sender) = @_;
	$sender //= "sender $session->{pid}";
	return @{ decode_json(ask($session, "SELECT coalesce(json_agg(c), '[]') FROM iu.fn_iu_delivery_claim('$sender', $max) c")) };
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
		$written += ask($session, "SELECT iu.fn_iu_delivery_record($key, '[$results]')");
	}
	return $written;
}

sub emit
{
	my ($count, $session) = @_;
	my $sql = "SELECT fn_iu_emit_event('version_applied', 'A/' || n, gen_random_uuid(), 'tester', jsonb_build_object('n', n)) FROM generate_series(1, $count) n";
	return split /\n/, $session ? ask($session, $sql) : sql($sql);
}
# Event ids as one short text.
sub ids
{
	my @ids = sort map { ref $_ ? $_->{event_id} : $_ } @_;
	return @ids > 5 ? scalar(@ids) . ' events' : join ',', @ids;
}
sub check { my ($session, $delivery) = @_; return ask($session, "SELECT iu.fn_iu_delivery_check($delivery->{lease_id}, $delivery->{lease_generation})"); }
sub code { return sql("SELECT fn_iu_route_explain('$_[0]', '$_[1]') ->> 'code'"); }
sub open_gate { return sql("SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'tester', 'test', 3600) ->> 'status'"); }
sub close_gate { return sql("SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'tester', 'test') ->> 'status'"); }
sub position { return sql("SELECT seen, window_end, window_seq FROM v_iu_route_position WHERE route_code = '$route'"); }

sql('CREATE EXTENSION iu_core');
sql('SELECT count(*) FROM iu_core.migrate()');
sql(qq{SELECT fn_iu_switch_set(k, 'true', 'tester', 'test') FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k});
sql(qq{SELECT fn_iu_route_add('$route', 'version_applied', 'http://127.0.0.1:9/hook?a=b', 'tester', 'test', p_max_in_flight => 10000)});
my @before = emit(2);
is(code($route, $before[0]), 'delivery_gate_closed', 'the gate stops first');
open_gate();
is(code($route, $before[0]), 'route_not_allowlisted', 'then the allowlist');
sql(qq{SELECT fn_iu_route_allow('$route', 'tester', 'test')});
is(code($route, $before[0]), 'route_disabled', 'then the route itself');
like(sql("SELECT fn_iu_route_arm('$route', 'tester', 'test')"), qr/"held": null/, 'armed, and nothing holds it');
is(code($route, $before[0]), 'before_start', 'an event from before the arming is not sent');

my $one = session($node);
my $two = session($node);

# ---- nothing to do
is(scalar claim($one, 10), 0, 'nothing to claim: the first arming floods nobody');
is(ask($one, "BEGIN; SELECT count(*) FROM iu.fn_iu_delivery_claim('idle', 10); SELECT pg_current_xact_id_if_assigned() IS NULL; COMMIT"),
	"0\nt", 'a claim that finds nothing writes nothing');
is(sql('SELECT iu.fn_iu_delivery_next_due() IS NULL'), 't', 'nothing waits for the clock');

# ---- claim, record
my @events = emit(3);
my @first = claim($one, 2);
is(scalar @first, 2, 'no more than asked for');
my @second = claim($two, 10);
is(scalar @second, 1, 'the rest goes to the other sender');
is(ids(@first, @second), ids(@events), 'each event once');
is(code($route, $events[0]), 'in_flight', 'explained: a sender has it');
is($first[0]{target_url}, 'http://127.0.0.1:9/hook?a=b', 'the URL');
like($first[0]{webhook_id}, qr/^msg_[0-9]+_[0-9]+_0_[0-9a-f]{12}$/, 'the webhook-id fits a header');
like($first[0]{secrets}[0], qr/^whsec_/, 'the secret comes along');
my $body = decode_json($first[0]{body});
is($body->{type}, 'iu.version_applied', 'the body names the type');
like($body->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'and the time in UTC');
is($body->{data}{payload}{n}, 1, 'and holds the payload');
is(record($one, \@first, 'sent', ',"http_status":204'), 2, 'two attempts recorded');
is(sql("SELECT string_agg(status || delivered || http_status || duration_us, ',') FROM iu_route_attempt"), 'senttrue2041500,senttrue2041500', 'with their outcome');
is(code($route, $events[0]), 'delivered', 'explained: delivered');
is(ask($one, "SELECT count(*) FROM iu_route_lease WHERE sender = 'sender $one->{pid}'"), '0', 'a lease that is recorded is gone');

# ---- a sender that is gone
sql("SELECT pg_terminate_backend($two->{pid})");
$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $two->{pid})");
ask($one, "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'");
is(check($one, $second[0]), '', 'until somebody takes its lease over, it may be sent');
my @again = claim($one, 10);
is(scalar @again, 1, 'its lease is taken over at once');
is(check($one, $second[0]), 'lease_lost', 'then not by its first holder');
is(check($one, $again[0]), '', 'but by the next');
sql("UPDATE iu_route_lease SET expires_at = clock_timestamp() + interval '9 s'");
is(check($one, $again[0]), 'lease_lost', 'nor when it ends before an answer may come');
sql("UPDATE iu_route_lease SET expires_at = clock_timestamp() + interval '60 s'");
close_gate();
is(check($one, $again[0]), 'delivery_gate_closed', 'nor while the gate is closed');
open_gate();
is($again[0]{lease_generation}, 2, 'in the next generation');
is($again[0]{webhook_id}, $second[0]{webhook_id}, 'under the same webhook-id');
is($again[0]{body}, $second[0]{body}, 'with the same bytes, whatever the settings');
is($again[0]{attempt_no}, 1, 'as the attempt that nobody recorded');
my ($status, $out, $err) = $node->psql('postgres', "SELECT iu.fn_iu_delivery_record($second[0]{lease_id}, 1, '[]')", on_error_stop => 1, extra_params => ['-v', 'VERBOSITY=verbose']);
like($err, qr/55000: lease \d+ of generation 1 is no longer held/, 'the old generation records nothing');
is(record($one, \@again, 'sent'), 1, 'the new one does');
($status, $out, $err) = $node->psql('postgres', "SELECT iu.fn_iu_delivery_record($second[0]{lease_id}, 2, '[]')");
like($err, qr/no longer held/, 'and only once');

# ---- an expired lease, part of it recorded
emit(3);
my @part = claim($one, 10);
record($one, [ $part[0] ], 'sent');
is(sql('SELECT item_count FROM iu_route_lease'), '2', 'what was recorded leaves the lease');
sql("UPDATE iu_route_lease SET expires_at = clock_timestamp()");
is(sql('SELECT iu.fn_iu_delivery_next_due() <= clock_timestamp()'), 't', 'its end is due');
$two = session($node);
my @taken = claim($two, 1);
is(scalar @taken, 1, 'an expired lease is shared out by p_max');
isnt($taken[0]{event_id}, $part[0]{event_id}, 'without what was recorded');
my @over = claim($two, 10);
is(ids(@taken, @over), ids(@part[1, 2]), 'and nothing of it is lost');
record($two, [ @taken, @over ], 'sent');
is(sql('SELECT count(*) FROM iu_route_lease') + sql('SELECT count(*) FROM iu_route_retry'), 0, 'nothing is left over');

# an old lease among young ones
emit(1);
my @old = claim($two, 1);
emit(3);
record($one, [ claim($one, 1) ], 'sent') for 1 .. 3;
sql('UPDATE iu_route_lease SET expires_at = clock_timestamp()');
is(ids(my @late_old = claim($one, 10)), ids(@old), 'a lease that many younger ones overtook is found when it expires');
record($one, \@late_old, 'sent');

# ---- late commits
sql("BEGIN; SELECT fn_iu_emit_event('version_applied', 'late/' || n, gen_random_uuid(), 'tester') FROM generate_series(1, 2) n; PREPARE TRANSACTION 'late'");
my @others;
for (1 .. 20)
{
	emit(50);
	push @others, claim($one, 1000);
	emit(1);
}
push @others, claim($one, 1000);
is(scalar @others, 1020, 'an open transaction stalls nobody');
is(record($one, \@others, 'sent'), 1020, 'all recorded');
emit(1);
sql("COMMIT PREPARED 'late'");
my @late = claim($one, 1000);
is(join(' ', map { decode_json($_->{body})->{data}{canonical_address} } @late), 'late/1 late/2 A/1',
	'a late commit is delivered, and nothing that lies between');
record($one, \@late, 'sent');
is(scalar claim($one, 1000), 0, 'once');

# one that commits in the middle of a window being handed out
my @middle = emit(2);
push @middle, sql("BEGIN; SELECT fn_iu_emit_event('version_applied', 'middle', gen_random_uuid(), 'tester'); PREPARE TRANSACTION 'middle'");
push @middle, emit(2);
my @window = claim($one, 1);
sql("COMMIT PREPARED 'middle'");
push @window, claim($one, 1) for 1 .. 6;
is(ids(@window), ids(@middle), 'a commit into a window under way is delivered, once');
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
is(scalar keys %got, 5000, 'two senders carry the backlog');
is(scalar(grep { $_ != 1 } values %got), 0, 'nothing twice');
ask($two, "BEGIN; SELECT 1 FROM iu_route_position WHERE route_code = '$route' FOR UPDATE");
emit(1);
is(scalar claim($one, 10), 0, 'a position that another claim holds is passed over');
ask($two, 'COMMIT');
is(record($one, [ claim($one, 10) ], 'sent'), 1, 'and comes with the next claim');

# ---- held
my $was = position();
close_gate();
my ($held) = emit(1);
is(scalar claim($one, 10), 0, 'closed gate: nothing is claimed');
is(position(), $was, 'and the position does not move');
is(code($route, $held), 'delivery_gate_closed', 'explained');
is(sql("SELECT code, held FROM v_iu_route_held"), 'delivery_gate_closed|1', 'and shown');
open_gate();
my @open = claim($one, 10);
is($open[0]{event_id}, $held, 'reopened, it goes out');
is(record($one, \@open, 'held', ',"failure_code":"delivery_gate_closed"'), 0, 'given back by a sender: no attempt');
sql("SELECT fn_iu_switch_set('iu_core.route_worker_enabled', 'false', 'tester', 'test')");
is(sql('SELECT iu.fn_iu_delivery_next_due() IS NULL'), 't', 'what is held is not due');
is(code($route, $held), 'worker_gate_closed', 'explained: the switch');
sql("SELECT fn_iu_switch_set('iu_core.route_worker_enabled', 'true', 'tester', 'test')");
is(sql('SELECT iu.fn_iu_delivery_next_due() <= clock_timestamp()'), 't', 'open again, it is');
sql("SELECT fn_iu_route_disallow('$route', 'tester', 'test')");
is(scalar claim($one, 10), 0, 'off the allowlist: nothing');
sql("SELECT fn_iu_route_allow('$route', 'tester', 'test')");
$node->append_conf('postgresql.conf', "iu_core.allowed_origins = 'http://127.0.0.1:10'");
$node->reload;
$node->poll_query_until('postgres', "SELECT iu_core.egress_refusal('http://127.0.0.1:9/') IS NOT NULL");
is(code($route, $held), 'origin_not_allowed', 'explained: the origin');
is(scalar claim($two, 10), 0, 'origin taken away: nothing');
$node->append_conf('postgresql.conf', "iu_core.allowed_origins = 'http://127.0.0.1:9'");
$node->reload;
$node->poll_query_until('postgres', "SELECT iu_core.egress_refusal('http://127.0.0.1:9/') IS NULL");
ask($one, 'SELECT 1'); # a session takes a reload between statements
@open = claim($one, 10);
is("$open[0]{event_id} $open[0]{attempt_no}", "$held 1", 'all open again: the same attempt goes out');
record($one, \@open, 'sent');

# ---- failures
my ($failing) = emit(1);
my @try = claim($one, 10);
is(record($one, \@try, 'failed', ',"failure_code":"connect_failed","failure_detail":"refused"'), 1, 'a failed attempt is recorded');
is(sql("SELECT attempt_no, reason, due_at - clock_timestamp() BETWEEN '3.5 s' AND '5 s' FROM iu_route_retry"), '2|connect_failed|t', 'and tried again after 5 s, less jitter');
is(sql('SELECT iu.fn_iu_delivery_next_due() = (SELECT due_at FROM iu_route_retry)'), 't', 'which the sender sleeps until');
is(code($route, $failing), 'waiting_retry', 'explained');
is(scalar claim($one, 10), 0, 'not before');
sub due { sql("UPDATE iu_route_retry SET due_at = clock_timestamp()"); return claim($one, 10); }
@try = due();
is("$try[0]{attempt_no} $try[0]{webhook_id}", '2 ' . sql("SELECT idempotency_key FROM iu_route_attempt WHERE event_ref = '$failing'"), 'the second attempt has the same webhook-id');
record($one, \@try, 'failed', ',"http_status":429,"retry_after":120');
is(sql("SELECT reason, due_at - clock_timestamp() BETWEEN '119 s' AND '120 s' FROM iu_route_retry"), 'http_429|t', '429: Retry-After is obeyed');
sql("UPDATE iu_route_retry SET attempt_no = 1");
record($one, [ due() ], 'failed', ',"http_status":429,"retry_after":0');
is(sql("SELECT due_at - clock_timestamp() BETWEEN '3.5 s' AND '5 s' FROM iu_route_retry"), 't', 'but never sooner than by the backoff');
sql("UPDATE iu_route_retry SET attempt_no = 3");
record($one, [ due() ], 'failed', ',"http_status":503,"retry_after":999999999');
is(sql("SELECT due_at - clock_timestamp() <= '1 day' FROM iu_route_retry"), 't', 'but not for ever');
record($one, [ due() ], 'failed', ',"http_status":500,"retry_after":7200');
is(sql("SELECT due_at - clock_timestamp() BETWEEN '30 s' AND '40 s' FROM iu_route_retry"), 't', '500: the backoff doubled to 40 s, whatever it asks for');
record($one, [ due() ], 'failed', ',"http_status":302');
record($one, [ due() ], 'failed', ',"failure_code":"timed_out"');
record($one, [ due() ], 'failed', ',"failure_code":"timed_out"');
is(sql('SELECT count(*) FROM v_iu_route_dead_letter_open'), '0', 'seven attempts: not given up');
record($one, [ due() ], 'failed', ',"failure_code":"timed_out","failure_detail":"no answer in 10000 ms"');
is(sql("SELECT attempts, failure_code, event_snapshot ->> 'id' FROM v_iu_route_dead_letter_open"), "8|timed_out|$failing", 'eight: a dead letter with the event');
is(sql('SELECT count(*) FROM iu_route_retry'), '0', 'no ninth');
is(code($route, $failing), 'dead_letter', 'explained');
my ($large) = emit(1);
record($one, [ claim($one, 10) ], 'failed', ',"failure_code":"request_too_large"');
is(code($route, $large), 'dead_letter', 'what cannot differ next time is given up at once');

# ---- 410
my ($gone) = emit(1);
record($one, [ claim($one, 10) ], 'failed', ',"http_status":410');
is(sql("SELECT enabled, disabled_reason FROM iu_outbound_route"), 'f|the receiver answered 410 (gone)', '410 disables the route');
is(code($route, $gone), 'route_disabled', 'and holds the event');
is(sql("SELECT count(*) FROM dot_iu_command_run WHERE command_name = 'dot_iu_route_gone'"), '1', 'which is logged');
is(scalar claim($one, 10), 0, 'nothing is claimed');
sql("SELECT fn_iu_route_resume('$route', 'tester', 'test')");
@try = claim($one, 10);
is("$try[0]{event_id} $try[0]{attempt_no}", "$gone 2", 'resumed, it is tried again');
record($one, \@try, 'sent');

# ---- limits of a route
sql("UPDATE iu_outbound_route SET max_in_flight = 5");
emit(12);
my @five = claim($one, 100);
is(scalar @five, 5, 'no more under way than max_in_flight');
is(scalar claim($one, 100), 0, 'not with the next claim either');
is(sql('SELECT iu.fn_iu_delivery_next_due() > clock_timestamp()'), 't', 'a full route is not due at once');
record($one, \@five, 'sent');
is(record($one, [ claim($one, 100) ], 'sent'), 5, 'the next five after these');
record($one, [ claim($one, 100) ], 'sent');
sql("UPDATE iu_outbound_route SET max_in_flight = 10000");

# ---- other types, restricted payloads
sql("SELECT fn_iu_emit_event('structure_op_applied', 'x', gen_random_uuid(), 'tester')");
sql(q{INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane, event_subject_table, event_subject_ref, source_system, payload_classification)
      VALUES ('iu', 'version_applied', 'update', 'immediate', 'information_unit', 'r', 'test', 'restricted')});
is(scalar claim($one, 100), 0, 'neither another type nor a restricted payload goes out');
is(code($route, sql("SELECT id FROM event_outbox WHERE payload_classification = 'restricted'")), 'payload_restricted', 'explained');

# ---- by hand
is(sql("SELECT fn_iu_route_deliver('$route', '$before[1]') ->> 'status'"), 'handed_over', 'an event from before the arming is handed over');
is(sql("SELECT fn_iu_route_deliver('$route', '$before[1]') ->> 'status'"), 'already_queued', 'once');
my @hand = claim($one, 10);
is($hand[0]{event_id}, $before[1], 'and claimed');
record($one, \@hand, 'sent');
is(sql("SELECT fn_iu_route_deliver('$route', '$before[1]') ->> 'status'"), 'already_attempted', 'and not sent twice');
is(sql("SELECT fn_iu_route_deliver('$route', '$gone') ->> 'status'"), 'already_attempted', 'nor is what went its way');
my ($ahead) = emit(1);
is(sql("SELECT fn_iu_route_deliver('$route', '$ahead') ->> 'status'"), 'already_queued', 'what is ahead of the position is not handed over');
is(record($one, [ claim($one, 10) ], 'sent'), 1, 'since it comes by itself');

# ---- arming again, and within one transaction with an emission
sql("SELECT fn_iu_route_pause('$route', 'tester', 'test')");
my ($paused) = emit(1);
is(code($route, $paused), 'route_disabled', 'paused: held');
like(sql("SELECT fn_iu_route_arm('$route', 'tester', 'test', '-infinity', '1 hour')"), qr/"owed": 2\b/, 'armed from an hour ago: what was never attempted is owed');
is(ids(my @owed = claim($one, 100)), ids($before[0], $paused), 'and nothing else goes out');
record($one, \@owed, 'sent');
sql("SELECT fn_iu_route_pause('$route', 'tester', 'test')");
ask($two, 'BEGIN; SELECT pg_current_xact_id()');
sql('SELECT pg_current_xact_id()') for 1 .. 3;
ask($two, "SELECT fn_iu_route_arm('$route', 'tester', 'test')");
my ($same) = emit(1, $two);
sql('SELECT pg_current_xact_id()') for 1 .. 3;
ask($two, 'COMMIT');
is(ids(my @same = claim($one, 100)), $same, 'an event of the arming transaction is delivered');
record($one, \@same, 'sent');
is(scalar claim($one, 100), 0, 'once');

# one that is armed again while a claim is under way
ask($two, "BEGIN; SELECT 1 FROM iu_route_position WHERE route_code = '$route' FOR NO KEY UPDATE");
sql("SELECT fn_iu_route_pause('$route', 'tester', 'test')");
my $arming = $node->background_psql('postgres');
$arming->query_until(qr/arming/, "\\echo arming\nSELECT fn_iu_route_arm('$route', 'tester', 'test');\n");
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%fn_iu_route_arm%')");
my ($between) = emit(1);
ask($two, 'COMMIT');
$arming->quit;
is(scalar(claim($one, 100)), 0, 'an arming that waits for a claim starts after it');
sql("SELECT fn_iu_route_deliver('$route', '$between')");
record($one, [ claim($one, 1) ], 'sent');

# ---- what a server that logs everything knows of a secret
my $lacks_plans = IU::Cluster->lacks_module('auto_explain');
my $load = $lacks_plans ? '' : "LOAD 'auto_explain';";
($status, $out, $err) = $node->psql('postgres', "$load SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;
	SET auto_explain.log_verbose = on; SET auto_explain.log_analyze = on; SET debug_print_plan = on; SET client_min_messages = log;
	SELECT fn_iu_route_secret_add('logged', 'tester', 'test')");
like($out, qr/whsec_[\w+\/]{42}/, 'a secret is made and told');
SKIP: {
	skip $lacks_plans, 1 if $lacks_plans;
	like($err, qr/Insert on public.iu_route_secret/, 'though plans are logged');
}
unlike($err, qr/whsec_[\w+\/]{8}/, 'it is in none of them');

# ---- a copy in another cluster, where every number of a transaction means something else
my @inflight = (emit(2));
my @leased = claim($one, 1);
sql(q{DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM fn_iu_emit_event('structure_op_applied', 'x', gen_random_uuid(), 'tester'); COMMIT; END LOOP; END $$});
my ($waiting) = emit(1);
my $copy = IU::Cluster->new_node('copy', %without_workers);
my $dump = $node->backup_dir . '.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'dumped');
$copy->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE template0');
$copy->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $copy->connstr('copy'), '-f', $dump ], 'restored');
sub csql { return $copy->safe_psql('copy', $_[0]); }
cmp_ok(csql('SELECT max(emitted_xid) FROM event_outbox'), '>', csql('SELECT pg_current_xact_id()'), 'the copy is younger than its events');
is(csql('SELECT count(*) FROM event_outbox'), sql('SELECT count(*) FROM event_outbox'), 'the restore emitted nothing');
csql("SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'tester', 'test')");
csql("SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'tester', 'test', 3600)");
my $there = session($copy, 'copy');
is(scalar claim($there, 1000), 0, 'in a copy nothing is claimed');
is(csql("SELECT code, held FROM v_iu_route_held"), 'position_foreign|3', 'and it says so');
like(csql("SELECT next_action FROM v_iu_route_held"), qr/fn_iu_route_confirm_position/, 'and what to do');
like(csql("SELECT fn_iu_route_confirm_position('$route', 'tester', 'test')"), qr/"owed": 2,.*"leases": 1/s, 'confirmed: what is owed');
my @copied = claim($there, 1000);
is(ids(@copied), ids(@inflight, $waiting), 'goes out, the lease included');
record($there, \@copied, 'sent');
my $fresh = csql("SELECT fn_iu_emit_event('version_applied', 'copy', gen_random_uuid(), 'tester')");
is(ids(my @fresh = claim($there, 1000)), $fresh, 'what is emitted in the copy follows');
record($there, \@fresh, 'sent');
csql(q{DO $$ BEGIN FOR i IN 1..6000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$});
$fresh = csql("SELECT fn_iu_emit_event('version_applied', 'copy', gen_random_uuid(), 'tester')");
is(ids(claim($there, 10000)), $fresh, 'the clock of transactions passing the restored ones wakes none of them');

$_->{psql}->quit for $one, $two, $there;
$copy->stop;
$node->stop;
done_testing();
