CREATE FUNCTION iu.fn_event_put(
    p_domain text, p_subject_table text, p_event_type text, p_canonical_address text, p_subject_ref uuid,
    p_actor_ref text, p_safe_payload jsonb, p_idempotency_key text, p_correlation_id text)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
  v_id uuid;
BEGIN
  INSERT INTO public.event_outbox
      (event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table,
       event_subject_ref, canonical_address, actor_ref, source_system, correlation_id, safe_payload, idempotency_key)
    SELECT r.event_domain, r.event_type, r.event_stream, r.delivery_lane, r.default_severity, p_subject_table,
           p_subject_ref::text, p_canonical_address, p_actor_ref, 'iu_core', p_correlation_id,
           coalesce(p_safe_payload, '{}'), p_idempotency_key
      FROM public.event_type_registry r
     WHERE r.event_domain = p_domain AND r.event_type = p_event_type AND r.active
       AND EXISTS (SELECT FROM public.dot_config c
                    WHERE c.key = 'iu_core.routes_master_enabled' AND c.value = 'true')
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id INTO v_id;
  IF v_id IS NULL AND p_idempotency_key IS NOT NULL AND iu.fn_iu_core_routes_enabled() THEN
    SELECT o.id INTO v_id FROM public.event_outbox o
     WHERE o.idempotency_key = p_idempotency_key AND o.event_domain = p_domain AND o.event_type = p_event_type;
  END IF;
  RETURN v_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_event_put IS
  'For the emitters, which pin its search_path: writes one event of a registered type, or returns NULL while the '
  'master switch is off and for an unknown or inactive type. See fn_iu_emit_event.';

CREATE FUNCTION iu.fn_iu_emit_event(
    p_event_type text, p_canonical_address text, p_subject_ref uuid, p_actor_ref text,
    p_safe_payload jsonb, p_idempotency_key text, p_correlation_id text)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN iu.fn_event_put('iu', 'information_unit', p_event_type, p_canonical_address, p_subject_ref, p_actor_ref,
    p_safe_payload, p_idempotency_key, p_correlation_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_emit_event IS
  'What public.fn_iu_emit_event hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_emit_event(
    p_event_type text, p_canonical_address text, p_subject_ref uuid, p_actor_ref text,
    p_safe_payload jsonb DEFAULT '{}', p_idempotency_key text DEFAULT NULL, p_correlation_id text DEFAULT NULL)
  RETURNS uuid
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_emit_event(p_event_type, p_canonical_address, p_subject_ref, p_actor_ref, p_safe_payload, p_idempotency_key, p_correlation_id) END;
COMMENT ON FUNCTION public.fn_iu_emit_event IS
  'Writes one event of domain iu about a unit, in the caller''s transaction, and returns its id. NULL, without an '
  'error, while the master switch is off and for an unknown or inactive type. A second call with an idempotency '
  'key returns the id of the first (NULL if the key belongs to another type). SQLSTATE 23502: no subject; 23514: '
  'a payload that is not an object, has a forbidden key or more than 256 kB, texts of more than 16 kB together, '
  'an empty key.';

CREATE FUNCTION iu.fn_iu_emit_events(p_events jsonb) RETURNS uuid[]
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_keys   constant text[] := ARRAY['event_type', 'canonical_address', 'subject_ref', 'actor_ref', 'safe_payload',
    'idempotency_key', 'correlation_id'];
  v_count  integer;
  v_ids    uuid[];
  v_missed boolean;
BEGIN
  IF p_events IS NULL THEN
    RETURN '{}';
  ELSIF jsonb_typeof(p_events) <> 'array' THEN
    RAISE check_violation USING
      MESSAGE = format('events are given as an array, not as %s', jsonb_typeof(p_events));
  END IF;
  v_count := jsonb_array_length(p_events);
  IF v_count = 0 OR NOT iu.fn_iu_core_routes_enabled() THEN
    RETURN array_fill(NULL::uuid, ARRAY[v_count]);
  END IF;
  IF EXISTS (SELECT FROM jsonb_array_elements(p_events) AS a (event)
              WHERE CASE jsonb_typeof(a.event) WHEN 'object' THEN a.event - c_keys <> '{}' ELSE true END) THEN
    RAISE check_violation USING
      MESSAGE = format('an event is an object without other keys than %s', array_to_string(c_keys, ', '));
  END IF;

  -- Ids are given here: what an INSERT returns has no place in the array.
  WITH event AS MATERIALIZED (
    SELECT a.n, gen_random_uuid() AS id, r.event_type, r.event_stream, r.delivery_lane, r.default_severity,
           x.subject_ref, x.canonical_address, x.actor_ref, x.correlation_id, x.safe_payload, x.idempotency_key
      FROM jsonb_array_elements(p_events) WITH ORDINALITY AS a (event, n)
      CROSS JOIN LATERAL jsonb_to_record(a.event) AS x (event_type text, canonical_address text, subject_ref uuid,
        actor_ref text, safe_payload jsonb, idempotency_key text, correlation_id text)
      LEFT JOIN public.event_type_registry r ON r.event_domain = 'iu' AND r.event_type = x.event_type AND r.active
  ), put AS (
    INSERT INTO public.event_outbox
        (id, event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table,
         event_subject_ref, canonical_address, actor_ref, source_system, correlation_id, safe_payload, idempotency_key)
      SELECT e.id, 'iu', e.event_type, e.event_stream, e.delivery_lane, e.default_severity, 'information_unit',
             e.subject_ref::text, e.canonical_address, e.actor_ref, 'iu_core', e.correlation_id,
             coalesce(e.safe_payload, '{}'), e.idempotency_key
        FROM event e WHERE e.event_type IS NOT NULL ORDER BY e.n
      ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
      RETURNING id
  )
  SELECT array_agg(p.id ORDER BY e.n), bool_or(p.id IS NULL AND e.idempotency_key IS NOT NULL AND e.event_type IS NOT NULL)
    INTO v_ids, v_missed FROM event e LEFT JOIN put p ON p.id = e.id;
  IF v_missed THEN
    SELECT array_agg(coalesce(i.id, o.id) ORDER BY a.n) INTO v_ids
      FROM jsonb_array_elements(p_events) WITH ORDINALITY AS a (event, n)
      JOIN unnest(v_ids) WITH ORDINALITY AS i (id, n) ON i.n = a.n
      LEFT JOIN public.event_outbox o ON i.id IS NULL AND o.idempotency_key = a.event ->> 'idempotency_key'
       AND o.event_domain = 'iu' AND o.event_type = a.event ->> 'event_type';
  END IF;
  RETURN v_ids;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_emit_events IS
  'What public.fn_iu_emit_events hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_emit_events(p_events jsonb) RETURNS uuid[]
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer}') THEN
  iu.fn_iu_emit_events(p_events) END;
COMMENT ON FUNCTION public.fn_iu_emit_events IS
  'Writes several events of domain iu about units, in the order of the array, and returns their ids in that '
  'order. Each element is an object with the arguments of fn_iu_emit_event as keys: event_type, '
  'canonical_address, subject_ref, actor_ref, safe_payload, idempotency_key, correlation_id. The contract is that '
  'of fn_iu_emit_event for each: NULL in its place while the master switch is off and for an unknown or inactive '
  'type, the id of the first event of an idempotency key. An event that fn_iu_emit_event refuses with an error '
  'refuses the call. SQLSTATE 23514: also not an array, or an element with another key; 22P02: subject_ref is not '
  'a uuid.';
