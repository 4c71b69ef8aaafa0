-- The ledger of gate changes: numbered, dated and chained by the server, append-only.

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
  place             uuid NOT NULL,
  written_by        xid NOT NULL,
  session_role      name NOT NULL,
  session_oid       oid NOT NULL,
  acting_role       name,
  acting_oid        oid,
  holder_oid        oid,
  holder_login      oid,
  approval_mark     text GENERATED ALWAYS AS (left(encode(sha256(uuid_send(approval_id)), 'hex'), 12)) STORED,
  created_at        timestamptz NOT NULL,
  prev_hash         bytea,
  row_hash          bytea NOT NULL,
  CONSTRAINT iu_gate_transition_pkey PRIMARY KEY (transition_id),
  CONSTRAINT iu_gate_transition_seq UNIQUE (gate_key, transition_seq),
  CONSTRAINT iu_gate_transition_action CHECK (action IN ('open', 'close', 'watchdog_close')),
  CONSTRAINT iu_gate_transition_actor CHECK (iu_core.text_problem(actor, false) IS NULL),
  CONSTRAINT iu_gate_transition_reason CHECK (
    coalesce(reason, '') = '' OR iu_core.text_problem(reason, true) IS NULL),
  CONSTRAINT iu_gate_transition_opening CHECK (
    CASE action
      WHEN 'open' THEN new_value IS NOT NULL AND new_value = 'true' AND approval_id IS NOT NULL
        AND ttl_seconds IS NOT NULL AND ttl_seconds BETWEEN 1 AND 3600
        AND expires_at IS NOT NULL AND expires_at > created_at
      ELSE new_value IS NOT NULL AND new_value = 'false' AND approval_id IS NULL
        AND ttl_seconds IS NULL AND expires_at IS NULL
    END)
);

-- No rollback undoes what was done to a sequence. So it only proposes a number, and
-- goes round rather than fail at its end.
CREATE SEQUENCE public.iu_gate_transition_number CYCLE OWNED BY public.iu_gate_transition.transition_seq;
CREATE INDEX ix_iu_gate_transition_gate ON public.iu_gate_transition (gate_key, created_at DESC);
CREATE INDEX ix_iu_gate_transition_last ON public.iu_gate_transition (gate_key, transition_seq DESC);
COMMENT ON TABLE public.iu_gate_transition IS
  'Append-only ledger of gate changes. The last row of a gate says whether it may be open; rows are written under '
  'the lock of the gate''s dot_config row and dated by the clock.';
COMMENT ON COLUMN public.iu_gate_transition.transition_id IS 'Identifies the change';
COMMENT ON COLUMN public.iu_gate_transition.transition_seq IS
  'Order of the changes of one gate, higher with each; gaps are rolled-back changes and those of other gates';
COMMENT ON COLUMN public.iu_gate_transition.gate_key IS
  'The gate; no foreign key, the ledger outlives the registry';
COMMENT ON COLUMN public.iu_gate_transition.action IS 'open (renewals too), close, or watchdog_close';
COMMENT ON COLUMN public.iu_gate_transition.prev_value IS 'Value in dot_config that the change met';
COMMENT ON COLUMN public.iu_gate_transition.new_value IS 'Value that it left';
COMMENT ON COLUMN public.iu_gate_transition.approval_id IS
  'The approval of an open (Điều 32); shown to members of iu_core_operator, approval_mark to all readers';
COMMENT ON COLUMN public.iu_gate_transition.approval_mark IS
  'First 12 hex digits of the SHA-256 of approval_id: tells approvals apart without showing what opens a gate';
COMMENT ON COLUMN public.iu_gate_transition.ttl_seconds IS 'How long an open lasts, in seconds, 1 to 3600';
COMMENT ON COLUMN public.iu_gate_transition.expires_at IS
  'End of an open: created_at + ttl_seconds; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.actor IS 'Who asked for the change, as told by the caller';
COMMENT ON COLUMN public.iu_gate_transition.reason IS 'Why';
COMMENT ON COLUMN public.iu_gate_transition.run_id IS 'Its run in dot_iu_command_run';
COMMENT ON COLUMN public.iu_gate_transition.system_identifier IS
  'Cluster in which it was made. Set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.database_oid IS 'Database in which it was made, as system_identifier';
COMMENT ON COLUMN public.iu_gate_transition.place IS
  'Where it was made, iu_core.opening_place(); an open made in another place opens nothing here. Set on insert, never '
  'given';
COMMENT ON COLUMN public.iu_gate_transition.written_by IS
  'The transaction that wrote the row, which is its xmin; a row that a dump brought has another one, and opens '
  'nothing. Set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.session_role IS
  'The role that logged in, whatever actor says; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.session_oid IS
  'Its oid: a later role of the same name is another; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.acting_role IS
  'The role in whose name the change was made: the one of SET ROLE, or session_role (iu_core.caller()); NULL: in '
  'nobody''s. Set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.acting_oid IS 'Its oid; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.holder_oid IS
  'Of an open: oid of the role that holds the gate, which is acting_oid, and of a renewal by the watchdog the one for '
  'whom it renews. Set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.holder_login IS
  'Of an open: oid of the role that had logged in when the gate was opened; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_transition.prev_hash IS
  'row_hash of the change of this gate before it; NULL for the first';
COMMENT ON COLUMN public.iu_gate_transition.row_hash IS
  'SHA-256 of the row, prev_hash included: see fn_iu_gate_transition_hash. The newest of a gate is its head, and '
  'goes to the server log too, with SQLSTATE IU_LG';
COMMENT ON COLUMN public.iu_gate_transition.created_at IS 'When, by the clock; set on insert, never given';
COMMENT ON INDEX public.ix_iu_gate_transition_gate IS 'History of a gate.';
COMMENT ON INDEX public.ix_iu_gate_transition_last IS
  'The last change of a gate; iu_core.gate_is_open uses it by name';

-- The hash is taken over bytes that depend on no setting: the text of a row
-- changes with TimeZone and DateStyle, its binary form does not. Each field is
-- preceded by its length, so that no text can pass for two fields.
CREATE FUNCTION iu.fn_iu_gate_transition_hash(p_row public.iu_gate_transition) RETURNS bytea
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT sha256(E'\\x02' || string_agg(int4send(coalesce(length(f.bytes), -1)) || coalesce(f.bytes, ''), ''
                                      ORDER BY f.n))
    FROM (VALUES
      (1, uuid_send(p_row.transition_id)), (2, int8send(p_row.transition_seq)),
      (3, convert_to(p_row.gate_key, 'UTF8')), (4, convert_to(p_row.action, 'UTF8')),
      (5, convert_to(p_row.prev_value, 'UTF8')), (6, convert_to(p_row.new_value, 'UTF8')),
      (7, uuid_send(p_row.approval_id)), (8, int4send(p_row.ttl_seconds)), (9, timestamptz_send(p_row.expires_at)),
      (10, convert_to(p_row.actor, 'UTF8')), (11, convert_to(p_row.reason, 'UTF8')), (12, uuid_send(p_row.run_id)),
      (13, int8send(p_row.system_identifier)), (14, int8send(p_row.database_oid::bigint)),
      (15, convert_to(p_row.session_role::text, 'UTF8')), (16, timestamptz_send(p_row.created_at)),
      (17, p_row.prev_hash), (18, uuid_send(p_row.place)),
      (19, convert_to(p_row.written_by::text, 'UTF8')), (20, int8send(p_row.session_oid::bigint)),
      (21, convert_to(p_row.acting_role::text, 'UTF8')), (22, int8send(p_row.acting_oid::bigint)),
      (23, int8send(p_row.holder_oid::bigint)), (24, int8send(p_row.holder_login::bigint))) AS f (n, bytes)
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_transition_hash IS
  'SHA-256 over a row of the gate ledger: a version byte, then each field but row_hash and approval_mark as its length '
  'in 4 bytes '
  '(-1 for NULL) and its binary form, texts in UTF-8. The same under every setting and after dump and restore. '
  'Raises nothing.';

-- The number of a change must be higher than those of the gate's changes before it,
-- or the change would not be the gate's last. A gate closes whatever became of the
-- sequence: a number that is taken, or so far ahead that none would be left soon, is
-- stepped over.
CREATE FUNCTION iu.fn_iu_gate_transition_next(p_last bigint) RETURNS bigint
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_ahead    CONSTANT bigint := 1099511627776;
  v_proposed CONSTANT bigint := nextval('public.iu_gate_transition_number');
BEGIN
  RETURN CASE WHEN v_proposed > p_last AND v_proposed - p_last <= c_ahead THEN v_proposed ELSE p_last + 1 END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_transition_next IS
  'For the ledger, under the lock of a gate: the number of its next change, given that of the one before (0: none). '
  'From the sequence, unless that is not higher, or higher by more than 2^40; then the one after. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_transition_stamp() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_last bigint;
BEGIN
  IF num_nonnulls(NEW.transition_seq, NEW.created_at, NEW.expires_at, NEW.system_identifier, NEW.database_oid,
                  NEW.place, NEW.written_by, NEW.session_role, NEW.session_oid, NEW.acting_role, NEW.acting_oid,
                  NEW.holder_oid, NEW.holder_login, NEW.prev_hash, NEW.row_hash) > 0 THEN
    RAISE check_violation USING
      MESSAGE = 'a gate transition is dated by the clock, numbered and chained by the server, not by hand',
      DETAIL = 'Set on insert: transition_seq, created_at, expires_at, system_identifier, database_oid, place, '
        'written_by, session_role, session_oid, acting_role, acting_oid, holder_oid, holder_login, prev_hash, '
        'row_hash.',
      HINT = 'Leave these columns out.', CONSTRAINT = 'iu_gate_transition_by_hand';
  END IF;

  -- The gate's row is locked first, so that numbers and chain follow the order of commits.
  PERFORM FROM public.dot_config c WHERE c.key = NEW.gate_key FOR NO KEY UPDATE;
  SELECT t.row_hash, t.transition_seq INTO NEW.prev_hash, v_last FROM public.iu_gate_transition t
   WHERE t.gate_key = NEW.gate_key ORDER BY t.transition_seq DESC LIMIT 1;
  NEW.transition_seq := iu.fn_iu_gate_transition_next(coalesce(v_last, 0));
  NEW.created_at := clock_timestamp();
  IF NEW.action = 'open' THEN
    NEW.expires_at := NEW.created_at + make_interval(secs => NEW.ttl_seconds);
    -- What the watchdog opens it opens for whoever opened on the same approval.
    SELECT t.holder_oid, t.holder_login INTO NEW.holder_oid, NEW.holder_login
      FROM public.iu_gate_transition t
     WHERE t.gate_key = NEW.gate_key AND t.action = 'open' AND t.approval_id = NEW.approval_id
       AND EXISTS (SELECT FROM public.dot_iu_command_run u
                    WHERE u.run_id = NEW.run_id AND u.command_name = 'dot_iu_gate_watchdog')
     ORDER BY t.transition_seq DESC LIMIT 1;
    IF NOT FOUND THEN
      NEW.holder_oid := iu_core.caller();
      NEW.holder_login := iu_core.login();
    END IF;
  END IF;
  NEW.system_identifier := iu_core.system_identifier();
  NEW.database_oid := iu_core.database_oid();
  NEW.place := iu_core.opening_place();
  NEW.written_by := iu_core.current_xid();
  NEW.session_role := session_user;
  NEW.session_oid := iu_core.login();
  NEW.acting_oid := iu_core.caller();
  NEW.acting_role := pg_get_userbyid(NEW.acting_oid);
  NEW.row_hash := iu.fn_iu_gate_transition_hash(NEW);
  PERFORM iu_core.log_at_commit(format('iu_core ledger head: gate %s seq %s hash %s',
    NEW.gate_key, NEW.transition_seq, encode(NEW.row_hash, 'hex')));
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_transition_stamp IS
  'Row trigger of the gate ledger: holds the gate, sets number, time, end, place and hash of a change, and sends '
  'the new head to the server log at commit; giving any of them raises SQLSTATE 23514, so nothing can be dated '
  'back or slipped in.';

CREATE TRIGGER trg_iu_gate_transition_stamp
  BEFORE INSERT ON public.iu_gate_transition
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_gate_transition_stamp();

CREATE TRIGGER trg_iu_gate_transition_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_transition
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE public.iu_gate_transition ENABLE ALWAYS TRIGGER trg_iu_gate_transition_stamp;
ALTER TABLE public.iu_gate_transition ENABLE ALWAYS TRIGGER trg_iu_gate_transition_append_only;
COMMENT ON TRIGGER trg_iu_gate_transition_stamp ON public.iu_gate_transition IS 'Nothing is dated by hand.';
COMMENT ON TRIGGER trg_iu_gate_transition_append_only ON public.iu_gate_transition IS
  'Keeps the ledger append-only.';
