-- 006 delivery: from the outbox to the sender and back.
--
-- A delivery is (event, route, replay number), an attempt one send of it. At
-- any time a delivery is in one place: ahead of its route's position, in a
-- lease, in iu_route_retry, or ended (an attempt that was sent, a dead letter).
-- Claiming follows commits: a position is the snapshot up to which a route has
-- been served, and the next window is what became visible since, late commits
-- included.

CREATE TABLE public.iu_route_position (
  route_code text        NOT NULL PRIMARY KEY REFERENCES public.iu_outbound_route (route_code),
  place      uuid        NOT NULL,
  floor_seq  bigint      NOT NULL DEFAULT 0,
  armed_at   timestamptz NOT NULL DEFAULT now(),
  armed_by   text        NOT NULL,
  start_at   timestamptz,
  max_age    interval    NOT NULL
);
COMMENT ON TABLE public.iu_route_position IS
  'Where each armed route began, in this very place: in a copy or after a restore nothing is claimed until '
  'fn_iu_route_confirm_position. A claim locks its row; how far it came is in iu_route_step.';
COMMENT ON COLUMN public.iu_route_position.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_position.place IS 'Where the position means something, iu_core.place()';
COMMENT ON COLUMN public.iu_route_position.armed_at IS 'Start of the transaction that armed it';
COMMENT ON COLUMN public.iu_route_position.armed_by IS 'Who armed it, as told by the caller';
COMMENT ON COLUMN public.iu_route_position.max_age IS 'How old an event could be at most when it was armed';
COMMENT ON COLUMN public.iu_route_position.floor_seq IS
  'Events up to here came with a restore: their emitted_xid means nothing here, so they are never found by a '
  'snapshot.';
COMMENT ON COLUMN public.iu_route_position.start_at IS
  'Older events were not handed out when it was armed; NULL: nothing committed before.';

-- A row that is updated at each claim piles up versions behind the oldest
-- reader, and every look at it walks through them. A step is inserted and the
-- one before deleted by its key; the newest is found from the end of the index.
CREATE TABLE public.iu_route_step (
  route_code  text        NOT NULL,
  step        bigint      NOT NULL,
  seen        pg_snapshot NOT NULL,
  window_end  pg_snapshot,
  window_seq  bigint,
  window_high bigint,
  lease_low   bigint      NOT NULL,
  PRIMARY KEY (route_code, step),
  CONSTRAINT iu_route_step_window_chk CHECK (num_nulls(window_end, window_seq, window_high) IN (0, 3))
);
COMMENT ON TABLE public.iu_route_step IS 'How far each armed route has been served: its newest step.';
COMMENT ON COLUMN public.iu_route_step.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_step.step IS
  'Counts from the first arming; the highest is where the route stands';
COMMENT ON COLUMN public.iu_route_step.window_seq IS 'Of the window, what was handed out';
COMMENT ON COLUMN public.iu_route_step.window_high IS 'The last event_seq of the window';
COMMENT ON COLUMN public.iu_route_step.seen IS 'All that it sees was handed out, or precedes the arming.';
COMMENT ON COLUMN public.iu_route_step.window_end IS
  'The window being handed out: what it sees and seen does not, in the order of event_seq, after window_seq up to '
  'window_high.';
COMMENT ON COLUMN public.iu_route_step.lease_low IS 'The route has no lease with a lower lease_id.';

CREATE VIEW public.v_iu_route_position AS
  SELECT p.route_code, p.place, p.floor_seq, p.armed_at, p.armed_by, p.start_at, p.max_age,
         s.step, s.seen, s.window_end, s.window_seq, s.window_high, s.lease_low
    FROM public.iu_route_position p
    CROSS JOIN LATERAL (SELECT x.* FROM public.iu_route_step x
                         WHERE x.route_code = p.route_code ORDER BY x.step DESC LIMIT 1) AS s;
COMMENT ON VIEW public.v_iu_route_position IS
  'Armed routes with their newest step: where each began and how far it came.';

CREATE TABLE public.iu_route_lease (
  lease_id       bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  route_code     text        NOT NULL,
  sender         text        NOT NULL,
  backend_pid    integer     NOT NULL,
  generation     integer     NOT NULL DEFAULT 1,
  claimed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at     timestamptz NOT NULL,
  item_count     integer     NOT NULL,
  event_ids      uuid[]      NOT NULL,
  event_seqs     bigint[]    NOT NULL,
  replay_numbers integer[]   NOT NULL,
  attempt_nos    integer[]   NOT NULL,
  CONSTRAINT iu_route_lease_items_chk CHECK (item_count > 0 AND item_count = cardinality(event_ids)
    AND item_count = cardinality(event_seqs) AND item_count = cardinality(replay_numbers)
    AND item_count = cardinality(attempt_nos))
) WITH (fillfactor = 50);
-- Compressing costs more than it saves: a lease lives for a second.
ALTER TABLE public.iu_route_lease
  ALTER COLUMN event_ids SET STORAGE EXTERNAL, ALTER COLUMN event_seqs SET STORAGE EXTERNAL;
CREATE INDEX iu_route_lease_route ON public.iu_route_lease (route_code, lease_id);
COMMENT ON INDEX public.iu_route_lease_route IS 'What a route has under way.';
COMMENT ON TABLE public.iu_route_lease IS
  'One row a batch that a sender holds: the deliveries whose outcome it has not recorded. It goes to the next '
  'claimer, with a new generation, when it expires or its session is gone.';
COMMENT ON COLUMN public.iu_route_lease.lease_id IS 'Order of claiming';
COMMENT ON COLUMN public.iu_route_lease.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_lease.sender IS 'Who holds it, e.g. iu_core sender 1';
COMMENT ON COLUMN public.iu_route_lease.generation IS 'Counts who held it: a record with an older one is refused';
COMMENT ON COLUMN public.iu_route_lease.claimed_at IS 'Since when';
COMMENT ON COLUMN public.iu_route_lease.expires_at IS
  'Then another may take it over; a time of iu_core.steady_clock()';
COMMENT ON COLUMN public.iu_route_lease.item_count IS 'Deliveries in it; the arrays have an element each';
COMMENT ON COLUMN public.iu_route_lease.event_ids IS 'The events';
COMMENT ON COLUMN public.iu_route_lease.event_seqs IS 'Their places in the outbox';
COMMENT ON COLUMN public.iu_route_lease.replay_numbers IS '0: the delivery itself';
COMMENT ON COLUMN public.iu_route_lease.attempt_nos IS 'The number of the attempt under way';
COMMENT ON COLUMN public.iu_route_lease.backend_pid IS
  'The session that claimed it; where that is gone nobody waits for expires_at.';

-- A partition a day, which 08_partitions.sql makes and ends. That an attempt is
-- recorded once follows from its lease: a key that is unique over all partitions
-- would have to hold the time of recording. Each partition has a primary key of its
-- own: one of the whole table could not be dropped in a partition, which pg_restore
-- --clean does before it drops the table.
CREATE TABLE public.iu_route_attempt (
  id               bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
  route_kind       text        NOT NULL DEFAULT 'outbound',
  route_code       text        NOT NULL,
  event_ref        uuid        NOT NULL,
  replay_number    integer     NOT NULL DEFAULT 0,
  attempt_no       integer     NOT NULL,
  idempotency_key  text        COLLATE "C" NOT NULL,
  status           text        NOT NULL,
  delivered        boolean     NOT NULL GENERATED ALWAYS AS (status = 'sent') STORED,
  sender           text,
  started_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  duration_us      bigint,
  http_status      integer,
  failure_code     text,
  failure_detail   text,
  response_excerpt text,
  payload_snapshot jsonb,
  kept             boolean     NOT NULL DEFAULT false,
  CONSTRAINT iu_route_attempt_kind_chk CHECK (route_kind IN ('outbound', 'inbound')),
  CONSTRAINT iu_route_attempt_status_chk CHECK (status IN ('dry_run', 'pending', 'sent', 'failed', 'skipped')),
  CONSTRAINT iu_route_attempt_no_chk CHECK (attempt_no > 0 AND replay_number >= 0)
) PARTITION BY RANGE (kept, recorded_at);
CREATE INDEX iu_route_attempt_key ON public.iu_route_attempt (idempotency_key, attempt_no);
COMMENT ON INDEX public.iu_route_attempt_key IS 'The attempts of a delivery, or of an event on a route.';
CREATE INDEX iu_route_attempt_recorded ON public.iu_route_attempt USING brin (recorded_at);
COMMENT ON INDEX public.iu_route_attempt_recorded IS
  'For the attempts of the last hour and those that retention takes, without a large index.';
CREATE TABLE iu.iu_route_attempt_kept PARTITION OF public.iu_route_attempt (PRIMARY KEY (id, recorded_at, kept))
  FOR VALUES FROM (true, MINVALUE) TO (true, MAXVALUE);
COMMENT ON TABLE iu.iu_route_attempt_kept IS
  'Attempts that outlast the partition of their day, see column kept of iu_route_attempt.';
CREATE TABLE iu.iu_route_attempt_default PARTITION OF public.iu_route_attempt
  (PRIMARY KEY (id, recorded_at, kept)) DEFAULT;
COMMENT ON TABLE iu.iu_route_attempt_default IS
  'Attempts of days that had no partition when they were recorded, until the runner moves them to '
  'iu_route_attempt_kept. Health is critical while there are any.';
COMMENT ON TABLE public.iu_route_attempt IS
  'One row a send, inserted once with its outcome. In partitions, one a day of UTC, in schema iu.';
COMMENT ON COLUMN public.iu_route_attempt.kept IS
  'Whether it lies in iu.iu_route_attempt_kept and not in the partition of its day: that had none when it was '
  'recorded, or is gone while this row had to stay, or is older than the 100 youngest';
COMMENT ON COLUMN public.iu_route_attempt.id IS 'Order of recording';
COMMENT ON COLUMN public.iu_route_attempt.route_kind IS
  'outbound; or inbound: what a route of iu_sql_event_route captured, which is no delivery';
COMMENT ON COLUMN public.iu_route_attempt.route_code IS 'The route; no foreign key, attempts outlive it';
COMMENT ON COLUMN public.iu_route_attempt.event_ref IS 'The event; of an inbound one the row that was captured';
COMMENT ON COLUMN public.iu_route_attempt.replay_number IS '0: the delivery itself';
COMMENT ON COLUMN public.iu_route_attempt.attempt_no IS '1 for the first';
COMMENT ON COLUMN public.iu_route_attempt.status IS
  'sent, failed, dry_run, or skipped where a dry run could not be made';
COMMENT ON COLUMN public.iu_route_attempt.delivered IS 'Whether it was sent';
COMMENT ON COLUMN public.iu_route_attempt.sender IS 'Who sent it';
COMMENT ON COLUMN public.iu_route_attempt.started_at IS 'When the request began';
COMMENT ON COLUMN public.iu_route_attempt.recorded_at IS 'When its outcome was written';
COMMENT ON COLUMN public.iu_route_attempt.http_status IS 'Status of the answer; NULL: there was none';
COMMENT ON COLUMN public.iu_route_attempt.failure_code IS
  'http_ and the status, or another code of iu_delivery_code; NULL: sent';
COMMENT ON COLUMN public.iu_route_attempt.failure_detail IS 'In words, at most 1000 characters';
COMMENT ON COLUMN public.iu_route_attempt.response_excerpt IS 'Start of the answer, at most 1024 characters';
COMMENT ON COLUMN public.iu_route_attempt.idempotency_key IS
  'The webhook-id: the same for every attempt of a delivery; a dry run has dry_ before it.';
COMMENT ON COLUMN public.iu_route_attempt.duration_us IS 'Microseconds from the start of the request to its end.';
COMMENT ON COLUMN public.iu_route_attempt.payload_snapshot IS
  'What a dry run would have sent; NULL for a real one, whose body follows from the event.';

CREATE TABLE public.iu_route_retry (
  route_code    text        NOT NULL,
  event_id      uuid        NOT NULL REFERENCES public.event_outbox (id),
  replay_number integer     NOT NULL DEFAULT 0,
  event_seq     bigint      NOT NULL,
  attempt_no    integer     NOT NULL DEFAULT 1,
  due_at        timestamptz,
  reason        text        NOT NULL,
  detail        text,
  created_at    timestamptz NOT NULL DEFAULT iu_core.steady_clock(),
  subject       uuid,
  PRIMARY KEY (route_code, event_id, replay_number),
  CONSTRAINT iu_route_retry_due_chk CHECK (isfinite(due_at))
);
CREATE INDEX iu_route_retry_subject ON public.iu_route_retry (route_code, subject, event_seq, replay_number)
  WHERE subject IS NOT NULL;
CREATE INDEX iu_route_retry_head ON public.iu_route_retry (route_code, subject)
  WHERE subject IS NOT NULL AND due_at IS NOT NULL;
COMMENT ON INDEX public.iu_route_retry_head IS 'Of a subject with many deliveries that wait, the one whose turn it is.';
COMMENT ON INDEX public.iu_route_retry_subject IS
  'The next delivery of a subject, where a route keeps the order of a subject.';
COMMENT ON COLUMN public.iu_route_retry.subject IS
  'fn_iu_order_subject of the event where the route keeps the order of a subject; NULL where it does not';
CREATE INDEX iu_route_retry_due ON public.iu_route_retry (route_code, due_at, event_seq);
COMMENT ON INDEX public.iu_route_retry_due IS 'What is due next on a route.';
CREATE INDEX iu_route_retry_address ON public.iu_route_retry (route_code) WHERE reason = 'address_refused';
COMMENT ON INDEX public.iu_route_retry_address IS
  'What waits because its address is refused, for who looks what holds a route.';
COMMENT ON TABLE public.iu_route_retry IS
  'Deliveries behind their route''s position that are to be sent at due_at: failed before, given back by a '
  'sender, handed over, owed since an arming, or behind another of their subject.';
COMMENT ON COLUMN public.iu_route_retry.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_retry.event_id IS 'The event';
COMMENT ON COLUMN public.iu_route_retry.replay_number IS '0: the delivery itself';
COMMENT ON COLUMN public.iu_route_retry.event_seq IS 'Its place in the outbox';
COMMENT ON COLUMN public.iu_route_retry.due_at IS
  'Not before this time of iu_core.steady_clock(); NULL: not before its turn comes, see fn_iu_order_release';
COMMENT ON COLUMN public.iu_route_retry.created_at IS
  'When it was put here, by iu_core.steady_clock()';
COMMENT ON COLUMN public.iu_route_retry.attempt_no IS 'The number that the next attempt will have.';
COMMENT ON COLUMN public.iu_route_retry.detail IS
  'What held it, in words, where the sender found that out; else NULL';
COMMENT ON COLUMN public.iu_route_retry.reason IS
  'A code of iu_delivery_code: of the last attempt, of the refusal, or deliver, armed, confirmed, replay, subject';

CREATE TABLE public.iu_route_dead_letter (
  id              uuid        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
  route_code      text        NOT NULL,
  event_ref       uuid        NOT NULL,
  replay_number   integer     NOT NULL,
  attempts        integer     NOT NULL,
  idempotency_key text        COLLATE "C" NOT NULL UNIQUE,
  failure_code    text        NOT NULL,
  failure_detail  text,
  http_status     integer,
  event_snapshot  jsonb       NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  resolved_at     timestamptz,
  resolved_by     text,
  resolution      text,
  replayed_as     integer,
  CONSTRAINT iu_route_dead_letter_resolved_chk CHECK (num_nulls(resolved_at, resolved_by, resolution) IN (0, 3))
);
CREATE INDEX iu_route_dead_letter_open ON public.iu_route_dead_letter (route_code, created_at)
  WHERE resolved_at IS NULL;
COMMENT ON INDEX public.iu_route_dead_letter_open IS 'The dead letters that wait for a person.';
COMMENT ON TABLE public.iu_route_dead_letter IS
  'Deliveries that were given up, each with the whole event. Resolved, never deleted.';
COMMENT ON COLUMN public.iu_route_dead_letter.id IS 'What fn_iu_route_dead_letter_replay and _resolve ask for';
COMMENT ON COLUMN public.iu_route_dead_letter.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_dead_letter.event_ref IS 'The event';
COMMENT ON COLUMN public.iu_route_dead_letter.replay_number IS '0: the delivery itself';
COMMENT ON COLUMN public.iu_route_dead_letter.attempts IS 'How many were made and recorded';
COMMENT ON COLUMN public.iu_route_dead_letter.idempotency_key IS 'Its webhook-id';
COMMENT ON COLUMN public.iu_route_dead_letter.failure_code IS
  'Of the last attempt; route_retired: the route ended before the delivery did';
COMMENT ON COLUMN public.iu_route_dead_letter.failure_detail IS
  'Of the last attempt; route_retired: who retired the route, why, and where the delivery was';
COMMENT ON COLUMN public.iu_route_dead_letter.http_status IS 'Of the last attempt';
COMMENT ON COLUMN public.iu_route_dead_letter.event_snapshot IS 'The row of event_outbox when it was given up';
COMMENT ON COLUMN public.iu_route_dead_letter.created_at IS 'When it was given up';
COMMENT ON COLUMN public.iu_route_dead_letter.resolved_at IS 'When a person dealt with it; NULL: open';
COMMENT ON COLUMN public.iu_route_dead_letter.resolved_by IS 'Who dealt with it';
COMMENT ON COLUMN public.iu_route_dead_letter.resolution IS 'What was done, and why';
COMMENT ON COLUMN public.iu_route_dead_letter.replayed_as IS
  'The replay number of the delivery that took its place.';

CREATE TABLE public.iu_route_order (
  route_code text NOT NULL PRIMARY KEY
);
COMMENT ON TABLE public.iu_route_order IS
  'One row a route that keeps the order of a subject: locked by whoever changes whose turn it is.';
COMMENT ON COLUMN public.iu_route_order.route_code IS 'The route';

CREATE TABLE public.iu_route_circuit (
  route_code   text        NOT NULL PRIMARY KEY,
  state        text        NOT NULL,
  failures     integer     NOT NULL,
  last_failure text,
  open_s       double precision,
  next_at      timestamptz,
  probe_lease  bigint,
  changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_route_circuit_state_chk CHECK (state IN ('closed', 'open', 'half_open')),
  CONSTRAINT iu_route_circuit_open_chk CHECK
    ((state = 'closed') = (open_s IS NULL) AND (state = 'closed') = (next_at IS NULL)),
  CONSTRAINT iu_route_circuit_probe_chk CHECK ((state = 'half_open') = (probe_lease IS NOT NULL))
);
COMMENT ON TABLE public.iu_route_circuit IS
  'Circuits of routes whose last attempts failed; a route without a row is closed and has no failure.';
COMMENT ON COLUMN public.iu_route_circuit.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_circuit.state IS
  'closed: failures are counted; open: nothing is sent; half_open: one delivery is under way to find out';
COMMENT ON COLUMN public.iu_route_circuit.failures IS
  'Attempts in a row that failed, by the circuit column of iu_delivery_code';
COMMENT ON COLUMN public.iu_route_circuit.last_failure IS 'Code of the last of them';
COMMENT ON COLUMN public.iu_route_circuit.open_s IS 'Seconds that it is open this time';
COMMENT ON COLUMN public.iu_route_circuit.next_at IS
  'open: when one delivery may be tried; half_open: when another may, if nothing is heard of this one; a time of '
  'iu_core.steady_clock()';
COMMENT ON COLUMN public.iu_route_circuit.probe_lease IS 'half_open: the lease of that delivery';
COMMENT ON COLUMN public.iu_route_circuit.changed_at IS 'When state or failures changed last';

CREATE TABLE public.iu_route_pace (
  route_code text             NOT NULL PRIMARY KEY,
  left_over  double precision NOT NULL,
  counted_at timestamptz      NOT NULL,
  CONSTRAINT iu_route_pace_left_chk CHECK (left_over BETWEEN -100000 AND 100000)
) WITH (fillfactor = 50);
COMMENT ON TABLE public.iu_route_pace IS
  'What routes with a limit of deliveries a second may still claim: one row each, written by the claim that holds the '
  'position.';
COMMENT ON COLUMN public.iu_route_pace.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_pace.left_over IS
  'Deliveries that it could still claim at counted_at; it grows by per_second in a second, up to a fifth of that, at '
  'least 1';
COMMENT ON COLUMN public.iu_route_pace.counted_at IS 'A time of iu_core.steady_clock()';
