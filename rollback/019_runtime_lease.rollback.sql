-- Undoes 019. A lease whose time is over is nobody's; one that is held is in
-- the hands of a driver that runs.
SELECT iu_core.guard_rows('public.dot_iu_runtime_lease', 'expires_at > pg_catalog.clock_timestamp()');

SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_runtime_lease_end']);
DELETE FROM public.iu_refusal WHERE migration = 19;
DROP FUNCTION public.fn_dot_iu_runtime_lease_end;
DROP FUNCTION iu.fn_dot_iu_runtime_lease_end;
DROP FUNCTION public.fn_dot_iu_runtime_lease_release;
DROP FUNCTION iu.fn_dot_iu_runtime_lease_release;
DROP FUNCTION public.fn_dot_iu_runtime_lease_acquire;
DROP FUNCTION iu.fn_dot_iu_runtime_lease_acquire;
DROP VIEW public.v_dot_iu_runtime_lease;
DROP TABLE public.dot_iu_runtime_lease;
