-- Whether the certificates of live routes can be used, and for how long.

CREATE FUNCTION iu.fn_iu_certificate_problems() RETURNS TABLE (severity text, route_code text, problem text)
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT CASE WHEN f.problem IS NOT NULL THEN 'critical' WHEN f.due_at IS NULL THEN 'notice' ELSE 'warning' END,
         r.route_code,
         CASE WHEN f.problem IS NOT NULL THEN f.problem
              WHEN f.due_at IS NULL THEN
                format('when a certificate in file "%s" ends cannot be told: this server has no OpenSSL', f.file)
              WHEN f.first_ends_at < clock_timestamp() THEN
                format('file "%s" has a certificate that ended at %s, beside one that lasts: take it out',
                       f.file, f.first_ends_at)
              ELSE format('file "%s" has a certificate that ends at %s: put the next one in its place',
                          f.file, f.first_ends_at) END
    FROM public.iu_outbound_route r
    CROSS JOIN LATERAL iu_core.certificate_files(r.target_ref, r.ca_name, r.client_name) f
   WHERE r.enabled AND NOT r.dry_run AND r.retired_at IS NULL AND coalesce(r.ca_name, r.client_name) IS NOT NULL
     AND (f.problem IS NOT NULL OR f.due_at IS NULL OR f.due_at < clock_timestamp())
     AND iu.fn_iu_place_is_home()
   ORDER BY 1, 2
$function$;
COMMENT ON FUNCTION iu.fn_iu_certificate_problems IS
  'For health: the files of certificates of live routes that cannot be used (critical, also one that has ended), that '
  'are to be replaced (warning: 30 days before a certificate in it ends, or in the last third of its time where that '
  'is shorter), or of which that cannot be told (notice). Where the database is not at home, none. Raises nothing.';

CREATE FUNCTION iu.fn_iu_certificate_troubles(OUT alarm text, OUT warning text)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
BEGIN
  SELECT string_agg(format('route %s: %s', p.route_code, p.problem), '; ') FILTER (WHERE p.severity = 'critical'),
         string_agg(format('route %s: %s', p.route_code, p.problem), '; ') FILTER (WHERE p.severity = 'warning')
    INTO alarm, warning FROM iu.fn_iu_certificate_problems() p;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_certificate_troubles IS
  'For the runner and for health: what fn_iu_certificate_problems finds, critical in alarm and warnings in warning, in '
  'words; NULL: nothing. Raises nothing.';
