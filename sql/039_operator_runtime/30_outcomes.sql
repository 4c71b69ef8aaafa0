-- What came of a call, and what the ledger says of it.

CREATE FUNCTION iu.fn_iu_command_outcome(p_answer jsonb, p_is_dry boolean) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN CASE
  WHEN coalesce(p_answer, 'null') IN ('null', 'false') THEN 'refused'
  WHEN jsonb_typeof(p_answer) = 'object'
       AND (coalesce(p_answer -> 'refused', 'false') NOT IN ('false', '[]')
            OR coalesce(p_answer -> 'ok', 'true') <> 'true' OR p_answer ? 'guidance'
            OR p_answer ? 'status' AND p_answer ->> 'status' IS DISTINCT FROM 'plan_ok'
               AND (p_answer ->> 'status' LIKE 'would\_%') IS NOT TRUE
               AND NOT EXISTS (SELECT FROM public.iu_command_done d WHERE d.status = p_answer ->> 'status'))
    THEN 'refused'
  WHEN p_is_dry OR jsonb_typeof(p_answer) = 'object'
       AND (p_answer ->> 'status' LIKE 'would\_%' OR p_answer ->> 'status' IN ('plan_ok', 'dry_run')
            OR p_answer -> 'dry_run' = 'true')
    THEN 'planned'
  ELSE 'applied' END;
COMMENT ON FUNCTION iu.fn_iu_command_outcome IS
  'What an answer of a target says: refused (no answer, false, an object with guidance, with refused that is neither '
  'false nor an empty list, with ok that is not true, or with a status that is not in iu_command_done), '
  'planned (it only tried), or applied. Arguments: answer, whether it was asked only to try. Raises nothing.';

CREATE FUNCTION iu.fn_iu_command_gates(p_command text, p_is_dry boolean) RETURNS jsonb
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT jsonb_object_agg(g.gate_key, iu_core.gate_is_open(g.gate_key))
    FROM (SELECT 'iu_core.operator_runtime_enabled' AS gate_key
          UNION
          SELECT c.gate_key FROM public.iu_command_gate c WHERE c.command_name = p_command AND NOT p_is_dry) g;
END;
COMMENT ON FUNCTION iu.fn_iu_command_gates IS
  'The gates that a command needs in order to be applied, each with whether it is open now: command, whether it is '
  'only to try, which needs that of the runtime alone. Raises nothing.';

CREATE FUNCTION iu.fn_iu_command_closed(p_gates jsonb) RETURNS text[]
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN ARRAY(SELECT g.key FROM jsonb_each(p_gates) g WHERE g.value <> 'true' ORDER BY g.key COLLATE "C");
COMMENT ON FUNCTION iu.fn_iu_command_closed IS
  'Which gates are closed, of those that fn_iu_command_gates returned. Raises nothing.';

CREATE FUNCTION iu.fn_iu_command_gates_refusal(p_closed text[]) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN p_closed <> '{}' THEN
  iu.fn_iu_answer('gates_closed', NULL,
    format('Closed: %s. Open them with fn_iu_gate_open, each with an approval and a time limit.',
           array_to_string(p_closed, ', ')), 'fn_iu_gate_open')
  || jsonb_build_object('closed_gates', to_jsonb(p_closed)) END;
COMMENT ON FUNCTION iu.fn_iu_command_gates_refusal IS
  'The refusal gates_closed with the gates in closed_gates; NULL where there is none. Argument: the gates.';

-- The parameters are never in it, nor what a target answered but for the word: both may hold what is nobody's business.
CREATE FUNCTION iu.fn_iu_command_row(
    p_command public.dot_iu_command_catalog, p_run_mode text, p_run_status text, p_params jsonb, p_evidence jsonb,
    p_actor text)
  RETURNS uuid
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
RETURN iu.fn_dot_iu_command_write((p_command).command_name, (p_command).category, p_run_mode, p_run_status,
  (p_command).mutating, encode(sha256(convert_to((p_params - 'p_actor')::text, 'UTF8')), 'hex'),
  iu.fn_iu_gate_snapshot(), jsonb_strip_nulls(jsonb_build_object('by', 'operator_runtime') || p_evidence), p_actor);
COMMENT ON FUNCTION iu.fn_iu_command_row IS
  'Writes one run of the operator runtime to the ledger, and returns its run_id: command, mode, status, values (of '
  'which the digest is kept, without p_actor), evidence, who. Errors: as fn_dot_iu_command_write.';

CREATE FUNCTION iu.fn_iu_command_refuse(
    p_command public.dot_iu_command_catalog, p_run_mode text, p_params jsonb, p_refusal jsonb, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN p_refusal || jsonb_build_object('run_id', iu.fn_iu_command_row(p_command, p_run_mode,
    CASE p_refusal ->> 'status' WHEN 'target_failed' THEN 'failed' ELSE 'refused' END, p_params,
    jsonb_build_object('status', p_refusal -> 'status', 'field', p_refusal -> 'field',
      'closed_gates', p_refusal -> 'closed_gates', 'answered', p_refusal -> 'answer' -> 'status',
      'sqlstate', p_refusal -> 'sqlstate', 'constraint', p_refusal -> 'constraint'), p_actor));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_command_refuse IS
  'Logs a refusal or a failure, and returns it with run_id: command, mode, values, refusal, who.';

-- What a target refuses or raises is undone, so that nothing is left of what the ledger does not call applied.
CREATE FUNCTION iu.fn_iu_command_call(
    p_command public.dot_iu_command_catalog, p_target regprocedure, p_params jsonb, p_asks_gates boolean,
    p_keeps boolean)
  RETURNS jsonb
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_is_dry    CONSTANT boolean := iu.fn_iu_command_is_dry(p_target, p_params);
  v_statement CONSTANT text := iu.fn_iu_command_statement(p_target, p_params);
  v_closed    text[];
  v_answer    jsonb;
  v_outcome   text;
  v_name      text;
  v_message   text;
BEGIN
  IF p_asks_gates THEN
    v_closed := iu.fn_iu_command_closed(iu.fn_iu_command_gates((p_command).command_name, v_is_dry));
    IF v_closed <> '{}' THEN
      RETURN iu.fn_iu_command_gates_refusal(v_closed);
    END IF;
  END IF;
  BEGIN
    v_answer := iu_core.call_for_caller(v_statement, p_params);
    v_outcome := iu.fn_iu_command_outcome(v_answer, v_is_dry);
    IF v_outcome = 'refused' OR NOT p_keeps THEN
      RAISE SQLSTATE 'IU000' USING
        MESSAGE = 'undone';
    END IF;
  EXCEPTION WHEN SQLSTATE 'IU000' THEN
    v_outcome := coalesce(v_outcome, 'refused');
  WHEN OTHERS OR assert_failure THEN
    GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT, v_name = CONSTRAINT_NAME;
    RETURN iu.fn_iu_answer(CASE WHEN SQLSTATE = '42501' OR EXISTS (SELECT FROM public.iu_refusal r
                                  WHERE r.constraint_name = v_name) THEN 'target_refused' ELSE 'target_failed' END,
        NULL, format('%s raised: %s.', p_target, v_message), 'read_the_error')
      || jsonb_build_object('sqlstate', SQLSTATE, 'constraint', nullif(v_name, ''));
  END;
  IF v_outcome = 'refused' THEN
    RETURN iu.fn_iu_answer('target_refused', NULL,
        coalesce(v_answer ->> 'guidance', format('%s refused; its answer says why.', p_target)),
        coalesce(v_answer ->> 'next_action', 'read_the_answer'))
      || jsonb_build_object('answer', coalesce(v_answer, 'null'));
  END IF;
  RETURN jsonb_build_object('status', v_outcome, 'answer', v_answer);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_command_call IS
  'Calls the target of a command with the rights of whoever acts: command, target, values, whether the gates are '
  'asked right before, whether what it did stays. Returns {status: applied | planned, answer}, or the refusal '
  'gates_closed, target_refused or target_failed; of a target that refused or raised nothing is left. Raises nothing '
  'but a cancel (57014).';
