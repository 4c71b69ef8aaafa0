-- What a gate demands before it opens. fn_iu_gate_demands of migration 003 calls
-- fn_iu_gate_demands_met, since that is here.

CREATE FUNCTION iu.fn_iu_gate_demands_met(p_gate_key text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_disabled text;
  v_codes    text[];
  v_run      public.iu_invariant_run;
  v_detail   text;
  v_hint     text;
BEGIN
  SELECT min(d.invariant_code) FILTER (WHERE NOT i.enabled),
         array_agg(d.invariant_code) FILTER (WHERE (
           s.verdict = 'pass' AND s.checked_at <= clock_timestamp()
           AND s.checked_at > clock_timestamp() - make_interval(secs => d.max_age_seconds)
           AND s.place = iu_core.place()) IS NOT TRUE)
    INTO v_disabled, v_codes
    FROM public.iu_gate_demand d
    JOIN public.iu_invariant i ON i.invariant_code = d.invariant_code
    LEFT JOIN public.iu_invariant_state s ON s.invariant_code = d.invariant_code
   WHERE d.gate_key = p_gate_key;
  IF v_disabled IS NOT NULL THEN
    RAISE SQLSTATE 'IU112' USING
      MESSAGE = format('gate "%s" demands invariant "%s", which is disabled', p_gate_key, v_disabled),
      DETAIL = format('Gate: %s; invariant: %s.', p_gate_key, v_disabled),
      HINT = 'An administrator enables it with fn_iu_invariant_enable, or takes the demand back with '
        'fn_iu_gate_demand_unset.', CONSTRAINT = 'iu_gate_demand_disabled';
  ELSIF v_codes IS NULL THEN
    RETURN;
  END IF;
  -- An invariant that fails is reported before one of which nothing is known.
  SELECT r.* INTO v_run FROM iu.fn_iu_invariant_check_as(v_codes, 'gate') AS r
   WHERE r.verdict <> 'pass' ORDER BY r.verdict, r.invariant_code LIMIT 1;
  IF FOUND THEN
    v_detail := concat_ws(E'\n', v_run.detail, 'Keys: ' || nullif(array_to_string(v_run.keys, ', '), ''),
      (SELECT 'It means: ' || i.meaning FROM public.iu_invariant i WHERE i.invariant_code = v_run.invariant_code));
    v_hint := format('Check it again: SELECT * FROM fn_iu_invariant_check(%L);', v_run.invariant_code);
    IF v_run.verdict = 'fail' THEN
      RAISE SQLSTATE 'IU111' USING
        MESSAGE = format('gate "%s" demands invariant "%s", which fails', p_gate_key, v_run.invariant_code),
        DETAIL = v_detail, HINT = v_hint, CONSTRAINT = 'iu_gate_demand_fails';
    END IF;
    RAISE SQLSTATE 'IU112' USING
      MESSAGE = format('gate "%s" demands invariant "%s", which is unknown', p_gate_key, v_run.invariant_code),
      DETAIL = v_detail, HINT = v_hint, CONSTRAINT = 'iu_gate_demand_unknown';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_demands_met IS
  'For fn_iu_gate_open, before the gate is locked: raises unless every invariant that the gate demands passed '
  'lately, or passes now. For openings and renewals by hand; the watchdog''s renewals of a standing approval ask '
  'nothing. Errors: IU111 one fails, IU112 one is unknown or disabled; 25000 outside of READ COMMITTED where one '
  'has to be checked.';

CREATE FUNCTION iu.fn_iu_gate_demand_set(
    p_gate_key text, p_code text, p_max_age_seconds integer, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_run_id uuid;
BEGIN
  PERFORM iu.fn_iu_gate_require_governable(p_gate_key);
  IF NOT EXISTS (SELECT FROM public.iu_invariant i WHERE i.invariant_code = p_code) THEN
    RAISE undefined_object USING
      MESSAGE = format('invariant "%s" is not registered', coalesce(p_code, '')),
      DETAIL = format('Invariant: %s.', coalesce(p_code, '')),
      HINT = 'v_iu_invariant lists them.', CONSTRAINT = 'iu_invariant_unknown';
  END IF;
  PERFORM iu.fn_iu_require_value(p_max_age_seconds BETWEEN 0 AND 86400, 'iu_gate_demand_max_age',
    'p_max_age_seconds', 'from 0 to 86400', p_max_age_seconds::text);
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_gate_demand_set', 'gate_key', p_gate_key, 'applied', p_actor,
    p_reason, jsonb_build_object('invariant_code', p_code, 'max_age_seconds', p_max_age_seconds));
  INSERT INTO public.iu_gate_demand (gate_key, invariant_code, max_age_seconds, set_by, reason)
    VALUES (p_gate_key, p_code, p_max_age_seconds, p_actor, p_reason)
    ON CONFLICT (gate_key, invariant_code) DO UPDATE
      SET max_age_seconds = excluded.max_age_seconds, set_by = excluded.set_by, session_role = session_user,
          reason = excluded.reason, set_at = clock_timestamp();
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_gate_demand d WHERE d.gate_key = p_gate_key AND d.invariant_code = p_code
              AND d.max_age_seconds = p_max_age_seconds),
    'public.iu_gate_demand', 'setting the demand');
  RETURN jsonb_build_object('status', 'set', 'gate_key', p_gate_key, 'invariant_code', p_code,
                            'max_age_seconds', p_max_age_seconds, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_demand_set IS
  'What public.fn_iu_gate_demand_set hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_gate_demand_set(
    p_gate_key text, p_code text, p_max_age_seconds integer, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_gate_demand_set(p_gate_key, p_code, p_max_age_seconds, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_demand_set IS
  'Has a gate demand an invariant before it opens, and logs it: gate, invariant, for how many seconds a pass is '
  'good (0 to 86400; 0: each opening checks), who, why. Break-glass is bound by it as well. Returns {status: set, '
  'gate_key, invariant_code, max_age_seconds, run_id}. Errors: 42501 not a governable gate, 42704 not registered, '
  '23514 seconds, actor or reason missing or out of range.';

CREATE FUNCTION iu.fn_iu_gate_demand_unset(p_gate_key text, p_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_run_id uuid;
BEGIN
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_gate_demand_unset', 'gate_key', p_gate_key, 'applied', p_actor,
    p_reason, jsonb_build_object('invariant_code', p_code));
  DELETE FROM public.iu_gate_demand WHERE gate_key = p_gate_key AND invariant_code = p_code;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('gate "%s" does not demand invariant "%s"', coalesce(p_gate_key, ''), coalesce(p_code, '')),
      DETAIL = format('Gate: %s; invariant: %s.', coalesce(p_gate_key, ''), coalesce(p_code, '')),
      HINT = 'iu_gate_demand has the demands.', CONSTRAINT = 'iu_gate_demand_missing';
  END IF;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.iu_gate_demand d WHERE d.gate_key = p_gate_key AND d.invariant_code = p_code),
    'public.iu_gate_demand', 'taking back the demand');
  RETURN jsonb_build_object('status', 'unset', 'gate_key', p_gate_key, 'invariant_code', p_code,
                            'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_demand_unset IS
  'What public.fn_iu_gate_demand_unset hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_gate_demand_unset(p_gate_key text, p_code text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_gate_demand_unset(p_gate_key, p_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_demand_unset IS
  'Takes a gate''s demand back, and logs it: gate, invariant, who, why. Returns {status: unset, gate_key, '
  'invariant_code, run_id}. SQLSTATE 42704: it does not demand it; 23514: actor or reason missing.';
