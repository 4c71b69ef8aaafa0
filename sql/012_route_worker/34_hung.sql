-- Routes whose function does not end. 014 calls functions; that one did not end is
-- told by health, which is here.

CREATE TABLE public.iu_route_hung (
  route_code text        NOT NULL PRIMARY KEY,
  times      integer     NOT NULL DEFAULT 1,
  last_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  hold_until timestamptz NOT NULL
);
COMMENT ON TABLE public.iu_route_hung IS
  'Routes whose function did not end by its time when it was called last, nor when it was cancelled, so that the '
  'process that called it was ended. A row goes with the next call that ends.';
COMMENT ON COLUMN public.iu_route_hung.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_hung.times IS 'How often in a row';
COMMENT ON COLUMN public.iu_route_hung.last_at IS 'When that was found the last time';
COMMENT ON COLUMN public.iu_route_hung.hold_until IS
  'Until then, by iu_core.steady_clock(), the functions of other routes alone are called: as long as the function may '
  'take, from 1 s to 60 s';
GRANT SELECT ON public.iu_route_hung TO iu_core_reader;

CREATE FUNCTION iu.fn_iu_route_hung_holds(p_hold_until timestamptz) RETURNS boolean
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
-- A time that is later than it can be was made before the server was started with another clock.
RETURN p_hold_until > iu_core.steady_clock() AND p_hold_until <= iu_core.steady_clock() + interval '60 s';
COMMENT ON FUNCTION iu.fn_iu_route_hung_holds IS
  'Whether a route whose function did not end is still to wait: its hold_until. Raises nothing.';

CREATE FUNCTION iu.fn_iu_route_hung_problems() RETURNS text[]
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN coalesce((
  SELECT array_agg(format('route %s: its function did not end by its time, and the process that called it was ended, '
                          '%s time(s), the last at %s', h.route_code, h.times, h.last_at) ORDER BY h.route_code)
    FROM public.iu_route_hung h JOIN public.iu_outbound_route r ON r.route_code = h.route_code
   WHERE r.enabled AND r.retired_at IS NULL), '{}');
COMMENT ON FUNCTION iu.fn_iu_route_hung_problems IS
  'For health: the routes whose function did not end when it was called last, in words. Raises nothing.';
