-- :units units in documents of 100, each a tree of three levels, with four tags
-- each; a third is enacted, a thousandth deprecated. Written table by table with all triggers off, as if
-- they had come one by one: 1,000,000 calls would be hours.
SET synchronous_commit = off;
SET session_replication_role = replica;
CREATE TABLE bench_trigger AS
  SELECT tgrelid::regclass AS of, tgname, tgenabled FROM pg_trigger
   WHERE tgrelid IN ('information_unit'::regclass, 'unit_version'::regclass, 'iu_metadata_tag'::regclass)
     AND NOT tgisinternal;
SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', of, tgname) FROM bench_trigger \gexec

CREATE TABLE bench_unit AS
  SELECT n::integer AS n, gen_random_uuid() AS id, gen_random_uuid() AS version_id, 'text of ' || n AS body,
         CASE WHEN n % 1000 = 1 THEN 'deprecated' WHEN n % 3 = 0 THEN 'enacted' ELSE 'draft' END AS status,
         n - n % 100 AS root, n - CASE WHEN n % 10 = 0 THEN n % 100 ELSE n % 10 END AS parent
    FROM generate_series(0, :units - 1) AS n;
CREATE UNIQUE INDEX ON bench_unit (n);
ANALYZE bench_unit;

INSERT INTO information_unit
    (id, canonical_address, unit_kind, lifecycle_status, content_anchor_ref, version_anchor_ref, owner_ref,
     parent_or_container_ref, identity_profile, created_by, updated_by, doc_code, section_type, section_code,
     sort_order)
  SELECT b.id, 'bench/' || b.n, 'law_unit', b.status, encode(sha256(convert_to(b.body, 'UTF8')), 'hex'), b.version_id,
         'bench', CASE WHEN p.n <> b.n THEN p.id END,
         '{"title": "t", "owner_lookup_ref": "bench", "primary_section_type_ref": "article"}', 'bench', 'bench',
         'BENCH-' || b.n / 100, 'article', (b.n % 100)::text, b.n % 100 + 1
    FROM bench_unit b JOIN bench_unit p ON p.n = b.parent ORDER BY b.n;
INSERT INTO unit_version (id, unit_id, body, content_hash, version_seq, lifecycle_status, created_by)
  SELECT b.version_id, b.id, b.body, encode(sha256(convert_to(b.body, 'UTF8')), 'hex'), 1, b.status, 'bench'
    FROM bench_unit b ORDER BY b.n;
INSERT INTO iu_birth_record (unit_id, canonical_address, born_by)
  SELECT b.id, 'bench/' || b.n, 'bench' FROM bench_unit b ORDER BY b.n;
INSERT INTO iu_metadata_tag_registry (tag_key, tag_kind, label, registered_by)
  SELECT 'doc:BENCH-' || d, 'legal_document', 'BENCH-' || d, 'bench' FROM generate_series(0, (:units - 1) / 100) AS d
  UNION ALL SELECT 'topic:' || t, 'topic', 'Topic ' || t, 'bench' FROM generate_series(0, 99) AS t
  UNION ALL VALUES ('kind:law_unit', 'unit_kind', 'law_unit', 'bench'),
                   ('sectype:article', 'section_type', 'article', 'bench');
INSERT INTO iu_metadata_tag (unit_id, tag_key, enrichment_source, confidence, assigned_by)
  SELECT b.id, t.key, t.source, 1, 'bench'
    FROM bench_unit b
    CROSS JOIN LATERAL (VALUES ('doc:BENCH-' || b.n / 100, 'derived'), ('kind:law_unit', 'derived'),
      ('sectype:article', 'derived'), ('topic:' || b.n % 97, 'confirmed')) AS t (key, source) ORDER BY b.n;
INSERT INTO iu_tree_path
    (unit_id, root_unit_id, parent_id, depth, path_ids, path_addresses, sibling_order, path_hash)
  SELECT b.id, r.id, CASE WHEN p.n <> b.n THEN p.id END, cardinality(c.ids) - 1, c.ids, c.addresses, b.n % 100 + 1,
         encode(sha256(convert_to(array_to_string(c.ids, '/'), 'UTF8')), 'hex')
    FROM bench_unit b JOIN bench_unit p ON p.n = b.parent JOIN bench_unit r ON r.n = b.root
    CROSS JOIN LATERAL (
      SELECT array_agg(x.id ORDER BY x.n) AS ids, array_agg('bench/' || x.n ORDER BY x.n) AS addresses
        FROM (SELECT r.n, r.id UNION SELECT p.n, p.id UNION SELECT b.n, b.id) AS x) AS c
   ORDER BY b.n;
INSERT INTO iu_three_axis_envelope_mark (unit_ids) VALUES (NULL);
SELECT format('ALTER TABLE %s ENABLE %s TRIGGER %I', of, CASE tgenabled WHEN 'A' THEN 'ALWAYS' ELSE '' END, tgname)
  FROM bench_trigger \gexec
RESET session_replication_role;
VACUUM ANALYZE;
