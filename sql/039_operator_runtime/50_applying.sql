-- Applying a command, and verifying that it could be, or was.

CREATE FUNCTION iu.fn_iu_command_carry_out(
    p_mode text, p_command text, p_params jsonb, p_actor text, p_asks_gates boolean, p_keeps boolean,
    OUT command public.dot_iu_command_catalog, OUT target regprocedure, OUT answer jsonb)
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_check  record;
  v_params jsonb;
BEGIN
  SELECT c.* INTO v_check FROM iu.fn_iu_command_check(p_command, p_params, p_actor) c;
  command := v_check.command;
  target := v_check.target;
  answer := v_check.refusal;
  IF answer IS NULL AND p_asks_gates THEN
    answer := iu.fn_iu_command_gates_refusal(
      iu.fn_iu_command_closed(iu.fn_iu_command_gates(p_command, iu.fn_iu_command_is_dry(target, p_params))));
  END IF;
  IF answer IS NULL THEN
    v_params := iu.fn_iu_command_params_of(target, p_params, p_actor)
      || CASE WHEN NOT p_keeps AND EXISTS (SELECT FROM iu.fn_iu_command_arguments(target) a WHERE a.name = 'p_dry_run')
              THEN '{"p_dry_run": true}' ELSE '{}' END::jsonb;
    IF p_keeps OR NOT command.mutating OR iu.fn_iu_command_is_dry(target, v_params) THEN
      answer := iu.fn_iu_command_call(command, target, v_params, p_asks_gates, p_keeps);
    END IF;
  END IF;
  IF command.command_name IS NOT NULL AND answer ? 'guidance' THEN
    answer := iu.fn_iu_command_refuse(command, p_mode, p_params, answer, p_actor);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_command_carry_out IS
  'For the operator runtime: mode, command, values, who, whether the gates are asked, whether what the target does '
  'stays; where it does not, a target that takes p_dry_run only tries, and another that changes something is not '
  'called. Returns the command, its target, and the answer of fn_iu_command_call, a refusal, which is logged, or '
  'NULL: nothing was called.';

CREATE FUNCTION iu.fn_dot_iu_command_apply(p_command text, p_params jsonb, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_done record;
BEGIN
  SELECT c.* INTO v_done FROM iu.fn_iu_command_carry_out('apply', p_command, p_params, p_actor, true, true) c;
  IF v_done.answer ? 'guidance' THEN
    RETURN v_done.answer;
  END IF;
  RETURN v_done.answer || jsonb_build_object('command_name', p_command, 'run_id',
    iu.fn_iu_command_row(v_done.command, CASE v_done.answer ->> 'status' WHEN 'planned' THEN 'plan' ELSE 'apply' END,
      v_done.answer ->> 'status', p_params, jsonb_build_object('target', v_done.target::text,
        'answered', v_done.answer -> 'answer' -> 'status', 'logged_as', v_done.answer -> 'answer' -> 'run_id'),
      p_actor));
END
$function$;
COMMENT ON FUNCTION iu.fn_dot_iu_command_apply IS
  'What public.fn_dot_iu_command_apply hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_dot_iu_command_apply(p_command text, p_params jsonb, p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator,iu_core_writer,iu_core_agent}') THEN
  iu.fn_dot_iu_command_apply(p_command, p_params, p_actor) END;
COMMENT ON FUNCTION public.fn_dot_iu_command_apply IS
  'Calls the target of a command with the rights of whoever acts, and logs what came of it: command, the arguments of '
  'its target by name, as an object of up to 1 MiB (p_actor is filled in), who. Gate iu_core.operator_runtime_enabled, '
  'and those of the command (iu_command_gate; not of a dry run), must be open; they are asked before anything else of '
  'the target, and again right before it is called. Returns {status: applied, or planned where the target only tried, '
  'answer, command_name, run_id}. Refusals {status, field, guidance, next_action}: those of fn_dot_iu_command_plan, '
  'gates_closed {closed_gates}, target_refused {answer, or sqlstate and constraint}, logged as refused; target_failed '
  '{sqlstate, constraint}, logged as failed. A target that answers with a word that is not in iu_command_done, or '
  'raises, leaves nothing behind. The ledger has a digest of the arguments, never their values.';

CREATE FUNCTION iu.fn_dot_iu_command_verify(p_command text, p_params jsonb, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_mutating CONSTANT boolean := coalesce((SELECT c.mutating FROM public.dot_iu_command_catalog c
                                            WHERE c.command_name = p_command), true);
  v_done     record;
  v_last     jsonb;
BEGIN
  SELECT c.* INTO v_done
    FROM iu.fn_iu_command_carry_out('verify', p_command, p_params, p_actor, v_mutating, false) c;
  IF v_done.answer ? 'guidance' THEN
    RETURN v_done.answer;
  END IF;
  SELECT jsonb_build_object('run_id', r.run_id, 'actor', r.actor, 'created_at', r.created_at) INTO v_last
    FROM public.dot_iu_command_run r
   WHERE r.command_name = p_command AND r.run_status = 'applied'
     AND r.params_digest = encode(sha256(convert_to((p_params - 'p_actor')::text, 'UTF8')), 'hex')
   ORDER BY r.created_at DESC LIMIT 1;
  RETURN jsonb_build_object('status', 'verified', 'command_name', p_command, 'target', v_done.target::text,
    'answer', v_done.answer -> 'answer', 'last_applied', v_last,
    'run_id', iu.fn_iu_command_row(v_done.command, 'verify', 'verified', p_params,
      jsonb_build_object('target', v_done.target::text, 'answered', v_done.answer -> 'answer' -> 'status',
        'last_applied', v_last -> 'run_id'), p_actor));
END
$function$;
COMMENT ON FUNCTION iu.fn_dot_iu_command_verify IS
  'What public.fn_dot_iu_command_verify hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_dot_iu_command_verify(p_command text, p_params jsonb, p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator,iu_core_writer,iu_core_agent}') THEN
  iu.fn_dot_iu_command_verify(p_command, p_params, p_actor) END;
COMMENT ON FUNCTION public.fn_dot_iu_command_verify IS
  'Whether a command would be applied now, and when it was last with these values, and logs that: command, the '
  'arguments of its target by name, as an object of up to 1 MiB, who. Changes nothing: a command that only reads is '
  'carried out, for which no gate needs to be open; of one that changes something its gates are asked, and where its '
  'target takes p_dry_run it is called to try only, and what that leaves is undone. Returns {status: verified, '
  'command_name, target, answer of the target or null, last_applied: {run_id, actor, created_at} or null, run_id}. '
  'Refusals: as fn_dot_iu_command_apply.';
