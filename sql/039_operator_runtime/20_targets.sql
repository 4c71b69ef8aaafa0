-- The function of a command, its arguments, and the statement that calls it.

CREATE FUNCTION iu.fn_iu_command_arguments(p_target regprocedure)
  RETURNS TABLE (n integer, name text, type text, required boolean, default_text text)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT a.n, a.name, format_type(a.type, NULL), a.n <= a.inputs - a.defaults,
         pg_get_function_arg_default(p_target, a.place)
    FROM (SELECT (row_number() OVER (ORDER BY t.place))::integer AS n, t.place::integer, p.proargnames[t.place] AS name,
                 t.type, p.pronargs::integer AS inputs, p.pronargdefaults::integer AS defaults
            FROM pg_proc p
            CROSS JOIN LATERAL unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY t (type, place)
           WHERE p.oid = p_target AND coalesce(p.proargmodes[t.place], 'i') IN ('i', 'b')) a
   ORDER BY a.n;
END;
COMMENT ON FUNCTION iu.fn_iu_command_arguments IS
  'The arguments of a function in order: number, name, type, whether it must be given, and its default as SQL or '
  'NULL. No row: it takes none. Raises nothing.';

CREATE FUNCTION iu.fn_iu_command_target(p_target_functions text[]) RETURNS regprocedure
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT min(p.oid)::regprocedure
    FROM pg_proc p
   WHERE p.proname = p_target_functions[1] AND p.pronamespace = 'public'::regnamespace
  HAVING cardinality(p_target_functions) = 1 AND count(*) = 1
     AND bool_and(p.prokind = 'f' AND p.provariadic = 0
                  AND p.proowner = (SELECT o.oid FROM pg_roles o WHERE o.rolname = 'iu_core_owner')
                  AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'void'::regtype)
                  AND (SELECT count(*) FROM unnest(p.proargtypes::oid[]) t (type)
                        JOIN pg_type y ON y.oid = t.type AND y.typnamespace = 'pg_catalog'::regnamespace) = p.pronargs
                  AND NOT EXISTS (SELECT FROM iu.fn_iu_command_arguments(p.oid) a WHERE coalesce(a.name, '') = ''));
END;
COMMENT ON FUNCTION iu.fn_iu_command_target IS
  'The function that the operator runtime may call for a command: the one that its target functions name, where they '
  'name exactly one, there is exactly one of that name in schema public, it belongs to iu_core_owner, returns '
  'something, and its arguments have names and types of PostgreSQL''s own. NULL otherwise. Raises nothing.';

-- Only names and types of the catalogue are in it; the values are its $1.
CREATE FUNCTION iu.fn_iu_command_statement(p_target regprocedure, p_params jsonb) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT format('SELECT %s FROM %spublic.%I(%s) AS iu_answer',
           CASE WHEN p.proretset THEN 'coalesce(jsonb_agg(to_jsonb(iu_answer)), ''[]'')' ELSE 'to_jsonb(iu_answer)' END,
           'jsonb_to_record($1) AS iu_given (' || g.columns || '), ', p.proname, g.given)
    FROM pg_proc p
    CROSS JOIN LATERAL (
      SELECT string_agg(format('%I %s', a.name, a.type), ', ' ORDER BY a.n) AS columns,
             coalesce(string_agg(format('%1$I => iu_given.%1$I', a.name), ', ' ORDER BY a.n), '') AS given
        FROM iu.fn_iu_command_arguments(p_target) a WHERE p_params ? a.name) g
   WHERE p.oid = p_target;
END;
COMMENT ON FUNCTION iu.fn_iu_command_statement IS
  'The statement that calls a function with the arguments that are given, by name; $1 is their values as an object. '
  'One row with one jsonb: what it returns, of a function that returns rows an array of them. Arguments: function, '
  'values. Raises nothing.';

-- p_emit_mode dry_run is a tag of what is made all the same, and no dry run.
CREATE FUNCTION iu.fn_iu_command_is_dry(p_target regprocedure, p_params jsonb) RETURNS boolean
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN coalesce(
  (SELECT CASE WHEN p_params ? a.name THEN (p_params ->> a.name)::boolean ELSE a.default_text = 'true' END
     FROM iu.fn_iu_command_arguments(p_target) a WHERE a.name = 'p_dry_run' AND a.type = 'boolean'), false);
COMMENT ON FUNCTION iu.fn_iu_command_is_dry IS
  'Whether a call with these values only tries: p_dry_run is true, given or by default. Arguments: function, values, '
  'of which fn_iu_command_params_problem has found no fault. Errors: 22P02 p_dry_run is no boolean.';

CREATE FUNCTION iu.fn_iu_command_params_of(p_target regprocedure, p_params jsonb, p_actor text) RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN EXISTS (SELECT FROM iu.fn_iu_command_arguments(p_target) a WHERE a.name = 'p_actor')
            THEN jsonb_build_object('p_actor', p_actor) || p_params ELSE p_params END;
COMMENT ON FUNCTION iu.fn_iu_command_params_of IS
  'The values that a function is called with: those that are given, and where it takes p_actor that of the runtime. '
  'Arguments: function, values, who. Raises nothing.';

-- What the values are turned into they are turned into as whoever acts, as in the call.
CREATE FUNCTION iu.fn_iu_command_params_problem(p_target regprocedure, p_params jsonb, p_actor text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_names    text[];
  v_unknown  text;
  v_missing  text;
  v_columns  text;
  v_required text[];
BEGIN
  IF jsonb_typeof(p_params) IS DISTINCT FROM 'object' THEN
    RETURN 'params must be an object with the arguments by name.';
  END IF;
  SELECT array_agg(a.name), array_agg(a.name) FILTER (WHERE a.required),
         string_agg(format('%I %s', a.name, a.type), ', ') FILTER (WHERE p_params ? a.name)
    INTO v_names, v_required, v_columns FROM iu.fn_iu_command_arguments(p_target) a;
  v_unknown := iu.fn_iu_keys_shown(p_params - coalesce(v_names, '{}'));
  SELECT string_agg(r, ', ') INTO v_missing
    FROM unnest(v_required) r WHERE NOT p_params ? r AND r <> 'p_actor';
  IF v_unknown IS NOT NULL THEN
    RETURN format('%s takes no argument %s.', p_target, v_unknown);
  ELSIF v_missing IS NOT NULL THEN
    RETURN format('%s must be given %s.', p_target, v_missing);
  ELSIF p_params ? 'p_actor' AND p_params ->> 'p_actor' IS DISTINCT FROM p_actor THEN
    RETURN 'p_actor must be left out, or be the actor of this call.';
  ELSIF v_columns IS NOT NULL THEN
    PERFORM iu_core.call_for_caller(
      format('SELECT to_jsonb(g IS NULL) FROM jsonb_to_record($1) AS g (%s)', v_columns), p_params);
  END IF;
  RETURN NULL;
EXCEPTION WHEN data_exception OR syntax_error_or_access_rule_violation OR invalid_schema_name
            OR program_limit_exceeded OR feature_not_supported THEN
  RETURN format('a value is not of the type of its argument: %s.', SQLERRM);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_command_params_problem IS
  'What is wrong with the values for a function, in a sentence; NULL: nothing. Arguments: function, values, who. '
  'Raises what a cancel raises.';
