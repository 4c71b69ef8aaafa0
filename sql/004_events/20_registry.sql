-- The registry of event types. Ours come with migrations; those of the
-- platform around us are registered by an administrator, in domains of its own.

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
  CONSTRAINT event_type_registry_domain_chk CHECK (event_domain ~ '^[a-z][a-z0-9_]{0,62}$'),
  CONSTRAINT event_type_registry_type_chk CHECK (event_type ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$'),
  CONSTRAINT event_type_registry_stream_chk CHECK (event_stream IN
    ('comment', 'review', 'update', 'birth', 'task', 'alert', 'health')),
  CONSTRAINT event_type_registry_lane_chk CHECK (delivery_lane IN ('immediate', 'delayed')),
  CONSTRAINT event_type_registry_severity_chk CHECK (default_severity IN ('info', 'warning', 'critical'))
);
COMMENT ON TABLE public.event_type_registry IS
  'The event types that may be emitted. An unknown or inactive type is not written to the outbox. Those of the '
  'platform are registered with fn_iu_event_type_register.';
COMMENT ON COLUMN public.event_type_registry.event_domain IS
  'Who knows of the subject, e.g. iu: one of the product''s domains, or one of the platform''s';
COMMENT ON COLUMN public.event_type_registry.event_type IS 'Name within the domain';
COMMENT ON COLUMN public.event_type_registry.event_stream IS
  'comment, review, update, birth, task, alert or health';
COMMENT ON COLUMN public.event_type_registry.default_severity IS
  'info, warning or critical: what an emitter writes';
COMMENT ON COLUMN public.event_type_registry.description IS 'What happened when it is emitted';
COMMENT ON COLUMN public.event_type_registry.active IS
  'false: no longer emitted; what was emitted is still delivered';
COMMENT ON COLUMN public.event_type_registry.created_at IS 'Start of the transaction that registered it';
COMMENT ON COLUMN public.event_type_registry.delivery_lane IS
  'immediate or delayed. Both are delivered alike; neither limits how often a subject has an event.';

-- The domain is checked by a trigger and not by a CHECK, since that reads the register
-- of governed objects, whose rows a restore may bring later than those of this table.
CREATE FUNCTION iu.fn_event_type_registry_domain() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NEW.event_domain NOT IN ('iu', 'piece', 'staging', 'system', 'birth_registry', 'governance', 'tac', 'kg', 'dot',
                              'health', 'mother')
     AND NOT EXISTS (SELECT FROM public.iu_governed_object g
                      WHERE g.object_class = 'event_type' AND g.theirs
                        AND g.object_name = NEW.event_domain || '.' || NEW.event_type) THEN
    RAISE check_violation USING
      MESSAGE = format('event domain "%s" is not one of the product, and not registered as the platform''s',
                       NEW.event_domain),
      DETAIL = format('Domain: %s.', NEW.event_domain),
      HINT = 'An administrator registers an event type with fn_iu_event_type_register.',
      CONSTRAINT = 'iu_event_domain_unknown', TABLE = 'event_type_registry';
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_event_type_registry_domain IS
  'Trigger of event_type_registry: SQLSTATE 23514 for a domain that is neither the product''s nor that of a type '
  'which is registered as the platform''s.';

CREATE TRIGGER trg_event_type_registry_domain BEFORE INSERT OR UPDATE ON public.event_type_registry
  FOR EACH ROW EXECUTE FUNCTION iu.fn_event_type_registry_domain();
COMMENT ON TRIGGER trg_event_type_registry_domain ON public.event_type_registry IS
  'A domain is the product''s, or the platform''s by registration.';

INSERT INTO public.event_type_registry
  (event_domain, event_type, event_stream, delivery_lane, default_severity, description) VALUES
  ('iu', 'version_applied',             'update', 'immediate', 'info', 'a further version of a unit was applied'),
  ('iu', 'structure_op_applied',        'update', 'immediate', 'info', 'a structure operation was applied'),
  ('iu', 'structure_child_added',       'update', 'immediate', 'info', 'a unit got a child'),
  ('iu', 'structure_piece_split',       'update', 'immediate', 'info', 'a unit was split by a structure operation'),
  ('iu', 'structure_pieces_merged',     'update', 'immediate', 'info', 'units were merged by a structure operation'),
  ('iu', 'structure_piece_deprecated',  'update', 'immediate', 'info',
   'a unit was deprecated by a structure operation'),
  ('iu', 'structure_piece_replaced',    'update', 'immediate', 'info', 'a unit was replaced by a structure operation'),
  ('iu', 'collection_created',          'update', 'delayed',   'info', 'a collection was created'),
  ('iu', 'piece_added_to_collection',   'update', 'delayed',   'info', 'a piece was added to a collection'),
  ('iu', 'piece_removed_from_collection', 'update', 'delayed', 'info', 'a piece was removed from a collection'),
  ('iu', 'piece_reordered',             'update', 'delayed',   'info', 'a piece changed its place in a collection'),
  ('iu', 'collection_rendered',         'update', 'delayed',   'info', 'a collection was rendered'),
  ('iu', 'collection_validated',        'update', 'delayed',   'info', 'a collection was validated'),
  ('iu', 'collection_exported',         'update', 'delayed',   'info', 'a collection was exported'),
  ('iu', 'collection_import_proposed',  'update', 'delayed',   'info', 'an import into a collection was proposed');
