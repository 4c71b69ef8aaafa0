-- What structure operations are given, as far as that can be told without a look at
-- units.

CREATE FUNCTION iu.fn_iu_structure_require(p_function text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed(p_function);
  IF NOT iu_core.gate_is_open('iu_core.structure_ops_enabled') THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'structure operations are closed: gate iu_core.structure_ops_enabled',
      DETAIL = format('Function: %s.', p_function),
      HINT = 'Open it with fn_iu_gate_open, with an approval and a time limit.',
      CONSTRAINT = 'iu_structure_gate_closed';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_require IS
  'For structure operations: SQLSTATE 25000 in a transaction of another isolation level than READ COMMITTED, 42501 '
  'while gate iu_core.structure_ops_enabled is closed. Argument: the function.';

CREATE FUNCTION iu.fn_iu_structure_rules()
  RETURNS TABLE (operation_type text, least_sources integer, most_sources integer, most_targets integer,
                 least_pieces integer, most_pieces integer, parent text, deprecates boolean, event_type text)
  LANGUAGE sql IMMUTABLE ROWS 6
BEGIN ATOMIC
  VALUES ('add_new_piece'::text, 0, 0, 0, 1, 100, 'needed'::text, false, 'structure_child_added'::text),
         ('split_large_piece', 1, 1, 0, 2, 100, 'allowed', true, 'structure_piece_split'),
         ('merge_small_pieces', 2, 100, 0, 1, 1, 'allowed', true, 'structure_pieces_merged'),
         ('deprecate_piece', 1, 1, 0, 0, 0, 'refused', true, 'structure_piece_deprecated'),
         ('replace_piece', 1, 1, 1, 0, 1, 'refused', true, 'structure_piece_replaced'),
         ('reparent_piece', 1, 1, 0, 0, 0, 'allowed', false, NULL);
END;
COMMENT ON FUNCTION iu.fn_iu_structure_rules IS
  'The six types of structure operations: how many sources, targets and new pieces each has, whether it has a parent, '
  'whether its sources become deprecated, the type of its event (NULL: structure_op_applied alone). Raises nothing.';

CREATE FUNCTION iu.fn_iu_structure_ids_fit(p_unit_ids uuid[], p_least integer, p_most integer) RETURNS boolean
  LANGUAGE sql IMMUTABLE
RETURN coalesce(array_ndims(p_unit_ids), 1) = 1 AND coalesce(array_lower(p_unit_ids, 1), 1) = 1
  AND coalesce(cardinality(p_unit_ids), 0) >= p_least AND coalesce(cardinality(p_unit_ids), 0) <= p_most
  AND (SELECT count(DISTINCT i.id) FROM unnest(p_unit_ids) AS i (id)) = coalesce(cardinality(p_unit_ids), 0);
COMMENT ON FUNCTION iu.fn_iu_structure_ids_fit IS
  'Whether these are as many units as an operation has, counted from 1, each once and none of them NULL: the units, at '
  'least, at most. Raises nothing.';

CREATE FUNCTION iu.fn_iu_structure_pieces_refusal(
    p_payload jsonb, p_least integer, p_most integer, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_pieces  CONSTANT jsonb := CASE jsonb_typeof(p_payload) WHEN 'object'
    THEN coalesce(p_payload -> 'new_pieces', '[]') END;
  v_refusal jsonb;
  v_piece   record;
  v_seen    text[] := '{}';
BEGIN
  IF (v_pieces IS NOT NULL AND p_payload - 'new_pieces' = '{}' AND jsonb_typeof(v_pieces) = 'array') IS NOT TRUE THEN
    RETURN iu.fn_iu_answer('invalid_input', 'payload',
      'payload must be an object with new_pieces, an array, or {}.', 'correct_the_argument');
  ELSIF pg_column_size(p_payload) > 67108864 THEN
    RETURN iu.fn_iu_invalid('payload', 'a longer one', 'an object in up to 67108864 bytes');
  ELSIF jsonb_array_length(v_pieces) NOT BETWEEN p_least AND p_most THEN
    RETURN iu.fn_iu_answer('invalid_input', 'payload',
      format('new_pieces must have %s to %s pieces, not %s.', p_least, p_most, jsonb_array_length(v_pieces)),
      'correct_the_argument');
  END IF;
  FOR v_piece IN SELECT e.n, e.piece, e.piece ->> 'canonical_address' AS address
                   FROM jsonb_array_elements(v_pieces) WITH ORDINALITY AS e (piece, n) LOOP
    v_refusal := CASE
      WHEN jsonb_typeof(v_piece.piece) = 'object' AND EXISTS (
             SELECT FROM jsonb_each(v_piece.piece) AS f (key, value)
              WHERE f.key IN ('unit_kind', 'section_type') AND jsonb_typeof(f.value) NOT IN ('string', 'null'))
        THEN iu.fn_iu_answer('invalid_input', 'payload',
               format('New piece %s: unit_kind and section_type must be texts.', v_piece.n), 'correct_the_argument')
      ELSE iu.fn_iu_piece_spec_refusal(CASE jsonb_typeof(v_piece.piece) WHEN 'object'
               THEN v_piece.piece - '{unit_kind,section_type}'::text[] ELSE v_piece.piece END,
             'payload', 'New piece ' || v_piece.n, p_actor) END;
    IF v_refusal IS NOT NULL THEN
      RETURN v_refusal;
    ELSIF v_piece.address = ANY (v_seen) THEN
      RETURN iu.fn_iu_answer('invalid_input', 'payload',
        format('New piece %s: %s is the address of another one.', v_piece.n, iu_core.text_shown(v_piece.address)),
        'correct_the_argument');
    END IF;
    v_seen := array_append(v_seen, v_piece.address);
  END LOOP;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_pieces_refusal IS
  'For fn_iu_structure_op_plan, which pins its search_path: the refusal invalid_input of the payload, or NULL: the '
  'payload, at least and at most so many new pieces, the actor.';

CREATE FUNCTION iu.fn_iu_structure_op_input(p_operation public.iu_structure_operation) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_rule record;
BEGIN
  SELECT r.* INTO v_rule FROM iu.fn_iu_structure_rules() r WHERE r.operation_type = p_operation.operation_type;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_invalid('operation_type', p_operation.operation_type,
      'one of ' || (SELECT string_agg(r.operation_type, ', ') FROM iu.fn_iu_structure_rules() r));
  ELSIF iu_core.text_problem(p_operation.actor_ref, false) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('actor', p_operation.actor_ref, 'who does it, in up to 200 characters');
  ELSIF p_operation.reason IS NOT NULL AND iu_core.text_problem(p_operation.reason, true) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('reason', p_operation.reason, 'why, in up to 2000 characters in one line, or NULL');
  ELSIF iu_core.text_problem(p_operation.idempotency_key, false) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('idempotency_key', p_operation.idempotency_key,
      'what the caller calls it, in up to 200 characters');
  ELSIF NOT iu.fn_iu_structure_ids_fit(p_operation.source_unit_ids, v_rule.least_sources, v_rule.most_sources) THEN
    RETURN iu.fn_iu_invalid('source_unit_ids', p_operation.source_unit_ids::text,
      format('%s to %s units, counted from 1, each once', v_rule.least_sources, v_rule.most_sources));
  ELSIF NOT iu.fn_iu_structure_ids_fit(p_operation.target_unit_ids, 0, v_rule.most_targets)
        OR p_operation.target_unit_ids && p_operation.source_unit_ids THEN
    RETURN iu.fn_iu_invalid('target_unit_ids', p_operation.target_unit_ids::text,
      format('0 to %s units, counted from 1, none of them a source', v_rule.most_targets));
  ELSIF v_rule.parent = 'needed' AND p_operation.parent_unit_id IS NULL THEN
    RETURN iu.fn_iu_invalid('parent_unit_id', NULL, 'the unit under which the new pieces come');
  ELSIF v_rule.parent = 'refused' AND p_operation.parent_unit_id IS NOT NULL
        OR v_rule.deprecates AND p_operation.parent_unit_id = ANY (p_operation.source_unit_ids) THEN
    RETURN iu.fn_iu_invalid('parent_unit_id', p_operation.parent_unit_id::text, CASE v_rule.parent
      WHEN 'refused' THEN 'NULL for this type' ELSE 'a unit that is no source, or NULL' END);
  END IF;
  RETURN coalesce(
    iu.fn_iu_structure_pieces_refusal(p_operation.payload, v_rule.least_pieces, v_rule.most_pieces,
      p_operation.actor_ref),
    CASE WHEN p_operation.operation_type = 'replace_piece'
              AND (cardinality(p_operation.target_unit_ids) = 1)
                  = (p_operation.payload -> 'new_pieces' -> 0 IS NOT NULL)
         THEN iu.fn_iu_answer('invalid_input', 'target_unit_ids',
           'Either one unit that there is takes the place of the source, or one new piece.', 'correct_the_argument')
         END);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_op_input IS
  'For fn_iu_structure_op_plan, which pins its search_path: the refusal invalid_input of what it is given, as far as '
  'that can be told without a look at units, or NULL. Argument: the operation as a row.';
