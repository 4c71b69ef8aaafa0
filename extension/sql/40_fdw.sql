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
  'Directus over HTTP. Server options: url (required, origin must be in iu_core.allowed_origins), timeout_ms (1 to 3600000; default and most iu_core.request_timeout), connections (1 to 128, default 32; most requests at once), page_size (1 to 10000, default 1000; rows asked for at once), on_error (error, null; default error), partial (error, count; default error; whether a token that sees a part of a collection is an error). User mapping: token, or token_file (its first line; superusers and pg_read_server_files only). Table: resource (collections, items), on_error (collections; overrides the server''s), partial (overrides the server''s), page_size, collection (items; the only one that the table shows), id_field (items; the primary key, default id). Column, in a table of one collection: field (the field it shows; default the column''s name). Table collections: collection text, items bigint (what the token may see), access text (full, partial, none, as far as Directus says), error text. Table items: collection text, id text, item jsonb, filter jsonb (= passes a filter of Directus through); in a table of one collection any other column is a field. directus_users and other system collections go to their own endpoints and are left out of the listing. Any subset of columns in any order; what is not looked at is not asked for. With on_error null a failed lookup in collections is a row of the collection, NULLs and the error text; a failed listing, count(*) or reading of rows always raises. ANALYZE reads the whole table. IMPORT FOREIGN SCHEMA api makes the tables of the API, data a table for each collection. SQLSTATE HV00L refused by the egress settings, HV00N no connection or not available, 28000 credentials refused, 42501 forbidden, no such collection (Directus does not tell which), or a token that sees a part only, 53400 rate limit, 54000 answer or request too large, 42602 impossible name, HV004 a value that its column cannot hold, 0A000 a comparison of filter other than =, HV000 any other answer. (design: Foreign tables, Egress)';
