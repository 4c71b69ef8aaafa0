-- 036 auto-instantiate envelope trigger: while gate
-- iu_core.three_axis_auto_refresh_enabled is open, a statement that records instances
-- of templates has the envelope refreshed, as those on units and tags have (024).

CREATE FUNCTION public.fn_iu_three_axis_envelope_auto_refresh_lineage_trigger() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'iu_envelope_auto_refresh_lineage';
REVOKE ALL ON FUNCTION public.fn_iu_three_axis_envelope_auto_refresh_lineage_trigger FROM PUBLIC;
COMMENT ON FUNCTION public.fn_iu_three_axis_envelope_auto_refresh_lineage_trigger IS
  'Statement trigger: as fn_iu_three_axis_envelope_auto_refresh_trigger, under the same gate and with the same error '
  'log, in the name of iu_auto_instantiate_trigger.';

CREATE TRIGGER trg_iu_three_axis_envelope_auto_refresh_lineage
  AFTER INSERT ON public.iu_collection_template_instance_lineage
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_three_axis_envelope_auto_refresh_lineage_trigger();
COMMENT ON TRIGGER trg_iu_three_axis_envelope_auto_refresh_lineage
  ON public.iu_collection_template_instance_lineage IS
  'Refreshes the envelope after each statement, while its gate is open.';
ALTER TABLE public.iu_collection_template_instance_lineage
  ENABLE ALWAYS TRIGGER trg_iu_three_axis_envelope_auto_refresh_lineage;
