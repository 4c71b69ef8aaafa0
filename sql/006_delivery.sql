-- 006 delivery: from the outbox to the sender and back.
--
-- A delivery is (event, route, replay number), an attempt one send of it. At
-- any time a delivery is in one place: ahead of its route's position, in a
-- lease, in iu_route_retry, or ended (an attempt that was sent, a dead letter).
-- Claiming follows commits: a position is the snapshot up to which a route has
-- been served, and the next window is what became visible since, late commits
-- included.

SELECT iu_core.guard_absent('table', 'iu_route_position', 'iu_route_step', 'iu_route_lease', 'iu_route_attempt',
  'iu_route_retry', 'iu_route_dead_letter', 'iu_route_order', 'iu_route_circuit');
SELECT iu_core.guard_absent('view', 'v_iu_route_position', 'v_iu_route_attempt_summary', 'v_iu_route_dead_letter_open');
SELECT iu_core.guard_absent('function', 'fn_iu_snapshot_now()', 'fn_iu_webhook_id(bigint,bigint,integer,uuid)',
  'fn_iu_delivery_body(public.event_outbox)', 'fn_iu_delivery_rule(integer,text)', 'fn_iu_route_function_refusal(text)', 'fn_iu_delivery_refusal(text)',
  'fn_iu_delivery_check(bigint,integer)',
  'fn_iu_order_subject(public.event_outbox)', 'fn_iu_order_lock(text)', 'fn_iu_delivery_locks(text)', 'fn_iu_order_leased(text)', 'fn_iu_order_head(text,uuid)',
  'fn_iu_route_retry_order()', 'fn_iu_order_heads(text,uuid[],bigint[])', 'fn_iu_order_release(public.iu_route_lease)',
  'fn_iu_circuit_verdict(text)', 'fn_iu_circuit_is_probing(text)', 'fn_iu_circuit_probe(text,bigint[])',
  'fn_iu_circuit_record(public.iu_outbound_route,bigint,text[])', 'fn_iu_circuit_next_due()', 'fn_iu_delivery_contract(text,bigint[])',
  'fn_iu_delivery_lease_orphans(text,text,integer)', 'fn_iu_delivery_lease_retries(text,text,integer)',
  'fn_iu_delivery_lease_window(text,text,integer)', 'fn_iu_delivery_claim(text,integer,integer)',
  'fn_iu_delivery_record(bigint,integer,jsonb)', 'fn_iu_delivery_keep(bigint,integer)', 'fn_iu_delivery_next_due(integer)',
  'fn_iu_delivery_record_batch(bigint,integer,uuid[],integer[],integer[],text[],integer[],text[],text[],double precision[],bigint[],text[],timestamp with time zone[])');

DO $guard$
BEGIN
  IF to_regclass('public.iu_outbound_route') IS NULL THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'migration 006 needs migration 005';
  END IF;
END
$guard$;

-- Tables ---------------------------------------------------------------------

CREATE TABLE public.iu_route_position (
  route_code        text        NOT NULL PRIMARY KEY REFERENCES public.iu_outbound_route (route_code),
  system_identifier bigint      NOT NULL,
  database_oid      oid         NOT NULL,
  floor_seq         bigint      NOT NULL DEFAULT 0,
  armed_at          timestamptz NOT NULL DEFAULT now(),
  armed_by          text        NOT NULL,
  start_at          timestamptz,
  max_age           interval    NOT NULL
);
COMMENT ON TABLE public.iu_route_position IS
  'Where each armed route began, in this very database: in a copy nothing is claimed until fn_iu_route_confirm_position. A claim locks its row; how far it came is in iu_route_step. (design: Events and delivery)';
COMMENT ON COLUMN public.iu_route_position.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_position.system_identifier IS 'Cluster in which the position means something';
COMMENT ON COLUMN public.iu_route_position.database_oid IS 'Database in which it does';
COMMENT ON COLUMN public.iu_route_position.armed_at IS 'Start of the transaction that armed it';
COMMENT ON COLUMN public.iu_route_position.armed_by IS 'Who armed it, as told by the caller';
COMMENT ON COLUMN public.iu_route_position.max_age IS 'How old an event could be at most when it was armed';
COMMENT ON COLUMN public.iu_route_position.floor_seq IS
  'Events up to here came with a restore: their emitted_xid means nothing here, so they are never found by a snapshot.';
COMMENT ON COLUMN public.iu_route_position.start_at IS 'Older events were not handed out when it was armed; NULL: nothing committed before.';

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
COMMENT ON TABLE public.iu_route_step IS
  'How far each armed route has been served: its newest step. (design: Events and delivery)';
COMMENT ON COLUMN public.iu_route_step.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_step.step IS 'Counts from the first arming; the highest is where the route stands';
COMMENT ON COLUMN public.iu_route_step.window_seq IS 'Of the window, what was handed out';
COMMENT ON COLUMN public.iu_route_step.window_high IS 'The last event_seq of the window';
COMMENT ON COLUMN public.iu_route_step.seen IS 'All that it sees was handed out, or precedes the arming.';
COMMENT ON COLUMN public.iu_route_step.window_end IS
  'The window being handed out: what it sees and seen does not, in the order of event_seq, after window_seq up to window_high.';
COMMENT ON COLUMN public.iu_route_step.lease_low IS 'The route has no lease with a lower lease_id.';

CREATE VIEW public.v_iu_route_position AS
  SELECT p.route_code, p.system_identifier, p.database_oid, p.floor_seq, p.armed_at, p.armed_by, p.start_at, p.max_age,
         s.step, s.seen, s.window_end, s.window_seq, s.window_high, s.lease_low
    FROM public.iu_route_position p
    CROSS JOIN LATERAL (SELECT x.* FROM public.iu_route_step x
                         WHERE x.route_code = p.route_code ORDER BY x.step DESC LIMIT 1) AS s;
COMMENT ON VIEW public.v_iu_route_position IS
  'Armed routes with their newest step: where each began and how far it came. (design: Events and delivery)';

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
ALTER TABLE public.iu_route_lease ALTER COLUMN event_ids SET STORAGE EXTERNAL, ALTER COLUMN event_seqs SET STORAGE EXTERNAL;
CREATE INDEX iu_route_lease_route ON public.iu_route_lease (route_code, lease_id);
COMMENT ON INDEX public.iu_route_lease_route IS 'What a route has under way.';
COMMENT ON TABLE public.iu_route_lease IS
  'One row a batch that a sender holds: the deliveries whose outcome it has not recorded. It goes to the next claimer, with a new generation, when it expires or its session is gone. (design: Events and delivery)';
COMMENT ON COLUMN public.iu_route_lease.lease_id IS 'Order of claiming';
COMMENT ON COLUMN public.iu_route_lease.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_lease.sender IS 'Who holds it, e.g. iu_core sender 1';
COMMENT ON COLUMN public.iu_route_lease.generation IS 'Counts who held it: a record with an older one is refused';
COMMENT ON COLUMN public.iu_route_lease.claimed_at IS 'Since when';
COMMENT ON COLUMN public.iu_route_lease.expires_at IS 'Then another may take it over';
COMMENT ON COLUMN public.iu_route_lease.item_count IS 'Deliveries in it; the arrays have an element each';
COMMENT ON COLUMN public.iu_route_lease.event_ids IS 'The events';
COMMENT ON COLUMN public.iu_route_lease.event_seqs IS 'Their places in the outbox';
COMMENT ON COLUMN public.iu_route_lease.replay_numbers IS '0: the delivery itself';
COMMENT ON COLUMN public.iu_route_lease.attempt_nos IS 'The number of the attempt under way';
COMMENT ON COLUMN public.iu_route_lease.backend_pid IS 'The session that claimed it; where that is gone nobody waits for expires_at.';

CREATE TABLE public.iu_route_attempt (
  id               bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
  UNIQUE (idempotency_key, attempt_no),
  CONSTRAINT iu_route_attempt_kind_chk CHECK (route_kind IN ('outbound', 'inbound')),
  CONSTRAINT iu_route_attempt_status_chk CHECK (status IN ('dry_run', 'pending', 'sent', 'failed', 'skipped')),
  CONSTRAINT iu_route_attempt_no_chk CHECK (attempt_no > 0 AND replay_number >= 0)
);
CREATE INDEX iu_route_attempt_recorded ON public.iu_route_attempt USING brin (recorded_at);
COMMENT ON INDEX public.iu_route_attempt_recorded IS 'The last hour, and what retention takes, without a large index.';
COMMENT ON TABLE public.iu_route_attempt IS
  'One row a send, inserted once with its outcome. (facts-events 2.5; design: Events and delivery)';
COMMENT ON COLUMN public.iu_route_attempt.id IS 'Order of recording';
COMMENT ON COLUMN public.iu_route_attempt.route_kind IS 'outbound';
COMMENT ON COLUMN public.iu_route_attempt.route_code IS 'The route; no foreign key, attempts outlive it';
COMMENT ON COLUMN public.iu_route_attempt.event_ref IS 'The event';
COMMENT ON COLUMN public.iu_route_attempt.replay_number IS '0: the delivery itself';
COMMENT ON COLUMN public.iu_route_attempt.attempt_no IS '1 for the first';
COMMENT ON COLUMN public.iu_route_attempt.status IS 'sent, failed, dry_run, or skipped where a dry run could not be made';
COMMENT ON COLUMN public.iu_route_attempt.delivered IS 'Whether it was sent';
COMMENT ON COLUMN public.iu_route_attempt.sender IS 'Who sent it';
COMMENT ON COLUMN public.iu_route_attempt.started_at IS 'When the request began';
COMMENT ON COLUMN public.iu_route_attempt.recorded_at IS 'When its outcome was written';
COMMENT ON COLUMN public.iu_route_attempt.http_status IS 'Status of the answer; NULL: there was none';
COMMENT ON COLUMN public.iu_route_attempt.failure_code IS 'http_ and the status, or e.g. timed_out, connect_failed, tls_failed';
COMMENT ON COLUMN public.iu_route_attempt.failure_detail IS 'In words, at most 1000 characters';
COMMENT ON COLUMN public.iu_route_attempt.response_excerpt IS 'Start of the answer, at most 1024 characters';
COMMENT ON COLUMN public.iu_route_attempt.idempotency_key IS 'The webhook-id: the same for every attempt of a delivery; a dry run has dry_ before it.';
COMMENT ON COLUMN public.iu_route_attempt.duration_us IS 'Microseconds from the start of the request to its end.';
COMMENT ON COLUMN public.iu_route_attempt.payload_snapshot IS 'What a dry run would have sent; NULL for a real one, whose body follows from the event.';

CREATE TABLE public.iu_route_retry (
  route_code    text        NOT NULL,
  event_id      uuid        NOT NULL REFERENCES public.event_outbox (id),
  replay_number integer     NOT NULL DEFAULT 0,
  event_seq     bigint      NOT NULL,
  attempt_no    integer     NOT NULL DEFAULT 1,
  due_at        timestamptz NOT NULL,
  reason        text        NOT NULL,
  detail        text,
  created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  subject       uuid,
  PRIMARY KEY (route_code, event_id, replay_number)
);
CREATE INDEX iu_route_retry_subject ON public.iu_route_retry (route_code, subject, event_seq, replay_number) WHERE subject IS NOT NULL;
CREATE INDEX iu_route_retry_head ON public.iu_route_retry (route_code, subject) WHERE subject IS NOT NULL AND due_at < 'infinity';
COMMENT ON INDEX public.iu_route_retry_head IS 'Whose turn it is, among many that wait.';
COMMENT ON INDEX public.iu_route_retry_subject IS 'Who is next where a route keeps the order of a subject.';
COMMENT ON COLUMN public.iu_route_retry.subject IS 'fn_iu_order_subject of the event where the route keeps the order of a subject; NULL where it does not';
CREATE INDEX iu_route_retry_due ON public.iu_route_retry (route_code, due_at, event_seq);
COMMENT ON INDEX public.iu_route_retry_due IS 'What is due next on a route.';
COMMENT ON TABLE public.iu_route_retry IS
  'Deliveries behind their route''s position that are to be sent at due_at: failed before, given back by a sender, handed over, owed since an arming, or behind another of their subject. (design: Events and delivery)';
COMMENT ON COLUMN public.iu_route_retry.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_retry.event_id IS 'The event';
COMMENT ON COLUMN public.iu_route_retry.replay_number IS '0: the delivery itself';
COMMENT ON COLUMN public.iu_route_retry.event_seq IS 'Its place in the outbox';
COMMENT ON COLUMN public.iu_route_retry.due_at IS 'Not before this; infinity: not before its turn comes, see fn_iu_order_release';
COMMENT ON COLUMN public.iu_route_retry.created_at IS 'When it was put here';
COMMENT ON COLUMN public.iu_route_retry.attempt_no IS 'The number that the next attempt will have.';
COMMENT ON COLUMN public.iu_route_retry.detail IS 'What held it, in words, where the sender found that out; else NULL';
COMMENT ON COLUMN public.iu_route_retry.reason IS 'Failure code of the last attempt, code of the refusal, or deliver, armed, confirmed, replay, subject.';

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
CREATE INDEX iu_route_dead_letter_open ON public.iu_route_dead_letter (route_code, created_at) WHERE resolved_at IS NULL;
COMMENT ON INDEX public.iu_route_dead_letter_open IS 'Those that wait for a person.';
COMMENT ON TABLE public.iu_route_dead_letter IS
  'Deliveries that were given up, each with the whole event. Resolved, never deleted. (facts-events 2.7)';
COMMENT ON COLUMN public.iu_route_dead_letter.id IS 'What fn_iu_route_dead_letter_replay and _resolve ask for';
COMMENT ON COLUMN public.iu_route_dead_letter.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_dead_letter.event_ref IS 'The event';
COMMENT ON COLUMN public.iu_route_dead_letter.replay_number IS '0: the delivery itself';
COMMENT ON COLUMN public.iu_route_dead_letter.attempts IS 'How many were made and recorded';
COMMENT ON COLUMN public.iu_route_dead_letter.idempotency_key IS 'Its webhook-id';
COMMENT ON COLUMN public.iu_route_dead_letter.failure_code IS 'Of the last attempt; route_retired: the route ended before the delivery did';
COMMENT ON COLUMN public.iu_route_dead_letter.failure_detail IS 'Of the last attempt; route_retired: who retired the route, why, and where the delivery was';
COMMENT ON COLUMN public.iu_route_dead_letter.http_status IS 'Of the last attempt';
COMMENT ON COLUMN public.iu_route_dead_letter.event_snapshot IS 'The row of event_outbox when it was given up';
COMMENT ON COLUMN public.iu_route_dead_letter.created_at IS 'When it was given up';
COMMENT ON COLUMN public.iu_route_dead_letter.resolved_at IS 'When a person dealt with it; NULL: open';
COMMENT ON COLUMN public.iu_route_dead_letter.resolved_by IS 'Who';
COMMENT ON COLUMN public.iu_route_dead_letter.resolution IS 'How';
COMMENT ON COLUMN public.iu_route_dead_letter.replayed_as IS 'The replay number of the delivery that took its place.';

CREATE TABLE public.iu_route_order (
  route_code text NOT NULL PRIMARY KEY
);
COMMENT ON TABLE public.iu_route_order IS
  'One row a route that keeps the order of a subject: locked by whoever changes whose turn it is. (design: Events and delivery)';
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
  CONSTRAINT iu_route_circuit_open_chk CHECK ((state = 'closed') = (open_s IS NULL) AND (state = 'closed') = (next_at IS NULL)),
  CONSTRAINT iu_route_circuit_probe_chk CHECK ((state = 'half_open') = (probe_lease IS NOT NULL))
);
COMMENT ON TABLE public.iu_route_circuit IS
  'Circuits of routes whose last attempts failed; a route without a row is closed and has no failure. (design: Events and delivery)';
COMMENT ON COLUMN public.iu_route_circuit.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_circuit.state IS 'closed: failures are counted; open: nothing is sent; half_open: one delivery is under way to find out';
COMMENT ON COLUMN public.iu_route_circuit.failures IS 'Failed attempts in a row, as far as fn_iu_circuit_verdict counts them';
COMMENT ON COLUMN public.iu_route_circuit.last_failure IS 'Code of the last of them';
COMMENT ON COLUMN public.iu_route_circuit.open_s IS 'Seconds that it is open this time';
COMMENT ON COLUMN public.iu_route_circuit.next_at IS 'open: when one delivery may be tried; half_open: when another may, if nothing is heard of this one';
COMMENT ON COLUMN public.iu_route_circuit.probe_lease IS 'half_open: the lease of that delivery';
COMMENT ON COLUMN public.iu_route_circuit.changed_at IS 'When state or failures changed last';

-- Small parts ----------------------------------------------------------------
--
-- What a claim calls and the planner cannot inline is plpgsql: a function of
-- language sql would be planned anew in each call.

-- pg_current_snapshot() leaves the own transaction out, so that one with a
-- later number can make it look committed.
CREATE FUNCTION public.fn_iu_snapshot_now() RETURNS pg_snapshot
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_now pg_snapshot := pg_current_snapshot();
  v_own xid8 := pg_current_xact_id_if_assigned();
BEGIN
  IF v_own IS NULL OR v_own >= pg_snapshot_xmax(v_now) THEN
    RETURN v_now;
  END IF;
  RETURN format('%s:%s:%s', least(v_own, pg_snapshot_xmin(v_now)), pg_snapshot_xmax(v_now),
           (SELECT string_agg(x.xid::text, ',' ORDER BY x.xid)
              FROM (SELECT pg_snapshot_xip(v_now) AS xid UNION SELECT v_own) AS x));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_snapshot_now() IS
  'The snapshot of the calling statement, in which the own transaction counts as running. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_webhook_id(p_event_seq bigint, p_route_id bigint, p_replay_number integer, p_event_id uuid)
  RETURNS text LANGUAGE sql IMMUTABLE
RETURN 'msg_' || p_event_seq::text || '_' || p_route_id::text || '_' || p_replay_number::text || '_' || right(p_event_id::text, 12);
COMMENT ON FUNCTION public.fn_iu_webhook_id(bigint, bigint, integer, uuid) IS
  'The webhook-id of a delivery: event_seq, route id, replay number and the end of the event''s id. Sorts with the outbox, so that the index of attempts grows at its end. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_delivery_body(p_event public.event_outbox) RETURNS text
  LANGUAGE sql STABLE
RETURN '{"type":"' || p_event.event_domain || '.' || p_event.event_type
  || '","timestamp":"' || to_char(p_event.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
  || '","data":{"event_id":"' || p_event.id
  || '","severity":"' || p_event.event_severity
  || '","subject":{"table":' || to_json(p_event.event_subject_table)::text
  || ',"ref":' || to_json(p_event.event_subject_ref)::text
  || '},"canonical_address":' || coalesce(to_json(p_event.canonical_address)::text, 'null')
  || ',"correlation_id":' || coalesce(to_json(p_event.correlation_id)::text, 'null')
  || ',"payload":' || p_event.safe_payload::text || '}}';
COMMENT ON FUNCTION public.fn_iu_delivery_body(public.event_outbox) IS
  'The body of a delivery in the form of Standard Webhooks: {type, timestamp, data: {event_id, severity, subject: {table, ref}, canonical_address, correlation_id, payload}}. It follows from the event alone and depends on no setting, so that every attempt sends the same bytes. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_delivery_rule(p_http_status integer, p_failure_code text) RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN CASE
  WHEN p_http_status = 410 THEN 'disable'
  WHEN p_failure_code IN ('request_too_large', 'body_not_sendable', 'contract') THEN 'give_up'
  WHEN p_failure_code = 'response_too_large' AND p_http_status BETWEEN 200 AND 299 THEN 'give_up'
  WHEN p_http_status IN (429, 503) THEN 'obey'
  ELSE 'retry' END;
COMMENT ON FUNCTION public.fn_iu_delivery_rule(integer, text) IS
  'What follows a failed attempt: retry after the backoff; obey the answer''s Retry-After (429, 503) where that is later, a day at most; disable the route and keep the delivery (410); give_up where another attempt cannot differ: a body that is too large or cannot be put into UTF-8, a payload that breaks the route''s contract, and a 2xx whose body is too large, which took the event. Every other status is tried again, 4xx as well: what the receiver refuses today, a wrong path, a missing right, it may take tomorrow, and the limit of attempts is the route''s. (design: Events and delivery)';

-- Refusals, in seed 4's order --------------------------------------------------

CREATE FUNCTION public.fn_iu_route_function_refusal(p_target_ref text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN format('function "%s" is not registered', p_target_ref);
COMMENT ON FUNCTION public.fn_iu_route_function_refusal(text) IS
  'NULL if a route of kind sql_function may call this function, otherwise why not, in words. Here none may; migration 014 replaces it. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_delivery_refusal(p_route_code text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route public.iu_outbound_route;
  v_at    record;
BEGIN
  IF NOT public.fn_iu_core_routes_enabled() THEN
    RETURN 'master_gate_closed';
  ELSIF NOT public.fn_iu_route_worker_enabled() THEN
    RETURN 'worker_gate_closed';
  ELSIF NOT public.fn_iu_delivery_enabled() THEN
    RETURN 'delivery_gate_closed';
  END IF;
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  IF NOT FOUND THEN
    RETURN 'route_unknown';
  ELSIF v_route.retired_at IS NOT NULL THEN
    RETURN 'route_retired';
  ELSIF p_route_code <> ALL (public.fn_iu_delivery_live_routes()) THEN
    RETURN 'route_not_allowlisted';
  ELSIF v_route.target_kind NOT IN ('external_endpoint', 'directus_flow', 'sql_function') THEN
    RETURN 'target_kind_not_supported';
  ELSIF v_route.target_kind = 'sql_function' AND public.fn_iu_route_function_refusal(v_route.target_ref) IS NOT NULL THEN
    RETURN 'function_refused';
  ELSIF v_route.target_kind <> 'sql_function' AND iu_core.egress_refusal(v_route.target_ref) IS NOT NULL THEN
    RETURN 'origin_not_allowed';
  ELSIF NOT v_route.enabled THEN
    RETURN 'route_disabled';
  ELSIF v_route.dry_run THEN
    RETURN 'route_dry_run';
  END IF;
  SELECT system_identifier, database_oid INTO v_at FROM public.iu_route_position WHERE route_code = p_route_code;
  IF NOT FOUND THEN
    RETURN 'route_not_armed';
  ELSIF v_at.system_identifier <> iu_core.system_identifier() OR v_at.database_oid <> iu_core.database_oid() THEN
    RETURN 'position_foreign';
  ELSIF v_route.target_kind <> 'sql_function'
        AND NOT EXISTS (SELECT FROM public.iu_route_secret s WHERE s.secret_ref = v_route.secret_ref
                      AND s.valid_from <= clock_timestamp() AND s.valid_until > clock_timestamp()) THEN
    RETURN 'secret_missing';
  ELSIF EXISTS (SELECT FROM public.iu_route_circuit c WHERE c.route_code = p_route_code AND c.next_at > clock_timestamp()) THEN
    RETURN 'circuit_open';
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_refusal(text) IS
  'NULL if the route may deliver now, otherwise the code of the first closed switch, gate, list or rule: master_gate_closed, worker_gate_closed, delivery_gate_closed, route_unknown, route_retired, route_not_allowlisted, target_kind_not_supported, function_refused, origin_not_allowed, route_disabled, route_dry_run, route_not_armed, position_foreign, secret_missing, circuit_open. Asked at each claim and, through fn_iu_delivery_check, before each send. See fn_iu_route_refusal for what to do. (seed 4 A3; design: Events and delivery)';

-- A lease that nears its end may be another sender's before an answer comes.
CREATE FUNCTION public.fn_iu_delivery_check(p_lease_id bigint, p_lease_generation integer) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route text;
  v_code  text;
  v_probe bigint;
BEGIN
  SELECT l.route_code INTO v_route
    FROM public.iu_route_lease l JOIN public.iu_outbound_route r ON r.route_code = l.route_code
   WHERE l.lease_id = p_lease_id AND l.generation = p_lease_generation
     AND l.expires_at > clock_timestamp() + make_interval(secs => r.timeout_ms / 1000.0);
  IF NOT FOUND THEN
    RETURN 'lease_lost';
  END IF;
  v_code := public.fn_iu_delivery_refusal(v_route);
  IF coalesce(v_code, 'circuit_open') = 'circuit_open' THEN	-- once it was open, only its probe goes
    SELECT c.probe_lease INTO v_probe FROM public.iu_route_circuit c WHERE c.route_code = v_route AND c.state <> 'closed';
    v_code := CASE WHEN FOUND AND v_probe IS DISTINCT FROM p_lease_id THEN 'circuit_open' END;
  END IF;
  RETURN v_code;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_check(bigint, integer) IS
  'Asked right before the deliveries of a lease are sent: NULL, or the code of fn_iu_delivery_refusal, or lease_lost where the lease is another sender''s by now or ends before an answer could come; then nothing more of it may be sent. (design: Events and delivery)';

-- Order by subject -------------------------------------------------------------
--
-- Of the unfinished deliveries of a subject one is the head: it is in a lease,
-- or in iu_route_retry with a finite due_at. All others are in iu_route_retry
-- with due_at infinity, so that nothing else has to know of them. Whoever adds
-- a delivery, or ends one, holds the lock of the route's order meanwhile.

CREATE FUNCTION public.fn_iu_order_subject(p_event public.event_outbox) RETURNS uuid
  LANGUAGE sql IMMUTABLE
RETURN md5(length(p_event.event_subject_table) || ':' || p_event.event_subject_table || ':' || p_event.event_subject_ref)::uuid;
COMMENT ON FUNCTION public.fn_iu_order_subject(public.event_outbox) IS
  'A digest of the subject of an event, table and reference. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_order_lock(p_route_code text) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'deliveries of route "%" need isolation level READ COMMITTED', p_route_code
      USING ERRCODE = 'invalid_transaction_state', DETAIL = 'An older snapshot would not see whose turn it is.';
  END IF;
  LOOP
    PERFORM FROM public.iu_route_order WHERE route_code = p_route_code FOR UPDATE;
    EXIT WHEN FOUND;
    INSERT INTO public.iu_route_order VALUES (p_route_code) ON CONFLICT DO NOTHING;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_order_lock(text) IS
  'Waits for, and holds to the end of the transaction, the right to change whose turn it is on a route. SQLSTATE 25000: another isolation level than READ COMMITTED. (design: Events and delivery)';

-- Somebody may replay or close a circuit in a transaction that stays open: that
-- is the trouble of one route, and the claim has others.
CREATE FUNCTION public.fn_iu_delivery_locks(p_route_code text) RETURNS boolean
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '100ms'
AS $function$
BEGIN
  IF EXISTS (SELECT FROM public.iu_outbound_route r WHERE r.route_code = p_route_code AND r.ordering = 'subject') THEN
    PERFORM public.fn_iu_order_lock(p_route_code);
  END IF;
  PERFORM FROM public.iu_route_circuit c WHERE c.route_code = p_route_code AND c.state <> 'closed' FOR UPDATE;
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_locks(text) IS
  'For the claim: takes what it will need of a route, its order and a circuit that is not closed, or returns false where another transaction has one for 0.1 s, so that this route alone is left out. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_order_leased(p_route_code text) RETURNS TABLE (event_id uuid, replay_number integer, subject uuid)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT i.event_id, i.replay_number, e.subject
    FROM public.iu_route_lease l
    CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers) AS i (event_id, replay_number)
    CROSS JOIN LATERAL (SELECT public.fn_iu_order_subject(o) AS subject FROM public.event_outbox o WHERE o.id = i.event_id OFFSET 0) AS e
   WHERE l.route_code = p_route_code
     AND l.lease_id >= (SELECT p.lease_low FROM public.v_iu_route_position p WHERE p.route_code = p_route_code);
END;
COMMENT ON FUNCTION public.fn_iu_order_leased(text) IS
  'What senders have of a route, each with its subject. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_order_head(p_route_code text, p_subject uuid) RETURNS uuid
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT coalesce(
    (SELECT t.event_id FROM public.iu_route_retry t
      WHERE t.route_code = p_route_code AND t.subject = p_subject AND t.due_at < 'infinity' LIMIT 1),
    (SELECT l.event_id FROM public.fn_iu_order_leased(p_route_code) l WHERE l.subject = p_subject LIMIT 1));
END;
COMMENT ON FUNCTION public.fn_iu_order_head(text, uuid) IS
  'The event whose delivery the others of its subject wait for on this route; NULL if the subject has none under way. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_retry_order() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT EXISTS (SELECT FROM public.iu_outbound_route r WHERE r.route_code = NEW.route_code AND r.ordering = 'subject') THEN
    RETURN NEW;
  END IF;
  PERFORM public.fn_iu_order_lock(NEW.route_code);
  SELECT public.fn_iu_order_subject(e) INTO NEW.subject FROM public.event_outbox e WHERE e.id = NEW.event_id;
  -- What comes from a lease is the head and stays it.
  IF NOT EXISTS (SELECT FROM public.iu_route_lease l CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers) AS i (event_id, replay_number)
                  WHERE l.route_code = NEW.route_code AND NEW.event_id = ANY (l.event_ids)
                    AND i.event_id = NEW.event_id AND i.replay_number = NEW.replay_number)
     AND public.fn_iu_order_head(NEW.route_code, NEW.subject) IS NOT NULL THEN
    NEW.due_at := 'infinity';
  ELSIF NEW.due_at = 'infinity' THEN
    NEW.due_at := clock_timestamp();	-- nobody would wake it
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_retry_order() IS
  'Trigger of iu_route_retry, for routes that keep the order of a subject: whoever puts a delivery there, it waits for its turn. (design: Events and delivery)';
CREATE TRIGGER trg_iu_route_retry_order BEFORE INSERT ON public.iu_route_retry
  FOR EACH ROW WHEN (NEW.subject IS NULL) EXECUTE FUNCTION public.fn_iu_route_retry_order();
COMMENT ON TRIGGER trg_iu_route_retry_order ON public.iu_route_retry IS
  'Only the head of a subject is due. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_order_heads(p_route_code text, p_ids uuid[], p_seqs bigint[],
    OUT items bigint, OUT ids uuid[], OUT seqs bigint[])
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM public.fn_iu_order_lock(p_route_code);
  WITH fresh AS MATERIALIZED (
    SELECT i.event_id, i.event_seq, e.subject
      FROM unnest(p_ids, p_seqs) AS i (event_id, event_seq)
      CROSS JOIN LATERAL (SELECT public.fn_iu_order_subject(o) AS subject FROM public.event_outbox o WHERE o.id = i.event_id OFFSET 0) AS e
  ), leased AS MATERIALIZED (
    SELECT DISTINCT l.subject FROM public.fn_iu_order_leased(p_route_code) l
  ), split AS MATERIALIZED (
    SELECT f.*, row_number() OVER (PARTITION BY f.subject ORDER BY f.event_seq) = 1
           AND f.subject NOT IN (SELECT l.subject FROM leased l)
           AND (SELECT true FROM public.iu_route_retry t WHERE t.route_code = p_route_code AND t.subject = f.subject LIMIT 1) IS NULL AS is_head
      FROM fresh f
  ), behind AS (
    INSERT INTO public.iu_route_retry (route_code, event_id, event_seq, due_at, reason, subject)
      SELECT p_route_code, s.event_id, s.event_seq, 'infinity', 'subject', s.subject FROM split s WHERE NOT s.is_head
      ON CONFLICT DO NOTHING
  )
  SELECT count(*), array_agg(s.event_id ORDER BY s.event_seq), array_agg(s.event_seq ORDER BY s.event_seq)
    INTO items, ids, seqs FROM split s WHERE s.is_head;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_order_heads(text, uuid[], bigint[]) IS
  'For the claim: of these new events, those that are the first of their subject. The others wait in iu_route_retry for their turn. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_order_release(p_lease public.iu_route_lease) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET enable_nestloop = on
AS $function$
BEGIN
  PERFORM public.fn_iu_order_lock(p_lease.route_code);
  WITH ended AS MATERIALIZED (
    SELECT i.event_id, i.replay_number FROM unnest(p_lease.event_ids, p_lease.replay_numbers) AS i (event_id, replay_number)
    EXCEPT
    SELECT i.event_id, i.replay_number
      FROM public.iu_route_lease l CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers) AS i (event_id, replay_number)
     WHERE l.lease_id = p_lease.lease_id
  ), next AS MATERIALIZED (
    SELECT n.place
      FROM ended i
      CROSS JOIN LATERAL (SELECT public.fn_iu_order_subject(o) AS subject FROM public.event_outbox o WHERE o.id = i.event_id OFFSET 0) AS e
      CROSS JOIN LATERAL (SELECT x.ctid AS place FROM public.iu_route_retry x
                           WHERE x.route_code = p_lease.route_code AND x.subject = e.subject
                           ORDER BY x.event_seq, x.replay_number LIMIT 1) AS n
     WHERE (SELECT true FROM public.iu_route_retry h
             WHERE h.route_code = p_lease.route_code AND h.subject = e.subject AND h.due_at < 'infinity' LIMIT 1) IS NULL
  )
  UPDATE public.iu_route_retry t SET due_at = clock_timestamp() WHERE t.ctid = ANY (ARRAY(SELECT n.place FROM next n));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_order_release(public.iu_route_lease) IS
  'For the record of a lease, given as it was: makes due, for each of its deliveries that has ended (sent, or a dead letter), the next of its subject: the lowest event_seq. (design: Events and delivery)';

-- Circuit ----------------------------------------------------------------------

CREATE FUNCTION public.fn_iu_circuit_verdict(p_failure_code text) RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN CASE
  WHEN p_failure_code IS NULL OR p_failure_code IN ('http_400', 'http_409', 'http_413', 'http_415', 'http_422') THEN 'answered'
  WHEN p_failure_code = 'http_410' THEN NULL
  WHEN p_failure_code LIKE 'http\_%' OR p_failure_code IN
    ('dns_failed', 'connect_failed', 'tls_failed', 'timed_out', 'connection_lost', 'not_http') THEN 'failed' END;
COMMENT ON FUNCTION public.fn_iu_circuit_verdict(text) IS
  'What the outcome of an attempt says of its route: answered (sent, which has no failure code, or 400, 409, 413, 415, 422: the receiver is there and minds this one event), failed (no connection, no complete answer, any other status), NULL (nothing: the request never left, the answer was too large, which a success may be, or 410, which disables the route). (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_circuit_is_probing(p_route_code text) RETURNS boolean
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM public.iu_route_circuit c WHERE c.route_code = p_route_code AND c.state <> 'closed');
END
$function$;
COMMENT ON FUNCTION public.fn_iu_circuit_is_probing(text) IS
  'For the claim, where nothing refuses: whether it may take one delivery only, because the circuit was open. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_circuit_probe(p_route_code text, p_lease_ids bigint[]) RETURNS void
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  UPDATE public.iu_route_circuit c
     SET state = 'half_open', probe_lease = l.lease_id, changed_at = clock_timestamp(),
         next_at = clock_timestamp() + make_interval(secs => 10 + r.timeout_ms / 1000.0)
    FROM public.iu_route_lease l JOIN public.iu_outbound_route r ON r.route_code = l.route_code
   WHERE c.route_code = p_route_code AND c.next_at <= clock_timestamp()
     AND l.lease_id = ANY (p_lease_ids) AND l.route_code = p_route_code;
END;
COMMENT ON FUNCTION public.fn_iu_circuit_probe(text, bigint[]) IS
  'For the claim: the one delivery that it leased finds out whether the circuit can be closed. Where nothing is heard of it, another may be tried 10 s after its timeout. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_circuit_record(p_route public.iu_outbound_route, p_lease_id bigint, p_codes text[]) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_limit   constant integer := (p_route.retry_policy ->> 'circuit_failures')::integer;
  v_is      public.iu_route_circuit;
  v_was     public.iu_route_circuit;
  v_code    text;
  v_verdict text;
BEGIN
  LOOP
    SELECT * INTO v_was FROM public.iu_route_circuit WHERE route_code = p_route.route_code FOR UPDATE;
    EXIT WHEN FOUND;
    IF v_limit = 0 OR NOT 'failed' = ANY (ARRAY(SELECT coalesce(public.fn_iu_circuit_verdict(c), '') FROM unnest(p_codes) c)) THEN
      RETURN;
    END IF;
    INSERT INTO public.iu_route_circuit (route_code, state, failures) VALUES (p_route.route_code, 'closed', 0) ON CONFLICT DO NOTHING;
  END LOOP;
  IF v_was.state <> 'closed' AND v_was.probe_lease IS DISTINCT FROM p_lease_id THEN
    RETURN;	-- sent before it opened: only the probe decides
  END IF;

  v_is := v_was;
  FOREACH v_code IN ARRAY coalesce(p_codes, '{}') LOOP
    v_verdict := coalesce(public.fn_iu_circuit_verdict(v_code), v_verdict);
    CONTINUE WHEN public.fn_iu_circuit_verdict(v_code) IS NULL;
    v_is.failures := CASE v_verdict WHEN 'failed' THEN v_is.failures + 1 ELSE 0 END;
    v_is.last_failure := CASE v_verdict WHEN 'failed' THEN v_code END;
    EXIT WHEN v_limit > 0 AND v_is.failures >= v_limit;
  END LOOP;
  IF v_is.failures = 0 THEN
    DELETE FROM public.iu_route_circuit WHERE route_code = p_route.route_code;
    IF v_was.state <> 'closed' THEN
      RAISE LOG 'circuit of route "%" is closed: it delivers again', p_route.route_code;
    END IF;
    RETURN;
  END IF;

  IF v_was.state <> 'closed' THEN
    v_is.state := 'open';
    v_is.probe_lease := NULL;
    v_is.open_s := CASE v_verdict WHEN 'failed' THEN least(v_was.open_s * 2, (p_route.retry_policy ->> 'circuit_max_s')::float8) ELSE v_was.open_s END;
    v_is.next_at := clock_timestamp() + make_interval(secs => CASE v_verdict WHEN 'failed' THEN v_is.open_s ELSE 0 END);
  ELSIF v_limit > 0 AND v_is.failures >= v_limit THEN
    v_is.state := 'open';
    v_is.open_s := (p_route.retry_policy ->> 'circuit_open_s')::float8;
    v_is.next_at := clock_timestamp() + make_interval(secs => v_is.open_s);
  END IF;
  IF (v_is.state, v_is.failures) IS DISTINCT FROM (v_was.state, v_was.failures) THEN
    UPDATE public.iu_route_circuit
       SET state = v_is.state, failures = v_is.failures, last_failure = v_is.last_failure, open_s = v_is.open_s,
           next_at = v_is.next_at, probe_lease = v_is.probe_lease, changed_at = clock_timestamp()
     WHERE route_code = p_route.route_code;
    IF v_is.state = 'open' AND v_is.failures > v_was.failures THEN
      RAISE LOG 'circuit of route "%" is open until %: % failed attempts in a row, the last %',
        p_route.route_code, v_is.next_at, v_is.failures, v_is.last_failure;
    END IF;
  END IF;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_circuit_record(public.iu_outbound_route, bigint, text[]) IS
  'For the record of a lease: counts its outcomes, in the order in which they came (a failure code each, NULL if sent; NULL or none: held), opens the circuit at the route''s circuit_failures, and closes it or opens it for twice as long where the lease is its probe. Writes nothing where nothing changes. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_circuit_next_due() RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (SELECT min(c.next_at) FROM public.iu_route_circuit c
           WHERE c.next_at > clock_timestamp() AND public.fn_iu_delivery_refusal(c.route_code) = 'circuit_open');
END
$function$;
COMMENT ON FUNCTION public.fn_iu_circuit_next_due() IS
  'When the next open circuit may be tried, of routes that nothing else holds. (design: Processes)';

-- Payload contract ---------------------------------------------------------------

CREATE FUNCTION public.fn_iu_delivery_contract(p_route_code text, p_lease_ids bigint[]) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_contract constant jsonb := (SELECT r.payload_contract FROM public.iu_outbound_route r WHERE r.route_code = p_route_code);
  v_broken   record;
BEGIN
  IF v_contract = '{}' THEN
    RETURN;
  END IF;
  FOR v_broken IN
    SELECT l.lease_id, l.generation, jsonb_agg(jsonb_build_object('event_id', i.event_id, 'replay_number', i.replay_number,
             'attempt_no', i.attempt_no, 'outcome', 'failed', 'failure_code', 'contract', 'failure_detail', p.problem)) AS results
      FROM public.iu_route_lease l
      CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers, l.attempt_nos) AS i (event_id, replay_number, attempt_no)
      CROSS JOIN LATERAL (SELECT public.fn_iu_payload_problem(v_contract, o.safe_payload) AS problem
                            FROM public.event_outbox o WHERE o.id = i.event_id OFFSET 0) AS p
     WHERE l.lease_id = ANY (p_lease_ids) AND p.problem IS NOT NULL
     GROUP BY l.lease_id, l.generation
  LOOP
    PERFORM public.fn_iu_delivery_record(v_broken.lease_id, v_broken.generation, v_broken.results);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_contract(text, bigint[]) IS
  'For the claim: deliveries among these leases whose payload breaks the route''s contract are not handed out: each is an attempt that failed (contract) and a dead letter. (facts-events 2.2; design: Events and delivery)';

-- Claiming -------------------------------------------------------------------
--
-- The settings: these queries run for every claim against tables whose size
-- changes faster than their statistics, so their plans are not left to those.

CREATE FUNCTION public.fn_iu_delivery_lease_orphans(p_route_code text, p_sender text, p_max integer) RETURNS SETOF bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_lease   public.iu_route_lease;
  v_left    integer := p_max;
  v_timeout integer := (SELECT timeout_ms FROM public.iu_outbound_route WHERE route_code = p_route_code);
BEGIN
  FOR v_lease IN
    SELECT l.* FROM public.iu_route_lease l
     WHERE l.route_code = p_route_code
       AND l.lease_id >= (SELECT p.lease_low FROM public.v_iu_route_position p WHERE p.route_code = p_route_code)
       AND (l.expires_at <= clock_timestamp()
            OR (l.backend_pid <> pg_backend_pid()
                AND NOT EXISTS (SELECT FROM pg_stat_get_activity(l.backend_pid))))
     ORDER BY l.lease_id FOR UPDATE SKIP LOCKED
  LOOP
    EXIT WHEN v_left <= 0;
    IF v_lease.item_count > v_left THEN
      INSERT INTO public.iu_route_retry (route_code, event_id, replay_number, event_seq, attempt_no, due_at, reason)
        SELECT p_route_code, i.event_id, i.replay_number, i.event_seq, i.attempt_no, clock_timestamp(), 'lease_expired'
          FROM unnest(v_lease.event_ids[v_left + 1:], v_lease.replay_numbers[v_left + 1:],
                      v_lease.event_seqs[v_left + 1:], v_lease.attempt_nos[v_left + 1:])
               AS i (event_id, replay_number, event_seq, attempt_no)
        ON CONFLICT DO NOTHING;
    END IF;
    UPDATE public.iu_route_lease
       SET sender = p_sender, backend_pid = pg_backend_pid(), generation = generation + 1, claimed_at = clock_timestamp(),
           expires_at = clock_timestamp() + make_interval(secs => 60 + v_timeout / 100.0),
           item_count = least(item_count, v_left), event_ids = event_ids[:v_left], event_seqs = event_seqs[:v_left],
           replay_numbers = replay_numbers[:v_left], attempt_nos = attempt_nos[:v_left]
     WHERE lease_id = v_lease.lease_id;
    v_left := v_left - least(v_lease.item_count, v_left);
    RETURN NEXT v_lease.lease_id;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_lease_orphans(text, text, integer) IS
  'For the claim: takes over leases of a route that expired or whose session is gone, at most p_max deliveries (what is over becomes a retry), with the next generation. Returns their ids. What was recorded is no longer in them. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_delivery_lease_retries(p_route_code text, p_sender text, p_max integer) RETURNS SETOF bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_due tid[];
BEGIN
  v_due := ARRAY(SELECT t.ctid FROM public.iu_route_retry t
                  WHERE t.route_code = p_route_code AND t.due_at <= (SELECT clock_timestamp())
                  ORDER BY t.due_at, t.event_seq LIMIT p_max FOR UPDATE SKIP LOCKED);
  IF v_due = '{}' THEN
    RETURN;
  END IF;
  RETURN QUERY
    WITH taken AS (
      DELETE FROM public.iu_route_retry t WHERE t.ctid = ANY (v_due) RETURNING t.*
    ), ordered AS (
      SELECT * FROM taken ORDER BY event_seq, replay_number
    )
    INSERT INTO public.iu_route_lease
        (route_code, sender, backend_pid, expires_at, item_count, event_ids, event_seqs, replay_numbers, attempt_nos)
      SELECT p_route_code, p_sender, pg_backend_pid(),
             clock_timestamp() + make_interval(secs => 60 + (SELECT r.timeout_ms / 100.0 FROM public.iu_outbound_route r
                                                              WHERE r.route_code = p_route_code)),
             count(*), array_agg(o.event_id), array_agg(o.event_seq), array_agg(o.replay_number), array_agg(o.attempt_no)
        FROM ordered o
      RETURNING lease_id;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_lease_retries(text, text, integer) IS
  'For the claim: leases at most p_max due retries of a route, oldest due first. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_delivery_lease_window(p_route_code text, p_sender text, p_max integer) RETURNS SETOF bigint
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_span    constant bigint := 50000;	-- rows looked at in one step
  v_route   public.iu_outbound_route;
  v_was     public.v_iu_route_position;
  v_at      public.v_iu_route_position;
  v_left    integer := p_max;
  v_new     record;
  v_to      bigint;
  v_batch   record;
  v_lease   bigint;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = p_route_code;
  SELECT * INTO v_was FROM public.v_iu_route_position WHERE route_code = p_route_code;
  v_at := v_was;
  FOR v_step IN 1..20 LOOP
    EXIT WHEN v_left <= 0;
    IF v_at.window_end IS NULL THEN
      -- The recent by range, what was under way at the last snapshot by list.
      WITH at AS MATERIALIZED (
        SELECT public.fn_iu_snapshot_now() AS now
      ), fresh AS (
        SELECT e.event_seq, e.event_domain, e.event_type FROM at, public.event_outbox e
         WHERE e.emitted_xid >= pg_snapshot_xmax(v_at.seen) AND e.emitted_xid < pg_snapshot_xmax(at.now)
           AND e.event_seq > v_at.floor_seq AND pg_visible_in_snapshot(e.emitted_xid, at.now)
        UNION ALL
        SELECT e.event_seq, e.event_domain, e.event_type FROM at, public.event_outbox e
         WHERE e.emitted_xid = ANY (ARRAY(SELECT pg_snapshot_xip(v_at.seen)))
           AND e.event_seq > v_at.floor_seq AND pg_visible_in_snapshot(e.emitted_xid, at.now)
      )
      SELECT at.now, f.seen_any, f.low, f.high INTO v_new FROM at, (
        SELECT count(*) > 0 AS seen_any,
               min(event_seq) FILTER (WHERE event_domain = v_route.event_domain AND event_type = v_route.event_type) AS low,
               max(event_seq) FILTER (WHERE event_domain = v_route.event_domain AND event_type = v_route.event_type) AS high
          FROM fresh) AS f;
      EXIT WHEN NOT v_new.seen_any;
      IF v_new.low IS NULL THEN
        v_at.seen := v_new.now;
        EXIT;
      END IF;
      v_at.window_end := v_new.now;
      v_at.window_seq := v_new.low - 1;
      v_at.window_high := v_new.high;
    END IF;

    v_to := least(v_at.window_high, v_at.window_seq + c_span);
    SELECT count(*) AS items, max(b.event_seq) AS last, array_agg(b.id ORDER BY b.event_seq) AS ids,
           array_agg(b.event_seq ORDER BY b.event_seq) AS seqs INTO v_batch
      FROM (SELECT e.id, e.event_seq FROM public.event_outbox e
             WHERE e.event_domain = v_route.event_domain AND e.event_type = v_route.event_type
               AND e.event_seq > greatest(v_at.window_seq, v_at.floor_seq) AND e.event_seq <= v_to
               AND NOT pg_visible_in_snapshot(e.emitted_xid, v_at.seen)
               AND pg_visible_in_snapshot(e.emitted_xid, v_at.window_end)
               AND e.payload_classification = 'safe_metadata'
             ORDER BY e.event_domain, e.event_type, e.event_seq LIMIT v_left) AS b;
    v_at.window_seq := CASE WHEN v_batch.items = v_left THEN v_batch.last ELSE v_to END;
    IF v_at.window_seq >= v_at.window_high THEN
      v_at.seen := v_at.window_end;
      v_at.window_end := NULL;
      v_at.window_seq := NULL;
      v_at.window_high := NULL;
    END IF;
    IF v_batch.items > 0 AND v_route.ordering = 'subject' THEN
      SELECT h.items, h.ids, h.seqs INTO v_batch FROM public.fn_iu_order_heads(p_route_code, v_batch.ids, v_batch.seqs) h;
    END IF;
    IF v_batch.items > 0 THEN
      v_left := v_left - v_batch.items;
      INSERT INTO public.iu_route_lease
          (route_code, sender, backend_pid, expires_at, item_count, event_ids, event_seqs, replay_numbers, attempt_nos)
        VALUES (p_route_code, p_sender, pg_backend_pid(),
                clock_timestamp() + make_interval(secs => 60 + v_route.timeout_ms / 100.0), v_batch.items, v_batch.ids, v_batch.seqs,
                array_fill(0, ARRAY[v_batch.items::integer]), array_fill(1, ARRAY[v_batch.items::integer]))
        RETURNING lease_id INTO v_lease;
      RETURN NEXT v_lease;
    END IF;
  END LOOP;
  v_at.lease_low := coalesce((SELECT l.lease_id FROM public.iu_route_lease l
                               WHERE l.route_code = p_route_code AND l.lease_id >= v_at.lease_low
                               ORDER BY l.lease_id LIMIT 1), v_at.lease_low);
  IF (v_at.seen::text, v_at.window_seq) IS DISTINCT FROM (v_was.seen::text, v_was.window_seq) OR v_at.lease_low > v_was.lease_low + 100 THEN
    INSERT INTO public.iu_route_step (route_code, step, seen, window_end, window_seq, window_high, lease_low)
      VALUES (p_route_code, v_was.step + 1, v_at.seen, v_at.window_end, v_at.window_seq, v_at.window_high, v_at.lease_low);
    DELETE FROM public.iu_route_step WHERE route_code = p_route_code AND step = v_was.step;
  END IF;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_lease_window(text, text, integer) IS
  'For the claim, which holds the position: leases at most p_max events that became visible since the position, opening the next window where none is open, and moves the position past them. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_delivery_claim(p_sender text, p_max integer, p_route_max integer DEFAULT NULL)
  RETURNS TABLE (lease_id bigint, lease_generation integer, route_code text, event_id uuid, replay_number integer,
    attempt_no integer, webhook_id text, target_kind text, target_url text, body text, secrets text[], timeout_ms integer)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
  v_routes text[];
  v_route  text;
  v_rest   integer;
  v_left   integer := p_max;
  v_room   integer;
  v_probe  boolean;
  v_ids    bigint[];
  v_leases bigint[] := '{}';
  v_done   integer;
BEGIN
  IF coalesce(btrim(p_sender), '') = '' OR p_max IS NULL OR p_max < 1 THEN
    RAISE EXCEPTION 'a claim names its sender and asks for at least one delivery' USING ERRCODE = 'check_violation';
  END IF;
  -- Only routes with something to do, found without writing or locking.
  v_routes := ARRAY(
    SELECT p.route_code FROM public.v_iu_route_position p JOIN public.iu_outbound_route r ON r.route_code = p.route_code
     WHERE r.enabled AND NOT r.dry_run AND r.target_kind <> 'sql_function'
       AND (p.window_end IS NOT NULL
            OR EXISTS (SELECT FROM public.iu_route_retry t WHERE t.route_code = p.route_code AND t.due_at <= (SELECT clock_timestamp()))
            OR EXISTS (SELECT FROM public.iu_route_lease l WHERE l.route_code = p.route_code AND l.lease_id >= p.lease_low)
            OR EXISTS (SELECT FROM public.event_outbox e
                        WHERE e.emitted_xid >= pg_snapshot_xmax(p.seen)
                          AND e.emitted_xid < pg_snapshot_xmax(pg_current_snapshot())
                          AND e.event_seq > p.floor_seq)
            OR EXISTS (SELECT FROM public.event_outbox e
                        WHERE e.emitted_xid = ANY (ARRAY(SELECT pg_snapshot_xip(p.seen))) AND e.event_seq > p.floor_seq))
     ORDER BY random());
  v_rest := cardinality(v_routes);
  FOREACH v_route IN ARRAY v_routes LOOP
    EXIT WHEN v_left <= 0;
    v_done := 0;
    IF public.fn_iu_delivery_refusal(v_route) IS NULL THEN
      PERFORM FROM public.iu_route_position p WHERE p.route_code = v_route FOR NO KEY UPDATE SKIP LOCKED;
      IF FOUND AND public.fn_iu_delivery_locks(v_route) THEN
        v_probe := public.fn_iu_circuit_is_probing(v_route);
        v_ids := ARRAY(SELECT o FROM public.fn_iu_delivery_lease_orphans(v_route, p_sender, CASE WHEN v_probe THEN 1 ELSE v_left END) o);
        SELECT coalesce(sum(l.item_count) FILTER (WHERE l.lease_id = ANY (v_ids)), 0),
               least((SELECT r.max_in_flight FROM public.iu_outbound_route r WHERE r.route_code = v_route) - coalesce(sum(l.item_count), 0),
                     -- One part is recorded while the others are under way: a route whose whole share came at once would then stand still.
                     (SELECT greatest(ceil(r.max_in_flight / 4.0), 16) FROM public.iu_outbound_route r WHERE r.route_code = v_route AND r.max_in_flight <= 256),
                     p_route_max - coalesce(sum(l.item_count) FILTER (WHERE l.backend_pid = pg_backend_pid()), 0))
          INTO v_done, v_room FROM public.iu_route_lease l
         WHERE l.route_code = v_route
           AND l.lease_id >= (SELECT p.lease_low FROM public.v_iu_route_position p WHERE p.route_code = v_route);
        v_room := least(v_room, CASE WHEN v_probe THEN 1 ELSE ceil(v_left::numeric / v_rest)::integer END - v_done);
        IF v_room > 0 THEN
          v_ids := v_ids || ARRAY(SELECT o FROM public.fn_iu_delivery_lease_retries(v_route, p_sender, v_room) o);
          SELECT coalesce(sum(l.item_count), 0), v_room - coalesce(sum(l.item_count), 0) + v_done
            INTO v_done, v_room FROM public.iu_route_lease l WHERE l.lease_id = ANY (v_ids);
        END IF;
        IF v_room > 0 THEN
          v_ids := v_ids || ARRAY(SELECT o FROM public.fn_iu_delivery_lease_window(v_route, p_sender, v_room) o);
          SELECT coalesce(sum(l.item_count), 0) INTO v_done FROM public.iu_route_lease l WHERE l.lease_id = ANY (v_ids);
        END IF;
        IF v_ids <> '{}' THEN
          PERFORM public.fn_iu_delivery_contract(v_route, v_ids);
        END IF;
        IF v_probe THEN
          PERFORM public.fn_iu_circuit_probe(v_route, v_ids);
        END IF;
        v_leases := v_leases || v_ids;
      END IF;
    END IF;
    v_left := v_left - v_done;
    v_rest := v_rest - 1;
  END LOOP;
  IF v_leases = '{}' THEN
    RETURN;
  END IF;

  RETURN QUERY
    WITH held AS MATERIALIZED (
      SELECT l.*, r.id AS route_id, r.event_domain, r.event_type, r.target_kind, r.target_ref, r.timeout_ms,
             ARRAY(SELECT s.secret FROM public.iu_route_secret s
                    WHERE s.secret_ref = r.secret_ref AND s.valid_from <= clock_timestamp() AND s.valid_until > clock_timestamp()
                    ORDER BY s.valid_from DESC, s.id DESC) AS secrets,
             q.low_seq, q.high_seq, q.high_seq - q.low_seq < 2 * l.item_count AS dense
        FROM public.iu_route_lease l CROSS JOIN LATERAL (SELECT min(x) AS low_seq, max(x) AS high_seq FROM unnest(l.event_seqs) x) AS q
        JOIN public.iu_outbound_route r ON r.route_code = l.route_code
       WHERE l.lease_id = ANY (v_leases)
    )
    SELECT h.lease_id, h.generation, h.route_code, e.id, i.replay_number, i.attempt_no,
           public.fn_iu_webhook_id(i.event_seq, h.route_id, i.replay_number, e.id),
           h.target_kind, h.target_ref, e.body, h.secrets, h.timeout_ms
      FROM held h
      CROSS JOIN LATERAL unnest(h.event_seqs, h.replay_numbers, h.attempt_nos) AS i (event_seq, replay_number, attempt_no)
      JOIN LATERAL (
        -- What lies close together is read in one go, the rest by one look-up each, whatever the statistics say.
        SELECT o.event_seq, o.id, public.fn_iu_delivery_body(o) AS body FROM public.event_outbox o
         WHERE h.dense AND o.event_domain = h.event_domain AND o.event_type = h.event_type
           AND o.event_seq BETWEEN h.low_seq AND h.high_seq
        UNION ALL
        SELECT s.event_seq, l.id, l.body FROM (SELECT DISTINCT x FROM unnest(h.event_seqs) x) AS s (event_seq)
          CROSS JOIN LATERAL (SELECT o.id, public.fn_iu_delivery_body(o) AS body FROM public.event_outbox o
                               WHERE o.event_domain = h.event_domain AND o.event_type = h.event_type AND o.event_seq = s.event_seq
                              OFFSET 0) AS l
         WHERE NOT h.dense) AS e ON e.event_seq = i.event_seq
     ORDER BY i.event_seq;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_claim(text, integer, integer) IS
  'Leases at most p_max deliveries to a sender, of each route so many that its session holds at most p_route_max (NULL: no such limit), and returns them with all that sending needs; of a route whose max_in_flight is 256 or less a quarter of it in one claim, at least 16, so that it is sent while another part is recorded: abandoned leases first, then due retries, then new events, shared among the routes that may deliver (those of kind sql_function are not a sender''s). Fewer than p_max: there is no more, or what there is is held, locked by another claim, over a route''s max_in_flight, or for the next claim, which fn_iu_delivery_next_due tells. A held route is not touched. Writes nothing where there is nothing. SQLSTATE 23514: no sender, or p_max below 1. (design: Events and delivery)';

-- Recording ------------------------------------------------------------------

-- Arrays of the same length, an element for each result, since this is called
-- for every delivery: jsonb would be written, parsed and taken apart again.
CREATE FUNCTION public.fn_iu_delivery_record_batch(p_lease_id bigint, p_lease_generation integer, p_event_ids uuid[],
    p_replay_numbers integer[], p_attempt_nos integer[], p_outcomes text[], p_http_statuses integer[], p_failure_codes text[],
    p_failure_details text[], p_retry_afters float8[], p_durations_us bigint[], p_response_excerpts text[], p_started_ats timestamptz[])
  RETURNS integer
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_nestloop = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  v_lease  public.iu_route_lease;
  v_route  public.iu_outbound_route;
  v_result record;
BEGIN
  SELECT * INTO v_lease FROM public.iu_route_lease WHERE lease_id = p_lease_id FOR UPDATE;
  IF NOT FOUND OR v_lease.generation IS DISTINCT FROM p_lease_generation THEN
    RAISE EXCEPTION 'lease % of generation % is no longer held', p_lease_id, p_lease_generation
      USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'It was recorded, or it expired and another sender took it over.';
  END IF;
  SELECT * INTO v_route FROM public.iu_outbound_route WHERE route_code = v_lease.route_code;

  WITH item AS MATERIALIZED (
    SELECT * FROM unnest(v_lease.event_ids, v_lease.event_seqs, v_lease.replay_numbers, v_lease.attempt_nos)
      AS i (event_id, event_seq, replay_number, attempt_no)
  ), result AS MATERIALIZED (
    SELECT i.*, public.fn_iu_webhook_id(i.event_seq, v_route.id, i.replay_number, i.event_id) AS webhook_id,
           x.outcome, x.http_status, left(x.failure_detail, 1000) AS failure_detail, x.duration_us,
           left(x.response_excerpt, 1024) AS response_excerpt, coalesce(x.started_at, clock_timestamp()) AS started_at,
           coalesce(x.failure_code, 'http_' || x.http_status, 'unknown') AS failure_code, x.retry_after,
           -- On a retired route nothing waits: what is not sent has ended, held (left) or failed (retired).
           CASE WHEN x.outcome = 'sent' THEN 'done'
                WHEN x.outcome = 'held' THEN CASE WHEN v_route.retired_at IS NULL THEN 'again' ELSE 'left' END
                WHEN i.attempt_no >= (v_route.retry_policy ->> 'max_attempts')::integer THEN 'give_up'
                WHEN v_route.retired_at IS NULL OR public.fn_iu_delivery_rule(x.http_status, x.failure_code) = 'give_up'
                  THEN public.fn_iu_delivery_rule(x.http_status, x.failure_code)
                ELSE 'retired' END AS rule
      FROM unnest(p_event_ids, p_replay_numbers, p_attempt_nos, p_outcomes, p_http_statuses, p_failure_codes, p_failure_details,
                  p_retry_afters, p_durations_us, p_response_excerpts, p_started_ats)
             AS x (event_id, replay_number, attempt_no, outcome, http_status, failure_code, failure_detail, retry_after,
                   duration_us, response_excerpt, started_at)
      JOIN item i ON i.event_id = x.event_id AND i.replay_number = x.replay_number AND i.attempt_no = x.attempt_no
  ), attempt AS (
    INSERT INTO public.iu_route_attempt (route_code, event_ref, replay_number, attempt_no, idempotency_key, status,
        sender, started_at, duration_us, http_status, failure_code, failure_detail, response_excerpt)
      SELECT v_lease.route_code, r.event_id, r.replay_number, r.attempt_no, r.webhook_id,
             CASE r.rule WHEN 'done' THEN 'sent' ELSE 'failed' END, v_lease.sender, r.started_at, r.duration_us, r.http_status,
             CASE WHEN r.rule <> 'done' THEN r.failure_code END, CASE WHEN r.rule <> 'done' THEN r.failure_detail END,
             r.response_excerpt
        FROM result r WHERE r.rule NOT IN ('again', 'left') ORDER BY r.event_seq
      ON CONFLICT (idempotency_key, attempt_no) DO NOTHING
      RETURNING 1
  ), retry AS (
    INSERT INTO public.iu_route_retry (route_code, event_id, replay_number, event_seq, attempt_no, due_at, reason, detail)
      SELECT v_lease.route_code, r.event_id, r.replay_number, r.event_seq,
             r.attempt_no + CASE r.rule WHEN 'again' THEN 0 ELSE 1 END,
             clock_timestamp() + make_interval(secs => CASE
               WHEN r.rule = 'again' AND r.failure_code = 'address_refused' THEN 60	-- only sending finds out, so not at once
               WHEN r.rule IN ('again', 'disable') THEN 0
               ELSE greatest(
                 least((v_route.retry_policy ->> 'base_s')::float8 * 2 ^ least(r.attempt_no - 1, 60),
                       (v_route.retry_policy ->> 'max_s')::float8)
                   * (1 - (v_route.retry_policy ->> 'jitter')::float8 * random()),
                 CASE WHEN r.rule = 'obey' THEN least(r.retry_after, 86400) END) END),
             r.failure_code, CASE WHEN r.rule = 'again' THEN r.failure_detail END
        FROM result r WHERE r.rule IN ('again', 'disable', 'obey', 'retry')
      ON CONFLICT DO NOTHING
  ), dead AS (
    INSERT INTO public.iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key,
        failure_code, failure_detail, http_status, event_snapshot)
      SELECT v_lease.route_code, r.event_id, r.replay_number, r.attempt_no - CASE r.rule WHEN 'left' THEN 1 ELSE 0 END, r.webhook_id,
             CASE r.rule WHEN 'give_up' THEN r.failure_code ELSE 'route_retired' END,
             CASE r.rule WHEN 'give_up' THEN r.failure_detail
                         WHEN 'left' THEN left(concat_ws('; ', v_route.disabled_reason, 'a sender had it and had not sent it'), 1000)
                         ELSE left(concat_ws('; ', v_route.disabled_reason, 'the last attempt: ' || r.failure_code, r.failure_detail), 1000) END,
             r.http_status, e.snapshot
        FROM result r CROSS JOIN LATERAL (SELECT to_jsonb(o) AS snapshot FROM public.event_outbox o WHERE o.id = r.event_id OFFSET 0) AS e
       WHERE r.rule IN ('give_up', 'retired', 'left')
      ON CONFLICT (idempotency_key) DO NOTHING
  ), rest AS (
    SELECT count(*)::integer AS items, array_agg(i.event_id ORDER BY i.event_seq, i.replay_number) AS ids,
           array_agg(i.event_seq ORDER BY i.event_seq, i.replay_number) AS seqs,
           array_agg(i.replay_number ORDER BY i.event_seq, i.replay_number) AS replays,
           array_agg(i.attempt_no ORDER BY i.event_seq, i.replay_number) AS attempts
      FROM item i
     WHERE NOT EXISTS (SELECT FROM result r WHERE r.event_id = i.event_id AND r.replay_number = i.replay_number)
  )
  SELECT (SELECT count(*) FROM attempt)::integer AS written, rest.*,
         EXISTS (SELECT FROM result r WHERE r.http_status = 410) AS gone,
         CASE WHEN EXISTS (SELECT FROM result r WHERE r.outcome = 'failed') THEN
           ARRAY(SELECT CASE WHEN r.rule <> 'done' THEN r.failure_code END FROM result r WHERE r.rule NOT IN ('again', 'left')
                  ORDER BY r.started_at + make_interval(secs => coalesce(r.duration_us, 0) / 1e6), r.event_seq)
           WHEN EXISTS (SELECT FROM result r WHERE r.rule = 'done') THEN ARRAY[NULL::text] END AS codes
    INTO v_result FROM rest;

  IF v_result.items = 0 THEN
    DELETE FROM public.iu_route_lease WHERE lease_id = p_lease_id;
  ELSE
    UPDATE public.iu_route_lease
       SET item_count = v_result.items, event_ids = v_result.ids, event_seqs = v_result.seqs,
           replay_numbers = v_result.replays, attempt_nos = v_result.attempts,
           expires_at = clock_timestamp() + make_interval(secs => 60 + v_route.timeout_ms / 100.0)
     WHERE lease_id = p_lease_id;
  END IF;
  IF v_result.gone AND v_route.enabled THEN
    UPDATE public.iu_outbound_route SET enabled = false, disabled_reason = 'the receiver answered 410 (gone)'
     WHERE route_code = v_lease.route_code AND enabled;
    PERFORM public.fn_iu_route_log('dot_iu_route_gone', v_lease.route_code, v_lease.sender, 'the receiver answered 410 (gone)', NULL);
  END IF;
  IF v_route.ordering = 'subject' THEN
    PERFORM public.fn_iu_order_release(v_lease);
  END IF;
  PERFORM public.fn_iu_circuit_record(v_route, p_lease_id, v_result.codes);
  RETURN v_result.written;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_record_batch(bigint, integer, uuid[], integer[], integer[], text[], integer[], text[], text[], float8[], bigint[], text[], timestamptz[]) IS
  'Writes the outcomes of a lease, all or some, and returns the attempts written. Arrays of one length, each delivery once: outcomes sent, failed or held; retry_afters in seconds, durations in us. failed becomes a retry by the route''s policy, or a dead letter at its limit; held writes no attempt and can be claimed again, at once, or after 60 s where the address was refused; on a retired route what would be tried again is a dead letter, failure_code route_retired; a result that is not in the lease is ignored; 410 disables the route. A delivery that ends lets the next of its subject go on where the route keeps that order; the circuit of the route is counted. What is left stays leased and gets new time. SQLSTATE 55000: another generation, or no such lease. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_delivery_record(p_lease_id bigint, p_lease_generation integer, p_results jsonb)
  RETURNS integer
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT public.fn_iu_delivery_record_batch(p_lease_id, p_lease_generation,
           coalesce(array_agg(x.event_id), '{}'), array_agg(x.replay_number), array_agg(x.attempt_no), array_agg(x.outcome),
           array_agg(x.http_status), array_agg(x.failure_code), array_agg(x.failure_detail), array_agg(x.retry_after),
           array_agg(x.duration_us), array_agg(x.response_excerpt), array_agg(x.started_at))
    FROM (SELECT DISTINCT ON (r.event_id, i.replay_number) r.event_id, i.replay_number, i.attempt_no, r.outcome, r.http_status,
                 r.failure_code, r.failure_detail, r.retry_after, r.duration_us, r.response_excerpt, r.started_at
            FROM jsonb_to_recordset(p_results) AS r (event_id uuid, replay_number integer, attempt_no integer, outcome text,
                   http_status integer, failure_code text, failure_detail text, retry_after float8,
                   duration_us bigint, response_excerpt text, started_at timestamptz)
            JOIN public.iu_route_lease l ON l.lease_id = p_lease_id
            CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers, l.attempt_nos) AS i (event_id, replay_number, attempt_no)
           WHERE i.event_id = r.event_id AND i.replay_number = coalesce(r.replay_number, 0)
             AND i.attempt_no = coalesce(r.attempt_no, i.attempt_no)) AS x;
END;
COMMENT ON FUNCTION public.fn_iu_delivery_record(bigint, integer, jsonb) IS
  'fn_iu_delivery_record_batch by hand. p_results: array of {event_id, replay_number, attempt_no, outcome: sent | failed | held, http_status, failure_code, failure_detail, retry_after (seconds), duration_us, response_excerpt, started_at}; replay_number and attempt_no may be left out. SQLSTATE 55000: another generation, or no such lease. (design: Events and delivery)';

-- An expired lease that is taken over is sent again, so a sender that knows its
-- outcomes and cannot record them does not let it expire.
CREATE FUNCTION public.fn_iu_delivery_keep(p_lease_id bigint, p_lease_generation integer) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  UPDATE public.iu_route_lease l
     SET expires_at = clock_timestamp() + make_interval(secs => 60 + (SELECT r.timeout_ms / 100.0 FROM public.iu_outbound_route r
                                                                       WHERE r.route_code = l.route_code))
   WHERE l.lease_id = p_lease_id AND l.generation = p_lease_generation;
  RETURN FOUND;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_keep(bigint, integer) IS
  'Called where fn_iu_delivery_record_batch failed: gives the lease new time, so that nobody sends again what is known. False if it is another sender''s by now, or recorded: then the outcomes are worth nothing. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_delivery_next_due(p_route_max integer DEFAULT NULL) RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  v_route record;
  v_next  timestamptz;
BEGIN
  FOR v_route IN
    SELECT p.route_code, p.window_end IS NOT NULL AND l.has_room AS unfinished,
           least(l.expires_at, CASE WHEN l.has_room THEN
             (SELECT t.due_at FROM public.iu_route_retry t WHERE t.route_code = p.route_code ORDER BY t.due_at LIMIT 1) END) AS due_at
      FROM public.v_iu_route_position p
      JOIN public.iu_outbound_route r ON r.route_code = p.route_code
      CROSS JOIN LATERAL (SELECT min(x.expires_at) AS expires_at, coalesce(sum(x.item_count), 0) < r.max_in_flight
                                 AND coalesce(sum(x.item_count) FILTER (WHERE x.backend_pid = pg_backend_pid()) < p_route_max, true) AS has_room
                            FROM public.iu_route_lease x WHERE x.route_code = p.route_code AND x.lease_id >= p.lease_low) AS l
     WHERE r.enabled AND NOT r.dry_run AND r.target_kind <> 'sql_function'
  LOOP
    IF (v_route.unfinished OR v_route.due_at IS NOT NULL) AND public.fn_iu_delivery_refusal(v_route.route_code) IS NULL THEN
      v_next := least(v_next, CASE WHEN v_route.unfinished THEN clock_timestamp() ELSE v_route.due_at END);
    END IF;
  END LOOP;
  RETURN nullif(least(v_next, public.fn_iu_circuit_next_due()), 'infinity');
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_next_due(integer) IS
  'When a claim with this p_route_max finds something again without a commit that would wake the sender: the next retry, the next end of a lease, the next probe of an open circuit, or now where a window is not finished. NULL if nothing waits for the clock; what is held does not count. (design: Processes)';

-- Looking at it --------------------------------------------------------------

CREATE VIEW public.v_iu_route_attempt_summary AS
  SELECT route_kind, route_code, status, count(*) AS attempts, min(started_at) AS first_at, max(started_at) AS last_at
    FROM public.iu_route_attempt GROUP BY route_kind, route_code, status;
COMMENT ON VIEW public.v_iu_route_attempt_summary IS 'Attempts by kind, route and status. (facts-events 2.8)';

CREATE VIEW public.v_iu_route_dead_letter_open AS
  SELECT id, route_code, event_ref, replay_number, attempts, idempotency_key, failure_code, failure_detail, http_status,
         event_snapshot, created_at
    FROM public.iu_route_dead_letter WHERE resolved_at IS NULL;
COMMENT ON VIEW public.v_iu_route_dead_letter_open IS 'Dead letters that nobody resolved. (facts-events 2.7)';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_gone', 'health', true, true, ARRAY['fn_iu_delivery_record']);

-- Privileges, registration, post-check ---------------------------------------

GRANT SELECT ON public.iu_route_position, public.iu_route_step, public.iu_route_lease, public.iu_route_attempt,
  public.iu_route_retry, public.iu_route_dead_letter, public.iu_route_order, public.iu_route_circuit,
  public.v_iu_route_position, public.v_iu_route_attempt_summary, public.v_iu_route_dead_letter_open TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_delivery_refusal(text), public.fn_iu_order_subject(public.event_outbox),
  public.fn_iu_circuit_verdict(text), public.fn_iu_route_function_refusal(text) TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_delivery_body(public.event_outbox),
  public.fn_iu_webhook_id(bigint, bigint, integer, uuid) TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_delivery_claim(text, integer, integer), public.fn_iu_delivery_check(bigint, integer), public.fn_iu_delivery_keep(bigint, integer), public.fn_iu_delivery_next_due(integer),
  public.fn_iu_delivery_record_batch(bigint, integer, uuid[], integer[], integer[], text[], integer[], text[], text[], float8[], bigint[], text[], timestamptz[]) TO iu_core_worker;

SELECT public.fn_iu_govern(6, 'table', 'iu_route_position', 'iu_route_step', 'iu_route_lease', 'iu_route_attempt',
  'iu_route_retry', 'iu_route_dead_letter', 'iu_route_order', 'iu_route_circuit');
SELECT public.fn_iu_govern(6, 'view', 'v_iu_route_position', 'v_iu_route_attempt_summary', 'v_iu_route_dead_letter_open');
SELECT public.fn_iu_govern(6, 'function', 'fn_iu_snapshot_now()', 'fn_iu_webhook_id(bigint,bigint,integer,uuid)',
  'fn_iu_delivery_body(public.event_outbox)', 'fn_iu_delivery_rule(integer,text)', 'fn_iu_route_function_refusal(text)', 'fn_iu_delivery_refusal(text)',
  'fn_iu_delivery_check(bigint,integer)',
  'fn_iu_order_subject(public.event_outbox)', 'fn_iu_order_lock(text)', 'fn_iu_delivery_locks(text)', 'fn_iu_order_leased(text)', 'fn_iu_order_head(text,uuid)',
  'fn_iu_route_retry_order()', 'fn_iu_order_heads(text,uuid[],bigint[])', 'fn_iu_order_release(public.iu_route_lease)',
  'fn_iu_circuit_verdict(text)', 'fn_iu_circuit_is_probing(text)', 'fn_iu_circuit_probe(text,bigint[])',
  'fn_iu_circuit_record(public.iu_outbound_route,bigint,text[])', 'fn_iu_circuit_next_due()', 'fn_iu_delivery_contract(text,bigint[])',
  'fn_iu_delivery_lease_orphans(text,text,integer)', 'fn_iu_delivery_lease_retries(text,text,integer)',
  'fn_iu_delivery_lease_window(text,text,integer)', 'fn_iu_delivery_claim(text,integer,integer)',
  'fn_iu_delivery_record(bigint,integer,jsonb)', 'fn_iu_delivery_keep(bigint,integer)', 'fn_iu_delivery_next_due(integer)',
  'fn_iu_delivery_record_batch(bigint,integer,uuid[],integer[],integer[],text[],integer[],text[],text[],double precision[],bigint[],text[],timestamp with time zone[])');
SELECT public.fn_iu_govern(6, 'trigger', 'trg_iu_route_retry_order ON iu_route_retry');

SELECT public.fn_iu_conformance_require(6);
