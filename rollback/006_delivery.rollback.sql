-- Undoes 006. Refuses where an attempt, a delivery under way, a dead letter or
-- a position would be lost, or 007 stands on it. Events stay in the outbox,
-- routes stay registered.
DO $guard$
BEGIN
  IF to_regprocedure('iu.fn_iu_route_arm(text, text, text, timestamptz, interval)') IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'rollback refused: migration 007 stands on 006',
      HINT = 'Roll 007 back first.', CONSTRAINT = 'iu_rollback_order';
  END IF;
END
$guard$;

SELECT iu_core.guard_rows('public.iu_route_lease');
SELECT iu_core.guard_rows('public.iu_route_retry');
SELECT iu_core.guard_rows('public.iu_route_attempt');
SELECT iu_core.guard_rows('public.iu_route_dead_letter');
SELECT iu_core.guard_rows('public.iu_route_position');
SELECT iu_core.guard_rows('public.iu_route_step');
SELECT iu.fn_iu_gate_unregister(6);
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_route_gone']);
DELETE FROM public.iu_refusal WHERE migration = 6;

DROP VIEW public.v_iu_route_dead_letter_open;
DROP VIEW public.v_iu_route_attempt_summary;
DROP FUNCTION iu.fn_iu_delivery_next_due;
DROP FUNCTION iu.fn_iu_delivery_keep;
DROP FUNCTION iu.fn_iu_delivery_record;
DROP FUNCTION iu.fn_iu_delivery_record_batch;
DROP FUNCTION iu.fn_iu_delivery_record_whole;
DROP FUNCTION iu.fn_iu_delivery_record_results;
DROP FUNCTION iu.fn_iu_delivery_wait;
DROP FUNCTION iu.fn_iu_delivery_results;
DROP FUNCTION iu.fn_iu_delivery_settle;
DROP FUNCTION iu.fn_iu_delivery_claim;
DROP FUNCTION iu.fn_iu_delivery_hand_out;
DROP FUNCTION iu.fn_iu_delivery_claim_route;
DROP FUNCTION iu.fn_iu_delivery_claim_room;
DROP FUNCTION iu.fn_iu_delivery_claim_routes;
DROP FUNCTION iu.fn_iu_delivery_ahead;
DROP FUNCTION iu.fn_iu_delivery_share;
DROP FUNCTION iu.fn_iu_delivery_news;
DROP FUNCTION iu.fn_iu_delivery_window_note;
DROP FUNCTION iu.fn_iu_delivery_lease_window;
DROP FUNCTION iu.fn_iu_delivery_position_put;
DROP FUNCTION iu.fn_iu_delivery_window_open;
DROP FUNCTION iu.fn_iu_delivery_lease_retries;
DROP FUNCTION iu.fn_iu_delivery_lease_orphans;
DROP FUNCTION iu.fn_iu_delivery_contract;
DROP FUNCTION iu.fn_iu_payload_verdict;
DROP FUNCTION iu.fn_iu_circuit_next_due;
DROP FUNCTION iu.fn_iu_circuit_record;
DROP FUNCTION iu.fn_iu_circuit_count;
DROP FUNCTION iu.fn_iu_circuit_probe;
DROP FUNCTION iu.fn_iu_circuit_is_probing;
DROP FUNCTION iu.fn_iu_order_release;
DROP FUNCTION iu.fn_iu_order_heads;
DROP TRIGGER trg_iu_route_retry_order ON public.iu_route_retry;
DROP FUNCTION iu.fn_iu_route_retry_order;
DROP FUNCTION iu.fn_iu_order_head;
DROP FUNCTION iu.fn_iu_order_leased;
DROP FUNCTION iu.fn_iu_delivery_locks;
DROP FUNCTION iu.fn_iu_order_lock;
DROP FUNCTION iu.fn_iu_order_subject;
DROP FUNCTION iu.fn_iu_delivery_check;
DROP FUNCTION iu.fn_iu_delivery_refusal;
DROP FUNCTION iu.fn_iu_route_target_refusal;
DROP FUNCTION iu.fn_iu_lease_end;
DROP FUNCTION public.fn_iu_delivery_body;
DROP FUNCTION iu.fn_iu_delivery_body;
DROP FUNCTION iu.fn_iu_webhook_id;
DROP FUNCTION iu.fn_iu_snapshot_now;
DROP FUNCTION iu.fn_iu_circuit_verdict;
DROP FUNCTION iu.fn_iu_delivery_rule;
DROP FUNCTION iu.fn_iu_delivery_answer;
DROP FUNCTION iu.fn_iu_delivery_say;
DROP FUNCTION iu.fn_iu_delivery_code;
DROP FUNCTION iu.fn_iu_delivery_code_put;
DROP TABLE public.iu_delivery_code;
DROP FUNCTION iu.fn_iu_pace_ready;
DROP FUNCTION iu.fn_iu_pace_take;
DROP FUNCTION iu.fn_iu_pace_room;
DROP FUNCTION iu.fn_iu_pace_left;
DROP TABLE public.iu_route_pace;
DROP TABLE public.iu_route_circuit;
DROP TABLE public.iu_route_order;
DROP TABLE public.iu_route_dead_letter;
DROP TABLE public.iu_route_retry;
DROP FUNCTION iu.fn_iu_attempt_partitions_tend;
DROP FUNCTION iu.fn_iu_attempt_partitions_end;
DROP FUNCTION iu.fn_iu_attempt_partitions_drop;
DROP FUNCTION iu.fn_iu_attempt_partition_leave;
DROP FUNCTION iu.fn_iu_attempt_partitions_make;
DROP FUNCTION iu.fn_iu_attempt_partition_add;
DROP FUNCTION iu.fn_iu_attempt_clear_default;
DROP FUNCTION iu.fn_iu_attempt_copy;
DROP FUNCTION iu.fn_iu_attempt_trouble;
DROP FUNCTION iu.fn_iu_attempt_days_missing;
DROP FUNCTION iu.fn_iu_attempt_is_partition;
DROP FUNCTION iu.fn_iu_attempt_days;
DROP FUNCTION iu.fn_iu_attempt_table;
DROP TABLE public.iu_route_attempt;
DROP TABLE public.iu_route_lease;
DROP VIEW public.v_iu_route_position;
DROP TABLE public.iu_route_step;
DROP TABLE public.iu_route_position;
