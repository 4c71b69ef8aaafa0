-- Undoes 006. Refuses where an attempt, a delivery under way, a dead letter or
-- a position would be lost, or 007 stands on it. Events stay in the outbox,
-- routes stay registered.

DO $guard$
BEGIN
  IF to_regprocedure('public.fn_iu_route_arm(text, text, text, timestamptz, interval)') IS NOT NULL THEN
    RAISE EXCEPTION 'rollback refused: migration 007 stands on 006'
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Roll 007 back first.';
  END IF;
END
$guard$;

SELECT iu_core.guard_rows('public.iu_route_lease');
SELECT iu_core.guard_rows('public.iu_route_retry');
SELECT iu_core.guard_rows('public.iu_route_attempt');
SELECT iu_core.guard_rows('public.iu_route_dead_letter');
SELECT iu_core.guard_rows('public.iu_route_position');
SELECT iu_core.guard_rows('public.iu_route_step');
SELECT iu_core.guard_rows('public.dot_iu_command_run',
  $$command_name = 'dot_iu_route_gone'$$);

DROP VIEW public.v_iu_route_dead_letter_open;
DROP VIEW public.v_iu_route_attempt_summary;
DROP FUNCTION public.fn_iu_delivery_next_due(integer);
DROP FUNCTION public.fn_iu_delivery_keep(bigint, integer);
DROP FUNCTION public.fn_iu_delivery_record(bigint, integer, jsonb);
DROP FUNCTION public.fn_iu_delivery_record_batch(bigint, integer, uuid[], integer[], integer[], text[], integer[], text[], text[], float8[], bigint[], text[], timestamptz[]);
DROP FUNCTION public.fn_iu_delivery_claim(text, integer, integer);
DROP FUNCTION public.fn_iu_delivery_lease_window(text, text, integer);
DROP FUNCTION public.fn_iu_delivery_lease_retries(text, text, integer);
DROP FUNCTION public.fn_iu_delivery_lease_orphans(text, text, integer);
DROP FUNCTION public.fn_iu_delivery_contract(text, bigint[]);
DROP FUNCTION public.fn_iu_circuit_next_due();
DROP FUNCTION public.fn_iu_circuit_record(public.iu_outbound_route, bigint, text[]);
DROP FUNCTION public.fn_iu_circuit_probe(text, bigint[]);
DROP FUNCTION public.fn_iu_circuit_is_probing(text);
DROP FUNCTION public.fn_iu_circuit_verdict(text);
DROP FUNCTION public.fn_iu_order_release(public.iu_route_lease);
DROP FUNCTION public.fn_iu_order_heads(text, uuid[], bigint[]);
DROP TRIGGER trg_iu_route_retry_order ON public.iu_route_retry;
DROP FUNCTION public.fn_iu_route_retry_order();
DROP FUNCTION public.fn_iu_order_head(text, uuid);
DROP FUNCTION public.fn_iu_order_leased(text);
DROP FUNCTION public.fn_iu_delivery_locks(text);
DROP FUNCTION public.fn_iu_order_lock(text);
DROP FUNCTION public.fn_iu_order_subject(public.event_outbox);
DROP FUNCTION public.fn_iu_delivery_check(bigint, integer);
DROP FUNCTION public.fn_iu_delivery_refusal(text);
DROP FUNCTION public.fn_iu_route_function_refusal(text);
DROP FUNCTION public.fn_iu_delivery_rule(integer, text);
DROP FUNCTION public.fn_iu_delivery_body(public.event_outbox);
DROP FUNCTION public.fn_iu_webhook_id(bigint, bigint, integer, uuid);
DROP FUNCTION public.fn_iu_snapshot_now();
DROP TABLE public.iu_route_circuit;
DROP TABLE public.iu_route_order;
DROP TABLE public.iu_route_dead_letter;
DROP TABLE public.iu_route_retry;
DROP TABLE public.iu_route_attempt;
DROP TABLE public.iu_route_lease;
DROP VIEW public.v_iu_route_position;
DROP TABLE public.iu_route_step;
DROP TABLE public.iu_route_position;
ALTER TABLE public.dot_iu_command_run DISABLE TRIGGER trg_dot_iu_command_run_append_only;
DELETE FROM public.dot_iu_command_run WHERE command_name = 'dot_iu_route_gone';
ALTER TABLE public.dot_iu_command_run ENABLE ALWAYS TRIGGER trg_dot_iu_command_run_append_only;
DELETE FROM public.dot_iu_command_catalog WHERE command_name = 'dot_iu_route_gone';

SELECT public.fn_iu_ungovern(6);
