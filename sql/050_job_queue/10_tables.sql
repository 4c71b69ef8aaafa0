-- 050 job queue: work that somebody wants done, handed out to whoever asks for it. A
-- job says what is to be done and where its material lies; the material itself is no
-- part of it. Any client is a worker: it claims jobs by SQL, does them, and
-- acknowledges them by the lease that it got, or says what went wrong. An event tells
-- that something happened; a job is something to do: neither becomes the other by
-- itself.

SELECT iu.fn_iu_gate_register(50, 'queue.job_substrate.enabled', 'governable', 'Running jobs of the queue');

INSERT INTO public.dot_config (key, value, description) VALUES
  ('queue.worker.enabled', 'false', 'switch: off, the runner takes no lease back by itself'),
  ('queue.notify.enabled', 'false', 'switch: on, each new job is told on channel iu_job_queue'),
  ('queue.heartbeat.enabled', 'true', 'switch: off, no heartbeat is taken, and no lease lasts longer by one'),
  ('queue.lease.duration_sec', '300', 'how many seconds a worker has for what it claimed, or until its next heartbeat'),
  ('queue.heartbeat.stale_threshold_seconds', '300',
   'after how many seconds without a heartbeat a worker is looked at; after twice as many it is stale'),
  ('queue.retry.backoff_base_sec', '10', 'seconds before the second attempt; each further one waits twice as long'),
  ('queue.retry.max_attempts_default', '5', 'attempts of a job that does not say how many it may have');

INSERT INTO public.iu_switch_registry (switch_key, meaning) VALUES
  ('queue.worker.enabled', 'on: the runner takes back leases that are over, where the reaper may'),
  ('queue.notify.enabled', 'on: each new job is told on channel iu_job_queue, so that workers need not ask'),
  ('queue.heartbeat.enabled', 'off: heartbeats of workers are refused');

INSERT INTO public.iu_policy_registry (policy_key, allowed_pattern, meaning, migration) VALUES
  ('queue.lease.duration_sec', '[1-9][0-9]{0,4}',
   'how many seconds a worker has for what it claimed, or until its next heartbeat', 50),
  ('queue.heartbeat.stale_threshold_seconds', '[1-9][0-9]{0,5}',
   'after how many seconds without a heartbeat a worker is looked at; after twice as many it is stale', 50),
  ('queue.retry.backoff_base_sec', '[1-9][0-9]{0,4}',
   'seconds before the second attempt; each further one waits twice as long, at most a day', 50),
  ('queue.retry.max_attempts_default', '[1-9][0-9]{0,2}', 'attempts of a job that does not say how many', 50);

CREATE TABLE public.job_queue (
  job_id          uuid NOT NULL DEFAULT gen_random_uuid(),
  job_kind        text NOT NULL,
  state           text NOT NULL DEFAULT 'queued',
  source_ref      text,
  target_ref      text,
  payload_ref     text,
  payload_json    jsonb NOT NULL DEFAULT '{}',
  priority        integer NOT NULL DEFAULT 100,
  scheduled_at    timestamptz NOT NULL DEFAULT now(),
  place           timestamptz NOT NULL,
  picked_at       timestamptz,
  finished_at     timestamptz,
  lease_owner     text,
  lease_until     timestamptz,
  attempts        integer NOT NULL DEFAULT 0,
  max_attempts    integer NOT NULL DEFAULT 5,
  idempotency_key text NOT NULL,
  actor           text NOT NULL,
  run_id          uuid,
  result_json     jsonb,
  last_error      text,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT job_queue_pkey PRIMARY KEY (job_id),
  CONSTRAINT job_queue_words_chk
    CHECK (btrim(job_kind) <> '' AND btrim(actor) <> '' AND btrim(idempotency_key) <> ''),
  CONSTRAINT job_queue_state_chk CHECK (state IN ('queued', 'leased', 'in_progress', 'succeeded', 'failed',
    'retry_waiting', 'dead_letter', 'cancelled', 'cleaned')),
  CONSTRAINT job_queue_finished_chk CHECK (
    (finished_at IS NULL) = (state IN ('queued', 'leased', 'in_progress', 'retry_waiting'))),
  CONSTRAINT job_queue_lease_chk CHECK (
    (lease_owner IS NULL) = (lease_until IS NULL)
    AND (lease_owner IS NOT NULL) = (state IN ('leased', 'in_progress'))),
  CONSTRAINT job_queue_numbers_chk CHECK (priority >= 0 AND attempts >= 0 AND max_attempts >= 1),
  CONSTRAINT job_queue_payload_chk CHECK (
    jsonb_typeof(payload_json) = 'object'
    AND NOT payload_json ?| ARRAY['body', 'content', 'raw', 'vector', 'embedding', 'secret', 'token', 'password',
                                  'ssn', 'personal_data'])
);
CREATE UNIQUE INDEX job_queue_idempotency_key_key ON public.job_queue (idempotency_key) WHERE finished_at IS NULL;
CREATE INDEX job_queue_waiting_idx ON public.job_queue (job_kind, priority, place)
  WHERE state IN ('queued', 'retry_waiting');
CREATE INDEX job_queue_lease_idx ON public.job_queue (lease_owner, lease_until) WHERE lease_owner IS NOT NULL;
CREATE INDEX job_queue_finished_idx ON public.job_queue (finished_at) WHERE finished_at IS NOT NULL;
COMMENT ON TABLE public.job_queue IS
  'Jobs, one row each. Written by functions only (42501): fn_job_enqueue, fn_job_claim, fn_job_start, fn_job_ack, '
  'fn_job_fail, fn_job_cancel. State queued: waits for a worker; leased: one has it; in_progress: and has begun; '
  'retry_waiting: waits for its next attempt; succeeded, cancelled; dead_letter: its attempts are used up, and a '
  'person looks at it; failed: a person has, and it is over; cleaned: over for long, and its payload is gone.';
COMMENT ON COLUMN public.job_queue.job_id IS 'Identity';
COMMENT ON COLUMN public.job_queue.job_kind IS 'What is to be done, as workers know it: 1 to 200 characters';
COMMENT ON COLUMN public.job_queue.state IS
  'queued, leased, in_progress, succeeded, failed, retry_waiting, dead_letter, cancelled or cleaned';
COMMENT ON COLUMN public.job_queue.source_ref IS 'What it comes from, e.g. an address or a key; NULL: not said';
COMMENT ON COLUMN public.job_queue.target_ref IS 'What it is done to; NULL: not said';
COMMENT ON COLUMN public.job_queue.payload_ref IS 'Where its material lies; NULL: it has none, or not there';
COMMENT ON COLUMN public.job_queue.payload_json IS
  'What the worker has to know beside, an object of up to 256 kB without the keys body, content, raw, vector, '
  'embedding, secret, token, password, ssn and personal_data';
COMMENT ON COLUMN public.job_queue.priority IS 'From 0 on; a lower number is handed out first';
COMMENT ON COLUMN public.job_queue.scheduled_at IS
  'Not handed out before this time of day: as it was asked for, or the end of the wait for the next attempt';
COMMENT ON COLUMN public.job_queue.place IS
  'Its place among jobs of its kind and priority: when it is due, and never before it was written; a time of '
  'iu_core.steady_clock()';
COMMENT ON COLUMN public.job_queue.picked_at IS 'When it was claimed last; NULL: never';
COMMENT ON COLUMN public.job_queue.finished_at IS
  'When it ended (succeeded, failed, dead_letter, cancelled, cleaned); NULL: it is active';
COMMENT ON COLUMN public.job_queue.lease_owner IS
  'The lease by which a worker has it: its name, "/" and an id that is never given twice; NULL: nobody has it';
COMMENT ON COLUMN public.job_queue.lease_until IS
  'When the lease is over, a time of iu_core.steady_clock(); NULL: nobody has it';
COMMENT ON COLUMN public.job_queue.attempts IS 'How many times it was claimed';
COMMENT ON COLUMN public.job_queue.max_attempts IS 'After so many it becomes a dead letter';
COMMENT ON COLUMN public.job_queue.idempotency_key IS
  '1 to 200 characters, unique among active jobs: a second one with it is not made';
COMMENT ON COLUMN public.job_queue.actor IS 'Who wants it done, as told by the caller';
COMMENT ON COLUMN public.job_queue.run_id IS 'The run of a command that it belongs to (dot_iu_command_run); NULL: none';
COMMENT ON COLUMN public.job_queue.result_json IS 'What the worker said when it acknowledged it; NULL: nothing';
COMMENT ON COLUMN public.job_queue.last_error IS 'Why its last attempt ended badly, or why it was cancelled';
COMMENT ON COLUMN public.job_queue.created_at IS 'Start of the transaction that made it';
COMMENT ON COLUMN public.job_queue.updated_at IS 'Start of the transaction that changed it last';
COMMENT ON INDEX public.job_queue_idempotency_key_key IS 'A key is unique among active jobs; and the active jobs.';
COMMENT ON INDEX public.job_queue_waiting_idx IS 'What waits for a worker, in the order in which it is handed out.';
COMMENT ON INDEX public.job_queue_lease_idx IS 'What a lease holds, and which leases are over.';
COMMENT ON INDEX public.job_queue_finished_idx IS 'Which jobs are over for long.';

CREATE TABLE public.job_dead_letter (
  dead_letter_id uuid NOT NULL DEFAULT gen_random_uuid(),
  job_id         uuid NOT NULL,
  job_snapshot   jsonb NOT NULL,
  failure        text NOT NULL,
  attempts       integer NOT NULL,
  triage_status  text NOT NULL DEFAULT 'pending',
  triaged_at     timestamptz,
  triaged_by     text,
  triage_note    text,
  replayed_as    uuid,
  created_at     timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT job_dead_letter_pkey PRIMARY KEY (dead_letter_id),
  CONSTRAINT job_dead_letter_job_id_key UNIQUE (job_id),
  CONSTRAINT job_dead_letter_triage_status_chk CHECK (triage_status IN ('pending', 'manual_replay', 'closed')),
  CONSTRAINT job_dead_letter_triaged_chk CHECK (
    (triaged_at IS NULL) = (triaged_by IS NULL) AND (triaged_at IS NOT NULL OR triage_status = 'pending')),
  CONSTRAINT job_dead_letter_replayed_chk CHECK (replayed_as IS NULL OR triage_status = 'closed')
);
CREATE INDEX job_dead_letter_open_idx ON public.job_dead_letter (created_at) WHERE triage_status <> 'closed';
COMMENT ON TABLE public.job_dead_letter IS
  'Jobs whose attempts are used up, or that their worker gave up: one row each, until a person has looked at it. '
  'Written by functions only (42501).';
COMMENT ON COLUMN public.job_dead_letter.dead_letter_id IS 'Identity';
COMMENT ON COLUMN public.job_dead_letter.job_id IS 'The job; no foreign key, since the letter outlives it';
COMMENT ON COLUMN public.job_dead_letter.job_snapshot IS 'The row of the job at the end of its last attempt';
COMMENT ON COLUMN public.job_dead_letter.failure IS 'What went wrong last';
COMMENT ON COLUMN public.job_dead_letter.attempts IS 'How many attempts it had';
COMMENT ON COLUMN public.job_dead_letter.triage_status IS
  'pending: nobody has looked; manual_replay: it may be done once more; closed: it is over, or was replayed';
COMMENT ON COLUMN public.job_dead_letter.triaged_at IS
  'Since when its triage_status is what it is; NULL: not looked at';
COMMENT ON COLUMN public.job_dead_letter.triaged_by IS 'Who decided, as told by the caller';
COMMENT ON COLUMN public.job_dead_letter.triage_note IS 'Why';
COMMENT ON COLUMN public.job_dead_letter.replayed_as IS 'The job that does it once more; NULL: none';
COMMENT ON COLUMN public.job_dead_letter.created_at IS 'Start of the transaction in which it died';
COMMENT ON INDEX public.job_dead_letter_open_idx IS 'Those that wait for a person.';

CREATE TABLE public.queue_heartbeat (
  executor_name  text NOT NULL,
  executor_kind  text NOT NULL,
  status         text NOT NULL,
  current_job_id uuid,
  lease_owner    text,
  metadata       jsonb NOT NULL DEFAULT '{}',
  beat_at        timestamptz NOT NULL,
  CONSTRAINT queue_heartbeat_pkey PRIMARY KEY (executor_name),
  CONSTRAINT queue_heartbeat_executor_kind_chk CHECK (executor_kind IN ('DOT', 'Agent', 'Hermes', 'Codex',
    'PG_worker', 'external_worker', 'future_Kestra_adapter')),
  CONSTRAINT queue_heartbeat_metadata_chk CHECK (
    jsonb_typeof(metadata) = 'object'
    AND NOT metadata ?| ARRAY['body', 'content', 'raw', 'vector', 'embedding', 'secret', 'token', 'password', 'ssn',
                              'personal_data'])
) WITH (fillfactor = 50);
COMMENT ON TABLE public.queue_heartbeat IS
  'When each worker said last that it lives, one row each; those of iu_core itself have none. Written by '
  'fn_queue_heartbeat_tick only (42501).';
COMMENT ON COLUMN public.queue_heartbeat.executor_name IS 'The worker, as it calls itself';
COMMENT ON COLUMN public.queue_heartbeat.executor_kind IS
  'DOT, Agent, Hermes, Codex, PG_worker, external_worker or future_Kestra_adapter';
COMMENT ON COLUMN public.queue_heartbeat.status IS 'How it is, in its own words';
COMMENT ON COLUMN public.queue_heartbeat.current_job_id IS 'What it works on; NULL: nothing';
COMMENT ON COLUMN public.queue_heartbeat.lease_owner IS 'The lease by which it has that; NULL: none';
COMMENT ON COLUMN public.queue_heartbeat.metadata IS 'What else it says: an object, without the keys of job_queue';
COMMENT ON COLUMN public.queue_heartbeat.beat_at IS 'When, a time of iu_core.steady_clock()';
