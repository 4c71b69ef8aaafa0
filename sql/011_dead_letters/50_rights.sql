GRANT SELECT ON public.v_iu_route_dead_letter TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_dead_letter_replay, iu.fn_iu_route_dead_letter_replay,
    public.fn_iu_route_dead_letter_replay_many, iu.fn_iu_route_dead_letter_replay_many,
    public.fn_iu_route_dead_letter_resolve, iu.fn_iu_route_dead_letter_resolve,
    public.fn_iu_route_dead_letter_resolve_many, iu.fn_iu_route_dead_letter_resolve_many
  TO iu_core_operator;
