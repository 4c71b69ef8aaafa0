-- Undoes 040: surfaces of health are not looked at any more, and a turn of an invariant
-- is no event. Refuses while a gate is open, or demands an invariant of 040, while an
-- issue is open, of which nobody would be told that it was resolved, and where a table
-- is named for Directus.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_open_issue');
SELECT iu_core.guard_rows('public.iu_health_surface', 'surface = ''directus_collection'' AND table_name IS NOT NULL');
SELECT iu.fn_iu_hook_remove(40);
SELECT iu.fn_iu_invariant_undefine(40);
DELETE FROM public.iu_command_exemption WHERE migration = 40;
DELETE FROM public.iu_health_surface WHERE migration = 40;

DROP TRIGGER trg_iu_issue_removed ON public.iu_invariant;
DROP TRIGGER trg_iu_issue_disabled ON public.iu_invariant;
DROP FUNCTION iu.fn_iu_issue_unwatched;
DROP FUNCTION iu.fn_iu_issue_turned;
DROP FUNCTION iu.fn_iu_issue_close;
DROP FUNCTION iu.fn_iu_issue_emit;
DROP TABLE public.iu_open_issue;
DROP FUNCTION public.fn_iu_domain_healthcheck;
DROP FUNCTION iu.fn_iu_domain_healthcheck;
DROP FUNCTION iu.fn_iu_health_surface;
DROP VIEW iu.v_iu_health_operator_runtime;
DROP VIEW iu.v_iu_health_write_gates;
DROP VIEW iu.v_iu_health_vector_boundary;
DROP VIEW iu.v_iu_health_auto_refresh_trigger;
DROP VIEW iu.v_iu_health_qdrant_collection;
DROP VIEW iu.v_iu_health_directus_collection;
DROP VIEW iu.v_iu_health_three_axis_cache;
DROP FUNCTION iu.fn_iu_health_word;
DROP FUNCTION iu.fn_iu_health_look;
DROP VIEW iu.v_iu_directus_items;
DROP FUNCTION iu.fn_iu_health_operator_runtime;
DROP FUNCTION iu.fn_iu_health_write_gates;
DROP FUNCTION iu.fn_iu_health_vector_boundary;
DROP FUNCTION iu.fn_iu_health_auto_refresh_trigger;
DROP FUNCTION iu.fn_iu_health_qdrant_collection;
DROP FUNCTION iu.fn_iu_health_directus_collection;
DROP FUNCTION iu.fn_iu_health_three_axis_cache;
