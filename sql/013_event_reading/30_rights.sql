GRANT SELECT ON
    public.event_read, public.event_subscription, public.event_pending, public.v_event_read,
    public.v_piece_event_outbox
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_event_unread, public.fn_iu_piece_event_runtime_healthcheck TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_event_mark_read, iu.fn_event_mark_read, public.fn_iu_piece_emit_event, iu.fn_iu_piece_emit_event,
    public.fn_iu_emit_collection_event, iu.fn_iu_emit_collection_event
  TO iu_core_writer;

SELECT iu.fn_iu_refusal_put(13, ARRAY[
  ['iu_event_reader', '23514', 'The reader of an event does not have 1 to 200 characters.',
   'Say who read the event.'],
  ['iu_rollback_piece_events_live', '55006', 'Events of pieces are live.',
   'Switch piece_event_runtime.dry_run_only on with fn_iu_switch_set.'],
  ['iu_rollback_routes_carry', '55006', 'Routes carry event types that the rollback would remove.',
   'Retire them with fn_iu_route_retire, and roll 005 back, which is where routes go.']]);
