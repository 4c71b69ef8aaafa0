-- What snapshots keep: the figures, and what was declared to change. Append-only.

CREATE TABLE public.iu_regression_snapshot (
  snapshot_label text        NOT NULL PRIMARY KEY,
  taken_at       timestamptz NOT NULL,
  taken_by       text        NOT NULL,
  session_role   name        NOT NULL DEFAULT session_user,
  CONSTRAINT iu_regression_snapshot_label_chk CHECK (snapshot_label ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$')
);
COMMENT ON TABLE public.iu_regression_snapshot IS
  'The snapshots, append-only. Those of a change window are called LABEL:before and LABEL:after.';
COMMENT ON COLUMN public.iu_regression_snapshot.snapshot_label IS 'Its name';
COMMENT ON COLUMN public.iu_regression_snapshot.taken_at IS 'When its reading began, by the clock';
COMMENT ON COLUMN public.iu_regression_snapshot.taken_by IS 'Who took it, as told by the caller';
COMMENT ON COLUMN public.iu_regression_snapshot.session_role IS 'Login role of who took it';

CREATE TABLE public.iu_regression_value (
  snapshot_label text        NOT NULL,
  surface_code   text        NOT NULL,
  surface        text        NOT NULL,
  layer          text        NOT NULL,
  expectation    text        NOT NULL,
  green_rule     text,
  sort_order     integer     NOT NULL,
  value          text,
  error          text,
  error_code     text,
  reported_by    text,
  session_role   name        NOT NULL DEFAULT session_user,
  read_at        timestamptz NOT NULL,
  ms             numeric,
  source         text,
  CONSTRAINT iu_regression_value_pkey PRIMARY KEY (snapshot_label, surface_code),
  CONSTRAINT iu_regression_value_known_chk CHECK ((value IS NULL) = (error IS NOT NULL))
);
COMMENT ON TABLE public.iu_regression_value IS
  'The figures of the snapshots, append-only, each with what its surface was registered as then.';
COMMENT ON COLUMN public.iu_regression_value.snapshot_label IS
  'The snapshot; one reported from outside may be there before its snapshot is taken';
COMMENT ON COLUMN public.iu_regression_value.surface_code IS 'The surface';
COMMENT ON COLUMN public.iu_regression_value.surface IS 'Its label';
COMMENT ON COLUMN public.iu_regression_value.layer IS 'Its layer';
COMMENT ON COLUMN public.iu_regression_value.expectation IS 'What was expected of it';
COMMENT ON COLUMN public.iu_regression_value.green_rule IS 'When it was green';
COMMENT ON COLUMN public.iu_regression_value.sort_order IS 'Its place in the matrix';
COMMENT ON COLUMN public.iu_regression_value.value IS 'The figure as text; NULL: unknown';
COMMENT ON COLUMN public.iu_regression_value.error IS 'Why it is unknown, in words';
COMMENT ON COLUMN public.iu_regression_value.error_code IS 'SQLSTATE of what failed';
COMMENT ON COLUMN public.iu_regression_value.reported_by IS 'Who reported it; NULL: it was read';
COMMENT ON COLUMN public.iu_regression_value.session_role IS 'Login role of who reported it or had it read';
COMMENT ON COLUMN public.iu_regression_value.read_at IS 'When its reading began, or when it was reported';
COMMENT ON COLUMN public.iu_regression_value.ms IS 'How long the reading took, in ms; NULL: reported';
COMMENT ON COLUMN public.iu_regression_value.source IS 'The view or query that was read; NULL: reported';

CREATE TABLE public.iu_regression_expectation (
  expectation_seq bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  before_label    text        NOT NULL,
  surface_code    text        NOT NULL,
  delta           numeric,
  value           text,
  reason          text        NOT NULL,
  declared_by     text        NOT NULL,
  session_role    name        NOT NULL DEFAULT session_user,
  declared_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_regression_expectation_one_chk CHECK (num_nonnulls(delta, value) = 1)
);
CREATE INDEX ix_iu_regression_expectation ON public.iu_regression_expectation (before_label, surface_code);
COMMENT ON TABLE public.iu_regression_expectation IS
  'Declared changes of surfaces, append-only: of one surface the last that was declared before the snapshot after '
  'counts.';
COMMENT ON COLUMN public.iu_regression_expectation.expectation_seq IS 'Order of declaration';
COMMENT ON COLUMN public.iu_regression_expectation.before_label IS 'The snapshot from which it changes';
COMMENT ON COLUMN public.iu_regression_expectation.surface_code IS 'The surface; it may come with the change';
COMMENT ON COLUMN public.iu_regression_expectation.delta IS 'By how much; of a surface that is new, what it is';
COMMENT ON COLUMN public.iu_regression_expectation.value IS 'Or the figure after';
COMMENT ON COLUMN public.iu_regression_expectation.reason IS 'Why; shown in the matrix';
COMMENT ON COLUMN public.iu_regression_expectation.declared_by IS 'Who declared it, as told by the caller';
COMMENT ON COLUMN public.iu_regression_expectation.session_role IS 'Login role of who declared it';
COMMENT ON COLUMN public.iu_regression_expectation.declared_at IS
  'When, by the clock; after the snapshot after it comes too late and does not count';

CREATE TRIGGER trg_iu_regression_snapshot_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_regression_snapshot
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();

CREATE TRIGGER trg_iu_regression_value_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_regression_value
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();

CREATE TRIGGER trg_iu_regression_expectation_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON public.iu_regression_expectation
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE public.iu_regression_snapshot ENABLE ALWAYS TRIGGER trg_iu_regression_snapshot_append_only;
ALTER TABLE public.iu_regression_value ENABLE ALWAYS TRIGGER trg_iu_regression_value_append_only;
ALTER TABLE public.iu_regression_expectation ENABLE ALWAYS TRIGGER trg_iu_regression_expectation_append_only;
COMMENT ON TRIGGER trg_iu_regression_snapshot_append_only ON public.iu_regression_snapshot IS
  'A snapshot is not changed.';
COMMENT ON TRIGGER trg_iu_regression_value_append_only ON public.iu_regression_value IS 'A figure is not changed.';
COMMENT ON TRIGGER trg_iu_regression_expectation_append_only ON public.iu_regression_expectation IS
  'A declaration is not changed.';
