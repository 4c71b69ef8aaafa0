-- Who may read what 060 brings.

GRANT SELECT ON public.v_iu_now, public.v_iu_trouble, public.v_iu_event_story TO iu_core_reader;
GRANT EXECUTE ON FUNCTION iu.fn_iu_troubles, iu.fn_iu_event_story TO iu_core_reader;
-- What they may call is everybody's to know.
GRANT SELECT ON public.v_iu_my_command
  TO iu_core_reader, iu_core_writer, iu_core_operator, iu_core_admin, iu_core_agent;
