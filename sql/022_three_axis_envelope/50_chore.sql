-- What is left over, by the runner: marks that nobody served, since their
-- transaction ended badly, or another one held the row, or there were too many.

CREATE FUNCTION iu.fn_iu_envelope_compact() RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT iu_core.try_named_lock('iu_three_axis_envelope_compact') THEN
    RETURN;
  END IF;
  -- One mark a unit is enough, the newest: what another transaction has not committed is not seen here.
  DELETE FROM public.iu_three_axis_envelope_mark d
   WHERE d.mark_id IN (
     SELECT m.mark_id FROM public.iu_three_axis_envelope_mark m
      WHERE m.mark_id NOT IN (SELECT max(y.mark_id)
                                FROM public.iu_three_axis_envelope_mark y
                                LEFT JOIN LATERAL unnest(y.unit_ids) AS u (id) ON true
                               GROUP BY u.id)
        FOR UPDATE SKIP LOCKED);
  IF (SELECT count(*) FROM (SELECT FROM public.iu_three_axis_envelope_tally t LIMIT 101) AS x) > 100 THEN
    WITH gone AS (
      DELETE FROM public.iu_three_axis_envelope_tally d
       WHERE d.tally_id IN (SELECT t.tally_id FROM public.iu_three_axis_envelope_tally t FOR UPDATE SKIP LOCKED)
      RETURNING d.delta)
    INSERT INTO public.iu_three_axis_envelope_tally (delta) SELECT sum(g.delta) FROM gone g HAVING sum(g.delta) <> 0;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_compact IS
  'Puts marks of one unit and rows of the tally together: of those that are committed, in one transaction, and without '
  'waiting for anybody. Raises nothing.';

CREATE FUNCTION iu.fn_iu_envelope_chore(p_worker text) RETURNS timestamptz
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'iu_envelope_chore'
AS $function$
DECLARE
  v_oldest timestamptz;
  v_first  bigint;
BEGIN
  PERFORM iu.fn_iu_envelope_compact();
  SELECT min(m.marked_at), min(m.mark_id) INTO v_oldest, v_first FROM public.iu_three_axis_envelope_mark m;
  -- Opening the gate wakes the runner.
  IF v_oldest IS NULL OR NOT iu_core.gate_is_open('iu_core.three_axis_auto_refresh_enabled')
     OR to_regprocedure('public.fn_iu_three_axis_envelope_refresh_if_stale(text, boolean, boolean)') IS NULL THEN
    RETURN NULL;
  ELSIF v_oldest BETWEEN clock_timestamp() - interval '1 s' AND clock_timestamp() + interval '1 minute' THEN
    RETURN v_oldest + interval '1 s';
  END IF;
  PERFORM iu_core.refresh_envelope(p_worker);
  -- What is locked by somebody is asked for again in a while, what was too much for one turn at once.
  RETURN CASE WHEN NOT EXISTS (SELECT FROM public.iu_three_axis_envelope_mark m) THEN NULL
              WHEN EXISTS (SELECT FROM public.iu_three_axis_envelope_mark m WHERE m.mark_id = v_first)
                THEN clock_timestamp() + interval '2 s'
              ELSE clock_timestamp() END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_chore IS
  'For the runner, at the point fn_iu_schedule_chore: puts marks and tally together, and while gate '
  'iu_core.three_axis_auto_refresh_enabled is open has fn_iu_three_axis_envelope_refresh_if_stale serve marks that are '
  'older than a second, 5000 in one transaction. Returns when to come again; NULL: not by the clock. Raises what the '
  'refresh raises.';

SELECT iu.fn_iu_hook_add(22, 'iu.fn_iu_schedule_chore(text)', 'iu.fn_iu_envelope_chore(text)');

-- What was written while triggers were off, as a restore has them, left no mark. An
-- invariant finds it; from then on everything is looked at, once.
CREATE FUNCTION iu.fn_iu_envelope_turned(p_code text, p_verdict text, p_previous text, p_detail text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_verdict = 'fail' AND p_code IN ('iu.envelope_true', 'iu.envelope_units')
     AND NOT EXISTS (SELECT FROM public.iu_three_axis_envelope_mark m WHERE m.unit_ids IS NULL)
     AND (iu.fn_iu_three_axis_envelope_drift_check(false) -> 'in_sync')::boolean THEN
    INSERT INTO public.iu_three_axis_envelope_mark (unit_ids) VALUES (NULL);
    PERFORM iu_core.wake();
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_turned IS
  'At the point fn_iu_invariant_turned: where an invariant of the envelope turns to fail and no mark says why, a mark '
  'for all units, so that the next refresh compares everything. Arguments: code, verdict, the one before, detail.';

SELECT iu.fn_iu_hook_add(22, 'iu.fn_iu_invariant_turned(text,text,text,text)',
  'iu.fn_iu_envelope_turned(text,text,text,text)');
