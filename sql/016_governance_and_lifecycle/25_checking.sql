-- Whether a decision allows an act. Every function that demands one asks here.

-- Recorded by the login that acts now: by its oid, and by its name, since oids do
-- not survive a dump.
CREATE FUNCTION iu.fn_iu_decision_is_own(p_reviewer_identity jsonb) RETURNS boolean
  LANGUAGE sql STABLE
RETURN coalesce(p_reviewer_identity ->> 'login_oid' = iu_core.login()::text
                OR p_reviewer_identity ->> 'login' = session_user::text, true);
COMMENT ON FUNCTION iu.fn_iu_decision_is_own IS
  'Whether a decision may be one of the login that acts: reviewer_identity of the decision; true where that says '
  'nothing. Raises nothing.';

CREATE FUNCTION iu.fn_iu_decision_other_text(p_operation text, p_manifest_id uuid, p_canonical_addresses text[])
  RETURNS text
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  IF p_operation NOT IN ('enact', 'split', 'merge') THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT min(b.canonical_address COLLATE "C")
            FROM cutter_governance.manifest_unit_block b
            JOIN public.information_unit u ON u.canonical_address = b.canonical_address
            CROSS JOIN LATERAL iu.fn_iu_text_to_decide(p_operation, u) AS t
           WHERE b.envelope_id = p_manifest_id AND b.canonical_address = ANY (p_canonical_addresses)
             AND (b.body_digest IS DISTINCT FROM t.digest OR b.title <> t.title));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_decision_other_text IS
  'For fn_iu_review_decision_check, which pins its search_path: the first unit whose text or title is not the one that '
  'was looked at, or NULL: operation, manifest, addresses. Other operations than enact, split and merge are not about '
  'a text.';

CREATE FUNCTION iu.fn_iu_review_decision_check(
    p_review_decision_id uuid, p_operation text, p_canonical_addresses text[])
  RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_decision cutter_governance.review_decision;
  v_kind     text;
  v_detail   text;
  v_guidance text;
BEGIN
  IF p_review_decision_id IS NULL THEN
    RETURN iu.fn_iu_answer('invalid_input', 'review_decision_id',
      format('Required. %s must reference a cutter_governance.review_decision row.', initcap(p_operation)),
      'record_review_decision_first');
  END IF;
  SELECT d.* INTO v_decision FROM cutter_governance.review_decision d
   WHERE d.review_decision_id = p_review_decision_id;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_answer('review_decision_not_found', 'review_decision_id',
      format('There is no decision %s.', p_review_decision_id), 'record_review_decision_first');
  END IF;
  SELECT CASE e.operation_kind WHEN 'first_cut' THEN 'cut' ELSE e.operation_kind END INTO v_kind
    FROM cutter_governance.manifest_envelope e WHERE e.envelope_id = v_decision.manifest_id;
  IF v_kind IS DISTINCT FROM p_operation THEN
    v_detail := 'other_operation';
    v_guidance := format('The decision is on %s.', v_kind);
  ELSIF coalesce(cardinality(p_canonical_addresses), 0) = 0
        OR EXISTS (SELECT FROM unnest(p_canonical_addresses) AS a (address)
                    WHERE NOT EXISTS (
                      SELECT FROM cutter_governance.manifest_unit_block b
                       WHERE b.envelope_id = v_decision.manifest_id AND b.canonical_address = a.address
                         AND b.unit_local_id = coalesce(v_decision.manifest_unit_local_id, b.unit_local_id))) THEN
    v_detail := 'other_unit';
    v_guidance := 'The decision is on other units, or none is given.';
  ELSIF v_decision.verdict <> 'approve' OR v_decision.status <> 'decided' THEN
    v_detail := 'not_approved';
    v_guidance := format('The verdict is %s, the status %s.', v_decision.verdict, v_decision.status);
  ELSIF v_decision.superseded_by_review_decision_id IS NOT NULL THEN
    v_detail := 'superseded';
    v_guidance := format('Decision %s took its place.', v_decision.superseded_by_review_decision_id);
  ELSIF iu.fn_iu_approval_is_strict() AND iu.fn_iu_decision_is_own(v_decision.reviewer_identity) THEN
    v_detail := 'own_decision';
    v_guidance := 'Approvals are strict: who decided does not carry it out. Somebody with another login does.';
  ELSIF iu.fn_iu_decision_other_text(p_operation, v_decision.manifest_id, p_canonical_addresses) IS NOT NULL THEN
    v_detail := 'other_text';
    v_guidance := format('The text of %s is not the one that was looked at.',
      iu.fn_iu_decision_other_text(p_operation, v_decision.manifest_id, p_canonical_addresses));
  ELSE
    RETURN NULL;
  END IF;
  RETURN iu.fn_iu_answer('review_decision_not_applicable', 'review_decision_id', v_guidance,
    'record_review_decision_first') || jsonb_build_object('detail', v_detail);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_review_decision_check IS
  'What public.fn_iu_review_decision_check hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_review_decision_check(
    p_review_decision_id uuid, p_operation text, p_canonical_addresses text[])
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_review_decision_check(p_review_decision_id, p_operation, p_canonical_addresses) END;
COMMENT ON FUNCTION public.fn_iu_review_decision_check IS
  'Whether a decision allows an act of the caller now: decision, operation, addresses. NULL: it does. Otherwise '
  '{status, field, guidance, next_action: record_review_decision_first}: invalid_input (no decision is given), '
  'review_decision_not_found, review_decision_not_applicable with detail other_operation, other_unit, not_approved, '
  'superseded, own_decision (approvals are strict, and the caller''s login recorded it), other_text (to enact, split '
  'or merge: the text is not the one that was looked at). Raises nothing of its own.';
