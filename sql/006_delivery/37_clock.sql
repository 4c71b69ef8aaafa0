-- Waits are told by iu_core.steady_clock(), which begins again with the time of day
-- when the server starts. A server that was started with a clock that had been
-- set back meanwhile would wait for what was written before until that time comes
-- again. So the first claim of a process bounds each wait by its own length.

CREATE FUNCTION iu.fn_iu_delivery_settle() RETURNS void
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  UPDATE public.iu_route_lease l SET expires_at = iu.fn_iu_lease_end(r.timeout_ms)
    FROM public.iu_outbound_route r
   WHERE r.route_code = l.route_code AND l.expires_at > iu.fn_iu_lease_end(r.timeout_ms);
  UPDATE public.iu_route_retry t
     SET due_at = iu_core.steady_clock() + (t.due_at - t.created_at), created_at = iu_core.steady_clock()
   WHERE t.created_at > iu_core.steady_clock() AND t.due_at IS NOT NULL;
  UPDATE public.iu_route_circuit c SET next_at = iu_core.steady_clock() + make_interval(secs => b.longest_s)
    FROM (SELECT r.route_code, 10 + r.timeout_ms / 1000.0 AS probe_s FROM public.iu_outbound_route r) AS r
    CROSS JOIN LATERAL (SELECT x.route_code, CASE x.state WHEN 'open' THEN x.open_s ELSE r.probe_s END AS longest_s
                          FROM public.iu_route_circuit x WHERE x.route_code = r.route_code) AS b
   WHERE c.route_code = b.route_code AND c.next_at > iu_core.steady_clock() + make_interval(secs => b.longest_s);
  UPDATE public.iu_route_pace SET counted_at = iu_core.steady_clock() WHERE counted_at > iu_core.steady_clock();
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_settle IS
  'Called by a sender before its first claim: no lease, retry, open circuit or limit a second waits longer from now '
  'than it was meant to when it began, though the clock was set back before the server started. Changes nothing where '
  'that is so.';
