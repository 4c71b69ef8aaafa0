-- A limit of deliveries a second: what a claim may take of a route. Nothing here is
-- asked for a route without a limit.

CREATE FUNCTION iu.fn_iu_pace_left(p_route public.iu_outbound_route) RETURNS double precision
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_most constant float8 := greatest(p_route.per_second / 5, 1);
  v_at   public.iu_route_pace;
BEGIN
  SELECT * INTO v_at FROM public.iu_route_pace WHERE route_code = p_route.route_code;
  IF NOT FOUND THEN
    RETURN c_most;
  END IF;
  -- A time that lies ahead was written before the server started with a clock that had been set back.
  RETURN least(c_most, v_at.left_over + p_route.per_second::float8
    * greatest(extract(epoch FROM iu_core.steady_clock() - v_at.counted_at), 0)::float8);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pace_left IS
  'How many deliveries a route with a limit may claim now, whole ones and parts: what was left over and what has come '
  'since, at most a fifth of what comes in a second, and at least 1.';

CREATE FUNCTION iu.fn_iu_pace_room(p_route public.iu_outbound_route) RETURNS integer
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN CASE WHEN p_route.per_second IS NOT NULL THEN greatest(floor(iu.fn_iu_pace_left(p_route)), 0)::integer END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pace_room IS
  'For the claim: how many deliveries it may take of a route by its limit a second; NULL: there is no limit.';

CREATE FUNCTION iu.fn_iu_pace_take(p_route public.iu_outbound_route, p_taken integer) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_route.per_second IS NULL OR p_taken = 0 THEN
    RETURN;
  END IF;
  INSERT INTO public.iu_route_pace (route_code, left_over, counted_at)
    VALUES (p_route.route_code, greatest(iu.fn_iu_pace_left(p_route) - p_taken, -100000), iu_core.steady_clock())
    ON CONFLICT (route_code) DO UPDATE SET left_over = excluded.left_over, counted_at = excluded.counted_at;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pace_take IS
  'For the claim: counts what it has taken of a route with a limit a second. Writes nothing for another.';

CREATE FUNCTION iu.fn_iu_pace_ready(p_route_code text) RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route public.iu_outbound_route;
  v_left  float8;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  IF v_route.per_second IS NULL THEN
    RETURN NULL;
  END IF;
  v_left := iu.fn_iu_pace_left(v_route);
  RETURN CASE WHEN v_left < 1
              THEN iu_core.steady_clock()
                + make_interval(secs => (1 - v_left) / v_route.per_second::float8 + 0.001) END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pace_ready IS
  'When a route with a limit a second may claim the next delivery, a time of iu_core.steady_clock(); NULL: now.';
