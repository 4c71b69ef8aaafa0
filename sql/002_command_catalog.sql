-- 002: the catalogue of commands and the ledger of their runs.
--
-- A command is wrapped, not dispatched: a catalogue row says what it is, the
-- caller calls its target function and logs the run. The ledger is ungated, so
-- that a refusal can be recorded while every gate is shut.

SELECT iu_core.guard_absent('table', 'dot_iu_command_catalog', 'dot_iu_command_run');
SELECT iu_core.guard_absent('view', 'v_dot_iu_command_registry', 'v_dot_iu_command_run_health');
SELECT iu_core.guard_absent('function',
  'fn_iu_append_only()', 'fn_dot_iu_command_log(text,text,text,text,boolean,text,jsonb,jsonb,text)');

DO $guard$
BEGIN
  IF to_regprocedure('public.fn_iu_govern(integer, text, text[])') IS NULL THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'migration 002 needs migration 001';
  END IF;
END
$guard$;

CREATE FUNCTION public.fn_iu_append_only() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE insufficient_privilege USING
    MESSAGE = format('table "%s" is append-only', TG_TABLE_NAME),
    DETAIL = format('%s is refused, whoever asks for it.', TG_OP);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_append_only() IS
  'Statement trigger of a ledger: refuses UPDATE, DELETE and TRUNCATE with SQLSTATE 42501. (design: Gates; facts-core 2.2)';

CREATE TABLE public.dot_iu_command_catalog (
  command_name     text NOT NULL,
  category         text NOT NULL,
  mutating         boolean NOT NULL,
  reversible       boolean NOT NULL,
  target_functions text[] NOT NULL,
  registered_at    timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT dot_iu_command_catalog_pkey PRIMARY KEY (command_name),
  CONSTRAINT dot_iu_command_catalog_name CHECK (command_name ~ '^[a-z][a-z0-9_.]*$'),
  CONSTRAINT dot_iu_command_catalog_category
    CHECK (category IN ('collection', 'piece', 'lifecycle', 'read', 'health')),
  CONSTRAINT dot_iu_command_catalog_target_functions
    CHECK (cardinality(target_functions) > 0 AND array_position(target_functions, NULL) IS NULL)
);
COMMENT ON TABLE public.dot_iu_command_catalog IS
  'The commands that may be logged as run. Migrations add theirs. (seed 4 A4; facts-core 2.1)';
COMMENT ON COLUMN public.dot_iu_command_catalog.command_name IS 'E.g. dot_iu_gate_open';
COMMENT ON COLUMN public.dot_iu_command_catalog.category IS 'collection, piece, lifecycle, read or health';
COMMENT ON COLUMN public.dot_iu_command_catalog.mutating IS 'Whether applying it changes anything';
COMMENT ON COLUMN public.dot_iu_command_catalog.reversible IS 'Whether there is a command that undoes it';
COMMENT ON COLUMN public.dot_iu_command_catalog.target_functions IS
  'Names, without arguments, of the functions in public that carry it out; each must exist';
COMMENT ON COLUMN public.dot_iu_command_catalog.registered_at IS 'Start of the transaction that registered it';

CREATE TABLE public.dot_iu_command_run (
  run_id        uuid NOT NULL DEFAULT gen_random_uuid(),
  command_name  text NOT NULL,
  category      text NOT NULL,
  run_mode      text NOT NULL,
  run_status    text NOT NULL,
  mutating      boolean NOT NULL,
  params_digest text,
  gate_snapshot jsonb,
  evidence      jsonb,
  actor         text NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT dot_iu_command_run_pkey PRIMARY KEY (run_id),
  CONSTRAINT dot_iu_command_run_category
    CHECK (category IN ('collection', 'piece', 'lifecycle', 'read', 'health')),
  CONSTRAINT dot_iu_command_run_mode CHECK (run_mode IN ('plan', 'apply', 'verify')),
  CONSTRAINT dot_iu_command_run_status
    CHECK (run_status IN ('planned', 'applied', 'verified', 'refused', 'failed')),
  CONSTRAINT dot_iu_command_run_params_digest CHECK (params_digest ~ '^([0-9a-f]{32}|[0-9a-f]{64})$'),
  CONSTRAINT dot_iu_command_run_actor CHECK (btrim(actor) <> '')
);
CREATE INDEX ix_dot_iu_command_run_command ON public.dot_iu_command_run (command_name, created_at DESC);
CREATE INDEX ix_dot_iu_command_run_status ON public.dot_iu_command_run (run_status, created_at DESC);
COMMENT ON TABLE public.dot_iu_command_run IS
  'Append-only ledger of command runs, refused and failed ones included. Written by fn_dot_iu_command_log only. (seed 4 A3; facts-core 2.2)';
COMMENT ON COLUMN public.dot_iu_command_run.run_id IS 'Identifies the run';
COMMENT ON COLUMN public.dot_iu_command_run.command_name IS 'The command; no foreign key, the ledger outlives the catalogue';
COMMENT ON COLUMN public.dot_iu_command_run.category IS 'collection, piece, lifecycle, read or health';
COMMENT ON COLUMN public.dot_iu_command_run.run_mode IS 'plan, apply or verify';
COMMENT ON COLUMN public.dot_iu_command_run.run_status IS 'planned, applied, verified, refused or failed';
COMMENT ON COLUMN public.dot_iu_command_run.mutating IS 'Whether this run could change anything';
COMMENT ON COLUMN public.dot_iu_command_run.params_digest IS 'MD5 or SHA-256 of the parameters in hex, never their values';
COMMENT ON COLUMN public.dot_iu_command_run.gate_snapshot IS 'The gates as the run met or left them';
COMMENT ON COLUMN public.dot_iu_command_run.evidence IS 'What the run found, did or was refused for';
COMMENT ON COLUMN public.dot_iu_command_run.actor IS 'Who ran it, as told by the caller';
COMMENT ON COLUMN public.dot_iu_command_run.created_at IS 'When the run was logged, by the clock';

CREATE TRIGGER trg_dot_iu_command_run_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.dot_iu_command_run
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_append_only();
ALTER TABLE public.dot_iu_command_run ENABLE ALWAYS TRIGGER trg_dot_iu_command_run_append_only;
COMMENT ON TRIGGER trg_dot_iu_command_run_append_only ON public.dot_iu_command_run IS
  'Keeps the ledger append-only. (facts-core 2.2)';

CREATE FUNCTION public.fn_dot_iu_command_log(
    p_command text, p_category text, p_run_mode text, p_run_status text, p_mutating boolean,
    p_params_digest text, p_gate_snapshot jsonb, p_evidence jsonb, p_actor text)
  RETURNS uuid
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_field   text;
  v_value   text;
  v_allowed text;
  v_run_id  uuid;
BEGIN
  IF NOT EXISTS (SELECT FROM public.dot_iu_command_catalog c WHERE c.command_name = p_command)
     AND (coalesce(btrim(p_command), '') = '' OR EXISTS (SELECT FROM public.dot_iu_command_catalog)) THEN
    RAISE check_violation USING
      MESSAGE = format('command %s is not in the catalogue', coalesce(quote_literal(p_command), 'NULL')),
      HINT = 'v_dot_iu_command_registry lists the commands; a migration adds new ones.';
  END IF;

  SELECT r.field, r.value, r.allowed INTO v_field, v_value, v_allowed
    FROM (VALUES
      (1, 'category', p_category, 'collection, piece, lifecycle, read, health',
       p_category IN ('collection', 'piece', 'lifecycle', 'read', 'health')),
      (2, 'run_mode', p_run_mode, 'plan, apply, verify', p_run_mode IN ('plan', 'apply', 'verify')),
      (3, 'run_status', p_run_status, 'planned, applied, verified, refused, failed',
       p_run_status IN ('planned', 'applied', 'verified', 'refused', 'failed')),
      (4, 'mutating', NULL, 'true, false', p_mutating IS NOT NULL),
      (5, 'params_digest', p_params_digest, 'an MD5 or SHA-256 in lower-case hex, or NULL',
       p_params_digest IS NULL OR p_params_digest ~ '^([0-9a-f]{32}|[0-9a-f]{64})$'),
      (6, 'actor', p_actor, 'any text that is not empty', btrim(p_actor) <> '')
    ) AS r (number, field, value, allowed, ok)
   WHERE r.ok IS NOT TRUE
   ORDER BY r.number LIMIT 1;
  IF FOUND THEN
    -- A digest that is none may be the raw parameters: it is not repeated.
    RAISE check_violation USING
      MESSAGE = CASE v_field WHEN 'params_digest' THEN 'params_digest is not a digest'
                     ELSE format('%s %s is not allowed', v_field, coalesce(quote_literal(v_value), 'NULL')) END,
      DETAIL = format('Allowed: %s.', v_allowed);
  END IF;

  INSERT INTO public.dot_iu_command_run
      (command_name, category, run_mode, run_status, mutating, params_digest, gate_snapshot, evidence, actor)
    VALUES (p_command, p_category, p_run_mode, p_run_status, p_mutating,
            p_params_digest, p_gate_snapshot, p_evidence, p_actor)
    RETURNING run_id INTO v_run_id;
  RETURN v_run_id;
END
$function$;
COMMENT ON FUNCTION public.fn_dot_iu_command_log(text, text, text, text, boolean, text, jsonb, jsonb, text) IS
  'Writes one run of a command to the ledger and returns its run_id. Ungated, so that refusals can be logged. Arguments: command, category, mode (plan, apply, verify), status (planned, applied, verified, refused, failed), whether it could change anything, MD5 or SHA-256 of the parameters or NULL, the gates, what was found, who. Error: 23514 for a command that is not in the catalogue (any passes while that is empty) and for a word outside the vocabulary, naming field and allowed words. (seed 4 A3; facts-core 2.3)';

CREATE VIEW public.v_dot_iu_command_registry AS
  SELECT c.command_name, c.category, c.mutating, c.reversible, c.target_functions, c.registered_at,
         m.missing_functions, cardinality(m.missing_functions) = 0 AS resolvable,
         r.runs, r.last_run_at, l.last_run_status
    FROM public.dot_iu_command_catalog c
    CROSS JOIN LATERAL (
      SELECT ARRAY(SELECT t.name FROM unnest(c.target_functions) AS t (name)
                    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_proc p
                                       WHERE p.proname = t.name
                                         AND p.pronamespace = 'public'::pg_catalog.regnamespace)
                    ORDER BY t.name) AS missing_functions) m
    CROSS JOIN LATERAL (
      SELECT count(*) AS runs, max(x.created_at) AS last_run_at
        FROM public.dot_iu_command_run x WHERE x.command_name = c.command_name) r
    LEFT JOIN LATERAL (
      SELECT x.run_status AS last_run_status
        FROM public.dot_iu_command_run x WHERE x.command_name = c.command_name
       ORDER BY x.created_at DESC LIMIT 1) l ON true;
COMMENT ON VIEW public.v_dot_iu_command_registry IS
  'The catalogue with, per command, target functions that do not exist (resolvable: none), runs logged, time and status of the last. (facts-core 2.2)';

CREATE VIEW public.v_dot_iu_command_run_health AS
  SELECT g.commands, g.unresolvable_commands, r.runs, r.runs_24h, r.refused_24h, r.failed_24h,
         r.unknown_command_runs, r.last_run_at, r.last_failed_at,
         g.commands > 0 AND g.unresolvable_commands = 0 AND r.failed_24h = 0
           AND r.unknown_command_runs = 0 AS healthy
    FROM (SELECT count(*) AS commands, count(*) FILTER (WHERE NOT v.resolvable) AS unresolvable_commands
            FROM public.v_dot_iu_command_registry v) g
    CROSS JOIN (
      SELECT count(*) AS runs,
             count(*) FILTER (WHERE x.created_at > now() - interval '24 hours') AS runs_24h,
             count(*) FILTER (WHERE x.created_at > now() - interval '24 hours' AND x.run_status = 'refused') AS refused_24h,
             count(*) FILTER (WHERE x.created_at > now() - interval '24 hours' AND x.run_status = 'failed') AS failed_24h,
             count(*) FILTER (WHERE c.command_name IS NULL) AS unknown_command_runs,
             max(x.created_at) AS last_run_at,
             max(x.created_at) FILTER (WHERE x.run_status = 'failed') AS last_failed_at
        FROM public.dot_iu_command_run x
        LEFT JOIN public.dot_iu_command_catalog c ON c.command_name = x.command_name) r;
COMMENT ON VIEW public.v_dot_iu_command_run_health IS
  'One row: commands, those whose target functions are missing, runs in all and in 24 hours, refused and failed in 24 hours, runs of commands that are not in the catalogue, last run, last failure, healthy. (facts-core 2.2, 11.2)';

GRANT SELECT ON public.dot_iu_command_catalog, public.dot_iu_command_run,
  public.v_dot_iu_command_registry, public.v_dot_iu_command_run_health TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
  public.fn_dot_iu_command_log(text, text, text, text, boolean, text, jsonb, jsonb, text)
  TO iu_core_writer, iu_core_operator;

SELECT public.fn_iu_govern(2, 'table', 'dot_iu_command_catalog', 'dot_iu_command_run');
SELECT public.fn_iu_govern(2, 'view', 'v_dot_iu_command_registry', 'v_dot_iu_command_run_health');
SELECT public.fn_iu_govern(2, 'function',
  'fn_iu_append_only()', 'fn_dot_iu_command_log(text,text,text,text,boolean,text,jsonb,jsonb,text)');
SELECT public.fn_iu_govern(2, 'trigger', 'trg_dot_iu_command_run_append_only ON dot_iu_command_run');

SELECT public.fn_iu_conformance_require(2);
