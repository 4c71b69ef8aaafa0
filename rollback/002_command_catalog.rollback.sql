-- Undoes 002. The commands of later migrations went with them: what is left in
-- the catalogue or the ledger is somebody's data.
SELECT iu_core.guard_rows('public.dot_iu_command_run');
SELECT iu_core.guard_rows('public.dot_iu_command_catalog', $$command_name <> 'dot_iu_conformance_repair'$$);

DROP VIEW public.v_dot_iu_command_run_health;
DROP VIEW public.v_dot_iu_command_registry;
DROP FUNCTION public.fn_dot_iu_command_log;
DROP FUNCTION iu.fn_dot_iu_command_log;
DROP TABLE public.dot_iu_command_run;
DROP TABLE public.dot_iu_command_catalog;
DROP FUNCTION iu.fn_iu_append_only;
