-- 030 pieces and collections: a collection is an order of units, each with a role in
-- it. A unit that is in a collection is called a piece of it; the text stays in the
-- unit, and one unit may be a piece of many collections. All that changes a
-- collection is behind a gate.
--
-- The functions that change collections raise what they refuse; those that only
-- read need no gate.

SELECT iu.fn_iu_gate_register(30, 'iu_core.composer_enabled', 'governable', 'Composing, collections and cutting');

INSERT INTO public.dot_config (key, value, description) VALUES
  ('vocab.collection_kind.file', 'a text that is read as one', 'a value of vocabulary collection_kind'),
  ('vocab.collection_kind.document', 'a document of several texts', 'a value of vocabulary collection_kind'),
  ('vocab.collection_kind.workflow', 'steps that are taken in order', 'a value of vocabulary collection_kind'),
  ('vocab.piece_role.title', 'the title page', 'a value of vocabulary piece_role'),
  ('vocab.piece_role.intro', 'what is said before', 'a value of vocabulary piece_role'),
  ('vocab.piece_role.body', 'the text itself', 'a value of vocabulary piece_role'),
  ('vocab.piece_role.step', 'a step of a workflow', 'a value of vocabulary piece_role'),
  ('vocab.piece_role.clause', 'a clause', 'a value of vocabulary piece_role'),
  ('vocab.piece_role.appendix', 'an appendix', 'a value of vocabulary piece_role'),
  ('vocab.piece_role.reference', 'something that is referred to', 'a value of vocabulary piece_role');

CREATE TABLE public.iu_piece_collection (
  id               uuid NOT NULL DEFAULT gen_random_uuid(),
  collection_key   text NOT NULL,
  collection_kind  text NOT NULL,
  title            text NOT NULL,
  description      text,
  lifecycle_status text NOT NULL DEFAULT 'draft',
  source_axis_kind text NOT NULL DEFAULT 'composed',
  manifest_digest  text,
  created_by       text NOT NULL,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_by       text NOT NULL,
  updated_at       timestamptz NOT NULL DEFAULT now(),
  deleted_at       timestamptz,
  CONSTRAINT iu_piece_collection_pkey PRIMARY KEY (id),
  CONSTRAINT iu_piece_collection_collection_key_key UNIQUE (collection_key),
  -- The key is a part of a path: no part of it may lead elsewhere.
  CONSTRAINT iu_piece_collection_key_chk CHECK (
    length(collection_key) >= 1 AND length(collection_key) <= 200 AND collection_key = btrim(collection_key)
    AND collection_key !~ '(^|/)[.]{0,2}(/|$)' AND position(E'\\' IN collection_key) = 0),
  CONSTRAINT iu_piece_collection_title_chk CHECK (btrim(title) <> '' AND length(title) <= 2000),
  CONSTRAINT iu_piece_collection_description_chk CHECK (btrim(description) <> '' AND length(description) <= 2000),
  CONSTRAINT iu_piece_collection_lifecycle_status_chk
    CHECK (lifecycle_status IN ('draft', 'active', 'deprecated', 'retired')),
  CONSTRAINT iu_piece_collection_source_axis_kind_chk CHECK (source_axis_kind IN ('composed', 'cut', 'imported'))
);
COMMENT ON TABLE public.iu_piece_collection IS
  'Collections of units, one row each; which units, in which order and role, is in iu_piece_membership. Written by the '
  'functions of the composer only (42501).';
COMMENT ON COLUMN public.iu_piece_collection.id IS 'Identity; subject of its events, and what ties them together';
COMMENT ON COLUMN public.iu_piece_collection.collection_key IS
  'What people call it, e.g. tpl:wf:onboarding/v1: 1 to 200 characters, no blanks at the ends, without a backslash and '
  'without parts "", "." and ".." between slashes; unique for ever';
COMMENT ON COLUMN public.iu_piece_collection.collection_kind IS
  'A value of vocabulary collection_kind (dot_config, vocab.collection_kind.*)';
COMMENT ON COLUMN public.iu_piece_collection.title IS 'What stands above it, 1 to 2000 characters in one line';
COMMENT ON COLUMN public.iu_piece_collection.description IS 'What it is for, in up to 2000 characters; NULL: not said';
COMMENT ON COLUMN public.iu_piece_collection.lifecycle_status IS
  'draft, active, deprecated or retired, in this order and never back; a retired one is not changed';
COMMENT ON COLUMN public.iu_piece_collection.source_axis_kind IS
  'How it came into being: composed of units, cut out of a document, or imported';
COMMENT ON COLUMN public.iu_piece_collection.manifest_digest IS
  'Digest of its order: fn_iu_collection_digest() as of its last change; NULL: it has no pieces';
COMMENT ON COLUMN public.iu_piece_collection.created_by IS 'Who created it, as told by the caller';
COMMENT ON COLUMN public.iu_piece_collection.created_at IS 'Start of the transaction that created it';
COMMENT ON COLUMN public.iu_piece_collection.updated_by IS 'Who changed it or its order last, as told by the caller';
COMMENT ON COLUMN public.iu_piece_collection.updated_at IS 'Start of the transaction that changed it or its order last';
COMMENT ON COLUMN public.iu_piece_collection.deleted_at IS 'Since when it is deleted; NULL: it is not';

CREATE TABLE public.iu_piece_membership (
  id                uuid NOT NULL DEFAULT gen_random_uuid(),
  collection_id     uuid NOT NULL,
  iu_id             uuid NOT NULL,
  piece_order       integer,
  piece_role        text NOT NULL,
  membership_status text NOT NULL DEFAULT 'active',
  added_by          text NOT NULL,
  added_at          timestamptz NOT NULL DEFAULT now(),
  removed_by        text,
  removed_at        timestamptz,
  CONSTRAINT iu_piece_membership_pkey PRIMARY KEY (id),
  CONSTRAINT iu_piece_membership_collection_id_fkey FOREIGN KEY (collection_id)
    REFERENCES public.iu_piece_collection (id) ON DELETE RESTRICT,
  CONSTRAINT iu_piece_membership_iu_id_fkey FOREIGN KEY (iu_id) REFERENCES public.information_unit (id),
  CONSTRAINT iu_piece_membership_collection_id_iu_id_key UNIQUE (collection_id, iu_id),
  -- Deferrable: otherwise moving many of them in one statement meets itself.
  CONSTRAINT iu_piece_membership_collection_id_piece_order_key UNIQUE (collection_id, piece_order)
    DEFERRABLE INITIALLY IMMEDIATE,
  CONSTRAINT iu_piece_membership_status_chk CHECK (membership_status IN ('active', 'removed')),
  CONSTRAINT iu_piece_membership_order_chk CHECK (piece_order >= 0),
  CONSTRAINT iu_piece_membership_removed_chk CHECK (
    (membership_status = 'removed') = (piece_order IS NULL)
    AND (membership_status = 'removed') = (removed_at IS NOT NULL)
    AND (removed_at IS NULL) = (removed_by IS NULL))
);
CREATE INDEX iu_piece_membership_iu_idx ON public.iu_piece_membership (iu_id) WHERE membership_status = 'active';
COMMENT ON TABLE public.iu_piece_membership IS
  'Which unit is in which collection, one row for each pair, in order and with a role. Written by the functions of the '
  'composer only (42501). A unit that was removed keeps its row, and gets it back when it is added again.';
COMMENT ON COLUMN public.iu_piece_membership.id IS 'Identity';
COMMENT ON COLUMN public.iu_piece_membership.collection_id IS 'The collection';
COMMENT ON COLUMN public.iu_piece_membership.iu_id IS 'The unit';
COMMENT ON COLUMN public.iu_piece_membership.piece_order IS
  'Its place, from 0 on without gaps; NULL: it was removed';
COMMENT ON COLUMN public.iu_piece_membership.piece_role IS
  'A value of vocabulary piece_role (dot_config, vocab.piece_role.*)';
COMMENT ON COLUMN public.iu_piece_membership.membership_status IS 'active or removed';
COMMENT ON COLUMN public.iu_piece_membership.added_by IS 'Who added it last, as told by the caller';
COMMENT ON COLUMN public.iu_piece_membership.added_at IS 'Start of the transaction that added it last';
COMMENT ON COLUMN public.iu_piece_membership.removed_by IS 'Who removed it, as told by the caller';
COMMENT ON COLUMN public.iu_piece_membership.removed_at IS 'Start of the transaction that removed it';
COMMENT ON INDEX public.iu_piece_membership_iu_idx IS 'Which collections a unit is in.';
