-- Undoes 004. Refuses while a switch is on, a later migration stands on this
-- one, or an event would be lost.
DO $guard$
DECLARE
  v_on text;
BEGIN
  IF to_regclass('public.iu_outbound_route') IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'rollback refused: migration 005 stands on 004',
      HINT = 'Roll 005 back first.', CONSTRAINT = 'iu_rollback_order';
  END IF;
  SELECT string_agg(s.switch_key, ', ' ORDER BY s.switch_key) INTO v_on
    FROM public.iu_switch_registry s JOIN public.dot_config c ON c.key = s.switch_key
   WHERE c.value = 'true';
  IF v_on IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('rollback refused: switch %s is on', v_on),
      DETAIL = format('Switch: %s.', v_on),
      HINT = 'Switch it off with fn_iu_switch_set.', CONSTRAINT = 'iu_rollback_switch_on';
  END IF;
END
$guard$;

DO $theirs$
DECLARE
  v_types text;
BEGIN
  SELECT string_agg(g.object_name, ', ' ORDER BY g.object_name) INTO v_types FROM public.iu_governed_object g
   WHERE g.object_class = 'event_type' AND g.theirs;
  IF v_types IS NOT NULL THEN
    RAISE WARNING 'event types of the platform go with event_type_registry' USING
      DETAIL = format('Types: %s.', v_types), HINT = 'fn_iu_event_type_unregister takes one away.';
  END IF;
END
$theirs$;
SELECT iu_core.guard_rows('public.event_outbox');
SELECT iu_core.guard_rows('public.event_type_registry', $cond$NOT EXISTS (SELECT FROM public.iu_governed_object g
  WHERE g.object_class = 'event_type' AND NOT g.theirs AND g.object_name = event_domain || '.' || event_type)$cond$);
SELECT iu_core.guard_rows('public.iu_switch_registry', $cond$switch_key <> 'iu_core.routes_master_enabled'$cond$);
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_switch_set', 'dot_iu_event_type_register',
  'dot_iu_event_type_unregister']);
DELETE FROM public.iu_refusal WHERE migration = 4;

DROP FUNCTION public.fn_iu_event_emit;
DROP FUNCTION iu.fn_iu_event_emit;
DROP FUNCTION public.fn_iu_emit_events;
DROP FUNCTION iu.fn_iu_emit_events;
DROP FUNCTION public.fn_iu_emit_event;
DROP FUNCTION iu.fn_iu_emit_event;
DROP FUNCTION iu.fn_event_put_many;
DROP FUNCTION iu.fn_event_put_many_check;
DROP FUNCTION iu.fn_event_put_rows;
DROP FUNCTION iu.fn_event_put;
DROP FUNCTION iu.fn_event_of_key;
DROP FUNCTION iu.fn_event_unheard;
DROP FUNCTION iu.fn_event_is_known;
DROP TABLE public.event_outbox;
DROP FUNCTION iu.fn_event_emitter;
DROP FUNCTION iu.fn_event_outbox_check;
DROP FUNCTION iu.fn_event_type_validate;
DROP FUNCTION public.fn_iu_event_type_unregister;
DROP FUNCTION iu.fn_iu_event_type_unregister;
DROP FUNCTION iu.fn_iu_event_type_used;
DROP FUNCTION public.fn_iu_event_type_register;
DROP FUNCTION iu.fn_iu_event_type_register;
DROP FUNCTION iu.fn_iu_event_type_check;
DROP TABLE public.event_type_registry;
DROP FUNCTION iu.fn_event_type_registry_domain;
DROP FUNCTION public.fn_iu_core_routes_enabled;
DROP FUNCTION iu.fn_iu_core_routes_enabled;
DROP FUNCTION public.fn_iu_switch_set;
DROP FUNCTION iu.fn_iu_switch_set;
DROP TABLE public.iu_switch_registry;
DELETE FROM public.dot_config WHERE key = 'iu_core.routes_master_enabled';
