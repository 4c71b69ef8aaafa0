-- Registering a version, which takes the place of the current one, and retiring one.

CREATE FUNCTION iu.fn_iu_template_version_input(
    p_collection_id uuid, p_template_family text, p_version_label text, p_version_seq integer,
    p_previous_collection_id uuid, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN CASE
    WHEN p_collection_id IS NULL THEN iu.fn_iu_invalid('collection_id', NULL, 'the id of a template')
    WHEN iu_core.text_problem(p_template_family, false) IS NOT NULL OR p_template_family <> btrim(p_template_family)
      THEN iu.fn_iu_invalid('template_family', p_template_family,
             'up to 200 characters in one line, without blanks at the ends')
    WHEN iu_core.text_problem(p_version_label, false) IS NOT NULL
      THEN iu.fn_iu_invalid('version_label', p_version_label, 'up to 200 characters in one line')
    WHEN p_version_seq IS NULL OR p_version_seq < 1
      THEN iu.fn_iu_invalid('version_seq', p_version_seq::text, 'a number from 1 on')
    WHEN p_previous_collection_id = p_collection_id
      THEN iu.fn_iu_invalid('previous_collection_id', p_previous_collection_id::text, 'another version, or NULL')
    WHEN iu_core.text_problem(p_actor, false) IS NOT NULL
      THEN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters') END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_template_version_input IS
  'For fn_iu_collection_register_template_version, which pins its search_path: the refusal invalid_input, or NULL.';

-- Asked while nobody else registers a version of the family.
CREATE FUNCTION iu.fn_iu_template_version_check(
    p_collection_id uuid, p_template_family text, p_version_label text, p_version_seq integer,
    p_previous_collection_id uuid)
  RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_own      public.iu_collection_template_version;
  v_previous public.iu_collection_template_version;
  v_current  public.iu_collection_template_version;
  v_last     integer;
BEGIN
  PERFORM iu.fn_iu_collections_lock(p_collection_id, p_previous_collection_id);
  IF NOT iu.fn_iu_template_lock(p_collection_id) THEN
    RETURN iu.fn_iu_collection_not_found('collection_id', p_collection_id);
  ELSIF NOT iu.fn_iu_template_marked(p_collection_id) THEN
    RETURN iu.fn_iu_template_refused(p_collection_id) || '{"field": "collection_id"}';
  END IF;
  SELECT v.* INTO v_own FROM public.iu_collection_template_version v WHERE v.collection_id = p_collection_id;
  IF FOUND THEN
    RETURN CASE WHEN (v_own.template_family, v_own.version_label, v_own.version_seq)
                       = (p_template_family, p_version_label, p_version_seq)
                     AND v_own.previous_collection_id IS NOT DISTINCT FROM p_previous_collection_id
      THEN jsonb_build_object('status', 'idempotent_replay', 'collection_id', p_collection_id,
             'version_status', v_own.version_status)
      ELSE iu.fn_iu_answer('version_exists', 'collection_id',
             format('The template is version %s (%s) of family %s.', v_own.version_label, v_own.version_seq,
                    v_own.template_family), 'look_at_v_iu_template_version_chain') END;
  END IF;
  SELECT v.* INTO v_previous FROM public.iu_collection_template_version v
   WHERE v.collection_id = p_previous_collection_id;
  SELECT v.* INTO v_current FROM public.iu_collection_template_version v
   WHERE v.template_family = p_template_family AND v.version_status = 'current';
  SELECT max(v.version_seq) INTO v_last FROM public.iu_collection_template_version v
   WHERE v.template_family = p_template_family;
  IF p_previous_collection_id IS NOT NULL AND v_previous.collection_id IS NULL THEN
    RETURN iu.fn_iu_answer('previous_not_found', 'previous_collection_id',
      format('Collection %s is no version of a template.', p_previous_collection_id), 'correct_the_argument');
  ELSIF v_previous.template_family <> p_template_family THEN
    RETURN iu.fn_iu_answer('previous_of_other_family', 'previous_collection_id',
      format('That version is one of family %s.', v_previous.template_family), 'correct_the_argument');
  ELSIF v_current.collection_id IS DISTINCT FROM p_previous_collection_id THEN
    RETURN iu.fn_iu_answer('previous_not_current', 'previous_collection_id',
      format('The current version of the family is %s.', coalesce(v_current.collection_id::text, 'none')),
      'give_the_current_version_or_null_where_there_is_none');
  ELSIF p_version_seq <= v_last THEN
    RETURN iu.fn_iu_answer('seq_not_next', 'version_seq', format('The last one of the family is %s.', v_last),
      'give_a_greater_one');
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_template_version_check IS
  'For fn_iu_collection_register_template_version, which pins its search_path and has locked the family: a refusal, '
  'idempotent_replay, or NULL.';

CREATE FUNCTION iu.fn_iu_collection_register_template_version(
    p_collection_id uuid, p_template_family text, p_version_label text, p_version_seq integer,
    p_previous_collection_id uuid, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_answer jsonb;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_collection_register_template_version');
  v_answer := iu.fn_iu_template_version_input(p_collection_id, p_template_family, p_version_label, p_version_seq,
    p_previous_collection_id, p_actor);
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  PERFORM iu_core.named_lock('iu_template_family:' || p_template_family);
  v_answer := iu.fn_iu_template_version_check(p_collection_id, p_template_family, p_version_label, p_version_seq,
    p_previous_collection_id);
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  UPDATE public.iu_collection_template_version v SET version_status = 'superseded'
   WHERE v.collection_id = p_previous_collection_id;
  INSERT INTO public.iu_collection_template_version
      (collection_id, template_family, version_label, version_seq, previous_collection_id, registered_by)
    VALUES (p_collection_id, p_template_family, p_version_label, p_version_seq, p_previous_collection_id, p_actor);
  PERFORM iu.fn_iu_require_effect(
    (SELECT count(*) FROM public.iu_collection_template_version v
      WHERE v.template_family = p_template_family AND v.version_status = 'current'
        AND v.collection_id = p_collection_id) = 1,
    'public.iu_collection_template_version', 'registering the version');
  PERFORM iu.fn_dot_iu_command_note('dot_iu_register_template_version', 'collection_id', p_collection_id::text,
    'applied', p_actor, 'a version of its family', jsonb_build_object('template_family', p_template_family,
      'version_label', p_version_label, 'version_seq', p_version_seq, 'superseded', p_previous_collection_id));
  RETURN jsonb_build_object('status', 'ok', 'collection_id', p_collection_id, 'template_family', p_template_family,
    'version_label', p_version_label, 'version_seq', p_version_seq, 'superseded', p_previous_collection_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_register_template_version IS
  'What public.fn_iu_collection_register_template_version hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_register_template_version(
    p_collection_id uuid, p_template_family text, p_version_label text, p_version_seq integer,
    p_previous_collection_id uuid, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_register_template_version(p_collection_id, p_template_family, p_version_label, p_version_seq,
    p_previous_collection_id, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_collection_register_template_version IS
  'Makes a template the current version of a family, and logs it: template, family, label, number, the version whose '
  'place it takes (that which is current; NULL: there is none), who. The former one becomes superseded in the same '
  'call. Returns {status: ok, collection_id, template_family, version_label, version_seq, superseded: its id or '
  'NULL}; the same again: idempotent_replay with version_status. Refusals {status, field, guidance, next_action}, in '
  'this order: invalid_input (collection_id, template_family, version_label, version_seq, previous_collection_id, '
  'actor), collection_not_found, template_not_marked, version_exists, previous_not_found, previous_of_other_family, '
  'previous_not_current, seq_not_next (it must be greater than all of the family). SQLSTATE 25000: another isolation '
  'level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_collection_retire_template_version(p_collection_id uuid, p_reason text, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_was public.iu_collection_template_version;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_collection_retire_template_version');
  IF p_collection_id IS NULL THEN
    RETURN iu.fn_iu_invalid('collection_id', NULL, 'the id of a template');
  ELSIF iu_core.text_problem(p_reason, true) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('reason', p_reason, 'why, in up to 2000 characters in one line');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters');
  END IF;
  SELECT v.* INTO v_was FROM public.iu_collection_template_version v WHERE v.collection_id = p_collection_id;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_answer('version_not_found', 'collection_id',
      format('Collection %s is no version of a template.', p_collection_id), 'look_at_v_iu_template_version_chain');
  END IF;
  PERFORM iu_core.named_lock('iu_template_family:' || v_was.template_family);
  SELECT v.* INTO v_was FROM public.iu_collection_template_version v WHERE v.collection_id = p_collection_id;
  IF v_was.version_status = 'retired' THEN
    RETURN jsonb_build_object('status', 'idempotent_replay', 'collection_id', p_collection_id,
      'version_status', 'retired');
  END IF;
  UPDATE public.iu_collection_template_version v
     SET version_status = 'retired', retired_at = now(), retire_reason = p_reason
   WHERE v.collection_id = p_collection_id;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_collection_template_version v
             WHERE v.collection_id = p_collection_id AND v.version_status = 'retired'),
    'public.iu_collection_template_version', 'retiring the version');
  PERFORM iu.fn_dot_iu_command_note('dot_iu_retire_template_version', 'collection_id', p_collection_id::text,
    'applied', p_actor, p_reason, jsonb_build_object('template_family', v_was.template_family,
      'version_label', v_was.version_label, 'previous', v_was.version_status));
  RETURN jsonb_build_object('status', 'ok', 'collection_id', p_collection_id,
    'template_family', v_was.template_family, 'previous', v_was.version_status, 'version_status', 'retired');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_retire_template_version IS
  'What public.fn_iu_collection_retire_template_version hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_retire_template_version(p_collection_id uuid, p_reason text, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_retire_template_version(p_collection_id, p_reason, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_collection_retire_template_version IS
  'Takes a version out of use, and logs it: template, why, who. Where it was the current one, its family has none '
  'until another is registered, with NULL as the version before it. It stays a template. Returns {status: ok, '
  'collection_id, template_family, previous: its status before, version_status: retired}; again: idempotent_replay. '
  'Refusals {status, field, guidance, next_action}: invalid_input (collection_id, reason, actor), version_not_found. '
  'SQLSTATE 25000: another isolation level than READ COMMITTED.';
