-- Who may use what 034 brings, its commands, the registration of the consumer, refusals.

GRANT EXECUTE ON FUNCTION public.fn_iu_template_publish, iu.fn_iu_template_publish TO iu_core_writer, iu_core_agent;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_auto_instantiate_from_event', 'collection', true, true,
   ARRAY['fn_iu_auto_instantiate_from_event'], 'runtime'),
  ('dot_iu_auto_instantiate_rollback_by_actor', 'lifecycle', true, false,
   ARRAY['fn_iu_auto_instantiate_rollback_by_actor'], 'runtime'),
  ('dot_iu_publish_template', 'collection', true, false, ARRAY['fn_iu_template_publish'], 'runtime');

INSERT INTO public.iu_route_function (function_name, digest, registered_by, reason)
  SELECT 'fn_iu_auto_instantiate_consumer', iu.fn_iu_route_function_digest('fn_iu_auto_instantiate_consumer'),
         'migration 034', 'the consumer of templates'
   WHERE iu.fn_iu_route_function_problem('fn_iu_auto_instantiate_consumer') IS NULL;

DO $check$
BEGIN
  IF iu.fn_iu_route_function_refusal('fn_iu_auto_instantiate_consumer') IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = iu.fn_iu_route_function_refusal('fn_iu_auto_instantiate_consumer'),
      DETAIL = format('Problem: %s.', iu.fn_iu_route_function_refusal('fn_iu_auto_instantiate_consumer')),
      CONSTRAINT = 'iu_migration_check';
  END IF;
END
$check$;

SELECT iu.fn_iu_refusal_put(34, ARRAY[
  ['iu_auto_instantiate_gate_closed', '55000', 'A gate is closed, so no collection is made after the template now.',
   'Open iu_core.composer_enabled and iu_core.auto_instantiate_enabled; the delivery is tried again.'],
  ['iu_auto_instantiate_refused', '23514', 'No collection is made after the template, whatever is open.',
   'Read the answer in the error; the event is not tried again when its route gives up.']]);
