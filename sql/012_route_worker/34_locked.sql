-- Who keeps a route locked. A claim holds its route for milliseconds, and so does
-- whoever arms, replays or closes a circuit; a process that is stopped meanwhile, or
-- a transaction that is left open, keeps the route to itself. Senders go on with the
-- other routes.

CREATE FUNCTION iu.fn_iu_route_locks() RETURNS TABLE (route_code text, since timestamptz, holder text)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN QUERY
    WITH held AS MATERIALIZED (
      SELECT x.route_code, iu_core.top_transaction(x.xid) AS xid
        FROM (SELECT p.route_code, p.xmax AS xid FROM public.iu_route_position p
              UNION SELECT o.route_code, o.xmax FROM public.iu_route_order o
              UNION SELECT c.route_code, c.xmax FROM public.iu_route_circuit c) AS x
       WHERE x.xid <> '0'::xid
    ), lock AS MATERIALIZED (
      SELECT k.transactionid, k.pid FROM pg_locks k
       WHERE k.locktype = 'transactionid' AND k.granted AND k.pid IS DISTINCT FROM pg_backend_pid()
    )
    SELECT h.route_code, min(y.since), string_agg(DISTINCT y.holder, ', ' ORDER BY y.holder)
      FROM held h
      JOIN lock k ON k.transactionid = h.xid
      CROSS JOIN LATERAL (
        SELECT coalesce((SELECT w.last_tick FROM iu_core.worker_status() w WHERE w.pid = a.pid), a.xact_start) AS since,
               iu.fn_iu_process_told(a.pid) AS holder
          FROM pg_stat_activity a WHERE a.pid = k.pid
        UNION ALL
        SELECT x.prepared, format('prepared transaction "%s" (user %s)', x.gid, x.owner)
          FROM pg_prepared_xacts x WHERE x.transaction = h.xid) AS y
     GROUP BY h.route_code;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_locks IS
  'The routes that a transaction keeps locked at this moment, so that no sender can claim of them: since when (of a '
  'worker its last pass; NULL: that is hidden from iu_core_owner), and who, in words. Raises nothing.';

CREATE FUNCTION iu.fn_iu_route_lock_problems() RETURNS TABLE (route_code text, since timestamptz, problem text)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_long constant interval := '10 s';
BEGIN
  RETURN QUERY
    SELECT l.route_code, l.since, format('it is locked since %s by %s, so that no sender can claim of it',
             date_trunc('second', l.since), l.holder)
      FROM iu.fn_iu_route_locks() l WHERE l.since < clock_timestamp() - c_long ORDER BY l.route_code;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_lock_problems IS
  'For health: the routes that somebody has kept locked for longer than 10 s, since when, and who in words. Raises '
  'nothing.';
