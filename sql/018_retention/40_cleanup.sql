-- Deleting what the active policies let go.

-- The condition is asked again once the rows are locked, when nobody can hand one over any more.
CREATE FUNCTION iu.fn_iu_core_retention_delete(p_table regclass, p_where text, p_max_rows bigint) RETURNS bigint
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_rows    tid[];
  v_deleted bigint;
BEGIN
  EXECUTE format($sql$
    SELECT array_agg(x.row)
      FROM (SELECT r.ctid AS row FROM %s AS r WHERE %s LIMIT %s FOR UPDATE SKIP LOCKED) AS x$sql$,
    p_table, p_where, p_max_rows) INTO v_rows;
  EXECUTE format('DELETE FROM %s AS r WHERE r.ctid = ANY ($1) AND %s', p_table, p_where) USING v_rows;
  GET DIAGNOSTICS v_deleted = ROW_COUNT;
  RETURN v_deleted;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_core_retention_delete IS
  'For the cleanup: deletes rows of a table or of one partition and returns how many: which, condition on a row r, at '
  'most how many.';

-- A day of attempts that is old enough goes with its partition; what has to stay is
-- set apart first. Where that is too much, or only the attempts of some senders may
-- go, it is done row by row. The locks come last: records wait for them.
CREATE FUNCTION iu.fn_iu_core_retention_attempts(
    p_policy public.iu_core_retention_policy, p_where text, p_max_rows integer,
    OUT deleted bigint, OUT partitions date[])
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_table   text;
  v_day     date;
  v_goes    boolean;
  v_gone    bigint;
  v_rows    bigint;
  v_first   bigint;
  v_days    date[] := '{}';
BEGIN
  partitions := '{}';
  deleted := iu.fn_iu_core_retention_delete('iu.iu_route_attempt_default', p_where, p_max_rows);
  deleted := deleted + iu.fn_iu_core_retention_delete('iu.iu_route_attempt_kept', p_where, p_max_rows - deleted);
  v_rows := deleted;
  v_first := deleted;
  BEGIN
    FOR v_day IN
      SELECT d FROM iu.fn_iu_attempt_days() d
       WHERE (d + 1)::timestamp AT TIME ZONE 'UTC' <= iu.fn_iu_core_retention_cutoff(p_policy)
    LOOP
      v_table := iu.fn_iu_attempt_table(v_day);
      EXECUTE format('SELECT EXISTS (SELECT FROM %s r WHERE %s)', v_table, p_where) INTO v_goes;
      CONTINUE WHEN NOT v_goes;
      v_gone := CASE WHEN p_policy.actor_scope IS NULL
        THEN iu.fn_iu_attempt_partition_leave(v_day, format('(%s) IS NOT TRUE', p_where), p_max_rows) END;
      IF v_gone IS NULL AND v_rows < p_max_rows THEN
        v_gone := iu.fn_iu_core_retention_delete(v_table::regclass, p_where, p_max_rows - v_rows);
        v_rows := v_rows + v_gone;
      ELSIF v_gone IS NOT NULL THEN
        v_days := v_days || v_day;
      END IF;
      deleted := deleted + coalesce(v_gone, 0);
    END LOOP;
    IF v_days <> '{}' THEN
      PERFORM iu.fn_iu_attempt_partitions_drop(v_days);
    END IF;
    partitions := v_days;
  EXCEPTION WHEN lock_not_available THEN
    deleted := v_first;
  END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_core_retention_attempts IS
  'For the cleanup: what a policy lets go of iu_route_attempt: policy, its condition on a row r, at most how many '
  'rows. Returns how many attempts went, and the days whose partitions did, which count for no limit. Where somebody '
  'has locked one they are left for the next call.';

CREATE FUNCTION iu.fn_iu_core_retention_cleanup(p_actor text, p_dry_run boolean, p_max_rows integer)
  RETURNS TABLE (target_table text, cutoff timestamptz, rows_eligible bigint, rows_deleted bigint, dry_run boolean)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_nestloop = off SET enable_mergejoin = off SET jit = off
AS $function$
DECLARE
  v_policy public.iu_core_retention_policy;
  v_where  text;
  v_days   date[];
  v_done   jsonb := '[]';
BEGIN
  PERFORM iu.fn_iu_require_actor(p_actor, 'runs the cleanup');
  PERFORM iu.fn_iu_require_value(p_dry_run IS NOT NULL, 'iu_retention_dry_run', 'p_dry_run', 'true or false', NULL);
  PERFORM iu.fn_iu_require_value(p_max_rows BETWEEN 1 AND 1000000, 'iu_retention_max_rows', 'p_max_rows',
    'from 1 to 1000000', p_max_rows::text);
  IF NOT p_dry_run AND NOT iu_core.gate_is_open('iu_core.retention_enabled') THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'retention is closed: gate iu_core.retention_enabled',
      HINT = 'Open it with fn_iu_gate_open, with an approval and a time limit; or make a dry run.',
      CONSTRAINT = 'iu_retention_gate_closed';
  ELSIF NOT p_dry_run THEN
    PERFORM iu.fn_iu_require_read_committed('fn_iu_core_retention_cleanup',
      'would not see who has come to need an event');
  END IF;

  -- Events come before their attempts, which may go once the event is gone; attempts come last.
  FOR v_policy IN
    SELECT p.* FROM public.iu_core_retention_policy p
     WHERE p.active ORDER BY p.target_table = 'iu_route_attempt', p.target_table
  LOOP
    target_table := v_policy.target_table;
    cutoff := iu.fn_iu_core_retention_cutoff(v_policy);
    dry_run := p_dry_run;
    rows_deleted := 0;
    v_where := iu.fn_iu_core_retention_where(v_policy);
    EXECUTE format('SELECT count(*) FROM public.%I AS r WHERE %s', target_table, v_where) INTO rows_eligible;
    v_days := '{}';
    IF NOT p_dry_run AND target_table = 'iu_route_attempt' THEN
      SELECT a.deleted, a.partitions INTO rows_deleted, v_days
        FROM iu.fn_iu_core_retention_attempts(v_policy, v_where, p_max_rows) a;
    ELSIF NOT p_dry_run AND rows_eligible > 0 THEN
      rows_deleted := iu.fn_iu_core_retention_delete(format('public.%I', target_table)::regclass, v_where, p_max_rows);
    END IF;
    v_done := v_done || jsonb_strip_nulls(jsonb_build_object('target_table', target_table, 'cutoff', cutoff,
      'rows_eligible', rows_eligible, 'rows_deleted', rows_deleted, 'partitions', nullif(v_days, '{}')));
    RETURN NEXT;
  END LOOP;
  PERFORM iu.fn_dot_iu_command_write(
    'dot_iu_retention_cleanup', 'health', CASE WHEN p_dry_run THEN 'plan' ELSE 'apply' END,
    CASE WHEN p_dry_run THEN 'planned' ELSE 'applied' END, NOT p_dry_run, md5(p_max_rows::text),
    iu.fn_iu_gate_snapshot(), jsonb_build_object('tables', v_done, 'max_rows', p_max_rows), p_actor);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_core_retention_cleanup IS
  'What public.fn_iu_core_retention_cleanup hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_core_retention_cleanup(
    p_actor text, p_dry_run boolean DEFAULT true, p_max_rows integer DEFAULT 50000)
  RETURNS TABLE (target_table text, cutoff timestamptz, rows_eligible bigint, rows_deleted bigint, dry_run boolean)
  LANGUAGE sql VOLATILE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_core_retention_cleanup(p_actor, p_dry_run, p_max_rows)
   WHERE iu_core.require_role('{iu_core_operator}');
END;
COMMENT ON FUNCTION public.fn_iu_core_retention_cleanup IS
  'Deletes what the active policies let go, one batch of at most p_max_rows (1 to 1000000) a table, and of '
  'iu_route_attempt all partitions that are old as a whole, or only '
  'counts it: who, whether it is a dry run. Call it again, in a transaction of its own each time, until '
  'rows_deleted is 0. Returns one row a table: (target_table, cutoff, rows_eligible, rows_deleted, dry_run). What '
  'stays whatever its age: see iu_core_retention_target; what another transaction has locked is left for the '
  'next call. Logged. SQLSTATE 42501: gate iu_core.retention_enabled is closed and it is no dry run; 23514: '
  'actor, dry run or limit; 25000: another isolation level than READ COMMITTED.';
