-- Whether a collection is as it should be.

CREATE VIEW public.v_iu_collection_health AS
  SELECT c.id AS collection_id, c.collection_key, c.lifecycle_status, coalesce(m.pieces, 0) AS piece_count,
         coalesce(m.pieces = m.last + 1 AND m.first = 0, true) AS order_contiguous,
         coalesce(m.deleted, 0) AS pieces_deleted, coalesce(m.retired, 0) AS pieces_retired,
         (c.manifest_digest IS NULL) = (m.pieces IS NULL) AS digest_present,
         coalesce(m.pieces = m.last + 1 AND m.first = 0 AND m.deleted = 0 AND c.manifest_digest IS NOT NULL, false)
           AS ok
    FROM public.iu_piece_collection c
    LEFT JOIN (SELECT x.collection_id, count(*) AS pieces, min(x.piece_order) AS first, max(x.piece_order) AS last,
                      count(*) FILTER (WHERE u.deleted_at IS NOT NULL) AS deleted,
                      count(*) FILTER (WHERE u.lifecycle_status IN ('superseded', 'retired', 'deprecated')) AS retired
                 FROM public.iu_piece_membership x JOIN public.information_unit u ON u.id = x.iu_id
                WHERE x.membership_status = 'active' GROUP BY x.collection_id) AS m ON m.collection_id = c.id
   WHERE c.deleted_at IS NULL;
COMMENT ON VIEW public.v_iu_collection_health IS
  'One row for each collection that is not deleted: how many pieces, whether their order has no gap, how many are '
  'deleted or out of use (superseded, retired, deprecated), whether there is a digest where there are pieces, and ok: '
  'it has pieces, in order, none deleted, and a digest. It does not compute digests: invariant iu.collection_digest '
  'does.';

CREATE FUNCTION iu.fn_iu_collection_problems(p_collection_id uuid) RETURNS text[]
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_health   public.v_iu_collection_health;
  v_digest   text;
  v_problems text[] := '{}';
  v_retired  text;
BEGIN
  SELECT h.* INTO v_health FROM public.v_iu_collection_health h WHERE h.collection_id = p_collection_id;
  IF NOT FOUND THEN
    RETURN ARRAY['there is no such collection'];
  ELSIF v_health.piece_count = 0 THEN
    v_problems := array_append(v_problems, 'the collection is empty');
  END IF;
  IF v_health.pieces_deleted > 0 THEN
    v_problems := array_append(v_problems,
      format('%s active piece(s) are soft-deleted', v_health.pieces_deleted));
  END IF;
  IF NOT v_health.order_contiguous THEN
    v_problems := array_append(v_problems, 'the order of the pieces has gaps, or does not begin at 0'::text);
  END IF;
  SELECT c.manifest_digest INTO v_digest FROM public.iu_piece_collection c WHERE c.id = p_collection_id;
  IF v_digest IS DISTINCT FROM iu.fn_iu_collection_digest(p_collection_id) THEN
    v_problems := array_append(v_problems, 'the stored digest is not that of the order'::text);
  END IF;
  IF v_health.pieces_retired > 0 THEN
    SELECT string_agg(format('%s (%s)', x.canonical_address, x.lifecycle_status), ', ' ORDER BY x.piece_order)
      INTO v_retired
      FROM (SELECT m.piece_order, u.canonical_address, u.lifecycle_status
              FROM public.iu_piece_membership m JOIN public.information_unit u ON u.id = m.iu_id
             WHERE m.collection_id = p_collection_id AND m.membership_status = 'active'
               AND u.lifecycle_status IN ('superseded', 'retired', 'deprecated')
             ORDER BY m.piece_order LIMIT 20) AS x;
    v_problems := array_append(v_problems,
      format('%s piece(s) are out of use: %s', v_health.pieces_retired, v_retired));
  END IF;
  RETURN v_problems;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_problems IS
  'For functions that pin its search_path: what is wrong with a collection, in words; {}: nothing.';

CREATE FUNCTION iu.fn_iu_collection_validate(p_collection_id uuid) RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problems CONSTANT text[] := iu.fn_iu_collection_problems(p_collection_id);
BEGIN
  RETURN jsonb_build_object('ok', cardinality(v_problems) = 0, 'problems', to_jsonb(v_problems));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_validate IS
  'What public.fn_iu_collection_validate hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_validate(p_collection_id uuid) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_validate(p_collection_id) END;
COMMENT ON FUNCTION public.fn_iu_collection_validate IS
  'Whether a collection is as it should be: {ok, problems: [text]}: there is no such collection; it is empty; pieces '
  'are soft-deleted; the order has gaps; the stored digest is another one than that of the order; pieces are '
  'superseded, retired or deprecated, the first 20 by their addresses. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_collection_manifest_refresh(p_collection_id uuid) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_digest text;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_collection_manifest_refresh');
  PERFORM FROM public.iu_piece_collection c
    WHERE c.id = p_collection_id AND c.deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_collection_missing(p_collection_id);
  END IF;
  v_digest := iu.fn_iu_collection_digest(p_collection_id);
  UPDATE public.iu_piece_collection c SET manifest_digest = v_digest
   WHERE c.id = p_collection_id AND c.manifest_digest IS DISTINCT FROM v_digest;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_piece_collection c
             WHERE c.id = p_collection_id AND c.manifest_digest IS NOT DISTINCT FROM v_digest),
    'public.iu_piece_collection', 'storing the digest');
  RETURN jsonb_build_object('ok', true, 'piece_count', iu.fn_iu_piece_count(p_collection_id),
    'manifest_digest', v_digest);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_manifest_refresh IS
  'What public.fn_iu_collection_manifest_refresh hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_manifest_refresh(p_collection_id uuid) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_manifest_refresh(p_collection_id) END;
COMMENT ON FUNCTION public.fn_iu_collection_manifest_refresh IS
  'Computes the digest of a collection anew and stores it where it differs; no gate is asked, since the order stays '
  'as it is. Returns {ok: true, piece_count, manifest_digest}. SQLSTATE P0002: no such collection; 25000: another '
  'isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_corpus_healthcheck() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $function$
BEGIN
  RETURN (
    SELECT jsonb_build_object('ok', count(*) FILTER (WHERE NOT h.ok AND (h.piece_count > 0
                                                      OR h.lifecycle_status = 'active')) = 0,
             'collections', count(*), 'pieces', coalesce(sum(h.piece_count), 0),
             'empty', count(*) FILTER (WHERE h.piece_count = 0),
             'with_gaps', count(*) FILTER (WHERE NOT h.order_contiguous),
             'with_deleted_pieces', count(*) FILTER (WHERE h.pieces_deleted > 0),
             'with_pieces_out_of_use', count(*) FILTER (WHERE h.pieces_retired > 0),
             'without_digest', count(*) FILTER (WHERE NOT h.digest_present),
             'first_problems', coalesce((
               SELECT jsonb_agg(x.collection_key ORDER BY x.collection_key COLLATE "C")
                 FROM (SELECT y.collection_key FROM public.v_iu_collection_health y
                        WHERE NOT y.ok AND (y.piece_count > 0 OR y.lifecycle_status = 'active')
                        ORDER BY y.collection_key COLLATE "C" LIMIT 20) AS x), '[]'))
      FROM public.v_iu_collection_health h);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_corpus_healthcheck IS
  'What public.fn_iu_corpus_healthcheck hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_corpus_healthcheck() RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN iu.fn_iu_corpus_healthcheck() END;
COMMENT ON FUNCTION public.fn_iu_corpus_healthcheck IS
  'All collections in one look: {ok, collections, pieces, empty, with_gaps, with_deleted_pieces, '
  'with_pieces_out_of_use, without_digest, first_problems: keys of up to 20}. An empty collection is a problem only '
  'while it is active. Digests are compared by invariant iu.collection_digest. Raises nothing of its own.';
