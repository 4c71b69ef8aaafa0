-- 010: registered approvals.
--
-- 003 wants an id with every opening. Here an approval is a row: for one gate,
-- one action and a longest time, until an end, granted by somebody else than
-- the one who uses it, and good for one use. Where it is registered its rules
-- hold. Strict mode wants a registered one of everybody; without it an operator
-- may give any id, and whoever is not an operator needs a registered one, so
-- that an agent acts only on what a person granted.
--
-- A standing approval lasts: the watchdog renews a gate opened on one before
-- its end, a ledger row each time, until the approval ends or is revoked.
-- Revoking closes in the same transaction what is open on it. Break-glass is an
-- opening that nobody else approved; it is loud instead.
--
-- Whether two people are the same is told by the role that acts and the role that
-- logged in (fn_iu_same_person); the name of an actor is only what the caller
-- says. A role is its oid: its name stands beside it for people, and a role that
-- takes the name later has no right of the first. Whatever an opening rests on is
-- read under the lock of its gate's row in dot_config, as in 003.

CREATE TABLE public.iu_gate_approver (
  gate_key text NOT NULL,
  approver name NOT NULL,
  added_by name NOT NULL DEFAULT session_user,
  added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  approver_oid oid NOT NULL,
  added_by_oid oid NOT NULL DEFAULT iu_core.login(),
  CONSTRAINT iu_gate_approver_pkey PRIMARY KEY (gate_key, approver)
);
COMMENT ON TABLE public.iu_gate_approver IS
  'Approval lists: the roles whose members may grant approvals for a gate. A gate without a list has '
  'iu_core_operator. Written by fn_iu_gate_approvers_set only.';
COMMENT ON COLUMN public.iu_gate_approver.gate_key IS
  'The gate; no foreign key, a list outlives a migration that is rolled back';
COMMENT ON COLUMN public.iu_gate_approver.approver IS
  'A role, as it was called then; its members count. A role that is gone approves nothing';
COMMENT ON COLUMN public.iu_gate_approver.approver_oid IS
  'The role itself: one that was dropped and made anew under its name approves nothing';
COMMENT ON COLUMN public.iu_gate_approver.added_by_oid IS 'Oid of added_by';
COMMENT ON COLUMN public.iu_gate_approver.added_by IS 'Login role of who made the list';
COMMENT ON COLUMN public.iu_gate_approver.added_at IS 'When, by the clock';

CREATE FUNCTION iu.fn_iu_gate_approver_is(p_gate_key text, p_role oid) RETURNS boolean
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT EXISTS (
    SELECT FROM pg_roles r
      JOIN pg_roles g ON CASE
        WHEN EXISTS (SELECT FROM public.iu_gate_approver a WHERE a.gate_key = p_gate_key)
        THEN g.oid IN (SELECT a.approver_oid FROM public.iu_gate_approver a WHERE a.gate_key = p_gate_key)
        ELSE g.rolname = 'iu_core_operator' END
     WHERE r.oid = p_role AND pg_has_role(r.oid, g.oid, 'USAGE'))
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approver_is IS
  'Whether a role, given by its oid, may approve openings of a gate: it has the rights of a role on its list, or of '
  'iu_core_operator where it has none. False for a role that does not exist, and for NULL. Raises nothing.';
