-- 013 event reading: who wants to know of which events, and who has read them;
-- events of pieces, with a gate of their own, and events of collections.
--
-- Reading is beside delivery: a read mark says that somebody took note of an
-- event, nothing more, and the outbox row is never changed by it.

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
  'Who has read which event: one row a reader and event, written by fn_event_mark_read. That actors have read '
  'their own events needs no row: see v_event_read.';
COMMENT ON COLUMN public.event_read.event_id IS 'The event';
COMMENT ON COLUMN public.event_read.reader_ref IS
  'Who, in the words of actor_ref and subscriber_ref, 1 to 200 characters';
COMMENT ON COLUMN public.event_read.read_at IS 'When, by the clock';
COMMENT ON COLUMN public.event_read.read_status_source IS
  'explicit: somebody said so; implicit_self: of one''s own event';
COMMENT ON INDEX public.event_read_event IS 'Who has read an event.';

CREATE VIEW public.v_event_read AS
  SELECT r.event_id, r.reader_ref, r.read_at, r.read_status_source FROM public.event_read r
  UNION ALL
  SELECT e.id, e.actor_ref, e.created_at, 'implicit_self' FROM public.event_outbox e
   WHERE e.actor_ref IS NOT NULL
     AND NOT EXISTS (SELECT FROM public.event_read r WHERE r.event_id = e.id AND r.reader_ref = e.actor_ref);
COMMENT ON VIEW public.v_event_read IS
  'Who has read which event: the rows of event_read, and every actor their own events (implicit_self), for which '
  'no row is written, so that emitting costs nothing for it.';

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
COMMENT ON TABLE public.event_subscription IS 'Who wants to read which events, from created_at on.';
COMMENT ON COLUMN public.event_subscription.id IS 'Identifies the subscription';
COMMENT ON COLUMN public.event_subscription.subscriber_ref IS
  'Who, e.g. role:health_owner or agency:sysop; what fn_event_unread is asked for';
COMMENT ON COLUMN public.event_subscription.event_domain IS 'Events of this domain';
COMMENT ON COLUMN public.event_subscription.event_type IS 'of this type; NULL: of every type';
COMMENT ON COLUMN public.event_subscription.event_stream IS 'in this stream; NULL: in every stream';
COMMENT ON COLUMN public.event_subscription.active IS 'false: paused';
COMMENT ON COLUMN public.event_subscription.created_at IS
  'Start of the transaction that made it; older events are not unread';

INSERT INTO public.event_subscription (subscriber_ref, event_domain, event_type, event_stream) VALUES
  ('agency:sysop',          'system',     NULL, 'alert'),
  ('role:health_owner',     'health',     NULL, NULL),
  ('role:governance_owner', 'governance', NULL, NULL);

CREATE FUNCTION iu.fn_event_mark_read(p_event_id uuid, p_reader_ref text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF iu_core.text_problem(p_reader_ref, false) IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = 'p_reader_ref does not have 1 to 200 characters',
      DETAIL = format('It is %s.', iu_core.text_shown(p_reader_ref)),
      HINT = 'Say who read the event.', CONSTRAINT = 'iu_event_reader';
  ELSIF NOT EXISTS (SELECT FROM public.event_outbox WHERE id = p_event_id) THEN
    RAISE no_data_found USING
      MESSAGE = format('event %s is not in the outbox', coalesce(p_event_id::text, 'NULL')),
      DETAIL = format('Event: %s.', coalesce(p_event_id::text, 'NULL')),
      CONSTRAINT = 'iu_event_unknown';
  END IF;
  INSERT INTO public.event_read (event_id, reader_ref) VALUES (p_event_id, p_reader_ref) ON CONFLICT DO NOTHING;
  RETURN jsonb_build_object('status', CASE WHEN FOUND THEN 'marked' ELSE 'already_read' END,
    'event_id', p_event_id, 'reader_ref', p_reader_ref);
END
$function$;
COMMENT ON FUNCTION iu.fn_event_mark_read IS
  'What public.fn_event_mark_read hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_event_mark_read(p_event_id uuid, p_reader_ref text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer}') THEN
  iu.fn_event_mark_read(p_event_id, p_reader_ref) END;
COMMENT ON FUNCTION public.fn_event_mark_read IS
  'Notes that a reader has read an event. Returns {status: marked | already_read, event_id, reader_ref}. SQLSTATE '
  '23514: no reader, or one of more than 200 characters; P0002: unknown event.';

-- The events are looked for type by type, so that each is one walk along the index
-- of the outbox.
CREATE FUNCTION public.fn_event_unread(p_reader_ref text, p_limit integer DEFAULT 100) RETURNS SETOF public.event_outbox
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT u.* FROM (
      SELECT r.event_domain, r.event_type, min(s.created_at) AS since
        FROM public.event_subscription s
        JOIN public.event_type_registry r ON r.event_domain = s.event_domain
         AND r.event_type = coalesce(s.event_type, r.event_type)
         AND r.event_stream = coalesce(s.event_stream, r.event_stream)
       WHERE s.subscriber_ref = p_reader_ref AND s.active GROUP BY 1, 2) AS t
    CROSS JOIN LATERAL (
      SELECT e.* FROM public.event_outbox e
       WHERE e.event_domain = t.event_domain AND e.event_type = t.event_type AND e.created_at >= t.since
         AND e.actor_ref IS DISTINCT FROM p_reader_ref
         AND NOT EXISTS (SELECT FROM public.event_read x WHERE x.reader_ref = p_reader_ref AND x.event_id = e.id)
       ORDER BY e.event_seq LIMIT p_limit) AS u
   ORDER BY u.event_seq LIMIT p_limit;
END;
COMMENT ON FUNCTION public.fn_event_unread IS
  'The events that a reader subscribed to and has not read, oldest first: reader as in subscriber_ref, how many '
  'at most (100; NULL: all). Leaves out what the reader did as an actor, what fn_event_mark_read noted, and what '
  'is older than the subscription. Raises nothing of its own.';

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
  'For events that will be computed later than what they tell of. Nothing writes it yet: a type of lane delayed is '
  'emitted into the outbox like any other.';
COMMENT ON COLUMN public.event_pending.id IS 'Identifies the row';
COMMENT ON COLUMN public.event_pending.event_domain IS 'With event_type: what would be emitted';
COMMENT ON COLUMN public.event_pending.event_type IS 'With event_domain: what would be emitted';
COMMENT ON COLUMN public.event_pending.entity_table IS 'Table of what it is about';
COMMENT ON COLUMN public.event_pending.entity_ref IS 'Key of what it is about';
COMMENT ON COLUMN public.event_pending.safe_payload IS 'Metadata, an object';
COMMENT ON COLUMN public.event_pending.error_count IS 'How often computing it failed';
COMMENT ON COLUMN public.event_pending.last_error IS 'The last failure, in words';
COMMENT ON COLUMN public.event_pending.created_at IS 'Start of the transaction that put it here';
