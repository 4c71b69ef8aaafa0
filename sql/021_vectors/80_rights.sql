-- Who may read and use what 021 brings.

GRANT SELECT ON
    public.iu_qdrant_collection_registry, public.v_iu_qdrant_collection_active, public.iu_vector_sync_point,
    public.v_iu_vector_sync_status, public.v_iu_vector_pending, public.v_ui_iu_directus_registration_envelope,
    public.iu_health_surface
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_vector_plan, iu.fn_iu_vector_plan,
    public.fn_iu_vector_text, iu.fn_iu_vector_text
  TO iu_core_reader, iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_vector_sync_record, iu.fn_iu_vector_sync_record,
    public.fn_iu_vector_sync_record_v2, iu.fn_iu_vector_sync_record_v2
  TO iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_vector_sync_observe, iu.fn_iu_vector_sync_observe
  TO iu_core_writer, iu_core_agent, iu_core_operator;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_qdrant_collection_register, iu.fn_iu_qdrant_collection_register,
    public.fn_iu_qdrant_collection_retire, iu.fn_iu_qdrant_collection_retire
  TO iu_core_operator;
GRANT EXECUTE ON FUNCTION public.fn_iu_health_bind, iu.fn_iu_health_bind TO iu_core_admin;
-- Invariants are read as iu_core_check; this one calls the function for it.
GRANT EXECUTE ON FUNCTION iu.fn_iu_health_counts TO iu_core_check;
