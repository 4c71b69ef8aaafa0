-- Commands, the surface and refusals of 016.

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_review_decision_record', 'lifecycle', true, false, ARRAY['fn_iu_review_decision_record'], 'runtime'),
  ('dot_iu_enact', 'lifecycle', true, false, ARRAY['fn_iu_enact', 'fn_iu_enact_many'], 'runtime');

SELECT iu.fn_iu_surface_define(16, 'iu_lifecycle_log', 'iu_lifecycle_log', 'query',
  $$SELECT count(*) FROM public.iu_lifecycle_log$$, p_sort_order => 20);

SELECT iu.fn_iu_refusal_put(16, ARRAY[
  ['iu_review_decision_unchanged', '42501', 'A review decision does not change.',
   'Record another one, with this one as p_prior.'],
  ['iu_lifecycle_log_blocked', '42501', 'The ledger of the lifecycle is written by canonical functions only.',
   'Use fn_iu_enact and the other functions of the lifecycle.']]);
