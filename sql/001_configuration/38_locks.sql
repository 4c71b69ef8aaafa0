-- What a table that somebody has locked keeps from being told. Functions that tell how
-- things stand wait for a lock for 1 s and then say who holds it: a monitor that hangs
-- tells nobody anything.

CREATE FUNCTION iu.fn_iu_process_told(p_pid integer) RETURNS text
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
RETURN coalesce((
  SELECT format('pid %s (%s)', a.pid, concat_ws(', ', coalesce(
           (SELECT concat_ws(' ', w.role, w.number) FROM iu_core.worker_status() w WHERE w.pid = a.pid),
           'application "' || nullif(a.application_name, '') || '"'), 'user ' || a.usename, a.state))
    FROM pg_stat_activity a WHERE a.pid = p_pid), 'pid ' || p_pid);
COMMENT ON FUNCTION iu.fn_iu_process_told IS
  'A process in words, e.g. pid 7 (application "psql", user olga): its pid. NULL for NULL. Raises nothing.';

CREATE FUNCTION iu.fn_iu_tables_locked() RETURNS TABLE (table_name text, holder text)
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH lock AS MATERIALIZED (
    SELECT k.* FROM pg_locks k WHERE k.pid IS DISTINCT FROM pg_backend_pid()
  )
  SELECT CASE n.nspname WHEN 'public' THEN c.relname::text ELSE format('%I.%I', n.nspname, c.relname) END,
         string_agg(DISTINCT coalesce(iu.fn_iu_process_told(k.pid),
           (SELECT format('prepared transaction "%s"', x.gid)
              FROM lock t JOIN pg_prepared_xacts x ON x.transaction = t.transactionid
             WHERE t.pid IS NULL AND t.virtualtransaction = k.virtualtransaction LIMIT 1),
           'a prepared transaction'), ', ')
    FROM lock k
    JOIN pg_class c ON c.oid = k.relation
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE k.locktype = 'relation' AND k.mode = 'AccessExclusiveLock' AND k.database = iu_core.database_oid()
     AND (c.relowner = 'iu_core_owner'::regrole OR n.nspname = 'iu_core')
   GROUP BY 1 ORDER BY 1
$function$;
COMMENT ON FUNCTION iu.fn_iu_tables_locked IS
  'The tables and indexes of iu_core that nobody can read at this moment, since another session has locked them or '
  'waits to do so, and who, in words. Raises nothing.';

CREATE FUNCTION iu.fn_iu_troubles_of_locks()
  RETURNS TABLE (severity text, about text, name text, since timestamptz, trouble text, next_action text)
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH locked AS MATERIALIZED (SELECT l.* FROM iu.fn_iu_tables_locked() l)
  SELECT 'critical', 'lock', l.table_name, NULL::timestamptz,
         format('%s is locked by %s, so that nobody can tell what it has', l.table_name, l.holder),
         'end who holds it: pg_terminate_backend(pid)'
    FROM locked l
  UNION ALL
  SELECT 'warning', 'lock', NULL, NULL, 'not everything can be told: a table was locked, and is not any more',
         'ask again'
   WHERE NOT EXISTS (SELECT FROM locked)
$function$;
COMMENT ON FUNCTION iu.fn_iu_troubles_of_locks IS
  'For health, where a lock was waited for in vain: who holds it. One row at least. Raises nothing.';

CREATE FUNCTION iu.fn_iu_refuse_locked(p_what text) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE lock_not_available USING
    MESSAGE = format('%s cannot be told: a table is locked', p_what),
    DETAIL = format('Locked: %s.', coalesce((SELECT string_agg(l.table_name || ' by ' || l.holder, '; ')
                                               FROM iu.fn_iu_tables_locked() l), 'none any more')),
    HINT = 'Try again, or end who holds it with pg_terminate_backend.', CONSTRAINT = 'iu_tables_locked';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_refuse_locked IS
  'For functions that wait for a lock in vain: SQLSTATE 55P03, with who holds it. Argument: what cannot be told.';
