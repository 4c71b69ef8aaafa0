-- Credentials of routes: what a header of a route is made of, where that is a secret.

CREATE TABLE public.iu_route_credential (
  credential_ref text        NOT NULL PRIMARY KEY,
  value          text        NOT NULL,
  changed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_by     text        NOT NULL,
  CONSTRAINT iu_route_credential_ref_chk CHECK (credential_ref ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$'),
  CONSTRAINT iu_route_credential_value_chk CHECK (value ~ '^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$'
    AND length(value) BETWEEN 8 AND 2000)
);
COMMENT ON TABLE public.iu_route_credential IS
  'Secrets that headers of routes name, such as tokens. No role may read it: the claim hands them to the sender.';
COMMENT ON COLUMN public.iu_route_credential.credential_ref IS 'What the headers of a route name';
COMMENT ON COLUMN public.iu_route_credential.value IS
  '8 to 2000 printable characters of ASCII: a token, or user:password for {"basic": ...}';
COMMENT ON COLUMN public.iu_route_credential.changed_at IS 'When it was given this value';
COMMENT ON COLUMN public.iu_route_credential.changed_by IS 'Who gave it, as told by the caller';

CREATE FUNCTION iu.fn_iu_route_header_credentials(p_headers jsonb)
  RETURNS TABLE (name text, way text, credential_ref text)
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT h.key, w.key, w.value FROM jsonb_each(p_headers) h
    CROSS JOIN LATERAL jsonb_each_text(CASE WHEN jsonb_typeof(h.value) = 'object' THEN h.value ELSE '{}' END) w;
END;
COMMENT ON FUNCTION iu.fn_iu_route_header_credentials IS
  'The credentials that headers of a route name: name of the header, how it is made (secret, bearer, basic), '
  'reference.';

CREATE FUNCTION iu.fn_iu_route_credential_problem(p_headers jsonb) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (SELECT CASE WHEN c.credential_ref IS NULL THEN format('credential "%s" is not registered', n.credential_ref)
                      ELSE format('credential "%s" is not user:password', n.credential_ref) END
            FROM iu.fn_iu_route_header_credentials(p_headers) n
            LEFT JOIN public.iu_route_credential c ON c.credential_ref = n.credential_ref
           WHERE c.credential_ref IS NULL OR (n.way = 'basic' AND strpos(c.value, ':') = 0)
           ORDER BY n.credential_ref LIMIT 1);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_credential_problem IS
  'NULL if the credentials that these headers name are registered and of the right form, otherwise what is wrong with '
  'the first; no message has a value.';

CREATE FUNCTION iu.fn_iu_route_header_lines(p_headers jsonb, OUT lines text[], OUT hidden text[])
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_headers = '{}' THEN
    RETURN;
  END IF;
  SELECT array_agg(h.key || ': ' || CASE n.way
           WHEN 'secret' THEN c.value WHEN 'bearer' THEN 'Bearer ' || c.value
           WHEN 'basic' THEN 'Basic ' || translate(encode(convert_to(c.value, 'UTF8'), 'base64'), E'\n', '')
           ELSE h.value #>> '{}' END ORDER BY h.key)
    INTO lines
    FROM jsonb_each(p_headers) h
    LEFT JOIN iu.fn_iu_route_header_credentials(p_headers) n ON n.name = h.key
    LEFT JOIN public.iu_route_credential c ON c.credential_ref = n.credential_ref;
  SELECT array_agg(x.text) INTO hidden
    FROM iu.fn_iu_route_header_credentials(p_headers) n
    JOIN public.iu_route_credential c ON c.credential_ref = n.credential_ref
    CROSS JOIN LATERAL (
      SELECT c.value UNION ALL
      SELECT translate(encode(convert_to(c.value, 'UTF8'), 'base64'), E'\n', '') WHERE n.way = 'basic' UNION ALL
      SELECT split_part(c.value, ':', 2) WHERE n.way = 'basic') AS x (text)
   WHERE length(x.text) >= 4;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_header_lines IS
  'For the claim: the headers of a route as lines "Name: value", NULL for one whose credential is not there, and the '
  'texts in them that nobody may see, which the sender hides in what it records of an answer.';

CREATE FUNCTION iu.fn_iu_route_credential_put(p_credential_ref text, p_value text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_was    constant boolean := EXISTS (SELECT FROM public.iu_route_credential WHERE credential_ref = p_credential_ref);
  v_routes text;
BEGIN
  -- The form is checked here, because an error of the table's own CHECK would print the row.
  IF p_credential_ref IS NULL OR p_credential_ref !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$' THEN
    RAISE check_violation USING
      MESSAGE = 'the reference of a credential is 1 to 120 letters, digits, "_", ".", ":" or "-"',
      DETAIL = format('p_credential_ref is %s.', coalesce(iu_core.text_shown(p_credential_ref), 'NULL')),
      CONSTRAINT = 'iu_credential_ref';
  ELSIF (p_value ~ '^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$' AND length(p_value) BETWEEN 8 AND 2000) IS NOT TRUE THEN
    RAISE check_violation USING
      MESSAGE = 'a credential is 8 to 2000 printable characters of ASCII',
      DETAIL = 'The value given is not shown.', CONSTRAINT = 'iu_credential_form';
  END IF;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_credential_put', 'credential_ref', p_credential_ref, 'applied',
    p_actor, p_reason, jsonb_build_object('replaced', v_was));
  INSERT INTO public.iu_route_credential AS c (credential_ref, value, changed_by)
    VALUES (p_credential_ref, p_value, p_actor)
    ON CONFLICT (credential_ref) DO UPDATE
      SET value = excluded.value, changed_by = excluded.changed_by, changed_at = clock_timestamp();
  SELECT string_agg(format('"%s"', r.route_code), ', ' ORDER BY r.route_code) INTO v_routes
    FROM public.iu_outbound_route r, iu.fn_iu_route_header_credentials(r.request_headers) n
   WHERE r.retired_at IS NULL AND n.credential_ref = p_credential_ref AND n.way = 'basic' AND strpos(p_value, ':') = 0;
  IF v_routes IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = format('credential "%s" is not user:password', p_credential_ref),
      DETAIL = format('It is that, as {"basic": ...}, on route %s.', v_routes), CONSTRAINT = 'iu_credential_basic';
  END IF;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_route_credential
             WHERE credential_ref = p_credential_ref AND changed_by = p_actor AND changed_at >= statement_timestamp()),
    'public.iu_route_credential', 'registering the credential');
  PERFORM iu_core.wake();  -- a route may have been held because it had none
  RETURN jsonb_build_object('status', CASE WHEN v_was THEN 'replaced' ELSE 'registered' END,
    'credential_ref', p_credential_ref);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_credential_put IS
  'What public.fn_iu_route_credential_put hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_credential_put(p_credential_ref text, p_value text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_credential_put(p_credential_ref, p_value, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_credential_put IS
  'Registers a credential that headers of routes may name, or gives it another value: which, its value (a token, or '
  'user:password), who, why. The value is never shown again; a secret in a statement may be in the server log, so give '
  'it as a parameter. Returns {status: registered | replaced, credential_ref}. SQLSTATE 23514: reference or value has '
  'another form, a route needs user:password, or actor or reason is missing.';

CREATE FUNCTION iu.fn_iu_route_credential_end(p_credential_ref text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_routes text;
BEGIN
  SELECT string_agg(format('"%s"', r.route_code), ', ' ORDER BY r.route_code) INTO v_routes
    FROM public.iu_outbound_route r, iu.fn_iu_route_header_credentials(r.request_headers) n
   WHERE r.retired_at IS NULL AND n.credential_ref = p_credential_ref;
  IF v_routes IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('credential "%s" is in use', p_credential_ref), DETAIL = format('Routes: %s.', v_routes),
      HINT = 'Give these routes other headers with fn_iu_route_set first.', CONSTRAINT = 'iu_credential_in_use';
  END IF;
  DELETE FROM public.iu_route_credential WHERE credential_ref = p_credential_ref;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('credential %s is not registered', coalesce(iu_core.text_shown(p_credential_ref), 'NULL')),
      DETAIL = format('Credential: %s.', coalesce(iu_core.text_shown(p_credential_ref), 'NULL')),
      CONSTRAINT = 'iu_credential_unknown';
  END IF;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.iu_route_credential WHERE credential_ref = p_credential_ref),
    'public.iu_route_credential', 'ending the credential');
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_credential_end', 'credential_ref', p_credential_ref, 'applied',
    p_actor, p_reason, NULL);
  RETURN jsonb_build_object('status', 'ended', 'credential_ref', p_credential_ref);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_credential_end IS
  'What public.fn_iu_route_credential_end hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_credential_end(p_credential_ref text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_credential_end(p_credential_ref, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_credential_end IS
  'Deletes a credential that no route names any more. Returns {status: ended, credential_ref}. SQLSTATE 55006: a route '
  'that is not retired names it; 42704: not registered; 23514: actor or reason missing.';
