-- The migration runner, and the record of what was applied.

CREATE FUNCTION guard_rows(table_name regclass, condition text DEFAULT 'true') RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_guard_rows';
COMMENT ON FUNCTION guard_rows(regclass, text) IS
  'The guard at the head of a rollback script: locks the table against writers, counts its rows that meet the '
  'condition (SQL, evaluated as written) and returns the count. SQLSTATE 55006 if there are any, unless the rollback '
  'was called with allow_data_loss: then it reports how many are lost. 55000 outside of a rollback, 22004 for NULL.';

CREATE TABLE applied_migration (
  version integer PRIMARY KEY CHECK (version > 0),
  name text NOT NULL,
  checksum text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
  applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  applied_by name NOT NULL DEFAULT SESSION_USER,
  nth integer NOT NULL DEFAULT 0);
COMMENT ON TABLE applied_migration IS
  'The migrations that were applied to this database; dumped with it. Written by the runner only. Read '
  'iu_core.migrations.';
CREATE TRIGGER trg_0_subscription BEFORE INSERT OR UPDATE OR DELETE ON applied_migration
  FOR EACH ROW EXECUTE FUNCTION leave_out_replicated();
ALTER TABLE applied_migration ENABLE REPLICA TRIGGER trg_0_subscription;
COMMENT ON TRIGGER trg_0_subscription ON applied_migration IS 'Leaves out what a subscription brings.';
CREATE TRIGGER trg_zz_subscription_truncate BEFORE TRUNCATE ON applied_migration
  FOR EACH STATEMENT EXECUTE FUNCTION keep_from_truncation();
CREATE TRIGGER trg_0_subscription_truncated AFTER TRUNCATE ON applied_migration
  FOR EACH STATEMENT EXECUTE FUNCTION keep_from_truncation();
ALTER TABLE applied_migration ENABLE REPLICA TRIGGER trg_zz_subscription_truncate,
  ENABLE REPLICA TRIGGER trg_0_subscription_truncated;
COMMENT ON TRIGGER trg_zz_subscription_truncate ON applied_migration IS
  'Keeps the rows where a subscription would empty the table.';
COMMENT ON TRIGGER trg_0_subscription_truncated ON applied_migration IS
  'Keeps the rows where a subscription would empty the table.';
COMMENT ON COLUMN applied_migration.checksum IS 'SHA-256 in hex of the script as it was applied';
COMMENT ON COLUMN applied_migration.applied_by IS 'the user that was logged in';
COMMENT ON COLUMN applied_migration.nth IS
  'the place in the order in which those that are there were applied, whatever the clock says; 0: it was not noted';
SELECT pg_catalog.pg_extension_config_dump('applied_migration', '');

CREATE FUNCTION migration_scripts(OUT version integer, OUT name text, OUT checksum text)
  RETURNS SETOF record
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_migration_scripts';
COMMENT ON FUNCTION migration_scripts() IS
  'The migrations that the library carries, with the SHA-256 of each script in hex. Raises nothing.';

CREATE VIEW migrations AS
  SELECT coalesce(a.version, s.version) AS version,
         coalesce(s.name, a.name) AS name,
         CASE WHEN a.version IS NULL THEN 'pending'
              WHEN a.checksum = s.checksum THEN 'applied'
              ELSE 'drifted' END AS state,
         coalesce(a.checksum, s.checksum) AS checksum,
         a.applied_at, a.applied_by
    FROM migration_scripts() s FULL JOIN applied_migration a ON a.version = s.version;
COMMENT ON VIEW migrations IS
  'One row per migration that the library carries or that was applied: version, name, state (applied; pending; '
  'drifted: the library has another text for it, or none), checksum (SHA-256 in hex: of what was applied, for a '
  'pending one of what would be), applied_at, applied_by (the user that was logged in).';

CREATE FUNCTION migrate(
    target integer DEFAULT NULL, dry_run boolean DEFAULT false,
    OUT version integer, OUT script text, OUT change text, OUT object_class text, OUT object_name text,
    OUT rows_lost bigint)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_migrate';
COMMENT ON FUNCTION migrate(integer, boolean) IS
  'Applies every pending migration up to and including target (NULL: all) in order, as iu_core_owner, all or nothing. '
  'One row per object: version, script, change (added, changed, removed), object_class and object_name as in '
  'object_names(). With dry_run everything is executed, reported and undone. An error names script, file and line. '
  'Constraints are checked at once, unless a script defers them, and then at its end; this holds for the rest of the '
  'transaction. SQLSTATE 22023: no such target, or the database is beyond it; 55000: an applied migration has '
  'drifted, or in the end the database does not conform (see fn_iu_conformance); 55P03: another run is in progress; '
  '25000: not READ COMMITTED; 0A000: the database''s encoding is not UTF8; 42710, 42P07, 42723: a name is taken by '
  'something that no migration made.';

CREATE FUNCTION rollback(
    target integer, dry_run boolean DEFAULT false, allow_data_loss boolean DEFAULT false,
    OUT version integer, OUT script text, OUT change text, OUT object_class text, OUT object_name text,
    OUT rows_lost bigint)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_rollback';
COMMENT ON FUNCTION rollback(integer, boolean, boolean) IS
  'Rolls back every applied migration above target, the last first, as iu_core_owner, all or nothing. target is the '
  'last one that stays, 0 for none. Result, dry_run and the rest as in migrate(); with allow_data_loss there is also '
  'a row "rows lost" with rows_lost for each table that held some. SQLSTATE 55006: a gate is open (always), or rows '
  'would be lost (without allow_data_loss); 22023: target is neither 0 nor applied; 22004: target is NULL; 55000: the '
  'library does not carry the script; 55P03, 25000 as in migrate(). A drifted migration is rolled back with a warning.';
