-- Merging several units.

CREATE FUNCTION iu.fn_iu_piece_merge_input(
    p_merged_spec jsonb, p_source_canonical_addresses text[], p_actor text, p_review_decision_id uuid, p_reason text,
    p_tool_revision text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_refusal jsonb;
BEGIN
  v_refusal := coalesce(
    iu.fn_iu_decision_given(p_review_decision_id, 'merge'),
    iu.fn_iu_act_check('-', p_actor, p_reason, p_tool_revision, p_dry_run),
    iu.fn_iu_piece_spec_refusal(p_merged_spec, 'merged_spec', 'The merged unit', p_actor));
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  ELSIF cardinality(p_source_canonical_addresses) BETWEEN 2 AND 1000 IS NOT TRUE
        OR array_ndims(p_source_canonical_addresses) <> 1
        OR EXISTS (SELECT FROM unnest(p_source_canonical_addresses) AS a (address)
                    WHERE iu.fn_iu_address_problem(a.address) IS NOT NULL)
        OR cardinality(p_source_canonical_addresses)
           <> (SELECT count(DISTINCT a.address) FROM unnest(p_source_canonical_addresses) AS a (address)) THEN
    RETURN iu.fn_iu_invalid('source_canonical_addresses', p_source_canonical_addresses::text,
      '2 to 1000 different addresses, none of them NULL');
  ELSIF p_merged_spec ->> 'canonical_address' = ANY (p_source_canonical_addresses) THEN
    RETURN iu.fn_iu_answer('invalid_input', 'merged_spec',
      format('The merged unit: %s is the address of a source.',
             iu_core.text_shown(p_merged_spec ->> 'canonical_address')), 'correct_the_argument');
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_merge_input IS
  'For fn_iu_piece_merge, which pins its search_path: the refusal of what it is given, as far as that can be told '
  'without a look at units, or NULL.';

-- Where nothing speaks against it, the answer says what is to be made.
CREATE FUNCTION iu.fn_iu_piece_merge_check(
    p_merged_address text, p_source_canonical_addresses text[], p_review_decision_id uuid)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_refusal jsonb;
BEGIN
  IF EXISTS (SELECT FROM public.information_unit u WHERE u.canonical_address = p_merged_address) THEN
    RETURN iu.fn_iu_answer('invalid_input', 'merged_spec',
      format('The merged unit: unit %s has the address already.', iu_core.text_shown(p_merged_address)),
      'correct_the_argument');
  END IF;
  SELECT r.refusal INTO v_refusal
    FROM unnest(p_source_canonical_addresses) WITH ORDINALITY AS a (address, n)
    LEFT JOIN public.information_unit u ON u.canonical_address = a.address
    CROSS JOIN LATERAL (SELECT iu.fn_iu_piece_source_refusal(u, a.address, 'source_canonical_addresses', 'merged'))
      AS r (refusal)
   WHERE r.refusal IS NOT NULL ORDER BY a.n LIMIT 1;
  v_refusal := coalesce(v_refusal,
    iu.fn_iu_place_refusal(
      (SELECT u.parent_or_container_ref FROM public.information_unit u
        WHERE u.canonical_address = p_source_canonical_addresses[1]), 'source_canonical_addresses'),
    iu.fn_iu_review_decision_check(p_review_decision_id, 'merge', p_source_canonical_addresses));
  RETURN coalesce(v_refusal, jsonb_build_object('status', 'would_merge', 'merged_canonical_address', p_merged_address,
    'source_canonical_addresses', to_jsonb(p_source_canonical_addresses)));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_merge_check IS
  'For fn_iu_piece_merge, which pins its search_path: a refusal, or would_merge. Arguments: address of the merged '
  'unit, those of the sources, the decision.';

-- The merged unit is one like the first of the sources, after all of those that are
-- in the same document.
CREATE FUNCTION iu.fn_iu_piece_merge_write(
    p_merged_spec jsonb, p_source_canonical_addresses text[], p_actor text, p_review_decision_id uuid,
    p_change_set_id uuid, p_reason text, p_tool_revision text, p_key text)
  RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_set_id    CONSTANT uuid := gen_random_uuid();
  v_address   CONSTANT text := p_merged_spec ->> 'canonical_address';
  v_sources   public.information_unit[];
  v_source    public.information_unit;
  v_ids       uuid[];
  v_merged_id uuid;
BEGIN
  SELECT array_agg(u ORDER BY a.n), array_agg(u.id ORDER BY a.n) INTO v_sources, v_ids
    FROM unnest(p_source_canonical_addresses) WITH ORDINALITY AS a (address, n)
    JOIN public.information_unit u ON u.canonical_address = a.address;
  v_merged_id := (iu.fn_iu_pieces_write(v_sources[1], jsonb_build_array(p_merged_spec),
    (SELECT max(s.sort_order) FROM unnest(v_sources) AS s
      WHERE s.doc_code IS NOT DISTINCT FROM (v_sources[1]).doc_code), p_actor))[1];
  INSERT INTO public.iu_merge_set
      (id, merged_iu_id, merged_canonical_address, source_iu_ids, source_canonical_addresses, actor,
       review_decision_id, change_set_id, reason, tool_revision, idempotency_key)
    VALUES (v_set_id, v_merged_id, v_address, v_ids, p_source_canonical_addresses, p_actor, p_review_decision_id,
            p_change_set_id, p_reason, p_tool_revision, p_key);
  FOREACH v_source IN ARRAY v_sources LOOP
    PERFORM iu.fn_iu_lifecycle_write(v_source, v_source.lifecycle_status, 'merge', p_actor, p_review_decision_id,
      p_change_set_id, p_reason, p_tool_revision, format('merge:%s:%s', p_key, v_source.id), jsonb_build_object(
        'merge_set_id', v_set_id, 'merged_unit_id', v_merged_id, 'merged_canonical_address', v_address));
  END LOOP;
  PERFORM iu.fn_iu_require_effect(EXISTS (SELECT FROM public.iu_merge_set s WHERE s.id = v_set_id),
    'public.iu_merge_set', 'merging the units');
  PERFORM iu.fn_iu_piece_events_try('created', ARRAY[v_merged_id], p_actor);
  RETURN jsonb_build_object('status', 'merged', 'merge_set_id', v_set_id, 'merged_unit_id', v_merged_id,
    'merged_canonical_address', v_address, 'source_unit_ids', to_jsonb(v_ids),
    'source_canonical_addresses', to_jsonb(p_source_canonical_addresses));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_merge_write IS
  'For fn_iu_piece_merge, which pins its search_path and whose marker is in force: makes the merged unit, and writes '
  'the merge and the ledger, a row for each source. Arguments: those of fn_iu_piece_merge, and the idempotency key. '
  'Errors: 23505 where somebody else has taken the address.';

CREATE FUNCTION iu.fn_iu_piece_merge(
    p_merged_spec jsonb, p_source_canonical_addresses text[], p_actor text, p_review_decision_id uuid,
    p_change_set_id uuid, p_reason text, p_tool_revision text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_piece_merge'
AS $function$
DECLARE
  v_address CONSTANT text := p_merged_spec ->> 'canonical_address';
  v_plan    jsonb;
  v_key     text;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_piece_merge');
  v_plan := iu.fn_iu_piece_merge_input(p_merged_spec, p_source_canonical_addresses, p_actor, p_review_decision_id,
    p_reason, p_tool_revision, p_dry_run);
  IF v_plan IS NOT NULL THEN
    RETURN v_plan;
  END IF;
  v_key := iu.fn_iu_piece_set_key(v_address, p_source_canonical_addresses);
  -- Of two calls at once the second sees what the first has written.
  PERFORM iu_core.named_lock('iu_piece_merge:' || v_address);
  -- No stronger lock than is needed: who splits or merges units below a source takes a share of its key.
  PERFORM FROM public.information_unit u WHERE u.canonical_address = ANY (p_source_canonical_addresses)
    ORDER BY u.canonical_address COLLATE "C" FOR NO KEY UPDATE;
  SELECT jsonb_build_object('status', 'idempotent_replay', 'merge_set_id', s.id, 'merged_unit_id', s.merged_iu_id,
           'merged_canonical_address', s.merged_canonical_address, 'source_unit_ids', s.source_iu_ids,
           'source_canonical_addresses', s.source_canonical_addresses)
    INTO v_plan FROM public.iu_merge_set s WHERE s.idempotency_key = v_key AND s.rolled_back_at IS NULL;
  IF FOUND THEN
    RETURN v_plan;
  END IF;
  v_plan := iu.fn_iu_piece_merge_check(v_address, p_source_canonical_addresses, p_review_decision_id);
  IF v_plan ->> 'status' <> 'would_merge' OR p_dry_run THEN
    RETURN v_plan;
  END IF;
  BEGIN
    RETURN iu.fn_iu_piece_merge_write(p_merged_spec, p_source_canonical_addresses, p_actor, p_review_decision_id,
      p_change_set_id, p_reason, p_tool_revision, v_key);
  EXCEPTION WHEN unique_violation THEN
    -- Who took the address between the look and the write is seen now.
    v_plan := iu.fn_iu_piece_merge_check(v_address, p_source_canonical_addresses, p_review_decision_id);
    IF v_plan ->> 'status' = 'would_merge' THEN
      RAISE;
    END IF;
    RETURN v_plan;
  END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_merge IS
  'What public.fn_iu_piece_merge hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_piece_merge(
    p_merged_spec jsonb, p_source_canonical_addresses text[], p_actor text, p_review_decision_id uuid,
    p_change_set_id uuid DEFAULT NULL, p_reason text DEFAULT NULL, p_tool_revision text DEFAULT NULL,
    p_dry_run boolean DEFAULT false)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_piece_merge(p_merged_spec, p_source_canonical_addresses, p_actor, p_review_decision_id, p_change_set_id,
                       p_reason, p_tool_revision, p_dry_run) END;
COMMENT ON FUNCTION public.fn_iu_piece_merge IS
  'Makes one unit of several: an object {canonical_address, title, body (an empty one as __EMPTY__)}, whose text is '
  'the one that is given, 2 to 1000 addresses of sources, who, the decision that allows it, recorded for the sources; '
  'change set, reason, tool revision, whether only to look. The merged unit is a draft with the kind, owner, parent, '
  'document and section of the first source, after the sources in the document; the sources keep their texts and '
  'their status. Returns {status: merged, merge_set_id, merged_unit_id, merged_canonical_address, source_unit_ids, '
  'source_canonical_addresses}, of a dry run would_merge. The same unit and sources again: idempotent_replay, with the '
  'ids. Refusals {status, field, guidance, next_action}, in this order: invalid_input (review_decision_id), '
  'review_decision_not_found, invalid_input (actor, reason, tool_revision, dry_run, merged_spec, '
  'source_canonical_addresses), source_iu_not_found, fsm_denied with from, to, allowed (a source is deleted, retired '
  'or superseded), tree_too_deep (the first source has more than 64 units above it, of before there was a bound), '
  'review_decision_not_applicable as fn_iu_review_decision_check has it. SQLSTATE 25000: another isolation level than '
  'READ COMMITTED.';
