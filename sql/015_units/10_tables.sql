-- 015 units: the unit, its versions, its birth, and the drafts of its edits.
--
-- A unit is a piece of text under an address that never changes its meaning. Its
-- text lies in versions, and the unit points at the one that counts by two
-- anchors: the id of the version and the digest of its text. Units are written by
-- canonical functions only; whatever else writes is stopped by a guard.

CREATE TABLE public.information_unit (
  id                      uuid NOT NULL DEFAULT gen_random_uuid(),
  canonical_address       text NOT NULL,
  unit_kind               text NOT NULL,
  lifecycle_status        text NOT NULL DEFAULT 'draft',
  content_anchor_ref      text,
  version_anchor_ref      uuid,
  owner_ref               text NOT NULL,
  parent_or_container_ref uuid,
  conformance_status      text NOT NULL DEFAULT 'open',
  identity_profile        jsonb NOT NULL DEFAULT '{}',
  title                   text GENERATED ALWAYS AS (identity_profile ->> 'title') STORED,
  created_at              timestamptz NOT NULL DEFAULT now(),
  updated_at              timestamptz NOT NULL DEFAULT now(),
  created_by              text NOT NULL,
  updated_by              text NOT NULL,
  deleted_at              timestamptz,
  doc_code                text,
  section_type            text,
  section_code            text,
  sort_order              integer,
  CONSTRAINT information_unit_pkey PRIMARY KEY (id),
  CONSTRAINT information_unit_canonical_address_key UNIQUE (canonical_address),
  -- BETWEEN beside AND would read otherwise after a dump: each comparison stands by itself.
  CONSTRAINT information_unit_canonical_address_chk CHECK (
    length(canonical_address) >= 1 AND length(canonical_address) <= 400 AND octet_length(canonical_address) <= 1000
    AND canonical_address = btrim(canonical_address)),
  CONSTRAINT information_unit_lifecycle_status_chk
    CHECK (lifecycle_status IN ('draft', 'enacted', 'superseded', 'retired', 'deprecated')),
  CONSTRAINT information_unit_owner_ref_chk CHECK (btrim(owner_ref) <> ''),
  CONSTRAINT information_unit_parent_chk CHECK (parent_or_container_ref <> id),
  CONSTRAINT information_unit_identity_profile_chk CHECK (jsonb_typeof(identity_profile) = 'object'),
  CONSTRAINT information_unit_doc_code_chk
    CHECK (length(doc_code) >= 1 AND length(doc_code) <= 190 AND doc_code = btrim(doc_code)),
  CONSTRAINT information_unit_section_code_chk CHECK (length(section_code) BETWEEN 1 AND 200),
  CONSTRAINT fk_iu_parent FOREIGN KEY (parent_or_container_ref)
    REFERENCES public.information_unit (id) ON DELETE RESTRICT
);
COMMENT ON TABLE public.information_unit IS
  'Units of text, one row each; the text is in unit_version. Written by canonical functions only (fn_iu_create, '
  'fn_iu_apply_edit_draft, fn_iu_enact and their like): any other INSERT, UPDATE, DELETE or TRUNCATE is refused by '
  'trg_aa_iu_gateway_write_guard with SQLSTATE 42501. At commit each row has both anchors, 23514 otherwise.';
COMMENT ON COLUMN public.information_unit.id IS 'Identity; foreign keys and events refer to it';
COMMENT ON COLUMN public.information_unit.canonical_address IS
  'What people call it, e.g. law:DIEU-28/p3: 1 to 400 characters and at most 1000 bytes, no blanks at the ends, unique '
  'for ever, a deleted unit''s too';
COMMENT ON COLUMN public.information_unit.unit_kind IS
  'A value of vocabulary unit_kind (dot_config, vocab.unit_kind.*)';
COMMENT ON COLUMN public.information_unit.lifecycle_status IS 'draft, enacted, superseded, retired or deprecated';
COMMENT ON COLUMN public.information_unit.content_anchor_ref IS
  'content_hash of the version that counts; required at commit';
COMMENT ON COLUMN public.information_unit.version_anchor_ref IS
  'The version that counts: the newest of a draft, the enacted one of an enacted unit; required at commit';
COMMENT ON COLUMN public.information_unit.owner_ref IS 'Who answers for it, as told by who created it';
COMMENT ON COLUMN public.information_unit.parent_or_container_ref IS
  'The unit that it is part of; NULL: a root. A unit with children is not deleted (23503, from PostgreSQL 18 on 23001)';
COMMENT ON COLUMN public.information_unit.conformance_status IS
  'open, until something judges it; nothing here reads it';
COMMENT ON COLUMN public.information_unit.identity_profile IS
  'Object with title, owner_lookup_ref, primary_section_type_ref, and publication_type_ref where it is published';
COMMENT ON COLUMN public.information_unit.title IS 'title of identity_profile, for lists of editors; generated';
COMMENT ON COLUMN public.information_unit.created_at IS 'Start of the transaction that created it';
COMMENT ON COLUMN public.information_unit.updated_at IS
  'Start of the transaction that changed the row last; kept by trg_iu_updated_at';
COMMENT ON COLUMN public.information_unit.created_by IS 'Who created it, as told by the caller';
COMMENT ON COLUMN public.information_unit.updated_by IS 'Who changed it last, as told by the caller';
COMMENT ON COLUMN public.information_unit.deleted_at IS 'Since when it is deleted; NULL: it is not';
COMMENT ON COLUMN public.information_unit.doc_code IS
  'The document that it is a part of, e.g. DIEU-28; 1 to 190 characters';
COMMENT ON COLUMN public.information_unit.section_type IS 'A value of vocabulary section_type';
COMMENT ON COLUMN public.information_unit.section_code IS 'Number or mark of the section in its document';
COMMENT ON COLUMN public.information_unit.sort_order IS
  'Place in its document, from 1 on; v_iu_source_outline shows gaps and duplicates';

CREATE TABLE public.unit_version (
  id               uuid NOT NULL DEFAULT gen_random_uuid(),
  unit_id          uuid NOT NULL,
  body             text NOT NULL,
  content_hash     text NOT NULL,
  version_seq      integer NOT NULL,
  lifecycle_status text NOT NULL DEFAULT 'draft',
  content_profile  jsonb NOT NULL DEFAULT '{}',
  created_at       timestamptz NOT NULL DEFAULT now(),
  created_by       text NOT NULL,
  enacted_at       timestamptz,
  review_state     text,
  CONSTRAINT unit_version_pkey PRIMARY KEY (id),
  CONSTRAINT unit_version_unit_id_version_seq_key UNIQUE (unit_id, version_seq),
  CONSTRAINT unit_version_unit_id_fkey FOREIGN KEY (unit_id) REFERENCES public.information_unit (id),
  -- Written out: a function of ours would have to be executable by every role that writes.
  CONSTRAINT unit_version_content_hash_chk CHECK (content_hash = encode(sha256(convert_to(body, 'UTF8')), 'hex')),
  CONSTRAINT unit_version_version_seq_chk CHECK (version_seq >= 1),
  CONSTRAINT unit_version_lifecycle_status_chk
    CHECK (lifecycle_status IN ('draft', 'enacted', 'superseded', 'retired', 'deprecated')),
  CONSTRAINT unit_version_content_profile_chk CHECK (jsonb_typeof(content_profile) = 'object')
);
COMMENT ON TABLE public.unit_version IS
  'The texts of units, one row a version. Written by canonical functions only, as information_unit is. A version of '
  'an enacted, superseded or retired unit that is no draft does not change (42501).';
COMMENT ON COLUMN public.unit_version.id IS 'Identity; version_anchor_ref of its unit refers to it';
COMMENT ON COLUMN public.unit_version.unit_id IS 'The unit whose text it is';
COMMENT ON COLUMN public.unit_version.body IS 'The text';
COMMENT ON COLUMN public.unit_version.content_hash IS
  'SHA-256 of the body in UTF8, 64 small hex digits: fn_content_hash()';
COMMENT ON COLUMN public.unit_version.version_seq IS 'Number of the version in its unit, from 1 on';
COMMENT ON COLUMN public.unit_version.lifecycle_status IS
  'draft, enacted, superseded, retired or deprecated: of the version, as of its unit when it counted';
COMMENT ON COLUMN public.unit_version.content_profile IS
  'Object; title: the title that the unit gets with this version, where that changes';
COMMENT ON COLUMN public.unit_version.created_at IS 'Start of the transaction that wrote it';
COMMENT ON COLUMN public.unit_version.created_by IS 'Who wrote it, as told by the caller';
COMMENT ON COLUMN public.unit_version.enacted_at IS 'When it was enacted; NULL: it never was';
COMMENT ON COLUMN public.unit_version.review_state IS 'Free for the platform; nothing here reads it';

ALTER TABLE public.information_unit
  ADD CONSTRAINT fk_iu_version_anchor FOREIGN KEY (version_anchor_ref)
    REFERENCES public.unit_version (id) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX information_unit_parent_idx ON public.information_unit (parent_or_container_ref);
CREATE INDEX information_unit_doc_idx ON public.information_unit (doc_code, sort_order);

CREATE TABLE public.iu_birth_record (
  unit_id           uuid NOT NULL,
  canonical_address text NOT NULL,
  born_at           timestamptz NOT NULL DEFAULT now(),
  born_by           text NOT NULL,
  session_role      name NOT NULL DEFAULT session_user,
  CONSTRAINT iu_birth_record_pkey PRIMARY KEY (unit_id),
  CONSTRAINT iu_birth_record_unit_id_fkey FOREIGN KEY (unit_id)
    REFERENCES public.information_unit (id) ON DELETE CASCADE
);
COMMENT ON TABLE public.iu_birth_record IS
  'That a unit came into being by a lawful way: one row a unit, written by trg_birth_information_unit. A unit without '
  'one came in while triggers were off: fn_iu_classify_existing says exists_missing_birth.';
COMMENT ON COLUMN public.iu_birth_record.unit_id IS 'The unit';
COMMENT ON COLUMN public.iu_birth_record.canonical_address IS 'Its address at birth';
COMMENT ON COLUMN public.iu_birth_record.born_at IS 'Start of the transaction that created it';
COMMENT ON COLUMN public.iu_birth_record.born_by IS 'Who created it, as told by the caller';
COMMENT ON COLUMN public.iu_birth_record.session_role IS 'The login role that created it';

CREATE TABLE public.iu_edit_draft (
  draft_id           uuid NOT NULL DEFAULT gen_random_uuid(),
  unit_id            uuid NOT NULL,
  base_version_id    uuid NOT NULL,
  draft_kind         text NOT NULL,
  title              text,
  body               text,
  content_hash       text,
  note               text,
  draft_status       text NOT NULL DEFAULT 'open',
  created_at         timestamptz NOT NULL DEFAULT now(),
  created_by         text NOT NULL,
  session_role       name NOT NULL DEFAULT session_user,
  session_oid        oid NOT NULL,
  seen_user          text,
  decided_at         timestamptz,
  decided_by         text,
  decided_role       name,
  applied_version_id uuid,
  CONSTRAINT iu_edit_draft_pkey PRIMARY KEY (draft_id),
  CONSTRAINT iu_edit_draft_unit_id_fkey FOREIGN KEY (unit_id) REFERENCES public.information_unit (id),
  CONSTRAINT iu_edit_draft_base_version_id_fkey FOREIGN KEY (base_version_id) REFERENCES public.unit_version (id),
  CONSTRAINT iu_edit_draft_applied_version_id_fkey FOREIGN KEY (applied_version_id)
    REFERENCES public.unit_version (id),
  CONSTRAINT iu_edit_draft_kind_chk CHECK (draft_kind IN ('edit', 'comment')),
  CONSTRAINT iu_edit_draft_status_chk CHECK (draft_status IN ('open', 'applied', 'rejected')),
  CONSTRAINT iu_edit_draft_content_chk CHECK (CASE draft_kind WHEN 'edit'
    THEN body IS NOT NULL AND content_hash IS NOT NULL
         AND content_hash = encode(sha256(convert_to(body, 'UTF8')), 'hex')
    ELSE body IS NULL AND content_hash IS NULL AND title IS NULL AND note IS NOT NULL
         AND draft_status <> 'applied' END),
  CONSTRAINT iu_edit_draft_decided_chk CHECK (
    (draft_status = 'open') = (decided_at IS NULL) AND (decided_at IS NULL) = (decided_by IS NULL)
    AND (decided_at IS NULL) = (decided_role IS NULL)
    AND (draft_status = 'applied') = (applied_version_id IS NOT NULL))
);
CREATE UNIQUE INDEX iu_edit_draft_open_key ON public.iu_edit_draft (unit_id, created_by)
  WHERE draft_kind = 'edit' AND draft_status = 'open';
CREATE INDEX iu_edit_draft_unit_idx ON public.iu_edit_draft (unit_id, created_at);
COMMENT ON TABLE public.iu_edit_draft IS
  'Edits that wait for a second pair of eyes, and comments on units. Written by fn_iu_save, fn_iu_comment and '
  'fn_iu_apply_edit_draft. One open edit for each unit and author: saving again changes it.';
COMMENT ON COLUMN public.iu_edit_draft.draft_id IS 'What fn_iu_apply_edit_draft is given';
COMMENT ON COLUMN public.iu_edit_draft.unit_id IS 'The unit';
COMMENT ON COLUMN public.iu_edit_draft.base_version_id IS
  'The newest version of the unit when the draft was saved; once there is a newer one the draft is stale';
COMMENT ON COLUMN public.iu_edit_draft.draft_kind IS 'edit or comment';
COMMENT ON COLUMN public.iu_edit_draft.title IS 'The new title; NULL: it stays';
COMMENT ON COLUMN public.iu_edit_draft.body IS 'The new text of an edit';
COMMENT ON COLUMN public.iu_edit_draft.content_hash IS 'SHA-256 of the body, as in unit_version';
COMMENT ON COLUMN public.iu_edit_draft.note IS 'The comment, or why the edit';
COMMENT ON COLUMN public.iu_edit_draft.draft_status IS 'open, applied or rejected';
COMMENT ON COLUMN public.iu_edit_draft.created_at IS 'Start of the transaction that saved it last';
COMMENT ON COLUMN public.iu_edit_draft.created_by IS 'Who wrote it, as told by the caller';
COMMENT ON COLUMN public.iu_edit_draft.session_role IS 'The login role that saved it';
COMMENT ON COLUMN public.iu_edit_draft.session_oid IS
  'Its oid, which is compared in strict mode: an author does not apply a draft of his own';
COMMENT ON COLUMN public.iu_edit_draft.seen_user IS
  'The user of a program that has one login for all of its users, where that was seen and not only told; NULL: none';
COMMENT ON COLUMN public.iu_edit_draft.decided_at IS 'Start of the transaction that applied or rejected it';
COMMENT ON COLUMN public.iu_edit_draft.decided_by IS 'Who applied or rejected it, as told by the caller';
COMMENT ON COLUMN public.iu_edit_draft.decided_role IS 'The login role that applied or rejected it';
COMMENT ON COLUMN public.iu_edit_draft.applied_version_id IS 'The version that it became';

CREATE TABLE public.iu_policy_registry (
  policy_key      text NOT NULL,
  allowed_pattern text NOT NULL,
  meaning         text NOT NULL,
  migration       integer NOT NULL,
  CONSTRAINT iu_policy_registry_pkey PRIMARY KEY (policy_key),
  CONSTRAINT iu_policy_registry_pattern_chk CHECK (btrim(allowed_pattern) <> ''),
  CONSTRAINT iu_policy_registry_meaning_chk CHECK (btrim(meaning) <> ''),
  CONSTRAINT iu_policy_registry_migration_chk CHECK (migration > 0)
);
COMMENT ON TABLE public.iu_policy_registry IS
  'Which rows of dot_config an administrator may set with fn_iu_policy_set, and to what. Written by migrations only.';
COMMENT ON COLUMN public.iu_policy_registry.policy_key IS 'The key in dot_config';
COMMENT ON COLUMN public.iu_policy_registry.allowed_pattern IS 'Regular expression that a value matches as a whole';
COMMENT ON COLUMN public.iu_policy_registry.meaning IS 'What it steers, and what the values mean';
COMMENT ON COLUMN public.iu_policy_registry.migration IS 'The migration that brought it';
