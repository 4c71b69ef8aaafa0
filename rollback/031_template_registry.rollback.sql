-- Undoes 031: the collections stay, and nothing says any more which of them are
-- templates. Refuses while a gate is open, and where templates, instances or the log
-- of its commands would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_register_template', 'dot_iu_unregister_template',
  'dot_iu_record_template_instance']);
SELECT iu_core.guard_rows('public.iu_collection_template_registry');
SELECT iu_core.guard_rows('public.iu_collection_template_instance_lineage');
SELECT iu.fn_iu_surface_undefine(31);

DROP VIEW public.v_iu_product_template_instance;
DROP VIEW public.v_iu_product_template;
DROP FUNCTION public.fn_iu_collection_record_template_instance;
DROP FUNCTION iu.fn_iu_collection_record_template_instance;
DROP FUNCTION iu.fn_iu_template_instance_check;
DROP FUNCTION iu.fn_iu_lineage_write;
DROP FUNCTION public.fn_iu_collection_unmark_template;
DROP FUNCTION iu.fn_iu_collection_unmark_template;
DROP FUNCTION iu.fn_iu_template_in_use;
DROP FUNCTION public.fn_iu_collection_mark_as_template;
DROP FUNCTION iu.fn_iu_collection_mark_as_template;
DROP FUNCTION iu.fn_iu_template_lock;
DROP FUNCTION iu.fn_iu_collections_lock;
DROP FUNCTION iu.fn_iu_template_marked;
DROP FUNCTION iu.fn_iu_collection_living;
DROP FUNCTION iu.fn_iu_template_refused;
DROP FUNCTION iu.fn_iu_collection_not_found;
DROP TABLE public.iu_collection_template_instance_lineage;
DROP TABLE public.iu_collection_template_registry;
