# A watchdog that does not do its work is seen by whoever looks, without its
# help: iu_core.worker_status turns red, iu_core.health() tells a monitor.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Process;
use IU::SQL;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $gate  = 'iu_core.delivery_enabled';
my $other = 'iu_core.composer_enabled';
my $node  = IU::Cluster->init_node('health', { allows_streaming => 1 });
$node->start;
my $watchdog;

talk_to($node);
my $told = "SELECT severity || ' ' || status || ': ' || message FROM iu_core.health()";
sub health { return sql($told, $_[0]) }
# A regular expression of PostgreSQL's.
sub health_becomes
{
	my ($pattern, $name) = @_;
	return becomes("SELECT told ~ '$pattern' FROM ($told) AS t (told)", $name);
}
sub state { return sql("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog' AND database = 'postgres'") }
sub severity_becomes { becomes('SELECT severity FROM iu_core.health()', @_) }

# ---- well, and not yet so

sql('CREATE EXTENSION iu_core');
becomes("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog'", 'nothing migrated',
	'the watchdog of a database without migrations says so');
health_becomes('^1 WARNING: .*watchdog of database "postgres": nothing migrated',
	'a database without migrations is a warning');
sql('SELECT count(*) FROM iu_core.migrate(4)');
$watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');
health_becomes('^0 OK: 2 processes do their work, 2 more have nothing to do: the migrations that bring it are not',
	'processes that no migration gives anything to do are not counted among those that do their work');
sql('SELECT count(*) FROM iu_core.migrate()');
severity_becomes('0', 'with every process at work health has no severity');
health_becomes('^0 OK: 4 processes', 'with every process at work health counts four processes');
is(sql('SET ROLE iu_core_reader; SELECT severity FROM iu_core.health()'), '0', 'a reader may ask for health');
like(sql("SELECT proacl FROM pg_proc WHERE proname = 'health'"), qr/^(?!.*[{,]=)/, 'health is not for everybody');
sql('BEGIN; LOCK dot_config, iu_gate_transition IN ACCESS EXCLUSIVE MODE; SELECT severity FROM iu_core.health();'
	  . ' COMMIT');

# ---- stopped with a gate open

# Stopped in the moment in which something else woke it, it has not answered, and is
# overdue for that: then once more.
my $early;
foreach my $try (1 .. 5)
{
	IU::Gate->open($node, $gate, 15);
	wait_until("SELECT next_wakeup < now() + interval '15 s' FROM iu_core.worker_status WHERE role = 'watchdog'");
	freeze($watchdog);
	is(state(), 'running', 'a watchdog that is stopped before the gate is due counts as running');
	becomes("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog'", 'overdue',
		'a stopped watchdog is overdue when its gate is');
	$early = sql('SELECT clock_timestamp() < max(expires_at) FROM iu_gate_transition') eq 't'
	  && sql("SELECT last_error FROM iu_core.worker_status WHERE role = 'watchdog'") =~ /has not answered/;
	last if !$early;
	thaw($watchdog);
	wait_until("SELECT value = 'false' FROM dot_config WHERE key = '$gate'");
}
ok(!$early, 'a stopped watchdog is not overdue before its gate is');
# The status tells it by another clock, which may differ by what the time of day was corrected.
is(sql("SELECT abs(extract(epoch FROM since - (SELECT max(expires_at) FROM iu_gate_transition))) < 2"
	  . " FROM iu_core.worker_status"
	  . " WHERE role = 'watchdog'"), 't', "a stopped watchdog is overdue since the end of its gate's opening");
like(sql("SELECT last_error FROM iu_core.worker_status WHERE role = 'watchdog'"),
	qr/^a gate was to be closed by 20.*, and is not$/,
	'the status of a stopped watchdog says that a gate is not closed');
health_becomes('^2 CRITICAL: watchdog of database "postgres": overdue since 20.*a gate was to be closed by',
	'a gate that is not closed is critical');
is(IU::Gate->state($node, $gate), 'true closed', 'a gate that is not closed in time reads closed');
thaw($watchdog);
becomes("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog'", 'running',
	'a watchdog that goes on is running again');
severity_becomes('0', 'when the watchdog goes on health has no severity');
like(IU::Gate->ledger($node, $gate), qr/open watchdog_close$/, 'a watchdog that goes on has closed the gate');

# ---- stopped before the gate was opened, when it knew of none

freeze($watchdog);
is((split / /, health())[0], '0', 'a watchdog that is stopped while it has nothing to do is no trouble');
IU::Gate->open($node, $other, 1);
my $opened = time;
becomes("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog'", 'overdue',
	'a watchdog that does not answer an opening is overdue');
cmp_ok(time - $opened, '<', 45, 'a watchdog that does not answer is seen before it would look by itself');
health_becomes('^2 CRITICAL: .*has not answered since 20', 'a watchdog that does not answer is critical, since when');
thaw($watchdog);
severity_becomes('0', 'when the watchdog answers again health has no severity');

# ---- a row that somebody holds

my $holder = $node->background_psql('postgres');
$holder->query_safe("SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'operator', 'test', 2);"
	  . " BEGIN; SELECT FROM dot_config WHERE key = '$gate' FOR UPDATE");
becomes("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog'", 'overdue',
	'the watchdog is overdue while the row of an expired gate is held');
health_becomes('^2 CRITICAL: .*overdue since .*row locked by pid [0-9]+',
	'the row of an expired gate that is held is critical, by whom');
$holder->query_safe('COMMIT');
severity_becomes('0', 'when the row is let go health has no severity');

# Set beside the protocol under a lock: no time of its end, but it may not stay.
$holder->query_safe("BEGIN; SELECT FROM dot_config WHERE key = '$gate' FOR KEY SHARE");
sql("UPDATE dot_config SET value = 'true' WHERE key = '$gate'");
$holder->query_safe('COMMIT');
wait_until("SELECT value FROM dot_config WHERE key = '$gate'", 'false');
severity_becomes('0', 'when a gate that was set beside the protocol is closed health has no severity');

# ---- no watchdog at all

sql('ALTER ROLE iu_core_worker NOLOGIN');
sql("SELECT pg_terminate_backend($watchdog)");
severity_becomes('2', 'a watchdog whose role may not log in is critical');
becomes('SELECT message FROM iu_core.health()',
	'watchdog of database "postgres": role cannot log in (role "iu_core_worker" is not permitted to log in)',
	'health says why the watchdog cannot start') ;
sql('ALTER ROLE iu_core_worker LOGIN');
severity_becomes('0', 'when the role may log in again health has no severity');
$watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');

sql('CREATE DATABASE beside');
sql('CREATE EXTENSION iu_core', 'beside');
like(health('beside'), qr/^2 CRITICAL: no watchdog serves database "beside": name it in iu_core\.databases/,
	'a database that no watchdog serves is critical to itself');
is((split / /, health())[0], '0', 'a database that no watchdog serves is no trouble of the others');
sql('SELECT count(*) FROM iu_core.migrate()', 'beside');

# A sender that fails is a warning: nothing is open for longer because of it.
my $sender = sql("SELECT pid FROM iu_core.worker_status WHERE role = 'sender'");
sql('REVOKE EXECUTE ON FUNCTION iu.fn_iu_delivery_next_due FROM iu_core_worker');
sql('SELECT iu_core.wake()');
# The runner may find meanwhile that the function has not the grants that it should have, which comes first.
health_becomes('(^1 WARNING: |; )sender 1 of database "postgres": failing', 'a sender that fails is a warning');
sql('GRANT EXECUTE ON FUNCTION iu.fn_iu_delivery_next_due TO iu_core_worker; SELECT iu_core.wake()');
severity_becomes('0', 'when the sender does not fail any more health has no severity');

# A role that has another name gives nobody the rights that are asked for by its name.
foreach my $role (qw(iu_core_owner iu_core_reader iu_core_writer iu_core_operator iu_core_admin iu_core_agent
	iu_core_check))
{
	sql("ALTER ROLE $role RENAME TO elsewhere");
	like(health(), qr/^2 CRITICAL: .*role "$role" does not exist: it was renamed or dropped/,
		"a renamed $role is critical, by its name");
	sql("ALTER ROLE elsewhere RENAME TO $role");
}
severity_becomes('0', 'when every role has its name again health has no severity');

# The runner looks once a minute; one that has just started looks at once.
my $checksum = sql('SELECT checksum FROM iu_core.applied_migration WHERE version = 5');
sub look { sql("SELECT pg_terminate_backend(pid) FROM iu_core.worker_status WHERE role = 'runner'") }
sql("UPDATE iu_core.applied_migration SET checksum = repeat('0', 64) WHERE version = 5");
look();
health_becomes('^2 CRITICAL: .*migration 5 .*has drifted', 'a migration that has drifted is critical, by its number');
sql("UPDATE iu_core.applied_migration SET checksum = '$checksum' WHERE version = 5");
look();
severity_becomes('0', 'when the migration is what was applied health has no severity');

# One that stands still cannot say so.
freeze($sender);
sql('SELECT iu_core.wake()');
health_becomes('(^1 WARNING: |; )sender 1 of database "postgres": has not looked around since',
	'a sender that stands still is a warning soon after it was woken');
thaw($sender);
severity_becomes('0', 'when the sender goes on health has no severity');

# ---- copies

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
talk_to($standby);
is(sql('SELECT severity, message FROM iu_core.health()'),
	'0|this server is a standby: the workers start when it is promoted',
	'a standby says that its workers start when it is promoted');
$standby->promote;
becomes(q(SELECT severity = 0 AND message LIKE '4 processes%' FROM iu_core.health()),
	'a promoted standby counts four processes');
$standby->stop;
talk_to($node);

# ---- without the library

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
like(health(), qr/^2 CRITICAL: iu_core is not in shared_preload_libraries/,
	'a library that is not preloaded is critical');

$node->stop;
done_testing();
