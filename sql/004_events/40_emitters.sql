-- The emitters: what applications call when something happened. None of them
-- fails its caller over a switch or an event type: such an event is not written.
-- A key that is used again for something else is an error all the same: with
-- anything less an event would be lost in silence.

CREATE FUNCTION iu.fn_event_of_key(
    p_domain text, p_subject_table text, p_event_type text, p_canonical_address text, p_subject_ref text,
    p_actor_ref text, p_safe_payload jsonb, p_idempotency_key text)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
  v_first  public.event_outbox;
  v_differ text;
BEGIN
  SELECT o.* INTO v_first FROM public.event_outbox o
   WHERE o.idempotency_key = p_idempotency_key AND o.emitter_role = iu.fn_event_emitter();
  -- What a migration adds to the payload of a piece's event is not the caller's.
  SELECT string_agg(c.name, ', ' ORDER BY c.n) INTO v_differ
    FROM (VALUES
      (1, 'event_domain', v_first.event_domain IS DISTINCT FROM p_domain),
      (2, 'event_type', v_first.event_type IS DISTINCT FROM p_event_type),
      (3, 'subject_table', v_first.event_subject_table IS DISTINCT FROM p_subject_table),
      (4, 'subject_ref', v_first.event_subject_ref IS DISTINCT FROM p_subject_ref),
      (5, 'canonical_address', v_first.canonical_address IS DISTINCT FROM p_canonical_address),
      (6, 'actor_ref', v_first.actor_ref IS DISTINCT FROM p_actor_ref),
      (7, 'safe_payload', CASE p_domain WHEN 'piece'
         THEN v_first.safe_payload - 'emit_mode' IS DISTINCT FROM coalesce(p_safe_payload, '{}') - 'emit_mode'
         ELSE v_first.safe_payload IS DISTINCT FROM coalesce(p_safe_payload, '{}') END)) AS c (n, name, differs)
   WHERE c.differs;
  IF v_differ IS NULL OR v_first.id IS NULL THEN
    RETURN v_first.id;
  ELSIF NOT EXISTS (SELECT FROM public.event_type_registry r
                     WHERE r.event_domain = p_domain AND r.event_type = p_event_type AND r.active) THEN
    RETURN NULL;
  END IF;
  RAISE unique_violation USING
    MESSAGE = format('idempotency key "%s" was used for another event', p_idempotency_key),
    DETAIL = format('Event %s of type "%s.%s" has it since %s. It differs in: %s.', v_first.id, v_first.event_domain,
      v_first.event_type, v_first.created_at, v_differ),
    HINT = 'A key stands for one event; the same event again gives the id of the first. Give another key.',
    TABLE = 'event_outbox', CONSTRAINT = 'iu_event_key_used';
END
$function$;
COMMENT ON FUNCTION iu.fn_event_of_key IS
  'For the emitters, which pin its search_path: the id of the event that has an idempotency key of the emitter, if it '
  'is the same as what is given; NULL: none has it, or the type given is unknown or inactive. What it belongs to '
  '(correlation_id) and when it happened may differ: they are those of a call, not of the event. SQLSTATE 23505, '
  'constraint iu_event_key_used: it is another event.';

CREATE FUNCTION iu.fn_event_unheard(p_domain text, p_event_type text) RETURNS void
  LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
  v_active boolean;
BEGIN
  SELECT r.active INTO v_active FROM public.event_type_registry r
   WHERE r.event_domain = p_domain AND r.event_type = p_event_type;
  IF v_active IS NOT TRUE AND iu.fn_iu_core_routes_enabled() THEN
    PERFORM iu_core.count_unheard(p_domain, p_event_type,
      CASE WHEN v_active IS NULL THEN 'unknown' ELSE 'inactive' END);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_event_unheard IS
  'For the emitters, which pin its search_path: tells of an event that was not written, with a NOTICE and in '
  'iu_core.unheard_events, where the reason is its type; says nothing while the master switch is off.';

CREATE FUNCTION iu.fn_event_put(
    p_domain text, p_subject_table text, p_event_type text, p_canonical_address text, p_subject_ref text,
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
           p_subject_ref, p_canonical_address, p_actor_ref, 'iu_core', p_correlation_id,
           coalesce(p_safe_payload, '{}'), p_idempotency_key
      FROM public.event_type_registry r
     WHERE r.event_domain = p_domain AND r.event_type = p_event_type AND r.active
       AND EXISTS (SELECT FROM public.dot_config c
                    WHERE c.key = 'iu_core.routes_master_enabled' AND c.value = 'true')
    ON CONFLICT (idempotency_key, emitter_role) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id INTO v_id;
  IF v_id IS NULL AND p_idempotency_key IS NOT NULL AND iu.fn_iu_core_routes_enabled() THEN
    v_id := iu.fn_event_of_key(p_domain, p_subject_table, p_event_type, p_canonical_address, p_subject_ref,
      p_actor_ref, p_safe_payload, p_idempotency_key);
  END IF;
  IF v_id IS NULL THEN
    PERFORM iu.fn_event_unheard(p_domain, p_event_type);
  END IF;
  RETURN v_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_event_put IS
  'For the emitters, which pin its search_path: writes one event of a registered type, or returns NULL while the '
  'master switch is off and for an unknown or inactive type. See fn_iu_emit_event.';

CREATE FUNCTION iu.fn_event_put_rows(
    p_domain text, p_subject_table text, p_subject_ref text, p_actor_ref text, p_correlation_id text, p_types text[],
    p_payloads jsonb[])
  RETURNS void
  LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
  v_written bigint;
BEGIN
  IF NOT iu.fn_iu_core_routes_enabled() THEN
    RETURN;
  END IF;
  INSERT INTO public.event_outbox
      (event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table, event_subject_ref,
       actor_ref, source_system, correlation_id, safe_payload)
    SELECT r.event_domain, r.event_type, r.event_stream, r.delivery_lane, r.default_severity, p_subject_table,
           p_subject_ref, p_actor_ref, 'iu_core', p_correlation_id, e.payload
      FROM unnest(p_types, p_payloads) WITH ORDINALITY AS e (event_type, payload, n)
      JOIN public.event_type_registry r ON r.event_domain = p_domain AND r.event_type = e.event_type AND r.active
     ORDER BY e.n;
  GET DIAGNOSTICS v_written = ROW_COUNT;
  IF v_written < cardinality(p_types) THEN
    PERFORM iu.fn_event_unheard(p_domain, t.event_type) FROM (SELECT DISTINCT unnest(p_types)) AS t (event_type);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_event_put_rows IS
  'For functions that emit many events about one thing and pin its search_path: domain, table and key of the thing, '
  'who, correlation, types, and as many payloads. Those of an unknown or inactive type are left out, and told of; '
  'nothing is written while the master switch is off. Errors: those of writing to event_outbox.';

CREATE FUNCTION iu.fn_event_put_many_check(p_events jsonb) RETURNS void
  LANGUAGE plpgsql IMMUTABLE
AS $function$
DECLARE
  c_keys constant text[] := ARRAY['event_type', 'canonical_address', 'subject_ref', 'actor_ref', 'safe_payload',
    'idempotency_key', 'correlation_id'];
  v_wrong record;
BEGIN
  SELECT a.n, a.event, jsonb_typeof(a.event) AS is INTO v_wrong
    FROM jsonb_array_elements(p_events) WITH ORDINALITY AS a (event, n)
   WHERE CASE jsonb_typeof(a.event) WHEN 'object' THEN a.event - c_keys <> '{}' ELSE true END
   ORDER BY a.n LIMIT 1;
  IF FOUND THEN
    RAISE check_violation USING
      MESSAGE = format('an event is an object without other keys than %s', array_to_string(c_keys, ', ')),
      DETAIL = format('Element %s is %s.', v_wrong.n, CASE v_wrong.is
        WHEN 'object' THEN 'an object with ' || iu.fn_iu_keys_shown(v_wrong.event - c_keys)
        ELSE v_wrong.is END),
      CONSTRAINT = 'iu_events_element';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_event_put_many_check IS
  'For fn_event_put_many, which pins its search_path: SQLSTATE 23514 for an element that is not an object, or has a '
  'key that no event has.';

CREATE FUNCTION iu.fn_event_put_many(p_domain text, p_subject_table text, p_events jsonb) RETURNS uuid[]
  LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
  v_count   integer;
  v_ids     uuid[];
  v_missed  boolean;
  v_unheard text[];
BEGIN
  IF p_events IS NULL THEN
    RETURN '{}';
  ELSIF jsonb_typeof(p_events) <> 'array' THEN
    RAISE check_violation USING
      MESSAGE = format('events are given as an array, not as %s', jsonb_typeof(p_events)),
      DETAIL = format('Type: %s.', jsonb_typeof(p_events)),
      CONSTRAINT = 'iu_events_array';
  END IF;
  v_count := jsonb_array_length(p_events);
  IF v_count = 0 OR NOT iu.fn_iu_core_routes_enabled() THEN
    RETURN array_fill(NULL::uuid, ARRAY[v_count]);
  END IF;
  PERFORM iu.fn_event_put_many_check(p_events);

  -- The ids are made here, since what INSERT ... RETURNING gives has lost its place in the array.
  WITH event AS MATERIALIZED (
    SELECT a.n, gen_random_uuid() AS id, r.event_type, r.event_stream, r.delivery_lane, r.default_severity,
           x.event_type AS asked_for, x.subject_ref, x.canonical_address, x.actor_ref, x.correlation_id,
           x.safe_payload, x.idempotency_key
      FROM jsonb_array_elements(p_events) WITH ORDINALITY AS a (event, n)
      CROSS JOIN LATERAL jsonb_to_record(a.event) AS x (event_type text, canonical_address text, subject_ref uuid,
        actor_ref text, safe_payload jsonb, idempotency_key text, correlation_id text)
      LEFT JOIN public.event_type_registry r
        ON r.event_domain = p_domain AND r.event_type = x.event_type AND r.active
  ), put AS (
    INSERT INTO public.event_outbox
        (id, event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table,
         event_subject_ref, canonical_address, actor_ref, source_system, correlation_id, safe_payload, idempotency_key)
      SELECT e.id, p_domain, e.event_type, e.event_stream, e.delivery_lane, e.default_severity, p_subject_table,
             e.subject_ref::text, e.canonical_address, e.actor_ref, 'iu_core', e.correlation_id,
             coalesce(e.safe_payload, '{}'), e.idempotency_key
        FROM event e WHERE e.event_type IS NOT NULL ORDER BY e.n
      ON CONFLICT (idempotency_key, emitter_role) WHERE idempotency_key IS NOT NULL DO NOTHING
      RETURNING id
  )
  SELECT array_agg(p.id ORDER BY e.n),
         bool_or(p.id IS NULL AND e.idempotency_key IS NOT NULL AND e.event_type IS NOT NULL),
         array_agg(DISTINCT e.asked_for) FILTER (WHERE e.event_type IS NULL)
    INTO v_ids, v_missed, v_unheard FROM event e LEFT JOIN put p ON p.id = e.id;
  IF v_missed THEN
    SELECT array_agg(coalesce(i.id, CASE WHEN a.event ->> 'idempotency_key' IS NOT NULL THEN
             iu.fn_event_of_key(p_domain, p_subject_table, x.event_type, x.canonical_address, x.subject_ref::text,
               x.actor_ref, x.safe_payload, x.idempotency_key) END) ORDER BY a.n) INTO v_ids
      FROM jsonb_array_elements(p_events) WITH ORDINALITY AS a (event, n)
      CROSS JOIN LATERAL jsonb_to_record(a.event) AS x (event_type text, canonical_address text, subject_ref uuid,
        actor_ref text, safe_payload jsonb, idempotency_key text)
      JOIN unnest(v_ids) WITH ORDINALITY AS i (id, n) ON i.n = a.n;
  END IF;
  PERFORM iu.fn_event_unheard(p_domain, u) FROM unnest(v_unheard) u;
  RETURN v_ids;
END
$function$;
COMMENT ON FUNCTION iu.fn_event_put_many IS
  'For the emitters, which pin its search_path: writes several events of one domain about one table, by the contract '
  'of public.fn_iu_emit_events: domain, table of the subjects, events.';

CREATE FUNCTION iu.fn_iu_emit_event(
    p_event_type text, p_canonical_address text, p_subject_ref uuid, p_actor_ref text,
    p_safe_payload jsonb, p_idempotency_key text, p_correlation_id text)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN iu.fn_event_put('iu', 'information_unit', p_event_type, p_canonical_address, p_subject_ref::text, p_actor_ref,
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
  iu.fn_iu_emit_event(p_event_type, p_canonical_address, p_subject_ref, p_actor_ref, p_safe_payload,
    p_idempotency_key, p_correlation_id) END;
COMMENT ON FUNCTION public.fn_iu_emit_event IS
  'Writes one event of domain iu about a unit, in the caller''s transaction, and returns its id. NULL, without an '
  'error, while the master switch is off and for an unknown or inactive type, which a NOTICE tells once a statement. '
  'The same event again with the same idempotency key returns the id of the first; a key belongs to the role that '
  'emits (SET ROLE, otherwise the login). SQLSTATE 23505, constraint iu_event_key_used: the key was used for another '
  'event, with another type, subject, address, actor or payload; 23502: no subject; 23514: a payload that is not an '
  'object, has a forbidden key or more than 256 kB, texts of more than 16 kB together, an empty key.';

CREATE FUNCTION iu.fn_iu_emit_events(p_events jsonb) RETURNS uuid[]
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN iu.fn_event_put_many('iu', 'information_unit', p_events);
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

CREATE FUNCTION iu.fn_iu_event_emit(
    p_event_domain text, p_event_type text, p_subject_table text, p_subject_ref text, p_canonical_address text,
    p_actor_ref text, p_safe_payload jsonb, p_idempotency_key text, p_correlation_id text)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_event_domain = 'iu' OR EXISTS (SELECT FROM public.iu_governed_object g
                                       WHERE g.object_class = 'event_type' AND g.theirs
                                         AND g.object_name = p_event_domain || '.' || p_event_type) THEN
    RETURN iu.fn_event_put(p_event_domain, p_subject_table, p_event_type, p_canonical_address, p_subject_ref,
      p_actor_ref, p_safe_payload, p_idempotency_key, p_correlation_id);
  ELSIF iu.fn_iu_core_routes_enabled() THEN
    PERFORM iu_core.count_unheard(p_event_domain, p_event_type, CASE WHEN EXISTS (
      SELECT FROM public.event_type_registry r
       WHERE r.event_domain = p_event_domain AND r.event_type = p_event_type) THEN 'reserved' ELSE 'unknown' END);
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_event_emit IS
  'What public.fn_iu_event_emit hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_event_emit(
    p_event_domain text, p_event_type text, p_subject_table text, p_subject_ref text,
    p_canonical_address text DEFAULT NULL, p_actor_ref text DEFAULT session_user, p_safe_payload jsonb DEFAULT '{}',
    p_idempotency_key text DEFAULT NULL, p_correlation_id text DEFAULT NULL)
  RETURNS uuid
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer}') THEN
  iu.fn_iu_event_emit(p_event_domain, p_event_type, p_subject_table, p_subject_ref, p_canonical_address, p_actor_ref,
    p_safe_payload, p_idempotency_key, p_correlation_id) END;
COMMENT ON FUNCTION public.fn_iu_event_emit IS
  'Writes one event of a type that the platform registered (fn_iu_event_type_register), or of domain iu, about a '
  'subject in any table with any key: domain, type, table of the subject, its key as text, its address, who did it '
  '(the login role unless told otherwise), metadata, idempotency key, what ties events together. Returns the id of '
  'the event. NULL, without an error, while the master switch is off, and for a type that is unknown, inactive, or '
  'emitted by the product alone: then a NOTICE tells it once a statement, and iu_core.unheard_events counts it. '
  'SQLSTATE 42501: the caller is not in iu_core_writer; otherwise as fn_iu_emit_event.';
