-- Splitting one unit.

CREATE FUNCTION iu.fn_iu_piece_split_input(
    p_source_canonical_address text, p_child_specs jsonb, p_actor text, p_review_decision_id uuid, p_reason text,
    p_tool_revision text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_refusal jsonb;
  v_child   record;
  v_seen    text[] := '{}';
BEGIN
  v_refusal := coalesce(
    iu.fn_iu_decision_given(p_review_decision_id, 'split'),
    iu.fn_iu_act_check('-', p_actor, p_reason, p_tool_revision, p_dry_run));
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  ELSIF iu.fn_iu_address_problem(p_source_canonical_address) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('source_canonical_address', p_source_canonical_address,
      iu.fn_iu_address_problem(p_source_canonical_address));
  ELSIF (CASE WHEN jsonb_typeof(p_child_specs) = 'array'
              THEN jsonb_array_length(p_child_specs) BETWEEN 2 AND 1000 AND pg_column_size(p_child_specs) <= 67108864
              END) IS NOT TRUE THEN
    RETURN iu.fn_iu_invalid('child_specs', CASE jsonb_typeof(p_child_specs) WHEN 'array'
        THEN format('an array of %s in %s bytes', jsonb_array_length(p_child_specs), pg_column_size(p_child_specs))
        ELSE jsonb_typeof(p_child_specs) END,
      'an array of 2 to 1000 objects in up to 67108864 bytes');
  END IF;
  FOR v_child IN SELECT e.n, e.spec, e.spec ->> 'canonical_address' AS address
                   FROM jsonb_array_elements(p_child_specs) WITH ORDINALITY AS e (spec, n) LOOP
    v_refusal := iu.fn_iu_piece_spec_refusal(v_child.spec, 'child_specs', 'Child ' || v_child.n, p_actor);
    IF v_refusal IS NOT NULL THEN
      RETURN v_refusal;
    ELSIF v_child.address = p_source_canonical_address OR v_child.address = ANY (v_seen) THEN
      RETURN iu.fn_iu_answer('invalid_input', 'child_specs',
        format('Child %s: %s is the address of the source or of another child.', v_child.n,
               iu_core.text_shown(v_child.address)), 'correct_the_argument');
    END IF;
    v_seen := array_append(v_seen, v_child.address);
  END LOOP;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_split_input IS
  'For fn_iu_piece_split, which pins its search_path: the refusal of what it is given, as far as that can be told '
  'without a look at units, or NULL.';

-- Where nothing speaks against it, the answer says what is to be made.
CREATE FUNCTION iu.fn_iu_piece_split_check(
    p_source public.information_unit, p_source_address text, p_children text[], p_review_decision_id uuid)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_taken   text;
  v_refusal jsonb;
BEGIN
  SELECT min(u.canonical_address COLLATE "C") INTO v_taken
    FROM public.information_unit u WHERE u.canonical_address = ANY (p_children);
  IF v_taken IS NOT NULL THEN
    RETURN iu.fn_iu_answer('invalid_input', 'child_specs',
      format('Child %s: unit %s has the address already.', array_position(p_children, v_taken),
             iu_core.text_shown(v_taken)), 'correct_the_argument');
  END IF;
  v_refusal := coalesce(
    iu.fn_iu_piece_source_refusal(p_source, p_source_address, 'source_canonical_address', 'split'),
    iu.fn_iu_place_refusal(p_source.parent_or_container_ref, 'source_canonical_address'),
    iu.fn_iu_review_decision_check(p_review_decision_id, 'split', array_prepend(p_source_address, p_children)));
  RETURN coalesce(v_refusal, jsonb_build_object('status', 'would_split', 'source_unit_id', p_source.id,
    'source_canonical_address', p_source_address, 'child_canonical_addresses', to_jsonb(p_children)));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_split_check IS
  'For fn_iu_piece_split, which pins its search_path: a refusal, or would_split. Arguments: the source (NULL: there is '
  'none), its address, those of the children, the decision.';

CREATE FUNCTION iu.fn_iu_piece_split_write(
    p_source public.information_unit, p_child_specs jsonb, p_children text[], p_actor text,
    p_review_decision_id uuid, p_change_set_id uuid, p_reason text, p_tool_revision text, p_key text)
  RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_set_id CONSTANT uuid := gen_random_uuid();
  v_ids    uuid[];
  v_log_id bigint;
BEGIN
  v_ids := iu.fn_iu_pieces_write(p_source, p_child_specs, p_source.sort_order, p_actor);
  INSERT INTO public.iu_split_set
      (id, source_iu_id, source_canonical_address, child_iu_ids, child_canonical_addresses, actor, review_decision_id,
       change_set_id, reason, tool_revision, idempotency_key)
    VALUES (v_set_id, p_source.id, p_source.canonical_address, v_ids, p_children, p_actor, p_review_decision_id,
            p_change_set_id, p_reason, p_tool_revision, p_key);
  v_log_id := iu.fn_iu_lifecycle_write(p_source, p_source.lifecycle_status, 'split', p_actor, p_review_decision_id,
    p_change_set_id, p_reason, p_tool_revision, 'split:' || p_key, jsonb_build_object('split_set_id', v_set_id,
      'child_unit_ids', to_jsonb(v_ids), 'child_canonical_addresses', to_jsonb(p_children)));
  PERFORM iu.fn_iu_require_effect(EXISTS (SELECT FROM public.iu_split_set s WHERE s.id = v_set_id),
    'public.iu_split_set', 'splitting the unit');
  PERFORM iu.fn_iu_piece_events_try('created', v_ids, p_actor);
  RETURN jsonb_build_object('status', 'split', 'split_set_id', v_set_id, 'source_unit_id', p_source.id,
    'child_unit_ids', to_jsonb(v_ids), 'child_canonical_addresses', to_jsonb(p_children), 'log_id', v_log_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_split_write IS
  'For fn_iu_piece_split, which pins its search_path and whose marker is in force: makes the children, and writes the '
  'split and the ledger. Arguments: the source, the children and their addresses, then those of fn_iu_piece_split, '
  'and the idempotency key. Errors: 23505 where somebody else has taken an address.';

CREATE FUNCTION iu.fn_iu_piece_split(
    p_source_canonical_address text, p_child_specs jsonb, p_actor text, p_review_decision_id uuid,
    p_change_set_id uuid, p_reason text, p_tool_revision text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_piece_split'
AS $function$
DECLARE
  v_plan     jsonb;
  v_children text[];
  v_key      text;
  v_source   public.information_unit;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_piece_split');
  v_plan := iu.fn_iu_piece_split_input(p_source_canonical_address, p_child_specs, p_actor, p_review_decision_id,
    p_reason, p_tool_revision, p_dry_run);
  IF v_plan IS NOT NULL THEN
    RETURN v_plan;
  END IF;
  SELECT array_agg(e.spec ->> 'canonical_address' ORDER BY e.n) INTO v_children
    FROM jsonb_array_elements(p_child_specs) WITH ORDINALITY AS e (spec, n);
  v_key := iu.fn_iu_piece_set_key(p_source_canonical_address, v_children);
  -- Of two calls at once the second sees what the first has written.
  PERFORM iu_core.named_lock('iu_piece_split:' || u.id)
     FROM public.information_unit u WHERE u.canonical_address = p_source_canonical_address;
  -- No stronger lock than is needed: who makes units below it takes a share of its key.
  SELECT u.* INTO v_source FROM public.information_unit u
   WHERE u.canonical_address = p_source_canonical_address FOR NO KEY UPDATE;
  SELECT jsonb_build_object('status', 'idempotent_replay', 'split_set_id', s.id, 'source_unit_id', s.source_iu_id,
           'child_unit_ids', s.child_iu_ids, 'child_canonical_addresses', s.child_canonical_addresses)
    INTO v_plan FROM public.iu_split_set s WHERE s.idempotency_key = v_key AND s.rolled_back_at IS NULL;
  IF FOUND THEN
    RETURN v_plan;
  END IF;
  v_plan := iu.fn_iu_piece_split_check(v_source, p_source_canonical_address, v_children, p_review_decision_id);
  IF v_plan ->> 'status' <> 'would_split' OR p_dry_run THEN
    RETURN v_plan;
  END IF;
  BEGIN
    RETURN iu.fn_iu_piece_split_write(v_source, p_child_specs, v_children, p_actor, p_review_decision_id,
      p_change_set_id, p_reason, p_tool_revision, v_key);
  EXCEPTION WHEN unique_violation THEN
    -- Who took an address between the look and the write is seen now.
    v_plan := iu.fn_iu_piece_split_check(v_source, p_source_canonical_address, v_children, p_review_decision_id);
    IF v_plan ->> 'status' = 'would_split' THEN
      RAISE;
    END IF;
    RETURN v_plan;
  END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_split IS
  'What public.fn_iu_piece_split hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_piece_split(
    p_source_canonical_address text, p_child_specs jsonb, p_actor text, p_review_decision_id uuid,
    p_change_set_id uuid DEFAULT NULL, p_reason text DEFAULT NULL, p_tool_revision text DEFAULT NULL,
    p_dry_run boolean DEFAULT false)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_piece_split(p_source_canonical_address, p_child_specs, p_actor, p_review_decision_id, p_change_set_id,
                       p_reason, p_tool_revision, p_dry_run) END;
COMMENT ON FUNCTION public.fn_iu_piece_split IS
  'Makes several units of the text of one: address of the source, an array of 2 to 1000 objects {canonical_address, '
  'title, body (an empty one as __EMPTY__)}, who, the decision that allows it, recorded for the source and all of '
  'these addresses; change set, reason, tool revision, whether only to look. The children are drafts with the kind, '
  'owner, parent, document and section of the source, after it in the document; the source keeps its text and its '
  'status. Returns {status: split, split_set_id, source_unit_id, child_unit_ids, child_canonical_addresses, log_id}, '
  'of a dry run would_split. The same source and children again: idempotent_replay, with the ids. Refusals {status, '
  'field, guidance, next_action}, in this order: invalid_input (review_decision_id), review_decision_not_found, '
  'invalid_input (actor, reason, tool_revision, dry_run, source_canonical_address, child_specs), source_iu_not_found, '
  'fsm_denied with from, to, allowed (the source is deleted, retired or superseded), tree_too_deep (the '
  'source has more than 64 units above it, of before there was a bound), review_decision_not_applicable as '
  'fn_iu_review_decision_check has it. SQLSTATE 25000: another isolation level than READ COMMITTED.';
