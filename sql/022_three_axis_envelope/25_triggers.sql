-- The triggers that call them. A trigger with a transition table has one event;
-- each fires whatever session_replication_role says. Their names come before those
-- of the triggers that refresh, since triggers of one event fire by name.

CREATE TRIGGER trg_iu_envelope_mark_insert AFTER INSERT ON public.information_unit
  REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_mark_units();
COMMENT ON TRIGGER trg_iu_envelope_mark_insert ON public.information_unit IS
  'Marks what came.';

CREATE TRIGGER trg_iu_envelope_mark_update AFTER UPDATE ON public.information_unit
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_mark_units();
COMMENT ON TRIGGER trg_iu_envelope_mark_update ON public.information_unit IS
  'Marks what changed.';

CREATE TRIGGER trg_iu_envelope_mark_delete AFTER DELETE ON public.information_unit
  REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_mark_units();
COMMENT ON TRIGGER trg_iu_envelope_mark_delete ON public.information_unit IS
  'Marks what went.';

CREATE TRIGGER trg_iu_envelope_mark_truncate AFTER TRUNCATE ON public.information_unit
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_mark_units();
COMMENT ON TRIGGER trg_iu_envelope_mark_truncate ON public.information_unit IS
  'Marks everything.';

CREATE TRIGGER trg_iu_envelope_mark_insert AFTER INSERT ON public.iu_metadata_tag
  REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_mark_tags();
COMMENT ON TRIGGER trg_iu_envelope_mark_insert ON public.iu_metadata_tag IS
  'Marks what came.';

CREATE TRIGGER trg_iu_envelope_mark_update AFTER UPDATE ON public.iu_metadata_tag
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_mark_tags();
COMMENT ON TRIGGER trg_iu_envelope_mark_update ON public.iu_metadata_tag IS
  'Marks what changed.';

CREATE TRIGGER trg_iu_envelope_mark_delete AFTER DELETE ON public.iu_metadata_tag
  REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_mark_tags();
COMMENT ON TRIGGER trg_iu_envelope_mark_delete ON public.iu_metadata_tag IS
  'Marks what went.';

CREATE TRIGGER trg_iu_envelope_mark_truncate AFTER TRUNCATE ON public.iu_metadata_tag
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_mark_tags();
COMMENT ON TRIGGER trg_iu_envelope_mark_truncate ON public.iu_metadata_tag IS
  'Marks everything.';

-- What the refresh itself writes needs no mark.

CREATE TRIGGER trg_iu_envelope_mark_insert AFTER INSERT ON public.iu_three_axis_envelope
  REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner'
    OR coalesce(current_setting('app.canonical_writer', true), '') <> 'fn_iu_three_axis_envelope_refresh')
      EXECUTE FUNCTION iu.fn_iu_envelope_mark_rows();
COMMENT ON TRIGGER trg_iu_envelope_mark_insert ON public.iu_three_axis_envelope IS
  'Marks what came.';

CREATE TRIGGER trg_iu_envelope_mark_update AFTER UPDATE ON public.iu_three_axis_envelope
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner'
    OR coalesce(current_setting('app.canonical_writer', true), '') <> 'fn_iu_three_axis_envelope_refresh')
      EXECUTE FUNCTION iu.fn_iu_envelope_mark_rows();
COMMENT ON TRIGGER trg_iu_envelope_mark_update ON public.iu_three_axis_envelope IS
  'Marks what changed.';

CREATE TRIGGER trg_iu_envelope_mark_delete AFTER DELETE ON public.iu_three_axis_envelope
  REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner'
    OR coalesce(current_setting('app.canonical_writer', true), '') <> 'fn_iu_three_axis_envelope_refresh')
      EXECUTE FUNCTION iu.fn_iu_envelope_mark_rows();
COMMENT ON TRIGGER trg_iu_envelope_mark_delete ON public.iu_three_axis_envelope IS
  'Marks what went.';

CREATE TRIGGER trg_iu_envelope_mark_truncate AFTER TRUNCATE ON public.iu_three_axis_envelope
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_mark_rows();
COMMENT ON TRIGGER trg_iu_envelope_mark_truncate ON public.iu_three_axis_envelope IS
  'Marks everything.';

CREATE TRIGGER trg_iu_envelope_mark_update AFTER UPDATE ON public.iu_metadata_tag_registry
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_mark_tag_kinds();
COMMENT ON TRIGGER trg_iu_envelope_mark_update ON public.iu_metadata_tag_registry IS
  'Marks the units with a tag whose kind changed.';

CREATE TRIGGER trg_iu_envelope_tally_insert AFTER INSERT ON public.iu_three_axis_envelope
  REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_tally();
COMMENT ON TRIGGER trg_iu_envelope_tally_insert ON public.iu_three_axis_envelope IS
  'Keeps the number of rows.';

CREATE TRIGGER trg_iu_envelope_tally_delete AFTER DELETE ON public.iu_three_axis_envelope
  REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_tally();
COMMENT ON TRIGGER trg_iu_envelope_tally_delete ON public.iu_three_axis_envelope IS
  'Keeps the number of rows.';

CREATE TRIGGER trg_iu_envelope_tally_truncate AFTER TRUNCATE ON public.iu_three_axis_envelope
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_envelope_tally();
COMMENT ON TRIGGER trg_iu_envelope_tally_truncate ON public.iu_three_axis_envelope IS
  'Keeps the number of rows.';

ALTER TABLE public.information_unit
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_insert,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_update,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_delete,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_truncate;

ALTER TABLE public.iu_metadata_tag
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_insert,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_update,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_delete,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_truncate;

ALTER TABLE public.iu_three_axis_envelope
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_insert,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_update,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_delete,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_truncate,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_tally_insert,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_tally_delete,
  ENABLE ALWAYS TRIGGER trg_iu_envelope_tally_truncate;

ALTER TABLE public.iu_metadata_tag_registry
  ENABLE ALWAYS TRIGGER trg_iu_envelope_mark_update;
