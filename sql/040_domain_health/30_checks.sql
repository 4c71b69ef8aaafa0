-- Each surface as an invariant on the schedule that there is, and all of them in one
-- answer.

CREATE FUNCTION iu.fn_iu_health_look(p_surface text) RETURNS jsonb
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
RETURN CASE p_surface
  WHEN 'three_axis_cache' THEN iu.fn_iu_health_three_axis_cache()
  WHEN 'directus_collection' THEN iu.fn_iu_health_directus_collection()
  WHEN 'qdrant_collection' THEN iu.fn_iu_health_qdrant_collection()
  WHEN 'auto_refresh_trigger' THEN iu.fn_iu_health_auto_refresh_trigger()
  WHEN 'vector_boundary' THEN iu.fn_iu_health_vector_boundary()
  WHEN 'write_gates' THEN iu.fn_iu_health_write_gates()
  WHEN 'operator_runtime' THEN iu.fn_iu_health_operator_runtime() END;
COMMENT ON FUNCTION iu.fn_iu_health_look IS
  'How a surface is now: {ok, detail, figures}; NULL: there is no such surface. Errors: those of foreign tables.';

CREATE FUNCTION iu.fn_iu_health_word(p_surface text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_found CONSTANT jsonb := iu.fn_iu_health_look(p_surface);
BEGIN
  RETURN CASE WHEN v_found -> 'ok' = 'true' THEN 'ok' ELSE v_found ->> 'detail' END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_health_word IS
  'For invariants, which are read with no rights: "ok", or what is wrong with a surface. Errors: as fn_iu_health_look.';

CREATE VIEW iu.v_iu_health_three_axis_cache AS
  SELECT iu.fn_iu_health_word('three_axis_cache') AS left_value, 'ok'::text AS right_value;
CREATE VIEW iu.v_iu_health_directus_collection AS
  SELECT iu.fn_iu_health_word('directus_collection') AS left_value, 'ok'::text AS right_value;
CREATE VIEW iu.v_iu_health_qdrant_collection AS
  SELECT iu.fn_iu_health_word('qdrant_collection') AS left_value, 'ok'::text AS right_value;
CREATE VIEW iu.v_iu_health_auto_refresh_trigger AS
  SELECT iu.fn_iu_health_word('auto_refresh_trigger') AS left_value, 'ok'::text AS right_value;
CREATE VIEW iu.v_iu_health_vector_boundary AS
  SELECT iu.fn_iu_health_word('vector_boundary') AS left_value, 'ok'::text AS right_value;
CREATE VIEW iu.v_iu_health_write_gates AS
  SELECT iu.fn_iu_health_word('write_gates') AS left_value, 'ok'::text AS right_value;
CREATE VIEW iu.v_iu_health_operator_runtime AS
  SELECT iu.fn_iu_health_word('operator_runtime') AS left_value, 'ok'::text AS right_value;
COMMENT ON VIEW iu.v_iu_health_three_axis_cache IS
  'Invariant health.three_axis_cache: left is what is wrong, or ok, right is ok.';
COMMENT ON VIEW iu.v_iu_health_directus_collection IS
  'Invariant health.directus_collection: left is what is wrong, or ok, right is ok.';
COMMENT ON VIEW iu.v_iu_health_qdrant_collection IS
  'Invariant health.qdrant_collection: left is what is wrong, or ok, right is ok.';
COMMENT ON VIEW iu.v_iu_health_auto_refresh_trigger IS
  'Invariant health.auto_refresh_trigger: left is what is wrong, or ok, right is ok.';
COMMENT ON VIEW iu.v_iu_health_vector_boundary IS
  'Invariant health.vector_boundary: left is what is wrong, or ok, right is ok.';
COMMENT ON VIEW iu.v_iu_health_write_gates IS
  'Invariant health.write_gates: left is what is wrong, or ok, right is ok.';
COMMENT ON VIEW iu.v_iu_health_operator_runtime IS
  'Invariant health.operator_runtime: left is what is wrong, or ok, right is ok.';

-- What a person may do for an hour (open a gate) or a remote for some minutes is not an issue yet.
SELECT iu.fn_iu_invariant_define(40, 'health.three_axis_cache', 'iu.v_iu_health_three_axis_cache',
  'the envelope has what its view has', 'warning', p_settle_seconds => 300, p_every_seconds => 600,
  p_timeout_ms => 60000);
SELECT iu.fn_iu_invariant_define(40, 'health.directus_collection', 'iu.v_iu_health_directus_collection',
  'Directus shows the envelope', 'warning', p_settle_seconds => 600, p_every_seconds => 600, p_timeout_ms => 30000,
  p_enabled => false);
SELECT iu.fn_iu_invariant_define(40, 'health.qdrant_collection', 'iu.v_iu_health_qdrant_collection',
  'Qdrant has the active collections', 'warning', p_settle_seconds => 600, p_every_seconds => 600,
  p_timeout_ms => 30000, p_enabled => EXISTS (SELECT FROM public.iu_health_surface s
                                               WHERE s.surface = 'qdrant_collection' AND s.table_name IS NOT NULL));
SELECT iu.fn_iu_invariant_define(40, 'health.auto_refresh_trigger', 'iu.v_iu_health_auto_refresh_trigger',
  'the envelope is refreshed by itself, without errors, where that is wanted', 'warning', p_every_seconds => 600);
SELECT iu.fn_iu_invariant_define(40, 'health.vector_boundary', 'iu.v_iu_health_vector_boundary',
  'the points of each unit are its chunks', 'warning', p_every_seconds => 600, p_timeout_ms => 60000);
SELECT iu.fn_iu_invariant_define(40, 'health.write_gates', 'iu.v_iu_health_write_gates',
  'no gate is open for longer than an hour but on a standing approval', 'warning', p_settle_seconds => 3600,
  p_every_seconds => 600);
SELECT iu.fn_iu_invariant_define(40, 'health.operator_runtime', 'iu.v_iu_health_operator_runtime',
  'no command failed in 24 hours', 'warning', p_every_seconds => 600);

CREATE FUNCTION iu.fn_iu_health_surface(p_invariant public.v_iu_invariant, p_surface text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_found jsonb;
BEGIN
  IF p_invariant.invariant_code IS NULL THEN
    RETURN jsonb_build_object('ok', false, 'detail', format('there is no invariant health.%s', p_surface));
  ELSIF p_invariant.enabled IS NOT TRUE THEN
    RETURN jsonb_build_object('ok', NULL, 'detail', CASE
      WHEN EXISTS (SELECT FROM public.iu_health_surface s WHERE s.surface = p_surface AND s.table_name IS NULL)
        THEN 'not looked at: no foreign table is named for it; an administrator names one with fn_iu_health_bind'
      ELSE format('not looked at: invariant health.%s is disabled', p_surface) END);
  END IF;
  BEGIN
    v_found := iu.fn_iu_health_look(p_surface);
    IF jsonb_typeof(v_found -> 'ok') IS DISTINCT FROM 'boolean' THEN
      v_found := coalesce(v_found, '{}') || '{"ok": false, "detail": "it does not say whether it is well"}';
    END IF;
  EXCEPTION WHEN OTHERS OR assert_failure THEN
    v_found := jsonb_build_object('ok', false, 'detail', format('it cannot be looked at: %s', SQLERRM),
                                  'sqlstate', SQLSTATE);
  END;
  v_found := v_found || jsonb_build_object('checked_at', p_invariant.checked_at, 'verdict', p_invariant.verdict,
    'verdict_since', p_invariant.verdict_since);
  RETURN CASE WHEN p_invariant.overdue THEN v_found || jsonb_build_object('ok', false, 'detail',
                format('its check was due at %s: does a runner run? %s', p_invariant.next_at, v_found ->> 'detail'))
              ELSE v_found END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_health_surface IS
  'For fn_iu_domain_healthcheck: one surface as it is now, with what its scheduled check found last; not ok where '
  'that is overdue, and where it does not say; ok null where it is not looked at. Arguments: its row of '
  'v_iu_invariant, its name. Raises nothing but a cancel (57014).';

CREATE FUNCTION iu.fn_iu_domain_healthcheck() RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $function$
DECLARE
  v_surfaces jsonb := '{}';
  v_late     text[];
  v_name     text;
BEGIN
  FOREACH v_name IN ARRAY ARRAY['three_axis_cache', 'directus_collection', 'qdrant_collection', 'auto_refresh_trigger',
                                'vector_boundary', 'write_gates', 'operator_runtime'] LOOP
    v_surfaces := v_surfaces || jsonb_build_object(v_name, iu.fn_iu_health_surface(
      (SELECT i FROM public.v_iu_invariant i WHERE i.invariant_code = 'health.' || v_name), v_name));
  END LOOP;
  v_late := ARRAY(SELECT i.invariant_code FROM public.v_iu_invariant i WHERE i.enabled AND i.overdue
                   ORDER BY i.invariant_code);
  RETURN jsonb_build_object('overall_ok', v_late = '{}'
      AND (SELECT coalesce(bool_and(s.value -> 'ok' = 'true'), false) FROM jsonb_each(v_surfaces) s
            WHERE s.value -> 'ok' <> 'null'),
    'surfaces', v_surfaces, 'late', to_jsonb(v_late), 'checked_at', clock_timestamp());
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_domain_healthcheck IS
  'What public.fn_iu_domain_healthcheck hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_domain_healthcheck() RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,pg_monitor}') THEN iu.fn_iu_domain_healthcheck() END;
COMMENT ON FUNCTION public.fn_iu_domain_healthcheck IS
  'How the domain is: {overall_ok, surfaces: {three_axis_cache, directus_collection, qdrant_collection, '
  'auto_refresh_trigger, vector_boundary, write_gates, operator_runtime}, late, checked_at}. Each surface is {ok, '
  'detail, figures, checked_at, verdict, verdict_since}: as it is now, and what the scheduled check of invariant '
  'health.<surface> found last. ok is false where something is wrong, where it cannot be looked at or does not say, '
  'and where that check is overdue; null where the invariant is disabled, as those of Directus and Qdrant are until '
  'fn_iu_health_bind names a foreign table. late: all invariants whose scheduled check is overdue by two minutes. '
  'overall_ok: nothing is late, no surface is not ok, and one is looked at. Raises nothing but a cancel (57014).';
