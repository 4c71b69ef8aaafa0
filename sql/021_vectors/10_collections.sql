-- 021 vectors: which points a vector store (Qdrant) should have, and which it has.
--
-- Nothing here writes to Qdrant. What should be there is planned when a text is
-- enacted; an indexer outside reads what is pending and writes points; and what is
-- there is observed through a foreign table. Only an observation says that a point
-- is indexed.

SELECT iu.fn_iu_gate_register(21, 'iu_core.vector_sync_enabled', 'never_flip', 'Recording a vector point as indexed');

CREATE TABLE public.iu_qdrant_collection_registry (
  collection_name    text NOT NULL,
  vector_dim         integer NOT NULL,
  distance_metric    text NOT NULL,
  embedder_model_ref text NOT NULL,
  purpose            text NOT NULL,
  status             text NOT NULL DEFAULT 'planned',
  notes              text,
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL DEFAULT now(),
  retired_at         timestamptz,
  CONSTRAINT iu_qdrant_collection_registry_pkey PRIMARY KEY (collection_name),
  CONSTRAINT iu_qdrant_collection_registry_vector_dim_chk CHECK (vector_dim BETWEEN 1 AND 65536),
  CONSTRAINT iu_qdrant_collection_registry_distance_metric_chk
    CHECK (distance_metric IN ('Cosine', 'Euclid', 'Dot', 'Manhattan')),
  CONSTRAINT iu_qdrant_collection_registry_status_chk CHECK (status IN ('planned', 'active', 'retired')),
  CONSTRAINT iu_qdrant_collection_registry_retired_at_chk CHECK ((status = 'retired') = (retired_at IS NOT NULL))
);
COMMENT ON TABLE public.iu_qdrant_collection_registry IS
  'The collections of Qdrant that are meant to hold points, one row each. Written by fn_iu_qdrant_collection_register '
  'and fn_iu_qdrant_collection_retire, and by an observation, which makes a planned one active. Rows stay.';
COMMENT ON COLUMN public.iu_qdrant_collection_registry.collection_name IS 'Its name in Qdrant';
COMMENT ON COLUMN public.iu_qdrant_collection_registry.vector_dim IS 'How many numbers a vector has, 1 to 65536';
COMMENT ON COLUMN public.iu_qdrant_collection_registry.distance_metric IS 'Cosine, Euclid, Dot or Manhattan';
COMMENT ON COLUMN public.iu_qdrant_collection_registry.embedder_model_ref IS
  'Which model makes the vectors, e.g. openai:text-embedding-3-small; never a secret';
COMMENT ON COLUMN public.iu_qdrant_collection_registry.purpose IS
  'iu_core_per_iu_chunks: the chunks of enacted units are planned for it; anything else: nothing is planned by itself';
COMMENT ON COLUMN public.iu_qdrant_collection_registry.status IS
  'planned (registered), active (an observation has found it), retired (not to be used any more)';
COMMENT ON COLUMN public.iu_qdrant_collection_registry.notes IS 'Why it was registered, as told last';
COMMENT ON COLUMN public.iu_qdrant_collection_registry.created_at IS 'Start of the transaction that registered it';
COMMENT ON COLUMN public.iu_qdrant_collection_registry.updated_at IS 'When its row changed last';
COMMENT ON COLUMN public.iu_qdrant_collection_registry.retired_at IS 'When it was retired; NULL: it is not';

CREATE VIEW public.v_iu_qdrant_collection_active AS
  SELECT r.collection_name, r.vector_dim, r.distance_metric, r.embedder_model_ref, r.purpose, r.status, r.notes,
         r.created_at, r.updated_at
    FROM public.iu_qdrant_collection_registry r WHERE r.status IN ('planned', 'active');
COMMENT ON VIEW public.v_iu_qdrant_collection_active IS
  'The collections that are in use or about to be: those of iu_qdrant_collection_registry that are not retired.';

-- A reference names a model. What is long and random, or is called a key, is a secret.
CREATE FUNCTION iu.fn_iu_model_is_named(p_model text) RETURNS boolean
  LANGUAGE sql IMMUTABLE
RETURN coalesce(p_model ~ '^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$'
  AND p_model !~* '(^|[:/._@+-])(sk|pk|rk|api_?key|key|token|secret|bearer|password|whsec|ghp|hf)[-_:=]'
  AND p_model !~ '[A-Za-z0-9_]{32,}', false);
COMMENT ON FUNCTION iu.fn_iu_model_is_named IS
  'Whether a text is the name of a model of embeddings: 1 to 200 letters, digits and ". _ : / @ + -", no part of it '
  'called a key, a token or a secret, and no 32 letters and digits in a row. Raises nothing.';

CREATE FUNCTION iu.fn_iu_qdrant_collection_check(
    p_name text, p_dim integer, p_distance text, p_model text, p_purpose text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN CASE
    WHEN iu_core.text_problem(p_name, false) IS NOT NULL OR strpos(p_name, '/') > 0 OR p_name <> btrim(p_name)
      THEN iu.fn_iu_invalid('name', p_name, 'the name of a collection, up to 200 characters without "/"')
    WHEN (p_dim BETWEEN 1 AND 65536) IS NOT TRUE
      THEN iu.fn_iu_invalid('dim', p_dim::text, 'from 1 to 65536')
    WHEN (p_distance IN ('Cosine', 'Euclid', 'Dot', 'Manhattan')) IS NOT TRUE
      THEN iu.fn_iu_invalid('distance', p_distance, 'Cosine, Euclid, Dot or Manhattan')
    -- The value is not quoted: it may be a secret.
    WHEN NOT iu.fn_iu_model_is_named(p_model)
      THEN iu.fn_iu_answer('invalid_input', 'model', 'model must name a model, such as openai:text-embedding-3-small, '
        'and hold no key or token.', 'correct_the_argument')
    WHEN (p_purpose ~ '^[a-z][a-z0-9_]{0,119}$') IS NOT TRUE
      THEN iu.fn_iu_invalid('purpose', p_purpose, '1 to 120 small letters, digits or "_", with a letter first')
    WHEN iu_core.text_problem(p_actor, false) IS NOT NULL
      THEN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters')
    WHEN iu_core.text_problem(p_reason, true) IS NOT NULL
      THEN iu.fn_iu_invalid('reason', p_reason, 'why, in up to 2000 characters in one line') END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_qdrant_collection_check IS
  'For the commands on collections, which pin its search_path: the refusal invalid_input of their arguments, or NULL.';

CREATE FUNCTION iu.fn_iu_qdrant_collection_register(
    p_name text, p_dim integer, p_distance text, p_model text, p_purpose text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal jsonb := iu.fn_iu_qdrant_collection_check(p_name, p_dim, p_distance, p_model, p_purpose, p_actor, p_reason);
  v_before  public.iu_qdrant_collection_registry;
  v_status  text;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_qdrant_collection_register');
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  PERFORM iu_core.named_lock('iu_qdrant_collection:' || p_name);
  SELECT r.* INTO v_before FROM public.iu_qdrant_collection_registry r WHERE r.collection_name = p_name FOR UPDATE;
  IF v_before.collection_name IS NULL THEN
    v_status := 'registered';
    INSERT INTO public.iu_qdrant_collection_registry
        (collection_name, vector_dim, distance_metric, embedder_model_ref, purpose, notes)
      VALUES (p_name, p_dim, p_distance, p_model, p_purpose, p_reason);
  ELSIF (v_before.vector_dim, v_before.distance_metric) <> (p_dim, p_distance) THEN
    RETURN iu.fn_iu_answer('collection_changed', CASE WHEN v_before.vector_dim <> p_dim THEN 'dim' ELSE 'distance' END,
      format('The collection is registered with %s dimensions and distance %s, which no collection of Qdrant changes. '
             'Register another one.', v_before.vector_dim, v_before.distance_metric), 'give_another_name')
      || jsonb_build_object('dim', v_before.vector_dim, 'distance', v_before.distance_metric);
  ELSIF (v_before.embedder_model_ref, v_before.purpose, v_before.status = 'retired') = (p_model, p_purpose, false) THEN
    v_status := 'unchanged';
  ELSE
    v_status := CASE v_before.status WHEN 'retired' THEN 'registered_again' ELSE 'changed' END;
    UPDATE public.iu_qdrant_collection_registry r
       SET embedder_model_ref = p_model, purpose = p_purpose, notes = p_reason, updated_at = now(), retired_at = NULL,
           status = CASE r.status WHEN 'retired' THEN 'planned' ELSE r.status END
     WHERE r.collection_name = p_name;
  END IF;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_qdrant_collection_register', 'collection', p_name, 'applied', p_actor,
    p_reason, jsonb_build_object('status', v_status, 'dim', p_dim, 'distance', p_distance, 'model', p_model,
      'purpose', p_purpose));
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_qdrant_collection_registry r
             WHERE r.collection_name = p_name AND r.embedder_model_ref = p_model AND r.status <> 'retired'),
    'public.iu_qdrant_collection_registry', 'registering the collection');
  RETURN jsonb_build_object('status', v_status, 'collection_name', p_name);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_qdrant_collection_register IS
  'What public.fn_iu_qdrant_collection_register hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_qdrant_collection_register(
    p_name text, p_dim integer, p_distance text, p_model text, p_purpose text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_qdrant_collection_register(p_name, p_dim, p_distance, p_model, p_purpose, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_qdrant_collection_register IS
  'Registers a collection of Qdrant, or changes its model and purpose, and logs it: name, dimension (1 to 65536), '
  'distance (Cosine, Euclid, Dot, Manhattan), model of the embeddings, purpose (iu_core_per_iu_chunks: the chunks of '
  'units that are enacted from now on are planned for it), who, why. Nothing is made in Qdrant. Returns {status: '
  'registered | registered_again (it was retired) | changed | unchanged, collection_name}. Refusals {status, field, '
  'guidance, next_action}: invalid_input (name, dim, distance, model (also what looks like a secret), purpose, actor, '
  'reason), collection_changed (another dimension or distance). SQLSTATE 25000: another isolation level than READ '
  'COMMITTED.';

CREATE FUNCTION iu.fn_iu_qdrant_collection_unknown(p_field text, p_name text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN iu.fn_iu_answer('collection_not_registered', p_field,
  format('No collection %s is registered.', iu_core.text_shown(p_name)), 'fn_iu_qdrant_collection_register');
COMMENT ON FUNCTION iu.fn_iu_qdrant_collection_unknown IS
  'The refusal collection_not_registered: field, name of the collection.';

CREATE FUNCTION iu.fn_iu_qdrant_collection_retire(p_name text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal jsonb := iu.fn_iu_qdrant_collection_check(p_name, 1, 'Dot', 'a', 'a', p_actor, p_reason);
  v_before  text;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_qdrant_collection_retire');
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  SELECT r.status INTO v_before FROM public.iu_qdrant_collection_registry r
   WHERE r.collection_name = p_name FOR UPDATE;
  IF v_before IS NULL THEN
    RETURN iu.fn_iu_qdrant_collection_unknown('name', p_name);
  END IF;
  UPDATE public.iu_qdrant_collection_registry r
     SET status = 'retired', retired_at = now(), updated_at = now(), notes = p_reason
   WHERE r.collection_name = p_name AND r.status <> 'retired';
  PERFORM iu.fn_dot_iu_command_note('dot_iu_qdrant_collection_retire', 'collection', p_name, 'applied', p_actor,
    p_reason, jsonb_build_object('previous', v_before));
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_qdrant_collection_registry r
             WHERE r.collection_name = p_name AND r.status = 'retired'),
    'public.iu_qdrant_collection_registry', 'retiring the collection');
  RETURN jsonb_build_object('status', CASE v_before WHEN 'retired' THEN 'unchanged' ELSE 'retired' END,
    'collection_name', p_name);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_qdrant_collection_retire IS
  'What public.fn_iu_qdrant_collection_retire hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_qdrant_collection_retire(p_name text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_qdrant_collection_retire(p_name, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_qdrant_collection_retire IS
  'Retires a collection, and logs it: name, who, why. Nothing is planned for it and nothing of it is pending any more; '
  'its points stay as they were recorded, and nothing is deleted in Qdrant. Registering it again takes it back. '
  'Returns {status: retired | unchanged, collection_name}. Refusals {status, field, guidance, next_action}: '
  'invalid_input (name, actor, reason), collection_not_registered. SQLSTATE 25000: another isolation level than READ '
  'COMMITTED.';
