-- 023 three-axis envelope, auto-refresh hook: a refresh that looks first whether
-- there is anything to do, and leaves a row for each call, also for one that did
-- nothing. Beside table, function, view and gate this migration brings nothing:
-- rights on the rows are all that makes the log append-only.

SELECT iu.fn_iu_gate_register(23, 'iu_core.three_axis_auto_refresh_enabled', 'governable',
  'Refreshing the three-axis envelope by trigger');

CREATE TABLE public.iu_three_axis_envelope_refresh_log (
  id               bigserial   NOT NULL,
  actor            text        NOT NULL,
  outcome          text        NOT NULL,
  dry_run          boolean     NOT NULL,
  forced           boolean     NOT NULL,
  drift_pre        jsonb       NOT NULL,
  drift_post       jsonb       NOT NULL,
  upserted_count   bigint      NOT NULL,
  deleted_count    bigint      NOT NULL,
  written_count    bigint      NOT NULL,
  view_count_pre   bigint      NOT NULL,
  table_count_pre  bigint      NOT NULL,
  table_count_post bigint      NOT NULL,
  in_sync_pre      boolean     NOT NULL,
  in_sync_post     boolean     NOT NULL,
  started_at       timestamptz NOT NULL,
  finished_at      timestamptz NOT NULL,
  CONSTRAINT iu_three_axis_envelope_refresh_log_pkey PRIMARY KEY (id),
  CONSTRAINT iu_three_axis_envelope_refresh_log_outcome_chk
    CHECK (outcome IN ('refreshed', 'skipped_in_sync', 'dry_run'))
);
CREATE INDEX iu_three_axis_envelope_refresh_log_started_idx
  ON public.iu_three_axis_envelope_refresh_log (started_at DESC);
CREATE INDEX iu_three_axis_envelope_refresh_log_actor_idx
  ON public.iu_three_axis_envelope_refresh_log (actor, started_at DESC);
COMMENT ON TABLE public.iu_three_axis_envelope_refresh_log IS
  'One row for each call of fn_iu_three_axis_envelope_refresh_if_stale. Nobody has rights to write it; rows go by '
  'retention, or by actor, while gate iu_core.retention_enabled is open.';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.id IS 'Number of the call';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.actor IS
  'Who, as told by the caller; iu_lifecycle_trigger: a trigger; iu_core runner: the runner, for what was left over';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.outcome IS 'refreshed, skipped_in_sync or dry_run';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.dry_run IS 'Whether nothing was to be written';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.forced IS
  'Whether it was to refresh whatever the drift';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.drift_pre IS
  'fn_iu_three_axis_envelope_drift_check as it was before';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.drift_post IS
  'The same afterwards; where nothing was done, as before';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.upserted_count IS
  'All rows of the view where it refreshed, or would have; 0 where it skipped';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.deleted_count IS 'Rows deleted, or that would have been';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.written_count IS
  'Rows that were really written: made, changed or deleted';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.view_count_pre IS 'Rows of the view before';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.table_count_pre IS 'Rows of the table before';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.table_count_post IS 'Rows of the table afterwards';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.in_sync_pre IS 'Whether nothing differed before';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.in_sync_post IS
  'Whether nothing differed afterwards; false where another transaction was writing a row';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.started_at IS 'When it began, by the clock';
COMMENT ON COLUMN public.iu_three_axis_envelope_refresh_log.finished_at IS
  'When it ended, by the clock; where nothing was done the same as started_at';

-- The body is here and not in schema iu, whose objects would count as well. It asks
-- who calls, and calls schema iu only.
CREATE FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale(
    p_actor text, p_dry_run boolean DEFAULT false, p_force boolean DEFAULT false)
  RETURNS TABLE (log_id bigint, outcome text, upserted_count bigint, deleted_count bigint, view_count bigint,
                 table_count bigint, in_sync_pre boolean, in_sync_post boolean)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_started timestamptz := clock_timestamp();
  v_run     record;
BEGIN
  IF NOT iu_core.caller_may('{iu_core_operator}') THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('role %s may not refresh the envelope', coalesce(iu_core.caller()::regrole::text, 'NULL')),
      DETAIL = format('Role: %s. It is for members of iu_core_operator.',
                      coalesce(iu_core.caller()::regrole::text, 'NULL')), CONSTRAINT = 'iu_envelope_role',
      HINT = 'A superuser makes somebody a member with GRANT.';
  END IF;
  PERFORM iu.fn_iu_require_actor(p_actor, 'refreshes the envelope');
  PERFORM iu.fn_iu_require_value(p_dry_run IS NOT NULL, 'iu_envelope_dry_run', 'p_dry_run', 'true or false', NULL);
  PERFORM iu.fn_iu_require_value(p_force IS NOT NULL, 'iu_envelope_force', 'p_force', 'true or false', NULL);
  SELECT r.* INTO v_run FROM iu.fn_iu_envelope_run(p_actor, p_dry_run, p_force) AS r;
  INSERT INTO public.iu_three_axis_envelope_refresh_log AS l
      (actor, outcome, dry_run, forced, drift_pre, drift_post, upserted_count, deleted_count, written_count,
       view_count_pre, table_count_pre, table_count_post, in_sync_pre, in_sync_post, started_at, finished_at)
    VALUES (p_actor, v_run.outcome, p_dry_run, p_force, v_run.drift_pre, v_run.drift_post, v_run.upserted,
            v_run.deleted, v_run.written, (v_run.drift_pre ->> 'view_count')::bigint,
            (v_run.drift_pre ->> 'table_count')::bigint, (v_run.drift_post ->> 'table_count')::bigint,
            (v_run.drift_pre ->> 'in_sync')::boolean, (v_run.drift_post ->> 'in_sync')::boolean, v_started,
            CASE WHEN v_run.acted THEN clock_timestamp() ELSE v_started END)
    RETURNING l.id, l.outcome, l.upserted_count, l.deleted_count, l.table_count_post, l.in_sync_pre, l.in_sync_post
    INTO log_id, outcome, upserted_count, deleted_count, table_count, in_sync_pre, in_sync_post;
  view_count := (v_run.drift_post ->> 'view_count')::bigint;
  RETURN NEXT;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale IS
  'Refreshes the envelope where it differs from the view, and leaves one row in iu_three_axis_envelope_refresh_log in '
  'any case: who, p_dry_run (only looks, whatever p_force says), p_force (compares all units and refreshes, whatever '
  'the marks say). Returns that row''s number, outcome (refreshed, skipped_in_sync, dry_run), all rows of the view '
  'where it refreshed or would have (upserted_count), rows deleted, rows of the view, rows of the table, and whether '
  'nothing differed before and afterwards. SQLSTATE 23514: the actor is NULL or blank, or an argument NULL; 42501: '
  'whoever calls is not in iu_core_operator; 40001 in a transaction whose snapshot is older than what it would write.';

CREATE VIEW public.v_iu_three_axis_envelope_refresh_status AS
  SELECT l.actor AS last_actor, l.outcome AS last_outcome, l.started_at AS last_started_at,
         l.finished_at AS last_finished_at, l.upserted_count AS last_upserted_count,
         l.deleted_count AS last_deleted_count, l.table_count_post AS last_table_count,
         extract(epoch FROM clock_timestamp() - l.finished_at) AS seconds_since_last_refresh, d.drift AS current_drift,
         (d.drift ->> 'in_sync')::boolean AS current_in_sync, (d.drift ->> 'view_count')::bigint AS current_view_count,
         (d.drift ->> 'table_count')::bigint AS current_table_count,
         l.id IS NOT NULL AND (d.drift ->> 'in_sync')::boolean AS cache_healthy
    FROM (SELECT iu.fn_iu_three_axis_envelope_drift_check(NULL) AS drift OFFSET 0) AS d
    LEFT JOIN LATERAL (SELECT r.* FROM public.iu_three_axis_envelope_refresh_log r
                        ORDER BY r.id DESC LIMIT 1) AS l ON true;
COMMENT ON VIEW public.v_iu_three_axis_envelope_refresh_status IS
  'One row, always: the last refresh, and how the envelope stands now.';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.last_actor IS 'Who called last; NULL: nobody did';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.last_outcome IS
  'refreshed, skipped_in_sync or dry_run';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.last_started_at IS 'When that began';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.last_finished_at IS 'When it ended';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.last_upserted_count IS
  'All rows of the view where it refreshed or would have';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.last_deleted_count IS 'Rows deleted';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.last_table_count IS 'Rows of the table afterwards';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.seconds_since_last_refresh IS
  'How long ago it ended, in s; NULL: nobody called yet';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.current_drift IS
  'fn_iu_three_axis_envelope_drift_check now';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.current_in_sync IS 'Whether nothing differs now';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.current_view_count IS 'Rows of the view now';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.current_table_count IS 'Rows of the table now';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_refresh_status.cache_healthy IS
  'Whether somebody has called and nothing differs now';

GRANT SELECT ON public.iu_three_axis_envelope_refresh_log, public.v_iu_three_axis_envelope_refresh_status
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale TO iu_core_operator;

SELECT iu.fn_iu_refusal_put(23, ARRAY[
  ['iu_envelope_role', '42501', 'The role may not refresh the envelope.', 'Be a member of iu_core_operator.'],
  ['iu_envelope_force', '23514', 'Whether the refresh is forced was left out.', 'Give true or false.']]);
