-- 034: publishing a template, and the consumer that makes a collection of it; the
-- commands of auto-instantiation. A route that carries it: tap/t/150_product_factory.pl.
\ir setup.psql
\ir 030_collections.psql
SELECT no_plan();
SELECT pg_temp.gate('iu_core.composer_enabled', true);
SELECT fn_iu_compose(k, 'file', 'T', NULL, pg_temp.pieces('{u1,u2}'), 'wim')
  FROM unnest('{tpl,plain,tpl-inst:auto:taken}'::text[]) k;
SELECT fn_iu_collection_mark_as_template(pg_temp.collection('tpl'), 'T', NULL, 'wim');
SELECT pg_temp.gate('iu_core.composer_enabled', false);
SELECT pg_temp.collection('tpl') AS t, pg_temp.collection('plain') AS p, gen_random_uuid() AS nobody \gset

-- ---- publishing

SELECT pg_temp.refused(format('fn_iu_template_publish(%s)', c), s, f, 'publishing is refused: ' || what) FROM (VALUES
  ('no template', 'NULL, ''s'', ''w''', 'invalid_input', 'template_collection_id'),
  ('no suffix', format('%L, NULL, ''w''', :'t'), 'invalid_input', 'instance_key_suffix'),
  ('a blank suffix', format('%L, '' '', ''w''', :'t'), 'invalid_input', 'instance_key_suffix'),
  ('a suffix that leads elsewhere', format('%L, ''/../x'', ''w''', :'t'), 'invalid_input', 'instance_key_suffix'),
  ('no actor', format('%L, ''s'', '' ''', :'t'), 'invalid_input', 'actor'),
  ('a template that there is not', format('%L, ''s'', ''w''', :'nobody'), 'collection_not_found',
    'template_collection_id'),
  ('a collection that is no template', format('%L, ''s'', ''w''', :'p'), 'template_not_marked',
    'template_collection_id'),
  ('a suffix that is taken', format('%L, ''taken'', ''w''', :'t'), 'instance_key_exists', 'instance_key_suffix'))
  AS v (what, c, s, f);
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT pg_temp.refused(format('fn_iu_template_publish(%L, ''s'', ''w'')', :'t'), 'events_are_off', NULL,
  'nothing is published while the master switch is off');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
SELECT pg_temp.login('iu_test_robot', format('fn_iu_template_publish(%L, ''one'', ''robot'')', :'t'))::jsonb AS a \gset
SELECT is(:'a'::jsonb - 'event_id', '{"status": "published", "instance_collection_key": "tpl-inst:auto:one"}',
  'an agent publishes a template, without any gate');
SELECT results_eq(format($$SELECT event_domain, event_type, event_stream, delivery_lane, event_subject_ref, actor_ref,
  safe_payload
    FROM event_outbox WHERE id = %L$$, :'a'::jsonb ->> 'event_id'),
  format($$VALUES ('iu', 'template.published', 'update', 'immediate', %1$L, 'robot', jsonb_build_object(
    'template_collection_id', %1$L, 'instance_key_suffix', 'one'))$$, :'t'),
    'the event has the template and the suffix');

-- ---- the consumer

SELECT :'a'::jsonb ->> 'event_id' AS e, format('{"template_collection_id": "%s", "instance_key_suffix": "one"}',
  :'t') AS b \gset
SELECT pg_temp.refuses(format('SELECT fn_iu_auto_instantiate_consumer(%L, %L)', :'e', :'b'), '55000',
  'iu_auto_instantiate_gate_closed', 'with both gates closed the consumer raises what is tried again');
SELECT pg_temp.gate('iu_core.auto_instantiate_enabled', true);
SELECT pg_temp.refuses(format('SELECT fn_iu_auto_instantiate_consumer(%L, %L)', :'e', :'b'), '55000',
  'no collection is made after the template now: composer_gate_closed', 'with the gate of the composer closed too');
SELECT pg_temp.gate('iu_core.composer_enabled', true);
SELECT pg_temp.refuses(format('SELECT fn_iu_auto_instantiate_consumer(%s)', c), s, n, 'the consumer refuses ' || what)
  FROM (VALUES ('an event that there is not', format('%L, ''{}''', :'nobody'), 'P0002', 'iu_event_unknown'),
  ('no event', 'NULL, ''{}''', 'P0002', 'iu_event_unknown'),
  ('a payload without anything', format('%L, ''{}''', :'e'), '23514', 'iu_auto_instantiate_refused'),
  ('no payload', format('%L, NULL', :'e'), '23514', 'iu_auto_instantiate_refused'),
  ('a template that is no uuid', format('%L, ''{"template_collection_id": "x", "instance_key_suffix": "one"}''', :'e'),
    '23514',
   'after the template: invalid_input'),
  ('a collection that is no template', format('%L, ''{"template_collection_id": "%s", "instance_key_suffix": "one"}''',
    :'e', :'p'),
   '23514', 'after the template: template_not_marked'),
  ('a suffix that is taken', format('%L, ''{"template_collection_id": "%s", "instance_key_suffix": "taken"}''', :'e',
    :'t'),
   '23514', 'after the template: instance_key_exists')) AS v (what, c, s, n);
SELECT is(fn_iu_auto_instantiate_consumer(:'e', :'b'), true, 'with both gates open a collection is made');
SELECT is(pg_temp.order_of('tpl-inst:auto:one'), '0 body u1, 1 body u2', 'it has the pieces of the template');
SELECT results_eq('SELECT event_type, emit_mode, triggered_by FROM iu_auto_instantiate_event_log',
  $$VALUES ('iu.template.published', 'live', 'iu_auto_instantiate_consumer')$$, 'the log says which event made it');
SELECT is(fn_iu_auto_instantiate_consumer(:'e', :'b'), true, 'a second delivery succeeds');
SELECT is((SELECT count(*) FROM iu_auto_instantiate_event_log), 1::bigint, 'and makes nothing');
SELECT is(iu.fn_iu_route_function_refusal('fn_iu_auto_instantiate_consumer'), NULL, 'routes may call the consumer');
SELECT is(pg_temp.login('iu_test_robot', format('fn_iu_auto_instantiate_consumer(%L, %L)::text', :'e', :'b')),
  '42501 permission denied for function fn_iu_auto_instantiate_consumer', 'nobody else calls the consumer');

-- ---- commands and types

SELECT results_eq($$SELECT command_name, category, target_functions FROM dot_iu_command_catalog
    WHERE command_name ~ 'auto_instantiate|publish_template' ORDER BY 1$$,
  $$VALUES ('dot_iu_auto_instantiate_from_event', 'collection', '{fn_iu_auto_instantiate_from_event}'::text[]),
    ('dot_iu_auto_instantiate_rollback_by_actor', 'lifecycle', '{fn_iu_auto_instantiate_rollback_by_actor}'),
    ('dot_iu_publish_template', 'collection', '{fn_iu_template_publish}')$$, 'auto-instantiation has its commands');
SELECT is((SELECT string_agg(event_domain || ' ' || n, ', ' ORDER BY event_domain) FROM (SELECT event_domain,
  count(*) AS n
    FROM event_type_registry GROUP BY 1) x), 'governance 1, iu 17, piece 6, staging 5, system 4',
  'the registry has 31 types, the one of breaking glass, and the one of publishing');

-- ---- retention of the log, and the way back

SELECT results_eq($$SELECT age_column, keep_days, active, actor_scope FROM iu_core_retention_policy
    WHERE target_table = 'iu_auto_instantiate_event_log'$$, $$VALUES ('created_at', 180, false, NULL::text[])$$,
  'the log has a policy of 180 days, which is not active');
SELECT is((SELECT count(*) FROM iu_core_retention_policy WHERE active), 0::bigint, 'no migration activates a policy');
CREATE FUNCTION pg_temp.may_go() RETURNS bigint LANGUAGE sql AS
  $$SELECT rows_eligible FROM v_iu_core_retention_candidates WHERE target_table = 'iu_auto_instantiate_event_log'$$;
SELECT is(pg_temp.may_go(), 0::bigint, 'a young row stays');
SET LOCAL ROLE iu_core_owner;
UPDATE iu_auto_instantiate_event_log SET created_at = now() - interval '181 days';
RESET ROLE;
SELECT is(pg_temp.may_go(), 0::bigint, 'an old row stays while its collection lives');
SELECT fn_iu_collection_set_status(pg_temp.collection('tpl-inst:auto:one'), 'retired', 'wim', 'over');
SELECT is(pg_temp.may_go(), 1::bigint, 'an old row goes when its collection is retired');

-- ---- the envelope

CREATE FUNCTION pg_temp.leaves(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_last bigint := coalesce((SELECT max(id) FROM iu_three_axis_envelope_refresh_log), 0);
BEGIN
  EXECUTE p_sql;
  RETURN (SELECT string_agg(concat_ws(' ', actor, outcome), ', ' ORDER BY id)
            FROM iu_three_axis_envelope_refresh_log WHERE id > v_last);
END $$;
SET LOCAL iu_core.envelope_timeout = '10min';
SELECT is(pg_temp.leaves(format('SELECT fn_iu_collection_record_template_instance(%L, %L, ''w'', NULL)', :'p', :'t')),
  NULL,
  'recording an instance refreshes nothing while the gate of the envelope is closed');
SELECT pg_temp.gate('iu_core.three_axis_auto_refresh_enabled', true);
SELECT is(pg_temp.leaves(format('SELECT fn_iu_collection_record_template_instance(%L, %L, ''w'', NULL)',
    pg_temp.collection('tpl-inst:auto:taken'), :'t')), 'iu_auto_instantiate_trigger refreshed',
  'recording an instance refreshes the envelope while its gate is open');
CREATE OR REPLACE FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale(
    p_actor text, p_dry_run boolean DEFAULT false, p_force boolean DEFAULT false)
  RETURNS TABLE (log_id bigint, outcome text, upserted_count bigint, deleted_count bigint, view_count bigint,
                 table_count bigint, in_sync_pre boolean, in_sync_post boolean)
  LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'stub'; END$$;
SELECT pg_temp.login('iu_test_wim', format('fn_iu_template_publish(%L, ''two'', ''wim'') ->> ''event_id''',
  :'t')) AS e2 \gset
SELECT is(fn_iu_auto_instantiate_consumer(:'e2',
  format('{"template_collection_id": "%s", "instance_key_suffix": "two"}',
  :'t')::jsonb), true, 'a collection is made while the refresh of the envelope raises');
SELECT results_eq($$SELECT trigger_name, host_table, tg_op, sqlstate, sqlerrm
  FROM iu_three_axis_envelope_trigger_error_log
    ORDER BY id DESC LIMIT 1$$, $$VALUES ('trg_iu_three_axis_envelope_auto_refresh_lineage',
    'iu_collection_template_instance_lineage', 'INSERT', 'P0001', 'stub')$$,
    'what the refresh raised is in the error log');
SELECT pg_temp.gate(g, false) FROM unnest(ARRAY['iu_core.three_axis_auto_refresh_enabled', 'iu_core.composer_enabled',
  'iu_core.auto_instantiate_enabled']) g;
SELECT results_eq($$SELECT migration, object_class, count(*) FROM iu_governed_object WHERE migration IN (35, 36)
    GROUP BY 1, 2 ORDER BY 1, 2$$, $$VALUES (36, 'function', 1::bigint), (36, 'trigger', 1)$$,
  '036 brought a function and a trigger, 035 no object');
SELECT finish();
ROLLBACK;
