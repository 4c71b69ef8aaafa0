-- What people read of the axes.

-- Axis C, by parents and not by the paths that are kept: what is on a cycle is
-- not in it.
CREATE VIEW public.v_iu_tree AS
  WITH RECURSIVE down AS (
    SELECT u.id, u.id AS root, ARRAY[u.id] AS ids, ARRAY[u.canonical_address] AS addresses
      FROM public.information_unit u WHERE u.parent_or_container_ref IS NULL
    UNION ALL
    SELECT u.id, d.root, d.ids || u.id, d.addresses || u.canonical_address
      FROM down d JOIN public.information_unit u ON u.parent_or_container_ref = d.id
     WHERE u.id <> ALL (d.ids)
  )
  SELECT u.id AS unit_id, u.canonical_address, u.title, u.parent_or_container_ref AS parent_id, d.root AS root_unit_id,
         cardinality(d.ids) - 1 AS depth, d.ids AS path_ids, d.addresses AS path_addresses,
         u.sort_order AS sibling_order, u.lifecycle_status, u.deleted_at
    FROM down d JOIN public.information_unit u ON u.id = d.id;
COMMENT ON VIEW public.v_iu_tree IS
  'The tree of units by their parents, one row a unit, deleted ones too: unit, address, title, parent, root, depth, '
  'path from the root as ids and as addresses, place among siblings, status. It reads all units; fn_iu_subtree reads '
  'a part.';

CREATE FUNCTION iu.fn_iu_subtree(p_unit_id uuid)
  RETURNS TABLE (unit_id uuid, canonical_address text, title text, parent_id uuid, depth integer,
                 path_addresses text[], sibling_order integer, lifecycle_status text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $function$
BEGIN
  RETURN QUERY
    WITH RECURSIVE down AS (
      SELECT u.id, ARRAY[u.id] AS ids, ARRAY[u.canonical_address] AS addresses,
             ARRAY[ROW(u.sort_order, u.canonical_address COLLATE "C")] AS place
        FROM public.information_unit u WHERE u.id = p_unit_id
      UNION ALL
      SELECT u.id, d.ids || u.id, d.addresses || u.canonical_address,
             d.place || ROW(u.sort_order, u.canonical_address COLLATE "C")
        FROM down d JOIN public.information_unit u ON u.parent_or_container_ref = d.id
       WHERE u.id <> ALL (d.ids)
    )
    SELECT u.id, u.canonical_address, u.title, u.parent_or_container_ref, cardinality(d.ids) - 1, d.addresses,
           u.sort_order, u.lifecycle_status
      FROM down d JOIN public.information_unit u ON u.id = d.id
     WHERE u.deleted_at IS NULL
     ORDER BY d.place;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_subtree IS
  'What public.fn_iu_subtree hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_subtree(p_unit_id uuid)
  RETURNS TABLE (unit_id uuid, canonical_address text, title text, parent_id uuid, depth integer,
                 path_addresses text[], sibling_order integer, lifecycle_status text)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_subtree(p_unit_id) WHERE iu_core.require_role('{iu_core_reader}');
END;
COMMENT ON FUNCTION public.fn_iu_subtree IS
  'A unit and all that is below it, by parents, as a tree is read: siblings by sort_order, then address. Unit, '
  'address, title, parent, depth below the unit given, path from it, place among siblings, status; deleted units are '
  'left out, and what is below them is not. No row: there is no such unit. Raises nothing of its own.';

-- Axis A: documents in their order.
CREATE VIEW public.v_iu_source_outline AS
  SELECT u.doc_code, u.sort_order,
         u.sort_order - lag(u.sort_order) OVER (
           PARTITION BY u.doc_code ORDER BY u.sort_order, u.canonical_address COLLATE "C") AS sort_order_step,
         u.section_type, u.section_code, u.canonical_address, u.title, u.lifecycle_status, u.id AS unit_id
    FROM public.information_unit u
   WHERE u.doc_code IS NOT NULL AND u.deleted_at IS NULL;
COMMENT ON VIEW public.v_iu_source_outline IS
  'The units of documents in their order: document, place, step from the unit before (NULL: the first; anything but 1 '
  'is a gap or a duplicate), section type and code, address, title, status, unit.';

CREATE FUNCTION iu.fn_iu_reconstruct_source(p_doc_code text)
  RETURNS TABLE (sort_order integer, gap_before boolean, section_type text, section_code text, canonical_address text,
                 title text, body text, lifecycle_status text, unit_id uuid)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN QUERY
    SELECT u.sort_order,
           coalesce(u.sort_order - lag(u.sort_order) OVER (ORDER BY u.sort_order, u.canonical_address COLLATE "C") <> 1,
                    false),
           u.section_type, u.section_code, u.canonical_address, u.title, v.body, u.lifecycle_status, u.id
      FROM public.information_unit u
      LEFT JOIN public.unit_version v ON v.id = u.version_anchor_ref
     WHERE u.doc_code = p_doc_code AND u.deleted_at IS NULL
     ORDER BY u.sort_order, u.canonical_address COLLATE "C";
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_reconstruct_source IS
  'What public.fn_iu_reconstruct_source hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_reconstruct_source(p_doc_code text)
  RETURNS TABLE (sort_order integer, gap_before boolean, section_type text, section_code text, canonical_address text,
                 title text, body text, lifecycle_status text, unit_id uuid)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_reconstruct_source(p_doc_code) WHERE iu_core.require_role('{iu_core_reader}');
END;
COMMENT ON FUNCTION public.fn_iu_reconstruct_source IS
  'The text of a document: its units in order, each with the text that counts, and gap_before where the place of the '
  'unit before is not the one just below (a gap or a duplicate). No row: there is no such document. Raises nothing of '
  'its own.';

CREATE VIEW public.v_iu_content_group AS
  SELECT o.doc_code, count(*) AS units, count(*) FILTER (WHERE o.lifecycle_status = 'enacted') AS enacted,
         count(*) FILTER (WHERE o.lifecycle_status = 'draft') AS drafts, min(o.sort_order) AS first_place,
         max(o.sort_order) AS last_place, count(*) FILTER (WHERE o.sort_order_step > 1) AS gaps,
         count(*) FILTER (WHERE o.sort_order_step = 0) AS duplicates
    FROM public.v_iu_source_outline o
   GROUP BY o.doc_code;
COMMENT ON VIEW public.v_iu_content_group IS
  'The documents, one row each: document, units, how many are enacted and drafts, first and last place, gaps, '
  'duplicates.';

-- All three axes of a unit, with the paths that are kept.
CREATE VIEW public.v_iu_metadata_envelope AS
  SELECT u.id AS unit_id, u.canonical_address, u.unit_kind, u.lifecycle_status, u.doc_code, u.sort_order,
         u.section_type, u.section_code, t.tags, p.root_unit_id, p.parent_id, p.depth, p.path_addresses
    FROM public.information_unit u
    LEFT JOIN public.iu_tree_path p ON p.unit_id = u.id
    CROSS JOIN LATERAL (
      SELECT coalesce(array_agg(x.tag_key ORDER BY x.tag_key COLLATE "C"), '{}') AS tags
        FROM (SELECT DISTINCT y.tag_key FROM public.iu_metadata_tag y WHERE y.unit_id = u.id) AS x) AS t
   WHERE u.deleted_at IS NULL;
COMMENT ON VIEW public.v_iu_metadata_envelope IS
  'What each unit is found by, one row a unit: document and place (axis A), tags in order (axis B), root, parent, '
  'depth and path (axis C, as iu_tree_path has it).';

CREATE VIEW public.v_iu_unit AS
  SELECT u.canonical_address AS address, u.doc_code AS document, u.sort_order AS position, u.title,
         u.lifecycle_status AS status, array_to_string(p.path_addresses, ' > ') AS path, t.tags,
         r.canonical_address AS parent, v.version_seq AS version,
         CASE WHEN n.id <> u.version_anchor_ref THEN n.version_seq END AS pending_version,
         date_trunc('second', u.updated_at) AS updated_at, u.updated_by, u.id AS unit_id
    FROM public.information_unit u
    LEFT JOIN public.iu_tree_path p ON p.unit_id = u.id
    LEFT JOIN public.information_unit r ON r.id = u.parent_or_container_ref
    LEFT JOIN public.unit_version v ON v.id = u.version_anchor_ref
    LEFT JOIN LATERAL (SELECT x.id, x.version_seq FROM public.unit_version x WHERE x.unit_id = u.id
                        ORDER BY x.version_seq DESC LIMIT 1) AS n ON true
    CROSS JOIN LATERAL (
      SELECT string_agg(x.tag_key, ', ' ORDER BY x.tag_key COLLATE "C") AS tags
        FROM (SELECT DISTINCT y.tag_key FROM public.iu_metadata_tag y WHERE y.unit_id = u.id) AS x) AS t
   WHERE u.deleted_at IS NULL;
COMMENT ON VIEW public.v_iu_unit IS
  'The units for people, one row each: address, document and position in it, title, status, path from the root, tags, '
  'parent, the version that counts, a newer one that waits to be enacted, when and by whom it was changed last.';

CREATE FUNCTION iu.fn_iu_filter_axis_b(p_tag_keys text[])
  RETURNS TABLE (unit_id uuid, canonical_address text, title text, lifecycle_status text, tag_keys text[])
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN QUERY
    SELECT u.id, u.canonical_address, u.title, u.lifecycle_status,
           (SELECT array_agg(x.tag_key ORDER BY x.tag_key COLLATE "C")
              FROM (SELECT DISTINCT y.tag_key FROM public.iu_metadata_tag y WHERE y.unit_id = u.id) AS x)
      FROM (SELECT t.unit_id FROM public.iu_metadata_tag t WHERE t.tag_key = ANY (p_tag_keys)
             GROUP BY t.unit_id
            HAVING count(DISTINCT t.tag_key) = (SELECT count(DISTINCT k.key) FROM unnest(p_tag_keys) AS k (key))) AS f
      JOIN public.information_unit u ON u.id = f.unit_id AND u.deleted_at IS NULL
     ORDER BY u.canonical_address COLLATE "C";
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_filter_axis_b IS
  'What public.fn_iu_filter_axis_b hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_filter_axis_b(p_tag_keys text[])
  RETURNS TABLE (unit_id uuid, canonical_address text, title text, lifecycle_status text, tag_keys text[])
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_filter_axis_b(p_tag_keys) WHERE iu_core.require_role('{iu_core_reader}');
END;
COMMENT ON FUNCTION public.fn_iu_filter_axis_b IS
  'The units that have all of these tags, from whatever source, with all the tags that they have, by address. No row '
  'for an empty list or NULL. Raises nothing of its own.';
