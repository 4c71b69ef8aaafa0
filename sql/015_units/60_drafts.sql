-- Saving an edit, and commenting. An edit is a draft until somebody applies it.

-- In strict approval mode nobody decides alone. A missing row reads as strict.
CREATE FUNCTION iu.fn_iu_approval_is_strict() RETURNS boolean
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN NOT EXISTS (SELECT FROM public.dot_config c
                      WHERE c.key = 'iu_core.gate_approval_mode' AND c.value = 'default');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_approval_is_strict IS
  'For functions that pin its search_path: whether iu_core.gate_approval_mode is anything but default. Raises nothing.';

CREATE FUNCTION iu.fn_iu_newest_version(p_unit_id uuid) RETURNS public.unit_version
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_version public.unit_version;
BEGIN
  SELECT v.* INTO v_version FROM public.unit_version v WHERE v.unit_id = p_unit_id ORDER BY v.version_seq DESC LIMIT 1;
  RETURN v_version;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_newest_version IS
  'For functions that pin its search_path: the newest version of a unit, whether it counts or is pending. Raises '
  'nothing.';

CREATE FUNCTION iu.fn_iu_not_found(p_canonical_address text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN iu.fn_iu_answer('iu_not_found', 'canonical_address',
  format('There is no unit %s, or it is deleted.', iu_core.text_shown(p_canonical_address)), 'fn_iu_create');
COMMENT ON FUNCTION iu.fn_iu_not_found IS 'The refusal iu_not_found, of an address.';

CREATE FUNCTION iu.fn_iu_no_edit(p_lifecycle_status text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN p_lifecycle_status NOT IN ('draft', 'enacted') THEN
  iu.fn_iu_answer('fsm_denied', 'canonical_address',
    format('A unit that is %s is not edited; its successor is.', p_lifecycle_status), 'fn_iu_supersede')
  || jsonb_build_object('from', p_lifecycle_status) END;
COMMENT ON FUNCTION iu.fn_iu_no_edit IS
  'The refusal fsm_denied of an edit, or NULL where a unit of that status is edited: draft and enacted.';

CREATE FUNCTION iu.fn_iu_save_check(
    p_canonical_address text, p_body text, p_actor text, p_title text, p_note text)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN CASE
    WHEN iu.fn_iu_address_problem(p_canonical_address) IS NOT NULL
      THEN iu.fn_iu_invalid('canonical_address', p_canonical_address, iu.fn_iu_address_problem(p_canonical_address))
    WHEN iu.fn_iu_body(p_body) IS NULL
      THEN iu.fn_iu_invalid('body', p_body, 'a text of up to 1048576 bytes; an empty one is given as __EMPTY__')
    WHEN iu_core.text_problem(p_actor, false) IS NOT NULL
      THEN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters')
    WHEN p_title IS NOT NULL AND iu_core.text_problem(p_title, true) IS NOT NULL
      THEN iu.fn_iu_invalid('title', p_title, 'up to 2000 characters in one line')
    WHEN p_note IS NOT NULL AND iu_core.text_problem(p_note, true) IS NOT NULL
      THEN iu.fn_iu_invalid('note', p_note, 'up to 2000 characters in one line') END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_save_check IS
  'For fn_iu_save, which pins its search_path: the refusal invalid_input of its arguments, or NULL.';

-- The draft is one of its author's: what another login, or another user of the
-- same login, saved under that name is not touched.
CREATE FUNCTION iu.fn_iu_draft_put(p_draft public.iu_edit_draft) RETURNS uuid
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_draft public.iu_edit_draft;
BEGIN
  SELECT d.* INTO v_draft FROM public.iu_edit_draft d
   WHERE d.unit_id = p_draft.unit_id AND d.created_by = p_draft.created_by
     AND d.draft_kind = 'edit' AND d.draft_status = 'open' FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO public.iu_edit_draft
        (unit_id, base_version_id, draft_kind, title, body, content_hash, note, created_by, session_oid, seen_user)
      VALUES (p_draft.unit_id, p_draft.base_version_id, 'edit', p_draft.title, p_draft.body,
              iu.fn_content_hash(p_draft.body), p_draft.note, p_draft.created_by, iu_core.login(), p_draft.seen_user)
      RETURNING draft_id INTO v_draft.draft_id;
    RETURN v_draft.draft_id;
  ELSIF v_draft.session_oid <> iu_core.login() OR v_draft.seen_user IS DISTINCT FROM p_draft.seen_user THEN
    RETURN NULL;
  END IF;
  UPDATE public.iu_edit_draft d
     SET base_version_id = p_draft.base_version_id, title = p_draft.title, body = p_draft.body,
         content_hash = iu.fn_content_hash(p_draft.body), note = p_draft.note, created_at = now(),
         session_role = session_user
   WHERE d.draft_id = v_draft.draft_id;
  RETURN v_draft.draft_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_draft_put IS
  'For fn_iu_save, which pins its search_path: saves an edit, over the author''s open one where there is one. Of the '
  'argument unit_id, base_version_id, title, body, note, created_by and seen_user count. Returns the draft''s id, or '
  'NULL: the open draft under that name is somebody else''s.';

CREATE FUNCTION iu.fn_iu_save_as(
    p_canonical_address text, p_body text, p_actor text, p_title text, p_note text, p_seen_user text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal jsonb := iu.fn_iu_save_check(p_canonical_address, p_body, p_actor, p_title, p_note);
  v_unit    public.information_unit;
  v_newest  public.unit_version;
  v_draft   public.iu_edit_draft;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_save');
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  SELECT u.* INTO v_unit FROM public.information_unit u
   WHERE u.canonical_address = p_canonical_address AND u.deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_not_found(p_canonical_address);
  ELSIF iu.fn_iu_no_edit(v_unit.lifecycle_status) IS NOT NULL THEN
    RETURN iu.fn_iu_no_edit(v_unit.lifecycle_status);
  END IF;
  v_newest := iu.fn_iu_newest_version(v_unit.id);
  IF v_newest.id IS NULL THEN
    RETURN iu.fn_iu_existing_answer(p_canonical_address, 'exists_missing_version');
  END IF;
  v_draft.unit_id := v_unit.id;
  v_draft.base_version_id := v_newest.id;
  v_draft.title := nullif(p_title, coalesce(v_newest.content_profile ->> 'title', v_unit.title));
  v_draft.body := iu.fn_iu_body(p_body);
  v_draft.note := p_note;
  v_draft.created_by := p_actor;
  v_draft.seen_user := p_seen_user;
  IF v_draft.body = v_newest.body AND v_draft.title IS NULL THEN
    RETURN jsonb_build_object('status', 'unchanged', 'unit_id', v_unit.id, 'version_id', v_newest.id,
      'version_seq', v_newest.version_seq, 'content_hash', v_newest.content_hash);
  END IF;
  v_draft.draft_id := iu.fn_iu_draft_put(v_draft);
  IF v_draft.draft_id IS NULL THEN
    RETURN iu.fn_iu_answer('invalid_input', 'actor',
      format('The open draft of %s for this unit belongs to another login.', iu_core.text_shown(p_actor)),
      'give_another_actor');
  ELSIF NOT iu.fn_iu_approval_is_strict()
        AND EXISTS (SELECT FROM public.dot_config c
                     WHERE c.key = 'iu_edit.policy.default_mode' AND c.value = 'auto_apply') THEN
    RETURN iu.fn_iu_apply_edit_draft_as(v_draft.draft_id, p_actor, p_seen_user);
  END IF;
  RETURN jsonb_build_object('status', 'draft_created_review_required', 'draft_id', v_draft.draft_id,
    'unit_id', v_unit.id, 'base_version_id', v_newest.id, 'next_action', 'fn_iu_apply_edit_draft');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_save_as IS
  'Saves an edit as public.fn_iu_save does, for a program that has one login for all of its users: the last argument '
  'is the user that it has seen, or NULL.';

CREATE FUNCTION iu.fn_iu_save(
    p_canonical_address text, p_body text, p_actor text, p_title text, p_note text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN iu.fn_iu_save_as(p_canonical_address, p_body, p_actor, p_title, p_note, NULL);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_save IS
  'What public.fn_iu_save hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_save(
    p_canonical_address text, p_body text, p_actor text, p_title text DEFAULT NULL, p_note text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_save(p_canonical_address, p_body, p_actor, p_title, p_note) END;
COMMENT ON FUNCTION public.fn_iu_save IS
  'Saves an edit of a unit: address, the whole new text (an empty one as __EMPTY__), who, a new title or NULL, why or '
  'NULL. By policy iu_edit.policy.default_mode it becomes a draft: {status: draft_created_review_required, draft_id, '
  'unit_id, base_version_id, next_action: fn_iu_apply_edit_draft}; saving again changes the open draft. Or, in mode '
  'auto_apply unless approvals are strict, it is applied at once, as fn_iu_apply_edit_draft answers. The text and '
  'title of the newest version: {status: unchanged, unit_id, version_id, version_seq, content_hash}. Refusals '
  '{status, field, guidance, next_action}: invalid_input (canonical_address, body, actor, title, note), iu_not_found, '
  'fsm_denied (the unit is superseded, retired or deprecated). SQLSTATE 25000: another isolation level than READ '
  'COMMITTED.';

CREATE FUNCTION iu.fn_iu_comment(p_canonical_address text, p_note text, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_unit_id  uuid;
  v_newest   public.unit_version;
  v_draft_id uuid;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_comment');
  IF iu.fn_iu_address_problem(p_canonical_address) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('canonical_address', p_canonical_address, iu.fn_iu_address_problem(p_canonical_address));
  ELSIF iu_core.text_problem(p_note, true) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('note', p_note, 'up to 2000 characters in one line');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters');
  END IF;
  SELECT u.id INTO v_unit_id FROM public.information_unit u
   WHERE u.canonical_address = p_canonical_address AND u.deleted_at IS NULL FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_not_found(p_canonical_address);
  END IF;
  v_newest := iu.fn_iu_newest_version(v_unit_id);
  IF v_newest.id IS NULL THEN
    RETURN iu.fn_iu_existing_answer(p_canonical_address, 'exists_missing_version');
  END IF;
  INSERT INTO public.iu_edit_draft (unit_id, base_version_id, draft_kind, note, created_by, session_oid)
    VALUES (v_unit_id, v_newest.id, 'comment', p_note, p_actor, iu_core.login())
    RETURNING draft_id INTO v_draft_id;
  RETURN jsonb_build_object('status', 'comment_recorded', 'draft_id', v_draft_id, 'unit_id', v_unit_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_comment IS
  'What public.fn_iu_comment hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_comment(p_canonical_address text, p_note text, p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_comment(p_canonical_address, p_note, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_comment IS
  'Records a comment on the newest version of a unit, whatever its status: address, comment, who. Returns {status: '
  'comment_recorded, draft_id, unit_id}; the comment is a row of iu_edit_draft. Refusals {status, field, guidance, '
  'next_action}: invalid_input (canonical_address, note, actor), iu_not_found. SQLSTATE 25000: another isolation '
  'level than READ COMMITTED.';
