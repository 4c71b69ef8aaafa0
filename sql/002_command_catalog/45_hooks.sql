-- Points at which a later migration adds something to an earlier one without
-- replacing a function that is there. A point is a function of schema iu that
-- calls the functions listed for it. Points whose absence would open something
-- are not listed here: those call a function of a known name where it exists.

-- The function is stored as text: pg_upgrade refuses columns of type regprocedure.
CREATE TABLE iu.hook (
  point         text NOT NULL,
  function      text NOT NULL,
  migration     integer NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT hook_pkey PRIMARY KEY (point, function),
  CONSTRAINT hook_migration CHECK (migration > 0)
);
COMMENT ON TABLE iu.hook IS
  'Functions that later migrations have called at a point of an earlier one. Written by fn_iu_hook_add and '
  'fn_iu_hook_remove only.';
COMMENT ON COLUMN iu.hook.point IS 'The function that calls them, with the types of its arguments';
COMMENT ON COLUMN iu.hook.function IS
  'What it calls, with the types of its arguments, which are those of the point';
COMMENT ON COLUMN iu.hook.migration IS 'The migration that added it; functions are called in this order';
COMMENT ON COLUMN iu.hook.registered_at IS 'Start of the transaction that added it';

CREATE FUNCTION iu.fn_iu_hook_problem(p_point text, p_function text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT CASE
           WHEN f.oid IS NULL THEN format('there is no function %s', p_function)
           WHEN f.pronamespace <> 'iu'::regnamespace OR f.proowner <> 'iu_core_owner'::regrole
             THEN format('%s is not a function of iu_core_owner in schema iu', p_function)
           WHEN p.oid IS NULL THEN format('there is no point %s', p_point)
           WHEN f.proargtypes <> p.proargtypes OR f.prorettype <> p.prorettype OR f.proretset
             THEN format('%s has not the arguments and the result of %s', p_function, p_point) END
    FROM (VALUES (to_regprocedure(p_point), to_regprocedure(p_function))) AS v (point, function)
    LEFT JOIN pg_proc p ON p.oid = v.point
    LEFT JOIN pg_proc f ON f.oid = v.function
$function$;
COMMENT ON FUNCTION iu.fn_iu_hook_problem IS
  'NULL if a function may be called at a point, otherwise why not, in words: both exist, the function belongs to '
  'iu_core_owner and is in schema iu, and it has the arguments and the result of the point. Arguments: point and '
  'function, each with the types of its arguments. Raises nothing.';

CREATE FUNCTION iu.fn_iu_hook_add(p_migration integer, p_point regprocedure, p_function regprocedure) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem CONSTANT text := iu.fn_iu_hook_problem(p_point::text, p_function::text);
BEGIN
  IF v_problem IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = v_problem, CONSTRAINT = 'iu_hook_function',
      DETAIL = format('Point: %s; function: %s.', p_point, p_function);
  END IF;
  INSERT INTO iu.hook (point, function, migration) VALUES (p_point::text, p_function::text, p_migration);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_hook_add IS
  'For migrations: has a function called at a point from now on: number of the migration, point, function. Errors: '
  '55000 as fn_iu_hook_problem says, 23505 it is called there already.';

CREATE FUNCTION iu.fn_iu_hook_remove(p_migration integer) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  DELETE FROM iu.hook WHERE migration = p_migration;
END;
COMMENT ON FUNCTION iu.fn_iu_hook_remove IS
  'For rollbacks: what a migration had called is called no more. Argument: its number. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_hook_functions(p_point text) RETURNS SETOF text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_hook    iu.hook;
  v_problem text;
BEGIN
  FOR v_hook IN
    SELECT h.* FROM iu.hook h WHERE h.point = p_point ORDER BY h.migration, h.function COLLATE "C"
  LOOP
    v_problem := iu.fn_iu_hook_problem(v_hook.point, v_hook.function);
    IF v_problem IS NULL THEN
      RETURN NEXT (SELECT format('iu.%I', p.proname) FROM pg_proc p WHERE p.oid = to_regprocedure(v_hook.function));
    ELSE
      RAISE WARNING USING
        MESSAGE = format('a function of migration %s is not called: %s', v_hook.migration, v_problem),
        CONSTRAINT = 'iu_hook_function';
    END IF;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_hook_functions IS
  'For a point: the names of the functions that it calls, in order of their migrations. One that may not be called '
  'there is left out, with a WARNING. Argument: the point, with the types of its arguments.';
