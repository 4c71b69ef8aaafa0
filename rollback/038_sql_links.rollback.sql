-- Undoes 038. What was captured stays, as attempts do. Refuses while a gate is open,
-- and where links, routes that capture, or the log of its commands would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_sql_link_add', 'dot_iu_sql_link_retire', 'dot_iu_sql_link_validate',
  'dot_iu_sql_link_resolve', 'dot_iu_sql_event_route_add', 'dot_iu_sql_event_route_enable',
  'dot_iu_sql_event_route_remove']);
SELECT iu_core.guard_rows('public.iu_sql_link');
SELECT iu_core.guard_rows('public.iu_sql_event_route');
DELETE FROM public.iu_governed_object g
 USING public.iu_sql_event_route r WHERE g.object_class = 'route' AND g.object_name = r.route_code;
DELETE FROM public.iu_refusal WHERE migration = 38;
SELECT iu.fn_iu_hook_remove(38);

DROP FUNCTION public.fn_iu_sql_event_route_remove;
DROP FUNCTION iu.fn_iu_sql_event_route_remove;
DROP FUNCTION public.fn_iu_sql_event_route_enable;
DROP FUNCTION iu.fn_iu_sql_event_route_enable;
DROP FUNCTION public.fn_iu_sql_event_route_add;
DROP FUNCTION iu.fn_iu_sql_event_route_add;
DROP FUNCTION iu.fn_iu_sql_event_route_refusal;
DROP FUNCTION public.fn_iu_sql_link_validate_all;
DROP FUNCTION iu.fn_iu_sql_link_validate_all;
DROP FUNCTION public.fn_iu_sql_link_resolve_all;
DROP FUNCTION iu.fn_iu_sql_link_resolve_all;
DROP FUNCTION public.fn_iu_sql_link_validate;
DROP FUNCTION iu.fn_iu_sql_link_validate;
DROP VIEW public.v_iu_sql_link_resolved;
DROP FUNCTION iu.fn_iu_sql_link_use;
DROP FUNCTION public.fn_iu_sql_link_retire;
DROP FUNCTION iu.fn_iu_sql_link_retire;
DROP FUNCTION public.fn_iu_sql_link_add;
DROP FUNCTION iu.fn_iu_sql_link_add;
DROP FUNCTION iu.fn_iu_sql_link_write;
DROP FUNCTION iu.fn_iu_sql_link_known;
DROP FUNCTION iu.fn_iu_sql_link_input;
DROP FUNCTION iu.fn_iu_sql_link_object_refusal;
DROP FUNCTION iu.fn_iu_sql_name_fits;
DROP FUNCTION iu.fn_iu_sql_object_fingerprint;
DROP FUNCTION iu.fn_iu_sql_object_match;
DROP FUNCTION iu.fn_iu_sql_relation_oid;
DROP FUNCTION iu.fn_iu_sql_function_oids;
DROP TABLE public.iu_sql_event_route;
DROP TABLE public.iu_sql_link;
DROP FUNCTION iu.fn_iu_sql_link_inbound_capture;
DROP FUNCTION iu.fn_iu_sql_link_unchanged;
DROP FUNCTION iu.fn_iu_sql_link_guard;
