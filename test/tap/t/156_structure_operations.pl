# Structure operations between sessions: one plan, one application, one address, one
# source, no cycle; beside splits, merges, collections and each other nobody is the
# victim of a deadlock, and the tree is one.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Race;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_installed('structure', max_connections => 100, 'iu_core.databases' => '');
talk_to($node);
sql("SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'tester', 'test')");
IU::Gate->open($node, $_, 3600) for 'iu_core.structure_ops_enabled', 'iu_core.composer_enabled';

sub create { return sql(join ';', map { "SELECT fn_iu_create('$_', 't', 'text of $_', 'wim')" } @_) }
sub id { return "(SELECT id FROM information_unit WHERE canonical_address = '$_[0]')" }
sub ids { return 'ARRAY[' . join(', ', map { id($_) } @_) . ']::uuid[]' }

sub pieces
{
	my @pieces = map { qq({"canonical_address": "$_", "title": "t", "body": "text of $_"}) } @_;
	return '{"new_pieces": [' . join(', ', @pieces) . ']}';
}

# The call that plans: type, key, sources, parent, payload.
sub plan_of
{
	my ($type, $key, $sources, $parent, $payload) = @_;
	return "fn_iu_structure_op_plan('$type', " . ids(@$sources) . ", '{}', " . ($parent ? id($parent) : 'NULL')
	  . ", '" . ($payload // '{}') . "', 'wim', NULL, '$key')";
}

sub apply_of
{
	return "SELECT fn_iu_structure_op_apply((SELECT id FROM iu_structure_operation WHERE idempotency_key = '$_[0]'))"
	  . " ->> 'status'";
}

sub rollback_of { return apply_of(@_) =~ s/_apply/_rollback/r }
sub errors_of { return join '', map { $_->{err} } @_ }

# How many of the sessions were answered this.
sub count_of
{
	my ($status, @racers) = @_;
	return scalar grep { $_->{out} =~ /^\Q$status\E$/m } @racers;
}

my ($relations_are_true, $paths_are_true) =
  map { "SELECT count(*) = 0 FROM $_ WHERE left_value IS DISTINCT FROM right_value" }
  'v_iu_relation_parent_check', 'v_iu_tree_path_check';

# ---- one plan, applied once

create('big', 'top');
my $split = plan_of('split_large_piece', 'split', ['big'], 'top', pieces('big.1', 'big.2'));
my @racers = IU::Race->run($node, {}, map { ["SELECT $split ->> 'status'"] } 1 .. 10);
is(errors_of(@racers), '', 'of 10 that plan under one key none has an error');
is(count_of('planned', @racers), 1, 'one of them plans');
is(count_of('idempotent_replay', @racers), 9, 'the others are told that it is planned');
@racers = IU::Race->run($node, {}, map { [ apply_of('split') ] } 1 .. 10);
is(errors_of(@racers), '', 'of 10 that apply one operation none has an error');
is(count_of('enacted', @racers), 1, 'one of them applies it');
is(count_of('idempotent_replay', @racers), 9, 'the others are told that it was applied');
is(sql("SELECT count(*) || ' ' || (SELECT count(*) FROM event_outbox WHERE event_type ~ '^structure_')"
		  . " || ' ' || (SELECT count(*) FROM iu_lifecycle_log)"
		  . " FROM information_unit WHERE canonical_address ~ '^big[.]'"),
	'2 2 1', 'there are two parts, two events and one row of the ledger');
@racers = IU::Race->run($node, {}, map { [ rollback_of('split') ] } 1 .. 6);
is(errors_of(@racers), '', 'of 6 that take it back none has an error');
is(count_of('rolled_back', @racers), 1, 'one of them takes it back');
is(count_of('idempotent_replay', @racers), 5, 'the others are told that it was taken back');

# ---- one address, one source

create('one', 'source');
sql("SELECT " . plan_of('add_new_piece', "add $_", [], 'one', pieces('same', "own $_"))) for 1 .. 6;
@racers = IU::Race->run($node, {}, map { [ apply_of("add $_") ] } 1 .. 6);
is(errors_of(@racers), '', 'of 6 that make a unit with one address none has an error');
is(count_of('enacted', @racers), 1, 'one of them makes it');
is(count_of('invalid_input', @racers), 5, 'the others are told that it is taken');
is(sql("SELECT count(*) FROM information_unit WHERE canonical_address ~ '^own '"), 1, 'and have made nothing else');
sql("SELECT " . plan_of('deprecate_piece', "out $_", ['source'])) for 1 .. 6;
@racers = IU::Race->run($node, {}, map { [ apply_of("out $_") ] } 1 .. 6);
is(errors_of(@racers), '', 'of 6 that deprecate one unit none has an error');
is(count_of('enacted', @racers) . ' ' . count_of('fsm_denied', @racers), '1 5', 'one of them does');

# ---- no cycle

my @ring = map { "ring$_" } 0 .. 7;
create(@ring);
sql("SELECT " . plan_of('reparent_piece', "ring $_", [ $ring[$_] ], $ring[ ($_ + 1) % @ring ])) for 0 .. $#ring;
@racers = IU::Race->run($node, {}, map { [ apply_of("ring $_") ] } 0 .. $#ring);
is(errors_of(@racers), '', 'of 8 moves that together make a ring none has an error');
is(count_of('enacted', @racers) . ' ' . count_of('cycle_denied', @racers), '7 1', 'the last of them is refused');
is(sql($paths_are_true) . sql($relations_are_true), 'tt', 'paths and relations are those of the tree');

# ---- beside everybody else

my @units = map { "u$_" } 1 .. 12;
create(@units);
my @sessions;
foreach my $n (1 .. 30)
{
	my ($a, $b, $c) = @units[ $n % 12, ($n * 5 + 1) % 12, ($n * 7 + 3) % 12 ];
	my $decision = $n % 6 == 4 || $n % 6 == 5
	  ? sql("SELECT fn_iu_review_decision_record('" . ($n % 6 == 4 ? 'split' : 'merge') . "', '{$a,"
		  . ($n % 6 == 4 ? "p$n.1,p$n.2" : $b) . "}', 'approve', 'olga', 'fine') ->> 'review_decision_id'") : '';
	my $key = "mixed $n";
	sql('SELECT ' . ($n % 6 == 0 ? plan_of('reparent_piece', $key, [$a], $b)
		: $n % 6 == 1 ? plan_of('add_new_piece', $key, [], $a, pieces("n$n"))
		: plan_of('merge_small_pieces', $key, [ $b, $a ], $c ne $a && $c ne $b ? $c : undef, pieces("m$n"))));
	push @sessions, $n % 6 == 3
	  ? [ "SELECT fn_iu_compose('c$n', 'file', 'C', NULL, jsonb_build_array("
		  . join(', ', map { "jsonb_build_object('role', 'body', 'iu_id', " . id($_) . ')' } $a, $b)
		  . "), 'w') ->> 'ok'" ]
	  : $n % 6 == 4 ? ["SELECT fn_iu_piece_split('$a', '" . (pieces("p$n.1", "p$n.2") =~ /(\[.*\])/)[0]
		  . "', 'w', '$decision') ->> 'status'"]
	  : $n % 6 == 5 ? ["SELECT fn_iu_piece_merge('" . (pieces("q$n") =~ /\[(.*)\]/)[0]
		  . "', '{$a,$b}', 'w', '$decision') ->> 'status'"]
	  : [ apply_of($key), rollback_of($key) ];
}
@racers = IU::Race->run($node, {}, @sessions);
is(errors_of(@racers), '', 'of 30 that move, add, merge, split and compose the same units none has an error');
cmp_ok(count_of('enacted', @racers), '>', 0, 'some of the operations were applied');
cmp_ok(count_of('split', @racers) + count_of('merged', @racers), '>', 0, 'some units were split or merged');
is(sql($paths_are_true) . sql($relations_are_true), 'tt', 'paths and relations are those of the tree then');
is(sql("SELECT string_agg(o.idempotency_key, ', ') FROM iu_structure_operation o"
		  . " WHERE o.operation_status = 'rolled_back' AND NOT (fn_iu_structure_op_verify(o.id) -> 'all_pass')::boolean"
		  . " AND o.operation_type <> 'reparent_piece'"), '', 'what was taken back is whole');
is(sql("SELECT count(*) FROM information_unit u WHERE u.deleted_at IS NOT NULL AND EXISTS (SELECT FROM"
		  . " iu_piece_membership m WHERE m.iu_id = u.id AND m.membership_status = 'active')"), 0,
	'no piece of a collection was deleted');

# ---- the trees of a move, locked at once

# Out of the tree of the greater id, the unit with the lesser one becomes a root.
create('apart', 'beside');
my ($unit, $root) = split /\n/, sql("SELECT canonical_address FROM information_unit WHERE canonical_address"
	  . " IN ('apart', 'beside') ORDER BY id");
my $lock_of = sub { return "named_lock('iu_tree:' || " . id($_[0]) . ')' };
my $holder = $node->background_psql('postgres');
my $mover = $node->background_psql('postgres');
sub waits_without_root
{
	my ($statement, $what) = @_;
	$holder->query_safe('BEGIN; SELECT iu_core.' . $lock_of->($unit));
	start_query($mover, $statement);
	wait_until('SELECT count(*) = 1 FROM pg_locks WHERE NOT granted');
	is(sql('SELECT iu_core.try_' . $lock_of->($root)), 't',
		"$what that makes a unit a root holds no tree while it waits for that unit");
	$holder->query_safe('COMMIT');
	$mover->query_safe('SELECT 1');
	is(sql('SELECT parent_or_container_ref IS NULL FROM information_unit WHERE id = ' . id($unit)), 't',
		"$what makes the unit a root then");
}
sql('SELECT ' . plan_of('reparent_piece', 'in', [$unit], $root));
sql(apply_of('in'));
waits_without_root(rollback_of('in'), 'taking back a move');
sql('SELECT ' . plan_of('reparent_piece', 'in again', [$unit], $root));
sql(apply_of('in again'));
sql('SELECT ' . plan_of('reparent_piece', 'out', [$unit], undef));
waits_without_root(apply_of('out'), 'a move');
$_->quit foreach $holder, $mover;

$node->stop;
done_testing();
