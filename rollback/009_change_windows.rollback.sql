-- Undoes 009. Refuses while a gate is open, and where windows, snapshots, surfaces
-- that somebody registered, or the log would be lost.

SELECT public.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_change_window');
SELECT iu_core.guard_rows('public.iu_regression_snapshot');
SELECT iu_core.guard_rows('public.iu_regression_value');
SELECT iu_core.guard_rows('public.iu_regression_expectation');
SELECT iu_core.guard_rows('public.iu_regression_surface', 'migration IS DISTINCT FROM 9');
SELECT iu_core.guard_rows('public.dot_iu_command_run', $$command_name IN ('dot_iu_surface_register', 'dot_iu_surface_unregister',
  'dot_iu_expect_delta', 'dot_iu_change_window_open', 'dot_iu_change_window_close', 'dot_iu_change_report')$$);

DROP FUNCTION public.fn_iu_change_report(text);
DROP FUNCTION public.fn_iu_markdown_row(text[]);
DROP FUNCTION public.fn_iu_markdown_text(text);
DROP VIEW public.v_iu_change_window;
DROP FUNCTION public.fn_iu_change_window_close(text, text, jsonb, text[], boolean, text, bigint, text);
DROP FUNCTION public.fn_iu_change_window_open(text, uuid, text, text, text, bigint, text);
DROP FUNCTION public.fn_iu_backup_check(text, bigint, text);
DROP FUNCTION public.fn_iu_regression_matrix(text, text);
DROP FUNCTION public.fn_iu_regression_green(text, text, text);
DROP FUNCTION public.fn_iu_regression_delta(text, text);
DROP FUNCTION public.fn_iu_expect_delta(text, text, numeric, text, text, text);
DROP FUNCTION public.fn_iu_surface_report(text, text, text, text);
DROP FUNCTION public.fn_iu_surface_snapshot(text, text);
DROP FUNCTION public.fn_iu_surface_measure_all(text);
DROP FUNCTION public.fn_iu_surface_measure(public.iu_regression_surface, text);
DROP TABLE public.iu_change_window;
DROP FUNCTION public.fn_iu_change_window_guard();
DROP TABLE public.iu_regression_expectation;
DROP TABLE public.iu_regression_value;
DROP TABLE public.iu_regression_snapshot;
DROP FUNCTION public.fn_iu_surface_unregister(text, text, text);
DROP FUNCTION public.fn_iu_surface_register(text, text, text, text, text, text, regclass, text, text, integer, integer);
DROP FUNCTION public.fn_iu_surface_undefine(integer);
DROP FUNCTION public.fn_iu_surface_define(integer, text, text, text, text, text, text, text, integer, integer);
DROP FUNCTION public.fn_iu_surface_put(public.iu_regression_surface);
DROP TABLE public.iu_regression_surface;
ALTER TABLE public.dot_iu_command_run DISABLE TRIGGER trg_dot_iu_command_run_append_only;
DELETE FROM public.dot_iu_command_run WHERE command_name IN ('dot_iu_surface_register', 'dot_iu_surface_unregister',
  'dot_iu_expect_delta', 'dot_iu_change_window_open', 'dot_iu_change_window_close', 'dot_iu_change_report');
ALTER TABLE public.dot_iu_command_run ENABLE ALWAYS TRIGGER trg_dot_iu_command_run_append_only;
DELETE FROM public.dot_iu_command_catalog WHERE command_name IN ('dot_iu_surface_register', 'dot_iu_surface_unregister',
  'dot_iu_expect_delta', 'dot_iu_change_window_open', 'dot_iu_change_window_close', 'dot_iu_change_report');

SELECT public.fn_iu_ungovern(9);
