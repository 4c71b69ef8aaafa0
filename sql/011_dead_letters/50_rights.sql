GRANT SELECT ON public.v_iu_route_dead_letter TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_dead_letter_replay, iu.fn_iu_route_dead_letter_replay,
    public.fn_iu_route_dead_letter_replay_many, iu.fn_iu_route_dead_letter_replay_many,
    public.fn_iu_route_dead_letter_resolve, iu.fn_iu_route_dead_letter_resolve,
    public.fn_iu_route_dead_letter_resolve_many, iu.fn_iu_route_dead_letter_resolve_many
  TO iu_core_operator;

SELECT iu.fn_iu_delivery_code_put(11, 'reason', ARRAY[
  ['replay', NULL, 'nobody', 'wait', 'none', 'a dead letter is sent again', NULL]]);

SELECT iu.fn_iu_refusal_put(11, ARRAY[
  ['iu_dead_letters_chosen', '23514', 'It is not said which dead letters.',
   'Give a route, a failure code or a time; for all there are, p_from => ''-infinity''.'],
  ['iu_dead_letters_rate', '23514', 'The rate is not from 0.001 to 10000 a second.', 'Give such a p_per_second.'],
  ['iu_dead_letters_limit', '23514', 'The limit is not from 1 to 100000.', 'Give such a p_limit.']]);
