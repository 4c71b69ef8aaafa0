-- What the catalog says of an object. Nothing here opens the object, waits for who has
-- locked it, or calls what belongs to it; names are compared as the catalog spells
-- them, and looked up in no search_path. The two functions that a view of people calls
-- carry rights because those have no right on schema iu, where the others lie.

CREATE FUNCTION iu.fn_iu_sql_function_oids(p_schema text, p_name text, p_identity text) RETURNS oid[]
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN ARRAY(
  SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
   WHERE n.nspname = p_schema AND p.proname = p_name
     AND (p_identity IS NULL OR oidvectortypes(p.proargtypes) = p_identity)
   ORDER BY p.oid);
COMMENT ON FUNCTION iu.fn_iu_sql_function_oids IS
  'The functions, procedures and aggregates of a schema with a name, and with these argument types, as '
  'oidvectortypes() has them without a search_path (NULL: any). Raises nothing.';

CREATE FUNCTION iu.fn_iu_sql_relation_oid(p_schema text, p_name text) RETURNS oid
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = p_schema AND c.relname = p_name);
COMMENT ON FUNCTION iu.fn_iu_sql_relation_oid IS
  'The relation of a schema with a name, of whatever kind, or NULL. Raises nothing.';

CREATE FUNCTION iu.fn_iu_sql_object_match(
    p_kind text, p_schema text, p_name text, p_function_identity text, p_trigger_name text)
  RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_relation CONSTANT oid := iu.fn_iu_sql_relation_oid(p_schema, p_name);
  v_relkind  "char";
  v_count    integer;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = p_schema) THEN
    RETURN 'schema_missing';
  ELSIF p_kind = 'schema' THEN
    RETURN 'pg_namespace_match';
  ELSIF p_kind = 'function' THEN
    v_count := cardinality(iu.fn_iu_sql_function_oids(p_schema, p_name, p_function_identity));
    RETURN CASE v_count WHEN 0 THEN 'object_missing' WHEN 1 THEN 'pg_proc_match' ELSE 'ambiguous' END;
  ELSIF v_relation IS NULL THEN
    RETURN 'object_missing';
  ELSIF p_kind = 'trigger' THEN
    RETURN CASE WHEN EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = v_relation AND t.tgname = p_trigger_name
                                AND NOT t.tgisinternal) THEN 'pg_trigger_match' ELSE 'object_missing' END;
  END IF;
  SELECT c.relkind INTO v_relkind FROM pg_class c WHERE c.oid = v_relation;
  RETURN CASE WHEN p_kind = 'table' AND v_relkind IN ('r', 'p', 'f') OR p_kind = 'view' AND v_relkind IN ('v', 'm')
                   OR p_kind = 'sequence' AND v_relkind = 'S' THEN 'pg_class_match' ELSE 'kind_differs' END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_object_match IS
  'Whether there is an object, by the catalog alone: pg_class_match, pg_proc_match, pg_trigger_match, '
  'pg_namespace_match; otherwise schema_missing, object_missing, kind_differs (a relation of another kind), ambiguous '
  '(several functions have the name). Arguments: kind, schema, name, argument types of a function, name of a trigger. '
  'Foreign tables are tables, materialized views are views. Raises nothing.';

CREATE FUNCTION iu.fn_iu_sql_object_fingerprint(
    p_kind text, p_schema text, p_name text, p_function_identity text, p_trigger_name text)
  RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET quote_all_identifiers = off
AS $function$
DECLARE
  v_relation  CONSTANT oid := iu.fn_iu_sql_relation_oid(p_schema, p_name);
  v_functions CONSTANT oid[] := iu.fn_iu_sql_function_oids(p_schema, p_name, p_function_identity);
  v_text      text;
BEGIN
  -- An array, in which no name can look like two: a name may have anything in it, a new line too.
  IF iu.fn_iu_sql_object_match(p_kind, p_schema, p_name, p_function_identity, p_trigger_name) !~ '_match$'
     OR p_kind = 'schema' THEN
    RETURN NULL;
  ELSIF p_kind = 'function' THEN
    SELECT jsonb_build_array(p.prokind, oidvectortypes(p.proargtypes), p.proargnames,
             format_type(p.prorettype, NULL), p.proretset, p.prosecdef,
             p.provolatile, l.lanname, p.proconfig, p.prosrc, p.probin)::text INTO v_text
      FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.oid = v_functions[1];
  ELSIF p_kind = 'trigger' THEN
    SELECT jsonb_build_array(t.tgname, t.tgtype, n.nspname, p.proname, encode(t.tgargs, 'hex'),
             t.tgqual IS NOT NULL,
             (SELECT jsonb_agg(a.attname ORDER BY k.n)
                FROM unnest(t.tgattr::smallint[]) WITH ORDINALITY AS k (i, n)
                JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = k.i))::text INTO v_text
      FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE t.tgrelid = v_relation AND t.tgname = p_trigger_name AND NOT t.tgisinternal;
  ELSE
    SELECT jsonb_build_array(c.relkind,
             (SELECT jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull)
                       ORDER BY a.attnum)
                FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))::text INTO v_text
      FROM pg_class c WHERE c.oid = v_relation;
  END IF;
  RETURN encode(sha256(convert_to(v_text, 'UTF8')), 'hex');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_object_fingerprint IS
  'SHA-256 in hex of what the catalog says of an object, the same after dump and restore: of a table, view or sequence '
  'its columns, their types and NOT NULL; of a function its signature and its text (not that of an SQL body); of a '
  'trigger its events, columns, arguments and function. NULL: a schema, or none that fn_iu_sql_object_match finds. '
  'Arguments as there. Raises nothing.';
