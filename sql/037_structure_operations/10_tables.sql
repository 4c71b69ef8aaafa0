-- 037 structure operations: a change of the tree that is planned first and applied
-- later: a unit gets children, is split, merged, replaced, moved or taken out of use.
-- What was applied can be taken back while nobody has worked on what came of it.
--
-- Planning and looking need no gate. Applying and taking back raise an error while
-- the gate is closed; whatever else speaks against them is answered, and nothing is
-- written.

SELECT iu.fn_iu_gate_register(37, 'iu_core.structure_ops_enabled', 'governable',
  'Applying and rolling back structure operations');

CREATE TABLE public.iu_structure_operation (
  id               uuid NOT NULL DEFAULT gen_random_uuid(),
  operation_type   text NOT NULL,
  operation_status text NOT NULL DEFAULT 'draft',
  actor_ref        text NOT NULL,
  reason           text,
  idempotency_key  text NOT NULL,
  source_unit_ids  uuid[] NOT NULL DEFAULT '{}',
  target_unit_ids  uuid[] NOT NULL DEFAULT '{}',
  parent_unit_id   uuid,
  payload          jsonb NOT NULL DEFAULT '{}',
  impact_summary   jsonb NOT NULL DEFAULT '{}',
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  enacted_at       timestamptz,
  created_by       text NOT NULL DEFAULT session_user,
  CONSTRAINT iu_structure_operation_pkey PRIMARY KEY (id),
  CONSTRAINT iu_structure_operation_idempotency_key_key UNIQUE (idempotency_key),
  CONSTRAINT iu_structure_operation_type_chk CHECK (operation_type IN (
    'add_new_piece', 'split_large_piece', 'merge_small_pieces', 'deprecate_piece', 'replace_piece',
    'reparent_piece')),
  CONSTRAINT iu_structure_operation_status_chk
    CHECK (operation_status IN ('draft', 'planned', 'enacted', 'rolled_back')),
  CONSTRAINT iu_structure_operation_enacted_chk
    CHECK ((enacted_at IS NOT NULL) = (operation_status IN ('enacted', 'rolled_back'))),
  CONSTRAINT iu_structure_operation_payload_chk
    CHECK (jsonb_typeof(payload) = 'object' AND jsonb_typeof(impact_summary) = 'object')
);
CREATE INDEX iu_structure_operation_status_idx ON public.iu_structure_operation (operation_status, created_at DESC);
COMMENT ON TABLE public.iu_structure_operation IS
  'Structure operations, one row each: what is to be done to which units, and what came of it. Written by '
  'fn_iu_structure_op_plan, _apply and _rollback only (42501), and never deleted.';
COMMENT ON COLUMN public.iu_structure_operation.id IS 'Identity, which applying, verifying and taking back are given';
COMMENT ON COLUMN public.iu_structure_operation.operation_type IS
  'add_new_piece, split_large_piece, merge_small_pieces, deprecate_piece, replace_piece or reparent_piece';
COMMENT ON COLUMN public.iu_structure_operation.operation_status IS
  'planned, enacted (it was applied) or rolled_back (it was taken back); draft: none of our functions planned it, and '
  'it is not applied';
COMMENT ON COLUMN public.iu_structure_operation.actor_ref IS 'Who planned it, as told by the caller';
COMMENT ON COLUMN public.iu_structure_operation.reason IS 'Why, as given; NULL: not said';
COMMENT ON COLUMN public.iu_structure_operation.idempotency_key IS 'What the caller calls it: one key, one operation';
COMMENT ON COLUMN public.iu_structure_operation.source_unit_ids IS
  'The units that it is done to, in the order that was given';
COMMENT ON COLUMN public.iu_structure_operation.target_unit_ids IS
  'Of replace_piece the unit that takes the place of the source, where there is one already';
COMMENT ON COLUMN public.iu_structure_operation.parent_unit_id IS
  'The unit under which new pieces come or a unit is moved; NULL: the parent of the first source, or of a move: none';
COMMENT ON COLUMN public.iu_structure_operation.payload IS
  'new_pieces: an array of {canonical_address, title, body, unit_kind, section_type}';
COMMENT ON COLUMN public.iu_structure_operation.impact_summary IS
  'What it does: creates (addresses), deprecates and moves (units). Applied: also applied_by, created_unit_ids, '
  'previous_status (of each unit and of its version that counts), previous_parent_unit_id. Taken back: also '
  'rolled_back_by, rolled_back_reason, rolled_back_at. Its events have its id as correlation_id';
COMMENT ON COLUMN public.iu_structure_operation.created_at IS 'Start of the transaction that planned it';
COMMENT ON COLUMN public.iu_structure_operation.updated_at IS
  'Start of the transaction that changed its status last';
COMMENT ON COLUMN public.iu_structure_operation.enacted_at IS 'When it was applied, by the clock; NULL: it was not';
COMMENT ON COLUMN public.iu_structure_operation.created_by IS 'Login role of who planned it';
COMMENT ON INDEX public.iu_structure_operation_status_idx IS 'What is planned, what was applied, the youngest first.';

CREATE TABLE public.iu_relation (
  id              uuid NOT NULL DEFAULT gen_random_uuid(),
  from_unit_id    uuid NOT NULL,
  to_unit_id      uuid NOT NULL,
  relation_type   text NOT NULL,
  operation_ref   uuid,
  relation_status text NOT NULL DEFAULT 'active',
  valid_from      timestamptz NOT NULL DEFAULT now(),
  valid_to        timestamptz,
  CONSTRAINT iu_relation_pkey PRIMARY KEY (id),
  CONSTRAINT iu_relation_from_unit_id_fkey FOREIGN KEY (from_unit_id) REFERENCES public.information_unit (id),
  CONSTRAINT iu_relation_to_unit_id_fkey FOREIGN KEY (to_unit_id) REFERENCES public.information_unit (id),
  CONSTRAINT iu_relation_operation_ref_fkey FOREIGN KEY (operation_ref)
    REFERENCES public.iu_structure_operation (id),
  CONSTRAINT iu_relation_type_chk CHECK (relation_type IN (
    'contains', 'derived_from', 'supersedes', 'replaced_by', 'merged_from', 'split_from')),
  CONSTRAINT iu_relation_status_chk CHECK (relation_status IN ('active', 'ended')),
  CONSTRAINT iu_relation_ended_chk CHECK ((relation_status = 'ended') = (valid_to IS NOT NULL)),
  CONSTRAINT iu_relation_ends_chk CHECK (from_unit_id <> to_unit_id)
);
CREATE UNIQUE INDEX iu_relation_one_parent_idx ON public.iu_relation (to_unit_id)
  WHERE relation_type = 'contains' AND relation_status = 'active';
CREATE INDEX iu_relation_from_idx ON public.iu_relation (from_unit_id);
CREATE INDEX iu_relation_to_idx ON public.iu_relation (to_unit_id);
CREATE INDEX iu_relation_operation_idx ON public.iu_relation (operation_ref);
COMMENT ON TABLE public.iu_relation IS
  'What structure operations made of units to each other, one row an edge: which came from which, which took the place '
  'of which, which was put under which. A relation ends, and is never deleted. The tree itself is '
  'parent_or_container_ref of information_unit: a unit that no operation has touched has no edge here.';
COMMENT ON COLUMN public.iu_relation.id IS 'Identity';
COMMENT ON COLUMN public.iu_relation.from_unit_id IS
  'The unit that is the subject: the parent that contains, the new unit that is split from or merged from another one';
COMMENT ON COLUMN public.iu_relation.to_unit_id IS 'The unit that is the object: the child, the old unit';
COMMENT ON COLUMN public.iu_relation.relation_type IS
  'contains, split_from, merged_from, supersedes (the new unit the old one), replaced_by (the old unit by the new '
  'one); derived_from, which no operation writes yet';
COMMENT ON COLUMN public.iu_relation.operation_ref IS 'The operation that made it; NULL: none did';
COMMENT ON COLUMN public.iu_relation.relation_status IS 'active or ended';
COMMENT ON COLUMN public.iu_relation.valid_from IS 'Start of the transaction that made it';
COMMENT ON COLUMN public.iu_relation.valid_to IS 'When it ended, by the clock; NULL: it has not';
COMMENT ON INDEX public.iu_relation_one_parent_idx IS 'A unit has one parent at a time.';
COMMENT ON INDEX public.iu_relation_from_idx IS 'What a unit came from, and what it contains.';
COMMENT ON INDEX public.iu_relation_to_idx IS 'What came of a unit.';
COMMENT ON INDEX public.iu_relation_operation_idx IS 'What an operation made.';
