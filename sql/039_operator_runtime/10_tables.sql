-- 039 operator runtime: commands of the catalogue are planned, applied and verified by
-- their names, and each time leaves a row in the ledger. What may be called is one
-- function that the catalogue names; it is called with the rights of whoever acts,
-- by a statement that is made from the catalogue, and nothing of what is given to it
-- is ever read as SQL.

CREATE TABLE public.iu_command_gate (
  command_name text NOT NULL,
  gate_key     text NOT NULL,
  CONSTRAINT iu_command_gate_pkey PRIMARY KEY (command_name, gate_key),
  CONSTRAINT iu_command_gate_command_fkey FOREIGN KEY (command_name)
    REFERENCES public.dot_iu_command_catalog (command_name) ON DELETE CASCADE
);
COMMENT ON TABLE public.iu_command_gate IS
  'Which gates a command needs, beside iu_core.operator_runtime_enabled, before the operator runtime applies it. A '
  'gate that is not registered is closed. Migrations write it.';
COMMENT ON COLUMN public.iu_command_gate.command_name IS 'The command; its rows go with it';
COMMENT ON COLUMN public.iu_command_gate.gate_key IS 'A gate that has to be open';

CREATE FUNCTION iu.fn_iu_command_gate_put(p_gate_key text, p_commands text[]) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO public.iu_command_gate (command_name, gate_key)
    SELECT c.name, p_gate_key FROM unnest(p_commands) c (name);
END;
COMMENT ON FUNCTION iu.fn_iu_command_gate_put IS
  'For migrations: gate, and the commands that need it. Errors: 23503 a command that is not in the catalogue, 23505 '
  'one that has it already.';

-- A target that answers with a word that is not here has refused: a word that nobody
-- has listed is never taken for a success.
CREATE TABLE public.iu_command_done (
  status    text NOT NULL,
  migration integer NOT NULL,
  CONSTRAINT iu_command_done_pkey PRIMARY KEY (status),
  CONSTRAINT iu_command_done_status_chk CHECK (status ~ '^[a-z][a-z0-9_]{0,59}$')
);
COMMENT ON TABLE public.iu_command_done IS
  'The words by which the target of a command says, as status of its answer, that what was asked for is so now. Any '
  'other word is a refusal to the operator runtime. Migrations add theirs.';
COMMENT ON COLUMN public.iu_command_done.status IS 'The word, e.g. created';
COMMENT ON COLUMN public.iu_command_done.migration IS 'Number of the migration that added it';

CREATE FUNCTION iu.fn_iu_command_done_put(p_migration integer, p_words text[]) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO public.iu_command_done (status, migration)
    SELECT w.word, p_migration FROM unnest(p_words) w (word) ON CONFLICT (status) DO NOTHING;
END;
COMMENT ON FUNCTION iu.fn_iu_command_done_put IS
  'For migrations: number, and words by which targets say that they did what was asked for. One that is there already '
  'stays as it is. Errors: 23514 a word of another form.';

-- What changes something and is no command, and why it need not be one.
CREATE TABLE public.iu_command_exemption (
  function_name text NOT NULL,
  reason        text NOT NULL,
  migration     integer NOT NULL,
  CONSTRAINT iu_command_exemption_pkey PRIMARY KEY (function_name),
  CONSTRAINT iu_command_exemption_reason_chk CHECK (reason ~ '[^[:space:]]')
);
COMMENT ON TABLE public.iu_command_exemption IS
  'Functions of people that no command has as its target, and why. Migrations add theirs; v_iu_command_coverage reads '
  'them.';
COMMENT ON COLUMN public.iu_command_exemption.function_name IS 'Its name, without schema and arguments';
COMMENT ON COLUMN public.iu_command_exemption.reason IS 'Why it is no command';
COMMENT ON COLUMN public.iu_command_exemption.migration IS 'Number of the migration that added it';

CREATE FUNCTION iu.fn_iu_command_exempt(p_migration integer, p_reason text, p_functions text[]) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO public.iu_command_exemption (function_name, reason, migration)
    SELECT f.name, p_reason, p_migration FROM unnest(p_functions) f (name);
END;
COMMENT ON FUNCTION iu.fn_iu_command_exempt IS
  'For migrations: number, why, and the functions that are no commands. Errors: 23505 one that is exempt already, '
  '23514 no reason.';
