-- The register of governed objects. The migration runner writes it from what a
-- script changed in the catalog; rows that people add to governed tables (a
-- route, an event type) are registered by the functions that add them.

CREATE TABLE public.iu_governed_object (
  object_class  text NOT NULL,
  object_name   text NOT NULL,
  migration     integer NOT NULL,
  theirs        boolean NOT NULL DEFAULT false,
  grants        text,
  state         text,
  digest        text,
  registered_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_governed_object_pkey PRIMARY KEY (object_class, object_name),
  CONSTRAINT iu_governed_object_class CHECK (object_class IN (
    'table', 'view', 'function', 'trigger', 'config', 'event_type', 'route', 'schema', 'type', 'sequence')),
  CONSTRAINT iu_governed_object_migration CHECK (migration > 0),
  CONSTRAINT iu_governed_object_theirs CHECK (NOT theirs OR object_class IN ('config', 'event_type', 'route'))
);
COMMENT ON TABLE public.iu_governed_object IS
  'Every object, and every row of a row class, that a migration answers for, named as in iu_core.object_names(), and '
  'how it was when its migration had run. Written by the migration runner and by the functions that add such rows.';
COMMENT ON COLUMN public.iu_governed_object.object_class IS
  'table, view, function, trigger, config, event_type, route; schema, type and sequence where they stand alone';
COMMENT ON COLUMN public.iu_governed_object.object_name IS
  'E.g. dot_config, iu.fn_iu_govern(integer,boolean,text[]), trg_dot_config_touch ON dot_config, '
  'iu_core.delivery_enabled';
COMMENT ON COLUMN public.iu_governed_object.migration IS
  'Number of the migration that made it, or that brought the table of which it is a row';
COMMENT ON COLUMN public.iu_governed_object.theirs IS
  'Whether the platform''s own administrator added the row, and no migration did: a rollback leaves it or says that '
  'it is in the way';
COMMENT ON COLUMN public.iu_governed_object.grants IS
  'Its access list in words, as in iu_core.object_inventory(); NULL: none';
COMMENT ON COLUMN public.iu_governed_object.state IS
  'Trigger state, row security and policies, settings of a function, as in iu_core.object_inventory()';
COMMENT ON COLUMN public.iu_governed_object.digest IS
  'SHA-256 in hex of its definition, after the major version of PostgreSQL where that spells the definition '
  '(views, tables); NULL for rows';
COMMENT ON COLUMN public.iu_governed_object.registered_at IS 'Start of the transaction that registered it';

CREATE FUNCTION iu.fn_iu_govern(
    p_migration integer, p_rolls_back boolean, p_changes text[], p_classes text[], p_names text[], p_owners text[],
    p_grants text[], p_states text[], p_digests text[])
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_wrong record;
BEGIN
  -- What a migration makes is its owner's; rows of row classes have none.
  SELECT c.class, c.name, c.owner INTO v_wrong
    FROM unnest(p_changes, p_classes, p_names, p_owners) AS c (change, class, name, owner)
   WHERE c.change <> 'removed' AND c.owner <> 'iu_core_owner' LIMIT 1;
  IF FOUND THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('migration %s makes %s "%s", which belongs to "%s"',
                       p_migration, v_wrong.class, v_wrong.name, v_wrong.owner),
      DETAIL = 'What migrations make belongs to iu_core_owner.', CONSTRAINT = 'iu_migration_owner';
  END IF;
  SELECT c.class, c.name INTO v_wrong
    FROM unnest(p_changes, p_classes, p_names) AS c (change, class, name)
   WHERE c.change = 'changed'
     AND NOT EXISTS (SELECT FROM public.iu_governed_object g
                      WHERE g.object_class = c.class AND g.object_name = c.name AND NOT g.theirs)
   LIMIT 1;
  IF FOUND THEN
    RAISE duplicate_object USING
      MESSAGE = format('migration %s changes %s "%s", which no migration made',
                       p_migration, v_wrong.class, v_wrong.name),
      DETAIL = format('Migration: %s; class: %s; name: %s.', p_migration, v_wrong.class, v_wrong.name),
      HINT = 'Rename or remove it if nothing needs it, then migrate again.', CONSTRAINT = 'iu_migration_foreign_object';
  END IF;

  DELETE FROM public.iu_governed_object g
   USING unnest(p_changes, p_classes, p_names) AS c (change, class, name)
   WHERE c.change = 'removed' AND g.object_class = c.class AND g.object_name = c.name;
  UPDATE public.iu_governed_object g
     SET grants = c.grants, state = c.state, digest = c.digest
    FROM unnest(p_changes, p_classes, p_names, p_grants, p_states, p_digests)
           AS c (change, class, name, grants, state, digest)
   WHERE c.change = 'changed' AND g.object_class = c.class AND g.object_name = c.name;
  INSERT INTO public.iu_governed_object (object_class, object_name, migration, grants, state, digest)
    SELECT c.class, c.name, p_migration, c.grants, c.state, c.digest
      FROM unnest(p_changes, p_classes, p_names, p_grants, p_states, p_digests)
             AS c (change, class, name, grants, state, digest)
     WHERE c.change = 'added'
    ON CONFLICT (object_class, object_name) DO NOTHING;
  IF p_rolls_back THEN
    PERFORM iu.fn_iu_rollback_is_complete(p_migration);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_govern IS
  'Called by the migration runner after each script: what the script changed in the catalog becomes the register. '
  'Arguments: number of the migration, whether it was rolled back, then arrays of one length: change (added, changed, '
  'removed), class, name and owner of the object, its grants, state and digest as in iu_core.object_inventory(). '
  'Errors: 55000 an object of another owner, 42710 a change of what no migration made, 55006 a rollback that left '
  'something.';

CREATE FUNCTION iu.fn_iu_rollback_is_complete(p_migration integer) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_left text;
BEGIN
  -- As a rule all went when it was removed; only what is registered still is worth asking what exists.
  IF NOT EXISTS (SELECT FROM public.iu_governed_object g WHERE g.migration = p_migration AND NOT g.theirs) THEN
    RETURN;
  END IF;
  SELECT string_agg(format('%s "%s"', g.object_class, g.object_name), ', ' ORDER BY g.object_class, g.object_name)
    INTO v_left
    FROM public.iu_governed_object g
    JOIN iu_core.object_names() i ON i.object_class = g.object_class AND i.object_name = g.object_name
   WHERE g.migration = p_migration AND NOT g.theirs;
  IF v_left IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('rollback of migration %s is incomplete', p_migration),
      DETAIL = format('Still there: %s.', v_left), CONSTRAINT = 'iu_rollback_incomplete';
  END IF;
  DELETE FROM public.iu_governed_object WHERE migration = p_migration AND NOT theirs;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_rollback_is_complete IS
  'For fn_iu_govern after a rollback: makes sure that nothing is left of what the migration registered. Error: 55006 '
  'naming what is left.';

CREATE FUNCTION iu.fn_iu_govern_row(p_migration integer, p_object_class text, p_object_name text, p_theirs boolean)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_object_class IS NULL OR p_object_class NOT IN ('config', 'event_type', 'route') THEN
    RAISE check_violation USING
      MESSAGE = format('object class %s is not one of rows', coalesce(quote_literal(p_object_class), 'NULL')),
      DETAIL = 'Allowed: config, event_type, route.', CONSTRAINT = 'iu_governed_row_class';
  END IF;
  INSERT INTO public.iu_governed_object (object_class, object_name, migration, theirs)
    VALUES (p_object_class, p_object_name, p_migration, p_theirs);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_govern_row IS
  'Registers a row that people add to a governed table: number of the migration that brought the table, class '
  '(config, event_type, route), name as in iu_core.object_names(), whether it is the platform''s own. Errors: 23514 '
  'bad class or number, 23505 registered already, 23502 a NULL.';

CREATE FUNCTION iu.fn_iu_ungovern_row(p_object_class text, p_object_name text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  DELETE FROM public.iu_governed_object WHERE object_class = p_object_class AND object_name = p_object_name;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('%s "%s" is not registered', coalesce(p_object_class, 'NULL'), coalesce(p_object_name, 'NULL')),
      DETAIL = format('Class: %s; name: %s.', coalesce(p_object_class, 'NULL'), coalesce(p_object_name, 'NULL')),
      CONSTRAINT = 'iu_governed_row_missing';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_ungovern_row IS
  'Forgets a row that was removed on purpose, such as a route: class, name. Error: 42704 it is not registered.';
