-- What each approval is worth now, and what a person's close does to it.

CREATE TABLE public.iu_gate_confirmation (
  confirmation_id  uuid NOT NULL DEFAULT gen_random_uuid(),
  approval_id      uuid NOT NULL,
  approval_mark    text GENERATED ALWAYS AS (left(encode(sha256(uuid_send(approval_id)), 'hex'), 12)) STORED,
  confirmed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  confirmed_by     name NOT NULL DEFAULT pg_get_userbyid(iu_core.caller()),
  confirmed_by_oid oid NOT NULL DEFAULT iu_core.caller(),
  session_role     name NOT NULL DEFAULT session_user,
  session_oid      oid NOT NULL DEFAULT iu_core.login(),
  after_seq        bigint NOT NULL,
  actor            text NOT NULL,
  reason           text NOT NULL,
  CONSTRAINT iu_gate_confirmation_pkey PRIMARY KEY (confirmation_id),
  CONSTRAINT iu_gate_confirmation_actor CHECK (btrim(actor) <> '' AND btrim(reason) <> '')
);
CREATE INDEX ix_iu_gate_confirmation_approval ON public.iu_gate_confirmation (approval_id);
COMMENT ON TABLE public.iu_gate_confirmation IS
  'Append-only: standing approvals that were confirmed after somebody had closed the gate. Written by '
  'fn_iu_gate_approval_confirm only.';
COMMENT ON COLUMN public.iu_gate_confirmation.confirmation_id IS 'Identifies the confirmation';
COMMENT ON COLUMN public.iu_gate_confirmation.approval_id IS 'The approval';
COMMENT ON COLUMN public.iu_gate_confirmation.approval_mark IS 'Its mark, as iu_gate_transition has it';
COMMENT ON COLUMN public.iu_gate_confirmation.confirmed_at IS 'When, by the clock; set by the server';
COMMENT ON COLUMN public.iu_gate_confirmation.confirmed_by IS
  'The role in whose name it was confirmed (iu_core.caller()); set by the server';
COMMENT ON COLUMN public.iu_gate_confirmation.confirmed_by_oid IS 'Its oid';
COMMENT ON COLUMN public.iu_gate_confirmation.session_role IS 'The role that had logged in; set by the server';
COMMENT ON COLUMN public.iu_gate_confirmation.session_oid IS 'Its oid';
COMMENT ON COLUMN public.iu_gate_confirmation.after_seq IS
  'Number of the gate''s last change in iu_gate_transition: closes up to it no longer keep the approval from being '
  'used';
COMMENT ON COLUMN public.iu_gate_confirmation.actor IS 'Who confirmed it, as told by the caller';
COMMENT ON COLUMN public.iu_gate_confirmation.reason IS 'Why';
COMMENT ON INDEX public.ix_iu_gate_confirmation_approval IS 'The confirmations of an approval.';

CREATE TRIGGER trg_iu_gate_confirmation_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_confirmation
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE public.iu_gate_confirmation ENABLE ALWAYS TRIGGER trg_iu_gate_confirmation_append_only;
COMMENT ON TRIGGER trg_iu_gate_confirmation_append_only ON public.iu_gate_confirmation IS 'Keeps confirmations.';

CREATE FUNCTION iu.fn_iu_gate_approval_closed_by(
    p_gate_key text, p_approval_id uuid, OUT closed_at timestamptz, OUT closed_by name)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT c.created_at, coalesce(c.acting_role, c.session_role)
    FROM public.iu_gate_transition c
    CROSS JOIN LATERAL (
      SELECT t.action, t.approval_id, t.holder_oid FROM public.iu_gate_transition t
       WHERE t.gate_key = c.gate_key AND t.transition_seq < c.transition_seq
       ORDER BY t.transition_seq DESC LIMIT 1) o
   WHERE c.gate_key = p_gate_key AND c.action = 'close'
     AND o.action = 'open' AND o.approval_id = p_approval_id AND c.acting_oid IS DISTINCT FROM o.holder_oid
     AND c.transition_seq > coalesce((SELECT max(n.after_seq) FROM public.iu_gate_confirmation n
                                       WHERE n.approval_id = p_approval_id), 0)
   ORDER BY c.transition_seq DESC LIMIT 1
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_closed_by IS
  'When and by whom a gate was closed last that was open on this approval, by somebody else than its holder, and not '
  'confirmed since: gate, approval. NULLs: that did not happen. The watchdog''s closes do not count. Raises nothing.';

CREATE VIEW public.v_iu_gate_approval AS
  SELECT CASE WHEN iu_core.may('{iu_core_operator}')
                OR a.granted_to_oid = (SELECT u.oid FROM pg_catalog.pg_roles u WHERE u.rolname = current_user)
              THEN a.approval_id END AS approval_id,
         a.gate_key, a.kind, a.action, a.max_ttl_seconds, a.granted_to,
         a.granted_by, a.grantor, a.reason, a.granted_at, a.expires_at,
         CASE
           WHEN r.revoked_at IS NOT NULL THEN 'revoked'
           WHEN a.used_at IS NOT NULL THEN 'used'
           WHEN a.expires_at <= clock_timestamp() THEN 'expired'
           WHEN a.place <> iu_core.place() OR NOT iu.fn_iu_place_is_home() THEN 'foreign'
           WHEN a.granted_at > clock_timestamp() THEN 'not yet'
           WHEN a.granted_to_oid NOT IN (SELECT u.oid FROM pg_catalog.pg_roles u) THEN 'role gone'
           WHEN a.kind <> 'break_glass' AND NOT iu.fn_iu_gate_approver_is(a.gate_key, a.granted_by_oid)
             THEN 'grantor not allowed'
           WHEN a.kind = 'standing' AND c.closed_at IS NOT NULL THEN 'closed by a person'
           ELSE 'valid'
         END AS state,
         a.used_at, a.used_by, r.revoked_at, r.revoked_by, r.reason AS revoked_reason,
         t.openings, t.last_opened_at,
         coalesce(l.is_open, false) AS is_open,
         a.approval_mark, a.granted_to_oid, a.granted_by_oid, a.grantor_login, a.grantor_login_oid, a.used_by_oid,
         c.closed_at, c.closed_by
    FROM public.iu_gate_approval a
    CROSS JOIN LATERAL (
      SELECT count(*) AS openings, max(x.created_at) AS last_opened_at
        FROM public.iu_gate_transition x
       WHERE x.gate_key = a.gate_key AND x.approval_id = a.approval_id AND x.action = 'open') t
    LEFT JOIN LATERAL (
      SELECT x.revoked_at, x.revoked_by, x.reason FROM public.iu_gate_revocation x
       WHERE x.approval_id = a.approval_id ORDER BY x.revoked_at LIMIT 1) r ON true
    LEFT JOIN LATERAL iu.fn_iu_gate_approval_closed_by(a.gate_key, a.approval_id) c ON true
    LEFT JOIN LATERAL (
      SELECT iu_core.gate_is_open(a.gate_key) AND x.action = 'open' AND x.approval_id = a.approval_id AS is_open
        FROM public.iu_gate_transition x
       WHERE x.gate_key = a.gate_key ORDER BY x.transition_seq DESC LIMIT 1) l ON true;
COMMENT ON VIEW public.v_iu_gate_approval IS
  'Every approval, with what it is worth now (state: valid, used, expired, revoked, foreign: granted in another place '
  'and not confirmed here, not yet: dated in the future of the clock, role gone: whom it was granted to is no more, '
  'grantor not allowed: no longer on the approval list, or gone, closed by a person: whoever is not an operator needs '
  'it confirmed), how many openings and renewals rest on it, the last of them, and whether its gate is open on it. '
  'The id is shown to members of iu_core_operator and to whom it was granted, its mark to all readers.';
