-- What functions ask of their arguments, each question in one line.

CREATE FUNCTION iu.fn_iu_require_value(
    p_ok boolean, p_constraint text, p_field text, p_allowed text, p_value text)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_value CONSTANT text := CASE WHEN p_value ~ '^-?[0-9.]+$' THEN p_value ELSE quote_nullable(p_value) END;
BEGIN
  IF p_ok IS NOT TRUE THEN
    RAISE check_violation USING
      MESSAGE = format('%s must be %s, not %s', p_field, p_allowed, v_value),
      DETAIL = format('Value: %s.', v_value), CONSTRAINT = p_constraint;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_require_value IS
  'Refuses a value of an argument: whether it is allowed (NULL: no), constraint name of the refusal, name of the '
  'field, what is allowed in words, the value as text. Error: 23514, naming all of them.';

CREATE FUNCTION iu.fn_iu_require_actor(p_actor text, p_act text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF coalesce(btrim(p_actor), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = format('actor required: say who %s', p_act),
      DETAIL = format('Actor: %s.', quote_nullable(p_actor)), CONSTRAINT = 'iu_actor_required';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_require_actor IS
  'Refuses an actor that is NULL or blank: actor, what he does ("opens the gate"). Error: 23514.';

CREATE FUNCTION iu.fn_iu_require_reason(p_actor text, p_reason text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'actor and reason are required',
      DETAIL = format('Actor: %s; reason: %s.', quote_nullable(p_actor), quote_nullable(p_reason)),
      HINT = 'Say who does it, and why.', CONSTRAINT = 'iu_actor_and_reason';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_require_reason IS
  'Refuses an actor or a reason that is NULL or blank: actor, reason. Error: 23514.';
