-- The target of a route. What closed gates refuse is tried again as the route has it;
-- what else is refused ends as a dead letter, for a person.

-- Bound when it is made: nobody's function of the same name comes in between.
CREATE FUNCTION iu.fn_iu_auto_instantiate_live(
    p_event_id uuid, p_event_type text, p_template_collection_id uuid, p_instance_key_suffix text, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN public.fn_iu_auto_instantiate_from_event(p_event_id, p_event_type, p_template_collection_id,
  p_instance_key_suffix, 'live', p_actor, NULL);
COMMENT ON FUNCTION iu.fn_iu_auto_instantiate_live IS
  'For fn_iu_auto_instantiate_consumer: fn_iu_auto_instantiate_from_event, live: event, its type, template, suffix, '
  'who.';

CREATE FUNCTION public.fn_iu_auto_instantiate_consumer(p_event_ref uuid, p_safe_payload jsonb) RETURNS boolean
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_uuid     CONSTANT text := '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$';
  v_type     text;
  v_answer   jsonb;
BEGIN
  SELECT e.event_domain || '.' || e.event_type INTO v_type FROM public.event_outbox e WHERE e.id = p_event_ref;
  IF NOT FOUND THEN
    RAISE no_data_found USING
      MESSAGE = format('event %s is not in the outbox', coalesce(p_event_ref::text, 'NULL')),
      DETAIL = format('Event: %s.', coalesce(p_event_ref::text, 'NULL')),
      CONSTRAINT = 'iu_event_unknown';
  END IF;
  v_answer := iu.fn_iu_auto_instantiate_live(p_event_ref, v_type,
    CASE WHEN p_safe_payload ->> 'template_collection_id' ~ c_uuid
         THEN (p_safe_payload ->> 'template_collection_id')::uuid END,
    p_safe_payload ->> 'instance_key_suffix', 'iu_auto_instantiate_consumer');
  IF v_answer ->> 'status' IN ('live_gate_closed', 'composer_gate_closed') THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('no collection is made after the template now: %s', v_answer ->> 'status'),
      DETAIL = format('Event: %s; answer: %s.', p_event_ref, v_answer),
      HINT = 'Gates iu_core.composer_enabled and iu_core.auto_instantiate_enabled are both open where this runs '
             'unattended, on standing approvals.',
      CONSTRAINT = 'iu_auto_instantiate_gate_closed';
  ELSIF (v_answer ->> 'status' IN ('ok', 'idempotent_replay')) IS NOT TRUE THEN
    RAISE check_violation USING
      MESSAGE = format('no collection is made after the template: %s', v_answer ->> 'status'),
      DETAIL = format('Event: %s; payload: %s; answer: %s.', p_event_ref, p_safe_payload, v_answer),
      HINT = 'Its payload has template_collection_id and instance_key_suffix: see fn_iu_auto_instantiate_from_event.',
      CONSTRAINT = 'iu_auto_instantiate_refused';
  END IF;
  RETURN true;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_auto_instantiate_consumer IS
  'Target of routes, which call it as iu_core_owner: makes a collection after the template that the payload names '
  '({template_collection_id, instance_key_suffix}), live, in the name of iu_auto_instantiate_consumer. The event''s id '
  'is in the key, so that a second delivery makes nothing. Event, its payload (up to 256 kB, as events have it). '
  'Returns true. SQLSTATE 55000: a gate is closed, so the delivery is tried again as the route has it; 23514: what '
  'fn_iu_auto_instantiate_from_event refuses otherwise; P0002: unknown event.';
