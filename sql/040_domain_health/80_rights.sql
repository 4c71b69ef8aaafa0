-- Who may read what 040 brings; the views of its invariants are read with no rights.

GRANT SELECT ON public.iu_open_issue TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_domain_healthcheck, iu.fn_iu_domain_healthcheck TO iu_core_reader, pg_monitor;
GRANT EXECUTE ON FUNCTION iu.fn_iu_health_word TO iu_core_check;

SELECT iu.fn_iu_command_exempt(40, 'it reads what changes while it reads, and changes nothing',
  ARRAY['fn_iu_domain_healthcheck']);
