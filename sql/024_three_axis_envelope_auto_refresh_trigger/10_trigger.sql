-- 024 three-axis envelope, auto-refresh trigger: while gate
-- iu_core.three_axis_auto_refresh_enabled is open, each statement that writes units
-- or tags has the envelope refreshed. Whatever that costs or however it fails, the
-- statement itself goes on as if there were no envelope.

CREATE TABLE public.iu_three_axis_envelope_trigger_error_log (
  id           bigserial   NOT NULL,
  trigger_name text        NOT NULL,
  host_table   text        NOT NULL,
  tg_op        text        NOT NULL,
  sqlstate     text        NOT NULL,
  sqlerrm      text        NOT NULL,
  captured_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_three_axis_envelope_trigger_error_log_pkey PRIMARY KEY (id),
  CONSTRAINT iu_three_axis_envelope_trigger_error_log_tg_op_chk
    CHECK (tg_op IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'))
);
COMMENT ON TABLE public.iu_three_axis_envelope_trigger_error_log IS
  'Refreshes by trigger that failed, one row each; the statement went on, and the marks of its units stay until '
  'somebody serves them. Nobody has rights to write it; rows go by retention.';
COMMENT ON COLUMN public.iu_three_axis_envelope_trigger_error_log.id IS 'Number of the row';
COMMENT ON COLUMN public.iu_three_axis_envelope_trigger_error_log.trigger_name IS 'The trigger';
COMMENT ON COLUMN public.iu_three_axis_envelope_trigger_error_log.host_table IS 'Its table';
COMMENT ON COLUMN public.iu_three_axis_envelope_trigger_error_log.tg_op IS
  'What the statement did: INSERT, UPDATE, DELETE or TRUNCATE';
COMMENT ON COLUMN public.iu_three_axis_envelope_trigger_error_log.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN public.iu_three_axis_envelope_trigger_error_log.sqlerrm IS 'Its message';
COMMENT ON COLUMN public.iu_three_axis_envelope_trigger_error_log.captured_at IS 'When, by the clock';

-- In the library, since it is called by each statement on the busiest tables.
CREATE FUNCTION public.fn_iu_three_axis_envelope_auto_refresh_trigger() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'iu_envelope_auto_refresh';
REVOKE ALL ON FUNCTION public.fn_iu_three_axis_envelope_auto_refresh_trigger FROM PUBLIC;
COMMENT ON FUNCTION public.fn_iu_three_axis_envelope_auto_refresh_trigger IS
  'Statement trigger: while gate iu_core.three_axis_auto_refresh_enabled is open, calls '
  'fn_iu_three_axis_envelope_refresh_if_stale(''iu_lifecycle_trigger'', false, false) with the rights of '
  'iu_core_owner, for at most iu_core.envelope_timeout and half of what statement_timeout leaves, waiting at most '
  '200 ms for a lock. What that raises is undone and noted in iu_three_axis_envelope_trigger_error_log, or else in '
  'the server log; only a cancel by somebody else goes on to the caller (57014).';

CREATE TRIGGER trg_iu_three_axis_envelope_auto_refresh_iu
  AFTER INSERT OR UPDATE OR DELETE ON public.information_unit
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_three_axis_envelope_auto_refresh_trigger();
COMMENT ON TRIGGER trg_iu_three_axis_envelope_auto_refresh_iu ON public.information_unit IS
  'Refreshes the envelope after each statement, while its gate is open.';
CREATE TRIGGER trg_iu_three_axis_envelope_auto_refresh_tag
  AFTER INSERT OR UPDATE OR DELETE ON public.iu_metadata_tag
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_three_axis_envelope_auto_refresh_trigger();
COMMENT ON TRIGGER trg_iu_three_axis_envelope_auto_refresh_tag ON public.iu_metadata_tag IS
  'Refreshes the envelope after each statement, while its gate is open.';

-- They fire whatever session_replication_role says, as the marks do.
ALTER TABLE public.information_unit ENABLE ALWAYS TRIGGER trg_iu_three_axis_envelope_auto_refresh_iu;
ALTER TABLE public.iu_metadata_tag ENABLE ALWAYS TRIGGER trg_iu_three_axis_envelope_auto_refresh_tag;

GRANT SELECT ON public.iu_three_axis_envelope_trigger_error_log TO iu_core_reader;
