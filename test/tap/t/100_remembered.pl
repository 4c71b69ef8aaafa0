# What a session remembers of gates, after statements that failed half-way and
# whatever asked within them: functions in RETURNING, CHECK constraints, generated
# columns, triggers. The same question is asked of the session that remembers, of
# the same session once it has forgotten, and of a new one.
#
# IU_SEED, which is told, is where the random walk begins, IU_STEPS its length.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate = 'iu_core.delivery_enabled';
my $node = IU::Cluster->new_node('remembered', autovacuum => 'off');
my $steps = $ENV{IU_STEPS} // 120;
my $seed  = $ENV{IU_SEED} // int(rand(2**31));
srand $seed;
note("IU_SEED=$seed IU_STEPS=$steps");

IU::Cluster->install($node);
# Without a watchdog, nothing changes a gate but what this test does.
IU::Cluster->reload($node, 'iu_core.databases' => '');
talk_to($node);
becomes("SELECT count(*) FROM iu_core.worker_status WHERE role = 'watchdog' AND pid IS NOT NULL", '0',
	'the watchdog has left');
my $asker;

# What fails is told by what is read afterwards.
sub run { return scalar $asker->query($_[0]) }
sub remembered { return run("SELECT iu_core.gate_is_open('$gate')") }
sub told_anew { return sql("SELECT iu_core.gate_is_open('$gate')") }
sub open_gate
{
	sql("UPDATE iu_gate_registry SET gate_class = 'governable' WHERE gate_key = '$gate'"
		  . " AND gate_class <> 'governable'");
	sql("SELECT fn_iu_gate_close('$gate', 'test', '')");
	IU::Gate->open($node, $gate, 3600);
	return;
}
sub connect_anew { $asker = $node->background_psql('postgres', on_error_stop => 0); return }

# ---- two statements that fail

connect_anew();
sql('CREATE FUNCTION ask_and_raise(key text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN
	PERFORM iu_core.gate_is_open(key); RAISE EXCEPTION \'no\'; END $$');
open_gate();
is(remembered(), 't', 'before a statement that fails the gate reads open');
run("UPDATE dot_config SET value = 'false' WHERE key = '$gate' RETURNING ask_and_raise(key)");
is(remembered(), 't', 'after a change of its value that failed, and a question within it, the gate reads open');
$asker->quit;

connect_anew();
sql("UPDATE iu_gate_registry SET gate_class = 'never_flip' WHERE gate_key = '$gate'");
is(remembered(), 'f', 'a gate that is never-flip reads closed');
run("UPDATE iu_gate_registry SET gate_class = 'governable' WHERE gate_key = '$gate'"
	  . ' RETURNING ask_and_raise(gate_key)');
is(remembered(), 'f', 'after a change of its class that failed, and a question within it, the gate reads closed');
is(remembered(), told_anew(), 'a session that asked within a change that failed reads what others read');
$asker->quit;

# ---- what changes neither row nor statement

connect_anew();
open_gate();
foreach my $change (
	[ 'ALTER SCHEMA public RENAME TO hidden', 'ALTER SCHEMA hidden RENAME TO public', 'the schema is renamed' ],
	[ 'ALTER TABLE dot_config RENAME TO hidden', 'ALTER TABLE hidden RENAME TO dot_config', 'a table is renamed' ],
	[ 'ALTER INDEX iu_gate_registry_pkey RENAME TO hidden', 'ALTER INDEX hidden RENAME TO iu_gate_registry_pkey',
		'an index is renamed' ],
	[ 'ALTER TABLE iu_gate_transition RENAME expires_at TO hidden',
		'ALTER TABLE iu_gate_transition RENAME hidden TO expires_at', 'a column is renamed' ],
	[ 'CREATE SCHEMA aside; ALTER TABLE iu_gate_registry SET SCHEMA aside',
		'ALTER TABLE aside.iu_gate_registry SET SCHEMA public; DROP SCHEMA aside', 'a table is moved' ])
{
	my ($there, $back, $what) = @$change;
	is(remembered(), 't', "before $what a session reads the gate as open");
	my ($result, undef, $error) = $node->psql('postgres', $there);
	SKIP:
	{
		skip "this is refused: $error", 2 if $result;
		is(remembered(), told_anew(), "when $what a session that remembers reads what a new one reads");
		is(remembered(), 'f', "when $what the gate reads closed");
	}
	sql($back) if !$result;
	is(remembered(), 't', "when that is undone the gate reads open ($what)");
}
$asker->quit;

# ---- a random walk

# Asks in every place in which a change of the tables calls a function.
sql("CREATE FUNCTION ask(key text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS \$\$ BEGIN
	  RETURN iu_core.gate_is_open('$gate') IS NOT NULL; END \$\$;
	CREATE FUNCTION ask_in_trigger() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
	  PERFORM iu_core.gate_is_open('$gate');
	  IF TG_ARGV[0] = current_setting('test.fails_in', true) THEN RAISE EXCEPTION 'no'; END IF;
	  IF TG_LEVEL = 'STATEMENT' THEN RETURN NULL; END IF; RETURN coalesce(NEW, OLD); END \$\$;
	CREATE FUNCTION ask_or_raise(key text, fails boolean) RETURNS boolean LANGUAGE plpgsql AS \$\$ BEGIN
	  PERFORM iu_core.gate_is_open('$gate');
	  IF fails THEN RAISE EXCEPTION 'no'; END IF; RETURN true; END \$\$;
	ALTER TABLE dot_config ADD CONSTRAINT asks CHECK (ask(key));
	ALTER TABLE iu_gate_registry ADD asked boolean GENERATED ALWAYS AS (ask(gate_key)) STORED;
	ALTER TABLE iu_gate_transition ADD CONSTRAINT asks CHECK (ask(gate_key)) NOT VALID");
my @places;
foreach my $table (qw(dot_config iu_gate_registry iu_gate_transition))
{
	foreach my $when (qw(BEFORE AFTER))
	{
		foreach my $level (qw(ROW STATEMENT))
		{
			# One that comes before ours by its name, and one that comes after.
			foreach my $name (qw(a z))
			{
				my $place = lc("${name}_${table}_${when}_$level");
				push @places, $place;
				sql("CREATE TRIGGER $place $when INSERT OR UPDATE ON $table FOR EACH $level"
					  . " EXECUTE FUNCTION ask_in_trigger('$place')");
			}
		}
	}
}

sub pick { return $_[ rand @_ ] }

# A change of one of the three tables, which fails or not, here or there.
sub change
{
	my $fails = rand() < 0.5;
	my $place = $fails && rand() < 0.7 ? pick(@places) : '';
	my $returning = sub { "RETURNING ask_or_raise($_[0], " . ($fails && !$place ? 'true' : 'false') . ')' };
	return "SET LOCAL test.fails_in = '$place'; " . pick(
		map({ "UPDATE dot_config SET value = '$_' WHERE key = '$gate' " . $returning->('key') } qw(true false)),
		"UPDATE dot_config SET value = CASE value WHEN 'true' THEN 'false' ELSE 'true' END WHERE key = '$gate' "
		  . $returning->('key'),
		map({ "UPDATE iu_gate_registry SET gate_class = '$_' WHERE gate_key = '$gate' " . $returning->('gate_key') }
			qw(governable never_flip)),
		"INSERT INTO iu_gate_transition (gate_key, action, prev_value, new_value, actor)"
		  . " VALUES ('$gate', 'close', 'true', 'false', 'test') " . $returning->('gate_key'));
}

my @told;
my $schemas = 0;

sub same
{
	my ($got, $expected, $what) = @_;
	return if $got eq $expected;
	fail($what);
	diag("IU_SEED=$seed: got '$got', expected '$expected'", "\n", join("\n", @told));
	$node->stop('immediate');
	done_testing();
	exit 1;
}

sub look
{
	my $warm = remembered();
	# A new schema makes the session forget.
	run('SAVEPOINT forgets; CREATE SCHEMA z' . $schemas++);
	same($warm, remembered(), 'what a session remembers within a transaction is what it finds when it looks');
	run('ROLLBACK TO forgets');
	return;
}

connect_anew();
my $opens = 0;
for my $n (1 .. $steps)
{
	@told = ();
	open_gate() if rand() < 0.5;
	remembered();
	my $in = 'BEGIN';
	foreach (0 .. int rand 3)
	{
		my $change = change();
		my $undoes = rand() < 0.3;
		my $step = pick("SAVEPOINT s; $change; " . ($undoes ? 'ROLLBACK TO s' : ''),
			"DO \$do\$ BEGIN " . ($change =~ s/^SET LOCAL (\S+) = ('.*?');/PERFORM set_config('$1', $2, true);/r
				  =~ s/RETURNING (.*)$/RETURNING $1 INTO STRICT found/r)
			  . "; EXCEPTION WHEN OTHERS THEN NULL; END \$do\$");
		$step =~ s/DO \$do\$ BEGIN/DO \$do\$ DECLARE found boolean; BEGIN/;
		push @told, $step;
		run($in) if $in;
		$in = '';
		run('SAVEPOINT outer_s');
		run($step);
		run('ROLLBACK TO s') if $step =~ /^SAVEPOINT/ && $step !~ /ROLLBACK TO/ && is_failed();
		look();
	}
	run(pick('COMMIT', 'COMMIT', 'ROLLBACK'));
	my $answer = told_anew();
	$opens += $answer eq 't';
	same(remembered(), $answer, 'what a session remembers is what a new session finds');
}
pass("in $steps steps no session remembered anything but what others read");
cmp_ok($opens, '>', $steps / 20, "of $steps steps enough left the gate open");
cmp_ok($opens, '<', $steps * 19 / 20, "of $steps steps enough left the gate closed");
$asker->quit;
$node->stop;
done_testing();

# Whether the transaction of the session is aborted: then a harmless query fails.
sub is_failed
{
	return run('SELECT 1') ne '1';
}
