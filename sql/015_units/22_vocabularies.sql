-- Vocabularies: what a unit may be, and be published as. A value is a row of
-- dot_config, vocab.<vocabulary>.<value>, whose value says what it means.

-- These two are asked for each unit that is born, and are in plpgsql because it
-- keeps their plans.
CREATE FUNCTION iu.fn_iu_vocab_has(p_vocabulary text, p_value text) RETURNS boolean
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM public.dot_config c WHERE c.key = 'vocab.' || p_vocabulary || '.' || p_value);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vocab_has IS
  'For functions that pin its search_path: whether a vocabulary has a value; false for NULL. Arguments: vocabulary, '
  'value. Raises nothing.';

CREATE FUNCTION iu.fn_iu_vocab_values(p_vocabulary text) RETURNS text[]
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN ARRAY(SELECT substr(c.key, length('vocab.' || p_vocabulary || '.') + 1) FROM public.dot_config c
                WHERE starts_with(c.key, 'vocab.' || p_vocabulary || '.') ORDER BY c.key COLLATE "C");
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vocab_values IS
  'For functions that pin its search_path: the values of a vocabulary, in order. Raises nothing.';

-- A later migration brings a vocabulary by bringing its first values.
CREATE FUNCTION iu.fn_iu_vocab_require(p_vocabulary text, p_value text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_known CONSTANT text[] := ARRAY(
    SELECT v.name FROM unnest(ARRAY['unit_kind', 'section_type', 'publication_type', 'publication_authority'])
                         AS v (name)
    UNION SELECT split_part(c.key, '.', 2) FROM public.dot_config c WHERE starts_with(c.key, 'vocab.') ORDER BY 1);
BEGIN
  PERFORM iu.fn_iu_require_value(p_vocabulary = ANY (v_known), 'iu_vocabulary', 'p_vocabulary',
    'one of ' || array_to_string(v_known, ', '), p_vocabulary);
  PERFORM iu.fn_iu_require_value(p_value ~ '^[a-z][a-z0-9_]{0,99}$', 'iu_vocabulary_value', 'p_value',
    '1 to 100 small letters, digits or "_", with a letter first', p_value);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vocab_require IS
  'Refuses a vocabulary that there is not, and a value of another form: vocabulary, value. Errors: 23514.';

CREATE FUNCTION iu.fn_iu_vocab_add(
    p_vocabulary text, p_value text, p_description text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_key      CONSTANT text := format('vocab.%s.%s', p_vocabulary, p_value);
  v_previous text;
  v_status   text := 'added';
  v_run_id   uuid;
BEGIN
  PERFORM iu.fn_iu_vocab_require(p_vocabulary, p_value);
  PERFORM iu.fn_iu_require_text('iu_vocabulary_description', 'p_description', 'what the value means', p_description,
    true);
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  SELECT c.value INTO v_previous FROM public.dot_config c WHERE c.key = v_key FOR NO KEY UPDATE;
  IF FOUND AND v_previous = p_description THEN
    v_status := 'unchanged';
  ELSIF FOUND THEN
    v_status := 'changed';
    UPDATE public.dot_config SET value = p_description WHERE key = v_key;
  ELSE
    INSERT INTO public.dot_config (key, value, description)
      VALUES (v_key, p_description, format('a value of vocabulary %s', p_vocabulary));
    PERFORM iu.fn_iu_govern_row(15, 'config', v_key, true);
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_vocab_add', 'value', v_key, 'applied', p_actor, p_reason,
    jsonb_build_object('status', v_status, 'previous', v_previous, 'description', p_description,
      'session_user', session_user));
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.dot_config c WHERE c.key = v_key AND c.value = p_description),
    'public.dot_config', 'adding to the vocabulary');
  RETURN jsonb_build_object('status', v_status, 'vocabulary', p_vocabulary, 'value', p_value,
    'previous', v_previous, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vocab_add IS
  'What public.fn_iu_vocab_add hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_vocab_add(
    p_vocabulary text, p_value text, p_description text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_vocab_add(p_vocabulary, p_value, p_description, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_vocab_add IS
  'Adds a value to a vocabulary, or changes what it means, and logs it: vocabulary (unit_kind, section_type, '
  'publication_type, publication_authority, collection_kind, piece_role), value (1 to 100 small letters, digits or '
  '"_", with a letter first), what it means, who, why. Returns {status: added | changed | unchanged, vocabulary, '
  'value, previous: what it meant, run_id}. SQLSTATE 23514: one of the arguments.';

-- A point: vocabularies of later migrations are used by tables that nothing here
-- names. Those functions wait for who writes these tables, by a lock.
CREATE FUNCTION iu.fn_iu_vocab_use(p_vocabulary text, p_value text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_function text;
  v_use      text;
BEGIN
  IF EXISTS (SELECT FROM public.dot_config c
              WHERE c.key = CASE p_vocabulary WHEN 'unit_kind' THEN 'iu_create.default_unit_kind'
                                              WHEN 'section_type' THEN 'iu_create.default_section_type' END
                AND c.value = p_value) THEN
    RETURN 'it is the default of units that are created';
  END IF;
  SELECT format('unit %s has it', u.canonical_address) INTO v_use FROM public.information_unit u
   WHERE CASE p_vocabulary
           WHEN 'unit_kind' THEN u.unit_kind = p_value
           WHEN 'section_type' THEN u.section_type = p_value
             OR u.identity_profile ->> 'primary_section_type_ref' = p_value
           WHEN 'publication_type' THEN u.identity_profile ->> 'publication_type_ref' = p_value
           WHEN 'publication_authority' THEN u.identity_profile ->> 'publication_authority_ref' = p_value END
   LIMIT 1;
  FOR v_function IN SELECT h FROM iu.fn_iu_hook_functions('iu.fn_iu_vocab_use(text,text)') AS h LOOP
    EXIT WHEN v_use IS NOT NULL;
    EXECUTE format('SELECT %s($1, $2)', v_function) INTO v_use USING p_vocabulary, p_value;
  END LOOP;
  RETURN v_use;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vocab_use IS
  'A point: what uses a value of a vocabulary, in words, or NULL; deleted units count. Later migrations say what uses '
  'theirs. Arguments: vocabulary, value. Raises what they raise.';

-- The lock waits for writers of units, so that none of them has the value in
-- hand, and those that come later find it gone.
CREATE FUNCTION iu.fn_iu_vocab_remove(p_vocabulary text, p_value text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '5s'
AS $function$
DECLARE
  v_key      CONSTANT text := format('vocab.%s.%s', p_vocabulary, p_value);
  v_previous text;
  v_use      text;
  v_run_id   uuid;
BEGIN
  PERFORM iu.fn_iu_vocab_require(p_vocabulary, p_value);
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  PERFORM iu.fn_iu_require_read_committed('fn_iu_vocab_remove', 'would not see units that have come to use the value');
  LOCK TABLE public.information_unit IN SHARE MODE;
  SELECT c.value INTO v_previous FROM public.dot_config c WHERE c.key = v_key FOR UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('vocabulary %s has no value "%s"', p_vocabulary, p_value),
      DETAIL = format('Values: %s.', array_to_string(iu.fn_iu_vocab_values(p_vocabulary), ', ')),
      CONSTRAINT = 'iu_vocabulary_value_unknown';
  END IF;
  v_use := iu.fn_iu_vocab_use(p_vocabulary, p_value);
  IF v_use IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('value "%s" of vocabulary %s is in use: %s', p_value, p_vocabulary, v_use),
      DETAIL = format('Vocabulary: %s; value: %s; %s.', p_vocabulary, p_value, v_use),
      CONSTRAINT = 'iu_vocabulary_value_used';
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_vocab_remove', 'value', v_key, 'applied', p_actor, p_reason,
    jsonb_build_object('previous', v_previous, 'session_user', session_user));
  DELETE FROM public.dot_config WHERE key = v_key;
  PERFORM iu.fn_iu_ungovern_row('config', v_key);
  PERFORM iu.fn_iu_require_effect(NOT EXISTS (SELECT FROM public.dot_config c WHERE c.key = v_key),
    'public.dot_config', 'removing from the vocabulary');
  RETURN jsonb_build_object('status', 'removed', 'vocabulary', p_vocabulary, 'value', p_value,
    'previous', v_previous, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_vocab_remove IS
  'What public.fn_iu_vocab_remove hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_vocab_remove(p_vocabulary text, p_value text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_vocab_remove(p_vocabulary, p_value, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_vocab_remove IS
  'Takes a value out of a vocabulary, and logs it: vocabulary, value, who, why. Returns {status: removed, vocabulary, '
  'value, previous: what it meant, run_id}. SQLSTATE 42704: there is no such value; 55006: a unit, a collection or a '
  'membership has it, a deleted one too, or it is the default of units that are created; 55P03: writers of these did '
  'not end within 5 s; 25000: '
  'isolation is not READ COMMITTED; 23514: one of the arguments.';

CREATE FUNCTION iu.fn_iu_resolve_default(p_vocabulary text, p_given text, p_default_key text) RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_values  CONSTANT text[] := iu.fn_iu_vocab_values(p_vocabulary);
  v_default CONSTANT text := (SELECT c.value FROM public.dot_config c WHERE c.key = p_default_key);
  v_status  text;
  v_value   text;
BEGIN
  IF coalesce(cardinality(v_values), 0) = 0 THEN
    v_status := 'invalid_input';
  ELSIF p_given IS NOT NULL THEN
    v_status := CASE WHEN p_given = ANY (v_values) THEN 'explicit' ELSE 'invalid' END;
    v_value := CASE v_status WHEN 'explicit' THEN p_given END;
  ELSIF v_default IS NOT NULL THEN
    v_status := CASE WHEN v_default = ANY (v_values) THEN 'default' ELSE 'invalid' END;
    v_value := CASE v_status WHEN 'default' THEN v_default END;
  ELSE
    v_status := CASE cardinality(v_values) WHEN 1 THEN 'auto_single' ELSE 'invalid_input' END;
    v_value := CASE v_status WHEN 'auto_single' THEN v_values[1] END;
  END IF;
  RETURN jsonb_build_object('status', v_status, 'value', v_value, 'message', CASE v_status
    WHEN 'explicit' THEN 'as given'
    WHEN 'default' THEN format('default, by %s', p_default_key)
    WHEN 'auto_single' THEN format('the one value of vocabulary %s', p_vocabulary)
    WHEN 'invalid' THEN format('%s is not a value of vocabulary %s: %s',
      iu_core.text_shown(coalesce(p_given, v_default)), p_vocabulary, array_to_string(v_values, ', '))
    ELSE format('vocabulary %s has %s value(s) and no default', iu_core.text_shown(p_vocabulary),
      coalesce(cardinality(v_values), 0)) END);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_resolve_default IS
  'What public.fn_iu_resolve_default hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_resolve_default(p_vocabulary text, p_given text, p_default_key text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN
  iu.fn_iu_resolve_default(p_vocabulary, p_given, p_default_key) END;
COMMENT ON FUNCTION public.fn_iu_resolve_default IS
  'Which value of a vocabulary a unit gets: vocabulary, what was given or NULL, the key of dot_config that holds the '
  'default. Returns {status, value, message}: explicit (as given), default (by the key), auto_single (the vocabulary '
  'has one value), invalid (given or default is not in the vocabulary), invalid_input (nothing given, no default and '
  'not one value). Raises nothing of its own.';
