-- Undoes 030: collections and memberships go, the units stay. Refuses while a gate is
-- open, and where collections, an administrator's kinds or roles, or the log of its
-- commands would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_create_collection', 'dot_iu_create_file_from_pieces',
  'dot_iu_add_piece', 'dot_iu_remove_piece', 'dot_iu_reorder_piece', 'dot_iu_checkpoint_collection',
  'dot_iu_refresh_manifest', 'dot_iu_propose_import', 'dot_iu_validate_collection', 'dot_iu_render_file',
  'dot_iu_export_collection', 'dot_iu_healthcheck', 'dot_iu_delete_piece_soft', 'dot_iu_restore_piece',
  'dot_iu_set_collection_status']);
SELECT iu_core.guard_rows('public.iu_piece_collection');
SELECT iu_core.guard_rows('public.iu_governed_object', $$theirs AND object_class = 'config'
  AND object_name ~ '^vocab[.](collection_kind|piece_role)[.]'$$);
DELETE FROM public.iu_refusal WHERE migration = 30;
SELECT iu.fn_iu_surface_undefine(30);
SELECT iu.fn_iu_invariant_undefine(30);
SELECT iu.fn_iu_hook_remove(30);

DROP VIEW public.v_iu_collection_order_check;
DROP VIEW public.v_iu_collection_digest_check;
DROP VIEW public.v_iu_collection_export_status;
DROP VIEW public.v_iu_composer_event_backlog;
DROP VIEW public.v_iu_collection_envelope;
DROP VIEW public.v_iu_collection_manifest;
DROP FUNCTION public.fn_iu_piece_restore;
DROP FUNCTION iu.fn_iu_piece_restore;
DROP FUNCTION public.fn_iu_piece_soft_delete;
DROP FUNCTION iu.fn_iu_piece_soft_delete;
DROP FUNCTION iu.fn_iu_piece_lock;
DROP FUNCTION iu.fn_iu_unit_in_collection;
DROP FUNCTION public.fn_iu_collection_checkpoint;
DROP FUNCTION iu.fn_iu_collection_checkpoint;
DROP FUNCTION public.fn_iu_collection_import_propose;
DROP FUNCTION iu.fn_iu_collection_import_propose;
DROP FUNCTION iu.fn_iu_collection_compare;
DROP FUNCTION iu.fn_iu_import_pieces;
DROP FUNCTION iu.fn_iu_import_lines;
DROP FUNCTION iu.fn_iu_import_text_refuse;
DROP FUNCTION public.fn_iu_collection_export;
DROP FUNCTION iu.fn_iu_collection_export;
DROP FUNCTION iu.fn_iu_collection_path;
DROP FUNCTION public.fn_iu_corpus_healthcheck;
DROP FUNCTION iu.fn_iu_corpus_healthcheck;
DROP FUNCTION public.fn_iu_collection_manifest_refresh;
DROP FUNCTION iu.fn_iu_collection_manifest_refresh;
DROP FUNCTION public.fn_iu_collection_validate;
DROP FUNCTION iu.fn_iu_collection_validate;
DROP FUNCTION iu.fn_iu_collection_problems;
DROP VIEW public.v_iu_collection_health;
DROP FUNCTION public.fn_iu_render_html;
DROP FUNCTION iu.fn_iu_render_html;
DROP FUNCTION iu.fn_iu_html_paragraphs;
DROP FUNCTION iu.fn_iu_html_text;
DROP FUNCTION public.fn_iu_render_file;
DROP FUNCTION iu.fn_iu_render_file;
DROP FUNCTION iu.fn_iu_collection_parts;
DROP FUNCTION public.fn_iu_collection_render;
DROP FUNCTION iu.fn_iu_collection_render;
DROP FUNCTION public.fn_iu_collection_set_status;
DROP FUNCTION iu.fn_iu_collection_set_status;
DROP FUNCTION public.fn_iu_collection_reorder_piece;
DROP FUNCTION iu.fn_iu_collection_reorder_piece;
DROP FUNCTION public.fn_iu_collection_remove_piece;
DROP FUNCTION iu.fn_iu_collection_remove_piece;
DROP FUNCTION public.fn_iu_collection_add_piece;
DROP FUNCTION iu.fn_iu_collection_add_piece;
DROP FUNCTION iu.fn_iu_collection_event;
DROP FUNCTION iu.fn_iu_piece_count;
DROP FUNCTION iu.fn_iu_piece_order_require;
DROP FUNCTION iu.fn_iu_membership_missing;
DROP FUNCTION public.fn_iu_collection_create;
DROP FUNCTION iu.fn_iu_collection_create;
DROP FUNCTION public.fn_iu_compose;
DROP FUNCTION iu.fn_iu_compose;
DROP FUNCTION iu.fn_iu_collection_write;
DROP FUNCTION iu.fn_iu_collection_fill;
DROP FUNCTION iu.fn_iu_collection_open;
DROP FUNCTION iu.fn_iu_collection_events;
DROP FUNCTION iu.fn_iu_pieces_mint;
DROP FUNCTION iu.fn_iu_pieces_require;
DROP FUNCTION iu.fn_iu_pieces_limit;
DROP FUNCTION iu.fn_iu_pieces_refuse;
DROP FUNCTION iu.fn_iu_collection_touch;
DROP FUNCTION public.fn_iu_collection_digest;
DROP FUNCTION iu.fn_iu_collection_digest;
DROP FUNCTION iu.fn_iu_manifest_digest;
DROP FUNCTION iu.fn_iu_pieces_lock;
DROP FUNCTION iu.fn_iu_collection_lock;
DROP FUNCTION iu.fn_iu_collection_get;
DROP FUNCTION iu.fn_iu_collection_missing;
DROP FUNCTION iu.fn_iu_piece_role_require;
DROP FUNCTION iu.fn_iu_collection_require;
DROP FUNCTION iu.fn_iu_collection_kind_require;
DROP FUNCTION iu.fn_iu_collection_key_problem;
DROP FUNCTION iu.fn_iu_composer_require;
DROP FUNCTION iu.fn_iu_collection_vocab_use;

DROP TABLE public.iu_piece_membership;
DROP TABLE public.iu_piece_collection;
DROP FUNCTION iu.fn_iu_piece_collection_kind;
DROP FUNCTION iu.fn_iu_piece_membership_role;
DROP FUNCTION iu.fn_iu_composer_guard;
DELETE FROM public.iu_governed_object
 WHERE theirs AND object_class = 'config' AND object_name ~ '^vocab[.](collection_kind|piece_role)[.]';
DELETE FROM public.dot_config WHERE key ~ '^vocab[.](collection_kind|piece_role)[.]';
SELECT iu.fn_iu_gate_unregister(30);
