# Whoever takes the mechanism away, by whatever way: refused, or everything
# reads closed. Uninstalling for real and restoring over a database work.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate = 'iu_core.delivery_enabled';
my $node = IU::Cluster->init_node('removal', { allows_streaming => 1 }, max_prepared_transactions => 5);
$node->start;
IU::Cluster->install($node);
my $list = "SELECT concat_ws(' ', object_class, object_name, fingerprint) FROM iu_core.object_inventory()"
  . " WHERE object_name <> 'iu.fn_iu_route_retry_problem(jsonb)' ORDER BY 1";		# a parsed body, which comes back from a dump with more parentheses
my $dump = $node->basedir . '/whole.dump';

sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]) }

# is() would print all of it.
sub stands
{
	my ($expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $now = sql($list);
	my %differs;
	$differs{$_}++ foreach split /\n/, $now;
	$differs{$_}-- foreach split /\n/, $expected;
	is(join("\n", grep { $differs{$_} } sort keys %differs), '', $name);
}

sub error_of
{
	my ($statement, %how) = @_;
	my ($stdout, $stderr);
	my $server = $how{server} // $node;
	$server->psql($how{database} // 'postgres', "SET client_min_messages = warning; $statement", stdout => \$stdout, stderr => \$stderr,
		extra_params => [ '-v', 'VERBOSITY=verbose', $how{user} ? ('-U', $how{user}) : () ]);
	return $stderr;
}

sub refused
{
	my ($state, $statement, %how) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $says = $state eq '55006' ? 'gate "[\w.]+" is (open|true)' : 'migrations of iu_core are applied';
	like(error_of($statement, %how), qr/ERROR:  (?:$state: cannot drop .*: $says|2BP01: cannot drop .* because extension iu_core requires it)/, $statement =~ s/\s+/ /gr);
}

# Every way there is. None is undone by hand: a refusal leaves all as it was.
my @ways = (
	'DROP EXTENSION iu_core CASCADE',
	'DROP SCHEMA iu_core CASCADE',
	'DROP SCHEMA public CASCADE',
	'DROP OWNED BY iu_core_owner CASCADE',
	'DROP OWNED BY iu_core_owner, iu_core_reader, iu_core_writer, iu_core_operator, iu_core_admin, iu_core_worker CASCADE',
	'DROP TABLE dot_config CASCADE',
	'DROP TABLE iu_gate_registry CASCADE',
	'DROP TABLE iu_gate_transition CASCADE',
	'DROP TABLE iu_core.applied_migration CASCADE',
	'DROP VIEW v_iu_gate CASCADE',
	'DROP FUNCTION iu_core.gate_is_open(text) CASCADE',
	'DROP FUNCTION iu_core.gate_changed() CASCADE',
	'ALTER EXTENSION iu_core DROP FUNCTION iu_core.gate_changed(); DROP FUNCTION iu_core.gate_changed() CASCADE',
	'BEGIN; ALTER EXTENSION iu_core DROP TABLE iu_core.applied_migration; DROP TABLE iu_core.applied_migration CASCADE',
	(map { "DROP FUNCTION $_ CASCADE" } 'fn_iu_gate_open', 'fn_iu_gate_close', 'iu.fn_iu_gate_expiring', 'iu.fn_iu_gate_close_expired',
		'fn_iu_gate_verify_closed', 'fn_iu_gate_watchdog', 'iu.fn_iu_gate_transition_stamp', 'iu.fn_iu_gate_ended', 'iu.fn_iu_rollback_guard',
		'iu.fn_iu_append_only', 'iu.fn_dot_config_touch'),
	'DROP ROUTINE fn_iu_gate_open',
	'DROP TRIGGER trg_event_outbox_wake ON event_outbox',
	'DROP TRIGGER trg_iu_gate_transition_append_only ON iu_gate_transition',
	'DROP TRIGGER trg_iu_gate_transition_stamp ON iu_gate_transition',
	'DROP TRIGGER trg_dot_config_gate_ended ON dot_config',
	'DROP TRIGGER trg_dot_config_gate_changed ON dot_config',
	(map { "ALTER TABLE iu_gate_transition DROP COLUMN $_ CASCADE" } qw(expires_at system_identifier database_oid action transition_seq)),
	'ALTER TABLE dot_config DROP COLUMN value CASCADE',
	'ALTER TABLE dot_config DROP CONSTRAINT dot_config_pkey CASCADE',
	'ALTER TABLE iu_gate_registry DROP CONSTRAINT iu_gate_registry_class',
	'ALTER TABLE iu_gate_transition DROP CONSTRAINT iu_gate_transition_opening',
	'DROP INDEX ix_iu_gate_transition_last',
	'DROP INDEX CONCURRENTLY ix_iu_gate_transition_last',
	'DO $$ BEGIN EXECUTE $x$DROP TABLE iu_gate_transition CASCADE$x$; END $$',
	'SET session_replication_role = replica; DROP TABLE dot_config CASCADE',
	'SET iu_core.allow_removal = off; DROP EXTENSION iu_core CASCADE');

my $members = "SELECT count(*) FROM pg_depend WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'iu_core')";
my $stands = sql($list);
my $had = sql($members);

# ---- with a gate open

IU::Gate->open($node, $gate, 3600);
sql('ALTER EXTENSION iu_core ADD FUNCTION iu_core.gate_changed()') if sql($members) < $had;
foreach my $way (@ways)
{
	refused('55006', $way);
	sql('ALTER EXTENSION iu_core ADD FUNCTION iu_core.gate_changed()') if sql($members) < $had;
}
refused('55006', "SET iu_core.allow_removal = on; $_") foreach 'DROP EXTENSION iu_core CASCADE', 'DROP TABLE dot_config CASCADE', 'DROP OWNED BY iu_core_owner CASCADE';
like(error_of('SELECT * FROM iu_core.rollback(0, allow_data_loss => true)'), qr/ERROR:  55006: rollback refused: 1 governable gate/, 'a rollback is refused as ever');
is(IU::Gate->state($node, $gate), 'true open', 'the gate is open all the time');
my ($shown) = error_of('DROP EXTENSION iu_core CASCADE') =~ /HINT: .*?: (.*;)$/m or die 'no hint';
is(sql("BEGIN; $shown; SELECT value FROM dot_config WHERE key = '$gate'; ROLLBACK") =~ /^false$/m, 1, 'what the hint shows closes it');
stands($stands, 'and nothing is missing');
is(sql($members), $had, 'in the extension neither');

# What another session has opened and not yet committed is waited for.
my $opener = $node->background_psql('postgres');
sql("SELECT fn_iu_gate_close('$gate', 'operator', 'done')");
$opener->query_safe("BEGIN; SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'operator', 'test', 3600)");
like(error_of("SET lock_timeout = '200ms'; SET iu_core.allow_removal = on; DROP FUNCTION fn_iu_gate_open"), qr/55P03/, 'an open that is not committed yet is waited for');
$opener->query_safe("PREPARE TRANSACTION 'opening'");
like(error_of("SET lock_timeout = '200ms'; SET iu_core.allow_removal = on; DROP TABLE iu_gate_transition CASCADE"), qr/55P03/, 'so is a prepared one');
sql("COMMIT PREPARED 'opening'");
refused('55006', 'SET iu_core.allow_removal = on; DROP FUNCTION fn_iu_gate_open');
sql("SELECT fn_iu_gate_close('$gate', 'operator', 'done')");
$opener->quit;

# Opened within the transaction that removes: the same.
refused('55006', "SET iu_core.allow_removal = on; BEGIN; SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'a', 'b', 60); DROP FUNCTION fn_iu_gate_close");
refused('55006', "SET iu_core.allow_removal = on; BEGIN; UPDATE dot_config SET value = 'true' WHERE key = '$gate'; DROP FUNCTION fn_iu_gate_close");
refused('55006', "SET iu_core.allow_removal = on; BEGIN; DROP FUNCTION fn_iu_gate_watchdog; SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'a', 'b', 60); DROP FUNCTION fn_iu_gate_close");

# Taken apart without a drop: what is left reads closed.
IU::Gate->open($node, $gate, 3600);
foreach my $way ('ALTER TABLE iu_gate_transition RENAME TO elsewhere', 'ALTER TABLE dot_config RENAME TO elsewhere', 'ALTER TABLE iu_gate_registry SET SCHEMA iu_core',
	'ALTER INDEX ix_iu_gate_transition_last RENAME TO elsewhere', 'ALTER TABLE iu_gate_transition RENAME expires_at TO elsewhere',
	'ALTER TABLE iu_gate_transition DISABLE TRIGGER ALL; TRUNCATE iu_gate_transition', 'ALTER SCHEMA public RENAME TO elsewhere',
	"UPDATE dot_config SET key = 'elsewhere' WHERE key = '$gate'", 'TRUNCATE dot_config', 'DELETE FROM iu_gate_registry',
	'SET session_replication_role = replica; TRUNCATE iu_gate_registry')
{
	is(sql("BEGIN; $way; SELECT iu_core.gate_is_open('$gate'); ROLLBACK"), 'f', "reads closed: $way");
}
is(IU::Gate->state($node, $gate), 'true open', 'rolled back, it is open again');
sql("SELECT fn_iu_gate_close('$gate', 'operator', 'done')");

# ---- with every gate closed, and the migrations applied

foreach my $way (@ways)
{
	refused('2BP01', $way);
	sql('ALTER EXTENSION iu_core ADD FUNCTION iu_core.gate_changed()') if sql($members) < $had;
}
stands($stands, 'nothing is missing');
like(error_of('DROP EXTENSION iu_core CASCADE'), qr/HINT:  .*: SELECT \* FROM iu_core\.rollback\(0\);.*: SET iu_core\.allow_removal = on;/, 'the hint says what to do');
like(error_of('DROP EXTENSION iu_core'), qr/ERROR:  2BP01/, 'without CASCADE too');

# ---- who may lift it

sql('CREATE ROLE boss LOGIN IN ROLE iu_core_admin, iu_core_owner');
like(error_of('SET iu_core.allow_removal = on', user => 'boss'), qr/42501: permission denied to set parameter/, 'an admin may not lift it');
like(error_of('DROP TABLE dot_config CASCADE', user => 'boss'), qr/ERROR:  (?:2BP01: cannot drop .*: migrations of iu_core are applied|42501: cannot drop .*: it is governed by iu_core)/,
	'a member of iu_core_owner drops nothing');
sql('DROP ROLE boss');
like(error_of($_), qr/iu_core\.allow_removal/, "it is for a session: $_")
  foreach 'ALTER SYSTEM SET iu_core.allow_removal = on', 'ALTER ROLE postgres SET iu_core.allow_removal = on', 'ALTER DATABASE postgres SET iu_core.allow_removal = on';
is(sql('SHOW iu_core.allow_removal'), 'off', 'off by default');
$node->append_conf('postgresql.conf', "iu_core.allow_removal = on\n");
$node->reload;
is(sql('SELECT pg_sleep(0.2); SHOW iu_core.allow_removal'), "\noff", 'the configuration file does not lift it');
$node->adjust_conf('postgresql.conf', 'iu_core.allow_removal', undef);
$node->reload;

# ---- what is not hindered

sql('CREATE SCHEMA mine');
is(error_of("$_"), '', "not hindered: $_") foreach
  'CREATE TEMP TABLE dot_config (key text PRIMARY KEY); DROP TABLE dot_config',
  'CREATE TEMP TABLE iu_gate_transition (key text PRIMARY KEY) ON COMMIT DROP',
  'CREATE FUNCTION pg_temp.fn_iu_gate_open() RETURNS int LANGUAGE sql AS $$SELECT 1$$; DROP FUNCTION pg_temp.fn_iu_gate_open()',
  'CREATE TEMP TABLE iu_gate_registry (key text PRIMARY KEY)',		# goes with the session
  'CREATE TABLE mine.dot_config (key text PRIMARY KEY, value text CONSTRAINT dot_config_value CHECK (true)); ALTER TABLE mine.dot_config DROP value; DROP TABLE mine.dot_config',
  'CREATE FUNCTION mine.fn_iu_gate_open() RETURNS int LANGUAGE sql AS $$SELECT 1$$; DROP FUNCTION mine.fn_iu_gate_open()',
  'CREATE TABLE mine.child (key text REFERENCES public.dot_config); DROP TABLE mine.child',
  'CREATE VIEW mine.gates AS SELECT * FROM public.v_iu_gate; DROP VIEW mine.gates',
  'CREATE INDEX mine ON public.dot_config (value); DROP INDEX public.mine',
  'CREATE FUNCTION mine.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$; CREATE TRIGGER mine AFTER INSERT ON dot_config EXECUTE FUNCTION mine.f(); DROP FUNCTION mine.f() CASCADE',
  'CREATE ROLE mallory; GRANT CREATE ON SCHEMA public TO mallory; SET ROLE mallory; CREATE FUNCTION public.fn_of_mallory(int) RETURNS int LANGUAGE sql AS $$SELECT 1$$; DROP FUNCTION public.fn_of_mallory(int); RESET ROLE; DROP OWNED BY mallory; DROP ROLE mallory',
  'REINDEX TABLE CONCURRENTLY dot_config', 'REINDEX TABLE CONCURRENTLY iu_gate_transition', 'VACUUM FULL iu_gate_transition', 'CLUSTER dot_config USING dot_config_pkey; ALTER TABLE dot_config SET WITHOUT CLUSTER',
  'DROP SCHEMA mine CASCADE', 'CREATE DATABASE plain', 'CREATE EXTENSION pgtap; DROP EXTENSION pgtap';
is(error_of($_, database => 'plain'), '', "a database without iu_core: $_") foreach
  'CREATE TABLE dot_config (key text PRIMARY KEY, value text); ALTER TABLE dot_config DROP value; DROP TABLE dot_config',
  'CREATE FUNCTION fn_iu_gate_open() RETURNS int LANGUAGE sql AS $$SELECT 1$$; DROP FUNCTION fn_iu_gate_open()',
  'CREATE SCHEMA iu_core; CREATE VIEW iu_core.applied_migration AS SELECT 1; DROP SCHEMA iu_core CASCADE',
  'CREATE EXTENSION iu_core; DROP EXTENSION iu_core CASCADE', 'BEGIN; CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate(); ROLLBACK',
  'CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate(); SELECT count(*) FROM iu_core.rollback(0); DROP EXTENSION iu_core';
like(error_of('CREATE SCHEMA iu_core; CREATE FUNCTION iu_core.version() RETURNS int LANGUAGE sql AS $$SELECT 1$$; CREATE EXTENSION iu_core', database => 'plain'), qr/ERROR/, 'a CREATE EXTENSION that fails');
is(error_of('DROP SCHEMA iu_core CASCADE; CREATE EXTENSION iu_core; DROP EXTENSION iu_core', database => 'plain'), '', 'leaves nothing behind');
stands($stands, 'all is as it was');

# ---- a standby

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
like(error_of('DROP EXTENSION iu_core CASCADE', server => $standby), qr/25006: cannot execute DROP EXTENSION in a read-only transaction/, 'on a standby nothing is dropped');
is($standby->safe_psql('postgres', "SELECT iu_core.gate_is_open('$gate')"), 'f', 'and it goes on');
$standby->promote;
refused('2BP01', 'DROP EXTENSION iu_core CASCADE', server => $standby);
$standby->stop;

# ---- restoring over a database

$node->command_ok([ $node->installed_command('pg_dump'), '-Fc', '-f', $dump, '-d', $node->connstr('postgres') ], 'dumped');
sub restore_over { return ($node->installed_command('pg_restore'), '--clean', '--if-exists', '--exit-on-error', '-d', $node->connstr('postgres'), @_, $dump) }
$node->command_fails_like([ restore_over('--single-transaction') ], qr/cannot drop .*: migrations of iu_core are applied/, 'pg_restore --clean is refused');
stands($stands, 'and has taken nothing away');
{
	local $ENV{PGOPTIONS} = '-c iu_core.allow_removal=on';
	$node->command_ok([ restore_over() ], 'with the setting it goes through');
	stands($stands, 'all is there again');
	$node->command_ok([ restore_over('--single-transaction') ], 'in a single transaction as well');
}
stands($stands, 'all is there again');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), 0, 'and conforms');
like(slurp_file($node->logfile), qr/LOG:  iu_core\.allow_removal lets .* be dropped/, 'the server log tells of it');
IU::Cluster->wait_for_worker($node, 'watchdog');
IU::Gate->open($node, $gate, 1);
ok($node->poll_query_until('postgres', "SELECT value FROM dot_config WHERE key = '$gate'", 'false'), 'gates open and are closed in it');

# ---- uninstalling

my $session = $node->background_psql('postgres');
is($session->query_safe("SELECT iu_core.gate_is_open('$gate')"), 'f', 'a session that has read a gate');
sql("BEGIN; SET LOCAL iu_core.allow_removal = on; DROP EXTENSION iu_core CASCADE; ROLLBACK");
stands($stands, 'a removal that is rolled back was none');
sql('SELECT count(*) FROM iu_core.rollback(0, allow_data_loss => true); DROP EXTENSION iu_core');
is(sql("SELECT count(*) FROM pg_class WHERE relname ~ '^(dot_config|iu_gate|v_iu)'"), 0, 'rolled back and dropped');
like(error_of("SELECT iu_core.gate_is_open('$gate')"), qr/(3F000|42883)/, 'there is nothing left to ask');
sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()');
stands($stands, 'installed anew');
sql('SET iu_core.allow_removal = on; DROP EXTENSION iu_core CASCADE; DROP OWNED BY iu_core_owner');
is(sql("SELECT count(*) FROM pg_class WHERE relname ~ '^(dot_config|iu_gate|v_iu)'"), 0, 'or all at once by whoever may');
$session->quit;

# ---- without the library

sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()');
IU::Cluster->wait_for_worker($node, 'watchdog');
IU::Gate->open($node, $gate, 3600);
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
is(IU::Gate->state($node, $gate), 'true closed', 'not preloaded after a restart: reads closed');
is(sql('SELECT bool_or(effective) FROM v_iu_gate'), 'f', 'as everything does');
is(sql("SELECT state FROM iu_core.worker_status"), 'not preloaded', 'and the status says why');
like(error_of("SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'a', 'b', 60)"), qr/55000: no gate can be opened: iu_core is not preloaded/, 'nothing is opened');
is(sql("BEGIN; DROP TABLE iu_gate_transition CASCADE; SELECT iu_core.gate_is_open('$gate'); ROLLBACK"), 'f', 'what is dropped there leaves all closed');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'iu_core'\n");
$node->restart;
is(IU::Gate->state($node, $gate), 'true open', 'with the library again it has its time');
refused('55006', 'DROP EXTENSION iu_core CASCADE');

$node->stop;
done_testing();
