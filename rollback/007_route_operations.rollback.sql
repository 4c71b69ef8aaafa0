-- Undoes 007. Positions, deliveries under way and attempts stay: they are 006's.
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_route_arm', 'dot_iu_route_confirm_position', 'dot_iu_route_deliver',
  'dot_iu_route_circuit_close', 'dot_iu_route_retry_now']);
DELETE FROM public.iu_refusal WHERE migration = 7;
DELETE FROM public.iu_delivery_code WHERE migration = 7;

DROP FUNCTION public.fn_iu_route_explain;
DROP FUNCTION iu.fn_iu_route_explain;
DROP FUNCTION iu.fn_iu_route_explain_code;
DROP FUNCTION iu.fn_iu_route_explain_facts;
DROP VIEW public.v_iu_route_held;
DROP FUNCTION iu.fn_iu_route_addresses_refused;
DROP VIEW public.v_iu_event_backlog;
DROP FUNCTION iu.fn_iu_event_backlog;
DROP FUNCTION iu.fn_iu_route_waiting;
DROP FUNCTION public.fn_iu_route_retry_now;
DROP FUNCTION iu.fn_iu_route_retry_now;
DROP FUNCTION public.fn_iu_route_circuit_close;
DROP FUNCTION iu.fn_iu_route_circuit_close;
DROP FUNCTION public.fn_iu_route_deliver;
DROP FUNCTION iu.fn_iu_route_deliver;
DROP FUNCTION iu.fn_iu_route_deliver_event;
DROP FUNCTION iu.fn_iu_route_deliver_route;
DROP FUNCTION iu.fn_iu_route_abandon;

DROP FUNCTION iu.fn_iu_route_settle;
DROP FUNCTION iu.fn_iu_routes_confirm;
DROP FUNCTION iu.fn_iu_route_leave;
DROP FUNCTION public.fn_iu_route_confirm_position;
DROP FUNCTION iu.fn_iu_route_confirm_position;
DROP FUNCTION public.fn_iu_route_arm;
DROP FUNCTION iu.fn_iu_route_arm;
DROP FUNCTION iu.fn_iu_route_arm_check;
DROP FUNCTION iu.fn_iu_route_restep;
DROP FUNCTION iu.fn_iu_route_owed;
DROP FUNCTION iu.fn_iu_route_address_refusal;
DROP FUNCTION iu.fn_iu_route_refusal;
DROP FUNCTION iu.fn_iu_route_circuit_facts;
