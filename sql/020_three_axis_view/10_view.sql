-- 020 three-axis view: every living unit in one row, with its place in a document
-- (axis A), its tags (axis B) and the units above it (axis C), without its text.
--
-- The units above come from parent_or_container_ref and not from iu_tree_path: so
-- a path that is stale cannot hide. Lists are sorted, since a list in the order of
-- a plan would make two equal rows differ.

-- Both lists are made for each unit by itself, so that whoever asks for some units
-- pays for those.
CREATE VIEW public.v_ui_iu_three_axis_envelope AS
  SELECT u.id AS unit_id, u.canonical_address, u.unit_kind, u.section_type, u.lifecycle_status,
         u.doc_code AS axis_a_doc_code, u.sort_order AS axis_a_sort_order, u.section_code AS axis_a_section_code,
         b.tags AS axis_b_tags, b.tags_by_source AS axis_b_tags_by_source,
         u.parent_or_container_ref AS axis_c_parent_id, cardinality(c.ids) AS axis_c_depth,
         c.ids AS axis_c_ancestors, c.addresses AS axis_c_ancestor_addresses, u.created_at, u.updated_at
    FROM public.information_unit u
    CROSS JOIN LATERAL (
      SELECT coalesce((SELECT jsonb_object_agg(k.tag_kind, k.keys)
                         FROM (SELECT r.tag_kind, jsonb_agg(DISTINCT t.tag_key COLLATE "C"
                                                            ORDER BY t.tag_key COLLATE "C") AS keys
                                 FROM public.iu_metadata_tag t
                                 JOIN public.iu_metadata_tag_registry r ON r.tag_key = t.tag_key
                                WHERE t.unit_id = u.id GROUP BY r.tag_kind) AS k), '{}'::jsonb) AS tags,
             coalesce((SELECT jsonb_object_agg(s.enrichment_source, s.keys)
                         FROM (SELECT t.enrichment_source, jsonb_agg(t.tag_key COLLATE "C"
                                                                     ORDER BY t.tag_key COLLATE "C") AS keys
                                 FROM public.iu_metadata_tag t
                                WHERE t.unit_id = u.id GROUP BY t.enrichment_source) AS s),
                      '{}'::jsonb) AS tags_by_source) AS b
    CROSS JOIN LATERAL (
      WITH RECURSIVE up (step, id, address, next, seen) AS (
        SELECT 1, p.id, p.canonical_address, p.parent_or_container_ref, ARRAY[u.id, p.id]
          FROM public.information_unit p WHERE p.id = u.parent_or_container_ref
        UNION ALL
        SELECT a.step + 1, p.id, p.canonical_address, p.parent_or_container_ref, array_append(a.seen, p.id)
          FROM up a JOIN public.information_unit p ON p.id = a.next
         WHERE a.step < 64 AND p.id <> ALL (a.seen))
      SELECT coalesce(array_agg(a.id ORDER BY a.step DESC), '{}'::uuid[]) AS ids,
             coalesce(array_agg(a.address ORDER BY a.step DESC), '{}'::text[]) AS addresses
        FROM up a) AS c
   WHERE u.deleted_at IS NULL;
COMMENT ON VIEW public.v_ui_iu_three_axis_envelope IS
  'Every unit that is not deleted, in whatever status, with what it is found by: place in its document (axis_a), tags '
  '(axis_b) and the units above it (axis_c). Without its text. Computed from the units and their tags at each '
  'reading; iu_three_axis_envelope keeps its rows. Some units by their unit_id cost what those units cost.';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.unit_id IS 'The unit';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.canonical_address IS 'Its address';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.unit_kind IS 'Its kind';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.section_type IS 'The type of its section';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.lifecycle_status IS
  'draft, enacted, superseded, retired or deprecated';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.axis_a_doc_code IS 'The document that it is a part of';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.axis_a_sort_order IS 'Its place in the document';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.axis_a_section_code IS 'Number or mark of the section';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.axis_b_tags IS
  'Its tags by kind, {tag_kind: [tag_key, ...]}, each list sorted by bytes, whatever their source; {}: it has none';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.axis_b_tags_by_source IS
  'Its tags by source, {enrichment_source: [tag_key, ...]}, each list sorted by bytes; {}: it has none';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.axis_c_parent_id IS 'The unit that it is part of; NULL: a root';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.axis_c_depth IS
  'How many units are above it, at most 64: the cardinality of axis_c_ancestors';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.axis_c_ancestors IS
  'The units above it, the outermost first, without itself; of more than 64 those that are nearest. On a circle each '
  'unit once';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.axis_c_ancestor_addresses IS 'Their addresses, in the same order';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.created_at IS 'Since when the unit is there';
COMMENT ON COLUMN public.v_ui_iu_three_axis_envelope.updated_at IS 'When the unit was changed last';
