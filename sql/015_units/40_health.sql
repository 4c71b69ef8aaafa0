-- The digest of a text, and what state a unit is in.

CREATE FUNCTION iu.fn_content_hash(p_text text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp
RETURN encode(sha256(convert_to(p_text, 'UTF8')), 'hex');
COMMENT ON FUNCTION iu.fn_content_hash IS 'The digest of a text, as public.fn_content_hash has it.';

CREATE FUNCTION public.fn_content_hash(p_text text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN encode(sha256(convert_to(p_text, 'UTF8')), 'hex');
COMMENT ON FUNCTION public.fn_content_hash IS
  'The digest of a text: SHA-256 of its UTF8, in 64 small hex digits; NULL for NULL. content_hash of unit_version and '
  'content_anchor_ref of information_unit are such. Raises nothing.';

CREATE FUNCTION iu.fn_iu_verify_invariants(p_canonical_address text) RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_checks jsonb;
BEGIN
  SELECT to_jsonb(c) INTO v_checks
    FROM (SELECT true AS one_unit, w.versions > 0 AS has_version,
                 v.unit_id IS NOT DISTINCT FROM u.id AS anchor_is_version,
                 coalesce(v.content_hash = u.content_anchor_ref, false) AS anchor_hash_matches,
                 w.newest = 1 AS one_latest,
                 (SELECT count(*) FROM unnest(ARRAY['title', 'owner_lookup_ref', 'primary_section_type_ref']) AS f (key)
                   WHERE btrim(u.identity_profile ->> f.key) <> '') = 3 AS profile_complete,
                 EXISTS (SELECT FROM public.iu_birth_record b WHERE b.unit_id = u.id) AS born
            FROM public.information_unit u
            LEFT JOIN public.unit_version v ON v.id = u.version_anchor_ref
            CROSS JOIN LATERAL (
              SELECT count(*) AS versions, count(*) FILTER (WHERE x.version_seq = x.last) AS newest
                FROM (SELECT y.version_seq, max(y.version_seq) OVER () AS last
                        FROM public.unit_version y WHERE y.unit_id = u.id) AS x) AS w
           WHERE u.canonical_address = p_canonical_address) AS c;
  v_checks := coalesce(v_checks, '{"one_unit": false, "has_version": false, "anchor_is_version": false,
    "anchor_hash_matches": false, "one_latest": false, "profile_complete": false, "born": false}');
  RETURN jsonb_build_object('canonical_address', p_canonical_address, 'checks', v_checks,
    'all_pass', NOT jsonb_path_exists(v_checks, '$.* ? (@ == false)'));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_verify_invariants IS
  'What public.fn_iu_verify_invariants hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_verify_invariants(p_canonical_address text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN iu.fn_iu_verify_invariants(p_canonical_address) END;
COMMENT ON FUNCTION public.fn_iu_verify_invariants IS
  'What holds of the unit at an address: {canonical_address, checks: {one_unit, has_version, anchor_is_version, '
  'anchor_hash_matches, one_latest, profile_complete, born}, all_pass}; each true or false, all false where there is '
  'no such unit. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_classify_existing(p_canonical_address text) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_unit   public.information_unit;
  v_checks jsonb;
BEGIN
  SELECT u.* INTO v_unit FROM public.information_unit u WHERE u.canonical_address = p_canonical_address;
  IF NOT FOUND THEN
    RETURN 'absent';
  END IF;
  v_checks := iu.fn_iu_verify_invariants(p_canonical_address) -> 'checks';
  RETURN CASE
    WHEN NOT (v_checks -> 'has_version')::boolean THEN 'exists_missing_version'
    WHEN NOT (v_checks -> 'one_latest')::boolean THEN 'exists_duplicate_version'
    WHEN NOT (v_checks -> 'anchor_is_version')::boolean OR NOT (v_checks -> 'anchor_hash_matches')::boolean
      THEN 'exists_anchor_invalid'
    WHEN NOT (v_checks -> 'born')::boolean THEN 'exists_missing_birth'
    WHEN NOT (v_checks -> 'profile_complete')::boolean OR v_unit.deleted_at IS NOT NULL
         OR v_unit.lifecycle_status NOT IN ('draft', 'enacted', 'superseded', 'retired', 'deprecated')
      THEN 'exists_unknown_state'
    ELSE 'exists_complete' END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_classify_existing IS
  'What public.fn_iu_classify_existing hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_classify_existing(p_canonical_address text) RETURNS text
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN iu.fn_iu_classify_existing(p_canonical_address) END;
COMMENT ON FUNCTION public.fn_iu_classify_existing IS
  'What is at an address: absent; exists_complete; and where a person has to look, the first that holds of '
  'exists_missing_version, exists_duplicate_version (two versions are the newest), exists_anchor_invalid, '
  'exists_missing_birth, exists_unknown_state (the unit is deleted, or its profile is not complete). Raises nothing of '
  'its own.';

CREATE FUNCTION iu.fn_iu_create_preflight() RETURNS jsonb
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT jsonb_build_object('ok', count(p.problem) = 0,
           'problems', coalesce(jsonb_agg(p.problem ORDER BY p.n) FILTER (WHERE p.problem IS NOT NULL), '[]'))
    FROM (
      SELECT 1 AS n, CASE WHEN NOT EXISTS (SELECT FROM public.dot_config c
                            WHERE c.key = 'iu_create.gateway.mode' AND c.value IN ('enforced', 'prepared'))
               THEN 'iu_create.gateway.mode is neither enforced nor prepared, which reads as enforced' END AS problem
      UNION ALL
      SELECT 2, CASE WHEN EXISTS (SELECT FROM public.dot_config c
                       WHERE c.key = 'iu_create.gateway.mode' AND c.value = 'prepared')
               THEN 'the guard is not in force: iu_create.gateway.mode is prepared' END
      UNION ALL
      SELECT 3, format('the guard is not in force: trigger %s is disabled or missing', t.name)
        FROM (VALUES ('trg_aa_iu_gateway_write_guard', 'public.information_unit'),
                     ('trg_aa_iu_gateway_truncate_guard', 'public.information_unit'),
                     ('trg_aa_uv_gateway_write_guard', 'public.unit_version'),
                     ('trg_aa_uv_gateway_truncate_guard', 'public.unit_version')) AS t (name, on_table)
       WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger g
                          WHERE g.tgrelid = to_regclass(t.on_table) AND g.tgname = t.name AND g.tgenabled = 'A')
      UNION ALL
      SELECT 4, format('vocabulary %s has no value', v.name)
        FROM unnest(ARRAY['unit_kind', 'section_type', 'publication_type']) AS v (name)
       WHERE coalesce(cardinality(iu.fn_iu_vocab_values(v.name)), 0) = 0
      UNION ALL
      SELECT 5, CASE WHEN NOT EXISTS (SELECT FROM public.dot_config c
                            WHERE c.key = 'iu_create.gateway.marker_key' AND c.value = 'app.canonical_writer')
               THEN 'iu_create.gateway.marker_key is not app.canonical_writer' END
      UNION ALL
      SELECT 6, CASE WHEN NOT EXISTS (SELECT FROM public.dot_config c
                            WHERE c.key = 'iu_create.gateway.allowed_marker_values'
                              AND 'fn_iu_create' = ANY (string_to_array(c.value, ',')))
               THEN 'iu_create.gateway.allowed_marker_values has no fn_iu_create' END) AS p;
END;
COMMENT ON FUNCTION iu.fn_iu_create_preflight IS
  'What public.fn_iu_create_preflight hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_create_preflight() RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN iu.fn_iu_create_preflight() END;
COMMENT ON FUNCTION public.fn_iu_create_preflight IS
  'Whether units can be created as they should be: {ok, problems: [text]}. The guard is in force (mode, its triggers), '
  'no vocabulary is empty, the key of the marker is the one that functions pin. Raises nothing of its own.';
