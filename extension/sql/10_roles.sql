-- iu_core extension: mechanism only. It owns no user data.
\echo Use "CREATE EXTENSION iu_core" to load this file. \quit

-- Whoever may create in this schema could have functions of his called by all
-- who trust it, so a schema that was there must be a superuser's alone.
DO $schema$
DECLARE
  v_stranger name;
BEGIN
  SELECT coalesce(r.rolname, 'public') INTO v_stranger
    FROM pg_catalog.pg_namespace n
    CROSS JOIN LATERAL (
      SELECT n.nspowner AS oid
      UNION ALL SELECT a.grantee FROM pg_catalog.aclexplode(n.nspacl) a WHERE a.privilege_type = 'CREATE'
      UNION ALL SELECT p.proowner FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid
      UNION ALL SELECT o.oprowner FROM pg_catalog.pg_operator o WHERE o.oprnamespace = n.oid
      UNION ALL SELECT t.typowner FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid) AS who
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = who.oid
   WHERE n.nspname = 'iu_core' AND r.rolsuper IS NOT TRUE
   LIMIT 1;
  IF FOUND THEN
    RAISE insufficient_privilege USING
      MESSAGE = pg_catalog.concat('schema "iu_core" is there already and "', v_stranger, '" may create in it, or has'),
      HINT = 'Drop the schema, then create the extension again.';
  END IF;
END
$schema$;

-- The roles are cluster-wide: made here, or adopted where they exist, and left
-- in place by rollback and by DROP EXTENSION.
DO $roles$
DECLARE
  v_role text;
BEGIN
  FOREACH v_role IN ARRAY ARRAY['iu_core_owner', 'iu_core_reader', 'iu_core_writer',
                                'iu_core_operator', 'iu_core_admin', 'iu_core_agent', 'iu_core_worker'] LOOP
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
-- Where public has been closed to PUBLIC, who works with them needs a way in.
GRANT USAGE ON SCHEMA public
  TO iu_core_reader, iu_core_writer, iu_core_operator, iu_core_admin, iu_core_agent, iu_core_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE iu_core_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE iu_core_owner REVOKE USAGE ON TYPES FROM PUBLIC;
