-- What the fuzz target (test/fuzz) runs: foreign tables of every kind, and the
-- queries over them, each under the letter that chooses it in an input.
CREATE EXTENSION iu_core;
CREATE FUNCTION iu_fuzz(VARIADIC text[]) RETURNS void LANGUAGE c AS 'iu_core';
CREATE SERVER q FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'http://127.0.0.1:9');
CREATE SERVER d FOREIGN DATA WRAPPER directus_fdw OPTIONS (url 'http://127.0.0.1:9');
CREATE USER MAPPING FOR PUBLIC SERVER q OPTIONS (api_key 'fuzz-secret');
CREATE USER MAPPING FOR PUBLIC SERVER d OPTIONS (token 'fuzz-secret');
CREATE SCHEMA q; CREATE SCHEMA d;
IMPORT FOREIGN SCHEMA api FROM SERVER q INTO q;
IMPORT FOREIGN SCHEMA api FROM SERVER d INTO d;
CREATE FOREIGN TABLE q.lenient (collection text, points bigint, error text) SERVER q OPTIONS (resource 'collections', on_error 'null');
CREATE FOREIGN TABLE d.lenient (collection text, items bigint, error text) SERVER d OPTIONS (resource 'collections', on_error 'null');
CREATE TABLE fuzz_query (letter text PRIMARY KEY CHECK (letter ~ '^[A-Za-z0-9]$'), query text NOT NULL);
INSERT INTO fuzz_query VALUES
  ('A', $$SELECT * FROM q.collections$$),
  ('B', $$SELECT * FROM q.collections WHERE collection IN ('one', 'two')$$),
  ('C', $$SELECT * FROM q.lenient WHERE collection IN ('one', 'two')$$),
  ('a', $$SELECT * FROM d.collections$$),
  ('b', $$SELECT * FROM d.collections WHERE collection IN ('one', 'two', 'directus_users')$$),
  ('c', $$SELECT * FROM d.lenient WHERE collection IN ('one', 'two')$$);
