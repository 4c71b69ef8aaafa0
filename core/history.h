/*-------------------------------------------------------------------------
 *
 * history.h
 *	  The migrations of this library, the record of the applied ones, and what
 *	  a run to a target takes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_HISTORY_H
#define IU_HISTORY_H

#include "core/migrations.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* A migration that the library carries, or that was applied, or both. */
typedef struct IuStep
{
	int			version;
	char	   *script;			/* NNN_name */
	bool		applied;
	bool		drifted;		/* applied, but from another text */
	TimestampTz applied_at;		/* where it was */
	int			nth;			/* where it was: in which order; 0: not noted */
	const IuMigration *carried; /* NULL: not by this library */
} IuStep;

/* All of them, by version. The role owns the record. */
extern List *iu_history_read(Oid role);
extern void iu_history_record(const IuStep *step, bool applied, Oid role);

/* The steps as they are to run; target NULL means all. They raise what forbids it. */
extern List *iu_history_plan_migrate(const List *known, const int *target);
extern List *iu_history_plan_rollback(const List *known, int target);

/* A NOTICE of what a rollback to the target leaves, though it came later. */
extern void iu_history_tell_what_stays(const List *known, int target);

#endif							/* IU_HISTORY_H */
