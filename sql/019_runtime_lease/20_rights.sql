GRANT SELECT ON public.v_dot_iu_runtime_lease TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_dot_iu_runtime_lease_acquire, iu.fn_dot_iu_runtime_lease_acquire,
    public.fn_dot_iu_runtime_lease_release, iu.fn_dot_iu_runtime_lease_release
  TO iu_core_operator, iu_core_writer;
