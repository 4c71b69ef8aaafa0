-- Undoes 027. Units that were made by a split stay. Refuses while a gate is open,
-- and where splits or the log of its commands would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_split_piece', 'dot_iu_split_piece_rollback']);
SELECT iu_core.guard_rows('public.iu_split_set');
DELETE FROM public.iu_refusal WHERE migration = 27;
SELECT iu.fn_iu_hook_remove(27);

DROP FUNCTION public.fn_iu_piece_split_rollback;
DROP FUNCTION iu.fn_iu_piece_split_rollback;
DROP FUNCTION public.fn_iu_piece_split;
DROP FUNCTION iu.fn_iu_piece_split;
DROP FUNCTION iu.fn_iu_piece_split_write;
DROP FUNCTION iu.fn_iu_piece_split_check;
DROP FUNCTION iu.fn_iu_piece_split_input;
DROP FUNCTION iu.fn_iu_set_rollback_check;
DROP FUNCTION iu.fn_iu_pieces_delete;
DROP FUNCTION iu.fn_iu_pieces_kept;
DROP FUNCTION iu.fn_iu_split_use;
DROP FUNCTION iu.fn_iu_piece_is_touched;
DROP FUNCTION iu.fn_iu_pieces_write;
DROP FUNCTION iu.fn_iu_piece_source_refusal;
DROP FUNCTION iu.fn_iu_piece_spec_refusal;
DROP FUNCTION iu.fn_iu_decision_given;
DROP FUNCTION iu.fn_iu_piece_set_key;
DROP TABLE public.iu_split_set;
DROP FUNCTION iu.fn_iu_piece_set_stamp;
