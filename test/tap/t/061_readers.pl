# Those who ask a gate again and again: what they remember of it never answers
# for what has become of it, and no answer disagrees with the ledger at its time.
use strict;
use warnings;

use IPC::Run qw(start finish);
use IU::Cluster;
use IU::Gate;
use IU::SQL;
use IU::Wait;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate = 'iu_core.delivery_enabled';
my $node = IU::Cluster->new_installed('readers', autovacuum => 'off');
my $reader = $node->background_psql('postgres', on_error_stop => 1);

talk_to($node);
sub answer { return $reader->query_safe("SELECT iu_core.gate_is_open('$gate')") }

# Asked twice: what was looked up, and what is remembered of it.
sub reads
{
	my ($expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(answer() . answer(), $expected x 2, $name);
}

sub closed_after
{
	my ($statement, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	IU::Gate->open($node, $gate, 3600);
	reads('t', "before $name the gate reads open");
	sql($statement);
	reads('f', "after $name the gate reads closed");
	sql("SELECT fn_iu_gate_close('$gate', 'test', '')");
}

my $close_row = "INSERT INTO iu_gate_transition (gate_key, action, prev_value, new_value, actor)"
	  . " VALUES ('$gate', 'close', 'true', 'false', 'stranger')";
my $unguarded = 'ALTER TABLE iu_gate_transition DISABLE TRIGGER ALL; %s;'
	  . ' ALTER TABLE iu_gate_transition ENABLE TRIGGER ALL;'
  . 'ALTER TABLE iu_gate_transition ENABLE ALWAYS TRIGGER trg_iu_gate_transition_stamp;'
  . 'ALTER TABLE iu_gate_transition ENABLE ALWAYS TRIGGER trg_iu_gate_transition_append_only;'
  . 'ALTER TABLE iu_gate_transition ENABLE ALWAYS TRIGGER trg_iu_gate_transition_gate_changed';

# ---- What becomes of it elsewhere

closed_after("SELECT fn_iu_gate_close('$gate', 'test', '')", 'a close by the protocol');
closed_after("UPDATE dot_config SET value = 'false' WHERE key = '$gate'", 'an UPDATE beside the protocol');
closed_after("BEGIN; UPDATE dot_config SET value = 'false' WHERE key = '$gate'; UPDATE dot_config SET value = 'true'"
	  . " WHERE key = '$gate'; COMMIT", 'an UPDATE to false and to true again');
closed_after("UPDATE iu_gate_registry SET gate_class = 'never_flip' WHERE gate_key = '$gate'",
	'a change of the gate to never-flip');
sql("UPDATE iu_gate_registry SET gate_class = 'governable' WHERE gate_key = '$gate'");
closed_after($close_row, 'a close written beside the functions');
closed_after("SET session_replication_role = replica; $close_row",
	'a close written beside the functions in the replica role');
closed_after(sprintf($unguarded, "DELETE FROM iu_gate_transition WHERE gate_key = '$gate'"),
	'a deletion of the opening with the triggers off');

# With the triggers off for good nothing tells a reader, so nothing is remembered.
sql('ALTER TABLE iu_gate_transition DISABLE TRIGGER trg_iu_gate_transition_gate_changed');
closed_after($close_row, 'a close written while the trigger is off');
sql('ALTER TABLE iu_gate_transition ENABLE ALWAYS TRIGGER trg_iu_gate_transition_gate_changed');

# ---- What does not end it

IU::Gate->open($node, $gate, 3600);
reads('t', 'an open gate reads open');
sql("UPDATE dot_config SET description = 'moved' WHERE key = '$gate'");
reads('t', 'an open gate whose row has moved reads open');
sql('VACUUM FULL dot_config; VACUUM FULL iu_gate_transition');
reads('t', 'an open gate whose tables were rewritten reads open');
sql('VACUUM (FREEZE) dot_config');
reads('t', 'an open gate whose row was frozen reads open');
$reader->query_safe("BEGIN; SAVEPOINT s; UPDATE dot_config SET value = 'false' WHERE key = '$gate'");
reads('f', 'a gate that this transaction closes reads closed');
$reader->query_safe('ROLLBACK TO s');
reads('t', 'a gate whose close is rolled back to a savepoint reads open');
$reader->query_safe('ROLLBACK');
reads('t', 'a gate whose close is rolled back reads open');

# The page on which the row was is gone, and nothing told.
sql('ALTER TABLE dot_config DISABLE TRIGGER ALL');
reads('t', 'with no trigger to tell of changes an open gate reads open');
sql('CREATE TABLE kept AS TABLE dot_config; DELETE FROM dot_config');
# A worker that reads the table just then keeps what was deleted, or the pages.
ok(wait_for { sql('VACUUM (TRUNCATE) dot_config'); sql("SELECT pg_relation_size('dot_config')") eq '0' },
	'with no trigger to tell of changes the table of gates is emptied');
reads('f', 'a gate whose row is gone without a word reads closed');
sql('INSERT INTO dot_config TABLE kept');
$reader->quit;
$node->stop;

# ---- No answer is wrong

$node->start;
sql("SELECT fn_iu_gate_close('$gate', 'test', '')");
sql($_) foreach map { "ALTER TABLE dot_config ENABLE ALWAYS TRIGGER $_" }
  split /\n/, sql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'dot_config'::regclass AND NOT tgisinternal");
sql(slurp_file('../bench/gate_answers.sql'));
my $in_2_s = "clock_timestamp() + interval '2 s'";
my ($failed, $answers, $open, $openings) = (0, 0, 0, 0);
# As often as it takes to have seen enough, on a busy machine too.
wait_for
{
	my @sessions = map {
		start([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $_ ], '2>&1', '>',
			\my $output)
	} ("CALL open_and_close($in_2_s)", ("CALL ask($in_2_s)") x 4);
	$failed += grep { !finish($_) } @sessions;
	($answers, $open, $openings) = split /\|/,
	  sql('SELECT count(*), count(*) FILTER (WHERE is_open), (SELECT count(*) FROM opening) FROM answer');
	$failed || $open > 1000 && $answers - $open > 1000 && $openings > 4;
};
is($failed, 0, 'four sessions ask while one opens and closes');
cmp_ok($open, '>', 1000, "of $answers answers enough say that the gate is open");
cmp_ok($answers - $open, '>', 1000, "of $answers answers enough say that the gate is closed");
cmp_ok($openings, '>', 4, 'the gate was opened several times meanwhile');
is(sql('SELECT count(*) FROM wrong_answer'), 0, 'no answer contradicts the ledger at its time');

# The comparison can tell.
sql("INSERT INTO answer SELECT closed_for_sure + interval '1 ms', true, closed_for_sure + interval '2 ms' FROM opening"
	  . " ORDER BY open_from DESC LIMIT 1");
sql("INSERT INTO answer SELECT open_for_sure, false, open_for_sure FROM opening");
is(sql('SELECT is_open, count(*) FROM wrong_answer GROUP BY 1 ORDER BY 1'), "f|$openings\nt|1",
	'an answer that contradicts the ledger is found');

$node->stop;
done_testing();
