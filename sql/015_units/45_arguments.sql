-- What canonical functions answer, and what they ask of their arguments.
--
-- A canonical function that refuses writes nothing and returns {status, field,
-- guidance, next_action}: which of the refusals it is, which argument, what to do
-- in a sentence, and the next call as a word for programs. It raises only what is
-- no answer: another isolation level, and rights.
--
-- The functions that are one expression have nothing pinned: they are bound to
-- what they call when they are made, and a planner puts them in place of a call.

CREATE FUNCTION iu.fn_iu_answer(p_status text, p_field text, p_guidance text, p_next_action text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN jsonb_build_object('status', p_status, 'field', p_field, 'guidance', p_guidance, 'next_action', p_next_action);
COMMENT ON FUNCTION iu.fn_iu_answer IS
  'A refusal of a canonical function: {status, field, guidance, next_action}. Arguments: those four; NULL: null.';

CREATE FUNCTION iu.fn_iu_invalid(p_field text, p_value text, p_allowed text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN iu.fn_iu_answer('invalid_input', p_field,
  format('%s must be %s, not %s.', p_field, p_allowed, iu_core.text_shown(p_value)), 'correct_the_argument');
COMMENT ON FUNCTION iu.fn_iu_invalid IS
  'The refusal invalid_input: field, its value as text, what is allowed in words.';

CREATE FUNCTION iu.fn_iu_writer_require_read_committed(p_function text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  -- Asked here, since every canonical function asks: a call and its settings cost more than the question.
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    PERFORM iu.fn_iu_require_read_committed(p_function, 'would not see what others have written meanwhile');
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_writer_require_read_committed IS
  'For canonical functions: SQLSTATE 25000 in a transaction of another isolation level. Argument: the function.';

CREATE FUNCTION iu.fn_iu_address_problem(p_address text) RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN CASE
  WHEN iu_core.text_problem(p_address, true) IS NOT NULL OR length(p_address) > 400
       OR octet_length(p_address) > 1000 OR p_address <> btrim(p_address, U&' \00A0\3000')
    THEN '1 to 400 characters and at most 1000 bytes in one line, without blanks at the ends'
  -- Two addresses that nobody can tell apart would be two units.
  WHEN octet_length(p_address) > length(p_address) AND p_address IS NOT NFC NORMALIZED
    THEN 'in Unicode form NFC, in which a letter and its accents are one character' END;
COMMENT ON FUNCTION iu.fn_iu_address_problem IS
  'What an address must be, in words, where this one is not; otherwise NULL. Raises nothing.';

-- As deep as the three-axis view shows what is above a unit.
CREATE FUNCTION iu.fn_iu_tree_max_depth() RETURNS integer
  LANGUAGE sql IMMUTABLE
RETURN 64;
COMMENT ON FUNCTION iu.fn_iu_tree_max_depth IS
  'How many units may be above one. Raises nothing.';

-- Units of before there was a bound may be deeper; what is asked is whether one more fits below.
CREATE FUNCTION iu.fn_iu_units_above(p_unit_id uuid) RETURNS integer
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_at    uuid := p_unit_id;
  v_above integer := -1;
BEGIN
  WHILE v_at IS NOT NULL AND v_above <= iu.fn_iu_tree_max_depth() LOOP
    v_above := v_above + 1;
    v_at := (SELECT u.parent_or_container_ref FROM public.information_unit u WHERE u.id = v_at);
  END LOOP;
  RETURN greatest(v_above, 0);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_units_above IS
  'For functions that pin its search_path: how many units are above one, counted as far as one more than there may be. '
  'Raises nothing.';

CREATE FUNCTION iu.fn_iu_place_refusal(p_parent_ref uuid, p_field text) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  IF p_parent_ref IS NULL OR iu.fn_iu_units_above(p_parent_ref) < iu.fn_iu_tree_max_depth() THEN
    RETURN NULL;
  END IF;
  RETURN iu.fn_iu_answer('tree_too_deep', p_field,
    format('A unit has at most %s units above it, and would have more.', iu.fn_iu_tree_max_depth()),
    'choose_another_parent');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_refusal IS
  'For functions that pin its search_path: the refusal tree_too_deep of a unit below this parent, or NULL. Arguments: '
  'the parent or NULL, the argument that the refusal names.';

CREATE FUNCTION iu.fn_iu_body(p_body text) RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN CASE WHEN p_body = '__EMPTY__' THEN ''
            WHEN octet_length(p_body) <= 1048576 AND btrim(p_body, E' \t\r\n') <> '' THEN p_body END;
COMMENT ON FUNCTION iu.fn_iu_body IS
  'The text of a version as it was given: as it is, "" for the word __EMPTY__, NULL where it was left out, shows '
  'nothing or has more than 1048576 bytes. Raises nothing.';

-- As a payload of events is measured: numbers and escapes may be much longer as text.
CREATE FUNCTION iu.fn_iu_json_fits(p_value jsonb, p_bytes integer) RETURNS boolean
  LANGUAGE sql STABLE
RETURN pg_column_size(p_value) <= 4::bigint * p_bytes AND octet_length(p_value::text) <= p_bytes;
COMMENT ON FUNCTION iu.fn_iu_json_fits IS
  'Whether a value has at most so many bytes as text. Raises nothing.';

-- What is asked of one unit that is to be created, or of many, is asked here.
CREATE FUNCTION iu.fn_iu_create_texts_check(
    p_canonical_address text, p_title text, p_body text, p_actor text, p_owner_ref text)
  RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN CASE
  WHEN iu.fn_iu_address_problem(p_canonical_address) IS NOT NULL THEN 'canonical_address'
  WHEN iu_core.text_problem(p_title, true) IS NOT NULL THEN 'title'
  WHEN iu.fn_iu_body(p_body) IS NULL THEN 'body'
  WHEN iu_core.text_problem(p_actor, false) IS NOT NULL THEN 'actor'
  WHEN p_owner_ref IS NOT NULL AND iu_core.text_problem(p_owner_ref, false) IS NOT NULL THEN 'owner_ref' END;
COMMENT ON FUNCTION iu.fn_iu_create_texts_check IS
  'Which of the texts of a unit that is to be created is wrong, or NULL: canonical_address, title, body, actor, '
  'owner_ref, asked in this order. Raises nothing.';

CREATE FUNCTION iu.fn_iu_create_text_refusal(
    p_field text, p_canonical_address text, p_title text, p_body text, p_actor text, p_owner_ref text)
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE p_field
  WHEN 'canonical_address' THEN iu.fn_iu_invalid(p_field, p_canonical_address,
    iu.fn_iu_address_problem(p_canonical_address))
  WHEN 'title' THEN iu.fn_iu_invalid(p_field, p_title, 'up to 2000 characters in one line')
  WHEN 'body' THEN iu.fn_iu_invalid(p_field, p_body,
    'a text of up to 1048576 bytes; an empty one is given as __EMPTY__')
  WHEN 'actor' THEN iu.fn_iu_invalid(p_field, p_actor, 'who does it, in up to 200 characters')
  WHEN 'owner_ref' THEN iu.fn_iu_invalid(p_field, p_owner_ref, 'who answers for it, in up to 200 characters') END;
COMMENT ON FUNCTION iu.fn_iu_create_text_refusal IS
  'The refusal for the field that fn_iu_create_texts_check names. Arguments: the field, and the texts.';
