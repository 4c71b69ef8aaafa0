-- Who may read and use what 018 brings.

GRANT SELECT ON
    public.iu_core_retention_target, public.iu_core_retention_policy, public.v_iu_core_retention_candidates
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_core_retention_enabled, iu.fn_iu_core_retention_candidates TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_core_retention_cleanup, iu.fn_iu_core_retention_cleanup TO iu_core_operator;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_core_retention_policy_set, iu.fn_iu_core_retention_policy_set
  TO iu_core_admin;
