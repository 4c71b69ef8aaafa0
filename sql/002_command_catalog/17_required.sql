-- What functions ask of their arguments, each question in one line.

-- Every text that people give (who, why, what something is called, what it
-- means) keeps the one rule of iu_core.text_problem(): something to see, nothing
-- that misleads whoever reads it, and no more than anybody reads.

CREATE FUNCTION iu.fn_iu_require_value(
    p_ok boolean, p_constraint text, p_field text, p_allowed text, p_value text)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_value CONSTANT text := CASE WHEN p_value ~ '^-?[0-9.]{1,40}$' THEN p_value ELSE iu_core.text_shown(p_value) END;
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

-- Whoever waits for a lock in order to see what others did before, and then reads
-- with the snapshot that the transaction began with, does not see it, and nothing
-- says so unless the locked row itself was changed.
CREATE FUNCTION iu.fn_iu_require_read_committed(p_what text, p_why text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE invalid_transaction_state USING
      MESSAGE = format('%s needs isolation level READ COMMITTED', p_what),
      DETAIL = format('An older snapshot %s.', p_why), CONSTRAINT = 'iu_read_committed';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_require_read_committed IS
  'Refuses another isolation level than READ COMMITTED: what needs it, what would come of an older snapshot ("would '
  'not see ..."). Error: 25000, iu_read_committed.';

CREATE FUNCTION iu.fn_iu_require_form(p_field text, p_text text, p_is_long boolean) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem CONSTANT text := iu_core.text_problem(nullif(p_text, ''), p_is_long);
BEGIN
  IF v_problem <> 'is missing' THEN
    RAISE check_violation USING
      MESSAGE = format('%s %s', p_field, v_problem),
      DETAIL = format('Value: %s; its length in characters: %s.', iu_core.text_shown(p_text), length(p_text)),
      HINT = 'Give a text in one line, without control characters, marks of direction and characters without width.',
      CONSTRAINT = 'iu_text_form';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_require_form IS
  'Refuses a text that breaks the rule for texts that people give, where there is one: name of the field, the text '
  '(NULL or empty: not given), whether it may be long, as what says something may, or is what something is called by. '
  'Error: 23514, iu_text_form.';

CREATE FUNCTION iu.fn_iu_require_text(
    p_constraint text, p_field text, p_allowed text, p_text text, p_is_long boolean)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_require_value(
    coalesce(iu_core.text_problem(p_text, p_is_long), '') NOT IN ('is missing', 'shows nothing'),
    p_constraint, p_field, p_allowed, p_text);
  PERFORM iu.fn_iu_require_form(p_field, p_text, p_is_long);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_require_text IS
  'Refuses a text that was left out, shows nothing, or breaks the rule for texts that people give: constraint name of '
  'the refusal of one that is left out, name of the field, what is allowed in words, the text, whether it may be long. '
  'Errors: 23514 with that name, or as fn_iu_require_form.';

CREATE FUNCTION iu.fn_iu_keys_shown(p_value jsonb) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT string_agg(iu_core.text_shown(k.key), ', ' ORDER BY k.n) FILTER (WHERE k.n <= 10)
               || CASE WHEN count(*) > 10 THEN format(' and %s more', count(*) - 10) ELSE '' END
          FROM (SELECT o.key, row_number() OVER (ORDER BY o.key COLLATE "C") AS n
                  FROM jsonb_object_keys(p_value) AS o (key)) AS k);
COMMENT ON FUNCTION iu.fn_iu_keys_shown IS
  'For messages about keys that should not be there: the first ten keys of an object as text_shown() shows them, and '
  'how many more it has; NULL for one without any. Errors: 22023 no object.';

CREATE FUNCTION iu.fn_iu_require_actor(p_actor text, p_act text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF iu_core.text_problem(p_actor, false) IN ('is missing', 'shows nothing') THEN
    RAISE check_violation USING
      MESSAGE = format('actor required: say who %s', p_act),
      DETAIL = format('Actor: %s.', iu_core.text_shown(p_actor)), CONSTRAINT = 'iu_actor_required';
  END IF;
  PERFORM iu.fn_iu_require_form('actor', p_actor, false);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_require_actor IS
  'Refuses an actor that is NULL or blank, or breaks the rule for texts: actor, what he does ("opens the gate"). '
  'Errors: 23514 iu_actor_required, or as fn_iu_require_form.';

CREATE FUNCTION iu.fn_iu_require_reason(p_actor text, p_reason text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF iu_core.text_problem(p_actor, false) IN ('is missing', 'shows nothing')
     OR iu_core.text_problem(p_reason, true) IN ('is missing', 'shows nothing') THEN
    RAISE check_violation USING
      MESSAGE = 'actor and reason are required',
      DETAIL = format('Actor: %s; reason: %s.', iu_core.text_shown(p_actor), iu_core.text_shown(p_reason)),
      HINT = 'Say who does it, and why.', CONSTRAINT = 'iu_actor_and_reason';
  END IF;
  PERFORM iu.fn_iu_require_form('actor', p_actor, false);
  PERFORM iu.fn_iu_require_form('reason', p_reason, true);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_require_reason IS
  'Refuses an actor or a reason that is NULL or blank, or breaks the rule for texts: actor, reason. Errors: 23514 '
  'iu_actor_and_reason, or as fn_iu_require_form.';
