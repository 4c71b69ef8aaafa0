-- Recording a decision, for operators. An agent cannot make one.

-- The text that an operation is about: to enact, the newest version, with the
-- title that comes with it; otherwise what counts now.
CREATE FUNCTION iu.fn_iu_text_to_decide(p_operation text, p_unit public.information_unit)
  RETURNS TABLE (digest text, title text)
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_newest public.unit_version;
BEGIN
  digest := p_unit.content_anchor_ref;
  title := p_unit.title;
  IF p_operation = 'enact' THEN
    v_newest := iu.fn_iu_newest_version(p_unit.id);
    digest := v_newest.content_hash;
    IF v_newest.id <> p_unit.version_anchor_ref THEN
      title := coalesce(v_newest.content_profile ->> 'title', title);
    END IF;
  END IF;
  RETURN NEXT;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_text_to_decide IS
  'For decisions, whose functions pin its search_path: digest and title of the text of a unit that an operation is '
  'about. Arguments: operation, unit.';

CREATE FUNCTION iu.fn_iu_decision_units(p_operation text, p_canonical_addresses text[], p_content_hashes text[])
  RETURNS TABLE (n integer, address text, unit_id uuid, unit_kind text, section_type text, title text, digest text,
                 expected text)
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN QUERY
    SELECT a.n::integer, a.address, u.id, u.unit_kind, u.section_type, t.title, t.digest, a.digest
      FROM unnest(p_canonical_addresses, p_content_hashes) WITH ORDINALITY AS a (address, digest, n)
      LEFT JOIN public.information_unit u ON u.canonical_address = a.address AND u.deleted_at IS NULL
      LEFT JOIN LATERAL iu.fn_iu_text_to_decide(p_operation, u) AS t ON true;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_decision_units IS
  'For fn_iu_review_decision_record, which pins its search_path: the units of a decision, each with the digest of its '
  'text (to enact, of the newest version; otherwise of the one that counts) and the one that was given.';

CREATE FUNCTION iu.fn_iu_decision_check(
    p_operation text, p_canonical_addresses text[], p_verdict text, p_actor text, p_rationale text, p_findings jsonb,
    p_reviewer_class text, p_risk_class text, p_prior uuid, p_content_hashes text[])
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_wrong record;
BEGIN
  SELECT r.field, r.value, r.allowed INTO v_wrong
    FROM (VALUES
      (1, 'operation', p_operation, 'enact, retire, supersede, split, merge or cut',
       p_operation IN ('enact', 'retire', 'supersede', 'split', 'merge', 'cut')),
      (2, 'canonical_addresses', p_canonical_addresses::text, '1 to 10000 different addresses, none of them NULL',
       cardinality(p_canonical_addresses) BETWEEN 1 AND 10000
       AND NOT EXISTS (SELECT FROM unnest(p_canonical_addresses) AS a (address)
                        WHERE iu.fn_iu_address_problem(a.address) IS NOT NULL)
       AND cardinality(p_canonical_addresses) = (SELECT count(DISTINCT a.address)
                                                   FROM unnest(p_canonical_addresses) AS a (address))),
      (3, 'verdict', p_verdict, 'approve or reject', p_verdict IN ('approve', 'reject')),
      (4, 'actor', p_actor, 'who decides, in up to 200 characters', iu_core.text_problem(p_actor, false) IS NULL),
      (5, 'rationale', p_rationale, 'why, in up to 2000 characters', iu_core.text_problem(p_rationale, true) IS NULL),
      (6, 'findings', CASE jsonb_typeof(p_findings) WHEN 'array' THEN 'a longer one' ELSE jsonb_typeof(p_findings) END,
       'an array of up to 262144 bytes', jsonb_typeof(p_findings) = 'array' AND iu.fn_iu_json_fits(p_findings, 262144)),
      (7, 'reviewer_class', p_reviewer_class, 'a word', p_reviewer_class ~ '^[a-z][a-z0-9_]{0,62}$'),
      (8, 'risk_class', p_risk_class, 'a word', p_risk_class ~ '^[a-z][a-z0-9_]{0,62}$'),
      (9, 'content_hashes', p_content_hashes::text, 'NULL, or one digest for each address, in their order',
       p_content_hashes IS NULL OR cardinality(p_content_hashes) = cardinality(p_canonical_addresses))
    ) AS r (n, field, value, allowed, ok)
   WHERE r.ok IS NOT TRUE ORDER BY r.n LIMIT 1;
  IF FOUND THEN
    RETURN iu.fn_iu_invalid(v_wrong.field, v_wrong.value, v_wrong.allowed);
  END IF;
  SELECT u.* INTO v_wrong FROM iu.fn_iu_decision_units(p_operation, p_canonical_addresses, p_content_hashes) u
   WHERE u.unit_id IS NULL AND (p_operation NOT IN ('cut', 'split') OR p_operation = 'split' AND u.n = 1)
   ORDER BY u.n LIMIT 1;
  IF FOUND THEN
    RETURN iu.fn_iu_invalid('canonical_addresses', v_wrong.address, 'an address of a unit that is not deleted');
  END IF;
  SELECT u.* INTO v_wrong FROM iu.fn_iu_decision_units(p_operation, p_canonical_addresses, p_content_hashes) u
   WHERE u.expected IS NOT NULL AND u.expected IS DISTINCT FROM u.digest ORDER BY u.n LIMIT 1;
  IF FOUND THEN
    RETURN iu.fn_iu_invalid('content_hashes', v_wrong.expected,
      format('the digest of the text of %s as it is now, %s', v_wrong.address, coalesce(v_wrong.digest, 'none')));
  ELSIF p_prior IS NOT NULL AND NOT EXISTS (
          SELECT FROM cutter_governance.review_decision d
            JOIN cutter_governance.manifest_envelope e ON e.envelope_id = d.manifest_id
           WHERE d.review_decision_id = p_prior AND d.superseded_by_review_decision_id IS NULL
             AND e.operation_kind = p_operation) THEN
    RETURN iu.fn_iu_invalid('prior', p_prior::text,
      'a decision on the same operation whose place no other has taken');
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_decision_check IS
  'For fn_iu_review_decision_record, which pins its search_path: the refusal invalid_input of its arguments, or NULL.';

CREATE FUNCTION iu.fn_iu_review_decision_record(
    p_operation text, p_canonical_addresses text[], p_verdict text, p_actor text, p_rationale text, p_findings jsonb,
    p_reviewer_class text, p_risk_class text, p_prior uuid, p_content_hashes text[])
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_caller      CONSTANT oid := iu.fn_iu_require_caller();
  v_refusal     jsonb;
  v_manifest_id CONSTANT uuid := gen_random_uuid();
  v_decision_id CONSTANT uuid := gen_random_uuid();
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_review_decision_record');
  PERFORM FROM cutter_governance.review_decision d WHERE d.review_decision_id = p_prior FOR NO KEY UPDATE;
  v_refusal := iu.fn_iu_decision_check(p_operation, p_canonical_addresses, p_verdict, p_actor, p_rationale, p_findings,
    p_reviewer_class, p_risk_class, p_prior, p_content_hashes);
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  INSERT INTO cutter_governance.manifest_envelope
      (envelope_id, operation_kind, status, created_by, reviewer, reviewed_at, rationale, manifest_digest)
    SELECT v_manifest_id, p_operation, 'proposed', p_actor, p_actor, now(), p_rationale,
           iu.fn_content_hash(string_agg(u.address || ':' || coalesce(u.digest, ''), '|'
                                         ORDER BY u.address COLLATE "C"))
      FROM iu.fn_iu_decision_units(p_operation, p_canonical_addresses, p_content_hashes) u;
  INSERT INTO cutter_governance.manifest_unit_block
      (envelope_id, unit_local_id, canonical_address, unit_id, unit_kind, section_type, title, body_digest, sort_order)
    SELECT v_manifest_id, u.n::text, u.address, u.unit_id, u.unit_kind, u.section_type, u.title, u.digest, u.n
      FROM iu.fn_iu_decision_units(p_operation, p_canonical_addresses, p_content_hashes) u;
  INSERT INTO cutter_governance.review_decision
      (review_decision_id, governance_event_kind, manifest_id, manifest_version, review_scope, status, verdict,
       findings, reviewer_class, reviewer_identity, risk_class_assessment, prior_review_decision_id, decision_at,
       decided_by, cross_signed_by_dot_verifier, version)
    VALUES (v_decision_id, p_operation, v_manifest_id, 1, 'manifest', 'decided', p_verdict, p_findings,
            p_reviewer_class, jsonb_build_object('actor', p_actor, 'login', session_user,
              'login_oid', iu_core.login()::bigint, 'role', pg_get_userbyid(v_caller), 'role_oid', v_caller::bigint),
            p_risk_class, p_prior, clock_timestamp(), p_actor, false, 1);
  UPDATE cutter_governance.review_decision
     SET superseded_by_review_decision_id = v_decision_id, updated_at = clock_timestamp()
   WHERE review_decision_id = p_prior;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM cutter_governance.review_decision d WHERE d.review_decision_id = v_decision_id)
    AND NOT EXISTS (SELECT FROM cutter_governance.review_decision d
                     WHERE d.review_decision_id = p_prior AND d.superseded_by_review_decision_id IS NULL),
    'cutter_governance.review_decision', 'recording the decision');
  RETURN jsonb_build_object('status', 'recorded', 'review_decision_id', v_decision_id, 'manifest_id', v_manifest_id,
    'operation', p_operation, 'verdict', p_verdict, 'units', cardinality(p_canonical_addresses));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_review_decision_record IS
  'What public.fn_iu_review_decision_record hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_review_decision_record(
    p_operation text, p_canonical_addresses text[], p_verdict text, p_actor text, p_rationale text,
    p_findings jsonb DEFAULT '[]', p_reviewer_class text DEFAULT 'human', p_risk_class text DEFAULT 'normal',
    p_prior uuid DEFAULT NULL, p_content_hashes text[] DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_review_decision_record(p_operation, p_canonical_addresses, p_verdict, p_actor, p_rationale, p_findings,
    p_reviewer_class, p_risk_class, p_prior, p_content_hashes) END;
COMMENT ON FUNCTION public.fn_iu_review_decision_record IS
  'Records the decision of a reviewer, for operators: operation (enact, retire, supersede, split, merge, cut), the '
  'addresses (of a split the source first, then the children, which need not be there; of a cut none need be there), '
  'verdict (approve, reject), who, why; what was found (up to 256 kB), class of the reviewer, risk, the decision '
  'whose place this one takes, and the digests of the texts that were looked at, in the order of the addresses '
  '(NULL: as the texts are now). It holds for this operation, these units and these texts. Returns {status: '
  'recorded, review_decision_id, manifest_id, operation, verdict, units}. Refusals {status: invalid_input, field, '
  'guidance, next_action}: each argument, an unknown address, a digest of another text than there is, a prior '
  'decision that does not fit. SQLSTATE 25000: another isolation level than READ COMMITTED.';
