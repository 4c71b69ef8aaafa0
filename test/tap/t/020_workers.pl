# The launcher and its workers, as an administrator sees them: states, reload,
# commands that need a served database for themselves, crashes, a standby.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IU::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The database watch looks on and is never served, so that it can always be asked.
my $running = 'watchdog running; sender 1 running; runner running';

sub all_are { return "watchdog $_[0]; sender 1 $_[0]; runner $_[0]" }

# What a database's workers come to: "watchdog running; sender 1 running", '' for none.
sub becomes
{
	my ($node, $database, $expected, $name) = @_;
	my $query = "SELECT coalesce(string_agg(concat_ws(' ', role, number, state), '; ' ORDER BY role DESC, number), '')
	               FROM iu_core.worker_status WHERE database = '$database'";
	ok($node->poll_query_until('watch', $query, $expected), $name)
	  or diag $node->safe_psql('watch', 'TABLE iu_core.worker_status');
	return;
}

sub watchdog
{
	my ($node, $column, $database) = @_;
	return $node->safe_psql('watch',
		"SELECT $column FROM iu_core.worker_status WHERE role = 'watchdog' AND database = '$database'");
}

# A server with a database to watch from.
sub one_that_watches
{
	my ($name, $init, %settings) = @_;
	my $node = IU::Cluster->init_node($name, $init, restart_after_crash => 'on', %settings);
	$node->start;
	$node->safe_psql('postgres', 'CREATE DATABASE watch');
	$node->safe_psql('watch', 'CREATE EXTENSION iu_core');
	return $node;
}

sub what_is_missing_is_shown
{
	my ($node) = @_;
	becomes($node, 'one', all_are('database missing'), 'a database that is not there');
	like(watchdog($node, 'last_error', 'one'), qr/^database "one" does not exist$/, 'is named');

	IU::Cluster->reload($node, 'iu_core.worker_role' => 'nobody');
	becomes($node, 'one', all_are('role missing'), 'a role that is not there');
	like(watchdog($node, 'last_error', 'one'), qr/^role "nobody" does not exist$/, 'is named');
	$node->safe_psql('watch', 'CREATE ROLE nobody SUPERUSER LOGIN');
	becomes($node, 'one', all_are('role is superuser'), 'workers do not run as a superuser');
	$node->safe_psql('watch', 'ALTER ROLE nobody NOSUPERUSER NOLOGIN');
	becomes($node, 'one', all_are('role cannot log in'), 'nor as a role that cannot log in');
	$node->safe_psql('watch', 'ALTER ROLE nobody LOGIN');
	becomes($node, 'one', all_are('database missing'), 'and the database is looked at next');

	$node->safe_psql('watch', 'CREATE DATABASE one');
	becomes($node, 'one', all_are('extension absent'), 'a database without the extension');
	$node->safe_psql('watch', 'ALTER DATABASE one ALLOW_CONNECTIONS false');
	becomes($node, 'one', all_are('database missing'), 'a database that lets nobody in');
	like(watchdog($node, 'last_error', 'one'), qr/does not accept connections/, 'is told apart');
	$node->safe_psql('watch', 'ALTER DATABASE one ALLOW_CONNECTIONS true');
	becomes($node, 'one', all_are('extension absent'), 'and served when it does again');
	IU::Cluster->reload($node, 'iu_core.worker_role' => 'iu_core_worker');
	$node->poll_query_until('watch', "SELECT count(*) = 3 FROM pg_stat_activity WHERE datname = 'one' AND usename = 'iu_core_worker'");
	$node->safe_psql('one', 'CREATE EXTENSION iu_core');
	becomes($node, 'one', all_are('nothing migrated'), 'an extension without migrations');
	$node->safe_psql('one', 'SELECT iu_core.migrate()');
	becomes($node, 'one', $running, 'migrated: running');
	is(watchdog($node, 'last_error IS NULL', 'one'), 't', 'and no error is left');
	return;
}

sub names_can_be_read
{
	my ($node) = @_;
	is( $node->safe_psql('watch', "SELECT backend_type, application_name, coalesce(datname, '-'), usename FROM pg_stat_activity
		WHERE backend_type LIKE 'iu%' ORDER BY 1"),
		"iu_core launcher|iu_core launcher|-|postgres\n"
		  . "iu_core runner|iu_core runner|one|iu_core_worker\n"
		  . "iu_core sender|iu_core sender|one|iu_core_worker\n"
		  . 'iu_core watchdog|iu_core watchdog|one|iu_core_worker',
		'names in pg_stat_activity');
	is( $node->safe_psql('watch', "SELECT count(*) FROM iu_core.worker_status s JOIN pg_stat_activity a USING (pid)
		WHERE a.backend_type = 'iu_core ' || s.role AND a.state = 'idle' AND a.xact_start IS NULL"),
		'4', 'idle, without a transaction');
	return;
}

sub gates_are_closed
{
	my ($node) = @_;
	my $gate = 'iu_core.delivery_enabled';
	$node->safe_psql('one', "SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'tester', 'test', 1)");
	ok($node->poll_query_until('one', "SELECT value = 'false' FROM dot_config WHERE key = '$gate'"), 'an expired gate is closed');
	is($node->safe_psql('one', "SELECT string_agg(action || ' ' || actor, ', ' ORDER BY created_at) FROM iu_gate_transition"),
		'open tester, watchdog_close iu_core watchdog', 'and the ledger says by whom');

	# One gate's row is held: the other is closed, and the status names the holder.
	my $holder = $node->background_psql('one', on_error_stop => 1);
	my $holder_pid = $holder->query_safe('SELECT pg_backend_pid()');
	$holder->query_safe('BEGIN');
	$holder->query_safe("SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'tester', 'test', 1)");
	$holder->query_safe("SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'tester', 'test', 1)");
	$holder->query_safe('COMMIT');
	$holder->query_safe('BEGIN');
	$holder->query_safe("SELECT FROM dot_config WHERE key = '$gate' FOR UPDATE");
	ok($node->poll_query_until('one', "SELECT value = 'false' FROM dot_config WHERE key = 'iu_core.composer_enabled'"),
		'a held row delays no other gate');
	ok( $node->poll_query_until('watch', "SELECT state = 'failing' AND last_error LIKE 'gate $gate is overdue since %$holder_pid%'
		FROM iu_core.worker_status WHERE database = 'one' AND role = 'watchdog'"),
		'and the status names the holder') or diag watchdog($node, 'last_error', 'one');
	$holder->quit;
	ok($node->poll_query_until('one', "SELECT value = 'false' FROM dot_config WHERE key = '$gate'"), 'closed when it is let go');
	becomes($node, 'one', $running, 'and all is well again');
	return;
}

sub reload_changes_what_is_served
{
	my ($node) = @_;
	my $before = watchdog($node, 'pid', 'one');
	$node->safe_psql('watch', 'CREATE DATABASE two');
	IU::Cluster->reload($node, 'iu_core.databases' => 'one, two');
	becomes($node, 'two', all_are('extension absent'), 'a database added at reload');
	IU::Cluster->reload($node, 'iu_core.senders' => 2);
	becomes($node, 'one', 'watchdog running; sender 1 running; sender 2 running; runner running', 'a sender added');
	IU::Cluster->reload($node, 'iu_core.senders' => 0);
	becomes($node, 'one', 'watchdog running', 'no senders, and no runner');
	IU::Cluster->reload($node, 'iu_core.senders' => 1, 'iu_core.databases' => 'one');
	becomes($node, 'two', '', 'a database removed at reload');
	ok($node->poll_query_until('watch', "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'two'"), 'nobody is left in it');
	becomes($node, 'one', $running, 'the other goes on');
	is(watchdog($node, 'pid', 'one'), $before, 'undisturbed');
	return;
}

# Commands that need a database without other sessions.
sub databases_are_let_go
{
	my ($node) = @_;
	my $there = all_are('extension absent');
	IU::Cluster->reload($node, 'iu_core.databases' => 'one, two');
	becomes($node, 'two', $there, 'a database is served');
	$node->safe_psql('watch', 'DROP DATABASE two');
	becomes($node, 'two', all_are('database missing'), 'DROP DATABASE works while it is served');
	$node->safe_psql('watch', 'CREATE DATABASE two');
	becomes($node, 'two', $there, 'made again, it is served again');
	$node->safe_psql('watch', 'CREATE DATABASE three TEMPLATE two');
	becomes($node, 'two', $there, 'CREATE DATABASE works with it as template');
	$node->safe_psql('watch', 'DROP DATABASE three');
	$node->safe_psql('watch', 'ALTER DATABASE two RENAME TO three');
	becomes($node, 'two', all_are('database missing'), 'RENAME works');
	$node->safe_psql('watch', 'ALTER DATABASE three RENAME TO two');
	becomes($node, 'two', $there, 'and back');

	mkdir $node->basedir . '/space';
	$node->safe_psql('watch', "CREATE TABLESPACE space LOCATION '" . $node->basedir . "/space'");
	$node->safe_psql('watch', 'ALTER DATABASE two SET TABLESPACE space');
	becomes($node, 'two', $there, 'SET TABLESPACE works');

	my $before = watchdog($node, 'pid', 'two');
	$node->safe_psql('watch', 'CREATE ROLE stranger LOGIN CREATEDB');
	my ($code, undef, $error) = $node->psql('watch', 'DROP DATABASE two', extra_params => [ '-U', 'stranger' ]);
	like($error, qr/must be owner of database two/, 'who may not drop it is told so');
	($code, undef, $error) = $node->psql('watch', "BEGIN; DROP DATABASE two");
	like($error, qr/cannot run inside a transaction block/, 'and so is who tries it in a transaction');
	is(watchdog($node, 'pid', 'two'), $before, 'neither disturbs the workers');

	# A command that fails after the workers left: they come back.
	my $session = $node->background_psql('two', on_error_stop => 1);
	($code, undef, $error) = $node->psql('watch', 'ALTER DATABASE two RENAME TO three');
	like($error, qr/is being accessed by other users/, 'a real user in it still prevents the command');
	like($error, qr/There is 1 other session/, 'the workers are not counted');
	$session->quit;
	becomes($node, 'two', $there, 'and the workers come back');
	IU::Cluster->reload($node, 'iu_core.databases' => 'one');
	becomes($node, 'two', '', 'served no longer');
	$node->safe_psql('watch', 'DROP DATABASE two');
	$node->safe_psql('watch', 'DROP TABLESPACE space');
	return;
}

sub workers_come_back
{
	my ($node) = @_;
	my $before = watchdog($node, 'pid', 'one');
	$node->safe_psql('watch', "SELECT pg_terminate_backend($before)");
	ok( $node->poll_query_until('watch', "SELECT pid <> $before FROM iu_core.worker_status WHERE database = 'one' AND role = 'watchdog'"),
		'a terminated watchdog is replaced');
	becomes($node, 'one', $running, 'and runs');

	for my $role ('watchdog', 'sender', 'runner', 'launcher')
	{
		my $pid = $node->safe_psql('watch', "SELECT pid FROM iu_core.worker_status WHERE role = '$role'");
		kill 'KILL', $pid;
		ok( $node->poll_query_until('watch', "SELECT count(*) = 4 AND count(*) FILTER (WHERE pid = $pid) = 0
			FROM iu_core.worker_status WHERE state = 'running'"),
			"after kill -9 of the $role all four are back");
	}

	my $launcher = $node->safe_psql('watch', "SELECT pid FROM iu_core.worker_status WHERE role = 'launcher'");
	$before = watchdog($node, 'pid', 'one');
	$node->safe_psql('watch', "SELECT pg_terminate_backend($launcher)");
	ok( $node->poll_query_until('watch', "SELECT pid <> $launcher FROM iu_core.worker_status WHERE role = 'launcher'"),
		'a terminated launcher is replaced');
	becomes($node, 'one', $running, 'the workers ran on');
	is(watchdog($node, 'pid', 'one'), $before, 'and were taken over');

	$node->restart;
	becomes($node, 'one', $running, 'a restart brings them back');
	return;
}

sub a_standby_waits
{
	my ($node) = @_;
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	is($standby->safe_psql('watch', 'SELECT role, state, pid IS NULL FROM iu_core.worker_status'), 'launcher|standby|t', 'on a standby nothing runs');
	is($standby->safe_psql('watch', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'iu%'"), '0', 'not even the launcher');
	$standby->promote;
	becomes($standby, 'one', $running, 'promoted, it runs');
	$standby->stop;
	return;
}

sub too_few_processes
{
	my $node = one_that_watches('narrow', {}, 'iu_core.databases' => 'watch', max_worker_processes => 3);
	ok( $node->poll_query_until('watch', "SELECT count(*) = 1 FROM iu_core.worker_status
		WHERE database IS NULL AND state = 'failing' AND last_error LIKE '%raise max_worker_processes%'"),
		'too few worker processes: the launcher says which setting to raise') or diag $node->safe_psql('watch', 'TABLE iu_core.worker_status');
	$node->stop;
	return;
}

sub not_preloaded
{
	my $node = IU::Cluster->init_node('bare', {}, shared_preload_libraries => '');
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION iu_core');
	is($node->safe_psql('postgres', 'SELECT role, state, iu_core.is_preloaded() FROM iu_core.worker_status'), 'launcher|not preloaded|f', 'not preloaded: said so');
	like($node->safe_psql('postgres', 'SELECT last_error FROM iu_core.worker_status'), qr/shared_preload_libraries/, 'and what to do');
	is($node->safe_psql('postgres', 'SELECT iu_core.wake()'), '', 'wake() does nothing');
	$node->safe_psql('postgres', 'CREATE DATABASE plain');
	$node->safe_psql('postgres', 'DROP DATABASE plain');
	$node->stop;
	return;
}

my $primary = one_that_watches('primary', { allows_streaming => 1 }, 'iu_core.databases' => 'one');

what_is_missing_is_shown($primary);
names_can_be_read($primary);
gates_are_closed($primary);
reload_changes_what_is_served($primary);
databases_are_let_go($primary);
workers_come_back($primary);
a_standby_waits($primary);
$primary->stop;
too_few_processes();
not_preloaded();

done_testing();
