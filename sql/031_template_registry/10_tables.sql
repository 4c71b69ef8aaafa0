-- 031 template registry: which collections are templates, and which collections were
-- made after which template. An instance has the same pieces as its template; what
-- it shares with it is told by two digests that are equal or not.

CREATE TABLE public.iu_collection_template_registry (
  collection_id  uuid NOT NULL,
  is_template    boolean NOT NULL DEFAULT true,
  template_label text NOT NULL,
  template_doc   text,
  registered_by  text NOT NULL,
  registered_at  timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_collection_template_registry_pkey PRIMARY KEY (collection_id),
  CONSTRAINT iu_collection_template_registry_collection_id_fkey FOREIGN KEY (collection_id)
    REFERENCES public.iu_piece_collection (id) ON DELETE RESTRICT,
  CONSTRAINT iu_collection_template_registry_label_chk CHECK (btrim(template_label) <> '')
);
COMMENT ON TABLE public.iu_collection_template_registry IS
  'The collections that are templates, one row each, written by fn_iu_collection_mark_as_template. Any collection may '
  'be one.';
COMMENT ON COLUMN public.iu_collection_template_registry.collection_id IS 'The collection';
COMMENT ON COLUMN public.iu_collection_template_registry.is_template IS
  'Whether it is one; false reads as if there were no row';
COMMENT ON COLUMN public.iu_collection_template_registry.template_label IS 'What people read in a list of templates';
COMMENT ON COLUMN public.iu_collection_template_registry.template_doc IS
  'What it is good for, in up to 64 kB; NULL: not said';
COMMENT ON COLUMN public.iu_collection_template_registry.registered_by IS
  'Who registered it or changed its label, as told by the caller';
COMMENT ON COLUMN public.iu_collection_template_registry.registered_at IS
  'Start of the transaction that registered it or changed its label';

CREATE TABLE public.iu_collection_template_instance_lineage (
  instance_collection_id uuid NOT NULL,
  template_collection_id uuid NOT NULL,
  instantiated_by        text NOT NULL,
  instantiated_at        timestamptz NOT NULL DEFAULT now(),
  instance_note          text,
  CONSTRAINT iu_collection_template_instance_lineage_pkey PRIMARY KEY (instance_collection_id),
  CONSTRAINT iu_collection_template_instance_lineage_instance_fkey FOREIGN KEY (instance_collection_id)
    REFERENCES public.iu_piece_collection (id) ON DELETE RESTRICT,
  CONSTRAINT iu_collection_template_instance_lineage_template_fkey FOREIGN KEY (template_collection_id)
    REFERENCES public.iu_piece_collection (id) ON DELETE RESTRICT,
  CONSTRAINT iu_template_lineage_self_not_allowed CHECK (instance_collection_id <> template_collection_id)
);
CREATE INDEX iu_collection_template_instance_lineage_template_idx
  ON public.iu_collection_template_instance_lineage (template_collection_id);
COMMENT ON TABLE public.iu_collection_template_instance_lineage IS
  'Which collection was made after which template, one row an instance, written by '
  'fn_iu_collection_record_template_instance and by auto-instantiation.';
COMMENT ON COLUMN public.iu_collection_template_instance_lineage.instance_collection_id IS 'The instance';
COMMENT ON COLUMN public.iu_collection_template_instance_lineage.template_collection_id IS 'The template';
COMMENT ON COLUMN public.iu_collection_template_instance_lineage.instantiated_by IS
  'Who made the instance, as told by the caller';
COMMENT ON COLUMN public.iu_collection_template_instance_lineage.instantiated_at IS
  'Start of the transaction that recorded it';
COMMENT ON COLUMN public.iu_collection_template_instance_lineage.instance_note IS 'What for; NULL: not said';
COMMENT ON INDEX public.iu_collection_template_instance_lineage_template_idx IS 'The instances of a template.';

CREATE TRIGGER trg_aa_iu_template_registry_guard
  BEFORE INSERT OR UPDATE OR DELETE ON public.iu_collection_template_registry
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_composer_guard();
CREATE TRIGGER trg_aa_iu_template_registry_truncate_guard
  BEFORE TRUNCATE ON public.iu_collection_template_registry
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_composer_guard();
CREATE TRIGGER trg_aa_iu_template_lineage_guard
  BEFORE INSERT OR UPDATE OR DELETE ON public.iu_collection_template_instance_lineage
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_composer_guard();
CREATE TRIGGER trg_aa_iu_template_lineage_truncate_guard
  BEFORE TRUNCATE ON public.iu_collection_template_instance_lineage
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_composer_guard();
ALTER TABLE public.iu_collection_template_registry
  ENABLE ALWAYS TRIGGER trg_aa_iu_template_registry_guard,
  ENABLE ALWAYS TRIGGER trg_aa_iu_template_registry_truncate_guard;
ALTER TABLE public.iu_collection_template_instance_lineage
  ENABLE ALWAYS TRIGGER trg_aa_iu_template_lineage_guard,
  ENABLE ALWAYS TRIGGER trg_aa_iu_template_lineage_truncate_guard;
COMMENT ON TRIGGER trg_aa_iu_template_registry_guard ON public.iu_collection_template_registry IS
  'Refuses writes that are no function''s of ours (42501).';
COMMENT ON TRIGGER trg_aa_iu_template_registry_truncate_guard ON public.iu_collection_template_registry IS
  'Refuses TRUNCATE (42501).';
COMMENT ON TRIGGER trg_aa_iu_template_lineage_guard ON public.iu_collection_template_instance_lineage IS
  'Refuses writes that are no function''s of ours (42501).';
COMMENT ON TRIGGER trg_aa_iu_template_lineage_truncate_guard ON public.iu_collection_template_instance_lineage IS
  'Refuses TRUNCATE (42501).';
