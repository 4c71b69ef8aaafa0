# Gates between sessions, on the clock, and without their workers.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Process;
use IU::Race;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $composer  = 'iu_core.composer_enabled';
my $structure = 'iu_core.structure_ops_enabled';
my $delivery  = 'iu_core.delivery_enabled';
my $runtime   = 'iu_core.operator_runtime_enabled';

my $node = IU::Cluster->new_installed('gates', max_connections => 250, log_statement => 'none');
my $other = $node->background_psql('postgres');
my @stopped;

talk_to($node);

sub is_open { return "SELECT iu_core.gate_is_open('$_[0]')" }
sub toggle { return "UPDATE dot_config SET value = '$_[1]' WHERE key = '$_[0]'" }

# Every process of iu_core, none of them caught in the middle of something.
sub stop_workers
{
	@stopped = split(/\n/, sql("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'iu_core%'"));
	freeze_idle(\&sql, @stopped);
	return;
}

sub continue_workers { thaw(splice @stopped) }

# An opening ends by the clock --------------------------------------------

stop_workers();
is(scalar @stopped, 4, 'launcher, watchdog, sender and runner are stopped');
is(join('', map { process_state($_) } @stopped), 'TTTT', 'each of the four processes is stopped by a signal');

my @seen = split /\n/, sql("SELECT fn_iu_gate_open('$delivery', gen_random_uuid(), 'operator', 'test',"
	  . " 3) ->> 'status'; "
	  . IU::Gate->watch_expiry($delivery));
is($seen[0], 'opened', 'a gate is opened for 3 s');
is($seen[1], 'open, then closed', 'a gate reads closed from the moment of its expiry, within one function call');
is(IU::Gate->state($node, $delivery), 'true closed',
	"after its expiry the gate's row still says true, and the gate reads closed");
is(sql("SELECT fn_iu_delivery_enabled()"), 'f', 'after its expiry fn_iu_delivery_enabled() says no');
is(sql("SELECT g ->> 'value' || ' ' || (g ->> 'effective') || ' ' || (g ->> 'is_safe') || ' ' || (g ->> 'reason')"
	  . " FROM jsonb_array_elements(fn_iu_gate_verify_closed() -> 'gates') g WHERE g ->> 'gate_key' = '$delivery'")
	  =~ s/\d{4}-.* UTC/WHEN/r, 'true false false expired at WHEN',
	"after its expiry verify tells the gate's value from its effect");
is(sql("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'false',
	'after its expiry verify does not say that all is safe');

my $long = $node->background_psql('postgres');
$long->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
IU::Gate->open($node, $composer, 5);
is($long->query_safe(IU::Gate->watch_expiry($composer)), 'open, then closed',
	'under REPEATABLE READ a gate reads closed from the moment of its expiry');
$long->query_safe('COMMIT');
$long->quit;

is(IU::Gate->ledger($node, $delivery), 'open', 'while the watchdog is stopped nobody closes the expired gate');
continue_workers();
ok(IU::Gate->wait_for_ledger($node, $delivery, 'open watchdog_close'),
	'once the watchdog goes on it closes the expired gate, in table and ledger');
ok(IU::Gate->wait_for_ledger($node, $composer, 'open watchdog_close'),
	'once the watchdog goes on it closes the other expired gate');

# Beside the protocol ------------------------------------------------------

stop_workers();
IU::Gate->open($node, $structure, 3600);
sql("SELECT fn_iu_gate_close('$structure', 'operator', 'done')");
is(IU::Gate->state($node, $structure), 'false closed', 'a gate is closed before its expiry');
sql(toggle($structure, 'true'));
is(IU::Gate->state($node, $structure), 'true closed',
	'a closed gate that is set to true beside the protocol before its expiry reads closed');
$other->query_safe(toggle($runtime, 'true'));
is(IU::Gate->state($node, $runtime), 'true closed',
	'a gate that was never opened and is set to true beside the protocol reads closed');
sql(toggle('iu_core.vector_sync_enabled', 'true'));
is(IU::Gate->state($node, 'iu_core.vector_sync_enabled'), 'true closed',
	'a never-flip gate that is set to true reads closed');
IU::Gate->open($node, $delivery, 3600);
sql(toggle($delivery, 'false'));
sql(toggle($delivery, 'true'));
is(IU::Gate->state($node, $delivery), 'true closed',
	'an open gate that is set to false and to true again beside the protocol reads closed');
is($other->query_safe("BEGIN; UPDATE dot_config SET value = 'true' WHERE key = '$structure';" . is_open($structure)
	  . '; COMMIT'),
	'f', 'setting true over true is no bounded toggle: the gate reads closed');
continue_workers();
ok(IU::Gate->wait_for_ledger($node, $structure, 'open close watchdog_close'),
	'the watchdog sets a closed gate back that was set to true, in table and ledger');
ok(IU::Gate->wait_for_ledger($node, $runtime, 'watchdog_close'), 'the watchdog sets a gate back that was never opened');
ok(IU::Gate->wait_for_ledger($node, $delivery, 'open watchdog_close open close watchdog_close'),
	'the watchdog sets a gate back that was set to false and to true');
ok(IU::Gate->wait_for_ledger($node, 'iu_core.vector_sync_enabled', 'watchdog_close'),
	'the watchdog sets a never-flip gate back');
is(sql("SELECT reason FROM iu_gate_transition WHERE gate_key = '$runtime'"), 'set beside the protocol',
	'the ledger says that the gate was set beside the protocol');
is(sql("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'true',
	'when every gate is set back verify says that all is safe');

# The bounded toggle within one transaction -------------------------------

my $session = $node->background_psql('postgres');
my $ledger_before = sql('SELECT count(*) FROM iu_gate_transition');

is($session->query_safe("BEGIN; SET LOCAL app.canonical_writer = 'fn_iu_piece_split'; " . is_open($composer)), 'f',
	'bounded toggle: the gate is closed before the update to true');
is($session->query_safe(toggle($composer, 'true') . '; ' . is_open($composer)), 't',
	'bounded toggle: the gate is open after the update to true');
is($session->query_safe('CREATE TEMP TABLE work AS SELECT 1 AS done; SELECT fn_iu_composer_enabled()'), 't',
	'bounded toggle: the work that asks for the capability is told that the gate is open');
is($other->query_safe(is_open($composer)), 'f', 'bounded toggle: another session sees the gate closed');
is($session->query_safe(toggle($composer, 'false') . '; ' . is_open($composer)), 'f',
	'bounded toggle: the gate is closed after the update back to false');
is($other->query_safe(is_open($composer)), 'f',
	'bounded toggle: after the update back another session sees the gate closed');
$session->query_safe('COMMIT');
is(IU::Gate->state($node, $composer), 'false closed', 'bounded toggle: after the commit the gate is closed');

foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	my $asked = is_open($composer);
	is($session->query_safe("BEGIN ISOLATION LEVEL $level; " . toggle($composer, 'true') . "; $asked; "
		  . toggle($composer, 'false') . "; $asked; COMMIT; $asked"), "t\nf\nf",
		"bounded toggle under $level: open after the update, closed after the update back and after the commit");
}

is($session->query_safe(<<"SQL"), "f\nt\nt\nf\nt\nf\nf", 'bounded toggle under savepoints: a rollback undoes its part');
BEGIN;
SAVEPOINT a;
@{[ is_open($composer) ]};
SAVEPOINT b;
@{[ toggle($composer, 'true') ]};
@{[ is_open($composer) ]};
RELEASE b;
@{[ is_open($composer) ]};
SAVEPOINT c;
@{[ toggle($composer, 'false') ]};
@{[ is_open($composer) ]};
ROLLBACK TO c;
@{[ is_open($composer) ]};
ROLLBACK TO a;
@{[ is_open($composer) ]};
COMMIT;
@{[ is_open($composer) ]};
SQL

sql(<<"SQL");
CREATE FUNCTION public.toggle_in_a_block(p_fail boolean) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE
  v_seen text := '';
BEGIN
  BEGIN
    PERFORM set_config('app.canonical_writer', 'fn_iu_piece_split', true);
    UPDATE dot_config SET value = 'true' WHERE key = '$composer';
    v_seen := v_seen || iu_core.gate_is_open('$composer');
    BEGIN
      v_seen := v_seen || ' ' || iu_core.gate_is_open('$composer');
      PERFORM 1 / (CASE WHEN p_fail THEN 0 ELSE 1 END);
    EXCEPTION WHEN foreign_key_violation THEN
      NULL;
    END;
    UPDATE dot_config SET value = 'false' WHERE key = '$composer';
    v_seen := v_seen || ' ' || iu_core.gate_is_open('$composer');
  EXCEPTION WHEN division_by_zero THEN
    v_seen := v_seen || ' failed ' || iu_core.gate_is_open('$composer');
  END;
  RETURN v_seen || ' ' || iu_core.gate_is_open('$composer');
END \$\$
SQL
is(sql('SELECT toggle_in_a_block(false)'), 'true true false false',
	'bounded toggle within a block that has an EXCEPTION clause');
is(sql('SELECT toggle_in_a_block(true)'), 'true true failed false false',
	'bounded toggle within a block that fails: the exception itself closes the gate');
is($session->query_safe('BEGIN; SELECT toggle_in_a_block(true); ' . is_open($composer) . '; COMMIT'),
	"true true failed false false\nf",
	'bounded toggle within a block that fails: the transaction goes on with the gate closed');

is($session->query_safe("BEGIN; UPDATE dot_config SET value = 'true'; " . is_open($_) . '; ROLLBACK'), 'f',
	"setting $_ to true within a transaction does not open it")
  foreach qw(iu_core.vector_sync_enabled iu_enact.allow_no_review_decision iu_core.routes_master_enabled);
is($session->query_safe('BEGIN; ' . toggle($composer, 'true') . '; ' . is_open($composer) . '; ROLLBACK; '
	  . is_open($composer)),
	"t\nf", 'a bounded toggle that is rolled back leaves the gate closed');
is(sql('SELECT count(*) FROM iu_gate_transition'), $ledger_before, 'no bounded toggle is a transition in the ledger');

# What is opened by the protocol ends with its time, even where nobody else sees it yet.
is($session->query_safe("BEGIN; SELECT fn_iu_gate_open('$composer', gen_random_uuid(), 'agent', NULL, 3) ->> 'status'; "
	  . IU::Gate->watch_expiry($composer) . "UPDATE dot_config SET value = 'true' WHERE key = '$composer'; "
	  . is_open($composer) . '; ROLLBACK'),
	"opened\nopen, then closed\nf",
	'an opening expires within its own transaction, and setting true over true does not renew it');

# Left open by mistake: committed as true, it is open to nobody.
$session->query_safe('BEGIN; ' . toggle($composer, 'true') . '; COMMIT');
is($session->query_safe(is_open($composer)), 'f',
	'a toggle that is committed without its second half reads closed to its own session');
ok(IU::Gate->wait_for_ledger($node, $composer, 'open watchdog_close watchdog_close'),
	'the watchdog closes a toggle that was committed without its second half');

$session->query_safe(<<"SQL");
DO \$\$
BEGIN
  UPDATE dot_config SET value = 'true' WHERE key = '$runtime';
  PERFORM set_config('test.before', iu_core.gate_is_open('$runtime')::text, false);
  COMMIT;
  PERFORM set_config('test.after', iu_core.gate_is_open('$runtime')::text, false);
END \$\$
SQL
is($session->query_safe("SELECT current_setting('test.before'), current_setting('test.after')"), 'true|false',
	"a toggle within a block reads closed after the block's COMMIT");
ok(IU::Gate->wait_for_ledger($node, $runtime, 'watchdog_close watchdog_close'),
	'the watchdog closes a toggle that a block committed');

# What other sessions commit ----------------------------------------------

$session->query_safe("SELECT bool_or(iu_core.gate_is_open('$delivery')) FROM generate_series(1, 1000)");
IU::Gate->open($node, $delivery, 3600);
is($session->query_safe(is_open($delivery)), 't',
	'an opening that is committed is seen by a session that remembers the gate as closed');

is($session->query_safe('BEGIN; ' . toggle($delivery, 'false') . '; ' . is_open($delivery) . '; ROLLBACK; '
	  . is_open($delivery)),
	"f\nt", 'a close that is rolled back leaves the gate open');

$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; ' . is_open($delivery));
is($session->query_safe("SELECT value FROM dot_config WHERE key = '$delivery'"), 'true',
	'a snapshot is taken while the gate is open');
sql("SELECT fn_iu_gate_close('$delivery', 'operator', 'done')");
is($session->query_safe(is_open($delivery)), 'f',
	'a committed close is seen by the next statement of a REPEATABLE READ transaction');
is($session->query_safe("SELECT value FROM dot_config WHERE key = '$delivery'"), 'true',
	'the REPEATABLE READ transaction that sees the close still has its old snapshot');
IU::Gate->open($node, $delivery, 3600);
is($session->query_safe(is_open($delivery)), 't',
	'a committed opening is seen by the next statement of a REPEATABLE READ transaction');
$session->query_safe('COMMIT');

# A function that tells others what it saw, through locks, and waits for them.
sql(<<'SQL');
CREATE FUNCTION public.see_close(p_gate text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_deadline timestamptz := clock_timestamp() + interval '180 s';
BEGIN
  IF NOT iu_core.gate_is_open(p_gate) THEN RETURN 'not open'; END IF;
  PERFORM pg_advisory_lock(1);
  WHILE NOT pg_try_advisory_lock(2) LOOP
    IF clock_timestamp() > v_deadline THEN RETURN 'no close'; END IF;
  END LOOP;
  -- lock 2 is free: the close is committed
  RETURN iu_core.gate_is_open(p_gate);
END $$
SQL
foreach my $level ('READ COMMITTED', 'REPEATABLE READ')
{
	$other->query_safe('SELECT pg_advisory_lock(2)');
	start_query($session, "BEGIN ISOLATION LEVEL $level;\nSELECT see_close('$delivery');\nCOMMIT");
	wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1)");
	sql("SELECT fn_iu_gate_close('$delivery', 'operator', 'done')");
	$other->query_safe('SELECT pg_advisory_unlock(2)');
	is($session->query_safe('SELECT pg_advisory_unlock_all()') =~ s/\s+//gr, 'false',
		"one long function under $level sees another session's close");
	IU::Gate->open($node, $delivery, 3600);
}
# A change elsewhere may arrive between any two steps of a check.
$session->query_until(qr/started/,
	"\\echo started\nDO \$\$ DECLARE v_end timestamptz := clock_timestamp() + interval '2 s';"
	  . " BEGIN WHILE clock_timestamp() < v_end LOOP UPDATE dot_config SET value = 'false' WHERE key = '$runtime';"
	  . " COMMIT; END LOOP; END \$\$;\n");
is(sql(<<"SQL"), 'only open', 'a gate that is open reads open however often another is written');
DO \$\$
DECLARE
  v_end  timestamptz := clock_timestamp() + interval '1500 ms';
  v_seen text := 'only open';
BEGIN
  WHILE clock_timestamp() < v_end LOOP
    IF NOT iu_core.gate_is_open('$delivery') THEN v_seen := 'closed'; END IF;
    COMMIT;
  END LOOP;
  PERFORM set_config('test.seen', v_seen, false);
END \$\$;
SELECT current_setting('test.seen');
SQL
$session->query_safe('SELECT 1');
sql("SELECT fn_iu_gate_close('$delivery', 'operator', 'done')");

# Many at once ---------------------------------------------------------------

my @racers = IU::Race->run($node, {}, map {
		[ "SELECT '$_', fn_iu_gate_open('$structure', gen_random_uuid(), '$_', 'race', 3600) ->> 'status'" ]
	} map { "agent $_" } 1 .. 200);
my @winners = map { $_->{out} =~ /^(.*)\|opened$/m } @racers;
is(scalar @winners, 1, 'of 200 openings by 200 actors at once one succeeds');
my $winner = $winners[0] // 'nobody';
my $held = qr/55006: gate "\Q$structure\E" is open until [-0-9]+ [0-9:.]+ UTC, held by \Q$winner\E$/m;
is(scalar(grep { $_->{err} =~ $held } @racers), 199,
	'199 of 200 openings at once are refused with 55006, and told who has the gate');
is(sql("SELECT actor FROM iu_gate_transition WHERE gate_key = '$structure' AND reason = 'race'"), $winner,
	'the ledger has the opening of the winner only');
is(sql("SELECT count(*) FROM dot_iu_command_run WHERE command_name = 'dot_iu_gate_open' AND actor LIKE 'agent %'"), 1,
	'the run log has the run of the winner only');

$_->quit foreach $session, $other;
done_testing();
