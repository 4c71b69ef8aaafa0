-- 038 SQL links: which objects of this database a unit speaks of: the table that it
-- governs, the view that it explains. A link is looked at against the catalog, and
-- never by reading the object: whoever owns that could put code of his own in the way.
--
-- The functions answer what they refuse, and write nothing then.

CREATE TABLE public.iu_sql_link (
  id                 uuid NOT NULL DEFAULT gen_random_uuid(),
  unit_id            uuid NOT NULL,
  canonical_address  text NOT NULL,
  link_role          text NOT NULL,
  object_kind        text NOT NULL,
  object_schema      text NOT NULL,
  object_name        text NOT NULL,
  collection_name    text,
  row_pk             jsonb,
  function_identity  text,
  trigger_name       text,
  object_fingerprint text,
  direction          text NOT NULL,
  lifecycle_status   text NOT NULL DEFAULT 'active',
  enabled            boolean NOT NULL DEFAULT false,
  idempotency_key    text NOT NULL,
  metadata           jsonb NOT NULL DEFAULT '{}',
  valid_from         timestamptz NOT NULL DEFAULT now(),
  valid_to           timestamptz,
  created_by         text NOT NULL,
  created_at         timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_sql_link_pkey PRIMARY KEY (id),
  CONSTRAINT iu_sql_link_idempotency_key_key UNIQUE (idempotency_key),
  CONSTRAINT iu_sql_link_unit_id_fkey FOREIGN KEY (unit_id) REFERENCES public.information_unit (id),
  CONSTRAINT iu_sql_link_object_kind_chk
    CHECK (object_kind IN ('table', 'view', 'function', 'trigger', 'sequence', 'schema')),
  CONSTRAINT iu_sql_link_direction_chk CHECK (direction IN ('bidirectional', 'outbound', 'inbound')),
  CONSTRAINT iu_sql_link_lifecycle_status_chk CHECK (lifecycle_status IN ('active', 'retired')),
  CONSTRAINT iu_sql_link_retired_chk
    CHECK ((lifecycle_status = 'retired') = (valid_to IS NOT NULL) AND NOT (enabled AND lifecycle_status = 'retired')),
  CONSTRAINT iu_sql_link_parts_chk CHECK (
    (object_kind = 'trigger') = (trigger_name IS NOT NULL)
    AND (object_kind = 'function' OR function_identity IS NULL)
    AND (object_kind IN ('table', 'view') OR (row_pk IS NULL AND collection_name IS NULL))
    AND (object_kind <> 'schema' OR object_name = object_schema)),
  CONSTRAINT iu_sql_link_row_pk_chk CHECK (jsonb_typeof(row_pk) = 'object' AND row_pk <> '{}'),
  CONSTRAINT iu_sql_link_metadata_chk CHECK (jsonb_typeof(metadata) = 'object')
);
CREATE INDEX iu_sql_link_unit_idx ON public.iu_sql_link (unit_id) WHERE lifecycle_status = 'active';
CREATE INDEX iu_sql_link_object_idx ON public.iu_sql_link (object_schema, object_name);
COMMENT ON TABLE public.iu_sql_link IS
  'Links between units and objects of this database, one row each. Written by fn_iu_sql_link_add and _retire only '
  '(42501), retired and never deleted.';
COMMENT ON COLUMN public.iu_sql_link.id IS 'Identity, which validating and retiring are given';
COMMENT ON COLUMN public.iu_sql_link.unit_id IS 'The unit';
COMMENT ON COLUMN public.iu_sql_link.canonical_address IS 'Its address when the link was made';
COMMENT ON COLUMN public.iu_sql_link.link_role IS
  'What the unit is to the object, as a word: governs, represents, explains and the like';
COMMENT ON COLUMN public.iu_sql_link.object_kind IS 'table, view, function, trigger, sequence or schema';
COMMENT ON COLUMN public.iu_sql_link.object_schema IS 'Schema of the object, as the catalog spells it';
COMMENT ON COLUMN public.iu_sql_link.object_name IS
  'Name of the object, as the catalog spells it; of a trigger that of its table, of a schema its own';
COMMENT ON COLUMN public.iu_sql_link.collection_name IS
  'What another system calls a table or view, e.g. a collection of Directus; NULL: not said';
COMMENT ON COLUMN public.iu_sql_link.row_pk IS
  'Of a table or view the one row that is meant, as an object of its key; NULL: all of it. It is not looked for';
COMMENT ON COLUMN public.iu_sql_link.function_identity IS
  'Of a function its argument types, e.g. uuid, jsonb; NULL: whatever they are, while there is one of the name';
COMMENT ON COLUMN public.iu_sql_link.trigger_name IS 'Of a trigger its name';
COMMENT ON COLUMN public.iu_sql_link.object_fingerprint IS
  'Of the object when the link was made: fn_iu_sql_object_fingerprint(); NULL: a schema, which has none';
COMMENT ON COLUMN public.iu_sql_link.direction IS
  'Who follows whom: outbound, the object the unit; inbound, the unit the object; bidirectional';
COMMENT ON COLUMN public.iu_sql_link.lifecycle_status IS 'active or retired';
COMMENT ON COLUMN public.iu_sql_link.enabled IS
  'Whether something acts on it; false, and nothing of ours sets it. Validation does not ask it';
COMMENT ON COLUMN public.iu_sql_link.idempotency_key IS 'What the caller calls it: one key, one link';
COMMENT ON COLUMN public.iu_sql_link.metadata IS 'Object, as given';
COMMENT ON COLUMN public.iu_sql_link.valid_from IS 'Start of the transaction that made it';
COMMENT ON COLUMN public.iu_sql_link.valid_to IS 'When it was retired, by the clock; NULL: it was not';
COMMENT ON COLUMN public.iu_sql_link.created_by IS 'Who made it, as told by the caller';
COMMENT ON COLUMN public.iu_sql_link.created_at IS 'Start of the transaction that made it';
COMMENT ON INDEX public.iu_sql_link_unit_idx IS 'What a unit speaks of.';
COMMENT ON INDEX public.iu_sql_link_object_idx IS 'Which units speak of an object.';

CREATE TABLE public.iu_sql_event_route (
  route_code          text NOT NULL,
  object_kind         text NOT NULL DEFAULT 'table',
  object_schema       text NOT NULL,
  object_name         text NOT NULL,
  sql_event           text NOT NULL,
  target_event_domain text NOT NULL,
  target_event_type   text NOT NULL,
  enabled             boolean NOT NULL DEFAULT false,
  dry_run             boolean NOT NULL DEFAULT true,
  fail_closed         boolean NOT NULL DEFAULT true,
  idempotency_policy  text NOT NULL DEFAULT 'once_per_row',
  payload_contract    jsonb NOT NULL DEFAULT '{}',
  created_by          text NOT NULL,
  created_at          timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_sql_event_route_pkey PRIMARY KEY (route_code),
  CONSTRAINT iu_sql_event_route_code_chk CHECK (route_code ~ '^iu_sql[.][A-Za-z0-9_.:-]{1,113}$'),
  CONSTRAINT iu_sql_event_route_object_chk
    CHECK (object_kind = 'table' AND object_schema = 'public' AND object_name = 'iu_sql_link'),
  CONSTRAINT iu_sql_event_route_sql_event_chk CHECK (sql_event = 'insert'),
  CONSTRAINT iu_sql_event_route_domain_chk CHECK (target_event_domain IN ('iu', 'iu_sql')),
  CONSTRAINT iu_sql_event_route_type_chk CHECK (target_event_type ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$'),
  CONSTRAINT iu_sql_event_route_dry_run_chk CHECK (NOT enabled OR dry_run),
  CONSTRAINT iu_sql_event_route_policy_chk CHECK (idempotency_policy = 'once_per_row'),
  CONSTRAINT iu_sql_event_route_contract_chk CHECK (jsonb_typeof(payload_contract) = 'object')
);
CREATE UNIQUE INDEX iu_sql_event_route_enabled_idx
  ON public.iu_sql_event_route (object_schema, object_name, sql_event) WHERE enabled;
COMMENT ON TABLE public.iu_sql_event_route IS
  'What happens in a table, and which event it would become, one row each. An enabled route writes an attempt of kind '
  'inbound for each row; it is a dry run, and no event is emitted. The one table that is captured is iu_sql_link: '
  'tables of others have no trigger of ours. Written by the fn_iu_sql_event_route_ functions only (42501).';
COMMENT ON COLUMN public.iu_sql_event_route.route_code IS
  'Its name: iu_sql. and 1 to 113 letters, digits, _ . : -, e.g. iu_sql.iu_sql_link.insert';
COMMENT ON COLUMN public.iu_sql_event_route.object_kind IS 'table';
COMMENT ON COLUMN public.iu_sql_event_route.object_schema IS 'public';
COMMENT ON COLUMN public.iu_sql_event_route.object_name IS 'iu_sql_link';
COMMENT ON COLUMN public.iu_sql_event_route.sql_event IS 'insert';
COMMENT ON COLUMN public.iu_sql_event_route.target_event_domain IS 'Domain of the event that it would become';
COMMENT ON COLUMN public.iu_sql_event_route.target_event_type IS 'Type of the event that it would become';
COMMENT ON COLUMN public.iu_sql_event_route.enabled IS
  'Whether it captures; one enabled route for a table and what happens in it';
COMMENT ON COLUMN public.iu_sql_event_route.dry_run IS
  'true while it is enabled: what is captured is noted and no more';
COMMENT ON COLUMN public.iu_sql_event_route.fail_closed IS
  'true: a row that cannot be captured is refused (55000); false: it is written, with a warning';
COMMENT ON COLUMN public.iu_sql_event_route.idempotency_policy IS 'once_per_row: one attempt for each row';
COMMENT ON COLUMN public.iu_sql_event_route.payload_contract IS 'What the payload of the event must be; noted only';
COMMENT ON COLUMN public.iu_sql_event_route.created_by IS 'Who registered it, as told by the caller';
COMMENT ON COLUMN public.iu_sql_event_route.created_at IS 'Start of the transaction that registered it';
COMMENT ON INDEX public.iu_sql_event_route_enabled_idx IS 'The route that captures something.';
