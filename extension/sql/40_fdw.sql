CREATE FUNCTION qdrant_fdw_handler() RETURNS fdw_handler
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'iu_qdrant_fdw_handler';
COMMENT ON FUNCTION qdrant_fdw_handler() IS
  'Handler of the foreign data wrapper qdrant_fdw; the server calls it. (design: Foreign tables)';

CREATE FUNCTION qdrant_fdw_validator(options text[], catalog oid) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'iu_qdrant_fdw_validator';
COMMENT ON FUNCTION qdrant_fdw_validator(text[], oid) IS
  'Checks names and values of options of qdrant_fdw; the server calls it. SQLSTATE HV00D unknown option, HV024 bad value, HV002 missing option, 42501 a file named by who may not read the server''s files. (design: Foreign tables)';

CREATE FOREIGN DATA WRAPPER qdrant_fdw
  HANDLER qdrant_fdw_handler VALIDATOR qdrant_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER qdrant_fdw IS
  'Qdrant over HTTP. Server options: url (required, origin must be in iu_core.allowed_origins), timeout_ms (1 to 3600000; default and most iu_core.request_timeout), connections (1 to 128, default 32; most requests at once), on_error (error, null; default error). User mapping: api_key, or api_key_file (its first line; superusers and pg_read_server_files only). Table: resource (collections), on_error (overrides the server''s). Table collections: collection text, points bigint (counted exactly), error text; any subset in any order. With on_error null a failed lookup is a row of the collection, NULL and the error text; a failed listing always raises. SQLSTATE HV00L refused by the egress settings, HV00N no connection or not available, 28000 credentials refused, 42501 forbidden, HV00R no such collection, 53400 rate limit, 54000 answer too large, 42602 impossible name, HV000 any other answer. (design: Foreign tables, Egress)';

CREATE FUNCTION directus_fdw_handler() RETURNS fdw_handler
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'iu_directus_fdw_handler';
COMMENT ON FUNCTION directus_fdw_handler() IS
  'Handler of the foreign data wrapper directus_fdw; the server calls it. (design: Foreign tables)';

CREATE FUNCTION directus_fdw_validator(options text[], catalog oid) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'iu_directus_fdw_validator';
COMMENT ON FUNCTION directus_fdw_validator(text[], oid) IS
  'Checks names and values of options of directus_fdw; the server calls it. SQLSTATE HV00D unknown option, HV024 bad value, HV002 missing option, 42501 a file named by who may not read the server''s files. (design: Foreign tables)';

CREATE FOREIGN DATA WRAPPER directus_fdw
  HANDLER directus_fdw_handler VALIDATOR directus_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER directus_fdw IS
  'Directus over HTTP. Server options: url (required, origin must be in iu_core.allowed_origins), timeout_ms (1 to 3600000; default and most iu_core.request_timeout), connections (1 to 128, default 32; most requests at once), on_error (error, null; default error). User mapping: token, or token_file (its first line; superusers and pg_read_server_files only). Table: resource (collections), on_error (overrides the server''s). Table collections: collection text, items bigint (what the token may see: a row-level permission lowers it silently), error text; any subset in any order. directus_users and other system collections are counted by their own endpoints and left out of the listing. With on_error null a failed lookup is a row of the collection, NULL and the error text; a failed listing always raises. SQLSTATE HV00L refused by the egress settings, HV00N no connection or not available, 28000 credentials refused, 42501 forbidden or no such collection (Directus does not tell which), 53400 rate limit, 54000 answer too large, 42602 impossible name, HV000 any other answer. (design: Foreign tables, Egress)';
