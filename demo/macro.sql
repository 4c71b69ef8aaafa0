-- The change as one script: within a change window with a backup before and after it,
-- migration 033 is applied and tried in a transaction that is rolled back; the second
-- version of a template is made; one collection and then twelve more come of events; and
-- the window is judged by what was declared before. Run by psql as a superuser on what
-- factory.sql and stores.sql made. DUMPS in its environment names a folder for the two
-- backups, which the server can read. Both gates are opened and closed again within the
-- transaction that needs them, so that nobody else ever sees them open.
\set wf2 1cd4f881-0e7f-4f7a-9133-07ce7e726d8d
\set actor iu-core-25000x
\set gates 'key IN (''iu_core.composer_enabled'', ''iu_core.auto_instantiate_enabled'')'
\set open 'UPDATE dot_config SET value = ''true'' WHERE ' :gates
\set shut 'UPDATE dot_config SET value = ''false'' WHERE ' :gates
\pset footer off

\echo
\echo 'The window is opened over a backup, and what the change will do is declared'
\set bytes `pg_dump -Fc -f "$DUMPS/before.dump" && chmod a+r "$DUMPS/before.dump" && stat -c %s "$DUMPS/before.dump"`
\getenv dumps DUMPS
SELECT w ->> 'status' AS window, w ->> 'surfaces' AS surfaces, w ->> 'unknown' AS unknown, w ->> 'red' AS red,
       w ->> 'backup_check' AS backup
  FROM fn_iu_change_window_open('25000x', gen_random_uuid(), 'collections after templates, because of events', :'actor',
    :'dumps' || '/before.dump', :bytes) AS w;
SELECT fn_iu_surface_report('25000x:before', 'tests', '1324', :'actor') ->> 'value' AS tests_passing;
SELECT count(fn_iu_expect_delta('25000x', d.code, d.delta, :'actor', d.why)) AS declared
  FROM (VALUES
    ('information_unit', 1, 'the summary of the second version'),
    ('iu_piece_collection', 14, 'one version, 1 + 12 instances'),
    ('iu_piece_membership', 75, '6 + 5 + 40 + 24'),
    ('iu_collection_template_instance_lineage', 13, '1 + 12 instances'),
    ('iu_auto_instantiate_event_log', 13, '1 + 12 instances'),
    ('iu_collection_template_registry', 1, 'the second version of the file'),
    ('iu_collection_template_version', 2, 'both versions of the file'),
    ('event_outbox_iu', 89, '14 collections with 75 pieces'),
    ('iu_three_axis_envelope', 1, 'the summary of the second version')) AS d (code, delta, why);
SELECT count(fn_iu_expect_delta('25000x', d.code, NULL, :'actor', d.why, d.value)) AS declared
  FROM (SELECT 'iu_gates_inert', 'the gate of instances', (count(*) + 1) || '/' || (count(*) + 1) FROM v_iu_gate
        UNION ALL SELECT 'iu_conformance', 'seven objects of 033', (sum(expected) + 7) || ' / 7 PASS'
                    FROM v_iu_conformance) AS d (code, why, value);

\echo 'Migration 033: what it would do, and then it is applied'
SELECT change, object_class, count(*) FROM iu_core.migrate(33, true) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS objects_added FROM iu_core.migrate(33);

\echo 'It is tried in a transaction that is rolled back'
BEGIN;
SELECT c.id AS no_template FROM iu_piece_collection c WHERE c.collection_key = 'file:one' \gset
SELECT fn_iu_auto_instantiate_from_event(NULL, 'e', :'wf2', 'c1', 'dry_run', 'c1', NULL) AS c1,
       fn_iu_auto_instantiate_from_event(gen_random_uuid(), 'e', :'wf2', 'c2', 'shadow', 'c2', NULL) AS c2,
       fn_iu_auto_instantiate_from_event(gen_random_uuid(), 'e', :'wf2', 'c3', 'live', 'c3', NULL) AS c3,
       fn_iu_auto_instantiate_from_event(gen_random_uuid(), 'e', :'wf2', 'c4', 'dry_run', 'c4', NULL) AS c4 \gset
:open;
SELECT fn_iu_auto_instantiate_from_event(gen_random_uuid(), 'e', :'no_template', 'c5', 'dry_run', 'c5', NULL) AS c5,
       fn_iu_auto_instantiate_from_event(gen_random_uuid(), 'e', '00000000-0000-0000-0000-000000000000', 'c6',
         'dry_run', 'c6', NULL) AS c6 \gset
\set e7 25000c07-0000-4000-8000-000000000001
SELECT fn_iu_auto_instantiate_from_event(:'e7', 'e', :'wf2', 'c7', 'dry_run', 'c7', NULL) AS c7 \gset
SELECT fn_iu_auto_instantiate_from_event(:'e7', 'e', :'wf2', 'c7', 'dry_run', 'c8', NULL) AS c8 \gset
SELECT fn_iu_auto_instantiate_from_event(gen_random_uuid(), 'e', :'wf2', 'c9', 'live', 'c9', NULL) AS c9 \gset
SELECT fn_iu_auto_instantiate_rollback_by_actor('c9') AS c10 \gset
:shut;
ROLLBACK;
\c -
SELECT jsonb_build_object('rows', count(*)) AS c11 FROM iu_auto_instantiate_event_log
 WHERE triggered_by ~ '^c[0-9]+$' \gset
SELECT jsonb_object_agg(key, value) AS c12 FROM dot_config WHERE :gates \gset
SELECT p.probe, p.path, CASE p.whole WHEN p.found THEN p.found::text
         ELSE (SELECT jsonb_object_agg(f.key, f.value) FROM jsonb_each(p.found) AS f WHERE p.whole ? f.key)::text END
         AS found,
       CASE WHEN CASE WHEN p.probe IN ('C7', 'C8', 'C9', 'C10') THEN p.found @> p.whole ELSE p.found = p.whole END
            THEN 'ok' ELSE 'NOT AS EXPECTED' END AS verdict
  FROM (VALUES
    ('C1', 'no event', :'c1'::jsonb, '{"status": "invalid_input"}'::jsonb),
    ('C2', 'mode shadow', :'c2', '{"status": "invalid_emit_mode"}'),
    ('C3', 'live, its gate closed', :'c3', '{"status": "live_gate_closed"}'),
    ('C4', 'dry run, composer closed', :'c4', '{"status": "composer_gate_closed"}'),
    ('C5', 'a collection that is no template', :'c5', '{"status": "template_not_marked"}'),
    ('C6', 'no such collection', :'c6', '{"status": "template_collection_not_found"}'),
    ('C7', 'dry run', :'c7', '{"status": "ok", "pieces_attached": 5, "digest_matches_template": true}'),
    ('C8', 'the same event again', :'c8', jsonb_build_object('status', 'idempotent_replay', 'instance_collection_id',
      :'c7'::jsonb -> 'instance_collection_id')),
    ('C9', 'live, both gates open', :'c9', '{"status": "ok", "pieces_attached": 5, "digest_matches_template": true}'),
    ('C10', 'what a rollback of the actor would take', :'c10',
      '{"status": "dry_run", "log_rows": 1, "lineage_rows": 1, "collections": 1}'),
    ('C11', 'rows of the probes afterwards', :'c11', '{"rows": 0}'),
    ('C12', 'both gates afterwards', :'c12',
      '{"iu_core.composer_enabled": "false", "iu_core.auto_instantiate_enabled": "false"}'))
  AS p (probe, path, found, whole);

\echo 'The second version of the template of a file: five pieces of the first, and a summary before them'
BEGIN;
SELECT jsonb_agg(jsonb_build_object('role', CASE m.piece_role WHEN 'intro' THEN 'body' ELSE m.piece_role END,
         'iu_id', m.iu_id) ORDER BY m.piece_order) AS pieces
  FROM v_iu_collection_manifest m WHERE m.collection_key = 'tpl:file:status-report/v1' \gset
:open;
SET LOCAL ROLE iu_core_writer;
SELECT c ->> 'collection_id' AS file2, c ->> 'pieces_attached' AS pieces_attached,
       c ->> 'pieces_minted' AS pieces_minted
  FROM fn_iu_compose('tpl:file:status-report/v2', 'file', 'Status report', NULL, jsonb_build_array(
    jsonb_build_object('role', 'intro', 'new_piece', jsonb_build_object('canonical_address',
      'status-report/executive_summary', 'title', 'Executive summary', 'body', 'What happened, in ten lines.')))
    || :'pieces', :'actor') AS c \gset
RESET ROLE;
:shut;
SELECT id AS file1 FROM iu_piece_collection WHERE collection_key = 'tpl:file:status-report/v1' \gset
SELECT fn_iu_collection_mark_as_template(:'file2', 'Status report', 'Opens with a summary.', :'actor') ->> 'status'
  AS template;
SELECT fn_iu_collection_register_template_version(:'file1', 'tpl:file:status-report', 'v1', 1, NULL, :'actor')
  ->> 'status' AS v1;
SELECT fn_iu_collection_register_template_version(:'file2', 'tpl:file:status-report', 'v2', 2, :'file1', :'actor')
  ->> 'status' AS v2;
COMMIT;
SELECT :'pieces_attached' AS pieces_attached, :'pieces_minted' AS pieces_minted;

\echo 'One collection, and then twelve in one transaction'
BEGIN;
:open;
SET LOCAL ROLE iu_core_writer;
SELECT r ->> 'status' AS status, r ->> 'instance_collection_key' AS collection, r ->> 'idempotency_key' AS key,
       r ->> 'digest_matches_template' AS digest_matches
  FROM fn_iu_auto_instantiate_from_event('25000d25-0000-4000-8000-000000000001', 'iu.version_applied', :'wf2',
    '25000x-durable-001', 'live', 'iu-core-25000x-durable', NULL) AS r;
RESET ROLE;
:shut;
COMMIT;
BEGIN;
:open;
SET LOCAL ROLE iu_core_writer;
SELECT r ->> 'instance_collection_key' AS collection, r ->> 'status' AS status,
       r ->> 'digest_matches_template' AS digest_matches
  FROM (SELECT 'wf' AS name, '25000b00' AS event, :'wf2'::uuid AS template, n FROM generate_series(1, 8) AS n
        UNION ALL SELECT 'file', '25000b10', :'file2', n FROM generate_series(1, 4) AS n) AS w
  CROSS JOIN LATERAL fn_iu_auto_instantiate_from_event(
    (w.event || '-0000-4000-8000-' || lpad(w.n::text, 12, '0'))::uuid, 'iu.version_applied', w.template,
    format('25000x-bulk-%s-%s', w.name, lpad(w.n::text, 3, '0')), 'live', 'iu-core-25000x-bulk', NULL) AS r;
RESET ROLE;
:shut;
COMMIT;
\c -
SELECT count(*) || ' of 13' AS found_by_another_connection, bool_and(digest_matches_template) AS digest_matches,
       count(DISTINCT triggered_by) AS actors, string_agg(DISTINCT emit_mode, ' ') AS mode
  FROM v_iu_auto_instantiate_event_log;
SELECT template_collection_key AS template, version_label AS version, version_status AS status,
       instance_count AS instances, digest_matching_instances AS matching, digest_diverged_instances AS diverged,
       template_without_version AS unversioned
  FROM v_iu_template_observability ORDER BY 1;
SELECT p.actor, r ->> 'status' AS status, r ->> 'collections' AS collections, r ->> 'memberships' AS memberships
  FROM (VALUES ('iu-core-25000x-durable'), ('iu-core-25000x-bulk')) AS p (actor)
  CROSS JOIN LATERAL fn_iu_auto_instantiate_rollback_by_actor(p.actor) AS r;
SELECT outcome AS envelope, table_count AS units FROM fn_iu_three_axis_envelope_refresh_if_stale(:'actor');
SELECT count(*) AS retention_candidates FROM v_iu_core_retention_candidates;

\echo 'The window is closed over a second backup, and judged'
\set bytes `pg_dump -Fc -f "$DUMPS/after.dump" && chmod a+r "$DUMPS/after.dump" && stat -c %s "$DUMPS/after.dump"`
SELECT fn_iu_surface_report('25000x:after', 'tests', '1324', :'actor') ->> 'value' AS tests_passing;
SELECT w ->> 'status' AS window, w ->> 'verdict' AS verdict, w ->> 'verdict_reason' AS why
  FROM fn_iu_change_window_close('25000x', :'actor', '{"Directus": "none, nothing is written there",
    "Nuxt": "none, not deployed", "AgentData": "this report", "Qdrant": "none, nothing is written there"}', ARRAY[
    'Nuxt: not deployed, not restarted', 'retention: its gate stayed closed, and candidates were only counted',
    'production documents', 'delivery: no route is attached to the new type of event',
    'daemons and timers: a person drove this script'],
    p_backup_file => :'dumps' || '/after.dump', p_backup_bytes => :bytes) AS w;
\pset tuples_only on
\pset format unaligned
SELECT fn_iu_change_report('25000x');
