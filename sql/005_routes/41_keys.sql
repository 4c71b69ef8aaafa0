-- Keys of Ed25519 (v1a of Standard Webhooks): a receiver verifies with the public
-- key, and shares no secret. They stand beside the secrets, under the same references.

CREATE FUNCTION iu.fn_iu_route_key_add(p_secret_ref text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_id     bigint;
  v_public text;
BEGIN
  -- Asked for first: an error of the table's own would print the row, and the key with it.
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  IF p_secret_ref IS NULL OR p_secret_ref !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$' THEN
    RAISE check_violation USING
      MESSAGE = 'the reference of a secret is 1 to 120 letters, digits, "_", ".", ":" or "-"',
      DETAIL = format('p_secret_ref is %s.', coalesce(iu_core.text_shown(p_secret_ref), 'NULL')),
      CONSTRAINT = 'iu_secret_ref';
  END IF;
  -- It is made within the INSERT, because a logged plan shows what is in variables.
  INSERT INTO public.iu_route_secret AS s (secret_ref, secret, created_by)
    VALUES (p_secret_ref, iu_core.webhook_key(), p_actor)
    RETURNING s.id, 'whpk_' || encode(substr(decode(substr(s.secret, 6), 'base64'), 33), 'base64')
    INTO v_id, v_public;
  PERFORM iu.fn_iu_require_effect(EXISTS (SELECT FROM public.iu_route_secret WHERE id = v_id),
    'public.iu_route_secret', 'adding the key');
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_key_add', 'secret_ref', p_secret_ref, 'applied', p_actor, p_reason,
    jsonb_build_object('public_key', v_public));
  PERFORM iu_core.wake();  -- a route may have been held because it had none
  RETURN jsonb_build_object('status', 'added', 'secret_ref', p_secret_ref, 'public_key', v_public, 'valid_from', now());
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_key_add IS
  'What public.fn_iu_route_key_add hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_key_add(p_secret_ref text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_key_add(p_secret_ref, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_key_add IS
  'Makes a key of Ed25519 under a reference, beside the secrets that are there: deliveries are signed by it as well '
  '(v1a), and whoever has the public key can verify them. The key itself is never shown. Returns {status: added, '
  'secret_ref, public_key, valid_from}. It is ended as a secret is, with fn_iu_route_secret_end. SQLSTATE 0A000: the '
  'server was built without OpenSSL; 23514: reference, actor or reason.';

CREATE FUNCTION iu.fn_iu_route_public_keys(p_secret_ref text)
  RETURNS TABLE (public_key text, valid_from timestamptz, valid_until timestamptz)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN QUERY
    SELECT 'whpk_' || encode(substr(decode(substr(s.secret, 6), 'base64'), 33), 'base64'), s.valid_from, s.valid_until
      FROM public.iu_route_secret s
     WHERE s.secret_ref = p_secret_ref AND s.secret LIKE 'whsk%' ORDER BY s.valid_from DESC, s.id DESC;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_public_keys IS
  'What public.fn_iu_route_public_keys hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_public_keys(p_secret_ref text)
  RETURNS TABLE (public_key text, valid_from timestamptz, valid_until timestamptz)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT k.* FROM iu.fn_iu_route_public_keys(p_secret_ref) k WHERE iu_core.require_role('{iu_core_reader}');
END;
COMMENT ON FUNCTION public.fn_iu_route_public_keys IS
  'The public keys of a reference, the newest first: what receivers verify signatures v1a with, and from when until '
  'when they sign; NULL: until they are ended.';
