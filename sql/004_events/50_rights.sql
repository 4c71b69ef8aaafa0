GRANT SELECT ON public.event_type_registry, public.event_outbox, public.iu_switch_registry TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_core_routes_enabled, iu.fn_iu_core_routes_enabled
  TO iu_core_reader, iu_core_writer;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_emit_event, iu.fn_iu_emit_event, public.fn_iu_emit_events, iu.fn_iu_emit_events
  TO iu_core_writer;
GRANT EXECUTE ON FUNCTION public.fn_iu_switch_set, iu.fn_iu_switch_set TO iu_core_admin;
