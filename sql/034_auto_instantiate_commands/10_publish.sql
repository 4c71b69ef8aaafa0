-- 034 auto-instantiate commands: publishing a template is an event, and a route whose
-- target is the consumer makes a collection of it.

INSERT INTO public.event_type_registry
  (event_domain, event_type, event_stream, delivery_lane, default_severity, description) VALUES
  ('iu', 'template.published', 'update', 'immediate', 'info', 'a collection is to be made after a template');

CREATE FUNCTION iu.fn_iu_template_publish(
    p_template_collection_id uuid, p_instance_key_suffix text, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_key      CONSTANT text := 'tpl-inst:auto:' || p_instance_key_suffix;
  v_event_id uuid;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_template_publish');
  IF p_template_collection_id IS NULL THEN
    RETURN iu.fn_iu_invalid('template_collection_id', NULL, 'the id of a template');
  ELSIF v_key IS NULL OR btrim(p_instance_key_suffix) = '' OR iu.fn_iu_collection_key_problem(v_key) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('instance_key_suffix', p_instance_key_suffix,
      'what follows tpl-inst:auto: in the key of a collection, which has at most 200 characters');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters');
  ELSIF NOT iu.fn_iu_collection_living(p_template_collection_id) THEN
    RETURN iu.fn_iu_collection_not_found('template_collection_id', p_template_collection_id);
  ELSIF NOT iu.fn_iu_template_marked(p_template_collection_id) THEN
    RETURN iu.fn_iu_template_refused(p_template_collection_id);
  ELSIF EXISTS (SELECT FROM public.iu_piece_collection c WHERE c.collection_key = v_key) THEN
    RETURN iu.fn_iu_answer('instance_key_exists', 'instance_key_suffix',
      format('There is a collection %s.', iu_core.text_shown(v_key)), 'give_another_suffix');
  END IF;
  v_event_id := iu.fn_event_put('iu', 'iu_piece_collection', 'template.published', NULL,
    p_template_collection_id::text, p_actor, jsonb_build_object('template_collection_id', p_template_collection_id,
      'instance_key_suffix', p_instance_key_suffix), NULL, p_template_collection_id::text);
  RETURN CASE WHEN v_event_id IS NULL
    THEN iu.fn_iu_answer('events_are_off', NULL, 'The switch iu_core.routes_master_enabled is off.', 'fn_iu_switch_set')
    ELSE jsonb_build_object('status', 'published', 'event_id', v_event_id, 'instance_collection_key', v_key) END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_template_publish IS
  'What public.fn_iu_template_publish hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_template_publish(
    p_template_collection_id uuid, p_instance_key_suffix text, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_template_publish(p_template_collection_id, p_instance_key_suffix, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_template_publish IS
  'Asks for a collection after a template by an event iu.template.published, which a route with target '
  'fn_iu_auto_instantiate_consumer carries out: template, suffix of the collection''s key, who. Returns {status: '
  'published, event_id, instance_collection_key}. Refusals {status, field, guidance, next_action}: invalid_input '
  '(template_collection_id, instance_key_suffix, actor), collection_not_found, template_not_marked, '
  'instance_key_exists, events_are_off. SQLSTATE 25000: another isolation level than READ COMMITTED.';
