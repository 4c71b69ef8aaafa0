-- 002: every refusal of these migrations names a constraint, and the list of
-- refusals has each of them and no other.
\ir setup.psql
SELECT no_plan();

-- What a function raises: each RAISE of an error or a warning up to its semicolon outside of quotes.
CREATE VIEW pg_temp.raised AS
  SELECT p.oid::regprocedure::text AS function, p.migration, r.m[1] AS statement
    FROM (SELECT p.*, g.migration FROM pg_proc p JOIN iu_governed_object g ON g.object_class = 'function' AND to_regprocedure(g.object_name) = p.oid) AS p
    CROSS JOIN LATERAL regexp_matches(regexp_replace(p.prosrc, '--[^\n]*', '', 'g'), '\mRAISE\M((?:[^;'']|''[^'']*'')*);', 'g') AS r (m)
   WHERE p.migration = ANY ('{2,3,8,9,10,18,19}');
SELECT cmp_ok((SELECT count(*) FROM pg_temp.raised WHERE statement ~ 'MESSAGE'), '>', 60::bigint, 'there are refusals to look at');
SELECT is_empty($$SELECT function, statement FROM pg_temp.raised WHERE statement !~ '\mCONSTRAINT = ' AND statement !~ '^\s*$' AND statement !~ 'IU000'$$,
  'every RAISE names a constraint, except one that is raised again and one that ends a reading');

-- The names in functions: of a RAISE, and of what is asked of arguments.
CREATE VIEW pg_temp.named AS
  SELECT DISTINCT x.m[1] AS name, p.migration FROM (SELECT p.*, g.migration FROM pg_proc p JOIN iu_governed_object g ON g.object_class = 'function' AND to_regprocedure(g.object_name) = p.oid) AS p
    CROSS JOIN LATERAL regexp_matches(p.prosrc, '(?:CONSTRAINT = (?:CASE [^;]*?THEN )?|ELSE |fn_iu_require_value\([^;]*?,\s*)''(iu_[a-z0-9_]+)''', 'g') AS x (m)
   WHERE p.migration = ANY ('{2,3,8,9,10,18,19}');
SELECT is_empty($$SELECT name FROM pg_temp.named n WHERE NOT EXISTS (SELECT FROM iu_refusal r WHERE r.constraint_name = n.name) AND name <> 'iu_command_run_'$$, 'the list of refusals has each name');
SELECT is_empty($$SELECT constraint_name FROM iu_refusal r WHERE r.migration = ANY ('{3,8,9,10,18,19}') AND constraint_name !~ '^iu_(rollback|migration)_'
    AND NOT EXISTS (SELECT FROM pg_temp.named n WHERE n.name = r.constraint_name)$$, 'and no name that nothing raises');
SELECT is_empty($$SELECT constraint_name FROM iu_refusal WHERE sentence ~ '[0-9]{4}-|%' OR next_action ~ '%'$$, 'sentences have no places for figures');
SELECT is_empty($$SELECT name, count(*) FROM (SELECT constraint_name AS name FROM iu_refusal) AS r GROUP BY name HAVING count(*) > 1$$, 'each is listed once');

SELECT finish();
ROLLBACK;
