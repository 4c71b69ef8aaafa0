# A server with too few places for background workers: what runs, what is said,
# and that nothing is opened that nobody could close.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use Test::More;

my $open = "SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'ann', 't', 60)";

sub roles_of
{
	my ($database) = @_;
	return "SELECT coalesce(string_agg(role || coalesce(' ' || number, ''), ', ' ORDER BY role DESC, number), '')
		FROM iu_core.worker_status WHERE pid IS NOT NULL AND database = '$database'";
}

# As where libraries loaded before took all places.
sub no_place_for_the_launcher
{
	my $node = IU::Cluster->new_node('none', max_worker_processes => 0);
	talk_to($node);
	sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()');
	is(sql('SELECT role, state FROM iu_core.worker_status'), 'launcher|no worker slot',
		'without a place for the launcher the status says so');
	like(sql('SELECT status, message FROM iu_core.health()'), qr/^CRITICAL\|.*max_worker_processes is 0/,
		'without a place for the launcher health is red at once, with the name of the setting');
	like(error_of($open), qr/55000: no gate can be opened: max_worker_processes is 0.*Raise max_worker_processes/s,
		'without a place for the launcher no gate is opened');
	like(error_of($open), qr/iu_no_watchdog/, 'and the refusal has its constraint name');
	sql("BEGIN; UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.composer_enabled'; COMMIT");
	is(sql("SELECT iu_core.gate_is_open('iu_core.composer_enabled')"), 'f',
		'without a launcher every gate reads closed');
	$node->stop;
	return;
}

# The server's own launcher of logical replication takes one place, that of iu_core another.
sub watchdogs_come_first
{
	my $node = IU::Cluster->new_node('few', max_worker_processes => 5, 'iu_core.databases' => 'one',
		'iu_core.senders' => 2);
	talk_to($node);
	sql("CREATE DATABASE $_") foreach qw(one two three);
	sql('CREATE EXTENSION iu_core');
	sql('CREATE EXTENSION iu_core', 'one');
	becomes(roles_of('one'), 'watchdog, sender 1, sender 2', 'a watchdog and two senders of one database fit');
	IU::Cluster->reload($node, 'iu_core.databases' => 'one, two');
	becomes(roles_of('two'), 'watchdog', 'the watchdog of another database finds a place');
	becomes(roles_of('one'), 'watchdog, sender 1', 'which the sender that is served last gave up');
	IU::Cluster->reload($node, 'iu_core.databases' => 'one, two, three');
	becomes(roles_of('three'), 'watchdog', 'the watchdog of a third database as well');
	becomes(roles_of('one'), 'watchdog', 'and the watchdog of the first one stays');
	becomes("SELECT count(*) = 1 FROM iu_core.worker_status WHERE database = 'one' AND role = 'runner'
		AND state = 'no worker slot'", 'what has no place says so');
	like(sql('SELECT message FROM iu_core.health()'), qr/max_worker_processes/, 'and health names the setting');
	IU::Cluster->reload($node, 'iu_core.databases' => 'one');
	becomes(roles_of('one'), 'watchdog, sender 1, sender 2', 'the senders come back when there are places');
	$node->stop;
	return;
}

sub no_place_for_a_watchdog
{
	my $node = IU::Cluster->new_node('two', max_worker_processes => 3, 'iu_core.databases' => 'one, postgres');
	talk_to($node);
	sql('CREATE DATABASE one');
	sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()');
	becomes(roles_of('one'), 'watchdog', 'one of two databases has its watchdog');
	like(error_of($open), qr/55000: no gate can be opened: max_worker_processes is 3, which left no place/,
		'in the other one no gate is opened');
	like(sql('SELECT status, message FROM iu_core.health()'),
		qr/^CRITICAL.*watchdog of database "postgres": no worker slot/,
		'and health is red');
	$node->stop;
	return;
}

no_place_for_the_launcher();
watchdogs_come_first();
no_place_for_a_watchdog();
done_testing();
