-- Registered approvals: granted once, then used and revoked, once each.

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
  place             uuid NOT NULL,
  CONSTRAINT iu_gate_approval_pkey PRIMARY KEY (approval_id),
  CONSTRAINT iu_gate_approval_kind CHECK (kind IN ('single', 'standing', 'break_glass')),
  CONSTRAINT iu_gate_approval_action CHECK (action IN ('open', 'renew') AND (action = 'open' OR kind = 'single')),
  CONSTRAINT iu_gate_approval_ttl CHECK (max_ttl_seconds BETWEEN 1 AND 3600),
  CONSTRAINT iu_gate_approval_end CHECK (expires_at > granted_at AND expires_at <= granted_at + interval '366 days'),
  CONSTRAINT iu_gate_approval_grantor CHECK (btrim(grantor) <> '' AND btrim(reason) <> ''),
  CONSTRAINT iu_gate_approval_used CHECK (
    num_nulls(used_at, used_by) IN (0, 2) AND (used_at IS NULL OR kind <> 'standing')),
  CONSTRAINT iu_gate_approval_revoked CHECK (num_nulls(revoked_at, revoked_by, revoked_reason) IN (0, 3))
);
COMMENT ON TABLE public.iu_gate_approval IS
  'Registered approvals. A row is made once; after that it is used and revoked, once each, and nothing else.';
COMMENT ON COLUMN public.iu_gate_approval.approval_id IS 'What fn_iu_gate_open is given';
COMMENT ON COLUMN public.iu_gate_approval.gate_key IS 'The gate; no foreign key, an approval outlives the registry';
COMMENT ON COLUMN public.iu_gate_approval.kind IS
  'single: good for one use; standing: until its end, renewed by the watchdog; break_glass: granted and used by '
  'the same role at once';
COMMENT ON COLUMN public.iu_gate_approval.action IS
  'open or renew; one that is standing or break_glass covers both';
COMMENT ON COLUMN public.iu_gate_approval.max_ttl_seconds IS
  'Longest time of an opening on it, in seconds, 1 to 3600';
COMMENT ON COLUMN public.iu_gate_approval.granted_to IS
  'Login role that may use it; NULL: any but the one who granted it';
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
    IF num_nonnulls(NEW.granted_at, NEW.granted_by, NEW.place) > 0 THEN
      RAISE check_violation USING
        MESSAGE = 'an approval is dated by the server, not by hand',
        DETAIL = 'Set on insert: granted_at, granted_by, place.',
        HINT = 'Leave these columns out.', CONSTRAINT = 'iu_approval_by_hand';
    END IF;
    NEW.granted_at := clock_timestamp();
    NEW.granted_by := session_user;
    NEW.place := iu_core.place();
    RETURN NEW;
  END IF;

  v_before := OLD;
  v_after := NEW;
  v_before.place := NEW.place;
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
      DETAIL = 'An approval is used and revoked, once each; nothing else of it changes but where it holds.',
      CONSTRAINT = 'iu_append_only';
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_guard IS
  'Row trigger of iu_gate_approval: sets time, login role and place of a grant (23514 where they are given), and '
  'refuses any change but that it is used or revoked, once, or carried to another place (42501).';

CREATE TRIGGER trg_iu_gate_approval_guard
  BEFORE INSERT OR UPDATE ON public.iu_gate_approval
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_gate_approval_guard();

CREATE TRIGGER trg_iu_gate_approval_append_only
  BEFORE DELETE OR TRUNCATE ON public.iu_gate_approval
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();

-- The watchdog acts at once on what is revoked, by whatever way.
CREATE TRIGGER trg_iu_gate_approval_gate_changed
  AFTER UPDATE ON public.iu_gate_approval
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
ALTER TABLE public.iu_gate_approval ENABLE ALWAYS TRIGGER trg_iu_gate_approval_guard;
ALTER TABLE public.iu_gate_approval ENABLE ALWAYS TRIGGER trg_iu_gate_approval_append_only;
ALTER TABLE public.iu_gate_approval ENABLE ALWAYS TRIGGER trg_iu_gate_approval_gate_changed;
COMMENT ON TRIGGER trg_iu_gate_approval_guard ON public.iu_gate_approval IS
  'Nothing is dated by hand, or used twice.';
COMMENT ON TRIGGER trg_iu_gate_approval_append_only ON public.iu_gate_approval IS 'Keeps approvals.';
COMMENT ON TRIGGER trg_iu_gate_approval_gate_changed ON public.iu_gate_approval IS 'Wakes the watchdog.';

CREATE VIEW public.v_iu_gate_approval AS
  SELECT a.approval_id, a.gate_key, a.kind, a.action, a.max_ttl_seconds, a.granted_to,
         a.granted_by, a.grantor, a.reason, a.granted_at, a.expires_at,
         CASE
           WHEN a.revoked_at IS NOT NULL THEN 'revoked'
           WHEN a.used_at IS NOT NULL THEN 'used'
           WHEN a.expires_at <= clock_timestamp() THEN 'expired'
           WHEN a.place <> iu_core.place() OR NOT iu.fn_iu_place_is_home() THEN 'foreign'
           WHEN a.granted_at > clock_timestamp() THEN 'not yet'
           WHEN a.kind <> 'break_glass' AND NOT iu.fn_iu_gate_approver_is(a.gate_key, a.granted_by)
             THEN 'grantor not allowed'
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
  'Every approval, with what it is worth now (state: valid, used, expired, revoked, foreign: granted in another '
  'place and not confirmed here, not yet: dated in the future of the clock, grantor not allowed: no longer on the '
  'approval list), how many openings and renewals rest on it, the last of them, and whether its gate is open on it.';
