-- Approvals that were withdrawn. A reading of a gate asks for its approval here,
-- so that an opening ends at once, whoever keeps the rows of gate and approval
-- locked: a row is only ever added, and no two revocations wait for each other.

CREATE TABLE public.iu_gate_revocation (
  revocation_id  uuid NOT NULL DEFAULT gen_random_uuid(),
  approval_id    uuid NOT NULL,
  approval_mark  text GENERATED ALWAYS AS (left(encode(sha256(uuid_send(approval_id)), 'hex'), 12)) STORED,
  revoked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  revoked_by     name DEFAULT pg_get_userbyid(iu_core.caller()),
  revoked_by_oid oid DEFAULT iu_core.caller(),
  session_role   name NOT NULL DEFAULT session_user,
  session_oid    oid NOT NULL DEFAULT iu_core.login(),
  actor          text NOT NULL,
  reason         text NOT NULL,
  CONSTRAINT iu_gate_revocation_pkey PRIMARY KEY (revocation_id),
  CONSTRAINT iu_gate_revocation_actor CHECK (btrim(actor) <> '' AND btrim(reason) <> '')
);
CREATE INDEX ix_iu_gate_revocation_approval ON public.iu_gate_revocation (approval_id);
COMMENT ON TABLE public.iu_gate_revocation IS
  'Append-only: approvals that were withdrawn. No gate reads open on one of them, whatever its ledger says. Written by '
  'fn_iu_gate_approval_revoke only.';
COMMENT ON COLUMN public.iu_gate_revocation.revocation_id IS 'Identifies the revocation; an approval may have several';
COMMENT ON COLUMN public.iu_gate_revocation.approval_id IS
  'The approval; no foreign key, since its row may be locked by whoever uses it';
COMMENT ON COLUMN public.iu_gate_revocation.approval_mark IS 'Its mark, as iu_gate_transition has it';
COMMENT ON COLUMN public.iu_gate_revocation.revoked_at IS 'When, by the clock; set by the server';
COMMENT ON COLUMN public.iu_gate_revocation.revoked_by IS
  'The role in whose name it was revoked (iu_core.caller()); set by the server';
COMMENT ON COLUMN public.iu_gate_revocation.revoked_by_oid IS 'Its oid';
COMMENT ON COLUMN public.iu_gate_revocation.session_role IS 'The role that had logged in; set by the server';
COMMENT ON COLUMN public.iu_gate_revocation.session_oid IS 'Its oid';
COMMENT ON COLUMN public.iu_gate_revocation.actor IS 'Who revoked it, as told by the caller';
COMMENT ON COLUMN public.iu_gate_revocation.reason IS 'Why';
COMMENT ON INDEX public.ix_iu_gate_revocation_approval IS
  'The revocation of an approval; iu_core.gate_is_open uses it by name';

CREATE TRIGGER trg_iu_gate_revocation_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_revocation
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
-- Told before a statement as well as after it: 15_triggers.sql says why.
CREATE TRIGGER trg_iu_gate_revocation_gate_changing
  BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_revocation
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
CREATE TRIGGER trg_iu_gate_revocation_gate_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_revocation
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
ALTER TABLE public.iu_gate_revocation ENABLE ALWAYS TRIGGER trg_iu_gate_revocation_append_only;
ALTER TABLE public.iu_gate_revocation ENABLE ALWAYS TRIGGER trg_iu_gate_revocation_gate_changing;
ALTER TABLE public.iu_gate_revocation ENABLE ALWAYS TRIGGER trg_iu_gate_revocation_gate_changed;
COMMENT ON TRIGGER trg_iu_gate_revocation_append_only ON public.iu_gate_revocation IS 'What is revoked stays revoked.';
COMMENT ON TRIGGER trg_iu_gate_revocation_gate_changing ON public.iu_gate_revocation IS
  'Ends cached gate checks before anything changes.';
COMMENT ON TRIGGER trg_iu_gate_revocation_gate_changed ON public.iu_gate_revocation IS
  'Ends cached gate checks, wakes the watchdog.';

CREATE FUNCTION iu.fn_iu_gate_approval_mark(p_approval_id uuid) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT left(encode(sha256(uuid_send(p_approval_id)), 'hex'), 12)
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_mark IS
  'What is written of an approval where all readers see it, in place of its id: the column approval_mark. Argument: '
  'the id. Raises nothing.';
