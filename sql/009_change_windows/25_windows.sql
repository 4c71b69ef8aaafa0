-- The change windows.

CREATE TABLE public.iu_change_window (
  window_label        text        NOT NULL PRIMARY KEY,
  purpose             text        NOT NULL,
  approval_id         uuid        NOT NULL,
  opened_by           text        NOT NULL,
  opened_role         name        NOT NULL DEFAULT session_user,
  opened_at           timestamptz NOT NULL,
  migrations_before   integer[]   NOT NULL,
  backup_file         text        NOT NULL,
  backup_bytes        bigint      NOT NULL,
  backup_sha256       text        NOT NULL,
  backup_check        text        NOT NULL,
  closed_by           text,
  closed_role         name,
  closed_at           timestamptz,
  migrations_after    integer[],
  gates               jsonb,
  invariants          jsonb,
  impact              jsonb,
  not_touched         text[],
  after_backup_file   text,
  after_backup_bytes  bigint,
  after_backup_sha256 text,
  after_backup_check  text,
  verdict             text,
  verdict_reason      text,
  CONSTRAINT iu_change_window_label_chk CHECK (window_label ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$'),
  CONSTRAINT iu_change_window_sha_chk CHECK (
    backup_sha256 ~ '^[0-9a-f]{64}$' AND after_backup_sha256 ~ '^[0-9a-f]{64}$'),
  CONSTRAINT iu_change_window_verdict_chk CHECK (verdict IN ('PASS', 'FAIL', 'UNKNOWN')),
  CONSTRAINT iu_change_window_closed_chk CHECK (
    num_nulls(closed_by, closed_role, closed_at, migrations_after, gates, invariants, impact, not_touched, verdict,
              verdict_reason) IN (0, 10))
);
CREATE UNIQUE INDEX uq_iu_change_window_open ON public.iu_change_window ((true)) WHERE closed_at IS NULL;
COMMENT ON TABLE public.iu_change_window IS
  'The change windows. A row is made once and closed once, and nothing else; one at a time is open.';
COMMENT ON COLUMN public.iu_change_window.window_label IS
  'Its name: 1 to 100 letters, digits, "_", ".", "-"; never used twice';
COMMENT ON COLUMN public.iu_change_window.purpose IS 'What is to be changed';
COMMENT ON COLUMN public.iu_change_window.approval_id IS 'On whose approval, as a ticket has it';
COMMENT ON COLUMN public.iu_change_window.opened_by IS 'Who opened it, as told by the caller';
COMMENT ON COLUMN public.iu_change_window.opened_role IS 'Login role of who opened it';
COMMENT ON COLUMN public.iu_change_window.opened_at IS 'When its opening began, by the clock';
COMMENT ON COLUMN public.iu_change_window.migrations_before IS 'Migrations that were applied then';
COMMENT ON COLUMN public.iu_change_window.backup_file IS 'Where the backup of before is';
COMMENT ON COLUMN public.iu_change_window.backup_bytes IS 'Its size';
COMMENT ON COLUMN public.iu_change_window.backup_sha256 IS 'Its SHA-256 in hex';
COMMENT ON COLUMN public.iu_change_window.backup_check IS
  'checked: the server read it; or as stated, and why the server could not';
COMMENT ON COLUMN public.iu_change_window.closed_by IS 'Who closed it, as told by the caller';
COMMENT ON COLUMN public.iu_change_window.closed_role IS 'Login role of who closed it';
COMMENT ON COLUMN public.iu_change_window.closed_at IS 'When, by the clock; NULL: it is open';
COMMENT ON COLUMN public.iu_change_window.migrations_after IS 'Migrations that are applied at its end';
COMMENT ON COLUMN public.iu_change_window.gates IS
  'fn_iu_gate_verify_closed() at its end, and standing: the gates that were open on a standing approval';
COMMENT ON COLUMN public.iu_change_window.invariants IS 'What a check of all invariants found at its end';
COMMENT ON COLUMN public.iu_change_window.impact IS
  'What was stated of the layers PG, Directus, Nuxt, AgentData, Qdrant, by layer';
COMMENT ON COLUMN public.iu_change_window.not_touched IS 'What was stated not to have been touched';
COMMENT ON COLUMN public.iu_change_window.after_backup_file IS 'Where a backup of after is; NULL: none was stated';
COMMENT ON COLUMN public.iu_change_window.after_backup_bytes IS 'Its size';
COMMENT ON COLUMN public.iu_change_window.after_backup_sha256 IS 'Its SHA-256 in hex';
COMMENT ON COLUMN public.iu_change_window.after_backup_check IS 'As backup_check';
COMMENT ON COLUMN public.iu_change_window.verdict IS
  'FAIL: a surface was violated, or a critical invariant fails; UNKNOWN: no such thing is known, but not all is '
  'known; PASS: all is known and as it should be';
COMMENT ON COLUMN public.iu_change_window.verdict_reason IS 'Why, in words';

CREATE FUNCTION iu.fn_iu_change_window_guard() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_closing CONSTANT text[] := ARRAY['closed_by', 'closed_role', 'closed_at', 'migrations_after', 'gates',
    'invariants', 'impact', 'not_touched', 'verdict', 'verdict_reason', 'after_backup_file', 'after_backup_bytes',
    'after_backup_sha256', 'after_backup_check'];
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL
     AND to_jsonb(OLD) - c_closing = to_jsonb(NEW) - c_closing THEN
    RETURN NEW;
  END IF;
  RAISE insufficient_privilege USING
    MESSAGE = 'a change window is closed once, and not changed otherwise',
    DETAIL = format('Window: %s; %s is refused.', OLD.window_label, TG_OP),
    CONSTRAINT = 'iu_change_window_unchanged';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_change_window_guard IS
  'Trigger of iu_change_window: SQLSTATE 42501 for every change but closing it.';

CREATE TRIGGER trg_iu_change_window_guard
  BEFORE UPDATE OR DELETE ON public.iu_change_window
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_change_window_guard();

CREATE TRIGGER trg_iu_change_window_append_only
  BEFORE TRUNCATE ON public.iu_change_window
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE public.iu_change_window ENABLE ALWAYS TRIGGER trg_iu_change_window_guard;
ALTER TABLE public.iu_change_window ENABLE ALWAYS TRIGGER trg_iu_change_window_append_only;
COMMENT ON TRIGGER trg_iu_change_window_guard ON public.iu_change_window IS 'Closed once, not changed otherwise.';
COMMENT ON TRIGGER trg_iu_change_window_append_only ON public.iu_change_window IS 'The table is not emptied.';

CREATE VIEW public.v_iu_change_window AS
  SELECT w.window_label, CASE WHEN w.closed_at IS NULL THEN 'open' ELSE 'closed' END AS state, w.purpose,
         w.approval_id, w.opened_by, w.opened_at, w.closed_by, w.closed_at, w.verdict, w.verdict_reason,
         w.backup_file, w.backup_sha256, w.backup_check
    FROM public.iu_change_window w;
COMMENT ON VIEW public.v_iu_change_window IS
  'The change windows: open or closed, what for, on which approval, by whom and when, the verdict and why, the '
  'backup and whether the server has checked it.';
