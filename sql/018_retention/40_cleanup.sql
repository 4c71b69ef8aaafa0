-- Deleting what the active policies let go.

CREATE FUNCTION iu.fn_iu_core_retention_cleanup(p_actor text, p_dry_run boolean, p_max_rows integer)
  RETURNS TABLE (target_table text, cutoff timestamptz, rows_eligible bigint, rows_deleted bigint, dry_run boolean)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_nestloop = off SET enable_mergejoin = off SET jit = off
AS $function$
DECLARE
  v_policy public.iu_core_retention_policy;
  v_where  text;
  v_rows   tid[];
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
  ELSIF NOT p_dry_run AND current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE invalid_transaction_state USING
      MESSAGE = 'fn_iu_core_retention_cleanup needs isolation level READ COMMITTED',
      DETAIL = 'An older snapshot would not see who has come to need an event.', CONSTRAINT = 'iu_read_committed';
  END IF;

  -- Events come before their attempts, which may go once the event is gone.
  FOR v_policy IN SELECT p.* FROM public.iu_core_retention_policy p WHERE p.active ORDER BY p.target_table LOOP
    target_table := v_policy.target_table;
    cutoff := iu.fn_iu_core_retention_cutoff(v_policy.keep_days);
    dry_run := p_dry_run;
    rows_deleted := 0;
    v_where := iu.fn_iu_core_retention_where(v_policy);
    EXECUTE format('SELECT count(*) FROM public.%I AS r WHERE %s', target_table, v_where) INTO rows_eligible;
    IF NOT p_dry_run AND rows_eligible > 0 THEN
      -- The condition is asked again once the rows are locked, when nobody can hand one over any more.
      EXECUTE format($sql$
        SELECT array_agg(x.row)
          FROM (SELECT r.ctid AS row FROM public.%I AS r WHERE %s LIMIT %s FOR UPDATE SKIP LOCKED) AS x$sql$,
        target_table, v_where, p_max_rows) INTO v_rows;
      EXECUTE format('DELETE FROM public.%I AS r WHERE r.ctid = ANY ($1) AND %s', target_table, v_where) USING v_rows;
      GET DIAGNOSTICS rows_deleted = ROW_COUNT;
    END IF;
    v_done := v_done || jsonb_build_object('target_table', target_table, 'cutoff', cutoff,
                                           'rows_eligible', rows_eligible, 'rows_deleted', rows_deleted);
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
  'Deletes what the active policies let go, one batch of at most p_max_rows (1 to 1000000) a table, or only '
  'counts it: who, whether it is a dry run. Call it again, in a transaction of its own each time, until '
  'rows_deleted is 0. Returns one row a table: (target_table, cutoff, rows_eligible, rows_deleted, dry_run). What '
  'stays whatever its age: see iu_core_retention_target; what another transaction has locked is left for the '
  'next call. Logged. SQLSTATE 42501: gate iu_core.retention_enabled is closed and it is no dry run; 23514: '
  'actor, dry run or limit; 25000: another isolation level than READ COMMITTED.';
