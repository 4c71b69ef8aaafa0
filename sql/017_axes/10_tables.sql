-- 017 axes: what a unit is found by. Axis A is its place in a document (columns
-- of information_unit), axis B its tags, axis C the tree of units, whose truth is
-- parent_or_container_ref and whose paths are kept here by triggers.

CREATE TABLE public.iu_metadata_tag_registry (
  tag_key       text NOT NULL,
  tag_kind      text NOT NULL,
  label         text NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT now(),
  registered_by text NOT NULL,
  CONSTRAINT iu_metadata_tag_registry_pkey PRIMARY KEY (tag_key),
  CONSTRAINT iu_metadata_tag_registry_tag_key_chk
    CHECK (length(tag_key) >= 1 AND length(tag_key) <= 200 AND tag_key = btrim(tag_key)),
  CONSTRAINT iu_metadata_tag_registry_tag_kind_chk CHECK (btrim(tag_kind) <> ''),
  CONSTRAINT iu_metadata_tag_registry_label_chk CHECK (btrim(label) <> '')
);
COMMENT ON TABLE public.iu_metadata_tag_registry IS
  'The tags that units may have, one row a key. Written by fn_iu_tag_register, and by fn_iu_metadata_refresh for the '
  'tags that follow from a unit''s kind, section and document.';
COMMENT ON COLUMN public.iu_metadata_tag_registry.tag_key IS
  'E.g. topic:architecture, doc:DIEU-28; 1 to 200 characters, no blanks at the ends';
COMMENT ON COLUMN public.iu_metadata_tag_registry.tag_kind IS
  'unit_kind, section_type, legal_document, document, or a kind of the platform''s own, such as topic';
COMMENT ON COLUMN public.iu_metadata_tag_registry.label IS 'What people read';
COMMENT ON COLUMN public.iu_metadata_tag_registry.registered_at IS 'Start of the transaction that registered it';
COMMENT ON COLUMN public.iu_metadata_tag_registry.registered_by IS 'Who registered it, as told by the caller';

CREATE TABLE public.iu_metadata_tag (
  id                bigint GENERATED ALWAYS AS IDENTITY,
  unit_id           uuid NOT NULL,
  tag_key           text NOT NULL,
  enrichment_source text NOT NULL,
  confidence        numeric,
  assigned_at       timestamptz NOT NULL DEFAULT now(),
  assigned_by       text NOT NULL,
  CONSTRAINT iu_metadata_tag_pkey PRIMARY KEY (id),
  CONSTRAINT iu_metadata_tag_unit_id_tag_key_enrichment_source_key UNIQUE (unit_id, tag_key, enrichment_source),
  CONSTRAINT iu_metadata_tag_unit_id_fkey FOREIGN KEY (unit_id)
    REFERENCES public.information_unit (id) ON DELETE CASCADE,
  CONSTRAINT iu_metadata_tag_tag_key_fkey FOREIGN KEY (tag_key)
    REFERENCES public.iu_metadata_tag_registry (tag_key),
  CONSTRAINT iu_metadata_tag_enrichment_source_chk
    CHECK (enrichment_source IN ('derived', 'confirmed', 'inferred', 'proposed')),
  CONSTRAINT iu_metadata_tag_confidence_chk CHECK (confidence BETWEEN 0 AND 1)
);
CREATE INDEX iu_metadata_tag_tag_key_idx ON public.iu_metadata_tag (tag_key);
COMMENT ON TABLE public.iu_metadata_tag IS
  'Which unit has which tag, and from what: one row for each unit, tag and source. Written by fn_iu_tag_set, '
  'fn_iu_tag_unset and fn_iu_metadata_refresh. The gateway guard does not watch it: a tag is no text.';
COMMENT ON COLUMN public.iu_metadata_tag.id IS 'Number of the row';
COMMENT ON COLUMN public.iu_metadata_tag.unit_id IS 'The unit; its tags go with it';
COMMENT ON COLUMN public.iu_metadata_tag.tag_key IS 'The tag';
COMMENT ON COLUMN public.iu_metadata_tag.enrichment_source IS
  'derived (from the unit''s own columns), confirmed (by a person), inferred or proposed (by a program)';
COMMENT ON COLUMN public.iu_metadata_tag.confidence IS 'How sure the source is, 0 to 1; NULL: it does not say';
COMMENT ON COLUMN public.iu_metadata_tag.assigned_at IS 'When it was assigned';
COMMENT ON COLUMN public.iu_metadata_tag.assigned_by IS 'Who assigned it, as told by the caller';

CREATE TABLE public.iu_tree_path (
  unit_id        uuid NOT NULL,
  root_unit_id   uuid NOT NULL,
  parent_id      uuid,
  depth          integer NOT NULL,
  path_ids       uuid[] NOT NULL,
  path_addresses text[] NOT NULL,
  sibling_order  integer,
  path_hash      text NOT NULL,
  valid_from     timestamptz NOT NULL DEFAULT now(),
  valid_to       timestamptz,
  CONSTRAINT iu_tree_path_pkey PRIMARY KEY (unit_id),
  CONSTRAINT iu_tree_path_path_hash_key UNIQUE (path_hash),
  CONSTRAINT iu_tree_path_unit_id_fkey FOREIGN KEY (unit_id)
    REFERENCES public.information_unit (id) ON DELETE CASCADE,
  CONSTRAINT iu_tree_path_depth_chk CHECK (depth >= 0),
  CONSTRAINT iu_tree_path_parent_chk CHECK ((depth = 0) = (parent_id IS NULL)),
  CONSTRAINT iu_tree_path_length_chk CHECK (array_length(path_ids, 1) = depth + 1),
  CONSTRAINT iu_tree_path_addresses_chk CHECK (array_length(path_ids, 1) = array_length(path_addresses, 1)),
  CONSTRAINT iu_tree_path_root_chk CHECK (path_ids[1] = root_unit_id),
  CONSTRAINT iu_tree_path_unit_chk CHECK (path_ids[array_length(path_ids, 1)] = unit_id),
  CONSTRAINT iu_tree_path_self_chk CHECK (unit_id <> parent_id)
);
CREATE INDEX iu_tree_path_path_ids_idx ON public.iu_tree_path USING gin (path_ids);
COMMENT ON TABLE public.iu_tree_path IS
  'The path of each unit from its root, one row a unit: a cache that triggers on information_unit keep and '
  'fn_iu_tree_path_refresh builds anew. The truth is parent_or_container_ref.';
COMMENT ON COLUMN public.iu_tree_path.unit_id IS 'The unit; its path goes with it';
COMMENT ON COLUMN public.iu_tree_path.root_unit_id IS 'The first of the path';
COMMENT ON COLUMN public.iu_tree_path.parent_id IS 'The last but one of the path; NULL: the unit is a root';
COMMENT ON COLUMN public.iu_tree_path.depth IS 'How many units are above it';
COMMENT ON COLUMN public.iu_tree_path.path_ids IS 'The units from the root to the unit itself';
COMMENT ON COLUMN public.iu_tree_path.path_addresses IS 'Their addresses, in the same order';
COMMENT ON COLUMN public.iu_tree_path.sibling_order IS
  'sort_order of the unit; siblings are ordered by it, then by address';
COMMENT ON COLUMN public.iu_tree_path.path_hash IS 'SHA-256 in hex of the ids of the path joined with "/"';
COMMENT ON COLUMN public.iu_tree_path.valid_from IS 'Start of the transaction that wrote the path';
COMMENT ON COLUMN public.iu_tree_path.valid_to IS
  'NULL: the path is the one of now; kept for those who read older ones';
