-- Axis C: the paths of units, kept by triggers.
--
-- The truth is parent_or_container_ref. A path follows it within the statement
-- that changes it, and a statement that would make a cycle is refused.
--
-- Who waits for whom: a child that comes in holds the path of its parent FOR
-- SHARE, so that nobody moves it meanwhile. Who moves a unit holds locks by the
-- names of the roots that it comes from and goes to, so that two moves do not make
-- a cycle together, and then the paths of the whole subtree FOR UPDATE, looking
-- again until no child has come in.

CREATE FUNCTION iu.fn_iu_tree_refuse_cycle(p_units bigint, p_example text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE check_violation USING
    MESSAGE = format('a unit would be its own ancestor: %s', iu_core.text_shown(p_example)),
    DETAIL = format('Units that would have no root: %s.', p_units),
    TABLE = 'information_unit', CONSTRAINT = 'iu_tree_cycle';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_refuse_cycle IS
  'For the paths: raises 23514 for units that have no root: how many, the address of one.';

-- Rows that are written in replica role are those of a restore: they were lawful where they come from.
CREATE FUNCTION iu.fn_iu_tree_depth_limit() RETURNS integer
  LANGUAGE sql STABLE
RETURN CASE current_setting('session_replication_role') WHEN 'replica' THEN 1000000
                                                        ELSE iu.fn_iu_tree_max_depth() END;
COMMENT ON FUNCTION iu.fn_iu_tree_depth_limit IS
  'How many units may be above one that gets a parent now. Raises nothing.';

CREATE FUNCTION iu.fn_iu_tree_refuse_depth(p_depth integer, p_example text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE check_violation USING
    MESSAGE = format('unit %s would have too many units above it', iu_core.text_shown(p_example)),
    DETAIL = format('Units above it: %s; allowed: %s.', p_depth, iu.fn_iu_tree_max_depth()),
    TABLE = 'information_unit', CONSTRAINT = 'iu_tree_depth';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_refuse_depth IS
  'For the paths: raises 23514 for units that are too deep in their tree: how many are above one, its address.';

CREATE FUNCTION iu.fn_iu_path_hash(p_path_ids uuid[]) RETURNS text
  LANGUAGE sql STABLE
RETURN encode(sha256(convert_to(array_to_string(p_path_ids, '/'), 'UTF8')), 'hex');
COMMENT ON FUNCTION iu.fn_iu_path_hash IS 'SHA-256 in hex of the ids of a path joined with "/". Raises nothing.';

-- The chain of parents of each unit; no row for a unit that is on a cycle or
-- below one.
CREATE FUNCTION iu.fn_iu_tree_chains(p_unit_ids uuid[])
  RETURNS TABLE (unit_id uuid, path_ids uuid[], path_addresses text[], parent_id uuid, sort_order integer)
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN QUERY
    WITH RECURSIVE up AS (
      SELECT u.id AS start, u.parent_or_container_ref AS above, ARRAY[u.id] AS ids,
             ARRAY[u.canonical_address] AS names,
             u.parent_or_container_ref AS parent, u.sort_order AS place
        FROM public.information_unit u WHERE u.id = ANY (p_unit_ids)
      UNION ALL
      SELECT x.start, p.parent_or_container_ref, p.id || x.ids, p.canonical_address || x.names, x.parent, x.place
        FROM up x JOIN public.information_unit p ON p.id = x.above
       WHERE p.id <> ALL (x.ids)
    )
    SELECT x.start, x.ids, x.names, x.parent, x.place FROM up x WHERE x.above IS NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_chains IS
  'For functions that pin its search_path: the path from its root of each of these units, by their parents; none for a '
  'unit that has no root, since it is on a cycle or below one. Raises nothing.';

CREATE FUNCTION iu.fn_iu_tree_roots(p_unit_ids uuid[]) RETURNS uuid[]
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN ARRAY(SELECT c.path_ids[1] FROM iu.fn_iu_tree_chains(p_unit_ids) c
               UNION
               SELECT t.root_unit_id FROM public.iu_tree_path t WHERE t.unit_id = ANY (p_unit_ids));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_roots IS
  'For functions that pin its search_path: the roots of these units, as they are and as their paths say. Raises '
  'nothing.';

-- While one waits for a root, others may have moved the units to yet another. It is
-- locked in its order too: what is locked by then is given back first, with the
-- inner block, since whoever waited for a root with a greater one in his hands could
-- be waited for.
CREATE FUNCTION iu.fn_iu_tree_lock(p_unit_ids uuid[], p_new_roots uuid[]) RETURNS void
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_wanted uuid[] := iu.fn_iu_tree_roots(p_unit_ids) || p_new_roots;
  v_roots  uuid[];
BEGIN
  LOOP
    BEGIN
      PERFORM iu_core.named_lock('iu_tree:' || w.root)
         FROM (SELECT DISTINCT r.root FROM unnest(v_wanted) AS r (root) ORDER BY r.root) AS w;
      v_roots := iu.fn_iu_tree_roots(p_unit_ids);
      EXIT WHEN v_roots <@ v_wanted;
      v_wanted := v_wanted || v_roots;
      RAISE SQLSTATE 'IU000';
    EXCEPTION WHEN SQLSTATE 'IU000' THEN
      NULL;
    END;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_lock IS
  'For functions that pin its search_path: nobody else moves a unit in the trees of these units until the transaction '
  'ends. Locks their roots in the order of their ids, looks again, and begins anew where there are others by then. '
  'Arguments: the units that move, and those that they move under; those of them that will become roots, which the '
  'move itself locks too, so that they are locked here in the same order. Raises nothing of its own.';

-- The units with everything below them. Once their paths are locked, no child
-- comes in below them; those that came in before are seen at the next look.
CREATE FUNCTION iu.fn_iu_tree_hold(p_unit_ids uuid[]) RETURNS uuid[]
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_held uuid[] := '{}';
  v_all  uuid[];
BEGIN
  PERFORM iu.fn_iu_require_read_committed('moving a unit', 'would not see units that have come below it');
  LOOP
    WITH RECURSIVE down AS (
      SELECT u.id FROM public.information_unit u WHERE u.id = ANY (p_unit_ids)
      UNION
      SELECT u.id FROM down d JOIN public.information_unit u ON u.parent_or_container_ref = d.id
    )
    SELECT array_agg(d.id) INTO v_all FROM down d;
    EXIT WHEN v_all IS NULL OR cardinality(v_all) = cardinality(v_held);
    PERFORM FROM public.iu_tree_path t WHERE t.unit_id = ANY (v_all) ORDER BY t.unit_id FOR UPDATE;
    v_held := v_all;
  END LOOP;
  RETURN v_held;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_hold IS
  'For functions that pin its search_path: these units and all that is below them, with their paths locked. '
  'Error: 25000 where isolation is not READ COMMITTED.';

-- The paths as they should be, from the topmost of the units down.
CREATE FUNCTION iu.fn_iu_tree_paths(p_unit_ids uuid[])
  RETURNS TABLE (unit_id uuid, path_ids uuid[], path_addresses text[], parent_id uuid, sort_order integer)
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN QUERY
    WITH RECURSIVE chain AS MATERIALIZED (
      SELECT c.* FROM iu.fn_iu_tree_chains(p_unit_ids) c
    ), down AS (
      SELECT c.unit_id, c.path_ids, c.path_addresses, c.parent_id, c.sort_order FROM chain c
       WHERE NOT EXISTS (SELECT FROM unnest(c.path_ids[:cardinality(c.path_ids) - 1]) AS a (id)
                          WHERE a.id IN (SELECT g.id FROM unnest(p_unit_ids) AS g (id)))
      UNION ALL
      SELECT u.id, d.path_ids || u.id, d.path_addresses || u.canonical_address, d.unit_id, u.sort_order
        FROM down d JOIN public.information_unit u ON u.parent_or_container_ref = d.unit_id
       WHERE u.id <> ALL (d.path_ids)
    )
    SELECT d.unit_id, d.path_ids, d.path_addresses, d.parent_id, d.sort_order FROM down d;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_paths IS
  'For functions that pin its search_path: the paths of these units and of all that is below them, by their parents, '
  'each once. Raises nothing.';

-- Units that got a parent, and what is below them, may not become too deep. What was
-- deep before there was a bound may stay, and move to where it is less so.
CREATE FUNCTION iu.fn_iu_tree_path_write(p_unit_ids uuid[], p_placed uuid[]) RETURNS bigint
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $function$
DECLARE
  v_all   CONSTANT uuid[] := iu.fn_iu_tree_hold(p_unit_ids);
  v_limit CONSTANT integer := iu.fn_iu_tree_depth_limit();
  v_found bigint;
  v_depth integer;
  v_deep  text;
BEGIN
  WITH path AS MATERIALIZED (
    SELECT p.*, CASE WHEN cardinality(p.path_ids) - 1 <= v_limit THEN false
                     ELSE p.path_ids && p_placed AND cardinality(p.path_ids) - 1 > coalesce(
                       (SELECT t.depth FROM public.iu_tree_path t WHERE t.unit_id = p.unit_id), 0) END AS is_too_deep
      FROM iu.fn_iu_tree_paths(p_unit_ids) p
  ), changed AS (
    UPDATE public.iu_tree_path t
       SET root_unit_id = p.path_ids[1], parent_id = p.parent_id, depth = cardinality(p.path_ids) - 1,
           path_ids = p.path_ids, path_addresses = p.path_addresses, sibling_order = p.sort_order,
           path_hash = iu.fn_iu_path_hash(p.path_ids), valid_from = now()
      FROM path p
     WHERE t.unit_id = p.unit_id
       AND (t.path_ids, t.path_addresses, t.parent_id, t.sibling_order)
           IS DISTINCT FROM (p.path_ids, p.path_addresses, p.parent_id, p.sort_order)
  ), added AS (
    INSERT INTO public.iu_tree_path
        (unit_id, root_unit_id, parent_id, depth, path_ids, path_addresses, sibling_order, path_hash)
      SELECT p.unit_id, p.path_ids[1], p.parent_id, cardinality(p.path_ids) - 1, p.path_ids, p.path_addresses,
             p.sort_order, iu.fn_iu_path_hash(p.path_ids)
        FROM path p
       WHERE NOT EXISTS (SELECT FROM public.iu_tree_path t WHERE t.unit_id = p.unit_id)
      ON CONFLICT (unit_id) DO NOTHING
  )
  SELECT count(*), max(cardinality(p.path_ids) - 1) FILTER (WHERE p.is_too_deep),
         min(p.path_addresses[cardinality(p.path_addresses)] COLLATE "C") FILTER (WHERE p.is_too_deep)
    INTO v_found, v_depth, v_deep FROM path p;
  IF v_depth IS NOT NULL THEN
    PERFORM iu.fn_iu_tree_refuse_depth(v_depth, v_deep);
  END IF;
  IF v_found < coalesce(cardinality(v_all), 0) THEN
    PERFORM iu.fn_iu_tree_refuse_cycle(cardinality(v_all) - v_found,
      (SELECT min(u.canonical_address COLLATE "C") FROM public.information_unit u
        WHERE u.id = ANY (p_unit_ids)
          AND NOT EXISTS (SELECT FROM iu.fn_iu_tree_chains(ARRAY[u.id]) c)));
  END IF;
  RETURN v_found;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_path_write IS
  'For functions that have locked the trees: writes the paths of these units and of all that '
  'is below them, where they differ; returns how many there are. Arguments: the units, and those of them that got a '
  'parent. Errors: 23514 for a unit that would be its own ancestor, and for one that would be too deep since one above '
  'it or itself got a parent; 25000 where isolation is not READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_tree_path_refresh(p_unit_ids uuid[]) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_units CONSTANT uuid[] := coalesce(p_unit_ids,
    ARRAY(SELECT u.id FROM public.information_unit u WHERE u.parent_or_container_ref IS NULL));
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_tree_path_refresh');
  IF p_unit_ids IS NULL THEN
    -- There may be more roots than there are places for locks.
    LOCK TABLE public.iu_tree_path IN EXCLUSIVE MODE;
  ELSE
    PERFORM iu.fn_iu_tree_lock(p_unit_ids, '{}');
  END IF;
  RETURN jsonb_build_object('ok', true, 'units', iu.fn_iu_tree_path_write(v_units, '{}'));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_tree_path_refresh IS
  'What public.fn_iu_tree_path_refresh hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_tree_path_refresh(p_unit_ids uuid[]) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_tree_path_refresh(p_unit_ids) END;
COMMENT ON FUNCTION public.fn_iu_tree_path_refresh IS
  'Builds the paths of units and of all that is below them anew, where they differ: the units, or NULL for every root. '
  'Triggers keep them, so that this is for a cache that was damaged. Returns {ok, units: paths that were looked at}. '
  'SQLSTATE 23514: a unit is its own ancestor; 25000: another isolation level than READ COMMITTED.';
