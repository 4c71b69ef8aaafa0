-- Checking: measure all that is asked for, then record all of it.

CREATE FUNCTION iu.fn_iu_invariant_check_as(p_codes text[], p_asked_by text) RETURNS SETOF public.iu_invariant_run
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariants public.iu_invariant[];
  v_runs       public.iu_invariant_run[] := '{}';
  v_invariant  public.iu_invariant;
BEGIN
  PERFORM iu.fn_iu_require_read_committed('a check', 'would be compared with what a remote holds now');
  v_invariants := ARRAY(SELECT i FROM public.iu_invariant i
                         WHERE i.invariant_code = ANY (p_codes) OR (p_codes IS NULL AND i.enabled)
                         ORDER BY i.invariant_code);
  IF p_codes IS NOT NULL AND v_invariants = '{}' THEN
    RAISE undefined_object USING
      MESSAGE = format('invariant "%s" is not registered', p_codes[1]),
      DETAIL = format('Invariant: %s.', p_codes[1]),
      HINT = 'v_iu_invariant lists them.', CONSTRAINT = 'iu_invariant_unknown';
  END IF;
  FOREACH v_invariant IN ARRAY v_invariants LOOP
    v_runs := v_runs || iu.fn_iu_invariant_measure(v_invariant, p_asked_by);
  END LOOP;
  FOR i IN 1 .. cardinality(v_invariants) LOOP
    RETURN NEXT iu.fn_iu_invariant_record(v_invariants[i], v_runs[i]);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_check_as IS
  'For what checks invariants: which (NULL: all that are enabled), for whom (hand, gate, window). Reads all of '
  'them, then records all of them. Errors: as fn_iu_invariant_check.';

CREATE FUNCTION iu.fn_iu_invariant_check(p_code text)
  RETURNS TABLE (code text, verdict text, left_value text, right_value text, difference numeric, keys text[],
                 keys_total bigint, detail text, checked_at timestamptz, ms numeric)
  LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 20
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT r.invariant_code, r.verdict, r.left_value, r.right_value, r.difference, r.keys, r.keys_total, r.detail,
         r.checked_at, r.ms
    FROM iu.fn_iu_invariant_check_as(CASE WHEN p_code IS NOT NULL THEN ARRAY[p_code] END, 'hand') AS r
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_check IS
  'What public.fn_iu_invariant_check hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_invariant_check(p_code text DEFAULT NULL)
  RETURNS TABLE (code text, verdict text, left_value text, right_value text, difference numeric, keys text[],
                 keys_total bigint, detail text, checked_at timestamptz, ms numeric)
  LANGUAGE sql VOLATILE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_invariant_check(p_code)
   WHERE iu_core.require_role('{iu_core_operator}');
END;
COMMENT ON FUNCTION public.fn_iu_invariant_check IS
  'Checks an invariant now, or (NULL) all that are enabled, and records what it finds. One row each: code, '
  'verdict, left and right (of keys: how many each side has), difference (left minus right; of keys: how many '
  'differ), the first 20 keys that differ and how many in all, detail in words, when it began to read, how many '
  'ms that took. pass: read, and within the tolerance. fail: read, and beyond it for longer than the settle '
  'window. unknown: everything else: an error of the view or a remote (with its SQLSTATE), no answer in time, '
  'NULL, not one row, a key that is there twice, rows that a policy would leave out, a difference that is still '
  'settling. SQLSTATE 42704: not registered; 25000 outside of READ COMMITTED; 57014 only if somebody else cancels.';
