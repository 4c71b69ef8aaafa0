-- What migrations to come stand on: what iu_core_owner may do, and how
-- conformance counts what stands alone.
\ir setup.psql
SELECT no_plan();

-- Rows that are written in replica role are acted on as others are. These two triggers only refuse, and refuse again
-- when the row is used: in replica role they would stop a restore or a subscription. Of units those are left that
-- check them, record a lawful birth and tell others of a version: what came in past the functions was not born
-- lawfully, and fn_iu_classify_existing and the invariant iu.unit_has_anchor say so. Of collections those are left
-- that look their words up in vocabularies, which a restore may bring later.
SELECT set_eq($$SELECT t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relowner = 'iu_core_owner'::regrole AND NOT t.tgisinternal AND t.tgenabled NOT IN ('A', 'R')$$,
  ARRAY['trg_event_type_registry_domain', 'trg_iu_outbound_route_delivery_guard', 'trg_iu_birth_gate_layer1',
    'trg_iu_birth_gate_layer2', 'trg_birth_information_unit', 'trg_iu_out_version', 'trg_iu_piece_collection_kind',
    'trg_iu_piece_membership_role', 'trg_iu_sql_in_iu_sql_link'],
  'every trigger acts on rows written in replica role, but for those that only refuse, and the birth of units');

-- Whoever waits for a lock in order to see what others did reads a newer snapshot after it, which only READ COMMITTED
-- has. Of those that take one and do not ask for that:
CREATE TABLE pg_temp.locker (name text, because text);
INSERT INTO pg_temp.locker SELECT unnest(regexp_split_to_array(names, '\s+')), because FROM (VALUES
  ('whoever changes what it looks at changes the row that it locks: then it is refused with 40001',
   'fn_dot_iu_runtime_lease_end fn_iu_change_window_close fn_iu_core_retention_policy_set fn_iu_expect_delta
    fn_iu_gate_approval_mode_set fn_iu_gate_approval_revoke fn_iu_gate_approval_spend fn_iu_gate_lock
    fn_iu_gate_transition_stamp fn_iu_gate_try_lock fn_iu_gate_undefine fn_iu_gate_watchdog_close fn_iu_invariant_put
    fn_iu_invariant_unregister fn_iu_route_allow fn_iu_route_dead_letter_resolve fn_iu_route_dead_letter_resolve_many
    fn_iu_route_disallow fn_iu_route_set fn_iu_surface_put fn_iu_surface_report
    fn_iu_switch_set fn_iu_policy_set fn_iu_vocab_add fn_iu_tag_register fn_iu_health_bind fn_iu_tree_path_add
    fn_iu_tree_path_inserted fn_iu_issue_turned fn_iu_issue_unwatched fn_iu_invariant_enable
    fn_iu_runtime_rollback_by_actor'),
  ('what it serves are the marks that it sees: what came later has marks of its own',
   'fn_iu_envelope_unmark fn_iu_envelope_serve fn_iu_envelope_compact'),
  ('for workers, whose sessions have READ COMMITTED',
   'fn_iu_circuit_record fn_iu_delivery_claim_route fn_iu_delivery_lease_orphans fn_iu_delivery_lease_retries
    fn_iu_delivery_locks fn_iu_delivery_record_batch fn_iu_function_begin fn_iu_function_call fn_iu_function_claim
    fn_iu_place_begin fn_iu_route_worker_turn fn_iu_schedule_due fn_iu_attempt_partitions_make
    fn_iu_attempt_partition_leave fn_iu_attempt_partitions_drop fn_job_chore'),
  ('whoever calls it for people asks',
   'fn_iu_core_retention_delete fn_iu_gate_approvals_confirm fn_iu_invariant_record fn_iu_rollback_guard
    fn_iu_route_abandon fn_iu_route_dead_letter_replay fn_iu_route_dead_letter_replay_many fn_iu_route_worker_alone
    fn_iu_route_worker_run fn_iu_draft_put fn_iu_vector_record fn_iu_vector_compare fn_iu_supersede_lock
    fn_iu_collection_lock fn_iu_collection_living fn_iu_piece_lock fn_iu_pieces_lock fn_iu_template_lock
    fn_iu_template_marked fn_iu_collection_vocab_use fn_iu_structure_lock fn_iu_tree_lock
    fn_iu_collections_lock fn_iu_piece_restore fn_iu_import_keep fn_job_lane_use fn_job_positions_put'),
  ('whoever has made a row that it does not see makes its row fail with 40001', 'fn_iu_envelope_makeable
    fn_iu_envelope_fill'))
  AS t (because, names);
SELECT is((SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc p
  WHERE p.pronamespace = 'iu'::regnamespace
    AND coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)
        ~ '((LOCK TABLE|FOR (NO KEY )?UPDATE|FOR (KEY )?SHARE)\M|iu_core\.(try_)?named_lock)'
    AND p.prosrc !~ 'require_read_committed|composer_require|structure_require|''iu_(order|deliver)_isolation'''
    AND p.proname NOT IN (SELECT l.name FROM pg_temp.locker l)), NULL,
  'who locks a row and then reads what others did asks for READ COMMITTED, or it is known why not');

-- Only iu_core_owner may call iu_core.named_lock and iu_core.hold_second.
SELECT is((SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc p
  WHERE p.proowner = 'iu_core_owner'::regrole
    AND coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) ~ '_advisory_'), NULL,
  'no function takes an advisory lock: any login could take it first, and keep it');

-- A role is its oid. What docs/inside.md lists only records who it was, and nothing is decided by it.
SELECT set_eq($$SELECT c.relname || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relowner = 'iu_core_owner'::regrole AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
      AND a.atttypid = 'name'::regtype
      AND NOT EXISTS (SELECT FROM pg_attribute o
                       WHERE o.attrelid = a.attrelid AND o.atttypid = 'oid'::regtype AND NOT o.attisdropped
                         AND o.attname IN (a.attname || '_oid', replace(a.attname, '_role', '_oid')))$$,
  ARRAY['event_outbox.emitter_role', 'iu_birth_record.session_role', 'iu_edit_draft.decided_role',
    'iu_lifecycle_log.session_role', 'iu_split_set.session_role', 'iu_split_set.rolled_back_role',
    'iu_merge_set.session_role', 'iu_merge_set.rolled_back_role', 'iu_change_window.closed_role',
    'iu_change_window.opened_role', 'iu_gate_demand.session_role', 'iu_invariant.session_role',
    'iu_invariant_run.session_role',
    'iu_place.session_role', 'iu_regression_expectation.session_role', 'iu_regression_snapshot.session_role',
    'iu_regression_surface.session_role', 'iu_regression_value.session_role', 'iu_route_function.session_role'],
  'every stored name of a role has its oid beside it, but for those that nothing is decided by');

-- A schema of a migration's own, and what is in it.
SET LOCAL ROLE iu_core_owner;
SELECT lives_ok('CREATE SCHEMA test_schema', 'iu_core_owner, as which migrations run, may create a schema');
CREATE TYPE test_schema.kind AS ENUM ('a');
CREATE SEQUENCE test_schema.numbers;
SELECT sum(found) AS found, sum(found) FILTER (WHERE object_class = 'table') AS tables FROM v_iu_conformance \gset
INSERT INTO iu_governed_object (object_class, object_name, migration, grants, state, digest)
  SELECT i.object_class, i.object_name, 9000, i.grants, i.state, i.digest
    FROM iu_core.object_inventory() i WHERE i.object_name ~ '^test_schema';
RESET ROLE;
SELECT is((SELECT string_agg(object_class, ' ' ORDER BY object_class) FROM v_iu_conformance),
  'config event_type function route table trigger view',
  'conformance has seven classes, whatever stands alone beside them');
SELECT is((SELECT concat_ws(' ', expected, found, ok) FROM v_iu_conformance WHERE object_class = 'table'),
  format('%1$s %1$s t', (SELECT count(*)
    FROM iu_governed_object WHERE object_class IN ('table', 'schema', 'type', 'sequence'))),
  'conformance counts a schema, a type and a sequence as tables');
SELECT set_eq($$SELECT object_class, expected FROM fn_iu_conformance()
    WHERE check_code = 'D1' AND expected ~ '^test_schema' AND ok$$,
  $$VALUES ('schema', 'test_schema'), ('type', 'test_schema.kind'), ('sequence', 'test_schema.numbers')$$,
  'conformance looks at a schema, a type and a sequence each by itself');
DROP SCHEMA test_schema CASCADE;
SELECT is((SELECT string_agg(detail, '; ') FROM fn_iu_conformance() WHERE expected = 'test_schema'),
  'made by migration 9000, now missing',
  'conformance misses a schema that is gone');
DELETE FROM iu_governed_object WHERE migration = 9000;

-- The marker of canonical writers, pinned in the definition of a function.
SET LOCAL ROLE iu_core_owner;
SELECT lives_ok($$CREATE FUNCTION public.test_writer() RETURNS text LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET app.canonical_writer = 'test_writer'
  AS 'BEGIN RETURN current_setting(''app.canonical_writer''); END'$$,
  'iu_core_owner may pin the marker of canonical writers');
GRANT EXECUTE ON FUNCTION public.test_writer() TO iu_core_writer;
RESET ROLE;
SELECT is(pg_temp.as_role('iu_core_writer', 'SELECT public.test_writer()'), 'test_writer',
  'a writer calls a function in which the marker of canonical writers stands');
SELECT is(nullif(current_setting('app.canonical_writer', true), ''), NULL,
  'when a function with the marker of canonical writers returns, the marker is gone');

SELECT finish();
ROLLBACK;
