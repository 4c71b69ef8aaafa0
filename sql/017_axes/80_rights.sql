-- Who may read and use what 017 brings.

GRANT SELECT ON
    public.iu_metadata_tag_registry, public.iu_metadata_tag, public.iu_tree_path, public.v_iu_tree,
    public.v_iu_source_outline, public.v_iu_content_group, public.v_iu_metadata_envelope, public.v_iu_unit,
    public.v_iu_tree_path_check, public.v_iu_tree_cycle
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_subtree, iu.fn_iu_subtree,
    public.fn_iu_reconstruct_source, iu.fn_iu_reconstruct_source,
    public.fn_iu_filter_axis_b, iu.fn_iu_filter_axis_b,
    public.fn_iu_readiness, iu.fn_iu_readiness
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_metadata_refresh, iu.fn_iu_metadata_refresh,
    public.fn_iu_tag_set, iu.fn_iu_tag_set,
    public.fn_iu_tag_unset, iu.fn_iu_tag_unset
  TO iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_tag_register, iu.fn_iu_tag_register,
    public.fn_iu_tree_path_refresh, iu.fn_iu_tree_path_refresh
  TO iu_core_operator;

-- What is there already gets its paths.
SELECT iu.fn_iu_tree_path_refresh(NULL);
