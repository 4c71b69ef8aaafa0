-- Undoes 007. Positions, deliveries under way and attempts stay: they are 006's.

SELECT iu_core.guard_rows('public.dot_iu_command_run',
  $$command_name IN ('dot_iu_route_arm', 'dot_iu_route_confirm_position', 'dot_iu_route_circuit_close', 'dot_iu_route_retry_now')$$);

DROP FUNCTION public.fn_iu_route_explain(text, uuid);
DROP VIEW public.v_iu_route_held;
DROP VIEW public.v_iu_event_backlog;
DROP FUNCTION public.fn_iu_route_waiting();
DROP FUNCTION public.fn_iu_route_retry_now(text, text, text);
DROP FUNCTION public.fn_iu_route_circuit_close(text, text, text);
DROP FUNCTION public.fn_iu_route_deliver(text, uuid, jsonb);
DROP FUNCTION public.fn_iu_route_abandon(text);

-- As 005 has it.
CREATE OR REPLACE FUNCTION public.fn_iu_route_settle(p_route_code text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN '{}';
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_settle(text) IS
  'For fn_iu_route_retire: what becomes of the deliveries of a route that was just retired. Here there are none; migration 007 replaces it. (design: Events and delivery)';

DROP FUNCTION public.fn_iu_route_confirm_position(text, text, text);
DROP FUNCTION public.fn_iu_route_arm(text, text, text, timestamptz, interval);
DROP FUNCTION public.fn_iu_route_restep(text, pg_snapshot);
DROP FUNCTION public.fn_iu_route_owed(text, timestamptz, pg_snapshot);
DROP FUNCTION public.fn_iu_route_address_refusal(text);
DROP FUNCTION public.fn_iu_route_refusal(text);
ALTER TABLE public.dot_iu_command_run DISABLE TRIGGER trg_dot_iu_command_run_append_only;
DELETE FROM public.dot_iu_command_run WHERE command_name IN ('dot_iu_route_arm', 'dot_iu_route_confirm_position', 'dot_iu_route_circuit_close', 'dot_iu_route_retry_now');
ALTER TABLE public.dot_iu_command_run ENABLE ALWAYS TRIGGER trg_dot_iu_command_run_append_only;
DELETE FROM public.dot_iu_command_catalog WHERE command_name IN ('dot_iu_route_arm', 'dot_iu_route_confirm_position', 'dot_iu_route_circuit_close', 'dot_iu_route_retry_now');

SELECT public.fn_iu_ungovern(7);
