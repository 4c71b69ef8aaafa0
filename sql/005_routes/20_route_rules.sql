-- What a route may be: the form of its URL, of its retry policy and of its
-- payload contract, and whether a payload keeps a contract.

-- Only the form of a URL is looked at, so that a slip is told when the route is
-- registered. Whether its origin may be reached is decided by
-- iu_core.egress_refusal, at each send.
CREATE FUNCTION iu.fn_iu_route_url_problem(p_url text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_part text[];
BEGIN
  IF p_url IS NULL OR p_url = '' THEN
    RETURN 'there is no URL';
  ELSIF length(p_url) > 2048 THEN
    RETURN 'the URL is longer than 2048 characters';
  ELSIF p_url !~ E'^[\\x21-\\x7e]+$' OR p_url ~ E'[\\\\"<>^`{|}]' THEN
    RETURN 'the URL has a character that a URL spells with %';
  ELSIF p_url !~ '^https?://' THEN
    RETURN 'the URL begins neither with http:// nor with https://';
  ELSIF p_url ~ '#' THEN
    RETURN 'the URL has a fragment (#), which is never sent';
  END IF;
  v_part := regexp_match(p_url, '^https?://([^/?]*)');
  IF v_part[1] ~ '@' THEN
    RETURN 'the URL has a user part';
  END IF;
  v_part := regexp_match(v_part[1], E'^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9_.-]+)?(:.*)?$');
  IF v_part IS NULL OR v_part[1] IS NULL THEN
    RETURN 'the URL has no valid host';
  ELSIF v_part[2] IS NOT NULL
        AND (v_part[2] !~ '^:[0-9]{1,5}$' OR substr(v_part[2], 2)::integer NOT BETWEEN 1 AND 65535) THEN
    RETURN 'the port is not a number from 1 to 65535';
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_url_problem IS
  'NULL if the text is a URL that a route may have (http or https, a host, no user part, no fragment, a valid '
  'port, at most 2048 characters), otherwise what is wrong with it.';

CREATE FUNCTION iu.fn_iu_route_retry_problem(p_policy jsonb) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN CASE
  WHEN p_policy IS NULL OR jsonb_typeof(p_policy) <> 'object' THEN 'the retry policy is not an object'
  WHEN p_policy - ARRAY['max_attempts', 'base_s', 'max_s', 'jitter', 'circuit_failures', 'circuit_open_s',
                        'circuit_max_s'] <> '{}'
      OR NOT p_policy ?& ARRAY['max_attempts', 'base_s', 'max_s', 'jitter', 'circuit_failures', 'circuit_open_s',
                               'circuit_max_s']
    THEN 'the retry policy has other keys than max_attempts, base_s, max_s, jitter, circuit_failures, circuit_open_s, '
         'circuit_max_s'
  WHEN EXISTS (SELECT FROM jsonb_each(p_policy) AS k (name, value) WHERE jsonb_typeof(k.value) <> 'number')
    THEN 'a value of the retry policy is not a number'
  WHEN p_policy ->> 'max_attempts' !~ '^[0-9]{1,3}$' OR (p_policy ->> 'max_attempts')::integer NOT BETWEEN 1 AND 100
    THEN 'max_attempts is not a whole number from 1 to 100'
  WHEN (p_policy ->> 'base_s')::numeric NOT BETWEEN 0.001 AND 3600 THEN 'base_s is not from 0.001 to 3600 seconds'
  WHEN (p_policy ->> 'max_s')::numeric NOT BETWEEN (p_policy ->> 'base_s')::numeric AND 86400
    THEN 'max_s is not from base_s to 86400 seconds'
  WHEN (p_policy ->> 'jitter')::numeric <> 0 AND (p_policy ->> 'jitter')::numeric NOT BETWEEN 0.000001 AND 1
    THEN 'jitter is neither 0 nor from 0.000001 to 1'  -- a smaller one may be none of float8
  WHEN p_policy ->> 'circuit_failures' !~ '^[0-9]{1,4}$' OR (p_policy ->> 'circuit_failures')::integer > 1000
    THEN 'circuit_failures is not a whole number from 0 to 1000'
  WHEN (p_policy ->> 'circuit_open_s')::numeric NOT BETWEEN 0.001 AND 3600
    THEN 'circuit_open_s is not from 0.001 to 3600 seconds'
  WHEN (p_policy ->> 'circuit_max_s')::numeric NOT BETWEEN (p_policy ->> 'circuit_open_s')::numeric AND 86400
    THEN 'circuit_max_s is not from circuit_open_s to 86400 seconds'
END;
COMMENT ON FUNCTION iu.fn_iu_route_retry_problem IS
  'NULL if the object is a retry policy, otherwise what is wrong with it. Keys: max_attempts (1 to 100, the first '
  'included), base_s (seconds before the second attempt, doubled each time), max_s (the longest wait, at most a '
  'day), jitter (0, or 0.000001 to 1: the share of a wait that is random), circuit_failures (failed attempts in a '
  'row that open the circuit; 0: it never opens), circuit_open_s (seconds that it is open at first, doubled each '
  'time a probe fails), circuit_max_s (the longest, at most a day).';

-- A contract has a few words of JSON Schema, each with the meaning that it has there.
CREATE FUNCTION iu.fn_iu_route_contract_problem(p_contract jsonb) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_not_names  constant jsonpath := 'strict $[*] ? (@.type() != "string")';
  v_properties constant jsonb := coalesce(p_contract -> 'properties', '{}');
  v_name       text;
  v_rule       jsonb;
  v_word       text;
BEGIN
  IF p_contract IS NULL OR jsonb_typeof(p_contract) <> 'object' THEN
    RETURN 'the payload contract is not an object';
  END IF;
  SELECT min(k) INTO v_word
    FROM jsonb_object_keys(p_contract - ARRAY['required', 'properties', 'additionalProperties', 'not']) k;
  IF v_word IS NOT NULL THEN
    RETURN format('the payload contract has the word "%s"; allowed are required, properties, additionalProperties, not',
                  v_word);
  ELSIF p_contract ? 'required' AND (jsonb_typeof(p_contract -> 'required') <> 'array'
                                     OR jsonb_path_exists(p_contract -> 'required', c_not_names, '{}', true)) THEN
    RETURN 'required is not an array of names';
  ELSIF jsonb_typeof(v_properties) <> 'object' THEN
    RETURN 'properties is not an object';
  ELSIF jsonb_typeof(coalesce(p_contract -> 'additionalProperties', 'true')) <> 'boolean' THEN
    RETURN 'additionalProperties is neither true nor false';
  ELSIF p_contract ? 'not' AND (jsonb_typeof(p_contract -> 'not') <> 'object'
      OR (p_contract -> 'not') - 'required' <> '{}'
      OR jsonb_typeof(p_contract #> '{not,required}') IS DISTINCT FROM 'array' OR p_contract #> '{not,required}' = '[]'
      OR jsonb_path_exists(p_contract #> '{not,required}', c_not_names, '{}', true)) THEN
    RETURN 'not is not an object with the one word required, an array of names';
  END IF;

  FOR v_name, v_rule IN SELECT e.key, e.value FROM jsonb_each(v_properties) e LOOP
    CONTINUE WHEN v_rule = 'false';
    IF jsonb_typeof(v_rule) <> 'object' THEN
      RETURN format('the rule of property "%s" is neither false nor an object', v_name);
    END IF;
    SELECT min(k) INTO v_word FROM jsonb_object_keys(v_rule - 'type') k;
    IF v_word IS NOT NULL THEN
      RETURN format('the rule of property "%s" has the word "%s"; allowed is type', v_name, v_word);
    END IF;
    SELECT min(t::text) INTO v_word
      FROM jsonb_array_elements(CASE WHEN jsonb_typeof(v_rule -> 'type') = 'array' THEN v_rule -> 'type'
                                     WHEN v_rule ? 'type' THEN jsonb_build_array(v_rule -> 'type') ELSE '[]' END) t
     WHERE jsonb_typeof(t) <> 'string'
        OR t #>> '{}' NOT IN ('string', 'number', 'integer', 'boolean', 'object', 'array', 'null');
    IF v_word IS NOT NULL OR v_rule -> 'type' = '[]' THEN
      RETURN format('property "%s" has the type %s; allowed are string, number, integer, boolean, object, array, null, '
                    'or an array of them', v_name, coalesce(v_word, '[]'));
    END IF;
  END LOOP;

  SELECT min(k) INTO v_name FROM jsonb_array_elements_text(coalesce(p_contract -> 'required', '[]')) k
   WHERE v_properties -> k = 'false' OR (p_contract -> 'additionalProperties' = 'false' AND NOT v_properties ? k);
  RETURN CASE WHEN v_name IS NOT NULL THEN format('the payload contract requires "%s" and forbids it', v_name) END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_contract_problem IS
  'NULL if the object is a payload contract, otherwise what is wrong with it. Words, as in JSON Schema: required '
  '(array of names), properties (a name: {"type": ...}, false, which forbids it, or {}), additionalProperties '
  '(false: no names but those of properties), not ({"required": [names]}: not all of these together). Types: '
  'string, number, integer, boolean, object, array, null, or an array of them.';

CREATE FUNCTION iu.fn_iu_payload_problem(p_contract jsonb, p_payload jsonb) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_properties constant jsonb := coalesce(p_contract -> 'properties', '{}');
  v_forbidden  constant jsonb := p_contract #> '{not,required}';
  v_name       text;
  v_rule       jsonb;
  v_is         text;
BEGIN
  SELECT k INTO v_name FROM jsonb_array_elements_text(coalesce(p_contract -> 'required', '[]')) WITH ORDINALITY r (k, n)
   WHERE NOT p_payload ? k ORDER BY n LIMIT 1;
  IF FOUND THEN
    RETURN format('key "%s" is missing', v_name);
  END IF;
  FOR v_name, v_rule IN SELECT e.key, e.value FROM jsonb_each(v_properties) e WHERE p_payload ? e.key LOOP
    v_is := jsonb_typeof(p_payload -> v_name);
    IF v_rule = 'false' THEN
      RETURN format('key "%s" is forbidden', v_name);
    ELSIF v_rule ? 'type' AND NOT v_rule -> 'type' @> to_jsonb(v_is)
        AND NOT (v_rule -> 'type' @> '"integer"' AND v_is = 'number'
                 AND trunc((p_payload ->> v_name)::numeric) = (p_payload ->> v_name)::numeric) THEN
      RETURN format('key "%s" has the type %s, not %s', v_name, v_is, v_rule ->> 'type');
    END IF;
  END LOOP;
  IF p_contract -> 'additionalProperties' = 'false' THEN
    SELECT min(k) INTO v_name FROM jsonb_object_keys(p_payload) k WHERE NOT v_properties ? k;
    IF v_name IS NOT NULL THEN
      RETURN format('key "%s" is not among the properties', v_name);
    END IF;
  END IF;
  IF v_forbidden IS NOT NULL
     AND NOT EXISTS (SELECT FROM jsonb_array_elements_text(v_forbidden) k WHERE NOT p_payload ? k) THEN
    RETURN format(CASE jsonb_array_length(v_forbidden) WHEN 1 THEN 'key %s is forbidden'
                                                       ELSE 'keys %s are forbidden together' END,
      (SELECT string_agg(format('"%s"', k), ', ') FROM jsonb_array_elements_text(v_forbidden) k));
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_payload_problem IS
  'NULL if the payload keeps the contract, otherwise the first key that breaks it and how. See '
  'fn_iu_route_contract_problem.';
