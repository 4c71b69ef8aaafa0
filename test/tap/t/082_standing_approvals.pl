# What a standing approval is for: its gate is open again after a restart that took
# longer than an opening. What lapsed though nobody closed it is a problem of
# health, what a person closed is none.
use strict;
use warnings;

use IU::Cluster;
use IU::Delivery;
use IU::Gate;
use IU::Sink;
use IU::SQL;
use IU::Wait;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate     = 'iu_core.delivery_enabled';
my $composer = 'iu_core.composer_enabled';
my $structure = 'iu_core.structure_ops_enabled';
my $sink = IU::Sink->start;
my $node = IU::Cluster->new_installed('standing', 'iu_core.allowed_origins' => $sink->url,
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
sql('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE oscar LOGIN IN ROLE iu_core_operator');
my $delivery = IU::Delivery->new($node, $sink);
$delivery->live;
$delivery->add_route('hook');
sql("SELECT fn_iu_gate_close('$gate', 'tester', 'test')");

sub standing
{
	my ($of, $seconds, $lasts) = @_;
	return sql("SET SESSION AUTHORIZATION olga; SELECT fn_iu_gate_approval_grant('$of', 'open', $seconds,"
		  . " clock_timestamp() + '$lasts', 'olga', 'test', p_kind => 'standing') ->> 'approval_id'");
}

sub open_on
{
	my ($of, $approval, $seconds) = @_;
	return sql("SET SESSION AUTHORIZATION oscar;"
		  . " SELECT fn_iu_gate_open('$of', '$approval', 'oscar', 'test', $seconds) ->> 'expires_at'");
}

# Stops the server until an opening has run out, and starts it.
sub sleep_over
{
	my ($of) = @_;
	my $end = sql("SELECT extract(epoch FROM expires_at) FROM iu_gate_transition WHERE gate_key = '$of'"
		  . " AND action = 'open' ORDER BY transition_seq DESC LIMIT 1");
	$node->stop;
	ok(wait_for { time > $end + 1 }, 'the server is down until the opening has run out');
	$node->start;
	IU::Cluster->wait_for_worker($node, 'watchdog');
	return;
}

# ---- A restart that is longer than an opening

my $approval = standing($gate, 2, '90 days');
open_on($gate, $approval, 2);
sql("SELECT fn_iu_route_pause('hook', 'tester', 'test')");
$delivery->emit(50);
sleep_over($gate);
becomes("SELECT iu_core.gate_is_open('$gate')", 't',
	'after a restart that was longer than the opening the gate is open again, and nobody opened it');
like(IU::Gate->ledger($node, $gate), qr/ watchdog_close open( open)*$/,
	'the ledger has the end of the opening and the new one');
is(sql("SELECT count(*) FROM iu_gate_transition WHERE gate_key = '$gate' AND actor = 'oscar' AND reason ~"
	  . " '^opened again by iu_core watchdog on the standing approval of \"olga\": nobody closed it, it ended at'"), 1,
	'the new opening says on what it rests, in the name of the holder');
is(sql("SELECT held_by FROM v_iu_gate_holder WHERE gate_key = '$gate'"), 'oscar',
	'the login role that opened first holds the gate');
sql("SELECT fn_iu_route_resume('hook', 'tester', 'test')");
ok($sink->wait_for('/hook', 50), 'what waited is delivered');
becomes('SELECT status FROM iu_core.health()', 'OK', 'health is well');

# ---- Closed by a person, it stays closed

is(IU::Gate->close($node, $gate), 'closed', 'a person closes the gate');
$delivery->emit(3);
my $ledger = IU::Gate->ledger($node, $gate);
$node->restart;
IU::Cluster->wait_for_worker($node, 'watchdog');
my $passes = "(SELECT (counters ->> 'passes')::bigint FROM iu_core.worker_status WHERE role = 'watchdog')";
wait_until("SELECT iu_core.wake() IS NULL OR $passes > 3");
is(IU::Gate->ledger($node, $gate), $ledger, 'a gate that a person closed is not opened again after a restart');
becomes("SELECT (counters ->> 'passes')::bigint > 2 FROM iu_core.worker_status WHERE role = 'runner'",
	'the runner has looked');
is(sql('SELECT status FROM iu_core.health()'), 'OK', 'what a person closed is no problem, though events wait');
unlike(sql("SELECT fn_iu_route_worker_health() ->> 'problems'"), qr/lapsed/,
	'nor is it one of the health of delivery');

# ---- Lapsed, while events wait

sql("SELECT fn_iu_route_pause('hook', 'tester', 'test')");
sql("SELECT fn_iu_gate_approval_revoke('$approval', 'olga', 'test')");
IU::Gate->open($node, $gate, 1);
ok(IU::Gate->wait_for_ledger($node, $gate, "$ledger open watchdog_close"), 'an opening of 1 s ends by itself');
becomes('SELECT status FROM iu_core.health()', 'OK', 'where nothing waits on a live route a lapse is no problem');
sql("SELECT fn_iu_route_resume('hook', 'tester', 'test')");
becomes("SELECT status || ' ' || (message ~ 'gate $gate lapsed at .*, nobody closed it, and 3 event.s. wait')"
	  . ' FROM iu_core.health()', 'CRITICAL true', 'a gate whose time ended while events wait is a problem of health');
like(sql("SELECT fn_iu_route_worker_health() ->> 'problems'"), qr/gate \Q$gate\E lapsed at/,
	'and one of the health of delivery');
is(IU::Gate->close($node, $gate), 'closed', 'a person closes what is closed already');
becomes('SELECT status FROM iu_core.health()', 'OK', 'then it is meant, and health is well');

# ---- A standing approval whose gate cannot be opened

$approval = standing($gate, 2, '90 days');
open_on($gate, $approval, 2);
ok($delivery->settle('hook'), 'what waited is delivered on the next standing approval');
my $session = $node->background_psql('postgres');
$session->query_safe("BEGIN; SELECT FROM dot_config WHERE key = '$gate' FOR UPDATE");
$delivery->emit(1) if wait_for { sql("SELECT iu_core.gate_is_open('$gate')") eq 'f' };
becomes("SELECT status || ' ' || (message ~ 'a valid standing approval exists for gate $gate, until .*, and the gate"
	  . " lapsed at .*1 event.s. wait') FROM iu_core.health()", 'CRITICAL true',
	'where the watchdog cannot open it again health says that a standing approval exists, and what waits');
$session->query_safe('ROLLBACK');
$session->quit;
becomes("SELECT iu_core.gate_is_open('$gate')", 't', 'once it can, the gate is open again');
becomes('SELECT status FROM iu_core.health()', 'OK', 'and health is well');

# ---- Its end

$approval = standing($composer, 2, '40 s');
open_on($composer, $approval, 2);
becomes("SELECT status || ' ' || (message ~ 'the standing approval of gate $composer ends at .*: have another"
	  . " one granted')"
	  . ' FROM iu_core.health()', 'WARNING true', 'before a standing approval ends health warns');
my $next = standing($composer, 2, '1 hour');
open_on($composer, $next, 2);
becomes('SELECT status FROM iu_core.health()', 'OK', 'when its holder renews the gate on another one health is well');
$approval = standing($structure, 2, '8 s');
open_on($structure, $approval, 2);
becomes("SELECT state FROM v_iu_gate_approval WHERE approval_id = '$approval'", 'expired', 'the approval ends');
becomes("SELECT value FROM dot_config WHERE key = '$structure'", 'false', 'with it ends its gate');
becomes("SELECT status || ' ' || (message ~ 'gate $structure stood open on a standing approval that is"
	  . " expired, lapsed at"
	  . " .*, and nobody closed it') FROM iu_core.health()", 'CRITICAL true',
	'a gate that lapsed with its standing approval is a problem of health');
IU::Gate->close($node, $structure);
becomes('SELECT status FROM iu_core.health()', 'OK', 'when a person closes it, it is none');
like(IU::Gate->state($node, $composer), qr/true open/, 'the gate on the other approval is open all the while');

$node->stop;
done_testing();
