# Approvals between sessions and on the clock: one use of many, a standing
# approval that keeps a gate open without a gap, and its end.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Process;
use IU::Race;
use IU::SQL;
use IU::Wait;
use IU::Lines;
use PostgreSQL::Test::Utils;
use Test::More;

my $composer  = 'iu_core.composer_enabled';
my $structure = 'iu_core.structure_ops_enabled';
my $delivery  = 'iu_core.delivery_enabled';
my $runtime   = 'iu_core.operator_runtime_enabled';
my $jobs      = 'queue.job_substrate.enabled';

my $node = IU::Cluster->new_installed('approvals', max_connections => 150, log_statement => 'none');

talk_to($node);

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
	my $id = as_role('olga', sprintf(q{SELECT fn_iu_gate_approval_grant('%s', '%s', %s, clock_timestamp() + '%s',
		  'olga', 'test', '%s', %s) ->> 'approval_id'},
			$gate, $terms{action} // 'open', $terms{ttl} // 60, $terms{for} // '1 hour', $terms{kind} // 'single',
			$terms{to} ? "'$terms{to}'" : 'NULL'));
	like($id, qr/^[0-9a-f-]{36}$/, "an approval for $gate is granted");
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
	my $after = sql($passes) + 2;
	wait_for { sql("SELECT iu_core.wake(); $passes") =~ /(\d+)\s*$/ && $1 >= $after }
		  or die 'the watchdog makes no pass';
	return;
}

sql('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE oscar LOGIN IN ROLE iu_core_operator;'
	  . 'CREATE ROLE ada LOGIN IN ROLE iu_core_admin; CREATE ROLE robot LOGIN IN ROLE iu_core_agent');

# Open for a minute on a standing approval, asked every millisecond ----------

sql(<<'SQL');
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
my $ttl = 10;
my $standing = approval($delivery, kind => 'standing', ttl => $ttl, to => 'robot');
is(as_role('robot', open_sql($delivery, $standing, 'robot', $ttl)), 'opened',
	"an agent opens for $ttl s on a standing approval");
my ($seen, $complaints) = ('', '');
my $reader = IPC::Run::start(
	[ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'), '-c',
	"SELECT watch_gate('$delivery', 60)" ],
	'<', \undef, '>', \$seen, '2>', \$complaints);

# One approval, a hundred at once ---------------------------------------------

sub race { return IU::Race->run($node, { user => 'oscar' }, @_) }

my $once = approval($composer);
my @racers = race(map { [ open_sql($composer, $once, "worker $_", 60) ] } 1 .. 100);
is(scalar(grep { $_->{out} =~ /^opened$/m } @racers), 1, 'of 100 uses of an approval at the same time one succeeds');
is(scalar(grep { $_->{err} =~ /55006: gate "\Q$composer\E" is open until/ } @racers), 99,
	'the other 99 uses of the approval are told that the gate is open');
sql("SELECT fn_iu_gate_close('$composer', 'operator', 'done')");

my $each = approval($structure);
@racers = race(map { [ 'BEGIN', open_sql($structure, $each, "worker $_", 60),
	"SELECT fn_iu_gate_close('$structure', 'worker $_', 'done') ->> 'status'", 'COMMIT' ] } 1 .. 100);
is(scalar(grep { $_->{out} =~ /^opened$/m } @racers), 1, 'of 100 uses that each close the gate again one succeeds');
is(scalar(grep { $_->{err} =~ /IU102: approval \Q$each\E was used at [-0-9]+ [0-9:.]+ UTC by "oscar"$/m } @racers), 99,
	'the other 99 uses that would close the gate again are told that the approval was used');
is(IU::Gate->ledger($node, $structure), 'open close',
	'the ledger has one opening and one close of an approval that 100 tried to use');

my $unused = approval($structure);
@racers = race(map { [ 'BEGIN', open_sql($structure, $unused, "worker $_", 60), 'ROLLBACK' ] } 1 .. 20);
is(scalar(grep { $_->{out} =~ /^opened$/m } @racers), 20,
	'an opening that is rolled back does not use its approval up');
is(as_role('oscar', "BEGIN; " . open_sql($structure, $unused, 'oscar', 60)
	  . "ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; " . open_sql($structure, $unused, 'oscar', 60) . 'COMMIT;'),
	"opened\nopened", 'an opening that is rolled back does not use its approval up under REPEATABLE READ');
sql("SELECT fn_iu_gate_close('$structure', 'operator', 'done')");

# What a transaction may not overlook -----------------------------------------

my $late = $node->background_psql('postgres', extra_params => [ '-U', 'oscar', '-v', 'VERBOSITY=verbose' ],
	on_error_stop => 0);
my $revoked = approval($structure);
$late->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM iu_gate_approval');
as_role('olga', revoke_sql($revoked));
$late->query(open_sql($structure, $revoked, 'oscar', 60));
like($late->{stderr}, qr/40001: could not serialize access/,
	'a snapshot from before the revocation cannot open on the approval');
$late->query('ROLLBACK');
$late->{stderr} = '';

$late->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM iu_gate_approval');
is(as_role('ada', q{SELECT fn_iu_gate_approval_mode_set('strict', 'ada', 'test') ->> 'status'}), 'set',
	'an administrator sets strict mode');
$late->query(open_sql($structure, '00000000-0000-0000-0000-000000000001', 'oscar', 60));
like($late->{stderr}, qr/40001: could not serialize access/,
	'a snapshot from before strict mode cannot open on an unregistered approval');
$late->query('ROLLBACK');
$late->{stderr} = '';

as_role('ada', q{SELECT fn_iu_gate_approval_mode_set('default', 'ada', 'test')});
$late->query_safe('BEGIN; ' . open_sql($structure, '00000000-0000-0000-0000-000000000002', 'oscar', 60));
my ($set, $refusal) = as_role('ada',
	q{SET lock_timeout = '100ms'; SELECT fn_iu_gate_approval_mode_set('strict', 'ada', 'test')});
like($refusal, qr/55P03/, 'strict mode waits for openings that began under the old mode');
$late->query_safe('ROLLBACK');

# Agents, strict mode and break-glass over real logins ------------------------

like((as_role('robot', open_sql($runtime, '00000000-0000-0000-0000-000000000003', 'robot', 60)))[1],
	qr/IU101: approval .* is not registered/, 'in default mode an agent needs a registered approval');
my $lasting = approval($runtime, to => 'robot');
is(as_role('robot', open_sql($runtime, $lasting, 'robot', 60)), 'opened',
	'in default mode an agent opens on a registered approval');
is(as_role('robot', "SELECT fn_iu_gate_close('$runtime', 'robot', 'done') ->> 'status'"), 'closed',
	'an agent closes the gate that it opened');
like((as_role('robot', "SELECT fn_iu_gate_close('$delivery', 'robot', 'done') FROM dot_config"))[1],
	qr/42501: permission denied for table dot_config/, 'an agent may read no table');

my $log = -s $node->logfile;
is(as_role('olga', "SET client_min_messages = error; SELECT fn_iu_gate_break_glass('$composer', 'olga', 'the site is"
	  . " down', 60) ->> 'status'"), 'opened', 'break-glass opens a gate without an approval');
like(slurp_file($node->logfile, $log),
	pattern(qr/WARNING:  break-glass: gate "\Q$composer\E" opened by "olga" without anybody's approval, for 60/,
		qr/ s\n.*DETAIL:  Actor: olga\. Reason: the site is down\./),
	'break-glass is a warning in the server log, whatever its client wants to hear');
sql("SELECT fn_iu_gate_close('$composer', 'operator', 'done')");

# A minute later -----------------------------------------------------------------

IPC::Run::finish($reader);
is($complaints, '', 'the session that asks for 60 s has no error');
like($seen, qr/^asked [1-9]\d{3,} times, closed 0 times$/, 'for 60 s nobody who asks finds the gate closed');
note($seen);
cmp_ok(sql("SELECT count(*) FROM iu_gate_transition WHERE gate_key = '$delivery' AND approval_id = '$standing'"
	  . " AND ttl_seconds = $ttl"), '>', 60 / $ttl,
	"each opening on the standing approval lasts $ttl s");
is(sql("SELECT count(*) FROM (SELECT created_at, lag(expires_at) OVER (ORDER BY transition_seq) AS end_before"
	  . " FROM iu_gate_transition WHERE gate_key = '$delivery') t WHERE created_at >= end_before"),
	0, 'each opening on the standing approval is made before the one before it ends');
is(sql("SELECT string_agg(DISTINCT actor || ' ' || action, ', ') FROM iu_gate_transition WHERE gate_key = '$delivery'"),
	'robot open', 'each opening on the standing approval is in the name of the agent that opened it');
becomes("SELECT (counters ->> 'renewed')::bigint = (SELECT count(*) - 1 FROM iu_gate_transition"
	  . " WHERE gate_key = '$delivery')"
	  . " FROM iu_core.worker_status WHERE role = 'watchdog'", 'the watchdog counts the openings that it renewed');
is(sql("SELECT count(*) FROM iu_gate_transition t LEFT JOIN dot_iu_command_run r USING (run_id)"
	  . " WHERE t.gate_key = '$delivery' AND r.evidence ->> 'session_user' IS DISTINCT FROM 'robot'"),
	0, "each opening on the standing approval has its run, with the agent's login");

# Its end -------------------------------------------------------------------------

my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($holder->query_safe("SELECT iu_core.gate_is_open('$delivery') FROM dot_config LIMIT 1"), 't',
	'a long transaction finds the gate open before the revocation');
is(as_role('olga', "BEGIN; " . revoke_sql($standing) =~ s/;$/ ->> 'closed';/r
	  . " SELECT iu_core.gate_is_open('$delivery'); ROLLBACK"), "true\nf",
	'a revocation closes the gate within its own transaction');
is($holder->query_safe("SELECT iu_core.gate_is_open('$delivery')"), 't',
	'a revocation that is rolled back leaves the gate open');
is(as_role('olga', revoke_sql($standing) =~ s/;$/ ->> 'closed';/r), 'true',
	'a revocation that is committed says that it closed the gate');
is($holder->query_safe("SELECT iu_core.gate_is_open('$delivery')"), 'f',
	'after the revocation a long transaction finds the gate closed');
$holder->query_safe('COMMIT');
is(IU::Gate->state($node, $delivery), 'false closed', "after the revocation the gate's row says false");
my $history = IU::Gate->ledger($node, $delivery);
like($history, qr/^(open )+close$/, 'after the revocation the ledger ends with a close');
wait_for_pass();
is(IU::Gate->ledger($node, $delivery), $history, 'the watchdog does not renew the opening of a revoked approval');
like((as_role('robot', open_sql($delivery, $standing, 'robot', $ttl)))[1], qr/IU104/,
	'nobody opens on a revoked approval');

# A gate whose row somebody keeps.
my $kept = approval($composer, kind => 'standing', ttl => 600);
is(as_role('oscar', open_sql($composer, $kept, 'oscar', 600)), 'opened', 'a gate is open on a standing approval');
$holder->query_safe("BEGIN; SELECT FROM dot_config WHERE key = '$composer' FOR UPDATE");
my $revocation = as_role('olga', "SELECT r ->> 'status', r ->> 'closed', r ->> 'blocker'"
	  . " FROM fn_iu_gate_approval_revoke('$kept', 'olga', 'enough') r");
like($revocation, qr/^revoked\|false\|row locked by pid \d+/,
	"while another session keeps the gate's row the approval is revoked all the same");
is(sql("SELECT due_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = '$composer'"), '-infinity',
	'a gate whose approval was revoked under a lock is due at once');
becomes("SELECT last_error ~ 'gate $composer may not be open and is not closed yet: row locked by'"
	  . " FROM iu_core.worker_status WHERE role = 'watchdog'",
	'the watchdog says who keeps the row of a gate that may not be open');
$holder->query_safe('COMMIT');
ok(IU::Gate->wait_for_ledger($node, $composer, 'open close open close open watchdog_close'),
	'the watchdog closes the gate whose approval was revoked once its row is free');
is(sql("SELECT reason FROM iu_gate_transition WHERE gate_key = '$composer' ORDER BY transition_seq DESC LIMIT 1"),
	'its approval was withdrawn', "the ledger says that the gate was closed for its approval's withdrawal");

# One that cannot be renewed says so before it ends.
my $stuck = approval($runtime, kind => 'standing');
is(as_role('oscar', open_sql($runtime, $stuck, 'oscar', 8)), 'opened',
	'a gate is opened for 8 s on a standing approval');
is(as_role('oscar', "SELECT fn_iu_gate_close('$runtime', 'oscar', 'done') ->> 'status'"), 'closed',
	'a gate on a standing approval is closed by hand');
wait_for_pass();
is(IU::Gate->state($node, $runtime), 'false closed',
	'a gate that was closed by hand is not opened again by the watchdog');
is(as_role('oscar', open_sql($runtime, $stuck, 'oscar', 8)), 'opened',
	'the holder of a standing approval opens again after a close by hand');
$holder->query_safe("BEGIN; SELECT FROM dot_config WHERE key = '$runtime' FOR UPDATE");
becomes("SELECT last_error ~ 'gate $runtime is to be renewed since .*: row locked by' FROM iu_core.worker_status"
	  . " WHERE role = 'watchdog'", 'the watchdog says who keeps it from renewing');
$holder->query_safe('COMMIT');
becomes("SELECT reason ~ '^renewed by iu_core watchdog on the standing approval of \"olga\"' FROM iu_gate_transition"
	  . " WHERE gate_key = '$runtime' ORDER BY transition_seq DESC LIMIT 1",
	'the watchdog renews as soon as the row is free');

# Nobody renews: it ends.
my $alone = approval($jobs, kind => 'standing');
wait_for_pass();
my $watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');
freeze_idle(\&sql, $watchdog);
my @end = split /\n/, sql('SET SESSION AUTHORIZATION oscar; ' . open_sql($jobs, $alone, 'oscar', 3)
	  . 'RESET SESSION AUTHORIZATION; ' . IU::Gate->watch_expiry($jobs));
is($end[0], 'opened', 'a gate is opened on a standing approval while the watchdog is stopped');
is($end[1], 'open, then closed', 'a gate that nobody renews ends with its time');
thaw($watchdog);
becomes("SELECT iu_core.gate_is_open('$jobs')", 't',
	'the watchdog opens a gate again that ended while it was stopped, since its standing approval lasts');
like(IU::Gate->ledger($node, $jobs), qr/^open watchdog_close open/,
	'the ledger has the end of the opening between them');

$_->quit foreach $late, $holder;
done_testing();
