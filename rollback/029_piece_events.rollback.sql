-- Undoes 029. Events stay in the outbox, which is 004's. Refuses while a gate is
-- open, and where a route that is not retired carries one of its types or a pending event has one.
SELECT iu.fn_iu_rollback_guard();
DO $guard$
DECLARE
  v_routes text;
BEGIN
  SELECT string_agg(r.route_code, ', ' ORDER BY r.route_code) INTO v_routes
    FROM public.iu_outbound_route r WHERE r.event_domain IN ('system', 'staging') AND r.retired_at IS NULL;
  IF v_routes IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: routes carry events of domains system and staging',
      DETAIL = format('Routes: %s.', v_routes), CONSTRAINT = 'iu_rollback_routes_carry';
  END IF;
END
$guard$;
SELECT iu_core.guard_rows('public.event_pending', 'event_domain IN (''system'', ''staging'')');

DROP TRIGGER trg_iu_lifecycle_log_emit_piece_event ON public.iu_lifecycle_log;
DROP FUNCTION iu.fn_iu_lifecycle_log_emit_piece_event_trg;
DROP FUNCTION iu.fn_iu_lifecycle_piece_event;
DELETE FROM public.event_type_registry r USING (VALUES
  ('system', 'issue_opened'), ('system', 'issue_resolved'), ('system', 'issue_archived'), ('system', 'issue_digest'),
  ('staging', 'created'), ('staging', 'approved'), ('staging', 'consumed'), ('staging', 'rejected'),
  ('staging', 'expired')) AS t (event_domain, event_type)
 WHERE r.event_domain = t.event_domain AND r.event_type = t.event_type;
