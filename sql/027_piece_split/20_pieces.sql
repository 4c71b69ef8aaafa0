-- What splitting and merging have in common: what they ask, and the units that
-- they make.

CREATE FUNCTION iu.fn_iu_piece_set_key(p_address text, p_addresses text[]) RETURNS text
  LANGUAGE sql STABLE
RETURN iu.fn_content_hash(
  p_address || '|||' || (SELECT string_agg(a.address, '|||' ORDER BY a.address COLLATE "C")
                           FROM unnest(p_addresses) AS a (address)));
COMMENT ON FUNCTION iu.fn_iu_piece_set_key IS
  'The idempotency_key of a split or a merge: SHA-256 in hex of the address on the one side, "|||", and those on the '
  'other, sorted and joined with "|||". Raises nothing.';

-- Whether there is a decision at all. Whether it allows the act is asked when all
-- else is known to be right.
CREATE FUNCTION iu.fn_iu_decision_given(p_review_decision_id uuid, p_operation text) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_refusal CONSTANT jsonb := iu.fn_iu_review_decision_check(p_review_decision_id, p_operation, '{}');
BEGIN
  RETURN CASE WHEN v_refusal ->> 'status' IN ('invalid_input', 'review_decision_not_found') THEN v_refusal END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_decision_given IS
  'For functions that pin its search_path: the refusal of a decision that was left out or that there is not, or NULL. '
  'Arguments: the decision, the operation.';

CREATE FUNCTION iu.fn_iu_piece_spec_refusal(p_spec jsonb, p_field text, p_what text, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  c_keys    CONSTANT text[] := ARRAY['canonical_address', 'title', 'body'];
  v_address CONSTANT text := p_spec ->> 'canonical_address';
  v_title   CONSTANT text := p_spec ->> 'title';
  v_body    CONSTANT text := p_spec ->> 'body';
  v_wrong   text;
  v_refusal jsonb;
BEGIN
  IF coalesce(jsonb_typeof(p_spec), 'null') <> 'object' THEN
    RETURN iu.fn_iu_answer('invalid_input', p_field,
      format('%s must be an object with canonical_address, title and body.', p_what), 'correct_the_argument');
  END IF;
  SELECT min(f.key COLLATE "C") INTO v_wrong FROM jsonb_each(p_spec) AS f (key, value)
   WHERE f.key <> ALL (c_keys) OR jsonb_typeof(f.value) NOT IN ('string', 'null');
  IF v_wrong IS NOT NULL THEN
    RETURN iu.fn_iu_answer('invalid_input', p_field,
      format('%s: %s is not one of the texts canonical_address, title and body.', p_what,
             iu_core.text_shown(v_wrong)), 'correct_the_argument');
  END IF;
  v_wrong := iu.fn_iu_create_texts_check(v_address, v_title, v_body, p_actor, NULL);
  IF v_wrong IS NOT NULL THEN
    v_refusal := iu.fn_iu_create_text_refusal(v_wrong, v_address, v_title, v_body, p_actor, NULL);
    RETURN v_refusal || jsonb_build_object('field', p_field,
      'guidance', format('%s: %s', p_what, v_refusal ->> 'guidance'));
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_spec_refusal IS
  'For functions that pin its search_path: the refusal invalid_input of a unit that is to be made, or NULL: an object '
  'with canonical_address, title and body, all of them texts, an empty body as __EMPTY__. Arguments: the object, the '
  'argument that it is of, how it is called in a sentence, the actor.';

CREATE FUNCTION iu.fn_iu_piece_source_refusal(
    p_unit public.information_unit, p_address text, p_field text, p_to text)
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE
  WHEN (p_unit).id IS NULL
    THEN iu.fn_iu_answer('source_iu_not_found', p_field, format('There is no unit %s.', iu_core.text_shown(p_address)),
           'correct_the_argument')
  WHEN (p_unit).deleted_at IS NOT NULL OR (p_unit).lifecycle_status IN ('retired', 'superseded')
    THEN iu.fn_iu_fsm_denied(CASE WHEN (p_unit).deleted_at IS NULL THEN (p_unit).lifecycle_status ELSE 'deleted' END,
           p_to, ARRAY['draft', 'enacted', 'deprecated'], 'choose_another_unit')
         || jsonb_build_object('field', p_field) END;
COMMENT ON FUNCTION iu.fn_iu_piece_source_refusal IS
  'Why a unit is not split or merged, or NULL: source_iu_not_found, fsm_denied (deleted, retired, superseded). '
  'Arguments: the unit, its address as given, the argument that it is of, split or merged.';

-- All in one statement, so that the units are complete wherever constraints are not
-- deferred, in the order of their addresses.
CREATE FUNCTION iu.fn_iu_pieces_write(
    p_pattern public.information_unit, p_specs jsonb, p_after integer, p_actor text)
  RETURNS uuid[]
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_section CONSTANT text := coalesce(p_pattern.section_type,
    p_pattern.identity_profile ->> 'primary_section_type_ref');
  v_ids     uuid[];
BEGIN
  WITH spec AS MATERIALIZED (
    SELECT e.n::integer AS n, gen_random_uuid() AS id, gen_random_uuid() AS version_id,
           e.spec ->> 'canonical_address' AS address, e.spec ->> 'title' AS title,
           iu.fn_iu_body(e.spec ->> 'body') AS body
      FROM jsonb_array_elements(p_specs) WITH ORDINALITY AS e (spec, n)
  ), unit AS (
    INSERT INTO public.information_unit
        (id, canonical_address, unit_kind, content_anchor_ref, version_anchor_ref, owner_ref,
         parent_or_container_ref, identity_profile, created_by, updated_by, doc_code, section_type, section_code,
         sort_order)
      SELECT s.id, s.address, p_pattern.unit_kind, encode(sha256(convert_to(s.body, 'UTF8')), 'hex'), s.version_id,
             p_pattern.owner_ref, p_pattern.parent_or_container_ref,
             iu.fn_iu_profile(s.title, p_pattern.owner_ref, v_section,
                              p_pattern.identity_profile ->> 'publication_type_ref'),
             p_actor, p_actor, p_pattern.doc_code, p_pattern.section_type, p_pattern.section_code,
             CASE WHEN p_after <= 2147483647 - s.n THEN p_after + s.n WHEN p_after IS NOT NULL THEN 2147483647 END
        FROM spec s ORDER BY s.address COLLATE "C"
      RETURNING id, version_anchor_ref, content_anchor_ref
  ), version AS (
    INSERT INTO public.unit_version (id, unit_id, body, content_hash, version_seq, created_by)
      SELECT u.version_anchor_ref, u.id, s.body, u.content_anchor_ref, 1, p_actor
        FROM unit u JOIN spec s ON s.id = u.id
  )
  SELECT array_agg(s.id ORDER BY s.n) INTO v_ids FROM spec s;
  PERFORM iu.fn_iu_require_effect(
    (SELECT count(*) FROM public.information_unit u
       JOIN public.unit_version v ON v.id = u.version_anchor_ref AND v.unit_id = u.id
       JOIN public.iu_birth_record b ON b.unit_id = u.id
      WHERE u.id = ANY (v_ids) AND v.content_hash = u.content_anchor_ref) = cardinality(v_ids),
    'public.information_unit', 'making the units');
  PERFORM iu.fn_iu_metadata_refresh(v_ids);
  RETURN v_ids;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pieces_write IS
  'For functions that pin its search_path and whose marker is in force: makes drafts of the kind, owner, parent, '
  'document and section of a unit, derives their tags, and returns their ids in the order that was given. Arguments: '
  'that unit, an array of objects as fn_iu_piece_spec_refusal asks for, the sort_order after which they come, who. '
  'Errors: 23505 where somebody else has taken an address; those of the birth checks.';

-- ---- taking back

CREATE FUNCTION iu.fn_iu_piece_is_touched(p_unit public.information_unit) RETURNS boolean
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN p_unit.updated_at <> p_unit.created_at OR p_unit.updated_by <> p_unit.created_by
    OR EXISTS (SELECT FROM public.unit_version v WHERE v.unit_id = p_unit.id AND v.version_seq > 1)
    OR EXISTS (SELECT FROM public.iu_edit_draft d WHERE d.unit_id = p_unit.id)
    OR EXISTS (SELECT FROM public.iu_metadata_tag t WHERE t.unit_id = p_unit.id AND t.enrichment_source <> 'derived');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_is_touched IS
  'For functions that pin its search_path: whether somebody has done something with a unit since it was made: changed '
  'it, saved an edit or a comment, or given it a tag.';

CREATE FUNCTION iu.fn_iu_split_use(p_unit_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (SELECT 'it was split itself, split set ' || s.id FROM public.iu_split_set s
           WHERE s.source_iu_id = p_unit_id AND s.rolled_back_at IS NULL ORDER BY s.created_at, s.id LIMIT 1);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_split_use IS
  'For iu.fn_iu_unit_in_use: that a unit is the source of a split which was not taken back, in words, or NULL. '
  'Argument: the unit. Raises nothing.';
SELECT iu.fn_iu_hook_add(27, 'iu.fn_iu_unit_in_use(uuid)', 'iu.fn_iu_split_use(uuid)');

CREATE FUNCTION iu.fn_iu_pieces_kept(p_unit_ids uuid[], p_field text) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_unit public.information_unit;
  v_use  text;
BEGIN
  FOR v_unit IN SELECT u.* FROM public.information_unit u WHERE u.id = ANY (p_unit_ids) AND u.deleted_at IS NULL
                 ORDER BY u.canonical_address COLLATE "C" LOOP
    IF v_unit.lifecycle_status <> 'draft' THEN
      RETURN iu.fn_iu_answer('child_not_draft', p_field,
        format('Unit %s is %s.', iu_core.text_shown(v_unit.canonical_address), v_unit.lifecycle_status),
        'fn_iu_retire');
    ELSIF iu.fn_iu_piece_is_touched(v_unit) THEN
      RETURN iu.fn_iu_answer('child_changed', p_field,
        format('Somebody has worked on unit %s since.', iu_core.text_shown(v_unit.canonical_address)), 'fn_iu_retire');
    END IF;
    v_use := CASE WHEN EXISTS (SELECT FROM public.information_unit c
                                WHERE c.parent_or_container_ref = v_unit.id AND c.deleted_at IS NULL)
                  THEN 'other units are part of it' ELSE iu.fn_iu_unit_in_use(v_unit.id) END;
    IF v_use IS NOT NULL THEN
      RETURN iu.fn_iu_answer('child_in_use', p_field,
        format('Unit %s is in use: %s.', iu_core.text_shown(v_unit.canonical_address), v_use), 'end_its_use_first');
    END IF;
  END LOOP;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pieces_kept IS
  'For functions that pin its search_path: why units that a split or a merge made are not deleted, or NULL: '
  'child_not_draft, child_changed, child_in_use, of the first by address. Arguments: the units, of which those that '
  'are deleted do not count; the argument that the refusal names.';

CREATE FUNCTION iu.fn_iu_pieces_delete(p_unit_ids uuid[], p_actor text) RETURNS void
  LANGUAGE plpgsql
AS $function$
BEGIN
  UPDATE public.information_unit u SET deleted_at = clock_timestamp(), updated_by = p_actor
   WHERE u.id = ANY (p_unit_ids) AND u.deleted_at IS NULL;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.information_unit u WHERE u.id = ANY (p_unit_ids) AND u.deleted_at IS NULL),
    'public.information_unit', 'deleting the units');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pieces_delete IS
  'For functions that pin its search_path and whose marker is in force: marks units as deleted: the units, who.';

CREATE FUNCTION iu.fn_iu_set_rollback_check(
    p_set_field text, p_set_id uuid, p_actor text, p_reason text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE
  WHEN p_set_id IS NULL THEN iu.fn_iu_invalid(p_set_field, NULL, 'the id of a split or a merge')
  WHEN iu_core.text_problem(p_actor, false) IS NOT NULL
    THEN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters')
  WHEN iu_core.text_problem(p_reason, true) IS NOT NULL
    THEN iu.fn_iu_invalid('reason', p_reason, 'why, in up to 2000 characters in one line')
  WHEN p_dry_run IS NULL THEN iu.fn_iu_invalid('dry_run', NULL, 'true or false') END;
COMMENT ON FUNCTION iu.fn_iu_set_rollback_check IS
  'The refusal invalid_input of what takes a split or a merge back, or NULL: the argument that names it, its id, '
  'actor, reason, dry run.';
