-- Commands, refusals and surfaces of 009.

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_surface_register',    'health', true,  true,  ARRAY['fn_iu_surface_register']),
  ('dot_iu_surface_unregister',  'health', true,  true,  ARRAY['fn_iu_surface_unregister']),
  ('dot_iu_expect_delta',        'health', true,  false, ARRAY['fn_iu_expect_delta']),
  ('dot_iu_change_window_open',  'health', true,  true,  ARRAY['fn_iu_change_window_open']),
  ('dot_iu_change_window_close', 'health', true,  false, ARRAY['fn_iu_change_window_close']);
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES ('dot_iu_change_report', 'read', false, true, ARRAY['fn_iu_change_report'], 'caller');

SELECT iu.fn_iu_surface_define(9, 'event_outbox_iu', 'event_outbox (iu domain)', 'query',
  $$SELECT count(*) FROM public.event_outbox WHERE event_domain = 'iu'$$, 'any', p_sort_order => 500);

SELECT iu.fn_iu_surface_define(9, 'event_outbox_system', 'event_outbox (system domain)', 'query',
  $$SELECT count(*) FROM public.event_outbox WHERE event_domain = 'system'$$, p_sort_order => 501);

-- A gate that is open on a standing approval is as it should be.
SELECT iu.fn_iu_surface_define(9, 'iu_gates_inert', 'IU Core write gates inert', 'query', $query$
  SELECT count(*) FILTER (WHERE g.is_safe OR iu.fn_iu_gate_is_standing(g.gate_key)) || '/' || count(*)
    FROM public.v_iu_gate g$query$, 'green', 'n/n', p_sort_order => 800);

SELECT iu.fn_iu_surface_define(9, 'iu_conformance', 'D9 conformance', 'query', $query$
  SELECT concat(sum(c.expected), ' / ', count(*) FILTER (WHERE c.ok), ' PASS',
                ' / ' || nullif(count(*) FILTER (WHERE NOT c.ok), 0) || ' FAIL')
    FROM public.v_iu_conformance c$query$, 'green', '~^[0-9]+ / [0-9]+ PASS$', p_sort_order => 900,
  p_timeout_ms => 60000);

SELECT iu.fn_iu_refusal_put(9, ARRAY[
  ['iu_surface_code', '23514', 'The code has another form.',
   'Use 1 to 120 small letters, digits, "_", ".", ":" or "-", with a letter first.'],
  ['iu_surface_label', '23514', 'What the matrix calls the surface was left out.', 'Give a label.'],
  ['iu_surface_layer', '23514', 'The layer is not one of the five.', 'Give PG, Directus, Nuxt, AgentData or Qdrant.'],
  ['iu_surface_expectation', '23514', 'The expectation is not one of those there are.',
   'Give invariant, any or green.'],
  ['iu_surface_green_rule', '23514', 'The rule of green is missing, wrong, or of no use.',
   'Give n/n, not_less, or "~" and a regular expression to a green surface, and no other.'],
  ['iu_surface_timeout_ms', '23514', 'The longest time of a reading is out of range.', 'Give 1 to 60000 ms.'],
  ['iu_surface_sort_order', '23514', 'The place in the matrix was left out.', 'Give a number.'],
  ['iu_surface_owner', '42710', 'The surface of that code belongs to a migration, or to another one.',
   'Give another code.'],
  ['iu_surface_kind', '23514', 'The kind is not one of those that can be registered, or does not go with the view.',
   'Give view with a view, or external without.'],
  ['iu_surface_view', '23514', 'The view cannot be a surface.', 'Make a view with one row and a column value.'],
  ['iu_surface_unknown', '42704', 'There is no such surface that somebody registered.', 'See iu_regression_surface.'],
  ['iu_surface_not_external', '42704', 'There is no such surface that is reported from outside.',
   'Register it with fn_iu_surface_register, with kind external.'],
  ['iu_surface_value', '23514', 'The figure was left out or is too long.', 'Give 1 to 200 characters.'],
  ['iu_surface_reported', '42710', 'The figure was reported already.', 'Nothing: a figure is reported once.'],
  ['iu_expected_delta', '23514', 'Neither a delta is declared nor a figure, or both.',
   'Give p_delta, or NULL and p_value.'],
  ['iu_snapshot_label', '23514', 'The label of the snapshot has another form.',
   'Use 1 to 120 letters, digits, "_", ".", ":" or "-", without :before or :after at the end.'],
  ['iu_snapshot_taken', '42710', 'The snapshot was taken already.', 'Give another label.'],
  ['iu_snapshot_unknown', '42704', 'There is no such snapshot.', 'Take it with fn_iu_surface_snapshot.'],
  ['iu_snapshot_order', '23514', 'The snapshots are given in the wrong order.', 'Give the earlier one first.'],
  ['iu_backup_file', '23514', 'Which file the backup is was left out.', 'Name it.'],
  ['iu_backup_bytes', '23514', 'The size of the backup is not 1 byte or more.', 'Give its size in bytes.'],
  ['iu_backup_sha256', '23514', 'The digest of the backup is no SHA-256.', 'Give 64 lower-case hex digits.'],
  ['iu_backup_empty', '23514', 'The backup is empty.', 'Make the backup again.'],
  ['iu_backup_another', '23514', 'The file is not the backup that was stated.', 'Name the right file.'],
  ['iu_backup_unstated', '23514', 'Size or digest of a backup that the server cannot read were left out.',
   'Give both.'],
  ['iu_change_window_label', '23514', 'The label of the window has another form.',
   'Use 1 to 100 letters, digits, "_", "." or "-".'],
  ['iu_change_window_open', '55006', 'Another change window is open.', 'Close it with fn_iu_change_window_close.'],
  ['iu_change_window_used', '42710', 'There was a change window of that label.', 'Give another label.'],
  ['iu_change_window_unknown', '42704', 'There is no such change window.', 'See v_iu_change_window.'],
  ['iu_change_window_closed', '55000', 'The change window is closed, and does not change any more.',
   'Open another one.'],
  ['iu_change_window_unchanged', '42501', 'A change window is closed once, and not changed otherwise.',
   'Open another one.'],
  ['iu_change_window_gates', '23514', 'Whether gates may be open was left out.', 'Give true or false.'],
  ['iu_change_window_not_touched', '23514', 'The list of what was not touched is NULL, or has a NULL.',
   'Give a list of texts; it may be empty.'],
  ['iu_change_window_impact', '23514', 'What is stated of the layers is no object of sentences.',
   'Give {layer: sentence} for PG, Directus, Nuxt, AgentData, Qdrant.'],
  ['iu_change_window_gate_open', '55006', 'A gate is open otherwise than on a standing approval.',
   'Close it, or pass p_allow_open_gates.'],
  ['iu_migration_surface', '55000', 'A migration brought a surface that cannot be read.',
   'Correct the script of the migration.']]);

DO $check$
DECLARE
  v_unknown text;
BEGIN
  -- Conformance is left out here: the run of the migrations ends with it.
  SELECT string_agg(format('%s: %s', v.surface_code, v.error), '; ') INTO v_unknown
    FROM public.iu_regression_surface s
    CROSS JOIN LATERAL iu.fn_iu_surface_measure(s, 'migration 009') AS v
   WHERE s.kind <> 'external' AND s.surface_code <> 'iu_conformance' AND v.value IS NULL;
  IF v_unknown IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'migration 009 brought a surface that cannot be read',
      DETAIL = v_unknown, CONSTRAINT = 'iu_migration_surface';
  END IF;
END
$check$;
