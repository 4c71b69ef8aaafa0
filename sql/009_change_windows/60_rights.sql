INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_surface_register',    'health', true,  true,  ARRAY['fn_iu_surface_register']),
  ('dot_iu_surface_unregister',  'health', true,  true,  ARRAY['fn_iu_surface_unregister']),
  ('dot_iu_expect_delta',        'health', true,  false, ARRAY['fn_iu_expect_delta']),
  ('dot_iu_change_window_open',  'health', true,  true,  ARRAY['fn_iu_change_window_open']),
  ('dot_iu_change_window_close', 'health', true,  false, ARRAY['fn_iu_change_window_close']),
  ('dot_iu_change_report',       'read',   false, true,  ARRAY['fn_iu_change_report']);

SELECT iu.fn_iu_surface_define(9, 'event_outbox_iu', 'event_outbox (iu domain)', 'query',
  $$SELECT count(*) FROM public.event_outbox WHERE event_domain = 'iu'$$, 'any', p_sort_order => 500);

SELECT iu.fn_iu_surface_define(9, 'event_outbox_system', 'event_outbox (system domain)', 'query',
  $$SELECT count(*) FROM public.event_outbox WHERE event_domain = 'system'$$, p_sort_order => 501);

SELECT iu.fn_iu_surface_define(9, 'iu_gates_inert', 'IU Core write gates inert', 'query',
  $$SELECT count(*) FILTER (WHERE g.is_safe) || '/' || count(*) FROM public.v_iu_gate g$$, 'green', 'n/n', p_sort_order => 800);

SELECT iu.fn_iu_surface_define(9, 'iu_conformance', 'D9 conformance', 'query',
  $$SELECT concat(sum(c.expected), ' / ', count(*) FILTER (WHERE c.ok), ' PASS', ' / ' || nullif(count(*) FILTER (WHERE NOT c.ok), 0) || ' FAIL') FROM public.v_iu_conformance c$$,
  'green', '~^[0-9]+ / [0-9]+ PASS$', p_sort_order => 900);
GRANT SELECT ON
    public.iu_regression_surface, public.iu_regression_snapshot, public.iu_regression_value,
    public.iu_regression_expectation, public.iu_change_window, public.v_iu_change_window
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_regression_matrix, iu.fn_iu_regression_matrix, public.fn_iu_change_report, iu.fn_iu_change_report
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_surface_snapshot, iu.fn_iu_surface_snapshot, public.fn_iu_surface_report, iu.fn_iu_surface_report,
    public.fn_iu_expect_delta, iu.fn_iu_expect_delta, public.fn_iu_change_window_open, iu.fn_iu_change_window_open,
    public.fn_iu_change_window_close, iu.fn_iu_change_window_close
  TO iu_core_operator;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_surface_register, iu.fn_iu_surface_register, public.fn_iu_surface_unregister,
    iu.fn_iu_surface_unregister
  TO iu_core_admin;

DO $check$
DECLARE
  v_unknown text;
BEGIN
  -- Conformance is what the run of the migrations ends with.
  SELECT string_agg(format('%s: %s', v.surface_code, v.error), '; ') INTO v_unknown
    FROM public.iu_regression_surface s
    CROSS JOIN LATERAL iu.fn_iu_surface_measure(s, 'migration 009') AS v
   WHERE s.kind <> 'external' AND s.surface_code <> 'iu_conformance' AND v.value IS NULL;
  IF v_unknown IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'migration 009 brought a surface that cannot be read',
      DETAIL = v_unknown;
  END IF;
END
$check$;
