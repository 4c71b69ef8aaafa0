-- What the policies would let go now. After a mass change the statistics are of
-- another table: a plan by them could ask for each event anew what a second look
-- would tell of all. The settings leave it no choice but to look once.

CREATE FUNCTION iu.fn_iu_core_retention_candidates()
  RETURNS TABLE (target_table text, age_column text, keep_days integer, active boolean, cutoff timestamptz,
                 rows_eligible bigint, sample_row jsonb)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_nestloop = off SET enable_mergejoin = off SET jit = off
AS $function$
DECLARE
  v_policy public.iu_core_retention_policy;
  v_where  text;
BEGIN
  FOR v_policy IN SELECT p.* FROM public.iu_core_retention_policy p ORDER BY p.target_table LOOP
    target_table := v_policy.target_table;
    age_column := v_policy.age_column;
    keep_days := v_policy.keep_days;
    active := v_policy.active;
    cutoff := iu.fn_iu_core_retention_cutoff(v_policy);
    v_where := iu.fn_iu_core_retention_where(v_policy);
    EXECUTE format('SELECT count(*) FROM public.%I AS r WHERE %s', target_table, v_where) INTO rows_eligible;
    EXECUTE format('SELECT to_jsonb(r) FROM public.%I AS r WHERE %s LIMIT 1', target_table, v_where) INTO sample_row;
    RETURN NEXT;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_core_retention_candidates IS
  'What each policy would let go now: see v_iu_core_retention_candidates.';

CREATE VIEW public.v_iu_core_retention_candidates AS
  SELECT c.* FROM iu.fn_iu_core_retention_candidates() AS c;
COMMENT ON VIEW public.v_iu_core_retention_candidates IS
  'One row a retention policy, active or not: table, what its age is counted from, days kept, before when a row '
  'is old, how many rows may go now, and one of them. Counts, so it takes its time.';
