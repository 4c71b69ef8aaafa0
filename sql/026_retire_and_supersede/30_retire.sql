-- Retiring: a unit goes out of use, and nothing takes its place.

CREATE FUNCTION iu.fn_iu_retire(
    p_canonical_address text, p_actor text, p_review_decision_id uuid, p_change_set_id uuid, p_reason text,
    p_tool_revision text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_retire'
AS $function$
DECLARE
  v_unit public.information_unit;
  v_plan jsonb;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_retire');
  SELECT u.* INTO v_unit FROM public.information_unit u
   WHERE u.canonical_address = p_canonical_address AND u.deleted_at IS NULL FOR NO KEY UPDATE;
  v_plan := iu.fn_iu_leave_check(v_unit, 'retire', p_canonical_address, p_actor, p_review_decision_id, p_reason,
    p_tool_revision, p_dry_run);
  IF v_plan ->> 'status' <> 'would_retire' OR p_dry_run THEN
    RETURN v_plan;
  END IF;
  RETURN iu.fn_iu_leave_write(v_unit, v_plan, 'retire_from_' || v_unit.lifecycle_status, p_actor,
    p_review_decision_id, p_change_set_id, p_reason, p_tool_revision, '{}');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_retire IS
  'What public.fn_iu_retire hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_retire(
    p_canonical_address text, p_actor text, p_review_decision_id uuid, p_change_set_id uuid DEFAULT NULL,
    p_reason text DEFAULT NULL, p_tool_revision text DEFAULT NULL, p_dry_run boolean DEFAULT false)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_retire(p_canonical_address, p_actor, p_review_decision_id, p_change_set_id, p_reason, p_tool_revision,
                  p_dry_run) END;
COMMENT ON FUNCTION public.fn_iu_retire IS
  'Takes a draft, enacted or superseded unit out of use, for operators: address, who, the decision that allows it; '
  'change set, reason, tool revision, whether only to look. The unit and the version that counts become retired; what '
  'names the unit stays as it is. Returns {status: retired (would_retire of a dry run), unit_id, from, to, log_id}; '
  'idempotent_replay where it is retired already. Refusals {status, field, guidance, next_action}, in this order: '
  'invalid_input (canonical_address, actor, reason, tool_revision, dry_run), those of fn_iu_review_decision_check, '
  'iu_not_found, transition_not_yet_implemented (a deprecated unit), invariants_failed with checks. SQLSTATE 25000: '
  'another isolation level than READ COMMITTED.';
