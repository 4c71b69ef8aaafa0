CREATE FUNCTION qdrant_fdw_handler() RETURNS fdw_handler
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'iu_qdrant_fdw_handler';
COMMENT ON FUNCTION qdrant_fdw_handler() IS
  'Handler of the foreign data wrapper qdrant_fdw; the server calls it.';

CREATE FUNCTION qdrant_fdw_validator(options text[], catalog oid) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'iu_qdrant_fdw_validator';
COMMENT ON FUNCTION qdrant_fdw_validator(text[], oid) IS
  'Checks names and values of options of qdrant_fdw; the server calls it. SQLSTATE HV00D for an unknown option, '
  'HV024 for a value that is not allowed, HV002 for an option that is missing, 42501 for naming a file without being '
  'allowed to read the files of the database''s host.';

CREATE FOREIGN DATA WRAPPER qdrant_fdw
  HANDLER qdrant_fdw_handler VALIDATOR qdrant_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER qdrant_fdw IS
  'Qdrant over HTTP. Server options: url (required; its origin must be in iu_core.allowed_origins), timeout_ms (1 to '
  '3600000; iu_core.request_timeout is the default and the most), connections (1 to 128, default 32; requests at '
  'once, at most), page_size (1 to 10000, default 1000; points asked for at once), ca_certificates (PEM; default the '
  'authorities of the host), null_character (error, replace, remove; default error: what becomes of U+0000 in a '
  'text), on_error (error, null; default error), consistency (a number of replicas, majority, quorum, all; for counts '
  'and pages). User mapping: api_key, or api_key_file, a file whose first line is the key (only superusers and '
  'members of pg_read_server_files may name one). Table: resource (collections, points), collection (for points: the '
  'only one that the table shows; any other column is then a key of the payload, named by the column or by its option '
  'field), page_size, null_character and on_error (override the server''s). Table collections: collection text, '
  'points bigint (counted exactly), points_approx bigint (the remote''s estimate), status text, vectors jsonb, '
  'dimension integer, distance text, aliases text[], configuration jsonb, error text. Table points: collection text, '
  'id text, payload jsonb, vector jsonb, filter jsonb (= only: a filter in Qdrant''s own words, passed through). A '
  'table may have any of these columns in any order; what a query does not look at is not asked for. An alias is '
  'resolved once in a reading; with a key that may not read the aliases, a reading during which one is switched may be '
  'of both collections. Conditions by =, '
  'IN, = ANY on collection and id decide the requests, all others are checked here; count(*) is one request for each '
  'collection where no other condition stands beside one on collection and one on filter. IMPORT FOREIGN SCHEMA api '
  'makes these tables, data a table for each collection with its indexed keys as jsonb (OPTIONS (types ''index''): as '
  'the types of the indexes). With on_error null a lookup of collections that failed is a row of the collection, '
  'NULLs and the error text; a listing that failed, and any failure of points, always raises. SQLSTATE HV00L refused '
  'by the egress settings, HV00N no connection or not available, 28000 credentials refused, 42501 forbidden, HV00R no '
  'such collection, HV004 a value that its column cannot hold, 22023 a filter that is no object, 0A000 a filter '
  'compared otherwise, 53400 rate limit, 54000 answer or request too large, 42602 impossible name, 55000 the url has '
  'changed since the query began, HV000 any other answer. For anybody but a superuser: HV00L for giving a server a '
  'url whose origin is not allowed, 42501 for changing the url while there are user mappings whose secrets the '
  'current user may not see.';

CREATE FUNCTION directus_fdw_handler() RETURNS fdw_handler
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'iu_directus_fdw_handler';
COMMENT ON FUNCTION directus_fdw_handler() IS
  'Handler of the foreign data wrapper directus_fdw; the server calls it.';

CREATE FUNCTION directus_fdw_validator(options text[], catalog oid) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'iu_directus_fdw_validator';
COMMENT ON FUNCTION directus_fdw_validator(text[], oid) IS
  'Checks names and values of options of directus_fdw; the server calls it. SQLSTATE HV00D for an unknown option, '
  'HV024 for a value that is not allowed, HV002 for an option that is missing, 42501 for naming a file without being '
  'allowed to read the files of the database''s host.';

CREATE FOREIGN DATA WRAPPER directus_fdw
  HANDLER directus_fdw_handler VALIDATOR directus_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER directus_fdw IS
  'Directus over HTTP. Server options: url (required; its origin must be in iu_core.allowed_origins), timeout_ms (1 '
  'to 3600000; iu_core.request_timeout is the default and the most), connections (1 to 128, default 32; requests at '
  'once, at most), page_size (1 to 10000, default 1000; items asked for at once), ca_certificates (PEM; default the '
  'authorities of the host), null_character (error, replace, remove; default error: what becomes of U+0000 in a '
  'text), on_error (error, null; default error), partial (error, count; default error: it is an error if the token '
  'sees only a part of a collection). User mapping: token, or token_file, a file whose first line is the token (only '
  'superusers and members of pg_read_server_files may name one). Table: resource (collections, items), on_error (for '
  'collections; overrides the server''s), partial, page_size and null_character (override the server''s), collection '
  '(for items: the only one that the table shows), id_field (for items: the primary key, default id). Column, in a '
  'table of one collection: field (the field it shows; default the column''s name). Table collections: collection '
  'text, items bigint (as many as the token may see), access text (full; fields: all items, some fields only; '
  'partial; none; NULL where Directus does not say), error text. Table items: collection text, id text, item jsonb, '
  'filter jsonb (= only: a filter in Directus''s own words, passed through); in a table of one collection any other '
  'column is a field. directus_users and other system collections are read at their own endpoints and left out of the '
  'listing. A table may have any of these columns in any order; what a query does not look at is not asked for. With '
  'on_error null a lookup of collections that failed is a row of the collection, NULLs and the error text; a listing, '
  'a count(*) or a reading of items that failed always raises. ANALYZE reads the whole table. IMPORT FOREIGN SCHEMA '
  'api makes the tables of the API, data a table for each collection. SQLSTATE HV00L refused by the egress settings, '
  'HV00N no connection or not available, 28000 credentials refused, 42501 forbidden, no such collection (Directus '
  'does not tell which), or a token that sees only a part, 53400 rate limit or licence, 54000 answer or request too '
  'large, 42602 impossible name, HV004 a value that its column cannot hold, 22023 a filter that is no object, 0A000 a '
  'comparison of filter other than =, 55000 the url has changed since the query began, HV000 any other answer. For '
  'anybody but a superuser: HV00L for giving a server a url whose origin is not allowed, 42501 for changing the url '
  'while there are user mappings whose secrets the current user may not see.';
