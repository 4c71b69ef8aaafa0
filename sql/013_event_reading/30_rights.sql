GRANT SELECT ON
    public.event_read, public.event_subscription, public.event_pending, public.v_event_read,
    public.v_piece_event_outbox
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_event_unread, public.fn_iu_piece_event_runtime_healthcheck TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_event_mark_read, iu.fn_event_mark_read, public.fn_iu_piece_emit_event, iu.fn_iu_piece_emit_event,
    public.fn_iu_emit_collection_event, iu.fn_iu_emit_collection_event
  TO iu_core_writer;
