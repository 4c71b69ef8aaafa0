-- Looking whether links still lead to something.

CREATE VIEW public.v_iu_sql_link_resolved AS
  SELECT l.id AS link_id, l.canonical_address, u.lifecycle_status AS unit_status,
         u.deleted_at IS NOT NULL AS unit_is_deleted, l.link_role, l.object_kind, l.object_schema, l.object_name,
         l.function_identity, l.trigger_name, l.collection_name, l.row_pk, l.direction, l.lifecycle_status, l.enabled,
         m.detail ~ '_match$' AS resolved, m.detail,
         m.detail ~ '_match$' AND l.object_fingerprint IS NOT DISTINCT FROM iu.fn_iu_sql_object_fingerprint(
           l.object_kind, l.object_schema, l.object_name, l.function_identity, l.trigger_name) AS fingerprint_matches,
         l.valid_from, l.valid_to
    FROM public.iu_sql_link l
    JOIN public.information_unit u ON u.id = l.unit_id
    CROSS JOIN LATERAL (SELECT iu.fn_iu_sql_object_match(l.object_kind, l.object_schema, l.object_name,
                                 l.function_identity, l.trigger_name) AS detail OFFSET 0) AS m;
COMMENT ON VIEW public.v_iu_sql_link_resolved IS
  'One row for each link, retired ones too: the unit and its status, the object, whether the catalog has it (resolved) '
  'and what it says (detail, as fn_iu_sql_link_validate has it), and whether it is as it was when the link was made.';

CREATE FUNCTION iu.fn_iu_sql_link_validate(p_link_id uuid) RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_link   public.iu_sql_link;
  v_detail text;
BEGIN
  IF p_link_id IS NULL THEN
    RETURN iu.fn_iu_invalid('link_id', NULL, 'the id of a link');
  END IF;
  SELECT l.* INTO v_link FROM public.iu_sql_link l WHERE l.id = p_link_id;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_answer('link_not_found', 'link_id', format('There is no link %s.', p_link_id),
      'look_at_v_iu_sql_link_resolved') || '{"resolved": false}';
  END IF;
  v_detail := iu.fn_iu_sql_object_match(v_link.object_kind, v_link.object_schema, v_link.object_name,
    v_link.function_identity, v_link.trigger_name);
  RETURN jsonb_build_object('link_id', v_link.id, 'resolved', v_detail ~ '_match$', 'object_kind', v_link.object_kind,
    'detail', v_detail, 'fingerprint_matches', v_detail ~ '_match$' AND v_link.object_fingerprint
      IS NOT DISTINCT FROM iu.fn_iu_sql_object_fingerprint(v_link.object_kind, v_link.object_schema,
        v_link.object_name, v_link.function_identity, v_link.trigger_name),
    'lifecycle_status', v_link.lifecycle_status, 'enabled', v_link.enabled);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_validate IS
  'What public.fn_iu_sql_link_validate hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_sql_link_validate(p_link_id uuid) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN iu.fn_iu_sql_link_validate(p_link_id) END;
COMMENT ON FUNCTION public.fn_iu_sql_link_validate IS
  'Whether a link leads to something, whether or not it is enabled: {link_id, resolved, object_kind, detail, '
  'fingerprint_matches, lifecycle_status, enabled}. detail is pg_class_match, pg_proc_match, pg_trigger_match or '
  'pg_namespace_match; where it is not resolved schema_missing, object_missing, kind_differs (a relation of another '
  'kind), ambiguous (several functions have the name). fingerprint_matches: the columns of a relation, the signature '
  'and text of a function, or what a trigger is, are as they were when the link was made. The object is not opened, '
  'and a row is not looked for. Refusals {status, field, guidance, next_action}: invalid_input (link_id), '
  'link_not_found.';

CREATE FUNCTION iu.fn_iu_sql_link_resolve_all() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (
    WITH link AS MATERIALIZED (
      SELECT v.link_id, v.canonical_address, v.object_kind, format('%I.%I', v.object_schema, v.object_name) AS object,
             v.resolved, v.detail,
             (iu.fn_iu_sql_link_validate(v.link_id) -> 'resolved')::boolean = v.resolved AS equal,
             row_number() OVER (ORDER BY v.canonical_address COLLATE "C", v.link_id) AS n
        FROM public.v_iu_sql_link_resolved v WHERE v.lifecycle_status = 'active'
    )
    SELECT jsonb_build_object('mode', 'resolve_all', 'total_links', count(*),
             'resolved_true', count(*) FILTER (WHERE l.resolved),
             'all_view_eq_direct', coalesce(bool_and(l.equal), true),
             'left_off', greatest(count(*) - 1000, 0),
             'links', coalesce(jsonb_agg(jsonb_build_object('link_id', l.link_id,
               'canonical_address', l.canonical_address, 'object_kind', l.object_kind, 'object', l.object,
               'resolved', l.resolved, 'detail', l.detail) ORDER BY l.n) FILTER (WHERE l.n <= 1000), '[]'))
      FROM link l);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_resolve_all IS
  'What public.fn_iu_sql_link_resolve_all hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_sql_link_resolve_all() RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN iu.fn_iu_sql_link_resolve_all() END;
COMMENT ON FUNCTION public.fn_iu_sql_link_resolve_all IS
  'All active links with what the catalog says: {mode: resolve_all, total_links, resolved_true, all_view_eq_direct '
  '(v_iu_sql_link_resolved and fn_iu_sql_link_validate say the same of each), links: [{link_id, canonical_address, '
  'object_kind, object, resolved, detail}], by address, the first 1000; left_off: how many more}. Raises nothing of '
  'its own.';

CREATE FUNCTION iu.fn_iu_sql_link_validate_all() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (
    SELECT jsonb_build_object('mode', 'validate_all', 'total_links', count(*),
             'resolved_true', count(*) FILTER (WHERE v.resolved),
             'fingerprints_changed', count(*) FILTER (WHERE v.resolved AND NOT v.fingerprint_matches),
             'units_deleted', count(*) FILTER (WHERE v.unit_is_deleted),
             'all_ok', coalesce(bool_and(v.resolved AND v.fingerprint_matches AND NOT v.unit_is_deleted), true),
             'details', coalesce((SELECT jsonb_object_agg(d.detail, d.links)
                                    FROM (SELECT x.detail, count(*) AS links FROM public.v_iu_sql_link_resolved x
                                           WHERE x.lifecycle_status = 'active' GROUP BY x.detail) AS d), '{}'))
      FROM public.v_iu_sql_link_resolved v WHERE v.lifecycle_status = 'active');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_validate_all IS
  'What public.fn_iu_sql_link_validate_all hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_sql_link_validate_all() RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN iu.fn_iu_sql_link_validate_all() END;
COMMENT ON FUNCTION public.fn_iu_sql_link_validate_all IS
  'Counts over all active links: {mode: validate_all, total_links, resolved_true, fingerprints_changed, units_deleted, '
  'all_ok, details: how many links have which detail of fn_iu_sql_link_validate}. Raises nothing of its own.';
