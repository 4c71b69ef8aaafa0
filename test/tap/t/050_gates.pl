# Gates between sessions, on the clock, and without their workers.
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

my $node = IU::Cluster->new_node('gates', max_connections => 250, log_statement => 'none');
IU::Cluster->install($node);
my $other = $node->background_psql('postgres');
my @stopped;

sub value { return $node->safe_psql('postgres', $_[0]) }
sub is_open { return "SELECT iu_core.gate_is_open('$_[0]')" }
sub toggle { return "UPDATE dot_config SET value = '$_[1]' WHERE key = '$_[0]'" }

sub process_state
{
	my ($pid) = @_;
	open(my $status, '<', "/proc/$pid/status") or return '';
	return join('', <$status>) =~ /^State:\s+(\w)/m ? $1 : '';
}

# Every process of iu_core, none of them caught in the middle of something.
sub stop_workers
{
	foreach (1 .. 100)
	{
		@stopped = split(/\n/, value("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'iu_core%'"));
		kill('STOP', @stopped);
		foreach my $pid (@stopped)
		{
			usleep(10_000) while process_state($pid) eq 'S' || process_state($pid) eq 'R';
		}
		return if value("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'iu_core%' AND xact_start IS NOT NULL") eq '0';
		continue_workers();
	}
	die 'the workers never rest';
}

sub continue_workers { kill('CONT', splice @stopped) }
END { kill('CONT', @stopped) }

# An opening ends by the clock --------------------------------------------

stop_workers();
is(scalar @stopped, 4, 'launcher, watchdog, sender and runner are stopped');
is(join('', map { process_state($_) } @stopped), 'TTTT', 'by SIGSTOP');

IU::Gate->open($node, $delivery, 2);
is(IU::Gate->state($node, $delivery), 'true open', 'a gate is open');
is(value(IU::Gate->watch_expiry($delivery)), 'open, then closed', 'it reads closed from the moment of its expiry, in one function');
is(IU::Gate->state($node, $delivery), 'true closed', 'while the table still says true');
is(value("SELECT fn_iu_delivery_enabled()"), 'f', 'what asks for the capability is told so too');
is(value("SELECT g ->> 'value' || ' ' || (g ->> 'effective') || ' ' || (g ->> 'is_safe') || ' ' || (g ->> 'reason')"
	  . " FROM jsonb_array_elements(fn_iu_gate_verify_closed() -> 'gates') g WHERE g ->> 'gate_key' = '$delivery'")
	  =~ s/\d{4}-.* UTC/WHEN/r, 'true false false expired at WHEN', 'verify tells value from effect');
is(value("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'false', 'and is not satisfied');

my $long = $node->background_psql('postgres');
$long->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
IU::Gate->open($node, $composer, 1);
is($long->query_safe(IU::Gate->watch_expiry($composer)), 'open, then closed', 'under REPEATABLE READ as well');
$long->query_safe('COMMIT');
$long->quit;

is(IU::Gate->ledger($node, $delivery), 'open', 'nobody has closed it');
continue_workers();
ok(IU::Gate->wait_for_ledger($node, $delivery, 'open watchdog_close'), 'once they go on, the watchdog corrects the table and the ledger says so');
ok(IU::Gate->wait_for_ledger($node, $composer, 'open watchdog_close'), 'of the other gate too');

# Beside the protocol ------------------------------------------------------

stop_workers();
IU::Gate->open($node, $structure, 3600);
value("SELECT fn_iu_gate_close('$structure', 'operator', 'done')");
is(IU::Gate->state($node, $structure), 'false closed', 'a gate is closed before its expiry');
value(toggle($structure, 'true'));
is(IU::Gate->state($node, $structure), 'true closed', 'set to true before that expiry, beside the protocol: reads closed');
$other->query_safe(toggle($runtime, 'true'));
is(IU::Gate->state($node, $runtime), 'true closed', 'so does a gate that was never opened');
value(toggle('iu_core.vector_sync_enabled', 'true'));
is(IU::Gate->state($node, 'iu_core.vector_sync_enabled'), 'true closed', 'and a never-flip gate');
IU::Gate->open($node, $delivery, 3600);
value(toggle($delivery, 'false'));
value(toggle($delivery, 'true'));
is(IU::Gate->state($node, $delivery), 'true closed', 'one closed and set back beside the protocol');
is($other->query_safe("BEGIN; UPDATE dot_config SET value = 'true' WHERE key = '$structure';" . is_open($structure) . '; COMMIT'),
	'f', 'true over true is no toggle');
continue_workers();
ok(IU::Gate->wait_for_ledger($node, $structure, 'open close watchdog_close'), 'the watchdog sets it back, ledger included');
ok(IU::Gate->wait_for_ledger($node, $runtime, 'watchdog_close'), 'and the one never opened');
ok(IU::Gate->wait_for_ledger($node, $delivery, 'open watchdog_close open close watchdog_close'), 'and the one closed by hand');
ok(IU::Gate->wait_for_ledger($node, 'iu_core.vector_sync_enabled', 'watchdog_close'), 'and the never-flip one');
is(value("SELECT reason FROM iu_gate_transition WHERE gate_key = '$runtime'"), 'set beside the protocol', 'for this reason');
is(value("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'true', 'all is safe again');

# The bounded toggle within one transaction -------------------------------

my $session = $node->background_psql('postgres');
my $ledger_before = value('SELECT count(*) FROM iu_gate_transition');

is($session->query_safe("BEGIN; SET LOCAL app.canonical_writer = 'fn_iu_piece_split'; " . is_open($composer)), 'f', 'toggle: closed at first');
is($session->query_safe(toggle($composer, 'true') . '; ' . is_open($composer)), 't', 'open after the update');
is($session->query_safe('CREATE TEMP TABLE work AS SELECT 1 AS done; SELECT fn_iu_composer_enabled()'), 't', 'also to the work that needs it');
is($other->query_safe(is_open($composer)), 'f', 'another session never sees it open');
is($session->query_safe(toggle($composer, 'false') . '; ' . is_open($composer)), 'f', 'closed after the update back');
is($other->query_safe(is_open($composer)), 'f', 'still closed to the other');
$session->query_safe('COMMIT');
is(IU::Gate->state($node, $composer), 'false closed', 'and after the commit');

foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	is($session->query_safe("BEGIN ISOLATION LEVEL $level; " . toggle($composer, 'true') . '; ' . is_open($composer) . '; '
		  . toggle($composer, 'false') . '; ' . is_open($composer) . '; COMMIT; ' . is_open($composer)), "t\nf\nf", "toggle under $level");
}

is($session->query_safe(<<"SQL"), "f\nt\nt\nf\nt\nf\nf", 'toggle under savepoints');
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

value(<<"SQL");
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
is(value('SELECT toggle_in_a_block(false)'), 'true true false false', 'toggle inside a block with EXCEPTION');
is(value('SELECT toggle_in_a_block(true)'), 'true true failed false false', 'and in one that fails: closed by the exception itself');
is($session->query_safe('BEGIN; SELECT toggle_in_a_block(true); ' . is_open($composer) . '; COMMIT'),
	"true true failed false false\nf", 'the transaction goes on with the gate closed');

is($session->query_safe("BEGIN; UPDATE dot_config SET value = 'true'; " . is_open($_) . '; ROLLBACK'), 'f', "no toggle opens $_")
  foreach qw(iu_core.vector_sync_enabled iu_enact.allow_no_review_decision iu_core.routes_master_enabled);
is($session->query_safe('BEGIN; ' . toggle($composer, 'true') . '; ' . is_open($composer) . '; ROLLBACK; ' . is_open($composer)),
	"t\nf", 'a toggle that is rolled back leaves nothing');
is(value('SELECT count(*) FROM iu_gate_transition'), $ledger_before, 'none of this is a transition of the ledger');

# What is opened by the protocol ends with its time, even where nobody else sees it yet.
is($session->query_safe("BEGIN; SELECT fn_iu_gate_open('$composer', gen_random_uuid(), 'agent', NULL, 1) ->> 'status'; "
	  . IU::Gate->watch_expiry($composer) . "UPDATE dot_config SET value = 'true' WHERE key = '$composer'; " . is_open($composer) . '; ROLLBACK'),
	"opened\nopen, then closed\nf", 'an opening expires within its own transaction too');

# Left open by mistake: committed as true, it is open to nobody.
$session->query_safe('BEGIN; ' . toggle($composer, 'true') . '; COMMIT');
is($session->query_safe(is_open($composer)), 'f', 'a toggle committed without its second half reads closed, to its own session too');
ok(IU::Gate->wait_for_ledger($node, $composer, 'open watchdog_close watchdog_close'), 'and the watchdog corrects it');

$session->query_safe(<<"SQL");
DO \$\$
BEGIN
  UPDATE dot_config SET value = 'true' WHERE key = '$runtime';
  PERFORM set_config('test.before', iu_core.gate_is_open('$runtime')::text, false);
  COMMIT;
  PERFORM set_config('test.after', iu_core.gate_is_open('$runtime')::text, false);
END \$\$
SQL
is($session->query_safe("SELECT current_setting('test.before'), current_setting('test.after')"), 'true|false', 'nor is one open after a COMMIT within a block');
ok(IU::Gate->wait_for_ledger($node, $runtime, 'watchdog_close watchdog_close'), 'which is corrected too');

# What other sessions commit ----------------------------------------------

$session->query_safe("SELECT bool_or(iu_core.gate_is_open('$delivery')) FROM generate_series(1, 1000)");
IU::Gate->open($node, $delivery, 3600);
is($session->query_safe(is_open($delivery)), 't', 'a committed open is seen by a session that had cached closed');

is($session->query_safe('BEGIN; ' . toggle($delivery, 'false') . '; ' . is_open($delivery) . '; ROLLBACK; ' . is_open($delivery)),
	"f\nt", 'a close that is rolled back was none');

$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; ' . is_open($delivery));
is($session->query_safe("SELECT value FROM dot_config WHERE key = '$delivery'"), 'true', 'a snapshot is taken');
value("SELECT fn_iu_gate_close('$delivery', 'operator', 'done')");
is($session->query_safe(is_open($delivery)), 'f', 'a committed close is seen by the next statement of a REPEATABLE READ transaction');
is($session->query_safe("SELECT value FROM dot_config WHERE key = '$delivery'"), 'true', 'whose snapshot is still the old one');
IU::Gate->open($node, $delivery, 3600);
is($session->query_safe(is_open($delivery)), 't', 'and so is the next open');
$session->query_safe('COMMIT');

# A function that tells others what it saw, through locks, and waits for them.
value(<<'SQL');
CREATE FUNCTION public.see_close(p_gate text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_deadline timestamptz := clock_timestamp() + interval '60 s';
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
	$session->query_until(qr/started/, "\\echo started\nBEGIN ISOLATION LEVEL $level;\nSELECT see_close('$delivery');\nCOMMIT;\n");
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1)")
	  or die 'the function does not run';
	value("SELECT fn_iu_gate_close('$delivery', 'operator', 'done')");
	$other->query_safe('SELECT pg_advisory_unlock(2)');
	is($session->query_safe('SELECT pg_advisory_unlock_all()') =~ s/\s+//gr, 'false', "one long function under $level sees another session's close");
	IU::Gate->open($node, $delivery, 3600);
}
# A change elsewhere may arrive between any two steps of a check.
$session->query_until(qr/started/, "\\echo started\nDO \$\$ DECLARE v_end timestamptz := clock_timestamp() + interval '2 s';"
	  . " BEGIN WHILE clock_timestamp() < v_end LOOP UPDATE dot_config SET value = 'false' WHERE key = '$runtime'; COMMIT; END LOOP; END \$\$;\n");
is($node->safe_psql('postgres', <<"SQL"), 'only open', 'a gate that is open reads open however often another is written');
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
value("SELECT fn_iu_gate_close('$delivery', 'operator', 'done')");

# Many at once ---------------------------------------------------------------

my @racers;
$other->query_safe('SELECT pg_advisory_lock(3)');
foreach my $number (1 .. 200)
{
	my %racer = (actor => "agent $number", out => '', err => '');
	$racer{run} = IPC::Run::start(
		[ $node->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'),
			'-c', "SELECT pg_advisory_lock_shared(3); SELECT fn_iu_gate_open('$structure', gen_random_uuid(), '$racer{actor}', 'race', 3600) ->> 'status'" ],
		'<', \undef, '>', \$racer{out}, '2>', \$racer{err});
	push @racers, \%racer;
}
$node->poll_query_until('postgres', "SELECT count(*) = 200 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
  or die 'they do not all wait';
$other->query_safe('SELECT pg_advisory_unlock(3)');
IPC::Run::finish($_->{run}) foreach @racers;

my @winners = grep { $_->{out} =~ /^opened$/m } @racers;
is(scalar @winners, 1, 'of 200 opens by 200 actors one wins');
my $winner = $winners[0]{actor} // 'nobody';
is(scalar(grep { $_->{err} =~ /55006: gate "\Q$structure\E" is open until [-0-9]+ [0-9:.]+ UTC, held by \Q$winner\E$/m } @racers), 199,
	'199 are refused with 55006, naming the winner');
is(value("SELECT actor FROM iu_gate_transition WHERE gate_key = '$structure' AND reason = 'race'"), $winner, 'the ledger knows the winner only');
is(value("SELECT count(*) FROM dot_iu_command_run WHERE command_name = 'dot_iu_gate_open' AND actor LIKE 'agent %'"), 1, 'and so do the runs');

$_->quit foreach $session, $other;
done_testing();
