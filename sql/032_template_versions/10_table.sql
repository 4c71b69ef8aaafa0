-- 032 template versions: templates of one family follow each other. A version is a
-- template of its own; what is made after it does not change when the next one comes.

CREATE TABLE public.iu_collection_template_version (
  collection_id          uuid NOT NULL,
  template_family        text NOT NULL,
  version_label          text NOT NULL,
  version_seq            integer NOT NULL,
  previous_collection_id uuid,
  version_status         text NOT NULL DEFAULT 'current',
  registered_by          text NOT NULL,
  registered_at          timestamptz NOT NULL DEFAULT now(),
  retired_at             timestamptz,
  retire_reason          text,
  CONSTRAINT iu_collection_template_version_pkey PRIMARY KEY (collection_id),
  CONSTRAINT iu_collection_template_version_collection_id_fkey FOREIGN KEY (collection_id)
    REFERENCES public.iu_piece_collection (id) ON DELETE RESTRICT,
  CONSTRAINT iu_collection_template_version_previous_fkey FOREIGN KEY (previous_collection_id)
    REFERENCES public.iu_piece_collection (id) ON DELETE RESTRICT,
  CONSTRAINT iu_collection_template_version_template_family_version_seq_key UNIQUE (template_family, version_seq),
  CONSTRAINT iu_collection_template_version_family_chk CHECK (btrim(template_family) <> ''),
  CONSTRAINT iu_collection_template_version_label_chk CHECK (btrim(version_label) <> ''),
  CONSTRAINT iu_collection_template_version_seq_chk CHECK (version_seq >= 1),
  CONSTRAINT iu_collection_template_version_previous_chk CHECK (previous_collection_id <> collection_id),
  CONSTRAINT iu_collection_template_version_status_chk CHECK (version_status IN ('current', 'superseded', 'retired')),
  CONSTRAINT iu_collection_template_version_registered_by_chk CHECK (btrim(registered_by) <> ''),
  CONSTRAINT iu_collection_template_version_retired_chk CHECK (
    (version_status = 'retired') = (retired_at IS NOT NULL) AND (retired_at IS NULL) = (retire_reason IS NULL))
);
CREATE INDEX iu_collection_template_version_previous_idx
  ON public.iu_collection_template_version (previous_collection_id);
CREATE UNIQUE INDEX iu_collection_template_version_current_key
  ON public.iu_collection_template_version (template_family) WHERE version_status = 'current';
COMMENT ON TABLE public.iu_collection_template_version IS
  'Which template is which version of a family, one row each, written by fn_iu_collection_register_template_version '
  'and fn_iu_collection_retire_template_version. At most one version of a family is current.';
COMMENT ON COLUMN public.iu_collection_template_version.collection_id IS 'The template';
COMMENT ON COLUMN public.iu_collection_template_version.template_family IS
  'What its versions have in common, e.g. tpl:file:status-report';
COMMENT ON COLUMN public.iu_collection_template_version.version_label IS 'What people call the version, e.g. v2';
COMMENT ON COLUMN public.iu_collection_template_version.version_seq IS
  'Order of the versions in their family, from 1 on; gaps are allowed';
COMMENT ON COLUMN public.iu_collection_template_version.previous_collection_id IS
  'The version that it took the place of; NULL: none';
COMMENT ON COLUMN public.iu_collection_template_version.version_status IS 'current, superseded or retired';
COMMENT ON COLUMN public.iu_collection_template_version.registered_by IS 'Who registered it, as told by the caller';
COMMENT ON COLUMN public.iu_collection_template_version.registered_at IS 'Start of the transaction that registered it';
COMMENT ON COLUMN public.iu_collection_template_version.retired_at IS 'When it was retired; NULL: it was not';
COMMENT ON COLUMN public.iu_collection_template_version.retire_reason IS 'Why it was retired';
COMMENT ON INDEX public.iu_collection_template_version_previous_idx IS 'Which version took the place of another one.';
COMMENT ON INDEX public.iu_collection_template_version_current_key IS 'At most one current version a family.';

CREATE TRIGGER trg_aa_iu_template_version_guard
  BEFORE INSERT OR UPDATE OR DELETE ON public.iu_collection_template_version
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_composer_guard();
CREATE TRIGGER trg_aa_iu_template_version_truncate_guard
  BEFORE TRUNCATE ON public.iu_collection_template_version
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_composer_guard();
ALTER TABLE public.iu_collection_template_version
  ENABLE ALWAYS TRIGGER trg_aa_iu_template_version_guard,
  ENABLE ALWAYS TRIGGER trg_aa_iu_template_version_truncate_guard;
COMMENT ON TRIGGER trg_aa_iu_template_version_guard ON public.iu_collection_template_version IS
  'Refuses writes that are no function''s of ours (42501).';
COMMENT ON TRIGGER trg_aa_iu_template_version_truncate_guard ON public.iu_collection_template_version IS
  'Refuses TRUNCATE (42501).';

CREATE FUNCTION iu.fn_iu_template_has_version(p_collection_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (SELECT format('it is version %s of family %s', v.version_label, v.template_family)
            FROM public.iu_collection_template_version v WHERE v.collection_id = p_collection_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_template_has_version IS
  'At the point iu.fn_iu_template_in_use: which version a template is, in words, or NULL.';
SELECT iu.fn_iu_hook_add(32, 'iu.fn_iu_template_in_use(uuid)', 'iu.fn_iu_template_has_version(uuid)');
