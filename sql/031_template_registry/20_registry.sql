-- Marking a collection as a template, and taking that back. No gate is asked: the
-- collection itself stays as it is.

CREATE FUNCTION iu.fn_iu_collection_not_found(p_field text, p_collection_id uuid) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN iu.fn_iu_answer('collection_not_found', p_field, format('There is no collection %s, or it is deleted.',
  coalesce(p_collection_id::text, 'NULL')), 'look_at_v_iu_collection_envelope');
COMMENT ON FUNCTION iu.fn_iu_collection_not_found IS
  'The refusal collection_not_found: which argument, the collection. Raises nothing.';

CREATE FUNCTION iu.fn_iu_template_refused(p_collection_id uuid) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN iu.fn_iu_answer('template_not_marked', 'template_collection_id', format('Collection %s is not a template.',
  coalesce(p_collection_id::text, 'NULL')), 'fn_iu_collection_mark_as_template');
COMMENT ON FUNCTION iu.fn_iu_template_refused IS
  'The refusal template_not_marked: the collection that is no template. Raises nothing.';

CREATE FUNCTION iu.fn_iu_collection_living(p_collection_id uuid) RETURNS boolean
  LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM FROM public.iu_piece_collection c
    WHERE c.id = p_collection_id AND c.deleted_at IS NULL FOR KEY SHARE;
  RETURN FOUND;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_living IS
  'For functions that pin its search_path: whether there is such a collection; if so it stays until the transaction '
  'ends.';

CREATE FUNCTION iu.fn_iu_template_marked(p_collection_id uuid) RETURNS boolean
  LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM FROM public.iu_collection_template_registry r
    WHERE r.collection_id = p_collection_id AND r.is_template FOR KEY SHARE;
  RETURN FOUND;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_template_marked IS
  'For functions that pin its search_path: whether a collection is a template; if so it stays one until the '
  'transaction ends.';

-- Who takes back what an actor made locks collections in the order of their keys, which
-- is that of callers who change several; so does who needs two of them.
CREATE FUNCTION iu.fn_iu_collections_lock(p_changed_id uuid, p_kept_id uuid) RETURNS void
  LANGUAGE plpgsql
AS $function$
BEGIN
  IF (SELECT k.collection_key COLLATE "C" < c.collection_key
        FROM public.iu_piece_collection k, public.iu_piece_collection c
       WHERE k.id = p_kept_id AND c.id = p_changed_id) THEN
    PERFORM FROM public.iu_piece_collection c WHERE c.id = p_kept_id FOR KEY SHARE;
  END IF;
  PERFORM FROM public.iu_piece_collection c WHERE c.id = p_changed_id FOR NO KEY UPDATE;
  PERFORM FROM public.iu_piece_collection c WHERE c.id = p_kept_id FOR KEY SHARE;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collections_lock IS
  'For functions that pin its search_path: locks a collection that is to be changed, and keeps another one from being '
  'deleted, in the order of their keys; one that there is not, or NULL, is passed over.';

-- Two calls for one collection at once are one after the other.
CREATE FUNCTION iu.fn_iu_template_lock(p_collection_id uuid) RETURNS boolean
  LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM FROM public.iu_piece_collection c
    WHERE c.id = p_collection_id AND c.deleted_at IS NULL FOR NO KEY UPDATE;
  RETURN FOUND;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_template_lock IS
  'For functions that pin its search_path: locks a collection whose being a template is to change; false: there is '
  'none.';

CREATE FUNCTION iu.fn_iu_collection_mark_as_template(
    p_collection_id uuid, p_template_label text, p_template_doc text, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_was public.iu_collection_template_registry;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_collection_mark_as_template');
  IF p_collection_id IS NULL THEN
    RETURN iu.fn_iu_invalid('collection_id', NULL, 'the id of a collection');
  ELSIF iu_core.text_problem(p_template_label, true) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('template_label', p_template_label, 'up to 2000 characters in one line');
  ELSIF btrim(p_template_doc, E' \t\r\n') = '' OR octet_length(p_template_doc) > 65536 THEN
    RETURN iu.fn_iu_invalid('template_doc', p_template_doc, 'a text of up to 64 kB, or NULL');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters');
  ELSIF NOT iu.fn_iu_template_lock(p_collection_id) THEN
    RETURN iu.fn_iu_collection_not_found('collection_id', p_collection_id);
  END IF;
  SELECT r.* INTO v_was FROM public.iu_collection_template_registry r WHERE r.collection_id = p_collection_id;
  IF NOT FOUND THEN
    INSERT INTO public.iu_collection_template_registry (collection_id, template_label, template_doc, registered_by)
      VALUES (p_collection_id, p_template_label, p_template_doc, p_actor);
  ELSIF NOT v_was.is_template OR v_was.template_label <> p_template_label
        OR v_was.template_doc IS DISTINCT FROM p_template_doc THEN
    UPDATE public.iu_collection_template_registry r
       SET is_template = true, template_label = p_template_label, template_doc = p_template_doc,
           registered_by = p_actor, registered_at = now()
     WHERE r.collection_id = p_collection_id;
  ELSE
    RETURN jsonb_build_object('status', 'ok', 'is_template', true, 'was_template_before', true);
  END IF;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_collection_template_registry r WHERE r.collection_id = p_collection_id
              AND r.is_template AND r.template_label = p_template_label),
    'public.iu_collection_template_registry', 'marking the template');
  PERFORM iu.fn_dot_iu_command_note('dot_iu_register_template', 'collection_id', p_collection_id::text, 'applied',
    p_actor, 'to be made after it', jsonb_build_object('template_label', p_template_label,
      'was_template_before', coalesce(v_was.is_template, false)));
  RETURN jsonb_build_object('status', 'ok', 'is_template', true,
    'was_template_before', coalesce(v_was.is_template, false));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_mark_as_template IS
  'What public.fn_iu_collection_mark_as_template hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_mark_as_template(
    p_collection_id uuid, p_template_label text, p_template_doc text, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_mark_as_template(p_collection_id, p_template_label, p_template_doc, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_collection_mark_as_template IS
  'Makes a collection a template, or changes its label and its doc, and logs it: collection, label, what it is good '
  'for (up to 64 kB, or NULL), who. Returns {status: ok, is_template: true, was_template_before}; again with the same '
  'label and doc nothing is written. Refusals {status, field, guidance, next_action}: invalid_input (collection_id, '
  'template_label, template_doc, actor), collection_not_found. SQLSTATE 25000: another isolation level than READ '
  'COMMITTED.';

-- A point: versions come with a later migration.
CREATE FUNCTION iu.fn_iu_template_in_use(p_collection_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_function text;
  v_reason   text;
BEGIN
  SELECT format('%s collection(s) were made after it', count(*)) INTO v_reason
    FROM public.iu_collection_template_instance_lineage l WHERE l.template_collection_id = p_collection_id
   HAVING count(*) > 0;
  FOR v_function IN SELECT h FROM iu.fn_iu_hook_functions('iu.fn_iu_template_in_use(uuid)') AS h LOOP
    EXIT WHEN v_reason IS NOT NULL;
    EXECUTE format('SELECT %s($1)', v_function) INTO v_reason USING p_collection_id;
  END LOOP;
  RETURN v_reason;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_template_in_use IS
  'A point: why a collection does not cease to be a template, in words: collections were made after it, or what the '
  'functions of later migrations say; NULL: nothing speaks against it. Argument: the collection. Raises what they '
  'raise.';

CREATE FUNCTION iu.fn_iu_collection_unmark_template(p_collection_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_use text;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_collection_unmark_template');
  IF p_collection_id IS NULL THEN
    RETURN iu.fn_iu_invalid('collection_id', NULL, 'the id of a collection');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters');
  ELSIF iu_core.text_problem(p_reason, true) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('reason', p_reason, 'why, in up to 2000 characters in one line');
  ELSIF NOT iu.fn_iu_template_lock(p_collection_id) THEN
    RETURN iu.fn_iu_collection_not_found('collection_id', p_collection_id);
  END IF;
  PERFORM FROM public.iu_collection_template_registry r
    WHERE r.collection_id = p_collection_id AND r.is_template FOR UPDATE;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_template_refused(p_collection_id);
  END IF;
  v_use := iu.fn_iu_template_in_use(p_collection_id);
  IF v_use IS NOT NULL THEN
    RETURN iu.fn_iu_answer('template_in_use', 'collection_id', format('The template stays: %s.', v_use),
      'leave_it_or_retire_the_collection');
  END IF;
  DELETE FROM public.iu_collection_template_registry r WHERE r.collection_id = p_collection_id;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.iu_collection_template_registry r WHERE r.collection_id = p_collection_id),
    'public.iu_collection_template_registry', 'unmarking the template');
  PERFORM iu.fn_dot_iu_command_note('dot_iu_unregister_template', 'collection_id', p_collection_id::text, 'applied',
    p_actor, p_reason, NULL);
  RETURN jsonb_build_object('status', 'ok', 'is_template', false);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_unmark_template IS
  'What public.fn_iu_collection_unmark_template hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_unmark_template(p_collection_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_unmark_template(p_collection_id, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_collection_unmark_template IS
  'Takes back that a collection is a template, and logs it: collection, who, why. Returns {status: ok, is_template: '
  'false}. Refusals {status, field, guidance, next_action}: invalid_input (collection_id, actor, reason), '
  'collection_not_found, template_not_marked, template_in_use (collections were made after it, or it is a version of a '
  'family). SQLSTATE 25000: another isolation level than READ COMMITTED.';
