-- Who stands in the way of a change of a gate.

CREATE FUNCTION iu.fn_iu_gate_row_holders(p_gate_key text) RETURNS xid[]
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_blocking CONSTANT text[] := ARRAY['ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'];
  c_written  CONSTANT oid[] := ARRAY['public.dot_config'::regclass, 'public.iu_gate_transition'::regclass];
  c_read     CONSTANT oid := 'public.iu_gate_registry'::regclass;
  v_holder   xid;
  v_holders  xid[] := '{}';
BEGIN
  -- While somebody holds such a lock on a table, or waits for it, the row cannot be read without waiting.
  IF EXISTS (SELECT FROM pg_locks k
              WHERE k.locktype = 'relation' AND k.pid IS DISTINCT FROM pg_backend_pid()
                AND k.database = iu_core.database_oid()
                AND (k.relation = ANY (c_written) AND k.mode = ANY (c_blocking)
                     OR k.relation = c_read AND k.mode = 'AccessExclusiveLock')) THEN
    RETURN v_holders;
  END IF;
  SELECT c.xmax INTO v_holder FROM public.dot_config c WHERE c.key = p_gate_key;
  -- Several may hold the row: then its xmax names not a transaction but a set of them.
  IF NOT EXISTS (SELECT FROM pg_locks k WHERE k.locktype = 'transactionid'
                   AND k.transactionid = iu_core.top_transaction(v_holder)) THEN
    BEGIN
      v_holders := ARRAY(SELECT iu_core.top_transaction(m.xid)
                           FROM pg_get_multixact_members(v_holder) m WHERE m.mode <> 'keysh');
    EXCEPTION WHEN internal_error THEN
      NULL;                     -- there is no such set: its transactions have just ended
    END;
  END IF;
  RETURN iu_core.top_transaction(v_holder) || v_holders;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_row_holders IS
  'The transactions that hold a gate''s row of dot_config, or held it last; of a savepoint the transaction that it is '
  'in. None where a lock on a table keeps the row from being read. Argument: the gate. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_gate_blockers(p_holders xid[])
  RETURNS TABLE (what text, pid integer, gid text, who text)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_blocking CONSTANT text[] := ARRAY['ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'];
  c_written  CONSTANT oid[] := ARRAY['public.dot_config'::regclass, 'public.iu_gate_transition'::regclass];
  c_read     CONSTANT oid := 'public.iu_gate_registry'::regclass;
BEGIN
  RETURN QUERY
  WITH lock AS MATERIALIZED (
    SELECT k.* FROM pg_locks k WHERE k.pid IS DISTINCT FROM pg_backend_pid()
  ), candidate AS (
    SELECT 1 AS rank, k.pid, k.virtualtransaction, 'table locked by' AS what FROM lock k
     WHERE k.locktype = 'relation' AND k.granted AND k.database = iu_core.database_oid()
       AND (k.relation = ANY (c_written) AND k.mode = ANY (c_blocking)
            OR k.relation = c_read AND k.mode = 'AccessExclusiveLock')
    UNION
    -- A session that waits for a lock on a table keeps out everybody whose lock would conflict with it.
    SELECT 2, b.pid, NULL, 'table kept, from one that waits to lock it, by'
      FROM lock k CROSS JOIN LATERAL unnest(pg_blocking_pids(k.pid)) AS b (pid)
     WHERE k.locktype = 'relation' AND NOT k.granted AND k.database = iu_core.database_oid()
       AND (k.relation = ANY (c_written) AND k.mode = ANY (c_blocking)
            OR k.relation = c_read AND k.mode = 'AccessExclusiveLock')
    UNION
    SELECT 3, k.pid, k.virtualtransaction, 'row locked by' FROM lock k
     WHERE k.locktype = 'transactionid' AND k.granted AND k.transactionid = ANY (p_holders)
  ), foremost AS (
    SELECT c.* FROM candidate c WHERE c.rank = (SELECT min(x.rank) FROM candidate x)
  ), named AS (
    SELECT c.what, nullif(c.pid, 0) AS pid, p.gid,
           coalesce(
             (SELECT format('pid %s (%s)', a.pid, concat_ws(', ',
                       'application "' || nullif(a.application_name, '') || '"', 'user ' || a.usename, a.state,
                       'in transaction since '
                         || to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'))
                FROM pg_stat_activity a WHERE a.pid = c.pid),
             format('prepared transaction "%s" (user %s, since %s UTC)', p.gid, p.owner,
                    to_char(p.prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')),
             'pid ' || nullif(c.pid, 0), 'a prepared transaction') AS who
      FROM foremost c
      LEFT JOIN LATERAL (
        SELECT x.gid, x.owner, x.prepared
          FROM lock k JOIN pg_prepared_xacts x ON x.transaction = k.transactionid
         WHERE coalesce(c.pid, 0) = 0 AND k.pid IS NULL AND k.locktype = 'transactionid'
           AND k.virtualtransaction = c.virtualtransaction LIMIT 1) p ON true
  )
  SELECT DISTINCT n.what, n.pid, n.gid::text, n.who FROM named n ORDER BY n.who;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_blockers IS
  'Who keeps the tables of gates locked, or a gate''s row, one row each: in which way, the process or the name of the '
  'prepared transaction, and who that is in words. Only those whose lock has to go first. Argument: the transactions '
  'that hold the row, as fn_iu_gate_row_holders gives them. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_gate_blocker(p_gate_key text) RETURNS text
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
BEGIN ATOMIC
  SELECT coalesce(min(b.what) || ' ' || string_agg(b.who, ', ' ORDER BY b.who),
                  'locked by a transaction that has just ended')
    FROM iu.fn_iu_gate_blockers(iu.fn_iu_gate_row_holders(p_gate_key)) b;
END;
COMMENT ON FUNCTION iu.fn_iu_gate_blocker IS
  'What public.fn_iu_gate_blocker hands on to, with the rights of its caller.';

CREATE FUNCTION public.fn_iu_gate_blocker(p_gate_key text) RETURNS text
  LANGUAGE sql VOLATILE
RETURN iu.fn_iu_gate_blocker(p_gate_key);
COMMENT ON FUNCTION public.fn_iu_gate_blocker IS
  'Who keeps a gate''s row (NULL: no row) or its tables locked, in words: pid with application, user, and where '
  'visible state and start of its transaction; or the name of a prepared transaction. For messages. Raises '
  'nothing of its own.';
