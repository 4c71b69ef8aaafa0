-- 010: registered approvals.
--
-- 003 wants an id with every opening. Here an approval is a row: for one gate,
-- one action and a longest time, until an end, granted by somebody else than
-- the one who uses it, and good for one use. Where it is registered its rules
-- hold; it must be registered in strict mode, and always for whoever is not an
-- operator, so that an agent acts only on what a person granted.
--
-- A standing approval lasts: the watchdog renews a gate opened on one before
-- its end, a ledger row each time, until the approval ends or is revoked.
-- Revoking closes in the same transaction what is open on it. Break-glass is an
-- opening that nobody else approved; it is loud instead.
--
-- Who is meant by "one who" is the login role, session_user: what an actor is
-- called is told by the caller. Whatever an opening rests on is read under the
-- lock of its gate's row in dot_config, as in 003.

SELECT iu_core.guard_absent('table', 'iu_gate_approval', 'iu_gate_approver');
SELECT iu_core.guard_absent('view', 'v_iu_gate_approval');
SELECT iu_core.guard_absent('function',
  'fn_iu_gate_approval_guard()', 'fn_iu_gate_approver_is(text,name)', 'fn_iu_gate_approval_check(text)',
  'fn_iu_gate_approval_log(text,text,text,text,jsonb)',
  'fn_iu_gate_approval_grant(text,text,integer,timestamp with time zone,text,text,text,text,uuid)',
  'fn_iu_gate_approval_revoke(uuid,text,text)', 'fn_iu_gate_approvers_set(text,text[],text,text)',
  'fn_iu_gate_approval_mode_set(text,text,text)', 'fn_iu_gate_break_glass(text,text,text,integer)');
SELECT iu_core.guard_absent('config', 'iu_core.gate_approval_mode');
SELECT iu_core.guard_absent('event_type', 'governance.gate_break_glass');

DO $guard$
BEGIN
  IF to_regprocedure('public.fn_iu_gate_approval_use(text, text, uuid, text, integer)') IS NULL
     OR to_regclass('public.event_outbox') IS NULL THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'migration 010 needs migrations 003 and 004';
  END IF;
END
$guard$;

-- Who may approve ------------------------------------------------------------

CREATE TABLE public.iu_gate_approver (
  gate_key text NOT NULL,
  approver name NOT NULL,
  added_by name NOT NULL DEFAULT session_user,
  added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_gate_approver_pkey PRIMARY KEY (gate_key, approver)
);
COMMENT ON TABLE public.iu_gate_approver IS
  'Approval lists: the roles whose members may grant approvals for a gate. A gate without a list has iu_core_operator. Written by fn_iu_gate_approvers_set only. (design: Gates)';
COMMENT ON COLUMN public.iu_gate_approver.gate_key IS 'The gate; no foreign key, a list outlives a migration that is rolled back';
COMMENT ON COLUMN public.iu_gate_approver.approver IS 'A role; its members count. A role that is gone approves nothing';
COMMENT ON COLUMN public.iu_gate_approver.added_by IS 'Login role of who made the list';
COMMENT ON COLUMN public.iu_gate_approver.added_at IS 'When, by the clock';

CREATE FUNCTION public.fn_iu_gate_approver_is(p_gate_key text, p_role name) RETURNS boolean
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT EXISTS (
    SELECT FROM pg_roles r
      JOIN pg_roles g ON CASE
        WHEN EXISTS (SELECT FROM public.iu_gate_approver a WHERE a.gate_key = p_gate_key)
        THEN g.rolname IN (SELECT a.approver FROM public.iu_gate_approver a WHERE a.gate_key = p_gate_key)
        ELSE g.rolname = 'iu_core_operator' END
     WHERE r.rolname = p_role AND pg_has_role(r.oid, g.oid, 'MEMBER'))
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approver_is(text, name) IS
  'Whether a login role may approve openings of a gate: a member of a role on its list, or of iu_core_operator where it has none. False for a role that does not exist. Raises nothing. (design: Gates)';

-- Approvals ------------------------------------------------------------------

CREATE TABLE public.iu_gate_approval (
  approval_id       uuid NOT NULL DEFAULT gen_random_uuid(),
  gate_key          text NOT NULL,
  kind              text NOT NULL,
  action            text NOT NULL,
  max_ttl_seconds   integer NOT NULL,
  granted_to        name,
  expires_at        timestamptz NOT NULL,
  granted_by        name NOT NULL,
  grantor           text NOT NULL,
  reason            text NOT NULL,
  granted_at        timestamptz NOT NULL,
  used_at           timestamptz,
  used_by           name,
  revoked_at        timestamptz,
  revoked_by        name,
  revoked_reason    text,
  system_identifier bigint NOT NULL,
  database_oid      oid NOT NULL,
  CONSTRAINT iu_gate_approval_pkey PRIMARY KEY (approval_id),
  CONSTRAINT iu_gate_approval_kind CHECK (kind IN ('single', 'standing', 'break_glass')),
  CONSTRAINT iu_gate_approval_action CHECK (action IN ('open', 'renew') AND (action = 'open' OR kind = 'single')),
  CONSTRAINT iu_gate_approval_ttl CHECK (max_ttl_seconds BETWEEN 1 AND 3600),
  CONSTRAINT iu_gate_approval_end CHECK (expires_at > granted_at AND expires_at <= granted_at + interval '366 days'),
  CONSTRAINT iu_gate_approval_grantor CHECK (btrim(grantor) <> '' AND btrim(reason) <> ''),
  CONSTRAINT iu_gate_approval_used CHECK (num_nulls(used_at, used_by) IN (0, 2) AND (used_at IS NULL OR kind <> 'standing')),
  CONSTRAINT iu_gate_approval_revoked CHECK (num_nulls(revoked_at, revoked_by, revoked_reason) IN (0, 3))
);
COMMENT ON TABLE public.iu_gate_approval IS
  'Registered approvals. A row is made once; after that it is used and revoked, once each, and nothing else. (design: Gates)';
COMMENT ON COLUMN public.iu_gate_approval.approval_id IS 'What fn_iu_gate_open is given';
COMMENT ON COLUMN public.iu_gate_approval.gate_key IS 'The gate; no foreign key, an approval outlives the registry';
COMMENT ON COLUMN public.iu_gate_approval.kind IS
  'single: good for one use; standing: until its end, renewed by the watchdog; break_glass: granted and used by the same role at once';
COMMENT ON COLUMN public.iu_gate_approval.action IS 'open or renew; one that is standing or break_glass covers both';
COMMENT ON COLUMN public.iu_gate_approval.max_ttl_seconds IS 'Longest time of an opening on it, in seconds, 1 to 3600';
COMMENT ON COLUMN public.iu_gate_approval.granted_to IS 'Login role that may use it; NULL: any but the one who granted it';
COMMENT ON COLUMN public.iu_gate_approval.expires_at IS
  'From then on it cannot be used; no opening on a standing one lasts longer. At most 366 days after granted_at';
COMMENT ON COLUMN public.iu_gate_approval.granted_by IS 'Login role of who granted it; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_approval.grantor IS 'Who granted it, as told by the caller';
COMMENT ON COLUMN public.iu_gate_approval.reason IS 'Why';
COMMENT ON COLUMN public.iu_gate_approval.granted_at IS 'When, by the clock; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_approval.used_at IS 'When it was used up; never for a standing one';
COMMENT ON COLUMN public.iu_gate_approval.used_by IS 'Login role that used it';
COMMENT ON COLUMN public.iu_gate_approval.revoked_at IS 'When it was revoked';
COMMENT ON COLUMN public.iu_gate_approval.revoked_by IS 'Login role that revoked it';
COMMENT ON COLUMN public.iu_gate_approval.revoked_reason IS 'Why it was revoked';
COMMENT ON COLUMN public.iu_gate_approval.system_identifier IS
  'Cluster in which it was granted; it opens nothing elsewhere, or a copy could use it again. Set on insert, never given';
COMMENT ON COLUMN public.iu_gate_approval.database_oid IS 'Database in which it was granted, as system_identifier';

CREATE FUNCTION public.fn_iu_gate_approval_guard() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_before public.iu_gate_approval;
  v_after  public.iu_gate_approval;
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF num_nonnulls(NEW.granted_at, NEW.granted_by, NEW.system_identifier, NEW.database_oid) > 0 THEN
      RAISE check_violation USING
        MESSAGE = 'an approval is dated by the server, not by hand',
        DETAIL = 'granted_at, granted_by, system_identifier and database_oid are set on insert.';
    END IF;
    NEW.granted_at := clock_timestamp();
    NEW.granted_by := session_user;
    NEW.system_identifier := iu_core.system_identifier();
    NEW.database_oid := iu_core.database_oid();
    RETURN NEW;
  END IF;

  v_before := OLD;
  v_after := NEW;
  IF OLD.used_at IS NULL THEN
    v_before.used_at := NEW.used_at;
    v_before.used_by := NEW.used_by;
  END IF;
  IF OLD.revoked_at IS NULL THEN
    v_before.revoked_at := NEW.revoked_at;
    v_before.revoked_by := NEW.revoked_by;
    v_before.revoked_reason := NEW.revoked_reason;
  END IF;
  IF v_before IS DISTINCT FROM v_after THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'table "iu_gate_approval" is append-only',
      DETAIL = 'An approval is used and revoked, once each; nothing else of it changes.';
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approval_guard() IS
  'Row trigger of iu_gate_approval: sets time, login role and place of a grant (23514 where they are given), and refuses any change but that it is used or revoked, once (42501). (design: Gates)';

CREATE TRIGGER trg_iu_gate_approval_guard
  BEFORE INSERT OR UPDATE ON public.iu_gate_approval
  FOR EACH ROW EXECUTE FUNCTION public.fn_iu_gate_approval_guard();
CREATE TRIGGER trg_iu_gate_approval_append_only
  BEFORE DELETE OR TRUNCATE ON public.iu_gate_approval
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_append_only();
-- The watchdog acts at once on what is revoked, by whatever way.
CREATE TRIGGER trg_iu_gate_approval_gate_changed
  AFTER UPDATE ON public.iu_gate_approval
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
ALTER TABLE public.iu_gate_approval ENABLE ALWAYS TRIGGER trg_iu_gate_approval_guard;
ALTER TABLE public.iu_gate_approval ENABLE ALWAYS TRIGGER trg_iu_gate_approval_append_only;
ALTER TABLE public.iu_gate_approval ENABLE ALWAYS TRIGGER trg_iu_gate_approval_gate_changed;
COMMENT ON TRIGGER trg_iu_gate_approval_guard ON public.iu_gate_approval IS 'Nothing is dated by hand, or used twice. (design: Gates)';
COMMENT ON TRIGGER trg_iu_gate_approval_append_only ON public.iu_gate_approval IS 'Keeps approvals. (design: Gates)';
COMMENT ON TRIGGER trg_iu_gate_approval_gate_changed ON public.iu_gate_approval IS 'Wakes the watchdog. (design: Gates)';

CREATE VIEW public.v_iu_gate_approval AS
  SELECT a.approval_id, a.gate_key, a.kind, a.action, a.max_ttl_seconds, a.granted_to,
         a.granted_by, a.grantor, a.reason, a.granted_at, a.expires_at,
         CASE
           WHEN a.system_identifier <> iu_core.system_identifier() OR a.database_oid <> iu_core.database_oid() THEN 'foreign'
           WHEN a.revoked_at IS NOT NULL THEN 'revoked'
           WHEN a.used_at IS NOT NULL THEN 'used'
           WHEN a.expires_at <= clock_timestamp() THEN 'expired'
           WHEN a.kind <> 'break_glass' AND NOT public.fn_iu_gate_approver_is(a.gate_key, a.granted_by) THEN 'grantor not allowed'
           ELSE 'valid'
         END AS state,
         a.used_at, a.used_by, a.revoked_at, a.revoked_by, a.revoked_reason,
         t.openings, t.last_opened_at,
         coalesce(g.effective, false) AS is_open
    FROM public.iu_gate_approval a
    CROSS JOIN LATERAL (
      SELECT count(*) AS openings, max(x.created_at) AS last_opened_at
        FROM public.iu_gate_transition x
       WHERE x.gate_key = a.gate_key AND x.approval_id = a.approval_id AND x.action = 'open') t
    LEFT JOIN public.v_iu_gate g ON g.gate_key = a.gate_key AND g.approval_id = a.approval_id;
COMMENT ON VIEW public.v_iu_gate_approval IS
  'Every approval, with what it is worth now (state: valid, used, expired, revoked, foreign: granted in another database, grantor not allowed: no longer on the approval list), how many openings and renewals rest on it, the last of them, and whether its gate is open on it. (design: Gates)';

-- Using one ------------------------------------------------------------------

CREATE OR REPLACE FUNCTION public.fn_iu_gate_approval_use(
    p_gate_key text, p_action text, p_approval_id uuid, p_actor text, p_ttl_seconds integer)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_time     CONSTANT text := 'YYYY-MM-DD HH24:MI:SS.MS';
  v_operator boolean := pg_has_role(session_user, 'iu_core_operator', 'MEMBER');
  v_mode     text;
  v_approval public.iu_gate_approval;
BEGIN
  IF p_approval_id IS NULL THEN
    RAISE check_violation USING MESSAGE = 'approval_id required (Điều 32)';
  END IF;
  -- Held until the commit: whoever sets the mode waits for openings under the old one.
  SELECT c.value INTO v_mode FROM public.dot_config c WHERE c.key = 'iu_core.gate_approval_mode' FOR SHARE;
  SELECT a.* INTO v_approval FROM public.iu_gate_approval a WHERE a.approval_id = p_approval_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    IF v_operator AND v_mode = 'default' THEN
      RETURN;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'IU101',
      MESSAGE = format('approval %s is not registered', p_approval_id),
      DETAIL = CASE WHEN v_operator THEN 'The approval mode is strict.'
                    ELSE format('"%s" is not a member of iu_core_operator.', session_user) END,
      HINT = 'Ask somebody else for one: fn_iu_gate_approval_grant.';
  END IF;

  IF v_approval.system_identifier <> iu_core.system_identifier() OR v_approval.database_oid <> iu_core.database_oid() THEN
    RAISE EXCEPTION USING ERRCODE = 'IU101',
      MESSAGE = format('approval %s was granted in another database', p_approval_id),
      DETAIL = 'This one is a copy.', HINT = 'Ask for another one: fn_iu_gate_approval_grant.';
  END IF;
  IF v_approval.gate_key <> p_gate_key THEN
    RAISE EXCEPTION USING ERRCODE = 'IU105',
      MESSAGE = format('approval %s is for gate "%s", not for gate "%s"', p_approval_id, v_approval.gate_key, p_gate_key);
  END IF;
  IF v_approval.action <> p_action AND v_approval.kind = 'single' THEN
    RAISE EXCEPTION USING ERRCODE = 'IU105',
      MESSAGE = format('approval %s is to %s, not to %s', p_approval_id, v_approval.action, p_action);
  END IF;
  IF v_approval.granted_to <> session_user THEN
    RAISE EXCEPTION USING ERRCODE = 'IU105',
      MESSAGE = format('approval %s is for role "%s", not for "%s"', p_approval_id, v_approval.granted_to, session_user);
  END IF;
  IF v_approval.revoked_at IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'IU104',
      MESSAGE = format('approval %s was revoked at %s UTC by "%s"', p_approval_id,
                       to_char(v_approval.revoked_at AT TIME ZONE 'UTC', c_time), v_approval.revoked_by),
      DETAIL = format('Reason: %s.', v_approval.revoked_reason);
  END IF;
  IF v_approval.used_at IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'IU102',
      MESSAGE = format('approval %s was used at %s UTC by "%s"', p_approval_id,
                       to_char(v_approval.used_at AT TIME ZONE 'UTC', c_time), v_approval.used_by),
      HINT = 'An approval is good for one use. Ask for another one: fn_iu_gate_approval_grant.';
  END IF;
  IF v_approval.expires_at <= clock_timestamp() THEN
    RAISE EXCEPTION USING ERRCODE = 'IU103',
      MESSAGE = format('approval %s expired at %s UTC', p_approval_id,
                       to_char(v_approval.expires_at AT TIME ZONE 'UTC', c_time)),
      HINT = 'Ask for another one: fn_iu_gate_approval_grant.';
  END IF;
  IF v_approval.kind <> 'break_glass' AND (v_approval.granted_by = session_user OR v_approval.grantor = p_actor) THEN
    RAISE EXCEPTION USING ERRCODE = 'IU106',
      MESSAGE = format('approval %s was granted by "%s", who may not use it', p_approval_id, v_approval.granted_by),
      DETAIL = format('Granted as actor %s, opened as actor %s by "%s".', v_approval.grantor, p_actor, session_user),
      HINT = 'Somebody else opens on it, or grants another one. Where nobody can: fn_iu_gate_break_glass.';
  END IF;
  IF v_approval.kind <> 'break_glass' AND NOT public.fn_iu_gate_approver_is(p_gate_key, v_approval.granted_by) THEN
    RAISE EXCEPTION USING ERRCODE = 'IU107',
      MESSAGE = format(CASE WHEN EXISTS (SELECT FROM public.iu_gate_approver l WHERE l.gate_key = p_gate_key)
                            THEN 'approval %s was granted by "%s", who is not on the approval list of gate "%s"'
                            ELSE 'approval %s was granted by "%s", who is no longer a member of iu_core_operator' END,
                       p_approval_id, v_approval.granted_by, p_gate_key),
      HINT = 'iu_gate_approver has the lists.';
  END IF;
  IF p_ttl_seconds > v_approval.max_ttl_seconds THEN
    RAISE EXCEPTION USING ERRCODE = 'IU108',
      MESSAGE = format('approval %s allows at most %s s, not %s', p_approval_id, v_approval.max_ttl_seconds, p_ttl_seconds);
  END IF;
  IF v_approval.kind = 'standing' THEN
    IF clock_timestamp() + make_interval(secs => p_ttl_seconds) > v_approval.expires_at THEN
      RAISE EXCEPTION USING ERRCODE = 'IU108',
        MESSAGE = format('approval %s ends at %s UTC, before an opening of %s s would', p_approval_id,
                         to_char(v_approval.expires_at AT TIME ZONE 'UTC', c_time), p_ttl_seconds);
    END IF;
    RETURN;
  END IF;

  UPDATE public.iu_gate_approval SET used_at = clock_timestamp(), used_by = session_user
   WHERE approval_id = p_approval_id;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approval_use(text, text, uuid, text, integer) IS
  'For fn_iu_gate_open, under the lock of the gate: uses an approval: gate, open or renew, approval, who, seconds. One that is not registered passes only in default mode, for members of iu_core_operator (by login role). Errors: 23514 no id, IU101 not registered or granted in another database, IU105 for another gate, action or role, IU104 revoked, IU102 used, IU103 expired, IU106 granted by the one who opens, IU107 its grantor is not on the approval list, IU108 for a shorter time; 40001 in a transaction whose snapshot is too old. (seed 4 A4; design: Gates)';

-- Standing approvals ---------------------------------------------------------

CREATE OR REPLACE FUNCTION public.fn_iu_gate_approval_due(p_gate_key text, OUT renew_at timestamptz, OUT withdrawn boolean)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  SELECT CASE WHEN a.kind = 'standing' AND a.revoked_at IS NULL
                   AND a.system_identifier = iu_core.system_identifier() AND a.database_oid = iu_core.database_oid()
                   AND a.expires_at >= l.expires_at + interval '1 second'
                   AND public.fn_iu_gate_approver_is(p_gate_key, a.granted_by)
              THEN l.expires_at - make_interval(secs => least(l.ttl_seconds / 2.0, 30)) END,
         a.revoked_at IS NOT NULL
    INTO renew_at, withdrawn
    FROM (SELECT t.action, t.approval_id, t.expires_at, t.ttl_seconds FROM public.iu_gate_transition t
           WHERE t.gate_key = p_gate_key ORDER BY t.transition_seq DESC LIMIT 1) l
    JOIN public.iu_gate_approval a ON a.approval_id = l.approval_id AND l.action = 'open';
  withdrawn := coalesce(withdrawn, false);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approval_due(text) IS
  'For the watchdog: when an open gate is to be renewed (half its time before its end, at most 30 s; NULL: not opened on a standing approval that is still good and lasts 1 s longer), and whether its approval was revoked, so that it is due at once. Raises nothing. (design: Gates)';

CREATE OR REPLACE FUNCTION public.fn_iu_gate_renew(p_gate_key text, p_actor text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_transition_id uuid := gen_random_uuid();
  v_approval      public.iu_gate_approval;
  v_last          record;
  v_due           record;
  v_ttl           integer;
  v_reason        text;
  v_run_id        uuid;
BEGIN
  SELECT t.approval_id, t.ttl_seconds, t.actor INTO v_last FROM public.iu_gate_transition t
   WHERE t.gate_key = p_gate_key ORDER BY t.transition_seq DESC LIMIT 1;
  -- Whoever revokes it waits for this, or this for him.
  SELECT a.* INTO v_approval FROM public.iu_gate_approval a WHERE a.approval_id = v_last.approval_id FOR SHARE;
  SELECT d.renew_at INTO v_due FROM public.fn_iu_gate_approval_due(p_gate_key) d;
  IF v_due.renew_at IS NULL OR v_due.renew_at > clock_timestamp() THEN
    RETURN NULL;
  END IF;
  v_ttl := least(v_last.ttl_seconds, floor(extract(epoch FROM v_approval.expires_at - clock_timestamp())));
  IF v_ttl < 1 THEN
    RETURN NULL;
  END IF;

  v_reason := format('renewed by %s on the standing approval of "%s"', p_actor, v_approval.granted_by);
  v_run_id := public.fn_dot_iu_command_log(
    'dot_iu_gate_watchdog', 'health', 'apply', 'applied', true,
    md5(jsonb_build_array(p_gate_key, v_last.approval_id, v_ttl, p_actor)::text),
    public.fn_iu_gate_snapshot(),
    jsonb_build_object('status', 'renewed', 'gate_key', p_gate_key, 'transition_id', v_transition_id,
                       'reason', v_reason, 'session_user', public.fn_iu_gate_held_by(p_gate_key)),
    p_actor);
  UPDATE public.dot_config SET value = 'true' WHERE key = p_gate_key;
  INSERT INTO public.iu_gate_transition
      (transition_id, gate_key, action, prev_value, new_value, approval_id, ttl_seconds, actor, reason, run_id)
    VALUES (v_transition_id, p_gate_key, 'open', 'true', 'true', v_last.approval_id, v_ttl,
            v_last.actor, v_reason, v_run_id);
  RETURN v_reason;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_renew(text, text) IS
  'For fn_iu_gate_close_expired, under the lock of the gate: renews a gate opened on a standing approval for the same time once more, for its holder, if it is due to be (fn_iu_gate_approval_due), never beyond the end of the approval; says how in words, or NULL if not. Errors: 55P03 if the approval stays locked. (design: Gates)';

-- Granting and revoking ------------------------------------------------------

CREATE FUNCTION public.fn_iu_gate_approval_log(
    p_command text, p_gate_key text, p_actor text, p_reason text, p_evidence jsonb)
  RETURNS uuid
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN public.fn_dot_iu_command_log(
    p_command, 'health', 'apply', 'applied', true,
    md5(jsonb_build_array(p_command, p_gate_key, p_actor, p_reason, p_evidence)::text),
    public.fn_iu_gate_snapshot(),
    p_evidence || jsonb_build_object('gate_key', p_gate_key, 'reason', p_reason, 'session_user', session_user),
    p_actor);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approval_log(text, text, text, text, jsonb) IS
  'Logs what was done about approvals among the runs and returns the run''s id: command, gate or NULL, who, why, what. Raises nothing of its own. (facts-core 2.3)';

CREATE FUNCTION public.fn_iu_gate_approval_check(p_gate_key text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_class text;
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
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approval_check(text) IS
  'Refuses what is not a governable gate. Errors: 42501 NEVER-FLIP, 42501 not a governable gate. (seed 4 A4)';

CREATE FUNCTION public.fn_iu_gate_approval_grant(
    p_gate_key text, p_action text, p_max_ttl_seconds integer, p_expires_at timestamptz, p_actor text, p_reason text,
    p_kind text DEFAULT 'single', p_granted_to text DEFAULT NULL, p_approval_id uuid DEFAULT gen_random_uuid())
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_approval_id uuid := coalesce(p_approval_id, gen_random_uuid());
  v_run_id      uuid;
BEGIN
  PERFORM public.fn_iu_gate_approval_check(p_gate_key);
  IF p_kind IS NULL OR p_kind NOT IN ('single', 'standing') THEN
    RAISE check_violation USING MESSAGE = format('kind must be single or standing, not %s', coalesce(quote_literal(p_kind), 'NULL')),
      HINT = 'fn_iu_gate_break_glass opens without another''s approval.';
  END IF;
  IF p_action IS NULL OR p_action NOT IN ('open', 'renew') THEN
    RAISE check_violation USING MESSAGE = format('action must be open or renew, not %s', coalesce(quote_literal(p_action), 'NULL'));
  END IF;
  IF p_kind = 'standing' AND p_action <> 'open' THEN
    RAISE check_violation USING MESSAGE = 'a standing approval is to open', DETAIL = 'It covers renewals as well.';
  END IF;
  IF p_max_ttl_seconds IS NULL OR p_max_ttl_seconds NOT BETWEEN 1 AND 3600 THEN
    RAISE check_violation USING
      MESSAGE = format('max_ttl_seconds must be from 1 to 3600, not %s', coalesce(p_max_ttl_seconds::text, 'NULL'));
  END IF;
  IF p_expires_at IS NULL OR p_expires_at <= clock_timestamp() OR p_expires_at > clock_timestamp() + interval '366 days' THEN
    RAISE check_violation USING
      MESSAGE = format('expires_at must be a time to come, within 366 days, not %s', coalesce(p_expires_at::text, 'NULL'));
  END IF;
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'an approval is granted by somebody for a reason', HINT = 'Give p_actor and p_reason.';
  END IF;
  IF p_granted_to IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = p_granted_to) THEN
    RAISE undefined_object USING MESSAGE = format('role "%s" does not exist', p_granted_to);
  END IF;
  IF p_granted_to = session_user THEN
    RAISE EXCEPTION USING ERRCODE = 'IU106',
      MESSAGE = format('"%s" may not approve what "%1$s" opens', session_user),
      HINT = 'Somebody else grants it. Where nobody can: fn_iu_gate_break_glass.';
  END IF;
  IF NOT public.fn_iu_gate_approver_is(p_gate_key, session_user) THEN
    RAISE EXCEPTION USING ERRCODE = 'IU107',
      MESSAGE = format('"%s" is not on the approval list of gate "%s"', session_user, p_gate_key),
      HINT = 'iu_gate_approver has the lists.';
  END IF;

  INSERT INTO public.iu_gate_approval
      (approval_id, gate_key, kind, action, max_ttl_seconds, granted_to, expires_at, grantor, reason)
    VALUES (v_approval_id, p_gate_key, p_kind, p_action, p_max_ttl_seconds, p_granted_to, p_expires_at, p_actor, p_reason)
    ON CONFLICT (approval_id) DO NOTHING;
  IF NOT FOUND THEN
    RAISE duplicate_object USING MESSAGE = format('approval %s is registered already', v_approval_id);
  END IF;
  v_run_id := public.fn_iu_gate_approval_log('dot_iu_gate_approval_grant', p_gate_key, p_actor, p_reason,
    jsonb_build_object('status', 'granted', 'approval_id', v_approval_id, 'kind', p_kind, 'action', p_action,
      'max_ttl_seconds', p_max_ttl_seconds, 'expires_at', p_expires_at, 'granted_to', p_granted_to));
  RETURN jsonb_build_object('status', 'granted', 'approval_id', v_approval_id, 'gate_key', p_gate_key, 'kind', p_kind,
    'action', p_action, 'max_ttl_seconds', p_max_ttl_seconds, 'expires_at', p_expires_at, 'granted_to', p_granted_to,
    'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approval_grant(text, text, integer, timestamptz, text, text, text, text, uuid) IS
  'Registers an approval, to be used by somebody else: gate, open or renew, longest time of an opening in seconds (1 to 3600), until when (at most 366 days), who, why, single or standing, the login role that may use it (NULL: any), and an id where a new one shall not be made. Returns {status: granted, approval_id, gate_key, kind, action, max_ttl_seconds, expires_at, granted_to, run_id}. Errors, in this order: 42501 NEVER-FLIP, 42501 not a governable gate, 23514 kind, action, time, end, actor or reason missing or wrong, 42704 no such role, IU106 to oneself, IU107 not on the approval list, 42710 the id is registered already. (design: Gates)';

CREATE FUNCTION public.fn_iu_gate_approval_revoke(p_approval_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '2s'
AS $function$
DECLARE
  v_gate_key text;
  v_status   text := 'unchanged';
  v_blocker  text;
  v_closed   boolean := false;
  v_run_id   uuid;
BEGIN
  SELECT a.gate_key INTO v_gate_key FROM public.iu_gate_approval a WHERE a.approval_id = p_approval_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'IU101',
      MESSAGE = format('approval %s is not registered', coalesce(p_approval_id::text, 'NULL')),
      HINT = 'v_iu_gate_approval lists the approvals.';
  END IF;
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'an approval is revoked by somebody for a reason', HINT = 'Give p_actor and p_reason.';
  END IF;

  -- Somebody who keeps the gate's row must not keep the approval alive: without
  -- the row it is revoked all the same, and the watchdog closes when it can.
  BEGIN
    PERFORM FROM public.dot_config c WHERE c.key = v_gate_key FOR NO KEY UPDATE;
  EXCEPTION WHEN lock_not_available THEN
    v_blocker := public.fn_iu_gate_blocker(v_gate_key);
  END;
  BEGIN
    UPDATE public.iu_gate_approval
       SET revoked_at = clock_timestamp(), revoked_by = session_user, revoked_reason = p_reason
     WHERE approval_id = p_approval_id AND revoked_at IS NULL;
  EXCEPTION WHEN lock_not_available THEN
    RAISE lock_not_available USING
      MESSAGE = format('approval %s is being used: %s', p_approval_id, public.fn_iu_gate_blocker(v_gate_key)),
      HINT = 'End that session and try again, or wait for the gate to expire.';
  END;
  IF FOUND THEN
    v_status := 'revoked';
  END IF;

  IF v_blocker IS NULL AND EXISTS (
       SELECT FROM public.v_iu_gate g WHERE g.gate_key = v_gate_key AND g.value = 'true' AND g.approval_id = p_approval_id) THEN
    PERFORM public.fn_iu_gate_close(v_gate_key, p_actor, 'approval revoked: ' || p_reason);
    v_closed := true;
  ELSIF v_blocker IS NULL THEN
    -- An older snapshot must not open on it.
    UPDATE public.dot_config SET value = value WHERE key = v_gate_key;
  END IF;
  v_run_id := public.fn_iu_gate_approval_log('dot_iu_gate_approval_revoke', v_gate_key, p_actor, p_reason,
    jsonb_build_object('status', v_status, 'approval_id', p_approval_id, 'closed', v_closed, 'blocker', v_blocker));
  RETURN jsonb_build_object('status', v_status, 'approval_id', p_approval_id, 'gate_key', v_gate_key,
    'closed', v_closed, 'blocker', v_blocker, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approval_revoke(uuid, text, text) IS
  'Revokes an approval of whatever kind, and closes its gate in the same transaction if that is open on it: approval, who, why. Returns {status: revoked | unchanged (it was before), approval_id, gate_key, closed, blocker, run_id}. blocker, in words: who has kept the gate locked for 2 s; the approval is revoked then, and the watchdog closes as soon as it can. Errors: IU101 not registered, 23514 no actor or reason, 55P03 somebody uses it in a transaction that lasts longer than 2 s. (design: Gates)';

CREATE FUNCTION public.fn_iu_gate_approvers_set(p_gate_key text, p_approvers text[], p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_unknown  text;
  v_previous jsonb;
  v_run_id   uuid;
BEGIN
  PERFORM public.fn_iu_gate_approval_check(p_gate_key);
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'an approval list is made by somebody for a reason', HINT = 'Give p_actor and p_reason.';
  END IF;
  IF p_approvers IS NULL OR array_position(p_approvers, NULL) IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = 'an approval list has no NULL', HINT = 'An empty list lets every member of iu_core_operator approve.';
  END IF;
  SELECT n.name INTO v_unknown FROM unnest(p_approvers) AS n (name)
   WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = n.name) LIMIT 1;
  IF FOUND THEN
    RAISE undefined_object USING MESSAGE = format('role "%s" does not exist', v_unknown);
  END IF;

  -- Under the lock of the gate, so that no opening decides on the old list later.
  UPDATE public.dot_config SET value = value WHERE key = p_gate_key;
  SELECT coalesce(jsonb_agg(a.approver ORDER BY a.approver), '[]') INTO v_previous
    FROM public.iu_gate_approver a WHERE a.gate_key = p_gate_key;
  DELETE FROM public.iu_gate_approver a WHERE a.gate_key = p_gate_key;
  INSERT INTO public.iu_gate_approver (gate_key, approver) SELECT DISTINCT p_gate_key, n.name FROM unnest(p_approvers) AS n (name);
  v_run_id := public.fn_iu_gate_approval_log('dot_iu_gate_approvers_set', p_gate_key, p_actor, p_reason,
    jsonb_build_object('previous', v_previous, 'approvers', to_jsonb(p_approvers)));
  RETURN jsonb_build_object('status', 'set', 'gate_key', p_gate_key, 'previous', v_previous,
    'approvers', to_jsonb(p_approvers), 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approvers_set(text, text[], text, text) IS
  'Sets a gate''s approval list: gate, the roles whose members may grant approvals for it (an empty list: iu_core_operator), who, why. What somebody granted who is not on it is void from then on, and no longer renewed. To grant one needs EXECUTE on fn_iu_gate_approval_grant as well, which members of iu_core_operator have. Returns {status: set, gate_key, previous, approvers, run_id}. Errors: 42501 not a governable gate, 23514 list, actor or reason missing, 42704 no such role. (design: Gates)';

CREATE FUNCTION public.fn_iu_gate_approval_mode_set(p_mode text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_previous text;
  v_status   text;
  v_run_id   uuid;
BEGIN
  IF p_mode IS NULL OR p_mode NOT IN ('default', 'strict') THEN
    RAISE check_violation USING
      MESSAGE = format('the mode is default or strict, not %s', coalesce(quote_literal(p_mode), 'NULL'));
  END IF;
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'the approval mode is set by somebody for a reason', HINT = 'Give p_actor and p_reason.';
  END IF;
  SELECT c.value INTO v_previous FROM public.dot_config c WHERE c.key = 'iu_core.gate_approval_mode' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = 'iu_core.gate_approval_mode has no row in dot_config, which reads as strict',
      HINT = 'Put it back: INSERT INTO dot_config (key, value) VALUES (''iu_core.gate_approval_mode'', ''strict'');';
  END IF;
  v_status := CASE WHEN v_previous = p_mode THEN 'unchanged' ELSE 'set' END;
  UPDATE public.dot_config SET value = p_mode WHERE key = 'iu_core.gate_approval_mode';
  v_run_id := public.fn_iu_gate_approval_log('dot_iu_gate_approval_mode_set', NULL, p_actor, p_reason,
    jsonb_build_object('status', v_status, 'previous', v_previous, 'mode', p_mode));
  RETURN jsonb_build_object('status', v_status, 'previous', v_previous, 'mode', p_mode, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_approval_mode_set(text, text, text) IS
  'Sets how openings are approved: default (an operator may give any id) or strict (the approval must be registered), who, why. Waits for openings under way. Returns {status: set | unchanged, previous, mode, run_id}. Errors: 23514 mode, actor or reason missing or wrong, 42704 no row in dot_config. (design: Gates)';

CREATE FUNCTION public.fn_iu_gate_break_glass(p_gate_key text, p_actor text, p_reason text, p_ttl_seconds integer)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_approval_id uuid := gen_random_uuid();
  v_opened      jsonb;
  v_event_id    uuid;
BEGIN
  PERFORM public.fn_iu_gate_approval_check(p_gate_key);
  IF coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING MESSAGE = 'break-glass needs a reason: say why nobody else approves';
  END IF;
  IF p_ttl_seconds IS NULL OR p_ttl_seconds NOT BETWEEN 1 AND 3600 THEN
    RAISE check_violation USING
      MESSAGE = format('ttl_seconds must be from 1 to 3600, not %s', coalesce(p_ttl_seconds::text, 'NULL'));
  END IF;
  IF coalesce(btrim(p_actor), '') = '' THEN
    RAISE check_violation USING MESSAGE = 'actor required: say who opens the gate';
  END IF;

  INSERT INTO public.iu_gate_approval
      (approval_id, gate_key, kind, action, max_ttl_seconds, granted_to, expires_at, grantor, reason)
    VALUES (v_approval_id, p_gate_key, 'break_glass', 'open', p_ttl_seconds, session_user,
            clock_timestamp() + interval '1 hour', p_actor, p_reason);
  v_opened := public.fn_iu_gate_open(p_gate_key, v_approval_id, p_actor, 'break-glass: ' || p_reason, p_ttl_seconds);

  INSERT INTO public.event_outbox
      (event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table,
       event_subject_ref, actor_ref, source_system, safe_payload)
    SELECT r.event_domain, r.event_type, r.event_stream, r.delivery_lane, r.default_severity, 'iu_gate_transition',
           v_opened ->> 'transition_id', p_actor, 'iu_core',
           jsonb_build_object('gate_key', p_gate_key, 'approval_id', v_approval_id, 'reason', p_reason,
             'status', v_opened ->> 'status', 'expires_at', v_opened ->> 'expires_at', 'session_user', session_user)
      FROM public.event_type_registry r
     WHERE r.event_domain = 'governance' AND r.event_type = 'gate_break_glass' AND r.active
       AND public.fn_iu_core_routes_enabled()
    RETURNING id INTO v_event_id;
  RAISE WARNING USING
    MESSAGE = format('break-glass: gate "%s" %s by "%s" without anybody''s approval, for %s s',
                     p_gate_key, v_opened ->> 'status', session_user, p_ttl_seconds),
    DETAIL = format('Actor: %s. Reason: %s. Approval: %s.', p_actor, p_reason, v_approval_id);
  RETURN v_opened || jsonb_build_object('event_id', v_event_id);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_gate_break_glass(text, text, text, integer) IS
  'Opens (or, for its holder, renews) a gate that nobody else approved, in strict mode and beside its approval list too: gate, who, why, seconds. It makes an approval of its own, a WARNING in the server log, and the event governance.gate_break_glass (none while the master switch is off). Returns what fn_iu_gate_open does, and event_id. Errors: 42501 NEVER-FLIP, 42501 not a governable gate, 23514 reason, time or actor missing or out of range, and from 55000 on those of fn_iu_gate_open. (design: Gates)';

-- Privileges -----------------------------------------------------------------

GRANT SELECT ON public.iu_gate_approval, public.iu_gate_approver, public.v_iu_gate_approval TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_gate_approver_is(text, name) TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
  public.fn_iu_gate_approval_grant(text, text, integer, timestamptz, text, text, text, text, uuid),
  public.fn_iu_gate_approval_revoke(uuid, text, text),
  public.fn_iu_gate_break_glass(text, text, text, integer) TO iu_core_operator;
GRANT EXECUTE ON FUNCTION public.fn_iu_gate_approvers_set(text, text[], text, text),
  public.fn_iu_gate_approval_mode_set(text, text, text) TO iu_core_admin;
-- All that an agent may do.
GRANT EXECUTE ON FUNCTION public.fn_iu_gate_open(text, uuid, text, text, integer), public.fn_iu_gate_close(text, text, text),
  public.fn_iu_gate_verify_closed(text),
  public.fn_iu_emit_event(text, text, uuid, text, jsonb, text, text) TO iu_core_agent;

-- Rows and registration ------------------------------------------------------

INSERT INTO public.dot_config (key, value, description) VALUES
  ('iu_core.gate_approval_mode', 'default', 'default: an operator may open with any approval id; anything else: the approval must be registered');
INSERT INTO public.event_type_registry
  (event_domain, event_type, event_stream, delivery_lane, default_severity, description) VALUES
  ('governance', 'gate_break_glass', 'alert', 'immediate', 'critical', 'a gate was opened without anybody''s approval');
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_gate_approval_grant',    'health', true, true,  ARRAY['fn_iu_gate_approval_grant']),
  ('dot_iu_gate_approval_revoke',   'health', true, false, ARRAY['fn_iu_gate_approval_revoke']),
  ('dot_iu_gate_approvers_set',     'health', true, true,  ARRAY['fn_iu_gate_approvers_set']),
  ('dot_iu_gate_approval_mode_set', 'health', true, true,  ARRAY['fn_iu_gate_approval_mode_set']);

SELECT public.fn_iu_govern(10, 'table', 'iu_gate_approval', 'iu_gate_approver');
SELECT public.fn_iu_govern(10, 'view', 'v_iu_gate_approval');
SELECT public.fn_iu_govern(10, 'function',
  'fn_iu_gate_approval_guard()', 'fn_iu_gate_approver_is(text,name)', 'fn_iu_gate_approval_check(text)',
  'fn_iu_gate_approval_log(text,text,text,text,jsonb)',
  'fn_iu_gate_approval_grant(text,text,integer,timestamp with time zone,text,text,text,text,uuid)',
  'fn_iu_gate_approval_revoke(uuid,text,text)', 'fn_iu_gate_approvers_set(text,text[],text,text)',
  'fn_iu_gate_approval_mode_set(text,text,text)', 'fn_iu_gate_break_glass(text,text,text,integer)');
SELECT public.fn_iu_govern(10, 'trigger', 'trg_iu_gate_approval_guard ON iu_gate_approval',
  'trg_iu_gate_approval_append_only ON iu_gate_approval', 'trg_iu_gate_approval_gate_changed ON iu_gate_approval');
SELECT public.fn_iu_govern(10, 'config', 'iu_core.gate_approval_mode');
SELECT public.fn_iu_govern(10, 'event_type', 'governance.gate_break_glass');

SELECT public.fn_iu_conformance_require(10);
