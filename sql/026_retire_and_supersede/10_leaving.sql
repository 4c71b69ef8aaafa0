-- 026 retire and supersede: how a unit goes out of use. Another unit takes its
-- place, or nothing does. Its text stays where it is, and so does whatever names
-- it: a retired piece stays in its collections, whose checks say so.

CREATE FUNCTION iu.fn_iu_leave_denied(p_operation text, p_lifecycle_status text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE
  WHEN p_operation = 'supersede' AND p_lifecycle_status <> 'enacted'
    THEN iu.fn_iu_fsm_denied(p_lifecycle_status, 'superseded', ARRAY['enacted'],
           CASE p_lifecycle_status WHEN 'draft' THEN 'fn_iu_enact' ELSE 'choose_another_unit' END)
  WHEN p_operation = 'retire' AND p_lifecycle_status NOT IN ('draft', 'enacted', 'superseded')
    THEN iu.fn_iu_answer('transition_not_yet_implemented', 'canonical_address',
           format('A unit that is %s is not retired yet.', p_lifecycle_status), 'choose_another_unit') END;
COMMENT ON FUNCTION iu.fn_iu_leave_denied IS
  'What forbids that a unit goes out of use, or NULL: fsm_denied of supersede, transition_not_yet_implemented of '
  'retire. Arguments: supersede or retire, its lifecycle_status, which is not yet the one that it would get.';

-- Where nothing speaks against it, the answer says what is to become of the unit.
CREATE FUNCTION iu.fn_iu_leave_check(
    p_unit public.information_unit, p_operation text, p_canonical_address text, p_actor text,
    p_review_decision_id uuid, p_reason text, p_tool_revision text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_to      CONSTANT text := CASE p_operation WHEN 'supersede' THEN 'superseded' ELSE 'retired' END;
  v_refusal jsonb;
  v_verify  jsonb;
BEGIN
  v_refusal := coalesce(
    iu.fn_iu_act_check(p_canonical_address, p_actor, p_reason, p_tool_revision, p_dry_run),
    iu.fn_iu_review_decision_check(p_review_decision_id, p_operation, ARRAY[p_canonical_address]));
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  ELSIF p_unit.id IS NULL THEN
    RETURN iu.fn_iu_not_found(p_canonical_address);
  ELSIF p_unit.lifecycle_status = v_to THEN
    RETURN (SELECT jsonb_build_object('status', 'idempotent_replay', 'unit_id', p_unit.id, 'log_id', max(l.log_id))
              FROM public.iu_lifecycle_log l WHERE l.unit_id = p_unit.id AND l.to_status = v_to);
  END IF;
  v_refusal := iu.fn_iu_leave_denied(p_operation, p_unit.lifecycle_status);
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  v_verify := iu.fn_iu_verify_invariants(p_canonical_address);
  IF NOT (v_verify -> 'all_pass')::boolean THEN
    RETURN iu.fn_iu_answer('invariants_failed', 'canonical_address', 'The unit is not complete.',
      'look_at_fn_iu_verify_invariants') || jsonb_build_object('checks', v_verify -> 'checks');
  END IF;
  RETURN jsonb_build_object('status', 'would_' || p_operation, 'unit_id', p_unit.id, 'from', p_unit.lifecycle_status,
    'to', v_to);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_leave_check IS
  'For fn_iu_supersede and fn_iu_retire, which pin its search_path: a refusal, idempotent_replay with the row of the '
  'ledger, or would_supersede or would_retire. Arguments: the unit (NULL: there is none), supersede or retire, then '
  'those of the two functions.';

CREATE FUNCTION iu.fn_iu_leave_write(
    p_unit public.information_unit, p_plan jsonb, p_transition_type text, p_actor text, p_review_decision_id uuid,
    p_change_set_id uuid, p_reason text, p_tool_revision text, p_metadata jsonb)
  RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_to     CONSTANT text := p_plan ->> 'to';
  v_log_id bigint;
BEGIN
  UPDATE public.unit_version v SET lifecycle_status = v_to WHERE v.id = p_unit.version_anchor_ref;
  UPDATE public.information_unit u SET lifecycle_status = v_to, updated_by = p_actor WHERE u.id = p_unit.id;
  v_log_id := iu.fn_iu_lifecycle_write(p_unit, v_to, p_transition_type, p_actor, p_review_decision_id,
    p_change_set_id, p_reason, p_tool_revision, NULL, p_metadata || jsonb_build_object(
      'version_id', p_unit.version_anchor_ref, 'content_hash', p_unit.content_anchor_ref));
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.information_unit u JOIN public.unit_version v ON v.id = u.version_anchor_ref
             WHERE u.id = p_unit.id AND u.lifecycle_status = v_to AND v.lifecycle_status = v_to),
    'public.information_unit', 'taking the unit out of use');
  RETURN p_plan || jsonb_build_object('status', v_to, 'log_id', v_log_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_leave_write IS
  'For fn_iu_supersede and fn_iu_retire, which pin its search_path and whose marker is in force: gives the unit and '
  'the version that counts the status of the plan, and writes the ledger. A pending version stays as it is. Arguments: '
  'the unit as it was, the plan, the transition, then those of the two functions, and what the ledger has beside the '
  'version.';
