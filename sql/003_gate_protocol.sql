-- 003: the gate protocol.
--
-- A gate is a registered key of dot_config. It is opened with an approval and
-- a time limit, and each change is a row of a ledger. Whether it is open is
-- answered by iu_core.gate_is_open alone, from value and ledger together: a
-- value set beside the protocol opens nothing once committed, and an opening
-- ends with its time, whether or not anybody closes it. The watchdog only makes
-- the table agree.
--
-- Every change of a gate holds the gate's row of dot_config and updates it, so
-- that changes of one gate form a line, and a transaction with an old snapshot
-- fails instead of deciding on what it can no longer see.

SELECT iu_core.guard_absent('table', 'iu_gate_registry', 'iu_gate_transition');
SELECT iu_core.guard_absent('view', 'v_iu_gate', 'v_iu_gate_holder');
SELECT iu_core.guard_absent('function',
  'fn_iu_gate_transition_hash(public.iu_gate_transition)', 'fn_iu_gate_ledger_verify(text,jsonb)',
  'fn_iu_gate_ledger_excerpt(timestamp with time zone,timestamp with time zone,text)',
  'fn_iu_gate_transition_stamp()', 'fn_iu_gate_ended()', 'fn_iu_gate_register(integer,text,text,text)',
  'fn_iu_gate_unregister(integer)',
  'fn_iu_gate_approval_use(text,text,uuid,text,integer)', 'fn_iu_gate_approval_due(text)', 'fn_iu_gate_renew(text,text)',
  'fn_iu_gate_held_by(text)', 'fn_iu_gate_demands(text)',
  'fn_iu_gate_snapshot()', 'fn_iu_gate_blocker(text)', 'fn_iu_gate_open(text,uuid,text,text,integer)',
  'fn_iu_gate_close(text,text,text)', 'fn_iu_gate_verify_closed(text)', 'fn_iu_gate_expiring()',
  'fn_iu_gate_close_expired(text,text)', 'fn_iu_gate_watchdog(text)', 'fn_iu_rollback_guard()',
  'fn_iu_structure_ops_enabled()', 'fn_iu_delivery_enabled()', 'fn_iu_composer_enabled()',
  'fn_dot_iu_operator_runtime_enabled()', 'fn_iu_vector_sync_enabled()');
SELECT iu_core.guard_absent('trigger', 'trg_dot_config_gate_changed ON dot_config',
  'trg_dot_config_gate_ended ON dot_config', 'trg_dot_config_gates_ended ON dot_config');

DO $guard$
BEGIN
  IF to_regprocedure('public.fn_dot_iu_command_log(text, text, text, text, boolean, text, jsonb, jsonb, text)') IS NULL THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'migration 003 needs migration 002';
  END IF;
END
$guard$;

-- The registry ---------------------------------------------------------------

CREATE TABLE public.iu_gate_registry (
  gate_key      text NOT NULL,
  gate_class    text NOT NULL,
  description   text NOT NULL,
  migration     integer NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_gate_registry_pkey PRIMARY KEY (gate_key),
  CONSTRAINT iu_gate_registry_key CHECK (gate_key ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$'),
  CONSTRAINT iu_gate_registry_class CHECK (gate_class IN ('governable', 'never_flip'))
);
COMMENT ON TABLE public.iu_gate_registry IS
  'The gates. What is not here is no gate: it cannot be opened and never reads open. (seed 4 A4; design: Gates)';
COMMENT ON COLUMN public.iu_gate_registry.gate_key IS 'Key of its row in dot_config';
COMMENT ON COLUMN public.iu_gate_registry.gate_class IS
  'governable: may be opened for a time; never_flip: never open, whatever its value';
COMMENT ON COLUMN public.iu_gate_registry.description IS 'What it stops while closed';
COMMENT ON COLUMN public.iu_gate_registry.migration IS 'The migration that brought it';
COMMENT ON COLUMN public.iu_gate_registry.registered_at IS 'Start of the transaction that registered it';

-- The ledger -----------------------------------------------------------------

CREATE TABLE public.iu_gate_transition (
  transition_id     uuid NOT NULL DEFAULT gen_random_uuid(),
  transition_seq    bigint NOT NULL,
  gate_key          text NOT NULL,
  action            text NOT NULL,
  prev_value        text,
  new_value         text,
  approval_id       uuid,
  ttl_seconds       integer,
  expires_at        timestamptz,
  actor             text NOT NULL,
  reason            text,
  run_id            uuid,
  system_identifier bigint NOT NULL,
  database_oid      oid NOT NULL,
  session_role      name NOT NULL,
  created_at        timestamptz NOT NULL,
  prev_hash         bytea,
  row_hash          bytea NOT NULL,
  CONSTRAINT iu_gate_transition_pkey PRIMARY KEY (transition_id),
  CONSTRAINT iu_gate_transition_seq UNIQUE (transition_seq),
  CONSTRAINT iu_gate_transition_action CHECK (action IN ('open', 'close', 'watchdog_close')),
  CONSTRAINT iu_gate_transition_actor CHECK (btrim(actor) <> ''),
  CONSTRAINT iu_gate_transition_opening CHECK (
    CASE action
      WHEN 'open' THEN new_value IS NOT NULL AND new_value = 'true' AND approval_id IS NOT NULL
        AND ttl_seconds IS NOT NULL AND ttl_seconds BETWEEN 1 AND 3600
        AND expires_at IS NOT NULL AND expires_at > created_at
      ELSE new_value IS NOT NULL AND new_value = 'false' AND approval_id IS NULL
        AND ttl_seconds IS NULL AND expires_at IS NULL
    END)
);
CREATE SEQUENCE public.iu_gate_transition_number OWNED BY public.iu_gate_transition.transition_seq;
CREATE INDEX ix_iu_gate_transition_gate ON public.iu_gate_transition (gate_key, created_at DESC);
CREATE INDEX ix_iu_gate_transition_last ON public.iu_gate_transition (gate_key, transition_seq DESC);
COMMENT ON TABLE public.iu_gate_transition IS
  'Append-only ledger of gate changes. The last row of a gate says whether it may be open; rows are written under the lock of the gate''s dot_config row and dated by the clock. (seed 4 A4; design: Gates)';
COMMENT ON COLUMN public.iu_gate_transition.transition_id IS 'Identifies the change';
COMMENT ON COLUMN public.iu_gate_transition.transition_seq IS 'Order of the changes of one gate; gaps are rolled-back changes';
COMMENT ON COLUMN public.iu_gate_transition.gate_key IS 'The gate; no foreign key, the ledger outlives the registry';
COMMENT ON COLUMN public.iu_gate_transition.action IS 'open (renewals too), close, or watchdog_close';
COMMENT ON COLUMN public.iu_gate_transition.prev_value IS 'Value in dot_config that the change met';
COMMENT ON COLUMN public.iu_gate_transition.new_value IS 'Value that it left';
COMMENT ON COLUMN public.iu_gate_transition.approval_id IS 'The approval of an open (Điều 32)';
COMMENT ON COLUMN public.iu_gate_transition.ttl_seconds IS 'How long an open lasts, in seconds, 1 to 3600';
COMMENT ON COLUMN public.iu_gate_transition.expires_at IS 'End of an open: created_at + ttl_seconds; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.actor IS 'Who asked for the change, as told by the caller';
COMMENT ON COLUMN public.iu_gate_transition.reason IS 'Why';
COMMENT ON COLUMN public.iu_gate_transition.run_id IS 'Its run in dot_iu_command_run';
COMMENT ON COLUMN public.iu_gate_transition.system_identifier IS
  'Cluster in which it was made; an open made elsewhere opens nothing here. Set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.database_oid IS
  'Database in which it was made, as system_identifier';
COMMENT ON COLUMN public.iu_gate_transition.session_role IS 'The role that logged in, whatever actor says; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.prev_hash IS 'row_hash of the change of this gate before it; NULL for the first';
COMMENT ON COLUMN public.iu_gate_transition.row_hash IS
  'SHA-256 of the row, prev_hash included: see fn_iu_gate_transition_hash. The newest of a gate is its head, and goes to the server log too';
COMMENT ON COLUMN public.iu_gate_transition.created_at IS 'When, by the clock; set on insert, never given';
COMMENT ON INDEX public.ix_iu_gate_transition_gate IS 'History of a gate. (seed 4 A4)';
COMMENT ON INDEX public.ix_iu_gate_transition_last IS 'The last change of a gate; iu_core.gate_is_open uses it by name';

-- Bytes that depend on no setting: a row's text changes with TimeZone and
-- DateStyle, a binary form does not, and lengths keep neighbours apart.
CREATE FUNCTION public.fn_iu_gate_transition_hash(p_row public.iu_gate_transition) RETURNS bytea
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT sha256('\x01' || string_agg(int4send(coalesce(length(f.bytes), -1)) || coalesce(f.bytes, ''), '' ORDER BY f.n))
    FROM (VALUES
      (1, uuid_send(p_row.transition_id)), (2, int8send(p_row.transition_seq)),
      (3, convert_to(p_row.gate_key, 'UTF8')), (4, convert_to(p_row.action, 'UTF8')),
      (5, convert_to(p_row.prev_value, 'UTF8')), (6, convert_to(p_row.new_value, 'UTF8')),
      (7, uuid_send(p_row.approval_id)), (8, int4send(p_row.ttl_seconds)), (9, timestamptz_send(p_row.expires_at)),
      (10, convert_to(p_row.actor, 'UTF8')), (11, convert_to(p_row.reason, 'UTF8')), (12, uuid_send(p_row.run_id)),
      (13, int8send(p_row.system_identifier)), (14, int8send(p_row.database_oid::bigint)),
      (15, convert_to(p_row.session_role::text, 'UTF8')), (16, timestamptz_send(p_row.created_at)),
      (17, p_row.prev_hash)) AS f (n, bytes)
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_transition_hash(public.iu_gate_transition) IS
  'SHA-256 over a row of the gate ledger: a version byte, then each field but row_hash as its length in 4 bytes (-1 for NULL) and its binary form, texts in UTF-8. The same under every setting and after dump and restore. Raises nothing. (design: Gates)';

CREATE FUNCTION public.fn_iu_gate_transition_stamp() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF num_nonnulls(NEW.transition_seq, NEW.created_at, NEW.expires_at, NEW.system_identifier, NEW.database_oid,
                  NEW.session_role, NEW.prev_hash, NEW.row_hash) > 0 THEN
    RAISE check_violation USING
      MESSAGE = 'a gate transition is dated by the clock, numbered and chained by the server, not by hand',
      DETAIL = 'transition_seq, created_at, expires_at, system_identifier, database_oid, session_role, prev_hash and row_hash are set on insert.';
  END IF;

  -- With the gate's row, so that numbers and chain follow the order of commits.
  PERFORM FROM public.dot_config c WHERE c.key = NEW.gate_key FOR NO KEY UPDATE;
  NEW.transition_seq := nextval('public.iu_gate_transition_number');
  NEW.created_at := clock_timestamp();
  IF NEW.action = 'open' THEN
    NEW.expires_at := NEW.created_at + make_interval(secs => NEW.ttl_seconds);
  END IF;
  NEW.system_identifier := iu_core.system_identifier();
  NEW.database_oid := iu_core.database_oid();
  NEW.session_role := session_user;
  SELECT t.row_hash INTO NEW.prev_hash FROM public.iu_gate_transition t
   WHERE t.gate_key = NEW.gate_key ORDER BY t.transition_seq DESC LIMIT 1;
  NEW.row_hash := public.fn_iu_gate_transition_hash(NEW);
  PERFORM iu_core.log_at_commit(format('iu_core ledger head: gate %s seq %s hash %s',
    NEW.gate_key, NEW.transition_seq, encode(NEW.row_hash, 'hex')));
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_transition_stamp() IS
  'Row trigger of the gate ledger: holds the gate, sets number, time, end, place and hash of a change, and sends the new head to the server log at commit; giving any of them raises SQLSTATE 23514, so nothing can be dated back or slipped in. (design: Gates)';

CREATE TRIGGER trg_iu_gate_transition_stamp
  BEFORE INSERT ON public.iu_gate_transition
  FOR EACH ROW EXECUTE FUNCTION public.fn_iu_gate_transition_stamp();
CREATE TRIGGER trg_iu_gate_transition_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_transition
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_append_only();
ALTER TABLE public.iu_gate_transition ENABLE ALWAYS TRIGGER trg_iu_gate_transition_stamp;
ALTER TABLE public.iu_gate_transition ENABLE ALWAYS TRIGGER trg_iu_gate_transition_append_only;
COMMENT ON TRIGGER trg_iu_gate_transition_stamp ON public.iu_gate_transition IS 'Nothing is dated by hand. (design: Gates)';
COMMENT ON TRIGGER trg_iu_gate_transition_append_only ON public.iu_gate_transition IS 'Keeps the ledger append-only. (design: Gates)';

-- Whoever changes what gates rest on ends what other sessions remember of them
-- and wakes the watchdog, in whatever replication role.
CREATE TRIGGER trg_dot_config_gate_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.dot_config
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
CREATE TRIGGER trg_iu_gate_registry_gate_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_registry
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
CREATE TRIGGER trg_iu_gate_transition_gate_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_transition
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
ALTER TABLE public.dot_config ENABLE ALWAYS TRIGGER trg_dot_config_gate_changed;
ALTER TABLE public.iu_gate_registry ENABLE ALWAYS TRIGGER trg_iu_gate_registry_gate_changed;
ALTER TABLE public.iu_gate_transition ENABLE ALWAYS TRIGGER trg_iu_gate_transition_gate_changed;
COMMENT ON TRIGGER trg_dot_config_gate_changed ON public.dot_config IS 'Ends cached gate checks, wakes the watchdog. (design: Gates)';
COMMENT ON TRIGGER trg_iu_gate_registry_gate_changed ON public.iu_gate_registry IS 'Ends cached gate checks, wakes the watchdog. (design: Gates)';
COMMENT ON TRIGGER trg_iu_gate_transition_gate_changed ON public.iu_gate_transition IS 'Ends cached gate checks, wakes the watchdog. (design: Gates)';

-- A gate that is closed beside the protocol is closed: its opening must not
-- come back to life when the value is set to true again.
CREATE FUNCTION public.fn_iu_gate_ended() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  INSERT INTO public.iu_gate_transition (gate_key, action, prev_value, new_value, actor, reason)
    SELECT r.gate_key, 'close', 'true', 'false', session_user, format('%s beside the protocol', lower(TG_OP))
      FROM public.iu_gate_registry r
     WHERE (TG_OP = 'TRUNCATE' OR r.gate_key = OLD.key)
       AND (TG_OP <> 'UPDATE' OR NEW.value <> 'true' OR NEW.key <> OLD.key)
       AND (SELECT t.action FROM public.iu_gate_transition t
             WHERE t.gate_key = r.gate_key ORDER BY t.transition_seq DESC LIMIT 1) = 'open';
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_ended() IS
  'Trigger of dot_config: when the value of a gate whose last change is an open ceases to be true without the protocol, writes the close into the ledger. Raises nothing of its own. (design: Gates)';

CREATE TRIGGER trg_dot_config_gate_ended
  AFTER UPDATE OR DELETE ON public.dot_config
  FOR EACH ROW WHEN (OLD.value = 'true') EXECUTE FUNCTION public.fn_iu_gate_ended();
CREATE TRIGGER trg_dot_config_gates_ended
  AFTER TRUNCATE ON public.dot_config
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_gate_ended();
ALTER TABLE public.dot_config ENABLE ALWAYS TRIGGER trg_dot_config_gate_ended;
ALTER TABLE public.dot_config ENABLE ALWAYS TRIGGER trg_dot_config_gates_ended;
COMMENT ON TRIGGER trg_dot_config_gate_ended ON public.dot_config IS 'Records a close beside the protocol. (design: Gates)';
COMMENT ON TRIGGER trg_dot_config_gates_ended ON public.dot_config IS 'Records a close of all gates beside the protocol. (design: Gates)';

-- Reading --------------------------------------------------------------------

CREATE VIEW public.v_iu_gate AS
  SELECT g.gate_key, g.gate_class, g.value, g.effective,
         g.holder, g.approval_id, g.expires_at, g.due_at,
         coalesce(g.value = 'false' AND NOT g.effective, false) AS is_safe,
         CASE
           WHEN g.value IS NULL THEN 'row missing in dot_config'
           WHEN g.value = 'false' AND NOT g.effective THEN 'closed'
           WHEN g.gate_class = 'never_flip' THEN 'never-flip gate set beside the protocol'
           WHEN g.value <> 'true' THEN 'value is neither true nor false'
           WHEN g.due_at > clock_timestamp() THEN
             format('open until %s UTC, held by %s', to_char(g.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'), g.holder)
           WHEN g.due_at > '-infinity' THEN
             format('expired at %s UTC', to_char(g.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'))
           WHEN g.expires_at IS NOT NULL THEN 'opened in another database'
           WHEN g.effective THEN 'set beside the protocol, effective in this transaction only'
           ELSE 'set beside the protocol'
         END AS reason
    FROM (
      SELECT r.gate_key, r.gate_class, c.value, iu_core.gate_is_open(r.gate_key) AS effective,
             CASE l.action WHEN 'open' THEN l.actor END AS holder,
             l.approval_id, l.expires_at,
             CASE WHEN r.gate_class = 'governable' AND l.action = 'open'
                       AND l.system_identifier = iu_core.system_identifier()
                       AND l.database_oid = iu_core.database_oid()
                  THEN l.expires_at ELSE '-infinity' END AS due_at
        FROM public.iu_gate_registry r
        LEFT JOIN public.dot_config c ON c.key = r.gate_key
        LEFT JOIN LATERAL (
          SELECT t.action, t.actor, t.approval_id, t.expires_at, t.system_identifier, t.database_oid
            FROM public.iu_gate_transition t
           WHERE t.gate_key = r.gate_key
           ORDER BY t.transition_seq DESC LIMIT 1) l ON true) g;
COMMENT ON VIEW public.v_iu_gate IS
  'Every registered gate: value (NULL: row missing), effective (iu_core.gate_is_open), holder, approval and end of its last change if that was an open, due_at (when the value must be false again; -infinity: it may not be true at all), is_safe (false for sure), and the reason in words. (seed 4 A4; design: Gates)';

-- A renewal by the watchdog is logged for the one who holds the gate, whoever
-- the watchdog runs as.
CREATE VIEW public.v_iu_gate_holder AS
  SELECT l.gate_key, iu_core.gate_is_open(l.gate_key) AS effective, l.actor AS holder, (u.evidence ->> 'session_user')::name AS held_by,
         l.approval_id, l.reason, l.created_at AS since, l.expires_at AS until,
         greatest(l.expires_at - clock_timestamp(), interval '0') AS remaining
    FROM public.iu_gate_registry r
    CROSS JOIN LATERAL (
      SELECT t.* FROM public.iu_gate_transition t
       WHERE t.gate_key = r.gate_key
       ORDER BY t.transition_seq DESC LIMIT 1) l
    LEFT JOIN public.dot_iu_command_run u ON u.run_id = l.run_id
   WHERE l.action = 'open';
COMMENT ON VIEW public.v_iu_gate_holder IS
  'Who holds what until when: each gate whose last change is an open or a renewal, with holder (the actor as told), held_by (the login role), approval and reason of that change, since and until when, and what remains of it. effective is false where it has ended and is about to be closed, or was made in another database. (design: Gates)';

CREATE FUNCTION public.fn_iu_gate_snapshot() RETURNS jsonb
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce(jsonb_object_agg(g.gate_key, jsonb_build_object('value', g.value, 'effective', g.effective)), '{}')
    FROM public.v_iu_gate g
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_snapshot() IS
  'All gates as {gate_key: {value, effective}}, for the run ledger. Raises nothing. (facts-core 2.2, 3.1)';

CREATE FUNCTION public.fn_iu_gate_verify_closed(p_actor text DEFAULT NULL) RETURNS jsonb
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT jsonb_build_object(
           'gates', coalesce(jsonb_agg(jsonb_build_object(
              'gate_key', g.gate_key, 'gate_class', g.gate_class, 'value', g.value, 'effective', g.effective,
              'expires_at', g.expires_at, 'holder', g.holder, 'approval_id', g.approval_id,
              'is_safe', g.is_safe, 'reason', g.reason) ORDER BY g.gate_class, g.gate_key), '[]'),
           'all_governed_closed', coalesce(bool_and(g.is_safe) FILTER (WHERE g.gate_class = 'governable'), false),
           'never_flip_intact', coalesce(bool_and(g.is_safe) FILTER (WHERE g.gate_class = 'never_flip'), false),
           'all_safe', bool_and(g.is_safe)
             AND count(*) FILTER (WHERE g.gate_class = 'governable') > 0
             AND count(*) FILTER (WHERE g.gate_class = 'never_flip') > 0,
           'checked_by', p_actor,
           'checked_at', clock_timestamp())
    FROM public.v_iu_gate g
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_verify_closed(text) IS
  'Whether every gate is closed for sure: {gates: [{gate_key, gate_class, value, effective, expires_at, holder, approval_id, is_safe, reason}], all_governed_closed, never_flip_intact, all_safe, checked_by, checked_at}. A gate is safe if its value is exactly false and it is not effective; a missing row, any other value, or no gate at all is not safe. Argument: who asks, may be NULL. Raises nothing. (seed 4 A4)';

-- Approvals: an id must be given, nothing more. Migration 010 puts approvals
-- that are registered, revoked and renewed on behind these three.

CREATE FUNCTION public.fn_iu_gate_approval_use(
    p_gate_key text, p_action text, p_approval_id uuid, p_actor text, p_ttl_seconds integer)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_approval_id IS NULL THEN
    RAISE check_violation USING MESSAGE = 'approval_id required (Điều 32)';
  END IF;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approval_use(text, text, uuid, text, integer) IS
  'For fn_iu_gate_open, under the lock of the gate: uses an approval: gate, open or renew, approval, who, seconds. Here any id will do; migration 010 replaces it. Error: 23514 no id. (seed 4 A4; design: Gates)';

CREATE FUNCTION public.fn_iu_gate_approval_due(p_gate_key text, OUT renew_at timestamptz, OUT withdrawn boolean)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  withdrawn := false;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approval_due(text) IS
  'For the watchdog: when an open gate is to be renewed (NULL: never), and whether its approval was withdrawn, so that it is due at once. Here never and no; migration 010 replaces it. Raises nothing. (design: Gates)';

CREATE FUNCTION public.fn_iu_gate_renew(p_gate_key text, p_actor text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_renew(text, text) IS
  'For fn_iu_gate_close_expired, under the lock of the gate: renews it if it is due to be, and says how in words; NULL if not. Here never; migration 010 replaces it. Raises nothing. (design: Gates)';

CREATE FUNCTION public.fn_iu_gate_held_by(p_gate_key text) RETURNS name
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT h.held_by FROM public.v_iu_gate_holder h WHERE h.gate_key = p_gate_key
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_held_by(text) IS
  'The login role that opened a gate, or for which the watchdog renewed it; NULL if its last change is not an open. Raises nothing. (design: Gates)';

-- What must hold before a gate opens: nothing. Migration 008 puts invariants
-- behind this one.

CREATE FUNCTION public.fn_iu_gate_demands(p_gate_key text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_demands(text) IS
  'For fn_iu_gate_open, before the gate is locked: raises where something that the gate demands does not hold. Here nothing is demanded; migration 008 replaces it. Raises nothing. (design: Invariants and change windows)';

-- Opening and closing --------------------------------------------------------

CREATE FUNCTION public.fn_iu_gate_open(
    p_gate_key text, p_approval_id uuid, p_actor text, p_reason text, p_ttl_seconds integer)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_class         text;
  v_previous      text;
  v_gate          record;
  v_status        text := 'opened';
  v_transition_id uuid := gen_random_uuid();
  v_run_id        uuid;
  v_expires_at    timestamptz;
BEGIN
  SELECT r.gate_class INTO v_class FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key;
  IF v_class = 'never_flip' THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('gate "%s" is NEVER-FLIP and is not opened: supply a real review_decision_id', p_gate_key);
  END IF;
  IF v_class IS DISTINCT FROM 'governable' THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('%s is not a governable runtime gate (fail-closed)', coalesce(quote_ident(p_gate_key), 'NULL')),
      HINT = 'v_iu_gate lists the gates.';
  END IF;
  IF p_approval_id IS NULL THEN
    RAISE check_violation USING MESSAGE = 'approval_id required (Điều 32)';
  END IF;
  IF p_ttl_seconds IS NULL OR p_ttl_seconds NOT BETWEEN 1 AND 3600 THEN
    RAISE check_violation USING
      MESSAGE = format('ttl_seconds must be from 1 to 3600, not %s', coalesce(p_ttl_seconds::text, 'NULL'));
  END IF;
  IF coalesce(btrim(p_actor), '') = '' THEN
    RAISE check_violation USING MESSAGE = 'actor required: say who opens the gate';
  END IF;
  IF NOT iu_core.is_preloaded() THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'no gate can be opened: iu_core is not preloaded, so nothing would close it',
      HINT = 'Add iu_core to shared_preload_libraries and restart the server.';
  END IF;
  -- May ask a remote, so before anything is locked.
  PERFORM public.fn_iu_gate_demands(p_gate_key);

  SELECT c.value INTO v_previous FROM public.dot_config c WHERE c.key = p_gate_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('gate "%s" has no row in dot_config', p_gate_key),
      HINT = format('Put it back closed: INSERT INTO dot_config (key, value) VALUES (%L, ''false'');', p_gate_key);
  END IF;

  -- Read only now that nobody else can change this gate.
  SELECT g.holder, g.approval_id, g.due_at, g.reason INTO v_gate
    FROM public.v_iu_gate g WHERE g.gate_key = p_gate_key;
  IF v_previous = 'true' AND v_gate.due_at > clock_timestamp() THEN
    IF v_gate.holder <> p_actor OR session_user IS DISTINCT FROM public.fn_iu_gate_held_by(p_gate_key)
       OR v_gate.approval_id = p_approval_id THEN
      RAISE object_in_use USING
        MESSAGE = format('gate "%s" is %s', p_gate_key, v_gate.reason),
        HINT = 'Wait for its end or have it closed; its holder renews it with another approval_id.';
    END IF;
    v_status := 'renewed';
  END IF;
  PERFORM public.fn_iu_gate_approval_use(
    p_gate_key, CASE v_status WHEN 'renewed' THEN 'renew' ELSE 'open' END, p_approval_id, p_actor, p_ttl_seconds);

  v_run_id := public.fn_dot_iu_command_log(
    'dot_iu_gate_open', 'health', 'apply', 'applied', true,
    md5(jsonb_build_array(p_gate_key, p_approval_id, p_actor, p_reason, p_ttl_seconds)::text),
    public.fn_iu_gate_snapshot(),
    jsonb_build_object('status', v_status, 'gate_key', p_gate_key, 'transition_id', v_transition_id,
                       'session_user', session_user),
    p_actor);
  UPDATE public.dot_config SET value = 'true' WHERE key = p_gate_key;
  INSERT INTO public.iu_gate_transition
      (transition_id, gate_key, action, prev_value, new_value, approval_id, ttl_seconds, actor, reason, run_id)
    VALUES (v_transition_id, p_gate_key, 'open', v_previous, 'true', p_approval_id, p_ttl_seconds,
            p_actor, p_reason, v_run_id)
    RETURNING expires_at INTO v_expires_at;

  RETURN jsonb_build_object(
    'status', v_status, 'gate_key', p_gate_key, 'previous', v_previous, 'value', 'true',
    'approval_id', p_approval_id, 'ttl_seconds', p_ttl_seconds, 'expires_at', v_expires_at,
    'transition_id', v_transition_id, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_open(text, uuid, text, text, integer) IS
  'Opens a governable gate for 1 to 3600 seconds from now: gate, approval, who, why (may be NULL), seconds. Returns {status: opened | renewed, gate_key, previous, value, approval_id, ttl_seconds, expires_at, transition_id, run_id}. Its holder, the same actor and login role, renews an open gate with another approval. Errors, in this order: 42501 NEVER-FLIP, 42501 not a governable gate, 23514 approval, time or actor missing or out of range, 55000 iu_core not preloaded, those of fn_iu_gate_demands, 42704 no row in dot_config, 55006 open already, naming holder and end, then those of fn_iu_gate_approval_use; 40001 in a transaction whose snapshot is too old to see the last change. (seed 4 A4; design: Gates)';

CREATE FUNCTION public.fn_iu_gate_close(p_gate_key text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_previous      text;
  v_transition_id uuid := gen_random_uuid();
  v_run_id        uuid;
BEGIN
  IF NOT EXISTS (SELECT FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key) THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('%s is not a gate of this protocol (fail-closed)', coalesce(quote_ident(p_gate_key), 'NULL')),
      HINT = 'v_iu_gate lists the gates.';
  END IF;
  IF coalesce(btrim(p_actor), '') = '' THEN
    RAISE check_violation USING MESSAGE = 'actor required: say who closes the gate';
  END IF;

  SELECT c.value INTO v_previous FROM public.dot_config c WHERE c.key = p_gate_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('gate "%s" has no row in dot_config, which reads as closed', p_gate_key),
      HINT = format('Put it back closed: INSERT INTO dot_config (key, value) VALUES (%L, ''false'');', p_gate_key);
  END IF;
  IF NOT pg_has_role(session_user, 'iu_core_operator', 'MEMBER')
     AND session_user IS DISTINCT FROM public.fn_iu_gate_held_by(p_gate_key) THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('gate "%s" is not held by "%s"', p_gate_key, session_user),
      HINT = 'Its holder closes it, or a member of iu_core_operator.';
  END IF;

  v_run_id := public.fn_dot_iu_command_log(
    'dot_iu_gate_close', 'health', 'apply', 'applied', true,
    md5(jsonb_build_array(p_gate_key, p_actor, p_reason)::text),
    public.fn_iu_gate_snapshot(),
    jsonb_build_object('status', 'closed', 'gate_key', p_gate_key, 'transition_id', v_transition_id,
                       'session_user', session_user),
    p_actor);
  INSERT INTO public.iu_gate_transition
      (transition_id, gate_key, action, prev_value, new_value, actor, reason, run_id)
    VALUES (v_transition_id, p_gate_key, 'close', v_previous, 'false', p_actor, p_reason, v_run_id);
  UPDATE public.dot_config SET value = 'false' WHERE key = p_gate_key;

  RETURN jsonb_build_object(
    'status', 'closed', 'gate_key', p_gate_key, 'previous', v_previous, 'value', 'false',
    'transition_id', v_transition_id, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_close(text, text, text) IS
  'Sets a gate to false, governable or never-flip, whatever it was: gate, who, why (may be NULL). Returns {status: closed, gate_key, previous, value, transition_id, run_id}. Errors: 42501 not a gate, 23514 no actor, 42704 no row in dot_config, 42501 neither held by the caller''s login role nor that one a member of iu_core_operator. (seed 4 A4)';

-- Closing what expired -------------------------------------------------------

CREATE FUNCTION public.fn_iu_gate_expiring() RETURNS TABLE (gate_key text, due_at timestamptz, renew_at timestamptz)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '200ms'
AS $function$
BEGIN
  RETURN QUERY
    SELECT g.gate_key, CASE WHEN a.withdrawn THEN '-infinity' ELSE g.due_at END, a.renew_at
      FROM public.v_iu_gate g CROSS JOIN LATERAL public.fn_iu_gate_approval_due(g.gate_key) a
     WHERE g.value <> 'false';
EXCEPTION WHEN lock_not_available THEN
  RAISE lock_not_available USING MESSAGE = 'gates cannot be read: ' || public.fn_iu_gate_blocker(NULL);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_expiring() IS
  'Every gate whose value is not false, when it must be (due_at: the end of its open, or -infinity where it may not be true at all: set beside the protocol, opened in another database, never-flip, approval withdrawn), and when it is to be renewed before that (renew_at; NULL: never). Error: 55P03, naming who, if a lock on the tables lasts longer than 200 ms. (design: Processes)';

CREATE FUNCTION public.fn_iu_gate_blocker(p_gate_key text) RETURNS text
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_blocking CONSTANT text[] := ARRAY['ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'];
  c_written  CONSTANT oid[] := ARRAY['public.dot_config'::regclass, 'public.iu_gate_transition'::regclass];
  c_read     CONSTANT oid := 'public.iu_gate_registry'::regclass;
  v_holder   xid;
  v_holders  xid[] := '{}';
  v_blocker  text;
BEGIN
  -- With a lock on a whole table, held or waited for, the row cannot be looked at.
  IF p_gate_key IS NOT NULL
     AND NOT EXISTS (SELECT FROM pg_locks k
                      WHERE k.locktype = 'relation' AND k.pid IS DISTINCT FROM pg_backend_pid()
                        AND k.database = iu_core.database_oid()
                        AND (k.relation = ANY (c_written) AND k.mode = ANY (c_blocking)
                             OR k.relation = c_read AND k.mode = 'AccessExclusiveLock')) THEN
    SELECT c.xmax INTO v_holder FROM public.dot_config c WHERE c.key = p_gate_key;
    v_holders := ARRAY[v_holder];
    IF NOT EXISTS (SELECT FROM pg_locks k WHERE k.locktype = 'transactionid' AND k.transactionid = v_holder) THEN
      -- Several may hold the row: then its xmax names not a transaction but a set of them.
      BEGIN
        v_holders := v_holders || ARRAY(SELECT m.xid FROM pg_get_multixact_members(v_holder) m WHERE m.mode <> 'keysh');
      EXCEPTION WHEN internal_error THEN
        NULL;                   -- no such set: a transaction that has just ended
      END;
    END IF;
  END IF;

  WITH lock AS MATERIALIZED (
    SELECT k.* FROM pg_locks k WHERE k.pid IS DISTINCT FROM pg_backend_pid()
  ), candidate AS (
    SELECT 1 AS rank, k.pid, k.virtualtransaction, 'table locked by' AS what FROM lock k
     WHERE k.locktype = 'relation' AND k.granted AND k.database = iu_core.database_oid()
       AND (k.relation = ANY (c_written) AND k.mode = ANY (c_blocking)
            OR k.relation = c_read AND k.mode = 'AccessExclusiveLock')
    UNION
    -- Whoever waits for a lock on a table lets nobody pass who would be in its way.
    SELECT 2, b.pid, NULL, 'table kept, from one that waits to lock it, by'
      FROM lock k CROSS JOIN LATERAL unnest(pg_blocking_pids(k.pid)) AS b (pid)
     WHERE k.locktype = 'relation' AND NOT k.granted AND k.database = iu_core.database_oid()
       AND (k.relation = ANY (c_written) AND k.mode = ANY (c_blocking)
            OR k.relation = c_read AND k.mode = 'AccessExclusiveLock')
    UNION
    SELECT 3, k.pid, k.virtualtransaction, 'row locked by' FROM lock k
     WHERE k.locktype = 'transactionid' AND k.granted AND k.transactionid = ANY (v_holders)
    UNION
    -- A lock taken in a subtransaction that ended bears a number no longer held.
    SELECT 4, k.pid, k.virtualtransaction, 'row locked by one of' FROM lock k
     WHERE p_gate_key IS NOT NULL
       AND k.locktype = 'relation' AND k.granted AND k.database = iu_core.database_oid() AND k.relation = c_written[1]
       AND k.mode IN ('RowShareLock', 'RowExclusiveLock')
  ), named AS (
    SELECT c.rank, c.what,
           coalesce(
             (SELECT format('pid %s (%s)', a.pid, concat_ws(', ',
                       'application "' || nullif(a.application_name, '') || '"', 'user ' || a.usename, a.state,
                       'in transaction since ' || to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'))
                FROM pg_stat_activity a WHERE a.pid = c.pid),
             (SELECT format('prepared transaction "%s" (user %s, since %s UTC)', p.gid, p.owner,
                            to_char(p.prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))
                FROM lock k JOIN pg_prepared_xacts p ON p.transaction = k.transactionid
               WHERE c.pid IS NULL AND k.pid IS NULL AND k.locktype = 'transactionid'
                 AND k.virtualtransaction = c.virtualtransaction LIMIT 1),
             'pid ' || nullif(c.pid, 0), 'a prepared transaction') AS who
      FROM candidate c
  )
  SELECT n.what || ' ' || string_agg(n.who, ', ' ORDER BY n.who) INTO v_blocker
    FROM named n GROUP BY n.rank, n.what ORDER BY n.rank LIMIT 1;
  RETURN coalesce(v_blocker, 'locked by a transaction that has just ended');
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_blocker(text) IS
  'Who keeps a gate''s row (NULL: no row) or its tables locked, in words: pid with application, user, and where visible state and start of its transaction; or the name of a prepared transaction. For messages. Raises nothing of its own. (design: Processes)';

CREATE FUNCTION public.fn_iu_gate_close_expired(p_gate_key text, p_actor text, OUT status text, OUT detail text)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '200ms'
AS $function$
DECLARE
  v_gate          record;
  v_transition_id uuid := gen_random_uuid();
  v_run_id        uuid;
  v_renewed       text;
BEGIN
  IF coalesce(btrim(p_actor), '') = '' THEN
    RAISE check_violation USING MESSAGE = 'actor required: say who closes the gate';
  END IF;

  -- Never wait: another gate may be due.
  BEGIN
    LOCK TABLE public.dot_config, public.iu_gate_transition IN ROW EXCLUSIVE MODE NOWAIT;
    PERFORM FROM public.dot_config c WHERE c.key = p_gate_key FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND AND EXISTS (SELECT FROM public.dot_config c WHERE c.key = p_gate_key) THEN
      RAISE lock_not_available;
    END IF;
  EXCEPTION WHEN lock_not_available THEN
    status := 'locked';
    detail := public.fn_iu_gate_blocker(p_gate_key);
    RETURN;
  END;

  -- Read only now that nobody else can change this gate.
  SELECT g.value, g.due_at, g.reason INTO v_gate FROM public.v_iu_gate g WHERE g.gate_key = p_gate_key;
  detail := coalesce(v_gate.reason, 'not a gate of this protocol');
  IF v_gate.value IS NULL OR v_gate.value = 'false' THEN
    status := 'not_due';
    RETURN;
  ELSIF v_gate.due_at > clock_timestamp() THEN
    IF NOT (SELECT a.withdrawn FROM public.fn_iu_gate_approval_due(p_gate_key) a) THEN
      status := 'not_due';
      v_renewed := public.fn_iu_gate_renew(p_gate_key, p_actor);
      IF v_renewed IS NOT NULL THEN
        status := 'renewed';
        detail := v_renewed;
      END IF;
      RETURN;
    END IF;
    detail := 'its approval was withdrawn';
  END IF;

  -- Closing matters more than its record among the runs.
  BEGIN
    LOCK TABLE public.dot_iu_command_run IN ROW EXCLUSIVE MODE NOWAIT;
    v_run_id := public.fn_dot_iu_command_log(
      'dot_iu_gate_watchdog', 'health', 'apply', 'applied', true,
      md5(jsonb_build_array(p_gate_key, p_actor)::text),
      public.fn_iu_gate_snapshot(),
      jsonb_build_object('status', 'closed', 'gate_key', p_gate_key, 'transition_id', v_transition_id,
                         'reason', detail),
      p_actor);
  EXCEPTION WHEN OTHERS THEN
    detail := format('%s (run not logged: %s)', detail, SQLERRM);
  END;
  INSERT INTO public.iu_gate_transition
      (transition_id, gate_key, action, prev_value, new_value, actor, reason, run_id)
    VALUES (v_transition_id, p_gate_key, 'watchdog_close', v_gate.value, 'false', p_actor, detail, v_run_id);
  UPDATE public.dot_config SET value = 'false' WHERE key = p_gate_key;
  status := 'closed';
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_close_expired(text, text) IS
  'Closes one gate whose value is not false though its open ended, lost its approval or was never lawful here: gate, who. Returns status closed (detail: why; also the ledger''s reason), renewed (its standing approval lasts), not_due (detail: how it stands), or locked (detail: the blocker); it never waits for the row. Errors: 23514 no actor, 55P03 if another lock lasts longer than 200 ms. (seed 4 A4; design: Processes)';

CREATE FUNCTION public.fn_iu_gate_watchdog(p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_gate_key text;
  v_result   record;
  v_closed   jsonb := '[]';
  v_locked   jsonb := '[]';
  v_renewed  jsonb := '[]';
BEGIN
  IF coalesce(btrim(p_actor), '') = '' THEN
    RAISE check_violation USING MESSAGE = 'actor required: say who runs the watchdog';
  END IF;
  FOR v_gate_key IN
    SELECT e.gate_key FROM public.fn_iu_gate_expiring() e
     WHERE least(e.due_at, e.renew_at) <= clock_timestamp() ORDER BY e.due_at, e.gate_key
  LOOP
    SELECT r.status, r.detail INTO v_result FROM public.fn_iu_gate_close_expired(v_gate_key, p_actor) r;
    IF v_result.status = 'closed' THEN
      v_closed := v_closed || jsonb_build_object('gate_key', v_gate_key, 'reason', v_result.detail);
    ELSIF v_result.status = 'locked' THEN
      v_locked := v_locked || jsonb_build_object('gate_key', v_gate_key, 'blocker', v_result.detail);
    ELSIF v_result.status = 'renewed' THEN
      v_renewed := v_renewed || jsonb_build_object('gate_key', v_gate_key, 'reason', v_result.detail);
    END IF;
  END LOOP;
  RETURN jsonb_build_object('closed_count', jsonb_array_length(v_closed), 'closed', v_closed, 'locked', v_locked,
                            'renewed', v_renewed);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_watchdog(text) IS
  'Closes by hand every gate that expired or is true beside the protocol, and renews those due to be, as the watchdog process does by itself. Returns {closed_count, closed: [{gate_key, reason}], locked: [{gate_key, blocker}], renewed: [{gate_key, reason}]}; a locked gate is skipped. Errors: as fn_iu_gate_close_expired. (seed 4 A4)';

-- Verifying the ledger -------------------------------------------------------

CREATE FUNCTION public.fn_iu_gate_ledger_verify(p_gate_key text DEFAULT NULL, p_expected_heads jsonb DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_result jsonb;
BEGIN
  IF p_expected_heads IS NOT NULL AND (jsonb_typeof(p_expected_heads) <> 'object' OR EXISTS (
       SELECT FROM jsonb_each(p_expected_heads) e
        WHERE jsonb_typeof(e.value) <> 'string' OR (e.value #>> '{}') !~ '^[0-9a-f]{64}$')) THEN
    RAISE check_violation USING
      MESSAGE = 'expected heads must be an object of gate keys, each with a hash of 64 hex digits',
      HINT = 'The server log names them: "iu_core ledger head: gate ... seq ... hash ...".';
  END IF;

  WITH chained AS (
    SELECT t.gate_key, t.transition_seq, t.row_hash,
           CASE WHEN t.row_hash <> public.fn_iu_gate_transition_hash(t) THEN 'this change was altered'
                WHEN t.prev_hash IS DISTINCT FROM lag(t.row_hash) OVER w THEN 'the change before this one is missing or altered'
           END AS problem
      FROM public.iu_gate_transition t
     WHERE p_gate_key IS NULL OR t.gate_key = p_gate_key
    WINDOW w AS (PARTITION BY t.gate_key ORDER BY t.transition_seq)
  ), gate AS (
    SELECT r.gate_key FROM public.iu_gate_registry r
    UNION SELECT c.gate_key FROM chained c
    UNION SELECT e.key FROM jsonb_each(p_expected_heads) e
    UNION SELECT p_gate_key
  ), found AS (
    SELECT g.gate_key, count(c.gate_key) AS rows,
           encode((array_agg(c.row_hash ORDER BY c.transition_seq DESC))[1], 'hex') AS head,
           min(c.transition_seq) FILTER (WHERE c.problem IS NOT NULL) AS broken_at,
           (array_agg(c.problem ORDER BY c.transition_seq) FILTER (WHERE c.problem IS NOT NULL))[1] AS broken,
           p_expected_heads ->> g.gate_key AS expected,
           bool_or(encode(c.row_hash, 'hex') = p_expected_heads ->> g.gate_key) AS expected_found
      FROM gate g LEFT JOIN chained c ON c.gate_key = g.gate_key
     WHERE g.gate_key IS NOT NULL AND (p_gate_key IS NULL OR g.gate_key = p_gate_key)
     GROUP BY g.gate_key
  ), judged AS (
    SELECT f.*, coalesce(f.broken, CASE WHEN f.expected IS NOT NULL AND f.expected_found IS NOT TRUE
                                        THEN 'the expected head is not in the ledger: changes up to it are missing' END) AS problem
      FROM found f
  )
  SELECT jsonb_build_object(
           'ok', coalesce(bool_and(j.problem IS NULL), false),
           'gates', coalesce(jsonb_agg(jsonb_build_object(
              'gate_key', j.gate_key, 'rows', j.rows, 'head', j.head, 'ok', j.problem IS NULL,
              'transition_seq', j.broken_at, 'problem', j.problem) ORDER BY j.gate_key), '[]'),
           'checked_at', clock_timestamp())
    INTO v_result FROM judged j;
  RETURN v_result;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_ledger_verify(text, jsonb) IS
  'Whether the gate ledger is as it was written: {ok, gates: [{gate_key, rows, head, ok, transition_seq, problem}], checked_at}; transition_seq and problem name the first change that does not fit. Arguments: a gate (NULL: all), and heads known from the server log as {gate_key: hash}, without which a tail cut off, or a gate''s whole history, does not show. Tamper-evident, not tamper-proof. Error: 23514 if the heads are not of that form. (design: Gates)';

CREATE FUNCTION public.fn_iu_gate_ledger_excerpt(p_from timestamptz, p_to timestamptz, p_gate_key text DEFAULT NULL)
  RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET timezone = 'UTC'
AS $function$
DECLARE
  v_rows   text;
  v_verify jsonb := public.fn_iu_gate_ledger_verify(p_gate_key);
BEGIN
  IF p_from IS NULL OR p_to IS NULL OR p_from > p_to THEN
    RAISE check_violation USING MESSAGE = 'the window needs a beginning and an end, in this order';
  END IF;
  SELECT string_agg(format('| %s |', array_to_string(ARRAY(
           SELECT translate(regexp_replace(coalesce(v, ''), '([\\|])', '\\\1', 'g'), E'\r\n', '  ') FROM unnest(ARRAY[
             t.transition_seq::text, to_char(t.created_at, 'YYYY-MM-DD HH24:MI:SS.MS'), t.gate_key, t.action,
             format('%s -> %s', t.prev_value, t.new_value), t.actor, t.session_role::text, t.approval_id::text,
             to_char(t.expires_at, 'YYYY-MM-DD HH24:MI:SS.MS'), t.reason, left(encode(t.row_hash, 'hex'), 12)]) v), ' | ')),
           E'\n' ORDER BY t.transition_seq)
    INTO v_rows
    FROM public.iu_gate_transition t
   WHERE t.created_at >= p_from AND t.created_at <= p_to AND (p_gate_key IS NULL OR t.gate_key = p_gate_key);
  RETURN concat_ws(E'\n',
    format('## Gate ledger, %s to %s UTC%s', to_char(p_from, 'YYYY-MM-DD HH24:MI:SS'), to_char(p_to, 'YYYY-MM-DD HH24:MI:SS'),
           ', gate ' || p_gate_key),
    '',
    '| seq | at (UTC) | gate | action | value | actor | session role | approval | until (UTC) | reason | hash |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    coalesce(v_rows, '| | no change in this window | | | | | | | | | |'),
    '',
    format('Chain: %s.', CASE WHEN (v_verify ->> 'ok')::boolean THEN 'verified'
      ELSE 'BROKEN: ' || (SELECT string_agg(format('%s at seq %s: %s', g ->> 'gate_key', g ->> 'transition_seq', g ->> 'problem'), '; ')
                            FROM jsonb_array_elements(v_verify -> 'gates') g WHERE NOT (g ->> 'ok')::boolean) END));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_ledger_excerpt(timestamptz, timestamptz, text) IS
  'The gate ledger of a window as a Markdown table, with the result of its verification, for a report: from, to (both included), a gate (NULL: all). Times in UTC. Error: 23514 without a window. (design: Gates)';

-- For the migrations ---------------------------------------------------------

CREATE FUNCTION public.fn_iu_gate_register(p_migration integer, p_gate_key text, p_gate_class text, p_description text)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF EXISTS (SELECT FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key) THEN
    RAISE duplicate_object USING MESSAGE = format('gate "%s" is registered already', p_gate_key);
  END IF;
  PERFORM iu_core.guard_absent('config', p_gate_key);
  INSERT INTO public.iu_gate_registry (gate_key, gate_class, description, migration)
    VALUES (p_gate_key, p_gate_class, p_description, p_migration);
  INSERT INTO public.dot_config (key, value, description) VALUES (p_gate_key, 'false', p_description);
  PERFORM public.fn_iu_govern(p_migration, 'config', p_gate_key);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_register(integer, text, text, text) IS
  'For migrations: registers a gate, closed. Arguments: number of the migration, key, class (governable or never_flip), what it stops. Writes iu_gate_registry and dot_config and registers the key as governed. Errors: 42710 gate or key exists, 23514 bad key or class, 23502 a NULL. (design: Gates)';

CREATE FUNCTION public.fn_iu_gate_unregister(p_migration integer) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM public.fn_iu_rollback_guard();
  DELETE FROM public.dot_config c
   USING public.iu_gate_registry r WHERE r.migration = p_migration AND c.key = r.gate_key;
  DELETE FROM public.iu_gate_registry r WHERE r.migration = p_migration;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_unregister(integer) IS
  'For rollbacks: removes the gates of a migration and their rows in dot_config; fn_iu_ungovern forgets the keys. Their ledger stays. Errors: as fn_iu_rollback_guard. (design: Gates)';

CREATE FUNCTION public.fn_iu_rollback_guard() RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '5s'
AS $function$
DECLARE
  v_open      integer;
  v_unlawful  integer;
  v_standing  text;
BEGIN
  -- Whoever is about to open a gate is waited for; nobody opens one after this.
  BEGIN
    LOCK TABLE public.dot_config, public.iu_gate_transition IN SHARE ROW EXCLUSIVE MODE;
  EXCEPTION WHEN lock_not_available THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: another session is changing gates or their configuration',
      HINT = 'Look for its transaction in pg_stat_activity and pg_prepared_xacts, and try again.';
  END;
  SELECT count(*) FILTER (WHERE g.gate_class = 'governable' AND (g.value = 'true' OR g.effective)),
         count(*) FILTER (WHERE g.gate_class = 'never_flip' AND (g.value = 'true' OR g.effective)),
         string_agg(format('%s: %s', g.gate_key, g.reason), '; ' ORDER BY g.gate_key)
           FILTER (WHERE g.value = 'true' OR g.effective)
    INTO v_open, v_unlawful, v_standing
    FROM public.v_iu_gate g;
  IF v_open + v_unlawful > 0 THEN
    RAISE object_in_use USING
      MESSAGE = CASE WHEN v_open > 0 THEN format('rollback refused: %s governable gate(s) currently OPEN', v_open)
                     ELSE format('rollback refused: %s never-flip gate(s) set to true', v_unlawful) END,
      DETAIL = v_standing,
      HINT = 'Close them: SELECT fn_iu_gate_close(gate_key, session_user, ''reason'') FROM v_iu_gate WHERE value = ''true'' OR effective;';
  END IF;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_rollback_guard() IS
  'Before any rollback: refuses while a gate is true or effective, and keeps gates from being changed until the transaction ends. Error: 55006 with the number of open gates, also if a session keeps a gate locked for 5 s. (seed 4 A6)';

-- What capabilities ask. Plain SQL, so that a query calls iu_core.gate_is_open
-- directly; volatile like it, since otherwise they would not be inlined.

CREATE FUNCTION public.fn_iu_structure_ops_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.structure_ops_enabled')$function$;
COMMENT ON FUNCTION public.fn_iu_structure_ops_enabled() IS
  'Whether structure operations are open now. Raises nothing. (facts-core 1.2; design: Gates)';
CREATE FUNCTION public.fn_iu_delivery_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.delivery_enabled')$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_enabled() IS
  'Whether live delivery is open now. Raises nothing. (seed 4 A3; facts-core 1.2; design: Gates)';
CREATE FUNCTION public.fn_iu_composer_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.composer_enabled')$function$;
COMMENT ON FUNCTION public.fn_iu_composer_enabled() IS
  'Whether composing, collecting and cutting are open now. Raises nothing. (facts-core 1.2; design: Gates)';
CREATE FUNCTION public.fn_dot_iu_operator_runtime_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.operator_runtime_enabled')$function$;
COMMENT ON FUNCTION public.fn_dot_iu_operator_runtime_enabled() IS
  'Whether the operator runtime may apply now. Raises nothing. (facts-core 1.2; design: Gates)';
CREATE FUNCTION public.fn_iu_vector_sync_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.vector_sync_enabled')$function$;
COMMENT ON FUNCTION public.fn_iu_vector_sync_enabled() IS
  'Whether recording a vector point as indexed is open: never, the gate is never-flip. Raises nothing. (seed 4 A4; facts-core 1.2)';

-- Privileges -----------------------------------------------------------------

GRANT SELECT ON public.iu_gate_registry, public.iu_gate_transition, public.v_iu_gate, public.v_iu_gate_holder TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_gate_verify_closed(text), public.fn_iu_gate_snapshot(),
  public.fn_iu_gate_blocker(text), public.fn_iu_gate_ledger_verify(text, jsonb),
  public.fn_iu_gate_ledger_excerpt(timestamptz, timestamptz, text) TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_gate_open(text, uuid, text, text, integer),
  public.fn_iu_gate_close(text, text, text), public.fn_iu_gate_watchdog(text) TO iu_core_operator;
GRANT EXECUTE ON FUNCTION public.fn_iu_gate_expiring(), public.fn_iu_gate_close_expired(text, text) TO iu_core_worker;
GRANT EXECUTE ON FUNCTION public.fn_iu_structure_ops_enabled(), public.fn_iu_delivery_enabled(),
  public.fn_iu_composer_enabled(), public.fn_dot_iu_operator_runtime_enabled(),
  public.fn_iu_vector_sync_enabled() TO iu_core_reader, iu_core_writer, iu_core_worker;

-- Rows and registration ------------------------------------------------------

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_gate_open', 'health', true, true, ARRAY['fn_iu_gate_open']),
  ('dot_iu_gate_close', 'health', true, true, ARRAY['fn_iu_gate_close']),
  ('dot_iu_gate_watchdog', 'health', true, true, ARRAY['fn_iu_gate_watchdog']),
  ('dot_iu_gate_verify_closed', 'read', false, true, ARRAY['fn_iu_gate_verify_closed']);

SELECT public.fn_iu_gate_register(3, g.gate_key, g.gate_class, g.description)
  FROM (VALUES
    ('iu_core.composer_enabled', 'governable', 'Composing, collections and cutting'),
    ('iu_core.structure_ops_enabled', 'governable', 'Applying and rolling back structure operations'),
    ('iu_core.delivery_enabled', 'governable', 'Live delivery along routes'),
    ('iu_core.three_axis_auto_refresh_enabled', 'governable', 'Refreshing the three-axis envelope by trigger'),
    ('iu_core.operator_runtime_enabled', 'governable', 'Applying commands in the operator runtime'),
    ('queue.job_substrate.enabled', 'governable', 'Running jobs of the queue'),
    ('queue.dlq.replay_enabled', 'governable', 'Replaying dead letters'),
    ('iu_enact.allow_no_review_decision', 'never_flip', 'Enacting without a review decision'),
    ('iu_core.vector_sync_enabled', 'never_flip', 'Recording a vector point as indexed')
  ) AS g (gate_key, gate_class, description);

SELECT public.fn_iu_govern(3, 'table', 'iu_gate_registry', 'iu_gate_transition');
SELECT public.fn_iu_govern(3, 'view', 'v_iu_gate', 'v_iu_gate_holder');
SELECT public.fn_iu_govern(3, 'function',
  'fn_iu_gate_transition_hash(public.iu_gate_transition)', 'fn_iu_gate_ledger_verify(text,jsonb)',
  'fn_iu_gate_ledger_excerpt(timestamp with time zone,timestamp with time zone,text)',
  'fn_iu_gate_transition_stamp()', 'fn_iu_gate_ended()', 'fn_iu_gate_register(integer,text,text,text)',
  'fn_iu_gate_unregister(integer)',
  'fn_iu_gate_approval_use(text,text,uuid,text,integer)', 'fn_iu_gate_approval_due(text)', 'fn_iu_gate_renew(text,text)',
  'fn_iu_gate_held_by(text)', 'fn_iu_gate_demands(text)',
  'fn_iu_gate_snapshot()', 'fn_iu_gate_blocker(text)', 'fn_iu_gate_open(text,uuid,text,text,integer)',
  'fn_iu_gate_close(text,text,text)', 'fn_iu_gate_verify_closed(text)', 'fn_iu_gate_expiring()',
  'fn_iu_gate_close_expired(text,text)', 'fn_iu_gate_watchdog(text)', 'fn_iu_rollback_guard()',
  'fn_iu_structure_ops_enabled()', 'fn_iu_delivery_enabled()', 'fn_iu_composer_enabled()',
  'fn_dot_iu_operator_runtime_enabled()', 'fn_iu_vector_sync_enabled()');
SELECT public.fn_iu_govern(3, 'trigger',
  'trg_iu_gate_transition_stamp ON iu_gate_transition', 'trg_iu_gate_transition_append_only ON iu_gate_transition',
  'trg_dot_config_gate_changed ON dot_config', 'trg_dot_config_gate_ended ON dot_config',
  'trg_dot_config_gates_ended ON dot_config', 'trg_iu_gate_registry_gate_changed ON iu_gate_registry',
  'trg_iu_gate_transition_gate_changed ON iu_gate_transition');

SELECT public.fn_iu_conformance_require(3);
DO $check$
BEGIN
  IF NOT (public.fn_iu_gate_verify_closed('migration 003') ->> 'all_safe')::boolean THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'migration 003 left a gate open';
  END IF;
END
$check$;
