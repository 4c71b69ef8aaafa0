-- Undoes 017: tags, their registry and paths go. Refuses while a gate is open,
-- and where tags that people set or registered would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_metadata_tag', 'enrichment_source <> ''derived''');

DROP TABLE public.iu_tree_path;
DROP TABLE public.iu_metadata_tag;
DROP TABLE public.iu_metadata_tag_registry;
