-- Adding and retiring links.

CREATE FUNCTION iu.fn_iu_sql_name_fits(p_name text) RETURNS boolean
  LANGUAGE sql IMMUTABLE
RETURN coalesce(p_name <> '' AND octet_length(p_name) < 64 AND iu_core.text_problem(p_name, false) IS NULL, false);
COMMENT ON FUNCTION iu.fn_iu_sql_name_fits IS
  'Whether a name is one that an object of the database may have: 1 to 63 bytes that can be read. Raises nothing.';

CREATE FUNCTION iu.fn_iu_sql_link_object_refusal(p_link public.iu_sql_link) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN CASE
    WHEN (p_link.object_kind IN ('table', 'view', 'function', 'trigger', 'sequence', 'schema')) IS NOT TRUE
      THEN iu.fn_iu_invalid('object_kind', p_link.object_kind,
             'table, view, function, trigger, sequence or schema')
    WHEN NOT iu.fn_iu_sql_name_fits(p_link.object_schema)
      THEN iu.fn_iu_invalid('object_schema', p_link.object_schema, 'the name of a schema, as the catalog spells it')
    WHEN NOT iu.fn_iu_sql_name_fits(p_link.object_name)
         OR p_link.object_kind = 'schema' AND p_link.object_name <> p_link.object_schema
      THEN iu.fn_iu_invalid('object_name', p_link.object_name,
             'the name of the object, as the catalog spells it; of a schema its own')
    WHEN p_link.function_identity IS NOT NULL AND (p_link.object_kind <> 'function'
         OR p_link.function_identity <> '' AND iu_core.text_problem(p_link.function_identity, true) IS NOT NULL)
      THEN iu.fn_iu_invalid('function_identity', p_link.function_identity,
             'the argument types of a function, or NULL')
    WHEN (p_link.object_kind = 'trigger') <> (p_link.trigger_name IS NOT NULL)
         OR p_link.trigger_name IS NOT NULL AND NOT iu.fn_iu_sql_name_fits(p_link.trigger_name)
      THEN iu.fn_iu_invalid('trigger_name', p_link.trigger_name, 'the name of a trigger, and otherwise NULL')
    WHEN p_link.collection_name IS NOT NULL AND (p_link.object_kind NOT IN ('table', 'view')
         OR iu_core.text_problem(p_link.collection_name, false) IS NOT NULL)
      THEN iu.fn_iu_invalid('collection_name', p_link.collection_name,
             'what another system calls a table or view, or NULL')
    WHEN p_link.row_pk IS NOT NULL AND (p_link.object_kind NOT IN ('table', 'view')
         OR jsonb_typeof(p_link.row_pk) <> 'object' OR p_link.row_pk = '{}' OR length(p_link.row_pk::text) > 2000)
      THEN iu.fn_iu_invalid('row_pk', left(p_link.row_pk::text, 200),
             'the key of a row of a table or view, as an object, or NULL') END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_object_refusal IS
  'For fn_iu_sql_link_add, which pins its search_path: the refusal invalid_input of what names the object, or NULL. '
  'Argument: the link as a row.';

CREATE FUNCTION iu.fn_iu_sql_link_input(p_link public.iu_sql_link, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN coalesce(CASE
    WHEN iu.fn_iu_address_problem(p_link.canonical_address) IS NOT NULL
      THEN iu.fn_iu_invalid('canonical_address', p_link.canonical_address,
             iu.fn_iu_address_problem(p_link.canonical_address))
    WHEN (p_link.link_role ~ '^[a-z][a-z0-9_]{0,62}$') IS NOT TRUE
      THEN iu.fn_iu_invalid('link_role', p_link.link_role, 'a word of small letters, digits and "_"') END,
    iu.fn_iu_sql_link_object_refusal(p_link),
    CASE WHEN (p_link.direction IN ('bidirectional', 'outbound', 'inbound')) IS NOT TRUE
      THEN iu.fn_iu_invalid('direction', p_link.direction, 'bidirectional, outbound or inbound')
    WHEN iu_core.text_problem(p_link.idempotency_key, false) IS NOT NULL
      THEN iu.fn_iu_invalid('idempotency_key', p_link.idempotency_key,
             'what the caller calls it, in up to 200 characters')
    WHEN (jsonb_typeof(p_link.metadata) = 'object' AND length(p_link.metadata::text) <= 16000) IS NOT TRUE
      THEN iu.fn_iu_invalid('metadata', left(p_link.metadata::text, 200), 'an object of up to 16000 characters')
    WHEN iu_core.text_problem(p_link.created_by, false) IS NOT NULL
      THEN iu.fn_iu_invalid('actor', p_link.created_by, 'who does it, in up to 200 characters')
    WHEN iu_core.text_problem(p_reason, true) IS NOT NULL
      THEN iu.fn_iu_invalid('reason', p_reason, 'why, in up to 2000 characters in one line') END);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_input IS
  'For fn_iu_sql_link_add, which pins its search_path: the refusal invalid_input of what it is given, or NULL. '
  'Arguments: the link as a row, why.';

-- What has the key already, as an answer: the same again is a replay.
CREATE FUNCTION iu.fn_iu_sql_link_known(p_link public.iu_sql_link) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  c_given CONSTANT text[] := ARRAY['canonical_address', 'link_role', 'object_kind', 'object_schema', 'object_name',
    'collection_name', 'row_pk', 'function_identity', 'trigger_name', 'direction', 'metadata'];
  v_known public.iu_sql_link;
BEGIN
  SELECT l.* INTO v_known FROM public.iu_sql_link l WHERE l.idempotency_key = p_link.idempotency_key;
  IF NOT FOUND THEN
    RETURN NULL;
  ELSIF EXISTS (SELECT FROM unnest(c_given) AS g (key)
                 WHERE to_jsonb(v_known) -> g.key IS DISTINCT FROM to_jsonb(p_link) -> g.key) THEN
    RETURN iu.fn_iu_answer('idempotency_key_used', 'idempotency_key',
      format('Link %s has the key, and is another one.', v_known.id), 'choose_another_key');
  END IF;
  RETURN jsonb_build_object('status', 'idempotent_replay', 'link_id', v_known.id,
    'lifecycle_status', v_known.lifecycle_status);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_known IS
  'For fn_iu_sql_link_add, which pins its search_path: NULL where no link has the key; otherwise idempotent_replay, or '
  'the refusal idempotency_key_used. Argument: the link as it is given.';

CREATE FUNCTION iu.fn_iu_sql_link_write(p_link public.iu_sql_link, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_match text;
BEGIN
  v_match := iu.fn_iu_sql_object_match(p_link.object_kind, p_link.object_schema, p_link.object_name,
    p_link.function_identity, p_link.trigger_name);
  IF v_match !~ '_match$' THEN
    RETURN iu.fn_iu_answer('object_not_found', CASE v_match WHEN 'schema_missing' THEN 'object_schema'
        WHEN 'ambiguous' THEN 'function_identity' ELSE 'object_name' END,
      format('The catalog has no such %s: %s.', p_link.object_kind, v_match), 'correct_the_argument')
      || jsonb_build_object('detail', v_match);
  END IF;
  INSERT INTO public.iu_sql_link
      (id, unit_id, canonical_address, link_role, object_kind, object_schema, object_name, collection_name, row_pk,
       function_identity, trigger_name, object_fingerprint, direction, idempotency_key, metadata, created_by)
    VALUES (p_link.id, p_link.unit_id, p_link.canonical_address, p_link.link_role, p_link.object_kind,
            p_link.object_schema, p_link.object_name, p_link.collection_name, p_link.row_pk, p_link.function_identity,
            p_link.trigger_name, iu.fn_iu_sql_object_fingerprint(p_link.object_kind, p_link.object_schema,
              p_link.object_name, p_link.function_identity, p_link.trigger_name), p_link.direction,
            p_link.idempotency_key, p_link.metadata, p_link.created_by);
  PERFORM iu.fn_iu_require_effect(EXISTS (SELECT FROM public.iu_sql_link l WHERE l.id = p_link.id),
    'public.iu_sql_link', 'adding the link');
  PERFORM iu.fn_dot_iu_command_note('dot_iu_sql_link_add', 'link_id', p_link.id::text, 'applied', p_link.created_by,
    p_reason, jsonb_build_object('canonical_address', p_link.canonical_address, 'object_kind', p_link.object_kind,
      'object', format('%s.%s', p_link.object_schema, p_link.object_name)));
  RETURN jsonb_build_object('status', 'added', 'link_id', p_link.id, 'unit_id', p_link.unit_id, 'detail', v_match,
    'enabled', false);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_write IS
  'For fn_iu_sql_link_add, which pins its search_path: writes a link, and logs it, or the refusal object_not_found. '
  'Arguments: the link as a row, why.';

CREATE FUNCTION iu.fn_iu_sql_link_add(
    p_canonical_address text, p_link_role text, p_object_kind text, p_object_schema text, p_object_name text,
    p_direction text, p_idempotency_key text, p_actor text, p_reason text, p_function_identity text,
    p_trigger_name text, p_collection_name text, p_row_pk jsonb, p_metadata jsonb)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_link   public.iu_sql_link;
  v_answer jsonb;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_sql_link_add');
  v_link.id := gen_random_uuid();
  v_link.canonical_address := p_canonical_address;
  v_link.link_role := p_link_role;
  v_link.object_kind := p_object_kind;
  v_link.object_schema := p_object_schema;
  v_link.object_name := p_object_name;
  v_link.function_identity := p_function_identity;
  v_link.trigger_name := p_trigger_name;
  v_link.collection_name := p_collection_name;
  v_link.row_pk := p_row_pk;
  v_link.direction := p_direction;
  v_link.idempotency_key := p_idempotency_key;
  v_link.metadata := p_metadata;
  v_link.created_by := p_actor;
  v_answer := iu.fn_iu_sql_link_input(v_link, p_reason);
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  -- Of two calls at once with one key the second sees what the first has written.
  PERFORM iu_core.named_lock('iu_sql_link:' || p_idempotency_key);
  v_answer := iu.fn_iu_sql_link_known(v_link);
  IF v_answer IS NOT NULL THEN
    RETURN v_answer;
  END IF;
  -- Whoever deletes the unit meanwhile waits, or is seen here.
  SELECT u.id INTO v_link.unit_id FROM public.information_unit u
   WHERE u.canonical_address = p_canonical_address AND u.deleted_at IS NULL FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_not_found(p_canonical_address);
  END IF;
  RETURN iu.fn_iu_sql_link_write(v_link, p_reason);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_add IS
  'What public.fn_iu_sql_link_add hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_sql_link_add(
    p_canonical_address text, p_link_role text, p_object_kind text, p_object_schema text, p_object_name text,
    p_direction text, p_idempotency_key text, p_actor text, p_reason text, p_function_identity text DEFAULT NULL,
    p_trigger_name text DEFAULT NULL, p_collection_name text DEFAULT NULL, p_row_pk jsonb DEFAULT NULL,
    p_metadata jsonb DEFAULT '{}')
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_sql_link_add(p_canonical_address, p_link_role, p_object_kind, p_object_schema, p_object_name, p_direction,
    p_idempotency_key, p_actor, p_reason, p_function_identity, p_trigger_name, p_collection_name, p_row_pk,
    p_metadata) END;
COMMENT ON FUNCTION public.fn_iu_sql_link_add IS
  'Links a unit with an object of this database, and logs it, for operators: address, what the unit is to the object '
  '(governs, represents and the like), kind (table, view, function, trigger, sequence, schema), schema and name as the '
  'catalog spells them (of a trigger its table, of a schema its own name twice), direction (outbound: the object '
  'follows the unit; inbound; bidirectional), what the caller calls it, who, why; argument types of a function, name '
  'of a trigger, of a table or view what another system calls it and the key of the one row that is meant (an object '
  'of up to 2000 characters), an object of one''s own of up to 16000 characters. The object is looked for in the '
  'catalog and not opened. Returns {status: added, link_id, unit_id, detail, enabled: false}; the same again under the '
  'key: idempotent_replay. Refusals {status, field, guidance, next_action}, in this order: invalid_input (the '
  'arguments), idempotency_key_used, iu_not_found, object_not_found with detail as fn_iu_sql_link_validate has it. '
  'SQLSTATE 25000: another isolation level than READ COMMITTED; 55000: an enabled route could not capture it.';

CREATE FUNCTION iu.fn_iu_sql_link_retire(p_link_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_link public.iu_sql_link;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_sql_link_retire');
  IF p_link_id IS NULL THEN
    RETURN iu.fn_iu_invalid('link_id', NULL, 'the id of a link');
  ELSIF iu_core.text_problem(p_actor, false) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters');
  ELSIF iu_core.text_problem(p_reason, true) IS NOT NULL THEN
    RETURN iu.fn_iu_invalid('reason', p_reason, 'why, in up to 2000 characters in one line');
  END IF;
  SELECT l.* INTO v_link FROM public.iu_sql_link l WHERE l.id = p_link_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_answer('link_not_found', 'link_id', format('There is no link %s.', p_link_id),
      'look_at_v_iu_sql_link_resolved');
  ELSIF v_link.lifecycle_status = 'retired' THEN
    RETURN jsonb_build_object('status', 'idempotent_replay', 'link_id', p_link_id, 'lifecycle_status', 'retired');
  END IF;
  UPDATE public.iu_sql_link l SET lifecycle_status = 'retired', enabled = false, valid_to = clock_timestamp()
   WHERE l.id = p_link_id;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_sql_link l WHERE l.id = p_link_id AND l.lifecycle_status = 'retired'),
    'public.iu_sql_link', 'retiring the link');
  PERFORM iu.fn_dot_iu_command_note('dot_iu_sql_link_retire', 'link_id', p_link_id::text, 'applied', p_actor,
    p_reason, NULL);
  RETURN jsonb_build_object('status', 'retired', 'link_id', p_link_id, 'lifecycle_status', 'retired');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_retire IS
  'What public.fn_iu_sql_link_retire hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_sql_link_retire(p_link_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_sql_link_retire(p_link_id, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_sql_link_retire IS
  'Retires a link, and logs it, for operators: its id, who, why. The row stays. Returns {status: retired, link_id, '
  'lifecycle_status}; idempotent_replay where it was retired already. Refusals {status, field, guidance, next_action}: '
  'invalid_input (link_id, actor, reason), link_not_found. SQLSTATE 25000: another isolation level than READ '
  'COMMITTED.';

CREATE FUNCTION iu.fn_iu_sql_link_use(p_unit_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (SELECT format('it is linked with %s %s.%s', l.object_kind, l.object_schema, l.object_name)
            FROM public.iu_sql_link l WHERE l.unit_id = p_unit_id AND l.lifecycle_status = 'active'
           ORDER BY l.valid_from, l.id LIMIT 1);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_use IS
  'For iu.fn_iu_unit_in_use: which object of the database a unit is linked with, in words, or NULL. Argument: the '
  'unit. Raises nothing.';
SELECT iu.fn_iu_hook_add(38, 'iu.fn_iu_unit_in_use(uuid)', 'iu.fn_iu_sql_link_use(uuid)');
