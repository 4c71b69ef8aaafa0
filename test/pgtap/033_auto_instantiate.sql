-- 033: collections that events make after templates: the probes C1 to C10 by their
-- numbers, and what else is refused or taken back. C11 and C12 are looked at by
-- another connection: tap/t/150_product_factory.pl.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();
\o /dev/null
\ir 033_loader_b.psql
\o
CREATE FUNCTION pg_temp.gate(p_gate text, p_open boolean) RETURNS void LANGUAGE sql AS
  $$UPDATE dot_config SET value = p_open::text WHERE key = p_gate$$;
CREATE FUNCTION pg_temp.collection(p_key text) RETURNS uuid LANGUAGE sql AS
  $$SELECT id FROM iu_piece_collection WHERE collection_key = p_key$$;
CREATE FUNCTION pg_temp.events_since(p_seq bigint) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s %s', n, event_type), ', ' ORDER BY event_type COLLATE "C")
    FROM (SELECT event_type, count(*) AS n FROM event_outbox WHERE event_seq > p_seq GROUP BY event_type) x $$;
-- The call answers with exactly this, and no row is another one than before.
CREATE FUNCTION pg_temp.is_exactly(p_call text, p_answer jsonb, p_description text) RETURNS SETOF text
  LANGUAGE plpgsql AS $$
DECLARE
  v_before text := pg_temp.units_rows();
  v_answer jsonb;
BEGIN
  EXECUTE 'SELECT ' || p_call INTO v_answer;
  RETURN NEXT is(v_answer, p_answer, p_description);
  RETURN NEXT is(pg_temp.units_rows(), v_before, p_description || ': nothing is written');
END $$;
\set wf2 '''1cd4f881-0e7f-4f7a-9133-07ce7e726d8d'''
SELECT results_eq($$SELECT (SELECT count(*) FROM information_unit), (SELECT count(*) FROM iu_piece_collection),
    (SELECT count(*) FROM iu_piece_membership), (SELECT count(*) FROM v_iu_product_template),
    (SELECT count(*) FROM iu_collection_template_instance_lineage), (SELECT count(*)
    FROM iu_collection_template_version)$$,
  $$VALUES (174::bigint, 10::bigint, 43::bigint, 3::bigint, 4::bigint, 2::bigint)$$,
    'the probes begin with what they ask for');

SELECT results_eq($$SELECT event_stream, delivery_lane, active FROM event_type_registry
    WHERE event_domain = 'iu' AND event_type = 'template.instance_auto_composed'$$,
  $$VALUES ('birth', 'delayed', true)$$, 'its type of event is registered, in the delayed lane');
SELECT is_empty($$SELECT FROM iu_route_type WHERE event_type = 'template.instance_auto_composed'$$,
  'no route carries its type of event');

-- ---- C1 to C6: what is refused, as whole objects

CREATE FUNCTION pg_temp.make(p_event uuid, p_template uuid, p_suffix text, p_mode text,
  p_actor text) RETURNS jsonb LANGUAGE sql
  AS $$SELECT fn_iu_auto_instantiate_from_event(p_event, 'iu.version_applied', p_template, p_suffix, p_mode, p_actor,
    NULL)$$;
SELECT gen_random_uuid() AS e, pg_temp.collection('file:one') AS plain \gset
SELECT pg_temp.is_exactly(format('pg_temp.make(NULL, %L, ''c1'', ''dry_run'', ''c1'')', :wf2),
  '{"status": "invalid_input"}',
  'C1 without an event');
SELECT pg_temp.is_exactly(format('fn_iu_auto_instantiate_from_event(%s)', replace(replace(c, '$e',
  quote_literal(:'e')), '$t',
    quote_literal(:wf2))), '{"status": "invalid_input"}', 'C1 with ' || what)
  FROM (VALUES ('no type', '$e, NULL, $t, ''c1'', ''dry_run'', ''a'', NULL'),
  ('a blank type', '$e, '' '', $t, ''c1'', ''dry_run'', ''a'', NULL'),
  ('no template', '$e, ''t'', NULL, ''c1'', ''dry_run'', ''a'', NULL'),
  ('no suffix', '$e, ''t'', $t, NULL, ''dry_run'', ''a'', NULL'),
  ('a blank suffix', '$e, ''t'', $t, '' '', ''dry_run'', ''a'', NULL'),
  ('a suffix that leads elsewhere', '$e, ''t'', $t, ''a/../b'', ''dry_run'', ''a'', NULL'),
  ('a suffix that is too long', '$e, ''t'', $t, repeat(''x'', 187), ''dry_run'', ''a'', NULL'),
  ('no actor', '$e, ''t'', $t, ''c1'', ''dry_run'', NULL, NULL'),
  ('a blank actor', '$e, ''t'', $t, ''c1'', ''dry_run'', '' '', NULL'),
  ('a note in two lines', '$e, ''t'', $t, ''c1'', ''dry_run'', ''a'', E''a\nb''')) AS v (what, c);
SELECT pg_temp.is_exactly(format('pg_temp.make(%L, %L, ''c2'', %L, ''c2'')', :'e', :wf2, m),
  '{"status": "invalid_emit_mode"}',
  'C2 with mode ' || coalesce(m, 'NULL')) FROM unnest(ARRAY['shadow', '', 'LIVE', NULL]) m;
SELECT pg_temp.is_exactly(format('pg_temp.make(%L, %L, ''c3'', ''live'', ''c3'')', :'e', :wf2),
  '{"status": "live_gate_closed"}',
  'C3 live, with both gates closed');
SELECT pg_temp.gate('iu_core.composer_enabled', true);
SELECT pg_temp.is_exactly(format('pg_temp.make(%L, %L, ''c3'', ''live'', ''c3'')', :'e', :wf2),
  '{"status": "live_gate_closed"}',
  'C3 live, with its own gate closed');
SELECT pg_temp.gate('iu_core.composer_enabled', false);
SELECT pg_temp.is_exactly(format('pg_temp.make(%L, %L, ''c4'', ''dry_run'', ''c4'')', :'e', :wf2),
  '{"status": "composer_gate_closed"}', 'C4 a dry run, with the gate of the composer closed');
SELECT pg_temp.gate('iu_core.auto_instantiate_enabled', true);
SELECT pg_temp.is_exactly(format('pg_temp.make(%L, %L, ''c4'', ''live'', ''c4'')', :'e', :wf2),
  '{"status": "composer_gate_closed"}', 'C4 live, with the gate of the composer closed');
SELECT pg_temp.gate('iu_core.auto_instantiate_enabled', false), pg_temp.gate('iu_core.composer_enabled', true);
SELECT pg_temp.is_exactly(format('pg_temp.make(%L, %L, ''c5'', ''dry_run'', ''c5'')', :'e', :'plain'),
  '{"status": "template_not_marked"}', 'C5 with a collection that is no template');
SELECT pg_temp.is_exactly(
  format('pg_temp.make(%L, ''00000000-0000-0000-0000-000000000000'', ''c6'', ''dry_run'', ''c6'')', :'e'),
  '{"status": "template_collection_not_found"}', 'C6 with no collection');

-- ---- C7 to C10: what is made

SELECT coalesce(max(event_seq), 0) AS seq FROM event_outbox \gset
SELECT pg_temp.make('25000d25-0000-4000-8000-000000000001', :wf2, '25000x-durable-001', 'dry_run', 'c7') AS a \gset
SELECT is(:'a'::jsonb, jsonb_build_object('status', 'ok', 'instance_collection_id',
    pg_temp.collection('tpl-inst:auto:25000x-durable-001'), 'instance_collection_key',
    'tpl-inst:auto:25000x-durable-001',
    'pieces_attached', 5, 'digest_matches_template', true, 'idempotency_key', 'df7bcf71ffd37a70db528cbe95161b69',
    'emit_mode', 'dry_run'), 'C7 a dry run makes a collection with 5 pieces, under the published key');
SELECT is((SELECT md5(string_agg(m.piece_order || ':' || m.iu_id || ':' || m.piece_role, '|' ORDER BY m.piece_order))
     FROM iu_piece_membership m WHERE m.collection_id = (:'a'::jsonb ->> 'instance_collection_id')::uuid),
  (SELECT manifest_digest FROM iu_piece_collection WHERE id = :wf2),
    'C7 the digests of instance and template are equal');
SELECT results_eq($$SELECT i.collection_kind, i.title, i.lifecycle_status, i.created_by FROM iu_piece_collection i
    WHERE i.collection_key = 'tpl-inst:auto:25000x-durable-001'$$, $$VALUES ('workflow', 'Tpl:Wf:Onboarding/V2',
    'draft', 'c7')$$,
  'C7 kind and title are those of the template');
SELECT results_eq($$SELECT template_collection_key, instantiated_by, digest_matches_template
  FROM v_iu_product_template_instance
    WHERE instance_collection_key = 'tpl-inst:auto:25000x-durable-001'$$, $$VALUES ('tpl:wf:onboarding/v2', 'c7',
    true)$$,
  'C7 the lineage has a row');
SELECT is(pg_temp.events_since(:seq), '1 collection_created, 5 piece_added_to_collection',
  'C7 its events are those of composing, and none else');
SELECT pg_temp.is_exactly(
  format('pg_temp.make(''25000d25-0000-4000-8000-000000000001'', %L, ''25000x-durable-001'', %L, %L)',
    :wf2, 'dry_run', 'somebody else'), jsonb_build_object('status', 'idempotent_replay', 'instance_collection_id',
    pg_temp.collection('tpl-inst:auto:25000x-durable-001'), 'instance_collection_key',
    'tpl-inst:auto:25000x-durable-001',
    'idempotency_key', 'df7bcf71ffd37a70db528cbe95161b69', 'emit_mode', 'dry_run'), 'C8 the same again is a replay');
SELECT pg_temp.is_exactly(format('pg_temp.make(%L, %L, ''25000x-durable-001'', ''dry_run'', ''a'')', :'e', :wf2),
  '{"status": "instance_key_exists"}', 'another event with the same suffix is refused');
SELECT pg_temp.gate('iu_core.auto_instantiate_enabled', true);
SELECT is(pg_temp.make('25000d25-0000-4000-8000-000000000001', :wf2, '25000x-durable-001', 'live',
  'c8') ->> 'emit_mode', 'dry_run',
  'C8 the mode is not in the key');
SELECT is(pg_temp.make(:'e', :wf2, 'c9', 'live', 'c9') - '{instance_collection_id,idempotency_key}'::text[],
  '{"status": "ok", "instance_collection_key": "tpl-inst:auto:c9", "pieces_attached": 5,
    "digest_matches_template": true, "emit_mode": "live"}',
  'C9 live, with both gates open, makes a collection with 5 pieces and the digest of its template');
SELECT pg_temp.is_exactly('fn_iu_auto_instantiate_rollback_by_actor(''c9'')',
  '{"status": "dry_run", "actor": "c9", "log_rows": 1,
  "lineage_rows": 1, "collections": 1, "memberships": 5}', 'C10 a dry run of taking back reports 1/1/1');

-- ---- views, bulk, order of refusals under rights

SELECT results_eq($$SELECT instance_collection_key, template_collection_key, emit_mode, triggered_by,
  digest_matches_template
    FROM v_iu_auto_instantiate_event_log ORDER BY 1$$,
  $$VALUES ('tpl-inst:auto:25000x-durable-001', 'tpl:wf:onboarding/v2', 'dry_run', 'c7', true),
           ('tpl-inst:auto:c9', 'tpl:wf:onboarding/v2', 'live', 'c9', true)$$, 'a view shows what each event made');
SELECT results_eq($$SELECT template_collection_key, emit_mode, instance_count, instances_last_hour, instances_last_day
    FROM v_iu_auto_instantiate_event_summary ORDER BY 2$$, $$VALUES ('tpl:wf:onboarding/v2', 'dry_run', 1::bigint,
    1::bigint, 1::bigint),
           ('tpl:wf:onboarding/v2', 'live', 1, 1, 1)$$, 'a view counts by template and mode');
SELECT coalesce(max(event_seq), 0) AS seq FROM event_outbox \gset
SELECT is((SELECT array_agg(DISTINCT x.a - '{instance_collection_id,instance_collection_key,idempotency_key}'::text[])
     FROM (SELECT pg_temp.make(gen_random_uuid(), t, 'bulk-' || i, 'live', 'bulk') AS a FROM (VALUES (:wf2::uuid, 8),
       (pg_temp.collection('tpl:file:status-report/v1'), 4)) v (t, n) CROSS JOIN LATERAL generate_series(n * 10,
       n * 11 - 1) i) x),
  ARRAY['{"status": "ok", "pieces_attached": 5, "digest_matches_template": true, "emit_mode": "live"}'::jsonb],
  '8 and 4 collections are made of two templates in one transaction');
SELECT is(pg_temp.events_since(:seq), '12 collection_created, 60 piece_added_to_collection', 'with 72 events');
SELECT is(pg_temp.login('iu_test_robot', format($$fn_iu_auto_instantiate_from_event(%L, 't', %L, 'robot', 'live',
  'robot', 'n')
    ->> 'status'$$, :'e', :wf2)), 'ok', 'an agent makes collections of templates');
SELECT is(pg_temp.login('iu_test_rita', 'fn_iu_auto_instantiate_from_event(NULL, NULL, NULL, NULL, NULL, NULL, NULL)'),
  '42501 permission denied for function fn_iu_auto_instantiate_from_event', 'a reader makes none');
CREATE FUNCTION pg_temp.lent() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  RETURN fn_iu_auto_instantiate_from_event(NULL, NULL, NULL, NULL, NULL, NULL, NULL);
END $$;
SELECT is(pg_temp.login('iu_test_rita', 'pg_temp.lent()'),
  '42501 role iu_test_rita may not make collections after templates',
    'a reader makes none through rights that were lent');

CREATE FUNCTION pg_temp.skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SAVEPOINT skipped;
CREATE TRIGGER hinders BEFORE INSERT ON iu_auto_instantiate_event_log FOR EACH ROW EXECUTE FUNCTION pg_temp.skip();
SELECT pg_temp.refuses(format('SELECT pg_temp.make(%L, %L, ''skipped'', ''live'', ''w'')', :'e', :wf2), '55000',
  'iu_change_without_effect', 'no collection is made whose row in the log something keeps out');
ROLLBACK TO skipped;
CREATE TRIGGER hinders BEFORE INSERT ON iu_collection_template_instance_lineage
  FOR EACH ROW EXECUTE FUNCTION pg_temp.skip();
ALTER TABLE iu_collection_template_instance_lineage ENABLE ALWAYS TRIGGER hinders;
SELECT pg_temp.refuses(format('SELECT pg_temp.make(%L, %L, ''skipped'', ''live'', ''w'')', :'e', :wf2), '23503',
  'iu_auto_instantiate_event_log_instance_fkey', 'nor one whose lineage something keeps out');
SET LOCAL session_replication_role = replica;
SELECT pg_temp.refuses(format('SELECT pg_temp.make(%L, %L, ''skipped'', ''live'', ''w'')', :'e', :wf2), '55000',
  'iu_change_without_effect', 'nor that where foreign keys do not hold');
ROLLBACK TO skipped;

-- ---- taking back

SELECT pg_temp.is_exactly(format('fn_iu_auto_instantiate_rollback_by_actor(%s)', c), '{"status": "invalid_input"}',
  'taking back is refused for ' || what) FROM (VALUES ('no actor', 'NULL'), ('a blank actor', ''' '''),
  ('neither dry run nor not', '''c7'', NULL')) AS v (what, c);
SELECT pg_temp.gate('iu_core.composer_enabled', false);
SELECT pg_temp.is_exactly('fn_iu_auto_instantiate_rollback_by_actor(''c9'', false)',
  '{"status": "composer_gate_closed"}',
  'nothing is taken back while the gate of the composer is closed');
SELECT is(fn_iu_auto_instantiate_rollback_by_actor('c9') ->> 'status', 'dry_run', 'a dry run needs no gate');
SELECT pg_temp.gate('iu_core.composer_enabled', true);
SAVEPOINT used;
SELECT fn_iu_collection_mark_as_template(pg_temp.collection('tpl-inst:auto:c9'), 'L', NULL, 'w') ->> 'status' AS s \gset
SELECT pg_temp.is_exactly(format('fn_iu_auto_instantiate_rollback_by_actor(''c9'', %s)', d),
  '{"status": "instance_in_use", "in_use": ["tpl-inst:auto:c9"]}', 'an instance that is a template by now stays')
  FROM unnest(ARRAY['true', 'false']) d;
ROLLBACK TO used;
SELECT count(*) AS units FROM information_unit \gset
SELECT coalesce(max(event_seq), 0) AS seq FROM event_outbox \gset
SELECT is(pg_temp.login('iu_test_olga', 'fn_iu_auto_instantiate_rollback_by_actor(''bulk'', false)')::jsonb,
  '{"status": "rolled_back", "actor": "bulk", "log_rows": 12, "lineage_rows": 12, "collections": 12,
    "memberships": 60}',
  'an operator takes back what an actor''s events made');
SELECT results_eq($$SELECT (SELECT count(*) FROM iu_piece_collection WHERE collection_key LIKE 'tpl-inst:auto:bulk%'),
    (SELECT count(*) FROM iu_auto_instantiate_event_log WHERE triggered_by = 'bulk'), (SELECT count(*)
    FROM information_unit),
    (SELECT count(*) FROM iu_auto_instantiate_event_log)$$,
  format($$VALUES (0::bigint, 0::bigint, %s::bigint, 3::bigint)$$, :units),
  'its collections and log are gone; units, and what others made, stay');
SELECT is(pg_temp.events_since(:seq), NULL, 'taking back emits nothing');
SELECT is(fn_iu_auto_instantiate_rollback_by_actor('bulk', false) -> 'collections', '0',
  'again there is nothing to take back');
SELECT is(pg_temp.login('iu_test_robot', 'fn_iu_auto_instantiate_rollback_by_actor(''c7'')'),
  '42501 permission denied for function fn_iu_auto_instantiate_rollback_by_actor', 'an agent takes nothing back');
SELECT is(pg_temp.make(:'e', :wf2, 'bulk-80', 'live', 'again') ->> 'status', 'ok',
  'what was taken back can be made again');

-- ---- what the migration brought, and the way back

SELECT results_eq($$SELECT object_class, count(*) FROM iu_governed_object WHERE migration = 33 GROUP BY 1 ORDER BY 1$$,
  $$VALUES ('config', 1::bigint), ('event_type', 1), ('function', 2), ('table', 1), ('view', 2)$$,
    'it brought seven objects');
SELECT pg_temp.gate('iu_core.composer_enabled', false), pg_temp.gate('iu_core.auto_instantiate_enabled', false);
SELECT pg_temp.refuses('SELECT iu_core.rollback(32)', '55006', 'iu_rollback_rows',
  'a rollback that would lose the log is refused');
SELECT finish();
ROLLBACK;
