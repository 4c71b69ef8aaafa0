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
CREATE FOREIGN TABLE q.lenient (collection text, points bigint, error text) SERVER q OPTIONS (resource 'collections',
  on_error 'null');
CREATE FOREIGN TABLE d.lenient (collection text, items bigint, error text) SERVER d OPTIONS (resource 'collections',
  on_error 'null');
CREATE FOREIGN TABLE q.typed (id text, field_int integer, field_big bigint, field_numeric numeric,
  field_real double precision, field_bool boolean, field_text text,
  field_time timestamptz, field_uuid uuid, field_json jsonb, field_array text[],
  field_numbers bigint[]) SERVER q OPTIONS (resource 'points', collection 'one');
CREATE FOREIGN TABLE d.typed (id text, field_int integer, field_big bigint, field_numeric numeric,
  field_real double precision, field_bool boolean, field_text text,
  field_time timestamptz, field_uuid uuid, field_json jsonb, field_array text[],
  field_numbers bigint[]) SERVER d OPTIONS (resource 'items', collection 'one');
CREATE FOREIGN TABLE d.partial (collection text, id text, item jsonb, filter jsonb) SERVER d OPTIONS (resource 'items',
  partial 'count');

CREATE TABLE fuzz_query (letter text PRIMARY KEY CHECK (letter ~ '^[A-Za-z0-9]$'), query text NOT NULL);
INSERT INTO fuzz_query VALUES
  ('A', $$SELECT * FROM q.collections$$),
  ('B', $$SELECT * FROM q.collections WHERE collection IN ('one', 'two')$$),
  ('C', $$SELECT * FROM q.lenient WHERE collection IN ('one', 'two')$$),
  ('D', $$SELECT collection, points FROM q.collections WHERE collection = 'one'$$),
  ('E', $$SELECT collection, id, payload, vector FROM q.points WHERE collection = 'one'$$),
  ('F', $$SELECT * FROM q.points WHERE collection = 'one' AND id IN ('1', '550e8400-e29b-41d4-a716-446655440000')$$),
  ('G', $$SELECT * FROM q.typed$$),
  ('H', $$SELECT count(*) FROM q.points WHERE collection = 'one'$$),
  ('I', $$SELECT collection, count(*) FROM q.points WHERE collection IN ('one', 'two') GROUP BY collection$$),
  ('J', $$SELECT * FROM q.points LIMIT 3$$),
  ('K', $$SELECT id FROM q.points WHERE collection = 'one' AND filter = '{"must": []}'$$),
  ('L', $$IMPORT FOREIGN SCHEMA data FROM SERVER q INTO public$$),
  ('a', $$SELECT * FROM d.collections$$),
  ('b', $$SELECT * FROM d.collections WHERE collection IN ('one', 'two', 'directus_users')$$),
  ('c', $$SELECT * FROM d.lenient WHERE collection IN ('one', 'two')$$),
  ('d', $$SELECT collection, items FROM d.collections WHERE collection = 'one'$$),
  ('e', $$SELECT collection, id, item FROM d.items WHERE collection = 'one'$$),
  ('f', $$SELECT * FROM d.items WHERE collection = 'one' AND id IN ('1', 'two')$$),
  ('g', $$SELECT * FROM d.typed$$),
  ('h', $$SELECT count(*) FROM d.items WHERE collection = 'one'$$),
  ('i', $$SELECT collection, count(*) FROM d.items WHERE collection IN ('one', 'two') GROUP BY collection$$),
  ('j', $$SELECT * FROM d.items LIMIT 3$$),
  ('k', $$SELECT id FROM d.partial WHERE collection = 'one' AND filter = '{"a": {"_eq": 1}}'$$),
  ('l', $$IMPORT FOREIGN SCHEMA data FROM SERVER d INTO public$$);
