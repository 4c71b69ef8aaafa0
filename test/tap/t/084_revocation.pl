# Nobody keeps a gate open against a revocation: not by a prepared transaction,
# not by a lock on the gate or on the approval. And who stands in the way of a
# close is ended, or named with whom to ask.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate  = 'iu_core.composer_enabled';
my $other = 'iu_core.structure_ops_enabled';

my $node = IU::Cluster->new_installed('revocation', max_prepared_transactions => 5);
talk_to($node);
sql('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE robot LOGIN IN ROLE iu_core_agent');

sub as_role
{
	my ($role, $sql) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", extra_params => [ '-U', $role ]);
	return wantarray ? ($out, $err) : $out;
}

sub session_of
{
	my ($role) = @_;
	return $node->background_psql('postgres', extra_params => [ '-U', $role ], on_error_stop => 0);
}

sub approval
{
	my ($of, $kind) = @_;
	my $id = as_role('olga', "SELECT fn_iu_gate_approval_grant('$of', 'open', 3600, now() + interval '1 hour', 'olga',"
		  . " 'test', '$kind', 'robot') ->> 'approval_id'");
	like($id, qr/^[0-9a-f-]{36}$/, "a $kind approval for $of is granted to the agent");
	return $id;
}

sub open_sql { return "SELECT fn_iu_gate_open('$_[0]', '$_[1]', 'robot', 'work', 600) ->> 'status';" }

sub revoke
{
	return as_role('olga', "SELECT concat_ws('|', r ->> 'status', r ->> 'closed', r ->> 'blocker')"
		  . " FROM fn_iu_gate_approval_revoke('$_[0]', 'olga', 'enough') r");
}

sub unblock
{
	return as_role('olga', "SELECT concat_ws('|', u ->> 'status', u ->> 'ended', u ->> 'left')"
		  . " FROM fn_iu_gate_unblock('$_[0]', 'olga', 'it hangs') u");
}

# A prepared transaction keeps the gate's row ------------------------------------

my $single = approval($gate, 'single');
is(as_role('robot', open_sql($gate, $single)), 'opened', 'the agent opens');
my $asked = $node->background_psql('postgres');
is($asked->query_safe("SELECT iu_core.gate_is_open('$gate')"), 't',
	'a session finds the gate open, and remembers that');
as_role('robot', "BEGIN; SELECT fn_iu_gate_close('$gate', 'robot', 'never'); PREPARE TRANSACTION 'kept';");
is($asked->query_safe("SELECT iu_core.gate_is_open('$gate')"), 't', 'a close that is prepared only closes nothing');
like(revoke($single), qr/^revoked\|false\|row locked by prepared transaction "kept" \(user robot/,
	'a revocation waits for no prepared transaction, and names it');
is($asked->query_safe("SELECT iu_core.gate_is_open('$gate')"), 'f',
	'a session that remembered the gate as open finds it closed once the approval is revoked');
is(sql("SELECT iu_core.gate_is_open('$gate')"), 'f', 'so does a session that asks for the first time');
is(sql("SELECT concat_ws('|', value, effective, reason) FROM v_iu_gate WHERE gate_key = '$gate'"),
	'true|f|its approval was revoked', 'v_iu_gate says why the gate is not effective');
like(unblock($gate), qr/^blocked\|\[\]\|.*ROLLBACK PREPARED 'kept'; in database postgres, as role robot or a superuser/,
	'of a prepared transaction an operator is told whom to ask for which command');
as_role('robot', "ROLLBACK PREPARED 'kept'");
ok(IU::Gate->wait_for_ledger($node, $gate, 'open watchdog_close'), 'the watchdog closes once the row is free');
is(unblock($gate), 'free|[]|[]', 'where nobody is in the way nobody is ended');

# A prepared transaction keeps the approval's row, and opens on it later ---------

my $standing = approval($gate, 'standing');
as_role('robot', 'BEGIN; ' . open_sql($gate, $standing) . "PREPARE TRANSACTION 'later';");
like(revoke($standing), qr/^revoked\|false\|row locked by prepared transaction "later"/,
	'an approval is revoked while a prepared transaction uses it');
as_role('robot', "COMMIT PREPARED 'later'");
is(sql("SELECT iu_core.gate_is_open('$gate')"), 'f',
	'an opening on a revoked approval that commits afterwards opens nothing');
ok(IU::Gate->wait_for_ledger($node, $gate, 'open watchdog_close open watchdog_close'),
	'the watchdog closes what was opened on a revoked approval');
like((as_role('robot', open_sql($gate, $standing)))[1], qr/IU104/, 'nobody opens on it again');

# A session keeps the row, under a savepoint that is over ------------------------

my $third = approval($gate, 'single');
is(as_role('robot', open_sql($gate, $third)), 'opened', 'the agent opens anew');
my $robot = session_of('robot');
$robot->query_safe("BEGIN; SAVEPOINT s; SELECT fn_iu_gate_close('$gate', 'robot', 'never'); RELEASE s");
like(revoke($third), qr/^revoked\|false\|row locked by pid \d+ \(.*user robot/,
	'who locked the row under a savepoint that is over is named');
is(sql("SELECT iu_core.gate_is_open('$gate')"), 'f', 'the gate reads closed');
my $bystander = $node->background_psql('postgres');
$bystander->query_safe("BEGIN; SELECT FROM dot_config WHERE key = '$other' FOR UPDATE");
like(unblock($gate), qr/^ended\|\["pid \d+ \(.*user robot.*\]\|\[\]$/, 'an operator ends the session of the agent');
is($bystander->query_safe('SELECT 1'), '1', 'a session that keeps another gate is left alone');
ok(IU::Gate->wait_for_ledger($node, $gate, 'open watchdog_close open watchdog_close open watchdog_close'),
	'the watchdog closes once the session has ended');
like(unblock($other), qr/^blocked\|\[\]\|.*pg_terminate_backend/, "a superuser's session is left, and said to be one");
is(sql("SELECT string_agg(acting_role || ' ' || (evidence ->> 'reason'), ', ' ORDER BY created_at)"
	  . " FROM dot_iu_command_run"
	  . " WHERE command_name = 'dot_iu_gate_unblock'"), join(', ', ('olga it hangs') x 4),
	'who ended what is in the log of runs');
like((as_role('robot', "SELECT fn_iu_gate_unblock('$gate', 'robot', 'x')"))[1], qr/42501: permission denied/,
	'an agent ends nobody');
$bystander->query_safe('COMMIT');

# Nobody keeps it ----------------------------------------------------------------

my $last = approval($other, 'single');
is(as_role('robot', open_sql($other, $last)), 'opened', 'the agent opens another gate');
is($asked->query_safe("SELECT iu_core.gate_is_open('$other')"), 't', 'a session remembers it as open');
is(as_role('olga', "BEGIN; SELECT fn_iu_gate_approval_revoke('$last', 'olga', 'no') ->> 'status'; ROLLBACK"), 'revoked',
	'a revocation is rolled back');
is($asked->query_safe("SELECT iu_core.gate_is_open('$other')"), 't',
	'a revocation that was rolled back leaves the gate open');
is(revoke($last), 'revoked|true', 'a revocation that nobody is in the way of closes the gate');
is($asked->query_safe("SELECT iu_core.gate_is_open('$other')"), 'f', 'the session that remembered finds it closed');

$asked->quit;
$bystander->quit;
done_testing();
