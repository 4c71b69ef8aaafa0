-- What is called on a database to measure collections; bench/units/measures.sql has
-- the clock.
SET check_function_bodies = off;

-- So many units, a template of ten of them, and the gates open as an operator opens them.
CREATE PROCEDURE bench_template(p_units integer) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
  PERFORM fn_iu_import((SELECT jsonb_agg(jsonb_build_object('canonical_address', 'bench/' || i, 'title', 't',
            'body', 'text of ' || i)) FROM generate_series(b, least(b + 9999, p_units)) AS i), 'bench', false)
    FROM generate_series(1, p_units, 10000) AS b;
  PERFORM fn_iu_gate_open(g, gen_random_uuid(), 'bench', 'bench', 3600)
    FROM unnest(ARRAY['iu_core.composer_enabled', 'iu_core.auto_instantiate_enabled']) AS g;
  PERFORM fn_iu_collection_mark_as_template((fn_iu_compose('bench', 'workflow', 'Bench', NULL, (
      SELECT jsonb_agg(jsonb_build_object('role', 'step', 'iu_id', u.id) ORDER BY u.canonical_address)
        FROM information_unit u WHERE u.canonical_address ~ '^bench/[0-9]$' OR u.canonical_address = 'bench/10'),
    'bench') ->> 'collection_id')::uuid, 'Bench', NULL, 'bench');
END $$;

-- So many collections after the template in one transaction. The first and the last
-- twenty are measured by themselves: those around the tenth, and those at the end.
CREATE PROCEDURE bench_instances(p_collections integer) LANGUAGE plpgsql AS $$
DECLARE
  v_template CONSTANT uuid := (SELECT id FROM iu_piece_collection WHERE collection_key = 'bench');
  v_name     CONSTANT text := md5(clock_timestamp()::text);
  v_start    bench_start;
  v_window   bench_start;
BEGIN
  v_start := bench_now();
  v_window := v_start;
  FOR i IN 1 .. p_collections LOOP
    IF i = p_collections - 19 THEN
      v_window := bench_now();
    END IF;
    IF fn_iu_auto_instantiate_from_event(gen_random_uuid(), 'iu.version_applied', v_template, v_name || i, 'live',
         'bench', NULL) ->> 'status' <> 'ok' THEN
      RAISE 'a collection is not made';
    END IF;
    IF i = 20 THEN
      PERFORM bench_note('first', v_window, 20);
    END IF;
  END LOOP;
  PERFORM bench_note('last', v_window, 20);
  COMMIT;
  PERFORM bench_note('calls', v_start, p_collections);
END $$;

-- The rows that as many of them have, by one INSERT for each table, with all triggers,
-- indexes and foreign keys in place.
CREATE PROCEDURE bench_rows(p_collections integer) LANGUAGE plpgsql AS $$
DECLARE
  v_template CONSTANT uuid := (SELECT id FROM iu_piece_collection WHERE collection_key = 'bench');
  v_name     CONSTANT text := md5(clock_timestamp()::text);
  v_start    bench_start;
BEGIN
  CREATE TEMP TABLE made ON COMMIT DROP AS
    SELECT gen_random_uuid() AS id, gen_random_uuid() AS event_id, v_name || i AS suffix
      FROM generate_series(1, p_collections) AS i;
  ANALYZE made;
  GRANT SELECT ON made TO iu_core_owner;
  v_start := bench_now();
  SET LOCAL ROLE iu_core_owner;
  INSERT INTO iu_piece_collection
      (id, collection_key, collection_kind, title, manifest_digest, created_by, updated_by)
    SELECT n.id, 'tpl-inst:auto:' || n.suffix, c.collection_kind, c.title, c.manifest_digest, 'bench', 'bench'
      FROM made n, iu_piece_collection c WHERE c.id = v_template;
  INSERT INTO iu_piece_membership (collection_id, iu_id, piece_order, piece_role, added_by)
    SELECT n.id, m.iu_id, m.piece_order, m.piece_role, 'bench'
      FROM made n, iu_piece_membership m WHERE m.collection_id = v_template ORDER BY n.id, m.piece_order;
  INSERT INTO iu_collection_template_instance_lineage (instance_collection_id, template_collection_id, instantiated_by)
    SELECT n.id, v_template, 'bench' FROM made n;
  INSERT INTO iu_auto_instantiate_event_log
      (instance_collection_id, template_collection_id, event_id, event_type, idempotency_key, emit_mode, triggered_by)
    SELECT n.id, v_template, n.event_id, 'iu.version_applied', md5(n.event_id || ':' || v_template || ':' || n.suffix),
           'live', 'bench' FROM made n;
  INSERT INTO event_outbox
      (event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table, event_subject_ref,
       actor_ref, source_system, correlation_id, safe_payload)
    SELECT r.event_domain, r.event_type, r.event_stream, r.delivery_lane, r.default_severity, 'iu_piece_collection',
           e.id::text, 'bench', 'iu_core', e.id::text, e.payload
      FROM (SELECT n.id, 'collection_created' AS type, -1 AS piece_order, jsonb_build_object('collection_id', n.id,
                     'collection_key', 'tpl-inst:auto:' || n.suffix, 'collection_kind', c.collection_kind, 'pieces', 10,
                     'manifest_digest', c.manifest_digest) AS payload
              FROM made n, iu_piece_collection c WHERE c.id = v_template
            UNION ALL
            SELECT n.id, 'piece_added_to_collection', m.piece_order, jsonb_build_object('collection_id', n.id,
                     'collection_key', 'tpl-inst:auto:' || n.suffix, 'iu_id', m.iu_id, 'piece_order', m.piece_order,
                     'piece_role', m.piece_role)
              FROM made n, iu_piece_membership m WHERE m.collection_id = v_template) AS e
      JOIN event_type_registry r ON r.event_domain = 'iu' AND r.event_type = e.type ORDER BY e.id, e.piece_order;
  RESET ROLE;
  COMMIT;
  PERFORM bench_note('rows', v_start, p_collections);
END $$;
