CREATE FUNCTION iu.fn_iu_schedule_turn(p_worker text) RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariant public.iu_invariant;
  v_next      timestamptz;
BEGIN
  -- One that somebody has locked holds nothing up. The lock of this look is
  -- undone, so that it is not kept while a remote is waited for. What is due
  -- later than it can be is so by a clock that was set back.
  BEGIN
    SELECT i.* INTO v_invariant
      FROM public.iu_invariant_state s JOIN public.iu_invariant i ON i.invariant_code = s.invariant_code
     WHERE i.enabled AND i.every_seconds IS NOT NULL
       AND s.next_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + make_interval(secs => i.every_seconds)
     ORDER BY s.next_at, s.invariant_code LIMIT 1 FOR UPDATE OF s SKIP LOCKED;
    RAISE SQLSTATE 'IU000' USING
      MESSAGE = 'seen';
  EXCEPTION WHEN SQLSTATE 'IU000' THEN
    NULL;
  END;
  IF v_invariant.invariant_code IS NOT NULL THEN
    PERFORM iu.fn_iu_invariant_record(v_invariant, iu.fn_iu_invariant_measure(v_invariant, 'schedule'));
  END IF;
  SELECT min(CASE WHEN s.next_at <= clock_timestamp() + make_interval(secs => i.every_seconds) THEN s.next_at ELSE clock_timestamp() END) INTO v_next
    FROM public.iu_invariant_state s JOIN public.iu_invariant i ON i.invariant_code = s.invariant_code
   WHERE i.enabled AND i.every_seconds IS NOT NULL;
  RETURN CASE WHEN v_invariant.invariant_code IS NULL AND v_next <= clock_timestamp() THEN clock_timestamp() + interval '1 s' ELSE v_next END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_schedule_turn IS
  'For the runner: carries out one thing that is due by its schedule, an invariant, in the caller''s transaction, '
  'and returns when something is due next (in the past: at once; NULL: nothing is scheduled). Argument: who '
  'calls. Raises nothing of its own.';
