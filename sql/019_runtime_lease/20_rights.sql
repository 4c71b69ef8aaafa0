-- Who may read and use what 019 brings, and its refusals.

GRANT SELECT ON public.v_dot_iu_runtime_lease TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_dot_iu_runtime_lease_acquire, iu.fn_dot_iu_runtime_lease_acquire,
    public.fn_dot_iu_runtime_lease_release, iu.fn_dot_iu_runtime_lease_release
  TO iu_core_operator, iu_core_writer;
GRANT EXECUTE ON FUNCTION public.fn_dot_iu_runtime_lease_end, iu.fn_dot_iu_runtime_lease_end TO iu_core_operator;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_runtime_lease_end', 'health', true, false, ARRAY['fn_dot_iu_runtime_lease_end']);

SELECT iu.fn_iu_refusal_put(19, ARRAY[
  ['iu_lease_name', '23514', 'The name of the lease was left out.', 'Give the name that drivers agreed on.'],
  ['iu_lease_holder', '23514', 'Which driver takes the lease was left out.', 'Give the driver a name of its own.'],
  ['iu_lease_unknown', '42704', 'There is no lease of that name.', 'See v_dot_iu_runtime_lease for the leases.'],
  ['iu_lease_ttl', '23514', 'How long the lease lasts is out of range.', 'Give 1 to 86400 seconds.']]);
