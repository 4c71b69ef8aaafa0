-- The product factory as it is before the change, on a database that was migrated to
-- 032: 174 units, 146 of them enacted; ten collections with 43 pieces, three of them
-- templates with four instances; 152 points of vectors, three of them of before a point
-- had to lie within one unit; 125 events about units, and 123,246 of a system beside it.
-- Run by psql as a superuser. Variables: chunks names the collection of Qdrant; system_events
-- is another number of those events.
\if :{?system_events}
\else
  \set system_events 123246
\endif
\ir ../test/pgtap/033_loader_b.psql

SELECT fn_iu_metadata_refresh(ARRAY(SELECT id FROM information_unit)) ->> 'iu_count' AS tagged;
SELECT upserted_count AS enveloped FROM fn_iu_three_axis_envelope_refresh('loader', false);

-- What is enacted is planned as a point of the collection by itself.
SELECT fn_iu_qdrant_collection_register(:'chunks', 2, 'Dot', 'demo:measures', 'iu_core_per_iu_chunks', 'loader',
  'search') ->> 'status' AS registered;
SELECT array_agg(u.canonical_address) AS reviewed
  FROM (SELECT canonical_address FROM information_unit ORDER BY canonical_address COLLATE "C" LIMIT 146) AS u \gset
SELECT fn_iu_review_decision_record('enact', :'reviewed', 'approve', 'loader', 'reviewed') ->> 'review_decision_id'
  AS decision \gset
SELECT fn_iu_enact_many(:'reviewed', 'loader', :'decision') ->> 'units' AS enacted;
-- Summaries of whole collections are points as well.
SELECT count(fn_iu_vector_sync_record_v2('summary.' || c.collection_key, 'collection', c.collection_key,
    encode(sha256(convert_to(c.title, 'UTF8')), 'hex'), 'planned', 1, 'loader', :'chunks', p_summary_marker => true))
  AS summaries FROM iu_piece_collection c WHERE c.collection_key ~ '^file:';

-- Points of before: they have no unit, which is refused today. Its check is of rows to come.
BEGIN;
ALTER TABLE iu_vector_sync_point DROP CONSTRAINT iu_vector_sync_point_boundary_chk;
SET LOCAL ROLE iu_core_owner;
INSERT INTO iu_vector_sync_point
    (point_key, collection_name, source_kind, source_path, sync_status, point_id, last_actor)
  SELECT 'dryrun.' || i, 'dryrun', 'iu', 'OTHER/' || i, 'dryrun', gen_random_uuid(), 'loader'
    FROM generate_series(1, 3) AS i;
RESET ROLE;
ALTER TABLE iu_vector_sync_point ADD CONSTRAINT iu_vector_sync_point_boundary_chk CHECK (CASE
    WHEN source_kind = 'iu' THEN unit_id IS NOT NULL AND NOT summary_marker
      AND coalesce(chunk_index BETWEEN 0 AND chunk_count - 1, false)
    ELSE unit_id IS NULL AND summary_marker END) NOT VALID;
COMMIT;

SELECT cardinality(fn_iu_emit_events((SELECT jsonb_agg(jsonb_build_object('event_type', 'version_applied',
    'canonical_address', e.canonical_address, 'subject_ref', e.id, 'actor_ref', 'loader'))
  FROM (SELECT u.canonical_address, u.id FROM information_unit u ORDER BY u.canonical_address LIMIT 125) AS e)))
  AS events;
SET ROLE iu_core_owner;
SELECT sum(cardinality(iu.fn_event_put_many('system', 'issue', (
    SELECT jsonb_agg(jsonb_build_object('event_type', 'issue_opened', 'subject_ref', gen_random_uuid(), 'actor_ref',
             'loader')) FROM generate_series(b + 1, least(b + 10000, :system_events)))))) AS system_events
  FROM generate_series(0, :system_events - 1, 10000) AS b;
RESET ROLE;
