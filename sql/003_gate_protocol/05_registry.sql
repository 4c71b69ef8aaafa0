-- 003: the gate protocol.
--
-- A gate is a registered key of dot_config. It is opened with an approval and
-- a time limit, and each change is a row of a ledger. Whether it is open is
-- answered by iu_core.gate_is_open alone, from value and ledger together: a
-- value set beside the protocol opens nothing once committed, and an opening
-- ends with its time, whether or not anybody closes it. The watchdog only makes
-- the table agree.
--
-- Every change of a gate holds the gate's row of dot_config and updates it, so
-- that changes of one gate form a line, and a transaction with an old snapshot
-- fails instead of deciding on what it can no longer see.

CREATE TABLE public.iu_gate_registry (
  gate_key      text NOT NULL,
  gate_class    text NOT NULL,
  description   text NOT NULL,
  migration     integer,
  registered_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_gate_registry_pkey PRIMARY KEY (gate_key),
  CONSTRAINT iu_gate_registry_key CHECK (gate_key ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$'),
  CONSTRAINT iu_gate_registry_class CHECK (gate_class IN ('governable', 'never_flip')),
  CONSTRAINT iu_gate_registry_theirs CHECK (migration IS NOT NULL OR gate_class = 'governable')
);
COMMENT ON TABLE public.iu_gate_registry IS
  'The gates. What is not here is no gate: it cannot be opened and never reads open.';
COMMENT ON COLUMN public.iu_gate_registry.gate_key IS 'Key of its row in dot_config';
COMMENT ON COLUMN public.iu_gate_registry.gate_class IS
  'governable: may be opened for a time; never_flip: never open, whatever its value';
COMMENT ON COLUMN public.iu_gate_registry.description IS 'What it stops while closed';
COMMENT ON COLUMN public.iu_gate_registry.migration IS
  'The migration that brought it; NULL: the platform''s own, registered by fn_iu_gate_define';
COMMENT ON COLUMN public.iu_gate_registry.registered_at IS 'Start of the transaction that registered it';
