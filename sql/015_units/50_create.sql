-- Creating one unit: complete, or not at all.

CREATE FUNCTION iu.fn_iu_existing_answer(p_canonical_address text, p_state text) RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN CASE p_state
  WHEN 'exists_complete' THEN
    (SELECT jsonb_build_object('status', p_state, 'unit_id', u.id, 'version_id', u.version_anchor_ref,
              'canonical_address', u.canonical_address, 'unit_kind', u.unit_kind,
              'lifecycle_status', u.lifecycle_status, 'content_hash', u.content_anchor_ref)
       FROM public.information_unit u WHERE u.canonical_address = p_canonical_address)
  ELSE iu.fn_iu_answer(p_state, 'canonical_address', CASE p_state
    WHEN 'exists_missing_birth' THEN 'A unit has this address, and no birth record: it came in while triggers were off.'
    WHEN 'exists_missing_version' THEN 'A unit has this address, and no version: it came in while triggers were off.'
    WHEN 'exists_anchor_invalid' THEN 'A unit has this address, and its anchors are not those of a version of it.'
    WHEN 'exists_duplicate_version' THEN 'A unit has this address, and two versions that are its newest.'
    ELSE 'A unit has this address that is deleted, or whose profile is not complete.' END,
    'look_at_fn_iu_verify_invariants') END;
COMMENT ON FUNCTION iu.fn_iu_existing_answer IS
  'What fn_iu_create answers where the address is taken: the ids of a complete unit, or the state that a person has to '
  'look at. Arguments: address, state as fn_iu_classify_existing has it. Raises nothing.';

CREATE FUNCTION iu.fn_iu_create_check(
    p_canonical_address text, p_title text, p_body text, p_actor text, p_unit_kind text, p_section_type text,
    p_owner_ref text, p_publication_type text, p_parent_ref uuid)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_field   CONSTANT text := iu.fn_iu_create_texts_check(p_canonical_address, p_title, p_body, p_actor, p_owner_ref);
  v_kind    jsonb;
  v_section jsonb;
  v_state   text;
BEGIN
  IF v_field IS NOT NULL THEN
    RETURN iu.fn_iu_create_text_refusal(v_field, p_canonical_address, p_title, p_body, p_actor, p_owner_ref);
  END IF;
  v_kind := iu.fn_iu_resolve_default('unit_kind', p_unit_kind, 'iu_create.default_unit_kind');
  IF v_kind ->> 'value' IS NULL THEN
    RETURN iu.fn_iu_answer('invalid_input', 'unit_kind', (v_kind ->> 'message') || '.', 'fn_iu_vocab_add');
  END IF;
  v_section := iu.fn_iu_resolve_default('section_type', p_section_type, 'iu_create.default_section_type');
  IF v_section ->> 'value' IS NULL THEN
    RETURN iu.fn_iu_answer('invalid_input', 'section_type', (v_section ->> 'message') || '.', 'fn_iu_vocab_add');
  ELSIF p_publication_type IS NOT NULL AND NOT iu.fn_iu_vocab_has('publication_type', p_publication_type) THEN
    RETURN iu.fn_iu_invalid('publication_type', p_publication_type,
      'one of ' || array_to_string(iu.fn_iu_vocab_values('publication_type'), ', '));
  ELSIF p_parent_ref IS NOT NULL AND NOT EXISTS (SELECT FROM public.information_unit u
                                                  WHERE u.id = p_parent_ref AND u.deleted_at IS NULL) THEN
    RETURN iu.fn_iu_invalid('parent_ref', p_parent_ref::text, 'the id of a unit that is not deleted');
  END IF;
  v_state := iu.fn_iu_classify_existing(p_canonical_address);
  IF v_state <> 'absent' THEN
    RETURN iu.fn_iu_existing_answer(p_canonical_address, v_state);
  ELSIF iu.fn_iu_place_refusal(p_parent_ref, 'parent_ref') IS NOT NULL THEN
    RETURN iu.fn_iu_place_refusal(p_parent_ref, 'parent_ref');
  END IF;
  RETURN jsonb_build_object('status', 'plan_ok', 'canonical_address', p_canonical_address,
    'unit_kind', v_kind ->> 'value', 'section_type', v_section ->> 'value', 'lifecycle_status', 'draft',
    'owner_ref', coalesce(p_owner_ref, p_actor), 'content_hash', iu.fn_content_hash(iu.fn_iu_body(p_body)));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_create_check IS
  'What fn_iu_create would refuse, or plan_ok with what it would write. Arguments as fn_iu_create. Raises nothing of '
  'its own.';

CREATE FUNCTION iu.fn_iu_profile(p_title text, p_owner_ref text, p_section_type text, p_publication_type text)
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN jsonb_strip_nulls(jsonb_build_object('title', p_title, 'owner_lookup_ref', p_owner_ref,
  'primary_section_type_ref', p_section_type, 'publication_type_ref', p_publication_type));
COMMENT ON FUNCTION iu.fn_iu_profile IS
  'The identity_profile of a unit: title, owner, section type, publication type or NULL. Raises nothing.';

-- The unit and its version are written in one statement, so that the unit is
-- complete wherever constraints are not deferred. Where another session has taken
-- the address meanwhile, the INSERT waits for it and adds nothing.
CREATE FUNCTION iu.fn_iu_unit_write(
    p_unit public.information_unit, p_body text, p_version_id uuid)
  RETURNS boolean
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  WITH unit AS (
    INSERT INTO public.information_unit
        (id, canonical_address, unit_kind, content_anchor_ref, version_anchor_ref, owner_ref,
         parent_or_container_ref, identity_profile, created_by, updated_by, doc_code, section_type, section_code,
         sort_order)
      VALUES (p_unit.id, p_unit.canonical_address, p_unit.unit_kind,
              encode(sha256(convert_to(p_body, 'UTF8')), 'hex'), p_version_id, p_unit.owner_ref,
              p_unit.parent_or_container_ref, p_unit.identity_profile, p_unit.created_by, p_unit.created_by,
              p_unit.doc_code, p_unit.section_type, p_unit.section_code, p_unit.sort_order)
      ON CONFLICT (canonical_address) DO NOTHING
      RETURNING id, content_anchor_ref, created_by
  )
  INSERT INTO public.unit_version (id, unit_id, body, content_hash, version_seq, created_by)
    SELECT p_version_id, u.id, p_body, u.content_anchor_ref, 1, u.created_by FROM unit u;
  RETURN FOUND;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_unit_write IS
  'For canonical functions, whose marker is in force: writes one draft unit with its first version; false: the address '
  'is taken. Arguments: the unit as a row, of which id, canonical_address, unit_kind, owner_ref, '
  'parent_or_container_ref, identity_profile, created_by, doc_code, section_type, section_code and sort_order count; '
  'its text; the id of the version. Errors: those of the birth checks.';

CREATE FUNCTION iu.fn_iu_create(
    p_canonical_address text, p_title text, p_body text, p_actor text, p_unit_kind text, p_section_type text,
    p_owner_ref text, p_publication_type text, p_parent_ref uuid)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_create'
AS $function$
DECLARE
  v_plan       jsonb;
  v_unit       public.information_unit;
  v_version_id CONSTANT uuid := gen_random_uuid();
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_create');
  -- Whoever deletes the parent meanwhile waits, or is seen here.
  PERFORM FROM public.information_unit u WHERE u.id = p_parent_ref FOR KEY SHARE;
  v_plan := iu.fn_iu_create_check(p_canonical_address, p_title, p_body, p_actor, p_unit_kind, p_section_type,
    p_owner_ref, p_publication_type, p_parent_ref);
  IF v_plan ->> 'status' <> 'plan_ok' THEN
    RETURN v_plan;
  END IF;
  v_unit.id := gen_random_uuid();
  v_unit.canonical_address := p_canonical_address;
  v_unit.unit_kind := v_plan ->> 'unit_kind';
  v_unit.section_type := v_plan ->> 'section_type';
  v_unit.owner_ref := v_plan ->> 'owner_ref';
  v_unit.parent_or_container_ref := p_parent_ref;
  v_unit.identity_profile := iu.fn_iu_profile(p_title, v_unit.owner_ref, v_unit.section_type, p_publication_type);
  v_unit.created_by := p_actor;
  IF NOT iu.fn_iu_unit_write(v_unit, iu.fn_iu_body(p_body), v_version_id) THEN
    -- Somebody else has created it between the look and the write, and is seen now.
    v_plan := iu.fn_iu_create_check(p_canonical_address, p_title, p_body, p_actor, p_unit_kind, p_section_type,
      p_owner_ref, p_publication_type, p_parent_ref);
    PERFORM iu.fn_iu_require_effect(v_plan ->> 'status' <> 'plan_ok', 'public.information_unit', 'creating the unit');
    RETURN v_plan;
  END IF;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.information_unit u
              JOIN public.unit_version v ON v.id = u.version_anchor_ref AND v.unit_id = u.id
              JOIN public.iu_birth_record b ON b.unit_id = u.id
             WHERE u.id = v_unit.id AND v.id = v_version_id AND v.content_hash = u.content_anchor_ref),
    'public.information_unit', 'creating the unit');
  PERFORM iu.fn_iu_piece_event_try('created', p_canonical_address, v_unit.id, p_actor,
    jsonb_build_object('version_id', v_version_id, 'content_hash', v_plan ->> 'content_hash'));
  RETURN jsonb_build_object('status', 'created', 'unit_id', v_unit.id, 'version_id', v_version_id,
    'canonical_address', p_canonical_address, 'unit_kind', v_unit.unit_kind, 'lifecycle_status', 'draft',
    'content_hash', v_plan ->> 'content_hash');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_create IS
  'What public.fn_iu_create hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_create(
    p_canonical_address text, p_title text, p_body text, p_actor text, p_unit_kind text DEFAULT NULL,
    p_section_type text DEFAULT NULL, p_owner_ref text DEFAULT NULL, p_publication_type text DEFAULT NULL,
    p_parent_ref uuid DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_create(p_canonical_address, p_title, p_body, p_actor, p_unit_kind, p_section_type, p_owner_ref,
                  p_publication_type, p_parent_ref) END;
COMMENT ON FUNCTION public.fn_iu_create IS
  'Creates a unit with its first version, as a draft, or nothing: address, title, text (an empty one as __EMPTY__), '
  'who; kind and section type (NULL: by iu_create.default_unit_kind and default_section_type), owner (NULL: the '
  'actor), publication type, parent. Returns {status: created, unit_id, version_id, canonical_address, unit_kind, '
  'lifecycle_status, content_hash}. Again for the same address: exists_complete, with the ids of the unit as it is. '
  'Refusals {status, field, guidance, next_action}: invalid_input (canonical_address, title, body, actor, owner_ref, '
  'unit_kind, section_type, publication_type, parent_ref), tree_too_deep (parent_ref has 64 units above it), and where '
  'what has the address needs a person: exists_missing_birth, exists_missing_version, exists_anchor_invalid, '
  'exists_duplicate_version, exists_unknown_state (a deleted unit keeps its address). SQLSTATE 25000: another '
  'isolation level than READ COMMITTED; 23514: somebody moved the parent deeper meanwhile.';

CREATE FUNCTION iu.fn_iu_create_plan(
    p_canonical_address text, p_title text, p_body text, p_actor text, p_unit_kind text, p_section_type text,
    p_owner_ref text, p_publication_type text, p_parent_ref uuid)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN iu.fn_iu_create_check(p_canonical_address, p_title, p_body, p_actor, p_unit_kind, p_section_type,
    p_owner_ref, p_publication_type, p_parent_ref);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_create_plan IS
  'What public.fn_iu_create_plan hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_create_plan(
    p_canonical_address text, p_title text, p_body text, p_actor text, p_unit_kind text DEFAULT NULL,
    p_section_type text DEFAULT NULL, p_owner_ref text DEFAULT NULL, p_publication_type text DEFAULT NULL,
    p_parent_ref uuid DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_create_plan(p_canonical_address, p_title, p_body, p_actor, p_unit_kind, p_section_type, p_owner_ref,
                       p_publication_type, p_parent_ref) END;
COMMENT ON FUNCTION public.fn_iu_create_plan IS
  'What fn_iu_create would do with the same arguments, without doing it: {status: plan_ok, canonical_address, '
  'unit_kind, section_type, lifecycle_status, owner_ref, content_hash}, or what it would answer instead.';
