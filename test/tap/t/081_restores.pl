# A server that is restored into its own place: to a time, an LSN, a name, as soon
# as it is consistent, to the end of the archive, from the backup alone, and from a
# dump over the database itself. What was closed and revoked after that point does
# not come back to life, what was under way waits, and health says so.
use strict;
use warnings;

use IU::Cluster;
use IU::Delivery;
use IU::Gate;
use IU::Sink;
use IU::SQL;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $delivery_gate = 'iu_core.delivery_enabled';
my $composer      = 'iu_core.composer_enabled';
my $sink = IU::Sink->start;
# A dump that is restored in one transaction locks each object that it drops and makes.
my %settings = ('iu_core.allowed_origins' => $sink->url, 'iu_core.allowed_networks' => '127.0.0.0/8',
	max_locks_per_transaction => 512);

my $node = IU::Cluster->init_node('original', { has_archiving => 1, allows_streaming => 1 }, %settings);
$node->start;
IU::Cluster->install($node);
talk_to($node);
sql('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE oscar LOGIN IN ROLE iu_core_operator');
my $delivery = IU::Delivery->new($node, $sink);
$delivery->live;
sql("SELECT fn_iu_gate_close('$delivery_gate', 'tester', 'test')");

sub standing
{
	return sql("SET SESSION AUTHORIZATION olga; SELECT fn_iu_gate_approval_grant('$delivery_gate', 'open', 3600,"
		  . " clock_timestamp() + '90 days', 'olga', 'test', p_kind => 'standing') ->> 'approval_id'");
}

my ($revoked, $kept) = (standing(), standing());
sql("SET SESSION AUTHORIZATION oscar; SELECT fn_iu_gate_open('$delivery_gate', '$revoked', 'oscar', 'test', 3600)");
IU::Gate->open($node, $composer, 3600);
$delivery->add_route('hook');
$delivery->emit(2);
$delivery->settle('hook');

# ---- Until the point, with deliveries under way

$sink->hold('/hook');
$delivery->emit(10);
ok($delivery->becomes('SELECT sum(item_count) = 10 FROM iu_route_lease'), 'ten deliveries are under way');
$node->backup('base');
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'postgres' ], 'a dump is made');
sql("SELECT pg_create_restore_point('the point')");
my $lsn = sql('SELECT pg_current_wal_insert_lsn()');
sql('SELECT pg_switch_wal()');
my $time = sql('SELECT clock_timestamp()');
sql('SELECT pg_sleep(0.01)');

# ---- After the point

$sink->heal;
ok($delivery->settle('hook'), 'they arrive');
is(sql("SELECT fn_iu_gate_approval_revoke('$revoked', 'olga', 'enough') ->> 'closed'"), 'true',
	'the standing approval is revoked and its gate closed');
is(IU::Gate->close($node, $composer), 'closed', 'another gate is closed by a person');
my $walfile = sql('SELECT pg_walfile_name(pg_switch_wal() - 1)');
$node->poll_query_until('postgres', "SELECT last_archived_wal >= '$walfile' FROM pg_stat_archiver")
  or die 'the WAL is not archived';
$node->stop;
my $arrived = $sink->count('/hook');

# ---- Restores

sub restored
{
	my ($name, %how) = @_;
	my $server = PostgreSQL::Test::Cluster->new($name);
	$server->init_from_backup($node, 'base', has_restoring => $how{signal} // 1, standby => 0);
	# Its own WAL does not go into the archive, so that each begins the second timeline.
	$server->append_conf('postgresql.conf', IU::Cluster::settings_text(archive_mode => 'off', %{ $how{target} // {} },
			$how{target} ? (recovery_target_action => 'promote') : ()));
	$server->start;
	$server->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'the recovery does not end';
	IU::Cluster->wait_for_worker($server, 'watchdog');
	talk_to($server);
	return $server;
}

sub looks_restored
{
	my ($server, $what, $detail) = @_;
	becomes("SELECT message ~ '^database \"postgres\": it was restored: $detail.*what was done"
		  . " after that point is lost'"
		  . ' FROM iu_core.health()', "$what: health says first to which point it was restored");
	is(sql('SELECT severity FROM iu_core.health()'), 2, "$what: health is critical");
	like(IU::Gate->state($server, $composer), qr/closed$/, "$what: a gate that a person closed afterwards is closed");
	ok(IU::Gate->wait_for_ledger($server, $composer, 'open watchdog_close'),
		"$what: the watchdog closes what was open at that point");
	like(IU::Gate->ledger($server, $delivery_gate), qr/ watchdog_close$/,
		"$what: the watchdog does not renew on an approval from before");
	becomes("SELECT code FROM v_iu_route_held WHERE route_code = 'hook'", 'place_not_confirmed',
		"$what: deliveries are held with a code that says why");
	is($sink->count('/hook'), $arrived, "$what: nothing is sent");
	return;
}

sub state_of { return sql("SELECT state FROM v_iu_gate_approval WHERE approval_id = '$_[0]'") }

my $server = restored('to_a_time', target => { recovery_target_time => $time });
looks_restored($server, 'to a time', 'timeline 2, after 1 at [0-9A-F/]+ .before ');
is(state_of($revoked), 'foreign', 'to a time: an approval that was revoked afterwards is worth nothing');
like(error_of("SELECT fn_iu_gate_open('$delivery_gate', '$revoked', 'oscar', 'test', 60)", user => 'oscar'),
	qr/IU101: approval .* was granted in another place/, 'to a time: nobody opens on it');
is(sql("SELECT r ->> 'began' || ' ' || (r ->> 'approvals') FROM fn_iu_place_confirm('olga', 'restored, heads compared',"
	  . " ARRAY['$kept'::uuid]) r"), 'restore 1', 'to a time: an operator confirms the place and one of the approvals');
becomes('SELECT status FROM iu_core.health()', 'OK', 'to a time: health is well again');
is(sql('SELECT alarm IS NULL FROM iu.fn_iu_gate_troubles()'), 't',
	'to a time: what was open before the restore, and was not confirmed, is no problem of health');
is(state_of($kept) . ' ' . state_of($revoked), 'valid foreign',
	'to a time: the approval that was named is valid, and the other is not');
like(IU::Gate->state($server, $delivery_gate), qr/closed$/,
	'to a time: the gate that stood open on the other approval stays closed');
sql("SELECT fn_iu_gate_open('$delivery_gate', gen_random_uuid(), 'olga', 'test', 600)");
becomes("SELECT code FROM v_iu_route_held WHERE route_code = 'hook'", 'position_foreign',
	'to a time: with the gate open deliveries wait for a word on their route');
is($sink->count('/hook'), $arrived, 'to a time: nothing was sent so far');
sql("SELECT fn_iu_route_confirm_position('hook', 'olga', 'whatever arrives twice has the same id')");
ok($sink->wait_for('/hook', $arrived + 10), 'to a time: after that what was under way is sent once more');
my $in_server = IU::Delivery->new($server, $sink);
$in_server->emit(1);
ok($in_server->settle('hook'), 'to a time: and what is emitted from now on');
my %ids;
$ids{ $_->[0] }++ foreach $sink->arrived('/hook');
is(scalar(grep { $_ > 1 } values %ids), 10, 'to a time: what arrived twice did so under the same ids');
$server->stop;
$arrived = $sink->count('/hook');

$server = restored('to_an_lsn', target => { recovery_target_lsn => $lsn });
looks_restored($server, 'to an LSN', 'timeline 2, after 1 at [0-9A-F/]+ .(before|after) LSN');
my $left = sql("SELECT r #>> '{routes,0,left}'"
	  . " FROM fn_iu_place_confirm('olga', 'they arrived before', '{}', 'leave') r");
is($left, 10, 'to an LSN: what was under way can be left, as dead letters');
sql("SELECT fn_iu_gate_open('$delivery_gate', gen_random_uuid(), 'olga', 'test', 600)");
$in_server = IU::Delivery->new($server, $sink);
$in_server->emit(1);
ok($sink->wait_for('/hook', $arrived + 1), 'to an LSN: what is emitted from now on is sent');
is($sink->count('/hook'), $arrived + 1, 'to an LSN: and nothing else');
is(sql("SELECT DISTINCT failure_code FROM iu_route_dead_letter"), 'left_after_restore',
	'to an LSN: the dead letters say why they are some');
$server->stop;
$arrived = $sink->count('/hook');

$server = restored('to_a_name', target => { recovery_target_name => 'the point' });
looks_restored($server, 'to a name', 'timeline 2, after 1 at [0-9A-F/]+ .at restore point "the point"');
sql("SELECT fn_iu_place_confirm('olga', 'again, please', ARRAY['$revoked'::uuid], 'send')");
becomes("SELECT iu_core.gate_is_open('$delivery_gate')", 't',
	'to a name: where the approval is confirmed on which a gate stood open, the watchdog opens it again');
ok($sink->wait_for('/hook', $arrived + 10), 'to a name: what was under way can be sent by the same call');
# restarted before and after: what was confirmed stays so
$server->restart;
becomes('SELECT status FROM iu_core.health()', 'OK', 'to a name: a restart does not ask again');
$server->stop;
$arrived = $sink->count('/hook');

$server = restored('immediate', target => { recovery_target => 'immediate' });
looks_restored($server, 'immediate', 'timeline 2, after 1 at [0-9A-F/]+ .reached consistency');
$server->restart;
looks_restored($server, 'immediate, and restarted', 'timeline 2, after 1 at [0-9A-F/]+ .reached consistency');
$server->stop;

$server = restored('to_the_end');
becomes("SELECT message ~ 'it was restored: timeline 2, after 1 at .*no recovery target specified' FROM"
	  . ' iu_core.health()', 'to the end of the archive: health says that it was restored');
is(state_of($revoked), 'revoked', 'to the end of the archive: what was revoked is');
is(state_of($kept), 'foreign', 'to the end of the archive: what was not waits for a word');
is($sink->count('/hook'), $arrived, 'to the end of the archive: nothing is sent');
$server->stop;

$server = restored('from_the_backup', signal => 0);
looks_restored($server, 'from the backup alone, which begins no timeline', 'timeline 1');
$server->restart;
looks_restored($server, 'from the backup alone, and restarted', 'timeline 1');
sql("SELECT fn_iu_place_confirm('olga', 'restored')");
becomes('SELECT status FROM iu_core.health()', 'OK', 'from the backup alone: one call, and health is well again');
$server->stop;

# ---- A dump, over the database from which it was made

$node->start;
IU::Cluster->wait_for_worker($node, 'watchdog');
talk_to($node);
IU::Gate->close($node, $delivery_gate);
is(sql("SELECT count(*) FROM dot_config WHERE value = 'true' AND key IN ('$delivery_gate', '$composer')"), 0,
	'every gate is closed');
IU::Cluster->reload($node, 'iu_core.databases' => '');
wait_until("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type ~ '^iu_core (watchdog|sender|runner)')");
{
	local $ENV{PGOPTIONS} = '-c iu_core.allow_removal=on';
	$node->command_ok([ 'pg_restore', '--clean', '--if-exists', '--single-transaction', '-d', 'postgres', $dump ],
		'the dump is restored over its database');
}
IU::Cluster->reload($node, 'iu_core.databases' => 'postgres');
like(IU::Gate->state($node, $composer), qr/closed$/, 'a gate that was open when the dump was made reads closed');
becomes("SELECT message ~ '^database \"postgres\": this is a copy: it was restored from a dump' FROM iu_core.health()",
	'health says that a dump was restored');
is(state_of($revoked), 'foreign', 'an approval that was revoked after the dump is worth nothing');
becomes("SELECT code FROM v_iu_route_held WHERE route_code = 'hook'", 'place_not_confirmed',
	'deliveries of the time of the dump are held');
is($sink->count('/hook'), $arrived, 'nothing of them is sent');
$node->stop;

done_testing();
