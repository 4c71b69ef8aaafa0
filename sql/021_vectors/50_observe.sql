-- Observing: what a collection of Qdrant has is read through a foreign table, as the
-- one who asks, and compared with what it should have. The rows of that table cannot
-- be handed in: the function that writes reads them itself, and nothing in them runs
-- with rights.

-- It is looked at before it is read, and again while its lock is held.
CREATE FUNCTION iu.fn_iu_points_table_problem(p_points regclass, p_collection text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_resource   text;
  v_collection text;
BEGIN
  SELECT (SELECT o.option_value FROM pg_options_to_table(t.ftoptions) o WHERE o.option_name = 'resource'),
         (SELECT o.option_value FROM pg_options_to_table(t.ftoptions) o WHERE o.option_name = 'collection')
    INTO v_resource, v_collection
    FROM pg_class c
    JOIN pg_foreign_table t ON t.ftrelid = c.oid
    JOIN pg_foreign_server s ON s.oid = t.ftserver
    JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
   WHERE c.oid = p_points AND c.relkind = 'f' AND w.fdwhandler = 'iu_core.qdrant_fdw_handler()'::regprocedure;
  RETURN CASE
    WHEN NOT FOUND THEN 'a foreign table of qdrant_fdw'
    WHEN v_resource IS DISTINCT FROM 'points' THEN 'a foreign table of qdrant_fdw with resource points'
    WHEN (SELECT count(*) FROM pg_attribute a
           WHERE a.attrelid = p_points AND NOT a.attisdropped AND a.attgenerated = '' AND a.attfdwoptions IS NULL
             AND (a.attname, a.atttypid) IN (('id', 'text'::regtype), ('payload', 'jsonb'::regtype))) <> 2
      THEN 'one with the columns id text and payload jsonb'
    WHEN v_collection <> p_collection THEN format('one of collection %s', p_collection)
    WHEN v_collection IS NULL
         AND NOT EXISTS (SELECT FROM pg_attribute a
                          WHERE a.attrelid = p_points AND NOT a.attisdropped AND a.attgenerated = ''
                            AND a.attname = 'collection' AND a.atttypid = 'text'::regtype)
      THEN 'one with the option collection, or with the column collection text'
    WHEN has_table_privilege(iu_core.caller(), p_points, 'SELECT') IS NOT TRUE THEN 'one that you may read' END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_points_table_problem IS
  'What a table must be, in words, whose rows are to be the points of a collection, where this one is not; otherwise '
  'NULL. Arguments: table, collection. Raises nothing.';

CREATE FUNCTION iu.fn_iu_points_name(p_points regclass) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT format('%I.%I', n.nspname, c.relname)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = p_points);
COMMENT ON FUNCTION iu.fn_iu_points_name IS
  'The name of a table with its schema, whoever may look into that; NULL: there is none. Raises nothing.';

CREATE FUNCTION iu.fn_iu_points_query(p_points regclass, p_collection text, p_ids uuid[]) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN format('SELECT jsonb_agg(jsonb_build_object(''id'', p.id, ''digest'', '
              'coalesce(p.payload ->> ''content_digest'', ''''))) FROM ONLY %s AS p',
              iu.fn_iu_points_name(p_points))
  || CASE WHEN EXISTS (SELECT FROM pg_foreign_table t, pg_options_to_table(t.ftoptions) o
                        WHERE t.ftrelid = p_points AND o.option_name = 'collection')
          THEN ' WHERE true' ELSE format(' WHERE p.collection = %L', p_collection) END
  || CASE WHEN p_ids IS NULL THEN '' ELSE format(' AND p.id = ANY (%L::text[])', p_ids) END;
COMMENT ON FUNCTION iu.fn_iu_points_query IS
  'The query for points of a collection with their digests, as an array of {id, digest}: table, collection, ids or '
  'NULL for all. Raises nothing.';

CREATE FUNCTION iu.fn_iu_points_read(p_points regclass, p_collection text, p_ids uuid[]) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_name  CONSTANT text := iu.fn_iu_points_name(p_points);
  v_found jsonb;
BEGIN
  IF p_ids = '{}' THEN
    RETURN '[]';
  END IF;
  v_found := coalesce(iu_core.read_for_caller(iu.fn_iu_points_query(p_points, p_collection, p_ids)), '[]');
  -- What was read has the name still, since it is locked now. Where the table has it too, they are one.
  IF iu.fn_iu_points_name(p_points) IS DISTINCT FROM v_name
     OR iu.fn_iu_points_table_problem(p_points, p_collection) IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('table %s was changed while it was read', v_name),
      DETAIL = format('Table: %s; now: %s.', v_name, coalesce(iu.fn_iu_points_name(p_points), 'none')),
      HINT = 'Observe again.', CONSTRAINT = 'iu_vector_points_changed';
  END IF;
  RETURN v_found;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_points_read IS
  'For fn_iu_vector_sync_observe: reads points as who acts: table, collection, ids or NULL for all. An array of {id, '
  'digest}, "" where the payload has no content_digest. SQLSTATE 55000: the table became another one meanwhile; and '
  'what the foreign table raises.';

-- Which of our rows an observation is of, in the order of their ids.
CREATE FUNCTION iu.fn_iu_vector_scope(p_collection text, p_unit_ids uuid[], p_after uuid, p_limit integer)
  RETURNS uuid[]
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN ARRAY(
    SELECT p.point_id FROM public.iu_vector_sync_point p
     WHERE p.collection_name = p_collection AND (p_unit_ids IS NULL OR p.unit_id = ANY (p_unit_ids))
       AND (p_after IS NULL OR p.point_id > p_after)
     ORDER BY p.point_id LIMIT p_limit);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_scope IS
  'For fn_iu_vector_sync_observe, which pins its search_path: ids of points in order: collection, units or NULL, after '
  'which id, how many at most. Raises nothing.';

CREATE FUNCTION iu.fn_iu_vector_observe_check(
    p_collection text, p_points regclass, p_actor text, p_dry_run boolean, p_unit_ids uuid[], p_limit integer)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN CASE
    WHEN p_collection IS NULL OR NOT EXISTS (SELECT FROM public.iu_qdrant_collection_registry r
                                              WHERE r.collection_name = p_collection)
      THEN iu.fn_iu_qdrant_collection_unknown('collection', p_collection)
    WHEN p_points IS NULL THEN iu.fn_iu_invalid('points', NULL, 'a foreign table of qdrant_fdw')
    WHEN iu.fn_iu_points_table_problem(p_points, p_collection) IS NOT NULL
      THEN iu.fn_iu_invalid('points', p_points::text, iu.fn_iu_points_table_problem(p_points, p_collection))
    WHEN iu_core.text_problem(p_actor, false) IS NOT NULL
      THEN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters')
    WHEN p_dry_run IS NULL THEN iu.fn_iu_invalid('dry_run', NULL, 'true or false')
    WHEN cardinality(p_unit_ids) > 10000
      THEN iu.fn_iu_invalid('unit_ids', cardinality(p_unit_ids)::text || ' units', 'up to 10000 units, or NULL')
    WHEN p_limit NOT BETWEEN 1 AND 100000
      THEN iu.fn_iu_invalid('limit', p_limit::text, 'from 1 to 100000, or NULL') END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_observe_check IS
  'For fn_iu_vector_sync_observe, which pins its search_path: the refusal of its arguments, or NULL.';

-- The rows are locked before they are compared, so that what they should have is what
-- it is now, whatever was planned while the remote was asked.
CREATE FUNCTION iu.fn_iu_vector_compare(p_collection text, p_ids uuid[], p_found jsonb)
  RETURNS TABLE (point_key text, sync_status text, indexed_digest text, differs boolean)
  LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM FROM public.iu_vector_sync_point p
   WHERE p.collection_name = p_collection AND (p_ids IS NULL OR p.point_id = ANY (p_ids))
   ORDER BY p.point_key FOR NO KEY UPDATE;
  RETURN QUERY
    WITH found AS MATERIALIZED (
      SELECT DISTINCT ON (f.id) f.id, f.digest FROM jsonb_to_recordset(p_found) AS f (id text, digest text)
    ), now AS (
      SELECT p.point_key, p.sync_status AS before, p.indexed_digest AS digest_before, f.digest,
             CASE WHEN p.sync_status = 'disabled' THEN 'disabled'
                  WHEN f.digest IS NULL THEN CASE p.sync_status WHEN 'dryrun' THEN 'dryrun' ELSE 'planned' END
                  WHEN f.digest = p.content_digest THEN 'indexed'
                  ELSE 'drift' END AS after
        FROM public.iu_vector_sync_point p LEFT JOIN found f ON f.id = p.point_id::text
       WHERE p.collection_name = p_collection AND (p_ids IS NULL OR p.point_id = ANY (p_ids))
    )
    SELECT n.point_key, n.after, n.digest, (n.before, n.digest_before) IS DISTINCT FROM (n.after, n.digest)
      FROM now n;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_compare IS
  'For fn_iu_vector_sync_observe, which pins its search_path: locks points of a collection, and says of each what it '
  'is now, which digest was found (NULL: none), and whether that is another answer than before. Arguments: '
  'collection, ids or NULL for all, what was found as [{id, digest}].';

CREATE FUNCTION iu.fn_iu_vector_sync_observe(
    p_collection text, p_points regclass, p_actor text, p_dry_run boolean, p_unit_ids uuid[], p_after uuid,
    p_limit integer)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_vector_sync_observe'
AS $function$
DECLARE
  v_whole   CONSTANT boolean := p_unit_ids IS NULL AND p_after IS NULL AND p_limit IS NULL;
  v_ids     uuid[];
  v_found   jsonb;
  v_answer  jsonb;
  v_orphans text[];
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_vector_sync_observe');
  v_answer := iu.fn_iu_vector_observe_check(p_collection, p_points, p_actor, p_dry_run, p_unit_ids, p_limit);
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  -- Of two observations of one collection the later reading is written later.
  PERFORM iu_core.named_lock('iu_vector_observe:' || p_collection);
  IF NOT v_whole THEN
    v_ids := iu.fn_iu_vector_scope(p_collection, p_unit_ids, p_after, p_limit);
  END IF;
  v_found := iu.fn_iu_points_read(p_points, p_collection, v_ids);
  WITH now AS MATERIALIZED (
    SELECT c.* FROM iu.fn_iu_vector_compare(p_collection, v_ids, v_found) c
  ), written AS (
    UPDATE public.iu_vector_sync_point p
       SET sync_status = n.sync_status, indexed_digest = n.indexed_digest, observed_at = clock_timestamp(),
           updated_at = now(), last_actor = p_actor
      FROM now n WHERE n.point_key = p.point_key AND n.differs AND NOT p_dry_run
    RETURNING p.point_key
  )
  SELECT jsonb_build_object('status', CASE WHEN p_dry_run THEN 'would_observe' ELSE 'observed' END,
           'points', count(n.indexed_digest), 'indexed', count(*) FILTER (WHERE n.sync_status = 'indexed'),
           'drift', count(*) FILTER (WHERE n.sync_status = 'drift'),
           'missing', count(*) FILTER (WHERE n.sync_status IN ('planned', 'dryrun')),
           'to_delete', count(*) FILTER (WHERE n.sync_status = 'disabled' AND n.indexed_digest IS NOT NULL),
           'written', (SELECT count(*) FROM written))
    INTO v_answer FROM now n;
  IF v_whole THEN
    v_orphans := ARRAY(SELECT f.id FROM jsonb_to_recordset(v_found) AS f (id text, digest text)
                        WHERE NOT EXISTS (SELECT FROM public.iu_vector_sync_point p
                                           WHERE p.collection_name = p_collection AND p.point_id::text = f.id)
                        ORDER BY f.id COLLATE "C");
  END IF;
  IF NOT p_dry_run THEN
    UPDATE public.iu_qdrant_collection_registry r SET status = 'active', updated_at = now()
     WHERE r.collection_name = p_collection AND r.status = 'planned';
  END IF;
  RETURN v_answer || jsonb_build_object('orphans', to_jsonb(v_orphans[1:20]), 'orphan_count', cardinality(v_orphans),
    'next_after', CASE WHEN cardinality(v_ids) = p_limit THEN v_ids[p_limit] END);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_sync_observe IS
  'What public.fn_iu_vector_sync_observe hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_vector_sync_observe(
    p_collection text, p_points regclass, p_actor text, p_dry_run boolean DEFAULT true,
    p_unit_ids uuid[] DEFAULT NULL, p_after uuid DEFAULT NULL, p_limit integer DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent,iu_core_operator}') THEN
  iu.fn_iu_vector_sync_observe(p_collection, p_points, p_actor, p_dry_run, p_unit_ids, p_after, p_limit) END;
COMMENT ON FUNCTION public.fn_iu_vector_sync_observe IS
  'Compares the points that a collection should have with those that it has: collection, foreign table of its points '
  '(of qdrant_fdw, resource points, with the columns id text and payload jsonb; read as who acts), who, whether only '
  'to look (true); the units whose points are looked at by id; or a range, after which point_id and how many; or '
  'neither: the whole collection in one reading. A point whose payload has content_digest as it should be is indexed, '
  'one with another is drift, one that is not there planned. Nothing is written to Qdrant, and only rows with another '
  'answer than before are written here. Returns {status: observed (would_observe of a dry run), points: found, '
  'indexed, drift, missing, to_delete (there, and should not be), written, orphans: the first 20 ids of points that no '
  'row knows, orphan_count (null but for a whole collection), next_after: where the next range begins, or null}. '
  'Refusals {status, field, guidance, next_action}: collection_not_registered, invalid_input (points, actor, dry_run, '
  'unit_ids, limit). SQLSTATE 25000: another isolation level than READ COMMITTED; 55000: the table became another one; '
  'and those of foreign tables, after which nothing has changed.';
