-- Who may read and use what 038 brings, its commands and refusals.

GRANT SELECT ON
    public.iu_sql_link, public.iu_sql_event_route, public.v_iu_sql_link_resolved
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION iu.fn_iu_sql_object_match, iu.fn_iu_sql_object_fingerprint TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_sql_link_validate, iu.fn_iu_sql_link_validate,
    public.fn_iu_sql_link_resolve_all, iu.fn_iu_sql_link_resolve_all,
    public.fn_iu_sql_link_validate_all, iu.fn_iu_sql_link_validate_all
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_sql_link_add, iu.fn_iu_sql_link_add,
    public.fn_iu_sql_link_retire, iu.fn_iu_sql_link_retire,
    public.fn_iu_sql_event_route_add, iu.fn_iu_sql_event_route_add,
    public.fn_iu_sql_event_route_enable, iu.fn_iu_sql_event_route_enable,
    public.fn_iu_sql_event_route_remove, iu.fn_iu_sql_event_route_remove
  TO iu_core_operator;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_sql_link_add', 'health', true, true, ARRAY['fn_iu_sql_link_add']),
  ('dot_iu_sql_link_retire', 'health', true, false, ARRAY['fn_iu_sql_link_retire']),
  ('dot_iu_sql_event_route_add', 'health', true, true, ARRAY['fn_iu_sql_event_route_add']),
  ('dot_iu_sql_event_route_enable', 'health', true, true, ARRAY['fn_iu_sql_event_route_enable']),
  ('dot_iu_sql_event_route_remove', 'health', true, false, ARRAY['fn_iu_sql_event_route_remove']);
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_sql_link_validate', 'read', false, false,
   ARRAY['fn_iu_sql_link_validate', 'fn_iu_sql_link_validate_all'], 'caller'),
  ('dot_iu_sql_link_resolve', 'read', false, false, ARRAY['fn_iu_sql_link_resolve_all'], 'caller');

SELECT iu.fn_iu_refusal_put(38, ARRAY[
  ['iu_sql_link_blocked', '42501', 'Links and the routes that capture are written by functions only.',
   'Use fn_iu_sql_link_add, fn_iu_sql_link_retire and the fn_iu_sql_event_route_ functions.'],
  ['iu_sql_link_unchanged', '42501', 'A link does not change but that it is retired, once.',
   'Retire it with fn_iu_sql_link_retire, and add another one.'],
  ['iu_sql_capture_failed', '55000', 'A route could not capture a link.',
   'Disable the route with fn_iu_sql_event_route_enable, or repair what the error names.'],
  ['iu_sql_capture_elsewhere', '01000', 'A trigger that captures is on another table than iu_sql_link.',
   'Drop the trigger; this is a warning, and the write went on.']]);
