-- Which collection was made after which template.

CREATE FUNCTION iu.fn_iu_lineage_write(
    p_instance_collection_id uuid, p_template_collection_id uuid, p_actor text, p_note text)
  RETURNS void
  LANGUAGE plpgsql
AS $function$
BEGIN
  INSERT INTO public.iu_collection_template_instance_lineage
      (instance_collection_id, template_collection_id, instantiated_by, instance_note)
    VALUES (p_instance_collection_id, p_template_collection_id, p_actor, p_note);
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_collection_template_instance_lineage l
             WHERE l.instance_collection_id = p_instance_collection_id
               AND l.template_collection_id = p_template_collection_id),
    'public.iu_collection_template_instance_lineage', 'recording the instance');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_lineage_write IS
  'For functions that pin its search_path and have asked for all else: writes one row of the lineage: instance, '
  'template, who, note.';

CREATE FUNCTION iu.fn_iu_template_instance_check(
    p_instance_collection_id uuid, p_template_collection_id uuid, p_actor text, p_note text)
  RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM iu.fn_iu_collections_lock(p_instance_collection_id, p_template_collection_id);
  IF p_instance_collection_id IS NULL THEN
    RETURN iu.fn_iu_invalid('instance_collection_id', NULL, 'the id of a collection');
  ELSIF p_template_collection_id IS NULL THEN
    RETURN iu.fn_iu_invalid('template_collection_id', NULL, 'the id of a template');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters');
  ELSIF p_note IS NOT NULL AND iu_core.text_problem(p_note, true) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('note', p_note, 'up to 2000 characters in one line, or NULL');
  ELSIF p_instance_collection_id = p_template_collection_id THEN
    RETURN iu.fn_iu_answer('self_not_allowed', 'instance_collection_id', 'A collection is not made after itself.',
      'correct_the_argument');
  ELSIF NOT iu.fn_iu_template_lock(p_instance_collection_id) THEN
    RETURN iu.fn_iu_collection_not_found('instance_collection_id', p_instance_collection_id);
  ELSIF NOT iu.fn_iu_collection_living(p_template_collection_id) THEN
    RETURN iu.fn_iu_collection_not_found('template_collection_id', p_template_collection_id);
  ELSIF NOT iu.fn_iu_template_marked(p_template_collection_id) THEN
    RETURN iu.fn_iu_template_refused(p_template_collection_id);
  END IF;
  RETURN (SELECT iu.fn_iu_answer('lineage_exists_for_other_template', 'instance_collection_id',
            format('The collection was made after %s.', l.template_collection_id),
            'look_at_v_iu_product_template_instance')
            FROM public.iu_collection_template_instance_lineage l
           WHERE l.instance_collection_id = p_instance_collection_id
             AND l.template_collection_id <> p_template_collection_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_template_instance_check IS
  'For fn_iu_collection_record_template_instance, which pins its search_path: a refusal, or NULL. Locks the instance, '
  'and keeps the template one. Arguments as that function has them.';

CREATE FUNCTION iu.fn_iu_collection_record_template_instance(
    p_instance_collection_id uuid, p_template_collection_id uuid, p_actor text, p_note text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal  jsonb;
  v_instance text;
  v_template text;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_collection_record_template_instance');
  v_refusal := iu.fn_iu_template_instance_check(p_instance_collection_id, p_template_collection_id, p_actor, p_note);
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  -- Two branches: an upsert in one statement would fire the triggers of INSERT and of UPDATE.
  IF EXISTS (SELECT FROM public.iu_collection_template_instance_lineage l
              WHERE l.instance_collection_id = p_instance_collection_id) THEN
    UPDATE public.iu_collection_template_instance_lineage l SET instance_note = p_note
     WHERE l.instance_collection_id = p_instance_collection_id AND l.instance_note IS DISTINCT FROM p_note
       AND p_note IS NOT NULL;
  ELSE
    PERFORM iu.fn_iu_lineage_write(p_instance_collection_id, p_template_collection_id, p_actor, p_note);
  END IF;
  SELECT i.manifest_digest, t.manifest_digest INTO v_instance, v_template
    FROM public.iu_piece_collection i, public.iu_piece_collection t
   WHERE i.id = p_instance_collection_id AND t.id = p_template_collection_id;
  RETURN jsonb_build_object('status', 'ok', 'instance_collection_id', p_instance_collection_id,
    'template_collection_id', p_template_collection_id, 'instance_manifest_digest', v_instance,
    'template_manifest_digest', v_template, 'digest_matches_template', v_instance IS NOT DISTINCT FROM v_template);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_record_template_instance IS
  'What public.fn_iu_collection_record_template_instance hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_record_template_instance(
    p_instance_collection_id uuid, p_template_collection_id uuid, p_actor text, p_note text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_record_template_instance(p_instance_collection_id, p_template_collection_id, p_actor, p_note) END;
COMMENT ON FUNCTION public.fn_iu_collection_record_template_instance IS
  'Records that a collection was made after a template: the instance, the template, who, a note or NULL. Again for the '
  'same two only the note changes. Returns {status: ok, instance_collection_id, template_collection_id, '
  'instance_manifest_digest, template_manifest_digest, digest_matches_template}. Refusals {status, field, guidance, '
  'next_action}, in this order: invalid_input (instance_collection_id, template_collection_id, actor, note), '
  'self_not_allowed, collection_not_found (either), template_not_marked, lineage_exists_for_other_template. SQLSTATE '
  '25000: another isolation level than READ COMMITTED.';
