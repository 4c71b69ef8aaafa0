# A random walk over collections, beside a model of them: adding, removing, moving,
# composing, marking templates, making after them, taking back by actor, splitting,
# merging and taking both back, deleting and restoring units, changing states, structure
# operations that are planned, applied and taken back. After each step all collections
# and all units, with their states and parents, are those of the model, no place is empty, each
# digest is that of its order, nothing is orphaned; and a step that was refused, or was
# a replay, has changed no row.
#
# IU_STEPS says how many steps; without it there are as many as 15 seconds have room
# for, and at least 200. IU_SEED says where the walk begins; the same seed takes the same
# steps.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my ($least, $most, $for) = $ENV{IU_STEPS} ? ($ENV{IU_STEPS}, $ENV{IU_STEPS}, 0) : (200, 1_000_000, 15);
my $seed = $ENV{IU_SEED} // int(rand(1_000_000));
note("IU_SEED=$seed");
my $node = IU::Cluster->new_installed('collections', 'iu_core.databases' => '');
talk_to($node);

sql("SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'tester', 'test')");
sql(<<'SQL');
CREATE TABLE walked (step integer, op text, refused text);
-- The model: what each collection is, what each unit is, and what structure operations would put back.
CREATE TABLE model (id uuid PRIMARY KEY, list uuid[] NOT NULL, roles text[] NOT NULL, status text NOT NULL, actor text);
CREATE TABLE unit_model (address text PRIMARY KEY, parent text, deleted boolean NOT NULL DEFAULT false,
  status text NOT NULL DEFAULT 'draft');
CREATE TABLE operation_model (id uuid PRIMARY KEY, moved text, parent text, made text[], deprecated text[]);
SELECT count(fn_iu_create('u' || i, 'U', 'text', 'w')) FROM generate_series(1, 25) i;
SELECT count(fn_iu_create('p' || i, 'P', 'text', 'w', p_parent_ref => (SELECT id FROM information_unit
  WHERE canonical_address = 'u' || i))) FROM generate_series(1, 5) i;
INSERT INTO unit_model (address, parent) SELECT u.canonical_address, p.canonical_address
  FROM information_unit u LEFT JOIN information_unit p ON p.id = u.parent_or_container_ref;

-- All rows that a step may change; of those that are only added, how many there are.
CREATE FUNCTION all_rows() RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ',
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_piece_collection t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_piece_membership t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM information_unit t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_collection_template_registry t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_collection_template_instance_lineage t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_collection_template_version t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_auto_instantiate_event_log t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_split_set t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_merge_set t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_structure_operation t),
    (SELECT sum(hashtextextended(t::text, 0)) FROM iu_relation t), (SELECT count(*) FROM iu_tree_change_log),
    (SELECT count(*) FROM unit_version), (SELECT count(*) FROM iu_birth_record),
    (SELECT count(*) FROM iu_metadata_tag), (SELECT count(*) FROM iu_tree_path),
    (SELECT count(*) FROM iu_lifecycle_log), (SELECT count(*) FROM event_outbox),
    (SELECT count(*) FROM dot_iu_command_run), (SELECT count(*) FROM cutter_governance.review_decision),
    (SELECT count(*) FROM iu_vector_sync_point), (SELECT count(*) FROM iu_edit_draft)) $$;
CREATE FUNCTION address(p_unit uuid) RETURNS text LANGUAGE sql AS
  $$SELECT canonical_address FROM information_unit WHERE id = p_unit$$;
-- What does not hold, in words.
CREATE FUNCTION broken() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(what, '; ') FROM (
    SELECT format('collection %s is %s %s %s instead of %s %s %s', c.collection_key, c.lifecycle_status, x.list,
                  x.roles, m.status, m.list, m.roles) AS what
      FROM iu_piece_collection c FULL JOIN model m ON m.id = c.id
      LEFT JOIN LATERAL (SELECT coalesce(array_agg(p.iu_id ORDER BY p.piece_order), '{}') AS list,
                                coalesce(array_agg(p.piece_role ORDER BY p.piece_order), '{}') AS roles
                           FROM iu_piece_membership p
                          WHERE p.collection_id = c.id AND p.membership_status = 'active') x ON true
     WHERE (c.lifecycle_status, x.list, x.roles) IS DISTINCT FROM (m.status, m.list, m.roles)
    UNION ALL
    SELECT 'order of ' || c.collection_key
      FROM iu_piece_collection c JOIN iu_piece_membership m ON m.collection_id = c.id
     WHERE m.membership_status = 'active' GROUP BY c.collection_key
    HAVING count(*) <> max(m.piece_order) + 1 OR min(m.piece_order) <> 0 OR count(DISTINCT m.piece_order) <> count(*)
    UNION ALL
    SELECT 'digest of ' || c.collection_key FROM iu_piece_collection c
     WHERE c.manifest_digest IS DISTINCT FROM (
       SELECT md5(string_agg(m.piece_order || ':' || m.iu_id || ':' || m.piece_role, '|' ORDER BY m.piece_order))
         FROM iu_piece_membership m WHERE m.collection_id = c.id AND m.membership_status = 'active')
    UNION ALL
    SELECT format('unit %s is %s instead of %s', coalesce(u.canonical_address, m.address),
                  (u.deleted_at, u.lifecycle_status, o.canonical_address), m)
      FROM information_unit u LEFT JOIN information_unit o ON o.id = u.parent_or_container_ref
      FULL JOIN unit_model m ON m.address = u.canonical_address
     WHERE (u.deleted_at IS NOT NULL, u.lifecycle_status, o.canonical_address)
           IS DISTINCT FROM (m.deleted, m.status, m.parent)
    UNION ALL
    SELECT 'relation of ' || address(r.to_unit_id) FROM iu_relation r
     WHERE r.relation_type = 'contains' AND r.relation_status = 'active'
       AND r.from_unit_id IS DISTINCT FROM (SELECT u.parent_or_container_ref FROM information_unit u
                                              WHERE u.id = r.to_unit_id)
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
    SELECT 'instance of no template: ' || i.instance_collection_id FROM iu_collection_template_instance_lineage i
     WHERE NOT EXISTS (SELECT FROM iu_collection_template_registry r WHERE r.collection_id = i.template_collection_id)
    UNION ALL
    SELECT 'unit without version, birth or path: ' || u.canonical_address FROM information_unit u
     WHERE NOT EXISTS (SELECT FROM unit_version v WHERE v.id = u.version_anchor_ref AND v.unit_id = u.id)
        OR NOT EXISTS (SELECT FROM iu_birth_record b WHERE b.unit_id = u.id)
        OR NOT EXISTS (SELECT FROM iu_tree_path t WHERE t.unit_id = u.id)
    UNION ALL
    SELECT 'split without its units: ' || s.id FROM iu_split_set s
     WHERE cardinality(s.child_iu_ids) <> (SELECT count(*) FROM information_unit u WHERE u.id = ANY (s.child_iu_ids))
    UNION ALL
    SELECT 'merge without its unit: ' || s.id FROM iu_merge_set s
     WHERE NOT EXISTS (SELECT FROM information_unit u WHERE u.id = s.merged_iu_id)) x $$;
CREATE FUNCTION any_collection() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT id FROM iu_piece_collection ORDER BY collection_key COLLATE "C"
  OFFSET floor(random() * (SELECT count(*) FROM iu_piece_collection)) LIMIT 1 $$;
CREATE FUNCTION any_unit() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT id FROM information_unit ORDER BY canonical_address COLLATE "C"
  OFFSET floor(random() * (SELECT count(*) FROM information_unit)) LIMIT 1 $$;
CREATE FUNCTION any_of(VARIADIC p_words text[]) RETURNS text LANGUAGE sql VOLATILE AS
  $$SELECT p_words[1 + floor(random() * cardinality(p_words))::int]$$;
CREATE FUNCTION decision(p_operation text, VARIADIC p_addresses text[]) RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT (fn_iu_review_decision_record(p_operation, p_addresses, 'approve', 'olga', 'good')
            ->> 'review_decision_id')::uuid $$;

-- What a step is about; all of it is chosen before, so that the model can say what is to come of it.
CREATE TYPE about AS (step integer, op text, c uuid, u uuid, other uuid, list uuid[], roles text[], place integer,
  role text, n integer, actor text, decision uuid, target text);
CREATE FUNCTION chosen(p_step integer) RETURNS about LANGUAGE plpgsql AS $$
DECLARE
  a about;
BEGIN
  a.step := p_step;
  a.op := any_of('add', 'add', 'add', 'add', 'remove', 'reorder', 'reorder', 'compose', 'mark', 'make', 'make', 'back',
    'split', 'merge', 'unsplit', 'unmerge', 'delete', 'delete', 'restore', 'restore', 'status', 'record', 'unmark',
    'version', 'plan', 'plan', 'apply', 'unapply');
  a.c := any_collection();
  a.u := any_unit();
  a.other := (SELECT id FROM information_unit WHERE id <> a.u ORDER BY md5(canonical_address || p_step) LIMIT 1);
  SELECT m.list, m.roles INTO a.list, a.roles FROM model m WHERE m.id = a.c;
  a.place := floor(random() * (cardinality(a.list) + 2))::integer - (random() < 0.1)::integer;
  a.role := any_of('title', 'intro', 'body', 'body', 'body', 'step', 'step', 'clause', 'appendix', 'poem');
  a.n := floor(random() * 60);
  a.actor := 'actor' || floor(random() * 3);
  IF a.op IN ('remove', 'reorder') AND random() < 0.7 AND cardinality(a.list) > 0 THEN
    a.u := a.list[1 + floor(random() * cardinality(a.list))::int];
  ELSIF a.op = 'compose' THEN
    a.list := ARRAY(SELECT id FROM information_unit ORDER BY md5(canonical_address || p_step) LIMIT a.n % 6);
    a.roles := array_fill(any_of('step', 'body', 'clause'), ARRAY[cardinality(a.list)]);
  ELSIF a.op = 'split' THEN
    a.decision := decision('split', address(a.u), 's' || p_step, 't' || p_step);
  ELSIF a.op = 'merge' THEN
    a.decision := decision('merge', address(a.u), address(a.other));
  ELSIF a.op = 'unsplit' THEN
    a.target := (SELECT id FROM iu_split_set ORDER BY md5(child_canonical_addresses[1] || p_step) LIMIT 1);
  ELSIF a.op = 'unmerge' THEN
    a.target := (SELECT id FROM iu_merge_set ORDER BY md5(merged_canonical_address || p_step) LIMIT 1);
  ELSIF a.op IN ('apply', 'unapply') THEN
    a.target := (SELECT id FROM iu_structure_operation WHERE random() < 0.2
                    OR operation_status = CASE a.op WHEN 'apply' THEN 'planned' ELSE 'enacted' END
                  ORDER BY md5(idempotency_key || p_step) LIMIT 1);
  ELSIF a.op = 'plan' THEN
    a.target := any_of('add_new_piece', 'split_large_piece', 'merge_small_pieces', 'deprecate_piece', 'replace_piece',
      'replace_piece', 'reparent_piece', 'reparent_piece');
  ELSIF a.op = 'status' THEN
    a.target := any_of('draft', 'active', 'active', 'deprecated', 'deprecated', 'retired', 'gone');
  END IF;
  RETURN a;
END $$;
-- New pieces 'n<step>', as many as the type has.
CREATE FUNCTION planned(a about) RETURNS jsonb LANGUAGE sql AS $$
  SELECT fn_iu_structure_op_plan(a.target,
    CASE a.target WHEN 'add_new_piece' THEN '{}' WHEN 'merge_small_pieces' THEN ARRAY[a.u, a.other]
                  ELSE ARRAY[a.u] END,
    CASE WHEN a.target = 'replace_piece' AND a.n % 2 = 0 THEN ARRAY[a.other] ELSE '{}' END,
    CASE WHEN a.target = 'add_new_piece' OR a.target = 'reparent_piece' AND a.n % 5 > 0 THEN a.other END,
    CASE WHEN a.target IN ('deprecate_piece', 'reparent_piece') OR a.target = 'replace_piece' AND a.n % 2 = 0 THEN '{}'
         ELSE jsonb_build_object('new_pieces', (
           SELECT jsonb_agg(jsonb_build_object('canonical_address', format('n%s%s', a.step, i), 'title', 'N',
                            'body', 'n'))
             FROM unnest(ARRAY['', 'b']::text[]) i WHERE i = '' OR a.target = 'split_large_piece')) END,
    'w', 'r', 'op' || a.n * 100 + a.step % 10) $$;
CREATE FUNCTION taken(a about) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN CASE a.op
    WHEN 'add' THEN fn_iu_collection_add_piece(a.c, a.u, a.place, a.role, 'w')
    WHEN 'remove' THEN fn_iu_collection_remove_piece(a.c, a.u, 'w')
    WHEN 'reorder' THEN fn_iu_collection_reorder_piece(a.c, a.u, a.place, 'w')
    WHEN 'compose' THEN fn_iu_compose('c' || a.n, 'file', 'C', NULL, coalesce((
      SELECT jsonb_agg(jsonb_build_object('role', r, 'iu_id', i) ORDER BY n)
        FROM unnest(a.list, a.roles) WITH ORDINALITY x (i, r, n)), '[]'), 'w')
    WHEN 'mark' THEN fn_iu_collection_mark_as_template(a.c, 'L' || a.n % 3, NULL, 'w')
    WHEN 'unmark' THEN fn_iu_collection_unmark_template(a.c, 'w', 'r')
    WHEN 'record' THEN fn_iu_collection_record_template_instance(a.c, (
      SELECT c.id FROM iu_piece_collection c LEFT JOIN iu_collection_template_registry r ON r.collection_id = c.id
       WHERE a.n % 4 = 0 OR r.is_template ORDER BY md5(c.collection_key || a.step) LIMIT 1), 'w', NULL)
    WHEN 'version' THEN fn_iu_collection_register_template_version(a.c, 'f' || a.n % 4, 'v' || a.step, a.step, (
      SELECT collection_id FROM iu_collection_template_version WHERE template_family = 'f' || a.n % 4
         AND version_status = 'current' AND a.place > 0), 'w')
    WHEN 'make' THEN fn_iu_auto_instantiate_from_event(md5('e' || a.n % 58)::uuid, 't', a.c, 'i' || a.n,
      CASE WHEN a.place % 2 = 0 THEN 'live' ELSE 'dry_run' END, a.actor, NULL)
    WHEN 'back' THEN fn_iu_auto_instantiate_rollback_by_actor(a.actor, a.n < 20)
    WHEN 'split' THEN fn_iu_piece_split(address(a.u), jsonb_build_array(
      jsonb_build_object('canonical_address', 's' || a.step, 'title', 'S', 'body', 's'),
      jsonb_build_object('canonical_address', 't' || a.step, 'title', 'T', 'body', 't')), 'w', a.decision)
    WHEN 'merge' THEN fn_iu_piece_merge(
      jsonb_build_object('canonical_address', 'm' || a.step, 'title', 'M', 'body', 'm'),
      ARRAY[address(a.u), address(a.other)], 'w', a.decision)
    WHEN 'unsplit' THEN fn_iu_piece_split_rollback(a.target::uuid, 'w', 'r', a.n < 10)
    WHEN 'unmerge' THEN fn_iu_piece_merge_rollback(a.target::uuid, 'w', 'r', a.n < 10)
    WHEN 'delete' THEN fn_iu_piece_soft_delete(a.u, 'w')
    WHEN 'restore' THEN fn_iu_piece_restore(a.u, 'w')
    WHEN 'plan' THEN planned(a)
    WHEN 'apply' THEN fn_iu_structure_op_apply(a.target::uuid, 'w')
    WHEN 'unapply' THEN fn_iu_structure_op_rollback(a.target::uuid, 'w', 'r')
    WHEN 'status' THEN fn_iu_collection_set_status(a.c, a.target, 'w', 'r') END;
END $$;
-- What has come of a structure operation.
CREATE FUNCTION learn_operation(o iu_structure_operation, p_answer jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_sources text[] := ARRAY(SELECT address(i) FROM unnest(o.source_unit_ids) i);
  v_first   text := (SELECT parent FROM unit_model WHERE address = v_sources[1]);
  v_made    text[] := ARRAY(SELECT address(i::uuid) FROM jsonb_array_elements_text(p_answer -> 'created_unit_ids') i);
BEGIN
  INSERT INTO operation_model VALUES (o.id, NULL, v_first, v_made, '{}');
  INSERT INTO unit_model (address, parent) SELECT i, coalesce(address(o.parent_unit_id), v_first) FROM unnest(v_made) i;
  IF o.operation_type = 'reparent_piece' THEN
    UPDATE operation_model SET moved = v_sources[1] WHERE id = o.id;
    UPDATE unit_model SET parent = address(o.parent_unit_id) WHERE address = v_sources[1];
  ELSIF o.operation_type <> 'add_new_piece' THEN
    UPDATE operation_model SET deprecated = v_sources WHERE id = o.id;
    UPDATE unit_model SET status = 'deprecated' WHERE address = ANY (v_sources);
  END IF;
END $$;
-- What has come of a step that was not refused.
CREATE FUNCTION learn(a about, p_answer jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_at     integer := array_position(a.list, a.u);
  v_parent text := (SELECT parent FROM unit_model WHERE address = address(a.u));
  v_done   operation_model;
BEGIN
  CASE a.op
    WHEN 'add' THEN UPDATE model SET list = a.list[: a.place] || a.u || a.list[a.place + 1 :],
        roles = a.roles[: a.place] || a.role || a.roles[a.place + 1 :] WHERE id = a.c;
    WHEN 'remove', 'reorder' THEN
      a.role := a.roles[v_at];
      a.list := a.list[: v_at - 1] || a.list[v_at + 1 :];
      a.roles := a.roles[: v_at - 1] || a.roles[v_at + 1 :];
      IF a.op = 'reorder' THEN
        a.list := a.list[: a.place] || a.u || a.list[a.place + 1 :];
        a.roles := a.roles[: a.place] || a.role || a.roles[a.place + 1 :];
      END IF;
      UPDATE model SET list = a.list, roles = a.roles WHERE id = a.c;
    WHEN 'compose' THEN INSERT INTO model VALUES ((p_answer ->> 'collection_id')::uuid, a.list, a.roles, 'draft');
    WHEN 'make' THEN
      INSERT INTO model VALUES ((p_answer ->> 'instance_collection_id')::uuid, a.list, a.roles, 'draft', a.actor);
    WHEN 'back' THEN DELETE FROM model WHERE actor = a.actor;
    WHEN 'status' THEN UPDATE model SET status = a.target WHERE id = a.c;
    WHEN 'split' THEN INSERT INTO unit_model VALUES ('s' || a.step, v_parent), ('t' || a.step, v_parent);
    WHEN 'merge' THEN INSERT INTO unit_model VALUES ('m' || a.step, v_parent);
    WHEN 'apply' THEN PERFORM learn_operation(o, p_answer) FROM iu_structure_operation o WHERE o.id = a.target::uuid;
    WHEN 'unapply' THEN
      DELETE FROM operation_model WHERE id = a.target::uuid RETURNING * INTO v_done;
      UPDATE unit_model SET parent = v_done.parent WHERE address = v_done.moved;
      UPDATE unit_model SET deleted = true WHERE address = ANY (v_done.made);
      UPDATE unit_model SET status = 'draft' WHERE address = ANY (v_done.deprecated);
    WHEN 'unsplit' THEN UPDATE unit_model SET deleted = true
      WHERE address = ANY ((SELECT child_canonical_addresses FROM iu_split_set WHERE id = a.target::uuid)::text[]);
    WHEN 'unmerge' THEN UPDATE unit_model SET deleted = true
      WHERE address = (SELECT merged_canonical_address FROM iu_merge_set WHERE id = a.target::uuid);
    WHEN 'delete', 'restore' THEN UPDATE unit_model SET deleted = a.op = 'delete' WHERE address = address(a.u);
    ELSE NULL;
  END CASE;
END $$;
CREATE FUNCTION step(p_step integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  a         CONSTANT about := chosen(p_step);
  v_before  CONSTANT text := all_rows();
  v_answer  jsonb;
  v_refused text;
BEGIN
  BEGIN
    v_answer := taken(a);
    v_refused := CASE WHEN v_answer ->> 'status' NOT IN ('ok', 'split', 'merged', 'rolled_back', 'planned', 'enacted')
                      THEN v_answer ->> 'status' END;
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS v_refused = CONSTRAINT_NAME;
    v_refused := coalesce(nullif(v_refused, ''), SQLERRM);
  END;
  INSERT INTO walked VALUES (p_step, a.op, v_refused);
  IF v_refused IS NOT NULL AND all_rows() <> v_before THEN
    RETURN format('%s was refused with %s and has changed rows: %s', a.op, v_refused, a);
  ELSIF v_refused IS NULL THEN
    PERFORM learn(a, v_answer);
  END IF;
  RETURN (SELECT format('%s (%s): %s', a.op, a, b) FROM broken() b WHERE b IS NOT NULL);
END $$;
CREATE PROCEDURE walk(p_seed double precision, p_least integer, p_most integer, p_seconds integer,
    INOUT p_problem text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
  v_end CONSTANT timestamptz := clock_timestamp() + make_interval(secs => p_seconds);
BEGIN
  PERFORM setseed(p_seed);
  FOR i IN 1 .. p_most LOOP
    EXIT WHEN i > p_least AND clock_timestamp() > v_end;
    -- A gate closes after an hour, and a long walk takes longer.
    IF i % 100 = 1 THEN
      PERFORM fn_iu_gate_open(g, gen_random_uuid(), 'tester', 'test', 3600)
         FROM unnest(ARRAY['iu_core.composer_enabled', 'iu_core.auto_instantiate_enabled',
           'iu_core.structure_ops_enabled']) g;
      COMMIT;
    END IF;
    p_problem := step(i);
    COMMIT;
    IF p_problem IS NOT NULL THEN
      p_problem := format('step %s: %s', i, p_problem);
      RETURN;
    END IF;
  END LOOP;
END $$;
SQL
sql("SELECT fn_iu_gate_open(g, gen_random_uuid(), 'tester', 'test', 600)
	FROM unnest(ARRAY['iu_core.composer_enabled', 'iu_core.auto_instantiate_enabled',
	  'iu_core.structure_ops_enabled']) g");
sql("INSERT INTO model SELECT (fn_iu_compose('c0', 'file', 'C', NULL, '[]', 'w') ->> 'collection_id')::uuid, '{}', '{}',
	'draft'");

is(sql(sprintf('CALL walk(%s, %d, %d, %d)', $seed / 1_000_000, $least, $most, $for)), '',
	"seed $seed: every step is as it should be");
my $walked = sql('SELECT count(*) FROM walked');
note("$walked steps from seed $seed");
cmp_ok($walked, '>=', $least, "at least $least steps were taken");
is(sql("SELECT string_agg(DISTINCT refused, ', ') FROM walked WHERE refused !~ '^\\w+\$'"), '',
	'every refusal has a name');
is(sql("SELECT count(*) FROM walked WHERE refused ~ 'gate_closed'"), '0', 'no step met a closed gate');
# What needs others to have gone before succeeds seldom.
my @kinds = qw(add compose delete make mark merge plan remove reorder restore split status);
push @kinds, qw(apply back record unapply unmark unmerge unsplit version) if $walked >= 3000;
my %succeeded = map { $_ => 1 } split /\n/, sql('SELECT DISTINCT op FROM walked WHERE refused IS NULL');
SKIP:
{
	skip 'a short walk', 1 if $walked < 300;
	is(join(' ', grep { !$succeeded{$_} } @kinds), '', 'each kind of step has succeeded');
}
is(sql(q{SELECT bool_and((SELECT verdict FROM fn_iu_invariant_check(c)) = 'pass')
	FROM unnest(ARRAY['iu.collection_digest', 'iu.collection_order', 'iu.unit_has_anchor', 'iu.tree_path_true']) c}),
	't',
	'the invariants pass');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'the database conforms');
note(sql('SELECT op, coalesce(refused, \'-\'), count(*) FROM walked GROUP BY 1, 2 ORDER BY 1, 2'));

$node->stop;
done_testing();
