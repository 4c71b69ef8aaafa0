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

typedef struct IuMigration
{
	int			version;		/* NNN of the file name */
	const char *name;			/* the rest of it, without .sql */
	const char *script;			/* sql/NNN_name.sql */
	const char *rollback;		/* rollback/NNN_name.rollback.sql */
} IuMigration;

extern const IuMigration iu_migrations[];	/* by version, ascending */
extern const int iu_migration_count;

/* Whether this session is within a run, forth or back. */
extern bool iu_migration_is_running(void);

#endif							/* IU_MIGRATE_H */
