-- Settings of a session, of a role or of a database that would make opening,
-- closing and looking at gates slow: the functions that do it have their own.
\ir setup.psql
SET LOCAL jit = off;
SELECT no_plan();

SELECT is_empty($$SELECT p.proname FROM pg_proc p
   WHERE p.pronamespace = 'iu'::regnamespace AND p.proname ~ '^fn_iu_(gate|place|conformance)'
     AND (p.proname IN ('fn_iu_gate_expiring', 'fn_iu_gate_close_expired', 'fn_iu_gate_close_overstayed',
                        'fn_iu_gate_troubles', 'fn_iu_place_begin', 'fn_iu_conformance_problems',
                        'fn_iu_conformance_require')
          OR EXISTS (SELECT FROM pg_proc q WHERE q.pronamespace = 'public'::regnamespace AND q.proname = p.proname))
     AND NOT coalesce(p.proconfig @> ARRAY['jit=off', 'max_parallel_workers_per_gather=0', 'plan_cache_mode=auto',
                                           'enable_nestloop=on', 'enable_indexscan=on'], false)$$,
  'every function by which people and workers open, close and look at gates has the settings of its own speed');

-- That something was compiled shows in what this process has loaded.
CREATE FUNCTION pg_temp.compiles() RETURNS boolean LANGUAGE sql AS
  $$SELECT pg_read_file('/proc/self/maps') ~ 'llvmjit'$$;
CREATE FUNCTION pg_temp.eagerly() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_done text;
BEGIN
  v_done := set_config('jit', 'on', true);
  v_done := set_config('jit_above_cost', '0', true);
  v_done := set_config('enable_nestloop', 'off', true);
  v_done := iu.fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'ann', 'test', 60);
  v_done := iu.fn_iu_gate_close('iu_core.composer_enabled', 'ann', 'test');
  v_done := iu.fn_iu_gate_verify_closed(NULL);
  v_done := iu.fn_iu_gate_ledger_verify(NULL, NULL);
  v_done := (iu.fn_iu_gate_close_expired('iu_core.composer_enabled', 'ann')).status;
  v_done := set_config('jit', 'off', true);
END
$$;
SELECT CASE WHEN pg_temp.compiles() OR (pg_stat_file(c.setting || '/llvmjit.so', true)).size IS NULL THEN 0 ELSE 1 END
    AS can_tell FROM pg_config c WHERE c.name = 'PKGLIBDIR' \gset
SELECT lives_ok('SELECT pg_temp.eagerly()', 'a gate is opened and closed where the server compiles whatever it runs');
\if :can_tell
SELECT is(pg_temp.compiles(), false,
  'opening, closing and looking at gates compile nothing, whatever the session sets');
\else
SELECT pass('opening and closing compile nothing # SKIP this server cannot compile, or this session has done so');
\endif

SELECT finish();
ROLLBACK;
