-- Dead letters: a person looks at each, and closes it, or lets it be done once more.

CREATE FUNCTION iu.fn_job_dead_letter_missing(p_dead_letter_id uuid) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN iu.fn_job_refusal('dead_letter_not_found', 'dead_letter_id',
    'There is no such dead letter: v_job_dead_letter_summary says how many there are, job_dead_letter which.',
    'look_at_dead_letters') || jsonb_build_object('dead_letter_id', p_dead_letter_id);
COMMENT ON FUNCTION iu.fn_job_dead_letter_missing IS 'The refusal for a dead letter that there is not: its id.';

CREATE FUNCTION iu.fn_job_dead_letter_triage(
    p_dead_letter_id uuid, p_triage_status text, p_actor text, p_note text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_letter public.job_dead_letter;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_job_dead_letter_triage');
  IF (p_triage_status IN ('manual_replay', 'closed')) IS NOT TRUE THEN
    RETURN iu.fn_job_invalid('triage_status', p_triage_status, 'manual_replay or closed');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_job_invalid('actor', p_actor, 'who decides, in 1 to 200 characters');
  ELSIF iu_core.text_problem(p_note, true) IS NOT NULL THEN
    RETURN iu.fn_job_invalid('note', p_note, 'why, in one line');
  END IF;
  SELECT d.* INTO v_letter FROM public.job_dead_letter d WHERE d.dead_letter_id = p_dead_letter_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN iu.fn_job_dead_letter_missing(p_dead_letter_id);
  ELSIF v_letter.triage_status = 'closed' THEN
    RETURN iu.fn_job_refusal('dead_letter_closed', 'dead_letter_id',
        'It is over: add a job of its own for what is left to do.', 'enqueue_a_job')
        || jsonb_build_object('dead_letter_id', p_dead_letter_id,
      'replayed_as', v_letter.replayed_as);
  END IF;
  UPDATE public.job_dead_letter d
     SET triage_status = p_triage_status, triaged_at = now(), triaged_by = p_actor, triage_note = p_note
   WHERE d.dead_letter_id = p_dead_letter_id;
  IF p_triage_status = 'closed' THEN
    UPDATE public.job_queue q SET state = 'failed', updated_at = now()
     WHERE q.job_id = v_letter.job_id AND q.state = 'dead_letter';
  END IF;
  RETURN jsonb_build_object('refused', false, 'status', p_triage_status, 'dead_letter_id', p_dead_letter_id,
    'job_id', v_letter.job_id, 'previous', v_letter.triage_status, 'run_id',
    iu.fn_dot_iu_command_note('dot_iu_triage_dead_letter', 'dead_letter_id', p_dead_letter_id::text, 'applied', p_actor,
      p_note, jsonb_build_object('triage_status', p_triage_status, 'job_id', v_letter.job_id)));
END
$function$;
COMMENT ON FUNCTION iu.fn_job_dead_letter_triage IS
  'What public.fn_job_dead_letter_triage hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_job_dead_letter_triage(
    p_dead_letter_id uuid, p_triage_status text, p_actor text, p_note text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_job_dead_letter_triage(p_dead_letter_id, p_triage_status, p_actor, p_note) END;
COMMENT ON FUNCTION public.fn_job_dead_letter_triage IS
  'Decides about a dead letter, and logs it: which, manual_replay (fn_job_dead_letter_replay may do it once more) or '
  'closed (it is over: the job is failed), who, why. Returns {refused: false, status: manual_replay | closed, '
  'dead_letter_id, job_id, previous, run_id}. Refusals {refused: true, reason, field, guidance, next_action} that '
  'write nothing, in this order: invalid_input (triage_status, actor, note), dead_letter_not_found, '
  'dead_letter_closed with the job that it was replayed as. SQLSTATE 25000: another isolation level than READ '
  'COMMITTED.';

CREATE FUNCTION iu.fn_job_dead_letter_replay(
    p_dead_letter_id uuid, p_actor text, p_reason text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_letter public.job_dead_letter;
  v_job    public.job_queue;
  v_key    CONSTANT text := 'replay:' || p_dead_letter_id;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_job_dead_letter_replay');
  IF p_dry_run IS NULL THEN
    RETURN iu.fn_job_invalid('dry_run', NULL, 'true or false');
  ELSIF NOT p_dry_run AND NOT iu_core.gate_is_open('queue.dlq.replay_enabled') THEN
    RETURN iu.fn_job_gate_refusal('queue.dlq.replay_enabled');
  ELSIF NOT p_dry_run AND NOT iu_core.gate_is_open('queue.job_substrate.enabled') THEN
    RETURN iu.fn_job_gate_refusal('queue.job_substrate.enabled');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_job_invalid('actor', p_actor, 'who has it done once more, in 1 to 200 characters');
  ELSIF iu_core.text_problem(p_reason, true) IS NOT NULL THEN
    RETURN iu.fn_job_invalid('reason', p_reason, 'why, in one line');
  END IF;
  SELECT d.* INTO v_letter FROM public.job_dead_letter d WHERE d.dead_letter_id = p_dead_letter_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN iu.fn_job_dead_letter_missing(p_dead_letter_id);
  ELSIF v_letter.triage_status <> 'manual_replay' THEN
    RETURN iu.fn_job_refusal('triage_status_not_manual_replay', 'dead_letter_id',
        'Decide about it with fn_job_dead_letter_triage first; what is closed is not done again.',
        'triage_the_dead_letter')
      || jsonb_build_object('dead_letter_id', p_dead_letter_id, 'triage_status', v_letter.triage_status);
  END IF;
  v_job := jsonb_populate_record(NULL::public.job_queue, v_letter.job_snapshot);
  v_job.idempotency_key := v_key;
  v_job.scheduled_at := now();
  v_job.actor := p_actor;
  IF p_dry_run THEN
    RETURN jsonb_build_object('refused', false, 'status', 'would_replay', 'dead_letter_id', p_dead_letter_id,
      'job_kind', v_job.job_kind, 'priority', v_job.priority, 'payload_json', v_job.payload_json,
      'idempotency_key', v_key);
  END IF;
  v_job.job_id := iu.fn_job_put(v_job);
  IF v_job.job_id IS NULL THEN
    RETURN iu.fn_job_refusal('idempotency_key_used', 'dead_letter_id',
        format('An active job that is no replay has the key %s: cancel it, or wait until it is over.', v_key),
        'cancel_the_job')
      || jsonb_build_object('dead_letter_id', p_dead_letter_id, 'idempotency_key', v_key);
  END IF;
  UPDATE public.job_dead_letter d
     SET triage_status = 'closed', triaged_at = now(), triaged_by = p_actor, triage_note = p_reason,
         replayed_as = v_job.job_id
   WHERE d.dead_letter_id = p_dead_letter_id;
  UPDATE public.job_queue q SET state = 'failed', updated_at = now()
   WHERE q.job_id = v_letter.job_id AND q.state = 'dead_letter';
  RETURN jsonb_build_object('refused', false, 'status', 'replayed', 'dead_letter_id', p_dead_letter_id,
    'job_id', v_job.job_id, 'idempotency_key', v_key, 'run_id',
    iu.fn_dot_iu_command_note('dot_iu_replay_dead_letter', 'dead_letter_id', p_dead_letter_id::text, 'applied', p_actor,
      p_reason, jsonb_build_object('job_id', v_letter.job_id, 'replayed_as', v_job.job_id)));
END
$function$;
COMMENT ON FUNCTION iu.fn_job_dead_letter_replay IS
  'What public.fn_job_dead_letter_replay hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_job_dead_letter_replay(
    p_dead_letter_id uuid, p_actor text, p_reason text, p_dry_run boolean DEFAULT false)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_job_dead_letter_replay(p_dead_letter_id, p_actor, p_reason, p_dry_run) END;
COMMENT ON FUNCTION public.fn_job_dead_letter_replay IS
  'Has a dead letter done once more, and logs it: which, who, why, whether only to look. A new job with all attempts '
  'and the idempotency key replay:<dead letter> is added; the letter is closed, and the old job failed. Returns '
  '{refused: false, status: replayed, dead_letter_id, job_id, idempotency_key, run_id}; to look: {refused: false, '
  'status: would_replay, dead_letter_id, job_kind, priority, payload_json, idempotency_key}. Refusals {refused: true, '
  'reason, field, guidance, next_action} that write nothing, in this order: invalid_input (dry_run), '
  'queue.dlq.replay_enabled=false and queue.job_substrate.enabled=false (not where it is only looked at), '
  'invalid_input (actor, reason), dead_letter_not_found, triage_status_not_manual_replay, idempotency_key_used (an '
  'active job has that key; not where it is only looked at). SQLSTATE 25000: another isolation level than READ '
  'COMMITTED.';
