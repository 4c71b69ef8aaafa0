-- A new job.

CREATE FUNCTION iu.fn_job_enqueue_problem(
    p_job_kind text, p_actor text, p_payload_json jsonb, p_source_ref text, p_idempotency_key text,
    p_priority integer, p_scheduled_at timestamptz, p_target_ref text, p_payload_ref text, p_max_attempts integer)
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE
  WHEN iu_core.text_problem(p_job_kind, false) IS NOT NULL
    THEN iu.fn_job_invalid('job_kind', p_job_kind, 'what is to be done, in 1 to 200 characters')
  WHEN iu_core.text_problem(p_actor, false) IS NOT NULL
    THEN iu.fn_job_invalid('actor', p_actor, 'who wants it done, in 1 to 200 characters')
  WHEN iu.fn_job_payload_problem(p_payload_json) IS NOT NULL
    THEN iu.fn_job_refusal('invalid_input', 'payload_json',
           format('payload_json must be %s; what the job works on stays where it is, and payload_ref says where.',
                  iu.fn_job_payload_problem(p_payload_json)), 'correct_the_argument')
  WHEN p_source_ref IS NOT NULL AND iu_core.text_problem(p_source_ref, true) IS NOT NULL
    THEN iu.fn_job_invalid('source_ref', p_source_ref, 'what it comes from, in one line, or NULL')
  WHEN iu_core.text_problem(p_idempotency_key, false) IS NOT NULL
    THEN iu.fn_job_invalid('idempotency_key', p_idempotency_key, '1 to 200 characters, the same for the same work')
  WHEN p_priority IS NULL OR p_priority < 0
    THEN iu.fn_job_invalid('priority', p_priority::text, 'a number from 0 on')
  WHEN p_scheduled_at IS NULL OR NOT isfinite(p_scheduled_at) OR p_scheduled_at > now() + interval '100 years'
    THEN iu.fn_job_invalid('scheduled_at', p_scheduled_at::text, 'a time of day within 100 years')
  WHEN p_target_ref IS NOT NULL AND iu_core.text_problem(p_target_ref, true) IS NOT NULL
    THEN iu.fn_job_invalid('target_ref', p_target_ref, 'what it is done to, in one line, or NULL')
  WHEN p_payload_ref IS NOT NULL AND iu_core.text_problem(p_payload_ref, true) IS NOT NULL
    THEN iu.fn_job_invalid('payload_ref', p_payload_ref, 'where its material lies, in one line, or NULL')
  WHEN p_max_attempts IS NOT NULL AND p_max_attempts NOT BETWEEN 1 AND 1000
    THEN iu.fn_job_invalid('max_attempts', p_max_attempts::text, 'from 1 to 1000, or NULL for the policy') END;
COMMENT ON FUNCTION iu.fn_job_enqueue_problem IS
  'The refusal for the first argument of fn_job_enqueue that is not as it must be; NULL: all are.';

CREATE FUNCTION iu.fn_job_put(p_job public.job_queue) RETURNS uuid
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_place  CONSTANT timestamptz :=
    iu.fn_job_place((p_job).job_kind, (p_job).priority, (p_job).scheduled_at - iu_core.clock_moved());
  v_job_id uuid;
BEGIN
  INSERT INTO public.job_queue
      (job_kind, source_ref, target_ref, payload_ref, payload_json, priority, scheduled_at, place, max_attempts,
       idempotency_key, actor, run_id)
    VALUES ((p_job).job_kind, (p_job).source_ref, (p_job).target_ref, (p_job).payload_ref, (p_job).payload_json,
            (p_job).priority, (p_job).scheduled_at, v_place, (p_job).max_attempts, (p_job).idempotency_key,
            (p_job).actor, (p_job).run_id)
    ON CONFLICT (idempotency_key) WHERE finished_at IS NULL DO NOTHING
    RETURNING job_id INTO v_job_id;
  IF v_job_id IS NOT NULL AND iu.fn_job_switch('queue.notify.enabled') THEN
    PERFORM pg_notify('iu_job_queue', (p_job).job_kind);
  END IF;
  RETURN v_job_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_job_put IS
  'Writes a new job, which waits for a worker, and tells workers where switch queue.notify.enabled is on. Argument: '
  'the job, of which what concerns its life is not read. Returns its id; NULL: an active job has its idempotency_key.';

CREATE FUNCTION iu.fn_job_known(p_job public.job_queue) RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_known public.job_queue;
BEGIN
  SELECT q.* INTO v_known FROM public.job_queue q
   WHERE q.idempotency_key = p_job.idempotency_key AND q.finished_at IS NULL;
  IF NOT FOUND THEN
    RETURN NULL;
  ELSIF (v_known.job_kind, v_known.payload_json, v_known.source_ref, v_known.target_ref, v_known.payload_ref)
        IS DISTINCT FROM (p_job.job_kind, p_job.payload_json, p_job.source_ref, p_job.target_ref, p_job.payload_ref)
  THEN
    RETURN iu.fn_job_key_used(v_known.job_id);
  END IF;
  RETURN jsonb_build_object('job_id', v_known.job_id, 'refused', false, 'status', 'idempotent_replay',
    'state', v_known.state);
END
$function$;
COMMENT ON FUNCTION iu.fn_job_known IS
  'For fn_job_enqueue, which pins its search_path: NULL where no active job has the key; otherwise idempotent_replay, '
  'or the refusal idempotency_key_used. Argument: the job as it is given.';

CREATE FUNCTION iu.fn_job_enqueue(
    p_job_kind text, p_actor text, p_payload_json jsonb, p_source_ref text, p_idempotency_key text,
    p_priority integer, p_scheduled_at timestamptz, p_target_ref text, p_payload_ref text, p_max_attempts integer,
    p_run_id uuid)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal jsonb;
  v_job     public.job_queue;
  v_job_id  uuid;
  v_known   jsonb;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_job_enqueue');
  v_refusal := CASE
    WHEN NOT iu_core.gate_is_open('queue.job_substrate.enabled')
      THEN iu.fn_job_gate_refusal('queue.job_substrate.enabled')
    ELSE iu.fn_job_enqueue_problem(p_job_kind, p_actor, p_payload_json, p_source_ref, p_idempotency_key, p_priority,
      p_scheduled_at, p_target_ref, p_payload_ref, p_max_attempts) END;
  IF v_refusal IS NOT NULL THEN
    RETURN '{"job_id": null}'::jsonb || v_refusal;
  END IF;
  v_job.job_kind := p_job_kind;
  v_job.source_ref := p_source_ref;
  v_job.target_ref := p_target_ref;
  v_job.payload_ref := p_payload_ref;
  v_job.payload_json := p_payload_json;
  v_job.priority := p_priority;
  v_job.scheduled_at := p_scheduled_at;
  v_job.max_attempts := coalesce(p_max_attempts, iu.fn_job_policy('queue.retry.max_attempts_default'));
  v_job.idempotency_key := p_idempotency_key;
  v_job.actor := p_actor;
  v_job.run_id := p_run_id;
  -- Another session may add a job with the key between the look and the writing, and that one may end.
  LOOP
    v_known := iu.fn_job_known(v_job);
    IF v_known IS NOT NULL THEN
      RETURN v_known;
    END IF;
    v_job_id := iu.fn_job_put(v_job);
    IF v_job_id IS NOT NULL THEN
      RETURN jsonb_build_object('job_id', v_job_id, 'refused', false, 'status', 'queued', 'state', 'queued');
    END IF;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_job_enqueue IS
  'What public.fn_job_enqueue hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_job_enqueue(
    p_job_kind text, p_actor text, p_payload_json jsonb, p_source_ref text, p_idempotency_key text,
    p_priority integer DEFAULT 100, p_scheduled_at timestamptz DEFAULT now(), p_target_ref text DEFAULT NULL,
    p_payload_ref text DEFAULT NULL, p_max_attempts integer DEFAULT NULL, p_run_id uuid DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_job_enqueue(p_job_kind, p_actor, p_payload_json, p_source_ref, p_idempotency_key, p_priority, p_scheduled_at,
    p_target_ref, p_payload_ref, p_max_attempts, p_run_id) END;
COMMENT ON FUNCTION public.fn_job_enqueue IS
  'Adds a job: kind, who wants it, what the worker has to know (an object of up to 256 kB; {} for nothing), what it '
  'comes from or NULL, a key that is the same for the same work; priority (a lower number first), not before when, '
  'what it is done to, where its material lies, how many attempts it may have (NULL: policy '
  'queue.retry.max_attempts_default), the run that it belongs to. It is handed out once the transaction has committed. '
  'Returns {job_id, refused: false, status: queued | idempotent_replay (an active job has the key, and is the same by '
  'kind, payload and references: its id), state}. Refusals {job_id: null, refused: true, reason, field, guidance, '
  'next_action} that write nothing, in this order: queue.job_substrate.enabled=false (the gate is closed), '
  'invalid_input (field job_kind, actor, payload_json, source_ref, idempotency_key, priority, scheduled_at, '
  'target_ref, payload_ref or max_attempts), idempotency_key_used (an active job has the key, and is another one). '
  'SQLSTATE 25000: another isolation level than READ COMMITTED; 55000: a policy of the queue is no number.';
