-- Axis B: tags. What follows from a unit's own columns is derived; the rest is
-- set by people and programs, each under its source.

CREATE FUNCTION iu.fn_iu_tag_register(p_tag_key text, p_tag_kind text, p_label text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_previous public.iu_metadata_tag_registry;
  v_status   text := 'registered';
  v_run_id   uuid;
BEGIN
  PERFORM iu.fn_iu_require_text('iu_tag_key', 'p_tag_key', 'a key, e.g. topic:architecture', p_tag_key, false);
  PERFORM iu.fn_iu_require_value(p_tag_key = btrim(p_tag_key), 'iu_tag_key', 'p_tag_key', 'without blanks at the ends',
    p_tag_key);
  PERFORM iu.fn_iu_require_value(p_tag_kind ~ '^[a-z][a-z0-9_]{0,62}$', 'iu_tag_kind', 'p_tag_kind',
    '1 to 63 small letters, digits or "_", with a letter first', p_tag_kind);
  PERFORM iu.fn_iu_require_text('iu_tag_label', 'p_label', 'what people read', p_label, false);
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  SELECT r.* INTO v_previous FROM public.iu_metadata_tag_registry r WHERE r.tag_key = p_tag_key FOR NO KEY UPDATE;
  IF FOUND AND (v_previous.tag_kind, v_previous.label) = (p_tag_kind, p_label) THEN
    v_status := 'unchanged';
  ELSIF FOUND THEN
    v_status := 'changed';
    UPDATE public.iu_metadata_tag_registry SET tag_kind = p_tag_kind, label = p_label WHERE tag_key = p_tag_key;
  ELSE
    INSERT INTO public.iu_metadata_tag_registry (tag_key, tag_kind, label, registered_by)
      VALUES (p_tag_key, p_tag_kind, p_label, p_actor);
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_tag_register', 'tag_key', p_tag_key, 'applied', p_actor, p_reason,
    jsonb_build_object('status', v_status, 'tag_kind', p_tag_kind, 'label', p_label,
      'previous', CASE WHEN v_previous.tag_key IS NOT NULL THEN to_jsonb(v_previous) END));
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_metadata_tag_registry r
             WHERE r.tag_key = p_tag_key AND r.tag_kind = p_tag_kind AND r.label = p_label),
    'public.iu_metadata_tag_registry', 'registering the tag');
  RETURN jsonb_build_object('status', v_status, 'tag_key', p_tag_key, 'tag_kind', p_tag_kind, 'label', p_label,
    'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tag_register IS
  'What public.fn_iu_tag_register hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_tag_register(p_tag_key text, p_tag_kind text, p_label text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_tag_register(p_tag_key, p_tag_kind, p_label, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_tag_register IS
  'Registers a tag, or changes its kind and label, and logs it: key, kind (such as topic), what people read, who, why. '
  'Returns {status: registered | changed | unchanged, tag_key, tag_kind, label, run_id}. SQLSTATE 23514: one of the '
  'arguments.';

-- One DELETE and one INSERT of what differs, and no statement where nothing does:
-- each would call the triggers of the table.
CREATE FUNCTION iu.fn_iu_derived_tags(p_unit_ids uuid[])
  RETURNS TABLE (unit_id uuid, tag_key text, tag_kind text, label text)
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN QUERY
    SELECT u.id, t.prefix || t.value, t.kind, t.value
      FROM public.information_unit u
      CROSS JOIN LATERAL (VALUES
        ('kind:', u.unit_kind, 'unit_kind'), ('sectype:', u.section_type, 'section_type'),
        ('doc:', u.doc_code, CASE u.unit_kind WHEN 'law_unit' THEN 'legal_document' ELSE 'document' END)
      ) AS t (prefix, value, kind)
     WHERE (p_unit_ids IS NULL OR u.id = ANY (p_unit_ids)) AND t.value IS NOT NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_derived_tags IS
  'For fn_iu_metadata_refresh, which pins its search_path: the tags that follow from the columns of units. Argument: '
  'the units, or NULL for all.';

CREATE FUNCTION iu.fn_iu_metadata_refresh(p_unit_ids uuid[]) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $function$
DECLARE
  v_surplus    bigint[];
  v_units      uuid[];
  v_keys       text[];
  v_registered integer := 0;
  v_assigned   bigint;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_metadata_refresh');
  IF EXISTS (SELECT FROM iu.fn_iu_derived_tags(p_unit_ids) d
              WHERE NOT EXISTS (SELECT FROM public.iu_metadata_tag_registry r WHERE r.tag_key = d.tag_key)) THEN
    INSERT INTO public.iu_metadata_tag_registry (tag_key, tag_kind, label, registered_by)
      SELECT DISTINCT ON (d.tag_key) d.tag_key, d.tag_kind, d.label, 'fn_iu_metadata_refresh'
        FROM iu.fn_iu_derived_tags(p_unit_ids) d ORDER BY d.tag_key, d.tag_kind DESC
      ON CONFLICT (tag_key) DO NOTHING;
    GET DIAGNOSTICS v_registered = ROW_COUNT;
  END IF;
  WITH wanted AS MATERIALIZED (
    SELECT d.unit_id, d.tag_key FROM iu.fn_iu_derived_tags(p_unit_ids) d
  ), had AS MATERIALIZED (
    SELECT t.id, t.unit_id, t.tag_key FROM public.iu_metadata_tag t
     WHERE t.enrichment_source = 'derived' AND (p_unit_ids IS NULL OR t.unit_id = ANY (p_unit_ids))
  ), compared AS (
    SELECT h.id, w.unit_id, w.tag_key
      FROM wanted w FULL JOIN had h ON h.unit_id = w.unit_id AND h.tag_key = w.tag_key
  )
  SELECT array_agg(c.id) FILTER (WHERE c.unit_id IS NULL),
         array_agg(c.unit_id ORDER BY c.unit_id, c.tag_key COLLATE "C") FILTER (WHERE c.id IS NULL),
         array_agg(c.tag_key ORDER BY c.unit_id, c.tag_key COLLATE "C") FILTER (WHERE c.id IS NULL), count(c.unit_id)
    INTO v_surplus, v_units, v_keys, v_assigned FROM compared c;
  IF v_surplus IS NOT NULL THEN
    DELETE FROM public.iu_metadata_tag t WHERE t.id = ANY (v_surplus);
  END IF;
  IF v_units IS NOT NULL THEN
    INSERT INTO public.iu_metadata_tag (unit_id, tag_key, enrichment_source, confidence, assigned_by)
      SELECT m.unit_id, m.tag_key, 'derived', 1, 'fn_iu_metadata_refresh'
        FROM unnest(v_units, v_keys) AS m (unit_id, tag_key)
      ON CONFLICT (unit_id, tag_key, enrichment_source) DO NOTHING;
  END IF;
  RETURN jsonb_build_object('ok', true,
    'iu_count', (SELECT count(*) FROM public.information_unit u WHERE p_unit_ids IS NULL OR u.id = ANY (p_unit_ids)),
    'vocabulary_registered', v_registered, 'tags_assigned', v_assigned,
    'tags_added', coalesce(cardinality(v_units), 0), 'tags_removed', coalesce(cardinality(v_surplus), 0));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_metadata_refresh IS
  'What public.fn_iu_metadata_refresh hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_metadata_refresh(p_unit_ids uuid[]) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_metadata_refresh(p_unit_ids) END;
COMMENT ON FUNCTION public.fn_iu_metadata_refresh IS
  'Derives the tags of units anew: kind:<unit_kind>, sectype:<section_type> and doc:<doc_code>, with source derived, '
  'and registers what is new among them. Argument: the units, or NULL for all. Only what differs is written. Returns '
  '{ok, iu_count, vocabulary_registered: tags that were new, tags_assigned: derived tags that the units have now, '
  'tags_added, tags_removed}. SQLSTATE 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_tag_check(
    p_canonical_address text, p_tag_key text, p_source text, p_confidence numeric, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN CASE
    WHEN iu.fn_iu_address_problem(p_canonical_address) IS NOT NULL
      THEN iu.fn_iu_invalid('canonical_address', p_canonical_address, iu.fn_iu_address_problem(p_canonical_address))
    WHEN iu_core.text_problem(p_tag_key, false) IS NOT NULL
      THEN iu.fn_iu_invalid('tag_key', p_tag_key, 'the key of a registered tag')
    WHEN coalesce(p_source, '') NOT IN ('confirmed', 'inferred', 'proposed')
      THEN iu.fn_iu_invalid('source', p_source, 'confirmed, inferred or proposed; what is derived follows by itself')
    WHEN p_confidence NOT BETWEEN 0 AND 1
      THEN iu.fn_iu_invalid('confidence', p_confidence::text, 'from 0 to 1, or NULL')
    WHEN iu_core.text_problem(p_actor, false) IS NOT NULL
      THEN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters')
    WHEN NOT EXISTS (SELECT FROM public.information_unit u
                      WHERE u.canonical_address = p_canonical_address AND u.deleted_at IS NULL)
      THEN iu.fn_iu_not_found(p_canonical_address)
    WHEN NOT EXISTS (SELECT FROM public.iu_metadata_tag_registry r WHERE r.tag_key = p_tag_key)
      THEN iu.fn_iu_answer('tag_not_registered', 'tag_key',
             format('There is no tag %s.', iu_core.text_shown(p_tag_key)), 'fn_iu_tag_register') END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tag_check IS
  'For fn_iu_tag_set and fn_iu_tag_unset, which pin its search_path: their refusal, or NULL.';

-- An upsert in two branches: a statement that may do either would call the
-- triggers of both.
CREATE FUNCTION iu.fn_iu_tag_set(
    p_canonical_address text, p_tag_key text, p_source text, p_confidence numeric, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal jsonb;
  v_unit_id uuid;
  v_tag     public.iu_metadata_tag;
  v_status  text;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_tag_set');
  SELECT u.id INTO v_unit_id FROM public.information_unit u
   WHERE u.canonical_address = p_canonical_address AND u.deleted_at IS NULL FOR KEY SHARE;
  v_refusal := iu.fn_iu_tag_check(p_canonical_address, p_tag_key, p_source, p_confidence, p_actor);
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  LOOP
    SELECT t.* INTO v_tag FROM public.iu_metadata_tag t
     WHERE t.unit_id = v_unit_id AND t.tag_key = p_tag_key AND t.enrichment_source = p_source FOR NO KEY UPDATE;
    IF FOUND AND v_tag.confidence IS NOT DISTINCT FROM p_confidence THEN
      v_status := 'unchanged';
    ELSIF FOUND THEN
      v_status := 'changed';
      UPDATE public.iu_metadata_tag t
         SET confidence = p_confidence, assigned_at = now(), assigned_by = p_actor WHERE t.id = v_tag.id;
    ELSE
      v_status := 'tagged';
      INSERT INTO public.iu_metadata_tag (unit_id, tag_key, enrichment_source, confidence, assigned_by)
        VALUES (v_unit_id, p_tag_key, p_source, p_confidence, p_actor)
        ON CONFLICT (unit_id, tag_key, enrichment_source) DO NOTHING
        RETURNING * INTO v_tag;
    END IF;
    EXIT WHEN v_tag.id IS NOT NULL;
  END LOOP;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_metadata_tag t
             WHERE t.id = v_tag.id AND t.confidence IS NOT DISTINCT FROM p_confidence),
    'public.iu_metadata_tag', 'setting the tag');
  RETURN jsonb_build_object('status', v_status, 'unit_id', v_unit_id, 'tag_id', v_tag.id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tag_set IS
  'What public.fn_iu_tag_set hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_tag_set(
    p_canonical_address text, p_tag_key text, p_source text, p_confidence numeric, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_tag_set(p_canonical_address, p_tag_key, p_source, p_confidence, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_tag_set IS
  'Gives a unit a tag, or changes how sure that is: address, tag, source (confirmed by a person, inferred or proposed '
  'by a program), confidence 0 to 1 or NULL, who. Returns {status: tagged | changed | unchanged, unit_id, tag_id}. '
  'Refusals {status, field, guidance, next_action}: invalid_input (canonical_address, tag_key, source, confidence, '
  'actor), iu_not_found, tag_not_registered. SQLSTATE 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_tag_unset(p_canonical_address text, p_tag_key text, p_source text, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal CONSTANT jsonb := iu.fn_iu_tag_check(p_canonical_address, p_tag_key, p_source, NULL, p_actor);
  v_tag_id  bigint;
  v_unit_id uuid;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_tag_unset');
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  SELECT u.id, t.id INTO v_unit_id, v_tag_id
    FROM public.information_unit u
    LEFT JOIN public.iu_metadata_tag t
      ON t.unit_id = u.id AND t.tag_key = p_tag_key AND t.enrichment_source = p_source
   WHERE u.canonical_address = p_canonical_address;
  IF v_tag_id IS NOT NULL THEN
    DELETE FROM public.iu_metadata_tag t WHERE t.id = v_tag_id;
    PERFORM iu.fn_iu_require_effect(NOT EXISTS (SELECT FROM public.iu_metadata_tag t WHERE t.id = v_tag_id),
      'public.iu_metadata_tag', 'taking the tag away');
  END IF;
  RETURN jsonb_build_object('status', CASE WHEN v_tag_id IS NULL THEN 'not_tagged' ELSE 'untagged' END,
    'unit_id', v_unit_id, 'tag_id', v_tag_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tag_unset IS
  'What public.fn_iu_tag_unset hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_tag_unset(p_canonical_address text, p_tag_key text, p_source text, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_tag_unset(p_canonical_address, p_tag_key, p_source, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_tag_unset IS
  'Takes a tag of one source from a unit: address, tag, source (confirmed, inferred, proposed), who. Returns {status: '
  'untagged | not_tagged, unit_id, tag_id}. Refusals and SQLSTATEs as fn_iu_tag_set.';
