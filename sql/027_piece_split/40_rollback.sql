-- Taking a split back, while nobody has touched what came of it.

CREATE FUNCTION iu.fn_iu_piece_split_rollback(
    p_split_set_id uuid, p_actor text, p_reason text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_piece_split'
AS $function$
DECLARE
  v_set     public.iu_split_set;
  v_source  public.information_unit;
  v_refusal jsonb;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_piece_split_rollback');
  v_refusal := iu.fn_iu_set_rollback_check('split_set_id', p_split_set_id, p_actor, p_reason, p_dry_run);
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  PERFORM iu_core.named_lock('iu_piece_split:' || s.source_iu_id)
     FROM public.iu_split_set s WHERE s.id = p_split_set_id;
  -- All of the units in the order of their addresses, as others that lock several.
  PERFORM FROM public.information_unit u
    WHERE u.id = ANY ((SELECT array_append(s.child_iu_ids, s.source_iu_id)
                         FROM public.iu_split_set s WHERE s.id = p_split_set_id)::uuid[])
    ORDER BY u.canonical_address COLLATE "C" FOR UPDATE;
  SELECT s.* INTO v_set FROM public.iu_split_set s WHERE s.id = p_split_set_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_answer('split_set_not_found', 'split_set_id', format('There is no split %s.', p_split_set_id),
      'look_at_iu_split_set');
  ELSIF v_set.rolled_back_at IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'idempotent_replay', 'split_set_id', v_set.id,
      'child_unit_ids', to_jsonb(v_set.child_iu_ids));
  END IF;
  SELECT u.* INTO v_source FROM public.information_unit u WHERE u.id = v_set.source_iu_id;
  v_refusal := coalesce(
    iu.fn_iu_piece_source_refusal(v_source, v_set.source_canonical_address, 'split_set_id', 'whole again'),
    iu.fn_iu_pieces_kept(v_set.child_iu_ids, 'split_set_id'));
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  ELSIF NOT p_dry_run THEN
    PERFORM iu.fn_iu_pieces_delete(v_set.child_iu_ids, p_actor);
    UPDATE public.iu_split_set s
       SET rolled_back_at = clock_timestamp(), rolled_back_by = p_actor, rolled_back_reason = p_reason
     WHERE s.id = v_set.id;
    PERFORM iu.fn_iu_require_effect(
      EXISTS (SELECT FROM public.iu_split_set s WHERE s.id = v_set.id AND s.rolled_back_by = p_actor),
      'public.iu_split_set', 'taking the split back');
  END IF;
  RETURN jsonb_build_object('status', CASE WHEN p_dry_run THEN 'would_roll_back' ELSE 'rolled_back' END,
    'split_set_id', v_set.id, 'child_unit_ids', to_jsonb(v_set.child_iu_ids));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_split_rollback IS
  'What public.fn_iu_piece_split_rollback hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_piece_split_rollback(
    p_split_set_id uuid, p_actor text, p_reason text, p_dry_run boolean DEFAULT true)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_piece_split_rollback(p_split_set_id, p_actor, p_reason, p_dry_run) END;
COMMENT ON FUNCTION public.fn_iu_piece_split_rollback IS
  'Takes a split back, for operators: its id, who, why, whether only to look (the default). The units that came of it '
  'are marked as deleted, which keeps their addresses taken, and the split is stamped. Returns {status: rolled_back '
  '(would_roll_back of a dry run), split_set_id, child_unit_ids}; idempotent_replay where it was taken back already. '
  'Refusals {status, field, guidance, next_action}: invalid_input (split_set_id, actor, reason, dry_run), '
  'split_set_not_found, source_iu_not_found, fsm_denied (the source is deleted, retired or superseded: its text would '
  'be nowhere), child_not_draft, child_changed (it has another version, a draft, a comment, a tag that somebody set, '
  'or another row), child_in_use. SQLSTATE 25000: another isolation level than READ COMMITTED.';
