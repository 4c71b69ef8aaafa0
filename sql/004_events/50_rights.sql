GRANT SELECT ON public.event_type_registry, public.event_outbox, public.iu_switch_registry TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_core_routes_enabled, iu.fn_iu_core_routes_enabled
  TO iu_core_reader, iu_core_writer;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_emit_event, iu.fn_iu_emit_event, public.fn_iu_emit_events, iu.fn_iu_emit_events,
    public.fn_iu_event_emit, iu.fn_iu_event_emit
  TO iu_core_writer;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_switch_set, iu.fn_iu_switch_set, public.fn_iu_event_type_register, iu.fn_iu_event_type_register,
    public.fn_iu_event_type_unregister, iu.fn_iu_event_type_unregister
  TO iu_core_admin;

SELECT iu.fn_iu_refusal_put(4, ARRAY[
  ['iu_switch_unknown', '42501', 'The key is not that of a switch.',
   'See iu_switch_registry; a gate is opened with fn_iu_gate_open.'],
  ['iu_switch_value', '23514', 'A switch is true or false.', 'Give true or false.'],
  ['iu_switch_missing', 'P0002', 'The switch has lost its row in dot_config and reads as off.',
   'Insert the row with the value false, and find out who deleted it.'],
  ['iu_event_domain', '23514', 'The domain of the event is not 1 to 63 small letters, digits and underscores.',
   'Give the domain of a registered event type.'],
  ['iu_event_stream', '23514', 'The stream of the event is not one of event_type_registry.',
   'Give the stream of its type.'],
  ['iu_event_lane', '23514', 'The lane of the event is neither immediate nor delayed.', 'Give the lane of its type.'],
  ['iu_event_severity', '23514', 'The severity of the event is not info, warning or critical.', 'Give one of these.'],
  ['iu_event_classification', '23514', 'The payload is classified neither as safe_metadata nor as restricted.',
   'Give one of these.'],
  ['iu_event_payload_object', '23514', 'The payload is not an object.', 'Give a jsonb object.'],
  ['iu_event_payload_key', '23514', 'The payload has a top-level key that only documents or secrets have.',
   'Leave it out: an event carries metadata.'],
  ['iu_event_idempotency_key', '23514', 'The idempotency key does not have 1 to 200 characters.',
   'Give another, or none.'],
  ['iu_event_payload_size', '23514', 'The payload is larger than 256 kB.',
   'Carry metadata; documents stay where they are, and the event names them.'],
  ['iu_event_text_size', '23514', 'The texts of the event are longer than 16 kB together.', 'Shorten them.'],
  ['iu_event_time', '23514', 'The time of the event is not in the years 1 to 9999.', 'Give a time in these years.'],
  ['iu_event_type_unknown', '23514', 'The event type is not registered.',
   'An administrator registers it with fn_iu_event_type_register.'],
  ['iu_event_type_inactive', '23514', 'The event type is not active.',
   'An administrator makes a type of the platform active with fn_iu_event_type_register.'],
  ['iu_event_type_stream_and_lane', '23514', 'The stream or the lane of the event is not that of its type.',
   'Give those of event_type_registry.'],
  ['iu_events_array', '23514', 'The events are not given as an array.', 'Give a jsonb array of objects.'],
  ['iu_events_element', '23514', 'An element is not an object, or has a key that no event has.',
   'Use the keys that the message lists.'],
  ['iu_event_domain_unknown', '23514', 'The domain is neither the product''s nor registered as the platform''s.',
   'Register the type with fn_iu_event_type_register.'],
  ['iu_event_type_domain', '23514', 'A domain is 1 to 63 small letters, digits and underscores, a letter first.',
   'Give such a name.'],
  ['iu_event_type_name', '23514', 'An event type is small letters, digits and underscores, in parts joined by dots.',
   'Give such a name, of at most 120 characters.'],
  ['iu_event_type_stream', '23514', 'The stream is not one of the seven.',
   'Give comment, review, update, birth, task, alert or health.'],
  ['iu_event_type_lane', '23514', 'The lane is neither immediate nor delayed.', 'Give one of these.'],
  ['iu_event_type_severity', '23514', 'The severity is not info, warning or critical.', 'Give one of these.'],
  ['iu_event_type_description', '23514', 'The event type has no description.',
   'Say what happened when it is emitted.'],
  ['iu_event_domain_reserved', '42501', 'The domain is the product''s own.',
   'Take a domain of the platform''s, such as its name.'],
  ['iu_event_type_exists', '23505', 'The event type is registered already, with another stream or lane.',
   'Register another type.'],
  ['iu_event_type_undefined', '42704', 'There is no such event type to take away.', 'See event_type_registry.'],
  ['iu_event_type_not_theirs', '42501', 'The event type is the product''s own.',
   'Nothing: it goes with its migration.'],
  ['iu_event_type_in_use', '55006', 'Events, routes or waiting rows have the event type.',
   'Register it again with p_active => false: then it is no longer emitted.'],
  ['iu_rollback_switch_on', '55006', 'A switch that the rollback would remove is on.',
   'Switch it off with fn_iu_switch_set.']]);
