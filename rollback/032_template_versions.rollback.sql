-- Undoes 032: templates stay, without versions. Refuses while a gate is open, and where
-- versions or the log of its commands would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_register_template_version', 'dot_iu_retire_template_version']);
SELECT iu_core.guard_rows('public.iu_collection_template_version');
SELECT iu.fn_iu_surface_undefine(32);
SELECT iu.fn_iu_hook_remove(32);

DROP VIEW public.v_iu_template_observability;
DROP VIEW public.v_iu_template_version_chain;
DROP FUNCTION public.fn_iu_collection_retire_template_version;
DROP FUNCTION iu.fn_iu_collection_retire_template_version;
DROP FUNCTION public.fn_iu_collection_register_template_version;
DROP FUNCTION iu.fn_iu_collection_register_template_version;
DROP FUNCTION iu.fn_iu_template_version_check;
DROP FUNCTION iu.fn_iu_template_version_input;
DROP FUNCTION iu.fn_iu_template_has_version;
DROP TABLE public.iu_collection_template_version;
