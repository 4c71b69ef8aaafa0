# Whoever takes the mechanism away, by whatever way: refused, or everything
# reads closed. Uninstalling for real and restoring over a database work.
use strict;
use warnings;

use IU::Cluster;
use IU::Dump;
use IU::Gate;
use IU::Lines;
use IU::SQL;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate = 'iu_core.delivery_enabled';
my $node = IU::Cluster->init_node('removal', { allows_streaming => 1 }, max_prepared_transactions => 5);
$node->start;
IU::Cluster->install($node);
# All but one, whose body comes back from a dump with more parentheses.
my $list = "SELECT concat_ws(' ', object_class, object_name, fingerprint) FROM iu_core.object_inventory()"
  . " WHERE object_name <> 'iu.fn_iu_route_retry_problem(jsonb)' ORDER BY 1";
my $dump = $node->basedir . '/whole.dump';

talk_to($node);
sub stands { local $Test::Builder::Level = $Test::Builder::Level + 1; return same_lines(sql($list), @_) }

sub refused
{
	my ($state, $statement, %how) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $says = $state eq '55006' ? 'gate "[\w.]+" is (open|true)' : 'migrations of iu_core are applied';
	my $error = '';

	# A worker that compares the catalog at that moment may lock in another order.
	foreach (1 .. 20) { last if ($error = error_of($statement, %how)) !~ /ERROR:  40P01: deadlock/ }
	like($error,
		qr/ERROR:  (?:$state: cannot drop .*: $says|2BP01: cannot drop .* because extension iu_core requires it)/,
		"removal refused" . ($how{user} ? " to $how{user}: " : ": ") . $statement =~ s{\s+}{ }gr);
}

# Every way there is. None is undone by hand: a refusal leaves all as it was.
my @ways = (
	'DROP EXTENSION iu_core CASCADE',
	'DROP SCHEMA iu_core CASCADE',
	'DROP SCHEMA public CASCADE',
	'DROP OWNED BY iu_core_owner CASCADE',
	'DROP OWNED BY iu_core_owner, iu_core_reader, iu_core_writer, iu_core_operator, iu_core_admin, iu_core_worker'
	  . ' CASCADE',
	'DROP TABLE dot_config CASCADE',
	'DROP TABLE iu_gate_registry CASCADE',
	'DROP TABLE iu_gate_transition CASCADE',
	'DROP TABLE iu_core.applied_migration CASCADE',
	'DROP VIEW v_iu_gate CASCADE',
	'DROP FUNCTION iu_core.gate_is_open(text) CASCADE',
	'DROP FUNCTION iu_core.gate_changed() CASCADE',
	'ALTER EXTENSION iu_core DROP FUNCTION iu_core.gate_changed(); DROP FUNCTION iu_core.gate_changed() CASCADE',
	'BEGIN; ALTER EXTENSION iu_core DROP TABLE iu_core.applied_migration; DROP TABLE iu_core.applied_migration CASCADE',
	(map { "DROP FUNCTION $_ CASCADE" } 'fn_iu_gate_open', 'fn_iu_gate_close', 'iu.fn_iu_gate_expiring',
	'iu.fn_iu_gate_close_expired',
		'fn_iu_gate_verify_closed', 'fn_iu_gate_watchdog', 'iu.fn_iu_gate_transition_stamp', 'iu.fn_iu_gate_ended',
		'iu.fn_iu_rollback_guard',
		'iu.fn_iu_append_only', 'iu.fn_dot_config_touch'),
	'DROP ROUTINE fn_iu_gate_open',
	'DROP TRIGGER trg_event_outbox_wake ON event_outbox',
	'DROP TRIGGER trg_iu_gate_transition_append_only ON iu_gate_transition',
	'DROP TRIGGER trg_iu_gate_transition_stamp ON iu_gate_transition',
	'DROP TRIGGER trg_dot_config_gate_ended ON dot_config',
	'DROP TRIGGER trg_dot_config_gate_changed ON dot_config',
	(map { "ALTER TABLE iu_gate_transition DROP COLUMN $_ CASCADE" }
		qw(expires_at system_identifier database_oid place written_by action transition_seq)),
	'ALTER TABLE dot_config DROP COLUMN value CASCADE',
	'ALTER TABLE dot_config DROP CONSTRAINT dot_config_pkey CASCADE',
	'ALTER TABLE iu_gate_registry DROP CONSTRAINT iu_gate_registry_class',
	'ALTER TABLE iu_gate_transition DROP CONSTRAINT iu_gate_transition_opening',
	# What stands in the schema by itself, and the schema, once nothing is in it that is kept for its own sake.
	'BEGIN; CREATE DOMAIN iu_core.mine AS text; DROP DOMAIN iu_core.mine',
	'BEGIN; CREATE SCHEMA elsewhere; DO $$ DECLARE s text; BEGIN FOR s IN'
	  . " SELECT format('ALTER TABLE %s SET SCHEMA elsewhere', oid::regclass) FROM pg_class"
	  . " WHERE relnamespace = 'iu'::regnamespace AND relkind IN ('r', 'p', 'v')"
	  . " UNION ALL SELECT format('ALTER ROUTINE %s SET SCHEMA elsewhere', oid::regprocedure) FROM pg_proc"
	  . " WHERE pronamespace = 'iu'::regnamespace LOOP EXECUTE s; END LOOP; END \$\$;"
	  . ' ALTER EXTENSION iu_core DROP SCHEMA iu; DROP SCHEMA iu CASCADE',
	(map { "BEGIN; CREATE ROLE passer; ALTER TABLE $_ OWNER TO passer; DROP TABLE $_ CASCADE" }
		qw(dot_config iu_gate_registry iu_gate_transition iu_gate_revocation)),
	'DROP INDEX ix_iu_gate_transition_last',
	'DROP INDEX CONCURRENTLY ix_iu_gate_transition_last',
	'DO $$ BEGIN EXECUTE $x$DROP TABLE iu_gate_transition CASCADE$x$; END $$',
	'SET session_replication_role = replica; DROP TABLE dot_config CASCADE',
	'SET iu_core.allow_removal = off; DROP EXTENSION iu_core CASCADE');

my $members = "SELECT count(*) FROM pg_depend WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension"
	  . " WHERE extname = 'iu_core')";
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
refused('55006', "SET iu_core.allow_removal = on; $_")
	  foreach 'DROP EXTENSION iu_core CASCADE', 'DROP TABLE dot_config CASCADE', 'DROP OWNED BY iu_core_owner CASCADE';
like(error_of('SELECT * FROM iu_core.rollback(0, allow_data_loss => true)'),
	qr/ERROR:  55006: rollback refused: 1 governable gate/,
	'while a gate is open a rollback of all migrations is refused');
is(IU::Gate->state($node, $gate), 'true open', 'after every refused removal the gate is still open');
my ($shown) = error_of('DROP EXTENSION iu_core CASCADE') =~ /HINT: .*?: (.*;)$/m or die 'no hint';
is(sql("BEGIN; $shown; SELECT value FROM dot_config WHERE key = '$gate'; ROLLBACK") =~ /^false$/m, 1,
	'the statement that the hint shows closes the gate');
stands($stands, 'after every refused removal no object is missing');
is(sql($members), $had, 'after every refused removal the extension has all its members');

# What another session has opened and not yet committed is waited for.
my $opener = $node->background_psql('postgres');
IU::Gate->close($node, $gate);
$opener->query_safe("BEGIN; SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'operator', 'test', 3600)");
like(error_of("SET lock_timeout = '200ms'; SET iu_core.allow_removal = on; DROP FUNCTION fn_iu_gate_open"), qr/55P03/,
	'a removal waits for an opening that is not committed');
$opener->query_safe("PREPARE TRANSACTION 'opening'");
like(error_of("SET lock_timeout = '200ms'; SET iu_core.allow_removal = on; DROP TABLE iu_gate_transition CASCADE"),
	qr/55P03/, 'a removal waits for an opening that is prepared');
sql("COMMIT PREPARED 'opening'");
refused('55006', 'SET iu_core.allow_removal = on; DROP FUNCTION fn_iu_gate_open');
IU::Gate->close($node, $gate);
$opener->quit;

# Opened within the transaction that removes: the same.
refused('55006', "SET iu_core.allow_removal = on; BEGIN; SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'a', 'b',"
	  . " 60); DROP FUNCTION fn_iu_gate_close");
refused('55006', "SET iu_core.allow_removal = on; BEGIN; UPDATE dot_config SET value = 'true' WHERE key = '$gate';"
	  . " DROP FUNCTION fn_iu_gate_close");
refused('55006', "SET iu_core.allow_removal = on; BEGIN; DROP FUNCTION fn_iu_gate_watchdog;"
	  . " SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'a', 'b', 60); DROP FUNCTION fn_iu_gate_close");

# Taken apart without a drop: what is left reads closed.
IU::Gate->open($node, $gate, 3600);
foreach my $way ('ALTER TABLE iu_gate_transition RENAME TO elsewhere', 'ALTER TABLE dot_config RENAME TO elsewhere',
	'ALTER TABLE iu_gate_registry SET SCHEMA iu_core',
	'ALTER INDEX ix_iu_gate_transition_last RENAME TO elsewhere',
	'ALTER TABLE iu_gate_transition RENAME expires_at TO elsewhere',
	'ALTER TABLE iu_gate_transition DISABLE TRIGGER ALL; TRUNCATE iu_gate_transition',
	'ALTER SCHEMA public RENAME TO elsewhere',
	"UPDATE dot_config SET key = 'elsewhere' WHERE key = '$gate'", 'TRUNCATE dot_config',
	'DELETE FROM iu_gate_registry',
	'SET session_replication_role = replica; TRUNCATE iu_gate_registry')
{
	is(sql("BEGIN; $way; SELECT iu_core.gate_is_open('$gate'); ROLLBACK"), 'f',
		"taken apart without a drop the gate reads closed: $way");
}
is(IU::Gate->state($node, $gate), 'true open', 'when the taking apart is rolled back the gate reads open');
IU::Gate->close($node, $gate);

# ---- with every gate closed, and the migrations applied

refused('2BP01', 'BEGIN; CREATE ROLE passer; ALTER TABLE dot_config OWNER TO passer;'
	  . ' ALTER TABLE dot_config DROP CONSTRAINT dot_config_pkey CASCADE');
foreach my $way (@ways)
{
	refused('2BP01', $way);
	sql('ALTER EXTENSION iu_core ADD FUNCTION iu_core.gate_changed()') if sql($members) < $had;
}
stands($stands, 'after every removal that was refused with the gates closed no object is missing');
like(error_of('DROP EXTENSION iu_core CASCADE'),
	qr/HINT:  .*: SELECT \* FROM iu_core\.rollback\(0\);.*: SET iu_core\.allow_removal = on;/,
	'the hint of a refused removal names rollback and setting');
like(error_of('DROP EXTENSION iu_core'), qr/ERROR:  2BP01/, 'DROP EXTENSION without CASCADE is refused');

# ---- who may lift it

sql('CREATE ROLE boss LOGIN IN ROLE iu_core_admin, iu_core_owner');
like(error_of('SET iu_core.allow_removal = on', user => 'boss'), qr/42501: permission denied to set parameter/,
	'an administrator may not set iu_core.allow_removal');
my $guarded = pattern(qr/2BP01: cannot drop .*: migrations of iu_core are applied|42501: cannot drop .*: it is/,
		qr/ governed by iu_core/);
like(error_of('DROP TABLE dot_config CASCADE', user => 'boss'), qr/ERROR:  (?:$guarded)/,
	'a member of iu_core_owner cannot drop a table of it');
sql('DROP ROLE boss');
like(error_of($_), qr/iu_core\.allow_removal/, "iu_core.allow_removal is for a session only: $_")
  foreach 'ALTER SYSTEM SET iu_core.allow_removal = on', 'ALTER ROLE postgres SET iu_core.allow_removal = on',
'ALTER DATABASE postgres SET iu_core.allow_removal = on';
is(sql('SHOW iu_core.allow_removal'), 'off', 'iu_core.allow_removal is off by default');
IU::Cluster->reload($node, 'iu_core.allow_removal' => 'on');
is(sql('SHOW iu_core.allow_removal'), 'off', 'the configuration file does not set iu_core.allow_removal');
$node->adjust_conf('postgresql.conf', 'iu_core.allow_removal', undef);
$node->reload;

# ---- what is not hindered

sql('CREATE SCHEMA mine');
is(error_of("$_"), '', "possible beside iu_core: $_") foreach
  'CREATE TEMP TABLE dot_config (key text PRIMARY KEY); DROP TABLE dot_config',
  'CREATE TEMP TABLE iu_gate_transition (key text PRIMARY KEY) ON COMMIT DROP',
  'CREATE FUNCTION pg_temp.fn_iu_gate_open() RETURNS int LANGUAGE sql AS $$SELECT 1$$;'
  . ' DROP FUNCTION pg_temp.fn_iu_gate_open()',
  'CREATE TEMP TABLE iu_gate_registry (key text PRIMARY KEY)',		# goes with the session
  'CREATE TABLE mine.dot_config (key text PRIMARY KEY, value text CONSTRAINT dot_config_value CHECK (true));'
  . ' ALTER TABLE mine.dot_config DROP value; DROP TABLE mine.dot_config',
  'CREATE FUNCTION mine.fn_iu_gate_open() RETURNS int LANGUAGE sql AS $$SELECT 1$$;'
  . ' DROP FUNCTION mine.fn_iu_gate_open()',
  'CREATE TABLE mine.child (key text REFERENCES public.dot_config); DROP TABLE mine.child',
  'CREATE VIEW mine.gates AS SELECT * FROM public.v_iu_gate; DROP VIEW mine.gates',
  'CREATE INDEX mine ON public.dot_config (value); DROP INDEX public.mine',
  'CREATE FUNCTION mine.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$; CREATE TRIGGER mine AFTER'
  . ' INSERT ON dot_config EXECUTE FUNCTION mine.f(); DROP FUNCTION mine.f() CASCADE',
  'CREATE ROLE mallory; GRANT CREATE ON SCHEMA public TO mallory; SET ROLE mallory;'
  . ' CREATE FUNCTION public.fn_of_mallory(int) RETURNS int LANGUAGE sql AS $$SELECT 1$$;'
  . ' DROP FUNCTION public.fn_of_mallory(int); RESET ROLE; DROP OWNED BY mallory; DROP ROLE mallory',
  'REINDEX TABLE CONCURRENTLY dot_config', 'REINDEX TABLE CONCURRENTLY iu_gate_transition',
'VACUUM FULL iu_gate_transition',
	'CLUSTER dot_config USING dot_config_pkey; ALTER TABLE dot_config SET WITHOUT CLUSTER',
  'DROP SCHEMA mine CASCADE', 'CREATE DATABASE plain', 'CREATE EXTENSION pgtap; DROP EXTENSION pgtap';
is(error_of($_, database => 'plain'), '', "possible in a database without iu_core: $_") foreach
  'CREATE TABLE dot_config (key text PRIMARY KEY, value text); ALTER TABLE dot_config DROP value;'
	. ' DROP TABLE dot_config',
  'CREATE FUNCTION fn_iu_gate_open() RETURNS int LANGUAGE sql AS $$SELECT 1$$; DROP FUNCTION fn_iu_gate_open()',
  'CREATE SCHEMA iu_core; CREATE VIEW iu_core.applied_migration AS SELECT 1; DROP SCHEMA iu_core CASCADE',
  'CREATE EXTENSION iu_core; DROP EXTENSION iu_core CASCADE',
'BEGIN; CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate(); ROLLBACK',
  'CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate(); SELECT count(*) FROM iu_core.rollback(0);'
  . ' DROP EXTENSION iu_core';
like(error_of('CREATE SCHEMA iu_core; CREATE FUNCTION iu_core.version() RETURNS int LANGUAGE sql AS $$SELECT 1$$;'
	  . ' CREATE EXTENSION iu_core', database => 'plain'), qr/ERROR/,
	'CREATE EXTENSION fails where a function of its own is there');
is(error_of('DROP SCHEMA iu_core CASCADE; CREATE EXTENSION iu_core; DROP EXTENSION iu_core', database => 'plain'), '',
	'a CREATE EXTENSION that failed leaves nothing behind');
stands($stands, 'after all that is not hindered no object is missing');

# ---- a standby

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
like(error_of('DROP EXTENSION iu_core CASCADE', server => $standby),
	qr/25006: cannot execute DROP EXTENSION in a read-only transaction/,
	'on a standby DROP EXTENSION is refused as a write');
is($standby->safe_psql('postgres', "SELECT iu_core.gate_is_open('$gate')"), 'f',
	'on a standby a gate can still be asked');
$standby->promote;
refused('2BP01', 'DROP EXTENSION iu_core CASCADE', server => $standby);
$standby->stop;

# ---- restoring over a database

dump_to($node, $dump);
sub restore_over
{
	return ($node->installed_command('pg_restore'), '--clean', '--if-exists', '--exit-on-error', '-d',
		$node->connstr('postgres'), @_, $dump);
}
$node->command_fails_like([ restore_over('--single-transaction') ],
	qr/cannot drop .*: migrations of iu_core are applied/, 'pg_restore --clean over the database is refused');
stands($stands, 'a refused pg_restore --clean has taken nothing away');
{
	local $ENV{PGOPTIONS} = '-c iu_core.allow_removal=on';
	$node->command_ok([ restore_over() ], 'pg_restore --clean is possible with iu_core.allow_removal');
	stands($stands, 'after pg_restore --clean every object is there again');
	$node->command_ok([ restore_over('--single-transaction') ],
		'pg_restore --clean in a single transaction is possible with iu_core.allow_removal');
}
stands($stands, 'after pg_restore --clean in a single transaction every object is there again');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), 0, 'the restored database conforms');
like(slurp_file($node->logfile), qr/LOG:  iu_core\.allow_removal lets .* be dropped/,
	'the server log tells of what iu_core.allow_removal let be dropped');
IU::Cluster->wait_for_worker($node, 'watchdog');
IU::Gate->open($node, $gate, 1);
becomes("SELECT value FROM dot_config WHERE key = '$gate'", 'false',
	'a gate of the restored database is opened, and closed in its time');

# ---- uninstalling

my $session = $node->background_psql('postgres');
is($session->query_safe("SELECT iu_core.gate_is_open('$gate')"), 'f', 'a session reads the gate as closed');
# A worker that reads at this moment gives way after a second.
my $patient = "SET LOCAL deadlock_timeout = '1min'; SET LOCAL iu_core.allow_removal = on;"
  . ' DROP EXTENSION iu_core CASCADE';
sql("BEGIN; $patient; ROLLBACK");
stands($stands, 'a removal that is rolled back removes nothing');
sql('SELECT count(*) FROM iu_core.rollback(0, allow_data_loss => true); DROP EXTENSION iu_core');
is(sql("SELECT count(*) FROM pg_class WHERE relname ~ '^(dot_config|iu_gate|v_iu)'"), 0,
	'after rollback and DROP EXTENSION no table and no view is left');
like(error_of("SELECT iu_core.gate_is_open('$gate')"), qr/(3F000|42883)/,
	'after DROP EXTENSION the session can ask for no gate');
sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()');
stands($stands, 'an installation after the removal has every object');
sql("BEGIN; $patient; DROP OWNED BY iu_core_owner; COMMIT");
is(sql("SELECT count(*) FROM pg_class WHERE relname ~ '^(dot_config|iu_gate|v_iu)'"), 0,
	'a superuser can drop everything at once');
$session->quit;

# ---- without the library

sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()');
IU::Cluster->wait_for_worker($node, 'watchdog');
IU::Gate->open($node, $gate, 3600);
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
is(IU::Gate->state($node, $gate), 'true closed', 'without the preloaded library the open gate reads closed');
is(sql('SELECT bool_or(effective) FROM v_iu_gate'), 'f', 'without the preloaded library every gate reads closed');
is(sql("SELECT state FROM iu_core.worker_status"), 'not preloaded', 'without the preloaded library the status says so');
like(error_of("SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'a', 'b', 60)"),
	qr/55000: no gate can be opened: iu_core is not preloaded/, 'without the preloaded library no gate can be opened');
is(sql("BEGIN; DROP TABLE iu_gate_transition CASCADE; SELECT iu_core.gate_is_open('$gate'); ROLLBACK"), 'f',
	'what is dropped without the preloaded library leaves the gate closed');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'iu_core'\n");
$node->restart;
is(IU::Gate->state($node, $gate), 'true open', 'with the preloaded library again the gate reads open for its time');
refused('55006', 'DROP EXTENSION iu_core CASCADE');

$node->stop;
done_testing();
