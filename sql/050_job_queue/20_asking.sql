-- What the functions of the queue ask before they change anything, and how they
-- answer. A refusal is {refused: true, reason, field, guidance, next_action}, and
-- nothing was written; a claim, which returns rows, raises instead.

CREATE FUNCTION iu.fn_job_refusal(p_reason text, p_field text, p_guidance text, p_next_action text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN jsonb_build_object('refused', true, 'reason', p_reason, 'field', p_field, 'guidance', p_guidance,
  'next_action', p_next_action);
COMMENT ON FUNCTION iu.fn_job_refusal IS
  'A refusal of a function of the queue. Arguments: reason, which argument or NULL, what to do in a sentence, the next '
  'step as a word for programs.';

CREATE FUNCTION iu.fn_job_gate_refusal(p_key text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN iu.fn_job_refusal(p_key || '=false', NULL,
  format('Open gate %s with fn_iu_gate_open, with an approval and a time limit of at most an hour; a queue that runs '
         'unattended runs on a standing approval.', p_key), 'open_the_gate');
COMMENT ON FUNCTION iu.fn_job_gate_refusal IS 'The refusal while a gate of the queue is closed: its key.';

CREATE FUNCTION iu.fn_job_switch_refusal(p_key text, p_wanted text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN iu.fn_job_refusal(format('%s=%s', p_key, CASE p_wanted WHEN 'true' THEN 'false' ELSE 'true' END), NULL,
  format('An administrator sets %s to %s with fn_iu_switch_set.', p_key, p_wanted), 'set_the_switch');
COMMENT ON FUNCTION iu.fn_job_switch_refusal IS
  'The refusal while a switch of the queue is not as it must be: its key, the value that it must have.';

CREATE FUNCTION iu.fn_job_invalid(p_field text, p_value text, p_allowed text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN iu.fn_job_refusal('invalid_input', p_field,
  format('%s must be %s, not %s.', p_field, p_allowed, iu_core.text_shown(p_value)), 'correct_the_argument');
COMMENT ON FUNCTION iu.fn_job_invalid IS
  'The refusal for an argument: which, its value as text, what is allowed in words.';

CREATE FUNCTION iu.fn_job_key_used(p_job_id uuid) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN '{"job_id": null}'::jsonb || iu.fn_job_refusal('idempotency_key_used', 'idempotency_key',
  format('Job %s has the key, and is active: it is another job, by kind, payload or references.', p_job_id),
  'choose_another_key');
COMMENT ON FUNCTION iu.fn_job_key_used IS 'The refusal for a key that another active job has: that job.';

CREATE FUNCTION iu.fn_job_lease_refusal(p_job_id uuid) RETURNS jsonb
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_job public.job_queue;
BEGIN
  SELECT q.* INTO v_job FROM public.job_queue q WHERE q.job_id = p_job_id;
  IF NOT FOUND THEN
    RETURN iu.fn_job_refusal('job_not_found', 'job_id', 'There is no such job: see v_job_queue_backlog for what waits.',
      'claim_jobs') || jsonb_build_object('job_id', p_job_id);
  END IF;
  RETURN iu.fn_job_refusal('lease_not_held', 'lease_owner',
      'The lease is over, or it is another''s: leave the job alone, its state says what became of it.', 'claim_jobs')
    || jsonb_build_object('job_id', p_job_id, 'state', v_job.state);
END
$function$;
COMMENT ON FUNCTION iu.fn_job_lease_refusal IS
  'Why a worker may not end a job: job_not_found, or lease_not_held with the state of the job. Argument: the job.';

CREATE FUNCTION iu.fn_job_switch(p_key text) RETURNS boolean
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM public.dot_config c WHERE c.key = p_key AND c.value = 'true');
END
$function$;
COMMENT ON FUNCTION iu.fn_job_switch IS 'Whether a switch is on; false where its row is missing. Argument: its key.';

CREATE FUNCTION iu.fn_job_policy(p_key text) RETURNS integer
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_value text;
BEGIN
  SELECT c.value INTO v_value FROM public.dot_config c WHERE c.key = p_key;
  IF (v_value ~ '^[1-9][0-9]{0,5}$') IS NOT TRUE THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('policy %s must be a number from 1 on, not %s', p_key, iu_core.text_shown(v_value)),
      DETAIL = format('Policy: %s.', p_key), HINT = 'An administrator sets it with fn_iu_policy_set.',
      CONSTRAINT = 'iu_job_policy';
  END IF;
  RETURN v_value::integer;
END
$function$;
COMMENT ON FUNCTION iu.fn_job_policy IS
  'The value of a policy of the queue as a number: its key. SQLSTATE 55000: its row is missing, or is no number.';

CREATE FUNCTION iu.fn_job_payload_problem(p_payload jsonb) RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN CASE
  WHEN p_payload IS NULL OR jsonb_typeof(p_payload) <> 'object' THEN 'an object'
  WHEN p_payload ?| ARRAY['body', 'content', 'raw', 'vector', 'embedding', 'secret', 'token', 'password', 'ssn',
                          'personal_data']
    THEN 'without the keys body, content, raw, vector, embedding, secret, token, password, ssn and personal_data'
  WHEN pg_column_size(p_payload) > 1048576 OR octet_length(p_payload::text) > 262144 THEN 'of at most 256 kB'
  WHEN iu_core.key_problem(p_payload) IS NOT NULL
    THEN 'an object whose keys can be read: ' || iu_core.key_problem(p_payload) END;
COMMENT ON FUNCTION iu.fn_job_payload_problem IS
  'What an object that is kept with a job must be, in words, where this one is not; otherwise NULL. Raises nothing.';

-- Whoever lets a job wait holds a second (iu_core.hold_second()) from before it looks at
-- lanes and reads the clock to the end of its transaction. Nobody waits for that: it is
-- looked at by who puts a position forward, or removes a lane. Two lanes of one kind
-- and priority are as one: both have the same jobs, and each its own position.
--
-- A lane is removed a day after it was last used, as seen from the oldest second that
-- somebody holds. So one that was used in the last 12 hours may be taken as it is; after
-- an hour it is marked as used again, if nobody else is about to.
CREATE FUNCTION iu.fn_job_lane_use(p_job_kind text, p_priority integer) RETURNS integer
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_marked integer;
  v_lane   public.job_lane;
BEGIN
  UPDATE public.job_lane n SET used_at = iu_core.steady_clock()
   WHERE n.lane_id = (SELECT l.lane_id FROM public.job_lane l WHERE l.job_kind = p_job_kind AND l.priority = p_priority
                       ORDER BY l.lane_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
   RETURNING n.lane_id INTO v_marked;
  IF v_marked IS NOT NULL THEN
    RETURN v_marked;
  END IF;
  SELECT l.* INTO v_lane FROM public.job_lane l
   WHERE l.job_kind = p_job_kind AND l.priority = p_priority
     AND l.used_at > iu_core.steady_clock() - interval '12 hours' ORDER BY l.lane_id LIMIT 1;
  IF NOT FOUND THEN
    INSERT INTO public.job_lane (job_kind, priority) VALUES (p_job_kind, p_priority) RETURNING * INTO v_lane;
    PERFORM iu_core.wake();
  END IF;
  RETURN v_lane.lane_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_job_lane_use IS
  'Marks the lane of a kind and priority as used now, or makes one where there is none, or another session has it '
  'locked and it was not used for 12 hours. Returns it. Waits for nobody.';

CREATE FUNCTION iu.fn_job_place(p_job_kind text, p_priority integer, p_due_at timestamptz) RETURNS timestamptz
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_lane_id integer;
BEGIN
  PERFORM iu_core.hold_second();
  SELECT l.lane_id INTO v_lane_id FROM public.job_lane l
   WHERE l.job_kind = p_job_kind AND l.priority = p_priority
     AND l.used_at > iu_core.steady_clock() - interval '1 hour' ORDER BY l.lane_id LIMIT 1;
  IF v_lane_id IS NULL THEN
    v_lane_id := iu.fn_job_lane_use(p_job_kind, p_priority);
  END IF;
  RETURN greatest(p_due_at, iu_core.steady_clock(), (
    SELECT x.low FROM public.job_position x WHERE x.lane_id = v_lane_id ORDER BY x.lane_id DESC, x.low DESC LIMIT 1));
END
$function$;
COMMENT ON FUNCTION iu.fn_job_place IS
  'The place at which a job waits, in the lane of its kind and priority: when it is due (a time of '
  'iu_core.steady_clock()), not before now, and not below the position of the lane.';

CREATE FUNCTION iu.fn_job_positions_put(p_kinds text[]) RETURNS void
  LANGUAGE plpgsql
AS $function$
DECLARE
  -- First who may still let one wait, then what waits: who has ended meanwhile is seen then.
  v_horizon CONSTANT timestamptz := iu_core.oldest_second();
BEGIN
  WITH lane AS (
    SELECT n.lane_id, n.job_kind, n.priority,
           coalesce((SELECT x.low FROM public.job_position x WHERE x.lane_id = n.lane_id
                      ORDER BY x.lane_id DESC, x.low DESC LIMIT 1), '-infinity') AS low
      FROM public.job_lane n WHERE p_kinds IS NULL OR n.job_kind = ANY (p_kinds)
  ), moved AS (
    -- A lane in which nothing waits is put forward once a minute.
    SELECT l.lane_id, l.low, least(v_horizon, coalesce((
             SELECT r.place FROM public.job_queue r
              WHERE r.job_kind = l.job_kind AND r.priority = l.priority AND r.state IN ('queued', 'retry_waiting')
                AND r.place >= l.low ORDER BY r.job_kind, r.priority, r.place LIMIT 1),
             CASE WHEN l.low >= v_horizon - interval '1 minute' THEN l.low END)) AS first
      FROM lane l
  ), put AS (
    INSERT INTO public.job_position (lane_id, low) SELECT m.lane_id, m.first FROM moved m WHERE m.first > m.low)
  -- One that another claim has deleted is not waited for: that may last.
  DELETE FROM public.job_position d
   WHERE d.ctid = ANY (ARRAY(
     SELECT p.ctid FROM moved m JOIN public.job_position p
         ON p.lane_id = m.lane_id AND p.low >= m.low AND p.low < m.first
      WHERE m.first > m.low FOR UPDATE OF p SKIP LOCKED));
END
$function$;
COMMENT ON FUNCTION iu.fn_job_positions_put IS
  'For the claim, which pins its search_path and its plans: puts the positions of lanes forward: kinds of jobs; NULL: '
  'all. In a transaction of level READ COMMITTED.';
