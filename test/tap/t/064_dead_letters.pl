# Dead letters and dry runs with the real sender: what fails for good arrives
# when it is replayed, at the rate asked for; what a dry run recorded is what is
# sent later, to the byte; passes by hand and by the sender do nothing twice.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Peer;
use IU::Routes;
use IU::SQL;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Peer->start('receiver');
my $node = IU::Cluster->init_node('deadletters', { installed => 1 }, max_prepared_transactions => 2,
	'iu_core.allowed_origins' => $receiver->url, 'iu_core.allowed_networks' => '127.0.0.0/8');
$node->start;

talk_to($node);

sub json { return decode_json(sql($_[0])) }
sub happen
{
	my ($count, $type) = @_;
	return emit($count, type => $type, payload => q(jsonb_build_object('n', n, 'word', U&'caf\00e9')));
}

# Neither allowed nor armed; the receiver checks its signatures.
sub add
{
	my ($route, $type) = @_;
	my $secret = add_route($route, $receiver->url . "/$route", type => $type, retry => \%IU::Routes::ONCE,
		timeout_ms => 60000, idle => 1);
	$receiver->control('secret', { path => "/$route", secrets => [$secret] });
	return;
}

sub arm
{
	my ($route, $more) = @_;
	return sql("SELECT fn_iu_route_allow('$route', 'tester', 'test'); SELECT fn_iu_route_arm('$route', 'tester', 'test'"
		  . ($more // '') . ')');
}

IU::Cluster->install($node);
switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
add('hook', 'version_applied');
arm('hook');

note 'given up, and replayed';
$receiver->fault({ path => '/hook', status => 500 });
my ($event) = happen(1, 'version_applied');
becomes('SELECT count(*) = 1 FROM v_iu_route_dead_letter_open', 'a delivery that fails for good is a dead letter');
my $letter = sql('SELECT id FROM v_iu_route_dead_letter_open');
$receiver->heal;
my $replay = json("SELECT fn_iu_route_dead_letter_replay('$letter')");
is("$replay->{status} $replay->{decision}", 'replayed handed_over', 'a replay of a dead letter hands the event over');
becomes('SELECT ' . attempts('hook', 'sent') . ' = 1', 'the replayed event is sent');
my @seen = $receiver->requests('/hook');
is(scalar @seen, 2, 'a replayed event has arrived twice in all');
is($seen[1]{headers}{'webhook-id'}, $replay->{webhook_id},
	'the second request has the webhook-id that the replay told');
isnt($seen[0]{headers}{'webhook-id'}, $seen[1]{headers}{'webhook-id'},
	'the webhook-id of a replay is not that of the first delivery');
is($seen[1]{body}, $seen[0]{body}, 'a replay has the bytes of the first delivery');
is($seen[1]{signature}, 'valid', 'a replay is signed');
is(sql("SELECT concat_ws(' ', replay_number, attempt_no, status) FROM iu_route_attempt WHERE route_code = 'hook'"
	  . " ORDER BY id"), "0 1 failed\n1 1 sent", 'the attempts say which of them is the replay');
is(sql("SELECT concat_ws(' ', state, replayed_as, replay_state) FROM v_iu_route_dead_letter"), 'replayed 1 delivered',
	'the view of dead letters says that the letter was replayed, as what, and delivered');
is(json("SELECT fn_iu_route_dead_letter_replay('$letter')")->{status}, 'already_replayed',
	'a dead letter that was replayed is not replayed again');
is(sql("SELECT fn_iu_route_explain('hook', '$event') ->> 'code'"), 'delivered',
	'the explanation of a replayed event says that it is delivered');

note 'two who replay the same one';
$receiver->fault({ path => '/hook', status => 500 });
happen(1, 'version_applied');
becomes('SELECT count(*) = 1 FROM v_iu_route_dead_letter_open',
	'another delivery that fails for good is a dead letter');
$receiver->heal;
$letter = sql('SELECT id FROM v_iu_route_dead_letter_open');
my ($one, $two) = map { $node->background_psql('postgres') } 1 .. 2;
my $first = decode_json($one->query_safe("BEGIN; SELECT fn_iu_route_dead_letter_replay('$letter')"));
start_query($two, "SELECT 'second ' || (fn_iu_route_dead_letter_replay('$letter') ->> 'status')");
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE"
	  . " '%second%dead_letter_replay%')", 'a second session that replays the same letter waits for the first');
$one->query_safe('COMMIT');
like($two->query_safe("SELECT 'done'"), qr/second already_replayed/,
	'the second session is told that the letter was replayed');
is($first->{status}, 'replayed', 'the first session has replayed the letter');
becomes('SELECT ' . attempts('hook', 'sent') . ' = 2', 'the event of the letter that two sessions replay is sent');
is(scalar $receiver->requests('/hook'), 4, 'the event of the letter that two sessions replay arrives once more');
$_->quit for $one, $two;

note 'many, spread over time';
$receiver->fault({ path => '/hook', status => 500 });
happen(12, 'version_applied');
becomes('SELECT count(*) = 12 FROM v_iu_route_dead_letter_open',
	'a dozen deliveries that fail for good are dead letters');
$receiver->heal;
my $many = json("SELECT fn_iu_route_dead_letter_replay_many('tester', 'mended', 'hook', p_per_second => 20)");
is("$many->{matched} $many->{replayed} $many->{remaining}", '12 12 0',
	'twelve dead letters are replayed by their route');
becomes('SELECT ' . attempts('hook', 'sent') . ' = 14', 'twelve replayed events are sent');
is(sql("WITH letter AS (SELECT event_ref, row_number() OVER (ORDER BY created_at, id) - 1 AS n
	  FROM iu_route_dead_letter WHERE resolution = 'replayed: mended')
	SELECT count(*) || ' ' || bool_and(a.started_at >= '$many->{first_due_at}'::timestamptz + l.n * interval '50 ms')
	  FROM letter l JOIN iu_route_attempt a ON a.event_ref = l.event_ref AND a.replay_number = 1"), '12 true',
	'no replayed event is sent before it was due');
is(sql("SELECT '$many->{last_due_at}'::timestamptz - '$many->{first_due_at}'::timestamptz"), '00:00:00.55',
	'replayed events are due one after the other, at the rate that was asked for');
is(scalar(grep { ($_->{signature} // '') eq 'valid' } $receiver->requests('/hook')), 14,
	'every replayed event is signed');
is(sql('SELECT count(DISTINCT idempotency_key) = count(*) FROM iu_route_attempt'), 't',
	'every attempt has a webhook-id of its own');

note 'dry runs, made by the sender';
add('twin', 'structure_op_applied');
sql("SELECT fn_iu_route_dry_run('twin', 'tester', 'test')");
my @dry = happen(3, 'structure_op_applied');
becomes('SELECT ' . attempts('twin', 'dry_run') . ' = 3', 'the sender makes a dry run of each event');
is(scalar $receiver->requests('/twin'), 0, 'a dry run sends nothing');
is(sql("SELECT string_agg(DISTINCT payload_snapshot -> 'headers' ->> 'webhook-signature', ',') FROM iu_route_attempt"
	  . " WHERE route_code = 'twin'"), 'present: 1', 'a dry run says that a delivery would be signed');
is(json("SELECT fn_iu_route_worker_run('iu_outbound_default', 100)")->{attempts_written}, 0,
	'a pass by hand finds that the sender has made the dry runs');

sql("BEGIN; SELECT fn_iu_emit_event('structure_op_applied', 'late', gen_random_uuid(), 'tester'); PREPARE TRANSACTION"
	  . " 'late'");
happen(2, 'structure_op_applied');
becomes('SELECT ' . attempts('twin', 'dry_run') . ' = 5',
	'a transaction that stays open keeps no dry run from being made');
sql("COMMIT PREPARED 'late'; SELECT iu_core.wake()");
becomes('SELECT ' . attempts('twin', 'dry_run') . ' = 6', 'the event of a late commit gets its dry run');

# By hand and by the sender at the same time.
happen(400, 'structure_op_applied');
my %by_hand = (dry_run => 0);
for (1 .. 100)
{
	my $pass = json("SELECT fn_iu_route_worker_run('iu_outbound_default', 25)");
	$by_hand{dry_run} += $pass->{dry_run};
	last if $pass->{status} eq 'ran' && !$pass->{more};
}
becomes('SELECT ' . attempts('twin', 'dry_run') . ' = 406', 'passes by hand and by the sender make every dry run');
note "$by_hand{dry_run} of them by hand";
is(sql("SELECT count(DISTINCT event_ref) FROM iu_route_attempt WHERE route_code = 'twin'"), '406',
	'passes by hand and by the sender make each dry run once');
is(sql("SELECT attempts_written FROM iu_route_worker_cursor WHERE worker_name = 'iu_outbound_default'"), '406',
	'the cursor counts the dry runs that passes by hand and by the sender made');
becomes("SELECT fn_iu_route_worker_health() -> 'healthy'", 'true', 'health says that the worker of routes is healthy');

note 'and then for real';
arm('twin', ", '-infinity', '1 hour'");
becomes('SELECT ' . attempts('twin', 'sent') . ' = 406',
	'a route that is armed from before owes and sends what had a dry run only');
my %sent = map { $_->{headers}{'webhook-id'} => $_ } $receiver->requests('/twin');
my $differs = 0;
for my $dry (@{ json("SELECT json_agg(payload_snapshot) FROM iu_route_attempt WHERE route_code = 'twin'"
	  . " AND status = 'dry_run'") })
{
	my $real = $sent{ $dry->{webhook_id} } or do { $differs++; next };
	my %would = %{ $dry->{headers} };
	my %did = %{ $real->{headers} };
	delete $_->{'webhook-timestamp'} for \%would, \%did; # the same, if it was the same second
	my $differing = join ' ', grep { ($would{$_} // '') ne ($did{$_} // '') } sort keys %{ { %would, %did } };
	$differs++ unless $dry->{body} eq $real->{body} && $dry->{url} eq $receiver->url . '/twin'
		  && $real->{method} eq $dry->{method}
	  && $differing eq 'accept host webhook-signature';
}
is($differs, 0, 'what is sent is what the dry run recorded, but for time, signature and what follows from the URL');
like((values %sent)[0]{body}, qr/caf\x{e9}/, 'what is sent is in UTF-8');
is(sql("SELECT string_agg(DISTINCT attempt_no::text, ',') FROM iu_route_attempt WHERE route_code = 'twin'"
	  . " AND status = 'sent'"), '1', 'a dry run takes no attempt away');
happen(1, 'structure_op_applied');
becomes('SELECT ' . attempts('twin', 'sent') . ' = 407', 'what is emitted after the arming is sent');
is(json("SELECT fn_iu_route_worker_run('iu_outbound_default', 100)")->{dry_run}, 0,
	'a pass by hand makes no dry run of an armed route');
is(sql('SELECT ' . attempts('twin', 'dry_run')), '406', 'nobody makes a dry run of an armed route');

note 'health, when the sender does not get on';
my $lock = $node->background_psql('postgres');
$lock->query_safe("BEGIN; SELECT FROM iu_route_position FOR UPDATE");
happen(1, 'version_applied');
becomes("SELECT fn_iu_route_worker_health('iu_outbound_default', 1) -> 'stuck_routes' -> 0 ->> 'route_code' = 'hook'",
	'a route with a delivery that is due for a second and does not move is stuck');
$lock->query_safe('COMMIT');
$lock->quit;
sql('SELECT iu_core.wake()');
becomes('SELECT ' . attempts('hook', 'sent') . ' = 15', 'when nothing is in the way any more the delivery is sent');
becomes("SELECT fn_iu_route_worker_health('iu_outbound_default', 1) ->> 'healthy'", 'true',
	'when the delivery is sent the worker of routes is healthy');
becomes("SELECT concat_ws(' ', mode, waiting, in_flight, failed_1h, p50_ms <= p95_ms, dead_letters_open, held_code)"
	  . " FROM v_iu_route_health WHERE route_code = 'hook'",
	'live 0 0 14 t 0', 'the view of route health counts what is waiting, under way, failed and dead');

note 'retention beside work';
add('archive', 'collection_created');
my $old = sql(q{INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane, event_subject_table,
	  event_subject_ref, source_system, created_at)
	VALUES ('iu', 'collection_created', 'update', 'delayed', 'iu_piece_collection', 'old', 'test', now() - interval
	  '400 days') RETURNING id});
arm('archive');
sql("SELECT fn_iu_core_retention_policy_set('event_outbox', 365, 'tester', 'test')");
IU::Gate->open($node, 'iu_core.retention_enabled', 3600);
my $cleanup = "SELECT rows_eligible || ' ' || rows_deleted FROM fn_iu_core_retention_cleanup('tester', false)";
my $hand = $node->background_psql('postgres');
$hand->query_safe("BEGIN; SELECT fn_iu_route_deliver('archive', '$old')");
is(sql($cleanup), '1 0', 'an event that somebody hands over in an open transaction is not deleted');
$hand->query_safe('COMMIT');
$hand->quit;
becomes('SELECT ' . attempts('archive', 'sent') . ' = 1', 'the event that was handed over is sent');
is(sql($cleanup), '1 1', 'an event that was sent may be deleted');
is(sql("SELECT count(*) FROM event_outbox WHERE id = '$old'"), '0', 'the deleted event is gone');

note 'a receiver that moves while an attempt waits for an hour';
switches_on();
add('mover', 'collection_exported');
sql(q(SELECT fn_iu_route_set('mover', 'tester', 'test', p_retry_policy
	  => '{"max_attempts": 5, "base_s": 3600, "jitter": 0}')));
arm('mover');
$receiver->fault({ path => '/mover', status => 500 });
happen(1, 'collection_exported');
becomes('SELECT ' . attempts('mover', 'failed') . ' = 1',
	'the first attempt of a delivery whose retry is an hour away fails');
sql("SELECT fn_iu_route_pause('mover', 'tester', 'test'); SELECT fn_iu_route_set('mover', 'tester', 'test', '"
	  . $receiver->url . "/moved'); SELECT fn_iu_route_resume('mover', 'tester', 'test')");
is(json("SELECT fn_iu_route_retry_now('mover', 'tester', 'test')")->{retries}, 1,
	'the retry of a route is made due by hand');
becomes('SELECT ' . attempts('mover', 'sent') . ' = 1', 'the retry that was made due is sent at once');
is(join(' ', map { $_->{headers}{'webhook-id'} } $receiver->requests('/moved')),
	sql("SELECT DISTINCT idempotency_key FROM iu_route_attempt WHERE route_code = 'mover'"),
	"the retry goes to the receiver's new place, as the same delivery");

$node->stop;
$receiver->stop;
done_testing();
