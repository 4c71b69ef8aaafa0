# A random walk over units, their tree and their tags, with savepoints that are
# rolled back to and rows of the envelope that are damaged by hand. After each step
# the envelope equals the view, kept paths equal the recursion over parents, and
# nothing is on a cycle.
#
# IU_STEPS is its length, IU_SEED, which is told, its beginning.
use strict;
use warnings;

use IU::Cluster;
use IU::LoaderA;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $steps = $ENV{IU_STEPS} // 1000;
my $seed  = $ENV{IU_SEED} // time() * 1000 % 2**31;
srand $seed;
note("IU_SEED=$seed IU_STEPS=$steps");

my $node = IU::Cluster->new_installed('envelope_model', 'iu_core.databases' => '',
	'iu_core.envelope_timeout' => '10min');
talk_to($node);
sql(<<'SQL');
INSERT INTO iu_metadata_tag_registry (tag_key, tag_kind, label, registered_by)
  SELECT 'topic:' || n, 'topic' || n % 3, 'Topic ' || n, 'model' FROM generate_series(1, 9) AS n
  UNION ALL VALUES ('kind:law_unit', 'unit_kind', 'law_unit', 'model');
-- What a statement of the walk ended with: nothing, or an SQLSTATE, then it is undone.
CREATE FUNCTION test_do(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE p_sql;
  RETURN 'done';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
-- Any unit there is: the one with that number, counted round and round.
CREATE FUNCTION test_unit(p_n int) RETURNS uuid LANGUAGE sql AS $$
  SELECT id FROM information_unit ORDER BY canonical_address COLLATE "C"
  OFFSET p_n % greatest((SELECT count(*) FROM information_unit), 1) LIMIT 1 $$;
CREATE VIEW test_state AS
  SELECT concat_ws(' ', fn_iu_three_axis_envelope_drift_check(true) ->> 'in_sync',
    (SELECT count(*) FROM v_iu_tree_path_check WHERE left_value IS DISTINCT FROM right_value),
    (SELECT right_value FROM v_iu_tree_cycle)) AS state;
SQL

my $gate    = 'iu_core.three_axis_auto_refresh_enabled';
my $session = $node->background_psql('postgres');
$session->set_query_timer_restart();
my $begin   = "BEGIN; SET LOCAL app.canonical_writer = 'fn_iu_structure_op';"
  . " UPDATE dot_config SET value = 'true' WHERE key = '$gate'";
my $end     = "UPDATE dot_config SET value = 'false' WHERE key = '$gate'; COMMIT";
my (@savepoints, $number);

sub any { return 'test_unit(' . int(rand(1000)) . ')' }
sub topic { return "'topic:" . (1 + int(rand(9))) . "'" }
sub source { return "'" . (qw(confirmed inferred proposed))[ rand 3 ] . "'" }

# A statement on units, for test_do.
my @statements = (
	sub {
		return "SELECT fn_iu_create('walk/" . ++$number . "', 'Title', 'Text', 'walk', p_parent_ref => " . any() . ')';
	},
	sub { return "SELECT fn_iu_create('walk/" . ++$number . "', 'Title', 'Text', 'walk')" },
	sub { return 'UPDATE information_unit SET parent_or_container_ref = ' . any() . ' WHERE id = ' . any() },
	sub { return 'UPDATE information_unit SET parent_or_container_ref = NULL WHERE id = ' . any() },
	sub {
		return "UPDATE information_unit SET canonical_address = 'renamed/" . ++$number . "' WHERE id = " . any();
	},
	sub {
		return 'UPDATE information_unit SET sort_order = ' . int(rand(9))
		  . " WHERE canonical_address ~ '" . int(rand(9)) . "\$'";
	},
	sub { return 'UPDATE information_unit SET deleted_at = now() WHERE id = ' . any() },
	sub { return 'UPDATE information_unit SET deleted_at = NULL WHERE deleted_at IS NOT NULL' },
	sub {
		return 'INSERT INTO iu_metadata_tag (unit_id, tag_key, enrichment_source, assigned_by) VALUES ('
		  . join(', ', any(), topic(), source(), "'walk'") . ')';
	},
	sub { return 'DELETE FROM iu_metadata_tag WHERE tag_key = ' . topic() . ' AND enrichment_source = ' . source() },
	sub { return 'UPDATE iu_metadata_tag SET unit_id = ' . any() . ' WHERE unit_id = ' . any() },
	sub { return 'UPDATE iu_metadata_tag SET enrichment_source = ' . source() . ' WHERE unit_id = ' . any() },
	sub {
		return 'WITH d AS (DELETE FROM unit_version WHERE unit_id = ' . any() . ' RETURNING unit_id)'
		  . ' DELETE FROM information_unit u USING d WHERE u.id = d.unit_id';
	},
	sub { return 'DELETE FROM iu_three_axis_envelope WHERE unit_id = ' . any() },
	sub { return 'UPDATE iu_three_axis_envelope SET axis_c_depth = 7 WHERE unit_id = ' . any() },
	sub {
		return "UPDATE iu_metadata_tag_registry SET tag_kind = 'topic" . int(rand(4)) . "' WHERE tag_key = " . topic();
	},
);

# A statement on the transaction; undef: one on units is to follow.
sub steers
{
	my $which = rand;

	return undef if $which > 0.2;
	if ($which < 0.03)
	{
		@savepoints = ();
		return "$end; $begin";
	}
	if ($which < 0.12 || !@savepoints)
	{
		push @savepoints, 's' . ++$number;
		return "SAVEPOINT $savepoints[-1]";
	}
	my $to = int(rand(@savepoints));
	splice @savepoints, $to + 1;
	return "ROLLBACK TO $savepoints[$to]";
}

my (%ends, $wrong);

# So many steps; undef, or what was wrong after one of them.
sub walk
{
	my ($length) = @_;

	foreach my $step (1 .. $length)
	{
		my $steering = steers();
		my $does = $steering // $statements[ rand @statements ]->();
		my ($answer, $state);

		$does =~ s/'/''/g unless defined $steering;
		$answer = $session->query_safe(defined $steering ? $does : "SELECT test_do('$does')");
		# What is no statement on units or tags is marked, and the next of those has it refreshed.
		$session->query_safe('UPDATE iu_metadata_tag SET assigned_at = assigned_at WHERE false')
		  if $does =~ /registry|three_axis_envelope/;
		$state = $session->query_safe('SELECT state FROM test_state');
		$ends{ defined $steering ? 'steered' : $answer }++;
		next if $state eq 'true 0 0';
		$wrong = "IU_SEED=$seed IU_STEPS=$steps, step $step: $does ($answer) leaves $state: "
		  . $session->query_safe("SELECT string_agg(d::text, ' ') FROM v_iu_three_axis_envelope_drift d"
			  . " WHERE drift_kind <> 'in_sync'");
		last;
	}
	return $wrong;
}

$session->query_safe($begin);
is(walk($steps * 0.9), undef, 'with few units: after each step the envelope is the view, and paths follow parents');
$session->query_safe($end);
# By marks alone, since all of them are too many to be compared after each statement.
IU::LoaderA->add($node, 1001);
@savepoints = ();
$session->query_safe($begin);
is(walk($steps * 0.1), undef, 'with many units: after each step the envelope is the view, and paths follow parents');
$session->query_safe($end);
is(sql('SELECT state FROM test_state'), 'true 0 0', 'and once all is committed');
is(sql('SELECT count(*) FROM iu_three_axis_envelope_trigger_error_log'), '0', 'no refresh failed');
# The runner may be about to remove a mark of a unit that has another one.
becomes('SELECT count(*) = 0 FROM iu_three_axis_envelope_mark', 'no mark is left');
cmp_ok($ends{done} // 0, '>', $steps / 4, 'many steps did something');
note(join(', ', map { "$_: $ends{$_}" } sort keys %ends));
$session->quit;

$node->stop;
done_testing();
