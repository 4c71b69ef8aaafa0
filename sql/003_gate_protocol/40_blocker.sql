-- Who stands in the way of a change of a gate.

CREATE FUNCTION iu.fn_iu_gate_blocker(p_gate_key text) RETURNS text
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_blocking CONSTANT text[] := ARRAY['ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'];
  c_written  CONSTANT oid[] := ARRAY['public.dot_config'::regclass, 'public.iu_gate_transition'::regclass];
  c_read     CONSTANT oid := 'public.iu_gate_registry'::regclass;
  v_holder   xid;
  v_holders  xid[] := '{}';
  v_blocker  text;
BEGIN
  -- While somebody holds such a lock on a table, or waits for it, the row cannot be read without waiting.
  IF p_gate_key IS NOT NULL
     AND NOT EXISTS (SELECT FROM pg_locks k
                      WHERE k.locktype = 'relation' AND k.pid IS DISTINCT FROM pg_backend_pid()
                        AND k.database = iu_core.database_oid()
                        AND (k.relation = ANY (c_written) AND k.mode = ANY (c_blocking)
                             OR k.relation = c_read AND k.mode = 'AccessExclusiveLock')) THEN
    SELECT c.xmax INTO v_holder FROM public.dot_config c WHERE c.key = p_gate_key;
    v_holders := ARRAY[v_holder];
    IF NOT EXISTS (SELECT FROM pg_locks k WHERE k.locktype = 'transactionid' AND k.transactionid = v_holder) THEN
      -- Several may hold the row: then its xmax names not a transaction but a set of them.
      BEGIN
        v_holders := v_holders || ARRAY(SELECT m.xid FROM pg_get_multixact_members(v_holder) m WHERE m.mode <> 'keysh');
      EXCEPTION WHEN internal_error THEN
        NULL;                   -- there is no such set: its transactions have just ended
      END;
    END IF;
  END IF;

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
     WHERE k.locktype = 'transactionid' AND k.granted AND k.transactionid = ANY (v_holders)
    UNION
    -- A row locked in a subtransaction that has ended bears the number of a transaction that nobody holds.
    SELECT 4, k.pid, k.virtualtransaction, 'row locked by one of' FROM lock k
     WHERE p_gate_key IS NOT NULL
       AND k.locktype = 'relation' AND k.granted AND k.database = iu_core.database_oid() AND k.relation = c_written[1]
       AND k.mode IN ('RowShareLock', 'RowExclusiveLock')
  ), named AS (
    SELECT c.rank, c.what,
           coalesce(
             (SELECT format('pid %s (%s)', a.pid, concat_ws(', ',
                       'application "' || nullif(a.application_name, '') || '"', 'user ' || a.usename, a.state,
                       'in transaction since '
                         || to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'))
                FROM pg_stat_activity a WHERE a.pid = c.pid),
             (SELECT format('prepared transaction "%s" (user %s, since %s UTC)', p.gid, p.owner,
                            to_char(p.prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))
                FROM lock k JOIN pg_prepared_xacts p ON p.transaction = k.transactionid
               WHERE c.pid IS NULL AND k.pid IS NULL AND k.locktype = 'transactionid'
                 AND k.virtualtransaction = c.virtualtransaction LIMIT 1),
             'pid ' || nullif(c.pid, 0), 'a prepared transaction') AS who
      FROM candidate c
  )
  SELECT n.what || ' ' || string_agg(n.who, ', ' ORDER BY n.who) INTO v_blocker
    FROM named n GROUP BY n.rank, n.what ORDER BY n.rank LIMIT 1;
  RETURN coalesce(v_blocker, 'locked by a transaction that has just ended');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_blocker IS
  'What public.fn_iu_gate_blocker hands on to, with the rights of its caller.';

CREATE FUNCTION public.fn_iu_gate_blocker(p_gate_key text) RETURNS text
  LANGUAGE sql VOLATILE
RETURN iu.fn_iu_gate_blocker(p_gate_key);
COMMENT ON FUNCTION public.fn_iu_gate_blocker IS
  'Who keeps a gate''s row (NULL: no row) or its tables locked, in words: pid with application, user, and where '
  'visible state and start of its transaction; or the name of a prepared transaction. For messages. Raises '
  'nothing of its own.';
