-- Taking an applied operation back, while nobody has worked on what came of it.

CREATE FUNCTION iu.fn_iu_structure_use(p_unit_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  -- What an operation made of a unit that it made itself goes with it.
  RETURN (SELECT format('%s, structure operation %s', CASE r.relation_type
                   WHEN 'replaced_by' THEN 'it takes the place of another unit' ELSE 'another unit came of it' END,
                 r.operation_ref)
            FROM public.iu_relation r LEFT JOIN public.iu_structure_operation o ON o.id = r.operation_ref
           WHERE r.to_unit_id = p_unit_id AND r.relation_status = 'active' AND r.relation_type <> 'contains'
             AND NOT coalesce(o.impact_summary -> 'created_unit_ids' ? p_unit_id::text, false)
           ORDER BY r.valid_from, r.id LIMIT 1);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_use IS
  'For iu.fn_iu_unit_in_use: that a unit took the place of another one, or that others came of it, by an operation '
  'that was not taken back, in words, or NULL. Argument: the unit. Raises nothing.';
SELECT iu.fn_iu_hook_add(37, 'iu.fn_iu_unit_in_use(uuid)', 'iu.fn_iu_structure_use(uuid)');

CREATE FUNCTION iu.fn_iu_structure_created(p_operation public.iu_structure_operation) RETURNS uuid[]
  LANGUAGE sql IMMUTABLE
RETURN ARRAY(SELECT c.id::uuid FROM jsonb_array_elements_text((p_operation).impact_summary -> 'created_unit_ids')
                    WITH ORDINALITY AS c (id, n) ORDER BY c.n);
COMMENT ON FUNCTION iu.fn_iu_structure_created IS
  'The units that an operation made, in order; none while it is planned. Raises nothing.';

CREATE FUNCTION iu.fn_iu_structure_rollback_check(p_operation public.iu_structure_operation) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_parent  CONSTANT uuid := (p_operation.impact_summary ->> 'previous_parent_unit_id')::uuid;
  v_refusal jsonb;
BEGIN
  SELECT CASE
      WHEN u.id IS NULL OR u.deleted_at IS NOT NULL THEN iu.fn_iu_answer('source_iu_not_found', 'operation_id',
        format('There is no unit %s any more, or it is deleted.', i.id), 'look_at_v_iu_structure_operation_log')
      WHEN p_operation.operation_type = 'reparent_piece'
           AND u.parent_or_container_ref IS DISTINCT FROM p_operation.parent_unit_id
        THEN iu.fn_iu_answer('source_moved', 'operation_id',
          format('Unit %s is not where the operation put it.', iu_core.text_shown(u.canonical_address)),
          'fn_iu_structure_op_plan')
      WHEN p_operation.operation_type NOT IN ('reparent_piece', 'add_new_piece')
           AND u.lifecycle_status <> 'deprecated'
        THEN iu.fn_iu_fsm_denied(u.lifecycle_status,
          coalesce(p_operation.impact_summary -> 'previous_status' -> u.id::text ->> 0, 'what it was'),
          ARRAY['deprecated'], 'look_at_v_iu_structure_operation_log') || '{"field": "operation_id"}' END
    INTO v_refusal
    FROM unnest(p_operation.source_unit_ids) WITH ORDINALITY AS i (id, n)
    LEFT JOIN public.information_unit u ON u.id = i.id
   ORDER BY CASE WHEN u.id IS NULL OR u.deleted_at IS NOT NULL THEN 0
                 WHEN u.lifecycle_status <> 'deprecated' THEN 1 ELSE 2 END, i.n LIMIT 1;
  IF v_refusal IS NOT NULL OR p_operation.operation_type <> 'reparent_piece' THEN
    RETURN coalesce(v_refusal,
      iu.fn_iu_pieces_kept(iu.fn_iu_structure_created(p_operation), 'operation_id'));
  ELSIF v_parent IS NOT NULL AND NOT EXISTS (SELECT FROM public.information_unit u
                                              WHERE u.id = v_parent AND u.deleted_at IS NULL) THEN
    RETURN iu.fn_iu_answer('parent_iu_not_found', 'operation_id',
      format('Unit %s, where it was, is deleted.', v_parent), 'fn_iu_structure_op_plan');
  END IF;
  RETURN iu.fn_iu_structure_move_refusal(p_operation.source_unit_ids[1], v_parent) || '{"field": "operation_id"}';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_rollback_check IS
  'For fn_iu_structure_op_rollback, which pins its search_path: why an operation is not taken back, or NULL: '
  'source_iu_not_found, source_moved, fsm_denied, child_not_draft, child_changed, child_in_use, parent_iu_not_found, '
  'cycle_denied. Argument: the operation.';

CREATE FUNCTION iu.fn_iu_structure_rollback_write(
    p_operation public.iu_structure_operation, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_created CONSTANT uuid[] := iu.fn_iu_structure_created(p_operation);
BEGIN
  PERFORM iu.fn_iu_structure_require('fn_iu_structure_op_rollback');
  UPDATE public.iu_relation r SET relation_status = 'ended', valid_to = clock_timestamp()
   WHERE r.operation_ref = p_operation.id AND r.relation_status = 'active';
  IF p_operation.operation_type = 'reparent_piece' THEN
    PERFORM iu.fn_iu_structure_move(p_operation.id, p_operation.source_unit_ids[1],
      (p_operation.impact_summary ->> 'previous_parent_unit_id')::uuid, p_actor);
  ELSE
    PERFORM iu.fn_iu_pieces_delete(v_created, p_actor);
    IF p_operation.operation_type <> 'add_new_piece' THEN
      PERFORM iu.fn_iu_structure_restore(p_operation, p_actor, p_reason);
    END IF;
  END IF;
  UPDATE public.iu_structure_operation o
     SET operation_status = 'rolled_back', updated_at = now(),
         impact_summary = o.impact_summary || jsonb_build_object('rolled_back_by', p_actor,
           'rolled_back_reason', p_reason, 'rolled_back_at', clock_timestamp())
   WHERE o.id = p_operation.id;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_structure_operation o
             WHERE o.id = p_operation.id AND o.operation_status = 'rolled_back'),
    'public.iu_structure_operation', 'taking the operation back');
  RETURN jsonb_build_object('status', 'rolled_back', 'operation_id', p_operation.id,
    'operation_type', p_operation.operation_type, 'operation_status', 'rolled_back',
    'created_unit_ids', to_jsonb(v_created));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_rollback_write IS
  'For fn_iu_structure_op_rollback, which pins its search_path and whose marker is in force: undoes an operation. It '
  'asks the gate by itself. Arguments: the operation, who, why. Errors: as fn_iu_structure_require.';

CREATE FUNCTION iu.fn_iu_structure_op_rollback(p_operation_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off
  SET app.canonical_writer = 'fn_iu_structure_op'
AS $function$
DECLARE
  v_operation public.iu_structure_operation;
  v_parent    uuid;
  v_answer    jsonb;
BEGIN
  PERFORM iu.fn_iu_structure_require('fn_iu_structure_op_rollback');
  v_answer := iu.fn_iu_structure_call_refusal(p_operation_id, p_actor, p_reason);
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  SELECT o.* INTO v_operation FROM public.iu_structure_operation o WHERE o.id = p_operation_id FOR NO KEY UPDATE;
  v_answer := iu.fn_iu_structure_status_answer(v_operation, p_operation_id, 'enacted', 'rolled_back');
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  v_parent := (v_operation.impact_summary ->> 'previous_parent_unit_id')::uuid;
  PERFORM iu.fn_iu_structure_lock(iu.fn_iu_structure_created(v_operation), v_operation.source_unit_ids, '{}',
    ARRAY[v_parent]);
  IF v_operation.operation_type = 'reparent_piece' THEN
    PERFORM iu.fn_iu_structure_tree_lock(v_operation.source_unit_ids, v_parent);
  END IF;
  v_answer := iu.fn_iu_structure_rollback_check(v_operation);
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  RETURN iu.fn_iu_structure_rollback_write(v_operation, coalesce(p_actor, v_operation.actor_ref), p_reason);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_op_rollback IS
  'What public.fn_iu_structure_op_rollback hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_structure_op_rollback(
    p_operation_id uuid, p_actor text DEFAULT NULL, p_reason text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_structure_op_rollback(p_operation_id, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_structure_op_rollback IS
  'Takes an applied structure operation back, for operators: its id, who (NULL: who planned it), why or NULL. The '
  'units that it made are marked as deleted, which keeps their addresses taken; its sources get the status that they '
  'had, with a row of the ledger each; a moved unit goes back; its relations end. Returns {status: rolled_back, '
  'operation_id, operation_type, operation_status, created_unit_ids}; idempotent_replay where it was taken back '
  'already. Refusals {status, field, guidance, next_action}: invalid_input (operation_id, actor, reason), '
  'operation_not_found, fsm_denied (it was not applied, or a source is not deprecated any more), source_iu_not_found, '
  'source_moved (the unit is not where the operation put it), of the units that it made child_not_draft, child_changed '
  '(it has another version, a draft, a comment, a tag that somebody set, or another row) and child_in_use, of a move '
  'parent_iu_not_found and cycle_denied (the unit where it was is deleted, or came below it). SQLSTATE 42501: gate '
  'iu_core.structure_ops_enabled is closed; 25000: another isolation level than READ COMMITTED.';
