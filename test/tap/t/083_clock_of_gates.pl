# The clock is set back and forward while gates are open: an opening has no effect
# before the time at which it was made, and lasts no longer than it was made for.
use strict;
use warnings;

use IU::Clock;
use IU::Cluster;
use IU::Gate;
use IU::SQL;
use IU::Wait;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $gate     = 'iu_core.composer_enabled';
my $other    = 'iu_core.structure_ops_enabled';
my $delivery = 'iu_core.delivery_enabled';
my $node = IU::Cluster->init_node('clock', { installed => 1 });
my $clock = IU::Clock->new;
$clock->start($node);
IU::Cluster->install($node);
talk_to($node);
sql('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE oscar LOGIN IN ROLE iu_core_operator');

sub is_open { return "SELECT iu_core.gate_is_open('$_[0]')" }
sub last_reason
{
	return "SELECT action || ' ' || reason FROM iu_gate_transition WHERE gate_key = '$_[0]' ORDER BY transition_seq"
	  . ' DESC LIMIT 1';
}

# ---- Set back by an hour

my $session = $node->background_psql('postgres');
IU::Gate->open($node, $gate, 600);
is($session->query_safe(is_open($gate)), 't', 'a gate is open');
$clock->step(-3600);
is($session->query_safe(is_open($gate)), 'f',
	'with the clock set back by an hour a session that remembers a gate as open reads it closed');
is(sql(is_open($gate)), 'f', 'and so does every other');
sql('SELECT iu_core.wake()');
becomes(last_reason($gate), 'watchdog_close opened at a time to come: the clock was set back',
	'the watchdog closes what was opened at a time to come');
$clock->step(3600);
is(sql(is_open($gate)), 'f', 'when the clock has come to that time again the gate stays closed');

# ---- Set back by less than the opening has lasted

my $begun = time;
IU::Gate->open($node, $other, 6);
sql('SELECT pg_sleep(3)');
$clock->step(-2);
is(sql(is_open($other)), 't', 'with the clock set back by 2 s an opening that was made before that is open');
becomes("SELECT value FROM dot_config WHERE key = '$other'", 'false', 'it is closed');
my $lasted = time - $begun;
is(sql(last_reason($other)), 'watchdog_close its time has run out, though the clock does not say so: it was set back',
	'the watchdog closes it by a clock that nobody sets');
cmp_ok(sql("SELECT extract(epoch FROM l.expires_at - c.created_at) FROM iu_gate_transition l, iu_gate_transition c"
	  . " WHERE l.gate_key = '$other' AND l.action = 'open' AND c.gate_key = '$other' AND c.action = 'watchdog_close'"),
	'>', 0, 'by the clock that was set back there was time left');
note("an opening of 6 s lasted $lasted s");
$clock->step(2);

# ---- Set forward

IU::Gate->open($node, $gate, 3600);
$clock->step(7200);
is(sql(is_open($gate)), 'f', 'with the clock set forward beyond its end a gate reads closed');
sql('SELECT iu_core.wake()');
becomes("SELECT value FROM dot_config WHERE key = '$gate'", 'false', 'and the watchdog closes it');
$clock->step(-7200);
is(sql(is_open($gate)), 'f', 'it stays closed when the clock is put right');

# ---- Approvals

sub grant
{
	my ($kind) = @_;
	return sql("SET SESSION AUTHORIZATION olga; SELECT fn_iu_gate_approval_grant('$delivery', 'open', 60,"
		  . " clock_timestamp() + '90 days', 'olga', 'test', p_kind => '$kind') ->> 'approval_id'");
}
sub state_of { return "SELECT state FROM v_iu_gate_approval WHERE approval_id = '$_[0]'" }

my $single = grant('single');
$clock->step(-3600);
is(sql(state_of($single)), 'not yet', 'an approval that is dated in the future is not valid yet');
like(error_of("SELECT fn_iu_gate_open('$delivery', '$single', 'oscar', 'test', 60)", user => 'oscar'),
	qr/IU103: approval .* is dated in the future/, 'nobody opens on it');
$clock->step(3600);
is(sql(state_of($single)), 'valid', 'it is valid again when the clock is put right');

my $standing = grant('standing');
$clock->step(3600);
sql("SET SESSION AUTHORIZATION oscar; SELECT fn_iu_gate_open('$delivery', '$standing', 'oscar', 'test', 60)");
$clock->step(-1800);
sql('SELECT iu_core.wake()');
becomes(is_open($delivery), 't',
	'a gate on a standing approval that lapses because the clock was set back is opened again at once');
like(IU::Gate->ledger($node, $delivery), qr/^open watchdog_close open/, 'the ledger has both');
$clock->step(-1800 - 600);
sql('SELECT iu_core.wake()');
becomes("SELECT value FROM dot_config WHERE key = '$delivery'", 'false',
	'where the standing approval itself is dated in the future its gate is closed');
$clock->step(600);
sql('SELECT iu_core.wake()');
becomes(is_open($delivery), 't', 'and opened again when the clock has come to where the approval was granted');

$session->quit;
$node->stop;
done_testing();
