# The launcher and its workers, as an administrator sees them: states, reload,
# commands that need a served database for themselves, crashes, a standby.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The database watch looks on and is never served, so that it can always be asked.
my $running = 'watchdog running; sender 1 running; runner running';

sub all_are { return "watchdog $_[0]; sender 1 $_[0]; runner $_[0]" }

# What a database's workers come to: "watchdog running; sender 1 running", '' for none.
sub workers_become
{
	my ($database, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return becomes("SELECT coalesce(string_agg(concat_ws(' ', role, number, state), '; ' ORDER BY role DESC,"
		  . " number), '')"
		  . " FROM iu_core.worker_status WHERE database = '$database'", $expected, $name);
}

sub watchdog
{
	my ($column, $database) = @_;
	return sql("SELECT $column FROM iu_core.worker_status WHERE role = 'watchdog' AND database = '$database'");
}

# A server with a database to watch from.
sub one_that_watches
{
	my ($name, $init, %settings) = @_;
	my $node = IU::Cluster->init_node($name, $init, restart_after_crash => 'on', %settings);
	$node->start;
	$node->safe_psql('postgres', 'CREATE DATABASE watch');
	talk_to($node, 'watch');
	sql('CREATE EXTENSION iu_core');
	return $node;
}

sub what_is_missing_is_shown
{
	my ($node) = @_;
	workers_become('one', all_are('database missing'),
		'workers of a database that does not exist say "database missing"');
	like(watchdog('last_error', 'one'), qr/^database "one" does not exist$/,
		'the status names the database that does not exist');

	IU::Cluster->reload($node, 'iu_core.worker_role' => 'nobody');
	workers_become('one', all_are('role missing'), 'workers whose role does not exist say "role missing"');
	like(watchdog('last_error', 'one'), qr/^role "nobody" does not exist$/,
		'the status names the role that does not exist');
	sql('CREATE ROLE nobody SUPERUSER LOGIN');
	workers_become('one', all_are('role is superuser'), 'workers do not run as a superuser');
	sql('ALTER ROLE nobody NOSUPERUSER NOLOGIN');
	workers_become('one', all_are('role cannot log in'), 'workers do not run as a role that cannot log in');
	sql('ALTER ROLE nobody LOGIN');
	workers_become('one', all_are('database missing'), 'with a role that will do, workers look at the database next');

	sql('CREATE DATABASE one');
	workers_become('one', all_are('extension absent'),
		'workers of a database without the extension say "extension absent"');
	sql('ALTER DATABASE one ALLOW_CONNECTIONS false');
	workers_become('one', all_are('database missing'), 'a database that lets nobody in is not served');
	like(watchdog('last_error', 'one'), qr/does not accept connections/,
		'the status tells a database that lets nobody in from one that does not exist');
	sql('ALTER DATABASE one ALLOW_CONNECTIONS true');
	workers_become('one', all_are('extension absent'), 'a database that lets sessions in again is served');
	IU::Cluster->reload($node, 'iu_core.worker_role' => 'iu_core_worker');
	wait_until("SELECT count(*) = 3 FROM pg_stat_activity WHERE datname = 'one' AND usename = 'iu_core_worker'");
	sql('CREATE EXTENSION iu_core', 'one');
	workers_become('one', all_are('nothing migrated'),
		'workers of an extension without migrations say "nothing migrated"');
	sql('SELECT iu_core.migrate()', 'one');
	workers_become('one', $running, 'workers of a migrated database are running');
	is(watchdog('last_error IS NULL', 'one'), 't', 'the status of a running watchdog has no error left');
	return;
}

sub names_can_be_read
{
	my ($node) = @_;
	is( sql("SELECT backend_type, application_name, coalesce(datname, '-'), usename FROM pg_stat_activity
		WHERE backend_type LIKE 'iu%' ORDER BY 1"),
		"iu_core launcher|iu_core launcher|-|postgres\n"
		  . "iu_core runner|iu_core runner|one|iu_core_worker\n"
		  . "iu_core sender|iu_core sender|one|iu_core_worker\n"
		  . 'iu_core watchdog|iu_core watchdog|one|iu_core_worker',
		'launcher, runner, sender and watchdog have their names in pg_stat_activity');
	becomes("SELECT count(*) FROM iu_core.worker_status s JOIN pg_stat_activity a USING (pid)
		WHERE a.backend_type = 'iu_core ' || s.role AND a.state = 'idle' AND a.xact_start IS NULL",
		'4', 'idle workers are in no transaction');
	return;
}

# A name that is too long is cut by CREATE DATABASE, and in the middle of a letter only by who counts bytes.
sub a_long_name_is_cut_between_letters
{
	my ($node) = @_;
	my $name = "a" . "\xc3\xa4" x 40;
	my $cut = "a" . "\xc3\xa4" x 31;
	sql(qq(CREATE DATABASE "$name"));
	IU::Cluster->reload($node, 'iu_core.databases' => qq(one, "$name"));
	becomes("SELECT count(*) = 1 FROM iu_core.worker_status WHERE role = 'watchdog' AND database = '$cut'"
		  . " AND state = 'extension absent' AND pid IS NOT NULL",
		'a database whose name is longer than 63 bytes is served by the name that it has');
	IU::Cluster->reload($node, 'iu_core.databases' => 'one');
	sql(qq(DROP DATABASE "$name"));
	return;
}

sub gates_are_closed
{
	my ($node) = @_;
	my $gate = 'iu_core.delivery_enabled';
	sql("SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'tester', 'test', 1)", 'one');
	ok($node->poll_query_until('one', "SELECT value = 'false' FROM dot_config WHERE key = '$gate'"),
		'an expired gate is closed');
	is(sql("SELECT string_agg(action || ' ' || actor, ', ' ORDER BY created_at) FROM iu_gate_transition", 'one'),
		'open tester, watchdog_close iu_core watchdog', 'the ledger says that the watchdog closed the expired gate');

	# One gate's row is held: the other is closed, and the status names the holder.
	my $holder = $node->background_psql('one', on_error_stop => 1);
	my $holder_pid = $holder->query_safe('SELECT pg_backend_pid()');
	$holder->query_safe("BEGIN; SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'tester',"
		  . " 'test', 3);"
		  . " SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'tester', 'test', 3); COMMIT;"
		  . " BEGIN; SELECT FROM dot_config WHERE key = '$gate' FOR UPDATE");
	ok($node->poll_query_until('one', "SELECT value = 'false' FROM dot_config WHERE key = 'iu_core.composer_enabled'"),
		"an expired gate is closed while another session holds a different gate's row");
	becomes("SELECT state = 'failing' AND last_error LIKE 'gate $gate is overdue since %$holder_pid%'
		FROM iu_core.worker_status WHERE database = 'one' AND role = 'watchdog'",
		'the status of the watchdog names who holds the row of an expired gate');
	$holder->quit;
	ok($node->poll_query_until('one', "SELECT value = 'false' FROM dot_config WHERE key = '$gate'"),
		'the expired gate is closed when its row is let go');
	workers_become('one', $running, 'when the expired gate is closed the watchdog is running again');
	return;
}

sub reload_changes_what_is_served
{
	my ($node) = @_;
	my $before = watchdog('pid', 'one');
	sql('CREATE DATABASE two');
	IU::Cluster->reload($node, 'iu_core.databases' => 'one, two');
	workers_become('two', all_are('extension absent'), 'a database that a reload adds is served');
	IU::Cluster->reload($node, 'iu_core.senders' => 2);
	workers_become('one', 'watchdog running; sender 1 running; sender 2 running; runner running',
		'a sender that a reload adds is running');
	IU::Cluster->reload($node, 'iu_core.senders' => 0);
	workers_become('one', 'watchdog running', 'without senders there is no runner either');
	IU::Cluster->reload($node, 'iu_core.senders' => 1, 'iu_core.databases' => 'one');
	workers_become('two', '', 'a database that a reload takes off the list is served no longer');
	becomes("SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'two'",
		'no worker is left in a database that a reload takes off the list');
	workers_become('one', $running, "a reload about another database leaves a database's workers running");
	is(watchdog('pid', 'one'), $before, 'a reload about another database does not start a watchdog anew');
	return;
}

# Commands that need a database without other sessions.
sub databases_are_let_go
{
	my ($node) = @_;
	my $there = all_are('extension absent');
	IU::Cluster->reload($node, 'iu_core.databases' => 'one, two');
	workers_become('two', $there, 'a database that is to be dropped is served');
	sql('DROP DATABASE two');
	workers_become('two', all_are('database missing'), 'DROP DATABASE works while the database is served');
	sql('CREATE DATABASE two');
	workers_become('two', $there, 'a database that is made again is served again');
	sql('CREATE DATABASE three TEMPLATE two');
	workers_become('two', $there, 'CREATE DATABASE works with a served database as its template');
	sql('DROP DATABASE three');
	sql('ALTER DATABASE two RENAME TO three');
	workers_become('two', all_are('database missing'), 'ALTER DATABASE RENAME works while the database is served');
	sql('ALTER DATABASE three RENAME TO two');
	workers_become('two', $there, 'a database that gets its name back is served again');

	mkdir $node->basedir . '/space';
	sql("CREATE TABLESPACE space LOCATION '" . $node->basedir . "/space'");
	sql('ALTER DATABASE two SET TABLESPACE space');
	workers_become('two', $there, 'ALTER DATABASE SET TABLESPACE works while the database is served');

	my $before = watchdog('pid', 'two');
	sql('CREATE ROLE stranger LOGIN CREATEDB');
	like(error_of('DROP DATABASE two', user => 'stranger'), qr/must be owner of database two/,
		'a role that may not drop a database is told so');
	like(error_of('BEGIN; DROP DATABASE two'), qr/cannot run inside a transaction block/,
		'a DROP DATABASE within a transaction is refused');
	is(watchdog('pid', 'two'), $before, 'a DROP DATABASE that is refused does not disturb the workers');

	# A command that fails after the workers left: they come back.
	my $session = $node->background_psql('two', on_error_stop => 1);
	my $error = error_of('ALTER DATABASE two RENAME TO three');
	like($error, qr/is being accessed by other users/,
		'a session of somebody else still prevents ALTER DATABASE RENAME');
	like($error, qr/There is 1 other session/,
		'workers are not counted among the sessions that prevent ALTER DATABASE RENAME');
	$session->quit;
	workers_become('two', $there, 'the workers that left for a command that failed come back');
	IU::Cluster->reload($node, 'iu_core.databases' => 'one');
	workers_become('two', '', 'a database that is taken off the list again is served no longer');
	sql('DROP DATABASE two');
	sql('DROP TABLESPACE space');
	return;
}

sub workers_come_back
{
	my ($node) = @_;
	my $before = watchdog('pid', 'one');
	sql("SELECT pg_terminate_backend($before)");
	becomes("SELECT pid <> $before FROM iu_core.worker_status WHERE database = 'one' AND role = 'watchdog'",
		'a terminated watchdog is replaced');
	workers_become('one', $running, 'the watchdog that replaces a terminated one is running');

	for my $role ('watchdog', 'sender', 'runner', 'launcher')
	{
		my $pid = sql("SELECT pid FROM iu_core.worker_status WHERE role = '$role'");
		kill 'KILL', $pid;
		becomes("SELECT count(*) = 4 AND count(*) FILTER (WHERE pid = $pid) = 0
			FROM iu_core.worker_status WHERE state = 'running'",
			"after kill -9 of the $role all four are back");
	}

	my $launcher = sql("SELECT pid FROM iu_core.worker_status WHERE role = 'launcher'");
	$before = watchdog('pid', 'one');
	sql("SELECT pg_terminate_backend($launcher)");
	becomes("SELECT pid <> $launcher FROM iu_core.worker_status WHERE role = 'launcher'",
		'a terminated launcher is replaced');
	workers_become('one', $running, 'workers run on while their launcher is replaced');
	is(watchdog('pid', 'one'), $before, 'the new launcher takes over the workers that it finds');

	$node->restart;
	workers_become('one', $running, 'a restart of the server brings every worker back');
	return;
}

sub a_standby_waits
{
	my ($node) = @_;
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	talk_to($standby, 'watch');
	is(sql('SELECT role, state, pid IS NULL FROM iu_core.worker_status'), 'launcher|standby|t',
		'on a standby the launcher says "standby" and no worker runs');
	is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'iu%'"), '0',
		"on a standby not even the launcher's process runs");
	$standby->promote;
	workers_become('one', $running, 'a standby that is promoted runs its workers');
	$standby->stop;
	talk_to($node, 'watch');
	return;
}

sub too_few_processes
{
	my $node = one_that_watches('narrow', {}, 'iu_core.databases' => 'watch', max_worker_processes => 3);
	becomes("SELECT count(*) = 1 FROM iu_core.worker_status
		WHERE database IS NULL AND state = 'failing' AND last_error LIKE '%raise max_worker_processes%'",
		'too few worker processes: the launcher says which setting to raise');
	$node->stop;
	return;
}

sub not_preloaded
{
	my $node = IU::Cluster->init_node('bare', {}, shared_preload_libraries => '');
	$node->start;
	talk_to($node);
	sql('CREATE EXTENSION iu_core');
	is(sql('SELECT role, state, iu_core.is_preloaded() FROM iu_core.worker_status'), 'launcher|not preloaded|f',
		'without preloading the status says "not preloaded"');
	like(sql('SELECT last_error FROM iu_core.worker_status'), qr/shared_preload_libraries/,
		'without preloading the status names shared_preload_libraries');
	is(sql('SELECT iu_core.wake()'), '', 'without preloading wake() does nothing');
	sql('CREATE DATABASE plain');
	sql('DROP DATABASE plain');
	$node->stop;
	return;
}

# As when one copy is preloaded along dynamic_library_path, and functions ask for the one in $libdir.
sub two_copies
{
	my $node = IU::Cluster->new_node('twice', 'iu_core.databases' => '', 'iu_core.senders' => 2);
	my $copy = PostgreSQL::Test::Utils::tempdir . '/iu_core.so';
	my ($libraries) = run_command([ 'pg_config', '--pkglibdir' ]);

	run_log([ 'cp', "$libraries/iu_core.so", $copy ]) or die;
	$node->psql('postgres', "LOAD '$copy'", stderr => \my $error);
	like($error, qr/another copy of the library iu_core is loaded already/,
		'a second copy of the library is refused');
	like($error, qr/HINT:  Remove one of the two files/, 'the refusal of a second copy says which file to remove');
	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\nsession_preload_libraries = '$copy'\n");
	$node->restart;
	is($node->safe_psql('postgres', 'SHOW iu_core.senders'), 2,
		'one copy with settings in the configuration is loaded');
	$node->stop;
	return;
}

my $primary = one_that_watches('primary', { allows_streaming => 1 }, 'iu_core.databases' => 'one');

what_is_missing_is_shown($primary);
names_can_be_read($primary);
a_long_name_is_cut_between_letters($primary);
gates_are_closed($primary);
reload_changes_what_is_served($primary);
databases_are_let_go($primary);
workers_come_back($primary);
a_standby_waits($primary);
$primary->stop;
too_few_processes();
not_preloaded();
two_copies();

done_testing();
