# A gate whose value something keeps from being set: what a person is told, what
# the watchdog does and does not do, what health says.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::SQL;
use Test::More;

my $node = IU::Cluster->new_installed('effect');
talk_to($node);

my $gate = 'iu_core.composer_enabled';

sub ledger
{
	return sql("SELECT string_agg(action, ' ' ORDER BY transition_seq) FROM iu_gate_transition"
	  . " WHERE gate_key = '$gate'");
}

sub hinder { sql('CREATE RULE nope AS ON UPDATE TO dot_config DO INSTEAD NOTHING'); return }

sub passes { return sql("SELECT counters ->> 'passes' FROM iu_core.worker_status WHERE role = 'watchdog'") }

note 'a person closes';
IU::Gate->open($node, $gate, 600);
hinder();
my $closed = sql("SELECT fn_iu_gate_close('$gate', 'ann', 't')");
like($closed, qr/"status": "ended"/, 'a close whose value a rule keeps from being set does not say that it closed');
like($closed, qr/"value": "true"/, 'a close says which value the gate was left with');
like($closed, qr/rule nope ON public[.]dot_config/, 'a close says what kept the value from being set');
is(sql("SELECT iu_core.gate_is_open('$gate')"), 'f', 'the opening has ended all the same');
like(error_of("SELECT fn_iu_gate_close('$gate', 'ann', 't')"), qr/55000: close of gate .* in the way is rule nope/,
	'a close of what is not open any more, and cannot be set, is refused with the name of what stands in the way');

note 'the watchdog';
becomes("SELECT last_error LIKE '%rule nope%' FROM iu_core.worker_status WHERE role = 'watchdog'",
	'the watchdog says what stands in its way');
becomes("SELECT status = 'CRITICAL' AND message LIKE '%$gate%rule nope%' FROM iu_core.health()",
	'health is red, and names gate and rule');
my $before = passes();
sql('SELECT pg_sleep(3)');
cmp_ok(passes() - $before, '<', 15, 'the watchdog tries again at longer and longer intervals');
is(ledger(), 'open close', 'the ledger has one row for each fact, however often the watchdog tries');
is(sql("SELECT count(*) FROM dot_iu_command_run WHERE command_name = 'dot_iu_gate_watchdog'"), '0',
	'and no run is logged that changed nothing');
sql('DROP RULE nope ON dot_config');
sql('SELECT iu_core.wake()');
becomes("SELECT value = 'false' FROM dot_config WHERE key = '$gate'", 'without the rule the watchdog sets the value');
becomes("SELECT status = 'OK' FROM iu_core.health()", 'and health is green again');

note 'an opening that ends by its time';
IU::Gate->open($node, $gate, 1);
my $rows = ledger();
hinder();
becomes("SELECT message LIKE '%$gate%rule nope%' FROM iu_core.health()",
	'health names the gate and what keeps it from being closed');
is(ledger(), $rows, 'a close without effect leaves no row in the ledger');
sql('DROP RULE nope ON dot_config');
sql('SELECT iu_core.wake()');
becomes("SELECT value = 'false' FROM dot_config WHERE key = '$gate'", 'without the rule the gate is closed');
is(ledger(), "$rows watchdog_close", 'by one row of the ledger');
is(sql("SELECT fn_iu_gate_ledger_verify() ->> 'ok'"), 'true', 'the ledger verifies');

$node->stop;
done_testing();
