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
  session_role  name NOT NULL DEFAULT session_user,
  session_oid   oid NOT NULL DEFAULT iu_core.login(),
  acting_role   name DEFAULT pg_get_userbyid(iu_core.caller()),
  acting_oid    oid DEFAULT iu_core.caller(),
  CONSTRAINT dot_iu_command_run_pkey PRIMARY KEY (run_id),
  CONSTRAINT dot_iu_command_run_category
    CHECK (category IN ('collection', 'piece', 'lifecycle', 'read', 'health')),
  CONSTRAINT dot_iu_command_run_mode CHECK (run_mode IN ('plan', 'apply', 'verify')),
  CONSTRAINT dot_iu_command_run_status
    CHECK (run_status IN ('planned', 'applied', 'verified', 'refused', 'failed')),
  CONSTRAINT dot_iu_command_run_params_digest CHECK (params_digest ~ '^([0-9a-f]{32}|[0-9a-f]{64})$'),
  CONSTRAINT dot_iu_command_run_actor CHECK (iu_core.text_problem(actor, false) IS NULL)
);
CREATE INDEX ix_dot_iu_command_run_command ON public.dot_iu_command_run (command_name, created_at DESC);
CREATE INDEX ix_dot_iu_command_run_status ON public.dot_iu_command_run (run_status, created_at DESC);
COMMENT ON TABLE public.dot_iu_command_run IS
  'Append-only ledger of command runs, refused and failed ones included. Written by the functions that carry commands '
  'out, and by fn_dot_iu_command_log.';
COMMENT ON COLUMN public.dot_iu_command_run.run_id IS 'Identifies the run';
COMMENT ON COLUMN public.dot_iu_command_run.command_name IS
  'The command; no foreign key, the ledger outlives the catalogue';
COMMENT ON COLUMN public.dot_iu_command_run.category IS 'collection, piece, lifecycle, read or health';
COMMENT ON COLUMN public.dot_iu_command_run.run_mode IS 'plan, apply or verify';
COMMENT ON COLUMN public.dot_iu_command_run.run_status IS 'planned, applied, verified, refused or failed';
COMMENT ON COLUMN public.dot_iu_command_run.mutating IS 'Whether this run could change anything';
COMMENT ON COLUMN public.dot_iu_command_run.params_digest IS
  'MD5 or SHA-256 of the parameters in hex, never their values';
COMMENT ON COLUMN public.dot_iu_command_run.gate_snapshot IS 'The gates as the run met or left them';
COMMENT ON COLUMN public.dot_iu_command_run.evidence IS 'What the run found, did or was refused for';
COMMENT ON COLUMN public.dot_iu_command_run.actor IS 'Who ran it, as told by the caller';
COMMENT ON COLUMN public.dot_iu_command_run.created_at IS 'When the run was logged, by the clock';
COMMENT ON COLUMN public.dot_iu_command_run.session_role IS
  'The role that logged in, whatever actor says; set by the server';
COMMENT ON COLUMN public.dot_iu_command_run.session_oid IS 'Its oid: a later role of the same name is another';
COMMENT ON COLUMN public.dot_iu_command_run.acting_role IS
  'The role in whose name it ran: the one of SET ROLE, or session_role; set by the server. NULL: in nobody''s name';
COMMENT ON COLUMN public.dot_iu_command_run.acting_oid IS 'Its oid';

CREATE TRIGGER trg_dot_iu_command_run_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.dot_iu_command_run
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE public.dot_iu_command_run ENABLE ALWAYS TRIGGER trg_dot_iu_command_run_append_only;
COMMENT ON TRIGGER trg_dot_iu_command_run_append_only ON public.dot_iu_command_run IS
  'Keeps the ledger append-only.';

CREATE FUNCTION iu.fn_dot_iu_command_write(
    p_command text, p_category text, p_run_mode text, p_run_status text, p_mutating boolean,
    p_params_digest text, p_gate_snapshot jsonb, p_evidence jsonb, p_actor text)
  RETURNS uuid
  LANGUAGE plpgsql
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
      MESSAGE = format('command %s is not in the catalogue', iu_core.text_shown(p_command)),
      DETAIL = format('Command: %s.', iu_core.text_shown(p_command)),
      HINT = 'v_dot_iu_command_registry lists the commands; a migration adds new ones.',
      CONSTRAINT = 'iu_command_unknown';
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
      (6, 'actor', p_actor, 'a text in one line, of up to 200 characters',
       iu_core.text_problem(p_actor, false) IS NULL),
      (7, 'evidence', NULL, 'up to a megabyte',
       coalesce(octet_length(p_evidence::text), 0) + coalesce(octet_length(p_gate_snapshot::text), 0) <= 1048576)
    ) AS r (number, field, value, allowed, ok)
   WHERE r.ok IS NOT TRUE
   ORDER BY r.number LIMIT 1;
  IF FOUND THEN
    -- What is no digest may be the raw parameters, so the message does not repeat it.
    RAISE check_violation USING
      MESSAGE = CASE v_field WHEN 'params_digest' THEN 'params_digest is not a digest'
                     WHEN 'evidence' THEN 'the evidence is too large'
                     ELSE format('%s %s is not allowed', v_field, iu_core.text_shown(v_value)) END,
      DETAIL = format('Allowed: %s.', v_allowed), CONSTRAINT = 'iu_command_run_' || v_field;
  END IF;

  INSERT INTO public.dot_iu_command_run
      (command_name, category, run_mode, run_status, mutating, params_digest, gate_snapshot, evidence, actor)
    VALUES (p_command, p_category, p_run_mode, p_run_status, p_mutating,
            p_params_digest, p_gate_snapshot, p_evidence, p_actor)
    RETURNING run_id INTO v_run_id;
  RETURN v_run_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_dot_iu_command_write IS
  'Writes one run to the ledger, for the function that carries the command out; returns its run_id. Arguments and '
  'errors are those of public.fn_dot_iu_command_log, but that any command of the catalogue may be given.';

-- Who may log what is asked here, and not where the functions log themselves.
CREATE FUNCTION iu.fn_dot_iu_command_log(
    p_command text, p_category text, p_run_mode text, p_run_status text, p_mutating boolean,
    p_params_digest text, p_gate_snapshot jsonb, p_evidence jsonb, p_actor text)
  RETURNS uuid
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF EXISTS (SELECT FROM public.dot_iu_command_catalog c
              WHERE c.command_name = p_command AND c.logged_by <> 'caller') THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('command %s logs its own runs, and nobody else does', quote_literal(p_command)),
      DETAIL = format('Commands that are logged by hand: %s.', coalesce(
        (SELECT string_agg(c.command_name, ', ' ORDER BY c.command_name) FROM public.dot_iu_command_catalog c
          WHERE c.logged_by = 'caller'), 'none')),
      HINT = 'Call its function, which logs what it did.', CONSTRAINT = 'iu_command_logs_itself';
  END IF;
  RETURN iu.fn_dot_iu_command_write(p_command, p_category, p_run_mode, p_run_status, p_mutating, p_params_digest,
                                    p_gate_snapshot, p_evidence, p_actor);
END
$function$;
COMMENT ON FUNCTION iu.fn_dot_iu_command_log IS
  'What public.fn_dot_iu_command_log hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_dot_iu_command_log(
    p_command text, p_category text, p_run_mode text, p_run_status text, p_mutating boolean,
    p_params_digest text, p_gate_snapshot jsonb, p_evidence jsonb, p_actor text)
  RETURNS uuid
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_operator}') THEN
  iu.fn_dot_iu_command_log(p_command, p_category, p_run_mode, p_run_status, p_mutating, p_params_digest,
                           p_gate_snapshot, p_evidence, p_actor) END;
COMMENT ON FUNCTION public.fn_dot_iu_command_log IS
  'Writes one run of a command that its caller logs (logged_by in dot_iu_command_catalog) to the ledger and returns '
  'its run_id, with the roles that logged in and act as the server knows them. Ungated, so that refusals can be '
  'logged. Arguments: command, category, mode (plan, apply, verify), status (planned, applied, verified, refused, '
  'failed), whether it could change anything, MD5 or SHA-256 of the parameters or NULL, the gates, what was found, '
  'who. Errors: 42501 for a command that logs itself, 23514 for a command that is not in the catalogue (any passes '
  'while that is empty) and for a word outside the vocabulary, naming field and allowed words.';
