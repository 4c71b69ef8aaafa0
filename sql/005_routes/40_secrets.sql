-- The signing secrets of routes.

CREATE TABLE public.iu_route_secret (
  id          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  secret_ref  text        NOT NULL,
  secret      text        NOT NULL,
  valid_from  timestamptz NOT NULL DEFAULT now(),
  valid_until timestamptz,
  created_by  text        NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (secret_ref, secret),
  CONSTRAINT iu_route_secret_ref_chk CHECK (secret_ref ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$'),
  CONSTRAINT iu_route_secret_form_chk CHECK (
    secret ~ '^whsk_[A-Za-z0-9+/]{86}==$'
    OR (secret ~ '^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'
        AND octet_length(decode(substr(secret, 7), 'base64')) BETWEEN 24 AND 64)),
  CONSTRAINT iu_route_secret_validity_chk CHECK (
    valid_from < valid_until AND isfinite(valid_from) AND isfinite(valid_until))
);
COMMENT ON TABLE public.iu_route_secret IS
  'Signing secrets of routes (Standard Webhooks). Several are valid at a time while one replaces another. No role '
  'may read it: the claim hands them to the sender.';
COMMENT ON COLUMN public.iu_route_secret.id IS 'Order of adding';
COMMENT ON COLUMN public.iu_route_secret.secret_ref IS 'What routes name in secret_ref';
COMMENT ON COLUMN public.iu_route_secret.valid_from IS 'It signs from here on';
COMMENT ON COLUMN public.iu_route_secret.valid_until IS 'It signs until here; NULL: until it is ended';
COMMENT ON COLUMN public.iu_route_secret.created_at IS 'When it was added';
COMMENT ON COLUMN public.iu_route_secret.created_by IS 'Who added it, as told by the caller';
COMMENT ON COLUMN public.iu_route_secret.secret IS
  'whsec_ and 24 to 64 bytes in base64 (v1); or whsk_, and seed and public key of Ed25519 in base64 (v1a)';

-- This function is inlined where it is called. A secret that was valid from the
-- moment on at which it was added stays so where the clock is set back after that.
CREATE FUNCTION iu.fn_iu_route_secret_is_valid(p_secret public.iu_route_secret) RETURNS boolean
  LANGUAGE sql VOLATILE
RETURN ((p_secret).valid_from <= clock_timestamp() OR (p_secret).valid_from <= (p_secret).created_at)
  AND ((p_secret).valid_until > clock_timestamp()) IS NOT FALSE;
COMMENT ON FUNCTION iu.fn_iu_route_secret_is_valid IS 'Whether a secret signs now.';

CREATE FUNCTION iu.fn_iu_route_secret_add(
    p_secret_ref text, p_actor text, p_reason text, p_secret text,
    p_valid_from timestamptz, p_valid_until timestamptz)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_secret text;
  v_until  constant timestamptz := nullif(p_valid_until, 'infinity');
BEGIN
  -- The form is checked here, because an error of the table's own CHECK would print
  -- the row, and the secret with it. A secret that is made here is made within the
  -- INSERT, because a logged plan shows what is in variables.
  IF p_secret !~ '^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'
     OR octet_length(decode(substr(p_secret, 7), 'base64')) NOT BETWEEN 24 AND 64 THEN
    RAISE check_violation USING
      MESSAGE = 'the secret is not whsec_ and 24 to 64 bytes in base64',
      HINT = 'Leave it out to have one made.', CONSTRAINT = 'iu_secret_form';
  ELSIF p_secret_ref IS NULL OR p_secret_ref !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$' THEN
    RAISE check_violation USING
      MESSAGE = 'the reference of a secret is 1 to 120 letters, digits, "_", ".", ":" or "-"',
      DETAIL = format('p_secret_ref is %s.', coalesce(quote_literal(p_secret_ref), 'NULL')),
      CONSTRAINT = 'iu_secret_ref';
  ELSIF p_valid_from IS NULL OR NOT isfinite(p_valid_from) OR p_valid_from >= p_valid_until THEN
    RAISE check_violation USING
      MESSAGE = 'a secret is valid from a time until a later one',
      DETAIL = format('From %s until %s.', coalesce(p_valid_from::text, 'NULL'),
                      coalesce(p_valid_until::text, 'it is ended')),
      CONSTRAINT = 'iu_secret_validity';
  END IF;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_secret_add', 'secret_ref', p_secret_ref, 'applied', p_actor,
    p_reason, jsonb_build_object('valid_from', p_valid_from, 'valid_until', v_until,
      'made_here', p_secret IS NULL));
  INSERT INTO public.iu_route_secret (secret_ref, secret, valid_from, valid_until, created_by)
    VALUES (p_secret_ref,
      coalesce(p_secret,
               'whsec_' || encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'base64')),
      p_valid_from, v_until, p_actor)
    ON CONFLICT (secret_ref, secret) DO NOTHING
    RETURNING secret INTO v_secret;
  IF NOT FOUND THEN
    RAISE unique_violation USING
      MESSAGE = format('this secret is registered under "%s" already', p_secret_ref),
      DETAIL = format('Reference: %s.', p_secret_ref),
      CONSTRAINT = 'iu_secret_exists';
  END IF;
  -- Not by its value, which a logged plan would show.
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_route_secret
             WHERE secret_ref = p_secret_ref AND valid_from = p_valid_from
               AND valid_until IS NOT DISTINCT FROM v_until),
    'public.iu_route_secret', 'adding the secret');
  PERFORM iu_core.wake();  -- a route may have been held because it had none
  RETURN jsonb_strip_nulls(jsonb_build_object('status', 'added', 'secret_ref', p_secret_ref,
    'secret', CASE WHEN p_secret IS NULL THEN v_secret END, 'valid_from', p_valid_from));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_secret_add IS
  'What public.fn_iu_route_secret_add hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_secret_add(
    p_secret_ref text, p_actor text, p_reason text, p_secret text DEFAULT NULL,
    p_valid_from timestamptz DEFAULT now(), p_valid_until timestamptz DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_secret_add(p_secret_ref, p_actor, p_reason, p_secret, p_valid_from, p_valid_until) END;
COMMENT ON FUNCTION public.fn_iu_route_secret_add IS
  'Adds a signing secret under a reference. Without p_secret one is made here and returned, this once: a secret '
  'in a statement ends up in logs. Returns {status: added, secret_ref, secret, valid_from}. To rotate, add the '
  'new one, give it to the receiver, and end those before it with fn_iu_route_secret_end and this valid_from. '
  'SQLSTATE 23514: form, reference, times, actor or reason; 23505: there already.';

CREATE FUNCTION iu.fn_iu_route_secret_end(p_secret_ref text, p_older_than timestamptz, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_ended  integer;
  v_routes text;
BEGIN
  IF p_secret_ref IS NULL OR p_older_than IS NULL THEN
    RAISE check_violation USING
      MESSAGE = 'p_secret_ref and p_older_than say which secrets are ended',
      DETAIL = 'One of the two is NULL.', CONSTRAINT = 'iu_secret_chosen';
  END IF;
  UPDATE public.iu_route_secret
     SET valid_from = least(valid_from, now() - interval '1 microsecond'), valid_until = now()
   WHERE secret_ref = p_secret_ref AND valid_from < p_older_than
     AND (valid_until > now()) IS NOT FALSE;
  GET DIAGNOSTICS v_ended = ROW_COUNT;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.iu_route_secret
                 WHERE secret_ref = p_secret_ref AND valid_from < p_older_than
                   AND (valid_until > greatest(now(), valid_from + interval '1 microsecond')) IS NOT FALSE),
    'public.iu_route_secret', 'ending the secrets');
  SELECT string_agg(format('"%s"', r.route_code), ', ' ORDER BY r.route_code) INTO v_routes
    FROM public.iu_outbound_route r
   WHERE v_ended > 0 AND r.secret_ref = p_secret_ref AND r.enabled AND NOT r.dry_run
     AND NOT EXISTS (SELECT FROM public.iu_route_secret s
                      WHERE s.secret_ref = p_secret_ref AND iu.fn_iu_route_secret_is_valid(s));
  IF v_routes IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('this would leave route %s without a valid signing secret', v_routes),
      DETAIL = format('No secret that is valid now is valid from %s on or later. A route without one is held.',
                      p_older_than),
      HINT = format('Add another first: SELECT fn_iu_route_secret_add(%L, session_user, ''reason''); and give its '
                    'valid_from as p_older_than.', p_secret_ref),
      CONSTRAINT = 'iu_secret_last';
  END IF;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_secret_end', 'secret_ref', p_secret_ref, 'applied', p_actor,
    p_reason, jsonb_build_object('older_than', p_older_than, 'ended', v_ended));
  RETURN jsonb_build_object('status', CASE WHEN v_ended > 0 THEN 'ended' ELSE 'unchanged' END,
    'secret_ref', p_secret_ref, 'ended', v_ended);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_secret_end IS
  'What public.fn_iu_route_secret_end hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_secret_end(p_secret_ref text, p_older_than timestamptz, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_secret_end(p_secret_ref, p_older_than, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_secret_end IS
  'Ends, now, the secrets of a reference that were valid before p_older_than (the valid_from of the one that '
  'stays). Returns {status: ended | unchanged, secret_ref, ended: how many}. SQLSTATE 55006 where a live route '
  'would be left without a valid secret: add the new one first, in the same transaction if need be; 23514 without '
  'reference, time, actor or reason.';
