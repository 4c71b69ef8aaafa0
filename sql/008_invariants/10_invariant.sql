-- 008: invariants: what must agree, as views with a left and a right value.
--
-- A check has three answers. Only two values that were read and agree are a
-- pass; only two that were read and have differed for longer than the settle
-- window are a fail; everything else is unknown: a remote that failed, a view
-- that is gone, a NULL, time that ran out, a difference that is still young.
--
-- A view is read in a subtransaction that is always rolled back: what it locked
-- is free again before the next one is asked, and what it wrote is undone. First
-- everything is read, then everything is recorded, so that nothing recorded is
-- locked while a remote is waited for.

CREATE TABLE public.iu_invariant (
  invariant_code text        NOT NULL PRIMARY KEY,
  meaning        text        NOT NULL,
  view_name      text        NOT NULL,
  severity       text        NOT NULL DEFAULT 'critical',
  tolerance      numeric     NOT NULL DEFAULT 0,
  settle_seconds integer     NOT NULL DEFAULT 0,
  every_seconds  integer,
  timeout_ms     integer     NOT NULL DEFAULT 10000,
  enabled        boolean     NOT NULL DEFAULT true,
  migration      integer,
  registered_by  text        NOT NULL,
  session_role   name        NOT NULL DEFAULT session_user,
  reason         text        NOT NULL,
  registered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_invariant_code_chk CHECK (invariant_code ~ '^[a-z][a-z0-9_.:-]{0,119}$'),
  CONSTRAINT iu_invariant_meaning_chk CHECK (
    btrim(meaning) <> '' AND btrim(registered_by) <> '' AND btrim(reason) <> ''),
  CONSTRAINT iu_invariant_severity_chk CHECK (severity IN ('critical', 'warning')),
  CONSTRAINT iu_invariant_tolerance_chk CHECK (tolerance >= 0 AND tolerance < 'Infinity'),
  CONSTRAINT iu_invariant_settle_chk CHECK (settle_seconds BETWEEN 0 AND 604800),
  CONSTRAINT iu_invariant_every_chk CHECK (every_seconds BETWEEN 1 AND 604800),
  CONSTRAINT iu_invariant_timeout_chk CHECK (timeout_ms BETWEEN 1 AND 60000)
);
COMMENT ON TABLE public.iu_invariant IS
  'What must agree. Each invariant is a view of one of two shapes, told apart by its columns. Two values: '
  'left_value and right_value, one row. Keys: key, left_value, right_value, one row for each key that either side '
  'has; NULL on the side that does not have it, such as a FULL JOIN gives; any other value, such as 1 or a '
  'digest, where it has. A key has at most 1000 bytes as text. Left and right must be comparable by =; more '
  'columns do no harm. Written by fn_iu_invariant_register and its kin, and by migrations.';
COMMENT ON COLUMN public.iu_invariant.invariant_code IS
  'Its name: 1 to 120 small letters, digits, "_", ".", ":", "-"';
COMMENT ON COLUMN public.iu_invariant.meaning IS 'What holds while it passes, in a sentence';
COMMENT ON COLUMN public.iu_invariant.view_name IS
  'The view, qualified; it, the views that it reads, the functions that they call and the types of what is compared '
  'belong to iu_core_owner or a superuser. It is read as iu_core_check, which holds nothing';
COMMENT ON COLUMN public.iu_invariant.severity IS
  'critical or warning: whether the verdict of a change window falls with it';
COMMENT ON COLUMN public.iu_invariant.tolerance IS
  'Difference that is still a pass: of numbers left minus right, either way; of keys how many differ';
COMMENT ON COLUMN public.iu_invariant.settle_seconds IS
  'Lag that is allowed, 0 to 604800 s: a difference is unknown until it has lasted so long; of keys, each for '
  'itself';
COMMENT ON COLUMN public.iu_invariant.every_seconds IS
  'How often the runner checks it, 1 to 604800 s; NULL: on demand only';
COMMENT ON COLUMN public.iu_invariant.timeout_ms IS
  'Longest time of one reading, 1 to 60000 ms; beyond it the answer is unknown';
COMMENT ON COLUMN public.iu_invariant.enabled IS
  'false: neither scheduled nor part of a check of all; a gate that demands it stays shut';
COMMENT ON COLUMN public.iu_invariant.migration IS 'The migration that brought it; NULL: somebody registered it';
COMMENT ON COLUMN public.iu_invariant.registered_by IS 'Who registered it, as told by the caller';
COMMENT ON COLUMN public.iu_invariant.session_role IS 'Login role of who registered it';
COMMENT ON COLUMN public.iu_invariant.reason IS 'Why';
COMMENT ON COLUMN public.iu_invariant.registered_at IS 'When it was registered as it is now, by the clock';

CREATE TABLE public.iu_invariant_state (
  invariant_code    text        NOT NULL PRIMARY KEY REFERENCES public.iu_invariant ON DELETE CASCADE,
  verdict           text,
  verdict_since     timestamptz,
  checked_at        timestamptz,
  last_pass_at      timestamptz,
  differs_since     timestamptz,
  logged_at         timestamptz,
  run_seq           bigint,
  checks            bigint      NOT NULL DEFAULT 0,
  next_at           timestamptz,
  begun_at          timestamptz,
  place             uuid,
  CONSTRAINT iu_invariant_state_verdict_chk CHECK (verdict IN ('pass', 'fail', 'unknown'))
);
COMMENT ON TABLE public.iu_invariant_state IS
  'What the last check of an invariant found, as it is registered now. Read v_iu_invariant.';
COMMENT ON COLUMN public.iu_invariant_state.verdict IS
  'Of the last check; NULL: never checked as it is registered now, or since it was enabled again';
COMMENT ON COLUMN public.iu_invariant_state.verdict_since IS
  'When a check first found that verdict, without another in between';
COMMENT ON COLUMN public.iu_invariant_state.checked_at IS 'When the last check began to read, by the clock';
COMMENT ON COLUMN public.iu_invariant_state.last_pass_at IS 'When the last check that passed began to read';
COMMENT ON COLUMN public.iu_invariant_state.differs_since IS
  'When a difference beyond the tolerance was first seen that has been there since; NULL: none';
COMMENT ON COLUMN public.iu_invariant_state.logged_at IS 'When a check was last written to iu_invariant_run';
COMMENT ON COLUMN public.iu_invariant_state.run_seq IS
  'The row of iu_invariant_run that has what the last check found';
COMMENT ON COLUMN public.iu_invariant_state.checks IS
  'Checks since it was registered first, those included that were not logged';
COMMENT ON COLUMN public.iu_invariant_state.next_at IS 'When the runner checks it next; NULL: not scheduled';
COMMENT ON COLUMN public.iu_invariant_state.begun_at IS
  'When the runner began the check that is under way, committed before it; NULL: none is. One that a runner finds is '
  'one in whose middle the runner before it ended';
COMMENT ON COLUMN public.iu_invariant_state.place IS
  'Where the last check ran, iu_core.place(): a pass of the original is none of a copy, nor of what was restored';

CREATE TABLE public.iu_invariant_key (
  invariant_code text        NOT NULL REFERENCES public.iu_invariant ON DELETE CASCADE,
  key            text COLLATE "C" NOT NULL,
  first_seen_at  timestamptz NOT NULL,
  CONSTRAINT iu_invariant_key_pkey PRIMARY KEY (invariant_code, key)
);
COMMENT ON TABLE public.iu_invariant_key IS
  'The memory of the settle window: keys that differed at the last check, and since which. Kept where '
  'settle_seconds is not 0, for at most 10000 keys an invariant.';
COMMENT ON COLUMN public.iu_invariant_key.key IS 'The key, as text';
COMMENT ON COLUMN public.iu_invariant_key.first_seen_at IS
  'Start of the check that first saw it differ, with none since that did not';

CREATE TABLE public.iu_invariant_run (
  run_seq        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  invariant_code text        NOT NULL,
  verdict        text        NOT NULL,
  left_value     text,
  right_value    text,
  difference     numeric,
  keys           text[],
  keys_total     bigint,
  detail         text        NOT NULL,
  error_code     text,
  asked_by       text        NOT NULL,
  session_role   name        NOT NULL DEFAULT session_user,
  checked_at     timestamptz NOT NULL,
  ms             numeric     NOT NULL,
  CONSTRAINT iu_invariant_run_verdict_chk CHECK (verdict IN ('pass', 'fail', 'unknown')),
  CONSTRAINT iu_invariant_run_asked_chk CHECK (asked_by IN ('hand', 'schedule', 'gate', 'window'))
);
CREATE INDEX ix_iu_invariant_run_code ON public.iu_invariant_run (invariant_code, run_seq DESC);
COMMENT ON TABLE public.iu_invariant_run IS
  'Append-only log of checks: every one by hand, for a gate or a change window; of the scheduled ones those that '
  'found something else than the one before, and one an hour.';
COMMENT ON COLUMN public.iu_invariant_run.run_seq IS 'Order of recording';
COMMENT ON COLUMN public.iu_invariant_run.invariant_code IS 'The invariant; no foreign key, the log outlives it';
COMMENT ON COLUMN public.iu_invariant_run.verdict IS 'pass, fail or unknown';
COMMENT ON COLUMN public.iu_invariant_run.left_value IS 'As text; of keys: how many the left side has';
COMMENT ON COLUMN public.iu_invariant_run.right_value IS 'As text; of keys: how many the right side has';
COMMENT ON COLUMN public.iu_invariant_run.difference IS
  'Left minus right; of keys: how many differ; NULL: not a number, or not known';
COMMENT ON COLUMN public.iu_invariant_run.keys IS
  'The first 20 keys that differ, in order; NULL: not an invariant of keys, or not read';
COMMENT ON COLUMN public.iu_invariant_run.keys_total IS 'How many keys differ';
COMMENT ON COLUMN public.iu_invariant_run.detail IS 'Why, in words';
COMMENT ON COLUMN public.iu_invariant_run.error_code IS 'SQLSTATE of what failed; NULL: nothing did';
COMMENT ON COLUMN public.iu_invariant_run.asked_by IS 'hand, schedule, gate or window';
COMMENT ON COLUMN public.iu_invariant_run.session_role IS 'Login role that asked';
COMMENT ON COLUMN public.iu_invariant_run.checked_at IS 'When it began to read, by the clock';
COMMENT ON COLUMN public.iu_invariant_run.ms IS 'How long the reading took, in ms';

CREATE TRIGGER trg_iu_invariant_run_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_invariant_run
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE public.iu_invariant_run ENABLE ALWAYS TRIGGER trg_iu_invariant_run_append_only;
COMMENT ON TRIGGER trg_iu_invariant_run_append_only ON public.iu_invariant_run IS 'Keeps the log append-only.';
