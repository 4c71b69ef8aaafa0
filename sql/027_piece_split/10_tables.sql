-- 027 piece split: the text of one unit becomes several units. The unit stays, and
-- keeps its status: whether it goes out of use is a decision of its own. What was
-- split can be taken back while nobody has touched the new units.

CREATE TABLE public.iu_split_set (
  id                        uuid NOT NULL DEFAULT gen_random_uuid(),
  source_iu_id              uuid NOT NULL,
  source_canonical_address  text NOT NULL,
  child_iu_ids              uuid[] NOT NULL,
  child_canonical_addresses text[] NOT NULL,
  actor                     text NOT NULL,
  session_role              name NOT NULL DEFAULT session_user,
  review_decision_id        uuid NOT NULL,
  change_set_id             uuid,
  reason                    text,
  tool_revision             text,
  idempotency_key           text NOT NULL,
  created_at                timestamptz NOT NULL DEFAULT now(),
  rolled_back_at            timestamptz,
  rolled_back_by            text,
  rolled_back_role          name,
  rolled_back_reason        text,
  CONSTRAINT iu_split_set_pkey PRIMARY KEY (id),
  CONSTRAINT iu_split_set_idempotency_key_key UNIQUE (idempotency_key),
  CONSTRAINT iu_split_set_source_iu_id_fkey FOREIGN KEY (source_iu_id) REFERENCES public.information_unit (id),
  CONSTRAINT iu_split_set_children_chk CHECK (
    cardinality(child_iu_ids) >= 2 AND cardinality(child_iu_ids) = cardinality(child_canonical_addresses)),
  CONSTRAINT iu_split_set_rolled_back_chk CHECK (
    (rolled_back_at IS NULL) = (rolled_back_by IS NULL) AND (rolled_back_at IS NULL) = (rolled_back_role IS NULL)
    AND (rolled_back_at IS NULL) = (rolled_back_reason IS NULL))
);
CREATE INDEX iu_split_set_source_idx ON public.iu_split_set (source_iu_id, created_at DESC);
COMMENT ON TABLE public.iu_split_set IS
  'Which unit was split into which, one row a split, written by fn_iu_piece_split. Append-only, but that a split is '
  'taken back, once (fn_iu_piece_split_rollback).';
COMMENT ON COLUMN public.iu_split_set.id IS 'Identity, which fn_iu_piece_split_rollback is given';
COMMENT ON COLUMN public.iu_split_set.source_iu_id IS 'The unit that was split';
COMMENT ON COLUMN public.iu_split_set.source_canonical_address IS 'Its address';
COMMENT ON COLUMN public.iu_split_set.child_iu_ids IS 'The units that came of it, in the order that was given';
COMMENT ON COLUMN public.iu_split_set.child_canonical_addresses IS 'Their addresses, in the same order';
COMMENT ON COLUMN public.iu_split_set.actor IS 'Who split it, as told by the caller';
COMMENT ON COLUMN public.iu_split_set.session_role IS 'The login role that split it; set by the database';
COMMENT ON COLUMN public.iu_split_set.review_decision_id IS 'The decision that allowed it';
COMMENT ON COLUMN public.iu_split_set.change_set_id IS 'Ties together what was done for one purpose; as given';
COMMENT ON COLUMN public.iu_split_set.reason IS 'Why, as given';
COMMENT ON COLUMN public.iu_split_set.tool_revision IS 'With which revision of a tool; as given';
COMMENT ON COLUMN public.iu_split_set.idempotency_key IS
  'SHA-256 in hex of the source''s address, "|||", and the children''s addresses, sorted and joined with "|||"';
COMMENT ON COLUMN public.iu_split_set.created_at IS 'Start of the transaction that split it';
COMMENT ON COLUMN public.iu_split_set.rolled_back_at IS 'When it was taken back; NULL: it was not';
COMMENT ON COLUMN public.iu_split_set.rolled_back_by IS 'Who took it back, as told by the caller';
COMMENT ON COLUMN public.iu_split_set.rolled_back_role IS 'The login role that took it back; set by the database';
COMMENT ON COLUMN public.iu_split_set.rolled_back_reason IS 'Why it was taken back';

CREATE FUNCTION iu.fn_iu_piece_set_stamp() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF OLD.rolled_back_at IS NOT NULL OR NEW.rolled_back_at IS NULL
     OR to_jsonb(OLD) - '{rolled_back_at,rolled_back_by,rolled_back_role,rolled_back_reason}'::text[]
        <> to_jsonb(NEW) - '{rolled_back_at,rolled_back_by,rolled_back_role,rolled_back_reason}'::text[] THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('a row of "%s" does not change', TG_TABLE_NAME),
      DETAIL = format('Row: %s; taken back at: %s.', OLD.id, coalesce(OLD.rolled_back_at::text, 'never')),
      HINT = 'A split or a merge is taken back once, with fn_iu_piece_split_rollback or fn_iu_piece_merge_rollback.',
      TABLE = TG_TABLE_NAME, CONSTRAINT = 'iu_piece_set_unchanged';
  END IF;
  NEW.rolled_back_role := session_user;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_set_stamp IS
  'Row trigger of iu_split_set and iu_merge_set: nothing changes but rolled_back_at, rolled_back_by and '
  'rolled_back_reason, once (42501), and rolled_back_role, which is set here.';

CREATE TRIGGER trg_iu_split_set_stamp
  BEFORE UPDATE ON public.iu_split_set
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_piece_set_stamp();
CREATE TRIGGER trg_iu_split_set_append_only
  BEFORE DELETE OR TRUNCATE ON public.iu_split_set
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE public.iu_split_set
  ENABLE ALWAYS TRIGGER trg_iu_split_set_stamp, ENABLE ALWAYS TRIGGER trg_iu_split_set_append_only;
COMMENT ON TRIGGER trg_iu_split_set_stamp ON public.iu_split_set IS 'A split is taken back, once (42501).';
COMMENT ON TRIGGER trg_iu_split_set_append_only ON public.iu_split_set IS 'Splits are not deleted (42501).';
