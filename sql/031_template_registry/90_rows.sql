-- Who may read and use what 031 brings, its commands and surfaces.

GRANT SELECT ON
    public.iu_collection_template_registry, public.iu_collection_template_instance_lineage,
    public.v_iu_product_template, public.v_iu_product_template_instance
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_collection_mark_as_template, iu.fn_iu_collection_mark_as_template,
    public.fn_iu_collection_unmark_template, iu.fn_iu_collection_unmark_template,
    public.fn_iu_collection_record_template_instance, iu.fn_iu_collection_record_template_instance
  TO iu_core_writer, iu_core_agent;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_register_template', 'collection', true, true, ARRAY['fn_iu_collection_mark_as_template']),
  ('dot_iu_unregister_template', 'collection', true, true, ARRAY['fn_iu_collection_unmark_template']);
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_record_template_instance', 'collection', true, false,
   ARRAY['fn_iu_collection_record_template_instance'], 'runtime');

SELECT iu.fn_iu_surface_define(31, 'iu_collection_template_instance_lineage', 'iu_collection_template_instance_lineage',
  'query', $$SELECT count(*) FROM public.iu_collection_template_instance_lineage$$, p_sort_order => 13);
SELECT iu.fn_iu_surface_define(31, 'iu_collection_template_registry', 'iu_collection_template_registry (templates)',
  'query', $$SELECT count(*) FROM public.iu_collection_template_registry r WHERE r.is_template$$, p_sort_order => 15);
