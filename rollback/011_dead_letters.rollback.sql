-- Undoes 011. Dead letters, their resolutions and the replays under way stay:
-- they are 006's. Dry runs stay as attempts.
DO $guard$
BEGIN
  IF to_regclass('public.iu_route_worker_cursor') IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'rollback refused: migration 012 stands on 011',
      HINT = 'Roll 012 back first.', CONSTRAINT = 'iu_rollback_order';
  END IF;
END
$guard$;
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_route_dead_letter_replay',
  'dot_iu_route_dead_letter_resolve', 'dot_iu_route_send_again']);
SELECT iu_core.guard_rows('public.iu_route_repeat');

DELETE FROM public.iu_refusal WHERE migration = 11;
DELETE FROM public.iu_delivery_code WHERE migration = 11;

DROP VIEW public.v_iu_route_dead_letter;
DROP FUNCTION public.fn_iu_route_dead_letter_resolve_many;
DROP FUNCTION iu.fn_iu_route_dead_letter_resolve_many;
DROP FUNCTION public.fn_iu_route_dead_letter_resolve;
DROP FUNCTION iu.fn_iu_route_dead_letter_resolve;
DROP FUNCTION public.fn_iu_route_dead_letter_replay_many;
DROP FUNCTION iu.fn_iu_route_dead_letter_replay_many;
DROP FUNCTION iu.fn_iu_route_dead_letter_filter;
DROP FUNCTION iu.fn_iu_route_dead_letter_chosen;
DROP FUNCTION public.fn_iu_route_dead_letter_replay;
DROP FUNCTION iu.fn_iu_route_dead_letter_replay;
DROP FUNCTION iu.fn_iu_route_dead_letter_hand_over;
DROP FUNCTION iu.fn_iu_route_dead_letter_log;
DROP FUNCTION public.fn_iu_route_send_again;
DROP FUNCTION iu.fn_iu_route_send_again;
DROP FUNCTION iu.fn_iu_route_again_chosen;
DROP FUNCTION iu.fn_iu_route_again_check;
DROP FUNCTION iu.fn_iu_route_repeat_note;
DROP FUNCTION iu.fn_iu_route_replay_put;
DROP FUNCTION iu.fn_iu_route_replay_next;
DROP VIEW public.v_iu_route_attempt_repeat;
DROP TABLE public.iu_route_repeat;
DROP FUNCTION iu.fn_iu_delivery_dry_run;
DROP FUNCTION iu.fn_iu_delivery_request;
