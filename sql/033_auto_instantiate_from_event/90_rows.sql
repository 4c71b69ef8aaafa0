-- Who may read and use what 033 brings, its surface and its refusal. It has no command:
-- what calls its functions comes with a later migration.

GRANT SELECT ON
    public.iu_auto_instantiate_event_log, public.v_iu_auto_instantiate_event_log,
    public.v_iu_auto_instantiate_event_summary
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_auto_instantiate_from_event TO iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION public.fn_iu_auto_instantiate_rollback_by_actor TO iu_core_operator;

SELECT iu.fn_iu_surface_define(33, 'iu_auto_instantiate_event_log', 'iu_auto_instantiate_event_log', 'query',
  $$SELECT count(*) FROM public.iu_auto_instantiate_event_log$$, p_sort_order => 14);

SELECT iu.fn_iu_refusal_put(33, ARRAY[
  ['iu_auto_instantiate_role', '42501', 'The role may not make collections after templates, or take them back.',
   'A superuser makes somebody a member of iu_core_writer or iu_core_agent, or of iu_core_operator.']]);
