-- Undoes 026. Units that are superseded or retired stay so, and the ledger keeps
-- its rows. Refuses while a gate is open, and where a command of 026 was logged.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_supersede_piece', 'dot_iu_retire_piece']);
DROP FUNCTION public.fn_iu_retire;
DROP FUNCTION iu.fn_iu_retire;
DROP FUNCTION public.fn_iu_supersede;
DROP FUNCTION iu.fn_iu_supersede;
DROP FUNCTION iu.fn_iu_supersede_replay;
DROP FUNCTION iu.fn_iu_successor_refusal;
DROP FUNCTION iu.fn_iu_supersede_lock;
DROP FUNCTION iu.fn_iu_leave_write;
DROP FUNCTION iu.fn_iu_leave_check;
DROP FUNCTION iu.fn_iu_leave_denied;
