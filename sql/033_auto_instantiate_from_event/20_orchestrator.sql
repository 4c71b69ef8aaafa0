-- Making a collection after a template. A refusal is an object with the one key
-- status, asked in a fixed order; what to do about each is in the COMMENT.

CREATE FUNCTION public.fn_iu_auto_instantiate_from_event(
    p_event_id uuid, p_event_type text, p_template_collection_id uuid, p_instance_key_suffix text, p_emit_mode text,
    p_actor text, p_note text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_instance_key CONSTANT text := 'tpl-inst:auto:' || p_instance_key_suffix;
  v_caller       CONSTANT text := coalesce(iu_core.caller()::regrole::text, 'NULL');
  v_key          CONSTANT text := md5(p_event_id || ':' || p_template_collection_id || ':' || p_instance_key_suffix);
  v_template     public.iu_piece_collection;
  v_instance     public.iu_piece_collection;
  v_log          public.iu_auto_instantiate_event_log;
  v_iu_ids       uuid[];
  v_roles        text[];
BEGIN
  IF NOT iu_core.caller_may('{iu_core_writer,iu_core_agent}') THEN
    RAISE insufficient_privilege USING MESSAGE = format('role %s may not make collections after templates', v_caller),
      DETAIL = format('Role: %s. It is for members of iu_core_writer and iu_core_agent.', v_caller),
      HINT = 'A superuser makes somebody a member with GRANT.', CONSTRAINT = 'iu_auto_instantiate_role';
  END IF;
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_auto_instantiate_from_event');
  IF v_key IS NULL OR btrim(p_instance_key_suffix) = '' OR iu.fn_iu_collection_key_problem(v_instance_key) IS NOT NULL
     OR iu_core.text_problem(p_event_type, false) IS NOT NULL OR iu_core.text_problem(p_actor, false) IS NOT NULL
     OR p_note IS NOT NULL AND iu_core.text_problem(p_note, true) IS NOT NULL THEN
    RETURN '{"status": "invalid_input"}';
  ELSIF (p_emit_mode IN ('dry_run', 'live')) IS NOT TRUE THEN
    RETURN '{"status": "invalid_emit_mode"}';
  ELSIF p_emit_mode = 'live' AND NOT iu_core.gate_is_open('iu_core.auto_instantiate_enabled') THEN
    RETURN '{"status": "live_gate_closed"}';
  ELSIF NOT iu_core.gate_is_open('iu_core.composer_enabled') THEN
    RETURN '{"status": "composer_gate_closed"}';
  END IF;
  -- It stays until this is done; while it was waited for a gate may have closed. Order and digest are of one moment.
  SELECT c.* INTO v_template FROM public.iu_piece_collection c
   WHERE c.id = p_template_collection_id AND c.deleted_at IS NULL FOR KEY SHARE;
  IF p_emit_mode = 'live' AND NOT iu_core.gate_is_open('iu_core.auto_instantiate_enabled') THEN
    RETURN '{"status": "live_gate_closed"}';
  ELSIF NOT iu_core.gate_is_open('iu_core.composer_enabled') THEN
    RETURN '{"status": "composer_gate_closed"}';
  ELSIF v_template.id IS NULL THEN
    RETURN '{"status": "template_collection_not_found"}';
  ELSIF NOT iu.fn_iu_template_marked(p_template_collection_id) THEN
    RETURN '{"status": "template_not_marked"}';
  END IF;
  SELECT coalesce(array_agg(m.iu_id ORDER BY m.piece_order), '{}'),
         coalesce(array_agg(m.piece_role ORDER BY m.piece_order), '{}'),
         (SELECT c.manifest_digest FROM public.iu_piece_collection c WHERE c.id = p_template_collection_id)
    INTO v_iu_ids, v_roles, v_template.manifest_digest FROM public.iu_piece_membership m
   WHERE m.collection_id = p_template_collection_id AND m.membership_status = 'active';
  -- Of two calls at once for one collection the second waits here, and at its second look sees what the first made.
  FOR v_look IN 1 .. 2 LOOP
    SELECT l.* INTO v_log FROM public.iu_auto_instantiate_event_log l WHERE l.idempotency_key = v_key;
    IF FOUND THEN
      RETURN jsonb_build_object('status', 'idempotent_replay', 'instance_collection_id', v_log.instance_collection_id,
        'instance_collection_key', v_instance_key, 'idempotency_key', v_key, 'emit_mode', v_log.emit_mode);
    ELSIF v_look = 2 THEN
      RETURN '{"status": "instance_key_exists"}';
    END IF;
    v_instance := iu.fn_iu_collection_open(v_instance_key, v_template.collection_kind, v_template.title,
      v_template.description, v_iu_ids, v_roles, p_actor);
    EXIT WHEN v_instance.id IS NOT NULL;
  END LOOP;
  PERFORM iu.fn_iu_collection_fill(v_instance, v_iu_ids, v_roles, p_actor);
  WITH lineage AS (
    INSERT INTO public.iu_collection_template_instance_lineage (instance_collection_id, template_collection_id,
        instantiated_by, instance_note) VALUES (v_instance.id, p_template_collection_id, p_actor, p_note))
  INSERT INTO public.iu_auto_instantiate_event_log
      (instance_collection_id, template_collection_id, event_id, event_type, idempotency_key, emit_mode, triggered_by)
    VALUES (v_instance.id, p_template_collection_id, p_event_id, p_event_type, v_key, p_emit_mode, p_actor);
  IF NOT EXISTS (SELECT FROM public.iu_auto_instantiate_event_log l
                   JOIN public.iu_collection_template_instance_lineage i USING (instance_collection_id)
                  WHERE l.idempotency_key = v_key) THEN
    PERFORM iu.fn_iu_require_effect(false, 'public.iu_auto_instantiate_event_log', 'recording the instance');
  END IF;
  RETURN jsonb_build_object('status', 'ok', 'instance_collection_id', v_instance.id, 'instance_collection_key',
    v_instance_key, 'pieces_attached', cardinality(v_iu_ids), 'idempotency_key', v_key, 'emit_mode', p_emit_mode,
    'digest_matches_template', v_instance.manifest_digest IS NOT DISTINCT FROM v_template.manifest_digest);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_auto_instantiate_from_event IS
  'Makes a collection after a template because of an event: event, its type, template, a suffix (the key of the '
  'collection is tpl-inst:auto:<suffix>), dry_run or live, who, a note or NULL. It has the units of the template in '
  'the same order and roles, its kind, title and description; lineage and log have a row each; events are those of '
  'fn_iu_compose. dry_run is a tag: the collection is made all the same, without gate '
  'iu_core.auto_instantiate_enabled. Returns {status: ok, instance_collection_id, instance_collection_key, '
  'pieces_attached, digest_matches_template, idempotency_key: md5(event_id || '':'' || template || '':'' || suffix), '
  'emit_mode}; the same event, template and suffix again: idempotent_replay with what there is. Refusals {status} '
  'alone, in this order: invalid_input (event, type, template, suffix or actor missing or malformed; a malformed '
  'note), invalid_emit_mode (neither dry_run nor live), live_gate_closed (open iu_core.auto_instantiate_enabled), '
  'composer_gate_closed (open iu_core.composer_enabled, in either mode), template_collection_not_found, '
  'template_not_marked (fn_iu_collection_mark_as_template), instance_key_exists (another event made it, or somebody '
  'composed it: give another suffix). SQLSTATE 42501: whoever calls is neither in iu_core_writer nor in '
  'iu_core_agent; 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION public.fn_iu_auto_instantiate_rollback_by_actor(p_actor text, p_dry_run boolean DEFAULT true)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_ids     uuid[];
  v_in_use  jsonb;
  v_members bigint;
BEGIN
  IF NOT iu_core.caller_may('{iu_core_operator}') THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('role %s may not roll back what an actor made',
                       coalesce(iu_core.caller()::regrole::text, 'NULL')),
      DETAIL = format('Role: %s. It is for members of iu_core_operator.',
                      coalesce(iu_core.caller()::regrole::text, 'NULL')),
      HINT = 'A superuser makes somebody a member with GRANT.', CONSTRAINT = 'iu_auto_instantiate_role';
  END IF;
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_auto_instantiate_rollback_by_actor');
  IF iu_core.text_problem(p_actor, false) IS NOT NULL OR p_dry_run IS NULL THEN
    RETURN '{"status": "invalid_input"}';
  ELSIF NOT p_dry_run AND NOT iu_core.gate_is_open('iu_core.composer_enabled') THEN
    RETURN '{"status": "composer_gate_closed"}';
  END IF;
  v_ids := ARRAY(SELECT l.instance_collection_id FROM public.iu_auto_instantiate_event_log l
                  WHERE l.triggered_by = p_actor);
  PERFORM FROM public.iu_piece_collection c WHERE c.id = ANY (v_ids) AND NOT p_dry_run
    ORDER BY c.collection_key COLLATE "C" FOR UPDATE;
  IF NOT p_dry_run AND NOT iu_core.gate_is_open('iu_core.composer_enabled') THEN
    RETURN '{"status": "composer_gate_closed"}';
  END IF;
  v_ids := ARRAY(SELECT l.instance_collection_id FROM public.iu_auto_instantiate_event_log l
                  WHERE l.triggered_by = p_actor AND l.instance_collection_id = ANY (v_ids));
  SELECT jsonb_agg(c.collection_key ORDER BY c.collection_key COLLATE "C") INTO v_in_use
    FROM public.iu_piece_collection c
   WHERE c.id = ANY (v_ids)
     AND (EXISTS (SELECT FROM public.iu_collection_template_registry r WHERE r.collection_id = c.id)
          OR EXISTS (SELECT FROM public.iu_collection_template_version v
                      WHERE v.collection_id = c.id OR v.previous_collection_id = c.id)
          OR EXISTS (SELECT FROM public.iu_collection_template_instance_lineage l
                      WHERE l.template_collection_id = c.id));
  IF v_in_use IS NOT NULL THEN
    RETURN jsonb_build_object('status', 'instance_in_use', 'in_use', v_in_use);
  END IF;
  SELECT count(*) INTO v_members FROM public.iu_piece_membership m WHERE m.collection_id = ANY (v_ids);
  IF NOT p_dry_run THEN
    DELETE FROM public.iu_piece_membership m WHERE m.collection_id = ANY (v_ids);
    DELETE FROM public.iu_collection_template_instance_lineage l WHERE l.instance_collection_id = ANY (v_ids);
    DELETE FROM public.iu_piece_collection c WHERE c.id = ANY (v_ids);
    PERFORM iu.fn_iu_require_effect(
      NOT EXISTS (SELECT FROM public.iu_piece_collection c WHERE c.id = ANY (v_ids))
      AND NOT EXISTS (SELECT FROM public.iu_auto_instantiate_event_log l
                       WHERE l.instance_collection_id = ANY (v_ids)),
      'public.iu_piece_collection', 'rolling the instances back');
  END IF;
  RETURN jsonb_build_object('status', CASE WHEN p_dry_run THEN 'dry_run' ELSE 'rolled_back' END, 'actor', p_actor,
    'log_rows', cardinality(v_ids), 'lineage_rows', cardinality(v_ids), 'collections', cardinality(v_ids),
    'memberships', v_members);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_auto_instantiate_rollback_by_actor IS
  'Takes back all collections that events made in the name of an actor, for operators: who, whether only to look (the '
  'default). Collections, memberships, lineage and log go; units stay, and so do events. Returns {status: rolled_back '
  '(dry_run: what would go), actor, log_rows, lineage_rows, collections, memberships}. Refusals: {status} alone, '
  'invalid_input, composer_gate_closed (not of a dry run); instance_in_use with in_use, the keys of those that are '
  'templates by now, or versions, or have instances. SQLSTATE 42501: whoever calls is not in iu_core_operator; 25000: '
  'another isolation level than READ COMMITTED.';
