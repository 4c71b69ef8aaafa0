-- Collections as people look at them.

CREATE VIEW public.v_iu_collection_manifest AS
  SELECT c.id AS collection_id, c.collection_key, c.collection_kind, m.piece_order, m.piece_role, m.iu_id,
         u.canonical_address, u.title, u.lifecycle_status, u.content_anchor_ref AS content_hash,
         u.deleted_at IS NOT NULL AS is_deleted, m.added_by, m.added_at
    FROM public.iu_piece_membership m
    JOIN public.iu_piece_collection c ON c.id = m.collection_id
    JOIN public.information_unit u ON u.id = m.iu_id
   WHERE m.membership_status = 'active' AND c.deleted_at IS NULL;
COMMENT ON VIEW public.v_iu_collection_manifest IS
  'One row for each piece of a collection: which, where, as what, and the unit without its text.';

CREATE VIEW public.v_iu_collection_envelope AS
  SELECT c.id AS collection_id, c.collection_key, c.collection_kind, c.title, c.description, c.lifecycle_status,
         c.source_axis_kind, coalesce(m.pieces, 0) AS piece_count, c.manifest_digest, c.created_by, c.created_at,
         c.updated_by, c.updated_at
    FROM public.iu_piece_collection c
    LEFT JOIN LATERAL (SELECT count(*) AS pieces FROM public.iu_piece_membership x
                        WHERE x.collection_id = c.id AND x.membership_status = 'active') AS m ON true
   WHERE c.deleted_at IS NULL;
COMMENT ON VIEW public.v_iu_collection_envelope IS
  'One row for each collection that is not deleted, with the number of its pieces.';

CREATE VIEW public.v_iu_composer_event_backlog AS
  SELECT r.event_type, r.active, coalesce(e.events, 0) AS events, e.last_event_at, coalesce(b.routes, 0) AS routes,
         coalesce(b.waiting, 0) AS waiting, b.oldest_at
    FROM public.event_type_registry r
    LEFT JOIN LATERAL (SELECT count(*) AS events, max(o.created_at) AS last_event_at FROM public.event_outbox o
                        WHERE o.event_domain = r.event_domain AND o.event_type = r.event_type) AS e ON true
    LEFT JOIN (SELECT t.event_type, count(*) AS routes, sum(w.waiting + w.retrying) AS waiting,
                      min(w.oldest_at) AS oldest_at
                 FROM public.iu_route_type t JOIN public.v_iu_event_backlog w ON w.route_code = t.route_code
                WHERE t.event_domain = 'iu' GROUP BY t.event_type) AS b ON b.event_type = r.event_type
   WHERE r.event_domain = 'iu' AND (r.event_type LIKE 'collection\_%' OR r.event_type IN
     ('piece_added_to_collection', 'piece_removed_from_collection', 'piece_reordered'));
COMMENT ON VIEW public.v_iu_composer_event_backlog IS
  'One row for each type of event about collections: whether it is emitted, how many there are and since when the '
  'last, how many routes carry it, and what waits for all that they carry, and since when.';

CREATE VIEW public.v_iu_collection_export_status AS
  SELECT c.id AS collection_id, c.collection_key, iu.fn_iu_collection_path(c) AS path, e.created_at AS exported_at,
         e.actor_ref AS exported_by, e.manifest_digest AS exported_digest, c.manifest_digest,
         CASE WHEN e.created_at IS NULL THEN 'never' WHEN e.manifest_digest IS NOT DISTINCT FROM c.manifest_digest
              THEN 'current' ELSE 'outdated' END AS export_status
    FROM public.iu_piece_collection c
    LEFT JOIN (SELECT DISTINCT ON (o.event_subject_ref) o.event_subject_ref, o.created_at, o.actor_ref,
                      o.safe_payload ->> 'manifest_digest' AS manifest_digest
                 FROM public.event_outbox o
                WHERE o.event_domain = 'iu' AND o.event_type = 'collection_exported'
                  AND o.event_subject_table = 'iu_piece_collection'
                ORDER BY o.event_subject_ref, o.event_seq DESC) AS e ON e.event_subject_ref = c.id::text
   WHERE c.deleted_at IS NULL;
COMMENT ON VIEW public.v_iu_collection_export_status IS
  'One row for each collection that is not deleted: where its file lies, when it was exported last as its events say '
  '(fn_iu_collection_checkpoint), with which order, and whether that is the order now: never, current or outdated.';

-- For the invariants.
CREATE VIEW public.v_iu_collection_digest_check AS
  SELECT c.collection_key AS key, c.manifest_digest AS left_value, d.digest AS right_value
    FROM public.iu_piece_collection c
    LEFT JOIN (SELECT m.collection_id, iu.fn_iu_manifest_digest(array_agg(m.piece_order), array_agg(m.iu_id),
                        array_agg(m.piece_role)) AS digest
                 FROM public.iu_piece_membership m WHERE m.membership_status = 'active'
                GROUP BY m.collection_id) AS d ON d.collection_id = c.id
   WHERE c.manifest_digest IS NOT NULL OR d.digest IS NOT NULL;
COMMENT ON VIEW public.v_iu_collection_digest_check IS
  'One row for each collection that has pieces or a digest, for invariant iu.collection_digest: key, the digest that '
  'is stored, the digest of its order. The two are equal.';

CREATE VIEW public.v_iu_collection_order_check AS
  SELECT c.collection_key AS key, m.pieces AS left_value, m.last + 1 AS right_value
    FROM public.iu_piece_collection c
    JOIN (SELECT x.collection_id, count(*) AS pieces, max(x.piece_order)::bigint AS last
            FROM public.iu_piece_membership x WHERE x.membership_status = 'active'
           GROUP BY x.collection_id) AS m ON m.collection_id = c.id;
COMMENT ON VIEW public.v_iu_collection_order_check IS
  'One row for each collection that has pieces, for invariant iu.collection_order: key, how many pieces, the last '
  'place and one. The two are equal where no place is empty.';
