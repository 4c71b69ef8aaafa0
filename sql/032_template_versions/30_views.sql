-- The versions of templates as people look at them, by the stored digests.

CREATE VIEW public.v_iu_template_version_chain AS
  SELECT v.template_family, v.version_seq, v.version_label, v.version_status, v.collection_id, c.collection_key,
         v.previous_collection_id, p.collection_key AS previous_collection_key, c.manifest_digest,
         v.previous_collection_id IS NULL AS is_root_version, v.version_status = 'current' AS is_current_version,
         v.previous_collection_id IS NOT NULL AND c.manifest_digest IS DISTINCT FROM p.manifest_digest
           AS digest_drift_from_previous,
         count(*) OVER (PARTITION BY v.template_family) AS family_chain_length,
         v.registered_by, v.registered_at, v.retired_at, v.retire_reason
    FROM public.iu_collection_template_version v
    JOIN public.iu_piece_collection c ON c.id = v.collection_id
    LEFT JOIN public.iu_piece_collection p ON p.id = v.previous_collection_id;
COMMENT ON VIEW public.v_iu_template_version_chain IS
  'One row for each version of a template: its family, number, label and status, the version whose place it took, '
  'whether it is the first of a chain, whether it is the current one, whether its order is another one than that of '
  'the version before it, and how many versions its family has.';

CREATE VIEW public.v_iu_template_observability AS
  SELECT t.collection_id AS template_collection_id, t.collection_key AS template_collection_key,
         v.template_family, v.version_label, v.version_seq, v.version_status,
         coalesce(l.instances, 0) AS instance_count,
         coalesce(l.matching, 0) AS digest_matching_instances,
         coalesce(l.instances - l.matching, 0) AS digest_diverged_instances,
         v.collection_id IS NULL AS template_without_version
    FROM public.v_iu_product_template t
    LEFT JOIN public.iu_collection_template_version v ON v.collection_id = t.collection_id
    LEFT JOIN (SELECT i.template_collection_id, count(*) AS instances,
                      count(*) FILTER (WHERE i.digest_matches_template) AS matching
                 FROM public.v_iu_product_template_instance i GROUP BY i.template_collection_id) AS l
      ON l.template_collection_id = t.collection_id;
COMMENT ON VIEW public.v_iu_template_observability IS
  'One row for each template: which version it is, how many collections were made after it, how many of these have the '
  'same order as it and how many have not, and whether it is no version of any family.';
