-- Recording a point from outside: a summary, a rehearsal, what an older tool planned.
-- Whoever records says what should be there, never that it is there.

CREATE FUNCTION iu.fn_iu_vector_record_check(p_point public.iu_vector_sync_point) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN CASE
    WHEN iu_core.text_problem(p_point.point_key, true) IS NOT NULL OR octet_length(p_point.point_key) > 1000
      THEN iu.fn_iu_invalid('point_key', p_point.point_key, 'a key of up to 1000 bytes in one line')
    WHEN (p_point.source_kind IN ('iu', 'collection', 'corpus')) IS NOT TRUE
      THEN iu.fn_iu_invalid('source_kind', p_point.source_kind, 'iu, collection or corpus')
    WHEN iu_core.text_problem(p_point.source_path, true) IS NOT NULL
      THEN iu.fn_iu_invalid('source_path', p_point.source_path, 'where the text comes from')
    WHEN p_point.content_digest !~ '^[0-9a-f]{64}$'
      THEN iu.fn_iu_invalid('content_digest', p_point.content_digest, 'a SHA-256 in hex, or NULL')
    WHEN (p_point.sync_status IN ('planned', 'dryrun', 'indexed', 'drift', 'disabled')) IS NOT TRUE
      THEN iu.fn_iu_invalid('sync_status', p_point.sync_status, 'planned, dryrun, drift or disabled')
    WHEN (p_point.point_count BETWEEN 0 AND 1000000) IS NOT TRUE
      THEN iu.fn_iu_invalid('point_count', p_point.point_count::text, 'from 0 to 1000000')
    WHEN iu_core.text_problem(p_point.last_actor, false) IS NOT NULL
      THEN iu.fn_iu_invalid('actor', p_point.last_actor, 'who does it, in up to 200 characters')
    WHEN jsonb_typeof(p_point.axis_refs) IS DISTINCT FROM 'object' OR NOT iu.fn_iu_json_fits(p_point.axis_refs, 262144)
      THEN iu.fn_iu_invalid('axis_refs', CASE jsonb_typeof(p_point.axis_refs) WHEN 'object' THEN 'a longer one'
        ELSE jsonb_typeof(p_point.axis_refs) END, 'an object of up to 262144 bytes')
    WHEN p_point.sync_status = 'indexed'
      THEN iu.fn_iu_answer('vector_gate_closed', 'sync_status', format(
        'Nobody records a point as indexed: gate iu_core.vector_sync_enabled is NEVER-FLIP, and %s. An observation of '
        'the collection says so.', CASE WHEN public.fn_iu_vector_sync_enabled() THEN 'open' ELSE 'closed' END),
        'fn_iu_vector_sync_observe') END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_record_check IS
  'For the functions that record points, which pin its search_path: the refusals invalid_input and vector_gate_closed '
  'of a point as it is to be recorded, or NULL.';

-- What a chunk is of, and where it is to be.
CREATE FUNCTION iu.fn_iu_vector_record_place(p_point public.iu_vector_sync_point, p_other text) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  IF NOT EXISTS (SELECT FROM public.v_iu_qdrant_collection_active r
                  WHERE r.collection_name = p_point.collection_name) THEN
    RETURN iu.fn_iu_qdrant_collection_unknown('collection_name', p_point.collection_name);
  ELSIF p_other <> p_point.collection_name THEN
    RETURN iu.fn_iu_answer('invalid_input', 'point_key',
      format('The key is one of a point of collection %s.', iu_core.text_shown(p_other)), 'give_another_key');
  ELSIF p_point.source_kind = 'iu' AND p_point.sync_status <> 'disabled'
        AND NOT EXISTS (SELECT FROM public.information_unit u
                         WHERE u.id = p_point.unit_id AND u.lifecycle_status = 'enacted' AND u.deleted_at IS NULL) THEN
    RETURN iu.fn_iu_answer('unit_not_enacted', 'unit_id', 'Only texts that are enacted have points.', 'fn_iu_enact');
  ELSIF EXISTS (SELECT FROM public.iu_vector_sync_point p
                 WHERE p.collection_name = p_point.collection_name AND p.unit_id = p_point.unit_id
                   AND p.source_kind = 'iu' AND p.chunk_index = p_point.chunk_index
                   AND p.point_key <> p_point.point_key) THEN
    RETURN iu.fn_iu_answer('invalid_input', 'chunk_index',
      format('Chunk %s of the unit has a point under another key.', p_point.chunk_index), 'correct_the_argument');
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_record_place IS
  'For the functions that record points, which pin its search_path: the refusals that have to do with its collection, '
  'its unit and other points, or NULL. Arguments: the point, the collection that the key is of already, or NULL.';

CREATE FUNCTION iu.fn_iu_vector_record(p_point public.iu_vector_sync_point) RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_before  public.iu_vector_sync_point;
  v_refusal jsonb;
  v_id      uuid;
BEGIN
  PERFORM iu_core.named_lock('iu_vector_record:' || p_point.point_key);
  SELECT p.* INTO v_before FROM public.iu_vector_sync_point p WHERE p.point_key = p_point.point_key FOR UPDATE;
  v_refusal := iu.fn_iu_vector_record_place(p_point, v_before.collection_name);
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  v_id := coalesce(v_before.point_id, iu_core.uuid_v5(iu.fn_iu_vector_namespace(), p_point.point_key));
  IF v_before.point_key IS NULL THEN
    INSERT INTO public.iu_vector_sync_point
        (point_key, collection_name, source_kind, source_path, content_digest, sync_status, point_count, unit_id,
         chunk_index, chunk_count, summary_marker, axis_refs, point_id, last_actor)
      VALUES (p_point.point_key, p_point.collection_name, p_point.source_kind, p_point.source_path,
              p_point.content_digest, p_point.sync_status, p_point.point_count, p_point.unit_id, p_point.chunk_index,
              p_point.chunk_count, p_point.summary_marker, p_point.axis_refs, v_id, p_point.last_actor);
  ELSIF (v_before.source_kind, v_before.source_path, v_before.content_digest, v_before.point_count, v_before.unit_id,
         v_before.chunk_index, v_before.chunk_count, v_before.summary_marker, v_before.axis_refs)
        IS NOT DISTINCT FROM
        (p_point.source_kind, p_point.source_path, p_point.content_digest, p_point.point_count, p_point.unit_id,
         p_point.chunk_index, p_point.chunk_count, p_point.summary_marker, p_point.axis_refs)
        AND (v_before.sync_status = p_point.sync_status
             OR p_point.sync_status = 'planned' AND v_before.sync_status IN ('indexed', 'drift')) THEN
    -- What is planned again as it is planned already loses nothing of what was observed.
    RETURN jsonb_build_object('status', 'unchanged', 'point_key', p_point.point_key, 'point_id', v_id,
      'sync_status', v_before.sync_status);
  ELSE
    UPDATE public.iu_vector_sync_point p
       SET source_kind = p_point.source_kind, source_path = p_point.source_path,
           content_digest = p_point.content_digest, sync_status = p_point.sync_status,
           point_count = p_point.point_count, unit_id = p_point.unit_id, chunk_index = p_point.chunk_index,
           chunk_count = p_point.chunk_count, summary_marker = p_point.summary_marker, axis_refs = p_point.axis_refs,
           updated_at = now(), last_actor = p_point.last_actor
     WHERE p.point_key = p_point.point_key;
  END IF;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_vector_sync_point p
             WHERE p.point_key = p_point.point_key AND p.sync_status = p_point.sync_status
               AND p.content_digest IS NOT DISTINCT FROM p_point.content_digest),
    'public.iu_vector_sync_point', 'recording the point');
  RETURN jsonb_build_object('status', 'recorded', 'point_key', p_point.point_key, 'point_id', v_id,
    'sync_status', p_point.sync_status);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_record IS
  'For the functions that record points, which pin its search_path: writes a point of which nothing but its place is '
  'left to be checked. Of the argument everything counts but created_at, updated_at, observed_at, indexed_digest, '
  'parent_piece_id and point_id.';

CREATE FUNCTION iu.fn_iu_vector_sync_record_v2(
    p_point_key text, p_source_kind text, p_source_path text, p_content_digest text, p_sync_status text,
    p_point_count integer, p_actor text, p_collection_name text, p_unit_id uuid, p_chunk_index integer,
    p_chunk_count integer, p_summary_marker boolean, p_axis_refs jsonb)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_point   public.iu_vector_sync_point;
  v_refusal jsonb;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_vector_sync_record_v2');
  v_point.point_key := p_point_key;
  v_point.source_kind := p_source_kind;
  v_point.source_path := p_source_path;
  v_point.content_digest := p_content_digest;
  v_point.sync_status := p_sync_status;
  v_point.point_count := p_point_count;
  v_point.last_actor := p_actor;
  v_point.collection_name := p_collection_name;
  v_point.unit_id := p_unit_id;
  v_point.chunk_index := p_chunk_index;
  v_point.chunk_count := p_chunk_count;
  v_point.summary_marker := p_summary_marker;
  v_point.axis_refs := p_axis_refs;
  v_refusal := iu.fn_iu_vector_record_check(v_point);
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  ELSIF (CASE p_source_kind
           WHEN 'iu' THEN p_unit_id IS NOT NULL AND NOT p_summary_marker
                          AND p_chunk_index BETWEEN 0 AND p_chunk_count - 1
           ELSE p_unit_id IS NULL AND p_summary_marker END) IS NOT TRUE THEN
    RAISE check_violation USING
      MESSAGE = format('point "%s" crosses the boundary of a unit', p_point_key),
      DETAIL = format('Source kind: %s; unit: %s; chunk %s of %s; summary: %s.', p_source_kind,
        coalesce(p_unit_id::text, 'none'), coalesce(p_chunk_index::text, 'none'),
        coalesce(p_chunk_count::text, 'none'), coalesce(p_summary_marker::text, 'NULL')),
      HINT = 'A point of kind iu is a chunk of one unit, with its number below the number of chunks; one of kind '
             'collection or corpus is a summary, of no unit.',
      CONSTRAINT = 'iu_vector_sync_point_boundary_chk', TABLE = 'iu_vector_sync_point';
  END IF;
  RETURN iu.fn_iu_vector_record(v_point);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_sync_record_v2 IS
  'What public.fn_iu_vector_sync_record_v2 hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_vector_sync_record_v2(
    p_point_key text, p_source_kind text, p_source_path text, p_content_digest text, p_sync_status text,
    p_point_count integer, p_actor text, p_collection_name text, p_unit_id uuid DEFAULT NULL,
    p_chunk_index integer DEFAULT NULL, p_chunk_count integer DEFAULT NULL, p_summary_marker boolean DEFAULT false,
    p_axis_refs jsonb DEFAULT '{}')
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_vector_sync_record_v2(p_point_key, p_source_kind, p_source_path, p_content_digest, p_sync_status,
    p_point_count, p_actor, p_collection_name, p_unit_id, p_chunk_index, p_chunk_count, p_summary_marker,
    p_axis_refs) END;
COMMENT ON FUNCTION public.fn_iu_vector_sync_record_v2 IS
  'Records a point that a collection should have: key, kind (iu, collection, corpus), where its text comes from, '
  'SHA-256 of the text, status (planned, dryrun, drift, disabled), how many points, who, collection; of a chunk its '
  'unit, number and how many there are; of a summary the marker; what its payload says of the axes. Returns {status: '
  'recorded | unchanged, point_key, point_id, sync_status}; planned again for the same text is unchanged. Refusals '
  '{status, field, guidance, next_action}: invalid_input (point_key, source_kind, source_path, content_digest, '
  'sync_status, point_count, actor, axis_refs, chunk_index), vector_gate_closed (status indexed, which is observed, '
  'never recorded), collection_not_registered, unit_not_enacted. SQLSTATE 23514: the point crosses the boundary of a '
  'unit; 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_vector_sync_record(
    p_point_key text, p_source_kind text, p_source_path text, p_content_digest text, p_sync_status text,
    p_point_count integer, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_point public.iu_vector_sync_point;
BEGIN
  SELECT p.* INTO v_point FROM public.iu_vector_sync_point p WHERE p.point_key = p_point_key;
  IF v_point.point_key IS NULL AND p_source_kind = 'iu' AND p_sync_status <> 'indexed' THEN
    RETURN iu.fn_iu_answer('invalid_input', 'source_kind',
      'A new point of a unit is recorded with its unit and the number of its chunk.', 'fn_iu_vector_sync_record_v2');
  END IF;
  RETURN iu.fn_iu_vector_sync_record_v2(p_point_key, p_source_kind, p_source_path, p_content_digest, p_sync_status,
    p_point_count, p_actor,
    coalesce(v_point.collection_name, (SELECT r.collection_name FROM public.v_iu_qdrant_collection_active r
                                        ORDER BY r.created_at, r.collection_name COLLATE "C" LIMIT 1)),
    v_point.unit_id, v_point.chunk_index, v_point.chunk_count, p_source_kind IS DISTINCT FROM 'iu',
    coalesce(v_point.axis_refs, '{}'));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_sync_record IS
  'What public.fn_iu_vector_sync_record hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_vector_sync_record(
    p_point_key text, p_source_kind text, p_source_path text, p_content_digest text, p_sync_status text,
    p_point_count integer, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_vector_sync_record(p_point_key, p_source_kind, p_source_path, p_content_digest, p_sync_status,
    p_point_count, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_vector_sync_record IS
  'As fn_iu_vector_sync_record_v2 for a point that is there, whose unit and chunk stay, or for a new summary in the '
  'collection that was registered first. A new point of a unit is invalid_input (source_kind).';
