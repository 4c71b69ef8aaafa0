-- The triggers that keep the paths.

-- One unit, as units mostly come: nothing is below it, so that it is on no cycle.
CREATE FUNCTION iu.fn_iu_tree_path_add(p_unit public.information_unit) RETURNS void
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_above public.iu_tree_path;
  v_ids   uuid[];
BEGIN
  IF p_unit.parent_or_container_ref IS NOT NULL THEN
    SELECT t.* INTO v_above FROM public.iu_tree_path t
     WHERE t.unit_id = p_unit.parent_or_container_ref FOR SHARE;
    -- Where the path of the parent was lost, it is written as well.
    IF NOT FOUND THEN
      PERFORM iu.fn_iu_tree_path_write(ARRAY[p_unit.id, p_unit.parent_or_container_ref], ARRAY[p_unit.id]);
      RETURN;
    END IF;
  END IF;
  v_ids := array_append(coalesce(v_above.path_ids, '{}'), p_unit.id);
  IF cardinality(v_ids) - 1 > iu.fn_iu_tree_depth_limit() THEN
    PERFORM iu.fn_iu_tree_refuse_depth(cardinality(v_ids) - 1, p_unit.canonical_address);
  END IF;
  INSERT INTO public.iu_tree_path
      (unit_id, root_unit_id, parent_id, depth, path_ids, path_addresses, sibling_order, path_hash)
    VALUES (p_unit.id, v_ids[1], p_unit.parent_or_container_ref, cardinality(v_ids) - 1, v_ids,
            array_append(coalesce(v_above.path_addresses, '{}'), p_unit.canonical_address), p_unit.sort_order,
            iu.fn_iu_path_hash(v_ids));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_path_add IS
  'For functions that pin its search_path: writes the path of one new unit. Argument: the unit. Error: 23514 where it '
  'would be too deep.';

-- A statement may bring parents and their children together. A plan over transition
-- tables looks dear to the planner, and compiling it costs more than it takes.
CREATE FUNCTION iu.fn_iu_tree_path_inserted() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $function$
DECLARE
  v_limit CONSTANT integer := iu.fn_iu_tree_depth_limit();
  v_new   bigint;
  v_added bigint;
  v_depth integer;
  v_deep  text;
  v_unit  public.information_unit;
BEGIN
  SELECT count(*) INTO v_new FROM new_unit;
  IF v_new = 0 THEN
    RETURN NULL;
  ELSIF v_new = 1 THEN
    SELECT n.* INTO v_unit FROM new_unit n;
    PERFORM iu.fn_iu_tree_path_add(v_unit);
    RETURN NULL;
  END IF;
  PERFORM FROM public.iu_tree_path t
    WHERE t.unit_id IN (SELECT n.parent_or_container_ref FROM new_unit n) ORDER BY t.unit_id FOR SHARE;
  -- Where the path of a parent was lost, it is written as well.
  IF EXISTS (SELECT FROM new_unit n
               LEFT JOIN new_unit o ON o.id = n.parent_or_container_ref
               LEFT JOIN public.iu_tree_path t ON t.unit_id = n.parent_or_container_ref
              WHERE n.parent_or_container_ref IS NOT NULL AND o.id IS NULL AND t.unit_id IS NULL) THEN
    PERFORM iu.fn_iu_tree_path_write(
      (SELECT array_agg(x.id) FROM (SELECT n.id FROM new_unit n
                                    UNION SELECT n.parent_or_container_ref FROM new_unit n
                                     WHERE n.parent_or_container_ref IS NOT NULL) AS x),
      (SELECT array_agg(n.id) FROM new_unit n));
    RETURN NULL;
  END IF;
  WITH RECURSIVE path AS (
    SELECT n.id, n.parent_or_container_ref AS parent, n.sort_order, coalesce(t.path_ids, '{}') || n.id AS ids,
           coalesce(t.path_addresses, '{}') || n.canonical_address AS addresses
      FROM new_unit n
      LEFT JOIN new_unit o ON o.id = n.parent_or_container_ref
      LEFT JOIN public.iu_tree_path t ON t.unit_id = n.parent_or_container_ref
     WHERE o.id IS NULL
    UNION ALL
    SELECT n.id, p.id, n.sort_order, p.ids || n.id, p.addresses || n.canonical_address
      FROM path p JOIN new_unit n ON n.parent_or_container_ref = p.id
     -- One that is too deep is enough, however long the chain goes on.
     WHERE cardinality(p.ids) - 1 <= v_limit
  ), added AS (
    INSERT INTO public.iu_tree_path
        (unit_id, root_unit_id, parent_id, depth, path_ids, path_addresses, sibling_order, path_hash)
      SELECT p.id, p.ids[1], p.parent, cardinality(p.ids) - 1, p.ids, p.addresses, p.sort_order,
             iu.fn_iu_path_hash(p.ids)
        FROM path p
      RETURNING depth, path_addresses
  )
  SELECT count(*), max(a.depth) FILTER (WHERE a.depth > v_limit),
         min(a.path_addresses[a.depth + 1] COLLATE "C") FILTER (WHERE a.depth > v_limit)
    INTO v_added, v_depth, v_deep FROM added a;
  IF v_depth IS NOT NULL THEN
    PERFORM iu.fn_iu_tree_refuse_depth(v_depth, v_deep);
  ELSIF v_added < v_new THEN
    PERFORM iu.fn_iu_tree_refuse_cycle(v_new - v_added,
      (SELECT min(n.canonical_address COLLATE "C") FROM new_unit n
        WHERE NOT EXISTS (SELECT FROM public.iu_tree_path t WHERE t.unit_id = n.id)));
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_path_inserted IS
  'Statement trigger of information_unit after INSERT: writes the paths of new units. Error: 23514 for units that '
  'would be their own ancestors, or have more than 64 units above them (not in replica role).';

CREATE FUNCTION iu.fn_iu_tree_path_updated() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_moved     uuid[];
  v_under     uuid[];
  v_under_one uuid[];
  v_placed    uuid[];
BEGIN
  SELECT array_agg(c.id) FILTER (WHERE c.moved), array_agg(c.parent) FILTER (WHERE c.moved),
         array_agg(c.id) FILTER (WHERE c.parted AND c.parent IS NOT NULL), array_agg(c.id) FILTER (WHERE c.placed)
    INTO v_moved, v_under, v_under_one, v_placed
    FROM (SELECT n.id, n.parent_or_container_ref AS parent, n.sort_order IS DISTINCT FROM o.sort_order AS placed,
                 n.parent_or_container_ref IS DISTINCT FROM o.parent_or_container_ref AS parted,
                 n.parent_or_container_ref IS DISTINCT FROM o.parent_or_container_ref
                   OR n.canonical_address <> o.canonical_address AS moved
            FROM new_unit n JOIN old_unit o ON o.id = n.id) AS c
   WHERE c.moved OR c.placed;
  IF v_moved IS NOT NULL THEN
    PERFORM iu.fn_iu_tree_lock(v_moved || array_remove(v_under, NULL), '{}');
    PERFORM iu.fn_iu_tree_path_write(v_moved, v_under_one);
  END IF;
  IF v_placed IS NOT NULL THEN
    UPDATE public.iu_tree_path t SET sibling_order = n.sort_order
      FROM new_unit n
     WHERE n.id = ANY (v_placed) AND t.unit_id = n.id AND t.sibling_order IS DISTINCT FROM n.sort_order;
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_path_updated IS
  'Statement trigger of information_unit after UPDATE: writes the paths of units whose parent or address changed, and '
  'of all that is below them, and the place among siblings. Errors: 23514 for a unit that would be its own ancestor, '
  'or would have more than 64 units above it and more than it had (not in replica role); 25000 for a move where '
  'isolation is not READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_tree_path_deleted() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  DELETE FROM public.iu_tree_path t WHERE t.unit_id IN (SELECT o.id FROM old_unit o);
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_path_deleted IS
  'Statement trigger of information_unit after DELETE: the paths go with the units. Raises nothing of its own.';

-- Named so that they come before what reads paths or chains of parents: triggers
-- fire in the order of their names.
CREATE TRIGGER trg_iu_axis_path_insert
  AFTER INSERT ON public.information_unit
  REFERENCING NEW TABLE AS new_unit
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_tree_path_inserted();
CREATE TRIGGER trg_iu_axis_path_update
  AFTER UPDATE ON public.information_unit
  REFERENCING OLD TABLE AS old_unit NEW TABLE AS new_unit
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_tree_path_updated();
CREATE TRIGGER trg_iu_axis_path_delete
  AFTER DELETE ON public.information_unit
  REFERENCING OLD TABLE AS old_unit
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_tree_path_deleted();
ALTER TABLE public.information_unit
  ENABLE ALWAYS TRIGGER trg_iu_axis_path_insert, ENABLE ALWAYS TRIGGER trg_iu_axis_path_update,
  ENABLE ALWAYS TRIGGER trg_iu_axis_path_delete;
COMMENT ON TRIGGER trg_iu_axis_path_insert ON public.information_unit IS 'Writes the paths of new units.';
COMMENT ON TRIGGER trg_iu_axis_path_update ON public.information_unit IS
  'Writes the paths of units that move or change their address, and of all that is below them.';
COMMENT ON TRIGGER trg_iu_axis_path_delete ON public.information_unit IS 'The paths go with the units.';
