-- What the functions that change something say to the ledger, and what the
-- rollbacks take out of it again.

CREATE FUNCTION iu.fn_dot_iu_command_note(
    p_command text, p_kind text, p_subject text, p_run_status text, p_actor text, p_reason text, p_evidence jsonb)
  RETURNS uuid
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_command public.dot_iu_command_catalog;
  v_gates   jsonb;
BEGIN
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  -- The gates come with migration 003.
  IF to_regprocedure('iu.fn_iu_gate_snapshot()') IS NOT NULL THEN
    v_gates := iu.fn_iu_gate_snapshot();
  END IF;
  SELECT * INTO v_command FROM public.dot_iu_command_catalog c WHERE c.command_name = p_command;
  RETURN iu.fn_dot_iu_command_write(p_command, coalesce(v_command.category, 'health'),
    CASE p_run_status WHEN 'planned' THEN 'plan' WHEN 'verified' THEN 'verify' ELSE 'apply' END, p_run_status,
    coalesce(v_command.mutating, true), md5(coalesce(p_subject, '')), v_gates,
    CASE WHEN p_kind IS NULL THEN '{}' ELSE jsonb_build_object(p_kind, iu_core.text_made_fit(p_subject, true)) END
      || jsonb_build_object('reason', p_reason) || coalesce(p_evidence, '{}'), p_actor);
END
$function$;
COMMENT ON FUNCTION iu.fn_dot_iu_command_note IS
  'How a function that changes something logs its own run, with the gates as they stand; returns the run_id. '
  'Arguments: its command; the kind of what it was done to, as a key of the evidence (route_code, gate_key), or NULL; '
  'which one, whose MD5 is the digest of the parameters; planned, applied, verified, refused or failed; who; why; '
  'further evidence, or NULL. Errors: 23514 without actor or reason, and as fn_dot_iu_command_write has them.';

CREATE FUNCTION iu.fn_dot_iu_command_forget(p_commands text[]) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu_core.guard_rows('public.dot_iu_command_run', format('command_name = ANY (%L::text[])', p_commands));
  ALTER TABLE public.dot_iu_command_run DISABLE TRIGGER trg_dot_iu_command_run_append_only;
  DELETE FROM public.dot_iu_command_run r WHERE r.command_name = ANY (p_commands);
  ALTER TABLE public.dot_iu_command_run ENABLE ALWAYS TRIGGER trg_dot_iu_command_run_append_only;
  DELETE FROM public.dot_iu_command_catalog c WHERE c.command_name = ANY (p_commands);
END
$function$;
COMMENT ON FUNCTION iu.fn_dot_iu_command_forget IS
  'For rollbacks: takes the commands of a migration out of the catalogue, and their runs out of the ledger. '
  'Errors: 55006 where runs would be lost, unless the rollback allows that; 55000 outside of a rollback.';
