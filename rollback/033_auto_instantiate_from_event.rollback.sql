-- Undoes 033: collections that events made stay, with their lineage, if data loss is
-- allowed; then nothing says any more which event made them. Refuses while a gate is
-- open, where rows of the log would be lost, and where a route carries its event type.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_auto_instantiate_event_log');
DO $guard$
DECLARE
  v_routes text;
BEGIN
  SELECT string_agg(DISTINCT t.route_code, ', ' ORDER BY t.route_code) INTO v_routes
    FROM public.iu_route_type t
   WHERE t.event_domain = 'iu' AND t.event_type = 'template.instance_auto_composed' AND t.named;
  IF v_routes IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: routes carry events iu.template.instance_auto_composed',
      DETAIL = format('Routes: %s.', v_routes), CONSTRAINT = 'iu_rollback_routes_carry';
  END IF;
END
$guard$;
SELECT iu_core.guard_rows('public.event_pending',
  'event_domain = ''iu'' AND event_type = ''template.instance_auto_composed''');
DELETE FROM public.iu_refusal WHERE migration = 33;
SELECT iu.fn_iu_surface_undefine(33);

DROP FUNCTION public.fn_iu_auto_instantiate_rollback_by_actor;
DROP FUNCTION public.fn_iu_auto_instantiate_from_event;
DROP VIEW public.v_iu_auto_instantiate_event_summary;
DROP VIEW public.v_iu_auto_instantiate_event_log;
DROP TABLE public.iu_auto_instantiate_event_log;
DELETE FROM public.event_type_registry
 WHERE event_domain = 'iu' AND event_type = 'template.instance_auto_composed';
SELECT iu.fn_iu_gate_unregister(33);
