-- The same rows as v_ui_iu_three_axis_envelope in two other forms: made for all
-- units at once, and for some of them at once.
--
-- For all, tags are read in one pass, and the tree from its roots downwards. For
-- some, their tags are read by their keys, and the tree upwards from each of them.
-- In both, keys_by_group makes the lists, since two levels of grouping for each of
-- the two lists cost more than everything else together.

CREATE VIEW iu.v_iu_three_axis_rows AS
  WITH RECURSIVE down (id, address, ids, addresses) AS (
    SELECT u.id, u.canonical_address, '{}'::uuid[], '{}'::text[]
      FROM public.information_unit u WHERE u.parent_or_container_ref IS NULL
    UNION ALL
    -- Of more than 64 units above, those that are nearest.
    SELECT u.id, u.canonical_address,
           array_append(CASE WHEN cardinality(d.ids) < 64 THEN d.ids ELSE d.ids[2:] END, d.id),
           array_append(CASE WHEN cardinality(d.ids) < 64 THEN d.addresses ELSE d.addresses[2:] END, d.address)
      FROM down d JOIN public.information_unit u ON u.parent_or_container_ref = d.id
  ), tagged AS (
    SELECT t.unit_id, iu_core.keys_by_group(array_agg(r.tag_kind), array_agg(t.tag_key)) AS tags,
           iu_core.keys_by_group(array_agg(t.enrichment_source), array_agg(t.tag_key)) AS tags_by_source
      FROM public.iu_metadata_tag t LEFT JOIN public.iu_metadata_tag_registry r ON r.tag_key = t.tag_key
     GROUP BY t.unit_id
  ), unreached AS MATERIALIZED (
    -- On a circle, or below one: no way leads there from a root. Each other unit was reached once.
    SELECT u.id FROM public.information_unit u
     WHERE (SELECT count(*) FROM down d) < (SELECT count(*) FROM public.information_unit a)
       AND u.deleted_at IS NULL AND NOT EXISTS (SELECT FROM down d WHERE d.id = u.id)
  )
  SELECT u.id AS unit_id, u.canonical_address, u.unit_kind, u.section_type, u.lifecycle_status,
         u.doc_code AS axis_a_doc_code, u.sort_order AS axis_a_sort_order, u.section_code AS axis_a_section_code,
         coalesce(g.tags, '{}'::jsonb) AS axis_b_tags, coalesce(g.tags_by_source, '{}'::jsonb) AS axis_b_tags_by_source,
         u.parent_or_container_ref AS axis_c_parent_id, cardinality(d.ids) AS axis_c_depth,
         d.ids AS axis_c_ancestors, d.addresses AS axis_c_ancestor_addresses, u.created_at, u.updated_at
    FROM public.information_unit u
    JOIN down d ON d.id = u.id
    LEFT JOIN tagged g ON g.unit_id = u.id
   WHERE u.deleted_at IS NULL
  UNION ALL
  SELECT v.* FROM public.v_ui_iu_three_axis_envelope v
   WHERE v.unit_id = ANY (ARRAY(SELECT n.id FROM unreached n));
COMMENT ON VIEW iu.v_iu_three_axis_rows IS
  'The rows of v_ui_iu_three_axis_envelope, computed for all units at once. Columns as there.';

CREATE FUNCTION iu.fn_iu_three_axis_envelope_rows() RETURNS SETOF public.v_ui_iu_three_axis_envelope
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT * FROM iu.v_iu_three_axis_rows;
END;
COMMENT ON FUNCTION iu.fn_iu_three_axis_envelope_rows IS
  'All rows of v_ui_iu_three_axis_envelope, computed for all units at once; for some units there is '
  'fn_iu_three_axis_envelope_rows_of. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_three_axis_envelope_rows_of(p_unit_ids uuid[])
  RETURNS SETOF public.v_ui_iu_three_axis_envelope
  LANGUAGE plpgsql STABLE ROWS 100
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN QUERY
    WITH RECURSIVE wanted AS MATERIALIZED (
      SELECT u.* FROM public.information_unit u WHERE u.id = ANY (p_unit_ids) AND u.deleted_at IS NULL
    ), up (unit_id, step, id, address, next, seen) AS (
      SELECT w.id, 1, p.id, p.canonical_address, p.parent_or_container_ref, ARRAY[w.id, p.id]
        FROM wanted w JOIN public.information_unit p ON p.id = w.parent_or_container_ref
      UNION ALL
      SELECT a.unit_id, a.step + 1, p.id, p.canonical_address, p.parent_or_container_ref, array_append(a.seen, p.id)
        FROM up a JOIN public.information_unit p ON p.id = a.next
       WHERE a.step < 64 AND p.id <> ALL (a.seen)
    ), above AS (
      SELECT a.unit_id, array_agg(a.id ORDER BY a.step DESC) AS ids,
             array_agg(a.address ORDER BY a.step DESC) AS addresses
        FROM up a GROUP BY a.unit_id
    ), tagged AS (
      SELECT t.unit_id, iu_core.keys_by_group(array_agg(r.tag_kind), array_agg(t.tag_key)) AS tags,
             iu_core.keys_by_group(array_agg(t.enrichment_source), array_agg(t.tag_key)) AS tags_by_source
        FROM public.iu_metadata_tag t LEFT JOIN public.iu_metadata_tag_registry r ON r.tag_key = t.tag_key
       WHERE t.unit_id = ANY (p_unit_ids)
       GROUP BY t.unit_id
    )
    SELECT w.id, w.canonical_address, w.unit_kind, w.section_type, w.lifecycle_status, w.doc_code, w.sort_order,
           w.section_code, coalesce(g.tags, '{}'::jsonb), coalesce(g.tags_by_source, '{}'::jsonb),
           w.parent_or_container_ref, coalesce(cardinality(a.ids), 0), coalesce(a.ids, '{}'::uuid[]),
           coalesce(a.addresses, '{}'::text[]), w.created_at, w.updated_at
      FROM wanted w LEFT JOIN above a ON a.unit_id = w.id LEFT JOIN tagged g ON g.unit_id = w.id;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_three_axis_envelope_rows_of IS
  'The rows that v_ui_iu_three_axis_envelope has for these units, each once, computed for them at once. Raises nothing '
  'of its own.';

GRANT SELECT ON public.v_ui_iu_three_axis_envelope TO iu_core_reader;
