-- Applying: what was planned is done, all of it in one transaction.

CREATE FUNCTION iu.fn_iu_structure_call_refusal(p_operation_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE
  WHEN p_operation_id IS NULL THEN iu.fn_iu_invalid('operation_id', NULL, 'the id of a structure operation')
  WHEN p_actor IS NOT NULL AND iu_core.text_problem(p_actor, false) IS NOT NULL
    THEN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters, or NULL')
  WHEN p_reason IS NOT NULL AND iu_core.text_problem(p_reason, true) IS NOT NULL
    THEN iu.fn_iu_invalid('reason', p_reason, 'why, in up to 2000 characters in one line, or NULL') END;
COMMENT ON FUNCTION iu.fn_iu_structure_call_refusal IS
  'The refusal invalid_input of what applies an operation or takes it back, or NULL: its id, who, why.';

CREATE FUNCTION iu.fn_iu_structure_status_answer(
    p_operation public.iu_structure_operation, p_operation_id uuid, p_from text, p_to text)
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE
  WHEN (p_operation).id IS NULL
    THEN iu.fn_iu_answer('operation_not_found', 'operation_id',
           format('There is no structure operation %s.', p_operation_id), 'look_at_v_iu_structure_operation_log')
  WHEN (p_operation).operation_status = p_to
    THEN jsonb_build_object('status', 'idempotent_replay', 'operation_id', (p_operation).id,
           'operation_type', (p_operation).operation_type, 'operation_status', p_to,
           'created_unit_ids', (p_operation).impact_summary -> 'created_unit_ids')
  WHEN (p_operation).operation_status <> p_from
    THEN iu.fn_iu_answer('fsm_denied', 'operation_id',
           format('An operation that is %s does not become %s.', (p_operation).operation_status, p_to),
           'fn_iu_structure_op_plan')
         || jsonb_build_object('from', (p_operation).operation_status, 'to', p_to, 'allowed', jsonb_build_array(p_from))
  END;
COMMENT ON FUNCTION iu.fn_iu_structure_status_answer IS
  'What is answered where an operation is not in the status from which it is taken on, or NULL: operation_not_found, '
  'idempotent_replay (it was done already), fsm_denied. Arguments: the operation (NULL: there is none), its id as '
  'given, the status before and after.';

CREATE FUNCTION iu.fn_iu_structure_op_write(p_operation public.iu_structure_operation, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_created uuid[];
  v_impact  jsonb;
BEGIN
  PERFORM iu.fn_iu_structure_require('fn_iu_structure_op_apply');
  v_created := iu.fn_iu_structure_mint(iu.fn_iu_structure_rows(p_operation), p_actor);
  v_impact := p_operation.impact_summary
    || jsonb_build_object('applied_by', p_actor, 'created_unit_ids', to_jsonb(v_created));
  IF p_operation.operation_type = 'reparent_piece' THEN
    v_impact := v_impact || jsonb_build_object('previous_parent_unit_id',
      iu.fn_iu_structure_move(p_operation.id, p_operation.source_unit_ids[1], p_operation.parent_unit_id, p_actor));
  ELSE
    IF p_operation.operation_type <> 'add_new_piece' THEN
      v_impact := v_impact || jsonb_build_object('previous_status',
        iu.fn_iu_structure_deprecate(p_operation, v_created, p_actor));
    END IF;
    PERFORM iu.fn_iu_structure_relate(p_operation, v_created);
  END IF;
  UPDATE public.iu_structure_operation o
     SET operation_status = 'enacted', enacted_at = clock_timestamp(), updated_at = now(), impact_summary = v_impact
   WHERE o.id = p_operation.id;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_structure_operation o
             WHERE o.id = p_operation.id AND o.operation_status = 'enacted'),
    'public.iu_structure_operation', 'applying the operation');
  RETURN jsonb_build_object('status', 'enacted', 'operation_id', p_operation.id,
    'operation_type', p_operation.operation_type, 'operation_status', 'enacted',
    'created_unit_ids', to_jsonb(v_created), 'event_emitted',
    iu.fn_iu_structure_events(p_operation, v_created, p_actor));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_op_write IS
  'For fn_iu_structure_op_apply, which pins its search_path and whose marker is in force: does what was planned. It '
  'asks the gate by itself, whoever has asked it before. Arguments: the operation, who. Errors: as '
  'fn_iu_structure_require and fn_iu_structure_mint.';

CREATE FUNCTION iu.fn_iu_structure_op_apply(p_operation_id uuid, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off
  SET app.canonical_writer = 'fn_iu_structure_op'
AS $function$
DECLARE
  v_operation public.iu_structure_operation;
  v_answer    jsonb;
BEGIN
  PERFORM iu.fn_iu_structure_require('fn_iu_structure_op_apply');
  v_answer := iu.fn_iu_structure_call_refusal(p_operation_id, p_actor, NULL);
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  -- Of two calls at once the second sees what the first has written.
  SELECT o.* INTO v_operation FROM public.iu_structure_operation o WHERE o.id = p_operation_id FOR NO KEY UPDATE;
  v_answer := iu.fn_iu_structure_status_answer(v_operation, p_operation_id, 'planned', 'enacted');
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  PERFORM iu.fn_iu_structure_lock('{}', v_operation.source_unit_ids, v_operation.target_unit_ids,
    ARRAY[v_operation.parent_unit_id,
          (SELECT u.parent_or_container_ref FROM public.information_unit u
            WHERE u.id = v_operation.source_unit_ids[1])]);
  IF v_operation.operation_type = 'reparent_piece' THEN
    PERFORM iu.fn_iu_structure_tree_lock(v_operation.source_unit_ids, v_operation.parent_unit_id);
  END IF;
  v_answer := iu.fn_iu_structure_op_check(v_operation);
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  BEGIN
    RETURN iu.fn_iu_structure_op_write(v_operation, coalesce(p_actor, v_operation.actor_ref));
  EXCEPTION WHEN unique_violation OR SQLSTATE 'IU000' THEN
    -- Who took an address between the look and the write is seen now.
    v_answer := iu.fn_iu_structure_op_check(v_operation);
    IF v_answer IS NULL THEN
      RAISE;
    END IF;
    RETURN v_answer;
  END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_op_apply IS
  'What public.fn_iu_structure_op_apply hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_structure_op_apply(p_operation_id uuid, p_actor text DEFAULT NULL) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_structure_op_apply(p_operation_id, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_structure_op_apply IS
  'Does what a structure operation planned: its id, who (NULL: who planned it). New pieces are drafts, under the '
  'parent and in the document of the first source; sources of split, merge, deprecate and replace become deprecated,'
  ' with a row of the ledger each, also where they are enacted: the gate is what allows it, and no decision is asked'
  ' for. What came from what is in iu_relation. Returns {status: enacted, operation_id, operation_type, '
  'operation_status, created_unit_ids, event_emitted: false while the master switch is off}; idempotent_replay where'
  ' it was applied already. Events: iu.structure_child_added, _piece_split, _pieces_merged, _piece_deprecated or '
  '_piece_replaced, and iu.structure_op_applied, which alone tells of a move. Refusals {status, field, guidance, '
  'next_action}, in this order: invalid_input (operation_id, actor), operation_not_found, fsm_denied (it was taken '
  'back, or is a draft), and what fn_iu_structure_op_plan refuses, as units are now. SQLSTATE 42501: gate '
  'iu_core.structure_ops_enabled is closed; 25000: another isolation level than READ COMMITTED.';
