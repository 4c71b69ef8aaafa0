# A watchdog that does not do its work is seen by whoever looks, without its
# help: iu_core.worker_status turns red, iu_core.health() tells a monitor.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);

my $gate  = 'iu_core.delivery_enabled';
my $other = 'iu_core.composer_enabled';
my $node  = IU::Cluster->init_node('health', { allows_streaming => 1 });
$node->start;
my $watchdog;

sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]) }
sub health { return sql('SELECT severity || \' \' || status || \': \' || message FROM iu_core.health()', $_[0]) }
sub state { return sql("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog' AND database = 'postgres'") }

sub becomes
{
	my ($query, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($node->poll_query_until('postgres', $query, $expected), $name) or diag(health(), "\n", sql($query));
}
sub severity_becomes { becomes('SELECT severity FROM iu_core.health()', @_) }

sub stop_process
{
	my ($pid) = @_;
	kill('STOP', $pid);
	usleep(10_000) until slurp_file("/proc/$pid/status") =~ /^State:\s+T/m;
}
END { kill('CONT', $watchdog) if $watchdog }

# ---- well, and not yet so

sql('CREATE EXTENSION iu_core');
becomes("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog'", 'nothing migrated', 'nothing is migrated');
like(health(), qr/^1 WARNING: .*watchdog of database "postgres": nothing migrated/, 'which is a warning');
sql('SELECT count(*) FROM iu_core.migrate()');
$watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');
severity_becomes('0', 'all is well');
like(health(), qr/^0 OK: 4 processes/, 'and said so');
is(sql('SET ROLE iu_core_reader; SELECT severity FROM iu_core.health()'), '0', 'a reader may ask');
like(sql("SELECT proacl FROM pg_proc WHERE proname = 'health'"), qr/^(?!.*[{,]=)/, 'nobody else');
sql('BEGIN; LOCK dot_config, iu_gate_transition IN ACCESS EXCLUSIVE MODE; SELECT severity FROM iu_core.health(); COMMIT');

# ---- stopped with a gate open

IU::Gate->open($node, $gate, 3);
becomes("SELECT next_wakeup < now() + interval '5 s' FROM iu_core.worker_status WHERE role = 'watchdog'", 't', 'it knows when to close');
stop_process($watchdog);
is(state(), 'running', 'stopped: running as far as anybody can tell');
becomes("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog'", 'overdue', 'red, once its close is overdue');
is(sql("SELECT clock_timestamp() > max(expires_at) FROM iu_gate_transition"), 't', 'not before');
is(sql("SELECT since = (SELECT max(expires_at) FROM iu_gate_transition) FROM iu_core.worker_status WHERE role = 'watchdog'"), 't', 'since its end');
like(sql("SELECT last_error FROM iu_core.worker_status WHERE role = 'watchdog'"), qr/^a gate was to be closed by 20.*, and is not$/, 'saying what');
like(health(), qr/^2 CRITICAL: watchdog of database "postgres": overdue since 20.*a gate was to be closed by/, 'critical');
is(IU::Gate->state($node, $gate), 'true closed', 'the gate reads closed');
kill('CONT', $watchdog);
becomes("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog'", 'running', 'it goes on: well again');
severity_becomes('0', 'for the monitor as well');
is(IU::Gate->ledger($node, $gate), 'open watchdog_close', 'and has closed');

# ---- stopped before the gate was opened, when it knew of none

stop_process($watchdog);
is((split / /, health())[0], '0', 'stopped while nothing is to be done: nothing to tell');
IU::Gate->open($node, $other, 1);
my $opened = time;
becomes("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog'", 'overdue', 'an open that it does not answer turns it red');
cmp_ok(time - $opened, '<', 10, 'long before its minute of sleep is over');
like(health(), qr/^2 CRITICAL: .*has not answered since 20/, 'critical, saying so');
kill('CONT', $watchdog);
severity_becomes('0', 'well again');

# ---- a row that somebody holds

my $holder = $node->background_psql('postgres');
IU::Gate->open($node, $gate, 1);
$holder->query_safe("BEGIN; SELECT FROM dot_config WHERE key = '$gate' FOR UPDATE");
becomes("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog'", 'overdue', 'a row held over its end is overdue too');
like(health(), qr/^2 CRITICAL: .*overdue since .*row locked by pid \d+/, 'and says who holds it');
$holder->query_safe('COMMIT');
severity_becomes('0', 'well again');

# Set beside the protocol under a lock: no time of its end, but it may not stay.
$holder->query_safe("BEGIN; SELECT FROM dot_config WHERE key = '$gate' FOR KEY SHARE");
sql("UPDATE dot_config SET value = 'true' WHERE key = '$gate'");
$holder->query_safe('COMMIT');
$node->poll_query_until('postgres', "SELECT value FROM dot_config WHERE key = '$gate'", 'false');
severity_becomes('0', 'one set beside the protocol is closed');

# ---- no watchdog at all

sql('ALTER ROLE iu_core_worker NOLOGIN');
sql("SELECT pg_terminate_backend($watchdog)");
severity_becomes('2', 'a watchdog that cannot start is critical');
becomes('SELECT message FROM iu_core.health()', 'watchdog of database "postgres": role cannot log in (role "iu_core_worker" is not permitted to log in)', 'with its reason') ;
sql('ALTER ROLE iu_core_worker LOGIN');
severity_becomes('0', 'well again');
$watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');

sql('CREATE DATABASE beside');
sql('CREATE EXTENSION iu_core', 'beside');
like(health('beside'), qr/^2 CRITICAL: no watchdog serves database "beside": name it in iu_core\.databases/, 'a database that is not served says so');
is((split / /, health())[0], '0', 'and is no matter of the others');
sql('SELECT count(*) FROM iu_core.migrate()', 'beside');

# A sender that fails is a warning: nothing is open for longer because of it.
my $sender = sql("SELECT pid FROM iu_core.worker_status WHERE role = 'sender'");
sql('REVOKE EXECUTE ON FUNCTION fn_iu_delivery_next_due FROM iu_core_worker');
sql('SELECT iu_core.wake()');
severity_becomes('1', 'a sender that fails');
like(health(), qr/^1 WARNING: sender 1 of database "postgres": failing/, 'is a warning');
sql('GRANT EXECUTE ON FUNCTION fn_iu_delivery_next_due TO iu_core_worker; SELECT iu_core.wake()');
severity_becomes('0', 'well again');

# ---- copies

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', 'SELECT severity, message FROM iu_core.health()'), '0|this server is a standby: the workers start when it is promoted', 'a standby');
$standby->promote;
ok($standby->poll_query_until('postgres', 'SELECT severity = 0 AND message LIKE \'4 processes%\' FROM iu_core.health()'), 'promoted, it is a server like any other');
$standby->stop;

# ---- without the library

undef $watchdog;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
like(health(), qr/^2 CRITICAL: iu_core is not in shared_preload_libraries/, 'not preloaded');

$node->stop;
done_testing();
