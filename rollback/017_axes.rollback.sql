-- Undoes 017: tags, their registry and paths go. Refuses while a gate is open,
-- and where tags that people set or registered, or the log, would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_tag_register', 'dot_iu_rebuild_metadata_axes', 'dot_iu_tag_set',
  'dot_iu_filter_axis_b', 'dot_iu_subtree', 'dot_iu_reconstruct_source']);
SELECT iu_core.guard_rows('public.iu_metadata_tag', 'enrichment_source <> ''derived''');
SELECT iu_core.guard_rows('public.iu_metadata_tag_registry', 'registered_by <> ''fn_iu_metadata_refresh''');
DELETE FROM public.iu_refusal WHERE migration = 17;
SELECT iu.fn_iu_invariant_undefine(17);

DROP TRIGGER trg_iu_axis_path_insert ON public.information_unit;
DROP TRIGGER trg_iu_axis_path_update ON public.information_unit;
DROP TRIGGER trg_iu_axis_path_delete ON public.information_unit;
DROP VIEW public.v_iu_tree_cycle;
DROP VIEW public.v_iu_tree_path_check;
DROP VIEW public.v_iu_unit;
DROP VIEW public.v_iu_metadata_envelope;
DROP VIEW public.v_iu_content_group;
DROP VIEW public.v_iu_source_outline;
DROP VIEW public.v_iu_tree;
DROP FUNCTION public.fn_iu_readiness;
DROP FUNCTION iu.fn_iu_readiness;
DROP FUNCTION public.fn_iu_filter_axis_b;
DROP FUNCTION iu.fn_iu_filter_axis_b;
DROP FUNCTION public.fn_iu_reconstruct_source;
DROP FUNCTION iu.fn_iu_reconstruct_source;
DROP FUNCTION public.fn_iu_subtree;
DROP FUNCTION iu.fn_iu_subtree;
DROP FUNCTION iu.fn_iu_tree_path_deleted;
DROP FUNCTION iu.fn_iu_tree_path_updated;
DROP FUNCTION iu.fn_iu_tree_path_inserted;
DROP FUNCTION iu.fn_iu_tree_path_add;
DROP FUNCTION public.fn_iu_tree_path_refresh;
DROP FUNCTION iu.fn_iu_tree_path_refresh;
DROP FUNCTION iu.fn_iu_tree_path_write;
DROP FUNCTION iu.fn_iu_tree_paths;
DROP FUNCTION iu.fn_iu_tree_hold;
DROP FUNCTION iu.fn_iu_tree_lock;
DROP FUNCTION iu.fn_iu_tree_roots;
DROP FUNCTION iu.fn_iu_tree_chains;
DROP FUNCTION iu.fn_iu_path_hash;
DROP FUNCTION iu.fn_iu_tree_refuse_depth;
DROP FUNCTION iu.fn_iu_tree_depth_limit;
DROP FUNCTION iu.fn_iu_tree_refuse_cycle;
DROP FUNCTION public.fn_iu_tag_unset;
DROP FUNCTION iu.fn_iu_tag_unset;
DROP FUNCTION public.fn_iu_tag_set;
DROP FUNCTION iu.fn_iu_tag_set;
DROP FUNCTION iu.fn_iu_tag_check;
DROP FUNCTION public.fn_iu_metadata_refresh;
DROP FUNCTION iu.fn_iu_metadata_refresh;
DROP FUNCTION iu.fn_iu_derived_tags;
DROP FUNCTION public.fn_iu_tag_register;
DROP FUNCTION iu.fn_iu_tag_register;

DROP TABLE public.iu_tree_path;
DROP TABLE public.iu_metadata_tag;
DROP TABLE public.iu_metadata_tag_registry;
