GRANT SELECT ON public.v_iu_route_dead_letter, public.iu_route_repeat, public.v_iu_route_attempt_repeat
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_dead_letter_replay, iu.fn_iu_route_dead_letter_replay,
    public.fn_iu_route_dead_letter_replay_many, iu.fn_iu_route_dead_letter_replay_many,
    public.fn_iu_route_dead_letter_resolve, iu.fn_iu_route_dead_letter_resolve,
    public.fn_iu_route_dead_letter_resolve_many, iu.fn_iu_route_dead_letter_resolve_many,
    public.fn_iu_route_send_again, iu.fn_iu_route_send_again
  TO iu_core_operator;

SELECT iu.fn_iu_delivery_code_put(11, 'reason', ARRAY[
  ['replay', NULL, 'nobody', 'wait', 'none', 'a dead letter, or what was sent, is sent again', NULL]]);

SELECT iu.fn_iu_refusal_put(11, ARRAY[
  ['iu_dead_letters_chosen', '23514', 'It is not said which dead letters.',
   'Give a route, a failure code or a time; for all there are, p_from => ''-infinity''.'],
  ['iu_dead_letters_rate', '23514', 'The rate is not from 0.001 to 10000 a second.', 'Give such a p_per_second.'],
  ['iu_again_dry_run', '55000', 'The route is a dry run, on which nothing was sent.', 'Arm it with fn_iu_route_arm.'],
  ['iu_again_chosen', '23514', 'It is not said what is to be sent again.',
   'Give p_event_ids, p_filter, p_since or p_until.'],
  ['iu_again_filter', '23514', 'The filter is no jsonpath that decides on a payload.',
   'See fn_iu_route_filter_problem.'],
  ['iu_again_rate', '23514', 'The rate is not from 0.001 to 10000 a second.', 'Give such a p_per_second.'],
  ['iu_again_limit', '23514', 'The limit is not from 1 to 100000.', 'Give such a p_limit.'],
  ['iu_dead_letters_limit', '23514', 'The limit is not from 1 to 100000.', 'Give such a p_limit.']]);
