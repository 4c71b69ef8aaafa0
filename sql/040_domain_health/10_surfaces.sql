-- 040 domain health: seven surfaces that are looked at on a schedule, each red when
-- something is wrong, or when what should have run has not. Each function says of one
-- surface {ok, detail}, and figures.

CREATE FUNCTION iu.fn_iu_health_three_axis_cache() RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT jsonb_build_object(
           'ok', s.current_in_sync AND (s.cache_healthy OR s.current_view_count = 0),
           'detail', CASE
             WHEN NOT s.current_in_sync THEN
               format('the envelope differs from its view: %s missing, %s too many, %s with other content',
                      s.current_drift -> 'missing_in_table', s.current_drift -> 'missing_in_view',
                      s.current_drift -> 'content_diff_count')
             WHEN s.cache_healthy OR s.current_view_count = 0 THEN 'the envelope has what its view has'
             ELSE 'the envelope was never refreshed' END,
           'units', s.current_view_count, 'rows', s.current_table_count, 'last_refresh_at', s.last_finished_at)
    FROM public.v_iu_three_axis_envelope_refresh_status s;
END;
COMMENT ON FUNCTION iu.fn_iu_health_three_axis_cache IS
  'Surface three_axis_cache: ok where the envelope has what its view has and was refreshed once, or there is nothing '
  'to refresh. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_health_directus_collection() RETURNS jsonb
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT jsonb_build_object('ok', coalesce(c.counted > 0 OR c.counted = 0 AND t.rows = 0, false),
           'detail', CASE WHEN c.collection IS NULL THEN 'Directus shows no collection iu_three_axis_envelope'
                          WHEN c.counted IS NULL THEN 'Directus does not tell how many items there are'
                          WHEN c.counted = 0 AND t.rows > 0 THEN format('Directus shows no item, of %s', t.rows)
                          ELSE 'Directus shows the envelope' END,
           'items', c.counted, 'rows', t.rows)
    FROM (SELECT coalesce(sum(x.delta), 0) AS rows FROM public.iu_three_axis_envelope_tally x) t
    LEFT JOIN iu.fn_iu_health_counts('directus_collection', ARRAY['iu_three_axis_envelope']) c ON true;
END;
COMMENT ON FUNCTION iu.fn_iu_health_directus_collection IS
  'Surface directus_collection: ok where Directus shows the collection of the envelope, with items unless that has no '
  'rows. Errors: as fn_iu_health_counts.';

CREATE FUNCTION iu.fn_iu_health_qdrant_collection() RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_active  CONSTANT text[] := ARRAY(SELECT r.collection_name FROM public.iu_qdrant_collection_registry r
                                      WHERE r.status = 'active' ORDER BY r.collection_name);
  v_late    CONSTANT timestamptz := clock_timestamp() - interval '24 hours';
  v_pending bigint;
  v_oldest  timestamptz;
  v_missing text;
  v_empty   text;
  v_points  numeric;
BEGIN
  SELECT count(*), min(p.updated_at) INTO v_pending, v_oldest FROM public.v_iu_vector_pending p;
  WITH counted AS MATERIALIZED (
    SELECT c.collection, c.counted FROM iu.fn_iu_health_counts('qdrant_collection', v_active) c
  )
  SELECT string_agg(a.name, ', ' ORDER BY a.name) FILTER (WHERE c.counted IS NULL),
         string_agg(a.name, ', ' ORDER BY a.name) FILTER (WHERE c.counted = 0 AND EXISTS (
           SELECT FROM public.iu_vector_sync_point p WHERE p.collection_name = a.name AND p.sync_status = 'indexed')),
         coalesce(sum(c.counted), 0)
    INTO v_missing, v_empty, v_points
    FROM unnest(v_active) a (name) LEFT JOIN counted c ON c.collection = a.name;
  RETURN jsonb_build_object(
    'ok', v_active <> '{}' AND v_missing IS NULL AND v_empty IS NULL AND (v_oldest < v_late) IS NOT TRUE,
    'detail', CASE WHEN v_active = '{}' THEN 'no collection is active'
                   WHEN v_missing IS NOT NULL THEN 'Qdrant has not, or does not count: ' || v_missing
                   WHEN v_empty IS NOT NULL THEN 'Qdrant has no point any more of: ' || v_empty
                   WHEN v_oldest < v_late THEN
                     format('%s point(s) wait for an indexer, the first for more than 24 hours', v_pending)
                   ELSE 'Qdrant has the active collections' END,
    'collections', cardinality(v_active), 'points', v_points, 'pending', v_pending, 'oldest_pending_at', v_oldest);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_health_qdrant_collection IS
  'Surface qdrant_collection: ok where a collection is active, Qdrant has all that are, none of them is empty of '
  'which points are indexed, and no point has waited for an indexer for more than 24 hours. Errors: as '
  'fn_iu_health_counts.';

CREATE FUNCTION iu.fn_iu_health_auto_refresh_trigger() RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_since   CONSTANT timestamptz := clock_timestamp() - interval '24 hours';
  v_open    CONSTANT boolean := iu_core.gate_is_open('iu_core.three_axis_auto_refresh_enabled');
  v_errors  bigint;
  v_fires   bigint;
  v_oldest  timestamptz;
  v_missing text;
BEGIN
  SELECT count(*) INTO v_errors FROM public.iu_three_axis_envelope_trigger_error_log l WHERE l.captured_at > v_since;
  SELECT count(*) INTO v_fires FROM public.iu_three_axis_envelope_refresh_log l
   WHERE l.started_at > v_since AND l.actor IN ('iu_lifecycle_trigger', 'iu_auto_instantiate_trigger');
  SELECT m.marked_at INTO v_oldest FROM public.iu_three_axis_envelope_mark m ORDER BY m.mark_id LIMIT 1;
  SELECT string_agg(x.name, ', ' ORDER BY x.name) INTO v_missing
    FROM (VALUES
      ('public.information_unit'::regclass, 'trg_iu_three_axis_envelope_auto_refresh_iu'),
      ('public.iu_metadata_tag'::regclass, 'trg_iu_three_axis_envelope_auto_refresh_tag'),
      ('public.iu_collection_template_instance_lineage'::regclass, 'trg_iu_three_axis_envelope_auto_refresh_lineage')
    ) AS x (host, name)
   WHERE NOT EXISTS (SELECT FROM pg_trigger t
                      WHERE t.tgrelid = x.host AND t.tgname = x.name AND t.tgenabled IN ('O', 'A'));
  RETURN jsonb_build_object(
    'ok', v_errors = 0 AND v_missing IS NULL
          AND (v_open AND v_oldest < clock_timestamp() - interval '5 minutes') IS NOT TRUE,
    'detail', CASE WHEN v_missing IS NOT NULL THEN 'triggers are gone, or off: ' || v_missing
                   WHEN v_errors > 0 THEN format('%s error(s) in 24 hours', v_errors)
                   WHEN v_open AND v_oldest < clock_timestamp() - interval '5 minutes' THEN
                     format('its gate is open, and what changed at %s was not refreshed: does a runner run?', v_oldest)
                   ELSE 'no error in 24 hours' END,
    'gate_open', v_open, 'errors_24h', v_errors, 'fires_24h', v_fires, 'oldest_mark_at', v_oldest);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_health_auto_refresh_trigger IS
  'Surface auto_refresh_trigger: ok where its three triggers are on, had no error in 24 hours, and, while its gate is '
  'open, nothing has waited for a refresh for more than 5 minutes. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_health_vector_boundary() RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT jsonb_build_object('ok', b.left_value = b.right_value,
           'detail', CASE WHEN b.left_value = b.right_value THEN 'the points of each unit are its chunks'
                          ELSE format('the points of %s unit(s) are not its chunks, each once', b.left_value) END,
           'units', b.left_value)
    FROM iu.v_iu_vector_boundary b;
END;
COMMENT ON FUNCTION iu.fn_iu_health_vector_boundary IS
  'Surface vector_boundary: ok where the points of each unit are its chunks, each once. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_health_write_gates() RETURNS jsonb
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT jsonb_build_object('ok', count(*) > 0 AND bool_and(g.is_safe OR g.is_standing),
           'detail', coalesce('not as they should be: ' || string_agg(format('%s (%s)', g.gate_key, g.reason), ', '
                                ORDER BY g.gate_key) FILTER (WHERE NOT (g.is_safe OR g.is_standing)),
                              CASE WHEN count(*) = 0 THEN 'there is no gate'
                                   ELSE 'each is closed, or open on a standing approval' END),
           'gates', count(*), 'closed', count(*) FILTER (WHERE g.is_safe),
           'standing', count(*) FILTER (WHERE g.is_standing AND NOT g.is_safe))
    FROM (SELECT v.gate_key, v.reason, v.is_safe, coalesce(iu.fn_iu_gate_is_standing(v.gate_key), false) AS is_standing
            FROM public.v_iu_gate v) g;
END;
COMMENT ON FUNCTION iu.fn_iu_health_write_gates IS
  'Surface write_gates: ok where each gate is closed for sure, or open on a standing approval that is still good. '
  'Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_health_operator_runtime() RETURNS jsonb
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT jsonb_build_object('ok', f.failed = 0,
           'detail', CASE WHEN f.failed = 0 THEN 'no command failed in 24 hours'
                          ELSE format('%s command(s) failed in 24 hours: %s', f.failed, f.names) END,
           'failed_24h', f.failed, 'open_runs', o.open_runs, 'active_leases', l.active, 'expired_leases', l.expired)
    FROM (SELECT count(*) AS failed, string_agg(DISTINCT r.command_name, ', ') AS names
            FROM public.dot_iu_command_run r
           WHERE r.run_status = 'failed' AND r.created_at > clock_timestamp() - interval '24 hours') f
    CROSS JOIN (
      -- In one pass: each planned run with the last that was applied of the same command and values.
      SELECT count(*) FILTER (WHERE w.by_runtime AND w.run_status = 'planned'
                                AND (w.applied_at > w.created_at) IS NOT TRUE) AS open_runs
        FROM (SELECT r.run_status, r.created_at, r.evidence ->> 'by' = 'operator_runtime' AS by_runtime,
                     max(r.created_at) FILTER (WHERE r.run_mode = 'apply')
                       OVER (PARTITION BY r.command_name, r.params_digest) AS applied_at
                FROM public.dot_iu_command_run r
               WHERE r.created_at > clock_timestamp() - interval '24 hours') w) o
    CROSS JOIN (
      SELECT count(*) FILTER (WHERE v.held) AS active, count(*) FILTER (WHERE NOT v.held) AS expired
        FROM public.v_dot_iu_runtime_lease v) l;
END;
COMMENT ON FUNCTION iu.fn_iu_health_operator_runtime IS
  'Surface operator_runtime: ok where no command failed in 24 hours; with how many were planned and not tried since, '
  'and how many leases are held or have ended without being given back. Raises nothing of its own.';
