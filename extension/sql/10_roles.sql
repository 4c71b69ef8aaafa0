-- iu_core extension: mechanism only. It owns no user data.
\echo Use "CREATE EXTENSION iu_core" to load this file. \quit

-- Whoever may create in these schemas could have functions of his called by all
-- who trust them, so a schema that was there must be a superuser's alone.
DO $schema$
DECLARE
  v_schema   name;
  v_stranger name;
BEGIN
  SELECT n.nspname, coalesce(r.rolname, 'public') INTO v_schema, v_stranger
    FROM pg_catalog.pg_namespace n
    CROSS JOIN LATERAL (
      SELECT n.nspowner AS oid
      UNION ALL SELECT a.grantee FROM pg_catalog.aclexplode(n.nspacl) a WHERE a.privilege_type = 'CREATE'
      UNION ALL SELECT p.proowner FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid
      UNION ALL SELECT o.oprowner FROM pg_catalog.pg_operator o WHERE o.oprnamespace = n.oid
      UNION ALL SELECT t.typowner FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid) AS who
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = who.oid
   WHERE n.nspname IN ('iu', 'iu_core', 'cutter_governance') AND r.rolsuper IS NOT TRUE
   LIMIT 1;
  IF FOUND THEN
    RAISE insufficient_privilege USING
      MESSAGE = pg_catalog.format('schema "%s" is there already and "%s" may create in it, or has',
                                  v_schema, v_stranger),
      DETAIL = pg_catalog.format('Schema: %s; role: %s.', v_schema, v_stranger),
      HINT = 'Drop the schema, then create the extension again.', CONSTRAINT = 'iu_schema_taken';
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
                                'iu_core_operator', 'iu_core_admin', 'iu_core_agent', 'iu_core_worker',
                                'iu_core_check'] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = v_role) THEN
      EXECUTE pg_catalog.format('CREATE ROLE %I %s', v_role,
        CASE v_role WHEN 'iu_core_worker' THEN 'LOGIN' ELSE 'NOLOGIN' END);
    END IF;
  END LOOP;
END
$roles$;

GRANT iu_core_reader TO iu_core_operator;
GRANT iu_core_operator, iu_core_writer TO iu_core_admin;

-- Functions are found by name, and whoever may create in a schema can put a
-- function there that fits a call better than the one meant. So whatever runs
-- with the rights of iu_core_owner lives in schema iu, where nobody else may
-- create, and calls functions of iu, iu_core and pg_catalog only. Schema public
-- has what people and programs use: tables, views, and functions that ask who
-- calls and hand on; those are bound to what they call when they are made.
--
-- The schema comes with the extension, which a dump restores before all that is
-- in it: then its owner exists.
CREATE SCHEMA IF NOT EXISTS iu;
ALTER SCHEMA iu OWNER TO iu_core_owner;
COMMENT ON SCHEMA iu IS
  'The inside of iu_core: functions that run with the rights of iu_core_owner, and what they call. Nothing in it is '
  'called by people; the workers call some. Nobody but iu_core_owner may create here.';

-- Decisions of reviewers, of migration 016, lie apart. A schema that a migration
-- made would be restored before the extension, when its owner may not exist yet.
CREATE SCHEMA IF NOT EXISTS cutter_governance;
ALTER SCHEMA cutter_governance OWNER TO iu_core_owner;
COMMENT ON SCHEMA cutter_governance IS
  'Decisions of reviewers, with what they decide on: tables of migration 016. Nobody but iu_core_owner uses it; '
  'v_iu_review_decision shows what is in it.';

-- Migrations may make schemas of their own.
DO $grants$
BEGIN
  EXECUTE pg_catalog.format('GRANT CREATE ON DATABASE %I TO iu_core_owner', pg_catalog.current_database());
END
$grants$;

-- Migrations create their objects in public, as iu_core_owner. Its default is
-- that nothing is for PUBLIC.
GRANT USAGE, CREATE ON SCHEMA public TO iu_core_owner;
-- Where public has been closed to PUBLIC, who works with them needs a way in.
GRANT USAGE ON SCHEMA public
  TO iu_core_reader, iu_core_writer, iu_core_operator, iu_core_admin, iu_core_agent, iu_core_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE iu_core_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE iu_core_owner REVOKE USAGE ON TYPES FROM PUBLIC;
