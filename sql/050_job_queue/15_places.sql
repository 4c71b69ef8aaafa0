-- How waiting jobs are found. Each change of a job leaves a version of its row behind,
-- and as long as somebody's snapshot is older than that, the version and its entries
-- in indexes stay. A search from the front of an index would pass all of them, for
-- each claim. So a search begins at the position of its lane, below which nothing
-- waits, and passes what was taken since the position was put there and no more.
--
-- A lane is one kind of jobs of one priority. The position of a lane is its newest
-- row in job_position, found from the end of the index: a row that is updated would
-- itself leave versions behind. It is put forward after about every 64th job, up to
-- the first job that waits, and never past the time at which the oldest transaction
-- began that may still let a job wait.

CREATE TABLE public.job_lane (
  lane_id  integer NOT NULL GENERATED ALWAYS AS IDENTITY,
  job_kind text NOT NULL,
  priority integer NOT NULL,
  used_at  timestamptz NOT NULL DEFAULT iu_core.steady_clock(),
  CONSTRAINT job_lane_pkey PRIMARY KEY (lane_id)
);
CREATE INDEX job_lane_kind_idx ON public.job_lane (job_kind, priority);
COMMENT ON TABLE public.job_lane IS
  'The lanes in which jobs wait: one for each kind and priority. Two sessions that need one at the same moment make '
  'two, which are as one. The runner removes those that were not used for a day and have no active job, or another '
  'lane for it.';
COMMENT ON COLUMN public.job_lane.lane_id IS 'Identity';
COMMENT ON COLUMN public.job_lane.job_kind IS 'The kind of its jobs';
COMMENT ON COLUMN public.job_lane.priority IS 'Their priority';
COMMENT ON COLUMN public.job_lane.used_at IS
  'When a job was last put there, or up to 12 hours before that; a time of iu_core.steady_clock()';
COMMENT ON INDEX public.job_lane_kind_idx IS 'The lane of a job.';

CREATE TABLE public.job_position (
  lane_id     integer NOT NULL,
  low         timestamptz NOT NULL,
  position_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  CONSTRAINT job_position_pkey PRIMARY KEY (lane_id, low, position_id)
);
COMMENT ON TABLE public.job_position IS
  'How far each lane was handed out: the row with the highest low counts. A lane without one is searched from its '
  'beginning, so that these rows may be deleted at any time.';
COMMENT ON COLUMN public.job_position.lane_id IS 'The lane';
COMMENT ON COLUMN public.job_position.low IS 'Nothing waits in the lane at a lower place, nor will';
COMMENT ON COLUMN public.job_position.position_id IS 'Tells two with the same low apart';

CREATE FUNCTION iu.fn_job_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  -- What a subscription brings is left out by triggers of its own, and must not stop it.
  IF iu_core.is_replicated() THEN
    RETURN NULL;
  END IF;
  RAISE insufficient_privilege USING
    MESSAGE = format('direct write to %s not allowed', TG_TABLE_NAME),
    DETAIL = format('%s of %s is refused. Jobs are written by fn_job_enqueue, fn_job_claim, fn_job_ack, fn_job_fail '
                    'and the other functions of the queue.', TG_OP, TG_TABLE_NAME),
    TABLE = TG_TABLE_NAME, CONSTRAINT = 'iu_job_blocked';
END
$function$;
COMMENT ON FUNCTION iu.fn_job_guard IS
  'Statement trigger of the tables of the queue: refuses a write that is no function''s of ours with SQLSTATE 42501.';

DO $triggers$
DECLARE
  v_table text;
BEGIN
  FOREACH v_table IN ARRAY ARRAY['job_queue', 'job_dead_letter', 'queue_heartbeat'] LOOP
    EXECUTE format($$CREATE TRIGGER trg_aa_%1$s_guard BEFORE INSERT OR UPDATE OR DELETE ON public.%1$s
      FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_job_guard()$$, v_table);
    EXECUTE format($$CREATE TRIGGER trg_aa_%1$s_truncate_guard BEFORE TRUNCATE ON public.%1$s
      FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_job_guard()$$, v_table);
    EXECUTE format('ALTER TABLE public.%1$s ENABLE ALWAYS TRIGGER trg_aa_%1$s_guard, '
                   'ENABLE ALWAYS TRIGGER trg_aa_%1$s_truncate_guard', v_table);
    EXECUTE format($$COMMENT ON TRIGGER trg_aa_%1$s_guard ON public.%1$s IS
      'Refuses writes that are no function''s of the queue (42501).'$$, v_table);
    EXECUTE format($$COMMENT ON TRIGGER trg_aa_%1$s_truncate_guard ON public.%1$s IS 'Refuses TRUNCATE (42501).'$$,
      v_table);
  END LOOP;
END
$triggers$;
