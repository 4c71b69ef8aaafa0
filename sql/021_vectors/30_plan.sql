-- What should be there: the chunks of enacted texts. A chunk never spans two units.

CREATE FUNCTION iu.fn_iu_vector_chunks(p_body text, p_max_chars integer)
  RETURNS TABLE (chunk_index integer, chunk text)
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_rest   text := p_body;
  v_at_end integer;
BEGIN
  chunk_index := 0;
  -- A text that shows nothing has nothing to look for.
  WHILE btrim(v_rest, E' \t\r\n') <> '' LOOP
    chunk := left(v_rest, p_max_chars);
    IF octet_length(chunk) < octet_length(v_rest) THEN
      v_at_end := strpos(reverse(chunk), E'\n');
      chunk := CASE v_at_end WHEN 0 THEN chunk ELSE left(chunk, 1 - v_at_end) END;
      chunk := CASE chunk WHEN '' THEN left(v_rest, p_max_chars) ELSE chunk END;
    END IF;
    v_rest := substr(v_rest, length(chunk) + 1);
    RETURN NEXT;
    chunk_index := chunk_index + 1;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_chunks IS
  'The chunks of a text, in order, each with its number from 0 on: as many whole lines as fit into so many '
  'characters, a longer line cut. Put together they are the text, but for blanks at its end. A text of blanks has '
  'none. Arguments: text, characters (1 or more). Raises nothing.';

CREATE FUNCTION iu.fn_iu_vector_key(p_canonical_address text, p_chunk_index integer, p_collection text) RETURNS text
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_key CONSTANT text := format('iu.%s#chunk-%s', p_canonical_address, lpad(p_chunk_index::text,
    greatest(4, length(p_chunk_index::text)), '0'));
BEGIN
  RETURN v_key || CASE WHEN EXISTS (SELECT FROM public.iu_vector_sync_point p
                                     WHERE p.point_key = v_key AND p.collection_name <> p_collection)
                       THEN '@' || p_collection ELSE '' END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_key IS
  'For functions that pin its search_path: the key of a chunk: address, number, collection. Raises nothing.';

CREATE FUNCTION iu.fn_iu_vector_plan_of(p_collection text, p_max_chars integer, p_unit_id uuid)
  RETURNS TABLE (point_key text, unit_id uuid, chunk_index integer, chunk_count integer, content_digest text,
                 axis_refs jsonb)
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN QUERY
    SELECT iu.fn_iu_vector_key(u.canonical_address, c.chunk_index, p_collection), u.id, c.chunk_index,
           (count(*) OVER (PARTITION BY u.id))::integer, iu.fn_content_hash(c.chunk),
           jsonb_strip_nulls(jsonb_build_object('source_axis_ref', u.doc_code,
             'semantic_axis_ref', 'sectype:' || u.section_type, 'hierarchy_axis_ref', a.canonical_address))
      FROM public.information_unit u
      JOIN public.unit_version v ON v.id = u.version_anchor_ref
      LEFT JOIN public.information_unit a ON a.id = u.parent_or_container_ref
      CROSS JOIN LATERAL iu.fn_iu_vector_chunks(v.body, p_max_chars) AS c
     WHERE u.lifecycle_status = 'enacted' AND u.deleted_at IS NULL
       AND (p_unit_id IS NULL OR u.id = p_unit_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_plan_of IS
  'For functions that pin its search_path: the points that a collection should have of one enacted unit, or of all '
  '(NULL): collection, most characters of a chunk, unit. Raises nothing.';

CREATE FUNCTION iu.fn_iu_vector_plan(p_collection text, p_max_chars integer)
  RETURNS TABLE (point_key text, unit_id uuid, chunk_index integer, chunk_count integer, content_digest text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_require_value(p_max_chars BETWEEN 1 AND 1000000, 'iu_vector_max_chars', 'p_max_chars',
    'from 1 to 1000000', p_max_chars::text);
  IF NOT EXISTS (SELECT FROM public.v_iu_qdrant_collection_active r WHERE r.collection_name = p_collection) THEN
    RAISE undefined_object USING
      MESSAGE = format('collection %s is not registered, or retired', iu_core.text_shown(p_collection)),
      DETAIL = format('Collection: %s.', iu_core.text_shown(p_collection)),
      HINT = 'v_iu_qdrant_collection_active lists them.', CONSTRAINT = 'iu_qdrant_collection_unknown';
  END IF;
  RETURN QUERY
    SELECT p.point_key, p.unit_id, p.chunk_index, p.chunk_count, p.content_digest
      FROM iu.fn_iu_vector_plan_of(p_collection, p_max_chars, NULL) p;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_plan IS
  'What public.fn_iu_vector_plan hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_vector_plan(p_collection text, p_max_chars integer DEFAULT 1800)
  RETURNS TABLE (point_key text, unit_id uuid, chunk_index integer, chunk_count integer, content_digest text)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT p.point_key, p.unit_id, p.chunk_index, p.chunk_count, p.content_digest
    FROM iu.fn_iu_vector_plan(p_collection, p_max_chars) p
   WHERE iu_core.require_role('{iu_core_reader,iu_core_writer,iu_core_agent}');
END;
COMMENT ON FUNCTION public.fn_iu_vector_plan IS
  'The points that a collection should have of the texts that are enacted, one row a chunk: collection, most '
  'characters of a chunk (1800, with which the points of units are planned). A unit that is not enacted is not in it. '
  'SQLSTATE 42704: the collection is not registered, or retired; 23514: the number of characters.';

CREATE FUNCTION iu.fn_iu_vector_text(p_point_key text) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (SELECT c.chunk
            FROM public.iu_vector_sync_point p
            JOIN public.information_unit u ON u.id = p.unit_id AND u.lifecycle_status = 'enacted'
            JOIN public.unit_version v ON v.id = u.version_anchor_ref
            CROSS JOIN LATERAL iu.fn_iu_vector_chunks(v.body, 1800) AS c
           WHERE p.point_key = p_point_key AND c.chunk_index = p.chunk_index
             AND iu.fn_content_hash(c.chunk) = p.content_digest);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_text IS
  'What public.fn_iu_vector_text hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_vector_text(p_point_key text) RETURNS text
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_vector_text(p_point_key) END;
COMMENT ON FUNCTION public.fn_iu_vector_text IS
  'The text of which the vector of a point is to be made: key of the point. NULL where the enacted text of its unit '
  'has no such chunk with content_digest. Raises nothing of its own.';

-- ---- written as units are enacted

CREATE FUNCTION iu.fn_iu_vector_plan_unit(p_unit_id uuid, p_collection text, p_actor text) RETURNS void
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_namespace CONSTANT uuid := iu.fn_iu_vector_namespace();
BEGIN
  INSERT INTO public.iu_vector_sync_point AS p
      (point_key, collection_name, source_kind, source_path, content_digest, sync_status, unit_id, chunk_index,
       chunk_count, axis_refs, point_id, last_actor)
    SELECT n.point_key, p_collection, 'iu', 'information_unit/' || n.unit_id, n.content_digest, 'planned', n.unit_id,
           n.chunk_index, n.chunk_count, n.axis_refs, iu_core.uuid_v5(v_namespace, n.point_key), p_actor
      FROM iu.fn_iu_vector_plan_of(p_collection, 1800, p_unit_id) n
    ON CONFLICT (point_key) DO UPDATE
      SET content_digest = excluded.content_digest, chunk_count = excluded.chunk_count, sync_status = 'planned',
          axis_refs = excluded.axis_refs, updated_at = now(), last_actor = excluded.last_actor
      WHERE (p.content_digest, p.chunk_count, p.axis_refs)
            IS DISTINCT FROM (excluded.content_digest, excluded.chunk_count, excluded.axis_refs)
         OR p.sync_status IN ('disabled', 'dryrun');
  UPDATE public.iu_vector_sync_point p
     SET sync_status = 'disabled', updated_at = now(), last_actor = p_actor
   WHERE p.unit_id = p_unit_id AND p.collection_name = p_collection AND p.source_kind = 'iu'
     AND p.sync_status <> 'disabled'
     AND NOT EXISTS (SELECT FROM iu.fn_iu_vector_plan_of(p_collection, 1800, p_unit_id) n
                      WHERE n.chunk_index = p.chunk_index);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_plan_unit IS
  'For the trigger that plans, which pins its search_path: makes the points of a unit in a collection those of its '
  'enacted text, planned where something is new, and disabled where the text has no such chunk or is not enacted: '
  'unit, collection, actor. Errors: as fn_iu_vector_namespace.';

CREATE FUNCTION iu.fn_iu_vector_plan_trg() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_collection text;
BEGIN
  FOR v_collection IN
    SELECT r.collection_name FROM public.iu_qdrant_collection_registry r
     WHERE r.status IN ('planned', 'active') AND r.purpose = 'iu_core_per_iu_chunks'
     ORDER BY r.created_at, r.collection_name COLLATE "C"
  LOOP
    PERFORM iu.fn_iu_vector_plan_unit(NEW.unit_id, v_collection, NEW.performed_by);
  END LOOP;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_plan_trg IS
  'Row trigger of iu_lifecycle_log after INSERT: plans the points of the unit in every collection that is not retired '
  'and has purpose iu_core_per_iu_chunks, and disables them where it is not enacted any more. Errors: as '
  'fn_iu_vector_namespace.';

CREATE TRIGGER trg_iu_vector_plan
  AFTER INSERT ON public.iu_lifecycle_log
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_vector_plan_trg();
ALTER TABLE public.iu_lifecycle_log ENABLE ALWAYS TRIGGER trg_iu_vector_plan;
COMMENT ON TRIGGER trg_iu_vector_plan ON public.iu_lifecycle_log IS
  'Plans the points of a unit that is enacted, and disables those of one that is not any more.';
