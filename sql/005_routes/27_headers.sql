-- Headers of one's own: what a route may send beside the sender's. The value of one
-- that is a secret is never in the route, only the reference of a credential.

CREATE FUNCTION iu.fn_iu_route_header_problem(p_name text, p_value jsonb) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_own    constant text[] := ARRAY['host', 'connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade',
    'content-length', 'content-type', 'content-encoding', 'expect', 'user-agent', 'accept-encoding', 'date', 'via',
    'http2-settings'];
  c_secret constant text := '^(.*[-_])?(authorization|auth|cookie|token|secret|password|passwd|credentials?|'
                            '(api|access|auth|private)[-_]?key)$';
  v_name   constant text := lower(p_name);
  v_way    constant text := CASE WHEN jsonb_typeof(p_value) = 'object' THEN
                                   (SELECT min(k) FROM jsonb_object_keys(p_value) k) END;
BEGIN
  IF p_name !~ '^[A-Za-z0-9!#$%&''*+.^_`|~-]{1,100}$' THEN
    RETURN format('%s is not the name of a header: 1 to 100 letters, digits or "-"', iu_core.text_shown(p_name));
  ELSIF v_name = ANY (c_own) OR v_name ~ '^(webhook|svix|proxy|sec)-' THEN
    RETURN format('header "%s" is not a route''s: it frames the request, signs it, or is the sender''s', p_name);
  ELSIF jsonb_typeof(p_value) = 'string' THEN
    IF v_name ~ c_secret THEN
      RETURN format('the value of header "%s" is a secret: give a reference, {"secret": "name"}%s', p_name,
                    CASE v_name WHEN 'authorization' THEN ', {"bearer": "name"} or {"basic": "name"}' ELSE '' END);
    ELSIF p_value #>> '{}' !~ '^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$' OR length(p_value #>> '{}') > 1000 THEN
      RETURN format('the value of header "%s" is not 1 to 1000 printable characters of ASCII', p_name);
    END IF;
    RETURN NULL;
  ELSIF v_way IS NULL OR p_value - v_way <> '{}' OR v_way NOT IN ('secret', 'bearer', 'basic')
        OR jsonb_typeof(p_value -> v_way) <> 'string' THEN
    RETURN format('the value of header "%s" is neither a text nor {"secret": "name of a credential"}', p_name);
  ELSIF v_way <> 'secret' AND v_name <> 'authorization' THEN
    RETURN format('header "%s" has no {"%s": ...}: that is for Authorization', p_name, v_way);
  ELSIF p_value ->> v_way !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$' THEN
    RETURN format('header "%s" names a credential that is not 1 to 120 letters, digits, "_", ".", ":" or "-"', p_name);
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_header_problem IS
  'NULL if a route may have a header of this name and value, otherwise what is wrong with it.';

CREATE FUNCTION iu.fn_iu_route_headers_problem(p_headers jsonb) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_most  constant integer := 32;
  v_count integer;
  v_names integer;
BEGIN
  IF jsonb_typeof(p_headers) <> 'object' THEN
    RETURN 'the headers are not an object of names and values';
  END IF;
  SELECT count(*), count(DISTINCT lower(k)) INTO v_count, v_names FROM jsonb_object_keys(p_headers) k;
  IF v_count > c_most THEN
    RETURN format('there are %s headers, and may be %s', v_count, c_most);
  ELSIF v_names < v_count THEN
    RETURN 'a header is there twice; capital and small letters are the same';
  END IF;
  RETURN (SELECT iu.fn_iu_route_header_problem(h.key, h.value) AS problem FROM jsonb_each(p_headers) h
           WHERE iu.fn_iu_route_header_problem(h.key, h.value) IS NOT NULL ORDER BY h.key LIMIT 1);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_headers_problem IS
  'NULL if a route may have these headers, otherwise what is wrong: an object of at most 32 names, each with a text of '
  'printable ASCII, or, where it is a secret, {"secret": "name of a credential"}; for Authorization also {"bearer": '
  '"name"} and {"basic": "name"}, whose credential is user:password. Headers that frame a request (Host, Connection, '
  'Content-Length and the like), those that sign it (webhook-*) and the sender''s own are refused.';
