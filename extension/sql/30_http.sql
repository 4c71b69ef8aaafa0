CREATE FUNCTION egress_refusal(url text) RETURNS text
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_egress_refusal';
COMMENT ON FUNCTION egress_refusal(text) IS
  'Why this server may not send a request to the URL, in a sentence that names the setting and the origin; NULL if '
  'iu_core.allowed_origins names the URL''s scheme://host[:port]. Refused are NULL, text that is no URL, a URL with '
  'a user part, and any scheme but http and https. The address that the host resolves to is checked only when a '
  'connection is made. Raises nothing.';

CREATE FUNCTION address_is_allowed(address inet) RETURNS boolean
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_address_is_allowed';
COMMENT ON FUNCTION address_is_allowed(inet) IS
  'Whether this server may connect to the address: true for a public unicast address, for any other only where '
  'iu_core.allowed_networks holds it. An IPv4 address that is mapped into IPv6 counts as IPv4; a netmask does not '
  'matter; NULL gives false. Raises nothing.';

CREATE FUNCTION http_probe(
    method text, url text, headers text[] DEFAULT NULL, request_body text DEFAULT NULL,
    timeout_ms integer DEFAULT NULL,
    OUT outcome text, OUT status integer, OUT retry_after integer, OUT duration_ms double precision,
    OUT content_type text, OUT body text, OUT error text)
  RETURNS record
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_http_probe';
COMMENT ON FUNCTION http_probe(text, text, text[], text, integer) IS
  'Sends one request from this session and tells what became of it, to find out whether this server can reach a '
  'route. It is under the same policy as deliveries and foreign tables. method: GET, HEAD, POST, PUT, PATCH, DELETE, '
  'SEARCH; headers: ''Name: value''; timeout_ms: NULL, and anything over iu_core.request_timeout, means '
  'iu_core.request_timeout. outcome: answered (whatever the status), origin_refused, address_refused, dns_failed, '
  'connect_failed, tls_failed, timed_out, connection_lost, response_too_large, not_http, request_too_large; '
  'retry_after: seconds; body: with "?" for what this database cannot hold; error: a sentence, for every outcome but '
  'answered. SQLSTATE 22004 for a NULL method or header, 22023 for an unknown method, a malformed header, a timeout '
  'below 1. A header given here may be logged, as any statement may.';

CREATE FUNCTION certificate_problem(url text, ca_name text, client_name text) RETURNS text
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_certificate_problem';
COMMENT ON FUNCTION certificate_problem(text, text, text) IS
  'Why requests to a URL cannot go by these certificates of iu_core.certificate_directory, in words that name the file '
  'and no directory; NULL: they can, or neither name is given. ca_name: NAME.crt has the authorities that are trusted; '
  'client_name: NAME.crt has the certificate that is shown, and NAME.key its key. Refused are a URL without https, a '
  'name that is not 1 to 64 letters, digits, ".", "_" or "-" with a letter or a digit first, a file that is not there, '
  'cannot be read, is not a regular one, is larger than 64 kB, leads out of the directory or is not in PEM, a key that '
  'others than its owner may read (of root also its group), that has a passphrase, or that belongs to another '
  'certificate, and a certificate that has ended. Raises nothing.';

CREATE FUNCTION certificate_files(url text, ca_name text, client_name text)
  RETURNS TABLE (file text, problem text, ends_at timestamptz, first_ends_at timestamptz, due_at timestamptz)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_certificate_files';
COMMENT ON FUNCTION certificate_files(text, text, text) IS
  'The files of certificates that requests to a URL would go by, a row for each name that is not NULL: file, problem '
  '(as certificate_problem; NULL: none), when it is over (of a client''s: its certificate ends; of authorities: the '
  'last of them does), when the first certificate in it ends, and when one of them is to be replaced: 30 days before '
  'its end, or in the last third of its time where that is shorter; NULL: that cannot be told, as on a server that was '
  'built without OpenSSL. Raises nothing.';

CREATE FUNCTION webhook_key() RETURNS text
  LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_webhook_key';
COMMENT ON FUNCTION webhook_key() IS
  'A new key to sign with by Ed25519 (v1a of Standard Webhooks): whsk_ and the base64 of the seed and the public key. '
  'SQLSTATE 0A000: the server was built without OpenSSL.';

CREATE FUNCTION webhook_signature(id text, "timestamp" bigint, body text, secrets text[]) RETURNS text
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_webhook_signature_sql';
COMMENT ON FUNCTION webhook_signature(text, bigint, text, text[]) IS
  'The header webhook-signature of Standard Webhooks, as the sender computes it: one "v1,<base64 of HMAC-SHA256 over '
  'id.timestamp.body>" for each secret, separated by spaces. id: letters, digits, _ and -; timestamp: seconds since '
  '1970; secrets: ''whsec_<base64 of 24 to 64 bytes>'', or ''whsk_<base64 of a key of Ed25519>'' for "v1a,<base64 of '
  'the signature>". SQLSTATE 0A000 for such a key where the server was built without OpenSSL; SQLSTATE 22023 for a '
  'malformed id or secret and for no '
  'secret; the secret is not quoted.';
