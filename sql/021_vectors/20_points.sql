-- The points: one row for each that a vector store should have, or had.

CREATE TABLE public.iu_vector_sync_point (
  point_key       text NOT NULL,
  collection_name text NOT NULL,
  source_kind     text NOT NULL,
  source_path     text NOT NULL,
  content_digest  text,
  indexed_digest  text,
  sync_status     text NOT NULL,
  point_count     integer NOT NULL DEFAULT 1,
  unit_id         uuid,
  parent_piece_id uuid,
  chunk_index     integer,
  chunk_count     integer,
  summary_marker  boolean NOT NULL DEFAULT false,
  axis_refs       jsonb NOT NULL DEFAULT '{}',
  point_id        uuid NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  last_actor      text NOT NULL,
  observed_at     timestamptz,
  CONSTRAINT iu_vector_sync_point_pkey PRIMARY KEY (point_key),
  CONSTRAINT iu_vector_sync_point_point_id_key UNIQUE (collection_name, point_id),
  CONSTRAINT iu_vector_sync_point_unit_id_fkey FOREIGN KEY (unit_id)
    REFERENCES public.information_unit (id) ON DELETE RESTRICT,
  CONSTRAINT iu_vector_sync_point_source_kind_chk CHECK (source_kind IN ('iu', 'collection', 'corpus')),
  CONSTRAINT iu_vector_sync_point_sync_status_chk
    CHECK (sync_status IN ('planned', 'dryrun', 'indexed', 'drift', 'disabled')),
  CONSTRAINT iu_vector_sync_point_point_count_chk CHECK (point_count >= 0),
  CONSTRAINT iu_vector_sync_point_axis_refs_chk CHECK (jsonb_typeof(axis_refs) = 'object')
);
-- Not validated: rows that are older than the rule may be restored.
ALTER TABLE public.iu_vector_sync_point ADD CONSTRAINT iu_vector_sync_point_boundary_chk CHECK (
  CASE WHEN source_kind = 'iu'
       THEN unit_id IS NOT NULL AND NOT summary_marker AND coalesce(chunk_index BETWEEN 0 AND chunk_count - 1, false)
       ELSE unit_id IS NULL AND summary_marker END) NOT VALID;
CREATE UNIQUE INDEX iu_vector_sync_point_chunk_key ON public.iu_vector_sync_point
  (collection_name, unit_id, chunk_index) WHERE source_kind = 'iu';
CREATE INDEX iu_vector_sync_point_unit_idx ON public.iu_vector_sync_point (unit_id) WHERE unit_id IS NOT NULL;
CREATE INDEX iu_vector_sync_point_pending_idx ON public.iu_vector_sync_point (collection_name, point_id)
  WHERE sync_status IN ('planned', 'drift') OR sync_status = 'disabled' AND indexed_digest IS NOT NULL;
COMMENT ON TABLE public.iu_vector_sync_point IS
  'The points that a vector store should have, or had, one row each: what is to be there (content_digest) and what an '
  'observation found there (indexed_digest). Written by the ledger of the lifecycle when a unit is enacted or is no '
  'longer, by fn_iu_vector_sync_record and _v2, and by fn_iu_vector_sync_observe, which alone makes one indexed. Rows '
  'stay.';
COMMENT ON COLUMN public.iu_vector_sync_point.point_key IS
  'Identity in words, e.g. iu.<address>#chunk-0000, with @<collection> at its end where another collection had it '
  'first';
COMMENT ON COLUMN public.iu_vector_sync_point.collection_name IS 'The collection of Qdrant that holds the point';
COMMENT ON COLUMN public.iu_vector_sync_point.source_kind IS
  'iu: a chunk of the text of one unit; collection, corpus: a summary of many';
COMMENT ON COLUMN public.iu_vector_sync_point.source_path IS 'Where the text comes from, e.g. information_unit/<id>';
COMMENT ON COLUMN public.iu_vector_sync_point.content_digest IS
  'SHA-256 in hex of the text that the point should stand for; NULL: not known';
COMMENT ON COLUMN public.iu_vector_sync_point.indexed_digest IS
  'content_digest in the payload of the point when it was observed, "" where it has none; NULL: it was not there';
COMMENT ON COLUMN public.iu_vector_sync_point.sync_status IS
  'planned (should be there, and is not), dryrun (recorded by a rehearsal), indexed (observed, with content_digest), '
  'drift (observed, with another digest), disabled (should not be there any more)';
COMMENT ON COLUMN public.iu_vector_sync_point.point_count IS 'How many points of Qdrant the row stands for; 1';
COMMENT ON COLUMN public.iu_vector_sync_point.unit_id IS
  'Of a chunk its unit, which cannot be deleted while the row is there; NULL for summaries';
COMMENT ON COLUMN public.iu_vector_sync_point.parent_piece_id IS 'Free for the platform';
COMMENT ON COLUMN public.iu_vector_sync_point.chunk_index IS 'Of a chunk its number, from 0 on';
COMMENT ON COLUMN public.iu_vector_sync_point.chunk_count IS 'Of a chunk how many the text has';
COMMENT ON COLUMN public.iu_vector_sync_point.summary_marker IS 'true: a summary, of no single unit';
COMMENT ON COLUMN public.iu_vector_sync_point.axis_refs IS
  'What the payload says of the axes: source_axis_ref (document), semantic_axis_ref (section type), '
  'hierarchy_axis_ref (address of the unit above)';
COMMENT ON COLUMN public.iu_vector_sync_point.point_id IS
  'Its id in Qdrant: UUID version 5 of policy iu_core.qdrant_point_namespace and point_key';
COMMENT ON COLUMN public.iu_vector_sync_point.created_at IS 'Start of the transaction that planned or recorded it';
COMMENT ON COLUMN public.iu_vector_sync_point.updated_at IS 'When its row changed last';
COMMENT ON COLUMN public.iu_vector_sync_point.last_actor IS 'Who changed it last, as told by the caller';
COMMENT ON COLUMN public.iu_vector_sync_point.observed_at IS
  'When an observation found something else than the one before; NULL: never observed';
COMMENT ON INDEX public.iu_vector_sync_point_chunk_key IS 'A chunk of a unit has one point in a collection.';
COMMENT ON INDEX public.iu_vector_sync_point_unit_idx IS 'The points of a unit.';
COMMENT ON INDEX public.iu_vector_sync_point_pending_idx IS 'What an indexer has to do, for v_iu_vector_pending.';

-- The namespace makes the ids, so it stays once there is one.
INSERT INTO public.dot_config (key, value, description) VALUES
  ('iu_core.qdrant_point_namespace', '8d3a7f52-6c0e-4b8f-9e41-5a2d90c7b163',
   'the namespace of the UUIDs that are the ids of points in Qdrant');
INSERT INTO public.iu_policy_registry (policy_key, allowed_pattern, meaning, migration) VALUES
  ('iu_core.qdrant_point_namespace', '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}',
   'the namespace of the ids of points, a UUID; it does not change once there is a point', 21);

CREATE FUNCTION iu.fn_iu_vector_namespace_stays() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF EXISTS (SELECT FROM public.iu_vector_sync_point) THEN
    RAISE object_in_use USING
      MESSAGE = 'the namespace of the ids of points does not change',
      DETAIL = format('%s points have an id that was made with %s.',
                      (SELECT count(*) FROM public.iu_vector_sync_point), OLD.value),
      HINT = 'Set it before the first point is planned or recorded.', CONSTRAINT = 'iu_vector_namespace_used';
  END IF;
  RETURN coalesce(NEW, OLD);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_namespace_stays IS
  'Row triggers of dot_config: iu_core.qdrant_point_namespace does not change while there is a point (55006).';

CREATE TRIGGER trg_iu_vector_namespace_update
  BEFORE UPDATE ON public.dot_config
  FOR EACH ROW WHEN (OLD.key = 'iu_core.qdrant_point_namespace'
                     AND (NEW.key, NEW.value) IS DISTINCT FROM (OLD.key, OLD.value))
  EXECUTE FUNCTION iu.fn_iu_vector_namespace_stays();
CREATE TRIGGER trg_iu_vector_namespace_delete
  BEFORE DELETE ON public.dot_config
  FOR EACH ROW WHEN (OLD.key = 'iu_core.qdrant_point_namespace')
  EXECUTE FUNCTION iu.fn_iu_vector_namespace_stays();
ALTER TABLE public.dot_config
  ENABLE ALWAYS TRIGGER trg_iu_vector_namespace_update, ENABLE ALWAYS TRIGGER trg_iu_vector_namespace_delete;
COMMENT ON TRIGGER trg_iu_vector_namespace_update ON public.dot_config IS
  'The namespace of the ids of points stays once there is a point (55006).';
COMMENT ON TRIGGER trg_iu_vector_namespace_delete ON public.dot_config IS
  'The namespace of the ids of points stays once there is a point (55006).';

CREATE FUNCTION iu.fn_iu_vector_namespace() RETURNS uuid
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_value CONSTANT text := (SELECT c.value FROM public.dot_config c WHERE c.key = 'iu_core.qdrant_point_namespace');
BEGIN
  IF v_value IS NULL THEN
    RAISE undefined_object USING
      MESSAGE = 'policy "iu_core.qdrant_point_namespace" has no row in dot_config',
      DETAIL = 'Without it no point has an id.',
      HINT = 'Insert it as iu_core_owner, and find out who deleted it.', CONSTRAINT = 'iu_policy_missing';
  END IF;
  RETURN v_value;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_namespace IS
  'For functions that pin its search_path: the namespace of the ids of points. SQLSTATE 42704: it has no row.';

-- ---- who writes, and who says that a point is indexed

CREATE FUNCTION iu.fn_iu_vector_sync_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  -- What a subscription brings is left out by triggers of its own, and must not stop it.
  IF iu_core.is_replicated() THEN
    RETURN NULL;
  END IF;
  RAISE insufficient_privilege USING
    MESSAGE = 'direct write to iu_vector_sync_point not allowed',
    DETAIL = format('%s is refused. Points are recorded by fn_iu_vector_sync_record_v2 and observed by '
                    'fn_iu_vector_sync_observe.', TG_OP),
    CONSTRAINT = 'iu_vector_sync_blocked';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_sync_guard IS
  'Statement triggers of iu_vector_sync_point: refuse a write that is no canonical function''s with SQLSTATE 42501.';

CREATE FUNCTION iu.fn_iu_vector_sync_never_flip() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE insufficient_privilege USING
    MESSAGE = format('point "%s" is indexed only by an observation', NEW.point_key),
    DETAIL = format('Gate iu_core.vector_sync_enabled is NEVER-FLIP; it is %s here.',
                    CASE WHEN iu_core.gate_is_open('iu_core.vector_sync_enabled') THEN 'open' ELSE 'closed' END),
    HINT = 'Observe the collection with fn_iu_vector_sync_observe.', CONSTRAINT = 'iu_vector_gate_closed';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vector_sync_never_flip IS
  'Row triggers of iu_vector_sync_point: nothing but an observation makes a point indexed, or changes what one is '
  'indexed for (42501). What gate iu_core.vector_sync_enabled says is told and does not matter.';

CREATE TRIGGER trg_iu_vector_sync_guard
  BEFORE INSERT OR UPDATE OR DELETE ON public.iu_vector_sync_point
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner')
  EXECUTE FUNCTION iu.fn_iu_vector_sync_guard();
CREATE TRIGGER trg_iu_vector_sync_guard_truncate
  BEFORE TRUNCATE ON public.iu_vector_sync_point
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_vector_sync_guard();
CREATE TRIGGER trg_iu_vector_sync_never_flip_insert
  BEFORE INSERT ON public.iu_vector_sync_point
  FOR EACH ROW WHEN (NEW.sync_status = 'indexed')
  EXECUTE FUNCTION iu.fn_iu_vector_sync_never_flip();
-- Column by column: rows that are compared are another text after a dump.
CREATE TRIGGER trg_iu_vector_sync_never_flip_update
  BEFORE UPDATE ON public.iu_vector_sync_point
  FOR EACH ROW WHEN (
    NEW.sync_status = 'indexed'
    AND (OLD.sync_status IS DISTINCT FROM NEW.sync_status OR OLD.collection_name IS DISTINCT FROM NEW.collection_name
         OR OLD.point_id IS DISTINCT FROM NEW.point_id OR OLD.content_digest IS DISTINCT FROM NEW.content_digest
         OR OLD.indexed_digest IS DISTINCT FROM NEW.indexed_digest)
    AND (CURRENT_USER = 'iu_core_owner'
         AND current_setting('app.canonical_writer', true) = 'fn_iu_vector_sync_observe'
         AND NEW.content_digest = NEW.indexed_digest) IS NOT TRUE)
  EXECUTE FUNCTION iu.fn_iu_vector_sync_never_flip();
ALTER TABLE public.iu_vector_sync_point
  ENABLE ALWAYS TRIGGER trg_iu_vector_sync_guard, ENABLE ALWAYS TRIGGER trg_iu_vector_sync_guard_truncate,
  ENABLE ALWAYS TRIGGER trg_iu_vector_sync_never_flip_insert,
  ENABLE ALWAYS TRIGGER trg_iu_vector_sync_never_flip_update;
COMMENT ON TRIGGER trg_iu_vector_sync_guard ON public.iu_vector_sync_point IS
  'Rows are written by canonical functions only (42501).';
COMMENT ON TRIGGER trg_iu_vector_sync_guard_truncate ON public.iu_vector_sync_point IS 'Rows stay (42501).';
COMMENT ON TRIGGER trg_iu_vector_sync_never_flip_insert ON public.iu_vector_sync_point IS
  'No point begins as indexed (42501).';
COMMENT ON TRIGGER trg_iu_vector_sync_never_flip_update ON public.iu_vector_sync_point IS
  'Nothing but an observation makes a point indexed (42501).';
