# Units between sessions: one address, one draft, one tree, one split; a database
# with rows that migrates in place, and one that is copied.
use strict;
use warnings;

use IU::Cluster;
use IU::Race;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_installed('units', max_connections => 100, 'iu_core.databases' => '');
talk_to($node);

sub create
{
	my ($address, $parent) = @_;
	return "SELECT fn_iu_create('$address', 't', 'text of $address', 'wim'"
	  . ($parent ? ", p_parent_ref => (SELECT id FROM information_unit WHERE canonical_address = '$parent')" : '')
	  . ") ->> 'status'";
}

sub move
{
	my ($address, $parent) = @_;
	return "SET app.canonical_writer = 'fn_iu_structure_op'; UPDATE information_unit SET parent_or_container_ref ="
	  . " (SELECT id FROM information_unit WHERE canonical_address = '$parent') WHERE canonical_address = '$address'";
}

sub import_of
{
	return "SELECT fn_iu_import((SELECT jsonb_agg(jsonb_build_object('canonical_address', a, 'title', 't', 'body',"
	  . " 'b')) FROM unnest(ARRAY[" . join(', ', map { "'$_'" } @_) . "]) a), 'wim', false) - 'refused'";
}

sub decided
{
	my ($operation, @addresses) = @_;
	return sql("SELECT fn_iu_review_decision_record('$operation', '{" . join(',', @addresses) . "}', 'approve', 'olga',"
		  . " 'fine') ->> 'review_decision_id'");
}

sub spec_of
{
	return join ',', map { qq({"canonical_address": "$_", "title": "t", "body": "text of $_"}) } @_;
}

sub split_of
{
	my ($address, $decision, @children) = @_;
	return "SELECT fn_iu_piece_split('$address', '[" . spec_of(@children) . "]', 'w', '$decision') ->> 'status'";
}

sub merge_of
{
	my ($address, $decision, @sources) = @_;
	return "SELECT fn_iu_piece_merge('" . spec_of($address) . "', '{" . join(',', @sources)
	  . "}', 'w', '$decision') ->> 'status'";
}

sub count_of
{
	my ($status, @of) = @_;
	return scalar grep { $_->{out} =~ /^$status$/m } @of;
}

my $paths_are_true = "SELECT count(*) = 0 FROM v_iu_tree_path_check WHERE left_value IS DISTINCT FROM right_value";
my $waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')";

# ---- one address

my @racers = IU::Race->run($node, {}, map { [ create('one') ] } 1 .. 20);
is(join('', map { $_->{err} } @racers), '', 'of 20 that create one unit none has an error');
is(scalar(grep { $_->{out} =~ /^created$/m } @racers), 1, 'one of 20 creates the unit');
is(scalar(grep { $_->{out} =~ /^exists_complete$/m } @racers), 19, 'the others are told that it is there');
is(sql("SELECT count(*) || ' ' || count(DISTINCT unit_id) FROM unit_version"), '1 1',
	'there is one unit with one version');

@racers = IU::Race->run($node, {}, map { my $n = $_; [ import_of(map { "i$_" } $n % 2 ? 1 .. 30 : reverse 1 .. 30) ] }
	  1 .. 8);
is(join('', map { $_->{err} } @racers), '', 'of 8 that import the same units none has an error');
is(scalar(grep { $_->{out} =~ /"created": 30/ } @racers), 1, 'one of 8 imports creates the units');
is(sql("SELECT count(*) FROM information_unit WHERE canonical_address LIKE 'i%'"), 30, 'each unit is there once');

my $first  = $node->background_psql('postgres', on_error_stop => 0);
my $second = $node->background_psql('postgres', on_error_stop => 0);
$first->query_safe('BEGIN');
$first->query_safe(create('late'));
start_query($second, create('late'));
wait_until($waits);
$first->query_safe('ROLLBACK');
like($second->query_safe('SELECT 1'), qr/^created$/m, 'who waited for a unit that was never created creates it');
$first->query_safe('BEGIN');
$first->query_safe(create('i31'));
start_query($second, import_of('i31', 'i32'));
wait_until($waits);
$first->query_safe('COMMIT');
like($second->query_safe('SELECT 1'), qr/"created": 1, "existing": 1/,
	'an import that waited for a unit takes it for one that is there');

like(error_of("BEGIN ISOLATION LEVEL REPEATABLE READ; " . create('x')),
	qr/^ERROR:  25000: fn_iu_create needs isolation level READ COMMITTED/,
	'a unit is not created in a transaction with an older snapshot');

# Every function of units that writes asks for that first, whatever it is given. Those of policy lock the row that they
# change, and whose snapshot is too old for it has 40001; the refresh leaves its marks or has 40001.
sql(<<'SQL');
CREATE FUNCTION test_isolation(p_call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE p_call;
  RETURN 'done';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
SQL
foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	is(sql("BEGIN ISOLATION LEVEL $level; SELECT string_agg(f.name, ' ' ORDER BY f.name COLLATE \"C\") FROM ("
			  . "SELECT p.proname AS name, format('SELECT public.%I(%s)', p.proname, (SELECT string_agg("
			  . "format('NULL::%s', format_type(a.type, NULL)), ', ' ORDER BY a.n)"
			  . " FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, n))) AS call"
			  . " FROM pg_proc p JOIN iu_governed_object g ON g.object_class = 'function'"
			  . " AND to_regprocedure(CASE WHEN g.object_name ~ '^iu[.]' THEN g.object_name"
			  . " ELSE 'public.' || g.object_name END) = p.oid"
			  . " WHERE p.pronamespace = 'public'::regnamespace AND p.provolatile = 'v'"
			  . " AND g.migration BETWEEN 15 AND 29 AND g.migration NOT IN (18, 19)"
			  . " AND p.prorettype <> 'trigger'::regtype) AS f WHERE test_isolation(f.call) <> '25000'; ROLLBACK"),
		'fn_iu_health_bind fn_iu_policy_set fn_iu_runtime_rollback_by_actor fn_iu_tag_register'
		  . ' fn_iu_three_axis_envelope_refresh fn_iu_three_axis_envelope_refresh_if_stale fn_iu_vocab_add'
		  . ' fn_iu_vocab_remove', "$level: of what writes, these alone do not ask for READ COMMITTED first");
}

# ---- one draft

my $draft = sql("SELECT fn_iu_save('one', 'two', 'wim') ->> 'draft_id'");
@racers = IU::Race->run($node, {}, map { [ "SELECT fn_iu_apply_edit_draft('$draft', 'a$_') ->> 'status'" ] } 1 .. 10);
is(join('', map { $_->{err} } @racers), '', 'of 10 that apply one draft none has an error');
is(scalar(grep { $_->{out} =~ /^applied$/m } @racers), 1, 'one of 10 applies it');
is(scalar(grep { $_->{out} =~ /^already_applied$/m } @racers), 9, 'the others are told that it was applied');
@racers = IU::Race->run($node, {}, map { my $n = $_; [ "SELECT fn_iu_save('one', 'v$n', 'w$n') ->> 'status'",
		"SELECT fn_iu_apply_edit_draft(draft_id, 'w$n') ->> 'status' FROM iu_edit_draft WHERE created_by = 'w$n'" ] }
	  1 .. 10);
is(join('', map { $_->{err} } @racers), '', 'of 10 that edit one unit none has an error');
is(sql("SELECT count(*) FROM unit_version v JOIN information_unit u ON u.id = v.unit_id"
		  . " WHERE u.canonical_address = 'one'"), 2 + grep({ $_->{out} =~ /^applied$/m } @racers),
	'each draft that was not stale is a version');

# ---- one decision, one enactment

my $decision = sql("SELECT fn_iu_review_decision_record('enact', '{one}', 'approve', 'olga', 'fine')"
	  . " ->> 'review_decision_id'");
@racers = IU::Race->run($node, {}, map { [ "SELECT fn_iu_enact('one', 'w', '$decision') ->> 'status'" ] } 1 .. 10);
is(scalar(grep { $_->{out} =~ /^enacted$/m } @racers), 1, 'one of 10 enacts the unit');
is(scalar(grep { $_->{out} =~ /^idempotent_replay$/m } @racers), 9, 'the others are told that it is enacted');
is(sql('SELECT count(*) FROM iu_lifecycle_log'), 1, 'the ledger has one row');
$first->query_safe('BEGIN');
$first->query_safe("SELECT fn_iu_apply_edit_draft((fn_iu_save('one', 'last', 'wim') ->> 'draft_id')::uuid, 'w')");
start_query($second, "SELECT fn_iu_enact('one', 'w', '$decision') ->> 'detail'");
wait_until($waits);
$first->query_safe('COMMIT');
like($second->query_safe('SELECT 1'), qr/^other_text$/m, 'a text that is applied while it is enacted is another text');

# ---- split, merged, superseded

my @parts = map { "s1.$_" } 1 .. 5;
sql(join ';', map { create($_) } qw(s1 s2 s3 s4 s5));
$decision = decided('split', 's1', @parts);
@racers = IU::Race->run($node, {}, map { [ split_of('s1', $decision, $_ % 2 ? @parts : reverse @parts) ] } 1 .. 10);
is(join('', map { $_->{err} } @racers), '', 'of 10 that split one unit none has an error');
is(join(' ', map { count_of($_, @racers) } qw(split idempotent_replay)), '1 9',
	'one of 10 splits it, the others are told that it is split');
is(sql("SELECT count(*) || ' ' || (SELECT count(*) FROM information_unit WHERE canonical_address LIKE 's1.%')"
		  . ' FROM iu_split_set'), '1 5', 'each child is there once');

my %decided = (ab => decided('merge', 's2', 's3'), bc => decided('merge', 's3', 's4'));
@racers = IU::Race->run($node, {}, map { ([ merge_of('m1', $decided{ab}, 's2', 's3') ],
		[ merge_of('m1', $decided{ab}, 's3', 's2') ], [ merge_of('m2', $decided{bc}, 's4', 's3') ]) } 1 .. 4);
is(join('', map { $_->{err} } @racers), '', 'of 12 that merge units of which they share one none has an error');
is(join(' ', map { count_of($_, @racers) } qw(merged idempotent_replay)), '2 10', 'each of two merges is done once');

$decision = decided('split', 's5', 's5.1', 's5.2');
$first->query_safe('BEGIN');
$first->query_safe(create('s5.2'));
start_query($second, split_of('s5', $decision, 's5.1', 's5.2'));
wait_until($waits);
$first->query_safe('COMMIT');
like($second->query_safe('SELECT 1'), qr/^invalid_input$/m,
	'a split waits for who is creating a child, and is refused');
is(sql("SELECT count(*) FROM information_unit WHERE canonical_address = 's5.1'"), 0, 'and makes none of the others');

# Each waits for the unit until both are there; the merge has its parent too.
sql(join ';', create('p'), create('p.1', 'p'));
my ($apart, $together) = (decided('split', 'p.1', 'p.2', 'p.3'), decided('merge', 'p', 'p.1'));
my $merging = $node->background_psql('postgres', on_error_stop => 0);
$first->query_safe("BEGIN; SELECT FROM information_unit WHERE canonical_address = 'p.1' FOR NO KEY UPDATE");
start_query($second, split_of('p.1', $apart, 'p.2', 'p.3'));
wait_until($waits);
start_query($merging, merge_of('m3', $together, 'p', 'p.1'));
wait_until("SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
$first->query_safe('COMMIT');
like($second->query_safe('SELECT 1'), qr/^split$/m, 'a unit is split while it is merged with its parent');
like($merging->query_safe('SELECT 1'), qr/^merged$/m, 'and merged, without a deadlock');
$merging->quit;

my $enact = decided('enact', qw(s2 s3));
sql("SELECT fn_iu_enact_many('{s2,s3}', 'w', '$enact')");
$decision = decided('supersede', qw(s2 s3));
@racers = IU::Race->run($node, {}, map { [ "SELECT fn_iu_supersede('$_->[0]', 'w', '$decision', '$_->[1]')"
		  . " ->> 'status'" ] } ([ 's2', 's3' ], [ 's3', 's2' ]) x 5);
is(join('', map { $_->{err} } @racers), '', 'of 10 that supersede two units by each other none has an error');
is(join(' ', map { count_of($_, @racers) } qw(superseded successor_not_found idempotent_replay)), '1 5 4',
	'one of the two takes the place of the other');

# ---- one tree

sql(join ';', map { create(@$_) } [ 'a' ], [ 'b' ], [ 'a1', 'a' ], [ 'a2', 'a1' ], [ 'b1', 'b' ]);
$first->query_safe('BEGIN');
$first->query_safe(move('a', 'b1'));
start_query($second, create('a3', 'a2'));
wait_until($waits);
$first->query_safe('COMMIT');
like($second->query_safe('SELECT 1'), qr/^created$/m, 'a unit is created below one that is moved meanwhile');
is(sql("SELECT array_to_string(path_addresses, '/') FROM iu_tree_path t JOIN information_unit u ON u.id = t.unit_id"
		  . " WHERE u.canonical_address = 'a3'"), 'b/b1/a/a1/a2/a3', 'and has its path where that went');
$first->query_safe('BEGIN');
$first->query_safe(create('a4', 'a2'));
start_query($second, "SET app.canonical_writer = 'fn_iu_structure_op'; UPDATE information_unit SET"
	  . " parent_or_container_ref = NULL WHERE canonical_address = 'a'");
wait_until($waits);
$first->query_safe('COMMIT');
$second->query_safe('SELECT 1');
is(sql($paths_are_true), 't', 'a unit that comes in below one that is about to move moves with it');
$first->query_safe('BEGIN');
$first->query_safe(move('a', 'b'));
start_query($second, move('b', 'a2'));
wait_until($waits);
$first->query_safe('COMMIT');
$second->query('SELECT 1');
is(sql('SELECT right_value FROM v_iu_tree_cycle'), 0, 'two moves that would make a cycle together do not');
is(sql("SELECT p.canonical_address FROM information_unit u JOIN information_unit p ON p.id = u.parent_or_container_ref"
		  . " WHERE u.canonical_address = 'a'"), 'b', 'the first of the two has moved');
is(sql("SELECT count(*) FROM information_unit WHERE canonical_address = 'b' AND parent_or_container_ref IS NULL"), 1,
	'the second has not');
$_->quit foreach $first, $second;

# Three trees, named in the order in which their roots are locked.
sql(join ';', map { create("g$_") } 1 .. 3);
my ($low, $middle, $high) = split /\n/, sql("SELECT canonical_address FROM information_unit"
	  . " WHERE canonical_address LIKE 'g_' ORDER BY id");
sql(join ';', create("$low.1", $low), create("$middle.1", $middle), create("$middle.2", $middle),
	create("$high.1", $high));
my ($mover, $third, $fourth) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;
my $rename = sub {
	return "UPDATE information_unit SET canonical_address = '$_[0]x' WHERE canonical_address = '$_[0]'";
};
$_->query_safe("SET app.canonical_writer = 'fn_iu_structure_op'; BEGIN") foreach $mover, $third, $fourth;
$mover->query_safe(move($high, $low));
start_query($third, $rename->("$low.1"));
start_query($fourth, move("$middle.1", "$high.1"));
wait_until("SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'object' AND NOT granted");
$mover->query_safe('COMMIT');
wait_until("SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'object' AND NOT granted");
my @errors = map { $_->[0]->query($_->[1]); $_->[0]->{stderr} } [ $third, $rename->("$middle.2") ],
  [ $third, 'COMMIT' ], [ $fourth, 'COMMIT' ];
unlike(join('', @errors), qr/ERROR/,
	'a move whose target has moved meanwhile holds no tree while it waits for that one');
is(sql($paths_are_true), 't', 'and all paths are those by their parents');
$_->quit foreach $mover, $third, $fourth;

sql(join ';', map { create("t$_") } 1 .. 6);
@racers = IU::Race->run($node, {}, map { my $n = $_; [ map {
			my $to = 1 + ($n + $_) % 6;
			$_ % 3 ? move('t' . (1 + ($n * $_) % 6), "t$to") : create("t$n.$_", "t$to") } 1 .. 12 ] } 1 .. 12);
is(join('', grep { !/iu_tree_cycle|own ancestor|parent_chk/ } map { split /\n(?=ERROR)/, $_->{err} } @racers), '',
	'of 12 that create and move units all that is refused are cycles');
is(sql($paths_are_true), 't', 'after that every path is the one by its parents');
is(sql('SELECT right_value FROM v_iu_tree_cycle'), 0, 'and every unit has a root');

# A path that was lost is written by who builds all of them, and is not seen by who moves the unit meanwhile.
sql(join ';', create('lost'), create('to'));
sql("SET session_replication_role = replica; DELETE FROM iu_tree_path WHERE path_addresses = '{lost}'");
my ($builder, $other_mover) = map { $node->background_psql('postgres', on_error_stop => 0) } 1, 2;
$builder->query_safe('BEGIN; SELECT fn_iu_tree_path_refresh(NULL)');
start_query($other_mover, move('lost', 'to'));
wait_until('SELECT count(*) = 1 FROM pg_locks WHERE NOT granted');
$builder->query_safe('COMMIT');
$other_mover->query_safe('SELECT 1');
is(sql($paths_are_true), 't', 'a unit whose path is built anew while it moves has the path to where it moved');
$_->quit foreach $builder, $other_mover;

# ---- in place

sql('CREATE DATABASE old');
talk_to($node, 'old');
sql("CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate(14);"
	  . " SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ada', 'r');"
	  . " SELECT fn_iu_emit_event('version_applied', 'before', gen_random_uuid(), 'x')");
is(sql('SELECT count(*) > 0 FROM iu_core.migrate()'), 't', 'a database that has rows at 014 is migrated in place');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), 0, 'and conforms');
is(sql(create('new')), 'created', 'and has units');
like(error_of('SELECT iu_core.rollback(14)'), qr/^ERROR:  55006: /, 'it is not rolled back where units would be lost');
is(sql("SELECT canonical_address FROM event_outbox"), 'before', 'its events are those that it had');
my $inventory = 'SELECT object_class, object_name, owner, grants, state, digest'
  . ' FROM iu_core.object_inventory() ORDER BY 1, 2';
my $before = sql($inventory);
like(sql("SELECT string_agg(object_name || ' ' || rows_lost, ', ' ORDER BY object_name)"
		  . " FROM iu_core.rollback(14, allow_data_loss => true) WHERE change = 'rows lost'"),
	qr/\binformation_unit 1\b/, 'rolled back at all costs, it tells how many units were lost');
is(sql('SELECT count(*) FROM iu_core.migrate(16)') > 0, 1, 'it is migrated again as far as the lifecycle');
sql(create('above'));
sql(create('below', 'above'));
sql('SELECT count(*) FROM iu_core.migrate()');
is(sql("SELECT string_agg(array_to_string(path_addresses, '/'), ' ' ORDER BY depth) FROM iu_tree_path"),
	'above above/below', 'units that are there when the axes come get their paths');
is(sql($inventory), $before, 'the catalog is as it was');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), 0, 'and conforms');

done_testing();
