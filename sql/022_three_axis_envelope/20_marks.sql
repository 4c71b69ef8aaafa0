-- Marks: which units may have changed. One function for each table, called by
-- statement triggers, which see all rows of the statement at once; a statement
-- that changes nothing leaves no mark. A TRUNCATE that a subscription brings
-- empties nothing here, and the tables of the marks cannot be written meanwhile.

CREATE FUNCTION iu.fn_iu_envelope_mark(p_unit_ids uuid[]) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF cardinality(p_unit_ids) <= 100 THEN
    INSERT INTO public.iu_three_axis_envelope_mark (unit_ids) SELECT p_unit_ids WHERE p_unit_ids <> '{}';
  ELSE
    INSERT INTO public.iu_three_axis_envelope_mark (unit_ids)
      SELECT p_unit_ids[i : i + 99] FROM generate_series(1, cardinality(p_unit_ids), 100) AS i;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_mark IS
  'For the triggers: marks these units, 100 in a row; none: writes nothing. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_envelope_mark_all() RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT iu_core.is_replicated() THEN
    INSERT INTO public.iu_three_axis_envelope_mark (unit_ids) VALUES (NULL);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_mark_all IS
  'For the triggers of TRUNCATE: one mark for every unit, unless a subscription brought it. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_envelope_mark_units() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_touched uuid[];
  v_moved   uuid[];
BEGIN
  CASE TG_OP
    WHEN 'INSERT' THEN
      v_touched := ARRAY(SELECT n.id FROM new_rows n WHERE n.deleted_at IS NULL);
    WHEN 'DELETE' THEN
      v_touched := ARRAY(SELECT o.id FROM old_rows o WHERE o.deleted_at IS NULL);
    WHEN 'UPDATE' THEN
      SELECT coalesce(array_agg(x.id), '{}'), array_agg(x.id) FILTER (WHERE x.moved) INTO v_touched, v_moved
        FROM (SELECT coalesce(n.id, o.id) AS id,
                     n.parent_or_container_ref IS DISTINCT FROM o.parent_or_container_ref
                       OR n.canonical_address IS DISTINCT FROM o.canonical_address AS moved
                FROM old_rows o FULL JOIN new_rows n ON n.id = o.id
               WHERE (n.deleted_at IS NULL, n.canonical_address, n.unit_kind, n.section_type, n.lifecycle_status,
                      n.doc_code, n.sort_order, n.section_code, n.parent_or_container_ref, n.created_at, n.updated_at)
                  IS DISTINCT FROM
                     (o.deleted_at IS NULL, o.canonical_address, o.unit_kind, o.section_type, o.lifecycle_status,
                      o.doc_code, o.sort_order, o.section_code, o.parent_or_container_ref, o.created_at, o.updated_at)
             ) AS x;
      -- Units below one that has moved or has another address are marked as well: it is among those above them.
      IF v_moved IS NOT NULL THEN
        WITH RECURSIVE touched (id, goes_down) AS (
          SELECT t.id, t.id IN (SELECT m.id FROM unnest(v_moved) AS m (id)) FROM unnest(v_touched) AS t (id)
          UNION
          SELECT u.id, true
            FROM touched t JOIN public.information_unit u ON u.parent_or_container_ref = t.id
           WHERE t.goes_down)
        SELECT array_agg(DISTINCT t.id) INTO v_touched FROM touched t;
      END IF;
    ELSE
      PERFORM iu.fn_iu_envelope_mark_all();
      RETURN NULL;
  END CASE;
  -- Most statements change one unit: for them a call would be a fifth of what a mark costs.
  IF cardinality(v_touched) BETWEEN 1 AND 100 THEN
    INSERT INTO public.iu_three_axis_envelope_mark (unit_ids) VALUES (v_touched);
  ELSE
    PERFORM iu.fn_iu_envelope_mark(v_touched);
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_mark_units IS
  'Statement trigger on information_unit: marks the units that the statement made, changed or deleted, and those '
  'below one whose parent or address changed; after TRUNCATE one mark for all. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_envelope_mark_tags() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  CASE TG_OP
    WHEN 'INSERT' THEN
      PERFORM iu.fn_iu_envelope_mark(ARRAY(SELECT DISTINCT n.unit_id FROM new_rows n));
    WHEN 'DELETE' THEN
      PERFORM iu.fn_iu_envelope_mark(ARRAY(SELECT DISTINCT o.unit_id FROM old_rows o));
    WHEN 'UPDATE' THEN
      PERFORM iu.fn_iu_envelope_mark(ARRAY(
        SELECT DISTINCT x.unit_id
          FROM old_rows o FULL JOIN new_rows n ON n.id = o.id
         CROSS JOIN LATERAL (VALUES (o.unit_id), (n.unit_id)) AS x (unit_id)
         WHERE (n.unit_id, n.tag_key, n.enrichment_source)
               IS DISTINCT FROM (o.unit_id, o.tag_key, o.enrichment_source) AND x.unit_id IS NOT NULL));
    ELSE
      PERFORM iu.fn_iu_envelope_mark_all();
  END CASE;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_mark_tags IS
  'Statement trigger on iu_metadata_tag: marks the units whose tags the statement changed; after TRUNCATE one mark '
  'for all. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_envelope_mark_tag_kinds() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_touched CONSTANT uuid[] := ARRAY(
    SELECT DISTINCT t.unit_id
      FROM new_rows n JOIN old_rows o ON o.tag_key = n.tag_key AND o.tag_kind <> n.tag_kind
      JOIN public.iu_metadata_tag t ON t.tag_key = n.tag_key);
BEGIN
  IF v_touched <> '{}' THEN
    PERFORM iu.fn_iu_envelope_mark(v_touched);
    PERFORM iu_core.wake();
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_mark_tag_kinds IS
  'Statement trigger on iu_metadata_tag_registry: marks the units that have a tag whose kind changed, and wakes the '
  'runner, since no other trigger follows. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_envelope_mark_rows() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  CASE TG_OP
    WHEN 'INSERT' THEN
      PERFORM iu.fn_iu_envelope_mark(ARRAY(SELECT n.unit_id FROM new_rows n));
    WHEN 'DELETE' THEN
      PERFORM iu.fn_iu_envelope_mark(ARRAY(SELECT o.unit_id FROM old_rows o));
    WHEN 'UPDATE' THEN
      PERFORM iu.fn_iu_envelope_mark(ARRAY(SELECT n.unit_id FROM new_rows n UNION SELECT o.unit_id FROM old_rows o));
    ELSE
      PERFORM iu.fn_iu_envelope_mark_all();
  END CASE;
  PERFORM iu_core.wake();
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_mark_rows IS
  'Statement trigger on iu_three_axis_envelope: marks the units whose rows somebody wrote or deleted by hand, after '
  'TRUNCATE one mark for all, and wakes the runner, since no other trigger follows. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_envelope_tally() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  CASE TG_OP
    WHEN 'INSERT' THEN
      INSERT INTO public.iu_three_axis_envelope_tally (delta) SELECT count(*) FROM new_rows HAVING count(*) > 0;
    WHEN 'DELETE' THEN
      INSERT INTO public.iu_three_axis_envelope_tally (delta) SELECT -count(*) FROM old_rows HAVING count(*) > 0;
    ELSE
      -- Whoever wrote the table has ended: TRUNCATE waited for it.
      IF NOT iu_core.is_replicated() THEN
        INSERT INTO public.iu_three_axis_envelope_tally (delta)
          SELECT -sum(t.delta) FROM public.iu_three_axis_envelope_tally t HAVING sum(t.delta) <> 0;
      END IF;
  END CASE;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_tally IS
  'Statement trigger on iu_three_axis_envelope: notes by how much the number of its rows changed. Raises nothing of '
  'its own.';

CREATE FUNCTION iu.fn_iu_envelope_count() RETURNS bigint
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(sum(t.delta), 0)::bigint FROM public.iu_three_axis_envelope_tally t);
COMMENT ON FUNCTION iu.fn_iu_envelope_count IS
  'How many rows iu_three_axis_envelope has, without counting them. Raises nothing.';
