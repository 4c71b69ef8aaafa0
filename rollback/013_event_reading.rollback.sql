-- Undoes 013. Refuses while a gate is open, piece events are live, a route
-- carries one, or a read mark, a subscription or a pending event would be lost.
-- Events of pieces stay in the outbox, which is 004's.
SELECT iu.fn_iu_rollback_guard();
DO $guard$
DECLARE
  v_routes text;
BEGIN
  IF (SELECT c.value FROM public.dot_config c WHERE c.key = 'piece_event_runtime.dry_run_only') = 'false' THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: switch piece_event_runtime.dry_run_only is off',
      HINT = 'Switch it on with fn_iu_switch_set.', CONSTRAINT = 'iu_rollback_piece_events_live';
  END IF;
  SELECT string_agg(r.route_code, ', ' ORDER BY r.route_code) INTO v_routes
    FROM public.iu_outbound_route r WHERE r.event_domain = 'piece' AND r.retired_at IS NULL;
  IF v_routes IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: routes carry events of domain piece',
      DETAIL = format('Routes: %s.', v_routes), CONSTRAINT = 'iu_rollback_routes_carry';
  END IF;
END
$guard$;
SELECT iu_core.guard_rows('public.event_read');
SELECT iu_core.guard_rows('public.event_pending');
SELECT iu_core.guard_rows('public.event_subscription', $$NOT active
  OR (subscriber_ref, event_domain, coalesce(event_type, ''), coalesce(event_stream, '')) NOT IN (
    ('agency:sysop', 'system', '', 'alert'), ('role:health_owner', 'health', '', ''),
    ('role:governance_owner', 'governance', '', ''))$$);
SELECT iu_core.guard_rows('public.event_type_registry', $$event_domain = 'piece' AND event_type NOT IN
  ('created', 'updated', 'split', 'merged', 'retired', 'superseded')$$);

DELETE FROM public.iu_refusal WHERE migration = 13;

DROP FUNCTION public.fn_iu_piece_event_runtime_healthcheck;
DROP VIEW public.v_piece_event_outbox;
DROP FUNCTION public.fn_iu_emit_collection_event;
DROP FUNCTION iu.fn_iu_emit_collection_event;
DROP FUNCTION public.fn_iu_piece_emit_event;
DROP FUNCTION iu.fn_iu_piece_emit_event;
DELETE FROM public.iu_switch_registry WHERE switch_key = 'piece_event_runtime.dry_run_only';
DELETE FROM public.dot_config WHERE key = 'piece_event_runtime.dry_run_only';
SELECT iu.fn_iu_gate_unregister(13);
DELETE FROM public.event_type_registry WHERE event_domain = 'piece';
DROP TABLE public.event_pending;
DROP FUNCTION public.fn_event_unread;
DROP FUNCTION public.fn_event_mark_read;
DROP FUNCTION iu.fn_event_mark_read;
DROP TABLE public.event_subscription;
DROP VIEW public.v_event_read;
DROP TABLE public.event_read;
