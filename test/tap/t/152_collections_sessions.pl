# 32 sessions that compose, split, merge, make collections after templates, take them
# back, add, remove and move pieces, delete and restore units, plan structure operations,
# apply them, look at them and take them back, and add jobs: one call in a transaction, or
# calls in the order of their keys. Keys and addresses clash all the time, others every
# 150 calls. For each key there is one result, and everybody is told the same;
# nothing ends in a deadlock; and what the events of a collection say one after the other
# is what its memberships are, so none of them is lost.
#
# IU_SECONDS is how long it goes on (4); then until each way to clash was seen.
use strict;
use warnings;

use IPC::Run ();
use IU::Cluster;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{IU_SECONDS} // 4;
my $node = IU::Cluster->new_installed('sessions', 'iu_core.databases' => '', max_connections => 60,
	deadlock_timeout => '200ms');
talk_to($node);

sql("SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'tester', 'test')");
sql(<<'SQL');
CREATE SEQUENCE acts;
CREATE TABLE told (act text NOT NULL, key text, status text NOT NULL, result text);
SELECT fn_iu_import(jsonb_agg(jsonb_build_object('canonical_address', a, 'title', 'U', 'body', 'text')), 'w', false)
  FROM (SELECT 'u' || i FROM generate_series(1, 40) i UNION ALL SELECT 's' || i FROM generate_series(0, 199) i) x (a);
CREATE FUNCTION unit(p_n integer) RETURNS uuid LANGUAGE sql AS
  $$SELECT id FROM information_unit WHERE canonical_address = 'u' || 1 + p_n % 40$$;
-- What structure operations split, merge and deprecate: others in each epoch, since that uses them up.
CREATE FUNCTION source(p_epoch text, p_n integer) RETURNS uuid LANGUAGE sql AS
  $$SELECT id FROM information_unit
      WHERE canonical_address = 's' || (rtrim(p_epoch, '/')::bigint * 4 + p_n % 4) % 200$$;
CREATE FUNCTION coll(p_key text) RETURNS uuid LANGUAGE sql AS
  $$SELECT id FROM iu_piece_collection WHERE collection_key = p_key$$;
-- Pieces from a number on: units that there are and that nobody deletes, and others that are new, in an order that
-- differs.
CREATE FUNCTION pieces(p_n integer, p_new text[]) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_agg(p ORDER BY hashint8(p_n + n)), '[]') FROM (
    SELECT n, jsonb_build_object('role', 'step', 'iu_id', unit((p_n + n) % 30)) AS p FROM generate_series(0, p_n % 5) n
    UNION ALL
    SELECT 9 + n, jsonb_build_object('role', 'body', 'new_piece',
             jsonb_build_object('canonical_address', a, 'title', 'X', 'body', 'x'))
      FROM unnest(p_new) WITH ORDINALITY x (a, n)) y $$;
CREATE FUNCTION decision(p_operation text, p_addresses text[]) RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT (fn_iu_review_decision_record(p_operation, p_addresses, 'approve', 'olga', 'good')
            ->> 'review_decision_id')::uuid $$;
CREATE FUNCTION make(p_event integer, p_template text, p_suffix text, p_actor text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  a jsonb := fn_iu_auto_instantiate_from_event(md5(p_event::text)::uuid, 't', coll(p_template), p_suffix,
    (ARRAY['live', 'dry_run'])[1 + (random() < 0.5)::int], p_actor, NULL);
BEGIN
  INSERT INTO told VALUES ('make', p_event || ' ' || p_template || ' ' || p_suffix, a ->> 'status',
    a ->> 'instance_collection_id');
END $$;
CREATE FUNCTION compose(p_key text, p_pieces jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO told SELECT 'compose', p_key, 'ok', fn_iu_compose(p_key, 'file', 'C', NULL, p_pieces, 'w')
    ->> 'collection_id';
END $$;
CREATE FUNCTION job(p_key text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO told SELECT 'job', p_key, a ->> 'status', a ->> 'job_id'
    FROM fn_job_enqueue('work', 'w', '{}', NULL, p_key) a $$;
-- An operation under a key that half of those who have it mean otherwise.
CREATE FUNCTION plan(p_epoch text, p_n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c_types CONSTANT text[] := ARRAY['add_new_piece', 'split_large_piece', 'merge_small_pieces', 'deprecate_piece',
    'reparent_piece', 'reparent_piece'];
  v_type  CONSTANT text := c_types[1 + p_n % 6];
  v_other CONSTANT integer := p_n / 6 % 2;
  a       jsonb;
BEGIN
  a := fn_iu_structure_op_plan(v_type,
    CASE WHEN v_type = 'add_new_piece' THEN '{}' WHEN v_type = 'reparent_piece' THEN ARRAY[unit(p_n % 6)]
         WHEN v_type = 'merge_small_pieces' THEN ARRAY[source(p_epoch, v_other + 1), source(p_epoch, v_other)]
         ELSE ARRAY[source(p_epoch, v_other)] END, '{}',
    CASE WHEN v_type IN ('add_new_piece', 'reparent_piece') THEN unit(9 - p_n % 6 + v_other) END,
    CASE WHEN v_type IN ('deprecate_piece', 'reparent_piece') THEN '{}'
         ELSE (SELECT jsonb_build_object('new_pieces', jsonb_agg(jsonb_build_object('canonical_address',
                 'x' || p_epoch || n, 'title', 'N', 'body', 'n') ORDER BY n DESC))
                 FROM generate_series(1, 1 + 2 * (v_type = 'split_large_piece')::int, 2) n) END,
    'w', NULL, 'p' || p_epoch || p_n % 6);
  INSERT INTO told VALUES ('plan', 'p' || p_epoch || p_n % 6, a ->> 'status', a ->> 'operation_id');
END $$;
-- What somebody does; a refusal that has a name is an answer.
CREATE FUNCTION act(p_what integer, p_n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c_acts  CONSTANT text[] := ARRAY['compose', 'compose', 'make', 'make', 'by hand', 'in order', 'add', 'add', 'remove',
    'reorder', 'split', 'merge', 'delete', 'restore', 'back', 'template', 'plan', 'plan', 'plan', 'operation',
    'operation', 'operation', 'operation', 'operation', 'operation', 'operation', 'job'];
  v_act   CONSTANT text := c_acts[1 + p_what];
  v_epoch CONSTANT text := nextval('acts') / 150 || '/';
  v_coll  CONSTANT text := (ARRAY['t1', 't2', 'c1', 'c2'])[1 + p_n % 4];
  v_x     CONSTANT text[] := ARRAY['x' || v_epoch || p_n % 3, 'x' || v_epoch || (p_n / 5) % 2 + 3];
  -- Also one that an operation or somebody else has made just now.
  v_unit  CONSTANT uuid := coalesce((SELECT id FROM information_unit WHERE canonical_address = v_x[1]
    AND p_n % 2 = 0), unit(p_n / 7));
  a       jsonb;
  v_did   text;
  v_name  text;
BEGIN
  CASE v_act
    WHEN 'compose' THEN PERFORM compose('k' || v_epoch || p_n % 6,
      pieces(p_n, CASE p_n % 3 WHEN 0 THEN v_x WHEN 1 THEN v_x[2:2] ELSE '{}' END));
    WHEN 'make' THEN PERFORM make(p_n % 3, 't' || 1 + p_n / 3 % 2, v_epoch || p_n % 4, 'w');
    WHEN 'by hand' THEN
      IF p_n % 2 = 0 THEN PERFORM compose('tpl-inst:auto:h' || v_epoch || p_n % 3, pieces(p_n, v_x[1:1]));
      ELSE PERFORM make(p_n % 3, 't1', 'h' || v_epoch || p_n % 3, 'w'); END IF;
    WHEN 'in order' THEN
      FOR i IN 0 .. 5 LOOP
        IF p_n % 3 = 0 THEN PERFORM make(i, 't' || 1 + (p_n + i) % 2, 'o' || v_epoch || i, 'w');
        ELSIF p_n % 3 = 1 THEN PERFORM job('o' || v_epoch || i);
        ELSIF random() < 0.7 THEN
          BEGIN
            PERFORM compose('o' || v_epoch || i, pieces(p_n + i, '{}'));
          EXCEPTION WHEN unique_violation THEN
            INSERT INTO told VALUES ('compose', 'o' || v_epoch || i, 'taken');
          END;
        END IF;
      END LOOP;
    WHEN 'add' THEN
      PERFORM fn_iu_collection_add_piece(coll(v_coll), v_unit, (ARRAY[0, 1, NULL])[1 + p_n % 3], 'body', 'w');
    WHEN 'remove' THEN PERFORM fn_iu_collection_remove_piece(coll(v_coll), v_unit, 'w');
    WHEN 'reorder' THEN PERFORM fn_iu_collection_reorder_piece(coll(v_coll), v_unit, p_n % 5, 'w');
    WHEN 'split' THEN
      a := fn_iu_piece_split('u' || 1 + p_n % 40, jsonb_build_array(
        jsonb_build_object('canonical_address', v_x[2], 'title', 'S', 'body', 's'),
        jsonb_build_object('canonical_address', v_x[1], 'title', 'T', 'body', 't')), 'w',
        decision('split', 'u' || 1 + p_n % 40 || v_x));
      INSERT INTO told VALUES ('split', concat_ws(' ', 1 + p_n % 40, v_x[1], v_x[2]), a ->> 'status',
        a ->> 'split_set_id');
    WHEN 'merge' THEN
      a := fn_iu_piece_merge(jsonb_build_object('canonical_address', v_x[1], 'title', 'M', 'body', 'm'),
        ARRAY['u' || 1 + p_n % 40, 'u' || 1 + (p_n + 11) % 40], 'w',
        decision('merge', ARRAY['u' || 1 + p_n % 40, 'u' || 1 + (p_n + 11) % 40]));
      INSERT INTO told VALUES ('merge', concat_ws(' ', 1 + p_n % 40, v_x[1]), a ->> 'status', a ->> 'merge_set_id');
    WHEN 'delete' THEN PERFORM fn_iu_piece_soft_delete(unit(30 + p_n % 10), 'w');
    WHEN 'restore' THEN PERFORM fn_iu_piece_restore(unit(30 + p_n % 10), 'w');
    WHEN 'back' THEN
      IF p_n % 3 > 0 THEN PERFORM make(p_n % 3, 't2', 'b' || v_epoch || p_n % 3, 'gone');
      ELSE PERFORM fn_iu_auto_instantiate_rollback_by_actor('gone', false); END IF;
    WHEN 'template' THEN
      IF p_n % 2 = 0 THEN PERFORM fn_iu_collection_mark_as_template(coll(v_coll), 'L' || p_n, NULL, 'w');
      ELSE PERFORM fn_iu_collection_record_template_instance(coll('k' || v_epoch || p_n % 6), coll('t1'), 'w', NULL);
      END IF;
    WHEN 'plan' THEN PERFORM plan(v_epoch, p_n);
    WHEN 'operation' THEN
      SELECT CASE p_n / 6 % 4 WHEN 0 THEN 'taken back' WHEN 1 THEN 'looked at' ELSE 'applied' END,
             CASE p_n / 6 % 4 WHEN 0 THEN fn_iu_structure_op_rollback(o.id, 'w', 'r')
                              WHEN 1 THEN fn_iu_structure_op_verify(o.id) ELSE fn_iu_structure_op_apply(o.id) END
        INTO v_did, a
        FROM iu_structure_operation o WHERE o.idempotency_key = 'p' || v_epoch || p_n % 6;
      INSERT INTO told SELECT v_did, 'p' || v_epoch || p_n % 6, coalesce(a ->> 'status', a ->> 'operation_status'),
        coalesce(a ->> 'created_unit_ids', '-') WHERE v_did IS NOT NULL;
    WHEN 'job' THEN PERFORM job('j' || v_epoch || p_n % 4);
  END CASE;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v_name = CONSTRAINT_NAME;
  IF NOT EXISTS (SELECT FROM iu_refusal r WHERE r.constraint_name = v_name AND v_name ~ '^iu_(collection|piece)_') THEN
    RAISE;
  END IF;
  INSERT INTO told VALUES (v_act, NULL, v_name);
END $$;
-- What the events of a collection say, one after the other.
SET check_function_bodies = off;
CREATE FUNCTION by_events(p_collection uuid) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
  v_list uuid[] := '{}';
  e      record;
BEGIN
  FOR e IN SELECT s.type, s.unit, s.place FROM said s WHERE s.collection = p_collection ORDER BY s.event_seq LOOP
    IF e.type IN ('piece_removed_from_collection', 'piece_reordered') THEN
      v_list := array_remove(v_list, e.unit);
    END IF;
    IF e.type IN ('piece_added_to_collection', 'piece_reordered') THEN
      v_list := v_list[: e.place] || e.unit || v_list[e.place + 1 :];
    END IF;
  END LOOP;
  RETURN v_list;
END $$;
SQL
sql("SELECT fn_iu_gate_open(g, gen_random_uuid(), 'tester', 'test', 3600)
	FROM unnest(ARRAY['iu_core.composer_enabled', 'iu_core.auto_instantiate_enabled', 'iu_core.structure_ops_enabled',
	'queue.job_substrate.enabled']) g");
sql("SELECT fn_iu_compose(k, 'file', 'C', NULL, pieces(n::int * 3, '{}'), 'w')
	FROM unnest(ARRAY['t1', 't2', 'c1', 'c2']) WITH ORDINALITY x (k, n)");
sql("SELECT fn_iu_collection_mark_as_template(coll(k), 'T', NULL, 'w') FROM unnest(ARRAY['t1', 't2']) k");

my $script = PostgreSQL::Test::Utils::tempdir() . '/act.sql';
append_to_file($script, "\\set what random(0, 26)\n\\set n random(0, 1000000)\nSELECT act(:what, :n);\n");
my @errors;
sub act_for
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ $node->installed_command('pgbench'), '-n', '-c', 32, '-j', 2, '-T', $_[0], '-f', $script,
		'-h', $node->host, '-p', $node->port, 'postgres' ], '<', \undef, '>', \$out, '2>', \$err);
	note($out);
	push @errors, $err =~ /^.*(?:ERROR|FATAL|aborted).*$/mg;
	return;
}

# What somebody had, and what others were told who came later, all of which is to be seen.
my %to_see = (compose => [qw(ok iu_collection_key_taken iu_collection_piece_address_taken)],
	make => [qw(ok idempotent_replay instance_key_exists)], split => [qw(split invalid_input)],
	merge => [qw(merged invalid_input)], plan => [qw(planned idempotent_replay idempotency_key_used)],
	applied => [qw(enacted idempotent_replay fsm_denied invalid_input)], 'taken back' => ['rolled_back'],
	'looked at' => [qw(planned enacted)], job => [qw(queued idempotent_replay)]);
my $unseen = "SELECT string_agg(act || ': ' || status, ', ') FROM (VALUES " . join(', ',
	map { my $act = $_; map { "('$act', '$_')" } @{ $to_see{$act} } } sort keys %to_see)
	. ") w (act, status) WHERE NOT EXISTS (SELECT FROM told t WHERE (t.act, t.status) = (w.act, w.status))";
my $patience = time() + $PostgreSQL::Test::Utils::timeout_default;
act_for($seconds);
act_for(2) while !@errors && time() < $patience && sql($unseen) ne '';
is(join("\n", @errors), '', 'no session has an error that has no name');
is(join("\n", slurp_file($node->logfile) =~ /ERROR:  deadlock detected\n((?:.*\n){1,16})/g), '',
	'nothing ends in a deadlock');
note(sql("SELECT act, status, count(*) FROM told GROUP BY 1, 2 ORDER BY 1, 2"));
is(sql($unseen), '', 'everything was done, and keys and addresses have clashed in each way that there is');

# ---- one result for each key

is(sql(q{SELECT string_agg(act || ' ' || key, ', ') FROM (
	SELECT act, key FROM told WHERE act <> 'looked at' AND key !~ ' b[0-9]' AND status IN ('ok', 'split', 'merged',
	'planned', 'enacted', 'rolled_back', 'queued', 'idempotent_replay')
	GROUP BY act, key HAVING count(*) FILTER (WHERE status <> 'idempotent_replay') <> 1
	OR count(DISTINCT result) <> 1) x}), '',
	'for each key there is one result, and who comes later is told of that one');
is(sql(q{SELECT string_agg(key, ', ') FROM (SELECT key FROM told WHERE act = 'make' AND key !~ ' b[0-9]'
	GROUP BY key HAVING bool_or(status = 'ok') AND bool_or(status = 'instance_key_exists')) x}), '',
	'who asks once more for what an event has made is not told that another has the key');
is(sql(q{SELECT count(*) FROM told t WHERE t.act IN ('make', 'compose') AND t.status = 'ok' AND t.key !~ ' b[0-9]'
	AND NOT EXISTS (SELECT FROM iu_piece_collection c WHERE c.id = t.result::uuid)}), '0',
	'each collection that somebody was told of is there');
is(sql(q{SELECT count(*) FROM iu_piece_collection c WHERE c.collection_key ~ '^(k|o|tpl-inst)'
	AND c.collection_key !~ '^tpl-inst:auto:b' AND NOT EXISTS (SELECT FROM told t WHERE t.result = c.id::text
	AND t.status = 'ok')}), '0', 'of each collection that is there somebody was told');
is(sql(q{SELECT count(*) FROM told t WHERE t.status = 'split' AND NOT EXISTS (
	SELECT FROM iu_split_set s WHERE s.id = t.result::uuid AND 2 = (SELECT count(*) FROM information_unit u
	WHERE u.id = ANY (s.child_iu_ids)))}), '0', 'each split that somebody was told of is there, with its units');
is(sql(q{SELECT string_agg(t.key, ', ') FROM (SELECT * FROM told WHERE (act, status) = ('applied', 'enacted')) t
	FULL JOIN (SELECT * FROM iu_structure_operation WHERE operation_status IN ('enacted', 'rolled_back')) o
	ON o.idempotency_key = t.key AND o.impact_summary -> 'created_unit_ids' = t.result::jsonb
	WHERE t.key IS NULL OR o.id IS NULL}), '', 'of each operation that was applied somebody was told, and of no other');
is(sql(q{SELECT count(*) FROM iu_structure_operation o WHERE o.operation_status IN ('enacted', 'rolled_back')
	AND o.operation_type <> 'reparent_piece' AND NOT (fn_iu_structure_op_verify(o.id) -> 'all_pass')::boolean}), '0',
	'what was applied and what was taken back is whole');
is(sql(q{SELECT count(*) FROM v_iu_relation_parent_check WHERE left_value IS DISTINCT FROM right_value})
	. sql(q{SELECT count(*) FROM v_iu_tree_path_check WHERE left_value IS DISTINCT FROM right_value}), '00',
	'relations and paths are those of the tree');
is(sql(q{SELECT count(*) FROM (SELECT * FROM told WHERE (act, status) = ('job', 'queued')) t
	FULL JOIN job_queue j ON (j.job_id::text, j.idempotency_key) = (t.result, t.key)
	WHERE t.key IS NULL OR j.job_id IS NULL}), '0', 'of each job that is there somebody was told, and of no other');

# ---- nothing is lost

sql(q{CREATE TABLE said AS SELECT event_seq, event_subject_ref::uuid AS collection, event_type AS type,
	(safe_payload ->> 'iu_id')::uuid AS unit, (safe_payload ->> 'piece_order')::integer AS place
	FROM event_outbox WHERE event_domain = 'iu' AND event_subject_table = 'iu_piece_collection';
	CREATE INDEX ON said (collection, event_seq); ANALYZE said});
is(sql(q{SELECT string_agg(c.collection_key, ', ') FROM iu_piece_collection c
	WHERE by_events(c.id) <> coalesce((SELECT array_agg(m.iu_id ORDER BY m.piece_order) FROM iu_piece_membership m
	WHERE m.collection_id = c.id AND m.membership_status = 'active'), '{}')}), '',
	'what the events of a collection say is what its memberships are: none is lost');
is(sql(q{SELECT count(*) FROM v_iu_collection_order_check WHERE left_value <> right_value}), '0', 'no place is empty');
is(sql(q{SELECT count(*) FROM v_iu_collection_digest_check WHERE left_value IS DISTINCT FROM right_value}), '0',
	'each digest is that of its order');
is(sql(q{SELECT count(*) FROM iu_piece_membership m JOIN information_unit u ON u.id = m.iu_id
	WHERE m.membership_status = 'active' AND u.deleted_at IS NOT NULL}), '0', 'no piece is a unit that was deleted');
is(sql(q{SELECT count(*) FROM iu_auto_instantiate_event_log l FULL JOIN iu_collection_template_instance_lineage i
	USING (instance_collection_id) FULL JOIN (SELECT id FROM iu_piece_collection WHERE collection_key ~ '^tpl-inst:'
	AND id NOT IN (SELECT result::uuid FROM told WHERE act = 'compose' AND status = 'ok')) c
	ON c.id = instance_collection_id
	WHERE i.instance_collection_id IS NULL OR l.event_id IS NULL AND c.id IS NOT NULL}),
	'0', 'each collection that an event made has its lineage and its row in the log');
is(sql(q{SELECT count(*) FROM v_iu_auto_instantiate_event_log WHERE triggered_by = 'gone' AND
	instance_collection_id NOT IN (SELECT id FROM iu_piece_collection)}), '0',
	'what was taken back left nothing behind');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'the database conforms');

$node->stop;
done_testing();
