-- 004 events: what happened is written here, in the transaction in which it
-- happened. The registry of event types, the outbox, the switches, the emitters.

SELECT iu_core.guard_absent('table', 'event_type_registry', 'event_outbox', 'iu_switch_registry');
SELECT iu_core.guard_absent('function', 'fn_event_type_validate()', 'fn_iu_core_routes_enabled()',
  'fn_event_outbox_check(text,text,text,text,text,jsonb,text)',
  'fn_event_put(text,text,text,text,uuid,text,jsonb,text,text)',
  'fn_iu_emit_event(text,text,uuid,text,jsonb,text,text)', 'fn_iu_emit_events(jsonb)',
  'fn_iu_switch_set(text,text,text,text)');
SELECT iu_core.guard_absent('config', 'iu_core.routes_master_enabled');

DO $guard$
BEGIN
  IF to_regprocedure('public.fn_iu_gate_verify_closed(text)') IS NULL THEN
    RAISE EXCEPTION 'migration 004 needs migration 003, the gate protocol'
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
END
$guard$;

-- Switches ------------------------------------------------------------------

CREATE TABLE public.iu_switch_registry (
  switch_key    text        NOT NULL PRIMARY KEY CHECK (switch_key ~ '^[a-z0-9_.]{1,120}$'),
  meaning       text        NOT NULL CHECK (btrim(meaning) <> ''),
  registered_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.iu_switch_registry IS
  'The keys of dot_config that are switches: true or false, without a time limit, changed by fn_iu_switch_set only. A migration registers what it brings. Gates are not switches. (design: Gates)';
COMMENT ON COLUMN public.iu_switch_registry.switch_key IS 'Key of its row in dot_config';
COMMENT ON COLUMN public.iu_switch_registry.registered_at IS 'Start of the transaction that registered it';
COMMENT ON COLUMN public.iu_switch_registry.meaning IS 'What stops while the switch is off.';

INSERT INTO public.dot_config (key, value, description) VALUES
  ('iu_core.routes_master_enabled', 'false', 'switch: off, no event is emitted and no route carries anything');
INSERT INTO public.iu_switch_registry (switch_key, meaning) VALUES
  ('iu_core.routes_master_enabled', 'off: no event is emitted and no route carries anything');
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_switch_set', 'health', true, true, ARRAY['fn_iu_switch_set']);

CREATE FUNCTION public.fn_iu_switch_set(p_key text, p_value text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_previous text;
  v_run      uuid;
BEGIN
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE EXCEPTION 'a switch is set by somebody for a reason'
      USING ERRCODE = 'check_violation', HINT = 'Give p_actor and p_reason.';
  END IF;
  IF p_key IS NULL OR NOT EXISTS (SELECT FROM public.iu_switch_registry WHERE switch_key = p_key) THEN
    RAISE EXCEPTION '"%" is not a switch', coalesce(p_key, '')
      USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'Only keys of iu_switch_registry are set here.',
            HINT = 'A gate is opened with fn_iu_gate_open, with an approval and a time limit.';
  END IF;
  IF p_value IS NULL OR p_value NOT IN ('true', 'false') THEN
    RAISE EXCEPTION 'a switch is true or false, not "%"', coalesce(p_value, 'NULL')
      USING ERRCODE = 'check_violation';
  END IF;

  SELECT value INTO v_previous FROM public.dot_config WHERE key = p_key FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'switch "%" has no row in dot_config', p_key
      USING ERRCODE = 'no_data_found', DETAIL = 'It reads as false.',
            HINT = 'Insert it with the value false, and find out who deleted it.';
  END IF;
  IF v_previous IS DISTINCT FROM p_value THEN
    UPDATE public.dot_config SET value = p_value WHERE key = p_key;
  END IF;
  v_run := public.fn_dot_iu_command_log('dot_iu_switch_set', 'health', 'apply', 'applied', true,
    md5(p_key || '=' || p_value), jsonb_build_object(p_key, v_previous),
    jsonb_build_object('switch', p_key, 'previous', v_previous, 'value', p_value, 'reason', p_reason), p_actor);
  RETURN jsonb_build_object('status', CASE WHEN v_previous = p_value THEN 'unchanged' ELSE 'set' END,
    'switch', p_key, 'previous', v_previous, 'value', p_value, 'run_id', v_run);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_switch_set(text, text, text, text) IS
  'Sets a switch to true or false and logs who did it and why. Returns {status: set | unchanged, switch, previous, value, run_id}. SQLSTATE 42501: not a switch; 23514: value, actor or reason missing or wrong; P0002: the switch has no row in dot_config. (design: Gates)';

CREATE FUNCTION public.fn_iu_core_routes_enabled() RETURNS boolean
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM public.dot_config WHERE key = 'iu_core.routes_master_enabled' AND value = 'true');
END
$function$;
COMMENT ON FUNCTION public.fn_iu_core_routes_enabled() IS
  'Whether the master switch iu_core.routes_master_enabled is on; false where its row is missing. (facts-events 1.4)';

-- Registry ------------------------------------------------------------------

CREATE TABLE public.event_type_registry (
  event_domain     text        NOT NULL,
  event_type       text        NOT NULL,
  event_stream     text        NOT NULL,
  delivery_lane    text        NOT NULL,
  default_severity text        NOT NULL DEFAULT 'info',
  description      text        NOT NULL,
  active           boolean     NOT NULL DEFAULT true,
  created_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (event_domain, event_type),
  CONSTRAINT event_type_registry_domain_chk CHECK (event_domain IN
    ('iu', 'piece', 'staging', 'system', 'birth_registry', 'governance', 'tac', 'kg', 'dot', 'health', 'mother')),
  CONSTRAINT event_type_registry_type_chk CHECK (event_type ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$'),
  CONSTRAINT event_type_registry_stream_chk CHECK (event_stream IN
    ('comment', 'review', 'update', 'birth', 'task', 'alert', 'health')),
  CONSTRAINT event_type_registry_lane_chk CHECK (delivery_lane IN ('immediate', 'delayed')),
  CONSTRAINT event_type_registry_severity_chk CHECK (default_severity IN ('info', 'warning', 'critical'))
);
COMMENT ON TABLE public.event_type_registry IS
  'The event types that may be emitted. An unknown or inactive type is not written to the outbox. (seed 4 A3; facts-events 1.1)';
COMMENT ON COLUMN public.event_type_registry.event_domain IS 'Who knows of the subject, e.g. iu';
COMMENT ON COLUMN public.event_type_registry.event_type IS 'Name within the domain';
COMMENT ON COLUMN public.event_type_registry.event_stream IS 'comment, review, update, birth, task, alert or health';
COMMENT ON COLUMN public.event_type_registry.default_severity IS 'info, warning or critical: what an emitter writes';
COMMENT ON COLUMN public.event_type_registry.description IS 'What happened when it is emitted';
COMMENT ON COLUMN public.event_type_registry.active IS 'false: no longer emitted; what was emitted is still delivered';
COMMENT ON COLUMN public.event_type_registry.created_at IS 'Start of the transaction that registered it';
COMMENT ON COLUMN public.event_type_registry.delivery_lane IS
  'immediate or delayed. Both are delivered alike; neither limits how often a subject has an event.';

INSERT INTO public.event_type_registry
  (event_domain, event_type, event_stream, delivery_lane, default_severity, description) VALUES
  ('iu', 'version_applied',             'update', 'immediate', 'info', 'a further version of a unit was applied'),
  ('iu', 'structure_op_applied',        'update', 'immediate', 'info', 'a structure operation was applied'),
  ('iu', 'structure_child_added',       'update', 'immediate', 'info', 'a unit got a child'),
  ('iu', 'structure_piece_split',       'update', 'immediate', 'info', 'a unit was split by a structure operation'),
  ('iu', 'structure_pieces_merged',     'update', 'immediate', 'info', 'units were merged by a structure operation'),
  ('iu', 'structure_piece_deprecated',  'update', 'immediate', 'info', 'a unit was deprecated by a structure operation'),
  ('iu', 'structure_piece_replaced',    'update', 'immediate', 'info', 'a unit was replaced by a structure operation'),
  ('iu', 'collection_created',          'update', 'delayed',   'info', 'a collection was created'),
  ('iu', 'piece_added_to_collection',   'update', 'delayed',   'info', 'a piece was added to a collection'),
  ('iu', 'piece_removed_from_collection', 'update', 'delayed', 'info', 'a piece was removed from a collection'),
  ('iu', 'piece_reordered',             'update', 'delayed',   'info', 'a piece changed its place in a collection'),
  ('iu', 'collection_rendered',         'update', 'delayed',   'info', 'a collection was rendered'),
  ('iu', 'collection_validated',        'update', 'delayed',   'info', 'a collection was validated'),
  ('iu', 'collection_exported',         'update', 'delayed',   'info', 'a collection was exported'),
  ('iu', 'collection_import_proposed',  'update', 'delayed',   'info', 'an import into a collection was proposed');

-- Outbox --------------------------------------------------------------------

-- One constraint of one call: each CHECK is parsed anew for each INSERT, and eight
-- of them cost more than writing the row (measured: 18 us against 7).
CREATE FUNCTION public.fn_event_outbox_check(p_domain text, p_stream text, p_lane text, p_severity text,
    p_classification text, p_payload jsonb, p_idempotency_key text)
  RETURNS boolean
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem text := CASE
    WHEN p_domain NOT IN ('iu', 'piece', 'staging', 'system', 'birth_registry', 'governance', 'tac', 'kg', 'dot', 'health', 'mother')
      THEN format('"%s" is not an event_domain', p_domain)
    WHEN p_stream NOT IN ('comment', 'review', 'update', 'birth', 'task', 'alert', 'health')
      THEN format('"%s" is not an event_stream', p_stream)
    WHEN p_lane NOT IN ('immediate', 'delayed') THEN format('"%s" is not a delivery_lane', p_lane)
    WHEN p_severity NOT IN ('info', 'warning', 'critical') THEN format('"%s" is not an event_severity', p_severity)
    WHEN p_classification NOT IN ('safe_metadata', 'restricted') THEN format('"%s" is not a payload_classification', p_classification)
    WHEN jsonb_typeof(p_payload) <> 'object' THEN 'safe_payload is not an object'
    WHEN p_payload ?| ARRAY['body', 'content', 'raw', 'vector', 'embedding', 'secret', 'token', 'password', 'ssn', 'personal_data']
      THEN 'safe_payload has a forbidden key: one of body, content, raw, vector, embedding, secret, token, password, ssn, personal_data'
    WHEN btrim(p_idempotency_key) = '' OR length(p_idempotency_key) > 200 THEN 'idempotency_key does not have 1 to 200 characters' END;
BEGIN
  IF v_problem IS NOT NULL THEN
    RAISE EXCEPTION 'an event like this is not written: %', v_problem
      USING ERRCODE = 'check_violation', TABLE = 'event_outbox', CONSTRAINT = 'event_outbox_row_chk';
  END IF;
  RETURN true;
END
$function$;
COMMENT ON FUNCTION public.fn_event_outbox_check(text, text, text, text, text, jsonb, text) IS
  'The CHECK of event_outbox: true, or SQLSTATE 23514 saying what is wrong: a word that is not in its vocabulary (domain, stream, lane, severity, classification), a payload that is not an object or has a top-level key of the denylist, an idempotency key that does not have 1 to 200 characters. (facts-events 1.2)';

CREATE TABLE public.event_outbox (
  id                     uuid        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
  event_domain           text        NOT NULL,
  event_type             text        NOT NULL,
  event_stream           text        NOT NULL,
  delivery_lane          text        NOT NULL,
  event_severity         text        NOT NULL DEFAULT 'info',
  event_subject_table    text        NOT NULL,
  event_subject_ref      text        NOT NULL,
  canonical_address      text,
  actor_ref              text,
  source_system          text        NOT NULL,
  correlation_id         text,
  payload_classification text        NOT NULL DEFAULT 'safe_metadata',
  safe_payload           jsonb       NOT NULL DEFAULT '{}',
  occurred_at            timestamptz NOT NULL DEFAULT now(),
  created_at             timestamptz NOT NULL DEFAULT now(),
  event_seq              bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
  emitted_xid            xid8        NOT NULL DEFAULT pg_current_xact_id(),
  idempotency_key        text,
  CONSTRAINT event_outbox_row_chk CHECK (public.fn_event_outbox_check(event_domain, event_stream, delivery_lane,
    event_severity, payload_classification, safe_payload, idempotency_key))
);
COMMENT ON TABLE public.event_outbox IS
  'What happened, one row an event, never changed. A subject may have the same event many times; whoever needs at most one gives an idempotency_key. (facts-events 1.2; design: Events and delivery)';
COMMENT ON COLUMN public.event_outbox.id IS 'Identifies the event; what fn_iu_emit_event returns';
COMMENT ON COLUMN public.event_outbox.event_domain IS 'As in event_type_registry';
COMMENT ON COLUMN public.event_outbox.event_type IS 'As in event_type_registry';
COMMENT ON COLUMN public.event_outbox.event_stream IS 'That of the type';
COMMENT ON COLUMN public.event_outbox.delivery_lane IS 'That of the type';
COMMENT ON COLUMN public.event_outbox.event_severity IS 'info, warning or critical';
COMMENT ON COLUMN public.event_outbox.event_subject_table IS 'Table of what it happened to';
COMMENT ON COLUMN public.event_outbox.event_subject_ref IS 'Key of what it happened to';
COMMENT ON COLUMN public.event_outbox.canonical_address IS 'Its address, where it has one';
COMMENT ON COLUMN public.event_outbox.actor_ref IS 'Who did it, as told by the emitter';
COMMENT ON COLUMN public.event_outbox.source_system IS 'Which program emitted it';
COMMENT ON COLUMN public.event_outbox.correlation_id IS 'Ties together the events of one action';
COMMENT ON COLUMN public.event_outbox.occurred_at IS 'When it happened, years 1 to 9999; start of the transaction unless told otherwise';
COMMENT ON COLUMN public.event_outbox.created_at IS 'Start of the transaction that emitted it';
COMMENT ON COLUMN public.event_outbox.idempotency_key IS 'At most one event of a key, 1 to 200 characters; NULL: no limit';
COMMENT ON COLUMN public.event_outbox.event_seq IS
  'Order of emission. Gaps are normal, and commits happen in another order.';
COMMENT ON COLUMN public.event_outbox.emitted_xid IS
  'The transaction that emitted the event: deliveries follow commits by it. Means something only in the database where it was written.';
COMMENT ON COLUMN public.event_outbox.safe_payload IS
  'Metadata only: an object without the top-level keys body, content, raw, vector, embedding, secret, token, password, ssn, personal_data, at most 256 kB as text: what is waiting must fit a sender''s memory.';
COMMENT ON COLUMN public.event_outbox.payload_classification IS
  'safe_metadata or restricted. A restricted event never leaves the server by HTTP.';

CREATE UNIQUE INDEX event_outbox_idempotency_key ON public.event_outbox (idempotency_key)
  WHERE idempotency_key IS NOT NULL;
CREATE INDEX event_outbox_type_seq ON public.event_outbox (event_domain, event_type, event_seq);
CREATE INDEX event_outbox_xid ON public.event_outbox (emitted_xid, event_seq);
COMMENT ON INDEX public.event_outbox_idempotency_key IS 'At most one event of a key.';
COMMENT ON INDEX public.event_outbox_type_seq IS 'What a route reads, in order.';
COMMENT ON INDEX public.event_outbox_xid IS 'What was committed since a snapshot, late commits included.';

-- STABLE: it reads the registry by the snapshot of the INSERT, so that an
-- emitter that found the type active is not contradicted a moment later. Sizes
-- are checked here, since a CHECK is parsed anew for every INSERT.
CREATE FUNCTION public.fn_event_type_validate() RETURNS trigger
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_type    record;
  v_problem text := CASE
    WHEN pg_column_size(NEW.safe_payload) > 1048576 OR octet_length(NEW.safe_payload::text) > 262144
      THEN 'its payload is larger than 256 kB'
    WHEN octet_length(concat(NEW.event_subject_table, NEW.event_subject_ref, NEW.source_system, NEW.canonical_address,
           NEW.actor_ref, NEW.correlation_id)) > 16384
      THEN 'its texts are longer than 16 kB together'
    WHEN NEW.occurred_at < '0001-01-01 00:00:00+00' OR NEW.occurred_at >= '9999-12-31 00:00:00+00'
      THEN 'its occurred_at is not in the years 1 to 9999' END;
BEGIN
  IF v_problem IS NOT NULL THEN
    RAISE EXCEPTION 'event "%.%" cannot be delivered: %', NEW.event_domain, NEW.event_type, v_problem
      USING ERRCODE = 'check_violation', HINT = 'An event tells that something happened; what it is stays where it is.';
  END IF;
  SELECT r.event_stream, r.delivery_lane, r.active INTO v_type
    FROM public.event_type_registry r
   WHERE r.event_domain = NEW.event_domain AND r.event_type = NEW.event_type;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'event type "%.%" is not registered', NEW.event_domain, NEW.event_type
      USING ERRCODE = 'check_violation', HINT = 'A migration registers it in event_type_registry.';
  ELSIF NOT v_type.active THEN
    RAISE EXCEPTION 'event type "%.%" is not active', NEW.event_domain, NEW.event_type
      USING ERRCODE = 'check_violation';
  ELSIF NEW.event_stream IS DISTINCT FROM v_type.event_stream OR NEW.delivery_lane IS DISTINCT FROM v_type.delivery_lane THEN
    RAISE EXCEPTION 'event type "%.%" belongs to stream %, lane %', NEW.event_domain, NEW.event_type,
        v_type.event_stream, v_type.delivery_lane
      USING ERRCODE = 'check_violation',
            DETAIL = format('The row says stream %s, lane %s.', NEW.event_stream, NEW.delivery_lane);
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION public.fn_event_type_validate() IS
  'Trigger of event_outbox: the type must be registered and active, the row''s stream and lane the registry''s, the payload at most 256 kB, the other texts at most 16 kB together, occurred_at in the years 1 to 9999, so that no event stops a sender. SQLSTATE 23514 otherwise. (seed 4 A3; design: Events and delivery)';

CREATE TRIGGER trg_event_outbox_type_validate BEFORE INSERT ON public.event_outbox
  FOR EACH ROW EXECUTE FUNCTION public.fn_event_type_validate();
COMMENT ON TRIGGER trg_event_outbox_type_validate ON public.event_outbox IS
  'Refuses what the registry does not know and what no sender could carry. (seed 4 A3)';

CREATE TRIGGER trg_event_outbox_wake AFTER INSERT ON public.event_outbox
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.wake_sender();
COMMENT ON TRIGGER trg_event_outbox_wake ON public.event_outbox IS
  'Wakes this database''s senders when the transaction commits. (design: Processes)';

-- Emitters ------------------------------------------------------------------

CREATE FUNCTION public.fn_event_put(
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
  IF v_id IS NULL AND p_idempotency_key IS NOT NULL AND public.fn_iu_core_routes_enabled() THEN
    SELECT o.id INTO v_id FROM public.event_outbox o
     WHERE o.idempotency_key = p_idempotency_key AND o.event_domain = p_domain AND o.event_type = p_event_type;
  END IF;
  RETURN v_id;
END
$function$;
COMMENT ON FUNCTION public.fn_event_put(text, text, text, text, uuid, text, jsonb, text, text) IS
  'For the emitters, which pin its search_path: writes one event of a registered type, or returns NULL while the master switch is off and for an unknown or inactive type. See fn_iu_emit_event. (seed 4 A3)';

CREATE FUNCTION public.fn_iu_emit_event(
    p_event_type text, p_canonical_address text, p_subject_ref uuid, p_actor_ref text,
    p_safe_payload jsonb DEFAULT '{}', p_idempotency_key text DEFAULT NULL, p_correlation_id text DEFAULT NULL)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN public.fn_event_put('iu', 'information_unit', p_event_type, p_canonical_address, p_subject_ref, p_actor_ref,
    p_safe_payload, p_idempotency_key, p_correlation_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_emit_event(text, text, uuid, text, jsonb, text, text) IS
  'Writes one event of domain iu about a unit, in the caller''s transaction, and returns its id. NULL, without an error, while the master switch is off and for an unknown or inactive type. A second call with an idempotency key returns the id of the first (NULL if the key belongs to another type). SQLSTATE 23502: no subject; 23514: a payload that is not an object, has a forbidden key or more than 256 kB, texts of more than 16 kB together, an empty key. (seed 4 A3; facts-events 1.4)';

CREATE FUNCTION public.fn_iu_emit_events(p_events jsonb) RETURNS uuid[]
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
    RAISE EXCEPTION 'events are given as an array, not as %', jsonb_typeof(p_events) USING ERRCODE = 'check_violation';
  END IF;
  v_count := jsonb_array_length(p_events);
  IF v_count = 0 OR NOT public.fn_iu_core_routes_enabled() THEN
    RETURN array_fill(NULL::uuid, ARRAY[v_count]);
  END IF;
  IF EXISTS (SELECT FROM jsonb_array_elements(p_events) AS a (event)
              WHERE CASE jsonb_typeof(a.event) WHEN 'object' THEN a.event - c_keys <> '{}' ELSE true END) THEN
    RAISE EXCEPTION 'an event is an object without other keys than %', array_to_string(c_keys, ', ')
      USING ERRCODE = 'check_violation';
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
COMMENT ON FUNCTION public.fn_iu_emit_events(jsonb) IS
  'Writes several events of domain iu about units, in the order of the array, and returns their ids in that order. Each element is an object with the arguments of fn_iu_emit_event as keys: event_type, canonical_address, subject_ref, actor_ref, safe_payload, idempotency_key, correlation_id. The contract is that of fn_iu_emit_event for each: NULL in its place while the master switch is off and for an unknown or inactive type, the id of the first event of an idempotency key. An event that fn_iu_emit_event refuses with an error refuses the call. SQLSTATE 23514: also not an array, or an element with another key; 22P02: subject_ref is not a uuid. (seed 4 A3; design: Events and delivery)';

-- Privileges, registration, post-check ---------------------------------------

GRANT SELECT ON public.event_type_registry, public.event_outbox, public.iu_switch_registry TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_core_routes_enabled() TO iu_core_reader, iu_core_writer;
GRANT EXECUTE ON FUNCTION public.fn_iu_emit_event(text, text, uuid, text, jsonb, text, text),
  public.fn_iu_emit_events(jsonb) TO iu_core_writer;
GRANT EXECUTE ON FUNCTION public.fn_iu_switch_set(text, text, text, text) TO iu_core_admin;

SELECT public.fn_iu_govern(4, 'table', 'iu_switch_registry', 'event_type_registry', 'event_outbox');
SELECT public.fn_iu_govern(4, 'function', 'fn_iu_switch_set(text,text,text,text)', 'fn_iu_core_routes_enabled()',
  'fn_event_outbox_check(text,text,text,text,text,jsonb,text)', 'fn_event_type_validate()',
  'fn_event_put(text,text,text,text,uuid,text,jsonb,text,text)',
  'fn_iu_emit_event(text,text,uuid,text,jsonb,text,text)', 'fn_iu_emit_events(jsonb)');
SELECT public.fn_iu_govern(4, 'trigger', 'trg_event_outbox_type_validate ON event_outbox',
  'trg_event_outbox_wake ON event_outbox');
SELECT public.fn_iu_govern(4, 'config', 'iu_core.routes_master_enabled');
SELECT public.fn_iu_govern(4, 'event_type', 'iu.version_applied', 'iu.structure_op_applied', 'iu.structure_child_added',
  'iu.structure_piece_split', 'iu.structure_pieces_merged', 'iu.structure_piece_deprecated',
  'iu.structure_piece_replaced', 'iu.collection_created', 'iu.piece_added_to_collection',
  'iu.piece_removed_from_collection', 'iu.piece_reordered', 'iu.collection_rendered', 'iu.collection_validated',
  'iu.collection_exported', 'iu.collection_import_proposed');

SELECT public.fn_iu_conformance_require(4);
