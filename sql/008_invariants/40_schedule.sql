-- What the runner does by the clock.

-- Migration 022 and others add what somebody has to come back for.
CREATE FUNCTION iu.fn_iu_schedule_chore(p_worker text) RETURNS timestamptz
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_function text;
  v_at       timestamptz;
  v_next     timestamptz;
BEGIN
  FOR v_function IN SELECT h FROM iu.fn_iu_hook_functions('iu.fn_iu_schedule_chore(text)') AS h LOOP
    BEGIN
      EXECUTE format('SELECT %s($1)', v_function) INTO v_at USING p_worker;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
      v_at := clock_timestamp() + interval '1 minute';
      RAISE WARNING USING
        MESSAGE = format('%s() failed', v_function), DETAIL = format('%s: %s', SQLSTATE, SQLERRM),
        HINT = 'It is called again in a minute.', CONSTRAINT = 'iu_hook_failed';
    END;
    v_next := least(v_next, v_at);
  END LOOP;
  RETURN v_next;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_schedule_chore IS
  'A point: called by the runner when no invariant is due: who calls. Calls what later migrations added with '
  'fn_iu_hook_add, each in a block of its own, and returns the first time at which one of them wants to be called '
  'again (in the past: at once; NULL: not by the clock). One that fails is undone, told in a WARNING, and called '
  'again in a minute. Raises nothing but a cancel (57014).';

CREATE FUNCTION iu.fn_iu_schedule_due() RETURNS public.iu_invariant
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariant public.iu_invariant;
BEGIN
  -- An invariant that somebody has locked is passed over, so that it delays no
  -- other. The lock that this statement takes is undone with the block, so that
  -- nothing is locked while a remote is waited for. An invariant that is due later
  -- than its own interval from now was put off by a clock that was set back since,
  -- and counts as due.
  BEGIN
    SELECT i.* INTO v_invariant
      FROM public.iu_invariant_state s JOIN public.iu_invariant i ON i.invariant_code = s.invariant_code
     WHERE i.enabled AND i.every_seconds IS NOT NULL
       AND s.next_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + make_interval(secs => i.every_seconds)
     ORDER BY s.next_at, s.invariant_code LIMIT 1 FOR UPDATE OF s SKIP LOCKED;
    RAISE SQLSTATE 'IU000' USING
      MESSAGE = 'seen';
  EXCEPTION WHEN SQLSTATE 'IU000' THEN
    RETURN v_invariant;
  END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_schedule_due IS
  'The invariant that is due first by its schedule and that nobody has locked, not locked; NULL: none. Raises '
  'nothing.';

CREATE FUNCTION iu.fn_iu_schedule_begun() RETURNS public.iu_invariant
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT i.* FROM public.iu_invariant_state s JOIN public.iu_invariant i ON i.invariant_code = s.invariant_code
   WHERE s.begun_at IS NOT NULL ORDER BY s.begun_at, i.invariant_code LIMIT 1;
END;
COMMENT ON FUNCTION iu.fn_iu_schedule_begun IS
  'The invariant whose check was begun by the schedule and has not ended; NULL: none. Raises nothing.';

CREATE FUNCTION iu.fn_iu_schedule_begin(p_process_is_new boolean) RETURNS integer
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariant public.iu_invariant := iu.fn_iu_schedule_begun();
  v_run       public.iu_invariant_run;
BEGIN
  -- What the same process began and did not finish was an error, or cancelled: it comes again.
  IF v_invariant.invariant_code IS NOT NULL AND p_process_is_new THEN
    v_run.invariant_code := v_invariant.invariant_code;
    v_run.asked_by := 'schedule';
    v_run.session_role := session_user;
    v_run.checked_at := clock_timestamp();
    v_run.ms := 0;
    v_run.verdict := 'unknown';
    v_run.error_code := '57P01';
    v_run.detail := 'the check before did not end, and the process that made it did';
    PERFORM iu.fn_iu_invariant_record(v_invariant, v_run);
  END IF;
  UPDATE public.iu_invariant_state SET begun_at = NULL WHERE invariant_code = v_invariant.invariant_code;
  v_invariant := iu.fn_iu_schedule_due();
  UPDATE public.iu_invariant_state SET begun_at = clock_timestamp()
   WHERE invariant_code = v_invariant.invariant_code;
  RETURN v_invariant.timeout_ms;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_schedule_begin IS
  'For the runner, committed before fn_iu_schedule_turn: notes that the check of what is due begins, and returns how '
  'long it may take in ms; NULL: none is due. Argument: whether the process begins its first one. A check that a '
  'process before it began and did not end is recorded as unknown, SQLSTATE 57P01, and comes again when its interval '
  'is over, so that it cannot end one runner after the other. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_schedule_turn(p_worker text) RETURNS timestamptz
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariant public.iu_invariant := iu.fn_iu_schedule_begun();
  v_next      timestamptz;
BEGIN
  IF v_invariant.invariant_code IS NULL THEN
    v_invariant := iu.fn_iu_schedule_due();
  END IF;
  IF v_invariant.invariant_code IS NOT NULL THEN
    PERFORM iu.fn_iu_invariant_record(v_invariant, iu.fn_iu_invariant_measure(v_invariant, 'schedule'));
    UPDATE public.iu_invariant_state SET begun_at = NULL
     WHERE invariant_code = v_invariant.invariant_code AND begun_at IS NOT NULL;
    -- Chores are asked when no invariant is due: so the runner comes back at once.
    IF EXISTS (SELECT FROM iu.hook h WHERE h.point = 'iu.fn_iu_schedule_chore(text)') THEN
      RETURN clock_timestamp();
    END IF;
  END IF;
  SELECT min(CASE WHEN s.next_at <= clock_timestamp() + make_interval(secs => i.every_seconds)
                  THEN s.next_at ELSE clock_timestamp() END) INTO v_next
    FROM public.iu_invariant_state s JOIN public.iu_invariant i ON i.invariant_code = s.invariant_code
   WHERE i.enabled AND i.every_seconds IS NOT NULL;
  IF v_invariant.invariant_code IS NULL THEN
    -- What is due and was not found is locked by somebody: it is asked for again in a second.
    v_next := CASE WHEN v_next <= clock_timestamp() THEN clock_timestamp() + interval '1 s' ELSE v_next END;
    v_next := least(v_next, iu.fn_iu_schedule_chore(p_worker));
  END IF;
  RETURN v_next;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_schedule_turn IS
  'For the runner: carries out one thing that is due by its schedule, an invariant (the one that fn_iu_schedule_begin '
  'noted, if it did), or where none is due the chores of '
  'later migrations (fn_iu_schedule_chore), in the caller''s transaction, and returns when something is due next (in '
  'the past: at once; NULL: nothing is scheduled). Argument: who calls. Raises nothing of its own.';
