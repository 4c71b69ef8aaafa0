-- 033 auto-instantiate from event: an event makes a collection after a template. One
-- event, one template and one suffix make one collection, however often they are
-- given. This migration brings a table, two views, two functions, a gate and an event
-- type, and nothing else: the bodies of its functions are in public, ask who calls,
-- and call schema iu only.

SELECT iu.fn_iu_gate_register(33, 'iu_core.auto_instantiate_enabled', 'governable',
  'Making collections after templates, live, from events');

-- Nothing emits it.
INSERT INTO public.event_type_registry
  (event_domain, event_type, event_stream, delivery_lane, default_severity, description) VALUES
  ('iu', 'template.instance_auto_composed', 'birth', 'delayed', 'info', 'a collection was made after a template');

CREATE TABLE public.iu_auto_instantiate_event_log (
  instance_collection_id uuid NOT NULL,
  template_collection_id uuid NOT NULL,
  event_id               uuid NOT NULL,
  event_type             text NOT NULL,
  idempotency_key        text NOT NULL,
  emit_mode              text NOT NULL,
  triggered_by           text NOT NULL,
  created_at             timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_auto_instantiate_event_log_pkey PRIMARY KEY (instance_collection_id),
  CONSTRAINT iu_auto_instantiate_event_log_idempotency_key_key UNIQUE (idempotency_key),
  CONSTRAINT iu_auto_instantiate_event_log_instance_fkey FOREIGN KEY (instance_collection_id)
    REFERENCES public.iu_collection_template_instance_lineage (instance_collection_id) ON DELETE CASCADE,
  CONSTRAINT iu_auto_instantiate_event_log_template_fkey FOREIGN KEY (template_collection_id)
    REFERENCES public.iu_piece_collection (id),
  CONSTRAINT iu_auto_instantiate_event_log_emit_mode_chk CHECK (emit_mode IN ('dry_run', 'live'))
);
CREATE INDEX iu_auto_instantiate_event_log_event_idx ON public.iu_auto_instantiate_event_log (event_id);
CREATE INDEX iu_auto_instantiate_event_log_actor_idx ON public.iu_auto_instantiate_event_log (triggered_by);
CREATE INDEX iu_auto_instantiate_event_log_template_idx
  ON public.iu_auto_instantiate_event_log (template_collection_id);
COMMENT ON TABLE public.iu_auto_instantiate_event_log IS
  'Which event made which collection after which template: one row a collection, written by '
  'fn_iu_auto_instantiate_from_event. Nobody has rights to write it; rows go with the lineage of the collection, when '
  'its actor''s are rolled back (fn_iu_auto_instantiate_rollback_by_actor).';
COMMENT ON COLUMN public.iu_auto_instantiate_event_log.instance_collection_id IS 'The collection that was made';
COMMENT ON COLUMN public.iu_auto_instantiate_event_log.template_collection_id IS 'The template';
COMMENT ON COLUMN public.iu_auto_instantiate_event_log.event_id IS
  'The event; no foreign key, since it may be one that is not in the outbox';
COMMENT ON COLUMN public.iu_auto_instantiate_event_log.event_type IS 'Its type, as told by the caller';
COMMENT ON COLUMN public.iu_auto_instantiate_event_log.idempotency_key IS
  'md5(event_id || '':'' || template_collection_id || '':'' || suffix): one collection each';
COMMENT ON COLUMN public.iu_auto_instantiate_event_log.emit_mode IS
  'dry_run or live: a tag; a collection that was made in a dry run is as real as another';
COMMENT ON COLUMN public.iu_auto_instantiate_event_log.triggered_by IS 'Who, as told by the caller';
COMMENT ON COLUMN public.iu_auto_instantiate_event_log.created_at IS 'Start of the transaction that made it';
COMMENT ON INDEX public.iu_auto_instantiate_event_log_event_idx IS 'What an event made.';
COMMENT ON INDEX public.iu_auto_instantiate_event_log_actor_idx IS 'What an actor made.';
COMMENT ON INDEX public.iu_auto_instantiate_event_log_template_idx IS 'What was made after a template.';

CREATE VIEW public.v_iu_auto_instantiate_event_log AS
  SELECT l.instance_collection_id, i.collection_key AS instance_collection_key, l.template_collection_id,
         t.collection_key AS template_collection_key, l.event_id, l.event_type, l.idempotency_key, l.emit_mode,
         l.triggered_by, l.created_at, i.manifest_digest AS instance_manifest_digest,
         t.manifest_digest AS template_manifest_digest,
         i.manifest_digest IS NOT DISTINCT FROM t.manifest_digest AS digest_matches_template
    FROM public.iu_auto_instantiate_event_log l
    JOIN public.iu_piece_collection i ON i.id = l.instance_collection_id
    JOIN public.iu_piece_collection t ON t.id = l.template_collection_id;
COMMENT ON VIEW public.v_iu_auto_instantiate_event_log IS
  'One row for each collection that an event made: the log with the keys of collection and template, and whether the '
  'two have the same order.';

CREATE VIEW public.v_iu_auto_instantiate_event_summary AS
  SELECT t.collection_key AS template_collection_key, l.emit_mode, count(*) AS instance_count,
         count(*) FILTER (WHERE l.created_at > now() - interval '1 hour') AS instances_last_hour,
         count(*) FILTER (WHERE l.created_at > now() - interval '1 day') AS instances_last_day,
         max(l.created_at) AS last_created_at
    FROM public.iu_auto_instantiate_event_log l
    JOIN public.iu_piece_collection t ON t.id = l.template_collection_id
   GROUP BY t.collection_key, l.emit_mode;
COMMENT ON VIEW public.v_iu_auto_instantiate_event_summary IS
  'One row for each template and mode: how many collections events made after it, in all, in the last hour and in the '
  'last 24 hours, and when the last.';
