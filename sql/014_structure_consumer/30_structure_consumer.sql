-- The structure consumer: one row for each structure event.

CREATE TABLE public.iu_tree_change_log (
  change_seq        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_ref         uuid        NOT NULL UNIQUE,
  operation_type    text        NOT NULL,
  canonical_address text,
  delivered_by      text        NOT NULL DEFAULT 'fn_iu_structure_consumer',
  delivered_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE public.iu_tree_change_log IS
  'One row for each structure event that was delivered to fn_iu_structure_consumer, never changed. A projection: '
  'it may be truncated.';
COMMENT ON COLUMN public.iu_tree_change_log.change_seq IS 'Order of delivery';
COMMENT ON COLUMN public.iu_tree_change_log.event_ref IS 'The event; no foreign key, the log outlives the outbox';
COMMENT ON COLUMN public.iu_tree_change_log.operation_type IS
  'operation_type of the payload, or the type of the event';
COMMENT ON COLUMN public.iu_tree_change_log.canonical_address IS 'Of the event';
COMMENT ON COLUMN public.iu_tree_change_log.delivered_by IS 'The consumer';
COMMENT ON COLUMN public.iu_tree_change_log.delivered_at IS 'When, by the clock';

CREATE FUNCTION iu.fn_iu_tree_change_log_append_only() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE insufficient_privilege USING
    MESSAGE = 'a row of iu_tree_change_log is not changed',
    DETAIL = format('%s is refused.', TG_OP), HINT = 'The whole projection may be truncated.',
    CONSTRAINT = 'iu_tree_change_log_append_only';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_change_log_append_only IS
  'Trigger of iu_tree_change_log: SQLSTATE 42501 for UPDATE and DELETE.';

CREATE TRIGGER trg_iu_tree_change_log_append_only BEFORE UPDATE OR DELETE ON public.iu_tree_change_log
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_tree_change_log_append_only();
ALTER TABLE public.iu_tree_change_log ENABLE ALWAYS TRIGGER trg_iu_tree_change_log_append_only;
COMMENT ON TRIGGER trg_iu_tree_change_log_append_only ON public.iu_tree_change_log IS 'Append-only.';

CREATE FUNCTION public.fn_iu_structure_consumer(p_event_ref uuid, p_safe_payload jsonb) RETURNS boolean
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_event public.event_outbox;
BEGIN
  SELECT * INTO v_event FROM public.event_outbox WHERE id = p_event_ref;
  IF NOT FOUND THEN
    RAISE no_data_found USING
      MESSAGE = format('event %s is not in the outbox', coalesce(p_event_ref::text, 'NULL')),
      DETAIL = format('Event: %s.', coalesce(p_event_ref::text, 'NULL')),
      CONSTRAINT = 'iu_event_unknown';
  ELSIF v_event.event_domain <> 'iu' OR NOT starts_with(v_event.event_type, 'structure_') THEN
    RAISE check_violation USING
      MESSAGE = format('event %s is of type %s.%s, not of the structure',
                       p_event_ref, v_event.event_domain, v_event.event_type),
      DETAIL = format('Event: %s; domain: %s; type: %s.', p_event_ref, v_event.event_domain, v_event.event_type),
      HINT = 'Routes to fn_iu_structure_consumer carry the types iu.structure_...',
      CONSTRAINT = 'iu_structure_event_type';
  END IF;
  INSERT INTO public.iu_tree_change_log (event_ref, operation_type, canonical_address)
    VALUES (p_event_ref, coalesce(p_safe_payload ->> 'operation_type', v_event.event_type), v_event.canonical_address)
    ON CONFLICT (event_ref) DO NOTHING;
  RETURN FOUND;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_structure_consumer IS
  'Target of routes, which call it as iu_core_owner: writes one row of iu_tree_change_log for a structure '
  'event; a second call for the event writes none. Event, its payload. Returns whether a row was written. '
  'SQLSTATE P0002: unknown event; 23514: not a structure event.';
