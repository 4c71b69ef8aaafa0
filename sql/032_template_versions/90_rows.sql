-- Who may read and use what 032 brings, its commands and its surface.

GRANT SELECT ON
    public.iu_collection_template_version, public.v_iu_template_version_chain, public.v_iu_template_observability
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_collection_register_template_version, iu.fn_iu_collection_register_template_version,
    public.fn_iu_collection_retire_template_version, iu.fn_iu_collection_retire_template_version
  TO iu_core_writer, iu_core_agent;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_register_template_version', 'collection', true, false,
   ARRAY['fn_iu_collection_register_template_version']),
  ('dot_iu_retire_template_version', 'collection', true, false, ARRAY['fn_iu_collection_retire_template_version']);

SELECT iu.fn_iu_surface_define(32, 'iu_collection_template_version', 'iu_collection_template_version', 'query',
  $$SELECT count(*) FROM public.iu_collection_template_version$$, p_sort_order => 16);
