CREATE FUNCTION egress_refusal(url text) RETURNS text
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_egress_refusal';
COMMENT ON FUNCTION egress_refusal(text) IS
  'Why this server may not send a request to the URL, in a sentence that names the setting and the origin; NULL if iu_core.allowed_origins names its scheme://host[:port]. NULL, what is no URL, a user part and any scheme but http and https are refused. The address is judged only when connecting. Raises nothing. (design: Egress)';

CREATE FUNCTION address_is_allowed(address inet) RETURNS boolean
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_address_is_allowed';
COMMENT ON FUNCTION address_is_allowed(inet) IS
  'Whether this server may connect to the address: true for public unicast, otherwise only where iu_core.allowed_networks holds it. An IPv4 address mapped into IPv6 is judged as IPv4; a netmask plays no part; NULL gives false. Raises nothing. (design: Egress)';
