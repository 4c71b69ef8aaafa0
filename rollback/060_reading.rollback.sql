-- Undoes 060. There is nothing to lose: views have no rows of their own.
DROP VIEW public.v_iu_my_command;
DROP VIEW public.v_iu_event_story;
DROP FUNCTION iu.fn_iu_event_story;
DROP FUNCTION iu.fn_iu_event_carried;
DROP VIEW public.v_iu_trouble;
DROP FUNCTION iu.fn_iu_troubles;
DROP FUNCTION iu.fn_iu_troubles_of;
DROP FUNCTION iu.fn_iu_troubles_of_the_database;
DROP FUNCTION iu.fn_iu_troubles_of_routes;
DROP FUNCTION iu.fn_iu_troubles_of_gates;
DROP VIEW public.v_iu_now;
