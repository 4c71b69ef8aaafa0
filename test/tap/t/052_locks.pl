# A lock delays the close of what it locks, and nothing else; who holds it is told.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use PostgreSQL::Test::Utils;
use Test::More;

my $locked = 'iu_core.composer_enabled';
my $other  = 'iu_core.structure_ops_enabled';

my $node = IU::Cluster->new_node('locks', max_prepared_transactions => 5);
IU::Cluster->install($node);
my $session = $node->background_psql('postgres');
my $pid     = $session->query_safe("SET application_name = 'change window'; SELECT pg_backend_pid()");
my (@locked_ledger, @other_ledger);

sub value { return $node->safe_psql('postgres', $_[0]) }

# Until the watchdog's status matches a regular expression: the error it shows.
sub trouble
{
	my ($pattern) = @_;
	my $status = "SELECT last_error FROM iu_core.worker_status WHERE role = 'watchdog' AND state IN ('failing', 'overdue')";
	$node->poll_query_until('postgres', "SELECT EXISTS ($status AND last_error ~ '$pattern')");
	return value($status);
}

# After a release: the gate is closed, and the watchdog has nothing to complain of.
sub recovers
{
	my ($what) = @_;
	push @locked_ledger, 'watchdog_close';
	ok(IU::Gate->wait_for_ledger($node, $locked, "@locked_ledger"), "$what: closes after the release");
	ok($node->poll_query_until('postgres',
			"SELECT state || coalesce(last_error, '') FROM iu_core.worker_status WHERE role = 'watchdog'", 'running'),
		'and the watchdog is well');
}

# With the row locked: the other gate closes, and who holds the row is named.
sub delays_no_other
{
	my ($what, $pattern) = @_;
	push @other_ledger, 'open', 'watchdog_close';
	IU::Gate->wait_for_expiry($node, $locked);
	IU::Gate->open($node, $other, 1);
	ok(IU::Gate->wait_for_ledger($node, $other, "@other_ledger"), "$what: another gate closes meanwhile");
	is(IU::Gate->state($node, $locked), 'true closed', 'the locked one reads closed, though the table says true');
	is(IU::Gate->ledger($node, $locked), "@locked_ledger", 'and its close is not recorded');
	like(trouble($pattern), qr/^gate \Q$locked\E is overdue since .*: $pattern/, 'the status names who');
}

sub open_locked
{
	IU::Gate->open($node, $locked, 1);
	push @locked_ledger, 'open';
}

# A row -------------------------------------------------------------------

foreach my $lock ('SELECT FROM dot_config WHERE key = \'%s\' FOR UPDATE', 'UPDATE dot_config SET description = description WHERE key = \'%s\'')
{
	open_locked();
	$session->query_safe('BEGIN; ' . sprintf($lock, $locked));
	delays_no_other('row locked by an idle transaction', "row locked by pid $pid \\(application \"change window\", user");
	$session->query_safe('ROLLBACK');
	recovers('row locked by an idle transaction');
}

open_locked();
$session->query_safe("BEGIN; UPDATE dot_config SET description = description WHERE key = '$locked'; PREPARE TRANSACTION 'change window 7'");
delays_no_other('row locked by a prepared transaction', 'row locked by prepared transaction "change window 7" \\(user');
$session->query_safe("ROLLBACK PREPARED 'change window 7'");
recovers('row locked by a prepared transaction');

open_locked();
$session->query_safe("BEGIN; UPDATE dot_config SET description = description WHERE key = '$locked'; PREPARE TRANSACTION 'change window 8'");
IU::Gate->wait_for_expiry($node, $locked);
$session->query_safe("COMMIT PREPARED 'change window 8'");
recovers('a prepared transaction that is committed');

# A minute later it would look without being woken.
$session->query_safe("BEGIN; SELECT fn_iu_gate_open('$locked', gen_random_uuid(), 'x', NULL, 1); PREPARE TRANSACTION 'change window 9'");
{
	local $PostgreSQL::Test::Utils::timeout_default = 30;
	push @locked_ledger, 'open', 'watchdog_close';
	$session->query_safe("COMMIT PREPARED 'change window 9'");
	ok(IU::Gate->wait_for_ledger($node, $locked, "@locked_ledger"), 'the commit of a prepared opening wakes the watchdog');
}

# An opening of the locked gate waits for the row, and another gate's does not.
open_locked();
$session->query_safe("BEGIN; SELECT FROM dot_config WHERE key = '$locked' FOR UPDATE");
my ($rc, $out, $err) = $node->psql('postgres', "SET lock_timeout = '10ms'; SELECT fn_iu_gate_open('$locked', gen_random_uuid(), 'x', NULL, 1)");
like($err, qr/lock timeout/, 'whoever opens a locked gate waits for the row as for any row');
$session->query_safe('COMMIT');
recovers('and');

# A table -----------------------------------------------------------------

foreach my $case (
	[ 'ACCESS EXCLUSIVE', 'dot_config' ],
	[ 'ACCESS EXCLUSIVE', 'iu_gate_transition' ],
	[ 'ACCESS EXCLUSIVE', 'iu_gate_registry' ],
	[ 'SHARE ROW EXCLUSIVE', 'dot_config' ],
	[ 'SHARE', 'iu_gate_transition' ])
{
	my ($mode, $table) = @$case;
	open_locked();
	$session->query_safe("BEGIN; LOCK TABLE $table IN $mode MODE");
	like(trouble('locked by'), qr/table locked by pid $pid \(application "change window", user/, "$table in $mode mode: the status names who");
	my $passes = "SELECT (counters ->> 'passes')::int FROM iu_core.worker_status WHERE role = 'watchdog'";
	my $before = value($passes);
	ok($node->poll_query_until('postgres', "SELECT ($passes) > $before + 2"), 'the watchdog goes on trying');
	$session->query_safe('COMMIT');
	recovers("$table in $mode mode");
}

# One that waits for a table keeps all others from it that come later.
open_locked();
my $altering = $node->background_psql('postgres');
$session->query_safe('BEGIN; SELECT count(*) FROM dot_config');
$altering->query_until(qr/altering/, "\\echo altering\nALTER TABLE dot_config ADD CONSTRAINT test CHECK (true);\n");
like(trouble('kept'), qr/table kept, from one that waits to lock it, by pid $pid \(application "change window", user/,
	'a table wanted for ALTER TABLE: the status names who keeps it');
$session->query_safe('COMMIT');
$altering->query_safe('ALTER TABLE dot_config DROP CONSTRAINT test');
recovers('a table wanted for ALTER TABLE');
$altering->quit;

# The run ledger is no reason to keep a gate open.
open_locked();
$session->query_safe('BEGIN; LOCK TABLE dot_iu_command_run IN ACCESS EXCLUSIVE MODE');
recovers('the run ledger locked, which does not matter, before and');
$session->query_safe('COMMIT');
like(value("SELECT reason FROM iu_gate_transition WHERE gate_key = '$locked' ORDER BY transition_seq DESC LIMIT 1"),
	qr/^expired at .* \(run not logged: /, 'the gate ledger says that the run is missing');

is(value("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'true', 'all is safe');
$session->quit;
done_testing();
