-- The steps of which applying and taking back consist. Whoever takes them has locked
-- the units, and asked what speaks against it.

-- All units of an operation in the order of their addresses, as everybody locks who
-- locks several of them. A lock is no stronger than it has to be: who makes units
-- below one, or collections with it, takes a share of its key.
CREATE FUNCTION iu.fn_iu_structure_lock(
    p_delete uuid[], p_change uuid[], p_use uuid[], p_keep uuid[])
  RETURNS void
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_id uuid;
BEGIN
  FOR v_id IN SELECT u.id FROM public.information_unit u WHERE u.id = ANY (p_delete || p_change || p_use || p_keep)
               ORDER BY u.canonical_address COLLATE "C" LOOP
    IF v_id = ANY (p_delete) THEN
      PERFORM FROM public.information_unit u WHERE u.id = v_id FOR UPDATE;
    ELSIF v_id = ANY (p_change) THEN
      PERFORM FROM public.information_unit u WHERE u.id = v_id FOR NO KEY UPDATE;
    ELSIF v_id = ANY (p_use) THEN
      PERFORM FROM public.information_unit u WHERE u.id = v_id FOR SHARE;
    ELSE
      PERFORM FROM public.information_unit u WHERE u.id = v_id FOR KEY SHARE;
    END IF;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_lock IS
  'For structure operations, which pin its search_path: locks units that are to be deleted, to be changed, to stay in '
  'use, and to be there, until the transaction ends. NULLs do not count.';

CREATE FUNCTION iu.fn_iu_structure_tree_lock(p_moved uuid[], p_parent uuid) RETURNS void
  LANGUAGE plpgsql
AS $function$
BEGIN
  IF p_parent IS NULL THEN
    PERFORM iu.fn_iu_tree_lock(p_moved, p_moved);
  ELSE
    PERFORM iu.fn_iu_tree_lock(p_moved || p_parent, '{}');
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_tree_lock IS
  'For structure operations, which pin its search_path: locks the trees from which and to which units move, all that '
  'the move itself will lock, before it is asked what speaks against the move. Arguments: the units, their parent to '
  'be; NULL: they become roots. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_structure_mint(p_rows jsonb, p_actor text) RETURNS uuid[]
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_result jsonb;
  v_ids    uuid[];
BEGIN
  IF p_rows IS NULL THEN
    RETURN '{}';
  END IF;
  v_result := iu.fn_iu_import_write(p_rows, p_actor, false);
  IF v_result ->> 'status' <> 'imported' OR v_result -> 'created' <> to_jsonb(jsonb_array_length(p_rows)) THEN
    -- Somebody has taken an address since it was looked at: caught where all of it is undone.
    RAISE SQLSTATE 'IU000';
  END IF;
  SELECT array_agg(u.id ORDER BY e.n) INTO v_ids
    FROM jsonb_array_elements(p_rows) WITH ORDINALITY AS e (row, n)
    JOIN public.information_unit u ON u.canonical_address = e.row ->> 'canonical_address';
  PERFORM iu.fn_iu_require_effect(
    (SELECT count(*) FROM public.iu_birth_record b WHERE b.unit_id = ANY (v_ids)) = jsonb_array_length(p_rows),
    'public.information_unit', 'making the new pieces');
  PERFORM iu.fn_iu_metadata_refresh(v_ids);
  PERFORM iu.fn_iu_piece_events_try('created', v_ids, p_actor);
  RETURN v_ids;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_mint IS
  'For structure operations, which pin its search_path and whose marker is in force: makes units as fn_iu_import does, '
  'derives their tags, and returns their ids in order. Arguments: what fn_iu_structure_rows returned, who. Errors: '
  '23505, or IU000 for the caller to catch, where somebody has taken an address meanwhile.';

CREATE FUNCTION iu.fn_iu_structure_deprecate(
    p_operation public.iu_structure_operation, p_created uuid[], p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_units    public.information_unit[];
  v_unit     public.information_unit;
  v_previous jsonb;
BEGIN
  SELECT array_agg(u ORDER BY array_position(p_operation.source_unit_ids, u.id)),
         jsonb_object_agg(u.id, jsonb_build_array(u.lifecycle_status, v.lifecycle_status))
    INTO v_units, v_previous
    FROM public.information_unit u JOIN public.unit_version v ON v.id = u.version_anchor_ref
   WHERE u.id = ANY (p_operation.source_unit_ids);
  UPDATE public.unit_version v SET lifecycle_status = 'deprecated'
    FROM public.information_unit u
   WHERE u.id = ANY (p_operation.source_unit_ids) AND v.id = u.version_anchor_ref;
  UPDATE public.information_unit u SET lifecycle_status = 'deprecated', updated_by = p_actor
   WHERE u.id = ANY (p_operation.source_unit_ids);
  FOREACH v_unit IN ARRAY v_units LOOP
    PERFORM iu.fn_iu_lifecycle_write(v_unit, 'deprecated', 'deprecate', p_actor, NULL, NULL, p_operation.reason, NULL,
      format('structure:%s:deprecate:%s', p_operation.id, v_unit.id), jsonb_build_object(
        'operation_id', p_operation.id, 'operation_type', p_operation.operation_type,
        'created_unit_ids', to_jsonb(p_created), 'version_id', v_unit.version_anchor_ref,
        'content_hash', v_unit.content_anchor_ref));
  END LOOP;
  PERFORM iu.fn_iu_require_effect(
    (SELECT count(*) FROM public.information_unit u JOIN public.unit_version v ON v.id = u.version_anchor_ref
      WHERE u.id = ANY (p_operation.source_unit_ids) AND u.lifecycle_status = 'deprecated'
        AND v.lifecycle_status = 'deprecated') = cardinality(p_operation.source_unit_ids),
    'public.information_unit', 'deprecating the units');
  RETURN v_previous;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_deprecate IS
  'For structure operations, which pin its search_path and whose marker is in force: makes the sources and their '
  'versions that count deprecated, with a row of the ledger each, and returns what they were: by unit, its status and '
  'that of its version. Arguments: the operation, what it created, who.';

CREATE FUNCTION iu.fn_iu_structure_restore(
    p_operation public.iu_structure_operation, p_actor text, p_reason text)
  RETURNS void
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_previous CONSTANT jsonb := p_operation.impact_summary -> 'previous_status';
  v_units    public.information_unit[];
  v_unit     public.information_unit;
BEGIN
  SELECT array_agg(u ORDER BY array_position(p_operation.source_unit_ids, u.id)) INTO v_units
    FROM public.information_unit u WHERE u.id = ANY (p_operation.source_unit_ids);
  UPDATE public.unit_version v SET lifecycle_status = v_previous -> u.id::text ->> 1
    FROM public.information_unit u
   WHERE u.id = ANY (p_operation.source_unit_ids) AND v.id = u.version_anchor_ref;
  UPDATE public.information_unit u SET lifecycle_status = v_previous -> u.id::text ->> 0, updated_by = p_actor
   WHERE u.id = ANY (p_operation.source_unit_ids);
  FOREACH v_unit IN ARRAY v_units LOOP
    PERFORM iu.fn_iu_lifecycle_write(v_unit, v_previous -> v_unit.id::text ->> 0, 'restore', p_actor, NULL, NULL,
      p_reason, NULL, format('structure:%s:restore:%s', p_operation.id, v_unit.id), jsonb_build_object(
        'operation_id', p_operation.id, 'operation_type', p_operation.operation_type,
        'version_id', v_unit.version_anchor_ref, 'content_hash', v_unit.content_anchor_ref));
  END LOOP;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.information_unit u JOIN public.unit_version v ON v.id = u.version_anchor_ref
                 WHERE u.id = ANY (p_operation.source_unit_ids)
                   AND (u.lifecycle_status = 'deprecated' OR v.lifecycle_status = 'deprecated')),
    'public.information_unit', 'restoring the units');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_restore IS
  'For structure operations, which pin its search_path and whose marker is in force: gives the sources and their '
  'versions the status that they had, with a row of the ledger each. Arguments: the operation, who, why.';

CREATE FUNCTION iu.fn_iu_structure_move(
    p_operation_id uuid, p_unit_id uuid, p_parent_unit_id uuid, p_actor text)
  RETURNS uuid
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_was uuid;
BEGIN
  SELECT u.parent_or_container_ref INTO v_was FROM public.information_unit u WHERE u.id = p_unit_id;
  UPDATE public.information_unit u SET parent_or_container_ref = p_parent_unit_id, updated_by = p_actor
   WHERE u.id = p_unit_id;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.information_unit u
             WHERE u.id = p_unit_id AND u.parent_or_container_ref IS NOT DISTINCT FROM p_parent_unit_id),
    'public.information_unit', 'moving the unit');
  UPDATE public.iu_relation r SET relation_status = 'ended', valid_to = clock_timestamp()
   WHERE r.to_unit_id = p_unit_id AND r.relation_type = 'contains' AND r.relation_status = 'active';
  INSERT INTO public.iu_relation (from_unit_id, to_unit_id, relation_type, operation_ref)
    SELECT p_parent_unit_id, p_unit_id, 'contains', p_operation_id WHERE p_parent_unit_id IS NOT NULL;
  RETURN v_was;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_move IS
  'For structure operations, which pin its search_path and whose marker is in force: puts a unit under another one, or '
  'under none, with its relation, and returns the parent that it had. Arguments: the operation, the unit, the parent, '
  'who.';

CREATE FUNCTION iu.fn_iu_structure_relate(p_operation public.iu_structure_operation, p_created uuid[]) RETURNS void
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_new CONSTANT uuid[] := CASE p_operation.operation_type
    WHEN 'replace_piece' THEN p_created || p_operation.target_unit_ids ELSE p_created END;
BEGIN
  INSERT INTO public.iu_relation (from_unit_id, to_unit_id, relation_type, operation_ref)
    SELECT u.parent_or_container_ref, u.id, 'contains', p_operation.id
      FROM public.information_unit u
     WHERE u.id = ANY (p_created) AND u.parent_or_container_ref IS NOT NULL
    UNION ALL
    SELECT n.id, s.id, CASE p_operation.operation_type WHEN 'split_large_piece' THEN 'split_from'
             WHEN 'merge_small_pieces' THEN 'merged_from' ELSE 'supersedes' END, p_operation.id
      FROM unnest(v_new) AS n (id) CROSS JOIN unnest(p_operation.source_unit_ids) AS s (id)
    UNION ALL
    SELECT s.id, n.id, 'replaced_by', p_operation.id
      FROM unnest(v_new) AS n (id) CROSS JOIN unnest(p_operation.source_unit_ids) AS s (id)
     WHERE p_operation.operation_type = 'replace_piece';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_relate IS
  'For structure operations, which pin its search_path: writes what new pieces came from, whose place they took, and '
  'what they are under. Arguments: the operation, what it created.';

CREATE FUNCTION iu.fn_iu_structure_events(
    p_operation public.iu_structure_operation, p_created uuid[], p_actor text)
  RETURNS boolean
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_ids     uuid[];
  v_payload CONSTANT jsonb := jsonb_strip_nulls(jsonb_build_object(
    'operation_id', p_operation.id, 'operation_type', p_operation.operation_type,
    'source_unit_ids', to_jsonb(p_operation.source_unit_ids), 'created_unit_ids', to_jsonb(p_created),
    'target_unit_ids', to_jsonb(p_operation.target_unit_ids), 'parent_unit_id', p_operation.parent_unit_id));
BEGIN
  SELECT iu.fn_iu_emit_events(jsonb_agg(jsonb_build_object(
           'event_type', t.event_type, 'canonical_address', u.canonical_address, 'subject_ref', u.id,
           'actor_ref', p_actor, 'safe_payload', v_payload, 'correlation_id', p_operation.id,
           'idempotency_key', format('structure:%s:%s', p_operation.id, t.event_type)) ORDER BY t.n))
    INTO v_ids
    FROM public.information_unit u
    CROSS JOIN LATERAL (
      SELECT 1 AS n, r.event_type FROM iu.fn_iu_structure_rules() r
       WHERE r.operation_type = p_operation.operation_type AND r.event_type IS NOT NULL
      UNION ALL VALUES (2, 'structure_op_applied')) AS t
   WHERE u.id = CASE p_operation.operation_type WHEN 'add_new_piece' THEN p_operation.parent_unit_id
                  WHEN 'merge_small_pieces' THEN p_created[1] ELSE p_operation.source_unit_ids[1] END;
  RETURN coalesce(v_ids[cardinality(v_ids)] IS NOT NULL, false);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_events IS
  'For structure operations, which pin its search_path: the event of its type, and structure_op_applied, about the '
  'parent that got children, the unit that was merged, otherwise the source; false while the master switch is off. '
  'Arguments: the operation, what it created, who. Errors: as fn_iu_emit_events.';
