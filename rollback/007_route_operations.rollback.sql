-- Undoes 007. Positions, deliveries under way and attempts stay: they are 006's.
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_route_arm', 'dot_iu_route_confirm_position',
  'dot_iu_route_circuit_close', 'dot_iu_route_retry_now']);

DROP FUNCTION public.fn_iu_route_explain;
DROP FUNCTION iu.fn_iu_route_explain;
DROP VIEW public.v_iu_route_held;
DROP VIEW public.v_iu_event_backlog;
DROP FUNCTION iu.fn_iu_route_waiting;
DROP FUNCTION public.fn_iu_route_retry_now;
DROP FUNCTION iu.fn_iu_route_retry_now;
DROP FUNCTION public.fn_iu_route_circuit_close;
DROP FUNCTION iu.fn_iu_route_circuit_close;
DROP FUNCTION public.fn_iu_route_deliver;
DROP FUNCTION iu.fn_iu_route_deliver;
DROP FUNCTION iu.fn_iu_route_abandon;

-- As 005 has it.
CREATE OR REPLACE FUNCTION iu.fn_iu_route_settle(p_route_code text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN '{}';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_settle IS
  'For fn_iu_route_retire: what becomes of the deliveries of a route that was just retired. Here there are none; '
  'migration 007 replaces it.';

DROP FUNCTION public.fn_iu_route_confirm_position;
DROP FUNCTION iu.fn_iu_route_confirm_position;
DROP FUNCTION public.fn_iu_route_arm;
DROP FUNCTION iu.fn_iu_route_arm;
DROP FUNCTION iu.fn_iu_route_restep;
DROP FUNCTION iu.fn_iu_route_owed;
DROP FUNCTION iu.fn_iu_route_address_refusal;
DROP FUNCTION iu.fn_iu_route_refusal;
