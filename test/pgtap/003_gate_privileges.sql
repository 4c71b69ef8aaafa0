-- 001 to 003: who may do what. Nothing for PUBLIC.
\ir setup.psql
SELECT plan(22);
CREATE ROLE iu_test_nobody;

SELECT is((SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p
            WHERE p.proowner = 'iu_core_owner'::regrole AND has_function_privilege('iu_test_nobody', p.oid, 'EXECUTE')),
            NULL,
  'a role without grants executes no function of the policy');
SELECT is((SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
            WHERE c.relowner = 'iu_core_owner'::regrole AND c.relkind IN ('r', 'v', 'p', 'm')
              AND has_any_column_privilege('iu_test_nobody', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')), NULL,
  'a role without grants reads and writes no table and no view of the policy');
SELECT is((SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
            WHERE c.relowner = 'iu_core_owner'::regrole
              AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege('iu_test_nobody', c.oid,
              'USAGE, SELECT, UPDATE') END), NULL, 'a role without grants uses no sequence of the policy');
SELECT is((SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p JOIN pg_roles o ON o.oid = p.proowner
            WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
              AND d.deptype = 'e')
              AND (o.rolsuper OR o.rolname <> 'iu_core_owner'
                   OR NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}')))), NULL,
  'every SECURITY DEFINER function belongs to iu_core_owner and has a pinned search_path');

SELECT set_eq($$
  SELECT r.rolname::text, pg_temp.called_as(p.oid)
    FROM pg_proc p CROSS JOIN pg_roles r
   WHERE p.oid IN (SELECT to_regprocedure(CASE WHEN g.object_name LIKE 'iu.%' THEN ''
   ELSE 'public.' END || g.object_name)
                     FROM iu_governed_object g WHERE g.migration <= 3 AND g.object_class = 'function')
     AND pg_temp.called_as(p.oid) IS NOT NULL
     AND r.rolname IN ('iu_core_reader', 'iu_core_writer', 'iu_core_operator', 'iu_core_worker')
     AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
  EXCEPT SELECT 'iu_core_operator',
  f FROM unnest(ARRAY['fn_iu_conformance', 'fn_iu_login_problems', 'fn_iu_gate_verify_closed', 'iu.fn_iu_gate_snapshot',
  'fn_iu_gate_blocker', 'iu.fn_iu_gate_blockers', 'iu.fn_iu_gate_row_holders', 'fn_iu_gate_ledger_verify',
  'fn_iu_gate_ledger_excerpt', 'iu.fn_iu_place_is_home']) f
  EXCEPT SELECT w, f FROM unnest(ARRAY['iu_core_reader', 'iu_core_writer', 'iu_core_worker', 'iu_core_operator']) w,
    unnest(ARRAY['fn_iu_structure_ops_enabled', 'fn_iu_delivery_enabled', 'fn_iu_composer_enabled',
    'fn_dot_iu_operator_runtime_enabled', 'fn_iu_vector_sync_enabled']) f$$,
  $$VALUES ('iu_core_reader', 'fn_iu_conformance'), ('iu_core_reader', 'fn_iu_login_problems'),
  ('iu_core_reader', 'fn_iu_gate_verify_closed'),
           ('iu_core_reader', 'iu.fn_iu_gate_snapshot'), ('iu_core_reader', 'fn_iu_gate_blocker'),
           ('iu_core_reader', 'iu.fn_iu_gate_blockers'), ('iu_core_reader', 'iu.fn_iu_gate_row_holders'),
           ('iu_core_reader', 'fn_iu_gate_ledger_verify'), ('iu_core_reader', 'fn_iu_gate_ledger_excerpt'),
           ('iu_core_reader', 'iu.fn_iu_place_is_home'), ('iu_core_operator', 'fn_iu_place_confirm'),
           ('iu_core_worker', 'iu.fn_iu_gate_close_overstayed'), ('iu_core_worker', 'iu.fn_iu_place_begin'),
           ('iu_core_writer', 'fn_dot_iu_command_log'), ('iu_core_operator', 'fn_dot_iu_command_log'),
           ('iu_core_operator', 'fn_iu_gate_open'), ('iu_core_operator', 'fn_iu_gate_close'),
           ('iu_core_operator', 'fn_iu_gate_watchdog'), ('iu_core_operator', 'fn_iu_gate_unblock'),
           ('iu_core_worker', 'iu.fn_iu_gate_expiring'), ('iu_core_worker', 'iu.fn_iu_gate_close_expired'),
           ('iu_core_worker', 'iu.fn_iu_conformance_problems')$$,
  'each role executes the functions that are meant for it, and no more');
SELECT is((SELECT string_agg(concat_ws(' ', r.rolname, p.proname), ', ')
             FROM pg_proc p JOIN pg_proc o ON o.proname = p.proname AND o.pronamespace = 'public'::regnamespace CROSS
             JOIN pg_roles r
            WHERE p.pronamespace = 'iu'::regnamespace AND r.rolname NOT IN ('iu_core_worker', 'iu_core_owner')
              AND has_function_privilege(r.oid, p.oid, 'EXECUTE') <> has_function_privilege(r.oid, o.oid, 'EXECUTE')),
              NULL,
  'whoever executes a function of public may execute the one of iu to which it hands on, and nobody else');
SELECT is((SELECT string_agg(concat_ws(' ', r, c.relname), ', ') FROM pg_class c,
             unnest(ARRAY['iu_core_reader', 'iu_core_writer', 'iu_core_operator', 'iu_core_admin', 'iu_core_worker']) r
            WHERE c.relname IN ('dot_config', 'iu_governed_object', 'dot_iu_command_catalog', 'dot_iu_command_run',
            'iu_gate_registry', 'iu_gate_transition')
              AND (has_table_privilege(r, c.oid, 'INSERT, DELETE, TRUNCATE, TRIGGER') OR has_any_column_privilege(r,
              c.oid, 'UPDATE'))), NULL,
  'nobody but the owner writes the tables of the policy');
SELECT is((SELECT string_agg(c.relname, ', ') FROM pg_class c
            WHERE c.relname IN ('dot_config', 'iu_governed_object', 'v_iu_conformance', 'dot_iu_command_catalog',
            'dot_iu_command_run',
                                'v_dot_iu_command_registry', 'v_dot_iu_command_run_health', 'iu_gate_registry',
                                'iu_gate_transition', 'v_iu_gate',
                                'v_iu_gate_holder')
              AND NOT has_table_privilege('iu_core_reader', c.oid, 'SELECT')), 'iu_gate_transition',
              'a reader reads every table of the policy whole, but the ledger of gates');
SELECT is((SELECT string_agg(concat_ws('.', c.relname, a.attname), ', ' ORDER BY c.relname, a.attname)
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relowner = 'iu_core_owner'::regrole AND c.relkind = 'r'
              AND has_any_column_privilege('iu_core_reader', c.oid, 'SELECT')
              AND NOT has_column_privilege('iu_core_reader', c.oid, a.attnum, 'SELECT')),
  'iu_gate_approval.approval_id, iu_gate_confirmation.approval_id, iu_gate_revocation.approval_id, '
    'iu_gate_transition.approval_id', 'of what a reader reads it reads all columns but the ids of approvals');

-- As the roles themselves, through views and functions.
SELECT is(pg_temp.as_role('iu_core_operator',
  $$SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'op', NULL, 60) ->> 'status'$$), 'opened',
  'an operator opens a gate');
SELECT is(pg_temp.as_role('iu_core_operator', 'SELECT fn_iu_delivery_enabled()'), 'true',
  'an operator reads the gate as open');
SELECT is(pg_temp.as_role('iu_core_writer', 'SELECT fn_iu_delivery_enabled()'), 'true',
  'a writer reads the gate as open');
SELECT is(pg_temp.as_role('iu_core_worker', 'SELECT count(*) FROM iu.fn_iu_gate_expiring()'), '1',
  'the worker sees when the gate expires');
SELECT is(pg_temp.as_role('iu_core_worker', $$SELECT status FROM iu.fn_iu_gate_close_expired('iu_core.delivery_enabled',
  'dog')$$), 'not_due', 'the worker may try to close the gate');
SELECT is(pg_temp.as_role('iu_core_operator',
  $$SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'op', NULL) ->> 'status'$$), 'closed',
  'an operator closes the gate');
SELECT is(pg_temp.as_role('iu_core_operator', $$SELECT fn_iu_gate_watchdog('op') ->> 'closed_count'$$), '0',
  'an operator runs the watchdog''s function');
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT fn_iu_gate_verify_closed() ->> ''all_safe'''), 'true',
  'a reader verifies the gates');
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT count(*) > 8 FROM v_iu_gate'), 'true',
  'a reader reads the view of gates');
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT bool_and(ok) FROM v_iu_conformance'), 'true',
  'a reader reads the conformance');
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT fn_iu_gate_blocker(''iu_core.delivery_enabled'') IS NOT NULL'),
  'true', 'a reader asks who blocks a gate');
SELECT matches(pg_temp.as_role('iu_core_reader',
  $$SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'r', NULL, 60)$$), '^42501 permission denied',
  'a reader opens no gate');
SELECT matches(pg_temp.as_role('iu_core_admin', $$UPDATE dot_config SET value = 'true' RETURNING key$$),
  '^42501 permission denied', 'not even an administrator writes dot_config');
SELECT * FROM finish();
ROLLBACK;
