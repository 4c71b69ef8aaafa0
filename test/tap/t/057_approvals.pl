# Approvals between sessions and on the clock: one use of many, a standing
# approval that keeps a gate open without a gap, and its end.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $composer  = 'iu_core.composer_enabled';
my $structure = 'iu_core.structure_ops_enabled';
my $delivery  = 'iu_core.delivery_enabled';
my $runtime   = 'iu_core.operator_runtime_enabled';
my $jobs      = 'queue.job_substrate.enabled';

my $node = IU::Cluster->new_node('approvals', max_connections => 150, log_statement => 'none');
IU::Cluster->install($node);

sub value { return $node->safe_psql('postgres', $_[0]) }

# As a login role: what psql prints, and what it complains of.
sub as_role
{
	my ($role, $sql) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", extra_params => [ '-U', $role ]);
	return wantarray ? ($out, $err) : $out;
}

sub approval
{
	my ($gate, %terms) = @_;
	my $id = as_role('olga', sprintf(q{SELECT fn_iu_gate_approval_grant('%s', '%s', %s, clock_timestamp() + '%s', 'olga', 'test', '%s') ->> 'approval_id'},
			$gate, $terms{action} // 'open', $terms{ttl} // 60, $terms{for} // '1 hour', $terms{kind} // 'single'));
	like($id, qr/^[0-9a-f-]{36}$/, "an approval for $gate");
	return $id;
}

sub open_sql
{
	my ($gate, $approval, $actor, $ttl) = @_;
	return "SELECT fn_iu_gate_open('$gate', '$approval', '$actor', 'test', $ttl) ->> 'status';";
}

sub revoke_sql { return "SELECT fn_iu_gate_approval_revoke('$_[0]', 'olga', 'enough');" }

# A pass of the watchdog that began after this call.
sub wait_for_pass
{
	my $passes = "SELECT (counters ->> 'passes')::bigint FROM iu_core.worker_status WHERE role = 'watchdog'";
	my $after = value($passes) + 2;
	foreach (1 .. 1000)
	{
		return if value("SELECT iu_core.wake(); $passes") =~ /(\d+)\s*$/ && $1 >= $after;
		usleep(10_000);
	}
	die 'the watchdog makes no pass';
}

value('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE oscar LOGIN IN ROLE iu_core_operator;'
	  . 'CREATE ROLE ada LOGIN IN ROLE iu_core_admin; CREATE ROLE robot LOGIN IN ROLE iu_core_agent');

# Open for a minute on a standing approval, asked every millisecond ----------

value(<<'SQL');
CREATE FUNCTION public.watch_gate(p_gate text, p_seconds integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_end    timestamptz := clock_timestamp() + make_interval(secs => p_seconds);
  v_asked  integer := 0;
  v_closed integer := 0;
BEGIN
  WHILE clock_timestamp() < v_end LOOP
    v_asked := v_asked + 1;
    IF NOT iu_core.gate_is_open(p_gate) THEN v_closed := v_closed + 1; END IF;
    PERFORM pg_sleep(0.001);
  END LOOP;
  RETURN format('asked %s times, closed %s times', v_asked, v_closed);
END $$
SQL
my $standing = approval($delivery, kind => 'standing', ttl => 5);
is(as_role('robot', open_sql($delivery, $standing, 'robot', 5)), 'opened', 'an agent opens for 5 s on a standing approval');
my ($seen, $complaints) = ('', '');
my $reader = IPC::Run::start(
	[ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT watch_gate('$delivery', 60)" ],
	'<', \undef, '>', \$seen, '2>', \$complaints);

# One approval, a hundred at once ---------------------------------------------

my $gatekeeper = $node->background_psql('postgres');

sub race
{
	my (@statements) = @_;
	my @racers;
	$gatekeeper->query_safe('SELECT pg_advisory_lock(3)');
	foreach my $statement (@statements)
	{
		my %racer = (out => '', err => '');
		$racer{run} = IPC::Run::start(
			[ $node->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=1', '-U', 'oscar', '-d', $node->connstr('postgres'),
				'-c', 'SELECT pg_advisory_lock_shared(3)', map { ('-c', $_) } @$statement ],
			'<', \undef, '>', \$racer{out}, '2>', \$racer{err});
		push @racers, \%racer;
	}
	$node->poll_query_until('postgres', "SELECT count(*) = " . scalar(@statements) . " FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
	  or die 'they do not all wait';
	$gatekeeper->query_safe('SELECT pg_advisory_unlock(3)');
	IPC::Run::finish($_->{run}) foreach @racers;
	return @racers;
}

my $once = approval($composer);
my @racers = race(map { [ open_sql($composer, $once, "worker $_", 60) ] } 1 .. 100);
is(scalar(grep { $_->{out} =~ /^opened$/m } @racers), 1, 'of 100 concurrent uses of an approval one succeeds');
is(scalar(grep { $_->{err} =~ /55006: gate "\Q$composer\E" is open until/ } @racers), 99, 'the others find the gate open');
value("SELECT fn_iu_gate_close('$composer', 'operator', 'done')");

my $each = approval($structure);
@racers = race(map { [ 'BEGIN', open_sql($structure, $each, "worker $_", 60), "SELECT fn_iu_gate_close('$structure', 'worker $_', 'done') ->> 'status'", 'COMMIT' ] } 1 .. 100);
is(scalar(grep { $_->{out} =~ /^opened$/m } @racers), 1, 'where each would leave the gate closed again, one succeeds too');
is(scalar(grep { $_->{err} =~ /IU102: approval \Q$each\E was used at [-0-9]+ [0-9:.]+ UTC by "oscar"$/m } @racers), 99, 'and 99 are told that it was used');
is(IU::Gate->ledger($node, $structure), 'open close', 'the ledger knows of one');

my $unused = approval($structure);
@racers = race(map { [ 'BEGIN', open_sql($structure, $unused, "worker $_", 60), 'ROLLBACK' ] } 1 .. 20);
is(scalar(grep { $_->{out} =~ /^opened$/m } @racers), 20, 'what is rolled back used nothing');
is(as_role('oscar', "BEGIN; " . open_sql($structure, $unused, 'oscar', 60) . "ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; " . open_sql($structure, $unused, 'oscar', 60) . 'COMMIT;'),
	"opened\nopened", 'nor under REPEATABLE READ');
value("SELECT fn_iu_gate_close('$structure', 'operator', 'done')");

# What a transaction may not overlook -----------------------------------------

my $late = $node->background_psql('postgres', extra_params => [ '-U', 'oscar', '-v', 'VERBOSITY=verbose' ], on_error_stop => 0);
my $revoked = approval($structure);
$late->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM iu_gate_approval');
as_role('olga', revoke_sql($revoked));
$late->query(open_sql($structure, $revoked, 'oscar', 60));
like($late->{stderr}, qr/40001: could not serialize access/, 'a snapshot from before the revocation does not open on it');
$late->query('ROLLBACK');
$late->{stderr} = '';

$late->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM iu_gate_approval');
is(as_role('ada', q{SELECT fn_iu_gate_approval_mode_set('strict', 'ada', 'test') ->> 'status'}), 'set', 'strict mode');
$late->query(open_sql($structure, '00000000-0000-0000-0000-000000000001', 'oscar', 60));
like($late->{stderr}, qr/40001: could not serialize access/, 'nor does one from before strict mode on any id');
$late->query('ROLLBACK');
$late->{stderr} = '';

as_role('ada', q{SELECT fn_iu_gate_approval_mode_set('default', 'ada', 'test')});
$late->query_safe('BEGIN; ' . open_sql($structure, '00000000-0000-0000-0000-000000000002', 'oscar', 60));
my ($set, $refusal) = as_role('ada', q{SET lock_timeout = '100ms'; SELECT fn_iu_gate_approval_mode_set('strict', 'ada', 'test')});
like($refusal, qr/55P03/, 'strict mode waits for openings under the old mode');
$late->query_safe('ROLLBACK');

# Agents, strict mode and break-glass over real logins ------------------------

like((as_role('robot', open_sql($runtime, '00000000-0000-0000-0000-000000000003', 'robot', 60)))[1], qr/IU101: approval .* is not registered/, 'an agent needs a registered approval in default mode as well');
my $lasting = approval($runtime);
is(as_role('robot', open_sql($runtime, $lasting, 'robot', 60)), 'opened', 'with one it opens');
is(as_role('robot', "SELECT fn_iu_gate_close('$runtime', 'robot', 'done') ->> 'status'"), 'closed', 'and closes');
like((as_role('robot', "SELECT fn_iu_gate_close('$delivery', 'robot', 'done') FROM dot_config"))[1], qr/42501: permission denied for table dot_config/, 'it reads no table');

my $log = -s $node->logfile;
is(as_role('olga', "SET client_min_messages = error; SELECT fn_iu_gate_break_glass('$composer', 'olga', 'the site is down', 60) ->> 'status'"), 'opened', 'break-glass opens');
like(slurp_file($node->logfile, $log), qr/WARNING:  break-glass: gate "\Q$composer\E" opened by "olga" without anybody's approval, for 60 s\n.*DETAIL:  Actor: olga\. Reason: the site is down\./,
	'and the server log has it, whatever its client wants to hear');
value("SELECT fn_iu_gate_close('$composer', 'operator', 'done')");

# A minute later -----------------------------------------------------------------

IPC::Run::finish($reader);
is($complaints, '', 'the reader was not disturbed');
like($seen, qr/^asked [1-9]\d{3,} times, closed 0 times$/, 'for 60 s no question found the gate closed');
note($seen);
cmp_ok(value("SELECT count(*) FROM iu_gate_transition WHERE gate_key = '$delivery' AND approval_id = '$standing' AND ttl_seconds = 5"), '>', 12, 'its openings last 5 s each');
is(value("SELECT count(*) FROM (SELECT created_at, lag(expires_at) OVER (ORDER BY transition_seq) AS end_before FROM iu_gate_transition WHERE gate_key = '$delivery') t WHERE created_at >= end_before"),
	0, 'each is renewed before it ends');
is(value("SELECT string_agg(DISTINCT actor || ' ' || action, ', ') FROM iu_gate_transition WHERE gate_key = '$delivery'"), 'robot open', 'for the agent that opened it');
ok($node->poll_query_until('postgres', "SELECT (counters ->> 'renewed')::bigint = (SELECT count(*) - 1 FROM iu_gate_transition WHERE gate_key = '$delivery')"
	  . " FROM iu_core.worker_status WHERE role = 'watchdog'"), 'the watchdog counts what it renews');
is(value("SELECT count(*) FROM iu_gate_transition t LEFT JOIN dot_iu_command_run r USING (run_id) WHERE t.gate_key = '$delivery' AND r.evidence ->> 'session_user' IS DISTINCT FROM 'robot'"),
	0, 'and each has its run');

# Its end -------------------------------------------------------------------------

my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($holder->query_safe("SELECT iu_core.gate_is_open('$delivery') FROM dot_config LIMIT 1"), 't', 'open to a long transaction');
is(as_role('olga', "BEGIN; " . revoke_sql($standing) =~ s/;$/ ->> 'closed';/r . " SELECT iu_core.gate_is_open('$delivery'); ROLLBACK"), "true\nf", 'a revocation closes within its transaction');
is($holder->query_safe("SELECT iu_core.gate_is_open('$delivery')"), 't', 'if it is rolled back it was none');
is(as_role('olga', revoke_sql($standing) =~ s/;$/ ->> 'closed';/r), 'true', 'a revocation that is committed');
is($holder->query_safe("SELECT iu_core.gate_is_open('$delivery')"), 'f', 'closes to the next question, of a long transaction too');
$holder->query_safe('COMMIT');
is(IU::Gate->state($node, $delivery), 'false closed', 'in the table as well');
my $history = IU::Gate->ledger($node, $delivery);
like($history, qr/^(open )+close$/, 'and in the ledger');
wait_for_pass();
is(IU::Gate->ledger($node, $delivery), $history, 'the watchdog does not bring it back');
like((as_role('robot', open_sql($delivery, $standing, 'robot', 5)))[1], qr/IU104/, 'nor does anybody else');

# A gate whose row somebody keeps.
my $kept = approval($composer, kind => 'standing', ttl => 600);
is(as_role('oscar', open_sql($composer, $kept, 'oscar', 600)), 'opened', 'open on a standing approval');
$holder->query_safe("BEGIN; SELECT FROM dot_config WHERE key = '$composer' FOR UPDATE");
my $revocation = as_role('olga', "SELECT r ->> 'status', r ->> 'closed', r ->> 'blocker' FROM fn_iu_gate_approval_revoke('$kept', 'olga', 'enough') r");
like($revocation, qr/^revoked\|false\|row locked by pid \d+/, 'while somebody keeps the gate\'s row an approval is revoked all the same');
is(value("SELECT due_at FROM fn_iu_gate_expiring() WHERE gate_key = '$composer'"), '-infinity', 'and the gate is due at once');
ok($node->poll_query_until('postgres', "SELECT last_error ~ 'gate $composer may not be open and is not closed yet: row locked by' FROM iu_core.worker_status WHERE role = 'watchdog'"), 'the watchdog says what is in its way');
$holder->query_safe('COMMIT');
ok(IU::Gate->wait_for_ledger($node, $composer, 'open close open close open watchdog_close'), 'and closes once it can');
is(value("SELECT reason FROM iu_gate_transition WHERE gate_key = '$composer' ORDER BY transition_seq DESC LIMIT 1"), 'its approval was withdrawn', 'for that reason');

# One that cannot be renewed says so before it ends.
my $stuck = approval($runtime, kind => 'standing');
is(as_role('oscar', open_sql($runtime, $stuck, 'oscar', 8)), 'opened', 'open for 8 s on a standing approval');
is(as_role('oscar', "SELECT fn_iu_gate_close('$runtime', 'oscar', 'done') ->> 'status'"), 'closed', 'closed by hand');
wait_for_pass();
is(IU::Gate->state($node, $runtime), 'false closed', 'it stays closed');
is(as_role('oscar', open_sql($runtime, $stuck, 'oscar', 8)), 'opened', 'its holder opens it again');
$holder->query_safe("BEGIN; SELECT FROM dot_config WHERE key = '$runtime' FOR UPDATE");
ok($node->poll_query_until('postgres', "SELECT last_error ~ 'gate $runtime is to be renewed since .*: row locked by' FROM iu_core.worker_status WHERE role = 'watchdog'"), 'a renewal that cannot be is told');
$holder->query_safe('COMMIT');
ok($node->poll_query_until('postgres', "SELECT reason ~ '^renewed by iu_core watchdog on the standing approval of \"olga\"' FROM iu_gate_transition WHERE gate_key = '$runtime' ORDER BY transition_seq DESC LIMIT 1"), 'and made up for');

# Nobody renews: it ends.
my $alone = approval($jobs, kind => 'standing');
wait_for_pass();
my $watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');
kill('STOP', $watchdog);
is(as_role('oscar', open_sql($jobs, $alone, 'oscar', 2)), 'opened', 'open on a standing approval while the watchdog is stopped');
is(value(IU::Gate->watch_expiry($jobs)), 'open, then closed', 'it ends with its time');
kill('CONT', $watchdog);
ok(IU::Gate->wait_for_ledger($node, $jobs, 'open watchdog_close'), 'and is closed, not renewed, when the watchdog is back');

$_->quit foreach $late, $holder, $gatekeeper;
done_testing();
