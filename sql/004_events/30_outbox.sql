-- The outbox: one row an event.

-- The outbox has one CHECK, which is one call: each CHECK is parsed anew for each
-- INSERT, and eight of them cost more than writing the row (measured: 18 us
-- against 7). The message is made only where something is wrong.
CREATE FUNCTION iu.fn_event_outbox_check(p_domain text, p_stream text, p_lane text, p_severity text,
    p_classification text, p_payload jsonb, p_idempotency_key text)
  RETURNS boolean
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal text := CASE
    WHEN p_domain !~ '^[a-z][a-z0-9_]{0,62}$' THEN 'iu_event_domain'
    WHEN p_stream NOT IN ('comment', 'review', 'update', 'birth', 'task', 'alert', 'health') THEN 'iu_event_stream'
    WHEN p_lane NOT IN ('immediate', 'delayed') THEN 'iu_event_lane'
    WHEN p_severity NOT IN ('info', 'warning', 'critical') THEN 'iu_event_severity'
    WHEN p_classification NOT IN ('safe_metadata', 'restricted') THEN 'iu_event_classification'
    WHEN jsonb_typeof(p_payload) <> 'object' THEN 'iu_event_payload_object'
    WHEN p_payload ?| ARRAY['body', 'content', 'raw', 'vector', 'embedding', 'secret', 'token', 'password', 'ssn',
                            'personal_data'] THEN 'iu_event_payload_key'
    WHEN iu_core.key_problem(p_payload) IS NOT NULL THEN 'iu_event_payload_key_form'
    WHEN p_idempotency_key IS NOT NULL AND iu_core.text_problem(p_idempotency_key, false) IS NOT NULL
      THEN 'iu_event_idempotency_key' END;
BEGIN
  IF v_refusal IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = format('an event like this is not written: %s', CASE v_refusal
        WHEN 'iu_event_domain' THEN format('"%s" is not an event_domain', p_domain)
        WHEN 'iu_event_stream' THEN format('"%s" is not an event_stream', p_stream)
        WHEN 'iu_event_lane' THEN format('"%s" is not a delivery_lane', p_lane)
        WHEN 'iu_event_severity' THEN format('"%s" is not an event_severity', p_severity)
        WHEN 'iu_event_classification' THEN format('"%s" is not a payload_classification', p_classification)
        WHEN 'iu_event_payload_object' THEN 'safe_payload is not an object'
        WHEN 'iu_event_payload_key' THEN 'safe_payload has a forbidden key: one of body, content, raw, vector, '
          'embedding, secret, token, password, ssn, personal_data'
        WHEN 'iu_event_payload_key_form' THEN format('a key of safe_payload cannot be read: %s',
          iu_core.key_problem(p_payload))
        ELSE 'idempotency_key does not have 1 to 200 characters' END),
      DETAIL = format('Domain: %s; stream: %s; lane: %s; severity: %s; classification: %s.',
                      p_domain, p_stream, p_lane, p_severity, p_classification),
      TABLE = 'event_outbox', CONSTRAINT = v_refusal;
  END IF;
  RETURN true;
END
$function$;
COMMENT ON FUNCTION iu.fn_event_outbox_check IS
  'The CHECK of event_outbox: true, or SQLSTATE 23514 saying what is wrong: a domain that is not 1 to 63 small '
  'letters, digits and "_", another word that is not in its vocabulary (stream, lane, severity, classification), a '
  'payload that is not an object, has a top-level key of the denylist or, at whatever depth, a key that breaks the '
  'rule for texts (iu_core.key_problem), an idempotency key that does not have 1 to 200 characters.';

CREATE FUNCTION iu.fn_event_emitter() RETURNS name
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN coalesce(pg_get_userbyid(iu_core.caller()), session_user);
COMMENT ON FUNCTION iu.fn_event_emitter IS
  'Who emits, as iu_core.caller() has it: the role of SET ROLE, otherwise the one that logged in, whichever function '
  'with the rights of another one the call comes from; within a function that a route calls, its owner. Raises '
  'nothing.';

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
  event_seq              bigint      NOT NULL,
  emitted_xid            xid8        NOT NULL,
  idempotency_key        text,
  emitter_role           name        NOT NULL,
  CONSTRAINT event_outbox_row_chk CHECK (iu.fn_event_outbox_check(event_domain, event_stream, delivery_lane,
    event_severity, payload_classification, safe_payload, idempotency_key))
);
CREATE SEQUENCE public.event_outbox_number OWNED BY public.event_outbox.event_seq;
COMMENT ON SEQUENCE public.event_outbox_number IS 'Gives event_seq.';
COMMENT ON TABLE public.event_outbox IS
  'What happened, one row an event, never changed. A subject may have the same event many times; whoever needs at '
  'most one gives an idempotency_key.';
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
COMMENT ON COLUMN public.event_outbox.occurred_at IS
  'When it happened, years 1 to 9999; start of the transaction unless told otherwise';
COMMENT ON COLUMN public.event_outbox.created_at IS 'Start of the transaction that emitted it';
COMMENT ON COLUMN public.event_outbox.idempotency_key IS
  'At most one event of a key of its emitter, 1 to 200 characters; NULL: no limit';
COMMENT ON COLUMN public.event_outbox.emitter_role IS
  'The role that emitted it, by its name then: an idempotency key is one of this role''s, and of no other''s';
COMMENT ON COLUMN public.event_outbox.event_seq IS
  'Order of emission; set on insert, whatever is given. Gaps are normal, and commits happen in another order.';
COMMENT ON COLUMN public.event_outbox.emitted_xid IS
  'The transaction that wrote the event here: deliveries follow commits by it. Set on insert, whatever is given; 2, '
  'which precedes every transaction, where a subscription brought the event, which is history here. Means something '
  'only in the database where it was written.';
COMMENT ON COLUMN public.event_outbox.safe_payload IS
  'Metadata only: an object without the top-level keys body, content, raw, vector, embedding, secret, token, '
  'password, ssn, personal_data, at most 256 kB as text: what is waiting must fit a sender''s memory.';
COMMENT ON COLUMN public.event_outbox.payload_classification IS
  'safe_metadata or restricted. A restricted event never leaves the server by HTTP.';
CREATE UNIQUE INDEX event_outbox_idempotency_key ON public.event_outbox (idempotency_key, emitter_role)
  WHERE idempotency_key IS NOT NULL;
CREATE INDEX event_outbox_type_seq ON public.event_outbox (event_domain, event_type, event_seq);
CREATE INDEX event_outbox_xid ON public.event_outbox (emitted_xid, event_seq) WHERE emitted_xid <> '2';
CREATE INDEX event_outbox_type_xid ON public.event_outbox (event_domain, event_type, emitted_xid, event_seq);
COMMENT ON INDEX public.event_outbox_idempotency_key IS 'At most one event of a key of an emitter.';
COMMENT ON INDEX public.event_outbox_type_seq IS 'What a route reads, in order.';
COMMENT ON INDEX public.event_outbox_type_xid IS
  'Of what was committed since a snapshot, the events of one type: a route passes no others.';
-- Who asks for one type must not get here, whatever statistics say: a route would
-- read what a large transaction wrote of all other types. So the index is for those
-- who write its condition out, which is true of whatever a snapshot is asked for.
COMMENT ON INDEX public.event_outbox_xid IS
  'What was committed since a snapshot, of all types, late commits included; not what came with a restore (2).';

-- Whatever way a row takes into the outbox, the server says where it stands in it:
-- with a number or a transaction of another database it would never be found, or
-- found for another. What a subscription brings was another database's to
-- deliver, and is history here: no transaction is awaited for it, its type need
-- not be known, and what is here already does not stop the subscription.
--
-- The trigger function is STABLE: it reads the registry by the snapshot of the
-- INSERT, so that an emitter that found the type active is not contradicted a
-- moment later. Sizes are checked here and not in a CHECK, since a CHECK is parsed
-- anew for every INSERT.
CREATE FUNCTION iu.fn_event_is_known(p_id uuid, p_idempotency_key text, p_emitter_role name) RETURNS boolean
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM public.event_outbox o WHERE o.id = p_id)
  OR EXISTS (SELECT FROM public.event_outbox o WHERE o.idempotency_key = p_idempotency_key
              AND o.emitter_role = p_emitter_role);
COMMENT ON FUNCTION iu.fn_event_is_known IS
  'For the trigger of event_outbox: whether an event of this id, or of this idempotency key (NULL: none) of this '
  'emitter, is in the outbox.';

CREATE FUNCTION iu.fn_event_type_validate() RETURNS trigger
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_name    text;
  v_type    record;
  v_refusal text := CASE
    WHEN pg_column_size(NEW.safe_payload) > 1048576 OR octet_length(NEW.safe_payload::text) > 262144
      THEN 'iu_event_payload_size'
    WHEN octet_length(concat(NEW.event_subject_table, NEW.event_subject_ref, NEW.source_system, NEW.canonical_address,
           NEW.actor_ref, NEW.correlation_id)) > 16384
      THEN 'iu_event_text_size'
    WHEN NEW.occurred_at < '0001-01-01 00:00:00+00' OR NEW.occurred_at >= '9999-12-31 00:00:00+00'
      THEN 'iu_event_time' END;
BEGIN
  NEW.event_seq := nextval('public.event_outbox_number');
  IF iu_core.is_replicated() THEN
    NEW.emitted_xid := '2';
    IF iu.fn_event_is_known(NEW.id, NEW.idempotency_key, NEW.emitter_role) THEN
      RETURN NULL;
    END IF;
    RETURN NEW;
  END IF;
  NEW.emitted_xid := pg_current_xact_id();
  NEW.emitter_role := iu.fn_event_emitter();
  NEW.created_at := least(NEW.created_at, now());
  SELECT r.event_stream, r.delivery_lane, r.active INTO v_type
    FROM public.event_type_registry r
   WHERE r.event_domain = NEW.event_domain AND r.event_type = NEW.event_type;
  IF FOUND AND v_refusal IS NULL AND v_type.active AND NEW.event_stream = v_type.event_stream
     AND NEW.delivery_lane = v_type.delivery_lane THEN
    RETURN NEW;
  END IF;

  v_name := NEW.event_domain || '.' || NEW.event_type;
  IF v_refusal IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = format('event "%s" cannot be delivered: %s', v_name, CASE v_refusal
        WHEN 'iu_event_payload_size' THEN 'its payload is larger than 256 kB'
        WHEN 'iu_event_text_size' THEN 'its texts are longer than 16 kB together'
        ELSE 'its occurred_at is not in the years 1 to 9999' END),
      DETAIL = format('Event type: %s.', v_name),
      HINT = 'An event carries metadata; documents stay where they are, and the event names them.',
      CONSTRAINT = v_refusal;
  ELSIF v_type IS NULL THEN
    RAISE check_violation USING
      MESSAGE = format('event type "%s" is not registered', v_name),
      DETAIL = format('Event type: %s.', v_name),
      HINT = 'A migration registers it, or an administrator with fn_iu_event_type_register.',
      CONSTRAINT = 'iu_event_type_unknown';
  ELSIF NOT v_type.active THEN
    RAISE check_violation USING
      MESSAGE = format('event type "%s" is not active', v_name),
      DETAIL = format('Event type: %s.', v_name), CONSTRAINT = 'iu_event_type_inactive';
  END IF;
  RAISE check_violation USING
    MESSAGE = format('event type "%s" belongs to stream %s, lane %s',
                     v_name, v_type.event_stream, v_type.delivery_lane),
    DETAIL = format('The row says stream %s, lane %s.', NEW.event_stream, NEW.delivery_lane),
    CONSTRAINT = 'iu_event_type_stream_and_lane';
END
$function$;
COMMENT ON FUNCTION iu.fn_event_type_validate IS
  'Trigger of event_outbox: sets event_seq, emitted_xid and emitter_role, whatever is given, and lets created_at be no '
  'later than now. The type must be registered and '
  'active, the row''s stream and lane the registry''s, the payload at most 256 kB, the other texts at most 16 kB '
  'together, occurred_at in the years 1 to 9999, so that no event stops a sender. SQLSTATE 23514 otherwise. What a '
  'subscription brings is taken as it is, as history, unless it is there already.';

CREATE TRIGGER trg_event_outbox_type_validate BEFORE INSERT ON public.event_outbox
  FOR EACH ROW EXECUTE FUNCTION iu.fn_event_type_validate();
ALTER TABLE public.event_outbox ENABLE ALWAYS TRIGGER trg_event_outbox_type_validate;
COMMENT ON TRIGGER trg_event_outbox_type_validate ON public.event_outbox IS
  'Numbers and stamps; refuses what the registry does not know and what no sender could carry.';

CREATE TRIGGER trg_0_subscription BEFORE UPDATE OR DELETE ON public.event_outbox
  FOR EACH ROW EXECUTE FUNCTION iu_core.leave_out_replicated();
ALTER TABLE public.event_outbox ENABLE REPLICA TRIGGER trg_0_subscription;
COMMENT ON TRIGGER trg_0_subscription ON public.event_outbox IS
  'Leaves out what a subscription changes: it brings events, and takes none away.';

CREATE TRIGGER trg_event_outbox_wake AFTER INSERT ON public.event_outbox
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.wake_sender();
ALTER TABLE public.event_outbox ENABLE ALWAYS TRIGGER trg_event_outbox_wake;
COMMENT ON TRIGGER trg_event_outbox_wake ON public.event_outbox IS
  'Wakes this database''s senders when the transaction commits.';
