-- The lifecycle of a unit: its words, and the ledger of its transitions.

CREATE TABLE public.iu_lifecycle_vocab (
  code        text NOT NULL,
  name        text NOT NULL,
  description text NOT NULL,
  sort_order  integer NOT NULL,
  CONSTRAINT iu_lifecycle_vocab_pkey PRIMARY KEY (code)
);
COMMENT ON TABLE public.iu_lifecycle_vocab IS
  'The states that a unit passes through. A unit that a structure operation took out of use is deprecated, which is '
  'outside of them. Written by migrations only.';
COMMENT ON COLUMN public.iu_lifecycle_vocab.code IS 'lifecycle_status of information_unit';
COMMENT ON COLUMN public.iu_lifecycle_vocab.name IS 'What people read';
COMMENT ON COLUMN public.iu_lifecycle_vocab.description IS 'What it means';
COMMENT ON COLUMN public.iu_lifecycle_vocab.sort_order IS 'Order in lists, from 1 on';

INSERT INTO public.iu_lifecycle_vocab (code, name, description, sort_order) VALUES
  ('draft', 'Draft', 'It is being written; its newest version counts.', 1),
  ('enacted', 'Enacted', 'A decision made its text binding; a further version waits for another decision.', 2),
  ('superseded', 'Superseded', 'Another unit took its place.', 3),
  ('retired', 'Retired', 'It is out of use.', 4);

CREATE TABLE public.iu_lifecycle_log (
  log_id             bigint GENERATED ALWAYS AS IDENTITY,
  unit_id            uuid NOT NULL,
  canonical_address  text NOT NULL,
  from_status        text NOT NULL,
  to_status          text NOT NULL,
  transition_type    text NOT NULL,
  performed_by       text NOT NULL,
  session_role       name NOT NULL DEFAULT session_user,
  review_decision_id uuid,
  change_set_id      uuid,
  reason             text,
  tool_revision      text,
  idempotency_key    text,
  metadata           jsonb NOT NULL DEFAULT '{}',
  created_at         timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_lifecycle_log_pkey PRIMARY KEY (log_id),
  CONSTRAINT iu_lifecycle_log_idempotency_key_key UNIQUE (idempotency_key),
  CONSTRAINT iu_lifecycle_log_transition_type_chk CHECK (transition_type IN (
    'enact', 'supersede', 'retire_from_enacted', 'retire_from_draft', 'retire_from_superseded', 'split', 'merge',
    'deprecate', 'restore')),
  CONSTRAINT iu_lifecycle_log_metadata_chk CHECK (jsonb_typeof(metadata) = 'object')
);
CREATE INDEX iu_lifecycle_log_unit_idx ON public.iu_lifecycle_log (unit_id, log_id DESC);
COMMENT ON TABLE public.iu_lifecycle_log IS
  'What became of units, one row a transition. Append-only, and written by canonical functions only (42501). It has no '
  'foreign key: the ledger outlives what it tells of.';
COMMENT ON COLUMN public.iu_lifecycle_log.log_id IS 'Order of the transitions';
COMMENT ON COLUMN public.iu_lifecycle_log.unit_id IS 'The unit';
COMMENT ON COLUMN public.iu_lifecycle_log.canonical_address IS 'Its address then';
COMMENT ON COLUMN public.iu_lifecycle_log.from_status IS 'Its status before';
COMMENT ON COLUMN public.iu_lifecycle_log.to_status IS 'Its status after; of a split or merge the same';
COMMENT ON COLUMN public.iu_lifecycle_log.transition_type IS
  'enact, supersede, retire_from_enacted, retire_from_draft, retire_from_superseded, split, merge, deprecate or '
  'restore';
COMMENT ON COLUMN public.iu_lifecycle_log.performed_by IS 'Who did it, as told by the caller';
COMMENT ON COLUMN public.iu_lifecycle_log.session_role IS 'The login role that did it; set by the database';
COMMENT ON COLUMN public.iu_lifecycle_log.review_decision_id IS 'The decision that allowed it';
COMMENT ON COLUMN public.iu_lifecycle_log.change_set_id IS 'Ties together what was done for one purpose; as given';
COMMENT ON COLUMN public.iu_lifecycle_log.reason IS 'Why, as given';
COMMENT ON COLUMN public.iu_lifecycle_log.tool_revision IS 'With which revision of a tool; as given';
COMMENT ON COLUMN public.iu_lifecycle_log.idempotency_key IS 'At most one row of a key; NULL: no limit';
COMMENT ON COLUMN public.iu_lifecycle_log.metadata IS
  'Object. Of enact: version_id, version_seq, content_hash, and previous_version_id where another version counted '
  'before';
COMMENT ON COLUMN public.iu_lifecycle_log.created_at IS 'Start of the transaction that wrote it';

CREATE FUNCTION iu.fn_iu_lifecycle_log_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  -- What a subscription brings is left out by triggers of its own, and must not stop it.
  IF iu_core.is_replicated() THEN
    RETURN NULL;
  END IF;
  RAISE insufficient_privilege USING
    MESSAGE = 'direct write to iu_lifecycle_log not allowed',
    DETAIL = format('%s is refused. Rows are written by fn_iu_enact and the other functions of the lifecycle.', TG_OP),
    CONSTRAINT = 'iu_lifecycle_log_blocked';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_lifecycle_log_guard IS
  'Statement trigger of iu_lifecycle_log: refuses an INSERT that is no canonical function''s with SQLSTATE 42501.';

CREATE TRIGGER trg_iu_lifecycle_log_guard
  BEFORE INSERT ON public.iu_lifecycle_log
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner')
  EXECUTE FUNCTION iu.fn_iu_lifecycle_log_guard();
CREATE TRIGGER trg_iu_lifecycle_log_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_lifecycle_log
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE public.iu_lifecycle_log
  ENABLE ALWAYS TRIGGER trg_iu_lifecycle_log_guard, ENABLE ALWAYS TRIGGER trg_iu_lifecycle_log_append_only;
COMMENT ON TRIGGER trg_iu_lifecycle_log_guard ON public.iu_lifecycle_log IS
  'Rows are written by canonical functions only (42501).';
COMMENT ON TRIGGER trg_iu_lifecycle_log_append_only ON public.iu_lifecycle_log IS 'Keeps the ledger append-only.';

CREATE FUNCTION iu.fn_iu_lifecycle_write(
    p_unit public.information_unit, p_to_status text, p_transition_type text, p_actor text, p_review_decision_id uuid,
    p_change_set_id uuid, p_reason text, p_tool_revision text, p_idempotency_key text, p_metadata jsonb)
  RETURNS bigint
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_log_id bigint;
BEGIN
  INSERT INTO public.iu_lifecycle_log
      (unit_id, canonical_address, from_status, to_status, transition_type, performed_by, review_decision_id,
       change_set_id, reason, tool_revision, idempotency_key, metadata)
    VALUES (p_unit.id, p_unit.canonical_address, p_unit.lifecycle_status, p_to_status, p_transition_type, p_actor,
            p_review_decision_id, p_change_set_id, p_reason, p_tool_revision, p_idempotency_key, p_metadata)
    RETURNING log_id INTO v_log_id;
  PERFORM iu.fn_iu_require_effect(EXISTS (SELECT FROM public.iu_lifecycle_log l WHERE l.log_id = v_log_id),
    'public.iu_lifecycle_log', 'writing the lifecycle ledger');
  RETURN v_log_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_lifecycle_write IS
  'For canonical functions, which pin its search_path: writes one transition and returns its number: the unit as it '
  'was before, status after, transition, actor, decision, change set, reason, tool revision, idempotency key, '
  'metadata.';
