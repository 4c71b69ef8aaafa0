-- What programs read: in no table and no view that people may read, and in no
-- answer of a function, is a time without end, a number that is none, or a type
-- that a driver has no name for. NULL says "none".
\ir setup.psql
SELECT no_plan();

CREATE VIEW pg_temp.read AS
  SELECT a.attrelid::regclass AS relation, a.attname AS name, t.oid, t.typcategory = 'A' AS is_array,
         CASE t.typcategory WHEN 'A' THEN t.typelem ELSE t.oid END AS type
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'v', 'm', 'p')
     AND c.relnamespace IN ('public'::regnamespace, 'iu_core'::regnamespace)
     AND pg_get_userbyid(c.relowner) IN ('iu_core_owner', current_user)
    JOIN pg_type t ON t.oid = a.atttypid
   WHERE a.attnum > 0 AND NOT a.attisdropped;
SELECT cmp_ok((SELECT count(*) FROM pg_temp.read), '>', 500::bigint, 'more than 500 columns are looked at');

-- ---- types

SELECT is_empty($$SELECT r.relation, r.name, r.oid::regtype FROM pg_temp.read r JOIN pg_type t ON t.oid = r.type
  WHERE t.typtype <> 'b' OR t.typnamespace <> 'pg_catalog'::regnamespace
    OR t.oid IN ('"char"'::regtype, 'unknown'::regtype)$$,
  'every column is of a plain type of PostgreSQL''s own');
SELECT is_empty($$SELECT p.oid::regprocedure, pg_get_function_result(p.oid) FROM pg_proc p
    CROSS JOIN LATERAL unnest(CASE WHEN p.proargmodes IS NULL OR NOT p.proargmodes && '{o,b,t}'
                                THEN ARRAY[p.prorettype] ELSE p.proallargtypes END) AS a (type)
    JOIN pg_type t ON t.oid = a.type
   WHERE p.pronamespace = 'public'::regnamespace AND pg_get_userbyid(p.proowner) = 'iu_core_owner'
     AND (t.typtype = 'p' OR (t.typtype = 'c' AND NOT EXISTS (SELECT FROM pg_class c
            WHERE c.oid = t.typrelid AND c.relkind = 'r' AND p.proretset)))
     AND t.typname NOT IN ('void', 'trigger')$$,
  'every function answers with plain values, or with columns that have names');

-- ---- values

SELECT fn_iu_switch_set(key, 'true', 'ann', 't')
  FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) AS key;
SELECT fn_iu_route_add(r, 'version_applied', 'https://hooks.example/x', 'ann', 't', p_ordering => 'subject'),
  fn_iu_route_allow(r, 'ann', 't'), fn_iu_route_arm(r, 'ann', 't', '-infinity', '1 h')
  FROM unnest(ARRAY['one', 'two']) AS r;
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot;
SELECT fn_iu_route_deliver(r, fn_iu_emit_event('version_applied', n::text, '00000000-0000-4000-8000-000000000001', 't'))
  FROM unnest(ARRAY['one', 'two']) AS r, generate_series(1, 3) AS n;
SELECT is((SELECT count(*) FROM iu_route_retry WHERE due_at IS NULL), 4::bigint,
  'two events of each route wait for the first of their subject, due at no time');
SELECT is((SELECT string_agg(route_code || ' ' || (next_due_at IS NOT NULL), ',' ORDER BY route_code)
  FROM v_iu_event_backlog), 'one true,two true', 'what is due next on a route is what does not wait for its turn');
SELECT is(fn_iu_route_secret_add('later', 'ann', 't', NULL, now(), 'infinity') ->> 'status', 'added',
  'a secret may be given without an end');
SELECT is((SELECT array_agg(DISTINCT secret_ref || ' ' || coalesce(valid_until::text, 'no end')) FROM iu_route_secret),
  ARRAY['later no end', 'one no end', 'two no end'], 'a secret without an end has none');
SELECT pg_temp.refuses(format('SELECT fn_iu_route_secret_add(''s'', ''a'', ''r'', NULL, %L, %L)', f, u), '23514',
  'iu_secret_validity', format('a secret from %s until %s is refused', f, u))
  FROM (VALUES ('-infinity', NULL), ('infinity', NULL), ('2020-01-01', '-infinity'), (NULL, NULL)) AS t (f, u);
UPDATE iu_route_position SET place = gen_random_uuid() WHERE route_code = 'one';
INSERT INTO iu_route_lease (route_code, sender, backend_pid, expires_at, item_count, event_ids, event_seqs,
    replay_numbers, attempt_nos)
  SELECT 'one', 's', pg_backend_pid(), iu_core.steady_clock() + interval '1 h', 1, ARRAY[e.id], ARRAY[e.event_seq],
         '{7}', '{1}' FROM event_outbox e LIMIT 1;
SELECT is(fn_iu_route_confirm_position('one', 'ann', 't') ->> 'status', 'confirmed', 'a position is confirmed');
SELECT is((SELECT count(*) FROM iu_route_lease WHERE expires_at <= iu_core.steady_clock()), 1::bigint,
  'a lease of a position that is confirmed has ended');
UPDATE dot_config SET value = 'true' WHERE key IN ('queue.job_substrate.enabled', 'iu_core.vector_sync_enabled');
SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'ann', 't', 60);
SELECT is((SELECT array_agg(gate_key ORDER BY gate_key) FROM v_iu_gate WHERE due_at IS NOT NULL),
  ARRAY['iu_core.composer_enabled', 'iu_core.delivery_enabled'],
  'only the gates that are open by the protocol have an end');

CREATE FUNCTION pg_temp.odd_values() RETURNS SETOF text LANGUAGE plpgsql AS $function$
DECLARE
  v_column record;
  v_odd    bigint;
BEGIN
  FOR v_column IN SELECT r.*, format(CASE
      WHEN r.type IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype, 'interval'::regtype)
        THEN 'NOT isfinite(%s)'
      WHEN r.type IN ('numeric'::regtype, 'float8'::regtype, 'float4'::regtype)
        THEN '%s IN (''NaN'', ''Infinity'', ''-Infinity'')' END, CASE WHEN r.is_array THEN 'e' ELSE 'x' END) AS odd
      FROM pg_temp.read r
  LOOP
    CONTINUE WHEN v_column.odd IS NULL;
    EXECUTE format('SELECT count(*) FROM (SELECT %I AS x FROM %s) AS c %s WHERE %s', v_column.name, v_column.relation,
      CASE WHEN v_column.is_array THEN 'CROSS JOIN unnest(c.x) AS e' ELSE '' END, v_column.odd) INTO v_odd;
    IF v_odd > 0 THEN
      RETURN NEXT format('%s.%s: %s', v_column.relation, v_column.name, v_odd);
    END IF;
  END LOOP;
END
$function$;
SELECT is_empty('SELECT pg_temp.odd_values()', 'no time is infinite, and every number is one');
-- Where one stands in a table it is seen.
SAVEPOINT planted;
UPDATE iu_route_lease SET expires_at = 'infinity';
SELECT results_eq('SELECT pg_temp.odd_values()', ARRAY['iu_route_lease.expires_at: 1'],
  'a time without end in a table would be found');
ROLLBACK TO planted;
SELECT pg_temp.refuses($$UPDATE iu_route_retry SET due_at = 'infinity'$$, '23514', 'iu_route_retry_due_chk',
  'a delivery is not due at a time without end');
SELECT pg_temp.refuses($$SELECT fn_iu_route_arm('three', 'ann', 't', NULL, 'infinity')$$, e, p,
  'a route is not armed for an age without end')
  FROM (SELECT CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN '23514' ELSE '22007' END AS e,
               CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN 'iu_route_max_age'
                    ELSE 'invalid input syntax for type interval' END AS p,
               fn_iu_route_add('three', 'version_applied', 'https://hooks.example/x', 'ann', 't')) AS x;

SELECT * FROM finish();
ROLLBACK;
