-- Events of pieces, behind a gate of their own, and events of collections.

INSERT INTO public.event_type_registry
  (event_domain, event_type, event_stream, delivery_lane, default_severity, description) VALUES
  ('piece', 'created',    'birth',  'immediate', 'info', 'a piece came into being'),
  ('piece', 'updated',    'update', 'immediate', 'info', 'a piece was changed'),
  ('piece', 'split',      'update', 'immediate', 'info', 'a piece was split'),
  ('piece', 'merged',     'update', 'immediate', 'info', 'pieces were merged'),
  ('piece', 'retired',    'update', 'immediate', 'info', 'a piece was retired'),
  ('piece', 'superseded', 'update', 'immediate', 'info', 'a piece was superseded by another');

SELECT iu.fn_iu_gate_register(13, 'piece_event_runtime.emit_enabled', 'governable', 'Emitting events of pieces');

INSERT INTO public.dot_config (key, value, description) VALUES
  ('piece_event_runtime.dry_run_only', 'true', 'switch: on, events of pieces are marked emit_mode dry_run');

INSERT INTO public.iu_switch_registry (switch_key, meaning) VALUES
  ('piece_event_runtime.dry_run_only', 'off: events of pieces are marked emit_mode live');

CREATE FUNCTION iu.fn_iu_piece_emit_event(
    p_event_type text, p_canonical_address text, p_subject_ref uuid, p_actor_ref text,
    p_safe_payload jsonb, p_idempotency_key text, p_correlation_id text)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT iu.fn_iu_core_routes_enabled() OR NOT iu_core.gate_is_open('piece_event_runtime.emit_enabled') THEN
    RETURN NULL;
  END IF;
  RETURN iu.fn_event_put('piece', 'information_unit', p_event_type, p_canonical_address, p_subject_ref::text,
    p_actor_ref, coalesce(p_safe_payload, '{}') || jsonb_build_object('emit_mode', CASE
      WHEN EXISTS (SELECT FROM public.dot_config c
                    WHERE c.key = 'piece_event_runtime.dry_run_only' AND c.value = 'false')
      THEN 'live' ELSE 'dry_run' END),
    p_idempotency_key, p_correlation_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_emit_event IS
  'What public.fn_iu_piece_emit_event hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_piece_emit_event(
    p_event_type text, p_canonical_address text, p_subject_ref uuid, p_actor_ref text,
    p_safe_payload jsonb DEFAULT '{}', p_idempotency_key text DEFAULT NULL, p_correlation_id text DEFAULT NULL)
  RETURNS uuid
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer}') THEN
  iu.fn_iu_piece_emit_event(p_event_type, p_canonical_address, p_subject_ref, p_actor_ref, p_safe_payload,
    p_idempotency_key, p_correlation_id) END;
COMMENT ON FUNCTION public.fn_iu_piece_emit_event IS
  'Writes one event of domain piece, as fn_iu_emit_event does of domain iu. NULL, without an error, while the '
  'master switch is off, the gate piece_event_runtime.emit_enabled is closed, or the type is unknown or inactive, '
  'asked in this order. Adds safe_payload.emit_mode: live while the switch piece_event_runtime.dry_run_only is '
  'off, else dry_run, also where its row is missing. Errors: as fn_iu_emit_event.';

CREATE FUNCTION iu.fn_iu_emit_collection_event(
    p_event_type text, p_collection_id uuid, p_actor_ref text, p_safe_payload jsonb,
    p_idempotency_key text, p_correlation_id text)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN iu.fn_event_put('iu', 'iu_piece_collection', p_event_type, NULL, p_collection_id::text, p_actor_ref,
    p_safe_payload, p_idempotency_key, p_correlation_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_emit_collection_event IS
  'What public.fn_iu_emit_collection_event hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_emit_collection_event(
    p_event_type text, p_collection_id uuid, p_actor_ref text, p_safe_payload jsonb DEFAULT '{}',
    p_idempotency_key text DEFAULT NULL, p_correlation_id text DEFAULT NULL)
  RETURNS uuid
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer}') THEN
  iu.fn_iu_emit_collection_event(p_event_type, p_collection_id, p_actor_ref, p_safe_payload, p_idempotency_key,
    p_correlation_id) END;
COMMENT ON FUNCTION public.fn_iu_emit_collection_event IS
  'Writes one event of domain iu about a collection, by the contract of fn_iu_emit_event: NULL, without an error, '
  'while the master switch is off and for an unknown or inactive type. Subject: iu_piece_collection and the '
  'collection''s id. Errors: as fn_iu_emit_event.';

CREATE VIEW public.v_piece_event_outbox AS
  SELECT * FROM public.event_outbox WHERE event_domain = 'piece';
COMMENT ON VIEW public.v_piece_event_outbox IS 'The events of domain piece.';

CREATE FUNCTION public.fn_iu_piece_event_runtime_healthcheck() RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $function$
  SELECT jsonb_build_object('surface', 'piece_event_runtime',
           'ok', p.view_exists AND p.fn_emit_exists AND p.gate_keys = 2
             AND p.types = 6 AND (p.log IS NULL OR p.trigger_exists),
           'view_exists', p.view_exists, 'fn_emit_exists', p.fn_emit_exists, 'fn_trg_exists', p.fn_trg_exists,
           'trigger_exists', p.trigger_exists, 'gate_keys', p.gate_keys, 'piece_event_types_active', p.types,
           'emit_enabled', iu_core.gate_is_open('piece_event_runtime.emit_enabled'), 'dry_run_only', p.dry_run_only)
    FROM (SELECT to_regclass('public.v_piece_event_outbox') IS NOT NULL AS view_exists,
                 to_regprocedure('iu.fn_iu_piece_emit_event(text,text,uuid,text,jsonb,text,text)') IS NOT NULL
                   AS fn_emit_exists,
                 to_regprocedure('iu.fn_iu_lifecycle_log_emit_piece_event_trg()') IS NOT NULL AS fn_trg_exists,
                 EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = to_regclass('public.iu_lifecycle_log')
                            AND t.tgname = 'trg_iu_lifecycle_log_emit_piece_event' AND t.tgenabled <> 'D')
                   AS trigger_exists,
                 to_regclass('public.iu_lifecycle_log') AS log,
                 (SELECT count(*) FROM public.dot_config c
                   WHERE c.key IN ('piece_event_runtime.emit_enabled', 'piece_event_runtime.dry_run_only'))
                   AS gate_keys,
                 (SELECT count(*) FROM public.event_type_registry r WHERE r.event_domain = 'piece' AND r.active)
                   AS types,
                 NOT EXISTS (SELECT FROM public.dot_config c WHERE c.key = 'piece_event_runtime.dry_run_only'
                                AND c.value = 'false') AS dry_run_only) AS p
$function$;
COMMENT ON FUNCTION public.fn_iu_piece_event_runtime_healthcheck IS
  'Whether events of pieces can be emitted at all: {surface, ok, view_exists, fn_emit_exists, fn_trg_exists, '
  'trigger_exists, gate_keys (2), piece_event_types_active (6), emit_enabled, dry_run_only}. ok also where gate '
  'and switch are off, and, before the lifecycle log is there, without its trigger. SQLSTATE 55P03 where a '
  'table that it reads is locked for 1 s.';
