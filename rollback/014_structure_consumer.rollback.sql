-- Undoes 014: no function is registered any more, so the routes to functions hold
-- their events. Refuses where a registration or a row of the log would be lost.
SELECT iu_core.guard_rows('public.iu_tree_change_log');
SELECT iu_core.guard_rows('public.iu_route_function',
  $$function_name <> 'fn_iu_structure_consumer' OR registered_by <> 'migration 014'$$);
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_route_function_register',
  'dot_iu_route_function_unregister']);

DELETE FROM public.iu_refusal WHERE migration = 14;
DELETE FROM public.iu_delivery_code WHERE migration = 14;

DROP FUNCTION public.fn_iu_structure_consumer;
DROP TABLE public.iu_tree_change_log;
DROP FUNCTION iu.fn_iu_tree_change_log_append_only;
DROP FUNCTION iu.fn_iu_function_call;
DROP FUNCTION iu.fn_iu_function_next_due;
DROP FUNCTION iu.fn_iu_function_claim;
DROP FUNCTION iu.fn_iu_function_waits;
DROP FUNCTION iu.fn_iu_function_begin;
DROP FUNCTION iu.fn_iu_function_hung;
DROP TABLE public.iu_route_call;
DROP FUNCTION public.fn_iu_route_function_unregister;
DROP FUNCTION iu.fn_iu_route_function_unregister;
DROP FUNCTION public.fn_iu_route_function_register;
DROP FUNCTION iu.fn_iu_route_function_register;

DROP FUNCTION iu.fn_iu_route_function_refusal;
DROP FUNCTION iu.fn_iu_route_function_problem;
DROP FUNCTION iu.fn_iu_route_function_digest;
DROP TABLE public.iu_route_function;
