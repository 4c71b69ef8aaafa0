-- Taking a merge back, while nobody has touched what came of it.

-- The ledger of the unit leads to its merges by an index.
CREATE FUNCTION iu.fn_iu_merge_use(p_unit_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (SELECT 'it was merged with others, merge set ' || s.id
            FROM public.iu_lifecycle_log l
            JOIN public.iu_merge_set s ON s.id = (l.metadata ->> 'merge_set_id')::uuid AND s.rolled_back_at IS NULL
           WHERE l.unit_id = p_unit_id AND l.transition_type = 'merge' ORDER BY l.log_id LIMIT 1);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_merge_use IS
  'For iu.fn_iu_unit_in_use: that a unit is a source of a merge which was not taken back, in words, or NULL. Argument: '
  'the unit. Raises nothing.';
SELECT iu.fn_iu_hook_add(28, 'iu.fn_iu_unit_in_use(uuid)', 'iu.fn_iu_merge_use(uuid)');

CREATE FUNCTION iu.fn_iu_piece_merge_rollback(
    p_merge_set_id uuid, p_actor text, p_reason text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_piece_merge'
AS $function$
DECLARE
  v_set     public.iu_merge_set;
  v_refusal jsonb;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_piece_merge_rollback');
  v_refusal := iu.fn_iu_set_rollback_check('merge_set_id', p_merge_set_id, p_actor, p_reason, p_dry_run);
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  PERFORM iu_core.named_lock('iu_piece_merge:' || s.merged_canonical_address)
     FROM public.iu_merge_set s WHERE s.id = p_merge_set_id;
  -- All of the units in the order of their addresses, as others that lock several.
  PERFORM FROM public.information_unit u
    WHERE u.id = ANY ((SELECT array_append(s.source_iu_ids, s.merged_iu_id)
                         FROM public.iu_merge_set s WHERE s.id = p_merge_set_id)::uuid[])
    ORDER BY u.canonical_address COLLATE "C" FOR UPDATE;
  SELECT s.* INTO v_set FROM public.iu_merge_set s WHERE s.id = p_merge_set_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_answer('merge_set_not_found', 'merge_set_id', format('There is no merge %s.', p_merge_set_id),
      'look_at_iu_merge_set');
  ELSIF v_set.rolled_back_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'idempotent_replay', 'merge_set_id', v_set.id,
      'merged_unit_id', v_set.merged_iu_id);
  END IF;
  SELECT r.refusal INTO v_refusal
    FROM unnest(v_set.source_iu_ids, v_set.source_canonical_addresses) WITH ORDINALITY AS a (id, address, n)
    LEFT JOIN public.information_unit u ON u.id = a.id
    CROSS JOIN LATERAL (SELECT iu.fn_iu_piece_source_refusal(u, a.address, 'merge_set_id', 'one by itself again'))
      AS r (refusal)
   WHERE r.refusal IS NOT NULL ORDER BY a.n LIMIT 1;
  v_refusal := coalesce(v_refusal, iu.fn_iu_pieces_kept(ARRAY[v_set.merged_iu_id], 'merge_set_id'));
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  ELSIF NOT p_dry_run THEN
    PERFORM iu.fn_iu_pieces_delete(ARRAY[v_set.merged_iu_id], p_actor);
    UPDATE public.iu_merge_set s
       SET rolled_back_at = clock_timestamp(), rolled_back_by = p_actor, rolled_back_reason = p_reason
     WHERE s.id = v_set.id;
    PERFORM iu.fn_iu_require_effect(
      EXISTS (SELECT FROM public.iu_merge_set s WHERE s.id = v_set.id AND s.rolled_back_by = p_actor),
      'public.iu_merge_set', 'taking the merge back');
  END IF;
  RETURN jsonb_build_object('status', CASE WHEN p_dry_run THEN 'would_roll_back' ELSE 'rolled_back' END,
    'merge_set_id', v_set.id, 'merged_unit_id', v_set.merged_iu_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_merge_rollback IS
  'What public.fn_iu_piece_merge_rollback hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_piece_merge_rollback(
    p_merge_set_id uuid, p_actor text, p_reason text, p_dry_run boolean DEFAULT true)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_piece_merge_rollback(p_merge_set_id, p_actor, p_reason, p_dry_run) END;
COMMENT ON FUNCTION public.fn_iu_piece_merge_rollback IS
  'Takes a merge back, for operators: its id, who, why, whether only to look (the default). The merged unit is marked '
  'as deleted, which keeps its address taken, and the merge is stamped. Returns {status: rolled_back (would_roll_back '
  'of a dry run), merge_set_id, merged_unit_id}; idempotent_replay where it was taken back already. Refusals {status, '
  'field, guidance, next_action}: invalid_input (merge_set_id, actor, reason, dry_run), merge_set_not_found, '
  'source_iu_not_found, fsm_denied (a source is deleted, retired or superseded: its text would be nowhere), and of the '
  'merged unit child_not_draft, child_changed (it has another version, a draft, a comment, a tag that somebody set, or '
  'another row), child_in_use. SQLSTATE 25000: another isolation level than READ COMMITTED.';
