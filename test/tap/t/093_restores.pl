# Backups by pgBackRest, restored into their own place: to a time, an LSN, a name,
# as soon as it is consistent, and to the end of the archive. Nothing is sent and
# no gate is open until somebody confirms the place; then nothing of what the
# database knows is lost. And what is no restore goes on by itself: a restart that
# is longer than an opening on a standing approval; an original beside which a copy
# of its files is started. `make losses` prints the lines that begin with a bar.
use strict;
use warnings;

use IU::Cluster;
use IU::Delivery;
use IU::Gate;
use IU::SQL;
use IU::Sink;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $events = $ENV{IU_EVENTS} ? 1000 : 50;
my $gate = 'iu_core.delivery_enabled';
my $sink = IU::Sink->start;
my $repository = PostgreSQL::Test::Utils::tempdir;
my $lacks_pgbackrest = system('pgbackrest version >/dev/null 2>&1') == 0 ? undef : 'pgbackrest is not installed';
my $node = IU::Cluster->init_node('original', { allows_streaming => 1 }, 'iu_core.allowed_origins' => $sink->url,
	'iu_core.allowed_networks' => '127.0.0.0/8');
my @pgbackrest = ('pgbackrest', '--stanza=iu', "--config=$repository/pgbackrest.conf");
append_to_file("$repository/pgbackrest.conf", <<"CONF");
[global]
repo1-path=$repository/repository
lock-path=$repository
spool-path=$repository
log-path=$repository
log-level-file=off
[iu]
pg1-path=@{[ $node->data_dir ]}
pg1-port=@{[ $node->port ]}
pg1-socket-path=@{[ $node->host ]}
pg1-user=postgres
CONF

sub pgbackrest { return system(@pgbackrest, @_) == 0 || die "pgbackrest @_ fails" }

# ---- The original, and what is no restore

$node->append_conf('postgresql.conf', IU::Cluster::settings_text(archive_mode => 'on',
		archive_command => join(' ', @pgbackrest, 'archive-push', '%p'))) unless $lacks_pgbackrest;
$node->start;
talk_to($node);
IU::Cluster->install($node);
pgbackrest('stanza-create') unless $lacks_pgbackrest;
sql('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE oscar LOGIN IN ROLE iu_core_operator');
my $delivery = IU::Delivery->new($node, $sink);
$delivery->live;
$delivery->gate('close');
$delivery->add_route('hook', max_in_flight => 256);

sub open_standing
{
	my ($seconds) = @_;
	my $approval = sql("SET SESSION AUTHORIZATION olga; SELECT fn_iu_gate_approval_grant('$gate', 'open', $seconds,"
		  . " clock_timestamp() + interval '90 days', 'olga', 'test', 'standing') ->> 'approval_id'");
	sql("SET SESSION AUTHORIZATION oscar; SELECT fn_iu_gate_open('$gate', '$approval', 'oscar', 'test', $seconds)");
	return $approval;
}

sub row { return note(sprintf('| %-63s | %9s | %8s | %5s |', @_)) }
row('what happens to the server', qw(delivered repeated lost));

subtest 'a restart that is longer than an opening on a standing approval needs no person' => sub {
	my $mark = $delivery->mark('hook');
	my $approval = open_standing(2);
	$delivery->emit($events);
	ok($delivery->settle('hook'), 'what is emitted before the restart is delivered');
	$node->stop;
	sleep 3;
	$node->start;
	$delivery->emit($events);
	ok($delivery->settle('hook'), 'what is emitted after the restart is delivered');
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect(2 * $events) . ', repeated 0',
		'nothing is lost or repeated');
	becomes('SELECT status FROM iu_core.health()', 'OK', 'health is well when it is over');
	row('a restart longer than an opening on a standing approval', @found{qw(delivered repeated lost)});
	sql("SET SESSION AUTHORIZATION olga; SELECT fn_iu_gate_approval_revoke('$approval', 'olga', 'test')");
};

subtest 'a copy that is started beside the original sends nothing, and the original goes on' => sub {
	my $mark = $delivery->mark('hook');
	my $approval = open_standing(60);
	$node->backup('beside');
	my $copy = PostgreSQL::Test::Cluster->new('beside');
	$copy->init_from_backup($node, 'beside');
	$copy->append_conf('postgresql.conf', "archive_mode = off\n");
	{
		local $ENV{IU_CORE_INSTANCE} = 'a staging system';
		$copy->start;
	}
	my $there = IU::Delivery->new($copy, $sink);
	$there->emit(10);
	$delivery->emit($events);
	ok($delivery->settle('hook'), 'the original delivers on');
	ok($there->becomes("SELECT status = 'CRITICAL' FROM iu_core.health()"), 'health of the copy is red');
	like(IU::Gate->state($copy, $gate), qr/closed$/, 'the gate is closed in the copy');
	$copy->stop;
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect($events) . ', repeated 0',
		'what the copy has, from before and of its own, is not sent by it');
	row('a copy started beside the original', @found{qw(delivered repeated lost)});
	sql("SET SESSION AUTHORIZATION olga; SELECT fn_iu_gate_approval_revoke('$approval', 'olga', 'test')");
};

SKIP:
{
	skip $lacks_pgbackrest, 5 if $lacks_pgbackrest;

	# ---- A backup, a point with deliveries under way, and what is done after it

	my $approval = open_standing(600);
	$sink->hold('/hook', 10);
	$delivery->emit($events);
	ok($delivery->becomes('SELECT count(*) > 0 FROM iu_route_lease'), 'deliveries are under way');
	pgbackrest('backup', '--type=full', '--start-fast');
	# pgBackRest tells when a backup ended by whole seconds, and restores to no time within the last of them.
	my $later = sql("SELECT date_trunc('second', clock_timestamp()) + interval '2 s'");
	$node->poll_query_until('postgres', "SELECT clock_timestamp() > '$later'") or die 'the time does not pass';
	sql("SELECT pg_create_restore_point('the point')");
	my $lsn = sql('SELECT pg_current_wal_insert_lsn()');
	sql('SELECT pg_switch_wal()');
	my $time = sql('SELECT clock_timestamp()');
	sql('SELECT pg_sleep(0.01)');
	$sink->heal;
	$delivery->emit($events);
	ok($delivery->settle('hook'), 'what was under way at the point arrives after it');
	sql("SET SESSION AUTHORIZATION olga; SELECT fn_iu_gate_approval_revoke('$approval', 'olga', 'enough')");
	my $last = sql('SELECT pg_walfile_name(pg_switch_wal() - 1)');
	$node->poll_query_until('postgres', "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver")
	  or die 'the WAL is not archived';
	$node->stop;

	my $repeated = 0;
	sub try_restore
	{
		my ($what, @how) = @_;
		subtest "a restore by pgBackRest sends nothing until it is confirmed, and loses nothing: $what" => sub {
			my $arrived = $sink->count('/hook');
			pgbackrest('restore', '--delta', '--archive-mode=off', @how);
			$node->start;
			$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'the recovery does not end';
			becomes("SELECT severity = 2 AND message ~ 'it was restored' FROM iu_core.health()", 'health is red');
			is(sql("SELECT iu_core.gate_is_open('$gate')"), 'f', 'the gate that was open at the point is closed');
			isnt(sql("SELECT state FROM v_iu_gate_approval WHERE approval_id = '$approval'"), 'valid',
				'the approval that was revoked after the point is not valid');
			is($sink->count('/hook'), $arrived, 'nothing is sent');
			sql("SELECT fn_iu_place_confirm('olga', 'restored, heads compared')");
			$delivery->gate('open');
			sql("SELECT fn_iu_route_confirm_position('hook', 'olga', 'what arrives twice has the same id')");
			$delivery->emit($events);
			ok($delivery->settle('hook'), 'what is emitted after the restore is delivered, and what was under way');
			my %found = $delivery->audit('hook');
			my $known = sql("SELECT count(*) FROM event_outbox WHERE event_type = 'version_applied'");
			is("lost $found{lost}, delivered $found{delivered}, unrecorded $found{unrecorded}, left $found{left}",
				"lost 0, delivered $known, unrecorded 0, left 0", 'nothing that the database knows is lost');
			is(sql("SELECT fn_iu_gate_ledger_verify() ->> 'ok'"), 'true', 'the ledger verifies');
			becomes('SELECT status FROM iu_core.health()', 'OK', 'health is well when it is over');
			row("restored by pgBackRest, $what", $found{delivered}, $found{repeated} - $repeated, $found{lost});
			$repeated = $found{repeated};
			$node->stop;
		};
		return;
	}
	try_restore('to a time', '--type=time', "--target=$time", '--target-action=promote');
	try_restore('to an LSN', '--type=lsn', "--target=$lsn", '--target-action=promote');
	try_restore('to a name', '--type=name', '--target=the point', '--target-action=promote');
	try_restore('at once', '--type=immediate', '--target-action=promote');
	try_restore('to the end of the archive', '--type=default');
}

$node->stop;
done_testing();
