-- Enacting: a decision makes the text of a unit binding. Of a unit that is enacted
-- it is the pending version that is meant.

CREATE FUNCTION iu.fn_iu_act_check(
    p_canonical_address text, p_actor text, p_reason text, p_tool_revision text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN CASE
    WHEN iu.fn_iu_address_problem(p_canonical_address) IS NOT NULL
      THEN iu.fn_iu_invalid('canonical_address', p_canonical_address, iu.fn_iu_address_problem(p_canonical_address))
    WHEN iu_core.text_problem(p_actor, false) IS NOT NULL
      THEN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters')
    WHEN p_reason IS NOT NULL AND iu_core.text_problem(p_reason, true) IS NOT NULL
      THEN iu.fn_iu_invalid('reason', p_reason, 'up to 2000 characters in one line')
    WHEN p_tool_revision IS NOT NULL AND iu_core.text_problem(p_tool_revision, false) IS NOT NULL
      THEN iu.fn_iu_invalid('tool_revision', p_tool_revision, 'up to 200 characters in one line')
    WHEN p_dry_run IS NULL THEN iu.fn_iu_invalid('dry_run', NULL, 'true or false') END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_act_check IS
  'For the functions of the lifecycle, which pin its search_path: the refusal invalid_input of what they all are '
  'given, or NULL: address, actor, reason, tool revision, dry run.';

CREATE FUNCTION iu.fn_iu_fsm_denied(p_from text, p_to text, p_allowed text[], p_next_action text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN iu.fn_iu_answer('fsm_denied', 'canonical_address',
    format('A unit that is %s does not become %s.', p_from, p_to), p_next_action)
  || jsonb_build_object('from', p_from, 'to', p_to, 'allowed', to_jsonb(p_allowed));
COMMENT ON FUNCTION iu.fn_iu_fsm_denied IS
  'The refusal fsm_denied of the lifecycle: from, to, the states from which it is allowed, next action.';

-- Where nothing speaks against it, the answer says what is to be enacted.
CREATE FUNCTION iu.fn_iu_enact_check(
    p_unit public.information_unit, p_canonical_address text, p_actor text, p_review_decision_id uuid,
    p_target_lifecycle text, p_reason text, p_tool_revision text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_refusal jsonb;
  v_newest  public.unit_version;
  v_verify  jsonb;
BEGIN
  v_refusal := coalesce(
    iu.fn_iu_act_check(p_canonical_address, p_actor, p_reason, p_tool_revision, p_dry_run),
    iu.fn_iu_review_decision_check(p_review_decision_id, 'enact', ARRAY[p_canonical_address]));
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  ELSIF p_unit.id IS NULL THEN
    RETURN iu.fn_iu_not_found(p_canonical_address);
  ELSIF p_target_lifecycle IS DISTINCT FROM 'enacted' THEN
    RETURN iu.fn_iu_answer('transition_not_yet_implemented', 'target_lifecycle',
      format('fn_iu_enact makes a unit enacted, not %s.', iu_core.text_shown(p_target_lifecycle)), 'fn_iu_supersede');
  ELSIF p_unit.lifecycle_status NOT IN ('draft', 'enacted') THEN
    RETURN iu.fn_iu_fsm_denied(p_unit.lifecycle_status, 'enacted', ARRAY['draft', 'enacted'], 'fn_iu_supersede');
  END IF;
  v_newest := iu.fn_iu_newest_version(p_unit.id);
  IF p_unit.lifecycle_status = 'enacted' AND v_newest.id = p_unit.version_anchor_ref THEN
    RETURN jsonb_build_object('status', 'idempotent_replay', 'unit_id', p_unit.id,
      'version_id', p_unit.version_anchor_ref, 'content_hash', p_unit.content_anchor_ref);
  ELSIF EXISTS (SELECT FROM public.iu_lifecycle_log l
                 WHERE l.unit_id = p_unit.id AND l.transition_type = 'enact'
                   AND l.review_decision_id = p_review_decision_id) THEN
    -- Also where the text has come back meanwhile: others may have been decided on since.
    RETURN iu.fn_iu_answer('review_decision_not_applicable', 'review_decision_id',
      'The decision was carried out on this unit; the pending version needs one of its own.',
      'record_review_decision_first') || '{"detail": "carried_out"}';
  END IF;
  v_verify := iu.fn_iu_verify_invariants(p_canonical_address);
  IF NOT (v_verify -> 'all_pass')::boolean THEN
    RETURN iu.fn_iu_answer('invariants_failed', 'canonical_address', 'The unit is not complete.',
      'look_at_fn_iu_verify_invariants') || jsonb_build_object('checks', v_verify -> 'checks');
  END IF;
  RETURN jsonb_build_object('status', 'would_enact', 'unit_id', p_unit.id, 'version_id', v_newest.id,
    'version_seq', v_newest.version_seq, 'content_hash', v_newest.content_hash);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_enact_check IS
  'For fn_iu_enact, which pins its search_path: a refusal, idempotent_replay, or would_enact with the version that is '
  'meant. Arguments: the unit (NULL: there is none), then those of fn_iu_enact.';

CREATE FUNCTION iu.fn_iu_enact_write(
    p_unit public.information_unit, p_plan jsonb, p_actor text, p_review_decision_id uuid, p_change_set_id uuid,
    p_reason text, p_tool_revision text)
  RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_version CONSTANT uuid := (p_plan ->> 'version_id')::uuid;
  v_moves   CONSTANT boolean := v_version <> p_unit.version_anchor_ref;
  v_log_id  bigint;
BEGIN
  UPDATE public.unit_version v
     SET lifecycle_status = CASE v.id WHEN v_version THEN 'enacted' ELSE 'superseded' END,
         enacted_at = CASE v.id WHEN v_version THEN clock_timestamp() ELSE v.enacted_at END
   WHERE v.id IN (v_version, p_unit.version_anchor_ref);
  UPDATE public.information_unit u
     SET lifecycle_status = 'enacted', version_anchor_ref = v.id, content_anchor_ref = v.content_hash,
         updated_by = p_actor,
         identity_profile = CASE WHEN v_moves AND v.content_profile ? 'title'
           THEN u.identity_profile || jsonb_build_object('title', v.content_profile -> 'title')
           ELSE u.identity_profile END
    FROM public.unit_version v
   WHERE u.id = p_unit.id AND v.id = v_version;
  v_log_id := iu.fn_iu_lifecycle_write(p_unit, 'enacted', 'enact', p_actor, p_review_decision_id, p_change_set_id,
    p_reason, p_tool_revision, NULL, jsonb_strip_nulls(jsonb_build_object('version_id', v_version,
      'version_seq', p_plan -> 'version_seq', 'content_hash', p_plan -> 'content_hash',
      'previous_version_id', CASE WHEN v_moves THEN p_unit.version_anchor_ref END)));
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.information_unit u JOIN public.unit_version v ON v.id = u.version_anchor_ref
             WHERE u.id = p_unit.id AND v.id = v_version AND u.lifecycle_status = 'enacted'
               AND v.lifecycle_status = 'enacted' AND u.content_anchor_ref = v.content_hash),
    'public.information_unit', 'enacting the unit');
  RETURN p_plan || jsonb_build_object('status', 'enacted', 'log_id', v_log_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_enact_write IS
  'For fn_iu_enact, which pins its search_path and whose marker is in force: makes the version of the plan the enacted '
  'one, the one before it superseded, and writes the ledger. Arguments: the unit as it was, what fn_iu_enact_check '
  'answered, then those of fn_iu_enact.';

CREATE FUNCTION iu.fn_iu_enact(
    p_canonical_address text, p_actor text, p_review_decision_id uuid, p_target_lifecycle text, p_change_set_id uuid,
    p_reason text, p_tool_revision text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_enact'
AS $function$
DECLARE
  v_unit public.information_unit;
  v_plan jsonb;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_enact');
  SELECT u.* INTO v_unit FROM public.information_unit u
   WHERE u.canonical_address = p_canonical_address AND u.deleted_at IS NULL FOR NO KEY UPDATE;
  v_plan := iu.fn_iu_enact_check(v_unit, p_canonical_address, p_actor, p_review_decision_id, p_target_lifecycle,
    p_reason, p_tool_revision, p_dry_run);
  IF v_plan ->> 'status' <> 'would_enact' OR p_dry_run THEN
    RETURN v_plan;
  END IF;
  RETURN iu.fn_iu_enact_write(v_unit, v_plan, p_actor, p_review_decision_id, p_change_set_id, p_reason,
    p_tool_revision);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_enact IS
  'What public.fn_iu_enact hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_enact(
    p_canonical_address text, p_actor text, p_review_decision_id uuid, p_target_lifecycle text DEFAULT 'enacted',
    p_change_set_id uuid DEFAULT NULL, p_reason text DEFAULT NULL, p_tool_revision text DEFAULT NULL,
    p_dry_run boolean DEFAULT false)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_enact(p_canonical_address, p_actor, p_review_decision_id, p_target_lifecycle, p_change_set_id, p_reason,
                 p_tool_revision, p_dry_run) END;
COMMENT ON FUNCTION public.fn_iu_enact IS
  'Makes the text of a unit binding: address, who, the decision that allows it; target (enacted), change set, reason, '
  'tool revision, whether only to look. A draft is enacted with the version that counts. Of an enacted unit the '
  'pending version is: both anchors move to it, a title that came with it is taken over, the version before it is '
  'superseded. Returns {status: enacted (would_enact of a dry run), unit_id, version_id, version_seq, content_hash, '
  'log_id}; idempotent_replay where nothing is pending. Refusals {status, field, guidance, next_action}, in this '
  'order: invalid_input (canonical_address, actor, reason, tool_revision, dry_run), those of '
  'fn_iu_review_decision_check, iu_not_found, transition_not_yet_implemented (another target), fsm_denied with from, '
  'to, allowed, review_decision_not_applicable with detail carried_out (the decision enacted another version of the '
  'unit), invariants_failed with checks. SQLSTATE 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_enact_many(
    p_canonical_addresses text[], p_actor text, p_review_decision_id uuid, p_change_set_id uuid, p_reason text,
    p_tool_revision text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_enact'
AS $function$
DECLARE
  v_address text;
  v_unit    public.information_unit;
  v_plan    jsonb;
  v_plans   jsonb[] := '{}';
  v_refused jsonb := '[]';
  v_replays integer := 0;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_enact_many');
  IF coalesce(cardinality(p_canonical_addresses) BETWEEN 1 AND 10000, false) IS NOT TRUE THEN
    RETURN iu.fn_iu_invalid('canonical_addresses', cardinality(p_canonical_addresses)::text, '1 to 10000 addresses');
  END IF;
  -- Two calls at once lock in one order.
  FOR v_address IN SELECT DISTINCT a COLLATE "C" FROM unnest(p_canonical_addresses) AS a ORDER BY 1 LOOP
    SELECT u.* INTO v_unit FROM public.information_unit u
     WHERE u.canonical_address = v_address AND u.deleted_at IS NULL FOR NO KEY UPDATE;
    v_plan := iu.fn_iu_enact_check(v_unit, v_address, p_actor, p_review_decision_id, 'enacted', p_reason,
      p_tool_revision, p_dry_run);
    IF v_plan ->> 'status' = 'would_enact' THEN
      v_plans := array_append(v_plans, v_plan);
    ELSIF v_plan ->> 'status' = 'idempotent_replay' THEN
      v_replays := v_replays + 1;
    ELSE
      v_refused := v_refused || (jsonb_build_object('canonical_address', v_address) || v_plan);
    END IF;
  END LOOP;
  IF v_refused = '[]' AND NOT p_dry_run THEN
    FOREACH v_plan IN ARRAY v_plans LOOP
      SELECT u.* INTO v_unit FROM public.information_unit u WHERE u.id = (v_plan ->> 'unit_id')::uuid;
      PERFORM iu.fn_iu_enact_write(v_unit, v_plan, p_actor, p_review_decision_id, p_change_set_id, p_reason,
        p_tool_revision);
    END LOOP;
  END IF;
  RETURN jsonb_build_object(
    'status', CASE WHEN v_refused <> '[]' THEN 'refused' WHEN p_dry_run THEN 'would_enact' ELSE 'enacted' END,
    'units', CASE WHEN v_refused = '[]' THEN cardinality(v_plans) ELSE 0 END, 'replays', v_replays,
    'refused', v_refused);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_enact_many IS
  'What public.fn_iu_enact_many hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_enact_many(
    p_canonical_addresses text[], p_actor text, p_review_decision_id uuid, p_change_set_id uuid DEFAULT NULL,
    p_reason text DEFAULT NULL, p_tool_revision text DEFAULT NULL, p_dry_run boolean DEFAULT false)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_enact_many(p_canonical_addresses, p_actor, p_review_decision_id, p_change_set_id, p_reason,
                      p_tool_revision, p_dry_run) END;
COMMENT ON FUNCTION public.fn_iu_enact_many IS
  'Enacts up to 10000 units on one decision, all of them or none, each as fn_iu_enact does: addresses, who, decision, '
  'change set, reason, tool revision, whether only to look. Returns {status: enacted (would_enact of a dry run), '
  'units: how many, replays: how many had nothing pending, refused: []}; status refused, with what fn_iu_enact '
  'answers for each such unit, where one is; invalid_input (canonical_addresses). SQLSTATE 25000: another isolation '
  'level than READ COMMITTED.';
