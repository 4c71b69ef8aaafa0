-- iu_core extension: mechanism only. It owns no user data.
\echo Use "CREATE EXTENSION iu_core" to load this file. \quit

-- The roles are cluster-wide: made here, or adopted where they exist, and left
-- in place by rollback and by DROP EXTENSION.
DO $roles$
DECLARE
  v_role text;
BEGIN
  FOREACH v_role IN ARRAY ARRAY['iu_core_owner', 'iu_core_reader', 'iu_core_writer',
                                'iu_core_operator', 'iu_core_admin', 'iu_core_worker'] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = v_role) THEN
      EXECUTE pg_catalog.format('CREATE ROLE %I %s', v_role,
        CASE v_role WHEN 'iu_core_worker' THEN 'LOGIN' ELSE 'NOLOGIN' END);
    END IF;
  END LOOP;
END
$roles$;

GRANT iu_core_reader TO iu_core_operator;
GRANT iu_core_operator, iu_core_writer TO iu_core_admin;

-- Migrations create their objects in public, as iu_core_owner. Its default is
-- that nothing is for PUBLIC.
GRANT USAGE, CREATE ON SCHEMA public TO iu_core_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE iu_core_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE iu_core_owner REVOKE USAGE ON TYPES FROM PUBLIC;
