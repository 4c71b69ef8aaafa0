# Dead letters and dry runs with the real sender: what fails for good arrives
# when it is replayed, at the rate asked for; what a dry run recorded is what is
# sent later, to the byte; passes by hand and by the sender do nothing twice.
use strict;
use warnings;

use IU::Peer;
use IU::Cluster;
use IU::Gate;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Peer->start('receiver');
my $node = IU::Cluster->init_node('deadletters', {}, max_prepared_transactions => 2,
	'iu_core.allowed_origins' => $receiver->url, 'iu_core.allowed_networks' => '127.0.0.0/8');
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub json { return decode_json(sql($_[0])) }
sub becomes { my ($query, $name) = @_; return ok($node->poll_query_until('postgres', $query), $name) }
sub emit { my ($count, $type) = @_; return split(/\n/, sql("SELECT fn_iu_emit_event('$type', 'A/' || n, gen_random_uuid(), 'tester', jsonb_build_object('n', n, 'word', U&'caf\\00e9')) FROM generate_series(1, $count) n")) }
sub attempts { my ($route, $status) = @_; return "(SELECT count(*) FROM iu_route_attempt WHERE route_code = '$route' AND status = '$status')" }

sub add_route
{
	my ($route, $type) = @_;
	sql("SELECT fn_iu_route_add('$route', '$type', '" . $receiver->url . "/$route', 'tester', 'test',
	  p_retry_policy => '{\"max_attempts\": 1}')");
	$receiver->control('secret', { path => "/$route", secrets => [ sql("SELECT secret FROM iu_route_secret WHERE secret_ref = '$route'") ] });
	return;
}

sub arm { my ($route, $more) = @_; return sql("SELECT fn_iu_route_allow('$route', 'tester', 'test'); SELECT fn_iu_route_arm('$route', 'tester', 'test'" . ($more // '') . ')') }

IU::Cluster->install($node);
sql("SELECT fn_iu_switch_set(k, 'true', 'tester', 'test') FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k");
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
add_route('hook', 'version_applied');
arm('hook');

note 'given up, and replayed';
$receiver->fault({ path => '/hook', status => 500 });
my ($event) = emit(1, 'version_applied');
becomes('SELECT count(*) = 1 FROM v_iu_route_dead_letter_open', 'what fails for good is a dead letter');
my $letter = sql('SELECT id FROM v_iu_route_dead_letter_open');
$receiver->heal;
my $replay = json("SELECT fn_iu_route_dead_letter_replay('$letter')");
is("$replay->{status} $replay->{decision}", 'replayed handed_over', 'replayed');
becomes('SELECT ' . attempts('hook', 'sent') . ' = 1', 'it goes out');
my @seen = $receiver->requests('/hook');
is(scalar @seen, 2, 'two requests in all');
is($seen[1]{headers}{'webhook-id'}, $replay->{webhook_id}, 'the second under the webhook-id that the replay told');
isnt($seen[0]{headers}{'webhook-id'}, $seen[1]{headers}{'webhook-id'}, 'which is not that of the first');
is($seen[1]{body}, $seen[0]{body}, 'with the same bytes');
is($seen[1]{signature}, 'valid', 'signed');
is(sql("SELECT concat_ws(' ', replay_number, attempt_no, status) FROM iu_route_attempt WHERE route_code = 'hook' ORDER BY id"), "0 1 failed\n1 1 sent", 'the attempts say which is which');
is(sql("SELECT concat_ws(' ', state, replayed_as, replay_state) FROM v_iu_route_dead_letter"), 'replayed 1 delivered', 'so does the lineage');
is(json("SELECT fn_iu_route_dead_letter_replay('$letter')")->{status}, 'already_replayed', 'it is not replayed again');
is(sql("SELECT fn_iu_route_explain('hook', '$event') ->> 'code'"), 'delivered', 'and explained as delivered');

note 'two who replay the same one';
$receiver->fault({ path => '/hook', status => 500 });
emit(1, 'version_applied');
becomes('SELECT count(*) = 1 FROM v_iu_route_dead_letter_open', 'another dead letter');
$receiver->heal;
$letter = sql('SELECT id FROM v_iu_route_dead_letter_open');
my ($one, $two) = map { $node->background_psql('postgres') } 1 .. 2;
my $first = decode_json($one->query_safe("BEGIN; SELECT fn_iu_route_dead_letter_replay('$letter')"));
$two->query_until(qr/asked/, "\\echo asked\nSELECT 'second ' || (fn_iu_route_dead_letter_replay('$letter') ->> 'status');\n");
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%second%dead_letter_replay%')", 'the second waits for the first');
$one->query_safe('COMMIT');
like($two->query_safe("SELECT 'done'"), qr/second already_replayed/, 'and finds that it was done');
is($first->{status}, 'replayed', 'by the first');
becomes('SELECT ' . attempts('hook', 'sent') . ' = 2', 'it arrives');
is(scalar $receiver->requests('/hook'), 4, 'once');
$_->quit for $one, $two;

note 'many, spread over time';
$receiver->fault({ path => '/hook', status => 500 });
emit(12, 'version_applied');
becomes('SELECT count(*) = 12 FROM v_iu_route_dead_letter_open', 'a dozen dead letters');
$receiver->heal;
my $many = json("SELECT fn_iu_route_dead_letter_replay_many('tester', 'mended', 'hook', p_per_second => 20)");
is("$many->{matched} $many->{replayed} $many->{remaining}", '12 12 0', 'replayed by route');
becomes('SELECT ' . attempts('hook', 'sent') . ' = 14', 'all arrive');
is(sql("WITH letter AS (SELECT event_ref, row_number() OVER (ORDER BY created_at, id) - 1 AS n FROM iu_route_dead_letter WHERE resolution = 'replayed: mended')
	SELECT count(*) || ' ' || bool_and(a.started_at >= '$many->{first_due_at}'::timestamptz + l.n * interval '50 ms')
	  FROM letter l JOIN iu_route_attempt a ON a.event_ref = l.event_ref AND a.replay_number = 1"), '12 true', 'none before it was due');
is(sql("SELECT '$many->{last_due_at}'::timestamptz - '$many->{first_due_at}'::timestamptz"), '00:00:00.55', 'which they were one after the other');
is(scalar(grep { ($_->{signature} // '') eq 'valid' } $receiver->requests('/hook')), 14, 'all signed');
is(sql('SELECT count(DISTINCT idempotency_key) = count(*) FROM iu_route_attempt'), 't', 'each under a webhook-id of its own');

note 'dry runs, made by the sender';
add_route('twin', 'structure_op_applied');
sql("SELECT fn_iu_route_dry_run('twin', 'tester', 'test')");
my @dry = emit(3, 'structure_op_applied');
becomes('SELECT ' . attempts('twin', 'dry_run') . ' = 3', 'a dry run is made of each event');
is(scalar $receiver->requests('/twin'), 0, 'and nothing is sent');
is(sql("SELECT string_agg(DISTINCT payload_snapshot -> 'headers' ->> 'webhook-signature', ',') FROM iu_route_attempt WHERE route_code = 'twin'"), 'present: 1', 'it would be signed');
is(json("SELECT fn_iu_route_worker_run('iu_outbound_default', 100)")->{attempts_written}, 0, 'a pass by hand finds it done');

sql("BEGIN; SELECT fn_iu_emit_event('structure_op_applied', 'late', gen_random_uuid(), 'tester'); PREPARE TRANSACTION 'late'");
emit(2, 'structure_op_applied');
becomes('SELECT ' . attempts('twin', 'dry_run') . ' = 5', 'a transaction that stays open stalls nobody');
sql("COMMIT PREPARED 'late'; SELECT iu_core.wake()");
becomes('SELECT ' . attempts('twin', 'dry_run') . ' = 6', 'a late commit is not passed over');

# By hand and by the sender at the same time.
emit(400, 'structure_op_applied');
my %by_hand = (dry_run => 0);
for (1 .. 100)
{
	my $pass = json("SELECT fn_iu_route_worker_run('iu_outbound_default', 25)");
	$by_hand{dry_run} += $pass->{dry_run};
	last if $pass->{status} eq 'ran' && !$pass->{more};
}
becomes('SELECT ' . attempts('twin', 'dry_run') . ' = 406', 'passes by hand and by the sender: all are made');
note "$by_hand{dry_run} of them by hand";
is(sql("SELECT count(DISTINCT event_ref) FROM iu_route_attempt WHERE route_code = 'twin'"), '406', 'each once');
is(sql("SELECT attempts_written FROM iu_route_worker_cursor WHERE worker_name = 'iu_outbound_default'"), '406', 'as the cursor says');
is(sql("SELECT fn_iu_route_worker_health() -> 'healthy'"), 'true', 'healthy');

note 'and then for real';
arm('twin', ", '-infinity', '1 hour'");
becomes('SELECT ' . attempts('twin', 'sent') . ' = 406', 'armed from before: what was only a dry run is owed, and sent');
my %sent = map { $_->{headers}{'webhook-id'} => $_ } $receiver->requests('/twin');
my $differs = 0;
for my $dry (@{ json("SELECT json_agg(payload_snapshot) FROM iu_route_attempt WHERE route_code = 'twin' AND status = 'dry_run'") })
{
	my $real = $sent{ $dry->{webhook_id} } or do { $differs++; next };
	my %would = %{ $dry->{headers} };
	my %did = %{ $real->{headers} };
	delete $_->{'webhook-timestamp'} for \%would, \%did; # the same, if it was the same second
	my $differing = join ' ', grep { ($would{$_} // '') ne ($did{$_} // '') } sort keys %{ { %would, %did } };
	$differs++ unless $dry->{body} eq $real->{body} && $dry->{url} eq $receiver->url . '/twin' && $real->{method} eq $dry->{method}
	  && $differing eq 'accept host webhook-signature';
}
is($differs, 0, 'the very bytes and headers, but time and signature, and what follows from the URL');
like((values %sent)[0]{body}, qr/caf\x{e9}/, 'in UTF-8');
is(sql("SELECT string_agg(DISTINCT attempt_no::text, ',') FROM iu_route_attempt WHERE route_code = 'twin' AND status = 'sent'"), '1', 'a dry run took no attempt away');
emit(1, 'structure_op_applied');
becomes('SELECT ' . attempts('twin', 'sent') . ' = 407', 'what comes then is sent');
is(json("SELECT fn_iu_route_worker_run('iu_outbound_default', 100)")->{dry_run}, 0, 'and no dry run is made of it');
is(sql('SELECT ' . attempts('twin', 'dry_run')), '406', 'by nobody');

note 'health, when the sender does not get on';
my $lock = $node->background_psql('postgres');
$lock->query_safe("BEGIN; SELECT FROM iu_route_position FOR UPDATE");
emit(1, 'version_applied');
becomes("SELECT fn_iu_route_worker_health('iu_outbound_default', 1) -> 'stuck_routes' -> 0 ->> 'route_code' = 'hook'", 'due for a second, and nothing moves: red');
$lock->query_safe('COMMIT');
$lock->quit;
sql('SELECT iu_core.wake()');
becomes('SELECT ' . attempts('hook', 'sent') . ' = 15', 'it moves');
is(sql("SELECT fn_iu_route_worker_health('iu_outbound_default', 1) ->> 'healthy'"), 'true', 'green');
is(sql("SELECT concat_ws(' ', mode, waiting, in_flight, failed_1h, p50_ms <= p95_ms, dead_letters_open, held_code) FROM v_iu_route_health WHERE route_code = 'hook'"),
	'live 0 0 14 t 0', 'and the route shows it');

note 'retention beside work';
add_route('archive', 'collection_created');
my $old = sql(q{INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane, event_subject_table, event_subject_ref, source_system, created_at)
	VALUES ('iu', 'collection_created', 'update', 'delayed', 'iu_piece_collection', 'old', 'test', now() - interval '400 days') RETURNING id});
arm('archive');
sql("SELECT fn_iu_core_retention_policy_set('event_outbox', 365, 'tester', 'test')");
IU::Gate->open($node, 'iu_core.retention_enabled', 600);
my $cleanup = "SELECT rows_eligible || ' ' || rows_deleted FROM fn_iu_core_retention_cleanup('tester', false)";
my $hand = $node->background_psql('postgres');
$hand->query_safe("BEGIN; SELECT fn_iu_route_deliver('archive', '$old')");
is(sql($cleanup), '1 0', 'what somebody hands over at the same time is left alone');
$hand->query_safe('COMMIT');
$hand->quit;
becomes('SELECT ' . attempts('archive', 'sent') . ' = 1', 'and goes out');
is(sql($cleanup), '1 1', 'then it may go');
is(sql("SELECT count(*) FROM event_outbox WHERE id = '$old'"), '0', 'and is gone');

note 'a receiver that moves while an attempt waits for an hour';
sql("SELECT fn_iu_switch_set(k, 'true', 'tester', 'test') FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k");
add_route('mover', 'collection_exported');
sql(q(SELECT fn_iu_route_set('mover', 'tester', 'test', p_retry_policy => '{"max_attempts": 5, "base_s": 3600, "jitter": 0}')));
arm('mover');
$receiver->fault({ path => '/mover', status => 500 });
emit(1, 'collection_exported');
becomes('SELECT ' . attempts('mover', 'failed') . ' = 1', 'the first attempt fails');
sql("SELECT fn_iu_route_pause('mover', 'tester', 'test'); SELECT fn_iu_route_set('mover', 'tester', 'test', '" . $receiver->url . "/moved'); SELECT fn_iu_route_resume('mover', 'tester', 'test')");
is(json("SELECT fn_iu_route_retry_now('mover', 'tester', 'test')")->{retries}, 1, 'made due');
becomes('SELECT ' . attempts('mover', 'sent') . ' = 1', 'it goes out at once');
is(join(' ', map { $_->{headers}{'webhook-id'} } $receiver->requests('/moved')), sql("SELECT DISTINCT idempotency_key FROM iu_route_attempt WHERE route_code = 'mover'"), 'to the new place, as the same delivery');

$node->stop;
$receiver->stop;
done_testing();
