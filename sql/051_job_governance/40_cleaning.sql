-- What is over for long loses what it was about, and may then be deleted by retention.

CREATE FUNCTION iu.fn_job_clean(
    p_keep_days integer, p_actor text, p_reason text, p_limit integer, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_before timestamptz;
  v_ids    uuid[];
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_job_clean');
  IF p_dry_run IS NULL THEN
    RETURN iu.fn_job_invalid('dry_run', NULL, 'true or false');
  ELSIF NOT p_dry_run AND NOT iu_core.gate_is_open('iu_core.retention_enabled') THEN
    RETURN iu.fn_job_gate_refusal('iu_core.retention_enabled');
  ELSIF (p_keep_days BETWEEN 1 AND 36500) IS NOT TRUE THEN
    RETURN iu.fn_job_invalid('keep_days', p_keep_days::text, 'from 1 to 36500');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_job_invalid('actor', p_actor, 'who cleans, in 1 to 200 characters');
  ELSIF iu_core.text_problem(p_reason, true) IS NOT NULL THEN
    RETURN iu.fn_job_invalid('reason', p_reason, 'why, in one line');
  ELSIF (p_limit BETWEEN 1 AND 50000) IS NOT TRUE THEN
    RETURN iu.fn_job_invalid('limit', p_limit::text, 'from 1 to 50000');
  END IF;
  v_before := least(now(), iu_core.steady_clock()) - make_interval(days => p_keep_days);
  v_ids := ARRAY(SELECT q.job_id FROM public.job_queue q
                  WHERE q.finished_at < v_before AND q.state IN ('succeeded', 'failed', 'cancelled')
                  ORDER BY q.finished_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED);
  IF p_dry_run OR v_ids = '{}' THEN
    RETURN jsonb_build_object('refused', false, 'status', CASE WHEN p_dry_run THEN 'dry_run' ELSE 'cleaned' END,
      'jobs', cardinality(v_ids));
  END IF;
  UPDATE public.job_queue q
     SET state = 'cleaned', payload_json = '{}', result_json = NULL, source_ref = NULL, target_ref = NULL,
         payload_ref = NULL, last_error = NULL, updated_at = now()
   WHERE q.job_id = ANY (v_ids);
  RETURN jsonb_build_object('refused', false, 'status', 'cleaned', 'jobs', cardinality(v_ids), 'run_id',
    iu.fn_dot_iu_command_note('dot_iu_clean_jobs', NULL, NULL, 'applied', p_actor, p_reason,
      jsonb_build_object('keep_days', p_keep_days, 'jobs', cardinality(v_ids))));
END
$function$;
COMMENT ON FUNCTION iu.fn_job_clean IS 'What public.fn_job_clean hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_job_clean(
    p_keep_days integer, p_actor text, p_reason text, p_limit integer DEFAULT 10000, p_dry_run boolean DEFAULT true)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_job_clean(p_keep_days, p_actor, p_reason, p_limit, p_dry_run) END;
COMMENT ON FUNCTION public.fn_job_clean IS
  'Takes payload, result, references and errors from jobs that succeeded, failed or were cancelled so many days ago, '
  'and logs it: days, who, why, how many at most (1 to 50000, the oldest first), whether only to look. Their rows '
  'stay, cleaned, until retention deletes them. Returns {refused: false, status: cleaned | dry_run, jobs: how many, '
  'run_id}. Refusals {refused: true, reason, field, guidance, next_action} that write nothing, in this order: '
  'invalid_input (dry_run), iu_core.retention_enabled=false (not where it is only looked at), invalid_input '
  '(keep_days, actor, reason, limit). SQLSTATE 25000: another isolation level than READ COMMITTED.';

INSERT INTO public.iu_core_retention_target (target_table, age_column, actor_column, condition, migration) VALUES
  ('job_queue', 'finished_at', 'actor', $$r.state = 'cleaned'$$, 51),
  ('job_dead_letter', 'triaged_at', 'triaged_by', $$r.triage_status = 'closed'$$, 51);
INSERT INTO public.iu_core_retention_policy (target_table, age_column, keep_days, actor_scope, reason) VALUES
  ('job_queue', 'finished_at', 90, NULL, 'that a job was done is looked into for a quarter'),
  ('job_dead_letter', 'triaged_at', 365, NULL, 'what was decided about a dead letter is looked into for a year');
