-- Undoes 011. Dead letters, their resolutions and the replays under way stay:
-- they are 006's. Dry runs stay as attempts.

DO $guard$
BEGIN
  IF to_regclass('public.iu_route_worker_cursor') IS NOT NULL THEN
    RAISE EXCEPTION 'rollback refused: migration 012 stands on 011'
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Roll 012 back first.';
  END IF;
END
$guard$;
SELECT iu_core.guard_rows('public.dot_iu_command_run',
  $$command_name IN ('dot_iu_route_dead_letter_replay', 'dot_iu_route_dead_letter_resolve')$$);

DROP VIEW public.v_iu_route_dead_letter;
DROP FUNCTION public.fn_iu_route_dead_letter_resolve_many(text, text, text, text, timestamptz, timestamptz, integer);
DROP FUNCTION public.fn_iu_route_dead_letter_resolve(uuid, text, text);
DROP FUNCTION public.fn_iu_route_dead_letter_replay_many(text, text, text, text, timestamptz, timestamptz, numeric, integer);
DROP FUNCTION public.fn_iu_route_dead_letter_chosen(text, text, timestamptz, timestamptz);
DROP FUNCTION public.fn_iu_route_dead_letter_replay(uuid, text, text);
DROP FUNCTION public.fn_iu_route_dead_letter_hand_over(public.iu_route_dead_letter, text, text, timestamptz);
DROP FUNCTION public.fn_iu_route_dead_letter_log(text, public.iu_route_dead_letter, uuid, text, text, jsonb);
DROP FUNCTION public.fn_iu_delivery_dry_run(public.iu_outbound_route, public.event_outbox, integer, integer);
DROP FUNCTION public.fn_iu_delivery_request(public.iu_outbound_route, public.event_outbox, integer);
ALTER TABLE public.dot_iu_command_run DISABLE TRIGGER trg_dot_iu_command_run_append_only;
DELETE FROM public.dot_iu_command_run
 WHERE command_name IN ('dot_iu_route_dead_letter_replay', 'dot_iu_route_dead_letter_resolve');
ALTER TABLE public.dot_iu_command_run ENABLE ALWAYS TRIGGER trg_dot_iu_command_run_append_only;
DELETE FROM public.dot_iu_command_catalog
 WHERE command_name IN ('dot_iu_route_dead_letter_replay', 'dot_iu_route_dead_letter_resolve');

SELECT public.fn_iu_ungovern(11);
