-- What speaks against a structure operation as units are now. Planning asks it, and
-- applying asks it again when the units are locked.

CREATE FUNCTION iu.fn_iu_structure_source_refusal(p_unit_id uuid, p_unit public.information_unit, p_deprecates boolean)
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE
  WHEN (p_unit).id IS NULL OR (p_unit).deleted_at IS NOT NULL
    THEN iu.fn_iu_answer('source_iu_not_found', 'source_unit_ids',
           format('There is no unit %s, or it is deleted.', p_unit_id), 'correct_the_argument')
  WHEN (p_unit).lifecycle_status NOT IN ('draft', 'enacted')
       AND (p_deprecates OR (p_unit).lifecycle_status <> 'deprecated')
    THEN iu.fn_iu_fsm_denied((p_unit).lifecycle_status, CASE WHEN p_deprecates THEN 'deprecated' ELSE 'moved' END,
           CASE WHEN p_deprecates THEN ARRAY['draft', 'enacted'] ELSE ARRAY['draft', 'enacted', 'deprecated'] END,
           'choose_another_unit') || '{"field": "source_unit_ids"}' END;
COMMENT ON FUNCTION iu.fn_iu_structure_source_refusal IS
  'Why nothing is done to a unit, or NULL: source_iu_not_found, fsm_denied. Arguments: its id, the unit (NULL: there '
  'is none), whether it would become deprecated.';

CREATE FUNCTION iu.fn_iu_structure_units_refusal(p_operation public.iu_structure_operation, p_deprecates boolean)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_refusal jsonb;
  v_target  public.information_unit;
BEGIN
  SELECT r.refusal INTO v_refusal
    FROM unnest(p_operation.source_unit_ids) WITH ORDINALITY AS i (id, n)
    LEFT JOIN public.information_unit u ON u.id = i.id
    CROSS JOIN LATERAL (SELECT iu.fn_iu_structure_source_refusal(i.id, u, p_deprecates)) AS r (refusal)
   WHERE r.refusal IS NOT NULL ORDER BY i.n LIMIT 1;
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  ELSIF cardinality(p_operation.target_unit_ids) > 0 THEN
    SELECT u.* INTO v_target FROM public.information_unit u WHERE u.id = p_operation.target_unit_ids[1];
    IF NOT FOUND OR v_target.deleted_at IS NOT NULL THEN
      RETURN iu.fn_iu_answer('target_iu_not_found', 'target_unit_ids',
        format('There is no unit %s, or it is deleted.', p_operation.target_unit_ids[1]), 'correct_the_argument');
    ELSIF v_target.lifecycle_status NOT IN ('draft', 'enacted') THEN
      RETURN iu.fn_iu_fsm_denied(v_target.lifecycle_status, 'another unit''s replacement', ARRAY['draft', 'enacted'],
        'choose_another_unit') || '{"field": "target_unit_ids"}';
    END IF;
  END IF;
  IF p_operation.parent_unit_id IS NOT NULL AND NOT EXISTS (
       SELECT FROM public.information_unit u WHERE u.id = p_operation.parent_unit_id AND u.deleted_at IS NULL) THEN
    RETURN iu.fn_iu_answer('parent_iu_not_found', 'parent_unit_id',
      format('There is no unit %s, or it is deleted.', p_operation.parent_unit_id), 'correct_the_argument');
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_units_refusal IS
  'For structure operations, which pin its search_path: why they are not done to these units, or NULL: '
  'source_iu_not_found, fsm_denied, target_iu_not_found, parent_iu_not_found. Arguments: the operation, whether its '
  'sources would become deprecated.';

CREATE FUNCTION iu.fn_iu_structure_move_refusal(p_unit_id uuid, p_parent_unit_id uuid) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  IF p_parent_unit_id IS NULL THEN
    RETURN NULL;
  ELSIF EXISTS (
       WITH RECURSIVE up AS (
         SELECT u.id, u.parent_or_container_ref AS above FROM public.information_unit u WHERE u.id = p_parent_unit_id
         UNION
         SELECT p.id, p.parent_or_container_ref FROM up x JOIN public.information_unit p ON p.id = x.above
       )
       SELECT FROM up x WHERE x.id = p_unit_id) THEN
    RETURN iu.fn_iu_answer('cycle_denied', 'parent_unit_id',
      format('Unit %s would be its own ancestor: unit %s is the same, or below it.', p_unit_id, p_parent_unit_id),
      'choose_another_unit');
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_move_refusal IS
  'For structure operations, which pin its search_path: the refusal cycle_denied of a move, or NULL: the unit, the '
  'unit under which it would come (NULL: none). What is answered holds until the commit where both trees are locked.';

-- New pieces are as the first source is, after all of the sources that are in its
-- document; those that a unit gets as children are as fn_iu_create makes them.
CREATE FUNCTION iu.fn_iu_structure_rows(p_operation public.iu_structure_operation) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_pattern public.information_unit;
  v_after   integer;
BEGIN
  SELECT u.* INTO v_pattern FROM public.information_unit u WHERE u.id = p_operation.source_unit_ids[1];
  SELECT max(u.sort_order) INTO v_after FROM public.information_unit u
   WHERE u.id = ANY (p_operation.source_unit_ids) AND u.doc_code IS NOT DISTINCT FROM v_pattern.doc_code;
  RETURN (
    SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
             'canonical_address', e.piece ->> 'canonical_address', 'title', e.piece ->> 'title',
             'body', e.piece ->> 'body', 'unit_kind', coalesce(e.piece ->> 'unit_kind', v_pattern.unit_kind),
             'section_type', coalesce(e.piece ->> 'section_type', v_pattern.section_type,
               v_pattern.identity_profile ->> 'primary_section_type_ref'),
             'owner_ref', v_pattern.owner_ref,
             'publication_type', v_pattern.identity_profile ->> 'publication_type_ref',
             'parent_ref', coalesce(p_operation.parent_unit_id, v_pattern.parent_or_container_ref),
             'doc_code', v_pattern.doc_code, 'section_code', v_pattern.section_code,
             'sort_order', CASE WHEN v_after <= 2147483647 - e.n THEN v_after + e.n
                                WHEN v_after IS NOT NULL THEN 2147483647 END)) ORDER BY e.n)
      FROM jsonb_array_elements(p_operation.payload -> 'new_pieces') WITH ORDINALITY AS e (piece, n));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_rows IS
  'For structure operations, which pin its search_path: the new pieces of one as fn_iu_import takes units, or NULL '
  'where it has none. Argument: the operation. Raises nothing.';

CREATE FUNCTION iu.fn_iu_structure_rows_refusal(p_rows jsonb, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
  v_wrong record;
BEGIN
  IF p_rows IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT r.row_number, r.status, r.field, r.address INTO v_wrong
    FROM iu.fn_iu_import_rows(p_rows, p_actor) AS r WHERE r.status <> 'new' ORDER BY r.row_number LIMIT 1;
  IF NOT FOUND THEN
    RETURN NULL;
  ELSIF v_wrong.status = 'invalid_input' THEN
    RETURN iu.fn_iu_answer('invalid_input', 'payload',
      format('New piece %s: %s is not one that a unit may have.', v_wrong.row_number, v_wrong.field),
      'correct_the_argument');
  END IF;
  RETURN iu.fn_iu_answer('invalid_input', 'payload',
    format('New piece %s: a unit has the address %s already.', v_wrong.row_number,
           iu_core.text_shown(v_wrong.address)), 'correct_the_argument');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_rows_refusal IS
  'For structure operations, which pin its search_path: the refusal invalid_input of new pieces that fn_iu_create '
  'would refuse, or whose address is taken, or NULL. Arguments: what fn_iu_structure_rows returned, the actor.';

CREATE FUNCTION iu.fn_iu_structure_op_check(p_operation public.iu_structure_operation) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
  v_refusal jsonb;
BEGIN
  v_refusal := iu.fn_iu_structure_units_refusal(p_operation,
    (SELECT r.deprecates FROM iu.fn_iu_structure_rules() r WHERE r.operation_type = p_operation.operation_type));
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  ELSIF p_operation.operation_type <> 'reparent_piece' THEN
    RETURN iu.fn_iu_structure_rows_refusal(iu.fn_iu_structure_rows(p_operation), p_operation.actor_ref);
  ELSIF EXISTS (SELECT FROM public.information_unit u WHERE u.id = p_operation.source_unit_ids[1]
                   AND u.parent_or_container_ref IS NOT DISTINCT FROM p_operation.parent_unit_id) THEN
    RETURN iu.fn_iu_answer('invalid_input', 'parent_unit_id',
      format('Unit %s is under %s already.', p_operation.source_unit_ids[1],
             coalesce('unit ' || p_operation.parent_unit_id, 'none')), 'correct_the_argument');
  END IF;
  RETURN iu.fn_iu_structure_move_refusal(p_operation.source_unit_ids[1], p_operation.parent_unit_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_op_check IS
  'For structure operations, which pin its search_path: what speaks against one as units are now, or NULL. Argument: '
  'the operation.';
