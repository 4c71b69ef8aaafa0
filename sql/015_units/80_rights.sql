-- Who may read and use what 015 brings.

GRANT SELECT ON
    public.information_unit, public.unit_version, public.iu_birth_record, public.iu_edit_draft,
    public.iu_policy_registry, public.v_iu_unit_anchor
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_content_hash, iu.fn_content_hash
  TO iu_core_reader, iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_resolve_default, iu.fn_iu_resolve_default,
    public.fn_iu_classify_existing, iu.fn_iu_classify_existing,
    public.fn_iu_verify_invariants, iu.fn_iu_verify_invariants,
    public.fn_iu_create_preflight, iu.fn_iu_create_preflight
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_create_plan, iu.fn_iu_create_plan
  TO iu_core_reader, iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_create, iu.fn_iu_create,
    public.fn_iu_import, iu.fn_iu_import,
    public.fn_iu_save, iu.fn_iu_save,
    public.fn_iu_comment, iu.fn_iu_comment,
    public.fn_iu_apply_edit_draft, iu.fn_iu_apply_edit_draft
  TO iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_policy_set, iu.fn_iu_policy_set,
    public.fn_iu_vocab_add, iu.fn_iu_vocab_add,
    public.fn_iu_vocab_remove, iu.fn_iu_vocab_remove
  TO iu_core_admin;
