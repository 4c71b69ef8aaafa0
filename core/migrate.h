/*-------------------------------------------------------------------------
 *
 * migrate.h
 *	  The migrations that this library carries. build/migration_scripts.c,
 *	  made from sql/ and rollback/, fills the array.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_MIGRATE_H
#define IU_MIGRATE_H

#include <stdbool.h>

/* A file of a migration's folder, and where it begins in the whole script. */
typedef struct IuScriptFile
{
	const char *name;			/* NULL after the last one */
	int			first_line;
} IuScriptFile;

typedef struct IuMigration
{
	int			version;		/* NNN of the folder's name */
	const char *name;			/* the rest of it */
	const IuScriptFile *files;	/* of sql/NNN_name/ */
	const char *script;			/* those files, put together */
	const char *rollback;		/* rollback/NNN_name.rollback.sql */
} IuMigration;

extern const IuMigration iu_migrations[];	/* by version, ascending */
extern const int iu_migration_count;

/* Whether this session is within a run, forth or back. */
extern bool iu_migration_is_running(void);

/* What a rollback script may ask of its run. */
typedef struct IuRollback
{
	int			target;			/* the last migration that stays */
	bool		allow_data_loss;
} IuRollback;

/* Whether this session is within a script of a rollback; fills the struct if so. */
extern bool iu_rollback_is_running(IuRollback *rollback);

/* For that script: reports rows of a table that the rollback takes along. */
extern void iu_rollback_report_loss(const char *table, long long rows);

#endif							/* IU_MIGRATE_H */
