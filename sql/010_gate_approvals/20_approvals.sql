-- Registered approvals: granted once, then used, once. What is revoked is in
-- iu_gate_revocation, so that nobody who uses one can keep it from being revoked.

CREATE TABLE public.iu_gate_approval (
  approval_id       uuid NOT NULL DEFAULT gen_random_uuid(),
  approval_mark     text GENERATED ALWAYS AS (left(encode(sha256(uuid_send(approval_id)), 'hex'), 12)) STORED,
  gate_key          text NOT NULL,
  kind              text NOT NULL,
  action            text NOT NULL,
  max_ttl_seconds   integer NOT NULL,
  granted_to        name,
  granted_to_oid    oid,
  expires_at        timestamptz NOT NULL,
  granted_by        name NOT NULL,
  granted_by_oid    oid NOT NULL,
  grantor_login     name NOT NULL,
  grantor_login_oid oid NOT NULL,
  grantor           text NOT NULL,
  reason            text NOT NULL,
  granted_at        timestamptz NOT NULL,
  used_at           timestamptz,
  used_by           name,
  used_by_oid       oid,
  place             uuid NOT NULL,
  CONSTRAINT iu_gate_approval_pkey PRIMARY KEY (approval_id),
  CONSTRAINT iu_gate_approval_kind CHECK (kind IN ('single', 'standing', 'break_glass')),
  CONSTRAINT iu_gate_approval_action CHECK (action IN ('open', 'renew') AND (action = 'open' OR kind = 'single')),
  CONSTRAINT iu_gate_approval_ttl CHECK (max_ttl_seconds BETWEEN 1 AND 3600),
  CONSTRAINT iu_gate_approval_end CHECK (expires_at > granted_at AND expires_at <= granted_at + interval '366 days'),
  CONSTRAINT iu_gate_approval_grantor CHECK (btrim(grantor) <> '' AND btrim(reason) <> ''),
  CONSTRAINT iu_gate_approval_used CHECK (
    num_nulls(used_at, used_by, used_by_oid) IN (0, 3) AND (used_at IS NULL OR kind <> 'standing')),
  CONSTRAINT iu_gate_approval_granted_to CHECK (num_nulls(granted_to, granted_to_oid) IN (0, 2))
);
COMMENT ON TABLE public.iu_gate_approval IS
  'Registered approvals. A row is made once; after that it is used, once, and nothing else.';
COMMENT ON COLUMN public.iu_gate_approval.approval_id IS
  'What fn_iu_gate_open is given; shown to those who may use or grant it, approval_mark to all readers';
COMMENT ON COLUMN public.iu_gate_approval.approval_mark IS
  'First 12 hex digits of the SHA-256 of approval_id: tells approvals apart without showing what opens a gate';
COMMENT ON COLUMN public.iu_gate_approval.gate_key IS 'The gate; no foreign key, an approval outlives the registry';
COMMENT ON COLUMN public.iu_gate_approval.kind IS
  'single: good for one use; standing: until its end, renewed by the watchdog; break_glass: granted and used by '
  'the same role at once';
COMMENT ON COLUMN public.iu_gate_approval.action IS
  'open or renew; one that is standing or break_glass covers both';
COMMENT ON COLUMN public.iu_gate_approval.max_ttl_seconds IS
  'Longest time of an opening on it, in seconds, 1 to 3600';
COMMENT ON COLUMN public.iu_gate_approval.granted_to IS
  'Role that may use it, as it was called then; NULL: any member of iu_core_operator but the one who granted it';
COMMENT ON COLUMN public.iu_gate_approval.granted_to_oid IS
  'The role itself: one that takes its name later may not use the approval';
COMMENT ON COLUMN public.iu_gate_approval.expires_at IS
  'From then on it cannot be used; no opening on a standing one lasts longer. At most 366 days after granted_at';
COMMENT ON COLUMN public.iu_gate_approval.granted_by IS
  'Role in whose name it was granted (iu_core.caller()); set on insert, never given';
COMMENT ON COLUMN public.iu_gate_approval.granted_by_oid IS
  'Its oid: what a role granted that is gone is void; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_approval.grantor_login IS 'Role that had logged in; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_approval.grantor_login_oid IS 'Its oid; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_approval.grantor IS 'Who granted it, as told by the caller';
COMMENT ON COLUMN public.iu_gate_approval.reason IS 'Why';
COMMENT ON COLUMN public.iu_gate_approval.granted_at IS 'When, by the clock; set on insert, never given';
COMMENT ON COLUMN public.iu_gate_approval.used_at IS 'When it was used up; never for a standing one';
COMMENT ON COLUMN public.iu_gate_approval.used_by IS 'Role in whose name it was used';
COMMENT ON COLUMN public.iu_gate_approval.used_by_oid IS 'Its oid';
COMMENT ON COLUMN public.iu_gate_approval.place IS
  'Where it was granted, iu_core.place(), or the place in which it was confirmed since; it opens nothing elsewhere, or '
  'a copy could use it again. Set on insert, never given';

CREATE FUNCTION iu.fn_iu_gate_approval_guard() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_before public.iu_gate_approval;
  v_after  public.iu_gate_approval;
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF num_nonnulls(NEW.granted_at, NEW.granted_by, NEW.granted_by_oid, NEW.grantor_login, NEW.grantor_login_oid,
                    NEW.place) > 0 THEN
      RAISE check_violation USING
        MESSAGE = 'an approval is dated by the server, not by hand',
        DETAIL = 'Set on insert: granted_at, granted_by, granted_by_oid, grantor_login, grantor_login_oid, place.',
        HINT = 'Leave these columns out.', CONSTRAINT = 'iu_approval_by_hand';
    END IF;
    NEW.granted_at := clock_timestamp();
    NEW.granted_by_oid := iu.fn_iu_require_caller();
    NEW.granted_by := pg_get_userbyid(NEW.granted_by_oid);
    NEW.grantor_login := session_user;
    NEW.grantor_login_oid := iu_core.login();
    NEW.place := iu_core.place();
    RETURN NEW;
  END IF;

  v_before := OLD;
  v_after := NEW;
  v_before.place := NEW.place;
  IF OLD.used_at IS NULL THEN
    v_before.used_at := NEW.used_at;
    v_before.used_by := NEW.used_by;
    v_before.used_by_oid := NEW.used_by_oid;
  END IF;
  -- It follows from the id, and is not filled in yet here.
  v_after.approval_mark := v_before.approval_mark;
  IF v_before IS DISTINCT FROM v_after THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'table "iu_gate_approval" is append-only',
      DETAIL = 'An approval is used, once; nothing else of it changes but where it holds.',
      CONSTRAINT = 'iu_append_only';
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_guard IS
  'Row trigger of iu_gate_approval: sets time, roles and place of a grant (23514 where they are given), and '
  'refuses any change but that it is used, once, or carried to another place (42501).';

CREATE TRIGGER trg_iu_gate_approval_guard
  BEFORE INSERT OR UPDATE ON public.iu_gate_approval
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_gate_approval_guard();

CREATE TRIGGER trg_iu_gate_approval_append_only
  BEFORE DELETE OR TRUNCATE ON public.iu_gate_approval
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();

ALTER TABLE public.iu_gate_approval ENABLE ALWAYS TRIGGER trg_iu_gate_approval_guard;
ALTER TABLE public.iu_gate_approval ENABLE ALWAYS TRIGGER trg_iu_gate_approval_append_only;
COMMENT ON TRIGGER trg_iu_gate_approval_guard ON public.iu_gate_approval IS
  'Nothing is dated by hand, or used twice.';
COMMENT ON TRIGGER trg_iu_gate_approval_append_only ON public.iu_gate_approval IS 'Keeps approvals.';
