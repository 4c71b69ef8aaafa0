-- Undoes 034: nothing is made of events by itself any more. Refuses while a gate is
-- open, where a route carries its event type or calls the consumer, and where the log
-- of its commands would be lost.
SELECT iu.fn_iu_rollback_guard();
DO $guard$
DECLARE
  v_routes text;
BEGIN
  SELECT string_agg(DISTINCT r.route_code, ', ' ORDER BY r.route_code) INTO v_routes
    FROM public.iu_outbound_route r
   WHERE r.target_kind = 'sql_function' AND r.target_ref = 'fn_iu_auto_instantiate_consumer'
      OR EXISTS (SELECT FROM public.iu_route_type t
                  WHERE t.route_code = r.route_code AND t.event_domain = 'iu'
                    AND t.event_type = 'template.published' AND t.named);
  IF v_routes IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: routes carry events iu.template.published, or call their consumer',
      DETAIL = format('Routes: %s.', v_routes), CONSTRAINT = 'iu_rollback_routes_carry';
  END IF;
END
$guard$;
SELECT iu_core.guard_rows('public.event_pending',
  'event_domain = ''iu'' AND event_type = ''template.published''');
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_auto_instantiate_from_event',
  'dot_iu_auto_instantiate_rollback_by_actor', 'dot_iu_publish_template']);
DELETE FROM public.iu_refusal WHERE migration = 34;
DELETE FROM public.iu_route_function WHERE function_name = 'fn_iu_auto_instantiate_consumer';

DROP FUNCTION public.fn_iu_auto_instantiate_consumer;
DROP FUNCTION iu.fn_iu_auto_instantiate_live;
DROP FUNCTION public.fn_iu_template_publish;
DROP FUNCTION iu.fn_iu_template_publish;
DELETE FROM public.event_type_registry WHERE event_domain = 'iu' AND event_type = 'template.published';
