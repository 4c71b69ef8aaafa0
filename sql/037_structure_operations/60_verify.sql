-- Looking at an operation: whether it could be applied, whether it is still as it was
-- applied, whether it was taken back whole.

CREATE FUNCTION iu.fn_iu_structure_checks(p_operation public.iu_structure_operation) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_back    CONSTANT boolean := p_operation.operation_status = 'rolled_back';
  v_created CONSTANT uuid[] := iu.fn_iu_structure_created(p_operation);
  v_leaves  CONSTANT boolean := p_operation.operation_type NOT IN ('add_new_piece', 'reparent_piece');
  v_checks  jsonb;
BEGIN
  v_checks := jsonb_build_object(
    CASE WHEN v_back THEN 'created_deleted' ELSE 'created_exist' END,
    NOT EXISTS (SELECT FROM unnest(v_created) AS c (id) LEFT JOIN public.information_unit u ON u.id = c.id
                 WHERE u.id IS NULL OR (u.deleted_at IS NULL) = v_back),
    CASE WHEN v_back THEN 'relations_ended' ELSE 'relations_active' END,
    NOT EXISTS (SELECT FROM public.iu_relation r
                 WHERE r.operation_ref = p_operation.id AND r.relation_type <> 'contains'
                   AND (r.relation_status = 'active') = v_back));
  IF v_leaves THEN
    v_checks := v_checks || jsonb_build_object('ledger', (
      SELECT count(*) FROM unnest(p_operation.source_unit_ids) AS s (id)
        JOIN public.iu_lifecycle_log l ON l.idempotency_key
             = format('structure:%s:%s:%s', p_operation.id, CASE WHEN v_back THEN 'restore' ELSE 'deprecate' END, s.id)
      ) = cardinality(p_operation.source_unit_ids));
  END IF;
  IF v_leaves AND NOT v_back THEN
    v_checks := v_checks || jsonb_build_object('sources_deprecated', NOT EXISTS (
      SELECT FROM public.information_unit u
       WHERE u.id = ANY (p_operation.source_unit_ids) AND u.lifecycle_status <> 'deprecated'));
  ELSIF p_operation.operation_type = 'reparent_piece' THEN
    v_checks := v_checks || jsonb_build_object('placed', EXISTS (
      SELECT FROM public.information_unit u
       WHERE u.id = p_operation.source_unit_ids[1] AND u.parent_or_container_ref IS NOT DISTINCT FROM CASE
             WHEN v_back THEN (p_operation.impact_summary ->> 'previous_parent_unit_id')::uuid
             ELSE p_operation.parent_unit_id END));
  END IF;
  RETURN v_checks;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_checks IS
  'For fn_iu_structure_op_verify, which pins its search_path: what holds of an operation that was applied or taken '
  'back, by name true or false. Argument: the operation. Raises nothing.';

CREATE FUNCTION iu.fn_iu_structure_op_verify(p_operation_id uuid) RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $function$
DECLARE
  v_operation public.iu_structure_operation;
  v_refusal   jsonb;
  v_checks    jsonb;
BEGIN
  SELECT o.* INTO v_operation FROM public.iu_structure_operation o WHERE o.id = p_operation_id;
  IF NOT FOUND THEN
    RETURN coalesce(iu.fn_iu_structure_call_refusal(p_operation_id, NULL, NULL),
      iu.fn_iu_structure_status_answer(v_operation, p_operation_id, NULL, NULL));
  ELSIF v_operation.operation_status = 'draft' THEN
    v_checks := '{"applicable": false}';
  ELSIF v_operation.operation_status = 'planned' THEN
    v_refusal := iu.fn_iu_structure_op_check(v_operation);
    v_checks := jsonb_build_object('applicable', v_refusal IS NULL);
  ELSE
    v_checks := iu.fn_iu_structure_checks(v_operation);
  END IF;
  RETURN jsonb_build_object('operation_id', v_operation.id, 'operation_type', v_operation.operation_type,
    'operation_status', v_operation.operation_status, 'checks', v_checks, 'all_pass',
    NOT EXISTS (SELECT FROM jsonb_each(v_checks) AS c (key, value) WHERE c.value <> 'true'))
    || CASE WHEN v_refusal IS NULL THEN '{}' ELSE jsonb_build_object('refusal', v_refusal) END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_op_verify IS
  'What public.fn_iu_structure_op_verify hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_structure_op_verify(p_operation_id uuid) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_structure_op_verify(p_operation_id) END;
COMMENT ON FUNCTION public.fn_iu_structure_op_verify IS
  'Looks at a structure operation, and needs no gate: {operation_id, operation_type, operation_status, checks, '
  'all_pass}. checks of a planned one: applicable, with the refusal where it is not; of one that was applied: '
  'created_exist, relations_active, ledger, sources_deprecated, placed; of one that was taken back: created_deleted, '
  'relations_ended, ledger, placed; those that are about its type. Refusals {status, field, guidance, next_action}: '
  'invalid_input (operation_id), operation_not_found.';

-- ---- what people read

CREATE VIEW public.v_iu_structure_operation_log AS
  SELECT o.id AS operation_id, o.operation_type, o.operation_status, o.actor_ref, o.reason, o.idempotency_key,
         ARRAY(SELECT u.canonical_address FROM unnest(o.source_unit_ids) WITH ORDINALITY AS s (id, n)
                 JOIN public.information_unit u ON u.id = s.id ORDER BY s.n) AS source_addresses,
         ARRAY(SELECT u.canonical_address FROM unnest(o.target_unit_ids) WITH ORDINALITY AS t (id, n)
                 JOIN public.information_unit u ON u.id = t.id ORDER BY t.n) AS target_addresses,
         p.canonical_address AS parent_address, o.impact_summary -> 'creates' AS creates,
         o.impact_summary -> 'created_unit_ids' AS created_unit_ids, o.created_at, o.created_by, o.enacted_at,
         o.impact_summary ->> 'applied_by' AS applied_by,
         (o.impact_summary ->> 'rolled_back_at')::timestamptz AS rolled_back_at,
         o.impact_summary ->> 'rolled_back_by' AS rolled_back_by,
         o.impact_summary ->> 'rolled_back_reason' AS rolled_back_reason
    FROM public.iu_structure_operation o
    LEFT JOIN public.information_unit p ON p.id = o.parent_unit_id;
COMMENT ON VIEW public.v_iu_structure_operation_log IS
  'One row for each structure operation: what it is, its status, who planned it and why, its units by their addresses, '
  'what it creates, and when and by whom it was planned, applied and taken back.';

-- For the invariant.
CREATE VIEW public.v_iu_relation_parent_check AS
  SELECT u.canonical_address AS key, r.from_unit_id::text AS left_value,
         u.parent_or_container_ref::text AS right_value
    FROM public.iu_relation r JOIN public.information_unit u ON u.id = r.to_unit_id
   WHERE r.relation_type = 'contains' AND r.relation_status = 'active';
COMMENT ON VIEW public.v_iu_relation_parent_check IS
  'One row for each unit that a structure operation put under another one, for invariant iu.relation_parent: address, '
  'the parent that its relation says, the parent that it has. The two are equal.';
