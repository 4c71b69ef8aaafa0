-- Deleting a unit, and taking that back: the row stays, and so does its address.

CREATE FUNCTION iu.fn_iu_unit_in_collection(p_unit_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (SELECT format('it is a piece of collection %s', c.collection_key)
            FROM public.iu_piece_membership m JOIN public.iu_piece_collection c ON c.id = m.collection_id
           WHERE m.iu_id = p_unit_id AND m.membership_status = 'active' ORDER BY c.collection_key COLLATE "C" LIMIT 1);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_unit_in_collection IS
  'At the point iu.fn_iu_unit_in_use: which collection a unit is a piece of, in words, or NULL.';
SELECT iu.fn_iu_hook_add(30, 'iu.fn_iu_unit_in_use(uuid)', 'iu.fn_iu_unit_in_collection(uuid)');

-- The gate is asked before the lock and with it, as of collections.
CREATE FUNCTION iu.fn_iu_piece_lock(p_function text, p_unit_id uuid, p_actor text) RETURNS public.information_unit
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_unit public.information_unit;
BEGIN
  PERFORM iu.fn_iu_composer_require(p_function);
  PERFORM iu.fn_iu_require_actor(p_actor, 'deletes or restores the piece');
  SELECT u.* INTO v_unit FROM public.information_unit u WHERE u.id = p_unit_id FOR UPDATE;
  IF NOT FOUND THEN
    RAISE no_data_found USING
      MESSAGE = format('piece %s not found', coalesce(p_unit_id::text, 'NULL')),
      DETAIL = format('Unit: %s.', coalesce(p_unit_id::text, 'NULL')), CONSTRAINT = 'iu_piece_unknown';
  END IF;
  PERFORM iu.fn_iu_composer_require(p_function);
  RETURN v_unit;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_lock IS
  'For functions of the composer, which pin its search_path: locks a unit that is to be deleted or restored. '
  'Arguments: the function, the unit, who. Errors: those of iu.fn_iu_composer_require, before the lock and with it; '
  'P0002 there is none; 23514 no actor.';

CREATE FUNCTION iu.fn_iu_piece_soft_delete(p_unit_id uuid, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_piece_soft_delete'
AS $function$
DECLARE
  v_unit public.information_unit;
  v_use  text;
BEGIN
  v_unit := iu.fn_iu_piece_lock('fn_iu_piece_soft_delete', p_unit_id, p_actor);
  IF v_unit.deleted_at IS NOT NULL THEN
    RETURN jsonb_build_object('ok', true, 'iu_id', p_unit_id, 'changed', false, 'deleted_at', v_unit.deleted_at);
  ELSIF v_unit.lifecycle_status = 'enacted' THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('piece %s is enacted: it is not deleted', iu_core.text_shown(v_unit.canonical_address)),
      DETAIL = format('Unit: %s.', p_unit_id),
      HINT = 'Retire it with fn_iu_retire.', CONSTRAINT = 'iu_piece_enacted';
  END IF;
  v_use := CASE WHEN EXISTS (SELECT FROM public.information_unit c
                              WHERE c.parent_or_container_ref = p_unit_id AND c.deleted_at IS NULL)
                THEN 'other units are part of it' ELSE iu.fn_iu_unit_in_use(p_unit_id) END;
  IF v_use IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('piece %s is in use: %s', iu_core.text_shown(v_unit.canonical_address), v_use),
      DETAIL = format('Unit: %s; %s.', p_unit_id, v_use),
      HINT = 'End its use first.', CONSTRAINT = 'iu_piece_in_use';
  END IF;
  UPDATE public.information_unit u SET deleted_at = clock_timestamp(), updated_by = p_actor WHERE u.id = p_unit_id
    RETURNING u.deleted_at INTO v_unit.deleted_at;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.information_unit u WHERE u.id = p_unit_id AND u.deleted_at IS NOT NULL),
    'public.information_unit', 'deleting the piece');
  RETURN jsonb_build_object('ok', true, 'iu_id', p_unit_id, 'changed', true, 'deleted_at', v_unit.deleted_at);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_soft_delete IS
  'What public.fn_iu_piece_soft_delete hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_piece_soft_delete(p_unit_id uuid, p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_piece_soft_delete(p_unit_id, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_piece_soft_delete IS
  'Marks a unit as deleted: the unit, who. The row and its versions stay, and its address stays taken. Returns {ok: '
  'true, iu_id, changed: false where it was deleted already, deleted_at}. SQLSTATE 42501: gate '
  'iu_core.composer_enabled is closed; P0002: no such unit; 55000: it is enacted; 55006: it is a piece of a '
  'collection, or other units are part of it; 23514: actor; 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_piece_restore(p_unit_id uuid, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_piece_restore'
AS $function$
DECLARE
  v_unit public.information_unit;
BEGIN
  v_unit := iu.fn_iu_piece_lock('fn_iu_piece_restore', p_unit_id, p_actor);
  IF v_unit.deleted_at IS NULL THEN
    RETURN jsonb_build_object('ok', true, 'iu_id', p_unit_id, 'changed', false);
  END IF;
  PERFORM FROM public.information_unit p WHERE p.id = v_unit.parent_or_container_ref FOR KEY SHARE;
  IF EXISTS (SELECT FROM public.information_unit p
              WHERE p.id = v_unit.parent_or_container_ref AND p.deleted_at IS NOT NULL) THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('piece %s is part of a unit that is deleted', iu_core.text_shown(v_unit.canonical_address)),
      DETAIL = format('Unit: %s; part of: %s.', p_unit_id, v_unit.parent_or_container_ref),
      HINT = 'Restore that one first.', CONSTRAINT = 'iu_piece_parent_deleted';
  END IF;
  UPDATE public.information_unit u SET deleted_at = NULL, updated_by = p_actor WHERE u.id = p_unit_id;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.information_unit u WHERE u.id = p_unit_id AND u.deleted_at IS NULL),
    'public.information_unit', 'restoring the piece');
  RETURN jsonb_build_object('ok', true, 'iu_id', p_unit_id, 'changed', true);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_restore IS
  'What public.fn_iu_piece_restore hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_piece_restore(p_unit_id uuid, p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_piece_restore(p_unit_id, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_piece_restore IS
  'Takes back that a unit was deleted: the unit, who. Returns {ok: true, iu_id, changed: false where it was not '
  'deleted}. SQLSTATE 42501: gate iu_core.composer_enabled is closed; P0002: no such unit; 55000: it is part of a '
  'unit that is deleted; 23514: actor; 25000: another isolation level than READ COMMITTED.';
