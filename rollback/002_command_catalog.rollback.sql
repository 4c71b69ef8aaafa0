-- Undoes 002. The commands of later migrations went with them: what is left in
-- the catalogue or the ledger is somebody's data.

SELECT iu_core.guard_rows('public.dot_iu_command_run');
SELECT iu_core.guard_rows('public.dot_iu_command_catalog');

DROP VIEW public.v_dot_iu_command_run_health;
DROP VIEW public.v_dot_iu_command_registry;
DROP FUNCTION public.fn_dot_iu_command_log(text, text, text, text, boolean, text, jsonb, jsonb, text);
DROP TABLE public.dot_iu_command_run;
DROP TABLE public.dot_iu_command_catalog;
DROP FUNCTION public.fn_iu_append_only();

SELECT public.fn_iu_ungovern(2);
