-- Whether a unit is ready to be enacted.

CREATE FUNCTION iu.fn_iu_readiness(p_canonical_address text) RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_unit     public.information_unit;
  v_problems text[];
BEGIN
  SELECT u.* INTO v_unit FROM public.information_unit u
   WHERE u.canonical_address = p_canonical_address AND u.deleted_at IS NULL;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_not_found(p_canonical_address);
  END IF;
  SELECT array_agg(c.problem ORDER BY c.n) INTO v_problems
    FROM (VALUES
      (1, 'not_in_draft', v_unit.lifecycle_status <> 'draft'),
      (2, 'axis_a_missing', v_unit.doc_code IS NULL OR v_unit.sort_order IS NULL OR v_unit.section_type IS NULL),
      (3, 'axis_b_missing', NOT EXISTS (SELECT FROM public.iu_metadata_tag t WHERE t.unit_id = v_unit.id)),
      (4, 'orphan_parent', v_unit.parent_or_container_ref IS NOT NULL
        AND NOT EXISTS (SELECT FROM public.information_unit p
                         WHERE p.id = v_unit.parent_or_container_ref AND p.deleted_at IS NULL)),
      (5, 'dup_canonical', (SELECT count(*) FROM public.information_unit u
                             WHERE u.canonical_address = p_canonical_address) > 1),
      (6, 'invariants_failed', NOT (iu.fn_iu_verify_invariants(p_canonical_address) -> 'all_pass')::boolean)
    ) AS c (n, problem, holds)
   WHERE c.holds;
  IF v_problems IS NULL THEN
    RETURN jsonb_build_object('status', 'ready', 'unit_id', v_unit.id, 'problems', '[]'::jsonb,
      'next_action', 'fn_iu_review_decision_record');
  END IF;
  RETURN iu.fn_iu_answer(v_problems[1], 'canonical_address', CASE v_problems[1]
      WHEN 'not_in_draft' THEN format('The unit is %s.', v_unit.lifecycle_status)
      WHEN 'axis_a_missing' THEN 'The unit has no document, no place in it, or no section type.'
      WHEN 'axis_b_missing' THEN 'The unit has no tag.'
      WHEN 'orphan_parent' THEN 'The parent of the unit is deleted.'
      WHEN 'dup_canonical' THEN 'Another unit has the same address.'
      ELSE 'The unit is not complete.' END,
    CASE v_problems[1] WHEN 'axis_b_missing' THEN 'fn_iu_metadata_refresh'
      WHEN 'invariants_failed' THEN 'look_at_fn_iu_verify_invariants' ELSE 'correct_the_unit' END)
    || jsonb_build_object('problems', to_jsonb(v_problems));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_readiness IS
  'What public.fn_iu_readiness hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_readiness(p_canonical_address text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN iu.fn_iu_readiness(p_canonical_address) END;
COMMENT ON FUNCTION public.fn_iu_readiness IS
  'Whether the unit at an address may be put before a reviewer: {status: ready, unit_id, problems: [], next_action}, '
  'or {status, field, guidance, next_action, problems} with the first problem as status: not_in_draft, axis_a_missing '
  '(no document, place or section type), axis_b_missing (no tag), orphan_parent, dup_canonical, invariants_failed; or '
  'iu_not_found. Nothing demands it. Raises nothing of its own.';
