-- Undoes 009. Refuses while a gate is open, and where windows, snapshots, surfaces
-- that somebody registered, or the log would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_change_window');
SELECT iu_core.guard_rows('public.iu_regression_snapshot');
SELECT iu_core.guard_rows('public.iu_regression_value');
SELECT iu_core.guard_rows('public.iu_regression_expectation');
SELECT iu_core.guard_rows('public.iu_regression_surface', 'migration IS DISTINCT FROM 9');
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_surface_register', 'dot_iu_surface_unregister',
  'dot_iu_expect_delta', 'dot_iu_change_window_open', 'dot_iu_change_window_close',
  'dot_iu_change_report']);

DROP FUNCTION public.fn_iu_change_report;
DROP FUNCTION iu.fn_iu_change_report;
DROP FUNCTION iu.fn_iu_markdown_row;
DROP FUNCTION iu.fn_iu_markdown_text;
DROP VIEW public.v_iu_change_window;
DROP FUNCTION public.fn_iu_change_window_close;
DROP FUNCTION iu.fn_iu_change_window_close;
DROP FUNCTION public.fn_iu_change_window_open;
DROP FUNCTION iu.fn_iu_change_window_open;
DROP FUNCTION iu.fn_iu_backup_check;
DROP FUNCTION public.fn_iu_regression_matrix;
DROP FUNCTION iu.fn_iu_regression_matrix;
DROP FUNCTION iu.fn_iu_regression_green;
DROP FUNCTION iu.fn_iu_regression_delta;
DROP FUNCTION public.fn_iu_expect_delta;
DROP FUNCTION iu.fn_iu_expect_delta;
DROP FUNCTION public.fn_iu_surface_report;
DROP FUNCTION iu.fn_iu_surface_report;
DROP FUNCTION public.fn_iu_surface_snapshot;
DROP FUNCTION iu.fn_iu_surface_snapshot;
DROP FUNCTION iu.fn_iu_surface_measure_all;
DROP FUNCTION iu.fn_iu_surface_measure;
DROP TABLE public.iu_change_window;
DROP FUNCTION iu.fn_iu_change_window_guard;
DROP TABLE public.iu_regression_expectation;
DROP TABLE public.iu_regression_value;
DROP TABLE public.iu_regression_snapshot;
DROP FUNCTION public.fn_iu_surface_unregister;
DROP FUNCTION iu.fn_iu_surface_unregister;
DROP FUNCTION public.fn_iu_surface_register;
DROP FUNCTION iu.fn_iu_surface_register;
DROP FUNCTION iu.fn_iu_surface_undefine;
DROP FUNCTION iu.fn_iu_surface_define;
DROP FUNCTION iu.fn_iu_surface_put;
DROP TABLE public.iu_regression_surface;
