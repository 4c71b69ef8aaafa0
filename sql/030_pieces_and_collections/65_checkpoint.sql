-- That somebody has read a collection, told as an event.

CREATE FUNCTION iu.fn_iu_collection_checkpoint(
    p_collection_id uuid, p_event_type text, p_actor text, p_detail jsonb)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_types      CONSTANT text[] := ARRAY['collection_rendered', 'collection_validated', 'collection_exported',
    'collection_import_proposed'];
  v_collection public.iu_piece_collection;
  v_verdict    jsonb;
  v_event_id   uuid;
BEGIN
  PERFORM iu.fn_iu_require_value(p_event_type = ANY (c_types), 'iu_collection_checkpoint', 'p_event_type',
    'one of ' || array_to_string(c_types, ', '), p_event_type);
  PERFORM iu.fn_iu_require_actor(p_actor, 'has read the collection');
  PERFORM iu.fn_iu_require_value(
    p_detail IS NULL OR jsonb_typeof(p_detail) = 'object' AND iu.fn_iu_json_fits(p_detail, 262144),
    'iu_collection_detail', 'p_detail', 'an object of up to 262144 bytes, or NULL',
    CASE jsonb_typeof(p_detail) WHEN 'object' THEN 'a longer one' ELSE jsonb_typeof(p_detail) END);
  v_collection := iu.fn_iu_collection_get(p_collection_id);
  IF p_event_type = 'collection_validated' THEN
    v_verdict := iu.fn_iu_collection_validate(p_collection_id);
  END IF;
  v_event_id := iu.fn_iu_collection_event(p_event_type, v_collection,
    coalesce(p_detail, '{}') || coalesce(v_verdict, '{}') || jsonb_build_object('collection_id', v_collection.id,
      'collection_key', v_collection.collection_key, 'manifest_digest', v_collection.manifest_digest), p_actor);
  RETURN jsonb_strip_nulls(jsonb_build_object('ok', true, 'collection_id', p_collection_id,
    'event_type', p_event_type, 'event_emitted', v_event_id IS NOT NULL, 'event_id', v_event_id,
    'verdict', v_verdict));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_checkpoint IS
  'What public.fn_iu_collection_checkpoint hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_checkpoint(
    p_collection_id uuid, p_event_type text, p_actor text, p_detail jsonb DEFAULT '{}')
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_checkpoint(p_collection_id, p_event_type, p_actor, p_detail) END;
COMMENT ON FUNCTION public.fn_iu_collection_checkpoint IS
  'Tells as an event of domain iu that a collection was read: collection, what was done (collection_rendered, '
  'collection_validated, collection_exported, collection_import_proposed), who, an object of up to 256 kB that the '
  'event carries beside collection_id, collection_key and manifest_digest. collection_validated validates it here and '
  'carries {ok, problems}. Returns {ok: true, collection_id, event_type, event_emitted: false while the master switch '
  'is off, event_id, verdict}. SQLSTATE P0002: no such collection; 23514: type, actor, detail, or a payload that no '
  'event has.';
