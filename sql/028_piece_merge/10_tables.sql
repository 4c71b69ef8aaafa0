-- 028 piece merge: several units become one, whose text is given and never put
-- together here. The units stay, and keep their status: whether they go out of use
-- is a decision of its own. What was merged can be taken back while nobody has
-- touched the new unit.

CREATE TABLE public.iu_merge_set (
  id                         uuid NOT NULL DEFAULT gen_random_uuid(),
  merged_iu_id               uuid NOT NULL,
  merged_canonical_address   text NOT NULL,
  source_iu_ids              uuid[] NOT NULL,
  source_canonical_addresses text[] NOT NULL,
  actor                      text NOT NULL,
  session_role               name NOT NULL DEFAULT session_user,
  review_decision_id         uuid NOT NULL,
  change_set_id              uuid,
  reason                     text,
  tool_revision              text,
  idempotency_key            text NOT NULL,
  created_at                 timestamptz NOT NULL DEFAULT now(),
  rolled_back_at             timestamptz,
  rolled_back_by             text,
  rolled_back_role           name,
  rolled_back_reason         text,
  CONSTRAINT iu_merge_set_pkey PRIMARY KEY (id),
  CONSTRAINT iu_merge_set_idempotency_key_key UNIQUE (idempotency_key),
  CONSTRAINT iu_merge_set_merged_iu_id_fkey FOREIGN KEY (merged_iu_id) REFERENCES public.information_unit (id),
  CONSTRAINT iu_merge_set_sources_chk CHECK (
    cardinality(source_iu_ids) >= 2 AND cardinality(source_iu_ids) = cardinality(source_canonical_addresses)),
  CONSTRAINT iu_merge_set_rolled_back_chk CHECK (
    (rolled_back_at IS NULL) = (rolled_back_by IS NULL) AND (rolled_back_at IS NULL) = (rolled_back_role IS NULL)
    AND (rolled_back_at IS NULL) = (rolled_back_reason IS NULL))
);
CREATE INDEX iu_merge_set_merged_idx ON public.iu_merge_set (merged_iu_id, created_at DESC);
COMMENT ON TABLE public.iu_merge_set IS
  'Which units were merged into which, one row a merge, written by fn_iu_piece_merge. Append-only, but that a merge is '
  'taken back, once (fn_iu_piece_merge_rollback).';
COMMENT ON COLUMN public.iu_merge_set.id IS 'Identity, which fn_iu_piece_merge_rollback is given';
COMMENT ON COLUMN public.iu_merge_set.merged_iu_id IS 'The unit that came of it';
COMMENT ON COLUMN public.iu_merge_set.merged_canonical_address IS 'Its address';
COMMENT ON COLUMN public.iu_merge_set.source_iu_ids IS 'The units that were merged, in the order that was given';
COMMENT ON COLUMN public.iu_merge_set.source_canonical_addresses IS 'Their addresses, in the same order';
COMMENT ON COLUMN public.iu_merge_set.actor IS 'Who merged them, as told by the caller';
COMMENT ON COLUMN public.iu_merge_set.session_role IS 'The login role that merged them; set by the database';
COMMENT ON COLUMN public.iu_merge_set.review_decision_id IS 'The decision that allowed it';
COMMENT ON COLUMN public.iu_merge_set.change_set_id IS 'Ties together what was done for one purpose; as given';
COMMENT ON COLUMN public.iu_merge_set.reason IS 'Why, as given';
COMMENT ON COLUMN public.iu_merge_set.tool_revision IS 'With which revision of a tool; as given';
COMMENT ON COLUMN public.iu_merge_set.idempotency_key IS
  'SHA-256 in hex of the merged unit''s address, "|||", and the sources'' addresses, sorted and joined with "|||"';
COMMENT ON COLUMN public.iu_merge_set.created_at IS 'Start of the transaction that merged them';
COMMENT ON COLUMN public.iu_merge_set.rolled_back_at IS 'When it was taken back; NULL: it was not';
COMMENT ON COLUMN public.iu_merge_set.rolled_back_by IS 'Who took it back, as told by the caller';
COMMENT ON COLUMN public.iu_merge_set.rolled_back_role IS 'The login role that took it back; set by the database';
COMMENT ON COLUMN public.iu_merge_set.rolled_back_reason IS 'Why it was taken back';

CREATE TRIGGER trg_iu_merge_set_stamp
  BEFORE UPDATE ON public.iu_merge_set
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_piece_set_stamp();
CREATE TRIGGER trg_iu_merge_set_append_only
  BEFORE DELETE OR TRUNCATE ON public.iu_merge_set
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE public.iu_merge_set
  ENABLE ALWAYS TRIGGER trg_iu_merge_set_stamp, ENABLE ALWAYS TRIGGER trg_iu_merge_set_append_only;
COMMENT ON TRIGGER trg_iu_merge_set_stamp ON public.iu_merge_set IS 'A merge is taken back, once (42501).';
COMMENT ON TRIGGER trg_iu_merge_set_append_only ON public.iu_merge_set IS 'Merges are not deleted (42501).';
