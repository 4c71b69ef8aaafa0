-- Undoes 004. Refuses while a switch is on, a later migration stands on this
-- one, or an event would be lost.
DO $guard$
DECLARE
  v_on text;
BEGIN
  IF to_regclass('public.iu_outbound_route') IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'rollback refused: migration 005 stands on 004',
      HINT = 'Roll 005 back first.';
  END IF;
  SELECT string_agg(s.switch_key, ', ' ORDER BY s.switch_key) INTO v_on
    FROM public.iu_switch_registry s JOIN public.dot_config c ON c.key = s.switch_key
   WHERE c.value = 'true';
  IF v_on IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('rollback refused: switch %s is on', v_on),
      HINT = 'Switch it off with fn_iu_switch_set.';
  END IF;
END
$guard$;

SELECT iu_core.guard_rows('public.event_outbox');
SELECT iu_core.guard_rows('public.event_type_registry', $cond$(event_domain, event_type) NOT IN (
  ('iu', 'version_applied'), ('iu', 'structure_op_applied'), ('iu', 'structure_child_added'),
  ('iu', 'structure_piece_split'), ('iu', 'structure_pieces_merged'), ('iu', 'structure_piece_deprecated'),
  ('iu', 'structure_piece_replaced'), ('iu', 'collection_created'), ('iu', 'piece_added_to_collection'),
  ('iu', 'piece_removed_from_collection'), ('iu', 'piece_reordered'), ('iu', 'collection_rendered'),
  ('iu', 'collection_validated'), ('iu', 'collection_exported'), ('iu', 'collection_import_proposed'))$cond$);
SELECT iu_core.guard_rows('public.iu_switch_registry', $cond$switch_key <> 'iu_core.routes_master_enabled'$cond$);
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_switch_set']);

DROP FUNCTION public.fn_iu_emit_events;
DROP FUNCTION iu.fn_iu_emit_events;
DROP FUNCTION public.fn_iu_emit_event;
DROP FUNCTION iu.fn_iu_emit_event;
DROP FUNCTION iu.fn_event_put;
DROP TABLE public.event_outbox;
DROP FUNCTION iu.fn_event_outbox_check;
DROP FUNCTION iu.fn_event_type_validate;
DROP TABLE public.event_type_registry;
DROP FUNCTION public.fn_iu_core_routes_enabled;
DROP FUNCTION iu.fn_iu_core_routes_enabled;
DROP FUNCTION public.fn_iu_switch_set;
DROP FUNCTION iu.fn_iu_switch_set;
DROP TABLE public.iu_switch_registry;
DELETE FROM public.dot_config WHERE key = 'iu_core.routes_master_enabled';
