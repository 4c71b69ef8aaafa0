-- 029: what the lifecycle does to a unit is told; the types of systems and staging.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

SELECT bag_eq($$SELECT event_domain, event_type, event_stream, delivery_lane, active FROM event_type_registry
    WHERE event_domain IN ('system', 'staging')$$,
  $$VALUES ('system', 'issue_opened', 'alert', 'immediate', true),
    ('system', 'issue_resolved', 'alert', 'immediate', true), ('system', 'issue_archived', 'alert', 'immediate', true),
    ('system', 'issue_digest', 'alert', 'delayed', false), ('staging', 'created', 'update', 'delayed', false),
    ('staging', 'approved', 'update', 'delayed', false), ('staging', 'consumed', 'update', 'delayed', false),
    ('staging', 'rejected', 'update', 'delayed', false), ('staging', 'expired', 'update', 'delayed', false)$$,
  'systems have four types of events, staging five; what nothing emits is inactive');

-- ---- told

SELECT fn_iu_create(a, upper(a), 'text ' || a, 'wim') FROM unnest(ARRAY['a', 'b', 'c']) a;
CREATE FUNCTION pg_temp.decide(p_address text) RETURNS uuid LANGUAGE sql AS $$
  SELECT (fn_iu_review_decision_record('enact', ARRAY[p_address], 'approve', 'olga', 'good')
    ->> 'review_decision_id')::uuid $$;
CREATE FUNCTION pg_temp.told() RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(concat_ws(' ', event_domain || '.' || event_type, canonical_address, actor_ref,
    safe_payload ->> 'transition'), ', ' ORDER BY event_seq), 'nothing')
    FROM event_outbox WHERE event_domain = 'piece' $$;
SELECT is(fn_iu_enact('a', 'wim', pg_temp.decide('a')) ->> 'status', 'enacted', 'a unit is enacted unheard');
SELECT is(pg_temp.told(), 'nothing', 'while the master switch is off a transition is not told');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
SELECT is(fn_iu_enact('b', 'wim', pg_temp.decide('b')) ->> 'status', 'enacted', 'a second unit is enacted unheard');
SELECT is(pg_temp.told(), 'nothing', 'while the gate of pieces is closed a transition is not told');
UPDATE dot_config SET value = 'true' WHERE key = 'piece_event_runtime.emit_enabled';
SELECT is(fn_iu_enact('c', 'wim', pg_temp.decide('c'), p_change_set_id => '00000000-0000-4000-8000-0000000000c5')
  ->> 'status', 'enacted', 'a third unit is enacted');
SELECT is(pg_temp.told(), 'piece.updated c wim enact', 'while it is open, that a unit was enacted is told');
SELECT results_eq($$SELECT e.event_subject_table, e.event_subject_ref, e.safe_payload, e.idempotency_key,
    e.correlation_id FROM event_outbox e WHERE e.event_domain = 'piece'$$,
  $$SELECT 'information_unit', u.id::text, jsonb_build_object('transition', 'enact', 'version_id',
      u.version_anchor_ref, 'content_hash', fn_content_hash('text c'), 'emit_mode', 'dry_run'),
      'lifecycle:' || (SELECT max(log_id) FROM iu_lifecycle_log), '00000000-0000-4000-8000-0000000000c5'
      FROM information_unit u WHERE u.canonical_address = 'c'$$,
  'with the version that counts, its digest, the row of the ledger and the change set');
SELECT fn_iu_apply_edit_draft((fn_iu_save('c', 'text c2', 'wim') ->> 'draft_id')::uuid, 'rita');
SELECT is(fn_iu_enact('c', 'wim', pg_temp.decide('c')) ->> 'version_seq', '2', 'the pending version is enacted');
SELECT is(pg_temp.told(), 'piece.updated c wim enact, piece.updated c rita apply, piece.updated c wim enact',
  'applying and enacting are told apart by the transition');
SELECT results_eq($$SELECT safe_payload ->> 'content_hash' FROM event_outbox WHERE event_domain = 'piece'
    ORDER BY event_seq$$,
  $$SELECT fn_content_hash('text ' || t) FROM unnest(ARRAY['c', 'c2', 'c2']) t$$,
  'each with the text that it is about');

-- ---- every transition

DELETE FROM event_outbox;
SET LOCAL ROLE iu_core_owner;
INSERT INTO iu_lifecycle_log (unit_id, canonical_address, from_status, to_status, transition_type, performed_by)
  SELECT (SELECT u.id FROM information_unit u WHERE u.canonical_address = 'a'), 'a', 'draft', 'retired', t, 'lea'
    FROM unnest(ARRAY['split', 'merge', 'supersede', 'retire_from_enacted', 'retire_from_draft',
      'retire_from_superseded', 'deprecate', 'enact', 'restore']) t;
RESET ROLE;
SELECT is(pg_temp.told(), 'piece.split a lea split, piece.merged a lea merge, piece.superseded a lea supersede, '
  'piece.retired a lea retire_from_enacted, piece.retired a lea retire_from_draft, '
  'piece.retired a lea retire_from_superseded, piece.retired a lea deprecate, piece.updated a lea enact, '
  'piece.updated a lea restore', 'every transition is one event');
SELECT set_eq($$SELECT split_part(t, '''', 2) FROM pg_constraint c, regexp_split_to_table(
      (regexp_match(pg_get_constraintdef(c.oid), 'ARRAY\[(.*)\]'))[1], '(::text)?, ') t
    WHERE c.conrelid = 'iu_lifecycle_log'::regclass AND pg_get_constraintdef(c.oid) ~ 'transition_type = ANY'$$,
  $$SELECT transition_type FROM iu_lifecycle_log WHERE performed_by = 'lea'$$,
  'and there are no other transitions than these');
SELECT is(iu.fn_iu_lifecycle_piece_event('no such transition'), NULL, 'what is no transition is no event');
SET LOCAL ROLE iu_core_owner;
INSERT INTO iu_lifecycle_log (unit_id, canonical_address, from_status, to_status, transition_type, performed_by)
  VALUES (gen_random_uuid(), 'gone', 'draft', 'retired', 'retire_from_draft', 'lea');
RESET ROLE;
SELECT is((SELECT safe_payload FROM event_outbox WHERE canonical_address = 'gone'),
  '{"transition": "retire_from_draft", "emit_mode": "dry_run"}', 'of a unit that is gone no version is told');

-- ---- a transition does not fail for its event

DELETE FROM event_outbox;
SET LOCAL client_min_messages = error;
ALTER TABLE event_outbox ADD CONSTRAINT test_refuses CHECK (actor_ref <> 'refused');
SELECT fn_iu_apply_edit_draft((fn_iu_save('b', 'text b2', 'wim') ->> 'draft_id')::uuid, 'rita');
SELECT is(fn_iu_enact('b', 'refused', pg_temp.decide('b')) ->> 'status', 'enacted',
  'a unit is enacted whose event is refused');
SELECT fn_iu_emit_event('version_applied', 'x', gen_random_uuid(), 'mallory', '{}', 'lifecycle:' || max(log_id) + n)
  FROM iu_lifecycle_log, generate_series(1, 3) n GROUP BY n;
SELECT fn_iu_apply_edit_draft((fn_iu_save('b', 'text b3', 'wim') ->> 'draft_id')::uuid, 'rita');
SELECT is(fn_iu_enact('b', 'wim', pg_temp.decide('b')) ->> 'status', 'enacted',
  'a unit is enacted whose idempotency key somebody has used');
SET LOCAL client_min_messages = warning;
UPDATE event_type_registry SET active = false WHERE event_domain = 'piece';
SELECT fn_iu_apply_edit_draft((fn_iu_save('b', 'text b4', 'wim') ->> 'draft_id')::uuid, 'rita');
SELECT is(fn_iu_enact('b', 'wim', pg_temp.decide('b')) ->> 'status', 'enacted',
  'a unit is enacted while the type of its event is inactive');
UPDATE event_type_registry SET active = true WHERE event_domain = 'piece';
SELECT is(pg_temp.told(), 'piece.updated b rita apply, piece.updated b rita apply', 'of those three nothing is told');

-- ---- down and up

ALTER TABLE event_outbox DROP CONSTRAINT test_refuses;
SELECT max(version) AS before FROM iu_core.migrations WHERE version < 29 \gset

SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(' || :before || ')', '55006', 'currently OPEN',
  'a rollback is refused while a gate is open');
UPDATE dot_config SET value = 'false' WHERE key = 'piece_event_runtime.emit_enabled';
SELECT fn_iu_route_add('issues', 'issue_opened', 'https://hooks.example/x', 'ann', 't', p_event_domain => 'system');
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(' || :before || ')', '55006', 'iu_rollback_routes_carry',
  'a rollback is refused while a route carries one of its types');
DELETE FROM iu_route_type;
DELETE FROM iu_outbound_route;
SELECT iu.fn_iu_ungovern_row('route', 'issues');
INSERT INTO event_pending (event_domain, event_type, entity_table, entity_ref)
  VALUES ('system', 'issue_digest', 't', '1');
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(' || :before || ')', '55006', 'would be lost',
  'a rollback is refused where a pending event would be lost');
DELETE FROM event_pending;
CREATE TEMPORARY TABLE inventory AS SELECT * FROM iu_core.object_inventory();
SELECT count(*) AS steps FROM iu_core.rollback(:before, false, true) \gset
SELECT is((SELECT count(*) FROM event_type_registry WHERE event_domain IN ('system', 'staging')), 0::bigint,
  'the rollback takes its types away');
SELECT is(fn_iu_piece_event_runtime_healthcheck() ->> 'ok', 'false',
  'without the trigger the health check of events of pieces is not well');
SELECT count(*) AS steps FROM iu_core.migrate() \gset
SELECT bag_eq('SELECT * FROM iu_core.object_inventory()', 'SELECT * FROM inventory',
  'down and up again every object is what it was');
SELECT is(fn_iu_piece_event_runtime_healthcheck() ->> 'ok', 'true', 'with it the health check is well');
SELECT finish();
ROLLBACK;
