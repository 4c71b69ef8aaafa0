# A random walk over collections: adding, removing, moving, composing, making after
# templates, taking back by actor, splitting, merging, deleting and restoring. After
# each step the order of the collection that it was about is what a list would have
# become, and of all collections: no place is empty, the digest is that of the order,
# no piece is deleted, nothing is orphaned; a step that was refused has changed no row.
# IU_STEPS says how many steps (1000), IU_SEED where the walk begins.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $steps = $ENV{IU_STEPS} // 1000;
my $seed = $ENV{IU_SEED} // int(rand(1_000_000));
my $node = IU::Cluster->new_node('collections', 'iu_core.databases' => '');
talk_to($node);

sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()');
sql("SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'tester', 'test')");
sql(<<'SQL');
CREATE TABLE walked (step integer, op text, refused text);
SELECT count(fn_iu_create('u' || i, 'U', 'text', 'w')) FROM generate_series(1, 25) i;
CREATE FUNCTION list_of(p_collection uuid) RETURNS uuid[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(iu_id ORDER BY piece_order), '{}') FROM iu_piece_membership
   WHERE collection_id = p_collection AND membership_status = 'active' $$;
-- All rows that a step may change.
CREATE FUNCTION all_rows() RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ',
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_piece_collection t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_piece_membership t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM information_unit t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM unit_version t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_collection_template_registry t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_collection_template_instance_lineage t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_auto_instantiate_event_log t),
    (SELECT count(*) FROM iu_split_set), (SELECT count(*) FROM iu_merge_set), (SELECT count(*) FROM event_outbox)) $$;
-- What does not hold, in words.
CREATE FUNCTION broken() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(what, '; ') FROM (
    SELECT 'order of ' || c.collection_key AS what
      FROM iu_piece_collection c JOIN iu_piece_membership m ON m.collection_id = c.id
     WHERE m.membership_status = 'active' GROUP BY c.collection_key
    HAVING count(*) <> max(m.piece_order) + 1 OR min(m.piece_order) <> 0 OR count(DISTINCT m.piece_order) <> count(*)
    UNION ALL
    SELECT 'digest of ' || c.collection_key FROM iu_piece_collection c
     WHERE c.manifest_digest IS DISTINCT FROM (
       SELECT md5(string_agg(m.piece_order || ':' || m.iu_id || ':' || m.piece_role, '|' ORDER BY m.piece_order))
         FROM iu_piece_membership m WHERE m.collection_id = c.id AND m.membership_status = 'active')
    UNION ALL
    SELECT 'deleted piece ' || u.canonical_address FROM information_unit u JOIN iu_piece_membership m ON m.iu_id = u.id
     WHERE u.deleted_at IS NOT NULL AND m.membership_status = 'active'
    UNION ALL
    SELECT 'instance without a log: ' || c.collection_key FROM iu_piece_collection c
     WHERE c.collection_key LIKE 'tpl-inst:auto:%'
       AND NOT EXISTS (SELECT FROM iu_auto_instantiate_event_log l JOIN iu_collection_template_instance_lineage i
                         ON i.instance_collection_id = l.instance_collection_id
                       WHERE l.instance_collection_id = c.id)
    UNION ALL
    SELECT 'unit without its version: ' || u.canonical_address FROM information_unit u
     WHERE NOT EXISTS (SELECT FROM unit_version v WHERE v.id = u.version_anchor_ref AND v.unit_id = u.id)) x $$;
CREATE FUNCTION any_collection() RETURNS uuid LANGUAGE sql VOLATILE AS
  $$SELECT id FROM iu_piece_collection ORDER BY random() LIMIT 1$$;
CREATE FUNCTION any_unit() RETURNS uuid LANGUAGE sql VOLATILE AS
  $$SELECT id FROM information_unit ORDER BY random() LIMIT 1$$;
CREATE FUNCTION decision(p_operation text, p_addresses text[]) RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT (fn_iu_review_decision_record(p_operation, p_addresses, 'approve', 'olga', 'good')
            ->> 'review_decision_id')::uuid $$;

CREATE FUNCTION step(p_step integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  c_ops      CONSTANT text[] := ARRAY['add', 'add', 'add', 'add', 'remove', 'reorder', 'reorder', 'compose', 'mark',
    'make', 'make', 'back', 'split', 'merge', 'delete', 'delete', 'restore'];
  v_op       text := c_ops[1 + floor(random() * 17)::int];
  v_c        uuid := any_collection();
  v_u        uuid := any_unit();
  v_list     uuid[] := list_of(v_c);
  v_place    integer := floor(random() * (cardinality(v_list) + 2))::integer - (random() < 0.1)::integer;
  v_address  text := (SELECT canonical_address FROM information_unit WHERE id = v_u);
  v_other    text := (SELECT canonical_address FROM information_unit WHERE id <> v_u ORDER BY random() LIMIT 1);
  v_before   text;
  v_answer   jsonb;
  v_wanted   uuid[];
  v_refused  text;
  v_decision uuid := CASE v_op WHEN 'split' THEN decision('split', ARRAY[v_address, 's' || p_step, 't' || p_step])
                               WHEN 'merge' THEN decision('merge', ARRAY[v_address, v_other]) END;
BEGIN
  IF v_op IN ('add', 'remove', 'reorder') AND random() < 0.7 AND cardinality(v_list) > 0 AND v_op <> 'add' THEN
    v_u := v_list[1 + floor(random() * cardinality(v_list))::int];
  END IF;
  v_before := all_rows();
  BEGIN
    CASE v_op
    WHEN 'add' THEN
      v_answer := fn_iu_collection_add_piece(v_c, v_u, v_place, 'body', 'w');
      v_wanted := v_list[: v_place] || v_u || v_list[v_place + 1 :];
    WHEN 'remove' THEN
      v_answer := fn_iu_collection_remove_piece(v_c, v_u, 'w');
      v_wanted := array_remove(v_list, v_u);
    WHEN 'reorder' THEN
      v_answer := fn_iu_collection_reorder_piece(v_c, v_u, v_place, 'w');
      v_wanted := array_remove(v_list, v_u);
      v_wanted := v_wanted[: v_place] || v_u || v_wanted[v_place + 1 :];
    WHEN 'compose' THEN
      v_wanted := ARRAY(SELECT id FROM information_unit ORDER BY random() LIMIT floor(random() * 6));
      v_answer := fn_iu_compose('c' || floor(random() * 40), 'file', 'C', NULL, coalesce((SELECT jsonb_agg(
        jsonb_build_object('role', 'step', 'iu_id', i) ORDER BY n) FROM unnest(v_wanted) WITH ORDINALITY x (i, n)),
        '[]'), 'w');
      v_c := (v_answer ->> 'collection_id')::uuid;
    WHEN 'mark' THEN v_answer := fn_iu_collection_mark_as_template(v_c, 'L' || p_step, NULL, 'w');
    WHEN 'make' THEN
      v_answer := fn_iu_auto_instantiate_from_event(gen_random_uuid(), 't', v_c, 'i' || floor(random() * 60),
        (ARRAY['live', 'dry_run'])[1 + (random() < 0.5)::int], 'actor' || floor(random() * 3), NULL);
      v_wanted := CASE WHEN v_answer ->> 'status' = 'ok' THEN v_list END;
      v_c := coalesce((v_answer ->> 'instance_collection_id')::uuid, v_c);
    WHEN 'back' THEN
      v_answer := fn_iu_auto_instantiate_rollback_by_actor('actor' || floor(random() * 3), random() < 0.3);
    WHEN 'split' THEN
      v_answer := fn_iu_piece_split(v_address, jsonb_build_array(
        jsonb_build_object('canonical_address', 's' || p_step, 'title', 'S', 'body', 's'),
        jsonb_build_object('canonical_address', 't' || p_step, 'title', 'T', 'body', 't')), 'w', v_decision);
    WHEN 'merge' THEN
      v_answer := fn_iu_piece_merge(jsonb_build_object('canonical_address', 'm' || p_step, 'title', 'M', 'body', 'm'),
        ARRAY[v_address, v_other], 'w', v_decision);
    WHEN 'delete' THEN v_answer := fn_iu_piece_soft_delete(v_u, 'w');
    WHEN 'restore' THEN v_answer := fn_iu_piece_restore(v_u, 'w');
    END CASE;
    v_refused := CASE WHEN v_answer ->> 'status' NOT IN ('ok', 'split', 'merged', 'rolled_back')
                      THEN v_answer ->> 'status' END;
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS v_refused = CONSTRAINT_NAME;
    v_refused := coalesce(nullif(v_refused, ''), SQLERRM);
    v_wanted := NULL;
  END;
  INSERT INTO walked VALUES (p_step, v_op, v_refused);
  RETURN CASE
    WHEN v_refused IS NOT NULL AND all_rows() <> v_before
      THEN format('%s was refused with %s and has changed rows', v_op, v_refused)
    WHEN v_wanted <> list_of(v_c) THEN format('%s made %s instead of %s', v_op, list_of(v_c), v_wanted)
    WHEN broken() IS NOT NULL THEN format('%s: %s', v_op, broken()) END;
END $$;

CREATE PROCEDURE walk(p_seed double precision, p_steps integer, INOUT p_problem text DEFAULT NULL)
  LANGUAGE plpgsql AS $$
BEGIN
  PERFORM setseed(p_seed);
  FOR i IN 1 .. p_steps LOOP
    p_problem := step(i);
    COMMIT;
    IF p_problem IS NOT NULL THEN
      p_problem := format('step %s: %s', i, p_problem);
      RETURN;
    END IF;
  END LOOP;
END $$;
SQL
sql("SELECT fn_iu_gate_open(g, gen_random_uuid(), 'tester', 'test', 3600)
	FROM unnest(ARRAY['iu_core.composer_enabled', 'iu_core.auto_instantiate_enabled']) g");
sql("SELECT fn_iu_compose('c0', 'file', 'C', NULL, '[]', 'w')");

is(sql(sprintf('CALL walk(%s, %d)', $seed / 1_000_000, $steps)), '',
	"seed $seed: every one of $steps steps is as it should be");
is(sql('SELECT count(*) FROM walked'), $steps, 'all steps were taken');
is(sql("SELECT count(*) FROM walked WHERE refused !~ '^(iu_|\\w+\$)'"), '0', 'every refusal has a name');
is(sql("SELECT string_agg(op, ' ' ORDER BY op) FROM (SELECT op FROM walked WHERE refused IS NULL GROUP BY op) x"),
	'add back compose delete make mark merge remove reorder restore split', 'each kind of step has succeeded');
is(sql(q{SELECT bool_and((SELECT verdict FROM fn_iu_invariant_check(c)) = 'pass')
	FROM unnest(ARRAY['iu.collection_digest', 'iu.collection_order', 'iu.unit_has_anchor']) c}), 't',
	'the invariants pass');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'the database conforms');
note(sql('SELECT op, coalesce(refused, \'-\'), count(*) FROM walked GROUP BY 1, 2 ORDER BY 1, 2'));

$node->stop;
done_testing();
