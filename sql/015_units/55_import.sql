-- Creating many units at once. Everything is asked and written set-wise: a row
-- costs what its triggers cost and little more.

CREATE FUNCTION iu.fn_iu_import_field(p_row jsonb) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
AS $function$
DECLARE
  c_texts CONSTANT text[] := ARRAY['canonical_address', 'title', 'body', 'unit_kind', 'section_type', 'owner_ref',
    'publication_type', 'parent_ref', 'parent_address', 'doc_code', 'section_code'];
BEGIN
  IF jsonb_typeof(p_row) <> 'object' THEN
    RETURN 'row';
  ELSIF p_row - c_texts - 'sort_order' <> '{}' THEN
    RETURN (SELECT left(min(k.key COLLATE "C"), 100) FROM jsonb_object_keys(p_row - c_texts - 'sort_order') AS k (key));
  END IF;
  RETURN (SELECT min(f.key COLLATE "C") FROM jsonb_each(p_row) AS f (key, value)
           WHERE CASE WHEN f.value = 'null' THEN false
                      WHEN f.key = 'sort_order' THEN NOT (jsonb_typeof(f.value) = 'number'
                        AND f.value::text ~ '^-?[0-9]{1,10}$'
                        AND f.value::text::bigint BETWEEN -2147483648 AND 2147483647)
                      WHEN f.key = 'parent_ref' THEN jsonb_typeof(f.value) <> 'string' OR f.value #>> '{}'
                        !~ '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$'
                      ELSE jsonb_typeof(f.value) <> 'string' END);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_import_field IS
  'For fn_iu_import, which pins its search_path: what of a row is no argument or has another type, by its key, or '
  '"row" where it is no object; NULL: nothing. Raises nothing.';

-- One row of the import, as it is read: what is wrong with it alone, and what it says.
CREATE FUNCTION iu.fn_iu_import_parsed(p_rows jsonb, p_actor text)
  RETURNS TABLE (row_number integer, field text, address text, title text, body text, unit_kind text,
                 section_type text, owner_ref text, publication_type text, parent_ref uuid, parent_address text,
                 doc_code text, section_code text, sort_order integer)
  LANGUAGE plpgsql STABLE ROWS 10000
AS $function$
DECLARE
  v_kinds        CONSTANT text[] := iu.fn_iu_vocab_values('unit_kind');
  v_sections     CONSTANT text[] := iu.fn_iu_vocab_values('section_type');
  v_publications CONSTANT text[] := iu.fn_iu_vocab_values('publication_type');
  v_kind         CONSTANT text :=
    iu.fn_iu_resolve_default('unit_kind', NULL, 'iu_create.default_unit_kind') ->> 'value';
  v_section      CONSTANT text :=
    iu.fn_iu_resolve_default('section_type', NULL, 'iu_create.default_section_type') ->> 'value';
BEGIN
  RETURN QUERY
    WITH read AS MATERIALIZED (
      SELECT e.n::integer AS n, iu.fn_iu_import_field(e.row) AS wrong, e.row
        FROM jsonb_array_elements(p_rows) WITH ORDINALITY AS e (row, n)
    ), typed AS (
      SELECT r.n, r.wrong, t.*, row_number() OVER (PARTITION BY t.canonical_address ORDER BY r.n) AS nth
        FROM read r
        CROSS JOIN LATERAL jsonb_to_record(CASE WHEN r.wrong IS NULL THEN r.row ELSE '{}' END) AS t (
          canonical_address text, title text, body text, unit_kind text, section_type text, owner_ref text,
          publication_type text, parent_ref uuid, parent_address text, doc_code text, section_code text,
          sort_order integer)
    )
    SELECT t.n,
           CASE WHEN t.wrong IS NOT NULL THEN t.wrong
                WHEN iu.fn_iu_create_texts_check(t.canonical_address, t.title, t.body, p_actor, t.owner_ref) IS NOT NULL
                  THEN iu.fn_iu_create_texts_check(t.canonical_address, t.title, t.body, p_actor, t.owner_ref)
                WHEN t.nth > 1 THEN 'canonical_address'
                WHEN coalesce(t.unit_kind, v_kind) = ANY (v_kinds) IS NOT TRUE THEN 'unit_kind'
                WHEN coalesce(t.section_type, v_section) = ANY (v_sections) IS NOT TRUE THEN 'section_type'
                WHEN t.publication_type <> ALL (v_publications) THEN 'publication_type'
                WHEN t.parent_ref IS NOT NULL AND t.parent_address IS NOT NULL THEN 'parent_address'
                WHEN t.doc_code IS NOT NULL AND (iu_core.text_problem(t.doc_code, false) IS NOT NULL
                     OR length(t.doc_code) > 190 OR t.doc_code <> btrim(t.doc_code)) THEN 'doc_code'
                WHEN t.section_code IS NOT NULL AND iu_core.text_problem(t.section_code, false) IS NOT NULL
                  THEN 'section_code' END,
           t.canonical_address, t.title, iu.fn_iu_body(t.body), coalesce(t.unit_kind, v_kind),
           coalesce(t.section_type, v_section), coalesce(t.owner_ref, p_actor), t.publication_type, t.parent_ref,
           t.parent_address, t.doc_code, t.section_code, t.sort_order
      FROM typed t;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_import_parsed IS
  'For fn_iu_import, which pins its search_path: the rows of an import with their types, defaults filled in, and '
  'field: the first that is wrong of the row by itself, or NULL. Arguments: the rows, the actor. Raises nothing.';

-- How deep each row would be. A row is looked at once, however long the chain is.
CREATE FUNCTION iu.fn_iu_import_depths(p_parent_rows integer[], p_depths integer[]) RETURNS integer[]
  LANGUAGE plpgsql IMMUTABLE
AS $function$
DECLARE
  v_depths integer[] := p_depths;
  v_way    integer[] := '{}';
  v_at     integer;
  v_depth  integer;
BEGIN
  FOR v_row IN 1 .. coalesce(cardinality(p_parent_rows), 0) LOOP
    v_at := v_row;
    v_way := '{}';
    WHILE v_depths[v_at] IS NULL LOOP
      v_way := array_append(v_way, v_at);
      -- Who comes here again is on a circle, unless its depth is known by then.
      v_depths[v_at] := -1;
      v_at := p_parent_rows[v_at];
    END LOOP;
    v_depth := v_depths[v_at];
    FOR v_back IN REVERSE cardinality(v_way) .. 1 LOOP
      v_depth := CASE WHEN v_depth < 0 THEN -1 ELSE v_depth + 1 END;
      v_depths[v_way[v_back]] := v_depth;
    END LOOP;
  END LOOP;
  RETURN v_depths;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_import_depths IS
  'For fn_iu_import, which pins its search_path: how many units would be above each row, -1: it is on a circle or '
  'below one. Arguments, an element a row: its parent among the rows, or its depth where that is not one of them. '
  'Raises nothing.';

-- What becomes of each row: new (id: the one that it gets), existing (id: the one
-- that it has), or a refusal. A parent may be a unit that is there, or any row of
-- the same import; rows that are their own ancestors are refused. What is looked up
-- among units is looked up by its key, row by row; what is compared among the rows
-- has no condition that a planner would take for a rare one.
CREATE FUNCTION iu.fn_iu_import_rows(p_rows jsonb, p_actor text)
  RETURNS TABLE (row_number integer, status text, field text, id uuid, version_id uuid, parent_id uuid, address text,
                 title text, body text, unit_kind text, section_type text, owner_ref text, publication_type text,
                 doc_code text, section_code text, sort_order integer)
  LANGUAGE plpgsql VOLATILE
AS $function$
BEGIN
  RETURN QUERY
    WITH found AS MATERIALIZED (
      SELECT p.*, CASE WHEN p.field IS NULL THEN
               (SELECT u.id FROM public.information_unit u WHERE u.canonical_address = p.address) END AS old_id,
             gen_random_uuid() AS new_id, gen_random_uuid() AS new_version
        FROM iu.fn_iu_import_parsed(p_rows, p_actor) p
    ), placed AS MATERIALIZED (
      SELECT f.*, CASE WHEN f.field IS NOT NULL THEN 'invalid_input'
                       WHEN f.old_id IS NULL THEN 'new'
                       ELSE replace(iu.fn_iu_classify_existing(f.address), 'exists_complete', 'existing')
                       END AS verdict,
             CASE WHEN f.field IS NULL THEN f.address END AS good_address,
             CASE WHEN f.field IS NULL AND f.old_id IS NULL THEN f.parent_address END AS wanted_address
        FROM found f
    ), related AS MATERIALIZED (
      SELECT c.*, b.row_number AS parent_row, b.verdict AS parent_verdict,
             CASE WHEN c.verdict <> 'new' THEN NULL WHEN b.verdict = 'new' THEN b.new_id
                  ELSE coalesce(b.old_id,
                    (SELECT o.id FROM public.information_unit o
                      WHERE o.canonical_address = c.wanted_address AND o.deleted_at IS NULL),
                    (SELECT r.id FROM public.information_unit r
                      WHERE r.id = c.parent_ref AND r.deleted_at IS NULL)) END AS parent
        FROM placed c
        LEFT JOIN placed b ON b.good_address = c.wanted_address
    ), placed_below AS MATERIALIZED (
      SELECT d.parent, iu.fn_iu_units_above(d.parent) + 1 AS depth
        FROM (SELECT DISTINCT x.parent FROM related x
               WHERE x.verdict = 'new' AND x.parent_verdict IS DISTINCT FROM 'new' AND x.parent IS NOT NULL) AS d
    ), deep AS MATERIALIZED (
      SELECT d.depth, d.n
        FROM (SELECT array_agg(CASE WHEN y.parent_verdict = 'new' THEN y.parent_row END
                               ORDER BY y.row_number) AS parents,
                     array_agg(CASE WHEN y.parent_verdict IS DISTINCT FROM 'new' THEN coalesce(e.depth, 0) END
                               ORDER BY y.row_number) AS depths
                FROM related y LEFT JOIN placed_below e ON e.parent = y.parent) AS a
       CROSS JOIN LATERAL unnest(iu.fn_iu_import_depths(a.parents, a.depths)) WITH ORDINALITY AS d (depth, n)
    )
    SELECT x.row_number,
           CASE WHEN x.verdict <> 'new' THEN x.verdict
                WHEN x.parent IS NULL AND (x.parent_ref IS NOT NULL OR x.parent_address IS NOT NULL)
                     OR t.depth < 0 THEN 'invalid_input'
                WHEN t.depth > iu.fn_iu_tree_max_depth() THEN 'tree_too_deep'
                ELSE 'new' END,
           CASE WHEN x.verdict = 'invalid_input' THEN x.field
                WHEN x.verdict NOT IN ('new', 'existing') THEN 'canonical_address'
                WHEN x.verdict = 'new' AND (x.parent IS NULL OR t.depth > iu.fn_iu_tree_max_depth())
                     AND x.parent_ref IS NOT NULL THEN 'parent_ref'
                WHEN x.verdict = 'new' AND (x.parent IS NULL AND x.parent_address IS NOT NULL
                                            OR t.depth < 0 OR t.depth > iu.fn_iu_tree_max_depth())
                  THEN 'parent_address' END,
           CASE x.verdict WHEN 'new' THEN x.new_id ELSE x.old_id END, x.new_version, x.parent, x.address, x.title,
           x.body, x.unit_kind, x.section_type, x.owner_ref, x.publication_type, x.doc_code, x.section_code,
           x.sort_order
      FROM related x JOIN deep t ON t.n = x.row_number;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_import_rows IS
  'For fn_iu_import, which pins its search_path: what becomes of each row of an import: status new, existing, '
  'invalid_input or tree_too_deep with its field, or one of the exists_ states; ids, and the row itself. Arguments: '
  'the rows, the actor.';

CREATE FUNCTION iu.fn_iu_import_write(p_rows jsonb, p_actor text, p_dry_run boolean) RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_result jsonb;
BEGIN
  WITH row AS MATERIALIZED (
    SELECT * FROM iu.fn_iu_import_rows(p_rows, p_actor)
  ), verdict AS MATERIALIZED (
    SELECT count(*) AS seen, count(*) FILTER (WHERE r.status = 'new') AS fresh,
           count(*) FILTER (WHERE r.status = 'existing') AS existing,
           coalesce(jsonb_agg(jsonb_build_object('row', r.row_number, 'status', r.status, 'field', r.field)
                              ORDER BY r.row_number) FILTER (WHERE r.status NOT IN ('new', 'existing')), '[]')
             AS refused
      FROM row r
  ), unit AS (
    INSERT INTO public.information_unit
        (id, canonical_address, unit_kind, content_anchor_ref, version_anchor_ref, owner_ref,
         parent_or_container_ref, identity_profile, created_by, updated_by, doc_code, section_type, section_code,
         sort_order)
      SELECT r.id, r.address, r.unit_kind, encode(sha256(convert_to(r.body, 'UTF8')), 'hex'), r.version_id, r.owner_ref,
             r.parent_id, iu.fn_iu_profile(r.title, r.owner_ref, r.section_type, r.publication_type), p_actor, p_actor,
             r.doc_code, r.section_type, r.section_code, r.sort_order
        FROM row r, verdict v
       WHERE r.status = 'new' AND NOT p_dry_run AND v.refused = '[]'
       ORDER BY r.address COLLATE "C"
      RETURNING id, version_anchor_ref, content_anchor_ref
  ), version AS (
    INSERT INTO public.unit_version (id, unit_id, body, content_hash, version_seq, created_by)
      SELECT u.version_anchor_ref, u.id, r.body, u.content_anchor_ref, 1, p_actor
        FROM unit u JOIN row r ON r.id = u.id AND r.status = 'new'
      RETURNING unit_id
  )
  SELECT jsonb_build_object(
           'status', CASE WHEN v.refused = '[]' THEN CASE WHEN p_dry_run THEN 'would_import' ELSE 'imported' END
                          WHEN p_dry_run THEN 'would_refuse' ELSE 'refused' END,
           'seen', v.seen, 'created', CASE WHEN p_dry_run THEN v.fresh ELSE (SELECT count(*) FROM version) END,
           'existing', v.existing, 'refused', v.refused,
           'ids', (SELECT jsonb_agg(x.unit_id) FROM version x))
    INTO v_result FROM verdict v;
  RETURN v_result;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_import_write IS
  'For fn_iu_import, which pins its search_path and whose marker is in force: one attempt at the import, all in one '
  'statement: what fn_iu_import returns, and ids of what was created. Errors: 23505 and 23503 where somebody else '
  'created a unit of the import, or removed a parent, since it was looked at.';

-- Locked in the order of their addresses, as by others that lock several units: the
-- foreign key alone would lock them in that of their new children.
CREATE FUNCTION iu.fn_iu_import_keep(p_rows jsonb) RETURNS void
  LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM FROM public.information_unit u
    WHERE u.id IN (
      WITH named AS MATERIALIZED (
        SELECT DISTINCT e.row ->> 'parent_address' AS address, e.row ->> 'parent_ref' AS ref
          FROM jsonb_array_elements(p_rows) AS e (row)
      )
      SELECT p.id FROM named n JOIN public.information_unit p ON p.canonical_address = n.address
      UNION
      SELECT CASE WHEN n.ref ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN n.ref::uuid END
        FROM named n)
    ORDER BY u.canonical_address COLLATE "C" FOR KEY SHARE;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_import_keep IS
  'For fn_iu_import, which pins its search_path: whoever deletes one of the parents that the rows name, and that there '
  'are already, waits until the transaction ends, or is seen afterwards. Argument: the rows.';

CREATE FUNCTION iu.fn_iu_import(p_rows jsonb, p_actor text, p_dry_run boolean) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off
  SET app.canonical_writer = 'fn_iu_import'
AS $function$
DECLARE
  v_result jsonb;
  v_ids    uuid[];
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_import');
  IF p_rows IS NULL OR jsonb_typeof(p_rows) <> 'array' THEN
    RETURN iu.fn_iu_invalid('rows', jsonb_typeof(p_rows), 'an array of objects');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters');
  ELSIF p_dry_run IS NULL THEN
    RETURN iu.fn_iu_invalid('dry_run', NULL, 'true or false');
  ELSIF jsonb_array_length(p_rows) > 10000 THEN
    RETURN iu.fn_iu_answer('too_many_rows', 'rows',
      format('One call takes up to 10000 rows, not %s.', jsonb_array_length(p_rows)), 'call_again_with_fewer_rows');
  ELSIF pg_column_size(p_rows) > 67108864 THEN
    RETURN iu.fn_iu_answer('too_many_rows', 'rows',
      format('One call takes up to 67108864 bytes, not %s.', pg_column_size(p_rows)), 'call_again_with_fewer_rows');
  END IF;

  IF NOT p_dry_run THEN
    PERFORM iu.fn_iu_import_keep(p_rows);
  END IF;
  -- Who creates one of the units between the look and the write is seen at the next look.
  FOR v_attempt IN 1 .. 3 LOOP
    BEGIN
      v_result := iu.fn_iu_import_write(p_rows, p_actor, p_dry_run);
      EXIT;
    EXCEPTION WHEN unique_violation OR foreign_key_violation THEN
      IF v_attempt = 3 THEN
        RAISE;
      END IF;
    END;
  END LOOP;
  SELECT array_agg(x.id::uuid) INTO v_ids FROM jsonb_array_elements_text(v_result -> 'ids') AS x (id)
   WHERE jsonb_typeof(v_result -> 'ids') = 'array';
  IF v_ids IS NOT NULL THEN
    PERFORM iu.fn_iu_require_effect(
      (SELECT count(*) FROM public.iu_birth_record b WHERE b.unit_id = ANY (v_ids)) = cardinality(v_ids),
      'public.information_unit', 'importing the units');
    PERFORM iu.fn_iu_piece_events_try('created', v_ids, p_actor);
  END IF;
  RETURN v_result - 'ids';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_import IS
  'What public.fn_iu_import hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_import(p_rows jsonb, p_actor text, p_dry_run boolean DEFAULT true) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_import(p_rows, p_actor, p_dry_run) END;
COMMENT ON FUNCTION public.fn_iu_import IS
  'Creates many units at once, each as fn_iu_create does, all of them or none: an array of up to 10000 objects in 64 '
  'MB, who, and whether only to look (the default). Keys of an object: canonical_address, title, body, unit_kind, '
  'section_type, owner_ref, publication_type, parent_ref, and doc_code, sort_order, section_code, parent_address (of '
  'a unit that is there, or of any row). Returns {status, seen, created, existing: complete units that have the '
  'address and stay as they are, refused: [{row: its number from 1, status, field}]}; status imported or refused, or '
  'of a dry run would_import or would_refuse, where created says how many it would be. Row refusals: invalid_input '
  '(row: no object; a key that there is not; a value), tree_too_deep (more than 64 units would be above it), '
  'exists_missing_birth and the other states of fn_iu_create. Refusals of the call: invalid_input (rows, actor, '
  'dry_run), too_many_rows. SQLSTATE 25000: another isolation level than READ COMMITTED; 23514: somebody moved a '
  'parent deeper meanwhile.';
