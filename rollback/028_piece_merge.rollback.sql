-- Undoes 028. Units that were made by a merge stay. Refuses while a gate is open,
-- and where merges or the log of its commands would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_merge_piece', 'dot_iu_merge_piece_rollback']);
SELECT iu_core.guard_rows('public.iu_merge_set');
SELECT iu.fn_iu_hook_remove(28);

DROP FUNCTION public.fn_iu_piece_merge_rollback;
DROP FUNCTION iu.fn_iu_piece_merge_rollback;
DROP FUNCTION iu.fn_iu_merge_use;
DROP FUNCTION public.fn_iu_piece_merge;
DROP FUNCTION iu.fn_iu_piece_merge;
DROP FUNCTION iu.fn_iu_piece_merge_write;
DROP FUNCTION iu.fn_iu_piece_merge_check;
DROP FUNCTION iu.fn_iu_piece_merge_input;
DROP TABLE public.iu_merge_set;
