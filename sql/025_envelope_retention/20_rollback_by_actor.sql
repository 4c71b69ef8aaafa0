-- The runtime rollback: rows that a rehearsal left in the log of refreshes.

CREATE FUNCTION iu.fn_iu_runtime_rollback_by_actor(p_target_table text, p_actor text, p_dry_run boolean)
  RETURNS TABLE (target_table text, actor text, rows_matching bigint, rows_deleted bigint, dry_run boolean)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_caller CONSTANT text := coalesce(iu_core.caller()::regrole::text, session_user::text);
  v_ids    bigint[];
  v_digest text;
BEGIN
  PERFORM iu.fn_iu_require_value(p_target_table = 'iu_three_axis_envelope_refresh_log', 'iu_runtime_rollback_target',
    'p_target_table', 'iu_three_axis_envelope_refresh_log', p_target_table);
  PERFORM iu.fn_iu_require_actor(p_actor, 'has the rows');
  PERFORM iu.fn_iu_require_value(p_dry_run IS NOT NULL, 'iu_runtime_rollback_dry_run', 'p_dry_run', 'true or false',
    NULL);
  IF NOT p_dry_run AND NOT iu_core.gate_is_open('iu_core.retention_enabled') THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'retention is closed: gate iu_core.retention_enabled',
      HINT = 'Open it with fn_iu_gate_open, with an approval and a time limit; or make a dry run.',
      CONSTRAINT = 'iu_retention_gate_closed';
  END IF;
  target_table := p_target_table;
  actor := p_actor;
  dry_run := p_dry_run;
  rows_deleted := 0;
  SELECT count(*) INTO rows_matching FROM public.iu_three_axis_envelope_refresh_log l WHERE l.actor = p_actor;
  IF NOT p_dry_run THEN
    v_ids := ARRAY(SELECT l.id FROM public.iu_three_axis_envelope_refresh_log l WHERE l.actor = p_actor
                    ORDER BY l.started_at DESC LIMIT 50000 FOR UPDATE SKIP LOCKED);
    WITH gone AS (
      DELETE FROM public.iu_three_axis_envelope_refresh_log l WHERE l.id = ANY (v_ids) RETURNING l.*)
    SELECT count(*), encode(sha256(convert_to(string_agg(to_jsonb(g)::text, E'\n' ORDER BY g.id), 'UTF8')), 'hex')
      INTO rows_deleted, v_digest FROM gone g;
  END IF;
  PERFORM iu.fn_dot_iu_command_write(
    'dot_iu_runtime_rollback_by_actor', 'health', CASE WHEN p_dry_run THEN 'plan' ELSE 'apply' END,
    CASE WHEN p_dry_run THEN 'planned' ELSE 'applied' END, NOT p_dry_run, md5(p_target_table || ':' || p_actor),
    iu.fn_iu_gate_snapshot(),
    jsonb_build_object('target_table', p_target_table, 'rows_of', p_actor, 'rows_matching', rows_matching,
      'rows_deleted', rows_deleted, 'sha256', v_digest), v_caller);
  RETURN NEXT;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_runtime_rollback_by_actor IS
  'What public.fn_iu_runtime_rollback_by_actor hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_runtime_rollback_by_actor(
    p_target_table text, p_actor text, p_dry_run boolean DEFAULT true)
  RETURNS TABLE (target_table text, actor text, rows_matching bigint, rows_deleted bigint, dry_run boolean)
  LANGUAGE sql VOLATILE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_runtime_rollback_by_actor(p_target_table, p_actor, p_dry_run)
   WHERE iu_core.require_role('{iu_core_operator}');
END;
COMMENT ON FUNCTION public.fn_iu_runtime_rollback_by_actor IS
  'Takes the rows of one actor out of a log, as after a rehearsal, at most 50000 in a call, the newest first: the '
  'log (iu_three_axis_envelope_refresh_log), whose rows, and whether it is a dry run, which only counts. Returns one '
  'row: (target_table, actor, rows_matching, rows_deleted, dry_run). Logged with the number and the SHA-256 of the '
  'rows that went. SQLSTATE 42501: gate iu_core.retention_enabled is closed and it is no dry run; 23514: the log, '
  'actor or dry run is missing or another one.';

GRANT EXECUTE ON FUNCTION public.fn_iu_runtime_rollback_by_actor, iu.fn_iu_runtime_rollback_by_actor
  TO iu_core_operator;
