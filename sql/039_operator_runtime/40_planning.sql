-- Planning: what would be called, with what, and which gates it needs. Nothing of the
-- target runs.

-- What every mode asks first.
CREATE FUNCTION iu.fn_iu_command_check(
    p_command_name text, p_params jsonb, p_actor text, OUT command public.dot_iu_command_catalog,
    OUT target regprocedure, OUT refusal jsonb)
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem text;
BEGIN
  IF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    refusal := iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters');
    RETURN;
  ELSIF iu.fn_iu_json_fits(p_params, 1048576) IS FALSE THEN
    refusal := iu.fn_iu_invalid('params', 'a longer one', 'an object of up to 1048576 bytes');
    RETURN;
  END IF;
  SELECT c.* INTO command FROM public.dot_iu_command_catalog c WHERE c.command_name = p_command_name;
  IF NOT FOUND THEN
    refusal := iu.fn_iu_answer('command_unknown', 'command',
      format('There is no command %s.', iu_core.text_shown(p_command_name)), 'look_at_v_dot_iu_command_registry');
    RETURN;
  END IF;
  target := iu.fn_iu_command_target(command.target_functions);
  v_problem := CASE WHEN target IS NOT NULL THEN iu.fn_iu_command_params_problem(target, p_params, p_actor) END;
  refusal := CASE
    WHEN target IS NULL THEN iu.fn_iu_answer('command_not_callable', 'command',
      format('%s has not one function that can be called by name: %s. Call one of them itself.', command.command_name,
             array_to_string(command.target_functions, ', ')), 'call_the_function')
    WHEN has_function_privilege(iu_core.caller(), target, 'EXECUTE') IS NOT TRUE THEN
      iu.fn_iu_answer('not_permitted', 'command', format('You may not execute %s.', target), 'ask_an_administrator')
    WHEN v_problem IS NOT NULL THEN
      iu.fn_iu_answer('invalid_input', 'params', v_problem, 'correct_the_argument') END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_command_check IS
  'For the operator runtime: name of a command, values for its target, who. The command, its target, and the refusal, '
  'or NULL: invalid_input (actor, params), command_unknown, command_not_callable, not_permitted. Where command is not '
  'NULL the refusal can be logged. Raises nothing but a cancel (57014).';

CREATE FUNCTION iu.fn_dot_iu_command_plan(p_command text, p_params jsonb, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_check  record;
  v_gates  jsonb;
  v_is_dry boolean;
BEGIN
  SELECT c.* INTO v_check FROM iu.fn_iu_command_check(p_command, p_params, p_actor) c;
  IF v_check.refusal IS NOT NULL AND (v_check.command).command_name IS NULL THEN
    RETURN v_check.refusal;
  ELSIF v_check.refusal IS NOT NULL THEN
    RETURN iu.fn_iu_command_refuse(v_check.command, 'plan', p_params, v_check.refusal, p_actor);
  END IF;
  v_is_dry := iu.fn_iu_command_is_dry(v_check.target, p_params);
  v_gates := iu.fn_iu_command_gates(p_command, v_is_dry);
  RETURN jsonb_build_object('status', 'planned', 'command_name', p_command,
    'category', (v_check.command).category, 'mutating', (v_check.command).mutating,
    'reversible', (v_check.command).reversible, 'target', v_check.target::text, 'dry_run', v_is_dry,
    'arguments', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.name, 'type', a.type, 'required', a.required,
                    'given', p_params ? a.name OR a.name = 'p_actor') ORDER BY a.n), '[]')
                    FROM iu.fn_iu_command_arguments(v_check.target) a),
    'gates', v_gates, 'closed_gates', to_jsonb(iu.fn_iu_command_closed(v_gates)),
    'run_id', iu.fn_iu_command_row(v_check.command, 'plan', 'planned', p_params,
      jsonb_build_object('target', v_check.target::text, 'closed_gates', to_jsonb(iu.fn_iu_command_closed(v_gates))),
      p_actor));
END
$function$;
COMMENT ON FUNCTION iu.fn_dot_iu_command_plan IS
  'What public.fn_dot_iu_command_plan hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_dot_iu_command_plan(p_command text, p_params jsonb, p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator,iu_core_writer,iu_core_agent}') THEN
  iu.fn_dot_iu_command_plan(p_command, p_params, p_actor) END;
COMMENT ON FUNCTION public.fn_dot_iu_command_plan IS
  'Says what applying a command would call, and logs that: command, the arguments of its target by name, as an object '
  'of up to 1 MiB, who. Nothing of the target runs. Returns {status: planned, command_name, category, mutating, '
  'reversible, target, dry_run (it would only try), arguments: [{name, type, required, given}], gates: {gate_key: '
  'open}, closed_gates, run_id}. Refusals {status, field, guidance, next_action}: invalid_input (actor, params), '
  'command_unknown, command_not_callable (its row does not name exactly one function of schema public), not_permitted '
  '(whoever acts may not execute the target). Logged as refused, with run_id, but for actor, longer params and '
  'command_unknown.';
