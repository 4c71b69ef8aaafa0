-- Undoes 023, and touches nothing of 022. Refuses while a gate is open, and where
-- rows of the log would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_three_axis_envelope_refresh_log');
DELETE FROM public.iu_refusal WHERE migration = 23;

DROP VIEW public.v_iu_three_axis_envelope_refresh_status;
DROP FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale;
SELECT iu.fn_iu_gate_unregister(23);
DROP TABLE public.iu_three_axis_envelope_refresh_log;
