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
  'Qdrant over HTTP. Server options: url (required, origin must be in iu_core.allowed_origins), timeout_ms (1 to 3600000; default and most iu_core.request_timeout), connections (1 to 128, default 32; most requests at once), page_size (1 to 10000, default 1000; points asked for at once), on_error (error, null; default error), consistency (a number of replicas, majority, quorum, all; of counts and pages). User mapping: api_key, or api_key_file (its first line; superusers and pg_read_server_files only). Table: resource (collections, points), collection (points only: the one that it shows; any other column is then a key of the payload, that of its name or of its option field), page_size and on_error (override the server''s). Table collections: collection text, points bigint (counted exactly), points_approx bigint (the remote''s estimate), status text, vectors jsonb, dimension integer, distance text, aliases text[], configuration jsonb, error text. Table points: collection text, id text, payload jsonb, vector jsonb, filter jsonb (= only: a filter in Qdrant''s own words, passed through). Any subset in any order; what is not looked at is not asked for. Restrictions by =, IN, = ANY on collection and id decide the requests, count(*) is one where nothing else restricts it, all others are checked here. IMPORT FOREIGN SCHEMA api makes these tables, data one of each collection with its indexed keys. With on_error null a failed lookup of collections is a row of the collection, NULL and the error text; a failed listing, and any failure of points, always raises. SQLSTATE HV00L refused by the egress settings, HV00N no connection or not available, 28000 credentials refused, 42501 forbidden, HV00R no such collection, HV004 a value that its column cannot hold, 22023 a filter that is no object, 0A000 a filter compared otherwise, 53400 rate limit, 54000 answer too large, 42602 impossible name, HV000 any other answer. (design: Foreign tables, Egress)';

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
