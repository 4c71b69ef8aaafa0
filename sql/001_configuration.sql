-- 001: configuration, and the register of every governed object.
--
-- dot_config holds what may be switched: gates, switches, allowlists, policy
-- keys. iu_governed_object holds what the migrations made, so that D1 to D9
-- can say what is missing and what came in beside them; every later migration
-- registers its own objects, this one included.

SELECT iu_core.guard_absent('table', 'dot_config', 'iu_governed_object');
SELECT iu_core.guard_absent('view', 'v_iu_conformance');
SELECT iu_core.guard_absent('function',
  'fn_dot_config_touch()', 'fn_iu_govern(integer,text,text[])', 'fn_iu_ungovern(integer)',
  'fn_iu_ungovern(integer,text,text[])', 'fn_iu_conformance()',
  'fn_iu_conformance_require(integer)');

CREATE TABLE public.dot_config (
  key         text NOT NULL,
  value       text NOT NULL,
  description text,
  updated_at  timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT dot_config_pkey PRIMARY KEY (key)
);
COMMENT ON TABLE public.dot_config IS
  'Configuration as rows: gates, switches, allowlists, policy keys. A gate''s value alone opens nothing: read iu_core.gate_is_open. A missing row reads as closed. (seed 4 A3; facts-core 1)';
COMMENT ON COLUMN public.dot_config.key IS 'Name of the setting, e.g. iu_core.delivery_enabled';
COMMENT ON COLUMN public.dot_config.value IS 'Its value as text; a gate or switch is on only if it is exactly true';
COMMENT ON COLUMN public.dot_config.description IS 'What it stops or steers';
COMMENT ON COLUMN public.dot_config.updated_at IS 'Start of the transaction that changed the row last; kept by trg_dot_config_touch';

CREATE FUNCTION public.fn_dot_config_touch() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION public.fn_dot_config_touch() IS
  'Row trigger of dot_config: sets updated_at whatever the statement says. (seed 4 A3)';

CREATE TRIGGER trg_dot_config_touch
  BEFORE INSERT OR UPDATE ON public.dot_config
  FOR EACH ROW EXECUTE FUNCTION public.fn_dot_config_touch();
COMMENT ON TRIGGER trg_dot_config_touch ON public.dot_config IS 'Keeps updated_at. (seed 4 A3)';

CREATE TABLE public.iu_governed_object (
  object_class  text NOT NULL,
  object_name   text NOT NULL,
  migration     integer NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_governed_object_pkey PRIMARY KEY (object_class, object_name),
  CONSTRAINT iu_governed_object_class CHECK (object_class IN (
    'table', 'view', 'function', 'trigger', 'config', 'event_type', 'route', 'schema', 'type', 'sequence')),
  CONSTRAINT iu_governed_object_migration CHECK (migration > 0)
);
COMMENT ON TABLE public.iu_governed_object IS
  'Every object and every row of a row class that a migration answers for, named as in iu_core.object_names(). Written by fn_iu_govern and fn_iu_ungovern only. (design: Conformance; facts-core 4)';
COMMENT ON COLUMN public.iu_governed_object.object_class IS
  'table, view, function, trigger, config, event_type, route; schema, type and sequence where they stand alone';
COMMENT ON COLUMN public.iu_governed_object.object_name IS
  'E.g. dot_config, fn_iu_ungovern(integer), trg_dot_config_touch ON dot_config, iu_core.delivery_enabled';
COMMENT ON COLUMN public.iu_governed_object.migration IS
  'Number of the migration that made it, or that brought the table of which it is a row';
COMMENT ON COLUMN public.iu_governed_object.registered_at IS 'Start of the transaction that registered it';

CREATE FUNCTION public.fn_iu_govern(p_migration integer, p_object_class text, VARIADIC p_object_names text[])
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_classes CONSTANT text[] := ARRAY[
    'table', 'view', 'function', 'trigger', 'config', 'event_type', 'route', 'schema', 'type', 'sequence'];
  v_absent text;
  v_taken  public.iu_governed_object;
BEGIN
  IF p_migration IS NULL OR p_migration < 1 THEN
    RAISE check_violation USING
      MESSAGE = 'a governed object belongs to a migration: its number must be 1 or more';
  END IF;
  IF p_object_class IS NULL OR p_object_class <> ALL (c_classes) THEN
    RAISE check_violation USING
      MESSAGE = format('object class %s is not allowed', coalesce(quote_literal(p_object_class), 'NULL')),
      DETAIL = format('Allowed: %s.', array_to_string(c_classes, ', '));
  END IF;

  SELECT coalesce(n.name, 'NULL') INTO v_absent
    FROM unnest(p_object_names) AS n (name)
   WHERE NOT EXISTS (SELECT FROM iu_core.object_names() i
                      WHERE i.object_class = p_object_class AND i.object_name = n.name)
   LIMIT 1;
  IF FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('%s "%s" is not there to be registered', p_object_class, v_absent),
      HINT = 'Names are spelled as in iu_core.object_names(): without public, functions with argument types, triggers as "name ON table".';
  END IF;

  SELECT g.* INTO v_taken FROM public.iu_governed_object g
   WHERE g.object_class = p_object_class AND g.object_name = ANY (p_object_names)
   LIMIT 1;
  IF FOUND THEN
    RAISE duplicate_object USING
      MESSAGE = format('%s "%s" is registered already, by migration %s',
                       v_taken.object_class, v_taken.object_name, v_taken.migration);
  END IF;

  INSERT INTO public.iu_governed_object (object_class, object_name, migration)
    SELECT p_object_class, n.name, p_migration FROM unnest(p_object_names) AS n (name);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_govern(integer, text, text[]) IS
  'Registers objects of one class as made by a migration (for rows that users make: by the migration that brought their table). Names as in iu_core.object_names(). Since each must exist, it is also a migration''s check of presence. Errors: 42704 not there, 42710 registered already, 23514 bad class or number. (design: Conformance)';

CREATE FUNCTION public.fn_iu_ungovern(p_migration integer) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_left text;
BEGIN
  SELECT string_agg(format('%s "%s"', g.object_class, g.object_name), ', ' ORDER BY g.object_class, g.object_name)
    INTO v_left
    FROM public.iu_governed_object g
    JOIN iu_core.object_names() i ON i.object_class = g.object_class AND i.object_name = g.object_name
   WHERE g.migration = p_migration;
  IF v_left IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('rollback of migration %s is incomplete', p_migration),
      DETAIL = format('Still there: %s.', v_left);
  END IF;
  DELETE FROM public.iu_governed_object WHERE migration = p_migration;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_ungovern(integer) IS
  'Last step of a rollback: forgets all that the migration registered, after making sure that nothing of it is left. Error: 55006 naming what is left. (design: Conformance)';

CREATE FUNCTION public.fn_iu_ungovern(p_migration integer, p_object_class text, VARIADIC p_object_names text[])
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_name text;
BEGIN
  SELECT n.name INTO v_name
    FROM unnest(p_object_names) AS n (name)
    JOIN iu_core.object_names() i ON i.object_class = p_object_class AND i.object_name = n.name
   LIMIT 1;
  IF FOUND THEN
    RAISE object_in_use USING
      MESSAGE = format('%s "%s" still exists', p_object_class, v_name),
      HINT = 'Remove it first, then its registration.';
  END IF;

  SELECT coalesce(n.name, 'NULL') INTO v_name
    FROM unnest(p_object_names) AS n (name)
   WHERE NOT EXISTS (SELECT FROM public.iu_governed_object g
                      WHERE g.migration = p_migration AND g.object_class = p_object_class AND g.object_name = n.name)
   LIMIT 1;
  IF FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('%s "%s" is not registered by migration %s',
                       coalesce(p_object_class, 'NULL'), v_name, coalesce(p_migration::text, 'NULL'));
  END IF;

  DELETE FROM public.iu_governed_object
   WHERE migration = p_migration AND object_class = p_object_class AND object_name = ANY (p_object_names);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_ungovern(integer, text, text[]) IS
  'Forgets single objects that were removed on purpose, such as a route that an operator deleted or an object that a later migration replaced. Errors: 55006 it still exists, 42704 the migration did not register it. (design: Conformance)';

CREATE FUNCTION public.fn_iu_conformance()
  RETURNS TABLE (check_code text, object_class text, expected text, found text, ok boolean, detail text)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH class (name, code, by_owner) AS (
    VALUES ('table', 'D1', true), ('view', 'D2', true), ('function', 'D3', true), ('trigger', 'D4', true),
           ('config', 'D5', false), ('event_type', 'D6', false), ('route', 'D7', false),
           ('schema', 'D1', true), ('type', 'D1', true), ('sequence', 'D1', true)
  ), inventory AS MATERIALIZED (
    SELECT DISTINCT i.object_class AS class, i.object_name AS name, i.owner, i.object_id FROM iu_core.object_names() i
  ), expected AS (
    SELECT g.object_class AS class, g.object_name AS name, g.migration FROM public.iu_governed_object g
  ), trigger_state AS (
    SELECT i.name, t.tgenabled IN ('O', 'A') AS fires,
           CASE t.tgenabled WHEN 'O' THEN 'enabled' WHEN 'A' THEN 'enabled always'
                            WHEN 'R' THEN 'enabled for replication only' ELSE 'disabled' END AS state
      FROM inventory i JOIN pg_trigger t ON t.oid = i.object_id WHERE i.class = 'trigger'
  ), presence AS (
    SELECT c.code, e.class, e.name AS expected, i.name AS found,
           i.name IS NOT NULL AND (NOT c.by_owner OR i.owner = 'iu_core_owner') AND coalesce(t.fires, true) AS ok,
           CASE WHEN i.name IS NULL THEN format('made by migration %s, now missing', e.migration)
                WHEN c.by_owner AND i.owner <> 'iu_core_owner' THEN format('owned by %I', i.owner)
                WHEN e.class = 'trigger' THEN t.state
                WHEN e.class = 'config' THEN 'value ' || (SELECT quote_literal(d.value) FROM public.dot_config d WHERE d.key = e.name)
           END AS detail
      FROM expected e
      JOIN class c ON c.name = e.class
      LEFT JOIN inventory i ON i.class = e.class AND i.name = e.name
      LEFT JOIN trigger_state t ON e.class = 'trigger' AND t.name = e.name
  ), unregistered AS (
    SELECT i.class, i.name, i.owner
      FROM inventory i
      JOIN class c ON c.name = i.class
     WHERE (NOT c.by_owner OR i.owner = 'iu_core_owner')
       AND NOT EXISTS (SELECT FROM expected e WHERE e.class = i.class AND e.name = i.name)
  ), tally AS (
    SELECT c.name AS class,
           (SELECT count(*) FROM expected e WHERE e.class = c.name) AS expected,
           (SELECT count(*) FROM presence p WHERE p.class = c.name AND p.found IS NULL) AS missing,
           (SELECT count(*) FROM unregistered u WHERE u.class = c.name) AS unregistered
      FROM class c
  )
  SELECT p.code, p.class, p.expected, p.found, p.ok, p.detail FROM presence p
  UNION ALL
  SELECT 'D8', u.class, NULL, u.name, false,
         CASE WHEN u.class IN ('config', 'event_type', 'route') THEN 'a row that nobody registered'
              ELSE 'owned by iu_core_owner, made by no migration' END
    FROM unregistered u
  UNION ALL
  SELECT 'D9', t.class, t.expected::text, (t.expected - t.missing + t.unregistered)::text,
         t.missing + t.unregistered = 0,
         CASE WHEN t.missing + t.unregistered > 0
              THEN format('%s missing, %s unregistered', t.missing, t.unregistered) END
    FROM tally t
   WHERE t.class NOT IN ('schema', 'type', 'sequence') OR t.expected + t.unregistered > 0
  ORDER BY 1, 2, 3, 4
$function$;
COMMENT ON FUNCTION public.fn_iu_conformance() IS
  'What should exist against what does. D1 to D7: one row per registered table, view, function, trigger, config key, event type, route (schemas, types and sequences that stand alone count to D1); ok if it is there, belongs to iu_core_owner and, a trigger, fires. D8: one row per object of iu_core_owner, or row of a row class, that nobody registered. D9: registered and found per class. Raises nothing of its own. (design: Conformance; facts-core 4)';

CREATE FUNCTION public.fn_iu_conformance_require(p_migration integer) RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_wrong text;
BEGIN
  SELECT string_agg(concat_ws(' ', c.check_code, c.object_class, coalesce(c.expected, c.found), c.detail), '; ')
    INTO v_wrong FROM public.fn_iu_conformance() c WHERE NOT c.ok;
  IF v_wrong IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('migration %s does not conform', lpad(p_migration::text, 3, '0')), DETAIL = v_wrong;
  END IF;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_conformance_require(integer) IS
  'Last step of a migration: refuses to go on unless fn_iu_conformance() finds all well. Argument: number of the migration, for the message. Error: 55000 with what is wrong. (design: Conformance)';

CREATE VIEW public.v_iu_conformance AS
  SELECT c.object_class,
         max(c.expected) FILTER (WHERE c.check_code = 'D9')::bigint AS expected,
         max(c.found) FILTER (WHERE c.check_code = 'D9')::bigint AS found,
         bool_and(c.ok) AS ok,
         array_agg(concat_ws(': ', coalesce(c.expected, c.found), c.detail))
           FILTER (WHERE NOT c.ok AND c.check_code <> 'D9') AS findings
    FROM public.fn_iu_conformance() c
   GROUP BY c.object_class;
COMMENT ON VIEW public.v_iu_conformance IS
  'fn_iu_conformance() in one row per class: registered, found, whether all is well, and what is not. (design: Conformance)';

GRANT SELECT ON public.dot_config, public.iu_governed_object, public.v_iu_conformance TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_conformance() TO iu_core_reader;

SELECT public.fn_iu_govern(1, 'table', 'dot_config', 'iu_governed_object');
SELECT public.fn_iu_govern(1, 'view', 'v_iu_conformance');
SELECT public.fn_iu_govern(1, 'function',
  'fn_dot_config_touch()', 'fn_iu_govern(integer,text,text[])', 'fn_iu_ungovern(integer)',
  'fn_iu_ungovern(integer,text,text[])', 'fn_iu_conformance()',
  'fn_iu_conformance_require(integer)');
SELECT public.fn_iu_govern(1, 'trigger', 'trg_dot_config_touch ON dot_config');

SELECT public.fn_iu_conformance_require(1);
