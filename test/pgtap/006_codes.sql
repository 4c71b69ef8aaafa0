-- 006: the vocabulary of delivery: what the functions, the sender and the handbook
-- say of a code is what iu_delivery_code says.
\ir setup.psql
SELECT no_plan();
\set handbook `cat ../docs/handbook.md`
\set answers `cat ../http/answer.c`
\set attempts `cat ../bgworker/attempt.c`
\set senders `cat ../bgworker/*.c`

-- ---- whatever has a code has it from here

CREATE FUNCTION pg_temp.unknown(p_codes text[]) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(c, ', ' ORDER BY c) FROM unnest(p_codes) c
  WHERE NOT EXISTS (SELECT FROM iu_delivery_code v WHERE v.code = c) $$;
CREATE FUNCTION pg_temp.strings(p_text text, p_pattern text) RETURNS text[] LANGUAGE sql AS
  $$SELECT array_agg(DISTINCT m[1]) FROM regexp_matches(p_text, p_pattern, 'g') m$$;
CREATE FUNCTION pg_temp.body(p_name text) RETURNS text LANGUAGE sql AS $$SELECT pg_get_functiondef(oid) FROM pg_proc
  WHERE proname = p_name AND pronamespace = 'iu'::regnamespace$$;

SELECT is((SELECT array_agg(c ORDER BY n) FROM (
    SELECT m[1] AS c,
    n FROM regexp_matches(pg_temp.body('fn_iu_delivery_refusal'), '(?:RETURN|THEN|ELSE) ''([a-z]+_[a-z_]+)''',
    'g') WITH ORDINALITY AS r (m, n)) x
    WHERE c <> 'sql_function'),
  (SELECT array_agg(code ORDER BY precedence) FROM iu_delivery_code WHERE kind = 'refusal' AND precedence IS NOT NULL),
  'the vocabulary has every refusal of a route, in the order in which they are asked for');
SELECT is((SELECT array_agg(code ORDER BY n) FROM iu.fn_iu_route_test_checks(NULL, NULL, NULL, NULL,
  NULL) WITH ORDINALITY AS c (code, ok, detail, n)),
  (SELECT array_agg(code ORDER BY precedence) FROM iu_delivery_code WHERE precedence IS NOT NULL),
  'a test of a route makes the checks that have a place in the vocabulary, in its order');
SELECT is(pg_temp.unknown(pg_temp.strings(pg_temp.body('fn_iu_route_explain_code'), 'THEN ''([a-z_]+)''')), NULL,
  'the vocabulary has whatever explain answers of an event');
SELECT is(pg_temp.unknown((SELECT array_agg(DISTINCT coalesce(m[1], m[2])) FROM pg_proc p,
  regexp_matches(p.prosrc, '''failure_code'', ''([a-z_]+)''|failure_code := ''([a-z_]+)''', 'g') m
  WHERE p.pronamespace = 'iu'::regnamespace)), NULL, 'the vocabulary has whatever functions write as a failure code');
SELECT is(array_remove(pg_temp.strings(split_part(split_part(:'answers', 'outcome_codes[] = {', 2), '}', 1),
  '"([a-z_]+)"'), 'answered') <@ (SELECT array_agg(code) FROM iu_delivery_code WHERE kind = 'outcome'),
  true, 'the vocabulary has every outcome of a request');
SELECT is(pg_temp.unknown((SELECT array_agg(c)
  FROM unnest(pg_temp.strings(:'senders', 'failure_code = "([a-z_]+)"') || pg_temp.strings(:'senders',
  '\{\w+, "([a-z_]+)"\}')
    || pg_temp.strings(:'senders', 'return "([a-z]+_[a-z_]+)"')) c WHERE c !~ '^iu_')), NULL,
    'the vocabulary has whatever sender and runner call a failure');
SELECT bag_eq($$SELECT m[1],
  m[2] = 'IU_HELD_A_WHILE' FROM regexp_matches('$$ || replace(:'attempts', '''', '''''') || $$',
  '\{"([a-z_]+)", (IU_HELD\w*)\}', 'g') m$$,
  $$SELECT code, hold_seconds > 0 FROM iu_delivery_code WHERE what_follows = 'hold'
  AND (kind = 'outcome' OR code IN ('target_kind_not_supported', 'secret_missing', 'credential_missing',
    'certificate_missing'))$$,
  'the sender holds what the vocabulary says is held, and for a while what it says is held for a while');

-- ---- what follows

SELECT results_eq($$SELECT i.code,
  c.code FROM unnest(ARRAY['http_404', 'http_400', 'http_503', 'http_599', 'http_302', 'http_100', 'http_999', 'http_',
  'timed_out', 'nonsense', NULL])
    WITH ORDINALITY i (code, n) CROSS JOIN LATERAL iu.fn_iu_delivery_code(i.code) c ORDER BY n$$,
  $$VALUES ('http_404', 'http_4xx'), ('http_400', 'http_400'), ('http_503', 'http_503'), ('http_599', 'http_5xx'),
  ('http_302', 'http_3xx'), ('http_100', 'http_other'),
    ('http_999', 'http_other'), ('http_', 'http_other'), ('timed_out', 'timed_out'), ('nonsense', 'unknown'),
    (NULL, 'unknown')$$,
  'a status without a row is one of its hundred, and a code that is not in the vocabulary is unknown');
SELECT is(iu.fn_iu_delivery_rule(h, c), r,
  format('what follows %s with %s is %s', coalesce('status ' || h, 'no status'), coalesce(c, 'no code'), r))
  FROM (VALUES
  (500, 'timed_out', 'retry'), (410, 'timed_out', 'disable'), (503, 'connection_lost', 'obey'),
  (200, 'connection_lost', 'retry'), (429, 'request_too_large', 'give_up'), (429, NULL, 'pace'),
  (429, 'timed_out', 'pace'),
  (410, 'contract', 'disable'), (200, 'response_too_large', 'give_up'), (404, 'response_too_large', 'retry'),
  (NULL, 'address_refused', 'retry'), (NULL, 'nonsense', 'retry')) AS t (h, c, r);
SELECT is(iu.fn_iu_delivery_wait('{"base_s": 5, "max_s": 60, "jitter": 0}', r, a, c, x), w::float8,
  format('the wait after %s, attempt %s, %s, Retry-After %s is %s s', r, a, c, coalesce(x::text, 'none'), w))
  FROM (VALUES
  ('retry', 1, 'http_500', NULL, 5), ('retry', 3, 'http_500', NULL, 20), ('retry', 90, 'http_500', NULL, 60),
  ('retry', 1, 'http_500', 900, 5),
  ('obey', 1, 'http_503', NULL, 5), ('obey', 1, 'http_503', 2, 5), ('obey', 1, 'http_503', 900, 900),
  ('obey', 1, 'http_503', 1e9, 86400),
  ('again', 1, 'address_refused', NULL, 60), ('again', 1, 'secret_missing', NULL, 0), ('again', 1, 'nonsense', NULL, 0),
  ('pace', 7, 'http_429', NULL, 0), ('pace', 7, 'http_429', 900, 900), ('pace', 1, 'http_429', 1e9, 86400),
  ('pace', 1, 'http_429', -5, 0), ('obey', NULL, 'http_503', 900, 900),
  ('disable', 1, 'http_410', 900, 0)) AS t (r, a, c, x, w);
SELECT is(iu.fn_iu_delivery_answer('route_not_armed', '{"route": "a''b"}') ->> 'next_action',
  'SELECT fn_iu_route_arm(''a''''b'', session_user, ''reason'')',
  'the call of a next action can be pasted, whatever the name of the route');
SELECT is(iu.fn_iu_delivery_answer('secret_missing', '{"secret": "x"}') ->> 'sentence',
  'no signing secret of "x" is valid now', 'a sentence has the name of what it is about in it');
SELECT is(iu.fn_iu_delivery_answer('delivered', '{"sentence": "s"}'), '{"code": "delivered", "sentence": "s"}',
  'a sentence that was given stands for the vocabulary''s, and no next action is none');
SELECT is((SELECT string_agg(code, ', ') FROM iu_delivery_code,
  regexp_matches(sentence || coalesce(next_action, ''), '\{(\w+)\}', 'g') m
   WHERE kind IN ('refusal', 'answer') AND m[1] NOT IN ('route', 'kind', 'target', 'secret', 'credential',
   'certificate', 'until',
   'failures', 'last_failure')
     AND NOT iu.fn_iu_route_explain_facts(NULL, NULL, NULL, NULL, NULL, NULL) ? m[1]), NULL,
     'whatever a sentence leaves open is put in');

-- ---- the handbook's own table

CREATE TEMP TABLE row_of_handbook AS
  SELECT c[1] AS code, c[2] AS sentence, c[3] AS who_minds_it, c[4] AS what_follows, nullif(c[5], '') AS next_action
    FROM regexp_matches(:'handbook',
    '^\| `([a-z0-9_]+)` \| ([^|]+) \| (operator|administrator|receiver|developer|nobody) \| ([^|]+) \| ?([^|]*?) \|$',
    'gn') c;
SELECT bag_eq('SELECT * FROM row_of_handbook', $$SELECT code, sentence, who_minds_it,
  what_follows || coalesce(', after a 2xx ' || after_success, ''), next_action
    FROM iu_delivery_code WHERE kind = 'outcome' OR code IN ('target_kind_not_supported', 'secret_missing',
    'credential_missing', 'certificate_missing', 'route_retired')$$, 'the handbook has the table of the vocabulary');

SELECT * FROM finish();
ROLLBACK;
