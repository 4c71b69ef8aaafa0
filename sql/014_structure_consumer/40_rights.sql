INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_function_register',   'health', true, true, ARRAY['fn_iu_route_function_register']),
  ('dot_iu_route_function_unregister', 'health', true, true, ARRAY['fn_iu_route_function_unregister']);
GRANT SELECT ON public.iu_route_function, public.iu_tree_change_log TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    iu.fn_iu_route_function_problem, iu.fn_iu_route_function_digest, iu.fn_iu_route_function_refusal
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_function_register, iu.fn_iu_route_function_register, public.fn_iu_route_function_unregister,
    iu.fn_iu_route_function_unregister
  TO iu_core_admin;
GRANT EXECUTE ON FUNCTION
    iu.fn_iu_function_claim, iu.fn_iu_function_begin, iu.fn_iu_function_call, iu.fn_iu_function_next_due
  TO iu_core_worker;

INSERT INTO public.iu_route_function (function_name, digest, registered_by, reason)
  SELECT 'fn_iu_structure_consumer', iu.fn_iu_route_function_digest('fn_iu_structure_consumer'), 'migration 014',
         'the structure consumer'
   WHERE iu.fn_iu_route_function_problem('fn_iu_structure_consumer') IS NULL;

DO $check$
BEGIN
  IF iu.fn_iu_route_function_refusal('fn_iu_structure_consumer') IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = iu.fn_iu_route_function_refusal('fn_iu_structure_consumer'),
      DETAIL = format('Problem: %s.', iu.fn_iu_route_function_refusal('fn_iu_structure_consumer')),
      CONSTRAINT = 'iu_migration_check';
  END IF;
END
$check$;

SELECT iu.fn_iu_delivery_code_put(14, 'outcome', ARRAY[
  ['sql_function_failed', NULL, 'developer', 'retry', 'none',
   'the function raised an error, took too long, or did what let its own record fail; failure_detail has SQLSTATE, '
   'message and context',
   'mend the function; one that was changed is registered again with fn_iu_route_function_register']]);

SELECT iu.fn_iu_refusal_put(14, ARRAY[
  ['iu_route_function_problem', '23514', 'The function is none that a route may call.',
   'See fn_iu_route_function_problem.'],
  ['iu_route_function_unknown', '42704', 'The function is not registered.', 'iu_route_function has the list.'],
  ['iu_structure_event_type', '23514', 'The event is not one of the structure.',
   'Take a route that carries a type iu.structure_...'],
  ['iu_tree_change_log_append_only', '42501', 'A row of iu_tree_change_log is not changed.',
   'The whole projection may be truncated.']]);
