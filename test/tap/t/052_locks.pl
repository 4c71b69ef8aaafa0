# A lock delays the close of what it locks, and nothing else; who holds it is told.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Process;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $locked = 'iu_core.composer_enabled';
my $other  = 'iu_core.structure_ops_enabled';

my $node = IU::Cluster->new_installed('locks', max_prepared_transactions => 5);
my $session = $node->background_psql('postgres');
my $pid     = $session->query_safe("SET application_name = 'change window'; SELECT pg_backend_pid()");
my (@locked_ledger, @other_ledger);

talk_to($node);

# Until the watchdog's status matches a regular expression: the error it shows.
sub trouble
{
	my ($pattern) = @_;
	my $status = "SELECT last_error FROM iu_core.worker_status WHERE role = 'watchdog' AND state IN ('failing',"
		  . " 'overdue')";
	$node->poll_query_until('postgres', "SELECT EXISTS ($status AND last_error ~ '$pattern')");
	return sql($status);
}

# After a release: the gate is closed, and the watchdog has nothing to complain of.
sub recovers
{
	my ($what) = @_;
	push @locked_ledger, 'watchdog_close';
	ok(IU::Gate->wait_for_ledger($node, $locked, "@locked_ledger"), "$what: the gate is closed after the release");
	becomes("SELECT state || coalesce(last_error, '') FROM iu_core.worker_status WHERE role = 'watchdog'", 'running',
		"$what: the watchdog is running again after the release");
}

# With the row locked: the other gate closes, and who holds the row is named.
sub delays_no_other
{
	my ($what, $pattern) = @_;
	push @other_ledger, 'open', 'watchdog_close';
	IU::Gate->wait_for_expiry($node, $locked);
	IU::Gate->open($node, $other, 1);
	ok(IU::Gate->wait_for_ledger($node, $other, "@other_ledger"), "$what: another gate is closed meanwhile");
	is(IU::Gate->state($node, $locked), 'true closed',
		"$what: the gate reads closed meanwhile, though its row says true");
	is(IU::Gate->ledger($node, $locked), "@locked_ledger",
		"$what: the close of the gate is not in the ledger meanwhile");
	like(trouble($pattern), qr/^gate \Q$locked\E is overdue since .*: $pattern/,
		"$what: the status of the watchdog names who holds the row");
	becomes("SELECT next_wakeup - last_tick BETWEEN interval '15 ms' AND interval '1 s' FROM iu_core.worker_status"
		  . " WHERE role = 'watchdog'", "$what: the watchdog tries again soon, and sleeps between its tries");
}

# Opened, and locked by the same session before the watchdog can close it.
sub open_locked
{
	my ($lock) = @_;
	$session->query_safe("SELECT fn_iu_gate_open('$locked', gen_random_uuid(), 'operator', 'test', 2); BEGIN; $lock");
	push @locked_ledger, 'open';
}

# A row -------------------------------------------------------------------

foreach my $lock ('SELECT FROM dot_config WHERE key = \'%s\' FOR UPDATE',
	'UPDATE dot_config SET description = description WHERE key = \'%s\'')
{
	open_locked(sprintf $lock, $locked);
	delays_no_other('row locked by an idle transaction',
		"row locked by pid $pid \\(application \"change window\", user");
	$session->query_safe('ROLLBACK');
	recovers('row locked by an idle transaction');
}

open_locked("UPDATE dot_config SET description = description WHERE key = '$locked'; PREPARE TRANSACTION 'change"
	  . " window 7'");
delays_no_other('row locked by a prepared transaction', 'row locked by prepared transaction "change window 7" \\(user');
$session->query_safe("ROLLBACK PREPARED 'change window 7'");
recovers('row locked by a prepared transaction');

open_locked("UPDATE dot_config SET description = description WHERE key = '$locked'; PREPARE TRANSACTION 'change"
	  . " window 8'");
IU::Gate->wait_for_expiry($node, $locked);
$session->query_safe("COMMIT PREPARED 'change window 8'");
recovers('a prepared transaction that is committed');

# A minute later it would look without being woken.
$session->query_safe("BEGIN; SELECT fn_iu_gate_open('$locked', gen_random_uuid(), 'x', NULL, 1); PREPARE TRANSACTION"
	  . " 'change window 9'");
{
	local $PostgreSQL::Test::Utils::timeout_default = 30;
	push @locked_ledger, 'open', 'watchdog_close';
	$session->query_safe("COMMIT PREPARED 'change window 9'");
	ok(IU::Gate->wait_for_ledger($node, $locked, "@locked_ledger"),
		'the commit of a prepared opening wakes the watchdog');
}

# An opening of the locked gate waits for the row, and another gate's does not.
open_locked("SELECT FROM dot_config WHERE key = '$locked' FOR UPDATE");
like(error_of("SET lock_timeout = '10ms'; SELECT fn_iu_gate_open('$locked', gen_random_uuid(), 'x', NULL, 1)"),
	qr/lock timeout/, 'whoever opens a gate whose row is locked waits for the row');
$session->query_safe('COMMIT');
recovers('row locked against an opening');

# A table -----------------------------------------------------------------

foreach my $case (
	[ 'ACCESS EXCLUSIVE', 'dot_config' ],
	[ 'ACCESS EXCLUSIVE', 'iu_gate_transition' ],
	[ 'ACCESS EXCLUSIVE', 'iu_gate_registry' ],
	[ 'SHARE ROW EXCLUSIVE', 'dot_config' ],
	[ 'SHARE', 'iu_gate_transition' ])
{
	my ($mode, $table) = @$case;
	open_locked("LOCK TABLE $table IN $mode MODE");
	like(trouble('locked by'), qr/table locked by pid $pid \(application "change window", user/,
		"$table in $mode mode: the status of the watchdog names who holds the table");
	my $passes = "SELECT (counters ->> 'passes')::int FROM iu_core.worker_status WHERE role = 'watchdog'";
	my $before = sql($passes);
	becomes("SELECT ($passes) > $before + 2", "$table in $mode mode: the watchdog goes on trying");
	$session->query_safe('COMMIT');
	recovers("$table in $mode mode");
}

# One that waits for a table keeps all others from it that come later.
my $altering = $node->background_psql('postgres');
open_locked('SELECT count(*) FROM dot_config');
start_query($altering, 'ALTER TABLE dot_config ADD CONSTRAINT test CHECK (true)');
like(trouble('kept'), qr/table kept, from one that waits to lock it, by pid $pid \(application "change window", user/,
	'a table wanted for ALTER TABLE: the status of the watchdog names who keeps it');
$session->query_safe('COMMIT');
$altering->query_safe('ALTER TABLE dot_config DROP CONSTRAINT test');
recovers('a table wanted for ALTER TABLE');
$altering->quit;

# The run ledger is no reason to keep a gate open.
open_locked('LOCK TABLE dot_iu_command_run IN ACCESS EXCLUSIVE MODE');
recovers('run log locked, which keeps no gate open, before and');
$session->query_safe('COMMIT');
like(sql("SELECT reason FROM iu_gate_transition WHERE gate_key = '$locked' ORDER BY transition_seq DESC LIMIT 1"),
	qr/^expired at .* \(run not logged: /, 'with the run log locked the gate ledger says that the run was not logged');

# Many gates at once: each pass names some, and counts the rest. All are due before the watchdog looks, so that its
# first complaint, which it repeats after a minute only, is about all of them.
my $from = -s $node->logfile;
my $watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');
sql("SELECT fn_iu_gate_define('many.gate_' || n, 'one of many', 'tester', 'test') FROM generate_series(1, 60) n");
freeze_idle(\&sql, $watchdog);
$session->query_safe("SELECT fn_iu_gate_open('many.gate_' || n, gen_random_uuid(), 'operator', 'test', 1)"
	  . " FROM generate_series(1, 60) n; BEGIN; SELECT FROM dot_config WHERE key LIKE 'many.gate%' FOR UPDATE");
wait_until("SELECT max(expires_at) < clock_timestamp() FROM iu_gate_transition WHERE gate_key LIKE 'many.gate%'");
thaw($watchdog);
ok($node->wait_for_log(qr/gate many\.gate_\d+ is overdue since .*; and \d+ more$/m, $from),
	'of many gates that are overdue at once some are named, and the rest counted');
$session->query_safe('ROLLBACK');
becomes("SELECT count(*) FROM iu_gate_transition WHERE gate_key LIKE 'many.gate%' AND action = 'watchdog_close'", '60',
	'many gates that are overdue at once are all closed after the release');

is(sql("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'true',
	'when no lock is left verify says that all is safe');
$session->quit;
done_testing();
