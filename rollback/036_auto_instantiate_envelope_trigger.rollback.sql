-- Undoes 036. Rows of the logs of 023 and 024 stay. Refuses while a gate is open.
SELECT iu.fn_iu_rollback_guard();
DROP TRIGGER trg_iu_three_axis_envelope_auto_refresh_lineage ON public.iu_collection_template_instance_lineage;
DROP FUNCTION public.fn_iu_three_axis_envelope_auto_refresh_lineage_trigger;
