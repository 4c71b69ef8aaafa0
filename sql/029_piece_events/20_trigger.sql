-- From the ledger of the lifecycle to events of domain piece. That a unit was
-- created, and that an edit of it was applied, is told where it is done.

CREATE FUNCTION iu.fn_iu_lifecycle_piece_event(p_transition_type text) RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN CASE p_transition_type
  WHEN 'split' THEN 'split'
  WHEN 'merge' THEN 'merged'
  WHEN 'supersede' THEN 'superseded'
  WHEN 'retire_from_enacted' THEN 'retired'
  WHEN 'retire_from_draft' THEN 'retired'
  WHEN 'retire_from_superseded' THEN 'retired'
  WHEN 'deprecate' THEN 'retired'
  WHEN 'enact' THEN 'updated'
  WHEN 'restore' THEN 'updated' END;
COMMENT ON FUNCTION iu.fn_iu_lifecycle_piece_event IS
  'Which event of domain piece a transition of the lifecycle is; NULL: none. Raises nothing.';

CREATE FUNCTION iu.fn_iu_lifecycle_log_emit_piece_event_trg() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_payload jsonb;
BEGIN
  -- While nothing is emitted, which is the usual state, nothing is looked up.
  IF iu.fn_iu_lifecycle_piece_event(NEW.transition_type) IS NULL OR NOT iu.fn_iu_core_routes_enabled()
     OR NOT iu_core.gate_is_open('piece_event_runtime.emit_enabled') THEN
    RETURN NULL;
  END IF;
  SELECT jsonb_build_object('version_id', u.version_anchor_ref, 'content_hash', u.content_anchor_ref)
    INTO v_payload FROM public.information_unit u WHERE u.id = NEW.unit_id;
  BEGIN
    PERFORM iu.fn_iu_piece_emit_event(iu.fn_iu_lifecycle_piece_event(NEW.transition_type), NEW.canonical_address,
      NEW.unit_id, NEW.performed_by,
      coalesce(v_payload, '{}') || jsonb_build_object('transition', NEW.transition_type),
      'lifecycle:' || NEW.log_id, NEW.change_set_id::text);
  EXCEPTION WHEN integrity_constraint_violation THEN
    RAISE WARNING USING
      MESSAGE = format('event piece.%s of unit "%s" was not written: %s',
                       iu.fn_iu_lifecycle_piece_event(NEW.transition_type), NEW.canonical_address, SQLERRM),
      CONSTRAINT = 'iu_piece_event_failed';
  END;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_lifecycle_log_emit_piece_event_trg IS
  'Row trigger of iu_lifecycle_log after INSERT: one event of domain piece for a transition, as '
  'fn_iu_lifecycle_piece_event says, with transition, version_id and content_hash of the version that counts, '
  'correlation_id the change set, idempotency key lifecycle:<log_id>. Nothing is written while the master switch is '
  'off or gate piece_event_runtime.emit_enabled is closed. What an event is refused for (class 23) is a warning: a '
  'transition does not fail for its event.';

CREATE TRIGGER trg_iu_lifecycle_log_emit_piece_event
  AFTER INSERT ON public.iu_lifecycle_log
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_lifecycle_log_emit_piece_event_trg();
ALTER TABLE public.iu_lifecycle_log ENABLE ALWAYS TRIGGER trg_iu_lifecycle_log_emit_piece_event;
COMMENT ON TRIGGER trg_iu_lifecycle_log_emit_piece_event ON public.iu_lifecycle_log IS
  'Tells of a transition as an event of domain piece.';
