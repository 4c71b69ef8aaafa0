-- Who may read and use what 001 brings.

GRANT SELECT ON public.dot_config, public.iu_governed_object, public.v_iu_conformance TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_conformance, iu.fn_iu_conformance TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_conformance_repair, iu.fn_iu_conformance_repair TO iu_core_admin;
GRANT SELECT ON public.v_iu_unfit_login TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_login_problems, iu.fn_iu_login_problems TO iu_core_reader;
GRANT EXECUTE ON FUNCTION iu.fn_iu_conformance_problems TO iu_core_worker;
