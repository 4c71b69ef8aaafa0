CREATE TABLE public.dot_iu_command_catalog (
  command_name     text NOT NULL,
  category         text NOT NULL,
  mutating         boolean NOT NULL,
  reversible       boolean NOT NULL,
  target_functions text[] NOT NULL,
  registered_at    timestamptz NOT NULL DEFAULT now(),
  logged_by        text NOT NULL DEFAULT 'itself',
  CONSTRAINT dot_iu_command_catalog_pkey PRIMARY KEY (command_name),
  CONSTRAINT dot_iu_command_catalog_name CHECK (command_name ~ '^[a-z][a-z0-9_.]*$'),
  CONSTRAINT dot_iu_command_catalog_category
    CHECK (category IN ('collection', 'piece', 'lifecycle', 'read', 'health')),
  CONSTRAINT dot_iu_command_catalog_logged_by CHECK (logged_by IN ('itself', 'caller', 'runtime')),
  CONSTRAINT dot_iu_command_catalog_target_functions
    CHECK (cardinality(target_functions) > 0 AND array_position(target_functions, NULL) IS NULL)
);
COMMENT ON TABLE public.dot_iu_command_catalog IS 'The commands that may be logged as run. Migrations add theirs.';
COMMENT ON COLUMN public.dot_iu_command_catalog.command_name IS 'E.g. dot_iu_gate_open';
COMMENT ON COLUMN public.dot_iu_command_catalog.category IS 'collection, piece, lifecycle, read or health';
COMMENT ON COLUMN public.dot_iu_command_catalog.mutating IS 'Whether applying it changes anything';
COMMENT ON COLUMN public.dot_iu_command_catalog.reversible IS 'Whether there is a command that undoes it';
COMMENT ON COLUMN public.dot_iu_command_catalog.target_functions IS
  'Names, without arguments, of the functions in public or iu that carry it out; each must exist';
COMMENT ON COLUMN public.dot_iu_command_catalog.registered_at IS 'Start of the transaction that registered it';
COMMENT ON COLUMN public.dot_iu_command_catalog.logged_by IS
  'itself: its functions carry rights and log each run, and nobody else can; caller: who runs it logs that with '
  'fn_dot_iu_command_log; runtime: its functions write ledgers of their own, a run is logged where a runtime of '
  'iu_core calls them, and nobody logs one by hand';
