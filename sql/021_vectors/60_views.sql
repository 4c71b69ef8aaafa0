-- What is in sync, what an indexer has to do, and what Directus is told of the envelope.

CREATE VIEW public.v_iu_vector_sync_status AS
  SELECT p.point_key, p.collection_name, p.source_kind, p.source_path, p.sync_status, p.content_digest,
         p.indexed_digest, p.unit_id, p.chunk_index, p.chunk_count, p.summary_marker, p.point_count, p.point_id,
         p.sync_status = 'drift' OR p.sync_status <> 'disabled' AND p.indexed_digest IS NOT NULL
           AND p.indexed_digest IS DISTINCT FROM p.content_digest AS drifted,
         CASE p.sync_status WHEN 'indexed' THEN p.indexed_digest IS NOT DISTINCT FROM p.content_digest
                            WHEN 'disabled' THEN p.indexed_digest IS NULL ELSE false END AS in_sync,
         p.observed_at, p.updated_at, p.last_actor
    FROM public.iu_vector_sync_point p;
COMMENT ON VIEW public.v_iu_vector_sync_status IS
  'The points with whether each is as it should be: drifted (another text is there than should be), in_sync (what '
  'should be there is, or what should not be is not), as the last observation saw it.';

CREATE VIEW public.v_iu_vector_pending AS
  SELECT CASE p.sync_status WHEN 'disabled' THEN 'delete' ELSE 'upsert' END AS action, p.collection_name, p.point_id,
         p.point_key, p.source_kind, p.source_path, p.unit_id, u.canonical_address, p.chunk_index, p.chunk_count,
         p.summary_marker, p.content_digest, p.axis_refs, p.updated_at
    FROM public.iu_vector_sync_point p
    JOIN public.iu_qdrant_collection_registry r ON r.collection_name = p.collection_name AND r.status <> 'retired'
    LEFT JOIN public.information_unit u ON u.id = p.unit_id
   WHERE p.sync_status IN ('planned', 'drift') OR p.sync_status = 'disabled' AND p.indexed_digest IS NOT NULL;
COMMENT ON VIEW public.v_iu_vector_pending IS
  'What an indexer has to do, one row a point: upsert it (its text is fn_iu_vector_text(point_key), and its payload '
  'takes unit_id, chunk_index, chunk_count, source_kind, source_path, content_digest and axis_refs from here), or '
  'delete it. It is pending until an observation has seen it done. Not of retired collections.';

-- Directus is told by hand what a table holds; views it does not serve.
CREATE VIEW public.v_ui_iu_directus_registration_envelope AS
  SELECT 'iu_three_axis_envelope' AS collection, a.attname::text AS field,
         row_number() OVER (ORDER BY a.attnum)::integer AS sort,
         CASE format_type(a.atttypid, NULL) WHEN 'uuid' THEN 'uuid' WHEN 'integer' THEN 'integer'
           WHEN 'jsonb' THEN 'json' WHEN 'timestamp with time zone' THEN 'timestamp' WHEN 'text' THEN 'text'
           ELSE 'unknown' END AS type,
         a.attname = 'unit_id' AS is_primary_key, true AS readonly,
         format_type(a.atttypid, NULL) NOT IN ('jsonb') AND a.attndims = 0 AS can_be_filtered,
         col_description(a.attrelid, a.attnum) AS note
    FROM pg_attribute a
   WHERE a.attrelid = to_regclass('public.iu_three_axis_envelope') AND a.attnum > 0 AND NOT a.attisdropped;
COMMENT ON VIEW public.v_ui_iu_directus_registration_envelope IS
  'The fields of the three-axis envelope as Directus registers them: collection, field, order, type, whether it is the '
  'primary key, that it is only read, whether Directus filters by it (not by json and arrays), what it means. No rows '
  'while there is no envelope.';
