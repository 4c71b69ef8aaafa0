-- Planning: what is to be done is written down, under a key, and nothing else changes.

-- What is planned already under the key, as an answer: the same again is a replay.
CREATE FUNCTION iu.fn_iu_structure_op_known(p_operation public.iu_structure_operation) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_known public.iu_structure_operation;
BEGIN
  SELECT o.* INTO v_known FROM public.iu_structure_operation o
   WHERE o.idempotency_key = p_operation.idempotency_key;
  IF NOT FOUND THEN
    RETURN NULL;
  ELSIF (v_known.operation_type, v_known.source_unit_ids, v_known.target_unit_ids, v_known.parent_unit_id,
         v_known.payload)
        IS DISTINCT FROM (p_operation.operation_type, p_operation.source_unit_ids, p_operation.target_unit_ids,
         p_operation.parent_unit_id, p_operation.payload) THEN
    RETURN iu.fn_iu_answer('idempotency_key_used', 'idempotency_key',
      format('Operation %s has the key, and does something else.', v_known.id), 'choose_another_key');
  END IF;
  RETURN jsonb_build_object('status', 'idempotent_replay', 'operation_id', v_known.id,
    'operation_type', v_known.operation_type, 'operation_status', v_known.operation_status,
    'impact_summary', v_known.impact_summary);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_op_known IS
  'For fn_iu_structure_op_plan, which pins its search_path: NULL where no operation has the key; otherwise '
  'idempotent_replay, or the refusal idempotency_key_used. Argument: the operation as it is given.';

CREATE FUNCTION iu.fn_iu_structure_impact(p_operation public.iu_structure_operation) RETURNS jsonb
  LANGUAGE sql IMMUTABLE
RETURN jsonb_build_object(
  'creates', coalesce((SELECT jsonb_agg(e.piece -> 'canonical_address' ORDER BY e.n)
                         FROM jsonb_array_elements((p_operation).payload -> 'new_pieces')
                              WITH ORDINALITY AS e (piece, n)), '[]'),
  'deprecates', CASE WHEN (p_operation).operation_type IN ('add_new_piece', 'reparent_piece') THEN '[]'
                     ELSE to_jsonb((p_operation).source_unit_ids) END,
  'moves', CASE (p_operation).operation_type WHEN 'reparent_piece' THEN to_jsonb((p_operation).source_unit_ids)
                ELSE '[]' END);
COMMENT ON FUNCTION iu.fn_iu_structure_impact IS
  'What an operation does: creates (addresses), deprecates and moves (units). Raises nothing.';

-- A plan over rows of JSON looks dear to the planner, and compiling it costs more than it takes.
CREATE FUNCTION iu.fn_iu_structure_op_plan(
    p_operation_type text, p_source_unit_ids uuid[], p_target_unit_ids uuid[], p_parent_unit_id uuid, p_payload jsonb,
    p_actor text, p_reason text, p_idempotency_key text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $function$
DECLARE
  v_operation public.iu_structure_operation;
  v_answer    jsonb;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_structure_op_plan');
  v_operation.id := gen_random_uuid();
  v_operation.operation_type := p_operation_type;
  v_operation.actor_ref := p_actor;
  v_operation.reason := p_reason;
  v_operation.idempotency_key := p_idempotency_key;
  v_operation.source_unit_ids := coalesce(p_source_unit_ids, '{}');
  v_operation.target_unit_ids := coalesce(p_target_unit_ids, '{}');
  v_operation.parent_unit_id := p_parent_unit_id;
  v_operation.payload := p_payload;
  v_answer := iu.fn_iu_structure_op_input(v_operation);
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  -- Of two calls at once with one key the second sees what the first has written.
  PERFORM iu_core.named_lock('iu_structure_op:' || p_idempotency_key);
  v_answer := coalesce(iu.fn_iu_structure_op_known(v_operation), iu.fn_iu_structure_op_check(v_operation));
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  INSERT INTO public.iu_structure_operation
      (id, operation_type, operation_status, actor_ref, reason, idempotency_key, source_unit_ids, target_unit_ids,
       parent_unit_id, payload, impact_summary)
    VALUES (v_operation.id, p_operation_type, 'planned', p_actor, p_reason, p_idempotency_key,
            v_operation.source_unit_ids, v_operation.target_unit_ids, p_parent_unit_id, p_payload,
            iu.fn_iu_structure_impact(v_operation));
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_structure_operation o
             WHERE o.id = v_operation.id AND o.operation_status = 'planned'),
    'public.iu_structure_operation', 'planning the operation');
  RETURN jsonb_build_object('status', 'planned', 'operation_id', v_operation.id, 'operation_type', p_operation_type,
    'operation_status', 'planned', 'impact_summary', iu.fn_iu_structure_impact(v_operation));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_op_plan IS
  'What public.fn_iu_structure_op_plan hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_structure_op_plan(
    p_operation_type text, p_source_unit_ids uuid[], p_target_unit_ids uuid[], p_parent_unit_id uuid, p_payload jsonb,
    p_actor text, p_reason text, p_idempotency_key text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_structure_op_plan(p_operation_type, p_source_unit_ids, p_target_unit_ids, p_parent_unit_id, p_payload,
                             p_actor, p_reason, p_idempotency_key) END;
COMMENT ON FUNCTION public.fn_iu_structure_op_plan IS
  'Plans a structure operation, and changes no unit; it needs no gate. Type: add_new_piece (a parent, 1 to 100 new '
  'pieces), split_large_piece (a source, 2 to 100 new pieces), merge_small_pieces (2 to 100 sources, a new piece), '
  'deprecate_piece (a source), replace_piece (a source, and a target or a new piece), reparent_piece (a source, a '
  'parent or NULL: it becomes a root). Then sources, targets, parent (of split and merge NULL: that of the first '
  'source), payload {new_pieces: [{canonical_address, title, body (an empty one as __EMPTY__), unit_kind, '
  'section_type}]} in up to 64 MB, or {}, who, why or NULL, and what the caller calls it. Returns {status: planned, '
  'operation_id, operation_type, operation_status, impact_summary: {creates, deprecates, moves}}; the same again under '
  'the key: idempotent_replay. Refusals {status, field, guidance, next_action}, in this order: invalid_input '
  '(operation_type, actor, reason, idempotency_key, source_unit_ids, target_unit_ids, parent_unit_id, payload), '
  'idempotency_key_used, source_iu_not_found, fsm_denied with from, to, allowed, target_iu_not_found, '
  'parent_iu_not_found, invalid_input (payload: what fn_iu_create would refuse, an address that is taken; '
  'parent_unit_id: it is the parent already), cycle_denied. SQLSTATE 25000: another isolation level than READ '
  'COMMITTED.';
