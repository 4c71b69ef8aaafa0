-- The lifecycle of a collection.

CREATE FUNCTION iu.fn_iu_collection_set_status(
    p_collection_id uuid, p_status text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_states     CONSTANT text[] := ARRAY['draft', 'active', 'deprecated', 'retired'];
  v_collection public.iu_piece_collection;
  v_run_id     uuid;
BEGIN
  PERFORM iu.fn_iu_composer_require('fn_iu_collection_set_status');
  PERFORM iu.fn_iu_require_value(p_status = ANY (c_states), 'iu_collection_status', 'p_status',
    'one of ' || array_to_string(c_states, ', '), p_status);
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  SELECT c.* INTO v_collection FROM public.iu_piece_collection c
   WHERE c.id = p_collection_id AND c.deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_collection_missing(p_collection_id);
  ELSIF array_position(c_states, p_status) < array_position(c_states, v_collection.lifecycle_status) THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('collection %s is %s: it does not become %s again',
        iu_core.text_shown(v_collection.collection_key), v_collection.lifecycle_status, p_status),
      DETAIL = format('Collection: %s; from: %s; to: %s.', p_collection_id, v_collection.lifecycle_status, p_status),
      HINT = 'A collection goes from draft to active, deprecated and retired, and never back.',
      CONSTRAINT = 'iu_collection_transition';
  END IF;
  PERFORM iu.fn_iu_composer_require('fn_iu_collection_set_status');
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_set_collection_status', 'collection_key', v_collection.collection_key,
    'applied', p_actor, p_reason, jsonb_build_object('previous', v_collection.lifecycle_status, 'status', p_status));
  IF p_status <> v_collection.lifecycle_status THEN
    UPDATE public.iu_piece_collection c SET lifecycle_status = p_status, updated_by = p_actor, updated_at = now()
     WHERE c.id = p_collection_id;
    PERFORM iu.fn_iu_require_effect(
      EXISTS (SELECT FROM public.iu_piece_collection c WHERE c.id = p_collection_id AND c.lifecycle_status = p_status),
      'public.iu_piece_collection', 'changing the status of the collection');
  END IF;
  RETURN jsonb_build_object('ok', true, 'collection_id', p_collection_id, 'lifecycle_status', p_status,
    'previous', v_collection.lifecycle_status, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_set_status IS
  'What public.fn_iu_collection_set_status hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_set_status(
    p_collection_id uuid, p_status text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_set_status(p_collection_id, p_status, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_collection_set_status IS
  'Takes a collection on in its life, and logs it: collection, status (active, deprecated or retired: forwards only; '
  'draft is where it begins), who, why. A retired collection changes no more; it is still rendered. Its pieces stay as '
  'they are. Returns {ok: true, collection_id, lifecycle_status, previous, run_id}. SQLSTATE 42501: gate '
  'iu_core.composer_enabled is closed; P0002: no such collection; 55000: it is beyond that; 23514: status, actor or '
  'reason; 25000: another isolation level than READ COMMITTED.';
