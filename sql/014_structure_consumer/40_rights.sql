INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_function_register',   'health', true, true, ARRAY['fn_iu_route_function_register']),
  ('dot_iu_route_function_unregister', 'health', true, true, ARRAY['fn_iu_route_function_unregister']);
GRANT SELECT ON public.iu_route_function, public.iu_tree_change_log TO iu_core_reader;
GRANT EXECUTE ON FUNCTION iu.fn_iu_route_function_problem, iu.fn_iu_route_function_digest TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_route_function_register, iu.fn_iu_route_function_register, public.fn_iu_route_function_unregister,
    iu.fn_iu_route_function_unregister
  TO iu_core_admin;
GRANT EXECUTE ON FUNCTION
    iu.fn_iu_function_claim, iu.fn_iu_function_call, iu.fn_iu_function_next_due
  TO iu_core_worker;

INSERT INTO public.iu_route_function (function_name, digest, registered_by, reason)
  SELECT 'fn_iu_structure_consumer', iu.fn_iu_route_function_digest('fn_iu_structure_consumer'), 'migration 014', 'the structure consumer'
   WHERE iu.fn_iu_route_function_problem('fn_iu_structure_consumer') IS NULL;

DO $check$
BEGIN
  IF iu.fn_iu_route_function_refusal('fn_iu_structure_consumer') IS NOT NULL THEN
    RAISE EXCEPTION '%', iu.fn_iu_route_function_refusal('fn_iu_structure_consumer');
  END IF;
END
$check$;
