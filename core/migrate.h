/*-------------------------------------------------------------------------
 *
 * migrate.h
 *	  What others may know of a run of the migration runner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_MIGRATE_H
#define IU_MIGRATE_H

#include <stdbool.h>

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
