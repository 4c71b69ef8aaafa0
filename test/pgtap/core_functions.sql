-- Functions of the extension that stand alone: UUIDs out of names, rows of the current transaction.
\ir setup.psql
SELECT no_plan();

-- ---- uuid_v5: what other implementations of RFC 9562 make of the same names

SELECT is(iu_core.uuid_v5(n::uuid, name), expected::uuid, format('the UUID of %L is what others make of it', name))
  FROM (VALUES
  ('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'python.org', '886313e1-3b8a-5372-9b90-0c9aee199e5d'),
  ('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'www.example.com', '2ed6657d-e927-568b-95e1-2665a8aea6a2'),
  ('6ba7b811-9dad-11d1-80b4-00c04fd430c8', 'Điều 32', '484dd485-b1ee-5fe9-8819-9fc077485b63'),
  ('00000000-0000-0000-0000-000000000000', '', 'e129f27c-5103-5c5c-844b-cdf0a15e160d')) AS v (n, name, expected);
SELECT is(iu_core.uuid_v5(NULL, 'a'), NULL, 'without a namespace there is no UUID');
SELECT is(iu_core.uuid_v5(gen_random_uuid(), NULL), NULL, 'without a name there is no UUID');
SELECT is((SELECT count(DISTINCT iu_core.uuid_v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', g::text))
  FROM generate_series(1, 10000) g), 10000::bigint,
  '10000 names have 10000 UUIDs');
SELECT is((SELECT count(*) FROM generate_series(1, 1000) g WHERE iu_core.uuid_v5(gen_random_uuid(),
  g::text)::text !~ '^.{14}5.{4}[89ab]'), 0::bigint,
  'each UUID says that it is of version 5 and of the variant of RFC 9562');
CREATE TABLE pg_temp.names (name text);
SELECT lives_ok($$CREATE INDEX ON pg_temp.names (iu_core.uuid_v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', name))$$,
  'an index may be made of a UUID from a name');
SELECT is((SELECT concat(p.provolatile, p.proisstrict, p.proparallel) FROM pg_proc p
  WHERE p.oid = 'iu_core.uuid_v5(uuid,text)'::regprocedure), 'its',
  'the function of UUIDs from names is immutable, strict and safe in parallel plans');

-- ---- xid_is_mine: also from within savepoints and blocks that catch errors

CREATE TABLE pg_temp.written (how text);
INSERT INTO pg_temp.written VALUES ('by the transaction itself');
SAVEPOINT a;
INSERT INTO pg_temp.written VALUES ('in a savepoint');
RELEASE a;
SAVEPOINT b;
INSERT INTO pg_temp.written VALUES ('in a savepoint that is open');
DO $$BEGIN
  BEGIN
    INSERT INTO pg_temp.written VALUES ('in a block that catches errors');
  EXCEPTION WHEN OTHERS THEN
    RAISE;
  END;
END$$;
SELECT is(iu_core.xid_is_mine(w.xmin), true, 'a row written ' || w.how || ' is mine') FROM pg_temp.written w;
SELECT isnt((SELECT count(DISTINCT w.xmin::text) FROM pg_temp.written w), 1::bigint,
  'rows of one transaction with savepoints bear different transaction numbers');
SAVEPOINT c;
INSERT INTO pg_temp.written VALUES ('gone');
SELECT w.xmin AS gone FROM pg_temp.written w WHERE w.how = 'gone' \gset
ROLLBACK TO c;
SELECT is(iu_core.xid_is_mine(:'gone'::xid), false, 'what was rolled back with its savepoint is not mine');
SELECT is(iu_core.xid_is_mine((SELECT c.xmin FROM pg_class c WHERE c.oid = 'public.dot_config'::regclass)), false,
  'a row of another transaction is not mine');
SELECT is(iu_core.xid_is_mine(x::xid), false, 'transaction number ' || x || ' is not mine')
  FROM unnest(ARRAY['0', '1', '2', '3']) AS x;
SELECT is(iu_core.xid_is_mine(NULL), NULL, 'whether NULL is mine is NULL');

-- ---- who

-- ---- keys_by_group: lists of keys by group

SELECT is(iu_core.keys_by_group(g, k)::text, expected, name)
  FROM (VALUES
    ('{b,a,b,b}'::text[], '{z,y,B,b}'::text[], '{"a": ["y"], "b": ["B", "b", "z"]}',
     'keys are listed by group, in the order of their bytes'),
    ('{a,a,a}', '{x,x,y}', '{"a": ["x", "y"]}', 'a list has each key once'),
    ('{a,NULL,a,b}', '{x,y,NULL,z}', '{"a": ["x"], "b": ["z"]}', 'a pair of which one half is NULL is left out'),
    ('{NULL}', '{x}', '{}', 'of nothing but such pairs there is no list'),
    ('{}', '{}', '{}', 'of empty arrays there is no list'),
    ('{aa,a,aa}', '{x,"",xy}', '{"a": [""], "aa": ["x", "xy"]}',
     'a group or key that begins as another one is another one'),
    (NULL, '{x}', NULL, 'of NULL there is nothing')) v (g, k, expected, name);
CREATE TEMP TABLE pair AS SELECT 'g' || n % 7 AS g, 'k' || n % 91 AS k FROM generate_series(1, 5000) AS n;
SELECT is((SELECT iu_core.keys_by_group(array_agg(p.g), array_agg(p.k)) FROM pair p),
  (SELECT jsonb_object_agg(x.g, x.keys)
     FROM (SELECT p.g, jsonb_agg(DISTINCT p.k COLLATE "C" ORDER BY p.k COLLATE "C") AS keys
             FROM pair p GROUP BY p.g) x), 'thousands of pairs are listed as aggregates list them');
SELECT pg_temp.refuses($$SELECT iu_core.keys_by_group('{a}', '{x,y}')$$, '2202E', 'iu_lists_of_one_length',
  'as many groups as keys are wanted');

-- ---- manifest_digest: the digest of an order

CREATE TEMP TABLE piece AS
  SELECT (n * 37) % 1000 - 5 AS piece_order, gen_random_uuid() AS iu_id, 'rể' || repeat('|:', n % 3) AS piece_role
    FROM generate_series(0, 999) AS n;
SELECT is((SELECT iu_core.manifest_digest(array_agg(p.piece_order), array_agg(p.iu_id), array_agg(p.piece_role))
             FROM piece p),
  (SELECT md5(string_agg(p.piece_order || ':' || p.iu_id || ':' || p.piece_role, '|' ORDER BY p.piece_order))
     FROM piece p), 'the digest of a thousand pieces in any order is the MD5 of them in order');
SELECT is(iu_core.manifest_digest(o, u, r), expected, name)
  FROM (VALUES
    ('{7}'::int[], '{6b3e2b7a-0c44-4f0e-9d7f-000000000001}'::uuid[], '{body}'::text[],
     md5('7:6b3e2b7a-0c44-4f0e-9d7f-000000000001:body'), 'one piece has no line between pieces'),
    ('{1,NULL,0}', '{6b3e2b7a-0c44-4f0e-9d7f-000000000001,6b3e2b7a-0c44-4f0e-9d7f-000000000002,NULL}', '{a,b,c}',
     md5('1:6b3e2b7a-0c44-4f0e-9d7f-000000000001:a'), 'what has no order or no unit is left out'),
    ('{1,0}', '{6b3e2b7a-0c44-4f0e-9d7f-000000000001,6b3e2b7a-0c44-4f0e-9d7f-000000000002}', '{a}',
     md5('1:6b3e2b7a-0c44-4f0e-9d7f-000000000001:a'), 'what has no role is left out'),
    ('{}', '{}', '{}', NULL, 'no pieces have no digest'),
    (NULL, '{}', '{}', NULL, 'no list has no digest')) v (o, u, r, expected, name);

SELECT is(array_agg(r.rolname ORDER BY r.rolname COLLATE "C") FILTER (WHERE has_function_privilege(r.oid, f,
  'EXECUTE')), allowed::name[],
  f || ' may be called by the roles that need it and no others')
  FROM (VALUES ('iu_core.uuid_v5(uuid,text)',
  '{iu_core_admin,iu_core_operator,iu_core_owner,iu_core_reader,iu_core_worker,iu_core_writer}'),
               ('iu_core.keys_by_group(text[],text[])',
  '{iu_core_admin,iu_core_check,iu_core_operator,iu_core_owner,iu_core_reader}'),
               ('iu_core.manifest_digest(integer[],uuid[],text[])',
  '{iu_core_admin,iu_core_check,iu_core_operator,iu_core_owner,iu_core_reader}'),
               ('iu_core.xid_is_mine(xid)', '{iu_core_owner}')) AS v (f, allowed),
       pg_roles r WHERE r.rolname LIKE 'iu\_core\_%' GROUP BY f, allowed;

SELECT finish();
ROLLBACK;
