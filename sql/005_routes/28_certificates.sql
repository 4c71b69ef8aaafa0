-- Certificates of routes: whom a route trusts, and as whom it goes. The files are the
-- server's, in iu_core.certificate_directory; a route has names of them, and nothing
-- of what is in them.

CREATE FUNCTION iu.fn_iu_route_certificate_problem(
    p_target_kind text, p_target_ref text, p_ca_name text, p_client_name text)
  RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_form constant text := '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$';
BEGIN
  IF p_ca_name IS NULL AND p_client_name IS NULL THEN
    RETURN NULL;
  ELSIF (p_target_kind IN ('external_endpoint', 'directus_flow') AND p_target_ref ~ '^https://') IS NOT TRUE THEN
    RETURN 'only a route to a URL that begins with https:// has certificates';
  ELSIF p_ca_name !~ c_form THEN
    RETURN 'the name of its authorities is not 1 to 64 letters, digits, ".", "_" or "-", the first a letter or a digit';
  ELSIF p_client_name !~ c_form THEN
    RETURN 'the name of its certificate is not 1 to 64 letters, digits, ".", "_" or "-", the first a letter or a digit';
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_certificate_problem IS
  'NULL if a route of this kind and target may have these names of certificates, otherwise what is wrong: a name is 1 '
  'to 64 letters, digits, ".", "_" or "-", the first a letter or a digit, so that it is no path, and only a route to '
  'https:// has any. The files are not looked at.';
