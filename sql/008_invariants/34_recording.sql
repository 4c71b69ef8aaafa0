-- What a check found becomes state, memory of the settle window, and log.

-- Migration 040 and others add what is to follow when a verdict changes.
CREATE FUNCTION iu.fn_iu_invariant_turned(p_code text, p_verdict text, p_previous text, p_detail text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_function text;
BEGIN
  FOR v_function IN SELECT h FROM iu.fn_iu_hook_functions('iu.fn_iu_invariant_turned(text,text,text,text)') AS h LOOP
    BEGIN
      EXECUTE format('SELECT %s($1, $2, $3, $4)', v_function) USING p_code, p_verdict, p_previous, p_detail;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
      RAISE WARNING USING
        MESSAGE = format('%s() failed when invariant "%s" turned to %s', v_function, p_code, p_verdict),
        DETAIL = format('%s: %s', SQLSTATE, SQLERRM), CONSTRAINT = 'iu_hook_failed';
    END;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_turned IS
  'A point: called when a check gives an invariant another verdict than the one before: code, verdict, the one before '
  '(NULL: the first as it is registered now), detail in words. Calls what later migrations added with fn_iu_hook_add, '
  'each in a block of its own: one that fails is undone and told in a WARNING, and the verdict is recorded all the '
  'same. Raises nothing but a cancel (57014).';

CREATE FUNCTION iu.fn_iu_invariant_remember(p_code text, p_run public.iu_invariant_run) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  DELETE FROM public.iu_invariant_key k
   WHERE k.invariant_code = p_code
     AND NOT EXISTS (SELECT FROM unnest((p_run).keys) AS d (key) WHERE d.key = k.key);
  INSERT INTO public.iu_invariant_key AS k (invariant_code, key, first_seen_at)
    SELECT p_code, d.key, (p_run).checked_at FROM unnest((p_run).keys) AS d (key)
    ON CONFLICT (invariant_code, key) DO UPDATE
      SET first_seen_at = excluded.first_seen_at WHERE k.first_seen_at > excluded.first_seen_at;
END;
COMMENT ON FUNCTION iu.fn_iu_invariant_remember IS
  'For fn_iu_invariant_settle: remembers since when each key differs, and forgets those that do not any more: code, '
  'run. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_invariant_settle(
    p_invariant public.iu_invariant, p_differs_since timestamptz, p_late boolean, INOUT run public.iu_invariant_run,
    OUT differs_since timestamptz)
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_keys    CONSTANT integer := 10000;
  v_window  CONSTANT interval := make_interval(secs => p_invariant.settle_seconds);
  v_allowed CONSTANT numeric := CASE WHEN run.keys IS NULL THEN 0 ELSE p_invariant.tolerance END;
  v_settled bigint;
  v_due     timestamptz;
BEGIN
  differs_since := CASE run.verdict WHEN 'fail' THEN least(p_differs_since, run.checked_at) END;
  v_due := differs_since + v_window;
  IF run.keys IS NOT NULL AND v_window > '0' THEN
    IF NOT p_late THEN
      PERFORM iu.fn_iu_invariant_remember(p_invariant.invariant_code, run);
    END IF;
    -- More keys than are remembered are judged together, by the time of the first difference.
    IF run.keys_total <= c_keys THEN
      SELECT count(*) FILTER (WHERE k.first_seen_at + v_window <= run.checked_at),
             coalesce((array_agg(k.first_seen_at ORDER BY k.first_seen_at)
                       )[floor(least(p_invariant.tolerance, c_keys))::integer + 1] + v_window, v_due)
        INTO v_settled, v_due
        FROM public.iu_invariant_key k
       WHERE k.invariant_code = p_invariant.invariant_code AND k.key = ANY (run.keys);
    END IF;
  END IF;
  v_settled := coalesce(v_settled, CASE WHEN differs_since + v_window <= run.checked_at
                                        THEN coalesce(run.keys_total, 1) ELSE 0 END);
  IF run.verdict = 'fail' AND v_window > '0' AND v_settled <= v_allowed THEN
    run.verdict := 'unknown';
    run.detail := run.detail || format('; settling: fails if it is still so at %s UTC',
      to_char(v_due AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'));
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_settle IS
  'For fn_iu_invariant_record: a fail that has not lasted for the settle window becomes unknown. Arguments: the '
  'invariant, since when it has differed, whether a later check was recorded already (then nothing is remembered), '
  'and the run, which is returned with its verdict, beside since when it has differed now. Raises nothing.';

CREATE FUNCTION iu.fn_iu_invariant_log_run(
    p_run public.iu_invariant_run, p_late boolean, p_logged_at timestamptz, p_last_seq bigint)
  RETURNS bigint
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_last public.iu_invariant_run;
  v_seq  bigint;
BEGIN
  SELECT r.* INTO v_last FROM public.iu_invariant_run r WHERE r.run_seq = p_last_seq;
  IF p_run.asked_by = 'schedule' AND (p_late
       OR p_logged_at BETWEEN p_run.checked_at - interval '1 hour' AND p_run.checked_at
          AND (v_last.verdict, v_last.left_value, v_last.right_value, v_last.difference, v_last.keys,
               v_last.keys_total, v_last.error_code)
              IS NOT DISTINCT FROM (p_run.verdict, p_run.left_value, p_run.right_value, p_run.difference, p_run.keys,
                                    p_run.keys_total, p_run.error_code)) THEN
    RETURN NULL;
  END IF;
  INSERT INTO public.iu_invariant_run
      (invariant_code, verdict, left_value, right_value, difference, keys, keys_total, detail, error_code, asked_by,
       checked_at, ms)
    VALUES (p_run.invariant_code, p_run.verdict, p_run.left_value, p_run.right_value, p_run.difference, p_run.keys,
            p_run.keys_total, p_run.detail, p_run.error_code, p_run.asked_by, p_run.checked_at, p_run.ms)
    RETURNING run_seq INTO v_seq;
  RETURN v_seq;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_log_run IS
  'For fn_iu_invariant_record: writes a check to the log and returns its number; NULL where it was scheduled and '
  'found what the last one found, less than an hour after one was written, or came too late. Arguments: the run, '
  'whether it came too late, when one was written last, the number of that one. Raises nothing.';

CREATE FUNCTION iu.fn_iu_invariant_record(p_invariant public.iu_invariant, p_run public.iu_invariant_run)
  RETURNS public.iu_invariant_run
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_shown      CONSTANT integer := 20;
  v_code       CONSTANT text := p_invariant.invariant_code;
  v_registered timestamptz;
  v_state      public.iu_invariant_state;
  v_late       boolean;
  v_since      timestamptz;
  v_settled    record;
BEGIN
  -- The same order of locks as in a registration, so that the two do not deadlock.
  SELECT i.registered_at INTO v_registered FROM public.iu_invariant i WHERE i.invariant_code = v_code FOR KEY SHARE;
  SELECT s.* INTO v_state FROM public.iu_invariant_state s WHERE s.invariant_code = v_code FOR UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('invariant "%s" is not registered any more', v_code),
      DETAIL = 'Somebody removed it while it was read.', CONSTRAINT = 'iu_invariant_gone';
  END IF;
  -- A check that began before one that is recorded already is logged, and that
  -- is all. One that is dated later than now was made before the clock was set
  -- back, and does not count as a later one.
  v_late := coalesce(v_state.checked_at > p_run.checked_at AND v_state.checked_at <= clock_timestamp(), false);
  IF v_registered <> p_invariant.registered_at THEN
    v_late := true;
    p_run.verdict := 'unknown';
    p_run.error_code := '55000';
    p_run.detail := 'it was registered otherwise while it was read';
  END IF;
  v_since := v_state.differs_since;
  IF p_run.error_code IS NULL THEN
    SELECT s.run, s.differs_since INTO v_settled
      FROM iu.fn_iu_invariant_settle(p_invariant, v_since, v_late, p_run) AS s;
    p_run := v_settled.run;
    v_since := v_settled.differs_since;
  END IF;
  p_run.keys := p_run.keys[:c_shown];
  p_run.run_seq := iu.fn_iu_invariant_log_run(p_run, v_late, v_state.logged_at, v_state.run_seq);
  IF v_late THEN
    RETURN p_run;
  END IF;
  UPDATE public.iu_invariant_state s
     SET verdict = p_run.verdict, checked_at = p_run.checked_at, differs_since = v_since, checks = s.checks + 1,
         run_seq = coalesce(p_run.run_seq, v_state.run_seq),
         logged_at = CASE WHEN p_run.run_seq IS NOT NULL THEN p_run.checked_at ELSE v_state.logged_at END,
         verdict_since = CASE WHEN s.verdict = p_run.verdict THEN s.verdict_since ELSE p_run.checked_at END,
         last_pass_at = CASE p_run.verdict WHEN 'pass' THEN p_run.checked_at ELSE s.last_pass_at END,
         next_at = (SELECT p_run.checked_at + make_interval(secs => i.every_seconds) FROM public.iu_invariant i
                     WHERE i.invariant_code = v_code AND i.enabled),
         place = iu_core.place()
   WHERE s.invariant_code = v_code;
  IF v_state.verdict IS DISTINCT FROM p_run.verdict THEN
    PERFORM iu.fn_iu_invariant_turned(v_code, p_run.verdict, v_state.verdict, p_run.detail);
  END IF;
  RETURN p_run;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_invariant_record IS
  'For a check: gives what fn_iu_invariant_measure found its verdict, which the settle window may turn from fail '
  'to unknown, remembers since when what differs, writes state and log, and calls fn_iu_invariant_turned where the '
  'verdict is another one. Returns the run with its verdict and at most 20 keys. SQLSTATE 42704: unregistered '
  'meanwhile.';
