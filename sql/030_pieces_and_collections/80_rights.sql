-- Who may read and use what 030 brings.

GRANT SELECT ON
    public.iu_piece_collection, public.iu_piece_membership, public.v_iu_collection_manifest,
    public.v_iu_collection_envelope, public.v_iu_collection_health, public.v_iu_composer_event_backlog,
    public.v_iu_collection_export_status, public.v_iu_collection_digest_check, public.v_iu_collection_order_check
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION iu.fn_iu_collection_path, iu.fn_iu_manifest_digest TO iu_core_reader;
-- Invariants are read as iu_core_check; iu.collection_digest computes digests.
GRANT EXECUTE ON FUNCTION iu.fn_iu_manifest_digest TO iu_core_check;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_collection_digest, iu.fn_iu_collection_digest,
    public.fn_iu_corpus_healthcheck, iu.fn_iu_corpus_healthcheck
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_collection_render, iu.fn_iu_collection_render,
    public.fn_iu_render_file, iu.fn_iu_render_file,
    public.fn_iu_render_html, iu.fn_iu_render_html,
    public.fn_iu_collection_validate, iu.fn_iu_collection_validate,
    public.fn_iu_collection_export, iu.fn_iu_collection_export
  TO iu_core_reader, iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_compose, iu.fn_iu_compose,
    public.fn_iu_collection_create, iu.fn_iu_collection_create,
    public.fn_iu_collection_add_piece, iu.fn_iu_collection_add_piece,
    public.fn_iu_collection_remove_piece, iu.fn_iu_collection_remove_piece,
    public.fn_iu_collection_reorder_piece, iu.fn_iu_collection_reorder_piece,
    public.fn_iu_collection_set_status, iu.fn_iu_collection_set_status,
    public.fn_iu_collection_manifest_refresh, iu.fn_iu_collection_manifest_refresh,
    public.fn_iu_collection_import_propose, iu.fn_iu_collection_import_propose,
    public.fn_iu_collection_checkpoint, iu.fn_iu_collection_checkpoint,
    public.fn_iu_piece_soft_delete, iu.fn_iu_piece_soft_delete,
    public.fn_iu_piece_restore, iu.fn_iu_piece_restore
  TO iu_core_writer, iu_core_agent;
