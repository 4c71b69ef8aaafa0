-- Templates and their instances as people look at them. Digests are the stored ones;
-- that these are right is what invariant iu.collection_digest looks at.

CREATE VIEW public.v_iu_product_template AS
  SELECT c.id AS collection_id, c.collection_key, c.collection_kind, c.title, c.lifecycle_status, r.template_label,
         r.template_doc, r.registered_by, r.registered_at, c.manifest_digest, coalesce(l.instances, 0) AS instance_count
    FROM public.iu_collection_template_registry r
    JOIN public.iu_piece_collection c ON c.id = r.collection_id
    LEFT JOIN (SELECT x.template_collection_id, count(*) AS instances
                 FROM public.iu_collection_template_instance_lineage x GROUP BY x.template_collection_id) AS l
      ON l.template_collection_id = c.id
   WHERE r.is_template AND c.deleted_at IS NULL;
COMMENT ON VIEW public.v_iu_product_template IS
  'One row for each template that is not deleted: its collection, label and doc, who registered it and when, and how '
  'many collections were made after it.';

CREATE VIEW public.v_iu_product_template_instance AS
  SELECT l.instance_collection_id, i.collection_key AS instance_collection_key, l.template_collection_id,
         t.collection_key AS template_collection_key, l.instantiated_by, l.instantiated_at, l.instance_note,
         i.manifest_digest AS instance_manifest_digest, t.manifest_digest AS template_manifest_digest,
         i.manifest_digest IS NOT DISTINCT FROM t.manifest_digest AS digest_matches_template
    FROM public.iu_collection_template_instance_lineage l
    JOIN public.iu_piece_collection i ON i.id = l.instance_collection_id
    JOIN public.iu_piece_collection t ON t.id = l.template_collection_id;
COMMENT ON VIEW public.v_iu_product_template_instance IS
  'One row for each collection that was made after a template: both, who made it and when, and whether it has the same '
  'pieces in the same order and roles.';
