-- 013 event reading: who wants to know of which events, and who has read them;
-- events of pieces, with a gate of their own, and events of collections.
--
-- Reading is beside delivery: a read mark says that somebody took note of an
-- event, nothing more, and the outbox row is never changed by it.

SELECT iu_core.guard_absent('table', 'event_read', 'event_subscription', 'event_pending');
SELECT iu_core.guard_absent('view', 'v_event_read', 'v_piece_event_outbox');
SELECT iu_core.guard_absent('function', 'fn_event_mark_read(uuid,text)', 'fn_event_unread(text,integer)',
  'fn_iu_piece_emit_event(text,text,uuid,text,jsonb,text,text)', 'fn_iu_emit_collection_event(text,uuid,text,jsonb,text,text)',
  'fn_iu_piece_event_runtime_healthcheck()');
SELECT iu_core.guard_absent('config', 'piece_event_runtime.emit_enabled', 'piece_event_runtime.dry_run_only');
SELECT iu_core.guard_absent('event_type', 'piece.created', 'piece.updated', 'piece.split', 'piece.merged', 'piece.retired',
  'piece.superseded');

DO $guard$
BEGIN
  IF to_regprocedure('public.fn_event_put(text, text, text, text, uuid, text, jsonb, text, text)') IS NULL
     OR to_regprocedure('public.fn_iu_gate_register(integer, text, text, text)') IS NULL THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'migration 013 needs migrations 003 and 004';
  END IF;
END
$guard$;

-- Read marks -----------------------------------------------------------------

CREATE TABLE public.event_read (
  event_id           uuid        NOT NULL REFERENCES public.event_outbox (id) ON DELETE CASCADE,
  reader_ref         text        NOT NULL,
  read_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
  read_status_source text        NOT NULL DEFAULT 'explicit',
  PRIMARY KEY (reader_ref, event_id),
  CONSTRAINT event_read_reader_chk CHECK (btrim(reader_ref) <> '' AND length(reader_ref) <= 200),
  CONSTRAINT event_read_source_chk CHECK (read_status_source IN ('explicit', 'implicit_self'))
);
CREATE INDEX event_read_event ON public.event_read (event_id);
COMMENT ON TABLE public.event_read IS
  'Who has read which event: one row a reader and event, written by fn_event_mark_read. That actors have read their own events needs no row: see v_event_read. (facts-events 1.3)';
COMMENT ON COLUMN public.event_read.event_id IS 'The event';
COMMENT ON COLUMN public.event_read.reader_ref IS 'Who, in the words of actor_ref and subscriber_ref, 1 to 200 characters';
COMMENT ON COLUMN public.event_read.read_at IS 'When, by the clock';
COMMENT ON COLUMN public.event_read.read_status_source IS 'explicit: somebody said so; implicit_self: of one''s own event';
COMMENT ON INDEX public.event_read_event IS 'Who has read an event.';

CREATE VIEW public.v_event_read AS
  SELECT r.event_id, r.reader_ref, r.read_at, r.read_status_source FROM public.event_read r
  UNION ALL
  SELECT e.id, e.actor_ref, e.created_at, 'implicit_self' FROM public.event_outbox e
   WHERE e.actor_ref IS NOT NULL
     AND NOT EXISTS (SELECT FROM public.event_read r WHERE r.event_id = e.id AND r.reader_ref = e.actor_ref);
COMMENT ON VIEW public.v_event_read IS
  'Who has read which event: the rows of event_read, and every actor their own events (implicit_self), for which no row is written, so that emitting costs nothing for it. (facts-events 1.3)';

CREATE TABLE public.event_subscription (
  id             uuid        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
  subscriber_ref text        NOT NULL,
  event_domain   text        NOT NULL,
  event_type     text,
  event_stream   text,
  active         boolean     NOT NULL DEFAULT true,
  created_at     timestamptz NOT NULL DEFAULT now(),
  UNIQUE NULLS NOT DISTINCT (subscriber_ref, event_domain, event_type, event_stream),
  CONSTRAINT event_subscription_subscriber_chk CHECK (btrim(subscriber_ref) <> '' AND length(subscriber_ref) <= 200)
);
COMMENT ON TABLE public.event_subscription IS
  'Who wants to read which events, from created_at on. (facts-events 1.3)';
COMMENT ON COLUMN public.event_subscription.id IS 'Identifies the subscription';
COMMENT ON COLUMN public.event_subscription.subscriber_ref IS 'Who, e.g. role:health_owner or agency:sysop; what fn_event_unread is asked for';
COMMENT ON COLUMN public.event_subscription.event_domain IS 'Events of this domain';
COMMENT ON COLUMN public.event_subscription.event_type IS 'of this type; NULL: of every type';
COMMENT ON COLUMN public.event_subscription.event_stream IS 'in this stream; NULL: in every stream';
COMMENT ON COLUMN public.event_subscription.active IS 'false: paused';
COMMENT ON COLUMN public.event_subscription.created_at IS 'Start of the transaction that made it; older events are not unread';

INSERT INTO public.event_subscription (subscriber_ref, event_domain, event_type, event_stream) VALUES
  ('agency:sysop',          'system',     NULL, 'alert'),
  ('role:health_owner',     'health',     NULL, NULL),
  ('role:governance_owner', 'governance', NULL, NULL);

CREATE FUNCTION public.fn_event_mark_read(p_event_id uuid, p_reader_ref text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF coalesce(btrim(p_reader_ref), '') = '' OR length(p_reader_ref) > 200 THEN
    RAISE EXCEPTION 'somebody reads an event: p_reader_ref has 1 to 200 characters' USING ERRCODE = 'check_violation';
  ELSIF NOT EXISTS (SELECT FROM public.event_outbox WHERE id = p_event_id) THEN
    RAISE EXCEPTION 'event % is not in the outbox', coalesce(p_event_id::text, 'NULL') USING ERRCODE = 'no_data_found';
  END IF;
  INSERT INTO public.event_read (event_id, reader_ref) VALUES (p_event_id, p_reader_ref) ON CONFLICT DO NOTHING;
  RETURN jsonb_build_object('status', CASE WHEN FOUND THEN 'marked' ELSE 'already_read' END,
    'event_id', p_event_id, 'reader_ref', p_reader_ref);
END
$function$;
COMMENT ON FUNCTION public.fn_event_mark_read(uuid, text) IS
  'Notes that a reader has read an event. Returns {status: marked | already_read, event_id, reader_ref}. SQLSTATE 23514: no reader, or one of more than 200 characters; P0002: unknown event. (facts-events 1.3)';

-- By type, so that each is one walk along the index of the outbox.
CREATE FUNCTION public.fn_event_unread(p_reader_ref text, p_limit integer DEFAULT 100) RETURNS SETOF public.event_outbox
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT u.* FROM (
      SELECT r.event_domain, r.event_type, min(s.created_at) AS since
        FROM public.event_subscription s
        JOIN public.event_type_registry r ON r.event_domain = s.event_domain
         AND r.event_type = coalesce(s.event_type, r.event_type) AND r.event_stream = coalesce(s.event_stream, r.event_stream)
       WHERE s.subscriber_ref = p_reader_ref AND s.active GROUP BY 1, 2) AS t
    CROSS JOIN LATERAL (
      SELECT e.* FROM public.event_outbox e
       WHERE e.event_domain = t.event_domain AND e.event_type = t.event_type AND e.created_at >= t.since
         AND e.actor_ref IS DISTINCT FROM p_reader_ref
         AND NOT EXISTS (SELECT FROM public.event_read x WHERE x.reader_ref = p_reader_ref AND x.event_id = e.id)
       ORDER BY e.event_seq LIMIT p_limit) AS u
   ORDER BY u.event_seq LIMIT p_limit;
END;
COMMENT ON FUNCTION public.fn_event_unread(text, integer) IS
  'The events that a reader subscribed to and has not read, oldest first: reader as in subscriber_ref, how many at most (100; NULL: all). Leaves out what the reader did as an actor, what fn_event_mark_read noted, and what is older than the subscription. Raises nothing of its own. (facts-events 1.3)';

CREATE TABLE public.event_pending (
  id           uuid        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
  event_domain text        NOT NULL,
  event_type   text        NOT NULL,
  entity_table text        NOT NULL,
  entity_ref   text        NOT NULL,
  safe_payload jsonb       NOT NULL DEFAULT '{}',
  error_count  integer     NOT NULL DEFAULT 0,
  last_error   text,
  created_at   timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (event_domain, event_type) REFERENCES public.event_type_registry (event_domain, event_type),
  CONSTRAINT event_pending_payload_chk CHECK (jsonb_typeof(safe_payload) = 'object'),
  CONSTRAINT event_pending_error_chk CHECK (error_count >= 0)
);
COMMENT ON TABLE public.event_pending IS
  'The seam for a delayed lane that computes its events later. Nothing writes it yet: a type of lane delayed is emitted into the outbox like any other. (facts-events 1.3)';
COMMENT ON COLUMN public.event_pending.id IS 'Identifies the row';
COMMENT ON COLUMN public.event_pending.event_domain IS 'With event_type: what would be emitted';
COMMENT ON COLUMN public.event_pending.event_type IS 'With event_domain: what would be emitted';
COMMENT ON COLUMN public.event_pending.entity_table IS 'Table of what it is about';
COMMENT ON COLUMN public.event_pending.entity_ref IS 'Key of what it is about';
COMMENT ON COLUMN public.event_pending.safe_payload IS 'Metadata, an object';
COMMENT ON COLUMN public.event_pending.error_count IS 'How often computing it failed';
COMMENT ON COLUMN public.event_pending.last_error IS 'The last failure, in words';
COMMENT ON COLUMN public.event_pending.created_at IS 'Start of the transaction that put it here';

-- Events of pieces and collections ---------------------------------------------

INSERT INTO public.event_type_registry
  (event_domain, event_type, event_stream, delivery_lane, default_severity, description) VALUES
  ('piece', 'created',    'birth',  'immediate', 'info', 'a piece came into being'),
  ('piece', 'updated',    'update', 'immediate', 'info', 'a piece was changed'),
  ('piece', 'split',      'update', 'immediate', 'info', 'a piece was split'),
  ('piece', 'merged',     'update', 'immediate', 'info', 'pieces were merged'),
  ('piece', 'retired',    'update', 'immediate', 'info', 'a piece was retired'),
  ('piece', 'superseded', 'update', 'immediate', 'info', 'a piece was superseded by another');

SELECT public.fn_iu_gate_register(13, 'piece_event_runtime.emit_enabled', 'governable', 'Emitting events of pieces');
INSERT INTO public.dot_config (key, value, description) VALUES
  ('piece_event_runtime.dry_run_only', 'true', 'switch: on, events of pieces are marked emit_mode dry_run');
INSERT INTO public.iu_switch_registry (switch_key, meaning) VALUES
  ('piece_event_runtime.dry_run_only', 'off: events of pieces are marked emit_mode live');

CREATE FUNCTION public.fn_iu_piece_emit_event(
    p_event_type text, p_canonical_address text, p_subject_ref uuid, p_actor_ref text,
    p_safe_payload jsonb DEFAULT '{}', p_idempotency_key text DEFAULT NULL, p_correlation_id text DEFAULT NULL)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT public.fn_iu_core_routes_enabled() OR NOT iu_core.gate_is_open('piece_event_runtime.emit_enabled') THEN
    RETURN NULL;
  END IF;
  RETURN public.fn_event_put('piece', 'information_unit', p_event_type, p_canonical_address, p_subject_ref, p_actor_ref,
    coalesce(p_safe_payload, '{}') || jsonb_build_object('emit_mode', CASE
      WHEN EXISTS (SELECT FROM public.dot_config c WHERE c.key = 'piece_event_runtime.dry_run_only' AND c.value = 'false')
      THEN 'live' ELSE 'dry_run' END),
    p_idempotency_key, p_correlation_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_piece_emit_event(text, text, uuid, text, jsonb, text, text) IS
  'Writes one event of domain piece, as fn_iu_emit_event does of domain iu. NULL, without an error, while the master switch is off, the gate piece_event_runtime.emit_enabled is closed, or the type is unknown or inactive, asked in this order. Adds safe_payload.emit_mode: live while the switch piece_event_runtime.dry_run_only is off, else dry_run, also where its row is missing. Errors: as fn_iu_emit_event. (seed 4 A3; facts-events 1.4)';

CREATE FUNCTION public.fn_iu_emit_collection_event(
    p_event_type text, p_collection_id uuid, p_actor_ref text, p_safe_payload jsonb DEFAULT '{}',
    p_idempotency_key text DEFAULT NULL, p_correlation_id text DEFAULT NULL)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN public.fn_event_put('iu', 'iu_piece_collection', p_event_type, NULL, p_collection_id, p_actor_ref, p_safe_payload,
    p_idempotency_key, p_correlation_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_emit_collection_event(text, uuid, text, jsonb, text, text) IS
  'Writes one event of domain iu about a collection, by the contract of fn_iu_emit_event: NULL, without an error, while the master switch is off and for an unknown or inactive type. Subject: iu_piece_collection and the collection''s id. Errors: as fn_iu_emit_event. (facts-events 1.4)';

CREATE VIEW public.v_piece_event_outbox AS
  SELECT * FROM public.event_outbox WHERE event_domain = 'piece';
COMMENT ON VIEW public.v_piece_event_outbox IS 'The events of domain piece. (facts-events 1.4)';

CREATE FUNCTION public.fn_iu_piece_event_runtime_healthcheck() RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT jsonb_build_object('surface', 'piece_event_runtime', 'ok', p.view_exists AND p.fn_emit_exists AND p.gate_keys = 2
             AND p.types = 6 AND (p.log IS NULL OR p.trigger_exists),
           'view_exists', p.view_exists, 'fn_emit_exists', p.fn_emit_exists, 'fn_trg_exists', p.fn_trg_exists,
           'trigger_exists', p.trigger_exists, 'gate_keys', p.gate_keys, 'piece_event_types_active', p.types,
           'emit_enabled', iu_core.gate_is_open('piece_event_runtime.emit_enabled'), 'dry_run_only', p.dry_run_only)
    FROM (SELECT to_regclass('public.v_piece_event_outbox') IS NOT NULL AS view_exists,
                 to_regprocedure('public.fn_iu_piece_emit_event(text,text,uuid,text,jsonb,text,text)') IS NOT NULL AS fn_emit_exists,
                 to_regprocedure('public.fn_iu_lifecycle_log_emit_piece_event_trg()') IS NOT NULL AS fn_trg_exists,
                 EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = to_regclass('public.iu_lifecycle_log')
                            AND t.tgname = 'trg_iu_lifecycle_log_emit_piece_event' AND t.tgenabled <> 'D') AS trigger_exists,
                 to_regclass('public.iu_lifecycle_log') AS log,
                 (SELECT count(*) FROM public.dot_config c
                   WHERE c.key IN ('piece_event_runtime.emit_enabled', 'piece_event_runtime.dry_run_only')) AS gate_keys,
                 (SELECT count(*) FROM public.event_type_registry r WHERE r.event_domain = 'piece' AND r.active) AS types,
                 NOT EXISTS (SELECT FROM public.dot_config c WHERE c.key = 'piece_event_runtime.dry_run_only'
                                AND c.value = 'false') AS dry_run_only) AS p
$function$;
COMMENT ON FUNCTION public.fn_iu_piece_event_runtime_healthcheck() IS
  'Whether events of pieces can be emitted at all: {surface, ok, view_exists, fn_emit_exists, fn_trg_exists, trigger_exists, gate_keys (2), piece_event_types_active (6), emit_enabled, dry_run_only}. ok also where gate and switch are off, and, before the lifecycle log is there, without its trigger. Raises nothing. (facts-events 1.4)';

-- Privileges, registration, post-check ---------------------------------------

GRANT SELECT ON public.event_read, public.event_subscription, public.event_pending, public.v_event_read,
  public.v_piece_event_outbox TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_event_unread(text, integer), public.fn_iu_piece_event_runtime_healthcheck() TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_event_mark_read(uuid, text), public.fn_iu_piece_emit_event(text, text, uuid, text, jsonb, text, text),
  public.fn_iu_emit_collection_event(text, uuid, text, jsonb, text, text) TO iu_core_writer;

SELECT public.fn_iu_govern(13, 'table', 'event_read', 'event_subscription', 'event_pending');
SELECT public.fn_iu_govern(13, 'view', 'v_event_read', 'v_piece_event_outbox');
SELECT public.fn_iu_govern(13, 'function', 'fn_event_mark_read(uuid,text)', 'fn_event_unread(text,integer)',
  'fn_iu_piece_emit_event(text,text,uuid,text,jsonb,text,text)', 'fn_iu_emit_collection_event(text,uuid,text,jsonb,text,text)',
  'fn_iu_piece_event_runtime_healthcheck()');
SELECT public.fn_iu_govern(13, 'config', 'piece_event_runtime.dry_run_only');
SELECT public.fn_iu_govern(13, 'event_type', 'piece.created', 'piece.updated', 'piece.split', 'piece.merged', 'piece.retired',
  'piece.superseded');

SELECT public.fn_iu_conformance_require(13);
