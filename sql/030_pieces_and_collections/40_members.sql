-- Changing the order of a collection: one piece more, one less, one elsewhere. All
-- that moves is moved by one statement.

CREATE FUNCTION iu.fn_iu_membership_missing(p_collection_key text, p_iu_id uuid) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE no_data_found USING
    MESSAGE = format('piece %s is not in collection %s', coalesce(p_iu_id::text, 'NULL'),
                     iu_core.text_shown(p_collection_key)),
    DETAIL = format('Unit: %s; collection: %s.', coalesce(p_iu_id::text, 'NULL'),
                    iu_core.text_shown(p_collection_key)),
    HINT = 'v_iu_collection_manifest lists the pieces.', CONSTRAINT = 'iu_collection_piece_absent';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_membership_missing IS
  'Raises P0002 for a unit that is no piece of a collection: its key, the unit.';

CREATE FUNCTION iu.fn_iu_piece_order_require(p_piece_order integer, p_last bigint) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_require_value(p_piece_order >= 0 AND p_piece_order <= p_last, 'iu_collection_piece_order',
    'p_piece_order', format('from 0 to %s', p_last), p_piece_order::text);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_order_require IS
  'Refuses a place that a collection has not with SQLSTATE 23514: the place, the last one that there is.';

CREATE FUNCTION iu.fn_iu_piece_count(p_collection_id uuid) RETURNS integer
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN (SELECT count(*) FROM public.iu_piece_membership m
           WHERE m.collection_id = p_collection_id AND m.membership_status = 'active');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_count IS
  'For functions that pin its search_path: how many pieces a collection has.';

CREATE FUNCTION iu.fn_iu_collection_event(
    p_event_type text, p_collection public.iu_piece_collection, p_payload jsonb, p_actor text)
  RETURNS uuid
  LANGUAGE plpgsql
AS $function$
BEGIN
  RETURN iu.fn_event_put('iu', 'iu_piece_collection', p_event_type, NULL, p_collection.id::text, p_actor,
    jsonb_build_object('collection_id', p_collection.id, 'collection_key', p_collection.collection_key) || p_payload,
    NULL, p_collection.id::text);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_event IS
  'For functions that pin its search_path: one event about a collection: type, collection, what it carries beside the '
  'collection''s id and key, who. NULL while the master switch is off.';

CREATE FUNCTION iu.fn_iu_collection_add_piece(
    p_collection_id uuid, p_iu_id uuid, p_piece_order integer, p_piece_role text, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_collection public.iu_piece_collection;
  v_status     text;
  v_count      integer;
  v_order      integer;
  v_digest     text;
BEGIN
  v_collection := iu.fn_iu_collection_lock('fn_iu_collection_add_piece', p_collection_id, p_actor);
  PERFORM iu.fn_iu_piece_role_require(p_piece_role);
  PERFORM iu.fn_iu_pieces_lock(ARRAY[p_iu_id]);
  SELECT m.membership_status INTO v_status FROM public.iu_piece_membership m
   WHERE m.collection_id = p_collection_id AND m.iu_id = p_iu_id;
  IF v_status = 'active' THEN
    RAISE unique_violation USING
      MESSAGE = format('piece %s is in collection %s already', p_iu_id,
                       iu_core.text_shown(v_collection.collection_key)),
      DETAIL = format('Unit: %s; collection: %s.', p_iu_id, iu_core.text_shown(v_collection.collection_key)),
      HINT = 'Move it with fn_iu_collection_reorder_piece.', CONSTRAINT = 'iu_collection_piece_twice';
  END IF;
  v_count := iu.fn_iu_piece_count(p_collection_id);
  PERFORM iu.fn_iu_pieces_limit(v_count + 1);
  v_order := coalesce(p_piece_order, v_count);
  PERFORM iu.fn_iu_piece_order_require(v_order, v_count);
  IF v_order < v_count THEN
    UPDATE public.iu_piece_membership m SET piece_order = m.piece_order + 1
     WHERE m.collection_id = p_collection_id AND m.piece_order >= v_order;
  END IF;
  IF v_status IS NULL THEN
    INSERT INTO public.iu_piece_membership (collection_id, iu_id, piece_order, piece_role, added_by)
      VALUES (p_collection_id, p_iu_id, v_order, p_piece_role, p_actor);
  ELSE
    UPDATE public.iu_piece_membership m
       SET piece_order = v_order, piece_role = p_piece_role, membership_status = 'active', added_by = p_actor,
           added_at = now(), removed_by = NULL, removed_at = NULL
     WHERE m.collection_id = p_collection_id AND m.iu_id = p_iu_id;
  END IF;
  -- Who takes the role out of the vocabulary waits for this transaction from here on.
  PERFORM iu.fn_iu_piece_role_require(p_piece_role);
  v_digest := iu.fn_iu_collection_touch(p_collection_id, p_actor);
  PERFORM iu.fn_iu_require_effect(
    iu.fn_iu_piece_count(p_collection_id) = v_count + 1, 'public.iu_piece_membership', 'adding the piece');
  PERFORM iu.fn_iu_collection_event('piece_added_to_collection', v_collection,
    jsonb_build_object('iu_id', p_iu_id, 'piece_order', v_order, 'piece_role', p_piece_role), p_actor);
  RETURN jsonb_build_object('ok', true, 'collection_id', p_collection_id, 'iu_id', p_iu_id, 'piece_order', v_order,
    'piece_role', p_piece_role, 'piece_count', v_count + 1, 'manifest_digest', v_digest);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_add_piece IS
  'What public.fn_iu_collection_add_piece hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_add_piece(
    p_collection_id uuid, p_iu_id uuid, p_piece_order integer, p_piece_role text, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_add_piece(p_collection_id, p_iu_id, p_piece_order, p_piece_role, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_collection_add_piece IS
  'Adds a unit to a collection: collection, unit, its place (from 0; those from there on move by one; NULL: the end), '
  'role (a value of vocabulary piece_role), who. Returns {ok: true, collection_id, iu_id, piece_order, piece_role, '
  'piece_count, manifest_digest}. Event iu.piece_added_to_collection. SQLSTATE 42501: gate iu_core.composer_enabled '
  'is closed; P0002: no such collection; 55000: it is retired; 23503: the unit is not there, or deleted; 23505: it is '
  'a piece already; 23514: place, role or actor; 54000: it would be the 10001st; 25000: another isolation level than '
  'READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_collection_remove_piece(p_collection_id uuid, p_iu_id uuid, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_collection public.iu_piece_collection;
  v_was        public.iu_piece_membership;
  v_count      integer;
  v_digest     text;
BEGIN
  v_collection := iu.fn_iu_collection_lock('fn_iu_collection_remove_piece', p_collection_id, p_actor);
  SELECT m.* INTO v_was FROM public.iu_piece_membership m
   WHERE m.collection_id = p_collection_id AND m.iu_id = p_iu_id AND m.membership_status = 'active';
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_membership_missing(v_collection.collection_key, p_iu_id);
  END IF;
  UPDATE public.iu_piece_membership m
     SET piece_order = CASE WHEN m.id <> v_was.id THEN m.piece_order - 1 END,
         membership_status = CASE m.id WHEN v_was.id THEN 'removed' ELSE m.membership_status END,
         removed_by = CASE m.id WHEN v_was.id THEN p_actor END,
         removed_at = CASE m.id WHEN v_was.id THEN now() END
   WHERE m.collection_id = p_collection_id AND m.piece_order >= v_was.piece_order;
  v_digest := iu.fn_iu_collection_touch(p_collection_id, p_actor);
  v_count := iu.fn_iu_piece_count(p_collection_id);
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_piece_membership m WHERE m.id = v_was.id AND m.membership_status = 'removed'),
    'public.iu_piece_membership', 'removing the piece');
  PERFORM iu.fn_iu_collection_event('piece_removed_from_collection', v_collection,
    jsonb_build_object('iu_id', p_iu_id, 'piece_order', v_was.piece_order, 'piece_role', v_was.piece_role), p_actor);
  RETURN jsonb_build_object('ok', true, 'collection_id', p_collection_id, 'iu_id', p_iu_id,
    'was_piece_order', v_was.piece_order, 'piece_count', v_count, 'manifest_digest', v_digest);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_remove_piece IS
  'What public.fn_iu_collection_remove_piece hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_remove_piece(p_collection_id uuid, p_iu_id uuid, p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_remove_piece(p_collection_id, p_iu_id, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_collection_remove_piece IS
  'Takes a unit out of a collection: collection, unit, who. Those behind it move up by one; the unit stays as it is, '
  'and so does what it was here, as a removed membership. Returns {ok: true, collection_id, iu_id, was_piece_order, '
  'piece_count, manifest_digest: NULL where none is left}. Event iu.piece_removed_from_collection. SQLSTATE 42501: '
  'gate iu_core.composer_enabled is closed; P0002: no such collection, or the unit is no piece of it; 55000: the '
  'collection is retired; 23514: actor; 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_collection_reorder_piece(
    p_collection_id uuid, p_iu_id uuid, p_new_order integer, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_collection public.iu_piece_collection;
  v_was        public.iu_piece_membership;
  v_count      integer;
BEGIN
  v_collection := iu.fn_iu_collection_lock('fn_iu_collection_reorder_piece', p_collection_id, p_actor);
  SELECT m.* INTO v_was FROM public.iu_piece_membership m
   WHERE m.collection_id = p_collection_id AND m.iu_id = p_iu_id AND m.membership_status = 'active';
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_membership_missing(v_collection.collection_key, p_iu_id);
  END IF;
  v_count := iu.fn_iu_piece_count(p_collection_id);
  PERFORM iu.fn_iu_piece_order_require(p_new_order, v_count - 1);
  IF p_new_order <> v_was.piece_order THEN
    UPDATE public.iu_piece_membership m
       SET piece_order = CASE WHEN m.id = v_was.id THEN p_new_order
                              ELSE m.piece_order + sign(v_was.piece_order - p_new_order)::integer END
     WHERE m.collection_id = p_collection_id
       AND m.piece_order BETWEEN least(p_new_order, v_was.piece_order) AND greatest(p_new_order, v_was.piece_order);
    v_collection.manifest_digest := iu.fn_iu_collection_touch(p_collection_id, p_actor);
    PERFORM iu.fn_iu_require_effect(
      EXISTS (SELECT FROM public.iu_piece_membership m WHERE m.id = v_was.id AND m.piece_order = p_new_order),
      'public.iu_piece_membership', 'moving the piece');
    PERFORM iu.fn_iu_collection_event('piece_reordered', v_collection,
      jsonb_build_object('iu_id', p_iu_id, 'piece_order', p_new_order, 'was_piece_order', v_was.piece_order,
        'piece_role', v_was.piece_role), p_actor);
  END IF;
  RETURN jsonb_build_object('ok', true, 'collection_id', p_collection_id, 'iu_id', p_iu_id,
    'piece_order', p_new_order, 'was_piece_order', v_was.piece_order, 'piece_count', v_count,
    'manifest_digest', v_collection.manifest_digest);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_reorder_piece IS
  'What public.fn_iu_collection_reorder_piece hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_reorder_piece(
    p_collection_id uuid, p_iu_id uuid, p_new_order integer, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_reorder_piece(p_collection_id, p_iu_id, p_new_order, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_collection_reorder_piece IS
  'Moves a piece of a collection: collection, unit, its new place (from 0), who. Those between move by one. Returns '
  '{ok: true, collection_id, iu_id, piece_order, was_piece_order, piece_count, manifest_digest}. Event '
  'iu.piece_reordered; none, and nothing written, where it is there already. SQLSTATE 42501: gate '
  'iu_core.composer_enabled is closed; P0002: no such collection, or the unit is no piece of it; 55000: the '
  'collection is retired; 23514: place or actor; 25000: another isolation level than READ COMMITTED.';
