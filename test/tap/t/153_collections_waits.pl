# What changes while a call waits for somebody else's lock: a gate that was closed
# meanwhile is closed for it; a word that was taken out of a vocabulary is gone for it,
# and one that it has used stays; a key that somebody took is taken, and one that was
# taken back is free; a unit that was deleted is none.
use strict;
use warnings;

use IPC::Run ();
use IU::Cluster;
use IU::Gate;
use IU::SQL;
use Test::More;

my $node = IU::Cluster->new_installed('waits', 'iu_core.databases' => '');
talk_to($node);
my ($composer, $auto) = ('iu_core.composer_enabled', 'iu_core.auto_instantiate_enabled');

sql(q{SELECT count(fn_iu_create('u' || i, 'U', 'text', 'w')) FROM generate_series(1, 9) i;
	CREATE FUNCTION unit(a text) RETURNS uuid LANGUAGE sql AS
	  'SELECT id FROM information_unit WHERE canonical_address = a';
	CREATE FUNCTION coll(a text) RETURNS uuid LANGUAGE sql AS
	  'SELECT id FROM iu_piece_collection WHERE collection_key = a';
	CREATE FUNCTION pieces(p_role text, VARIADIC a text[]) RETURNS jsonb LANGUAGE sql AS
	  $$SELECT jsonb_agg(jsonb_build_object('role', p_role, 'iu_id', unit(x))) FROM unnest(a) x$$});
IU::Gate->open($node, $_, 3600) for $composer, $auto;
sql(q{SELECT fn_iu_compose('t', 'file', 'T', NULL, pieces('body', 'u1', 'u2'), 'w'),
	fn_iu_compose('c', 'file', 'C', NULL, pieces('body', 'u1', 'u2', 'u3'), 'w')});
sql(q{SELECT fn_iu_collection_mark_as_template(coll('t'), 'T', NULL, 'w');
	SELECT fn_iu_auto_instantiate_from_event(gen_random_uuid(), 't', coll('t'), 'made', 'live', 'w', NULL)});

# A call, or several one after the other, that wait for what a session has done, which then
# ends as it is told to, after something else has happened. What they answer, or their errors.
sub while_waiting
{
	my ($held, $call, $meanwhile, $end) = @_;
	my $holder = $node->background_psql('postgres', on_error_stop => 1);
	my (@callers, @answers);

	$holder->query_safe("BEGIN; $held");
	foreach my $sql (ref $call ? @$call : $call)
	{
		push @answers, '';
		push @callers, IPC::Run::start([ $node->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=verbose', '-d',
			$node->connstr('postgres') . ' application_name=caller', '-c', "SELECT $sql" ], '<', \undef, '>',
			\$answers[-1], '2>&1');
		wait_until('SELECT count(*) = ' . @callers
			. " FROM pg_stat_activity WHERE application_name = 'caller' AND wait_event_type = 'Lock'");
	}
	sql($meanwhile) if $meanwhile;
	$holder->query_safe($end // 'COMMIT');
	IPC::Run::finish($_) foreach @callers;
	$holder->quit;
	return join '', @answers;
}

# ---- a gate that closes

my $touch = "SELECT FROM iu_piece_collection WHERE collection_key = '%s' FOR UPDATE";
my %calls = (
	'adding a piece' => [ 'c', "fn_iu_collection_add_piece(coll('c'), unit('u4'), NULL, 'body', 'w')" ],
	'removing a piece' => [ 'c', "fn_iu_collection_remove_piece(coll('c'), unit('u1'), 'w')" ],
	'moving a piece' => [ 'c', "fn_iu_collection_reorder_piece(coll('c'), unit('u1'), 2, 'w')" ],
	'changing the status' => [ 'c', "fn_iu_collection_set_status(coll('c'), 'active', 'w', 'r')" ]);
my $rows = q{SELECT md5(string_agg(t, ';')) FROM (SELECT c::text AS t FROM iu_piece_collection c UNION ALL
	SELECT m::text FROM iu_piece_membership m UNION ALL SELECT u::text FROM information_unit u ORDER BY 1) x};
my $before = sql($rows);
foreach my $what (sort keys %calls)
{
	my ($key, $call) = @{ $calls{$what} };
	like(while_waiting(sprintf($touch, $key), "$call ->> 'ok'", "SELECT fn_iu_gate_close('$composer', 'w', 'r')"),
		qr/42501.*composing is closed/, "$what is refused where the gate was closed while it waited");
	IU::Gate->open($node, $composer, 3600);
}
foreach my $what ('soft_delete', 'restore')
{
	like(while_waiting("SELECT FROM information_unit WHERE canonical_address = 'u9' FOR UPDATE",
		"fn_iu_piece_$what(unit('u9'), 'w') ->> 'ok'", "SELECT fn_iu_gate_close('$composer', 'w', 'r')"),
		qr/42501.*composing is closed/, "fn_iu_piece_$what is refused where the gate was closed while it waited");
	IU::Gate->open($node, $composer, 3600);
}
like(while_waiting("SELECT fn_iu_compose('k', 'file', 'K', NULL, '[]', 'w')",
	"fn_iu_compose('k', 'file', 'K', NULL, '[]', 'w') ->> 'ok'", "SELECT fn_iu_gate_close('$composer', 'w', 'r')",
	'ROLLBACK'), qr/42501.*composing is closed/, 'composing is refused where the gate was closed while it waited');
IU::Gate->open($node, $composer, 3600);
foreach my $gate ($composer, $auto)
{
	my $status = $gate eq $auto ? 'live_gate_closed' : 'composer_gate_closed';
	is(while_waiting(sprintf($touch, 't'), "fn_iu_auto_instantiate_from_event(gen_random_uuid(), 't', coll('t'), 'n', "
		. "'live', 'w', NULL)::text", "SELECT fn_iu_gate_close('$gate', 'w', 'r')"), "{\"status\": \"$status\"}\n",
		"a template makes nothing where gate $gate was closed while it waited");
	IU::Gate->open($node, $gate, 3600);
}
is(while_waiting(sprintf($touch, 'tpl-inst:auto:made'), "fn_iu_auto_instantiate_rollback_by_actor('w', false)::text",
	"SELECT fn_iu_gate_close('$composer', 'w', 'r')"), "{\"status\": \"composer_gate_closed\"}\n",
	'nothing is taken back where the gate was closed while it waited');
IU::Gate->open($node, $composer, 3600);
is(sql($rows), $before, 'none of them has changed a row');

# ---- a word that goes

sql(q{SELECT fn_iu_vocab_add('piece_role', 'hint', 'what may help', 'w', 'r'),
	fn_iu_vocab_add('collection_kind', 'guide', 'how to do it', 'w', 'r')});
foreach my $role ('clause', 'hint')
{
	like(while_waiting("SELECT fn_iu_vocab_remove('piece_role', '$role', 'w', 'r')",
		"fn_iu_compose('r', 'file', 'R', NULL, pieces('$role', 'u1'), 'w') ->> 'ok'"),
		qr/23514.*$role/, "a role that was taken away while composing waited is refused: $role");
	sql("SELECT fn_iu_vocab_add('piece_role', '$role', 'again', 'w', 'r')");
	like(while_waiting("SELECT fn_iu_vocab_remove('piece_role', '$role', 'w', 'r')",
		"fn_iu_collection_add_piece(coll('c'), unit('u5'), NULL, '$role', 'w') ->> 'ok'"),
		qr/23514.*$role/, "a role that was taken away while adding waited is refused: $role");
	sql("SELECT fn_iu_vocab_add('piece_role', '$role', 'again', 'w', 'r')");
}
foreach my $kind ('document', 'guide')
{
	like(while_waiting("SELECT fn_iu_vocab_remove('collection_kind', '$kind', 'w', 'r')",
		"fn_iu_collection_create('g', '$kind', 'G', NULL, 'w') ->> 'ok'"), qr/23514.*$kind/,
		"a kind that was taken away while creating waited is refused: $kind");
	sql("SELECT fn_iu_vocab_add('collection_kind', '$kind', 'again', 'w', 'r')");
	like(while_waiting("SELECT fn_iu_collection_create('$kind', '$kind', 'G', NULL, 'w')",
		"fn_iu_vocab_remove('collection_kind', '$kind', 'w', 'r') ->> 'status'"), qr/55006.*collection $kind/,
		"a kind that a collection got while taking it away waited stays: $kind");
}
like(while_waiting("SELECT fn_iu_collection_add_piece(coll('c'), unit('u6'), NULL, 'hint', 'w')",
	"fn_iu_vocab_remove('piece_role', 'hint', 'w', 'r') ->> 'status'"), qr/55006.*collection c /,
	'a role that a piece got while taking it away waited stays');

# ---- a key that somebody takes

my $event = '25000d25-0000-4000-8000-000000000001';
my $make = "SELECT fn_iu_auto_instantiate_from_event('$event', 't', coll('t'), '%s', 'live', 'w', NULL)";
sub make { return sprintf $make =~ s/^SELECT //r, $_[0] }
is(while_waiting("SELECT fn_iu_compose('tpl-inst:auto:x', 'file', 'X', NULL, '[]', 'w')", make('x') . '::text'),
	"{\"status\": \"instance_key_exists\"}\n", 'an event is told that somebody composes under its key');
like(while_waiting("SELECT fn_iu_compose('tpl-inst:auto:y', 'file', 'Y', NULL, '[]', 'w')", make('y') . " ->> 'status'",
	undef, 'ROLLBACK'), qr/^ok\n/, 'an event makes its collection where somebody did not compose it after all');
like(while_waiting(sprintf($make, 'z'), make('z') . " ->> 'status'"), qr/^idempotent_replay\n/,
	'the same event at once is a replay');
like(while_waiting(sprintf($make, 'a'), make('a') . " ->> 'status'", undef, 'ROLLBACK'), qr/^ok\n/,
	'the same event makes the collection where the first did not after all');
like(while_waiting(sprintf($make, 'b'), "fn_iu_compose('tpl-inst:auto:b', 'file', 'B', NULL, '[]', 'w') ->> 'ok'"),
	qr/23505.*is taken/, 'composing is told that an event has taken the key');

# Whoever asks for a key looks twice: whether he gets it, and whether somebody has it.
# Between the two what has it may be taken back.
sql("CREATE FUNCTION in_between() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END';
	CREATE TRIGGER in_between AFTER INSERT ON iu_piece_collection FOR EACH STATEMENT EXECUTE FUNCTION in_between()");
my %asks = ('composing' => "fn_iu_compose('tpl-inst:auto:f', 'file', 'F', NULL, '[]', 'w') ->> 'ok'",
	'an event' => make('f') . " ->> 'status'");
foreach my $who (sort keys %asks)
{
	sql("SELECT fn_iu_auto_instantiate_from_event(gen_random_uuid(), 't', coll('t'), 'f', 'live', 'gone', NULL)");
	like(while_waiting('SELECT pg_advisory_xact_lock(7)', $asks{$who},
		"SELECT fn_iu_auto_instantiate_rollback_by_actor('gone', false)"), qr/^(?:ok|true)\n/,
		"$who gets a key whose collection was taken back after it was seen to be taken");
	sql("SELECT fn_iu_auto_instantiate_rollback_by_actor('w', false)");
}
sql('DROP TRIGGER in_between ON iu_piece_collection; DROP FUNCTION in_between()');

# ---- a unit that goes

my %takes = ('composing' => "fn_iu_compose('d', 'file', 'D', NULL, pieces('body', 'u8'), 'w')",
	'adding' => "fn_iu_collection_add_piece(coll('c'), unit('u8'), NULL, 'body', 'w')");
foreach my $who (sort keys %takes)
{
	like(while_waiting("SELECT fn_iu_piece_soft_delete(unit('u8'), 'w')", "$takes{$who} ->> 'ok'"), qr/23503.*piece/,
		"a unit that was deleted while $who waited is refused");
	sql("SELECT fn_iu_piece_restore(unit('u8'), 'w')");
}

# ---- several units

# Two of the units that an operation made, of which the first by address is not the first by id.
IU::Gate->open($node, 'iu_core.structure_ops_enabled', 3600);
my $parts = q{jsonb_build_object('new_pieces', (SELECT jsonb_agg(jsonb_build_object('canonical_address', %s || i,
	'title', 'P', 'body', 'p')) FROM generate_series(1, 9) i))};
sub made_of
{
	my ($unit) = @_;
	sql("SELECT fn_iu_structure_op_apply((fn_iu_structure_op_plan('split_large_piece', ARRAY[unit('$unit')], '{}', "
		. 'NULL, ' . sprintf($parts, "'$unit/'") . ", 'w', NULL, '$unit') ->> 'operation_id')::uuid)");
	return ("fn_iu_structure_op_rollback((SELECT id FROM iu_structure_operation WHERE idempotency_key = '$unit'))"
		. " ->> 'status'", split /\|/, sql("SELECT a.canonical_address, b.canonical_address FROM information_unit a,
		information_unit b WHERE a.canonical_address ~ '^$unit/' AND b.canonical_address ~ '^$unit/'
		AND a.canonical_address < b.canonical_address AND a.id > b.id ORDER BY a.canonical_address LIMIT 1"));
}
my ($undo, $first, $last) = made_of('u7');
my $hold = "SELECT FROM information_unit WHERE canonical_address = '%s' FOR KEY SHARE";
like(while_waiting(sprintf($hold, $last),
	[ $undo, "fn_iu_compose('e', 'file', 'E', NULL, pieces('body', '$first', '$last'), 'w') ->> 'ok'" ]),
	qr/^rolled_back\n.*23503.*piece/, 'who composes units and who takes them back are no deadlock');
($undo, $first, $last) = made_of('u6');
# Each is under one of these, by its address, or by the id where that is given.
sub import_below
{
	my @parents = @_;
	my @rows = map { my $key = $parents[$_] =~ /^\w+-/ ? 'parent_ref' : 'parent_address';
		qq({"canonical_address": "i$_", "title": "I", "body": "i", "$key": "$parents[$_]"}) } 0 .. $#parents;
	return "fn_iu_import('[" . join(', ', @rows) . "]', 'w', false) ->> 'status'";
}
is(while_waiting(sprintf($hold, $last), [ $undo, import_below($last, $first) ]), "rolled_back\nrefused\n",
	'who imports units under others and who takes those back are no deadlock');
foreach my $by ('canonical_address', 'id')
{
	($undo, $first) = made_of($by eq 'id' ? 'u4' : 'u5');
	is(while_waiting("SELECT $undo", import_below(sql("SELECT $by FROM information_unit
		WHERE canonical_address = '$first'"))), "refused\n",
		"an import below a unit that was deleted while it waited is refused, named by its $by");
}
is(sql('SELECT count(*) FROM information_unit c JOIN information_unit p ON p.id = c.parent_or_container_ref
	WHERE c.deleted_at IS NULL AND p.deleted_at IS NOT NULL'), '0', 'no unit is below one that was deleted');

# ---- two collections

sql(join '; ', map { "SELECT fn_iu_auto_instantiate_from_event(gen_random_uuid(), 't', coll('t'), 'two-$_', 'live', "
	. "'two', NULL)" } 1 .. 2);
my ($less, $more) = split /\n/, sql("SELECT id FROM iu_piece_collection WHERE collection_key ~ ':two-'
	ORDER BY collection_key");
my $back = "fn_iu_auto_instantiate_rollback_by_actor('two', false) ->> 'status'";
$hold = "SELECT FROM iu_piece_collection WHERE id = '$less' FOR UPDATE";
sql("SELECT fn_iu_collection_mark_as_template(i, 'T', NULL, 'w') FROM unnest('{$less,$more}'::uuid[]) i;
	SELECT fn_iu_collection_register_template_version('$less', 'two', 'v1', 1, NULL, 'w')");
is(while_waiting($hold, [ $back,
	"fn_iu_collection_register_template_version('$more', 'two', 'v2', 2, '$less', 'w') ->> 'status'" ]),
	"instance_in_use\nok\n", 'who registers a version and who takes back both collections are no deadlock');
sql(join '; ', map { "SELECT fn_iu_auto_instantiate_from_event(gen_random_uuid(), 't', coll('t'), 'pair-$_', 'live', "
	. "'pair', NULL)" } 1 .. 2);
($less, $more) = split /\n/, sql("SELECT id FROM iu_piece_collection WHERE collection_key ~ ':pair-'
	ORDER BY collection_key");
is(while_waiting("SELECT FROM iu_piece_collection WHERE id = '$less' FOR UPDATE",
	[ $back =~ s/two/pair/r, "fn_iu_collection_record_template_instance('$more', '$less', 'w', NULL) ->> 'status'" ]),
	"rolled_back\ncollection_not_found\n",
	'who records an instance and who takes back both collections are no deadlock');

# Two calls in the order of the keys, which is not that of the ids.
sql(join '; ', map { "SELECT fn_iu_auto_instantiate_from_event(gen_random_uuid(), 't', coll('t'), 'order-$_', 'live', "
	. "'order', NULL)" } 1 .. 9);
($less, $more) = split /\|/, sql("SELECT a.id, b.id FROM iu_piece_collection a, iu_piece_collection b
	WHERE a.collection_key ~ ':order-' AND b.collection_key ~ ':order-' AND a.collection_key < b.collection_key
	AND a.id > b.id ORDER BY a.collection_key LIMIT 1");
is(while_waiting("SELECT FROM iu_piece_collection WHERE id = '$less' FOR UPDATE",
	[ join('; SELECT ', map { "fn_iu_collection_add_piece('$_', unit('u3'), NULL, 'body', 'w') ->> 'ok'" }
		$less, $more), $back =~ s/two/order/r ]), "true\ntrue\nrolled_back\n",
	'who changes collections in the order of their keys and who takes them back are no deadlock');

# One transaction that makes several would be waited for by whoever changes the one template, who would be waited for by
# another that makes under the same keys after it, so the three would be a deadlock.
my $changer = $node->background_psql('postgres', on_error_stop => 1);
$changer->query_safe("BEGIN; SELECT fn_iu_collection_add_piece(coll('t'), unit('u3'), NULL, 'body', 'w')");
is(ask("SET lock_timeout = '3s'; SELECT a ->> 'status', a -> 'pieces_attached', a -> 'digest_matches_template'
	FROM fn_iu_auto_instantiate_from_event(gen_random_uuid(), 't', coll('t'), 'beside', 'live', 'w', NULL) a"),
	'ok|2|true',
	'who makes a collection after a template does not wait for who changes the template, and has it as it was');
$changer->query_safe('ROLLBACK');
$changer->quit;

# ---- no place in the table of locks

is(sql("BEGIN; " . join('; ', map { sprintf $make, "many-$_" } 1 .. 3)
	. "; SELECT count(*) FROM pg_locks WHERE classid = 'pg_description'::regclass AND pid = pg_backend_pid();"
	. ' COMMIT') =~ s/.*\n//gr,
	'0',
	'collections that events make take no place in the table of locks, however many one transaction makes');
is(sql('SELECT count(*) FROM v_iu_collection_digest_check WHERE left_value IS DISTINCT FROM right_value'), '0',
	'each digest is that of its order');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'the database conforms');

$node->stop;
done_testing();
