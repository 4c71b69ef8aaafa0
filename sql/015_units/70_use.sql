-- What speaks against deleting a unit. A point: migrations that come later add
-- their reasons (iu.hook), so that nothing here names their tables.

CREATE FUNCTION iu.fn_iu_unit_in_use(p_unit_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_function text;
  v_reason   text;
BEGIN
  FOR v_function IN SELECT h FROM iu.fn_iu_hook_functions('iu.fn_iu_unit_in_use(uuid)') AS h LOOP
    EXECUTE format('SELECT %s($1)', v_function) INTO v_reason USING p_unit_id;
    EXIT WHEN v_reason IS NOT NULL;
  END LOOP;
  RETURN v_reason;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_unit_in_use IS
  'A point: why a unit cannot be deleted, in words, as the first of the functions of later migrations says; NULL: '
  'nothing speaks against it. Argument: the unit. Raises what they raise.';
