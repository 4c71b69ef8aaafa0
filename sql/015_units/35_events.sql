-- The event version_applied: a unit got a further version. The first one is the
-- birth of the unit, and no event of this type.

CREATE FUNCTION iu.fn_iu_outbound_on_version() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_events jsonb;
BEGIN
  SELECT jsonb_agg(jsonb_build_object(
           'event_type', 'version_applied', 'canonical_address', u.canonical_address, 'subject_ref', u.id,
           'actor_ref', n.created_by, 'safe_payload', jsonb_build_object(
             'version_seq', n.version_seq, 'version_id', n.id, 'content_hash', n.content_hash,
             'previous_version_id', p.id)) ORDER BY u.canonical_address COLLATE "C", n.version_seq)
    INTO v_events
    FROM new_version n
    JOIN public.information_unit u ON u.id = n.unit_id
    LEFT JOIN public.unit_version p ON p.unit_id = n.unit_id AND p.version_seq = n.version_seq - 1
   WHERE n.version_seq > 1;
  IF v_events IS NOT NULL THEN
    PERFORM iu.fn_iu_emit_events(v_events);
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_outbound_on_version IS
  'Statement trigger of unit_version after INSERT: one event iu.version_applied for each version but the first of a '
  'unit, with version_seq, version_id, content_hash and previous_version_id. Nothing is written while the master '
  'switch is off. Errors: as fn_iu_emit_events.';

CREATE TRIGGER trg_iu_out_version
  AFTER INSERT ON public.unit_version
  REFERENCING NEW TABLE AS new_version
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_outbound_on_version();
COMMENT ON TRIGGER trg_iu_out_version ON public.unit_version IS
  'Emits iu.version_applied for further versions.';

CREATE FUNCTION iu.fn_iu_piece_event_try(
    p_event_type text, p_canonical_address text, p_unit_id uuid, p_actor text, p_payload jsonb)
  RETURNS uuid
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  -- While nothing is emitted, which is the usual state, there is no inner block to pay for.
  IF NOT iu.fn_iu_core_routes_enabled() OR NOT iu_core.gate_is_open('piece_event_runtime.emit_enabled') THEN
    RETURN NULL;
  END IF;
  BEGIN
    RETURN iu.fn_iu_piece_emit_event(p_event_type, p_canonical_address, p_unit_id, p_actor, p_payload, NULL, NULL);
  EXCEPTION WHEN check_violation THEN
    RAISE WARNING USING
      MESSAGE = format('event piece.%s of unit "%s" was not written: %s', p_event_type, p_canonical_address, SQLERRM),
      CONSTRAINT = 'iu_piece_event_failed';
    RETURN NULL;
  END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_event_try IS
  'For canonical functions: an event of domain piece, or NULL while the master switch is off or the gate is closed. '
  'What an event is refused for (23514) is a warning: an act on a unit does not fail for its event. Arguments: type, '
  'address, unit, actor, payload.';

CREATE FUNCTION iu.fn_iu_piece_events_try(p_event_type text, p_unit_ids uuid[], p_actor text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT iu.fn_iu_core_routes_enabled() OR NOT iu_core.gate_is_open('piece_event_runtime.emit_enabled') THEN
    RETURN;
  END IF;
  BEGIN
    PERFORM iu.fn_iu_piece_emit_event(p_event_type, u.canonical_address, u.id, p_actor,
              jsonb_build_object('version_id', u.version_anchor_ref, 'content_hash', u.content_anchor_ref), NULL, NULL)
       FROM public.information_unit u WHERE u.id = ANY (p_unit_ids) ORDER BY u.canonical_address COLLATE "C";
  EXCEPTION WHEN check_violation THEN
    RAISE WARNING USING
      MESSAGE = format('the events piece.%s of %s units were not written: %s', p_event_type, cardinality(p_unit_ids),
                       SQLERRM),
      CONSTRAINT = 'iu_piece_event_failed';
  END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_events_try IS
  'As fn_iu_piece_event_try, an event for each of many units: type, units, actor. Where one is refused, none of them '
  'is written.';
