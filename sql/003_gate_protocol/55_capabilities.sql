-- What capabilities ask. These are functions in plain SQL, which the planner
-- replaces by the call of iu_core.gate_is_open; they are volatile as that one
-- is, since otherwise it would not. A gate that is not registered reads closed,
-- so they are here whether or not the migration of their gate is applied.
CREATE FUNCTION public.fn_iu_structure_ops_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.structure_ops_enabled')$function$;
COMMENT ON FUNCTION public.fn_iu_structure_ops_enabled IS
  'Whether structure operations are open now. Raises nothing.';

CREATE FUNCTION public.fn_iu_delivery_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.delivery_enabled')$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_enabled IS 'Whether live delivery is open now. Raises nothing.';

CREATE FUNCTION public.fn_iu_composer_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.composer_enabled')$function$;
COMMENT ON FUNCTION public.fn_iu_composer_enabled IS
  'Whether composing, collecting and cutting are open now. Raises nothing.';

CREATE FUNCTION public.fn_dot_iu_operator_runtime_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.operator_runtime_enabled')$function$;
COMMENT ON FUNCTION public.fn_dot_iu_operator_runtime_enabled IS
  'Whether the operator runtime may apply now. Raises nothing.';

CREATE FUNCTION public.fn_iu_vector_sync_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.vector_sync_enabled')$function$;
COMMENT ON FUNCTION public.fn_iu_vector_sync_enabled IS
  'Whether recording a vector point as indexed is open: never, the gate is never-flip. Raises nothing.';
