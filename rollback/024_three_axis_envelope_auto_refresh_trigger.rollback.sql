-- Undoes 024, and touches nothing of 022 and 023. Refuses while a gate is open, and
-- where rows of the error log would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_three_axis_envelope_trigger_error_log');

DROP TRIGGER trg_iu_three_axis_envelope_auto_refresh_tag ON public.iu_metadata_tag;
DROP TRIGGER trg_iu_three_axis_envelope_auto_refresh_iu ON public.information_unit;
DROP FUNCTION public.fn_iu_three_axis_envelope_auto_refresh_trigger;
DROP TABLE public.iu_three_axis_envelope_trigger_error_log;
