-- Applying the draft of an edit.

-- Of who saved a draft and who applies it, the logins are compared, and the users
-- behind a login that several have. Whom nobody saw may be anybody of the login. A
-- login is known by its oid, and by its name, since oids do not survive a dump.
CREATE FUNCTION iu.fn_iu_is_author(p_draft public.iu_edit_draft, p_seen_user text) RETURNS boolean
  LANGUAGE sql STABLE
RETURN ((p_draft).session_oid = iu_core.login() OR (p_draft).session_role = session_user)
  AND coalesce((p_draft).seen_user = p_seen_user, true);
COMMENT ON FUNCTION iu.fn_iu_is_author IS
  'Whether who acts may be the author of a draft: the draft, the user that a program with one login has seen, or NULL. '
  'Raises nothing.';

CREATE FUNCTION iu.fn_iu_apply_check(
    p_draft public.iu_edit_draft, p_unit public.information_unit, p_newest uuid, p_seen_user text)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  IF p_draft.draft_id IS NULL OR p_draft.draft_kind <> 'edit' THEN
    RETURN iu.fn_iu_answer('draft_not_found', 'draft_id', 'There is no edit of that id; a comment is not applied.',
      'fn_iu_save');
  ELSIF p_draft.draft_status = 'applied' THEN
    RETURN iu.fn_iu_answer('already_applied', 'draft_id', 'The draft was applied; nothing is left to do.', 'none')
      || jsonb_build_object('version_id', p_draft.applied_version_id);
  ELSIF p_draft.draft_status = 'rejected' THEN
    RETURN iu.fn_iu_answer('already_rejected', 'draft_id',
      format('The draft was rejected by %s.', p_draft.decided_by), 'fn_iu_save');
  ELSIF p_unit.deleted_at IS NOT NULL THEN
    RETURN iu.fn_iu_not_found(p_unit.canonical_address);
  ELSIF iu.fn_iu_no_edit(p_unit.lifecycle_status) IS NOT NULL THEN
    RETURN iu.fn_iu_no_edit(p_unit.lifecycle_status);
  ELSIF p_draft.base_version_id <> p_newest THEN
    RETURN iu.fn_iu_answer('draft_stale', 'draft_id',
      'The unit has a newer version than the one that the draft was made from. Look at it, and save again.',
      'fn_iu_save') || jsonb_build_object('base_version_id', p_draft.base_version_id, 'newest_version_id', p_newest);
  ELSIF iu.fn_iu_approval_is_strict() AND iu.fn_iu_is_author(p_draft, p_seen_user) THEN
    RETURN iu.fn_iu_answer('review_by_author', 'actor',
      'Approvals are strict: who saved a draft does not apply it. Somebody with another login does.',
      'ask_somebody_else');
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_apply_check IS
  'For fn_iu_apply_edit_draft, which pins its search_path: why a draft is not applied, or NULL: draft, unit, its '
  'newest version, the user that was seen or NULL.';

-- A draft unit gets the version at once. An enacted one keeps its anchors until
-- the new version is enacted by a decision of its own.
CREATE FUNCTION iu.fn_iu_version_write(
    p_unit public.information_unit, p_version public.unit_version, p_draft public.iu_edit_draft, p_actor text)
  RETURNS void
  LANGUAGE plpgsql
AS $function$
BEGIN
  WITH version AS (
    INSERT INTO public.unit_version (id, unit_id, body, content_hash, version_seq, content_profile, created_by)
      VALUES (p_version.id, p_unit.id, p_draft.body, p_draft.content_hash, p_version.version_seq,
              CASE WHEN p_draft.title IS NULL THEN '{}' ELSE jsonb_build_object('title', p_draft.title) END, p_actor)
      RETURNING id, content_hash
  )
  UPDATE public.information_unit u
     SET version_anchor_ref = v.id, content_anchor_ref = v.content_hash, updated_by = p_actor,
         identity_profile = CASE WHEN p_draft.title IS NULL THEN u.identity_profile
                                 ELSE u.identity_profile || jsonb_build_object('title', p_draft.title) END
    FROM version v
   WHERE u.id = p_unit.id AND u.lifecycle_status = 'draft';
  UPDATE public.iu_edit_draft d
     SET draft_status = 'applied', decided_at = now(), decided_by = p_actor, decided_role = session_user,
         applied_version_id = p_version.id
   WHERE d.draft_id = p_draft.draft_id;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.unit_version v JOIN public.information_unit u ON u.id = v.unit_id
             WHERE v.id = p_version.id AND (u.version_anchor_ref = v.id OR u.lifecycle_status <> 'draft')),
    'public.unit_version', 'applying the draft');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_version_write IS
  'For fn_iu_apply_edit_draft, which pins its search_path and whose marker is in force: writes the version of a draft, '
  'and what follows from it: unit, id and number of the version, draft, actor. A title that changes is kept with the '
  'version, for when it is enacted.';

CREATE FUNCTION iu.fn_iu_apply_edit_draft_as(p_draft_id uuid, p_actor text, p_seen_user text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_apply_edit_draft'
AS $function$
DECLARE
  v_draft   public.iu_edit_draft;
  v_unit    public.information_unit;
  v_newest  public.unit_version;
  v_version public.unit_version;
  v_refusal jsonb;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_apply_edit_draft');
  IF p_draft_id IS NULL THEN
    RETURN iu.fn_iu_invalid('draft_id', NULL, 'the id of a draft');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters');
  END IF;
  -- The unit first, as fn_iu_save does: nobody waits for the other's lock.
  SELECT u.* INTO v_unit FROM public.information_unit u
   WHERE u.id = (SELECT d.unit_id FROM public.iu_edit_draft d WHERE d.draft_id = p_draft_id) FOR NO KEY UPDATE;
  SELECT d.* INTO v_draft FROM public.iu_edit_draft d WHERE d.draft_id = p_draft_id FOR UPDATE;
  v_newest := iu.fn_iu_newest_version(v_unit.id);
  v_refusal := iu.fn_iu_apply_check(v_draft, v_unit, v_newest.id, p_seen_user);
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  v_version.id := gen_random_uuid();
  v_version.version_seq := v_newest.version_seq + 1;
  -- A title that waits with a pending version goes on with the next one.
  v_draft.title := coalesce(v_draft.title, CASE v_unit.lifecycle_status
    WHEN 'enacted' THEN v_newest.content_profile ->> 'title' END);
  PERFORM iu.fn_iu_version_write(v_unit, v_version, v_draft, p_actor);
  PERFORM iu.fn_iu_piece_event_try('updated', v_unit.canonical_address, v_unit.id, p_actor,
    jsonb_build_object('transition', 'apply', 'version_id', v_version.id, 'content_hash', v_draft.content_hash));
  RETURN jsonb_build_object(
    'status', CASE v_unit.lifecycle_status WHEN 'enacted' THEN 'applied_pending_enact' ELSE 'applied' END,
    'unit_id', v_unit.id, 'version_id', v_version.id, 'version_seq', v_version.version_seq,
    'content_hash', v_draft.content_hash)
    || CASE v_unit.lifecycle_status WHEN 'enacted' THEN jsonb_build_object('next_action', 'fn_iu_enact') ELSE '{}' END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_apply_edit_draft_as IS
  'Applies a draft as public.fn_iu_apply_edit_draft does, for a program that has one login for all of its users: the '
  'last argument is the user that it has seen, or NULL.';

CREATE FUNCTION iu.fn_iu_apply_edit_draft(p_draft_id uuid, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN iu.fn_iu_apply_edit_draft_as(p_draft_id, p_actor, NULL);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_apply_edit_draft IS
  'What public.fn_iu_apply_edit_draft hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_apply_edit_draft(p_draft_id uuid, p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_apply_edit_draft(p_draft_id, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_apply_edit_draft IS
  'Makes the draft of an edit a version of its unit: draft, who. Of a draft unit the version counts at once: {status: '
  'applied, unit_id, version_id, version_seq, content_hash}. Of an enacted one it is pending, and what is enacted '
  'stays until fn_iu_enact has a decision for it: status applied_pending_enact, next_action fn_iu_enact. Refusals '
  '{status, field, guidance, next_action}: invalid_input (draft_id, actor), draft_not_found, already_applied (with '
  'version_id), already_rejected, iu_not_found (the unit is deleted), fsm_denied (it is superseded, retired or '
  'deprecated), draft_stale (it has a newer version than the draft was made from), review_by_author (approvals are '
  'strict, and the login is the author''s). SQLSTATE 25000: another isolation level than READ COMMITTED.';
