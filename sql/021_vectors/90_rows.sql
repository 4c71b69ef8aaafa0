-- Commands, the surface and refusals of 021.

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_qdrant_collection_register', 'health', true, true, ARRAY['fn_iu_qdrant_collection_register']),
  ('dot_iu_qdrant_collection_retire',   'health', true, true, ARRAY['fn_iu_qdrant_collection_retire']),
  ('dot_iu_health_bind',                'health', true, true, ARRAY['fn_iu_health_bind']);
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_vector_observe', 'health', true, true, ARRAY['fn_iu_vector_sync_observe'], 'runtime'),
  ('dot_iu_vector_record',  'health', true, true,
   ARRAY['fn_iu_vector_sync_record', 'fn_iu_vector_sync_record_v2'], 'runtime');

SELECT iu.fn_iu_surface_define(21, 'iu_vector_sync_point', 'iu_vector_sync_point', 'query',
  'SELECT count(*) FROM public.iu_vector_sync_point', p_sort_order => 17);

SELECT iu.fn_iu_refusal_put(21, ARRAY[
  ['iu_vector_namespace_used', '55006', 'The namespace of the ids of points does not change while there is a point.',
   'Set it before the first point.'],
  ['iu_vector_sync_blocked', '42501', 'Points are written by canonical functions only.',
   'Use fn_iu_vector_sync_record_v2 and fn_iu_vector_sync_observe.'],
  ['iu_vector_gate_closed', '42501', 'Nothing but an observation makes a point indexed.',
   'Observe the collection with fn_iu_vector_sync_observe.'],
  ['iu_vector_max_chars', '23514', 'The most characters of a chunk are out of range.', 'Give 1 to 1000000.'],
  ['iu_qdrant_collection_unknown', '42704', 'The collection is not registered, or retired.',
   'See v_iu_qdrant_collection_active.'],
  ['iu_vector_sync_point_boundary_chk', '23514', 'A point crosses the boundary of a unit.',
   'Give a chunk its unit, its number and how many there are, and a summary its marker and no unit.'],
  ['iu_vector_points_changed', '55000', 'The table of points became another one while it was read.',
   'Observe again.'],
  ['iu_health_surface', '23514', 'There is no surface of that name.', 'Use one of those that the error lists.'],
  ['iu_health_table', '23514', 'The table cannot tell what the remote has.', 'Name one as the error says.'],
  ['iu_health_unbound', '42P01', 'No table is named for the surface, or it is gone.',
   'An administrator names one with fn_iu_health_bind.']]);
